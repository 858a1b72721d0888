"""Tiny files in each published layout, so that nothing outside the clone is read."""

import socket

import numpy as np
import pytest

ETHANOL = np.array([6, 6, 8, 1, 1, 1, 1, 1, 1], dtype=np.uint8)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    monkeypatch.setenv("MOLZOO_OFFLINE", "1")
    monkeypatch.delenv("MOLZOO_DATA", raising=False)


@pytest.fixture
def rmd17(tmp_path):
    """A root with 60 frames of "ethanol" and published splits of 20 and 25 rows, scattered and out of order."""
    random = np.random.default_rng(0)
    folder = tmp_path / "rmd17"
    (folder / "npz_data").mkdir(parents=True)
    (folder / "splits").mkdir()
    np.savez(
        folder / "npz_data" / "rmd17_ethanol.npz",
        nuclear_charges=ETHANOL,
        coords=random.normal(size=(60, 9, 3)) * 2,
        energies=-97000 + random.normal(size=60),
        forces=random.normal(size=(60, 9, 3)),
        old_indices=np.arange(60),
    )
    rows = random.permutation(60)
    for split in ("01", "02"):
        np.savetxt(folder / "splits" / f"index_train_{split}.csv", rows[:20], fmt="%d")
        np.savetxt(folder / "splits" / f"index_test_{split}.csv", rows[20:45], fmt="%d")
        rows = rows[::-1]
    return tmp_path


@pytest.fixture
def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
