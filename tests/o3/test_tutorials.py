"""The worked examples of e3nn's tutorials, once: with e3nn, and with nothing changed but the imports, give the same numbers."""

from types import SimpleNamespace

import e3nn
import e3nn.math
import e3nn.nn
import e3nn.o3
import pytest
import torch

import molzoo.compat.e3nn
from molzoo.compat.pyg_ext import radius_graph, scatter


def dense_radius_graph(x, r, max_num_neighbors):
    """What torch_cluster gives, from all distances."""
    near = (torch.cdist(x, x) < r).fill_diagonal_(False)
    assert near.sum(1).max() <= max_num_neighbors
    return near.nonzero().T.flip(0)


def plain_scatter(src, index, dim, dim_size):
    """What torch_scatter gives."""
    return torch.stack([src[index == i].sum(dim) for i in range(dim_size)])


THEIRS = SimpleNamespace(o3=e3nn.o3, nn=e3nn.nn, math=e3nn.math, radius_graph=dense_radius_graph, scatter=plain_scatter)
OURS = SimpleNamespace(**vars(molzoo.compat.e3nn), radius_graph=radius_graph, scatter=scatter)


def matrix_of_an_improper_rotation(e):
    irreps = e.o3.Irreps("10x0e + 5x1o + 2x2e")
    assert str(irreps) == "10x0e+5x1o+2x2e"
    assert (irreps.dim, irreps.num_irreps, irreps.lmax) == (35, 17, 2)
    rot = -e.o3.rand_matrix()
    D = irreps.D_from_matrix(rot)
    assert D.shape == (35, 35)
    assert not D[:10, 10:].any()
    return rot, D


def convolution(e):
    """With its check: turned before or after."""
    irreps_input, irreps_output = e.o3.Irreps("10x0e + 10x1e"), e.o3.Irreps("20x0e + 10x1e")
    num_nodes, max_radius, num_basis = 100, 1.8, 10
    pos = torch.randn(num_nodes, 3)
    edge_src, _ = e.radius_graph(pos, max_radius, max_num_neighbors=num_nodes - 1)
    num_neighbors = len(edge_src) / num_nodes
    f_in = irreps_input.randn(num_nodes, -1)
    irreps_sh = e.o3.Irreps.spherical_harmonics(lmax=2)
    tp = e.o3.FullyConnectedTensorProduct(irreps_input, irreps_sh, irreps_output, shared_weights=False)
    assert tp.weight_numel == 400
    fc = e.nn.FullyConnectedNet([num_basis, 16, tp.weight_numel], torch.relu)

    def conv(f_in, pos):
        edge_src, edge_dst = e.radius_graph(pos, max_radius, max_num_neighbors=len(pos) - 1)
        edge_vec = pos[edge_dst] - pos[edge_src]
        sh = e.o3.spherical_harmonics(irreps_sh, edge_vec, normalize=True, normalization="component")
        emb = e.math.soft_one_hot_linspace(
            edge_vec.norm(dim=1), 0.0, max_radius, num_basis, basis="smooth_finite", cutoff=True
        ).mul(num_basis**0.5)
        return e.scatter(tp(f_in[edge_src], sh, fc(emb)), edge_dst, dim=0, dim_size=num_nodes).div(num_neighbors**0.5)

    rot = e.o3.rand_matrix()
    D_in, D_out = irreps_input.D_from_matrix(rot), irreps_output.D_from_matrix(rot)
    before, after = conv(f_in @ D_in.T, pos @ rot.T), conv(f_in, pos) @ D_out.T
    torch.testing.assert_close(before, after, rtol=1e-4, atol=1e-4)
    assert 0.5 < after.pow(2).mean() < 2
    return before, after


def linear(e):
    layer = e.o3.Linear("0e + 1o", "2x0e + 2x1o")
    assert layer.weight_numel == 4
    x = layer.irreps_in.randn(7, -1)
    return layer.weight, layer(x)


def gate(e):
    layer = e.nn.Gate("1x0e", [torch.nn.functional.silu], "1x0e", [torch.sigmoid], "1x1o")
    assert (str(layer.irreps_in), str(layer.irreps_out)) == ("2x0e+1x1o", "1x0e+1x1o")
    return (layer(layer.irreps_in.randn(7, -1)),)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("tutorial", [matrix_of_an_improper_rotation, convolution, linear, gate])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)], ids=["float64", "float32"])
def test_the_same_numbers_from_the_same_seed(tutorial, dtype, tolerance):
    torch.set_default_dtype(dtype)
    results = []
    for e in (OURS, THEIRS):
        torch.manual_seed(3)  # at some seeds, e3nn's D of the random rotation is off by up to 1e-10
        results.append(tutorial(e))
    torch.set_default_dtype(torch.float32)
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=tolerance * max(1.0, float(b.detach().abs().max())))
