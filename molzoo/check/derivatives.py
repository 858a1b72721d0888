"""Laws of derivatives: forces, stress and second derivatives against differences, in float64."""

from collections.abc import Callable

import torch

from molzoo.check.measure import Found, predicted, predicted_for_all, variant
from molzoo.graph import AtomGraph, connect
from molzoo.predictor import Predictor
from molzoo.shapes import Float, Int, Tensor

_STEPS = (3e-4, 1e-5)  # Å: the larger rounds less, the smaller sees bends where a vector's length is near zero
_COORDINATES = 48  # of a large structure so many are tried
_DIRECTIONS = 4  # of all atoms at once, in which second derivatives are taken


Values = Callable[[float], Tensor]  # y(x), for many displacements at once


def differences(value: Values, step: float) -> Float[Tensor, "*rows"]:
    """dy/dx at x = 0 by five points ``step`` apart.

    >>> differences(lambda x: torch.tensor(x - 5 * x**3).double(), 1e-3).round(decimals=6)
    tensor(1., dtype=torch.float64)
    """
    near, far = value(step) - value(-step), value(2 * step) - value(-2 * step)
    return (8 * near - far) / (12 * step)


def deviations(derivative: Float[Tensor, "*rows"], value: Values) -> Float[Tensor, "*rows"]:
    """|``derivative`` − dy/dx|, the least of all steps: a derivative is right if one of them confirms it."""
    least = torch.full_like(derivative, torch.inf)
    for step in _STEPS:
        least = torch.minimum(least, (derivative - differences(value, step)).abs())
        if float(least.max()) <= 1e-8 * float(derivative.abs().max()):  # nothing is left to be confirmed
            break
    return least


def forces(predictor: Predictor, graph: AtomGraph) -> Found:
    """Forces on up to 16 atoms against differences of the energy."""
    which, found, energies = _displaced(predictor, graph)
    errors = deviations(-found, energies)
    place = f"force on atom {int(which[errors.argmax()]) // 3}"
    return Found(float(errors.max()) / max(1e-3, float(found.abs().max())), place)


def force_differences(predictor: Predictor, graph: AtomGraph) -> tuple[Float[Tensor, " k"], Float[Tensor, " k"]]:
    """Forces along up to 48 coordinates, and −ΔE/Δr, eV/Å."""
    _, found, energies = _displaced(predictor, graph)
    return found, -differences(energies, _STEPS[0])


def _displaced(predictor: Predictor, graph: AtomGraph) -> tuple[Int[Tensor, " k"], Float[Tensor, " k"], Values]:
    """Coordinates (3 · atom + axis), forces along them, and the energy by the displacement along each."""
    n = graph.pos.numel()
    which = torch.arange(n) if n <= _COORDINATES else torch.linspace(0, n - 1, _COORDINATES).long()
    moves = torch.zeros(len(which), n).to(graph.pos)
    moves[torch.arange(len(which)), which] = 1.0
    along = moves.view(-1, *graph.pos.shape)

    def energies(x: float) -> Tensor:
        return predicted_for_all(predictor, [variant(graph, pos=graph.pos + x * move) for move in along], "energy")

    return which, predicted(predictor, graph, ["forces"])["forces"].flatten()[which], energies


def stress(predictor: Predictor, graph: AtomGraph) -> Found:
    """Stress against differences of the energy in nine strains."""
    unit = torch.eye(9).view(9, 3, 3).to(graph.pos)
    along = (unit + unit.mT) / 2

    def energies(x: float) -> Tensor:
        stretches = torch.eye(3).to(graph.pos) + x * along
        strained = [variant(graph, pos=graph.pos @ stretch, cell=graph.cell @ stretch.to(graph.cell)) for stretch in stretches]
        return predicted_for_all(predictor, strained, "energy")

    volume = float(torch.linalg.det(graph.cell[0]).abs())
    found = predicted(predictor, graph, ["stress"])["stress"].flatten()
    errors = deviations(volume * found, energies) / volume
    return Found(float(errors.max()) / max(1e-3, float(found.abs().max())), "stress")


def stress_symmetry(predictor: Predictor, graph: AtomGraph) -> Found:
    """The antisymmetric part of the stress."""
    stress = predicted(predictor, graph, ["stress"])["stress"]
    return Found(float((stress - stress.mT).abs().max()), "stress")


def hessian(predictor: Predictor, graph: AtomGraph) -> Found:
    """Second derivatives times random displacements, against differences of forces along these."""
    along = _directions(graph)
    products = _hessian_times(predictor, graph, along)

    def forces(x: float) -> Tensor:
        frames = [variant(graph, pos=graph.pos + x * move) for move in along]
        return predicted_for_all(predictor, frames, "forces").view_as(along)

    errors = deviations(-products, forces)
    place = f"force on atom {int(errors.amax((0, 2)).argmax())}"
    return Found(float(errors.max()) / max(1e-3, float(products.abs().max())), place)


def hessian_symmetry(predictor: Predictor, graph: AtomGraph) -> Found:
    """uᵀ H v − vᵀ H u of random displacements u and v of all atoms."""
    along = _directions(graph)
    elements = torch.einsum("knc,mnc->km", _hessian_times(predictor, graph, along), along)
    return Found(float((elements - elements.mT).abs().max()) / max(1e-3, float(elements.abs().max())), "second derivatives")


def _directions(graph: AtomGraph) -> Float[Tensor, "k N 3"]:
    random = torch.randn(_DIRECTIONS, *graph.pos.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return (random / random.flatten(1).norm(dim=1)[:, None, None]).to(graph.pos)


def _hessian_times(predictor: Predictor, graph: AtomGraph, along: Float[Tensor, "k N 3"]) -> Float[Tensor, "k N 3"]:
    connected = connect(variant(graph), predictor.model.cutoff)
    pos = connected.pos.clone().requires_grad_()
    with torch.enable_grad():
        forces = predictor(connected.clone_with(pos=pos), ["forces"], create_graph=True)["forces"]
        rows = [torch.autograd.grad((forces * v).sum(), pos, retain_graph=True)[0] for v in along]
    return -torch.stack(rows)
