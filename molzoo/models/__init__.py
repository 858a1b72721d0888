"""THE TABLE OF MODELS: one row for each, and nothing about models is listed anywhere else.

The README's zoo, ``molzoo list``, the contract tests and the documentation derive from these rows. Rows name their class
instead of importing it, so that reading the table costs no import of torch.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from molzoo.quantities import nearest

if TYPE_CHECKING:
    from molzoo.models.interface import AtomisticModel


@dataclass(frozen=True)
class Row:
    """What the zoo says of one model; each statement is asserted by the contract tests.

    Args:
        name: class name and the word in YAML (any case).
        module: file under ``molzoo/models``.
        symmetry: group under which the outputs behave as declared.
        paper: authors, year and link.
        config: reference settings, under ``configs/model``.
        gives: irreps it can output for each atom, at its reference settings.
        accepts: inputs beyond structure that change its answer.
        smoothness: of the energy as a neighbour crosses the cutoff, with the paper's envelope.
        isolated_atom: its energy is ``exact`` (the reference) or ``learned``.
        site: what an output row belongs to.
    """

    name: str
    module: str
    symmetry: str
    paper: str
    config: str
    gives: tuple[str, ...]
    accepts: tuple[str, ...] = ()
    smoothness: Literal["C1", "C2"] = "C1"
    isolated_atom: Literal["exact", "learned"] = "learned"
    site: Literal["atom", "edge"] = "atom"

    def load(self) -> "type[AtomisticModel]":
        """The class itself."""
        return getattr(import_module(f"molzoo.models.{self.module}"), self.name)

    def outputs(self, arguments: Mapping[str, Any]) -> tuple[str, ...]:
        """What it gives with these ``arguments``: a smaller ``l_max`` takes the higher irreps away.

        >>> row("PaiNN").outputs({"channels": 64})
        ('0e', '1o')
        """
        l_max = arguments.get("l_max", math.inf)
        return tuple(ir for ir in self.gives if int(ir[:-1]) <= l_max)


_ROWS = (
    Row(
        name="SchNet",
        module="schnet",
        symmetry="E(3)-invariant",
        paper="Schütt et al. 2018, https://arxiv.org/abs/1706.08566",
        config="schnet",
        gives=("0e",),
    ),
    Row(
        name="DimeNet",
        module="dimenet",
        symmetry="E(3)-invariant",
        paper="Gasteiger, Groß, Günnemann 2020, https://arxiv.org/abs/2003.03123",
        config="dimenet",
        gives=("0e",),
        smoothness="C2",
    ),
    Row(
        name="DimeNetPP",
        module="dimenet_pp",
        symmetry="E(3)-invariant",
        paper="Gasteiger, Giri, Margraf, Günnemann 2020, https://arxiv.org/abs/2011.14115",
        config="dimenet_pp",
        gives=("0e",),
        smoothness="C2",
    ),
    Row(
        name="PaiNN",
        module="painn",
        symmetry="O(3)",
        paper="Schütt, Unke, Gastegger 2021, https://arxiv.org/abs/2102.03150",
        config="painn",
        gives=("0e", "1o"),
    ),
    Row(
        name="TFN",
        module="tfn",
        symmetry="O(3)",
        paper="Thomas et al. 2018, https://arxiv.org/abs/1802.08219",
        config="tfn",
        gives=("0e", "1o", "2e"),
        smoothness="C2",
    ),
    Row(
        name="NequIP",
        module="nequip",
        symmetry="O(3)",
        paper="Batzner et al. 2022, https://arxiv.org/abs/2101.03164",
        config="nequip",
        gives=("0e", "1o", "2e"),
        smoothness="C2",
        isolated_atom="exact",
    ),
)

TABLE: dict[str, Row] = {row.name: row for row in _ROWS}


def row(name: str) -> Row:
    """The row called ``name``, in any case; ``DimeNet++`` is DimeNetPP.

    Raises:
        ValueError: there is none; the message names the nearest.
    """
    found = {key.lower(): value for key, value in TABLE.items()}.get(name.lower().replace("++", "pp"))
    if found is None:
        raise ValueError(f"there is no model {name!r} in the zoo{nearest(name, list(TABLE))}")
    return found


def list_models() -> list[str]:
    """Names of all models, as ``create_model`` takes them.

    >>> list_models()
    ['SchNet', 'DimeNet', 'DimeNetPP', 'PaiNN', 'TFN', 'NequIP']
    """
    return list(TABLE)


def create_model(name: str, **arguments: Any) -> "AtomisticModel":
    """The model called ``name`` with ``arguments`` for its constructor.

    >>> create_model("schnet", channels=32).cutoff
    5.0
    """
    return row(name).load()(**arguments)


def __getattr__(name: str) -> Any:
    if name in TABLE:
        return TABLE[name].load()
    raise AttributeError(f"module 'molzoo.models' has no attribute {name!r}")
