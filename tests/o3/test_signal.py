"""Functions on the sphere: e3nn's numbers."""

import copy
import pickle

import e3nn.io
import pytest
import torch

from molzoo.o3.signal import SphericalTensor

KINDS = [(0, 1, 1), (1, 1, -1), (4, 1, -1), (3, -1, 1), (2, -1, -1)]


@pytest.fixture(autouse=True)
def _double():
    # e3nn computes in the default precision.
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(params=KINDS, ids=str)
def pair(request):
    return SphericalTensor(*request.param), e3nn.io.SphericalTensor(*request.param)


def close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


def test_irreps_survive_copies(pair):
    ours, theirs = pair
    assert str(ours) == str(theirs)
    for other in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        assert other == ours
        assert type(other) is SphericalTensor


def test_values_norms_and_surfaces_equal_e3nn(pair):
    ours, theirs = pair
    x, r = torch.randn(2, 1, ours.dim), torch.randn(5, 4, 3)
    close(ours.norms(x), theirs.norms(x))
    even = e3nn.io.SphericalTensor(ours.lmax, 1, 1)  # e3nn has no value in a direction for the others
    close(ours.signal_xyz(x, r), even.signal_xyz(x, r))
    for one, other in zip(ours.signal_on_grid(x, 12, "norm"), theirs.signal_on_grid(x, 12, "norm"), strict=True):
        close(one, other)
    options = {"res": 20, "radius": True, "relu": True, "normalization": "component"}
    for one, other in zip(ours.plot(x[0, 0], r[0, 0], **options), theirs.plot(x[0, 0], r[0, 0], **options), strict=True):
        close(one, other)
    for one, other in zip(ours.plotly_surface(x, r[0, :2], 20), theirs.plotly_surface(x, r[0, :2], 20), strict=True):
        for key in ("x", "y", "z", "surfacecolor"):
            close(torch.tensor(one[key]), torch.tensor(other[key]))


@pytest.mark.parametrize("positions", [(6, 3), (2, 1, 6, 3), (3, 6, 3), (2, 3, 0, 3)])
@pytest.mark.parametrize("values", [(1,), (2, 3, 1)])
def test_signals_from_points_equal_e3nn(positions, values):
    ours, theirs = SphericalTensor(3, 1, -1), e3nn.io.SphericalTensor(3, 1, -1)
    r, v = torch.randn(positions), torch.randn(values)
    close(ours.sum_of_diracs(r, v), theirs.sum_of_diracs(r, v))
    close(ours.from_samples_on_s2(r, v, 10), theirs.from_samples_on_s2(r, v, 10))


@pytest.mark.parametrize("values", [None, [1.0, -2.0, 0.0, 0.5]])
def test_peaks_equal_e3nn(values):
    ours, theirs = SphericalTensor(5, 1, -1), e3nn.io.SphericalTensor(5, 1, -1)
    r = torch.tensor([[0.0, 5.0, 0.0], [1.0, 0.2, -0.4], [0.0, -0.3, 1.1], [-1.0, 0.4, 0.3]])
    values = None if values is None else torch.tensor(values)
    x = ours.with_peaks_at(r, values)
    close(x, theirs.with_peaks_at(r, values))
    wanted = r.norm(dim=1) if values is None else values
    close(ours.signal_xyz(x, r)[wanted != 0], wanted[wanted != 0])
    found = [sorted(torch.cat([r, f[:, None]], 1).tolist()) for r, f in (ours.find_peaks(x, 50), theirs.find_peaks(x, 50))]
    close(torch.tensor(found[0]), torch.tensor(found[1]))


def test_no_points_make_no_signal():
    s = SphericalTensor(2, 1, 1)
    assert s.with_peaks_at(torch.zeros(0, 3)).equal(torch.zeros(9))
    assert s.with_peaks_at(torch.zeros(2, 3)).equal(torch.zeros(9))
    assert s.from_samples_on_s2(torch.zeros(2, 0, 10, 3), torch.zeros(2, 0, 10)).shape == (2, 0, 9)
    assert [len(found) for found in s.find_peaks(torch.zeros(9), 20)] == [0, 0]


def test_what_has_no_such_peaks_is_refused():
    with pytest.raises(ValueError, match=r"the signal 1x0o\+1x1o changes sign; take p_val = 1"):
        SphericalTensor(1, -1, 1).with_peaks_at(torch.eye(3))
    with pytest.raises(ValueError, match="up to degree 1 cannot have 9 such peaks; take a higher lmax"):
        SphericalTensor(1, 1, -1).with_peaks_at(torch.randn(9, 3))
