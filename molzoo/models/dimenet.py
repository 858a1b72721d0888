"""Directional message passing for molecular graphs (DimeNet).

J. Gasteiger, J. Groß, S. Günnemann, ICLR 2020, https://arxiv.org/abs/2003.03123.

New in it: messages know their direction. Features of directed edges flow: from the elements and the distance of both ends,
through what arrives at the sender, each neighbour by its distance and its angle in a basis of the Schrödinger equation, to a
readout of each atom after every layer.
"""

import math
from typing import Any, Literal, get_args

import torch
from torch import nn

from molzoo.graph import Triplets, connect, geometry, length_and_direction, triplets
from molzoo.kernels import cat, linear
from molzoo.models.interface import AtomisticModel
from molzoo.nn import (
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
    TripletSum,
    legendre,
    orthogonal_dense,
)
from molzoo.shapes import Float, Tensor

AngleName = Literal["jik", "kji"]

N_BEFORE, N_AFTER, N_OUTPUT = 1, 2, 3
"""Residual layers before and after the skip connection, and dense layers of a readout, as published."""

GAIN = 0.05
"""Of the first weights that meet the angular basis, whose values reach 40 between bonded atoms."""


class Interaction(nn.Module):
    """New m_ji from old ones (figure 4, eq. 9).

    x_ji = σ(W_ji m_ji),  x_kj = σ(W_kj m_kj) ∘ W_e e(d_kj),
    y_ji = Σ_{k≠i} x_kjᵀ W (W_a a(d_kj, α_kji)),  a_ln = √((2l+1)/4π) P_l(cos α) R_ln(d),
    m_ji ← residual(m_ji + σ(W residual(x_ji + y_ji))).
    """

    def __init__(self, channels: int, n_bilinear: int, n_spherical: int, n_radial: int) -> None:
        super().__init__()
        C = channels
        self.activation = SiLU()
        self.radial = orthogonal_dense(n_radial, C, bias=False)
        self.angular = orthogonal_dense(n_spherical * n_radial, n_bilinear, bias=False, gain=GAIN)
        self.dense_kj, self.dense_ji, self.dense = (orthogonal_dense(C, C) for _ in range(3))
        self.W = nn.Parameter(torch.randn(C, n_bilinear, C) / math.sqrt(16 * n_bilinear * C))  # 16: neighbours that are summed
        self.before, self.after = (
            nn.Sequential(*(ResidualLayer(C, self.activation) for _ in range(n))) for n in (N_BEFORE, N_AFTER)
        )

    def forward(
        self,
        m: Float[Tensor, "E C"],
        e: Float[Tensor, "P n_radial"],
        R: Float[Tensor, "n_spherical P n_radial"],
        P: Float[Tensor, "T n_spherical"],
        pair: Any,
        over: TripletSum,
    ) -> Float[Tensor, "E C"]:
        """The new features."""
        sigma = self.activation
        x_kj = sigma(self.dense_kj(m)) * self.radial(e).index_select(0, pair)
        a = R @ self.angular.weight.view(-1, *R.shape[::2]).permute(1, 2, 0)  # (l, P, B)
        s = over.angular(P, a.transpose(0, 1))  # (T, B)
        y = linear(over(x_kj, s), self.W.flatten(1))  # (E, B · C) → (E, C)
        h = self.before(sigma(self.dense_ji(m)) + y)
        return self.after(sigma(self.dense(h)) + m)


def hidden(channels: int) -> nn.Sequential:
    """σ(W₃ σ(W₂ σ(W₁ h))), what is read of one layer before the last linear map."""
    return nn.Sequential(*(layer for _ in range(N_OUTPUT) for layer in (orthogonal_dense(channels, channels), SiLU())))


class DimeNet(AtomisticModel):
    """m⁰_ji = embedding of Z_i, Z_j and d_ji; n_layers interactions; h^t_i = Σ_j W_t e(d_ji) ∘ m^t_ji; readout of all h^t_i.

    e_n(d) = f(d) sin(k_n d/r_c) r_c/d and R_ln(d) = f(d) N_ln j_l(z_ln d/r_c) r_c/d, with the envelope f and learned k_n.

    Args:
        channels: width of an edge's features.
        n_layers: number of interactions.
        n_bilinear: width of the bilinear layer.
        n_spherical: number of Legendre polynomials.
        n_radial: number of radial functions, of each degree.
        cutoff: radius in Å.
        angle: ``kji`` at j between k and i (paper), or ``jik`` at i between j and k (published code and weights).
        envelope: how neighbours fade at the cutoff; ``cosine`` is C¹, ``polynomial`` C².
        irreps_out: scalars to give for each atom.

    Differs from the paper: as in its published code and weights, α is the angle at i unless ``angle="kji"``; R_ln is divided
    by d/r_c, the envelope of e_n being that of R_ln too; the radial basis of an edge's embedding passes through an activation.

    Reference numbers: QM9 U0 8.02 meV, HOMO 27.8 meV, mu 0.0286 D (paper, table 1, 110k molecules); MD17 ethanol, 1,000
    frames: energy 2.8 meV, forces 10.0 meV/Å (paper, table 2). Parameters at the defaults: 2,100,070.
    """

    def __init__(
        self,
        *,
        channels: int = 128,
        n_layers: int = 6,
        n_bilinear: int = 8,
        n_spherical: int = 7,
        n_radial: int = 6,
        cutoff: float = 5.0,
        angle: AngleName = "jik",
        envelope: EnvelopeName = "polynomial",
        irreps_out: str = "0e",
    ) -> None:
        super().__init__(cutoff, irreps_out)
        if angle not in get_args(AngleName):
            raise ValueError(f"angle is 'kji' (at j, as in the paper) or 'jik' (at i, as published); got {angle!r}")
        self.angle = angle
        self.embedding = nn.Embedding(95, channels)
        self.radial = LearnedBesselBasis(n_radial)
        self.spherical = SphericalBesselBasis(n_spherical, n_radial)
        self.envelope = Envelope(envelope, cutoff)
        self.edge_embedding = EdgeEmbedding(channels, n_radial, SiLU())
        self.interactions = nn.ModuleList(Interaction(channels, n_bilinear, n_spherical, n_radial) for _ in range(n_layers))
        self.to_atoms = nn.ModuleList(EdgesToAtoms(channels, n_radial) for _ in range(n_layers + 1))
        self.readout = LayerwiseReadout((hidden(channels) for _ in range(n_layers + 1)), channels, channels, self.irreps_out)

    def features(self, graph: Any) -> Float[Tensor, "N features"]:
        """h^t of each atom, one layer after the other."""
        graph = connect(graph, self.cutoff)
        d, u = geometry(graph, graph.pos.dtype)  # angles amplify rounding as distances do
        x = d / self.cutoff
        f = self.envelope(d) / torch.where(x == 0, 1.0, x)  # atoms that coincide have finite numbers too
        e = (f[:, None] * self.radial(x)).to(self.dtype)
        R = (f[:, None, None] * self.spherical(x)).to(self.dtype).transpose(0, 1).contiguous()
        (j, i), pair, paths = graph.edge_index, graph.pair_index, triplets(graph)
        P = self._polynomials(d.index_select(0, pair)[:, None] * u, paths)
        over = TripletSum(*paths, pair)
        edges = Edges(j, i, len(graph.z), pair)
        m = [self.edge_embedding(self.embedding(graph.z), e, edges)]
        for interaction in self.interactions:
            m.append(interaction(m[-1], e, R, P, pair, over))
        arriving = Edges(torch.arange(len(pair), device=pair.device), i, len(graph.z), pair)
        return cat([to_atoms(m_t, e, arriving) for to_atoms, m_t in zip(self.to_atoms, m, strict=True)])

    def _polynomials(self, r: Float[Tensor, "E 3"], paths: Triplets) -> Float[Tensor, "T n_spherical"]:
        """√((2l+1)/4π) P_l of the angle of each triplet."""
        n = self.spherical.shape[0]
        ji, kj = r.index_select(0, paths.ji), r.index_select(0, paths.kj)
        one, other = (ji, ji + kj) if self.angle == "jik" else (-ji, kj)
        cos = (length_and_direction(one)[1] * length_and_direction(other)[1]).sum(1)
        norms = [math.sqrt((2 * l + 1) / (4 * math.pi)) for l in range(n)]
        return (legendre(cos, n) * r.new_tensor(norms)).to(self.dtype)
