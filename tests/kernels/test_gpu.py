"""Triton's kernels, on any machine: numbers from its interpreter, code from its compiler for a GPU that is not there."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from molzoo.kernels import ConvolutionProgram, Term, backend, gpu_source, use_backend
from molzoo.kernels.files import load

pytest.importorskip("triton")

SCRIPT = Path(__file__).with_name("interpreted.py")
FACTS = next(
    [name.id for name in node.value.elts]
    for node in ast.parse(SCRIPT.read_text()).body
    if isinstance(node, ast.Assign) and node.targets[0].id == "FACTS"
)


@pytest.fixture(scope="module")
def failures(tmp_path_factory):
    """What does not hold, by name."""
    folder = tmp_path_factory.mktemp("cache")
    environment = os.environ | {"TRITON_INTERPRET": "1", "MOLZOO_CACHE": str(folder), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, SCRIPT], env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("fact", FACTS)
def test_interpreted(fact, failures):
    assert fact not in failures, failures[fact]


@pytest.mark.parametrize("precision", ["fp32", "fp64"])
@pytest.mark.parametrize(("slot", "tangents"), [("g", ""), ("x", "Yg"), ("Y", "w"), ("w", "xYg")])
def test_the_compiler_makes_code_for_an_h200_of_it(slot, tangents, precision, tmp_path, monkeypatch):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    from triton import compile as compiled
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    program = ConvolutionProgram((20, 3), 2, (20, 3), ((Term(0, 0, 0, 0.7), Term(0, 1, 0, 1 / 3)), (Term(1, 1, 1, 1 / 3),)))
    kernels = load(gpu_source.module(program, slot, tangents), tmp_path).KERNELS
    assert [channels for _, _, channels in kernels] == ([32] if slot == "Y" else [4, 32])
    for kernel, _, _ in kernels:
        types = ["*i64"] * 5 + [f"*{precision}"] * 9
        signature = dict(zip(kernel.arg_names, types, strict=True))
        made = compiled(ASTSource(kernel, signature, {}), target=GPUTarget("cuda", 90, 32), options={"num_warps": 1})
        assert len(made.asm["cubin"]) > 0
        other = {"fp32": ".f64", "fp64": ".f32"}[precision]
        assert other not in made.asm["ptx"]  # no coefficient raises or lowers the precision


def test_a_cpu_takes_it_only_from_an_interpreting_process():
    with use_backend("triton"), pytest.raises(ValueError, match="TRITON_INTERPRET=1"):
        backend(torch.ones(1))
