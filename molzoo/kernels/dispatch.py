"""One rule for which back end runs a convolution, and one way to force another."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from typing import Literal, get_args

import torch

from molzoo.shapes import Tensor

Backend = Literal["auto", "fused", "triton", "messages"]
Choice = Literal["cpu", "triton", "reference"]

_NUMBA = find_spec("numba") is not None
_TRITON = find_spec("triton") is not None
_wanted: list[Backend] = ["auto"]  # plain, so that compilers can read it; the last one counts


@contextmanager
def use_backend(name: Backend) -> Iterator[None]:
    """Run convolutions of this process with this back end inside the block.

    Args:
        name: ``messages`` (PyG's, or plain torch), ``fused`` (what is compiled for the device), ``triton`` (that, and on a CPU
            as Triton's interpreter runs it, under ``TRITON_INTERPRET=1``), or ``auto`` (fused where it can be).

    >>> with use_backend("messages"):
    ...     backend(torch.ones(1))
    'reference'
    """
    _wanted.append(name)
    try:
        yield
    finally:
        _wanted.pop()


def backend(*tensors: Tensor) -> Choice:
    """The rule: numba's loops on a CPU, Triton's kernels on a GPU, both for one ordinary precision; else plain torch.

    Raises:
        ValueError: another one is wanted (:func:`use_backend`) and cannot run.
    """
    wanted, found = _wanted[-1], _possible(tensors)
    if wanted == "messages":
        return "reference"
    if wanted == "triton" and found != "triton":
        raise ValueError(
            "the Triton kernels need triton and float32 or float64 tensors on a GPU, or on a CPU TRITON_INTERPRET=1 from the "
            "start of the process; say use_backend('auto')"
        )
    if wanted == "fused" and found == "reference":
        raise ValueError(
            "the fused convolution needs float32 or float64 tensors, all the same, and numba on a CPU or triton on a GPU; "
            "say use_backend('auto')"
        )
    return found


def runnable(*tensors: Tensor) -> list[Backend]:
    """The back ends that can be wanted for tensors like these, on this machine.

    >>> runnable(torch.ones(1))
    ['fused', 'messages']
    """
    return [name for name in get_args(Backend) if name != "auto" and _can(name, tensors)]


def _can(name: Backend, tensors: tuple[Tensor, ...]) -> bool:
    with use_backend(name):
        try:
            return bool(backend(*tensors))
        except ValueError:
            return False


def fused(*tensors: Tensor) -> bool:
    """Whether loops that are compiled for a CPU can and shall take these tensors, by the same rule."""
    return backend(*tensors) == "cpu"


def chosen(device: torch.device | str, dtype: torch.dtype) -> str:
    """The rule's choice in words, for tensors of this device and precision.

    >>> with use_backend("messages"):
    ...     chosen("cpu", torch.float32)
    'plain torch (cpu, float32)'
    """
    words = {"cpu": "loops compiled by numba", "triton": "kernels compiled by Triton", "reference": "plain torch"}
    return f"{words[backend(torch.empty(0, device=device, dtype=dtype))]} ({device}, {str(dtype).removeprefix('torch.')})"


def wants_triton() -> bool:
    """Whether Triton's kernels shall run even on a CPU."""
    return _wanted[-1] == "triton"


def _possible(tensors: tuple[Tensor, ...]) -> Choice:
    device, dtype = tensors[0].device, tensors[0].dtype
    if dtype not in (torch.float32, torch.float64):
        return "reference"
    for t in tensors:
        if t.dtype != dtype or t.device != device:
            return "reference"
    if device.type == "cuda":
        return "triton" if _TRITON or _said("triton") else "reference"
    if device.type != "cpu":
        return "reference"
    if wants_triton():
        return "triton" if _TRITON and os.environ.get("TRITON_INTERPRET") == "1" else "reference"
    return "cpu" if _NUMBA or _said("numba") else "reference"


def _said(package: str) -> Literal[False]:
    if not torch.compiler.is_compiling():
        _say_missing(package)
    return False


@cache
def _say_missing(package: str) -> None:
    """Once."""
    warnings.warn(
        f"{package} is not installed, so convolutions run in plain torch, several times slower: pip install {package}",
        stacklevel=2,
    )
