"""Shares of rows: each is taken once, by torch's threads or Python's, and an error comes back."""

import copy
import pickle
import threading

import numpy as np
import pytest
import torch

from molzoo.kernels import ConvolutionProgram, Index, Term, contract, threads
from molzoo.kernels.cpu import EdgeRows
from molzoo.kernels.threads import side_by_side
from molzoo.o3 import FullyConnectedTensorProduct


@pytest.fixture(params=["torch's threads", "Python's threads"], autouse=True)
def _threads(request, monkeypatch):
    monkeypatch.setattr(threads, "PARALLEL_FROM", 0)
    if request.param == "Python's threads":
        monkeypatch.setattr(threads, "_fork", lambda process: None)
    elif threads._fork(threads._PROCESS) is None:
        pytest.skip("torch has no such threads here")
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("rows", [0, 1, 2, 5, 100])
def test_each_row_is_taken_once(rows):
    taken = np.zeros(rows, dtype=int)
    side_by_side(rows, 1, lambda first, last: np.add.at(taken, slice(first, last), 1))
    assert (taken == 1).all()


def shares_of(counts):
    """The first rows of shares that are not empty, and the end, of rows with so many edges each."""
    ptr = torch.tensor([0, *counts]).cumsum(0)
    call = EdgeRows([ptr, *[torch.arange(int(ptr[-1]))] * 4]).call
    return list(dict.fromkeys(call[call[0] : call[1] + 1]))


def test_shares_have_as_many_edges_each():
    assert shares_of([1] * 6400) == list(range(0, 6401, 100))
    assert shares_of([630, *[1] * 10]) == [0, 1, 11]
    assert shares_of([0, 0]) == [0, 2]
    assert shares_of([]) == [0]


@pytest.mark.parametrize("edges", [0, 1, 5, 1000])
def test_loops_without_python_lose_no_share(edges):
    program = ConvolutionProgram((2,), 1, (2,), ((Term(0, 0, 0, 2.0),),))
    generator = torch.Generator().manual_seed(0)
    src, dst = (torch.randint(0, 90, (edges,), generator=generator) for _ in range(2))
    index = Index(src, dst.sort()[0], torch.arange(edges), 90, 90, edges)
    x, Y, w = (torch.randn(shape, generator=generator) for shape in ((90, 2), (edges, 1), (edges, 2)))
    whole = torch.zeros(90, 2).index_add(0, dst.sort()[0], 2 * x[src] * Y * w)
    for copied in (index, pickle.loads(pickle.dumps(index)), copy.deepcopy(index)):
        torch.testing.assert_close(contract(program, copied, x, Y, w), whole)


def test_three_threads_meet():
    barrier = threading.Barrier(3, timeout=30)
    seen = set()

    def call(first, last):
        if threading.get_ident() not in seen:
            seen.add(threading.get_ident())
            barrier.wait()

    side_by_side(6, 1, call)
    assert len(seen) == 3


def test_an_error_of_any_thread_comes_back():
    def call(first, last):
        if last == 100:
            raise ValueError("the last share")

    with pytest.raises(ValueError, match="the last share"):
        side_by_side(100, 1, call)


@pytest.mark.parametrize("rows", [1, 2, 4, 300])
def test_gradients_of_weights_lose_no_share(rows):
    product = FullyConnectedTensorProduct("3x0e + 2x1o", "0e + 1o", "3x0e + 2x1o").double()
    x, y = torch.randn(rows, 9, dtype=torch.float64), torch.randn(rows, 4, dtype=torch.float64)
    found = torch.autograd.grad(product(x, y).square().sum(), product.weight)
    whole = torch.autograd.grad(product._by_operations(x, y, product.weight).square().sum(), product.weight)
    torch.testing.assert_close(found, whole, rtol=1e-12, atol=1e-12)
