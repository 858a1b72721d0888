"""Makes the embedded sample: 1,600 frames of ethanol with energy, forces, dipole, charges.

Eight trajectories of Langevin dynamics at 500 K on the GFN2-xTB surface (C. Bannwarth, S. Ehlert,
S. Grimme, J. Chem. Theory Comput. 15, 1652, 2019). Data are split by trajectory, so that no test
frame is a neighbour in time of a training frame.

Run from anywhere, with molzoo and tblite installed; one core, about six minutes::

    OMP_NUM_THREADS=1 python scripts/samples/make_ethanol.py
"""

import argparse
import json
from importlib.metadata import version
from pathlib import Path

import ase
import numpy as np
from ase import units
from ase.build import molecule
from ase.constraints import FixCom
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import thermalize_momenta
from ase.optimize import BFGS
from scipy.spatial.transform import Rotation
from tblite.ase import TBLite
from tblite.interface import Calculator

from molzoo.units import BOHR, HARTREE

OUT = Path(__file__).resolve().parents[2] / "molzoo" / "data" / "sample" / "ethanol.npz"
SPLITS = {"train": [0, 1, 2, 3, 4, 5], "val": [6], "test": [7]}
SEEDS = [0, 1, 2, 3, 4, 5, 6, 7]
TEMPERATURE = 500.0  # K: every trajectory visits both conformers, no bond breaks
TIME_STEP = 0.5  # fs
FRICTION = 0.01  # 1/fs
EQUILIBRATION = 6000  # steps, 3 ps
STRIDE = 100  # steps, 50 fs
FRAMES = 200  # per trajectory
ACCURACY = 1e-4  # of tblite: forces match central differences to 1e-6 eV/Å (to 1e-4 at its 1.0)
MULTIPLICITY = {"H": 2, "C": 3, "O": 3}  # ground states of the free atoms


def xtb(z: np.ndarray, pos: np.ndarray, n_unpaired: int = 0, field: np.ndarray | None = None) -> dict:
    """Energy (eV), forces (eV/Å), dipole (e·Å) and charges (e) at ``pos`` (Å); ``field`` in V/Å.

    Every call starts from tblite's own guess: a label depends on its positions, on no frame before.
    """
    calculator = Calculator("GFN2-xTB", z, pos / BOHR, charge=0, uhf=n_unpaired)
    calculator.set("verbosity", 0)
    calculator.set("accuracy", ACCURACY)
    if field is not None:
        calculator.add("electric-field", (np.asarray(field) * BOHR / HARTREE).tolist())
    result = calculator.singlepoint()
    return {
        "energy": float(result["energy"]) * HARTREE,
        "forces": -result["gradient"] * HARTREE / BOHR,
        "dipole": result["dipole"] * BOHR,
        "charges": result["charges"],
    }


def relaxed() -> ase.Atoms:
    """Trans ethanol at its minimum on the GFN2-xTB surface (gauche lies 67 meV lower), centre of mass at the origin."""
    atoms = molecule("CH3CH2OH", calculator=TBLite(method="GFN2-xTB", accuracy=0.1, verbosity=0))
    BFGS(atoms, logfile=None).run(fmax=0.01)
    atoms.positions -= atoms.get_center_of_mass()
    return atoms


def sample(start: ase.Atoms, seed: int) -> np.ndarray:
    """Positions (FRAMES, 9, 3) float32 of one trajectory, each frame turned onto ``start``.

    The molecule tumbles freely in the dynamics; drift and rotation are taken out of the kept frames
    only, which changes neither energy nor shape.
    """
    rng = np.random.default_rng(seed)
    atoms = start.copy()
    atoms.calc = TBLite(method="GFN2-xTB", accuracy=0.1, verbosity=0)
    atoms.set_constraint(FixCom())
    thermalize_momenta(atoms, TEMPERATURE, rng=rng)
    dynamics = Langevin(
        atoms,
        TIME_STEP * units.fs,
        temperature_K=TEMPERATURE,
        friction=FRICTION / units.fs,
        fixcm=False,  # FixCom samples the canonical distribution; this option not quite
        rng=rng,
    )
    dynamics.run(EQUILIBRATION)
    mass = atoms.get_masses()
    frames = []
    for _ in range(FRAMES):
        dynamics.run(STRIDE)
        pos = atoms.positions - atoms.get_center_of_mass()
        turn, _ = Rotation.align_vectors(start.positions, pos, weights=mass)
        frames.append(turn.apply(pos))
    return np.array(frames, dtype=np.float32)


def check(z: np.ndarray, frames: np.ndarray, equilibrium: np.ndarray, n_checked: int = 16) -> dict[str, float]:
    """Largest deviations of the labels of ``n_checked`` frames, and the longest bond of all frames.

    Forces are held against −ΔE/Δr, the dipole against −ΔE/Δfield, the labels of a turned molecule
    against the turned labels, the sum of charges against zero. "stretch" is the longest bond
    relative to its relaxed length.

    Raises:
        AssertionError: a label is wrong or a bond is broken.
    """
    worst: dict[str, float] = {}

    def note(name: str, deviation: np.ndarray | float) -> None:
        worst[name] = max(worst.get(name, 0.0), float(np.abs(deviation).max()))

    rng = np.random.default_rng(0)
    for pos in frames[rng.choice(len(frames), n_checked, replace=False)].astype(np.float64):
        labels = xtb(z, pos)
        h = 1e-4  # Å
        for index in np.ndindex(pos.shape):
            step = np.zeros_like(pos)
            step[index] = h
            ahead, behind = xtb(z, pos + step), xtb(z, pos - step)
            slope = (ahead["energy"] - behind["energy"]) / (2 * h)
            note("forces", slope + labels["forces"][index])
        h = 1e-2  # V/Å
        for axis, field in enumerate(h * np.eye(3)):
            ahead, behind = xtb(z, pos, field=field), xtb(z, pos, field=-field)
            slope = (ahead["energy"] - behind["energy"]) / (2 * h)
            note("dipole", slope + labels["dipole"][axis])
        turn = Rotation.random(rng=rng)
        turned = xtb(z, turn.apply(pos))
        note("turned_energy", turned["energy"] - labels["energy"])
        note("turned_forces", turned["forces"] - turn.apply(labels["forces"]))
        note("turned_dipole", turned["dipole"] - turn.apply(labels["dipole"]))
        note("net_charge", labels["charges"].sum())

    assert max(worst.values()) < 1e-5, worst

    i, j = np.triu_indices(len(z), k=1)
    relaxed_length = np.linalg.norm(equilibrium[i] - equilibrium[j], axis=-1)
    bonds = (relaxed_length < 1.6) & (z[i] + z[j] > 2)  # no two hydrogens
    length = np.linalg.norm(frames[:, i] - frames[:, j], axis=-1)
    worst["stretch"] = float((length / relaxed_length)[:, bonds].max())
    assert bonds.sum() == 8, "not ethanol"
    assert worst["stretch"] < 1.4, worst
    return worst


def settings() -> dict:
    """Everything that made the file, kept inside it."""
    isolated = {
        symbol: xtb(ase.Atoms(symbol).numbers, np.zeros((1, 3)), multiplicity - 1)["energy"]
        for symbol, multiplicity in MULTIPLICITY.items()
    }
    return {
        "molecule": "ethanol",
        "smiles": "CCO",
        "licence": "MIT",
        "method": "GFN2-xTB",
        "reference": "https://doi.org/10.1021/acs.jctc.8b01176",
        "electronic_temperature": "300 K",
        "accuracy": ACCURACY,
        "programs": {name: version(name) for name in ("tblite", "ase", "numpy", "scipy")},
        "thermostat": f"Langevin, friction {FRICTION:g}/fs, centre of mass fixed",
        "temperature": f"{TEMPERATURE:g} K",
        "time_step": f"{TIME_STEP:g} fs",
        "equilibration": f"{EQUILIBRATION * TIME_STEP / 1000:g} ps",
        "frame_every": f"{STRIDE * TIME_STEP:g} fs",
        "seeds": SEEDS,
        "frames": "centre of mass at the origin, turned onto the relaxed molecule; then labelled",
        "units": {"pos": "A", "energy": "eV", "forces": "eV/A", "dipole": "e*A", "charges": "e"},
        "energy": "total energy",
        "charges": "Mulliken",
        "dipole": "sum over atoms of charge times position, plus atomic dipoles",
        "isolated_energies": isolated,
        "isolated_multiplicity": MULTIPLICITY,
        "splits": SPLITS,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=OUT)
    out = parser.parse_args().out

    start = relaxed()
    z = start.numbers
    frames = []
    for seed in SEEDS:
        frames.append(sample(start, seed))
        print(f"trajectory {seed}: {len(frames[-1])} frames", flush=True)
    pos = np.concatenate(frames)  # float32 from here on: the labels belong to exactly these numbers
    labels = [xtb(z, frame.astype(np.float64)) for frame in pos]
    print("largest deviations:", check(z, pos, start.positions))

    np.savez_compressed(
        out,
        z=z.astype(np.uint8),
        pos=pos,
        energy=np.array([label["energy"] for label in labels]),
        **{name: np.array([label[name] for label in labels], dtype=np.float32) for name in ("forces", "dipole", "charges")},
        trajectory=np.repeat(np.arange(len(SEEDS), dtype=np.uint8), FRAMES),
        settings=np.array(json.dumps(settings())),
    )
    print(f"{out.name}: {out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
