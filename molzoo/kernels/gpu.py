"""The GPU back end: kernels of :mod:`molzoo.kernels.gpu_source`, compiled by Triton.

Results are bit-identical from run to run. Under ``TRITON_INTERPRET=1`` the kernels run on a CPU, slowly, as Triton interprets
them: so their numbers are tested where there is no GPU.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch

from molzoo.kernels.files import cache_folder, load, of_process, say_not_kept
from molzoo.kernels.gpu_source import module
from molzoo.kernels.program import ConvolutionProgram
from molzoo.kernels.windows import overlapped, result
from molzoo.shapes import Tensor


def run(
    program: ConvolutionProgram,
    slot: str,
    edges: Sequence[Tensor],
    values: Sequence[Tensor | None],
    tangents: Sequence[Tensor | None],
) -> Tensor:
    """∂Q/∂slot, or its derivative along ``tangents``; arguments as those of :func:`molzoo.kernels.cpu.run`, but tensors."""
    like = next(t for t in values if t is not None)
    rows = len(edges[0]) - 1
    out = result(program, slot, like, rows)
    if not out.numel():
        return overlapped(program, slot, out)
    arrays = [like if t is None else t.detach().contiguous() for t in (*values, *tangents)]  # what is absent is not read
    moving = "".join(name for name, t in zip("xYwg", tangents, strict=True) if t is not None)
    with torch.cuda.device_of(like):
        for kernel, blocks, channels in _kernels(program.key, slot, moving):
            kernel[rows, blocks](*edges, *arrays, out, num_warps=max(1, channels // 32))
    return overlapped(program, slot, out)


@cache
def _kernels(key: int, slot: str, tangents: str) -> list[tuple[Any, int, int]]:
    """Kernels, with the number of their blocks and the channels of one."""
    text, folder = module(ConvolutionProgram.of(key), slot, tangents), cache_folder()
    try:
        return load(text, folder).KERNELS
    except OSError as error:
        say_not_kept(folder, str(error))
        return load(text, of_process()).KERNELS
