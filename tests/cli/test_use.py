"""``molzoo test`` and ``molzoo predict``, as typed."""

import json

import pytest
import torch
import yaml
from ase.build import molecule
from ase.io import read, write

from molzoo import checkpoint
from molzoo.calculator import MolzooCalculator
from molzoo.cli import main
from molzoo.data.facts import DataFacts
from molzoo.predictor import Predictor

DATA = {"source": "sample/ethanol", "train": 20, "val": 5, "test": 12}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    facts = DataFacts(elements=[1, 6, 8], references={"energy": {1: -13.6, 6: -1030.0, 8: -2040.0}})
    predictor = Predictor("PaiNN", ["energy", "forces"], {"channels": 16}, facts).double()
    path = tmp_path_factory.mktemp("run") / "model.pt"
    checkpoint.save(predictor, path, {"data": DATA})
    return str(path)


@pytest.fixture
def labelled(model, tmp_path):
    """Structures labelled by the model itself, whose errors are therefore known; under keys of their own."""
    structures = [molecule(name) for name in ("CH3CH2OH", "H2O", "CH4")]
    for atoms in structures:
        atoms.rattle(0.02, seed=0)
        calculator = MolzooCalculator(model)
        atoms.info["my_energy"] = calculator.get_potential_energy(atoms) + 0.5
        atoms.arrays["my_forces"] = calculator.get_forces(atoms)
    write(tmp_path / "labelled.extxyz", structures)
    return str(tmp_path / "labelled.extxyz")


def refusal(capsys, *words):
    assert main(list(words)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("molzoo: ")
    assert err.count("\n") == 1  # one sentence, no usage, no traceback
    return err


def test_on_the_test_split_the_model_was_trained_with(model, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["test", model]) == 0
    out = capsys.readouterr().out
    assert "sample/ethanol: test split, 12 structures" in out
    assert "meV/A" in out
    assert not list(tmp_path.iterdir())  # nothing is written unless it is asked for


def test_on_another_configuration_and_with_overrides(model, capsys, tmp_path):
    config = tmp_path / "mine.yaml"
    config.write_text(yaml.safe_dump({"model": "SchNet", "data": DATA | {"test": 3}}))
    assert main(["test", model, str(config), "-o", str(tmp_path / "results.json"), "--names", "forces"]) == 0
    assert "test split, 3 structures" in capsys.readouterr().out
    found = json.loads((tmp_path / "results.json").read_text())
    assert list(found["test"]) == ["forces"]
    assert found["test"]["forces"]["unit"] == "meV/A"
    assert main(["test", model, "--data.test", "4", "--data.seed=1"]) == 0
    assert "test split, 4 structures" in capsys.readouterr().out


def test_a_committee_predicts_the_mean_of_its_members(model, labelled, capsys, tmp_path):
    other = checkpoint.load(model)
    other.facts.references["energy"][1] += 1.0  # eV for each hydrogen
    other = Predictor("PaiNN", other.names, other.arguments, other.facts).double()
    other.load_state_dict(checkpoint.load(model).state_dict(), strict=False)
    checkpoint.save(other, tmp_path / "other.pt", {"data": DATA})
    keys = ["--data.labels", "{energy: my_energy, forces: my_forces}", "-o", str(tmp_path / "results.json")]
    for members, error in (([model], 500), ([model, model], 500), ([model, str(tmp_path / "other.pt")], 1500)):
        assert main(["test", *members, labelled, *keys]) == 0
        found = json.loads((tmp_path / "results.json").read_text())
        assert found["test"]["energy"]["mae"] == pytest.approx(error, abs=1e-3)  # −0.5 eV and half an eV for 6, 2, 4 hydrogens
        assert found["model"] == " + ".join(members)


def test_on_a_labelled_file(model, labelled, capsys, tmp_path):
    keys = ["--data.labels", "{energy: my_energy, forces: my_forces}"]
    assert main(["test", model, labelled, *keys, "-o", str(tmp_path / "results.json")]) == 0
    assert "all 3 structures" in capsys.readouterr().out
    found = json.loads((tmp_path / "results.json").read_text())["test"]
    assert found["energy"]["mae"] == pytest.approx(500, abs=1e-3)  # meV
    assert found["forces"]["mae"] < 1e-3


def test_labels_that_are_not_there_are_refused(model, labelled, capsys):
    assert "there is no 'energy'" in refusal(capsys, "test", model, labelled)
    assert "there is no 'forces'" in refusal(capsys, "test", model, labelled, "--data.labels", "{energy: my_energy}")


def test_single_precision(model, capsys):
    assert main(["test", model, "--data.test", "2", "--dtype", "float32"]) == 0
    assert "energy" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "the following arguments are required: MODEL"),
        (["nowhere.pt"], "there is no model file 'nowhere.pt'"),
        (["MODEL", "rmd17_panin"], "did you mean 'rmd17_painn'"),
        (["MODEL", "nowhere.xyz"], "nowhere.xyz"),
        (["MODEL", "--devise", "cpu"], "did you mean '--device'"),
        (["MODEL", "--device", "toaster"], "no device 'toaster'"),
        (["MODEL", "--names", "energy,froces"], "did you mean 'forces'"),
        (["MODEL", "--dtype", "half"], "invalid choice: 'half'"),
        (["MODEL", "--data.sorce", "x"], "did you mean 'source'"),
        (["MODEL", "--data.test", "0"], "no test structures"),
        (["MODEL", "a.yaml", "b"], "tested on one set of data, but a.yaml and b are given; name one of them"),
    ],
)
def test_refusals_of_test(model, capsys, words, sentence):
    assert sentence in refusal(capsys, "test", *(model if word == "MODEL" else word for word in words))


def test_a_model_without_data(model, capsys, tmp_path):
    checkpoint.save(checkpoint.load(model), tmp_path / "model.pt")
    assert "names no data" in refusal(capsys, "test", str(tmp_path / "model.pt"))


def test_predict(model, labelled, capsys, tmp_path):
    out = tmp_path / "out.extxyz"
    assert main(["predict", model, labelled, "-o", str(out), "--max_edges", "80"]) == 0
    assert capsys.readouterr().out == f"3 structures: {out}\n"
    for atoms in read(out, ":"):
        assert atoms.get_potential_energy() == pytest.approx(atoms.info["my_energy"] - 0.5, abs=1e-6)
    assert main(["predict", model, labelled, "-o", str(tmp_path / "out.csv"), "--names", "energy", "--dtype", "float32"]) == 0
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 4


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["MODEL"], "required: FILE, -o"),
        (["MODEL", "FILE", "-o", "out.traj"], "end its name in"),
        (["MODEL", "FILE", "-o", "out.csv", "--max_edge", "5"], "did you mean '--max_edges'"),
        (["MODEL", "FILE", "-o", "out.csv", "--max_edges", "many"], "max_edges: invalid int value: 'many'"),
        (["MODEL", "FILE", "-o", "out.csv", "--max_edges", "0"], "1 or more"),
        (["MODEL", "FILE", "-o", "out.csv", "--names", "forces"], "forces has a value for each atom"),
        (["MODEL", "nowhere.xyz", "-o", "out.csv"], "there is no file 'nowhere.xyz'"),
        (["FILE", "FILE", "-o", "out.csv"], "is not a molzoo model"),
    ],
)
def test_refusals_of_predict(model, labelled, capsys, words, sentence):
    places = {"MODEL": model, "FILE": labelled}
    assert sentence in refusal(capsys, "predict", *(places.get(word, word) for word in words))


@pytest.mark.parametrize("command", ["test", "predict"])
def test_help(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    assert f"usage: molzoo {command} MODEL" in capsys.readouterr().out
