"""The command line in this process, in an empty folder without network or data."""

import pytest

from molzoo.cli import main


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOLZOO_OFFLINE", "1")
    monkeypatch.setenv("MOLZOO_DATA", str(tmp_path / "nowhere"))
    monkeypatch.delenv("MOLZOO_TRACEBACK", raising=False)


@pytest.fixture
def refused(capsys, tmp_path):
    """``refused(words)``: the one sentence with which molzoo refuses them, having printed and written nothing else."""

    def run(words):
        before = sorted(tmp_path.rglob("*"))
        assert main(words) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("molzoo: ")
        assert err.count("\n") == 1
        assert sorted(tmp_path.rglob("*")) == before
        return err.removeprefix("molzoo: ").rstrip()

    return run
