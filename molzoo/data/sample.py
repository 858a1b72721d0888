"""The embedded sample (see ``sample/README.md``): ethanol with GFN2-xTB, and strained copper cells with EMT.

Small enough to be installed, so that a first training, the tests and the documentation need no download.
"""

import json
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import torch

from molzoo.data.frames import Frames
from molzoo.data.source import Source
from molzoo.shapes import Int, Tensor


def load(name: str, root: Path, split: str | None = None) -> Source:
    """``sample/ethanol`` (1,600 frames in eight trajectories) or ``sample/copper`` (24 periodic cells)."""
    del root, split  # it is in the package, and has one split
    with as_file(files("molzoo.data") / "sample") as folder:
        return _copper(folder / "copper.extxyz") if name.endswith("copper") else _ethanol(folder / "ethanol.npz")


def _ethanol(path: Path) -> Source:
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    settings = json.loads(str(arrays["settings"]))
    labels = {name: arrays[name] for name in ("energy", "forces", "dipole", "charges")}
    symbols = settings["isolated_energies"]
    return Source(
        "sample/ethanol",
        Frames.of_one_molecule(arrays["z"], arrays["pos"], labels),
        {part: _rows(arrays["trajectory"], members) for part, members in settings["splits"].items()},
        {"energy": {_NUMBER[symbol]: float(energy) for symbol, energy in symbols.items()}},
        [f"{settings['method']}, {settings['temperature']}; frames are split by trajectory, not at random"],
        str(path),
        tuple(labels),
    )


_NUMBER = {"H": 1, "C": 6, "O": 8}


def _rows(trajectory: np.ndarray, members: list[int]) -> Int[Tensor, " rows"]:
    return torch.from_numpy(np.flatnonzero(np.isin(trajectory, members)))


def _copper(path: Path) -> Source:
    from molzoo.data import ase_files

    source = ase_files.load(path, {}, {})
    source.name = "sample/copper"
    source.notes.append("EMT is a toy potential: for tests, not for science")
    return source
