"""Neighbour lists of many frames in a few flat tensors, and the one indexing trick behind every batch."""

from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

import torch

from molzoo.graph.neighbours import neighbour_list
from molzoo.shapes import Int, Tensor

if TYPE_CHECKING:
    from molzoo.data.frames import Frames

_CHUNK = 20_000  # atoms for which neighbours are looked up at once: large enough to hide overheads, small enough for memory


def rows_of(ptr: Int[Tensor, " ptr"], picked: Int[Tensor, " k"]) -> tuple[Int[Tensor, " rows"], Int[Tensor, " begins"]]:
    """All rows of the segments ``picked``, one segment after the other, and where each now begins.

    >>> rows_of(torch.tensor([0, 3, 5]), torch.tensor([1, 0]))
    (tensor([3, 4, 0, 1, 2]), tensor([0, 2, 5]))
    """
    first = ptr[picked]
    count = ptr[picked + 1] - first
    begins = torch.nn.functional.pad(count.cumsum(0), (1, 0))
    n_rows = int(begins[-1])
    return torch.arange(n_rows) + (first - begins[:-1]).repeat_interleave(count, output_size=n_rows), begins


@dataclass
class PackedEdges:
    """The edges of F frames; indices are local to the frame and kept in 32 bits.

    Args:
        cutoff: radius within which they are complete, Å.
        ptr: (F + 1,) first edge of each frame.
        pair_ptr: (F + 1,) first undirected pair of each frame.
        edge_index: (2, E) sender and receiver, counted from the frame's first atom.
        edge_shift: (E, 3) lattice images; None if no frame is periodic.
        pair_index: (E,) pair of each edge, counted from the frame's first pair.
        pair_edge: (P,) edge that stands for each pair, counted from the frame's first edge.
    """

    cutoff: float
    ptr: Int[Tensor, " ptr"]
    pair_ptr: Int[Tensor, " ptr"]
    edge_index: Int[Tensor, "2 E"]
    edge_shift: Int[Tensor, "E 3"] | None
    pair_index: Int[Tensor, " E"]
    pair_edge: Int[Tensor, " P"]

    def select(self, picked: Int[Tensor, " k"]) -> "PackedEdges":
        """The edges of frames ``picked``, in that order."""
        edges, ptr = rows_of(self.ptr, picked)
        pairs, pair_ptr = rows_of(self.pair_ptr, picked)
        # index_select and one row at a time: several times faster than indexing by brackets, and batches are cut every step.
        return PackedEdges(
            self.cutoff,
            ptr,
            pair_ptr,
            torch.stack([ends.index_select(0, edges) for ends in self.edge_index]),
            None if self.edge_shift is None else self.edge_shift.index_select(0, edges),
            self.pair_index.index_select(0, edges),
            self.pair_edge.index_select(0, pairs),
        )

    def as_fields(self, atom_ptr: Int[Tensor, " ptr"]) -> dict[str, Any]:
        """The fields of a batched graph: indices counted through all frames, in 64 bits."""
        n_edges, n_pairs = self.ptr.diff(), self.pair_ptr.diff()
        spread = lambda begins, count, n: begins[:-1].repeat_interleave(count, output_size=n)  # noqa: E731
        fields = {
            "edge_index": self.edge_index + spread(atom_ptr, n_edges, len(self.pair_index)),
            "pair_index": self.pair_index + spread(self.pair_ptr, n_edges, len(self.pair_index)),
            "pair_edge": self.pair_edge + spread(self.ptr, n_pairs, len(self.pair_edge)),
            "edge_cutoff": [(self.cutoff,)] * len(n_edges),
        }
        return fields if self.edge_shift is None else fields | {"edge_shift": self.edge_shift.long()}


def connect_frames(frames: "Frames", cutoff: float) -> PackedEdges:
    """The neighbour lists of all ``frames`` within ``cutoff`` (Å)."""
    sizes = (frames.ptr[:-1] // _CHUNK).unique_consecutive(return_counts=True)[1].tolist() or [0]
    ends = [0, *accumulate(sizes)]
    parts = [_connect_chunk(frames, begin, end, cutoff) for begin, end in pairwise(ends)]
    shifts = [part.edge_shift for part in parts if part.edge_shift is not None]
    shift = torch.cat(shifts) if bool(frames.pbc.any()) else None
    return PackedEdges(
        cutoff,
        _joined([part.ptr for part in parts]),
        _joined([part.pair_ptr for part in parts]),
        torch.cat([part.edge_index for part in parts], 1),
        shift,
        torch.cat([part.pair_index for part in parts]),
        torch.cat([part.pair_edge for part in parts]),
    )


def _joined(ptrs: list[Tensor]) -> Int[Tensor, " ptr"]:
    counts = torch.cat([ptr.diff() for ptr in ptrs])
    return torch.nn.functional.pad(counts.cumsum(0), (1, 0))


def _connect_chunk(frames: "Frames", begin: int, end: int, cutoff: float) -> PackedEdges:
    """The edges of frames ``begin`` to ``end``, looked up as one batch and counted again from each frame's first.

    Edges are sorted by receiver and pairs numbered in their order, so those of a frame lie together.
    """
    atoms = slice(int(frames.ptr[begin]), int(frames.ptr[end]))
    batch = frames.frame_of_atom[atoms] - begin
    found = neighbour_list(frames.pos[atoms], cutoff, frames.cell[begin:end], frames.pbc[begin:end], batch)
    frame_of_edge = batch[found.edge_index[1]]
    frame_of_pair = frame_of_edge[found.pair_edge]
    ptr = torch.nn.functional.pad(frame_of_edge.bincount(minlength=end - begin).cumsum(0), (1, 0))
    pair_ptr = torch.nn.functional.pad(frame_of_pair.bincount(minlength=end - begin).cumsum(0), (1, 0))
    first_atom = frames.ptr[begin:end] - frames.ptr[begin]
    return PackedEdges(
        cutoff,
        ptr,
        pair_ptr,
        (found.edge_index - first_atom[frame_of_edge]).int(),
        found.edge_shift.int(),
        (found.pair_index - pair_ptr[frame_of_edge]).int(),
        (found.pair_edge - ptr[frame_of_pair]).int(),
    )
