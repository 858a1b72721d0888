"""Two features make a third: sums of products x_u ⊗ y_v, each coupled by a Wigner 3j symbol to one irrep of the output.

(x_u ⊗ y_v)_k = Σ_ij C_ijk x_ui y_vj. The tables of C meet y first: what they make, M_ik = Σ_j C_ijk y_j, is small, and takes
the components of x, already mixed by the weights, to those of the output in one product of matrices for all paths. On a CPU the
most common products run in compiled loops (:mod:`molzoo.kernels.bilinear`). Names, weights and values are e3nn's.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import nn

from molzoo.kernels import fused
from molzoo.kernels.bilinear import BilinearPath, BilinearProgram, Block, bilinear
from molzoo.kernels.watchers import watched
from molzoo.o3.blocks import Layout, fits, join, layout_of, split
from molzoo.o3.diagram import draw
from molzoo.o3.exact import Exact
from molzoo.o3.instructions import Instruction, Normalization, connect
from molzoo.o3.irreps import Irreps
from molzoo.o3.wigner import Convention, StoredConvention, wigner_3j
from molzoo.shapes import Float, Tensor

Weights = Tensor | Sequence[Tensor] | None


class TensorProduct(nn.Module):
    """z = Σ over paths of W · (x ⊗ y), by instructions.

    Args:
        irreps_in1, irreps_in2, irreps_out: of x, y and z.
        instructions: paths (i_in1, i_in2, i_out, mode, has_weight[, path_weight]) from terms of x and y to one of z; the
            modes are those of :mod:`molzoo.o3.instructions`, and ``path_weight`` multiplies the variance of the path.
        in1_var, in2_var, out_var: variances of the terms of x, y and z, by default 1.
        irrep_normalization: the coupling keeps unit variance (``"component"``, the default) or unit length (``"norm"``), or is
            the Wigner 3j symbol (``"none"``).
        path_normalization: every copy (``"element"``, the default) or every path (``"path"``) counts the same in an output, or
            nothing is scaled (``"none"``).
        internal_weights: whether the layer owns its weights, else they are an argument of each call.
        shared_weights: whether all rows have the same weights.
        layout: of x, y and z.
        convention: of the Wigner 3j symbols; states carry it, and load into products of the same convention only.

    Raises:
        ValueError: a path is not possible; weights are to be internal but not shared.

    >>> cross = TensorProduct("16x1o", "16x1o", "16x1e", [(0, 0, 0, "uuu", False)])
    >>> cross
    TensorProduct(16x1o x 16x1o -> 16x1e | 16 paths | 0 weights)
    >>> x, y = torch.randn(2, 5, 48)
    >>> z = torch.linalg.cross(x.view(5, 16, 3), y.view(5, 16, 3)).flatten(1) / 2**0.5
    >>> torch.allclose(cross(x, y), z, atol=1e-6)
    True
    """

    weight: Tensor
    output_mask: Tensor

    def __init__(
        self,
        irreps_in1: Any,
        irreps_in2: Any,
        irreps_out: Any,
        instructions: Iterable[Sequence[Any]],
        in1_var: Iterable[float] | None = None,
        in2_var: Iterable[float] | None = None,
        out_var: Iterable[float] | None = None,
        irrep_normalization: str | None = None,
        path_normalization: str | None = None,
        internal_weights: bool | None = None,
        shared_weights: bool | None = None,
        *,
        layout: Layout = "mul_ir",
        convention: Convention = "e3nn-0.6",
    ) -> None:
        super().__init__()
        self.irreps_in1, self.irreps_in2, self.irreps_out = map(Irreps, (irreps_in1, irreps_in2, irreps_out))
        self.layout, self.convention = layout_of(layout), convention
        self.stored_convention = StoredConvention(convention)
        size = Normalization(irrep_normalization, path_normalization, in1_var, in2_var, out_var)
        self.instructions = connect(self.irreps_in1, self.irreps_in2, self.irreps_out, instructions, size)
        self.weight_numel = sum(math.prod(path.path_shape) for path in self.instructions if path.has_weight)
        self.shared_weights = shared_weights is not False
        if internal_weights is None:
            internal_weights = self.shared_weights and any(path.has_weight for path in self.instructions)
        self.internal_weights = internal_weights
        if internal_weights and not self.shared_weights:
            raise ValueError("internal weights are the same for all rows, shared_weights=False are not; choose one")
        self._make_tensors()

    def _make_tensors(self) -> None:
        """Weights, or an empty place for them; which components of z can be other than 0; the tables that y meets."""
        self._paths = [path for path in self.instructions if 0 not in path.path_shape]
        if self.internal_weights and self.weight_numel:
            self.weight = nn.Parameter(torch.randn(self.weight_numel))
        else:
            self.register_buffer("weight", torch.empty(0), persistent=False)
        reached = {path.i_out for path in self._paths if path.path_weight}
        mask = [torch.full((term.dim,), float(number in reached)) for number, term in enumerate(self.irreps_out)]
        self.register_buffer("output_mask", torch.cat([torch.ones(0), *mask]), persistent=False)
        for mul in {self.irreps_in1[path.i_in1].mul for path in self._paths if "<" in path.connection_mode}:
            self.register_buffer(f"_pairs_{mul}", torch.triu_indices(mul, mul, 1), persistent=False)
        tables = [self._coupling(path).flatten() for path in self._paths]
        self._sizes = [len(table) for table in tables]
        self._tables = Exact(torch.cat([torch.empty(0, dtype=torch.float64), *tables]))

    def _coupling(self, path: Instruction) -> Tensor:
        """C_ijk of a path, times its ``path_weight``."""
        l1, l2, l3 = (
            irreps[number].ir.l
            for irreps, number in zip((self.irreps_in1, self.irreps_in2, self.irreps_out), path[:3], strict=True)
        )
        return path.path_weight * wigner_3j(l1, l2, l3, torch.float64, convention=self.convention)

    def __repr__(self) -> str:
        irreps = f"{self.irreps_in1.simplify()} x {self.irreps_in2.simplify()} -> {self.irreps_out.simplify()}"
        return f"{type(self).__name__}({irreps} | {self._counts()})"

    def _counts(self) -> str:
        return f"{sum(math.prod(path.path_shape) for path in self.instructions)} paths | {self.weight_numel} weights"

    def forward(
        self, x: Float[Tensor, "*x dim1"], y: Float[Tensor, "*y dim2"], weight: Weights = None
    ) -> Float[Tensor, "*rows out"]:
        """z, for rows of x, of y and of weights that are not shared, broadcast together.

        Args:
            x: (…, irreps_in1.dim).
            y: (…, irreps_in2.dim).
            weight: (weight_numel,), or (…, weight_numel) if they are not shared; or a list of the weights of each path, in the
                order of :meth:`weight_views`.
        """
        return self._product(x, y, self._weights(weight))

    def right(self, y: Float[Tensor, "*y dim2"], weight: Weights = None) -> Float[Tensor, "*rows dim1 out"]:
        """The matrix b of the map from x to z for given y: z_k = Σ_i x_i b_ik.

        >>> from molzoo.o3.products import FullyConnectedTensorProduct
        >>> product = FullyConnectedTensorProduct("4x0e + 4x1o", "0e + 1o", "4x1o")
        >>> x, y = torch.randn(7, 16), torch.randn(7, 4)
        >>> torch.allclose(torch.einsum("...i,...ik->...k", x, product.right(y)), product(x, y), atol=1e-5)
        True
        """
        w = self._weights(weight)
        every_x = torch.eye(self.irreps_in1.dim, dtype=y.dtype, device=y.device)
        return self._product(every_x, y[..., None, :], w if self.shared_weights else w[..., None, :])

    def _product(self, x: Tensor, y: Tensor, w: Tensor) -> Tensor:
        fits(x, self.irreps_in1, "x")
        fits(y, self.irreps_in2, "y")
        rows = x.shape[:-1]
        if rows != y.shape[:-1] or not self.shared_weights:
            rows = torch.broadcast_shapes(rows, y.shape[:-1], () if self.shared_weights else w.shape[:-1])
            x, y = x.expand(*rows, -1), y.expand(*rows, -1)
            w = w if self.shared_weights else w.expand(*rows, -1)
        if not watched(x, y, w) and fused(x, y, w) and self._program is not None:
            return self._by_loops(self._program, x, y, w)
        return self._by_operations(x, y, w)

    def _by_operations(self, x: Tensor, y: Tensor, w: Tensor) -> Tensor:
        X, Y = split(x, self.irreps_in1, self.layout), split(y, self.irreps_in2, self.layout)
        sizes = [math.prod(path.path_shape) for path in self._paths if path.has_weight]
        Ws = iter(w.split(sizes, -1) if sizes else ())
        Cs = self._tables(x).split(self._sizes) if self._sizes else ()
        z: list[list[Tensor]] = [[] for _ in self.irreps_out]
        for path, C in zip(self._paths, Cs, strict=True):
            W = next(Ws).unflatten(-1, path.path_shape) if path.has_weight else None
            dims = self.irreps_in1[path.i_in1].ir.dim, self.irreps_in2[path.i_in2].ir.dim, -1
            z[path.i_out].append(self._path(path, X[path.i_in1], Y[path.i_in2], C.view(dims), W))
        terms = zip(z, self.irreps_out, strict=True)
        out = [sum(b[1:], b[0]) if b else x.new_zeros(*x.shape[:-1], ir.dim, mul) for b, (mul, ir) in terms]
        return join(out, self.layout, like=x)

    def _path(self, path: Instruction, X: Tensor, Y: Tensor, C: Tensor, W: Tensor | None) -> Tensor:
        """The block (..., k, w) of a path from x (..., i, u), y (..., j, v), C (i, j, k) and W (..., path_shape)."""
        mode = path.connection_mode
        M = (Y.mT @ C.transpose(0, 1).flatten(1)).unflatten(-1, C.shape[::2])  # (..., v, i, k)
        if mode in ("uvw", "uvu"):
            M = M.transpose(-3, -2)
            return M.flatten(-3, -2).mT @ _weighted(mode, X, M, W).flatten(-3, -2)
        if mode == "uvuv":
            z = (X.mT @ M.transpose(-3, -2).flatten(-2)).unflatten(-1, M.shape[-3::2])
            return (z if W is None else z * W[..., None]).flatten(-3, -2).mT
        if mode == "uvv":
            X = X @ (X.new_ones(path.path_shape) if W is None else W)
        if "<" in mode:
            u, v = getattr(self, f"_pairs_{X.shape[-1]}")
            X, M = X.index_select(-1, u), M.index_select(-3, v)
        z = (X.mT[..., None, :] @ M).squeeze(-2).mT
        if mode in ("uuw", "u<vw"):
            return z.sum(-1, keepdim=True) if W is None else z @ W
        return z if W is None or mode == "uvv" else z * W[..., None, :]

    @cached_property
    def _program(self) -> BilinearProgram | None:
        """The same for loops: copies of x, coupled with one of y or each with its own, are mixed, scaled, or neither."""
        kinds = {"uvw": "mix", "uuw": "mix", "uvu": "scale", "uvuv": "scale", "uuu": "scale"}
        x, y, out = (
            [Block(at.start, ir.dim, mul) for at, (mul, ir) in zip(irreps.slices(), irreps, strict=True)]
            for irreps in (self.irreps_in1, self.irreps_in2, self.irreps_out)
        )
        paths: list[BilinearPath] = []
        begin = 0
        for path in self._paths:
            i, j, k, mode, has_weight, *_ = path
            kind = kinds.get(mode, "") if has_weight else "none"
            alike, many = mode.startswith("uu"), y[j].mul > 1
            if kind == "" or (kind != "mix" and many and not alike) or (kind == "none" and mode in ("uvv", "uuw", "uvu<v")):
                return None
            table, step = self._coupling(path).numpy(), out[k].mul if alike or kind != "mix" else out[k].mul * y[j].mul
            copies: Iterable[int | None] = [None] if alike else range(y[j].mul)
            paths += [BilinearPath(i, j, copy, k, kind, begin + (copy or 0) * out[k].mul, step, table) for copy in copies]
            begin += math.prod(path.path_shape) if has_weight else 0
        used = {path.weights for path in paths}
        if len(used) != 1 and (used != {"mix", "scale"} or self.shared_weights):
            return None
        shared = self.shared_weights and used == {"mix"}
        paths = sorted(paths, key=lambda path: path.out) if shared else paths
        return BilinearProgram(x, y, out, self.weight_numel, paths, shared, self.layout == "mul_ir")

    @cached_property
    def _order(self) -> Tensor:
        """Places of the loops' weights in e3nn's order: they come by block of z, with copies of x as fast index of a matrix."""
        shapes = [path.path_shape for path in self._paths]
        parts = torch.arange(self.weight_numel).split([math.prod(shape) for shape in shapes])
        places = sorted(range(len(parts)), key=lambda number: self._paths[number].i_out)
        return torch.cat([parts[number].view(shapes[number]).transpose(0, -2).flatten() for number in places])

    def _by_loops(self, program: BilinearProgram, x: Tensor, y: Tensor, w: Tensor) -> Tensor:
        rows = x.shape[:-1]
        if program.shared:
            w = w.index_select(0, self._order)
        else:
            w = w.expand(*rows, -1).reshape(math.prod(rows), self.weight_numel)
        x, y = (t.reshape(math.prod(rows), t.shape[-1]) for t in (x, y))
        return bilinear(program, x, y, w if self.weight_numel else None).view(*rows, self.irreps_out.dim)

    def _weights(self, weight: Weights) -> Tensor:
        """The weights that are given, else those of the layer, as one tensor."""
        if weight is None:
            if self.weight_numel and not self.internal_weights:
                raise ValueError(f"{self} has no weights of its own; pass weights of shape {self._shape()}")
            return self.weight
        if not isinstance(weight, Tensor):
            shapes = [path.path_shape for path in self.instructions if path.has_weight]
            if len(weight) != len(shapes):
                raise ValueError(f"{len(weight)} tensors of weights are given, but {self} has {len(shapes)} paths with weights")
            parts = (part.flatten(-len(shape)) for part, shape in zip(weight, shapes, strict=True))
            weight = torch.cat(list(parts), -1) if shapes else self.weight
        if weight.shape[-1:] != (self.weight_numel,) or (self.shared_weights and weight.dim() != 1):
            raise ValueError(f"weights have the shape {tuple(weight.shape)}, but {self} needs {self._shape()}")
        return weight

    def _shape(self) -> str:
        return f"({self.weight_numel},)" if self.shared_weights else f"(..., {self.weight_numel})"

    def weight_view_for_instruction(self, instruction: int, weight: Tensor | None = None) -> Tensor:
        """The weights (..., path_shape) of an instruction, a view of ``weight`` or of the layer's own.

        >>> from molzoo.o3.products import FullyConnectedTensorProduct
        >>> FullyConnectedTensorProduct("4x0e + 4x1o", "0e", "5x1o").weight_view_for_instruction(0).shape
        torch.Size([4, 1, 5])
        """
        path = self.instructions[instruction]
        if not path.has_weight:
            raise ValueError(f"instruction {instruction} of {self}, {path[:4]}, has no weights")
        begin = sum(math.prod(before.path_shape) for before in self.instructions[:instruction] if before.has_weight)
        return self._weights(weight).narrow(-1, begin, math.prod(path.path_shape)).unflatten(-1, path.path_shape)

    def weight_views(self, weight: Tensor | None = None, yield_instruction: bool = False) -> Iterator[Any]:
        """The weights of all paths that have some; with ``yield_instruction``, triples (number, instruction, weights).

        >>> from molzoo.o3.products import FullyConnectedTensorProduct
        >>> [tuple(W.shape) for W in FullyConnectedTensorProduct("4x0e + 2x1o", "0e + 1o", "5x1o").weight_views()]
        [(4, 1, 5), (2, 1, 5)]
        """
        for number, path in enumerate(self.instructions):
            if path.has_weight:
                W = self.weight_view_for_instruction(number, weight)
                yield (number, path, W) if yield_instruction else W

    def visualize(
        self, weight: Tensor | None = None, plot_weight: bool = True, aspect_ratio: float | int | str = 1, ax: Any = None
    ) -> tuple[Any, Any]:
        """The diagram of all paths: figure and axes of matplotlib; see :func:`molzoo.o3.diagram.draw`."""
        return draw(self, weight, plot_weight, aspect_ratio, ax)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        """States of e3nn hold its constants too."""
        for key in [key for key in state_dict if key.startswith((f"{prefix}_compiled_main_", f"{prefix}output_mask"))]:
            del state_dict[key]
        if not self.weight.numel() and not state_dict.get(f"{prefix}weight", torch.ones(1)).numel():
            del state_dict[f"{prefix}weight"]
        super()._load_from_state_dict(state_dict, prefix, *args)


def _weighted(mode: str, X: Tensor, M: Tensor, W: Tensor | None) -> Tensor:
    """Copies of x before they meet M (..., i, v, k): their sums or multiples (..., i, v, w)."""
    if mode == "uvw" and W is not None:
        return (X @ W.flatten(-2)).unflatten(-1, W.shape[-2:])
    return X[..., None, :] * (X.new_ones(M.shape[-2], 1) if W is None else W.mT[..., None, :, :])
