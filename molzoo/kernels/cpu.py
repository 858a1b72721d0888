"""The CPU back end: loops of :mod:`molzoo.kernels.source`, compiled by numba, shared out among threads.

Every loop runs over disjoint rows of its result (receivers, senders, rows of weights, edges), so threads never meet, sums are
always taken in the same order, and results are bit-identical from run to run. Threads are those of torch's own operations, or
else Python's, for compiled code releases the interpreter. Two threads of a program may call at once, and a forked process too.
"""

import ctypes
import hashlib
import os
import threading
from bisect import bisect_left
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from molzoo.kernels.files import cache_folder, in_memory, load, say_not_kept
from molzoo.kernels.program import ConvolutionProgram
from molzoo.kernels.source import function
from molzoo.kernels.watchers import plain
from molzoo.kernels.windows import overlapped, result
from molzoo.shapes import Tensor

_NUMPY = {torch.float32: np.float32, torch.float64: np.float64}

_PARALLEL_FROM = 2_000_000
"""Multiplications below which a second thread costs more than it saves."""

_HEADER = '''"""{program}

The derivative by {slot}, along tangents of: {tangents}.
"""

import numba

from molzoo.kernels.pointers import prefetch, row_of  # {stamp}


@numba.njit(cache={cache}, nogil=True, error_model="numpy", boundscheck=False, fastmath={{"reassoc", "contract", "nsz"}})
'''


def run(
    program: ConvolutionProgram,
    slot: str,
    edges: Sequence[np.ndarray],
    values: Sequence[Tensor | None],
    tangents: Sequence[Tensor | None],
) -> Tensor:
    """∂Q/∂slot, or its derivative along ``tangents``.

    Args:
        program: the convolution.
        slot: which argument of Q is left open; g is the convolution itself.
        edges: ptr, order, src, dst, w_row.
        values, tangents: x, Y, w, g; None in the open slot, and where there is no tangent.
    """
    like = next(t for t in values if t is not None)
    ptr, order, src, dst, w_row = edges
    out = result(program, slot, like, len(ptr) - 1)
    nothing = np.empty((0, 0), dtype=_NUMPY[like.dtype])
    arrays = [nothing if t is None else plain(t).numpy() for t in (*values, *tangents)]
    moving = "".join(name for name, t in zip("xYwg", tangents, strict=True) if t is not None)
    kernel = _compiled(program.key, slot, moving)
    arguments = ptr, order, src, dst, w_row, *arrays, out.numpy()
    side_by_side(ptr, len(src) * program.work, lambda first, last: kernel(first, last, *arguments))
    return overlapped(program, slot, out)


def side_by_side(ptr: Sequence[int] | np.ndarray, work: int, call: Callable[[int, int], None]) -> None:
    """``call(first, last)`` over all rows, in shares of as many edges each that all threads take in turn.

    Args:
        ptr: where the edges of each row begin, and where the last end.
        work: multiplications in all; where they are few, there is one share.
        call: of compiled code that releases the interpreter.

    >>> rows = np.zeros(3)
    >>> side_by_side(range(4), 3, lambda first, last: rows[first:last].fill(1))
    >>> rows
    array([1., 1., 1.])
    """
    rows, threads = len(ptr) - 1, torch.get_num_threads()
    if threads == 1 or work < _PARALLEL_FROM:
        call(0, rows)
        return
    many = 2 * threads  # so that not all wait for one that was late
    cuts = (bisect_left(ptr, ptr[-1] * share / many) for share in range(1, many))
    shares = iter([(first, last) for first, last in pairwise([0, *cuts, rows]) if first < last])
    errors: list[BaseException] = []

    def help_out(_: object = None) -> None:
        try:
            for first, last in shares:
                call(first, last)
        except BaseException as error:
            errors.append(error)

    if fork := _fork(os.getpid()):
        fork(_CALLBACK(help_out), None, threads, 0)
    else:
        helpers = [_pool(os.getpid(), threads).submit(help_out) for _ in range(1, threads)]
        with one_thread_each:
            help_out()
            wait(helpers)
    if errors:
        raise errors[0]


_CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_PROCESS = os.getpid()


@cache
def _fork(process: int) -> Callable[..., None] | None:
    """OpenMP's call of a function by each of torch's own threads; they do not survive a fork, and other systems have others.

    Where torch computed a moment ago, its threads still wait for more, busily, and leave no core to threads of ours.
    """
    try:
        return ctypes.CDLL(torch._C.__file__).GOMP_parallel if process == _PROCESS else None
    except (AttributeError, OSError):
        return None


class _OneThreadEach(threading.local):
    """Inside, torch's own operations take one thread each, so that ours may call them side by side.

    How many they take, each thread of Python says for itself.
    """

    def __init__(self) -> None:
        self._inside, self._threads = 0, 1

    def __enter__(self) -> None:
        if not self._inside:
            self._threads = torch.get_num_threads()
            torch.set_num_threads(1)
        self._inside += 1

    def __exit__(self, *error: object) -> None:
        self._inside -= 1
        if not self._inside:
            torch.set_num_threads(self._threads)


one_thread_each = _OneThreadEach()


@lru_cache(maxsize=1)
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """Threads of this process; one that was forked makes its own."""
    return ThreadPoolExecutor(threads, thread_name_prefix="molzoo", initializer=torch.set_num_threads, initargs=(1,))


@cache
def _stamp() -> str:
    """Changes with what becomes part of the compiled code, which numba does not see."""
    return hashlib.sha256(Path(__file__).with_name("pointers.py").read_bytes()).hexdigest()[:8]


@cache
def _compiled(key: int, slot: str, tangents: str) -> Callable[..., None]:
    """A loop, from the cache folder where there is one."""
    program = ConvolutionProgram.of(key)
    body = function("kernel", program, slot, tangents)
    said = {"program": program, "slot": slot, "tangents": tangents or "nothing", "stamp": _stamp()}
    text = lambda cache: _HEADER.format(cache=cache, **said) + body  # noqa: E731
    folder = cache_folder()
    try:
        return load(text(True), folder).kernel
    except (OSError, RuntimeError) as error:  # neither molzoo nor numba may write
        say_not_kept(folder, str(error))
        return in_memory(text(False)).kernel
