"""Parts of a feature vector."""

import e3nn.nn
import pytest
import torch
from o3_laws import LAWS, Case
from o3_parity import LAYOUTS, randn, same, twins

from molzoo.o3 import Irreps
from molzoo.o3.extract import Extract, ExtractIr, Identity

FEATURES = "2x1e+0e+3x0e+0x2e+2x1e"


def one(layout):
    return Extract(FEATURES, ["3x0e+2x1e+3x0e"], [(2, 4, 2)], squeeze_out=True, layout=layout)


CASES = [
    case
    for layout in LAYOUTS
    for case in (
        Case(f"terms {layout}", lambda layout=layout: one(layout), [FEATURES], "3x0e+2x1e+3x0e", layout),
        Case(
            f"irrep {layout}", lambda layout=layout: ExtractIr(FEATURES, "1e", layout=layout), [FEATURES], "2x1e+2x1e", layout
        ),
        Case(f"nothing {layout}", lambda layout=layout: ExtractIr(FEATURES, "5o", layout=layout), [FEATURES], "", layout),
        Case(
            f"identity {layout}",
            lambda layout=layout: Identity("0e+2x0e+1o", "3x0e+1o", layout=layout),
            ["3x0e+1o"],
            "3x0e+1o",
            layout,
        ),
    )
]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_laws(case, law):
    law(case)


@pytest.mark.parametrize(
    ("outs", "instructions"),
    [
        (["2x1e", "3x0e+0e"], [(4,), (2, 1)]),
        ([FEATURES, ""], [(0, 1, 2, 3, 4), ()]),
        (["0x2e"], [(3,)]),
        ([], []),
    ],
)
def test_extract_equals_e3nn(outs, instructions):
    ours, theirs = Extract(FEATURES, outs, instructions), e3nn.nn.Extract(FEATURES, outs, instructions)
    assert [str(i) for i in ours.irreps_outs] == [str(i) for i in theirs.irreps_outs]
    x = randn(FEATURES, 2, 3)
    found, expected = ours(x), theirs(x)
    assert isinstance(found, tuple)
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert a.equal(b)


@pytest.mark.parametrize("ir", ["0e", "1e", "2e", "1o"])
def test_extract_ir_equals_e3nn(ir):
    ours, theirs = twins(lambda: ExtractIr(FEATURES, ir), lambda: e3nn.nn.ExtractIr(FEATURES, ir))
    assert str(ours.irreps_out) == str(theirs.irreps_out)
    same(ours, theirs, randn(FEATURES, 3))


def test_identity_is_e3nns():
    ours, theirs = Identity("0e+2x0e", "3x0e"), e3nn.nn.Identity("0e+2x0e", "3x0e")
    assert repr(ours) == repr(theirs)
    assert ours.output_mask.equal(theirs.output_mask)
    x = torch.randn(2, 3)
    assert ours(x) is x


def test_whole_terms_are_the_same_in_both_layouts():
    x = torch.randn(4, Irreps(FEATURES).dim)
    assert one("mul_ir")(x).equal(one("ir_mul")(x))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Extract("0e+1o", ["0e"], [(0,), (1,)]), "2 instructions are given for 1 outputs"),
        (lambda: Extract("0e+1o", ["0e"], [(1,)]), r"terms \(1,\) of 1x0e\+1x1o are not 1x0e"),
        (lambda: Extract("0e+1o", ["0e"], [(2,)]), r"terms \(2,\) of 1x0e\+1x1o are not 1x0e"),
        (lambda: Extract("0e", ["0e"], [(0,)])(torch.zeros(2)), "x has 2 components, but its irreps 1x0e have 1"),
        (lambda: Identity("0e", "1o"), "0e and 1o are different irreps"),
        (lambda: Identity("0e", "0e")(torch.zeros(2)), "features has 2 components, but its irreps 1x0e have 1"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
