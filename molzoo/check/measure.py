"""What the laws compare with: structures that are changed, and deviations relative to what their rounding is relative to."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch_geometric.data import Batch

from molzoo.graph import AtomGraph, connect
from molzoo.predictor import Predictor
from molzoo.properties import Dipole, Predictions
from molzoo.quantities import quantity
from molzoo.shapes import Float, Tensor

_ATOMS_AT_ONCE = 1000  # in a batch of slightly different structures; bounds memory


class Found(NamedTuple):
    """The largest violation of a law, and where it is."""

    largest: float
    where: str = ""


def worst(found: Iterable[Found]) -> Found:
    """The largest of them; what is not a number is larger than anything.

    >>> worst([Found(0.1, "here"), Found(float("nan"), "there")]).where
    'there'
    """
    return max(found, key=lambda one: math.inf if math.isnan(one.largest) else one.largest, default=Found(0.0))


def variant(graph: AtomGraph, **changes: Any) -> AtomGraph:
    """The bare structure, without edges and labels, in which these fields are replaced.

    >>> variant(AtomGraph(z=[1], pos=[[0.0, 0, 0]], energy=-13.6), charge=1.0).charge
    tensor([1.], dtype=torch.float64)
    """
    fields = {name: graph[name] for name in ("z", "pos", "cell", "pbc", "charge", "spin") if name in graph}
    return AtomGraph(**(fields | changes))


def rattled(graph: AtomGraph, by: float = 0.05) -> AtomGraph:
    """The structure with every coordinate displaced at random, by ``by`` Å on average: no symmetry, no equilibrium."""
    moves = torch.randn(graph.pos.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return variant(graph, pos=graph.pos + by * moves.to(graph.pos))


def joined(graphs: Sequence[AtomGraph], gap: float) -> AtomGraph:
    """Molecules side by side along x as one structure, ``gap`` Å apart; the charge of the first."""
    pos, end = [], -gap
    for graph in graphs:
        shift = graph.pos.new_zeros(3)
        shift[0] = end + gap - graph.pos[:, 0].min()
        pos.append(graph.pos + shift)
        end = float(pos[-1][:, 0].max())
    return variant(graphs[0], z=torch.cat([graph.z for graph in graphs]), pos=torch.cat(pos))


def is_periodic(graph: AtomGraph) -> bool:
    """Whether it is, along any direction."""
    return bool(graph.pbc.any())


def defined(predictor: Predictor, graph: AtomGraph) -> list[str]:
    """All quantities that ``predictor`` must answer for this structure."""
    has_volume = bool((torch.linalg.det(graph.cell) != 0).all())
    named = [name for name in predictor.gives if quantity(name).periodic in (None, is_periodic(graph))]
    return [name for name in named if name != "stress" or has_volume]


def predicted(predictor: Predictor, graph: AtomGraph, names: Sequence[str]) -> Predictions:
    """Predictions without a graph of derivatives; an energy brings the terms of its sum."""
    terms = ["energies"] if "energy" in names and "energies" in predictor.gives else []
    with torch.no_grad():
        return predictor(graph, list(dict.fromkeys([*names, *terms])))


def predicted_for_all(predictor: Predictor, graphs: Sequence[AtomGraph], name: str) -> Tensor:
    """One quantity of many structures of one size, batch by batch."""
    step = max(1, _ATOMS_AT_ONCE // max(1, len(graphs[0].z)))
    batches = (Batch.from_data_list(list(graphs[begin : begin + step])) for begin in range(0, len(graphs), step))
    return torch.cat([predicted(predictor, batch, [name])[name] for batch in batches])


def sizes(predictor: Predictor, graph: AtomGraph, values: Predictions) -> dict[str, float]:
    """What the rounding of each quantity is relative to: its largest component, or the terms of a sum that may cancel."""
    return {name: max(1e-3, _size(name, values, graph, predictor)) for name in values}


def _size(name: str, values: Predictions, graph: AtomGraph, predictor: Predictor) -> float:
    value = values[name]
    if not value.numel():
        return 0.0
    size = float(value.abs().max())
    if name in Dipole.gives:
        return max(size, _charge_terms(name, graph, predictor))
    references = predictor.facts.references.get({"energies": "energy"}.get(name, name), {})
    if name not in ("energy", "energies") and (not references or name == "r2"):
        return size
    of_atoms = torch.tensor([references.get(int(z), 0.0) for z in graph.z], dtype=value.dtype).to(value.device)
    learned = (values["energies"] if name == "energy" else value) - (of_atoms if "energ" in name else of_atoms.sum())
    # References are no merit of the network: of them only the rounding of float64 counts.
    return float(learned.abs().sum() if name == "energy" else learned.abs().max()) + 1e-4 * size


def _charge_terms(name: str, graph: AtomGraph, predictor: Predictor) -> float:
    """Charges before their mean is taken off, which are as good as all of them where atoms are alike; or the dipole's terms."""
    with torch.no_grad():
        outputs = predictor.outputs(connect(variant(graph), predictor.model.cutoff))
    out = next(out for property_, out in outputs if isinstance(property_, Dipole)).double()
    charges, vectors = out[:, :1] + graph.charge / len(out), out[:, 1:]
    if name == "charges":
        return float(charges.abs().max())
    return float((charges * (graph.pos - graph.pos.mean(0))).norm(dim=1).sum() + vectors.norm(dim=1).sum())


def sharper(size: dict[str, float]) -> dict[str, float]:
    """The sizes for an energy to be held ten times tighter than what is derived from it, whose rounding is larger.

    >>> sharper({"energy": 2.0, "forces": 2.0})
    {'energy': 0.2, 'forces': 2.0}
    """
    return size | {name: 0.1 * value for name, value in size.items() if name == "energy"}


def compare(found: Predictions, wanted: Predictions, size: dict[str, float]) -> Found:
    """The largest deviation of all quantities in ``wanted``, relative to ``size``, and which it is."""
    return worst(_deviation(name, found[name], value, size[name]) for name, value in wanted.items() if value.numel())


def _deviation(name: str, found: Tensor, wanted: Tensor, size: float) -> Found:
    rows = (found - wanted).abs().reshape(len(wanted), -1).amax(1)
    place = f"{name} of atom {int(rows.argmax())}" if quantity(name).per == "atom" else name
    return Found(float(rows.max()) / size, place)


def relative(found: Float[Tensor, "*rows"], wanted: Float[Tensor, "*rows"], floor: float) -> float:
    """The largest deviation relative to the largest of ``wanted``, which counts as ``floor`` at least."""
    if not wanted.numel():
        return 0.0
    return float((found - wanted).detach().abs().max()) / max(floor, float(wanted.detach().abs().max()))
