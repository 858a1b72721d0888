"""The calculator, as ASE uses it."""

import ase
import numpy as np
import pytest
import torch
from ase import units
from ase.build import bulk, molecule
from ase.calculators.fd import calculate_numerical_stress
from ase.io import read, write
from ase.md.velocitydistribution import thermalize_momenta
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS
from ase.vibrations import Infrared, Vibrations

from molzoo import checkpoint
from molzoo.calculator import MolzooCalculator
from molzoo.data.facts import DataFacts
from molzoo.predictor import Predictor

REFERENCES = {1: -13.6, 6: -1030.0, 8: -2040.0, 29: -5.0}


def make(names=("energy", "forces", "dipole"), seed=0, charges=(), **arguments):
    torch.manual_seed(seed)
    references, scales = {"energy": REFERENCES}, {"energy": 0.2}
    facts = DataFacts(elements=sorted(REFERENCES), charges=list(charges), references=references, scales=scales)
    arguments = {"channels": 16, "envelope": "polynomial"} | arguments
    return Predictor("PaiNN", list(names), arguments, facts).double().eval()


@pytest.fixture(scope="module")
def predictor():
    return make()


@pytest.fixture
def ethanol(predictor):
    atoms = molecule("CH3CH2OH")
    atoms.rattle(0.05, seed=1)
    atoms.calc = MolzooCalculator(predictor)
    return atoms


@pytest.fixture
def crystal():
    atoms = bulk("Cu", cubic=True)
    atoms.set_cell(atoms.cell.array @ [[1.02, 0.03, 0.01], [0, 0.97, 0.02], [0, 0, 1.01]], scale_atoms=True)
    atoms.rattle(0.1, seed=2)
    atoms.calc = MolzooCalculator(make(["energy", "forces"]))
    return atoms


class Spy:
    """Notes what is asked of a predictor."""

    def __init__(self, calculator):
        self.asked = []
        forward = calculator.predictors[0].forward
        calculator.predictors[0].forward = lambda graph, names: (self.asked.append(list(names)), forward(graph, names))[1]


def test_kinds_of_results(ethanol):
    energy, forces = ethanol.get_potential_energy(), ethanol.get_forces()
    assert type(energy) is float
    assert type(ethanol.calc.results["free_energy"]) is float
    assert ethanol.get_potential_energy(force_consistent=True) == energy
    assert forces.shape == (9, 3)
    assert forces.dtype == np.float64
    assert ethanol.get_potential_energies().sum() == pytest.approx(energy, abs=1e-9)
    assert ethanol.get_charges().sum() == pytest.approx(0, abs=1e-12)
    assert ethanol.get_dipole_moment().shape == (3,)


def test_same_numbers_as_the_predictor(ethanol, predictor):
    from molzoo.graph.from_ase import from_ase

    found = predictor(from_ase(ethanol))
    assert ethanol.get_potential_energy() == pytest.approx(float(found["energy"].detach()), abs=1e-10)
    np.testing.assert_allclose(ethanol.get_forces(), found["forces"].detach(), atol=1e-12)
    np.testing.assert_allclose(ethanol.get_dipole_moment(), found["dipole"][0].detach(), atol=1e-12)


def test_implemented_properties_are_those_of_the_model():
    assert set(MolzooCalculator(make(["energy"])).implemented_properties) == {
        *("energy", "energies", "forces", "stress", "free_energy")
    }
    assert set(MolzooCalculator(make(["mu"])).implemented_properties) == {"dipole", "charges"}
    with pytest.raises(ValueError, match="nothing that ASE knows"):
        MolzooCalculator(make(["homo"]))


def test_asks_for_what_is_wanted_and_once(ethanol):
    spy = Spy(ethanol.calc)
    ethanol.get_potential_energy()
    ethanol.get_forces()
    ethanol.get_potential_energy()
    assert spy.asked == [["energy", "forces"]]
    ethanol.get_dipole_moment()
    assert spy.asked[1:] == [["dipole"]]
    ethanol.positions[0, 0] += 0.01
    ethanol.get_forces()
    ethanol.get_dipole_moment()
    assert spy.asked[2:] == [["energy", "forces", "dipole"]]  # what was once asked for comes along


def test_what_is_handed_out_is_not_the_cache(ethanol):
    before = ethanol.get_forces()
    before += 1
    assert abs(ethanol.get_forces() - before).max() == pytest.approx(1)


def test_relaxation(ethanol):
    energy = ethanol.get_potential_energy()
    BFGS(ethanol, logfile=None).run(fmax=0.05, steps=10)
    assert ethanol.get_potential_energy() < energy


def test_vibrations_and_infrared(ethanol, tmp_path):
    # Where it starts: the minima of an untrained model are no molecules. Small steps: PaiNN is curved at small vectors.
    hessian = ethanol.calc.get_hessian(ethanol)
    tolerance = 1e-5 * abs(hessian).max()
    infrared = Infrared(ethanol, name=str(tmp_path / "ir"), delta=1e-4)
    infrared.run()
    assert len(infrared.get_frequencies()) == 27
    assert np.isfinite(infrared.intensities).all()
    np.testing.assert_allclose(hessian, infrared.get_vibrations().get_hessian_2d(), atol=tolerance)
    vibrations = Vibrations(ethanol, indices=[2, 8], name=str(tmp_path / "vib"), delta=1e-4)
    vibrations.run()
    rows = [6, 7, 8, 24, 25, 26]
    np.testing.assert_allclose(hessian[np.ix_(rows, rows)], vibrations.get_vibrations().get_hessian_2d(), atol=tolerance)


@pytest.mark.parametrize("periodic", [False, True])
def test_hessian_is_minus_the_derivative_of_forces(ethanol, crystal, periodic, monkeypatch):
    atoms = crystal if periodic else ethanol
    hessian = atoms.calc.get_hessian(atoms)
    assert (hessian == hessian.T).all()
    for axis, delta in ((4, 1e-5), (11, 1e-5)):
        ahead, behind = atoms.copy(), atoms.copy()
        ahead.positions.ravel()[axis] += delta
        behind.positions.ravel()[axis] -= delta
        forces = [MolzooCalculator.get_forces(atoms.calc, moved).ravel() for moved in (ahead, behind)]
        np.testing.assert_allclose(hessian[axis], (forces[1] - forces[0]) / (2 * delta), rtol=1e-5, atol=1e-6)
    monkeypatch.setattr("molzoo.calculator._HESSIAN_EDGES", 500)  # in several batches
    np.testing.assert_allclose(atoms.calc.get_hessian(atoms), hessian, atol=1e-11)


def test_hessian_of_one_atom(predictor):
    assert (MolzooCalculator(predictor).get_hessian(ase.Atoms("H")) == np.zeros((3, 3))).all()


def test_dynamics_conserve_energy(ethanol):
    thermalize_momenta(ethanol, 100, rng=np.random.default_rng(0))
    totals = []
    dynamics = VelocityVerlet(ethanol, 0.25 * units.fs)
    dynamics.attach(lambda: totals.append(ethanol.get_total_energy()))
    dynamics.run(40)
    print(np.ptp(totals), ethanol.get_kinetic_energy(), totals[::8])
    assert np.ptp(totals) < 2e-3 * max(ethanol.get_kinetic_energy(), 0.1)


def test_stress_is_the_strain_derivative_in_ases_order(crystal):
    stress = crystal.get_stress()
    assert stress.shape == (6,)
    np.testing.assert_allclose(stress, calculate_numerical_stress(crystal, eps=1e-5), atol=1e-9)
    assert len(set(np.round(stress, 9))) == 6  # no two are equal, so that a wrong order would show


def test_stress_of_a_molecule_and_dipole_of_a_crystal_are_refused(ethanol, crystal):
    with pytest.raises(ValueError, match="stress is defined for periodic structures only"):
        ethanol.get_stress()
    assert np.isfinite(ethanol.get_potential_energy())  # and it goes on
    crystal.get_stress()
    ethanol.calc = crystal.calc
    assert np.isfinite(ethanol.get_forces()).all()  # stress does not come along where there is none
    crystal.calc = MolzooCalculator(make())
    with pytest.raises(ValueError, match="dipole is defined for structures without periodic"):
        crystal.get_dipole_moment()


def test_committee_gives_mean_and_deviation(ethanol, tmp_path):
    members = [make(seed=seed) for seed in range(3)]
    checkpoint.save(members[2], tmp_path / "model.pt")
    singles = [MolzooCalculator(member) for member in members]
    energies = [single.get_potential_energy(ethanol) for single in singles]
    forces = np.stack([single.get_forces(ethanol) for single in singles])
    committee = MolzooCalculator([*members[:2], tmp_path / "model.pt"])
    assert committee.get_potential_energy(ethanol) == pytest.approx(np.mean(energies), abs=1e-9)
    np.testing.assert_allclose(committee.get_forces(ethanol), forces.mean(0), atol=1e-11)
    assert type(committee.results["energy_std"]) is float
    assert committee.results["energy_std"] == pytest.approx(np.std(energies, ddof=1), rel=1e-6)
    np.testing.assert_allclose(committee.get_property("forces_std", ethanol), forces.std(0, ddof=1), atol=1e-11)
    hessians = [single.get_hessian(ethanol) for single in singles]
    np.testing.assert_allclose(committee.get_hessian(ethanol), np.mean(hessians, 0), atol=1e-10)


def test_identical_members_do_not_deviate(ethanol, predictor):
    committee = MolzooCalculator([predictor] * 2)
    committee.get_forces(ethanol)
    assert committee.results["energy_std"] == 0
    assert (committee.results["forces_std"] == 0).all()


def test_members_of_different_cutoffs(ethanol):
    members = [make(cutoff=4.0), make(cutoff=5.0)]
    mean = np.mean([MolzooCalculator(member).get_potential_energy(ethanol) for member in members])
    assert MolzooCalculator(members).get_potential_energy(ethanol) == pytest.approx(mean, abs=1e-9)


def test_precisions_side_by_side_touch_nothing_global(ethanol, predictor):
    default = torch.get_default_dtype()
    alone = ethanol.get_forces()
    single, double = MolzooCalculator(predictor, dtype="float32"), MolzooCalculator(predictor)
    for _ in range(2):
        ethanol.positions[0, 0] += 1e-3
        coarse, fine = single.get_forces(ethanol), double.get_forces(ethanol)
        assert coarse.dtype == fine.dtype == np.float64
        assert 0 < abs(coarse - fine).max() < 1e-3
        assert single.get_potential_energy(ethanol) != double.get_potential_energy(ethanol)
    ethanol.positions[0, 0] -= 2e-3
    np.testing.assert_allclose(double.get_forces(ethanol), alone, atol=1e-10)
    assert torch.get_default_dtype() == default
    assert predictor.model.dtype == torch.float64  # the one handed over is left alone
    assert all(parameter.requires_grad for parameter in predictor.parameters())


def test_from_a_file_in_double_precision(tmp_path, ethanol):
    checkpoint.save(make().float(), tmp_path / "model.pt")
    calculator = MolzooCalculator(str(tmp_path / "model.pt"))
    assert calculator.predictors[0].model.dtype == torch.float64
    assert calculator.get_potential_energy(ethanol) == pytest.approx(ethanol.get_potential_energy(), abs=1e-3)


def test_changed_charge_and_spin_invalidate_the_cache(predictor):
    atoms = molecule("OH")
    atoms.calc = MolzooCalculator(predictor)
    assert atoms.get_charges().sum() == pytest.approx(0, abs=1e-12)
    atoms.info["charge"] = -1
    assert atoms.calc.calculation_required(atoms, ["charges"])
    assert atoms.get_charges().sum() == pytest.approx(-1, abs=1e-12)
    assert not atoms.calc.calculation_required(atoms, ["charges"])
    atoms.info["spin"] = 2
    assert atoms.calc.calculation_required(atoms, ["charges"])
    atoms.get_charges()
    atoms.info["comment"] = "anything else does not matter"
    assert not atoms.calc.calculation_required(atoms, ["charges"])


def test_unknown_elements_and_charges_are_refused_by_name():
    calculator = MolzooCalculator(make(charges=[0.0]))
    with pytest.raises(ValueError, match="never learned N"):
        calculator.get_potential_energy(molecule("NH3"))
    water = molecule("H2O")
    water.info["charge"] = 1
    with pytest.raises(ValueError, match=r"charge \+1"):
        calculator.get_potential_energy(water)
    water.info["charge"] = 0
    assert np.isfinite(calculator.get_potential_energy(water))


def test_written_and_read_back_by_ase(ethanol, tmp_path):
    ethanol.get_forces()
    ethanol.get_dipole_moment()
    for name in ("a.extxyz", "a.traj"):
        write(tmp_path / name, ethanol)
        again = read(tmp_path / name)
        assert again.get_potential_energy() == pytest.approx(ethanol.get_potential_energy(), abs=1e-9)
        np.testing.assert_allclose(again.get_forces(), ethanol.get_forces(), atol=1e-7)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"model": []}, "empty"),
        ({"model": "nowhere.pt"}, "there is no model file"),
        ({"dtype": "float46"}, "did you mean 'float64'"),
        ({"device": "toaster"}, "no device 'toaster'"),
        ({"device": "cuda:77"}, "no device 'cuda:77'"),
    ],
)
def test_refusals(predictor, arguments, sentence):
    with pytest.raises((ValueError, FileNotFoundError), match=sentence):
        MolzooCalculator(**{"model": predictor} | arguments)
