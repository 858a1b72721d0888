"""Laws of symmetry: what predictions do as a structure is moved, turned, mirrored, renumbered, wrapped, repeated or batched."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch_geometric.data import Batch

from molzoo.check.measure import (
    Found,
    compare,
    defined,
    is_periodic,
    joined,
    predicted,
    rattled,
    sharper,
    sizes,
    variant,
    worst,
)
from molzoo.graph import AtomGraph
from molzoo.o3 import Irreps
from molzoo.predictor import Predictor
from molzoo.quantities import QUANTITIES, quantity
from molzoo.shapes import Float, Int, Tensor

FAR = 100.0  # Å, beyond any cutoff


@dataclass(frozen=True)
class Motion:
    """x → R x + t for every atom, which then stands at another place in the list.

    Args:
        rotation: R in O(3).
        translation: t, Å.
        order: atom k of the moved structure is atom order[k] of the first.
    """

    rotation: Float[Tensor, "3 3"]
    translation: Float[Tensor, "3"]
    order: Int[Tensor, " N"]

    def structure(self, graph: AtomGraph) -> AtomGraph:
        """The moved structure, without edges."""
        pos = (graph.pos @ self.rotation.T.to(graph.pos) + self.translation.to(graph.pos))[self.order]
        return variant(graph, z=graph.z[self.order], pos=pos, cell=graph.cell @ self.rotation.T.to(graph.cell))

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


def translation(predictor: Predictor, graph: AtomGraph) -> Found:
    """Three random shifts of some 10 Å."""
    return _moved(predictor, graph, [_motion(graph, translation=random_motion(0, seed).translation) for seed in range(3)])


def rotation(predictor: Predictor, graph: AtomGraph) -> Found:
    """Three random rotations."""
    turns = [random_motion(0, seed, inverted=False).rotation for seed in range(3)]
    return _moved(predictor, graph, [_motion(graph, rotation=turn) for turn in turns])


def inversion(predictor: Predictor, graph: AtomGraph) -> Found:
    """X → −x."""
    return _moved(predictor, graph, [_motion(graph, rotation=-torch.eye(3, dtype=torch.float64))])


def permutation(predictor: Predictor, graph: AtomGraph) -> Found:
    """Three random orders of the atoms."""
    return _moved(predictor, graph, [_motion(graph, order=random_motion(len(graph.z), seed).order) for seed in range(3)])


def _motion(graph: AtomGraph, **changes: Tensor) -> Motion:
    rest = {"rotation": torch.eye(3, dtype=torch.float64), "translation": torch.zeros(3, dtype=torch.float64)}
    return Motion(**(rest | {"order": torch.arange(len(graph.z))} | changes))


def _moved(predictor: Predictor, graph: AtomGraph, motions: Sequence[Motion]) -> Found:
    """Deviation of the moved structures' predictions from the moved predictions."""
    names = defined(predictor, graph)
    first = predicted(predictor, graph, names)
    size = sizes(predictor, graph, first)
    return worst(
        compare(
            predicted(predictor, motion.structure(graph), names),
            {name: motion.value(name, first[name]) for name in names},
            size,
        )
        for motion in motions
    )


def batching(predictor: Predictor, graph: AtomGraph) -> Found:
    """The structure with its first atom, with nothing and with a rattled copy of itself in one batch."""
    members = [graph, variant(graph, z=graph.z[:1], pos=graph.pos[:1]), variant(graph, z=graph.z[:0], pos=graph.pos[:0])]
    members = [variant(member) for member in [*members, rattled(graph)]]
    names = defined(predictor, graph)
    together = predicted(predictor, Batch.from_data_list(members), names)
    singles = [predicted(predictor, member, names) for member in members]
    wanted = {name: torch.cat([single[name] for single in singles]) for name in names}
    each = [sizes(predictor, member, single) for member, single in zip(members, singles, strict=True) if len(member.z)]
    return compare(together, wanted, {name: max(size[name] for size in each) for name in names})


def additivity(predictor: Predictor, graph: AtomGraph) -> Found:
    """The structure twice and once more without its last atom, far apart, as one structure."""
    fewer = max(1, len(graph.z) - 1)
    parts = [graph, graph, variant(graph, z=graph.z[:fewer], pos=graph.pos[:fewer])]
    names = [name for name in defined(predictor, graph) if adds_up(name)]
    whole = joined(parts, FAR)
    together = predicted(predictor, whole, names)
    alone = [predicted(predictor, part, names) for part in parts]
    wanted = {name: torch.cat([one[name] for one in alone]) for name in together}
    wanted |= {name: value.sum(0, keepdim=True) for name, value in wanted.items() if quantity(name).per == "graph"}
    return compare(together, wanted, sharper(sizes(predictor, whole, together)))


def adds_up(name: str) -> bool:
    """Whether it is a plain sum over atoms or of single ones: dipoles and ⟨R²⟩, which know the molecule's centre, are not."""
    return name in ("energies", "forces") or (quantity(name).extensive and quantity(name).periodic is None)


def supercell(predictor: Predictor, graph: AtomGraph) -> Found:
    """Two cells along each periodic direction: extensive quantities grow with the cells, others stay."""
    axes = [torch.arange(2 if periodic else 1) for periodic in graph.pbc[0].tolist()]
    images = torch.cartesian_prod(*axes).to(graph.pos)
    n = len(images)
    pos = (graph.pos[None] + (images @ graph.cell[0])[:, None]).flatten(0, 1)
    cell = graph.cell * torch.tensor([float(len(axis)) for axis in axes])[:, None].to(graph.cell)
    names = defined(predictor, graph)
    one = predicted(predictor, graph, names)
    larger = variant(graph, z=graph.z.repeat(n), pos=pos, cell=cell, charge=n * graph.charge)
    wanted = {}
    for name in names:
        row = quantity(name)
        copied = one[name].repeat(n, *[1] * len(row.shape)) if row.per == "atom" else one[name]
        wanted[name] = n * copied if row.extensive else copied
    size = sizes(predictor, graph, one)
    size = {name: n * value if quantity(name).extensive else value for name, value in size.items()}
    return compare(predicted(predictor, larger, names), wanted, size)


def wrapping(predictor: Predictor, graph: AtomGraph) -> Found:
    """Every atom moved by whole lattice vectors, up to three of each, at random."""
    random = torch.Generator().manual_seed(0)
    shifts = torch.randint(-3, 4, (len(graph.z), 3), generator=random).to(graph.pos) * graph.pbc[0].to(graph.pos)
    names = defined(predictor, graph)
    first, second = (
        predicted(predictor, one, names) for one in (graph, variant(graph, pos=graph.pos + shifts @ graph.cell[0]))
    )
    return compare(second, first, sizes(predictor, graph, first))


def momentum(predictor: Predictor, graph: AtomGraph) -> Found:
    """Sum of all forces and, without periodic boundaries, of all torques."""
    forces = predicted(predictor, graph, ["forces"])["forces"]
    arms = graph.pos - graph.pos.mean(0)
    size = max(1e-3, float(forces.abs().max()))
    found = [Found(float(forces.sum(0).abs().max()) / size, "total force")]
    if not is_periodic(graph):
        torque = torch.linalg.cross(arms, forces).sum(0).abs().max()
        found.append(Found(float(torque) / (size * max(1.0, float(arms.norm(dim=1).max()))), "total torque"))
    return worst(found)
