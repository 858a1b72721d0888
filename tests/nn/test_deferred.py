"""Weights made a block of pairs at a time: the same energies, forces and their gradients, in every model that has such."""

import pytest
import torch

import molzoo.nn.deferred as deferred
from molzoo.kernels import use_backend
from molzoo.nn import Convolution

MODELS = ["SchNet", "PaiNN", "TFN", "NequIP"]


@pytest.fixture
def blocks(monkeypatch):
    """Few pairs make a block, and how many blocks were summed."""
    sums = []
    small = lambda pairs: monkeypatch.setattr(deferred, "PAIRS", pairs)  # noqa: E731
    block = Convolution._block
    monkeypatch.setattr(Convolution, "_block", lambda *arguments: (sums.append(arguments[5]), block(*arguments))[1])
    return small, sums


@pytest.mark.parametrize("backend", ["fused", "messages"])
@pytest.mark.parametrize("knots", [0, 64])
@pytest.mark.parametrize("name", MODELS)
def test_energies_forces_and_stress_are_the_same(name, knots, backend, blocks, predictor, structure):
    small, sums = blocks
    model, graph = predictor(name, radial_knots=knots).double(), structure("crystal")
    names = ["energy", "forces", "stress"]
    with use_backend(backend):
        whole = model(graph, names, create_graph=True)
        small(7)
        parts = model(graph, names, create_graph=True)
        weights = [parameter for parameter in model.parameters() if parameter.ndim]
        further = [
            torch.autograd.grad(found["forces"].square().sum(), weights, materialize_grads=True) for found in (parts, whole)
        ]
    assert len(set(sums)) > 2
    for quantity in names:
        torch.testing.assert_close(parts[quantity], whole[quantity], rtol=1e-10, atol=1e-10)
    for a, b in zip(*further, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("backend", ["fused", "messages"])
def test_layers_made_anew_give_the_same(backend, blocks, predictor, structure, monkeypatch):
    small, sums = blocks
    model, graph = predictor("NequIP").double(), structure("crystal")
    with use_backend(backend):
        whole = model(graph, ["energy", "forces"], create_graph=True)
        small(7)
        once = model(graph, ["energy", "forces"])
        n_blocks = len(sums)
        monkeypatch.setattr(deferred, "PAIRS_FOR_LAYERS", 7)
        parts = model(graph, ["energy", "forces"], create_graph=True)
        weights = [parameter for parameter in model.parameters() if parameter.ndim]
        further = [
            torch.autograd.grad(found["forces"].square().sum(), weights, materialize_grads=True) for found in (parts, whole)
        ]
    assert len(sums) > 2 * n_blocks
    for quantity in ("energy", "forces"):
        torch.testing.assert_close(once[quantity], whole[quantity], rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(parts[quantity], whole[quantity], rtol=1e-10, atol=1e-10)
    for a, b in zip(*further, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
