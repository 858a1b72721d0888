"""THE TABLE OF DATA SETS, and the one type (:class:`~molzoo.data.data.Data`) that a YAML describes under ``data:``.

A row says what can be typed as ``source``; anything that is a file goes to :mod:`molzoo.data.ase_files`. Adding a data set
is a file with a ``load`` and a row. Reading the table imports no torch.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from molzoo.data.data import Data as Data
    from molzoo.data.facts import DataFacts as DataFacts
    from molzoo.data.frames import Frames as Frames
    from molzoo.data.source import Source as Source
    from molzoo.data.source import open_source as open_source


@dataclass(frozen=True)
class Row:
    """One data set.

    Args:
        name: first word of ``source``.
        module: file under ``molzoo/data``.
        meaning: one phrase for people.
        members: what may follow the slash, as in ``rmd17/ethanol``; empty if nothing does.
        paper: where it was published.
    """

    name: str
    module: str
    meaning: str
    members: tuple[str, ...] = ()
    paper: str = ""


_MD17 = ("aspirin", "benzene", "ethanol", "malonaldehyde", "naphthalene", "salicylic", "toluene", "uracil")

_ROWS = (
    Row(
        "sample",
        "sample",
        "embedded: ethanol with GFN2-xTB, copper cells with EMT",
        ("ethanol", "copper"),
    ),
    Row(
        "rmd17",
        "rmd17",
        "revised MD17: ten molecules, PBE/def2-SVP with tight convergence; energy, forces",
        ("aspirin", "azobenzene", *_MD17[1:5], "paracetamol", *_MD17[5:]),
        "Christensen, von Lilienfeld 2020, https://arxiv.org/abs/2007.09593",
    ),
    Row(
        "md17",
        "md17",
        "original MD17: the same molecules with noisy energies; energy, forces",
        ("azobenzene", "benzene2017", "benzene2018", "paracetamol", *(name for name in _MD17 if name != "benzene")),
        "Chmiela et al. 2017, https://doi.org/10.1126/sciadv.1603015",
    ),
    Row(
        "md17-ccsd",
        "md17",
        "MD17 at CCSD (aspirin) and CCSD(T) (the others); energy, forces",
        ("aspirin", "benzene", "ethanol", "malonaldehyde", "toluene"),
        "Chmiela et al. 2018, https://doi.org/10.1038/s41467-018-06169-2",
    ),
    Row(
        "qm9",
        "qm9",
        "130,831 small organic molecules, B3LYP/6-31G(2df,p); 19 targets by name (U0, mu, alpha, …)",
        (),
        "Ramakrishnan et al. 2014, https://doi.org/10.1038/sdata.2014.22",
    ),
)

SOURCES: dict[str, Row] = {row.name: row for row in _ROWS}

_HOME = {"Data": "data", "DataFacts": "facts", "Frames": "frames", "Source": "source", "open_source": "source"}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"molzoo.data.{_HOME[name]}"), name)
    raise AttributeError(f"module 'molzoo.data' has no attribute {name!r}")
