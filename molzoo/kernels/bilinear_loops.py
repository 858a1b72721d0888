"""The one pass over rows behind :mod:`molzoo.kernels.bilinear`, compiled by numba once for all programs.

Tables say what meets what. Inner loops are unit-stride over copies; their indices are unsigned, for where an index can be
negative, the compiler makes no vector loops.
"""

import inspect
from collections.abc import Callable, Sequence
from functools import cache
from itertools import product
from typing import Any, NamedTuple

import numba
import numpy as np
import torch

from molzoo.kernels.bilinear import _NAMES, BilinearProgram, Tensors
from molzoo.kernels.solid import _jit
from molzoo.kernels.threads import side_by_side
from molzoo.kernels.watchers import plain
from molzoo.shapes import Tensor


def _inline(loop: Callable[..., Any]) -> Callable[..., Any]:
    return numba.njit(inline="always")(inspect.unwrap(loop))


_U = np.uint64

_ROWS = 16
"""Rows that are turned and coupled at a time: they fit into the innermost cache."""


class _Pair(NamedTuple):
    """x and y, or w and g, and by which of all arguments a derivative is wanted where these two stand."""

    wanted: frozenset[str]
    first: Tensor | None
    second: Tensor | None


def evaluate(program: BilinearProgram, wanted: str, values: Tensors, moved: Tensors) -> tuple[Tensor, ...]:
    """∂Q/∂s for each s in ``wanted``; or Σ_t ∂Q/∂s with the value of t replaced, over all t ≠ s that are ``moved``."""
    values, moved = ({name: plain(t.detach()) for name, t in kind.items()} for kind in (values, moved))
    rows = next(len(t) for name, t in values.items() if name != "w" or not program.shared)
    shapes = {name: (rows, n) for name, n in program.dim.items()} | ({"w": (program.dim["w"],)} if program.shared else {})
    made = {name: next(iter(values.values())).new_zeros(shapes[name]) for name in wanted}

    def pair(names: str, replaced: str = "") -> _Pair:
        first, second = ((moved if name == replaced else values).get(name) for name in names)
        return _Pair(frozenset(wanted) - {replaced}, first, second)

    of_x_or_y, of_w_or_g = ([pair(names, t) for t in moved if t in names] for names in ("xy", "wg"))
    groups = [(of_x_or_y, [pair("wg")]), ([pair("xy")], of_w_or_g)] if moved else [([pair("xy")], [pair("wg")])]
    for xys, wgs in groups:
        if program.shared and xys and wgs:
            _mixed(program, rows, xys, wgs, made)
        elif not program.shared:
            for xy, wg in product(xys, wgs):
                wish = {s: made[s] for s in xy.wanted & wg.wanted}
                _run(_pass(program, (*xy[1:], *wg[1:]), wish), rows, program.work)
    return tuple(made[name] for name in wanted)


def _pass(
    program: BilinearProgram, given: Sequence[Tensor | None], made: Tensors, fresh: bool = False
) -> Callable[[int, int, int, int], None]:
    """One pass with x, y, w and g, which adds to what is made; for shared weights g is z, of any content if ``fresh``.

    What is given back takes the first and last row, how many rows of x and y are ahead of these, and how many z has.
    """
    like = next(t for t in (*given, *made.values()) if t is not None)
    nothing = like.new_empty(0, 0)
    arrays = [(nothing if t is None else t).numpy() for t in (*given, *map(made.get, _NAMES))]
    options = program.shared, fresh, program.copies_first, tuple(name in made for name in _NAMES)
    tables = program.tables(like.dtype)
    return lambda first, last, ahead, rows: _rows(first, last, ahead, rows, *options, *tables, *arrays)


def _run(once: Callable[[int, int, int, int], None], rows: int, work: int) -> None:
    """All rows in one pass, shared out among threads."""
    side_by_side(rows, rows * work, lambda first, last: once(first, last, 0, rows))


def _mixed(program: BilinearProgram, rows: int, xys: Sequence[_Pair], wgs: Sequence[_Pair], made: Tensors) -> None:
    """Rows shared out among threads, each with matrix products of its own: torch's threads would stand in the way of ours."""
    parts: dict[int, Tensors] = {}

    def part(first: int, last: int) -> None:
        parts[first] = made if first == 0 or "w" not in made else made | {"w": torch.zeros_like(made["w"])}
        _mixed_rows(program, first, last, xys, wgs, parts[first])

    side_by_side(rows, rows * program.work, part)
    for first in sorted(parts)[1:]:
        if "w" in made:
            made["w"] += parts[first]["w"]


def _mixed_rows(
    program: BilinearProgram, begin: int, end: int, xys: Sequence[_Pair], wgs: Sequence[_Pair], made: Tensors
) -> None:
    """Chunk by chunk, z and W g of all rows at once: while they are in the cache."""
    like = next(t for t in (*xys[0][1:], *wgs[0][1:]) if t is not None)
    step = max(1, min(end - begin, program.chunk))
    of_z, of_twin = (any(pair.wanted & set(names) for pair in pairs) for names, pairs in (("wg", wgs), ("xy", xys)))
    wide = sum(program.widths)
    z, twin, out = (like.new_empty(step * n) for n in (wide, wide, program.dim["g"]))
    cotangents = [torch.empty_like(out) for _ in wgs]
    Ws, dW = [program.matrices(pair.first) for pair in wgs], program.matrices(made.get("w"))
    blocks = program.tables(like.dtype)[-1][-1]
    of_rows = {"g": z[: step * wide].view(step, -1)} if of_z else {}
    mixed = twin[: step * wide].view(step, -1) if of_twin else None
    passes = [
        _pass(program, (*pair[1:], None, mixed), {s: made[s] for s in pair.wanted & {"x", "y"}} | of_rows, number == 0)
        for number, pair in enumerate(xys)
    ]

    @cache  # all chunks but the last are of one size
    def tables(n: int) -> tuple[list[list[Tensor]], list[list[Tensor]]]:
        mixed = [program.stacked(t, n, mixed=True) if wish else [] for t, wish in ((z, of_z), (twin, of_twin))]
        return mixed, [program.stacked(out, n)] + [program.stacked(g, n) for g in cotangents]

    for first in range(begin, end, step):
        here, n = slice(first, min(first + step, end)), min(step, end - first)
        (zs, twins), (outs, *gs) = tables(n)
        for pair, memory in zip(wgs, cotangents, strict=True):
            if pair.second is not None:
                _stack(blocks, program.copies_first, pair.second[here].numpy(), memory.numpy(), False)
        if of_twin:
            for number, (W, g) in enumerate(zip(Ws, gs, strict=True)):
                for W_o, g_o, result in zip(W, g, twins, strict=True):
                    torch.addmm(result, g_o, W_o.mT, beta=number > 0, out=result)
        for once in passes:
            once(0, n, first, n)
        for pair, W, g in zip(wgs, Ws, gs, strict=True):
            for k, z_o in enumerate(zs):
                if "g" in pair.wanted:
                    torch.mm(z_o, W[k], out=outs[k])
                if "w" in pair.wanted:
                    dW[k].addmm_(z_o.mT, g[k])
            if "g" in pair.wanted:
                _stack(blocks, program.copies_first, made["g"][here].numpy(), out.numpy(), True)


@_inline
def _turn(blocks, copies_first, first, last, vectors, tables, size, back):
    """Blocks of vectors as tables (``size`` rows, components, copies), one after the other; or, ``back``, added to vectors."""
    zero = _U(0)
    for n in range(first, last if vectors.shape[1] else first):
        for b in range(len(blocks)):
            start, dim, mul = blocks[b, 0], blocks[b, 1], blocks[b, 2]
            near, far = (_U(1), dim) if copies_first else (mul, _U(1))  # from one component, and one copy, to the next
            for k in range(zero, dim):
                at, to = start + k * near, start * size + ((n - first) * dim + k) * mul
                if back:
                    for c in range(zero, mul):
                        vectors[n, at + c * far] += tables[to + c]
                else:
                    for c in range(zero, mul):
                        tables[to + c] = vectors[n, at + c * far]


@_jit
def _stack(blocks, copies_first, vectors, tables, back):
    _turn(blocks, copies_first, _U(0), _U(len(vectors)), vectors, tables, _U(len(vectors)), back)


@_inline
def _weighted(path, rows, W, w_row, G, g0, T):
    """W g, or w g."""
    zero, K, U, C, L, step = _U(0), path.components, path.copies, path.mixed, path.width, path.w_step
    for n in range(zero, rows):
        w0 = n * w_row + path.w
        for k in range(zero, K):
            t0, k0 = (n * K + k) * U, g0 + n * path.z_row + k * L
            if path.kind == 1:
                for u in range(zero, U):
                    T[t0 + u] = W[w0 + u] * G[k0 + u]
            else:
                for u in range(zero, U):
                    at, t = w0 + u * step, W.dtype.type(0)
                    for c in range(zero, C):
                        t += W[at + c] * G[k0 + c]
                    T[t0 + u] = t


@_inline
def _finished(path, rows, Z, W, dW, w_row, G, dG, g0, of_w, of_g):
    """From z, what is wanted of out = W z and g z."""
    zero, K, U, C, L, step = _U(0), path.components, path.copies, path.mixed, path.width, path.w_step
    for n in range(zero, rows):
        w0 = n * w_row + path.w
        for k in range(zero, K):
            z0, k0 = (n * K + k) * U, g0 + n * path.z_row + k * L
            if path.kind == 1:
                if of_g:
                    for u in range(zero, U):
                        dG[k0 + u] += W[w0 + u] * Z[z0 + u]
                if of_w:
                    for u in range(zero, U):
                        dW[w0 + u] += G[k0 + u] * Z[z0 + u]
            else:
                for u in range(zero, U):
                    at, z = w0 + u * step, Z[z0 + u]
                    if of_g:
                        for c in range(zero, C):
                            dG[k0 + c] += z * W[at + c]
                    if of_w:
                        for c in range(zero, C):
                            dW[at + c] += z * G[k0 + c]


@_inline
def _coupled(path, rows, tables, A, place, X, Y, T, dX, dY, Z, wanted):
    """For the pairs (i, k) of a path and a = Σ_j C y_j: z_k += a x_i, dx_i += a t_k, and dy_j += C x_i · t_k."""
    x0, y0, k0, row, L = place
    of_x, of_y, of_z = wanted
    pairs, terms, values = tables
    zero, first, last, U, x_row, y_row, step = _U(0), path.first, path.last, path.copies, path.x_row, path.y_row, path.y_step
    for n in range(zero, rows):
        x_n, y_n, k_n = x0 + n * x_row, y0 + n * y_row, k0 + n * row
        for q in range(first, last):
            a = Y.dtype.type(0)
            for t in range(pairs[q, 2], pairs[q, 3]):
                a += values[t] * Y[y_n + terms[t] * step]
            A[q] = a
        if of_z:
            for q in range(first, last):
                i, k, a = x_n + pairs[q, 0] * U, k_n + pairs[q, 1] * L, A[q]
                for u in range(zero, U):
                    Z[k + u] += a * X[i + u]
        if of_x:
            for q in range(first, last):
                i, k, a = x_n + pairs[q, 0] * U, k_n + pairs[q, 1] * L, A[q]
                for u in range(zero, U):
                    dX[i + u] += a * T[k + u]
        if of_y:
            for q in range(first, last):
                i, k, b = x_n + pairs[q, 0] * U, k_n + pairs[q, 1] * L, Y.dtype.type(0)
                for u in range(zero, U):
                    b += X[i + u] * T[k + u]
                for t in range(pairs[q, 2], pairs[q, 3]):
                    dY[y_n + terms[t] * step] += values[t] * b


@_inline
def _multiplied(path, rows, tables, place, X, Y, T, dX, dY, Z, wanted):
    """The same copy by copy: z_k += C x_i y_j, dx_i += C t_k y_j, dy_j += C x_i t_k."""
    x0, y0, k0, row, L = place
    of_x, of_y, of_z = wanted
    pairs, terms, values = tables
    zero, first, last, U, x_row, y_row, step = _U(0), path.first, path.last, path.copies, path.x_row, path.y_row, path.y_step
    for n in range(zero, rows):
        x_n, y_n, k_n = x0 + n * x_row, y0 + n * y_row, k0 + n * row
        for q in range(first, last):
            i, k = x_n + pairs[q, 0] * U, k_n + pairs[q, 1] * L
            for t in range(pairs[q, 2], pairs[q, 3]):
                j, c = y_n + terms[t] * step, values[t]
                if of_z:
                    for u in range(zero, U):
                        Z[k + u] += c * X[i + u] * Y[j + u]
                if of_x:
                    for u in range(zero, U):
                        dX[i + u] += c * T[k + u] * Y[j + u]
                if of_y:
                    for u in range(zero, U):
                        dY[j + u] += c * X[i + u] * T[k + u]


@_jit
def _scratch(a, b):
    return np.empty(max(a.shape[1], b.shape[1]) * _ROWS, a.dtype)


@_jit
def _rows(begin, end, ahead, rows, shared, fresh, copies_first, wanted, paths, tables, blocks, x, y, w, g, dx, dy, dw, dg):
    """Rows ``begin`` to ``end`` of the partial derivatives that are wanted; x and y have ``ahead`` more rows before."""
    of_x, of_y, of_w, of_g = wanted
    zero, size, most = _U(0), _U(_ROWS), _U(0)
    for p in range(len(paths)):
        most = max(most, paths[p].components * paths[p].copies)
    A, t, z = np.empty(len(tables[0]), y.dtype), np.empty(most * size, y.dtype), np.empty(most * size, y.dtype)
    X, dX, Y, dY = _scratch(x, dx), _scratch(x, dx), _scratch(y, dy), _scratch(y, dy)
    W, dW, G, dG = _scratch(w, dw), _scratch(w, dw), g.reshape(-1), dg.reshape(-1)
    if not shared:
        G, dG = _scratch(g, dg), _scratch(g, dg)
    w_row = _U(max(w.shape[1], dw.shape[1]))
    for first in range(_U(begin), _U(end), size):
        last = min(first + size, _U(end))
        n = last - first
        here, there = first + _U(ahead), last + _U(ahead)  # in x and y
        _turn(blocks[0], copies_first, here, there, x, X, size, False)
        _turn(blocks[1], copies_first, here, there, y, Y, size, False)
        dX[:], dY[:], dW[:] = 0, 0, 0
        if not shared:
            _turn(blocks[2], True, first, last, w, W, size, False)
            _turn(blocks[3], copies_first, first, last, g, G, size, False)
            dG[:] = 0
        for p in range(len(paths)):
            path = paths[p]
            x0, y0, K, U = path.x * size, path.y * size + path.copy, path.components, path.copies
            g0 = path.z * _U(rows) + first * path.z_row + path.z_copy if shared else path.z * size
            place, T, Z, wish = (x0, y0, g0, path.z_row, path.width), G, dG, (of_x, of_y, of_g)
            if path.kind:
                place, T, Z, wish = (x0, y0, zero, K * U, U), t, z, (of_x, of_y, of_w or of_g)
                if of_x or of_y:
                    _weighted(path, n, W, w_row, G, g0, T)
            if (path.kind or fresh) and (of_w or of_g):
                for k in range(place[2], place[2] + n * place[3], place[4]):
                    for u in range(zero, U):
                        Z[k + u] = 0
            if path.alike:
                _multiplied(path, n, tables, place, X, Y, T, dX, dY, Z, wish)
            else:
                _coupled(path, n, tables, A, place, X, Y, T, dX, dY, Z, wish)
            if path.kind and (of_w or of_g):
                _finished(path, n, z, W, dW, w_row, G, dG, g0, of_w, of_g)
        if of_x:
            _turn(blocks[0], copies_first, here, there, dx, dX, size, True)
        if of_y:
            _turn(blocks[1], copies_first, here, there, dy, dY, size, True)
        if of_w and not shared:
            _turn(blocks[2], True, first, last, dw, dW, size, True)
        if of_g and not shared:
            _turn(blocks[3], copies_first, first, last, dg, dG, size, True)
