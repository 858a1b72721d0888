"""Muon: AdamW's place taken, for weights that are matrices, by steps whose singular values are all alike.

K. Jordan et al., Muon: An optimizer for hidden layers in neural networks (2024), https://kellerjordan.github.io/posts/muon/;
size of the steps: J. Liu et al. (2025), https://arxiv.org/abs/2502.16982.

    M ← μ M + ∇ ,    G = ∇ + μ M ,    W ← W − η · 0.2 √max(u, v) · orth(G) ,    orth(U S Vᵀ) ≈ U Vᵀ

A gradient of a matrix is nearly of low rank, and Adam's steps are too: they hardly move most directions. The layers of the zoo
keep the matrices of all degrees in one flat vector, so torch's own Muon, which takes matrices that are parameters, one after
the other, does not fit; here those of one shape are made orthogonal in one batch.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.optim.adamw import adamw

from molzoo.shapes import Float, Tensor

_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""a, b, c of X ← a X + (b A + c A²) X, A = X Xᵀ: five steps bring singular values of 0.002 … 1 to 0.7 … 1.2 (Jordan et al.)."""
_STEPS = 5
_RMS = 0.2
"""Root mean square of a step in units of the rate: about that of Adam's, so that rates can be kept (Liu et al.)."""


class _Matrices(NamedTuple):
    """A stack of matrices in the memory of a parameter, laid so that rows are not more than columns."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int

    def of(self, t: Tensor) -> Float[Tensor, "matrices rows columns"]:
        """The same places of a parameter, or of a tensor that is laid out like it."""
        return t.as_strided(self.size, self.stride, self.offset)


class Muon(torch.optim.Optimizer):
    """The steps above for all parameters of a network that are matrices, AdamW's for the others.

    Matrices are those of layers with ``weight_views``, and parameters of two axes that are no embedding; a column or row alone
    is not taken for one.

    Args:
        network: whose parameters to train, those that require a gradient.
        lr: η.
        momentum: μ.
        weight_decay: as AdamW's, of all parameters.
        betas: AdamW's.

    >>> net = nn.Sequential(nn.Linear(3, 8), nn.Linear(8, 1))
    >>> [len(group["params"]) for group in Muon(net).param_groups]  # one matrix; two biases and a row
    [1, 3]
    """

    def __init__(
        self,
        network: nn.Module,
        lr: float = 1e-3,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        betas: tuple[float, float] = (0.9, 0.999),
    ) -> None:
        free = [p for p in network.parameters() if p.requires_grad]
        self._matrices: dict[Tensor, list[_Matrices]] = {p: found for p, found in _matrices(network).items() if p.requires_grad}
        groups = [p for p in free if p in self._matrices], [p for p in free if p not in self._matrices]
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "betas": betas}
        super().__init__([{"params": group} for group in groups], defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """One step of all parameters that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        matrices, others = (
            {**group, "params": [p for p in group["params"] if p.grad is not None]} for group in self.param_groups
        )
        if matrices["params"]:
            self._orthogonal_step(**matrices)
        if others["params"]:
            self._adam_step(**others)
        return loss

    def _orthogonal_step(self, params: list[Tensor], lr: float, momentum: float, weight_decay: float, **_: Any) -> None:
        gradients = [p.grad for p in params]
        momenta = [self._state(p, "momentum") for p in params]
        torch._foreach_mul_(momenta, momentum)
        torch._foreach_add_(momenta, gradients)
        ahead = torch._foreach_add(gradients, momenta, alpha=momentum)
        if weight_decay:
            torch._foreach_mul_(params, 1 - lr * weight_decay)
        alike: dict[tuple[int, ...], list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for p, G in zip(params, ahead, strict=True):
            for place in self._matrices[p]:
                alike[place.size[1:]].append((place.of(p), place.of(G)))
        for (_, columns), pairs in alike.items():
            steps = orthogonal(torch.cat([G for _, G in pairs])).split([len(G) for _, G in pairs])
            torch._foreach_add_([W for W, _ in pairs], steps, alpha=-lr * _RMS * math.sqrt(columns))

    def _adam_step(self, params: list[Tensor], lr: float, betas: tuple[float, float], weight_decay: float, **_: Any) -> None:
        first, second, steps = ([self._state(p, name) for p in params] for name in ("exp_avg", "exp_avg_sq", "step"))
        rates = {"lr": lr, "beta1": betas[0], "beta2": betas[1], "weight_decay": weight_decay, "eps": 1e-8}
        gradients = [p.grad for p in params]
        adamw(params, gradients, first, second, [], steps, fused=True, amsgrad=False, maximize=False, **rates)

    def _state(self, p: Tensor, name: str) -> Tensor:
        """What is kept of a parameter, from zero on."""
        if name not in (kept := self.state[p]):
            kept[name] = torch.zeros((), device=p.device) if name == "step" else torch.zeros_like(p)
        return kept[name]


def orthogonal(G: Float[Tensor, "matrices rows columns"]) -> Float[Tensor, "matrices rows columns"]:
    """Each U S Vᵀ with all singular values near 1; rows are not more than columns.

    >>> X = orthogonal(torch.diag(torch.tensor([3.0, 0.1]))[None])[0]
    >>> bool(((X @ X.T).diagonal().sqrt() - 1).abs().max() < 0.35)
    True
    """
    X = G / G.norm(dim=(1, 2), keepdim=True).clamp(min=torch.finfo(G.dtype).tiny)
    a, b, c = _NEWTON_SCHULZ
    for _ in range(_STEPS):
        A = X @ X.mT
        X = torch.baddbmm(X, torch.baddbmm(A, A, A, beta=b, alpha=c), X, beta=a)
    return X


def _matrices(network: nn.Module) -> dict[Tensor, list[_Matrices]]:
    """Where the matrices of each parameter lie, of those that hold nothing else."""
    found: dict[Tensor, list[_Matrices]] = {}
    for layer in network.modules():
        for p, views in _views(layer):
            if views and all(min(view.shape[-2:]) > 1 for view in views) and sum(view.numel() for view in views) == p.numel():
                found[p] = [_place(view, p) for view in views]
    return found


def _views(layer: nn.Module) -> Iterator[tuple[Tensor, list[Tensor]]]:
    """The parameters of a layer itself with the matrices in them."""
    own: dict[str, Tensor] = dict(layer.named_parameters(recurse=False))
    if hasattr(layer, "weight_views") and "weight" in own:
        yield own.pop("weight"), list(layer.weight_views())
    if not isinstance(layer, nn.Embedding):
        yield from ((p, [p]) for p in own.values() if p.ndim == 2)


def _place(view: Tensor, p: Tensor) -> _Matrices:
    view = view.detach().view(-1, *view.shape[-2:])  # never a copy, whose place would be another
    view = view if view.shape[1] <= view.shape[2] else view.mT
    return _Matrices(tuple(view.shape), view.stride(), view.storage_offset() - p.storage_offset())
