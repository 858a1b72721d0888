"""The Lightning task: one step of training, one of validation, and what a resumed run must find again."""

import json
import math
from fnmatch import fnmatch
from itertools import islice
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.callbacks import Timer

from molzoo.graph import AtomGraph
from molzoo.loss import Loss, Metrics
from molzoo.predictor import Predictor
from molzoo.quantities import nearest
from molzoo.shapes import Tensor
from molzoo.train.callbacks import StepLimit
from molzoo.train.muon import Muon
from molzoo.train.schedule import Schedule
from molzoo.train.settings import Settings


class Task(LightningModule):
    """Trains a :class:`~molzoo.predictor.Predictor`; ``val/loss`` is what best, plateau and early stopping go by.

    Args:
        predictor: what to train.
        settings: how.
        config: of the run; a resumed one must have the same.

    Raises:
        ValueError: a pattern of ``freeze`` means no parameter, or all of them are frozen.
    """

    def __init__(self, predictor: Predictor, settings: Settings, config: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.predictor, self.settings, self.config = predictor, settings, config or {}
        self.loss = Loss(settings.loss)
        self.schedule = Schedule(
            settings.schedule,
            settings.lr,
            settings.warmup_steps,
            settings.lr_final,
            settings.lr_decay,
            settings.lr_patience,
        )
        self.val_metrics: dict[str, dict[str, Any]] = {}
        self.done = 0.0
        self.atoms_and_edges, self.most_edges = (0, 0), 0  # of the batch at work; of the largest that went through
        for pattern in settings.freeze:
            _freeze(predictor, pattern)
        if not any(p.requires_grad for p in predictor.parameters()):
            raise ValueError(f"task.freeze: {settings.freeze} leaves nothing to train; name fewer parameters")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW or Muon over whatever is not frozen; the learning rate is set before each step."""
        if self.settings.optimizer == "muon":
            return Muon(self, self.settings.lr, weight_decay=self.settings.weight_decay)
        free = [p for p in self.parameters() if p.requires_grad]
        return torch.optim.AdamW(free, lr=self.settings.lr, weight_decay=self.settings.weight_decay, fused=True)

    def progress(self) -> float:
        """How much of the training is done, 0 … 1: in steps or in time, whichever is further; all processes ask together."""
        trainer = self.trainer
        limits = [callback.steps for callback in trainer.callbacks if isinstance(callback, StepLimit)]
        steps = min(trainer.estimated_stepping_batches, *limits, math.inf)
        done = self.global_step / steps if steps > 0 else 1.0
        for timer in (c for c in trainer.callbacks if isinstance(c, Timer)):
            used, left = timer.time_elapsed(), timer.time_remaining()
            if left is not None:
                share = used / max(used + left, 1e-9)
                # All processes must use the same learning rate, and their clocks differ.
                done = max(done, trainer.strategy.broadcast(share) if trainer.world_size > 1 else share)
        return min(done, 1.0)

    def on_train_batch_start(self, batch: AtomGraph, batch_idx: int) -> None:
        """Set the learning rate of this step."""
        self.atoms_and_edges = len(batch.z), batch.num_edges
        self.done = self.progress()
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = self.schedule.at(self.global_step, self.done)

    def on_train_batch_end(self, *args: Any) -> None:
        """Note that a batch of this size fits into memory."""
        self.most_edges = max(self.most_edges, self.atoms_and_edges[1])

    def too_large(self) -> str:
        """What to say when memory is full."""
        atoms, edges = self.atoms_and_edges
        fits = self.most_edges if 0 < self.most_edges < 0.8 * edges else edges // 2
        return f"a batch of {atoms} atoms and {edges} edges does not fit into memory; set data.max_edges: {max(fits, 1)}"

    def training_step(self, graph: AtomGraph, batch_idx: int) -> Tensor:
        """The loss of a batch."""
        loss, parts = self.loss(self.predictor(graph), graph, self.done)
        self._refuse_nan(float(loss.detach()), f"batch {batch_idx + 1}", "train", batch_idx)
        if (self.global_step + 1) % self.trainer.log_every_n_steps == 0:  # when Lightning writes, too
            logs = {"train/loss": loss, "lr": self.trainer.optimizers[0].param_groups[0]["lr"]}
            self.log_dict(logs | {f"train/{name}": part for name, part in parts.items()}, batch_size=graph.n_graphs)
        if self.trainer.world_size > 1:
            # DDP waits for a gradient of each parameter, and a loss of forces alone gives none for the last bias.
            loss = loss + 0.0 * sum(p.sum() for p in self.parameters() if p.requires_grad)
        return loss

    def backward(self, loss: Tensor, *args: Any, **options: Any) -> None:
        """Gradients of parameters alone: those of the positions, which a loss of forces has too, cost a twentieth of a step."""
        loss.backward(*args, **{"inputs": [p for p in self.parameters() if p.requires_grad]} | options)

    def _refuse_nan(self, loss: float, where: str, part: str, batch_idx: int) -> None:
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"the loss became {loss} in epoch {self.current_epoch + 1}, {where} (frames {self._frames(part, batch_idx)}); "
                f"lower task.lr (now {self.settings.lr:g}) or look at the labels; the best model so far is kept"
            )

    def _frames(self, part: str, batch_idx: int) -> str:
        """The frames of a batch, by their numbers in the source."""
        loader = self.trainer.train_dataloader if part == "train" else self.trainer.val_dataloaders
        numbers = loader.dataset.rows[next(islice(loader.batch_sampler, batch_idx, None))].sort().values.tolist()
        return ", ".join(map(str, numbers[:10])) + (f" and {len(numbers) - 10} more" if len(numbers) > 10 else "")

    def on_validation_epoch_start(self) -> None:
        """Begin new sums."""
        self._metrics = Metrics(list(self.loss.terms))
        self._sums = torch.zeros(2, dtype=torch.float64)

    def validation_step(self, graph: AtomGraph, batch_idx: int) -> None:
        """Add a batch to the sums."""
        self.atoms_and_edges = len(graph.z), graph.num_edges
        predictions = self.predictor(graph)
        loss, _ = self.loss(predictions, graph, progress=1.0)
        self._refuse_nan(float(loss), f"validation batch {batch_idx + 1}", "val", batch_idx)
        self._metrics.update(predictions, graph)
        self._sums += torch.tensor([loss.item() * graph.n_graphs, graph.n_graphs], dtype=torch.float64)

    def on_validation_epoch_end(self) -> None:
        """Log the metrics with their units, and let the schedule know."""
        self.val_metrics = self._metrics.reduce().compute()
        if self.trainer.world_size > 1:
            torch.distributed.all_reduce(self._sums)
        loss = float(self._sums[0] / self._sums[1].clamp(min=1))
        named = {f"val/{name}_mae [{row['unit']}]": row["mae"] for name, row in self.val_metrics.items()}
        self.log_dict({"val/loss": loss, **named}, prog_bar=False)
        if not self.trainer.sanity_checking:
            self.schedule.validated(loss)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the schedule, the random number generator, and what a resumed run must agree with."""
        checkpoint["molzoo"] = {
            "schedule": self.schedule.state_dict(),
            "rng": torch.get_rng_state(),
            "config": json.dumps(self.config, default=str),
            "facts": json.dumps(self.predictor.facts.to_dict()),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on from there."""
        self.schedule.load_state_dict(checkpoint["molzoo"]["schedule"])
        torch.set_rng_state(checkpoint["molzoo"]["rng"].cpu())


def _freeze(predictor: Predictor, pattern: str) -> None:
    named = dict(predictor.named_parameters())
    found = [parameter for name, parameter in named.items() if fnmatch(name, pattern)]
    if not found:
        parts = sorted({".".join(name.split(".")[:2]) + "*" for name in named})
        raise ValueError(f"task.freeze: {pattern!r} matches no parameter{nearest(pattern, parts)}")
    for parameter in found:
        parameter.requires_grad_(False)
