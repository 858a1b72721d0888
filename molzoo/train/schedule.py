"""The learning rate as a function of how much of the training is done."""

import math
from typing import Any, Literal

ScheduleName = Literal["constant", "cosine", "plateau"]


class Schedule:
    """Learning rate of each step: a linear warm-up, then one of three courses.

    - ``constant``;
    - ``cosine``: falls to ``final`` of its start as the training's progress goes from 0 to 1. Progress is the larger of steps
      done and time used, so that a time limit anneals in time;
    - ``plateau``: multiplied by ``decay`` whenever the validation loss has not improved for ``patience`` validations.

    It holds the few numbers a resumed run needs, and nothing of torch's.
    """

    def __init__(
        self, name: ScheduleName, lr: float, warmup_steps: int, final: float = 1e-3, decay: float = 0.5, patience: int = 25
    ) -> None:
        self.name, self.lr, self.warmup_steps = name, lr, warmup_steps
        self.final, self.decay, self.patience = final, decay, patience
        self.state: dict[str, float] = {"factor": 1.0, "best": math.inf, "waited": 0}

    def at(self, step: int, progress: float) -> float:
        """The learning rate of optimiser step ``step`` (from 0)."""
        warmup = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        if self.name == "cosine":
            course = self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
        else:
            course = self.state["factor"]
        return self.lr * warmup * course

    def validated(self, loss: float) -> None:
        """Take note of a validation loss."""
        s = self.state
        if loss < s["best"]:
            s["best"], s["waited"] = loss, 0
            return
        s["waited"] += 1
        if self.name == "plateau" and s["waited"] > self.patience:
            s["factor"], s["waited"] = s["factor"] * self.decay, 0

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return dict(self.state)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.state.update(state)
