"""Sums over triplets: loops against one tensor operation after the other, through second order."""

import pytest
import torch

from molzoo.kernels import use_backend
from molzoo.nn import TripletSum

F64 = torch.float64
E, N_PAIRS, T = 6, 4, 11


@pytest.fixture
def line():
    kj, ji = torch.randint(E, (T,)), torch.randint(E, (T,)).sort().values
    return TripletSum(kj, ji, torch.randint(N_PAIRS, (E,)))


def both_steps(line, backend, P, a, x):
    with use_backend(backend):
        return line(x, line.angular(P, a))


@pytest.mark.parametrize("backend", ["fused", "messages"])
def test_it_is_the_sum_that_the_docstring_says(backend, line):
    P, a, x = torch.randn(T, 3, dtype=F64), torch.randn(N_PAIRS, 3, 2, dtype=F64), torch.randn(E, 5, dtype=F64)
    wanted = torch.zeros(E, 2, 5, dtype=F64)
    for t, (kj, ji) in enumerate(zip(line.line.src.tolist(), line.line.dst.tolist(), strict=True)):
        s = P[t] @ a[line.each.w_row[t]]
        wanted[ji] += s[:, None] * x[kj]
    torch.testing.assert_close(both_steps(line, backend, P, a, x), wanted.flatten(1))


@pytest.mark.parametrize("backend", ["fused", "messages"])
def test_derivatives_are_right_through_second_order(backend, line):
    shapes = (T, 2), (N_PAIRS, 2, 2), (E, 2)
    inputs = [torch.randn(shape, dtype=F64, requires_grad=True) for shape in shapes]
    assert torch.autograd.gradcheck(lambda *args: both_steps(line, backend, *args), inputs)
    assert torch.autograd.gradgradcheck(lambda *args: both_steps(line, backend, *args), inputs)


def test_nothing_of_a_triplet_is_wider_than_the_two_small_tensors(line):
    kept = []
    P, a, x = torch.randn(T, 7), torch.randn(N_PAIRS, 7, 8), torch.randn(E, 100)
    leaves = [t.requires_grad_() for t in (P, a, x)]
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.shape) or t, lambda t: t):
        both_steps(line, "fused", *leaves).square().sum()
    assert max(shape[1] for shape in kept if shape[0] == T) == 8
