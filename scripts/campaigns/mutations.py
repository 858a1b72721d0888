"""Plants one fault at a time in a copy of the package and notes the first test that falls: docs/results/mutations.md.

python scripts/campaigns/mutations.py            all that are not recorded for the sources as they are now
python scripts/campaigns/mutations.py ema voigt  those whose names hold one of these words, anew

The tests that should see a fault run first; if they pass, a wider set. What survives is a finding: a test is missing.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "docs" / "results" / "mutations.md"
COPIED = ("molzoo", "tests", "configs", "scripts", "pyproject.toml")
WIDER = "tests/graph tests/nn tests/models tests/data tests/train tests/test_properties.py tests/test_predictor.py \
tests/test_calculator.py tests/test_checkpoint.py tests/test_ase.py"
SECONDS = 1200


class Fault(NamedTuple):
    """``old`` stands once in ``file`` and becomes ``new``; ``tests`` are what should see it."""

    name: str
    file: str
    old: str
    new: str
    tests: str


CAP = """seen: dict[int, int] = {}
    few = [k for k, a in enumerate(i.tolist()) if seen.update({a: seen.get(a, 0) + 1}) or seen[a] <= 32]
    return both_directions(i[few], j[few], shift[few])"""
ONCE = """order = index.argsort(stable=True)
    import torch
    return torch.segment_reduce(rows[order], "sum", lengths=torch.bincount(index, minlength=n), axis=0, unsafe=True)"""
TURNED = """table = math.sqrt(2 * l_out + 1) * wigner_3j(l_in, path.l, l_out, torch.float64)
        return table.mT if (l_in, path.l, l_out) == (1, 1, 1) else table"""

FAULTS = (
    Fault(
        "sign of the forces",
        "molzoo/properties.py",
        '{"forces": -gradients[0]}',
        '{"forces": gradients[0]}',
        "tests/test_calculator.py",
    ),
    Fault(
        "create_graph dropped",
        "molzoo/properties.py",
        "by, create_graph=create_graph)",
        "by, retain_graph=True)",
        "tests/test_predictor.py",
    ),
    Fault(
        "sender and receiver swapped",
        "molzoo/graph/pairs.py",
        "xp.stack([sender, receiver])",
        "xp.stack([receiver, sender])",
        "tests/graph/test_neighbours.py",
    ),
    Fault(
        "sign of the shift",
        "molzoo/graph/geometry.py",
        "return r + (shift[graph.pair_edge]",
        "return r - (shift[graph.pair_edge]",
        "tests/graph/test_geometry.py",
    ),
    Fault(
        "cell transposed",
        "molzoo/graph/geometry.py",
        "[:, :, None] * cell).sum(1)",
        "[:, None, :] * cell).sum(2)",
        "tests/graph/test_geometry.py",
    ),
    Fault(
        "envelope missing on one path",
        "molzoo/models/painn.py",
        "torch.cat([f * e, f], dim=1)",
        "torch.cat([f * e, torch.ones_like(f)], dim=1)",
        "tests/models/test_contract.py -k PaiNN",
    ),
    Fault(
        "envelope not clamped beyond the cutoff",
        "molzoo/nn/cutoff.py",
        "x = (d / self.cutoff).clamp(max=1.0) if clamp else d / self.cutoff",
        "x = d / self.cutoff",
        "tests/nn/test_cutoff.py",
    ),
    Fault(
        "coupling 1⊗1→1 transposed",
        "molzoo/nn/convolution.py",
        "return math.sqrt(2 * l_out + 1) * wigner_3j(l_in, path.l, l_out, torch.float64)",
        TURNED,
        "tests/nn/test_convolution.py",
    ),
    Fault(
        "parity of one output flipped",
        "molzoo/nn/convolution.py",
        "return [Path(b, l, block[ir]) for b, l, ir in found], irreps_out",
        'flipped = str(irreps_out).replace("1o", "1x").replace("1e", "1o").replace("1x", "1e")\n'
        "    return [Path(b, l, block[ir]) for b, l, ir in found], Irreps(flipped)",
        "molzoo/nn/convolution.py tests/models/test_nequip.py",
    ),
    Fault(
        "order of the harmonics' components",
        "molzoo/o3/harmonics.py",
        "    watched = torch.compiler.is_compiling()",
        "    x = x[..., [1, 2, 0]]\n    watched = torch.compiler.is_compiling()",
        "tests/o3/test_harmonics.py",
    ),
    Fault(
        "pair_index without the graph's offset",
        "molzoo/graph/atom_graph.py",
        'return self["pair_edge"].numel()',
        "return 0",
        "tests/graph/test_connect.py",
    ),
    Fault(
        "cap of 32 neighbours",
        "molzoo/graph/neighbours.py",
        "return both_directions(i, j, shift)",
        CAP,
        "tests/graph/test_neighbours.py",
    ),
    Fault(
        "a reduction that differentiates once",
        "molzoo/nn/scatter.py",
        "return rows.new_zeros(n, *rows.shape[1:]).index_add(0, index, rows)",
        ONCE,
        "tests/nn/test_scatter.py",
    ),
    Fault(
        "references counted twice",
        "molzoo/properties.py",
        "atoms = self.reference(graph.z) + self.scale",
        "atoms = 2 * self.reference(graph.z) + self.scale",
        "tests/test_properties.py",
    ),
    Fault(
        "labels rounded to float32 before references are taken off",
        "molzoo/data/frames.py",
        "self.labels = {name: torch.as_tensor(value, dtype=torch.float64) for",
        "self.labels = {name: torch.as_tensor(value, dtype=torch.float32).double() for",
        "tests/data/test_frames.py",
    ),
    Fault(
        "mean over atoms instead of their sum",
        "molzoo/properties.py",
        "return dict(zip(self.gives, (sum_rows(atoms,",
        "return dict(zip(self.gives, (mean_rows(atoms,",
        "tests/test_properties.py",
    ),
    Fault(
        "Voigt order",
        "molzoo/graph/from_ase.py",
        "xx, yy, zz, yz, xz, xy = value",
        "xx, yy, zz, xy, yz, xz = value",
        "tests/graph/test_from_ase.py",
    ),
    Fault(
        "charge constraint dropped",
        "molzoo/properties.py",
        "charges = raw + (excess / atoms)[batch]",
        "charges = raw",
        "tests/test_properties.py",
    ),
    Fault(
        "raw weights saved instead of their average",
        "molzoo/train/trainer.py",
        "callbacks += [StepLimit(steps)] * (steps != -1) + [EMA(task.ema)] * (task.ema != 0)",
        "callbacks = [EMA(task.ema)] * (task.ema != 0) + callbacks + [StepLimit(steps)] * (steps != -1)",
        "tests/train/test_resume.py -k average",
    ),
    Fault(
        "a detached distance",
        "molzoo/graph/geometry.py",
        "d, u = length_and_direction(pair_vectors(graph))",
        "d, u = length_and_direction(pair_vectors(graph))\n    d = d.detach()",
        "tests/test_calculator.py -k hessian",
    ),
    # five more
    Fault(
        "QM9's list of bad molecules off by one",
        "molzoo/data/qm9.py",
        "int(word[0]) - 1 for word",
        "int(word[0]) for word",
        "tests/data/test_sources.py",
    ),
    Fault(
        "dipole taken from the origin",
        "molzoo/properties.py",
        "return pos - centre[batch]",
        "return pos",
        "tests/test_properties.py",
    ),
    Fault(
        "results of another charge served from the cache",
        "molzoo/calculator.py",
        'return changes if same else [*changes, "info"]',
        "return changes",
        "tests/test_calculator.py",
    ),
    Fault(
        "a resumed run forgets its schedule",
        "molzoo/train/task.py",
        'self.schedule.load_state_dict(checkpoint["molzoo"]["schedule"])',
        "pass",
        "tests/train/test_resume.py -k plateau",
    ),
    Fault(
        "norm with an infinite derivative at zero",
        "molzoo/graph/geometry.py",
        "d = torch.where(zero, 1.0, square).sqrt()",
        "d = square.sqrt()",
        "tests/graph/test_geometry.py",
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="parts of names")
    words = parser.parse_args().words
    for fault in FAULTS:
        planted(fault)  # all of them can be planted, or nothing begins
    rows = recorded()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in COPIED:
            source = ROOT / name
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, copy / name, ignore=ignore) if source.is_dir() else shutil.copy2(source, copy / name)
        for fault in FAULTS:
            asked = any(word.lower() in fault.name.lower() for word in words)
            if asked or (not words and rows.get(fault.name, ["", ""])[-1] != mark(fault)):
                rows[fault.name] = trial(fault, copy)
                write(rows)


def planted(fault: Fault) -> str:
    """The file with the fault in it."""
    text = (ROOT / fault.file).read_text()
    if text.count(fault.old) != 1:
        sys.exit(f"{fault.name}: {fault.old!r} stands {text.count(fault.old)} times in {fault.file}; correct the table")
    return text.replace(fault.old, fault.new)


def mark(fault: Fault) -> str:
    """A hash of the file with the fault in it."""
    return hashlib.sha256(planted(fault).encode()).hexdigest()[:8]


def trial(fault: Fault, copy: Path) -> list[str]:
    """The row of the table for one fault."""
    path, begin = copy / fault.file, time.monotonic()
    path.write_text(planted(fault))
    try:
        caught = first_failure(fault.tests, copy) or first_failure(WIDER, copy) or "**survived**"
    finally:
        shutil.copy2(ROOT / fault.file, path)
    seconds = f"{time.monotonic() - begin:.0f}"
    print(f"{fault.name}: {caught}, {seconds} s", flush=True)
    return [fault.name, f"`{fault.file}`", caught, seconds, mark(fault)]


def first_failure(tests: str, copy: Path) -> str:
    """The test that fails first; empty if all pass."""
    there = [word for word in tests.split() if not word.startswith("tests/") or (copy / word).exists()]
    words = [sys.executable, "-m", "pytest", "-x", "-q", "-rfE", "--no-header", *there]
    environment = os.environ | {"PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(words, cwd=copy, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"no end after {SECONDS} s"
    if done.returncode in (0, 5):  # all passed, or no test is of that name
        return ""
    found = re.search(r"^(?:FAILED|ERROR) (\S+?)(?:\[| - |$)", done.stdout, re.MULTILINE)
    return f"`{found[1]}`" if found else f"the tests end with {done.returncode}"


def recorded() -> dict[str, list[str]]:
    """The rows that are in the table already."""
    lines = RECORD.read_text().splitlines() if RECORD.is_file() else []
    rows = [line.strip("| ").split(" | ") for line in lines if re.match(r"\| .* \| `molzoo/", line)]
    return {row[0]: row for row in rows}


def write(rows: dict[str, list[str]]) -> None:
    table = [f"| {' | '.join(rows[fault.name])} |" for fault in FAULTS if fault.name in rows]
    survived = sum("survived" in line for line in table)
    RECORD.write_text(
        "# Faults that were planted\n\n"
        "One at a time, in a copy of the package; `scripts/campaigns/mutations.py` plants them again. A fault that survives\n"
        f"is a missing test. {len(table)} of {len(FAULTS)} have been tried, {survived} survived.\n\n"
        "| fault | file | caught by | seconds | file with fault |\n|---|---|---|---|---|\n" + "\n".join(table) + "\n"
    )


if __name__ == "__main__":
    main()
