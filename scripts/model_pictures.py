"""Draws the messages of docs/models.md into docs/pictures: python scripts/model_pictures.py.

One style for all: atoms are grey discs, what they carry hangs below them (bars are scalars, arrows vectors, clovers tensors of
degree 2), and what the distance and the direction say stands above the edge.
"""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.patches import Arc, Circle, Ellipse

FOLDER = Path(__file__).parents[1] / "docs" / "pictures"
INK, GREY, RED, BLUE = "0.2", "0.85", "#c0504d", "#3b6fb6"


def atom(axis: Axes, x: float, y: float, name: str) -> None:
    """A disc with its name."""
    axis.add_patch(Circle((x, y), 0.42, facecolor=GREY, edgecolor=INK))
    axis.text(x, y, f"${name}$", ha="center", va="center", fontsize=13)


def arrow(axis: Axes, start: tuple[float, float], end: tuple[float, float], colour: str = INK, width: float = 1.4) -> None:
    """From ``start`` to ``end``."""
    axis.annotate(
        "", end, start, arrowprops={"arrowstyle": "-|>", "color": colour, "linewidth": width, "shrinkA": 0, "shrinkB": 0}
    )


def feature(axis: Axes, x: float, y: float, degree: int, turned: float = 0.5) -> None:
    """Some copies of a feature: bars, an arrow or a clover."""
    if degree == 0:
        for n, height in enumerate((0.30, 0.52, 0.20, 0.40)):
            axis.bar(x + 0.13 * (n - 1.5), height, width=0.1, bottom=y - 0.25, color=BLUE)
    elif degree == 1:
        step = 0.36 * np.array([np.cos(turned), np.sin(turned)])
        arrow(axis, (x - step[0], y - step[1]), (x + step[0], y + step[1]), RED, 2.2)
    else:
        for quarter in range(4):
            at = turned + quarter * np.pi / 2
            place = (x + 0.19 * np.cos(at), y + 0.19 * np.sin(at))
            colour = (RED, BLUE)[quarter % 2]
            axis.add_patch(Ellipse(place, 0.38, 0.19, angle=np.degrees(at), facecolor=colour, edgecolor="none"))


def carried(axis: Axes, x: float, y: float, degrees: tuple[int, ...], turned: float = 0.5) -> None:
    """Features side by side, centred at ``x``."""
    for n, degree in enumerate(degrees):
        feature(axis, x + 0.95 * (n - (len(degrees) - 1) / 2), y, degree, turned)


def radial(axis: Axes, x: float, y: float, label: str) -> None:
    """A function of the distance that fades at the cutoff."""
    t = np.linspace(0, 1, 60)
    curve = np.cos(7 * t) * (0.5 * (np.cos(np.pi * t) + 1))
    axis.plot(x - 0.5 + t, y + 0.32 * curve, color=INK, linewidth=1.6)
    axis.plot([x - 0.5, x + 0.5], [y, y], color="0.7", linewidth=0.6)
    axis.text(x, y + 0.58, f"${label}$", ha="center", fontsize=11)


def canvas(formula: str) -> tuple[matplotlib.figure.Figure, Axes]:
    """An empty picture with the message written below."""
    figure, axis = pyplot.subplots(figsize=(6.2, 2.5), layout="constrained")
    axis.set(xlim=(0, 10), ylim=(-0.35, 3.7), aspect="equal")
    axis.set_axis_off()
    axis.text(5, -0.1, formula, ha="center", va="center", fontsize=12)
    return figure, axis


def two_atoms(formula: str, sent: tuple[int, ...], label: str, harmonics: tuple[int, ...], after: str = "") -> None:
    """A message from j to i: what j carries times a radial function, times harmonics of the direction."""
    axis = canvas(formula)[1]
    atom(axis, 1.6, 1.9, "j")
    atom(axis, 8.4, 1.9, "i")
    arrow(axis, (2.15, 1.9), (7.85, 1.9))
    carried(axis, 1.6, 0.95, sent)
    carried(axis, 8.4, 0.95, sent, turned=1.1)
    left = 5 - 0.6 * len(harmonics)
    radial(axis, left, 2.55, label)
    if harmonics:
        axis.text(left + 0.68, 2.55, r"$\times$", ha="center", va="center", fontsize=12)
    for n, degree in enumerate(harmonics):
        x = left + 1.35 + 1.1 * n
        feature(axis, x, 2.55, degree, turned=0.0) if degree else axis.add_patch(Circle((x, 2.55), 0.2, color=RED))
    axis.text(5, 1.5, after, ha="center", va="center", fontsize=10, color="0.35")


def three_atoms(formula: str, label: str, after: str) -> None:
    """A message from the edge k → j to the edge j → i, which depends on the angle between them."""
    axis = canvas(formula)[1]
    places = {"k": (1.3, 2.9), "j": (4.2, 1.3), "i": (8.6, 1.9)}
    for name, (x, y) in places.items():
        atom(axis, x, y, name)
    arrow(axis, (1.72, 2.67), (3.78, 1.53))
    arrow(axis, (4.7, 1.37), (8.1, 1.83))
    axis.add_patch(Arc(places["j"], 2.0, 2.0, theta1=8, theta2=151, color=RED, linewidth=1.8))
    axis.text(4.5, 2.5, r"$\alpha$", color=RED, fontsize=13)
    feature(axis, 2.1, 1.55, 0)
    feature(axis, 6.6, 0.95, 0)
    axis.text(2.1, 0.95, "$m_{kj}$", ha="center", fontsize=11)
    axis.text(7.3, 0.85, "$m_{ji}$", ha="center", fontsize=11)
    radial(axis, 6.3, 2.75, label)
    axis.text(8.1, 3.3, after, ha="center", va="center", fontsize=10, color="0.35")


DRAWINGS = {
    "schnet": (two_atoms, r"$v_i = \sum_j W(d_{ij}) \circ x_j$", (0,), "W(d)", ()),
    "painn": (
        two_atoms,
        r"$\Delta v_i = \sum_j \phi_{vv}(s_j)\circ W_{vv}\circ v_j + \phi_{vs}(s_j)\circ W_{vs}\, u_{ij}$",
        (0, 1),
        "W(d)",
        (1,),
    ),
    "tfn": (
        two_atoms,
        r"$\sum_j R(d_{ij})\, Y(u_{ij}) \otimes V_j$",
        (0, 1, 2),
        "R(d)",
        (0, 1, 2),
        "then a nonlinearity of norms",
    ),
    "nequip": (
        two_atoms,
        r"$\mathrm{gate}\,(\, W_2 \sum_j R(d_{ij})\, Y(u_{ij}) \otimes W_1 x_j + S(Z_i)\, x_i\,)$",
        (0, 1, 2),
        "R(d)",
        (0, 1, 2),
        "then scalars gate the tensors",
    ),
    "dimenet": (
        three_atoms,
        r"$m_{ji} \leftarrow \sum_k \, a(d_{kj}, \alpha)^\top W \, m_{kj}$",
        r"j_l(d)\, Y_l(\alpha)",
        "bilinear",
    ),
    "dimenetpp": (
        three_atoms,
        r"$m_{ji} \leftarrow \mathrm{up}\, \sum_k \, a(d_{kj}, \alpha) \circ \mathrm{down}\, m_{kj}$",
        r"j_l(d)\, Y_l(\alpha)",
        "elementwise",
    ),
}

if __name__ == "__main__":
    matplotlib.use("agg")
    FOLDER.mkdir(exist_ok=True)
    for name, (draw, *what) in DRAWINGS.items():
        draw(*what)
        pyplot.savefig(FOLDER / f"message_{name}.png", dpi=100)
        pyplot.close()
