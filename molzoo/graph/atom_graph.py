"""AtomGraph: one structure or a batch of them, as a PyG ``Data`` whose batching is right for every field.

===============  ============  ===========================================================================================
``z``            (N,) int      atomic numbers
``pos``          (N, 3)        positions, Å; float64 wherever molzoo reads them
``cell``         (B, 3, 3)     rows are lattice vectors, Å; zeros where there is none
``pbc``          (B, 3) bool   periodic along each lattice vector
``charge``       (B,)          total charge, e; absent means 0
``spin``         (B,)          multiplicity 2S + 1, where known
``edge_index``   (2, E)        ``[0]`` = j sends, ``[1]`` = i receives; sorted by (receiver, sender, shift)
``edge_shift``   (E, 3) int    lattice images: r_ij = pos[j] + shift · cell − pos[i]
``pair_index``   (E,)          the undirected pair of each edge; an edge and its reverse share it
``pair_edge``    (P,)          the edge that stands for each pair
``edge_cutoff``  (r,)          radius in Å within which the edges are complete, as a tuple: read it from ``cutoff``
``bond_index``   (2, bonds)    chemical bonds, kept from rdkit, both directions, with ``bond_type`` (bonds,)
labels           (B, …), (N, …)  any row of :mod:`molzoo.quantities`, by its name
===============  ============  ===========================================================================================
"""

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from molzoo.quantities import QUANTITIES

_GRAPH_AXES = {"cell": 2, "pbc": 1, "charge": 0, "spin": 0} | {
    row.name: len(row.shape) for row in QUANTITIES.values() if row.per == "graph"
}
_NODE_INDICES = ("edge_index", "bond_index")


class AtomGraph(Data):
    """A structure (or, batched by PyG, several) with everything a model, a loss or a calculator reads.

    Values that belong to the whole structure may be given bare (``energy=-3.2``, ``dipole`` of shape (3,), ``cell`` of
    shape (3, 3)); they are kept with the leading axis B, so that PyG's batching stacks instead of joining them.

    Args:
        z: atomic numbers.
        pos: positions in Å.
        cell, pbc, charge, spin: as in the table above.
        fields: edges, bonds and labels by name.

    >>> water = AtomGraph(z=[8, 1, 1], pos=[[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]], dipole=[0.1, 0.2, 0.3])
    >>> water.cell.shape, water.dipole.shape, water.n_graphs
    (torch.Size([1, 3, 3]), torch.Size([1, 3]), 1)
    """

    def __init__(
        self,
        z: Any = None,
        pos: Any = None,
        *,
        cell: Any = None,
        pbc: Any = None,
        charge: Any = 0.0,
        **fields: Any,
    ) -> None:
        if z is None or pos is None:  # PyG makes empty objects while it batches and copies
            super().__init__(**fields)
            return
        pos = _floats(pos)
        if pos.ndim != 2 or pos.shape[1] != 3 or len(pos) != len(z):
            raise ValueError(f"positions must have shape (atoms, 3); got {tuple(pos.shape)} for {len(z)} atomic numbers")
        if pbc is None and cell is not None and bool(torch.as_tensor(cell).any()):
            raise ValueError("the structure has a cell but no pbc; say pbc=True for a crystal, pbc=False for a molecule")
        frame = {
            "cell": torch.zeros(3, 3) if cell is None else cell,
            "pbc": torch.zeros(3, dtype=torch.bool) if pbc is None else pbc,
            "charge": charge,
        }
        fields = {name: with_graph_axis(name, value) for name, value in (frame | fields).items()}
        fields["cell"] = fields["cell"].to(pos)
        fields |= {name: fields[name].to(pos.device) for name in ("pbc", "charge")}
        super().__init__(z=torch.as_tensor(z, dtype=torch.long), pos=pos, **fields)

    @property
    def n_graphs(self) -> int:
        """Number of structures B."""
        return self["cell"].shape[0]

    @property
    def cutoff(self) -> float | None:
        """Radius in Å within which the edges are complete; None when edges came from elsewhere."""
        radii = self._store.get("edge_cutoff")
        return None if radii is None else min(r if isinstance(r, float) else r[0] for r in radii)

    def clone_with(self, **changes: Any) -> "AtomGraph":
        """A shallow copy in which these fields are replaced."""
        graph = copy.copy(self)
        for name, value in changes.items():
            graph[name] = value
        return graph

    def __cat_dim__(self, key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        return 1 if key in _NODE_INDICES else 0

    def __inc__(self, key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        if key in _NODE_INDICES:
            return self.num_nodes
        if key == "pair_index":
            return self["pair_edge"].numel()
        return self.num_edges if key == "pair_edge" else 0


def with_graph_axis(name: str, value: Any) -> Any:
    """``value`` as a tensor, with the axis B in front if ``name`` belongs to the whole structure and it is missing."""
    if name not in _GRAPH_AXES and name not in QUANTITIES:
        return value
    tensor = _floats(value) if name != "pbc" else torch.as_tensor(value, dtype=torch.bool)
    if name == "pbc" and tensor.ndim == 0:
        tensor = tensor.expand(3)
    return tensor[None] if tensor.ndim == _GRAPH_AXES.get(name, -1) else tensor


def _numbers(nested: Any) -> Iterator[float]:
    """The numbers in ``nested``: PyG turns ``edge_cutoff=(5.0,)`` into lists of lists as it batches and moves graphs."""
    if isinstance(nested, (int, float)):
        yield nested
        return
    for inner in nested:
        yield from _numbers(inner)


def _floats(value: Any) -> Tensor:
    """A floating-point tensor; Python and NumPy numbers become float64, tensors keep their precision."""
    tensor = value if isinstance(value, Tensor) else torch.as_tensor(value, dtype=torch.float64)
    return tensor if tensor.is_floating_point() else tensor.to(torch.float64)
