"""Activations, lean in the derivative of a derivative, which every training on forces takes.

A derivative keeps two tensors for the next one, where torch keeps up to six.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from molzoo.kernels.functions import awaited, direct
from molzoo.kernels.watchers import observed
from molzoo.shapes import Float, Tensor


@dataclass(frozen=True)
class Formulas:
    """A function f of one number, by numbers that torch computes in one pass each."""

    value: Callable[[Tensor], Tensor]
    """f(x)."""
    slope: Callable[[Tensor, Tensor], Tensor]
    """g f'(x) of g and x."""
    bend: Callable[[Tensor, Tensor], Tensor]
    """g f''(x) of g and x, by operations that can be differentiated on."""


def _sigmoid_backward(g: Tensor, s: Tensor) -> Tensor:
    """G s (1 − s): written over s, which nobody else has, where nobody differentiates on."""
    if torch.is_grad_enabled() or observed():
        return torch.ops.aten.sigmoid_backward(g, s)
    return torch.ops.aten.sigmoid_backward.grad_input(g, s, grad_input=s)


def _bend_of_silu(g: Tensor, x: Tensor) -> Tensor:
    """G σ (1 − σ) (2 + x − 2xσ)."""
    s = x.sigmoid()
    rest = torch.addcmul(x, x, s, value=-2).add_(2)
    return _sigmoid_backward(g, s) * rest


_SILU = Formulas(F.silu, torch.ops.aten.silu_backward.default, _bend_of_silu)

_SHIFTED_SOFTPLUS = Formulas(
    lambda x: F.softplus(x) - math.log(2.0),
    lambda g, x: torch.ops.aten.softplus_backward(g, x, 1.0, 20.0),
    lambda g, x: _sigmoid_backward(g, x.sigmoid()),
)


_GAUSSIAN = Formulas(
    lambda x: torch.exp(-x.square()),
    lambda g, x: -2 * g * x * torch.exp(-x.square()),
    lambda g, x: (4 * x.square() - 2) * g * torch.exp(-x.square()),
)


class SiLU(nn.Module):
    """f(x) = x/(1 + e^(−x)), as ``torch.nn.SiLU``.

    >>> SiLU()(torch.tensor([0.0, 1.0]))
    tensor([0.0000, 0.7311])
    """

    def forward(self, x: Float[Tensor, "*rows"]) -> Float[Tensor, "*rows"]:
        """The activation, elementwise."""
        return _evaluate(_SILU, x)


class ShiftedSoftplus(nn.Module):
    """f(x) = ln(½ eˣ + ½): a smooth ReLU that is zero at zero (SchNet, section 3).

    >>> ShiftedSoftplus()(torch.tensor([0.0, 1.0]))
    tensor([0.0000, 0.6201])
    """

    def forward(self, x: Float[Tensor, "*rows"]) -> Float[Tensor, "*rows"]:
        """The activation, elementwise."""
        return _evaluate(_SHIFTED_SOFTPLUS, x)


def gaussian(x: Float[Tensor, "*rows"]) -> Float[Tensor, "*rows"]:
    """exp(−x²).

    >>> gaussian(torch.tensor([0.0, 1.0]))
    tensor([1.0000, 0.3679])
    """
    return _evaluate(_GAUSSIAN, x)


def _evaluate(formulas: Formulas, x: Tensor) -> Tensor:
    return formulas.value(x) if torch.compiler.is_compiling() else _Value.apply(formulas, x)


class _Rule(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.formulas, *tensors = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)


@direct
class _Value(_Rule):
    """f(x)."""

    @staticmethod
    def forward(formulas: Formulas, x: Tensor) -> Tensor:
        return formulas.value(x)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        return None, _Slope.apply(ctx.formulas, *ctx.saved_tensors, g)

    @staticmethod
    def jvp(ctx: Any, *moved: Any) -> Tensor:
        return _Slope.apply(ctx.formulas, *ctx.saved_tensors, moved[1])


@direct
class _Slope(_Rule):
    """g f'(x)."""

    @staticmethod
    def forward(formulas: Formulas, x: Tensor, g: Tensor) -> Tensor:
        return formulas.slope(g, x)

    @staticmethod
    def backward(ctx: Any, h: Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        (x, g), (_, by_x, by_g) = ctx.saved_tensors, awaited(ctx)
        return None, ctx.formulas.bend(g * h, x) if by_x else None, _Slope.apply(ctx.formulas, x, h) if by_g else None

    @staticmethod
    def jvp(ctx: Any, *moved: Any) -> Tensor:
        (x, g), (_, moved_x, moved_g) = ctx.saved_tensors, moved
        return ctx.formulas.bend(g * moved_x, x) + _Slope.apply(ctx.formulas, x, moved_g)
