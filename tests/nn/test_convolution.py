"""The convolution: against a loop over edges, against e3nn's coefficients, and as PyG messages."""

import math

import e3nn.o3
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch_geometric.explain import Explainer, GNNExplainer

from molzoo.graph import AtomGraph, connect
from molzoo.kernels import use_backend
from molzoo.models import create_model
from molzoo.nn import Convolution, Edges, couplings
from molzoo.o3 import Irrep, Irreps

C, N_SRC, N_DST, E, R = 3, 5, 4, 9, 6
DEGREES = [(a, b, c) for a in range(3) for b in range(3) for c in range(abs(a - b), min(a + b, 2) + 1)]
IRREPS = {0: "0e", 1: "1o", 2: "2e"}
ALL = (f"{C}x0e+{C}x1o+{C}x2e", DEGREES, f"{C}x0e+{C}x1o+{C}x2e")  # block k is of degree k
PAINN = (f"{C}x0e + {C}x0e + {C}x1o", [(0, 0, 0), (1, 1, 1), (2, 0, 1)], f"{C}x0e + {C}x1o")


@pytest.fixture(autouse=True, params=["messages", "fused"])
def backend(request):
    """Every fact holds for both ways."""
    with use_backend(request.param):
        yield request.param


def edges():
    """Directed ones, between two different sets of nodes; two of them read the same row of the weights."""
    dst = torch.randint(N_DST - 1, (E,)).sort().values  # nothing arrives at the last
    w_row = torch.cat([torch.arange(R), torch.tensor([0, 2, 2])])
    return Edges(torch.randint(N_SRC, (E,)), dst, N_DST, w_row)


def inputs(convolution, dtype=torch.float64):
    x = torch.randn(N_SRC, convolution.irreps_in.dim, dtype=dtype)
    return x, torch.randn(E, 9, dtype=dtype), torch.randn(R, convolution.program.dim["w"], dtype=dtype)


def coefficients(l_in, l, l_out, dtype):
    return e3nn.o3.wigner_3j(l_in, l, l_out, dtype=dtype) * math.sqrt(2 * l_out + 1)


def by_loop(convolution, x, Y, w, edges):
    """Edge by edge, path by path, with e3nn's coefficients."""
    out = [torch.zeros(edges.n_dst, term.ir.dim, C, dtype=x.dtype) for term in convolution.irreps_out]
    for e in range(len(edges.src)):
        j, i, row = edges.src[e], edges.dst[e], edges.w_row[e]
        for p, (block_in, l, block_out) in enumerate(convolution.paths):
            l_in, l_out = convolution.irreps_in[block_in].ir.l, convolution.irreps_out[block_out].ir.l
            x_j = x[j, convolution.irreps_in.slices()[block_in]].view(2 * l_in + 1, C)
            table = coefficients(l_in, l, l_out, x.dtype)
            message = torch.einsum("mnk,mc,n->kc", table, x_j, Y[e, l**2 : (l + 1) ** 2])
            out[block_out][i] += w[row, p * C : (p + 1) * C] * message
    return torch.cat([block.flatten(1) for block in out], 1)


@pytest.mark.parametrize("degrees", DEGREES, ids=lambda d: "{}x{}→{}".format(*d))
def test_each_path_equals_a_loop_over_edges(degrees, dtype, tolerance):
    l_in, l, l_out = degrees
    convolution = Convolution(f"{C}x{IRREPS[l_in]}", [(0, l, 0)], f"{C}x{IRREPS[l_out]}").to(dtype)
    arguments = (*inputs(convolution, dtype), edges())
    torch.testing.assert_close(convolution(*arguments), by_loop(convolution, *arguments), atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("arguments", [ALL, PAINN], ids=["all paths", "PaiNN"])
def test_paths_together_equal_a_loop_over_edges(arguments, dtype, tolerance):
    convolution = Convolution(*arguments).to(dtype)
    given = (*inputs(convolution, dtype), edges())
    torch.testing.assert_close(convolution(*given), by_loop(convolution, *given), atol=tolerance, rtol=tolerance)


def test_a_destination_without_edges_gets_zero():
    convolution = Convolution(*ALL).double()
    out = convolution(*inputs(convolution), edges())
    assert out.shape == (N_DST, 9 * C)
    assert (out[-1] == 0).all()


def test_an_output_block_without_path_is_zero():
    convolution = Convolution(f"{C}x0e", [(0, 0, 0)], f"{C}x0e+{C}x1o").double()
    assert (convolution(*inputs(convolution), edges())[:, C:] == 0).all()


def test_no_edges_give_zeros():
    convolution = Convolution(*ALL).double()
    x, Y, w = inputs(convolution)
    none = torch.zeros(0, dtype=torch.long)
    assert torch.equal(convolution(x, Y[:0], w, Edges(none, none, N_DST, none)), torch.zeros(N_DST, 9 * C, dtype=x.dtype))


def test_messages_go_from_src_to_dst_and_not_back():
    convolution = Convolution("1x0e", [(0, 0, 0)], "1x0e")
    one_way = Edges(torch.tensor([0]), torch.tensor([1]), 2, torch.tensor([0]))
    out = convolution(torch.tensor([[2.0], [5.0]]), torch.ones(1, 1), torch.tensor([[3.0]]), one_way)
    assert out.flatten().tolist() == [0.0, 6.0]


@pytest.mark.parametrize("which", [0, 1, 2], ids=["x", "Y", "w"])
def test_is_linear_in_each_input(which):
    convolution = Convolution(f"{C}x0e+{C}x1o", [(0, 1, 0), (1, 1, 1)], f"{C}x1o+{C}x0e").double()  # l = 1: reads Y
    given, where = list(inputs(convolution)), edges()
    a, b = given[which], torch.randn_like(given[which])

    def out(value):
        return convolution(*given[:which], value, *given[which + 1 :], where)

    torch.testing.assert_close(out(2 * a - 3 * b), 2 * out(a) - 3 * out(b))


def test_turns_with_its_inputs():
    convolution = Convolution(*ALL).double()
    (x, Y, w), where = inputs(convolution), edges()
    for p, (a, b, c) in enumerate(DEGREES):
        w[:, p * C : (p + 1) * C] *= (a + b + c) % 2 == 0  # the others make pseudovectors and pseudotensors
    R = -e3nn.o3.rand_matrix(dtype=torch.float64)
    D = [Irrep(IRREPS[l]).D_from_matrix(R) for l in range(3)]

    def turned(flat, channels):
        blocks = flat.split([(2 * l + 1) * channels for l in range(3)], 1)
        return torch.cat(
            [(d @ block.view(len(flat), len(d), channels)).flatten(1) for d, block in zip(D, blocks, strict=True)], 1
        )

    out = convolution(turned(x, C), turned(Y, 1), w, where)
    torch.testing.assert_close(out, turned(convolution(x, Y, w, where), C))


def test_derivatives_are_right_to_second_order():
    convolution = Convolution("1x1o", [(0, l, 0) for l in (0, 1, 2)], "1x1o").double()
    where = edges()
    given = tuple(t.requires_grad_() for t in inputs(convolution))
    assert gradcheck(lambda *t: convolution(*t, where), given)
    assert gradgradcheck(lambda *t: convolution(*t, where), given)


def test_harmonics_that_no_path_reads_have_no_gradient():
    convolution = Convolution(f"{C}x0e", [(0, 1, 0)], f"{C}x1o").double()
    x, Y, w = inputs(convolution)
    gradient = torch.autograd.grad(convolution(x, Y.requires_grad_(), w, edges()).pow(2).sum(), Y)[0]
    assert gradient[:, 1:4].abs().min() > 0
    assert not gradient[:, 4:].any()


def test_refuses_degrees_that_do_not_couple():
    with pytest.raises(ValueError, match="do not couple"):
        Convolution("4x0e", [(0, 1, 0)], "4x0e")


def test_refuses_unequal_channels():
    with pytest.raises(ValueError, match=r"path 0 joins rows of different numbers of channels \(\[4, 8\]\)"):
        Convolution("4x0e", [(0, 0, 0)], "8x0e")


def test_blocks_may_have_different_numbers_of_channels():
    ragged = Convolution("4x0e + 2x1o", [(0, 1, 0), (1, 1, 1), (1, 0, 2)], "4x1o + 2x0e + 2x1o")
    edges = Edges(torch.tensor([1, 2, 0]), torch.tensor([0, 0, 1]), 3, torch.tensor([0, 1, 0]))
    x, Y, w = torch.randn(3, 10), torch.randn(3, 4), torch.randn(2, 8)
    scalars, vectors = x[:, :4], x[:, 4:]
    alone = [
        (Convolution("4x0e", [(0, 1, 0)], "4x1o"), scalars, w[:, :4]),
        (Convolution("2x1o", [(0, 1, 0)], "2x0e"), vectors, w[:, 4:6]),
        (Convolution("2x1o", [(0, 0, 0)], "2x1o"), vectors, w[:, 6:]),
    ]
    expected = [convolution(part.contiguous(), Y, weights.contiguous(), edges) for convolution, part, weights in alone]
    torch.testing.assert_close(ragged(x, Y, w, edges), torch.cat(expected, 1))


class EnergyOfEdges(torch.nn.Module):
    """A molecule's energy as PyG's explainer calls it: of node inputs and edge_index."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x, edge_index, z):
        return self.model(connect(AtomGraph(z=z, pos=x, edge_index=edge_index), self.model.cutoff)).sum().view(1, 1)


def test_pygs_explainer_gives_edge_masks_on_schnet_and_leaves_it_as_it_was(structure):
    graph = connect(structure("ethanol"), 5.0)
    model = create_model("SchNet", channels=16, n_layers=2).eval()
    before = model(graph)
    explainer = Explainer(
        EnergyOfEdges(model),
        GNNExplainer(epochs=5),
        explanation_type="model",
        edge_mask_type="object",
        model_config={"mode": "regression", "task_level": "graph", "return_type": "raw"},
    )
    mask = explainer(graph.pos.float(), graph.edge_index, z=graph.z).edge_mask
    assert mask.shape == (graph.num_edges,)
    assert mask.min() > 0  # an edge without gradient is masked to zero
    assert mask.unique().numel() > 1
    assert torch.equal(model(graph), before)


def test_an_edge_mask_of_zeros_leaves_free_atoms(structure):
    from torch_geometric.explain.algorithm.utils import clear_masks, set_masks

    graph, model = connect(structure("ethanol"), 5.0), create_model("SchNet", channels=16, n_layers=2).double()
    mask = torch.zeros(graph.num_edges, dtype=torch.float64, requires_grad=True)
    set_masks(model, mask, graph.edge_index, apply_sigmoid=False)
    masked = model(graph)
    assert torch.autograd.grad(masked.sum(), mask)[0].abs().min() > 0
    clear_masks(model)
    no_edges = torch.zeros(2, 0, dtype=torch.long)
    free = connect(AtomGraph(z=graph.z, pos=graph.pos, edge_index=no_edges), 5.0)
    torch.testing.assert_close(masked, model(free))


def test_stacked_paths_stand_side_by_side():
    irreps_in = Irreps("4x0e + 3x1o")
    paths, irreps_out = couplings(irreps_in, 2, Irreps("0e + 1o + 2e"))
    stacked = Convolution(irreps_in, paths, irreps_out, stack=True)
    x, Y = torch.randn(5, irreps_in.dim, dtype=torch.float64), torch.randn(7, 9, dtype=torch.float64)
    w = torch.randn(7, sum(stacked.channels), dtype=torch.float64)
    edges = Edges(torch.randint(5, (7,)), torch.randint(5, (7,)).sort().values, 5, torch.arange(7))
    blocks = [[] for _ in irreps_out]
    for path, w_p in zip(paths, w.split(stacked.channels, 1), strict=True):
        mul, ir = irreps_in[path.block_in].mul, irreps_out[path.block_out].ir
        single = Convolution(irreps_in, [(path.block_in, path.l, 0)], f"{mul}x{ir}")
        blocks[path.block_out].append(single(x, Y, w_p, edges).view(5, ir.dim, mul))
    by_path = torch.cat([torch.cat(block, 2).flatten(1) for block in blocks], 1)
    torch.testing.assert_close(stacked(x, Y, w, edges), by_path)


def test_refuses_a_block_that_cannot_hold_its_paths():
    with pytest.raises(ValueError, match="16x0e cannot hold 8 channels of 2 paths side by side"):
        Convolution("4x0e + 4x1o", [(0, 0, 0), (1, 1, 0)], "16x0e", stack=True)
