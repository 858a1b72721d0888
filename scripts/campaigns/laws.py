"""Asks every law of molzoo.check of every model, in both precisions and on each back end: docs/results/laws.md.

    python scripts/campaigns/laws.py

The models are small and untrained, the structures an ion, a linear molecule and a triclinic crystal; the contract tests ask
the same whenever the suite runs. Kept are the largest violations.
"""

from pathlib import Path

import ase.build
import torch

from molzoo import Predictor
from molzoo.check import LAWS, Verdict, check
from molzoo.graph import AtomGraph
from molzoo.kernels import use_backend
from molzoo.kernels.dispatch import runnable
from molzoo.models import TABLE

RECORD = Path(__file__).resolve().parents[2] / "docs" / "results" / "laws.md"
NAMES = ("energy", "energies", "forces", "stress", "dipole", "mu", "charges")
CELL = [[3.9, 0.2, 0.0], [0.5, 4.2, -0.3], [-0.4, 0.6, 4.5]]
PLACES = [[0.02, 0.05, 0.11], [0.48, 0.57, 0.03], [0.55, 0.03, 0.52], [0.07, 0.46, 0.61]]


def structures() -> list[AtomGraph]:
    """The ones that all are asked of."""
    ion, linear = (ase.build.molecule(name) for name in ("CH3CH2O", "HCN"))
    cell = torch.tensor(CELL, dtype=torch.float64)
    return [
        AtomGraph(z=ion.numbers, pos=ion.positions, charge=-1.0),
        AtomGraph(z=linear.numbers, pos=linear.positions),
        AtomGraph(z=[6, 8, 1, 7], pos=torch.tensor(PLACES, dtype=torch.float64) @ cell, cell=cell, pbc=True),
    ]


def predictor(model: str, dtype: torch.dtype) -> Predictor:
    """A small one, no parameter of which is zero."""
    torch.manual_seed(1)
    names = [*NAMES, "polarizability"] if "1o" in TABLE[model].gives else NAMES
    made = Predictor(model, names, {"channels": 16, "n_layers": 2})
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return made.to(dtype)


def cell(verdict: Verdict) -> str:
    """A violation, bold if it is beyond the limit; or why the law does not apply."""
    if verdict.why_not:
        return f"– ({verdict.why_not})"
    number = f"{verdict.found.largest:.0e}"
    return number if verdict.holds else f"**{number}**"


def main() -> None:
    backends = runnable(torch.ones(1))
    columns = [(dtype, backend) for dtype in (torch.float32, torch.float64) for backend in backends]
    lines = [
        "# Laws of physics, asked of every model",
        "",
        "By `scripts/campaigns/laws.py`: the largest violation of each law of `molzoo.check`, as docs/check.md says, by",
        "small untrained models in both precisions on each back end. A law that compares with differences casts the model to",
        "float64. Bold would be a violation.",
    ]
    failed = 0
    for model in TABLE:
        found = {}
        for dtype, backend in columns:
            with use_backend(backend):
                report = check(predictor(model, dtype), structures())
            found[dtype, backend] = {verdict.law.name: verdict for verdict in report.verdicts}
            failed += len(report.violated)
            print(model, dtype, backend, ", ".join(report.violated) or "keeps all", flush=True)
        heads = [f"{str(dtype).removeprefix('torch.')}, {backend}" for dtype, backend in columns]
        lines += ["", f"## {model}", "", f"| law | limits | {' | '.join(heads)} |", "|---" * (2 + len(columns)) + "|"]
        for name, law in LAWS.items():
            limits = f"{law.float64:.0e}" if law.float32 is None else f"{law.float32:.0e}, {law.float64:.0e}"
            lines.append(f"| {name} | {limits} | {' | '.join(cell(found[column][name]) for column in columns)} |")
    n = len(TABLE) * len(columns) * len(LAWS)
    counts = f"{len(LAWS)} laws × {len(TABLE)} models × 2 precisions × {len(backends)} back ends"
    lines[5:5] = ["", f"{counts}: {n} cells, {failed} violations."]
    RECORD.write_text("\n".join(lines) + "\n")
    raise SystemExit(int(failed > 0))


if __name__ == "__main__":
    main()
