"""Everything that can be said of a training run beside its model, its data and its trainer."""

import math
from dataclasses import dataclass, field
from typing import Literal

from molzoo.loss import Term
from molzoo.train.schedule import ScheduleName


@dataclass
class Settings:
    """How to train; the section ``task`` of a YAML file.

    Args:
        loss: weight, or a full term, for each quantity to learn; these are what the model will predict.
        optimizer: ``adamw``, or ``muon``: fewer steps to the same error, each dearer where batches are small
            (:class:`~molzoo.train.muon.Muon`).
        lr: learning rate at its highest.
        weight_decay: share of the weights, in units of the learning rate, that each step takes away.
        schedule: course of the learning rate.
        warmup_steps: steps of linear warm-up.
        lr_final: last learning rate of ``cosine``, as a fraction of ``lr``.
        lr_decay: factor of ``plateau``.
        lr_patience: validations without improvement before ``plateau`` acts.
        ema: decay of the average of the weights; 0 for none.
        stop_patience: stop after so many validations without improvement; 0 for never.
        references: energies of free atoms taken off extensive labels: ``least_squares``, ``isolated``, ``none``, or eV by
            element symbol.
        repulsion: begin with the repulsion of nuclei nearer than bonded, which no training data show: for relaxations from bad
            structures and for hot runs.
        init_from: a model.pt whose weights to start from, where names and shapes agree.
        freeze: patterns of parameter names that stay as they are, e.g. ``model.embedding*``.
    """

    loss: dict[str, float | Term] = field(default_factory=lambda: {"energy": 1.0, "forces": 100.0})
    optimizer: Literal["adamw", "muon"] = "adamw"
    lr: float = 5e-4
    weight_decay: float = 0.0
    schedule: ScheduleName = "cosine"
    warmup_steps: int = 100
    lr_final: float = 1e-3
    lr_decay: float = 0.5
    lr_patience: int = 25
    ema: float = 0.999
    stop_patience: int = 0
    references: str | dict[str, float] = "least_squares"
    repulsion: bool = False
    init_from: str | None = None
    freeze: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for key, right, wanted in (
            ("loss", bool(self.loss), "must name what to learn, e.g. {energy: 1.0, forces: 100.0}"),
            ("lr", 0 < self.lr < math.inf, "must be above 0"),
            ("weight_decay", self.weight_decay >= 0, "must not be below 0"),
            ("warmup_steps", self.warmup_steps >= 0, "must not be below 0"),
            ("lr_final", 0 <= self.lr_final <= 1, "is a fraction of lr, between 0 and 1"),
            ("lr_decay", 0 < self.lr_decay <= 1, "is a factor between 0 and 1"),
            ("lr_patience", self.lr_patience >= 0, "must not be below 0"),
            ("ema", 0 <= self.ema < 1, "must be below 1, e.g. 0.999, or 0 for no average"),
            ("stop_patience", self.stop_patience >= 0, "must not be below 0"),
        ):
            if not right:
                raise ValueError(f"task.{key}: {getattr(self, key)!r} {wanted}")
        for name, term in self.loss.items():
            if isinstance(term, Term) and isinstance(term.weight, list) and len(term.weight) != 2:
                raise ValueError(f"task.loss: the weight {term.weight} of {name} must be one number, or two: [first, last]")
