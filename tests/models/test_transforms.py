"""Whole models under torch.func: derivatives and copies as they are written there, edges found inside."""

import pytest
import torch

from molzoo.graph import AtomGraph, connect
from molzoo.models import TABLE

MODELS = [(name, {}) for name in TABLE] + [("PaiNN", {"radial_knots": 64})]
pytestmark = pytest.mark.parametrize(("name", "arguments"), MODELS, ids=lambda v: v if isinstance(v, str) else ",".join(v))


@pytest.fixture
def energy(name, arguments, predictor, structure):
    """Energy of water as a function of positions and, perhaps, weights; the positions; the weights."""
    model, water = predictor(name, **arguments), structure("water")

    def of(pos, weights=None, graph=None):
        if graph is None:
            graph = AtomGraph(z=water.z, pos=pos)
        else:
            graph = graph.clone()
            graph.pos = pos
        return torch.func.functional_call(model, weights or {}, (graph, ["energy"]))["energy"].sum()

    weights = {key: value.detach() for key, value in model.named_parameters()}
    return of, water.pos, weights, connect(water, model.model.cutoff)


def test_gradient_and_hessian(energy):
    of, pos, _, _ = energy
    leaf = pos.clone().requires_grad_()
    (first,) = torch.autograd.grad(of(leaf), leaf, create_graph=True)
    rows = [torch.autograd.grad(one, leaf, retain_graph=True)[0] for one in first.flatten()]
    wanted = torch.stack(rows).view(3, 3, 3, 3)
    torch.testing.assert_close(torch.func.grad(of)(pos), first.detach(), rtol=1e-10, atol=1e-10)
    for hessian in (torch.func.hessian(of), torch.func.jacrev(torch.func.jacrev(of))):
        torch.testing.assert_close(hessian(pos), wanted, rtol=1e-9, atol=1e-9)


def test_many_sets_of_weights_at_once(energy):
    of, pos, weights, _ = energy
    sets = [{key: scale * value for key, value in weights.items()} for scale in (1.0, 1.1)]
    many = {key: torch.stack([one[key] for one in sets]) for key in weights}
    forces = torch.func.vmap(torch.func.grad(of), (None, 0))(pos, many)
    torch.testing.assert_close(forces, torch.stack([torch.func.grad(of)(pos, one) for one in sets]), rtol=1e-9, atol=1e-9)


def test_many_structures_with_the_same_edges_at_once(energy):
    of, pos, _, graph = energy
    many = torch.stack([pos, 1.01 * pos])
    force = torch.func.grad(lambda pos: of(pos, graph=graph))
    torch.testing.assert_close(torch.func.vmap(force)(many), torch.stack([force(one) for one in many]), rtol=1e-9, atol=1e-9)
    with pytest.raises(ValueError, match=r"structures under vmap share their edges; find them before: graph = molzoo\.graph"):
        torch.func.vmap(of)(many)
