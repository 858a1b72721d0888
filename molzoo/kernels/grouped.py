"""Rows of several kinds, each kind with a matrix of its own: sorted by kind, multiplied, and put back.

    y_n = x_n W_k(n) ,    ∂x_n = g_n W_k(n)ᵀ ,    ∂W_k = Σ_n x_nᵀ g_n over the rows n of kind k ,

so that two functions are each other's derivatives, to any order.
"""

from typing import Any, NamedTuple

import torch

from molzoo.kernels.functions import awaited, direct
from molzoo.kernels.watchers import observed
from molzoo.shapes import Float, Int, Tensor


class Groups(NamedTuple):
    """The K kinds that occur, the rows of the first of them, then of the next, … , and the way back."""

    kinds: Int[Tensor, " K"]
    sizes: list[int]
    order: Int[Tensor, " N"]
    back: Int[Tensor, " N"]


def groups_of(kind: Int[Tensor, " N"]) -> Groups | None:
    """The rows of each kind; None where somebody looks on or autocast chooses, or where a GPU would be waited for.

    >>> groups_of(torch.tensor([8, 1, 1]))
    Groups(kinds=tensor([1, 8]), sizes=[2, 1], order=tensor([1, 2, 0]), back=tensor([2, 0, 1]))
    """
    if kind.device.type != "cpu" or observed() or torch.is_autocast_enabled("cpu"):
        return None
    found, order = kind.sort(stable=True)
    kinds, sizes = found.unique_consecutive(return_counts=True)
    back = torch.empty_like(order)
    back[order] = torch.arange(len(order))
    return Groups(kinds, sizes.tolist(), order, back)


def grouped_matmul(x: Float[Tensor, "N m C"], W: Float[Tensor, "K C D"], groups: Groups) -> Float[Tensor, "N m D"]:
    """The product of each row with the matrix of its kind, differentiable to any order.

    >>> x, W = torch.ones(3, 1, 1), torch.tensor([[[1.0]], [[8.0]]])
    >>> grouped_matmul(x, W, groups_of(torch.tensor([8, 1, 1]))).flatten()
    tensor([8., 1., 1.])
    """
    return _Product.apply(x, W, groups)


def _sorted(x: Tensor, groups: Groups) -> tuple[Tensor, ...]:
    """The matrices of rows of each kind."""
    rows = x.index_select(0, groups.order)
    return rows.flatten(0, 1).split([size * x.shape[1] for size in groups.sizes])


class _Rule(torch.autograd.Function):
    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        *tensors, ctx.groups = inputs
        ctx.save_for_backward(*tensors)


@direct
class _Product(_Rule):
    """x_n W_k(n)."""

    @staticmethod
    def forward(x: Tensor, W: Tensor, groups: Groups) -> Tensor:
        y = x.new_empty(*x.shape[:2], W.shape[2])
        parts = y.flatten(0, 1).split([size * x.shape[1] for size in groups.sizes])
        for x_k, W_k, y_k in zip(_sorted(x, groups), W, parts, strict=True):
            torch.mm(x_k, W_k, out=y_k)
        return y.index_select(0, groups.back)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        (x, W), groups, (by_x, by_W, _) = ctx.saved_tensors, ctx.groups, awaited(ctx)
        return _Product.apply(g, W.mT, groups) if by_x else None, _Outer.apply(x, g, groups) if by_W else None, None


@direct
class _Outer(_Rule):
    """Σ_n x_nᵀ g_n for each kind."""

    @staticmethod
    def forward(x: Tensor, g: Tensor, groups: Groups) -> Tensor:
        sums = x.new_empty(len(groups.sizes), x.shape[2], g.shape[2])
        for x_k, g_k, sum_k in zip(_sorted(x, groups), _sorted(g, groups), sums, strict=True):
            torch.mm(x_k.mT, g_k, out=sum_k)
        return sums

    @staticmethod
    def backward(ctx: Any, h: Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        (x, g), groups, (by_x, by_g, _) = ctx.saved_tensors, ctx.groups, awaited(ctx)
        return _Product.apply(g, h.mT, groups) if by_x else None, _Product.apply(x, h, groups) if by_g else None, None
