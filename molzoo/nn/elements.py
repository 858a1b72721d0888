"""Linear maps that differ between elements."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import nn

from molzoo.kernels import Groups, fused, grouped_matmul, groups_of, matmul
from molzoo.o3 import Irreps
from molzoo.o3.blocks import join, split
from molzoo.shapes import Float, Int, Tensor

N_ELEMENTS = 119


class Element(NamedTuple):
    """What layers are told of each atom's element: its attributes are Σ_k choice_nk basis_k, or basis_k of its group k."""

    choice: Float[Tensor, "N K"] | Groups
    basis: Float[Tensor, "K A"]

    def matmul(self, x: Float[Tensor, "N m C"], W: Float[Tensor, "K C D"]) -> Float[Tensor, "N m D"]:
        """x_n Σ_k choice_nk W_k of each atom n."""
        if isinstance(self.choice, Groups):
            return grouped_matmul(x, W, self.choice)
        # Every atom's rows once for each k, times choice: then one matrix product serves all elements.
        spread = self.choice[:, None, :, None] * x[:, :, None, :]  # (N, m, K, C)
        return matmul(spread.flatten(2), W.flatten(0, 1))


class ElementEmbedding(nn.Module):
    """A learned vector of attributes for each element.

    Args:
        elements: atomic numbers to tell apart; by default all.
        n_attributes: length A of the vectors.

    >>> ElementEmbedding([1, 6, 8], 4)(torch.tensor([8, 1])).shape
    torch.Size([2, 4])
    """

    types: Tensor

    def __init__(self, elements: Sequence[int] | None, n_attributes: int) -> None:
        super().__init__()
        known = sorted(set(elements)) if elements else range(1, N_ELEMENTS)
        types = torch.full((N_ELEMENTS,), -1)
        types[torch.tensor(list(known))] = torch.arange(len(known))
        self.register_buffer("types", types, persistent=False)
        self.embedding = nn.Embedding(len(known), n_attributes)

    def forward(self, z: Int[Tensor, " N"]) -> Float[Tensor, "N A"]:
        """The attributes of each atom."""
        return self.embedding(self.types[z])

    def element(self, z: Int[Tensor, " N"]) -> Element:
        """The same as layers want them: by groups of atoms, or else of two sums the shorter."""
        types, table = self.types[z], self.embedding.weight
        groups = groups_of(types) if fused(table) else None  # torch's own operations alone, where somebody wants those
        if groups is not None:
            return Element(groups, table.index_select(0, groups.kinds))
        S, A = table.shape
        if S <= A:
            return Element(nn.functional.one_hot(types, S).to(table), table)
        return Element(self.embedding(types), torch.eye(A).to(table))


class ElementLinear(nn.Module):
    """y_o = Σ_i x_i W_io(a) / √n with matrices W_io(a) = Σ_k a_k W_iok of the attributes a of an atom's element.

    The same as o3.FullyConnectedTensorProduct of x and A even scalars, weights included; but each element's matrix is made
    once, and the layout is ir_mul.

    Args:
        irreps_in: of x.
        n_attributes: length A of a.
        irreps_out: of y; terms without an equal irrep in x are zero.
    """

    def __init__(self, irreps_in: str | Irreps, n_attributes: int, irreps_out: str | Irreps) -> None:
        super().__init__()
        self.irreps_in, self.irreps_out = Irreps(irreps_in), Irreps(irreps_out)
        ins, outs = self.irreps_in, self.irreps_out
        self.paths = [(i, o) for i, a in enumerate(ins) for o, b in enumerate(outs) if a.ir == b.ir]
        self.shapes = [(ins[i].mul, n_attributes, outs[o].mul) for i, o in self.paths]
        arriving = [sum(ins[i].mul * n_attributes for i, to in self.paths if to == o) for _, o in self.paths]
        self.scales = [n**-0.5 for n in arriving]
        self.weight = nn.Parameter(torch.randn(sum(map(math.prod, self.shapes))))

    def weight_views(self) -> Iterator[Float[Tensor, "A u v"]]:
        """The matrices of each attribute, for each path."""
        weights = self.weight.split([math.prod(shape) for shape in self.shapes])
        return (w.view(shape).transpose(0, 1) for w, shape in zip(weights, self.shapes, strict=True))

    def forward(self, x: Float[Tensor, "N in"], element: Element) -> Float[Tensor, "N out"]:
        """The outputs of each atom."""
        blocks = split(x, self.irreps_in, "ir_mul")
        y: list[Tensor | None] = [None] * len(self.irreps_out)
        weights = self.weight.split([math.prod(shape) for shape in self.shapes])
        for (i, o), scale, shape, w in zip(self.paths, self.scales, self.shapes, weights, strict=True):
            term = element.matmul(blocks[i], torch.einsum("ka,uav->kuv", scale * element.basis, w.view(shape)))
            so_far = y[o]
            y[o] = term if so_far is None else so_far + term
        rest = zip(y, self.irreps_out, strict=True)
        return join([x.new_zeros(len(x), ir.dim, mul) if b is None else b for b, (mul, ir) in rest], "ir_mul", like=x)
