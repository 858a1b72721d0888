"""Any file that ASE reads: extended xyz, databases, trajectories, outputs of electronic-structure programs.

A label is read if the file holds it under the quantity's own name, or under the key that ``labels`` gives. A frame may lack
it; whether that is accepted is decided when it is known what will be trained on (:func:`molzoo.data.card.check_labels`).
"""

from pathlib import Path
from typing import TYPE_CHECKING

from molzoo.data.frames import Frames
from molzoo.data.source import Source
from molzoo.data.structures import read_structures, readable
from molzoo.graph import AtomGraph, from_ase, read_labels
from molzoo.quantities import QUANTITIES, quantity
from molzoo.shapes import Tensor
from molzoo.units import factor

if TYPE_CHECKING:
    import ase

_NOT_LABELS = {"numbers", "positions"}


def load(path: Path, labels: dict[str, str], units: dict[str, str]) -> Source:
    """All frames of the file ``path``.

    Args:
        path: the file.
        labels: key of each quantity that is not stored under its own name.
        units: unit of each quantity that is not in molzoo's own.

    Raises:
        ValueError: the file cannot be read, or what ``labels`` names has the wrong shape.
    """
    sizes = {quantity(name).name: factor(unit) for name, unit in units.items()}
    for name in labels:
        quantity(name)
    keys = {name: name for name in QUANTITIES} | labels
    graphs: list[AtomGraph] = []
    seen: dict[str, None] = {}
    notes: dict[str, str] = {}
    for number, atoms in enumerate(read_structures(path)):
        held = _held(atoms)
        seen |= dict.fromkeys(held)
        with readable(path, f", frame {number} (counted from 0)"):
            graph = from_ase(atoms)
        for name, key in keys.items():
            if key in held:
                try:
                    graph[name] = _label(atoms, graph, name, key, sizes.get(name, 1.0))
                except ValueError as error:
                    if name in labels:
                        raise ValueError(f"{path}, frame {number} (counted from 0): {error}") from None
                    notes.setdefault(name, f"{name} was not read: frame {number}: {error}")
        graphs.append(graph)
    if not graphs:
        raise ValueError(f"{path} holds no structure; give a file that does")
    found = tuple(key for key in seen if key not in _NOT_LABELS)
    return Source(str(path), Frames.from_graphs(graphs), notes=list(notes.values()), path=str(path), keys=found, sought=labels)


def _held(atoms: "ase.Atoms") -> dict[str, None]:
    results = {} if atoms.calc is None else {key: value for key, value in atoms.calc.results.items() if value is not None}
    return dict.fromkeys([*results, *atoms.info, *atoms.arrays])


def _label(atoms: "ase.Atoms", graph: AtomGraph, name: str, key: str, size: float) -> Tensor:
    value = graph.pos.new_tensor(read_labels(atoms, {name: key})[name]) * size
    return value[None] if QUANTITIES[name].per == "graph" else value
