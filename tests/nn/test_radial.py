"""Radial bases: values, the limit at zero, and no rounding kept from a cast."""

import math

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from molzoo.nn import radial_basis

R, N = 5.0, 7
NAMES = ["gaussian", "bessel"]


def at(name, *d, dtype=torch.float64):
    return radial_basis(name, N, R)(torch.tensor(d, dtype=dtype))


@pytest.mark.parametrize("name", NAMES)
def test_shape_and_dtype_follow_the_distances(name, dtype):
    e = at(name, 0.0, 1.0, 2.0, dtype=dtype)
    assert e.shape == (3, N)
    assert e.dtype == dtype


def test_gaussians_are_one_at_their_centres_and_overlap_by_one_width(dtype, tolerance):
    e = radial_basis("gaussian", N, R)(torch.linspace(0, R, N, dtype=dtype))
    torch.testing.assert_close(e.diagonal(), torch.ones(N, dtype=dtype), atol=tolerance, rtol=0)
    torch.testing.assert_close(e.diagonal(1), torch.full((N - 1,), math.exp(-0.5), dtype=dtype), atol=tolerance, rtol=0)


def test_bessel_by_hand(dtype, tolerance):
    wanted = torch.tensor([[math.sin(n * math.pi * 1.3 / R) / 1.3 for n in range(1, N + 1)]], dtype=dtype)
    torch.testing.assert_close(at("bessel", 1.3, dtype=dtype), wanted, atol=tolerance, rtol=0)


def test_bessel_at_zero_is_its_limit(dtype):
    limit = torch.arange(1, N + 1, dtype=dtype) * (math.pi / R)
    torch.testing.assert_close(at("bessel", 0.0, dtype=dtype)[0], limit, rtol=1e-6, atol=0)
    torch.testing.assert_close(at("bessel", 1e-6, dtype=dtype)[0], limit, rtol=1e-6, atol=0)


def test_bessel_vanishes_at_the_cutoff():
    assert at("bessel", R).abs().max() < 1e-14


@pytest.mark.parametrize("name", NAMES)
def test_first_and_second_derivatives_at_zero_are_finite(name, dtype):
    d = torch.zeros(1, dtype=dtype, requires_grad=True)
    first = torch.autograd.grad(radial_basis(name, N, R)(d).sum(), d, create_graph=True)[0]
    second = torch.autograd.grad(first.sum(), d)[0]
    assert torch.isfinite(first).all()
    assert torch.isfinite(second).all()


def test_bessel_has_no_slope_at_zero():
    d = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.grad(radial_basis("bessel", N, R)(d).sum(), d)[0].item() == 0.0


@pytest.mark.parametrize("name", NAMES)
def test_derivatives_are_right(name):
    d = torch.linspace(0.2, 5.5, 6, dtype=torch.float64, requires_grad=True)
    assert gradcheck(radial_basis(name, N, R), d)
    assert gradgradcheck(radial_basis(name, N, R), d)


@pytest.mark.parametrize("name", NAMES)
def test_a_cast_forth_and_back_rounds_nothing(name):
    d = torch.linspace(0.1, 5, 50, dtype=torch.float64)
    basis = radial_basis(name, N, R)
    assert torch.equal(basis.float().double()(d), radial_basis(name, N, R)(d))


def test_a_misspelt_name_is_answered_with_the_nearest(unchecked):
    with pytest.raises(ValueError, match="'gaussian'"):
        radial_basis("gausian", N, R)
