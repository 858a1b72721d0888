"""The only place where units are converted.

Inside, everything is eV, Å, e and K (see ``DESIGN``: eV/Å, eV/Å³, e·Å, e²Å²/eV follow). A unit string is a product of
the names below with ``*``, ``/`` and integer powers: ``"kcal/mol/A"``, ``"eV/A^3"``, ``"e*A"``.

Values: CODATA 2018, https://physics.nist.gov/cuu/Constants/ (E. Tiesinga et al., Rev. Mod. Phys. 93, 025010, 2021).
"""

import re

ELEMENTARY_CHARGE = 1.602176634e-19
"""J per eV; exact since the SI of 2019."""
AVOGADRO = 6.02214076e23
"""Particles per mol; exact."""
HARTREE = 27.211386245988
"""eV."""
BOHR = 0.529177210903
"""Å."""
DEBYE = 1e-21 / 299792458 / ELEMENTARY_CHARGE * 1e10
"""e·Å; 1 D = 1e-21/c C·m by definition (0.2081943)."""
KCAL = 4184 / ELEMENTARY_CHARGE
"""eV; the thermochemical calorie, 4.184 J exactly."""

_NAMES = {
    "1": 1.0,
    "eV": 1.0,
    "meV": 1e-3,
    "Ha": HARTREE,
    "mHa": 1e-3 * HARTREE,
    "kcal": KCAL,
    "cal": 1e-3 * KCAL,
    "kJ": 1e3 / ELEMENTARY_CHARGE,
    "J": 1 / ELEMENTARY_CHARGE,
    "mol": AVOGADRO,
    "A": 1.0,
    "Å": 1.0,
    "nm": 10.0,
    "a0": BOHR,
    "bohr": BOHR,
    "e": 1.0,
    "D": DEBYE,
    "K": 1.0,
    "GPa": 1e9 * 1e-30 / ELEMENTARY_CHARGE,
    "kbar": 1e8 * 1e-30 / ELEMENTARY_CHARGE,
    "GHz": 1.0,  # rotational constants stay as published; nothing else inside is a frequency
    # Atomic unit of polarizability, e²a0²/Ha: what the literature prints as "a0³".
    "a0^3": BOHR**2 / HARTREE,
}


def factor(unit: str) -> float:
    """The size of ``unit`` in internal units: multiply labels by it, divide metrics by it.

    Raises:
        ValueError: the string names a unit that is not known here.

    >>> round(factor("kcal/mol"), 9)
    0.043364104
    >>> round(factor("a0^3"), 7)
    0.0102909
    """
    value = 1.0
    for operator, name, power in _terms(unit):
        if f"{name}^{power}" in _NAMES:
            size, power = _NAMES[f"{name}^{power}"], "1"
        elif name in _NAMES:
            size = _NAMES[name]
        else:
            raise ValueError(f"unit {unit!r}: {name!r} is not known; known units are {', '.join(_NAMES)}")
        value *= size ** (int(power) * (-1 if operator == "/" else 1))
    return value


def _terms(unit: str) -> list[tuple[str, str, str]]:
    text = unit.replace(" ", "")
    terms = list(re.finditer(r"([*/·]?)([^*/·^]+)(?:\^(-?\d+))?", text))
    if not terms or "".join(term[0] for term in terms) != text:  # what cannot be read was skipped
        raise ValueError(f"a unit is a text such as 'eV', 'kcal/mol' or 'eV/A^3'; {unit!r} is not")
    return [(term[1], term[2], term[3] or "1") for term in terms]
