"""Work shared out among the threads of a CPU: loops that need no interpreter, and calls of Python.

Threads are those of torch's own operations, or else Python's, for compiled code releases the interpreter. Two threads of a
program may call at once, and a forked process too.
"""

import ctypes
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any

import torch

PARALLEL_FROM = 2_000_000
"""Multiplications below which a second thread costs more than it saves."""

Callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
"""A function of C that is given an address."""

_PROCESS = os.getpid()


def alone(work: int) -> bool:
    """Whether one thread shall do so many multiplications by itself."""
    return work < PARALLEL_FROM or torch.get_num_threads() == 1


def together(function: Callable[[Any], object], argument: int | None = None) -> None:
    """``function(argument)`` by every thread at the same time.

    Args:
        function: a :data:`Callback`, for which threads of torch need no interpreter.
        argument: an address.
    """
    threads = torch.get_num_threads()
    if fork := _fork(os.getpid()):
        fork(function, argument, threads, 0)
    else:
        helpers = [_pool(os.getpid(), threads).submit(function, argument) for _ in range(1, threads)]
        with one_thread_each:
            function(argument)
            wait(helpers)


def side_by_side(rows: int, work: int, call: Callable[[int, int], None]) -> None:
    """``call(first, last)`` over all rows, in shares that all threads take in turn.

    Args:
        rows: how many there are.
        work: multiplications in all; where they are few, there is one share.
        call: of compiled code that releases the interpreter.

    >>> taken = [0, 0, 0]
    >>> side_by_side(3, 3, lambda first, last: taken.__setitem__(slice(first, last), [1] * (last - first)))
    >>> taken
    [1, 1, 1]
    """
    if alone(work):
        call(0, rows)
        return
    many = 2 * torch.get_num_threads()  # so that not all wait for one that was late
    shares = iter([(first, last) for first, last in pairwise(rows * n // many for n in range(many + 1)) if first < last])
    errors: list[BaseException] = []

    def help_out(_: object) -> None:
        try:
            for first, last in shares:
                call(first, last)
        except BaseException as error:
            errors.append(error)

    together(Callback(help_out))
    if errors:
        raise errors[0]


@cache
def _fork(process: int) -> Callable[..., None] | None:
    """OpenMP's call of a function by each of torch's own threads; they do not survive a fork, and other systems have others.

    Where torch computed a moment ago, its threads still wait for more, busily, and leave no core to threads of ours.
    """
    try:
        fork = ctypes.CDLL(torch._C.__file__).GOMP_parallel if process == _PROCESS else None
    except (AttributeError, OSError):
        return None
    if fork:
        fork.argtypes, fork.restype = [Callback, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint], None
    return fork


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
