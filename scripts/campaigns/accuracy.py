"""Train a committed configuration and record its test error against wall clock.

    python scripts/campaigns/accuracy.py rmd17_painn --minutes 2 5 10 15 [--section.key value …]

The averaged weights at each mark are kept during training and evaluated on the test frames after it, so that nothing can be
chosen by them. The record goes to docs/results/<name>.json, the table and picture of all records to README.md and curves.png
there.
"""

import argparse
import copy
import json
import platform
import subprocess
from pathlib import Path

import torch

from molzoo import Predictor, load
from molzoo.cli import config as configs
from molzoo.cli.train import check
from molzoo.data import Data
from molzoo.loss import metrics_table
from molzoo.quantities import quantity
from molzoo.train import evaluate, fit
from molzoo.train.callbacks import Curve
from molzoo.units import factor

PEERS = {  # rMD17 ethanol, 950 frames, both cores of a machine like ours: (minutes, test force error in meV/Å)
    "SchNetPack 2.1.1, PaiNN": [(2, 27.6), (5, 18.0), (10, 14.3), (15, 11.8)],
    "nequip 0.19.1, l = 1": [(15, 19.5)],
    "MACE, 64x0e + 64x1o": [(7, 16.8)],
}

RESULTS = Path(__file__).parents[2] / "docs" / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="a shipped configuration")
    parser.add_argument("--minutes", type=float, nargs="*", default=[2, 5, 10, 15, 20, 30, 40, 50])
    parser.add_argument("--record", help="name of the record; by default the configuration's")
    known, overrides = parser.parse_known_args()
    record = known.record or known.name
    objects, plain = check(configs.from_words([known.name, *overrides]))
    folder = Path("runs") / record
    curve = Curve(folder, known.minutes)
    predictor = fit(
        plain["model"]["name"],
        objects.data,
        objects.task,
        arguments={key: value for key, value in plain["model"].items() if key != "name"},
        trainer={key: value for key, value in plain["trainer"].items() if value is not None} | {"callbacks": [curve]},
        folder=folder,
        seed=plain["seed"],
        config=plain,
    )
    results = json.loads((folder / "results.json").read_text())
    points = []
    for minutes in known.minutes:
        path = folder / f"model_{minutes:g}min.pt"
        if path.is_file():
            points.append({"minutes": minutes} | evaluate(load(path), objects.data.loader("test")).metrics)
    points.append({"minutes": results["train_seconds"] / 60} | results["test"])
    results["mean_predictor"] = mean_predictor(predictor, objects.data)
    write(record, [known.name, *overrides], results, points)
    print(metrics_table(evaluate(predictor, objects.data.loader("val")).metrics))


def mean_predictor(predictor: Predictor, data: Data) -> dict[str, dict[str, float | str]]:
    """Test errors of the mean of the training labels, after references; what a network must be compared with at least."""
    silent = copy.deepcopy(predictor)
    for parameter in silent.parameters():
        parameter.data.zero_()
    rests = []
    for split in ("train", "test"):
        found = evaluate(silent, data.loader(split))
        rests.append({name: found.labels[name] - found.predictions[name] for name in silent.names})
    train, test = rests
    errors = {}
    for row in map(quantity, silent.names):
        if row.per == "graph" and not row.shape:
            mae = float((test[row.name] - train[row.name].mean()).abs().mean())
            errors[row.name] = {"mae": mae / factor(row.shown[0]), "unit": row.shown[0]}
    return errors


def write(name: str, words: list[str], results: dict, points: list[dict]) -> None:
    """The record of one run."""
    record = {"command": "molzoo train " + " ".join(words), **machine(), **results, "curve": points}
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n")
    tabulate()


def machine() -> dict[str, str]:
    """With which commit and where."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    return {
        "commit": commit,
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
    }


def tabulate() -> None:
    """One table and one picture of all records."""
    records = {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))}
    records = {name: record for name, record in records.items() if "curve" in record}  # others are of speed
    lines = [
        "# Results",
        "",
        "Test errors of committed configurations, evaluated when a run had ended; nothing was chosen by them. Each run is a",
        "JSON file beside this one, written by `scripts/campaigns/accuracy.py`, with command, commit, machine and curve.",
        "",
        "| run | quantity | test MAE | mean of training labels, after references | minutes of training | machine |",
        "|---|---|---|---|---|---|",
    ]
    for name, record in records.items():
        for key, row in record["test"].items():
            minutes = f"{record['train_seconds'] / 60:.0f}"
            mean = record.get("mean_predictor", {}).get(key)
            cells = [
                f"[{name}]({name}.json)",
                key,
                f"{row['mae']:.4g} {row['unit']}",
                f"{mean['mae']:.4g} {mean['unit']}" if mean else "",
                minutes,
                record["machine"],
            ]
            lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "Reference implementations, by weight copying: [certificates](certificates.md); e3nn: [parity](o3_parity.md).",
        "",
        "Laws of physics, asked of every model: [laws](laws.md). Faults that were planted: [mutations](mutations.md). Killed",
        "processes, full disks, damaged files: [faults](faults.md). Long dynamics: [dynamics](dynamics.json).",
        "",
        "![test error against time](curves.png)",
        "",
        "Ethanol, 950 frames to train. Crosses are peers with both cores of a machine like ours; ours have one, and members of",
        "a committee (`scripts/campaigns/committee.py`, the mean of their predictions) one each. Runs of other lengths anneal",
        "at other times, so that a short one is below a long one at its end.",
    ]
    (RESULTS / "README.md").write_text("\n".join(lines) + "\n")
    draw(records)


def draw(records: dict[str, dict]) -> None:
    """Force error of the test frames of ethanol against minutes of training; the peers' too."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axis = figure.subplots()
    axis.set_prop_cycle(color=colormaps["tab20"].colors)
    for name, record in records.items():
        points = [(point["minutes"], point["forces"]["mae"]) for point in record["curve"] if "forces" in point]
        if len(points) > 1:
            axis.loglog(*zip(*points, strict=True), "o-", label=name)
    for name, points in PEERS.items():
        axis.loglog(*zip(*points, strict=True), "x:", label=name)
    for ticks in (axis.xaxis, axis.yaxis):
        ticks.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ticks.set_major_formatter("{x:g}")
        ticks.set_minor_formatter(NullFormatter())
    axis.set(xlabel="minutes", ylabel="test force MAE (meV/Å)")
    axis.legend(fontsize="x-small", loc="center left", bbox_to_anchor=(1.0, 0.5))
    axis.grid(alpha=0.3, which="both")
    figure.savefig(RESULTS / "curves.png", dpi=120)


if __name__ == "__main__":
    main()
