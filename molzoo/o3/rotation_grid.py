"""Signals on the group of rotations in two forms: coefficients of the Wigner matrices, and values on a grid of angles.

    f(α, β, γ) = Σ_lmn F_lmn √(2l + 1) D^l_mn(α, β, γ) / √dim        dim = Σ_l (2l + 1)²

As a function of α and of γ, D^l_mn is a sum of the waves S_μ of :mod:`molzoo.o3.sphere_grid`. So a small table for each β gives
the coefficients of S_μ(α) S_ν(γ), and two small products with S the values; a table of D itself is ten times as large, or more.
"""

import torch
from torch import nn
from torch.nn import functional as F

from molzoo.o3.blocks import Layout, fits, layout_of
from molzoo.o3.exact import Exact
from molzoo.o3.irreps import Irreps
from molzoo.o3.sphere_grid import quadrature_weights, s2_grid, spherical_harmonics_s2_grid
from molzoo.o3.wigner import wigner_D
from molzoo.shapes import Float, Tensor


class SO3Grid(nn.Module):
    """Both ways between coefficients and values on a grid of res_alpha × res_beta × res_gamma rotations.

    Turning the signal, f(R) → f(R Q), turns the coefficients as features of ``irreps``: 2l + 1 copies of each degree l.

    Args:
        lmax: highest degree.
        resolution: half the number of angles β; the way back is exact for signals of degree below 2 resolution − lmax.
        normalization: ``component``: coefficients of variance 1 give f variance 1.
        aspect_ratio: number of angles α, and γ, over that of β.
        layout: of the coefficients, ``mul_ir`` or ``ir_mul``.

    >>> so3 = SO3Grid(2, 3)
    >>> x = torch.randn(4, so3.irreps.dim)
    >>> so3.to_grid(x).shape, torch.allclose(so3.from_grid(so3.to_grid(x)), x, atol=1e-5)
    (torch.Size([4, 12, 6, 12]), True)
    """

    def __init__(
        self,
        lmax: int,
        resolution: int,
        *,
        normalization: str = "component",
        aspect_ratio: int | float = 2,
        layout: Layout = "mul_ir",
    ) -> None:
        super().__init__()
        if normalization != "component":
            raise ValueError(f"the only normalization of signals on rotations is 'component'; got {normalization!r}")
        self.lmax, self.layout = lmax, layout_of(layout)
        self.irreps = Irreps([(2 * l + 1, (l, 1)) for l in range(lmax + 1)])
        self.res_beta, self.res_alpha = 2 * resolution, round(2 * aspect_ratio * resolution)
        self.res_gamma = self.res_alpha
        self._angles = s2_grid(self.res_beta, self.res_alpha, torch.float64)
        # The few angles α and γ that tell all waves apart give the waves' coefficients in D without error.
        _, few, _, S = spherical_harmonics_s2_grid(lmax, 1, 2 * lmax + 1, torch.float64)
        D = self._matrices(few, self._angles[0], few) / self.irreps.dim**0.5
        self.table = Exact(torch.einsum("am,abci,cn->imbn", S, D, S).flatten(1) / len(few) ** 2)
        self.waves = Exact(spherical_harmonics_s2_grid(lmax, 1, self.res_alpha, torch.float64)[3])
        self.weights = Exact(self._qw * self.irreps.dim)

    def _matrices(self, alpha: Tensor, beta: Tensor, gamma: Tensor) -> Tensor:
        """√(2l + 1) D^l of all degrees, flat in the layout, for each α, β and γ."""
        angles = alpha[:, None, None], beta[:, None], gamma
        matrices = [(2 * l + 1) ** 0.5 * wigner_D(l, *angles) for l in range(self.lmax + 1)]
        return torch.cat([(D if self.layout == "mul_ir" else D.mT).flatten(-2) for D in matrices], -1)

    @property
    def _qw(self) -> Tensor:
        return quadrature_weights(self._angles[0]) / self.res_alpha**2

    @property
    def alpha(self) -> Tensor:
        """The angles α, (res_alpha,)."""
        return self._angles[1].to(self.table.values)

    @property
    def beta(self) -> Tensor:
        """The angles β, (res_beta,)."""
        return self._angles[0].to(self.table.values)

    @property
    def gamma(self) -> Tensor:
        """The angles γ, (res_gamma,)."""
        return self.alpha

    @property
    def qw(self) -> Tensor:
        """The share of each rotation in a mean over all, by its β; (res_beta,)."""
        return self._qw.to(self.table.values)

    @property
    def D(self) -> Tensor:
        """√(2l + 1) D^l on the grid, (res_alpha, res_beta, res_gamma, dim); large, and not kept."""
        beta, alpha = self._angles
        return self._matrices(alpha, beta, alpha).to(self.table.values)

    def to_grid(self, features: Float[Tensor, "*rows features"]) -> Float[Tensor, "*rows alpha beta gamma"]:
        """Values f(α, β, γ) = Σ_μν S_μ(α) S_ν(γ) Σ_i F_i T_iμν(β)."""
        fits(features, self.irreps)
        S = self.waves(features)
        x = (features @ self.table(features)).unflatten(-1, (S.shape[1], self.res_beta, S.shape[1]))
        return (S @ (x @ S.mT).flatten(-2)).unflatten(-1, (self.res_beta, self.res_gamma))

    def from_grid(self, features: Float[Tensor, "*rows alpha beta gamma"]) -> Float[Tensor, "*rows features"]:
        """Coefficients F_lmn of f: the mean of f √(2l + 1) D^l_mn √dim, by quadrature."""
        grid = (self.res_alpha, self.res_beta, self.res_gamma)
        if features.shape[-3:] != grid:
            raise ValueError(f"features have the grid {tuple(features.shape[-3:])}, but this is for {grid}")
        S = self.waves(features)
        x = (S.mT @ features.flatten(-2)).unflatten(-1, (self.res_beta, self.res_gamma)) @ S
        return F.linear((x * self.weights(x)[:, None]).flatten(-3), self.table(x))

    def __repr__(self) -> str:
        return f"SO3Grid(lmax={self.lmax} res={self.res_alpha}x{self.res_beta}x{self.res_gamma} (alpha x beta x gamma))"
