"""Where and with what something was timed, and the file that says so."""

import json
import math
import os
import resource
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
GiB = 2**30
MALLOC = {"MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TRIM_THRESHOLD_": "4294967296", "MALLOC_ARENA_MAX": "1"}
"""Freed memory is kept, so that a large tensor does not cost the mapping of fresh pages each time."""

MAPPED = {"MALLOC_MMAP_THRESHOLD_": "1048576"}
"""Each large tensor is mapped and unmapped by itself, so that a process holds what lives: between aligned tensors of one size
glibc's heap (2.36) leaves gaps that no further one fits into, and doubles what a step seems to need."""


def keep_memory() -> None:
    """Begin this script anew with MALLOC, which a process reads when it starts."""
    if not MALLOC.items() <= os.environ.items():
        os.execve(sys.executable, sys.orig_argv, os.environ | MALLOC)


def machine(threads: int) -> dict[str, Any]:
    """Processor, memory, threads and commit."""
    cpu = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "? : ?")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return {
        "processor": cpu.split(":")[1].strip(),
        "cores": os.cpu_count(),
        "memory GiB": round(_memory() / GiB),
        "threads": threads,
        "malloc": MALLOC,
        "commit": commit.stdout.strip(),
    }


def limit_memory(most: float = math.inf) -> None:
    """Let this process fail by itself, with an error that can be caught, beyond ``most`` bytes or 4/5 of the machine's."""
    resource.setrlimit(resource.RLIMIT_DATA, (int(min(most, 0.8 * _memory())),) * 2)


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def write(name: str, where: dict[str, Any], versions: dict[str, Any], works: dict[str, Any], **more: Any) -> None:
    """Keep docs/results/NAME.json, of which `table.py` makes docs/benchmarks.md."""
    command = shlex.join(["python", os.path.relpath(sys.argv[0], ROOT), *sys.argv[1:]])
    record = {"command": command, "machine": where, "versions": versions, "works": works} | more
    (ROOT / "docs" / "results" / f"{name}.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
