"""Results of loops whose rows overlap: those of x, where an edge reads a window of several rows."""

from molzoo.kernels.program import ConvolutionProgram
from molzoo.shapes import Float, Tensor


def result(program: ConvolutionProgram, slot: str, like: Tensor, n: int) -> Float[Tensor, "n reach"]:
    """Room for ``n`` rows of a slot: of whole windows for x, behind as many rows of zeros as others reach into."""
    before = program.window - 1 if slot == "x" else 0
    room = like.new_empty((before + n, program.reach[slot]))
    if not before:
        return room
    room[:before] = 0
    return room[before:]


def overlapped(program: ConvolutionProgram, slot: str, out: Float[Tensor, "n reach"]) -> Float[Tensor, "n dim"]:
    """Row k of x: the sum over t of part t of the window that began at row k − t."""
    if slot != "x" or program.window == 1:
        return out
    W, C = program.window, program.dim[slot]
    return out.as_strided((len(out), W, C), (W * C, (W - 1) * C, 1), (W - 1) * C).sum(1)
