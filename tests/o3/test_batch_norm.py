"""Batch normalisation of irreps: e3nn's numbers, running means and state."""

import itertools

import e3nn.nn
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from o3_laws import LAWS, Case, any_batch
from o3_parity import LAYOUTS, double, irreps, randn, relaid, same, twins

from molzoo.o3.batch_norm import BatchNorm

FEATURES = "3x0e+2x1o+0x1e+2x0o+2e+2x1o+0e"
CASES = [
    Case(f"{name} {layout}", lambda i=i, k=k, layout=layout: BatchNorm(i, layout=layout, **k), [i], i, layout)
    for layout in LAYOUTS
    for name, i, k in (
        ("running", FEATURES, {}),
        ("plain", FEATURES, {"affine": False}),
        ("instance", FEATURES, {"instance": True, "normalization": "norm", "eps": 0.1}),
        ("empty", "", {}),
    )
]


# The first axis of an instance norm is not like the others.
PAIRS = [(case, law) for case in CASES for law in LAWS if not (law is any_batch and case.name.startswith("instance"))]


@pytest.mark.parametrize(("case", "law"), PAIRS, ids=[f"{case.name}-{law.__name__}" for case, law in PAIRS])
def test_laws(case, law):
    law(case)


OPTIONS = list(itertools.product([True, False], ["mean", "max"], [True, False], [True, False], ["component", "norm"]))


@settings(max_examples=40, deadline=None)
@given(irreps(1), st.sampled_from(OPTIONS), st.booleans(), st.sampled_from(LAYOUTS))
def test_equals_e3nn(irreps, options, training, layout):
    names = ("affine", "reduce", "instance", "include_bias", "normalization")
    options = dict(zip(names, options, strict=True), eps=1e-3, momentum=0.3)
    ours, theirs = twins(
        lambda: BatchNorm(irreps, layout=layout, **options), lambda: e3nn.nn.BatchNorm(irreps, **options), strict=True
    )
    assert repr(ours) == repr(theirs)
    ours.train(training)
    theirs.train(training)
    x = 2 * randn(irreps, 4, 2, 3) + 1
    # A mean of 0 squares has steep derivatives; what is left of the largest is rounding.
    same(ours, theirs, x, tolerance=1e-11)
    if not options["instance"]:
        torch.testing.assert_close(ours.running_mean, theirs.running_mean)
        torch.testing.assert_close(ours.running_var, theirs.running_var)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_learns_the_moments_of_its_batches(layout):
    with double():
        norm = BatchNorm(FEATURES, momentum=0.5, layout=layout)
        x = relaid(3 * randn(FEATURES, 1000) + 2, FEATURES, "mul_ir", layout)
    for _ in range(30):
        norm(x)
    torch.testing.assert_close(norm.eval()(x), norm.train()(x), rtol=1e-6, atol=1e-6)


def test_an_empty_batch_teaches_nothing():
    norm = BatchNorm(FEATURES)
    assert norm(torch.zeros(0, norm.irreps.dim)).shape == (0, norm.irreps.dim)
    assert norm.running_mean.eq(0).all()
    assert norm.running_var.eq(1).all()


@pytest.mark.usefixtures("unchecked")
def test_training_is_one_graph():
    torch._dynamo.reset()
    norm, twin = BatchNorm(FEATURES), BatchNorm(FEATURES)
    compiled = torch.compile(norm, fullgraph=True, dynamic=True, backend="eager")
    for rows in (4, 6):
        x = randn(FEATURES, rows).float()
        torch.testing.assert_close(compiled(x), twin(x))
    torch.testing.assert_close(norm.running_var, twin.running_var)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BatchNorm("1o", reduce="sum"), "reduce is 'mean' or 'max'; got 'sum'"),
        (lambda: BatchNorm("1o", normalization="std"), "normalization is 'norm' or 'component'; got 'std'"),
        (lambda: BatchNorm("1o")(torch.zeros(2, 4)), "input has 4 components, but its irreps 1x1o have 3"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
