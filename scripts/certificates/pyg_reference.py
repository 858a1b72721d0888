"""Energies and forces of PyG's SchNet, as a fixture for the parity tests.

128 channels and filters, 6 interactions, 50 Gaussians, cutoff 5 Å, on the molecules of the
SchNetPack fixture, which is made first. README.md says how to run this.
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from reference_weights import description, fill
from torch_geometric.nn.models import SchNet

FIXTURES = Path(__file__).resolve().parents[2] / "tests" / "fixtures"
CUTOFF = 5.0


class AllPairs(torch.nn.Module):
    """All pairs within the cutoff: PyG's own graph is capped and needs a compiled package."""

    def forward(self, pos, batch):
        """Return the edges and their lengths."""
        d = torch.cdist(pos.detach(), pos.detach(), compute_mode="donot_use_mm_for_euclid_dist")
        edge_index = ((d > 0) & (d < CUTOFF)).nonzero().T
        return edge_index, (pos[edge_index[0]] - pos[edge_index[1]]).norm(dim=-1)


def evaluate(model, z, pos):
    pos = torch.from_numpy(pos).requires_grad_()
    energy = model(torch.from_numpy(z), pos).sum()
    forces = -torch.autograd.grad(energy, pos)[0]
    return energy.item(), forces.numpy(), model.interaction_graph(pos, None)[0].shape[1]


def main():
    torch.set_default_dtype(torch.float64)  # or the Gaussians' constants are rounded to float32
    model = SchNet(128, 128, 6, 50, CUTOFF, interaction_graph=AllPairs()).eval()
    fill(model)

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
    assert arrays["n_parameters"] == 455_809, arrays["n_parameters"]
    np.savez_compressed(FIXTURES / "pyg_schnet.npz", **arrays)
    print("pyg_schnet", *energies)


if __name__ == "__main__":
    main()
