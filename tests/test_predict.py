"""Files in, files out."""

import csv
import json

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk, molecule
from ase.io import read, write

from molzoo.calculator import MolzooCalculator
from molzoo.data.facts import DataFacts
from molzoo.predict import predict
from molzoo.predictor import Predictor


@pytest.fixture(scope="module")
def predictor():
    torch.manual_seed(0)
    facts = DataFacts(elements=[1, 6, 8], references={"energy": {1: -13.6, 6: -1030.0, 8: -2040.0}})
    return Predictor("PaiNN", ["energy", "forces", "dipole"], {"channels": 16}, facts).double()


@pytest.fixture
def structures():
    """Molecules of several sizes, an atom, and an ion; some say something of themselves."""
    made = [molecule(name) for name in ("CH3CH2OH", "H2O", "CH4", "H", "OH", "CO2") * 3]
    for number, atoms in enumerate(made):
        atoms.rattle(0.03, seed=number)
        atoms.info["name"] = f"structure {number}"
    made[4].info["charge"] = -1
    made[5].info |= {"energy": -1.0, "tags": np.arange(3), "nested": {"a": [1, 2]}}
    return made


@pytest.fixture
def source(structures, tmp_path):
    write(tmp_path / "in.extxyz", structures)
    return tmp_path / "in.extxyz"


def results(atoms, predictor):
    calculator = MolzooCalculator(predictor)
    return calculator.get_potential_energy(atoms), calculator.get_forces(atoms), calculator.get_property("dipole", atoms)


@pytest.mark.parametrize("suffix", [".extxyz", ".xyz"])
def test_round_trip_through_extended_xyz(predictor, structures, source, tmp_path, suffix):
    out = tmp_path / f"out{suffix}"
    assert predict(predictor, source, out) == len(structures)
    found = read(out, ":")
    assert len(found) == len(structures)
    for before, after in zip(structures, found, strict=True):
        energy, forces, dipole = results(before, predictor)
        assert after.get_potential_energy() == pytest.approx(energy, abs=1e-6)
        np.testing.assert_allclose(after.get_forces(), forces, atol=1e-6)
        np.testing.assert_allclose(after.get_dipole_moment(), dipole, atol=1e-6)
        np.testing.assert_allclose(after.positions, before.positions, atol=1e-8)
        assert (after.numbers == before.numbers).all()
        assert after.info["name"] == before.info["name"]
        assert not after.pbc.any()
    assert found[4].info["charge"] == -1
    assert (found[5].info["tags"] == np.arange(3)).all()
    assert found[5].info["nested"] == {"a": [1, 2]}


def test_a_line_feed_does_not_break_the_file(predictor, tmp_path):
    water = molecule("H2O")
    water.info["lines"] = "one\ntwo"
    write(tmp_path / "in.traj", water)
    predict(predictor, tmp_path / "in.traj", tmp_path / "out.extxyz")
    assert read(tmp_path / "out.extxyz").info["lines"] == "one two"


def test_a_batch_gives_what_single_structures_give(predictor, source, tmp_path):
    outs = [tmp_path / name for name in ("one.extxyz", "few.extxyz", "all.extxyz")]
    for out, max_edges in zip(outs, (1, 100, None), strict=True):
        predict(predictor, source, out, max_edges=max_edges)
    one, few, every = (read(out, ":") for out in outs)
    for a, b, c in zip(one, few, every, strict=True):
        assert a.get_potential_energy() == pytest.approx(c.get_potential_energy(), abs=1e-9)
        np.testing.assert_allclose(a.get_forces(), c.get_forces(), atol=1e-9)
        np.testing.assert_allclose(b.get_forces(), c.get_forces(), atol=1e-9)


def test_one_line_for_each_structure(predictor, structures, source, tmp_path):
    assert predict(predictor, source, tmp_path / "out.csv") == len(structures)
    with (tmp_path / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["index", "formula", "n_atoms", "energy [eV]", *(f"dipole_{axis} [e*A]" for axis in "xyz")]
    for number, (row, atoms) in enumerate(zip(rows, structures, strict=True)):
        assert (row["index"], row["formula"], row["n_atoms"]) == (str(number), atoms.get_chemical_formula(), str(len(atoms)))
        energy, _, dipole = results(atoms, predictor)
        assert float(row["energy [eV]"]) == pytest.approx(energy, abs=1e-6)
        assert float(row["dipole_z [e*A]"]) == pytest.approx(dipole[2], abs=1e-6)


@pytest.mark.parametrize("suffix", [".extxyz", ".csv"])
def test_periodic_structures_and_stress(predictor, tmp_path, suffix):
    crystals = [bulk("C", a=3.5 + 0.1 * k) for k in range(4)]
    for k, atoms in enumerate(crystals):
        atoms.rattle(0.05, seed=k)
    crystals[3].pbc = [True, True, False]
    write(tmp_path / "in.traj", crystals)
    out = tmp_path / f"out{suffix}"
    predict(predictor, tmp_path / "in.traj", out, ["energy", "stress"])
    calculator = MolzooCalculator(predictor)
    stresses = np.stack([calculator.get_stress(atoms) for atoms in crystals])
    if suffix == ".csv":
        columns = [f"stress_{pair} [eV/A^3]" for pair in ("xx", "yy", "zz", "yz", "xz", "xy")]
        with out.open() as file:
            found = [[float(row[column]) for column in columns] for row in csv.DictReader(file)]
    else:
        again = read(out, ":")
        found = [atoms.get_stress() for atoms in again]
        assert [atoms.pbc.tolist() for atoms in again] == [atoms.pbc.tolist() for atoms in crystals]
        np.testing.assert_allclose(again[0].cell, crystals[0].cell, atol=1e-12)
    np.testing.assert_allclose(found, stresses, atol=1e-10)


def test_all_quantities_that_can_be_asked_for(predictor, source, tmp_path):
    names = [name for name in predictor.gives if name != "stress"]
    predict(predictor, source, tmp_path / "out.extxyz", names)
    atoms = read(tmp_path / "out.extxyz")
    assert {"energy", "energies", "forces", "dipole", "charges"} <= set(atoms.calc.results)
    assert atoms.info["mu"] == pytest.approx(np.linalg.norm(atoms.get_dipole_moment()))


def test_structures_are_read_as_they_are_needed(predictor, source, tmp_path, monkeypatch):
    taken, written = [], []

    def endless(*_, **__):
        for number in range(400):
            taken.append(number)
            assert number - (written[-1] if written else 0) < 50
            yield molecule("H2O")

    from molzoo import writers

    class Writer(writers.Extxyz):
        def __call__(self, first, atoms, found):
            written.append(first + len(atoms))
            super().__call__(first, atoms, found)

    monkeypatch.setattr("ase.io.iread", endless)
    monkeypatch.setattr("molzoo.predict._CHUNK_ATOMS", 60)
    monkeypatch.setitem(writers.WRITERS, ".extxyz", Writer)
    assert predict(predictor, source, tmp_path / "out.extxyz", ["energy"]) == 400
    assert written[-1] == 400


def test_the_predictor_is_left_as_it_was(predictor, source, tmp_path):
    predictor.train()
    predict(predictor, source, tmp_path / "out.csv")
    assert predictor.training
    assert all(parameter.requires_grad for parameter in predictor.parameters())


def test_progress_is_for_people_only(predictor, source, tmp_path, capsys, monkeypatch):
    predict(predictor, source, tmp_path / "out.csv")
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    predict(predictor, source, tmp_path / "out.csv")
    assert "18 structures" in capsys.readouterr().err


def broken(tmp_path, structures, change):
    atoms = structures[7]
    change(atoms)
    write(tmp_path / "broken.extxyz", structures)
    return tmp_path / "broken.extxyz"


def nan(atoms):
    atoms.positions[2, 1] = np.nan


def nitrogen(atoms):
    atoms.symbols[0] = "N"


def flat(atoms):
    atoms.pbc = True


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (nan, r"broken.extxyz, structure 7 \(counted from 0\): the position of atom 2 is not a finite number"),
        (nitrogen, r"structure 7 \(counted from 0\): this model never learned N"),
        (flat, r"structure 7 \(counted from 0\): .*cell"),
    ],
)
def test_a_bad_structure_is_named_and_nothing_is_left(predictor, structures, tmp_path, change, sentence):
    with pytest.raises(ValueError, match=sentence):
        predict(predictor, broken(tmp_path, structures, change), tmp_path / "out.extxyz")
    assert [path.name for path in tmp_path.iterdir()] == ["broken.extxyz"]


def test_a_truncated_file_is_noticed(predictor, source, tmp_path):
    source.write_text(source.read_text()[:-60])
    with pytest.raises(ValueError, match=r"structure 17 \(counted from 0\) cannot be read"):
        predict(predictor, source, tmp_path / "out.extxyz")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"source": "nowhere.xyz"}, "there is no file 'nowhere.xyz'"),
        ({"out": "out.traj"}, "end its name in .extxyz, .xyz, .csv"),
        ({"out": "in.extxyz"}, "give the predictions another name"),
        ({"names": ["engery"]}, "did you mean 'energy'"),
        ({"names": ["homo"]}, "this PaiNN does not predict 'homo'"),
        ({"names": ["energy", "forces"], "out": "out.csv"}, "forces has a value for each atom"),
        ({"names": ["stress"]}, r"structure 0 \(counted from 0\): stress is defined for periodic structures only"),
    ],
)
def test_refusals(predictor, source, tmp_path, arguments, sentence, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ValueError, FileNotFoundError), match=sentence):
        predict(predictor, **{"source": "in.extxyz", "out": "out.extxyz"} | arguments)


@pytest.mark.parametrize(
    ("name", "text"), [("a.txt", "hello"), ("a.json", json.dumps({"a": 1})), ("a.xyz", ""), ("a.cif", "x")]
)
def test_files_that_hold_no_structures(predictor, tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=name):
        predict(predictor, tmp_path / name, tmp_path / "out.csv")


def test_an_empty_structure_is_named(predictor, tmp_path):
    write(tmp_path / "in.extxyz", [molecule("H2O"), ase.Atoms()])
    with pytest.raises(ValueError, match=r"structure 1 \(counted from 0\)"):
        predict(predictor, tmp_path / "in.extxyz", tmp_path / "out.csv")
