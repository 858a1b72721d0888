"""Per-atom outputs → energy, forces, stress, dipole and the rest: written once, for every model.

A :class:`Property` says which irreps it reads of each atom and turns them into predictions. Derivatives of the energy are taken
by :func:`derivatives`. References, scales and means are fixed float64 numbers: no cast of the network rounds them.
"""

import math
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from molzoo.data.facts import DataFacts
from molzoo.graph import AtomGraph, length_and_direction, pair_vectors
from molzoo.models import TABLE
from molzoo.nn import Repulsion, mean_rows, sum_rows
from molzoo.o3 import CartesianTensor, Irreps
from molzoo.quantities import QUANTITIES, quantity
from molzoo.shapes import Float, Tensor

Predictions = dict[str, Tensor]


class PerElement(nn.Module):
    """A number for each element, in float64. It follows the network to its device, never to its precision.

    >>> table = PerElement({1: -13.6}).to(torch.float32)
    >>> table(torch.tensor([1, 6])).tolist()
    [-13.6, 0.0]
    """

    def __init__(self, values: Mapping[int, float]) -> None:
        super().__init__()
        # Not a buffer: `.float()`, `.to(dtype)` and precision plugins round buffers.
        self.values = torch.zeros(119, dtype=torch.float64)
        for z, value in values.items():
            self.values[z] = value

    def _apply(self, fn: Any, recurse: bool = True) -> "PerElement":
        self.values = self.values.to(fn(torch.empty(0)).device)
        return super()._apply(fn, recurse)

    def forward(self, z: Tensor) -> Float[Tensor, " N"]:
        """The number of each atom's element."""
        return self.values[z]


class Property(nn.Module):
    """Base of all properties.

    Attributes:
        reads: irreps read of each atom.
        gives: quantities that it predicts.
    """

    reads: Irreps
    gives: tuple[str, ...]

    @abstractmethod
    def forward(self, out: Float[Tensor, "N reads"], graph: AtomGraph) -> Predictions:
        """Predictions by name, in float64."""


class SumOverAtoms(Property):
    """An extensive scalar, y = Σ_i (y_ref[Z_i] + scale[Z_i] · out_i), and Σ_{i<j} V(d_ij) where atoms shall repel each other.

    Args:
        name: which; ``energy`` also gives ``energies``, the terms of the sum: of a V, each atom has a half.
        facts: references and scales, and whether the energy has a repulsion V (:class:`~molzoo.nn.Repulsion`).
    """

    reads = Irreps("0e")

    def __init__(self, name: str, facts: DataFacts) -> None:
        super().__init__()
        self.gives = ("energy", "energies") if name == "energy" else (name,)
        self.reference = PerElement(facts.references.get(name, {}))
        factors = dict.fromkeys(range(119), 1.0) | facts.element_scales.get(name, {})
        self.scale = PerElement({z: facts.scales.get(name, 1.0) * factor for z, factor in factors.items()})
        self.repulsion = Repulsion(facts.cutoff or math.inf) if name == "energy" and facts.repulsion else None

    def forward(self, out: Float[Tensor, "N 1"], graph: AtomGraph) -> Predictions:
        """The sum of each graph."""
        atoms = self.reference(graph.z) + self.scale(graph.z) * out[:, 0].double()
        if self.repulsion is not None:
            pair = graph.edge_index[:, graph.pair_edge]
            half = self.repulsion(*graph.z[pair], pair_vectors(graph)) / 2
            atoms = atoms + sum_rows(torch.cat([half, half]), pair.flatten(), len(atoms))
        return dict(zip(self.gives, (sum_rows(atoms, batch_of(graph), graph.n_graphs), atoms), strict=False))


class MeanOverAtoms(Property):
    """An intensive scalar, y = ȳ + scale · mean_i out_i."""

    reads = Irreps("0e")

    def __init__(self, name: str, facts: DataFacts) -> None:
        super().__init__()
        self.gives = (name,)
        self.mean, self.scale = facts.means.get(name, 0.0), facts.scales.get(name, 1.0)

    def forward(self, out: Float[Tensor, "N 1"], graph: AtomGraph) -> Predictions:
        """The mean of each graph."""
        mean = mean_rows(out[:, 0].double(), batch_of(graph), graph.n_graphs)
        return {self.gives[0]: self.mean + self.scale * mean}


class Dipole(Property):
    """Charges, the dipole vector they make, and its length.

    q_i = out_i + (Q − Σ_k out_k)/N: charges that sum to the total charge Q. Then
    μ = Σ_i q_i (r_i − r_c) + Σ_i μ_i with atomic dipoles μ_i where the model gives vectors, and r_c the centre of mass, on
    which the dipole of an ion depends (M. Veit et al., J. Chem. Phys. 153, 024113, 2020).

    Args:
        vectors: read atomic dipoles too.
    """

    gives = ("dipole", "mu", "charges")

    def __init__(self, vectors: bool) -> None:
        super().__init__()
        self.reads = Irreps("0e + 1o" if vectors else "0e")
        self.mass = PerElement(_masses())

    def forward(self, out: Float[Tensor, "N reads"], graph: AtomGraph) -> Predictions:
        """Dipole (B, 3), its length (B,), charges (N,)."""
        batch, B = batch_of(graph), graph.n_graphs
        raw = out[:, 0].double()
        excess = graph.charge - sum_rows(raw, batch, B)
        atoms = sum_rows(torch.ones_like(raw), batch, B).clamp(min=1)
        charges = raw + (excess / atoms)[batch]
        moments = charges[:, None] * from_centre_of_mass(graph, self.mass)
        if out.shape[1] > 1:
            moments = moments + out[:, 1:].double()
        dipole = sum_rows(moments, batch, B)
        return {"dipole": dipole, "mu": length_and_direction(dipole)[0], "charges": charges}


class SpatialExtent(Property):
    """⟨R²⟩ = Σ_i q_i |r_i − r_c|² with q_i = q_ref[Z_i] + out_i and r_c the centre of mass."""

    reads = Irreps("0e")
    gives = ("r2",)

    def __init__(self, facts: DataFacts) -> None:
        super().__init__()
        self.reference = PerElement(facts.references.get("r2", {}))
        self.mass = PerElement(_masses())

    def forward(self, out: Float[Tensor, "N 1"], graph: AtomGraph) -> Predictions:
        """⟨R²⟩ of each graph, Å²."""
        q = self.reference(graph.z) + out[:, 0].double()
        square = from_centre_of_mass(graph, self.mass).square().sum(1)
        return {"r2": sum_rows(q * square, batch_of(graph), graph.n_graphs)}


class Polarizability(Property):
    """The polarizability tensor of a molecule, symmetric, as a sum over atoms.

    From a scalar and a traceless tensor of each atom, α = Σ_i (α_i 1 + T_i); T_i is what the model's 2e is in Cartesian form.
    From a scalar and a vector, α = Σ_i (α_i 1 + ν_i ⊗ d_i + d_i ⊗ ν_i) (PaiNN, eq. 12, K. T. Schütt et al., 2021) with
    d_i = r_i − r_c taken from the centre of mass: with positions themselves, as it is often coded, α moves with the molecule.

    Args:
        tensors: read 2e of each atom, else 1o.
    """

    gives = ("polarizability",)
    enough = frozenset(("1o", "2e"))  # one of them, beside 0e

    def __init__(self, tensors: bool) -> None:
        super().__init__()
        self.tensors = tensors
        self.reads = Irreps("0e + 2e" if tensors else "0e + 1o")
        self.mass = PerElement(_masses())
        self.symmetric = CartesianTensor("ij=ji")

    def forward(self, out: Float[Tensor, "N reads"], graph: AtomGraph) -> Predictions:
        """α of each graph, (B, 3, 3)."""
        out = out.double()
        if self.tensors:
            alpha = self.symmetric.to_cartesian(out)
        else:
            nu_d = out[:, 1:, None] * from_centre_of_mass(graph, self.mass)[:, None, :]
            alpha = out[:, :1, None] * torch.eye(3).to(out) + nu_d + nu_d.mT
        return {"polarizability": sum_rows(alpha, batch_of(graph), graph.n_graphs)}


def make_properties(names: Iterable[str], gives: Iterable[str], facts: DataFacts) -> list[Property]:
    """The properties that predict the quantities ``names`` with a model that ``gives`` these irreps for each atom.

    Raises:
        ValueError: a name is no quantity, or no property predicts it from what the model gives.
    """
    made: list[Property] = []
    for name in names:
        if not any(name in (*p.gives, *_derived_from(p)) for p in made):
            made.append(_make(name, tuple(gives), facts))
    return made


def _derived_from(property_: Property) -> list[str]:
    return [row.name for row in QUANTITIES.values() if row.derivative in property_.gives and row.derivative]


def _make(name: str, gives: tuple[str, ...], facts: DataFacts) -> Property:
    row = quantity(quantity(name).derivative or name)
    if row.name in ("energy", "energies"):
        return SumOverAtoms("energy", facts)
    if row.name in Dipole.gives:
        return Dipole(vectors="1o" in gives)
    if row.name in SpatialExtent.gives:
        return SpatialExtent(facts)
    if row.name in Polarizability.gives and Polarizability.enough & set(gives):
        return Polarizability(tensors="2e" in gives)
    if row.irreps == "0e" and row.per == "graph":
        return SumOverAtoms(name, facts) if row.extensive else MeanOverAtoms(name, facts)
    raise ValueError(f"{name} cannot be predicted by a model that gives only {' and '.join(gives)} of each atom{_able(name)}")


def _able(name: str) -> str:
    """The end of a refusal: the models of the zoo that can."""
    able = [model.name for model in TABLE.values() if name in Polarizability.gives and Polarizability.enough & set(model.gives)]
    return f"; choose {' or '.join(able)}" if able else ""


def batch_of(graph: AtomGraph) -> Tensor:
    """The graph of each atom, (N,)."""
    batch = graph.get("batch")
    return graph.z.new_zeros(len(graph.z)) if batch is None else batch


def from_centre_of_mass(graph: AtomGraph, mass: PerElement) -> Float[Tensor, "N 3"]:
    """r_i − r_c in float64."""
    batch, m, pos = batch_of(graph), mass(graph.z)[:, None], graph.pos.double()
    centre = sum_rows(m * pos, batch, graph.n_graphs) / sum_rows(m, batch, graph.n_graphs).clamp(min=1e-300)
    return pos - centre[batch]


def _masses() -> dict[int, float]:
    from ase.data import atomic_masses

    return dict(enumerate(atomic_masses))


def strained(graph: AtomGraph, stress: bool) -> tuple[AtomGraph, list[Tensor]]:
    """A copy of ``graph`` whose energy can be differentiated, and what to differentiate by: pos and, for stress, a strain.

    Positions that already carry derivatives (for a Hessian, say) are used as they are.
    """
    pos = graph.pos if graph.pos.requires_grad else graph.pos.detach().requires_grad_()
    graph = graph.clone_with(pos=pos)
    if not stress:
        return graph, [pos]
    strain = pos.new_zeros(graph.n_graphs, 3, 3).requires_grad_()
    symmetric = 0.5 * (strain + strain.mT)
    moved = pos + torch.einsum("nc,ncd->nd", pos, symmetric[batch_of(graph)])
    return graph.clone_with(pos=moved, cell=graph.cell + graph.cell @ symmetric.to(graph.cell)), [pos, strain]


def derivatives(energy: Float[Tensor, " B"], graph: AtomGraph, by: list[Tensor], create_graph: bool) -> Predictions:
    """Forces −∂E/∂r (eV/Å) and, where ``by`` holds a strain ε, stress ∂E/∂ε / V (eV/Å³, tensile positive).

    F. Knuth et al., Comput. Phys. Commun. 190, 33 (2015) for the strain derivative.
    """
    gradients = torch.autograd.grad(energy.sum(), by, create_graph=create_graph)
    predictions = {"forces": -gradients[0]}
    if len(by) > 1:
        volume = torch.linalg.det(graph.cell.detach()).abs()
        predictions["stress"] = gradients[1] / volume[:, None, None]
    return predictions
