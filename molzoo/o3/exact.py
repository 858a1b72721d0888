"""Constants that no cast can round."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from molzoo.shapes import Tensor


class Exact(nn.Module):
    """A constant tensor of a layer, given in float64, handed out in the precision and on the device of what it meets.

    A buffer that was cast to float32 and back stays rounded; this one starts from float64 at every cast. It moves with its
    layer and is not part of the state dict.

    Args:
        value: float64, on the CPU.

    >>> third = Exact(torch.tensor(1 / 3, dtype=torch.float64)).float().double()
    >>> float(third(torch.ones(1, dtype=torch.float64))) == 1 / 3
    True
    """

    values: Tensor

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.exact = value
        self.register_buffer("values", value.to(torch.get_default_dtype()), persistent=False)

    def forward(self, like: Tensor) -> Tensor:
        """The constant for arithmetic with ``like``.

        Raises:
            ValueError: ``like`` holds whole numbers, to which the constant would be rounded.
        """
        if not like.is_floating_point():
            raise ValueError(f"features must be real numbers; got {like.dtype}, call .float() or .double() on them")
        ready = self.values.dtype == like.dtype and self.values.device == like.device
        return self.values if ready else self.exact.to(like)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        super()._apply(fn, recurse)
        self.values = self.exact.to(self.values)
        return self
