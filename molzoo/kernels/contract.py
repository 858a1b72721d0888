"""The convolution as an autograd function, closed under differentiation.

Q(x, Y, w, g) is linear in each argument. So the convolution is ∂Q/∂g; its gradients are ∂Q/∂x, ∂Q/∂Y and ∂Q/∂w with the
cotangent in the place of g; and every further derivative is a sum of ∂Q/∂slot in which one argument is replaced by a tangent.
A loop takes such a sum in one pass, so a double backward costs four loops, and no derivative of any order needs another kind.
"""

from collections.abc import Sequence
from typing import Any

import torch

import molzoo.kernels.cpu as cpu
import molzoo.kernels.gpu as gpu
from molzoo.kernels.checks import fits, in_order
from molzoo.kernels.dispatch import backend
from molzoo.kernels.functions import awaited, direct
from molzoo.kernels.operator import Slots, by_triton, contraction, convolution
from molzoo.kernels.program import ConvolutionProgram
from molzoo.kernels.reference import reference
from molzoo.kernels.watchers import beneath, kept, watched
from molzoo.shapes import Float, Int, Tensor


class Index:
    """The edges as loops want them: by receiver (as they come), by sender, by row of the weights.

    Args:
        src, dst: sender and receiver of each edge; sorted by receiver.
        w_row: row of the weights that an edge reads.
        n_src, n_dst, n_rows: how many there are of each.

    Raises:
        ValueError: edges are not sorted by receiver, or name what is not there.
    """

    def __init__(
        self,
        src: Int[Tensor, " E"],
        dst: Int[Tensor, " E"],
        w_row: Int[Tensor, " E"],
        n_src: int,
        n_dst: int,
        n_rows: int,
    ) -> None:
        src, dst, w_row = beneath(lambda *edges: [t.contiguous() for t in edges], src, dst, w_row)
        beneath(in_order, src, dst, w_row, n_src, n_dst, n_rows)
        self.n = {"x": n_src, "w": n_rows}
        self.edges, self.n_dst = [src, dst, w_row], n_dst
        self._last_src: int | None = None
        self._by = {"x": (src, n_src), "g": (dst, n_dst), "w": (w_row, n_rows)}
        self._rows: dict[str, list[Tensor]] = {}
        self._loops: dict[str, cpu.EdgeRows] = {}

    def rows(self, slot: str) -> list[Int[Tensor, " _"]]:
        """For the result of a slot: where each of its rows begins in a list of edges, and that list."""
        return kept(self._rows, slot, lambda: beneath(self._sorted, slot))

    def _sorted(self, slot: str) -> list[Tensor]:
        like = self.edges[0]
        if slot == "Y":
            every = torch.arange(len(like) + 1, device=like.device)
            return [every, every[:-1]]
        key, n = self._by[slot]
        if slot == "g":
            order = torch.arange(len(like), device=like.device)
        else:
            key, order = key.sort(stable=True)
        return [torch.searchsorted(key, torch.arange(n + 1, device=like.device)), order]

    def holds(self, window: int) -> None:
        """Make sure that so many rows of x follow wherever an edge begins to read."""
        src, n = self._by["x"]
        if self._last_src is None:
            self._last_src = int(src.max()) if len(src) else -window
        if self._last_src + window > n:
            raise ValueError(f"src names row {self._last_src}, from which {window} rows of x are read, but there are {n} rows")

    def every(self) -> list[Int[Tensor, " _"]]:
        """The rows of all slots and the edges, for compilers."""
        return [t for slot in "xYwg" for t in self.rows(slot)] + self.edges

    def loops(self, slot: str) -> cpu.EdgeRows:
        """The rows of a slot and the edges, for compiled loops."""
        if slot not in self._loops:
            self._loops[slot] = cpu.EdgeRows([*self.rows(slot), *self.edges])
        return self._loops[slot]


def contract(
    program: ConvolutionProgram,
    index: Index,
    x: Float[Tensor, "n_src dim_in"],
    Y: Float[Tensor, "E harmonics"],
    w: Float[Tensor, "R weights"],
) -> Float[Tensor, "n_dst dim_out"]:
    """The convolution: out[i] = Σ over edges that arrive at i. Differentiable to any order in x, Y and w.

    Raises:
        ValueError: an argument has not the shape, the precision or the device that the program and the others have.
    """
    if not torch.compiler.is_compiling():  # Dynamo cannot look into a program
        fits(program, index.edges[0], index.n, {"x": x, "Y": Y, "w": w})
    if program.window > 1 and not watched(index.edges[0]):
        index.holds(program.window)
    if backend(x, Y, w) == "reference":
        return reference(program, index.edges, index.n_dst, x, Y, w)
    if not torch.compiler.is_compiling():
        return _Convolution.apply(program, index, "g", x, Y, w)
    return convolution(program.key, "g", index.every(), x, Y, w, None)


def _evaluate(program: ConvolutionProgram, index: Index, slot: str, values: Slots, tangents: Slots) -> Tensor:
    values = [None if name == slot else t for name, t in zip("xYwg", values, strict=True)]
    if watched(*values, *tangents):  # if not, the loops are called directly, for an operator costs time
        return contraction(program.key, slot, [*index.rows(slot), *index.edges], values, list(tangents))
    if by_triton(values):
        return gpu.run(program, slot, [*index.rows(slot), *index.edges], values, tangents)
    return cpu.run(program, slot, index.loops(slot), values, tangents)


class _Rule(torch.autograd.Function):
    """Arguments are the program, the edges, which slot (or slots) of Q shall be open, and tensors."""

    generate_vmap_rule = True

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.program, ctx.index, ctx.slot, *tensors = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)


@direct
class _Convolution(_Rule):
    """∂Q/∂g."""

    @staticmethod
    def forward(program: ConvolutionProgram, index: Index, slot: str, *xYw: Tensor) -> Tensor:
        return _evaluate(program, index, slot, [*xYw, None], [None] * 4)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        wanted = "".join(name for name, needed in zip("xYw", awaited(ctx)[3:], strict=True) if needed)
        found = _Gradient.apply(ctx.program, ctx.index, wanted, *ctx.saved_tensors, g)
        return None, None, None, *(found[wanted.index(name)] if name in wanted else None for name in "xYw")

    @staticmethod
    def jvp(ctx: Any, *moved: Any) -> Tensor:
        return _directional(ctx.program, ctx.index, "g", [*ctx.saved_tensors, None], [*moved[3:], None])


@direct
class _Gradient(_Rule):
    """∂Q/∂x, ∂Q/∂Y and ∂Q/∂w, those that are wanted: together, so that their own gradients are taken together too."""

    @staticmethod
    def forward(program: ConvolutionProgram, index: Index, wanted: str, *xYwg: Tensor) -> tuple[Tensor, ...]:
        return tuple(_evaluate(program, index, slot, xYwg, [None] * 4) for slot in wanted)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        _Rule.setup_context(ctx, inputs, output)
        ctx.set_materialize_grads(False)  # what has no cotangent needs no loop

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Any, ...]:  # type: ignore[override]
        given = dict(zip(ctx.slot, cotangents, strict=True))
        tangents = [given.get(name) for name in "xYwg"]
        return None, None, None, *_gradients(ctx.program, ctx.index, ctx.saved_tensors, tangents, awaited(ctx)[3:])

    @staticmethod
    def jvp(ctx: Any, *moved: Any) -> tuple[Tensor, ...]:
        return tuple(_directional(ctx.program, ctx.index, slot, ctx.saved_tensors, moved[3:]) for slot in ctx.slot)


@direct
class _Directional(_Rule):
    """Σ_t ∂Q/∂slot with t replaced by its tangent; x, Y, w, g and their tangents come one after the other."""

    @staticmethod
    def forward(program: ConvolutionProgram, index: Index, slot: str, *tensors: Tensor | None) -> Tensor:
        return _evaluate(program, index, slot, tensors[:4], tensors[4:])

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        program, index, slot = ctx.program, ctx.index, ctx.slot
        values, tangents = ctx.saved_tensors[:4], ctx.saved_tensors[4:]
        values = [cotangent if name == slot else t for name, t in zip("xYwg", values, strict=True)]
        needed = awaited(ctx)[3:]
        by_values = _gradients(program, index, values, tangents, needed[:4])
        by_tangents = [
            _Gradient.apply(program, index, name, *values)[0] if wanted else None
            for name, wanted in zip("xYwg", needed[4:], strict=True)
        ]
        return None, None, None, *by_values, *by_tangents

    @staticmethod
    def jvp(ctx: Any, *moved: Any) -> Tensor:
        """The product rule once more: tangents move, and values move beside each tangent."""
        program, index, slot = ctx.program, ctx.index, ctx.slot
        values, tangents = ctx.saved_tensors[:4], ctx.saved_tensors[4:]
        parts = [_directional(program, index, slot, values, moved[7:])]
        for t, tangent in enumerate(tangents):
            if tangent is not None:
                replaced = [*values[:t], tangent, *values[t + 1 :]]
                parts.append(_directional(program, index, slot, replaced, _without(moved[3:7], "xYwg"[t])))
        return sum(parts[1:], parts[0])


def _without(tensors: Slots, slot: str) -> list[Tensor | None]:
    return [None if name == slot else t for name, t in zip("xYwg", tensors, strict=True)]


def _gradients(
    program: ConvolutionProgram, index: Index, values: Slots, tangents: Slots, needed: Sequence[bool]
) -> list[Tensor | None]:
    """Gradients of Σ_t Q with t replaced by its tangent, by x, Y, w and g."""
    found: list[Tensor | None] = []
    for name, wanted in zip("xYwg", needed, strict=True):
        others = _without(tangents, name)
        moving = wanted and any(t is not None for t in others)
        found.append(_Directional.apply(program, index, name, *_without(values, name), *others) if moving else None)
    return found


def _directional(program: ConvolutionProgram, index: Index, slot: str, values: Slots, tangents: Slots) -> Tensor:
    values, tangents = _without(values, slot), _without(tangents, slot)
    if all(t is None for t in tangents):
        like = next(t for t in values if t is not None)
        return like.new_zeros(index.rows(slot)[0].shape[0] - 1, program.dim[slot])
    return _Directional.apply(program, index, slot, *values, *tangents)
