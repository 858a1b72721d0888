"""Times energy + forces of periodic water, 1,000 to 100,000 atoms at 5 Å, and the memory they need: both should be linear.

    python scripts/bench/scaling.py [--only "NequIP, molzoo table"] [--molecules 333 3333 33333] [--threads 2] [--record]

Each model, way and size is a fresh process (`worker.py`) that may have 16 GiB for all it holds. Its loops are compiled on a few
molecules before; edges are given, as in `models.py`. Memory is the rise of the peak during two evaluations after that. A
process that meets the limit because it keeps what it frees, in pieces, is followed by one that maps each large tensor by itself
(`mapped`, slower); where that meets it too, the record keeps what it said.
"""

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

from machine import MALLOC, MAPPED, machine, write
from models import ROUND, Worker
from structures import water
from structures import write as write_structure

MODELS = ("SchNet", "PaiNN", "NequIP")
WAYS = ("molzoo", "molzoo table")
LIMIT = 16  # GiB
FEW = 8  # molecules, on which loops are compiled
LONG = 10_000  # ms of one evaluation that is not repeated


def measure(way: str, model: str, files: dict[int, Path], molecules: int, known: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds and MiB of an evaluation, or why there is none."""
    for malloc in (MALLOC, MAPPED):
        worker = Worker(way, model, known.threads, malloc)
        try:
            worker.ask("limit", LIMIT)
            worker.ask("use", files[FEW])
            worker.ask("time", "predict", 1)
            worker.ask("use", files[molecules])
            rise = worker.ask("memory", "predict")
            first = worker.ask("time", "predict", 1)
            steps, rounds = max(1, min(10, int(ROUND / first))), known.rounds if first < LONG else 0
            times = [worker.ask("time", "predict", steps) for _ in range(rounds)] or [first]
            return {"ms": statistics.median(times), "MiB": rise} | ({"mapped": True} if malloc == MAPPED else {})
        except RuntimeError as error:
            failed = str(error)
        finally:
            worker.close()
    return {"failed": failed}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="models and ways whose name contains this")
    parser.add_argument("--molecules", type=int, nargs="+", default=[333, 3333, 33333])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--record", action="store_true", help="write docs/results/scaling.json")
    known = parser.parse_args()
    works: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        files = {n: Path(folder) / f"{n}.npz" for n in (FEW, *known.molecules)}
        n_edges = {n: write_structure(file, [water(n)]) for n, file in files.items()}
        for work, model, way in ((f"{model}, {way}", model, way) for model in MODELS for way in WAYS):
            for n in known.molecules if known.only.lower() in work.lower() else ():
                row = {"atoms": 3 * n, "edges": n_edges[n]} | measure(way, model, files, n, known)
                works.setdefault(work, []).append(row)
                print(f"{work}: " + ", ".join(f"{name} {value}" for name, value in row.items()), flush=True)
    if known.record:
        from peer_molzoo import VERSIONS

        write("scaling", machine(known.threads), VERSIONS, works, limit=LIMIT)


if __name__ == "__main__":
    main()
