"""Activations against torch's, through third derivatives and torch's transformations."""

import math

import pytest
import torch
import torch.nn.functional as F

from molzoo.nn import ShiftedSoftplus, SiLU

X = torch.tensor([-30.0, -1.3, -1e-9, 0.0, 0.7, 4.0, 200.0], dtype=torch.float64)

pytestmark = pytest.mark.parametrize(
    ("ours", "torchs"), [(SiLU(), F.silu), (ShiftedSoftplus(), lambda x: F.softplus(x) - math.log(2))], ids=["silu", "softplus"]
)


def towers(f, order):
    x = X.clone().requires_grad_()
    value, rows = f(x), []
    for k in range(1, order + 1):
        value = torch.autograd.grad(value.pow(2).sum() / k, x, create_graph=True)[0]
        rows.append(value.detach())
    return torch.stack(rows)


def test_value_and_three_derivatives_are_torchs(ours, torchs):
    assert torch.equal(ours(X), torchs(X))
    torch.testing.assert_close(towers(ours, 3), towers(torchs, 3), rtol=1e-12, atol=1e-12)


def test_derivatives_are_finite_differences(ours, torchs):
    x = X[1:6].clone().requires_grad_()
    assert torch.autograd.gradcheck(ours, x)
    assert torch.autograd.gradgradcheck(ours, x)


def test_forward_derivatives_and_vmap(ours, torchs):
    hessian = torch.func.vmap(torch.func.hessian(ours))(X)
    wanted = torch.func.vmap(torch.func.hessian(torchs))(X)
    torch.testing.assert_close(hessian, wanted, rtol=1e-12, atol=1e-12)


def test_a_derivative_keeps_two_tensors(ours, torchs):
    kept = []
    x = torch.randn(1000, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        y = ours(x)
        torch.autograd.grad(y, x, torch.ones(1000, requires_grad=True), create_graph=True)
    assert len(kept) == 3  # x, and once more with g
