"""Signals on the sphere in two forms: coefficients of the spherical harmonics, and values on a grid.

    f(β, α) = Σ_lm F_lm Y_lm(β, α)        Y_lm(β, α) = P_l|m|(cos β) S_m(α)

The grid has ``res_beta`` circles β_i = π (i + ½) / res_beta and ``res_alpha`` points α_j = 2π j / res_alpha on each; S_m is
√2 sin|m|α, 1, √2 cos mα for m = −l … l. With the quadrature weights of P. Kostelec and D. Rockmore (J. Fourier Anal. Appl. 14,
145, 2008), F_lm comes back without error where l and the degree of f add up to less than res_beta and res_alpha.

Names and numbers are e3nn's. Either way is one matrix product with a table: at usual sizes, up to degree 10 on 20 circles, that
is faster than a product for β and a Fourier transform for α.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from molzoo.o3.exact import Exact
from molzoo.o3.legendre import Legendre, spherical_harmonics_alpha
from molzoo.o3.rotation import angles_to_xyz
from molzoo.shapes import Float, Tensor

Resolution = int | Sequence[int | None] | None


def s2_grid(res_beta: int, res_alpha: int, dtype: torch.dtype | None = None, device: Any = None) -> tuple[Tensor, Tensor]:
    """The angles β (res_beta,) of the circles and α (res_alpha,) of the points on each.

    >>> betas, alphas = s2_grid(2, 4)
    >>> betas / math.pi, alphas / math.pi
    (tensor([0.2500, 0.7500]), tensor([0.0000, 0.5000, 1.0000, 1.5000]))
    """
    dtype = dtype or torch.get_default_dtype()
    betas = (torch.arange(res_beta, dtype=torch.float64, device=device) + 0.5) * (math.pi / res_beta)
    alphas = torch.arange(res_alpha, dtype=torch.float64, device=device) * (2 * math.pi / res_alpha)
    return betas.to(dtype), alphas.to(dtype)


def quadrature_weights(betas: Float[Tensor, " beta"]) -> Float[Tensor, " beta"]:
    """The share of each circle of the grid in a mean over the sphere; exact below degree ``len(betas)``.

    >>> betas, _ = s2_grid(4, 1)
    >>> weights = quadrature_weights(betas)
    >>> round(float(weights.sum()), 6), round(float(weights @ betas.cos() ** 2), 6)
    (1.0, 0.333333)
    """
    k = torch.arange(1, len(betas), 2).to(betas)
    return 2 / len(betas) * betas.sin() * (torch.sin(k * betas[:, None]) / k).sum(1)


def spherical_harmonics_s2_grid(
    lmax: int, res_beta: int, res_alpha: int, dtype: torch.dtype | None = None, device: Any = None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Angles β and α of the grid, and the two factors P (res_beta, (lmax + 1)²) and S (res_alpha, 2 lmax + 1) of harmonics.

    >>> betas, alphas, shb, sha = spherical_harmonics_s2_grid(3, 8, 7)
    >>> shb.shape, sha.shape
    (torch.Size([8, 16]), torch.Size([7, 7]))
    """
    betas, alphas = s2_grid(res_beta, res_alpha, torch.float64, device)
    shb, sha = Legendre(range(lmax + 1))(betas.cos(), betas.sin()), spherical_harmonics_alpha(lmax, alphas)
    betas, alphas, shb, sha = (table.to(dtype or torch.get_default_dtype()) for table in (betas, alphas, shb, sha))
    return betas, alphas, shb, sha


def rfft(x: Float[Tensor, "*rows res"], l: int) -> Float[Tensor, "*rows waves"]:
    """Σ_j x_j S_m(α_j) for m = −l … l: what e3nn takes from a fast Fourier transform.

    >>> rfft(torch.ones(5), 1).round().abs()
    tensor([0., 5., 0.])
    """
    res = x.shape[-1]
    if 2 * l > res:
        raise ValueError(f"{res} points on a circle do not tell waves up to m = {l} apart; take at least {2 * l + 1}")
    return x @ _waves(l, res, x)


def irfft(x: Float[Tensor, "*rows waves"], res: int) -> Float[Tensor, "*rows res"]:
    """Σ_m x_m S_m(α_j) at ``res`` points, an odd number.

    >>> irfft(torch.tensor([0.0, 2.0, 0.0]), 5)
    tensor([2., 2., 2., 2., 2.])
    """
    if not x.shape[-1] % 2 == res % 2 == 1 or x.shape[-1] > res:
        raise ValueError(f"a circle of {res} points cannot hold {x.shape[-1]} waves; both are odd, and there are no more waves")
    return F.linear(x, _waves(x.shape[-1] // 2, res, x))


def _waves(l: int, res: int, like: Tensor) -> Tensor:
    """S (res, 2l + 1): a product with it takes empty batches and compilers, which a transform does not."""
    return spherical_harmonics_alpha(l, s2_grid(1, res, torch.float64, like.device)[1]).to(like)


def grid_resolution(lmax: int | None, res: Resolution) -> tuple[int, int, int]:
    """``lmax``, ``res_beta`` and ``res_alpha``, what is not given being just enough for the way there and back.

    Raises:
        ValueError: nothing is given, the number of circles is odd, or there are too few of them for the degree.

    >>> grid_resolution(3, None), grid_resolution(None, 10), grid_resolution(2, (8, 5))
    ((3, 8, 7), (4, 10, 9), (2, 8, 5))
    """
    res_beta, res_alpha = (res, None) if res is None or isinstance(res, int) else res
    if res_beta is None:
        degrees = lmax + 1 if lmax is not None else (res_alpha + 1) // 2 if res_alpha is not None else None
        if degrees is None:
            raise ValueError("a grid on the sphere needs lmax, res or both; neither is given")
        res_beta = 2 * degrees
    if res_alpha is None:
        res_alpha = max(res_beta - 1, 2 * (lmax or 0) + 1)
    if lmax is None:
        lmax = min(res_beta // 2 - 1, (res_alpha - 1) // 2)
    if res_beta % 2 or not 0 <= lmax < res_beta // 2:
        raise ValueError(
            f"degree {lmax} needs an even number of at least {2 * max(lmax, 0) + 2} circles β; the resolution gives {res_beta}"
        )
    return lmax, res_beta, res_alpha


def _scale(normalization: str | Tensor, lmax: int, lmax_in: int) -> Tensor:
    """The factor of each degree with which coefficients of degrees up to ``lmax_in`` make a signal of variance 1."""
    two_l_plus_one = 2 * torch.arange(lmax + 1, dtype=torch.float64) + 1
    if isinstance(normalization, Tensor):
        if normalization.shape != two_l_plus_one.shape:
            raise ValueError(
                f"normalization has shape {tuple(normalization.shape)}, but must hold one factor for each of {lmax + 1} degrees"
            )
        return normalization.detach().to(two_l_plus_one)
    degrees = torch.full_like(two_l_plus_one, lmax_in + 1)
    per_degree = {"component": degrees * two_l_plus_one, "norm": degrees, "integral": torch.full_like(degrees, 4 * math.pi)}
    if normalization not in per_degree:
        raise ValueError(f"normalization is 'component', 'norm', 'integral' or a factor for each degree; got {normalization!r}")
    return (4 * math.pi / per_degree[normalization]).sqrt()


class _Sphere(nn.Module):
    """The grid, and the harmonics on it times ``factors``: one for each degree, or for each circle and degree."""

    def __init__(self, lmax: int, res_beta: int, res_alpha: int, factors: Tensor, dtype: Any, device: Any) -> None:
        super().__init__()
        self.lmax, self.res_beta, self.res_alpha = lmax, res_beta, res_alpha
        betas, alphas, shb, sha = spherical_harmonics_s2_grid(lmax, res_beta, res_alpha, torch.float64)
        shb = shb * factors.repeat_interleave(2 * torch.arange(lmax + 1) + 1, -1)
        column = torch.cat([torch.arange(lmax - l, lmax + l + 1) for l in range(lmax + 1)])  # of S, for each harmonic
        self._parts = betas, alphas, torch.einsum("bi,im->mbi", shb, torch.eye(2 * lmax + 1).to(shb)[column]), sha
        self.table = Exact(torch.einsum("bi,ai->iba", shb, sha[:, column]).flatten(1))
        self.to(dtype=dtype, device=device)

    @property
    def betas(self) -> Tensor:
        """The angles β of the circles, (res_beta,)."""
        return self._parts[0].to(self.table.values)

    @property
    def alphas(self) -> Tensor:
        """The angles α of the points on a circle, (res_alpha,)."""
        return self._parts[1].to(self.table.values)

    @property
    def shb(self) -> Tensor:
        """The factor P of the harmonics, with all normalisation, spread over m: (2 lmax + 1, res_beta, (lmax + 1)²)."""
        return self._parts[2].to(self.table.values)

    @property
    def sha(self) -> Tensor:
        """The factor S of the harmonics, (res_alpha, 2 lmax + 1)."""
        return self._parts[3].to(self.table.values)

    @property
    def grid(self) -> Tensor:
        """The points of the grid, (res_beta, res_alpha, 3)."""
        beta, alpha = torch.meshgrid(*self._parts[:2], indexing="ij")
        return angles_to_xyz(alpha, beta).to(self.table.values)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(lmax={self.lmax} res={self.res_beta}x{self.res_alpha} (beta x alpha))"


class ToS2Grid(_Sphere):
    """The values f(β_i, α_j) of a signal on the grid: inverse of :class:`FromS2Grid`.

    Args:
        lmax: highest degree of the signal.
        res: ``res_beta``, even, or both numbers of the grid; what is not given is the least that tells all degrees apart.
        normalization: what gives f variance 1 on the sphere: coefficients of variance 1 (``component``) or of variance
            1 / (2l + 1) (``norm``). ``integral``: none, f = Σ F_lm Y_lm. A tensor (lmax + 1,) holds a factor for each degree.
        dtype, device: of the table.

    >>> ToS2Grid(6, (100, 101))(torch.randn(3, 49)).shape
    torch.Size([3, 100, 101])
    """

    def __init__(
        self,
        lmax: int | None = None,
        res: Resolution = None,
        normalization: str | Tensor = "component",
        dtype: torch.dtype | None = None,
        device: Any = None,
    ) -> None:
        lmax, res_beta, res_alpha = grid_resolution(lmax, res)
        super().__init__(lmax, res_beta, res_alpha, _scale(normalization, lmax, lmax), dtype, device)

    def forward(self, x: Float[Tensor, "*rows harmonics"]) -> Float[Tensor, "*rows beta alpha"]:
        """f(β_i, α_j) = Σ_lm x_lm Y_lm(β_i, α_j)."""
        if x.shape[-1] != (self.lmax + 1) ** 2:
            dim = (self.lmax + 1) ** 2
            raise ValueError(f"x has {x.shape[-1]} components, but a signal up to degree {self.lmax} has {dim}")
        return (x @ self.table(x)).unflatten(-1, (self.res_beta, self.res_alpha))


class FromS2Grid(_Sphere):
    """The coefficients of a signal given on the grid, by quadrature: inverse of :class:`ToS2Grid`.

    Args:
        res: ``res_beta``, even, or both numbers of the grid; what is not given is the least that tells all degrees apart.
        lmax: highest degree of the coefficients.
        normalization: as that of ``ToS2Grid``; a tensor (lmax + 1,) holds the factors of the way back.
        lmax_in: highest degree for which ``ToS2Grid`` was made, if another.
        dtype, device: of the table.

    >>> to, back = ToS2Grid(6, (100, 101)), FromS2Grid((100, 101), 6)
    >>> x = torch.randn(3, 49)
    >>> torch.allclose(back(to(x)), x, atol=1e-5)
    True
    """

    def __init__(
        self,
        res: Resolution = None,
        lmax: int | None = None,
        normalization: str | Tensor = "component",
        lmax_in: int | None = None,
        dtype: torch.dtype | None = None,
        device: Any = None,
    ) -> None:
        lmax, res_beta, res_alpha = grid_resolution(lmax, res)
        scale = _scale(normalization, lmax, lmax if lmax_in is None else lmax_in)
        back = scale if isinstance(normalization, Tensor) else 4 * math.pi / scale
        weights = quadrature_weights(s2_grid(res_beta, 1, torch.float64)[0]) / res_alpha
        super().__init__(lmax, res_beta, res_alpha, weights[:, None] * back, dtype, device)

    def forward(self, x: Float[Tensor, "*rows beta alpha"]) -> Float[Tensor, "*rows harmonics"]:
        """∫ x Y_lm over the sphere, as the weighted sum over the grid."""
        if x.shape[-2:] != (self.res_beta, self.res_alpha):
            raise ValueError(f"x has the grid {tuple(x.shape[-2:])}, but this is for {(self.res_beta, self.res_alpha)}")
        return F.linear(x.flatten(-2), self.table(x))
