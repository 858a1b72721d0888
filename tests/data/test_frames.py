import numpy as np
import pytest
import torch
from torch_geometric.data import Batch

from molzoo.data.frames import Frames
from molzoo.graph import AtomGraph, neighbour_list

CUTOFF = 3.0


def molecules(n=7, seed=0):
    g = torch.Generator().manual_seed(seed)
    graphs = []
    for i in range(n):
        n_atoms = 1 + int(torch.randint(6, (), generator=g))
        graphs.append(
            AtomGraph(
                z=torch.randint(1, 9, (n_atoms,), generator=g),
                pos=torch.randn(n_atoms, 3, generator=g, dtype=torch.float64) * 1.5,
                charge=float(i % 3 - 1),
                spin=1.0 + i % 2,
                energy=float(i),
                dipole=torch.randn(3, generator=g, dtype=torch.float64),
                forces=torch.randn(n_atoms, 3, generator=g, dtype=torch.float64),
                charges=torch.randn(n_atoms, generator=g, dtype=torch.float64),
            )
        )
    return graphs


def cells(n=5, seed=1):
    g = torch.Generator().manual_seed(seed)
    random = lambda *shape: torch.randn(*shape, generator=g, dtype=torch.float64)  # noqa: E731
    return [
        AtomGraph(
            z=[29, 13, 29],
            pos=random(3, 3),
            cell=3.5 * torch.eye(3, dtype=torch.float64) + 0.2 * random(3, 3),
            pbc=[True, i % 2 == 0, i != 3],
            stress=random(3, 3),
        )
        for i in range(n)
    ]


def assert_same(a, b):
    assert set(a.keys()) == set(b.keys())
    for key in b.keys():  # noqa: SIM118 (PyG's keys())
        if torch.is_tensor(b[key]):
            torch.testing.assert_close(a[key], b[key], rtol=0, atol=0, equal_nan=True, msg=key)
        else:
            assert a[key] == b[key], key


@pytest.mark.parametrize("graphs", [molecules(), cells(), [*cells(2), AtomGraph(z=[1], pos=[[0.0, 0, 0]])]])
@pytest.mark.parametrize("connected", [False, True])
def test_batch_is_pygs_batch(graphs, connected):
    frames = Frames.from_graphs(graphs)
    if connected:
        frames.connect(CUTOFF)
    for indices in ([0], [2, 0, 1], torch.arange(len(graphs)).flip(0), [1, 1]):
        assert_same(frames.batch(indices), Batch.from_data_list([frames[int(i)] for i in indices]))


def test_frames_give_back_the_graphs():
    graphs = molecules()
    frames = Frames.from_graphs(graphs)
    for i, graph in enumerate(graphs):
        assert_same(frames[i], graph)
    assert_same(frames[-1], graphs[-1])


def test_edges_of_a_frame_are_its_own_neighbour_list():
    graphs = cells()
    frames = Frames.from_graphs(graphs).connect(CUTOFF)
    for i, graph in enumerate(graphs):
        alone = neighbour_list(graph.pos, CUTOFF, graph.cell, graph.pbc)
        for name, value in alone._asdict().items():
            assert torch.equal(frames[i][name], value), name
        assert frames[i].cutoff == CUTOFF


def test_molecules_keep_no_shifts():
    frames = Frames.from_graphs(molecules()).connect(CUTOFF)
    assert "edge_shift" not in frames[0]
    assert frames.batch([0, 1]).cutoff == CUTOFF


def test_many_chunks_equal_one(monkeypatch):
    whole = Frames.from_graphs(molecules(30)).connect(CUTOFF).edges
    monkeypatch.setattr("molzoo.data.packed._CHUNK", 9)
    parts = Frames.from_graphs(molecules(30)).connect(CUTOFF).edges
    for name in ("ptr", "pair_ptr", "edge_index", "pair_index", "pair_edge"):
        assert torch.equal(getattr(whole, name), getattr(parts, name))


def test_select_keeps_labels_and_edges():
    frames = Frames.from_graphs(molecules()).connect(CUTOFF)
    picked = frames.select([4, 2])
    assert_same(picked[0], frames[4])
    assert_same(picked[1], frames[2])
    assert list(frames.keep(["forces", "absent"]).labels) == ["forces"]


def test_labels_that_a_graph_lacks_are_nan():
    graphs = molecules(3)
    del graphs[1]["forces"], graphs[2]["energy"]
    frames = Frames.from_graphs(graphs)
    assert frames[1].forces.isnan().all()
    assert frames[2].energy.isnan().all()
    assert torch.equal(frames[2].forces, graphs[2].forces)


def test_labels_stay_in_float64():
    energies = np.array([-1e6 - 1e-7, -1e6])
    frames = Frames([1, 1], np.zeros((2, 3)), [0, 1, 2], labels={"energy": energies})
    assert frames.batch([0, 1]).energy.tolist() == energies.tolist()


def test_connecting_again_is_free_and_another_cutoff_is_not():
    frames = Frames.from_graphs(molecules()).connect(CUTOFF)
    edges = frames.edges
    assert frames.connect(CUTOFF).edges is edges
    assert frames.connect(CUTOFF + 1).edges is not edges


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: Frames([1], [[0.0, 0, 0]], [0, 1], labels={"engery": [1.0]}), "did you mean 'energy'"),
        (lambda: Frames([1], [[0.0, 0, 0]], [0, 1], labels={"forces": [1.0]}), "must have shape \\(1, 3\\)"),
        (lambda: Frames([1], [[0.0, 0, 0]], [0, 2]), "frames end at atom 2"),
        (lambda: Frames([1], [[0.0, 0, 0]], [0, 1]).n_edges, "connect"),
        (lambda: Frames.from_graphs([]), "at least one"),
        (lambda: Frames.from_graphs([Batch.from_data_list(molecules(2))]), "one row for each of 1 frames"),
        (lambda: Frames([1, 1], [[0.0, 0, 0], [0, float("nan"), 0]], [0, 1, 2]), "frame 1 .*not a finite number"),
    ],
)
def test_errors(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_there_is_no_frame_beyond_the_last():
    with pytest.raises(IndexError, match="there are 1"):
        Frames([1], [[0.0, 0, 0]], [0, 1])[1]
