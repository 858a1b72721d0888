"""What compiled loops would not survive, said in one sentence before they run: wrong shapes, precisions, devices, indices."""

from collections.abc import Mapping

import torch

from molzoo.kernels.program import ConvolutionProgram
from molzoo.kernels.watchers import watched
from molzoo.shapes import Tensor


def in_order(src: Tensor, dst: Tensor, w_row: Tensor, n_src: int, n_dst: int, n_rows: int) -> None:
    """Edges are sorted by receiver and name rows that there are.

    >>> one, two = torch.tensor([1]), torch.tensor([2])
    >>> in_order(one, two, one, 2, 2, 2)
    Traceback (most recent call last):
    ...
    ValueError: dst names row 2, but there are 2 rows (0 to 1)
    """
    indices = {"src": (src, n_src), "dst": (dst, n_dst), "w_row": (w_row, n_rows)}
    for name, (index, _) in indices.items():
        if index.dtype != torch.int64 or index.shape != src.shape or index.ndim != 1:
            raise ValueError(
                f"{name} must be int64 of shape ({len(src)},), one for each edge, but is {_kind(index)} of {tuple(index.shape)}"
            )
        if index.device != src.device:
            raise ValueError(f"{name} is on {index.device}, but src on {src.device}; move the graph as a whole")
    if not len(src) or _unreadable(src):
        return
    for name, (index, n) in indices.items():
        least, most = (int(bound) for bound in index.aminmax())
        if least < 0 or most >= n:
            raise ValueError(f"{name} names row {least if least < 0 else most}, but there are {n} rows (0 to {n - 1})")
    falls = (dst[1:] < dst[:-1]).nonzero()
    if len(falls):
        e = int(falls[0]) + 1
        raise ValueError(
            f"dst is not sorted: edge {e} arrives at {int(dst[e])} after {int(dst[e - 1])}; "
            "sort the edges by order = dst.argsort(stable=True)"
        )


def fits(program: ConvolutionProgram, edges: Tensor, rows: Mapping[str, int], arguments: Mapping[str, Tensor]) -> None:
    """The arguments have the program's columns, as many rows as edges or as is said, and one precision and device."""
    first, x = next(iter(arguments.items()))
    n_edges, device = edges.shape[0], edges.device
    for name, t in arguments.items():
        shape = rows.get(name, n_edges), program.dim[name]
        if t.shape != shape:
            raise ValueError(f"{name} must have the shape {shape}, but has {tuple(t.shape)}")
        if t.device != device:
            raise ValueError(f"{name} is on {t.device}, but the edges are on {edges.device}; move one of them")
        if t.dtype != x.dtype and not torch.is_autocast_enabled(x.device.type):
            raise ValueError(f"{name} is {_kind(t)}, but {first} is {_kind(x)}; cast one of them")


def _kind(t: Tensor) -> str:
    return str(t.dtype).removeprefix("torch.")


def _unreadable(t: Tensor) -> bool:
    """Whether a tracer or a transformation looks on, that knows no values."""
    return watched(t) or (t.is_cuda and torch.cuda.is_current_stream_capturing())
