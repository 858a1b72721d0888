"""A model with tables in place of its radial networks: close to it, marked, saved and loaded."""

import ase.io
import pytest
import torch
from ase.build import molecule

from molzoo import checkpoint
from molzoo.cli import main
from molzoo.tabulate import tabulate


def test_the_new_model_is_close_marked_and_as_large(predictor, structure):
    exact = predictor("NequIP")
    table, largest = tabulate(exact, [structure("ethanol"), structure("crystal")])
    assert table.arguments["radial_knots"] == 256
    assert table.state_dict().keys() == exact.state_dict().keys()
    assert 0 < largest["forces"] < 1e-5 * float(exact(structure("ethanol"))["forces"].abs().max())
    assert "radial_knots" not in exact.arguments


def test_more_knots_deviate_less(predictor, structure):
    few, many = (tabulate(predictor("PaiNN"), [structure("ethanol")], n)[1]["forces"] for n in (64, 256))
    assert many < few / 100


def test_the_command_writes_a_model_that_predicts(predictor, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoint.save(predictor("SchNet"), "model.pt")
    ase.io.write("some.extxyz", [molecule("CH3CH2OH"), molecule("H2O")])
    assert main(["tabulate", "model.pt", "some.extxyz", "-o", "table.pt", "--knots", "512"]) == 0
    out = capsys.readouterr().out
    assert "forces" in out
    assert "512 knots: table.pt" in out
    assert checkpoint.load("table.pt").arguments["radial_knots"] == 512


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["model.pt", "some.extxyz", "-o", "model.pt"], "give the one with tables another name"),
        (["model.pt", "none.extxyz", "-o", "table.pt"], "there is no file 'none.extxyz'"),
        (["model.pt", "some.extxyz", "-o", "table.pt", "--knots", "2"], "a radial table needs some knots"),
    ],
)
def test_what_is_wrong_is_said(words, sentence, predictor, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoint.save(predictor("SchNet"), "model.pt")
    ase.io.write("some.extxyz", molecule("H2O"))
    assert main(["tabulate", *words]) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "table.pt").exists()


def test_a_model_without_radial_functions_is_refused(predictor, structure):
    exact = predictor("SchNet")
    exact.model.__class__ = type("Other", (torch.nn.Module,), {})
    with pytest.raises(ValueError, match="Other has no radial functions"):
        tabulate(exact, [structure("water")])
