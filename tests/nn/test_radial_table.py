"""Tables of radial functions: how far they are from the functions, to second order, and what they never change."""

import pytest
import torch

from molzoo.graph import AtomGraph
from molzoo.kernels import use_backend
from molzoo.models import create_model
from molzoo.nn import RadialTable

F64 = torch.float64


def curves(radial, d, direction):
    """Values, slopes and curvatures of all layers' weights along one direction."""
    d = d.clone().requires_grad_()
    found = []
    for W in radial(d):
        y = W @ direction[: W.shape[1]]
        slope = torch.autograd.grad(y.sum(), d, create_graph=True)[0]
        found.append((y.detach(), slope.detach(), torch.autograd.grad(slope.sum(), d, retain_graph=True)[0]))
    return found


@pytest.mark.parametrize("name", ["SchNet", "PaiNN", "TFN", "NequIP"])
@pytest.mark.parametrize("envelope", ["cosine", "polynomial"])
def test_values_slopes_and_curvatures_of_every_models_radial_functions(name, envelope):
    torch.manual_seed(0)
    model = create_model(name, channels=16, n_layers=2, envelope=envelope).double()
    d, direction = torch.linspace(0.4, 5.0 - 1e-9, 997, dtype=F64), torch.randn(4096, dtype=F64)
    exact = curves(model.radial_weights, d, direction)
    coarse, fine = ([0.0] * 3, [0.0] * 3)
    for errors, table in ((coarse, RadialTable(128, 5.0)), (fine, RadialTable(256, 5.0))):
        found = curves(lambda x, table=table: table(model.radial_weights, x), d, direction)
        for a, b in zip(exact, found, strict=True):
            for k in range(3):
                errors[k] = max(errors[k], float((a[k] - b[k]).abs().max() / a[k].abs().max()))
    assert all(a > 2**order * b for a, b, order in zip(coarse, fine, (5, 4, 3), strict=True)), (coarse, fine)
    assert all(b < limit for b, limit in zip(fine, (2e-5, 1e-4, 1e-3), strict=True)), fine


def test_polynomials_of_degree_five_are_exact():
    coefficients = torch.randn(6, dtype=F64)
    radial = lambda d, **how: [((d[:, None] / 5) ** torch.arange(6) @ coefficients)[:, None]]  # noqa: E731
    d = torch.rand(50, dtype=F64) * 5
    torch.testing.assert_close(next(iter(RadialTable(16, 5.0)(radial, d))), radial(d)[0], rtol=0, atol=1e-12)


def test_beyond_the_cutoff_there_is_exactly_nothing():
    radial = lambda d, **how: [torch.ones_like(d)[:, None]]  # noqa: E731
    found = next(iter(RadialTable(32, 5.0)(radial, torch.tensor([4.9, 5.0, 5.1, 80.0], dtype=F64))))[:, 0]
    assert found[0] == pytest.approx(1.0)
    assert found[1:].tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("channels", [1, 3, 64, 96])
def test_loops_and_plain_torch_agree_to_second_order(channels):
    torch.manual_seed(0)
    weight, d = torch.randn(4, channels, dtype=F64, requires_grad=True), (5 * torch.rand(20, dtype=F64)).requires_grad_()
    radial = lambda d, **how: [torch.sin(d[:, None] * torch.arange(1, 5)) @ weight]  # noqa: E731
    found = {}
    for backend in ("fused", "messages"):
        with use_backend(backend):
            W = next(iter(RadialTable(20, 5.0)(radial, d)))
            first = torch.autograd.grad(W.pow(2).sum(), (d, weight), create_graph=True)
            found[backend] = [W, *first, *torch.autograd.grad(first[0].pow(2).sum(), (d, weight))]
    for a, b in zip(*found.values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", ["SchNet", "PaiNN", "TFN", "NequIP"])
def test_energies_and_forces_of_a_model_change_little(name, structure, predictor):
    exact, table = (predictor(name, radial_knots=n).double() for n in (0, 512))
    table.load_state_dict(exact.state_dict())
    for wanted, found in zip(exact(structure("ethanol")).values(), table(structure("ethanol")).values(), strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6 * float(wanted.detach().abs().max()))


def test_on_a_knot_it_is_as_smooth_as_beside_it():
    table, radial = RadialTable(26, 5.0), lambda d, **how: [torch.sin(d)[:, None]]
    knots = torch.tensor([0.0, 1.0, 2.4], dtype=F64)
    (on,), (beside,) = (curves(lambda d: table(radial, d), d, torch.ones(1, dtype=F64)) for d in (knots, knots + 1e-12))
    for a, b in zip(on, beside, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_bonds_of_the_length_of_a_knot_can_be_trained(predictor):
    model = predictor("PaiNN", radial_knots=51).train()  # every 0.1 Å
    graph = AtomGraph(z=[1, 1, 8, 8], pos=[[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 2.0, 0.0]])
    model(graph)["forces"].square().sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_a_table_of_a_few_knots_is_refused():
    with pytest.raises(ValueError, match="a radial table needs some knots"):
        RadialTable(3, 5.0)
