"""What is true of EVERY row of the zoo, in each precision; a new row is tested by standing in the table."""

import copy
import inspect
import pickle
from pathlib import Path

import pytest
import torch
from torch_geometric.data import Batch

from molzoo import checkpoint
from molzoo.graph import AtomGraph, connect
from molzoo.kernels import use_backend
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


def near_cutoff(predictor, gap):
    """Energy and its first two derivatives by the distance of an atom that is ``gap`` Å inside the cutoff of one other atom."""
    d = torch.tensor(predictor.model.cutoff - gap, dtype=F64, requires_grad=True)
    zero = torch.zeros((), dtype=F64)
    rows = [torch.stack([x, zero, zero]) for x in (d, zero, torch.tensor(-1.2, dtype=F64))]
    values = [predictor(AtomGraph(z=[1, 6, 8], pos=torch.stack(rows)), ["energy"])["energy"][0]]
    for _ in range(2):
        values.append(torch.autograd.grad(values[-1], d, create_graph=True)[0])
    return [float(v.detach()) for v in values]


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
def test_gives_its_irreps_and_refuses_others(row, ir, structure, symmetry):
    if ir not in row.gives:
        with pytest.raises(ValueError, match=f"this model gives {' and '.join(row.gives)} of each atom, not {ir}"):
            create_model(row.name, channels=16, n_layers=2, irreps_out=f"0e + {ir}")
        return
    model = create_model(row.name, channels=16, n_layers=2, irreps_out=f"0e + 2x{ir}").double()
    graph = structure("ethanol")
    motion = symmetry.random_motion(len(graph.z), inverted=True)
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


@pytest.mark.parametrize("name", ["ethanol", "crystal", "atom"])
def test_compiled_loops_and_messages_agree_through_second_order(row, name, dtype, structure, predictor):
    found = {}
    for backend in ("messages", "fused"):
        made = predictor(row.name, dtype=dtype).train()
        with use_backend(backend):
            values = made(structure(name))
            sum(value.square().sum() for value in values.values()).backward()
        found[backend] = [*values.values(), *(p.grad for p in made.parameters() if p.grad is not None)]
    limit = {torch.float32: 2e-5, F64: 1e-11}[dtype]
    assert all(relative(a, b) < limit for a, b in zip(found["fused"], found["messages"], strict=True))


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


# ----------------------------------------------------------------------------------------------------------------- symmetry


@pytest.mark.parametrize("name", ["ethanol", "HCN", "ion", "crystal"])
@pytest.mark.parametrize("inverted", [False, True], ids=["rotation", "rotation+inversion"])
def test_everything_turns_moves_and_renumbers_as_declared(row, name, inverted, dtype, structure, predictor, symmetry):
    graph, names = structure(name), CRYSTAL if name == "crystal" else MOLECULE
    motions = [symmetry.random_motion(len(graph.z), seed, inverted) for seed in range(3)]
    errors = symmetry.compare(predictor(row.name, *names, dtype=dtype), graph, names, motions)
    assert max(errors.values()) < {torch.float32: 1e-5, F64: 1e-11}[dtype], symmetry.table(errors)


def test_polarizability_turns_but_does_not_move_or_is_refused(row, dtype, structure, predictor, symmetry):
    if scalars_only(row):
        with pytest.raises(ValueError, match="polarizability cannot be predicted by a model that gives only 0e"):
            predictor(row.name, "polarizability")
        return
    motions = [symmetry.random_motion(9, seed) for seed in range(3)]
    errors = symmetry.compare(
        predictor(row.name, "polarizability", dtype=dtype), structure("ethanol"), ["polarizability"], motions
    )
    assert errors["polarizability"] < {torch.float32: 1e-5, F64: 1e-11}[dtype]


def test_a_batch_equals_its_members(row, dtype, structure, predictor):
    names = ["water", "atom", "ethanol", "nothing", "HCN"]
    made = predictor(row.name, *MOLECULE, dtype=dtype)
    together, singles = made(structure(*names)), [made(structure(name)) for name in names]
    for field, value in together.items():
        assert relative(value, torch.cat([single[field] for single in singles])) < {torch.float32: 1e-5, F64: 1e-11}[dtype]


def test_structures_far_apart_add_up(row, dtype, structure, predictor):
    a, b, made = structure("ethanol"), structure("HCN"), predictor(row.name, dtype=dtype)
    both = made(AtomGraph(z=torch.cat([a.z, b.z]), pos=torch.cat([a.pos, b.pos + 100])))
    alone = made(a), made(b)
    assert both["energy"].item() == pytest.approx(sum(m["energy"].item() for m in alone), rel=1e-6)
    assert relative(both["forces"], torch.cat([m["forces"] for m in alone])) < {torch.float32: 1e-5, F64: 1e-11}[dtype]


def test_atoms_50_angstrom_apart_feel_nothing(row, dtype, structure, predictor):
    assert (predictor(row.name, dtype=dtype)(structure("far pair"))["forces"] == 0).all()


def test_total_force_and_torque_are_zero(row, dtype, structure, predictor):
    graph = structure("ethanol")
    forces = predictor(row.name, dtype=dtype)(graph)["forces"]
    limit = {torch.float32: 1e-5, F64: 1e-12}[dtype] * forces.abs().max()
    assert forces.sum(0).abs().max() < limit
    assert torch.linalg.cross(graph.pos, forces).sum(0).abs().max() < 5 * limit


# ----------------------------------------------------------------------------------------------------------- periodic cells


def test_a_supercell_has_eight_times_the_energy(row, dtype, structure, predictor):
    unit, made = structure("crystal"), predictor(row.name, *CRYSTAL, dtype=dtype)
    shifts = torch.cartesian_prod(*[torch.arange(2.0, dtype=F64)] * 3) @ unit.cell[0]
    pos = (unit.pos[None] + shifts[:, None]).flatten(0, 1)
    eight = made(AtomGraph(z=unit.z.repeat(8), pos=pos, cell=2 * unit.cell, pbc=True))
    one = made(unit)
    limit = {torch.float32: 1e-5, F64: 1e-11}[dtype]
    assert relative(eight["energy"], 8 * one["energy"]) < limit
    assert relative(eight["forces"], one["forces"].repeat(8, 1)) < limit
    assert relative(eight["stress"], one["stress"]) < limit


def test_lattice_shifts_change_nothing(row, dtype, structure, predictor):
    graph, made = structure("crystal"), predictor(row.name, *CRYSTAL, dtype=dtype)
    shifts = torch.tensor([[0, 0, 0], [1, -2, 0], [0, 5, 1], [-3, 0, 0]], dtype=F64)
    shifted = graph.clone_with(pos=graph.pos + shifts @ graph.cell[0])
    first, second = made(graph), made(shifted)
    for name in CRYSTAL:
        assert relative(second[name], first[name]) < {torch.float32: 1e-5, F64: 1e-11}[dtype]


def test_stress_is_the_derivative_by_strain(row, structure, predictor):
    graph, made, h = structure("crystal"), predictor(row.name, *CRYSTAL), 1e-5

    def strained(strain):
        stretch = torch.eye(3, dtype=F64) + strain
        return AtomGraph(z=graph.z, pos=graph.pos @ stretch, cell=graph.cell @ stretch, pbc=True)

    unit = torch.eye(9, dtype=F64).view(9, 3, 3)
    strains = h / 2 * (unit + unit.mT)
    energies = made(Batch.from_data_list([strained(s) for s in torch.cat([strains, -strains])]), ["energy"])["energy"]
    slopes = (energies[:9] - energies[9:]).view(3, 3) / (2 * h) / torch.linalg.det(graph.cell[0]).abs()
    assert relative(made(graph)["stress"][0], slopes) < 1e-6


def test_stress_is_symmetric(row, dtype, structure, predictor):
    stress = predictor(row.name, *CRYSTAL, dtype=dtype)(structure("crystal"))["stress"]
    assert torch.equal(stress, stress.mT)


# ----------------------------------------------------------------------------------------------------------------- the cutoff


def test_edges_beyond_the_cutoff_do_nothing(row, dtype, structure, predictor):
    made = predictor(row.name, dtype=dtype, cutoff=2.5)
    near, far = connect(structure("ethanol"), 2.5), connect(structure("ethanol"), 8.0)
    assert far.num_edges > near.num_edges
    first, second = made(near), made(far)
    assert relative(second["energy"], first["energy"]) < {torch.float32: 1e-6, F64: 1e-14}[dtype]
    assert relative(second["forces"], first["forces"]) < {torch.float32: 1e-5, F64: 1e-13}[dtype]


@pytest.mark.parametrize("envelope", ["cosine", "polynomial"])
def test_energy_and_force_are_continuous_through_the_cutoff(row, envelope, predictor):
    made = predictor(row.name, "energy", envelope=envelope)
    outside, *flat = near_cutoff(made, -1e-4)
    energy, slope, _ = near_cutoff(made, 1e-4)
    closer_energy, closer_slope, _ = near_cutoff(made, 1e-5)
    assert flat == [0.0, 0.0]
    assert 0 < abs(closer_slope) < 0.2 * abs(slope)  # → 0 at least linearly
    assert abs(energy - outside) < 1e-4 * abs(slope) + 1e-14
    assert abs(closer_energy - outside) < 1e-5 * abs(closer_slope) + 1e-14


@pytest.mark.parametrize("envelope", ["default", "polynomial"])
def test_smoothness_is_what_the_row_says(row, envelope, predictor):
    made = predictor(row.name, "energy", **({} if envelope == "default" else {"envelope": envelope}))
    curvature, closer_curvature = near_cutoff(made, 1e-4)[2], near_cutoff(made, 1e-5)[2]
    assert abs(curvature) > 0
    vanishes = abs(closer_curvature) < 0.2 * abs(curvature)
    assert vanishes == (envelope == "polynomial" or row.smoothness == "C2")


# --------------------------------------------------------------------------------------------------------------- derivatives


@pytest.mark.parametrize("name", ["ethanol", "crystal", *LINEAR])
def test_forces_are_finite_differences(row, name, structure, predictor):
    graph, made, h = structure(name), predictor(row.name), 1e-5
    n = graph.pos.numel()
    moves = h * torch.eye(n, dtype=F64).view(n, -1, 3)
    frames = [AtomGraph(z=graph.z, pos=graph.pos + move, cell=graph.cell, pbc=graph.pbc) for move in torch.cat([moves, -moves])]
    energies = made(Batch.from_data_list(frames), ["energy"])["energy"]
    differences = -(energies[:n] - energies[n:]).view(-1, 3) / (2 * h)
    assert relative(made(graph)["forces"], differences) < 1e-6


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


@pytest.mark.parametrize("name", ["water", "HCN", "crystal"])
def test_the_hessian_is_symmetric(row, name, structure, predictor):
    graph = connect(structure(name), 5.0)
    pos = graph.pos.requires_grad_()
    forces = predictor(row.name)(graph.clone_with(pos=pos), create_graph=True)["forces"]
    hessian = -torch.stack([torch.autograd.grad(f, pos, retain_graph=True)[0].flatten() for f in forces.flatten()])
    assert hessian.abs().max() > 0
    assert relative(hessian, hessian.mT) < 1e-10


@pytest.mark.parametrize("name", [*LINEAR, "coincident", "atom", "far pair"])
def test_awkward_structures_train_on_finite_numbers(row, name, dtype, structure, predictor):
    made = predictor(row.name, *MOLECULE, dtype=dtype).train()
    found = made(structure(name))
    sum(value.square().sum() for value in found.values()).backward()
    assert all(torch.isfinite(value).all() for value in found.values())
    assert all(torch.isfinite(p.grad).all() for p in made.parameters() if p.grad is not None)


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


def test_two_runs_are_bit_identical(row, dtype, structure, predictor):
    names = ("energy", "forces", "dipole")

    def run():
        made, batch = predictor(row.name, *names, dtype=dtype).train(), structure("ethanol", "water", "CO2")
        found = made(batch)
        found["forces"].square().sum().backward()
        return *found.values(), *(p.grad for p in made.parameters() if p.grad is not None)

    torch.manual_seed(3)
    first = run()
    torch.manual_seed(3)
    assert all(torch.equal(a, b) for a, b in zip(first, run(), strict=True))


@pytest.mark.parametrize("connected", [False, True], ids=["bare", "connected"])
def test_inputs_are_not_changed(row, connected, structure, predictor):
    graph = structure("crystal", "crystal")
    graph = connect(graph, 5.0) if connected else graph
    before = {name: copy.deepcopy(value) for name, value in graph.to_dict().items()}
    predictor(row.name, *CRYSTAL).train()(graph)
    after = graph.to_dict()
    assert list(after) == list(before)
    for name, value in after.items():
        assert torch.equal(value, before[name]) if isinstance(value, torch.Tensor) else value == before[name]
    assert not graph.pos.requires_grad
    assert not graph.cell.requires_grad


def through_a_file(made, folder):
    checkpoint.save(made, folder / "model.pt")
    return checkpoint.load(folder / "model.pt")


@pytest.mark.parametrize(
    "again",
    [through_a_file, lambda made, _: copy.deepcopy(made), lambda made, _: pickle.loads(pickle.dumps(made))],
    ids=["file", "deepcopy", "pickle"],
)
def test_copies_predict_the_same_bit_for_bit(row, again, dtype, structure, predictor, tmp_path):
    made, graph = predictor(row.name, "energy", "forces", "dipole", dtype=dtype), structure("ethanol")
    first, second = made(graph), again(made, tmp_path)(graph)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_dipole_of_a_periodic_cell_is_refused(row, structure, predictor):
    with pytest.raises(ValueError, match="dipole is defined for structures without periodic boundaries only"):
        predictor(row.name, "dipole")(structure("crystal"))


def test_stress_of_a_molecule_is_refused(row, structure, predictor):
    with pytest.raises(ValueError, match="stress is defined for periodic structures only"):
        predictor(row.name, "energy")(structure("water"), ["stress"])


def test_stress_of_a_cell_without_volume_is_refused(row, structure, predictor):
    slab = AtomGraph(z=[6], pos=[[0.0, 0.0, 0.0]], cell=[[3.0, 0, 0], [0, 3.0, 0], [0, 0, 0]], pbc=[True, True, False])
    with pytest.raises(ValueError, match="stress needs a cell with a volume"):
        predictor(row.name, "energy")(slab, ["stress"])


def test_dipoles_come_from_vectors_where_there_are_any(row):
    made = Predictor(row.name, ["dipole"], {"channels": 16, "n_layers": 2})
    assert (made.model.irreps_out.count("1o") == 1) == ("1o" in row.gives)
