"""Tensor field networks: rotation- and translation-equivariant neural networks for 3D point clouds (TFN).

N. Thomas et al. 2018, https://arxiv.org/abs/1802.08219.

New in it: filters are products of a learned radial function and spherical harmonics, and features are tensors of any degree, so
that every layer turns with the points. The first of the equivariant networks; NequIP adds gates, self-connections by element
and the training of forces.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from torch import nn

from molzoo.graph import connect, geometry
from molzoo.kernels import cat
from molzoo.models.interface import AtomisticModel
from molzoo.nn import (
    EVERY_LAYER,
    Convolution,
    DeferredWeights,
    Edges,
    ElementEmbedding,
    Envelope,
    EnvelopeName,
    RadialName,
    RadialTable,
    ShiftedSoftplus,
    couplings,
    features_up_to,
    gate,
    mlp,
    neighbour_norm,
    only,
    radial_basis,
)
from molzoo.o3 import Irreps, Linear, NormActivation, spherical_harmonics
from molzoo.o3.blocks import join, split
from molzoo.quantities import nearest
from molzoo.shapes import Float, Tensor

Nonlinearity = Literal["norm", "gate"]


class NormNonlinearity(nn.Module):
    """η(s) of scalars and η(‖V‖ + b) V of all else, with the shifted softplus η (section 4.3).

    The bias of scalars is that of the self-interaction before it. Pseudoscalars go with the tensors: η(s) would lose their
    sign.
    """

    def __init__(self, irreps: Irreps) -> None:
        super().__init__()
        scalars = Irreps([term for term in irreps if term.ir.is_scalar()])
        tensors = Irreps([term for term in irreps if not term.ir.is_scalar()])
        self.irreps_in = self.irreps_out = scalars + tensors
        self.n_scalars = scalars.dim
        self.scalars = ShiftedSoftplus()
        self.tensors = (
            NormActivation(tensors, ShiftedSoftplus(), normalize=False, bias=True, layout="ir_mul") if tensors else None
        )

    def forward(self, x: Float[Tensor, "N features"]) -> Float[Tensor, "N features"]:
        """The same irreps, in the layout ir_mul."""
        if self.tensors is None:
            return self.scalars(x)
        s, tensors = x.split([self.n_scalars, x.shape[1] - self.n_scalars], dim=1)
        return cat([self.scalars(s), self.tensors(tensors)])


class Layer(nn.Module):
    """V'_i = η( W [ (1/√n̄) Σ_j F(r_ij) ⊗ V_j , V_i ] ): point convolution, concatenation, self-interaction, nonlinearity.

    F(r) = f(d) R(d) Y(u) with a two-layer network R for each path and channel (eqs. 4 and 6), and the envelope f.
    """

    def __init__(
        self,
        irreps_in: Irreps,
        irreps_out: Irreps,
        l_max: int,
        radial: Sequence[int],
        nonlinearity: Nonlinearity,
        avg_n_neighbours: float,
    ) -> None:
        super().__init__()
        reached = couplings(irreps_in, l_max, irreps_out)[1]
        irreps_out = Irreps([term for term in irreps_out if term.ir in reached])
        self.nonlinearity = NormNonlinearity(irreps_out) if nonlinearity == "norm" else gate(irreps_out)
        paths, irreps_mid = couplings(irreps_in, l_max, self.nonlinearity.irreps_in)
        self.convolution = Convolution(irreps_in, paths, irreps_mid, stack=True)
        self.radial = mlp(*radial, sum(self.convolution.channels), activation=ShiftedSoftplus())
        self.self_interaction = Linear(irreps_mid, self.nonlinearity.irreps_in, biases=True, layout="ir_mul")
        self.own = Linear(irreps_in, self.nonlinearity.irreps_in, layout="ir_mul")
        self.norm = neighbour_norm(avg_n_neighbours)

    def forward(
        self,
        V: Float[Tensor, "N in"],
        R: Float[Tensor, "P weights"] | DeferredWeights,
        fY: Float[Tensor, "E harmonics"],
        edges: Edges,
    ) -> Float[Tensor, "N out"]:
        """The next features of each point, in the layout ir_mul."""
        summed = self.convolution(self.norm * V, fY, R, edges)
        return self.nonlinearity(self.self_interaction(summed) + self.own(V))


class TFN(AtomisticModel):
    """V⁰_i = a vector of scalars for Z_i; n_layers layers; a linear readout of the last features.

    Args:
        elements: atomic numbers to tell apart; in a training run those of the data.
        avg_n_neighbours: n̄, the average number of neighbours; in a training run that of the data.
        channels: copies of each irrep, one number or one for each degree 0 … l_max.
        l_max: highest degree of features and filters.
        parity: also features whose parity is not (−1)^l, such as pseudoscalars, which tell left from right.
        n_layers: number of layers.
        n_radial: number of radial functions.
        radial_width: hidden width of the radial networks.
        nonlinearity: ``norm``, the paper's, or ``gate``: scalars open and close tensors.
        cutoff: radius in Å.
        radial: radial basis.
        envelope: how neighbours fade at the cutoff; ``polynomial`` is C², ``cosine`` C¹.
        radial_knots: knots of a table of the radial functions; 0 for none (:class:`~molzoo.nn.RadialTable`).
        irreps_out: what to give for each atom, up to l_max.

    Differs from the paper: neighbours end at a cutoff; sums are divided by √n̄; filters of one input and filter degree have
    radial functions of their own for each output degree; the point's own term of the convolution, R(0) V_i, has a full matrix;
    features know parity and not only rotations.

    Reference numbers: QM9 mu 0.064 D, alpha 0.223 a0³, homo 40 meV, lumo 38 meV, gap 58 meV, Cv 0.101 cal/mol/K (as run by
    F. Fuchs et al., SE(3)-Transformers, 2020); the paper's tetris task: all eight shapes told apart in any orientation.
    """

    def __init__(
        self,
        *,
        elements: Sequence[int] | None = None,
        avg_n_neighbours: float = 16.0,
        channels: int | Sequence[int] = 32,
        l_max: int = 2,
        parity: bool = False,
        n_layers: int = 3,
        n_radial: int = 16,
        radial_width: int = 32,
        nonlinearity: Nonlinearity = "norm",
        cutoff: float = 5.0,
        radial: RadialName = "gaussian",
        envelope: EnvelopeName = "polynomial",
        radial_knots: int = 0,
        irreps_out: str = "0e",
    ) -> None:
        super().__init__(cutoff, irreps_out)
        self.table = RadialTable(radial_knots, cutoff)
        if nonlinearity not in ("norm", "gate"):
            raise ValueError(f"there is no nonlinearity {nonlinearity!r}{nearest(nonlinearity, ['norm', 'gate'])}")
        hidden = features_up_to(l_max, channels, parity)
        only(hidden, self.irreps_out)
        self.l_max = l_max
        self.embedding = ElementEmbedding(elements, hidden[0].mul)
        self.radial = radial_basis(radial, n_radial, cutoff)
        self.envelope = Envelope(envelope, cutoff)
        last = Irreps([term for term in hidden if term.ir.is_scalar() or term.ir in self.irreps_out])
        irreps = Irreps(f"{hidden[0].mul}x0e")
        layers = []
        for wanted in [hidden] * (n_layers - 1) + [last]:
            layers.append(Layer(irreps, wanted, l_max, [n_radial, radial_width], nonlinearity, avg_n_neighbours))
            irreps = layers[-1].nonlinearity.irreps_out
        self.layers = nn.ModuleList(layers)
        self.irreps_features = irreps
        only(irreps, self.irreps_out)  # a pseudoscalar, say, needs three layers
        self.readout = Linear(irreps, self.irreps_out, biases=True)

    def radial_weights(
        self, d: Float[Tensor, " P"], clamp: bool = True, layers: slice = EVERY_LAYER
    ) -> Iterator[Float[Tensor, "P _"]]:
        """R(d) of each layer, or of some; smooth everywhere, so that there is nothing to clamp."""
        e = self.radial(d, self.dtype)
        return (layer.get_submodule("radial")(e) for layer in list(self.layers)[layers])

    def features(self, graph: Any) -> Float[Tensor, "N features"]:
        """The tensors of each atom after the last layer."""
        graph = connect(graph, self.cutoff)
        d, u = geometry(graph, self.dtype)
        src, dst = graph.edge_index
        edges = Edges(src, dst, len(graph.z), w_row=graph.pair_index)
        f = self.envelope(d).to(self.dtype)[:, None].index_select(0, graph.pair_index)
        fY = f * spherical_harmonics(range(self.l_max + 1), u, normalize=False, normalization="component")
        V = self.embedding(graph.z)
        for layer, R in zip(self.layers, self.table(self.radial_weights, d), strict=True):
            V = layer(V, R, fY, edges)
        return join(split(V, self.irreps_features, "ir_mul"), like=V)
