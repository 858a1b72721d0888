"""Two processes with gloo, started as users start them."""

import csv
import json
import os
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
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.mark.parametrize("start", ["molzoo", "torchrun"])
def test_two_processes_train_one_model(command, tmp_path, start):
    folder = tmp_path / "run"
    loss = {"energy": 1.0, "forces": 100.0, "dipole": 1.0}
    words = [*command(folder, data={"train": 39, "test": 19}, loss=loss, trainer={"max_time": "00:00:05:00"}), *DDP]
    script = tmp_path / "molzoo_.py"
    script.write_text(KEEP_WEIGHTS.format(folder=str(tmp_path)))
    if start == "molzoo":
        done = run([sys.executable, str(script), *words])
    else:
        done = run([str(BIN / "torchrun"), "--nproc_per_node", "2", "--master_port", "0", str(script), *words])
    assert done.stdout.count("Test errors") == 1
    assert not any(word in done.stderr.lower() for word in ("unused", "error", "warning: `", "find_unused")), done.stderr
    weights = [torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    results = json.loads((folder / "results.json").read_text())
    assert results["test"]["energy"]["n"] == 19
    assert len(list((folder / "tensorboard").glob("events*"))) == 1
    with (folder / "metrics.csv").open() as file:
        assert [int(row["step"]) for row in csv.DictReader(file) if row["val/loss"]] == [1, 3]  # 4 batches, 2 on each
    load(folder / "model.pt")
