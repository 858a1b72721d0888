"""The picture of a tensor product: its inputs on two sides of a hexagon, its output on the third, its paths between."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from molzoo.o3.irreps import Irreps
from molzoo.shapes import Tensor

if TYPE_CHECKING:
    from molzoo.o3.tensor_product import TensorProduct

_GREY, _BLUE = "0.6", "tab:blue"


def draw(
    product: "TensorProduct",
    weight: Tensor | None = None,
    plot_weight: bool = True,
    aspect_ratio: float | int | str = 1,
    ax: Any = None,
) -> tuple[Any, Any]:
    """Figure and axes with the diagram of all paths: x on the upper left side, y on the upper right, z below.

    The three lines of a path meet where those of all paths of the same x and y do. They are blue if the path has weights, the
    darker the larger these are, and grey if it is fixed.

    Args:
        product: with the paths.
        weight: as of a call; by default the product's own.
        plot_weight: whether blue lines show the size of weights, if there are some.
        aspect_ratio: of width to height, or "auto": by the number of terms.
        ax: of matplotlib, by default the current ones.

    >>> from molzoo.o3.tensor_product import TensorProduct
    >>> from matplotlib.figure import Figure
    >>> figure, axes = draw(TensorProduct("4x0e", "1o", "4x1o", [(0, 0, 0, "uvu", True)]), ax=Figure().gca())
    >>> [text.get_text() for text in axes.texts]
    ['4×0e', '1o', '4×1o']
    """
    import matplotlib.pyplot as plt  # takes a second

    ax = plt.gca() if ax is None else ax
    irreps = product.irreps_in1, product.irreps_in2, product.irreps_out
    width, height = _size(irreps, aspect_ratio)
    corners = [np.array([width * math.cos(n * math.pi / 3), height * math.sin(n * math.pi / 3)]) for n in range(6)]
    sides = (corners[2], corners[3]), (corners[1], corners[0]), (corners[4], corners[5])
    places = [
        [a + (n + 1) / (len(terms) + 1) * (b - a) for n in range(len(terms))]
        for (a, b), terms in zip(sides, irreps, strict=True)
    ]
    for path, color in zip(product.instructions, _colors(product, weight, plot_weight), strict=True):
        x, y, z = (places[side][term] for side, term in enumerate(path[:3]))
        centre = _meeting(x, np.add(*sides[0]), y, np.add(*sides[1]))
        for end in (x, y, z):
            ax.plot(*zip(end, centre, strict=True), color=color, lw=1.5, alpha=0.7)
    alignments = ("right", "center", (-4, 0), 0), ("left", "center", (4, 0), 0), ("center", "top", (0, -4), 90)
    for (a, b), terms, points, (ha, va, shift, rotation) in zip(sides, irreps, places, alignments, strict=True):
        ax.plot(*zip(a, b, strict=True), color="black", lw=1)
        for (mul, ir), point in zip(terms, points, strict=True):
            label = f"{ir}" if mul == 1 else f"{mul}×{ir}"
            ax.annotate(label, point, xytext=shift, textcoords="offset points", ha=ha, va=va, rotation=rotation)
    ax.axis("equal")
    ax.axis("off")
    return ax.get_figure(), ax


def _size(irreps: Sequence[Irreps], aspect_ratio: float | int | str) -> tuple[float, float]:
    """Half the width and height that leave room for all terms."""
    terms1, terms2, terms_out = map(len, irreps)
    if aspect_ratio == "auto":
        return 0.1 * max(1, terms_out), 0.1 * max(1, terms1, terms2, terms_out / 2)
    if isinstance(aspect_ratio, str):
        raise ValueError(f"aspect_ratio is the width over the height, or 'auto'; got {aspect_ratio!r}")
    height = 0.1 * max(1, terms1, terms2, terms_out)
    return aspect_ratio * height, height


def _meeting(x: np.ndarray, u: np.ndarray, y: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Where the lines through x along u and through y along v meet."""
    return x + np.linalg.solve(np.stack([u, -v], 1), y - x)[0] * u


def _colors(product: "TensorProduct", weight: Tensor | None, plot_weight: bool) -> list[Any]:
    """Of each path: grey if it is fixed, else blue, the darker the larger its weights."""
    from matplotlib import colormaps

    shown = plot_weight and (weight is not None or product.internal_weights)
    size = {number: float(W.detach().square().mean()) for number, _, W in product.weight_views(weight, True)} if shown else {}
    largest = max(size.values(), default=0.0) or 1.0
    blue = lambda number: colormaps["Blues"](0.5 + 0.5 * size[number] / largest) if shown else _BLUE  # noqa: E731
    return [blue(number) if path.has_weight else _GREY for number, path in enumerate(product.instructions)]
