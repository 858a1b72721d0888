"""The compiled loops: equal to PyG messages, closed under differentiation, safe among threads and processes."""

import dataclasses
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from molzoo.kernels import ConvolutionProgram, Index, Term, contract, cpu, fused, threads, use_backend
from molzoo.kernels.watchers import plain
from molzoo.nn import Convolution, Edges

ALL_PATHS = [(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0), (1, 1, 1)]


def case(dtype=torch.float64, channels=3, n=5, edges=17, rows=9, seed=0):
    """A convolution with every path of degrees up to 1, directed edges, shared rows of weights."""
    g = torch.Generator().manual_seed(seed)
    convolution = Convolution(f"{channels}x0e+{channels}x1o", ALL_PATHS, f"{channels}x0e+{channels}x1o").to(dtype)
    dst = torch.randint(0, n - 1, (edges,), generator=g).sort().values  # the last node receives nothing
    where = Edges(torch.randint(0, n, (edges,), generator=g), dst, n, torch.randint(0, rows, (edges,), generator=g))
    widths = [(n, 4 * channels), (edges, 4), (rows, len(ALL_PATHS) * channels)]
    tensors = [torch.randn(*shape, generator=g, dtype=dtype).requires_grad_() for shape in widths]
    return convolution, where, tensors


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 1e-5)])
@pytest.mark.parametrize("channels", [1, 3, 64])
def test_loops_and_messages_agree_through_second_order(dtype, tolerance, channels):
    convolution, where, tensors = case(dtype, channels)
    found = {}
    for backend in ("fused", "messages"):
        with use_backend(backend):
            out = convolution(*tensors, where)
            first = torch.autograd.grad(out.pow(3).sum(), tensors, create_graph=True)
            second = torch.autograd.grad(sum(t.pow(2).sum() for t in first), tensors)
        found[backend] = [out, *first, *second]
    for a, b in zip(found["fused"], found["messages"], strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance * float(b.detach().abs().max()))


def test_derivatives_of_second_order_equal_finite_differences():
    convolution, where, tensors = case(channels=2, edges=6, rows=4)
    with use_backend("fused"):
        run = lambda *t: convolution(*t, where)  # noqa: E731
        assert torch.autograd.gradcheck(run, tensors, check_forward_ad=True)
        assert torch.autograd.gradgradcheck(run, tensors)


def test_without_edges_everything_is_zero():
    convolution, _, (x, _, w) = case()
    none = torch.zeros(0, dtype=torch.long)
    with use_backend("fused"):
        out = convolution(x, torch.zeros(0, 4, dtype=x.dtype), w, Edges(none, none, 5, none))
    assert out.shape == (5, 12)
    assert not out.any()
    assert not torch.autograd.grad(out.sum(), x)[0].any()


def test_columns_that_are_not_contiguous_are_read_rightly():
    convolution, where, (x, Y, w) = case()
    with use_backend("fused"):
        torch.testing.assert_close(convolution(x.T.contiguous().T, Y, w, where), convolution(x, Y, w, where))


def test_numbers_that_nobody_wrote_down_are_read_rightly():
    assert not plain(torch._efficientzerotensor((2, 3))).numpy().any()
    turned = torch.tensor([1 + 2j]).conj().imag  # a view with a sign to be changed
    assert plain(turned).numpy().tolist() == [-2.0]


def test_many_threads_give_the_same_bits_as_one(monkeypatch):
    monkeypatch.setattr(threads, "PARALLEL_FROM", 0)
    convolution, where, tensors = case(torch.float32, channels=32, n=40, edges=400, rows=150)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    with use_backend("fused"):
        one = torch.autograd.grad(convolution(*tensors, where).square().sum(), tensors)
        monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
        three = torch.autograd.grad(convolution(*tensors, where).square().sum(), tensors)
    assert all(torch.equal(a, b) for a, b in zip(one, three, strict=True))


def test_two_threads_may_call_at_once():
    convolution, where, (x, Y, w) = case(torch.float32, channels=32, n=40, edges=400, rows=150)
    expected = convolution(x, Y, w, where)
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda _: convolution(x, Y, w, where), range(20)))
    assert all(torch.equal(result, expected) for result in results)


def test_a_forked_process_computes_too():
    script = """
import os, sys, torch
from molzoo.kernels import threads
threads.PARALLEL_FROM = 0
torch.set_num_threads(2)
sys.path.insert(0, sys.argv[1])
from test_contract import Edges, case
convolution, where, tensors = case(torch.float32, channels=16)
before = convolution(*tensors, where)
pid = os.fork()
if pid == 0:
    torch.set_num_threads(2)
    os._exit(0 if torch.equal(convolution(*tensors, where), before) else 1)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
"""
    done = subprocess.run([sys.executable, "-c", script, os.path.dirname(__file__)], timeout=300, check=False)
    assert done.returncode == 0


def test_a_folder_that_cannot_be_written_only_costs_the_cache(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("MOLZOO_CACHE", str(blocked))
    program = ConvolutionProgram((2,), 1, (2,), ((Term(0, 0, 0, 2.5),),))
    cpu._compiled.cache_clear()
    edge = torch.tensor([0])
    with pytest.warns(UserWarning, match="every process compiles its own: set MOLZOO_CACHE to a folder that can be") as said:
        out = contract(program, Index(edge, edge, edge, 1, 1, 1), torch.ones(1, 2), torch.ones(1, 1), torch.ones(1, 2))
    assert len(said) == 1
    assert out.tolist() == [[2.5, 2.5]]


def test_a_second_process_finds_the_compiled_loops(tmp_path):
    code = (
        "import torch; from molzoo.kernels import *; e = torch.tensor([0]); ones = [torch.ones(1, 1)] * 3;"
        "contract(ConvolutionProgram((1,), 1, (1,), ((Term(0, 0, 0, 1.5),),)), Index(e, e, e, 1, 1, 1), *ones);"
        "import glob, os; print(len(glob.glob(os.environ['MOLZOO_CACHE'] + '/kernels/__pycache__/*.nbc')))"
    )
    environment = os.environ | {"MOLZOO_CACHE": str(tmp_path)}
    run = lambda: subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)  # noqa: E731
    first = run()
    written = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.nbc")}
    second = run()
    assert first.stdout == second.stdout == "1\n"
    assert written == {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.nbc")}


def test_the_dispatch_rule_can_be_forced():
    assert fused(torch.ones(2))
    assert not fused(torch.ones(2, dtype=torch.bfloat16))
    with use_backend("messages"):
        assert not fused(torch.ones(2))
    with use_backend("fused"), pytest.raises(ValueError, match="float32 or float64"):
        fused(torch.ones(2, dtype=torch.bfloat16))


def pull(function, *arguments):
    """The leaves of a result, once through the loops and once through messages."""
    found = []
    for backend in ("fused", "messages"):
        with use_backend(backend):
            found.append(tree_leaves(function(*arguments)))
    return zip(*found, strict=True)


TRANSFORMS = {
    "grad": lambda f, s: torch.func.grad(s, (0, 1, 2)),
    "jacrev": lambda f, s: torch.func.jacrev(f, (0, 1, 2)),
    "jacfwd": lambda f, s: torch.func.jacfwd(f, (0, 1, 2)),
    "hessian": lambda f, s: torch.func.hessian(s, (0, 1, 2)),
    "reverse over reverse": lambda f, s: torch.func.jacrev(torch.func.jacrev(s, (0, 1, 2)), (0, 1, 2)),
    "third derivative": lambda f, s: torch.func.jacrev(torch.func.hessian(s)),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transformations_of_torch_func(name):
    convolution, where, tensors = case(channels=1, n=4, edges=5, rows=3)
    f = lambda *t: convolution(*t, where)  # noqa: E731
    s = lambda *t: f(*t).pow(3).sum()  # noqa: E731
    for a, b in pull(TRANSFORMS[name](f, s), *(t.detach() for t in tensors)):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_vmap_runs_many_convolutions_on_one_graph():
    convolution, where, tensors = case(channels=1, n=4, edges=5, rows=3)
    x, Y, w = (torch.stack([t.detach(), 2 * t.detach(), -t.detach()]) for t in tensors)
    for dims in [(0, 0, 0), (0, None, None), (None, 0, 0)]:
        given = [t if dim == 0 else t[0] for t, dim in zip((x, Y, w), dims, strict=True)]
        many = torch.func.vmap(lambda *t: convolution(*t, where), dims)(*given)
        for i, one in enumerate(many):
            alone = convolution(*(t[i] if dim == 0 else t for t, dim in zip(given, dims, strict=True)), where)
            torch.testing.assert_close(one, alone)


def test_tracers_and_compilers_take_it_whole():
    # In a process of its own: Dynamo cannot look through the checks of annotations that tests put around every function.
    script = """
import sys, torch
from torch.fx.experimental.proxy_tensor import make_fx
sys.path.insert(0, sys.argv[1])
from test_contract import Edges, case
convolution, where, tensors = case(channels=1, n=4, edges=5, rows=3)
f = lambda *t: convolution(*t, where)

compiled = torch.compile(f, fullgraph=True, dynamic=True, backend="eager")
assert torch.equal(compiled(*tensors), f(*tensors))
with torch.no_grad():
    assert torch.equal(torch.compile(f, fullgraph=True, backend="eager")(*tensors), f(*tensors))
gradients = [torch.autograd.grad(g(*tensors).pow(3).sum(), tensors, create_graph=True) for g in (compiled, f)]
for a, b in zip(*gradients):
    torch.testing.assert_close(a, b)
for _ in range(2):  # derivatives of the second and of the third order
    totals = [sum(t.pow(2).sum() for t in first) for first in gradients]
    gradients = [torch.autograd.grad(total, tensors, create_graph=True) for total in totals]
    for a, b in zip(*gradients):
        torch.testing.assert_close(a, b)

index, program = where.index(4, 3), convolution.program
torch.library.opcheck(torch.ops.molzoo.convolution, (program.key, "g", index.every(), *tensors, None))

def step(*leaves):
    first = torch.autograd.grad(f(*leaves).pow(3).sum(), leaves, create_graph=True)
    return torch.autograd.grad(sum(t.pow(2).sum() for t in first), leaves)

x, Y, w = (t.detach() for t in tensors)
where = Edges(where.src, where.dst.flip(0), 4, where.w_row)
try:
    torch.compile(f, backend="aot_eager")(x, Y, w)
except ValueError as error:
    assert "dst is not sorted" in str(error)
else:
    raise AssertionError("summed by wrong rows")
where = case(channels=1, n=4, edges=5, rows=3)[1]  # of which nothing is known yet, and of which nothing fake may stay

traced = make_fx(step, tracing_mode="fake", _allow_non_fake_inputs=True)(*tensors)
found = [node for node in traced.graph.nodes if "contraction" in str(node.target)]
assert len(found) == 11  # the convolution, 3 gradients, 4 of these, 3 more of the first
for a, b in zip(traced(*tensors), step(*tensors)):
    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
"""
    command = [sys.executable, "-W", "ignore", "-c", script, os.path.dirname(__file__)]
    done = subprocess.run(command, timeout=300, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("unchecked")
def test_rows_are_looked_at_under_a_dispatch_mode_too():
    convolution, where, (x, Y, w) = case()
    for wrong, sentence in (({"src": where.src + 3}, "src names row"), ({"dst": where.dst.flip(0)}, "dst is not sorted")):
        with FlopCounterMode(display=False), pytest.raises(ValueError, match=sentence):
            convolution(x, Y, w, dataclasses.replace(where, _indices={}, _blocks={}, **wrong))


@pytest.mark.parametrize("order", [1, 2])
def test_gradients_that_autograd_batches_are_refused_in_a_sentence(order):
    convolution, where, tensors = case()
    out = convolution(*tensors, where)
    if order == 2:
        (out,) = torch.autograd.grad(out.pow(3).sum(), tensors[0], create_graph=True)
    with pytest.raises(NotImplementedError, match=r"use torch\.func\.vmap"):
        torch.autograd.grad(out, tensors[1], torch.ones(2, *out.shape, dtype=out.dtype), is_grads_batched=True)


def test_a_pickled_program_is_the_same_in_another_process(tmp_path):
    convolution, where, tensors = case()
    torch.save((convolution, where, tensors, convolution(*tensors, where)), tmp_path / "all.pt")
    script = """
import sys, torch
from molzoo.kernels import ConvolutionProgram, Term
for channels in range(1, 9):
    ConvolutionProgram((channels,), 1, (channels,), ((Term(0, 0, 0, 1.0),),))  # numbers that others have there
convolution, where, tensors, out = torch.load(sys.argv[1], weights_only=False)
assert torch.equal(convolution(*tensors, where), out)
"""
    command = [sys.executable, "-W", "ignore", "-c", script, str(tmp_path / "all.pt")]
    done = subprocess.run(command, timeout=300, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_each_thread_keeps_its_number_of_threads():
    before = torch.get_num_threads()
    inside, leave = threading.Barrier(2, timeout=30), threading.Event()

    def first():
        torch.set_num_threads(3)
        with threads.one_thread_each:
            inside.wait()
            leave.wait()
        return torch.get_num_threads()

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(first)
        torch.set_num_threads(4)
        inside.wait()
        with threads.one_thread_each:
            assert torch.get_num_threads() == 1
            leave.set()
            assert other.result() == 3
        assert torch.get_num_threads() == 4
    torch.set_num_threads(before)


def test_loops_equal_the_reference_through_fourth_order():
    convolution, where, tensors = case(channels=2, edges=8, rows=4)
    found = {}
    for backend in ("fused", "messages"):
        with use_backend(backend):
            orders = [contract(convolution.program, where.index(5, 4), *tensors)]
            for power in (3, 2, 2, 2):
                orders += torch.autograd.grad(sum(t.pow(power).sum() for t in orders[-3:]), tensors, create_graph=True)
        found[backend] = orders
    for a, b in zip(found["fused"], found["messages"], strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12 * float(b.detach().abs().max()))
