"""Nonlinear functions of scalars, and of the lengths of irreps, scaled so that a normal input gives a unit second moment."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import nn

from molzoo.kernels import cat
from molzoo.o3.blocks import Layout, fits, layout_of
from molzoo.o3.irreps import Irreps, MulIrrep
from molzoo.o3.norm import Norm
from molzoo.o3.places import copy_of, take
from molzoo.shapes import Float, Tensor

Function = Callable[[Tensor], Tensor]


@lru_cache(maxsize=1)
def _normal_numbers() -> Tensor:
    return torch.randn(1_000_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64, device="cpu")


def moment(f: Function, n: int, dtype: torch.dtype | None = None, device: Any = None) -> Tensor:
    """⟨f(z)ⁿ⟩ of normal z, by a Monte Carlo sum: a million numbers of a seed of its own, the same at every call.

    They are e3nn's numbers on a CPU, so that constants agree to the last digit; here they are the same on every device.

    >>> moment(torch.sin, 2)  # exactly, (1 − e⁻²) / 2 = 0.4323
    tensor(0.4318)
    """
    return f(_normal_numbers().to(device, dtype or torch.get_default_dtype())).pow(n).mean()


@torch.no_grad()
def _scale(f: Function, device: Any) -> float:
    return moment(f, 2, torch.float64, device).pow(-0.5).item()


_scale_of_function = lru_cache(maxsize=256)(_scale)


class normalize2mom(nn.Module):  # noqa: N801
    """c·f with c = ⟨f(z)²⟩^−½ for normal z (see :func:`moment`), and c = 1 if it is within 10⁻⁴ of 1.

    c is found once for each function, in float64, and is a Python number: no cast rounds it.

    Args:
        f: of each component by itself; a module's parameters enter as they are now.
        dtype: without use, as in e3nn.
        device: where to find c; by default where the parameters of ``f`` are.

    >>> round(normalize2mom(torch.nn.functional.silu).cst, 6)
    1.679177
    """

    def __init__(self, f: Function, dtype: torch.dtype | None = None, device: Any = None) -> None:
        super().__init__()
        self.f = f
        scale = _scale if isinstance(f, nn.Module) else _scale_of_function
        self.cst = scale(f, device or _like(f).device)
        self._is_id = abs(self.cst - 1) < 1e-4

    def forward(self, x: Tensor) -> Tensor:
        """c·f(x)."""
        return self.f(x) if self._is_id else self.f(x) * self.cst


def _like(f: Function) -> Tensor:
    """A tensor in the precision and on the device of a function: a parameter or buffer, if there are some."""
    tensors = (*f.parameters(), *f.buffers()) if isinstance(f, nn.Module) else ()
    return next(iter(tensors), torch.zeros((), dtype=torch.float64, device="cpu"))


def parity(f: Function) -> int:
    """1 of an even function, −1 of an odd one, else 0.

    >>> parity(torch.abs), parity(torch.tanh), parity(torch.nn.functional.silu)
    (1, -1, 0)
    """
    x = torch.linspace(0, 10, 256).to(_like(f))
    there, back = f(x), f(-x)
    return next((p for p in (1, -1) if (there - p * back).abs().max() < 1e-5), 0)


class Activation(nn.Module):
    """A function for each term of scalars, normalised by :class:`normalize2mom`; ``None`` leaves a term as it is.

    Even scalars (0e) take any function and stay even. Of odd scalars (0o), an odd function is odd, an even one is even, and
    another has no parity.

    Args:
        irreps_in: of the features.
        acts: a function or None for each term.
        layout: of the features.

    >>> Activation("4x0e + 2x0o + 2x0o + 1o", [torch.nn.functional.silu, torch.tanh, torch.abs, None])
    Activation [xxx ] (4x0e+2x0o+2x0o+1x1o -> 4x0e+2x0o+2x0e+1x1o)
    """

    def __init__(self, irreps_in: Any, acts: Sequence[Function | None], *, layout: Layout = "mul_ir") -> None:
        super().__init__()
        self.irreps_in, self.layout = Irreps(irreps_in), layout_of(layout)
        if len(acts) != len(self.irreps_in):
            raise ValueError(
                f"{len(acts)} activations are given for the {len(self.irreps_in)} terms of {self.irreps_in or '(none)'}; "
                "give one for each, None for terms that stay as they are"
            )
        normalized = [None if act is None else normalize2mom(act) for act in acts]
        parities = [_activated(term, act) for term, act in zip(self.irreps_in, normalized, strict=True)]
        self.irreps_out = Irreps([(mul, (ir.l, p)) for (mul, ir), p in zip(self.irreps_in, parities, strict=True)])
        self.acts = nn.ModuleList(normalized)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        acts = "".join(" " if act is None else "x" for act in self.acts)
        return f"{type(self).__name__} [{acts}] ({self.irreps_in} -> {self.irreps_out})"

    def forward(self, features: Tensor, dim: int = -1) -> Tensor:
        """The activated features, which lie along the axis ``dim``."""
        fits(features.movedim(dim, -1), self.irreps_in)
        if not self.irreps_in:
            return features
        parts = zip(features.split([term.dim for term in self.irreps_in], dim), self.acts, strict=True)
        out = [part if act is None else act(part) for part, act in parts]
        if len(out) == 1:
            return out[0]
        return cat(out) if dim in (-1, features.ndim - 1) else torch.cat(out, dim)


def _activated(term: MulIrrep, act: normalize2mom | None) -> int:
    """The parity of activated scalars."""
    if act is None:
        return term.ir.p
    if term.ir.l != 0:
        raise ValueError(
            f"an activation of {term} would not turn with it; activations are for scalars, None leaves {term} as it is"
        )
    if term.ir.p == 1:
        return 1
    if p := parity(act):
        return p
    name = getattr(act.f, "__name__", act.f)
    raise ValueError(
        f"{name} of {term} has no parity, for {name} is neither even nor odd; take an even or odd function, or 0e scalars"
    )


class NormActivation(nn.Module):
    """φ(|x_u| + b_u) x_u / |x_u| for each copy, or φ(|x_u| + b_u) x_u; φ is not normalised.

    Args:
        irreps_in: of x.
        scalar_nonlinearity: φ.
        normalize: whether to divide by the length.
        epsilon: with ``normalize``, shorter lengths count as this one; 1e-8 by default.
        bias: whether there are b, one for each copy; they begin at 0.
        layout: of x.

    >>> NormActivation("2x1o", torch.exp)(torch.tensor([0.0, 1, 0, 0, 0, 2]))
    tensor([0.0000, 2.7183, 0.0000, 0.0000, 0.0000, 7.3891])
    """

    _copy: Tensor

    def __init__(
        self,
        irreps_in: Any,
        scalar_nonlinearity: Function,
        normalize: bool = True,
        epsilon: float | None = None,
        bias: bool = False,
        *,
        layout: Layout = "mul_ir",
    ) -> None:
        super().__init__()
        self.irreps_in = self.irreps_out = Irreps(irreps_in)
        self.layout, self.normalize, self.bias = layout_of(layout), normalize, bias
        if epsilon is not None and not normalize:
            raise ValueError(
                f"epsilon = {epsilon} is for dividing by the length, which normalize=False does not; leave one out"
            )
        if epsilon is not None and epsilon <= 0:
            raise ValueError(f"epsilon is a positive length; got {epsilon}")
        self.epsilon = 1e-8 if normalize and epsilon is None else epsilon
        self.norm = Norm(self.irreps_in, squared=normalize, layout=layout)
        self.scalar_nonlinearity = scalar_nonlinearity
        if bias:
            self.biases = nn.Parameter(torch.zeros(self.irreps_in.num_irreps))
        self.register_buffer("_copy", copy_of(self.irreps_in, layout), persistent=False)

    def forward(self, features: Float[Tensor, "*rows features"]) -> Float[Tensor, "*rows features"]:
        """The formula above."""
        norms = self.norm(features)
        if self.epsilon is not None:
            norms = norms.clamp(min=self.epsilon**2).sqrt()
        factors = self.scalar_nonlinearity(norms + self.biases if self.bias else norms)
        if self.normalize:
            factors = factors / norms
        return features * take(factors, self._copy)
