"""A trained model with tables in place of its radial networks, and how far its predictions move by that."""

from collections.abc import Iterable

import torch

from molzoo.graph import AtomGraph
from molzoo.predictor import Predictor


def tabulate(predictor: Predictor, structures: Iterable[AtomGraph], n_knots: int = 256) -> tuple[Predictor, dict[str, float]]:
    """The same model with radial functions on ``n_knots`` knots, and the largest deviation of each prediction.

    The new model says so in its arguments (``radial_knots``), which are saved with it.

    Args:
        predictor: a trained model.
        structures: what to compare predictions on; they should be like those it is for.
        n_knots: knots from 0 to the cutoff (:class:`~molzoo.nn.RadialTable`); twice as many, 1/64 of the error.

    Raises:
        ValueError: the model has no radial functions of the distance alone.
    """
    name = predictor.model_name
    if not hasattr(predictor.model, "radial_weights"):
        raise ValueError(f"{name} has no radial functions that could be put in a table; use it as it is")
    facts, arguments = predictor.facts, predictor.arguments | {"radial_knots": n_knots}
    table = Predictor(name, predictor.names, arguments, facts).to(predictor.model.dtype)
    table.load_state_dict(predictor.state_dict())
    table.to(next(predictor.parameters()).device).eval()
    largest = dict.fromkeys(predictor.names, 0.0)
    with torch.no_grad():
        for graph in structures:
            exact, found = predictor(graph), table(graph)
            largest |= {key: max(largest[key], float((exact[key] - found[key]).abs().max())) for key in largest}
    return table, largest
