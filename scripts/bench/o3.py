"""Times `molzoo.o3` against e3nn (eager, TorchScript, torch.compile), sphericart and cuEquivariance's CPU path, interleaved.

    scripts/bench/peers.sh o3        # once: an environment with all of them
    .peers/o3/bin/python scripts/bench/o3.py [--rows 10000] [--rounds 15] [--only gate]

Before anything is timed, the outputs of all contenders for the same weights must agree to 1e-4 of the largest.
Writes docs/results/o3_speed.json.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable

import e3nn
import e3nn.nn
import e3nn.o3
import torch
from machine import machine, write
from race import COLUMNS, compared, passes, race, show
from torch import Tensor, nn

from molzoo import o3

FEATURES = "32x0e + 32x1o + 32x2e"
MODES = {"e3nn eager": "eager", "e3nn script": "script", "e3nn compiled": "inductor"}
OTHER_NUMBERS = ("cuEquivariance", "sphericart")  # weights of its own; other axes and norms, compared where they are known
Contenders = dict[str, tuple[Callable[..., Tensor], list[Tensor], list[Tensor]]]


def in_modes(make: Callable[[], nn.Module], ours: nn.Module, inputs: list[Tensor]) -> Contenders:
    """Our layer and e3nn's in its three modes, with our weights."""
    found: Contenders = {"molzoo": (ours, inputs, list(ours.parameters()))}
    for name, mode in MODES.items():
        e3nn.set_optimization_defaults(jit_mode=mode)
        layer = make()
        layer.load_state_dict(ours.state_dict(), strict=False)
        found[name] = (torch.compile(layer) if mode == "inductor" else layer, inputs, list(layer.parameters()))
    found["molzoo compiled"] = (torch.compile(ours), inputs, list(ours.parameters()))
    return found


def harmonics(l_max: int) -> Contenders:
    """Spherical harmonics of all degrees up to ``l_max`` of 100,000 vectors."""
    x = torch.randn(100_000, 3).requires_grad_()
    ls = list(range(l_max + 1))
    theirs = lambda v: e3nn.o3.spherical_harmonics(ls, v, True, "component")  # noqa: E731
    contenders: Contenders = {"molzoo": (lambda v: o3.spherical_harmonics(ls, v, True, "component"), [x], [])}
    contenders["e3nn script"] = (theirs, [x], [])
    contenders["e3nn compiled"] = (torch.compile(theirs), [x], [])
    try:
        import sphericart.torch

        calculator = sphericart.torch.SphericalHarmonics(l_max)
        turned = x.detach()[:, [2, 0, 1]].contiguous().requires_grad_()  # their polar axis is z, ours y
        scale = (4 * torch.pi) ** 0.5
        torch.testing.assert_close(scale * calculator(turned), theirs(x), rtol=0, atol=1e-4)
        contenders["sphericart"] = (calculator, [turned], [])
    except ImportError:
        print("    no sphericart here")
    return contenders


def product(rows: int) -> Contenders:
    """FullyConnectedTensorProduct with harmonics of degree up to 2."""
    sh = "1x0e + 1x1o + 1x2e"
    inputs = [torch.randn(rows, o3.Irreps(i).dim).requires_grad_() for i in (FEATURES, sh)]
    ours = o3.FullyConnectedTensorProduct(FEATURES, sh, FEATURES)
    contenders = in_modes(lambda: e3nn.o3.FullyConnectedTensorProduct(FEATURES, sh, FEATURES), ours, inputs)
    return contenders | cuequivariance_product(inputs, sh)


def linear(rows: int) -> Contenders:
    """Linear between equal irreps."""
    inputs = [torch.randn(rows, o3.Irreps(FEATURES).dim).requires_grad_()]
    ours = o3.Linear(FEATURES, FEATURES)
    contenders = in_modes(lambda: e3nn.o3.Linear(FEATURES, FEATURES), ours, inputs)
    return contenders | cuequivariance_linear(inputs)


def gate(rows: int) -> Contenders:
    """Gate of 32 scalars, and of 64 gates for 32x1o + 32x2e."""
    arguments = ("32x0e", [torch.nn.functional.silu], "64x0e", [torch.sigmoid], "32x1o + 32x2e")
    ours = o3.Gate(*arguments)
    inputs = [torch.randn(rows, ours.irreps_in.dim).requires_grad_()]
    return in_modes(lambda: e3nn.nn.Gate(*arguments), ours, inputs)


def cuequivariance_product(inputs: list[Tensor], sh: str) -> Contenders:
    """With random weights of its own: only its time can be compared."""
    try:
        import cuequivariance as cue
        import cuequivariance_torch as cuet
    except ImportError:
        print("    no cuEquivariance here")
        return {}
    irreps = [cue.Irreps("O3", i.replace(" ", "")) for i in (FEATURES, sh, FEATURES)]
    layer = cuet.FullyConnectedTensorProduct(*irreps, layout=cue.ir_mul, use_fallback=True)
    return {"cuEquivariance": (layer, inputs, list(layer.parameters()))}


def cuequivariance_linear(inputs: list[Tensor]) -> Contenders:
    """As above."""
    try:
        import cuequivariance as cue
        import cuequivariance_torch as cuet
    except ImportError:
        return {}
    irreps = cue.Irreps("O3", FEATURES.replace(" ", ""))
    layer = cuet.Linear(irreps, irreps, layout=cue.ir_mul, use_fallback=True)
    return {"cuEquivariance": (layer, inputs, list(layer.parameters()))}


COLD = """
import time, torch
from {module} import wigner_3j
start = time.perf_counter()
for a in range({l} + 1):
    for b in range({l} + 1):
        for c in range(abs(a - b), min(a + b, {l}) + 1):
            wigner_3j(a, b, c)
print(time.perf_counter() - start)
"""


def cold_couplings(rounds: int, l: int = 6) -> dict[str, list[float]]:
    """Milliseconds for all Wigner 3j symbols up to degree 6, each time in a new process."""
    times: dict[str, list[float]] = {"molzoo": [], "e3nn": []}
    for _ in range(rounds):
        for name, module in (("molzoo", "molzoo.o3"), ("e3nn", "e3nn.o3")):
            done = subprocess.run(
                [sys.executable, "-W", "ignore", "-c", COLD.format(module=module, l=l)],
                capture_output=True,
                text=True,
                check=True,
            )
            times[name].append(1e3 * float(done.stdout))
    return times


def agree(contenders: Contenders) -> None:
    """Refuse to time what computes something else."""
    with torch.no_grad():
        outs = {name: call(*inputs) for name, (call, inputs, _) in contenders.items() if name not in OTHER_NUMBERS}
    for name, out in outs.items():
        error = float((out - outs["molzoo"]).abs().max() / outs["molzoo"].abs().max())
        assert error < 1e-4, f"{name} computes something else: {error:.1e}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", default="")
    known = parser.parse_args()
    works: dict[str, Callable[[], Contenders]] = {
        f"spherical harmonics, l ≤ {l}, 100,000 vectors": lambda l=l: harmonics(l) for l in range(1, 7)
    }
    works[f"FullyConnectedTensorProduct, {FEATURES} ⊗ l ≤ 2, {known.rows:,} rows"] = lambda: product(known.rows)
    works[f"Linear, {FEATURES}, {known.rows:,} rows"] = lambda: linear(known.rows)
    works[f"Gate, 32x0e | 64x0e | 32x1o + 32x2e, {known.rows:,} rows"] = lambda: gate(known.rows)
    record: dict[str, dict] = {}
    for work, make in works.items():
        if known.only.lower() not in work.lower():
            continue
        print(work)
        torch.manual_seed(0)
        contenders = make()
        agree(contenders)
        ways = {name: passes(*contender) for name, contender in contenders.items()}
        record[work] = {}
        for column in COLUMNS:
            record[work][column] = compared(race({name: way[column] for name, way in ways.items()}, known.rounds))
            show(column, record[work][column])
    if known.only.lower() in "wigner_3j":
        print("wigner_3j, all up to l = 6, from cold")
        record["wigner_3j, all up to l = 6, from cold"] = {"forward": compared(cold_couplings(5))}
        show("forward", record["wigner_3j, all up to l = 6, from cold"]["forward"])
    if not known.only:
        versions = {name: sys.modules[name].__version__ for name in ("torch", "e3nn", "molzoo")}
        write("o3_speed", machine(torch.get_num_threads()), versions, record)


if __name__ == "__main__":
    main()
