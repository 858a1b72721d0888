"""The structures that models are timed on, with edges and labels, as arrays that every package can read."""

import os
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from molzoo.graph import AtomGraph, connect

CUTOFF = 5.0  # Å
WATER = np.array([[0.0, 0.0, 0.0], [0.7572, 0.5865, 0.0], [-0.7572, 0.5865, 0.0]])  # O, H, H in Å
MOLECULES_PER_A3 = 0.997 * 0.602214 / 18.0153  # at 0.997 g/cm³


def aspirins(n: int, data: Path | None = None) -> list[AtomGraph]:
    """Aspirin ``n`` times, rattled by 0.05 Å; from a file with ``z`` and ``pos``, or from rMD17's."""
    file = data or Path(os.environ.get("MOLZOO_DATA", ".")) / "rmd17" / "npz_data" / "rmd17_aspirin.npz"
    if not file.is_file():
        raise SystemExit(f"there is no {file}; set MOLZOO_DATA to the folder that holds rmd17, or give --data FILE")
    with np.load(file) as stored:
        z, pos = (stored["z"], stored["pos"]) if "z" in stored else (stored["nuclear_charges"], stored["coords"][0])
    rng = np.random.default_rng(0)
    return [AtomGraph(z=z, pos=pos + rng.normal(0, 0.05, pos.shape)) for _ in range(n)]


def water(n_molecules: int) -> AtomGraph:
    """A periodic box of water at 0.997 g/cm³: molecules in random orientations on the sites of a cubic lattice."""
    rng = np.random.default_rng(0)
    side = (n_molecules / MOLECULES_PER_A3) ** (1 / 3)
    width = int(np.ceil(n_molecules ** (1 / 3) - 1e-9))
    sites = np.stack(np.meshgrid(*[np.arange(width)] * 3, indexing="ij"), -1).reshape(-1, 3)
    sites = sites[rng.permutation(len(sites))[:n_molecules]] * side / width
    pos = sites[:, None] + np.einsum("nab,mb->nma", Rotation.random(n_molecules, rng=rng).as_matrix(), WATER)
    return AtomGraph(z=[8, 1, 1] * n_molecules, pos=pos.reshape(-1, 3), cell=side * np.eye(3), pbc=True)


def write(path: Path, frames: list[AtomGraph]) -> int:
    """Keep frames with all edges within the cutoff, sorted by receiver, and random labels; gives the number of edges."""
    graphs = [connect(frame, CUTOFF) for frame in frames]
    starts = np.cumsum([0] + [len(graph.z) for graph in graphs])
    edge_shift = torch.cat([graph.edge_shift for graph in graphs])
    rng = np.random.default_rng(1)
    np.savez(
        path,
        z=torch.cat([graph.z for graph in graphs]),
        pos=torch.cat([graph.pos for graph in graphs]),
        batch=np.repeat(np.arange(len(graphs)), np.diff(starts)),
        cell=frames[0].cell[0],
        pbc=frames[0].pbc[0],
        edge_index=torch.cat([graph.edge_index + start for graph, start in zip(graphs, starts[:-1], strict=True)], dim=1),
        edge_shift=edge_shift,
        energy=rng.normal(size=len(graphs)),
        forces=rng.normal(size=(starts[-1], 3)),
    )
    return len(edge_shift)
