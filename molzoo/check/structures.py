"""Structures to check a model with where none are given, and what of given ones is unlike its training data."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from ase import Atoms
from ase.build import bulk, molecule
from ase.collections import g2
from ase.data import chemical_symbols

from molzoo.data.facts import DataFacts
from molzoo.data.source import open_source
from molzoo.graph import AtomGraph, connect, from_ase, pair_vectors

_LIKE_HCNO = (1, 6, 7, 8)  # where the elements that a model learned are not recorded
_NEARER, _DENSER = 0.97, 1.1  # than anything in training: so much is no surprise yet


def examples(facts: DataFacts) -> list[AtomGraph]:
    """A few structures of the elements that a model learned: frames of the embedded sample, molecules, crystals, and one cell.

    >>> [len(graph.z) for graph in examples(DataFacts(elements=[1, 8]))]
    [4, 4]
    """
    found = [from_ase(atoms) for atoms in _covering(set(facts.elements or _LIKE_HCNO))]
    if facts.source.startswith("sample/"):
        found.insert(0, open_source(facts.source).frames[0])
    if not any(graph.pbc.any() for graph in found):
        found.append(in_a_cell(found[0]))
    charge = 0.0 if 0.0 in facts.charges or not facts.charges else facts.charges[0]
    return [graph.clone_with(charge=torch.full((1,), charge, dtype=torch.float64)) for graph in found]


def _covering(elements: set[int]) -> Iterable[Atoms]:
    """Molecules, each of which brings as many new elements as possible, and crystals of those that are in none."""
    molecules = [atoms for atoms in map(molecule, g2.names) if {*atoms.numbers} <= elements and len(atoms) > 1]
    left = set(elements)
    while molecules:
        best = max(molecules, key=lambda atoms: (len(left & {*atoms.numbers}), len(atoms)))
        if not left & {*best.numbers}:
            break
        left -= {*best.numbers}
        yield best
    for z in sorted(left):
        try:
            yield bulk(chemical_symbols[z]) * (2, 1, 1)
        except (ValueError, RuntimeError):  # no crystal structure is tabulated
            yield Atoms([z, z], [[0, 0, 0], [0, 0, 2.5]])


def in_a_cell(graph: AtomGraph) -> AtomGraph:
    """The molecule in a skew periodic cell that leaves 3 Å between it and its images."""
    lengths = graph.pos.amax(0) - graph.pos.amin(0) + 3.0
    cell = torch.diag(lengths)
    cell[1, 0], cell[2, 1] = 0.4, -0.3
    return AtomGraph(z=graph.z, pos=graph.pos, cell=cell, pbc=True, charge=graph.charge)


def unlike(facts: DataFacts, graph: AtomGraph) -> list[str]:
    """What of a structure is outside what the model was trained on: atoms that are too near, too many or too few around one.

    >>> facts = DataFacts(elements=[1], cutoff=5.0, shortest={"H-H": 0.7}, n_neighbours=[1, 1])
    >>> unlike(facts, AtomGraph(z=[1, 1], pos=[[0, 0, 0], [0, 0, 0.6]]))
    ['H and H are 0.60 Å apart; in training never nearer than 0.70 Å']
    """
    if not facts.n_neighbours:
        return []
    graph = connect(graph, facts.cutoff)
    distances = pair_vectors(graph).norm(dim=1)
    ends = graph.z[graph.edge_index[:, graph.pair_edge]].sort(dim=0).values
    said = []
    for a, b in sorted({(int(a), int(b)) for a, b in ends.T}):
        nearest = float(distances[(ends[0] == a) & (ends[1] == b)].min())
        first, second = chemical_symbols[a], chemical_symbols[b]
        seen = facts.shortest.get(f"{first}-{second}")
        if seen is None:
            said.append(f"{first} and {second} are {nearest:.2f} Å apart; in training they never met within {facts.cutoff:g} Å")
        elif nearest < _NEARER * seen:
            said.append(f"{first} and {second} are {nearest:.2f} Å apart; in training never nearer than {seen:.2f} Å")
    return said + _crowding(graph, facts)


def _crowding(graph: AtomGraph, facts: DataFacts) -> list[str]:
    count = torch.bincount(graph.edge_index[1], minlength=len(graph.z))
    (fewest, most), within = facts.n_neighbours, f"within {facts.cutoff:g} Å"
    if int(count.max()) > _DENSER * most:
        return [f"an atom has {int(count.max())} neighbours {within}; in training at most {most}"]
    if int(count.min()) * _DENSER < fewest:
        return [f"an atom has {int(count.min())} neighbours {within}; in training at least {fewest}"]
    return []


def picked(structures: Sequence[Any], at_most: int) -> list[Any]:
    """At most so many of them, evenly spread.

    >>> picked(range(10), 3)
    [0, 4, 9]
    """
    n = min(len(structures), at_most)
    return [structures[(k * (len(structures) - 1)) // max(1, n - 1)] for k in range(n)]
