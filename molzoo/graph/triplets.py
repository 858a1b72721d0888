"""Triplets k→j→i: edges as the nodes of a second graph, the line graph, whose edges they are.

A neighbour is an atom in an image: k = i is left out only where both are the same image, so that k→j is the reverse of j→i.
"""

from typing import NamedTuple

import torch

from molzoo.graph.atom_graph import AtomGraph
from molzoo.shapes import Int, Tensor


class Triplets(NamedTuple):
    """Edge k→j and edge j→i of each triplet, sorted by the second."""

    kj: Int[Tensor, " T"]
    ji: Int[Tensor, " T"]


def reverse_edges(graph: AtomGraph) -> Int[Tensor, " E"]:
    """The edge i→j of each edge j→i, the opposite image; an edge that has none is its own.

    >>> from molzoo.graph import connect
    >>> reverse_edges(connect(AtomGraph(z=[1, 1], pos=[[0, 0, 0], [0, 0, 1.0]]), 2.0)).tolist()
    [1, 0]
    """
    pair = graph.pair_index
    edge = torch.arange(len(pair), device=pair.device)
    both = edge.new_zeros(2, len(graph.pair_edge)).index_add(1, pair, torch.stack([edge, torch.ones_like(edge)]))
    total, count = both.index_select(1, pair)
    return torch.where(count == 2, total - edge, edge)


def triplets(graph: AtomGraph) -> Triplets:
    """Every k→j→i of edges that follow one another, but for those that come straight back.

    >>> from molzoo.graph import connect
    >>> chain = AtomGraph(z=[1, 1, 1], pos=[[0, 0, 0], [0, 0, 1.0], [0, 0, 2.0]])
    >>> connect(chain, 1.5).edge_index.tolist(), triplets(connect(chain, 1.5)).kj.tolist()
    ([[1, 0, 2, 1], [0, 1, 1, 2]], [2, 1])
    """
    j, i = graph.edge_index
    arriving = torch.bincount(i, minlength=len(graph.z))
    n = arriving[j]  # triplets that end in each edge
    ji = torch.arange(len(j), device=j.device).repeat_interleave(n)
    # Edges are sorted by receiver: those that arrive at an atom follow one another.
    first = (arriving.cumsum(0) - arriving)[j] - (n.cumsum(0) - n)
    kj = first[ji] + torch.arange(len(ji), device=j.device)
    back = reverse_edges(graph)[ji]
    kept = ((kj != back) | (back == ji)).nonzero()[:, 0]
    return Triplets(kj[kept], ji[kept])
