"""Interleaved timing: every contender once a round, so that whatever else the machine does hits all of them alike.

What takes less than 10 ms runs several times in a row, and once before without being timed: threads of the contender before
may still be waiting for work.
"""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from functools import lru_cache

import torch
from torch import Tensor

Pass = Callable[[], object]
COLUMNS = ("forward", "+ backward", "+ double backward")


def passes(call: Callable[..., Tensor], inputs: Sequence[Tensor], weights: Sequence[Tensor] = ()) -> dict[str, Pass]:
    """The three passes of a differentiable ``call``: values, gradients by inputs and weights, gradients of those by inputs.

    All along fixed cotangents: a loss of the gradients, such as their squares, would take longer than what is measured.
    """
    leaves = [*inputs, *weights]
    with torch.no_grad():
        out = call(*inputs)
    cotangent, *others = (_cotangent(t.shape, t.dtype) for t in (out, *inputs))

    def forward() -> Tensor:
        with torch.no_grad():
            return call(*inputs)

    def backward() -> tuple[Tensor, ...]:
        return torch.autograd.grad(call(*inputs), leaves, cotangent)

    def double() -> tuple[Tensor, ...]:
        first = torch.autograd.grad(call(*inputs), inputs, cotangent, create_graph=True)
        return torch.autograd.grad(first, leaves, others, allow_unused=True)

    return dict(zip(COLUMNS, (forward, backward, double), strict=True))


@lru_cache(maxsize=8)
def _cotangent(shape: torch.Size, dtype: torch.dtype) -> Tensor:
    """Random numbers, the same for all contenders."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


def race(contenders: dict[str, Pass], rounds: int = 15, seconds: float = 20.0) -> dict[str, list[float]]:
    """Milliseconds of each contender in each round; whoever fails (a pass that it does not have) is left out."""
    able, fastest = {}, 1.0
    for name, run in contenders.items():
        try:
            for _ in range(3):
                start = time.perf_counter()
                run()
            able[name], fastest = run, min(fastest, time.perf_counter() - start)
        except Exception as error:
            print(f"    {name}: {type(error).__name__}: {str(error).splitlines()[0][:100]}")
    times: dict[str, list[float]] = {name: [] for name in able}
    times_in_a_row, begin = math.ceil(0.01 / fastest), time.perf_counter()
    for _ in range(rounds):
        for name, run in able.items():
            run()
            start = time.perf_counter()
            for _ in range(times_in_a_row):
                run()
            times[name].append(1e3 * (time.perf_counter() - start) / times_in_a_row)
        if time.perf_counter() - begin > seconds:
            break
    return times


def ratio(times: dict[str, list[float]], ours: str, peer: str) -> float:
    """Median over the rounds of peer / ours: how many times faster we are."""
    return statistics.median(b / a for a, b in zip(times[ours], times[peer], strict=True))


def medians(times: dict[str, list[float]]) -> dict[str, float]:
    """Median milliseconds by contender."""
    return {name: statistics.median(values) for name, values in times.items()}


def compared(times: dict[str, list[float]], unit: str = "ms") -> dict[str, dict]:
    """What a record keeps of a race: medians, and how many times faster each way of ours is than each peer."""
    ours = [name for name in times if name.startswith("molzoo")]
    peers = [name for name in times if name not in ours]
    ratios = {name: {peer: ratio(times, name, peer) for peer in peers} for name in ours}
    return {"unit": unit, "values": medians(times), "ratios": ratios}


def show(column: str, found: dict[str, dict]) -> None:
    """One line for each way of ours: how many times faster it is than the fastest peer, and all medians."""
    values = "  ".join(f"{name} {value:.4g}" for name, value in found["values"].items())
    for ours, ratios in found["ratios"].items():
        least = f"{min(ratios.values()):6.2f}x" if ratios else "      –"
        print(f"  {column:<22}{least}  {ours}   {found['unit']}: {values}", flush=True)
