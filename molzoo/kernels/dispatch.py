"""One rule for which back end runs a convolution, and one way to force another."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from importlib.util import find_spec
from typing import Literal

import torch

from molzoo.shapes import Tensor

Backend = Literal["auto", "fused", "messages"]
_wanted: ContextVar[Backend] = ContextVar("molzoo_backend", default="auto")


@contextmanager
def use_backend(name: Backend) -> Iterator[None]:
    """Run convolutions with this back end inside the block: ``messages`` (PyG), ``fused``, or ``auto``.

    >>> with use_backend("messages"):
    ...     fused(torch.ones(1))
    False
    """
    token = _wanted.set(name)
    try:
        yield
    finally:
        _wanted.reset(token)


def fused(*tensors: Tensor) -> bool:
    """Whether the compiled loops can and shall take these tensors: on a CPU, of one ordinary precision.

    Raises:
        ValueError: they shall (``use_backend("fused")``) but cannot.
    """
    wanted, numba = _situation()
    possible = (
        numba
        and all(t.device.type == "cpu" and t.dtype == tensors[0].dtype for t in tensors)
        and tensors[0].dtype in (torch.float32, torch.float64)
    )
    if wanted == "fused" and not possible:
        raise ValueError("the fused convolution needs numba and float32 or float64 tensors on a CPU; say use_backend('auto')")
    return possible and wanted != "messages"


@torch.compiler.assume_constant_result
def _situation() -> tuple[Backend, bool]:
    """What is wanted, and whether numba is there; of a compiled graph, what was so when it was compiled."""
    return _wanted.get(), _numba_is_there()


@lru_cache(maxsize=1)
def _numba_is_there() -> bool:
    return find_spec("numba") is not None
