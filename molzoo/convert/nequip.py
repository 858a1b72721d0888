"""nequip's NequIP (0.6 and later state dicts of NequIPGNNModel).

A state dict holds neither the names of its types nor the average number of neighbours, so these are asked for.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.nn.functional import silu

from molzoo.convert.reading import Network, State, arguments, by_element, decimal, expect, n_layers, take
from molzoo.data.facts import DataFacts
from molzoo.data.references import symbols
from molzoo.o3 import normalize2mom
from molzoo.shapes import Float, Tensor

NAMES = {
    "model.func.": "",
    "type_embed.embed_module": "embedding.embedding",
    **{f"layer{n}_convnet.conv.": f"layers.{n}." for n in range(16)},
    **{f"edge_mlp.mlp.{2 * n}.": f"radial.layer{n}." for n in range(8)},
    "linear_1": "linear_in",
    "linear_2": "linear_out",
    ".sc.": ".self_connection.",
    "per_atom_energy_readout.mlp_module.mlp.0": "readout",
}
EMBEDDING = "type_embed.embed_module.weight"
ANCHORS = (EMBEDDING,)
ASSUMED = "polynomial_cutoff_p 6, silu for even and tanh for odd scalars, one number of neighbours for all types"
DOUBTFUL: dict[str, str] = {}
NEEDED = {
    "channels": "nequip's num_features",
    "l_max": "l_max",
    "parity": "parity",
    "avg_n_neighbours": "avg_num_neighbors; 1 for None",
}


def renormalised(weights: State) -> State:
    """The weights for molzoo's activations: after each SiLU nequip multiplies by √2, molzoo by the exact constant."""
    exact = normalize2mom(silu).cst
    hidden = {name for name in weights if ".radial.layer" in name and ".layer0." not in name}
    scaled = {name: value * (2**0.5 / exact) if name in hidden else value for name, value in weights.items()}
    return scaled | {"readout.weight": scaled["readout.weight"].flatten()}


def read(state: State, given: Mapping[str, Any], elements: Sequence[int]) -> Network:
    """The network in ``state``, from which all is taken that is no weight; rows of types become rows of sorted elements.

    Args:
        state: names after ``model.func.``, and tensors.
        given: arguments that the file does not hold.
        elements: atomic numbers in the order of nequip's type_names.
    """
    if len(elements) != len(state[EMBEDDING]):
        raise ValueError(
            f"the file has {len(state[EMBEDDING])} types of atoms without names; "
            "type --elements with nequip's type_names in their order, e.g. --elements H,C,O"
        )
    inverse = take(state, "edge_norm._rmax_recip")
    if inverse.numel() != 1:
        raise ValueError("'edge_norm._rmax_recip' is a cutoff for each pair of types; molzoo's NequIP has one cutoff")
    roots = take(state, "bessel_encode.bessel_weights")
    expect("bessel_encode.bessel_weights", roots.flatten(), torch.arange(1.0, roots.numel() + 1))
    for name in [name for name in state if name.endswith(".output_mask")]:
        del state[name]  # which outputs are always zero: said by the irreps
    mlp = [state[name] for n in range(8) if (name := f"layer0_convnet.conv.edge_mlp.mlp.{2 * n}.weight") in state]
    found = {
        "n_layers": n_layers(state, r"layer(\d+)_convnet\."),
        "n_radial": roots.numel(),
        "radial_widths": [len(weight) for weight in mlp[1:]],
        "n_attributes": state[EMBEDDING].shape[1],
        "cutoff": decimal(1 / inverse),
    }
    found = {"elements": sorted(elements)} | arguments("NequIP", found, given, NEEDED)
    order = sorted(range(len(elements)), key=elements.__getitem__)
    state[EMBEDDING] = state[EMBEDDING][order]
    return Network("NequIP", found, _facts(state, elements, found))


def _facts(state: State, elements: Sequence[int], found: Mapping[str, Any]) -> DataFacts:
    shifts, scales = (_of_types(state, f"per_type_energy_scale_shift.{what}", len(elements)) for what in ("shifts", "scales"))
    return DataFacts(
        elements=sorted(elements),
        cutoff=found["cutoff"],
        avg_n_neighbours=float(found["avg_n_neighbours"]),
        references={} if shifts is None else {"energy": by_element(elements, shifts)},
        element_scales={} if scales is None else {"energy": by_element(elements, scales)},
        notes=[f"Types of atoms: {symbols(elements)}."],
    )


def _of_types(state: State, name: str, n_types: int) -> Float[Tensor, " S"] | None:
    """A number for each type; None if there is none."""
    values = state.pop(name, None)
    if values is None:
        return None
    return values.flatten().double().expand(n_types)
