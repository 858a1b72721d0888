"""Times molzoo's convolution against e3nn's TensorProduct (uvu) + index_add, in turns, and against the machine's ceilings.

    scripts/bench/peers.sh o3        # once: an environment with both
    .peers/o3/bin/python scripts/bench/convolution.py [--only "l ≤ 2"] [--threads 2] [--rounds 15] [--skip-compiled] [--record]

Graphs are aspirins at 5 Å, as many as come nearest to a number of edges. On both sides every edge has its own weights; beside
that, weights are read per pair, as where they depend on the distance alone. Before anything is timed, outputs must agree to
1e-4 of the largest. Gradients are those by x, Y and w; of the double backward, those of these gradients by x, Y and w again,
along fixed cotangents.

The ceiling of a contraction is the larger of two times: its bytes at the rate of a copy of as many, and its multiplications
and additions at the rate of a matrix product of three matrices of that size, both measured between the contractions. Bytes:
each of x, Y, w, g and the indices once; an index of the order is 8 bytes. What is reused within a path is counted once.
"""

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import e3nn
import torch
from e3nn.o3 import Irreps, TensorProduct
from machine import keep_memory, limit_memory, machine, write
from race import COLUMNS, compared, medians, passes, race, show
from structures import CUTOFF, aspirins
from torch import Tensor
from torch_geometric.data import Batch

import molzoo
from molzoo.graph import connect
from molzoo.nn import Convolution, Edges, couplings, features_up_to

WORKS = [(2, 64, 13_440), (2, 64, 1_344), (2, 64, 134_400), (1, 32, 13_440), (3, 32, 13_440)]  # l, channels, edges
MODES = {"e3nn eager": "eager", "e3nn script": "script", "e3nn compiled": "inductor"}
Call = Callable[[Tensor, Tensor, Tensor], Tensor]


class Work(NamedTuple):
    """A convolution, its edges with weights of their own and with those of pairs, and its arguments."""

    convolution: Convolution
    edges: Edges
    pairs: Edges
    x: Tensor
    Y: Tensor
    w: Tensor  # of each edge
    w_pair: Tensor


def graph(n_edges: int, data: Path | None) -> Batch:
    """As many aspirins as have about so many edges."""
    some = [connect(frame, CUTOFF) for frame in aspirins(8, data)]
    each = sum(one.num_edges for one in some) / len(some)
    return Batch.from_data_list([connect(frame, CUTOFF) for frame in aspirins(max(1, round(n_edges / each)), data)])


def make(l_max: int, channels: int, batch: Batch) -> Work:
    """NequIP's convolution of features of natural parities, with random arguments."""
    irreps = features_up_to(l_max, channels, parity=False)
    paths, irreps_mid = couplings(irreps, l_max, irreps)
    convolution = Convolution(irreps, paths, irreps_mid, stack=True)
    src, dst = batch.edge_index
    n, E = len(batch.z), len(src)
    torch.manual_seed(0)
    w_pair = torch.randn(len(batch.pair_edge), sum(convolution.channels))
    leaves = torch.randn(n, irreps.dim), torch.randn(E, (l_max + 1) ** 2), w_pair[batch.pair_index], w_pair
    edges, pairs = Edges(src, dst, n, torch.arange(E)), Edges(src, dst, n, batch.pair_index)
    return Work(convolution, edges, pairs, *(leaf.requires_grad_() for leaf in leaves))


def product(work: Work, mode: str) -> Call:
    """The same in e3nn; each path has an output block of its own."""
    e3nn.set_optimization_defaults(jit_mode=mode)
    convolution, edges = work.convolution, work.edges
    irreps_in, blocks = convolution.irreps_in, convolution.irreps_out
    outs = [(irreps_in[path.block_in].mul, str(blocks[path.block_out].ir)) for path in convolution.paths]
    ways = [(path.block_in, path.l, p, "uvu", True) for p, path in enumerate(convolution.paths)]
    harmonics = Irreps.spherical_harmonics(math.isqrt(work.Y.shape[1]) - 1)
    layer = TensorProduct(str(irreps_in), harmonics, outs, ways, shared_weights=False, internal_weights=False)

    def call(x: Tensor, Y: Tensor, w: Tensor) -> Tensor:
        messages = layer(x[edges.src], Y, w)
        return messages.new_zeros(edges.n_dst, messages.shape[1]).index_add(0, edges.dst, messages)

    return torch.compile(call) if mode == "inductor" else call


def theirs(work: Work, x: Tensor) -> Tensor:
    """``x`` in e3nn's layout: channels first in each block."""
    irreps = work.convolution.irreps_in
    blocks = zip(x.detach().split([term.dim for term in irreps], 1), irreps, strict=True)
    return torch.cat([block.unflatten(1, (term.ir.dim, -1)).mT.flatten(1) for block, term in blocks], 1).requires_grad_()


def ours(work: Work, out: Tensor) -> Tensor:
    """e3nn's ``out`` in our layout: channels last, paths side by side in the block where they arrive."""
    convolution = work.convolution
    dims = [convolution.irreps_out[path.block_out].ir.dim for path in convolution.paths]
    widths = [dim * mul for dim, mul in zip(dims, convolution.channels, strict=True)]
    parts = [part.unflatten(1, (-1, dim)).mT for part, dim in zip(out.split(widths, 1), dims, strict=True)]
    blocks = [
        torch.cat([parts[p] for p, path in enumerate(convolution.paths) if path.block_out == b], 2).flatten(1)
        for b in range(len(convolution.irreps_out))
    ]
    return torch.cat(blocks, 1)


def against_e3nn(work: Work, modes: dict[str, str], rounds: int) -> dict[str, dict]:
    """One record for each of forward, + backward, + double backward."""
    x = theirs(work, work.x)
    ways = {
        "molzoo": passes(lambda x, Y, w: work.convolution(x, Y, w, work.edges), [work.x, work.Y, work.w]),
        "molzoo, per pair": passes(lambda x, Y, w: work.convolution(x, Y, w, work.pairs), [work.x, work.Y, work.w_pair]),
    }
    calls = {name: product(work, mode) for name, mode in modes.items()}
    with torch.no_grad():
        out = work.convolution(work.x, work.Y, work.w, work.edges)
        paired = work.convolution(work.x, work.Y, work.w_pair, work.pairs)
        others = {"molzoo, per pair": paired} | {name: ours(work, call(x, work.Y, work.w)) for name, call in calls.items()}
    for name, other in others.items():
        error = float((other - out).abs().max() / out.abs().max())
        assert error < 1e-4, f"{name} computes something else: {error:.1e}"
    ways |= {name: passes(call, [x, work.Y, work.w]) for name, call in calls.items()}
    record = {}
    for column in COLUMNS:
        record[column] = compared(race({name: way[column] for name, way in ways.items()}, rounds, seconds=120))
        show(column, record[column])
    return record


def n_bytes(work: Work, w: Tensor, slot: str) -> int:
    """What a contraction must move at least."""
    return work.convolution.program.n_bytes(slot, len(work.Y), len(work.x), work.edges.n_dst, len(w))


def ceilings(size: int) -> dict[str, Callable[[], object]]:
    """A copy that moves ``size`` bytes, and a product of three matrices that hold as many (of 2048 rows at most)."""
    a, n = torch.rand(size // 8), min(2048, math.isqrt(size // 12))
    b, c = torch.empty_like(a), torch.rand(n, n)
    out = torch.empty_like(c)
    return {"copy": lambda: b.copy_(a), "sgemm": lambda: torch.mm(c, c, out=out)}


def against_the_ceiling(work: Work, per_pair: bool, rounds: int) -> list[dict]:
    """Share of the ceiling that each of the four contractions reaches, with weights of edges or of pairs."""
    edges, w = (work.pairs, work.w_pair) if per_pair else (work.edges, work.w)
    arguments = {"x": work.x, "Y": work.Y, "w": w}
    out = work.convolution(work.x, work.Y, w, edges)
    g = torch.randn_like(out)

    def forward() -> None:
        with torch.no_grad():
            work.convolution(work.x, work.Y, w, edges)

    ways = {"g": forward} | {
        slot: lambda leaf=leaf: torch.autograd.grad(out, leaf, g, retain_graph=True) for slot, leaf in arguments.items()
    }
    times = medians(race(ways | ceilings(n_bytes(work, w, "g")), rounds))
    n = min(2048, math.isqrt(n_bytes(work, w, "g") // 12))
    rows = []
    for slot in ways:
        size, count = n_bytes(work, w, slot), len(work.Y) * work.convolution.program.flops(slot)
        least = {"bytes": times["copy"] * size / n_bytes(work, w, "g"), "flops": times["sgemm"] * count / (2 * n**3)}
        bound = max(least, key=least.__getitem__)
        row = {"contraction": f"∂Q/∂{slot}", "weights": "per pair" if per_pair else "per edge", "ms": times[slot]}
        rows.append(row | {"MB": size / 1e6, "MFLOP": count / 1e6, "bound": bound, "share": least[bound] / times[slot]})
        share = f"{rows[-1]['share']:.0%} of the ceiling, {bound}"
        print(f"  ∂Q/∂{slot}, weights {row['weights']}: {times[slot]:.2f} ms, {share}", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="works whose name contains this")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--data", type=Path, help="npz file of aspirin; by default rMD17's under MOLZOO_DATA")
    parser.add_argument("--skip-compiled", action="store_true")
    parser.add_argument("--record", action="store_true", help="write docs/results/convolution_speed.json")
    known = parser.parse_args()
    torch.set_num_threads(known.threads)
    keep_memory()
    limit_memory()
    modes = {name: mode for name, mode in MODES.items() if not (known.skip_compiled and "compiled" in name)}
    works: dict[str, dict] = {}
    shares: dict[str, list[dict]] = {}
    for l_max, channels, n_edges in WORKS:
        batch = graph(n_edges, known.data)
        name = f"l ≤ {l_max}, {channels} channels, {batch.num_edges:,} edges"
        if known.only.lower() not in name.lower():
            continue
        work = make(l_max, channels, batch)
        print(f"{name}, {len(batch.z):,} atoms, {len(work.convolution.paths)} paths")
        torch._dynamo.reset()  # it compiles a function eight times at most, then runs it as it is
        works[name] = against_e3nn(work, modes, known.rounds)
        shares[name] = [row for per_pair in (False, True) for row in against_the_ceiling(work, per_pair, known.rounds)]
    if known.record:
        versions = {"molzoo": molzoo.__version__, "e3nn": e3nn.__version__, "torch": torch.__version__}
        write("convolution_speed", machine(known.threads), versions, works, shares=shares)


if __name__ == "__main__":
    main()
