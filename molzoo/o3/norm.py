"""Lengths of irreps, and normalisation by them."""

from typing import Any

import torch
from torch import nn

from molzoo.o3.blocks import Layout, fits, join, layout_of, split
from molzoo.o3.irreps import Irrep, Irreps
from molzoo.o3.places import collect, copy_of, scalars, take
from molzoo.shapes import Float, Tensor


class Norm(nn.Module):
    """The length |x_u| of each copy, or its square; derivatives at x_u = 0 are 0.

    Args:
        irreps_in: of x.
        squared: whether to give |x_u|².
        layout: of x.

    >>> Norm("0e + 2x1o")(torch.tensor([-2.0, 0, 3, 4, 0, 0, 0]))
    tensor([2., 5., 0.])
    """

    _copy: Tensor

    def __init__(self, irreps_in: Any, squared: bool = False, *, layout: Layout = "mul_ir") -> None:
        super().__init__()
        irreps, self.layout = Irreps(irreps_in), layout_of(layout)
        self.irreps_in = irreps.simplify() if layout == "mul_ir" else irreps  # in ir_mul, x changes when terms are joined
        self.irreps_out = Irreps([(irreps.num_irreps, "0e")]).simplify()
        self.squared = squared
        self.register_buffer("_copy", copy_of(irreps, self.layout), persistent=False)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.irreps_in})"

    def forward(self, features: Float[Tensor, "*rows features"]) -> Float[Tensor, "*rows copies"]:
        """A number for each copy."""
        fits(features, self.irreps_in)
        squares = collect(features.square(), self._copy, self.irreps_out.dim)
        if self.squared:
            return squares
        positive = squares > 0  # twice, for the derivative of the root at 0 is infinite and 0 · ∞ is no number
        return torch.where(positive, torch.where(positive, squares, 1).sqrt(), 0)


class LayerNorm(nn.Module):
    """γ x / √(⟨|x|²⟩ + ε) + β, the mean over the copies of a term in each row; of 0e, the mean is subtracted first.

    β is for 0e only. The layer of Equiformer (Y.-L. Liao, T. Smidt, arXiv:2206.11990); e3nn has none.

    Args:
        irreps: of x.
        eps: ε.
        affine: whether there are γ, one for each copy, and β, one for each 0e; else they are 1 and 0.
        normalization: |x|² is the sum (``"norm"``, as in the paper) or the mean (``"component"``) over the 2l + 1 components.
        layout: of x.

    >>> LayerNorm("2x0e + 1o")(torch.tensor([1.0, 5, 0, 0, 9])).detach().round(decimals=3)
    tensor([-1.0000,  1.0000,  0.0000,  0.0000,  1.7320])
    """

    _copy: Tensor
    _scalars: Tensor

    def __init__(
        self,
        irreps: Any,
        eps: float = 1e-5,
        affine: bool = True,
        normalization: str = "component",
        *,
        layout: Layout = "mul_ir",
    ) -> None:
        super().__init__()
        self.irreps, self.layout = Irreps(irreps), layout_of(layout)
        self.eps, self.affine, self.normalization = eps, affine, check_normalization(normalization)
        self.weight = nn.Parameter(torch.ones(self.irreps.num_irreps)) if affine else None
        self.bias = nn.Parameter(torch.zeros(self.irreps.count("0e"))) if affine else None
        self.register_buffer("_copy", copy_of(self.irreps, self.layout), persistent=False)
        self.register_buffer("_scalars", scalars(self.irreps), persistent=False)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.irreps}, eps={self.eps})"

    def forward(self, features: Float[Tensor, "*rows features"]) -> Float[Tensor, "*rows features"]:
        """The formula above."""
        blocks = zip(split(features, self.irreps, self.layout), self.irreps, strict=True)
        out = join([self._normalized(block, ir) for block, (_, ir) in blocks], self.layout, like=features)
        if self.weight is None or self.bias is None:
            return out
        return out * take(self.weight, self._copy) + collect(self.bias, self._scalars, self.irreps.dim)

    def _normalized(self, x: Float[Tensor, "*rows m mul"], ir: Irrep) -> Float[Tensor, "*rows m mul"]:
        if ir.is_scalar():
            x = x - x.mean(-1, keepdim=True)
        squares = x.square().mean((-2, -1), keepdim=True)
        if self.normalization == "norm":
            squares = squares * ir.dim
        return x * (squares + self.eps).rsqrt()


def check_normalization(name: str) -> str:
    """``name``, if it is a normalisation of irreps.

    >>> check_normalization("norm")
    'norm'
    """
    if name not in ("norm", "component"):
        raise ValueError(f"normalization is 'norm' or 'component'; got {name!r}")
    return name
