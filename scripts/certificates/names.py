"""What each fixture is compared with: (peer, model, its arguments). Names of parameters are in `molzoo.convert`."""

ELEMENTS = [1, 6, 8, 14, 16]
NEQUIP = {"elements": ELEMENTS, "avg_n_neighbours": 17.0}
TUTORIAL = NEQUIP | {"n_layers": 4, "channels": 32, "parity": True, "radial_widths": [64, 64]}
PRESET = NEQUIP | {"n_attributes": 32, "radial_widths": [128]}

FIXTURES = {  # file under tests/fixtures: (peer, model, its arguments)
    "schnetpack_schnet": ("schnetpack", "SchNet", {}),
    "schnetpack_painn_gaussian": ("schnetpack", "PaiNN", {"radial": "gaussian"}),
    "schnetpack_painn_bessel": ("schnetpack", "PaiNN", {}),
    "pyg_schnet": ("pyg", "SchNet", {}),
    "pyg_dimenet": ("pyg", "DimeNet", {}),
    "pyg_dimenet_pp": ("pyg", "DimeNetPP", {}),
    "nequip_l1": ("nequip", "NequIP", TUTORIAL | {"l_max": 1}),
    "nequip_l2": ("nequip", "NequIP", TUTORIAL | {"l_max": 2}),
    "nequip_preset_s": ("nequip", "NequIP", PRESET | {"n_layers": 2, "l_max": 1, "channels": [128, 64]}),
    "nequip_preset_m": ("nequip", "NequIP", PRESET | {"n_layers": 4, "l_max": 2, "channels": [128, 64, 32]}),
    "nequip_preset_l": ("nequip", "NequIP", PRESET | {"n_layers": 6, "l_max": 3, "channels": [128, 64, 32, 32]}),
}
