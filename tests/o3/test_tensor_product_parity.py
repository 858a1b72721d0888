"""Any tensor product beside e3nn's: values, derivatives to the second order, views of weights, and the picture."""

import warnings

import e3nn.o3
import matplotlib
import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from o3_parity import LAYOUTS, derivatives, double, relaid
from torch import Tensor

from molzoo import o3
from molzoo.kernels import use_backend
from molzoo.o3.instructions import MODES

ALIKE = ("uuw", "uuu", "uvu<v", "u<vw")
NORMALIZATIONS = {"irrep_normalization": (None, "norm", "none"), "path_normalization": (None, "path", "none")}


@st.composite
def products(draw):
    """Irreps, instructions and keywords: terms may be empty or repeated, and paths may share an output."""
    term = st.tuples(st.integers(0, 3), st.sampled_from(["0e", "0o", "1o", "2e"]))
    ins1, ins2 = (draw(st.lists(term, min_size=least, max_size=3)) for least in (1, 1))
    outs, paths = [], []
    for i, (mul1, ir1) in enumerate(ins1):
        for j, (mul2, ir2) in enumerate(ins2):
            mode = draw(st.sampled_from(MODES if mul1 == mul2 else [mode for mode in MODES if mode not in ALIKE]))
            pairs = mul1 * (mul1 - 1) // 2
            fixed = {"uvu": mul1, "uvv": mul2, "uuu": mul1, "uvuv": mul1 * mul2, "uvu<v": pairs}
            out = fixed.get(mode, draw(st.integers(0, 3))), str(draw(st.sampled_from(list(o3.Irrep(ir1) * o3.Irrep(ir2)))))
            outs += [] if out in outs and draw(st.booleans()) else [out]
            has_weight = mode in ("uvw", "uuw", "u<vw") or draw(st.booleans())
            number = max(n for n, other in enumerate(outs) if other == out)
            paths.append((i, j, number, mode, has_weight, draw(st.sampled_from([1.0, 0.3]))))
    keywords = {name: draw(st.sampled_from(known)) for name, known in NORMALIZATIONS.items()}
    for name, terms in (("in1_var", ins1), ("in2_var", ins2), ("out_var", outs)):
        keywords[name] = draw(st.none() | st.just([0.5 + n for n in range(len(terms))]))
    keywords["shared_weights"] = draw(st.booleans())
    keywords["internal_weights"] = keywords["shared_weights"] and draw(st.booleans())
    return (o3.Irreps(ins1), o3.Irreps(ins2), o3.Irreps(outs), paths), keywords


def twins(arguments, keywords, layout="mul_ir", **theirs):
    """Both products in float64, with the same weights."""
    irreps = [str(i) for i in arguments[:3]]
    with double(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        e3nn.set_optimization_defaults(jit_mode="eager")
        peer = e3nn.o3.TensorProduct(*irreps, arguments[3], **keywords, **theirs)
        ours = o3.TensorProduct(*arguments, **keywords, layout=layout)
    assert ours.weight_numel == peer.weight_numel
    assert ours.output_mask.equal(peer.output_mask.float())
    ours.load_state_dict(peer.state_dict())
    return ours, peer


def results(product, inputs: list[Tensor], weights: list[Tensor], method: str = "forward") -> list[Tensor]:
    """The product or its matrix, and what follows from first and second derivatives; features come as e3nn's."""
    layout = getattr(product, "layout", "mul_ir")
    irreps = [product.irreps_in1, product.irreps_in2][-len(inputs) :]
    leaves = [t.clone().requires_grad_() for t in (*inputs, *weights)]
    features = [relaid(x, str(i), "mul_ir", layout) for x, i in zip(leaves, irreps, strict=False)]
    out = relaid(getattr(product, method)(*features, *leaves[len(inputs) :]), str(product.irreps_out), layout, "mul_ir")
    leaves += [p for p in product.parameters() if p.numel()]
    cotangent = torch.linspace(0.5, 1.5, out.numel(), dtype=out.dtype).view_as(out)
    first = derivatives((cotangent * out.square()).sum(), leaves)
    return [out, *first, *derivatives(sum(g.square().sum() for g in first), leaves)]


def assert_same(ours: list[Tensor], theirs: list[Tensor], tolerance: float) -> None:
    for a, b in zip(ours, theirs, strict=True):
        scale = max([1.0, *b.detach().abs().flatten().tolist()])
        torch.testing.assert_close(a.double(), b, rtol=0, atol=tolerance * scale)


@settings(max_examples=40, deadline=None, phases=[Phase.generate])
@given(
    products(),
    st.sampled_from([(), (0,), (3,), (2, 2)]),
    st.sampled_from(LAYOUTS),
    st.sampled_from(["auto", "messages"]),
    st.data(),
)
def test_equals_e3nn(drawn, rows, layout, backend, data):
    ours, theirs = twins(*drawn, layout)
    rows = rows if ours.shared_weights else rows or (1,)  # e3nn takes weights of rows for rows only
    torch.manual_seed(data.draw(st.integers(0, 9)))
    inputs = [torch.randn(*rows, i.dim, dtype=torch.float64) for i in (ours.irreps_in1, ours.irreps_in2)]
    shape = () if ours.shared_weights else rows
    weights = [] if ours.internal_weights or not ours.weight_numel else [torch.randn(*shape, ours.weight_numel).double()]
    expected = results(theirs, inputs, weights)
    with use_backend(backend):
        assert_same(results(ours, inputs, weights), expected, 1e-12)
        single = [[t.float() for t in tensors] for tensors in (inputs, weights)]
        assert_same(results(ours.float(), *single), expected, 1e-5)


MODES_ONCE = {"uvw": 4, "uvu": 3, "uvv": 3, "uuw": 2, "uuu": 3, "uvuv": 9}


def every_mode(**keywords):
    """3x1o ⊗ 3x1o by each mode that e3nn has a ``right`` of, with weights."""
    outs = [(mul, ("1e", "2e")[n % 2]) for n, mul in enumerate(MODES_ONCE.values())]
    paths = [(0, 0, n, mode, True) for n, mode in enumerate(MODES_ONCE)]
    return (o3.Irreps("3x1o"), o3.Irreps("3x1o"), o3.Irreps(outs), paths), keywords


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_right_equals_e3nn(layout, shared):
    ours, theirs = twins(*every_mode(shared_weights=shared, internal_weights=False), layout, compile_right=True)
    y, w = torch.randn(2, 9).double(), torch.randn(*([] if shared else [2]), ours.weight_numel).double()
    expected = results(theirs, [y], [w], "right")
    found = results(ours, [y], [w], "right")
    x = torch.randn(2, 9).double()
    rows = ours.right(relaid(y, "3x1o", "mul_ir", layout), w)
    matrix = torch.einsum("bi,bik->bk", relaid(x, "3x1o", "mul_ir", layout), rows)
    torch.testing.assert_close(matrix, ours(*(relaid(t, "3x1o", "mul_ir", layout) for t in (x, y)), w), rtol=0, atol=1e-12)
    if layout == "mul_ir":
        assert_same(found, expected, 1e-12)


def test_views_of_weights_are_e3nns():
    ours, theirs = twins(*every_mode())
    for weight in (None, torch.randn(ours.weight_numel).double()):
        for a, b in zip(ours.weight_views(weight), theirs.weight_views(weight), strict=True):
            assert a.equal(b)
        triples = zip(ours.weight_views(weight, True), theirs.weight_views(weight, yield_instruction=True), strict=True)
        for (n, path, W), (number, instruction, other) in triples:
            assert (n, tuple(path[:5]), path.path_shape) == (number, tuple(instruction)[:5], instruction.path_shape)
            assert abs(path.path_weight - instruction.path_weight) < 1e-12
            assert W.equal(other)
            assert ours.weight_view_for_instruction(n, weight).equal(theirs.weight_view_for_instruction(n, weight))
    with torch.no_grad():
        ours.weight_view_for_instruction(2).fill_(7.0)
    assert (ours.weight == 7).sum() == 9  # a view, not a copy
    rows = torch.randn(5, ours.weight_numel)
    apart = o3.TensorProduct(*every_mode()[0], shared_weights=False)
    assert [tuple(W.shape) for W in apart.weight_views(rows)] == [(5, *path.path_shape) for path in apart.instructions]


def test_views_skip_paths_without_weights():
    product = o3.TensorProduct("2x0e", "2x0e", "2x0e", [(0, 0, 0, "uuu", False), (0, 0, 0, "uvu", True)])
    assert [number for number, _, _ in product.weight_views(yield_instruction=True)] == [1]
    assert product.weight_view_for_instruction(1).equal(product.weight.view(2, 2))
    with pytest.raises(ValueError, match=r"instruction 0 .* has no weights"):
        product.weight_view_for_instruction(0)


@pytest.mark.parametrize(("plot_weight", "aspect_ratio"), [(True, 1), (False, "auto")])
def test_the_picture(plot_weight, aspect_ratio):
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    product, peer = twins(*every_mode())
    figure, ax = plt.subplots()
    drawn, axes = product.visualize(plot_weight=plot_weight, aspect_ratio=aspect_ratio, ax=ax)
    assert drawn is figure
    assert axes is ax
    figure.canvas.draw()
    assert len({tuple(pixel) for pixel in np.asarray(figure.canvas.buffer_rgba()).reshape(-1, 4)[:, :3]}) > 3
    theirs, other = plt.subplots()
    assert peer.visualize(plot_weight=plot_weight, aspect_ratio=aspect_ratio, ax=other) == (theirs, other)
    assert len(axes.texts) == len(other.texts) == 2 + len(MODES_ONCE)
    plt.close("all")
    with pytest.raises(ValueError, match="'auto'; got 'wide'"):
        product.visualize(aspect_ratio="wide")


X = torch.ones(4)
REFUSED = {
    "the irrep": (lambda: o3.TensorProduct("1o", "1o", "1o", [(0, 0, 0, "uuu", False)]), "1o ⊗ 1o makes .*, not 1o"),
    "the term": (lambda: o3.TensorProduct("1o", "1o", "1e", [(0, 2, 0, "uuu", False)]), "term 2 of irreps_in2, but 1x1o has 1"),
    "the copies": (lambda: o3.TensorProduct("2x0e", "3x0e", "2x0e", [(0, 0, 0, "uuu", False)]), "2x0e and 3x0e to 2x0e"),
    "no weights": (lambda: o3.TensorProduct("0e", "0e", "0e", [(0, 0, 0, "uvw", False)]), "makes 1x0e by weights, .* is False"),
    "the mode": (lambda: o3.TensorProduct("0e", "0e", "0e", [(0, 0, 0, "uwv", True)]), "mode 'uwv'.*uvw"),
    "the entries": (lambda: o3.TensorProduct("0e", "0e", "0e", [(0, 0)]), "has 2 entries; it takes"),
    "the variances": (lambda: o3.TensorProduct("0e", "0e", "0e", [], in1_var=[1, 2]), "2 variances, but 1x0e has 1"),
    "the owner": (
        lambda: o3.TensorProduct("0e", "0e", "0e", [(0, 0, 0, "uvw", True)], internal_weights=True, shared_weights=False),
        "internal weights .*shared_weights=False",
    ),
    "y": (lambda: o3.FullyConnectedTensorProduct("4x0e", "1o", "1o")(X, X), "y has 4 components.* 3"),
    "weights": (
        lambda: o3.FullyConnectedTensorProduct("4x0e", "4x0e", "0e", shared_weights=False)(X, X, torch.ones(2, 3)),
        r"shape \(2, 3\), but .* needs \(\.\.\., 16\)",
    ),
    "missing weights": (
        lambda: o3.FullyConnectedTensorProduct("4x0e", "4x0e", "0e", internal_weights=False)(X, X),
        r"pass weights of shape \(16,\)",
    ),
    "the list of weights": (
        lambda: o3.FullyConnectedTensorProduct("4x0e", "4x0e", "0e")(X, X, [X, X]),
        "2 tensors of weights are given, but .* has 1 paths",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused(name, unchecked):
    make, sentence = REFUSED[name]
    with pytest.raises(ValueError, match=sentence):
        make()


def test_an_output_between_others_that_no_path_reaches_is_zero():
    product = o3.FullyConnectedTensorProduct("1o", "1o", "2x0e + 1o + 3x1e + 3o + 0e").double()
    out = product(torch.randn(40, 3, dtype=torch.float64), torch.randn(40, 3, dtype=torch.float64))
    assert (out[:, product.output_mask == 0] == 0).all()
    assert (out[:, product.output_mask == 1] != 0).any(0).all()
