"""The Predictor: what it takes, what it refuses, and what autograd sees of it."""

import subprocess
import sys

import pytest
import torch
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DataLoader

from molzoo.data.facts import DataFacts
from molzoo.graph import AtomGraph, RadiusGraph, connect
from molzoo.loss import Loss
from molzoo.models import TABLE

every_model = pytest.mark.parametrize("model", TABLE)


def plain(graph):
    """A PyG Data as its users make them."""
    return Data(z=graph.z, pos=graph.pos)


def equal(first, second):
    assert list(first) == list(second)
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=1e-12, atol=1e-12)


@every_model
def test_takes_plain_data(model, structure, predictor):
    made, graph = predictor(model, "energy", "forces", "dipole"), structure("ethanol")
    equal(made(plain(graph)), made(graph))


@every_model
def test_takes_a_plain_batch(model, structure, predictor):
    made, names = predictor(model, "energy", "forces", "dipole"), ("ethanol", "water", "atom")
    equal(made(Batch.from_data_list([plain(structure(n)) for n in names])), made(structure(*names)))


@every_model
def test_takes_batches_of_pygs_loader_with_and_without_edges(model, structure, predictor):
    made, names = predictor(model), ("ethanol", "water", "CO2")
    (bare,) = DataLoader([plain(structure(n)) for n in names], batch_size=3)
    (connected,) = DataLoader([RadiusGraph(5.0)(plain(structure(n))) for n in names], batch_size=3)
    equal(made(bare), made(connected))


def test_edges_for_a_smaller_cutoff_are_refused(structure, predictor):
    with pytest.raises(ValueError, match="holds edges to 3 Å but the model needs 5 Å"):
        predictor("SchNet")(connect(structure("water"), 3.0))


def test_gives_what_it_was_made_for_and_derivatives_on_request(structure, predictor):
    made = predictor("PaiNN", "energy")
    assert list(made(structure("water"))) == ["energy"]
    assert list(made(structure("water"), ["forces", "energies"])) == ["forces", "energies"]
    assert made.gives == ("energy", "energies", "forces", "stress")


def test_forces_alone_need_an_energy_all_the_same(structure, predictor):
    equal(predictor("PaiNN", "forces")(structure("water")), predictor("PaiNN")(structure("water"), ["forces"]))


def test_several_quantities_come_from_one_model(structure, predictor):
    names = ("energy", "forces", "dipole", "r2", "gap")
    found = predictor("PaiNN", *names)(structure("ethanol", "water"))
    shapes = {"energy": (2,), "forces": (12, 3), "dipole": (2, 3), "r2": (2,), "gap": (2,)}
    assert {name: tuple(value.shape) for name, value in found.items()} == shapes


def test_features_are_the_models(structure, predictor):
    made, graph = predictor("PaiNN"), structure("water")
    assert torch.equal(made.features(graph), made.model.features(graph))
    assert made.features(graph).shape == (3, 4 * 16)


# ------------------------------------------------------------------------------------------------------------------ refusals


def test_an_unknown_name_is_answered_with_the_nearest(structure, predictor):
    with pytest.raises(ValueError, match="did you mean 'forces'"):
        predictor("SchNet")(structure("water"), ["force"])


def test_an_unknown_model_is_answered_with_the_nearest(predictor):
    with pytest.raises(ValueError, match="no model 'Painnn' in the zoo; did you mean 'PaiNN'"):
        predictor("Painnn")


def test_a_name_it_does_not_serve_is_refused(structure, predictor):
    with pytest.raises(ValueError, match="this SchNet was not made for 'gap'; it predicts energy, energies, forces, stress"):
        predictor("SchNet")(structure("water"), ["gap"])


def test_elements_that_were_never_learned_are_refused_by_name(structure, predictor):
    made = predictor("SchNet", facts=DataFacts(elements=[1, 6]))
    with pytest.raises(ValueError, match="never learned O; it was trained on H, C"):
        made(structure("water"))
    made(structure("C2H2"))


def test_elements_that_a_model_was_not_made_for_are_refused_by_name(structure, predictor):
    with pytest.raises(ValueError, match="never learned O; it was made for H, C"):
        predictor("NequIP", elements=[1, 6])(structure("water"))


@pytest.mark.parametrize("name", ["TFN", "NequIP"])
def test_atoms_without_neighbours_on_average_are_refused(name, predictor):
    with pytest.raises(ValueError, match="must be above 0 but is 0; if it was counted in your data, the cutoff is too short"):
        predictor(name, avg_n_neighbours=0.0)


def test_charges_that_were_never_learned_are_refused(structure, predictor):
    made = predictor("SchNet", facts=DataFacts(elements=[1, 6, 8], charges=[0.0]))
    with pytest.raises(ValueError, match=r"never learned structures of total charge -1; it was trained on charge \+0"):
        made(structure("ion"))
    made(structure("ethanol"))


def test_training_takes_any_element(structure, predictor):
    predictor("SchNet", facts=DataFacts(elements=[1, 6])).train()(structure("water"))


def test_a_molecule_among_crystals_has_no_stress(structure, predictor):
    with pytest.raises(ValueError, match="stress is defined for periodic structures only"):
        predictor("SchNet")(structure("crystal", "water"), ["stress"])


def test_forces_in_inference_mode_are_refused(structure, predictor):
    made, graph = predictor("SchNet"), structure("water")
    with torch.inference_mode():
        made(graph, ["energy"])
        with pytest.raises(ValueError, match=r"use torch\.no_grad"):
            made(graph)


# ------------------------------------------------------------------------------------------------------------------ autograd


@every_model
def test_training_keeps_the_graph_for_a_force_loss(model, structure, predictor):
    made, graph = predictor(model).train(), structure("ethanol")
    loss = Loss({"forces": 1.0})(made(graph), graph.clone_with(forces=torch.zeros(9, 3)))[0]
    loss.backward()
    gradients = {name: p.grad for name, p in made.named_parameters()}
    without = {name for name, g in gradients.items() if g is None}
    assert without <= {"model.readout.linear.scalars.bias", "model.readout.bias"}  # where there is one, it moves no force
    assert all(g.isfinite().all() for g in gradients.values() if g is not None)


@every_model
def test_evaluation_does_not(model, structure, predictor):
    assert not predictor(model)(structure("water"))["forces"].requires_grad


@every_model
@pytest.mark.parametrize("training", [False, True])
def test_under_no_grad_forces_are_right_and_nothing_is_attached(model, training, structure, predictor):
    made = predictor(model, "energy", "forces", "dipole").train(training)
    graph = structure("ethanol")
    with torch.no_grad():
        found = made(graph)
    assert not any(value.requires_grad for value in found.values())
    equal(found, {name: value.detach() for name, value in made(graph).items()})


@every_model
def test_under_no_grad_stress_is_right(model, structure, predictor):
    made, graph = predictor(model, "energy", "forces", "stress"), structure("crystal")
    with torch.no_grad():
        found = made(graph)
    equal(found, {name: value.detach() for name, value in made(graph).items()})


def test_no_gradient_is_left_on_the_parameters(structure, predictor):
    made = predictor("PaiNN").train()
    made(structure("water"))
    assert all(p.grad is None for p in made.parameters())


def test_positions_far_from_the_origin_lose_nothing_in_float32(structure, predictor):
    made, graph = predictor("PaiNN", dtype=torch.float32), structure("ethanol")
    far = AtomGraph(z=graph.z, pos=graph.pos + 1e4)
    assert (made(far)["energy"] - made(graph)["energy"]).abs().item() < 1e-5


def test_compiled_models_find_edges_predict_forces_and_learn_as_others_do():
    # In a process of its own, as below. With a compiler that changes nothing, and with one that takes no double derivatives.
    script = """
import torch
from ase.build import molecule
from molzoo import Predictor
from molzoo.graph import from_ase
from molzoo.models import TABLE
for name in TABLE:
    predictor = Predictor(name, ["energy", "forces"], {"channels": 8, "n_layers": 1}).double()
    graph = from_ase(molecule("H2O"))
    def learned(call):
        predictor.zero_grad()
        sum(value.square().sum() for value in call(graph).values()).backward()
        return torch.cat([p.grad.flatten() for p in predictor.parameters() if p.grad is not None])
    for backend in ("eager", "aot_eager"):
        compiled = torch.compile(predictor, backend=backend)
        torch.testing.assert_close(compiled.train()(graph), predictor.train()(graph))
        torch.testing.assert_close(learned(compiled), learned(predictor))
        torch.testing.assert_close(compiled.eval()(graph), predictor.eval()(graph))
    energy = torch.compile(predictor.model, backend="eager")  # one part, of which somebody takes derivatives twice
    graph.pos.requires_grad_()
    first = [torch.autograd.grad(f(graph).sum(), graph.pos, create_graph=True)[0] for f in (energy, predictor.model)]
    by = [graph.pos, *predictor.model.parameters()]
    both = [torch.autograd.grad(f.square().sum(), by, allow_unused=True, materialize_grads=True) for f in first]
    torch.testing.assert_close(*both)
"""
    command = [sys.executable, "-W", "ignore", "-c", script]
    done = subprocess.run(command, timeout=600, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_model_can_be_compiled_for_energies_alone():
    # In a process of its own: Dynamo cannot look through the checks of annotations that tests put around every function.
    script = """
import torch
from ase.build import molecule
from molzoo import Predictor
from molzoo.graph import connect, from_ase
from molzoo.models import TABLE
graph = connect(from_ase(molecule("CH3CH2OH")), 5.0)
for name in TABLE:
    predictor = Predictor(name, ["energy"], {"channels": 8, "n_layers": 1}).eval()
    with torch.no_grad():
        torch.testing.assert_close(torch.compile(predictor.evaluate, backend="eager")(graph), predictor.evaluate(graph))
    predictor.requires_grad_(False)  # a gradient may be asked for, but there is none
    torch.testing.assert_close(torch.compile(predictor.evaluate, backend="eager")(graph), predictor.evaluate(graph))
"""
    command = [sys.executable, "-W", "ignore", "-c", script]
    done = subprocess.run(command, timeout=300, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
