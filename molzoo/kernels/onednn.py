"""Linear maps by oneDNN, where it is faster than the BLAS that torch calls: large ones, on CPUs with AVX-512.

    y = x Wᵀ + b ,    ∂x = g W ,    ∂W = gᵀ x ,

so every derivative of any order is such a map. The last is left to BLAS, for oneDNN would first copy a factor that is turned,
in one thread: that takes as long as the product. Which way is taken depends on shapes alone: equal runs have equal bits.
"""

from functools import cache
from typing import Any

import torch
import torch.nn.functional as F

from molzoo.kernels.functions import awaited, differentiated, direct
from molzoo.kernels.watchers import watched
from molzoo.shapes import Float, Tensor

_LARGE = 20_000_000
"""Multiplications below which BLAS and the functions of torch in C++ cost no more; far above, oneDNN saves up to a quarter."""


def linear(
    x: Float[Tensor, "*rows n"], W: Float[Tensor, "m n"], b: Float[Tensor, " m"] | None = None
) -> Float[Tensor, "*rows m"]:
    """The map x Wᵀ + b, as ``torch.nn.functional.linear``.

    >>> linear(torch.ones(1, 2), torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[3., 7.]])
    """
    if not _by_onednn(x, W):
        # As rows without gaps: of others torch makes many small products, where nobody trains W, at a quarter of the speed.
        return F.linear(x if x.ndim == 2 else x.contiguous(), W, b)
    product = _Linear.apply if differentiated(x, W, b) else _product
    if x.ndim == 2:
        return product(x, W, b)
    return product(x.reshape(-1, x.shape[-1]), W, b).view(*x.shape[:-1], -1)


def matmul(x: Float[Tensor, "*rows n"], W: Float[Tensor, "n m"]) -> Float[Tensor, "*rows m"]:
    """The map x W: the rows of x in one product.

    >>> matmul(torch.ones(2, 1, 2), torch.eye(2)).shape
    torch.Size([2, 1, 2])
    """
    return linear(x, W.mT)


def chosen_linear() -> str:
    """Who makes large linear maps of float32 on this CPU.

    >>> with torch.backends.mkldnn.flags(enabled=False):
    ...     chosen_linear()
    'BLAS'
    """
    return "oneDNN" if _available() and torch.backends.mkldnn.enabled else "BLAS"


def _by_onednn(x: Tensor, W: Tensor) -> bool:
    return (
        x.numel() * W.shape[0] >= _LARGE
        and x.dtype == W.dtype == torch.float32
        and x.device.type == W.device.type == "cpu"
        and _available()
        and bool(torch.backends.mkldnn.enabled)
        and not watched(x, W)  # what traces or transforms, knows torch's own operations best
        and torch.autograd.forward_ad._current_level < 0
        and not torch.is_autocast_enabled("cpu")
    )


@cache
def _available() -> bool:
    """Whether this torch has the operator, and this processor the instructions that make it worth while."""
    return hasattr(torch.ops.mkldnn, "_linear_pointwise") and torch.backends.cpu.get_cpu_capability() == "AVX512"


def _product(x: Tensor, W: Tensor, b: Tensor | None) -> Tensor:
    try:
        return torch.ops.mkldnn._linear_pointwise.default(_dense(x), _dense(W), b, "none", [], "")
    except RuntimeError:  # "could not create a primitive", where memory is full: BLAS does without, or says so
        return F.linear(x, W, b)


def _dense(matrix: Tensor) -> Tensor:
    """Without gaps, in one order or the other: oneDNN takes a part of a larger matrix too, but 1,000 times slower."""
    if matrix.is_contiguous() or matrix.mT.is_contiguous():
        return matrix
    return matrix.contiguous() if matrix.stride(1) == 1 else matrix.mT.contiguous().mT


@direct
class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, W: Tensor, b: Tensor | None) -> Tensor:
        return _product(x, W, b)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.save_for_backward(*inputs[:2])

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        (x, W), (by_x, by_W, by_b) = ctx.saved_tensors, awaited(ctx)
        return linear(g, W.mT) if by_x else None, torch.mm(g.mT, x) if by_W else None, g.sum(0) if by_b else None
