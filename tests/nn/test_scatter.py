"""Sums and means over rows that share an index."""

import shutil

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from molzoo.nn import mean_rows, sum_rows

INDEX = torch.tensor([0, 0, 2, 4, 4, 4])


def by_loop(rows, index, n):
    out = torch.zeros(n, *rows.shape[1:], dtype=rows.dtype)
    for row, k in zip(rows, index.tolist(), strict=True):
        out[k] = out[k] + row
    return out


@pytest.mark.parametrize("shape", [(), (3,), (3, 2)])
def test_sum_equals_a_loop_bit_for_bit(shape, dtype):
    rows = torch.randn(6, *shape, dtype=dtype)
    assert torch.equal(sum_rows(rows, INDEX, 5), by_loop(rows, INDEX, 5))


@pytest.mark.parametrize("shape", [(), (3,)])
def test_mean_is_the_sum_over_the_count_and_zero_where_there_is_none(shape, dtype):
    rows = torch.randn(6, *shape, dtype=dtype)
    count = torch.tensor([2, 1, 1, 1, 3], dtype=dtype).view(-1, *[1] * len(shape))
    torch.testing.assert_close(mean_rows(rows, INDEX, 5), by_loop(rows, INDEX, 5) / count)
    assert (mean_rows(rows, INDEX, 5)[[1, 3]] == 0).all()


@pytest.mark.parametrize("shape", [(), (3,)])
def test_one_sum_of_all_rows(shape, dtype):
    rows = torch.randn(21, *shape, dtype=dtype, requires_grad=True)
    found, index = sum_rows(rows, torch.zeros(21, dtype=torch.long), 1), torch.tensor([0] * 20 + [1])
    torch.testing.assert_close(found[0], rows.sum(0))
    assert not sum_rows(rows[:0], index[:0], 1).any()
    assert torch.autograd.grad(found.sum(), rows)[0].equal(torch.ones_like(rows))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.skipif(not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="Inductor needs a C++ compiler")
def test_inductor_compiles_sums_over_one_structure():
    rows, index = torch.randn(21, dtype=torch.float64), torch.zeros(21, dtype=torch.long)
    torch.testing.assert_close(torch.compile(sum_rows, fullgraph=True)(rows, index, 1), rows.sum(0, keepdim=True))


def test_the_last_rows_may_be_empty():
    assert sum_rows(torch.ones(6, 2), INDEX, 9).shape == (9, 2)


def test_no_rows_give_zeros():
    assert torch.equal(sum_rows(torch.ones(0, 2), INDEX[:0], 3), torch.zeros(3, 2))


@pytest.mark.parametrize("function", [sum_rows, mean_rows])
def test_differentiates_twice(function):
    rows = torch.randn(6, 2, dtype=torch.float64, requires_grad=True)

    def smooth(x):  # a sum alone has no second derivative to be wrong about
        return function(x.sin(), INDEX, 5).square()

    assert gradcheck(smooth, rows)
    assert gradgradcheck(smooth, rows)


def test_two_runs_are_bit_identical(dtype):
    rows, index = torch.randn(20000, 4, dtype=dtype), torch.randint(10, (20000,))
    assert torch.equal(sum_rows(rows, index, 10), sum_rows(rows, index, 10))


def test_torch_scatter_equals_native_through_second_order(dtype, tolerance):
    pytest.importorskip("torch_scatter", exc_type=ImportError)
    rows = torch.randn(6, 3, dtype=dtype, requires_grad=True)
    found = {}
    for backend in ("native", "torch_scatter"):
        first = torch.autograd.grad(sum_rows(rows.sin(), INDEX, 5, backend).square().sum(), rows, create_graph=True)[0]
        second = torch.autograd.grad(first.square().sum(), rows)[0]
        found[backend] = sum_rows(rows, INDEX, 5, backend), first, second
    torch.testing.assert_close(found["torch_scatter"], found["native"], atol=tolerance, rtol=tolerance)
