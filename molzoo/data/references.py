"""What each element contributes to an extensive quantity: fitted, of free atoms, or given."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import torch

from molzoo.data.frames import Frames
from molzoo.shapes import Float, Tensor

if TYPE_CHECKING:
    from molzoo.data.facts import DataFacts, References


def composition(frames: Frames, elements: list[int]) -> Float[Tensor, "F elements"]:
    """How many atoms of each element a frame has."""
    return _sum_by_element(frames, elements, torch.ones(len(frames.z), dtype=torch.float64))


def moments(frames: Frames, elements: list[int]) -> Float[Tensor, "F elements"]:
    """Σ |r_i − r_c|² over the atoms of each element (Å²), r_c being the centre of mass."""
    from ase.data import atomic_masses

    frame = frames.frame_of_atom
    mass = torch.from_numpy(atomic_masses)[frames.z]
    total = torch.zeros(len(frames), dtype=torch.float64).index_add(0, frame, mass)
    centre = torch.zeros(len(frames), 3, dtype=torch.float64).index_add(0, frame, mass[:, None] * frames.pos) / total[:, None]
    return _sum_by_element(frames, elements, (frames.pos - centre[frame]).square().sum(1))


def _sum_by_element(frames: Frames, elements: list[int], values: Float[Tensor, " A"]) -> Float[Tensor, "F elements"]:
    column = torch.searchsorted(torch.tensor(elements), frames.z)
    slots = frames.frame_of_atom * len(elements) + column
    sums = torch.zeros(len(frames) * len(elements), dtype=torch.float64).index_add(0, slots, values)
    return sums.view(len(frames), len(elements))


def fitted(
    counts: Float[Tensor, "F elements"], y: Float[Tensor, " F"], facts: "DataFacts", name: str
) -> Float[Tensor, " elements"]:
    """The least-squares solution of ``counts @ references = y`` of smallest norm; a rank deficiency is noted."""
    known = ~y.isnan()
    solution, _, rank, _ = np.linalg.lstsq(counts[known].numpy(), y[known].numpy(), rcond=None)
    if rank < counts.shape[1]:
        facts.notes.append(
            f"{name}: the compositions of the training frames determine {rank} of {counts.shape[1]} references; the sums are "
            "right for such compositions, the single values are not energies of atoms"
        )
    return torch.from_numpy(solution)


def atom_references(
    frames: Frames,
    counts: Float[Tensor, "F elements"],
    name: str,
    facts: "DataFacts",
    wanted: "References",
    isolated: dict[int, float],
) -> Float[Tensor, " elements"] | None:
    """References of ``name`` found in the way ``wanted``; None for none.

    Raises:
        ValueError: ``wanted`` is no known way, or elements are missing.
    """
    y = frames.labels[name]
    if wanted == "none":
        return None
    if wanted == "least_squares":
        return fitted(counts, y, facts, name)
    if wanted == "isolated":
        table, where = _single_atoms(frames, y) | isolated, "neither the data set nor its training frames give a free atom of"
    elif isinstance(wanted, dict):
        table, where = _by_number(wanted), "`references` says nothing of"
    else:
        raise ValueError(f"references {wanted!r}: type least_squares, isolated, none or energies in eV such as {{H: -13.6}}")
    missing = [z for z in facts.elements if z not in table]
    if missing:
        raise ValueError(f"{name}: {where} {symbols(missing)}; add it, or type least_squares")
    given = torch.tensor([table[z] for z in facts.elements], dtype=torch.float64)
    _compare(given, counts, y, facts, name)
    return given


def _single_atoms(frames: Frames, y: Float[Tensor, " F"]) -> dict[int, float]:
    rows = ((frames.n_atoms == 1) & ~y.isnan()).nonzero()[:, 0]
    return dict(zip(frames.z[frames.ptr[rows]].tolist(), y[rows].tolist(), strict=True))


def _by_number(table: dict[str, float]) -> dict[int, float]:
    from ase.data import atomic_numbers

    unknown = [symbol for symbol in table if symbol not in atomic_numbers]
    if unknown:
        raise ValueError(f"references: {', '.join(map(str, unknown))} is not the symbol of an element; type H, C, Cu …")
    return {atomic_numbers[symbol]: float(energy) for symbol, energy in table.items()}


def symbols(numbers: Iterable[int]) -> str:
    """Their symbols, for people.

    >>> symbols([1, 6])
    'H, C'
    """
    from ase.data import chemical_symbols

    return ", ".join(chemical_symbols[z] for z in numbers)


def _compare(given: Tensor, counts: Tensor, y: Tensor, facts: "DataFacts", name: str) -> None:
    """Note references that differ tenfold from what the data say: all-electron atoms with pseudopotential energies."""
    known = ~y.isnan()
    fit, _, rank, _ = np.linalg.lstsq(counts[known].numpy(), y[known].numpy(), rcond=None)
    if rank < len(given) or not given.any():
        return
    ratio = given.abs() / torch.from_numpy(fit).abs().clamp(min=1e-12)
    far = [z for z, r in zip(facts.elements, ratio.tolist(), strict=True) if not 0.1 <= r <= 10]
    if far:
        facts.notes.append(
            f"{name}: the references of {symbols(far)} differ more than tenfold from a fit to the data; they may "
            "belong to another method"
        )
