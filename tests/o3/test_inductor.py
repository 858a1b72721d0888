"""Four layers in one graph each, compiled to machine code: values and first derivatives are those of eager mode."""

import shutil

import pytest
import torch
from torch.nn.functional import silu

from molzoo import o3

LAYERS = {
    "spherical harmonics": lambda: o3.SphericalHarmonics([0, 1, 2], normalize=True, normalization="component"),
    "linear": lambda: o3.Linear("4x0e + 2x1o", "3x0e + 3x1o"),
    "gate": lambda: o3.Gate("2x0e", [silu], "2x0e", [torch.sigmoid], "2x1o"),
    "product": lambda: o3.FullyConnectedTensorProduct("2x0e + 2x1o", "0e + 1o", "2x0e + 2x1o"),
}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.skipif(
    not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="Inductor needs a C++ compiler, and there is none"
)
@pytest.mark.parametrize("name", LAYERS)
def test_compiled_equals_eager(name):
    torch._dynamo.reset()
    layer = LAYERS[name]()
    irreps = [layer.irreps_in] if hasattr(layer, "irreps_in") else [layer.irreps_in1, layer.irreps_in2]
    inputs = [i.randn(7, -1, requires_grad=True) for i in irreps]
    leaves = [*inputs, *layer.parameters()]
    results = []
    for call in (layer, torch.compile(layer, fullgraph=True)):
        out = call(*inputs)
        results.append([out, *torch.autograd.grad(out.pow(3).sum(), leaves)])
    for eager, compiled in zip(*results, strict=True):
        torch.testing.assert_close(compiled, eager, rtol=1e-5, atol=1e-5)
