"""E(3)-equivariant graph neural networks for data-efficient and accurate interatomic potentials (NequIP).

S. Batzner et al., Nat. Commun. 13, 2453 (2022), https://arxiv.org/abs/2101.03164.

New in it: atoms carry tensors of any degree l, and a message is the tensor product of a neighbour's tensors with the spherical
harmonics of the direction to it, weighted by a network of the distance. So angles and more enter a sum over neighbours.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from torch import nn

from molzoo.graph import connect, geometry
from molzoo.models.interface import AtomisticModel
from molzoo.nn import (
    EVERY_LAYER,
    Convolution,
    DeferredWeights,
    Edges,
    Element,
    ElementEmbedding,
    ElementLinear,
    Envelope,
    EnvelopeName,
    FullyConnectedNet,
    RadialName,
    RadialTable,
    couplings,
    features_up_to,
    gate,
    neighbour_norm,
    only,
    radial_basis,
    sparing,
)
from molzoo.o3 import Irreps, Linear, spherical_harmonics
from molzoo.o3.blocks import join, split
from molzoo.shapes import Float, Tensor


class Interaction(nn.Module):
    """x'_i = gate( W₂ (1/√n̄) Σ_j W(d_ij) (W₁ x_j ⊗ Y(u_ij)) + S(Z_i) x_i ) (figure 1d, eq. 8).

    W(d) is a network of the radial basis, one number for each path and channel; S(Z) the self-connection, a matrix for each
    element. The first layer has none, so that an atom without neighbours has no features.
    """

    def __init__(
        self,
        irreps_in: Irreps,
        irreps_out: Irreps,
        l_max: int,
        radial: Sequence[int],
        n_attributes: int,
        avg_n_neighbours: float,
    ) -> None:
        super().__init__()
        reached = couplings(irreps_in, l_max, irreps_out)[1]
        self.gate = gate(Irreps([term for term in irreps_out if term.ir in reached]))
        paths, irreps_mid = couplings(irreps_in, l_max, self.gate.irreps_in)
        self.linear_in = Linear(irreps_in, irreps_in, layout="ir_mul")
        self.convolution = Convolution(irreps_in, paths, irreps_mid, stack=True)
        self.radial = FullyConnectedNet([*radial, sum(self.convolution.channels)], nn.functional.silu)
        self.linear_out = Linear(irreps_mid, self.gate.irreps_in, layout="ir_mul")
        self.self_connection = ElementLinear(irreps_in, n_attributes, self.gate.irreps_in) if n_attributes else None
        self.norm = neighbour_norm(avg_n_neighbours)

    def forward(
        self,
        x: Float[Tensor, "N in"],
        element: Element,
        W: Float[Tensor, "P weights"] | DeferredWeights,
        Y: Float[Tensor, "E harmonics"],
        edges: Edges,
    ) -> Float[Tensor, "N out"]:
        """The next features of each atom, in the layout ir_mul."""
        message = self.linear_out(self.convolution(self.norm * self.linear_in(x), Y, W, edges))
        return self.gate(message if self.self_connection is None else message + self.self_connection(x, element))


class NequIP(AtomisticModel):
    """x⁰_i = attributes of Z_i, scalars; n_layers interactions; a linear readout of the last features.

    Radial basis: e_n(d) = (2/r_c) sin(nπd/r_c)/d · f(d) with the envelope f (eq. 6). The readout has no bias and the first
    layer no self-connection: an isolated atom has exactly its reference energy.

    Args:
        elements: atomic numbers to tell apart; in a training run those of the data.
        avg_n_neighbours: n̄, the average number of neighbours; in a training run that of the data.
        channels: copies of each irrep, one number or one for each degree 0 … l_max, e.g. ``[128, 64, 32]``.
        l_max: highest degree of features and harmonics; 0 makes an invariant network.
        parity: also features whose parity is not (−1)^l, such as pseudovectors: twice the cost, seldom better.
        n_layers: number of interactions.
        n_radial: number of radial functions.
        radial_widths: hidden widths of the radial networks.
        n_attributes: length of an element's attributes; by default channels of scalars.
        cutoff: radius in Å.
        radial: radial basis.
        envelope: how neighbours fade at the cutoff; ``polynomial`` is C², ``cosine`` C¹.
        radial_knots: knots of a table of the radial functions; 0 for none (:class:`~molzoo.nn.RadialTable`).
        irreps_out: what to give for each atom, up to l_max.

    Differs from the paper: as its present code (nequip 0.19), elements are embedded vectors instead of one-hot ones, the
    first layer has no self-connection, and one linear layer reads out instead of two.

    Reference numbers: rMD17 aspirin, 950 frames, l = 0 / 1 / 2 / 3: forces 42.2 / 12.6 / 8.5 / 8.2 meV/Å; ethanol
    11.9 / 6.5 / 3.5 / 2.8 meV/Å (paper, table of the dependence on l; 5 layers, 64 channels, both parities). Parameters with
    4 layers, 32 channels, radial widths 64 and 64, 5 elements, both parities: 417,984 (l = 1), 765,120 (l = 2).
    """

    def __init__(
        self,
        *,
        elements: Sequence[int] | None = None,
        avg_n_neighbours: float = 16.0,
        channels: int | Sequence[int] = 64,
        l_max: int = 2,
        parity: bool = False,
        n_layers: int = 4,
        n_radial: int = 8,
        radial_widths: Sequence[int] = (64, 64),
        n_attributes: int | None = None,
        cutoff: float = 5.0,
        radial: RadialName = "bessel",
        envelope: EnvelopeName = "polynomial",
        radial_knots: int = 0,
        irreps_out: str = "0e",
    ) -> None:
        super().__init__(cutoff, irreps_out)
        self.table = RadialTable(radial_knots, cutoff)
        hidden = features_up_to(l_max, channels, parity)
        only(hidden, self.irreps_out)
        A = hidden[0].mul if n_attributes is None else n_attributes
        self.l_max = l_max
        self.embedding = ElementEmbedding(elements, A)
        self.radial = radial_basis(radial, n_radial, cutoff)
        self.envelope = Envelope(envelope, cutoff)
        last = Irreps([term for term in hidden if term.ir.is_scalar() or term.ir in self.irreps_out])
        irreps = Irreps(f"{A}x0e")
        layers = []
        for n, wanted in enumerate([hidden] * (n_layers - 1) + [last]):
            layers.append(Interaction(irreps, wanted, l_max, [n_radial, *radial_widths], A if n else 0, avg_n_neighbours))
            irreps = layers[-1].gate.irreps_out
        self.layers = nn.ModuleList(layers)
        self.irreps_features = irreps
        only(irreps, self.irreps_out)  # a pseudoscalar, say, needs three layers
        self.readout = Linear(irreps, self.irreps_out)

    def radial_weights(
        self, d: Float[Tensor, " P"], clamp: bool = True, layers: slice = EVERY_LAYER
    ) -> Iterator[Float[Tensor, "P _"]]:
        """W(d) of each layer, or of some: radial networks of the basis, which the envelope multiplies before."""
        e = (2 / self.cutoff * self.envelope(d, clamp)[:, None] * self.radial(d)).to(self.dtype)
        return (layer.get_submodule("radial")(e) for layer in list(self.layers)[layers])

    def features(self, graph: Any) -> Float[Tensor, "N features"]:
        """The tensors of each atom after the last layer."""
        graph = connect(graph, self.cutoff)
        d, u = geometry(graph, self.dtype)
        src, dst = graph.edge_index
        edges = Edges(src, dst, len(graph.z), w_row=graph.pair_index)
        Y = spherical_harmonics(range(self.l_max + 1), u, normalize=False, normalization="component")
        x, element = self.embedding(graph.z), self.embedding.element(graph.z)
        for layer, W in zip(self.layers, self.table(self.radial_weights, d), strict=True):
            x = sparing(layer, W)(x, element, W, Y, edges)
        return join(split(x, self.irreps_features, "ir_mul"), like=x)
