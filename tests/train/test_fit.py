import json
import math
import time
from importlib.resources import files

import ase.io
import pytest
import torch
from lightning.pytorch import Callback

from molzoo import AtomGraph, load
from molzoo.data import Data
from molzoo.loss import Term
from molzoo.train import Settings
from molzoo.train.trainer import make_trainer

FILES = {"model.pt", "last.ckpt", "metrics.csv", "card.txt", "results.json", "parity.png", "learning_curve.png", "tensorboard"}
ETHANOL = AtomGraph(z=[6, 6, 8, 1, 1, 1, 1, 1, 1], pos=torch.randn(9, 3, generator=torch.Generator().manual_seed(0)) * 2)


class Spy(Callback):
    """Keeps the learning rate of each step and how far the training was."""

    def __init__(self):
        self.lr, self.done = [], []

    def on_train_batch_end(self, trainer, task, *args):
        self.lr.append(trainer.optimizers[0].param_groups[0]["lr"])
        self.done.append(task.done)


class Poison(Callback):
    """Makes a weight NaN in the second epoch."""

    def on_train_epoch_start(self, trainer, task):
        if trainer.current_epoch == 1:
            next(task.parameters()).data.fill_(math.nan)


@pytest.fixture(scope="module")
def run(train, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return train(folder, trainer={"max_epochs": 6}, pictures=True), folder


def test_all_files_are_there_and_no_temporary_ones(run):
    assert {path.name for path in run[1].iterdir()} == FILES


def test_the_model_on_disk_is_the_one_given_back(run):
    given, stored = run[0](ETHANOL), load(run[1] / "model.pt")(ETHANOL)
    assert all(torch.equal(given[name], stored[name]) for name in ("energy", "forces"))


def test_the_loss_falls(run, column):
    losses = column(run[1], "val/loss")
    assert len(losses) == 6
    assert losses[-1] < 0.9 * losses[0]


def test_metrics_have_units_and_times(run, column):
    for name in ("val/energy_mae [meV]", "val/forces_mae [meV/A]", "time/data [s]", "time/step [s]", "train/loss", "lr"):
        assert len(column(run[1], name)) == 6, name


def test_results_are_of_all_test_frames(run):
    results = json.loads((run[1] / "results.json").read_text())
    assert results["test"]["energy"]["n"] == 20
    assert results["test"]["forces"]["unit"] == "meV/A"
    assert 0 < results["train_seconds"] < 60
    assert results["convolutions"] == "loops compiled by numba (cpu, float32)"


def test_the_card_tells_the_split(run):
    assert "40 frames" in (run[1] / "card.txt").read_text()


def test_the_model_knows_its_configuration(run):
    from molzoo.checkpoint import read

    config = read(run[1] / "model.pt")[0]["config"]
    assert config["model"]["name"] == "PaiNN"
    assert config["data"]["train"] == 40
    assert config["task"]["lr"] == 5e-3
    assert config["trainer"]["max_epochs"] == 6


def test_a_second_run_in_the_folder_replaces_the_first(train, tmp_path, column, capsys):
    for epochs in (2, 1):
        train(tmp_path, trainer={"max_epochs": epochs})
    assert "it is replaced" in capsys.readouterr().out
    assert len(column(tmp_path, "val/loss")) == 1
    assert len(list((tmp_path / "tensorboard").glob("events*"))) == 1


def test_max_time_stops_in_time_and_the_cosine_reaches_its_end(train, tmp_path):
    spy, started = Spy(), time.monotonic()
    train(tmp_path, trainer={"max_epochs": 10**6, "max_time": "00:00:00:02", "callbacks": [spy]})
    assert 2 < time.monotonic() - started < 15
    assert spy.done[-1] > 0.9
    assert spy.lr[-1] < 0.03 * 5e-3


@pytest.mark.parametrize(
    ("options", "epochs"),
    [({}, 100), ({"max_time": "00:00:15:00"}, -1), ({"max_steps": 5}, -1), ({"max_steps": 5, "max_epochs": 7}, 7)],
)
def test_a_hundred_epochs_unless_something_else_limits(tmp_path, options, epochs):
    assert make_trainer(tmp_path, Settings(), options | {"accelerator": "cpu"}, {}).max_epochs == epochs


def test_the_cosine_ends_with_the_epochs_after_a_warm_up(train, tmp_path):
    spy = Spy()
    train(tmp_path, warmup_steps=3, lr_final=0.0, trainer={"max_epochs": 5, "callbacks": [spy]})
    assert spy.lr[0] == pytest.approx(5e-3 / 3)
    assert spy.lr[-1] == pytest.approx(5e-3 * 0.5 * (1 + math.cos(math.pi * 19 / 20)))


def test_plateau_lowers_the_rate(train, tmp_path):
    spy = Spy()
    train(tmp_path, schedule="plateau", lr=1e-12, lr_patience=1, ema=0.0, trainer={"max_epochs": 6, "callbacks": [spy]})
    assert spy.lr[::4] == pytest.approx([1e-12, 1e-12, 1e-12, 5e-13, 5e-13, 2.5e-13])


def test_early_stopping(train, tmp_path, column, capsys):
    train(tmp_path, schedule="constant", lr=1e-12, stop_patience=2, ema=0.0, trainer={"max_epochs": 50})
    assert len(column(tmp_path, "val/loss")) == 3
    assert "no better for 2 validations" in capsys.readouterr().out


def test_nan_stops_and_keeps_the_best_model(train, tmp_path):
    with pytest.raises(FloatingPointError, match=r"became nan in epoch 2, batch 1 \(frames .*\); lower task\.lr"):
        train(tmp_path, trainer={"callbacks": [Poison()]})
    assert load(tmp_path / "model.pt")(ETHANOL)["energy"].isfinite().all()


def test_a_rate_that_explodes_stops(train, tmp_path):
    with pytest.raises(FloatingPointError, match=r"now 1e\+30"):
        train(tmp_path, lr=1e30)


def test_several_quantities_at_once(train, tmp_path, column):
    loss = {"energy": 1.0, "forces": 100.0, "dipole": Term(weight=[1.0, 10.0], kind="huber"), "charges": 1.0}
    predictor = train(tmp_path, loss=loss, trainer={"max_epochs": 1})
    assert set(predictor(ETHANOL)) == {"energy", "forces", "dipole", "charges"}
    assert column(tmp_path, "val/dipole_mae [D]")
    assert column(tmp_path, "train/charges")


def test_schnet_trains_too(train, tmp_path):
    train(tmp_path, model="SchNet", arguments={"channels": 8, "n_filters": 8, "n_layers": 1}, trainer={"max_epochs": 1})


def test_stress_is_learned(train, tmp_path, column):
    data = Data(source="sample/copper", train=16, val=4, test=4, batch_size=4)
    loss = {"energy": 1.0, "forces": 10.0, "stress": 1e4}
    train(tmp_path, data=data, loss=loss, lr=1e-2, trainer={"max_epochs": 12})
    errors = column(tmp_path, "val/stress_mae [meV/A^3]")
    assert errors[-1] < 0.7 * errors[0]


def test_missing_labels_are_left_out(train, tmp_path, column):
    cells = ase.io.read(files("molzoo.data") / "sample" / "copper.extxyz", ":")
    for atoms in cells[::2]:
        del atoms.calc.results["forces"]
    ase.io.write(tmp_path / "half.extxyz", cells)
    data = Data(source=str(tmp_path / "half.extxyz"), train=12, val=6, test=6, allow_missing=True)
    train(tmp_path / "run", data=data, trainer={"max_epochs": 1})
    assert all(map(math.isfinite, column(tmp_path / "run", "val/loss")))
    n = json.loads((tmp_path / "run" / "results.json").read_text())["test"]["forces"]["n"]
    assert 0 < n < 3 * sum(len(cells[i]) for i in data.splits.test)


def test_batches_within_a_budget_of_edges(train, tmp_path, ethanol):
    spy = Spy()
    train(tmp_path, data=ethanol(max_edges=72 * 5), trainer={"max_epochs": 1, "callbacks": [spy]})
    assert len(spy.lr) == 8  # five frames of 72 edges in each


def test_the_average_counts_steps_not_batches(train, tmp_path):
    train(tmp_path, trainer={"max_epochs": 1, "accumulate_grad_batches": 2})
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert state["callbacks"]["EMA"]["step"] == state["global_step"] == 2


def test_without_test_frames_nothing_is_evaluated(train, tmp_path, ethanol, capsys):
    train(tmp_path, data=ethanol(test=0), trainer={"max_epochs": 1})
    printed = capsys.readouterr().out
    assert "no test frames" in printed
    assert "convolutions: loops compiled by numba (cpu, float32)" in printed
    assert json.loads((tmp_path / "results.json").read_text())["test"] == {}


@pytest.mark.parametrize(
    ("trainer", "says"),
    [
        ({"max_epoch": 3}, "'max_epoch' is not a key of 'trainer'; did you mean 'max_epochs'"),
        ({"logger": False}, "trainer.logger is set by molzoo"),
        ({"inference_mode": True}, "trainer.inference_mode is set by molzoo"),
        ({"max_time": "15 min"}, "trainer.max_time: '15 min' is not a time; type days:hours:minutes:seconds"),
        ({"precision": "17"}, "trainer .*precision: 17"),
        ({"devices": 0}, "trainer .*devices: 0"),
    ],
)
def test_wrong_options_of_the_trainer(train, tmp_path, trainer, says):
    with pytest.raises(ValueError, match=says):
        train(tmp_path / "run", trainer=trainer)
    assert not (tmp_path / "run").exists()


def test_frames_to_validate_on_are_needed(train, tmp_path, ethanol):
    with pytest.raises(ValueError, match=r"no frame is left to validate on; give data\.val a count"):
        train(tmp_path / "run", data=ethanol(val=0))
    assert not (tmp_path / "run").exists()


def test_without_any_validation_no_model_is_given_back(train, tmp_path):
    with pytest.raises(ValueError, match="no validation took place"):
        train(tmp_path, trainer={"max_epochs": 1, "check_val_every_n_epoch": 5})


def test_lightning_is_silent(train, tmp_path, recwarn, capfd):
    train(tmp_path, trainer={"max_epochs": 1})
    assert [str(warning.message) for warning in recwarn if "lightning" in str(warning.filename)] == []
    assert capfd.readouterr().err == ""
