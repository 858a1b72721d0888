"""Spherical harmonics and their derivatives of any order on a CPU: one loop, closed under differentiation.

A harmonic Y_n(x) is a polynomial, and its derivatives are sums of harmonics one degree lower:

    ∂Y_n / ∂x_k = Σ_j A[k, n, j] Y_j ,    A constant and sparse.

So a derivative along a vector v takes a table of harmonics to another, v·∇ = Σ_k v_k A[k], and all there is to compute is

    F(x, g, v₁ … v_p) = Σ_n g_n (v₁·∇) … (v_p·∇) Y_n(x)

with one slot left open: ∂F/∂g, which for no v is the values themselves, or the gradient of F in x, which is one more v left
open. Harmonics are made again from x wherever they are needed: that takes less time than to fetch them from memory. Rows are
taken in blocks and turned, so that inner loops are unit-stride over rows, and nothing but the result is written.

Harmonics of the direction u = x/|x| come from the same tables, with ∂u/∂x = (1 − u uᵀ) / |x|.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numba
import numpy as np
import torch

from molzoo.kernels.functions import awaited, differentiated, direct
from molzoo.kernels.threads import side_by_side
from molzoo.kernels.watchers import plain
from molzoo.shapes import Float, Tensor

_LANES = 64
"""Rows in a block: the tables of degree 6 stay in the nearest cache."""

_NARROW = 16
"""Columns that are turned together; where there are more, number by number is faster."""

_U = np.uint64  # with indices that could be negative, the compiler makes no vector loops


@dataclass(frozen=True, eq=False)
class SolidProgram:
    """Harmonics as numbers; n = l² + l + m counts them all.

    Args:
        l_max: the largest degree.
        up, down: of the recursions Y(l, m) = up[n] y Y(l−1, m) − down[n] r² Y(l−2, m) and, for the outermost,
            Y(l, l) + i Y(l, −l) = up[n] (z + ix) (Y(l−1, l−1) + i Y(l−1, 1−l)); they begin with up[0], and up[1 … 3] (x, y, z).
        terms: (k, n, j) of each coefficient of ∂Y_n / ∂x_k = Σ_j A[k, n, j] Y_j.
        coefficients: the values of A.
        blocks: (column, n, width) of each stretch of the result.
        least: take the direction x / max(|x|, least) for x, constant where |x| ≤ least; None: take x.
        operations: the same in operations of torch.
    """

    l_max: int
    up: np.ndarray
    down: np.ndarray
    terms: np.ndarray
    coefficients: np.ndarray
    blocks: np.ndarray
    least: float | None
    operations: Callable[[Tensor], Tensor]

    @cached_property
    def width(self) -> int:
        """Columns of the result."""
        return int(self.blocks[:, 2].sum())

    @cached_property
    def arguments(self) -> dict[torch.dtype, tuple[Any, ...]]:
        """All that the loop takes from here, for either precision."""
        least = -1.0 if self.least is None else self.least
        tables = self.up, self.down, self.coefficients
        return {
            dtype: (self.l_max, *(table.astype(name) for table in tables), self.terms, self.blocks, least)
            for dtype, name in ((torch.float32, np.float32), (torch.float64, np.float64))
        }


def solid(program: SolidProgram, x: Float[Tensor, "*rows 3"]) -> Float[Tensor, "*rows harmonics"]:
    """The harmonics of vectors x, differentiable to any order."""
    return _form(program, x.reshape(-1, 3), None).view(*x.shape[:-1], program.width)


def _form(program: SolidProgram, x: Tensor, g: Tensor | None, *v: Tensor) -> Tensor:
    """∂F/∂g if ``g`` is None, else the gradient of F in x."""
    if program.least is not None and program.l_max and len(v) > 1:
        return _high_derivative(program, x, g, *v)
    return (_Form.apply if differentiated(x, g, *v) else _run)(program, x, g, *v)


def _high_derivative(program: SolidProgram, x: Tensor, g: Tensor | None, *v: Tensor) -> Tensor:
    """The same for third derivatives of directions and higher ones, which loops do not know."""
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        x = x.view_as(x) if x.requires_grad else x.detach().requires_grad_()  # g and v may depend on x, but not on this one
        Y = program.operations(x)
        weights = torch.zeros_like(Y, requires_grad=True) if g is None else g
        F = (weights * Y).sum()
        for vector in v:
            F = (torch.autograd.grad(F, x, create_graph=True)[0] * vector).sum()
        return torch.autograd.grad(F, weights if g is None else x, create_graph=again)[0]


def _run(program: SolidProgram, x: Tensor, g: Tensor | None, *v: Tensor) -> Tensor:
    """The numbers of ∂F/∂g or, if ``g`` is given, of the gradient of F in x."""
    out = x.new_empty(len(x), program.width if g is None else 3)
    directions = torch.stack(v) if v else x.new_empty(0, 0, 3)
    arrays = [plain(t.detach()).numpy() for t in (x, directions, out if g is None else g, out)]
    arguments = *program.arguments[x.dtype], g is None, *arrays
    work = 8 * len(x) * (2 + len(program.coefficients)) * (1 + len(v))  # reading and writing cost more than multiplying
    side_by_side(-(-len(x) // _LANES), work, lambda first, last: _evaluate(first, last, *arguments))
    return out


@direct
class _Form(torch.autograd.Function):
    """∂F/∂g, or the gradient of F in x: its own derivative, with other slots open."""

    @staticmethod
    def forward(program: SolidProgram, x: Tensor, g: Tensor | None, *v: Tensor) -> Tensor:
        return _run(program, x, g, *v)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.program, *tensors = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> Tensor:
        """F is linear in g and in every v, and to move x is one v more."""
        _, moved, *others = tangents
        x, *rest = ctx.saved_tensors
        slots = [] if moved is None else [(*rest, moved)]
        slots += [(*rest[:i], tangent, *rest[i + 1 :]) for i, tangent in enumerate(others) if tangent is not None]
        parts = [_form(ctx.program, x, *slot) for slot in slots]
        return sum(parts[1:], parts[0])

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        """The cotangent fills the open slot; the others are opened in turn, and for x one v more."""
        x, g, *v = ctx.saved_tensors
        g, v = (cotangent, v) if g is None else (g, [*v, cotangent])
        opened = [(g, *v), (None, *v), *((g, *v[:i], *v[i + 1 :]) for i in range(len(v)))]
        wanted = zip(opened, awaited(ctx)[1:], strict=False)
        return None, *(_form(ctx.program, x, *slots) if needed else None for slots, needed in wanted)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], program: SolidProgram, *tensors: Tensor | None) -> tuple[Tensor, int]:
        """Many tables of rows are one long table."""
        B = info.batch_size
        long = [
            None if t is None else (t.expand(B, *t.shape) if dim is None else t.movedim(dim, 0)).flatten(0, 1)
            for t, dim in zip(tensors, in_dims[1:], strict=True)
        ]
        out = _form(program, *long)  # type: ignore[arg-type]
        return out.unflatten(0, (B, len(out) // B)), 0


def _jit(loop: Callable[..., Any]) -> Callable[..., Any]:
    options: dict[str, Any] = {
        "nogil": True,
        "error_model": "numpy",
        "boundscheck": False,
        "fastmath": {"reassoc", "contract", "nsz"},
    }
    loop = inspect.unwrap(loop)  # checkers of annotations wrap every function of a package
    try:
        return numba.njit(cache=True, **options)(loop)
    except RuntimeError:  # there is no folder to write to
        return numba.njit(**options)(loop)


@_jit
def _read(rows, memory, lanes):
    numbers, x, y, z = rows.reshape(-1), lanes[0], lanes[1], lanes[2]
    for i in range(len(numbers)):
        memory[i] = numbers[i]
    for r in range(_LANES):
        x[r], y[r], z[r] = memory[3 * r], memory[3 * r + 1], memory[3 * r + 2]


@_jit
def _add(rows, lanes):
    if rows.shape[1] < _NARROW:
        for j in range(rows.shape[1]):
            column, lane = rows[:, j], lanes[j]
            for r in range(len(column)):
                lane[r] += column[r]
    else:
        for r in range(rows.shape[0]):
            for j in range(rows.shape[1]):
                lanes[j, r] += rows[r, j]


@_jit
def _write(lanes, memory, rows, column):
    """A table, four columns at a time turned in ``memory``; to store numbers one by one takes half as long again."""
    first, width = _U(column), _U(len(lanes))
    fours = width // _U(4) * _U(4)
    for j in range(_U(0), fours, _U(4)):
        lane_a, lane_b, lane_c, lane_d, at = lanes[j], lanes[j + _U(1)], lanes[j + _U(2)], lanes[j + _U(3)], first + j
        for r in range(_LANES):
            a, b, c, d = lane_a[r], lane_b[r], lane_c[r], lane_d[r]
            memory[4 * r], memory[4 * r + 1], memory[4 * r + 2], memory[4 * r + 3] = a, b, c, d
        for r in range(_U(0), _U(len(rows))):
            i = _U(4) * r
            a, b, c, d = memory[i], memory[i + _U(1)], memory[i + _U(2)], memory[i + _U(3)]
            rows[r, at], rows[r, at + _U(1)], rows[r, at + _U(2)], rows[r, at + _U(3)] = a, b, c, d
    for j in range(fours, width):
        lane = lanes[j]
        for r in range(_U(0), _U(len(rows))):
            rows[r, first + j] = lane[r]


@_jit
def _write_wide(lanes, rows):
    for r in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            rows[r, j] = lanes[j, r]


@_jit
def _dot(a, b, out):
    for r in range(_LANES):
        out[r] = a[0, r] * b[0, r] + a[1, r] * b[1, r] + a[2, r] * b[2, r]


@_jit
def _climb(l_max, up, down, x, r2, Y):
    """Y_n of vectors x, one degree after the other."""
    _dot(x, x, r2)
    Y[0] = up[0]
    for k in range(min(3, 3 * l_max)):
        for r in range(_LANES):
            Y[1 + k, r] = up[1 + k] * x[k, r]
    for l in range(2, l_max + 1):
        now, before, last = l * l, (l - 1) * (l - 1), (l - 2) * (l - 2)
        a = up[now]
        for r in range(_LANES):
            Y[now, r] = a * (x[0, r] * Y[now - 1, r] + x[2, r] * Y[before, r])
        for r in range(_LANES):
            Y[now + 2 * l, r] = a * (x[2, r] * Y[now - 1, r] - x[0, r] * Y[before, r])
        for m in range(2 * l - 1):
            a, b, j = up[now + 1 + m], down[now + 1 + m], max(last + m - 1, 0)  # b is 0 where there is no Y(l−2, m)
            for r in range(_LANES):
                Y[now + 1 + m, r] = a * x[1, r] * Y[before + m, r] - b * (r2[r] * Y[j, r])


@_jit
def _derive(terms, coefficients, v, Y, D):
    """D = (v·∇) Y."""
    D[:] = 0
    for t in range(len(coefficients)):
        k, n, j, a = terms[t, 0], terms[t, 1], terms[t, 2], coefficients[t]
        for r in range(_LANES):
            D[n, r] += a * v[k, r] * Y[j, r]


@_jit
def _gradient(terms, coefficients, g, Y, v):
    """The gradient v = ∇ (g·Y)."""
    v[:] = 0
    for t in range(len(coefficients)):
        k, n, j, a = terms[t, 0], terms[t, 1], terms[t, 2], coefficients[t]
        for r in range(_LANES):
            v[k, r] += a * g[n, r] * Y[j, r]


@_jit
def _normalize(least, x, norm, inverse):
    """Make x the direction x / max(|x|, least), and ``inverse`` 1/|x|, or 0 where |x| ≤ least."""
    one, zero = x.dtype.type(1), x.dtype.type(0)
    _dot(x, x, norm)
    for r in range(_LANES):
        length = np.sqrt(norm[r])
        norm[r] = one / max(length, least)
        inverse[r] = norm[r] if length > least else zero
    for k in range(3):
        for r in range(_LANES):
            x[k, r] *= norm[r]


@_jit
def _project(u, inverse, v, along):
    """Make v the derivative of u along it, (v − u (u·v)) / |x|, and ``along`` (u·v) / |x|."""
    _dot(u, v, along)
    for r in range(_LANES):
        along[r] *= inverse[r]
    for k in range(3):
        for r in range(_LANES):
            v[k, r] = inverse[r] * v[k, r] - along[r] * u[k, r]


@_jit
def _bend(u, inverse, v, along, h, w, uh, vh):
    """Make w the derivative of ∇f(u) along v in x, where w was that in u along the projected v, and h the gradient in u."""
    _dot(u, h, uh)
    _dot(v, h, vh)
    for k in range(3):
        for r in range(_LANES):
            w[k, r] -= along[r] * h[k, r]
    _project(u, inverse, w, along)
    for k in range(3):
        for r in range(_LANES):
            w[k, r] -= inverse[r] * (uh[r] * v[k, r] + vh[r] * u[k, r])


@_jit
def _evaluate(first, last, l_max, up, down, coefficients, terms, blocks, least, values, x, vectors, g, out):
    """Blocks of rows of ∂F/∂g (``values``) or of the gradient of F; of directions, ``least`` ≥ 0, for one vector at most."""
    tables, numbers = np.zeros((3, len(up), _LANES), x.dtype), np.zeros((4, _LANES), x.dtype)
    lanes, memory = np.zeros((4, 3, _LANES), x.dtype), np.zeros(4 * _LANES, x.dtype)
    Y, D, G = tables[0], tables[1], tables[2]
    u, v, h, w = lanes[0], lanes[1], lanes[2], lanes[3]
    inverse, along, one, two = numbers[0], numbers[1], numbers[2], numbers[3]
    least, directed = x.dtype.type(least), least >= 0
    for start in range(first * _LANES, min(last * _LANES, len(x)), _LANES):
        stop = min(start + _LANES, len(x))
        _read(x[start:stop], memory, u)
        if directed:
            _normalize(least, u, one, inverse)
        _climb(l_max, up, down, u, one, Y)
        if not values:
            G[:] = 0
            for column, n, width in blocks:
                _add(g[start:stop, column : column + width], G[n : n + width])
        for i in range(len(vectors)):
            _read(vectors[i, start:stop], memory, v)
            if directed:
                _project(u, inverse, v, along)
                if not values:
                    _gradient(terms, coefficients, G, Y, h)
            _derive(terms, coefficients, v, Y, D)
            Y, D = D, Y
        if values:
            for column, n, width in blocks:
                if width > _NARROW:
                    _write_wide(Y[n : n + width], out[start:stop, column : column + width])
                else:
                    _write(Y[n : n + width], memory, out[start:stop], column)
        else:
            _gradient(terms, coefficients, G, Y, w)
            if directed and len(vectors):
                _bend(u, inverse, v, along, h, w, one, two)
            elif directed:
                _project(u, inverse, w, along)
            _write(w, memory, out[start:stop], 0)
