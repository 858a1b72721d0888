"""Normal features in, features of second moment 1 out, in each term: what keeps deep networks in range at initialisation.

Each layer is made, and fed, anew many times. The means of the squares are independent, so their own scatter gives the standard
error of their mean. Of right layers, one of the fifty means here is off by 5 of them in less than one of ten thousand runs.
"""

import pytest
import torch
from torch.nn.functional import silu

from molzoo import o3
from molzoo.nn import FullyConnectedNet

TIMES, ROWS, ERRORS = 200, 60, 5
IN, BY, OUT = "8x0e + 6x1o + 4x2e", "3x0e + 2x1o", "5x0e + 6x1o + 3x1e + 2x2e"
VECTORS = "4x1o + 3x2e"
MODES = {"uvw": (4, 3, 5), "uvu": (4, 3, 4), "uvv": (4, 3, 3), "uuw": (4, 4, 5), "uuu": (4, 4, 4), "uvuv": (4, 3, 12)}
MODES |= {"uvu<v": (4, 4, 6), "u<vw": (4, 4, 5)}
LAYERS = {
    "every mode": lambda: o3.TensorProduct(
        [(u, "1o") for u, _, _ in MODES.values()],
        [(v, "2e") for _, v, _ in MODES.values()],
        [(w, "2o") for _, _, w in MODES.values()],
        [(k, k, k, mode, mode not in ("uuu", "uvuv", "uvu<v")) for k, mode in enumerate(MODES)],
    ),
    "fully connected": lambda: o3.FullyConnectedTensorProduct(IN, BY, OUT),
    "fully connected, by path": lambda: o3.FullyConnectedTensorProduct(IN, BY, OUT, path_normalization="path"),
    "full": lambda: o3.FullTensorProduct("3x0e + 2x1o", "2x1o + 1x2e"),
    "elementwise": lambda: o3.ElementwiseTensorProduct("3x0e + 2x1o", "2x1o + 3x2e"),
    "square": lambda: o3.TensorSquare("3x0e + 2x1o"),
    "square, weighted": lambda: o3.TensorSquare("3x0e + 2x1o", "4x0e + 3x1o + 2x2e"),
    "reduced": lambda: o3.ReducedTensorProducts("ij", i="1o", j="0e + 1o"),
    "linear": lambda: o3.Linear("8x0e + 6x1o + 8x0e", "5x0e + 4x1o"),
    "linear, by path": lambda: o3.Linear("8x0e + 6x1o + 2x0e", "5x0e + 4x1o", path_normalization="path"),
    "activation": lambda: o3.Activation("8x0e + 8x0o", [silu, torch.tanh]),
    "gate": lambda: o3.Gate("8x0e", [silu], "7x0e", [torch.sigmoid], VECTORS),
    "batch norm": lambda: o3.BatchNorm(IN, eps=1e-12),
    "layer norm": lambda: o3.LayerNorm(IN, eps=1e-12),
    "harmonics": lambda: o3.SphericalHarmonics([0, 1, 2, 3], normalize=True, normalization="component"),
    "dense": lambda: FullyConnectedNet([64, 256, 64], silu),
    "sphere": lambda: o3.ToS2Grid(3, (10, 9)),
}


def inputs(layer) -> list[torch.Tensor]:
    """Normal rows of what it takes."""
    for names in (["irreps_in"], ["irreps_in1", "irreps_in2"], ["irreps"]):
        if hasattr(layer, names[0]):
            found = [getattr(layer, name) for name in names]
            return [i.randn(ROWS, -1) for i in (found if isinstance(found[0], o3.Irreps) else found[0])]
    return [torch.randn(ROWS, layer.hs[0] if hasattr(layer, "hs") else (layer.lmax + 1) ** 2)]


def moments(layer) -> torch.Tensor:
    """Of each term of the output."""
    squares = layer(*inputs(layer)).square()
    irreps = getattr(layer, "irreps_out", getattr(layer, "irreps", None))
    parts = squares.split([term.dim for term in irreps], -1) if irreps else [squares]
    return torch.stack([part.mean() for part in parts])


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", LAYERS)
@torch.no_grad()
def test_second_moments_are_one(name):
    drawn = torch.stack([moments(LAYERS[name]()) for _ in range(TIMES)])
    standard_error = drawn.std(0) / TIMES**0.5
    assert standard_error.max() < 0.05
    assert ((drawn.mean(0) - 1).abs() <= ERRORS * standard_error + 1e-6).all()
