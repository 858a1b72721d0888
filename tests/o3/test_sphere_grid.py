"""Grids of the sphere and of the rotations: e3nn's numbers, and what the quadrature promises."""

import e3nn.o3
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from o3_laws import LAWS, Case
from torch import nn

from molzoo import o3
from molzoo.o3.rotation_grid import SO3Grid
from molzoo.o3.sphere_grid import (
    FromS2Grid,
    ToS2Grid,
    grid_resolution,
    irfft,
    quadrature_weights,
    rfft,
    s2_grid,
    spherical_harmonics_s2_grid,
)

SIGNAL = "0e + 1o + 2e + 3o"
CASES = [
    Case("sphere", lambda: nn.Sequential(ToS2Grid(3), FromS2Grid(lmax=3)), [SIGNAL], SIGNAL),
    Case("finer", lambda: nn.Sequential(ToS2Grid(3, 20, "norm"), FromS2Grid(20, 3, "norm")), [SIGNAL], SIGNAL),
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


def close(a, b, tolerance=1e-12):
    """Equal up to a share of the largest number."""
    torch.testing.assert_close(a, b, rtol=0, atol=tolerance * max(1.0, float(b.detach().abs().max())))


def same(ours, theirs, *names):
    for name in names:
        close(getattr(ours, name), getattr(theirs, name))


def same_function(ours, theirs, x):
    """Values, and first and second derivatives of something that is not linear in them."""
    x = x.clone().requires_grad_()
    outs = ours(x), theirs(x)
    first = [torch.autograd.grad(out.sin().sum(), x, create_graph=True)[0] for out in outs]
    second = [torch.autograd.grad(g.square().sum(), x)[0] for g in first]
    for one, other in (outs, first, second):
        close(one, other)


circles = st.integers(1, 6).map(lambda n: 2 * n)
resolutions = st.none() | circles | st.tuples(st.none() | circles, st.integers(1, 13))


@pytest.mark.usefixtures("_double")
@settings(max_examples=25, deadline=None)
@given(st.none() | st.integers(0, 5), resolutions, st.sampled_from(["component", "norm", "integral"]))
def test_sphere_equals_e3nn(lmax, res, normalization):
    assume(lmax is not None or res is not None)
    try:
        theirs = e3nn.o3.ToS2Grid(lmax, res, normalization), e3nn.o3.FromS2Grid(res, lmax, normalization, 2)
    except AssertionError:
        with pytest.raises(ValueError, match="circles"):
            ToS2Grid(lmax, res, normalization)
        return
    ours = ToS2Grid(lmax, res, normalization), FromS2Grid(res, lmax, normalization, 2)
    for a, b in zip(ours, theirs, strict=True):
        same(a, b, "alphas", "betas", "sha", "shb", "grid")
        assert (a.lmax, a.res_beta, a.res_alpha) == (b.lmax, b.res_beta, b.res_alpha)
        assert repr(a) == repr(b)
    x = torch.randn(2, 1, (ours[0].lmax + 1) ** 2)
    y = torch.randn(2, 1, ours[0].res_beta, ours[0].res_alpha)
    for a, b, z in zip(ours, theirs, (x, y), strict=True):
        same_function(a, b, z)


@pytest.mark.usefixtures("_double")
def test_factors_for_each_degree_equal_e3nn():
    factors = torch.rand(4)
    x, y = torch.randn(3, 16), torch.randn(3, 8, 7)
    close(ToS2Grid(3, 8, factors)(x), e3nn.o3.ToS2Grid(3, 8, factors)(x))
    close(FromS2Grid(8, 3, factors)(y), e3nn.o3.FromS2Grid(8, 3, factors)(y))
    to, back = ToS2Grid(3, 8, factors), FromS2Grid(8, 3, 4 * torch.pi / factors)
    close(back(to(x)), x)


@pytest.mark.usefixtures("_double")
@pytest.mark.parametrize("lmax", [0, 1, 4, 9])
def test_factors_of_the_harmonics_equal_e3nn(lmax):
    ours, theirs = (f(lmax, 20, 21) for f in (spherical_harmonics_s2_grid, e3nn.o3.spherical_harmonics_s2_grid))
    for one, other in zip(ours, theirs, strict=True):
        close(one, other)


@pytest.mark.usefixtures("_double")
@pytest.mark.parametrize("lmax", [0, 1, 5])
@pytest.mark.parametrize("res", [11, 12, 25])
def test_fourier_transforms_equal_e3nn_and_the_product_with_the_waves(lmax, res):
    waves = spherical_harmonics_s2_grid(lmax, 2, res)[3]
    x = torch.randn(2, 3, res)
    same_function(lambda x: rfft(x, lmax), lambda x: e3nn.o3.rfft(x, lmax), x)
    close(rfft(x, lmax), x @ waves)
    if res % 2:
        y = torch.randn(2 * lmax + 1)
        same_function(lambda y: irfft(y, res), lambda y: e3nn.o3.irfft(y, res), y)
        close(irfft(y, res), waves @ y)


@pytest.mark.parametrize("n", [2, 8, 30])
def test_quadrature_is_exact_below_the_number_of_circles(n):
    betas, _ = s2_grid(n, 1, torch.float64)
    for degree in range(n):
        mean = quadrature_weights(betas) @ betas.cos() ** degree
        assert float(mean) == pytest.approx((1 + (-1) ** degree) / 2 / (degree + 1), abs=1e-14)


@pytest.mark.parametrize("normalization", ["component", "norm"])
def test_random_coefficients_make_a_signal_of_variance_1(normalization):
    x = torch.randn(4000, 25)
    if normalization == "norm":
        x = x / torch.cat([torch.full((2 * l + 1,), (2 * l + 1) ** 0.5) for l in range(5)])
    assert float(ToS2Grid(4, 10, normalization)(x).var()) == pytest.approx(1, abs=0.02)


def test_degrees_that_the_way_back_leaves_out_do_not_disturb():
    x = torch.randn(5, 36, dtype=torch.float64)
    to, back = ToS2Grid(5, 12), FromS2Grid(12, 2, lmax_in=5)
    close(back(to(x)), x[:, :9])


def test_dtype_is_that_of_the_table_and_of_the_input():
    to = ToS2Grid(2, dtype=torch.float64)
    assert to.grid.dtype == to.shb.dtype == torch.float64
    assert to(torch.randn(9)).dtype == torch.float32
    assert to.float().alphas.dtype == torch.float32
    close(to.double().shb, ToS2Grid(2, dtype=torch.float64).shb, 0)


@pytest.mark.usefixtures("_double")
@pytest.mark.parametrize(("lmax", "resolution", "aspect_ratio"), [(0, 1, 2), (1, 2, 1.3), (2, 3, 2), (3, 2, 1)])
def test_rotations_equal_e3nn(lmax, resolution, aspect_ratio):
    ours, theirs = (module(lmax, resolution, aspect_ratio=aspect_ratio) for module in (SO3Grid, e3nn.o3.SO3Grid))
    same(ours, theirs, "D", "qw", "alpha", "beta", "gamma")
    x = torch.randn(2, 1, ours.irreps.dim)
    y = torch.randn(2, 1, ours.res_alpha, ours.res_beta, ours.res_gamma)
    same_function(ours.to_grid, theirs.to_grid, x)
    same_function(ours.from_grid, theirs.from_grid, y)


def test_rotations_there_and_back_in_both_layouts():
    one, other = SO3Grid(3, 4), SO3Grid(3, 4, layout="ir_mul")
    x = torch.randn(5, one.irreps.dim, dtype=torch.float64)
    swapped = o3.join(o3.split(x, one.irreps, "mul_ir"), "ir_mul", like=x)
    close(one.from_grid(one.to_grid(x)), x)
    close(other.to_grid(swapped), one.to_grid(x))
    close(other.from_grid(one.to_grid(x)), swapped)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: grid_resolution(None, None), "neither is given"),
        (lambda: ToS2Grid(2, 7), "degree 2 needs an even number of at least 6 circles β; the resolution gives 7"),
        (lambda: FromS2Grid((6, 9), 3), "at least 8 circles β; the resolution gives 6"),
        (lambda: ToS2Grid(2, normalization="cosine"), "or a factor for each degree; got 'cosine'"),
        (lambda: ToS2Grid(2, normalization=torch.ones(2)), r"shape \(2,\), but must hold one factor for each of 3 degrees"),
        (lambda: ToS2Grid(2)(torch.ones(4)), "x has 4 components, but a signal up to degree 2 has 9"),
        (lambda: FromS2Grid(6)(torch.ones(6, 7)), r"x has the grid \(6, 7\), but this is for \(6, 5\)"),
        (lambda: rfft(torch.ones(4), 3), "4 points on a circle do not tell waves up to m = 3 apart; take at least 7"),
        (lambda: irfft(torch.ones(3), 6), "a circle of 6 points cannot hold 3 waves"),
        (lambda: irfft(torch.ones(5), 3), "a circle of 3 points cannot hold 5 waves"),
        (lambda: SO3Grid(1, 2, normalization="norm"), "only normalization .* is 'component'; got 'norm'"),
        (lambda: SO3Grid(1, 2).to_grid(torch.ones(4)), r"4 components, but its irreps 1x0e\+3x1e have 10"),
        (lambda: SO3Grid(1, 2).from_grid(torch.ones(4)), r"the grid \(4,\), but this is for \(8, 4, 8\)"),
    ],
)
def test_what_does_not_fit_is_said(unchecked, call, message):
    with pytest.raises(ValueError, match=message):
        call()
