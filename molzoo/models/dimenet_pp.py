"""Fast and uncertainty-aware directional message passing for non-equilibrium molecules (DimeNet++).

J. Gasteiger, S. Giri, J. T. Margraf, S. Günnemann, Machine Learning for Molecules Workshop at NeurIPS 2020,
https://arxiv.org/abs/2011.14115.

New in it: DimeNet's bilinear layer becomes a product of channels, taken where messages are narrow. Features of directed edges
flow: from the elements and the distance of both ends, through what arrives at the sender, each neighbour under its angle, to
a readout of each atom after every layer.

Here no triplet is ever made. What a neighbour k sends is linear in the Legendre polynomials of the angle, and by the addition
theorem P_l(cos α) is a scalar product of harmonics of two directions, so the sum over k is taken once for each atom j:

    Σ_k Σ_l P_l(u_kj · u_ji) a_kj[l] x_kj = Σ_lm Y_lm(u_ji) B_j[lm] ,    B_j[lm] = Σ_k Y_lm(u_kj) a_kj[l] x_kj .
"""

import math
from typing import Any, NamedTuple

import torch
from torch import nn

from molzoo.graph import connect, geometry, reverse_edges
from molzoo.kernels import cat
from molzoo.models.interface import AtomisticModel
from molzoo.nn import (
    Convolution,
    EdgeEmbedding,
    Edges,
    EdgesToAtoms,
    Envelope,
    EnvelopeName,
    LayerwiseReadout,
    LearnedBesselBasis,
    ResidualLayer,
    SiLU,
    SphericalBesselBasis,
    orthogonal_dense,
)
from molzoo.o3 import Irreps, spherical_harmonics
from molzoo.shapes import Float, Tensor

N_BEFORE, N_AFTER, N_OUTPUT = 1, 2, 3
"""Residual layers before and after the skip connection, and dense layers of a readout, as published."""

GAIN = 0.1
"""Of the first weights that meet the angular basis, whose values reach 40 between bonded atoms."""


class Directions(NamedTuple):
    """Harmonics of each edge's direction, and where messages run: edges → atoms → edges, and from each edge to its reverse."""

    Y: Float[Tensor, "E harmonics"]
    arriving: Edges
    leaving: Edges
    back: Edges


class HarmonicTripletSum(nn.Module):
    """y_ji = Σ_{k≠i} Σ_ln √((2l+1)/4π) P_l(u_kj · u_ji) R_ln(d_kj) W[ln] ∘ x_kj with W = W₂ W₁, by the theorem above.

    The neighbour k = i, of which u_ij · u_ji = −1, is taken out at the end.
    """

    def __init__(self, channels: int, n_basis: int, n_spherical: int, n_radial: int) -> None:
        super().__init__()
        C, degrees = channels, range(n_spherical)
        self.W1 = orthogonal_dense(n_spherical * n_radial, n_basis, bias=False, gain=GAIN)
        self.W2 = orthogonal_dense(n_basis, C, bias=False)
        harmonics = Irreps([(C, (l, (-1) ** l)) for l in degrees])
        self.to_atoms = Convolution(f"{C}x0e", [(0, l, l) for l in degrees], harmonics)
        self.to_edges = Convolution(harmonics, [(l, l, 0) for l in degrees], f"{C}x0e")
        self.to_reverse = Convolution(f"{C}x0e", [(0, 0, 0)], f"{C}x0e")
        self.norms = [math.sqrt(2 * l + 1) for l in degrees]  # |Y_l|

    def forward(
        self, x: Float[Tensor, "E C"], R: Float[Tensor, "n_spherical P n_radial"], directions: Directions
    ) -> Float[Tensor, "E C"]:
        """The sum for each edge."""
        Y, arriving, leaving, back = directions
        W = (self.W2.weight @ self.W1.weight).view(x.shape[1], len(R), -1)  # (C, l, n)
        a = (R @ W.permute(1, 2, 0)).transpose(0, 1) / math.sqrt(4 * math.pi)  # (P, l, C)
        w = a.flatten(1)
        y = self.to_edges(self.to_atoms(x, Y, w, arriving), Y, torch.ones_like(w[:1]), leaving)
        signs = w.new_tensor([-norm if l % 2 else norm for l, norm in enumerate(self.norms)])
        return y - self.to_reverse(x, torch.ones_like(Y[: len(back.src), :1]), signs @ a, back)


class Interaction(nn.Module):
    """New m_ji from old ones (figure 1 of the paper; DimeNet, figure 4).

    x_ji = σ(W_ji m_ji),  x_kj = σ(W_down (σ(W_kj m_kj) ∘ W_e e(d_kj))),
    m_ji ← residual(m_ji + σ(W residual(x_ji + σ(W_up sum of triplets(x_kj))))).
    """

    def __init__(self, channels: int, triplet_channels: int, n_basis: int, n_spherical: int, n_radial: int) -> None:
        super().__init__()
        C = channels
        self.activation = SiLU()
        self.radial = nn.Sequential(orthogonal_dense(n_radial, n_basis, bias=False), orthogonal_dense(n_basis, C, bias=False))
        self.dense_kj, self.dense_ji, self.dense = (orthogonal_dense(C, C) for _ in range(3))
        self.down = orthogonal_dense(C, triplet_channels, bias=False)
        self.triplets = HarmonicTripletSum(triplet_channels, n_basis, n_spherical, n_radial)
        self.up = orthogonal_dense(triplet_channels, C, bias=False)
        self.before, self.after = (
            nn.Sequential(*(ResidualLayer(C, self.activation) for _ in range(n))) for n in (N_BEFORE, N_AFTER)
        )

    def forward(
        self,
        m: Float[Tensor, "E C"],
        e: Float[Tensor, "P n_radial"],
        R: Float[Tensor, "n_spherical P n_radial"],
        directions: Directions,
    ) -> Float[Tensor, "E C"]:
        """The new features."""
        sigma, pair = self.activation, directions.arriving.w_row
        x_kj = sigma(self.dense_kj(m)) * self.radial(e).index_select(0, pair)
        y = self.up(self.triplets(sigma(self.down(x_kj)), R, directions))
        h = self.before(sigma(self.dense_ji(m)) + sigma(y))
        return self.after(sigma(self.dense(h)) + m)


def hidden(channels: int, out_channels: int) -> nn.Sequential:
    """σ(W₃ σ(W₂ σ(W₁ W_up h))), what is read of one layer before the last linear map."""
    up = orthogonal_dense(channels, out_channels, bias=False)
    dense = ((orthogonal_dense(out_channels, out_channels), SiLU()) for _ in range(N_OUTPUT))
    return nn.Sequential(up, *(layer for pair in dense for layer in pair))


class DimeNetPP(AtomisticModel):
    """m⁰_ji = embedding of Z_i, Z_j and d_ji; n_layers interactions; h^t_i = Σ_j W_t e(d_ji) ∘ m^t_ji; readout of all h^t_i.

    e_n(d) = f(d) sin(k_n d/r_c) r_c/d and R_ln(d) = f(d) N_ln j_l(z_ln d/r_c) r_c/d, with the envelope f and learned k_n.

    Args:
        channels: width of an edge's features.
        n_layers: number of interactions.
        triplet_channels: width of what is summed over neighbours of the sender.
        basis_channels: rank of the maps from radial and angular functions to channels.
        out_channels: width of the readouts.
        n_spherical: number of Legendre polynomials.
        n_radial: number of radial functions, of each degree.
        cutoff: radius in Å.
        envelope: how neighbours fade at the cutoff; ``cosine`` is C¹, ``polynomial`` C².
        irreps_out: scalars to give for each atom.

    Differs from the paper: as in its published code and weights, the angle is that between the directions k→j and j→i, which is
    π less the paper's ∠kji; R_ln is divided by d/r_c, the envelope of e_n being that of R_ln too; the radial basis of an
    edge's embedding passes through an activation.

    Reference numbers: QM9 U0 6.32 meV, HOMO 24.6 meV, mu 0.0297 D (paper, 110k molecules). Parameters at the
    defaults: 1,885,830.
    """

    def __init__(
        self,
        *,
        channels: int = 128,
        n_layers: int = 4,
        triplet_channels: int = 64,
        basis_channels: int = 8,
        out_channels: int = 256,
        n_spherical: int = 7,
        n_radial: int = 6,
        cutoff: float = 5.0,
        envelope: EnvelopeName = "polynomial",
        irreps_out: str = "0e",
    ) -> None:
        super().__init__(cutoff, irreps_out)
        self.embedding = nn.Embedding(95, channels)
        self.radial = LearnedBesselBasis(n_radial)
        self.spherical = SphericalBesselBasis(n_spherical, n_radial)
        self.envelope = Envelope(envelope, cutoff)
        self.edge_embedding = EdgeEmbedding(channels, n_radial, SiLU())
        self.interactions = nn.ModuleList(
            Interaction(channels, triplet_channels, basis_channels, n_spherical, n_radial) for _ in range(n_layers)
        )
        self.to_atoms = nn.ModuleList(EdgesToAtoms(channels, n_radial) for _ in range(n_layers + 1))
        self.readout = LayerwiseReadout(
            (hidden(channels, out_channels) for _ in range(n_layers + 1)), channels, out_channels, self.irreps_out
        )

    def features(self, graph: Any) -> Float[Tensor, "N features"]:
        """h^t of each atom, one layer after the other."""
        graph = connect(graph, self.cutoff)
        d, u = geometry(graph, graph.pos.dtype)  # harmonics of high degree amplify rounding as distances do
        x = d / self.cutoff
        f = self.envelope(d) / torch.where(x == 0, 1.0, x)  # atoms that coincide have finite numbers too
        e = (f[:, None] * self.radial(x)).to(self.dtype)
        R = (f[:, None, None] * self.spherical(x)).to(self.dtype).transpose(0, 1).contiguous()
        directions = self._directions(graph, u)
        j, i = graph.edge_index
        edges = Edges(j, i, len(graph.z), graph.pair_index)
        m = [self.edge_embedding(self.embedding(graph.z), e, edges)]
        for interaction in self.interactions:
            m.append(interaction(m[-1], e, R, directions))
        layers = zip(self.to_atoms, m, strict=True)
        return cat([to_atoms(m_t, e, directions.arriving) for to_atoms, m_t in layers])

    def _directions(self, graph: Any, u: Float[Tensor, "E 3"]) -> Directions:
        j, i = graph.edge_index
        pair = graph.pair_index
        edge, reverse = torch.arange(len(j), device=j.device), reverse_edges(graph)
        there = reverse != edge
        Y = spherical_harmonics(range(self.spherical.shape[0]), u, normalize=False, normalization="component")
        return Directions(
            Y.to(self.dtype),
            arriving=Edges(edge, i, len(graph.z), pair),
            leaving=Edges(j, edge, len(j), torch.zeros_like(j)),
            back=Edges(reverse[there], edge[there], len(j), pair[there]),
        )
