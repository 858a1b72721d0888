"""Sums over triplets k→j→i that keep few and narrow tensors of one row for each triplet (DimeNet, eq. 9).

    y_ji[b] = Σ_k s_kji[b] x_kj ,    s_kji[b] = Σ_l P_l(cos α_kji) a_kj[l, b] ,    b < B .

Both are convolutions of :mod:`molzoo.kernels`: the first on the line graph, whose nodes are edges and whose edges are triplets.
Nothing of the width of x, nor of all (l, n), is made for a triplet.
"""

from functools import lru_cache

import torch

from molzoo.kernels import ConvolutionProgram, Term, contract
from molzoo.nn.convolution import Edges
from molzoo.shapes import Float, Int, Tensor


class TripletSum:
    """The two steps, for the triplets of one graph.

    Args:
        kj: first edge of each triplet.
        ji: second edge, sorted.
        pair: the undirected pair of each edge, a row of a.

    >>> one = TripletSum(torch.tensor([1]), torch.tensor([0]), torch.tensor([0, 1]))  # edge 1 → edge 0
    >>> s = one.angular(torch.ones(1, 2), torch.tensor([[[0.0], [0.0]], [[3.0], [4.0]]]))
    >>> s, one(torch.tensor([[5.0], [6.0]]), s)
    (tensor([[7.]]), tensor([[42.],
            [ 0.]]))
    """

    def __init__(self, kj: Int[Tensor, " T"], ji: Int[Tensor, " T"], pair: Int[Tensor, " E"]) -> None:
        each, none = torch.arange(len(kj), device=kj.device), torch.zeros_like(kj)
        self.line = Edges(kj, ji, len(pair), none)
        self.each = Edges(none, each, len(kj), pair[kj])

    def angular(self, P: Float[Tensor, "T n_spherical"], a: Float[Tensor, "P n_spherical B"]) -> Float[Tensor, "T B"]:
        """The scalars s of each triplet."""
        one, w = a.new_ones(1, a.shape[2]), a.flatten(1)
        return contract(_angular(*a.shape[1:]), self.each.index(1, len(w)), one, P, w)

    def __call__(self, x: Float[Tensor, "E C"], s: Float[Tensor, "T B"]) -> Float[Tensor, "E BC"]:
        """The sums y of each edge, the B parts side by side."""
        return contract(_outer(s.shape[1], x.shape[1]), self.line.index(len(x), 1), x, s, x.new_ones(1, x.shape[1]))


@lru_cache
def _angular(n_spherical: int, B: int) -> ConvolutionProgram:
    return ConvolutionProgram((B,), n_spherical, (B,), tuple((Term(0, l, 0, 1.0),) for l in range(n_spherical)))


@lru_cache
def _outer(B: int, C: int) -> ConvolutionProgram:
    return ConvolutionProgram((C,), B, (C,) * B, (tuple(Term(0, b, b, 1.0) for b in range(B)),))
