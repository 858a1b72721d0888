"""Dense layers and their activation."""

import math

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck

from molzoo.nn import ShiftedSoftplus, dense, mlp


def test_shifted_softplus_is_zero_at_zero(dtype, tolerance):
    assert ShiftedSoftplus()(torch.zeros(1, dtype=dtype)).item() == pytest.approx(0, abs=tolerance)


def test_shifted_softplus_by_hand(dtype, tolerance):
    x = torch.tensor([-3.0, 0.5, 2.0], dtype=dtype)
    wanted = torch.tensor([math.log(0.5 * math.exp(v) + 0.5) for v in x.tolist()], dtype=dtype)
    torch.testing.assert_close(ShiftedSoftplus()(x), wanted, atol=tolerance, rtol=0)


def test_shifted_softplus_does_not_overflow(dtype):
    assert ShiftedSoftplus()(torch.tensor([1e4], dtype=dtype)).item() == pytest.approx(1e4 - math.log(2), rel=1e-6)


def test_shifted_softplus_derivatives_are_right():
    x = torch.linspace(-3, 3, 5, dtype=torch.float64, requires_grad=True)
    assert gradcheck(ShiftedSoftplus(), x)
    assert gradgradcheck(ShiftedSoftplus(), x)


def test_dense_starts_glorot_uniform_with_zero_bias():
    layer = dense(300, 100)
    bound = math.sqrt(6 / 400)
    assert 0.99 * bound < layer.weight.abs().max() <= bound
    assert layer.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.02)
    assert (layer.bias == 0).all()


def test_dense_without_bias_has_none():
    assert dense(3, 2, bias=False).bias is None


def test_mlp_activates_between_layers_and_not_after_the_last():
    linear = [isinstance(layer, nn.Linear) for layer in mlp(4, 8, 8, 2, activation=nn.SiLU())]
    assert linear == [True, False, True, False, True]


def test_mlp_has_the_widths_it_was_given():
    assert [tuple(p.shape) for p in mlp(4, 8, 2, activation=nn.SiLU()).parameters()] == [(8, 4), (8,), (2, 8), (2,)]
