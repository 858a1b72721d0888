"""The axis letters of every signature, and the jaxtyping names that carry them.

========  ==========================================================================
``N``     atoms of the whole batch
``E``     directed edges, sorted by receiver
``P``     undirected pairs of edges
``T``     triplets
``B``     graphs (structures) in the batch
``C``     channels
``R``     rows of a weight matrix that edges read through an index (``P`` or ``E``)
========  ==========================================================================

A feature axis written as one word (``features``, ``out``) is flat, in e3nn's ``mul_ir`` order.
"""

from jaxtyping import Bool, Float, Int
from torch import Tensor

__all__ = ["Bool", "Float", "Int", "Tensor"]
