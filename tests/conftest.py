"""Structures, models and a watch over global state, for all tests."""

import importlib.util
import random
import signal
from pathlib import Path

import ase.build
import jaxtyping
import numpy as np
import pytest
import torch
from torch_geometric.data import Batch

from molzoo.check.conduct import global_settings
from molzoo.graph import AtomGraph
from molzoo.predictor import Predictor

CELL = [[3.9, 0.2, 0.0], [0.5, 4.2, -0.3], [-0.4, 0.6, 4.5]]  # Å; shorter than the cutoff, so that atoms see their images
INSIDE = [[0.02, 0.05, 0.11], [0.48, 0.57, 0.03], [0.55, 0.03, 0.52], [0.07, 0.46, 0.61]]


def _molecule(name: str, charge: float = 0.0) -> AtomGraph:
    atoms = ase.build.molecule(name)
    return AtomGraph(z=atoms.numbers, pos=atoms.positions, charge=charge)


_STRUCTURES = {
    "water": lambda: _molecule("H2O"),
    "ethanol": lambda: _molecule("CH3CH2OH"),
    "CO2": lambda: _molecule("CO2"),
    "HCN": lambda: _molecule("HCN"),
    "C2H2": lambda: _molecule("C2H2"),
    "H2": lambda: _molecule("H2"),
    "atom": lambda: AtomGraph(z=[6], pos=[[0.3, -0.2, 0.1]]),
    "far pair": lambda: AtomGraph(z=[6, 8], pos=[[0.0, 0.0, 0.0], [50.0, 0.0, 0.0]]),
    "coincident": lambda: AtomGraph(z=[6, 8, 1], pos=[[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.1, 0.2, 0.0]]),
    "ion": lambda: _molecule("CH3CH2O", charge=-1.0),
    "nothing": lambda: AtomGraph(z=[], pos=np.zeros((0, 3))),
    "crystal": lambda: AtomGraph(z=[6, 8, 1, 7], pos=np.array(INSIDE) @ np.array(CELL), cell=CELL, pbc=True),
}


@pytest.fixture
def structure():
    """``structure("water")``: a new AtomGraph; ``structure("water", "CO2")``: a batch of them."""

    def make(*names: str) -> AtomGraph:
        made = [_STRUCTURES[name]() for name in names]
        return made[0] if len(made) == 1 else Batch.from_data_list(made)

    return make


@pytest.fixture
def predictor():
    """``predictor("SchNet", "energy", "forces")``: a small one in eval mode, the same each time; no parameter is zero."""

    def make(model, *names: str, dtype: torch.dtype = torch.float64, facts=None, **arguments) -> Predictor:
        small = {"channels": 16, "n_layers": 2} if isinstance(model, str) else {}
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            made = Predictor(model, names or ["energy", "forces"], small | arguments, facts)
            for parameter in made.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        return made.to(dtype).eval()

    return make


@pytest.fixture(params=[torch.float32, torch.float64], ids=["float32", "float64"])
def dtype(request) -> torch.dtype:
    """Each floating-point precision in turn."""
    return request.param


@pytest.fixture
def tolerance(dtype) -> float:
    """What rounding may do to a result of order one."""
    return {torch.float32: 2e-5, torch.float64: 1e-11}[dtype]


@pytest.fixture
def unchecked():
    """Annotations are not checked, as in use: what is said of wrong input is molzoo's own sentence, not beartype's."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def by_path():
    """``by_path("scripts/certificates/names.py")``: a module that is in no package."""
    return load_by_path


def load_by_path(path: str):
    path = Path(__file__).resolve().parents[1] / path
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def _seeds():
    """Every test starts from the same random numbers and leaves the generators as they were."""
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - libraries under test may use it
    random.seed(0)
    yield
    torch.set_rng_state(states[0])
    np.random.set_state(states[1])  # noqa: NPY002
    random.setstate(states[2])


@pytest.fixture(autouse=True)
def _global_state_stays():
    """Nothing global is touched."""
    before = global_settings()
    yield
    after = global_settings()
    torch.set_default_dtype(before["default dtype"])  # or one offender makes all later tests fail too
    torch.set_num_threads(before["threads"])
    assert after == before


@pytest.fixture(autouse=True, scope="session")
def _interruptible():
    """Ctrl-C as on a terminal: a shell that runs the tests in the background has it ignored, in all that they start too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
