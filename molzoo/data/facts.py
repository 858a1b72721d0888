"""DataFacts: what a model is told about its training data (elements, neighbours, references, scales), taken in float64.

Extensive scalars are split into one reference for each element and a rest that the network learns; intensive ones into mean
and rest. ``scale`` is the size of what is left for the network, per atom (for energies trained with forces: the RMS force
component, which is the size of the gradient that the network must reach).
"""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch

from molzoo.data.frames import Frames
from molzoo.data.references import atom_references, composition, fitted, moments
from molzoo.quantities import Quantity, quantity
from molzoo.shapes import Float, Tensor

References = str | dict[str, float]  # least_squares, isolated, none, or eV by symbol
_BY_ELEMENT = ("references", "element_scales")


@dataclass
class DataFacts:
    """Facts of a training split, in internal units; without arguments, those of a network that saw no data.

    Args:
        source: name of the data set.
        n_train: number of training frames.
        elements: atomic numbers that occur, sorted.
        charges: total charges that occur, e, sorted.
        cutoff: radius the neighbours were counted in, Å.
        avg_n_neighbours: directed edges for each atom.
        references: value of each element, by quantity; for ``r2`` the factor of Σ|r_i − r_c|² (electrons, about).
        means: mean of each intensive quantity.
        scales: size of what is left for the network, by quantity.
        element_scales: factors of the scale for single elements, by quantity; 1 where nothing is said.
        repulsion: whether energies begin with a repulsion of nuclei, so that the network learns the rest.
        shortest: least distance of two elements, Å, by their symbols in the order of atomic numbers ("H-C").
        n_neighbours: fewest and most of an atom.
        notes: sentences for the data card.
    """

    source: str = ""
    n_train: int = 0
    elements: list[int] = field(default_factory=list)
    charges: list[float] = field(default_factory=list)
    cutoff: float = 0.0
    avg_n_neighbours: float = 0.0
    references: dict[str, dict[int, float]] = field(default_factory=dict)
    means: dict[str, float] = field(default_factory=dict)
    scales: dict[str, float] = field(default_factory=dict)
    element_scales: dict[str, dict[int, float]] = field(default_factory=dict)
    repulsion: bool = False
    shortest: dict[str, float] = field(default_factory=dict)
    n_neighbours: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """These facts as JSON takes them; floats survive exactly."""
        by_text = {
            key: {name: {str(z): value for z, value in row.items()} for name, row in getattr(self, key).items()}
            for key in _BY_ELEMENT
        }
        return asdict(self) | by_text

    @classmethod
    def from_dict(cls, facts: dict[str, Any]) -> "DataFacts":
        """The facts that ``to_dict`` gave."""
        by_number = {
            key: {name: {int(z): value for z, value in row.items()} for name, row in facts.get(key, {}).items()}
            for key in _BY_ELEMENT
        }
        return cls(**(facts | by_number))


def compute_facts(
    frames: Frames,
    names: list[str],
    cutoff: float,
    references: References = "least_squares",
    isolated: dict[str, dict[int, float]] | None = None,
    source: str = "",
) -> DataFacts:
    """The facts of training frames ``frames`` for the quantities ``names``.

    Args:
        frames: the training split; connected here if it is not.
        names: quantities that will be trained on.
        cutoff: Å.
        references: how energies of elements are found: ``least_squares`` on the split, ``isolated`` atoms (of the source, else
            frames of one atom), given by symbol in eV, or ``none``.
        isolated: energies of free atoms that the source gives, eV.
        source: name for the card.

    Raises:
        ValueError: elements without a reference, or one table of energies for several energies.
    """
    energies = [name for name in names if _is_energy(quantity(name))]
    if isinstance(references, dict) and len(energies) > 1:
        raise ValueError(f"references in eV cannot serve {' and '.join(energies)} at once; type 'least_squares' or 'isolated'")
    frames.connect(cutoff)
    facts = DataFacts(
        source,
        len(frames),
        frames.z.unique().tolist(),
        frames.charge.unique().tolist(),
        cutoff,
        float(frames.n_edges.sum()) / len(frames.z),
    )
    facts.shortest, facts.n_neighbours = _closeness(frames)
    for name in names:
        if name in frames.labels:
            _describe(facts, frames, quantity(name), references, (isolated or {}).get(name, {}))
    if {"energy", "forces"} <= set(names) & set(frames.labels):
        facts.scales["energy"] = _or_one(frames.labels["forces"].square().nanmean().sqrt())
    return facts


def _closeness(frames: Frames) -> tuple[dict[str, float], list[int]]:
    """Least distance of any two elements, and fewest and most neighbours of an atom; pairs by the million, to bound memory."""
    from ase.data import chemical_symbols

    edges = frames.edges
    assert edges is not None  # they were counted just before
    shortest, count = torch.full((119 * 119,), torch.inf).double(), torch.zeros_like(frames.z)
    frame = torch.arange(len(frames)).repeat_interleave(edges.pair_ptr.diff())
    for rows in torch.arange(len(frame)).split(1_000_000):
        at = frame[rows]
        edge = edges.pair_edge[rows] + edges.ptr[at]
        ends = edges.edge_index[:, edge] + frames.ptr[at]
        r = frames.pos[ends[0]] - frames.pos[ends[1]]
        if edges.edge_shift is not None:
            r = r + (edges.edge_shift[edge].double()[:, :, None] * frames.cell[at]).sum(1)
        low, high = frames.z[ends].sort(dim=0).values
        shortest.scatter_reduce_(0, 119 * low + high, r.norm(dim=1), "amin")
        count += torch.bincount(ends.flatten(), minlength=len(count))
    seen = shortest.isfinite().nonzero()[:, 0].tolist()
    symbols = {k: f"{chemical_symbols[k // 119]}-{chemical_symbols[k % 119]}" for k in seen}
    return {symbols[k]: float(shortest[k]) for k in seen}, [int(count.min()), int(count.max())]


def _is_energy(row: Quantity) -> bool:
    return row.extensive and row.unit == "eV"


def _describe(facts: DataFacts, frames: Frames, row: Quantity, wanted: References, isolated: dict[int, float]) -> None:
    """Add references, mean and scale of one quantity to ``facts``."""
    facts.scales[row.name] = 1.0
    if row.per == "atom" or row.shape or row.name == "mu":  # vectors and lengths of vectors have no natural zero to subtract
        return
    y = frames.labels[row.name]
    if not row.extensive:
        facts.means[row.name] = float(y.nanmean())
        facts.scales[row.name] = _or_one(_std(y))
        return
    counts = moments(frames, facts.elements) if row.name == "r2" else composition(frames, facts.elements)
    if _is_energy(row) or (wanted == "isolated" and isolated):
        found = atom_references(frames, counts, row.name, facts, wanted, isolated)
    else:  # nobody tabulates free atoms' share of this, and `references` given in eV are not about it
        found = None if wanted == "none" else fitted(counts, y, facts, row.name)
    if found is not None:
        facts.references[row.name] = dict(zip(facts.elements, found.tolist(), strict=True))
    if row.name != "r2":
        rest = y if found is None else y - counts @ found
        facts.scales[row.name] = _or_one(_std(rest) / frames.n_atoms.double().mean().sqrt())
        _warn_if_far(facts, row, rest / frames.n_atoms)


def _warn_if_far(facts: DataFacts, row: Quantity, rest_per_atom: Float[Tensor, " F"]) -> None:
    largest = float(np.nanmax(rest_per_atom.abs().numpy(), initial=0.0))
    if _is_energy(row) and largest > 50:
        facts.notes.append(
            f"{row.name}: after subtracting the references up to {largest:.0f} eV per atom are left; they belong to another "
            "method, or there are none: type `references: least_squares`"
        )


def _std(values: Float[Tensor, " F"]) -> Float[Tensor, ""]:
    known = values[~values.isnan()]
    return known.std(correction=0) if len(known) else torch.tensor(1.0)


def _or_one(scale: Float[Tensor, ""]) -> float:
    """``scale`` as a number; 1 where nothing is left to scale (one frame, or nothing but zeros)."""
    return float(scale) if float(scale) > 1e-12 else 1.0
