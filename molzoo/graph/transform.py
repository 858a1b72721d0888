"""``RadiusGraph``: edges as a PyG transform, once per data set (``pre_transform``) or at each access (``transform``)."""

from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from molzoo.graph.atom_graph import AtomGraph
from molzoo.graph.edges import connect, without_edges


class RadiusGraph(BaseTransform):
    """Every edge shorter than ``cutoff``, sorted and paired, as an :class:`AtomGraph`; edges already there are replaced.

    Bonds that PyG's data sets keep in ``edge_index`` go too; bonds in ``bond_index`` stay.

    Args:
        cutoff: Å.

    >>> RadiusGraph(5.0)
    RadiusGraph(cutoff=5.0)
    """

    def __init__(self, cutoff: float) -> None:
        self.cutoff = cutoff

    def forward(self, data: Data) -> AtomGraph:
        """``data`` with its edges."""
        return connect(Data(**without_edges(data.to_dict())), self.cutoff)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(cutoff={self.cutoff})"
