"""Tiny networks of each peer, as it saves them, and what it predicts: for the tests of ``molzoo convert``.

    N/bin/python scripts/certificates/convert_fixtures.py nequip        (likewise S/bin/python … schnetpack, P/bin/python … pyg)

Each is made in the peer's own environment (README.md), in float32 and with offsets and scales, and written to
tests/fixtures/convert: a state dict, and three structures with energies and forces.
"""

import sys
import warnings
from pathlib import Path

import ase.build
import numpy as np
import torch
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from reference_weights import fill

FOLDER = Path(__file__).resolve().parents[2] / "tests" / "fixtures" / "convert"
SHIFTS = {"O": -2041.25, "H": -13.5, "C": -1029.75}
SCALES = {"O": 1.5, "H": 0.75, "C": 1.25}


def structures():
    """Three rattled molecules of H, C and O."""
    atoms = [ase.build.molecule(name) for name in ("CH3CH2OH", "H2O", "C6H6")]
    for seed, a in enumerate(atoms):
        a.rattle(stdev=0.05, seed=seed)
    return atoms


def save(name, model, evaluate):
    FOLDER.mkdir(exist_ok=True)
    torch.save(dict(model.state_dict()), FOLDER / f"{name}.pt")
    labelled = structures()
    for atoms in labelled:
        energy, forces = evaluate(model, atoms)[:2]
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
    write(FOLDER / f"{name}.extxyz", labelled)
    print(name, *(atoms.get_potential_energy() for atoms in labelled))


def nequip():
    import nequip_reference
    from ase.data import atomic_numbers
    from nequip.model import NequIPGNNModel
    from nequip.utils.global_state import set_global_state

    set_global_state()
    nequip_reference.ELEMENTS = [atomic_numbers[symbol] for symbol in SHIFTS]
    settings = {"num_layers": 2, "l_max": 1, "parity": False, "num_features": [6, 4], "type_embed_num_features": 5}
    model = NequIPGNNModel(
        seed=0,
        model_dtype="float32",
        r_max=5.0,
        type_names=list(SHIFTS),
        avg_num_neighbors=7.5,
        compile_mode="eager",
        num_bessels=4,
        radial_mlp_depth=2,
        radial_mlp_width=8,
        per_type_energy_scales=SCALES,
        per_type_energy_shifts=SHIFTS,
        **settings,
    )
    fill(model)
    save("nequip", model, nequip_reference.evaluate)


def schnetpack():
    import schnetpack_reference as reference
    from schnetpack.transform import AddOffsets, CastTo64, ScaleProperty

    table = torch.zeros(100)
    for symbol, energy in SHIFTS.items():
        table[ase.data.atomic_numbers[symbol]] = energy
    networks = {
        "schnetpack_schnet": reference.SchNet(4, 2, reference.GaussianRBF(6, 4.5), reference.CosineCutoff(4.5), n_filters=5),
        "schnetpack_painn": reference.PaiNN(4, 2, reference.BesselRBF(6, 5.0), reference.CosineCutoff(5.0)),
    }
    for name, representation in networks.items():
        activation = {"activation": reference.shifted_softplus} if name == "schnetpack_schnet" else {}
        offset = AddOffsets("energy", add_mean=True, add_atomrefs=True)
        offset.mean, offset.atomref = torch.tensor([-0.375]), table
        scaled = [ScaleProperty(key, scale=torch.tensor([1.75])) for key in ("energy", "forces")]
        model = reference.NeuralNetworkPotential(
            representation=representation,
            input_modules=[reference.PairwiseDistances()],
            output_modules=[reference.Atomwise(n_in=4, output_key="energy", **activation), reference.Forces()],
            postprocessors=[*scaled, CastTo64(), offset],
        )
        fill(model)
        model.eval()
        reference.CUTOFF = representation.cutoff.item()
        save(name, model, lambda model, atoms: evaluate_schnetpack(reference, model, atoms))


def evaluate_schnetpack(reference, model, atoms):
    i, j, offsets = reference.edges(atoms)
    p = reference.properties
    found = model(
        {
            p.Z: torch.from_numpy(atoms.numbers),
            p.R: torch.from_numpy(atoms.positions).float(),
            p.idx_i: torch.from_numpy(i),
            p.idx_j: torch.from_numpy(j),
            p.offsets: torch.from_numpy(offsets).float(),
            p.idx_m: torch.zeros(len(atoms), dtype=torch.long),
            p.n_atoms: torch.tensor([len(atoms)]),
        }
    )
    return found["energy"].item(), found["forces"].detach().numpy()


def pyg():
    import pyg_reference as reference

    table = torch.zeros(100, 1)
    for symbol, energy in SHIFTS.items():
        table[ase.data.atomic_numbers[symbol]] = energy
    model = reference.SchNet(
        4, 5, 2, 6, reference.CUTOFF, interaction_graph=reference.AllPairs(), mean=-0.375, std=1.75, atomref=table
    ).eval()
    fill(model)
    with torch.no_grad():
        model.atomref.weight.copy_(table)
    save("pyg", model, lambda m, atoms: reference.evaluate(m, atoms.numbers, np.asarray(atoms.positions, dtype=np.float32)))


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    {"nequip": nequip, "schnetpack": schnetpack, "pyg": pyg}[sys.argv[1]]()
