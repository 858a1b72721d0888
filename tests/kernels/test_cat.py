"""Features side by side: torch's numbers, by all ways to differentiate."""

import sys

import pytest
import torch
from torch.autograd import forward_ad, gradcheck, gradgradcheck

from molzoo.kernels import cat

F64 = torch.float64


@pytest.fixture(autouse=True, params=["large", "small"])
def size(request, monkeypatch):
    """Each test with both ways; the numbers are few."""
    if request.param == "large":
        monkeypatch.setattr(sys.modules[cat.__module__], "_SMALL", 0)
    return request.param


def parts():
    torch.manual_seed(0)
    return [torch.randn(2, 3, n, dtype=F64, requires_grad=True) for n in (1, 4, 2)]


def test_value_and_derivatives():
    a, b, c = parts()
    assert torch.equal(cat((a, b, c)), torch.cat((a, b, c), -1))
    assert gradcheck(lambda *x: cat(x), (a, b, c), check_forward_ad=True)
    assert gradgradcheck(lambda *x: cat(x) ** 3, (a, b, c))


def test_a_tangent_of_one_part_alone():
    a, b, c = (part.detach() for part in parts())
    with forward_ad.dual_level():
        moved = forward_ad.unpack_dual(cat((a, forward_ad.make_dual(b, torch.ones_like(b)), c))).tangent
    assert moved.sum(-1).unique().tolist() == [4.0]


def test_transforms():
    a, b, c = (part.detach() for part in parts())
    f = lambda b: (cat((a, b, c)) ** 3).sum()  # noqa: E731
    torch.testing.assert_close(torch.func.grad(f)(b), 3 * b**2)
    torch.testing.assert_close(torch.func.hessian(f)(b).flatten(0, 2).flatten(1).diagonal(), 6 * b.flatten())
    every = torch.func.vmap(lambda b: cat((a, b, c)))(torch.stack([b, 2 * b]))
    torch.testing.assert_close(every[1], torch.cat((a, 2 * b, c), -1))


def test_the_second_derivative_of_many_fills_no_zeros(size):
    a, b, c = parts()
    first = torch.autograd.grad((cat((a, b, c)) ** 3).sum(), (a, b, c), create_graph=True)
    with torch.profiler.profile() as profile:
        torch.autograd.grad(sum(part.sum() for part in first), (a, b, c))
    filled = [event.name for event in profile.events() if event.name in ("aten::zeros", "aten::slice_backward")]
    assert bool(filled) == (size == "small")
