"""Plants one fault at a time in a copy of the package and notes the first test that falls: docs/results/mutations.md.

python scripts/campaigns/mutations.py            all; those recorded for sources that have not changed are left out
python scripts/campaigns/mutations.py ema voigt  those whose names hold one of these words, anew
python scripts/campaigns/mutations.py --check    none: only says whether each can be planted

The faults stand in faults.txt: a name, a file with the tests that should see it, lines taken out (-) and put in (+). These
tests run first, up to the first that falls; if all pass, a wider set. What survives is a finding: a test is missing. The test
that falls must pass without the fault, or it has caught nothing.
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
TABLE = Path(__file__).with_name("faults.txt")
RECORD = ROOT / "docs" / "results" / "mutations.md"
COPIED = ("molzoo", "tests", "configs", "scripts", "pyproject.toml")
WIDER = [f"tests/{part}" for part in ("graph", "nn", "kernels", "models", "data", "train")] + [
    f"tests/test_{name}.py" for name in ("properties", "predictor", "calculator", "checkpoint", "loss", "ase")
]
SECONDS = 1800


class Fault(NamedTuple):
    """``old`` stands once in ``file`` and becomes ``new``; ``tests`` are what should see it."""

    name: str
    file: str
    tests: list[str]
    old: str
    new: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="parts of names")
    parser.add_argument("--check", action="store_true", help="plant all, run nothing")
    options = parser.parse_args()
    faults, rows = read_faults(), recorded()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)  # of now: sources may be edited while the tests run
        for name in COPIED:
            source, ignore = ROOT / name, shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, copy / name, ignore=ignore) if source.is_dir() else shutil.copy2(source, copy / name)
        marks = {fault.name: mark(fault, copy) for fault in faults}  # all of them can be planted, or nothing begins
        if options.check:
            print(f"all {len(faults)} faults can be planted")
            return
        for fault in faults:
            asked = any(word.lower() in fault.name.lower() for word in options.words)
            if asked or (not options.words and rows.get(fault.name, ["", ""])[-1] != marks[fault.name]):
                rows[fault.name] = [*trial(fault, copy), marks[fault.name]]
                write(faults, rows)


def read_faults() -> list[Fault]:
    """The table of faults."""
    faults = []
    for block in TABLE.read_text().strip().split("\n\n"):
        (title, where), lines = block.splitlines()[:2], block.splitlines()[2:]
        file, tests = where.split(": ")
        old, new = ("\n".join(line[1:] for line in lines if line[0] == sign) for sign in "-+")
        faults.append(Fault(title.removeprefix("# "), file, tests.split(), old, new))
    return faults


def planted(fault: Fault, copy: Path) -> str:
    """The file with the fault in it."""
    text = (copy / fault.file).read_text()
    if text.count(fault.old) != 1:
        sys.exit(f"{fault.name}: {fault.old!r} stands {text.count(fault.old)} times in {fault.file}; correct {TABLE.name}")
    return text.replace(fault.old, fault.new)


def mark(fault: Fault, copy: Path) -> str:
    """A hash of the file with the fault in it, which is Python, and is to be tried by tests that are there."""
    text = planted(fault, copy)
    compile(text, fault.file, "exec")
    for test in fault.tests[: fault.tests.index("-k")] if "-k" in fault.tests else fault.tests:
        if not (copy / test).exists():
            sys.exit(f"{fault.name}: there is no {test}; correct {TABLE.name}")
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def trial(fault: Fault, copy: Path) -> list[str]:
    """The row of the table for one fault."""
    path, begin = copy / fault.file, time.monotonic()
    whole = path.read_text()
    path.write_text(planted(fault, copy))
    try:
        test = first_failure(fault.tests, copy) or first_failure(WIDER, copy) or "**survived**"
    finally:
        path.write_text(whole)
    seconds = f"{time.monotonic() - begin:.0f}"
    caught = test if "**" in test else f"`{test.split('[')[0]}`"
    if "**" not in test and first_failure([test], copy):
        caught = f"**nothing: {caught} falls without it too**"
    print(f"{fault.name}: {caught}, {seconds} s", flush=True)
    return [fault.name, f"`{fault.file}`", caught, seconds]


def first_failure(tests: list[str], copy: Path) -> str:
    """The test that falls first, with its parameters; empty if all pass."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-rfE", "--no-header", "--tb=no", *tests]
    environment = os.environ | {"PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"**no end after {SECONDS} s**"
    found = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", done.stdout, re.MULTILINE)
    return found[1] if found else f"**the tests end with {done.returncode}**" * (done.returncode != 0)


def recorded() -> dict[str, list[str]]:
    """The rows that are in the table already."""
    lines = RECORD.read_text().splitlines() if RECORD.is_file() else []
    rows = [line.strip("| ").split(" | ") for line in lines if re.match(r"\| .* \| `molzoo/", line)]
    return {row[0]: row for row in rows}


def write(faults: list[Fault], rows: dict[str, list[str]]) -> None:
    table = [f"| {' | '.join(rows[fault.name])} |" for fault in faults if fault.name in rows]
    missed = sum("**" in line for line in table)
    RECORD.write_text(
        "# Faults that were planted\n\n"
        "One at a time, in a copy of the package; `scripts/campaigns/mutations.py` plants them again. A fault that survives\n"
        f"is a missing test. {len(table)} of {len(faults)} have been tried, {missed} were not caught.\n\n"
        "| fault | file | caught by | seconds | file with fault |\n|---|---|---|---|---|\n" + "\n".join(table) + "\n"
    )


if __name__ == "__main__":
    main()
