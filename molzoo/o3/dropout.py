"""Dropout of whole irreps."""

from typing import Any

import torch
from torch import nn

from molzoo.o3.blocks import Layout, fits, layout_of
from molzoo.o3.irreps import Irreps
from molzoo.o3.places import copy_of, take
from molzoo.shapes import Float, Tensor


class Dropout(nn.Module):
    """In training, each copy is 0 with probability p, else times 1 / (1 − p); in evaluation, x as it is.

    All components of a copy, and all axes between the first and the last, share their fate. Random numbers are drawn as in
    e3nn: the same seed drops the same copies.

    Args:
        irreps: of x.
        p: probability.
        layout: of x.

    >>> Dropout("2x0e + 1o", p=0.5).eval()(torch.ones(5))
    tensor([1., 1., 1., 1., 1.])
    """

    _copy: Tensor

    def __init__(self, irreps: Any, p: float, *, layout: Layout = "mul_ir") -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"p is a probability, from 0 to 1; got {p}")
        self.irreps, self.p, self.layout = Irreps(irreps), p, layout_of(layout)
        self.register_buffer("_copy", copy_of(self.irreps, layout), persistent=False)

    def __repr__(self) -> str:
        return f"{type(self).__name__} ({self.irreps}, p={self.p})"

    def forward(self, x: Float[Tensor, "*rows features"]) -> Float[Tensor, "*rows features"]:
        """``x`` with some of its copies set to 0; of shape (batch, …, irreps.dim)."""
        fits(x, self.irreps)
        if not self.training or self.p == 0 or not self.irreps:
            return x
        batch = x.shape[:-1][:1]
        if self.p == 1:
            return torch.zeros_like(x)
        kept = torch.cat([x.new_empty(*batch, mul).bernoulli_(1 - self.p) for mul, _ in self.irreps], -1)
        mask = take(kept / (1 - self.p), self._copy)
        return x * mask.reshape(*batch, *(1 for _ in x.shape[1:-1]), self.irreps.dim)
