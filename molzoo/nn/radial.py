"""Radial bases: a distance written as n_radial smooth numbers."""

import math
from typing import Literal, get_args

import torch
from torch import nn

from molzoo.nn.activation import gaussian
from molzoo.quantities import nearest
from molzoo.shapes import Float, Tensor

RadialName = Literal["gaussian", "bessel"]


class GaussianBasis(nn.Module):
    """e_k(d) = exp(−(d − μ_k)² / 2Δ²) with μ_k evenly spaced on [0, r_c] and Δ their spacing (SchNet, eq. 5).

    Args:
        n_radial: number of Gaussians.
        cutoff: r_c in Å.
    """

    def __init__(self, n_radial: int, cutoff: float) -> None:
        super().__init__()
        self.n_radial, self.cutoff = n_radial, cutoff
        self.per_width = (n_radial - 1) / cutoff * math.sqrt(0.5)

    def forward(self, d: Float[Tensor, " P"], dtype: torch.dtype | None = None) -> Float[Tensor, "P n_radial"]:
        """The basis at each distance, in the precision ``dtype`` or that of d, in which differences are taken."""
        # Made here and not kept as a buffer, which a cast to float32 and back would leave rounded.
        mu = torch.linspace(0, self.cutoff, self.n_radial, dtype=d.dtype, device=d.device)
        return gaussian((self.per_width * (d[:, None] - mu)).to(dtype or d.dtype))


class BesselBasis(nn.Module):
    """e_n(d) = sin(n π d / r_c) / d, n = 1 … n_radial (DimeNet, eq. 7, without its constant factor; PaiNN).

    Args:
        n_radial: number of functions.
        cutoff: r_c in Å.
    """

    def __init__(self, n_radial: int, cutoff: float) -> None:
        super().__init__()
        self.n_radial, self.cutoff = n_radial, cutoff

    def forward(self, d: Float[Tensor, " P"], dtype: torch.dtype | None = None) -> Float[Tensor, "P n_radial"]:
        """The basis at each distance, its limit nπ/r_c at d = 0; rounded to ``dtype`` at the end, for sines amplify."""
        k = torch.arange(1, self.n_radial + 1, dtype=d.dtype, device=d.device) * (torch.pi / self.cutoff)
        d = d[:, None]
        zero = d == 0
        safe = torch.where(zero, 1.0, d)  # no 0/0, not even in a branch that is thrown away: its derivative would be NaN
        return torch.where(zero, k, torch.sin(k * safe) / safe).to(dtype or d.dtype)


def radial_basis(name: RadialName, n_radial: int, cutoff: float) -> nn.Module:
    """The basis called ``name``.

    >>> radial_basis("bessel", 3, 5.0)(torch.tensor([5.0])).abs().max() < 1e-6
    tensor(True)
    """
    if name not in get_args(RadialName):
        raise ValueError(f"there is no radial basis {name!r}{nearest(name, get_args(RadialName))}")
    return {"gaussian": GaussianBasis, "bessel": BesselBasis}[name](n_radial, cutoff)
