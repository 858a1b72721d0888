"""Structure → graph: atoms, their neighbours within a cutoff, and the geometry along the edges."""

from molzoo.graph.atom_graph import AtomGraph
from molzoo.graph.geometry import Geometry, geometry, length_and_direction, pair_vectors
from molzoo.graph.edges import connect
from molzoo.graph.neighbours import neighbour_list, radius_graph
from molzoo.graph.pairs import NeighbourList
from molzoo.graph.transform import RadiusGraph

__all__ = [
    "AtomGraph",
    "Geometry",
    "NeighbourList",
    "RadiusGraph",
    "connect",
    "geometry",
    "length_and_direction",
    "neighbour_list",
    "pair_vectors",
    "radius_graph",
]
