"""``connect``: what every model calls first, so that any PyG data with ``z`` and ``pos`` can be given to it."""

from typing import Any

import torch
from torch_geometric.data import Data

from molzoo.graph.atom_graph import AtomGraph
from molzoo.graph.neighbours import neighbour_list
from molzoo.graph.pairs import NeighbourList, given_edges
from molzoo.quantities import QUANTITIES
from molzoo.shapes import Tensor

_FRAME = {"cell": (3, 3), "pbc": (3,), "charge": (), "spin": ()}
_GRAPH_SHAPES = _FRAME | {row.name: row.shape for row in QUANTITIES.values() if row.per == "graph"}
_ATOM_SHAPES = {row.name: row.shape for row in QUANTITIES.values() if row.per == "atom"}


def connect(graph: Data, cutoff: float, backend: str = "auto") -> AtomGraph:
    """``graph`` with sorted and paired edges: itself if it has them, else a new AtomGraph; the input is never changed.

    Edges are found within ``cutoff`` (Å); ``edge_index`` (with ``edge_shift``) that came with a plain graph is kept, sorted
    and paired. Gradients flow through ``pos`` and ``cell``.

    Args:
        graph: an AtomGraph, or a PyG ``Data`` or ``Batch`` with ``z`` and ``pos`` and, where they matter, ``cell``, ``pbc``,
            ``batch``, ``charge``, ``edge_index``, ``edge_shift`` and labels.
        cutoff: Å.
        backend: see :func:`neighbour_list`.

    Raises:
        ValueError: edges end before ``cutoff``, or something is missing or cannot be.

    >>> connect(Data(z=torch.tensor([1, 1]), pos=torch.eye(3)[:2]), 2.0).edge_index.tolist()
    [[1, 0], [0, 1]]
    """
    if isinstance(graph, AtomGraph) and "pair_index" in graph:
        held = graph.cutoff
        if held is not None and held < cutoff - 1e-9:
            raise ValueError(
                f"the graph holds edges to {held:g} Å but the model needs {cutoff:g} Å; connect it with the model's cutoff"
            )
        return graph
    fields = _atoms(graph)
    if fields.get("edge_index") is None:
        edges = neighbour_list(fields["pos"], cutoff, fields["cell"], fields["pbc"], fields.get("batch"), backend)
        fields = without_edges(fields) | {"edge_cutoff": (float(cutoff),)}
    else:
        edges, order = _completed(fields)
        fields = without_edges(fields) | _reordered(fields, order)
    return AtomGraph(**fields, **edges._asdict())


def without_edges(fields: dict[str, Any]) -> dict[str, Any]:
    """``fields`` less all that belongs to edges."""
    return {name: value for name, value in fields.items() if not name.startswith(("edge_", "pair_"))}


def _atoms(graph: Data) -> dict[str, Any]:
    """Fields of ``graph`` with cell, pbc and charge for each structure, and known labels in their shapes."""
    fields = graph.to_dict()
    if fields.get("z") is None or fields.get("pos") is None:
        raise ValueError(f"a graph needs atomic numbers `z` and positions `pos`; this one has {', '.join(fields) or 'nothing'}")
    pos, n_graphs = fields["pos"], _n_graphs(fields)
    if fields.get("cell") is not None and fields.get("pbc") is None and bool(torch.as_tensor(fields["cell"]).any()):
        raise ValueError("the graph has a cell but no pbc; set pbc=True for a periodic structure, pbc=False for a molecule")
    blank = {
        "cell": pos.new_zeros(n_graphs, 3, 3),
        "pbc": torch.zeros(n_graphs, 3, dtype=torch.bool, device=pos.device),
        "charge": pos.new_zeros(n_graphs),
    }
    given = {name: _shaped(name, value, n_graphs, len(pos)) for name, value in fields.items() if value is not None}
    return blank | given


def _n_graphs(fields: dict[str, Any]) -> int:
    if fields.get("ptr") is not None:
        return len(fields["ptr"]) - 1
    cell, batch = fields.get("cell"), fields.get("batch")
    if isinstance(cell, Tensor) and cell.ndim == 3:
        return len(cell)
    return int(batch.max()) + 1 if batch is not None and len(batch) else 1


def _shaped(name: str, value: Any, n_graphs: int, n_atoms: int) -> Any:
    """``value`` with its axes as in the table of quantities.

    PyG's own batching joins, say, dipoles (3,) to (3B,) and keeps energies (1, 1) as (B, 1), which broadcasts silently.
    """
    if name not in _GRAPH_SHAPES and name not in _ATOM_SHAPES:
        return value
    value = torch.as_tensor(value)
    shape = (n_graphs, *_GRAPH_SHAPES[name]) if name in _GRAPH_SHAPES else (n_atoms, *_ATOM_SHAPES[name])
    if name == "pbc" and value.numel() == n_graphs != 3 * n_graphs:
        return value.reshape(-1, 1).expand(shape)
    if value.numel() == torch.Size(shape).numel():
        return value.reshape(shape)
    if name in _FRAME:
        raise ValueError(f"`{name}` must have shape {shape} for {n_graphs} structures; got {tuple(value.shape)}")
    return value


def _completed(fields: dict[str, Any]) -> tuple[NeighbourList, Tensor]:
    """The edges of ``fields``, checked, sorted and paired, and the order that sorted them."""
    edge_index, shift, batch = fields["edge_index"].long(), fields.get("edge_shift"), fields.get("batch")
    if edge_index.numel() and not 0 <= edge_index.min() <= edge_index.max() < len(fields["pos"]):
        raise ValueError(f"edge_index must name atoms from 0 to {len(fields['pos']) - 1}; got {int(edge_index.max())}")
    if batch is not None and (batch[edge_index[0]] != batch[edge_index[1]]).any():
        raise ValueError("edge_index joins atoms of different structures; leave it out and edges are found for you")
    if shift is None and fields["pbc"].any():
        raise ValueError("periodic edges need edge_shift (E, 3); leave edge_index out and edges are found for you")
    n = edge_index.shape[1]
    shift = torch.zeros(n, 3, device=edge_index.device) if shift is None else shift
    if shift.shape != (n, 3) or (shift != shift.round()).any():
        raise ValueError(f"edge_shift must hold ({n}, 3) whole numbers, lattice images; got shape {tuple(shift.shape)}")
    arrays = (*edge_index, shift.long())
    if edge_index.device.type == "cpu":
        arrays = tuple(array.detach().numpy() for array in arrays)
    return given_edges(*arrays)


def _reordered(fields: dict[str, Any], order: Tensor) -> dict[str, Any]:
    """What else ``fields`` say of each edge, in the new order; an ``edge_…`` of another length is dropped."""
    known = ("edge_index", "edge_shift", "edge_cutoff")
    named = {name: value for name, value in fields.items() if name.startswith("edge_") and name not in known}
    return {n: v[order] for n, v in named.items() if isinstance(v, Tensor) and v.ndim and len(v) == len(order)}
