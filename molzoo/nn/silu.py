"""x σ(x), lean in the derivative of a derivative, which every training on forces takes."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from molzoo.kernels.signature import signed
from molzoo.shapes import Float, Tensor

_slope = torch.ops.aten.silu_backward.default
"""g f'(x) in one pass."""


class SiLU(nn.Module):
    """f(x) = x/(1 + e^(−x)), as ``torch.nn.SiLU``; a derivative keeps two tensors for the next one, where torch keeps six.

    >>> SiLU()(torch.tensor([0.0, 1.0]))
    tensor([0.0000, 0.7311])
    """

    def forward(self, x: Float[Tensor, "*rows"]) -> Float[Tensor, "*rows"]:
        """The activation, elementwise."""
        return F.silu(x) if torch.compiler.is_compiling() else _SiLU.apply(x)


class _Rule(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)


@signed
class _SiLU(_Rule):
    """f(x)."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return F.silu(x)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:  # type: ignore[override]
        return _Slope.apply(*ctx.saved_tensors, g)

    @staticmethod
    def jvp(ctx: Any, moved: Tensor) -> Tensor:
        return _Slope.apply(*ctx.saved_tensors, moved)


@signed
class _Slope(_Rule):
    """g f'(x)."""

    @staticmethod
    def forward(x: Tensor, g: Tensor) -> Tensor:
        return _slope(g, x)

    @staticmethod
    def backward(ctx: Any, h: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        (x, g), (by_x, by_g) = ctx.saved_tensors, ctx.needs_input_grad
        return _bend(x, g * h) if by_x else None, _Slope.apply(x, h) if by_g else None

    @staticmethod
    def jvp(ctx: Any, moved_x: Tensor, moved_g: Tensor) -> Tensor:
        x, g = ctx.saved_tensors
        return _bend(x, g * moved_x) + _Slope.apply(x, moved_g)


def _bend(x: Tensor, g: Tensor) -> Tensor:
    """The bend: g f''(x) = g σ (1 − σ) (2 + x − 2xσ)."""
    s = x.sigmoid()
    return torch.ops.aten.sigmoid_backward(g, s) * (torch.addcmul(x, x, s, value=-2) + 2)
