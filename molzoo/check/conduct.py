"""Laws of conduct: finite numbers, the same ones each time and on each way to them, and nothing else touched."""

import os
import tempfile
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import torch

from molzoo import checkpoint
from molzoo.check.measure import Found, compare, defined, is_periodic, predicted, relative, sizes, variant, worst
from molzoo.graph import AtomGraph
from molzoo.kernels import use_backend
from molzoo.kernels.dispatch import runnable
from molzoo.predictor import Predictor
from molzoo.properties import Predictions
from molzoo.quantities import quantity
from molzoo.shapes import Tensor


def finite(predictor: Predictor, graph: AtomGraph) -> Found:
    """How many predictions and gradients of parameters are no numbers, in awkward structures of the elements in ``graph``."""
    return worst(_not_finite(predictor, one, name) for name, one in awkward(graph).items())


def awkward(like: AtomGraph) -> dict[str, AtomGraph]:
    """Linear molecules, chains, coincident atoms and lonely ones, of the elements in ``like``."""
    from ase.build import molecule

    elements = list(dict.fromkeys(like.z.tolist()))
    chain = [[1.2 * k, 0.0, 0.0] for k in range(4)]
    made = {
        "coincident atoms": ([0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.1, 0.2, 0.0]),
        "a chain": chain,
        "one atom": chain[:1],
        "atoms 50 Å apart": ([0.0, 0.0, 0.0], [50.0, 0.0, 0.0]),
    }
    found = {name: (list(islice(cycle(elements), len(pos))), pos) for name, pos in made.items()}
    known = {name: molecule(name) for name in ("CO2", "HCN", "C2H2", "H2")}
    found |= {name: (atoms.numbers, atoms.positions) for name, atoms in known.items() if {*atoms.numbers} <= {*elements}}
    rest = {"cell": torch.zeros_like(like.cell), "pbc": torch.zeros_like(like.pbc)}
    return {
        name: variant(like, z=torch.as_tensor(z).to(like.z), pos=torch.as_tensor(pos).to(like.pos), **rest)
        for name, (z, pos) in found.items()
    }


def _not_finite(predictor: Predictor, graph: AtomGraph, name: str) -> Found:
    values, gradients = _values_and_gradients(predictor, graph)
    counts = {key: int((~value.isfinite()).sum()) for key, value in (values | gradients).items()}
    return worst(Found(float(count), f"{key} of {name}" if count else "") for key, count in counts.items())


def _values_and_gradients(predictor: Predictor, graph: AtomGraph) -> tuple[Predictions, Predictions]:
    """All predictions, and the gradient of the sum of their squares by each parameter that it reaches."""
    names = defined(predictor, graph)
    if not names:
        return {}, {}
    parameters = {name: parameter for name, parameter in predictor.named_parameters() if parameter.requires_grad}
    with torch.enable_grad():
        values = predictor(variant(graph), names, create_graph=True)
        total = sum((value.square().sum() for value in values.values()), torch.zeros(()))
        gradients = torch.autograd.grad(total, list(parameters.values()), allow_unused=True)
    found = {f"gradient of {name}": g for name, g in zip(parameters, gradients, strict=True) if g is not None}
    return {name: value.detach() for name, value in values.items()}, found


def deterministic(predictor: Predictor, graph: AtomGraph) -> Found:
    """Predictions and gradients of parameters, twice."""
    first, second = ({**values, **gradients} for values, gradients in (_values_and_gradients(predictor, graph) for _ in "12"))
    return worst(_unequal(name, value, second[name]) for name, value in first.items())


def _unequal(name: str, first: Tensor, second: Tensor) -> Found:
    same = torch.equal(first, second)
    return Found(0.0 if same else float((first - second).abs().max()), "" if same else name)


def backends(predictor: Predictor, graph: AtomGraph) -> Found:
    """Predictions and gradients of parameters, on every way that a convolution can be computed."""
    found = []
    for name in runnable(next(predictor.parameters())):
        with use_backend(name):
            found.append(_values_and_gradients(predictor, graph))
    (values, gradients), size = found[0], sizes(predictor, graph, found[0][0])
    of_values = [compare(others, values, size) for others, _ in found[1:]]
    of_gradients = [
        Found(relative(others[name], gradient, 1e-3), name) for _, others in found[1:] for name, gradient in gradients.items()
    ]
    return worst(of_values + of_gradients)


def inputs(predictor: Predictor, graph: AtomGraph) -> Found:
    """How many fields of the input are changed by a prediction."""
    given = variant(graph)
    before = {name: value.clone() for name, value in given.to_dict().items()}
    predictor(given, defined(predictor, graph))
    after = given.to_dict()
    changed = [name for name, value in before.items() if name not in after or not torch.equal(after[name], value)]
    changed += [name for name, value in after.items() if name not in before or value.requires_grad]
    return Found(float(len(changed)), ", ".join(changed))


def surroundings(predictor: Predictor, graph: AtomGraph) -> Found:
    """How many global settings are changed by a prediction: precision, threads, random numbers, environment."""
    before = _surroundings()
    predictor(variant(graph), defined(predictor, graph))
    after = _surroundings()
    changed = [name for name, value in before.items() if after[name] != value]
    return Found(float(len(changed)), ", ".join(changed))


def global_settings() -> dict[str, object]:
    """What torch would do differently in this process if somebody changed it."""
    return {
        "default dtype": torch.get_default_dtype(),
        "threads": torch.get_num_threads(),
        "matmul TF32": torch.backends.cuda.matmul.allow_tf32,
        "cudnn TF32": torch.backends.cudnn.allow_tf32,
        "matmul precision": torch.get_float32_matmul_precision(),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "gradients": torch.is_grad_enabled(),
    }


def _surroundings() -> dict[str, object]:
    return global_settings() | {
        "torch's random numbers": torch.get_rng_state().numpy().tobytes(),
        "NumPy's random numbers": str(np.random.get_state()),  # noqa: NPY002 - whether somebody used them
        "environment": dict(os.environ),
    }


def saved(predictor: Predictor, graph: AtomGraph) -> Found:
    """The model written to a file and read again."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoint.save(predictor, Path(folder) / "model.pt")
        again = checkpoint.load(Path(folder) / "model.pt", next(predictor.parameters()).device)
    names = defined(predictor, graph)
    first, second = (predicted(one, graph, names) for one in (predictor, again))
    return worst(_unequal(name, value, second[name]) for name, value in first.items())


def refusals(predictor: Predictor, graph: AtomGraph) -> Found:
    """How many quantities are answered that the structure does not have: a crystal's dipole, a molecule's stress."""
    undefined = [name for name in predictor.gives if quantity(name).periodic not in (None, is_periodic(graph))]
    answered = [name for name in undefined if _answers(predictor, graph, [name])]
    return Found(float(len(answered)), ", ".join(answered))


def _answers(predictor: Predictor, graph: AtomGraph, names: Sequence[str]) -> bool:
    try:
        predicted(predictor, graph, names)
    except ValueError:
        return False
    return True
