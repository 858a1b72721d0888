"""molzoo: molecular graph neural networks on PyTorch Geometric, interchangeable, tested, fast."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from molzoo.calculator import MolzooCalculator as MolzooCalculator
    from molzoo.checkpoint import load as load
    from molzoo.graph import AtomGraph as AtomGraph
    from molzoo.graph import RadiusGraph as RadiusGraph
    from molzoo.graph import radius_graph as radius_graph
    from molzoo.models import create_model as create_model
    from molzoo.models import list_models as list_models
    from molzoo.predictor import Predictor as Predictor
    from molzoo.tabulate import tabulate as tabulate
    from molzoo.train import fit as fit

__version__ = "0.1.0"

# Names load on first use, so that `molzoo --help` needs no torch and `from molzoo import PaiNN` neither Lightning nor ASE.
_HOME = {
    "AtomGraph": "graph",
    "RadiusGraph": "graph",
    "radius_graph": "graph",
    "create_model": "models",
    "list_models": "models",
    "Predictor": "predictor",
    "load": "checkpoint",
    "fit": "train",
    "MolzooCalculator": "calculator",
    "tabulate": "tabulate",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"molzoo.{_HOME[name]}"), name)
    models = import_module("molzoo.models")
    if name in models.TABLE:
        return models.TABLE[name].load()
    raise AttributeError(f"module 'molzoo' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*_HOME, *import_module("molzoo.models").TABLE, "__version__"])
