"""What ASE does with a calculator beyond single points: relaxed cells, dynamics, spectra, constraints."""

import ase
import numpy as np
import pytest
import torch
from ase import units
from ase.build import bulk, molecule
from ase.constraints import FixAtoms, FixBondLength
from ase.filters import FrechetCellFilter
from ase.md.langevin import Langevin
from ase.md.nose_hoover_chain import IsotropicMTKNPT
from ase.md.velocitydistribution import thermalize_momenta
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS, FIRE
from ase.vibrations import Infrared, Vibrations

from molzoo.calculator import MolzooCalculator
from molzoo.data.facts import DataFacts
from molzoo.graph import connect, geometry
from molzoo.models.interface import AtomisticModel
from molzoo.nn import Envelope, sum_rows
from molzoo.predictor import Predictor

FACTS = DataFacts(
    elements=[1, 6, 8, 29],
    references={"energy": {1: -13.6, 6: -1030.0, 8: -2040.0, 29: -5.0}},
    scales={"energy": 0.2},
)
GPa = units.GPa


def make(*names, facts=FACTS):
    torch.manual_seed(0)
    return Predictor("PaiNN", names or ["energy", "forces"], {"channels": 8, "n_layers": 2, "envelope": "polynomial"}, facts)


class Morse(AtomisticModel):
    """D [(1 − e^{−a(d − d₀)})² − 1] f(d) for each pair: what it binds is known, as it is not of an untrained network."""

    def __init__(self, *, D=0.35, a=1.4, d0=2.8, cutoff=5.5, irreps_out):
        super().__init__(cutoff, irreps_out)
        self.D, self.a, self.d0 = torch.nn.Parameter(torch.tensor(D)), a, d0
        self.envelope, self.readout = Envelope("polynomial", cutoff), torch.nn.Identity()

    def features(self, graph):
        graph = connect(graph, self.cutoff)
        d = geometry(graph, self.dtype).d
        energy = 0.5 * self.D * ((1 - torch.exp(-self.a * (d - self.d0))) ** 2 - 1) * self.envelope(d)
        return sum_rows(energy[graph.pair_index, None].to(self.dtype), graph.edge_index[1], len(graph.z))


def morse(**arguments):
    return Predictor(Morse, ["energy", "forces"], arguments).double()


@pytest.fixture
def crystal():
    atoms = bulk("Cu", "fcc", a=3.7, cubic=True)
    atoms.rattle(0.05, seed=1)
    atoms.calc = MolzooCalculator(morse())
    return atoms


@pytest.fixture
def ethanol():
    atoms = molecule("CH3CH2OH")
    atoms.calc = MolzooCalculator(make("energy", "forces", "dipole"))
    return atoms


@pytest.mark.parametrize("optimiser", [BFGS, FIRE])
def test_a_crystal_and_its_cell_relax(crystal, optimiser):
    before = crystal.get_potential_energy()
    dynamics = optimiser(FrechetCellFilter(crystal), logfile=None)
    assert dynamics.run(fmax=1e-3, steps=100)
    assert crystal.get_potential_energy() < before
    assert abs(crystal.get_stress()).max() < 1e-3
    assert abs(crystal.get_forces()).max() < 1e-3


def test_a_compressed_crystal_has_negative_stress_and_a_stretched_one_positive(crystal):
    # ASE's sign: tensile positive, stress = dE/dε / V; pressure is minus a third of its trace.
    FIRE(FrechetCellFilter(crystal), logfile=None).run(fmax=1e-3, steps=100)
    for factor, sign in ((0.97, -1), (1.03, 1)):
        strained = crystal.copy()
        strained.set_cell(crystal.cell * factor, scale_atoms=True)
        strained.calc = crystal.calc
        stress = strained.get_stress()
        assert (np.sign(stress[:3]) == sign).all()
        assert np.trace(strained.get_stress(voigt=False)) == pytest.approx(stress[:3].sum())


def test_constant_energy_conserves_energy_and_momentum(crystal):
    thermalize_momenta(crystal, 100, rng=np.random.default_rng(0))
    crystal.set_momenta(crystal.get_momenta() - crystal.get_momenta().mean(0))
    totals, dynamics = [], VelocityVerlet(crystal, 1.0 * units.fs)
    dynamics.attach(lambda: totals.append(crystal.get_total_energy()))
    dynamics.run(100)
    assert np.ptp(totals) < 0.02 * crystal.get_kinetic_energy()
    assert abs(crystal.get_momenta().sum(0)).max() < 1e-10


def test_constant_pressure_follows_the_pressure(crystal):
    FIRE(FrechetCellFilter(crystal), logfile=None).run(fmax=1e-2, steps=100)
    volumes = []
    for pressure in (0.0, 20 * GPa):
        atoms = crystal.copy()
        atoms.calc = crystal.calc
        thermalize_momenta(atoms, 50, rng=np.random.default_rng(0))
        atoms.set_momenta(atoms.get_momenta() - atoms.get_momenta().mean(0))
        dynamics = IsotropicMTKNPT(
            atoms, 1.0 * units.fs, temperature_K=50, pressure_au=pressure, tdamp=30 * units.fs, pdamp=60 * units.fs
        )
        dynamics.run(100)
        volumes.append(atoms.get_volume())
    assert volumes[1] < 0.99 * volumes[0]


def test_vibrations_of_a_diatomic_are_those_of_its_curvature(tmp_path):
    atoms = ase.Atoms("CO", [[0, 0, 0], [0, 0, 1.2]], calculator=MolzooCalculator(morse(D=8.0, a=2.0, d0=1.2, cutoff=20.0)))
    BFGS(atoms, logfile=None).run(fmax=1e-6)
    hessian = atoms.calc.get_hessian(atoms)
    mass = np.prod(atoms.get_masses()) / atoms.get_masses().sum()
    expected = np.sqrt(hessian[2, 2] / mass) * units._hbar * 1e10 / np.sqrt(units._e * units._amu) / units.invcm
    vibrations = Vibrations(atoms, name=str(tmp_path / "vib"), delta=1e-3)
    vibrations.run()
    frequencies = vibrations.get_frequencies()
    assert frequencies[-1].real == pytest.approx(expected, rel=1e-4)
    assert abs(frequencies[:5]).max() < 1e-2 * expected


def test_infrared_intensities_of_an_ion_do_not_depend_on_where_it_is(tmp_path):
    spectra = []
    for number, shift in enumerate((0.0, 50.0)):
        atoms = molecule("OH")
        atoms.info["charge"] = -1
        atoms.positions += shift
        atoms.calc = MolzooCalculator(make("energy", "forces", "dipole"))
        infrared = Infrared(atoms, name=str(tmp_path / f"ir{number}"), delta=1e-3)
        infrared.run()
        infrared.get_frequencies()
        spectra.append(infrared.intensities)
    np.testing.assert_allclose(spectra[0], spectra[1], rtol=1e-5, atol=1e-8)


def test_the_dipole_of_an_ion_is_taken_from_the_centre_of_mass():
    atoms = molecule("OH")
    atoms.info["charge"] = -1
    atoms.calc = MolzooCalculator(make("dipole"))
    dipole, charges = atoms.get_dipole_moment(), atoms.get_charges()
    assert charges.sum() == pytest.approx(-1, abs=1e-12)
    atoms.positions += [3.0, -7.0, 11.0]
    np.testing.assert_allclose(atoms.get_dipole_moment(), dipole, atol=1e-12)
    neutral = atoms.copy()
    neutral.info["charge"] = 0
    neutral.calc = atoms.calc
    assert abs(neutral.get_dipole_moment() - dipole).max() > 1e-6


def test_constraints_hold_and_the_raw_forces_are_untouched(ethanol):
    raw = ethanol.get_forces()
    ethanol.set_constraint([FixAtoms([0, 1]), FixBondLength(2, 8)])
    np.testing.assert_array_equal(ethanol.get_forces(apply_constraint=False), raw)
    assert (ethanol.get_forces()[:2] == 0).all()
    before, length = ethanol.positions[:2].copy(), ethanol.get_distance(2, 8)
    BFGS(ethanol, logfile=None).run(fmax=0.01, steps=5)
    Langevin(ethanol, 0.5 * units.fs, temperature_K=300, friction=0.02, fixcm=False, rng=np.random.default_rng(0)).run(5)
    np.testing.assert_array_equal(ethanol.positions[:2], before)
    assert ethanol.get_distance(2, 8) == pytest.approx(length, abs=1e-8)


CHANGES = {
    "positions": lambda atoms: atoms.positions.__setitem__((0, 0), atoms.positions[0, 0] + 1e-9),
    "numbers": lambda atoms: atoms.numbers.__setitem__(0, 8),
    "cell": lambda atoms: atoms.set_cell(atoms.cell.array * 1.01),
    "pbc": lambda atoms: setattr(atoms, "pbc", [True, True, False]),
    "charge": lambda atoms: atoms.info.__setitem__("charge", 1),
    "one atom less": lambda atoms: atoms.__delitem__(0),
}


@pytest.mark.parametrize("change", CHANGES)
def test_results_hold_as_long_as_nothing_has_changed(crystal, change):
    crystal.get_stress()
    results = crystal.calc.results
    assert crystal.get_potential_energy() == results["energy"]
    assert crystal.calc.results is results
    CHANGES[change](crystal)
    assert crystal.calc.calculation_required(crystal, ["energy"])
    fresh = crystal.copy()
    fresh.calc = MolzooCalculator(morse())
    np.testing.assert_array_equal(crystal.get_forces(), fresh.get_forces())


def test_two_structures_share_a_calculator_and_each_gets_its_own(crystal):
    other = crystal.copy()
    other.rattle(0.1, seed=5)
    other.calc = crystal.calc
    first, second = crystal.get_forces(), other.get_forces()
    assert abs(first - second).max() > 1e-3
    np.testing.assert_array_equal(crystal.get_forces(), first)


# -------------------------------------------------------------------------------------------------------- large numbers


@pytest.fixture
def heavy():
    """A structure of −10⁶ eV and the same without references."""
    references = {"energy": {1: -13.6, 6: -1030.0, 8: -1_000_000.0 / 3 - 1 / 7}}
    return [make(facts=DataFacts(elements=[1, 6, 8], references=rows)) for rows in (references, {})]


def test_a_float32_calculator_at_minus_a_million_ev_keeps_micro_ev(heavy):
    total, rest = (MolzooCalculator(predictor, dtype="float32") for predictor in heavy)
    atoms = ase.Atoms("O3", [[0, 0, 0], [1.2, 0, 0], [0, 1.3, 0.1]])
    constant = 3 * heavy[0].facts.references["energy"][8]
    energies = []
    for _ in range(5):
        atoms.positions[0, 0] += 1e-4
        assert total.get_potential_energy(atoms) == pytest.approx(constant + rest.get_potential_energy(atoms), rel=0, abs=1e-9)
        np.testing.assert_array_equal(total.get_forces(atoms), rest.get_forces(atoms))
        energies.append(total.get_potential_energy(atoms))
    assert len(set(energies)) == 5  # a float32 has steps of 0.06 eV there


@pytest.mark.parametrize(
    "cast",
    [
        lambda p: p.float().double(),
        lambda p: p.half().double(),
        lambda p: p.to(torch.bfloat16).to(torch.float64),
        lambda p: p.double().float(),
    ],
)
def test_references_survive_every_cast_of_a_whole_predictor(heavy, cast):
    predictor = cast(heavy[0])
    silent = [parameter.data.zero_() for parameter in predictor.parameters()]
    assert silent
    atoms = ase.Atoms("OCH", np.eye(3) * 1.5)
    dtype = str(predictor.model.dtype).removeprefix("torch.")
    found = MolzooCalculator(predictor, dtype=dtype).get_potential_energy(atoms)
    assert found == -1_000_000.0 / 3 - 1 / 7 - 1030.0 - 13.6


def test_calculators_of_two_precisions_in_turn_give_what_each_gives_alone(ethanol):
    predictor = make("energy", "forces", "dipole")
    frames = []
    for seed in range(4):
        frames.append(ethanol.copy())
        frames[-1].rattle(0.05, seed=seed)
    alone = {
        dtype: [MolzooCalculator(predictor, dtype=dtype).get_forces(atoms) for atoms in frames]
        for dtype in ("float32", "float64")
    }
    calculators = {dtype: MolzooCalculator(predictor, dtype=dtype) for dtype in alone}
    for number, atoms in enumerate(frames):
        for dtype, calculator in calculators.items():
            np.testing.assert_array_equal(calculator.get_forces(atoms), alone[dtype][number])
