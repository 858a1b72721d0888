"""Dense layers."""

import math
from itertools import pairwise

import torch
from torch import nn

from molzoo.kernels import linear
from molzoo.shapes import Float, Tensor


class Dense(nn.Linear):
    """W x + b, as ``torch.nn.Linear``, by the fastest product at hand."""

    def forward(self, x: Float[Tensor, "*rows n_in"]) -> Float[Tensor, "*rows n_out"]:
        """The map of each row."""
        return linear(x, self.weight, self.bias)


def dense(n_in: int, n_out: int, bias: bool = True) -> Dense:
    """A linear layer with Glorot-uniform weights and zero bias, as SchNet and PaiNN start from."""
    layer = Dense(n_in, n_out, bias=bias)
    torch.nn.init.xavier_uniform_(layer.weight)
    if bias:
        torch.nn.init.zeros_(layer.bias)
    return layer


def orthogonal_dense(n_in: int, n_out: int, bias: bool = True, gain: float = 1.0) -> Dense:
    """A linear layer with orthogonal weights of mean square 2 gain²/(n_in + n_out) and zero bias, as DimeNet starts from.

    >>> orthogonal_dense(16, 48).weight.square().mean().round(decimals=5).item()
    0.03125
    """
    layer = Dense(n_in, n_out, bias=bias)
    torch.nn.init.orthogonal_(layer.weight, gain=gain * math.sqrt(2 * max(n_in, n_out) / (n_in + n_out)))
    if bias:
        torch.nn.init.zeros_(layer.bias)
    return layer


def mlp(*widths: int, activation: nn.Module) -> nn.Sequential:
    """Dense layers of these widths with ``activation`` between them, none after the last.

    >>> mlp(8, 16, 1, activation=nn.SiLU())(torch.zeros(3, 8)).shape
    torch.Size([3, 1])
    """
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(widths):
        layers += [dense(n_in, n_out), activation]
    return nn.Sequential(*layers[:-1])
