"""What is made of weights alone: kept while nobody trains them, and made anew when they have changed."""

from collections.abc import Callable
from itertools import chain
from typing import Any, Generic, TypeVar

import torch
from torch import nn

from molzoo.kernels.watchers import observed

T = TypeVar("T")


class Frozen(Generic[T]):
    """Keeps what is made of a network's weights, as long as none of them is trained.

    Weights are compared by where they lie and how often they were written, which torch counts; what is written through
    ``.data`` it does not count. Copies and files begin with nothing.

    >>> layer, kept = nn.Linear(1, 1), Frozen()
    >>> double = lambda: 2 * float(layer.weight)
    >>> kept(layer, double) is None
    True
    >>> before = kept(layer.requires_grad_(False), double)
    >>> _ = layer.weight.add_(1.0)
    >>> round(kept(layer, double) - before, 5)
    2.0
    """

    _made: T
    _found: tuple[object, ...] | None
    _weights: list[torch.Tensor]

    def __init__(self) -> None:
        self.forget()

    def __call__(self, network: nn.Module, make: Callable[[], T], *also: object) -> T | None:
        """What ``make()`` gives, which may depend on the weights and on ``also``; None where a weight is not frozen."""
        weights: list[torch.Tensor] = []
        if observed() or not _frozen(network, weights):
            return None
        found = (*also, *((id(t), t.data_ptr(), t._version) for t in weights))
        if found != self._found:
            self._made, self._weights, self._found = make(), weights, found  # while they are held, no other has their id
        return self._made

    def forget(self) -> None:
        """Make it anew at the next call."""
        self._found, self._weights = None, []
        self.__dict__.pop("_made", None)

    def __reduce__(self) -> tuple[Any, ...]:
        return Frozen, ()


def _frozen(network: nn.Module, weights: list[torch.Tensor]) -> bool:
    """Whether no weight is followed by autograd or by autocast; they are added to the list."""
    for t in chain(network._parameters.values(), network._buffers.values()):
        if t is None:
            continue
        if t.requires_grad or t.is_inference() or torch.is_autocast_enabled(t.device.type):
            return False
        weights.append(t)
    return all(_frozen(child, weights) for child in network._modules.values() if child is not None)
