import csv
import random
import signal
import time

import pytest
import torch
from lightning.pytorch import Callback

from molzoo import load
from molzoo.cli import main


class Interrupt(Callback):
    """Ctrl-C in the first step of the third epoch."""

    def on_train_batch_end(self, trainer, *args):
        if trainer.current_epoch == 2:
            raise KeyboardInterrupt


def same(a, b):
    """Whether two nested states are equal to the last bit."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def state(folder):
    return torch.load(folder / "last.ckpt", weights_only=True)


def table(folder):
    with (folder / "metrics.csv").open() as file:
        return [{key: value for key, value in row.items() if "time/" not in key} for row in csv.DictReader(file)]


PLATEAU = {"schedule": "plateau", "lr": 0.1, "lr_patience": 0, "ema": 0.9}
COSINE = {"schedule": "cosine", "warmup_steps": 6}
MUON = {"optimizer": "muon", "warmup_steps": 6}


@pytest.mark.parametrize("task", [PLATEAU, COSINE, MUON], ids=["plateau", "cosine", "muon"])
def test_four_epochs_equal_two_and_two_in_another_process(train, command, another_process, tmp_path, task):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(whole, trainer={"max_epochs": 4}, **task)
    if task is PLATEAU:
        train(parts, trainer={"max_epochs": 2}, **task)
    else:
        with pytest.raises(KeyboardInterrupt):
            train(parts, trainer={"max_epochs": 4, "callbacks": [Interrupt()]}, **task)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler  # Lightning leaves it ignored
    process = another_process(command(parts, "--resume", trainer={"max_epochs": 4}, **task))
    process.join(120)
    assert process.exitcode == 0
    a, b = state(whole), state(parts)
    for key in ("state_dict", "optimizer_states", "global_step", "epoch", "loops"):
        assert same(a[key], b[key]), key
    for key in ("EMA", "Keeper"):
        assert same(a["callbacks"][key], b["callbacks"][key]), key
    for key in ("schedule", "rng", "facts"):
        assert same(a["molzoo"][key], b["molzoo"][key]), key
    assert same(load(whole / "model.pt").state_dict(), load(parts / "model.pt").state_dict())
    assert table(whole) == table(parts)
    if task is PLATEAU:
        assert a["molzoo"]["schedule"]["factor"] < 1  # it has acted


def test_the_average_is_not_the_weights_and_is_what_the_model_holds(train, tmp_path):
    train(tmp_path)
    stored = state(tmp_path)
    weights = [w for name, w in stored["state_dict"].items() if name.startswith("predictor.")]
    average = stored["callbacks"]["EMA"]["average"]
    assert not any(map(torch.equal, weights, average))
    assert all(map(torch.equal, load(tmp_path / "model.pt").parameters(), average))  # the last epoch was the best


def test_time_goes_on(train, tmp_path):
    train(tmp_path, trainer={"max_epochs": 1, "max_time": "00:01:00:00"})
    first = state(tmp_path)["callbacks"]
    train(tmp_path, trainer={"max_epochs": 2, "max_time": "00:01:00:00"}, resume=True)
    second = state(tmp_path)["callbacks"]
    assert second["Timer"]["time_elapsed"]["train"] > first["Timer"]["time_elapsed"]["train"]
    assert second["StopWatch"]["seconds"] > first["StopWatch"]["seconds"]


def test_a_run_that_is_done_only_reports_again(train, tmp_path, capsys):
    train(tmp_path)
    before = state(tmp_path)
    train(tmp_path, resume=True)
    assert same(before["state_dict"], state(tmp_path)["state_dict"])
    assert capsys.readouterr().out.count("Test errors") == 2


def test_steps_as_the_limit(train, tmp_path):
    train(tmp_path / "whole", schedule="constant", trainer={"max_epochs": None, "max_steps": 16})
    for steps in (8, 16):
        train(tmp_path / "parts", schedule="constant", trainer={"max_epochs": None, "max_steps": steps}, resume=steps == 16)
    assert same(state(tmp_path / "whole")["state_dict"], state(tmp_path / "parts")["state_dict"])


def test_tensorboard_has_each_step_once(train, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for epochs in (1, 3):
        train(tmp_path, schedule="constant", trainer={"max_epochs": epochs}, resume=epochs == 3)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    # Two files of one second and one process are read in any order.
    assert sorted(event.step for event in events.Scalars("val/loss")) == [3, 7, 11]


def test_kill_leaves_files_from_which_it_goes_on(command, another_process, tmp_path, column):
    folder, chance = tmp_path / "run", random.Random(time.time_ns())
    words = command(folder, trainer={"max_epochs": 100_000}, schedule="constant")
    steps = [0]
    for again in ([], ["--resume"], ["--resume"]):
        process = another_process([*words, *again])
        _wait_for(lambda: (folder / "last.ckpt").is_file() and state(folder)["global_step"] > steps[-1], process)
        time.sleep(chance.uniform(0, 0.3))
        process.kill()
        process.join()
        load(folder / "model.pt")
        steps.append(state(folder)["global_step"])
    assert main([*words, "--resume", "--trainer.max_epochs", str(steps[-1] // 4 + 1)]) == 0
    assert len(column(folder, "val/loss")) == steps[-1] // 4 + 1  # each epoch once
    assert steps == sorted(set(steps))


def _wait_for(condition, process, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert process.exitcode is None
        assert time.monotonic() < end
        time.sleep(0.02)


def test_nothing_to_resume(train, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing to resume: .*last\.ckpt' does not exist; leave out --resume"):
        train(tmp_path / "none", resume=True)
    assert not (tmp_path / "none").exists()


def test_a_damaged_state(train, tmp_path):
    train(tmp_path, trainer={"max_epochs": 1})
    (tmp_path / "last.ckpt").write_bytes((tmp_path / "last.ckpt").read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"last\.ckpt' is no training state of molzoo or is damaged"):
        train(tmp_path, resume=True)


def test_other_settings_are_refused_and_named(train, tmp_path, ethanol):
    train(tmp_path, trainer={"max_epochs": 1})
    with pytest.raises(
        ValueError, match=r"other settings: data.batch_size was 10 and is now 5, task.lr was 0.005 and is now 0.1;"
    ):
        train(tmp_path, lr=0.1, data=ethanol(batch_size=5), resume=True)
    with pytest.raises(ValueError, match=r"trainer.gradient_clip_val was None and is now 1.0, seed was 0 and is now 3;"):
        train(tmp_path, trainer={"gradient_clip_val": 1.0}, seed=3, resume=True)
