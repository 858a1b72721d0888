"""Tensors with index symmetries, permutations and bases: e3nn's numbers, and the laws of every layer."""

import itertools
from contextlib import contextmanager

import e3nn.math
import e3nn.math.perm
import e3nn.o3
import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from o3_laws import LAWS, Case

from molzoo import o3
from molzoo.o3 import permutation
from molzoo.o3.bases import complete_basis, direct_sum, orthonormalize
from molzoo.o3.permutation import germinate_formulas, reduce_permutation
from molzoo.o3.reduced import ReducedTensorProducts

FORMULAS = [
    "i",
    "ij",
    "ij=ji",
    "ij=-ji",
    "ijk=jik",
    "ijk=-kji",
    "ijk=jki",
    "ijk=-jik=-ikj",
    "ijkl=jikl=klij",
]
SHUFFLES = list(itertools.permutations(range(4)))
TERMS = st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["0e", "0o", "1o", "1e", "2e"])), min_size=1, max_size=3)


@contextmanager
def double():
    # e3nn computes in the default precision; without TorchScript it is sooner made.
    before = e3nn.get_optimization_defaults()
    e3nn.set_optimization_defaults(jit_script_fx=False)
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)
        e3nn.set_optimization_defaults(**before)


def close(a, b, atol=1e-12):
    torch.testing.assert_close(a, b, rtol=0, atol=atol)


def case(formula, irreps_in, irreps_out, layout, **kwargs):
    make = lambda: ReducedTensorProducts(formula, layout=layout, **kwargs)  # noqa: E731
    return Case(f"{formula} {layout} {irreps_in[0]}", make, irreps_in, irreps_out, layout)


MIXED = ["2x0o + 1o", "2x0o + 1o", "2x1e"]
CASES = [
    case("ij=-ji", ["1o"] * 2, "1e", "mul_ir", i="1o"),
    case("ijk=jik=ikj", ["1o"] * 3, "1o + 3o", "ir_mul", i="1o"),
    case("i", ["2x1o + 0e + 1o"], "3x1o + 0e", "ir_mul", i="2x1o + 0e + 1o"),
    case("ijk=jik", MIXED, "4x0e + 14x1e + 6x2e + 2x3e", "mul_ir", i=MIXED[0], k=MIXED[2]),
    case("ijk=jik", MIXED, "4x0e + 14x1e + 6x2e + 2x3e", "ir_mul", i=MIXED[0], k=MIXED[2]),
]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_laws(case, law):
    law(case)


def irreps_of(formula, terms):
    """The same irreps for all indices that can be exchanged."""
    indices, symmetries = germinate_formulas(formula)
    first = {k: min(p[k] for _, p in symmetries) for k in range(len(indices))}
    chosen = terms if len(indices) < 3 else [(min(mul, 1), ir) for mul, ir in terms[: 6 - len(indices)]]
    return {i: o3.Irreps(chosen if first[k] == 0 else "1o") for k, i in enumerate(indices)}


@pytest.mark.parametrize("formula", FORMULAS)
@settings(max_examples=2, deadline=None, derandomize=True)
@given(terms=TERMS)
@double()
def test_equals_e3nn(formula, terms):
    """Irreps, change of basis, values, first and second derivatives."""
    irreps = irreps_of(formula, terms)
    ours = ReducedTensorProducts(formula, **irreps)
    if not ours.irreps_out:  # where nothing is left, e3nn fails
        return
    theirs = e3nn.o3.ReducedTensorProducts(formula, **{i: str(given) for i, given in irreps.items()})
    assert str(ours.irreps_out) == str(theirs.irreps_out)
    assert list(map(str, ours.irreps_in)) == list(map(str, theirs.irreps_in))
    close(ours.change_of_basis, theirs.change_of_basis)
    xs = [torch.randn(3, given.dim, requires_grad=True) for given in ours.irreps_in]
    results = []
    for layer in (ours, theirs):
        out = layer(*xs)
        first = torch.autograd.grad(out.pow(3).sum(), xs, create_graph=True)
        second = torch.autograd.grad(sum(g.square().sum() for g in first), xs)
        results.append((out, *first, *(g / g.abs().max().clamp(min=1) for g in second)))
    for a, b in zip(*results, strict=True):
        close(a, b, 1e-11)


@pytest.mark.parametrize("formula", ["ijkl=jikl", "ijk=jik=ikj"])
@double()
def test_filters_as_e3nn(formula):
    kwargs = dict(filter_ir_out=["0e", "1o", "2e"], filter_ir_mid=["0e", "1o", "1e", "3o"], i="0e + 1o")
    kwargs.update(k="1o", l="1o") if "l" in formula else None
    ours, theirs = ReducedTensorProducts(formula, **kwargs), e3nn.o3.ReducedTensorProducts(formula, **kwargs)
    assert str(ours.irreps_out) == str(theirs.irreps_out)
    close(ours.change_of_basis, theirs.change_of_basis)


@pytest.mark.parametrize(("formula", "irreps"), [("ijkl=-jikl=ijlk=klij", "1o"), ("ij=-ji", "0e+2x1o"), ("ijk=jki", "0o+2e")])
@double()
def test_spans_the_symmetric_tensors(formula, irreps):
    """Orthonormal rows, and as many as there are free entries."""
    dim = o3.Irreps(irreps).dim
    Q = ReducedTensorProducts(formula, i=irreps).change_of_basis.flatten(1)
    free, _ = e3nn.math.reduce_permutation(*e3nn.math.germinate_formulas(formula), i=dim)
    close(Q @ Q.T, torch.eye(len(Q)))
    close(Q.T @ Q, free.flatten(1).T @ free.flatten(1))


def test_irreps_of_well_known_tensors():
    made = [ReducedTensorProducts(f, i="1o").irreps_out for f in ("ij=ji", "ijk=-jik=-ikj", "ijkl=jikl=ikjl=ijlk")]
    assert list(map(str, made)) == ["1x0e+1x2e", "1x0o", "1x0e+1x2e+1x4e"]
    one_letter_is_enough = ReducedTensorProducts("αβγ=γβα", γ="1o", β=o3.Irreps("0e"))
    assert one_letter_is_enough.irreps_in == [o3.Irreps("1o"), o3.Irreps("0e"), o3.Irreps("1o")]


@pytest.mark.parametrize(("formula", "irreps"), [("ij=-ji", {"i": "0e"}), ("ij", {"i": "0x1o", "j": "1o"}), ("i", {"i": ""})])
def test_nothing_is_a_result_too(formula, irreps):
    layer = ReducedTensorProducts(formula, **irreps)
    xs = [torch.randn(5, given.dim, requires_grad=True) for given in layer.irreps_in]
    assert layer.irreps_out == o3.Irreps()
    assert layer(*xs).shape == (5, 0)
    gradients = torch.autograd.grad(layer(*xs).sum(), xs, materialize_grads=True)
    assert all(g.equal(torch.zeros_like(x)) for g, x in zip(gradients, xs, strict=True))


def test_layouts_hold_the_same_numbers():
    irreps = o3.Irreps("2x0e + 3x1o")
    x, y = torch.randn(2, 4, irreps.dim)
    mul_ir, ir_mul = (ReducedTensorProducts("ij=ji", i=irreps, layout=layout) for layout in ("mul_ir", "ir_mul"))
    turned = ir_mul(*(o3.join(o3.split(v, irreps), "ir_mul", like=v) for v in (x, y)))
    torch.testing.assert_close(o3.join(o3.split(turned, ir_mul.irreps_out, "ir_mul"), like=turned), mul_ir(x, y))
    torch.testing.assert_close(torch.einsum("kij,zi,zj->zk", mul_ir.change_of_basis, x, y), mul_ir(x, y))


def test_batches_broadcast_and_state_moves_over():
    layer = ReducedTensorProducts("ij", i="1o", j="1o")
    assert layer(torch.randn(5, 1, 3), torch.randn(4, 3)).shape == (5, 4, 9)
    layer.load_state_dict(e3nn.o3.ReducedTensorProducts("ij", i="1o", j="1o").state_dict(), strict=False)
    assert layer.double().change_of_basis.dtype == torch.float64
    assert repr(layer) == "ReducedTensorProducts(ij: 1x1o ⊗ 1x1o → 1x0e+1x1e+1x2e)"


@pytest.mark.parametrize(
    ("formula", "kwargs", "says"),
    [
        ("ij=jk", dict(i="1o"), "'jk' is not a rearrangement of 'ij'"),
        ("-ij=ji", dict(i="1o"), "must begin with the indices"),
        ("", {}, "must begin with the indices"),
        ("ij=ji", {}, "nothing was given for index 'i'"),
        ("ij=ji", dict(i="1o", j="1e"), "must be alike, but got i=1x1o, j=1x1e"),
        ("ij=ji", dict(i="1o", k="1e"), "k=1x1e was given, but the indices are 'ij'"),
        ("ij=ji", dict(i="1o", filter_ir_out=["d"]), "'d' is not an irrep"),
        ("ij=ji", dict(i="1o", layout="chw"), "there is no layout 'chw'"),
    ],
)
def test_refuses(unchecked, formula, kwargs, says):
    with pytest.raises(ValueError, match=says):
        ReducedTensorProducts(formula, **kwargs)


def test_refuses_other_arguments_and_vectors():
    with pytest.raises(TypeError, match="unexpected keyword argument 'lmax'"):
        ReducedTensorProducts("ij=ji", i="1o", lmax=2)
    with pytest.raises(ValueError, match=r"takes vectors of \[3, 3\] components, one for each index; got \[3\]"):
        ReducedTensorProducts("ij=ji", i="1o")(torch.zeros(3))


@pytest.mark.parametrize("formula", FORMULAS)
@double()
def test_permutation_basis_equals_e3nn(formula):
    ours, theirs = germinate_formulas(formula), e3nn.math.germinate_formulas(formula)
    assert ours == theirs
    dims = dict.fromkeys(ours[0], 3)
    (Q, entries), (Q_e3nn, entries_e3nn) = reduce_permutation(*ours, **dims), e3nn.math.reduce_permutation(*theirs, **dims)
    assert entries == entries_e3nn
    close(Q, Q_e3nn, 1e-15)


@pytest.mark.parametrize("name", ["inverse", "to_int", "to_cycles", "sign", "is_perm"])
def test_permutations_equal_e3nn(name):
    for p in [(), (0,), *SHUFFLES]:
        assert getattr(permutation, name)(p) == getattr(e3nn.math.perm, name)(p)


@double()
def test_permutation_groups_equal_e3nn():
    theirs = e3nn.math.perm
    assert [permutation.from_int(i, 4) for i in range(24)] == [theirs.from_int(i, 4) for i in range(24)]
    assert permutation.group(4) == theirs.group(4)
    for p, q in zip(SHUFFLES, SHUFFLES[7:], strict=False):
        assert permutation.compose(p, q) == theirs.compose(p, q)
        group = permutation.germinate({p, q})
        assert group == theirs.germinate({p, q})
        assert permutation.is_group(group)
        assert permutation.is_group(group - {q}) == theirs.is_group(group - {q})
        close(permutation.standard_representation(p), theirs.standard_representation(p))
        close(permutation.natural_representation(p), theirs.natural_representation(p))
    assert not permutation.is_group(set())
    assert sorted(permutation.rand(6)) == list(permutation.identity(6))
    with pytest.raises(ValueError, match=r"got \(0, 1\) and \(0, 0\)"):
        permutation.compose((0, 1), (0, 0))


@double()
def test_bases_equal_e3nn():
    torch.manual_seed(0)
    rows = torch.randn(4, 6)
    rows = torch.cat([rows[:2], rows[:2].sum(0, keepdim=True), torch.zeros(1, 6), rows[2:]])
    y, A = orthonormalize(rows)
    for ours, theirs in zip((y, A), e3nn.math.orthonormalize(rows), strict=True):
        close(ours, theirs)
    close(A @ rows, y)
    close(complete_basis(3 * y), e3nn.math.complete_basis(3 * y))
    assert complete_basis(torch.zeros(0, 2)).equal(torch.eye(2))
    assert orthonormalize(torch.zeros(3, 2))[0].shape == (0, 2)
    blocks = torch.randn(2, 3, 4), torch.randn(2, 1, 0), torch.randn(2, 2, 1)
    assert direct_sum(*blocks).equal(e3nn.math.direct_sum(*blocks))


def test_complete_basis_is_perpendicular_to_oblique_vectors():
    oblique = torch.tensor([[1.0, 0, 0, 0], [1.0, 1e-3, 0, 1e-3]])
    rest = complete_basis(oblique)
    close(rest @ oblique.T, torch.zeros(2, 2), 1e-7)
    close(rest @ rest.T, torch.eye(2), 1e-6)


def test_the_convention_of_the_couplings(unchecked):
    """2 ⊗ 1 → 2 has the other sign in e3nn 0.4.4, and all else the same."""
    new, old = (ReducedTensorProducts("ij", i="1o", j="2e", convention=name) for name in ("e3nn-0.6", "e3nn-0.4.4"))
    assert str(new.irreps_out) == str(old.irreps_out) == "1x1o+1x2o+1x3o"
    signs = torch.cat([torch.ones(3), -torch.ones(5), torch.ones(7)])
    close(old.change_of_basis, signs[:, None, None] * new.change_of_basis, atol=0)
    with pytest.raises(ValueError, match=r"convention 'e3nn-0\.6'.*'e3nn-0\.4\.4'"):
        old.load_state_dict(new.state_dict())
    with pytest.raises(ValueError, match="no convention 'e3nn'"):
        ReducedTensorProducts("ij=ji", i="1o", convention="e3nn")
