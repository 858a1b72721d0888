"""Envelopes: what makes a neighbour's influence vanish, smoothly, as it leaves the cutoff."""

from typing import Literal, get_args

import torch
from torch import nn

from molzoo.quantities import nearest
from molzoo.shapes import Float, Tensor

EnvelopeName = Literal["cosine", "polynomial"]


class Envelope(nn.Module):
    """f(d): 1 at d = 0, and 0 with its first derivative(s) at and beyond the cutoff r_c.

    - ``cosine``, C¹: f = (cos(π d/r_c) + 1)/2 (J. Behler, M. Parrinello, PRL 98, 146401, 2007).
    - ``polynomial``, C²: f = 1 − (p+1)(p+2)/2 x^p + p(p+2) x^(p+1) − p(p+1)/2 x^(p+2), x = d/r_c, p = 6
      (J. Gasteiger et al., DimeNet, 2020, eq. 8).

    Args:
        name: one of the two.
        cutoff: r_c in Å.

    >>> Envelope("cosine", 5.0)(torch.tensor([0.0, 2.5, 5.0, 10.0]))
    tensor([1.0000, 0.5000, 0.0000, 0.0000])
    """

    def __init__(self, name: EnvelopeName, cutoff: float) -> None:
        super().__init__()
        if name not in get_args(EnvelopeName):
            raise ValueError(f"there is no envelope {name!r}{nearest(name, get_args(EnvelopeName))}")
        self.name, self.cutoff = name, cutoff

    def forward(self, d: Float[Tensor, " P"], clamp: bool = True) -> Float[Tensor, " P"]:
        """f(d) for each distance; without ``clamp``, the formula goes on beyond the cutoff, as radial tables need it."""
        # Clamped, not masked: at x = 1 the value and the first derivative are zero already.
        x = (d / self.cutoff).clamp(max=1.0) if clamp else d / self.cutoff
        if self.name == "cosine":
            return 0.5 * (torch.cos(torch.pi * x) + 1)
        # The same polynomial by its threefold root: no cancellation, so never negative, and exact near the cutoff.
        return (1 - x) ** 3 * (1 + x * (3 + x * (6 + x * (10 + x * (15 + x * 21)))))

    def extra_repr(self) -> str:
        """For printing."""
        return f"{self.name}, cutoff={self.cutoff}"
