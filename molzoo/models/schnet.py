"""SchNet: a continuous-filter convolutional neural network for modeling quantum interactions.

K. T. Schütt et al., NeurIPS 2017 and J. Chem. Phys. 148, 241722 (2018), https://arxiv.org/abs/1706.08566.

New in it: the filter of a convolution is a function of the distance, so that atoms need not lie on a grid. Scalars flow: from
the element's embedding, through residual interactions with the neighbours, to the readout.
"""

from collections.abc import Iterator
from typing import Any

from torch import nn

from molzoo.graph import connect, distances
from molzoo.models.interface import AtomisticModel
from molzoo.nn import (
    EVERY_LAYER,
    Convolution,
    DeferredWeights,
    Edges,
    Envelope,
    EnvelopeName,
    RadialName,
    RadialTable,
    ScalarReadout,
    ShiftedSoftplus,
    dense,
    mlp,
    radial_basis,
)
from molzoo.shapes import Float, Tensor


class Interaction(nn.Module):
    """v_i = W₃ σ(W₂ Σ_j (W₁ x_j) ∘ W(d_ij)): dense, convolution, dense, σ, dense (figure 2, middle).

    The filter W(d) = f(d) · MLP(e(d)) has two dense layers with σ between them, and the envelope f.
    """

    def __init__(self, channels: int, n_filters: int, n_radial: int) -> None:
        super().__init__()
        sigma = ShiftedSoftplus()
        self.filter = mlp(n_radial, n_filters, n_filters, activation=sigma)
        self.dense_in = dense(channels, n_filters, bias=False)
        self.convolution = Convolution(f"{n_filters}x0e", [(0, 0, 0)], f"{n_filters}x0e")
        self.dense_out = mlp(n_filters, channels, channels, activation=sigma)

    def forward(
        self,
        x: Float[Tensor, "N C"],
        W: Float[Tensor, "P n_filters"] | DeferredWeights,
        f: Float[Tensor, "E 1"],
        edges: Edges,
    ) -> Float[Tensor, "N C"]:
        """The change of each atom's features; f stands in the place of harmonics."""
        return self.dense_out(self.convolution(self.dense_in(x), f, W, edges))


class SchNet(AtomisticModel):
    """x⁰_i = embedding of Z_i; x^{t+1}_i = x^t_i + v^t_i; readout of x^T_i.

    Args:
        channels: width of the features.
        n_layers: number T of interactions.
        n_filters: width of the filters.
        n_radial: number of radial functions.
        cutoff: radius in Å.
        radial: radial basis.
        envelope: how neighbours fade at the cutoff; ``cosine`` is C¹, ``polynomial`` C².
        radial_knots: knots of a table of the radial functions; 0 for none (:class:`~molzoo.nn.RadialTable`).
        irreps_out: scalars to give for each atom.

    Differs from the paper: filters are multiplied by an envelope (the paper has none; both reference implementations have the
    cosine), and the Gaussians end at the cutoff (the paper's reach 30 Å).

    Reference numbers: QM9 U0 0.014 eV, mu 0.033 D (paper, table 1, 110k molecules); MD17 ethanol, 1,000 frames with forces:
    energy 0.08 kcal/mol, forces 0.39 kcal/mol/Å (paper, table 2). Parameters at the defaults: 455,809.
    """

    def __init__(
        self,
        *,
        channels: int = 128,
        n_layers: int = 6,
        n_filters: int = 128,
        n_radial: int = 50,
        cutoff: float = 5.0,
        radial: RadialName = "gaussian",
        envelope: EnvelopeName = "cosine",
        radial_knots: int = 0,
        irreps_out: str = "0e",
    ) -> None:
        super().__init__(cutoff, irreps_out)
        self.table = RadialTable(radial_knots, cutoff)
        self.embedding = nn.Embedding(100, channels)
        self.radial = radial_basis(radial, n_radial, cutoff)
        self.envelope = Envelope(envelope, cutoff)
        self.interactions = nn.ModuleList(Interaction(channels, n_filters, n_radial) for _ in range(n_layers))
        self.readout = ScalarReadout(channels, self.irreps_out, ShiftedSoftplus())

    def radial_weights(
        self, d: Float[Tensor, " P"], clamp: bool = True, layers: slice = EVERY_LAYER
    ) -> Iterator[Float[Tensor, "P n_filters"]]:
        """W(d)/f(d) of each interaction, or of some; smooth everywhere, so that there is nothing to clamp."""
        e = self.radial(d, self.dtype)
        return (interaction.get_submodule("filter")(e) for interaction in list(self.interactions)[layers])

    def features(self, graph: Any) -> Float[Tensor, "N C"]:
        """x^T of each atom."""
        graph = connect(graph, self.cutoff)
        d = distances(graph)
        src, dst = graph.edge_index
        edges = Edges(src, dst, len(graph.z), w_row=graph.pair_index)
        f = self.envelope(d).to(self.dtype)[:, None].index_select(0, graph.pair_index)
        x = self.embedding(graph.z)
        for interaction, W in zip(self.interactions, self.table(self.radial_weights, d), strict=True):
            x = x + interaction(x, W, f, edges)
        return x
