"""What code for e3nn takes from ``torch_cluster`` and ``torch_scatter``, without these packages: change the imports.

>>> import torch
>>> from molzoo.compat.pyg_ext import radius_graph, scatter
>>> sender, receiver = radius_graph(torch.tensor([[0.0, 0, 0], [0, 0, 1], [0, 0, 2]]), 1.5, max_num_neighbors=2)
>>> scatter(torch.ones(len(sender)), receiver, dim=0, dim_size=3)
tensor([1., 2., 1.])
"""

from torch_geometric.utils import scatter

from molzoo.graph.neighbours import radius_graph

__all__ = ["radius_graph", "scatter"]
