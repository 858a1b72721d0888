"""e3nn's radial bases: its numbers, and derivatives that exist everywhere."""

import math

import e3nn.math
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck

from molzoo.nn.soft_one_hot import bessel, soft_one_hot_linspace, soft_unit_step

SMOOTH = ["gaussian", "smooth_finite", "fourier", "bessel"]
START, END, NUMBER = -0.5, 1.5, 5
KINDS = [(basis, cutoff) for basis in ["cosine", *SMOOTH] for cutoff in (True, False)]
every_kind = pytest.mark.parametrize(("basis", "cutoff"), KINDS)


def ours(x, basis, cutoff):
    return soft_one_hot_linspace(x, START, END, NUMBER, basis, cutoff)


def edges_and_around(cutoff: bool, dtype=torch.float64) -> torch.Tensor:
    """Both ends, all centres, and places next to them, inside and outside."""
    at = torch.linspace(START, END, NUMBER + 2 if cutoff else NUMBER, dtype=dtype)
    steps = torch.tensor([0.0, 1e-30, 1e-12, 1e-6, 1e-3, 0.1], dtype=dtype)
    return torch.cat([at[:, None] + steps, at[:, None] - steps, START - 1 - steps[None]]).flatten()


@pytest.fixture
def _double():
    # e3nn computes its constant e² in the default precision.
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def derivatives(f, x, order: int):
    """f(x) and its derivatives, each weighted differently for each function of the basis."""
    out = [f(x := x.clone().requires_grad_())]
    y = out[0] @ torch.arange(1.0, out[0].shape[-1] + 1, dtype=x.dtype)
    for _ in range(order):
        y = torch.autograd.grad(y.sum(), x, create_graph=True)[0]
        out.append(y)
    return out


@every_kind
@pytest.mark.usefixtures("_double")
def test_values_and_two_derivatives_equal_e3nn(basis, cutoff):
    x = torch.randn(300)
    x = x[(x - START).abs() > 0.05]  # nearer to it, e3nn's derivatives of sin(x)/x lose digits
    a = derivatives(lambda x: ours(x, basis, cutoff), x, 2)
    b = derivatives(lambda x: e3nn.math.soft_one_hot_linspace(x, START, END, NUMBER, basis, cutoff), x, 2)
    for mine, theirs, scale in zip(a, b, (1, 10, 1000), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12 * scale)


@every_kind
@settings(max_examples=8, deadline=None)
@given(
    start=st.floats(-3, 3),
    width=st.floats(0.1, 10),
    number=st.integers(2, 12),
    shape=st.lists(st.integers(0, 3), max_size=3),
)
def test_any_interval_number_and_shape_equal_e3nn(basis, cutoff, start, width, number, shape):
    x = start + width * (2 * torch.rand(shape, dtype=torch.float64) - 0.5)
    torch.set_default_dtype(torch.float64)
    theirs = e3nn.math.soft_one_hot_linspace(x, start, start + width, number, basis, cutoff)
    torch.set_default_dtype(torch.float32)
    mine = soft_one_hot_linspace(x, start, start + width, number, basis, cutoff)
    assert mine.shape == (*shape, number)
    torch.testing.assert_close(mine, theirs, rtol=1e-11, atol=1e-12)


@every_kind
def test_derivatives_are_finite_everywhere(basis, cutoff, dtype):
    for y in derivatives(lambda x: ours(x, basis, cutoff), edges_and_around(cutoff, dtype), 3):
        assert y.isfinite().all()


@pytest.mark.parametrize(("basis", "cutoff"), [kind for kind in KINDS if kind[0] in SMOOTH])
def test_derivatives_are_right(basis, cutoff):
    x = torch.linspace(START + 0.013, END - 0.013, 7, dtype=torch.float64, requires_grad=True)
    assert gradcheck(ours, (x, basis, cutoff))
    assert gradgradcheck(ours, (x, basis, cutoff))


@every_kind
def test_precisions_agree_and_are_kept(basis, cutoff):
    x = torch.linspace(START - 0.4, END + 0.4, 50)
    single = ours(x, basis, cutoff)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), ours(x.double(), basis, cutoff), rtol=0, atol=3e-5)


@every_kind
@pytest.mark.usefixtures("unchecked")
def test_one_graph_and_transforms(basis, cutoff):
    torch._dynamo.reset()
    compiled = torch.compile(lambda x: ours(x, basis, cutoff), fullgraph=True, dynamic=True, backend="eager")
    x = torch.linspace(START - 0.4, END + 0.4, 9, dtype=torch.float64)
    for rows in (9, 4, 6):
        torch.testing.assert_close(compiled(x[:rows]), ours(x[:rows], basis, cutoff))
    f = lambda x: ours(x, basis, cutoff)  # noqa: E731
    torch.testing.assert_close(torch.func.vmap(f)(x), f(x))
    slopes = torch.func.vmap(torch.func.jacrev(f))(x)
    torch.testing.assert_close(slopes, torch.func.vmap(torch.func.jacfwd(f))(x))
    torch.testing.assert_close(torch.func.grad(lambda x: f(x).sum())(x), slopes.sum(-1))


@pytest.mark.parametrize("basis", ["cosine", "smooth_finite", "fourier", "bessel"])
def test_a_cutoff_leaves_nothing_outside(basis):
    outside = torch.tensor([-9.0, START, END, 9.0], dtype=torch.float64)
    assert (ours(outside, basis, cutoff=True) == 0).all()


@pytest.mark.parametrize("basis", ["gaussian", "cosine", "smooth_finite", "fourier"])
@pytest.mark.parametrize("cutoff", [True, False])
def test_squares_add_up_to_one_on_average(basis, cutoff):
    inside = torch.linspace(0, 1, 10_001, dtype=torch.float64)[1000:-1000]
    sums = soft_one_hot_linspace(inside, 0.0, 1.0, 20, basis, cutoff).square().sum(-1)
    assert sums.mean().item() == pytest.approx(1, abs=0.04)


@pytest.mark.usefixtures("_double")
def test_soft_unit_step_equals_e3nn():
    x = torch.cat([torch.linspace(-1, 5, 60), torch.tensor([0.0, 1e-4, 1e-3, 1.1e-3, 2e-3])])
    a, b = (derivatives(lambda x, f=f: f(x)[..., None], x, 2) for f in (soft_unit_step, e3nn.math.soft_unit_step))
    for mine, theirs in zip(a, b, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)


def test_soft_unit_step_has_all_derivatives_even_next_to_zero(dtype):
    x = torch.tensor([0.0, 1e-38, 1e-30, 1e-20, 1e-10, 1e-3, 2e-3], dtype=dtype)
    for y in derivatives(lambda x: soft_unit_step(x)[..., None], x, 4):
        assert (y[:-1] == 0).all()
        assert y.isfinite().all()


@pytest.mark.usefixtures("_double")
@pytest.mark.parametrize("x_max", [1.0, 4.7])
def test_bessel_equals_e3nn(x_max):
    x = torch.cat([x_max * torch.rand(50), torch.tensor([0.0, x_max, 1e-8, 1e-3])])
    a, b = (derivatives(lambda x, f=f: f(x, 6, x_max), x, 2) for f in (bessel, e3nn.math.bessel))
    torch.testing.assert_close(a[0], b[0], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(a[1][:51], b[1][:51], rtol=1e-11, atol=1e-9)


def test_bessel_is_orthonormal():
    nodes, weights = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(60))
    x, w = (nodes + 1) * 1.5, weights * 1.5
    y = bessel(x, 6, 3.0)
    torch.testing.assert_close(torch.einsum("r,rj,rk->jk", w * x**2, y, y), torch.eye(6, dtype=x.dtype), rtol=0, atol=1e-12)


@pytest.mark.parametrize("x", [0.0, 1e-9, 1e-5, 0.011])
def test_bessel_near_zero_is_its_series_with_all_derivatives(x):
    value, slope, curvature = derivatives(lambda x: bessel(x, 1, 1.0), torch.tensor([x], dtype=torch.float64), 2)
    norm, p = math.sqrt(2), math.pi
    assert value.item() == pytest.approx(norm * (p - p**3 * x**2 / 6 + p**5 * x**4 / 120), rel=1e-9)
    assert slope.item() == pytest.approx(norm * (-(p**3) * x / 3 + p**5 * x**3 / 30), rel=1e-6)
    assert curvature.item() == pytest.approx(norm * (-(p**3) / 3 + p**5 * x**2 / 10), rel=1e-6)


@pytest.mark.usefixtures("unchecked")
def test_wrong_arguments_are_answered():
    x = torch.zeros(2)
    with pytest.raises(ValueError, match="cutoff is True or False"):
        soft_one_hot_linspace(x, 0.0, 1.0, 3, "gaussian")
    with pytest.raises(ValueError, match="did you mean 'smooth_finite'"):
        soft_one_hot_linspace(x, 0.0, 1.0, 3, "smoothfinite", cutoff=True)
    with pytest.raises(ValueError, match="there is no basis None"):
        soft_one_hot_linspace(x, 0.0, 1.0, 3, cutoff=True)
    with pytest.raises(ValueError, match="no spacing"):
        soft_one_hot_linspace(x, 0.0, 1.0, 1, "gaussian", cutoff=False)
    with pytest.raises(ValueError, match="no spacing"):
        soft_one_hot_linspace(x, 1.0, 1.0, 3, "gaussian", cutoff=True)
