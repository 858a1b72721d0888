"""Shares of rows: each is taken once, by torch's threads or Python's, and an error comes back."""

import threading

import numpy as np
import pytest
import torch

from molzoo.kernels import cpu
from molzoo.kernels.cpu import side_by_side
from molzoo.o3 import FullyConnectedTensorProduct


@pytest.fixture(params=["torch's threads", "Python's threads"], autouse=True)
def _threads(request, monkeypatch):
    monkeypatch.setattr(cpu, "_PARALLEL_FROM", 0)
    if request.param == "Python's threads":
        monkeypatch.setattr(cpu, "_fork", lambda process: None)
    elif cpu._fork(cpu._PROCESS) is None:
        pytest.skip("torch has no such threads here")
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("rows", [0, 1, 2, 5, 100])
def test_each_row_is_taken_once(rows):
    taken = np.zeros(rows, dtype=int)
    side_by_side(range(rows + 1), 1, lambda first, last: np.add.at(taken, slice(first, last), 1))
    assert (taken == 1).all()


def test_shares_have_as_many_edges_each():
    shares = []
    side_by_side(np.array([0, 60, 60, 61, 62, 63]), 1, lambda first, last: shares.append((first, last)))
    assert sorted(shares) == [(0, 1), (1, 5)]


def test_three_threads_meet():
    barrier = threading.Barrier(3, timeout=30)
    seen = set()

    def call(first, last):
        if threading.get_ident() not in seen:
            seen.add(threading.get_ident())
            barrier.wait()

    side_by_side(range(7), 1, call)
    assert len(seen) == 3


def test_an_error_of_any_thread_comes_back():
    def call(first, last):
        if last == 100:
            raise ValueError("the last share")

    with pytest.raises(ValueError, match="the last share"):
        side_by_side(range(101), 1, call)


@pytest.mark.parametrize("rows", [1, 2, 4, 300])
def test_gradients_of_weights_lose_no_share(rows):
    product = FullyConnectedTensorProduct("3x0e + 2x1o", "0e + 1o", "3x0e + 2x1o").double()
    x, y = torch.randn(rows, 9, dtype=torch.float64), torch.randn(rows, 4, dtype=torch.float64)
    found = torch.autograd.grad(product(x, y).square().sum(), product.weight)
    whole = torch.autograd.grad(product._by_operations(x, y, product.weight).square().sum(), product.weight)
    torch.testing.assert_close(found, whole, rtol=1e-12, atol=1e-12)
