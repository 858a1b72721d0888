"""What scalars cannot see of NequIP, and what it refuses."""

import pytest
import torch

from molzoo.check.symmetry import random_motion
from molzoo.kernels import use_backend
from molzoo.models import create_model
from molzoo.o3 import Irreps

SMALL = {"elements": [1, 6, 8], "channels": 4, "n_layers": 2}


@pytest.mark.parametrize(
    "arguments",
    [{"l_max": 0}, {"l_max": 1}, {"l_max": 1, "parity": True, "n_layers": 3}, {"l_max": 3, "channels": [5, 4, 3, 2]}],
    ids=["l0", "l1", "l1 both parities", "l3 ragged"],
)
def test_features_turn_as_their_irreps_say(arguments, structure):
    irreps_out = Irreps("0e") if arguments["l_max"] == 0 else Irreps("0e + 1o")
    model, graph = create_model("NequIP", **SMALL | arguments, irreps_out=str(irreps_out)).double(), structure("ethanol")
    motion = random_motion(9, inverted=True)
    with use_backend("messages"):  # loops of so many programs take minutes to compile, and test_contract.py compares them
        first, second = model.features(graph), model.features(motion.structure(graph))
    D = model.irreps_features.D_from_matrix(motion.rotation)
    torch.testing.assert_close(second, (first @ D.T)[motion.order], rtol=0, atol=1e-12)
    assert first.abs().max() > 1e-3


def test_a_pseudoscalar_needs_three_layers_and_both_parities(structure):
    arguments = SMALL | {"l_max": 1, "irreps_out": "0o", "parity": True}
    with pytest.raises(ValueError, match="this model gives 0e of each atom, not 0o"):
        create_model("NequIP", **arguments)
    model = create_model("NequIP", **arguments | {"n_layers": 3}).double()
    graph = structure("ethanol")
    motion = random_motion(9, inverted=True)
    torch.testing.assert_close(model(motion.structure(graph)), -model(graph)[motion.order], rtol=0, atol=1e-12)


def test_channels_of_each_degree_must_be_as_many_as_degrees():
    with pytest.raises(ValueError, match="give 3 numbers or one"):
        create_model("NequIP", channels=[8, 4], l_max=2)


def test_a_degree_above_l_max_is_refused():
    with pytest.raises(ValueError, match="this model gives 0e and 1o of each atom, not 2e"):
        create_model("NequIP", **SMALL | {"l_max": 1, "irreps_out": "0e + 2e"})


def test_a_dipole_without_vectors_is_made_of_charges(predictor, structure):
    made = predictor("NequIP", "dipole", l_max=0)
    assert str(made.model.irreps_out) == "1x0e"
    assert made(structure("water"))["dipole"].abs().max() > 0


def test_one_vector_of_neighbours_by_hand():
    """One layer on a dimer: the vector feature of atom 0 is the gated, mixed weight times the neighbour's scalars times u."""
    torch.manual_seed(0)
    model = create_model("NequIP", elements=[1, 8], channels=2, n_layers=1, l_max=1, irreps_out="0e + 1o").double()
    d, u = 1.1, torch.tensor([0.6, 0.0, 0.8], dtype=torch.float64)
    pos = torch.stack([torch.zeros(3, dtype=torch.float64), d * u])
    from molzoo.graph import AtomGraph

    vectors = model.features(AtomGraph(z=[8, 1], pos=pos))[:, 2:].view(2, 2, 3)
    layer = model.layers[0]
    length = torch.tensor([d], dtype=torch.float64)
    e = 2 / 5 * model.envelope(length) * model.radial(length)
    W = layer.radial(e)[0].view(2, 2)  # paths to 0e and 1o, two channels each
    x = layer.linear_in(model.embedding(torch.tensor([1])))[0] / 4  # √16 neighbours
    scalars, gates = layer.linear_out.weight_view_for_instruction(0).T.split(2)
    mixed = layer.linear_out.weight_view_for_instruction(1)
    gate = 1.6791767 * torch.nn.functional.silu((gates @ (W[0] * x)) / 2**0.5)
    expected = (gate * ((W[1] * x) @ mixed) / 2**0.5)[:, None] * 3**0.5 * u
    torch.testing.assert_close(vectors[0], expected, rtol=1e-6, atol=1e-9)
    assert scalars.shape == (2, 2)
