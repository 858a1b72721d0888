"""What a network costs: multiplications for each edge and each pair, counted while it runs once."""

from collections import Counter
from typing import Any

import torch
from torch import nn

from molzoo.graph import AtomGraph, connect
from molzoo.kernels import use_backend
from molzoo.models.interface import AtomisticModel
from molzoo.nn import Convolution

_KINDS = {6: "pair", 12: "edge", 24: "triplet"}  # of four atoms, all within reach of each other


def multiplications(model: AtomisticModel) -> dict[str, int]:
    """Multiplications of a forward pass for each pair, edge and triplet: of convolutions, and of dense layers on them.

    >>> from molzoo.models import create_model
    >>> multiplications(create_model("SchNet", channels=8, n_filters=16, n_radial=10, n_layers=1))
    {'pair': 416, 'edge': 16}
    """
    rows: dict[nn.Module, int] = {}
    found: Counter[int] = Counter()

    def note(module: nn.Module, inputs: tuple[Any, ...], _: Any) -> None:
        if isinstance(module, Convolution):
            found[len(inputs[3].src)] += module.program.work
        elif inputs and isinstance(inputs[0], torch.Tensor):
            rows[module] = len(inputs[0])

    hooks = [module.register_forward_hook(note) for module in model.modules()]
    corners = torch.tensor([[0, 0, 0], [1, 1, 0], [1, 0, 1], [0, 1, 1]]) * 0.15 * model.cutoff
    with torch.no_grad(), use_backend("messages"):
        model(connect(AtomGraph(z=[1, 1, 1, 1], pos=corners), model.cutoff))
    for hook in hooks:
        hook.remove()
    for name, module in model.named_modules():
        if not isinstance(module, nn.Embedding):
            matrices = sum(p.numel() for p in module.parameters(recurse=False) if p.ndim > 1)
            found[_rows(model, name, rows)] += matrices
    return {kind: found[n] for n, kind in _KINDS.items() if found[n]}


def _rows(model: nn.Module, name: str, rows: dict[nn.Module, int]) -> int:
    """Rows that went through the module ``name``, or the nearest around it that was called: some only hold weights."""
    while name and model.get_submodule(name) not in rows:
        name = name.rpartition(".")[0]
    return rows.get(model.get_submodule(name), 0)
