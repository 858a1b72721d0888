"""Contractions of Q as operators of torch: opaque to tracers and compilers, with fakes for shapes.

``contraction`` has a rule for vmap and no derivative of its own; :mod:`molzoo.kernels.contract` gives it one that transforms of
torch.func take. Compilers take no such function of Python where it is differentiated twice: for them, ``convolution`` is the
same with derivatives of any order.
"""

from collections.abc import Sequence
from typing import Any

import torch

import molzoo.kernels.cpu as cpu
import molzoo.kernels.gpu as gpu
from molzoo.kernels.checks import fits, in_order
from molzoo.kernels.dispatch import wants_triton
from molzoo.kernels.program import ConvolutionProgram
from molzoo.shapes import Tensor

Slots = Sequence[Tensor | None]
"""x, Y, w, g."""


@torch.library.custom_op("molzoo::contraction", mutates_args=(), device_types=("cpu", "cuda"))
def contraction(
    program: int, slot: str, edges: list[Tensor], values: list[Tensor | None], tangents: list[Tensor | None]
) -> Tensor:
    """:func:`molzoo.kernels.cpu.run` or :func:`molzoo.kernels.gpu.run` for the program of this number."""
    known = ConvolutionProgram.of(program)
    _look(known, slot, edges, values, tangents)
    if by_triton(values):
        return gpu.run(known, slot, edges, values, tangents)
    return cpu.run(known, slot, cpu.EdgeRows(edges), values, tangents)


@contraction.register_fake
def _(program: int, slot: str, edges: list[Tensor], values: list[Tensor | None], tangents: list[Tensor | None]) -> Tensor:
    like = next(t for t in values if t is not None)
    return like.new_empty(edges[0].shape[0] - 1, ConvolutionProgram.of(program).dim[slot])


@contraction.register_vmap
def _(info: Any, in_dims: tuple[Any, ...], program: int, slot: str, *arguments: Any) -> tuple[Tensor, int]:
    """Many contractions on one graph are one contraction on as many copies of it."""
    edges, values, tangents = arguments
    if any(dim is not None for dim in in_dims[2]):
        raise ValueError("vmap over the edges of a convolution has no meaning; batch the graphs instead")
    values, tangents = (
        [_stacked(t, dim, info.batch_size) for t, dim in zip(tensors, dims, strict=True)]
        for tensors, dims in zip((values, tangents), in_dims[3:], strict=True)
    )
    out = contraction(program, slot, _copies(edges, values, info.batch_size), values, tangents)
    return out.unflatten(0, (info.batch_size, -1)), 0


@torch.library.custom_op("molzoo::convolution", mutates_args=(), device_types=("cpu", "cuda"))
def convolution(
    program: int,
    slot: str,
    index: list[Tensor],
    x: Tensor | None,
    Y: Tensor | None,
    w: Tensor | None,
    g: Tensor | None,
) -> Tensor:
    """A contraction; ``index`` has the rows of all slots (:meth:`molzoo.kernels.Index.every`)."""
    return contraction(program, slot, _of_slot(index, slot), [x, Y, w, g], [None] * 4)


@convolution.register_fake
def _(program: int, slot: str, index: list[Tensor], *tensors: Tensor | None) -> Tensor:
    like = next(t for t in tensors if t is not None)
    return like.new_empty(_of_slot(index, slot)[0].shape[0] - 1, ConvolutionProgram.of(program).dim[slot])


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.program, ctx.slot, ctx.index, *tensors = inputs
    ctx.save_for_backward(*tensors)


def _gradients(ctx: Any, cotangent: Tensor) -> tuple[Any, ...]:
    """Q is linear in each argument: the derivative of ∂Q/∂slot is another ∂Q, with the cotangent in the slot's place."""
    values = dict(zip("xYwg", ctx.saved_tensors, strict=True)) | {ctx.slot: cotangent}
    found = [
        convolution(ctx.program, name, ctx.index, *(values | {name: None}).values()) if needed else None
        for name, needed in zip("xYwg", ctx.needs_input_grad[3:], strict=True)
    ]
    return None, None, [None] * len(ctx.index), *found


convolution.register_autograd(_gradients, setup_context=_keep)


def _of_slot(index: list[Tensor], slot: str) -> list[Tensor]:
    begin = 2 * "xYwg".index(slot)
    return [*index[begin : begin + 2], *index[8:]]


def _look(program: ConvolutionProgram, slot: str, edges: list[Tensor], values: Slots, tangents: Slots) -> None:
    """The values that a tracer could not look at; those of a GPU it would have to wait for."""
    ptr, _, src, dst, w_row = edges
    rows = {name: len(ptr) - 1 if t is None else len(t) for name, t in zip("xYwg", values, strict=True)}
    if not src.is_cuda:
        in_order(src, dst, w_row, rows["x"] - program.window + 1, rows["g"], rows["w"])
    for tensors in (values, tangents):
        given = {name: t for name, t in zip("xYwg", tensors, strict=True) if t is not None}
        if given:
            fits(program, src, rows | {"Y": len(src)}, given)


def by_triton(values: Sequence[Tensor | None]) -> bool:
    """Whether a GPU's kernels make it: asked again at each derivative, for the tensors of a CPU may be meant for either."""
    like = next(t for t in values if t is not None)
    return like.is_cuda or wants_triton()


def _stacked(t: Tensor | None, dim: int | None, copies: int) -> Tensor | None:
    if t is None:
        return None
    return (t.expand(copies, *t.shape) if dim is None else t.movedim(dim, 0)).flatten(0, 1)


def _copies(edges: list[Tensor], values: list[Tensor | None], copies: int) -> list[Tensor]:
    """The edges of a graph that consists of so many copies; ``values`` are those of all copies."""
    ptr, order, src, dst, w_row = edges
    number = torch.arange(copies, device=ptr.device)[:, None]
    many = lambda index, size: (index + size * number).flatten()  # noqa: E731
    x, _, w, g = values
    # The open slot has no value, but a row for each entry of ptr.
    n_src, n_row, n_dst = (len(ptr) - 1 if t is None else len(t) // copies for t in (x, w, g))
    E = len(src)
    whole = torch.cat([many(ptr[:-1], E), ptr[-1:] + (copies - 1) * E])
    return [whole, many(order, E), many(src, n_src), many(dst, n_dst), many(w_row, n_row)]
