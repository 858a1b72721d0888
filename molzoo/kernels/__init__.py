"""What costs time, as numbers: convolutions, linear maps, products. No irreps, no graphs, no models."""

from molzoo.kernels.cat import cat
from molzoo.kernels.contract import Index, contract
from molzoo.kernels.dispatch import Backend, backend, chosen, fused, use_backend
from molzoo.kernels.grouped import Groups, grouped_matmul, groups_of
from molzoo.kernels.onednn import chosen_linear, linear, matmul
from molzoo.kernels.program import ConvolutionProgram, Term
from molzoo.kernels.reference import reference

__all__ = [
    "Backend",
    "ConvolutionProgram",
    "Groups",
    "Index",
    "Term",
    "backend",
    "cat",
    "chosen",
    "chosen_linear",
    "contract",
    "fused",
    "grouped_matmul",
    "groups_of",
    "linear",
    "matmul",
    "reference",
    "use_backend",
]
