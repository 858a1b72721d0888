import json

import pytest
import yaml

from molzoo.cli import main
from molzoo.cli.config import find, from_words, lay_over, names, read, shipped
from molzoo.cli.train import check

RUN = ["data/sample", "model/painn"]


@pytest.fixture
def write(tmp_path):
    def put(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    return put


def test_every_shipped_name_is_found():
    assert {"quickstart", "rmd17_painn", "data/qm9", "model/schnet"} <= set(names())
    assert all(find(name).is_file() for name in names())


def test_a_file_wins_over_a_shipped_name(write, tmp_path):
    write("quickstart", "seed: 7\n")
    assert read("quickstart") == {"seed": 7}  # relative to where one is
    assert find("rmd17_painn").is_relative_to(shipped())


def test_later_files_win_and_overrides_win_over_all(write):
    write("a.yaml", "data: {source: a, train: 1}\nseed: 1\n")
    write("b.yaml", "data: {train: 2, val: 2}\n")
    config = from_words(["--data.val", "3", "a.yaml", "b.yaml"])
    assert config == {"data": {"source": "a", "train": 2, "val": 3}, "seed": 1}


def test_a_file_wins_over_what_it_includes(write):
    write("low.yaml", "data: {train: 1, val: 1}\n")
    write("middle.yaml", "include: low.yaml\ndata: {val: 2, test: 2}\n")
    write("other.yaml", "data: {test: 3}\n")
    write("top.yaml", "data: {seed: 4}\ninclude: [middle.yaml, other.yaml]\n")
    assert read("top.yaml") == {"data": {"train": 1, "val": 2, "test": 3, "seed": 4}}


def test_includes_are_relative_to_the_file_that_includes(write):
    write("deep/inner.yaml", "seed: 3\n")
    write("deep/outer.yaml", "include: inner.yaml\n")
    assert read("deep/outer.yaml") == {"seed": 3}


def test_a_key_of_a_section_is_replaced_whole(write):
    below = {"task": {"loss": {"energy": 1.0, "forces": 1.0}, "lr": 1.0}}
    assert lay_over(below, {"task": {"loss": {"mu": 1.0}}}) == {"task": {"loss": {"mu": 1.0}, "lr": 1.0}}


def test_another_model_drops_the_arguments_of_the_first():
    config = from_words([*RUN, "--model", "SchNet", "--model.channels", "16"])
    assert config["model"] == {"name": "SchNet", "channels": 16}
    assert from_words([*RUN, "--model", "painn"])["model"]["n_radial"] == 20  # in any case it is the same


def test_both_forms_of_overrides():
    words = ["--task.lr=5e-4", "--data.train", "950", "--task.freeze=[model.embedding*]", "--resume", "--folder", "runs/a=b"]
    assert from_words(words) == {
        "task": {"lr": 5e-4, "freeze": ["model.embedding*"]},
        "data": {"train": 950},
        "resume": True,
        "folder": "runs/a=b",
    }


def test_a_negative_number_is_a_value():
    assert from_words(["--task.lr", "-1e-3"]) == {"task": {"lr": -1e-3}}


@pytest.mark.parametrize("words", [["--data.train"], ["--data.train", "--data.val", "3"]])
def test_a_value_is_missing(refused, words):
    assert refused(["train", *words]) == "--data.train needs a value, e.g. --data.train VALUE"


def test_a_misspelt_section_of_an_override(refused):
    words = ["train", *RUN, "--modle.channels", "3"]
    assert refused(words) == "--modle.channels: there is no section 'modle'; did you mean 'model'?"


def test_a_key_inside_a_value(refused):
    words = ["train", *RUN, "--task.loss.forces", "3"]
    assert refused(words) == "task.loss.forces: task.loss is given whole; type --task.loss '{forces: VALUE, …}'"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5e-4", 5e-4),
        ("1E3", 1000.0),
        (".5", 0.5),
        ("-2.", -2.0),
        ("12", 12),
        ("01", "01"),
        ('"01"', "01"),
        ("1_000", 1000),
        ("00:00:15:00", "00:00:15:00"),
        ("10:00:00", "10:00:00"),
        ("2026-11-20", "2026-11-20"),
        ("true", True),
        ("null", None),
        ("1e", "1e"),
    ],
)
def test_what_a_word_is(text, value):
    found = from_words([f"--data.train={text}"])["data"]["train"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(("word", "split"), [([], "01"), (["--data.split=02"], "02"), (["--data.split", "'05'"], "05")])
def test_the_number_of_a_split_stays_a_word(word, split):
    objects, plain = check(from_words(["rmd17_painn", *word]))
    assert objects.data.split == plain["data"]["split"] == split


def test_defaults_are_filled_in():
    objects, plain = check(from_words([*RUN, "--task.loss", "{energy: 1, forces: {weight: [1, 10], kind: huber}}"]))
    assert plain["model"]["envelope"] == "cosine"
    assert plain["data"]["allow_missing"] is False
    assert plain["task"]["schedule"] == "cosine"
    assert objects.task.loss["forces"].weight == [1.0, 10.0]
    assert objects.task.loss["forces"].delta == 0.01


def test_any_case_names_a_model():
    assert check(from_words([*RUN, "--model", "schnet"]))[1]["model"]["name"] == "SchNet"


def test_the_printed_configuration_says_the_same_again(write, capsys):
    assert main(["train", "rmd17_painn", "--task.lr", "1e-5", "--print_config"]) == 0
    printed = capsys.readouterr().out
    write("again.yaml", printed)
    assert main(["train", "again.yaml", "--print_config"]) == 0
    assert capsys.readouterr().out == printed
    assert json.loads(printed)["task"]["lr"] == 1e-5


def test_the_keys_are_explained(capsys):
    assert main(["train", *RUN, "--help_keys"]) == 0
    out = capsys.readouterr().out
    assert "--model.envelope {cosine,polynomial}" in out
    assert "learning rate at its highest" in out
    assert "logger" not in out


def test_shipped_files_are_plain_yaml_to_others_too():
    for name in names():
        with find(name).open() as file:
            assert isinstance(yaml.safe_load(file), dict), name
