"""Makes the embedded periodic sample: 24 small cells of copper with energy, forces and stress.

Labels are ASE's effective medium theory, ``EMT(asap_cutoff=False)`` (K. W. Jacobsen, P. Stoltze,
J. K. Nørskov, Surf. Sci. 366, 394, 1996): cheap, and the same for everyone. Stress is positive in
tension, as everywhere in ASE.

Run from anywhere; it takes seconds::

    python scripts/samples/make_copper.py
"""

import argparse
from pathlib import Path

import ase
import numpy as np
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write

OUT = Path(__file__).resolve().parents[2] / "molzoo" / "data" / "sample" / "copper.extxyz"
SEED = 0
LATTICE = 3.61  # Å
STRAIN = 0.03  # standard deviation of the diagonal components; of the shears, 0.03/√2
RATTLE = 0.08  # Å, standard deviation of each coordinate
LARGE = 0.06  # strain along x alone, of the last two cells
DIGITS = 8  # of what the file stores; labels are taken at the rounded numbers


def cells() -> list[ase.Atoms]:
    """22 randomly strained cells of 4, 6 and 8 atoms; then one stretched, one squeezed along x."""
    rng = np.random.default_rng(SEED)
    primitive, cubic = bulk("Cu", "fcc", LATTICE), bulk("Cu", "fcc", LATTICE, cubic=True)
    kinds = [cubic, *(primitive * n for n in [(2, 2, 1), (3, 2, 1), (2, 2, 2)]), cubic * (2, 1, 1)]
    made = []
    for i in range(22):
        strain = STRAIN * rng.normal(size=(3, 3))
        made.append(deformed(kinds[i % len(kinds)], (strain + strain.T) / 2, rng))
    return made + [deformed(cubic, np.diag([x, 0.0, 0.0]), rng) for x in (LARGE, -LARGE)]


def deformed(atoms: ase.Atoms, strain: np.ndarray, rng: np.random.Generator) -> ase.Atoms:
    """``atoms`` with its cell strained, its atoms rattled, everything rounded to ``DIGITS``."""
    atoms = atoms.copy()
    atoms.set_cell(np.round(atoms.cell @ (np.eye(3) + strain), DIGITS), scale_atoms=True)
    rattle = RATTLE * rng.normal(size=(len(atoms), 3))
    atoms.positions = np.round(atoms.positions + rattle, DIGITS)
    return atoms


def labelled(atoms: ase.Atoms) -> ase.Atoms:
    """Copy ``atoms`` and attach EMT's energy (eV), forces (eV/Å) and stress (eV/Å³)."""
    atoms = atoms.copy()
    atoms.calc = EMT()
    values = {name: atoms.calc.get_property(name, atoms) for name in ("energy", "forces", "stress")}
    atoms.calc = SinglePointCalculator(atoms, **values)
    return atoms


def check(frames: list[ase.Atoms], h: float = 1e-5) -> dict[str, float]:
    """Largest deviations of forces and stress from central differences of the energy.

    ``h`` is small because EMT's energy jumps a little where an atom crosses its cutoff.

    Raises:
        AssertionError: a label is wrong, or no cell is in tension, or none in compression.
    """
    worst = {"forces": 0.0, "stress": 0.0}

    def energy(atoms: ase.Atoms, shift: np.ndarray | float, strain: np.ndarray | float) -> float:
        atoms = ase.Atoms(atoms.symbols, atoms.positions + shift, cell=atoms.cell, pbc=True)
        atoms.set_cell(atoms.cell @ (np.eye(3) + strain), scale_atoms=True)
        atoms.calc = EMT()
        return atoms.get_potential_energy()

    for atoms in frames:
        for index in np.ndindex(atoms.positions.shape):
            shift = np.zeros_like(atoms.positions)
            shift[index] = h
            slope = (energy(atoms, shift, 0.0) - energy(atoms, -shift, 0.0)) / (2 * h)
            error = abs(slope + atoms.get_forces()[index])
            worst["forces"] = max(worst["forces"], float(error))
        for i, j in zip(*np.triu_indices(3), strict=True):
            strain = np.zeros((3, 3))
            strain[i, j] += h / 2  # a shear is half above, half below the diagonal
            strain[j, i] += h / 2
            slope = (energy(atoms, 0.0, strain) - energy(atoms, 0.0, -strain)) / (2 * h)
            error = abs(slope / atoms.get_volume() - atoms.get_stress(voigt=False)[i, j])
            worst["stress"] = max(worst["stress"], float(error))
    traces = [atoms.get_stress()[:3].sum() for atoms in frames]
    assert min(traces) < 0 < max(traces), "stress of one sign only"
    assert max(worst.values()) < 1e-6, worst
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=OUT)
    out = parser.parse_args().out

    frames = [labelled(atoms) for atoms in cells()]
    print("largest deviations:", check(frames))
    frames[0].info["settings"] = (
        f"ASE {ase.__version__} EMT asap_cutoff=False; numpy seed {SEED}; eV, A, eV/A, eV/A^3; "
        "stress positive in tension; licence MIT"
    )
    write(out, frames, format="extxyz")
    for written, atoms in zip(read(out, index=":"), frames, strict=True):
        assert np.array_equal(written.positions, atoms.positions)
        assert np.array_equal(written.cell, atoms.cell)
        assert np.allclose(written.get_forces(), atoms.get_forces(), rtol=0, atol=1e-8)
        assert np.allclose(written.get_stress(), atoms.get_stress(), rtol=0, atol=1e-12)
    print(f"{out.name}: {len(frames)} frames, {out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
