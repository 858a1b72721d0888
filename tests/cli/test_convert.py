"""``molzoo convert``, as typed, on files that the peers wrote."""

import re
from pathlib import Path

import pytest
import torch

from molzoo import load
from molzoo.cli import main

FIXTURES = Path(__file__).parents[1] / "fixtures" / "convert"
NEQUIP = ["--elements", "O,H,C", "--channels", "[6, 4]", "--l_max=1", "--parity", "false", "--avg_n_neighbours", "7.5"]
PYG = ["--mean", "-0.375", "--std", "1.75"]


def words(peer, name, *more, check=True):
    checked = ["--check", f"{FIXTURES / name}.extxyz"] if check else []
    return ["convert", peer, f"{FIXTURES / name}.pt", "-o", "model.pt", *more, *checked]


@pytest.mark.parametrize(
    ("typed", "model"),
    [
        (words("nequip", "nequip", *NEQUIP), "NequIP"),
        (words("schnetpack", "schnetpack_painn", "--elements", "H,C,O"), "PaiNN"),
        (words("schnetpack", "schnetpack_schnet"), "SchNet"),
        (words("pyg", "pyg", *PYG, "--cutoff", "5.0"), "SchNet"),
    ],
    ids=["nequip", "painn", "schnet", "pyg"],
)
def test_it_gives_a_model_that_predicts(typed, model, capsys, tmp_path):
    assert main(typed) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"model.pt: {model}, ")
    assert float(re.search(r"forces \S+ eV/Å \(relative (\S+)\)", out)[1]) < 1e-6
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]
    assert load("model.pt").model_name == model
    assert main(["test", "model.pt", typed[-1]]) == 0
    assert main(["info", "model.pt"]) == 0
    assert f"Converted from {typed[1]}." in capsys.readouterr().out


def test_without_structures_it_says_what_is_assumed(capsys):
    assert main(words("nequip", "nequip", *NEQUIP, check=False)) == 0
    assert "not compared with nequip; assumed: polynomial_cutoff_p 6" in capsys.readouterr().out


def test_units(capsys):
    assert main(words("pyg", "pyg", *PYG, "--unit", "meV", check=False)) == 0
    assert load("model.pt").facts.scales == {"energy": 0.00175}


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        (["convert"], "the following arguments are required: PEER, FILE, -o"),
        (["convert", "neqip", "x.pt", "-o", "model.pt"], "did you mean 'nequip'?"),
        (["convert", "nequip", "x.pt", "-o", "model.pt"], "there is no model file 'x.pt'"),
        (words("nequip", "pyg"), "this is not a network of nequip that molzoo knows; it is of pyg: molzoo convert pyg"),
        (words("schnetpack", "nequip"), "molzoo convert nequip"),
        (words("nequip", "nequip"), "type --elements with nequip's type_names in their order"),
        (words("nequip", "nequip", *NEQUIP[:5]), "--avg_n_neighbours VALUE (avg_num_neighbors; 1 for None)"),
        (words("nequip", "nequip", *NEQUIP, "--channels", "6"), "has the shape (70,) but (90,) in molzoo's NequIP"),
        (words("nequip", "nequip", *NEQUIP, "--chanels", "4"), "did you mean 'channels'?"),
        (words("nequip", "nequip", *NEQUIP, "--channels", "x"), "cannot be made with"),
        (words("nequip", "nequip", *NEQUIP, "--elements", "O,H,Cx"), "'Cx' is not the symbol of an element"),
        (words("pyg", "pyg", *PYG, "--cutoff", "6"), "--cutoff 6: the file says 5.0; leave it out"),
        (words("pyg", "pyg", *PYG, "--cutoff"), "--cutoff needs a value"),
        (words("pyg", "pyg", *PYG, "--unit", "kcla"), "kcla"),
        (words("pyg", "pyg"), "the largest deviations from pyg are energy 5"),
        (words("pyg", "pyg", "--mean", "nan"), "and 0.0001 is allowed"),
        (words("schnetpack", "schnetpack_schnet", check=False), "reads out with silu unless told otherwise"),
        (words("pyg", "pyg", "--check", "nowhere.xyz", check=False), "there is no file 'nowhere.xyz'"),
    ],
)
def test_refusals_leave_nothing_behind(typed, sentence, refused):
    assert sentence in refused(typed)


def test_a_refusal_keeps_the_model_that_was_there(capsys, tmp_path):
    (tmp_path / "model.pt").write_text("another")
    assert main(words("pyg", "pyg")) == 2
    assert (tmp_path / "model.pt").read_text() == "another"


def test_structures_without_forces_are_refused(refused, tmp_path):
    (tmp_path / "bare.xyz").write_text("1\nenergy=1.0 Properties=species:S:1:pos:R:3\nH 0 0 0\n")
    assert "bare.xyz, structure 0: no 'forces' for forces" in refused(words("pyg", "pyg", "--check", "bare.xyz", check=False))


def test_help(capsys):
    with pytest.raises(SystemExit):
        main(["convert", "--help"])
    assert "usage: molzoo convert PEER FILE -o MODEL" in capsys.readouterr().out


def test_a_disk_that_changes_numbers_is_noticed(monkeypatch, refused):
    from molzoo import checkpoint

    def other(path):
        made = load(path)
        with torch.no_grad():
            made.model.readout.linear.scalars.weight.add_(0.1)
        return made

    monkeypatch.setattr(checkpoint, "load", other)
    assert "gave other numbers when it was read again" in refused(words("pyg", "pyg", *PYG))
