"""Weighted losses over several quantities, and their metrics in the units of publications."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F

from molzoo.graph import AtomGraph
from molzoo.quantities import quantity
from molzoo.shapes import Tensor
from molzoo.units import factor

LossKind = Literal["mse", "mae", "huber"]


@dataclass(frozen=True)
class Term:
    """How one quantity enters the loss.

    Args:
        weight: its weight, or [first, last] for one that changes linearly over the training.
        kind: squared, absolute, or Huber's error (quadratic below ``delta``).
        per_atom: divide the errors of extensive quantities by the number of atoms, for sets of many sizes.
        delta: Huber's threshold, in the quantity's unit inside molzoo.
    """

    weight: float | list[float] = 1.0
    kind: LossKind = "mse"
    per_atom: bool = False
    delta: float = 0.01

    def weight_at(self, progress: float) -> float:
        """The weight when ``progress`` (0 … 1) of the training is done."""
        if isinstance(self.weight, (int, float)):
            return float(self.weight)
        first, last = self.weight
        return first + (last - first) * progress


class Loss:
    """Σ_q weight_q · mean error of q; entries whose label is NaN (missing) count nowhere.

    Args:
        terms: a :class:`Term`, or just its weight, for each quantity.
    """

    def __init__(self, terms: Mapping[str, float | Term]) -> None:
        self.terms = {name: t if isinstance(t, Term) else Term(weight=t) for name, t in terms.items()}
        for name in self.terms:
            quantity(name)

    def __call__(
        self, predictions: Mapping[str, Tensor], graph: AtomGraph, progress: float = 0.0
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and each quantity's share before its weight."""
        parts = {name: self._part(name, term, predictions[name], graph) for name, term in self.terms.items()}
        total = sum((self.terms[name].weight_at(progress) * part for name, part in parts.items()), torch.zeros(()))
        return total, parts

    @staticmethod
    def _part(name: str, term: Term, prediction: Tensor, graph: AtomGraph) -> Tensor:
        error, known = residual(name, prediction, graph)
        if term.per_atom and quantity(name).extensive:
            batch = graph.z.new_zeros(len(graph.z)) if graph.get("batch") is None else graph.batch
            n_atoms = torch.bincount(batch, minlength=graph.n_graphs).clamp(min=1)
            error = error / n_atoms.view(-1, *[1] * (error.ndim - 1))
        zero = torch.zeros_like(error)
        if term.kind == "mse":
            error = error.square()
        elif term.kind == "mae":
            error = error.abs()
        else:
            error = F.huber_loss(error, zero, reduction="none", delta=term.delta)
        return error.sum() / known.sum().clamp(min=1)


def residual(name: str, prediction: Tensor, graph: AtomGraph) -> tuple[Tensor, Tensor]:
    """Prediction − label, zero where the label is NaN; and where it is not.

    Raises:
        ValueError: the graph has no such label, or its shape is another.
    """
    label = graph.get(name)
    if label is None:
        raise ValueError(f"the graph has no label {name!r}; name it under data.labels or take it out of the loss")
    if label.shape != prediction.shape:  # (B, 1) against (B,) would broadcast to (B, B) without a word
        raise ValueError(f"{name}: label of shape {tuple(label.shape)}, prediction of shape {tuple(prediction.shape)}")
    known = ~torch.isnan(label)
    return torch.where(known, prediction - torch.nan_to_num(label), 0.0), known


class Metrics:
    """Running mean absolute and root mean square errors of several quantities.

    Tensors are compared component by component, as the literature does for forces and dipoles.
    """

    def __init__(self, names: list[str]) -> None:
        self.sums = {name: torch.zeros(3, dtype=torch.float64) for name in names}

    def update(self, predictions: Mapping[str, Tensor], graph: AtomGraph) -> None:
        """Take in one batch."""
        for name, sums in self.sums.items():
            error, known = residual(name, predictions[name].detach(), graph)
            error = error.double()
            sums += torch.stack([error.abs().sum(), error.square().sum(), known.sum().double()]).cpu()

    def reduce(self) -> "Metrics":
        """The metrics over all processes of a distributed run."""
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            for sums in self.sums.values():
                torch.distributed.all_reduce(sums)
        return self

    def compute(self) -> dict[str, dict[str, Any]]:
        """``{"forces": {"mae": …, "rmse": …, "unit": "meV/A", "n": …}, …}`` in the first unit shown."""
        found = {}
        for name, (absolute, square, n) in self.sums.items():
            unit = quantity(name).shown[0]
            # Without a label 0/0 = NaN, never a perfect 0.
            mae, rmse = float(absolute / n) / factor(unit), float(square / n) ** 0.5 / factor(unit)
            found[name] = {"mae": mae, "rmse": rmse, "unit": unit, "n": int(n)}
        return found


def metrics_table(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """The metrics as lines of text, each number with its unit, and beside it in the field's other units."""
    lines = [f"{'quantity':<12}{'MAE':>12}{'RMSE':>12}  unit"]
    for name, row in metrics.items():
        others = [f"{row['mae'] * factor(row['unit']) / factor(unit):.4g} {unit}" for unit in quantity(name).shown[1:]]
        beside = f"   (MAE {', '.join(others)})" if others else ""
        lines.append(f"{name:<12}{row['mae']:>12.4g}{row['rmse']:>12.4g}  {row['unit']}{beside}")
    return "\n".join(lines)
