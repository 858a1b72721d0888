"""A flat feature vector and its blocks.

Layers take and give flat vectors, in one of two layouts: ``mul_ir`` (e3nn's: the components of one copy side by side) or
``ir_mul`` (the copies of one component side by side). Inside, all of them work on blocks (..., 2l + 1, mul), one for each
term of the irreps, so that a layer is written once for both.

>>> get_args(Layout)
('mul_ir', 'ir_mul')
"""

from collections.abc import Sequence
from typing import Literal, get_args

from molzoo.kernels import cat
from molzoo.o3.irreps import Irreps
from molzoo.quantities import nearest
from molzoo.shapes import Float, Tensor

Layout = Literal["mul_ir", "ir_mul"]


def layout_of(name: str) -> Layout:
    """``name``, if it is a layout.

    >>> layout_of("ir_mul")
    'ir_mul'
    """
    if name not in get_args(Layout):
        raise ValueError(f"there is no layout {name!r}{nearest(name, get_args(Layout))}; choose 'mul_ir' or 'ir_mul'")
    return name  # type: ignore[return-value]


def fits(x: Float[Tensor, "*rows features"], irreps: Irreps, name: str = "x") -> None:
    """Nothing, if ``x`` is as long as its irreps.

    Raises:
        ValueError: it is not.
    """
    if x.shape[-1] != irreps.dim:
        raise ValueError(f"{name} has {x.shape[-1]} components, but its irreps {irreps or '(none)'} have {irreps.dim}")


def split(x: Float[Tensor, "*rows features"], irreps: Irreps, layout: Layout = "mul_ir", name: str = "x") -> list[Tensor]:
    """The block (..., 2l + 1, mul) of each term of ``irreps``; views wherever that is possible.

    Raises:
        ValueError: ``x`` has another length than ``irreps``.

    >>> import torch
    >>> [block.shape for block in split(torch.zeros(7, 11), Irreps("5x0e + 2x1o"))]
    [torch.Size([7, 1, 5]), torch.Size([7, 3, 2])]
    """
    fits(x, irreps, name)
    if not irreps:
        return []
    # Split, never sliced: the derivative of a slice fills the whole vector with zeros, that of a split is one ``cat``.
    parts = zip(x.split([term.dim for term in irreps], -1), irreps, strict=True)
    if layout == "ir_mul":
        return [part.unflatten(-1, (ir.dim, mul)) for part, (mul, ir) in parts]
    return [part.unflatten(-1, (mul, ir.dim)).transpose(-1, -2) for part, (mul, ir) in parts]


def join(blocks: Sequence[Tensor], layout: Layout = "mul_ir", *, like: Tensor) -> Float[Tensor, "*rows features"]:
    """The flat vector of blocks (..., 2l + 1, mul); of none, a vector of no components shaped as ``like`` before its last axis.

    >>> import torch
    >>> x = torch.arange(11.0)
    >>> join(split(x, Irreps("5x0e + 2x1o")), like=x).equal(x)
    True
    """
    if not blocks:
        return like.new_zeros(*like.shape[:-1], 0)
    flat = [block.flatten(-2) if layout == "ir_mul" else block.transpose(-1, -2).flatten(-2) for block in blocks]
    return flat[0] if len(flat) == 1 else cat(flat)
