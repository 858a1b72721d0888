"""Orthonormal bases of spaces of vectors, in float64 inside and the same at every run: which basis, is fixed by the order."""

import torch
from torch.nn.functional import normalize, pad

from molzoo.shapes import Float, Tensor


def orthonormalize(
    original: Float[Tensor, "n dim"], eps: float = 1e-9
) -> tuple[Float[Tensor, "rank dim"], Float[Tensor, "rank n"]]:
    """Orthonormal rows y = A x that span what the rows x span, and A (Gram–Schmidt, in the order of the rows).

    The first component of each y that is not zero is positive.

    Args:
        original: the rows x.
        eps: a row whose new part is shorter than 2 eps brings nothing; components below eps are zero.

    >>> y, A = orthonormalize(torch.tensor([[0.0, -2.0], [0.0, 3.0], [4.0, 4.0]]))
    >>> y
    tensor([[0., 1.],
            [1., 0.]])
    >>> A
    tensor([[-0.5000,  0.0000,  0.0000],
            [ 0.5000,  0.0000,  0.2500]])
    """
    n, dim = original.shape
    # Each row carries its coefficients along, so that one subtraction does for both.
    rows = torch.cat([original.double(), torch.eye(n, dtype=torch.float64, device=original.device)], dim=1)
    found = rows[:0]
    for row in rows:
        for _ in range(2):  # rounding leaves some of the others in a short remainder; twice is enough
            row = row - (found[:, :dim] @ row[:dim]) @ found
        length = row[:dim].norm()
        if length > 2 * eps:
            row = row / length
            present = row.abs() >= eps
            row = torch.where(present, row * row[present][0].sign(), 0.0)
            found = torch.cat([found, row[None]])
    return found[:, :dim].to(original.dtype), found[:, dim:].to(original.dtype)


def complete_basis(vecs: Float[Tensor, "n dim"], eps: float = 1e-9) -> Float[Tensor, "rest dim"]:
    """Orthonormal rows that span all directions perpendicular to those of ``vecs``.

    >>> complete_basis(torch.tensor([[0.0, 5.0, 0.0]]))
    tensor([[1., 0., 0.],
            [0., 0., 1.]])
    """
    given, _ = orthonormalize(normalize(vecs.double(), dim=1), eps)
    every, _ = orthonormalize(torch.cat([given, torch.eye(vecs.shape[1]).to(given)]), eps)
    return every[len(given) :].to(vecs.dtype)


def direct_sum(*matrices: Float[Tensor, "... _ _"]) -> Float[Tensor, "... m n"]:
    """The block-diagonal matrix of matrices (..., mᵢ, nᵢ).

    >>> direct_sum(torch.ones(1, 2), torch.full((1, 1), 3.0))
    tensor([[1., 1., 0.],
            [0., 0., 3.]])
    """
    columns = sum(matrix.shape[-1] for matrix in matrices)
    rows, begin = [], 0
    for matrix in matrices:
        end = begin + matrix.shape[-1]
        rows.append(pad(matrix, (begin, columns - end)))
        begin = end
    return torch.cat(rows, dim=-2)
