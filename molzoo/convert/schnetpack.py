"""SchNetPack's SchNet and PaiNN: ``NeuralNetworkPotential`` with one ``Atomwise`` energy (version 2)."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from molzoo.convert.reading import Network, State, arguments, decimal, expect, n_layers, references_of, take
from molzoo.data.facts import DataFacts

NAMES = {
    "representation.": "",
    "filter_network.0": "filter.0",
    "filter_network.1": "filter.2",
    "in2f": "dense_in",
    "f2out.0": "dense_out.0",
    "f2out.1": "dense_out.2",
    "filter_net.": "filters.linear.",
    "interatomic_context_net.0": "phi.0",
    "interatomic_context_net.1": "phi.2",
    "mixing.": "updates.",
    "intraatomic_context_net.0": "a.0",
    "intraatomic_context_net.1": "a.2",
    "mu_channel_mix": "UV",
    "output_modules.0.outnet.0": "readout.hidden.0",
    "output_modules.0.outnet.1": "readout.linear.scalars",
}
EMBEDDING = "representation.embedding.weight"
ANCHORS = (EMBEDDING,)
ASSUMED = "activations shifted_softplus (SchNet) or silu (PaiNN) everywhere, CosineCutoff, extensive offsets"
DOUBTFUL = {"SchNet": "SchNetPack's SchNet reads out with silu unless told otherwise, molzoo's with shifted_softplus"}


def read(state: State, given: Mapping[str, Any], elements: Sequence[int]) -> Network:
    """The network in ``state``, from which all is taken that is no weight."""
    model = "PaiNN" if "representation.filter_net.weight" in state else "SchNet"
    cutoff = decimal(take(state, "representation.cutoff_fn.cutoff"))
    radial, n_radial = _basis(state, cutoff)
    embedding = state[EMBEDDING]
    found = {
        "channels": embedding.shape[1],
        "n_layers": n_layers(state, r"representation\.interactions\.(\d+)\."),
        "n_radial": n_radial,
        "cutoff": cutoff,
        "radial": radial,
    }
    if model == "SchNet" and (name := "representation.interactions.0.in2f.weight") in state:
        found["n_filters"] = len(state[name])
    scale, table = _offsets(state, len(embedding))
    references = references_of(table, elements)
    facts = DataFacts(
        elements=sorted(elements),
        cutoff=cutoff,
        references={"energy": references} if references else {},
        scales={"energy": scale},
    )
    return Network(model, arguments(model, found, given), facts)


def _basis(state: State, cutoff: float) -> tuple[str, int]:
    """Kind and size of the radial basis, whose constants must be molzoo's."""
    basis = "representation.radial_basis."
    if basis + "freqs" in state:
        freqs = state.pop(basis + "freqs")
        expect(basis + "freqs", freqs, torch.arange(1, len(freqs) + 1) * math.pi / cutoff)
        return "bessel", len(freqs)
    centres, widths = take(state, basis + "offsets"), take(state, basis + "widths")
    expect(basis + "offsets", centres, torch.linspace(0, cutoff, len(centres)))
    expect(basis + "widths", widths, torch.full((len(centres),), cutoff / (len(centres) - 1)))
    return "gaussian", len(centres)


def _offsets(state: State, n: int) -> tuple[float, torch.Tensor]:
    """Scale, and reference of each atomic number: of ScaleProperty (energy, and perhaps forces), then AddOffsets."""
    parts: dict[str, dict[int, torch.Tensor]] = {"scale": {}, "mean": {}, "atomref": {}}
    for name in list(state):
        found = re.fullmatch(r"postprocessors\.(\d+)\.(scale|mean|atomref)", name)
        if found:
            parts[found[2]][int(found[1])] = state.pop(name).double().flatten()
    scales, offsets = parts["scale"], parts["mean"] | parts["atomref"]
    late = max(scales, default=-1) > min(offsets, default=math.inf)
    if late or len(offsets) > 1 or len({float(scale) for scale in scales.values()}) > 1:
        raise ValueError(
            f"the postprocessors {sorted({*scales, *offsets})} scale and shift more than one energy, and the file does not say "
            "which; convert a network with one ScaleProperty and then one AddOffsets for the energy"
        )
    table = torch.zeros(n, dtype=torch.float64) + next(iter(parts["mean"].values()), 0.0)
    for atoms in parts["atomref"].values():
        table[: len(atoms)] += atoms[:n]
    return float(next(iter(scales.values()), 1.0)), table
