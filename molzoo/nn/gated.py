"""Gates whose activations are chosen by parity, and the features that equivariant layers pass on."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F

from molzoo.o3 import Gate, Irreps
from molzoo.shapes import Tensor

ACTIVATIONS: dict[int, Callable[[Tensor], Tensor]] = {1: F.silu, -1: torch.tanh}
"""By parity: of an odd scalar only an odd function knows the parity."""


def gate(irreps: Irreps) -> Gate:
    """The gate, in layout ir_mul, that makes ``irreps``: scalars are activated, other copies are each given an even gate.

    >>> gate(Irreps("8x0e + 4x0o + 4x1o")).irreps_in
    4x0o+12x0e+4x1o
    """
    scalars, gated = Irreps([t for t in irreps if t.ir.l == 0]), Irreps([t for t in irreps if t.ir.l > 0])
    gates = Irreps([(t.mul, "0e") for t in gated])
    return Gate(scalars, [ACTIVATIONS[t.ir.p] for t in scalars], gates, [ACTIVATIONS[1]] * len(gates), gated, layout="ir_mul")


def features_up_to(l_max: int, channels: int | Sequence[int], parity: bool) -> Irreps:
    """Irreps of degrees 0 … ``l_max``: of parity (−1)^l, or of both.

    Args:
        l_max: highest degree.
        channels: copies of each, one number or one for each degree.
        parity: whether to have both parities.

    >>> features_up_to(2, [8, 4, 2], parity=False)
    8x0e+4x1o+2x2e
    """
    by_degree = [channels] * (l_max + 1) if isinstance(channels, int) else list(channels)
    if len(by_degree) != l_max + 1:
        raise ValueError(f"channels={by_degree} are not one for each degree 0 … l_max={l_max}; give {l_max + 1} numbers or one")
    kinds = [(mul, l, p) for l, mul in enumerate(by_degree) for p in ((1, -1) if parity else ((-1) ** l,))]
    return Irreps([(mul, (l, p)) for mul, l, p in kinds])
