"""Times molzoo's models against the packages that have the same ones, with the same weights, in turns.

    scripts/bench/peers.sh schnetpack pyg nequip o3     # once: an environment for each
    python scripts/bench/models.py [--only "PaiNN, 8"] [--threads 2] [--rounds 7] [--skip-compiled] [--record]

Every contender is a process of its own (`worker.py`) that waits while another computes. The same edges are given to all
beforehand. Before anything is timed, molzoo takes the peer's weights; energies and forces must agree to 1e-4 of the largest,
or the peer is not timed. `train` is a whole step: energies, forces, the loss of both, gradients, AdamW. molzoo's is as its own
training takes it: gradients of the parameters alone, and AdamW in one pass. Ratios are medians over the rounds. Memory and the
time from the start to the second train step are those of a fresh process. `molzoo table` is the same model with its radial
functions on knots; its deviations are held to the same limit. TFN's peer is the same network made of e3nn's parts.

All processes keep freed memory for themselves (`machine.MALLOC`), as one would set them for long runs of any of the packages:
otherwise each large tensor costs the mapping of fresh pages, and what is timed is the operating system. Those whose memory is
measured map each large tensor by itself (`machine.MAPPED`); code is loaded, and compiled, before, by a step of one molecule.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import MALLOC, MAPPED, ROOT, machine, write
from race import compared, show
from structures import aspirins, water
from structures import write as write_structure

CONTENDERS = {  # ours first: PACKAGE, or PACKAGE and its mode
    "SchNet": ["molzoo", "molzoo table", "pyg", "schnetpack", "schnetpack compiled"],
    "PaiNN": ["molzoo", "molzoo table", "schnetpack", "schnetpack compiled"],
    "TFN": ["molzoo", "molzoo table", "e3nn", "e3nn script", "e3nn compiled"],
    "NequIP": ["molzoo", "molzoo table", "nequip", "nequip compiled"],
    "DimeNetPP": ["molzoo", "pyg"],
}
ENVIRONMENTS = {"e3nn": "o3"}  # of peers.sh, where it is not called as the package
WORKS = {"8 aspirins": ("train", "predict"), "64 aspirins": ("train", "predict")}  # of the others only the last
TOLERANCE = 1e-4  # of the largest energy and the largest force component, in float32
Deviations = dict[str, dict[str, dict[str, float]]]  # by peer, ours, and energy or forces
FEW = "few.npz"
ROUND = 500  # ms of each contender's work in a round: several steps, for the first finds the caches full of another's


class Worker:
    """A contender in its process; it must be closed."""

    def __init__(self, contender: str, model: str, threads: int, malloc: dict[str, str] = MALLOC) -> None:
        package, *mode = contender.split()
        home = ENVIRONMENTS.get(package, package)
        python = sys.executable if package == "molzoo" else str(ROOT / ".peers" / home / "bin" / "python")
        if not Path(python).is_file():
            raise FileNotFoundError(f"no environment; make it with scripts/bench/peers.sh {home}")
        places = {"PYTHONPATH": str(ROOT)} if package == "molzoo" else {}
        self.process = subprocess.Popen(
            [python, "-W", "ignore", str(Path(__file__).with_name("worker.py")), package, model, *mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            bufsize=1,
            env=os.environ | malloc | places | {"OMP_NUM_THREADS": str(threads)},
        )
        self.name, self.package = contender, package
        self.versions = self._answer()

    def ask(self, *words: object) -> Any:
        """Its answer to one line.

        Raises:
            RuntimeError: it could not, or is gone.
        """
        try:
            print(*words, file=self.process.stdin)
        except BrokenPipeError as error:
            raise RuntimeError("the process has ended") from error
        return self._answer()

    def _answer(self) -> Any:
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else {"error": "the process has ended, for lack of memory most likely"}
        if isinstance(answer, dict) and "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()


def each(workers: dict[str, Worker], call: Any) -> dict[str, Any]:
    """``call(worker)`` of those who can. Others say why not; who broke down is ended: it may hold all memory there is."""
    found = {}
    for name, worker in workers.items():
        try:
            found[name] = call(worker)
        except (RuntimeError, AssertionError) as error:
            print(f"    {name}: {error}", flush=True)
            if isinstance(error, RuntimeError):
                worker.close()
    return found


def begun(model: str, contenders: list[str], threads: int, malloc: dict[str, str] = MALLOC) -> dict[str, Worker]:
    """The processes of those who can begin; nobody, if molzoo comes first and cannot."""
    found = {}
    for name in contenders:
        if contenders[0] == "molzoo" and not found and name != "molzoo":
            break
        try:
            found[name] = Worker(name, model, threads, malloc)
        except (FileNotFoundError, RuntimeError) as error:
            print(f"    {name}: {error}", flush=True)
    return found


def agreeing(workers: dict[str, Worker], structure: Path) -> tuple[dict[str, Worker], Deviations]:
    """Ours and the peers whose numbers are ours, with the weights of each in turn, on this structure; and how far ours are."""
    ready = each(workers, lambda worker: worker.ask("use", structure))
    ours = [name for name in ready if name.startswith("molzoo")]
    weights = structure.with_name("weights.npz")

    def agree(peer: Worker) -> dict[str, dict[str, float]]:
        peer.ask("save", weights)
        found = {name: workers[name].ask("compare", peer.package, weights) for name in ours}
        for name, errors in found.items():
            assert max(errors.values()) < TOLERANCE, f"{name} computes something else: {errors}"
            print(f"    {name} agrees to {max(errors.values()):.0e} with {peer.name}", flush=True)
        return found

    same = each({name: workers[name] for name in ready if name not in ours}, agree)
    return {name: workers[name] for name in (*ours, *same)}, same


def race(workers: dict[str, Worker], work: str, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of a step of each contender in each round."""
    warm = each(workers, lambda worker: [worker.ask("time", work, 1) for _ in range(3)][-1])
    steps = {name: max(1, int(ROUND / once)) for name, once in warm.items()}
    times: dict[str, list[float]] = {name: [] for name in warm}
    for _ in range(rounds):
        for name in warm:
            times[name].append(workers[name].ask("time", work, steps[name]))
    return times


def fresh(model: str, contenders: list[str], structure: Path, known: argparse.Namespace) -> dict[str, dict]:
    """Memory of a train step, after one of few atoms, and seconds from the start to the end of the second, in new processes."""

    def memory(worker: Worker) -> float:
        for file in (structure.with_name(FEW), structure):
            worker.ask("use", file)
            rise = worker.ask("memory", "train")
        return rise

    def seconds(worker: Worker) -> float:
        worker.ask("use", structure)
        worker.ask("time", "train", 2)
        return time.perf_counter() - start

    measured: dict[str, dict[str, list[float]]] = {"memory of training": {}, "start to second step": {}}
    for name in contenders:
        for column, call, malloc in zip(measured, (memory, seconds), (MAPPED, MALLOC), strict=True):
            start = time.perf_counter()
            workers = begun(model, [name], known.threads, malloc)
            measured[column] |= {name: [value] for name, value in each(workers, call).items()}
            close(workers)
    return {column: compared(found, unit) for (column, found), unit in zip(measured.items(), ("MiB", "s"), strict=True)}


def close(workers: dict[str, Worker]) -> None:
    for worker in workers.values():
        worker.close()


def measure(model: str, files: dict[str, Path], known: argparse.Namespace) -> tuple[dict, dict, dict[str, Deviations]]:
    """Records of a model by structure, the versions that were met, and deviations by structure."""
    contenders = [name for name in CONTENDERS[model] if not (known.skip_compiled and "compiled" in name)]
    works: dict[str, dict] = {}
    deviations: dict[str, Deviations] = {}
    workers = begun(model, contenders, known.threads)
    versions = {worker.package: worker.versions for worker in workers.values()}
    able = list(workers)
    for structure, file in files.items():
        print(f"{model}, {structure}", flush=True)
        record = works[f"{model}, {structure}"] = {}
        same, deviations[f"{model}, {structure}"] = agreeing(workers, file)
        for work in WORKS.get(structure.split(" (")[0], ("predict",)):
            record[work] = compared(race(same, work, known.rounds))
            show(work, record[work])
        ended = [name for name, worker in workers.items() if worker.process.poll() is not None]
        workers |= {name: anew for one in ended for name, anew in begun(model, [one], known.threads).items()}
    close(workers)
    for structure, file in files.items():
        if structure.startswith("64 aspirins"):
            for column, found in fresh(model, able, file, known).items():
                works[f"{model}, {structure}"][column] = found
                show(column, found)
    return works, versions, deviations


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="models and structures whose name contains this")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--water", type=int, default=3333, help="molecules of water")
    parser.add_argument("--data", type=Path, help="npz file of aspirin; by default rMD17's under MOLZOO_DATA")
    parser.add_argument("--skip-compiled", action="store_true")
    parser.add_argument("--record", action="store_true", help="write docs/results/models_speed.json")
    known = parser.parse_args()
    works: dict[str, dict] = {}
    versions: dict[str, dict] = {}
    deviations: dict[str, Deviations] = {}
    with tempfile.TemporaryDirectory() as folder:
        structures = {f"{n} aspirin{'s' * (n > 1)}": aspirins(n, known.data) for n in (8, 64, 1)}
        structures[f"{3 * known.water:,} atoms of water"] = [water(known.water)]
        write_structure(Path(folder) / FEW, aspirins(1, known.data))
        files = {}
        for number, (structure, frames) in enumerate(structures.items()):
            file = Path(folder) / f"{number}.npz"
            files[f"{structure} ({write_structure(file, frames):,} edges)"] = file
        for model in CONTENDERS:
            wanted = {name: file for name, file in files.items() if known.only.lower() in f"{model}, {name}".lower()}
            if wanted:
                found, met, off = measure(model, wanted, known)
                works, versions, deviations = works | found, versions | met, deviations | off
    if known.record:
        write("models_speed", machine(known.threads), versions, works, deviations=deviations)


if __name__ == "__main__":
    main()
