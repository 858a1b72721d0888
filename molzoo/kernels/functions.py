"""Functions of autograd at less cost: called directly; and which of them, and of their gradients, are needed at all."""

import inspect
from contextlib import suppress
from typing import Any, TypeVar

import torch
from torch.autograd import Function

F = TypeVar("F", bound=type[Function])


def direct(function: F) -> F:
    """``function``, whose ``apply`` binds no arguments by name, as torch does each time: that is half the cost of a call.

    >>> @direct
    ... class Double(torch.autograd.Function):
    ...     @staticmethod
    ...     def forward(x):
    ...         return 2 * x
    ...     @staticmethod
    ...     def setup_context(ctx, inputs, output):
    ...         pass
    >>> Double.apply(torch.ones(1))
    tensor([2.])
    """
    function.forward.__signature__ = inspect.signature(function.forward)  # type: ignore[attr-defined]
    function.apply = classmethod(_apply)  # type: ignore[assignment, method-assign]
    return function


def _apply(function: type[Function], *arguments: Any) -> Any:
    if torch._C._are_functorch_transforms_active():
        return Function.apply.__func__(function, *arguments)  # type: ignore[attr-defined]
    arguments = torch._functorch.utils.unwrap_dead_wrappers(arguments)
    if not torch.is_grad_enabled() and torch.autograd.forward_ad._current_level < 0:  # nobody will differentiate
        return function.forward(*arguments)
    return super(Function, function).apply(*arguments)  # type: ignore[misc]


# Between two graphs, in a backward pass, Dynamo meets the call alone and can make nothing of it: it is told to let it be.
with suppress(ImportError):
    from torch._C._dynamo.eval_frame import _FrameAction, _FrameExecStrategy, set_code_exec_strategy

    set_code_exec_strategy(_apply.__code__, _FrameExecStrategy(_FrameAction.SKIP, _FrameAction.DEFAULT))


def differentiated(*tensors: torch.Tensor | None) -> bool:
    """Whether autograd, in either direction, or a transform of torch.func follows what becomes of these tensors.

    >>> x = torch.ones(1, requires_grad=True)
    >>> with torch.no_grad():
    ...     differentiated(x, None)
    False
    >>> differentiated(x, None)
    True
    """
    given = [t for t in tensors if t is not None]
    return (
        (torch.is_grad_enabled() and any(t.requires_grad for t in given))
        or torch.autograd.forward_ad._current_level >= 0
        or any(torch._C._functorch.is_functorch_wrapped_tensor(t) for t in given)
    )


def awaited(ctx: Any) -> tuple[bool, ...]:
    """Of which arguments somebody waits for the gradient: ``ctx.needs_input_grad``, as functions of torch itself know it.

    ``backward(inputs=parameters)`` wants no gradient of what positions alone lead to, which a function in Python is not told.
    """
    needed = ctx.needs_input_grad
    nodes = [node for node, _ in getattr(ctx, "next_functions", ()) if node is not None]
    if torch.compiler.is_compiling() or len(nodes) != sum(needed):
        return needed
    each = iter(nodes)
    return tuple(needs and _awaited(next(each)) for needs in needed)


def _awaited(node: Any) -> bool:
    try:
        return torch._C._will_engine_execute_node(node)
    except RuntimeError:  # a leaf that torch.autograd.grad was asked for
        return True
