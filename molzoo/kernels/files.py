"""Generated source as modules, from files in the cache folder: compilers keep what they made beside a file."""

import atexit
import hashlib
import importlib.util
import os
import sys
import tempfile
import warnings
from functools import cache
from pathlib import Path
from types import ModuleType


def cache_folder() -> Path:
    """``$MOLZOO_CACHE/kernels``, by default in ``~/.cache/molzoo``."""
    return Path(os.environ.get("MOLZOO_CACHE") or "~/.cache/molzoo").expanduser() / "kernels"


def load(text: str, folder: Path) -> ModuleType:
    """The module of this source, written to ``folder`` under a name of its own.

    Raises:
        OSError: there is no such folder, or it is not ours to write to.
    """
    path = folder / f"{_name(text)}.py"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        # Other processes may be about to write the same file: whole or not at all.
        with tempfile.NamedTemporaryFile("w", dir=folder, suffix=".part", delete=False) as file:
            file.write(text)
        os.replace(file.name, path)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    sys.modules[path.stem] = module  # compilers find a function by its module
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    return module


def in_memory(text: str) -> ModuleType:
    """The module of this source, without a file."""
    module = ModuleType(_name(text))
    exec(compile(text, module.__name__, "exec"), module.__dict__)
    sys.modules[module.__name__] = module  # its code stays where it is
    return module


@cache
def of_process() -> Path:
    """A folder that goes with the process, for compilers that read source from files only."""
    folder = tempfile.TemporaryDirectory(prefix="molzoo-")
    atexit.register(folder.cleanup)
    return Path(folder.name)


@cache
def say_not_kept(folder: Path, why: str) -> None:
    """Once: what is compiled cannot be written to this folder."""
    warnings.warn(
        f"compiled convolutions cannot be kept in {folder} ({why}), so every process compiles its own: "
        "set MOLZOO_CACHE to a folder that can be written",
        stacklevel=2,
    )


def _name(text: str) -> str:
    return f"molzoo_kernel_{hashlib.sha256(text.encode()).hexdigest()[:16]}"
