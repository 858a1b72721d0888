"""The report as one HTML page that needs no other file: the table, and pictures of forces, of two atoms and of a run."""

import base64
import html
import io
from collections.abc import Iterable, Sequence
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from molzoo.check import Report, Verdict, bare
from molzoo.check.derivatives import force_differences
from molzoo.check.dynamics import Curve, dimers
from molzoo.graph import AtomGraph
from molzoo.predictor import Predictor

_STYLE = """
body { font-family: sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; } td, th { text-align: left; padding: 0.2em 0.8em; border-bottom: 1px solid #ccc; }
.VIOLATED { color: #b00; font-weight: bold; } img { max-width: 100%; }
"""


def page(title: str, conclusion: str, report: Report, warnings: Sequence[str], pictures: Iterable[tuple[str, Figure]]) -> str:
    """The page as text."""
    heads = "".join(f"<th>{head}</th>" for head in Report.HEADS)
    rows = "\n".join(_row(verdict) for verdict in report.verdicts)
    parts = [f"<h1>{html.escape(title)}</h1>", f"<p>{html.escape(conclusion)}</p>"]
    parts += [f"<p>Warning: {html.escape(warning)}.</p>" for warning in warnings]
    parts += [f"<table><tr>{heads}</tr>\n{rows}\n</table>"]
    parts += [f"<h2>{html.escape(name)}</h2>\n{_image(figure)}" for name, figure in pictures]
    head = f"<meta charset='utf-8'><title>{html.escape(title)}</title><style>{_STYLE}</style>"
    return "\n".join(["<!DOCTYPE html>", f"<html><head>{head}</head><body>", *parts, "</body></html>\n"])


def _row(verdict: Verdict) -> str:
    cells = "".join(f"<td>{html.escape(word)}</td>" for word in verdict.words)
    return f"<tr title='{html.escape(verdict.law.says, quote=True)}' class='{verdict.words[4].split()[0]}'>{cells}</tr>"


def _image(figure: Figure) -> str:
    file = io.BytesIO()
    figure.savefig(file, dpi=110)
    return f"<img alt='' src='data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}'>"


def pictures(predictor: Predictor, structures: Sequence[AtomGraph], runs: Sequence[Curve]) -> Iterable[tuple[str, Figure]]:
    """Titles and pictures, all computed in float64."""
    graphs = [bare(structure, predictor.model.cutoff) for structure in structures]
    yield "Forces against differences of the energy", _parity(predictor, graphs)
    elements = graphs[0].z.new_tensor(sorted({z for graph in graphs for z in graph.z.tolist()}))
    yield "Two atoms", _curves(dict(dimers(predictor, graphs[0].clone_with(z=elements))), predictor.facts.shortest)
    for run in runs:
        yield "A run at constant energy", _run(run)


def _parity(predictor: Predictor, graphs: Sequence[AtomGraph]) -> Figure:
    figure, (axis,) = _figure(1)
    for graph in graphs:
        forces, differences = force_differences(predictor, graph)
        axis.plot(differences.cpu(), forces.cpu(), ".", markersize=4)
    low, high = axis.get_xlim()
    axis.plot([low, high], [low, high], "k-", linewidth=0.6)
    axis.set(xlabel="−ΔE/Δr (eV/Å)", ylabel="force (eV/Å)")
    return figure


def _curves(curves: dict[str, Curve], shortest: dict[str, float]) -> Figure:
    figure, axes = _figure(len(curves))
    for axis, (name, (distance, energy)) in zip(axes, curves.items(), strict=True):
        axis.plot(distance, energy)
        if name in shortest:
            axis.axvline(shortest[name], color="gray", linewidth=0.6, linestyle="--", label="nearest in training")
            axis.legend(fontsize="small")
        axis.set(title=name, xlabel="distance (Å)", ylabel="energy (eV)")
    return figure


def _run(run: Curve) -> Figure:
    figure, (axis,) = _figure(1)
    axis.plot(*run, linewidth=0.7)
    axis.set(xlabel="time (ps)", ylabel="change of total energy (meV/atom)")
    return figure


def _figure(n: int) -> tuple[Figure, list[Any]]:
    """``n`` axes, three in a row."""
    columns, rows = min(n, 3), (n + 2) // 3
    figure = Figure(figsize=(4.0 * columns, 3.2 * rows), layout="constrained")
    FigureCanvasAgg(figure)  # drawn without pyplot, which keeps global state and asks for a display
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axis in axes[n:]:
        axis.remove()
    return figure, axes[:n]
