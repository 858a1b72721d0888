"""Losses and metrics, by hand."""

import math

import pytest
import torch

from molzoo.graph import AtomGraph
from molzoo.loss import Loss, Metrics, Term, metrics_table, residual

NAN = float("nan")
MEV_PER_KCAL = 43.3641042


@pytest.fixture
def batch(structure):
    """Two structures of 3 and 9 atoms with labels; one energy and one force are missing."""
    graph = structure("water", "ethanol")
    forces = torch.zeros(12, 3, dtype=torch.float64)
    forces[0, 0] = NAN
    return graph.clone_with(energy=torch.tensor([1.0, NAN], dtype=torch.float64), forces=forces)


@pytest.fixture
def found():
    forces = torch.zeros(12, 3, dtype=torch.float64)
    forces[0], forces[1, 2] = 100.0, 0.7
    return {"energy": torch.tensor([1.3, 5.0], dtype=torch.float64), "forces": forces}


def by(kind, **options):
    return Loss({"forces": Term(kind=kind, **options)})


F = [100.0, 100.0, 0.7]  # errors other than zero, of 35 known components


@pytest.mark.parametrize(
    ("loss", "value"),
    [
        (by("mse"), sum(f**2 for f in F) / 35),
        (by("mae"), sum(F) / 35),
        (by("huber", delta=1.0), (2 * (100 - 0.5) + 0.5 * 0.7**2) / 35),
    ],
    ids=["mse", "mae", "huber"],
)
def test_mean_errors_leave_missing_labels_out(loss, value, batch, found):
    assert loss(found, batch)[0].item() == pytest.approx(value)


def test_shares_are_given_before_their_weights(batch, found):
    total, parts = Loss({"energy": 10.0, "forces": 2.0})(found, batch)
    assert parts["energy"].item() == pytest.approx(0.09)
    assert total.item() == pytest.approx(10 * 0.09 + 2 * parts["forces"].item())


def test_per_atom_divides_extensive_errors(structure):
    graph = structure("water", "ethanol").clone_with(energy=torch.zeros(2))
    loss = Loss({"energy": Term(per_atom=True, kind="mae")})
    assert loss({"energy": torch.tensor([3.0, 18.0])}, graph)[0].item() == pytest.approx((1 + 2) / 2)


def test_per_atom_leaves_other_errors_as_they_are(batch, found):
    assert by("mse", per_atom=True)(found, batch)[0] == by("mse")(found, batch)[0]


def test_per_atom_needs_no_batch(structure):
    graph = structure("water").clone_with(energy=torch.zeros(1))
    assert Loss({"energy": Term(per_atom=True, kind="mae")})({"energy": torch.tensor([6.0])}, graph)[0].item() == 2


def test_per_atom_of_an_empty_structure_is_finite(structure):
    graph = structure("water", "nothing").clone_with(energy=torch.zeros(2))
    assert Loss({"energy": Term(per_atom=True)})({"energy": torch.zeros(2)}, graph)[0].item() == 0


@pytest.mark.parametrize(("progress", "weight"), [(0.0, 100.0), (0.5, 55.0), (1.0, 10.0)])
def test_weights_follow_their_schedule(progress, weight):
    assert Term(weight=[100.0, 10.0]).weight_at(progress) == pytest.approx(weight)
    assert Term(weight=3.0).weight_at(progress) == 3.0


def test_the_loss_uses_the_weight_of_its_progress(batch, found):
    loss = Loss({"energy": Term(weight=[1.0, 0.0])})
    assert [loss(found, batch, p)[0].item() for p in (0.0, 1.0)] == pytest.approx([0.09, 0.0])


def test_missing_labels_have_no_gradient(batch, found):
    energy = found["energy"].requires_grad_()
    Loss({"energy": 1.0})(found, batch)[0].backward()
    assert energy.grad.tolist() == pytest.approx([0.6, 0.0])


def test_all_labels_missing_give_zero(batch, found):
    nothing = batch.clone_with(energy=torch.full((2,), NAN))
    assert Loss({"energy": 1.0})(found, nothing)[0].item() == 0


def test_a_wrong_shape_is_refused_and_not_broadcast(batch):
    with pytest.raises(ValueError, match=r"energy: label of shape \(2,\), prediction of shape \(2, 1\)"):
        residual("energy", torch.zeros(2, 1), batch)


def test_a_missing_label_is_named(batch):
    with pytest.raises(ValueError, match=r"no label 'dipole'; name it under data\.labels"):
        residual("dipole", torch.zeros(2, 3), batch)


def test_a_misspelt_quantity_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'forces'"):
        Loss({"froces": 1.0})


def test_residuals_keep_micro_ev_of_a_million():
    graph = AtomGraph(z=[6], pos=[[0.0, 0, 0]], energy=1e6 + 1e-6)
    error, known = residual("energy", torch.tensor([1e6], dtype=torch.float64), graph)
    assert error.item() == pytest.approx(-1e-6, rel=1e-3)
    assert known.all()


# ------------------------------------------------------------------------------------------------------------------- metrics


def test_metrics_are_in_shown_units_over_all_batches(batch, found):
    metrics = Metrics(["energy", "forces"])
    metrics.update(found, batch)
    metrics.update({"energy": found["energy"] + 0.2, "forces": found["forces"]}, batch)
    energy, forces = metrics.compute().values()
    assert (energy["unit"], energy["n"]) == ("meV", 2)
    assert energy["mae"] == pytest.approx(1000 * (0.3 + 0.5) / 2)
    assert energy["rmse"] == pytest.approx(1000 * ((0.09 + 0.25) / 2) ** 0.5)
    assert (forces["unit"], forces["n"]) == ("meV/A", 70)
    assert forces["mae"] == pytest.approx(1000 * sum(F) / 35)


def test_dipoles_are_measured_in_debye(structure):
    graph = structure("water").clone_with(dipole=torch.zeros(1, 3))
    metrics = Metrics(["dipole"])
    metrics.update({"dipole": torch.full((1, 3), 0.2081943)}, graph)
    assert metrics.compute()["dipole"]["mae"] == pytest.approx(1.0, rel=1e-6)


def test_without_labels_errors_are_nan_and_not_perfect():
    row = Metrics(["energy"]).compute()["energy"]
    assert row["n"] == 0
    assert math.isnan(row["mae"])
    assert math.isnan(row["rmse"])


def test_metrics_keep_no_graph(batch, found):
    metrics = Metrics(["energy"])
    metrics.update({"energy": found["energy"].requires_grad_()}, batch)
    assert not metrics.sums["energy"].requires_grad


def test_the_table_says_units_and_kcal_per_mol_beside():
    rows = {"energy": {"mae": MEV_PER_KCAL, "rmse": 50.0, "unit": "meV"}, "dipole": {"mae": 0.1, "rmse": 0.2, "unit": "D"}}
    energy, dipole = metrics_table(rows).splitlines()[1:]
    assert "43.36" in energy
    assert "meV   (MAE 1 kcal/mol)" in energy
    assert dipole.endswith("0.1         0.2  D")
