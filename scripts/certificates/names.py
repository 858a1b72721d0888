"""The references' parameter names → ours; the parity tests and certificate.py load this by its path.

What is not listed has the same name on both sides.
"""

SCHNETPACK = {
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

PYG = {
    ".mlp.": ".filter.",
    ".conv.lin1.": ".dense_in.",
    ".conv.lin2.": ".dense_out.0.",
    ".lin.": ".dense_out.2.",
    "lin1.": "readout.hidden.0.",
    "lin2.": "readout.linear.scalars.",
}

FIXTURES = {  # file under tests/fixtures: (model, its arguments, whose names)
    "schnetpack_schnet": ("SchNet", {}, SCHNETPACK),
    "schnetpack_painn_gaussian": ("PaiNN", {"radial": "gaussian"}, SCHNETPACK),
    "schnetpack_painn_bessel": ("PaiNN", {}, SCHNETPACK),
    "pyg_schnet": ("SchNet", {}, PYG),
}


def ours(name: str, table: dict[str, str]) -> str:
    """Our name of the parameter that the reference calls ``name``."""
    for theirs, our in table.items():
        name = name.replace(theirs, our)
    return name


def renamed(weights: dict, table: dict[str, str]) -> dict:
    """``weights`` under our names, ready for ``model.load_state_dict``."""
    return {ours(name, table): value for name, value in weights.items()}
