"""``molzoo test``, ``molzoo predict`` and ``molzoo tabulate``: what a trained model is for."""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from molzoo.cli import config as configs
from molzoo.quantities import nearest, quantity

if TYPE_CHECKING:
    from molzoo.data import Data
    from molzoo.graph import AtomGraph
    from molzoo.predictor import Predictor


def test_(words: list[str]) -> None:
    """Errors of a model on labelled data."""
    parser = Parser("test", "MODEL [MODEL.pt …] [CONFIG|FILE] [--data.KEY VALUE …] [-o results.json]")
    parser.add_argument("model", metavar="MODEL", help="a model.pt")
    parser.add_argument(
        "more",
        metavar="MODEL.pt|CONFIG|FILE",
        nargs="*",
        help="more models: a committee, whose predictions are means; whose test split, or a labelled file, else its own",
    )
    parser.add_argument("-o", "--out", metavar="JSON", help="write the errors there too")
    _add_common(parser)
    own, sections = _without_sections(words)
    options = parser.parse_args(own)
    report = _test(options, sections)
    if options.out:
        from molzoo.checkpoint import write_atomically

        text = json.dumps(report, indent=2) + "\n"
        write_atomically(options.out, lambda file: file.write(text.encode()))


def predict_(words: list[str]) -> None:
    """Predictions for a file of structures."""
    parser = Parser("predict", "MODEL FILE -o OUT [--names energy,forces]")
    parser.add_argument("model", metavar="MODEL", help="a model.pt")
    parser.add_argument("source", metavar="FILE", help="structures in any format that ASE reads")
    parser.add_argument("-o", "--out", metavar="OUT", required=True, help="ends in .extxyz, .xyz or .csv")
    parser.add_argument("--max_edges", type=int, metavar="N", help="directed edges in a batch, to bound memory")
    _add_common(parser)
    options = parser.parse_args(words)
    from molzoo.predict import predict

    if options.max_edges is not None and options.max_edges < 1:
        raise ValueError(f"--max_edges is a number of edges, 1 or more; got {options.max_edges}")
    n = predict(_load(options, options.model), options.source, options.out, options.names, options.max_edges)
    print(f"{n} structures: {options.out}")


def tabulate_(words: list[str]) -> None:
    """A trained model with tables in place of its radial networks."""
    parser = Parser("tabulate", "MODEL FILE -o OUT [--knots 256]")
    parser.add_argument("model", metavar="MODEL", help="a model.pt")
    parser.add_argument("structures", metavar="FILE", help="structures to compare on, in any format that ASE reads")
    parser.add_argument("-o", "--out", metavar="OUT", required=True, help="where the new model goes, e.g. table.pt")
    parser.add_argument("--knots", type=int, default=256, metavar="N", help="knots from 0 to the cutoff; 256 by default")
    options = parser.parse_args(words)
    from molzoo.checkpoint import load, read, save
    from molzoo.data.structures import read_structures
    from molzoo.graph import from_ase
    from molzoo.quantities import quantity
    from molzoo.tabulate import tabulate

    if Path(options.out).resolve() == Path(options.model).resolve():
        raise ValueError(f"{options.out!r} is the model that is read; give the one with tables another name")
    structures = Path(options.structures)
    if not structures.is_file():
        raise FileNotFoundError(f"there is no file {options.structures!r}; give a file of structures that ASE reads")
    table, largest = tabulate(load(options.model), map(from_ase, read_structures(structures)), options.knots)
    save(table, options.out, read(options.model)[0]["config"])
    for name, deviation in largest.items():
        print(f"{name:<16} changes by at most {deviation:.1e} {quantity(name).unit}")
    print(f"{options.knots} knots: {options.out}")


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--names", type=_names, metavar="A,B", help="quantities; by default those the model was trained on")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1 …")
    parser.add_argument("--dtype", choices=("float32", "float64"), help="precision; by default the one it was trained in")


def _names(text: str) -> list[str]:
    try:
        return [quantity(name.strip()).name for name in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None  # argparse hides what a ValueError says


def _load(options: argparse.Namespace, file: str) -> "Predictor":
    import torch

    from molzoo.checkpoint import load

    return load(file, options.device, getattr(torch, options.dtype) if options.dtype else None)


def _test(options: argparse.Namespace, sections: list[str]) -> dict[str, Any]:
    """Evaluate, print, and give back what ``-o`` writes."""
    from molzoo.loss import metrics_table
    from molzoo.train.evaluate import evaluate

    files = [options.model, *(word for word in options.more if Path(word).suffix == ".pt")]
    data, is_file = _data(options.model, [word for word in options.more if word not in files], sections)
    members = [_load(options, file) for file in files]
    names = options.names or list(members[0].names)
    n, batches = (_all_of if is_file else _test_split)(data, names, max(member.model.cutoff for member in members))
    metrics = evaluate(members, batches, names).metrics
    what = f"{data.source}: {'all' if is_file else 'test split,'} {n} structures"
    print(f"{' + '.join(files)} on {what}\n{metrics_table(metrics)}")
    return {"model": " + ".join(files), "data": data.source, "n_structures": n, "test": metrics}


def _data(model: str, words: list[str], sections: list[str]) -> "tuple[Data, bool]":
    """The data to test on, and whether they are a file to be used whole."""
    if len(words) > 1:
        raise ValueError(f"models are tested on one set of data, but {' and '.join(words)} are given; name one of them")
    given = words[0] if words else None
    is_file = given is not None and Path(given).suffix not in ("", ".yaml", ".yml")
    if is_file:
        config = {"data": {"source": given}}
    elif given is not None:
        config = configs.read(given)
    else:
        from molzoo.checkpoint import read

        config = read(model)[0]["config"] or {}
    section = {**config.get("data", {}), **configs.from_words(sections).get("data", {})}
    if "source" not in section:
        raise ValueError(f"{given or model} names no data; type molzoo test MODEL FILE, or --data.source SOURCE")
    return _make_data(section), is_file


def _make_data(section: dict[str, Any]) -> "Data":
    import inspect

    from molzoo.data import Data

    known = list(inspect.signature(Data).parameters)
    for key in section:
        if key not in known:
            raise ValueError(f"data.{key}: {key!r} is not a key of 'data'{nearest(str(key), known)}")
    return Data(**section)


def _test_split(data: "Data", names: list[str], cutoff: float) -> "tuple[int, Iterable[AtomGraph]]":
    data.prepare(names, cutoff, "none")  # the references that count are in the model
    if not len(data.splits.test):
        raise ValueError(f"{data.source!r} has no test structures as it is split; add for example --data.test rest")
    return len(data.splits.test), data.loader("test")


def _all_of(data: "Data", names: list[str], cutoff: float) -> "tuple[int, Iterable[AtomGraph]]":
    import torch

    from molzoo.data.batching import Batches
    from molzoo.data.card import check_labels

    source = data.open()
    every = torch.arange(len(source.frames))
    check_labels(source, every, names, allow_missing=data.allow_missing, allow_constant=True)
    frames = source.frames.keep(names).connect(cutoff)
    rows = Batches(len(frames), data.eval_batch_size, shuffle=False, n_edges=frames.n_edges, max_edges=data.max_edges)
    return len(frames), map(frames.batch, rows)


def _without_sections(words: list[str]) -> tuple[list[str], list[str]]:
    """The words, and apart from them those of the kind ``--data.key value``."""
    own: list[str] = []
    sections: list[str] = []
    rest = iter(words)
    for word in rest:
        if word.startswith("--data."):
            sections += [word] if "=" in word else [word, *([value] if (value := next(rest, "")) else [])]
        else:
            own.append(word)
    return own, sections


class Parser(argparse.ArgumentParser):
    """An argparse parser whose errors are one sentence, raised."""

    def __init__(self, command: str, usage: str) -> None:
        super().__init__(prog=f"molzoo {command}", usage=f"molzoo {command} {usage}", allow_abbrev=False)

    def parse_args(self, words: list[str]) -> argparse.Namespace:  # type: ignore[override]
        """Like argparse; a misspelt option is answered with the nearest."""
        options = [text for action in self._actions for text in action.option_strings]
        for word in words:
            name = word.partition("=")[0]
            if word.startswith("--") and name not in options:
                raise ValueError(f"{self.prog} has no option {name}{nearest(name, options)}")
        return super().parse_args(words)

    def error(self, message: str) -> NoReturn:
        """Refuse."""
        raise ValueError(f"{message.removeprefix('argument ')} ({self.format_usage().strip()})")
