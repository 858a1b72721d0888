"""What a run leaves for people: ``results.json``, a parity plot and a learning curve."""

import csv
import json
from pathlib import Path
from typing import Any

from molzoo.quantities import quantity
from molzoo.train.evaluate import Evaluation


def write_results(folder: Path, results: dict[str, Any]) -> Path:
    """``results.json`` in the run's folder."""
    path = folder / "results.json"
    path.write_text(json.dumps(results, indent=2, default=str) + "\n")
    return path


def plot_parity(evaluation: Evaluation, path: Path, most_points: int = 20_000) -> Path:
    """Prediction against label for each quantity, with the error and its unit, as a picture."""
    figure, axes = _figure(len(evaluation.metrics))
    for axis, (name, row) in zip(axes, evaluation.metrics.items(), strict=True):
        label, prediction = evaluation.labels[name], evaluation.predictions[name]
        step = max(1, len(label) // most_points)
        axis.plot(label[::step], prediction[::step], ".", markersize=2, alpha=0.5)
        low, high = float(label.min()), float(label.max())
        axis.plot([low, high], [low, high], "k-", linewidth=0.7)
        unit = quantity(name).unit
        axis.locator_params(nbins=5)  # total energies have long figures
        axis.set(xlabel=f"label ({unit})", ylabel=f"prediction ({unit})", title=f"{name}: MAE {row['mae']:.3g} {row['unit']}")
    return _save(figure, path)


def plot_learning_curve(metrics_csv: Path, path: Path) -> Path | None:
    """Validation errors against epoch from Lightning's ``metrics.csv``; None if nothing was logged."""
    columns: dict[str, list[tuple[float, float]]] = {}
    with metrics_csv.open() as file:
        for row in csv.DictReader(file):
            for name, value in row.items():
                if name.startswith("val/") and "_mae" in name and value:
                    columns.setdefault(name.removeprefix("val/"), []).append((float(row["epoch"]) + 1, float(value)))
    if not columns:
        return None
    figure, axes = _figure(len(columns))
    for axis, (name, points) in zip(axes, columns.items(), strict=True):
        axis.loglog(*zip(*points, strict=True))
        axis.set(xlabel="epoch", ylabel=f"validation {name.replace('_mae', ' MAE')}")
        axis.grid(alpha=0.3, which="both")
    return _save(figure, path)


def _figure(n: int) -> tuple[Any, list[Any]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * n, 3.8), layout="constrained")
    FigureCanvasAgg(figure)  # drawn without pyplot, which keeps global state and asks for a display
    return figure, list(figure.subplots(1, n, squeeze=False)[0])


def _save(figure: Any, path: Path) -> Path:
    figure.savefig(path, dpi=150)
    return path
