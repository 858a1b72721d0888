"""Activations of whole signals: to a grid, a function of each value, and back.

A function of each value mixes no points, so it commutes with turning the signal. On a grid it does so up to what the grid does
not resolve: exactly for a polynomial of a degree that is low enough.

Names, order of arguments and numbers are e3nn's.
"""

from typing import Any

from torch import nn

from molzoo.o3.activation import Function, normalize2mom, parity
from molzoo.o3.blocks import Layout, layout_of
from molzoo.o3.irreps import Irreps
from molzoo.o3.rotation import rand_angles
from molzoo.o3.rotation_grid import SO3Grid
from molzoo.o3.sphere_grid import FromS2Grid, Resolution, ToS2Grid, grid_resolution
from molzoo.shapes import Float, Tensor


def _signal(irreps: Irreps) -> tuple[int, int, int]:
    """``lmax``, p_val and p_arg of a signal that inversion takes to p_val f(p_arg x)."""
    lmax, p_val = len(irreps) - 1, irreps[0].ir.p if irreps else 1
    for p_arg in (1, -1):
        if irreps and irreps == Irreps([(1, (l, p_val * p_arg**l)) for l in range(lmax + 1)]):
            return lmax, p_val, p_arg
    raise ValueError(
        "a signal on the sphere has one irrep of each degree, all of one parity or alternating, e.g. 0e + 1o + 2e; "
        f"got {irreps or 'no irreps'}"
    )


class S2Activation(nn.Module):
    """A function of each value of a signal on the sphere.

    F_lm → ∫ φ(Σ F_lm Y_lm) Y_l'm', with φ normalised to second moment 1. Inversion takes the signal to p_val f(p_arg x); where
    p_val is −1, φ must be even or odd, and the result's p_val is 1 or −1.

    Args:
        irreps: of the signal: one of each degree, all of one parity (p_arg = 1) or alternating (p_arg = −1).
        act: φ.
        res: resolution of the grid, as of :class:`ToS2Grid`; the finer, the more exact the equivariance.
        normalization: ``component`` or ``norm``: what the inputs, and then the outputs, are.
        lmax_out: highest degree of the result; that of the input, if not given.
        random_rot: turns the grid at random in every call, so that its errors favour no direction.
        layout: any; both are the same where there is one copy of each degree.

    Raises:
        ValueError: irreps are no signal, or φ breaks their parity.

    >>> import torch
    >>> act = S2Activation("0e + 1o + 2e", torch.tanh, 20, lmax_out=1)
    >>> act.irreps_out, act(torch.randn(5, 9)).shape
    (1x0e+1x1o, torch.Size([5, 4]))
    """

    def __init__(
        self,
        irreps: Any,
        act: Function,
        res: Resolution,
        normalization: str = "component",
        lmax_out: int | None = None,
        random_rot: bool = False,
        *,
        layout: Layout = "mul_ir",
    ) -> None:
        super().__init__()
        layout_of(layout)
        self.irreps_in = Irreps(irreps).simplify()
        lmax, p_val, p_arg = _signal(self.irreps_in)
        lmax_out = lmax if lmax_out is None else lmax_out
        self.act = normalize2mom(act)
        p_out = 1 if p_val == 1 else parity(self.act)
        if p_out == 0:
            raise ValueError(
                f"the function is neither even nor odd, but values of the signal {self.irreps_in} change sign under inversion; "
                "choose an even or odd one, e.g. tanh"
            )
        self.irreps_out = Irreps([(1, (l, p_out * p_arg**l)) for l in range(lmax_out + 1)])
        _, *grid = grid_resolution(max(lmax, lmax_out), res)
        self.to_s2 = ToS2Grid(lmax, grid, normalization)
        self.from_s2 = FromS2Grid(grid, lmax_out, normalization, lmax_in=lmax)
        self.random_rot = random_rot

    def forward(self, features: Float[Tensor, "*rows features"]) -> Float[Tensor, "*rows out"]:
        """φ of the signal."""
        if not self.random_rot:
            return self.from_s2(self.act(self.to_s2(features)))
        angles = rand_angles(dtype=features.dtype, device=features.device)
        turned = features @ self.irreps_in.D_from_angles(*angles).mT
        return self.from_s2(self.act(self.to_s2(turned))) @ self.irreps_out.D_from_angles(*angles)

    def __repr__(self) -> str:
        return f"S2Activation ({self.irreps_in} -> {self.irreps_out})"


class SO3Activation(nn.Module):
    """A function of each value of a signal on the rotations.

    F_lmn → ∫ φ(Σ F_lmn D^l_mn) D^l'_m'n', with φ normalised to second moment 1. The coefficients are 2l + 1 copies of each
    degree l; parity is not looked at.

    Args:
        lmax_in, lmax_out: highest degrees of the input and of the result.
        act: φ.
        resolution: of the :class:`SO3Grid`; the finer, the more exact the equivariance.
        normalization: ``component``.
        aspect_ratio: number of angles α, and γ, over that of β.
        layout: of input and result, ``mul_ir`` or ``ir_mul``.

    >>> import torch
    >>> act = SO3Activation(2, 1, torch.tanh, 4)
    >>> act.irreps_in, act(torch.randn(5, 35)).shape
    (1x0e+3x1e+5x2e, torch.Size([5, 10]))
    """

    def __init__(
        self,
        lmax_in: int,
        lmax_out: int,
        act: Function,
        resolution: int,
        *,
        normalization: str = "component",
        aspect_ratio: int | float = 2,
        layout: Layout = "mul_ir",
    ) -> None:
        super().__init__()
        self.lmax_in, self.lmax_out = lmax_in, lmax_out
        self.grid_in, self.grid_out = (
            SO3Grid(lmax, resolution, normalization=normalization, aspect_ratio=aspect_ratio, layout=layout)
            for lmax in (lmax_in, lmax_out)
        )
        self.irreps_in, self.irreps_out = self.grid_in.irreps, self.grid_out.irreps
        self.act = normalize2mom(act)

    def forward(self, features: Float[Tensor, "*rows features"]) -> Float[Tensor, "*rows out"]:
        """φ of the signal."""
        return self.grid_out.from_grid(self.act(self.grid_in.to_grid(features)))

    def __repr__(self) -> str:
        return f"SO3Activation ({self.lmax_in} -> {self.lmax_out})"
