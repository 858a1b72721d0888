import ase
import numpy as np
import pytest
import torch
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from ase.io import read, write
from torch_geometric.data import Batch

from molzoo.graph import connect, from_ase, read_labels, to_ase

KEYS = {name: name for name in ("energy", "forces", "stress", "dipole", "polarizability", "charges", "U0", "mu")}


def labelled(seed=0):
    rng = np.random.default_rng(seed)
    atoms = bulk("Cu", "fcc", 3.6) * (2, 1, 1)
    atoms.pbc = [True, True, False]
    atoms.positions += rng.normal(size=(2, 3)) * 5
    atoms.info.update(charge=-1, spin=2, polarizability=rng.normal(size=(3, 3)), U0=-3.5, mu=0.2)
    atoms.calc = SinglePointCalculator(
        atoms,
        energy=-1.5,
        forces=rng.normal(size=(2, 3)),
        stress=rng.normal(size=6),
        dipole=rng.normal(size=3),
        charges=[0.1, -0.1],
    )
    return atoms


def test_structure_charge_and_spin():
    atoms = labelled()
    graph = from_ase(atoms)
    assert graph.pos.dtype == torch.float64
    assert np.array_equal(graph.pos.numpy(), atoms.positions)
    assert np.array_equal(graph.cell[0].numpy(), atoms.cell.array)
    assert graph.pbc.tolist() == [[True, True, False]]
    assert (graph.charge.item(), graph.spin.item()) == (-1, 2)
    assert "energy" not in graph
    graph.pos[0] = 99
    assert atoms.positions.max() < 99
    water = from_ase(molecule("H2O"))
    assert water.charge.tolist() == [0]
    assert "spin" not in water


@pytest.mark.parametrize("batched", [False, True])
def test_round_trip(batched):
    sources = [labelled(0), labelled(1)]
    graphs = [from_ase(atoms, labels=KEYS) for atoms in sources]
    assert graphs[0].stress.shape == (1, 3, 3)
    back = to_ase(connect(Batch.from_data_list(graphs), 3.0)) if batched else [to_ase(graph) for graph in graphs]
    for one, source in zip(back, sources, strict=True):
        assert one == source  # numbers, positions, cell, pbc
        assert (one.info["charge"], one.info["spin"]) == (-1, 2)
        for name, label in read_labels(source, KEYS).items():
            assert np.array_equal(read_labels(one, KEYS)[name], label), name
        assert one.get_potential_energy() == -1.5
        assert np.array_equal(one.get_stress(), source.get_stress())


def test_labels_survive_a_file_and_constraints_do_not_zero_forces(tmp_path):
    atoms = labelled()
    atoms.set_constraint(FixAtoms([0]))
    atoms.info.pop("polarizability")
    write(tmp_path / "a.extxyz", atoms)
    again = read(tmp_path / "a.extxyz")
    forces = read_labels(again, {"forces": "forces"})["forces"]
    assert np.allclose(forces, atoms.calc.results["forces"])
    assert np.abs(forces[0]).min() > 0


@pytest.mark.parametrize("shape", [(6,), (9,), (3, 3)])
def test_stress_in_any_of_its_shapes(shape):
    stress = np.array([[1.0, 6, 5], [6, 2, 4], [5, 4, 3]])
    atoms = ase.Atoms("H", info={"my_stress": np.arange(1.0, 7) if shape == (6,) else stress.reshape(shape)})
    assert np.array_equal(read_labels(atoms, {"stress": "my_stress"})["stress"], stress)


def test_what_is_missing_or_misshapen_is_refused():
    atoms = labelled()
    with pytest.raises(ValueError, match=r"no 'force' for forces.*holds .*energy.*did you mean 'forces'"):
        read_labels(atoms, {"forces": "force"})
    with pytest.raises(ValueError, match="holds no labels"):
        read_labels(molecule("H2O"), {"energy": "energy"})
    with pytest.raises(ValueError, match="did you mean 'energy'"):
        read_labels(atoms, {"enrgy": "energy"})
    with pytest.raises(ValueError, match=r"shape \(2, 3\)"):
        read_labels(atoms, {"forces": "stress"})


def test_results_of_other_positions_do_not_count():
    atoms = bulk("Cu") * (2, 1, 1)
    atoms.calc = EMT()
    atoms.get_forces()
    assert read_labels(atoms, {"energy": "energy"})
    atoms.rattle(0.1)
    with pytest.raises(ValueError, match="energy"):
        read_labels(atoms, {"energy": "energy"})
