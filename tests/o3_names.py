"""Every public name of e3nn that computes something, with arguments drawn at random; and how far ours is from e3nn's.

    MODULES["o3.Linear"](e3nn, Draw(7)), MODULES["o3.Linear"](molzoo.compat.e3nn, Draw(7))

are the same layer twice. Of a layer, the inputs follow from its irreps; of a function, FUNCTIONS says their shapes in each row.
"""

import random
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import e3nn
import e3nn.io
import e3nn.math
import e3nn.nn
import e3nn.o3
import torch
from o3_parity import derivatives, double
from torch import Tensor, nn
from torch.nn.functional import normalize, silu

import molzoo.compat.e3nn

KINDS = ["0e", "0o", "1o", "1e", "2e", "2o", "3o"]
BASES = ["gaussian", "cosine", "smooth_finite", "fourier", "bessel"]
FORMULAS = ["ij=ji", "ij=-ji", "ijk=jik", "ijkl=jikl=klij"]


class Draw:
    """Arguments that follow from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def one_of(self, *choices: Any) -> Any:
        return self.random.choice(choices)

    def whole(self, first: int, last: int) -> int:
        return self.random.randint(first, last)

    def irreps(self, kinds: Sequence[str] = KINDS, least: int = 0, most: int = 3, start: str = "1x1o") -> str:
        """Terms in any order, also repeated or without a copy, after ``start``, which leaves none of them empty-handed."""
        terms = [f"{self.whole(least, most)}x{self.random.choice(kinds)}" for _ in range(self.whole(0, 3))]
        return " + ".join([start, *terms])

    def degrees(self, lmax: int = 4) -> list[int]:
        return [self.whole(0, lmax) for _ in range(self.whole(1, 3))]


def elementwise(e: Any, d: Draw) -> nn.Module:
    muls = [d.whole(0, 3) for _ in range(3)]
    ins = [" + ".join(f"{mul}x{d.one_of(*KINDS)}" for mul in muls) for _ in range(2)]
    return e.o3.ElementwiseTensorProduct(*ins, **normalizations(d))


def every_mode(e: Any, d: Draw) -> nn.Module:
    """A path of each mode, some with weights."""
    u, v, w = (d.whole(1, 3) for _ in range(3))
    copies = {"uvw": (u, v, w), "uvu": (u, v, u), "uvv": (u, v, v), "uuw": (u, u, w), "uuu": (u, u, u), "uvuv": (u, v, u * v)}
    copies |= {"uvu<v": (3, 3, 3), "u<vw": (3, 3, w)}
    modes = list(copies)
    ins1, ins2, outs = ([(mul, d.one_of("1o", "2o")) for mul in muls] for muls in zip(*copies.values(), strict=True))
    outs = [(mul, d.one_of("1e", "2e")) for mul, _ in outs]
    fixed = ("uvu", "uvv", "uuu", "uvuv", "uvu<v")
    paths = [(k, k, k, mode, mode not in fixed or d.one_of(True, False), d.one_of(0.3, 1.0)) for k, mode in enumerate(modes)]
    return e.o3.TensorProduct(ins1, ins2, outs, paths, **normalizations(d))


def normalizations(d: Draw) -> dict[str, str]:
    return {"irrep_normalization": d.one_of("component", "norm")}


def gate(e: Any, d: Draw) -> nn.Module:
    gated = e.o3.Irreps(d.irreps())
    n = d.whole(0, gated.num_irreps)
    return e.nn.Gate("2x0e + 1x0o", [silu, None], f"{n}x0e + {gated.num_irreps - n}x0o", [torch.sigmoid, torch.tanh], gated)


def activation(e: Any, d: Draw) -> nn.Module:
    irreps = d.irreps(["0e"], start="2x0o")
    return e.nn.Activation(irreps, [torch.tanh, *(d.one_of(silu, torch.cos, None) for _ in e.o3.Irreps(irreps)[1:])])


def batch_norm(e: Any, d: Draw) -> nn.Module:
    options = {"affine": d.one_of(True, False), "reduce": d.one_of("mean", "max"), "instance": d.one_of(True, False)}
    options |= {"normalization": d.one_of("component", "norm"), "include_bias": d.one_of(True, False)}
    return e.nn.BatchNorm(d.irreps(least=1), eps=1e-2, **options).train(d.one_of(True, False))


def extract(e: Any, d: Draw) -> nn.Module:
    irreps = e.o3.Irreps(d.irreps())
    terms = [d.whole(0, len(irreps) - 1) for _ in range(2)]
    return e.nn.Extract(irreps, [e.o3.Irreps([irreps[k] for k in terms]), irreps[:1]], [tuple(terms), (0,)])


def linear(e: Any, d: Draw) -> nn.Module:
    options = {"biases": d.one_of(True, False), "path_normalization": d.one_of("element", "path")}
    return e.o3.Linear(d.irreps(start="2x0e"), d.irreps(), **options)


def sphere(e: Any, d: Draw, cls: str) -> nn.Module:
    lmax, normalization = d.whole(0, 4), d.one_of("component", "norm", "integral")
    res = 2 * d.whole(lmax + 1, 6), 2 * d.whole(lmax, 6) + 1
    options = {"lmax": lmax, "res": res, "normalization": normalization}
    return getattr(e.o3, cls)(**options)


MODULES: dict[str, Callable[[Any, Draw], nn.Module]] = {
    "o3.TensorProduct": every_mode,
    "o3.FullyConnectedTensorProduct": lambda e, d: e.o3.FullyConnectedTensorProduct(
        d.irreps(), d.irreps(["0e", "1o", "2e"]), d.irreps(start="2x0e + 1o"), **normalizations(d)
    ),
    "o3.FullTensorProduct": lambda e, d: e.o3.FullTensorProduct(d.irreps(), d.irreps(["0e", "1o"]), **normalizations(d)),
    "o3.ElementwiseTensorProduct": elementwise,
    "o3.TensorSquare": lambda e, d: e.o3.TensorSquare(d.irreps(["0e", "1o", "1e"], 1), **normalizations(d)),
    "o3.ReducedTensorProducts": lambda e, d: e.o3.ReducedTensorProducts(
        d.one_of("ijk=jik", "ijk", "ijk=-jik"), i="1o", j="1o", k=d.irreps(["0e", "1e"], 1)
    ),
    "o3.SphericalHarmonics": lambda e, d: e.o3.SphericalHarmonics(
        d.degrees(11), d.one_of(True, False), d.one_of("component", "norm", "integral")
    ),
    "o3.Linear": linear,
    "o3.Norm": lambda e, d: e.o3.Norm(d.irreps(), d.one_of(True, False)),
    "o3.ToS2Grid": lambda e, d: sphere(e, d, "ToS2Grid"),
    "nn.Activation": activation,
    "nn.NormActivation": lambda e, d: e.nn.NormActivation(e.o3.Irreps(d.irreps()), torch.sigmoid, bias=d.one_of(True, False)),
    "nn.Gate": gate,
    "nn.BatchNorm": batch_norm,
    "nn.Dropout": lambda e, d: e.nn.Dropout(d.irreps(), d.one_of(0.0, 1.0)),
    "nn.Extract": extract,
    "nn.ExtractIr": lambda e, d: e.nn.ExtractIr(d.irreps(start="2x1o + 1x0e + 1x1o"), d.one_of("1o", "0e")),
    "nn.Identity": lambda e, d: (lambda irreps: e.nn.Identity(irreps, e.o3.Irreps(irreps).simplify()))(d.irreps()),
    "nn.S2Activation": lambda e, d: e.nn.S2Activation(
        d.one_of("0e", "0e + 1o + 2e", "0o + 1o + 2o"), torch.tanh, 2 * d.whole(3, 6), lmax_out=d.whole(0, 2)
    ),
    "nn.SO3Activation": lambda e, d: e.nn.SO3Activation(d.whole(0, 2), d.whole(0, 1), torch.tanh, d.whole(3, 4)),
    "nn.FullyConnectedNet": lambda e, d: e.nn.FullyConnectedNet(
        [d.whole(1, 8), 8, d.whole(1, 4)], silu, out_act=d.one_of(True, False)
    ),
}


def harmonics(e: Any, d: Draw) -> Callable[[Tensor], Tensor]:
    options = {"normalize": d.one_of(True, False), "normalization": d.one_of("component", "norm", "integral")}
    return partial(e.o3.spherical_harmonics, d.degrees(11), **options)


def one_hot(e: Any, d: Draw) -> Callable[[Tensor], Tensor]:
    options = {"basis": d.one_of(*BASES), "cutoff": d.one_of(True, False)}
    return partial(e.math.soft_one_hot_linspace, start=-4.1, end=3.9, number=5, **options)


FORMS = {"angles": [(), (), ()], "matrix": [(), (), ()], "quaternion": [(4,)], "axis_angle": [(3,), ()], "xyz": [(3,)]}


def rotation(form: str, *x: Tensor) -> Sequence[Tensor]:
    """A rotation in a form, from numbers without a condition."""
    if form == "matrix":
        return (e3nn.o3.angles_to_matrix(*x),)
    return (normalize(x[0], dim=-1), *x[1:]) if form in ("quaternion", "axis_angle") else x


def converted(name: str) -> tuple[Callable[[Any, Draw], Callable[..., Any]], list[tuple[int, ...]]]:
    """A conversion, or what turns one rotation into another."""
    form = name.split("_to_")[0].removeprefix("inverse_")
    shapes = FORMS[form][: 2 if name == "angles_to_xyz" else None]
    return lambda e, d: lambda *x: getattr(e.o3, name)(*rotation(form, *x)), shapes


def composed(form: str) -> tuple[Callable[[Any, Draw], Callable[..., Any]], list[tuple[int, ...]]]:
    n = len(FORMS[form])
    compose = lambda e, *x: getattr(e.o3, f"compose_{form}")(*rotation(form, *x[:n]), *rotation(form, *x[n:]))  # noqa: E731
    return lambda e, d: lambda *x: compose(e, *x), 2 * FORMS[form]


CONVERSIONS = [name for name in molzoo.compat.e3nn.o3.__all__ if "_to_" in name and not name.startswith("change")]
FUNCTIONS: dict[str, tuple[Callable[[Any, Draw], Callable[..., Any]], Sequence[tuple[int, ...]]]] = {
    **{f"o3.{name}": converted(name) for name in [*CONVERSIONS, "inverse_angles", "inverse_quaternion"]},
    **{f"o3.compose_{form}": composed(form) for form in ("angles", "quaternion", "axis_angle")},
    **{f"o3.matrix_{axis}": (lambda e, d, f=f"matrix_{axis}": getattr(e.o3, f), [()]) for axis in "xyz"},
    "o3.Irreps.D_from_angles": (lambda e, d: e.o3.Irreps(d.irreps()).D_from_angles, FORMS["angles"]),
    "o3.wigner_D": (lambda e, d: partial(e.o3.wigner_D, d.whole(0, 8)), FORMS["angles"]),
    "o3.spherical_harmonics": (harmonics, [(3,)]),
    "o3.spherical_harmonics_alpha_beta": (lambda e, d: partial(e.o3.spherical_harmonics_alpha_beta, d.degrees()), [(), ()]),
    "o3.SphericalHarmonicsAlphaBeta": (lambda e, d: e.o3.SphericalHarmonicsAlphaBeta(d.degrees(), "norm"), [(), ()]),
    "o3.spherical_harmonics_alpha": (lambda e, d: partial(e.o3.spherical_harmonics_alpha, d.whole(0, 6)), [()]),
    "o3.Legendre": (lambda e, d: e.o3.Legendre(d.degrees()), [(), ()]),
    "o3.rfft": (lambda e, d: partial(e.o3.rfft, l=d.whole(0, 4)), [(9,)]),
    "o3.irfft": (lambda e, d: partial(e.o3.irfft, res=d.one_of(7, 9, 11)), [(7,)]),
    "o3.FromS2Grid": (lambda e, d: e.o3.FromS2Grid((8, 7), d.whole(0, 3), d.one_of("component", "norm", "integral")), [(8, 7)]),
    "o3.SO3Grid.to_grid": (lambda e, d: e.o3.SO3Grid(2, d.whole(3, 4)).to_grid, [(35,)]),
    "o3.SO3Grid.from_grid": (lambda e, d: e.o3.SO3Grid(d.whole(0, 2), 3).from_grid, [(12, 6, 12)]),
    "math.soft_one_hot_linspace": (one_hot, [()]),
    "math.soft_unit_step": (lambda e, d: e.math.soft_unit_step, [()]),
    "math.bessel": (lambda e, d: partial(e.math.bessel, n=d.whole(1, 6), x_max=4.0), [()]),
    "math.normalize2mom": (lambda e, d: e.math.normalize2mom(d.one_of(silu, torch.tanh, torch.cos)), [()]),
    "math.direct_sum": (lambda e, d: e.math.direct_sum, [(2, 3), (1, 1), (3, 2)]),
    "io.CartesianTensor.from_cartesian": (lambda e, d: e.io.CartesianTensor(d.one_of(*FORMULAS[:2])).from_cartesian, [(3, 3)]),
    "io.CartesianTensor.from_vectors": (
        lambda e, d: e.io.CartesianTensor(d.one_of("ijk=jik", "ijk=-jik")).from_vectors,
        [(3,)] * 3,
    ),
    "io.CartesianTensor.to_cartesian": (lambda e, d: e.io.CartesianTensor(FORMULAS[3]).to_cartesian, [(21,)]),
    "io.SphericalTensor.norms": (lambda e, d: e.io.SphericalTensor(2, 1, d.one_of(1, -1)).norms, [(9,)]),
    "io.SphericalTensor.sum_of_diracs": (lambda e, d: e.io.SphericalTensor(3, 1, -1).sum_of_diracs, [(5, 3), (5,)]),
    "io.SphericalTensor.signal_on_grid": (
        lambda e, d: partial(e.io.SphericalTensor(2, 1, -1).signal_on_grid, res=2 * d.whole(3, 6)),
        [(9,)],
    ),
}

# Tables and random numbers: no input, no derivative.
TABLES: dict[str, Callable[[Any, Draw], Any]] = {
    **{
        f"o3.{name}": lambda e, d, name=name: getattr(e.o3, name)(d.whole(0, 3), 2)
        for name in molzoo.compat.e3nn.o3.__all__
        if name.startswith(("rand_", "identity_"))
    },
    "o3.wigner_3j": lambda e, d: (lambda a, b: e.o3.wigner_3j(a, b, d.whole(abs(a - b), a + b)))(d.whole(0, 5), d.whole(0, 5)),
    "o3.su2_generators": lambda e, d: e.o3.su2_generators(d.whole(0, 6)),
    "o3.so3_generators": lambda e, d: e.o3.so3_generators(d.whole(0, 6)),
    "o3.change_basis_real_to_complex": lambda e, d: e.o3.change_basis_real_to_complex(d.whole(0, 6)),
    "o3.s2_grid": lambda e, d: e.o3.s2_grid(2 * d.whole(1, 9), d.whole(1, 9)),
    "o3.spherical_harmonics_s2_grid": lambda e, d: e.o3.spherical_harmonics_s2_grid(d.whole(0, 5), 12, 11),
    "o3.Irreps.randn": lambda e, d: e.o3.Irreps(d.irreps()).randn(3, -1, normalization=d.one_of("component", "norm")),
    "math.moment": lambda e, d: e.math.moment(d.one_of(torch.sin, silu), d.whole(1, 4)),
    "math.orthonormalize": lambda e, d: e.math.orthonormalize(torch.randn(d.whole(1, 6), 4), eps=torch.finfo().eps ** 0.6),
    "math.complete_basis": lambda e, d: e.math.complete_basis(torch.randn(1, d.whole(1, 6)), eps=torch.finfo().eps ** 0.6),
    "math.reduce_permutation": lambda e, d: e.math.reduce_permutation(
        *e.math.germinate_formulas(d.one_of(*FORMULAS[:2], FORMULAS[3])), i=d.whole(1, 3)
    )[0],
}
LIBRARIES = molzoo.compat.e3nn, e3nn


def made(name: str, seed: int) -> tuple[list[Callable[..., Any]], Sequence[tuple[int, ...]]]:
    """Ours and e3nn's, with the same weights, none of which is 0 or 1; and the shapes of the inputs in each row."""
    make, shapes = FUNCTIONS.get(name) or (MODULES[name], ())
    pair = []
    with double():
        for library in LIBRARIES:
            torch.manual_seed(seed)
            pair.append(make(library, Draw(seed)))
    if name in MODULES:
        ours, theirs = pair
        parameters = dict(theirs.named_parameters())
        for key, parameter in ours.named_parameters():
            assert parameter.equal(parameters[key]), f"{name}: the same seed gives other weights"
            parameters[key].data += torch.linspace(0.1, 0.9, parameter.numel(), dtype=torch.float64).view_as(parameter)
        missing, _ = ours.load_state_dict(theirs.state_dict(), strict=False)
        assert not missing, missing
        shapes = [(n,) for n in sizes(ours)]
    return pair, shapes


def sizes(layer: nn.Module) -> list[int]:
    """Components of each input."""
    for names in (["irreps_in"], ["irreps_in1", "irreps_in2"], ["irreps"]):
        found = [getattr(layer, name, None) for name in names]
        if found[0] is not None:
            return [i.dim for i in found] if isinstance(found[0], tuple) else [i.dim for i in found[0]]
    return [layer.hs[0]] if hasattr(layer, "hs") else [(layer.lmax + 1) ** 2]


def evaluated(call: Callable[..., Any], inputs: Sequence[Tensor]) -> list[Tensor]:
    """Values, first and second derivatives by all inputs and weights, each as one vector in float64."""
    leaves = [x.clone().requires_grad_() for x in inputs]
    torch.manual_seed(0)
    out = flat(call(*leaves))
    parameters = [p for _, p in sorted(call.named_parameters())] if isinstance(call, nn.Module) else []
    leaves += [p for p in parameters if p.numel()]
    first = derivatives((torch.linspace(0.5, 1.5, len(out), dtype=torch.float64).to(out) * out.square()).sum(), leaves)
    second = derivatives(sum(g.square().sum() for g in first), leaves)
    return [flat(part).detach().double() for part in (out, first, second)]


def flat(result: Any) -> Tensor:
    """All numbers of a result, one after the other."""
    if isinstance(result, Tensor):
        return (torch.view_as_real(result) if result.is_complex() else result).flatten()
    return torch.cat([flat(part) for part in result]) if len(result) else torch.zeros(0)


def inputs(shapes: Sequence[tuple[int, ...]], rows: tuple[int, ...], seed: int) -> list[Tensor]:
    """Normal numbers that float32 holds."""
    random_numbers = torch.Generator().manual_seed(seed)
    return [torch.randn((*rows, *shape), generator=random_numbers) for shape in shapes]


def deviations(name: str, seed: int, dtype: torch.dtype, rows: tuple[int, ...] = (3,)) -> tuple[list[float], list[float]]:
    """Of ours, and of e3nn's own, in ``dtype`` from e3nn's in float64: of values, first and second derivatives."""
    if name in TABLES:
        ours, theirs = (flat(table(name, library, seed, dtype)).double() for library in LIBRARIES)
        return [apart(ours, theirs), 0.0, 0.0], [0.0, 0.0, 0.0]
    pair, shapes = made(name, seed)
    x = inputs(shapes, rows, seed)
    with double():
        exact = evaluated(pair[1], [t.double() for t in x])
    found = []
    for call in pair:
        owner = getattr(call, "__self__", call)
        if isinstance(owner, nn.Module):
            owner.to(dtype)
        with double() if dtype == torch.float64 else nullcontext():
            found.append([apart(a, b) for a, b in zip(evaluated(call, [t.to(dtype) for t in x]), exact, strict=True)])
    return found[0], found[1]


def table(name: str, library: Any, seed: int, dtype: torch.dtype) -> Any:
    torch.manual_seed(seed)
    with double() if dtype == torch.float64 else nullcontext():
        return TABLES[name](library, Draw(seed))


def apart(a: Tensor, b: Tensor) -> float:
    """The largest difference, relative to the largest number or to 1."""
    assert a.shape == b.shape
    return float((a - b).abs().max()) / max(1.0, float(b.abs().max())) if len(b) else 0.0
