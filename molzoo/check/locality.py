"""Laws of nearness: nothing beyond the cutoff counts, and what leaves it does so without a jump."""

from collections.abc import Sequence
from itertools import combinations_with_replacement

import torch
from ase.data import chemical_symbols
from torch_geometric.data import Batch

from molzoo.check.measure import Found, compare, is_periodic, joined, predicted, sharper, sizes, variant, worst
from molzoo.check.symmetry import FAR
from molzoo.graph import AtomGraph, connect
from molzoo.models import TABLE
from molzoo.predictor import Predictor
from molzoo.shapes import Float, Tensor

_STEP = 1e-4  # Å between the distances from which values are extrapolated to the cutoff
_BONDED = (-0.6, 1.0, 0.0)  # Å, of a third atom, so that angles are there too


def locality(predictor: Predictor, graph: AtomGraph) -> Found:
    """Edges longer than the cutoff are added: of a crystal, or between two copies of a molecule just out of reach."""
    cutoff = predictor.model.cutoff
    if is_periodic(graph):
        radius = 1.3 * cutoff
    else:
        extent = graph.pos.amax(0) - graph.pos.amin(0)
        graph, radius = joined([graph, graph], cutoff + 0.5), float((extent.square().sum() + (cutoff + 0.6) ** 2).sqrt())
    names = ["energy", "forces"]
    near, far = (predicted(predictor, connect(variant(graph), r), names) for r in (cutoff, radius))
    return compare(far, near, sharper(sizes(predictor, graph, near)))


def isolated(predictor: Predictor, graph: AtomGraph) -> Found:
    """Each element's atom alone and far from the others; its energy is the reference where the model's row says so."""
    atoms = {z: _structure(graph, [z], [[0.3, -0.2, 0.1]]) for z in sorted(set(graph.z.tolist()))}
    whole, names = joined(list(atoms.values()), FAR), ["energies", "forces"]
    together = predicted(predictor, whole, names)
    alone = {z: predicted(predictor, atom, names) for z, atom in atoms.items()}
    wanted = {name: torch.cat([one[name] for one in alone.values()]) for name in names}
    found = [compare(together, wanted, sizes(predictor, whole, together))]
    felt = {"of atoms far apart": together} | {f"on {chemical_symbols[z]}": one for z, one in alone.items()}
    found += [Found(float(one["forces"].any()), f"force {which}") for which, one in felt.items()]  # none at all
    if predictor.model_name in TABLE and TABLE[predictor.model_name].isolated_atom == "exact":
        references = predictor.facts.references.get("energy", {})
        rest = {z: float(one["energies"][0]) - references.get(z, 0.0) for z, one in alone.items()}
        found += [Found(abs(energy), f"energy of {chemical_symbols[z]}") for z, energy in rest.items()]
    return worst(found)


def continuity(predictor: Predictor, graph: AtomGraph) -> Found:
    """Jumps of energy, force and, where it is promised, second derivative."""
    return worst(jumps(predictor, graph)[: 3 if smoothness(predictor) == "C2" else 2])


def smoothness(predictor: Predictor) -> str:
    """``C2`` where the second derivative is continuous at the cutoff, as far as it is known; else ``C1``."""
    of_row = TABLE[predictor.model_name].smoothness if predictor.model_name in TABLE else "C1"
    return {"cosine": "C1", "polynomial": "C2"}.get(predictor.arguments.get("envelope", ""), of_row)


def jumps(predictor: Predictor, graph: AtomGraph) -> list[Found]:
    """Jumps of energy, force and curvature as an atom leaves the cutoff of another, the largest for any two elements.

    Each is relative to the largest change of the same at shorter distances.
    From inside, a cubic through four distances leads to the cutoff, so that a steep end is not taken for a jump.
    """
    cutoff = predictor.model.cutoff
    steps = torch.tensor([-1.0, -2.0, -3.0, -4.0, 1.0], dtype=torch.float64)
    distances = torch.cat([cutoff + _STEP * steps, cutoff * torch.linspace(0.4, 0.95, 12, dtype=torch.float64)])
    weights = torch.tensor([4.0, -6.0, 4.0, -1.0], dtype=torch.float64)
    found: dict[str, list[Found]] = {"energy": [], "force": [], "curvature": []}
    for pair in combinations_with_replacement(sorted(set(graph.z.tolist())), 2):
        place = f"of {'–'.join(chemical_symbols[z] for z in pair)} at {cutoff:g} Å"
        for name, values in zip(found, crossing(predictor, graph, pair, distances), strict=True):
            jump = float((values[:4] @ weights.to(values) - values[4]).abs())
            found[name].append(Found(jump / max(1e-3, float((values[4:] - values[4]).abs().max())), f"{name} {place}"))
    return [worst(of_pairs) for of_pairs in found.values()]


def crossing(
    predictor: Predictor, graph: AtomGraph, pair: Sequence[int], distances: Float[Tensor, " D"]
) -> list[Float[Tensor, " D"]]:
    """Energy and its first two derivatives by the distance of an atom from another one, which has a third bonded to it."""
    frame = _structure(graph, [pair[0], pair[1], pair[1]], [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], list(_BONDED)])
    batch = Batch.from_data_list([frame] * len(distances))
    d = distances.to(batch.pos).requires_grad_()
    moved = torch.zeros(3, 3).to(batch.pos)
    moved[0, 0] = 1.0
    with torch.enable_grad():
        pos = batch.pos + (d[:, None, None] * moved).flatten(0, 1)
        values = [predictor(batch.clone_with(pos=pos), ["energy"])["energy"]]
        for _ in range(2):
            values.append(torch.autograd.grad(values[-1].sum(), d, create_graph=True)[0])
    return [value.detach() for value in values]


def _structure(like: AtomGraph, z: list[int], pos: list[list[float]]) -> AtomGraph:
    """A molecule with the charge of ``like``, in its precision and on its device."""
    return variant(
        like,
        z=torch.tensor(z).to(like.z),
        pos=torch.tensor(pos, dtype=torch.float64).to(like.pos),
        cell=torch.zeros_like(like.cell),
        pbc=torch.zeros_like(like.pbc),
    )
