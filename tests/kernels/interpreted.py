"""What Triton's interpreter finds on a CPU. Run by test_gpu.py in a process with TRITON_INTERPRET=1 from its start."""

import json
import random
import sys
import traceback

import torch
from kernel_programs import a_case, agree, arguments, index

from molzoo.kernels import ConvolutionProgram, Term, backend, contract, use_backend

SMALL = ConvolutionProgram((2, 1), 2, (2, 1), ((Term(0, 0, 0, 0.7), Term(0, 1, 0, -0.5)), (Term(1, 1, 1, 1 / 3),)))
GRAPH = index([0, 2, 1], [0, 0, 1], [1, 0, 1], 3, 3, 2)


def random_programs_agree_with_the_reference_through_third_order():
    for seed in (1, 3, 5):  # with windows of three rows, one, two
        choose = random.Random(seed)
        agree("triton", *a_case(choose))


def channels_and_rows_of_more_than_one_instance_agree():
    term = Term(0, 0, 0, 0.5)
    agree("triton", ConvolutionProgram((70, 3), 1, (70, 3), ((term,), (Term(1, 0, 1, 2.0),))), GRAPH, orders=1)
    many = tuple((Term(0, 0, k, 1.0 + k),) for k in range(0, 45, 2))
    agree("triton", ConvolutionProgram((2,), 1, (2,) * 45, many), GRAPH, orders=1)


def weights_of_one_channel_agree():
    agree("triton", ConvolutionProgram((2, 1), 2, (2, 1), SMALL.paths, scalar_weights=True), GRAPH, orders=2)


def without_edges_everything_is_zero():
    agree("triton", SMALL, index([], [], [], 2, 3, 1), orders=2)


def derivatives_of_second_order_equal_finite_differences():
    with use_backend("triton"):
        run = lambda *t: contract(SMALL, GRAPH, *t)  # noqa: E731
        assert torch.autograd.gradcheck(run, arguments(SMALL, GRAPH), fast_mode=True, check_forward_ad=True)
        assert torch.autograd.gradgradcheck(run, arguments(SMALL, GRAPH), fast_mode=True)


def single_precision_stays_single():
    x, Y, w = arguments(SMALL, GRAPH, torch.float32)
    with use_backend("triton"):
        out = contract(SMALL, GRAPH, x, Y, w)
        assert torch.equal(out, contract(SMALL, GRAPH, x, Y, w))
    with use_backend("messages"):
        torch.testing.assert_close(out, contract(SMALL, GRAPH, x, Y, w))


def transformations_go_through_the_operator():
    leaves = [t.detach() for t in arguments(SMALL, GRAPH)]
    run = lambda *t: contract(SMALL, GRAPH, *t).pow(3).sum()  # noqa: E731
    found = []
    for name in ("triton", "messages"):
        with use_backend(name):
            found.append(torch.func.jacrev(torch.func.grad(run, (0, 1, 2)))(*leaves))
    torch.testing.assert_close(*found, rtol=1e-12, atol=1e-12)


def only_its_name_chooses_it_on_a_cpu():
    assert backend(torch.ones(1)) == "cpu"
    with use_backend("triton"):
        assert backend(torch.ones(1)) == "triton"


FACTS = [
    random_programs_agree_with_the_reference_through_third_order,
    channels_and_rows_of_more_than_one_instance_agree,
    weights_of_one_channel_agree,
    without_edges_everything_is_zero,
    derivatives_of_second_order_equal_finite_differences,
    single_precision_stays_single,
    transformations_go_through_the_operator,
    only_its_name_chooses_it_on_a_cpu,
]

if __name__ == "__main__":
    torch.manual_seed(0)
    failures = {}
    for fact in FACTS:
        try:
            fact()
        except Exception:
            failures[fact.__name__] = traceback.format_exc()
    json.dump(failures, sys.stdout)
