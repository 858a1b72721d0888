"""Layers that know channels, distances and edges, but no paper."""

from molzoo.nn.convolution import Convolution, Edges, Path
from molzoo.nn.cutoff import Envelope, EnvelopeName
from molzoo.nn.mlp import ShiftedSoftplus, dense, mlp
from molzoo.nn.radial import BesselBasis, GaussianBasis, RadialName, radial_basis
from molzoo.nn.readout import Linear, ScalarReadout
from molzoo.nn.scatter import mean_rows, sum_rows

__all__ = [
    "BesselBasis",
    "Convolution",
    "Edges",
    "Envelope",
    "EnvelopeName",
    "GaussianBasis",
    "Linear",
    "Path",
    "RadialName",
    "ScalarReadout",
    "ShiftedSoftplus",
    "dense",
    "mean_rows",
    "mlp",
    "radial_basis",
    "sum_rows",
]
