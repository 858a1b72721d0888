"""``molzoo list`` and ``molzoo info``: what there is, and what is known of it.

``list`` imports no torch, so that it answers at once.
"""

import inspect
import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molzoo.cli import COMMANDS
from molzoo.cli import config as configs
from molzoo.data import SOURCES
from molzoo.models import TABLE, row
from molzoo.quantities import QUANTITIES

if TYPE_CHECKING:
    from molzoo.models import Row


def list_(words: list[str]) -> None:
    """Models, data sets and configurations."""
    if helped("list", words, at_most=0):
        return
    heads = ("model", "symmetry", "gives", "accepts", "smooth", "paper")
    rows = [(m.name, m.symmetry, " ".join(m.gives), " ".join(m.accepts) or "-", m.smoothness, m.paper) for m in TABLE.values()]
    print(table([heads, *rows]))
    sets = [(s.name + ("/…" if s.members else ""), s.meaning) for s in SOURCES.values()]
    print("\n" + table([("data set", ""), *sets]))
    print("\nconfigurations, for molzoo train")
    print("\n".join(f"  {name}" for name in configs.names()) or "  none are installed")
    print("\nmolzoo info NAME says more of a model; molzoo doctor, what works on this machine.")


def info_(words: list[str]) -> None:
    """What is known of a model of the zoo, or of a trained one."""
    if helped("info", words, at_most=1):
        return
    if not words:
        raise ValueError("molzoo info needs the name of a model or a model.pt; molzoo list shows the names")
    name = words[0]
    if Path(name).is_file() or Path(name).suffix:
        print(_of_file(name))
    else:
        print(_of_row(row(name)))


def _of_row(model: "Row") -> str:
    network, arguments = at_reference(model)
    facts = {
        "symmetry": model.symmetry,
        "gives": f"{' + '.join(model.gives)} for each {model.site}",
        "accepts": ", ".join(model.accepts) or "structure only",
        "smoothness": f"{model.smoothness} at the cutoff",
        "isolated atom": f"energy {model.isolated_atom}",
        "paper": model.paper,
        "parameters": f"{_parameters(network):,} at the reference settings",
        "multiplications": cost(network),
        "settings": _words(arguments) or "the defaults",
        "predicts": ", ".join(served(model)),
        "published": published(model),
        "ours": f"\n{'':<22}".join(f"{run}: {errors}" for run, errors in ours(model)) or "not run yet",
    }
    return f"{model.name}\n{_facts(facts)}\n\n{inspect.getdoc(model.load())}"


def at_reference(model: "Row") -> tuple[Any, dict[str, Any]]:
    """The network at the settings of its configuration, and these settings."""
    cls = model.load()
    try:
        settings = configs.read(f"model/{model.config}")["model"]
    except FileNotFoundError:
        settings = {}
    arguments = {key: value for key, value in settings.items() if key != "name"}
    learned = {"elements": [1, 6, 7, 8, 9], "avg_n_neighbours": 16.0}  # in a training run they come from the data
    wanted = inspect.signature(cls).parameters
    arguments = {key: value for key, value in learned.items() if key in wanted} | arguments
    return cls(**arguments), arguments


def cost(network: Any) -> str:
    """Multiplications of a forward pass for each edge and pair, in words."""
    from molzoo.cli.cost import multiplications

    return ", ".join(f"{n:,} per {kind}" for kind, n in sorted(multiplications(network).items()))


def published(model: "Row") -> str:
    """Errors that others reported, as the docstring has them."""
    said = (inspect.getdoc(model.load()) or "").partition("Reference numbers:")[2].partition("\n\n")[0]
    return " ".join(said.partition("Parameters")[0].split()).rstrip(".")


def ours(model: "Row") -> list[tuple[str, str]]:
    """Our runs, and the test errors of each: from docs/results, by scripts/make_zoo_table.py."""
    stored = json.loads((resources.files("molzoo.models") / "results.json").read_text())
    return [
        (f"{run['run']}, {run['minutes']} min", ", ".join(f"{name} {error}" for name, error in run["test"].items()))
        for run in stored.get(model.name, [])
    ]


def _of_file(path: str) -> str:
    from molzoo.checkpoint import load, read

    card, predictor = read(path)[0], load(path)
    known = predictor.facts
    facts = {
        "model": card["model"],
        "arguments": _words(card["arguments"]) or "the defaults",
        "parameters": f"{_parameters(predictor.model):,} in {card['dtype']}",
        "trained for": ", ".join(card["names"]),
        "predicts": ", ".join(predictor.gives),
        "elements": " ".join(map(_symbol, known.elements)) or "not recorded: any is accepted",
        "charges": ", ".join(f"{q:+g}" for q in known.charges) or "not recorded: any is accepted",
        "trained on": f"{known.n_train} structures of {known.source}" if known.n_train else "not recorded",
        "cutoff": f"{predictor.model.cutoff:g} Å" + (f", {known.avg_n_neighbours:.3g} neighbours" if known.n_train else ""),
        **{f"references, {name}": _references(values) for name, values in known.references.items()},
        "scales": _words({name: f"{value:.4g}" for name, value in known.scales.items()}) or "1",
        **{f"factors, {name}": _references(values) for name, values in known.element_scales.items()},
        **({"repulsion": "of nuclei nearer than bonded (ZBL)"} if known.repulsion else {}),
        **({"notes": " ".join(known.notes)} if known.notes else {}),
        "written by": f"molzoo {card['molzoo']}, torch {card['torch']}",
        "conventions": "; ".join(f"{key}: {value}" for key, value in card["conventions"].items()),
    }
    return f"{path}\n{_facts(facts)}"


def _references(values: dict[int, float]) -> str:
    return ", ".join(f"{_symbol(z)} {value:.4f}" for z, value in values.items())


def _symbol(z: int) -> str:
    from ase.data import chemical_symbols

    return chemical_symbols[z]


def served(model: "Row") -> list[str]:
    """Quantities that some property makes of what the model gives."""
    from molzoo.data.facts import DataFacts
    from molzoo.properties import make_properties

    served = []
    for name in QUANTITIES:
        try:
            make_properties([name], model.gives, DataFacts())
        except ValueError:
            continue
        served.append(name)
    return served


def _parameters(module: Any) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def helped(command: str, words: list[str], at_most: int) -> bool:
    """Whether help was wanted and given; too many words are refused."""
    if set(words) & {"-h", "--help"}:
        print(f"usage: molzoo {command} {' '.join(COMMANDS[command][1].split())}")
        return True
    if len(words) > at_most:
        raise ValueError(f"molzoo {command} takes {('no words', 'one word')[at_most]}; leave out {words[at_most]!r}")
    return False


def _words(values: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items())


def _facts(facts: dict[str, str]) -> str:
    return "\n".join(f"  {key:<20}{value}" for key, value in facts.items())


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows as lines, each column as wide as it needs."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in rows)
