"""The CPU back end: loops of :mod:`molzoo.kernels.source`, compiled by numba, shared out among threads.

Every loop runs over disjoint rows of its result (receivers, senders, rows of weights, edges), so threads never meet, sums are
always taken in the same order, and results are bit-identical from run to run. Threads take shares of the rows in turn, by
themselves: nothing of Python runs until all are done.
"""

import hashlib
from array import array
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from molzoo.kernels.files import cache_folder, in_memory, load, say_not_kept
from molzoo.kernels.program import ConvolutionProgram
from molzoo.kernels.source import FIRST_SHARE, FIRST_VALUE, function
from molzoo.kernels.threads import Callback, alone, together
from molzoo.kernels.watchers import plain
from molzoo.kernels.windows import overlapped, result
from molzoo.shapes import Int, Tensor

_SHARES = 64
"""Shares of the rows: enough for as many threads, and small ones, so that not all wait for one that was late."""

_FRACTIONS = np.linspace(0, 1, _SHARES + 1)

_HEADER = '''"""{program}

The derivative by {slot}, along tangents of: {tangents}.
"""

import numba
from numpy import int64, {dtype} as one

from molzoo.kernels.pointers import CALL, at, prefetch, row_of, take  # {stamp}


@numba.cfunc(CALL, cache={cache}, error_model="numpy", boundscheck=False, fastmath={{"reassoc", "contract", "nsz"}})
'''


class EdgeRows:
    """The edges of each row of a result, as loops take them.

    Args:
        edges: where the edges of each row begin in a list, and where the last end; that list; src, dst, w_row.
    """

    def __init__(self, edges: Sequence[Int[Tensor, " _"]]) -> None:
        self.edges = [t.contiguous() for t in edges]  # the call has their addresses alone
        self.n, self.n_edges = len(edges[0]) - 1, len(edges[2])
        cuts = np.searchsorted(self.edges[0].numpy(), _FRACTIONS * self.n_edges).tolist()
        cuts[0], cuts[-1] = 0, self.n
        addresses = [t.data_ptr() for t in self.edges] + [0] * (FIRST_SHARE - FIRST_VALUE)
        self.call = array("q", [FIRST_SHARE, FIRST_SHARE + _SHARES, *addresses, *cuts])

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy has its edges elsewhere."""
        return EdgeRows, (self.edges,)


def run(
    program: ConvolutionProgram,
    slot: str,
    rows: EdgeRows,
    values: Sequence[Tensor | None],
    tangents: Sequence[Tensor | None],
) -> Tensor:
    """∂Q/∂slot, or its derivative along ``tangents``.

    Args:
        program: the convolution.
        slot: which argument of Q is left open; g is the convolution itself.
        rows: the edges of each row of that argument.
        values, tangents: x, Y, w, g; None in the open slot, and where there is no tangent.

    Raises:
        ValueError: a tensor has another precision than the others, or is not on the CPU: a loop would not notice.
    """
    given = [t if t is None else plain(t) for t in (*values, *tangents)]
    like = next(t for t in given if t is not None)
    for t in given:
        if t is not None and (t.dtype != like.dtype or not t.is_cpu):
            raise ValueError(
                "the loops of the CPU need x, Y, w, g and their tangents there, and all of one precision; cast them"
            )
    out = result(program, slot, like, rows.n)
    moving = "".join([name for name, t in zip("xYwg", tangents, strict=True) if t is not None])
    _compute(program, slot, moving, rows, given, out)
    return overlapped(program, slot, out)


def _compute(
    program: ConvolutionProgram, slot: str, moving: str, rows: EdgeRows, given: Sequence[Tensor | None], out: Tensor
) -> None:
    """Fill ``out`` by the loop, which is told where things are and which share comes next."""
    loop, call = _compiled(program.key, slot, moving, out.dtype), rows.call[:]
    call[FIRST_VALUE:FIRST_SHARE] = array("q", [0 if t is None else t.data_ptr() for t in (*given, out)])
    address, _ = call.buffer_info()
    if alone(rows.n_edges * program.work):
        loop(address)
    else:
        together(loop, address)


@cache
def _stamp() -> str:
    """Changes with what becomes part of the compiled code, which numba does not see."""
    return hashlib.sha256(Path(__file__).with_name("pointers.py").read_bytes()).hexdigest()[:8]


@cache
def _compiled(key: int, slot: str, tangents: str, dtype: torch.dtype) -> Callable[[int], None]:
    """A loop, from the cache folder where there is one; it takes the address of a call."""
    program = ConvolutionProgram.of(key)
    said = {"program": program, "slot": slot, "tangents": tangents or "nothing", "stamp": _stamp()}
    body = function("shares", program, slot, tangents)
    text = lambda cache: _HEADER.format(cache=cache, dtype=str(dtype).removeprefix("torch."), **said) + body  # noqa: E731
    folder = cache_folder()
    try:
        module = load(text(True), folder)
    except (OSError, RuntimeError) as error:  # neither molzoo nor numba may write
        say_not_kept(folder, str(error))
        module = in_memory(text(False))
    return Callback(module.shares.address)  # the module, whose code it is, stays loaded
