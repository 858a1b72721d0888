"""Weights for comparing two implementations of one model, drawn anew on each side, never stored.

A fixture holds the reference's parameters, `[[name, shape], …]` in order. From that list alone the
other side draws the same numbers and copies them under its own names.
"""

import json
import math

import numpy as np
import torch

SCALED_BY_THE_LAYER = ("_convnet.", "mlp_module.")  # of nequip


def draw(parameters, seed=0):
    """Draw {name: float64 array} for [(name, shape), …].

    A value depends on the seed, the place in the list, the shape and the kind: embeddings are
    normal; weights normal/√fan_in, or normal where the layer divides by √fan_in itself, so that
    features keep their size from layer to layer; biases 0.1·normal and not zero, so that a
    forgotten bias shows; wave numbers 10·normal, a few waves. DimeNet's angular basis has values up
    to 40, so its weights are a tenth of the others.
    """
    weights = {}
    for index, (name, shape) in enumerate(parameters):
        if name.endswith("freq"):
            scale = 10.0
        elif "embed" in name or any(part in name for part in SCALED_BY_THE_LAYER):
            scale = 1.0
        elif len(shape) == 1:
            scale = 0.1
        else:
            scale = math.prod(shape[1:]) ** -0.5 * (0.1 if "sbf" in name else 1.0)
        weights[name] = scale * np.random.default_rng([seed, index]).standard_normal(shape)
    return weights


def shapes(module):
    """List (name, shape) in the order of `named_parameters`."""
    return [(name, tuple(parameter.shape)) for name, parameter in module.named_parameters()]


@torch.no_grad()
def fill(module, seed=0):
    """Fill every parameter of the module in place with what `draw` gives for its list of shapes."""
    weights = draw(shapes(module), seed)
    for name, parameter in module.named_parameters():
        parameter.copy_(torch.from_numpy(weights[name]))


def description(module, seed=0):
    """Say in arrays what a fixture must hold of a filled module.

    numpy does not promise the same random stream for ever: `weight_sums`, the sum of |w| of each
    parameter, tells a changed stream from a changed model.
    """
    parameters = [p.detach() for p in module.parameters()]
    return {
        "parameters": json.dumps(shapes(module)),
        "n_parameters": sum(p.numel() for p in parameters),
        "seed": seed,
        "weight_sums": np.array([p.abs().sum().item() for p in parameters]),
    }
