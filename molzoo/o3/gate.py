"""Scalars that open and close the other features."""

from collections.abc import Sequence
from itertools import accumulate, groupby
from typing import Any

from torch import nn

from molzoo.kernels import cat
from molzoo.o3.activation import Activation, Function
from molzoo.o3.blocks import Layout, fits, layout_of
from molzoo.o3.irreps import Irrep, Irreps
from molzoo.o3.places import arrange, columns, copy_of, take
from molzoo.shapes import Float, Tensor


class Gate(nn.Module):
    """φ_i(s_i) ⊕ φ_u(g_u) x_u: activated scalars, and each copy of other irreps times its own activated scalar, the gate.

    The input holds scalars, gates and gated irreps sorted together, as ``irreps_in`` says. Activations are normalised
    (:class:`~molzoo.o3.activation.normalize2mom`). Gates may be odd; they change the parity of what they gate.

    Args:
        irreps_scalars: of s.
        act_scalars: φ for each term of s; None leaves it as it is.
        irreps_gates: of g, as many copies as x has.
        act_gates: φ for each term of g.
        irreps_gated: of x.
        layout: of input and output.

    >>> import torch
    >>> gate = Gate("16x0o", [torch.tanh], "32x0o", [torch.tanh], "16x1e + 16x1o")
    >>> gate.irreps_in, gate.irreps_out
    (48x0o+16x1o+16x1e, 16x0o+16x1o+16x1e)
    """

    _order: Tensor | None
    _gate: Tensor

    def __init__(
        self,
        irreps_scalars: Any,
        act_scalars: Sequence[Function | None],
        irreps_gates: Any,
        act_gates: Sequence[Function | None],
        irreps_gated: Any,
        *,
        layout: Layout = "mul_ir",
    ) -> None:
        super().__init__()
        self.layout = layout_of(layout)
        self.act_scalars = Activation(_scalars("scalars", irreps_scalars), act_scalars)
        self.act_gates = Activation(_scalars("gates", irreps_gates), act_gates)
        parts = [Irreps(irreps).simplify() for irreps in (irreps_scalars, irreps_gates, irreps_gated)]
        self.irreps_scalars, self.irreps_gates, self.irreps_gated = parts
        if self.irreps_gates.num_irreps != self.irreps_gated.num_irreps:
            raise ValueError(
                f"the gates {self.irreps_gates or '(none)'} are {self.irreps_gates.num_irreps}, but the gated irreps "
                f"{self.irreps_gated or '(none)'} are {self.irreps_gated.num_irreps} copies; give one gate for each"
            )
        gated = _gated(self.irreps_gated, self.act_gates.irreps_out)
        self.irreps_out = self.act_scalars.irreps_out + gated
        terms = self.irreps_scalars + self.irreps_gates + self.irreps_gated
        self.irreps_in = terms.sort().irreps.simplify()
        self._sizes = [irreps.dim for irreps in parts]
        order = _order(terms, Irreps([(1, "0e")]) * sum(self._sizes[:2]) + gated, layout)
        self.register_buffer("_order", order, persistent=False)
        self.register_buffer("_gate", copy_of(gated, layout), persistent=False)

    def __repr__(self) -> str:
        return f"{type(self).__name__} ({self.irreps_in} -> {self.irreps_out})"

    def forward(self, features: Float[Tensor, "*rows features"]) -> Float[Tensor, "*rows out"]:
        """Activated scalars, then gated irreps."""
        fits(features, self.irreps_in)
        ordered = features if self._order is None else take(features, self._order)
        scalars, gates, gated = ordered.split(self._sizes, -1)
        gated = gated * take(self.act_gates(gates), self._gate)
        return cat((self.act_scalars(scalars), gated))


def _scalars(name: str, irreps: Any) -> Irreps:
    irreps = Irreps(irreps)
    if any(mul and ir.l > 0 for mul, ir in irreps):
        raise ValueError(f"the {name} {irreps} are not all scalars; write terms of 0e or 0o only")
    return irreps


def _gated(gated: Irreps, gates: Irreps) -> Irreps:
    """The product of each copy with its gate."""
    copies = zip(*([ir for mul, ir in irreps for _ in range(mul)] for irreps in (gated, gates)), strict=True)
    groups = ((len(list(group)), ir, gate) for (ir, gate), group in groupby(copies))
    return Irreps([(mul, Irrep(ir.l, ir.p * gate.p)) for mul, ir, gate in groups])


def _order(terms: Irreps, ordered: Irreps, layout: Layout) -> Tensor | None:
    """Where in the sorted and simplified vector of ``terms`` the components stand that make up the vector of ``ordered``."""
    order = terms.sort()
    first = [end - term.mul for end, term in zip(accumulate(term.mul for term in terms), terms, strict=True)]
    copies = [first[i] + u for i in order.inv for u in range(terms[i].mul)]
    column = dict(zip(copies, columns(order.irreps.simplify(), layout), strict=True))
    return arrange([column[u] for u in range(len(copies))], ordered, layout)
