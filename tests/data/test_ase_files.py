import ase
import ase.db
import ase.io
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms

from molzoo.data import Data
from molzoo.data.source import open_source
from molzoo.data.structures import read_structures
from molzoo.units import factor


def water(seed=0, **results):
    random = np.random.default_rng(seed)
    atoms = ase.Atoms("OH2", random.normal(size=(3, 3)), constraint=FixAtoms([0, 1]))
    results = dict(energy=float(random.normal()), forces=random.normal(size=(3, 3)), dipole=random.normal(size=3)) | results
    atoms.calc = SinglePointCalculator(atoms, **{key: value for key, value in results.items() if value is not None})
    return atoms


def copper(seed=0):
    atoms = bulk("Cu", cubic=True)
    random = np.random.default_rng(seed)
    atoms.rattle(0.1, seed=seed)
    atoms.calc = SinglePointCalculator(
        atoms, energy=1.0 + seed, forces=random.normal(size=(4, 3)), stress=random.normal(size=6)
    )
    return atoms


@pytest.mark.parametrize("suffix", ["extxyz", "xyz", "traj", "db"])
def test_labels_are_the_raw_values_constraints_or_not(tmp_path, suffix):
    frames = [water(seed) for seed in range(4)]
    path = tmp_path / f"water.{suffix}"
    if suffix == "db":
        with ase.db.connect(path) as database:
            for atoms in frames:
                database.write(atoms, my_energy=2 * atoms.calc.results["energy"])
    else:
        ase.io.write(path, frames)
    read = open_source(str(path)).frames
    exact = 1e-12 if suffix in ("traj", "db") else 1e-6  # extended xyz prints eight decimals
    for graph, atoms in zip((read[i] for i in range(4)), frames, strict=True):
        results = atoms.calc.results
        assert abs(results["forces"][0]).max() > 0  # the fixed atom's
        np.testing.assert_allclose(graph.forces, results["forces"], rtol=0, atol=exact)
        np.testing.assert_allclose(graph.energy, results["energy"], rtol=1e-12)
        np.testing.assert_allclose(graph.pos, atoms.positions, rtol=0, atol=exact)
        np.testing.assert_allclose(graph.dipole[0], results["dipole"], rtol=0, atol=exact)
    if suffix == "db":
        doubled = open_source(str(path), labels={"energy": "my_energy"}).frames
        np.testing.assert_allclose(doubled.labels["energy"], 2 * read.labels["energy"], rtol=1e-12)


@pytest.mark.parametrize("end", ["$$$$\n", ""])
def test_every_molecule_of_an_sdf_is_read(tmp_path, end):
    frames, text = [water(seed) for seed in range(3)], ""
    for atoms in frames:
        ase.io.write(tmp_path / "one.sdf", atoms)
        text += (tmp_path / "one.sdf").read_text()
    (tmp_path / "all.sdf").write_text(text.removesuffix("$$$$\n") + end)
    read = list(read_structures(tmp_path / "all.sdf"))
    assert [str(atoms.symbols) for atoms in read] == ["OH2"] * 3
    for one, atoms in zip(read, frames, strict=True):
        np.testing.assert_allclose(one.positions, atoms.positions, rtol=0, atol=1e-4)  # four decimals are printed


def test_periodic_cells_with_stress(tmp_path):
    frames = [copper(seed) for seed in range(3)]
    ase.io.write(tmp_path / "copper.extxyz", frames)
    read = open_source("copper.extxyz", root=str(tmp_path), units={"stress": "GPa"}).frames
    assert bool(read.pbc.all())
    np.testing.assert_allclose(read.cell[1], frames[1].cell.array, atol=1e-8)
    xx, yy, zz, yz, xz, xy = frames[1].calc.results["stress"]
    expected = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]) * factor("GPa")
    np.testing.assert_allclose(read.labels["stress"][1], expected, atol=1e-9)


def test_keys_and_units(tmp_path):
    atoms = ase.Atoms("CO", [[0, 0, 0], [0, 0, 1.1]], info={"REF_energy": -100.5, "charge": -1, "spin": 2})
    atoms.arrays["REF_forces"] = np.array([[0, 0, 1.0], [0, 0, -1.0]])
    ase.io.write(tmp_path / "co.extxyz", atoms)
    source = open_source(
        str(tmp_path / "co.extxyz"),
        labels={"energy": "REF_energy", "forces": "REF_forces"},
        units={"energy": "kcal/mol", "forces": "kcal/mol/A"},
    )
    graph = source.frames[0]
    assert graph.energy.item() == pytest.approx(-100.5 * factor("kcal/mol"), rel=1e-15)
    assert graph.forces[0, 2].item() == pytest.approx(factor("kcal/mol"), rel=1e-7)
    assert (graph.charge.item(), graph.spin.item()) == (-1, 2)
    assert {"REF_energy", "REF_forces"} <= set(source.keys)


def refusal(path, names, **arguments):
    with pytest.raises(ValueError) as error:
        Data(source=str(path), train="rest", **arguments).prepare(names, 4.0)
    return str(error.value)


def test_a_misspelt_key_is_answered(tmp_path):
    path = tmp_path / "water.extxyz"
    ase.io.write(path, [water(seed) for seed in range(3)])
    said = refusal(path, ["energy", "forces"], labels={"forces": "force"})
    assert "water.extxyz" in said
    assert "did you mean 'forces'" in said
    assert "did you mean 'energy'" in refusal(path, ["engery"])
    assert "did you mean 'energy'" in refusal(path, ["energy"], labels={"engery": "E"})
    assert "its keys are" in refusal(path, ["polarizability"])


def test_frames_without_forces_are_named(tmp_path):
    path = tmp_path / "half.extxyz"
    frames = [water(seed, forces=None) if seed in (2, 3) else water(seed) for seed in range(6)]
    ase.io.write(path, frames)
    said = refusal(path, ["energy", "forces"])
    assert "frame 2" in said or "frame 3" in said
    assert "2 of 6 frames" in said
    assert "allow_missing" in said
    data = Data(source=str(path), train="rest", allow_missing=True)
    facts = data.prepare(["energy", "forces"], 4.0)
    rms = np.sqrt(np.mean([atoms.calc.results["forces"] ** 2 for atoms in frames if "forces" in atoms.calc.results]))
    assert facts.scales["energy"] == pytest.approx(rms, rel=1e-6)
    assert data.card_dict["labels"]["|forces|"]["missing"] == 6


def test_zero_and_constant_labels_are_refused(tmp_path):
    path = tmp_path / "zero.extxyz"
    ase.io.write(path, [water(seed, energy=1.5, forces=np.zeros((3, 3))) for seed in range(3)])
    assert "zero in every frame" in refusal(path, ["forces"])
    assert "same in every frame" in refusal(path, ["energy"])
    Data(source=str(path), allow_constant=True).prepare(["energy", "forces"], 4.0)
    ase.io.write(path, water())
    Data(source=str(path)).prepare(["energy"], 4.0)  # one frame is not constant


def test_nan_counts_as_missing(tmp_path):
    path = tmp_path / "nan.traj"
    ase.io.write(path, [water(seed, energy=np.nan if seed == 1 else 1.0 + seed) for seed in range(3)])
    assert "frame 1" in refusal(path, ["energy"])


def test_a_wrong_shape_is_refused_if_it_was_asked_for_and_noted_if_not(tmp_path):
    path = tmp_path / "odd.extxyz"
    atoms = water()
    atoms.info |= {"A": "some text", "mine": [1.0, 2.0]}
    ase.io.write(path, [atoms, water(1)])
    assert "A was not read" in open_source(str(path)).notes[0]
    with pytest.raises(ValueError, match=r"odd.extxyz, frame 0 .*must have shape"):
        open_source(str(path), labels={"energy": "mine"})


def test_unreadable_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file"):
        open_source("nothing.xyz", root=str(tmp_path))
    (tmp_path / "a.foo").write_text("hello")
    with pytest.raises(ValueError, match="ASE cannot read"):
        open_source(str(tmp_path / "a.foo"))
