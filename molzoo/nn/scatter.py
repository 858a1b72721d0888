"""Sums over rows that share an index: atoms of a structure, edges of a receiver.

``index_add`` differentiates to any order and, on a CPU, adds in the order of the rows; a sum of all is torch's ``sum``. The
compiled ``torch_scatter`` is used only where its name is given; its ``segment_csr`` never is, because its second derivative is
wrong without a word.
"""

from typing import Literal

from molzoo.shapes import Float, Int, Tensor

ScatterBackend = Literal["native", "torch_scatter"]


def sum_rows(
    rows: Float[Tensor, "rows *features"],
    index: Int[Tensor, " rows"],
    n: int,
    backend: ScatterBackend = "native",
) -> Float[Tensor, "n *features"]:
    """out[k] = Σ rows[r] over all r with index[r] = k.

    >>> import torch
    >>> sum_rows(torch.ones(3, 2), torch.tensor([0, 2, 2]), 3)[:, 0]
    tensor([1., 0., 2.])
    """
    if backend == "torch_scatter":
        from torch_scatter import scatter

        return scatter(rows, index, dim=0, dim_size=n, reduce="sum")
    if n == 1:  # Inductor compiles no sum of many rows into one
        return rows.sum(0, keepdim=True)
    return rows.new_zeros(n, *rows.shape[1:]).index_add(0, index, rows)


def mean_rows(rows: Float[Tensor, "rows *features"], index: Int[Tensor, " rows"], n: int) -> Float[Tensor, "n *features"]:
    """out[k] = mean of rows[r] over all r with index[r] = k; zero where there is none."""
    count = sum_rows(rows.new_ones(len(rows)), index, n).clamp(min=1)
    return sum_rows(rows, index, n) / count.view(-1, *[1] * (rows.ndim - 1))
