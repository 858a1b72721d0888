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
    assert Irrep("2e") == Irrep(2, 1)
    assert Irrep("1o").p == -1


@pytest.mark.parametrize("degree", range(6))
def test_dimension_is_2l_plus_1(degree):
    assert Irrep(degree, 1).dim == 2 * degree + 1


@pytest.mark.parametrize("text", ["1", "e1", "1x", "0e 1o", "0e,1o", "-1x0e", "0e +", "2xx0e", "1p"])
def test_refuses_what_is_no_irreps(text):
    with pytest.raises(ValueError, match="is not a term; write"):
        Irreps(text)


def test_an_irrep_has_no_multiplicity():
    with pytest.raises(ValueError, match="not an irrep"):
        Irrep("2x1o")


@pytest.mark.parametrize("again", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["deepcopy", "pickle"])
def test_survives_copies(again):
    irreps = Irreps("128x0e + 64x1o")
    assert again(irreps) == irreps
    assert isinstance(again(irreps), Irreps)


OPERATIONS = {
    "simplify": lambda i: i.simplify(),
    "regroup": lambda i: i.regroup(),
    "sort": lambda i: tuple(i.sort()),
    "remove_zero_multiplicities": lambda i: i.remove_zero_multiplicities(),
    "num_irreps": lambda i: i.num_irreps,
    "ls": lambda i: i.ls,
    "slice_by_mul": lambda i: i.slice_by_mul[1:4],
    "filter keep": lambda i: i.filter(keep=["0e", "1o"]),  # e3nn 0.6.0 keeps nothing when given its own documented text
    "filter drop": lambda i: i.filter(drop=["1o"]),
    "filter lmax": lambda i: i.filter(lmax=1),
    "filter rule": lambda i: i.filter(keep=lambda term: term.mul > 2),
    "twice": lambda i: i * 2,
    "contains": lambda i: ("1o" in i, "0e" in i),
    "slice": lambda i: i[1:],
}


@pytest.mark.parametrize("text", ["", "0e", "128x0e+64x1o", "3x0o+2e+0x1e+4x3o+1e+1e", "5x2e+0x0e+1o+1o"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_equal_e3nn(name, text):
    operate = OPERATIONS[name]
    assert str(operate(Irreps(text))) == str(operate(e3nn.o3.Irreps(text)))


def test_products_of_irreps_equal_e3nn():
    for a in Irrep.iterator(3):
        for b in Irrep.iterator(3):
            assert str(list(a * b)) == str(list(e3nn.o3.Irrep(str(a)) * e3nn.o3.Irrep(str(b))))


def test_everything_that_e3nn_takes_for_irreps_is_taken():
    for given in (
        "2x1o+0e",
        [(2, "1o"), "0e"],
        [(2, (1, -1)), (1, (0, 1))],
        Irreps("2x1o+0e"),
        [Irrep("1o")] * 2 + [Irrep("0e")],
    ):
        assert Irreps(given).simplify() == Irreps("2x1o+0e")


@pytest.mark.parametrize("normalization", ["component", "norm"])
def test_random_features_have_the_asked_shape_and_size(normalization):
    x = Irreps("2x0e+3x2o").randn(4, -1, 5, normalization=normalization)
    assert x.shape == (4, 17, 5)
    if normalization == "norm":
        assert x[:, 2:7].norm(dim=1).allclose(x.new_ones(4, 5))
