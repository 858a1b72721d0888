"""The convolution as numbers: a program of paths, and the loops that run it. No irreps, no graphs, no models."""

from molzoo.kernels.contract import Index, contract
from molzoo.kernels.dispatch import fused, use_backend
from molzoo.kernels.program import ConvolutionProgram, Term
from molzoo.kernels.reference import reference

__all__ = ["ConvolutionProgram", "Index", "Term", "contract", "fused", "reference", "use_backend"]
