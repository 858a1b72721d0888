"""Rows of several kinds, each kind with a matrix of its own: the products one by one, and their derivatives."""

import pytest
import torch

from molzoo.kernels import grouped_matmul, groups_of

F64 = torch.float64
KINDS = {"mixed": [3, 0, 0, 7, 3, 0], "one kind": [2, 2, 2], "one row": [5], "no rows": []}


def make(kinds, m=3, C=4, D=2):
    groups = groups_of(torch.tensor(kinds, dtype=torch.long))
    generator = torch.Generator().manual_seed(0)
    x, W = (torch.randn(*shape, generator=generator, dtype=F64) for shape in ((len(kinds), m, C), (len(groups.kinds), C, D)))
    return x.requires_grad_(), W.requires_grad_(), groups


@pytest.mark.parametrize("kinds", KINDS.values(), ids=KINDS)
def test_each_row_meets_the_matrix_of_its_kind(kinds):
    x, W, groups = make(kinds)
    y = grouped_matmul(x, W, groups)
    assert y.shape == (len(kinds), 3, 2)
    number = {kind: k for k, kind in enumerate(sorted(set(kinds)))}
    assert groups.kinds.tolist() == sorted(set(kinds))
    for n, kind in enumerate(kinds):
        torch.testing.assert_close(y[n], x[n] @ W[number[kind]], rtol=1e-14, atol=1e-14)


def test_derivatives():
    x, W, groups = make(KINDS["mixed"])
    assert torch.autograd.gradcheck(lambda x, W: grouped_matmul(x, W, groups), (x, W))
    assert torch.autograd.gradgradcheck(lambda x, W: grouped_matmul(x, W, groups), (x, W))


def test_third_derivatives_are_those_of_one_product_for_each_row():
    x, W, groups = make(KINDS["mixed"])
    row = torch.tensor([1, 0, 0, 2, 1, 0])

    def third(product):
        y = product(x, W).sin()
        first = torch.autograd.grad(y.sum(), (x, W), create_graph=True)
        second = torch.autograd.grad(sum(t.square().sum() for t in first), (x, W), create_graph=True)
        return torch.autograd.grad(sum(t.square().sum() for t in second), (x, W))

    for ours, plain in zip(third(lambda x, W: grouped_matmul(x, W, groups)), third(lambda x, W: x @ W[row]), strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-11, atol=1e-11)


def test_blocks_of_wider_rows_are_taken_as_they_are():
    x, W, groups = make(KINDS["mixed"])
    wide = torch.cat([torch.zeros(6, 5, dtype=F64), x.detach().flatten(1), torch.zeros(6, 5, dtype=F64)], 1)
    block = wide[:, 5:17].unflatten(1, (3, 4))
    assert not block.is_contiguous()
    assert torch.equal(grouped_matmul(block, W, groups), grouped_matmul(x, W, groups))


def test_where_somebody_looks_on_no_rows_are_grouped():
    kinds = torch.ones(2, 3, dtype=torch.long)
    assert torch.func.vmap(lambda kind: kind[0] * (groups_of(kind) is None))(kinds).tolist() == [1, 1]
    with torch.autocast("cpu"):
        assert groups_of(kinds[0]) is None
    with torch.autograd.forward_ad.dual_level():
        assert groups_of(torch.tensor([1])) is None
    assert groups_of(torch.empty(3, dtype=torch.long, device="meta")) is None
