"""QM9: equilibrium structures of small organic molecules with up to nine heavy atoms (C N O F).

R. Ramakrishnan, P. O. Dral, M. Rupp, O. A. von Lilienfeld, "Quantum chemistry structures and properties of 134 kilo
molecules", Sci. Data 1, 140022, 2014. B3LYP/6-31G(2df,p). 133,885 molecules, of which 3,054 are left out because their
geometries failed the authors' consistency check: 130,831 remain.
"""

from pathlib import Path

import numpy as np
import torch

from molzoo.data.download import Download, need
from molzoo.data.frames import Frames
from molzoo.data.source import Source
from molzoo.data.structures import readable
from molzoo.shapes import Float, Int, Tensor
from molzoo.units import factor

# Numbers that papers and PyG use for the targets; molzoo takes names only and answers a number with its name.
TARGETS = (
    *("mu", "alpha", "homo", "lumo", "gap", "r2", "zpve", "U0", "U", "H", "G", "Cv"),
    *("U0_atom", "U_atom", "H_atom", "G_atom", "A", "B", "C"),
)

# Column of gdb9.sdf.csv and its unit, by quantity.
COLUMNS = {
    "A": ("A", "GHz"),
    "B": ("B", "GHz"),
    "C": ("C", "GHz"),
    "mu": ("mu", "D"),
    "alpha": ("alpha", "a0^3"),
    "homo": ("homo", "Ha"),
    "lumo": ("lumo", "Ha"),
    "gap": ("gap", "Ha"),
    "r2": ("r2", "a0^2"),
    "zpve": ("zpve", "Ha"),
    "U0": ("u0", "Ha"),
    "U": ("u298", "Ha"),
    "H": ("h298", "Ha"),
    "G": ("g298", "Ha"),
    "Cv": ("cv", "cal/mol/K"),
    "U0_atom": ("u0_atom", "kcal/mol"),
    "U_atom": ("u298_atom", "kcal/mol"),
    "H_atom": ("h298_atom", "kcal/mol"),
    "G_atom": ("g298_atom", "kcal/mol"),
}

# Free atoms H C N O F as published (atomref.txt). U0, U, H and G follow from the published columns too: total − atomisation
# is linear in the composition to 1e-10 Ha, with the authors' 627.509 kcal/mol per Ha.
_ATOMS = (1, 6, 7, 8, 9)
_FREE_ATOMS = {
    "zpve": (0.0, 0.0, 0.0, 0.0, 0.0),
    "U0": (-0.500273, -37.846772, -54.583861, -75.064579, -99.718730),
    "U": (-0.498857, -37.845355, -54.582445, -75.063163, -99.717314),
    "H": (-0.497912, -37.844411, -54.581501, -75.062219, -99.716370),
    "G": (-0.510927, -37.861317, -54.598897, -75.079532, -99.733544),
    "Cv": (2.981, 2.981, 2.981, 2.981, 2.981),
}

N_ALL, N_KEPT = 133_885, 130_831

STRUCTURES = Download(
    "qm9.zip",
    (
        "https://deepchemdata.s3-us-west-1.amazonaws.com/datasets/molnet_publish/qm9.zip",
        "https://s3-us-west-1.amazonaws.com/deepchem.io/datasets/molnet_publish/qm9.zip",
    ),
)
EXCLUDED = Download(
    "uncharacterized.txt",
    (
        "https://ndownloader.figshare.com/files/3195404",
        "https://springernature.figshare.com/ndownloader/files/3195404",
    ),
)


def load(name: str, root: Path, split: str | None = None) -> Source:
    """``qm9``: every molecule that passed the consistency check, with its 19 targets; no split is published."""
    del split
    folder = root / "qm9" / "raw"
    sdf, csv = need(folder, ["gdb9.sdf", "gdb9.sdf.csv"], STRUCTURES)
    (excluded,) = need(folder, ["uncharacterized.txt"], EXCLUDED)
    z, pos, ptr = _read_sdf(sdf)
    n = len(ptr) - 1
    frames = Frames(z, pos, ptr, labels=_read_csv(csv, n))
    kept = _kept_rows(excluded, n)
    if n == N_ALL and len(kept) != N_KEPT:
        raise ValueError(
            f"{N_KEPT} of QM9's {N_ALL} molecules pass the check, but {excluded} leaves {len(kept)}; download it anew"
        )
    return Source(
        name,
        frames.select(kept),
        isolated=free_atoms(),
        notes=[f"{n - len(kept)} of {n} molecules are left out: their geometries failed the authors' check"],
        path=str(csv),
        keys=tuple(COLUMNS),
    )


def free_atoms() -> dict[str, dict[int, float]]:
    """Published values of free atoms in internal units, by quantity and atomic number; atomisation energies are 0."""
    table = {
        name: dict(zip(_ATOMS, (value * factor(COLUMNS[name][1]) for value in values), strict=True))
        for name, values in _FREE_ATOMS.items()
    }
    return table | {name: dict.fromkeys(_ATOMS, 0.0) for name in COLUMNS if name.endswith("_atom")}


def _read_sdf(path: Path) -> tuple[Int[Tensor, " A"], Float[Tensor, "A 3"], Int[Tensor, " begins"]]:
    from rdkit import Chem, rdBase

    numbers, positions = [], []
    with readable(path), rdBase.BlockLogs():  # a line for each molecule otherwise, about headers that say 2D
        for row, molecule in enumerate(Chem.SDMolSupplier(str(path), removeHs=False, sanitize=False)):
            if molecule is None:
                raise ValueError(f"{path}: molecule {row} (counted from 0) cannot be read; download the file anew")
            numbers.append([atom.GetAtomicNum() for atom in molecule.GetAtoms()])
            positions.append(molecule.GetConformer().GetPositions())
        ptr = torch.tensor([0, *map(len, numbers)]).cumsum(0)
        return torch.from_numpy(np.concatenate(numbers)), torch.from_numpy(np.concatenate(positions)), ptr


def _read_csv(path: Path, n: int) -> dict[str, Float[Tensor, " F"]]:
    with readable(path), path.open() as file:
        header = file.readline().strip().split(",")
        lacking = [column for column, _ in COLUMNS.values() if column not in header]
        if lacking:
            raise ValueError(f"{path} has no column {', '.join(lacking)}; it has {', '.join(header)}")
        columns = [header.index(column) for column, _ in COLUMNS.values()]
        values = torch.from_numpy(np.loadtxt(file, delimiter=",", usecols=columns, ndmin=2))
    if len(values) != n:
        raise ValueError(f"{path} has {len(values)} rows for {n} molecules in the .sdf; they belong to different versions")
    return {name: values[:, i] * factor(unit) for i, (name, (_, unit)) in enumerate(COLUMNS.items())}


def _kept_rows(path: Path, n: int) -> Int[Tensor, " kept"]:
    """Rows, counted from 0, that the list (which counts from 1) does not name.

    Taking its numbers as they are removes the neighbours of the wrong molecules, as more than one package has done.
    """
    with readable(path):
        words = (line.split() for line in path.read_text().splitlines())
        excluded = torch.tensor([int(word[0]) - 1 for word in words if word and word[0].isdigit()], dtype=torch.long)
    if len(excluded) and not 0 <= int(excluded.min()) <= int(excluded.max()) < n:
        raise ValueError(f"{path} names molecule {int(excluded.max()) + 1}, but there are {n}: it belongs to another gdb9.sdf")
    keep = torch.ones(n, dtype=torch.bool)
    keep[excluded] = False
    return keep.nonzero()[:, 0]
