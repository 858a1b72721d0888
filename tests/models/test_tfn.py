"""The tasks of TFN's paper, small (shapes, gravity, moments of inertia), and its layer made of e3nn's parts."""

import e3nn.o3
import pytest
import torch
from torch_geometric.data import Batch

from molzoo.check.symmetry import random_motion
from molzoo.graph import AtomGraph, connect, geometry
from molzoo.kernels import use_backend
from molzoo.models import create_model
from molzoo.models.tfn import Layer
from molzoo.nn import Edges, Envelope, GaussianBasis, sum_rows
from molzoo.o3 import CartesianTensor, Irreps, rand_matrix, spherical_harmonics

F64 = torch.float64
TETRIS = [
    [(0, 0, 0), (0, 0, 1), (1, 0, 0), (1, 1, 0)],  # chiral
    [(1, 1, 1), (1, 1, 2), (2, 1, 1), (2, 0, 1)],  # its mirror image
    [(0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 0)],  # square
    [(0, 0, 0), (0, 0, 1), (0, 0, 2), (0, 0, 3)],  # line
    [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)],  # corner
    [(0, 0, 0), (0, 0, 1), (0, 0, 2), (0, 1, 0)],  # L
    [(0, 0, 0), (0, 0, 1), (0, 0, 2), (0, 1, 1)],  # T
    [(0, 0, 0), (1, 0, 0), (1, 1, 0), (2, 1, 0)],  # zigzag
]


def shapes(rotations):
    turned = [torch.tensor(shape, dtype=torch.float32) @ R.T for shape, R in zip(TETRIS, rotations, strict=True)]
    return connect(Batch.from_data_list([AtomGraph(z=[1] * 4, pos=pos) for pos in turned]), 2.5)


def logits(model, graph):
    """Eight numbers for each shape. Even ones cannot tell the chiral pair apart, so an odd one does."""
    out = sum_rows(model(graph), graph.batch, 8)
    even, odd = out[:, :7], out[:, 7:]
    return torch.cat([odd * even[:, :1], -odd * even[:, :1], even[:, 1:]], 1)


@pytest.mark.parametrize("nonlinearity", ["norm", "gate"])
def test_tetris_shapes_are_told_apart_in_any_orientation(nonlinearity):
    torch.manual_seed(0)
    arguments = {"elements": [1], "channels": 8, "l_max": 1, "parity": True, "avg_n_neighbours": 2.0, "cutoff": 2.5}
    model = create_model("TFN", **arguments, nonlinearity=nonlinearity, irreps_out="7x0e + 0o")
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    graph, wanted = shapes([torch.eye(3)] * 8), torch.arange(8)
    for _ in range(80):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(logits(model, graph), wanted).backward()
        optimizer.step()
    with torch.no_grad():
        for _ in range(10):
            assert torch.equal(logits(model, shapes(rand_matrix(8))).argmax(1), wanted)


class PointConvolution(torch.nn.Module):
    """One point convolution of masses, without nonlinearity, as the paper has it in these tasks."""

    def __init__(self):
        super().__init__()
        self.radial, self.envelope = GaussianBasis(30, 6.0), Envelope("polynomial", 6.0)
        self.layer = Layer(Irreps("1x0e"), Irreps("0e + 1o + 2e"), 2, [30, 32], "norm", 1.0)

    def forward(self, graph, mass):
        d, u = geometry(graph, torch.float32)
        edges = Edges(*graph.edge_index, len(graph.z), w_row=graph.pair_index)
        w = self.envelope(d)[:, None] * self.layer.radial(self.radial(d))
        return self.layer.convolution(mass[:, None], spherical_harmonics([0, 1, 2], u, normalize=False), w, edges)


def points(n_graphs, seed):
    """Up to eight points with masses, 0.5 Å apart at least, as in the paper."""
    random = torch.Generator().manual_seed(seed)
    graphs = []
    while len(graphs) < n_graphs:
        pos = 3 * torch.rand(int(torch.randint(2, 9, (), generator=random)), 3, generator=random)
        if torch.pdist(pos).min() > 0.5:
            graphs.append(AtomGraph(z=[1] * len(pos), pos=pos))
    graph = connect(Batch.from_data_list(graphs), 6.0)
    return graph, 0.5 + 1.5 * torch.rand(len(graph.z), generator=random)


def gravity(graph, mass):
    """Σ_j m_j r_ij/|r_ij|³ of each point."""
    src, dst = graph.edge_index
    r = graph.pos[src] - graph.pos[dst]
    return sum_rows(mass[src, None] * r / r.norm(dim=1, keepdim=True) ** 3, dst, len(graph.z))


def inertia(graph, mass):
    """Σ_j m_j (|r_ij|² 1 − r_ij ⊗ r_ij) about each point, as irreps 0e + 2e."""
    src, dst = graph.edge_index
    r = graph.pos[src] - graph.pos[dst]
    square = r.square().sum(1)[:, None, None] * torch.eye(3)
    tensors = sum_rows(mass[src, None, None] * (square - r[:, :, None] * r[:, None, :]), dst, len(graph.z))
    return CartesianTensor("ij=ji").from_cartesian(tensors)


@pytest.mark.parametrize(
    ("law", "columns"), [(gravity, slice(1, 4)), (inertia, [0, 4, 5, 6, 7, 8])], ids=["gravity", "moment of inertia"]
)
def test_one_convolution_learns_a_law_of_physics(law, columns):
    torch.manual_seed(0)
    network, (graph, mass) = PointConvolution(), points(60, seed=0)
    target = law(graph, mass)
    scale = target.square().mean().sqrt()
    optimizer = torch.optim.Adam(network.parameters(), 2e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 300)
    for _ in range(300):
        optimizer.zero_grad()
        ((network(graph, mass)[:, columns] - target) / scale).square().mean().backward()
        optimizer.step()
        schedule.step()
    new, new_mass = points(60, seed=1)
    with torch.no_grad():
        wanted = law(new, new_mass)
        error = (network(new, new_mass)[:, columns] - wanted).square().mean() / wanted.square().mean()
    assert error.sqrt() < 0.05


@pytest.mark.parametrize("parity", [False, True])
def test_a_layer_is_what_e3nns_parts_make(parity):
    torch.manual_seed(0)
    irreps = Irreps("3x0e + 3x0o + 2x1e + 2x1o + 2x2e" if parity else "3x0e + 2x1o + 2x2e")
    layer = Layer(irreps, irreps, 2, [5, 7], "norm", 9.0).double()
    n, E = 6, 20
    V, Y = torch.randn(n, irreps.dim, dtype=F64), torch.randn(E, 9, dtype=F64)
    e, f = torch.randn(E, 5, dtype=F64), torch.rand(E, 1, dtype=F64)
    src, dst = torch.randint(n, (E,)), torch.randint(n, (E,)).sort().values
    found = layer.self_interaction(layer.convolution(V / 3, Y, f * layer.radial(e), Edges(src, dst, n, torch.arange(E))))

    torch.set_default_dtype(F64)
    try:
        harmonics = e3nn.o3.Irreps.spherical_harmonics(2)
        mid, instructions = [], []
        for b, (mul, ir) in enumerate(e3nn.o3.Irreps(str(irreps))):
            for l, (_, h) in enumerate(harmonics):
                for out in ir * h:
                    if str(out) in str(irreps):
                        instructions.append((b, l, len(mid), "uvu", True))
                        mid.append((mul, out))
        mid, order, _ = e3nn.o3.Irreps(mid).sort()
        instructions = [(b, l, order[o], mode, trained) for b, l, o, mode, trained in instructions]
        product = e3nn.o3.TensorProduct(str(irreps), harmonics, mid, instructions, shared_weights=False, internal_weights=False)
        linear = e3nn.o3.Linear(mid.simplify(), str(layer.nonlinearity.irreps_in), biases=True)
    finally:
        torch.set_default_dtype(torch.float32)
    linear.load_state_dict(layer.self_interaction.state_dict(), strict=False)
    theirs = product(relayout(V / 3, irreps, "ir_mul", "mul_ir")[src], Y, f * layer.radial(e))
    theirs = linear(torch.zeros(n, mid.dim, dtype=F64).index_add(0, dst, theirs))
    torch.testing.assert_close(relayout(found, layer.nonlinearity.irreps_in, "ir_mul", "mul_ir"), theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("nonlinearity", ["norm", "gate"])
@pytest.mark.parametrize("parity", [False, True])
def test_features_turn_as_their_irreps_say(nonlinearity, parity, structure):
    arguments = {"elements": [1, 6, 8], "channels": [5, 4, 3], "parity": parity, "nonlinearity": nonlinearity}
    model = create_model("TFN", **arguments, irreps_out="0e + 1o + 2e" + " + 0o + 1e" * parity).double()
    graph = structure("ethanol")
    motion = random_motion(9, inverted=True)
    with use_backend("messages"):  # loops of so many programs take minutes to compile, and test_contract.py compares them
        first, second = model.features(graph), model.features(motion.structure(graph))
    D = model.irreps_features.D_from_matrix(motion.rotation)
    torch.testing.assert_close(second, (first @ D.T)[motion.order], rtol=0, atol=1e-12)


def relayout(x, irreps, source, target):
    from molzoo.o3.blocks import join, split

    return join(split(x, irreps, source), target, like=x)
