"""Spherical harmonics: e3nn's numbers through second derivatives, the laws of layers, and what has no counterpart there."""

import math
import subprocess
import sys

import e3nn.o3
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from o3_laws import LAWS, Case
from scipy.special import eval_legendre

from molzoo import o3
from molzoo.kernels import use_backend
from molzoo.o3.harmonics import SphericalHarmonics, spherical_harmonics

BACKENDS = ["fused", "messages"]
NORMALIZATIONS = ["integral", "component", "norm"]
CASES = [
    Case("solid", lambda: SphericalHarmonics("0e + 1o + 2e + 3o", False, "component"), ["1o"], "0e + 1o + 2e + 3o"),
    Case("directions", lambda: SphericalHarmonics([2, 0, 1, 1], True, "integral"), ["1o"], "2e + 0e + 2x1o"),
    Case("pseudo", lambda: SphericalHarmonics("2x1e + 3e", True, "norm"), ["1e"], "2x1e + 3e"),
    Case("none", lambda: SphericalHarmonics("0x1o", False), ["1o"], ""),
]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_laws(case, law):
    law(case)


@pytest.fixture
def _double():
    # e3nn computes in the default precision.
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def vectors(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def through(order: int, call, x: torch.Tensor) -> list[torch.Tensor]:
    """Values of a function of x, and gradients of sums of weighted squares, one of the other."""
    x = x.clone().requires_grad_()
    found = [call(x) + 0 * x.sum(-1, keepdim=True)]
    for _ in range(order):
        weights = torch.linspace(-1, 1, found[-1].numel(), dtype=x.dtype).view_as(found[-1])
        found += torch.autograd.grad((weights * found[-1].square()).sum(), x, create_graph=True)
    return [t.detach() for t in found]


def assert_same(ours: list[torch.Tensor], theirs: list[torch.Tensor], tolerance: float) -> None:
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=tolerance * float(b.abs().max()) if b.numel() else 0)


@pytest.mark.usefixtures("_double")
@settings(max_examples=25, deadline=None)
@given(
    ls=st.lists(st.integers(0, 11), min_size=1, max_size=4),
    shape=st.lists(st.integers(1, 3), max_size=2),
    normalize=st.booleans(),
    normalization=st.sampled_from(NORMALIZATIONS),
    backend=st.sampled_from(BACKENDS),
)
def test_values_and_derivatives_equal_e3nn(ls, shape, normalize, normalization, backend):
    x = vectors(*shape)
    theirs = through(2, lambda x: e3nn.o3.spherical_harmonics(ls, x, normalize, normalization), x)
    with use_backend(backend):
        ours = through(2, lambda x: spherical_harmonics(ls, x, normalize, normalization), x)
    assert_same(ours, theirs, 1e-12)


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("ls", [[0], [1], [3, 1, 1], list(range(7)), [9]])
def test_loops_and_operations_agree_through_third_derivatives(ls, normalize):
    x = vectors(70)
    found = []
    for backend in BACKENDS:
        with use_backend(backend):
            found.append(through(3, SphericalHarmonics(ls, normalize, "component"), x))
    assert_same(*found, tolerance=1e-13 * (1 + max(ls)))


@pytest.mark.parametrize("irreps", ["1o + 2e", "2e", "3x1e + 0e", o3.Irreps("0e + 2x3o"), "0x1e + 1o"])
def test_irreps_are_those_of_e3nn(irreps):
    ours = SphericalHarmonics(irreps, normalize=True)
    theirs = e3nn.o3.SphericalHarmonics(str(irreps).replace("0x1e + ", ""), normalize=True)
    assert (str(ours.irreps_in), str(ours.irreps_out)) == (str(theirs.irreps_in), str(theirs.irreps_out))
    x = vectors(4).float()
    torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(spherical_harmonics(irreps, x, True), theirs(x))


def test_every_way_to_name_degrees():
    x = vectors(4)
    wanted = spherical_harmonics([2], x, True)
    for l in (2, "2e", o3.Irrep("2e"), o3.Irreps("2e"), (2,), range(2, 3)):
        assert spherical_harmonics(l, x, True).equal(wanted)
    assert SphericalHarmonics(1, True, irreps_in="1e").irreps_out == o3.Irreps("1e")
    assert spherical_harmonics([], x, True).shape == (4, 0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_normalizations_are_what_they_say(backend):
    # 20 × 41 points: exact integrals of polynomials up to degree 39
    nodes, weights = (torch.tensor(a) for a in np.polynomial.legendre.leggauss(20))
    angle = torch.arange(41, dtype=torch.float64) * (2 * math.pi / 41)
    s = (1 - nodes**2).sqrt()[:, None]
    x = torch.stack([s * angle.sin(), nodes[:, None].expand(-1, 41), s * angle.cos()], -1)
    with use_backend(backend):
        for l in (0, 1, 4, 13):
            Y = {name: spherical_harmonics(l, x, False, name) for name in NORMALIZATIONS}
            gram = torch.einsum("b,bai,baj->ij", weights * (2 * math.pi / 41), Y["integral"], Y["integral"])
            torch.testing.assert_close(gram, torch.eye(2 * l + 1, dtype=x.dtype), rtol=0, atol=1e-13)
            torch.testing.assert_close(Y["norm"].norm(dim=-1), torch.ones_like(x[..., 0]), rtol=0, atol=1e-13)
            torch.testing.assert_close(Y["component"], Y["norm"] * (2 * l + 1) ** 0.5, rtol=0, atol=1e-13)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("l", [12, 20, 40])
def test_any_degree(l, backend):
    """The addition theorem, Y_l(a)·Y_l(b) = P_l(a·b), and the gradient of a polynomial of degree l along x."""
    a, b = (torch.nn.functional.normalize(vectors(9, seed=seed), dim=-1) for seed in (0, 1))
    with use_backend(backend):
        sums = (spherical_harmonics(l, a, False, "norm") * spherical_harmonics(l, b, False, "norm")).sum(-1)
        Y, rate = torch.func.jvp(lambda x: spherical_harmonics(l, x, False, "norm"), (a,), (a,))
    torch.testing.assert_close(sums, torch.tensor(eval_legendre(l, (a * b).sum(-1).numpy())), rtol=0, atol=1e-12)
    torch.testing.assert_close(rate, l * Y, rtol=0, atol=1e-12 * l)


@pytest.mark.parametrize("backend", BACKENDS)
def test_at_and_near_zero(dtype, backend):
    ls = [0, 1, 2, 3]
    x = torch.tensor([[0, 0, 0], [1e-30, 0, 0], [3e-13, 0, -2e-13], [1e-12, 1e-11, 0], [1e-5, 2e-5, 0]], dtype=dtype)
    torch.set_default_dtype(dtype)
    theirs = e3nn.o3.spherical_harmonics(ls, x, True, "component")
    torch.set_default_dtype(torch.float32)
    with use_backend(backend):
        Y, *derivatives = through(2, lambda x: spherical_harmonics(ls, x, True, "component"), x)
    torch.testing.assert_close(Y, theirs, rtol=1e-5, atol=1e-6)
    assert all(t.isfinite().all() for t in derivatives)
    assert not any(t[:3].any() for t in derivatives)
    assert derivatives[0][3:].any(-1).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_polynomials_have_all_derivatives_at_zero(backend):
    zero = torch.zeros(3, dtype=torch.float64)
    with use_backend(backend):
        first = torch.autograd.functional.jacobian(lambda x: spherical_harmonics(1, x, False, "norm"), zero)
        second = torch.autograd.functional.hessian(lambda x: spherical_harmonics(2, x, False, "norm")[2], zero)
    torch.testing.assert_close(first, torch.eye(3, dtype=torch.float64))
    torch.testing.assert_close(second, torch.diag(torch.tensor([-1.0, 2.0, -1.0], dtype=torch.float64)))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    "call",
    [
        lambda x: spherical_harmonics("0e + 1o", x, True),
        lambda x: spherical_harmonics([1, 3], x, False, "component"),
    ],
)
def test_the_function_is_one_graph(call):
    torch._dynamo.reset()
    compiled = torch.compile(call, fullgraph=True, dynamic=True, backend="aot_eager")
    for rows in (3, 5):
        x = vectors(rows).requires_grad_()
        (ours,), (theirs,) = (torch.autograd.grad(f(x).square().sum(), x) for f in (compiled, call))
        torch.testing.assert_close(compiled(x), call(x), rtol=0, atol=1e-13)
        torch.testing.assert_close(ours, theirs)


def test_half_precision_and_what_is_not_contiguous():
    x = vectors(5, 4)
    single = spherical_harmonics([0, 1, 2], x.float(), True, "component")
    for low in (torch.float16, torch.bfloat16):
        torch.testing.assert_close(
            spherical_harmonics([0, 1, 2], x.to(low), True, "component").float(), single, rtol=0, atol=0.05
        )
        assert not spherical_harmonics(1, torch.zeros(2, 3, dtype=low), True).any()
    turned = x.permute(2, 1, 0).contiguous().permute(2, 1, 0)
    assert spherical_harmonics(3, turned, True).equal(spherical_harmonics(3, x, True))


def test_a_layer_loads_no_compiler_before_it_runs():
    code = "import sys; from molzoo.o3.harmonics import *; SphericalHarmonics(2, True); sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=False).returncode == 0


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("1o + 2o", True), "irreps_out 1x1o.1x2o has 2o, but the harmonics of 1x1o have 2e"),
        (("1e + 1o", True), "has 1o, but the harmonics of 1x1e have 1e"),
        ((1, True, "integral", "2e"), "irreps_in is 1x2e"),
        ((1, True, "component "), "did you mean 'component'"),
        (([0, -1], True), "whole numbers from 0; got \\[0, -1\\]"),
        (([0.5], True), "whole numbers"),
    ],
)
def test_wrong_arguments_are_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        SphericalHarmonics(*arguments)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("x", [torch.ones(5, 2), torch.ones(5, 3, dtype=torch.long)])
def test_what_is_no_vector_is_named(x):
    with pytest.raises(ValueError, match="real vectors"):
        spherical_harmonics(1, x, True)
