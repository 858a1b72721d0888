"""Long runs with trained models, through ASE's calculator as a user runs them: docs/results/dynamics.json.

    python scripts/campaigns/dynamics.py nve MODEL --structure ethanol.xyz     # 20 ps from 300 K, 0.5 fs
    python scripts/campaigns/dynamics.py relax MODEL --structure ethanol.xyz   # 1,000 times, displaced by 0.1 Å
    python scripts/campaigns/dynamics.py npt MODEL --structure copper.xyz      # 5 ps at 300 K and no pressure, 2 fs

Each adds its line to the record, in place of an older one of the same kind and model. Memory is that of the process, after the
first tenth of the calls and after the last.
"""

import argparse
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms, units
from ase.md.nose_hoover_chain import IsotropicMTKNPT
from ase.md.velocitydistribution import Stationary, thermalize_momenta
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS

from molzoo import load
from molzoo.calculator import MolzooCalculator

RECORD = Path(__file__).resolve().parents[2] / "docs" / "results" / "dynamics.json"


class Counted(MolzooCalculator):
    """Counts its calls and notes the memory of the process every thousand."""

    def __init__(self, model: str) -> None:
        super().__init__(model)
        self.calls, self.memory = 0, []

    def calculate(self, *arguments, **options) -> None:
        """As any calculator."""
        super().calculate(*arguments, **options)
        self.calls += 1
        if self.calls % 1000 == 0:
            lines = Path("/proc/self/status").read_text().splitlines()
            self.memory.append(next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024)


def warm(atoms: Atoms, temperature: float) -> None:
    """Velocities of this temperature, at rest as a whole."""
    thermalize_momenta(atoms, temperature, rng=np.random.default_rng(0))
    Stationary(atoms)


def nve(atoms: Atoms, steps: int) -> dict[str, float]:
    """The slope of the total energy against time."""
    BFGS(atoms, logfile=None).run(fmax=0.01, steps=500)
    warm(atoms, 300)
    dynamics, energies = VelocityVerlet(atoms, 0.5 * units.fs), []
    dynamics.attach(lambda: energies.append(atoms.get_total_energy()), interval=10)
    dynamics.run(steps)
    energy = 1000 * np.array(energies) / len(atoms)
    ps = np.arange(len(energy)) * 0.005
    return {
        "ps": steps * 0.0005,
        "drift [meV/atom/ps]": float(np.polyfit(ps, energy, 1)[0]),
        "largest change [meV/atom]": float(np.abs(energy - energy[0]).max()),
    }


def relax(atoms: Atoms, times: int) -> dict[str, float]:
    """How many of the displaced structures do not come to rest, or come apart."""
    BFGS(atoms, logfile=None).run(fmax=0.01, steps=500)
    rest, lowest = atoms.positions.copy(), atoms.get_potential_energy()
    random, failed, steps = np.random.default_rng(0), 0, []
    for _ in range(times):
        atoms.positions = rest + 0.1 * random.standard_normal(rest.shape)
        optimizer = BFGS(atoms, logfile=None)
        converged = optimizer.run(fmax=0.01, steps=500)
        failed += not (converged and abs(atoms.get_potential_energy() - lowest) < 0.5)
        steps.append(optimizer.nsteps)
    return {"structures": times, "failures": failed, "steps, mean": float(np.mean(steps)), "steps, most": max(steps)}


def npt(atoms: Atoms, steps: int) -> dict[str, float]:
    """Volume and temperature over the second half."""
    warm(atoms, 300)
    before = atoms.get_volume()
    dynamics = IsotropicMTKNPT(
        atoms, 2 * units.fs, temperature_K=300, pressure_au=0.0, tdamp=100 * units.fs, pdamp=1000 * units.fs
    )
    volumes, temperatures, conserved = [], [], []
    dynamics.attach(lambda: volumes.append(atoms.get_volume()), interval=5)
    dynamics.attach(lambda: temperatures.append(atoms.get_temperature()), interval=5)
    dynamics.attach(lambda: conserved.append(dynamics.get_conserved_energy()), interval=5)
    dynamics.run(steps)
    half = len(volumes) // 2
    return {
        "ps": steps * 0.002,
        "volume, of the first": float(np.mean(volumes[half:]) / before),
        "temperature [K]": float(np.mean(temperatures[half:])),
        "drift of the conserved energy [meV/atom/ps]": float(
            1000 * np.polyfit(np.arange(len(conserved)) * 0.01, conserved, 1)[0] / len(atoms)
        ),
    }


def commit() -> str:
    """Of the checkout."""
    return subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()


RUNS: dict[str, tuple[Callable[[Atoms, int], dict[str, float]], int]] = {
    "nve": (nve, 40_000),
    "relax": (relax, 1000),
    "npt": (npt, 2500),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=RUNS)
    parser.add_argument("model")
    parser.add_argument("--structure", required=True, help="a file of ASE; of several structures the first is taken")
    parser.add_argument("--n", type=int, help="steps, or structures to relax")
    known = parser.parse_args()
    run, n = RUNS[known.kind]
    atoms = ase.io.read(known.structure, index=0)
    atoms.calc = Counted(known.model)
    start = time.perf_counter()
    found = run(atoms, known.n or n)
    memory = atoms.calc.memory
    predictor = load(known.model)
    line = {
        "run": known.kind,
        "model": f"{predictor.model_name}, {known.model}",
        "atoms": f"{atoms.get_chemical_formula()}",
        **found,
        "calls": atoms.calc.calls,
        "memory [MiB]": [round(memory[len(memory) // 10]), round(memory[-1])] if memory else [],
        "minutes": round((time.perf_counter() - start) / 60, 1),
        "commit": commit(),
    }
    print(json.dumps(line, indent=1))
    lines = json.loads(RECORD.read_text()) if RECORD.is_file() else []
    lines = [old for old in lines if (old["run"], old["model"]) != (line["run"], line["model"])] + [line]
    RECORD.write_text(json.dumps(lines, indent=1) + "\n")


if __name__ == "__main__":
    main()
