"""Derivatives of Q written out: which sums of which products, as text that each generator of source puts into its loops.

Rows are named by letter and number: x3 is row 3 of the sender, g5 row 5 of the receiver's cotangent, w2 the weight of path 2,
a2_3_5 = Σ_n C[3, n, 5] Y[n] a number of each edge. A name with an underscore at its end is the tangent of that row.

With a set of tangents T, the sums are those of Σ_{t ∈ T} ∂Q/∂slot with t replaced by its tangent: the product rule. With none,
they are those of ∂Q/∂slot itself.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from molzoo.kernels.program import ConvolutionProgram

Factors = dict[str, str]

WHERE = {"x": "src", "w": "w_row", "g": "dst"}
"""The index that says which row of an argument belongs to an edge."""


class Sum(NamedTuple):
    """``value``, a vector of so many ``channels``, is added to ``row`` of the result at each edge."""

    row: int
    channels: int
    value: str


def couplings(program: ConvolutionProgram, tangents: str) -> Iterator[tuple[str, str, list[tuple[int, float]]]]:
    """Names of numbers a = Σ_n C Y[n], which Y ("", or "_" for its tangent), and the (n, C) of their terms.

    Only those that the product rule asks for: of Y unless it alone is replaced, and of its tangent if it has one.
    """
    for end in [""] * (tangents != "Y") + ["_"] * ("Y" in tangents):
        for p, path in enumerate(program.paths):
            terms: dict[tuple[int, int], list[tuple[int, float]]] = {}
            for m, n, k, value in path:
                terms.setdefault((m, k), []).append((n, value))
            yield from ((f"a{p}_{m}_{k}{end}", end, of_pair) for (m, k), of_pair in terms.items())


def sums(program: ConvolutionProgram, slot: str, tangents: str, number: Callable[[float], str]) -> Iterator[Sum]:
    """What an edge contributes to the result; ``number`` writes a coefficient in the language of the loops.

    >>> from molzoo.kernels.program import Term
    >>> program = ConvolutionProgram((8,), 1, (8,), ((Term(0, 0, 0, 2.0),),))
    >>> list(sums(program, "x", "wg", str))
    [Sum(row=0, channels=8, value='w0 * (a0_0_0 * g0_) + w0_ * (a0_0_0 * g0)')]
    """
    for p, (path, channels) in enumerate(zip(program.paths, program.channels, strict=True)):
        by_row: dict[int, dict[tuple[int, int], Factors]] = {}
        for m, n, k, value in path:
            row = {"g": k, "x": m, "w": p, "Y": n}[slot]
            factors = {"Y": number(value) if slot == "Y" else f"a{p}_{m}_{k}", "x": f"x{m}", "g": f"g{k}"}
            by_row.setdefault(row, {})[m, k] = {name: text for name, text in factors.items() if name != slot or slot == "Y"}
        for row, products in by_row.items():
            yield Sum(row, channels, _contribution(p, slot, list(products.values()), tangents))


def factors(values: Iterable[str]) -> Iterator[tuple[str, int, str]]:
    """Letter, row and end of the names of x, w and g that these values read, each once.

    >>> list(factors(["w0 * (a0_0_0 * g0_) + w0_ * (a0_0_0 * g0)"]))
    [('w', 0, ''), ('g', 0, '_'), ('w', 0, '_'), ('g', 0, '')]
    """
    for letter, row, end in dict.fromkeys(re.findall(r"\b([xwg])(\d+)(_?)\b", " ".join(values))):
        yield letter, int(row), end


def _contribution(p: int, slot: str, products: list[Factors], tangents: str) -> str:
    """w_p · Σ products by the product rule; without w_p where the weights are the open slot."""
    if slot == "w":
        return " + ".join(_product_rule(product, tangents) for product in products)
    rest, parts = tangents.replace("w", ""), []
    if rest or not tangents:
        parts.append(f"w{p} * ({' + '.join(_product_rule(product, rest) for product in products)})")
    if "w" in tangents:
        parts.append(f"w{p}_ * ({' + '.join(_product_rule(product, '') for product in products)})")
    return " + ".join(parts)


def _product_rule(product: Factors, tangents: str) -> str:
    """The product, or the sum of those in which one of ``tangents`` stands in its factor's place."""
    replaced = [product | {t: product[t] + "_"} for t in tangents]
    return " + ".join(" * ".join(each.values()) for each in (replaced or [product]))
