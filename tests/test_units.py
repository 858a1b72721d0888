"""Conversion factors, against ASE's (CODATA 2014) and published values."""

import ase.units
import pytest

from molzoo.units import DEBYE, factor


@pytest.mark.parametrize(
    ("unit", "size"),
    [
        ("Ha", ase.units.Hartree),
        ("kcal/mol", ase.units.kcal / ase.units.mol),
        ("kJ/mol", ase.units.kJ / ase.units.mol),
        ("D", ase.units.Debye),
        ("a0", ase.units.Bohr),
        ("bohr", ase.units.Bohr),
        ("GPa", ase.units.GPa),
        ("kbar", 0.1 * ase.units.GPa),
        ("Ha/bohr", ase.units.Hartree / ase.units.Bohr),
        ("kcal/mol/A", ase.units.kcal / ase.units.mol),
        ("cal/mol/K", 1e-3 * ase.units.kcal / ase.units.mol),
        ("J", ase.units.J),
    ],
)
def test_agrees_with_ase(unit, size):
    assert factor(unit) == pytest.approx(size, rel=1e-7)


@pytest.mark.parametrize(
    ("unit", "size"),
    [
        ("kcal/mol", 0.0433641042),  # 1 eV = 23.0605478 kcal/mol
        ("D", 0.2081943),
        ("a0^3", 0.01029086),
        ("a0^2", 0.2800285),
        ("meV/A^3", 1e-3),
        ("e*A", 1.0),
        ("e^2*A^2/eV", 1.0),
        ("eV", 1.0),
        ("1", 1.0),
    ],
)
def test_published_values(unit, size):
    assert factor(unit) == pytest.approx(size, rel=1e-6)


def test_spaces_do_not_matter():
    assert factor(" kcal / mol ") == factor("kcal/mol")


def test_negative_powers_divide():
    assert factor("eV*A^-3") == factor("eV/A^3")
    assert factor("Ha*bohr^-1") == factor("Ha/bohr")


def test_debye_follows_from_its_definition():
    assert pytest.approx(1e-21 / 299792458, rel=1e-12) == DEBYE * 1.602176634e-19 * 1e-10  # C·m


def test_an_unknown_name_is_quoted_beside_the_known_ones():
    with pytest.raises(ValueError, match=r"'kcla' is not known; known units are .*kcal"):
        factor("kcla/mol")


@pytest.mark.parametrize("unit", ["", " ", "eV/", "eV//A", "eV^", "*", "eV^-"])
def test_what_is_no_unit_is_refused(unit):
    with pytest.raises(ValueError, match="a unit is a text such as"):
        factor(unit)
