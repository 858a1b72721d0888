"""Makes docs/benchmarks.md and its picture of the records in docs/results: python scripts/bench/table.py."""

import json
from collections.abc import Iterator
from typing import Any

import matplotlib
from machine import ROOT

matplotlib.use("agg")
import matplotlib.pyplot as plt
from PIL import Image

RESULTS = ROOT / "docs" / "results"
SECTIONS = {
    "models_speed": "Models",
    "scaling": "Energy and forces of ever more atoms",
    "convolution_speed": "The convolution",
    "o3_speed": "Layers of o3",
}
INTRODUCTION = """# Benchmarks

Made by `scripts/bench/table.py` of the records in [results](results). A contender's output is compared with molzoo's before it
is timed. Contenders take turns, so that whatever else the machine does meets all of them; times are medians, and a ratio is the
median over the rounds of the peer's by ours: above 1 molzoo is faster (or needs less memory). Of a peer with several modes the
one that is best in the row is shown. Rows in which a peer wins come first, then those in which only another way of ours than
the first is faster. `molzoo table` is the same model with its radial functions interpolated between knots. Where a peer
could not be compared at a size, it is not timed, and the row is missing; memory and start are measured in fresh processes.
"""


def rows(works: dict[str, dict]) -> list[dict[str, Any]]:
    """A row for each work, pass and peer, those we lose first."""
    found = [row for work, columns in works.items() for column, cell in columns.items() for row in _rows(work, column, cell)]
    return sorted(found, key=lambda row: (row["best"] >= 1, next(iter(row["ratios"].values())) >= 1))


def _rows(work: str, column: str, cell: dict[str, Any]) -> Iterator[dict[str, Any]]:
    packages = {peer.split()[0] for ratios in cell["ratios"].values() for peer in ratios}
    for package in sorted(packages):
        modes = [name for name in cell["values"] if name.split()[0] == package]
        peer = min(modes, key=cell["values"].__getitem__)
        ratios = {ours: by_peer[peer] for ours, by_peer in cell["ratios"].items()}
        yield cell | {"work": work, "column": column, "peer": peer, "ratios": ratios, "best": max(ratios.values())}


def table(found: list[dict[str, Any]]) -> list[str]:
    """The rows as Markdown; each way of ours has two columns."""
    ways = list(dict.fromkeys(ours for row in found for ours in row["ratios"]))
    heads = ["work", "pass", "", "peer", "its", *(head for ours in ways for head in (f"{ours}", "ratio"))]
    lines = [_line(heads), _line(["---"] * len(heads))]
    for row in found:
        cells = [row["work"], row["column"], row["unit"], row["peer"], f"{row['values'][row['peer']]:.4g}"]
        for ours in ways:
            known = ours in row["ratios"]
            cells += [f"{row['values'][ours]:.4g}", _ratio(row["ratios"][ours])] if known else ["", ""]
        lines.append(_line(cells))
    return lines


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _ratio(value: float) -> str:
    return f"**{value:.2f}**" if value < 1 else f"{value:.1f}"


def shares(by_work: dict[str, list[dict]]) -> list[str]:
    """How near each contraction is to what the machine can do."""
    heads = ["work", "contraction", "weights", "ms", "MB", "MFLOP", "bound by", "share of the ceiling"]
    lines = [
        "",
        "Share of the ceiling: a copy of the same bytes or a matrix product of as many operations, whichever takes longer.",
    ]
    lines += ["", _line(heads), _line(["---"] * len(heads))]
    for work, measured in by_work.items():
        for row in measured:
            numbers = [f"{row[key]:.3g}" for key in ("ms", "MB", "MFLOP")]
            cells = [work, row["contraction"], row["weights"], *numbers, row["bound"], f"{row['share']:.0%}"]
            lines.append(_line(cells))
    return lines


def deviations(by_work: dict[str, dict[str, dict]]) -> list[str]:
    """How far each way of ours is from each peer with the peer's weights, at most, over the structures of a model."""
    largest: dict[tuple[str, str, str], dict[str, float]] = {}
    for work, by_peer in by_work.items():
        for peer, by_way in by_peer.items():
            for ours, errors in by_way.items():
                known = largest.setdefault((work.split(",")[0], peer, ours), dict.fromkeys(errors, 0.0))
                known |= {quantity: max(known[quantity], error) for quantity, error in errors.items()}
    lines = ["", "Largest deviations with the peer's weights, in parts of the largest energy and the largest force component:"]
    lines += ["", _line(["model", "peer", "ours", "energy", "forces"]), _line(["---"] * 5)]
    return lines + [_line([*who, *(f"{error:.0e}" for error in errors.values())]) for who, errors in largest.items()]


def scaling(works: dict[str, list[dict[str, Any]]], limit: float) -> list[str]:
    """A row for each number of atoms; what is linear has the same time and memory per atom in all."""
    lines = [
        f"Each row is a process that may have {limit} GiB for all it holds; memory is the rise of its peak. What did not fit",
        "because freed memory was kept, in pieces, was run with each large tensor mapped by itself.",
        "",
        _line(["model and way", "atoms", "edges", "s", "µs per atom", "GiB", "KiB per atom"]),
        _line(["---"] * 7),
    ]
    for work, measured in works.items():
        for row in measured:
            n = row["atoms"]
            sizes = [work + ", mapped" * row.get("mapped", False), f"{n:,}", f"{row['edges']:,}"]
            if "failed" in row:
                why = "does not fit" if "memory" in row["failed"].lower() else row["failed"]
                lines.append(_line([*sizes, why, "", "", ""]))
                continue
            times = [f"{row['ms'] / 1e3:.3g}", f"{1e3 * row['ms'] / n:.3g}"]
            lines.append(_line([*sizes, *times, f"{row['MiB'] / 1024:.3g}", f"{1024 * row['MiB'] / n:.3g}"]))
    return lines


def section(name: str, record: dict[str, Any]) -> list[str]:
    """A record with its command, machine and versions."""
    said = ", ".join(f"{key} {value}" for key, value in record["machine"].items() if not isinstance(value, dict))
    said += "".join(f"; {_version(name, value)}" for name, value in record["versions"].items())
    lines = ["", f"## {SECTIONS[name]}", "", f"`{record['command']}`", "", f"{said}.", ""]
    if name == "scaling":
        return lines + scaling(record["works"], record["limit"])
    lines += table(rows(record["works"]))
    lines += deviations(record["deviations"]) if "deviations" in record else []
    return lines + (shares(record["shares"]) if "shares" in record else [])


def _version(name: str, value: Any) -> str:
    """Of a package; or of all that a contender consists of."""
    if isinstance(value, str):
        return f"{name} {value}"
    return f"{name}: " + ", ".join(f"{package} {number}" for package, number in value.items())


def picture(records: dict[str, dict]) -> None:
    """The smallest ratio of each work to each peer, by bars on a logarithmic scale."""
    least: dict[str, float] = {}
    for record in (record for name, record in records.items() if name != "scaling"):
        for row in (row for row in rows(record["works"]) if row["unit"] == "ms"):
            label = f"{row['work']} | {row['peer'].split()[0]}"
            least[label] = min(row["best"], least.get(label, row["best"]))
    ordered = sorted(least.items(), key=lambda item: -item[1])
    figure, axes = plt.subplots(figsize=(8, 1 + 0.17 * len(ordered)), layout="constrained")
    colours = ["tab:blue" if value >= 1 else "tab:red" for _, value in ordered]
    bars = axes.barh([label for label, _ in ordered], [value for _, value in ordered], color=colours)
    axes.bar_label(bars, fmt="%.1f", fontsize=6, padding=2)
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.tick_params(axis="y", labelsize=6)
    axes.set_xlabel("times faster than the peer,\nsmallest of the passes")
    path = ROOT / "docs" / "benchmarks.png"
    figure.savefig(path, dpi=90)
    Image.open(path).convert("RGB").quantize(32).save(path, optimize=True)  # a few colours are all it has
    assert path.stat().st_size <= 60 * 1024, "the picture is larger than 60 KiB"


def main() -> None:
    paths = {name: RESULTS / f"{name}.json" for name in SECTIONS}
    records = {name: json.loads(path.read_text()) for name, path in paths.items() if path.is_file()}
    if not records:
        raise SystemExit("there is no record in docs/results; run models.py, convolution.py or o3.py with --record first")
    picture(records)
    lines = [INTRODUCTION, "![ratios](benchmarks.png)"]
    for name, record in records.items():
        lines += section(name, record)
    (ROOT / "docs" / "benchmarks.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
