"""Structure → graph: atoms, their neighbours within a cutoff, and the geometry along the edges."""

from molzoo.graph.atom_graph import AtomGraph
from molzoo.graph.edges import connect
from molzoo.graph.from_ase import from_ase, read_labels, to_ase
from molzoo.graph.from_rdkit import from_rdkit, from_smiles
from molzoo.graph.geometry import Geometry, distances, geometry, length_and_direction, pair_vectors
from molzoo.graph.neighbours import neighbour_list, radius_graph
from molzoo.graph.pairs import NeighbourList
from molzoo.graph.transform import RadiusGraph
from molzoo.graph.triplets import Triplets, reverse_edges, triplets

__all__ = [
    "AtomGraph",
    "Geometry",
    "NeighbourList",
    "RadiusGraph",
    "Triplets",
    "connect",
    "distances",
    "from_ase",
    "from_rdkit",
    "from_smiles",
    "geometry",
    "length_and_direction",
    "neighbour_list",
    "pair_vectors",
    "radius_graph",
    "read_labels",
    "reverse_edges",
    "to_ase",
    "triplets",
]
