"""The convolution in plain torch operations: any device, any precision, any order of derivative; the oracle of the loops."""

import torch

from molzoo.kernels.program import ConvolutionProgram
from molzoo.shapes import Float, Int, Tensor


def reference(
    program: ConvolutionProgram,
    edges: list[Int[Tensor, " E"]],
    n_dst: int,
    x: Float[Tensor, "n_src dim_in"],
    Y: Float[Tensor, "E harmonics"],
    w: Float[Tensor, "R weights"],
) -> Float[Tensor, "n_dst dim_out"]:
    """The sum over the edges of each receiver, term by term as the program prints them.

    Args:
        program: the paths.
        edges: sender, receiver and row of the weights of each edge.
        n_dst: number of receivers.
        x, Y, w: the three factors.
    """
    src, dst, w_row = edges
    # Split, never sliced: the derivative of a slice fills the whole tensor with zeros.
    of_edge = x.index_select(0, _windows(src, program.window)).view(len(src), sum(program.rows_in)), Y, w.index_select(0, w_row)
    x_j, Y_n, w_p = (t.split(program.widths[name], 1) for name, t in zip("xYw", of_edge, strict=True))
    rows: list[Tensor | None] = [None] * len(program.channels_out)
    for path, weight in zip(program.paths, w_p, strict=True):
        for m, n, k, value in path:
            term = value * Y_n[n] * weight * x_j[m]
            so_far = rows[k]
            rows[k] = term if so_far is None else so_far + term
    widths = zip(rows, program.channels_out, strict=True)
    messages = torch.cat([x.new_zeros(len(src), C) if row is None else row for row, C in widths], 1)
    return messages.new_zeros(n_dst, messages.shape[1]).index_add(0, dst, messages)


def _windows(src: Int[Tensor, " E"], window: int) -> Int[Tensor, " rows"]:
    """The rows that each edge reads, one edge after the other."""
    return src if window == 1 else (src[:, None] + torch.arange(window, device=src.device)).flatten()
