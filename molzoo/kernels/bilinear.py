"""Products of two features on a CPU, row by row: copies of x are coupled with y, then weighted.

    z_p[k, u] = Σ_ij C_p[i, j, k] x[i, u] y[j]                                  for each path p ,
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

from molzoo.shapes import Float, Tensor

_NAMES = "xywg"

Tensors = dict[str, Tensor]

_CHUNK = 400_000
"""Numbers of z that are made before weights that are the same for all rows mix them in one product: they fit into the cache."""


class Block(NamedTuple):
    """``mul`` copies of ``dim`` components in a flat vector, from ``start`` on."""

    start: int
    dim: int
    mul: int


class BilinearPath(NamedTuple):
    """Block of x ⊗ the components of y from ``y`` on → block of out, by ``table`` C and the weights from ``w`` on.

    ``weights`` are "mix" (W, a matrix), "scale" (w, one for each copy) or, of all paths together, "none".
    """

    x: int
    y: int
    out: int
    w: int
    weights: str
    table: np.ndarray


@dataclass(frozen=True, eq=False)
class BilinearProgram:
    """Paths as numbers.

    Args:
        x, out: the blocks of x and out, without gaps.
        y, w: the numbers of components of y and of weights.
        paths: the couplings; if ``shared``, sorted by block of out.
        shared: whether weights are the same for all rows; then all of them are to mix.
        copies_first: whether copies, and not components, are the slow index in a block of x and of out.
    """

    x: Sequence[Block]
    y: int
    w: int
    out: Sequence[Block]
    paths: Sequence[BilinearPath]
    shared: bool
    copies_first: bool
    _tables: dict[torch.dtype, tuple[np.ndarray, ...]] = field(default_factory=dict, repr=False)

    @cached_property
    def dim(self) -> dict[str, int]:
        """Length of a row of each argument of Q."""
        x, out = (sum(block.dim * block.mul for block in blocks) for blocks in (self.x, self.out))
        return {"x": x, "y": self.y, "w": self.w, "g": out}

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
        """How many rows of z fit into the cache."""
        return max(1, _CHUNK // max(1, sum(self.widths)))

    def stacked(self, z: Tensor) -> list[Tensor]:
        """The tables (rows · components, copies) of each block of out, one after the other in the memory of ``z``."""
        parts = z.view(-1).split([len(z) * width for width in self.widths]) if self.widths else ()
        return [part.view(-1, n) for part, (_, n) in zip(parts, self.reached, strict=True)]

    def matrices(self, w: Tensor | None) -> list[Tensor]:
        """W of each block of out."""
        parts = w.split([n * block.mul for block, n in self.reached]) if w is not None and self.reached else ()
        return [part.view(n, -1) for part, (_, n) in zip(parts, self.reached, strict=False)]

    def blocks(self, out: Tensor | None) -> list[Tensor]:
        """The blocks (rows, components, copies) of a vector, as views."""
        if out is None:
            return []
        flat = [(out[:, b.start : b.start + b.dim * b.mul], b) for b, _ in self.reached]
        return [t.unflatten(-1, (b.mul, b.dim)).mT if self.copies_first else t.unflatten(-1, (b.dim, b.mul)) for t, b in flat]

    def tables(self, dtype: torch.dtype) -> tuple[np.ndarray, ...]:
        """Paths, pairs (i, k) of their couplings, components and coefficients of y in each pair, and blocks to be turned."""
        if dtype not in self._tables:
            paths, pairs, terms = self._paths()
            turned = [self.x if self.copies_first else (), self.out if self.copies_first and not self.shared else ()]
            index = [np.array(rows, dtype=np.uint64).reshape(-1, n) for rows, n in ((paths, 11), (pairs, 4))]
            components, values = np.array([t[0] for t in terms], dtype=np.uint64), np.array([t[1] for t in terms])
            values = values.astype(np.float32 if dtype == torch.float32 else np.float64)
            self._tables[dtype] = *index, components, values, *(np.array(b, dtype=np.uint64).reshape(-1, 3) for b in turned)
        return self._tables[dtype]

    def _paths(self) -> tuple[list[Any], list[Any], list[Any]]:
        paths: list[Any] = []
        pairs: list[Any] = []
        terms: list[Any] = []
        tables = {block: (before, n) for (block, n), before in zip(self.reached, accumulate([0, *self.widths]), strict=False)}
        seen = dict.fromkeys(tables, 0)
        for path in self.paths:
            x, out = self.x[path.x], self.out[path.out]
            dim, _, components = path.table.shape
            begin = len(pairs)
            for k, i in np.ndindex(components, dim):
                at = [(path.y + j, float(c)) for j, c in enumerate(path.table[i, :, k]) if abs(c) > 1e-12]
                if at:
                    pairs.append((x.start + i * x.mul, k, len(terms), len(terms) + len(at)))
                    terms += at
            kind = 0 if self.shared else ("none", "scale", "mix").index(path.weights)
            # z goes to a row of out, or into the table of its block, from the copies of this path on.
            before, copies = tables[out] if self.shared else (0, out.mul)
            place = (before, components * copies, seen[out]) if self.shared else (0, self.dim["g"], out.start)
            seen[out] += x.mul
            paths.append((begin, len(pairs), kind, path.w, components, x.mul, out.mul, copies, *place))
        return paths, pairs, terms


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
    return dict(zip(wanted, _Partials.apply(program, wanted, *tensors), strict=True))


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


class _Partials(torch.autograd.Function):
    @staticmethod
    def forward(program: BilinearProgram, wanted: str, *tensors: Tensor | None) -> tuple[Tensor, ...]:
        from molzoo.kernels.bilinear_loops import evaluate  # loads numba

        return evaluate(program, wanted, *_named(tensors))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.program, ctx.wanted, *tensors = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)
        ctx.set_materialize_grads(False)

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> tuple[Tensor, ...]:
        values, moved = _named(ctx.saved_tensors)
        of_values, of_moved = _named(tangents[2:])
        found = [_derivative(ctx.program, ctx.wanted, values, moved, of_values)]
        found += [_replaced(ctx.program, ctx.wanted, values, of_moved)]
        return tuple(sum([part[name] for part in found if name in part], torch.zeros(())) for name in ctx.wanted)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Any, ...]:  # type: ignore[override]
        """A cotangent takes the place of the argument by which was differentiated."""
        values, moved = _named(ctx.saved_tensors)
        of = {name: t for name, t in zip(ctx.wanted, cotangents, strict=True) if t is not None}
        needs = ["".join(n for n, need in zip(_NAMES, ctx.needs_input_grad[at:], strict=False) if need) for at in (2, 6)]
        found = _derivative(ctx.program, needs[0], values, moved, of), _replaced(ctx.program, needs[1], values, of)
        return None, None, *(part.get(name) for part in found for name in _NAMES)


def _derivative(program: BilinearProgram, wanted: str, values: Tensors, moved: Tensors, of: Tensors) -> Tensors:
    return _twice_replaced(program, wanted, values, moved, of) if moved else _replaced(program, wanted, values, of)


def _named(tensors: Sequence[Tensor | None]) -> tuple[Tensors, Tensors]:
    """Values and what moves, by name."""
    values, moved = (dict(zip(_NAMES, tensors[at:], strict=False)) for at in (0, 4))
    return tuple({name: t for name, t in kind.items() if t is not None} for kind in (values, moved))  # type: ignore[return-value]
