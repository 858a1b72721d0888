"""How far every public name of molzoo.o3 is from e3nn's, at arguments drawn at random; writes docs/results/o3_parity.md.

    OMP_NUM_THREADS=1 .venv/bin/python scripts/certificates/o3_parity.py [draws]

Needs e3nn, as the tests do. The names and their arguments are those of tests/o3_names.py.
"""

import sys
from importlib.metadata import version
from pathlib import Path

import e3nn
import torch

ROOT = Path(__file__).resolve().parents[2]
HEAD = """# molzoo.o3 beside e3nn {version}

Irreps, degrees and options are drawn at random, {draws} times for each name, with three rows of normal input and the same
weights; all {cases:,} cases are compared in both precisions. Numbers are the largest difference from e3nn's float64 results,
relative to the largest number of a case or to 1: of values, of first and of second derivatives (of a sum of squares, by
inputs and weights). The last column is e3nn's own float32. Tables and random numbers have no derivatives, and their float32
is compared with e3nn's float32.
Made by `scripts/certificates/o3_parity.py`; `tests/o3/test_every_name.py` holds the limits.

| e3nn's name | float64 | first | second | float32 | first | second | e3nn's float32: value, first, second |
|---|---|---|---|---|---|---|---|
"""


def row(label: str, numbers: list[float]) -> str:
    """A line of the table."""
    ours, own = [f"{x:.0e}" if x else "0" for x in numbers[:6]], [f"{x:.0e}" if x else "0" for x in numbers[6:]]
    return f"| {label} | {' | '.join(ours)} | {', '.join(own)} |\n"


def main() -> None:
    sys.path.insert(0, str(ROOT / "tests"))
    from o3_names import FUNCTIONS, MODULES, TABLES, deviations

    draws = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    e3nn.set_optimization_defaults(jit_script_fx=False)  # the same numbers, and layers are made sooner
    rows = {}
    for name in (*MODULES, *FUNCTIONS, *TABLES):
        found = [(deviations(name, k, torch.float64)[0], *deviations(name, k, torch.float32)) for k in range(draws)]
        rows[f"`{name}`"] = [max(column) for column in zip(*([*a, *b, *c] for a, b, c in found), strict=True)]
    rows["**all**"] = [max(column) for column in zip(*rows.values(), strict=True)]
    text = HEAD.format(version=version("e3nn"), draws=draws, cases=draws * (len(rows) - 1))
    text += "".join(row(name, numbers) for name, numbers in rows.items())
    (ROOT / "docs" / "results" / "o3_parity.md").write_text(text, encoding="utf-8")
    print(text, end="")


if __name__ == "__main__":
    main()
