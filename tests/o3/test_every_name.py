"""Every public name: e3nn's numbers for arguments drawn at random, in batches of any shape, and an example that runs."""

import copy
import doctest
import inspect
import pickle
import sys

import e3nn
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from o3_names import FUNCTIONS, MODULES, TABLES, apart, deviations, evaluated, inputs, made, sizes
from o3_parity import double
from torch import nn

import molzoo.compat.e3nn
from molzoo import o3

# Words for irreps and permutations, which test_irreps and test_reduced compare.
DESCRIPTIONS = {"o3.Instruction", "o3.Irrep", "o3.irrep", "math.perm", "math.germinate_formulas"}
# Near a pole, derivatives of angles are large, and e3nn's acos loses digits of them.
AT_POLES = {name for name in FUNCTIONS if name.startswith("o3.") and name.endswith(("angles", "axis_angle"))}
ROWS = [(), (0,), (2, 3), (2, 0)]

pytestmark = pytest.mark.usefixtures("_no_script", "unchecked")


@pytest.fixture(scope="module")
def _no_script():
    # e3nn's layers are the same without TorchScript, and made sooner.
    before = e3nn.get_optimization_defaults()
    e3nn.set_optimization_defaults(jit_script_fx=False)
    yield
    e3nn.set_optimization_defaults(**before)


def test_no_name_of_e3nn_is_forgotten():
    every = {f"{m}.{name}" for m in ("o3", "nn", "math", "io") for name in getattr(molzoo.compat.e3nn, m).__all__}
    assert {".".join(name.split(".")[:2]) for name in (*MODULES, *FUNCTIONS, *TABLES)} | DESCRIPTIONS == every


@pytest.mark.parametrize("name", [*MODULES, *FUNCTIONS, *TABLES])
@settings(max_examples=2, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000))
def test_equals_e3nn(name, seed):
    """To 1e-12 in float64; in float32 to 1e-5 or, where e3nn's own float32 is further off, as near as that."""
    loose = 1000 if name in AT_POLES else 1
    value, *derivatives = deviations(name, seed, torch.float64)[0]
    assert value <= 1e-12
    assert max(derivatives) <= 1e-12 * loose
    (value, *derivatives), (_, *own) = deviations(name, seed, torch.float32)
    assert value <= 1e-5
    assert max(derivatives) <= max(1e-5, 4 * max(own))


@pytest.mark.parametrize("name", [*MODULES, *FUNCTIONS])
def test_rows_of_any_shape_and_memory(name):
    """One row, none, many: as e3nn, where it takes them; and many in any order of memory."""
    (ours, theirs), shapes = made(name, seed=1)
    with double():
        for rows in ROWS:
            x = [t.double() for t in inputs(shapes, rows, seed=1)]
            found = evaluated(ours, x)
            try:
                expected = evaluated(theirs, x)
            except (RuntimeError, IndexError):  # e3nn takes no empty batches in transforms, nor single rows in norms
                assert rows != (2, 3)
                assert all(part.isfinite().all() for part in found)
                continue
            if name == "nn.Dropout" and rows == ():  # e3nn makes a table of one row
                continue
            assert max(map(apart, found, expected)) <= 1e-12 * (1000 if name in AT_POLES else 1)
        x = [t.double() for t in inputs(shapes, (2, 3), seed=1)]
        scattered = [t.movedim(0, -1).contiguous().movedim(-1, 0) for t in x]
        assert max(map(apart, evaluated(ours, scattered), evaluated(ours, x))) <= 1e-12 * (1000 if name in AT_POLES else 1)


@pytest.mark.parametrize("name", MODULES)
def test_copies_compute_the_same(name):
    (layer, other), shapes = made(name, seed=2)
    layer.eval()
    x = [t.double() for t in inputs(shapes, (3,), seed=2)]
    expected = evaluated(layer, x)
    other = copy.deepcopy(layer)
    for parameter in other.parameters():
        nn.init.zeros_(parameter)
    other.load_state_dict(layer.state_dict())
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), other):
        assert all(map(torch.equal, evaluated(twin, x), expected))


NOTHING = {
    "product": lambda e, i: e.o3.TensorProduct(i, i, i, []),
    "fully connected": lambda e, i: e.o3.FullyConnectedTensorProduct(i, i, i),
    "nothing fits": lambda e, i: e.o3.FullyConnectedTensorProduct(i, "0e", "2x1o + 0x0e"),
    "full": lambda e, i: e.o3.FullTensorProduct(i, i),
    "elementwise": lambda e, i: e.o3.ElementwiseTensorProduct(i, i),
    "square": lambda e, i: e.o3.TensorSquare(i),
    "linear": lambda e, i: e.o3.Linear(i, "2x0e + 1o"),
    "norm": lambda e, i: e.o3.Norm(i),
    "norm activation": lambda e, i: e.nn.NormActivation(e.o3.Irreps(i), torch.sigmoid, bias=True),
    "activation": lambda e, i: e.nn.Activation(i, [None] * len(e.o3.Irreps(i))),
    "batch norm": lambda e, i: e.nn.BatchNorm(i, instance=True, reduce="max"),
    "identity": lambda e, i: e.nn.Identity(i, i),
    "extract": lambda e, i: e.nn.ExtractIr(i, "1o"),
}


@pytest.mark.parametrize("irreps", ["", "0x0e", "0x1o + 0x0e"])
@pytest.mark.parametrize("name", NOTHING)
def test_irreps_of_nothing(name, irreps):
    """What comes out has e3nn's shape, where e3nn takes nothing at all."""
    layer = NOTHING[name](molzoo.compat.e3nn, irreps)
    found = [evaluated(layer, inputs([(n,) for n in sizes(layer)], rows, seed=0)) for rows in (*ROWS, (3,))]
    assert all(part.isfinite().all() for parts in found for part in parts)
    assert len(found[-1][0]) == 3 * getattr(layer, "irreps_out", getattr(layer, "irreps", None)).dim
    try:
        theirs = NOTHING[name](e3nn, irreps)
        expected = evaluated(theirs, inputs([(n,) for n in sizes(layer)], (3,), seed=0))
    except (RuntimeError, ValueError):  # e3nn has no batch norm and no identity of nothing
        return
    assert str(getattr(layer, "irreps_out", "")) == str(getattr(theirs, "irreps_out", ""))
    assert max(map(apart, found[-1], expected)) <= 1e-6


@pytest.mark.parametrize("name", o3.__all__)
def test_every_public_name_has_an_example(name):
    """In its own docstring; what has none of its own, such as a list of words, in that of its module."""
    thing = getattr(o3, name)
    if inspect.isclass(thing) or inspect.isfunction(thing):
        assert doctest.DocTestParser().get_examples(thing.__doc__)
    else:
        [module] = (
            m for key, m in sys.modules.items() if key.startswith("molzoo.o3.") and f"\n{name} = " in inspect.getsource(m)
        )
        assert any(name in example.source for example in doctest.DocTestParser().get_examples(module.__doc__))
