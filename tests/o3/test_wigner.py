"""Wigner D and 3j: e3nn's numbers, and the laws they must obey."""

import itertools
from pathlib import Path

import e3nn.o3
import numpy as np
import pytest
import torch

from molzoo import o3

TRIPLES = [(a, b, c) for a in range(5) for b in range(5) for c in range(abs(a - b), min(a + b, 5) + 1)]


@pytest.fixture(autouse=True)
def _double():
    # e3nn computes in the default precision.
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("triple", [*TRIPLES, (6, 5, 7), (8, 8, 8), (11, 4, 9)])
def test_3j_equals_e3nn(triple):
    torch.testing.assert_close(o3.wigner_3j(*triple), e3nn.o3.wigner_3j(*triple), rtol=0, atol=1e-13)


def test_3j_is_invariant():
    angles = o3.rand_angles()
    for triple in TRIPLES:
        C = o3.wigner_3j(*triple)
        D1, D2, D3 = (o3.wigner_D(l, *angles) for l in triple)
        torch.testing.assert_close(torch.einsum("abc,ai,bj,ck->ijk", C, D1, D2, D3), C, rtol=0, atol=1e-12)


def test_3j_gives_a_copy():
    o3.wigner_3j(1, 1, 1).zero_()
    assert o3.wigner_3j(1, 1, 1).norm() > 0.9


def test_3j_refuses_what_does_not_couple():
    with pytest.raises(ValueError, match="between 0 and 2"):
        o3.wigner_3j(1, 1, 3)


def test_3j_equals_e3nn_044():
    # One component of each coupling, which is unique but for its sign; the file says how it was made.
    rows = np.loadtxt(Path(__file__).parents[1] / "fixtures" / "e3nn_044_wigner_3j.csv", delimiter=",")
    turned = 0
    for *where, value in rows.tolist():
        l1, l2, l3, *at = map(int, where)
        new, old = (float(o3.wigner_3j(l1, l2, l3, convention=name)[tuple(at)]) for name in ("e3nn-0.6", "e3nn-0.4.4"))
        assert old == pytest.approx(value, abs=1e-14)
        turned += old == -new
    assert (len(rows), turned) == (328, 68)


def test_3j_of_e3nn_044_follows_the_rule_that_is_documented():
    for triple in itertools.combinations_with_replacement(range(9), 3):
        if triple[2] <= triple[0] + triple[1]:
            C = o3.wigner_3j(*triple, convention="e3nn-0.4.4")
            assert (C[triple] if sum(triple) % 2 == 0 else C[C.abs() > 1e-12][0]) > 0


@pytest.mark.parametrize("convention", ["e3nn-0.6", "e3nn-0.4.4"])
def test_exchanged_degrees_give_the_same_3j_with_the_sign_of_their_sum(convention):
    for l1, l2, l3 in TRIPLES:
        C, swap_12, swap_23 = (
            o3.wigner_3j(*triple, convention=convention) for triple in ((l1, l2, l3), (l2, l1, l3), (l1, l3, l2))
        )
        for other in (swap_12.transpose(0, 1), swap_23.transpose(1, 2)):
            torch.testing.assert_close((-1) ** (l1 + l2 + l3) * other, C, rtol=0, atol=1e-14)


def test_3j_of_an_unknown_convention_is_answered_with_the_nearest(unchecked):
    with pytest.raises(ValueError, match=r"did you mean 'e3nn-0.4.4'"):
        o3.wigner_3j(1, 1, 1, convention="e3nn-0.4.3")


@pytest.mark.parametrize("l", [0, 1, 2, 3, 5, 8, 11])
def test_D_equals_e3nn(l):
    angles = o3.rand_angles(4, 3)
    torch.testing.assert_close(o3.wigner_D(l, *angles), e3nn.o3.wigner_D(l, *angles), rtol=0, atol=1e-12)


@pytest.mark.parametrize("l", [1, 2, 4, 8])
def test_D_is_a_representation(l):
    A, B = o3.rand_matrix(3), o3.rand_matrix(3)
    D = o3.Irrep(l, 1).D_from_matrix
    torch.testing.assert_close(D(A @ B), D(A) @ D(B), rtol=0, atol=1e-12)


def test_degree_one_is_the_rotation_itself():
    R = o3.rand_matrix(5)
    torch.testing.assert_close(o3.Irrep("1e").D_from_matrix(R), R, rtol=0, atol=1e-13)


def test_D_is_differentiable_twice():
    angles = [a.requires_grad_() for a in o3.rand_angles()]
    assert torch.autograd.gradcheck(lambda *a: o3.wigner_D(3, *a), angles)
    assert torch.autograd.gradgradcheck(lambda *a: o3.wigner_D(3, *a), angles)


@pytest.mark.parametrize("l", range(5))
def test_generators_and_basis_equal_e3nn(l):
    torch.testing.assert_close(o3.so3_generators(l), e3nn.o3.so3_generators(l))
    torch.testing.assert_close(o3.su2_generators(l), e3nn.o3.su2_generators(l))
    torch.testing.assert_close(o3.change_basis_real_to_complex(l), e3nn.o3.change_basis_real_to_complex(l))


def test_the_35_by_35_matrix_of_an_improper_rotation_equals_e3nn():
    R = -o3.rand_matrix()
    ours, theirs = (module.Irreps("10x0e+5x1o+2x2e").D_from_matrix(R) for module in (o3, e3nn.o3))
    assert ours.shape == (35, 35)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
