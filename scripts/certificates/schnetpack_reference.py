"""Energies and forces of SchNetPack's SchNet and PaiNN, as fixtures for the parity tests.

Both have 128 features and the cosine cutoff at 5 Å. SchNet: 6 interactions, 50 Gaussians, shifted
softplus in the readout too, where SchNetPack's default is SiLU. PaiNN: 3 interactions, 20 Gaussians
or 20 Bessel functions, SiLU. README.md says how to run this.
"""

# ruff: noqa: E402 (SchNetPack can only be imported after the repair below)

import itertools
import json
import typing
from importlib.metadata import version
from pathlib import Path

import ase.build
import numpy as np
import torch
import torch.utils.data.dataloader as dataloader
from reference_weights import description, fill

# SchNetPack 2.1.1 imports this name for an annotation; torch 2.13 no longer has it.
dataloader.T_co = typing.TypeVar("T_co", covariant=True)

from schnetpack import properties
from schnetpack.atomistic import Atomwise, Forces, PairwiseDistances
from schnetpack.model import NeuralNetworkPotential
from schnetpack.nn import BesselRBF, CosineCutoff, GaussianRBF, shifted_softplus
from schnetpack.representation import PaiNN, SchNet

FIXTURES = Path(__file__).resolve().parents[2] / "tests" / "fixtures"
CUTOFF = 5.0


def structures():
    """Build three molecules and a periodic cell shorter than the cutoff: atoms see their images.

    In the rattled benzene three H–H pairs lie just beyond the cutoff.
    """
    atoms = [ase.build.molecule(name) for name in ("CH3CH2OH", "C6H6", "CH3SH")]
    atoms.append(ase.build.bulk("SiC", "zincblende", a=4.36, cubic=True))
    for seed, a in enumerate(atoms):
        a.rattle(stdev=0.05, seed=seed)
    return atoms


def edges(atoms):
    """Find i, j, S·cell of all pairs with |r_j + S·cell − r_i| < CUTOFF; here |S| ≤ 2 suffices."""
    reach = [range(-2, 3) if periodic else (0,) for periodic in atoms.pbc]
    offsets = np.array(list(itertools.product(*reach)), dtype=float) @ atoms.cell.array
    r = atoms.positions[None, None] + offsets[:, None, None] - atoms.positions[:, None]
    d = np.linalg.norm(r, axis=-1)
    s, i, j = np.nonzero((d > 0) & (d < CUTOFF))
    return i, j, offsets[s]


def gaussians(n):
    """Make the Gaussians with float64 constants; their constructor can only make float32 ones."""
    torch.set_default_dtype(torch.float32)
    basis = GaussianRBF(n, CUTOFF)
    torch.set_default_dtype(torch.float64)
    basis.offsets = torch.linspace(0.0, CUTOFF, n)
    basis.widths = torch.full((n,), CUTOFF / (n - 1))
    return basis


def potential(representation, **readout):
    model = NeuralNetworkPotential(
        representation=representation,
        input_modules=[PairwiseDistances()],
        output_modules=[Atomwise(n_in=128, output_key="energy", **readout), Forces()],
    )
    fill(model)
    return model.double().eval()  # CosineCutoff stores float32 whatever the default; 5.0 is exact


def schnet():
    representation = SchNet(128, 6, gaussians(50), CosineCutoff(CUTOFF))
    return potential(representation, activation=shifted_softplus)


def painn(basis):
    return potential(PaiNN(128, 3, basis, CosineCutoff(CUTOFF)))


def evaluate(model, atoms):
    i, j, offsets = edges(atoms)
    results = model(
        {
            properties.Z: torch.from_numpy(atoms.numbers),
            properties.R: torch.from_numpy(atoms.positions.copy()),
            properties.idx_i: torch.from_numpy(i),
            properties.idx_j: torch.from_numpy(j),
            properties.offsets: torch.from_numpy(offsets),
            properties.idx_m: torch.zeros(len(atoms), dtype=torch.long),
        }
    )
    return results["energy"].item(), results["forces"].numpy(), len(i)


def save(name, model, n_parameters):
    atoms = structures()
    energies, forces, n_edges = zip(*(evaluate(model, a) for a in atoms), strict=True)
    arrays = {
        "z": np.concatenate([a.numbers for a in atoms]),
        "pos": np.concatenate([a.positions for a in atoms]),
        "cell": np.stack([a.cell.array for a in atoms]),
        "pbc": np.stack([a.pbc for a in atoms]),
        "ptr": np.cumsum([0] + [len(a) for a in atoms]),
        "energies": np.array(energies),
        "forces": np.concatenate(forces),
        "n_edges": np.array(n_edges),
        "versions": json.dumps({p: version(p) for p in ("schnetpack", "torch", "numpy", "ase")}),
        **description(model),
    }
    assert arrays["n_parameters"] == n_parameters, arrays["n_parameters"]
    np.savez_compressed(FIXTURES / f"{name}.npz", **arrays)
    print(name, *energies)


def main():
    # Also while evaluating: PaiNN makes its first vectors in the default dtype.
    torch.set_default_dtype(torch.float64)
    save("schnetpack_schnet", schnet(), 455_809)
    save("schnetpack_painn_gaussian", painn(gaussians(20)), 589_057)
    save("schnetpack_painn_bessel", painn(BesselRBF(20, CUTOFF)), 589_057)


if __name__ == "__main__":
    main()
