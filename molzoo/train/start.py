"""What a run starts from: the weights of another run, or its own last state."""

import csv
import inspect
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger

from molzoo import checkpoint
from molzoo.data import Data
from molzoo.data.facts import DataFacts
from molzoo.models import row
from molzoo.predictor import Predictor
from molzoo.train.settings import Settings

# Of the trainer's options those that change what a step does; the others say how long, where and how often.
_STEP = ("precision", "gradient_clip_val", "gradient_clip_algorithm", "accumulate_grad_batches")


def describe(
    model: str, arguments: Mapping[str, Any], data: Data, task: Settings, trainer: Mapping[str, Any], folder: Path, seed: int
) -> dict[str, Any]:
    """The configuration that the arguments of :func:`molzoo.fit` amount to, as JSON takes it, with every default."""
    record = {
        "model": {"name": row(model).name} | _defaults(row(model).load()) | dict(arguments),
        "data": {name: getattr(data, name) for name in inspect.signature(Data).parameters},
        "task": asdict(task),
        "trainer": _defaults(Trainer) | {name: value for name, value in trainer.items() if name != "callbacks"},
        "folder": folder,
        "seed": seed,
    }
    record["model"].pop("irreps_out", None)
    return json.loads(json.dumps(record, default=str))


def _defaults(of: type) -> dict[str, Any]:
    return {p.name: p.default for p in inspect.signature(of).parameters.values() if p.default is not p.empty}


def read_state(path: Path, config: dict[str, Any]) -> dict[str, Any]:
    """The training state at ``path``, if it is of a run with this configuration; only its limits may be others.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged, or of another configuration; the differences are named.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is nothing to resume: {str(path)!r} does not exist; leave out --resume")
    try:
        state = checkpoint.read_torch(path)
        old = json.loads(state["molzoo"]["config"])
    except Exception as error:
        raise ValueError(
            f"{str(path)!r} is no training state of molzoo or is damaged ({type(error).__name__}); start anew, perhaps with "
            f"--task.init_from {path.parent / 'model.pt'}"
        ) from error
    was, now = _compared(old), _compared(json.loads(json.dumps(config, default=str)))
    changed = [key for key in {**was, **now} if was.get(key) != now.get(key)]
    if changed:
        named = ", ".join(f"{key} was {was.get(key)!r} and is now {now.get(key)!r}" for key in changed)
        raise ValueError(
            f"{str(path)!r} belongs to a run with other settings: {named}; resume with the same ones, or start anew with "
            f"--task.init_from {path.parent / 'model.pt'} and another --folder"
        )
    return state


def _compared(config: dict[str, Any]) -> dict[str, Any]:
    """What must agree, by dotted key."""
    sections = {name: config.get(name) or {} for name in ("model", "data", "task")}
    sections["trainer"] = {name: (config.get("trainer") or {}).get(name) for name in _STEP}
    flat = {f"{section}.{key}": value for section, keys in sections.items() for key, value in keys.items()}
    flat.pop("data.root", None)  # the same data may lie elsewhere
    return flat | {"seed": config.get("seed")}


def keep_rows(logger: CSVLogger, before: int) -> None:
    """Let ``logger`` go on with the metrics.csv that is there, up to optimiser step ``before``; it would delete it."""
    path = Path(logger.log_dir) / "metrics.csv"
    rows: list[dict[str, Any]] = []
    if path.is_file():
        whole, _, _ = path.read_text().rpartition("\n")  # a run that was killed may have left half a line
        rows = [{key: value for key, value in row.items() if value} for row in csv.DictReader(whole.splitlines())]
    # A run that was killed in the middle of an epoch has logged steps which it will now take again.
    logger.experiment.metrics = [row for row in rows if row.get("step", "").isdigit() and int(row["step"]) < before]
    logger.save()


def with_scales_of(path: str, model: str, facts: DataFacts) -> DataFacts:
    """``facts`` with the scales and the repulsion that the model at ``path`` was trained with: units and origin of its outputs.

    Raises:
        ValueError: it is another model.
    """
    card, _ = checkpoint.read(path)
    if card["model"] != row(model).name:
        raise ValueError(f"{path!r} is a {card['model']}; it cannot start a {row(model).name}: type 'model: {card['model']}'")
    theirs = DataFacts.from_dict(card["facts"])
    scales = {name: theirs.scales.get(name, scale) for name, scale in facts.scales.items()}
    repulsion = facts.repulsion or theirs.repulsion
    return replace(facts, scales=scales, element_scales=theirs.element_scales, repulsion=repulsion)


def copy_weights(predictor: Predictor, path: str) -> str:
    """Copy the weights whose names and shapes agree with those at ``path``; say which did not, and what else differs.

    Raises:
        ValueError: none agree, but perhaps some of the readout.
    """
    mine, other = predictor.state_dict(), checkpoint.load(path)
    theirs = other.state_dict()
    shared = {name: theirs[name] for name in mine if name in theirs and mine[name].shape == theirs[name].shape}
    if all(name.startswith("model.readout.") for name in shared):
        raise ValueError(f"nothing in {path!r} fits this {predictor.model_name}; its arguments are {other.arguments}")
    predictor.load_state_dict(shared, strict=False)
    fresh = sorted(set(mine) - set(shared))
    told = f"started from {path}: {len(shared)} of {len(mine)} tensors; fresh: {', '.join(fresh) or 'none'}"
    here, there = ({**_defaults(type(predictor.model)), **p.arguments} for p in (predictor, other))
    changed = [name for name in here if here[name] != there[name]]
    return told + "".join(f"\nnote: model.{name} is {here[name]!r}, there it was {there[name]!r}" for name in changed)
