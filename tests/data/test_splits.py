import hashlib
from itertools import chain

import numpy as np
import pytest
import torch

from molzoo.data.splits import PARTS, make_splits, read_split

PUBLISHED = {"train": torch.tensor([9, 3, 7, 1]), "test": torch.tensor([8, 0])}


def parts(splits):
    return [splits[part].tolist() for part in PARTS]


def test_published_rows_are_taken_in_order():
    assert parts(make_splits(10, 3, 1, published=PUBLISHED)) == [[9, 3, 7], [1], [8, 0]]
    assert parts(make_splits(10, None, 1, 1, published=PUBLISHED)) == [[9, 3, 7], [1], [8]]
    assert parts(make_splits(10, published=PUBLISHED)) == [[9, 3, 7, 1], [], [8, 0]]
    assert parts(make_splits(10, 0.5, "rest", published=PUBLISHED)) == [[9, 3], [7, 1], [8, 0]]


def test_a_published_validation_part_is_used():
    published = PUBLISHED | {"val": torch.tensor([2, 4])}
    assert parts(make_splits(10, published=published)) == [[9, 3, 7, 1], [2, 4], [8, 0]]


def test_random_splits_depend_on_the_seed_alone():
    first = make_splits(50, 20, 5, "rest", seed=1)
    assert parts(first) == parts(make_splits(50, 20, 5, "rest", seed=1))
    assert parts(first) != parts(make_splits(50, 20, 5, "rest", seed=2))
    assert sorted(chain(*parts(first))) == list(range(50))
    assert first.train.tolist() == make_splits(50, 20, seed=1).train.tolist()  # what others take does not change it


def test_left_out_parts_are_empty():
    assert [len(part) for part in parts(make_splits(10, val=2))] == [8, 2, 0]


def test_files_of_rows(tmp_path):
    (tmp_path / "train.csv").write_text("4\n2\n")
    splits = make_splits(6, str(tmp_path / "train.csv"), 1, "rest")
    assert splits.train.tolist() == [4, 2]
    assert sorted(chain(*parts(splits))) == list(range(6))
    np.savez(tmp_path / "mine.npz", train=[1, 2], test=[0])
    assert {part: rows.tolist() for part, rows in read_split(tmp_path / "mine.npz").items()} == {"train": [1, 2], "test": [0]}


def test_rows_are_those_of_the_published_part():
    assert parts(make_splits(10, 2, "2-3", "1-1", published=PUBLISHED)) == [[9, 3], [7, 1], [0]]
    assert parts(make_splits(10, "0-0", "3-3", published=PUBLISHED)) == [[9], [1], [8, 0]]
    assert parts(make_splits(10, None, "0-1", published=PUBLISHED)) == [[7, 1], [9, 3], [8, 0]]


def test_hashes_are_of_the_content():
    splits = make_splits(10, published=PUBLISHED)
    again = make_splits(10, published=PUBLISHED | {"train": torch.tensor([1, 3, 7, 9])})
    assert splits.hashes == again.hashes
    assert splits.hashes["test"] == hashlib.sha256(np.array([0, 8], dtype="<i8").tobytes()).hexdigest()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (dict(n=10, train=8, val=5), "train: 8 \\+ val: 5 makes 13 frames, but there are 10"),
        (dict(n=10, train=4, val=1, published=PUBLISHED), "there are 4"),
        (dict(n=10, train="rest", val="rest"), "both 'rest'"),
        (dict(n=10, train="most"), "neither a number nor rows such as '950-999' nor 'rest'"),
        (dict(n=10, train=2, val="7-10"), "no rows of the 10 there are; all of them are '0-9'"),
        (dict(n=10, train=3, val="2-3", published=PUBLISHED), "makes 3 frames, but there are 2"),
        (dict(n=10, train=-1), "type a count"),
        (dict(n=10, train=1.5), "fraction of at most"),
        (dict(n=10, train=0, test="rest"), "no frame is left to train on"),
        (
            dict(n=10, published={"train": torch.tensor([1, 2]), "test": torch.tensor([2])}),
            "frame 2 is in the split more than once",
        ),
        (dict(n=5, published=PUBLISHED), "names frames 0 to 9, but there are 5"),
    ],
)
def test_errors(arguments, says):
    with pytest.raises(ValueError, match=says):
        make_splits(**arguments)


def test_missing_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="row numbers"):
        make_splits(10, str(tmp_path / "no.csv"))
    with pytest.raises(FileNotFoundError, match="split file"):
        read_split(tmp_path / "no.npz")
    (tmp_path / "a.csv").write_text("1\n")
    with pytest.raises(ValueError, match="arrays train, val, test"):
        read_split(tmp_path / "a.csv")
    np.savez(tmp_path / "b.npz", test=[1])
    with pytest.raises(ValueError, match="no array 'train'"):
        read_split(tmp_path / "b.npz")
