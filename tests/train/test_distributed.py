"""Two processes with gloo, started as users start them."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from molzoo import load

BIN = Path(sys.executable).parent
DDP = ["--trainer.accelerator", "cpu", "--trainer.devices", "2", "--trainer.strategy", "ddp"]

# molzoo as it is, but each process leaves its weights.
KEEP_WEIGHTS = """
import os, sys, torch
from molzoo.cli import main
from molzoo.train.task import Task
Task.on_train_end = lambda self: torch.save(self.state_dict(), os.path.join({folder!r}, "rank%d.pt" % self.global_rank))
sys.exit(main())
"""


def run(words):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(words, env=environment, start_new_session=True, **pipes) as process:
        try:
            out, err = process.communicate(timeout=150)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # the second process too
            raise
    assert process.returncode == 0, out + err
    return out, err


@pytest.mark.parametrize("start", ["molzoo", "torchrun"])
def test_two_processes_train_one_model(command, tmp_path, start):
    folder = tmp_path / "run"
    # Forces alone leave the last bias without a gradient, for which DDP would wait.
    loss = {"energy": 1.0, "forces": 100.0, "dipole": 1.0} if start == "molzoo" else {"forces": 1.0}
    words = [*command(folder, data={"train": 39, "test": 19}, loss=loss, trainer={"max_time": "00:00:05:00"}), *DDP]
    script = tmp_path / "molzoo_.py"
    script.write_text(KEEP_WEIGHTS.format(folder=str(tmp_path)))
    if start == "molzoo":
        out, err = run([sys.executable, str(script), *words])
    else:
        out, err = run([str(BIN / "torchrun"), "--standalone", "--nproc_per_node", "2", str(script), *words])
    assert out.count("Test errors") == 1
    assert "warn" not in err.lower()
    assert "unused" not in err.lower()
    weights = [torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    results = json.loads((folder / "results.json").read_text())
    assert results["test"]["forces"]["n"] == 19 * 27
    assert len(list((folder / "tensorboard").glob("events*"))) == 1
    with (folder / "metrics.csv").open() as file:
        assert [int(row["step"]) for row in csv.DictReader(file) if row["val/loss"]] == [1, 3]  # 4 batches, 2 on each
    load(folder / "model.pt")
