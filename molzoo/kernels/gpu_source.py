"""Source of the GPU kernels: ∂Q/∂slot, or its derivative along tangents, as Python that Triton compiles.

An instance of a kernel makes one row of the result (a receiver, a sender, a row of weights, an edge) and adds its edges in
their order: nothing is added by two, so runs are bit-identical. Rows of g, x and w are shared out in blocks of channels, a
kernel for each number of channels; rows of Y (and of weights of one channel) are sums over channels, so one kernel goes through
all of them.
"""

import re
from collections.abc import Iterable, Iterator

from molzoo.kernels.products import WHERE, Sum, couplings, factors, sums
from molzoo.kernels.program import ConvolutionProgram

_BLOCK = 64
"""Channels of one instance at most."""

_ROWS = 40
"""Rows of the result that one instance adds to at most: their sums stay in registers (NVIDIA's have 255 in a thread)."""

_HEAD = '''"""{program}

The derivative by {slot}, along tangents of: {tangents}.
"""

import triton
import triton.language as tl

'''

_SIGNATURE = "ptr, order, src, dst, w_row, x, Y, w, g, x_, Y_, w_, g_, out"


def module(program: ConvolutionProgram, slot: str, tangents: str) -> str:
    """Kernels, and ``KERNELS``: each with the number of its blocks and the channels of one."""
    wanted = list(sums(program, slot, tangents, repr))
    parts, table = [_HEAD.format(program=program, slot=slot, tangents=tangents or "nothing")], []
    for number, (rows, channels) in enumerate(_shares(program, slot, wanted)):
        block = min(_BLOCK, 1 << (channels - 1).bit_length())
        if program.over_channels(slot):
            blocks, body = 1, _numbers(program, slot, tangents, wanted, block)
        else:
            blocks, body = -(-channels // block), _rows(program, slot, tangents, wanted, rows, block)
        parts.append("\n".join(["", "@triton.jit", f"def kernel_{number}({_SIGNATURE}):", *_indent(body), "", ""]))
        table.append(f"(kernel_{number}, {blocks}, {block})")
    return "".join(parts) + f"\nKERNELS = [{', '.join(table)}]\n"


def _indent(lines: Iterable[str]) -> list[str]:
    return ["    " + line for line in lines]


def _shares(program: ConvolutionProgram, slot: str, wanted: list[Sum]) -> Iterator[tuple[list[int], int]]:
    """Rows of one kernel, and their channels: together what a path makes, for it reads the same."""
    if program.over_channels(slot):
        yield list(range(program.dim[slot])), max(program.channels, default=1)
        return
    widths = program.widths[slot]
    reached = list(dict.fromkeys([one.row for one in wanted]) | dict.fromkeys(range(len(widths))))
    for channels in sorted(set(widths)):
        rows = [row for row in reached if widths[row] == channels]
        yield from ((rows[begin : begin + _ROWS], channels) for begin in range(0, len(rows), _ROWS))


def _rows(program: ConvolutionProgram, slot: str, tangents: str, wanted: list[Sum], rows: list[int], block: int) -> list[str]:
    """One block of channels of these rows, summed over edges; those that nothing reaches are zero."""
    adds = [one for one in wanted if one.row in rows]
    dim, begins = program.reach[slot], program.begins[slot]
    channels = begins[rows[0] + 1] - begins[rows[0]]
    return [
        "row = tl.program_id(0).to(tl.int64)",
        f"c = tl.program_id(1) * {block} + tl.arange(0, {block})",
        f"inside = c < {channels}",
        *(f"s{row} = tl.zeros(({block},), dtype=out.dtype.element_ty)" for row in rows),
        *_edges([*_couplings(program, tangents, adds), *_loads(program, adds), *_adds(adds)], slot, program),
        *(f"tl.store(out + row * {dim} + {begins[row]} + c, s{row}, mask=inside)" for row in rows),
    ]


def _numbers(program: ConvolutionProgram, slot: str, tangents: str, wanted: list[Sum], block: int) -> list[str]:
    """Harmonics or weights of one channel: sums over channels, block after block."""
    inner = _couplings(program, tangents, wanted)
    for channels in sorted(set(program.channels)):
        adds = [one for one in wanted if one.channels == channels]
        loop = [f"c = begin + tl.arange(0, {block})", f"inside = c < {channels}", *_loads(program, adds), *_adds(adds)]
        inner += [f"for begin in range(0, {channels}, {block}):", *_indent(loop)]
    columns = range(program.dim[slot])
    return [
        "row = tl.program_id(0).to(tl.int64)",
        *(f"s{n} = tl.zeros(({block},), dtype=out.dtype.element_ty)" for n in columns),
        *_edges(inner, slot, program),
        *(f"tl.store(out + row * {len(columns)} + {n}, tl.sum(s{n}))" for n in columns),
    ]


def _edges(inner: list[str], slot: str, program: ConvolutionProgram) -> list[str]:
    """A loop over the edges of a row."""
    return [
        "for q in range(tl.load(ptr + row), tl.load(ptr + row + 1)):",
        "    e = tl.load(order + q)",
        *_indent(
            f"{letter}e = tl.load({index} + e) * {program.dim[letter]}" for letter, index in WHERE.items() if letter != slot
        ),
        *_indent(inner),
    ]


def _couplings(program: ConvolutionProgram, tangents: str, adds: list[Sum]) -> list[str]:
    """Those that these sums read, and the harmonics that they read."""
    read = set(re.findall(r"a\w+", " ".join(one.value for one in adds)))
    used = [(name, end, terms) for name, end, terms in couplings(program, tangents) if name in read]
    harmonics = dict.fromkeys((n, end) for _, end, terms in used for n, _ in terms)
    return [
        *(f"Y{n}{end} = tl.load(Y{end} + e * {program.n_harmonics} + {n})" for n, end in harmonics),
        *(f"{name} = {' + '.join(f'{value!r} * Y{n}{end}' for n, value in terms)}" for name, end, terms in used),
    ]


def _loads(program: ConvolutionProgram, adds: list[Sum]) -> list[str]:
    lines = []
    for letter, row, end in factors(one.value for one in adds):
        place = f"{letter}{end} + {letter}e + {program.begins[letter][row]}"
        number = letter == "w" and program.scalar_weights
        lines.append(
            f"{letter}{row}{end} = tl.load({place})"
            if number
            else f"{letter}{row}{end} = tl.load({place} + c, mask=inside, other=0.0)"
        )
    return lines


def _adds(adds: list[Sum]) -> list[str]:
    return [f"s{one.row} += {one.value}" for one in adds]
