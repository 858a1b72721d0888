"""DimeNet's bases against SciPy, through second derivatives, and that they are orthonormal."""

import copy
import pickle

import numpy as np
import pytest
import torch
from scipy.special import eval_legendre, jn_zeros, spherical_jn

from molzoo.nn import LearnedBesselBasis, SphericalBesselBasis, legendre
from molzoo.nn.chebyshev import ChebyshevSeries
from molzoo.nn.spherical_basis import spherical_bessel_zeros

F64 = torch.float64
L, N = 7, 6


def derivatives(f, x, order):
    """f and its derivatives at each x, (order + 1, functions, rows)."""
    x = x.clone().requires_grad_()
    rows = [f(x).flatten(1).T]
    for _ in range(order):
        rows.append(torch.stack([torch.autograd.grad(row.sum(), x, create_graph=True)[0] for row in rows[-1]]))
    return torch.stack(rows).detach().numpy()


def bessel_by_scipy(x):
    """N_ln j_l(z_ln x) and its first two derivatives: j'' = −2 j'/t − (1 − l(l+1)/t²) j, and its limit at 0."""
    l, z = np.arange(L)[:, None, None], spherical_bessel_zeros(L, N)[:, :, None]
    t, norm = z * x, np.sqrt(2) / abs(spherical_jn(l + 1, z))
    j, slope = spherical_jn(l, t), spherical_jn(l, t, derivative=True)
    near = abs(t) < 1e-3
    far = np.where(near, 1.0, t)
    at_zero = np.where(l == 0, -1 / 3, np.where(l == 2, 2 / 15, 0.0))
    bend = np.where(near, at_zero, -2 * slope / far - (1 - l * (l + 1) / far**2) * j)
    return np.stack([norm * j, norm * z * slope, norm * z**2 * bend]).reshape(3, L * N, -1)


def test_spherical_bessel_functions_are_scipys_with_two_derivatives():
    x = np.concatenate([[0.0, 1e-9, 1e-5], np.linspace(0.01, 0.99, 200)])
    found, wanted = derivatives(SphericalBesselBasis(L, N), torch.from_numpy(x), 2), bessel_by_scipy(x)
    scale = abs(wanted).max(axis=(1, 2))
    assert abs(found[0] - wanted[0]).max() < 1e-13 * scale[0]
    assert abs(found[1] - wanted[1]).max() < 1e-12 * scale[1]
    away = x > 0.05  # nearer, SciPy's values divided by t² have lost their digits, and at 0 the limit stands for them
    assert abs(found[2] - wanted[2])[:, away].max() < 1e-10 * scale[2]
    assert abs(found[2] - wanted[2])[:, :2].max() < 1e-6 * scale[2]


def test_they_are_orthonormal_in_the_ball():
    nodes, weights = np.polynomial.legendre.leggauss(80)
    x = torch.from_numpy((nodes + 1) / 2)
    R = SphericalBesselBasis(L, N)(x).numpy()
    overlap = np.einsum("p,pln,plm->lnm", weights / 2 * x.numpy() ** 2, R, R)
    assert abs(overlap - np.eye(N)).max() < 1e-13


def test_they_vanish_at_the_cutoff_and_beyond():
    R = SphericalBesselBasis(L, N)(torch.tensor([1.0, 1.5, 40.0], dtype=F64))
    assert R.abs().max() < 1e-12


def test_float32_loses_no_more_than_its_digits():
    x = torch.linspace(0, 1, 100, dtype=F64)
    low, high = (SphericalBesselBasis(L, N)(t).double() for t in (x.float(), x.float().double()))
    assert (low - high).abs().max() < 2e-5 * high.abs().max()


def test_zeros_are_those_of_bessel_functions_of_half_an_order():
    z = spherical_bessel_zeros(L, N)
    assert abs(spherical_jn(np.arange(L)[:, None], z)).max() < 1e-15
    assert (np.diff(z) > 3).all()  # none is left out: they are π apart, at least
    assert (np.diff(z) < 3.8).all()
    assert (z[1:, 0] > z[:-1, 0]).all()
    assert jn_zeros(1, 1)[0] < z[1, 0] < jn_zeros(2, 1)[0]


def test_legendre_polynomials_are_scipys_with_two_derivatives():
    c = np.concatenate([[-1.0, 1.0, 0.0], np.linspace(-0.99, 0.99, 50)])
    found = derivatives(lambda x: legendre(x, L), torch.from_numpy(c), 2)
    polynomials = [np.polynomial.Legendre.basis(l) for l in range(L)]
    wanted = np.stack([[p.deriv(k)(c) if k else eval_legendre(l, c) for l, p in enumerate(polynomials)] for k in range(3)])
    assert abs(found - wanted).max() < 1e-12 * abs(wanted).max()


def test_a_cosine_rounded_beyond_1_is_harmless():
    found = derivatives(lambda x: legendre(x, L), torch.tensor([1 + 1e-7, -1 - 1e-7]), 2)
    assert np.isfinite(found).all()
    assert abs(abs(found[0]) - 1).max() < 1e-5


def test_learned_wave_numbers_start_from_those_of_the_paper():
    basis, x = LearnedBesselBasis(N).double(), torch.linspace(0.1, 0.9, 7, dtype=F64)
    wanted = torch.sin(torch.pi * torch.arange(1, N + 1) * x[:, None])
    torch.testing.assert_close(basis(x), wanted, atol=3e-6, rtol=0)  # 6 π in float32
    basis(x).sum().backward()
    assert (basis.k.grad != 0).all()


@pytest.mark.parametrize("again", [copy.deepcopy, lambda basis: pickle.loads(pickle.dumps(basis))], ids=["copy", "pickle"])
def test_bases_can_be_copied(again):
    x = torch.linspace(0, 1, 5)
    basis = SphericalBesselBasis(L, N)
    assert torch.equal(again(basis)(x), basis(x))


def test_a_series_has_all_derivatives_that_torch_can_ask_for():
    series = ChebyshevSeries(lambda x: np.stack([np.exp(x), np.sin(3 * x)], 1), 30)
    x = torch.tensor([-1.0, -0.3, 0.8], dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: series(t * 0.9), x)
    assert torch.autograd.gradgradcheck(lambda t: series(t * 0.9), x)
    forward = torch.func.vmap(torch.func.jacfwd(lambda t: series(t[None])[0]))(x.detach())
    torch.testing.assert_close(forward, torch.stack([x.exp(), 3 * (3 * x).cos()], 1).detach())
