"""What is kept of frozen weights: made once, and never stale."""

import copy
import pickle

import pytest
import torch
from torch import nn

from molzoo import Predictor
from molzoo.graph import AtomGraph, connect
from molzoo.nn.frozen import Frozen

WATER = {"z": [8, 1, 1], "pos": [[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]]}


@pytest.fixture
def layer():
    return nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1)).requires_grad_(False).eval()


def counted(layer):
    """A Frozen value, and a function that gives how often it was made."""
    kept, made = Frozen(), []
    return lambda *also: kept(layer, lambda: made.append(1) or len(made), *also)


def test_it_is_made_once(layer):
    ask = counted(layer)
    assert [ask(), ask(), ask()] == [1, 1, 1]


@pytest.mark.parametrize(
    "change",
    [
        lambda layer: layer[0].weight.mul_(2),
        lambda layer: layer[1].running_mean.add_(1),
        lambda layer: layer.load_state_dict(layer.state_dict()),
        lambda layer: layer.load_state_dict({k: v.clone() for k, v in layer.state_dict().items()}, assign=True),
        lambda layer: setattr(layer[0].weight, "data", layer[0].weight + 1),
        lambda layer: layer.double(),
        lambda layer: setattr(layer[0], "bias", None),
    ],
    ids=["in place", "a buffer", "a state", "another tensor", "other data", "another precision", "one less"],
)
def test_it_is_made_anew_when_weights_change(layer, change):
    ask = counted(layer)
    ask()
    with torch.no_grad():
        change(layer)
    assert [ask(), ask()] == [2, 2]


def test_what_else_it_depends_on_counts_too(layer):
    ask = counted(layer)
    assert [ask("cpu"), ask("cpu"), ask("cuda")] == [1, 1, 2]


def test_nothing_is_kept_of_weights_that_somebody_follows(layer):
    ask = counted(layer)
    with torch.autocast("cpu"):
        assert ask() is None
    with torch.autograd.forward_ad.dual_level():
        assert ask() is None
    assert torch.func.grad(lambda x: x * (ask() is None))(torch.tensor(3.0)) == 1
    layer[0].bias.requires_grad_()
    assert ask() is None


def test_copies_and_files_begin_with_nothing(layer):
    kept = Frozen()
    kept(layer, lambda: torch.ones(1))
    for other in (copy.deepcopy(kept), pickle.loads(pickle.dumps(kept))):
        assert other(layer, lambda: "anew") == "anew"


@pytest.mark.parametrize("name", ["SchNet", "PaiNN", "TFN", "NequIP"])
def test_a_frozen_table_predicts_what_one_in_training_does(name):
    torch.manual_seed(0)
    predictor = Predictor(name, ["energy", "forces"], {"channels": 8, "radial_knots": 64}).double()
    graph, frozen = connect(AtomGraph(**WATER), 5.0), copy.deepcopy(predictor).eval().requires_grad_(False)
    for _ in range(2):
        for found in (frozen(graph), frozen(graph)):
            torch.testing.assert_close(found, predictor.eval()(graph), rtol=0, atol=1e-12)
        with torch.no_grad():  # other weights
            for one, other in zip(predictor.parameters(), frozen.parameters(), strict=True):
                other.copy_(one.mul_(1.1))


def test_a_frozen_table_evaluates_no_network():
    predictor = Predictor("SchNet", ["energy", "forces"], {"channels": 8, "radial_knots": 64}).eval().requires_grad_(False)
    graph, rows = connect(AtomGraph(**WATER), 5.0), []
    predictor.model.interactions[0].filter.register_forward_hook(lambda module, args, out: rows.append(len(out)))
    predictor(graph), predictor(graph)
    assert rows == [64 + 8]


def test_other_weights_for_one_call_are_not_mistaken_for_the_frozen_ones():
    predictor = Predictor("SchNet", ["energy"], {"channels": 8, "radial_knots": 64}).eval().requires_grad_(False)
    graph = connect(AtomGraph(**WATER), 5.0)
    before = predictor(graph)["energy"]
    others = {name: 1.1 * p for name, p in predictor.named_parameters()}
    other = torch.func.functional_call(predictor, others, (graph,))["energy"]
    predictor.load_state_dict(others, strict=False)
    assert (other - before).abs() > 1e-6
    assert torch.equal(predictor(graph)["energy"], other)
