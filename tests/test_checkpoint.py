"""Saving and loading: the same predictions, no pickled classes, and never half a file."""

import pickletools
import signal
import subprocess
import sys
import time
import zipfile

import pytest
import torch

from molzoo import checkpoint
from molzoo.checkpoint import load, read, save
from molzoo.data.facts import DataFacts
from molzoo.models.interface import AtomisticModel
from molzoo.predictor import Predictor

FACTS = DataFacts(
    source="test",
    elements=[1, 6, 8],
    charges=[0.0],
    references={"energy": {1: -13.587222780835477, 6: -1029.4130839658328, 8: -2042.7032062326}},
    means={"gap": 6.8},
    scales={"energy": 1 / 3},
)


@pytest.fixture
def made(predictor):
    return predictor("PaiNN", "energy", "forces", "dipole", "gap", dtype=torch.float32, facts=FACTS, cutoff=4.0)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs" / "one" / "model.pt"  # folders are made


def test_predictions_are_the_same_bit_for_bit(made, path, structure):
    save(made, path)
    first, second = made(structure("ethanol")), load(path)(structure("ethanol"))
    assert list(first) == list(second)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_everything_else_comes_back(made, path):
    save(made, path)
    again = load(path)
    assert again.facts == FACTS
    assert again.names == made.names
    assert again.arguments == made.arguments
    assert again.model.cutoff == 4.0
    assert again.model.dtype == torch.float32
    assert not again.training


def test_precision_can_be_chosen(made, path, structure):
    save(made, path)
    assert load(path, dtype=torch.float64).model.dtype == torch.float64
    energy = load(path, dtype=torch.float64)(structure("water"))["energy"]
    assert energy.item() == pytest.approx(made(structure("water"))["energy"].item(), rel=1e-7)


def test_float64_weights_are_not_rounded(made, path):
    made.double()
    with torch.no_grad():
        next(made.parameters()).fill_(1 / 3)
    save(made, path)
    assert (next(load(path).parameters()) == 1 / 3).all()


def test_the_file_loads_without_pickle(made, path):
    save(made, path, config={"seed": 3})
    stored = torch.load(path, weights_only=True)
    assert sorted(stored) == ["card", "tensors"]
    with zipfile.ZipFile(path) as archive:
        (pickled,) = [name for name in archive.namelist() if name.endswith("data.pkl")]
        classes = {arg for op, arg, _ in pickletools.genops(archive.read(pickled)) if op.name == "GLOBAL"}
    assert classes == {"collections OrderedDict", "torch FloatStorage", "torch._utils _rebuild_tensor_v2"}


def test_the_card_says_what_a_reader_needs(made, path):
    save(made, path, config={"seed": 3})
    card, _ = read(path)
    assert card["model"] == "PaiNN"
    assert card["config"] == {"seed": 3}
    assert {"format", "molzoo", "torch", "dtype", "names", "arguments", "facts"} <= set(card)
    assert card["conventions"]["o3"] == "e3nn 0.6"


def test_global_state_and_random_numbers_are_left_alone(made, path):
    before = torch.get_rng_state(), torch.get_default_dtype()
    save(made, path)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.get_default_dtype() == before[1]


def test_no_other_file_is_left(made, path):
    save(made, path)
    save(made, path)
    assert [p.name for p in path.parent.iterdir()] == ["model.pt"]


def test_a_failed_save_leaves_the_old_file_and_nothing_else(made, path, monkeypatch):
    save(made, path)
    old = path.read_bytes()
    monkeypatch.setattr(checkpoint.torch, "save", lambda _, file: file.write(b"half") and 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save(made, path)
    assert path.read_bytes() == old
    assert len(list(path.parent.iterdir())) == 1


def test_a_model_outside_the_zoo_is_refused_before_it_is_lost(path):
    class Mine(AtomisticModel):
        def __init__(self, *, irreps_out):
            super().__init__(5.0, irreps_out)
            self.readout = torch.nn.Linear(1, 1)

    with pytest.raises(ValueError, match="Mine is not a model of the zoo"):
        save(Predictor(Mine, ["energy"]), path)
    assert not path.exists()


def test_a_loaded_model_still_knows_what_it_never_learned(made, path, structure):
    save(made, path)
    with pytest.raises(ValueError, match="never learned N; it was trained on H, C, O"):
        load(path)(structure("HCN"))
    with pytest.raises(ValueError, match="never learned structures of total charge -1"):
        load(path)(structure("ion"))


# ----------------------------------------------------------------------------------------------------------------- bad files


def test_a_missing_file_is_said_to_be_missing(path):
    with pytest.raises(FileNotFoundError, match=r"there is no model file '.*model\.pt'; training writes model\.pt"):
        load(path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_said_to_be_damaged(share, made, path):
    save(made, path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ValueError, match="is not a molzoo model or is damaged"):
        load(path)


@pytest.mark.parametrize("content", [{"state_dict": {}}, [1, 2], 3.0], ids=["last.ckpt", "list", "number"])
def test_a_foreign_file_is_said_to_be_foreign(content, tmp_path):
    torch.save(content, tmp_path / "foreign.pt")
    with pytest.raises(ValueError, match="is not a molzoo model or is damaged"):
        load(tmp_path / "foreign.pt")


def test_a_pickled_class_is_not_executed(tmp_path):
    torch.save({"card": "{}", "tensors": torch.nn.Linear(1, 1)}, tmp_path / "pickle.pt")
    with pytest.raises(ValueError, match="is not a molzoo model"):
        load(tmp_path / "pickle.pt")


def test_a_text_file_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("not a model")
    with pytest.raises(ValueError, match="is not a molzoo model"):
        load(tmp_path / "notes.txt")


def test_a_file_of_a_newer_format_asks_for_a_newer_molzoo(made, path, monkeypatch):
    monkeypatch.setattr(checkpoint, "FORMAT", 99)
    save(made, path)
    monkeypatch.undo()
    with pytest.raises(ValueError, match="install that version or a newer one"):
        load(path)


SAVE_FOR_EVER = """
import sys
from molzoo.checkpoint import save
from molzoo.predictor import Predictor
predictor = Predictor("PaiNN", ["energy"], {"channels": 64})
n = 0
while True:
    save(predictor, sys.argv[1], config={"n": n})
    n += 1
    if n == 3:
        print("saving", flush=True)
"""


def test_kill_9_while_saving_leaves_a_loadable_file(path, structure):
    process = subprocess.Popen([sys.executable, "-c", SAVE_FOR_EVER, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "saving\n"
        time.sleep(0.05)
        while not list(path.parent.glob(".model.pt.*")):  # one is being written now
            pass
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    assert read(path)[0]["config"]["n"] >= 2
    assert load(path)(structure("water"))["energy"].isfinite().all()
