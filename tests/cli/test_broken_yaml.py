"""What people mistype: each is answered with one sentence that names it, before anything is printed, written or trained."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from molzoo.cli import main

GOOD = {
    "model": "{name: PaiNN, channels: 8, n_layers: 1}",
    "data": "{source: sample/ethanol, train: 40, val: 20, test: 20}",
    "trainer": "{max_epochs: 1, accelerator: cpu}",
}
CELL = 'Lattice="4 0 0 0 4 0 0 0 4" pbc="T T T"'
FRAME = '2\n{cell} Properties=species:S:1:pos:R:3:forces:R:3 energy={e} dipole="0 0 {e}"\nH 0 0 0 0 0 1\nH 0 0 0.7{e} 0 0 -1\n'


def yaml(**sections):
    """A good configuration with these sections instead."""
    return "".join(f"{key}: {value}\n" for key, value in (GOOD | sections).items())


def data(more):
    return yaml(data=f"{{source: sample/ethanol, {more}}}")


def task(settings):
    return yaml(task=f"{{{settings}}}")


def copper(settings):
    return yaml(data="{source: sample/copper, train: 8, val: 4}", task=f"{{{settings}}}")


def dimers(settings):
    return yaml(data="{source: dimer.extxyz, train: 2, val: 1}", task=f"{{{settings}}}")


BROKEN = {
    # sections, keys and names
    "section": (yaml(modle="{name: PaiNN}"), "'modle' is not a section or key of a configuration; did you mean 'model'?"),
    "top key": (yaml(fodler="runs/a"), "'fodler' .* did you mean 'folder'?"),
    "model key": (yaml(model="{name: PaiNN, chanels: 8}"), "model.chanels: .* argument of PaiNN; did you mean 'channels'?"),
    "task key": (task("learning_rate: 1e-3"), "task.learning_rate: .* a key of 'task'"),
    "trainer key": (yaml(trainer="{max_epoch: 3}"), "trainer.max_epoch: .* did you mean 'max_epochs'?"),
    "molzoo's key": (yaml(trainer="{logger: false}"), "trainer.logger is set by molzoo; leave it out"),
    "model": (yaml(model="PaiN"), "there is no model 'PaiN' in the zoo; did you mean 'PaiNN'?"),
    "no model": ("data: {source: sample/ethanol}", "no model is named; add 'model: PaiNN'"),
    "no data": ("model: PaiNN", "no data are named; add 'data: {source: sample/ethanol}'"),
    "data set": (yaml(data="{source: rmd71/ethanol}"), "there is no data set 'rmd71/ethanol'; did you mean 'rmd17'?"),
    "molecule": (yaml(data="{source: rmd17/asprin}"), "'rmd17' has no part 'asprin'; did you mean 'aspirin'?"),
    "quantity": (task("loss: {engery: 1.0}"), "'engery' is not a quantity molzoo knows; did you mean 'energy'?"),
    "number": (task("loss: {7: 1.0}"), "quantities have names, not numbers such as 7; QM9's target 7 is 'U0'"),
    # values
    "word for int": (yaml(model="{name: PaiNN, channels: many}"), "model.channels: expected int, got many"),
    "part for int": (yaml(model="{name: PaiNN, channels: 8.5}"), "model.channels: expected int, got 8.5"),
    "word for float": (task("lr: fast"), "task.lr: expected float, got fast"),
    "word for bool": (data("allow_missing: perhaps"), "data.allow_missing: expected bool, got perhaps"),
    "envelope": (yaml(model="{name: PaiNN, envelope: cosin}"), "model.envelope: 'cosin' is not one of cosine, polynomial; did"),
    "schedule": (task("schedule: platoe"), "'platoe' is not one of constant, cosine, plateau; did you mean 'plateau'"),
    "precision": (yaml(trainer="{precision: 17}"), "trainer.precision: '17' is not one of 64, 32"),
    "cutoff": (yaml(model="{name: PaiNN, cutoff: -5.0}"), "cutoff .* positive .* -5.0"),
    "channels": (yaml(model="{name: PaiNN, channels: 0}"), "model.channels: 0 must be at least 1"),
    "rate": (task("lr: -1.0"), "task.lr: -1.0 must be above 0"),
    "average": (task("ema: 1.5"), "task.ema: 1.5 must be below 1"),
    "time": (yaml(trainer="{max_time: 15 min}"), "trainer.max_time: '15 min' is not a time; type days:hours:"),
    "time as number": (yaml(trainer="{max_time: 900}"), "trainer.max_time: '900' .* type days:hours:minutes:seconds"),
    "accelerator": (yaml(trainer="{accelerator: gpuu}"), "trainer {accelerator: gpuu}: .* cpu"),
    "pattern": (task("freeze: [model.embeding*]"), "task.freeze: 'model.embeding\\*' .* did you mean 'model.embedding\\*'"),
    "references": (task("references: lest_squares"), "references 'lest_squares': type least_squares"),
    "element": (task("references: {H: -13.6, C: -1029.0, Oo: -2042.0}"), "Oo is not the symbol of an element"),
    "loss list": (task("loss: [energy, forces]"), "task.loss: .* type e.g. {energy: 1.0, forces: 100.0}"),
    "loss empty": (task("loss: {}"), "task.loss: {} must name what to learn"),
    "loss kind": (task("loss: {energy: {kind: l1}}"), "task.loss.kind: 'l1' is not one of mse, mae, huber"),
    "loss key": (task("loss: {energy: {wieght: 1.0}}"), "task.loss.energy.wieght is no key; did you mean 'weight'?"),
    "loss word": (task("loss: {energy: high}"), "task.loss: 'high' .* type a weight such as 1.0"),
    "loss weights": (task("loss: {energy: {weight: [1, 2, 3]}}"), r"weight \[1.0, 2.0, 3.0\] of energy .* \[first, last\]"),
    "folder": (yaml(folder="broken.yaml"), "folder: 'broken.yaml' is a file; name another"),
    "resume": (yaml(resume="true", folder="nowhere"), "nothing to resume: 'nowhere/last.ckpt' does not exist; leave"),
    "init_from": (task("init_from: nowhere/model.pt"), "there is no model file 'nowhere/model.pt'"),
    # YAML itself
    "key twice": (yaml() + "model: SchNet\n", "broken.yaml is not valid YAML: line 4, column 1: the key 'model' stands twice"),
    "key twice inside": (data("val: 20, val: 10"), "line 2, .* the key 'val' stands twice"),
    "tab": ("model:\n\tname: PaiNN\n", "line 2, column 1: found character .* that cannot start any token"),
    "indent": ("model:\n  name: PaiNN\n channels: 8\n", "line 3, column 2: expected <block end>"),
    "bracket": ("model: {name: PaiNN\n", "line 2, column 1: expected ',' or '}'"),
    "alias bomb": ("a: &a [x]\nb: &b [*a, *a, *a]\nc: [*b, *b, *b]\n", "line 2, column 8: .a is an alias; write the value out"),
    "python": ("model: !!python/object/apply:os.system [ls]", "line 1, column 8: could not determine a constructor"),
    "depth": ("[" * 3000, "is not valid YAML: maximum recursion depth"),
    "list": ("- model: PaiNN\n", "must hold sections such as 'model:' and 'data:'; it holds a list"),
    "list as section": (yaml(model="[PaiNN]"), "section 'model' must hold keys and values; it holds .'PaiNN'"),
    "word as section": (yaml(data="sample/ethanol"), "section 'data' must hold keys and values; it holds 'sample/ethanol'"),
    "empty section": (yaml(model=""), "section 'model' must hold keys and values; it holds None"),
    "include": ("include: data/smaple\n", "there is no configuration 'data/smaple', .* did you mean 'data/sample'?"),
    "include table": ("include: {data: sample}\n", "include: .* must be a name or a list of names"),
    "circle": ("include: broken.yaml\n", "configurations include each other in a circle"),
    # data
    "missing file": (yaml(data="{source: nowhere.extxyz}"), "there is no file .*nowhere.extxyz"),
    "unknown unit": (yaml(data="{source: dimer.extxyz, units: {energy: Hartre}}"), "'Hartre'"),
    "units of a set": (data("units: {energy: Ha}"), "units of 'sample/ethanol' are known; remove"),
    "label's key": (yaml(data="{source: dimer.extxyz, labels: {energy: engery}}"), "no 'engery' .* did you mean 'energy'?"),
    "fraction": (data("train: 1.5"), "train: 1.5; type a count such as 950, a fraction of at most 1.0"),
    "too many": (data("train: 5000"), "train: 5000 makes 5000 frames, but there are 1200"),
    "no validation": (data("val: 0"), "no frame is left to validate on; give data.val a count"),
    "split": (yaml(data="{source: sample/copper, split: '01'}"), "'sample/copper' has no published split '01'"),
    "batch": (data("batch_size: 0"), "batch_size 0 .* at least 1"),
    "not in the data": (copper("loss: {dipole: 1.0}"), "copper.extxyz: there is no 'dipole' in any frame; .*keys are"),
    "stress of molecules": (task("loss: {energy: 1.0, stress: 1.0}"), "no 'stress' in any frame; its keys are energy"),
    "dipole of crystals": (dimers("loss: {dipole: 1.0}"), "train frames: dipole is defined for structures without periodic"),
    "new element": (yaml(data="{source: mixed.extxyz, train: train.csv, val: val.csv}"), "val frames: .* never learned He"),
    # what people bring from other packages, and slips of the finger
    "model as number": (yaml(model="7"), "section 'model' must hold keys and values; it holds 7"),
    "model by path": (yaml(model="molzoo.models.painn.PaiNN"), "there is no model 'molzoo.models.painn.PaiNN' in the zoo"),
    "name under class": (yaml(model="{class_path: PaiNN}"), "no model is named; add 'model: PaiNN'"),
    "other's cutoff": (yaml(model="{name: PaiNN, r_max: 5.0}"), "model.r_max: 'r_max' is not an argument of PaiNN"),
    "other's width": (yaml(model="{name: SchNet, hidden_channels: 8}"), "model.hidden_channels: .* argument of SchNet"),
    "capital": (yaml(model="{name: PaiNN, Channels: 8}"), "model.Channels: .* did you mean 'channels'?"),
    "dash": (yaml(model="{name: PaiNN, n-layers: 2}"), "model.n-layers: .* did you mean 'n_layers'?"),
    "irreps": (yaml(model="{name: PaiNN, irreps_out: 0e}"), "model.irreps_out: 'irreps_out' is not an argument of PaiNN"),
    "no layers": (yaml(model="{name: PaiNN, n_layers: 0}"), "model.n_layers: 0 must be at least 1"),
    "no radial": (yaml(model="{name: PaiNN, n_radial: -3}"), "model.n_radial: -3 must be at least 1"),
    "cutoff zero": (yaml(model="{name: SchNet, cutoff: 0.0}"), "cutoff .* positive .* 0.0"),
    "cutoff nan": (yaml(model="{name: PaiNN, cutoff: .nan}"), "cutoff .* positive .* nan"),
    "cutoff with unit": (yaml(model="{name: PaiNN, cutoff: 5 A}"), "model.cutoff: expected float, got 5 A"),
    "radial": (yaml(model="{name: PaiNN, radial: bessell}"), "model.radial: 'bessell' is not one of .*did you mean 'bessel'"),
    "list for int": (yaml(model="{name: PaiNN, channels: [8, 8]}"), "model.channels: expected int, got"),
    "comma": (yaml(model="{name: PaiNN, cutoff: 5,0}"), "model.0: .* argument of PaiNN"),
    "batch as word": (data("batch_size: ten"), "data.batch_size: expected int, got ten"),
    "negative count": (data("train: -5"), "train: -5; type a count such as 950"),
    "amount": (data("train: all"), "train: 'all' is neither a number nor rows such as '950-999' nor 'rest' nor a file"),
    "two rests": (yaml(data="{source: sample/copper, train: rest, val: rest}"), "train and val are both 'rest'"),
    "rows file": (data("val: nowhere.csv"), "there is no file of row numbers .*nowhere.csv"),
    "split file": (data("split: nowhere.npz"), "there is no split file .*nowhere.npz"),
    "edges": (data("max_edges: 0"), "max_edges 0 must be at least 1"),
    "workers": (data("num_workers: 4"), "data.num_workers: 'num_workers' is not a key of 'data'"),
    "shuffle": (data("shuffel: true"), "data.shuffel: 'shuffel' is not a key of 'data'"),
    "escape": (yaml(data="{source: ../../etc/passwd}"), "there is no data set '../../etc/passwd'"),
    "escape inside": (yaml(data="{source: rmd17/../../x}"), "'rmd17' has no part '../../x'"),
    "rmd17 alone": (yaml(data="{source: rmd17}"), "'rmd17' has no part ''.*; type for example 'rmd17/aspirin'"),
    "no numbers": (yaml(data="{source: dimer.extxyz, train: words.csv, val: 1}"), "words.csv cannot be read: could not"),
    "weight decay": (task("weight_decay: -0.1"), "task.weight_decay: -0.1 must not be below 0"),
    "warmup": (task("warmup_steps: -1"), "task.warmup_steps: -1 must not be below 0"),
    "final rate": (task("lr_final: 2.0"), "task.lr_final: 2.0 is a fraction of lr, between 0 and 1"),
    "decay": (task("lr_decay: 0.0"), "task.lr_decay: 0.0 is a factor between 0 and 1"),
    "rate infinite": (task("lr: .inf"), "task.lr: inf must be above 0"),
    "freeze word": (task("freeze: embedding"), "task.freeze: 'embedding' is not understood; type a list"),
    "merge bomb": ("a: &a {b: 1}\nmodel: {<<: *a}\n", "a is an alias; write the value out"),
    "anchor of itself": ("model: &m [*m]\n", "m is an alias; write the value out"),
    "two documents": (yaml() + "---\n" + yaml(), "is not valid YAML: line 4, column 1: but found another document"),
}  # fmt: skip


@pytest.fixture
def _files(tmp_path):
    frames = [FRAME.format(cell=CELL, e=e) for e in (1, 2, 3, 4)]
    (tmp_path / "dimer.extxyz").write_text("".join(frames))
    (tmp_path / "mixed.extxyz").write_text("".join([*frames[:3], frames[3].replace("\nH", "\nHe")]))
    (tmp_path / "train.csv").write_text("0\n1\n2\n")
    (tmp_path / "val.csv").write_text("3\n")
    (tmp_path / "words.csv").write_text("first\nsecond\n")


def test_a_hundred_mistakes():
    assert len(BROKEN) >= 100


@pytest.mark.usefixtures("_files")
@pytest.mark.parametrize("name", BROKEN)
def test_broken(refused, tmp_path, name):
    text, says = BROKEN[name]
    (tmp_path / "broken.yaml").write_text(text)
    sentence = refused(["train", "broken.yaml"])
    assert re.search(says.replace("?", r"\?").replace("{", r"\{"), sentence), sentence


def test_missing_data_root(tmp_path, monkeypatch, capsys):
    assert main(["train", "rmd17_painn"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "put it at " + str(tmp_path / "nowhere" / "rmd17") in err
    assert not list(tmp_path.iterdir())


def test_in_a_process_of_its_own(tmp_path):
    (tmp_path / "broken.yaml").write_text(BROKEN["model key"][0])
    words = [str(Path(sys.executable).with_name("molzoo")), "train", "broken.yaml"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "molzoo: model.chanels: 'chanels' is not an argument of PaiNN; did you mean 'channels'?\n"
