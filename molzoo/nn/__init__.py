"""Layers that know channels, distances and edges, but no paper."""

from molzoo.nn.activation import ShiftedSoftplus, SiLU
from molzoo.nn.convolution import Convolution, Edges, Path, couplings, neighbour_norm
from molzoo.nn.cutoff import Envelope, EnvelopeName
from molzoo.nn.deferred import DeferredWeights, sparing
from molzoo.nn.edge_features import EdgeEmbedding, EdgesToAtoms, ResidualLayer
from molzoo.nn.elements import Element, ElementEmbedding, ElementLinear
from molzoo.nn.fully_connected import FullyConnectedNet
from molzoo.nn.gated import features_up_to, gate
from molzoo.nn.mlp import dense, mlp, orthogonal_dense
from molzoo.nn.radial import BesselBasis, GaussianBasis, RadialName, radial_basis
from molzoo.nn.radial_table import EVERY_LAYER, RadialTable
from molzoo.nn.readout import LayerwiseReadout, Linear, ScalarReadout, only
from molzoo.nn.repulsion import Repulsion
from molzoo.nn.scatter import mean_rows, sum_rows
from molzoo.nn.soft_one_hot import bessel, soft_one_hot_linspace, soft_unit_step
from molzoo.nn.spherical_basis import LearnedBesselBasis, SphericalBesselBasis, legendre
from molzoo.nn.triplet_sum import TripletSum

__all__ = [
    "EVERY_LAYER",
    "BesselBasis",
    "Convolution",
    "DeferredWeights",
    "EdgeEmbedding",
    "Edges",
    "Element",
    "ElementEmbedding",
    "ElementLinear",
    "EdgesToAtoms",
    "Envelope",
    "EnvelopeName",
    "FullyConnectedNet",
    "GaussianBasis",
    "LayerwiseReadout",
    "LearnedBesselBasis",
    "Linear",
    "Path",
    "RadialName",
    "RadialTable",
    "Repulsion",
    "ResidualLayer",
    "ScalarReadout",
    "ShiftedSoftplus",
    "SiLU",
    "SphericalBesselBasis",
    "TripletSum",
    "bessel",
    "couplings",
    "dense",
    "features_up_to",
    "gate",
    "mean_rows",
    "mlp",
    "neighbour_norm",
    "only",
    "legendre",
    "orthogonal_dense",
    "radial_basis",
    "soft_one_hot_linspace",
    "soft_unit_step",
    "sparing",
    "sum_rows",
]
