"""Weights of pairs that are made when they are needed: for structures whose weights would fill the memory."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch.utils.checkpoint import checkpoint

from molzoo.shapes import Float, Tensor

PAIRS = 2**18
"""Rows made at once: a gigabyte of NequIP's weights, and all pairs of ten thousand atoms of water at 5 Å."""

PAIRS_FOR_LAYERS = 2**20
"""Pairs above which layers too are made anew for derivatives: of forty thousand atoms of water NequIP keeps 3.5 GiB."""


def too_many(d: Float[Tensor, " P"]) -> bool:
    """Whether weights at these distances are made block by block."""
    return len(d) > PAIRS


@dataclass(frozen=True, eq=False)
class DeferredWeights:
    """Weights (P, …) of which only the rows of a block of pairs ever exist, made anew for the derivatives.

    Args:
        make: the weights at some distances.
        d: distances of all pairs, in Å.
    """

    make: Callable[[Float[Tensor, " rows"]], Float[Tensor, "rows _"]]
    d: Float[Tensor, " P"]

    def blocks(self) -> Iterator[tuple[int, int]]:
        """First row of each block, and the first row after it.

        >>> import torch
        >>> list(DeferredWeights(torch.cos, torch.empty(300_000)).blocks())
        [(0, 262144), (262144, 300000)]
        """
        return ((first, min(first + PAIRS, len(self.d))) for first in range(0, len(self.d), PAIRS))


def again(call: Callable[..., Tensor], *arguments: Any) -> Tensor:
    """``call(*arguments)``, of which nothing is kept: the derivatives begin with the arguments anew.

    >>> import torch
    >>> x = torch.ones(3, requires_grad=True)
    >>> torch.autograd.grad(again(torch.exp, x).sum(), x)[0].equal(x.exp())
    True
    """
    return checkpoint(call, *arguments, use_reentrant=False, preserve_rng_state=False)


def sparing(layer: Callable[..., Tensor], weights: Tensor | DeferredWeights) -> Callable[..., Tensor]:
    """The layer, or one that keeps nothing where there are very many pairs."""
    few = not isinstance(weights, DeferredWeights) or len(weights.d) <= PAIRS_FOR_LAYERS
    return layer if few else partial(again, layer)
