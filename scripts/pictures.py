"""Draws the pictures of docs/o3.md into docs/pictures: python scripts/pictures.py."""

from pathlib import Path

import matplotlib
import torch
from matplotlib import pyplot

from molzoo import o3

FOLDER = Path(__file__).parents[1] / "docs" / "pictures"


def wigner_blocks() -> None:
    """The matrix of 10x0e + 5x1o + 2x2e under one improper rotation."""
    irreps = o3.Irreps("10x0e + 5x1o + 2x2e")
    D = irreps.D_from_matrix(-o3.rand_matrix())
    figure, axis = pyplot.subplots(figsize=(4.2, 3.6), layout="constrained")
    image = axis.imshow(D, cmap="RdBu_r", vmin=-1, vmax=1)
    for s in irreps.slices()[1:]:
        axis.axhline(s.start - 0.5, color="0.6", linewidth=0.6)
        axis.axvline(s.start - 0.5, color="0.6", linewidth=0.6)
    middles = [(s.start + s.stop - 1) / 2 for s in irreps.slices()]
    axis.set_xticks(middles, [str(term) for term in irreps])
    axis.set_yticks(middles, [str(term) for term in irreps], rotation=90, va="center")
    figure.colorbar(image, ax=axis)
    figure.savefig(FOLDER / "wigner_blocks.png", dpi=110)


def harmonics(l_max: int = 3, resolution: int = 60) -> None:
    """|Y_lm| as the distance from the origin, its sign as the colour."""
    beta, alpha = torch.meshgrid(
        torch.linspace(0, torch.pi, resolution), torch.linspace(0, 2 * torch.pi, resolution), indexing="ij"
    )
    points = o3.angles_to_xyz(alpha, beta)
    figure = pyplot.figure(figsize=(8, 4.6), layout="constrained")
    for l in range(l_max + 1):
        Y = o3.spherical_harmonics(l, points, normalize=True, normalization="norm")
        for column, values in enumerate(Y.unbind(-1)):
            place = l * (2 * l_max + 1) + (l_max - l) + column + 1
            axis = figure.add_subplot(l_max + 1, 2 * l_max + 1, place, projection="3d")
            x, y, z = (points * values.abs()[..., None]).unbind(-1)
            colours = matplotlib.colormaps["coolwarm"](values.sign().add(1).div(2).numpy())
            # matplotlib's vertical axis is its third
            axis.plot_surface(z.numpy(), x.numpy(), y.numpy(), facecolors=colours, rstride=1, cstride=1, linewidth=0)
            axis.set_box_aspect((1, 1, 1), zoom=1.35)
            axis.set(xlim=(-1, 1), ylim=(-1, 1), zlim=(-1, 1))
            axis.set_axis_off()
    figure.savefig(FOLDER / "harmonics.png", dpi=90)


def product() -> None:
    """The paths of a small tensor product."""
    figure, _ = o3.FullyConnectedTensorProduct("4x0e + 4x1o", "1x0e + 1x1o", "8x0e + 8x1o").visualize()
    figure.savefig(FOLDER / "product.png", dpi=90)


if __name__ == "__main__":
    matplotlib.use("agg")
    torch.manual_seed(3)
    FOLDER.mkdir(exist_ok=True)
    for draw in (wigner_blocks, harmonics, product):
        draw()
