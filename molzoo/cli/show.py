"""``molzoo list``, ``info`` and ``doctor``: what there is, what is known of it, and what works here.

``list`` imports no torch, so that it answers at once.
"""

import inspect
from importlib import import_module, metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molzoo.cli import config as configs
from molzoo.data import SOURCES
from molzoo.models import TABLE, row
from molzoo.quantities import QUANTITIES

if TYPE_CHECKING:
    from molzoo.models import Row

# Module by the name it is installed under.
_REQUIRED = {
    "torch": "torch",
    "torch-geometric": "torch_geometric",
    "numpy": "numpy",
    "scipy": "scipy",
    "ase": "ase",
    "rdkit": "rdkit",
    "vesin": "vesin",
    "numba": "numba",
    "lightning": "lightning",
}
_OPTIONAL = {"e3nn": "e3nn", "torch-scatter": "torch_scatter", "torch-cluster": "torch_cluster", "triton": "triton"}


def list_(words: list[str]) -> None:
    """Models, data sets and configurations."""
    _no_more_than(0, words, "list")
    heads = ("model", "symmetry", "gives", "accepts", "smooth", "paper")
    rows = [(m.name, m.symmetry, " ".join(m.gives), " ".join(m.accepts) or "-", m.smoothness, m.paper) for m in TABLE.values()]
    print(_table([heads, *rows]))
    sets = [(s.name + ("/…" if s.members else ""), s.meaning) for s in SOURCES.values()]
    print("\n" + _table([("data set", ""), *sets]))
    print("\nconfigurations, for molzoo train")
    print("\n".join(f"  {name}" for name in configs.names()) or "  none are installed")
    print("\nmolzoo info NAME says more of a model; molzoo doctor, what works on this machine.")


def info_(words: list[str]) -> None:
    """What is known of a model of the zoo, or of a trained one."""
    _no_more_than(1, words, "info")
    if not words:
        raise ValueError("molzoo info needs the name of a model or a model.pt; molzoo list shows the names")
    name = words[0]
    if Path(name).is_file() or Path(name).suffix:
        print(_of_file(name))
    else:
        print(_of_row(row(name)))


def doctor_(words: list[str]) -> None:
    """Versions, back ends, and why one is missing."""
    _no_more_than(0, words, "doctor")
    import platform

    print(f"{'molzoo':<18}{import_module('molzoo').__version__}\n{'python':<18}{platform.python_version()}")
    for title, modules in (("", _REQUIRED), ("\noptional\n", _OPTIONAL)):
        print(title, end="")
        for name, module in modules.items():
            print(f"{name:<18}{_state(name, module)}", flush=True)
    print(f"\n{_machine()}\n\n{_table([('back end', ''), *_back_ends()])}")


def _of_row(model: "Row") -> str:
    cls = model.load()
    try:
        settings = configs.read(f"model/{model.config}")["model"]
    except FileNotFoundError:
        settings = {}
    arguments = {key: value for key, value in settings.items() if key != "name"}
    learned = {"elements": [1, 6, 7, 8, 9], "avg_n_neighbours": 16.0}  # in a training run they come from the data
    wanted = inspect.signature(cls).parameters
    arguments = {key: value for key, value in learned.items() if key in wanted} | arguments
    facts = {
        "symmetry": model.symmetry,
        "gives": f"{' + '.join(model.gives)} for each {model.site}",
        "accepts": ", ".join(model.accepts) or "structure only",
        "smoothness": f"{model.smoothness} at the cutoff",
        "isolated atom": f"energy {model.isolated_atom}",
        "paper": model.paper,
        "parameters": f"{_parameters(cls(**arguments)):,} at the reference settings",
        "settings": _words(arguments) or "the defaults",
        "predicts": ", ".join(_served(model)),
    }
    return f"{model.name}\n{_facts(facts)}\n\n{inspect.getdoc(cls)}"


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
        "written by": f"molzoo {card['molzoo']}, torch {card['torch']}",
        "conventions": "; ".join(f"{key}: {value}" for key, value in card["conventions"].items()),
    }
    return f"{path}\n{_facts(facts)}"


def _references(values: dict[int, float]) -> str:
    return ", ".join(f"{_symbol(z)} {value:.4f}" for z, value in values.items())


def _symbol(z: int) -> str:
    from ase.data import chemical_symbols

    return chemical_symbols[z]


def _served(model: "Row") -> list[str]:
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


def _state(name: str, module: str) -> str:
    """The version, or why there is none: in the words of the exception, since "not installed" would mislead."""
    try:
        import_module(module)
    except ModuleNotFoundError as error:
        return "not installed" if error.name == module else f"installed but broken: {_said(error)}"
    except Exception as error:
        return f"installed but broken: {_said(error)}"
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "installed, of unknown version"


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _machine() -> str:
    import os

    import torch

    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if not torch.version.cuda:
        cuda = "this torch was built without it"
    elif not torch.cuda.is_available():
        cuda = f"torch was built for {torch.version.cuda}, but sees no device"
    else:
        cuda = f"{torch.version.cuda}: " + ", ".join(map(torch.cuda.get_device_name, range(torch.cuda.device_count())))
    return f"{'CPU':<18}{cpus} cores, torch uses {torch.get_num_threads()} threads\n{'CUDA':<18}{cuda}"


def _back_ends() -> list[tuple[str, str]]:
    """Each way of finding neighbours and of summing, tried on a small example."""
    from typing import get_args

    import torch

    from molzoo.graph.neighbours import _BACKENDS, neighbour_list
    from molzoo.nn.scatter import ScatterBackend, sum_rows

    pos, index = torch.eye(3), torch.tensor([0, 0, 1])
    tried = [(f"neighbours: {name}", lambda name=name: neighbour_list(pos, 2.0, backend=name)) for name in _BACKENDS]
    tried += [(f"scatter: {name}", lambda name=name: sum_rows(pos, index, 2, name)) for name in get_args(ScatterBackend)]
    return [(name, _usable(act)) for name, act in tried]


def _usable(act: Any) -> str:
    try:
        act()
    except Exception as error:
        return f"not usable: {_said(error)}"
    return "usable"


def _no_more_than(n: int, words: list[str], command: str) -> None:
    if len(words) > n:
        raise ValueError(f"molzoo {command} takes {'no words' if n == 0 else 'one word'}; leave out {words[n]!r}")


def _words(values: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items())


def _facts(facts: dict[str, str]) -> str:
    return "\n".join(f"  {key:<20}{value}" for key, value in facts.items())


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in rows)
