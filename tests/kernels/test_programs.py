"""Any program on any graph: the generated loops against the reference, uncompiled and compiled, and what they must survive."""

import os
import random
import re
import subprocess
import sys
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_programs import a_case, agree, arguments, derivatives, index

from molzoo.kernels import ConvolutionProgram, Index, Term, contract, cpu, source, use_backend

SMALL = ConvolutionProgram((2, 1), 2, (2, 1), ((Term(0, 0, 0, 0.7), Term(0, 1, 0, -0.5)), (Term(1, 1, 1, 1 / 3),)))
MANY = 2000
GRAPHS = {
    "isolated atoms": index([1, 1], [1, 1], [0, 1], 4, 4, 2),
    "no edges": index([], [], [], 3, 3, 1),
    "no atoms": index([], [], [], 0, 0, 0),
    "one edge": index([1], [0], [0], 2, 2, 1),
    "images of oneself": index([0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 1], 1, 1, 2),
    "2,000 neighbours": index([*range(MANY), 0], [0] * MANY + [1], [e % 7 for e in range(MANY + 1)], MANY, 2, 7),
    "line graph": index([3, 5, 0, 4, 1, 2], [0, 0, 1, 3, 4, 5], [0] * 6, 6, 6, 1),
    "other receivers than senders": index([4, 0, 4], [0, 2, 2], [2, 0, 1], 5, 3, 3),
}


def uncompiled(program, slot, tangents, rows, given, out):
    """The loop as plain Python, which looks at bounds, on one share of all rows."""

    def row_of(array, begin):
        number, rest = divmod(begin, array.shape[1])
        assert rest == 0 <= number < len(array), "out of bounds"
        return array[number : number + program.window].ravel() if array.shape[1] == program.dim["x"] else array[number]

    arrays = [None if t is None else t.numpy() for t in (*rows.edges, *given, out)]
    call = [len(arrays) + 2, len(arrays) + 3, *arrays, 0, rows.n]
    shares = iter(call[:2])
    names = {"prefetch": lambda *_: None, "row_of": row_of, "at": lambda array, _: array, "take": lambda _: next(shares)}
    names |= {"int64": np.int64, "one": arrays[-1].dtype.type}
    exec(source.function("shares", program, slot, tangents), names)
    names["shares"](call)


def test_each_line_of_the_weights_is_fetched_once_where_there_is_enough_to_compute():
    three = tuple(tuple(Term(p, n, p, 1.0) for n in range(3)) for p in range(2))
    program = ConvolutionProgram((40, 24), 3, (40, 24), three)
    for slot, array in (("g", "w"), ("x", "w"), ("Y", "w"), ("w", "out")):
        found = re.findall(rf"prefetch\({array}_later, (\d+)\)", source.function("kernel", program, slot, ""))
        assert sorted(found) == ["0", "16", "32", "48"], slot
    assert "prefetch(w__later, 48)" in source.function("kernel", program, "g", "w")
    one = ConvolutionProgram((64,), 1, (64,), ((Term(0, 0, 0, 1.0),),))
    assert "prefetch" not in source.function("kernel", one, "g", "")


@given(st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_generated_loops_equal_the_reference_through_third_order(choose):
    torch.manual_seed(0)
    with patch.object(cpu, "_compute", uncompiled):
        agree("fused", *a_case(choose))


@pytest.mark.parametrize("seed", range(12))
def test_compiled_loops_equal_the_reference(seed):
    choose = random.Random(seed)
    agree("fused", *a_case(choose), orders=1)


@pytest.mark.parametrize("name", GRAPHS)
def test_any_graph(name):
    graph = GRAPHS[name]
    agree("fused", SMALL, graph, orders=2)
    leaves = arguments(SMALL, graph)
    twice = [derivatives(SMALL, graph, leaves, 2) for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(*twice, strict=True))


def said(code: str, **environment: str) -> str:
    """What a process of its own prints and warns."""
    environment = os.environ | environment | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("slot", "xYwg")
def test_no_loop_reads_or_writes_out_of_bounds(slot):
    graph = index([0, 2, 1], [0, 0, 1], [1, 0, 1], 3, 3, 2)
    x, Y, w = (t.detach() for t in arguments(SMALL, graph))
    given = {"x": x, "Y": Y, "w": w, "g": torch.ones(3, SMALL.dim["g"], dtype=x.dtype)}
    with patch.object(cpu, "_compute", uncompiled):
        agree("fused", SMALL, graph, orders=1)
        for short in set("xYwg") - {slot}:
            cut = {name: None if name == slot else t[:1] if name == short else t for name, t in given.items()}
            with pytest.raises(AssertionError, match="out of bounds"):
                cpu.run(SMALL, slot, graph.loops(slot), list(cut.values()), [None] * 4)


@pytest.mark.parametrize("wrong", [torch.ones(2, 3), torch.ones(2, 3, dtype=torch.float64, device="meta")])
def test_loops_refuse_numbers_that_they_would_misread(wrong):
    graph = index([0], [0], [0], 2, 2, 1)
    x, Y, w = (t.detach() for t in arguments(SMALL, graph))
    with pytest.raises(ValueError, match="all of one precision; cast them"):
        cpu.run(SMALL, "g", graph.loops("g"), [x, Y, w, None], [wrong, None, None, None])


def test_loops_take_edges_with_gaps():
    graph = index([0, 2, 1], [0, 0, 1], [1, 0, 1], 3, 3, 2)
    x, Y, w = (t.detach() for t in arguments(SMALL, graph))
    gaps = [torch.stack([t, t], 1)[:, 0] for t in (*graph.rows("g"), *graph.edges)]
    found = [cpu.run(SMALL, "g", rows, [x, Y, w, None], [None] * 4) for rows in (cpu.EdgeRows(gaps), graph.loops("g"))]
    assert torch.equal(*found)


def test_without_numba_the_reference_runs_and_says_so_once():
    code = """
import sys
sys.modules["numba"] = None
from kernel_programs import *
from molzoo.kernels import ConvolutionProgram, Term, backend
program = ConvolutionProgram((2,), 1, (2,), ((Term(0, 0, 0, 1.0),),))
graph = index([0], [0], [0], 1, 1, 1)
for _ in range(2):
    print(contract(program, graph, torch.ones(1, 2), torch.ones(1, 1), torch.ones(1, 2)).tolist(), backend(torch.ones(1)))
"""
    printed = said(code)
    assert printed.count("[[1.0, 1.0]] reference") == 2
    assert printed.count("numba is not installed, so convolutions run in plain torch") == 1


def edge(**changes) -> dict:
    """Arguments of an index, with some changed."""
    long = lambda *values: torch.tensor(values, dtype=torch.long)  # noqa: E731
    return {"src": long(0, 1, 1), "dst": long(0, 1, 1), "w_row": long(0, 0, 0), "n_src": 2, "n_dst": 2, "n_rows": 1} | changes


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"dst": torch.tensor([0, 1, 0])}, "dst is not sorted: edge 2 arrives at 0 after 1; sort the edges by order = dst"),
        ({"src": torch.tensor([0, 2, 1])}, r"src names row 2, but there are 2 rows \(0 to 1\)"),
        ({"w_row": torch.tensor([0, -1, 0])}, "w_row names row -1, but there are 1 rows"),
        ({"dst": torch.tensor([0, 1])}, r"dst must be int64 of shape \(3,\), one for each edge, but is int64 of \(2,\)"),
        ({"src": torch.tensor([0, 1, 1], dtype=torch.int32)}, "src must be int64 of shape .* but is int32"),
        ({"w_row": torch.zeros(3, dtype=torch.long, device="meta")}, "w_row is on meta, but src on cpu; move the graph"),
    ],
)
def test_wrong_edges_are_told(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        Index(**edge(**wrong))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("backend", ["fused", "messages"])
@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"x": torch.ones(2, 4)}, r"x must have the shape \(2, 3\), but has \(2, 4\)"),
        ({"Y": torch.ones(2, 2)}, r"Y must have the shape \(3, 2\), but has \(2, 2\)"),
        ({"w": torch.ones(3)}, r"w must have the shape \(1, 3\), but has \(3,\)"),
        ({"w": torch.ones(1, 3, dtype=torch.float64)}, "w is float64, but x is float32; cast one of them"),
        ({"Y": torch.ones(3, 2, device="meta")}, "Y is on meta, but the edges are on cpu; move one of them"),
    ],
)
def test_wrong_arguments_are_told(wrong, sentence, backend):
    given = {"x": torch.ones(2, 3), "Y": torch.ones(3, 2), "w": torch.ones(1, 3)} | wrong
    with use_backend(backend), pytest.raises(ValueError, match=sentence):
        contract(SMALL, Index(**edge()), **given)
