"""∂Q/∂slot as an autograd function that is its own derivative, to any order.

Q is linear in each of x, Y, w and g, so the derivative of ∂Q/∂g by x, contracted with a cotangent c, is ∂Q/∂x with c in the
place of g; and so on for every pair of slots. Four loops are all the calculus there is.
"""

from typing import Any

import numpy as np
import torch

from molzoo.kernels.cpu import run
from molzoo.kernels.program import ConvolutionProgram
from molzoo.shapes import Float, Int, Tensor


class Index:
    """The edges as loops want them: by receiver (as they come), by sender, by row of the weights.

    Args:
        src, dst: sender and receiver of each edge; sorted by receiver.
        w_row: row of the weights that an edge reads.
        n_src, n_dst, n_rows: how many there are of each.
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
        self.src, self.dst, self.w_row = (t.detach().numpy() for t in (src, dst, w_row))
        self.n_src, self.n_dst, self.n_rows, self.n_edges = n_src, n_dst, n_rows, len(self.src)
        self._rows: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def rows(self, slot: str) -> tuple[np.ndarray, np.ndarray]:
        """For the result of a slot: where each of its rows begins in a list of edges, and that list."""
        if slot not in self._rows:
            every = np.arange(self.n_edges)
            if slot == "g":
                self._rows[slot] = _begins(self.dst, self.n_dst), every
            elif slot == "Y":
                self._rows[slot] = np.arange(self.n_edges + 1), every
            else:
                key, n = (self.src, self.n_src) if slot == "x" else (self.w_row, self.n_rows)
                self._rows[slot] = _begins(key, n), key.argsort(kind="stable")
        return self._rows[slot]


def _begins(key: np.ndarray, n: int) -> np.ndarray:
    ptr = np.zeros(n + 1, dtype=np.int64)
    np.cumsum(np.bincount(key, minlength=n), out=ptr[1:])
    return ptr


def contract(
    program: ConvolutionProgram,
    index: Index,
    x: Float[Tensor, "n_src dim_in"],
    Y: Float[Tensor, "E harmonics"],
    w: Float[Tensor, "R weights"],
) -> Float[Tensor, "n_dst dim_out"]:
    """The convolution: out[i] = Σ over edges that arrive at i. Differentiable to any order in x, Y and w."""
    return _Slot.apply(program, index, "g", x, Y, w, None)


class _Slot(torch.autograd.Function):
    """∂Q/∂slot; the tensor in the open slot is None."""

    @staticmethod
    def forward(program: ConvolutionProgram, index: Index, slot: str, *tensors: Tensor | None) -> Tensor:
        given = dict(zip("xYwg", tensors, strict=True))
        like = next(t for t in tensors if t is not None)
        shapes = _shapes(program, index, given)
        full = {name: like.new_empty(0, 0) if t is None else t.contiguous() for name, t in given.items()}
        out = like.new_empty(shapes[slot])
        run(program, slot, index, full["x"], full["Y"], full["w"], full["g"], out)
        return out

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.program, ctx.index, ctx.slot, *tensors = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> Tensor:
        """The tangent of the result: Q with each moving tensor replaced by its tangent, summed."""
        given = dict(zip("xYwg", ctx.saved_tensors, strict=True))
        moving = {name: t for name, t in zip("xYwg", tangents[3:], strict=True) if t is not None}
        parts = [_Slot.apply(ctx.program, ctx.index, ctx.slot, *(given | {name: t}).values()) for name, t in moving.items()]
        return sum(parts[1:], parts[0])

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        filled = dict(zip("xYwg", ctx.saved_tensors, strict=True)) | {ctx.slot: cotangent}
        gradients = []
        for name, wanted in zip("xYwg", ctx.needs_input_grad[3:], strict=True):
            others = (None if other == name else tensor for other, tensor in filled.items())
            gradients.append(_Slot.apply(ctx.program, ctx.index, name, *others) if wanted and name != ctx.slot else None)
        return None, None, None, *gradients


def _shapes(program: ConvolutionProgram, index: Index, given: dict[str, Tensor | None]) -> dict[str, tuple[int, int]]:
    """Shape of each slot, from those that are given."""
    for name, rows in (("w", len(program.paths)), ("x", program.rows_in), ("g", program.rows_out)):
        tensor = given[name]
        if tensor is not None:
            channels = tensor.shape[1] // rows
    return {
        "x": (index.n_src, program.rows_in * channels),
        "Y": (index.n_edges, program.n_harmonics),
        "w": (index.n_rows, len(program.paths) * channels),
        "g": (index.n_dst, program.rows_out * channels),
    }
