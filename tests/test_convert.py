"""Peers' networks become Predictors with the peers' numbers; whatever is not understood is refused by name."""

import re
from pathlib import Path

import ase.io
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from molzoo.convert import PEERS, convert, deviations, read_state
from molzoo.data.facts import DataFacts
from molzoo.graph import from_ase
from molzoo.predictor import Predictor
from molzoo.units import factor

FIXTURES = Path(__file__).parent / "fixtures" / "convert"
NEQUIP = {"channels": [6, 4], "l_max": 1, "parity": False, "avg_n_neighbours": 7.5}
OHC = [8, 1, 6]
NETWORKS = {  # fixture: (peer, arguments that its file does not hold, elements, our model)
    "nequip": ("nequip", NEQUIP, OHC, "NequIP"),
    "schnetpack_schnet": ("schnetpack", {}, [], "SchNet"),
    "schnetpack_painn": ("schnetpack", {}, [1, 6, 8], "PaiNN"),
    "pyg": ("pyg", {"mean": -0.375, "std": 1.75}, [], "SchNet"),
}

every_network = pytest.mark.parametrize("name", NETWORKS)


def state_of(name):
    return read_state(FIXTURES / f"{name}.pt")


def converted(name, state=None, unit="eV", **more):
    peer, arguments, elements, _ = NETWORKS[name]
    return convert(peer, state or state_of(name), arguments | more, elements, unit)


def structures_of(name):
    labels = {"energy": "energy", "forces": "forces"}
    return [from_ase(atoms, labels) for atoms in ase.io.read(FIXTURES / f"{name}.extxyz", ":")]


@every_network
def test_the_peer_s_energies_and_forces(name):
    made = converted(name)
    assert made.model_name == NETWORKS[name][-1]
    found = deviations(made, structures_of(name))
    assert found["energy"][0] < (2e-3 if name == "pyg" else 2e-6)  # PyG adds 6,000 eV in single precision
    assert found["forces"][1] < 1e-6
    assert made.facts.references["energy"][6] == pytest.approx(-1029.75 - (name != "nequip") * 0.375)


TWICE = r"_empty|\.output_mask$|tp\.weight$|mul\.weight$|linear_\d\.bias$|initial_atomref|\.conv\.nn\.|postprocessors.\d.scale"


@every_network
def test_nothing_in_the_file_is_dropped(name):
    state, facts = state_of(name), converted(name).facts.to_dict()
    for key in (key for key in state if not re.search(TWICE, key)):
        assert facts_without(name, state, key) != facts, key


def facts_without(name, state, key):
    try:
        return converted(name, {other: value for other, value in state.items() if other != key}).facts.to_dict()
    except ValueError:
        return None


def test_elements_of_nequip_are_those_of_its_types_in_their_order():
    made, graphs = converted("nequip"), structures_of("nequip")
    assert made.facts.elements == [1, 6, 8]
    assert made.facts.element_scales["energy"] == {1: 0.75, 6: 1.25, 8: 1.5}
    table = state_of("nequip")["model.func.type_embed.embed_module.weight"]
    assert torch.equal(made.model.embedding.embedding.weight, table[[1, 2, 0]])  # H, C, O
    wrong = convert("nequip", state_of("nequip"), NEQUIP, [1, 6, 8])
    assert deviations(wrong, graphs)["forces"][1] > 0.1


@given(order=st.permutations(range(3)))
@settings(max_examples=6, deadline=None)
def test_the_order_of_types_makes_no_difference(order):
    state = state_of("nequip")
    for key in state:
        if "type_embed" in key or "scale_shift" in key:
            state[key] = state[key][list(order)]
    graph = structures_of("nequip")[0]
    again = convert("nequip", state, NEQUIP, [OHC[n] for n in order])
    assert torch.equal(again(graph)["forces"], converted("nequip")(graph)["forces"])


def test_one_scale_or_shift_serves_all_types():
    state = state_of("nequip")
    state["model.func.per_type_energy_scale_shift.scales"] = torch.tensor([[2.0]])
    state["model.func.per_type_energy_scale_shift.shifts"] = torch.tensor([])
    made = converted("nequip", state)
    assert made.facts.element_scales["energy"] == {1: 2.0, 6: 2.0, 8: 2.0}
    assert made.facts.references == {}


@every_network
def test_another_unit(name):
    graph = structures_of(name)[0]
    eV, other = (converted(name, unit=unit)(graph, ["energies"])["energies"] for unit in ("eV", "kcal/mol"))
    torch.testing.assert_close(other, factor("kcal/mol") * eV, rtol=1e-12, atol=0)


@pytest.mark.parametrize("prefix", ["model.", "model.sole_model."])
@every_network
def test_a_lightning_checkpoint(name, prefix, tmp_path):
    torch.save(
        {"epoch": 3, "state_dict": {prefix + key: value for key, value in state_of(name).items()}}, tmp_path / "last.ckpt"
    )
    assert deviations(converted(name, read_state(tmp_path / "last.ckpt")), structures_of(name))["forces"][1] < 1e-6


@every_network
def test_two_networks_in_one_file_are_refused(name):
    twice = {prefix + key: value for key, value in state_of(name).items() for prefix in ("model.", "ema.")}
    with pytest.raises(ValueError, match=r"holds 2 networks .*save one of them"):
        converted(name, twice)


@every_network
def test_what_is_not_understood_is_refused_by_name(name):
    state = state_of(name)
    inside = next(key for key in state if "embed" in key).replace("weight", "strange")
    for stranger in (inside, "strange.weight"):
        with pytest.raises(ValueError, match=f"'.*{stranger.rpartition('.')[2]}' is not understood"):
            converted(name, state | {stranger: torch.ones(2)})


@every_network
def test_a_missing_parameter_is_refused_by_name(name):
    state = state_of(name)
    gone = next(key for key in reversed(state) if key.endswith(("lin2.bias", "outnet.1.bias", "mlp.2.weight")))
    with pytest.raises(ValueError, match="the file has nothing for '"):
        converted(name, {key: value for key, value in state.items() if key != gone})


@every_network
def test_another_shape_is_refused_with_both(name):
    state = state_of(name)
    key = next(key for key in state if key.endswith(("lin2.weight", "outnet.1.weight", "conv.linear_2.weight")))
    with pytest.raises(ValueError, match=rf"'{key.removeprefix('model.func.')}' has the shape \(.*7.*\) but \(\d+.*\) in"):
        converted(name, state | {key: torch.ones(*state[key].shape[:-1], 77)})


@pytest.mark.parametrize(
    ("name", "buffer", "value", "sentence"),
    [
        ("nequip", "model.func.bessel_encode.bessel_weights", torch.tensor([[1.0, 2.1, 3.0, 4.0]]), "trained bases"),
        ("nequip", "model.func.edge_norm._rmax_recip", torch.ones(9), "a cutoff for each pair"),
        ("nequip", "model.func.pair_potential._qqr2exesquare", torch.ones(1), "pair_potential.*is not understood"),
        ("schnetpack_painn", "representation.radial_basis.freqs", torch.ones(6), "trained bases"),
        ("schnetpack_schnet", "representation.radial_basis.widths", torch.ones(6), "trained bases"),
        ("schnetpack_schnet", "representation.cutoff_fn.eps", torch.ones(1), "is not understood"),
        ("schnetpack_schnet", "postprocessors.1.scale", torch.ones(1), "scale and shift more than one energy"),
        ("schnetpack_schnet", "postprocessors.4.mean", torch.ones(1), "scale and shift more than one energy"),
        ("schnetpack_schnet", "postprocessors.4.scale", torch.tensor([1.75]), "scale and shift more than one energy"),
        ("pyg", "distance_expansion.offset", torch.tensor([1.0, 2.0, 5.0]), "trained bases"),
        ("pyg", "atomic_mass", torch.ones(118), "is not understood"),
        ("pyg", "interactions.0.conv.nn.0.bias", torch.ones(5), "trained bases"),
    ],
)
def test_other_networks_are_refused(name, buffer, value, sentence):
    with pytest.raises(ValueError, match=sentence):
        converted(name, state_of(name) | {buffer: value})


def test_elements_that_the_network_does_not_know_are_refused():
    with pytest.raises(ValueError, match="atomic numbers up to 99; leave 101 out"):
        convert("pyg", state_of("pyg"), {}, [1, 101])
    with pytest.raises(ValueError, match="named twice"):
        convert("nequip", state_of("nequip"), NEQUIP, [1, 1, 8])
    with pytest.raises(ValueError, match=r"3 types of atoms .*--elements H,C,O"):
        convert("nequip", state_of("nequip"), NEQUIP, [1, 8])


def test_a_file_that_would_execute_code_is_not_read(tmp_path):
    torch.save(torch.nn.Linear(1, 1), tmp_path / "model.pt")
    with pytest.raises(ValueError, match=r"more than tensors .*torch.save\(model.state_dict\(\)"):
        read_state(tmp_path / "model.pt")
    torch.save({"a": 1}, tmp_path / "model.pt")
    with pytest.raises(ValueError, match="holds no state dict"):
        read_state(tmp_path / "model.pt")


def test_every_peer_says_what_its_files_do_not():
    for peer in PEERS.values():
        assert peer.ASSUMED
        assert peer.ANCHORS


def test_factors_of_elements_survive_and_scale(structure):
    facts = DataFacts(scales={"energy": 3.0}, element_scales={"energy": {8: 0.5}})
    assert DataFacts.from_dict(facts.to_dict()) == facts
    old = {key: value for key, value in facts.to_dict().items() if key != "element_scales"}
    assert DataFacts.from_dict(old) == DataFacts(scales={"energy": 3.0})  # a file from before there were any
    torch.manual_seed(0)
    plain = Predictor("SchNet", ["energies"], {"channels": 8})
    scaled = Predictor("SchNet", ["energies"], {"channels": 8}, facts)
    scaled.load_state_dict(plain.state_dict())
    water = structure("water")
    torch.testing.assert_close(scaled(water)["energies"], torch.tensor([1.5, 3, 3]) * plain(water)["energies"])
