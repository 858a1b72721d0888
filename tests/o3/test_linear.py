"""Linear maps between irreps: e3nn's numbers, weights and paths."""

import e3nn.o3
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from o3_laws import LAWS, Case
from o3_parity import LAYOUTS, irreps, randn, same, twins

from molzoo.o3 import Irreps
from molzoo.o3.linear import Linear

IN, OUT = "4x0e+3x1o+2x0o+0x2e+1o", "2x1o+3x0e+1e+2x0e"
CASES = [
    Case(f"{name} {layout}", lambda i=i, o=o, k=k, layout=layout: Linear(i, o, layout=layout, **k), [i], o, layout)
    for layout in LAYOUTS
    for name, i, o, k in (
        ("simple", "4x0e+3x1o+2x2e", "3x0e+4x1o+2x2e", {}),
        ("repeated", IN, OUT, {"biases": True}),
        ("nothing", "2x0e", "2x1o", {}),
        ("empty", "", "", {}),
    )
]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_laws(case, law):
    law(case)


@settings(max_examples=30, deadline=None)
@given(irreps(), irreps(), st.booleans(), st.sampled_from(["element", "path"]), st.sampled_from(LAYOUTS))
def test_equals_e3nn(irreps_in, irreps_out, biases, normalization, layout):
    assume(not biases or Irreps(irreps_in).count("0e"))  # e3nn fails where a bias is all that arrives
    options = {"biases": biases, "path_normalization": normalization}
    ours, theirs = twins(
        lambda: Linear(irreps_in, irreps_out, layout=layout, **options),
        lambda: e3nn.o3.Linear(irreps_in, irreps_out, **options),
    )
    assert (ours.weight_numel, ours.bias_numel) == (theirs.weight_numel, theirs.bias_numel)
    assert [tuple(i) for i in ours.instructions] == [tuple(i) for i in theirs.instructions]
    assert [tuple(s) for s in ours.weight_index_slices] == [tuple(s) for s in theirs.weight_index_slices]
    assert ours.output_mask.equal(theirs.output_mask)
    assert repr(ours) == repr(theirs)
    same(ours, theirs, randn(irreps_in, 3))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("external", [True, False])
@pytest.mark.parametrize("f", [{}, {"f_in": 3, "f_out": 2}])
def test_weights_of_each_row_or_of_all(layout, external, f):
    options = {"shared_weights": not external, "internal_weights": False, "biases": True, **f}
    ours, theirs = twins(
        lambda: Linear(IN, OUT, layout=layout, **options),
        lambda: e3nn.o3.Linear(IN, OUT, _optimize_einsums=False, **options),  # which fail here
    )
    rows = (5,) if external else ()
    weight = torch.randn(*rows, *f.values(), ours.weight_numel, dtype=torch.float64)
    bias = torch.randn(*list(f.values())[1:], ours.bias_numel, dtype=torch.float64)
    same(ours, theirs, randn(IN, 5, *list(f.values())[:1]), weight, bias)


def test_biases_of_each_row():
    linear = Linear("2x0e", "2x0e", shared_weights=False, biases=True)
    x, weight, bias = torch.zeros(3, 2), torch.zeros(3, 4), torch.arange(6.0).view(3, 2)
    assert linear(x, weight, bias).equal(bias)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_mixes_one_more_axis(layout):
    options = {"f_in": 3, "f_out": 2, "biases": [False, True, False, False]}
    ours, theirs = twins(lambda: Linear(IN, OUT, layout=layout, **options), lambda: e3nn.o3.Linear(IN, OUT, **options))
    same(ours, theirs, randn(IN, 2, 4, 3))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_only_chosen_paths(layout):
    options = {"instructions": [(0, 3), (1, 0), (0, 3)], "path_normalization": "path"}
    ours, theirs = twins(lambda: Linear(IN, OUT, layout=layout, **options), lambda: e3nn.o3.Linear(IN, OUT, **options))
    assert ours.output_mask.equal(theirs.output_mask)
    same(ours, theirs, randn(IN, 4))


def test_same_seed_same_weights():
    torch.manual_seed(3)
    ours = Linear(IN, OUT)
    torch.manual_seed(3)
    assert ours.weight.equal(e3nn.o3.Linear(IN, OUT).weight)


def test_views_write_to_the_weights():
    ours, theirs = twins(lambda: Linear(IN, OUT), lambda: e3nn.o3.Linear(IN, OUT))
    views = list(ours.weight_views(yield_instruction=True))
    for (i, path, W), (j, other, V) in zip(views, theirs.weight_views(yield_instruction=True), strict=True):
        assert (i, tuple(path)) == (j, tuple(other))
        assert W.equal(V)
        assert W.equal(ours.weight_view_for_instruction(i))
    with torch.no_grad():
        for W in ours.weight_views():
            W.zero_()
    assert not ours.weight.any()


def test_tensors_of_other_weights_can_be_viewed():
    linear = Linear("2x0e+1o", "3x0e+1o", internal_weights=False)
    weight = torch.arange(7.0)
    assert [W.tolist() for W in linear.weight_views(weight)] == [[[0, 1, 2], [3, 4, 5]], [[6]]]


def test_variance_is_kept():
    torch.manual_seed(0)
    x = Irreps("64x0e+32x1o+16x0e").randn(2000, -1)
    y = torch.stack([Linear("64x0e+32x1o+16x0e", "32x0e+32x1o")(x) for _ in range(20)])
    assert abs(y.square().mean().item() - 1) < 0.03


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Linear("0e", "0e", f_in=3), "f_in is 3 and f_out is None"),
        (lambda: Linear("0e", "0e", internal_weights=True, shared_weights=False), "choose one"),
        (lambda: Linear("0e", "0e", path_normalization="none"), "'element' or 'path'; got 'none'"),
        (lambda: Linear("0e", "0e", instructions=[(0, 1)]), "term 0 of 1x0e to term 1 of 1x0e"),
        (lambda: Linear("0e", "1o", instructions=[(0, 0)]), "cannot turn 0e .* into 1o"),
        (lambda: Linear("0e", "0e", biases=[True, True]), "2 biases are given for the 1 terms of 1x0e"),
        (lambda: Linear("1o", "1o", biases=[True]), "a bias on 1x1o would not turn"),
        (lambda: Linear("3x0e", "0e")(torch.zeros(2, 4)), "x has 4 components, but its irreps 3x0e have 3"),
        (lambda: Linear("3x0e", "0e", shared_weights=False)(torch.zeros(2, 3)), "has no weight of its own; pass weight"),
        (lambda: Linear("3x0e", "0e")(torch.zeros(2, 3), torch.zeros(2)), "weight has 2 components, but Linear.* needs 3"),
        (lambda: Linear("0e", "0e", biases=True).weight_view_for_instruction(1), "is the bias of term 0"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
