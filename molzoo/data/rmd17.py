"""Revised MD17: 100,000 frames for each of ten molecules, recomputed with tight convergence.

A. S. Christensen and O. A. von Lilienfeld, "On the role of gradients for machine learning of molecular energies and
forces", 2020, https://arxiv.org/abs/2007.09593. PBE/def2-SVP; energies in kcal/mol, forces in kcal/mol/Å. Five published
splits of 1,000 training and 1,000 test frames; the usual convention trains on 950 and validates on 50 of the 1,000.
The author asks not to train on more than 1,000 frames of one molecule: they are frames of one trajectory.
"""

from pathlib import Path

import numpy as np
import torch

from molzoo.data.download import Download, need
from molzoo.data.frames import Frames
from molzoo.data.source import Source
from molzoo.shapes import Int, Tensor
from molzoo.units import factor

ARCHIVE = Download(
    "rmd17.tar.bz2",
    (
        "https://archive.materialscloud.org/record/file?filename=rmd17.tar.bz2&record_id=466",
        "https://figshare.com/ndownloader/files/23950376",
    ),
)


def load(name: str, root: Path, split: str | None = None) -> Source:
    """Molecule ``rmd17/<molecule>`` with published split ``split`` (``"01"`` … ``"05"``; ``"01"`` unless said)."""
    number = (split or "01").zfill(2)
    if number not in {"01", "02", "03", "04", "05"}:
        raise ValueError(f"rMD17 has the published splits 01 to 05; there is no split {split!r}")
    names = [
        f"npz_data/rmd17_{name.partition('/')[2]}.npz",
        f"splits/index_train_{number}.csv",
        f"splits/index_test_{number}.csv",
    ]
    path, train, test = need(root / "rmd17", names, ARCHIVE)
    with np.load(path) as file:
        keys = tuple(file.files)
        labels = {
            "energy": file["energies"].astype(float) * factor("kcal/mol"),
            "forces": file["forces"].astype(float) * factor("kcal/mol/A"),
        }
        frames = Frames.of_one_molecule(file["nuclear_charges"], file["coords"], labels)
    return Source(
        name,
        frames,
        {"train": _rows(train, len(frames)), "test": _rows(test, len(frames))},
        notes=["published in kcal/mol, without energies of free atoms", f"published split {number}"],
        path=str(path),
        keys=keys,
        one_molecule=True,
    )


def _rows(path: Path, n: int) -> Int[Tensor, " rows"]:
    rows = torch.from_numpy(np.loadtxt(path, dtype=np.int64, ndmin=1))
    if len(rows) and int(rows.max()) >= n:
        raise ValueError(f"{path} names frame {int(rows.max())}, but there are {n} frames: the split belongs to another file")
    return rows
