"""Every shipped configuration trains two steps, on tiny files in the published layouts, found through MOLZOO_DATA alone."""

import json
from importlib.resources import files

import numpy as np
import pytest
import torch

from molzoo import load
from molzoo.cli import main
from molzoo.cli.config import names, read
from molzoo.data.qm9 import COLUMNS
from molzoo.kernels import use_backend

ETHANOL = np.array([6, 6, 8, 1, 1, 1, 1, 1, 1], dtype=np.uint8)
N = 1010  # the published splits have 1,000 rows to train and validate on; ten are for the test
SMILES = ["C", "N", "O", "CC", "CO", "CN", "C#N", "C=O", "CCO", "CCN", "COC", "CC=O", "NC=O", "CC#N", "CCC", "C1CC1", "CCF"]
SMILES += ["FC(F)F", "OCO", "NCC=O"]


def write_rmd17(root):
    random = np.random.default_rng(0)
    for folder in ("npz_data", "splits"):
        (root / "rmd17" / folder).mkdir(parents=True)
    arrays = {"coords": random.normal(size=(N, 9, 3)) * 2, "forces": random.normal(size=(N, 9, 3)), "old_indices": np.arange(N)}
    energies = random.normal(size=N)
    for molecule in ("ethanol", "aspirin"):
        np.savez(root / f"rmd17/npz_data/rmd17_{molecule}.npz", nuclear_charges=ETHANOL, energies=energies, **arrays)
    rows = random.permutation(N)
    np.savetxt(root / "rmd17/splits/index_train_01.csv", rows[:1000], fmt="%d")
    np.savetxt(root / "rmd17/splits/index_test_01.csv", rows[1000:], fmt="%d")


def write_md17(root):
    random = np.random.default_rng(0)
    (root / "md17").mkdir()
    arrays = {"R": random.normal(size=(N, 9, 3)) * 2, "E": random.normal(size=(N, 1)), "F": random.normal(size=(N, 9, 3))}
    np.savez(root / "md17/md17_ethanol.npz", z=ETHANOL, name="ethanol", theory=np.bytes_("DFT"), type="d", **arrays)


def write_qm9(root):
    from rdkit import Chem
    from rdkit.Chem import AllChem

    folder, random = root / "qm9/raw", np.random.default_rng(0)
    folder.mkdir(parents=True)
    columns = [column for column, _ in COLUMNS.values()]
    rows = [",".join(["mol_id", *columns])]
    with Chem.SDWriter(str(folder / "gdb9.sdf")) as writer:
        for i, smiles in enumerate(SMILES):
            molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
            AllChem.EmbedMolecule(molecule, randomSeed=i)
            writer.write(molecule)
            rows.append(",".join([f"gdb_{i + 1}", *map(str, random.normal(size=len(columns)))]))
    (folder / "gdb9.sdf.csv").write_text("\n".join(rows) + "\n")
    (folder / "uncharacterized.txt").write_text("#  Index\n====\n   2    N   x\n====\n")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    write_rmd17(root)
    write_md17(root)
    write_qm9(root)
    (root / "structures.extxyz").write_text((files("molzoo.data") / "sample" / "copper.extxyz").read_text())  # with stress
    return root


FEW = {
    "sample/ethanol": ["--data.train", "40", "--data.val", "10", "--data.test", "10"],
    "qm9": ["--data.train", "12", "--data.val", "4", "--task.loss", "{U0: 1.0}"],
}


@pytest.mark.filterwarnings("ignore:the energies of the original MD17")
@pytest.mark.parametrize("name", names())
def test_two_steps(name, root, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MOLZOO_DATA", str(root))
    monkeypatch.setenv("MOLZOO_OFFLINE", "1")
    monkeypatch.setattr("molzoo.train.run.plot_parity", lambda *_: None)
    monkeypatch.setattr("molzoo.train.run.plot_learning_curve", lambda *_: None)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    section = name.partition("/")[0] if "/" in name else ""
    words = {"data": [name, "model/painn"], "model": ["data/sample", name], "": [name]}[section]
    source = read(words[0])["data"]["source"]
    limits = ["--trainer.max_steps", "2", "--trainer.limit_val_batches", "1", "--trainer.accelerator", "cpu"]
    try:
        with use_backend("messages"):  # loops for all these models would take minutes to compile
            code = main(["train", *words, *limits, *FEW.get(source, []), "--folder", str(tmp_path / "run")])
        assert code == 0, capsys.readouterr().err
    finally:
        torch.set_num_threads(threads)
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert all(np.isfinite(row["mae"]) for row in results["test"].values())
    assert load(tmp_path / "run" / "model.pt").model_name == results["model"]


def test_a_model_s_configuration_is_its_reference():
    from molzoo.models import TABLE

    for row in TABLE.values():
        assert read(f"model/{row.config}")["model"]["name"] == row.name


def test_no_path_outside_the_clone():
    for name in names():
        data = read(name).get("data", {})
        assert "root" not in data, name
        assert not str(data.get("source", "")).startswith(("/", "~", "..")), name
