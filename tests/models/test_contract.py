"""What is true of EVERY row of the zoo, in each precision; a new row is tested by standing in the table."""

import copy
import inspect
import pickle
from pathlib import Path

import pytest
import torch
from torch_geometric.data import Batch

from molzoo.check import LAWS
from molzoo.check.derivatives import forces
from molzoo.check.locality import jumps
from molzoo.check.measure import worst
from molzoo.check.symmetry import random_motion
from molzoo.graph import AtomGraph, connect
from molzoo.kernels import use_backend
from molzoo.kernels.dispatch import runnable
from molzoo.loss import Loss
from molzoo.models import TABLE, create_model
from molzoo.models.interface import AtomisticModel
from molzoo.o3 import Irreps
from molzoo.predictor import Predictor

F64 = torch.float64
CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "model"
LINEAR = ["CO2", "HCN", "C2H2", "H2"]
MOLECULE = ("energy", "energies", "forces", "dipole", "mu", "charges")
CRYSTAL = ("energy", "energies", "forces", "stress")

# How many rows of a parameter no label of energy, forces and dipole can reach, for 16 channels. A new row may need its own.
OF_SCALARS = {"readout.linear.scalars.bias": 1}  # of the charges: taken out again when they are made to sum to the total
WITHOUT_GRADIENT = {
    "PaiNN": OF_SCALARS
    | {
        "interactions.0.phi.2.weight": 16,  # φ_vv of the first layer, where all vectors are zero
        "interactions.0.phi.2.bias": 16,
        "filters.linear.weight": 16,  # W_vv of the first layer, likewise
        "filters.linear.bias": 16,
    },
    "TFN": {"readout.bias": 1},  # of the charges, as above
    "NequIP": {},  # no biases at the end
    "DimeNet": {},
    "DimeNetPP": {},
}

pytestmark = pytest.mark.parametrize("row", TABLE.values(), ids=list(TABLE))


def relative(found, wanted):
    return float((found - wanted).detach().abs().max() / wanted.detach().abs().max().clamp(min=1e-3))


def scalars_only(row):
    return all(Irreps(ir)[0].ir.l == 0 for ir in row.gives)


# ---------------------------------------------------------------------------------------------------- the row and the class


def test_the_class_is_one_below_the_interface_and_takes_few_keywords(row):
    cls = row.load()
    arguments = inspect.signature(cls).parameters.values()
    assert cls.__bases__ == (AtomisticModel,)
    assert all(a.kind is inspect.Parameter.KEYWORD_ONLY and a.default is not inspect.Parameter.empty for a in arguments)
    assert len(arguments) <= 14


def test_the_docstring_says_what_differs_and_the_reference_numbers(row):
    assert "Differs from the paper:" in row.load().__doc__
    assert "Reference numbers:" in row.load().__doc__


def test_the_row_names_a_paper_and_a_config_that_are_there(row):
    assert "https://" in row.paper
    assert (CONFIGS / f"{row.config}.yaml").is_file()


def test_symmetry_and_gives_agree(row):
    assert (row.symmetry == "E(3)-invariant") == scalars_only(row)


def test_forward_is_the_readout_of_the_features(row, structure):
    model = create_model(row.name, channels=16, n_layers=2)
    graph = structure("water")
    assert torch.equal(model(graph), model.readout(model.features(graph)))


@pytest.mark.parametrize("ir", ["0e", "1o", "0o", "1e", "2e"])
def test_gives_its_irreps_and_refuses_others(row, ir, structure):
    if ir not in row.gives:
        with pytest.raises(ValueError, match=f"this model gives {' and '.join(row.gives)} of each atom, not {ir}"):
            create_model(row.name, channels=16, n_layers=2, irreps_out=f"0e + {ir}")
        return
    model = create_model(row.name, channels=16, n_layers=2, irreps_out=f"0e + 2x{ir}").double()
    graph = structure("ethanol")
    motion = random_motion(len(graph.z), inverted=True)
    first, second = model(graph), model(motion.structure(graph))
    assert first[:, 1:].abs().max() > 1e-6
    assert relative(second, (first @ model.irreps_out.D_from_matrix(motion.rotation).T)[motion.order]) < 1e-9


def test_accepts_a_charge_or_is_blind_to_it(row, structure, predictor):
    made, graph = predictor(row.name), structure("ethanol")
    charged = made(connect(graph, 5.0).clone_with(charge=torch.ones(1)), ["energy"])["energy"]
    assert torch.equal(charged, made(graph, ["energy"])["energy"]) == ("charge" not in row.accepts)


def test_an_isolated_atom_has_the_energy_that_the_row_says(row, structure, predictor):
    energy = predictor(row.name)(structure("atom"), ["energy"])["energy"].item()
    assert (energy == 0.0) == (row.isolated_atom == "exact")


# --------------------------------------------------------------------------------------------------------- shapes and dtypes


@pytest.mark.parametrize("names", [["water"], ["atom"], ["nothing"], ["water", "nothing", "atom", "ethanol"]], ids="+".join)
@pytest.mark.parametrize("positions", [torch.float32, F64], ids=["pos32", "pos64"])
def test_shapes_and_dtypes(row, names, positions, dtype, structure, predictor):
    graph = structure(*names)
    graph.pos = graph.pos.to(positions)
    graph.cell = graph.cell.to(positions)
    N, B = len(graph.z), len(names)
    found = predictor(row.name, *MOLECULE, dtype=dtype)(graph)
    shapes = {"energy": (B,), "energies": (N,), "forces": (N, 3), "dipole": (B, 3), "mu": (B,), "charges": (N,)}
    assert {name: tuple(value.shape) for name, value in found.items()} == shapes
    assert {value.dtype for name, value in found.items() if name != "forces"} == {F64}  # sums are float64 always
    assert found["forces"].dtype == positions
    assert all(torch.isfinite(value).all() for value in found.values())


def test_output_rows_are_atoms_in_the_models_precision(row, dtype, structure):
    model = create_model(row.name, channels=16, n_layers=2, irreps_out="3x0e").to(dtype)
    out = model(structure("ethanol"))
    assert row.site == "atom"
    assert out.shape == (9, 3)
    assert out.dtype == dtype


# --------------------------------------------------------------------------------------------------------------------- laws


KEPT = {}  # making a predictor takes longer than most laws


@pytest.mark.parametrize("backend", runnable(torch.ones(1)))
@pytest.mark.parametrize("law", LAWS.values(), ids=list(LAWS))
def test_law(row, law, backend, dtype, structure, predictor):
    if law.float32 is None and dtype == torch.float32:
        pytest.skip("compares with differences, in float64")
    names = [*MOLECULE, *([] if scalars_only(row) else ["polarizability"])]
    if (row.name, dtype) not in KEPT:
        KEPT[row.name, dtype] = predictor(row.name, *names, dtype=dtype)
    made = KEPT[row.name, dtype]
    graphs = map(structure, ["crystal"] if law.of_model else ["ethanol", "ion", "HCN", "atom", "crystal"])
    graphs = [graph for graph in graphs if not law.why_not(made, graph)]
    assert graphs
    with use_backend(backend):
        found = worst(law.test(made, graph) for graph in graphs)
    assert found.largest <= (law.float64 if dtype == F64 else law.float32), found


def test_a_jump_of_the_second_derivative_is_where_the_row_says(row, structure, predictor):
    for envelope in ("default", "polynomial"):
        made = predictor(row.name, "energy", **({} if envelope == "default" else {"envelope": envelope}))
        energy, force, curvature = jumps(made, structure("water"))
        assert max(energy.largest, force.largest) < 1e-6
        assert (curvature.largest < 1e-6) == (envelope == "polynomial" or row.smoothness == "C2")


def test_polarizability_is_refused_of_scalars(row, predictor):
    if scalars_only(row):
        with pytest.raises(ValueError, match="polarizability cannot be predicted by a model that gives only 0e"):
            predictor(row.name, "polarizability")


@pytest.mark.parametrize("name", LINEAR)
def test_forces_are_differences_where_atoms_are_in_line(row, name, structure, predictor):
    found = forces(predictor(row.name), structure(name))
    assert found.largest < 1e-6, found


def test_dipole_derivatives_are_finite_differences(row, structure, predictor):
    graph, made, h = connect(structure("ion"), 5.0), predictor(row.name, "dipole"), 1e-5
    pos = graph.pos.clone().requires_grad_()
    dipole = made(graph.clone_with(pos=pos))["dipole"][0]
    derivatives = torch.stack([torch.autograd.grad(mu, pos, retain_graph=True)[0][2] for mu in dipole])
    for axis in range(3):
        ends = [graph.pos.clone() for _ in range(2)]
        ends[0][2, axis] += h
        ends[1][2, axis] -= h
        plus, minus = (made(graph.clone_with(pos=end))["dipole"][0] for end in ends)
        assert relative(derivatives[:, axis], (plus - minus) / (2 * h)) < 1e-6


def labelled(structure, predictor, row, names):
    """Four frames with labels that a force field could have."""
    teacher = predictor(row.name, *names, channels=8, n_radial=5)
    frames = []
    for name in ("water", "HCN", "ethanol", "CO2"):
        graph = structure(name)
        graph = graph.clone_with(pos=graph.pos + 0.1 * torch.randn_like(graph.pos))
        with torch.no_grad():
            labels = {name: 3 * value for name, value in teacher(graph).items()}
        frames.append(connect(graph.clone_with(**labels), 5.0))
    return Batch.from_data_list(frames)


def test_every_parameter_learns_from_energy_forces_and_dipole(row, structure, predictor):
    names = ("energy", "forces", "dipole")
    made = predictor(row.name, *names).train()
    batch = labelled(structure, predictor, row, names)
    Loss(dict.fromkeys(names, 1.0))(made(batch), batch)[0].backward()
    unreached = {}
    for name, parameter in made.model.named_parameters():
        rows = parameter.grad.flatten(1) if parameter.ndim > 1 else parameter.grad[:, None]
        if name.endswith("embedding.weight"):  # elements that are there
            types = getattr(made.model.embedding, "types", torch.arange(119))
            rows = rows[types[batch.z.unique()]]
        unreached[name] = int((rows.abs().amax(1) < 1e-12 * rows.abs().max()).sum())
    assert {name: n for name, n in unreached.items() if n} == WITHOUT_GRADIENT.get(row.name, OF_SCALARS)


def test_overfits_one_batch(row, structure, predictor):
    names = ("energy", "forces")
    batch = labelled(structure, predictor, row, names)
    made, loss = predictor(row.name, *names, dtype=torch.float32).train(), Loss(dict.fromkeys(names, 1.0))
    optimiser = torch.optim.Adam(made.parameters(), lr=5e-3)
    losses = []
    for _ in range(100):
        optimiser.zero_grad()
        value = loss(made(batch), batch)[0]
        value.backward()
        optimiser.step()
        losses.append(value.item())
    assert losses[-1] < 0.05 * losses[0], losses[::10]


# -------------------------------------------------------------------------------------------------------- a good citizen


def test_a_connected_batch_is_not_changed(row, structure, predictor):
    graph = connect(structure("crystal", "crystal"), 5.0)
    before = {name: copy.deepcopy(value) for name, value in graph.to_dict().items()}
    predictor(row.name, *CRYSTAL).train()(graph)
    after = graph.to_dict()
    assert list(after) == list(before)
    for name, value in after.items():
        assert torch.equal(value, before[name]) if isinstance(value, torch.Tensor) else value == before[name]
    assert not graph.pos.requires_grad
    assert not graph.cell.requires_grad


@pytest.mark.parametrize("again", [copy.deepcopy, lambda made: pickle.loads(pickle.dumps(made))], ids=["deepcopy", "pickle"])
def test_copies_predict_the_same_bit_for_bit(row, again, dtype, structure, predictor):
    made, graph = predictor(row.name, "energy", "forces", "dipole", dtype=dtype), structure("ethanol")
    first, second = made(graph), again(made)(graph)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_stress_of_a_cell_without_volume_is_refused(row, structure, predictor):
    slab = AtomGraph(z=[6], pos=[[0.0, 0.0, 0.0]], cell=[[3.0, 0, 0], [0, 3.0, 0], [0, 0, 0]], pbc=[True, True, False])
    with pytest.raises(ValueError, match="stress needs a cell with a volume"):
        predictor(row.name, "energy")(slab, ["stress"])


def test_dipoles_come_from_vectors_where_there_are_any(row):
    made = Predictor(row.name, ["dipole"], {"channels": 16, "n_layers": 2})
    assert (made.model.irreps_out.count("1o") == 1) == ("1o" in row.gives)
