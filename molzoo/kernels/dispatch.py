"""One rule for which back end runs a convolution, and one way to force another."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Literal

import torch

from molzoo.shapes import Tensor

Backend = Literal["auto", "fused", "messages"]

_NUMBA = find_spec("numba") is not None
_wanted: list[Backend] = ["auto"]  # plain, so that compilers can read it; the last one counts


@contextmanager
def use_backend(name: Backend) -> Iterator[None]:
    """Run convolutions of this process with this back end inside the block: ``messages`` (PyG), ``fused``, or ``auto``.

    >>> with use_backend("messages"):
    ...     fused(torch.ones(1))
    False
    """
    _wanted.append(name)
    try:
        yield
    finally:
        _wanted.pop()


def fused(*tensors: Tensor) -> bool:
    """Whether the compiled loops can and shall take these tensors: on a CPU, of one ordinary precision.

    Raises:
        ValueError: they shall (``use_backend("fused")``) but cannot.
    """
    wanted = _wanted[-1]
    possible = (
        _NUMBA
        and all(t.device.type == "cpu" and t.dtype == tensors[0].dtype for t in tensors)
        and tensors[0].dtype in (torch.float32, torch.float64)
    )
    if wanted == "fused" and not possible:
        raise ValueError("the fused convolution needs numba and float32 or float64 tensors on a CPU; say use_backend('auto')")
    return possible and wanted != "messages"
