"""THE TABLE OF QUANTITIES: everything that can be a label, a prediction, a loss or a metric, said once.

Batching, label keys, losses, metrics, the calculator and the command line derive from these rows; a new quantity is a new row
here and, where it is not a plain sum or mean over atoms, a formula in :mod:`molzoo.properties`.
"""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Quantity:
    """One row of the table.

    Args:
        name: key in labels, predictions and YAML; the ASE name where ASE has one.
        meaning: one phrase for people.
        per: a value for each ``"graph"`` or for each ``"atom"``.
        shape: axes after the first (N or B).
        irreps: how a value turns under rotation and inversion.
        unit: unit inside molzoo.
        shown: units in which metrics are printed, the field's usual one first.
        extensive: grows with the number of atoms, so a sum over atoms rather than a mean.
        derivative: what it is the derivative of; empty for a quantity of its own.
        periodic: whether it is defined with (``True``) or without (``False``) periodic boundaries only; None: always.
    """

    name: str
    meaning: str
    per: Literal["graph", "atom"]
    shape: tuple[int, ...]
    irreps: str
    unit: str
    shown: tuple[str, ...]
    extensive: bool = False
    derivative: str = ""
    periodic: bool | None = None


def _scalar(name: str, meaning: str, unit: str, *shown: str, extensive: bool = False) -> Quantity:
    return Quantity(name, meaning, "graph", (), "0e", unit, shown or (unit,), extensive)


def _energy(name: str, meaning: str) -> Quantity:
    return _scalar(name, meaning, "eV", "meV", "kcal/mol", extensive=True)


_ROWS = (
    _energy("energy", "total energy"),
    Quantity("energies", "energy of each atom", "atom", (), "0e", "eV", ("meV",)),
    Quantity("forces", "−∂E/∂r", "atom", (3,), "1o", "eV/A", ("meV/A", "kcal/mol/A"), derivative="energy"),
    Quantity(
        "stress",
        "∂E/∂strain / volume, tensile positive",
        "graph",
        (3, 3),
        "0e+1e+2e",
        "eV/A^3",
        ("meV/A^3", "GPa"),
        derivative="energy",
        periodic=True,
    ),
    Quantity("dipole", "dipole vector", "graph", (3,), "1o", "e*A", ("D",), True, periodic=False),
    Quantity("charges", "partial charge of each atom", "atom", (), "0e", "e", ("e",)),
    Quantity(
        "polarizability", "polarizability tensor", "graph", (3, 3), "0e+2e", "e^2*A^2/eV", ("a0^3",), True, periodic=False
    ),
    # The targets of QM9, by name (R. Ramakrishnan et al., Sci. Data 1, 140022, 2014, table 3).
    _scalar("A", "rotational constant A", "GHz"),
    _scalar("B", "rotational constant B", "GHz"),
    _scalar("C", "rotational constant C", "GHz"),
    Quantity("mu", "length of the dipole vector", "graph", (), "0e", "e*A", ("D",), periodic=False),
    _scalar("alpha", "isotropic polarizability", "e^2*A^2/eV", "a0^3", extensive=True),
    _scalar("homo", "energy of the highest occupied orbital", "eV", "meV"),
    _scalar("lumo", "energy of the lowest unoccupied orbital", "eV", "meV"),
    _scalar("gap", "LUMO − HOMO", "eV", "meV"),
    Quantity("r2", "electronic spatial extent", "graph", (), "0e", "A^2", ("a0^2",), True, periodic=False),
    _scalar("zpve", "zero-point vibrational energy", "eV", "meV", extensive=True),
    _energy("U0", "internal energy at 0 K"),
    _energy("U", "internal energy at 298.15 K"),
    _energy("H", "enthalpy at 298.15 K"),
    _energy("G", "free energy at 298.15 K"),
    _scalar("Cv", "heat capacity at 298.15 K", "eV/K", "cal/mol/K", extensive=True),
    _energy("U0_atom", "atomisation energy at 0 K"),
    _energy("U_atom", "atomisation energy at 298.15 K"),
    _energy("H_atom", "atomisation enthalpy at 298.15 K"),
    _energy("G_atom", "atomisation free energy at 298.15 K"),
)

QUANTITIES: dict[str, Quantity] = {row.name: row for row in _ROWS}


def quantity(name: str) -> Quantity:
    """The row called ``name``.

    Raises:
        ValueError: there is none; the message names the nearest.

    >>> quantity("forces").unit
    'eV/A'
    """
    if name not in QUANTITIES:
        raise ValueError(f"{name!r} is not a quantity molzoo knows{nearest(name, QUANTITIES)}")
    return QUANTITIES[name]


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of an error message about a misspelt ``word``: what was probably meant, else all that is known.

    >>> nearest("engery", ["energy", "forces"])
    "; did you mean 'energy'?"
    """
    known = list(known)
    lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), lower, n=1)
    return f"; did you mean {lower[close[0]]!r}?" if close else f"; known are {', '.join(known)}"
