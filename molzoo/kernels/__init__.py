"""The convolution as numbers: a program of paths, and the loops that run it. No irreps, no graphs, no models."""

from molzoo.kernels.contract import Index, contract
from molzoo.kernels.dispatch import Backend, backend, chosen, fused, use_backend
from molzoo.kernels.program import ConvolutionProgram, Term
from molzoo.kernels.reference import reference

__all__ = [
    "Backend",
    "ConvolutionProgram",
    "Index",
    "Term",
    "backend",
    "chosen",
    "contract",
    "fused",
    "reference",
    "use_backend",
]
