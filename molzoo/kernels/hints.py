"""Hints in the CPU loops: what the processor shall fetch from memory while it computes the edges before.

Weights and their gradients pass by once, too many for any cache, and a processor that is left alone guesses their rows badly.
Some twenty requests can be on their way at a time: so each loop asks for the few lines that the same loop of a later edge
will touch. The same requests all at once, at the beginning of an edge, gain nothing.
"""

from collections.abc import Iterable

from molzoo.kernels.products import WHERE
from molzoo.kernels.program import ConvolutionProgram

AHEAD = 4
"""Edges between a hint and its use; 2 and 8 are as good, 1 is too late."""
_LINE = 16
"""Numbers of float32 that a request brings."""
_FETCHED = {"g": "xw", "x": "w", "Y": "w", "w": "o"}
"""For each slot, the arguments of which rows are fetched; o is the result, whose rows are as many as those of the weights."""
_ENOUGH = 2
"""Coefficients per path from which on there is so much to compute that hints pay; SchNet's one is read as fast without."""


class Hints:
    """The hints of one loop over edges; each line of memory is asked for once.

    Args:
        program: the convolution.
        slot: which argument is left open.
        tangents: the arguments that have tangents.
    """

    def __init__(self, program: ConvolutionProgram, slot: str, tangents: str) -> None:
        self._program, self._slot, self._tangents, self._asked = program, slot, tangents, set[tuple[str, int]]()
        enough = sum(map(len, program.paths)) >= _ENOUGH * len(program.paths)
        fetched = "g" if program.window > 1 else _FETCHED[slot]  # many edges read a window, and each has its own row of g
        self._fetched = fetched.replace(slot, "") if enough else ""

    def of_edge(self, place: str) -> list[str]:
        """Which edge comes later, and its rows; ``place`` is that of this edge in the order of edges."""
        if not self._fetched:
            return []
        dim = self._program.dim
        ends = lambda letter: ["", "_"] if letter in self._tangents else [""]  # noqa: E731
        pairs = [(letter, end) for letter in self._fetched.replace("o", "") for end in ends(letter)]
        rows = [f"{letter}{end}_later = row_of({letter}{end}, {dim[letter]} * {WHERE[letter]}[later])" for letter, end in pairs]
        if "o" in self._fetched:
            rows.append(f"out_later = row_of(out, {dim[self._slot]} * min(row + {AHEAD}, last - 1))")
        return [f"later = order[min({place} + {AHEAD}, end)]", *rows]

    def of_loop(self, rows: Iterable[tuple[str, int, str]], channels: int) -> list[str]:
        """Requests for what a loop over so many channels reads and writes: rows by letter, number and end of their names."""
        wanted: list[tuple[str, int]] = []
        for letter, row, end in rows:
            if letter in self._fetched:
                begin = self._program.begins[self._slot if letter == "o" else letter][row]
                lines = range(begin // _LINE, (begin + channels - 1) // _LINE + 1)
                wanted += [("out" if letter == "o" else letter + end, line) for line in lines]
        new = [line for line in dict.fromkeys(wanted) if line not in self._asked]
        self._asked.update(new)
        return [f"prefetch({array}_later, {line * _LINE})" for array, line in new]
