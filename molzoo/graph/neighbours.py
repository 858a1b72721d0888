"""All neighbours within a cutoff: any cell, any mixture of periodic and open directions, any batch, no cap."""

import math
from typing import Any

import numpy as np
import torch

from molzoo.graph.pairs import NeighbourList, both_directions
from molzoo.graph.search import Structures, cell_pairs, cluster_pairs, vesin_pairs
from molzoo.kernels.watchers import beneath
from molzoo.quantities import nearest
from molzoo.shapes import Float, Int, Tensor

BACKENDS = {"vesin": vesin_pairs, "torch": cell_pairs, "torch_cluster": cluster_pairs}


@torch.compiler.disable(reason="edges are found by numbers, which a compiler does not know")
def neighbour_list(
    pos: Float[Tensor, "N 3"],
    cutoff: float,
    cell: Float[Tensor, "*B 3 3"] | None = None,
    pbc: Any = None,
    batch: Int[Tensor, " N"] | None = None,
    backend: str = "auto",
) -> NeighbourList:
    """Every edge with d < ``cutoff``, decided in float64 once for both directions; a cell may be smaller than the cutoff.

    Args:
        pos: positions in Å; those of atoms outside the cell are used as they are.
        cutoff: Å.
        cell: rows are lattice vectors, Å. Rows without periodicity are never read.
        pbc: whether each lattice vector repeats: a bool, three, or (B, 3).
        batch: structure of each atom, sorted.
        backend: ``vesin`` (CPU), ``torch`` (any device), ``torch_cluster`` (molecules; if installed), or ``auto``: vesin
            on a CPU and torch elsewhere. All give the same list.

    Raises:
        ValueError: the input has no answer; the sentence says what to give instead.

    >>> edges = neighbour_list(torch.zeros(1, 3), 1.1, cell=torch.eye(3), pbc=True)
    >>> edges.edge_shift.tolist()
    [[-1, 0, 0], [0, -1, 0], [0, 0, -1], [0, 0, 1], [0, 1, 0], [1, 0, 0]]
    >>> edges.pair_index.tolist()
    [0, 1, 2, 2, 1, 0]
    """
    if not 0 < cutoff < math.inf:
        raise ValueError(f"the cutoff is a positive number of Å; got {cutoff}")
    if backend == "auto":
        backend = "vesin" if pos.device.type == "cpu" else "torch"
    if backend not in BACKENDS:
        raise ValueError(f"{backend!r} does not find neighbours{nearest(backend, ['auto', *BACKENDS])}")
    if backend == "vesin" and pos.device.type != "cpu":
        raise ValueError(f"vesin runs on a CPU and positions are on {pos.device}; say backend='torch'")
    return beneath(_found, backend, float(cutoff), pos, cell, pbc, batch)


def radius_graph(
    x: Float[Tensor, "N 3"],
    r: float,
    batch: Int[Tensor, " N"] | None = None,
    loop: bool = False,
    max_num_neighbors: int | None = None,
    flow: str = "source_to_target",
) -> Int[Tensor, "2 E"]:
    """PyG's ``radius_graph`` for molecules, without its cap: all edges, sorted by (receiver, sender).

    Args:
        x: positions in Å.
        r: cutoff in Å.
        batch: structure of each atom, sorted.
        loop: whether each atom is also joined to itself.
        max_num_neighbors: at least the number of neighbours that an atom can have; molzoo never leaves neighbours out.
        flow: whether row 1 (PyG's default) or row 0 holds receivers.

    >>> radius_graph(torch.tensor([[0.0, 0, 0], [0, 0, 1], [0, 0, 9]]), 2.0).tolist()
    [[1, 0], [0, 1]]
    """
    if max_num_neighbors is not None:
        largest = len(x) if batch is None else int(batch.bincount().max()) if len(batch) else 0
        if max_num_neighbors < largest - (not loop):
            raise ValueError(
                f"molzoo never truncates neighbours, which would break rotational symmetry, and an atom among {largest} can "
                f"have more than max_num_neighbors = {max_num_neighbors}; leave it out, or choose a smaller r for fewer"
            )
    if flow not in ("source_to_target", "target_to_source"):
        raise ValueError(f"flow is 'source_to_target' or 'target_to_source'; got {flow!r}")
    edge_index = neighbour_list(x, r, batch=batch).edge_index
    if loop:
        own = torch.arange(len(x), device=x.device).expand(2, -1)
        edge_index = torch.cat([edge_index, own], 1)
        edge_index = edge_index[:, (edge_index[1] * len(x) + edge_index[0]).argsort()]
    return edge_index if flow == "source_to_target" else edge_index.flip(0)


def _found(backend: str, cutoff: float, pos: Tensor, cell: Tensor | None, pbc: Any, batch: Tensor | None) -> NeighbourList:
    i, j, shift = BACKENDS[backend](_checked(pos.detach(), cell, pbc, batch), cutoff)
    if isinstance(i, Tensor) and i.device.type == "cpu":
        i, j, shift = i.numpy(), j.numpy(), shift.numpy()
    return both_directions(i, j, shift)


def _checked(pos: Tensor, cell: Tensor | None, pbc: Any, batch: Tensor | None) -> Structures:
    """The input of a search in float64, with all that may be left out filled in, or a refusal."""
    if not torch.isfinite(pos).all():
        atom = int((~torch.isfinite(pos)).any(1).nonzero()[0])
        raise ValueError(f"the position of atom {atom} is not finite; look for NaN or inf where the positions come from")
    if batch is None:
        batch = torch.zeros(len(pos), dtype=torch.int64, device=pos.device)
    elif (batch.diff() < 0).any():
        raise ValueError("batch must be sorted; reorder the atoms by batch.argsort(stable=True)")
    if cell is None:
        n_graphs = int(batch[-1]) + 1 if len(batch) else 1
        cell = torch.zeros(n_graphs, 3, 3, device=pos.device)
    elif pbc is None and cell.any():
        raise ValueError("there is a cell but no pbc; add pbc=True for a periodic structure, pbc=False for a molecule")
    cell = cell.detach().to(pos.device, torch.float64).reshape(-1, 3, 3)
    pbc = torch.as_tensor(False if pbc is None else pbc, dtype=torch.bool, device=pos.device).expand(len(cell), 3)
    if len(batch) and not 0 <= batch[0] <= batch[-1] < len(cell):
        raise ValueError(f"batch numbers structures from 0 to {len(cell) - 1}, one for each cell; got up to {int(batch[-1])}")
    ptr = torch.searchsorted(batch, torch.arange(len(cell) + 1, device=pos.device))
    return Structures(pos.to(torch.float64).contiguous(), _completed(cell, pbc), pbc, batch.long(), ptr)


def _completed(cell: Float[Tensor, "B 3 3"], pbc: Tensor) -> Float[Tensor, "B 3 3"]:
    """Cells whose rows without periodicity are unit vectors perpendicular to all other rows.

    Raises:
        ValueError: the periodic rows do not span as many dimensions as they are.
    """
    if not pbc.any():
        return torch.eye(3, dtype=cell.dtype, device=cell.device).repeat(len(cell), 1, 1)
    rows = torch.where(pbc[:, :, None], cell, 0.0)
    if not torch.isfinite(rows).all():
        raise ValueError("a cell holds NaN or inf; give finite lattice vectors")
    _, size, basis = torch.linalg.svd(rows)
    n_periodic = pbc.sum(1)
    smallest = size.gather(1, (n_periodic - 1).clamp(min=0)[:, None])[:, 0]
    flat = (n_periodic > 0) & (smallest <= 1e-8 * size[:, 0])
    if flat.any():
        g = int(flat.nonzero()[0])
        raise ValueError(
            f"structure {g} is periodic along {_axes(pbc[g])} but its lattice vectors there are {rows[g][pbc[g]].tolist()}, "
            "which span no cell; give the whole cell, or pbc=False"
        )
    # The last right singular vectors are what the periodic rows do not span.
    nth = (n_periodic[:, None] + (~pbc).cumsum(1) - 1).clamp(max=2)
    return torch.where(pbc[:, :, None], rows, basis.gather(1, nth[:, :, None].expand(-1, -1, 3)))


def _axes(pbc: Tensor) -> str:
    return ", ".join(np.array(["a", "b", "c"])[pbc.cpu().numpy()])
