"""``fit``: from a model's name and a data set to a trained Predictor and a folder that tells how it came about."""

import inspect
import logging
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from molzoo.checkpoint import load
from molzoo.data import Data
from molzoo.data.facts import DataFacts
from molzoo.loss import metrics_table
from molzoo.models import row
from molzoo.predictor import Predictor
from molzoo.train.callbacks import LAST, MODEL, Keeper, StopWatch, Teller
from molzoo.train.ema import EMA
from molzoo.train.evaluate import evaluate
from molzoo.train.report import plot_learning_curve, plot_parity, write_results
from molzoo.train.settings import Settings
from molzoo.train.task import Task


def fit(
    model: str,
    data: Data,
    task: Settings | None = None,
    *,
    arguments: Mapping[str, Any] | None = None,
    trainer: Mapping[str, Any] | None = None,
    folder: str | Path = "runs/latest",
    seed: int = 0,
    resume: bool = False,
    config: Mapping[str, Any] | None = None,
) -> Predictor:
    """Train a model and give back its best state on the validation data.

    The folder receives ``model.pt`` (best so far), ``last.ckpt`` (to resume), ``metrics.csv`` and TensorBoard logs,
    ``card.txt`` (the data), ``results.json`` (test errors), ``parity.png`` and ``learning_curve.png``.

    Args:
        model: name of a row of the zoo.
        data: what to train on.
        task: loss, learning rate and the like.
        arguments: for the model's constructor; ``elements`` and ``avg_n_neighbours``, where a model takes them and they are
            not given, come from the data.
        trainer: options of Lightning's ``Trainer``, e.g. ``{"max_epochs": 100, "max_time": "00:00:15:00"}``.
        folder: where results go.
        seed: of weights and of the order of the data.
        resume: go on from the folder's ``last.ckpt``.
        config: stored beside the model, for the record.
    """
    task, folder = task or Settings(), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    seed_everything(seed, workers=True, verbose=False)
    facts = data.prepare(list(task.loss), _cutoff(model, arguments), task.references)
    predictor = Predictor(model, list(task.loss), _filled(model, arguments, facts), facts)
    if task.init_from:
        print(_start_from(predictor, task.init_from))
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # advertisements and a list of absent devices
    lightning = make_trainer(folder, task, dict(trainer or {}), dict(config or {}))
    if lightning.is_global_zero:
        (folder / "card.txt").write_text(data.card + "\n")
        print(data.card)
    started = time.monotonic()
    _train(lightning, Task(predictor, task), data, folder / LAST if resume else None)
    if lightning.is_global_zero:
        predictor = load(folder / MODEL)
        report(predictor, data, folder, {"train_seconds": time.monotonic() - started, "seed": seed})
    lightning.strategy.barrier()
    return predictor


def make_trainer(folder: Path, task: Settings, options: dict[str, Any], config: dict[str, Any]) -> Trainer:
    """Lightning's trainer with molzoo's callbacks and loggers."""
    keeper = Keeper(folder, config, task.stop_patience)
    # The keeper comes first, so that it saves while the averaged weights are still in the network.
    callbacks = [keeper, StopWatch(), Teller(), *([EMA(task.ema)] if task.ema else []), *options.pop("callbacks", [])]
    loggers = [CSVLogger(folder, name="", version=""), TensorBoardLogger(folder, name="", version="tensorboard")]
    defaults = {"max_epochs": 100, "num_sanity_val_steps": 0, "log_every_n_steps": 50, "gradient_clip_val": 10.0}
    fixed = {
        "default_root_dir": folder,
        "logger": loggers,
        "callbacks": callbacks,
        "enable_checkpointing": False,  # the keeper does it, atomically
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "use_distributed_sampler": False,  # the batch sampler shares out the frames itself
        "inference_mode": False,  # forces need autograd in validation too
        "barebones": False,
    }
    given = {name: value for name, value in options.items() if value is not None and name not in fixed}
    return Trainer(**defaults | given | fixed)


def _train(lightning: Trainer, task: Task, data: Data, checkpoint: Path | None) -> None:
    if checkpoint is not None and not checkpoint.is_file():
        raise FileNotFoundError(f"there is nothing to resume: {str(checkpoint)!r} does not exist; leave out --resume")
    with warnings.catch_warnings():
        # Batches lie in memory already: worker processes would only slow them down.
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        warnings.filterwarnings("ignore", ".*Experiment logs directory .* exists and is not empty.*")
        lightning.fit(
            task,
            train_dataloaders=data.loader("train"),
            val_dataloaders=data.loader("val"),
            ckpt_path=checkpoint,
            weights_only=True,
        )


def report(predictor: Predictor, data: Data, folder: Path, record: dict[str, Any]) -> None:
    """Evaluate on the test data; write numbers and pictures; print a table and where everything lies."""
    evaluation = evaluate(predictor, data.loader("test"))
    files = {
        "model": folder / MODEL,
        "parity plot": plot_parity(evaluation, folder / "parity.png"),
        "learning curve": plot_learning_curve(folder / "metrics.csv", folder / "learning_curve.png"),
    }
    record |= {
        "model": predictor.model_name,
        "parameters": sum(p.numel() for p in predictor.model.parameters()),
        "threads": torch.get_num_threads(),
        "test": evaluation.metrics,
    }
    files["results"] = write_results(folder, record)
    print("\nTest errors\n" + metrics_table(evaluation.metrics) + "\n")
    for name, path in files.items():
        if path is not None:
            print(f"{name + ':':<16}{path}")


def _cutoff(model: str, arguments: Mapping[str, Any] | None) -> float:
    given = (arguments or {}).get("cutoff")
    return float(given if given is not None else inspect.signature(row(model).load()).parameters["cutoff"].default)


def _filled(model: str, arguments: Mapping[str, Any] | None, facts: DataFacts) -> dict[str, Any]:
    """The arguments, with what a model wants to know of the data filled in where it was not given."""
    filled = dict(arguments or {})
    for name in inspect.signature(row(model).load()).parameters:
        if name in ("elements", "avg_n_neighbours") and filled.get(name) is None:
            filled[name] = getattr(facts, name)
    filled.pop("irreps_out", None)
    return filled


def _start_from(predictor: Predictor, path: str) -> str:
    """Copy the weights whose names and shapes agree; say which did not."""
    mine, theirs = predictor.state_dict(), load(path).state_dict()
    shared = {name: theirs[name] for name in mine if name in theirs and mine[name].shape == theirs[name].shape}
    if not shared:
        raise ValueError(f"nothing in {path!r} fits this {predictor.model_name}; give the model the same arguments")
    predictor.load_state_dict(shared, strict=False)
    fresh = sorted(set(mine) - set(shared))
    return f"started from {path}: {len(shared)} of {len(mine)} tensors; fresh: {', '.join(fresh) or 'none'}"
