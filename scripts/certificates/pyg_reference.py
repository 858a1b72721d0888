"""Energies and forces of PyG's SchNet, DimeNet and DimeNet++, as fixtures for the parity tests.

SchNet: 128 channels and filters, 6 interactions, 50 Gaussians. DimeNet and DimeNet++: as published. Cutoff 5 Å, on the
molecules of the SchNetPack fixture, which is made first: PyG takes no periodic cells. README.md says how to run this.
"""

import json
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from reference_weights import description, fill
from scipy.optimize import brentq
from scipy.special import spherical_jn
from torch_geometric.nn.models import DimeNet, DimeNetPlusPlus, SchNet, dimenet, dimenet_utils

FIXTURES = Path(__file__).resolve().parents[2] / "tests" / "fixtures"
CUTOFF = 5.0


def all_pairs(pos):
    """Edges within the cutoff: PyG's own graph is capped and needs a compiled package."""
    d = torch.cdist(pos.detach(), pos.detach(), compute_mode="donot_use_mm_for_euclid_dist")
    return ((d > 0) & (d < CUTOFF)).nonzero().T


class AllPairs(torch.nn.Module):
    """The graph of SchNet."""

    def forward(self, pos, batch):
        """Return the edges and their lengths."""
        edge_index = all_pairs(pos)
        return edge_index, (pos[edge_index[0]] - pos[edge_index[1]]).norm(dim=-1)


def triplets(edge_index, num_nodes):
    """List what PyG's function of this name does, which needs a compiled package."""
    j, i = edge_index
    ji, kj = ((j[:, None] == i) & (i[:, None] != j)).nonzero().T
    return i, j, i[ji], j[ji], j[kj], kj, ji


def zeros(n, k):
    """List the zeros of spherical Bessel functions; PyG's function of this name rounds them to float32."""
    rows = [np.pi * np.arange(1, n + k)]
    for order in range(1, n):
        between = pairwise(rows[-1])
        rows.append([brentq(lambda t, o=order: spherical_jn(o, t), *ends, xtol=1e-15, rtol=1e-15) for ends in between])
    return np.array([row[:k] for row in rows])


def evaluate(model, z, pos):
    pos = torch.from_numpy(pos).requires_grad_()
    energy = model(torch.from_numpy(z), pos).sum()
    forces = -torch.autograd.grad(energy, pos)[0]
    return energy.item(), forces.numpy(), all_pairs(pos).shape[1]


def write(name, model, n_parameters):
    fill(model.eval())
    given = np.load(FIXTURES / "schnetpack_schnet.npz")
    molecules = np.flatnonzero(~given["pbc"].any(axis=1))
    atoms = [slice(*given["ptr"][i : i + 2]) for i in molecules]
    results = [evaluate(model, given["z"][a], given["pos"][a]) for a in atoms]
    energies, forces, n_edges = zip(*results, strict=True)
    arrays = {
        "z": np.concatenate([given["z"][a] for a in atoms]),
        "pos": np.concatenate([given["pos"][a] for a in atoms]),
        "cell": given["cell"][molecules],
        "pbc": given["pbc"][molecules],
        "ptr": np.cumsum([0] + [len(f) for f in forces]),
        "energies": np.array(energies),
        "forces": np.concatenate(forces),
        "n_edges": np.array(n_edges),
        "versions": json.dumps({p: version(p) for p in ("torch-geometric", "torch", "numpy")}),
        **description(model),
    }
    assert arrays["n_parameters"] == n_parameters, arrays["n_parameters"]
    np.savez_compressed(FIXTURES / f"{name}.npz", **arrays)
    print(name, *energies)


def main():
    torch.set_default_dtype(torch.float64)  # or the Gaussians' constants are rounded to float32
    dimenet.radius_graph = lambda pos, **_: all_pairs(pos)
    dimenet.triplets = triplets
    dimenet_utils.Jn_zeros = zeros
    write("pyg_schnet", SchNet(128, 128, 6, 50, CUTOFF, interaction_graph=AllPairs()), 455_809)
    write("pyg_dimenet", DimeNet(128, 1, 6, 8, 7, 6, CUTOFF), 2_100_070)
    write("pyg_dimenet_pp", DimeNetPlusPlus(128, 1, 4, 64, 8, 256, 7, 6, CUTOFF), 1_885_830)


if __name__ == "__main__":
    main()
