"""Frames: many structures in a few flat tensors, from which batches are cut by indexing alone.

A list of PyG graphs costs a Python object for each structure and a collation for each batch; for small molecules that is
dearer than the model. Here a batch of any structures is a dozen gathers, equal field by field to PyG's own
``Batch.from_data_list``.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch

from molzoo.data.packed import PackedEdges, connect_frames, rows_of
from molzoo.data.structures import HEAVIEST
from molzoo.graph.atom_graph import AtomGraph
from molzoo.quantities import QUANTITIES, quantity
from molzoo.shapes import Float, Int, Tensor

ArrayLike = Tensor | np.ndarray | Sequence[Any]
Indices = Sequence[int] | Int[Tensor, " k"]


class Frames:
    """F structures with A atoms in all, packed one after the other.

    Args:
        z: (A,) atomic numbers.
        pos: (A, 3) positions, Å; kept in float64.
        ptr: (F + 1,) first atom of each frame, and A.
        cell: (F, 3, 3) rows are lattice vectors, Å; absent means none.
        pbc: (F, 3) periodic along each lattice vector; absent means nowhere.
        charge: (F,) total charges, e; absent means 0.
        spin: (F,) multiplicities, where known.
        labels: float64 values by the name of the quantity, with leading axis F or A; what a frame lacks is NaN.

    >>> h2 = Frames([1, 1], [[0, 0, 0], [0, 0, 0.74]], [0, 2], labels={"energy": [-31.7]})
    >>> len(h2), h2[0].energy
    (1, tensor([-31.7000], dtype=torch.float64))
    """

    def __init__(
        self,
        z: ArrayLike,
        pos: ArrayLike,
        ptr: ArrayLike,
        *,
        cell: ArrayLike | None = None,
        pbc: ArrayLike | None = None,
        charge: ArrayLike | None = None,
        spin: ArrayLike | None = None,
        labels: dict[str, Any] | None = None,
    ) -> None:
        self.z = torch.as_tensor(z, dtype=torch.long)
        self.pos = torch.as_tensor(pos, dtype=torch.float64)
        self.ptr = torch.as_tensor(ptr, dtype=torch.long)
        n = len(self)
        self.cell = torch.zeros(n, 3, 3, dtype=torch.float64) if cell is None else torch.as_tensor(cell).double()
        self.pbc = torch.zeros(n, 3, dtype=torch.bool) if pbc is None else torch.as_tensor(pbc)
        self.charge = torch.zeros(n, dtype=torch.float64) if charge is None else torch.as_tensor(charge).double()
        self.spin = None if spin is None else torch.as_tensor(spin).double()
        self.labels = {name: torch.as_tensor(value, dtype=torch.float64) for name, value in (labels or {}).items()}
        self.edges: PackedEdges | None = None
        self._check()

    def _check(self) -> None:
        if int(self.ptr[-1]) != len(self.z) or self.pos.shape != (len(self.z), 3):
            raise ValueError(
                f"there are {len(self.z)} atomic numbers and positions of shape {tuple(self.pos.shape)}, but the frames end at "
                f"atom {int(self.ptr[-1])}; give all of them in one length"
            )
        if not len(self.cell) == len(self.pbc) == len(self.charge) == len(self):
            raise ValueError(f"cell, pbc and charge need one row for each of {len(self)} frames; give single structures")
        if not bool(self.pos.isfinite().all()):
            atom = (~self.pos.isfinite()).any(1).nonzero()[0, 0]
            frame = int(torch.searchsorted(self.ptr, atom, right=True)) - 1
            raise ValueError(f"frame {frame} (counted from 0) has a position that is not a finite number; remove that frame")
        if len(self.z) and not 1 <= int(self.z.min()) <= int(self.z.max()) <= HEAVIEST:
            raise ValueError(f"atomic numbers lie between 1 and {HEAVIEST}; got {int(self.z.min())} to {int(self.z.max())}")
        for name, value in self.labels.items():
            row = quantity(name)
            shape = (len(self) if row.per == "graph" else len(self.z), *row.shape)
            if value.shape != shape:
                raise ValueError(f"label {name!r} must have shape {shape} for {len(self)} frames; it has {tuple(value.shape)}")

    @classmethod
    def from_graphs(cls, graphs: Sequence[AtomGraph]) -> "Frames":
        """The structures of ``graphs`` with their labels; edges are left behind (see :meth:`connect`)."""
        if not graphs:
            raise ValueError("there is no structure here; give at least one")
        spins = [graph.get("spin") for graph in graphs]
        return cls(
            torch.cat([graph.z for graph in graphs]),
            torch.cat([graph.pos for graph in graphs]),
            torch.tensor([0, *(len(graph.z) for graph in graphs)]).cumsum(0),
            cell=torch.cat([graph.cell for graph in graphs]),
            pbc=torch.cat([graph.pbc for graph in graphs]),
            charge=torch.cat([graph.charge for graph in graphs]),
            spin=None if any(spin is None for spin in spins) else torch.cat(spins),
            labels=_stacked_labels(graphs),
        )

    @classmethod
    def of_one_molecule(cls, z: Any, pos: Any, labels: dict[str, Any]) -> "Frames":
        """F geometries of one molecule of n atoms: z (n,), pos (F, n, 3), labels (F, …) or (F, n, …)."""
        pos = torch.as_tensor(pos, dtype=torch.float64)
        z = torch.as_tensor(z, dtype=torch.long)
        flat = {name: torch.as_tensor(value, dtype=torch.float64) for name, value in labels.items()}
        flat = {name: value.flatten(0, 1) if quantity(name).per == "atom" else value for name, value in flat.items()}
        return cls(z.repeat(len(pos)), pos.flatten(0, 1), torch.arange(len(pos) + 1) * len(z), labels=flat)

    def __len__(self) -> int:
        return len(self.ptr) - 1

    def __getitem__(self, index: int) -> AtomGraph:
        """Frame ``index`` as a graph of its own."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"there is no frame {index}; there are {len(self)}, counted from 0")
        graph = self.select([index % len(self)])._as_graph()
        if self.edges is not None:
            graph.edge_cutoff = (self.edges.cutoff,)  # PyG's batching turns one tuple for each graph into a list of them
        return graph

    @property
    def n_atoms(self) -> Int[Tensor, " F"]:
        """Atoms in each frame."""
        return self.ptr.diff()

    @property
    def frame_of_atom(self) -> Int[Tensor, " A"]:
        """The frame each atom belongs to."""
        return torch.arange(len(self)).repeat_interleave(self.n_atoms, output_size=len(self.z))

    @property
    def n_edges(self) -> Int[Tensor, " F"]:
        """Directed edges in each frame, once connected."""
        if self.edges is None:
            raise ValueError("these frames have no edges yet; call connect(cutoff) first")
        return self.edges.ptr.diff()

    def connect(self, cutoff: float) -> "Frames":
        """These frames with all neighbour lists within ``cutoff`` (Å), computed once."""
        if self.edges is None or self.edges.cutoff != cutoff:
            self.edges = connect_frames(self, cutoff)
        return self

    def keep(self, names: Iterable[str]) -> "Frames":
        """These frames with the labels ``names`` only (views, nothing is copied)."""
        labels = {name: self.labels[name] for name in names if name in self.labels}
        return self._like(self.z, self.pos, self.ptr, labels, slice(None), self.edges)

    def select(self, indices: Indices) -> "Frames":
        """Frames ``indices``, in that order, with their labels and edges."""
        picked = torch.as_tensor(indices, dtype=torch.long)
        atoms, ptr = rows_of(self.ptr, picked)
        rows = {"graph": picked, "atom": atoms}
        labels = {name: value[rows[QUANTITIES[name].per]] for name, value in self.labels.items()}
        edges = None if self.edges is None else self.edges.select(picked)
        return self._like(self.z[atoms], self.pos[atoms], ptr, labels, picked, edges)

    def _like(
        self,
        z: Tensor,
        pos: Tensor,
        ptr: Tensor,
        labels: dict[str, Tensor],
        picked: Tensor | slice,
        edges: PackedEdges | None,
    ) -> "Frames":
        # Everything was checked when self was made, and a batch is cut for every step: no second check.
        frames = object.__new__(Frames)
        frames.z, frames.pos, frames.ptr, frames.labels, frames.edges = z, pos, ptr, labels, edges
        frames.cell, frames.pbc, frames.charge = self.cell[picked], self.pbc[picked], self.charge[picked]
        frames.spin = None if self.spin is None else self.spin[picked]
        return frames

    def batch(self, indices: Indices) -> AtomGraph:
        """Frames ``indices`` as one batched graph: ``Batch.from_data_list([frames[i] for i in indices])``, only faster."""
        frames = self.select(indices)
        graph = frames._as_graph()
        graph.batch, graph.ptr = frames.frame_of_atom, frames.ptr
        return graph

    def _as_graph(self) -> AtomGraph:
        spin = {} if self.spin is None else {"spin": self.spin}
        edges = {} if self.edges is None else self.edges.as_fields(self.ptr)
        return AtomGraph(self.z, self.pos, cell=self.cell, pbc=self.pbc, charge=self.charge, **spin, **edges, **self.labels)


def _stacked_labels(graphs: Sequence[AtomGraph]) -> dict[str, Tensor]:
    names = [name for name in QUANTITIES if any(name in graph for graph in graphs)]
    return {name: torch.cat([_label_or_nan(graph, name) for graph in graphs]) for name in names}


def _label_or_nan(graph: AtomGraph, name: str) -> Float[Tensor, "rows *shape"]:
    if name in graph:
        return graph[name].double()
    row = QUANTITIES[name]
    return torch.full((1 if row.per == "graph" else len(graph.z), *row.shape), torch.nan, dtype=torch.float64)
