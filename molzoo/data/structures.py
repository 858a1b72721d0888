"""Structures from files, one by one, each fit to be used; whatever is wrong with a file is one sentence that names it."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import ase
    import ase.db.row

HEAVIEST = 99
"""The heaviest element that models embed."""


def read_structures(path: Path) -> "Iterator[ase.Atoms]":
    """The structures in any file that ASE reads, as they are needed; a database's own keys and values are in ``info``.

    Raises:
        ValueError: the file is in no known format or damaged, or a structure (which is named) cannot be used.
    """
    from ase.io.formats import UnknownFileTypeError

    n = 0
    try:
        for atoms in _read(path):
            if fault := _fault(atoms):
                raise ValueError(f"{path}, structure {n} (counted from 0): {fault}")
            yield atoms
            n += 1
    except UnknownFileTypeError as error:
        raise ValueError(f"ASE cannot read {path}: {error or 'no known format'}; convert it to .extxyz") from error
    except Exception as error:
        with readable(path, f", structure {n} (counted from 0)"):
            raise error


@contextmanager
def readable(path: Path, where: str = "") -> Iterator[None]:
    """Whatever goes wrong in the block is said of the file ``path``, in one sentence."""
    try:
        yield
    except Exception as error:
        if isinstance(error, ValueError) and str(path) in str(error):
            raise
        said = str(error).splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise ValueError(f"{path}{where} cannot be read: {said}; correct it, or get the file anew") from error


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an ``.npz`` file; nothing in it is executed.

    Raises:
        ValueError: it is damaged, or none.
    """
    with readable(path), np.load(path, allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def _read(path: Path) -> "Iterator[ase.Atoms]":
    import ase.db
    import ase.io

    if path.suffix == ".db":
        yield from map(_with_pairs, ase.db.connect(path).select())
        return
    if path.suffix.lower() == ".sdf":
        yield from _molecules(path)
        return
    if path.suffix in (".xyz", ".extxyz"):
        _check_columns(path)
    yield from ase.io.iread(path, index=":", do_not_split_by_at_sign=True)


def _molecules(path: Path) -> "Iterator[ase.Atoms]":
    """All molecules of an ``.sdf``; ASE stops after the first and says nothing."""
    import ase.io

    *blocks, rest = re.split(r"^\$\$\$\$.*\n", path.read_text(), flags=re.MULTILINE)
    for block in [*blocks, rest] if rest.strip() or not blocks else blocks:
        yield from ase.io.iread(io.StringIO(block), index=":", format="sdf")


def _with_pairs(row: "ase.db.row.AtomsRow") -> "ase.Atoms":
    atoms = row.toatoms()
    atoms.info |= row.key_value_pairs  # ASE leaves them behind
    return atoms


def _check_columns(path: Path) -> None:
    """Refuse a property of a million columns, as damage can make of three: ASE would count them one by one."""
    with path.open(errors="replace") as file:
        for line in file:
            if found := re.search(r"Properties=\S*:(\d{6,})", line):
                raise ValueError(f"a property has {found[1]} columns")


def _fault(atoms: "ase.Atoms") -> str:
    """Why nobody can use a structure; empty if they can."""
    if not len(atoms):
        return "it has no atoms; take it out"
    bad: Any = np.flatnonzero(~np.isfinite(atoms.positions).all(1))
    if len(bad):
        return f"the position of atom {bad[0]} is not a finite number; correct it or leave it out"
    bad = np.flatnonzero((atoms.numbers < 1) | (atoms.numbers > HEAVIEST))
    if len(bad):
        return f"atom {bad[0]} has the atomic number {atoms.numbers[bad[0]]}; molzoo knows 1 (H) to {HEAVIEST} (Es)"
    for name in ("charge", "spin"):
        value = atoms.info.get(name, 0)
        if isinstance(value, bool):  # the bare word "charge" in the comment line of an .xyz file
            return f"its {name} is {value}; write {name}=0 or another number"
        if not np.isscalar(value) or isinstance(value, str) or not np.isfinite(value):
            return f"its {name} is {value!r}; write a number, or leave it out"
    periodic = atoms.cell.array[atoms.pbc]
    sizes = np.linalg.svd(periodic, compute_uv=False) if np.isfinite(periodic).all() else [0.0]
    if len(periodic) and sizes[-1] <= 1e-8 * sizes[0]:
        return f"it is periodic, but its lattice vectors {periodic.tolist()} span no cell; give all of them, or pbc=False"
    return ""
