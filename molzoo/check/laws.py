"""THE TABLE OF LAWS: what holds for every model, each said once, tested by the contract and by ``molzoo check`` alike.

Limits are relative: to the largest component of a quantity, or to the terms of a sum that may cancel. A law without a limit for
float32 compares with differences, where rounding would hide what is looked for: such a model is cast to float64 for it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

import molzoo.check.conduct as conduct
import molzoo.check.derivatives as derivatives
import molzoo.check.locality as locality
import molzoo.check.symmetry as symmetry
from molzoo.check.measure import Found, is_periodic
from molzoo.graph import AtomGraph
from molzoo.models import TABLE
from molzoo.predictor import Predictor

Need = Callable[[Predictor, AtomGraph], str]


@dataclass(frozen=True)
class Law:
    """One row of the table.

    Args:
        name: for tables and for picking laws.
        says: one sentence.
        test: the largest violation by a model, for a structure.
        float64: limit in double precision.
        float32: limit in single precision; None: the model is cast to float64.
        needs: each says why the law does not apply, or nothing.
        of_model: asked once, with one atom of each element, rather than of each structure.
    """

    name: str
    says: str
    test: Callable[[Predictor, AtomGraph], Found]
    float64: float
    float32: float | None = None
    needs: tuple[Need, ...] = ()
    of_model: bool = False

    def why_not(self, predictor: Predictor, graph: AtomGraph) -> str:
        """Why it does not apply to this model and structure; empty if it does."""
        return next((reason for need in self.needs if (reason := need(predictor, graph))), "")


def _energy(predictor: Predictor, graph: AtomGraph) -> str:
    return "" if "energy" in predictor.gives else "the model gives no energy"


def _sum(predictor: Predictor, graph: AtomGraph) -> str:
    return "" if any(map(symmetry.adds_up, predictor.gives)) else "the model gives no plain sum over atoms"


def _molecule(predictor: Predictor, graph: AtomGraph) -> str:
    return "no structure without periodic boundaries" if is_periodic(graph) else ""


def _crystal(predictor: Predictor, graph: AtomGraph) -> str:
    return "" if is_periodic(graph) else "no periodic structure"


def _neutral(predictor: Predictor, graph: AtomGraph) -> str:
    return "no neutral periodic structure" if predictor.facts.charges and graph.charge.any() else ""


def _volume(predictor: Predictor, graph: AtomGraph) -> str:
    has_volume = is_periodic(graph) and bool((torch.linalg.det(graph.cell) != 0).all())
    return "" if has_volume else "no periodic structure with a volume"


def _atoms(predictor: Predictor, graph: AtomGraph) -> str:
    return "" if len(graph.z) else "no structure with atoms"


def _of_the_zoo(predictor: Predictor, graph: AtomGraph) -> str:
    name = predictor.model_name
    own = type(predictor) is Predictor and name in TABLE and TABLE[name].load() is type(predictor.model)
    return "" if own else "only models of the zoo have a file format"


def _derived(predictor: Predictor, graph: AtomGraph) -> str:
    return _energy(predictor, graph) or _atoms(predictor, graph)


_ROUNDING = (1e-11, 1e-5)

_ROWS = (
    Law(
        "translation", "A structure moved elsewhere has the same properties.", symmetry.translation, *_ROUNDING, needs=(_atoms,)
    ),
    Law("rotation", "Vectors and tensors turn with the structure, scalars stay.", symmetry.rotation, *_ROUNDING),
    Law(
        "inversion",
        "In a mirrored structure vectors point the other way; tensors and scalars stay.",
        symmetry.inversion,
        *_ROUNDING,
    ),
    Law("permutation", "The order in which atoms are listed does not matter.", symmetry.permutation, *_ROUNDING),
    Law("batch", "A structure in a batch has the properties it has alone.", symmetry.batching, *_ROUNDING, needs=(_atoms,)),
    Law(
        "additivity",
        "Molecules out of reach of each other have the sum of their energies, and n of them n times one.",
        symmetry.additivity,
        *_ROUNDING,
        needs=(_sum, _molecule, _atoms),
    ),
    Law(
        "supercell",
        "Two cells along each period have as many times the energy.",
        symmetry.supercell,
        *_ROUNDING,
        needs=(_crystal, _neutral),  # two charged cells have another charge, which the model may not know
    ),
    Law("wrapping", "An atom may be any of its periodic images.", symmetry.wrapping, *_ROUNDING, needs=(_crystal,)),
    Law("momentum", "Forces and, without periods, torques sum to zero.", symmetry.momentum, 1e-12, 1e-5, needs=(_derived,)),
    Law("locality", "Neighbours beyond the cutoff do nothing.", locality.locality, 1e-13, 1e-5, needs=(_derived,)),
    Law(
        "continuity",
        "Energy, force and, if the envelope is C², second derivative do not jump as an atom crosses the cutoff.",
        locality.continuity,
        1e-6,
        needs=(_energy,),
        of_model=True,
    ),
    Law(
        "isolated atom",
        "A lonely atom feels no force and has one energy: the reference, where the model promises it.",
        locality.isolated,
        1e-12,
        1e-6,
        needs=(_energy,),
        of_model=True,
    ),
    Law("forces", "Forces are −∂E/∂r.", derivatives.forces, 1e-6, needs=(_derived,)),
    Law("stress", "Stress is ∂E/∂strain per volume.", derivatives.stress, 1e-6, needs=(_derived, _volume)),
    Law("symmetric stress", "Stress is a symmetric matrix.", derivatives.stress_symmetry, 0.0, 0.0, needs=(_derived, _volume)),
    Law("Hessian", "Second derivatives of the energy are differences of forces.", derivatives.hessian, 1e-6, needs=(_derived,)),
    Law("symmetric Hessian", "∂²E/∂a∂b = ∂²E/∂b∂a.", derivatives.hessian_symmetry, 1e-10, needs=(_derived,)),
    Law(
        "finite numbers",
        "Predictions and gradients of parameters are numbers, also of linear molecules and coincident atoms.",
        conduct.finite,
        0.0,
        0.0,
        of_model=True,
    ),
    Law("repetition", "The same question has the same answer, to the last bit.", conduct.deterministic, 0.0, 0.0),
    Law("back ends", "All ways to compute a convolution agree.", conduct.backends, 1e-11, 2e-5, needs=(_atoms,)),
    Law("inputs", "A prediction does not change what it is made from.", conduct.inputs, 0.0, 0.0),
    Law("surroundings", "A prediction changes no global setting and uses no random number.", conduct.surroundings, 0.0, 0.0),
    Law("file", "A model read from its file is the same to the last bit.", conduct.saved, 0.0, 0.0, needs=(_of_the_zoo,)),
    Law("refusals", "A dipole of a crystal and a stress of a molecule are refused.", conduct.refusals, 0.0, 0.0),
)

LAWS: dict[str, Law] = {law.name: law for law in _ROWS}
