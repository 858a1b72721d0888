"""Products whose paths follow from the irreps: e3nn's outputs, weights, values and derivatives, by loops and by operations."""

import e3nn.o3
import pytest
import torch
from o3_parity import LAYOUTS, derivatives, randn, relaid, twins

from molzoo import o3
from molzoo.kernels import use_backend

A, B, OUT = "3x0e + 2x1o + 1x2e", "1x0e + 1x1o", "2x0e + 2x1o + 1x1e"
MANY = "2x0e + 2x1o"

PRODUCTS = {
    "fully connected": ("FullyConnectedTensorProduct", (A, B, OUT), {}),
    "fully connected, many": ("FullyConnectedTensorProduct", (A, MANY, OUT), {}),
    "fully connected, by path": ("FullyConnectedTensorProduct", (A, B, OUT), {"path_normalization": "path"}),
    "fully connected, norm": ("FullyConnectedTensorProduct", (A, MANY, OUT), {"irrep_normalization": "norm"}),
    "weights of each row": ("FullyConnectedTensorProduct", (A, B, OUT), {"shared_weights": False}),
    "full": ("FullTensorProduct", (A, MANY), {}),
    "full, filtered": ("FullTensorProduct", (A, MANY), {"filter_ir_out": ["0e", "1o"]}),
    "elementwise": ("ElementwiseTensorProduct", ("3x0e + 2x1o", "1x0e + 3x1o + 1x0e"), {}),
    "square": ("TensorSquare", (MANY,), {}),
    "square, weighted": ("TensorSquare", (MANY, "2x0e + 1x2e"), {}),
}


@pytest.mark.parametrize("backend", ["auto", "messages"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", PRODUCTS)
def test_equals_e3nn(name, layout, backend):
    cls, irreps, options = PRODUCTS[name]
    ours, theirs = twins(
        lambda: getattr(o3, cls)(*irreps, **options, layout=layout), lambda: getattr(e3nn.o3, cls)(*irreps, **options)
    )
    assert str(ours.irreps_out) == str(theirs.irreps_out)
    assert ours.weight_numel == theirs.weight_numel
    torch.manual_seed(1)
    irreps_in = [ours.irreps_in] if cls == "TensorSquare" else [ours.irreps_in1, ours.irreps_in2]
    features = [randn(str(i), 4) for i in irreps_in]
    weights = [] if options.get("shared_weights", True) else [torch.randn(4, ours.weight_numel, dtype=torch.float64)]
    results = []
    for layer, own in ((ours, layout), (theirs, "mul_ir")):
        leaves = [t.clone().requires_grad_() for t in (*features, *weights)]
        inputs = [relaid(x, i, "mul_ir", own) for x, i in zip(leaves, irreps_in, strict=False)]
        with use_backend(backend):
            out = relaid(layer(*inputs, *leaves[len(inputs) :]), ours.irreps_out, own, "mul_ir")
            leaves += layer.parameters()
            first = derivatives(out.pow(3).sum(), leaves)
            results.append([out, *first, *derivatives(sum(g.square().sum() for g in first), leaves)])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


def test_loops_and_operations_agree_in_float32():
    product = o3.FullyConnectedTensorProduct("16x0e + 16x1o + 16x2e", "0e + 1o + 2e", "16x0e + 16x1o + 16x2e")
    x, y = product.irreps_in1.randn(50, -1), product.irreps_in2.randn(50, -1)
    with use_backend("messages"):
        expected = product(x, y)
    torch.testing.assert_close(product(x, y), expected, rtol=1e-5, atol=1e-5)
    assert 0.5 < expected.square().mean() < 2  # unit variance in, unit variance out


def test_two_ways_to_second_derivatives():
    product = o3.FullyConnectedTensorProduct("2x0e + 1x1o", "0e + 1o", "2x0e + 1x1o").double()
    x, y = (irreps.randn(3, -1, dtype=torch.float64) for irreps in (product.irreps_in1, product.irreps_in2))
    scalar = lambda x, y: product(x, y).pow(3).sum()  # noqa: E731
    found = {}
    for backend in ("fused", "messages"):
        with use_backend(backend), torch.autograd.forward_ad.dual_level():
            moving = torch.autograd.forward_ad.make_dual(x.clone().requires_grad_(), torch.ones_like(x))
            gradients = torch.autograd.grad(scalar(moving, y.requires_grad_()), (moving, y), create_graph=True)
            forward = [torch.autograd.forward_ad.unpack_dual(g).tangent for g in gradients]
        with use_backend(backend):
            leaf = x.clone().requires_grad_()
            (g,) = torch.autograd.grad(scalar(leaf, y), leaf, create_graph=True)
            row = lambda v, g=g, leaf=leaf: torch.autograd.grad(g, leaf, v, retain_graph=True)[0]  # noqa: E731
            hessian = torch.func.vmap(row)(torch.eye(x.numel(), dtype=x.dtype).view(-1, *x.shape))
        found[backend] = [*forward, hessian]
    for a, b in zip(*found.values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


def test_the_convention_is_part_of_the_state():
    irreps = "1x2e", "1x1e", "1x2e"
    new, old = (o3.FullyConnectedTensorProduct(*irreps, convention=name) for name in ("e3nn-0.6", "e3nn-0.4.4"))
    with pytest.raises(ValueError, match=r"convention 'e3nn-0\.6'.*'e3nn-0\.4\.4'"):
        old.load_state_dict(new.state_dict())
    x, y = torch.randn(3, 5), torch.randn(3, 3)
    torch.testing.assert_close(old(x, y, new.weight), -new(x, y))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: o3.TensorProduct("1o", "1o", "1o", [(0, 0, 0, "uuu", False)]), "1o"),
        (lambda: o3.TensorProduct("1o", "1o", "1e", [(0, 0, 1, "uuu", False)]), "names term 1 of irreps_out"),
        (lambda: o3.TensorProduct("2x1o", "3x1o", "2x1e", [(0, 0, 0, "uuu", False)]), "uuu"),
        (lambda: o3.FullyConnectedTensorProduct("1o", "1o", "1e")(torch.ones(4), torch.ones(3)), "x has 4 components.* 3"),
        (lambda: o3.ElementwiseTensorProduct("2x1o", "3x1o"), "2x1o.*3x1o"),
    ],
)
def test_what_does_not_fit_is_refused(make, sentence, unchecked):
    with pytest.raises(ValueError, match=sentence):
        make()
