"""Pairs of atoms → directed edges in their total order, each knowing the pair it belongs to.

The order is (receiver, sender, shift), the shift compared as a word; it does not depend on how the pairs were found, so all
back ends give the same list, bit for bit.

Written once for NumPy arrays and torch tensors. Edges on a CPU are sorted by NumPy: its indexing uses one thread, whereas
torch's many small parallel regions cost up to ten times more when the cores are shared with data loaders or other programs.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import torch

from molzoo.shapes import Int, Tensor

Array = Any  # numpy.ndarray or Tensor; functions below never mix them

_FEW = 2000  # shorter lists are sorted faster by comparison; larger tables of images are made of those that occur


class NeighbourList(NamedTuple):
    """Edges and how they pair up.

    ``edge_index[0]`` sends (j), ``edge_index[1]`` receives (i); r_ij = pos[j] + edge_shift · cell − pos[i]. An edge and its
    reverse have the same ``pair_index``; ``pair_edge[p]`` is the first edge of pair p, and pairs are numbered in that order.
    """

    edge_index: Int[Tensor, "2 E"]
    edge_shift: Int[Tensor, "E 3"]
    pair_index: Int[Tensor, " E"]
    pair_edge: Int[Tensor, " P"]


def both_directions(i: Array, j: Array, shift: Array) -> NeighbourList:
    """All edges of pairs that are listed once each, in any orientation: r = pos[j] + shift · cell − pos[i].

    Args:
        i, j: atoms, (P,) int64.
        shift: lattice images of j, (P, 3) integers.
    """
    xp = _module(i)
    sender, receiver = xp.concatenate([j, i]), xp.concatenate([i, j])
    images, image = _images(shift)
    image = xp.concatenate([image, len(images) - 1 - image])
    order = total_order(sender, receiver, image)
    place = xp.empty_like(order)
    place[order] = _count(order)
    # Before sorting, the reverse of edge k is k ± P: one turn of the list by P.
    sender, receiver, image, reverse = (_rows(x, order) for x in (sender, receiver, image, xp.roll(place, len(i))))
    return _listed(sender, receiver, _rows(images, image), reverse)


def given_edges(sender: Array, receiver: Array, shift: Array) -> tuple[NeighbourList, Tensor]:
    """Edges that somebody brought, sorted and paired, and the order that sorted them.

    An edge whose reverse is missing is a pair of its own.

    Raises:
        ValueError: an edge is there twice.
    """
    xp = _module(sender)
    images, image = _images(shift)
    order = total_order(sender, receiver, image)
    sender, receiver, image, n = sender[order], receiver[order], image[order], len(order)
    # Edges and reversed edges sorted together: what is equal lies side by side, the edge first because sorting is stable.
    a, b = xp.concatenate([sender, receiver]), xp.concatenate([receiver, sender])
    s = xp.concatenate([image, len(images) - 1 - image])
    both = total_order(a, b, s)
    a, b, s = a[both], b[both], s[both]
    equal = (a[1:] == a[:-1]) & (b[1:] == b[:-1]) & (s[1:] == s[:-1])
    left, right = both[:-1], both[1:]
    if (equal & (right < n)).any():
        raise ValueError("an edge is listed twice; use torch_geometric.utils.coalesce, or give edge_shift if it is periodic")
    meet = xp.where(equal & (left < n))[0]
    reverse = _count(order)
    reverse[right[meet] - n] = left[meet]
    return _listed(sender, receiver, images[image], reverse), _tensor(order)


def _images(shift: Array) -> tuple[Array, Array]:
    """A sorted table of lattice images with all that occur, and the row in which each ``shift`` stands.

    The table is symmetric: the opposite of row k is row −1 − k. Few numbers to sort and to move instead of three each.
    """
    reach = [int(abs(column).max()) if len(column) else 0 for column in shift.T]
    width = [2 * most + 1 for most in reach]
    if math.prod(width) > _FEW:  # atoms that drifted through many cells
        return _drifted(shift)
    nth = _count(shift, math.prod(width))
    place = (nth // (width[1] * width[2]), nth // width[2] % width[1], nth % width[2])
    images = _module(shift).stack([x - most for x, most in zip(place, reach, strict=True)], -1)
    x, y, z = shift.T
    return images, ((x + reach[0]) * width[1] + y + reach[1]) * width[2] + z + reach[2]


def _drifted(shift: Array) -> tuple[Array, Array]:
    """As :func:`_images`, of only those images that occur."""
    if isinstance(shift, Tensor):
        images, row = torch.cat([shift, -shift]).unique(dim=0, return_inverse=True)
    else:
        images, row = np.unique(np.concatenate([shift, -shift]), axis=0, return_inverse=True)
    return images, row.reshape(-1)[: len(shift)]


def total_order(sender: Array, receiver: Array, image: Array) -> Array:
    """The permutation that sorts edges by (receiver, sender, image); stable."""
    keys = (image, sender, receiver)
    if not isinstance(sender, Tensor):
        return np.lexsort(keys) if len(sender) < _FEW else _counting_sorts(keys)
    order = keys[0].argsort(stable=True)
    for key in keys[1:]:
        order = order[key[order].argsort(stable=True)]
    return order


def _counting_sorts(keys: tuple[Array, ...]) -> Array:
    """``numpy.lexsort(keys)`` in linear time for keys of few values (atoms, lattice images)."""
    n = len(keys[0])
    order, packed, width = np.arange(n, dtype=np.int32 if n < 2**31 - 1 else np.int64), 0, 1
    for key in keys:
        low, values = key.min(), int(key.max()) - int(key.min()) + 1
        if values == 1:
            continue
        if width > 1 and width * values > n:  # neighbouring keys share a pass while their combinations are few
            order, packed, width = _stably_by(packed, width, order), 0, 1
        packed = packed + (key - low).astype(np.int64) * width
        width *= values
    return order if width == 1 else _stably_by(packed, width, order)


def _stably_by(key: Array, width: int, order: Array) -> Array:
    """``order`` sorted by ``key[order]``, numbers below ``width``; equal ones stay as they are."""
    from scipy.sparse import csc_array

    n = len(order)
    key = key.astype(order.dtype if width <= 4 * n else key.dtype).take(order)
    if width > 4 * n:  # many more atoms than edges
        return order[key.argsort(kind="stable")]
    # A matrix with one entry per column, in row `key`: rearranging it by rows is a counting sort, in C.
    columns = np.arange(n + 1, dtype=order.dtype)
    return csc_array((order, key, columns), shape=(width, n)).tocsr().data


def _listed(sender: Array, receiver: Array, shift: Array, reverse: Array) -> NeighbourList:
    """Sorted edges, of which edge e has the reverse ``reverse[e]`` (itself if it has none), with their pairs numbered."""
    xp = _module(sender)
    edge = _count(reverse)
    first = xp.minimum(edge, reverse)
    stands = first == edge
    pair_index, pair_edge = _rows(stands.cumsum(0) - 1, first), xp.where(stands)[0]
    return NeighbourList(*map(_tensor, (xp.stack([sender, receiver]), shift, pair_index, pair_edge)))


def _rows(array: Array, order: Array) -> Array:
    return array[order] if isinstance(array, Tensor) else array.take(order, 0)  # NumPy's brackets are four times slower


def _tensor(array: Array) -> Tensor:
    return array.long() if isinstance(array, Tensor) else torch.from_numpy(array.astype(np.int64, copy=False))


def _module(array: Array) -> Any:
    return torch if isinstance(array, Tensor) else np


def _count(like: Array, n: int | None = None) -> Array:
    """0, 1, 2, … up to ``n``, else as long as ``like``; of its kind and on its device."""
    n = len(like) if n is None else n
    return torch.arange(n, device=like.device) if isinstance(like, Tensor) else np.arange(n, dtype=like.dtype)
