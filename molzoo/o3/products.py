"""Tensor products whose paths follow from the irreps."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

from molzoo.o3.instructions import choose
from molzoo.o3.irreps import Irrep, Irreps
from molzoo.o3.tensor_product import TensorProduct, Weights
from molzoo.shapes import Float, Tensor

Path = tuple[Any, ...]


class FullyConnectedTensorProduct(TensorProduct):
    """z_w = Σ_uv W_uvw x_u ⊗ y_v over all terms of x and y that couple to z.

    Args:
        irreps_in1, irreps_in2, irreps_out: of x, y and z.
        irrep_normalization, path_normalization: see :class:`TensorProduct`, as for all other keywords.

    >>> FullyConnectedTensorProduct("32x0e + 32x1o", "0e + 1o", "32x0e + 32x1o")
    FullyConnectedTensorProduct(32x0e+32x1o x 1x0e+1x1o -> 32x0e+32x1o | 4096 paths | 4096 weights)
    """

    def __init__(
        self,
        irreps_in1: Any,
        irreps_in2: Any,
        irreps_out: Any,
        irrep_normalization: str | None = None,
        path_normalization: str | None = None,
        **keywords: Any,
    ) -> None:
        ins1, ins2, outs = map(Irreps, (irreps_in1, irreps_in2, irreps_out))
        paths = [
            (i, j, k, "uvw", True)
            for i, (_, ir1) in enumerate(ins1)
            for j, (_, ir2) in enumerate(ins2)
            for k, (_, ir) in enumerate(outs)
            if ir in ir1 * ir2
        ]
        keywords |= {"irrep_normalization": irrep_normalization, "path_normalization": path_normalization}
        super().__init__(ins1, ins2, outs, paths, **keywords)


class FullTensorProduct(TensorProduct):
    """z_uv = x_u ⊗ y_v: all products of all terms, without weights; the irreps of z are sorted.

    Args:
        irreps_in1, irreps_in2: of x and y, simplified.
        filter_ir_out: the irreps that are made, by default all.
        irrep_normalization: see :class:`TensorProduct`.

    >>> FullTensorProduct("2x0e + 1o", "0o + 1o").irreps_out
    2x0o+1x0e+2x1o+1x1e+1x1e+1x2e
    """

    def __init__(
        self,
        irreps_in1: Any,
        irreps_in2: Any,
        filter_ir_out: Iterable[Any] | None = None,
        irrep_normalization: str | None = None,
        **keywords: Any,
    ) -> None:
        ins1, ins2 = Irreps(irreps_in1).simplify(), Irreps(irreps_in2).simplify()
        wanted = _wanted(filter_ir_out)
        found = [
            (i, j, (mul1 * mul2, ir), "uvuv", 1.0)
            for i, (mul1, ir1) in enumerate(ins1)
            for j, (mul2, ir2) in enumerate(ins2)
            for ir in ir1 * ir2
            if wanted is None or ir in wanted
        ]
        outs, paths = _sorted(found)
        super().__init__(ins1, ins2, outs, paths, irrep_normalization=irrep_normalization, **keywords)


class ElementwiseTensorProduct(TensorProduct):
    """z_u = x_u ⊗ y_u: products copy by copy, without weights.

    Args:
        irreps_in1, irreps_in2: of x and y, with as many copies; where terms differ in their number, they are cut.
        filter_ir_out: the irreps that are made, by default all.
        irrep_normalization: see :class:`TensorProduct`.

    Raises:
        ValueError: x and y have not as many copies.

    >>> ElementwiseTensorProduct("5x1o + 5x1e", "10x1e", ["0e", "0o"])
    ElementwiseTensorProduct(5x1o+5x1e x 10x1e -> 5x0o+5x0e | 10 paths | 0 weights)
    """

    def __init__(
        self,
        irreps_in1: Any,
        irreps_in2: Any,
        filter_ir_out: Iterable[Any] | None = None,
        irrep_normalization: str | None = None,
        **keywords: Any,
    ) -> None:
        ins1, ins2 = Irreps(irreps_in1).simplify(), Irreps(irreps_in2).simplify()
        if ins1.num_irreps != ins2.num_irreps:
            raise ValueError(
                f"{ins1 or '(none)'} has {ins1.num_irreps} copies and {ins2 or '(none)'} has {ins2.num_irreps}; an elementwise "
                "product needs as many of both"
            )
        ends = sorted({sum(term.mul for term in ins[:n]) for ins in (ins1, ins2) for n in range(len(ins) + 1)})
        cuts = list(pairwise(ends))
        ins1, ins2 = (Irreps([ins.slice_by_mul[a:b][0] for a, b in cuts]) for ins in (ins1, ins2))
        terms = enumerate(zip(ins1, ins2, strict=True))
        wanted = _wanted(filter_ir_out)
        coupled = ((i, (mul, ir)) for i, ((mul, ir1), (_, ir2)) in terms for ir in ir1 * ir2)
        found = [(i, term) for i, term in coupled if wanted is None or term[1] in wanted]
        paths = [(i, i, k, "uuu", False) for k, (i, _) in enumerate(found)]
        super().__init__(ins1, ins2, [term for _, term in found], paths, irrep_normalization=irrep_normalization, **keywords)


class TensorSquare(TensorProduct):
    """x ⊗ x: each pair of copies once, and each copy with itself.

    What is zero, or there already, is left out: of x_u ⊗ x_u only even degrees are not zero, and x_u ⊗ x_v for u > v repeats
    that for u < v. Normalizations are for normal (``component``) or unit (``norm``) x_u, which is not independent of itself.

    Args:
        irreps_in: of x, simplified.
        irreps_out: of z, made from all products by weights; without them z is all products, its irreps sorted.
        filter_ir_out: the irreps that are made if ``irreps_out`` is not given, by default all.
        irrep_normalization: see :class:`TensorProduct`.

    Raises:
        ValueError: ``irreps_out`` and ``filter_ir_out`` are both given.

    >>> TensorSquare("2x1o").irreps_out
    1x0e+2x0e+1x1e+1x2e+2x2e
    >>> TensorSquare("4x1o", "5x0e")
    TensorSquare(4x1o -> 5x0e | 50 paths | 50 weights)
    """

    def __init__(
        self,
        irreps_in: Any,
        irreps_out: Any = None,
        filter_ir_out: Iterable[Any] | None = None,
        irrep_normalization: str | None = None,
        **keywords: Any,
    ) -> None:
        ins = Irreps(irreps_in).simplify()
        if irreps_out is not None and filter_ir_out is not None:
            raise ValueError(
                f"irreps_out={irreps_out} says what is made, and filter_ir_out={filter_ir_out} does too; give one of them"
            )
        pairs = [(i, j) for i in range(len(ins)) for j in range(i, len(ins))]
        ways = partial(_ways, normalization=choose("irrep_normalization", irrep_normalization, ("component", "norm", "none")))
        if irreps_out is None:
            wanted = _wanted(filter_ir_out)
            made = ((i, j, ir) for i, j in pairs for ir in ins[i].ir * ins[j].ir if wanted is None or ir in wanted)
            found = [(i, j, (mul, ir), mode, variance) for i, j, ir in made for mode, _, mul, variance in ways(ins, i, j, ir)]
            outs, paths = _sorted(found)
        else:
            outs = Irreps(irreps_out).simplify()
            some = ((i, j, k) for i, j in pairs for k, (_, ir) in enumerate(outs) if ir in ins[i].ir * ins[j].ir)
            paths = [(i, j, k, m, True, size) for i, j, k in some for _, m, _, size in ways(ins, i, j, outs[k].ir)]
        self.irreps_in = ins
        super().__init__(ins, ins, outs, paths, irrep_normalization="none", **keywords)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.irreps_in} -> {self.irreps_out.simplify()} | {self._counts()})"

    def forward(self, x: Float[Tensor, "*x dim1"], weight: Weights = None) -> Float[Tensor, "*rows out"]:  # type: ignore[override]
        """The product of x with itself; weights as in :class:`TensorProduct`."""
        return super().forward(x, x, weight)


def _wanted(filter_ir_out: Iterable[Any] | None) -> list[Irrep] | None:
    return None if filter_ir_out is None else [term.ir for term in Irreps(filter_ir_out)]


def _sorted(found: Sequence[tuple[Any, ...]]) -> tuple[Irreps, list[Path]]:
    """Sorted irreps of z, and the paths to them."""
    outs, p, _ = Irreps([term for _, _, term, _, _ in found]).sort()
    return outs, [(i, j, p[k], mode, False, variance) for k, (i, j, _, mode, variance) in enumerate(found)]


def _ways(ins: Irreps, i: int, j: int, ir: Irrep, normalization: str) -> Iterator[tuple[str, str, int, float]]:
    """How terms i ≤ j of x make ``ir``: the mode without weights and with, the number of copies, and what scales the variance.

    For i < j and for different copies the factors are independent: a component of their product has the variance 1 / (2l + 1).
    For a copy with itself, Σ_ij C_ijk x_i x_j has the variance 2 / (2l + 1) if x is normal; but for l = 0 it is |x|² / √d, the
    mean is not 0, and its mean square is d + 2, where d is the length of x. A unit x is a normal one over its length,
    and |x|⁴ of a normal x has the mean d (d + 2).
    """
    (mul1, ir1), (mul2, ir2) = ins[i], ins[j]
    independent = {"component": ir.dim, "norm": ir1.dim * ir2.dim, "none": 1}[normalization]
    if i < j:
        yield "uvuv", "uvw", mul1 * mul2, independent
        return
    if mul1 > 1:
        yield "uvu<v", "u<vw", mul1 * (mul1 - 1) // 2, independent
    if ir.l % 2 == 0:
        d = ir1.dim
        normal = 1 / (d + 2) if ir.l == 0 else ir.dim / 2
        unit = d if ir.l == 0 else d * (d + 2) / 2
        yield "uuu", "uuw", mul1, {"component": normal, "norm": unit, "none": 1}[normalization]
