"""Gates: e3nn's order, parities and numbers."""

import e3nn.nn
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from o3_laws import LAWS, Case
from o3_parity import LAYOUTS, irreps, randn, same, twins
from torch.nn.functional import silu

from molzoo.o3 import Irreps
from molzoo.o3.gate import Gate

KINDS = {
    "usual": ("4x0e", [silu], "5x0e", [torch.sigmoid], "3x1o+2x2e"),
    "odd": ("2x0o+3x0e", [torch.tanh, silu], "3x0o+2x0e+0o", [torch.tanh, silu, torch.abs], "2x1e+1o+0e+2x1e"),
    "split": ("0e", [None], "2x0e+2x0o", [None, torch.tanh], "1o+2x1o+1e"),
    "scalars only": ("2x0e", [silu], "", [], ""),
    "gates only": ("", [], "2x0e", [silu], "0x1o+2x1o"),
    "nothing": ("", [], "", [], ""),
}
CASES = [
    Case(
        f"{name} {layout}",
        lambda k=k, layout=layout: Gate(*k, layout=layout),
        [str(Gate(*k).irreps_in)],
        str(Gate(*k).irreps_out),
        layout,
    )
    for layout in LAYOUTS
    for name, k in KINDS.items()
]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_laws(case, law):
    law(case)


def compare(arguments, layout):
    ours, theirs = twins(lambda: Gate(*arguments, layout=layout), lambda: e3nn.nn.Gate(*arguments))
    for name in ("irreps_in", "irreps_out", "irreps_scalars", "irreps_gates", "irreps_gated"):
        assert str(getattr(ours, name)) == str(getattr(theirs, name))
    same(ours, theirs, randn(str(ours.irreps_in), 2, 3))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", [k for k in KINDS if k != "nothing"])
def test_equals_e3nn(kind, layout):
    compare(KINDS[kind], layout)


@settings(max_examples=10, deadline=None)
@given(irreps(), st.lists(st.sampled_from(["0e", "0o"]), max_size=3), st.sampled_from(LAYOUTS))
def test_any_gated_irreps_equal_e3nn(gated, kinds, layout):
    copies = Irreps(gated).num_irreps
    muls = [copies // (len(kinds) + 1)] * len(kinds)
    gates = Irreps([*zip(muls, kinds, strict=True), (copies - sum(muls), "0e")]).remove_zero_multiplicities()
    compare(("2x0e+0o", [silu, None], str(gates), [torch.tanh] * len(gates), gated), layout)


def test_gates_copy_by_copy():
    gate = Gate("", [], "2x0e", [None], "2x1o")
    assert gate(torch.tensor([2.0, 3, 1, 1, 1, 1, 1, 1])).tolist() == [2, 2, 2, 3, 3, 3]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gate("1o", [silu], "", [], ""), "the scalars 1x1o are not all scalars"),
        (lambda: Gate("0e", [silu], "1o", [silu], "1o"), "the gates 1x1o are not all scalars"),
        (lambda: Gate("0e", [silu], "2x0e", [silu], "3x1o"), "the gates 2x0e are 2, but the gated irreps 3x1o are 3 copies"),
        (lambda: Gate("0e", [], "", [], ""), "0 activations are given for the 1 terms of 1x0e"),
        (lambda: Gate("0e", [silu], "0o", [silu], "1o"), "silu of 1x0o has no parity"),
        (lambda: Gate("0e", [silu], "0e", [silu], "1o")(torch.zeros(4)), "x has 4 components, but its irreps 2x0e.1x1o have 5"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
