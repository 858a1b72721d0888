"""Every code block of README.md and CONTRIBUTING.md does what it says."""

import re
import runpy
import shlex
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch
import yaml

from molzoo import AtomGraph
from molzoo.cli import config, main
from molzoo.cli.train import check

ROOT = Path(__file__).parent.parent


def blocks(file: str, language: str) -> list[str]:
    """The fenced blocks of ``language``, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / file).read_text(), re.DOTALL | re.MULTILINE)


def commands() -> list[list[str]]:
    """The words of each ``molzoo`` command in the README, without comments and what stands before it."""
    lines = "".join(blocks("README.md", "bash")).splitlines()
    words = [shlex.split(line, comments=True) for line in lines]
    return [line[line.index("molzoo") + 1 :] for line in words if "molzoo" in line]


@pytest.fixture
def folder_with_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that holds the README's YAML under the names in their first lines."""
    for block in blocks("README.md", "yaml"):
        (tmp_path / block.splitlines()[0].removeprefix("# ")).write_text(block)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_python_runs_as_it_stands(tmp_path: Path) -> None:
    scripts = blocks("README.md", "python")
    assert scripts
    for number, script in enumerate(scripts):
        path = tmp_path / f"block_{number}.py"
        path.write_text(script)
        done = subprocess.run([sys.executable, path], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        assert done.stdout


def test_pyg_script_is_short() -> None:
    scripts = [script for script in blocks("README.md", "python") if "torch_geometric.loader" in script]
    assert len(scripts) == 1
    assert len(scripts[0].splitlines()) <= 30


def test_shell_is_valid_and_its_scripts_exist() -> None:
    for block in blocks("README.md", "bash"):
        subprocess.run(["bash", "-n"], input=block, text=True, check=True)
        for script in re.findall(r"^scripts/\S+", block, re.MULTILINE):
            assert (ROOT / script).stat().st_mode & 0o100, f"{script} cannot be executed"


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_commands_are_valid(words: list[str], folder_with_yaml: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command, *rest = words
    if command == "train":
        check(config.from_words(rest))
    else:  # nothing is wrong with it but that nothing was trained yet
        assert main(words) == 2
        assert "there is no model file" in capsys.readouterr().err


def test_yaml_names_every_section(folder_with_yaml: Path) -> None:
    for path in folder_with_yaml.glob("*.yaml"):
        assert set(config.SECTIONS) < set(yaml.safe_load(path.read_text()))


def test_links_lead_somewhere() -> None:
    for file in ("README.md", "CONTRIBUTING.md"):
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", (ROOT / file).read_text()):
            assert (ROOT / target).exists(), f"{file}: {target}"


def test_zoo_table_is_up_to_date() -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "make_zoo_table.py"))
    readme = (ROOT / "README.md").read_text()
    assert readme == script["with_table"](readme), "type python scripts/make_zoo_table.py"
    assert len(readme.splitlines()) <= 120


def test_skeleton_of_a_model_works() -> None:
    (skeleton,) = blocks("CONTRIBUTING.md", "python")
    module = types.ModuleType("toy")
    exec(skeleton, module.__dict__)
    water = AtomGraph(z=[8, 1, 1], pos=[[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    out = module.Toy()(water)
    assert out.shape == (3, 1)
    assert torch.isfinite(out).all()
