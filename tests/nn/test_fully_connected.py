"""The variance-preserving net: e3nn's weights and numbers, and what every layer must obey."""

import e3nn.nn
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from o3_laws import LAWS, Case

from molzoo.nn.fully_connected import FullyConnectedNet

ACTS = {"none": None, "silu": F.silu, "tanh": torch.tanh, "module": torch.nn.SiLU(), "own": lambda x: x.square() - 1}
CASES = [
    Case("one layer", lambda: FullyConnectedNet([6, 2]), ["6x0e"], "2x0e"),
    Case("linear", lambda: FullyConnectedNet([6, 8, 2], None, 2.0, 5.0), ["6x0e"], "2x0e"),
    Case("deep", lambda: FullyConnectedNet([6, 8, 8, 2], F.silu, 0.5, 2.0), ["6x0e"], "2x0e"),
    Case("activated to the end", lambda: FullyConnectedNet([6, 8, 2], torch.tanh, out_act=True), ["6x0e"], "2x0e"),
    Case("no layer", lambda: FullyConnectedNet([6], F.silu), ["6x0e"], "6x0e"),
]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.usefixtures("unchecked")
def test_laws(case, law):
    law(case)


def both(hs, *arguments):
    """e3nn's net and ours with its weights."""
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    theirs, ours = e3nn.nn.FullyConnectedNet(hs, *arguments), FullyConnectedNet(hs, *arguments)
    torch.set_default_dtype(torch.float32)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


@settings(max_examples=12, deadline=None)
@given(
    hs=st.lists(st.integers(0, 9), min_size=1, max_size=4),
    act=st.sampled_from(sorted(ACTS)),
    variances=st.tuples(st.floats(0.1, 5), st.floats(0.1, 5)),
    out_act=st.booleans(),
    shape=st.lists(st.integers(0, 3), max_size=2),
)
def test_values_and_two_derivatives_equal_e3nn(hs, act, variances, out_act, shape):
    nets = both(hs, ACTS[act], *variances, out_act)
    x = torch.randn(*shape, hs[0], dtype=torch.float64)
    results = []
    for net in nets:
        leaves = [x.clone().requires_grad_(), *net.parameters()]
        out = net(leaves[0])
        first = torch.autograd.grad(out.square().sum(), leaves, create_graph=True)
        second = torch.autograd.grad(sum(g.square().sum() for g in first), leaves)
        results.append([out, *first, *second])
    for theirs, ours in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_a_seed_gives_the_weights_of_e3nn():
    nets = []
    for library in (e3nn.nn, None):
        torch.manual_seed(3)
        nets.append((library.FullyConnectedNet if library else FullyConnectedNet)([4, 8, 2], F.silu).state_dict())
    assert list(nets[0]) == list(nets[1]) == ["layer0.weight", "layer1.weight"]
    assert all(a.equal(b) for a, b in zip(*map(dict.values, nets), strict=True))


@pytest.mark.parametrize("act", ["none", "silu", "tanh"])
@pytest.mark.parametrize("out_act", [False, True])
def test_second_moments_are_those_asked_for(act, out_act):
    moments = []
    for _ in range(4):
        net = FullyConnectedNet([512, 512, 512, 512], ACTS[act], 3.0, 0.5, out_act)
        moments.append(net(3.0**0.5 * torch.randn(200, 512)).square().mean())
    assert torch.stack(moments).mean().item() == pytest.approx(0.5, rel=0.05)


def test_it_says_its_widths():
    net = FullyConnectedNet([4, 8, 2], F.silu)
    assert (repr(net), net.hs, len(net)) == ("FullyConnectedNet[4, 8, 2]", [4, 8, 2], 2)
    assert repr(net.layer1).startswith("_Layer(8 -> 2")


def test_an_input_of_another_width_is_refused():
    with pytest.raises(ValueError, match=r"x has 5 components, but the net of widths \[4, 8, 2\] takes 4"):
        FullyConnectedNet([4, 8, 2], F.silu)(torch.zeros(3, 5))
