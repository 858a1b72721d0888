"""A source: structures with labels in internal units, and what their publishers say about them."""

import os
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from molzoo.data import SOURCES
from molzoo.data.frames import Frames
from molzoo.quantities import nearest
from molzoo.shapes import Int, Tensor


@dataclass
class Source:
    """What a data set's file gives.

    Args:
        name: as the user typed it, in lower case; a file's path for files.
        frames: all structures, without edges.
        splits: published rows of "train", "val", "test"; None if there is no published split.
        isolated: values of free atoms that the publisher gives, internal units, by quantity and atomic number.
        notes: sentences for the data card.
        path: the file that was read, for messages.
        keys: names of all that the file holds, for messages.
        sought: key under which a quantity was looked for, where that is not its name; for messages.
        one_molecule: whether the frames are one molecule's trajectory (MD17's rule of at most 1,000 training frames).
    """

    name: str
    frames: Frames
    splits: dict[str, Int[Tensor, " _"]] | None = None
    isolated: dict[str, dict[int, float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    path: str = ""
    keys: tuple[str, ...] = ()
    sought: dict[str, str] = field(default_factory=dict)
    one_molecule: bool = False


def data_root(root: str | None = None) -> Path:
    """The folder of all data sets: ``root``, else the environment's MOLZOO_DATA, else ``~/.cache/molzoo``."""
    return Path(root or os.environ.get("MOLZOO_DATA") or "~/.cache/molzoo").expanduser()


def open_source(
    name: str,
    root: str | None = None,
    labels: dict[str, str] | None = None,
    units: dict[str, str] | None = None,
    split: str | None = None,
) -> Source:
    """The data set or file called ``name``.

    Args:
        name: ``rmd17/ethanol``, ``qm9``, ``sample/copper`` …, or a file that ASE reads, here or under the root.
        root: see :func:`data_root`.
        labels: for files, the key under which each quantity is stored.
        units: for files, the unit of each quantity where it is not molzoo's own.
        split: which published split, as ``"01"``.

    Raises:
        ValueError: no such data set, or ``labels``/``units`` for one whose labels are known.
        FileNotFoundError: no such file.
    """
    if is_file(name, data_root(root)):
        from molzoo.data import ase_files

        return ase_files.load(find_file(name, data_root(root)), labels or {}, units or {})
    if labels or units:
        raise ValueError(f"the labels and units of {name!r} are known; remove `labels` and `units`, they are for files only")
    found, _, member = name.lower().partition("/")
    if found not in SOURCES:
        raise ValueError(f"there is no data set {name!r}{nearest(found, list(SOURCES))} (a file is recognised by its suffix)")
    members = SOURCES[found].members
    if (member or members) and member not in members:
        hint = nearest(member, members) if members else f"; type {found!r} alone"
        raise ValueError(f"{found!r} has no part {member!r}{hint}; type for example {'/'.join((found, *members[:1]))!r}")
    return import_module(f"molzoo.data.{SOURCES[found].module}").load(name.lower(), data_root(root), split)


def is_file(name: str, root: Path) -> bool:
    """Whether ``name`` means a file: it exists, here or under ``root``, or its end looks like a suffix."""
    # os.path's: a Path raises where a folder on the way cannot be entered, a home's cache for example.
    return os.path.isfile(name) or os.path.isfile(root / name) or bool(Path(name).suffix)


def find_file(name: str, root: Path) -> Path:
    """The file ``name``, here or under ``root``.

    Raises:
        FileNotFoundError: it is in neither place; both are named.
    """
    for path in (Path(name).expanduser(), root / name):
        if os.path.isfile(path):
            return path
    raise FileNotFoundError(f"there is no file {Path(name).absolute()} and no {root / name}; give the path of one that exists")
