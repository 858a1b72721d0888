"""Predictor: model + properties + what was learned of the data. It is trained, saved, loaded and called."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from molzoo.data.facts import DataFacts
from molzoo.data.references import symbols
from molzoo.graph import AtomGraph, connect
from molzoo.models import TABLE, row
from molzoo.models.interface import AtomisticModel
from molzoo.o3 import Irreps
from molzoo.properties import Predictions, Property, derivatives, make_properties, strained
from molzoo.quantities import QUANTITIES, quantity
from molzoo.shapes import Float, Tensor


class Predictor(nn.Module):
    """A graph goes in, a dictionary of predictions comes out, in eV, Å and e.

    Args:
        model: name of a row of the zoo, or a class of one's own that follows :class:`AtomisticModel`.
        names: quantities to predict, e.g. ``["energy", "forces"]``.
        arguments: for the model's constructor; ``irreps_out`` is filled in from what the properties read.
        facts: references, scales and elements of the training data; without them the network predicts from zero.

    >>> predictor = Predictor("PaiNN", ["energy", "forces"], {"channels": 8})
    >>> water = AtomGraph(z=[8, 1, 1], pos=[[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    >>> {name: tuple(value.shape) for name, value in predictor(water).items()}
    {'energy': (1,), 'forces': (3, 3)}
    """

    def __init__(
        self,
        model: str | type[AtomisticModel],
        names: Sequence[str],
        arguments: Mapping[str, Any] | None = None,
        facts: DataFacts | None = None,
    ) -> None:
        super().__init__()
        self.names, self.arguments = tuple(names), dict(arguments or {})
        cls, gives = (
            (row(model).load(), row(model).outputs(self.arguments)) if isinstance(model, str) else (model, ("0e", "1o"))
        )
        self.facts = facts or DataFacts()
        properties = make_properties(self.names, gives, self.facts)
        self.properties = nn.ModuleList(properties)
        irreps_out, self._columns = _share_out(properties)
        self.model: AtomisticModel = cls(**self.arguments, irreps_out=str(irreps_out))

    @property
    def model_name(self) -> str:
        """Name of the model's row."""
        return type(self.model).__name__

    @property
    def gives(self) -> tuple[str, ...]:
        """All quantities that it can be asked for: its own and their derivatives."""
        own = {name for property_ in self.properties.children() for name in property_.gives}  # type: ignore[union-attr]
        return tuple(name for name, row in QUANTITIES.items() if name in own or row.derivative in own)

    def features(self, graph: Any) -> Float[Tensor, "N features"]:
        """The model's features of each atom."""
        return self.model.features(graph)

    def forward(self, graph: Any, names: Sequence[str] | None = None, create_graph: bool | None = None) -> Predictions:
        """The quantities ``names`` (by default those it was made for) of an AtomGraph or any PyG ``Data``.

        Args:
            graph: with ``z`` and ``pos``; edges are built where they are missing.
            names: what to predict; stress may be asked of any model of energies.
            create_graph: keep forces and stress differentiable; by default while training.

        Raises:
            ValueError: a quantity is not defined for the structure, or not predicted by this model.
        """
        names = self.names if names is None else tuple(names)
        differentiate = any(quantity(name).derivative for name in names)
        twice = differentiate and torch.is_grad_enabled() and (self.training if create_graph is None else create_graph)
        if twice and torch.compiler.is_compiling():
            return _as_it_is(self, graph, names, create_graph)
        graph = connect(graph, self.model.cutoff)
        if not torch.compiler.is_compiling():
            self.check(graph, names)
        keep = torch.is_grad_enabled()
        by: list[Tensor] = []
        with torch.set_grad_enabled(keep or differentiate):
            if differentiate:
                graph, by = strained(graph, stress="stress" in names)
            found = self.evaluate(graph)
            if differentiate:
                found |= derivatives(found["energy"], graph, by, twice)
        return {name: found[name] if keep else found[name].detach() for name in names}

    def evaluate(self, graph: AtomGraph) -> Predictions:
        """All predictions that are not derivatives: a plain, traceable function of the graph's tensors."""
        found: Predictions = {}
        for property_, out in self.outputs(graph):
            found |= property_(out, graph)
        return found

    def outputs(self, graph: AtomGraph) -> list[tuple[Property, Float[Tensor, "N reads"]]]:
        """Each property, and what it reads of each atom."""
        out = self.model(graph)
        return [(property_, out[:, columns]) for property_, columns in zip(self.properties, self._columns, strict=True)]  # type: ignore[misc]

    def check(self, graph: AtomGraph, names: Sequence[str]) -> None:
        """Refuse what would be answered wrongly: undefined quantities, elements and charges that were never learned."""
        for name in names:
            if quantity(name).name not in self.gives:
                raise ValueError(f"this {self.model_name} was not made for {name!r}; it predicts {', '.join(self.gives)}")
        if torch.is_inference_mode_enabled() and any(quantity(name).derivative for name in names):
            raise ValueError("forces and stress are derivatives, which torch.inference_mode() forbids; use torch.no_grad()")
        periodic = graph.pbc.any(dim=1)
        for name in names:
            wanted = quantity(name).periodic
            if wanted is not None and bool((periodic != wanted).any()):
                kind = "periodic structures" if wanted else "structures without periodic boundaries"
                raise ValueError(f"{name} is defined for {kind} only; set pbc accordingly or do not ask for {name}")
        if "stress" in names and bool((torch.linalg.det(graph.cell.detach()) == 0).any()):
            raise ValueError("stress needs a cell with a volume; give all three lattice vectors, also of a slab or a wire")
        if not self.training:
            self._check_learned(graph)

    def _check_learned(self, graph: AtomGraph) -> None:
        if known := self.facts.elements or self.arguments.get("elements"):
            unknown = sorted(set(graph.z.unique().tolist()) - set(known))
            if unknown:
                how = "trained on" if self.facts.elements else "made for"
                raise ValueError(f"this model never learned {symbols(unknown)}; it was {how} {symbols(known)}")
        if self.facts.charges:
            strange = sorted(set(graph.charge.unique().tolist()) - set(self.facts.charges))
            if strange and not ("charge" in TABLE[self.model_name].accepts if self.model_name in TABLE else False):
                raise ValueError(
                    f"this model never learned structures of total charge {strange[0]:+g}; "
                    f"it was trained on charge {', '.join(f'{q:+g}' for q in self.facts.charges)}"
                )


@torch.compiler.disable(reason="torch.compile differentiates once, and a loss of forces is differentiated twice")
def _as_it_is(predictor: Predictor, graph: Any, names: Sequence[str], create_graph: bool | None) -> Predictions:
    """The predictions, uncompiled."""
    return predictor(graph, names, create_graph)


def _share_out(properties: Iterable[Property]) -> tuple[Irreps, list[list[int]]]:
    """irreps_out with equal irreps side by side, and the columns of it that each property reads."""
    wanted = [term for p in properties for term in p.reads]
    kinds = sorted({term.ir for term in wanted})
    irreps = Irreps("+".join(f"{sum(t.mul for t in wanted if t.ir == ir)}x{ir}" for ir in kinds))
    free = {ir: s.start for ir, s in zip(kinds, irreps.slices(), strict=True)}
    columns: list[list[int]] = []
    for p in properties:
        mine: list[int] = []
        for term in p.reads:
            mine += range(free[term.ir], free[term.ir] + term.dim)
            free[term.ir] += term.dim
        columns.append(mine)
    return irreps, columns
