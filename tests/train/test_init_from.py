import pytest
import torch

from molzoo import AtomGraph, load
from molzoo.data import Data

ETHANOL = AtomGraph(z=[6, 6, 8, 1, 1, 1, 1, 1, 1], pos=torch.randn(9, 3, generator=torch.Generator().manual_seed(0)) * 2)
STILL = {"lr": 1e-12, "schedule": "constant", "ema": 0.0}  # trained, but nothing moves


@pytest.fixture(scope="module")
def first(train, tmp_path_factory):
    folder = tmp_path_factory.mktemp("first")
    train(folder, trainer={"max_epochs": 1})
    return str(folder / "model.pt")


def test_it_starts_where_the_other_run_ended(train, first, tmp_path, capsys):
    train(tmp_path, init_from=first, trainer={"max_epochs": 1}, **STILL)
    assert "fresh: none" in capsys.readouterr().out
    forces = [load(path)(ETHANOL)["forces"] for path in (first, tmp_path / "model.pt")]
    assert torch.allclose(*forces, rtol=1e-5)


def test_other_data_have_their_own_references_but_the_old_scale(train, first, tmp_path, ethanol):
    predictor = train(tmp_path, init_from=first, data=ethanol(train=20), references="none", trainer={"max_epochs": 1}, **STILL)
    old = load(first)
    assert predictor.facts.references == {}
    assert predictor.facts.scales == old.facts.scales  # the weights give energies in its unit
    assert torch.allclose(predictor(ETHANOL)["forces"], old(ETHANOL)["forces"], rtol=1e-5)


def test_other_elements_start_from_it_too(train, first, tmp_path):
    predictor = train(tmp_path, init_from=first, data=Data(source="sample/copper", train=8, val=4, test=4))
    assert predictor.facts.elements == [29]


def test_another_head_is_fresh(train, first, tmp_path, capsys):
    loss = {"energy": 1.0, "forces": 100.0, "dipole": 1.0}
    predictor = train(tmp_path, init_from=first, loss=loss, trainer={"max_epochs": 1}, **STILL)
    told = capsys.readouterr().out
    assert "fresh: model.readout.hidden_vectors" in told
    assert torch.equal(predictor.model.embedding.weight, load(first).model.embedding.weight)


def test_the_optimiser_is_fresh(train, first, tmp_path):
    train(tmp_path, init_from=first, trainer={"max_epochs": 1})
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert state["global_step"] == 4
    assert {int(s["step"]) for s in state["optimizer_states"][0]["state"].values()} == {4}


def test_a_resumed_run_does_not_start_from_it_again(train, first, tmp_path):
    train(tmp_path / "whole", init_from=first, schedule="constant", trainer={"max_epochs": 2})
    for epochs in (1, 2):
        train(tmp_path / "parts", init_from=first, schedule="constant", trainer={"max_epochs": epochs}, resume=epochs == 2)
    a, b = (load(tmp_path / name / "model.pt") for name in ("whole", "parts"))
    assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))
    assert a.facts == b.facts


def test_frozen_parameters_stay_and_all_others_move(train, first, tmp_path):
    predictor = train(tmp_path, init_from=first, freeze=["model.embedding*", "model.interactions.0.phi*"])
    before = dict(load(first).named_parameters())
    still = {name for name, value in predictor.named_parameters() if torch.equal(value, before[name])}
    assert still == {name for name in before if name.startswith(("model.embedding", "model.interactions.0.phi"))}


def test_other_arguments_are_told(train, first, tmp_path, capsys):
    train(tmp_path, init_from=first, arguments={"channels": 8, "n_layers": 1, "n_radial": 8, "cutoff": 4.0})
    assert "note: model.cutoff is 4.0, there it was 5.0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"arguments": {"channels": 12, "n_layers": 1, "n_radial": 9}},
            r"nothing in .*model\.pt' fits this PaiNN; .*'channels': 8",
        ),
        ({"model": "SchNet", "arguments": {"channels": 8}}, r"is a PaiNN; it cannot start a SchNet: type 'model: PaiNN'"),
        (
            {"freeze": ["model.embeding*"]},
            r"task\.freeze: 'model\.embeding\*' matches no parameter; did you mean 'model\.embedding\*'",
        ),
        ({"freeze": ["*"]}, r"task\.freeze: \['\*'\] leaves nothing to train"),
        ({"init_from": "no/model.pt"}, r"there is no model file 'no/model\.pt'"),
    ],
    ids=["shapes", "model", "pattern", "all", "file"],
)
def test_refused(train, first, tmp_path, options, says):
    with pytest.raises((ValueError, FileNotFoundError), match=says):
        train(tmp_path / "run", **{"init_from": first} | options)
    assert not (tmp_path / "run").exists()
