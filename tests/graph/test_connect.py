"""What a model receives, whatever the user gave it."""

import copy

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data, InMemoryDataset
from torch_geometric.loader import DataLoader

from molzoo.graph import AtomGraph, RadiusGraph, connect, geometry, neighbour_list

EDGES = ("edge_index", "edge_shift", "pair_index", "pair_edge")


def structure(seed, n=6, pbc=False, dtype=torch.float64):
    rng = np.random.default_rng(seed)
    return AtomGraph(
        z=rng.integers(1, 9, n),
        pos=torch.from_numpy(rng.random((n, 3)) * 4).to(dtype),
        cell=np.eye(3) * 4 + rng.normal(size=(3, 3)) * 0.3 if pbc else None,
        pbc=pbc,
        charge=float(seed % 3 - 1),
        spin=1.0 + seed % 2,
        energy=rng.normal(),
        forces=torch.from_numpy(rng.normal(size=(n, 3))),
        dipole=rng.normal(size=3),
        polarizability=rng.normal(size=(3, 3)),
        stress=rng.normal(size=(3, 3)),
    )


def equal(a, b):
    a, b = a.to_dict(), b.to_dict()
    assert a.keys() == b.keys()
    return all(torch.equal(a[k], b[k]) if isinstance(a[k], torch.Tensor) else list(a[k]) == list(b[k]) for k in a)


@pytest.fixture
def graphs():
    made = [connect(structure(s, n=n, pbc=s % 2 == 1), 3.0) for s, n in enumerate([6, 4, 1, 9, 5])]
    made.insert(2, connect(AtomGraph(z=[], pos=torch.zeros(0, 3, dtype=torch.float64), **_labels()), 3.0))
    return made


def _labels():
    empty = {"energy": 0.0, "dipole": np.zeros(3), "polarizability": np.eye(3), "stress": np.eye(3), "spin": 1.0}
    return empty | {"forces": torch.zeros(0, 3, dtype=torch.float64)}


@pytest.mark.parametrize("by", ["from_data_list", "DataLoader"])
def test_a_batch_is_its_members(graphs, by):
    batch = Batch.from_data_list(graphs) if by == "from_data_list" else next(iter(DataLoader(graphs, batch_size=6)))
    shapes = {"cell": (6, 3, 3), "pbc": (6, 3), "charge": (6,), "spin": (6,), "energy": (6,), "dipole": (6, 3)}
    shapes |= {"polarizability": (6, 3, 3), "stress": (6, 3, 3), "forces": (25, 3)}
    for name, shape in shapes.items():
        assert batch[name].shape == shape, name
        assert torch.equal(batch[name], torch.cat([graph[name] for graph in graphs])), name
    assert batch.n_graphs == 6
    assert batch.cutoff == 3.0
    assert connect(batch, 3.0) is batch
    whole = neighbour_list(batch.pos, 3.0, batch.cell, batch.pbc, batch.batch)
    assert all(torch.equal(batch[name], found) for name, found in zip(EDGES, whole, strict=True))
    assert all(equal(one, graph) for one, graph in zip(batch.to_data_list(), graphs, strict=True))
    with pytest.raises(ValueError, match=r"to 3 Å but the model needs 4\.5 Å"):
        connect(batch, 4.5)


def test_the_smallest_radius_of_a_batch_counts_and_outlives_moves_and_collation(graphs, tmp_path):
    graphs[1] = connect(structure(1, n=4, pbc=True), 2.5)
    batch = Batch.from_data_list(graphs)
    assert batch.cutoff == batch.clone().to("cpu").cutoff == 2.5
    assert [graph.cutoff for graph in batch.to_data_list()] == [3.0, 2.5, 3.0, 3.0, 3.0, 3.0]
    data, slices = InMemoryDataset.collate(graphs)
    torch.save((data.to_dict(), slices), tmp_path / "set.pt")
    torch.load(tmp_path / "set.pt", weights_only=True)
    assert data.cutoff == 2.5


def test_edges_that_are_there_are_not_touched():
    graph = connect(structure(0), 3.0)
    assert connect(graph, 3.0) is graph
    assert connect(graph, 2.0) is graph
    with pytest.raises(ValueError, match="to 3 Å but the model needs 5 Å"):
        connect(graph, 5.0)


@pytest.mark.parametrize("periodic", [False, True])
def test_plain_data_is_completed_and_left_as_it_was(periodic):
    rich = structure(3, pbc=periodic)
    plain = Data(z=rich.z, pos=rich.pos.float(), y=torch.ones(1, 19), name="methane", num_nodes=6)
    if periodic:
        plain.cell, plain.pbc = rich.cell[0], rich.pbc[0]
    before = copy.deepcopy(plain)
    graph = connect(plain, 3.0)
    assert plain.to_dict().keys() == before.to_dict().keys()
    assert all(plain[k] == before[k] if k in ("name", "num_nodes") else torch.equal(plain[k], before[k]) for k in plain.keys())  # noqa: SIM118
    assert isinstance(graph, AtomGraph)
    assert (graph.name, graph.cutoff, graph.pos.dtype) == ("methane", 3.0, torch.float32)
    assert graph.y is plain.y
    assert [graph[name].shape for name in ("cell", "pbc", "charge")] == [(1, 3, 3), (1, 3), (1,)]
    assert graph.edge_index.shape[1] > 0
    assert graph.get("batch") is None


def test_what_pyg_joins_is_put_apart_again():
    # PyG's own batching makes (3B, 3) of cells, (3B,) of dipoles and (B, 1) of energies.
    rich = [structure(s, pbc=True) for s in (1, 3, 5)]
    plain = [
        Data(z=g.z, pos=g.pos, cell=g.cell[0], pbc=g.pbc[0], dipole=g.dipole[0], energy=g.energy[:, None], charge=int(g.charge))
        for g in rich
    ]
    graph = connect(Batch.from_data_list(plain), 3.0)
    for name in ("cell", "pbc", "dipole", "energy"):
        assert torch.equal(graph[name], torch.cat([g[name] for g in rich]).to(graph[name])), name
    assert graph.charge.tolist() == [g.charge.item() for g in rich]
    flags = connect(Batch.from_data_list([Data(z=g.z, pos=g.pos, cell=g.cell[0], pbc=True) for g in rich]), 3.0)
    assert torch.equal(flags.pbc, graph.pbc)
    assert torch.equal(flags.edge_index, graph.edge_index)


def test_a_batch_of_plain_data_keeps_empty_members():
    data = [Data(z=torch.ones(n, dtype=torch.long), pos=torch.rand(n, 3)) for n in (2, 0, 3, 0)]
    graph = connect(Batch.from_data_list(data), 3.0)
    assert graph.n_graphs == 4
    assert graph.charge.shape == (4,)


@pytest.mark.parametrize("pbc", [False, True])
def test_a_users_own_full_list_becomes_the_built_one(pbc):
    built = connect(structure(7, pbc=pbc), 3.0)
    shuffle = torch.randperm(built.num_edges, generator=torch.Generator().manual_seed(0))
    mine = Data(z=built.z, pos=built.pos, cell=built.cell, pbc=built.pbc, edge_index=built.edge_index[:, shuffle])
    mine.edge_shift, mine.edge_attr = built.edge_shift[shuffle].double(), shuffle.double()[:, None]
    mine.edge_stale = torch.zeros(3)
    before = mine.clone()
    graph = connect(mine, 3.0)
    assert all(torch.equal(graph[name], built[name]) for name in EDGES)
    assert graph.edge_attr[:, 0].tolist() == list(range(built.num_edges))
    assert "edge_stale" not in graph
    assert graph.cutoff is None
    assert connect(graph, 99.0) is graph
    assert torch.equal(mine.edge_index, before.edge_index)


def test_directed_edges_stay_directed():
    pos = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 2, 0]], dtype=torch.float64)
    edge_index = torch.tensor([[2, 1, 0, 1], [1, 0, 1, 1]])  # 2 → 1 has no reverse, 1 → 1 is its own
    graph = connect(Data(z=torch.ones(3, dtype=torch.long), pos=pos, edge_index=edge_index), 1.0)
    assert graph.edge_index.tolist() == [[1, 0, 1, 2], [0, 1, 1, 1]]
    assert graph.pair_index.tolist() == [0, 0, 1, 2]
    assert graph.pair_edge.tolist() == [0, 2, 3]
    d, u = geometry(graph, torch.float64)
    assert d.tolist() == [1, 0, 5**0.5]
    assert torch.allclose(u * d[graph.pair_index, None], pos[graph.edge_index[0]] - pos[graph.edge_index[1]])


Z, POS = torch.ones(3, dtype=torch.long), torch.rand(3, 3)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"pos": POS}, "atomic numbers"),
        ({"z": Z, "pos": POS, "cell": torch.eye(3)}, "no pbc"),
        ({"z": Z, "pos": POS, "charge": torch.zeros(3)}, "charge"),
        ({"z": Z, "pos": POS, "batch": torch.tensor([1, 0, 0])}, "argsort"),
        ({"z": Z, "pos": POS * float("nan")}, "atom 0 is not finite"),
        ({"z": Z, "pos": POS, "edge_index": torch.tensor([[0], [3]])}, "from 0 to 2"),
        ({"z": Z, "pos": POS, "edge_index": torch.tensor([[0, 0], [1, 1]])}, "listed twice"),
        (
            {"z": Z, "pos": POS, "edge_index": torch.tensor([[0], [1]]), "batch": torch.tensor([0, 1, 1])},
            "different structures",
        ),
        ({"z": Z, "pos": POS, "edge_index": torch.tensor([[0], [1]]), "cell": torch.eye(3), "pbc": True}, "edge_shift"),
        ({"z": Z, "pos": POS, "edge_index": torch.tensor([[0], [1]]), "edge_shift": torch.full((1, 3), 0.5)}, "whole numbers"),
    ],
)
def test_what_cannot_be_connected_is_refused(fields, sentence):
    with pytest.raises(ValueError, match=sentence):
        connect(Data(**fields), 3.0)


def test_radius_graph_transform_in_a_data_set(tmp_path):
    rng = np.random.default_rng(0)
    plain = [
        Data(z=torch.ones(n, dtype=torch.long), pos=torch.from_numpy(rng.random((n, 3)) * 3), energy=torch.tensor([float(n)]))
        for n in (3, 1, 5)
    ]
    for data in plain:  # bonds, as PyG's data sets keep them
        data.edge_index, data.edge_attr = torch.tensor([[0], [0]]), torch.ones(1, 4)

    class Molecules(InMemoryDataset):
        def __init__(self):
            super().__init__(None, transform=RadiusGraph(2.0))
            self.data, self.slices = self.collate(plain)

    batch = next(iter(DataLoader(Molecules(), batch_size=3)))
    assert repr(RadiusGraph(2.0)) == "RadiusGraph(cutoff=2.0)"
    assert "edge_attr" not in batch
    assert batch.energy.tolist() == [3, 1, 5]
    found = neighbour_list(batch.pos, 2.0, batch=batch.batch)
    assert all(torch.equal(batch[name], tensor) for name, tensor in zip(EDGES, found, strict=True))
    assert plain[0].edge_index.shape == (2, 1)
    wider = RadiusGraph(3.0)(RadiusGraph(2.0)(plain[2]))
    assert wider.cutoff == 3.0


def test_positions_and_cells_stay_differentiable():
    graph = structure(5, pbc=True)
    graph.pos.requires_grad_()
    graph.cell.requires_grad_()
    d = geometry(connect(graph, 3.0), torch.float64).d
    pos, cell = torch.autograd.grad(d.sum(), [graph.pos, graph.cell])
    assert pos.abs().sum() > 0
    assert torch.allclose(pos.sum(0), torch.zeros(3, dtype=torch.float64), atol=1e-12)
    assert cell.abs().sum() > 0
