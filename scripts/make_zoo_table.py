"""Write what is said of the models from the table of models and the records: ``python scripts/make_zoo_table.py``.

README.md and docs/models.md get their tables, between markers; molzoo/models/results.json gets our runs, for ``molzoo info``.
"""

import json
from pathlib import Path

from molzoo.cli import show
from molzoo.models import TABLE

ROOT = Path(__file__).parent.parent
README, PAGE, RESULTS = ROOT / "README.md", ROOT / "docs" / "models.md", ROOT / "molzoo" / "models" / "results.json"
BEGIN, END = "<!-- zoo: written by scripts/make_zoo_table.py -->", "<!-- /zoo -->"


def markdown(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A table."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, ("---",) * len(heads), *rows)).replace(" --- ", "---")


def zoo_table() -> str:
    """One line for each model."""
    rows = []
    for row in TABLE.values():
        authors, link = row.paper.rsplit(", ", 1)
        settings = f"[{row.config}](configs/model/{row.config}.yaml)"
        rows.append((f"`{row.name}`", f"[{authors}]({link})", row.symmetry, ", ".join(row.gives), row.smoothness, settings))
    return markdown(("model", "paper", "symmetry", "gives per atom", "smooth at the cutoff", "settings"), rows)


def choice() -> str:
    """What to choose a model by: cost, smoothness and what it predicts; then accuracy."""
    heads = ("model", "parameters", "multiplications", "smooth", "isolated atom", "beyond energies, forces and charges")
    common = set.intersection(*(set(show.served(row)) for row in TABLE.values()))
    rows, errors = [], []
    for row in TABLE.values():
        network, _ = show.at_reference(row)
        n = sum(parameter.numel() for parameter in network.parameters())
        more = [name for name in show.served(row) if name not in common]
        facts = (f"{n:,}", show.cost(network), row.smoothness, row.isolated_atom, ", ".join(more) or "-")
        rows.append((f"`{row.name}`", *facts))
        runs = "<br>".join(f"{run}: {found}" for run, found in show.ours(row))
        errors.append((f"`{row.name}`", show.published(row), runs or "not run yet"))
    return f"{markdown(heads, rows)}\n\n{markdown(('model', 'published', 'ours'), errors)}"


def with_table(text: str, table: str | None = None) -> str:
    """A page with its table as it should be; by default the README's."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{zoo_table() if table is None else table}\n{END}{after}"


def results() -> str:
    """Our runs by model, as JSON, from docs/results."""
    runs: dict[str, list[dict[str, object]]] = {}
    for path in sorted((ROOT / "docs" / "results").glob("*.json")):
        record = json.loads(path.read_text())
        # Not those of speed, of another model than the configuration's, or that were run again since.
        if "test" not in record or "--model." in record["command"] or path.stem.endswith("_earlier"):
            continue
        errors = {name: f"{row['mae']:.4g} {row['unit']}" for name, row in record["test"].items()}
        run = {"run": path.stem, "minutes": round(record["train_seconds"] / 60), "test": errors}
        runs.setdefault(record["model"], []).append(run)
    return json.dumps(runs, indent=1) + "\n"


if __name__ == "__main__":
    RESULTS.write_text(results())
    README.write_text(with_table(README.read_text()))
    PAGE.write_text(with_table(PAGE.read_text(), choice()))
