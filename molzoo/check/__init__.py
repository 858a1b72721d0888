"""``check``: which physical laws a model keeps, and how well.

Any :class:`~molzoo.predictor.Predictor` can be checked: a trained one, or one around a model of one's own.
"""

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from molzoo.check.laws import LAWS, Law
from molzoo.check.measure import Found, rattled, variant, worst
from molzoo.graph import AtomGraph, connect, from_ase
from molzoo.predictor import Predictor

__all__ = ["LAWS", "Found", "Law", "Report", "Verdict", "check"]


@dataclass(frozen=True)
class Verdict:
    """How a model does by one law.

    Args:
        law: which.
        dtype: the precision in which it was asked.
        found: the largest violation, and where.
        why_not: why the law does not apply; empty if it does.
    """

    law: Law
    dtype: str
    found: Found
    why_not: str = ""

    @property
    def limit(self) -> float:
        """The largest violation that is allowed."""
        return self.law.float64 if self.dtype == "float64" or self.law.float32 is None else self.law.float32

    @property
    def holds(self) -> bool:
        """Whether the law is kept, or does not apply."""
        return bool(self.why_not) or self.found.largest <= self.limit  # NaN is not

    @property
    def words(self) -> tuple[str, ...]:
        """Law, largest violation, limit, precision, verdict, and where."""
        if self.why_not:
            return self.law.name, "–", "–", "–", "does not apply", self.why_not
        verdict = "holds" if self.holds else "VIOLATED"
        return self.law.name, f"{self.found.largest:.1e}", f"{self.limit:.0e}", self.dtype, verdict, self.found.where

    def __str__(self) -> str:
        return _line(self.words)


@dataclass(frozen=True)
class Report:
    """The verdicts on a model; printed, it is a table."""

    verdicts: Sequence[Verdict]

    HEADS = ("law", "largest", "limit", "in", "verdict", "where")

    @property
    def holds(self) -> bool:
        """Whether no law is violated."""
        return not self.violated

    @property
    def violated(self) -> tuple[str, ...]:
        """Names of the laws that are."""
        return tuple(verdict.law.name for verdict in self.verdicts if not verdict.holds)

    def __str__(self) -> str:
        return "\n".join([_line(self.HEADS), *map(str, self.verdicts)])


def _line(words: Sequence[str]) -> str:
    law, largest, limit, dtype, verdict, where = words
    return f"{law:<20}{largest:>8}{limit:>8}  {dtype:<9}{verdict:<16}{where}".rstrip()


def check(
    predictor: Predictor,
    structures: Iterable[Any],
    laws: Iterable[Law] = LAWS.values(),
    show: Callable[[Verdict], object] = lambda verdict: None,
) -> Report:
    """Try each law with each structure.

    Every atom is displaced by some 0.05 Å first. In a symmetric structure forces vanish and hide faults, and where a vector has
    no length its derivative bends within 1e-4 Å, so that rounding looms large.

    Args:
        predictor: is copied and not changed; a float32 one is asked in float64 where differences are taken.
        structures: graphs, ASE's ``Atoms`` or any PyG ``Data`` with ``z`` and ``pos``, like those the model is for.
        laws: some rows of :data:`LAWS`; by default all.
        show: called with each verdict as it is there.

    >>> water = AtomGraph(z=[8, 1, 1], pos=[[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    >>> print(check(Predictor("SchNet", ["energy"], {"channels": 8}), [water], [LAWS["inputs"], LAWS["supercell"]]))
    law                  largest   limit  in       verdict         where
    inputs               0.0e+00   0e+00  float32  holds
    supercell                  –       –  –        does not apply  no periodic structure
    """
    parameter = next(predictor.parameters())
    graphs = [rattled(bare(structure, predictor.model.cutoff)).to(parameter.device) for structure in structures]
    if not graphs:
        raise ValueError("there is no structure to check the model with; give at least one")
    dtype = str(parameter.dtype).removeprefix("torch.")
    copies: dict[str, Predictor] = {}
    verdicts = []
    for law in laws:
        precision = "float64" if law.float32 is None else dtype
        if precision not in copies:
            copies[precision] = copy.deepcopy(predictor).to(getattr(torch, precision)).eval().requires_grad_()
        verdicts.append(_verdict(law, copies[precision], precision, [_elements(graphs)] if law.of_model else graphs))
        show(verdicts[-1])
    return Report(verdicts)


def bare(structure: Any, cutoff: float) -> AtomGraph:
    """Atoms and cell of whatever holds them."""
    graph = connect(structure, cutoff) if hasattr(structure, "pos") else from_ase(structure)
    if graph.n_graphs != 1:
        raise ValueError(f"a batch of {graph.n_graphs} structures cannot be checked as one; give a list of single structures")
    return variant(graph, pos=graph.pos.detach().double())


def _elements(graphs: Sequence[AtomGraph]) -> AtomGraph:
    """One atom of each element, with the charge of the first structure."""
    z = torch.cat([graph.z for graph in graphs]).unique()
    like = graphs[0]
    pos = torch.zeros(len(z), 3).to(like.pos)
    return variant(like, z=z, pos=pos, cell=torch.zeros_like(like.cell), pbc=torch.zeros_like(like.pbc))


def _verdict(law: Law, predictor: Predictor, dtype: str, graphs: Sequence[AtomGraph]) -> Verdict:
    reasons = [law.why_not(predictor, graph) for graph in graphs]
    if all(reasons):
        return Verdict(law, dtype, Found(0.0), reasons[0])
    found = []
    for k, graph in enumerate(graphs):
        if not reasons[k]:
            one = _found(law, predictor, graph)
            label = "" if law.of_model or not one.where else f" of {_formula(graph)} ({k})" if len(graphs) > 1 else ""
            found.append(Found(one.largest, one.where + label))
    return Verdict(law, dtype, worst(found))


def _found(law: Law, predictor: Predictor, graph: AtomGraph) -> Found:
    try:
        found = law.test(predictor, graph)
    except Exception as error:  # whatever a model of somebody's does is a finding, not the end of the check
        return Found(float("nan"), f"{type(error).__name__}: {' '.join(str(error).split())[:100]}")
    return found if found.largest else Found(0.0)


def _formula(graph: AtomGraph) -> str:
    from ase import Atoms

    return Atoms(graph.z.cpu().numpy()).get_chemical_formula()
