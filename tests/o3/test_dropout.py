"""Dropout of whole copies."""

import e3nn.nn
import pytest
import torch
from o3_laws import LAWS, Case
from o3_parity import LAYOUTS, randn, relaid

from molzoo.o3.dropout import Dropout

FEATURES = "3x0e+2x1o+0x1e+2e"
CASES = [
    Case(f"{irreps} {layout}", lambda i=irreps, layout=layout: Dropout(i, 0.5, layout=layout), [irreps], irreps, layout)
    for layout in LAYOUTS
    for irreps in (FEATURES, "")
]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_laws(case, law):
    law(case)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("rows", [(5,), (4, 2, 3)])
def test_equals_e3nn(rows, p, layout):
    ours, theirs = Dropout(FEATURES, p, layout=layout), e3nn.nn.Dropout(FEATURES, p)
    assert repr(ours) == repr(theirs)
    x = randn(FEATURES, *rows)
    torch.manual_seed(0)
    expected = theirs(x)
    torch.manual_seed(0)
    out = relaid(ours(relaid(x, FEATURES, "mul_ir", layout)), FEATURES, layout, "mul_ir")
    torch.testing.assert_close(out, expected)


def test_copies_fall_as_a_whole_and_are_scaled():
    x = torch.ones(1000, 14)
    torch.manual_seed(0)
    out = Dropout("3x0e+2x1o+2e", 0.25)(x)
    assert out.unique().tolist() == pytest.approx([0, 4 / 3])
    for start, stop in ((3, 6), (6, 9), (9, 14)):
        assert (out[:, start:stop] == out[:, start : start + 1]).all()
    assert (out[:, 3] != out[:, 6]).any()
    assert abs((out == 0).float().mean().item() - 0.25) < 0.02


def test_one_row_and_none():
    dropout = Dropout(FEATURES, 0.5)
    assert dropout(torch.ones(14)).shape == (14,)
    assert dropout(torch.ones(0, 14)).shape == (0, 14)


def test_derivative_is_the_mask():
    x = torch.ones(6, 14, requires_grad=True)
    out = Dropout(FEATURES, 0.5)(x)
    (g,) = torch.autograd.grad(out.sum(), x)
    assert g.equal(out.detach())


@pytest.mark.parametrize("p", [-0.1, 1.5])
def test_p_is_a_probability(p):
    with pytest.raises(ValueError, match=f"p is a probability, from 0 to 1; got {p}"):
        Dropout("0e", p)


def test_refuses_other_irreps():
    with pytest.raises(ValueError, match="x has 4 components, but its irreps 1x1o have 3"):
        Dropout("1o", 0.5)(torch.zeros(2, 4))
