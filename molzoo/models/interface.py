"""What every model of the zoo is: graph → features → numbers for each atom."""

from abc import abstractmethod
from typing import Any

import torch
from torch import nn

from molzoo.o3 import Irreps
from molzoo.shapes import Float, Tensor


class AtomisticModel(nn.Module):
    """The waist of molzoo. A subclass is final, takes keyword-only plain values and defines ``features`` and ``readout``.

    ``forward(graph)`` takes an :class:`~molzoo.graph.AtomGraph` or any PyG ``Data`` with ``z`` and ``pos``, and gives one row
    for each atom, flat, in the order of ``irreps_out``. Sums over atoms, forces and references belong to the properties.

    Args:
        cutoff: radius in Å within which atoms see each other.
        irreps_out: what the properties read of each atom.
    """

    readout: nn.Module

    def __init__(self, cutoff: float, irreps_out: str) -> None:
        super().__init__()
        if not cutoff > 0:
            raise ValueError(f"cutoff must be a positive length in Å; got {cutoff}")
        self.cutoff = float(cutoff)
        self.irreps_out = Irreps(irreps_out)

    @abstractmethod
    def features(self, graph: Any) -> Float[Tensor, "N features"]:
        """What the network knows of each atom, flat, in ``mul_ir`` order."""

    def forward(self, graph: Any) -> Float[Tensor, "N out"]:
        """The outputs of each atom."""
        return self.readout(self.features(graph))

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the parameters, in which the model computes."""
        return next(self.parameters()).dtype
