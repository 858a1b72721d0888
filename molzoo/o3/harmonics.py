"""Real spherical harmonics: what a direction becomes when it is to turn as an irrep.

Y_l(x) is a polynomial of degree l in x = (x, y, z) that turns with it, Y_l(R x) = D_l(R) Y_l(x); for l = 1 it is x itself, but
for a factor. With r² = x² + y² + z², all come from one recursion, stable for any l, in which y is the polar axis:

    Y_lm = N_lm R(l, m) ,     R(l, m) = y R(l−1, m) − β_lm r² R(l−2, m) ,     R(l, l) + i R(l, −l) = (z + ix)^l ,

    β_lm = [(l−1)² − m²] / [4 (l−1)² − 1] ,        N_lm² = (2 − δ_m0) (2l+1) (2l choose l) (2l choose l+m) / 4^l .

In each R the highest power of y has the coefficient one; this N makes the mean of Y_lm² over the unit sphere one. On a CPU the
recursion runs in compiled loops (:mod:`molzoo.kernels.solid`), and elsewhere, or where torch has to look inside, in operations
on one component at a time, which a compiler makes one loop of. Names and values are e3nn's.
"""

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from molzoo.kernels import fused
from molzoo.kernels.watchers import watched
from molzoo.o3.irreps import Irrep, Irreps
from molzoo.o3.wigner import wigner_3j
from molzoo.quantities import nearest
from molzoo.shapes import Float, Tensor

if TYPE_CHECKING:
    from molzoo.kernels.solid import SolidProgram

Degrees = int | str | Irrep | Irreps | Iterable[int]

_LEAST = 1e-12
"""A vector that is not longer has no direction."""


class SphericalHarmonics(nn.Module):
    """The real spherical harmonics Y_l(x) of vectors.

    On the unit sphere, |Y_l|² = 2l + 1 (normalization ``component``), |Y_l| = 1 (``norm``) or ∫ Y_lm² = 1 (``integral``).
    Without ``normalize`` they are polynomials, Y_l(a x) = a^l Y_l(x), with all derivatives also at 0. With it they depend on
    the direction alone; where |x| ≤ 1e-12, there is none: x / 1e-12 is taken for it, as a constant (Y_l(0) = 0 for l > 0).

    Args:
        irreps_out: degrees (``2``, ``[0, 1, 2]``) or irreps (``"0e + 1o + 2e"``), in any order, also several times.
        normalize: whether x is to be normalized first.
        normalization: ``component``, ``norm`` or ``integral``.
        irreps_in: ``1o`` if x is a vector, ``1e`` if it is a pseudo-vector; by default what ``irreps_out`` asks for, else 1o.

    Raises:
        ValueError: ``irreps_out`` are not the harmonics of such an x, or there is no such normalization.

    >>> sh = SphericalHarmonics("1o + 2e", normalize=True, normalization="component")
    >>> sh(torch.tensor([0.0, 2.0, 0.0]))
    tensor([0.0000, 1.7321, 0.0000, 0.0000, 0.0000, 2.2361, 0.0000, 0.0000])
    """

    def __init__(
        self,
        irreps_out: Degrees,
        normalize: bool,
        normalization: str = "integral",
        irreps_in: str | Irrep | Irreps | None = None,
    ) -> None:
        super().__init__()
        self.normalize, self.normalization = normalize, normalization
        self.ls, self.irreps_in = _degrees(irreps_out, irreps_in)
        p = self.irreps_in[0].ir.p
        self.irreps_out = Irreps([(1, (l, p**l)) for l in self.ls]).simplify()
        self.betas, self.leading = recursion(self.ls, normalization)

    def forward(self, x: Float[Tensor, "*rows 3"]) -> Float[Tensor, "*rows harmonics"]:
        """Y(x), the 2l + 1 components of each degree side by side."""
        return _harmonics(x, self.normalize, self.normalization, self.ls, self.betas, self.leading)

    def extra_repr(self) -> str:
        """What it makes of what."""
        return f"{self.irreps_in} -> {self.irreps_out}, normalize={self.normalize}, normalization={self.normalization!r}"


def spherical_harmonics(
    l: Degrees, x: Float[Tensor, "*rows 3"], normalize: bool, normalization: str = "integral"
) -> Float[Tensor, "*rows harmonics"]:
    """Y_l(x) of vectors for one degree or several; see :class:`SphericalHarmonics`.

    >>> spherical_harmonics(1, torch.tensor([0.0, 2.0, 0.0]), normalize=True, normalization="norm")
    tensor([0., 1., 0.])
    """
    return _harmonics(x, normalize, normalization, *_constants(l, normalization))


def mean_square(l: int, normalization: str) -> float:
    """The mean of Y_lm² over the unit sphere.

    Raises:
        ValueError: there is no such normalization.

    >>> mean_square(2, "component"), mean_square(2, "norm")
    (1.0, 0.2)
    """
    known = {"component": 1.0, "norm": 1 / (2 * l + 1), "integral": 1 / (4 * math.pi)}
    if normalization not in known:
        raise ValueError(f"there is no normalization {normalization!r} of spherical harmonics{nearest(normalization, known)}")
    return known[normalization]


def recursion(ls: Sequence[int], normalization: str) -> tuple[list[float], list[float]]:
    """β_lm for m = −(l−2) … l−2 of all degrees from 2 to the largest, and N_lm for m = −l … l of each degree in ``ls``.

    >>> recursion([2], "norm")[0]
    [0.3333333333333333]
    """

    def leading(l: int, m: int) -> float:
        size = (1 + (m != 0)) * (2 * l + 1) * math.comb(2 * l, l) * math.comb(2 * l, l + m) / 4**l
        return math.sqrt(size * mean_square(l, normalization))

    below = ((l, m) for l in range(1, max(ls, default=0)) for m in range(1 - l, l))
    return [(l**2 - m**2) / (4 * l**2 - 1) for l, m in below], [leading(l, m) for l in ls for m in range(-l, l + 1)]


def polynomials(
    polar: Float[Tensor, "*rows"],
    r2: Tensor | float,
    outermost: Sequence[tuple[Tensor, Tensor]],
    betas: Sequence[float],
) -> list[list[Tensor]]:
    """R(l, m) for m = −l … l, one degree after the other, from y, r², R(l, −l) and R(l, l) for l = 1, 2 …, and the β.

    >>> y = torch.tensor(3.0)
    >>> polynomials(y, 9.0, [(y, y), (y, y)], [1 / 3])[2][2]
    tensor(6.)
    """
    R = [[torch.ones_like(polar)]]
    for l, (first, last) in enumerate(outermost, 1):
        inner = [polar * before for before in R[-1]]
        for m in range(2 * l - 3):
            inner[m + 1] = inner[m + 1] - betas[(l - 2) ** 2 + m] * (r2 * R[-2][m])
        R.append([first, *inner, last])
    return R


def _by_operations(x: Tensor, ls: Sequence[int], normalize: bool, betas: Sequence[float], leading: Sequence[float]) -> Tensor:
    """Y(x) in operations that torch can differentiate, trace and transform."""
    if not ls:
        return x[..., :0]
    x, y, z = (_direction(x) if normalize else x).unbind(-1)
    outermost = [(x, z)]
    for _ in range(1, max(ls)):
        s, c = outermost[-1]
        outermost.append((x * c + z * s, z * c - x * s))
    R = polynomials(y, x * x + y * y + z * z, outermost, betas)
    return torch.stack([N * R_lm for N, R_lm in zip(leading, (R_lm for l in ls for R_lm in R[l]), strict=True)], -1)


def _direction(x: Tensor) -> Tensor:
    """The direction x / max(|x|, 1e-12); that of x times a constant is the same, so that no derivative overflows on the way."""
    least = max(_LEAST, torch.finfo(x.dtype).tiny)
    norm = torch.linalg.vector_norm(x.detach(), dim=-1, keepdim=True)
    x = x / norm.clamp_min(least)
    r2 = torch.where(norm > least, (x * x).sum(-1, keepdim=True), 1)
    return torch.where(norm > least, x * r2.rsqrt(), x.detach())


def _harmonics(
    x: Tensor, normalize: bool, normalization: str, ls: tuple[int, ...], betas: Sequence[float], leading: Sequence[float]
) -> Tensor:
    """Y(x) in compiled loops, unless somebody wants to look inside."""
    if x.shape[-1:] != (3,) or not x.is_floating_point():
        raise ValueError(f"harmonics are of real vectors (..., 3), but x has shape {tuple(x.shape)} and type {x.dtype}")
    if watched(x) or not fused(x):
        return _by_operations(x, ls, normalize, betas, leading)
    from molzoo.kernels.solid import solid  # loads numba

    return solid(_program(ls, normalize, normalization), x)


@lru_cache(maxsize=64)
def _program(ls: tuple[int, ...], normalize: bool, normalization: str) -> "SolidProgram":
    """The same recursion as numbers for loops, and its derivatives.

    For the normalization ``component``, ∂Y_ln / ∂x_k = √l (2l + 1) Σ_j C_jkn Y_{l−1, j} with the Wigner 3j symbol C of
    (l−1, 1, l): no other coupling is equivariant, and its size follows from x·∇ Y_l = l Y_l.
    """
    from molzoo.kernels.solid import SolidProgram

    lmax = max(ls, default=0)
    betas, leading = recursion(ls, normalization)
    N = np.array(recursion(range(lmax + 1), normalization)[1])
    up, down, derivatives = N.copy(), np.zeros_like(N), []
    for l in range(1, lmax + 1):
        now, before, last = (slice(k**2, (k + 1) ** 2) for k in (l, l - 1, max(l - 2, 0)))
        if l > 1:
            up[now] /= np.concatenate([N[before][:1], N[before], N[before][-1:]])
            down[now][2:-2] = np.array(betas[last]) * N[now][2:-2] / N[last]
        size = math.sqrt(l * mean_square(l, normalization) / mean_square(l - 1, normalization)) * (2 * l + 1)
        C = wigner_3j(l - 1, 1, l, torch.float64)
        at = (C.abs() > 1e-12).nonzero().tolist()
        derivatives += [(k, l**2 + n, (l - 1) ** 2 + j, size * float(C[j, k, n])) for j, k, n in at]
    blocks: list[tuple[int, int, int]] = []
    for l in ls:
        column, n, width = blocks.pop() if blocks and sum(blocks[-1][1:]) == l**2 else (sum(b[2] for b in blocks), l**2, 0)
        blocks.append((column, n, width + 2 * l + 1))
    return SolidProgram(
        l_max=lmax,
        up=up,
        down=down,
        terms=np.array([term[:3] for term in derivatives], dtype=np.int64).reshape(-1, 3),
        coefficients=np.array([term[3] for term in derivatives]),
        blocks=np.array(blocks, dtype=np.int64).reshape(-1, 3),
        least=_LEAST if normalize else None,
        operations=partial(_by_operations, ls=ls, normalize=normalize, betas=betas, leading=leading),
    )


@torch.compiler.assume_constant_result
def _constants(l: Degrees, normalization: str) -> tuple[Any, ...]:
    """Degrees and numbers of the recursion; kept, for many call the function and not the layer."""
    return _kept(l if isinstance(l, (int, str, tuple)) else tuple(l), normalization)


@lru_cache(maxsize=256, typed=True)
def _kept(l: Degrees, normalization: str) -> tuple[Any, ...]:
    ls, _ = _degrees(l, None)
    return ls, *recursion(ls, normalization)


def _degrees(l: Degrees, irreps_in: Any) -> tuple[tuple[int, ...], Irreps]:
    """One degree for each copy, and the irreps of x."""
    irreps = Irreps(l).remove_zero_multiplicities() if isinstance(l, (str, Irrep, Irreps)) else Irreps()
    if irreps_in is None:
        irreps_in = "1e" if any(ir.l % 2 and ir.p == 1 for _, ir in irreps) else "1o"
    irreps_in = Irreps(irreps_in)
    if irreps_in not in (Irreps("1o"), Irreps("1e")):
        raise ValueError(f"spherical harmonics are of one vector, 1x1o, or pseudo-vector, 1x1e; irreps_in is {irreps_in}")
    p = irreps_in[0].ir.p
    for _, ir in irreps:
        if ir.p != p**ir.l:
            raise ValueError(f"irreps_out {irreps} has {ir}, but the harmonics of {irreps_in} have {Irrep(ir.l, p**ir.l)}")
    ls = irreps.ls if isinstance(l, (str, Irrep, Irreps)) else [l] if isinstance(l, int) else list(l)
    if not all(isinstance(degree, int) and degree >= 0 for degree in ls):
        raise ValueError(f"degrees of spherical harmonics are whole numbers from 0; got {ls}")
    return tuple(ls), irreps_in
