"""The same numbers as SchNetPack 2.1.1, PyG 2.8.1 and nequip 0.19.1, by fixtures; scripts/certificates says how."""

from pathlib import Path

import numpy as np
import pytest
import torch

from molzoo.convert import our_state
from molzoo.kernels import use_backend
from molzoo.models import create_model

SCHNETPACK = ["schnetpack_schnet", "schnetpack_painn_gaussian", "schnetpack_painn_bessel"]
NAMES = [
    *SCHNETPACK,
    "pyg_schnet",
    "pyg_dimenet",
    "pyg_dimenet_pp",
    "nequip_l1",
    "nequip_l2",
    "nequip_preset_s",
    "nequip_preset_m",
    "nequip_preset_l",
]
N_PARAMETERS = {"SchNet": 455_809, "PaiNN": 589_057, "DimeNet": 2_100_070, "DimeNetPP": 1_885_830}

every_fixture = pytest.mark.parametrize("name", NAMES)


@pytest.fixture
def certificate(by_path):
    return by_path("scripts/certificates/certificate.py")


@pytest.fixture
def names(by_path):
    return by_path("scripts/certificates/names.py")


@pytest.fixture
def draw(by_path):
    return by_path("scripts/certificates/reference_weights.py").draw


def test_every_fixture_is_compared(names):
    assert sorted(names.FIXTURES) == sorted(NAMES)


@every_fixture
def test_weights_are_drawn_as_they_were(name, certificate, draw):
    assert len(certificate.weights(certificate.reference(name), draw)) > 0


def test_a_changed_stream_of_random_numbers_is_noticed(certificate, draw):
    with pytest.raises(ValueError, match="make the fixtures anew"):
        certificate.weights(certificate.reference(NAMES[0]), lambda parameters, seed: draw(parameters, seed + 1))


@every_fixture
def test_every_parameter_has_its_counterpart(name, certificate, names):
    peer, model, arguments = names.FIXTURES[name]
    theirs = {n: torch.empty(shape) for n, shape in certificate.reference(name)["parameters"]}
    theirs = {n: value.shape for n, value in our_state(peer, theirs).items()}
    assert {n: p.shape for n, p in create_model(model, **arguments).state_dict().items()} == theirs


@every_fixture
def test_energies_and_forces_equal_the_reference(name, dtype, certificate, names, draw):
    # Loops and messages agree for every model (test_contract.py); loops of these wide programs take minutes to compile.
    with use_backend("messages" if name.startswith("nequip") else "auto"):
        found = certificate.certify(name, dtype, names, draw)
    assert found.energy <= certificate.LIMITS[dtype]
    assert found.forces <= certificate.LIMITS[dtype]


@every_fixture
def test_the_edges_are_the_same(name, certificate):
    stored = certificate.reference(name)
    assert np.array_equal([certificate.n_edges(graph) for graph in certificate.structures(stored)], stored["n_edges"])


@pytest.mark.parametrize("model", N_PARAMETERS)
def test_parameter_counts_are_the_published_ones(model, certificate):
    assert sum(p.numel() for p in create_model(model).parameters()) == N_PARAMETERS[model]


@every_fixture
def test_the_table_has_its_two_lines(name):
    table = (Path(__file__).parents[2] / "docs" / "results" / "certificates.md").read_text()
    assert table.count(f"| {name} |") == 2, "type python scripts/certificates/certificate.py"


def test_limits_are_those_of_the_design(certificate):
    assert {torch.float64: 1e-10, torch.float32: 1e-5} == certificate.LIMITS
