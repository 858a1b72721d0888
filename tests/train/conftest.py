"""Runs so small that they take a second or two."""

import csv
import json
import multiprocessing

import pytest
import torch

import molzoo.cli
from molzoo import fit
from molzoo.data import Data
from molzoo.train import Settings

TINY = {"channels": 8, "n_layers": 1, "n_radial": 8}


@pytest.fixture(scope="session")
def ethanol():
    """``ethanol(…)``: 40, 20 and 20 frames of the sample, in four batches."""

    def make(**options):
        return Data(**{"source": "sample/ethanol", "train": 40, "val": 20, "test": 20} | options)

    return make


@pytest.fixture(scope="session")
def train(ethanol):
    """``train(folder, lr=…, trainer={…})``: a run of a tiny model; words that ``fit`` does not take are task settings.

    Pictures, which take longer than the rest, are drawn on demand.
    """

    def run(folder, *, model="PaiNN", data=None, arguments=None, trainer=None, seed=0, resume=False, pictures=False, **task):
        settings = Settings(**{"lr": 5e-3, "warmup_steps": 0, "ema": 0.9} | task)
        options = {"max_epochs": 2, "accelerator": "cpu"} | (trainer or {})
        with pytest.MonkeyPatch.context() as patch:
            if not pictures:
                patch.setattr("molzoo.train.run.plot_parity", lambda *_: None)
                patch.setattr("molzoo.train.run.plot_learning_curve", lambda *_: None)
            return fit(
                model,
                data or ethanol(),
                settings,
                arguments=TINY if arguments is None else arguments,
                trainer=options,
                folder=folder,
                seed=seed,
                resume=resume,
            )

    return run


@pytest.fixture(scope="session")
def column():
    """``column(folder, "val/loss")``: what metrics.csv holds under that name."""

    def read(folder, name):
        with (folder / "metrics.csv").open() as file:
            return [float(row[name]) for row in csv.DictReader(file) if row.get(name)]

    return read


@pytest.fixture(autouse=True, scope="package")
def _one_thread():
    """Networks this small gain nothing from threads, and threads wait for each other on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def command(tmp_path):
    """``command(folder, trainer={…}, lr=…)``: the words of a command line for what ``train`` does with these arguments."""

    def words(folder, *more, model="PaiNN", data=None, trainer=None, **task):
        config = {
            "model": {"name": model, **TINY},
            "data": {"source": "sample/ethanol", "train": 40, "val": 20, "test": 20} | (data or {}),
            "task": {"lr": 5e-3, "warmup_steps": 0, "ema": 0.9} | task,
            "trainer": {"max_epochs": 2, "accelerator": "cpu"} | (trainer or {}),
            "folder": str(folder),
        }
        path = tmp_path / "run.yaml"
        path.write_text(json.dumps(config))
        return ["train", str(path), *more]

    return words


@pytest.fixture(scope="session")
def another_process():
    """``another_process(words)``: molzoo with these words in a process of its own, forked from one that has imported it all."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["molzoo.cli.train", "molzoo.train", "lightning.pytorch"])

    def run(words):
        process = context.Process(target=molzoo.cli.main, args=(words,))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("OMP_NUM_THREADS", "1")
            process.start()
        return process

    return run
