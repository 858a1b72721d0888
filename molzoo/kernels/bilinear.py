"""Products of two features on a CPU, row by row: copies of x are coupled with y, then weighted.

    z_p[k, u] = Σ_ij C_p[i, j, k] x[i, u] y[j]   or   Σ_ij C_p[i, j, k] x[i, u] y[j, u]         for each path p ,
    out[k, w] = Σ_p Σ_u W_p[u, w] z_p[k, u]   or   Σ_p w_p[u] z_p[k, u]   or   Σ_p z_p[k, u] .

With a cotangent g, Q = g · out is linear in each of x, y, w and g. One pass over the rows makes any of its partial
derivatives (out is that by g), for they share two small tables, z and W g, which never leave the cache. A derivative of partial
derivatives is a sum of others with one argument replaced, so that this one pass is all there is, to any order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
import torch

from molzoo.kernels.functions import awaited, differentiated, direct
from molzoo.shapes import Float, Tensor

_NAMES = "xywg"

# fmt: off
_PATH = ["first", "last", "kind", "alike", "x", "x_row", "y", "y_row", "copy", "y_step", "w", "w_step",
         "components", "copies", "mixed", "width", "z", "z_row", "z_copy"]
# fmt: on
"""What the loops know of a path, all whole numbers: its pairs, places and sizes."""

_CHUNK = 320_000, 64
"""Numbers of z that fit into the cache, and rows that make a product of matrices worth its while."""

Tensors = dict[str, Tensor]


class Block(NamedTuple):
    """``mul`` copies of ``dim`` components in a flat vector, from ``start`` on."""

    start: int
    dim: int
    mul: int


class BilinearPath(NamedTuple):
    """A coupling of block ``x`` with copy ``copy`` of block ``y``, or copy by copy if that is None, into block ``out``.

    ``weights`` are "mix" (W, a matrix), "scale" (w, one for each copy) or, of all paths together, "none"; the first is number
    ``w``, and that of the next copy ``step`` further. ``table`` is C.
    """

    x: int
    y: int
    copy: int | None
    out: int
    weights: str
    w: int
    step: int
    table: np.ndarray


@dataclass(frozen=True, eq=False)
class BilinearProgram:
    """Paths as numbers.

    Args:
        x, y, out: the blocks of x, y and out, without gaps.
        w: the number of weights.
        paths: the couplings; if ``shared``, sorted by block of out.
        shared: whether weights are the same for all rows; then all of them are to mix.
        copies_first: whether copies, and not components, are the slow index in a block.
    """

    x: Sequence[Block]
    y: Sequence[Block]
    out: Sequence[Block]
    w: int
    paths: Sequence[BilinearPath]
    shared: bool
    copies_first: bool
    _tables: dict[torch.dtype, tuple[Any, ...]] = field(default_factory=dict, repr=False)

    @cached_property
    def dim(self) -> dict[str, int]:
        """Length of a row of each argument of Q."""
        x, y, out = (sum(block.dim * block.mul for block in blocks) for blocks in (self.x, self.y, self.out))
        return {"x": x, "y": y, "w": self.w, "g": out}

    @cached_property
    def work(self) -> int:
        """Multiplications for each row."""
        return int(sum(self.x[path.x].mul * (np.count_nonzero(path.table) + path.table.shape[2]) for path in self.paths))

    @cached_property
    def reached(self) -> list[tuple[Block, int]]:
        """The blocks of out that have paths, and how many copies are mixed into each."""
        copies = [sum(self.x[path.x].mul for path in self.paths if path.out == number) for number in range(len(self.out))]
        return [(block, n) for block, n in zip(self.out, copies, strict=True) if n]

    @cached_property
    def widths(self) -> list[int]:
        """Numbers of z for each row, by block of out."""
        return [block.dim * n for block, n in self.reached]

    @property
    def chunk(self) -> int:
        """How many rows of z are made before they are mixed."""
        fit, least = _CHUNK
        return max(least, fit // sum(self.widths))

    def stacked(self, memory: Tensor, rows: int, mixed: bool = False) -> list[Tensor]:
        """The tables (rows · components, copies): of z one after the other in ``memory``, of out where its blocks begin."""
        begins = accumulate(self.widths, initial=0) if mixed else [block.start for block, _ in self.reached]
        shapes = [(block.dim, n if mixed else block.mul) for block, n in self.reached]
        return [memory.as_strided((rows * dim, n), (n, 1), at * rows) for at, (dim, n) in zip(begins, shapes, strict=False)]

    def matrices(self, w: Tensor | None) -> list[Tensor]:
        """W of each block of out."""
        parts = () if w is None else w.split([n * block.mul for block, n in self.reached])
        return [part.view(n, -1) for part, (_, n) in zip(parts, self.reached, strict=False)]

    def tables(self, dtype: torch.dtype) -> tuple[Any, ...]:
        """Paths; their pairs (i, k), the components and the coefficients of y in each pair; the blocks of x, y and out."""
        if dtype not in self._tables:
            paths, pairs, terms = self._paths()
            values = np.array([c for _, c in terms], dtype=np.float32 if dtype == torch.float32 else np.float64)
            index = _index(pairs, 4), _index([(j,) for j, _ in terms], 1)[:, 0].copy(), values
            blocks = tuple(
                _index(of, 3) for of in (self.x, self.y, [Block(0, 1, self.w)], [block for block, _ in self.reached])
            )
            self._tables[dtype] = np.array(paths, dtype=[(name, np.uint64) for name in _PATH]), index, blocks
        return self._tables[dtype]

    def _paths(self) -> tuple[list[Any], list[Any], list[Any]]:
        paths: list[Any] = []
        pairs: list[Any] = []
        terms: list[Any] = []
        seen: dict[int, tuple[int, int]] = {}  # paths of many copies of y have one table
        copies = dict.fromkeys(range(len(self.out)), 0)
        before = dict(zip([block for block, _ in self.reached], accumulate(self.widths, initial=0), strict=False))
        mixed = dict(self.reached)
        for path in self.paths:
            x, y, out = self.x[path.x], self.y[path.y], self.out[path.out]
            dim, _, components = path.table.shape
            if id(path.table) not in seen:
                begin = len(pairs)
                for k, i in np.ndindex(components, dim):
                    at = [(j, float(c)) for j, c in enumerate(path.table[i, :, k]) if abs(c) > 1e-12]
                    if at:
                        pairs.append((i, k, len(terms), len(terms) + len(at)))
                        terms += at
                seen[id(path.table)] = begin, len(pairs)
            kind = 0 if self.shared else ("none", "scale", "mix").index(path.weights)
            # z goes to a row of out, or into the table of its block, from the copies of this path on.
            width = mixed[out] if self.shared else out.mul
            place = before[out] if self.shared else out.start, components * width, copies[path.out]
            copies[path.out] += x.mul
            ends = x.start, x.dim * x.mul, y.start, y.dim * y.mul, path.copy or 0, y.mul
            sizes = components, x.mul, out.mul, width
            paths.append((*seen[id(path.table)], kind, path.copy is None, *ends, path.w, path.step, *sizes, *place))
        return paths, pairs, terms


def _index(rows: Sequence[Any], columns: int) -> np.ndarray:
    return np.array(rows, dtype=np.uint64).reshape(-1, columns)


def bilinear(
    program: BilinearProgram,
    x: Float[Tensor, "rows x"],
    y: Float[Tensor, "rows y"],
    w: Float[Tensor, "*rows w"] | None,
) -> Float[Tensor, "rows out"]:
    """The product of each row, differentiable to any order; w is None if no path has weights."""
    values = {"x": x, "y": y} if w is None else {"x": x, "y": y, "w": w}
    return _partials(program, "g", values)["g"]


def _partials(program: BilinearProgram, wanted: str, values: Tensors, moved: Tensors | None = None) -> Tensors:
    """∂Q/∂s for each s in ``wanted``; or Σ_t ∂Q/∂s with the value of t replaced, over all t ≠ s that are ``moved``."""
    tensors = [kind.get(name) for kind in (values, moved or {}) for name in _NAMES]
    call = _Partials.apply if differentiated(*tensors) else _Partials.forward
    return dict(zip(wanted, call(program, wanted, *tensors), strict=True))


def _replaced(program: BilinearProgram, wanted: str, values: Tensors, moved: Tensors) -> Tensors:
    """The sum above, in as few passes as can be."""
    moved = {name: t for name, t in moved.items() if set(wanted) - {name}}
    if len(moved) > 1:
        return _partials(program, wanted, values, moved)
    return {key: t for name in moved for key, t in _partials(program, wanted.replace(name, ""), values | moved).items()}


def _twice_replaced(program: BilinearProgram, wanted: str, values: Tensors, first: Tensors, then: Tensors) -> Tensors:
    """Σ_t of the same with the value of t replaced, over all t of ``first``."""
    total: Tensors = {}
    for name, t in first.items():
        others = {key: value for key, value in then.items() if key != name}
        for key, part in _replaced(program, wanted.replace(name, ""), values | {name: t}, others).items():
            total[key] = total[key] + part if key in total else part
    return total


@direct
class _Partials(torch.autograd.Function):
    @staticmethod
    def forward(program: BilinearProgram, wanted: str, *tensors: Tensor | None) -> tuple[Tensor, ...]:
        from molzoo.kernels.bilinear_loops import evaluate  # loads numba

        return evaluate(program, wanted, *_named(tensors))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.program, ctx.wanted, *tensors = inputs
        ctx.shapes = [t.shape for t in output]
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)
        ctx.set_materialize_grads(False)

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> tuple[Tensor, ...]:
        values, moved = _named(ctx.saved_tensors)
        of_values, of_moved = _named(tangents[2:])
        found = [_derivative(ctx.program, ctx.wanted, values, moved, of_values)]
        found += [_replaced(ctx.program, ctx.wanted, values, of_moved)]
        like = next(iter(values.values()))
        zeros = {name: like.new_zeros(shape) for name, shape in zip(ctx.wanted, ctx.shapes, strict=True)}
        return tuple(sum([part[name] for part in found if name in part], zeros[name]) for name in ctx.wanted)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], program: BilinearProgram, wanted: str, *tensors: Any) -> tuple[Any, ...]:
        """One after the other: a transformation takes torch's own operations, so that few come here, for a Hessian."""
        found = []
        for n in range(info.batch_size):
            each = (t if dim is None else t.select(dim, n) for t, dim in zip(tensors, in_dims[2:], strict=True))
            found.append(_Partials.apply(program, wanted, *each))
        return tuple(torch.stack(parts) for parts in zip(*found, strict=True)), (0,) * len(wanted)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Any, ...]:  # type: ignore[override]
        """A cotangent takes the place of the argument by which was differentiated."""
        values, moved = _named(ctx.saved_tensors)
        of = {name: t for name, t in zip(ctx.wanted, cotangents, strict=True) if t is not None}
        needs = ["".join(n for n, need in zip(_NAMES, awaited(ctx)[at:], strict=False) if need) for at in (2, 6)]
        found = _derivative(ctx.program, needs[0], values, moved, of), _replaced(ctx.program, needs[1], values, of)
        return None, None, *(part.get(name) for part in found for name in _NAMES)


def _derivative(program: BilinearProgram, wanted: str, values: Tensors, moved: Tensors, of: Tensors) -> Tensors:
    return _twice_replaced(program, wanted, values, moved, of) if moved else _replaced(program, wanted, values, of)


def _named(tensors: Sequence[Tensor | None]) -> tuple[Tensors, Tensors]:
    """Values and what moves, by name."""
    values, moved = (dict(zip(_NAMES, tensors[at:], strict=False)) for at in (0, 4))
    return tuple({name: t for name, t in kind.items() if t is not None} for kind in (values, moved))  # type: ignore[return-value]
