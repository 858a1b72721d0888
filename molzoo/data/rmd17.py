"""Revised MD17: 100,000 frames for each of ten molecules, recomputed with tight convergence.

A. S. Christensen and O. A. von Lilienfeld, "On the role of gradients for machine learning of molecular energies and
forces", 2020, https://arxiv.org/abs/2007.09593. PBE/def2-SVP; energies in kcal/mol, forces in kcal/mol/Å. Five published
splits of 1,000 training and 1,000 test frames; the usual convention trains on 950 and validates on 50 of the 1,000.
The author asks not to train on more than 1,000 frames of one molecule: they are frames of one trajectory.
"""

from pathlib import Path

from molzoo.data.download import Download, need
from molzoo.data.frames import Frames
from molzoo.data.source import Source
from molzoo.data.splits import read_rows
from molzoo.data.structures import read_arrays, readable
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
    arrays = read_arrays(path)
    with readable(path):
        labels = {
            "energy": arrays["energies"].astype(float) * factor("kcal/mol"),
            "forces": arrays["forces"].astype(float) * factor("kcal/mol/A"),
        }
        frames = Frames.of_one_molecule(arrays["nuclear_charges"], arrays["coords"], labels)
    return Source(
        name,
        frames,
        {"train": _rows(train, len(frames)), "test": _rows(test, len(frames))},
        notes=["published in kcal/mol, without energies of free atoms", f"published split {number}"],
        path=str(path),
        keys=tuple(arrays),
        one_molecule=True,
    )


def _rows(path: Path, n: int) -> Int[Tensor, " rows"]:
    rows = read_rows(path)
    if len(rows) and int(rows.max()) >= n:
        raise ValueError(f"{path} names frame {int(rows.max())}, but there are {n} frames: the split belongs to another file")
    return rows
