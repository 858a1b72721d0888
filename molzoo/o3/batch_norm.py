"""Batch normalisation of irreps."""

import math
from typing import Any

import torch
from torch import nn

from molzoo.o3.blocks import Layout, fits, layout_of
from molzoo.o3.irreps import Irreps
from molzoo.o3.norm import check_normalization
from molzoo.o3.places import collect, copy_of, scalars, take
from molzoo.shapes import Float, Tensor


class BatchNorm(nn.Module):
    """γ x / √(⟨|x|²⟩ + ε) + β for each copy, the mean over all rows; of 0e, the mean is subtracted first.

    β is for 0e only; 0o counts as a vector, because its mean and a bias would not change sign with it. Running means are used
    in evaluation. State dicts are e3nn's.

    Args:
        irreps: of x.
        eps: ε.
        momentum: weight of the newest batch in the running means.
        affine: whether there are γ, one for each copy, and β, one for each 0e.
        reduce: |x|² of a batch entry is the ``"mean"`` or the ``"max"`` over its samples (the axes after the first).
        instance: whether each entry of the first axis is normalised by itself, always; no running means are kept.
        include_bias: whether there are β.
        normalization: |x|² is the sum (``"norm"``) or the mean (``"component"``) over the 2l + 1 components.
        layout: of x.

    >>> norm = BatchNorm("0e + 1o")
    >>> norm(torch.tensor([[1.0, 0, 0, 3], [5.0, 0, 4, 0]])).detach().round(decimals=3)
    tensor([[-1.0000,  0.0000,  0.0000,  1.4700],
            [ 1.0000,  0.0000,  1.9600,  0.0000]])
    >>> norm.running_mean
    tensor([0.3000])
    """

    running_mean: Tensor
    running_var: Tensor
    _copy: Tensor
    _dims: Tensor
    _scalars: Tensor

    def __init__(
        self,
        irreps: Any,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        reduce: str = "mean",
        instance: bool = False,
        include_bias: bool = True,
        normalization: str = "component",
        *,
        layout: Layout = "mul_ir",
    ) -> None:
        super().__init__()
        if reduce not in ("mean", "max"):
            raise ValueError(f"reduce is 'mean' or 'max'; got {reduce!r}")
        self.irreps, self.layout = Irreps(irreps), layout_of(layout)
        self.eps, self.momentum, self.reduce, self.instance = eps, momentum, reduce, instance
        self.affine, self.include_bias, self.normalization = affine, include_bias, check_normalization(normalization)
        copies, n_scalars = self.irreps.num_irreps, self.irreps.count("0e")
        self.register_buffer("running_mean", None if instance else torch.zeros(n_scalars))
        self.register_buffer("running_var", None if instance else torch.ones(copies))
        self.weight = nn.Parameter(torch.ones(copies)) if affine else None
        self.bias = nn.Parameter(torch.zeros(n_scalars)) if affine and include_bias else None
        self.register_buffer("_copy", copy_of(self.irreps, layout), persistent=False)
        self.register_buffer("_dims", torch.tensor([ir.dim for mul, ir in self.irreps for _ in range(mul)]), persistent=False)
        self.register_buffer("_scalars", scalars(self.irreps), persistent=False)

    def __repr__(self) -> str:
        return f"{type(self).__name__} ({self.irreps}, eps={self.eps}, momentum={self.momentum})"

    def forward(self, input: Float[Tensor, "*rows features"]) -> Float[Tensor, "*rows features"]:
        """The normalised ``input``, of shape (batch, …, irreps.dim)."""
        fits(input, self.irreps, "input")
        if not input.numel():
            return input  # nothing has no mean
        rows = tuple(input.shape[:-1]) or (1,)
        batch, samples = rows[0], math.prod(rows[1:])
        x = input.reshape(batch, samples, self.irreps.dim)
        measured = self.training or self.instance
        mean = self._mean(x) if measured else self.running_mean
        x = x - collect(mean, self._scalars, self.irreps.dim)
        var = self._var(x) if measured else self.running_var
        if measured and not self.instance:
            self.running_mean.lerp_(mean.detach(), self.momentum)
            self.running_var.lerp_(var.detach(), self.momentum)
        scale = (var + self.eps) ** -0.5
        out = x * take(scale if self.weight is None else scale * self.weight, self._copy)
        if self.bias is not None:
            out = out + collect(self.bias, self._scalars, self.irreps.dim)
        return out.reshape(input.shape)

    def _mean(self, x: Float[Tensor, "batch samples features"]) -> Float[Tensor, "*means scalars"]:
        """Mean of each 0e over all rows, or over the samples of each batch entry (batch, 1, scalars)."""
        x = take(x, self._scalars)
        return x.mean(1, keepdim=True) if self.instance else x.mean((0, 1))

    def _var(self, x: Float[Tensor, "batch samples features"]) -> Float[Tensor, "*means copies"]:
        """Mean |x|² of each copy, over the same rows."""
        squares = collect(x.square(), self._copy, self.irreps.num_irreps)
        if self.normalization == "component":
            squares = squares / self._dims
        of_entry = squares.mean(1, keepdim=True) if self.reduce == "mean" else squares.max(1, keepdim=True).values
        return of_entry if self.instance else of_entry.mean((0, 1))
