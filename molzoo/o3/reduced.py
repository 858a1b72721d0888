"""Tensors with symmetric indices as sums of irreps.

A polarizability α_ij = α_ji has six free numbers. When the molecule turns they do not mix at will: the trace stays (0e), and
the other five turn like d orbitals (2e). Likewise the 21 elastic constants, C_ijkl = C_jikl = C_ijlk = C_klij, are
2x0e + 2x2e + 1x4e. Which irreps there are, and how each follows from the components, is found in three steps:

1. Indices are coupled one after the other, as angular momenta are: two vectors to 0, 1 and 2, each of these with the third
   vector, and so on (Wigner 3j). Each chain of intermediate irreps gives one copy of its last; all chains together are an
   orthonormal basis of the tensors.
2. The mean S over all signed permutations of the indices projects on the symmetric tensors. It commutes with rotations, so
   it mixes only copies of one irrep, by a matrix M_uv = ⟨copy u, component m| S |copy v, component m⟩, the same for every
   m. Combinations that S leaves as they are, those of eigenvalue 1, are the copies of the symmetric tensors.
3. In their space any orthonormal basis would do. Gram–Schmidt on the rows of its projector is e3nn's choice, kept here
   because it gives stored labels their meaning.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.functional import linear

from molzoo.o3.bases import orthonormalize
from molzoo.o3.blocks import Layout, join, layout_of, split
from molzoo.o3.exact import Exact
from molzoo.o3.irreps import Irrep, Irreps
from molzoo.o3.permutation import Signed, germinate_formulas, of_each_index
from molzoo.o3.wigner import Convention, StoredConvention, wigner_3j
from molzoo.shapes import Float, Tensor

Copies = list[tuple[Irrep, Tensor]]  # of each irrep (copies, 2l + 1, components of the tensor)


class ReducedTensorProducts(nn.Module):
    """The irreps of x₁ ⊗ x₂ ⊗ …, of its part with the symmetry of a formula: Σ_ij… Q_kij… x₁_i x₂_j ….

    Args:
        formula: which exchanges of indices leave the tensor as it is, or change its sign: ``"ij=ji"``, ``"ijk=-jik"``.
        filter_ir_out: the only irreps to keep.
        filter_ir_mid: the only irreps to go through when indices are coupled.
        eps: what counts as zero.
        layout: of all vectors.
        convention: of the Wigner 3j symbols; states carry it, and load into products of the same convention only.
        irreps: of each index by its letter; one letter does for all that the formula exchanges.

    Attributes:
        irreps_in: of each vector.
        irreps_out: of the result.
        change_of_basis: Q, of orthonormal rows, shape (irreps_out.dim, irreps_in[0].dim, …).

    >>> ReducedTensorProducts("ijkl=jikl=ijlk=klij", i="1o").irreps_out
    2x0e+2x2e+1x4e
    >>> product = ReducedTensorProducts("ij=-ji", i="1o")
    >>> x, y = torch.tensor([1.0, 0, 0]), torch.tensor([0, 1.0, 0])
    >>> product(x, y)
    tensor([0.0000, 0.0000, 0.7071])
    >>> torch.equal(product(x, y), -product(y, x))
    True
    """

    def __init__(
        self,
        formula: str,
        filter_ir_out: Iterable[Any] | None = None,
        filter_ir_mid: Iterable[Any] | None = None,
        eps: float = 1e-9,
        *,
        layout: Layout = "mul_ir",
        convention: Convention = "e3nn-0.6",
        **irreps: Any,
    ) -> None:
        super().__init__()
        for name in irreps:
            if len(name) != 1:
                raise TypeError(f"got an unexpected keyword argument {name!r}; irreps are given by one letter, e.g. i='1o'")
        self.formula, self.layout, self.convention = formula, layout_of(layout), convention
        self.stored_convention = StoredConvention(convention)
        indices, symmetries = germinate_formulas(formula)
        self.irreps_in = of_each_index(indices, symmetries, {i: Irreps(given) for i, given in irreps.items()})
        mid, out = _allowed(filter_ir_mid), _allowed(filter_ir_out)
        copies = [
            (ir, torch.tensordot(_symmetric(basis, self.irreps_in, symmetries, eps), basis, dims=1))
            for ir, basis in _coupled(self.irreps_in, mid, out, convention)
        ]
        self.irreps_out = Irreps([(len(basis), ir) for ir, basis in copies if len(basis)])
        self.table = Exact(self._laid_out([basis for _, basis in copies]))

    def _laid_out(self, bases: list[Tensor]) -> Tensor:
        """Q, each axis in the layout of the vectors."""
        sizes = [irreps.dim for irreps in self.irreps_in]
        Q = torch.cat([basis.flatten(0, 1) for basis in bases]) if bases else torch.zeros(0, 1, dtype=torch.float64)
        Q = Q.reshape(self.irreps_out.dim, *sizes)
        for axis, irreps in enumerate([self.irreps_out, *self.irreps_in]):
            places = torch.arange(irreps.dim, dtype=torch.float64)
            Q = Q.index_select(axis, join(split(places, irreps), self.layout, like=places).long())
        return Q

    @property
    def change_of_basis(self) -> Tensor:
        """Q, in the precision and on the device of the module."""
        return self.table.values

    def forward(self, *xs: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """The irreps (..., irreps_out.dim) of the product of one vector (..., irreps_in[k].dim) for each index."""
        sizes, wanted = [x.shape[-1] for x in xs], [irreps.dim for irreps in self.irreps_in]
        if sizes != wanted:
            raise ValueError(f"{self.formula!r} takes vectors of {wanted} components, one for each index; got {sizes}")
        product = xs[0]
        for x in xs[1:]:
            product = (product[..., :, None] * x[..., None, :]).flatten(-2)
        return linear(product, self.table(product).flatten(1))

    def __repr__(self) -> str:
        factors = " ⊗ ".join(str(irreps or "(none)") for irreps in self.irreps_in)
        return f"ReducedTensorProducts({self.formula}: {factors} → {self.irreps_out or '(none)'})"


def _allowed(irreps: Iterable[Any] | None) -> set[Irrep] | None:
    if irreps is None:
        return None
    return {Irrep(ir) for ir in (Irreps(irreps) if isinstance(irreps, str) else irreps)}


def _coupled(
    irreps_in: list[Irreps], mid: Collection[Irrep] | None, out: Collection[Irrep] | None, convention: Convention
) -> Copies:
    """The chains of couplings, gathered by their last irrep."""
    copies = _single(irreps_in[0])
    for k, irreps in enumerate(irreps_in[1:], 2):
        filters = [mid, out] if k == len(irreps_in) else [mid]
        copies = sorted(_gather(_couple(copies, _single(irreps), filters, convention)), key=lambda copy: copy[0])
    return _gather((ir, basis) for ir, basis in copies if out is None or ir in out)


def _single(irreps: Irreps) -> Copies:
    """The unit vectors of each term of one index."""
    unit = torch.eye(irreps.dim, dtype=torch.float64)
    terms = zip(irreps.slices(), irreps, strict=True)
    return [(ir, unit[place].view(mul, ir.dim, irreps.dim)) for place, (mul, ir) in terms]


def _couple(
    left: Copies, right: Copies, filters: list[Collection[Irrep] | None], convention: Convention
) -> Iterator[tuple[Irrep, Tensor]]:
    """Every copy on the left with every copy on the right; orthonormal if they are."""
    for ir1, basis1 in left:
        for ir in {ir for ir2, _ in right for ir in ir1 * ir2}:
            if all(allowed is None or ir in allowed for allowed in filters):
                some = (
                    (wigner_3j(ir.l, ir1.l, ir2.l, torch.float64, convention=convention), b)
                    for ir2, b in right
                    if ir in ir1 * ir2
                )
                steps = torch.cat([torch.einsum("kij,vjy->vkiy", C, basis2) for C, basis2 in some])
                pairs = torch.einsum("uix,vkiy->uvkxy", basis1, steps) * ir.dim**0.5
                yield ir, pairs.flatten(0, 1).flatten(-2)


def _gather(copies: Iterable[tuple[Irrep, Tensor]]) -> Copies:
    """Equal irreps together."""
    found = defaultdict(list)
    for ir, basis in copies:
        found[ir].append(basis)
    return [(ir, torch.cat(parts)) for ir, parts in found.items()]


def _symmetric(basis: Tensor, irreps: list[Irreps], symmetries: Collection[Signed], eps: float) -> Tensor:
    """Orthonormal combinations (n, copies) of the copies of one irrep that have the symmetry."""
    first = basis[:, 0]  # one component tells of all
    tensors = first.unflatten(1, [index.dim for index in irreps])
    mean = sum(s * tensors.permute(0, *(1 + axis for axis in p)) for s, p in symmetries) / len(symmetries)
    values, vectors = torch.linalg.eigh(first @ mean.flatten(1).T)
    kept = vectors[:, values > 1 - eps]
    return orthonormalize(kept @ kept.T, eps)[0]
