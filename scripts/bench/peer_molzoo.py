"""molzoo's side of `worker.py`: its models at the settings of the peers."""

import torch
from torch_geometric.data import Data

from molzoo import Predictor, __version__
from molzoo.convert import our_state
from molzoo.graph import AtomGraph, connect

VERSIONS = {"molzoo": __version__, "torch": torch.__version__}
NEQUIP = {"elements": [1, 6, 8], "avg_n_neighbours": 17.0, "radial_widths": [128], "n_attributes": 4}
TFN = {"elements": [1, 6, 8], "avg_n_neighbours": 17.0}
ARGUMENTS = {"SchNet": {}, "PaiNN": {}, "TFN": TFN, "NequIP": NEQUIP, "DimeNetPP": {}}
KNOTS = {"SchNet": 256, "PaiNN": 256, "TFN": 256, "NequIP": 256}  # forces of SchNet's narrow Gaussians are then good to 5e-5


def make(model: str, mode: str) -> Predictor:
    """The model with energy and forces; in the mode ``table`` with its radial functions on knots."""
    assert mode in ("", "table"), f"molzoo has no mode {mode}"
    return Predictor(model, ["energy", "forces"], ARGUMENTS[model] | ({"radial_knots": KNOTS[model]} if mode else {}))


def take(predictor: Predictor, peer: str, state: dict[str, torch.Tensor]) -> None:
    """Use the weights of a peer's model; those of one built here, of e3nn's parts, have our names already."""
    predictor.model.load_state_dict(state if peer == "e3nn" else our_state(peer, state))


def inputs(arrays: dict[str, torch.Tensor]) -> AtomGraph:
    """The graph with the edges that were given, sorted and paired."""
    n_graphs = len(arrays["energy"])
    frame = {"cell": arrays["cell"].expand(n_graphs, 3, 3), "pbc": arrays["pbc"].expand(n_graphs, 3)}
    names = ("z", "pos", "batch", "edge_index", "edge_shift")
    return connect(Data(**{name: arrays[name] for name in names}, **frame), 5.0)


def evaluate(predictor: Predictor, graph: AtomGraph) -> tuple[torch.Tensor, torch.Tensor]:
    """Energies and forces."""
    found = predictor(graph)
    return found["energy"], found["forces"]
