"""MolzooCalculator: a trained Predictor, or a committee of them, as a calculator of ASE."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress
from torch_geometric.data import Batch

from molzoo.checkpoint import check_device, load
from molzoo.graph import AtomGraph, connect
from molzoo.graph.from_ase import from_ase
from molzoo.predictor import Predictor
from molzoo.quantities import nearest, quantity
from molzoo.shapes import Float, Tensor

Model = str | Path | Predictor

_SHARED = ("energy", "energies", "forces", "stress", "dipole", "charges")  # what ASE and molzoo call by the same name
_WITH_STD = ("energy", "forces")
_TOGETHER = {"energy", "forces"}
_HESSIAN_EDGES = 100_000  # edges in one batch of copies: enough to fill two cores, well below a gigabyte


class MolzooCalculator(Calculator):
    """Energy (eV), forces (eV/Å), stress (eV/Å³, tensile positive), dipole (e·Å), charges (e), and second derivatives.

    ``atoms.info["charge"]`` (e) and ``atoms.info["spin"]`` (2S + 1) are read where they are given, and results hold only while
    they stay. Whatever was once asked for is computed together with the forces from then on, so that dynamics at constant
    pressure, or an infrared spectrum, takes one pass over the network for each structure.

    Args:
        model: a ``model.pt`` or a Predictor; or a list of them, a committee whose results are means, with the standard
            deviation (n − 1) of its members as ``results["energy_std"]`` and ``results["forces_std"]``.
        device: where to compute, e.g. ``"cuda"``.
        dtype: ``"float64"``, for relaxations and vibrations, or ``"float32"``. A Predictor that is handed over keeps its own.
    """

    def __init__(self, model: Model | Sequence[Model], device: str = "cpu", dtype: str = "float64") -> None:
        super().__init__()
        members = list(model) if isinstance(model, Sequence) and not isinstance(model, str) else [model]
        if not members:
            raise ValueError("a committee needs at least one model; the list is empty")
        self.predictors = [_ready(member, device, dtype) for member in members]
        gives = [name for name in _SHARED if all(name in predictor.gives for predictor in self.predictors)]
        if not gives:
            raise ValueError(f"these models predict nothing that ASE knows, which is {', '.join(_SHARED)}")
        stds = [f"{name}_std" for name in _WITH_STD if name in gives and len(members) > 1]
        self.implemented_properties = [*gives, *(["free_energy"] if "energy" in gives else []), *stds]
        self._asked: set[str] = set()

    def check_state(self, atoms: Atoms, tol: float = 1e-15) -> list[str]:
        """What changed since the last calculation; beyond ASE's own list, charge and spin in ``atoms.info``."""
        changes = super().check_state(atoms, tol)
        same = self.atoms is None or _charge_and_spin(atoms) == _charge_and_spin(self.atoms)
        return changes if same else [*changes, "info"]

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Fill ``results`` with ``properties``; ASE calls this.

        Raises:
            ValueError: an element or a charge that the model never learned, or a quantity that the structure does not have.
        """
        atoms = self.get_atoms() if atoms is None else atoms
        super().calculate(atoms, properties, system_changes)
        if system_changes:
            self.results = {}
        now = {_own_name(name) for name in properties}
        periodic = bool(atoms.pbc.any())
        defined = {None: True, False: not periodic, True: periodic and atoms.cell.rank == 3}
        wanted = now | {name for name in self._asked if defined[quantity(name).periodic]}
        if wanted & _TOGETHER:
            wanted |= _TOGETHER & set(self.implemented_properties)
        self._predict(atoms, [name for name in _SHARED if name in wanted and name not in self.results])
        self._asked |= now & set(_SHARED)  # only now: what was refused must not be asked for again

    def _predict(self, atoms: Atoms, names: list[str]) -> None:
        graphs = self._graphs(atoms)
        with torch.no_grad():
            found = [predictor(graph, names) for predictor, graph in zip(self.predictors, graphs, strict=True)]
        for name in names:
            values = np.stack([_as_ase(name, member[name]) for member in found])
            self._set(name, values.mean(0))
            if f"{name}_std" in self.implemented_properties:
                self._set(f"{name}_std", values.std(0, ddof=1))
        if "energy" in names:
            self.results["free_energy"] = self.results["energy"]

    def _set(self, name: str, value: np.ndarray | np.float64) -> None:
        self.results[name] = value if np.ndim(value) else float(value)

    def _graphs(self, atoms: Atoms) -> list[AtomGraph]:
        """The graph for each member; those of equal cutoff share it."""
        graph, made = from_ase(atoms), {}
        for predictor in self.predictors:
            cutoff = predictor.model.cutoff
            if cutoff not in made:
                made[cutoff] = connect(graph.clone_with(), cutoff).to(_device(predictor))
        return [made[predictor.model.cutoff] for predictor in self.predictors]

    def get_hessian(self, atoms: Atoms | None = None) -> Float[np.ndarray, "x x"]:
        """∂²E/∂r_a∂r_b of shape (3N, 3N), eV/Å², by automatic differentiation; symmetric."""
        atoms = self.get_atoms() if atoms is None else atoms
        members = [_hessian(p, graph) for p, graph in zip(self.predictors, self._graphs(atoms), strict=True)]
        hessian = torch.stack(members).mean(0).cpu().numpy()
        return 0.5 * (hessian + hessian.T)


def _hessian(predictor: Predictor, graph: AtomGraph) -> Float[Tensor, "x x"]:
    """−∂F/∂r. Row k is differentiated in the k-th copy of the structure, so one backward pass gives many rows."""
    n = graph.pos.numel()
    at_once = max(1, min(n, _HESSIAN_EDGES // max(1, graph.edge_index.shape[1])))
    rows = []
    for begin in range(0, n, at_once):
        k = min(at_once, n - begin)
        batch = Batch.from_data_list([graph] * k)
        batch.pos.requires_grad_()
        with torch.enable_grad():
            forces = predictor(batch, ["forces"], create_graph=True)["forces"].view(k, n)
            picked = forces[torch.arange(k), begin + torch.arange(k)].sum()
            (row,) = torch.autograd.grad(picked, batch.pos, materialize_grads=True)
        rows.append(-row.view(k, n))
    return torch.cat(rows)


def _ready(model: Model, device: str, dtype: str) -> Predictor:
    """A Predictor of the calculator's own, cast, moved and without gradients of parameters."""
    dtypes = {"float64": torch.float64, "float32": torch.float32}
    if dtype not in dtypes:
        raise ValueError(f"dtype {dtype!r} is not a precision{nearest(str(dtype), list(dtypes))}")
    check_device(device)
    predictor = copy.deepcopy(model) if isinstance(model, Predictor) else load(model)
    return predictor.to(device=device, dtype=dtypes[dtype]).eval().requires_grad_(False)


def _device(predictor: Predictor) -> torch.device:
    return next(predictor.parameters()).device


def _own_name(name: str) -> str:
    return "energy" if name == "free_energy" else name.removesuffix("_std")


def _charge_and_spin(atoms: Atoms) -> tuple[Any, Any]:
    return atoms.info.get("charge", 0), atoms.info.get("spin")


def _as_ase(name: str, value: Tensor) -> np.ndarray:
    array = value.double().cpu().numpy()
    array = array.squeeze(0) if quantity(name).per == "graph" else array
    return full_3x3_to_voigt_6_stress(array) if name == "stress" else array
