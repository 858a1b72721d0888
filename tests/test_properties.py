"""From numbers of atoms to predictions, by hand; and constants that no cast may round."""

import copy

import pytest
import torch
from torch import nn

from molzoo.check.symmetry import random_motion
from molzoo.data.facts import DataFacts
from molzoo.graph import AtomGraph
from molzoo.models.interface import AtomisticModel
from molzoo.o3 import Irreps
from molzoo.properties import Dipole, MeanOverAtoms, PerElement, Polarizability, SpatialExtent, SumOverAtoms, make_properties

F64 = torch.float64
REFERENCES = {1: -13.587222780835477, 6: -1029.4130839658328, 8: -2042.7032062326}
MASS = {1: 1.008, 6: 12.011, 8: 15.999}  # as ASE has them
CASTS = {
    "float": lambda m: m.float(),
    "double": lambda m: m.double(),
    "half": lambda m: m.half(),
    "to(float32)": lambda m: m.to(torch.float32),
    "to(device, float16)": lambda m: m.to("cpu", torch.float16),
    "there and back": lambda m: m.float().double(),
    "deepcopy": copy.deepcopy,
}


def constant(value):
    """A model whose output of every atom is ``value``, whatever irreps it is asked for."""

    class Constant(AtomisticModel):
        def __init__(self, *, irreps_out):
            super().__init__(5.0, irreps_out)
            self.readout = nn.Identity()
            self.out = nn.Parameter(torch.as_tensor(value, dtype=F64))

        def features(self, graph):
            return self.out.expand(len(graph.z), -1)

    return Constant


def centred(graph):
    m = torch.tensor([MASS[z] for z in graph.z.tolist()], dtype=F64)[:, None]
    return graph.pos - (m * graph.pos).sum(0) / m.sum()


# --------------------------------------------------------------------------------------------------- numbers of the elements


@pytest.mark.parametrize("cast", CASTS.values(), ids=list(CASTS))
def test_numbers_of_elements_survive_every_cast(cast):
    table = cast(nn.Sequential(PerElement(REFERENCES)))[0]
    assert table(torch.tensor([1, 6, 8, 2])).tolist() == [*REFERENCES.values(), 0.0]
    assert table.values.dtype == F64


def test_numbers_of_elements_follow_the_device():
    assert PerElement(REFERENCES).to("meta").values.device.type == "meta"


def test_numbers_of_elements_are_not_in_the_state():
    assert len(PerElement(REFERENCES).state_dict()) == 0  # they are in the checkpoint's card, as JSON


# ------------------------------------------------------------------------------------------------------------ sums and means


def test_energy_is_references_plus_scaled_outputs(structure):
    facts = DataFacts(references={"energy": REFERENCES}, scales={"energy": 0.5})
    graph, out = structure("water", "CO2"), torch.arange(6.0)[:, None]
    found = SumOverAtoms("energy", facts)(out, graph)
    h, c, o = REFERENCES.values()
    assert found["energy"].tolist() == pytest.approx([o + 2 * h + 0.5 * (0 + 1 + 2), c + 2 * o + 0.5 * (3 + 4 + 5)], abs=1e-11)
    assert found["energies"].sum().item() == pytest.approx(found["energy"].sum().item(), abs=1e-11)


def test_other_sums_have_no_terms_of_atoms(structure):
    assert list(SumOverAtoms("U0", DataFacts())(torch.ones(3, 1), structure("water"))) == ["U0"]


def test_an_offset_of_a_million_ev_costs_less_than_a_micro_ev(structure, predictor):
    graph, offset = structure("ethanol"), dict.fromkeys((1, 6, 8), -1e6)
    plain = predictor("PaiNN", "energy", dtype=torch.float32)(graph)["energy"]
    shifted = predictor("PaiNN", "energy", dtype=torch.float32, facts=DataFacts(references={"energy": offset}))(graph)["energy"]
    assert (shifted + 9e6 - plain).abs().item() < 1e-6


def test_an_intensive_scalar_is_mean_plus_scaled_mean(structure):
    facts = DataFacts(means={"gap": 6.8}, scales={"gap": 2.0})
    found = MeanOverAtoms("gap", facts)(torch.arange(12.0)[:, None], structure("water", "ethanol"))
    assert found["gap"].tolist() == pytest.approx([6.8 + 2 * 1, 6.8 + 2 * 7])


def test_twice_the_molecule_twice_the_sum_but_the_same_mean(structure):
    one, out = structure("water"), torch.randn(3, 1)
    two = AtomGraph(z=one.z.repeat(2), pos=torch.cat([one.pos, one.pos + 50]))
    for made, ratio in ((SumOverAtoms("zpve", DataFacts()), 2.0), (MeanOverAtoms("homo", DataFacts()), 1.0)):
        name = made.gives[0]
        assert made(out.repeat(2, 1), two)[name].item() == pytest.approx(ratio * made(out, one)[name].item())


# ------------------------------------------------------------------------------------------------------- charges and dipoles


@pytest.mark.parametrize(("name", "charge"), [("ethanol", 0.0), ("ion", -1.0), ("atom", 0.0)])
def test_charges_sum_to_the_total_charge(name, charge, structure, dtype):
    graph = structure(name)
    found = Dipole(vectors=False)(torch.randn(len(graph.z), 1, dtype=dtype), graph)
    assert found["charges"].sum().item() == pytest.approx(charge, abs=1e-14)


def test_charges_of_a_batch_sum_for_each_member(structure):
    graph = structure("ion", "nothing", "water")
    charges = Dipole(vectors=False)(torch.randn(len(graph.z), 1), graph)["charges"]
    assert [charges[graph.batch == k].sum().item() for k in range(3)] == pytest.approx([-1, 0, 0], abs=1e-14)


@pytest.mark.parametrize("name", ["ethanol", "ion"])
@pytest.mark.parametrize("vectors", [False, True], ids=["charges", "charges and atomic dipoles"])
def test_dipole_does_not_move_with_the_molecule(name, vectors, structure):
    graph, made = structure(name), Dipole(vectors)
    out = torch.randn(len(graph.z), 4 if vectors else 1, dtype=F64)
    moved = graph.clone_with(pos=graph.pos + torch.tensor([30.0, -7.0, 100.0]))
    torch.testing.assert_close(made(out, moved)["dipole"], made(out, graph)["dipole"], atol=1e-12, rtol=0)


def test_dipole_by_hand(structure):
    graph, out = structure("ion"), torch.randn(8, 4, dtype=F64)
    q = out[:, 0] + (-1 - out[:, 0].sum()) / 8
    by_hand = (q[:, None] * centred(graph) + out[:, 1:]).sum(0)
    found = Dipole(vectors=True)(out, graph)
    torch.testing.assert_close(found["dipole"][0], by_hand)
    torch.testing.assert_close(found["charges"], q)


def test_dipole_points_from_minus_to_plus():
    out = torch.tensor([[-0.4], [0.4]], dtype=F64)
    found = Dipole(vectors=False)(out, AtomGraph(z=[9, 1], pos=[[0.0, 0, 0], [0, 0, 0.9]]))
    assert found["dipole"][0].tolist() == pytest.approx([0, 0, 0.36])


def test_mu_is_the_length_of_the_dipole(structure):
    graph = structure("ethanol", "water")
    found = Dipole(vectors=True)(torch.randn(12, 4), graph)
    torch.testing.assert_close(found["mu"], found["dipole"].norm(dim=1))


def test_mu_of_no_dipole_has_a_finite_derivative(structure):
    out = torch.zeros(1, 1, dtype=F64, requires_grad=True)
    found = Dipole(vectors=False)(out, structure("atom"))
    assert found["mu"].item() == 0
    assert torch.autograd.grad(found["mu"].sum(), out)[0].isfinite().all()


def test_spatial_extent_by_hand(structure):
    graph, out = structure("ethanol"), torch.randn(9, 1, dtype=F64)
    electrons = {1: 1.0, 6: 6.0, 8: 8.0}
    q = torch.tensor([electrons[z] for z in graph.z.tolist()], dtype=F64) + out[:, 0]
    by_hand = (q * centred(graph).square().sum(1)).sum()
    found = SpatialExtent(DataFacts(references={"r2": electrons}))(out, graph)["r2"]
    assert found.item() == pytest.approx(by_hand.item(), rel=1e-12)


# -------------------------------------------------------------------------------------------------------- several at once


@pytest.mark.parametrize("tensors", [False, True])
def test_polarizability_does_not_move_with_the_molecule(tensors, structure):
    graph, property_ = structure("ethanol"), Polarizability(tensors)
    out = torch.randn(9, property_.reads.dim, dtype=F64)
    alpha = property_(out, graph)["polarizability"]
    moved = property_(out, graph.clone_with(pos=graph.pos + torch.tensor([100.0, -3.0, 7.0])))["polarizability"]
    torch.testing.assert_close(moved, alpha, rtol=0, atol=1e-11)
    torch.testing.assert_close(alpha, alpha.mT, rtol=0, atol=1e-12)


@pytest.mark.parametrize("tensors", [False, True])
def test_polarizability_turns_with_the_molecule(tensors, structure):
    graph, property_ = structure("ethanol"), Polarizability(tensors)
    motion = random_motion(9, inverted=True)
    out = torch.randn(9, property_.reads.dim, dtype=F64)
    turned = (out @ property_.reads.D_from_matrix(motion.rotation).T)[motion.order]
    alpha = property_(out, graph)["polarizability"]
    found = property_(turned, motion.structure(graph))["polarizability"]
    torch.testing.assert_close(found, motion.rotation @ alpha @ motion.rotation.T, rtol=0, atol=1e-11)


def test_polarizability_by_hand(structure):
    graph = structure("ethanol")
    out = torch.randn(9, 4, dtype=F64)
    by_hand = sum(
        a * torch.eye(3, dtype=F64) + torch.outer(nu, d) + torch.outer(d, nu)
        for (a, nu), d in zip(((row[0], row[1:]) for row in out), centred(graph), strict=True)
    )
    torch.testing.assert_close(Polarizability(tensors=False)(out, graph)["polarizability"][0], by_hand)


def test_each_property_reads_its_own_columns(structure, predictor):
    names = ["energy", "forces", "dipole", "r2", "gap"]
    made = predictor(constant([1.0, 2, 3, 4, 0.5, 0.25, 0.125]), *names)
    with torch.no_grad():
        made.model.out.copy_(torch.tensor([1.0, 2, 3, 4, 0.5, 0.25, 0.125]))  # the fixture has moved them
    graph = structure("water")
    found = made(graph, ["energy", "charges", "r2", "gap", "dipole"])
    assert made.model.irreps_out == Irreps("4x0e + 1x1o")
    assert found["energy"].item() == 3 * 1.0
    assert found["charges"].abs().max() < 1e-15  # 2 of each atom, and a total charge of 0
    assert found["dipole"][0].tolist() == pytest.approx([1.5, 0.75, 0.375])
    assert found["r2"].item() == pytest.approx((3 * centred(graph).square().sum()).item())
    assert found["gap"].item() == 4.0


def test_two_vectors_lie_behind_all_scalars(predictor):
    made = predictor("PaiNN", "dipole", "energy")
    assert made.model.irreps_out == Irreps("2x0e + 1x1o")
    assert made._columns == [[0, 2, 3, 4], [1]]


def test_what_one_property_gives_is_made_once():
    made = make_properties(["energy", "energies", "forces", "stress", "dipole", "mu", "charges"], ("0e", "1o"), DataFacts())
    assert [type(p).__name__ for p in made] == ["SumOverAtoms", "Dipole"]


def test_every_quantity_has_a_property():
    from molzoo.quantities import QUANTITIES

    for name, row in QUANTITIES.items():
        made = make_properties([name], ("0e", "1o"), DataFacts())[0]
        assert name in made.gives or row.derivative in made.gives


def test_what_no_property_makes_is_refused():
    with pytest.raises(
        ValueError, match=r"polarizability cannot be predicted by a model that gives only 0e of .*; choose PaiNN"
    ):
        make_properties(["polarizability"], ("0e",), DataFacts())


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'energy'"):
        make_properties(["enregy"], ("0e",), DataFacts())
