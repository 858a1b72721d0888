"""SchNetPack's side of `worker.py`."""

# ruff: noqa: E402 (SchNetPack can only be imported after the repair below)

import typing

import torch
from torch.utils.data import dataloader

# SchNetPack 2.1.1 imports this name for an annotation; torch 2.13 no longer has it.
dataloader.T_co = typing.TypeVar("T_co", covariant=True)

from importlib.metadata import version

from schnetpack import properties as names
from schnetpack.atomistic import Atomwise, Forces, PairwiseDistances
from schnetpack.model import NeuralNetworkPotential
from schnetpack.nn import BesselRBF, CosineCutoff, GaussianRBF, shifted_softplus
from schnetpack.representation import PaiNN, SchNet

VERSIONS = {"schnetpack": version("schnetpack"), "torch": torch.__version__}
CUTOFF = 5.0


def make(model: str, mode: str) -> torch.nn.Module:
    """SchNet (readout with the paper's activation) or PaiNN."""
    if model == "SchNet":
        representation = SchNet(128, 6, GaussianRBF(50, CUTOFF), CosineCutoff(CUTOFF))
        readout = Atomwise(n_in=128, output_key="energy", activation=shifted_softplus)
    else:
        representation = PaiNN(128, 3, BesselRBF(20, CUTOFF), CosineCutoff(CUTOFF))
        readout = Atomwise(n_in=128, output_key="energy")
    potential = NeuralNetworkPotential(representation, [PairwiseDistances()], [readout, Forces()])
    if mode == "compiled":
        potential.representation.compile(dynamic=True)
    return potential


def inputs(arrays: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Its dictionary of tensors."""
    j, i = arrays["edge_index"]
    return {
        names.Z: arrays["z"],
        names.R: arrays["pos"].float(),
        names.idx_i: i,
        names.idx_j: j,
        names.offsets: (arrays["edge_shift"].to(arrays["cell"]) @ arrays["cell"]).float(),
        names.idx_m: arrays["batch"],
    }


def evaluate(model: torch.nn.Module, given: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Energies and forces."""
    found = model({**given, names.R: given[names.R].clone()})
    return found["energy"], found["forces"]
