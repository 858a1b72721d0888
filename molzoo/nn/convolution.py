"""One convolution behind most of the zoo: a sum over neighbours along declared paths.

    out_i[q] = Σ_{j∈N(i)} Σ_{p→q}  w_ij[p] · C_p( x_j[in(p)] , Y(u_ij) )

Each path p couples an input block with the harmonics of degree l into an output block; C_p is a table of coefficients. SchNet
is the single path 0⊗0→0; PaiNN has three. Two ways lead to the same numbers: PyG messages, which can be read, explained and
hooked, and the compiled loops of :mod:`molzoo.kernels`, which make no tensor for each edge.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple

import torch
from torch_geometric.nn import MessagePassing

from molzoo.kernels import ConvolutionProgram, Index, Term, backend, contract
from molzoo.kernels.watchers import kept
from molzoo.nn.deferred import DeferredWeights, again
from molzoo.nn.scatter import sum_rows
from molzoo.o3 import Irreps, wigner_3j
from molzoo.shapes import Float, Int, Tensor

_STEPS = ("propagate", "message", "aggregate")


@dataclass(frozen=True, eq=False)
class Edges:
    """Where messages run: from ``src`` to ``dst`` (sorted), each reading row ``w_row`` of the weights.

    Source and destination nodes need not be the same set, and nothing is assumed about reverse edges.
    """

    src: Int[Tensor, " E"]
    dst: Int[Tensor, " E"]
    n_dst: int
    w_row: Int[Tensor, " E"]
    _indices: dict[tuple[int, int], Index] = field(default_factory=dict, repr=False)
    _blocks: dict[tuple[int, int], tuple[Tensor, "Edges"]] = field(default_factory=dict, repr=False)

    def index(self, n_src: int, n_rows: int) -> Index:
        """The edges as compiled loops want them; made once and shared by all layers."""
        make = lambda: Index(self.src, self.dst, self.w_row, n_src, self.n_dst, n_rows)  # noqa: E731
        return kept(self._indices, (n_src, n_rows), make)

    def block(self, first: int, end: int) -> tuple[Int[Tensor, " some"], "Edges"]:
        """Which edges read the rows from ``first`` to ``end`` of the weights, and these edges; made once for all layers."""
        return kept(self._blocks, (first, end), lambda: self._block(first, end))

    def _block(self, first: int, end: int) -> tuple[Tensor, "Edges"]:
        which = ((first <= self.w_row) & (self.w_row < end)).nonzero()[:, 0]
        return which, Edges(self.src[which], self.dst[which], self.n_dst, self.w_row[which] - first)


class Path(NamedTuple):
    """Input block ⊗ harmonics of degree ``l`` → output block; blocks are counted in their irreps."""

    block_in: int
    l: int
    block_out: int


class Convolution(MessagePassing):
    """The sum above. Blocks are channel-last: a block of degree l is (rows, 2l + 1, C), kept flat.

    Args:
        irreps_in: blocks of x_j.
        paths: the couplings, in the order of their weights; a path joins blocks of as many copies.
        irreps_out: blocks of the result.
        stack: paths that arrive at the same block stand side by side in its channels, in their order, instead of being summed.

    >>> schnet = Convolution("16x0e", [Path(0, 0, 0)], "16x0e")
    >>> edges = Edges(torch.tensor([1]), torch.tensor([0]), 2, torch.tensor([0]))
    >>> schnet(torch.ones(2, 16), torch.ones(1, 1), torch.full((1, 16), 3.0), edges)[:, 0]
    tensor([3., 0.])
    """

    def __init__(
        self,
        irreps_in: str | Irreps,
        paths: Sequence[Path | tuple[int, int, int]],
        irreps_out: str | Irreps,
        stack: bool = False,
    ) -> None:
        super().__init__(aggr="sum", node_dim=0)
        self.irreps_in, self.irreps_out, self.stack = Irreps(irreps_in), Irreps(irreps_out), stack
        self.paths = [Path(*path) for path in paths]
        self._arriving = [[p for p, path in enumerate(self.paths) if path.block_out == b] for b in range(len(self.irreps_out))]
        # Plain float64 tensors and not buffers: a cast to float32 and back would leave buffers rounded.
        self.tables = [self._table(path) for path in self.paths]
        self.program = self._program()
        self.channels = self.program.channels  # of each path

    def _table(self, path: Path) -> Tensor:
        """C_p of shape (2l_in + 1, 2l + 1, 2l_out + 1): √(2l_out + 1) times the Wigner 3j symbol."""
        l_in, l_out = self.irreps_in[path.block_in].ir.l, self.irreps_out[path.block_out].ir.l
        return math.sqrt(2 * l_out + 1) * wigner_3j(l_in, path.l, l_out, torch.float64)

    def _program(self) -> ConvolutionProgram:
        """The paths with their rows counted through all blocks."""
        first_in = list(accumulate((term.ir.dim for term in self.irreps_in), initial=0))
        channels_in = tuple(term.mul for term in self.irreps_in for _ in range(term.ir.dim))
        row_out, channels_out = self._rows_out()
        paths = []
        for p, ((block_in, l, _), table) in enumerate(zip(self.paths, self.tables, strict=True)):
            at = [(m, n, k) for m, n, k in table.nonzero().tolist() if abs(table[m, n, k]) > 1e-12]
            terms = (Term(first_in[block_in] + m, l * l + n, row_out[p, k], float(table[m, n, k])) for m, n, k in at)
            paths.append(tuple(terms))
        return ConvolutionProgram(channels_in, (1 + max(path.l for path in self.paths)) ** 2, channels_out, tuple(paths))

    def _rows_out(self) -> tuple[dict[tuple[int, int], int], tuple[int, ...]]:
        """The row for component k of path p, by (p, k), and the channels of each row."""
        row_of: dict[tuple[int, int], int] = {}
        channels: list[int] = []
        for (mul, ir), arriving in zip(self.irreps_out, self._arriving, strict=True):
            widths = [self.irreps_in[self.paths[p].block_in].mul for p in arriving] if self.stack else [mul]
            if sum(widths) != mul:
                raise ValueError(f"{mul}x{ir} cannot hold {sum(widths)} channels of {len(arriving)} paths side by side")
            for k in range(ir.dim):
                row_of |= {(p, k): len(channels) + (place if self.stack else 0) for place, p in enumerate(arriving)}
                channels += widths
        return row_of, tuple(channels)

    def forward(
        self,
        x: Float[Tensor, "n_src dim_in"],
        Y: Float[Tensor, "E harmonics"],
        w: Float[Tensor, "R weights"] | DeferredWeights,
        edges: Edges,
    ) -> Float[Tensor, "n_dst dim_out"]:
        """Sum of the messages that arrive at each destination; harmonics of higher degrees than those of paths are not read."""
        if isinstance(w, DeferredWeights):
            return self._by_blocks(x, Y, w, edges)
        if Y.shape[1] > self.program.n_harmonics:  # else not: the derivative of a slice fills the whole tensor with zeros
            Y = Y[:, : self.program.n_harmonics]
        if backend(x, Y, w) != "reference" and not self._watched():
            return contract(self.program, edges.index(len(x), len(w)), x, Y, w)
        size = (x.shape[0], edges.n_dst)
        return self.propagate(torch.stack((edges.src, edges.dst)), x=(x, None), Y=Y, w=w, w_row=edges.w_row, size=size)

    def _by_blocks(self, x: Tensor, Y: Tensor, w: DeferredWeights, edges: Edges) -> Tensor:
        """The same, of which no block of pairs leaves anything behind but its sum."""
        out = x.new_zeros(edges.n_dst, self.irreps_out.dim)
        for first, end in w.blocks():
            part = functools.partial(self._block, x, Y, w, edges, first, end)
            out = out + again(part)
        return out

    def _block(self, x: Tensor, Y: Tensor, w: DeferredWeights, edges: Edges, first: int, end: int) -> Tensor:
        which, those = edges.block(first, end)
        return self.forward(x, Y.index_select(0, which), w.make(w.d[first:end]), those)

    def _watched(self) -> bool:
        """Whether an explainer or a hook wants to see messages."""
        hooks = (getattr(self, f"_{step}_forward{when}_hooks") for step in _STEPS for when in ("_pre", ""))
        return bool(self.explain) or any(hooks)

    def message(
        self,
        x_j: Float[Tensor, "E dim_in"],
        Y: Float[Tensor, "E harmonics"],
        w: Float[Tensor, "R weights"],
        w_row: Int[Tensor, " E"],
    ) -> Float[Tensor, "E dim_out"]:
        """Σ_p w[p] · C_p(x_j, Y) of each edge."""
        # Split, never sliced: the derivative of a slice fills the whole tensor with zeros, that of a split is one ``cat``.
        E = len(x_j)
        w_p = w.index_select(0, w_row).split(self.channels, 1)
        blocks_in = zip(x_j.split([term.dim for term in self.irreps_in], 1), self.irreps_in, strict=True)
        x = [block.view(E, term.ir.dim, term.mul) for block, term in blocks_in]
        Y_l = Y.split([2 * l + 1 for l in range(math.isqrt(Y.shape[1]))], 1)
        terms = [
            weight[:, None] * (torch.einsum("mnk,en->ekm", table.to(Y), Y_l[path.l]) @ x[path.block_in])
            for path, table, weight in zip(self.paths, self.tables, w_p, strict=True)
        ]
        blocks = [
            self._together([terms[p] for p in arriving]).flatten(1) if arriving else x_j.new_zeros(E, term.dim)
            for arriving, term in zip(self._arriving, self.irreps_out, strict=True)
        ]
        return torch.cat(blocks, dim=1) if len(blocks) > 1 else blocks[0]

    def _together(self, terms: list[Tensor]) -> Tensor:
        """What arrives at one block: side by side, or summed."""
        return torch.cat(terms, dim=2) if self.stack else functools.reduce(torch.add, terms)

    def aggregate(self, inputs: Tensor, index: Tensor, dim_size: int) -> Tensor:
        """Sum over the edges of each receiver."""
        return sum_rows(inputs, index, dim_size)


def neighbour_norm(avg_n_neighbours: float) -> float:
    """1/√n̄, with which a sum over that many neighbours has the size of one of them.

    Raises:
        ValueError: there are none.
    """
    if not avg_n_neighbours > 0:
        raise ValueError(
            f"avg_n_neighbours, of an atom within the cutoff, must be above 0 but is {avg_n_neighbours:g}; "
            "if it was counted in your data, the cutoff is too short for them, or their positions are not in Å"
        )
    return avg_n_neighbours**-0.5


def couplings(irreps_in: Irreps, l_max: int, wanted: Irreps) -> tuple[list[Path], Irreps]:
    """All paths from ``irreps_in`` through harmonics up to ``l_max`` to ``wanted`` irreps, and the blocks they stack to.

    >>> couplings(Irreps("8x0e + 4x1o"), 1, Irreps("0e + 1o"))
    ([Path(block_in=0, l=0, block_out=0), Path(block_in=0, l=1, block_out=1), Path(block_in=1, l=0, block_out=1), \
Path(block_in=1, l=1, block_out=0)], 12x0e+12x1o)
    """
    harmonics = Irreps.spherical_harmonics(l_max)
    found = [(b, h.l, ir) for b, a in enumerate(irreps_in) for _, h in harmonics for ir in a.ir * h if ir in wanted]
    irreps_out = Irreps([(irreps_in[b].mul, ir) for b, _, ir in found]).sort().irreps.simplify()
    block = {term.ir: place for place, term in enumerate(irreps_out)}
    return [Path(b, l, block[ir]) for b, l, ir in found], irreps_out
