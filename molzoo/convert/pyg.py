"""PyG's SchNet, with ``readout="add"``, and the names in its DimeNet and DimeNet++."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch

from molzoo.convert.reading import Network, State, arguments, decimal, expect, n_layers, references_of, take
from molzoo.data.facts import DataFacts

NAMES = {
    ".mlp.": ".filter.",
    ".conv.lin1.": ".dense_in.",
    ".conv.lin2.": ".dense_out.0.",
    ".lin.": ".dense_out.2.",
    "lin1.": "readout.hidden.0.",
    "lin2.": "readout.linear.scalars.",
}
DIMENET = {
    r"rbf\.freq": "radial.k",
    r"^emb\.emb": "embedding",
    r"^emb\.lin_rbf": "edge_embedding.radial",
    r"^emb\.lin": "edge_embedding.dense",
    r"output_blocks\.(\d+)\.lin_rbf": r"to_atoms.\1.radial",
    r"output_blocks\.\d+\.lin\.": "readout.linear.",  # one after the other
    r"interaction_blocks": "interactions",
    r"layers_(before|after)_skip": r"\1",
    r"lin1": "change.0",
    r"lin2": "change.2",
    r"lin_(kj|ji)": r"dense_\1",
    r"\.lin\.": ".dense.",
    r"lin_rbf\.": "radial.",
    r"lin_sbf\.": "angular.",
    r"output_blocks\.(\d+)\.lins\.0": r"readout.hidden.\1.0",
    r"output_blocks\.(\d+)\.lins\.1": r"readout.hidden.\1.2",
    r"output_blocks\.(\d+)\.lins\.2": r"readout.hidden.\1.4",
}

DIMENET_PP = DIMENET | {
    r"output_blocks\.(\d+)\.lin_up": r"readout.hidden.\1.0",
    r"output_blocks\.(\d+)\.lins\.0": r"readout.hidden.\1.1",
    r"output_blocks\.(\d+)\.lins\.1": r"readout.hidden.\1.3",
    r"output_blocks\.(\d+)\.lins\.2": r"readout.hidden.\1.5",
    r"lin_rbf1": "radial.0",
    r"lin_rbf2": "radial.1",
    r"lin_sbf": "triplets.W",
    r"lin_(up|down)": r"\1",
}


def names(theirs: Iterable[str]) -> Mapping[str, str]:
    """The table for a network whose parameters have these names, as regular expressions."""
    theirs = list(theirs)
    if not any("output_blocks" in name for name in theirs):
        return {re.escape(part): ours for part, ours in NAMES.items()}
    return DIMENET_PP if any("lin_up" in name for name in theirs) else DIMENET


CENTRES = "distance_expansion.offset"
ANCHORS = (CENTRES,)
ASSUMED = "readout add, all neighbours within the cutoff (PyG keeps max_num_neighbors), mean 0 and std 1 unless given"
DOUBTFUL: dict[str, str] = {}


def read(state: State, given: Mapping[str, Any], elements: Sequence[int]) -> Network:
    """The network in ``state``, from which all is taken that is no weight.

    Args:
        state: names and tensors.
        given: PyG's ``mean`` and ``std``, which its state dict does not hold.
        elements: that the network was trained on.
    """
    given = dict(given)
    mean, std = (float(given.pop(key, default)) for key, default in (("mean", 0.0), ("std", 1.0)))
    centres = take(state, CENTRES)
    cutoff = decimal(centres[-1])
    expect(CENTRES, centres, torch.linspace(0, cutoff, len(centres)))
    embedding, into = state.get("embedding.weight"), state.get("interactions.0.conv.lin1.weight")
    if embedding is None or into is None:
        raise ValueError("the file has no 'embedding.weight' or no 'interactions.0.conv.lin1.weight'; it is no SchNet of PyG")
    found = {
        "channels": embedding.shape[1],
        "n_layers": n_layers(state, r"interactions\.(\d+)\."),
        "n_filters": len(into),
        "n_radial": len(centres),
        "cutoff": cutoff,
        "radial": "gaussian",
    }
    for name in [name for name in state if ".mlp." in name]:  # held twice
        twin = name.replace(".mlp.", ".conv.nn.")
        expect(twin, state.pop(twin, state[name]), state[name])
    state.pop("initial_atomref", None)  # where atomref began
    table = torch.full((len(embedding),), mean, dtype=torch.float64)
    table += state.pop("atomref.weight", torch.zeros(1)).double().flatten()
    references = references_of(table, elements)
    facts = DataFacts(
        elements=sorted(elements),
        cutoff=cutoff,
        references={"energy": references} if references else {},
        scales={"energy": std},
    )
    return Network("SchNet", arguments("SchNet", found, given), facts)
