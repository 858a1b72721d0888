"""MD17 in its original form, and its coupled-cluster sets.

S. Chmiela et al., "Machine learning of accurate energy-conserving molecular force fields", Sci. Adv. 3, e1603015, 2017
(PBE+vdW-TS), and "Towards exact molecular dynamics simulations with machine-learned force fields", Nat. Commun. 9, 3887,
2018 (CCSD for aspirin, CCSD(T) for the others; with published training and test files). sGDML's npz: E (F, 1), F, R, z in
kcal/mol and Å.
The energies of the first are noisy (A. S. Christensen and O. A. von Lilienfeld, https://arxiv.org/abs/2007.09593): use rMD17.
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from molzoo.data.download import Download, need
from molzoo.data.frames import Frames
from molzoo.data.source import Source
from molzoo.data.structures import read_arrays, readable
from molzoo.units import factor

_HOSTS = ("https://www.quantum-machine.org/gdml/data/npz", "http://www.quantum-machine.org/gdml/data/npz")
_NOISY = "the energies of the original MD17 are noisy and its test errors cannot be compared with rMD17's; prefer rmd17"


def load(name: str, root: Path, split: str | None = None) -> Source:
    """``md17/<molecule>`` without, or ``md17-ccsd/<molecule>`` with a published split (one file for each part)."""
    del split  # there is at most one
    found, _, molecule = name.partition("/")
    return _coupled_cluster(name, molecule, root) if found == "md17-ccsd" else _original(name, molecule, root)


def _original(name: str, molecule: str, root: Path) -> Source:
    file = f"md17_{molecule}.npz"
    (path,) = need(root / "md17", [file], Download(file, tuple(f"{host}/{file}" for host in _HOSTS)))
    warnings.warn(_NOISY, stacklevel=4)
    arrays = read_arrays(path)
    with readable(path):
        frames, notes = _frames([arrays]), [_NOISY, _theory(arrays)]
    return Source(name, frames, None, {}, notes, str(path), tuple(arrays), one_molecule=True)


def _coupled_cluster(name: str, molecule: str, root: Path) -> Source:
    stem = f"{molecule}_{'ccsd' if molecule == 'aspirin' else 'ccsd_t'}"
    archive = Download(f"{stem}.zip", tuple(f"{host}/{stem}.zip" for host in _HOSTS))
    folder = root / "md17_ccsd"
    (train,) = need(folder, [f"{stem}-train.npz"], archive)
    test = folder / f"{stem}-test.npz"
    # Where the training file came by hand, the test file may be missing: then there is no published split.
    parts = {part: read_arrays(path) for part, path in (("train", train), ("test", test)) if path.is_file()}
    with readable(train):
        frames, notes = _frames(list(parts.values())), [_theory(parts["train"])]
    ends = np.cumsum([0, *(len(arrays["R"]) for arrays in parts.values())])
    splits = {part: torch.arange(ends[i], ends[i + 1]) for i, part in enumerate(parts)}
    if "test" not in parts:
        notes.append(f"{test.name} is not beside the training file: there is no published test part")
    return Source(
        name,
        frames,
        splits if "test" in parts else None,
        notes=notes,
        path=str(train),
        keys=tuple(parts["train"]),
        one_molecule=True,
    )


def _theory(arrays: dict[str, Any]) -> str:
    theory = arrays.get("theory", "theory not named in the file")
    return theory.item().decode() if isinstance(theory, np.ndarray) and theory.dtype.kind == "S" else str(theory)


def _frames(parts: list[dict[str, Any]]) -> Frames:
    joined = {key: np.concatenate([arrays[key].astype(float) for arrays in parts]) for key in ("R", "E", "F")}
    labels = {"energy": joined["E"].reshape(-1) * factor("kcal/mol"), "forces": joined["F"] * factor("kcal/mol/A")}
    return Frames.of_one_molecule(parts[0]["z"], joined["R"], labels)
