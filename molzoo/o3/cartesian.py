"""Cartesian tensors and their irreps: the step between labels as they are stored and features that turn block by block."""

import copy
from typing import Any, cast

import torch

from molzoo.o3.blocks import Layout
from molzoo.o3.irreps import Irreps
from molzoo.o3.permutation import germinate_formulas
from molzoo.o3.reduced import ReducedTensorProducts
from molzoo.shapes import Float, Tensor


class CartesianTensor(Irreps):
    """The irreps of a Cartesian tensor with the symmetry of a formula.

    Rows of the change of basis are orthonormal, so lengths stay: Σ_ij T_ij² is the sum of the squares of the irreps.

    Args:
        formula: as for :class:`ReducedTensorProducts`; every index is that of a vector (1o).
        layout: of the vectors of irreps.

    Attributes:
        formula: as given.
        indices: its letters.

    >>> polarizability = CartesianTensor("ij=ji")
    >>> polarizability, CartesianTensor("ij=-ji"), CartesianTensor("ijkl=jikl=ijlk=klij")
    (1x0e+1x2e, 1x1e, 2x0e+2x2e+1x4e)
    >>> alpha = torch.tensor([[5.0, 1, 0], [1, 4, 0], [0, 0, 3]])
    >>> polarizability.from_cartesian(alpha)
    tensor([ 6.9282,  0.0000,  1.4142,  0.0000,  0.0000, -1.4142])
    >>> torch.allclose(polarizability.to_cartesian(polarizability.from_cartesian(alpha)), alpha)
    True
    """

    formula: str
    indices: str
    layout: Layout
    _product: ReducedTensorProducts

    def __new__(cls, formula: str, *, layout: Layout = "mul_ir") -> "CartesianTensor":
        """From a formula."""
        indices, _ = germinate_formulas(formula)
        vectors: dict[str, Any] = dict.fromkeys(indices, "1o")
        product = ReducedTensorProducts(formula, layout=layout, **vectors)
        self = cast("CartesianTensor", super().__new__(cls, tuple(product.irreps_out)))
        self.formula, self.indices, self.layout, self._product = formula, indices, layout, product
        return self

    def __getnewargs_ex__(self) -> Any:
        return (self.formula,), {"layout": self.layout}

    def from_cartesian(self, data: Float[Tensor, "..."], rtp: ReducedTensorProducts | None = None) -> Float[Tensor, "..."]:
        """The irreps (..., dim) of Cartesian tensors (..., 3, 3, …); what has not the symmetry is left out."""
        rank = len(self.indices)
        if data.shape[-rank:] != (3,) * rank:
            raise ValueError(f"a tensor {self.formula!r} has shape (..., {', '.join('3' * rank)}), but got {tuple(data.shape)}")
        Q = (rtp or self._product).table(data)
        return data.flatten(-rank) @ Q.flatten(1).T

    def from_vectors(self, *xs: Float[Tensor, "... 3"], rtp: ReducedTensorProducts | None = None) -> Float[Tensor, "..."]:
        """The irreps (..., dim) of x₁ ⊗ x₂ ⊗ …, one vector (..., 3) for each index.

        >>> CartesianTensor("ij=-ji").from_vectors(torch.tensor([1.0, 0, 0]), torch.tensor([0, 1.0, 0]))
        tensor([0.0000, 0.0000, 0.7071])
        """
        return (rtp or self._product)(*xs)

    def to_cartesian(self, data: Float[Tensor, "..."], rtp: ReducedTensorProducts | None = None) -> Float[Tensor, "..."]:
        """The Cartesian tensors (..., 3, 3, …) of irreps (..., dim).

        >>> CartesianTensor("ij=ji").to_cartesian(torch.tensor([3**0.5, 0, 0, 0, 0, 0])).round(decimals=6)
        tensor([[1., 0., 0.],
                [0., 1., 0.],
                [0., 0., 1.]])
        """
        if data.shape[-1] != self.dim:
            raise ValueError(f"a tensor {self.formula!r} has {self.dim} components of {self}, but got {data.shape[-1]}")
        Q = (rtp or self._product).table(data)
        return (data @ Q.flatten(1)).unflatten(-1, Q.shape[1:])

    def reduced_tensor_products(self, data: Tensor | None = None) -> ReducedTensorProducts:
        """The product of vectors as a module, in the precision and on the device of ``data``."""
        return copy.deepcopy(self._product).to(torch.zeros(()) if data is None else data)
