"""How long ``from molzoo import PaiNN`` takes beyond ``import torch_geometric.nn``: ``python scripts/bench/import_time.py``."""

import statistics
import subprocess
import sys
import time

BASE = "import torch, torch_geometric.nn"
REPEATS = 7


def seconds(code: str) -> float:
    """Wall-clock time of ``code`` in an interpreter of its own."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    """Time both in turns, so that whatever else the machine does meets both."""
    codes = {"import torch_geometric.nn": BASE, "… and from molzoo import PaiNN": f"{BASE}\nfrom molzoo import PaiNN"}
    codes |= {f"molzoo {word}": f"from molzoo.cli import main; main(['{word}'])" for word in ("--help", "list", "trian")}
    times: dict[str, list[float]] = {name: [] for name in codes}
    for _ in range(REPEATS + 1):
        for name, code in codes.items():
            times[name].append(seconds(code))
    medians = {name: statistics.median(values[1:]) for name, values in times.items()}  # the first fills the disk cache
    for name, value in medians.items():
        print(f"{name:<34}{value:6.2f} s")
    first, second, *_ = medians.values()
    print(f"{'molzoo adds':<34}{second - first:6.2f} s")


if __name__ == "__main__":
    main()
