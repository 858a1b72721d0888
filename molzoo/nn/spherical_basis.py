"""The bases of DimeNet: distances in (spherical) Bessel functions, angles in Legendre polynomials.

J. Gasteiger, J. Groß, S. Günnemann, ICLR 2020, section 5: the solutions of the Schrödinger equation in a ball of radius r_c.
"""

import math
from functools import lru_cache
from itertools import pairwise

import numpy as np
import torch
from numpy.polynomial import legendre as _legendre
from scipy.optimize import brentq
from scipy.special import spherical_jn
from torch import nn

from molzoo.nn.chebyshev import ChebyshevSeries
from molzoo.shapes import Float, Tensor


class LearnedBesselBasis(nn.Module):
    """e_n(x) = sin(k_n x), x = d/r_c, with learned wave numbers that start from k_n = nπ (eq. 7, without its 1/d).

    Args:
        n_radial: number of functions.

    >>> LearnedBesselBasis(2)(torch.tensor([0.5])).detach().round(decimals=6)
    tensor([[1., -0.]])
    """

    def __init__(self, n_radial: int) -> None:
        super().__init__()
        self.k = nn.Parameter(math.pi * torch.arange(1, n_radial + 1, dtype=torch.get_default_dtype()))

    def forward(self, x: Float[Tensor, " P"]) -> Float[Tensor, "P n_radial"]:
        """The basis at each distance."""
        return torch.sin(self.k * x[:, None])


class SphericalBesselBasis:
    """R_ln(x) = N_ln j_l(z_ln x), x = d/r_c, z_ln the n-th zero of j_l, l < n_spherical: ∫ x² R_ln R_lm dx from 0 to 1 is δ_nm.

    Args:
        n_spherical: number of degrees l.
        n_radial: number of functions of each degree.

    >>> SphericalBesselBasis(7, 6)(torch.tensor([0.3, 1.0])).shape
    torch.Size([2, 7, 6])
    """

    def __init__(self, n_spherical: int, n_radial: int) -> None:
        self.shape = n_spherical, n_radial
        self.series = _spherical_bessel_series(n_spherical, n_radial)

    def __call__(self, x: Float[Tensor, " P"]) -> Float[Tensor, "P n_spherical n_radial"]:
        """The basis at each distance; beyond r_c as at r_c, which is zero."""
        return self.series(x.clamp(max=1.0)).unflatten(1, self.shape)


@lru_cache
def _spherical_bessel_series(n_spherical: int, n_radial: int) -> ChebyshevSeries:
    z = spherical_bessel_zeros(n_spherical, n_radial)
    l = np.arange(n_spherical)[:, None]
    N = math.sqrt(2) / np.abs(spherical_jn(l + 1, z))

    def values(x: np.ndarray) -> np.ndarray:
        x = x[:, None, None]
        return (np.where((x < 0) & (l % 2 == 1), -N, N) * spherical_jn(l, z * abs(x))).reshape(len(x), -1)

    # Odd or even on [−1, 1], because series are best in the middle. z terms make the wave, the others its last digits.
    return ChebyshevSeries(values, 44 + int(z.max()))


@lru_cache
def spherical_bessel_zeros(n_spherical: int, n: int) -> np.ndarray:
    """The first n positive zeros of j_0 … j_{n_spherical − 1}, (n_spherical, n); between two zeros of j_l lies one of j_{l+1}.

    >>> spherical_bessel_zeros(2, 2).round(4)
    array([[3.1416, 6.2832],
           [4.4934, 7.7253]])
    """
    rows = [np.pi * np.arange(1, n + n_spherical)]
    for l in range(1, n_spherical):
        between = (brentq(lambda t, l=l: spherical_jn(l, t), *ends, xtol=1e-15, rtol=1e-15) for ends in pairwise(rows[-1]))
        rows.append(np.fromiter(between, float))
    return np.stack([row[:n] for row in rows])


def legendre(c: Float[Tensor, " T"], n: int) -> Float[Tensor, "T n"]:
    """P_0(c) … P_{n−1}(c) of cosines c.

    >>> legendre(torch.tensor([0.5, -1.0]), 3)
    tensor([[ 1.0000,  0.5000, -0.1250],
            [ 1.0000, -1.0000,  1.0000]])
    """
    return _legendre_series(n)(c)


@lru_cache
def _legendre_series(n: int) -> ChebyshevSeries:
    return ChebyshevSeries(lambda c: _legendre.legvander(c, n - 1), max(n - 1, 1))
