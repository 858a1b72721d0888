"""Energies and forces of nequip's NequIP, as fixtures for the parity tests.

The structures are those of the SchNetPack fixture, which is made first. README.md says how to run this.
"""

import json
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from ase.data import chemical_symbols
from nequip.data import AtomicDataDict, compute_neighborlist_, from_ase
from nequip.model import NequIPGNNModel
from nequip.utils.global_state import set_global_state
from reference_weights import description, fill

FIXTURES = Path(__file__).resolve().parents[2] / "tests" / "fixtures"
CUTOFF = 5.0
ELEMENTS = [1, 6, 8, 14, 16]
TUTORIAL = {"num_layers": 4, "num_features": 32, "parity": True, "radial_mlp_depth": 2, "radial_mlp_width": 64}
PRESET = {"parity": False, "type_embed_num_features": 32, "radial_mlp_depth": 1, "radial_mlp_width": 128}
MODELS = {  # fixture: (arguments, parameters)
    "nequip_l1": (TUTORIAL | {"l_max": 1}, 417_984),
    "nequip_l2": (TUTORIAL | {"l_max": 2}, 765_120),
    "nequip_preset_s": (PRESET | {"num_layers": 2, "l_max": 1, "num_features": [128, 64]}, 613_664),
    "nequip_preset_m": (PRESET | {"num_layers": 4, "l_max": 2, "num_features": [128, 64, 32]}, 3_186_976),
    "nequip_preset_l": (PRESET | {"num_layers": 6, "l_max": 3, "num_features": [128, 64, 32, 32]}, 6_833_440),
}


def evaluate(model, atoms):
    data = compute_neighborlist_(from_ase(atoms), r_max=CUTOFF)
    data = AtomicDataDict.batched_from_list([data])
    data["atom_types"] = torch.tensor([ELEMENTS.index(z) for z in atoms.numbers])
    n_edges = data["edge_index"].shape[1]
    out = model(data)
    return out["total_energy"].item(), out["forces"].detach().numpy(), n_edges


def save(name, arguments, n_parameters, given):
    model = NequIPGNNModel(
        seed=0,
        model_dtype="float64",
        r_max=CUTOFF,
        type_names=[chemical_symbols[z] for z in ELEMENTS],
        avg_num_neighbors=17.0,
        compile_mode="eager",
        **arguments,
    )
    fill(model)
    places = [slice(*ends) for ends in zip(given["ptr"][:-1], given["ptr"][1:], strict=True)]
    frames = zip(places, given["cell"], given["pbc"], strict=True)
    results = [evaluate(model, Atoms(given["z"][a], given["pos"][a], cell=cell, pbc=pbc)) for a, cell, pbc in frames]
    energies, forces, n_edges = zip(*results, strict=True)
    arrays = {
        **{key: given[key] for key in ("z", "pos", "cell", "pbc", "ptr")},
        "energies": np.array(energies),
        "forces": np.concatenate(forces),
        "n_edges": np.array(n_edges),
        "versions": json.dumps({p: version(p) for p in ("nequip", "e3nn", "torch", "numpy")}),
        **description(model),
    }
    assert arrays["n_parameters"] == n_parameters, arrays["n_parameters"]
    np.savez_compressed(FIXTURES / f"{name}.npz", **arrays)
    print(name, *energies)


def main():
    warnings.filterwarnings("ignore")
    set_global_state()
    given = np.load(FIXTURES / "schnetpack_schnet.npz")
    for name, (arguments, n_parameters) in MODELS.items():
        save(name, arguments, n_parameters, given)


if __name__ == "__main__":
    main()
