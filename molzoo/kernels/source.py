"""Source of the CPU loops: ∂Q/∂slot, or its derivative along tangents, as Python that numba compiles.

Numbers of channels are written into the source: with columns known, the compiler sees that rows do not overlap and makes
vector loops of them (3 to 4 times faster). Inner loops hold few sums each, so that these stay in registers.
"""

import math
from collections.abc import Iterable
from itertools import groupby

from molzoo.kernels.hints import Hints
from molzoo.kernels.products import WHERE, Sum, couplings, factors, sums
from molzoo.kernels.program import ConvolutionProgram

_SUMS = 4
"""Rows of the result that one inner loop adds to: the best of 4, 8, 16 and all (35 rows of 64 channels, AVX-512)."""


EDGES = "ptr", "order", "src", "dst", "w_row"
VALUES = "x", "Y", "w", "g", "x_", "Y_", "w_", "g_", "out"
"""What a loop is told the addresses of, in this order."""

FIRST_EDGE = 2
"""Where in a call addresses begin, behind the next share and the end of shares; those of values and shares follow."""
FIRST_VALUE = FIRST_EDGE + len(EDGES)
FIRST_SHARE = FIRST_VALUE + len(VALUES)


def function(name: str, program: ConvolutionProgram, slot: str, tangents: str) -> str:
    """A loop over shares of the rows of the result; row r sums over the edges ``order[ptr[r]:ptr[r + 1]]``.

    It makes its numbers by ``one``, a type; a share n is the rows from ``call[n]`` to ``call[n + 1]``.
    """
    lines = [
        f"def {name}(call):",
        *(f"    {argument} = at(call[{n}], int64)" for n, argument in enumerate(EDGES, FIRST_EDGE)),
        *(f"    {argument} = at(call[{n}], one)" for n, argument in enumerate(VALUES, FIRST_VALUE)),
        "    while True:",
        "        share = take(call)",
        "        if share >= call[1]:",
        "            return",
        "        last = call[share + 1]",
        f"        end = {'last' if slot == 'Y' else 'ptr[last]'} - 1",
        "        for row in range(call[share], last):",
        *_indent(12, _edge_of_row(program, tangents) if slot == "Y" else _edges_of_row(program, slot, tangents)),
    ]
    return "\n".join(lines) + "\n"


def _indent(depth: int, lines: Iterable[str]) -> list[str]:
    return [" " * depth + line for line in lines]


def _number(value: float) -> str:
    return f"one({value!r})"


def _edges_of_row(program: ConvolutionProgram, slot: str, tangents: str) -> list[str]:
    """Rows of g, x or w: vectors over channels, summed over edges."""
    hints = Hints(program, slot, tangents)
    inner = [*hints.of_edge("q"), *_rows_of_edge(program, slot, tangents), *_couplings(program, tangents)]
    wanted = list(sums(program, slot, tangents, _number))
    for channels, group in groupby(wanted, key=lambda one: one.channels):
        of_width = list(group)
        for begin in range(0, len(of_width), _SUMS):
            inner += _channel_loop(program, channels, of_width[begin : begin + _SUMS], slot, hints)
    if program.over_channels(slot):
        inner = [*(f"s{p} = one(0)" for p in range(program.dim[slot])), *inner]
        inner += [f"acc[{p}] += s{p}" for p in range(program.dim[slot])]
    width = program.reach[slot]
    first = [f"acc = row_of(out, {width} * row)", f"for c in range({width}):", "    acc[c] = 0"]
    return [*first, "for q in range(ptr[row], ptr[row + 1]):", "    e = order[q]", *_indent(4, inner)]


def _edge_of_row(program: ConvolutionProgram, tangents: str) -> list[str]:
    """Rows of Y: one edge each, numbers summed over channels. Harmonics of one degree share a loop, for they share products."""
    degree = lambda one: (math.isqrt(one.row), one.channels)  # noqa: E731
    hints = Hints(program, "Y", tangents)
    lines = [
        "e = order[row]",
        *hints.of_edge("row"),
        *_rows_of_edge(program, "Y", tangents),
        *(f"s{n} = one(0)" for n in range(program.n_harmonics)),
    ]
    for (_, channels), group in groupby(sorted(sums(program, "Y", tangents, _number), key=degree), key=degree):
        lines += _channel_loop(program, channels, list(group), "Y", hints)
    lines.append(f"outs = row_of(out, {program.n_harmonics} * e)")
    return [*lines, *(f"outs[{n}] = s{n}" for n in range(program.n_harmonics))]


def _rows_of_edge(program: ConvolutionProgram, slot: str, tangents: str) -> list[str]:
    """Rows of x, w, g and Y that belong to edge e, and of their tangents."""
    places = {name: f"{index}[e]" for name, index in WHERE.items()} | {"Y": "e"}
    names = [name + end for name in places if name != slot for end in (["", "_"] if name in tangents else [""])]
    return [f"{name}s = row_of({name}, {program.dim[name[0]]} * {places[name[0]]})" for name in names]


def _couplings(program: ConvolutionProgram, tangents: str) -> list[str]:
    return [
        f"{name} = {' + '.join(f'{_number(value)} * Y{end}s[{n}]' for n, value in terms)}"
        for name, end, terms in couplings(program, tangents)
    ]


def _channel_loop(program: ConvolutionProgram, channels: int, wanted: list[Sum], slot: str, hints: Hints) -> list[str]:
    """A loop over channels that adds to numbers s of an edge, or to the columns of a row."""
    read = list(factors(one.value for one in wanted))
    asked = hints.of_loop([*read, *(("o", one.row, "") for one in wanted)], 1 if program.scalar_weights else channels)
    once, each = [], []
    for letter, row, end in read:
        column = program.begins[letter][row]
        if letter == "w" and program.scalar_weights:
            once.append(f"w{row}{end} = w{end}s[{column}]")
        else:
            each.append(f"{letter}{row}{end} = {letter}{end}s[{column} + c]")
    number = program.over_channels(slot)
    adds = [f"{f's{one.row}' if number else f'acc[{program.begins[slot][one.row]} + c]'} += {one.value}" for one in wanted]
    return [*asked, *once, f"for c in range({channels}):", *_indent(4, [*each, *adds])]
