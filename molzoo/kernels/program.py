"""A convolution as data: which rows of the input meet which harmonics and make which rows of the output.

    Q(x, Y, w, g) = Σ_edges Σ_paths Σ_channels  C[m, n, k] · x_j[m] · Y_ij[n] · w_ij[p] · g_i[k]

Rows are numbered through all blocks and lie one after another, each with its own number of channels.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import ClassVar, NamedTuple


class Term(NamedTuple):
    """One coefficient: row ``m`` of the input, harmonic ``n``, row ``k`` of the output."""

    m: int
    n: int
    k: int
    value: float


@dataclass(frozen=True)
class ConvolutionProgram:
    """The paths of a convolution, given its coefficients as numbers.

    Args:
        channels_in: channels of each row of the input.
        n_harmonics: columns of Y.
        channels_out: channels of each row of the output.
        paths: the coefficients of each path, in the order of the weights; all rows of a path have the same channels.

    >>> print(ConvolutionProgram((16,), 1, (16,), ((Term(0, 0, 0, 1.0),),)))
    1 row ⊗ 1 harmonic → 1 row, 1 path, 1 coefficient
    path 0, 16 channels:  out[0] += 1 x[0] Y[0]
    """

    channels_in: tuple[int, ...]
    n_harmonics: int
    channels_out: tuple[int, ...]
    paths: tuple[tuple[Term, ...], ...]
    key: int = field(init=False, compare=False, repr=False)

    _keys: ClassVar[dict["ConvolutionProgram", int]] = {}
    _known: ClassVar[list["ConvolutionProgram"]] = []
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def __post_init__(self) -> None:
        for p, path in enumerate(self.paths):
            found = {self.channels_in[t.m] for t in path} | {self.channels_out[t.k] for t in path}
            if len(found) != 1:
                raise ValueError(
                    f"path {p} joins rows of different numbers of channels ({sorted(found)}); give each path its own rows"
                )
        # Operators of torch take numbers, not objects; equal programs have the same. Not lazily: compilers read it.
        with self._lock:
            if self not in self._keys:
                self._keys[self] = len(self._known)
                self._known.append(self)
        object.__setattr__(self, "key", self._keys[self])

    @cached_property
    def channels(self) -> tuple[int, ...]:
        """Channels of each path, so of its weights."""
        return tuple(self.channels_in[path[0].m] for path in self.paths)

    @cached_property
    def dim(self) -> dict[str, int]:
        """Columns of x, Y, w and g."""
        return {"x": sum(self.channels_in), "Y": self.n_harmonics, "w": sum(self.channels), "g": sum(self.channels_out)}

    @cached_property
    def begins(self) -> dict[str, list[int]]:
        """First column of each row of x and g, and of each path of w."""
        rows = {"x": self.channels_in, "w": self.channels, "g": self.channels_out}
        return {name: list(accumulate(widths, initial=0)) for name, widths in rows.items()}

    @cached_property
    def work(self) -> int:
        """Multiplications of one edge."""
        return sum(len(path) * channels for path, channels in zip(self.paths, self.channels, strict=True))

    @classmethod
    def of(cls, key: int) -> "ConvolutionProgram":
        """The program of this number."""
        return cls._known[key]

    def __str__(self) -> str:
        count = lambda n, word: f"{n} {word}{'s' * (n != 1)}"  # noqa: E731
        parts = [count(len(self.paths), "path"), count(sum(map(len, self.paths)), "coefficient")]
        ends = f"{_rows(self.channels_in)} ⊗ {count(self.n_harmonics, 'harmonic')} → {_rows(self.channels_out)}"
        lines = [f"{ends}, {', '.join(parts)}"]
        for number, (path, channels) in enumerate(zip(self.paths, self.channels, strict=True)):
            for m, n, k, value in path:
                lines.append(f"path {number}, {count(channels, 'channel')}:  out[{k}] += {value:.6g} x[{m}] Y[{n}]")
        return "\n".join(lines)


def _rows(channels: Sequence[int]) -> str:
    return f"{len(channels)} row{'s' * (len(channels) != 1)}"
