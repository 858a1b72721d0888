"""What ``pip install .`` installs: every module, every configuration, the sample; nothing compiled."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built in a copy: a build leaves folders behind."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for part in ("molzoo", "configs"):
        shutil.copytree(ROOT / part, source / part, ignore=shutil.ignore_patterns("__pycache__"))
    for part in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / part, source)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder, source]
    done = subprocess.run(build, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("molzoo-*.whl"))


def test_everything_is_in_the_wheel(wheel: Path) -> None:
    installed = set(zipfile.ZipFile(wheel).namelist())
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "molzoo").rglob("*.py")}
    configs = {f"molzoo/{path.relative_to(ROOT).as_posix()}" for path in CONFIGS}
    sample = {f"molzoo/data/sample/{name}" for name in ("ethanol.npz", "copper.extxyz")}
    assert modules | configs | sample | {"molzoo/models/results.json"} <= installed
    assert not any(name.endswith((".so", ".c", ".cpp")) for name in installed)
    assert wheel.name.endswith("-py3-none-any.whl")
    assert wheel.stat().st_size < 2_000_000


def test_installed_configurations_are_found(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = "import molzoo\nfrom molzoo.cli.config import names\nprint(molzoo.__file__, *names(), sep='\\n')"
    printed = subprocess.check_output([sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, text=True)
    file, *found = printed.split()
    assert Path(file).is_relative_to(tmp_path)
    assert set(found) == {path.relative_to(ROOT / "configs").with_suffix("").as_posix() for path in CONFIGS}
