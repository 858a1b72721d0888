"""``molzoo list``, ``info`` and ``doctor``, as typed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from molzoo import checkpoint
from molzoo.cli import config, main
from molzoo.data import SOURCES
from molzoo.data.facts import DataFacts
from molzoo.models import TABLE
from molzoo.predictor import Predictor

HEAVY = ("torch", "numpy", "ase", "lightning", "scipy", "jsonargparse")


def outside(*words, python_path=""):
    """A command in a process of its own, and the modules that it imported."""
    code = "import sys; from molzoo.cli import main; code = main(sys.argv[1:]); print('|', *sys.modules); sys.exit(code)"
    here = str(Path(__file__).parents[2])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [python_path, here])), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, env=environment, check=False)
    out, _, modules = done.stdout.rpartition("|")
    return done.returncode, out, done.stderr, set(modules.split())


def test_list_shows_everything_and_imports_nothing_heavy():
    code, out, _, modules = outside("list")
    assert code == 0
    assert not modules & set(HEAVY)
    for name, row in TABLE.items():
        line = next(line for line in out.splitlines() if line.startswith(name))
        assert row.symmetry in line
        assert row.paper in line
        assert row.smoothness in line
    assert all(name in out for name in SOURCES)
    assert all(f"  {name}\n" in out for name in config.names())


@pytest.mark.parametrize(("word", "nearest"), [("lits", "list"), ("docter", "doctor"), ("xyzzy", "known are train")])
def test_a_misspelt_command_is_answered_without_torch(word, nearest):
    code, out, err, modules = outside(word)
    assert code == 2
    assert out == ""
    assert nearest in err
    assert not modules & set(HEAVY)


@pytest.mark.parametrize("name", TABLE)
def test_info_of_every_model(name, capsys):
    assert main(["info", name.lower()]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{name}\n")
    assert TABLE[name].paper in out
    assert "Args:" in out
    assert "Differs from the paper:" in out
    predicts = next(line for line in out.splitlines() if line.startswith("  predicts"))
    assert "forces" in predicts
    assert ("polarizability" in predicts) == bool({"1o", "2e"} & set(TABLE[name].gives))


def test_info_counts_the_reference_parameters(capsys):
    main(["info", "PaiNN"])
    assert "589,057 at the reference settings" in capsys.readouterr().out  # as in the configuration's first line


def test_info_says_what_it_costs_and_reached(capsys):
    main(["info", "PaiNN"])
    out = capsys.readouterr().out
    assert f"{3 * 7 * 128:,} per edge, {20 * 3 * 3 * 128:,} per pair" in out  # layers · coefficients · channels; one linear map
    assert "published           QM9 U0 5.85 meV" in out
    assert "forces 10.0 meV/Å (paper, table 2" in out
    assert "rmd17_painn" in out
    main(["info", "SchNet"])
    assert f"{6 * 128:,} per edge, {6 * (50 * 128 + 128 * 128):,} per pair" in capsys.readouterr().out


def test_info_of_a_model_file(capsys, tmp_path):
    facts = DataFacts(
        source="sample/ethanol",
        n_train=1200,
        elements=[1, 6, 8],
        charges=[0.0, -1.0],
        cutoff=5.0,
        avg_n_neighbours=7.96,
        references={"energy": {1: -13.6, 6: -1030.0, 8: -2040.0}},
        scales={"energy": 0.77},
    )
    predictor = Predictor("PaiNN", ["energy", "forces"], {"channels": 16}, facts)
    checkpoint.save(predictor, tmp_path / "model.pt")
    assert main(["info", str(tmp_path / "model.pt")]) == 0
    out = capsys.readouterr().out
    for said in (
        "channels 16",
        "energy, forces",
        "H C O",
        "+0, -1",
        "1200 structures of sample/ethanol",
        "5 Å, 7.96 neighbours",
        "C -1030.0000",
        "energy 0.77",
        torch.__version__,
        "float32",
    ):
        assert said in out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["info"], "needs the name of a model"),
        (["info", "PianN"], "did you mean 'PaiNN'"),
        (["info", "nowhere.pt"], "there is no model file 'nowhere.pt'"),
        (["info", "PaiNN", "SchNet"], "takes one word; leave out 'SchNet'"),
        (["list", "all"], "takes no words; leave out 'all'"),
        (["doctor", "me"], "leave out 'me'"),
    ],
)
def test_refusals(words, sentence, capsys):
    assert main(words) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("command", ["list", "info", "doctor"])
def test_help(command, capsys):
    assert main([command, "--help"]) == 0
    assert f"usage: molzoo {command} " in capsys.readouterr().out


def test_doctor_tells_what_is_missing_from_what_is_broken(tmp_path):
    said = "torch_cluster/_version_cuda.so: undefined symbol: _ZN5torch3jit17parseSchemaOrName"
    (tmp_path / "torch_cluster.py").write_text(f"raise OSError({said!r})\n")
    (tmp_path / "torch_scatter.py").write_text("import a_module_that_is_not_there\n")
    code, out, _, _ = outside("doctor", python_path=str(tmp_path))
    assert code == 0
    lines = {line.split("  ")[0]: line for line in out.splitlines()}
    assert f"broken: OSError: {said}" in lines["torch-cluster"]
    assert "broken: ModuleNotFoundError: No module named 'a_module_that_is_not_there'" in lines["torch-scatter"]
    assert said in lines["neighbours: torch_cluster"]
    assert "a_module_that_is_not_there" in lines["scatter: torch_scatter"]
    assert torch.__version__ in lines["torch"]
    for usable in ("neighbours: vesin", "neighbours: torch", "scatter: native", "convolution: fused"):
        assert lines[usable].endswith("usable")
        assert "not usable" not in lines[usable]
    assert "TRITON_INTERPRET=1" in lines["convolution: triton"]
    assert lines["convolution: auto"].endswith("loops compiled by numba (cpu, float32)")
    assert lines["linear maps"].endswith("where they are large (cpu, float32)")
    assert "threads" in out
    assert "CUDA" in out
