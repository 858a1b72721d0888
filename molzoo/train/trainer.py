"""Lightning's trainer as molzoo sets it up: which options are the user's, which callbacks and loggers come with it."""

import inspect
import logging
import re
from pathlib import Path
from typing import Any

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from molzoo.quantities import nearest
from molzoo.train.callbacks import Keeper, StepLimit, StopWatch, Teller
from molzoo.train.ema import EMA
from molzoo.train.settings import Settings

FIXED: dict[str, Any] = {
    "enable_checkpointing": False,  # the keeper does it, atomically
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "use_distributed_sampler": False,  # the batch sampler shares out the frames itself
    "inference_mode": False,  # forces need autograd in validation too
    "barebones": False,
    "fast_dev_run": False,  # keeps no model; max_steps does
    "reload_dataloaders_every_n_epochs": 0,
}
"""Options of Lightning's trainer that are molzoo's to set, beside the folder, loggers and callbacks."""


def make_trainer(folder: Path, task: Settings, options: dict[str, Any], config: dict[str, Any], done: int = 0) -> Trainer:
    """Lightning's trainer with molzoo's callbacks and loggers.

    Args:
        folder: of the run.
        task: for early stopping and the average of the weights.
        options: of the trainer, as the user gave them.
        config: of the run, stored in its models.
        done: steps that a resumed run has behind it.

    Raises:
        ValueError: an option is unknown, not the user's to set, or not one that Lightning accepts here.
    """
    keeper = Keeper(folder, config, task.stop_patience)
    steps = options.get("max_steps") or -1
    # The average comes last: whoever saves does so while it is still in the network.
    callbacks = [keeper, *(options.get("callbacks") or []), StopWatch(), Teller()]
    callbacks += [StepLimit(steps)] * (steps != -1) + [EMA(task.ema)] * (task.ema != 0)
    loggers = [
        CSVLogger(folder, name="", version="", flush_logs_every_n_steps=1),
        TensorBoardLogger(folder, name="", version="tensorboard", purge_step=done or None),
    ]
    given = {name: value for name, value in options.items() if value is not None and name != "callbacks"}
    _check_options(given)
    given.pop("max_steps", None)
    limited = steps != -1 or "max_time" in given
    defaults = {"max_epochs": -1 if limited else 100, "num_sanity_val_steps": 0, "log_every_n_steps": 50}
    defaults["gradient_clip_val"] = 10.0
    for part in ("pytorch", "fabric"):  # advertisements and lists of absent devices
        logging.getLogger(f"lightning.{part}").setLevel(logging.WARNING)
    try:
        return Trainer(**defaults | given | FIXED | {"default_root_dir": folder, "logger": loggers, "callbacks": callbacks})
    except (MisconfigurationException, ValueError, TypeError) as error:
        usual = inspect.signature(Trainer).parameters
        asked = ", ".join(f"{name}: {value}" for name, value in given.items() if value != usual[name].default)
        raise ValueError(f"trainer {{{asked}}}: {' '.join(str(error).split())}") from error


def _check_options(given: dict[str, Any]) -> None:
    known = set(inspect.signature(Trainer).parameters) - set(FIXED) - {"default_root_dir", "logger"}
    for name in given:
        if name in FIXED or name in ("default_root_dir", "logger"):
            raise ValueError(f"trainer.{name} is set by molzoo; leave it out")
        if name not in known:
            raise ValueError(f"trainer.{name}: {name!r} is not a key of 'trainer'{nearest(name, sorted(known))}")
    time = given.get("max_time")
    if isinstance(time, str) and not re.fullmatch(r"\d+:\d\d:\d\d:\d\d", time.strip()):
        raise ValueError(f"trainer.max_time: {time!r} is not a time; type days:hours:minutes:seconds, e.g. 00:00:15:00")
