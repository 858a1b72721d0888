"""Irreducible representations of O(3): their notation, their dimensions, their places in a flat feature vector.

An irrep is a degree ``l`` and a parity ``p``: ``0e`` a scalar, ``0o`` a pseudo-scalar, ``1o`` a vector, ``1e`` a pseudo-vector,
``2e`` a symmetric traceless tensor; ``1y`` has the parity of the spherical harmonics, (−1)^l. ``128x0e + 64x1o`` says that a
feature vector holds 128 scalars, then 64 vectors, each vector's components side by side (e3nn's ``mul_ir`` order).

Names and behaviour are e3nn's.
"""

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Union

import torch

from molzoo.o3.rotation import axis_angle_to_angles, matrix_to_angles, quaternion_to_angles
from molzoo.o3.wigner import wigner_D
from molzoo.shapes import Tensor

_IRREP = re.compile(r"\s*(\d+)\s*([eoy])\s*")
_TERM = re.compile(r"\s*(?:(\d+)\s*x)?\s*(\d+\s*[eoy])\s*")


class Irrep(tuple[int, int]):
    """Degree ``l`` and parity ``p`` (+1 even, −1 odd under inversion).

    >>> Irrep("1o"), Irrep(2, 1).dim, Irrep("1y").p
    (1o, 5, -1)
    >>> list(Irrep("1o") * Irrep("1o"))
    [0e, 1e, 2e]
    >>> 3 * Irrep("1e") + Irrep("0o")
    3x1e+1x0o
    """

    def __new__(cls, l: "int | str | Irrep | MulIrrep | tuple[int, int]", p: int | None = None) -> "Irrep":
        """From a text, a pair, or degree and parity."""
        if isinstance(l, Irrep) and p is None:
            return l
        if isinstance(l, MulIrrep) and p is None:
            return l.ir
        if isinstance(l, str) and p is None:
            match = _IRREP.fullmatch(l)
            if match is None:
                raise ValueError(f"{l!r} is not an irrep; write a degree and a parity, e.g. '0e' or '1o'")
            l = int(match[1])
            p = {"e": 1, "o": -1, "y": (-1) ** l}[match[2]]
        elif p is None:
            l, p = l  # type: ignore[misc,assignment,str-unpack]
        if not isinstance(l, int) or l < 0:
            raise ValueError(f"the degree of an irrep is a whole number from 0; got {l!r}")
        if p not in (-1, 1):
            raise ValueError(f"the parity of an irrep is 1 (even) or -1 (odd); got {p!r}")
        return super().__new__(cls, (l, p))

    @property
    def l(self) -> int:
        """The degree."""
        return self[0]

    @property
    def p(self) -> int:
        """The parity."""
        return self[1]

    @property
    def dim(self) -> int:
        """Number of components, 2l + 1."""
        return 2 * self.l + 1

    def is_scalar(self) -> bool:
        """Whether it is 0e, which nothing changes."""
        return self == (0, 1)

    @classmethod
    def iterator(cls, lmax: int | None = None) -> Iterator["Irrep"]:
        """All irreps up to degree ``lmax``, those of the spherical harmonics first.

        >>> list(Irrep.iterator(1))
        [0e, 0o, 1o, 1e]
        """
        for l in itertools.count() if lmax is None else range(lmax + 1):
            yield Irrep(l, (-1) ** l)
            yield Irrep(l, -((-1) ** l))

    def D_from_angles(self, alpha: Tensor, beta: Tensor, gamma: Tensor, k: Tensor | None = None) -> Tensor:
        """The matrix p^k D(α, β, γ) of a rotation, after k inversions; shape (..., 2l + 1, 2l + 1)."""
        k = torch.zeros_like(alpha) if k is None else k
        alpha, beta, gamma, k = torch.broadcast_tensors(alpha, beta, gamma, k)
        return wigner_D(self.l, alpha, beta, gamma) * self.p ** k[..., None, None]

    def D_from_quaternion(self, q: Tensor, k: Tensor | None = None) -> Tensor:
        """The matrix for a quaternion (..., 4)."""
        return self.D_from_angles(*quaternion_to_angles(q), k)

    def D_from_matrix(self, R: Tensor) -> Tensor:
        """The matrix for an orthogonal matrix (..., 3, 3), proper or not.

        >>> Irrep("1o").D_from_matrix(-torch.eye(3)).long()
        tensor([[-1,  0,  0],
                [ 0, -1,  0],
                [ 0,  0, -1]])
        """
        return self.D_from_angles(*_proper(R))

    def D_from_axis_angle(self, axis: Tensor, angle: Tensor) -> Tensor:
        """The matrix for a turn by ``angle`` (...) about ``axis`` (..., 3)."""
        return self.D_from_angles(*axis_angle_to_angles(axis, angle))

    def __mul__(self, other: Any) -> Iterator["Irrep"]:  # type: ignore[override]
        other = Irrep(other)
        return (Irrep(l, self.p * other.p) for l in range(abs(self.l - other.l), self.l + other.l + 1))

    def __rmul__(self, mul: Any) -> "Irreps":  # type: ignore[override]
        return Irreps([(mul, self)])

    def __add__(self, other: Any) -> "Irreps":  # type: ignore[override]
        return Irreps(self) + Irreps(other)

    def __repr__(self) -> str:
        return f"{self.l}{'e' if self.p == 1 else 'o'}"


def _proper(R: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Angles of the rotation in R = (−1)^k · rotation, and k."""
    sign = torch.linalg.det(R).sign()
    return *matrix_to_angles(sign[..., None, None] * R), (1 - sign) / 2


class MulIrrep(NamedTuple):
    """``mul`` copies of the irrep ``ir``: a term of :class:`Irreps`.

    >>> term = Irreps("16x0e + 8x1o")[1]
    >>> term, term.mul, term.ir, term.dim
    (8x1o, 8, 1o, 24)
    """

    mul: int
    ir: Irrep

    @property
    def dim(self) -> int:
        """The length mul · (2l + 1)."""
        return self.mul * self.ir.dim

    def __repr__(self) -> str:
        return f"{self.mul}x{self.ir}"


class Sorted(NamedTuple):
    """Sorted irreps; ``p[i]`` is where term i went, ``inv[k]`` where the k-th came from."""

    irreps: "Irreps"
    p: tuple[int, ...]
    inv: tuple[int, ...]


Keep = Union["Irreps", str, Sequence[Any], Callable[[MulIrrep], bool]]


class Irreps(tuple[MulIrrep, ...]):
    """A direct sum of irreps; immutable, and a description only: it holds no numbers.

    >>> hidden = Irreps("128x0e + 64x1o")
    >>> hidden.dim, hidden.num_irreps, hidden.lmax, hidden.slices()[1], hidden.count("1o"), "1e" in hidden
    (320, 192, 1, slice(128, 320, None), 64, False)
    >>> Irreps("0e") + Irreps("1o"), 2 * Irreps("0e + 1e"), Irreps([(2, "1o"), "0e"])
    (1x0e+1x1o, 1x0e+1x1e+1x0e+1x1e, 2x1o+1x0e)
    """

    def __new__(cls, irreps: Any = "") -> "Irreps":
        """From a text such as ``"128x0e + 64x1o"``, an irrep, or a sequence of irreps and (mul, irrep)."""
        if isinstance(irreps, Irreps):
            return irreps
        if irreps is None:
            irreps = ()
        elif isinstance(irreps, Irrep):
            irreps = (irreps,)
        elif isinstance(irreps, str):
            irreps = _terms(irreps)
        return super().__new__(cls, map(_mul_irrep, irreps))

    @staticmethod
    def spherical_harmonics(lmax: int, p: int = -1) -> "Irreps":
        """Irreps of the harmonics of degree 0 … lmax of a vector (p = −1) or a pseudo-vector (p = 1).

        >>> Irreps.spherical_harmonics(3)
        1x0e+1x1o+1x2e+1x3o
        """
        return Irreps([(1, (l, p**l)) for l in range(lmax + 1)])

    @property
    def dim(self) -> int:
        """Length of a feature vector of these irreps."""
        return sum(term.dim for term in self)

    @property
    def num_irreps(self) -> int:
        """Number of copies in all."""
        return sum(term.mul for term in self)

    @property
    def ls(self) -> list[int]:
        """Degree of each copy."""
        return [term.ir.l for term in self for _ in range(term.mul)]

    @property
    def lmax(self) -> int:
        """The largest degree that has a copy."""
        if not self.ls:
            raise ValueError("empty irreps have no largest degree")
        return max(self.ls)

    def slices(self) -> list[slice]:
        """Where each term lies in the feature vector."""
        ends = list(itertools.accumulate(term.dim for term in self))
        return [slice(end - term.dim, end) for end, term in zip(ends, self, strict=True)]

    def count(self, ir: Any) -> int:
        """How many copies of ``ir`` there are in all terms together."""
        ir = Irrep(ir)
        return sum(term.mul for term in self if term.ir == ir)

    def simplify(self) -> "Irreps":
        """Neighbouring equal irreps joined, empty terms left out; the order stays.

        >>> Irreps("1e + 1e + 0e + 0x2e + 1e").simplify()
        2x1e+1x0e+1x1e
        """
        groups = itertools.groupby((term for term in self if term.mul), key=lambda term: term.ir)
        return Irreps([(sum(term.mul for term in group), ir) for ir, group in groups])

    def remove_zero_multiplicities(self) -> "Irreps":
        """Only terms with at least one copy.

        >>> Irreps("4x0e + 0x1o + 2x3e").remove_zero_multiplicities()
        4x0e+2x3e
        """
        return Irreps([term for term in self if term.mul])

    def sort(self) -> Sorted:
        """By degree, then odd before even; equal irreps keep their order.

        >>> Irreps("2o + 1e + 0e + 1e").sort()
        Sorted(irreps=1x0e+1x1e+1x1e+1x2o, p=(3, 1, 0, 2), inv=(2, 1, 3, 0))
        """
        inv = tuple(sorted(range(len(self)), key=lambda i: self[i].ir))
        return Sorted(Irreps([self[i] for i in inv]), tuple(inv.index(i) for i in range(len(inv))), inv)

    def regroup(self) -> "Irreps":
        """Sorted and simplified.

        >>> Irreps("1e + 0e + 1e + 0x2e").regroup()
        1x0e+2x1e
        """
        return self.sort().irreps.simplify()

    def filter(self, keep: Keep | None = None, *, drop: Keep | None = None, lmax: int | None = None) -> "Irreps":
        """Terms that are kept: named in ``keep``, not named in ``drop``, or of degree up to ``lmax``.

        >>> Irreps("1e + 2e + 0e").filter(keep="2e + 1e"), Irreps("1e + 2e + 0e").filter(lmax=1)
        (1x1e+1x2e, 1x1e+1x0e)
        """
        if sum(rule is not None for rule in (keep, drop, lmax)) > 1:
            raise ValueError("give one of keep, drop and lmax, not several")
        if keep is not None:
            return Irreps([term for term in self if _named(keep, term)])
        if drop is not None:
            return Irreps([term for term in self if not _named(drop, term)])
        return self if lmax is None else Irreps([term for term in self if term.ir.l <= lmax])

    @property
    def slice_by_mul(self) -> "_ByCopy":
        """``irreps.slice_by_mul[a:b]``: copies a to b, counted through all terms.

        >>> Irreps("3x0e + 2x1o").slice_by_mul[2:4]
        1x0e+1x1o
        """
        return _ByCopy(self)

    def randn(
        self,
        *size: int,
        normalization: str = "component",
        requires_grad: bool = False,
        dtype: torch.dtype | None = None,
        device: Any = None,
    ) -> Tensor:
        """Random features; ``size`` holds one −1, in whose place comes ``dim``.

        Args:
            size: of the tensor.
            normalization: ``component``: each component is normal; ``norm``: each copy has length 1.
            requires_grad, dtype, device: of the tensor.

        >>> Irreps("5x0e + 10x1o").randn(5, -1, 5).shape
        torch.Size([5, 35, 5])
        """
        if list(size).count(-1) != 1:
            raise ValueError(f"the size of random features must hold one -1, where the irreps go; got {size}")
        if normalization not in ("component", "norm"):
            raise ValueError(f"normalization is 'component' or 'norm'; got {normalization!r}")
        axis = size.index(-1)
        before, after = size[:axis], size[axis + 1 :]
        terms = [(self.dim, 1)] if normalization == "component" else [(mul, ir.dim) for mul, ir in self]
        parts = [torch.randn(*before, *term, *after, dtype=dtype, device=device) for term in terms or [(0, 1)]]
        if normalization == "norm":
            parts = [part / part.norm(dim=axis + 1, keepdim=True) for part in parts]
        x = torch.cat([part.flatten(axis, axis + 1) for part in parts], axis)
        return x.requires_grad_(requires_grad)

    def D_from_angles(self, alpha: Tensor, beta: Tensor, gamma: Tensor, k: Tensor | None = None) -> Tensor:
        """Block-diagonal matrix (..., dim, dim) of a rotation after k inversions.

        >>> Irreps("0e + 1o").D_from_angles(*torch.zeros(3)).equal(torch.eye(4))
        True
        """
        shape = torch.broadcast_shapes(alpha.shape, *(() if k is None else (k.shape,)))
        D = alpha.new_zeros(*shape, self.dim, self.dim)
        begin = 0
        for mul, ir in self:
            block = ir.D_from_angles(alpha, beta, gamma, k) if mul else D
            for _ in range(mul):
                D[..., begin : begin + ir.dim, begin : begin + ir.dim] = block
                begin += ir.dim
        return D

    def D_from_quaternion(self, q: Tensor, k: Tensor | None = None) -> Tensor:
        """The matrix for a quaternion (..., 4)."""
        return self.D_from_angles(*quaternion_to_angles(q), k)

    def D_from_matrix(self, R: Tensor) -> Tensor:
        """The matrix for an orthogonal matrix (..., 3, 3), proper or not."""
        return self.D_from_angles(*_proper(R))

    def D_from_axis_angle(self, axis: Tensor, angle: Tensor) -> Tensor:
        """The matrix for a turn by ``angle`` (...) about ``axis`` (..., 3)."""
        return self.D_from_angles(*axis_angle_to_angles(axis, angle))

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return Irreps(found) if isinstance(index, slice) else found

    def __contains__(self, ir: Any) -> bool:
        ir = Irrep(ir)
        return any(term.ir == ir for term in self)

    def __add__(self, other: Any) -> "Irreps":
        return Irreps(tuple(self) + tuple(Irreps(other)))

    def __radd__(self, other: Any) -> "Irreps":
        return Irreps(other) + self

    def __mul__(self, times: Any) -> "Irreps":
        if isinstance(times, Irreps):
            raise TypeError(f"the product of {self} and {times} depends on its paths; use o3.FullTensorProduct")
        return Irreps(tuple(self) * times)

    __rmul__ = __mul__

    def __repr__(self) -> str:
        return "+".join(map(repr, self))


def _terms(text: str) -> Iterable[tuple[int, str]]:
    if not text.strip():
        return
    at = 0
    for part in text.split("+"):
        match = _TERM.fullmatch(part)
        if match is None:
            raise ValueError(
                f"irreps {text!r}: {part.strip()!r}, at character {at + 1}, is not a term; write e.g. '16x0e + 8x1o + 1e'"
            )
        yield int(match[1] or 1), match[2].replace(" ", "")
        at += len(part) + 1


def _mul_irrep(term: Any) -> MulIrrep:
    if isinstance(term, MulIrrep):
        return term
    mul, ir = (1, term) if isinstance(term, (str, Irrep)) or len(term) != 2 else term
    if not isinstance(mul, int) or mul < 0:
        raise ValueError(f"the number of copies of an irrep is a whole number from 0; got {mul!r} of {ir!r}")
    return MulIrrep(mul, Irrep(ir))


def _named(rule: Keep, term: MulIrrep) -> bool:
    return bool(rule(term)) if callable(rule) else term.ir in Irreps(rule)


class _ByCopy:
    def __init__(self, irreps: Irreps) -> None:
        self.irreps = irreps

    def __getitem__(self, index: slice) -> Irreps:
        if not isinstance(index, slice) or index.step not in (None, 1):
            raise IndexError("slice_by_mul takes a slice without a step, such as [2:4]")
        start, stop, _ = index.indices(self.irreps.num_irreps)
        ends = itertools.accumulate(term.mul for term in self.irreps)
        pieces = [(max(start, end - mul), min(stop, end), mul, ir) for end, (mul, ir) in zip(ends, self.irreps, strict=True)]
        return Irreps([(b - a, ir) for a, b, mul, ir in pieces if a < b or (mul == 0 and a == b)])  # e3nn keeps empty terms
