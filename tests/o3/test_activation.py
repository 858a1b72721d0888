"""Activations of scalars and of lengths: e3nn's constants, parities and numbers."""

import e3nn.math
import e3nn.nn
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from o3_laws import LAWS, Case
from o3_parity import LAYOUTS, double, irreps, randn, same, twins
from torch.nn.functional import gelu, silu

from molzoo.o3.activation import Activation, NormActivation, moment, normalize2mom

TERMS = "4x0e+2x0o+0x0e+3x0o+2x1o"
ACTS = [silu, torch.tanh, torch.sigmoid, torch.abs, None]
CASES = [
    case
    for layout in LAYOUTS
    for case in (
        Case(
            f"acts {layout}",
            lambda layout=layout: Activation(TERMS, ACTS, layout=layout),
            [TERMS],
            "4x0e+2x0o+3x0e+2x1o",
            layout,
        ),
        Case(f"none {layout}", lambda layout=layout: Activation("", [], layout=layout), [""], "", layout),
        *(
            Case(
                f"norm {sorted(k.items())} {layout}",
                lambda k=k, layout=layout: NormActivation("2x0e+0x1e+3x1o+2e+1o", torch.sigmoid, layout=layout, **k),
                ["2x0e+3x1o+2e+1o"],
                "2x0e+3x1o+2e+1o",
                layout,
            )
            for k in ({}, {"bias": True, "epsilon": 0.1}, {"normalize": False})
        ),
    )
]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_laws(case, law):
    law(case)


@pytest.mark.parametrize("f", [silu, torch.tanh, torch.sigmoid, torch.relu, gelu, torch.sin, lambda x: x, torch.nn.SiLU()])
def test_constants_are_e3nns_to_the_last_digit(f):
    ours, theirs = normalize2mom(f), e3nn.math.normalize2mom(f)
    assert ours.cst == theirs.cst
    x = torch.linspace(-3, 3, 50)
    assert ours(x).equal(theirs(x))


def test_moments_are_e3nns():
    for n in (1, 2, 4):
        assert moment(torch.tanh, n, torch.float64) == e3nn.math.moment(torch.tanh, n, torch.float64)
        assert moment(torch.tanh, n) == e3nn.math.moment(torch.tanh, n)


def test_constants_leave_the_random_numbers_alone():
    torch.manual_seed(4)
    expected = torch.rand(3)
    torch.manual_seed(4)
    normalize2mom(lambda x: x.cos())
    assert torch.rand(3).equal(expected)


def test_a_module_counts_as_it_is_now():
    f = torch.nn.PReLU(init=0.5).double()
    before = normalize2mom(f).cst
    torch.nn.init.constant_(f.weight, 1.0)
    assert normalize2mom(f).cst == pytest.approx(1, abs=2e-3)
    assert before == pytest.approx((2 / 1.25) ** 0.5, abs=2e-3)


def test_second_moment_is_one():
    x = torch.randn(200_000, generator=torch.Generator().manual_seed(1))[:, None]
    for act in (silu, torch.tanh, torch.sigmoid):
        assert Activation("0e", [act])(x).square().mean().item() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_activation_equals_e3nn(layout):
    ours, theirs = twins(lambda: Activation(TERMS, ACTS, layout=layout), lambda: e3nn.nn.Activation(TERMS, ACTS))
    assert repr(ours) == repr(theirs)
    assert str(ours.irreps_out) == str(theirs.irreps_out)
    same(ours, theirs, randn(TERMS, 2, 3))


def test_along_another_axis():
    ours, theirs = twins(lambda: Activation("4x0e+2x0o", ACTS[:2]), lambda: e3nn.nn.Activation("4x0e+2x0o", ACTS[:2]))
    x = torch.randn(2, 6, 3, dtype=torch.float64)
    assert ours(x, dim=1).equal(theirs(x, dim=1))


@pytest.mark.parametrize("module", [torch.nn.SiLU(), torch.nn.Tanh()])
def test_modules_are_in_the_state_like_e3nns(module):
    assert Activation("0e", [module]).state_dict().keys() == e3nn.nn.Activation("0e", [module]).state_dict().keys()


@settings(max_examples=20, deadline=None)
@given(irreps(), st.sampled_from([{}, {"bias": True}, {"epsilon": 0.7}]), st.sampled_from(LAYOUTS))
def test_norm_activation_equals_e3nn(irreps, options, layout):
    ours, theirs = twins(
        lambda: NormActivation(irreps, torch.sigmoid, layout=layout, **options),
        lambda: e3nn.nn.NormActivation(e3nn.o3.Irreps(irreps), torch.sigmoid, **options),
    )
    x = randn(irreps, 3)
    same(ours, theirs, x + 0.2 * x.sign())  # second derivatives amplify rounding by 1/norm²


@pytest.mark.parametrize("normalize", [True, False])
def test_norm_activation_of_nothing_has_derivatives(normalize):
    act = NormActivation("0e+1o", torch.sigmoid, normalize)
    x = torch.zeros(4, requires_grad=True)
    (first,) = torch.autograd.grad(act(x).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), x, materialize_grads=True)
    assert first.isfinite().all()
    assert second.isfinite().all()


def test_parity_is_found_in_float64_too():
    with double():
        assert str(Activation("0o", [torch.abs]).irreps_out) == "1x0e"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Activation("0e+0o", [silu]), "1 activations are given for the 2 terms of 1x0e"),
        (lambda: Activation("2x0o", [silu]), "silu of 2x0o has no parity, for silu is neither even nor odd"),
        (lambda: Activation("2x1o", [torch.tanh]), "an activation of 2x1o would not turn with it"),
        (lambda: Activation("2x0e", [torch.tanh])(torch.zeros(5, 3)), "x has 3 components, but its irreps 2x0e have 2"),
        (lambda: NormActivation("1o", torch.tanh, epsilon=0.0), "epsilon is a positive length; got 0.0"),
        (lambda: NormActivation("1o", torch.tanh, normalize=False, epsilon=0.1), "epsilon = 0.1 is for dividing"),
        (lambda: NormActivation("1o", torch.tanh)(torch.zeros(4)), "x has 4 components, but its irreps 1x1o have 3"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
