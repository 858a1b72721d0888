"""The side of `worker.py` of PyTorch Geometric's own SchNet and DimeNet++, with the edges that were given."""

import torch
import torch_geometric
from torch_geometric.nn.models import DimeNetPlusPlus, SchNet, dimenet

VERSIONS = {"torch-geometric": torch_geometric.__version__, "torch": torch.__version__}


class Given(torch.nn.Module):
    """Edges in the place of PyG's search, which caps their number and needs a compiled package."""

    def forward(self, pos: torch.Tensor, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Edges and their lengths."""
        j, i = self.edge_index
        return self.edge_index, (pos[j] + self.offsets - pos[i]).norm(dim=-1)


class Potential(torch.nn.Module):
    """A model of energies with its forces."""

    def __init__(self, model: str) -> None:
        super().__init__()
        self.given = Given()
        if model == "SchNet":
            self.energy = SchNet(128, 128, 6, 50, cutoff=5.0, interaction_graph=self.given)
        else:
            sizes = {"int_emb_size": 64, "basis_emb_size": 8, "out_emb_channels": 256, "num_spherical": 7, "num_radial": 6}
            self.energy = DimeNetPlusPlus(hidden_channels=128, out_channels=1, num_blocks=4, cutoff=5.0, **sizes)
            dimenet.radius_graph = lambda pos, **_: self.given.edge_index
            dimenet.triplets = triplets

    def forward(self, z: torch.Tensor, pos: torch.Tensor, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Energies and forces."""
        pos = pos.detach().requires_grad_()
        energy = self.energy(z, pos, batch)
        (gradient,) = torch.autograd.grad(energy.sum(), pos, create_graph=self.training)
        return energy[:, 0], -gradient


def triplets(edge_index: torch.Tensor, num_nodes: int) -> tuple[torch.Tensor, ...]:
    """Triplets k → j → i for edges sorted by receiver: what PyG's function gives, which needs a compiled package."""
    j, i = edge_index
    n_arriving = torch.bincount(i, minlength=num_nodes)
    first = n_arriving.cumsum(0) - n_arriving
    n = n_arriving[j]
    ji = torch.arange(len(i)).repeat_interleave(n)
    kj = torch.arange(len(ji)) + (first[j] - n.cumsum(0) + n).repeat_interleave(n)
    open_ = j[kj] != i[ji]
    ji, kj = ji[open_], kj[open_]
    return i, j, i[ji], j[ji], j[kj], kj, ji


def make(model: str, mode: str) -> Potential:
    """SchNet or DimeNet++."""
    assert not mode, f"PyG is timed as it is, not {mode}"
    return Potential(model)


def parameters(model: Potential) -> dict[str, torch.Tensor]:
    """Under PyG's names."""
    return dict(model.energy.named_parameters())


def inputs(arrays: dict[str, torch.Tensor], dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    """What the model takes, and what `Given` gives."""
    offsets = arrays["edge_shift"].to(arrays["cell"]) @ arrays["cell"]
    return {name: arrays[name] for name in ("z", "batch", "edge_index", "pbc")} | {
        "pos": arrays["pos"].to(dtype),
        "offsets": offsets.to(dtype),
    }


def exactly(model: Potential, arrays: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Energies and forces in float64: DimeNet++'s forces in float32 are good to 1e-4."""
    energy, forces = evaluate(model.double(), inputs(arrays, torch.float64))
    model.float()
    return energy.detach(), forces.detach()


def evaluate(model: Potential, given: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Energies and forces."""
    if given["pbc"].any() and isinstance(model.energy, DimeNetPlusPlus):
        raise ValueError("PyG's DimeNet++ knows no periodic cells")
    model.given.edge_index, model.given.offsets = given["edge_index"], given["offsets"]
    return model(given["z"], given["pos"], given["batch"])
