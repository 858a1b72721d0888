"""Legendre functions and harmonics of angles: e3nn's numbers, and Y(α, β) = P(β) S(α)."""

from functools import partial

import e3nn.o3
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from molzoo import o3
from molzoo.o3.harmonics import spherical_harmonics
from molzoo.o3.legendre import (
    Legendre,
    SphericalHarmonicsAlphaBeta,
    spherical_harmonics_alpha,
    spherical_harmonics_alpha_beta,
)


@pytest.fixture(autouse=True)
def _double():
    # e3nn computes in the default precision.
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def angles(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    return tuple(scale * torch.rand(shape, generator=random) for scale in (2 * torch.pi, torch.pi))


def derivatives(call, *inputs: torch.Tensor) -> list[torch.Tensor]:
    """Values, gradients of a weighted sum of squares, and gradients of the sum of those."""
    inputs = [x.clone().requires_grad_() for x in inputs]
    out = call(*inputs) + 0 * sum(x**2 for x in inputs)[..., None]  # also constants depend on their arguments
    weights = torch.linspace(-1, 1, out.numel()).view_as(out)
    first = torch.autograd.grad((weights * out.square()).sum(), inputs, create_graph=True)
    return [out, *first, *torch.autograd.grad(sum(t.sum() for t in first), inputs)]


def assert_same(ours, theirs) -> None:
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12 * max(1.0, float(b.detach().abs().max())))


@settings(max_examples=10, deadline=None)
@given(
    ls=st.lists(st.integers(0, 6), min_size=1, max_size=3),
    shape=st.lists(st.integers(1, 3), max_size=2),
    normalization=st.sampled_from(["integral", "component", "norm"]),
)
def test_harmonics_of_angles_equal_e3nn(ls, shape, normalization):
    ours, theirs = (
        derivatives(lambda a, b, f=f: f(ls, a, b, normalization=normalization), *angles(*shape))
        for f in (spherical_harmonics_alpha_beta, e3nn.o3.spherical_harmonics_alpha_beta)
    )
    assert_same(ours, theirs)


def test_layer_and_irreps():
    alpha, beta = angles(5)
    ours, theirs = (
        SphericalHarmonicsAlphaBeta(o3.Irreps("1e + 2x2e")),
        e3nn.o3.SphericalHarmonicsAlphaBeta(e3nn.o3.Irreps("1e + 2x2e")),
    )
    torch.testing.assert_close(ours(alpha, beta), theirs(alpha, beta))
    assert ours(alpha, beta).equal(spherical_harmonics_alpha_beta("1e + 2x2e", alpha, beta))
    assert ours.normalization == theirs.normalization == "integral"


@pytest.mark.parametrize("ls", [[0], [1], [3, 0, 3], [6, 5]])
def test_legendre_equals_e3nn(ls):
    _, beta = angles(4)
    # y and z need not belong to one angle
    assert_same(*(derivatives(module(ls), beta.cos(), beta.sin() + 0.1) for module in (Legendre, e3nn.o3.Legendre)))
    assert Legendre(ls)(beta[0].cos(), beta[0].sin()).shape == (sum(2 * l + 1 for l in ls),)


@pytest.mark.parametrize("l", [0, 1, 5])
def test_waves_equal_e3nn(l):
    alpha, _ = angles(2, 3)
    functions = spherical_harmonics_alpha, e3nn.o3.spherical_harmonics_alpha
    assert_same(*(derivatives(partial(f, l), alpha) for f in functions))


def test_harmonics_are_products_for_any_degree():
    alpha, beta = angles(7)
    l = 20
    product = Legendre([l])(beta.cos(), beta.sin()) * spherical_harmonics_alpha(l, alpha)
    torch.testing.assert_close(spherical_harmonics_alpha_beta(l, alpha, beta), product, rtol=0, atol=1e-13)
    torch.testing.assert_close(spherical_harmonics(l, o3.angles_to_xyz(alpha, beta), True), product, rtol=0, atol=1e-13)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("layer", [Legendre([3, 1]), SphericalHarmonicsAlphaBeta([1, 2])])
def test_one_graph_and_transforms(layer):
    torch._dynamo.reset()
    compiled = torch.compile(layer, fullgraph=True, dynamic=True, backend="eager")
    for rows in (3, 5):
        torch.testing.assert_close(compiled(*angles(rows)), layer(*angles(rows)))
    torch.testing.assert_close(torch.func.vmap(layer)(*angles(4)), layer(*angles(4)))
    jacobian = torch.func.vmap(torch.func.jacrev(layer, argnums=1))(*angles(4))
    a, b = angles(4)
    torch.testing.assert_close(jacobian, (layer(a, b + 1e-6) - layer(a, b - 1e-6)) / 2e-6, rtol=0, atol=1e-7)


def test_no_degrees_and_single_precision():
    alpha, beta = angles(3)
    assert Legendre([])(beta, beta).shape == (3, 0)
    assert spherical_harmonics_alpha_beta([], alpha, beta).shape == (3, 0)
    single = Legendre([4]).float()(beta.float().cos(), beta.float().sin())
    torch.testing.assert_close(single.double(), Legendre([4])(beta.cos(), beta.sin()), rtol=0, atol=1e-6)


@pytest.mark.usefixtures("unchecked")
def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="did you mean 'norm'"):
        SphericalHarmonicsAlphaBeta(1, "nrom")
    with pytest.raises(ValueError, match="whole numbers from 0"):
        spherical_harmonics_alpha_beta([-1], *angles(2))
