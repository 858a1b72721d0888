"""Which frames train, validate and test: by count, fraction, rows, rest, file or as published; never shared, with a hash."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from molzoo.data.structures import read_arrays, readable
from molzoo.shapes import Int, Tensor

PARTS = ("train", "val", "test")
Amount = int | float | str | None
Rows = Int[Tensor, " _"]  # of any length each


@dataclass(frozen=True)
class Splits:
    """Frame numbers of each part, in the order in which they are kept."""

    train: Rows
    val: Rows
    test: Rows

    def __getitem__(self, part: str) -> Rows:
        if part not in PARTS:
            raise ValueError(f"the parts of a split are 'train', 'val' and 'test'; there is no {part!r}")
        return getattr(self, part)

    @property
    def hashes(self) -> dict[str, str]:
        """sha256 of the sorted frame numbers (64-bit, little-endian) of each part."""
        return {part: hashlib.sha256(self[part].sort().values.numpy().astype("<i8").tobytes()).hexdigest() for part in PARTS}


def make_splits(
    n: int,
    train: Amount = None,
    val: Amount = None,
    test: Amount = None,
    *,
    seed: int = 0,
    published: dict[str, Rows] | None = None,
) -> Splits:
    """The rows of n frames that train, validate and test.

    Each amount is a count, a fraction (of all frames, or of the published part it is taken from), rows such as
    ``"950-999"`` (of the same), ``"rest"`` (at most once), the path of a file of row numbers, or None. Published parts are
    taken in order: ``train=950, val=50`` of a published training split without a validation part are its first 950 and its
    next 50 rows; None is the whole published part, or what is left of it. Without published parts frames are drawn at
    random by ``seed``; then None is all frames left for ``train``, and no frames for the others.

    Raises:
        ValueError: too many frames asked for, two rests, or parts that overlap.

    >>> {part: len(make_splits(10, 0.5, 2, "rest")[part]) for part in ("train", "val", "test")}
    {'train': 5, 'val': 2, 'test': 3}
    >>> make_splits(9, 2, "3-4", published={"train": torch.arange(6), "test": torch.arange(6, 9)}).val
    tensor([3, 4])
    """
    amounts = {"train": train, "val": val, "test": test}
    if published is None:
        pool = torch.from_numpy(np.random.default_rng(seed).permutation(n))
        own: dict[str, Rows] = {}
    else:
        # A part that is not published comes out of the training part.
        pool, own = published["train"], {part: published[part] for part in published if part != "train"}
    rows = {part: read_rows(Path(str(amount))) for part, amount in amounts.items() if _is_path(amount)}
    rows |= {part: _range(part, str(amount), own.get(part, pool)) for part, amount in amounts.items() if _is_range(amount)}
    asked = {part: amount for part, amount in amounts.items() if part not in rows}
    for part, amount in asked.items():
        if part in own:
            rows[part] = _deal(own[part], len(own[part]), {part: "rest" if amount is None else amount})[part]
    shared = {part: _default(part, amount) for part, amount in asked.items() if part not in own}
    free = pool[~torch.isin(pool, torch.cat([pool[:0], *(rows[part] for part in rows if part not in own)]))]
    rows |= _deal(free, len(pool), shared)
    splits = Splits(**{part: rows[part] for part in PARTS})
    _check(splits, n)
    return splits


def _default(part: str, amount: Amount) -> Amount:
    if amount is not None:
        return amount
    return "rest" if part == "train" else 0


def _deal(pool: Rows, size: int, asked: dict[str, Amount]) -> dict[str, Rows]:
    """Rows for each part, dealt from ``pool`` in the order train, val, test; ``size`` is what fractions refer to."""
    rests = [part for part, amount in asked.items() if amount == "rest"]
    if len(rests) > 1:
        raise ValueError(f"{' and '.join(rests)} are both 'rest' (as train is when left out); give a count for one")
    counts = {part: _count(part, amount, size) for part, amount in asked.items() if part not in rests}
    wanted = sum(counts.values())
    if wanted > len(pool):
        said = " + ".join(f"{part}: {count}" for part, count in counts.items() if count)
        raise ValueError(f"{said} makes {wanted} frames, but there are {len(pool)} to take them from; ask for fewer")
    counts |= dict.fromkeys(rests, len(pool) - wanted)
    parts = [part for part in PARTS if part in asked]
    return dict(zip(parts, pool.split([counts[part] for part in parts] + [len(pool) - sum(counts.values())]), strict=False))


def _count(part: str, amount: Amount, size: int) -> int:
    if amount is None or isinstance(amount, str):
        raise ValueError(f"{part}: {amount!r} is neither a number nor rows such as '950-999' nor 'rest' nor a file that exists")
    if isinstance(amount, bool) or amount < 0 or (isinstance(amount, float) and amount > 1):
        raise ValueError(f"{part}: {amount!r}; type a count such as 950, a fraction of at most 1.0, or 'rest'")
    return round(amount * size) if isinstance(amount, float) else amount


def _is_path(amount: Amount) -> bool:
    return isinstance(amount, str) and amount != "rest" and bool(Path(amount).suffix)


def _is_range(amount: Amount) -> bool:
    return isinstance(amount, str) and bool(re.fullmatch(r"\d+-\d+", amount))


def _range(part: str, amount: str, pool: Rows) -> Rows:
    first, last = map(int, amount.split("-"))
    if not first <= last < len(pool):
        raise ValueError(f"{part}: {amount!r} are no rows of the {len(pool)} there are; all of them are '0-{len(pool) - 1}'")
    return pool[first : last + 1]


def read_rows(path: Path) -> Rows:
    """The row numbers, counted from 0, in a text file with one a line."""
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no file of row numbers {path.absolute()}; give a count, 'rest' or a path that exists"
        )
    with readable(path):
        return torch.from_numpy(np.loadtxt(path, dtype=np.int64, ndmin=1))


def read_split(path: Path) -> dict[str, Rows]:
    """The parts kept in an npz file as arrays ``train``, ``val``, ``test`` of row numbers counted from 0."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no split file {path.absolute()}; give one that exists")
    if path.suffix != ".npz":
        raise ValueError(
            f"{path.name}: a split file is an .npz with arrays train, val, test; lists of rows go to train, val, test"
        )
    arrays = read_arrays(path)
    with readable(path):
        parts = {part: torch.from_numpy(arrays[part].astype(np.int64).reshape(-1)) for part in PARTS if part in arrays}
    if "train" not in parts:
        raise ValueError(f"{path} has no array 'train'; save it with numpy.savez(path, train=…, val=…, test=…)")
    return parts


def _check(splits: Splits, n: int) -> None:
    rows = torch.cat([splits[part] for part in PARTS])
    if not len(splits.train):
        raise ValueError("no frame is left to train on; give `train` a count such as 950")
    if int(rows.min()) < 0 or int(rows.max()) >= n:
        raise ValueError(f"the split names frames {int(rows.min())} to {int(rows.max())}, but there are {n}, counted from 0")
    if len(rows.unique()) != len(rows):
        twice = rows.unique(return_counts=True)
        row = int(twice[0][twice[1] > 1][0])
        raise ValueError(f"frame {row} is in the split more than once; every frame belongs to one of train, val, test")
