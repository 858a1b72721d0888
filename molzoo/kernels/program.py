"""A convolution as data: which rows of the input meet which harmonics and make which rows of the output.

    Q(x, Y, w, g) = Σ_edges Σ_paths Σ_channels  C[m, n, k] · x_j[m] · Y_ij[n] · w_ij[p] · g_i[k]

Rows are numbered through all blocks; every row holds the same C channels, side by side.
"""

from dataclasses import dataclass
from typing import NamedTuple


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
        rows_in: rows of the input.
        n_harmonics: columns of Y.
        rows_out: rows of the output.
        paths: the coefficients of each path, in the order of the weights.

    >>> print(ConvolutionProgram(1, 1, 1, ((Term(0, 0, 0, 1.0),),)))
    1 row ⊗ 1 harmonic → 1 row, 1 path
    path 0:  out[0] += 1 x[0] Y[0]
    """

    rows_in: int
    n_harmonics: int
    rows_out: int
    paths: tuple[tuple[Term, ...], ...]

    def __str__(self) -> str:
        count = lambda n, word: f"{n} {word}{'s' * (n != 1)}"  # noqa: E731
        head = f"{count(self.rows_in, 'row')} ⊗ {count(self.n_harmonics, 'harmonic')} → {count(self.rows_out, 'row')}"
        lines = [f"{head}, {count(len(self.paths), 'path')}"]
        for number, path in enumerate(self.paths):
            for m, n, k, value in path:
                lines.append(f"path {number}:  out[{k}] += {value:.6g} x[{m}] Y[{n}]")
        return "\n".join(lines)
