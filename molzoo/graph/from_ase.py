"""ASE's ``Atoms`` ↔ AtomGraph. ASE is imported when a function here is called."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from molzoo.graph.atom_graph import AtomGraph
from molzoo.quantities import QUANTITIES, nearest, quantity
from molzoo.shapes import Tensor

if TYPE_CHECKING:
    import ase


def from_ase(atoms: "ase.Atoms", labels: dict[str, str] | None = None) -> AtomGraph:
    """The structure, with its charge and spin multiplicity from ``atoms.info``; no edges, and labels only on request.

    Args:
        atoms: positions are used as they are, outside the cell or not.
        labels: quantity → key, see :func:`read_labels`.

    >>> import ase
    >>> from_ase(ase.Atoms("OH", [[0, 0, 0], [0, 0, 0.97]], info={"charge": -1})).charge
    tensor([-1.], dtype=torch.float64)
    """
    fields = {name: atoms.info[name] for name in ("charge", "spin") if atoms.info.get(name) is not None}
    for name, value in fields.items():
        if isinstance(value, bool):  # ASE reads the bare word "charge" in the comment line of an .xyz file as True
            raise ValueError(f"atoms.info[{name!r}] is {value}; give a number, or remove it")
    fields |= read_labels(atoms, labels or {})
    return AtomGraph(
        z=torch.from_numpy(atoms.numbers.astype(np.int64)),
        pos=torch.from_numpy(atoms.positions.copy()),
        cell=torch.from_numpy(atoms.cell.array.copy()),
        pbc=torch.from_numpy(atoms.pbc.copy()),
        **fields,
    )


def read_labels(atoms: "ase.Atoms", keys: dict[str, str]) -> dict[str, np.ndarray]:
    """Labels of one structure in float64, in the units they are stored in.

    A key is looked up in the calculator's results, ``atoms.info`` and ``atoms.arrays``, in this order. Results that belong
    to other positions do not count. Forces are those of the calculator: constraints of a simulation do not zero them.

    Args:
        atoms: one structure.
        keys: quantity → key under which it is stored, e.g. ``{"forces": "REF_forces"}``.

    Raises:
        ValueError: a quantity is unknown, a key is missing or a value has the wrong shape.
    """
    seen = {} if not keys else dict(atoms.arrays) | dict(atoms.info) | _results(atoms)
    return {name: _shaped(name, key, seen, len(atoms)) for name, key in keys.items()}


def _results(atoms: "ase.Atoms") -> dict[str, Any]:
    calculator = atoms.calc
    if calculator is None or getattr(calculator, "check_state", lambda _: False)(atoms):
        return {}
    return {key: value for key, value in getattr(calculator, "results", {}).items() if value is not None}


def _shaped(name: str, key: str, seen: dict[str, Any], n_atoms: int) -> np.ndarray:
    row = quantity(name)
    if key not in seen:
        held = ", ".join(k for k in seen if k not in ("numbers", "positions")) or "no labels"
        guess = nearest(key, list(seen)) if seen else ""
        raise ValueError(f"no {key!r} for {name} in this structure, which holds {held}{guess if 'mean' in guess else ''}")
    value = np.asarray(seen[key], dtype=np.float64)
    if row.shape == (3, 3) and value.shape == (6,):
        xx, yy, zz, yz, xz, xy = value
        value = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    shape = row.shape if row.per == "graph" else (n_atoms, *row.shape)
    flat = shape == (3, 3) and value.shape == (9,)
    if not flat and _without_ones(value.shape) != _without_ones(shape):
        raise ValueError(f"{name} must have shape {shape}; under {key!r} there is {value.shape}")
    return value.reshape(shape)


def _without_ones(shape: tuple[int, ...]) -> list[int]:
    return [n for n in shape if n != 1]


def to_ase(graph: AtomGraph) -> "ase.Atoms | list[ase.Atoms]":
    """The structure, or for a batch the list of them, with labels where ASE would have put them.

    Labels that ASE's calculators know are results of a ``SinglePointCalculator``, others go to ``info`` and ``arrays``.
    """
    if graph.get("batch") is None:
        return _to_ase(graph, 0, slice(None))
    count = torch.bincount(graph.batch, minlength=graph.n_graphs).tolist()
    stop = np.cumsum(count)
    return [_to_ase(graph, g, slice(int(end - n), int(end))) for g, (n, end) in enumerate(zip(count, stop, strict=True))]


def _to_ase(graph: AtomGraph, g: int, own: slice) -> "ase.Atoms":
    import ase
    from ase.calculators.calculator import all_properties
    from ase.calculators.singlepoint import SinglePointCalculator

    atoms = ase.Atoms(_array(graph.z[own]), _array(graph.pos[own]), cell=_array(graph.cell[g]), pbc=_array(graph.pbc[g]))
    frame = {name: float(graph[name][g]) for name in ("charge", "spin") if graph.get(name) is not None}
    atoms.info.update({name: int(x) if x == round(x) else x for name, x in frame.items() if x})
    results = {}
    for name, row in QUANTITIES.items():
        value = graph.get(name)
        if not isinstance(value, Tensor):
            continue
        value = _array(value[g] if row.per == "graph" else value[own])
        if name in all_properties:
            results[name] = _voigt(value) if name == "stress" else value if value.ndim else float(value)
        elif row.per == "graph":
            atoms.info[name] = value if value.ndim else float(value)
        else:
            atoms.arrays[name] = value
    if results:
        atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def _voigt(stress: np.ndarray) -> np.ndarray:
    return stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy().copy()
