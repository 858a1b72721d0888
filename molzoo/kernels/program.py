"""A convolution as data: which rows of the input meet which harmonics and make which rows of the output.

    Q(x, Y, w, g) = Σ_edges Σ_paths Σ_channels  C[m, n, k] · x_j[m] · Y_ij[n] · w_ij[p] · g_i[k]

Rows are numbered through all blocks and lie one after another, each with its own number of channels.
"""

import threading
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import accumulate
from typing import Any, ClassVar, NamedTuple


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
        scalar_weights: w has one number for each path, and not one for each of its channels.
        window: an edge reads so many rows of x, from ``src`` on, as if they stood side by side in one; terms count through all.

    >>> print(ConvolutionProgram((16,), 4, (16,) * 3, (tuple(Term(0, n, n - 1, 1.0) for n in (1, 2, 3)),)))
    1 row ⊗ 4 harmonics → 3 rows, 1 path, 3 coefficients
     path  channels  weights    x    Y  out  coefficient
        0        16       16    0    1    0            1
        0        16       16    0    2    1            1
        0        16       16    0    3    2            1
    """

    channels_in: tuple[int, ...]
    n_harmonics: int
    channels_out: tuple[int, ...]
    paths: tuple[tuple[Term, ...], ...]
    scalar_weights: bool = False
    window: int = 1
    key: ClassVar[int]  # of each program its own, but no field, or Dynamo would give it to the constructor

    _keys: ClassVar[dict["ConvolutionProgram", int]] = {}
    _known: ClassVar[list["ConvolutionProgram"]] = []
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def __post_init__(self) -> None:
        for p, path in enumerate(self.paths):
            found = {self.rows_in[t.m] for t in path} | {self.channels_out[t.k] for t in path}
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

    def __reduce__(self) -> tuple[Any, ...]:
        """By its arguments: the number is that of this process."""
        return type(self), tuple(getattr(self, each.name) for each in fields(self))

    @cached_property
    def rows_in(self) -> tuple[int, ...]:
        """Channels of each row of x, through a whole window."""
        return self.channels_in * self.window

    @cached_property
    def channels(self) -> tuple[int, ...]:
        """Channels of each path, so of its weights."""
        return tuple(self.rows_in[path[0].m] for path in self.paths)

    @cached_property
    def widths(self) -> dict[str, tuple[int, ...]]:
        """Columns of each row of x and g, of each harmonic of Y, and of each path of w."""
        w = (1,) * len(self.paths) if self.scalar_weights else self.channels
        return {"x": self.rows_in, "Y": (1,) * self.n_harmonics, "w": w, "g": self.channels_out}

    @cached_property
    def dim(self) -> dict[str, int]:
        """Columns of x, Y, w and g."""
        return {name: sum(widths) for name, widths in self.widths.items()} | {"x": sum(self.channels_in)}

    @cached_property
    def reach(self) -> dict[str, int]:
        """Columns that one row of a result has in the loops: those of x, Y, w and g, but of a whole window of x."""
        return {name: sum(widths) for name, widths in self.widths.items()}

    @cached_property
    def begins(self) -> dict[str, list[int]]:
        """First column of each row of x and g, of each harmonic of Y, and of each path of w."""
        return {name: list(accumulate(widths, initial=0)) for name, widths in self.widths.items()}

    def over_channels(self, slot: str) -> bool:
        """Whether the result of this slot is summed over channels: harmonics, and weights of one channel."""
        return slot == "Y" or (slot == "w" and self.scalar_weights)

    @cached_property
    def work(self) -> int:
        """Multiplications of one edge."""
        return sum(len(path) * channels for path, channels in zip(self.paths, self.channels, strict=True))

    def flops(self, slot: str) -> int:
        """Multiplications and additions of an edge in the cheapest order: C·Y first, then x (or g), w, and the rest."""
        total = 0
        for path, channels in zip(self.paths, self.channels, strict=True):
            m, k, pairs = len({t.m for t in path}), len({t.k for t in path}), len({(t.m, t.k) for t in path})
            total += 2 * len(path) + 2 * channels * pairs
            if self.scalar_weights and slot != "w":
                total += pairs
            else:
                total += channels * {"g": min(m, 2 * k), "x": min(2 * m, k), "Y": min(m, k), "w": 2 * min(m, k)}[slot]
        return total

    def n_bytes(self, slot: str, n_edges: int, n_src: int, n_dst: int, n_rows: int, itemsize: int = 4) -> int:
        """What a contraction must move at least: x, Y, w, g and the indices of 8 bytes, each once."""
        rows = {"x": n_src, "Y": n_edges, "w": n_rows, "g": n_dst}
        indices = 3 if slot == "g" else 4  # edges come in the order of their receivers
        return itemsize * sum(rows[name] * self.dim[name] for name in rows) + 8 * n_edges * indices

    @classmethod
    def of(cls, key: int) -> "ConvolutionProgram":
        """The program of this number."""
        return cls._known[key]

    def __str__(self) -> str:
        count = lambda n, word: f"{n} {word}{'s' * (n != 1)}"  # noqa: E731
        rows_in, rows_out = (count(len(rows), "row") for rows in (self.rows_in, self.channels_out))
        sizes = f"{count(len(self.paths), 'path')}, {count(sum(map(len, self.paths)), 'coefficient')}"
        lines = [f"{rows_in} ⊗ {count(self.n_harmonics, 'harmonic')} → {rows_out}, {sizes}"]
        lines.append(" path  channels  weights    x    Y  out  coefficient")
        for p, (path, channels, weights) in enumerate(zip(self.paths, self.channels, self.widths["w"], strict=True)):
            for m, n, k, value in path:
                lines.append(f"{p:5}  {channels:8}  {weights:7}  {m:3}  {n:3}  {k:3}  {value:11.6g}")
        return "\n".join(lines)
