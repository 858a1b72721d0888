"""CONTRIBUTING's three steps, followed literally in a copy of the repository: three files, and all contract tests hold."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("molzoo", "configs", "scripts", "tests", "docs", "README.md", "CONTRIBUTING.md", "pyproject.toml")
TESTS = ("tests/models/test_contract.py", "tests/test_floors.py", "tests/cli/test_show.py")


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """A copy of the repository with a stranger's model in it."""
    folder = tmp_path_factory.mktemp("copy")
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / part, folder)
    said = (ROOT / "CONTRIBUTING.md").read_text()
    model, config = re.search(r"```python\n(.*?)```", said, re.DOTALL)[1], re.search(r"```yaml\n(.*?)```", said, re.DOTALL)[1]
    (folder / "molzoo/models/toy.py").write_text(model)
    (folder / "configs/model/toy.yaml").write_text(config)
    table = folder / "molzoo/models/__init__.py"
    row = re.search(r'^`(Row\(name="Toy".*)`$', said, re.MULTILINE)[1]
    before, rows, after = re.fullmatch(r"(.*\n_ROWS = \()(.*?\n)(\)\n.*)", table.read_text(), re.DOTALL).groups()
    table.write_text(f"{before}{rows}    {row}\n{after}")
    return folder


def run(folder, *words):
    environment = os.environ | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_three_files_are_enough(copied):
    done = run(copied, "scripts/make_zoo_table.py")
    assert done.returncode == 0, done.stderr
    assert "| `Toy` |" in (copied / "README.md").read_text()
    done = run(copied, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS, "-k", "Toy or every_model_file")
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 100
