"""e3nn's paths: every public name is there, or left out on purpose, and docs/e3nn.md says where it lives."""

import importlib
import re
from pathlib import Path

import e3nn
import e3nn.math
import e3nn.nn
import e3nn.o3
import pytest
import torch

import molzoo.compat.e3nn

TEXT = Path(__file__).parents[1].joinpath("docs/e3nn.md").read_text()
ROWS = re.findall(r"^\| (`[^|]+`) \| ([^|]+) \| (?:`(\w+)\.py`)?", TEXT, re.MULTILINE)
TABLE = [(name, place.strip("`"), file) for names, place, file in ROWS for name in re.findall(r"`([\w.]+)`", names)]
MODULES = ["o3", "nn", "math", "io"]


def compat(module: str):
    return importlib.import_module(f"molzoo.compat.e3nn.{module}")


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_of_e3nn_is_there_or_left_out_on_purpose(module):
    theirs = {f"{module}.{name}" for name in importlib.import_module(f"e3nn.{module}").__all__}
    places = {name: place for name, place, _ in TABLE}
    assert theirs <= set(places)
    there = {name for name in theirs if places[name] != "left out"}
    assert there <= {f"{module}.{name}" for name in compat(module).__all__}


@pytest.mark.parametrize(("name", "place", "file"), [row for row in TABLE if row[2]], ids=lambda value: value)
def test_it_lives_where_the_table_says(name, place, file):
    module, attribute = name.split(".")
    found = getattr(compat(module), attribute)
    assert getattr(found, "__module__", found.__name__) == f"{place}.{file}"


@pytest.mark.parametrize("module", MODULES)
def test_the_table_names_each_once_and_nothing_else(module):
    names = [name for name, place, _ in TABLE if name.startswith(f"{module}.") and place != "left out"]
    assert sorted(names) == sorted(f"{module}.{name}" for name in compat(module).__all__)


def test_irreps_by_name():
    o3 = compat("o3")
    assert o3.irrep.l1o == o3.Irrep("1o")
    assert o3.irrep.l12e == o3.Irrep(12, 1)


def messages(e3nn) -> torch.Tensor:
    """What a tutorial does with e3nn, or with what stands in for it."""
    torch.manual_seed(0)
    harmonics = e3nn.o3.Irreps.spherical_harmonics(2)
    product = e3nn.o3.FullyConnectedTensorProduct("4x0e + 4x1o", harmonics, "8x0e + 2x0e + 2x1o", shared_weights=False)
    weights = e3nn.nn.FullyConnectedNet([10, 16, product.weight_numel], torch.relu)
    gate = e3nn.nn.Gate("8x0e", [torch.nn.functional.silu], "2x0e", [torch.sigmoid], "2x1o")
    x, edge = product.irreps_in1.randn(20, -1), torch.randn(20, 3)
    Y = e3nn.o3.spherical_harmonics(harmonics, edge, normalize=True, normalization="component")
    radial = e3nn.math.soft_one_hot_linspace(edge.norm(dim=1), 0.0, 2.0, 10, basis="smooth_finite", cutoff=True)
    return gate(product(x, Y, weights(radial * 10**0.5)))


@pytest.fixture
def _double():
    # e3nn computes its constants in the default precision.
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("_double")
def test_code_written_for_e3nn_gives_the_same_numbers():
    torch.testing.assert_close(messages(molzoo.compat.e3nn), messages(e3nn), rtol=0, atol=1e-12)
