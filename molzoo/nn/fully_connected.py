"""Dense layers that keep the second moment: unit weights, divided by √n inside, and an activation of unit second moment."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import nn

from molzoo.kernels import matmul
from molzoo.o3.activation import normalize2mom
from molzoo.shapes import Float, Tensor


class _Layer(nn.Module):
    def __init__(self, h_in: int, h_out: int, act: nn.Module | None, var_in: float, var_out: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(h_in, h_out))
        self.h_in, self.h_out, self.act, self.var_in, self.var_out = h_in, h_out, act, var_in, var_out

    def forward(self, x: Float[Tensor, "*rows h_in"]) -> Float[Tensor, "*rows h_out"]:
        x = matmul(x, self.weight / (self.h_in * self.var_in) ** 0.5)
        x = x if self.act is None else self.act(x)
        return x if self.var_out == 1 else x * self.var_out**0.5

    def extra_repr(self) -> str:
        return f"{self.h_in} -> {self.h_out}"


class FullyConnectedNet(nn.Sequential):
    """x → √v_out · φ( … φ( x W₀ / √(n₀ v_in) ) W₁ / √n₁ … ): no biases, and the weights start from a unit normal distribution.

    φ is ``act`` times a constant that makes its second moment 1 for normal input, so that the second moment of every layer's
    output is 1, and that of the net's is v_out if the input's is v_in. e3nn's net: the same names (``layer0.weight``, of
    shape (in, out)), the same numbers.

    Args:
        hs: widths of the input, the hidden layers and the output.
        act: activation between the layers; none if left out.
        variance_in: v_in, second moment of the input.
        variance_out: v_out, second moment of the output.
        out_act: whether ``act`` follows the last layer too.

    Raises:
        ValueError: the input has another width than the net.

    >>> net = FullyConnectedNet([8, 16, 1], torch.nn.functional.silu)
    >>> net(torch.zeros(3, 8)).shape, net.layer0.weight.shape
    (torch.Size([3, 1]), torch.Size([8, 16]))
    """

    def __init__(
        self,
        hs: Sequence[int],
        act: Callable[[Tensor], Tensor] | None = None,
        variance_in: float = 1.0,
        variance_out: float = 1.0,
        out_act: bool = False,
    ) -> None:
        super().__init__()
        self.hs = list(hs)
        phi = None if act is None else normalize2mom(act)
        for i, (h_in, h_out) in enumerate(pairwise(self.hs)):
            first, last = i == 0, i == len(self.hs) - 2
            act_i = phi if out_act or not last else None
            self.add_module(
                f"layer{i}", _Layer(h_in, h_out, act_i, variance_in if first else 1.0, variance_out if last else 1.0)
            )

    def forward(self, x: Float[Tensor, "*rows features"]) -> Float[Tensor, "*rows out"]:
        """The output of the last layer."""
        if self.hs and x.shape[-1] != self.hs[0]:
            raise ValueError(f"x has {x.shape[-1]} components, but the net of widths {self.hs} takes {self.hs[0]}")
        return super().forward(x)

    def __repr__(self) -> str:
        return f"FullyConnectedNet{self.hs}"
