"""Triplets against every pair of edges of random structures, periodic images compared as images."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Data

from molzoo.graph import AtomGraph, connect, reverse_edges, triplets

F64 = torch.float64


def crystal(seed, n, edge, pbc=True):
    generator = torch.Generator().manual_seed(seed)
    cell = edge * (torch.eye(3, dtype=F64) + 0.2 * torch.rand(3, 3, generator=generator, dtype=F64))
    pos = torch.rand(n, 3, generator=generator, dtype=F64) @ cell
    return connect(AtomGraph(z=[6] * n, pos=pos, cell=cell, pbc=pbc), 3.0)


def by_hand(graph):
    """Pairs of edges k→j, j→i in which k is not i in the same image."""
    j, i = graph.edge_index.tolist()
    shift, found = graph.edge_shift.tolist(), []
    for ji in range(len(j)):
        for kj in range(len(j)):
            same_image = j[kj] == i[ji] and all(a == -b for a, b in zip(shift[kj], shift[ji], strict=True))
            if i[kj] == j[ji] and not same_image:
                found.append((kj, ji))
    return found


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.booleans())
def test_triplets_are_those_found_by_hand(seed, n, pbc):
    graph = crystal(seed, n, 2.6, pbc)
    found = triplets(graph)
    assert sorted(zip(*(edge.tolist() for edge in found), strict=True)) == sorted(by_hand(graph))
    assert (found.ji.diff() >= 0).all()


def test_an_atom_and_its_own_images_make_triplets():
    graph = crystal(0, 1, 2.6)
    E = graph.num_edges
    assert E > 0
    assert len(triplets(graph).kj) == E * E - E  # every edge follows every other, but for its reverse


def test_there_are_n_times_n_minus_1_for_each_atom(structure):
    graph = connect(structure("ethanol", "crystal", "water", "atom"), 5.0)
    n = torch.bincount(graph.edge_index[1], minlength=len(graph.z))
    assert len(triplets(graph).kj) == int((n * (n - 1)).sum())


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_the_reverse_of_the_reverse_is_the_edge(seed, n):
    graph = crystal(seed, n, 2.6)
    reverse = reverse_edges(graph)
    assert torch.equal(reverse[reverse], torch.arange(graph.num_edges))
    assert torch.equal(graph.edge_index[:, reverse], graph.edge_index.flip(0))
    assert torch.equal(graph.edge_shift[reverse], -graph.edge_shift)
    assert (reverse != torch.arange(graph.num_edges)).all()


def test_an_edge_without_its_reverse_has_all_triplets():
    given_edges = torch.tensor([[0, 1, 2, 2], [1, 0, 0, 2]])  # 0 ⇄ 1, 2 → 0, and 2 → 2 of an image without its opposite
    graph = Data(z=torch.ones(3).long(), pos=torch.eye(3), edge_index=given_edges, cell=torch.eye(3), pbc=torch.ones(3).bool())
    graph.edge_shift = torch.tensor([[0, 0, 0], [0, 0, 0], [0, 0, 0], [1, 0, 0]])
    graph = connect(graph, 5.0)
    first, second = (graph.edge_index[:, edge].T.tolist() for edge in triplets(graph))
    assert sorted((*kj, *ji) for kj, ji in zip(first, second, strict=True)) == [(2, 0, 0, 1), (2, 2, 2, 0), (2, 2, 2, 2)]


@pytest.mark.parametrize("name", ["atom", "nothing", "H2", "far pair"])
def test_where_there_are_no_triplets(name, structure):
    assert [len(edge) for edge in triplets(connect(structure(name), 5.0))] == [0, 0]
