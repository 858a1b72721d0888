"""What a program says of itself."""

import pytest
import torch

from molzoo.kernels import ConvolutionProgram, Index, Term, contract, use_backend

PATHS = ((Term(0, 0, 0, 1.0), Term(0, 1, 1, -0.5), Term(1, 0, 1, 0.25)), (Term(2, 1, 2, 1 / 3),))
RAGGED = ConvolutionProgram((4, 4, 2), 2, (4, 4, 2), PATHS)


def test_is_printed_as_a_table():
    head, columns, *lines = str(RAGGED).splitlines()
    assert head == "3 rows ⊗ 2 harmonics → 3 rows, 2 paths, 4 coefficients"
    assert columns.split() == ["path", "channels", "weights", "x", "Y", "out", "coefficient"]
    assert [line.split() for line in lines] == [
        ["0", "4", "4", "0", "0", "0", "1"],
        ["0", "4", "4", "0", "1", "1", "-0.5"],
        ["0", "4", "4", "1", "0", "1", "0.25"],
        ["1", "2", "2", "2", "1", "2", "0.333333"],
    ]
    assert len({len(line) for line in (columns, *lines)}) == 1  # columns stand below each other


def test_counts_what_a_hand_counts():
    # Path 0: 3 coefficients times Y (one addition each to begin with), 3 products (m, k) of 4 channels, rows 0, 1 → 0, 1.
    # out = Σ a · (w x): 2 rows of x weighted. Path 1: 1 coefficient, 1 product of 2 channels.
    assert RAGGED.flops("g") == (2 * 3 + 4 * (2 * 3 + 2)) + (2 * 1 + 2 * (2 * 1 + 1))
    assert RAGGED.flops("w") == (2 * 3 + 4 * (2 * 3 + 2 * 2)) + (2 * 1 + 2 * (2 * 1 + 2))
    # Weights of one channel are multiplied into the 3 and 1 numbers a of an edge.
    one = ConvolutionProgram((4, 4, 2), 2, (4, 4, 2), PATHS, scalar_weights=True)
    assert one.flops("g") == (2 * 3 + 4 * 2 * 3 + 3) + (2 * 1 + 2 * 2 * 1 + 1)
    # x: 5 senders of 10 numbers, Y: 7 edges of 2, w: 3 rows of 6 (or 2), g: 6 receivers of 10; src, dst, w_row of 7 edges.
    assert RAGGED.n_bytes("g", 7, 5, 6, 3) == 4 * (50 + 14 + 18 + 60) + 8 * 3 * 7
    assert one.n_bytes("x", 7, 5, 6, 3, itemsize=8) == 8 * (50 + 14 + 6 + 60) + 8 * 4 * 7


def test_a_weight_of_one_channel_is_that_of_every_channel():
    one = ConvolutionProgram((4, 4, 2), 2, (4, 4, 2), PATHS, scalar_weights=True)
    edges = Index(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), torch.tensor([1, 0, 1]), 2, 2, 2)
    x, Y, w = torch.randn(2, 10), torch.randn(3, 2), torch.randn(2, 2, requires_grad=True)
    every = w[:, [0, 0, 0, 0, 1, 1]]
    torch.testing.assert_close(contract(one, edges, x, Y, w), contract(RAGGED, edges, x, Y, every))
    gradients = [
        torch.autograd.grad(contract(*way).pow(2).sum(), w) for way in ((one, edges, x, Y, w), (RAGGED, edges, x, Y, every))
    ]
    torch.testing.assert_close(*gradients)


def test_a_window_of_rows_is_those_rows_side_by_side():
    window = ConvolutionProgram((4, 2), 1, (4, 2), ((Term(0, 0, 0, 1.0), Term(2, 0, 0, 0.5)), (Term(3, 0, 1, 2.0),)), window=2)
    beside = ConvolutionProgram((4, 2, 4, 2), 1, (4, 2), window.paths)
    src, dst = torch.tensor([2, 0, 1]), torch.tensor([0, 0, 1])
    x, Y, w = torch.randn(4, 6, requires_grad=True), torch.randn(3, 1), torch.randn(3, 6)
    ways = [
        contract(window, Index(src, dst, src, 4, 2, 3), x, Y, w),
        contract(beside, Index(src, dst, src, 3, 2, 3), torch.cat([x[:-1], x[1:]], 1), Y, w),
    ]
    torch.testing.assert_close(*ways)
    torch.testing.assert_close(*(torch.autograd.grad(way.pow(3).sum(), x) for way in ways))
    with pytest.raises(ValueError, match="src names row 2, from which 2 rows of x are read, but there are 3 rows"):
        contract(window, Index(src, dst, src, 3, 2, 3), x[:3], Y, w)


def test_windows_are_transformed_and_looked_at():
    window = ConvolutionProgram((2,), 1, (2,), ((Term(0, 0, 0, 1.0), Term(1, 0, 0, 0.5)),), window=2)
    src, dst = torch.tensor([1, 0]), torch.tensor([0, 1])
    x, Y, w = (torch.randn(*shape, dtype=torch.float64) for shape in ((3, 2), (2, 1), (2, 2)))
    found = []
    for backend in ("fused", "messages"):
        with use_backend(backend):
            cubes = lambda x: contract(window, Index(src, dst, src, 3, 2, 2), x, Y, w).pow(3).sum()  # noqa: E731
            many = torch.func.vmap(torch.func.grad(cubes))(torch.stack([x, 2 * x]))
            found.append((torch.func.hessian(cubes)(x), many))
    torch.testing.assert_close(*found)
    outside = lambda x: contract(window, Index(src + 1, dst, src, 3, 2, 2), x, Y, w).sum()  # noqa: E731
    with use_backend("fused"), pytest.raises(ValueError, match="src names row 2"):
        torch.func.grad(outside)(x)


def test_refuses_paths_between_rows_of_different_channels():
    with pytest.raises(ValueError, match=r"path 0 joins rows of different numbers of channels \(\[2, 4\]\)"):
        ConvolutionProgram((4,), 1, (2,), ((Term(0, 0, 0, 1.0),),))
