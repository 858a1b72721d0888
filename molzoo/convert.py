"""Peers' weights → molzoo's: the same networks under other names.

Where a peer's architecture is one of the zoo, its trained weights move over and give the same numbers
(docs/results/certificates.md). Nothing of a peer is imported: a state dict is names and tensors.
"""

from collections.abc import Mapping

from torch.nn.functional import silu

from molzoo.o3 import normalize2mom
from molzoo.quantities import nearest
from molzoo.shapes import Tensor

_SCHNETPACK = {
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
_PYG = {
    ".mlp.": ".filter.",
    ".conv.lin1.": ".dense_in.",
    ".conv.lin2.": ".dense_out.0.",
    ".lin.": ".dense_out.2.",
    "lin1.": "readout.hidden.0.",
    "lin2.": "readout.linear.scalars.",
}
_NEQUIP = {
    "model.func.": "",
    "type_embed.embed_module": "embedding.embedding",
    **{f"layer{n}_convnet.conv.": f"layers.{n}." for n in range(16)},
    **{f"edge_mlp.mlp.{2 * n}.": f"radial.layer{n}." for n in range(8)},
    "linear_1": "linear_in",
    "linear_2": "linear_out",
    ".sc.": ".self_connection.",
    "per_atom_energy_readout.mlp_module.mlp.0": "readout",
}
PEERS = {"schnetpack": _SCHNETPACK, "pyg": _PYG, "nequip": _NEQUIP}
"""By peer: a part of its parameters' names → ours, applied in this order."""


def our_name(peer: str, name: str) -> str:
    """Our name of the parameter that ``peer`` calls ``name``.

    >>> our_name("nequip", "model.func.layer2_convnet.conv.sc.weight")
    'layers.2.self_connection.weight'
    """
    if peer not in PEERS:
        raise ValueError(f"molzoo has no table for weights of {peer!r}{nearest(peer, PEERS)}")
    for theirs, ours in PEERS[peer].items():
        name = name.replace(theirs, ours)
    return name


def our_state(peer: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The parameters of a peer's network under our names and in our normalisation."""
    found = {our_name(peer, name): value for name, value in state.items()}
    if peer == "nequip":
        found["readout.weight"] = found["readout.weight"].flatten()
        # After each SiLU nequip multiplies by √2, molzoo by the exact constant that keeps the second moment.
        exact = normalize2mom(silu).cst
        for name in found:
            if ".radial.layer" in name and ".layer0." not in name:
                found[name] = found[name] * (2**0.5 / exact)
    return found
