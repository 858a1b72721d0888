"""e3nn's side of `worker.py`: a tensor field network made of its parts, a product and weights for each edge."""

import math
from typing import NamedTuple

import e3nn
import torch
from e3nn.o3 import Irreps, Linear, TensorProduct, spherical_harmonics
from torch import Tensor, nn

VERSIONS = {"e3nn": e3nn.__version__, "torch": torch.__version__}
MODES = {"": "eager", "script": "script", "compiled": "inductor"}
CUTOFF, L_MAX, N_LAYERS, N_RADIAL, RADIAL_WIDTH, N_NEIGHBOURS = 5.0, 2, 3, 16, 32, 17.0
HIDDEN = Irreps("32x0e + 32x1o + 32x2e")
HARMONICS = Irreps.spherical_harmonics(L_MAX)


class Edges(NamedTuple):
    """What each edge j → i knows: its atoms, the radial basis, the envelope and the harmonics."""

    src: Tensor
    dst: Tensor
    e: Tensor
    f: Tensor
    Y: Tensor


class ShiftedSoftplus(nn.Module):
    """ln(½ eˣ + ½)."""

    def forward(self, x: Tensor) -> Tensor:
        """The activation, elementwise."""
        return nn.functional.softplus(x) - math.log(2.0)


class PointConvolution(nn.Module):
    """Σ_j w_ij · (V_j ⊗ Y_ij) along all paths to ``wanted`` irreps, sorted by those."""

    def __init__(self, irreps_in: Irreps, wanted: Irreps) -> None:
        super().__init__()
        ways = [(b, h, ir) for b, a in enumerate(irreps_in) for h, s in enumerate(HARMONICS) for ir in a.ir * s.ir]
        ways = [way for way in ways if way[2] in wanted]
        irreps_mid, place, _ = Irreps([(irreps_in[b].mul, ir) for b, _, ir in ways]).sort()
        paths = [(b, h, place[p], "uvu", True) for p, (b, h, _) in enumerate(ways)]
        self.irreps_out = irreps_mid.simplify()
        self.product = TensorProduct(irreps_in, HARMONICS, irreps_mid, paths, shared_weights=False, internal_weights=False)

    def forward(self, V: Tensor, w: Tensor, edges: Edges) -> Tensor:
        """The sum at each atom."""
        messages = self.product(V[edges.src], edges.Y, w)
        return messages.new_zeros(len(V), messages.shape[1]).index_add(0, edges.dst, messages)


class NormNonlinearity(nn.Module):
    """η(s) of scalars and η(‖V‖ + b) V of all else, in plain torch: e3nn's NormActivation refuses ``normalize=False``."""

    def __init__(self, irreps: Irreps) -> None:
        super().__init__()
        self.activation = ShiftedSoftplus()
        self.dims, self.copies = [term.dim for term in irreps], [term.mul for term in irreps[1:]]  # irreps cannot be compiled
        self.biases = nn.Parameter(torch.zeros(sum(self.copies))) if self.copies else None

    def forward(self, V: Tensor) -> Tensor:
        """The same irreps."""
        if self.biases is None:
            return self.activation(V)
        s, *blocks = V.split(self.dims, 1)
        tensors = [block.unflatten(1, (copies, -1)) for block, copies in zip(blocks, self.copies, strict=True)]
        norms = torch.cat([block.norm(dim=2) for block in tensors], 1)
        factors = self.activation(norms + self.biases).split(self.copies, 1)
        scaled = [(block * factor[..., None]).flatten(1) for block, factor in zip(tensors, factors, strict=True)]
        return torch.cat([self.activation(s), *scaled], 1)


class Layer(nn.Module):
    """Point convolution, concatenation, self-interaction and nonlinearity, as `molzoo.models.tfn` says."""

    def __init__(self, irreps_in: Irreps, irreps_out: Irreps) -> None:
        super().__init__()
        self.convolution = PointConvolution(irreps_in, irreps_out)
        n_weights = self.convolution.product.weight_numel
        self.radial = nn.Sequential(nn.Linear(N_RADIAL, RADIAL_WIDTH), ShiftedSoftplus(), nn.Linear(RADIAL_WIDTH, n_weights))
        self.self_interaction = Linear(self.convolution.irreps_out, irreps_out, biases=True)
        self.own = Linear(irreps_in, irreps_out)
        self.nonlinearity = NormNonlinearity(irreps_out)

    def forward(self, V: Tensor, edges: Edges) -> Tensor:
        """The next features of each atom."""
        summed = self.convolution(N_NEIGHBOURS**-0.5 * V, edges.f * self.radial(edges.e), edges)
        return self.nonlinearity(self.self_interaction(summed) + self.own(V))


class Network(nn.Module):
    """Energies of structures from positions."""

    def __init__(self) -> None:
        super().__init__()
        scalars = HIDDEN[:1]
        irreps = [scalars, *[HIDDEN] * (N_LAYERS - 1), scalars]
        self.embedding = nn.Embedding(3, scalars.dim)
        self.layers = nn.ModuleList(Layer(irreps[n], irreps[n + 1]) for n in range(N_LAYERS))
        self.readout = Linear(scalars, "0e", biases=True)

    def forward(self, pos: Tensor, given: dict[str, Tensor]) -> Tensor:
        """The sum of the atoms' outputs."""
        src, dst = given["edge_index"]
        r = pos[src] + given["offsets"] - pos[dst]
        d = r.norm(dim=1, keepdim=True)
        e = torch.exp(-0.5 * ((d - given["centres"]) * (N_RADIAL - 1) / CUTOFF).square())
        x = (d / CUTOFF).clamp(max=1.0)
        f = 1 - 28 * x**6 + 48 * x**7 - 21 * x**8
        edges = Edges(src, dst, e, f, spherical_harmonics(range(L_MAX + 1), r / d, False, "component"))
        V = self.embedding(given["types"])
        for layer in self.layers:
            V = layer(V, edges)
        return given["zeros"].index_add(0, given["batch"], self.readout(V)[:, 0])


def make(model: str, mode: str) -> Network:
    """TFN at molzoo's reference settings in one of e3nn's modes; compiled as a whole, it cannot be trained on forces."""
    e3nn.set_optimization_defaults(jit_mode=MODES[mode])
    network = Network()
    if mode == "compiled":
        network.compile(dynamic=True)
    return network


def parameters(model: Network) -> dict[str, Tensor]:
    """Under molzoo's names; layouts are the same, for all matrices are stored as e3nn's are."""
    found = {}
    for name, value in model.named_parameters():
        found[name.replace("nonlinearity.", "nonlinearity.tensors.").replace("embedding.", "embedding.embedding.")] = value
    return found


def inputs(arrays: dict[str, Tensor]) -> dict[str, Tensor]:
    """What the network takes."""
    types = torch.zeros(9, dtype=torch.long)
    types[[1, 6, 8]] = torch.arange(3)
    return {name: arrays[name] for name in ("batch", "edge_index")} | {
        "types": types[arrays["z"]],
        "pos": arrays["pos"].float(),
        "offsets": (arrays["edge_shift"].to(arrays["cell"]) @ arrays["cell"]).float(),
        "centres": torch.linspace(0, CUTOFF, N_RADIAL),
        "zeros": torch.zeros(len(arrays["energy"])),
    }


def evaluate(model: Network, given: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Energies and forces."""
    pos = given["pos"].detach().requires_grad_()
    energy = model(pos, given)
    (gradient,) = torch.autograd.grad(energy.sum(), pos, create_graph=model.training)
    return energy, -gradient
