"""The paths of a tensor product: which inputs make which output, how their copies meet, and how large the result is.

A path couples copies u of the term ``i_in1`` of x with copies v of the term ``i_in2`` of y to x_u ⊗ y_v. Its connection mode
says with which weights these make copies of the term ``i_out`` of z:

========  =====================================  ======================================
``uvw``   z_w = Σ_uv W_uvw x_u ⊗ y_v             everything with everything
``uvu``   z_u = Σ_v W_uv x_u ⊗ y_v
``uvv``   z_v = Σ_u W_uv x_u ⊗ y_v
``uuw``   z_w = Σ_u W_uw x_u ⊗ y_u
``uuu``   z_u = W_u x_u ⊗ y_u                    copy by copy
``uvuv``  z_uv = W_uv x_u ⊗ y_v                  all products
``uvu<v`` z_uv = W_uv x_u ⊗ y_v for u < v        all products of a feature with itself
``u<vw``  z_w = Σ_{u<v} W_uvw x_u ⊗ y_v
========  =====================================  ======================================
"""

from collections.abc import Iterable, Sequence
from math import sqrt
from typing import Any, NamedTuple

from molzoo.o3.irreps import Irreps
from molzoo.quantities import nearest

MODES = ("uvw", "uvu", "uvv", "uuw", "uuu", "uvuv", "uvu<v", "u<vw")


class Instruction(NamedTuple):
    """One path; its weights have ``path_shape``, and the result is multiplied by ``path_weight``.

    >>> Instruction(0, 0, 0, "uvu", True, 1.0, (8, 1)).path_shape
    (8, 1)
    """

    i_in1: int
    i_in2: int
    i_out: int
    connection_mode: str
    has_weight: bool
    path_weight: float
    path_shape: tuple[int, ...]


class Normalization(NamedTuple):
    """What sets the size of each path.

    The coupled x_u ⊗ y_v has unit variance if x and y have (``component``), unit length if they have (``norm``), or comes as
    the Wigner 3j symbol gives it (``none``). Then all copies that are summed in an output count the same (``element``), or all
    paths to it do (``path``), or nothing is divided by (``none``). Variances of terms are 1 where none are given.
    """

    irreps: str | None = None
    path: str | None = None
    in1: Iterable[float] | None = None
    in2: Iterable[float] | None = None
    out: Iterable[float] | None = None


def connect(
    irreps_in1: Irreps, irreps_in2: Irreps, irreps_out: Irreps, instructions: Iterable[Sequence[Any]], size: Normalization
) -> list[Instruction]:
    """Full records of instructions (i_in1, i_in2, i_out, mode, has_weight[, path_weight]).

    ``path_weight`` there multiplies the variance of the path, and in the records it is the factor of its values.

    Raises:
        ValueError: a path is not possible, or there are more or fewer variances than terms.

    >>> irreps = Irreps("8x0e + 8x1o"), Irreps("1o"), Irreps("4x1e")
    >>> connect(*irreps, [(1, 0, 0, "uvw", True)], Normalization())[0][3:]
    ('uvw', True, 0.6123724356957945, (8, 1, 4))
    """
    irreps = irreps_in1, irreps_in2, irreps_out
    coupled = choose("irrep_normalization", size.irreps, ("component", "norm", "none"))
    counted = choose("path_normalization", size.path, ("element", "path", "none"))
    variances = [_variances(*of) for of in zip(("in1_var", "in2_var", "out_var"), size[2:], irreps, strict=True)]
    paths = [_path(number, given, irreps) for number, given in enumerate(instructions)]
    sums = [variances[0][path.i_in1] * variances[1][path.i_in2] * _summed(path, irreps) for path in paths]
    done = []
    for path, summed in zip(paths, sums, strict=True):
        arriving = [other for other, to in zip(sums, paths, strict=True) if to.i_out == path.i_out]
        divisor = {"element": sum(arriving), "path": summed * len(arriving), "none": 1.0}[counted]
        variance = _coupled(path, irreps, coupled) / (divisor or 1.0) * variances[2][path.i_out] * path.path_weight
        done.append(path._replace(path_weight=sqrt(variance)))
    return done


def choose(name: str, given: str | None, known: Sequence[str]) -> str:
    """``given``, which must be ``known``, or the first that is, if there is none.

    >>> choose("irrep_normalization", None, ("component", "norm", "none"))
    'component'
    """
    if given is not None and given not in known:
        raise ValueError(f"there is no {name} {given!r}{nearest(given, known)}")
    return given or known[0]


def _variances(name: str, given: Iterable[float] | None, irreps: Irreps) -> list[float]:
    variances = [1.0] * len(irreps) if given is None else [float(value) for value in given]
    if len(variances) != len(irreps):
        raise ValueError(
            f"{name} has {len(variances)} variances, but {irreps or '(none)'} has {len(irreps)} terms; give one for each"
        )
    return variances


def _path(number: int, given: Sequence[Any], irreps: tuple[Irreps, Irreps, Irreps]) -> Instruction:
    """The record of an instruction, with ``path_weight`` as given."""
    if len(given) not in (5, 6):
        raise ValueError(
            f"instruction {number} has {len(given)} entries; it takes (i_in1, i_in2, i_out, mode, has_weight[, path_weight])"
        )
    *terms, mode, has_weight, path_weight = given if len(given) == 6 else (*given, 1.0)
    for name, term, of in zip(("irreps_in1", "irreps_in2", "irreps_out"), terms, irreps, strict=True):
        if not 0 <= term < len(of):
            raise ValueError(f"instruction {number} names term {term} of {name}, but {of or '(none)'} has {len(of)} terms")
    if mode not in MODES:
        raise ValueError(f"instruction {number} has the mode {mode!r}{nearest(mode, MODES)}; choose one of {', '.join(MODES)}")
    (mul1, ir1), (mul2, ir2), (mul_out, ir_out) = (of[term] for of, term in zip(irreps, terms, strict=True))
    if ir_out not in ir1 * ir2:
        raise ValueError(f"instruction {number}: {ir1} ⊗ {ir2} makes {'+'.join(map(str, ir1 * ir2))}, not {ir_out}")
    pairs = mul1 * (mul2 - 1) // 2
    shape, fits = {
        "uvw": ((mul1, mul2, mul_out), True),
        "uvu": ((mul1, mul2), mul1 == mul_out),
        "uvv": ((mul1, mul2), mul2 == mul_out),
        "uuw": ((mul1, mul_out), mul1 == mul2),
        "uuu": ((mul1,), mul1 == mul2 == mul_out),
        "uvuv": ((mul1, mul2), mul1 * mul2 == mul_out),
        "uvu<v": ((pairs,), mul1 == mul2 and pairs == mul_out),
        "u<vw": ((pairs, mul_out), mul1 == mul2),
    }[mode]
    if not fits and 0 not in shape:
        raise ValueError(
            f"instruction {number}: the mode {mode} cannot take {mul1}x{ir1} and {mul2}x{ir2} to {mul_out}x{ir_out}; "
            "its letters count copies, and the same letter needs the same number"
        )
    if not has_weight and (mode in ("uvw", "u<vw") or (mode == "uuw" and mul_out > 1)):
        raise ValueError(
            f"instruction {number}: the mode {mode} makes {mul_out}x{ir_out} by weights, but has_weight is {has_weight}"
        )
    if path_weight < 0:
        raise ValueError(f"instruction {number}: path_weight multiplies a variance, so it is at least 0; got {path_weight}")
    i_in1, i_in2, i_out = terms
    return Instruction(i_in1, i_in2, i_out, mode, has_weight, path_weight, shape)


def _summed(path: Instruction, irreps: tuple[Irreps, Irreps, Irreps]) -> int:
    """How many products are summed in each copy of the output."""
    mul1, mul2 = irreps[0][path.i_in1].mul, irreps[1][path.i_in2].mul
    summed = {"uvw": mul1 * mul2, "uvu": mul2, "uvv": mul1, "uuw": mul1, "u<vw": mul1 * (mul2 - 1) // 2}
    return summed.get(path.connection_mode, 1)


def _coupled(path: Instruction, irreps: tuple[Irreps, Irreps, Irreps], normalization: str) -> int:
    """One over the variance of a component of the Wigner 3j symbol applied to x_u and y_v."""
    dim1, dim2, dim_out = (of[term].ir.dim for of, term in zip(irreps, path, strict=False))
    return {"component": dim_out, "norm": dim1 * dim2, "none": 1}[normalization]
