"""What irreps mean: e3nn's notation, dimensions and places in a flat vector."""

import copy
import pickle

import e3nn.o3
import pytest

from molzoo.o3 import Irrep, Irreps

TEXTS = ["", "0e", "1o", "128x0e + 64x1o", "3x0o+2e+0x1e+4x3o", " 2 x 0e+1x1o "]


@pytest.mark.parametrize("text", TEXTS)
def test_equals_e3nn(text):
    ours, theirs = Irreps(text), e3nn.o3.Irreps(text.replace(" x ", "x"))
    assert str(ours) == str(theirs)
    assert ours.dim == theirs.dim
    assert ours.slices() == theirs.slices()
    assert [(t.mul, t.ir.l, t.ir.p) for t in ours] == [(mul, ir.l, ir.p) for mul, ir in theirs]


@pytest.mark.parametrize("text", TEXTS)
def test_its_text_reads_back(text):
    assert Irreps(str(Irreps(text))) == Irreps(text)


def test_slices_cover_the_vector_once():
    irreps = Irreps("2x1o + 0e + 3x2e")
    places = [i for s in irreps.slices() for i in range(irreps.dim)[s]]
    assert places == list(range(irreps.dim))


def test_counts_over_all_terms():
    irreps = Irreps("2x0e + 1o + 3x0e")
    assert irreps.count("0e") == 5
    assert irreps.count("0o") == 0
    assert irreps.count(Irrep(1, -1)) == 1


def test_sums_join_terms():
    assert Irreps("0e") + Irreps("1o + 0e") == Irreps("0e + 1o + 0e")


def test_parity_is_plus_one_for_even():
    assert Irrep.parse("2e") == Irrep(2, 1)
    assert Irrep.parse("1o").p == -1


@pytest.mark.parametrize("degree", range(6))
def test_dimension_is_2l_plus_1(degree):
    assert Irrep(degree, 1).dim == 2 * degree + 1


@pytest.mark.parametrize("text", ["1", "e1", "1x", "0e 1o", "0e,1o", "-1x0e", "0e +", "2xx0e", "1p"])
def test_refuses_what_is_no_irreps(text):
    with pytest.raises(ValueError, match="is not a term; write"):
        Irreps(text)


def test_an_irrep_has_no_multiplicity():
    with pytest.raises(ValueError, match="not an irrep"):
        Irrep.parse("2x1o")


@pytest.mark.parametrize("again", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["deepcopy", "pickle"])
def test_survives_copies(again):
    irreps = Irreps("128x0e + 64x1o")
    assert again(irreps) == irreps
    assert isinstance(again(irreps), Irreps)
