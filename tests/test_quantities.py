"""The table of quantities is consistent with itself, with units and with irreps."""

import pytest

from molzoo.o3 import Irreps
from molzoo.quantities import QUANTITIES, nearest, quantity
from molzoo.units import factor

every_row = pytest.mark.parametrize("row", QUANTITIES.values(), ids=list(QUANTITIES))


@every_row
def test_units_are_units(row):
    assert factor(row.unit) == 1.0  # inside, everything is in units of one
    assert all(factor(unit) > 0 for unit in row.shown)
    assert row.shown


@every_row
def test_irreps_fit_the_shape(row):
    full = 3 ** len(row.shape)
    symmetric = {1: 1, 3: 3, 9: 6}[full]
    assert Irreps(row.irreps).dim in (full, symmetric)
    assert all(n == 3 for n in row.shape)


@every_row
def test_irreps_are_those_of_a_polar_tensor(row):
    assert {term.ir.p for term in Irreps(row.irreps)} == {(-1) ** len(row.shape)}


@every_row
def test_what_it_derives_from_is_a_row(row):
    assert row.derivative == "" or row.derivative in QUANTITIES


@every_row
def test_lookup_by_name(row):
    assert quantity(row.name) is row


def test_energies_are_shown_in_mev_and_kcal_per_mol():
    assert quantity("energy").shown == ("meV", "kcal/mol")
    assert quantity("forces").shown == ("meV/A", "kcal/mol/A")


def test_qm9_targets_are_there():
    extensive = ["alpha", "r2", "zpve", "U0", "U", "H", "G", "Cv", "U0_atom", "U_atom", "H_atom", "G_atom"]
    intensive = ["mu", "homo", "lumo", "gap", "A", "B", "C"]
    assert all(quantity(name).extensive for name in extensive)
    assert not any(quantity(name).extensive for name in intensive)


@pytest.mark.parametrize(("typed", "meant"), [("force", "forces"), ("Energy", "energy"), ("u0", "U0"), ("dipol", "dipole")])
def test_a_misspelt_name_is_answered_with_the_nearest(typed, meant):
    with pytest.raises(ValueError, match=f"{typed!r} is not a quantity molzoo knows; did you mean {meant!r}"):
        quantity(typed)


def test_a_word_far_from_all_is_answered_with_all():
    assert nearest("xyz", ["energy", "forces"]) == "; known are energy, forces"
