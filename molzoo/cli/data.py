"""``molzoo data``: look at, download, check or split a data set before anything is trained."""

from typing import Any

from molzoo.cli import config as configs
from molzoo.quantities import nearest

USAGE = """usage: molzoo data ACTION SOURCE|CONFIG [--data.key value …]

SOURCE is a data set (rmd17/ethanol, qm9, sample/ethanol …) or a file that ASE reads; CONFIG as for molzoo train.
  molzoo data card rmd17/aspirin --data.train 950 --data.val 50     what would be trained on
  molzoo data fetch qm9                                             download what is missing
  molzoo data verify my.extxyz                                      read everything and check every label
  molzoo data split my.extxyz split.npz --data.train 0.8 --data.val 0.1 --data.test rest
"""


def data_(words: list[str]) -> None:
    """Do what the first word says to what the second names."""
    actions = {"card": _card, "fetch": _fetch, "verify": _verify, "split": _split}
    if not words or words[0] in ("-h", "--help"):
        print(USAGE)
        return
    action, *rest = words
    if action not in actions:
        raise ValueError(f"molzoo data cannot {action!r}{nearest(action, list(actions))}")
    if not rest:
        raise ValueError(
            f"molzoo data {action} needs a data set, a file or a configuration, e.g. molzoo data {action} rmd17/ethanol"
        )
    actions[action](rest)


def _opened(words: list[str]) -> tuple[Any, list[str], float]:
    """The data that the words describe, and the quantities a configuration would train on (none for a bare source)."""
    from molzoo.cli.train import check

    source, *overrides = words
    try:
        configs.find(source)
        config = configs.from_words(words)
    except FileNotFoundError:
        config = configs.lay_over({"data": {"source": source}}, configs.from_words(overrides))
    named = "loss" in config.get("task", {})
    objects, plain = check({"model": {"name": "SchNet"}} | config)
    return objects.data, list(objects.task.loss) if named else [], plain["model"].get("cutoff", 5.0)


def _card(words: list[str]) -> None:
    data, names, cutoff = _opened(words)
    data.prepare(names or list(data.open().frames.labels), cutoff)
    print(data.card)


def _fetch(words: list[str]) -> None:
    data, *_ = _opened(words)
    source = data.open()
    print(f"{source.name}: {len(source.frames)} structures at {source.path or 'its place'}")


def _verify(words: list[str]) -> None:
    from molzoo.data.card import check_labels

    data, names, _ = _opened(words)
    source = data.open()
    names = names or list(source.frames.labels)
    every = range(len(source.frames))
    check_labels(source, list(every), names, allow_missing=data.allow_missing, allow_constant=data.allow_constant)
    print(f"{source.name}: {len(every)} structures, each with {', '.join(names)}: in order")


def _split(words: list[str]) -> None:
    import numpy as np

    if len(words) < 2 or not words[1].endswith(".npz"):
        raise ValueError("name the file to write after the source, e.g. molzoo data split my.extxyz split.npz --data.train 0.8")
    source, out, *overrides = words
    data, names, cutoff = _opened([source, *overrides])
    data.prepare(names or list(data.open().frames.labels), cutoff)
    parts = {part: data.splits[part].numpy() for part in ("train", "val", "test")}
    np.savez(out, **parts)
    print(f"{out}: {', '.join(f'{len(rows)} {part}' for part, rows in parts.items())}; use it as data.split: {out}")
