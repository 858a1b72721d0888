"""nequip's side of `worker.py`."""

import warnings
from importlib.metadata import version

import torch
from nequip.data import AtomicDataDict
from nequip.model import NequIPGNNModel
from nequip.utils.global_state import set_global_state

VERSIONS = {"nequip": version("nequip"), "e3nn": version("e3nn"), "torch": torch.__version__}


def make(model: str, mode: str) -> torch.nn.Module:
    """NequIP with l ≤ 2, natural parities, 64 channels, 4 layers; eager or compiled as its documentation says."""
    warnings.filterwarnings("ignore")
    set_global_state()
    return NequIPGNNModel(
        seed=0,
        model_dtype="float32",
        r_max=5.0,
        type_names=["H", "C", "O"],
        num_layers=4,
        l_max=2,
        parity=False,
        num_features=64,
        radial_mlp_depth=1,
        radial_mlp_width=128,
        type_embed_num_features=4,
        avg_num_neighbors=17.0,
        compile_mode="compile" if mode == "compiled" else "eager",
    )


def inputs(arrays: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Its dictionary of tensors; its edges name the receiver first."""
    types = torch.zeros(9, dtype=torch.long)
    types[[1, 6, 8]] = torch.arange(3)
    given = {
        AtomicDataDict.POSITIONS_KEY: arrays["pos"],
        AtomicDataDict.ATOM_TYPE_KEY: types[arrays["z"]],
        AtomicDataDict.EDGE_INDEX_KEY: arrays["edge_index"].flip(0),
        AtomicDataDict.BATCH_KEY: arrays["batch"],
        AtomicDataDict.NUM_NODES_KEY: torch.bincount(arrays["batch"]),
    }
    if arrays["pbc"].any():
        given[AtomicDataDict.CELL_KEY] = arrays["cell"][None]
        given[AtomicDataDict.EDGE_CELL_SHIFT_KEY] = arrays["edge_shift"].double()
    return given


def evaluate(model: torch.nn.Module, given: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Energies and forces."""
    if getattr(model, "is_compile_graph_model", False):
        model.train()  # its trace is made at the first call and must be one that can be trained
    found = model(dict(given))
    return found["total_energy"][:, 0], found["forces"]
