"""Files that are damaged, foreign or meant to harm: each ends in one sentence that names it, or in what a whole file gives."""

import json
import os
import pickle
import random
import re
import signal
import zipfile

import ase.io
import numpy as np
import pytest
import torch

from molzoo.checkpoint import load, read, save
from molzoo.data import qm9
from molzoo.data.source import open_source


def damaged(whole, chance):
    """The bytes with a bit flipped, a piece gone, empty, doubled, swapped or cut off."""
    content, n = bytearray(whole), len(whole)
    first, second = (chance.randrange(n) for _ in range(2))
    match chance.choice(["bit", "byte", "text", "cut", "hole", "gone", "twice", "swap"]):
        case "bit":
            content[first] ^= 1 << chance.randrange(8)
        case "byte":
            content[first] = chance.randrange(256)
        case "text":
            content[first : first + 3] = chance.choice([b"nan", b"-", b"1e999", b'"', b"\n", b"9" * 30, b"\xff\xfe", b"T="])
        case "cut":
            del content[first:]
        case "hole":
            content[first : first + 64] = bytes(len(content[first : first + 64]))
        case "gone":
            del content[first : first + chance.randrange(1, 100)]
        case "twice":
            content[first:first] = content[first : first + chance.randrange(1, 100)]
        case "swap":
            content[first : first + 8], content[second : second + 8] = content[second : second + 8], content[first : first + 8]
    return bytes(content)


# -------------------------------------------------------------------------------------------------------------- model files


@pytest.fixture
def model(predictor, tmp_path):
    path = tmp_path / "model.pt"
    save(predictor("SchNet", "energy", channels=8, n_layers=1, n_filters=8, n_radial=5), path)
    return path


def test_a_damaged_model_is_refused_or_gives_the_same_numbers(model, structure):
    graph, whole, chance, refused = structure("water"), model.read_bytes(), random.Random(0), 0
    wanted = load(model)(graph)["energy"]
    for _ in range(200):
        model.write_bytes(damaged(whole, chance))
        try:
            assert torch.equal(load(model)(graph)["energy"], wanted)
        except ValueError as error:
            assert re.fullmatch(r"'.*model\.pt' is not a molzoo model or is damaged \(\w+\); give a model\.pt", str(error))  # noqa: PT017
            refused += 1
    assert refused > 150


def test_an_entry_that_is_marked_as_a_folder_is_not_read_as_empty_memory(model):
    whole = bytearray(model.read_bytes())
    with zipfile.ZipFile(model) as archive:
        at = whole.index(b"data/2", archive.start_dir) - len("archive/") - 46
    whole[at + 38] ^= 16  # the attribute, in the table of contents
    model.write_bytes(whole)
    with pytest.raises(ValueError, match="damaged"):
        load(model)


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("where", ["tensors", "card", "whole", "plain"])
def test_a_pickle_that_executes_something_does_not(where, tmp_path):
    path, bomb = tmp_path / "bomb.pt", Bomb(tmp_path / "executed")
    content = {"card": "{}", "tensors": {}}
    if where == "plain":
        path.write_bytes(pickle.dumps(bomb))
    else:
        torch.save(bomb if where == "whole" else content | {where: bomb}, path)
    with pytest.raises(ValueError, match="is not a molzoo model"):
        load(path)
    assert not (tmp_path / "executed").exists()


FOREIGN = [
    {"arguments": {"channels": 10**13}},
    {"arguments": {"channels": "8; import os"}},
    {"arguments": {"chanels": 8}},
    {"arguments": ["channels"]},
    {"facts": {"elements": [1], "mood": "good"}},
    {"facts": None},
    {"dtype": "load"},
    {"dtype": "float46"},
    {"names": 7},
    {"model": "SchNetPlus"},
    {"model": ["SchNet"]},
    {"model": "../../SchNet"},
    {"format": "one"},
    {"format": None},
]


@pytest.mark.parametrize("change", FOREIGN, ids=json.dumps)
def test_a_card_that_makes_no_sense_is_one_sentence(change, model):
    card, tensors = read(model)
    torch.save({"card": json.dumps(card | change), "tensors": tensors}, model)
    with pytest.raises(ValueError, match=r"model\.pt' is not a molzoo model|there is no model '.*SchNet"):
        load(model)


@pytest.mark.parametrize("key", ["format", "model", "arguments", "names", "facts", "dtype"])
def test_a_card_that_lacks_something_is_refused_by_whoever_reads_it(key, model):
    card, tensors = read(model)
    torch.save({"card": json.dumps({name: card[name] for name in card if name != key}), "tensors": tensors}, model)
    with pytest.raises(ValueError, match="is not a molzoo model or is damaged"):
        read(model)


# --------------------------------------------------------------------------------------------------------- structure files


def write_files(folder):
    """One whole file of each kind; the words that open it, by name."""
    random = np.random.default_rng(0)
    frames = [ase.Atoms("OH2", random.normal(size=(3, 3)), cell=[[4, 0.1, 0], [0, 4, 0], [0.3, 0, 5]], pbc=True) for _ in "123"]
    for n, atoms in enumerate(frames):
        atoms.info |= {"energy": -10.0 - n, "charge": 0}
        atoms.arrays["forces"] = atoms.positions[::-1].copy()
    for name in ("a.extxyz", "a.traj", "a.cif"):
        ase.io.write(folder / name, frames)
    ase.io.write(folder / "a.xyz", frames, format="xyz")
    ase.io.write(folder / "a.sdf", frames[0])
    for sub in ("md17", "rmd17/npz_data", "rmd17/splits", "qm9/raw"):
        (folder / sub).mkdir(parents=True)
    R, F, E, z = random.normal(size=(9, 3, 3)), random.normal(size=(9, 3, 3)), random.normal(size=(9, 1)), [8, 1, 1]
    np.savez(folder / "md17/md17_ethanol.npz", R=R, E=E, F=F, z=z, theory=np.bytes_("DFT"))
    np.savez(folder / "rmd17/npz_data/rmd17_ethanol.npz", coords=R, energies=E[:, 0], forces=F, nuclear_charges=z)
    (folder / "rmd17/splits/index_train_01.csv").write_text("0\n3\n4\n")
    (folder / "rmd17/splits/index_test_01.csv").write_text("1\n2\n8\n")
    columns = [column for column, _ in qm9.COLUMNS.values()]
    rows = ["gdb_1," + ",".join(f"{x:.4f}" for x in random.normal(size=len(columns))) for _ in range(3)]
    (folder / "qm9/raw/gdb9.sdf.csv").write_text("\n".join([",".join(["mol_id", *columns]), *rows]) + "\n")
    (folder / "qm9/raw/gdb9.sdf").write_text(3 * ((folder / "a.sdf").read_text().partition("$$$$")[0] + "$$$$\n"))
    (folder / "qm9/raw/uncharacterized.txt").write_text("head\n\n   2  x  1.0\n")


SOURCE = {"md17": "md17/ethanol", "rmd17": "rmd17/ethanol", "qm9": "qm9"}
FILES = [
    *("a.extxyz", "a.extxyz", "a.traj", "a.cif", "a.xyz", "a.sdf", "md17/md17_ethanol.npz", "rmd17/npz_data/rmd17_ethanol.npz"),
    *("rmd17/splits/index_test_01.csv", "qm9/raw/gdb9.sdf", "qm9/raw/gdb9.sdf.csv", "qm9/raw/uncharacterized.txt"),
]


@pytest.fixture
def no_hang():
    def late(*_):
        raise AssertionError("this takes too long")

    before = signal.signal(signal.SIGALRM, late)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("no_hang", "unchecked")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("file", dict.fromkeys(FILES))
def test_a_damaged_file_is_one_sentence_that_names_it_or_whole_structures(file, tmp_path, monkeypatch):
    monkeypatch.setenv("MOLZOO_OFFLINE", "1")
    write_files(tmp_path)
    path, chance, said = tmp_path / file, random.Random(file), []
    whole, source = path.read_bytes(), SOURCE.get(file.partition("/")[0], str(path))
    open_source(source, str(tmp_path))
    for _ in range(17 * FILES.count(file)):
        path.write_bytes(damaged(whole, chance))
        signal.alarm(30)
        try:
            frames = open_source(source, str(tmp_path)).frames.connect(3.0)
            assert frames.batch(range(len(frames))).pos.isfinite().all()
        except ValueError as error:
            assert "\n" not in str(error)  # noqa: PT017
            assert path.name in str(error)  # noqa: PT017
            said.append(str(error))
    assert said


def test_a_property_of_a_billion_columns_is_not_counted_out(tmp_path):
    (tmp_path / "a.extxyz").write_text("1\nProperties=species:S:1:pos:R:3:forces:R:999999999999\nH 0 0 0 0 0 0\n")
    with pytest.raises(ValueError, match=r"a\.extxyz, structure 0 .* a property has 999999999999 columns"):
        open_source(str(tmp_path / "a.extxyz"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"numbers": [0]}, "atom 0 has the atomic number 0; molzoo knows 1"),
        ({"numbers": [118]}, "atom 0 has the atomic number 118"),
        ({"positions": [[0, np.inf, 0]]}, "position of atom 0 is not a finite number"),
        ({"pbc": True}, "it is periodic, but its lattice vectors .* span no cell"),
        ({"pbc": True, "cell": [[1, 0, 0], [2, 0, 0], [0, 0, 1]]}, "span no cell"),
        ({"info": {"charge": True}}, "its charge is True"),
        ({"info": {"charge": "plus"}}, "its charge is 'plus'; write a number"),
        ({"info": {"spin": [1, 2]}}, "its spin is .*; write a number"),
        ({"info": {"charge": np.nan}}, "its charge is nan"),
    ],
)
def test_a_structure_that_nobody_can_use_is_named(change, says, tmp_path):
    whole = {"numbers": [1], "positions": [[0, 0, 0]]}
    ase.io.write(tmp_path / "a.traj", [ase.Atoms(**whole), ase.Atoms(**whole | change)])
    with pytest.raises(ValueError, match=rf"a\.traj, structure 1 \(counted from 0\): .*{says}"):
        open_source(str(tmp_path / "a.traj"))


def test_arrays_of_objects_are_not_unpickled(tmp_path):
    write_files(tmp_path)
    path = tmp_path / "rmd17/npz_data/rmd17_ethanol.npz"
    np.savez(path, coords=np.array([Bomb(tmp_path / "executed")], dtype=object))
    with pytest.raises(ValueError, match=r"rmd17_ethanol\.npz cannot be read: Object arrays"):
        open_source("rmd17/ethanol", str(tmp_path))
    assert not (tmp_path / "executed").exists()


# ------------------------------------------------------------------------------------------------ names that lead elsewhere


@pytest.mark.parametrize(
    "name",
    [
        *("../../etc/passwd", "rmd17/../../x", "rmd17/../ethanol", "../rmd17/ethanol", "rmd17//ethanol", "sample/../copper"),
        *("rmd17/ethanol/../../..", "~root/x", "qm9/..", "/etc", "sample/copper\0", "", ".", "..", "/"),
    ],
)
def test_a_name_of_data_leads_nowhere_else(name, tmp_path, monkeypatch):
    monkeypatch.setenv("MOLZOO_OFFLINE", "1")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises((ValueError, FileNotFoundError), match=r"there is no (data set|file)|has no part|ASE cannot read"):
        open_source(name, str(tmp_path / "root"))
    assert sorted(tmp_path.rglob("*")) == before


def test_a_file_that_is_no_structure_is_not_shown(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "passwd").write_text("root:x:0:0:secret\n")
    with pytest.raises(ValueError, match=r"ASE cannot read .*passwd") as said:
        open_source("../passwd", str(tmp_path / "root"))
    assert "secret" not in str(said.value)
