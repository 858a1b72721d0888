"""``molzoo doctor``: versions, back ends, and why one is missing, in the words of whatever failed."""

import os
import platform
from collections.abc import Callable
from functools import partial
from importlib import import_module, metadata
from typing import get_args

from molzoo.cli.show import helped, table

# Module by the name it is installed under.
_REQUIRED = {
    "torch": "torch",
    "torch-geometric": "torch_geometric",
    "numpy": "numpy",
    "scipy": "scipy",
    "ase": "ase",
    "rdkit": "rdkit",
    "vesin": "vesin",
    "numba": "numba",
    "lightning": "lightning",
}
_OPTIONAL = {"e3nn": "e3nn", "torch-scatter": "torch_scatter", "torch-cluster": "torch_cluster", "triton": "triton"}


def doctor_(words: list[str]) -> None:
    """Versions, back ends, and why one is missing."""
    if helped("doctor", words, at_most=0):
        return
    print(f"{'molzoo':<18}{import_module('molzoo').__version__}\n{'python':<18}{platform.python_version()}")
    for title, modules in (("", _REQUIRED), ("\noptional\n", _OPTIONAL)):
        print(title, end="")
        for name, module in modules.items():
            print(f"{name:<18}{_state(name, module)}", flush=True)
    print(f"\n{_machine()}\n\n{table([('back end', ''), *_back_ends()])}")


def _state(name: str, module: str) -> str:
    """The version, or why there is none: in the words of the exception, since "not installed" would mislead."""
    try:
        import_module(module)
    except ModuleNotFoundError as error:
        return "not installed" if error.name == module else f"installed but broken: {_said(error)}"
    except Exception as error:
        return f"installed but broken: {_said(error)}"
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "installed, of unknown version"


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _machine() -> str:
    import torch

    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if not torch.version.cuda:
        cuda = "this torch was built without it"
    elif not torch.cuda.is_available():
        cuda = f"torch was built for {torch.version.cuda}, but sees no device"
    else:
        cuda = f"{torch.version.cuda}: " + ", ".join(map(torch.cuda.get_device_name, range(torch.cuda.device_count())))
    return f"{'CPU':<18}{cpus} cores, torch uses {torch.get_num_threads()} threads\n{'CUDA':<18}{cuda}"


def _back_ends() -> list[tuple[str, str]]:
    """Each way of finding neighbours, of summing and of convolving, tried on a small example."""
    import torch

    from molzoo import kernels
    from molzoo.graph.neighbours import BACKENDS, neighbour_list
    from molzoo.nn.scatter import ScatterBackend, sum_rows

    pos, index = torch.eye(3), torch.tensor([0, 0, 1])
    tried: list[tuple[str, Callable[[], object]]] = []
    tried += [(f"neighbours: {name}", partial(neighbour_list, pos, 2.0, backend=name)) for name in BACKENDS]
    tried += [(f"scatter: {name}", partial(sum_rows, pos, index, 2, name)) for name in get_args(ScatterBackend)]

    device = "cuda" if torch.cuda.is_available() else "cpu"

    def forced(name: kernels.Backend) -> None:
        with kernels.use_backend(name):
            kernels.backend(pos.to(device))

    tried += [(f"convolution: {name}", partial(forced, name)) for name in ("fused", "triton", "messages")]
    rule = [("convolution: auto", kernels.chosen(device, torch.float32))]
    rule += [("linear maps", f"{kernels.chosen_linear()} where they are large (cpu, float32)")]
    return [(name, _usable(act)) for name, act in tried] + rule


def _usable(act: Callable[[], object]) -> str:
    try:
        act()
    except Exception as error:
        return f"not usable: {_said(error)}"
    return "usable"
