"""The one pass over rows behind :mod:`molzoo.kernels.bilinear`, compiled by numba once for all programs.

Tables say what meets what. Inner loops are unit-stride over copies; their indices are unsigned, for where an index can be
negative, the compiler makes no vector loops.
"""

import inspect
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any, NamedTuple

import numba
import numpy as np
import torch

from molzoo.kernels.bilinear import _NAMES, BilinearProgram, Tensors
from molzoo.kernels.cpu import _shared
from molzoo.kernels.solid import _jit
from molzoo.shapes import Tensor


def _inline(loop: Callable[..., Any]) -> Callable[..., Any]:
    return numba.njit(inline="always")(inspect.unwrap(loop))


_U = np.uint64


class _Pair(NamedTuple):
    """x and y, or w and g, and by which of all arguments a derivative is wanted where these two stand."""

    wanted: frozenset[str]
    first: Tensor | None
    second: Tensor | None


def evaluate(program: BilinearProgram, wanted: str, values: Tensors, moved: Tensors) -> tuple[Tensor, ...]:
    """∂Q/∂s for each s in ``wanted``; or Σ_t ∂Q/∂s with the value of t replaced, over all t ≠ s that are ``moved``."""
    values, moved = ({name: t.detach().contiguous() for name, t in kind.items()} for kind in (values, moved))
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
                _run(program, rows, (*xy[1:], *wg[1:]), {s: made[s] for s in xy.wanted & wg.wanted})
    return tuple(made[name] for name in wanted)


def _run(program: BilinearProgram, rows: int, given: Sequence[Tensor | None], made: Tensors) -> None:
    """One pass with x, y, w and g, which adds to what is made."""
    like = next(t for t in given if t is not None)
    n = next(len(t) for t in (*given, *made.values()) if t is not None)
    nothing = like.new_empty(n, 0)
    arrays = [(nothing if t is None else t).numpy() for t in (*given, *map(made.get, _NAMES))]
    tables = *program.tables(like.dtype), tuple(name in made for name in _NAMES)
    for call in _shared(np.arange(n + 1), n * program.work, lambda a, b: _rows(a, b, rows, *tables, *arrays)):
        call()


def _mixed(program: BilinearProgram, rows: int, xys: Sequence[_Pair], wgs: Sequence[_Pair], made: Tensors) -> None:
    """Chunk by chunk, z and W g of all rows at once: while they are in the cache."""
    like = next(t for t in (*xys[0][1:], *wgs[0][1:]) if t is not None)
    step = max(1, min(rows, program.chunk * torch.get_num_threads()))
    of_z, of_twin = (any(pair.wanted & set(names) for pair in pairs) for names, pairs in (("wg", wgs), ("xy", xys)))
    z, twin = (like.new_empty(step, sum(program.widths)) for _ in range(2))
    zs, twins = program.stacked(z), program.stacked(twin)
    Ws, gs = [program.matrices(pair.first) for pair in wgs], [program.blocks(pair.second) for pair in wgs]
    dW, dg = program.matrices(made.get("w")), program.blocks(made.get("g"))
    for first in range(0, rows, step):
        here, n = slice(first, first + step), min(step, rows - first)
        cotangents = [[g[here].reshape(-1, g.shape[-1]) for g in blocks] for blocks in gs]
        if of_twin:
            for number, (W, g) in enumerate(zip(Ws, cotangents, strict=True)):
                for W_o, g_o, table in zip(W, g, twins, strict=True):
                    out = table[: len(g_o)]
                    torch.addmm(out, g_o, W_o.mT, beta=number > 0, out=out)
        z.zero_()
        for pair in xys:
            x, y = (None if t is None else t[here] for t in pair[1:])
            results = {name: made[name][here] for name in pair.wanted & {"x", "y"}} | ({"g": z[:n]} if of_z else {})
            _run(program, step, (x, y, None, twin[:n] if of_twin else None), results)
        for pair, W, g in zip(wgs, Ws, cotangents, strict=True):
            if "g" in pair.wanted:
                for W_o, table, total in zip(W, zs, dg, strict=True):
                    result = total[here]
                    result += (table[: n * result.shape[1]] @ W_o).view(result.shape)
            if "w" in pair.wanted:
                for total, table, g_o in zip(dW, zs, g, strict=True):
                    total.addmm_(table[: len(g_o)].mT, g_o)


@_jit
def _turn(blocks, source, target, back):
    """Components become the slow index, or the fast one again."""
    zero = _U(0)
    for b in range(len(blocks)):
        start, dim, mul = blocks[b, 0], blocks[b, 1], blocks[b, 2]
        for i in range(zero, dim):
            for u in range(zero, mul):
                if back:
                    target[start + u * dim + i] += source[start + i * mul + u]
                else:
                    target[start + i * mul + u] = source[start + u * dim + i]


@_inline
def _weighted(kind, K, U, C, L, w0, w, g0, g, twin):
    """W g, or w g."""
    zero = _U(0)
    for k in range(zero, K):
        if kind == 1:
            for u in range(zero, U):
                twin[k * U + u] = w[w0 + u] * g[g0 + k * L + u]
        else:
            for u in range(zero, U):
                s = w.dtype.type(0)
                for c in range(zero, C):
                    s += w[w0 + u * C + c] * g[g0 + k * L + c]
                twin[k * U + u] = s


@_inline
def _finished(kind, K, U, C, L, w0, w, dw, g0, g, dg, z, wanted):
    """From z, what is wanted of out = W z and g z."""
    zero = _U(0)
    for k in range(zero, K):
        if kind == 1:
            if wanted[3]:
                for u in range(zero, U):
                    dg[g0 + k * L + u] += w[w0 + u] * z[k * U + u]
            if wanted[2]:
                for u in range(zero, U):
                    dw[w0 + u] += g[g0 + k * L + u] * z[k * U + u]
        else:
            for u in range(zero, U):
                a = z[k * U + u]
                if wanted[3]:
                    for c in range(zero, C):
                        dg[g0 + k * L + c] += a * w[w0 + u * C + c]
                if wanted[2]:
                    for c in range(zero, C):
                        dw[w0 + u * C + c] += a * g[g0 + k * L + c]


@_inline
def _coupled(pairs, first, last, terms, values, U, step, x, y, r0, z):
    """z_k += a x_i for the pairs (i, k) of a path, a = Σ_j C y_j."""
    for q in range(first, last):
        i, s = pairs[q, 0], r0 + pairs[q, 1] * step
        a = y.dtype.type(0)
        for t in range(pairs[q, 2], pairs[q, 3]):
            a += values[t] * y[terms[t]]
        for u in range(_U(0), U):
            z[s + u] += a * x[i + u]


@_inline
def _coupled_x(pairs, first, last, terms, values, U, step, y, dx, r0, twin):
    for q in range(first, last):
        i, s = pairs[q, 0], r0 + pairs[q, 1] * step
        a = y.dtype.type(0)
        for t in range(pairs[q, 2], pairs[q, 3]):
            a += values[t] * y[terms[t]]
        for u in range(_U(0), U):
            dx[i + u] += a * twin[s + u]


@_inline
def _coupled_y(pairs, first, last, terms, values, U, step, x, dy, r0, twin):
    for q in range(first, last):
        i, s = pairs[q, 0], r0 + pairs[q, 1] * step
        b = x.dtype.type(0)
        for u in range(_U(0), U):
            b += x[i + u] * twin[s + u]
        for t in range(pairs[q, 2], pairs[q, 3]):
            dy[terms[t]] += values[t] * b


@_jit
def _rows(first, last, rows, paths, pairs, terms, values, turn_x, turn_g, wanted, x, y, w, g, dx, dy, dw, dg):
    """Rows ``first`` to ``last`` of the partial derivatives that are wanted."""
    of_x, of_y, of_z = wanted[0], wanted[1], wanted[2] or wanted[3]
    most = _U(max(x.shape[1], dx.shape[1], g.shape[1], dg.shape[1]))
    for p in range(len(paths)):
        most = max(most, paths[p, 4] * paths[p, 5])
    scratch = np.zeros((6, most), y.dtype)
    flat_g, flat_dg = g.reshape(-1), dg.reshape(-1)
    for n in range(_U(first), _U(last)):
        x_n, dx_n, g_n, dg_n = x[n], dx[n], flat_g, flat_dg
        if len(turn_x):
            _turn(turn_x, x[n], scratch[0], False)
            x_n, dx_n = scratch[0], scratch[1]
            dx_n[:] = 0
        if len(turn_g):
            if g.shape[1]:
                _turn(turn_g, g[n], scratch[2], False)
            g_n, dg_n = scratch[2], scratch[3]
            dg_n[:] = 0
        for p in range(len(paths)):
            kind, w0, K, U, C, L = paths[p, 2], paths[p, 3], paths[p, 4], paths[p, 5], paths[p, 6], paths[p, 7]
            g0 = paths[p, 10] if len(turn_g) else paths[p, 8] * _U(rows) + n * paths[p, 9] + paths[p, 10]
            a, b = paths[p, 0], paths[p, 1]
            if kind == 0:
                if wanted[3]:
                    _coupled(pairs, a, b, terms, values, U, L, x_n, y[n], g0, dg_n)
                if of_x:
                    _coupled_x(pairs, a, b, terms, values, U, L, y[n], dx_n, g0, g_n)
                if of_y:
                    _coupled_y(pairs, a, b, terms, values, U, L, x_n, dy[n], g0, g_n)
                continue
            twin, z = scratch[4], scratch[5]
            if of_x or of_y:
                _weighted(kind, K, U, C, L, w0, w[n], g0, g_n, twin)
            if of_x:
                _coupled_x(pairs, a, b, terms, values, U, U, y[n], dx_n, _U(0), twin)
            if of_y:
                _coupled_y(pairs, a, b, terms, values, U, U, x_n, dy[n], _U(0), twin)
            if of_z:
                z[: K * U] = 0
                _coupled(pairs, a, b, terms, values, U, U, x_n, y[n], _U(0), z)
                _finished(kind, K, U, C, L, w0, w[n], dw[n], g0, g_n, dg_n, z, wanted)
        if len(turn_x) and of_x:
            _turn(turn_x, dx_n, dx[n], True)
        if len(turn_g) and wanted[3]:
            _turn(turn_g, dg_n, dg[n], True)
