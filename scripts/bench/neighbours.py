"""Times `neighbour_list` (sorted, paired, int64) against vesin's own full list, runs interleaved so that load hits both.

Run::

    python scripts/bench/neighbours.py [--atoms 10000] [--cutoff 5] [--runs 15]
"""

import argparse
import time

import numpy as np
import torch
import vesin

from molzoo.graph import neighbour_list

DENSITY = 0.1  # atoms/Å³, as in water


def timed(function) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def compare(n_atoms: int, cutoff: float, periodic: bool, runs: int) -> None:
    rng = np.random.default_rng(0)
    side = (n_atoms / DENSITY) ** (1 / 3)
    pos, cell = rng.random((n_atoms, 3)) * side, np.eye(3) * side
    pos_t, cell_t = torch.from_numpy(pos), torch.from_numpy(cell)
    full = vesin.NeighborList(cutoff=cutoff, full_list=True, sorted=True)
    ways = {
        "vesin, full and sorted by receiver": lambda: full.compute(pos, cell, periodic, "ijS"),
        "molzoo, vesin back end": lambda: neighbour_list(pos_t, cutoff, cell_t, periodic, backend="vesin"),
        "molzoo, torch back end": lambda: neighbour_list(pos_t, cutoff, cell_t, periodic, backend="torch"),
    }
    times = {name: [] for name in ways}
    for _ in range(runs):
        for name, way in ways.items():
            times[name].append(timed(way))
    base, n_edges = np.median(times["vesin, full and sorted by receiver"]), len(full.compute(pos, cell, periodic, "i")[0])
    print(f"{n_atoms} atoms, {cutoff:g} Å, {'periodic' if periodic else 'open'}, {n_edges} edges")
    for name, values in times.items():
        middle = np.median(values)
        print(f"  {name:36s} {1e3 * middle:8.1f} ms   least {1e3 * min(values):8.1f} ms   ratio {middle / base:.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--atoms", type=int, default=10_000)
    parser.add_argument("--cutoff", type=float, default=5.0)
    parser.add_argument("--runs", type=int, default=15)
    arguments = parser.parse_args()
    for periodic in (True, False):
        compare(arguments.atoms, arguments.cutoff, periodic, arguments.runs)
