"""Equivariant message passing for the prediction of tensorial properties and molecular spectra.

K. T. Schütt, O. T. Unke, M. Gastegger, ICML 2021, https://arxiv.org/abs/2102.03150.

New in it: beside scalars s, atoms carry vectors v that turn with the molecule, so that directions travel along edges at the
cost of distances. Messages mix neighbours, updates mix the channels of one atom.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from molzoo.graph import connect, geometry
from molzoo.kernels import cat, linear
from molzoo.models.interface import AtomisticModel
from molzoo.nn import (
    EVERY_LAYER,
    Convolution,
    DeferredWeights,
    Edges,
    Envelope,
    EnvelopeName,
    Linear,
    RadialName,
    RadialTable,
    SiLU,
    dense,
    mlp,
    radial_basis,
)
from molzoo.o3 import Irreps
from molzoo.shapes import Float, Tensor

EPSILON = 1e-8
"""Å²-free constant under the root of ‖V v‖, which keeps its derivatives finite at v = 0, where every network starts."""


class Interaction(nn.Module):
    """The message (figure 2b, eqs. 7 and 8), one sum over neighbours along three paths.

    Δs_i = Σ_j φ_s(s_j) ∘ W_s(d_ij),
    Δv_i = Σ_j v_j ∘ φ_vv(s_j) ∘ W_vv(d_ij) + φ_vs(s_j) ∘ W_vs(d_ij) u_ij.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        C = channels
        self.phi = mlp(C, C, 3 * C, activation=SiLU())
        self.convolution = Convolution(
            f"{C}x0e + {C}x0e + {C}x1o",
            [(0, 0, 0), (1, 1, 1), (2, 0, 1)],  # φ_s → s, φ_vs u → v, φ_vv v → v
            f"{C}x0e + {C}x1o",
        )

    def forward(
        self,
        s: Float[Tensor, "N C"],
        v: Float[Tensor, "N 3 C"],
        W: Float[Tensor, "P weights"] | DeferredWeights,
        Y: Float[Tensor, "E 4"],
        edges: Edges,
    ) -> tuple[Float[Tensor, "N C"], Float[Tensor, "N 3 C"]]:
        """Features with the messages added."""
        C = s.shape[1]
        phi_s_vs, phi_vv = self.phi(s).split([2 * C, C], dim=1)
        x = cat([phi_s_vs, (phi_vv[:, None] * v).flatten(1)])
        ds, dv = self.convolution(x, Y, W, edges).split([C, 3 * C], dim=1)
        return s + ds, v + dv.view_as(v)


class Update(nn.Module):
    """Mixing within an atom (figure 2c, eqs. 9 and 10).

    Δs = a_ss + a_sv ⟨U v, V v⟩,  Δv = a_vv U v,  with a_ss, a_vv, a_sv = MLP(s, ‖V v‖).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.UV = dense(channels, 2 * channels, bias=False)
        self.a = mlp(2 * channels, channels, 3 * channels, activation=SiLU())

    def forward(
        self, s: Float[Tensor, "N C"], v: Float[Tensor, "N 3 C"]
    ) -> tuple[Float[Tensor, "N C"], Float[Tensor, "N 3 C"]]:
        """Features with the updates added."""
        Vv, Uv = self.UV(v).chunk(2, dim=-1)
        norm = (Vv.square().sum(1) + EPSILON).sqrt()
        a_ss, a_vv, a_sv = self.a(cat([s, norm])).chunk(3, dim=1)
        return s + a_ss + a_sv * (Uv * Vv).sum(1), v + a_vv[:, None] * Uv


class GatedBlock(nn.Module):
    """The gated equivariant block (figure 3): half as many vectors, each scaled by a number made of s and ‖V v‖."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.VW = dense(channels, channels + half, bias=False)
        self.gate = mlp(2 * channels, channels, half, activation=SiLU())

    def forward(self, s: Float[Tensor, "N C"], v: Float[Tensor, "N 3 C"]) -> Float[Tensor, "N 3 half"]:
        """The gated vectors."""
        C = s.shape[1]
        Vv, Wv = self.VW(v).split([C, C // 2], dim=-1)
        norm = (Vv.square().sum(1) + EPSILON).sqrt()
        return self.gate(cat([s, norm]))[:, None] * Wv


class Readout(nn.Module):
    """Scalars from an MLP of s; vectors, where they are asked for, from a gated block and a linear layer."""

    def __init__(self, channels: int, irreps_out: Irreps) -> None:
        super().__init__()
        self.channels = channels
        self.hidden = nn.Sequential(dense(channels, channels // 2), SiLU())
        self.hidden_vectors = GatedBlock(channels) if irreps_out.count("1o") else None
        self.linear = Linear(channels // 2, irreps_out)

    def forward(self, features: Float[Tensor, "N features"]) -> Float[Tensor, "N out"]:
        """Outputs of each atom."""
        s, v = features.split([self.channels, 3 * self.channels], dim=1)
        if self.hidden_vectors is None:
            return self.linear(self.hidden(s))
        v = v.view(len(v), self.channels, 3).mT
        return self.linear(self.hidden(s), self.hidden_vectors(s, v))


class Filters(nn.Module):
    """W(d) = f(d) · (A e(d) + b) for all layers, as the product [f e, f] [A, b]ᵀ.

    So f multiplies n_radial numbers for each pair, and not the n_layers · 3C that come out.
    """

    def __init__(self, n_radial: int, n_layers: int, width: int) -> None:
        super().__init__()
        self.n_layers = n_layers
        self.linear = dense(n_radial, n_layers * width)

    def forward(
        self, e: Float[Tensor, "P n_radial"], f: Float[Tensor, "P 1"], layers: slice
    ) -> Iterator[Float[Tensor, "P width"]]:
        """Weights of some layers, in the precision of the parameters."""
        A = torch.cat([self.linear.weight, self.linear.bias[:, None]], dim=1)
        fe = cat([f * e, f]).to(A)
        return (linear(fe, A_layer) for A_layer in A.chunk(self.n_layers)[layers])


class PaiNN(AtomisticModel):
    """s⁰_i = embedding of Z_i, v⁰_i = 0; n_layers times a message and an update; readout of s and v.

    All filters W(d) = f(d) · (A e(d) + b) are one linear map of the radial basis e, evaluated once for each pair; f is the
    envelope.

    Args:
        channels: number of scalars and of vectors of an atom.
        n_layers: number of message/update pairs.
        n_radial: number of radial functions.
        cutoff: radius in Å.
        radial: radial basis.
        envelope: how neighbours fade at the cutoff; ``cosine`` is C¹, ``polynomial`` C².
        radial_knots: knots of a table of the radial functions; 0 for none (:class:`~molzoo.nn.RadialTable`).
        irreps_out: 0e and 1o to give for each atom.

    Differs from the paper: vectors are read out by one gated block and a linear layer where the paper has two gated blocks; the
    scalars' readout does not change when vectors are asked for.

    Reference numbers: QM9 U0 5.85 meV, mu 0.012 D (paper, table 3, 110k molecules); MD17 ethanol, 950 frames: energy
    2.7 meV, forces 10.0 meV/Å (paper, table 2: 0.063 kcal/mol, 0.230 kcal/mol/Å). Parameters at the defaults: 589,057.
    """

    def __init__(
        self,
        *,
        channels: int = 128,
        n_layers: int = 3,
        n_radial: int = 20,
        cutoff: float = 5.0,
        radial: RadialName = "bessel",
        envelope: EnvelopeName = "cosine",
        radial_knots: int = 0,
        irreps_out: str = "0e",
    ) -> None:
        super().__init__(cutoff, irreps_out)
        self.table = RadialTable(radial_knots, cutoff)
        self.channels = channels
        self.embedding = nn.Embedding(100, channels)
        self.radial = radial_basis(radial, n_radial, cutoff)
        self.envelope = Envelope(envelope, cutoff)
        self.filters = Filters(n_radial, n_layers, 3 * channels)
        self.interactions = nn.ModuleList(Interaction(channels) for _ in range(n_layers))
        self.updates = nn.ModuleList(Update(channels) for _ in range(n_layers))
        self.readout = Readout(channels, self.irreps_out)

    def radial_weights(
        self, d: Float[Tensor, " P"], clamp: bool = True, layers: slice = EVERY_LAYER
    ) -> Iterator[Float[Tensor, "P width"]]:
        """W(d) of each layer, or of some."""
        return self.filters(self.radial(d), self.envelope(d, clamp)[:, None], layers)

    def features(self, graph: Any) -> Float[Tensor, "N features"]:
        """s, then v, of each atom."""
        graph = connect(graph, self.cutoff)
        d, u = geometry(graph, self.dtype)
        src, dst = graph.edge_index
        edges = Edges(src, dst, len(graph.z), w_row=graph.pair_index)
        Y = cat([torch.ones_like(u[:, :1]), u])  # (E, 4): degrees 0 and 1
        s = self.embedding(graph.z)
        v = s.new_zeros(len(s), 3, self.channels)
        for W, interaction, update in zip(self.table(self.radial_weights, d), self.interactions, self.updates, strict=True):
            s, v = update(*interaction(s, v, W, Y, edges))
        return cat([s, v.mT.flatten(1)])
