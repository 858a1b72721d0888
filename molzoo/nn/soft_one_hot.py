"""A number written as many smooth ones: the radial bases of e3nn, with e3nn's names, arguments and values.

:mod:`molzoo.nn.radial` has the bases of SchNet and DimeNet as their papers write them; its Bessel functions are those of
:func:`bessel` without the factor √(2/x_max).
"""

import math
from typing import Literal, get_args

import torch

from molzoo.quantities import nearest
from molzoo.shapes import Float, Tensor

SoftOneHotBasis = Literal["gaussian", "cosine", "smooth_finite", "fourier", "bessel"]


def soft_unit_step(x: Float[Tensor, "*rows"]) -> Float[Tensor, "*rows"]:
    """e^(−1/x) for x > 0, and 0 elsewhere: a step all of whose derivatives exist.

    >>> soft_unit_step(torch.tensor([-1.0, 0.0, 1.0]))
    tensor([0.0000, 0.0000, 0.3679])
    """
    # e^(−1000) is zero in float64 already, while the powers of 1/x in the derivatives still are finite.
    up = x > 1e-3
    return torch.where(up, torch.exp(-1 / torch.where(up, x, 1.0)), 0.0)


def bessel(x: Float[Tensor, "*rows"], n: int, x_max: float = 1.0) -> Float[Tensor, "*rows n"]:
    """√(2/x_max) sin(kπx/x_max)/x for k = 1 … n, and its limit at x = 0.

    Spherical Bessel functions of degree 0 that vanish at x_max: ∫ x² B_j B_k dx from 0 to x_max is δ_jk (J. Gasteiger et al.,
    DimeNet, 2020, eq. 7). Derivatives of any order are right, at x = 0 too.

    >>> bessel(torch.tensor([0.0, 0.25]), 2)
    tensor([[4.4429, 8.8858],
            [4.0000, 5.6569]])
    """
    k = torch.arange(1, n + 1, dtype=x.dtype, device=x.device) * (math.pi / x_max)
    return (math.sqrt(2 / x_max) * k) * _sinc(x[..., None] * k)


def _sinc(t: Tensor) -> Tensor:
    """sin(t)/t."""
    # Near 0 its derivatives lose their digits, while those of its series do not.
    square = t.square()
    near = square < 0.05
    small = square.clamp(max=0.05)
    series = torch.ones_like(t)
    for n in (110, 72, 42, 20, 6):  # 11·10, 9·8 …: the last one that is left out is t¹²/13!
        series = 1 - small / n * series
    far = torch.where(near, 1.0, t)
    return torch.where(near, series, torch.sin(far) / far)


def soft_one_hot_linspace(
    x: Float[Tensor, "*rows"],
    start: float,
    end: float,
    number: int,
    basis: SoftOneHotBasis | None = None,
    cutoff: bool | None = None,
) -> Float[Tensor, "*rows number"]:
    """The values at x of ``number`` functions that share an interval; inside, their squares add up to about 1.

    With s = (x − start)/(end − start) and k = 0 … number − 1, or k = 1 … number if ``cutoff``:

    - ``gaussian``: exp(−δ²)/1.12, where δ is the distance to the k-th centre in spacings; with ``cutoff``, the first and the
      last centre lie one spacing inside the interval, else on its ends.
    - ``cosine``: cos(πδ/2) for |δ| < 1; continuous, with kinks.
    - ``smooth_finite``: 1.14136 e² u(1 + δ) u(1 − δ), u being :func:`soft_unit_step`: zero for |δ| ≥ 1, and C^∞.
    - ``fourier``: cos(πks)/√(¼ + number/2), with ``cutoff`` sin(πks)/√(¼ + number/2).
    - ``bessel``: :func:`bessel` of x − start, which vanishes at ``end``; its squares do not add up to 1.

    Args:
        x: what to expand, often a distance.
        start: where the interval begins.
        end: where it ends.
        number: of functions.
        basis: one of the five.
        cutoff: whether all functions vanish outside the interval (``gaussian``: nearly).

    Raises:
        ValueError: no such basis, ``cutoff`` not given, or functions without a spacing.

    >>> soft_one_hot_linspace(torch.tensor([0.0, 1.0, 1.5]), 0.0, 3.0, 4, "cosine", cutoff=False)
    tensor([[1.0000, 0.0000, 0.0000, 0.0000],
            [0.0000, 1.0000, 0.0000, 0.0000],
            [0.0000, 0.7071, 0.7071, 0.0000]])
    """
    if cutoff not in (True, False):
        raise ValueError(f"cutoff is True or False, whether the functions vanish outside {start} to {end}; got {cutoff!r}")
    if basis is None or basis not in get_args(SoftOneHotBasis):
        raise ValueError(f"there is no basis {basis!r}{nearest(str(basis), get_args(SoftOneHotBasis))}")
    spacings = number + 1 if cutoff else number - 1
    if spacings == 0 or start == end:
        raise ValueError(f"{number} function(s) from {start} to {end} have no spacing; ask for more, or for a wider interval")
    s = ((x - start) / (end - start))[..., None]
    k = torch.arange(number, dtype=x.dtype, device=x.device) + int(cutoff)
    if basis == "bessel":
        waves = bessel(x - start, number, end - start)
    elif basis == "fourier":
        waves = (torch.sin if cutoff else torch.cos)(math.pi * k * s) / math.sqrt(0.25 + number / 2)
    else:
        return _bump(basis, s * spacings - k)
    return torch.where((s > 0) & (s < 1), waves, 0.0) if cutoff else waves


def _bump(basis: Literal["gaussian", "cosine", "smooth_finite"], delta: Tensor) -> Tensor:
    if basis == "gaussian":
        return torch.exp(-delta.square()) / 1.12
    if basis == "cosine":
        return torch.where(delta.abs() < 1, torch.cos(math.pi / 2 * delta), 0.0)
    return 1.14136 * math.exp(2) * soft_unit_step(1 + delta) * soft_unit_step(1 - delta)
