"""Distances and directions along edges, taken once for each undirected pair."""

from typing import NamedTuple

import torch

from molzoo.graph.atom_graph import AtomGraph
from molzoo.shapes import Float, Tensor


class Geometry(NamedTuple):
    """The numbers a model reads from positions: ``d`` for each pair, ``u`` for each edge."""

    d: Float[Tensor, " P"]
    u: Float[Tensor, "E 3"]


def pair_vectors(graph: AtomGraph) -> Float[Tensor, "P 3"]:
    """r_ij = pos[j] + shift · cell − pos[i] of the edge that stands for each pair, in the precision of ``pos``."""
    sender, receiver = graph.edge_index[:, graph.pair_edge]
    r = graph.pos[sender] - graph.pos[receiver]
    shift = graph.get("edge_shift")
    if shift is None:
        return r
    cell = graph.cell[graph.batch[receiver]] if graph.get("batch") is not None else graph.cell
    return r + (shift[graph.pair_edge].to(r)[:, :, None] * cell).sum(1)


def distances(graph: AtomGraph) -> Float[Tensor, " P"]:
    """d_ij (Å) of each pair, in the precision of ``pos``, for models that need no directions."""
    return length_and_direction(pair_vectors(graph))[0]


def geometry(graph: AtomGraph, dtype: torch.dtype) -> Geometry:
    """Distances d (Å), in the precision of ``pos``, and unit vectors u from receiver to sender, in ``dtype``.

    Distances stay precise because radial bases amplify their rounding: sin(20 π d/r_c) by 60. A float32 model casts the basis
    instead, and loses nothing far from the origin. Coincident atoms have d = 0, u = 0 and finite derivatives of any order.
    """
    d, u = length_and_direction(pair_vectors(graph))
    pair = graph.pair_index
    stands = graph.pair_edge.index_select(0, pair) == torch.arange(pair.numel(), device=d.device)
    sign = torch.where(stands, 1.0, -1.0).to(dtype)
    return Geometry(d, sign[:, None] * u.to(dtype).index_select(0, pair))


def length_and_direction(r: Float[Tensor, "*rows 3"]) -> tuple[Float[Tensor, "*rows"], Float[Tensor, "*rows 3"]]:
    """|r| and r/|r|; zero, with zero derivatives, where r = 0.

    Both branches of ``where`` must be finite or the second derivative is NaN; hence the inner one.

    >>> length_and_direction(torch.tensor([[0.0, 3.0, 4.0], [0.0, 0.0, 0.0]]))[0]
    tensor([5., 0.])
    """
    square = r.square().sum(-1)
    zero = square == 0
    d = torch.where(zero, 1.0, square).sqrt()
    return torch.where(zero, 0.0, d), r / d[..., None]
