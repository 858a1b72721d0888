"""One contender of `models.py` in a process and environment of its own: python worker.py PACKAGE MODEL [MODE].

It reads lines and answers each by one line of JSON, ``{"error": …}`` where it cannot:

    use FILE                 the structures to work on from now on
    save FILE                keep its weights, and its energies and forces with them
    compare PACKAGE FILE     take the weights of another package: relative errors of energies and forces
    time train|predict N     milliseconds of each of N steps
    memory train|predict     MiB by which two steps raise the peak of resident memory
    limit GIB                fail, from now on, where more memory than that is needed
"""

import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import GiB, limit_memory


class Contender:
    """A package's model at work. Its weights are moved off their start, so that a forgotten bias shows."""

    def __init__(self, package: str, model: str, mode: str) -> None:
        self.package = importlib.import_module(f"peer_{package}")
        torch.manual_seed(0)
        self.model = self.package.make(model, mode)
        with torch.no_grad():
            for parameter in self.model.parameters():
                parameter += 0.02 * torch.randn_like(parameter)
        self.weights = list(self.model.parameters())
        self.own = package == "molzoo"
        self.optimizer = torch.optim.AdamW(self.weights, lr=1e-4, fused=self.own)

    def use(self, file: str) -> None:
        """Take these structures."""
        with np.load(file) as stored:
            self.arrays = {name: torch.from_numpy(stored[name]) for name in stored}
        self.inputs = self.package.inputs(self.arrays)
        self.labels = self.arrays["energy"].float(), self.arrays["forces"].float()

    def step(self, train: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """Energies and forces; in training also the gradients of the loss by the weights, and the optimiser."""
        energy, forces = self.package.evaluate(self.model, self.inputs)
        if train:
            loss = sum((ours - label).square().mean() for ours, label in zip((energy, forces), self.labels, strict=True))
            self.optimizer.zero_grad()
            loss.backward(inputs=self.weights if self.own else None)
            self.optimizer.step()
        return energy.detach(), forces.detach()

    def time(self, work: str, n: str) -> float:
        """Milliseconds of a step."""
        self.train(work == "train")
        start = time.perf_counter()
        for _ in range(int(n)):
            self.step(work == "train")
        return 1e3 * (time.perf_counter() - start) / int(n)

    def train(self, on: bool) -> None:
        """Predictions need no gradient of any weight."""
        if self.model.training != on or next(self.model.parameters()).requires_grad != on:
            self.model.train(on).requires_grad_(on)

    def save(self, file: str) -> None:
        """Keep weights, and energies and forces, in float64 from a package that can switch: its float32 may be what is off."""
        self.train(False)
        parameters = getattr(self.package, "parameters", lambda model: dict(model.named_parameters()))(self.model)
        exactly = getattr(self.package, "exactly", None)
        results = dict(
            zip(("energy", "forces"), exactly(self.model, self.arrays) if exactly else self.step(False), strict=True)
        )
        np.savez(file, **{name: value.detach().numpy() for name, value in (results | parameters).items()})

    def compare(self, peer: str, file: str) -> dict[str, float]:
        """Largest errors with another's weights, relative to its largest energy and force."""
        with np.load(file) as stored:
            state = {name: torch.from_numpy(stored[name]) for name in stored}
        theirs = {name: state.pop(name) for name in ("energy", "forces")}
        self.package.take(self.model, peer, state)
        self.train(False)
        ours = dict(zip(theirs, self.step(False), strict=True))
        return {name: float((ours[name] - theirs[name]).abs().max() / theirs[name].abs().max()) for name in theirs}

    def memory(self, work: str) -> float:
        """MiB that two steps need at their peak."""
        Path("/proc/self/clear_refs").write_text("5")  # the peak so far, of imports and the like, is forgotten
        before = peak()
        self.time(work, "2")
        return (peak() - before) / 1024

    def limit(self, gib: str) -> None:
        """Fail where more memory is needed."""
        limit_memory(float(gib) * GiB)


def peak() -> int:
    """The peak of this process in KiB; ru_maxrss would begin at that of the process that started this one."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what packages print is no answer

    def answer(call: Any) -> None:
        try:
            answers.write(json.dumps(call()) + "\n")
        except Exception as error:
            answers.write(json.dumps({"error": f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"}) + "\n")

    limit_memory()
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    package, model, mode = (*sys.argv[1:], "")[:3]
    contender = None

    def begin() -> dict[str, str]:
        nonlocal contender
        contender = Contender(package, model, mode)
        return contender.package.VERSIONS

    answer(begin)
    for line in sys.stdin:
        verb, *words = line.split()
        answer(lambda verb=verb, words=words: getattr(contender, verb)(*words))


if __name__ == "__main__":
    main()
