"""Directions and distances: the sign convention, periodic images and derivatives where atoms coincide."""

import ase
import numpy as np
import pytest
import torch
from ase.neighborlist import neighbor_list

from molzoo.graph import AtomGraph, connect, from_ase, geometry, length_and_direction, pair_vectors


def test_vectors_point_from_receiver_to_sender_as_in_ase():
    rng = np.random.default_rng(2)
    cell = np.array([[3.0, 0.4, -0.2], [0.1, 2.5, 0.9], [-0.7, 0.3, 4.1]])
    atoms = ase.Atoms("HCNO", rng.random((4, 3)) * 6 - 2, cell=cell, pbc=[True, False, True])
    i, j, shift, D = neighbor_list("ijSD", atoms, 4.0)
    truth = {(b, a, *s): v for a, b, s, v in zip(i, j, shift.tolist(), D, strict=True)}
    graph = connect(from_ase(atoms), 4.0)
    d, u = geometry(graph, torch.float64)
    r = u * d[graph.pair_index, None]
    keys = torch.cat([graph.edge_index.T, graph.edge_shift], 1).tolist()
    assert len(keys) == len(truth) > 20
    assert np.allclose(r.numpy(), [truth[tuple(key)] for key in keys], atol=1e-12)
    assert torch.allclose(pair_vectors(graph), r[graph.pair_edge])
    assert (d < 4.0).all()


def test_reverse_edges_have_exactly_opposite_directions():
    rng = np.random.default_rng(0)
    graph = connect(AtomGraph(z=[1] * 12, pos=rng.random((12, 3)) * 3, cell=np.eye(3) * 3, pbc=True), 3.5)
    _, u = geometry(graph, torch.float32)
    total = torch.zeros(len(graph.pair_edge), 3).index_add(0, graph.pair_index, u)
    assert (total == 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_second_derivatives_are_finite_where_atoms_coincide(dtype):
    pos = torch.tensor([[0.0, 0, 0], [0, 0, 0], [1, 0, 0], [2, 0, 0]], dtype=dtype, requires_grad=True)
    d, u = geometry(connect(AtomGraph(z=[1] * 4, pos=pos), 1.5), dtype)
    energy = (d.square() * torch.cos(d)).sum() + (u * u.detach().roll(1)).sum() ** 2
    (force,) = torch.autograd.grad(energy, pos, create_graph=True)
    force.square().sum().backward()
    assert force.isfinite().all()
    assert pos.grad.isfinite().all()


def test_length_and_direction_differentiate_twice():
    r = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    assert torch.autograd.gradcheck(length_and_direction, r)
    assert torch.autograd.gradgradcheck(length_and_direction, r)


def test_float32_far_from_the_origin_loses_nothing():
    pos = torch.tensor([[0.0, 0, 0], [0.9, 0.1, 0]], dtype=torch.float64)
    near, far = (geometry(connect(AtomGraph(z=[1, 1], pos=pos + x), 2.0), torch.float32).d for x in (0.0, 1e5))
    assert torch.allclose(near, far, rtol=1e-7)
