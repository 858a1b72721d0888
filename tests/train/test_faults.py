"""What happens to a run from outside: full disks and memories, folders that cannot be written, dead workers, a second run."""

import math
import os
import re
import resource
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback

from molzoo import load
from molzoo.checkpoint import read_torch
from molzoo.cli import main
from molzoo.data.batching import Batches
from molzoo.train.folder import alone_in

DDP = ["--trainer.accelerator", "cpu", "--trainer.devices", "2", "--trainer.strategy", "ddp"]


class Poison(Callback):
    """Makes a weight NaN before the third batch of the second epoch, or before its validation."""

    def __init__(self, validation):
        self.validation = validation

    def on_train_batch_start(self, trainer, task, batch, batch_idx):
        if not self.validation and trainer.current_epoch == 1 and batch_idx == 2:
            next(task.parameters()).data.fill_(math.nan)

    def on_validation_batch_start(self, trainer, task, *_):
        if self.validation and trainer.current_epoch == 1:
            next(task.parameters()).data.fill_(math.nan)


@pytest.mark.parametrize("validation", [False, True], ids=["training", "validation"])
def test_nan_names_the_frames_of_its_batch_and_the_last_good_model_stays(train, tmp_path, ethanol, validation):
    data = ethanol()
    with pytest.raises(FloatingPointError) as error:
        train(tmp_path, data=data, trainer={"callbacks": [Poison(validation)]})
    if validation:
        rows, where = data.splits.val, "validation batch 1"
    else:
        order = Batches(40, 10, shuffle=True)
        order.set_epoch(1)
        rows, where = data.splits.train[list(order)[2]], "batch 3"
    frames = ", ".join(map(str, sorted(rows.tolist())[:10])) + (" and 10 more" if validation else "")
    assert f"became nan in epoch 2, {where} (frames {frames}); lower task.lr" in str(error.value)
    assert all(p.isfinite().all() for p in load(tmp_path / "model.pt").parameters())
    assert read_torch(tmp_path / "last.ckpt")["epoch"] == 0


# ------------------------------------------------------------------------------------------------------- disks and folders


@contextmanager
def largest_file(size):
    """Files cannot grow beyond so many bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [0, 6_000, 30_000])
def test_a_full_disk_costs_nothing_that_was_there(train, command, tmp_path, capsys, size):
    folder = tmp_path / "run"
    train(folder, trainer={"max_epochs": 1})
    words = [*command(folder), "--resume", "--trainer.max_epochs", "3"]
    with largest_file(size):
        assert main(words) == 2
    said = capsys.readouterr().err
    assert re.fullmatch(r"molzoo: files of the run cannot be written into .*/run \(.*\); make room there, then add .*\n", said)
    load(folder / "model.pt")
    assert read_torch(folder / "last.ckpt")["epoch"] == 0
    assert main(words) == 0
    assert not [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_a_folder_that_cannot_be_written_is_said_before_training(train, capsys):
    with tempfile.TemporaryDirectory() as name:
        user = os.geteuid()
        os.chmod(name, 0o555)
        if user == 0:
            os.seteuid(65534)
        try:
            with pytest.raises(OSError, match=r"cannot be written into .*/run \(Permission denied\)"):
                train(Path(name) / "run")
        finally:
            os.seteuid(user)
        assert not (Path(name) / "run").exists()
    assert "epoch" not in capsys.readouterr().out


def test_a_second_run_in_the_folder_is_refused_and_touches_nothing(train, tmp_path):
    train(tmp_path, trainer={"max_epochs": 1})
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    with alone_in(tmp_path):
        with pytest.raises(ValueError, match=r"another run is writing into .*; wait for its end, or name another --folder"):
            train(tmp_path)
        assert (tmp_path / ".running").exists()
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before
    train(tmp_path, trainer={"max_epochs": 1})


def test_what_a_killed_run_left_half_is_removed_and_the_rest_goes_on(train, tmp_path):
    train(tmp_path, trainer={"max_epochs": 1})
    for name in (".model.pt.abc123", ".last.ckpt", ".running"):
        (tmp_path / name).write_bytes(b"half")
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("0.1,,,7")  # no end of line
    train(tmp_path, trainer={"max_epochs": 2}, resume=True)
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


# ----------------------------------------------------------------------------------------------------- memory and workers

SMALL_MEMORY = """
import re, resource, sys
import molzoo.cli.train, molzoo.train, lightning.pytorch
from molzoo.cli import main
from molzoo import fit
from molzoo.data import Data
from molzoo.train import Settings

molzoo.train.run.plot_learning_curve = lambda *_: None

def run(train, **data):
    data = Data(source="sample/ethanol", train=train, val=1, test=0, **data)
    fit("PaiNN", data, Settings(), trainer={"max_epochs": 1, "accelerator": "cpu"}, folder=sys.argv[1])

run(20, batch_size=10)  # whatever is loaded and compiled late
pages = int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 350 * 2**20, resource.RLIM_INFINITY))
max_edges = None
for trial in range(8):
    try:
        run(400, batch_size=400, max_edges=max_edges)
    except MemoryError as error:
        print("said:", error, flush=True)
        max_edges = int(re.search(r"set data.max_edges: (\\d+)$", str(error))[1])
    else:
        print("trained with", max_edges, flush=True)
        break
"""


def test_memory_that_is_full_is_answered_with_a_batch_that_fits(tmp_path):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-c", SMALL_MEMORY, str(tmp_path / "run")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=200, check=False, env=environment)
    assert "said: a batch of 3600 atoms and 28800 edges does not fit into memory; set data.max_edges: 14400" in done.stdout
    assert re.search(r"trained with \d+", done.stdout), done.stdout + done.stderr


DYING = """
import os, signal, sys
from molzoo.cli import main
from molzoo.train.task import Task
whole = Task.on_train_batch_end
def die(self, *args):
    if self.global_rank == {rank} and self.global_step == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    whole(self, *args)
Task.on_train_batch_end = die
sys.exit(main())
"""


def test_a_worker_that_dies_ends_the_run_with_a_sentence(command, tmp_path):
    folder = tmp_path / "run"
    (tmp_path / "dying.py").write_text(DYING.format(rank=1))
    words = [sys.executable, str(tmp_path / "dying.py"), *command(folder, trainer={"max_epochs": 50}), *DDP]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, capture_output=True, text=True, timeout=150, check=False, env=environment)
    assert done.returncode == 2, done.stderr
    assert "molzoo: another process of this run has ended; look for what it said, then add --resume" in done.stderr
    load(folder / "model.pt")
    assert read_torch(folder / "last.ckpt")["global_step"] == 4


# ---------------------------------------------------------------------------------------------------------------- resuming


@pytest.mark.parametrize("schedule", ["constant", "cosine", "plateau"])
@pytest.mark.parametrize("ema", [0.0, 0.99])
def test_every_schedule_goes_on_as_if_it_had_not_stopped(train, tmp_path, schedule, ema):
    task = {"schedule": schedule, "ema": ema, "warmup_steps": 5, "lr_patience": 0, "lr": 0.05}

    class Stop(Callback):
        def on_train_batch_end(self, trainer, *args):
            if trainer.global_step == 9:  # in the third epoch
                raise KeyboardInterrupt

    limits = {"max_epochs": 4}
    train(tmp_path / "whole", trainer=limits, **task)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "parts", trainer=limits | {"callbacks": [Stop()]}, **task)
    train(tmp_path / "parts", trainer=limits, resume=True, **task)
    a, b = (read_torch(tmp_path / name / "last.ckpt") for name in ("whole", "parts"))
    assert a["molzoo"]["schedule"] == b["molzoo"]["schedule"]
    for key in ("state_dict", "optimizer_states"):
        torch.testing.assert_close(a[key], b[key], rtol=0, atol=0)
    assert a["global_step"] == b["global_step"]
    one, two = (load(tmp_path / name / "model.pt").state_dict() for name in ("whole", "parts"))
    torch.testing.assert_close(one, two, rtol=0, atol=0)
