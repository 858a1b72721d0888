"""Irreducible representations of O(3): their notation, their dimensions, their places in a flat feature vector.

An irrep is a degree ``l`` and a parity ``p``: ``0e`` a scalar, ``0o`` a pseudo-scalar, ``1o`` a vector, ``2e`` a symmetric
traceless tensor. ``128x0e + 64x1o`` says that a feature vector holds 128 scalars, then 64 vectors, each vector's components
side by side (e3nn's ``mul_ir`` order).
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

_TERM = re.compile(r"(?:(\d+)\s*x\s*)?(\d+)\s*([eo])")


class Irrep(NamedTuple):
    """Degree ``l`` and parity ``p`` (+1 even, -1 odd under inversion).

    >>> Irrep.parse("1o"), Irrep(2, 1).dim
    (1o, 5)
    """

    l: int
    p: int

    @classmethod
    def parse(cls, text: str) -> "Irrep":
        """The irrep that ``text`` names, such as ``"1o"``."""
        match = _TERM.fullmatch(text.strip())
        if match is None or match[1] is not None:
            raise ValueError(f"{text!r} is not an irrep; write a degree and a parity, e.g. '0e' or '1o'")
        return cls(int(match[2]), 1 if match[3] == "e" else -1)

    @property
    def dim(self) -> int:
        """2l + 1."""
        return 2 * self.l + 1

    def __repr__(self) -> str:
        return f"{self.l}{'e' if self.p == 1 else 'o'}"


class MulIrrep(NamedTuple):
    """``mul`` copies of the irrep ``ir``."""

    mul: int
    ir: Irrep

    @property
    def dim(self) -> int:
        """The length mul · (2l + 1)."""
        return self.mul * self.ir.dim

    def __repr__(self) -> str:
        return f"{self.mul}x{self.ir}"


class Irreps(tuple[MulIrrep, ...]):
    """A direct sum of irreps; immutable, and a description only: it holds no numbers.

    >>> hidden = Irreps("128x0e + 64x1o")
    >>> hidden.dim, hidden.slices()[1], hidden.count("1o")
    (320, slice(128, 320, None), 64)
    >>> Irreps("0e") + Irreps("1o")
    1x0e+1x1o
    """

    def __new__(cls, irreps: "str | Irreps" = "") -> "Irreps":
        """Read a text such as ``"128x0e + 64x1o"``."""
        return super().__new__(cls, _parse(irreps) if isinstance(irreps, str) else irreps)

    @property
    def dim(self) -> int:
        """Length of a feature vector of these irreps."""
        return sum(term.dim for term in self)

    def slices(self) -> list[slice]:
        """Where each term lies in the feature vector."""
        ends = [sum(term.dim for term in self[: i + 1]) for i in range(len(self))]
        return [slice(end - term.dim, end) for end, term in zip(ends, self, strict=True)]

    def count(self, ir: "str | Irrep") -> int:  # type: ignore[override]
        """How many copies of ``ir`` there are in all terms together."""
        wanted = Irrep.parse(ir) if isinstance(ir, str) else ir
        return sum(term.mul for term in self if term.ir == wanted)

    def __iter__(self) -> Iterator[MulIrrep]:
        return super().__iter__()

    def __add__(self, other: "Irreps") -> "Irreps":  # type: ignore[override]
        return Irreps(tuple.__add__(self, Irreps(other)))  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return "+".join(map(repr, self))


def _parse(text: str) -> list[MulIrrep]:
    terms = []
    for part in text.split("+") if text.strip() else []:
        match = _TERM.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"irreps {text!r}: {part.strip()!r} is not a term; write e.g. '16x0e + 8x1o + 1e'")
        terms.append(MulIrrep(int(match[1] or 1), Irrep.parse(match[2] + match[3])))
    return terms
