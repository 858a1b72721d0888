"""Activations on grids: e3nn's numbers, and equivariance as far as the grid resolves the function."""

import e3nn.nn
import pytest
import torch
from o3_laws import LAWS, Case
from torch.nn.functional import silu

from molzoo.o3.grid_activation import S2Activation, SO3Activation

# The square of a signal of degree 2 has degree 4, and with degree 2 of the way back that is 6, which a grid of 8x7 resolves.
# The degrees of tanh and silu have no end, but fall off. What these grids leave out was measured on 200 other inputs and turns:
# at most 2e-4, 4e-7 and 6e-6, and 9e-6, 2e-8 and 6e-6 on those of the law.
ODD = "0o+1o+2o"
CASES = [
    Case("square", lambda: S2Activation("0e+1o+2e", torch.square, 8), ["0e+1o+2e"], "0e+1o+2e"),
    Case("even", lambda: S2Activation(ODD, torch.square, 8, "norm", layout="ir_mul"), [ODD], "0e+1e+2e", "ir_mul"),
    Case("odd", lambda: S2Activation("0o+1e+2o", torch.tanh, 30, lmax_out=1), ["0o+1e+2o"], "0o+1e", tolerance=1e-5),
    Case("silu", lambda: S2Activation("0e+1o+2e", silu, (30, 31)), ["0e+1o+2e"], "0e+1o+2e", tolerance=1e-7),
    Case("scalar", lambda: S2Activation("0e", silu, None), ["0e"], "0e"),
    Case("SO3", lambda: SO3Activation(2, 1, torch.square, 4), ["0e+3x1e+5x2e"], "0e+3x1e"),
    Case("turned", lambda: SO3Activation(1, 1, silu, 5, layout="ir_mul"), ["0e+3x1e"], "0e+3x1e", "ir_mul", tolerance=1e-5),
]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_laws(case, law):
    law(case)


@pytest.fixture
def _double():
    # e3nn computes in the default precision.
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def same(ours, theirs, dim):
    """Values, first and second derivatives."""
    leaves = [torch.linspace(-1, 1, 6 * dim).view(2, 3, dim).requires_grad_() for _ in range(2)]
    outs = [layer(x) for layer, x in zip((ours, theirs), leaves, strict=True)]
    first = [torch.autograd.grad(out.square().sum(), x, create_graph=True)[0] for out, x in zip(outs, leaves, strict=True)]
    second = [torch.autograd.grad(g.square().sum(), x)[0] for g, x in zip(first, leaves, strict=True)]
    for one, other in (outs, first, second):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12 * max(1.0, float(other.detach().abs().max())))


@pytest.mark.usefixtures("_double")
@pytest.mark.parametrize("irreps", ["0e", "0e+1o+2e", "0e+1e+2e+3e", "0o", "0o+1e+2o", "0o+1o"])
@pytest.mark.parametrize("act", [torch.tanh, torch.abs, torch.cos, silu], ids=lambda act: act.__name__)
@pytest.mark.parametrize(("res", "options"), [(12, {}), ((10, 9), {"normalization": "norm", "lmax_out": 4})])
def test_sphere_equals_e3nn(irreps, act, res, options):
    try:
        theirs = e3nn.nn.S2Activation(irreps, act, res, **options)
    except ValueError:
        with pytest.raises(ValueError, match="neither even nor odd"):
            S2Activation(irreps, act, res, **options)
        return
    ours = S2Activation(irreps, act, res, **options)
    assert (str(ours.irreps_in), str(ours.irreps_out)) == (str(theirs.irreps_in), str(theirs.irreps_out))
    assert repr(ours) == repr(theirs)
    same(ours, theirs, ours.irreps_in.dim)


@pytest.mark.usefixtures("_double")
@pytest.mark.parametrize(("lmaxes", "resolution", "aspect_ratio"), [((0, 1), 1, 2), ((2, 1), 3, 2), ((1, 3), 4, 1)])
def test_rotations_equal_e3nn(lmaxes, resolution, aspect_ratio):
    layers = SO3Activation, e3nn.nn.SO3Activation
    ours, theirs = (layer(*lmaxes, torch.tanh, resolution, aspect_ratio=aspect_ratio) for layer in layers)
    assert repr(ours) == repr(theirs)
    same(ours, theirs, ours.irreps_in.dim)


@pytest.mark.usefixtures("_double", "unchecked")  # dynamo cannot read the checks of annotations
def test_random_turns_equal_e3nn_and_vanish_where_the_grid_is_fine_enough():
    x = torch.randn(5, 4)
    outs = []
    for module in (S2Activation, e3nn.nn.S2Activation):
        layer = module("0e+1o", torch.tanh, 6, random_rot=True)
        torch.manual_seed(3)
        outs.append(layer(x))
    torch.testing.assert_close(*outs, rtol=0, atol=1e-12)
    exact, turned = (S2Activation("0e+1o", torch.square, 6, random_rot=turn) for turn in (False, True))
    torch.testing.assert_close(torch.compile(turned, fullgraph=True, backend="eager")(x), exact(x), rtol=0, atol=1e-12)


def test_one_grid_serves_both_ways_where_no_resolution_is_given():
    layer = S2Activation("0e+1o", torch.tanh, None, lmax_out=3)
    assert layer.to_s2.grid.shape == layer.from_s2.grid.shape == (8, 7, 3)
    assert layer(torch.randn(2, 4)).shape == (2, 16)


@pytest.mark.parametrize("layer", [S2Activation("0e+1e+2e+3e", torch.tanh, 20), SO3Activation(2, 2, torch.tanh, 6)], ids=repr)
def test_second_moment_stays_1(layer):
    x = torch.randn(2000 if layer.irreps_in.dim == 16 else 200, layer.irreps_in.dim)
    assert 0.75 < float(layer(x).square().mean()) < 1.05  # what degrees above lmax hold is cut off


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: S2Activation("0o+1e", silu, 8), r"neither even nor odd, but values of the signal 1x0o\+1x1e change sign"),
        (lambda: S2Activation("0e+2e", silu, 8), r"one irrep of each degree.*got 1x0e\+1x2e"),
        (lambda: S2Activation("2x0e+1e", silu, 8), r"got 2x0e\+1x1e"),
        (lambda: S2Activation("0e+1o+2o", silu, 8), r"got 1x0e\+1x1o\+1x2o"),
        (lambda: S2Activation("", silu, 8), "got no irreps"),
        (lambda: S2Activation("0e+1o+2e", silu, 4), "at least 6 circles β; the resolution gives 4"),
        (lambda: S2Activation("0e+1o", silu, 8, layout="irmul"), "did you mean 'ir_mul'"),
        (lambda: S2Activation("0e+1o", silu, 8)(torch.ones(5)), "x has 5 components, but a signal up to degree 1 has 4"),
        (lambda: SO3Activation(1, 1, silu, 2, normalization="norm"), "only normalization"),
        (lambda: SO3Activation(1, 1, silu, 2)(torch.ones(5)), r"5 components, but its irreps 1x0e\+3x1e have 10"),
    ],
)
def test_what_does_not_fit_is_said(unchecked, call, message):
    with pytest.raises(ValueError, match=message):
        call()
