"""Who looks on while loops run: compilers, transforms and modes, some of whose tensors have no numbers.

Loops take plain tensors alone, and what is made while a mode looks on is not kept for those who come later. Transforms of
torch.func may look at features, but edges are what they are: those are found beneath the transforms.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack

K = TypeVar("K")
V = TypeVar("V")


def observed() -> bool:
    """Whether a compiler, a transform, a dispatch mode or a forward derivative is at work, whatever tensors it looks at."""
    return bool(
        torch.compiler.is_compiling()
        or torch._C._len_torch_dispatch_stack()
        or torch._C._are_functorch_transforms_active()
        or torch.autograd.forward_ad._current_level >= 0
    )


def watched(*tensors: torch.Tensor | None) -> bool:
    """Whether somebody looks inside: a compiler, a dispatch mode, or a transform of torch.func at one of these tensors."""
    if torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack():
        return True
    wrapped = torch._C._functorch.is_functorch_wrapped_tensor
    return torch._C._are_functorch_transforms_active() and any(wrapped(t) for t in tensors if t is not None)


def compiled_without_gradient(*tensors: torch.Tensor) -> bool:
    """Whether Dynamo compiles what nobody differentiates; it takes no ``autograd.Function`` then.

    >>> compiled_without_gradient(torch.ones(1))
    False
    """
    return torch.compiler.is_compiling() and not (torch.is_grad_enabled() and any(t.requires_grad for t in tensors))


def kept(cache: dict[K, V], key: K, make: Callable[[], V]) -> V:
    """``cache[key]``, made if it is not there, and kept unless a mode looks on, which may make tensors without numbers.

    >>> cache = {}
    >>> kept(cache, "one", lambda: 1), kept(cache, "one", lambda: 2), cache
    (1, 1, {'one': 1})
    """
    if key in cache:
        return cache[key]
    made = make()
    if torch.compiler.is_compiling() or not torch._C._len_torch_dispatch_stack():
        cache[key] = made
    return made


def plain(t: torch.Tensor) -> torch.Tensor:
    """A tensor as compiled loops take it: numbers without gaps, all of them written. It may still be followed by autograd.

    Raises:
        NotImplementedError: autograd has made many tensors one, in a way that it tells nobody.
    """
    if torch._C._functorch.is_legacy_batchedtensor(t):
        raise NotImplementedError(
            "compiled loops take no is_grads_batched=True and no vectorize=True; use torch.func.vmap, jacrev or hessian, "
            "or molzoo.kernels.use_backend('messages')"
        )
    t = t.contiguous()
    if t._is_zerotensor():  # of forward derivatives: zeros that nobody wrote
        return torch.zeros(t.shape, dtype=t.dtype)
    return t.resolve_neg() if t.is_neg() else t


def beneath(function: Callable[..., V], *arguments: Any) -> V:
    """``function(*arguments)``, outside of all transforms of torch.func, on what their tensors hold.

    For indices, which have no derivative and are kept for all layers.

    Raises:
        ValueError: vmap has made many tensors one, and the indices of each would be others.

    >>> torch.func.grad(lambda x: x * beneath(lambda t: float(t.numpy()), x))(torch.tensor(3.0))
    tensor(3.)
    """
    if torch.compiler.is_compiling() or not torch._C._are_functorch_transforms_active():
        return function(*arguments)
    with temporarily_clear_interpreter_stack():
        return function(*(_held(a) if isinstance(a, torch.Tensor) else a for a in arguments))


def under_vmap(t: torch.Tensor) -> bool:
    """Whether vmap has made many tensors one.

    >>> torch.func.vmap(lambda t: t * under_vmap(t))(torch.ones(2))
    tensor([1., 1.])
    """
    while torch._C._functorch.is_functorch_wrapped_tensor(t):
        if torch._C._functorch.is_batchedtensor(t):
            return True
        t = torch._C._functorch.get_unwrapped(t)
    return False


def _held(t: torch.Tensor) -> torch.Tensor:
    if under_vmap(t):
        raise ValueError(
            "structures under vmap share their edges; find them before: graph = molzoo.graph.connect(graph, cutoff)"
        )
    while torch._C._functorch.is_functorch_wrapped_tensor(t):
        t = torch._C._functorch.get_unwrapped(t)
    return t.detach()
