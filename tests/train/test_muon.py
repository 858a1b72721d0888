"""Muon's steps: torch's own for single matrices, the same for matrices in flat vectors, AdamW's for all else."""

import copy

import pytest
import torch
from torch import nn

from molzoo.nn import ElementEmbedding, ElementLinear
from molzoo.o3 import Linear
from molzoo.train.muon import Muon, orthogonal

RATES = {"lr": 0.02, "weight_decay": 0.1}


def trained(network, optimizer, gradients):
    """The parameters after a step along each of these lists of gradients."""
    for each in gradients:
        for p, gradient in zip(network.parameters(), each, strict=True):
            p.grad = gradient.clone()
        optimizer.step()
    return [p.detach().clone() for p in network.parameters()]


def random_gradients(network, n=4):
    generator = torch.Generator().manual_seed(1)
    return [[torch.randn(p.shape, generator=generator) for p in network.parameters()] for _ in range(n)]


@pytest.mark.parametrize("shape", [(32, 32), (16, 64), (64, 16)], ids=str)
def test_steps_are_those_of_torchs_muon(shape):
    ours = nn.Linear(shape[1], shape[0], bias=False)
    theirs = copy.deepcopy(ours)
    start, gradients = ours.weight.detach().clone(), random_gradients(ours)
    (found,) = trained(ours, Muon(ours, **RATES), gradients)
    (wanted,) = trained(theirs, torch.optim.Muon(theirs.parameters(), adjust_lr_fn="match_rms_adamw", **RATES), gradients)
    assert (found - wanted).norm() < 0.03 * (wanted - start).norm()  # torch makes matrices orthogonal in bfloat16


def test_singular_values_come_near_one():
    generator = torch.Generator().manual_seed(0)
    G = torch.randn(5, 24, 40, generator=generator) * torch.tensor([1e-8, 1e-3, 1.0, 1e3, 1e8])[:, None, None]
    found = orthogonal(G)
    U, _, Vh = torch.linalg.svd(G, full_matrices=False)
    values = (U.mT @ found @ Vh.mT).diagonal(dim1=1, dim2=2)
    assert values.min() > 0.6
    assert values.max() < 1.3
    assert not orthogonal(torch.zeros(1, 2, 2)).any()


def test_matrices_in_a_flat_vector_step_as_if_they_were_alone():
    layer = Linear("8x0e + 6x1o + 4x1o", "5x0e + 6x1o", layout="ir_mul")
    alone = nn.ParameterList([W.detach().clone() for W in layer.weight_views()])
    gradients = random_gradients(layer)
    (found,) = trained(layer, Muon(layer, **RATES), gradients)
    by_matrix = [[W.clone() for W in layer.weight_views(gradient)] for (gradient,) in gradients]
    wanted = trained(alone, Muon(alone, **RATES), by_matrix)
    torch.testing.assert_close(found, torch.cat([W.flatten() for W in wanted]), rtol=1e-5, atol=1e-6)


def test_matrices_of_channels_step_as_if_they_were_alone():
    layer = Linear("4x0e + 3x1o", "5x0e + 3x1o", f_in=2, f_out=3)
    alone = nn.ParameterList([W.detach().clone() for each in layer.weight_views() for W in each.flatten(0, 1)])
    gradients = random_gradients(layer)
    trained(layer, Muon(layer, **RATES), gradients)
    by_matrix = [[W.clone() for each in layer.weight_views(g) for W in each.flatten(0, 1)] for (g,) in gradients]
    wanted = trained(alone, Muon(alone, **RATES), by_matrix)
    found = [W for each in layer.weight_views() for W in each.flatten(0, 1)]
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


def test_matrices_of_attributes_step_as_if_they_were_alone():
    layer = ElementLinear("8x0e + 6x1o", 3, "5x0e + 6x1o")
    alone = nn.ParameterList([W.detach().clone() for stack in layer.weight_views() for W in stack])
    assert [p.shape for p in alone] == [(8, 5)] * 3 + [(6, 6)] * 3
    gradients = random_gradients(layer)
    (found,) = trained(layer, Muon(layer, **RATES), gradients)
    by_matrix = [
        [W.clone() for w, (u, A, v) in zip(g.split([120, 108]), layer.shapes, strict=True) for W in w.view(u, A, v).unbind(1)]
        for (g,) in gradients
    ]
    stepped = trained(alone, Muon(alone, **RATES), by_matrix)
    wanted = torch.cat([torch.stack(stepped[:3], 1).flatten(), torch.stack(stepped[3:], 1).flatten()])
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


def test_what_is_no_matrix_steps_as_in_adamw():
    network = nn.ModuleList([nn.Embedding(7, 5), nn.Linear(5, 1), Linear("4x0e", "1x0e"), ElementEmbedding([1, 6], 3)])
    theirs, gradients = copy.deepcopy(network), random_gradients(network)
    found = trained(network, Muon(network, **RATES), gradients)
    wanted = trained(theirs, torch.optim.AdamW(theirs.parameters(), fused=True, **RATES), gradients)
    assert all(map(torch.equal, found, wanted))


def test_what_is_frozen_or_without_a_gradient_stays():
    network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4))
    network[1].requires_grad_(False)
    before = copy.deepcopy(network)
    network[0](torch.ones(1, 4)).sum().backward()
    Muon(network).step()
    moved = [not torch.equal(p, q) for p, q in zip(network.parameters(), before.parameters(), strict=True)]
    assert moved == [True, True, False, False, False, False]


def test_a_closure_is_called_with_gradients():
    network = nn.Linear(4, 4)

    def closure():
        loss = network(torch.ones(1, 4)).square().sum()
        loss.backward()
        return loss

    assert Muon(network).step(closure) > 0
    assert network.weight.grad is not None


@pytest.mark.parametrize("model", ["SchNet", "NequIP"])
def test_a_run_learns(train, tmp_path, column, model):
    arguments = {"SchNet": {"channels": 16, "n_layers": 1}, "NequIP": {"channels": 8, "l_max": 1, "n_layers": 2}}[model]
    train(tmp_path, model=model, arguments=arguments, optimizer="muon", lr=2e-2, trainer={"max_epochs": 10})
    losses = column(tmp_path, "val/loss")
    assert losses[-1] < 0.8 * losses[0]
