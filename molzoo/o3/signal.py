"""Functions on the sphere as features: made from points, read at points, looked at.

    f(x) = Σ_lm F_lm Y_lm(x / |x|)        (P f)(x) = p_val f(p_arg x) under inversion

Names and numbers are those of e3nn's ``e3nn.io``.
"""

import math
from typing import Any, NamedTuple

import torch

from molzoo.o3.harmonics import spherical_harmonics
from molzoo.o3.irreps import Irreps
from molzoo.o3.rotation import angles_to_matrix
from molzoo.o3.sphere_grid import FromS2Grid, Resolution, ToS2Grid
from molzoo.shapes import Float, Tensor


class OnGrid(NamedTuple):
    """Points (res_beta, res_alpha, 3) of a grid on the sphere, and values (..., res_beta, res_alpha) there.

    >>> OnGrid(torch.zeros(2, 3, 3), torch.zeros(2, 3)).values.shape
    torch.Size([2, 3])
    """

    grid: Tensor
    values: Tensor


class SphericalTensor(Irreps):
    """Irreps of a function on the sphere up to degree ``lmax``, and what can be done with its coefficients.

    Args:
        lmax: highest degree.
        p_val: 1 or −1: what inversion does to values.
        p_arg: 1 or −1: what it does to points.

    >>> SphericalTensor(3, 1, 1), SphericalTensor(3, 1, -1)
    (1x0e+1x1e+1x2e+1x3e, 1x0e+1x1o+1x2e+1x3o)
    """

    def __new__(cls, lmax: int, p_val: int, p_arg: int) -> "SphericalTensor":
        """The irreps (l, p_val p_arg^l)."""
        return super().__new__(cls, [(1, (l, p_val * p_arg**l)) for l in range(lmax + 1)])  # type: ignore[return-value]

    def __getnewargs__(self) -> tuple[int, int, int]:
        p_val = self[0].ir.p
        return self.lmax, p_val, p_val * self[min(1, self.lmax)].ir.p

    def _harmonics(self, r: Tensor) -> Tensor:
        return spherical_harmonics(list(range(self.lmax + 1)), r, normalize=True)

    def with_peaks_at(self, vectors: Float[Tensor, "N 3"], values: Tensor | None = None) -> Float[Tensor, " features"]:
        """Coefficients of the smallest signal that takes ``values`` in the directions of ``vectors``.

        Args:
            vectors: the directions; zero vectors count for nothing where no values are given.
            values: (N,) or a number for all; the lengths of the vectors, if not given.

        Raises:
            ValueError: values change sign under inversion and lengths do not, or ``lmax`` is too low for so many peaks.

        >>> s, r = SphericalTensor(4, 1, -1), torch.tensor([[1.0, 0.0, 0.0], [3.0, 4.0, 0.0]])
        >>> s.signal_xyz(s.with_peaks_at(r), r).round()
        tensor([1., 5.])
        """
        values = vectors.norm(dim=-1) if values is None else values.expand(vectors.shape[:-1])
        vectors, values = vectors[values != 0], values[values != 0]
        if not len(vectors):
            return vectors.new_zeros(self.dim)
        if self[0].ir.p != 1:
            raise ValueError(f"values at peaks are even under inversion, but the signal {self} changes sign; take p_val = 1")
        Y = self._harmonics(vectors)
        solution = torch.linalg.lstsq(Y @ Y.mT, values[:, None]).solution[:, 0]
        if not (Y @ (solution @ Y) - values).abs().le(1e-5 * values.abs().max()).all():
            raise ValueError(f"a signal up to degree {self.lmax} cannot have {len(values)} such peaks; take a higher lmax")
        return solution @ Y

    def sum_of_diracs(
        self, positions: Float[Tensor, "*a #N 3"], values: Float[Tensor, "*b #N"]
    ) -> Float[Tensor, "*c features"]:
        """Coefficients of Σ_i v_i δ(r_i), each δ cut off at ``lmax`` and of height v_i where it is alone.

        >>> s, r = SphericalTensor(7, 1, -1), torch.eye(3)[:2]
        >>> s.signal_xyz(s.sum_of_diracs(r, torch.tensor([-1.0, 1.0])), r).round()
        tensor([-1.,  1.])
        """
        return 4 * math.pi / (self.lmax + 1) ** 2 * (self._harmonics(positions) * values[..., None]).sum(-2)

    def from_samples_on_s2(
        self, positions: Float[Tensor, "*a #N 3"], values: Float[Tensor, "*b #N"], res: Resolution = 100
    ) -> Float[Tensor, "*c features"]:
        """Coefficients of the signal that has at each point the value of the nearest sample.

        >>> s, r = SphericalTensor(2, 1, 1), torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]])
        >>> s.from_samples_on_s2(r, torch.tensor([1.0, -1.0])).round().abs()
        tensor([0., 0., 0., 3., 0., 0., 0., 0., 0.])
        """
        shape = torch.broadcast_shapes(positions.shape[:-1], values.shape)
        if 0 in shape:
            return values.new_zeros(*shape[:-1], self.dim)
        to_harmonics = FromS2Grid(res, self.lmax, "integral", dtype=values.dtype, device=values.device)
        directions = torch.nn.functional.normalize(positions, dim=-1)
        nearest = torch.cdist(to_harmonics.grid.flatten(0, 1), directions).argmin(-1).expand(*shape[:-1], -1)
        samples = values.expand(shape).gather(-1, nearest)
        return to_harmonics(samples.unflatten(-1, (to_harmonics.res_beta, to_harmonics.res_alpha)))

    def norms(self, signal: Float[Tensor, "*rows features"]) -> Float[Tensor, "*rows degrees"]:
        """|F_l| of each degree.

        >>> SphericalTensor(1, 1, -1).norms(torch.tensor([1.5, 0.0, 3.0, 4.0]))
        tensor([1.5000, 5.0000])
        """
        return torch.stack([part.norm(dim=-1) for part in signal.split([ir.dim for _, ir in self], -1)], -1)

    def signal_xyz(self, signal: Float[Tensor, "*a features"], r: Float[Tensor, "*b 3"]) -> Tensor:
        """Values f(r / |r|), of shape (*a, *b).

        >>> SphericalTensor(3, 1, -1).signal_xyz(torch.randn(2, 16), torch.randn(5, 4, 3)).shape
        torch.Size([2, 5, 4])
        """
        return torch.tensordot(signal, self._harmonics(r), dims=([-1], [-1]))

    def signal_on_grid(
        self, signal: Float[Tensor, "*rows features"], res: Resolution = 100, normalization: str = "integral"
    ) -> OnGrid:
        """Values of f on the grid of :class:`ToS2Grid`.

        >>> SphericalTensor(2, 1, -1).signal_on_grid(torch.randn(9), 20).grid.shape
        torch.Size([20, 19, 3])
        """
        to_grid = ToS2Grid(self.lmax, res, normalization, dtype=signal.dtype, device=signal.device)
        return OnGrid(to_grid.grid, to_grid(signal))

    def plot(
        self,
        signal: Float[Tensor, " features"],
        center: Tensor | None = None,
        res: Resolution = 100,
        radius: bool = True,
        relu: bool = False,
        normalization: str = "integral",
    ) -> tuple[Tensor, Tensor]:
        """A closed surface: points (res_beta, res_alpha + 1, 3), the first and last circle at the poles, and f there.

        Args:
            signal, center: the coefficients (dim,); where the surface is, (3,), the origin if not given.
            res, normalization: as of :class:`ToS2Grid`.
            radius, relu: whether the distance from the centre is |f| and not 1; whether negative values count as 0.

        >>> r, f = SphericalTensor(2, 1, -1).plot(torch.randn(9), res=20)
        >>> r.shape, f.shape
        (torch.Size([20, 20, 3]), torch.Size([20, 20]))
        """
        r, f = self.signal_on_grid(signal, res, normalization)
        f = f.relu() if relu else f
        pole = r.new_tensor([0.0, 1.0, 0.0]).expand_as(r[:1])
        r = torch.cat([pole, r[1:-1], -pole])
        f = torch.cat([f[:1].mean().expand_as(f[:1]), f[1:-1], f[-1:].mean().expand_as(f[:1])])
        r, f = torch.cat([r, r[:, :1]], 1), torch.cat([f, f[:, :1]], 1)
        r = r * f.abs()[..., None] if radius else r
        return r if center is None else r + center, f

    def plotly_surface(
        self,
        signals: Float[Tensor, "*rows features"],
        centers: Tensor | None = None,
        res: Resolution = 100,
        radius: bool = True,
        relu: bool = False,
        normalization: str = "integral",
    ) -> list[dict[str, Any]]:
        """The surfaces of :meth:`plot` as arguments of ``plotly.graph_objects.Surface``.

        >>> [trace] = SphericalTensor(2, 1, -1).plotly_surface(torch.randn(9), res=20)
        >>> sorted(trace)
        ['surfacecolor', 'x', 'y', 'z']
        """
        signals = signals.detach().reshape(-1, self.dim)
        places = [None] * len(signals) if centers is None else list(centers.reshape(-1, 3))
        surfaces = [self.plot(*one, res, radius, relu, normalization) for one in zip(signals, places, strict=True)]
        arrays = [[part.cpu().numpy() for part in (*r.unbind(-1), f)] for r, f in surfaces]
        return [dict(zip(("x", "y", "z", "surfacecolor"), parts, strict=True)) for parts in arrays]

    def find_peaks(self, signal: Float[Tensor, " features"], res: int = 100) -> tuple[Tensor, Tensor]:
        """Points (n, 3) of the grid where f is higher than around them, and f there.

        >>> s = SphericalTensor(4, 1, -1)
        >>> r, f = s.find_peaks(s.with_peaks_at(torch.tensor([[0.0, 5.0, 0.0]])))
        >>> r[f.argmax()].round().abs()
        tensor([0., 1., 0.])
        """
        # The poles and the seam of one grid lie inside the other, which is turned.
        R = angles_to_matrix(*signal.new_full((3,), math.pi / 2))
        r1, f1 = _peaks(*self.signal_on_grid(signal, res))
        r2, f2 = _peaks(*self.signal_on_grid(self.D_from_matrix(R) @ signal, res))
        r2 = r2 @ R
        new = (torch.cdist(r1, r2) >= 2 * math.pi / res).all(1)
        return torch.cat([r1[new], r2]), torch.cat([f1[new], f2])


def _peaks(r: Tensor, f: Tensor) -> tuple[Tensor, Tensor]:
    inner = f[1:-1, 1:-1]
    before, after = (f[:-2, 1:-1], f[1:-1, :-2]), (f[2:, 1:-1], f[1:-1, 2:])
    peak = torch.stack([inner > other for other in before] + [inner >= other for other in after]).all(0)
    return r[1:-1, 1:-1][peak], inner[peak]
