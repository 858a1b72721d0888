"""Everything that can be said of a training run beside its model, its data and its trainer."""

from dataclasses import dataclass, field

from molzoo.loss import Term
from molzoo.train.schedule import ScheduleName


@dataclass
class Settings:
    """How to train; the section ``task`` of a YAML file.

    Args:
        loss: weight, or a full term, for each quantity to learn; these are what the model will predict.
        lr: learning rate of AdamW at its highest.
        weight_decay: AdamW's.
        schedule: course of the learning rate.
        warmup_steps: steps of linear warm-up.
        lr_final: last learning rate of ``cosine``, as a fraction of ``lr``.
        lr_decay: factor of ``plateau``.
        lr_patience: validations without improvement before ``plateau`` acts.
        ema: decay of the average of the weights; 0 for none.
        stop_patience: stop after so many validations without improvement; 0 for never.
        references: energies of free atoms taken off extensive labels: ``least_squares``, ``isolated``, ``none``, or eV by
            element symbol.
        init_from: a model.pt whose weights to start from, where names and shapes agree.
        freeze: patterns of parameter names that stay as they are, e.g. ``model.embedding*``.
    """

    loss: dict[str, float | Term] = field(default_factory=lambda: {"energy": 1.0, "forces": 100.0})
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
    init_from: str | None = None
    freeze: list[str] = field(default_factory=list)
