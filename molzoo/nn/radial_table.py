"""Radial functions on knots: networks of the distance evaluated once for each knot instead of once for each pair.

A weight W(d) is a function of one number. Its values on K knots, interpolated by quintic B-splines, cost K rows of a network,
however many pairs there are.
"""

from collections.abc import Callable, Iterable
from functools import cache, partial
from typing import Any

import torch
from torch import nn

from molzoo.kernels import ConvolutionProgram, Index, Term, contract
from molzoo.kernels.watchers import under_vmap
from molzoo.nn.deferred import DeferredWeights, too_many
from molzoo.nn.frozen import Frozen
from molzoo.o3.exact import Exact
from molzoo.shapes import Float, Int, Tensor

Radial = Callable[..., Iterable[Tensor]]
"""Weights (rows, …) of each layer at distances (rows,), each made when its turn comes: then its layer finds them near, and
their gradients need not wait for those of all others. ``clamp=False``: continued smoothly beyond the cutoff; ``layers``: of
these layers only."""

EVERY_LAYER = slice(None)

_TAPS = 6
_QUASI_INTERPOLANT = 13 / 240, -7 / 15, 1.825, -7 / 15, 13 / 240
"""1 − δ²/4 + 13 δ⁴/240: how much each of five knots counts in a coefficient."""
_WIDTH = 2
"""Knots on each side of a coefficient that it is made of."""
_BEYOND = 2 + _WIDTH
"""Knots needed outside of an end: two for the splines that reach inside, the others for their coefficients."""

# 120 B_k by powers of u, the place between two knots (C. de Boor, A Practical Guide to Splines, 1978).
_QUINTIC = (
    (1.0, -5.0, 10.0, -10.0, 5.0, -1.0),
    (26.0, -50.0, 20.0, 20.0, -20.0, 5.0),
    (66.0, 0.0, -60.0, 0.0, 30.0, -10.0),
    (26.0, 50.0, 20.0, -20.0, -20.0, 10.0),
    (1.0, 5.0, 10.0, 10.0, 5.0, -5.0),
    (0.0, 0.0, 0.0, 0.0, 0.0, 1.0),
)


class RadialTable(nn.Module):
    """W(d) = Σ_k B_k(d/h) c_k with quintic B-splines on knots of distance h, c = (1 − δ²/4 + 13 δ⁴/240) W(knots).

    The coefficients are those of the quasi-interpolant that keeps polynomials of degree 5 (δ: central difference), so values
    are off by O(h⁶), slopes by O(h⁵), curvatures by O(h⁴). With 256 knots to 5 Å and a network of eight Bessel functions they
    are off by 1e-7, 2e-6 and 1e-5 of the largest; 50 Gaussians are narrower and want 512. Four times
    differentiable in d, any number of times in the networks' weights.

    Where the functions are a method of a network whose weights are frozen, their coefficients are kept from call to call
    (:class:`~molzoo.nn.frozen.Frozen`), so that predictions evaluate no network at all.

    The knots span [0, r_c]. Beyond, W is exactly zero; at r_c, weights that hold an envelope are zero to that error only.

    Predictions for more than :data:`~molzoo.nn.deferred.PAIRS` pairs get weights that are made a block of pairs at a time, and
    again for forces, from a table or not: the same numbers, in a fraction of the memory and a third more time.

    Args:
        n_knots: knots on [0, r_c]; 0 evaluates functions exactly.
        cutoff: r_c in Å.

    >>> exact = lambda d, **how: [torch.sin(d)[:, None]]
    >>> d = torch.linspace(0, 4.9, 99, dtype=torch.float64)
    >>> (found,) = RadialTable(64, 5.0)(exact, d)
    >>> bool((found - exact(d)[0]).abs().max() < 1e-8)
    True
    """

    def __init__(self, n_knots: int, cutoff: float) -> None:
        super().__init__()
        if n_knots and n_knots < 8:
            raise ValueError(f"a radial table needs some knots, e.g. 256, or 0 for none; got {n_knots}")
        self.n_knots, self.cutoff = n_knots, cutoff
        self.powers = Exact(torch.tensor(_QUINTIC, dtype=torch.float64).T / 120)
        self._frozen: Frozen[list[Tensor]] = Frozen()

    def _apply(self, fn: Any, recurse: bool = True) -> "RadialTable":
        self._frozen.forget()
        return super()._apply(fn, recurse)

    def forward(self, radial: Radial, d: Float[Tensor, " P"]) -> Iterable[Float[Tensor, "P _"] | DeferredWeights]:
        """The weights of each layer at each distance: from the table, or exact ones if there is none."""
        if self.training or not too_many(d):
            return self._weights(radial, d)
        n_layers = len(list(radial(d[:0])))
        return [DeferredWeights(partial(self._weight, radial, slice(n, n + 1)), d) for n in range(n_layers)]

    def _weight(self, radial: Radial, layer: slice, d: Float[Tensor, " P"]) -> Float[Tensor, "P _"]:
        (W,) = self._weights(radial, d, layer)
        return W

    def _weights(self, radial: Radial, d: Float[Tensor, " P"], layers: slice = EVERY_LAYER) -> Iterable[Float[Tensor, "P _"]]:
        if not self.n_knots:
            return radial(d, layers=layers)
        h = self.cutoff / (self.n_knots - 1)
        t = d / h
        left = t.detach().floor().long().clamp(0, self.n_knots - 2)
        splines = torch.where(d[:, None] < self.cutoff, _splines((t - left)[:, None], self.powers(t)), 0.0)
        taps = None if under_vmap(left) else _taps(left, self.n_knots + 2 * (_BEYOND - _WIDTH))
        return (_interpolated(c, left, taps, splines.to(c)) for c in self._coefficients(radial, d, layers))

    def _coefficients(self, radial: Radial, like: Tensor, layers: slice) -> Iterable[Float[Tensor, "n numel"]]:
        """Of each layer; those of weights that stay, kept."""

        def make(layers: slice) -> Iterable[Tensor]:
            h = self.cutoff / (self.n_knots - 1)
            knots = h * torch.arange(-_BEYOND, self.n_knots + _BEYOND, dtype=like.dtype, device=like.device)
            around = _around(len(knots) - 2 * _WIDTH, like.device)
            return (_of_knots(W, around) for W in radial(knots, clamp=False, layers=layers))

        network = getattr(radial, "__self__", None)
        if isinstance(network, nn.Module) and not self.training:
            kept = self._frozen(network, lambda: list(make(EVERY_LAYER)), like.dtype, like.device)
            if kept is not None:
                return kept[layers]
        return make(layers)


def _splines(u: Float[Tensor, "P 1"], powers: Float[Tensor, "6 6"]) -> Float[Tensor, "P 6"]:
    """The six pieces of the quintic B-spline; by Horner's rule, as powers have no second derivative at a knot, where u = 0."""
    *lower, highest = powers
    pieces = highest.expand(len(u), -1)
    for coefficients in reversed(lower):
        pieces = torch.addcmul(coefficients, pieces, u)
    return pieces


def _taps(left: Int[Tensor, " P"], n: int) -> Index:
    """Where the six coefficients that reach each distance begin, as edges of a convolution from n coefficients."""
    every = torch.arange(len(left), device=left.device)
    return Index(left, every, torch.zeros_like(left), n, len(left), 1)


def _of_knots(W: Float[Tensor, "K numel"], around: Index) -> Float[Tensor, "n numel"]:
    """The coefficients c = (1 − δ²/4 + 13 δ⁴/240) W of values on knots."""
    each = W.new_tensor(_QUASI_INTERPOLANT).repeat(around.n_dst)[:, None]
    return contract(_sum_of_rows(W.shape[1]), around, W, each, W.new_ones(1, 1))


def _around(n: int, device: torch.device) -> Index:
    """The knots that each of n coefficients is made of, as edges of a convolution."""
    coefficient, knot = torch.cartesian_prod(torch.arange(n, device=device), torch.arange(1 + 2 * _WIDTH, device=device)).T
    return Index(coefficient + knot, coefficient, torch.zeros_like(knot), n + 2 * _WIDTH, n, 1)


def _interpolated(
    c: Float[Tensor, "n numel"], left: Int[Tensor, " P"], taps: Index | None, splines: Float[Tensor, "P 6"]
) -> Float[Tensor, "P numel"]:
    """Σ_k B_k c_k at each distance."""
    if taps is None:  # many structures at once, each with knots of its own
        return (splines[:, :, None] * c[left[:, None] + torch.arange(_TAPS, device=left.device)]).sum(1)
    return contract(_sum_of_taps(c.shape[1]), taps, c, splines, c.new_ones(1, 1))


@cache
def _sum_of_rows(channels: int) -> ConvolutionProgram:
    """The sum Σ Y x over rows of x."""
    return ConvolutionProgram((channels,), 1, (channels,), ((Term(0, 0, 0, 1.0),),), scalar_weights=True)


@cache
def _sum_of_taps(channels: int) -> ConvolutionProgram:
    """The sum Σ_k Y_k x_k over six rows of x."""
    taps = tuple(Term(k, k, 0, 1.0) for k in range(_TAPS))
    return ConvolutionProgram((channels,), _TAPS, (channels,), (taps,), scalar_weights=True, window=_TAPS)
