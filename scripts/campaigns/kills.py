"""Kills a training at random moments, again and again; compares its end with that of one left alone: docs/results/faults.md.

python scripts/campaigns/kills.py [--kills 50] [--longest 3]
"""

import argparse
import json
import multiprocessing
import random
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch

import molzoo.cli
from molzoo.checkpoint import load, read_torch

RECORD = Path(__file__).resolve().parents[2] / "docs" / "results" / "faults.md"
CONFIG = {
    "model": {"name": "PaiNN", "channels": 8, "n_layers": 1, "n_radial": 8},
    "data": {"source": "sample/ethanol", "train": 40, "val": 20, "test": 20},
    "task": {"lr": 5e-3, "schedule": "constant", "warmup_steps": 0, "ema": 0.9},
    "trainer": {"max_epochs": 100_000, "accelerator": "cpu"},
}
TESTED = (
    (
        "one bit, byte or piece of a model file changed, lost or doubled",
        200,
        "a sentence, or the same numbers",
        "test_hostile.py",
    ),
    ("model files that would execute something when unpickled", 4, "a sentence; nothing is executed", "test_hostile.py"),
    (
        "structure files, arrays and lists of rows damaged",
        204,
        "a sentence that names the file, or whole structures",
        "test_hostile.py",
    ),
    ("configurations with a mistake", 100, "a sentence with key, value and what to type", "cli/test_broken_yaml.py"),
    (
        "a weight becomes NaN, in training and in validation",
        2,
        "the batch since the last epoch; its frames are named",
        "train/test_faults.py",
    ),
    ("the disk is full (RLIMIT_FSIZE)", 3, "the epochs since the last whole last.ckpt", "train/test_faults.py"),
    ("the folder cannot be written", 1, "nothing: said before training", "train/test_faults.py"),
    ("memory is full (RLIMIT_AS)", 1, "the epoch; a max_edges is named, with which it trains", "train/test_faults.py"),
    ("one of two processes is killed", 1, "the epoch; the other ends with a sentence", "train/test_faults.py"),
    ("a second run in the folder", 1, "nothing: refused", "train/test_faults.py"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--longest", type=float, default=3.0, help="seconds until a kill, at most")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["molzoo.cli.train", "molzoo.train", "lightning.pytorch"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "run.yaml").write_text(json.dumps(CONFIG))

        def start(run: str, *words: str) -> multiprocessing.Process:
            resume = ["--resume"] if (folder / run / "last.ckpt").is_file() else []
            arguments = ["train", str(folder / "run.yaml"), "--folder", str(folder / run), *resume, *words]
            process = context.Process(target=molzoo.cli.main, args=(arguments,))
            process.start()
            return process

        found, step, chance = Counter(), 0, random.Random(options.seed)
        for kill in range(options.kills):
            state = folder / "killed" / "last.ckpt"
            begin, before = time.monotonic(), modified(state)
            process = start("killed")
            while kill % 2 and modified(state) == before and time.monotonic() < begin + 120:
                time.sleep(0.01)  # every second one is killed while it trains, the others perhaps as they start
            time.sleep(chance.uniform(0, options.longest))
            found["ended by itself"] += process.exitcode is not None
            process.kill()
            process.join()
            step = look(folder / "killed", step, found)
            print(f"kill {kill + 1}: step {step}, {dict(found)}", flush=True)
        last = ["--trainer.max_epochs", str(step // 4 + 2)]
        for run in ("killed", "whole"):
            start(run, *last).join()
        equal = [same(folder, file) for file in ("model.pt", "last.ckpt")]
        write(options.kills, found, step, all(equal))


def modified(path: Path) -> int:
    """When it was written last; 0 if it is not there."""
    return path.stat().st_mtime_ns if path.is_file() else 0


def look(folder: Path, before: int, found: Counter) -> int:
    """Note what a kill has left; the step that a resumed run begins with."""
    step = 0
    for file in ("model.pt", "last.ckpt"):
        if (folder / file).is_file():
            try:
                step = read_torch(folder / file).get("global_step", 0)
            except Exception as error:
                found[f"{file}: {error}"] += 1
    found["half files beside, removed at the next start"] += any(
        path.name != ".running" for path in (folder.iterdir() if folder.is_dir() else ()) if path.name.startswith(".")
    )
    found["went back"] += step < before
    return step


def same(folder: Path, file: str) -> bool:
    """Whether both runs have the same weights to the last bit."""
    if file == "model.pt":
        a, b = (load(folder / run / file).state_dict() for run in ("killed", "whole"))
    else:
        a, b = (read_torch(folder / run / file)["state_dict"] for run in ("killed", "whole"))
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def write(kills: int, found: Counter, step: int, equal: bool) -> None:
    bad = {name: n for name, n in found.items() if n and "half files" not in name}
    lost = "nothing" if equal and not bad else f"**{'' if equal else 'the weights differ; '}{bad}**"
    rows = [f"| kill -9 at a random moment of start-up or training | {kills} | {lost} | `scripts/campaigns/kills.py` |"]
    rows += [f"| {what} | {n} | {lost} | `tests/{test}` |" for what, n, lost, test in TESTED]
    RECORD.write_text(
        "# Faults from outside\n\n"
        f"{kills} kills brought a run to step {step}; at the end its weights, their average and its best model were "
        f"{'equal to the last bit to' if equal else '**not** those of'}\nthose of a run that nobody had touched. "
        f"{found['half files beside, removed at the next start']} kills left a half-written file beside the whole ones; "
        "the next start removes it.\nThe other rows are tests, done again whenever the suite runs.\n\n"
        "| what was done | how often | what was lost | where |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"
    )


if __name__ == "__main__":
    main()
