"""``fit``: from a model's name and a data set to a trained Predictor and a folder that tells how it came about."""

import inspect
import json
import math
import re
import shutil
import signal
import warnings
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader

from molzoo.checkpoint import load
from molzoo.data import Data
from molzoo.data.facts import DataFacts
from molzoo.kernels import chosen
from molzoo.loss import metrics_table
from molzoo.models import row
from molzoo.predictor import Predictor
from molzoo.train.callbacks import LAST, MODEL, Keeper, StopWatch
from molzoo.train.evaluate import Evaluation, evaluate
from molzoo.train.folder import alone_in, written_into
from molzoo.train.report import plot_learning_curve, plot_parity, write_results
from molzoo.train.settings import Settings
from molzoo.train.start import copy_weights, describe, keep_rows, read_state, with_scales_of
from molzoo.train.task import Task
from molzoo.train.trainer import make_trainer

State = dict[str, Any] | None


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
        config: stored beside the model, for the record; by default what the other arguments amount to.

    Raises:
        ValueError, FileNotFoundError: something was wrong with the arguments or the data; nothing has been written then.
        FloatingPointError: the loss became infinite or NaN; the best model so far is kept.
    """
    task, folder, options = task or Settings(), Path(folder), dict(trainer or {})
    torch.manual_seed(seed)
    config = dict(config or describe(model, arguments or {}, data, task, options, folder, seed))
    state = read_state(folder / LAST, config) if resume else None
    lightning = make_trainer(folder, task, options, config, state["global_step"] if state else 0)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"folder: {str(folder)!r} is a file; name another folder for the results")
    predictor, told = _predictor(model, data, task, arguments or {}, state)
    module = Task(predictor, task, config)
    loaders = data.loader("train"), data.loader("val")
    # Whatever was wrong with the arguments has been said by now; from here on files are written.
    with written_into(folder), alone_in(folder) if lightning.is_global_zero else nullcontext():
        if lightning.is_global_zero:
            _prepare_folder(folder, data.card, anew=state is None)
            convolutions = f"convolutions: {_convolutions(predictor, lightning.strategy.root_device)}"
            print("\n".join(filter(None, [data.card, told, convolutions])))
        _train(lightning, module, loaders, folder, state)
        predictor = load(folder / MODEL, device=lightning.strategy.root_device)
        if lightning.is_global_zero:
            seconds = next(c for c in lightning.callbacks if isinstance(c, StopWatch)).seconds
            report(predictor, data, folder, {"train_seconds": seconds, "seed": seed})
    return predictor.cpu()


def _convolutions(predictor: Predictor, device: torch.device | None = None) -> str:
    """Which back end runs them."""
    like = next(predictor.parameters())
    return chosen(device or like.device, like.dtype)


def _prepare_folder(folder: Path, card: str, anew: bool) -> None:
    """The data card; of a run that was there before, nothing that could be taken for the new one's."""
    if anew and (folder / LAST).is_file():
        print(f"{folder} holds a run already: it is replaced (to go on with one, add --resume)\n")
        for name in (LAST, "results.json", "parity.png", "learning_curve.png"):
            (folder / name).unlink(missing_ok=True)
        shutil.rmtree(folder / "tensorboard", ignore_errors=True)
    (folder / "card.txt").write_text(card + "\n")


_HARMLESS = (
    ".*does not have many workers",  # batches lie in memory already: worker processes would only slow them down
    ".*Experiment logs directory .* exists and is not empty",
    ".*LeafSpec.* is deprecated",  # Lightning's use of torch
    r".*It is recommended to use `self\.log\(.*sync_dist=True",  # what is logged has been summed over the processes
    "Grad strides do not match bucket view strides",  # of matrices with one row
)
"""Beginnings of warnings that tell a user of molzoo nothing."""


def _train(lightning: Trainer, task: Task, loaders: tuple[DataLoader, DataLoader], folder: Path, state: State) -> None:
    train, val = loaders
    lightning.log_every_n_steps = min(lightning.log_every_n_steps, -(-len(train) // lightning.world_size))
    on_interrupt = signal.getsignal(signal.SIGINT)
    with warnings.catch_warnings():
        for harmless in _HARMLESS:
            warnings.filterwarnings("ignore", harmless)
        if state is not None:
            # Lightning makes the first iterator before it tells the sampler which epoch it is.
            train.batch_sampler.set_epoch(state["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"])
            if lightning.is_global_zero:
                keep_rows(lightning.loggers[0], before=state["global_step"])
        try:
            lightning.fit(task, train, val, ckpt_path=state and folder / LAST, weights_only=True)
        except (RuntimeError, MemoryError) as error:
            if _of_memory(error):
                raise MemoryError(task.too_large()) from error
            if lightning.world_size > 1 and re.search("gloo|NCCL|Connection|peer", str(error)):
                raise ConnectionError(
                    f"another process of this run has ended; look for what it said, then add --resume: {folder / LAST} is whole"
                ) from error
            raise
        except SystemExit as error:  # how Lightning ends after Ctrl-C, which it leaves switched off
            if not isinstance(error.__context__, KeyboardInterrupt):
                raise
            signal.signal(signal.SIGINT, on_interrupt)
            raise KeyboardInterrupt from None
    lightning.strategy.barrier()  # whoever comes first waits until the last model is written
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()  # what follows is for one process, and takes all test frames
    if next(c for c in lightning.callbacks if isinstance(c, Keeper)).best == math.inf:
        raise ValueError("no validation took place, so that no model was kept; lower trainer.check_val_every_n_epoch")


def _of_memory(error: Exception) -> bool:
    """Whether memory was full; on a CPU torch says so in words only."""
    known = torch.OutOfMemoryError, MemoryError
    return isinstance(error, known) or "can't allocate memory" in str(error) or "bad_alloc" in str(error)


def report(predictor: Predictor, data: Data, folder: Path, record: dict[str, Any]) -> None:
    """Evaluate on the test data; write numbers and pictures; print a table and where everything lies."""
    evaluation = evaluate(predictor, data.loader("test", share=False)) if len(data.splits.test) else Evaluation({})
    files = {
        "model": folder / MODEL,
        "parity plot": plot_parity(evaluation, folder / "parity.png") if evaluation.metrics else None,
        "learning curve": plot_learning_curve(folder / "metrics.csv", folder / "learning_curve.png"),
    }
    record |= {
        "model": predictor.model_name,
        "parameters": sum(p.numel() for p in predictor.model.parameters()),
        "threads": torch.get_num_threads(),
        "convolutions": _convolutions(predictor),
        "test": evaluation.metrics,
    }
    files["results"] = write_results(folder, record)
    table = metrics_table(evaluation.metrics) if evaluation.metrics else "none: there are no test frames"
    print(f"\nTest errors\n{table}\n")
    for name, path in files.items():
        if path is not None:
            print(f"{name + ':':<16}{path}")


def _predictor(model: str, data: Data, task: Settings, arguments: Mapping[str, Any], state: State) -> tuple[Predictor, str]:
    """The untrained Predictor, perhaps with weights of another run, and what there is to tell of these."""
    facts = replace(data.prepare(list(task.loss), _cutoff(model, arguments), task.references), repulsion=task.repulsion)
    if not len(data.splits.val):
        raise ValueError("no frame is left to validate on; give data.val a count such as 50 or a fraction such as 0.1")
    if state is not None:
        facts = DataFacts.from_dict(json.loads(state["molzoo"]["facts"]))
    elif task.init_from:
        facts = with_scales_of(task.init_from, model, facts)
    predictor = _build(model, list(task.loss), _filled(model, arguments, facts), facts)
    _check_frames(predictor, data)
    return predictor, copy_weights(predictor, task.init_from) if task.init_from and state is None else ""


def _build(model: str, names: list[str], arguments: dict[str, Any], facts: DataFacts) -> Predictor:
    for name, value in arguments.items():
        if isinstance(value, int) and (name == "channels" or name.startswith("n_")) and value < 1:
            raise ValueError(f"model.{name}: {value} must be at least 1")
    try:
        return Predictor(model, names, arguments, facts)
    except (RuntimeError, ArithmeticError, TypeError) as error:
        named = ", ".join(f"{name}: {value}" for name, value in arguments.items())
        raise ValueError(f"model: {row(model).name} cannot be built with {{{named}}}: {error}") from error


def _check_frames(predictor: Predictor, data: Data) -> None:
    """Refuse before training what the predictor would refuse in it, such as elements that only validation frames have."""
    predictor.eval()
    for part in ("train", "val", "test"):
        frames = data.frames(part)
        periodic = frames.pbc.any(dim=1)
        rows = {int((periodic == value).nonzero()[0]) for value in periodic.unique()}
        rows |= {int((frames.charge == charge).nonzero()[0]) for charge in frames.charge.unique()}
        rows |= {int(frames.frame_of_atom[(frames.z == z).nonzero()[0]]) for z in frames.z.unique()}
        try:
            predictor.check(frames.batch(sorted(rows)), predictor.names)
        except ValueError as error:
            raise ValueError(f"{part} frames: {error}; leave such structures out, or take another data.seed") from error
    predictor.train()


def _cutoff(model: str, arguments: Mapping[str, Any]) -> float:
    given = arguments.get("cutoff")
    return float(given if given is not None else inspect.signature(row(model).load()).parameters["cutoff"].default)


def _filled(model: str, arguments: Mapping[str, Any], facts: DataFacts) -> dict[str, Any]:
    """The arguments, with what a model wants to know of the data filled in where it was not given."""
    filled = dict(arguments)
    for name in inspect.signature(row(model).load()).parameters:
        if name in ("elements", "avg_n_neighbours") and filled.get(name) is None:
            filled[name] = getattr(facts, name)
    filled.pop("irreps_out", None)
    return filled
