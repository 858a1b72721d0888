"""A short run at constant energy, and the curves of two atoms."""

from collections.abc import Callable, Iterator
from itertools import combinations_with_replacement

import numpy as np
import torch
from ase import Atoms, units
from ase.data import chemical_symbols
from ase.md.verlet import VelocityVerlet

from molzoo.calculator import MolzooCalculator
from molzoo.check.laws import Law
from molzoo.check.measure import Found, predicted_for_all, variant
from molzoo.graph import AtomGraph, to_ase
from molzoo.predictor import Predictor
from molzoo.shapes import Float, Tensor

TIME_STEP, STEPS, TEMPERATURE = 0.5, 2000, 300.0  # fs, 1, K
DRIFT = 1.0  # meV/atom/ps, of a straight line through 1 ps; a molecule of ten atoms wavers by a tenth of it

Curve = tuple[Float[Tensor, " T"], Float[Tensor, " T"]]


def energy_conservation(keep: Callable[[Curve], object] = lambda curve: None) -> Law:
    """The law that a run at constant energy does not drift; ``keep`` is given each run."""

    def drift(predictor: Predictor, graph: AtomGraph) -> Found:
        curve = constant_energy(predictor, graph, STEPS)
        keep(curve)
        slope = np.polyfit(*curve, 1)[0] if curve[1].isfinite().all() else np.nan
        return Found(abs(float(slope)), f"meV/atom/ps in {STEPS * TIME_STEP / 1000:g} ps")

    def needs(predictor: Predictor, graph: AtomGraph) -> str:
        return "" if "energy" in predictor.gives and len(graph.z) > 1 else "no structure of two or more atoms with an energy"

    return Law("energy conservation", "In a run at constant energy it does not drift.", drift, DRIFT, needs=(needs,))


def constant_energy(predictor: Predictor, graph: AtomGraph, steps: int) -> Curve:
    """Time (ps) and change of the total energy (meV/atom) in a run by velocity Verlet from 300 K."""
    atoms = to_ase(variant(graph))
    assert isinstance(atoms, Atoms)  # one graph, not a batch
    atoms.calc = MolzooCalculator(predictor, device=str(next(predictor.parameters()).device))
    masses = atoms.get_masses()[:, None]
    momenta = np.sqrt(masses * units.kB * TEMPERATURE) * np.random.default_rng(0).standard_normal((len(atoms), 3))
    atoms.set_momenta(momenta - masses / masses.sum() * momenta.sum(0))
    dynamics = VelocityVerlet(atoms, timestep=TIME_STEP * units.fs)
    energies: list[float] = []
    dynamics.attach(lambda: energies.append(atoms.get_total_energy()))
    dynamics.run(steps)
    energy = torch.tensor(energies, dtype=torch.float64)
    return torch.arange(len(energy)) * TIME_STEP / 1000, 1000 * (energy - energy[0]) / len(atoms)


def dimers(predictor: Predictor, graph: AtomGraph, points: int = 150) -> Iterator[tuple[str, Curve]]:
    """For any two elements in ``graph``: their symbols, and distance (Å) and energy (eV) from 0.4 Å to beyond the cutoff."""
    distances = torch.linspace(0.4, predictor.model.cutoff + 0.3, points, dtype=torch.float64)
    pos = torch.zeros(points, 2, 3, dtype=torch.float64)
    pos[:, 1, 0] = distances
    nowhere = {"cell": torch.zeros_like(graph.cell), "pbc": torch.zeros_like(graph.pbc)}
    for pair in combinations_with_replacement(sorted(set(graph.z.tolist())), 2):
        z = torch.tensor(pair).to(graph.z)
        frames = [variant(graph, z=z, pos=one.to(graph.pos), **nowhere) for one in pos]
        energy = predicted_for_all(predictor, frames, "energy").cpu()
        yield "-".join(chemical_symbols[number] for number in pair), (distances, energy - energy[-1])
