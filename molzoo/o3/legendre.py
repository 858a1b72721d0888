"""Associated Legendre functions, and spherical harmonics as functions of two angles.

    Y_lm(α, β) = P_lm(cos β, sin β) S_m(α) ,        S = … √2 sin 2α, √2 sin α, 1, √2 cos α, √2 cos 2α … ,

at the point R_y(α) R_x(β) e_y = (sin β sin α, cos β, sin β cos α) of the unit sphere. Names and values are e3nn's.
"""

import itertools
import math
from collections.abc import Iterable

import torch
from torch import nn

from molzoo.o3.harmonics import Degrees, SphericalHarmonics, polynomials, recursion
from molzoo.o3.irreps import Irrep, Irreps
from molzoo.o3.rotation import angles_to_xyz
from molzoo.shapes import Float, Tensor


class Legendre(nn.Module):
    """The associated Legendre functions P_lm of z = cos β and y = sin β, with the normalization ``integral`` of harmonics.

    Args:
        ls: degrees, in any order.

    >>> beta = torch.tensor(0.3)
    >>> (4 * torch.pi) ** 0.5 * Legendre([0, 1])(beta.cos(), beta.sin())
    tensor([1.0000, 0.3619, 1.6547, 0.3619])
    """

    def __init__(self, ls: Iterable[int]) -> None:
        super().__init__()
        self.ls = list(ls)
        self.betas, leading = recursion(self.ls, "integral")
        waves = (m for l in self.ls for m in range(-l, l + 1))
        self.leading = [N / math.sqrt(1 + (m != 0)) for N, m in zip(leading, waves, strict=True)]

    def forward(self, z: Float[Tensor, "*rows"], y: Float[Tensor, "*rows"]) -> Float[Tensor, "*rows functions"]:
        """P_lm for m = −l … l of each degree, side by side."""
        powers = itertools.accumulate([y] * max(self.ls, default=0), torch.mul)
        R = polynomials(z, 1.0, [(power, power) for power in powers], self.betas)
        P = [N * R_lm for N, R_lm in zip(self.leading, (R_lm for l in self.ls for R_lm in R[l]), strict=True)]
        return torch.stack(P, -1) if P else z[..., None][..., :0]


def spherical_harmonics_alpha(l: int, alpha: Float[Tensor, "*rows"]) -> Float[Tensor, "*rows waves"]:
    """S_m(α) for m = −l … l.

    >>> spherical_harmonics_alpha(1, torch.tensor(0.0))
    tensor([0.0000, 1.0000, 1.4142])
    """
    phase = torch.arange(1, l + 1, dtype=alpha.dtype, device=alpha.device) * alpha[..., None]
    sines, cosines = 2**0.5 * phase.sin(), 2**0.5 * phase.cos()
    return torch.cat([sines.flip(-1), torch.ones_like(alpha)[..., None], cosines], -1)


class SphericalHarmonicsAlphaBeta(nn.Module):
    """Y_l(α, β) for one degree or several.

    Args:
        l: a degree, several, or irreps, of which only the degrees count.
        normalization: ``component``, ``norm`` or ``integral``; see :class:`molzoo.o3.harmonics.SphericalHarmonics`.

    >>> SphericalHarmonicsAlphaBeta([0, 1], "norm")(torch.tensor(0.7), torch.tensor(0.0))
    tensor([1., 0., 1., 0.])
    """

    def __init__(self, l: Degrees, normalization: str = "integral") -> None:
        super().__init__()
        ls = Irreps(l).ls if isinstance(l, (str, Irrep, Irreps)) else l
        self.harmonics = SphericalHarmonics(ls, normalize=False, normalization=normalization)

    @property
    def normalization(self) -> str:
        """As given."""
        return self.harmonics.normalization

    def forward(self, alpha: Float[Tensor, "*rows"], beta: Float[Tensor, "*rows"]) -> Float[Tensor, "*rows harmonics"]:
        """The 2l + 1 components of each degree, side by side."""
        return self.harmonics(angles_to_xyz(alpha, beta))


def spherical_harmonics_alpha_beta(
    l: Degrees, alpha: Float[Tensor, "*rows"], beta: Float[Tensor, "*rows"], *, normalization: str = "integral"
) -> Float[Tensor, "*rows harmonics"]:
    """Y_l(α, β) for one degree or several; see :class:`SphericalHarmonicsAlphaBeta`.

    >>> spherical_harmonics_alpha_beta(1, torch.tensor(0.7), torch.tensor(0.0), normalization="norm")
    tensor([0., 1., 0.])
    """
    return SphericalHarmonicsAlphaBeta(l, normalization)(alpha, beta)
