"""Which component of a flat vector belongs to which copy: tables of indices, made once by a layer and used at every call.

To give each copy its own factor, repeat the factors by such a table (:func:`take`); to sum over the components of each copy,
add them up by the same table (:func:`collect`). Each of the two is the other's derivative, none asks for the layout, and all
irreps are done at once.
"""

import math
from collections.abc import Sequence

import torch

from molzoo.o3.blocks import Layout, join, split
from molzoo.o3.irreps import Irreps
from molzoo.shapes import Float, Int, Tensor


def take(x: Float[Tensor, "*rows features"], index: Int[Tensor, " places"]) -> Float[Tensor, "*rows places"]:
    """``x[..., index]``: components in another order, or repeated.

    >>> take(torch.tensor([[5.0, 6.0]]), torch.tensor([1, 0, 0]))
    tensor([[6., 5., 5.]])
    """
    rows = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
    # Both do the same. On a CPU the first is twice as fast in float32 and half as fast in others, and on two axes only.
    single = x.dtype == torch.float32
    taken = rows.index_select(-1, index) if single else rows.gather(-1, index.expand(rows.shape[0], -1))
    return taken.reshape(*x.shape[:-1], index.shape[0])


def collect(x: Float[Tensor, "*rows features"], index: Int[Tensor, " features"], size: int) -> Float[Tensor, "*rows {size}"]:
    """Component k added to place ``index[k]`` of a vector of ``size`` zeros.

    >>> collect(torch.tensor([[5.0, 6.0, 7.0]]), torch.tensor([1, 0, 1]), 2)
    tensor([[ 6., 12.]])
    """
    rows = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
    return rows.new_zeros(rows.shape[0], size).index_add(-1, index, rows).reshape(*x.shape[:-1], size)


def copy_of(irreps: Irreps, layout: Layout = "mul_ir") -> Int[Tensor, " dim"]:
    """For each component, the number of its copy.

    >>> copy_of(Irreps("2x0e + 2x1o")), copy_of(Irreps("2x0e + 2x1o"), "ir_mul")
    (tensor([0, 1, 2, 2, 2, 3, 3, 3]), tensor([0, 1, 2, 3, 2, 3, 2, 3]))
    """
    numbers = torch.arange(irreps.num_irreps, dtype=torch.float64)
    terms = zip(irreps, numbers.split([term.mul for term in irreps]) if irreps else (), strict=True)
    return join([part.expand(ir.dim, mul) for (mul, ir), part in terms], layout, like=numbers).long()


def scalars(irreps: Irreps) -> Int[Tensor, " n"]:
    """Places of all 0e.

    >>> scalars(Irreps("0e + 1o + 2x0e"))
    tensor([0, 4, 5])
    """
    ranges = [torch.arange(s.start, s.stop) for s, (_, ir) in zip(irreps.slices(), irreps, strict=True) if ir.is_scalar()]
    return torch.cat(ranges) if ranges else torch.arange(0)


def relayout(irreps: Irreps, source: Layout, target: Layout) -> Int[Tensor, " dim"] | None:
    """For each component of a flat vector in the layout ``target``, its place in ``source``; ``None`` if all are the same.

    >>> relayout(Irreps("0e + 2x1o"), "mul_ir", "ir_mul")
    tensor([0, 1, 4, 2, 5, 3, 6])
    """
    places = torch.arange(irreps.dim, dtype=torch.float64)
    return unless_identity(join(split(places, irreps, source), target, like=places))


def columns(irreps: Irreps, layout: Layout = "mul_ir") -> list[Tensor]:
    """For each copy, the places of its 2l + 1 components.

    >>> columns(Irreps("0e + 2x1o"), "ir_mul")[2].long()
    tensor([2, 4, 6])
    """
    places = torch.arange(irreps.dim, dtype=torch.float64)
    return [column for block in split(places, irreps, layout) for column in block.unbind(-1)]


def arrange(columns: Sequence[Tensor], irreps: Irreps, layout: Layout = "mul_ir") -> Int[Tensor, " dim"] | None:
    """One column for each copy of ``irreps``, laid out as a flat vector; ``None`` if this is 0, 1, 2, ….

    >>> arrange(columns(Irreps("2x1o")), Irreps("2x1o"), "ir_mul")
    tensor([0, 3, 1, 4, 2, 5])
    """
    copies = iter(columns)
    blocks = [torch.stack([next(copies) for _ in range(mul)], -1) for mul, _ in irreps if mul]
    return unless_identity(join(blocks, layout, like=torch.zeros(0)))


def unless_identity(places: Tensor) -> Tensor | None:
    """``places`` as an index, or ``None`` if it leaves all where they are."""
    index = places.long()
    return None if index.equal(torch.arange(len(index))) else index
