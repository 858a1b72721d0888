"""Predictions of a model over labelled data: errors, and the points of a parity plot."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch

from molzoo.graph import AtomGraph
from molzoo.loss import Metrics
from molzoo.predictor import Predictor
from molzoo.shapes import Tensor


@dataclass
class Evaluation:
    """Errors by quantity (see :meth:`molzoo.loss.Metrics.compute`), and known labels and their predictions, flat."""

    metrics: dict[str, dict[str, Any]]
    labels: dict[str, Tensor] = field(default_factory=dict)
    predictions: dict[str, Tensor] = field(default_factory=dict)


def evaluate(predictor: Predictor, batches: Iterable[AtomGraph], names: Iterable[str] | None = None) -> Evaluation:
    """Run ``predictor`` over ``batches`` and compare with their labels."""
    wanted = list(names or predictor.names)
    was_training = predictor.training
    predictor.eval()
    device = next(predictor.parameters()).device
    metrics = Metrics(wanted)
    labels: dict[str, list[Tensor]] = {name: [] for name in wanted}
    predictions: dict[str, list[Tensor]] = {name: [] for name in wanted}
    with torch.no_grad():
        for graph in batches:
            found = predictor(graph.to(device), wanted)
            metrics.update(found, graph)
            for name in wanted:
                known = ~graph[name].isnan()
                labels[name].append(graph[name][known].cpu())
                predictions[name].append(found[name][known].cpu())
    predictor.train(was_training)
    return Evaluation(
        metrics.compute(),
        {name: torch.cat(parts) for name, parts in labels.items()},
        {name: torch.cat(parts) for name, parts in predictions.items()},
    )
