"""Some of the terms of a feature vector."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from molzoo.o3.blocks import Layout, fits, layout_of
from molzoo.o3.irreps import Irrep, Irreps
from molzoo.shapes import Float, Tensor


class Extract(nn.Module):
    """Several vectors, each made of terms of the input.

    Args:
        irreps_in: of the input.
        irreps_outs: of each output.
        instructions: for each output, the numbers of its terms in the input.
        squeeze_out: whether a single output is given by itself, not in a tuple.
        layout: of input and outputs.

    >>> Extract("1e + 0e + 0e", ["0e", "0e"], [(1,), (2,)])(torch.tensor([0.0, 0, 0, 1, 2]))
    (tensor([1.]), tensor([2.]))
    """

    def __init__(
        self,
        irreps_in: Any,
        irreps_outs: Sequence[Any],
        instructions: Sequence[Sequence[int]],
        squeeze_out: bool = False,
        *,
        layout: Layout = "mul_ir",
    ) -> None:
        super().__init__()
        self.irreps_in, self.layout = Irreps(irreps_in), layout_of(layout)
        self.irreps_outs = tuple(Irreps(irreps) for irreps in irreps_outs)
        self.instructions, self.squeeze_out = instructions, squeeze_out
        if len(self.irreps_outs) != len(instructions):
            raise ValueError(
                f"{len(instructions)} instructions are given for {len(self.irreps_outs)} outputs; give one for each"
            )
        for irreps, terms in zip(self.irreps_outs, instructions, strict=True):
            if not all(0 <= i < len(self.irreps_in) for i in terms) or irreps != Irreps([self.irreps_in[i] for i in terms]):
                raise ValueError(f"terms {tuple(terms)} of {self.irreps_in or '(none)'} are not {irreps or '(none)'}")

    def forward(self, x: Float[Tensor, "*rows features"]) -> tuple[Tensor, ...] | Tensor:
        """The outputs."""
        fits(x, self.irreps_in)
        terms = x.split([term.dim for term in self.irreps_in], -1) if self.irreps_in else ()
        outs = tuple(torch.cat([x[..., :0], *(terms[i] for i in chosen)], -1) for chosen in self.instructions)
        return outs[0] if self.squeeze_out and len(outs) == 1 else outs


class ExtractIr(Extract):
    """All terms of one irrep.

    Args:
        irreps_in: of the input.
        ir: the irrep.
        layout: of input and output.

    >>> ExtractIr("1e + 0e + 0e", "0e")(torch.tensor([0.0, 0, 0, 1, 2]))
    tensor([1., 2.])
    """

    def __init__(self, irreps_in: Any, ir: Any, *, layout: Layout = "mul_ir") -> None:
        irreps_in, ir = Irreps(irreps_in), Irrep(ir)
        terms = tuple(i for i, term in enumerate(irreps_in) if term.ir == ir)
        self.irreps_out = Irreps([irreps_in[i] for i in terms])
        super().__init__(irreps_in, [self.irreps_out], [terms], squeeze_out=True, layout=layout)


class Identity(nn.Module):
    """The features as they are, between irreps that are equal when simplified.

    Args:
        irreps_in: of the features.
        irreps_out: the same.
        layout: of the features.

    >>> Identity("0e + 0e", "2x0e")
    Identity(2x0e -> 2x0e)
    """

    output_mask: Tensor

    def __init__(self, irreps_in: Any, irreps_out: Any, *, layout: Layout = "mul_ir") -> None:
        super().__init__()
        self.irreps_in, self.irreps_out = Irreps(irreps_in).simplify(), Irreps(irreps_out).simplify()
        self.layout = layout_of(layout)
        if self.irreps_in != self.irreps_out:
            raise ValueError(f"{irreps_in} and {irreps_out} are different irreps; an identity has the same on both sides")
        self.register_buffer("output_mask", torch.ones(self.irreps_out.dim), persistent=False)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.irreps_in} -> {self.irreps_out})"

    def forward(self, features: Float[Tensor, "*rows features"]) -> Float[Tensor, "*rows features"]:
        """The features."""
        fits(features, self.irreps_in, "features")
        return features
