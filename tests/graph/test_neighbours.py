"""Which edges there are: against brute force and ASE, for every back end."""

import sys
import time
import types

import ase
import numpy as np
import pytest
import torch
from ase.neighborlist import neighbor_list
from scipy.spatial.transform import Rotation
from torch import tensor

from molzoo.graph import neighbour_list, radius_graph
from molzoo.graph.pairs import both_directions, given_edges

BACKENDS = ["vesin", "torch"]


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("block", range(10))
def test_500_random_structures_equal_brute_force_and_ase(block, case, brute_force, edge_set, check_pairs):
    for seed in range(50 * block, 50 * block + 50):
        c = case(seed)
        found = [neighbour_list(*c.tensors, backend=backend) for backend in BACKENDS]
        assert same(*found), (seed, c.kind)
        truth = brute_force(c)
        assert edge_set(found[0]) == truth, (seed, c.kind)
        atoms = ase.Atoms(f"H{len(c.pos)}", c.pos, cell=c.cell, pbc=c.pbc)
        i, j, shift, d = neighbor_list("ijSd", atoms, c.cutoff)
        assert set(map(tuple, np.column_stack([j, i, shift]).tolist())) == truth, (seed, c.kind)
        assert d.max(initial=0) < c.cutoff
        check_pairs(found[0])


def test_the_random_structures_are_what_they_claim(case):
    cases = [case(seed) for seed in range(70)]
    assert {c.kind for c in cases} == {"triclinic", "left-handed", "mixed", "one atom", "slab", "open slab", "molecule"}
    assert all(np.linalg.det(c.cell) < 0 for c in cases if c.kind == "left-handed")
    lone = [len(neighbour_list(*c.tensors).pair_edge) for c in cases if c.kind == "one atom"]
    assert min(lone) > 20


@pytest.mark.parametrize("backend", BACKENDS)
def test_dense_cluster_has_no_cap(backend, check_pairs):
    pos = torch.rand(100, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 5
    found = neighbour_list(pos, 10.0, backend=backend)
    assert found.edge_index.shape[1] == 100 * 99
    check_pairs(found)


@pytest.mark.parametrize("pbc", [False, True])
def test_edges_survive_rotation_permutation_and_translation(pbc, edge_set):
    rng = np.random.default_rng(3)
    pos, cell = rng.random((40, 3)) * 8, np.eye(3) * 8 + rng.normal(size=(3, 3))
    turn, order, move = Rotation.random(rng=4).as_matrix(), rng.permutation(40), rng.normal(size=3) * 20
    start = edge_set(neighbour_list(torch.from_numpy(pos), 4.0, torch.from_numpy(cell), pbc))
    turned = (pos @ turn.T + move)[order]
    found = neighbour_list(torch.from_numpy(turned), 4.0, torch.from_numpy(cell @ turn.T), pbc)
    back = {(order[j], order[i], *shift) for j, i, *shift in edge_set(found)}
    assert back == start


@pytest.mark.parametrize("backend", BACKENDS)
def test_sorted_linearly_and_by_comparison_is_the_same(backend, monkeypatch, check_pairs):
    pos = torch.rand(60, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 6
    pos[7] += 6.0 * 40_000  # an atom that drifted through very many cells
    few = neighbour_list(pos, 3.5, torch.eye(3) * 6, True, backend=backend)
    monkeypatch.setattr("molzoo.graph.pairs._FEW", 0)
    many = neighbour_list(pos, 3.5, torch.eye(3) * 6, True, backend=backend)
    assert same(few, many)
    check_pairs(many)


def test_large_box_searched_in_pieces(monkeypatch):
    pos = torch.rand(500, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 17
    whole = neighbour_list(pos, 5.0, torch.eye(3) * 17, True, backend="vesin")
    monkeypatch.setattr("molzoo.graph.search._CANDIDATES", 5000)
    assert same(whole, neighbour_list(pos, 5.0, torch.eye(3) * 17, True, backend="torch"))


def test_an_atom_far_away_costs_nothing():
    pos = torch.rand(2000, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 27
    pos = torch.cat([pos, pos[:1] + 1e5, pos[:1] - 3e7])
    start = time.process_time()
    found = neighbour_list(pos, 5.0, backend="torch")
    assert time.process_time() - start < 3
    assert same(found, neighbour_list(pos, 5.0))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_batch_is_its_structures_one_after_the_other(backend, case):
    cases = [case(seed) for seed in range(21)]
    cutoff = 2.5
    cases.insert(4, type(cases[0])("empty", np.zeros((0, 3)), np.eye(3), [True] * 3, cutoff))
    batch = torch.cat([torch.full((len(c.pos),), g) for g, c in enumerate(cases)])
    pos, cell, pbc = (
        torch.from_numpy(np.concatenate([c.pos for c in cases])),
        torch.from_numpy(np.stack([c.cell for c in cases])),
        torch.from_numpy(np.stack([np.asarray(c.pbc) for c in cases])),
    )
    found = neighbour_list(pos, cutoff, cell, pbc, batch, backend)
    singles, atoms, pairs, edges = [], 0, 0, 0
    for c in cases:
        one = neighbour_list(c.tensors[0], cutoff, *c.tensors[2:], backend=backend)
        singles.append((one.edge_index + atoms, one.edge_shift, one.pair_index + pairs, one.pair_edge + edges))
        atoms, pairs, edges = atoms + len(c.pos), pairs + len(one.pair_edge), edges + len(one.pair_index)
    edge_index, *rest = zip(*singles, strict=True)
    assert same(found, (torch.cat(edge_index, 1), *map(torch.cat, rest)))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("n", [0, 1])
def test_no_atoms_and_one_atom(backend, n):
    for options in ({}, {"cell": torch.eye(3) * 9, "pbc": True}):
        found = neighbour_list(torch.zeros(n, 3), 5.0, backend=backend, **options)
        assert [t.shape for t in found] == [(2, 0), (0, 3), (0,), (0,)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_coincident_atoms_are_neighbours(backend):
    found = neighbour_list(torch.zeros(2, 3), 1.0, backend=backend)
    assert found.edge_index.tolist() == [[1, 0], [0, 1]]


def test_distance_equal_to_the_cutoff_is_outside_for_every_back_end():
    # In a perfect lattice many distances equal the cutoff but for rounding: the same rule must decide everywhere.
    grid = torch.cartesian_prod(*[torch.arange(4.0, dtype=torch.float64)] * 3)
    for a in (1.0, 0.1, 3.61 / 7):
        for pos in (grid * a, grid * a + 13.7):
            first, second = (neighbour_list(pos, 2 * a, torch.eye(3) * 4 * a, True, backend=b) for b in BACKENDS)
            assert same(first, second)
    exact = neighbour_list(grid, 2.0, torch.eye(3) * 4, True)
    assert len(exact.pair_index) == 64 * (6 + 12 + 8)


def test_float32_positions_are_compared_in_float64(edge_set):
    pos = torch.rand(50, 3, generator=torch.Generator().manual_seed(2)) * 10
    assert edge_set(neighbour_list(pos, 4.0)) == edge_set(neighbour_list(pos.double(), 4.0))


def test_far_flat_structures_are_found(check_pairs):
    # vesin 0.6.2 would divide by zero here, which ends the process: no `except` could catch it.
    for extent in [(1200, 1200, 1), (5000, 5000, 7), (310_000, 3, 3)]:
        e = tensor(extent, dtype=torch.float64)
        pos = torch.stack([e * 0, e, e + tensor([0, 0, 1.0])])
        for pbc in (False, True):
            found = neighbour_list(pos, 3.0, torch.diag(e), pbc)
            assert same(found, neighbour_list(pos, 3.0, torch.diag(e), pbc, backend="torch"))
            check_pairs(found)


NAN = tensor([[0.0, 0, 0], [0, float("nan"), 0]])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"pos": NAN}, "atom 1 is not finite"),
        ({"cutoff": 0.0}, "positive"),
        ({"cutoff": -1.0}, "positive"),
        ({"cutoff": float("nan")}, "positive"),
        ({"batch": tensor([1, 0])}, "batch.argsort"),
        ({"batch": tensor([0, 2]), "cell": torch.zeros(2, 3, 3), "pbc": False}, "one for each cell"),
        ({"pbc": True}, "span no cell"),
        ({"cell": torch.diag(tensor([3.0, 3, 0])), "pbc": True}, "periodic along a, b, c"),
        ({"cell": torch.ones(3, 3), "pbc": [True, True, False]}, "periodic along a, b "),
        ({"cell": torch.eye(3)}, "pbc=False for a molecule"),
        ({"cell": torch.full((3, 3), float("nan")), "pbc": True}, "NaN"),
        ({"backend": "vesinn"}, "did you mean 'vesin'"),
        ({"backend": "matscipy"}, "known are"),
    ],
)
def test_what_has_no_answer_is_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        neighbour_list(**({"pos": torch.zeros(2, 3), "cutoff": 3.0} | arguments))


def test_cells_without_periodicity_are_not_read():
    pos = torch.rand(20, 3, generator=torch.Generator().manual_seed(3)) * 6
    bare = neighbour_list(pos, 3.0)
    for cell in (torch.zeros(3, 3), torch.ones(3, 3), torch.full((3, 3), float("nan"))):
        for backend in BACKENDS:
            assert same(bare, neighbour_list(pos, 3.0, cell, False, backend=backend))


class TestRadiusGraph:
    pos = torch.rand(30, 3, generator=torch.Generator().manual_seed(5)) * 6
    batch = tensor([0] * 12 + [1] * 18)

    def test_is_all_pairs_within_the_radius_in_each_structure(self):
        edge_index = radius_graph(self.pos, 3.0, self.batch)
        near = (torch.cdist(self.pos, self.pos) < 3.0) & (self.batch[:, None] == self.batch) & ~torch.eye(30, dtype=bool)
        assert torch.equal(edge_index, near.nonzero().T.flip(0))

    def test_loop_and_flow_mean_what_they_mean_in_pyg(self):
        plain, loop = radius_graph(self.pos, 3.0, self.batch), radius_graph(self.pos, 3.0, self.batch, loop=True)
        assert loop.shape[1] == plain.shape[1] + 30
        assert torch.equal(loop[:, loop[0] != loop[1]], plain)
        assert (loop[1].diff() >= 0).all()
        back = radius_graph(self.pos, 3.0, self.batch, flow="target_to_source")
        assert torch.equal(back, plain.flip(0))

    def test_a_cap_is_refused_if_an_atom_could_reach_it(self):
        with pytest.raises(ValueError, match=r"never truncates.*an atom among 18 can have more than max_num_neighbors = 16"):
            radius_graph(self.pos, 3.0, self.batch, max_num_neighbors=16)
        with pytest.raises(ValueError, match="never truncates"):
            radius_graph(self.pos, 3.0, self.batch, loop=True, max_num_neighbors=17)
        plain = radius_graph(self.pos, 3.0, self.batch)
        assert torch.equal(radius_graph(self.pos, 3.0, self.batch, max_num_neighbors=17), plain)
        assert radius_graph(torch.zeros(0, 3), 3.0, max_num_neighbors=0).shape == (2, 0)


def test_torch_cluster_equals_torch():
    pytest.importorskip("torch_cluster")
    pos = torch.rand(80, 3, generator=torch.Generator().manual_seed(6)) * 9
    batch = tensor([0] * 30 + [1] * 50)
    assert same(neighbour_list(pos, 4.0, batch=batch, backend="torch_cluster"), neighbour_list(pos, 4.0, batch=batch))


def test_torch_cluster_is_asked_for_all_neighbours_and_decides_nothing(monkeypatch):
    def stand_in(x, r, batch, max_num_neighbors):
        assert max_num_neighbors >= 50
        d = torch.cdist(x, x)
        near = (d <= r) & (batch[:, None] == batch) & ~torch.eye(len(x), dtype=torch.bool)
        return near.nonzero().T

    monkeypatch.setitem(sys.modules, "torch_cluster", types.SimpleNamespace(radius_graph=stand_in))
    pos = torch.rand(80, 3, generator=torch.Generator().manual_seed(6)) * 9
    batch = tensor([0] * 30 + [1] * 50)
    assert same(neighbour_list(pos, 4.0, batch=batch, backend="torch_cluster"), neighbour_list(pos, 4.0, batch=batch))
    with pytest.raises(ValueError, match="no periodic cells"):
        neighbour_list(pos, 4.0, torch.eye(3) * 9, True, backend="torch_cluster")


def test_torch_cluster_missing_is_said_in_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_cluster", None)
    with pytest.raises(ValueError, match="torch_cluster cannot be imported"):
        neighbour_list(torch.zeros(2, 3), 1.0, backend="torch_cluster")


def test_tensors_are_sorted_and_paired_as_arrays_are(case):
    # On a GPU the same code runs on tensors; here it does so on the CPU.
    for seed in range(14):
        c = case(seed)
        found = neighbour_list(*c.tensors)
        half = found.pair_edge[torch.randperm(len(found.pair_edge))]
        j, i = found.edge_index[:, half]
        shift = found.edge_shift[half]
        assert same(found, both_directions(i, j, shift))
        assert same(found, both_directions(i.numpy(), j.numpy(), shift.numpy()))
        some = torch.randperm(found.edge_index.shape[1])[: len(half)]
        edges = (*found.edge_index[:, some], found.edge_shift[some])
        (tensors, order), (arrays, same_order) = given_edges(*edges), given_edges(*(x.numpy() for x in edges))
        assert same(tensors, arrays)
        assert torch.equal(order, same_order)
        assert torch.equal(found.edge_index[:, some[order]], tensors.edge_index)
