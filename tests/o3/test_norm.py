"""Lengths, and layers that divide by them."""

import e3nn.o3
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from o3_laws import LAWS, Case
from o3_parity import LAYOUTS, irreps, randn, same, twins

from molzoo.o3 import Irreps, split
from molzoo.o3.norm import LayerNorm, Norm

IRREPS_IN = "3x0e+2x1o+0x1e+2e+2x1o+0o"
CASES = [
    case
    for layout in LAYOUTS
    for case in (
        Case(f"norm {layout}", lambda layout=layout: Norm(IRREPS_IN, layout=layout), [IRREPS_IN], "9x0e", layout),
        Case(f"squared {layout}", lambda layout=layout: Norm(IRREPS_IN, True, layout=layout), [IRREPS_IN], "9x0e", layout),
        Case(f"empty {layout}", lambda layout=layout: Norm("", layout=layout), [""], "", layout),
        Case(f"layer {layout}", lambda layout=layout: LayerNorm(IRREPS_IN, layout=layout), [IRREPS_IN], IRREPS_IN, layout),
        Case(
            f"layer, norm {layout}",
            lambda layout=layout: LayerNorm(IRREPS_IN, 1e-3, False, "norm", layout=layout),
            [IRREPS_IN],
            IRREPS_IN,
            layout,
        ),
        Case(f"layer, empty {layout}", lambda layout=layout: LayerNorm("", layout=layout), [""], "", layout),
    )
]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_laws(case, law):
    law(case)


@settings(max_examples=20, deadline=None)
@given(irreps(), st.booleans(), st.sampled_from(LAYOUTS))
def test_norm_equals_e3nn(irreps, squared, layout):
    ours, theirs = twins(lambda: Norm(irreps, squared, layout=layout), lambda: e3nn.o3.Norm(irreps, squared))
    assert str(ours.irreps_out) == str(theirs.irreps_out)
    if layout == "mul_ir":
        assert repr(ours) == repr(theirs)
    same(ours, theirs, randn(irreps, 3))


def test_norm_of_nothing_has_derivatives():
    x = torch.zeros(3, requires_grad=True)
    weight = torch.ones(1, requires_grad=True)
    (first,) = torch.autograd.grad((weight * Norm("1o")(x)).sum(), x, create_graph=True)
    second = torch.autograd.grad(first.square().sum(), [x, weight], materialize_grads=True)
    assert not first.any()
    assert not any(g.any() for g in second)


@pytest.mark.parametrize("normalization", ["norm", "component"])
def test_each_term_has_mean_length_one(normalization):
    layer = LayerNorm(IRREPS_IN, eps=1e-12, normalization=normalization)
    x = 5 * Irreps(IRREPS_IN).randn(4, -1, dtype=torch.float64) + 1
    for block, (mul, ir) in zip(split(layer.double()(x), layer.irreps), layer.irreps, strict=True):
        if mul:
            squares = block.square().sum(-2).mean(-1)
            torch.testing.assert_close(squares, torch.full_like(squares, 1.0 if normalization == "norm" else ir.dim))
        if mul and ir.is_scalar():
            torch.testing.assert_close(block.mean(-1), torch.zeros(4, 1, dtype=torch.float64))


def test_layer_norm_of_scalars_is_torchs():
    ours, theirs = LayerNorm("6x0e").double(), torch.nn.LayerNorm(6).double()
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(3, 6, dtype=torch.float64)
    torch.testing.assert_close(ours(x), theirs(x))


def test_weights_are_one_for_each_copy():
    layer = LayerNorm("2x0e+2x1o", layout="ir_mul")
    assert (layer.weight.shape, layer.bias.shape) == ((4,), (2,))
    x = torch.randn(8)
    before = layer(x)
    with torch.no_grad():
        layer.weight[2] = 2.0
    torch.testing.assert_close(layer(x) / before, torch.tensor([1.0, 1, 2, 1, 2, 1, 2, 1]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Norm("1o")(torch.zeros(4)), "x has 4 components, but its irreps 1x1o have 3"),
        (lambda: LayerNorm("1o")(torch.zeros(4)), "x has 4 components, but its irreps 1x1o have 3"),
        (lambda: LayerNorm("1o", normalization="std"), "normalization is 'norm' or 'component'; got 'std'"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
