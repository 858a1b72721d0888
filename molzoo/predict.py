"""``predict``: a file of structures in, a file of predictions out. Memory does not grow with the file."""

import copy
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import torch
from ase import Atoms

from molzoo.checkpoint import write_atomically
from molzoo.data.batching import Batches
from molzoo.data.frames import Frames
from molzoo.data.structures import read_structures
from molzoo.predictor import Predictor
from molzoo.quantities import nearest, quantity
from molzoo.writers import WRITERS, Found

_CHUNK_ATOMS = 10_000  # structures are read ahead up to so many atoms
_EDGES_ON_CPU, _EDGES_ELSEWHERE = 8_000, 200_000


def predict(
    predictor: Predictor,
    source: str | Path,
    out: str | Path,
    names: Sequence[str] | None = None,
    max_edges: int | None = None,
) -> int:
    """Predict for each structure in the file ``source`` and write ``out``; the number of structures.

    ``.extxyz`` and ``.xyz`` hold positions, cell, ``info`` and predictions, and ASE reads the latter back as results;
    ``.csv`` has one line for each structure with quantities of whole structures. All in eV, Å, e. ``out`` appears when
    it is complete.

    Args:
        predictor: computes where its parameters are.
        source: any format that ASE reads.
        out: ends in .extxyz, .xyz or .csv.
        names: quantities; by default those the predictor was made for, as far as the format holds them.
        max_edges: directed edges in a batch, which bound memory; a larger structure is a batch of its own. By default few
            on a CPU, where what fits its cache goes fastest, and many elsewhere.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a file or a structure (which is named) cannot be used.
    """
    source, out = Path(source), Path(out)
    if out.suffix not in WRITERS:
        raise ValueError(f"predictions cannot be written to {str(out)!r}; end its name in {', '.join(WRITERS)}")
    if not source.is_file():
        raise FileNotFoundError(f"there is no file {str(source)!r}; give a file of structures that ASE reads")
    if out.exists() and out.samefile(source):
        raise ValueError(f"{str(out)!r} is what is read; give the predictions another name")
    names = _names(predictor, names, out.suffix)
    predictor = copy.deepcopy(predictor).eval().requires_grad_(False)  # gradients of parameters would only cost time
    counter = _Counter()

    def stream(file: IO[bytes]) -> None:
        write = WRITERS[out.suffix](file, names)
        for first, atoms, frames in _chunks(source):
            try:
                for rows, found in _predicted(predictor, frames, names, max_edges):
                    write(first + rows[0], [atoms[row] for row in rows], found)
                    counter.add(len(rows))
            except ValueError:
                _blame(lambda one: next(_predicted(predictor, one, names, max_edges)), frames, source, first)
                raise
        if not counter.n:
            raise ValueError(f"{str(source)!r} holds no structures; give a file that does")

    try:
        write_atomically(out, stream)
    finally:
        counter.close()
    return counter.n


def _names(predictor: Predictor, names: Sequence[str] | None, suffix: str) -> list[str]:
    for name in names or ():
        if quantity(name).name not in predictor.gives:
            can = nearest(name, predictor.gives)
            raise ValueError(f"this {predictor.model_name} does not predict {name!r}{can}")
    if suffix != ".csv":
        return list(names or predictor.names)
    kept = [name for name in names or predictor.names if quantity(name).per == "graph"]
    if not kept or (names and len(kept) < len(names)):
        left = next(name for name in names or predictor.names if name not in kept)
        raise ValueError(f"{left} has a value for each atom, which a .csv does not hold; write to a file that ends in .extxyz")
    return kept


def _chunks(source: Path) -> Iterator[tuple[int, list[Atoms], Frames]]:
    """Structures a handful at a time: number of the first, as ASE reads them, and packed."""
    chunk: list[Atoms] = []
    n_atoms = 0
    for n, atoms in enumerate(read_structures(source)):
        chunk.append(atoms)
        n_atoms += len(atoms)
        if n_atoms >= _CHUNK_ATOMS:
            yield n + 1 - len(chunk), chunk, _packed(chunk)
            chunk, n_atoms = [], 0
    if chunk:
        yield n + 1 - len(chunk), chunk, _packed(chunk)


def _packed(chunk: list[Atoms]) -> Frames:
    spins = [atoms.info.get("spin") for atoms in chunk]
    return Frames(
        torch.from_numpy(np.concatenate([atoms.numbers for atoms in chunk])),
        torch.from_numpy(np.concatenate([atoms.positions for atoms in chunk])),
        np.cumsum([0, *map(len, chunk)]),
        cell=torch.from_numpy(np.stack([atoms.cell.array for atoms in chunk])),
        pbc=torch.from_numpy(np.stack([atoms.pbc for atoms in chunk])),
        charge=torch.tensor([float(atoms.info.get("charge") or 0.0) for atoms in chunk], dtype=torch.float64),
        spin=None if None in spins else torch.tensor(spins, dtype=torch.float64),
    )


def _predicted(
    predictor: Predictor, frames: Frames, names: list[str], max_edges: int | None
) -> Iterator[tuple[list[int], Found]]:
    """Rows of ``frames`` and what is predicted for them, batch by batch."""
    n_edges = frames.connect(predictor.model.cutoff).n_edges
    device = next(predictor.parameters()).device
    max_edges = max_edges or (_EDGES_ON_CPU if device.type == "cpu" else _EDGES_ELSEWHERE)
    for rows in Batches(len(frames), len(frames), shuffle=False, n_edges=n_edges, max_edges=max_edges):
        graph = frames.batch(rows).to(device)
        try:
            with torch.no_grad():
                found = predictor(graph, names)
        except torch.OutOfMemoryError as error:
            size = f"{graph.num_edges} edges ({len(rows)} structures)"
            raise ValueError(f"{device} has not enough memory for {size}; give a max_edges below that") from error
        yield rows, {name: value.cpu().numpy() for name, value in found.items()}


def _blame(act: Callable[[Frames], object], frames: Frames, source: Path, first: int) -> None:
    """Raise what ``act`` says of the first structure that it refuses, with the structure's number."""
    for row in range(len(frames)):
        try:
            act(frames.select([row]))
        except ValueError as error:
            raise ValueError(f"{source}, structure {first + row} (counted from 0): {error}") from error


class _Counter:
    """Counts structures, and shows how many and how fast where somebody is looking."""

    def __init__(self) -> None:
        self.n, self.started, self.shown = 0, time.monotonic(), 0.0

    def add(self, n: int) -> None:
        self.n += n
        now = time.monotonic()
        if now - self.shown > 0.5 and sys.stderr.isatty():
            self.shown = now
            print(f"\r{self.n} structures, {self.n / (now - self.started):.0f}/s ", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        if self.shown:
            print(file=sys.stderr)
