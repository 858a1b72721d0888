"""DimeNet and DimeNet++ against sums over triplets written out: every neighbour, every image, every angle."""

import math

import pytest
import torch
from scipy.special import eval_legendre

from molzoo.graph import AtomGraph, connect, geometry, reverse_edges, triplets
from molzoo.kernels import use_backend
from molzoo.models import create_model
from molzoo.models.dimenet_pp import HarmonicTripletSum

F64 = torch.float64
STRUCTURES = ["ethanol", "crystal", "HCN", "H2", "atom"]


def positions(graph, edge):
    """k, j and i of edge k→j or j→i: where the sender is when the receiver is at home, and the receiver."""
    j, i = graph.edge_index[:, edge].tolist()
    return graph.pos[j] + graph.edge_shift[edge].to(graph.pos) @ graph.cell[0], graph.pos[i]


def angle_by_hand(graph, kj, ji, at):
    """The angle at j between k and i, or at i between j and k, from three positions."""
    j, i = positions(graph, ji)
    k_of_j, home = positions(graph, kj)
    k = k_of_j + (j - home)
    vertex, ends = (j, (k, i)) if at == "kji" else (i, (j, k))
    a, b = (end - vertex for end in ends)
    return math.acos(float((a @ b / (a.norm() * b.norm())).clamp(-1, 1)))


@pytest.mark.parametrize("angle", ["kji", "jik"])
@pytest.mark.parametrize("name", ["ethanol", "crystal", "HCN"])
def test_polynomials_are_of_the_angle_that_is_asked_for(angle, name, structure):
    graph = connect(structure(name), 5.0)
    model = create_model("DimeNet", channels=4, n_layers=1, angle=angle).double()
    d, u = geometry(graph, F64)
    paths = triplets(graph)
    chosen = slice(None, None, max(1, len(paths.kj) // 60))
    found = model._polynomials(d[graph.pair_index][:, None] * u, paths)[chosen]
    some = zip(paths.kj[chosen].tolist(), paths.ji[chosen].tolist(), strict=True)
    angles = [angle_by_hand(graph, kj, ji, angle) for kj, ji in some]
    by_l = [[math.sqrt((2 * l + 1) / (4 * math.pi)) * eval_legendre(l, math.cos(a)) for l in range(7)] for a in angles]
    torch.testing.assert_close(found, torch.tensor(by_l, dtype=F64), rtol=0, atol=1e-12)


def by_triplets(layer, x, R, graph, u):
    """The sum of DimeNet++ over real triplets, with the angle between directions."""
    paths, pair = triplets(graph), graph.pair_index
    cos = (u[paths.kj] * u[paths.ji]).sum(1).detach().numpy()
    W = (layer.W2.weight @ layer.W1.weight).view(x.shape[1], *R.shape[::2])
    s = torch.zeros(len(paths.kj), x.shape[1], dtype=F64)
    for l in range(len(R)):
        Y = torch.from_numpy(math.sqrt((2 * l + 1) / (4 * math.pi)) * eval_legendre(l, cos))
        s = s + Y[:, None] * (R[l] @ W[:, l].T)[pair[paths.kj]]
    return torch.zeros_like(x).index_add(0, paths.ji, s * x[paths.kj])


@pytest.mark.parametrize("backend", ["fused", "messages"])
@pytest.mark.parametrize("name", STRUCTURES)
def test_the_addition_theorem_gives_the_sum_over_triplets(backend, name, structure):
    graph = connect(structure(name), 5.0)
    model = create_model("DimeNet++", channels=4, n_layers=1, triplet_channels=5, n_spherical=6, n_radial=3).double()
    _, u = geometry(graph, F64)
    x, R = torch.randn(graph.num_edges, 5, dtype=F64), torch.randn(6, len(graph.pair_edge), 3, dtype=F64)
    layer = HarmonicTripletSum(5, 2, 6, 3).double()
    with use_backend(backend):
        found = layer(x, R, model._directions(graph, u))
    wanted = by_triplets(layer, x, R, graph, u)
    assert len(triplets(graph).kj) == 0 or wanted.abs().max() > 0.01
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)


def test_an_edge_without_its_reverse_has_none_taken_out(structure):
    graph = connect(structure("water"), 5.0)
    keep = graph.edge_index[0] > graph.edge_index[1]  # one direction of each pair
    plain = AtomGraph(z=graph.z, pos=graph.pos).clone_with(edge_index=graph.edge_index[:, keep])
    directed = connect(plain, 5.0)
    assert torch.equal(reverse_edges(directed), torch.arange(directed.num_edges))
    _, u = geometry(directed, F64)
    layer = HarmonicTripletSum(5, 2, 7, 3).double()
    x, R = torch.randn(directed.num_edges, 5, dtype=F64), torch.randn(7, len(directed.pair_edge), 3, dtype=F64)
    found = layer(x, R, create_model("DimeNetPP", channels=4, n_layers=1).double()._directions(directed, u))
    torch.testing.assert_close(found, by_triplets(layer, x, R, directed, u), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["CO2", "C2H2", "coincident"])
def test_straight_lines_have_finite_second_derivatives_with_the_papers_angle(name, structure):
    graph = connect(structure(name), 5.0)
    pos = graph.pos.clone().requires_grad_()
    energy = create_model("DimeNet", channels=8, n_layers=2, angle="kji").double()(graph.clone_with(pos=pos)).sum()
    forces = torch.autograd.grad(energy, pos, create_graph=True)[0]
    assert torch.isfinite(forces).all()
    assert torch.isfinite(torch.autograd.grad(forces.square().sum(), pos)[0]).all()


def test_the_two_angles_are_two_models(structure):
    outputs = []
    for angle in ("kji", "jik"):
        torch.manual_seed(0)
        outputs.append(create_model("DimeNet", channels=8, n_layers=1, angle=angle)(structure("water")))
    assert (outputs[0] - outputs[1]).abs().max() > 1e-5


@pytest.mark.parametrize("name", ["DimeNet", "DimeNetPP"])
def test_half_precision_is_close(name, structure, predictor):
    model = predictor(name, dtype=torch.float32)
    wanted = model(structure("ethanol"))["forces"]
    with torch.autocast("cpu", torch.bfloat16):
        found = model(structure("ethanol"))["forces"]
    assert (found - wanted).abs().max() < 0.1 * wanted.abs().max()


def test_another_angle_is_refused(unchecked):
    with pytest.raises(ValueError, match=r"angle is 'kji' \(at j, as in the paper\) or 'jik' .*; got 'ijk'"):
        create_model("DimeNet", angle="ijk")


@pytest.mark.parametrize("name", ["DimeNet++", "dimenet++", "DimeNetPP", "dimenetpp"])
def test_dimenet_pp_has_two_spellings(name):
    assert type(create_model(name, channels=4, n_layers=1)).__name__ == "DimeNetPP"
