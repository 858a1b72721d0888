"""A layer beside e3nn's: values, first and second derivatives, in both layouts."""

import contextlib
from collections.abc import Callable, Iterator

import e3nn.o3
import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from molzoo import o3


def irreps(least: int = 0) -> st.SearchStrategy[str]:
    """Irreps in any order, repeated, with at least so many copies of each term, and at least so many terms."""
    term = st.tuples(st.integers(least, 4), st.sampled_from(["0e", "0o", "1o", "1e", "2e", "2o", "3o"]))
    terms = st.lists(term, min_size=least, max_size=4)
    return terms.map(lambda terms: "+".join(f"{mul}x{ir}" for mul, ir in terms))


LAYOUTS = ["mul_ir", "ir_mul"]


@contextlib.contextmanager
def double() -> Iterator[None]:
    """e3nn computes its constants in the default precision."""
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def twins(ours: Callable[[], nn.Module], theirs: Callable[[], nn.Module], strict: bool = False) -> list[nn.Module]:
    """Both layers in float64, with e3nn's weights, none of which is 0 or 1."""
    with double():
        torch.manual_seed(0)
        pair = [ours(), theirs()]
    for tensor in (*pair[1].parameters(), *(b for name, b in pair[1].named_buffers() if name.startswith("running"))):
        tensor.data = tensor.data + torch.rand_like(tensor)
    missing, _ = pair[0].load_state_dict(pair[1].state_dict(), strict=strict)
    assert not missing
    return pair


def relaid(x: Tensor, irreps: str, source: str, target: str) -> Tensor:
    """The same features in another layout."""
    return o3.join(o3.split(x, o3.Irreps(irreps), source), target, like=x)


def same(ours: nn.Module, theirs: nn.Module, x: Tensor, *weights: Tensor, tolerance: float = 1e-12) -> None:
    """Equal values, and derivatives by x and all weights, to the second order; ``ours`` may be in ``ir_mul``."""
    irreps_in, irreps_out = (getattr(ours, name, None) for name in ("irreps_in", "irreps_out"))
    irreps_in = ours.irreps if irreps_in is None else irreps_in
    irreps_out = ours.irreps if irreps_out is None else irreps_out
    results = []
    for layer in (ours, theirs):
        leaves = [t.detach().clone().requires_grad_() for t in (x, *weights)]
        parameters = [p for _, p in sorted(layer.named_parameters())]
        features = relaid(leaves[0], irreps_in, "mul_ir", ours.layout) if layer is ours else leaves[0]
        out = layer(features, *leaves[1:])
        out = relaid(out, irreps_out, ours.layout, "mul_ir") if layer is ours else out
        weight = torch.linspace(0.5, 1.5, out.numel()).view_as(out).to(out)
        first = derivatives((weight * out.square()).sum(), [*leaves, *parameters])
        second = derivatives(sum(g.square().sum() for g in first), [*leaves, *parameters])
        results.append([out, *first, *second])
    assert len(results[0]) == len(results[1])
    for a, b in zip(*results, strict=True):
        scale = max(1.0, float(b.detach().abs().max())) if b.numel() else 1.0
        torch.testing.assert_close(a, b, rtol=0, atol=tolerance * scale)


def derivatives(y: Tensor, leaves: list[Tensor]) -> list[Tensor]:
    if not y.requires_grad:
        return [torch.zeros_like(leaf) for leaf in leaves]
    return list(torch.autograd.grad(y, leaves, create_graph=True, materialize_grads=True))


def randn(irreps: str, *rows: int) -> Tensor:
    """Features, the same at every call."""
    return e3nn.o3.Irreps(irreps).randn(*rows, -1, dtype=torch.float64)
