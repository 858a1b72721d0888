"""Envelopes: values, and what vanishes at the cutoff and beyond it."""

import math

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from molzoo.nn import Envelope

R = 5.0
NAMES = ["cosine", "polynomial"]


def derivatives(name, d, order):
    """f, f′, … at d in float64."""
    d = torch.tensor([d], dtype=torch.float64, requires_grad=True)
    values = [Envelope(name, R)(d)]
    for _ in range(order):
        values.append(torch.autograd.grad(values[-1].sum(), d, create_graph=True)[0])
    return [float(v.detach()) for v in values]


@pytest.mark.parametrize("name", NAMES)
def test_is_one_and_flat_at_zero(name, dtype):
    d = torch.zeros(1, dtype=dtype, requires_grad=True)
    f = Envelope(name, R)(d)
    assert f.dtype == dtype
    assert f.item() == 1.0
    assert torch.autograd.grad(f.sum(), d)[0].item() == 0.0


def test_cosine_at_a_third():
    assert derivatives("cosine", R / 3, 0)[0] == pytest.approx(0.75, abs=1e-15)


def test_polynomial_by_hand():
    x, p = 0.7, 6
    by_hand = 1 - (p + 1) * (p + 2) / 2 * x**p + p * (p + 2) * x ** (p + 1) - p * (p + 1) / 2 * x ** (p + 2)
    assert derivatives("polynomial", x * R, 0)[0] == pytest.approx(by_hand, abs=1e-14)


@pytest.mark.parametrize("name", NAMES)
def test_value_and_slope_vanish_at_the_cutoff(name):
    assert derivatives(name, R, 1) == pytest.approx([0, 0], abs=1e-14)


def test_polynomial_curvature_vanishes_at_the_cutoff():
    assert derivatives("polynomial", R * (1 - 1e-9), 2)[2] == pytest.approx(0, abs=1e-6)


def test_cosine_curvature_does_not():
    assert derivatives("cosine", R * (1 - 1e-9), 2)[2] == pytest.approx(math.pi**2 / 2 / R**2, rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("d", [R, 1.0000001 * R, 1.5 * R, 2 * R, 1e6])
def test_is_exactly_zero_from_the_cutoff_on(name, d, dtype):
    assert Envelope(name, R)(torch.tensor([d], dtype=dtype)).item() == 0.0


@pytest.mark.parametrize("name", NAMES)
def test_has_no_derivatives_beyond_the_cutoff(name):
    assert derivatives(name, 1.5 * R, 2) == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("name", NAMES)
def test_falls_monotonically(name, dtype):
    f = Envelope(name, R)(torch.linspace(0, R, 1000, dtype=dtype))
    assert (f.diff() <= 4 * torch.finfo(dtype).eps).all()


@pytest.mark.parametrize("name", NAMES)
def test_derivatives_are_right(name):
    d = torch.linspace(0.3, 4.9, 7, dtype=torch.float64, requires_grad=True)
    assert gradcheck(Envelope(name, R), d)
    assert gradgradcheck(Envelope(name, R), d)


def test_a_misspelt_name_is_answered_with_the_nearest(unchecked):
    with pytest.raises(ValueError, match="'cosine'"):
        Envelope("cosin", R)
