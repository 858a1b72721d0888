"""CPU loops for a :class:`ConvolutionProgram`: written as Python source, compiled by numba, one for each derivative of Q.

Every loop runs over disjoint rows of its result (receivers, senders, rows of weights, edges), so threads never meet, sums are
always taken in the same order, and results are bit-identical from run to run. Inner loops are unit-stride over channels.
Threads are Python's own, for compiled code releases the interpreter: two threads of a program may call at once, and a forked
process makes its own.
"""

import hashlib
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from molzoo.kernels.program import ConvolutionProgram, Term
from molzoo.shapes import Tensor

SLOTS = ("g", "x", "Y", "w")
"""Which argument of Q is left open; g is the convolution itself."""

_PARALLEL_FROM = 2_000_000
"""Multiplications below which a second thread costs more than it saves."""

_HEADER = '''"""{program}"""

import numba

jit = numba.njit(cache={cache}, nogil=True, error_model="numpy", boundscheck=False, fastmath={{"reassoc", "contract", "nsz"}})
'''


def run(program: ConvolutionProgram, slot: str, index: Any, x: Tensor, Y: Tensor, w: Tensor, g: Tensor, out: Tensor) -> None:
    """Fill ``out`` with ∂Q/∂slot; the tensor in the open slot is not read."""
    kernel = getattr(_compiled(program), f"d{slot}")
    ptr, order = index.rows(slot)
    channels = (out if slot == "w" else w).shape[1] // len(program.paths)
    arrays = [_array(t) for t in (index.src, index.dst, index.w_row, order, x, Y, w, g, out)]
    work = index.n_edges * channels * sum(map(len, program.paths))
    for call in _shared(ptr, work, lambda first, last: kernel(first, last, ptr, *arrays, channels)):
        call()


def _array(tensor: Any) -> np.ndarray:
    return tensor if isinstance(tensor, np.ndarray) else tensor.detach().numpy()


def _shared(ptr: np.ndarray, work: int, call: Callable[[int, int], None]) -> Iterable[Callable[[], Any]]:
    """``call`` over all rows, shared out so that each thread gets as many edges; what is given back must be called in turn."""
    rows, threads = len(ptr) - 1, torch.get_num_threads()
    if threads == 1 or work < _PARALLEL_FROM:
        return [lambda: call(0, rows)]
    cuts = np.searchsorted(ptr, np.linspace(0, ptr[-1], threads + 1)[1:-1])
    bounds = [0, *np.maximum.accumulate(cuts).tolist(), rows]
    waiting = [_pool(os.getpid(), threads).submit(call, a, b) for a, b in pairwise(bounds[1:])]
    return [lambda: call(0, bounds[1]), *(future.result for future in waiting)]


@lru_cache(maxsize=1)
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """Threads of this process; one that was forked makes its own."""
    return ThreadPoolExecutor(threads, thread_name_prefix="molzoo")


@lru_cache(maxsize=256)
def _compiled(program: ConvolutionProgram) -> ModuleType:
    """The module of a program's loops, from the cache folder where there is one."""
    body = "\n\n".join(_function(program, slot) for slot in SLOTS)
    for folder in (_cache_folder(), None):
        text = _HEADER.format(program=program, cache=folder is not None) + body
        name = f"molzoo_kernel_{hashlib.sha256(text.encode()).hexdigest()[:16]}"
        try:
            return _module(name, text, folder)
        except OSError:  # no such folder, or not ours to write to
            continue
    raise AssertionError("compiling in memory writes nothing")


def _cache_folder() -> Path:
    return Path(os.environ.get("MOLZOO_CACHE") or "~/.cache/molzoo").expanduser() / "kernels"


def _module(name: str, text: str, folder: Path | None) -> ModuleType:
    if folder is None:
        module = ModuleType(name)
        exec(compile(text, name, "exec"), module.__dict__)
        return module
    path = folder / f"{name}.py"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        # Other processes may be about to write the same file: whole or not at all.
        with tempfile.NamedTemporaryFile("w", dir=folder, suffix=".part", delete=False) as file:
            file.write(text)
        os.replace(file.name, path)
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    sys.modules[name] = module  # numba finds a cached function by its module
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    return module


def _function(program: ConvolutionProgram, slot: str) -> str:
    """Source of the loop for one slot."""
    write = {"g": _dg, "x": _dx, "Y": _dY, "w": _dw}[slot]
    lines = [
        "@jit",
        f"def d{slot}(first, last, ptr, src, dst, w_row, order, x, Y, w, g, out, C):",
        "    one = out.dtype.type",
        "    for row in range(first, last):",
        *write(program),
    ]
    return "\n".join(lines) + "\n"


def _indent(depth: int, lines: Iterable[str]) -> list[str]:
    return [" " * depth + line for line in lines]


def _edge_loop(needs: str) -> list[str]:
    """Visit the edges of a row; ``needs`` says which arguments of Q are read there."""
    reads = {"x": "xs = x[src[e]]", "g": "gs = g[dst[e]]", "w": "ws = w[w_row[e]]"}
    return [
        "for q in range(ptr[row], ptr[row + 1]):",
        "    e = order[q]",
        *_indent(4, [reads[letter] for letter in needs]),
    ]


def _coupling(path: tuple[Term, ...], p: int) -> tuple[list[str], dict[tuple[int, int], str]]:
    """Lines that sum C · Y of an edge over the harmonics, and the name of each sum by (m, k)."""
    sums: dict[tuple[int, int], list[str]] = {}
    for m, n, k, value in path:
        sums.setdefault((m, k), []).append(f"one({value!r}) * Y[e, {n}]")
    names = {(m, k): f"a{p}_{m}_{k}" for m, k in sums}
    return [f"{names[at]} = {' + '.join(terms)}" for at, terms in sums.items()], names


def _couplings(program: ConvolutionProgram) -> tuple[list[str], list[dict[tuple[int, int], str]]]:
    lines, names = [], []
    for p, path in enumerate(program.paths):
        more, named = _coupling(path, p)
        lines += more
        names.append(named)
    return lines, names


def _loads(letter: str, rows: Iterable[int]) -> list[str]:
    return [f"{letter}{row} = {letter}s[{row} * C + c]" for row in sorted(set(rows))]


def _inputs(program: ConvolutionProgram) -> set[int]:
    return {term.m for path in program.paths for term in path}


def _outputs(program: ConvolutionProgram) -> set[int]:
    return {term.k for path in program.paths for term in path}


def _dg(program: ConvolutionProgram) -> list[str]:
    return _carried(program, "x", _inputs(program), lambda m, k: (f"x{m}", k))


def _dx(program: ConvolutionProgram) -> list[str]:
    return _carried(program, "g", _outputs(program), lambda m, k: (f"g{k}", m))


def _carried(
    program: ConvolutionProgram, letter: str, read: set[int], ends: Callable[[int, int], tuple[str, int]]
) -> list[str]:
    """Rows of x carried along edges to rows of g, or back; of a coupling (m, k), ``ends`` are what it reads and adds to."""
    couple, names = _couplings(program)
    body = _loads(letter, read)
    for p, named in enumerate(names):
        body.append(f"w{p} = ws[{p} * C + c]")
        sums: dict[int, list[str]] = {}
        for (m, k), a in named.items():
            source, row = ends(m, k)
            sums.setdefault(row, []).append(f"{a} * {source}")
        body += [f"acc[{row} * C + c] += w{p} * ({' + '.join(terms)})" for row, terms in sorted(sums.items())]
    return _accumulated(couple, letter + "w", body)


def _dw(program: ConvolutionProgram) -> list[str]:
    couple, names = _couplings(program)
    body = _loads("x", _inputs(program)) + _loads("g", _outputs(program))
    for p, named in enumerate(names):
        terms = " + ".join(f"{a} * x{m} * g{k}" for (m, k), a in named.items())
        body.append(f"acc[{p} * C + c] += {terms}")
    return _accumulated(couple, "xg", body)


def _accumulated(couple: list[str], needs: str, body: list[str]) -> list[str]:
    """Rows of the result summed over their edges, channel by channel."""
    return [
        *_indent(8, ["acc = out[row]", "acc[:] = 0"]),
        *_indent(8, _edge_loop(needs)),
        *_indent(12, couple),
        *_indent(12, ["for c in range(C):"]),
        *_indent(16, body),
    ]


def _dY(program: ConvolutionProgram) -> list[str]:
    """Rows are edges here: sums over channels, one for each product that a harmonic meets."""
    products = sorted({(p, t.m, t.k) for p, path in enumerate(program.paths) for t in path})
    start = [f"b{p}_{m}_{k} = one(0)" for p, m, k in products]
    body = _loads("x", {m for _, m, _ in products}) + _loads("g", {k for _, _, k in products})
    body += [f"w{p} = ws[{p} * C + c]" for p in sorted({p for p, _, _ in products})]
    body += [f"b{p}_{m}_{k} += w{p} * x{m} * g{k}" for p, m, k in products]
    sums: dict[int, list[str]] = {}
    for p, path in enumerate(program.paths):
        for m, n, k, value in path:
            sums.setdefault(n, []).append(f"one({value!r}) * b{p}_{m}_{k}")
    lines = [
        *_indent(8, ["e = order[row]", "xs = x[src[e]]", "gs = g[dst[e]]", "ws = w[w_row[e]]", "out[e, :] = 0", *start]),
    ]
    lines += [*_indent(8, ["for c in range(C):"]), *_indent(12, body)]
    return lines + _indent(8, [f"out[e, {n}] = {' + '.join(terms)}" for n, terms in sorted(sums.items())])
