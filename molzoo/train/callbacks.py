"""What happens beside the steps: keeping the best model, stopping early, measuring time, telling how it goes."""

import math
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Timer

from molzoo.checkpoint import save

MODEL, LAST = "model.pt", "last.ckpt"


class Keeper(Callback):
    """Writes the best model so far and, after each epoch, the state from which to resume; both whole or not at all.

    Args:
        folder: of the run.
        config: resolved configuration, stored inside the model.
        patience: validations without improvement before training stops; 0 for never.
    """

    def __init__(self, folder: Path, config: dict[str, Any], patience: int) -> None:
        self.folder, self.config, self.patience = folder, config, patience
        self.best, self.waited = math.inf, 0

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the model if it is the best; it still holds the averaged weights here."""
        if trainer.sanity_checking:
            return
        loss = float(trainer.callback_metrics["val/loss"])
        if loss < self.best:
            self.best, self.waited = loss, 0
            if trainer.is_global_zero:
                save(pl_module.predictor, self.folder / MODEL, self.config)
        else:
            self.waited += 1
            if self.patience and self.waited >= self.patience:
                trainer.should_stop = True
                if trainer.is_global_zero:
                    print(f"no better for {self.waited} validations: training ends")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the training state beside the last one, then put it in its place."""
        temporary = self.folder / f".{LAST}"
        trainer.save_checkpoint(temporary)
        if trainer.is_global_zero:
            os.replace(temporary, self.folder / LAST)

    def state_dict(self) -> dict[str, Any]:
        """The best loss and how long ago it was."""
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self.best, self.waited = state_dict["best"], state_dict["waited"]


class StepLimit(Callback):
    """Ends training after so many steps of the optimiser, with a validation, as a time limit does.

    Lightning's own ``max_steps`` validates no more if it ends within an epoch, and counts an epoch twice when it goes on from a
    checkpoint.

    Args:
        steps: how many.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A resumed run may be at the end already."""
        trainer.should_stop |= trainer.global_step >= self.steps

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        """Stop at the limit."""
        trainer.should_stop |= trainer.global_step >= self.steps


class StopWatch(Callback):
    """Logs, for each epoch, how long steps took and how long they waited for data; counts the seconds of the whole training."""

    def __init__(self) -> None:
        self.before, self._began = 0.0, math.nan
        self.data = self.step = 0.0

    @property
    def seconds(self) -> float:
        """Of training and validation, those before a resumption included."""
        return self.before if math.isnan(self._began) else self.before + time.monotonic() - self._began

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start to count."""
        self._began = time.monotonic()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop."""
        self.before, self._began = self.seconds, math.nan

    def state_dict(self) -> dict[str, Any]:
        """The seconds so far."""
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self.before = state_dict["seconds"]

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start anew."""
        self.data = self.step = 0.0
        self._mark = time.perf_counter()

    def on_train_batch_start(self, *args: Any) -> None:
        """The data are here."""
        now = time.perf_counter()
        self.data, self._mark = self.data + now - self._mark, now

    def on_train_batch_end(self, *args: Any) -> None:
        """The step is done."""
        now = time.perf_counter()
        self.step, self._mark = self.step + now - self._mark, now

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log both, in seconds."""
        pl_module.log_dict({"time/data [s]": self.data, "time/step [s]": self.step})


class Teller(Callback):
    """One line after an epoch, at most every few seconds where nobody watches; with the time that is left.

    On a terminal the line is rewritten in place, during the epoch too.
    """

    def __init__(self) -> None:
        self.terminal = sys.stdout.isatty()
        self.interval = 0.5 if self.terminal else 20.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock; a resumed run has done a part already."""
        self._start, self._told, self._done = time.monotonic(), -math.inf, pl_module.progress()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Say how far the epoch is, to whoever watches."""
        if self.terminal:
            self._tell(trainer, pl_module, f"epoch {trainer.current_epoch + 1}, {batch_idx + 1}/{trainer.num_training_batches}")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say how it goes."""
        self._tell(trainer, pl_module, f"epoch {trainer.current_epoch + 1}")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The last line stays."""
        self._told = -math.inf
        self._tell(trainer, pl_module, f"epoch {trainer.current_epoch}, the last", last=True)

    def _tell(self, trainer: Trainer, pl_module: LightningModule, where: str, last: bool = False) -> None:
        now = time.monotonic()
        if not trainer.is_global_zero or now - self._told < self.interval:
            return
        self._told = now
        used, done = now - self._start, pl_module.done - self._done
        left = f", {_clock(used * (1 - pl_module.done) / done)} left" if done > 0 and not last else ""
        errors = ", ".join(f"{name} {_short(row['mae'])} {row['unit']}" for name, row in pl_module.val_metrics.items())
        line = f"{where}, {_clock(used)}{left}: validation MAE {errors or 'not yet known'}"
        if self.terminal:  # cut, for a line that wraps cannot be rewritten
            line = f"\r\033[K{line[: shutil.get_terminal_size().columns - 1]}"
        print(line, end="" if self.terminal and not last else "\n", flush=True)


def _short(error: float) -> str:
    return f"{error:.0f}" if error >= 100 else f"{error:.3g}"


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}" if minutes >= 60 else f"{minutes}:{seconds:02d}"


class Curve(Callback):
    """Test error against wall clock, for results only: at given minutes the current average is kept for a later evaluation.

    Args:
        folder: of the run; files are called ``model_<minutes>min.pt``.
        minutes: when.
    """

    def __init__(self, folder: Path, minutes: list[float]) -> None:
        self.folder, self.due = folder, sorted(minutes)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the model at each mark passed."""
        timer = next((c for c in trainer.callbacks if isinstance(c, Timer)), None)
        while timer and self.due and timer.time_elapsed() >= 60 * self.due[0]:
            save(pl_module.predictor, self.folder / f"model_{self.due.pop(0):g}min.pt")
