"""The general linear map that commutes with rotations and inversion: it mixes copies of the same irrep, never components."""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from math import prod
from typing import Any, NamedTuple

import torch
from torch import nn

from molzoo.kernels.onednn import matmul
from molzoo.o3.blocks import Layout, fits, join, layout_of, split
from molzoo.o3.irreps import Irreps
from molzoo.o3.places import relayout, take
from molzoo.shapes import Float, Tensor


class Instruction(NamedTuple):
    """One path: term ``i_in`` (−1: the bias) to term ``i_out``, with weights of ``path_shape`` times ``path_weight``."""

    i_in: int
    i_out: int
    path_shape: tuple[int, ...]
    path_weight: float


class LinearSlices(NamedTuple):
    """Where the weights of a path stand in the flat vector of all, and their shape as a matrix."""

    slice_1D: slice  # noqa: N815
    shape_2D: tuple[int, ...]  # noqa: N815


class Linear(nn.Module):
    """y_o = Σ_i x_i W_io / √n + b_o over the terms i that have the irrep of term o.

    n is the number of copies that arrive at o, so that y has the variance of x for normal weights. Terms count as they are
    written: ``10x0e`` and ``3x0e + 7x0e`` have the same n under ``path_normalization="element"`` only.

    Args:
        irreps_in: of x.
        irreps_out: of y.
        f_in, f_out: x and y have one more axis before the last, of these sizes, and W mixes it too.
        internal_weights: whether the layer owns weights and biases, else they are arguments of each call.
        shared_weights: whether all rows have the same weights.
        instructions: pairs (term of x, term of y) to connect; by default all of equal irreps.
        biases: whether there is one, for all 0e or for each term of y.
        path_normalization: ``"element"``: every copy, ``"path"``: every path contributes equally to the variance.
        layout: of x and y.

    >>> linear = Linear("4x0e + 16x1o", "8x0e + 8x1o")
    >>> linear
    Linear(4x0e+16x1o -> 8x0e+8x1o | 160 weights)
    >>> linear(torch.randn(5, 52)).shape
    torch.Size([5, 32])
    """

    weight: Tensor
    bias: Tensor
    output_mask: Tensor
    _to_ir_mul: Tensor | None
    _from_ir_mul: Tensor | None

    def __init__(
        self,
        irreps_in: Any,
        irreps_out: Any,
        *,
        f_in: int | None = None,
        f_out: int | None = None,
        internal_weights: bool | None = None,
        shared_weights: bool | None = None,
        instructions: Sequence[Sequence[int]] | None = None,
        biases: bool | Sequence[bool] = False,
        path_normalization: str = "element",
        layout: Layout = "mul_ir",
    ) -> None:
        super().__init__()
        self.irreps_in, self.irreps_out, self.layout = Irreps(irreps_in), Irreps(irreps_out), layout_of(layout)
        if (f_in is None) != (f_out is None):
            raise ValueError(f"f_in is {f_in} and f_out is {f_out}; give both or none")
        self.shared_weights = shared_weights is not False
        self.internal_weights = self.shared_weights if internal_weights is None else internal_weights
        if self.internal_weights and not self.shared_weights:
            raise ValueError("internal weights are the same for all rows, shared_weights=False are not; choose one")
        self.f_in, self.f_out = f_in, f_out
        self._f: tuple[int, ...] = () if f_in is None or f_out is None else (f_in, f_out)
        self.instructions = self._connect(instructions, path_normalization) + self._biases(biases)
        self._paths = [path for path in self.instructions if path.i_in != -1 and 0 not in path.path_shape]
        self.weight_numel = sum(prod(path.path_shape) for path in self.instructions if path.i_in != -1)
        self.bias_numel = sum(prod(path.path_shape) for path in self.instructions if path.i_in == -1)
        self._make_parameters()
        self.register_buffer("_to_ir_mul", relayout(self.irreps_in, self.layout, "ir_mul"), persistent=False)
        self.register_buffer("_from_ir_mul", relayout(self.irreps_out, "ir_mul", self.layout), persistent=False)

    def _connect(self, instructions: Sequence[Sequence[int]] | None, normalization: str) -> list[Instruction]:
        if normalization not in ("element", "path"):
            raise ValueError(f"path_normalization is 'element' or 'path'; got {normalization!r}")
        ins, outs = self.irreps_in, self.irreps_out
        if instructions is None:
            instructions = [(i, o) for i, a in enumerate(ins) for o, b in enumerate(outs) if a.ir == b.ir]
        for i, o in instructions:
            if not (0 <= i < len(ins) and 0 <= o < len(outs)):
                raise ValueError(f"there is no path from term {i} of {ins or '(none)'} to term {o} of {outs or '(none)'}")
            if ins[i].ir != outs[o].ir:
                raise ValueError(
                    f"a linear map cannot turn {ins[i].ir} (term {i}) into {outs[o].ir} (term {o}); connect equal irreps"
                )
        paths = []
        for i, o in instructions:
            arriving = [ins[i if normalization == "path" else other].mul for other, to in instructions if to == o]
            n = sum(arriving) * (self._f[0] if self._f else 1)
            paths.append(Instruction(i, o, (ins[i].mul, outs[o].mul), n**-0.5 if n else 1.0))
        return paths

    def _biases(self, biases: bool | Sequence[bool] | None) -> list[Instruction]:
        outs = self.irreps_out
        if biases is None or isinstance(biases, bool):
            biases = [bool(biases) and ir.is_scalar() for _, ir in outs]
        if len(biases) != len(outs):
            raise ValueError(
                f"{len(biases)} biases are given for the {len(outs)} terms of {outs or '(none)'}; give one for each"
            )
        for bias, (mul, ir) in zip(biases, outs, strict=True):
            if bias and not ir.is_scalar():
                raise ValueError(f"a bias on {mul}x{ir} would not turn with it; only 0e can have one")
        return [Instruction(-1, o, (outs[o].dim,), 1.0) for o, bias in enumerate(biases) if bias]

    def _make_parameters(self) -> None:
        """Normal weights and biases of zero, or empty places for them; and which components of y can be other than 0."""
        if self.internal_weights and self.weight_numel:
            self.weight = nn.Parameter(torch.randn(*self._f, self.weight_numel))
        else:
            self.register_buffer("weight", torch.empty(0), persistent=False)
        if self.internal_weights and self.bias_numel:
            self.bias = nn.Parameter(torch.zeros(*self._f[1:], self.bias_numel))
        else:
            self.register_buffer("bias", torch.empty(0), persistent=False)
        reached = {path.i_out for path in self.instructions if 0 not in path.path_shape}
        mask = [torch.full((term.dim,), float(o in reached)) for o, term in enumerate(self.irreps_out)]
        self.register_buffer("output_mask", torch.cat([torch.ones(0), *mask]), persistent=False)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.irreps_in} -> {self.irreps_out} | {self.weight_numel} weights)"

    def forward(
        self,
        features: Float[Tensor, "*rows features"],
        weight: Tensor | None = None,
        bias: Tensor | None = None,
    ) -> Float[Tensor, "... out"]:
        """The sum above.

        Args:
            features: x, of shape (…, irreps_in.dim) or (…, f_in, irreps_in.dim).
            weight: (…, weight_numel), in the order of :meth:`weight_views`, or (…, f_in, f_out, weight_numel).
            bias: (…, bias_numel), or (…, f_out, bias_numel).
        """
        fits(features, self.irreps_in)
        weight = self._own_or(weight, "weight")
        weights = weight.split([prod(path.path_shape) for path in self._paths], -1) if self._paths else ()
        # One reordering of the whole vector is faster than one of each block, unless a compiler joins them to what follows.
        compiling = torch.compiler.is_compiling()
        layout: Layout = self.layout if compiling else "ir_mul"
        reordered = features if compiling or self._to_ir_mul is None else take(features, self._to_ir_mul)
        x = split(reordered, self.irreps_in, layout)
        y: list[Tensor | None] = [None] * len(self.irreps_out)
        for (i, o, shape, scale), w in zip(self._paths, weights, strict=True):
            W = w.unflatten(-1, shape)
            term = self._mixed(x[i], scale * W) if self.shared_weights else self._mixed(scale * x[i], W)
            so_far = y[o]
            y[o] = term if so_far is None else so_far + term
        out = join(self._with_biases(y, features, self._own_or(bias, "bias")), layout, like=features)
        return out if compiling or self._from_ir_mul is None else take(out, self._from_ir_mul)

    def _mixed(self, x: Float[Tensor, "*x m u"], W: Float[Tensor, "*W u w"]) -> Float[Tensor, "*y m w"]:
        if self._f:
            return torch.einsum("...xmu,...xyuw->...ymw", x, W)
        if not self.shared_weights:
            return x @ W
        return matmul(x, W)

    def _with_biases(self, y: list[Tensor | None], features: Tensor, bias: Tensor) -> list[Tensor]:
        rows = features.shape[:-1] if self.f_out is None else (*features.shape[:-2], self.f_out)
        terms = zip(y, self.irreps_out, strict=True)
        blocks = [features.new_zeros(*rows, ir.dim, mul) if block is None else block for block, (mul, ir) in terms]
        outs = [path.i_out for path in self.instructions if path.i_in == -1]
        sizes = [self.irreps_out[o].mul for o in outs]
        for o, b in zip(outs, bias.split(sizes, -1) if outs else (), strict=True):
            blocks[o] = blocks[o] + b[..., None, :]
        return blocks

    def _own_or(self, given: Tensor | None, name: str) -> Tensor:
        """The weights or biases that are given, else those of the layer."""
        numel, axes = (self.weight_numel, self._f) if name == "weight" else (self.bias_numel, self._f[1:])
        if given is None:
            if numel and not self.internal_weights:
                raise ValueError(f"{self} has no {name} of its own; pass {name} of shape (..., {numel})")
            return getattr(self, name)
        if given.shape[-1] != numel:
            raise ValueError(f"{name} has {given.shape[-1]} components, but {self} needs {numel}")
        return given.reshape(*axes, numel) if self.shared_weights else given

    @property
    def weight_index_slices(self) -> list[LinearSlices]:
        """Where the weights of each instruction stand."""
        sizes = [prod(path.path_shape) for path in self.instructions]
        ends = zip(accumulate(sizes), sizes, self.instructions, strict=True)
        return [LinearSlices(slice(end - size, end), path.path_shape) for end, size, path in ends]

    def weight_view_for_instruction(self, instruction: int, weight: Tensor | None = None) -> Tensor:
        """The matrix W (…, mul_in, mul_out) of an instruction, a view of ``weight`` or of the layer's own.

        >>> Linear("4x0e + 16x1o", "8x0e + 8x1o").weight_view_for_instruction(1).shape
        torch.Size([16, 8])
        """
        path = self.instructions[instruction]
        if path.i_in == -1:
            raise ValueError(f"instruction {instruction} of {self} is the bias of term {path.i_out}; it has no weights")
        at, shape = self.weight_index_slices[instruction]
        return self._own_or(weight, "weight").narrow(-1, at.start, at.stop - at.start).unflatten(-1, shape)

    def weight_views(self, weight: Tensor | None = None, yield_instruction: bool = False) -> Iterator[Any]:
        """The matrices of all paths; with ``yield_instruction``, triples (number, instruction, matrix).

        >>> [tuple(W.shape) for W in Linear("4x0e + 16x1o", "8x0e + 8x1o").weight_views()]
        [(4, 8), (16, 8)]
        """
        for number, path in enumerate(self.instructions):
            if path.i_in != -1:
                W = self.weight_view_for_instruction(number, weight)
                yield (number, path, W) if yield_instruction else W
