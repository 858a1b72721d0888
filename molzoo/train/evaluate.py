"""Predictions of a model over labelled data: errors, and the points of a parity plot."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from molzoo.graph import AtomGraph
from molzoo.loss import Metrics
from molzoo.predictor import Predictor
from molzoo.properties import Predictions
from molzoo.shapes import Tensor


@dataclass
class Evaluation:
    """Errors by quantity (see :meth:`molzoo.loss.Metrics.compute`), and known labels and their predictions, flat."""

    metrics: dict[str, dict[str, Any]]
    labels: dict[str, Tensor] = field(default_factory=dict)
    predictions: dict[str, Tensor] = field(default_factory=dict)


def evaluate(
    predictor: Predictor | Sequence[Predictor], batches: Iterable[AtomGraph], names: Iterable[str] | None = None
) -> Evaluation:
    """Run ``predictor``, or a committee whose predictions are means, over ``batches`` and compare with their labels."""
    members = [predictor] if isinstance(predictor, Predictor) else list(predictor)
    wanted = list(names or members[0].names)
    were_training = [member.training for member in members]
    for member in members:
        member.eval()
    device = next(members[0].parameters()).device
    metrics = Metrics(wanted)
    labels: dict[str, list[Tensor]] = {name: [] for name in wanted}
    predictions: dict[str, list[Tensor]] = {name: [] for name in wanted}
    with torch.no_grad():
        for graph in batches:
            found = _mean([member(graph.to(device), wanted) for member in members])
            metrics.update(found, graph)
            for name in wanted:
                known = ~graph[name].isnan()
                labels[name].append(graph[name][known].cpu())
                predictions[name].append(found[name][known].cpu())
    for member, was_training in zip(members, were_training, strict=True):
        member.train(was_training)
    return Evaluation(
        metrics.compute(),
        {name: torch.cat(parts) for name, parts in labels.items()},
        {name: torch.cat(parts) for name, parts in predictions.items()},
    )


def _mean(found: Sequence[Predictions]) -> Predictions:
    return found[0] if len(found) == 1 else {name: torch.stack([one[name] for one in found]).mean(0) for name in found[0]}
