"""Layers for features of directed edges: from atoms to edges, along edges, and back to atoms (DimeNet, figure 4)."""

import torch
from torch import nn

from molzoo.kernels import linear
from molzoo.nn.convolution import Convolution, Edges
from molzoo.nn.mlp import orthogonal_dense
from molzoo.shapes import Float, Tensor


class EdgeEmbedding(nn.Module):
    """m_ji = σ(W [h_i, h_j, σ(W_e e + b_e)] + b) from features h of two atoms and the radial basis e of their distance.

    Args:
        channels: width of h and m.
        n_radial: number of radial functions.
        activation: σ.
    """

    def __init__(self, channels: int, n_radial: int, activation: nn.Module) -> None:
        super().__init__()
        self.radial = orthogonal_dense(n_radial, channels)
        self.dense = orthogonal_dense(3 * channels, channels)
        self.activation = activation

    def forward(self, h: Float[Tensor, "N C"], e: Float[Tensor, "P n_radial"], edges: Edges) -> Float[Tensor, "E C"]:
        """Features of each edge."""
        # W in three parts: atoms and pairs are fewer than edges.
        W_i, W_j, W_e = self.dense.weight.chunk(3, dim=1)
        from_pair = linear(self.activation(self.radial(e)), W_e, self.dense.bias)
        to_i, to_j = linear(h, W_i), linear(h, W_j)
        parts = (to_i, edges.dst), (to_j, edges.src), (from_pair, edges.w_row)
        return self.activation(sum(part.index_select(0, row) for part, row in parts))


class ResidualLayer(nn.Module):
    """x + σ(W₂ σ(W₁ x + b₁) + b₂).

    Args:
        channels: width of x.
        activation: σ.
    """

    def __init__(self, channels: int, activation: nn.Module) -> None:
        super().__init__()
        dense = [orthogonal_dense(channels, channels) for _ in range(2)]
        self.change = nn.Sequential(dense[0], activation, dense[1], activation)

    def forward(self, x: Float[Tensor, "*rows C"]) -> Float[Tensor, "*rows C"]:
        """The changed features."""
        return x + self.change(x)


class EdgesToAtoms(nn.Module):
    """h_i = Σ_j W e(d_ji) ∘ m_ji.

    Args:
        channels: width of m.
        n_radial: number of radial functions.
    """

    def __init__(self, channels: int, n_radial: int) -> None:
        super().__init__()
        self.radial = orthogonal_dense(n_radial, channels, bias=False)
        self.convolution = Convolution(f"{channels}x0e", [(0, 0, 0)], f"{channels}x0e")

    def forward(self, m: Float[Tensor, "E C"], e: Float[Tensor, "P n_radial"], arriving: Edges) -> Float[Tensor, "N C"]:
        """What arrives at each atom; ``arriving`` are edges whose senders are the rows of m."""
        return self.convolution(m, torch.ones_like(m[:, :1]), self.radial(e), arriving)
