"""How predictions must change when a structure is turned, mirrored, moved and renumbered, field by field."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.data import Batch

from molzoo.graph import AtomGraph
from molzoo.o3 import Irreps
from molzoo.quantities import QUANTITIES


@dataclass(frozen=True)
class Motion:
    """x → R x + t for every atom, which then stands at another place in the list."""

    rotation: Tensor  # (3, 3) in O(3)
    translation: Tensor  # (3,)
    order: Tensor  # (N,): atom k of the moved structure is atom order[k] of the first

    def structure(self, graph: AtomGraph) -> AtomGraph:
        """The moved structure, without edges."""
        pos = (graph.pos @ self.rotation.T.to(graph.pos) + self.translation.to(graph.pos))[self.order]
        cell = graph.cell @ self.rotation.T.to(graph.cell)
        return AtomGraph(z=graph.z[self.order], pos=pos, cell=cell, pbc=graph.pbc, charge=graph.charge)

    def value(self, name: str, value: Tensor) -> Tensor:
        """What the quantity ``name`` of the moved structure must be; its row in the table says how it turns."""
        row = QUANTITIES[name]
        rank = len(row.shape)
        if {term.ir.p for term in Irreps(row.irreps)} != {(-1) ** rank}:
            raise NotImplementedError(f"{name} is {row.irreps}: a polar tensor of rank {rank} has the other parity")
        for axis in range(1, rank + 1):
            value = torch.tensordot(value, self.rotation.to(value), dims=([axis], [1])).movedim(-1, axis)
        return value[self.order] if row.per == "atom" else value


def random_motion(n_atoms: int, seed: int = 0, inverted: bool | None = None) -> Motion:
    """A random element of O(3) (``inverted``: whether det R = −1; by default either), translation and permutation."""
    random = torch.Generator().manual_seed(seed)
    q = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64, generator=random)).Q
    rotation = q * torch.linalg.det(q)  # a proper rotation
    if inverted if inverted is not None else bool(torch.rand((), generator=random) < 0.5):
        rotation = -rotation
    translation = 10 * torch.randn(3, dtype=torch.float64, generator=random)
    return Motion(rotation, translation, torch.randperm(n_atoms, generator=random))


def compare(predictor, graph: AtomGraph, names, motions: list[Motion]) -> dict[str, float]:
    """{field: largest error over ``motions``, relative to the size of the field}."""
    with torch.no_grad():
        first = predictor(graph, names)
        # Together with the structure itself, so that batching is part of what is asked.
        batch = Batch.from_data_list([graph] + [motion.structure(graph) for motion in motions])
        found = predictor(batch, names)
    errors = {}
    for name in names:
        parts = found[name].split(len(first[name]))[1:]
        wanted = [motion.value(name, first[name]) for motion in motions]
        worst = max(float((a - b).abs().max()) for a, b in zip(parts, wanted, strict=True))
        errors[name] = worst / size(name, first, graph)
    return errors


def size(name: str, values: dict[str, Tensor], graph: AtomGraph) -> float:
    """What rounding is relative to: the largest component of a field; of a sum that may cancel, its largest term."""
    parts = [values[name]]
    if name in ("dipole", "mu") and "charges" in values:
        parts.append(values["charges"][:, None] * (graph.pos - graph.pos.mean(0)))
    return max(1e-3, *(float(part.abs().max()) for part in parts))


def table(errors: dict[str, float]) -> str:
    """The errors as lines of text, the largest first."""
    return "\n".join(f"{name:<16}{error:.1e}" for name, error in sorted(errors.items(), key=lambda row: -row[1]))
