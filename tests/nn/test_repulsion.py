"""The repulsion of nuclei: its numbers, its smoothness, and its place in an energy, a file and a training run."""

import math

import pytest
import torch

import molzoo
from molzoo.check import check
from molzoo.checkpoint import save
from molzoo.data import Data
from molzoo.data.facts import DataFacts
from molzoo.graph import AtomGraph
from molzoo.nn import Repulsion
from molzoo.predictor import Predictor
from molzoo.train import Settings
from molzoo.train.start import with_scales_of

F64 = torch.float64


def along_x(d):
    return torch.stack([d, torch.zeros_like(d), torch.zeros_like(d)], dim=1)


def test_equals_the_formula_in_atomic_units():
    d = torch.tensor([0.3, 0.6], dtype=F64)
    found = Repulsion()(torch.tensor([8, 8]), torch.tensor([14, 14]), along_x(d))
    for value, distance in zip(found.tolist(), (d.square() + 0.01**2).sqrt().tolist(), strict=True):  # softened
        bohr, eV = 0.529177210903, 27.211386245988
        x = distance / bohr * (8**0.23 + 14**0.23) / 0.88534
        screening = 0.18175 * math.exp(-3.1998 * x) + 0.50986 * math.exp(-0.94229 * x)
        screening += 0.28022 * math.exp(-0.4029 * x) + 0.02817 * math.exp(-0.20162 * x)
        u = distance / (0.66 + 1.11)  # Å, of O and Si
        envelope = 1 - 10 * u**3 + 15 * u**4 - 6 * u**5
        assert value == pytest.approx(eV * 8 * 14 * bohr / distance * screening * envelope, rel=1e-6)


def test_is_smooth_to_second_order_and_ends_at_a_bonds_length():
    R = 0.76 + 0.31  # Å, of C and H
    for d, exactly in ((R - 1e-5, False), (R, True), (R + 1e-5, True), (3.0, True)):
        x = torch.tensor([d], dtype=F64, requires_grad=True)
        derivatives = [Repulsion()(torch.tensor([6]), torch.tensor([1]), along_x(x))]
        for _ in range(2):
            derivatives += torch.autograd.grad(derivatives[-1].sum(), x, create_graph=True)
        assert all(abs(float(y)) <= (0 if exactly else 0.2) for y in derivatives), d
        assert all(torch.isfinite(y).all() for y in derivatives)


def test_ends_at_a_cutoff_that_comes_before_the_bonds_length():
    caesium = torch.tensor([55])  # R_i + R_j = 4.88 Å
    d = torch.tensor([3.0], dtype=F64)
    assert float(Repulsion()(caesium, caesium, along_x(d))) > 0
    assert float(Repulsion(3.0)(caesium, caesium, along_x(d))) == 0


def test_atoms_that_coincide_have_finite_energies_and_no_force():
    r = torch.zeros(1, 3, dtype=F64, requires_grad=True)
    V = Repulsion()(torch.tensor([6]), torch.tensor([6]), r)
    assert V.isfinite()
    assert torch.autograd.grad(V.sum(), r)[0].tolist() == [[0, 0, 0]]


def test_it_is_what_the_energy_has_more_and_forces_with_it(predictor, structure):
    without, with_it = (
        predictor("SchNet", "energy", "energies", "forces", facts=DataFacts(repulsion=wanted)) for wanted in (False, True)
    )
    near = AtomGraph(z=[6, 1, 1], pos=[[0, 0, 0], [0.5, 0, 0], [0, 1.2, 0]])
    more = {name: with_it(near)[name] - without(near)[name] for name in ("energy", "energies", "forces")}
    V = Repulsion()(torch.tensor([6]), torch.tensor([1]), torch.tensor([[0.5, 0.0, 0.0]], dtype=F64))
    torch.testing.assert_close(more["energy"], V)
    torch.testing.assert_close(more["energies"], torch.cat([V / 2, V / 2, 0 * V]))
    assert more["forces"][1, 0] > 50  # eV/Å
    torch.testing.assert_close(more["forces"][0], -more["forces"][1])
    water = structure("water")
    torch.testing.assert_close(with_it(water)["forces"], without(water)["forces"], rtol=0, atol=0.5)


def test_a_crystal_with_images_of_itself_keeps_all_laws(predictor, structure):
    facts = DataFacts(repulsion=True)
    report = check(predictor("SchNet", "energy", "forces", "stress", facts=facts), [structure("crystal"), structure("ethanol")])
    assert not report.violated, report


def test_a_run_and_its_file_remember_it(tmp_path):
    data = Data(source="sample/ethanol", train=20, val=5, test=0)
    trainer = {"max_epochs": 1}
    small = {"channels": 8, "n_layers": 1, "n_filters": 8, "n_radial": 8}
    fitted = molzoo.fit("SchNet", data, arguments=small, task=Settings(repulsion=True), trainer=trainer, folder=tmp_path)
    pressed = AtomGraph(z=[6, 1], pos=[[0, 0, 0], [0.4, 0, 0]])
    assert fitted(pressed)["forces"][1, 0] > 100
    for predictor in (molzoo.load(tmp_path / "model.pt"), copied(fitted, tmp_path / "copy.pt")):
        assert predictor.facts.repulsion
        assert torch.equal(predictor(pressed)["energy"], fitted.eval()(pressed)["energy"])


def test_a_model_that_is_trained_further_keeps_it(tmp_path):
    save(Predictor("SchNet", ["energy"], facts=DataFacts(repulsion=True)), tmp_path / "first.pt")
    assert with_scales_of(str(tmp_path / "first.pt"), "SchNet", DataFacts()).repulsion


def copied(predictor: Predictor, path):
    save(predictor, path)
    return molzoo.load(path)
