"""Source of the CPU loops: ∂Q/∂slot, or its derivative along tangents, as Python that numba compiles.

With a set of tangents T, a loop gives Σ_{t ∈ T} ∂Q/∂slot with t replaced by its tangent: the product rule. With none, it gives
∂Q/∂slot itself. Numbers of channels are written into the source: with columns known, the compiler sees that rows do not
overlap and makes vector loops of them (3 to 4 times faster). Inner loops hold few sums each, so that these stay in registers.
"""

import math
import re
from collections.abc import Iterable, Iterator
from itertools import groupby

from molzoo.kernels.program import ConvolutionProgram

_SUMS = 4
"""Rows of the result that one inner loop adds to: the best of 4, 8, 16 and all (35 rows of 64 channels, AVX-512)."""

Factors = dict[str, str]


def function(name: str, program: ConvolutionProgram, slot: str, tangents: str) -> str:
    """A loop over rows ``first`` to ``last`` of the result; row r sums over the edges ``order[ptr[r]:ptr[r + 1]]``."""
    lines = [
        f"def {name}(first, last, ptr, order, src, dst, w_row, x, Y, w, g, x_, Y_, w_, g_, out):",
        "    one = out.dtype.type",
        "    for row in range(first, last):",
        *_indent(8, _edge_of_row(program, tangents) if slot == "Y" else _edges_of_row(program, slot, tangents)),
    ]
    return "\n".join(lines) + "\n"


def _indent(depth: int, lines: Iterable[str]) -> list[str]:
    return [" " * depth + line for line in lines]


def _edges_of_row(program: ConvolutionProgram, slot: str, tangents: str) -> list[str]:
    """Rows of g, x or w: vectors over channels, summed over edges."""
    inner = [*_rows_of_edge(slot, tangents)]
    if tangents != "Y":
        inner += _couplings(program, "")
    if "Y" in tangents:
        inner += _couplings(program, "_")
    sums = [(channels, f"acc[{column} + c] += {value}") for column, channels, value in _sums(program, slot, tangents)]
    for channels, group in groupby(sums, key=lambda line: line[0]):
        lines = [line for _, line in group]
        for begin in range(0, len(lines), _SUMS):
            inner += _channel_loop(program, channels, lines[begin : begin + _SUMS])
    return ["acc = out[row]", "acc[:] = 0", "for q in range(ptr[row], ptr[row + 1]):", "    e = order[q]", *_indent(4, inner)]


def _edge_of_row(program: ConvolutionProgram, tangents: str) -> list[str]:
    """Rows of Y: one edge each, numbers summed over channels. Harmonics of one degree share a loop, for they share products."""
    sums = sorted(_sums(program, "Y", tangents), key=lambda line: (math.isqrt(line[0]), line[1]))
    lines = ["e = order[row]", *_rows_of_edge("Y", tangents), *(f"s{n} = one(0)" for n in range(program.n_harmonics))]
    for (_, channels), group in groupby(sums, key=lambda line: (math.isqrt(line[0]), line[1])):
        lines += _channel_loop(program, channels, [f"s{n} += {value}" for n, _, value in group])
    return [*lines, *(f"out[e, {n}] = s{n}" for n in range(program.n_harmonics))]


def _rows_of_edge(slot: str, tangents: str) -> list[str]:
    """Rows of x, w, g that belong to edge e, and of their tangents."""
    where = {"x": "src[e]", "w": "w_row[e]", "g": "dst[e]"}
    names = [name + end for name in where if name != slot for end in (["", "_"] if name in tangents else [""])]
    return [f"{name}s = {name}[{where[name[0]]}]" for name in names]


def _couplings(program: ConvolutionProgram, end: str) -> Iterator[str]:
    """a{p}_{m}_{k} = Σ_n C[m, n, k] Y[n] of edge e."""
    for p, path in enumerate(program.paths):
        sums: dict[tuple[int, int], list[str]] = {}
        for m, n, k, value in path:
            sums.setdefault((m, k), []).append(f"one({value!r}) * Y{end}[e, {n}]")
        for (m, k), terms in sums.items():
            yield f"a{p}_{m}_{k}{end} = {' + '.join(terms)}"


def _channel_loop(program: ConvolutionProgram, channels: int, sums: list[str]) -> list[str]:
    names = dict.fromkeys(re.findall(r"\b([xwg])(\d+)(_?)\b", " ".join(sums)))
    loads = [f"{letter}{row}{end} = {letter}{end}s[{program.begins[letter][int(row)]} + c]" for letter, row, end in names]
    return [f"for c in range({channels}):", *_indent(4, [*loads, *sums])]


def _sums(program: ConvolutionProgram, slot: str, tangents: str) -> Iterator[tuple[int, int, str]]:
    """Column of the result, channels and value of each sum that an edge contributes to."""
    for p, (path, channels) in enumerate(zip(program.paths, program.channels, strict=True)):
        by_row: dict[int, dict[tuple[int, int], Factors]] = {}
        for m, n, k, value in path:
            row = {"g": k, "x": m, "w": p, "Y": n}[slot]
            factors = {"Y": f"one({value!r})" if slot == "Y" else f"a{p}_{m}_{k}", "x": f"x{m}", "g": f"g{k}"}
            by_row.setdefault(row, {})[m, k] = {name: text for name, text in factors.items() if name != slot or slot == "Y"}
        for row, products in by_row.items():
            column = row if slot == "Y" else program.begins[slot][row]
            yield column, channels, _contribution(p, slot, list(products.values()), tangents)


def _contribution(p: int, slot: str, products: list[Factors], tangents: str) -> str:
    """w_p · Σ products by the product rule; without w_p where the weights are the open slot."""
    if slot == "w":
        return " + ".join(_product_rule(factors, tangents) for factors in products)
    rest, parts = tangents.replace("w", ""), []
    if rest or not tangents:
        parts.append(f"w{p} * ({' + '.join(_product_rule(factors, rest) for factors in products)})")
    if "w" in tangents:
        parts.append(f"w{p}_ * ({' + '.join(_product_rule(factors, '') for factors in products)})")
    return " + ".join(parts)


def _product_rule(factors: Factors, tangents: str) -> str:
    """The product of ``factors``, or the sum of those in which one of ``tangents`` stands in its factor's place."""
    replaced = [factors | {t: factors[t] + "_"} for t in tangents]
    return " + ".join(" * ".join(product.values()) for product in (replaced or [factors]))
