"""Write the zoo's table into README.md, between its markers, from the table of models: ``python scripts/make_zoo_table.py``."""

from pathlib import Path

from molzoo.models import TABLE

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- zoo: written by scripts/make_zoo_table.py -->", "<!-- /zoo -->"


def zoo_table() -> str:
    """One line for each model, in Markdown."""
    lines = ["| model | paper | symmetry | gives per atom | smooth at the cutoff | settings |", "|---|---|---|---|---|---|"]
    for row in TABLE.values():
        authors, link = row.paper.rsplit(", ", 1)
        settings = f"[{row.config}](configs/model/{row.config}.yaml)"
        cells = (f"`{row.name}`", f"[{authors}]({link})", row.symmetry, ", ".join(row.gives), row.smoothness, settings)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def with_table(readme: str) -> str:
    """The README with the table as it should be."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{zoo_table()}\n{END}{after}"


if __name__ == "__main__":
    README.write_text(with_table(README.read_text()))
