"""Exponential moving average of the weights: what is validated, saved and used, while the raw weights are trained."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer


class EMA(Callback):
    """w̄ ← β w̄ + (1 − β) w after each step, with β = min(decay, (1 + t)/(10 + t)) so that the start is forgotten soon.

    During validation the network holds w̄; ``state_dict`` holds w̄ apart from the raw weights, so a resumed run goes on from w.
    """

    def __init__(self, decay: float) -> None:
        self.decay, self.step = decay, 0
        self.average: list[torch.Tensor] = []

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin at the current weights, unless a checkpoint has already brought an average."""
        weights = _weights(pl_module)
        start = self.average or weights
        self.average = [a.to(w, copy=True) for a, w in zip(start, weights, strict=True)]

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        """Move the average towards the weights."""
        if trainer.global_step == self.step:  # gradients are still being accumulated
            return
        beta = min(self.decay, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(self.average, _weights(pl_module), 1 - beta)
        self.step = trainer.global_step

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the average into the network."""
        self._swap(pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the raw weights back."""
        self._swap(pl_module)

    def _swap(self, pl_module: LightningModule) -> None:
        if not self.average:
            return
        weights = _weights(pl_module)
        held = [w.clone() for w in weights]
        torch._foreach_copy_(weights, self.average)
        torch._foreach_copy_(self.average, held)

    def state_dict(self) -> dict[str, Any]:
        """The average and its age."""
        return {"step": self.step, "average": [a.cpu() for a in self.average]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self.step, self.average = state_dict["step"], list(state_dict["average"])


def _weights(pl_module: LightningModule) -> list[torch.Tensor]:
    return [p.data for p in pl_module.parameters() if p.requires_grad]
