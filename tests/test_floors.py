"""What the layout promises: import floors; row, config and README line of each model; short files; one name for each idea."""

import ast
import inspect
import re
from pathlib import Path

import pytest
import yaml
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

from molzoo.models import TABLE

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "molzoo").rglob("*.py"))
CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))
OTHER_NAMES = "r_max|num_layers|hidden_channels|max_ell|num_interactions|n_rbf|num_radial"


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_imports_keep_to_their_floors(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    assert lint_imports(no_cache=True) == EXIT_STATUS_SUCCESS, capsys.readouterr().out


def test_every_model_file_has_its_row() -> None:
    files = {path.stem for path in (ROOT / "molzoo" / "models").glob("*.py")} - {"__init__", "interface"}
    assert files == {row.module for row in TABLE.values()}


@pytest.mark.parametrize("row", TABLE.values(), ids=TABLE)
def test_every_row_has_its_config_and_its_line(row) -> None:
    path = ROOT / "configs" / "model" / f"{row.config}.yaml"
    config = yaml.safe_load(path.read_text())
    assert config["model"]["name"] == row.name
    assert set(config) == {"model"}
    assert f"| `{row.name}` |" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("row", TABLE.values(), ids=TABLE)
def test_every_model_says_where_it_stands(row) -> None:
    cls = row.load()
    assert "http" in (inspect.getmodule(cls).__doc__ or "")
    for words in ("Differs from the paper:", "Reference numbers:"):
        assert words in cls.__doc__
    keywords = inspect.signature(cls).parameters.values()
    assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in keywords)
    assert len(keywords) <= 14


@pytest.mark.parametrize("path", FILES, ids=name)
def test_files_and_functions_are_short(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 500
    functions = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    lengths = {node.name: node.end_lineno - node.lineno + 1 for node in functions}
    assert {key: length for key, length in lengths.items() if length > 60} == {}


@pytest.mark.parametrize("path", [*FILES, *CONFIGS], ids=name)
def test_one_name_for_each_idea(path: Path) -> None:
    assert re.findall(rf"\b({OTHER_NAMES})\b", path.read_text()) == []
