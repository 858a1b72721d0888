"""The loops for harmonics: their derivatives of all orders, ways to differentiate, blocks, threads."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import torch

from molzoo.kernels import solid, use_backend
from molzoo.o3.harmonics import spherical_harmonics


def vectors(*shape: int, dtype=torch.float64) -> torch.Tensor:
    return torch.randn(*shape, 3, generator=torch.Generator().manual_seed(0), dtype=dtype)


@pytest.fixture(autouse=True)
def _fused():
    with use_backend("fused"):
        yield


@pytest.fixture(params=[False, True], ids=["solid", "directions"])
def harmonics(request):
    """All degrees up to 3, two of them twice: of vectors, or of their directions."""
    return lambda x: spherical_harmonics([0, 1, 2, 3, 2, 1], x, request.param, "component")


def test_derivatives_equal_finite_differences(harmonics):
    x = vectors(3).requires_grad_()
    assert torch.autograd.gradcheck(harmonics, x, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(harmonics, x, check_fwd_over_rev=True)
    gradient = lambda x: torch.autograd.grad(harmonics(x).pow(3).sum(), x, create_graph=True)[0]  # noqa: E731
    assert torch.autograd.gradgradcheck(gradient, x)  # third derivatives


def test_every_way_to_a_hessian(harmonics):
    """Row by row, all rows at once, and by torch.func, which goes through the operations of torch."""
    x = vectors(2).requires_grad_()
    energy = lambda x: harmonics(x).pow(3).sum()  # noqa: E731
    wanted = torch.func.hessian(energy)(x.detach())
    torch.testing.assert_close(torch.autograd.functional.hessian(energy, x), wanted, rtol=1e-12, atol=1e-12)
    (gradient,) = torch.autograd.grad(energy(x), x, create_graph=True)
    row = lambda e: torch.autograd.grad(gradient, x, e, retain_graph=True)[0]  # noqa: E731
    found = torch.func.vmap(row)(torch.eye(6, dtype=x.dtype).view(6, 2, 3)).view(2, 3, 2, 3)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


def test_constants_inside_transforms(harmonics):
    x, w = vectors(4), vectors(4)[:, 0]
    weighted = lambda w: (w[:, None] * harmonics(x)).square().sum()  # noqa: E731
    wanted = 2 * w * harmonics(x).square().sum(1)
    torch.testing.assert_close(torch.func.grad(weighted)(w), wanted)
    torch.testing.assert_close(torch.func.vmap(weighted)(w.repeat(2, 1)), weighted(w).expand(2))


@pytest.mark.parametrize("rows", [0, 1, 63, 64, 65, 200])
def test_rows_do_not_depend_on_their_block(harmonics, rows):
    x = vectors(rows).requires_grad_()
    out = harmonics(x)
    (gradient,) = torch.autograd.grad(out.pow(3).sum(), x)
    for row in range(0, rows, 31):
        alone = x[row].detach().requires_grad_()
        assert harmonics(alone).equal(out[row])
        assert torch.autograd.grad(harmonics(alone).pow(3).sum(), alone)[0].equal(gradient[row])


def test_columns_that_are_not_contiguous_are_read_rightly(harmonics):
    x = vectors(9)
    assert harmonics(x.T.contiguous().T).equal(harmonics(x))
    leaf = x.clone().requires_grad_()
    (first,) = torch.autograd.grad(harmonics(leaf), leaf, torch.ones(9, 1).double().expand(9, 24))
    (second,) = torch.autograd.grad(harmonics(leaf), leaf, torch.ones(9, 24).double())
    assert first.equal(second)


def test_many_threads_give_the_same_bits_as_one(harmonics, monkeypatch):
    monkeypatch.setattr("molzoo.kernels.threads.PARALLEL_FROM", 0)
    results = []
    for threads in (1, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda n=threads: n)
        x = vectors(500, dtype=torch.float32).requires_grad_()
        out = harmonics(x)
        (first,) = torch.autograd.grad(out.pow(3).sum(), x, create_graph=True)
        results.append((out, first, *torch.autograd.grad(first.square().sum(), x)))
    assert all(a.equal(b) for a, b in zip(*results, strict=True))


def test_two_threads_may_call_at_once(harmonics):
    x = vectors(3000, dtype=torch.float32)
    with ThreadPoolExecutor(2) as pool:
        assert all(out.equal(harmonics(x)) for out in pool.map(harmonics, [x] * 10))


def test_nothing_is_kept_of_a_pass_that_is_not_differentiated_again(harmonics):
    x = vectors(4).requires_grad_()
    gradient = lambda x: torch.autograd.grad(harmonics(x).pow(3).sum(), x, create_graph=True)[0]  # noqa: E731
    (second,) = torch.autograd.grad(gradient(x).square().sum(), x, create_graph=True)
    (third,) = torch.autograd.grad(second.square().sum(), x)
    assert second.requires_grad
    assert not third.requires_grad


def test_not_a_number_stays_in_its_row(harmonics):
    x = vectors(4)
    x[1, 0] = float("nan")
    found = harmonics(x)
    assert found[1, 1:].isnan().any()
    assert found[[0, 2, 3]].isfinite().all()


def test_a_folder_that_cannot_be_written_only_costs_the_cache():
    space: dict = {}
    exec(compile("def double(x):\n    return 2 * x", "<nowhere>", "exec"), space)  # a function without a file
    assert solid._jit(space["double"])(21) == 42


def test_forward_and_backward_derivatives_are_the_same_numbers(harmonics):
    x, v = vectors(5), vectors(5).flip(0)
    _, along = torch.autograd.functional.jvp(harmonics, x, v)
    jacobian = torch.func.vmap(torch.func.jacrev(harmonics))(x)
    torch.testing.assert_close(along, torch.einsum("rnk,rk->rn", jacobian, v), rtol=1e-12, atol=1e-12)
    with torch.autograd.forward_ad.dual_level():
        dual = partial(torch.autograd.forward_ad.make_dual, x)(v)
        tangent = torch.autograd.forward_ad.unpack_dual(harmonics(dual)).tangent
    torch.testing.assert_close(tangent, along, rtol=1e-12, atol=1e-12)
