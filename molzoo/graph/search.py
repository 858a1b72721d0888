"""Which atoms lie within a cutoff of each other: three ways to find the same pairs, each pair once.

* ``vesin_pairs``: the C++ library vesin (https://github.com/luthaf/vesin), structure after structure; the fastest on a CPU.
* ``cell_pairs``: atoms in bins, all structures of a batch at once, in plain torch; for GPUs.
* ``cluster_pairs``: torch_cluster, for those who have it; molecules only.

Whatever finds a candidate, the rule that keeps it is :func:`distance` < cutoff in float64.
"""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch

from molzoo.shapes import Bool, Float, Int, Tensor

Pairs = tuple[Any, Any, Any]  # i (P,), j (P,) and shift (P, 3): r = pos[j] + shift · cell − pos[i]

_CANDIDATES = 2**21  # of one piece of work; about 300 MB at the widest place
_BINS = 2**14  # along one direction, so that the bins of a million structures can still be numbered
_HAIR = 1e-9  # relative width of the shell in which another library's distance is not trusted


class Structures(NamedTuple):
    """Checked input of a search; rows of ``cell`` without periodicity are unit vectors perpendicular to all others."""

    pos: Float[Tensor, "N 3"]
    cell: Float[Tensor, "B 3 3"]
    pbc: Bool[Tensor, "B 3"]
    batch: Int[Tensor, " N"]
    ptr: Int[Tensor, " B+1"]


def distance(s: Structures, i: Tensor, j: Tensor, shift: Tensor) -> Float[Tensor, " P"]:
    """|pos[j] + shift · cell − pos[i]|, by the same operations as :func:`molzoo.graph.geometry`."""
    r = s.pos[j] - s.pos[i] + (shift.to(s.pos)[:, :, None] * s.cell[s.batch[i]]).sum(1)
    return r.square().sum(1).sqrt()


def vesin_pairs(s: Structures, cutoff: float) -> Pairs:
    """Pairs of every structure in turn, as NumPy arrays."""
    from vesin import NeighborList

    search = NeighborList(cutoff=cutoff * (1 + _HAIR), full_list=False)
    pos, cell, pbc, ptr = s.pos.numpy(), s.cell.numpy(), s.pbc.numpy(), s.ptr.tolist()
    found: list[tuple[np.ndarray, ...]] = [(np.zeros((0, 2), np.int32), np.zeros((0, 3), np.int32))]
    for g, (start, stop) in enumerate(pairwise(ptr)):
        here = pos[start:stop]
        if _too_flat_for_vesin(here, cell[g], pbc[g], cutoff):
            i, j, shift = cell_pairs(_one(s, g), cutoff)
            found.append(((torch.stack([i, j], 1) + start).int().numpy(), shift.int().numpy()))
            continue
        pair, shift, d = search.compute(here, cell[g], pbc[g], "PSd", copy=False)
        pair = np.add(pair, start, dtype=np.int32, casting="unsafe")  # a copy: `copy=False` only lends the library's memory
        found.append(_decided(s, pair, shift, d, cutoff))
    pair, shift = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return pair[:, 0], pair[:, 1], shift


def _decided(s: Structures, pair: np.ndarray, shift: np.ndarray, d: np.ndarray, cutoff: float) -> tuple[np.ndarray, ...]:
    """The pairs with d < cutoff, those within a hair of it measured again by the common rule; ``shift`` is copied."""
    near = np.flatnonzero(d > cutoff * (1 - _HAIR))
    if not len(near):
        return pair, shift.copy()
    i, j = torch.from_numpy(pair[near]).long().unbind(1)
    keep = np.ones(len(d), dtype=bool)
    keep[near] = (distance(s, i, j, torch.from_numpy(shift[near])) < cutoff).numpy()
    return pair[keep], shift[keep]


def _too_flat_for_vesin(pos: np.ndarray, cell: np.ndarray, pbc: np.ndarray, cutoff: float) -> bool:
    """Whether vesin would have many bins in a box that is thin in one direction: version 0.6.2 then divides by zero.

    It scales the numbers of bins down to 10⁵ in all and lets the smallest become zero, which ends the whole process.
    """
    if len(pos) == 0 or max(np.abs(pos - pos[0]).max(), np.abs(cell).max()) < 10 * cutoff:
        return False  # at most 10⁴ bins or so
    inverse = np.linalg.inv(cell)
    extent = np.where(pbc, 1 / np.linalg.norm(inverse, axis=0), np.ptp(pos @ inverse, axis=0))
    bins = np.maximum(extent / cutoff, 1)
    return bool(bins.prod() > 5e4 and bins.min() * (1e5 / bins.prod()) ** (1 / 3) < 2)


def _one(s: Structures, g: int) -> Structures:
    start, stop = s.ptr[g], s.ptr[g + 1]
    return Structures(s.pos[start:stop], s.cell[g : g + 1], s.pbc[g : g + 1], s.batch[start:stop] - g, s.ptr[g : g + 2] - start)


def cluster_pairs(s: Structures, cutoff: float) -> Pairs:
    """Pairs from torch_cluster, its cap on neighbours lifted to the size of the largest structure."""
    if s.pbc.any():
        raise ValueError("torch_cluster knows no periodic cells; say backend='auto'")
    try:
        from torch_cluster import radius_graph
    except ImportError as error:  # "not installed" would mislead whoever has a build for another torch
        raise ValueError(f"torch_cluster cannot be imported ({error}); say backend='auto', or see molzoo doctor") from error
    largest = int(s.ptr.diff().max()) if len(s.ptr) > 1 else 0
    j, i = radius_graph(s.pos, cutoff * (1 + _HAIR), s.batch, max_num_neighbors=max(largest, 1))
    i, j = i[i < j], j[i < j]
    shift = torch.zeros(len(i), 3, dtype=torch.int64, device=i.device)
    near = distance(s, i, j, shift) < cutoff
    return i[near], j[near], shift[near]


class _Bins(NamedTuple):
    """Atoms in bins. Structure g has ``shape[g]`` bins, of which those up to ``reach[g]`` away can hold neighbours.

    ``members`` are the atoms by bin, ``number`` the bin of each; only bins with atoms take memory.
    """

    shape: Int[Tensor, "B 3"]
    reach: Int[Tensor, "B 3"]
    first: Int[Tensor, " B"]
    home: Int[Tensor, "N 3"]
    wrap: Int[Tensor, "N 3"]
    members: Int[Tensor, " N"]
    rank: Int[Tensor, " N"]
    number: Int[Tensor, " N"]


def cell_pairs(s: Structures, cutoff: float) -> Pairs:
    """Pairs from bins no narrower than the cutoff; a cell smaller than that is one bin, with as many images as it takes.

    Half of the surrounding bins are searched, so each pair is found once: bin and image together name a place in
    unwrapped space, and of two places one comes first.
    """
    bins = _binned(s, cutoff)
    offsets = (2 * bins.reach + 1).prod(1)
    rows = ((offsets + 1) // 2)[s.batch].cumsum(0)  # one row per atom and bin to search, numbered through
    n_rows = int(rows[-1]) if len(rows) else 0
    crowd = int(bins.number.unique_consecutive(return_counts=True)[1].max()) if n_rows else 1
    step = max(_CANDIDATES // crowd, 1)
    empty = torch.zeros(0, 5, dtype=torch.int64, device=s.pos.device)
    found = [_near(s, bins, rows, range(low, min(low + step, n_rows)), cutoff) for low in range(0, n_rows, step)]
    pairs = torch.cat([empty, *found])
    return pairs[:, 0], pairs[:, 1], pairs[:, 2:]


def _binned(s: Structures, cutoff: float) -> _Bins:
    inverse = torch.linalg.inv(s.cell)
    frac = (s.pos[:, :, None] * inverse[s.batch]).sum(1)
    wrap = torch.where(s.pbc[s.batch], frac.floor(), 0.0)
    frac = frac - wrap
    low, high = _range(frac, s.batch, len(s.cell))
    low, length = torch.where(s.pbc, 0.0, low), torch.where(s.pbc, 1.0, (high - low).clamp(min=1e-9))
    height = length / inverse.norm(dim=1)  # Å between opposite faces of the cell or of the atoms' bounding box
    shape = (height / cutoff).floor().clamp(1, _BINS)
    reach = (cutoff * shape / height + _HAIR).ceil()
    shape, reach = shape.long(), torch.where(s.pbc, reach, torch.minimum(reach, shape - 1)).long()
    home = ((frac - low[s.batch]) / length[s.batch] * shape[s.batch]).long()
    home = torch.minimum(home.clamp(min=0), shape[s.batch] - 1)
    size = shape.prod(1)
    first = size.cumsum(0) - size
    number = first[s.batch] + _flat(home, shape[s.batch])
    members = number.argsort(stable=True)
    rank = torch.empty_like(members).scatter_(0, members, torch.arange(len(members), device=members.device))
    return _Bins(shape, reach, first, home, wrap.long(), members, rank, number[members])


def _near(s: Structures, bins: _Bins, rows: Tensor, part: range, cutoff: float) -> Int[Tensor, "P 5"]:
    """Pairs (i, j, shift) of the rows in ``part``."""
    atom, image, begin, count = _searched(s, bins, rows, torch.arange(part.start, part.stop, device=rows.device))
    row = torch.arange(len(count), device=count.device).repeat_interleave(count)
    nth = torch.arange(len(row), device=row.device) - (count.cumsum(0) - count)[row]
    i, j = atom[row], bins.members[begin[row] + nth]
    shift = image[row] + bins.wrap[i] - bins.wrap[j]  # back from wrapped to the positions as they are
    near = distance(s, i, j, shift) < cutoff
    return torch.cat([i[near, None], j[near, None], shift[near]], 1)


def _searched(s: Structures, bins: _Bins, rows: Tensor, row: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """For each row: its atom, the image of the bin it searches, and where that bin's members begin and how many they are."""
    atom = torch.searchsorted(rows, row, right=True)
    g = s.batch[atom]
    shape, width = bins.shape[g], 2 * bins.reach[g] + 1
    # Offsets are words over the three axes; those from the middle one on are half of them, the middle being the own bin.
    nth = row - torch.nn.functional.pad(rows, (1, 0))[atom] + width.prod(1) // 2
    offset = torch.stack([nth // (width[:, 1] * width[:, 2]), nth // width[:, 2] % width[:, 1], nth % width[:, 2]], 1)
    offset = offset - bins.reach[g]
    place = bins.home[atom] + offset
    image = place.div(shape, rounding_mode="floor")
    inside = (s.pbc[g] | (image == 0)).all(1)
    number = torch.where(inside, bins.first[g] + _flat(place - image * shape, shape), 0)
    own = (offset == 0).all(1)
    begin = torch.where(own, bins.rank[atom] + 1, torch.searchsorted(bins.number, number))
    end = torch.searchsorted(bins.number, number, right=True)
    return atom, image, begin, torch.where(inside, end - begin, 0)


def _flat(place: Int[Tensor, "n 3"], shape: Int[Tensor, "n 3"]) -> Int[Tensor, " n"]:
    return (place[:, 0] * shape[:, 1] + place[:, 1]) * shape[:, 2] + place[:, 2]


def _range(x: Float[Tensor, "N 3"], batch: Int[Tensor, " N"], n: int) -> tuple[Tensor, Tensor]:
    """Smallest and largest row of each structure; zeros for one without atoms."""
    index, zero = batch[:, None].expand_as(x), x.new_zeros(n, 3)
    low = zero.scatter_reduce(0, index, x, "amin", include_self=False)
    return low, zero.scatter_reduce(0, index, x, "amax", include_self=False)
