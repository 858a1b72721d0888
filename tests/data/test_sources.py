import json

import numpy as np
import pytest
import torch

from molzoo.data import SOURCES, Data, qm9
from molzoo.data.source import data_root, open_source
from molzoo.quantities import QUANTITIES
from molzoo.units import factor

ETHANOL = np.array([6, 6, 8, 1, 1, 1, 1, 1, 1], dtype=np.uint8)


def write_sgdml(path, n, seed=0):
    random = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = dict(E=random.normal(size=(n, 1)) - 97000, F=random.normal(size=(n, 9, 3)), R=random.normal(size=(n, 9, 3)) * 2)
    np.savez(path, z=ETHANOL, name="ethanol", theory=np.bytes_("DFT"), type="d", **arrays)
    return arrays


def test_the_sample_is_read_whole():
    source = open_source("sample/ethanol")
    assert len(source.frames) == 1600
    assert {part: len(rows) for part, rows in source.splits.items()} == {"train": 1200, "val": 200, "test": 200}
    assert len(torch.cat([*source.splits.values()]).unique()) == 1600
    assert sorted(source.isolated["energy"]) == [1, 6, 8]
    copper = open_source("sample/copper").frames
    assert len(copper) == 24
    assert bool(copper.pbc.all())
    assert {"energy", "forces", "stress"} <= set(copper.labels)


def test_rmd17_is_exact_and_keeps_the_published_order(rmd17):
    data = Data(source="rmd17/ethanol", root=str(rmd17), train=15, val=5)
    data.prepare(["energy", "forces"], 4.0)
    train = np.loadtxt(rmd17 / "rmd17/splits/index_train_01.csv", dtype=int)
    test = np.loadtxt(rmd17 / "rmd17/splits/index_test_01.csv", dtype=int)
    assert data.splits.train.tolist() == train[:15].tolist()
    assert data.splits.val.tolist() == train[15:].tolist()
    assert data.splits.test.tolist() == test.tolist()
    raw = np.load(rmd17 / "rmd17/npz_data/rmd17_ethanol.npz")
    frame = data.frames("val")[2]
    row = train[17]
    np.testing.assert_allclose(frame.energy, raw["energies"][row] * factor("kcal/mol"), rtol=1e-12)
    np.testing.assert_allclose(frame.forces, raw["forces"][row] * factor("kcal/mol/A"), rtol=1e-12)
    assert frame.pos.numpy() == pytest.approx(raw["coords"][row], abs=0)
    assert frame.z.tolist() == ETHANOL.tolist()


def test_rmd17_has_five_splits(rmd17):
    first, second = (open_source("rmd17/ethanol", str(rmd17), split=split).splits["train"] for split in (None, "2"))
    assert first.tolist() != second.tolist()
    with pytest.raises(ValueError, match="01 to 05"):
        open_source("rmd17/ethanol", str(rmd17), split="06")
    (rmd17 / "rmd17/splits/index_train_01.csv").write_text("60\n")
    with pytest.raises(ValueError, match="belongs to another file"):
        open_source("rmd17/ethanol", str(rmd17))


def test_md17_warns_that_it_is_noisy(tmp_path):
    raw = write_sgdml(tmp_path / "md17/md17_ethanol.npz", 30)
    with pytest.warns(UserWarning, match="noisy"):
        source = open_source("md17/ethanol", str(tmp_path))
    assert source.splits is None
    np.testing.assert_allclose(source.frames.labels["energy"], raw["E"][:, 0] * factor("kcal/mol"), rtol=1e-12)
    np.testing.assert_allclose(source.frames.labels["forces"], raw["F"].reshape(-1, 3) * factor("kcal/mol/A"), rtol=1e-12)


def test_coupled_cluster_md17_has_its_published_split_if_both_files_are_there(tmp_path):
    write_sgdml(tmp_path / "md17_ccsd/ethanol_ccsd_t-train.npz", 20)
    assert open_source("md17-ccsd/ethanol", str(tmp_path)).splits is None
    write_sgdml(tmp_path / "md17_ccsd/ethanol_ccsd_t-test.npz", 10, seed=1)
    source = open_source("md17-ccsd/ethanol", str(tmp_path))
    assert {part: rows.tolist() for part, rows in source.splits.items()} == {
        "train": list(range(20)),
        "test": list(range(20, 30)),
    }


@pytest.mark.filterwarnings("ignore:the energies of the original")
def test_more_than_1000_frames_of_one_molecule_are_warned_about(tmp_path):
    write_sgdml(tmp_path / "md17/md17_ethanol.npz", 1002)
    data = Data(source="md17/ethanol", root=str(tmp_path), train=1001, val=1)
    with pytest.warns(UserWarning, match="at most 1000"):
        data.prepare(["energy"], 2.0)
    assert "at most 1000" in data.card


@pytest.fixture
def qm9_root(tmp_path):
    """20 "molecules" in QM9's layout: CH4 with its published targets, then made-up ones; rows 2 and 20 (from 1) go."""
    folder = tmp_path / "qm9/raw"
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    columns = [column for column, _ in qm9.COLUMNS.values()]
    lines, rows = [], [",".join(["mol_id", *columns])]
    symbols = {1: "H", 6: "C", 7: "N", 8: "O", 9: "F"}
    for i in range(20):
        z = [6, 1, 1, 1, 1] if i == 0 else random.choice([1, 6, 7, 8, 9], size=random.integers(2, 7)).tolist()
        lines += [f"gdb_{i + 1}", "  test", "", f"{len(z):3d}  0  0  0  0  0  0  0  0  0999 V2000"]
        for number in z:
            x = random.normal(size=3) * 2
            lines.append(f"{x[0]:10.4f}{x[1]:10.4f}{x[2]:10.4f} {symbols[number]:3} 0  0  0  0  0  0  0  0  0  0  0  0")
        lines += ["M  END", "$$$$"]
        rows.append(f"gdb_{i + 1}," + (CH4 if i == 0 else ",".join(f"{value:.6f}" for value in random.normal(size=19))))
    (folder / "gdb9.sdf").write_text("\n".join(lines) + "\n")
    (folder / "gdb9.sdf.csv").write_text("\n".join(rows) + "\n")
    (folder / "uncharacterized.txt").write_text("\nList of molecules\n#  Index\n====\n   2    C#N   x\n  20    CC   y\n====\n")
    return tmp_path


CH4 = (
    "157.7118,157.70997,157.70699,0,13.21,-0.3877,0.1171,0.5048,35.3641,0.044749,-40.47893,-40.476062,-40.475117,-40.498597,"
    "6.469,-395.999594594,-398.643290011,-401.014646522,-372.471772148"
)


def test_methane(qm9_root):
    source = open_source("qm9", str(qm9_root))
    methane = source.frames[0]
    assert methane.z.tolist() == [6, 1, 1, 1, 1]
    assert methane.U0.item() == pytest.approx(-1101.4878, abs=1e-4)
    assert methane.U0_atom.item() == pytest.approx(-17.1722, abs=1e-4)
    free = source.isolated["U0"]
    assert methane.U0.item() - free[6] - 4 * free[1] == pytest.approx(-17.1722, abs=1e-4)
    assert methane.alpha.item() == pytest.approx(13.21 * 0.0102909, rel=1e-5)
    assert methane.r2.item() == pytest.approx(35.3641 * 0.529177**2, rel=1e-5)
    assert methane.Cv.item() == pytest.approx(6.469 * 4.184 / 96485.332, rel=1e-6)


@pytest.mark.parametrize("name", qm9.COLUMNS)
def test_every_target_is_the_published_number_in_its_unit(qm9_root, name):
    column, unit = qm9.COLUMNS[name]
    lines = [line.split(",") for line in (qm9_root / "qm9/raw/gdb9.sdf.csv").read_text().split()]
    raw = np.array([float(line[lines[0].index(column)]) for line in lines[1:]])[[0, *range(2, 19)]]
    np.testing.assert_allclose(open_source("qm9", str(qm9_root)).frames.labels[name], raw * factor(unit), rtol=1e-12)
    shown = {factor(unit) for unit in QUANTITIES[name].shown}
    assert QUANTITIES[name].unit == unit or factor(unit) in shown or factor(unit) == factor("Ha")


def test_the_exclusion_list_counts_from_one(qm9_root):
    assert open_source("qm9", str(qm9_root)).frames.labels["A"].shape == (18,)
    excluded = qm9_root / "qm9/raw/uncharacterized.txt"
    assert qm9._kept_rows(excluded, 20).tolist() == [0, *range(2, 19)]
    with pytest.raises(ValueError, match="names molecule 20, but there are 19"):
        qm9._kept_rows(excluded, 19)


def test_the_full_set_must_keep_130831(qm9_root, monkeypatch):
    monkeypatch.setattr(qm9, "N_ALL", 20)
    with pytest.raises(ValueError, match="130831 of QM9's 20"):
        open_source("qm9", str(qm9_root))
    monkeypatch.setattr(qm9, "N_KEPT", 18)
    assert len(open_source("qm9", str(qm9_root)).frames) == 18


def test_a_target_number_is_answered_with_its_name(qm9_root):
    data = Data(source="qm9", root=str(qm9_root))
    for number, name in ((7, "U0"), (0, "mu"), (12, "U0_atom")):
        with pytest.raises(ValueError, match=f"target {number} is '{name}'"):
            data.prepare([str(number)], 4.0)
    assert sorted(qm9.TARGETS) == sorted(qm9.COLUMNS)


def test_free_atoms_make_qm9_energies_small(qm9_root):
    facts = Data(source="qm9", root=str(qm9_root), train=1, split=None).prepare(["U0", "U0_atom"], 4.0, "isolated")
    assert set(facts.references) == {"U0", "U0_atom"}
    assert set(facts.references["U0_atom"].values()) == {0.0}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("rmd17/ethanole", "did you mean 'ethanol'"),
        ("rmd71/ethanol", "did you mean 'rmd17'"),
        ("qm9/ethanol", "type 'qm9' alone"),
        ("rmd17", "type for example 'rmd17/aspirin'"),
    ],
)
def test_unknown_sources(name, says):
    with pytest.raises(ValueError, match=says):
        open_source(name)


def test_labels_are_for_files_only():
    with pytest.raises(ValueError, match="for files only"):
        open_source("qm9", labels={"energy": "U0"})


def test_a_set_that_is_not_here_says_where_to_put_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="MOLZOO_OFFLINE") as error:
        open_source("rmd17/aspirin", str(tmp_path))
    assert str(tmp_path / "rmd17" / "rmd17.tar.bz2") in str(error.value)
    assert "https://" in str(error.value)


def test_the_root(monkeypatch, tmp_path):
    assert data_root("a").name == "a"
    assert data_root().parts[-2:] == (".cache", "molzoo")
    monkeypatch.setenv("MOLZOO_DATA", str(tmp_path))
    assert data_root() == tmp_path


def test_the_table_names_files_that_exist():
    from importlib import import_module

    for row in SOURCES.values():
        assert callable(import_module(f"molzoo.data.{row.module}").load)
        assert row.meaning
    assert json.dumps(sorted(SOURCES))
