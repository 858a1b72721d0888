"""What is common in reading the state dicts of all peers."""

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch

from molzoo.data.facts import DataFacts
from molzoo.models import row
from molzoo.quantities import nearest
from molzoo.shapes import Float, Tensor

State = dict[str, Tensor]


class Network(NamedTuple):
    """What a peer's state dict holds besides weights: a row of the zoo, its arguments, and facts for the sum over atoms."""

    model: str
    arguments: dict[str, Any]
    facts: DataFacts


def take(state: State, name: str) -> Tensor:
    """The tensor called ``name``, taken out of ``state``."""
    if name not in state:
        raise ValueError(f"the file has no {name!r}, which every network that molzoo can convert has")
    return state.pop(name)


def n_layers(state: State, layer: str) -> int:
    """How many layers there are, whose numbers stand in the group of the pattern ``layer``."""
    return 1 + max((int(found[1]) for name in state if (found := re.match(layer, name))), default=-1)


def decimal(value: Tensor) -> float:
    """The shortest decimal number that rounds to ``value`` in its precision: what was once typed.

    >>> decimal(torch.tensor([5.2])), decimal(1 / torch.tensor(1 / 5.2, dtype=torch.float64))
    (5.2, 5.2)
    """
    return float(str(value.reshape(()).numpy())) if value.dtype == torch.float32 else round(value.item(), 12)


def expect(name: str, found: Tensor, wanted: Tensor) -> None:
    """Refuse a buffer with other numbers than molzoo's constants, such as a basis that was trained."""
    if found.shape != wanted.shape or not torch.allclose(found.double(), wanted.double(), rtol=1e-5, atol=1e-6):
        raise ValueError(
            f"{name!r} has other numbers than molzoo's fixed ones; a network with trained bases cannot be converted"
        )


def arguments(
    model: str, found: Mapping[str, Any], given: Mapping[str, Any], needed: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The constructor's arguments: what was ``found`` in the file, and what the user has ``given``.

    Args:
        model: name of a row.
        found: in the file.
        given: by the user.
        needed: what the file does not say and the user must, with the peer's name for it.

    Raises:
        ValueError: an argument is unknown, missing or contradicts the file.
    """
    known = [name for name in inspect.signature(row(model).load()).parameters if name not in ("irreps_out", "elements")]
    for name, value in given.items():
        if name not in known:
            raise ValueError(f"--{name}: {name!r} is not an argument of {model}{nearest(name, known)}")
        if found.get(name, value) != value:
            raise ValueError(f"--{name} {value}: the file says {found[name]}; leave it out")
    missing = [f"--{name} VALUE ({theirs})" for name, theirs in (needed or {}).items() if name not in given]
    if missing:
        raise ValueError(f"the file does not say all of its network; type {', '.join(missing)}")
    return {**found, **given}


def by_element(elements: Sequence[int], values: Float[Tensor, " S"]) -> dict[int, float]:
    """The value of each element, sorted by atomic number."""
    return dict(sorted(zip(elements, values.tolist(), strict=True)))


def references_of(table: Float[Tensor, " Z"], elements: Sequence[int]) -> dict[int, float]:
    """References from a table with a row for each atomic number; none if all are zero."""
    chosen = sorted(elements) or range(1, len(table))
    if max(chosen) >= len(table):
        raise ValueError(f"the network knows atomic numbers up to {len(table) - 1}; leave {max(chosen)} out of --elements")
    return {z: float(table[z]) for z in chosen} if table.any() else {}
