"""Tensor products by instructions: e3nn's numbers, weights and paths, by operations and by compiled loops."""

import pytest
from o3_laws import LAWS, Case

from molzoo.o3 import Irreps
from molzoo.o3.tensor_product import TensorProduct

HARMONICS = Irreps("0e + 1o")
EVERY_MODE = [("uvw", 3, 2, 4), ("uvu", 3, 2, 3), ("uvv", 3, 2, 2), ("uuw", 3, 3, 2), ("uuu", 3, 3, 3), ("uvuv", 3, 2, 6)]
EVERY_MODE += [("uvu<v", 4, 4, 6), ("u<vw", 4, 4, 3)]


def every_mode():
    """A path of each mode with weights, and two without to outputs that are there already."""
    modes, *copies = zip(*EVERY_MODE, strict=True)
    ins = [[(mul, "1o") for mul in muls] for muls in copies]
    outs = [(mul, ("1e", "2e")[n % 2]) for n, mul in enumerate(copies[2])]
    paths = [(n, n, n, mode, True) for n, mode in enumerate(modes)]
    return Irreps(ins[0]), Irreps(ins[1]), Irreps(outs), [*paths, (1, 1, 1, "uvu", False), (4, 4, 4, "uuu", False, 0.3)]


def depthwise(copies, mode="uvu", has_weight=True):
    """A feature with harmonics, each path to an output of its own: what messages along edges are made of."""
    ins = Irreps([(copies, ir) for _, ir in HARMONICS])
    paths = [(i, j, ir) for i, (_, a) in enumerate(ins) for j, (_, b) in enumerate(HARMONICS) for ir in a * b]
    out = Irreps([(copies, ir) for _, _, ir in paths])
    return ins, HARMONICS, out, [(i, j, k, mode, has_weight) for k, (i, j, _) in enumerate(paths)]


def connected(*irreps):
    """Every path, fully connected."""
    ins1, ins2, outs = map(Irreps, irreps)
    triples = ((i, j, k) for i in range(len(ins1)) for j in range(len(ins2)) for k in range(len(outs)))
    return ins1, ins2, outs, [(i, j, k, "uvw", True) for i, j, k in triples if outs[k].ir in ins1[i].ir * ins2[j].ir]


PRODUCTS = {
    "every mode": every_mode(),
    "mixed": connected("3x0e + 2x1o", HARMONICS, "2x0e + 4x1o"),
    "scaled": depthwise(3),
    "coupled": depthwise(3, "uvuv", has_weight=False),
    "no copies": ("0x0e + 2x1o", "1o", "3x0e + 0x1e", [(1, 0, 0, "uvw", True), (1, 0, 1, "uvw", True)]),
}


def case(name, layout, shared):
    product, options = PRODUCTS[name], {"layout": layout, "shared_weights": shared}
    numel = TensorProduct(*product, **options).weight_numel
    inputs = [*map(str, product[:2]), *([] if shared else [f"{numel}x0e"])]
    how = "shared" if shared else "of each row"
    return Case(f"{name} {layout} {how}", lambda: TensorProduct(*product, **options), inputs, str(product[2]), layout)


KINDS = [("every mode", "mul_ir", True), ("every mode", "ir_mul", False), ("mixed", "mul_ir", True), ("mixed", "ir_mul", False)]
KINDS += [("scaled", "mul_ir", False), ("coupled", "ir_mul", True), ("no copies", "mul_ir", True)]
CASES = [case(*kind) for kind in KINDS]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_laws(case, law):
    law(case)
