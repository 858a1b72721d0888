"""Smooth functions on [−1, 1] as Chebyshev series: as exact as rounding allows, with derivatives of any order.

    f(x) = Σ_k C_k T_k(x) ,    f'(x) = Σ_k (D C)_k T_k(x) ,    T_k(cos θ) = cos kθ ,

with the matrix D that differentiates series. A derivative of a series is a series again, so nothing is kept for it but x.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.polynomial import chebyshev

from molzoo.kernels.functions import direct
from molzoo.kernels.watchers import compiled_without_gradient
from molzoo.shapes import Float, Tensor


class ChebyshevSeries:
    """Many functions on [−1, 1] at once.

    Args:
        f: the functions: points (n,) → values (n, functions), both NumPy.
        degree: of the series, at least 1.

    >>> ChebyshevSeries(lambda x: np.stack([x, x**3], 1), 3)(torch.tensor([0.5]))
    tensor([[0.5000, 0.1250]])
    """

    def __init__(self, f: Callable[[np.ndarray], np.ndarray], degree: int) -> None:
        n, k = degree + 1, np.arange(degree + 1)
        T = np.cos(np.pi / (2 * n) * (k[:, None] * (2 * k + 1) % (4 * n)))  # T_k at the zeros of T_n, to the last digit
        # Plain float64 tensors and not buffers: a cast to float32 and back would leave buffers rounded.
        self.C = torch.from_numpy(np.where(k == 0, 1, 2)[:, None] / n * (T @ f(T[1])))
        self.D = torch.from_numpy(np.concatenate([chebyshev.chebder(np.eye(n)), np.zeros((1, n))]))

    def __call__(self, x: Float[Tensor, " rows"]) -> Float[Tensor, "rows functions"]:
        """Values at x."""
        if compiled_without_gradient(x):
            return _values(x, self.C.to(x))
        return _Series.apply(x, self.C.to(x), self.D.to(x))


def _values(x: Tensor, C: Tensor) -> Tensor:
    k = torch.arange(len(C), dtype=x.dtype, device=x.device)
    return torch.cos(k * x.clamp(-1, 1).acos()[..., None]) @ C


@direct
class _Series(torch.autograd.Function):
    """T(x) C, whose derivative by x is T(x) D C."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, C: Tensor, D: Tensor) -> Tensor:
        return _values(x, C)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        x, C, D = ctx.saved_tensors
        return (g * _Series.apply(x, D @ C, D)).sum(-1), None, None

    @staticmethod
    def jvp(ctx: Any, moved: Tensor, *_: Any) -> Tensor:
        x, C, D = ctx.saved_tensors
        return moved[..., None] * _Series.apply(x, D @ C, D)
