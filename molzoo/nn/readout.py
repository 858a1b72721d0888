"""Readouts: features of an atom → the numbers that properties ask for, as ``hidden`` and then one ``linear``."""

from collections.abc import Iterable

import torch
from torch import nn

from molzoo.kernels import cat
from molzoo.nn.mlp import dense, orthogonal_dense
from molzoo.o3 import Irreps
from molzoo.shapes import Float, Tensor


def only(gives: str | Irreps, irreps_out: Irreps) -> None:
    """Refuse irreps that a readout cannot give.

    Raises:
        ValueError: ``irreps_out`` holds others than ``gives``.
    """
    gives = Irreps(gives)
    others = [str(term.ir) for term in irreps_out if term.ir not in gives]
    if others:
        able = " and ".join(str(term.ir) for term in gives)
        raise ValueError(f"irreps_out={str(irreps_out)!r}: this model gives {able} of each atom, not {others[0]}")


class Linear(nn.Module):
    """A linear map that respects rotations: one matrix for scalars (with a bias), one for vectors, none between them.

    Args:
        channels: copies of 0e, and of 1o, that come in.
        irreps_out: what goes out, made of 0e and 1o.
    """

    def __init__(self, channels: int, irreps_out: Irreps) -> None:
        super().__init__()
        only("0e + 1o", irreps_out)
        self.irreps_out = irreps_out
        n_scalars, n_vectors = irreps_out.count("0e"), irreps_out.count("1o")
        self.scalars = dense(channels, n_scalars) if n_scalars else None
        self.vectors = dense(channels, n_vectors, bias=False) if n_vectors else None

    def forward(self, s: Float[Tensor, "N C"], v: Float[Tensor, "N 3 C"] | None = None) -> Float[Tensor, "N out"]:
        """The outputs, flat, in the order of ``irreps_out``."""
        s_out = iter([] if self.scalars is None else self.scalars(s).split([t.mul for t in self.irreps_out if t.ir.l == 0], 1))
        v_out = iter(
            []
            if self.vectors is None
            else self.vectors(v).mT.split([t.mul for t in self.irreps_out if t.ir.l == 1], 1)  # (N, mul, 3): mul_ir order
        )
        return torch.cat([next(s_out) if t.ir.l == 0 else next(v_out).flatten(1) for t in self.irreps_out], dim=1)


class LayerwiseReadout(nn.Module):
    """Σ_t w_t · hidden_t(h_t) over the layers t of a network, as one linear map, without bias, of all hidden features.

    Args:
        hidden: a network for the features of each layer.
        channels: width of each layer's features.
        width: of what each hidden network gives.
        irreps_out: scalars to give.
    """

    def __init__(self, hidden: Iterable[nn.Module], channels: int, width: int, irreps_out: Irreps) -> None:
        super().__init__()
        only("0e", irreps_out)
        self.channels = channels
        self.hidden = nn.ModuleList(hidden)
        self.linear = orthogonal_dense(len(self.hidden) * width, irreps_out.dim, bias=False)

    def forward(self, features: Float[Tensor, "N features"]) -> Float[Tensor, "N out"]:
        """Outputs of each atom, from the layers' features side by side."""
        layers = zip(self.hidden, features.split(self.channels, 1), strict=True)
        return self.linear(cat([hidden(h) for hidden, h in layers]))


class ScalarReadout(nn.Module):
    """σ(W₁ s + b₁) of half the width, then a linear layer (SchNet, figure 2).

    Args:
        channels: width C of the features.
        irreps_out: scalars to give.
        activation: σ.
    """

    def __init__(self, channels: int, irreps_out: Irreps, activation: nn.Module) -> None:
        super().__init__()
        only("0e", irreps_out)
        self.hidden = nn.Sequential(dense(channels, channels // 2), activation)
        self.linear = Linear(channels // 2, irreps_out)

    def forward(self, features: Float[Tensor, "N C"]) -> Float[Tensor, "N out"]:
        """Outputs of each atom."""
        return self.linear(self.hidden(features))
