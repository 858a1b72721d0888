"""Which frames make up each batch: shuffled by (seed, epoch), within a budget of edges, as many steps on every rank."""

from collections.abc import Iterator
from itertools import count

import numpy as np
import torch.distributed as distributed
from torch.utils.data import Sampler

from molzoo.shapes import Int, Tensor

_TRIALS = 4


class Batches(Sampler[list[int]]):
    """Lists of frame numbers; over an epoch every frame comes once, on one rank.

    A batch is closed when it holds ``batch_size`` frames or when the next one would bring it above ``max_edges``; a frame
    that is above it alone is a batch of its own. The order depends on (seed, epoch) only, so that a resumed run needs no state.

    The number of batches is the same in every epoch, because learning-rate schedules and Lightning count on it although a
    budget packs each order differently: it is fixed as the most that a few orders needed, an order that needs more is
    drawn again, and one that needs fewer has its longest batches halved. Halving also makes ranks equal.

    Args:
        n: number of frames.
        batch_size: frames in a batch, at most.
        shuffle: a new order in each epoch; otherwise as they come.
        seed: of the order.
        n_edges: directed edges in each frame; needed with ``max_edges``.
        max_edges: edges in a batch, at most.
        share: deal the batches to the ranks of a distributed run; otherwise each takes all.
    """

    def __init__(
        self,
        n: int,
        batch_size: int,
        *,
        shuffle: bool,
        seed: int = 0,
        n_edges: Int[Tensor, " n"] | None = None,
        max_edges: int | None = None,
        share: bool = True,
    ) -> None:
        if batch_size < 1 or (max_edges is not None and max_edges < 1):
            raise ValueError(f"batch_size {batch_size} and max_edges {max_edges} must be at least 1")
        if max_edges is not None and n_edges is None:
            raise ValueError("max_edges needs n_edges, the edges of each frame; pass frames.n_edges")
        self.n, self.batch_size, self.shuffle, self.seed = n, batch_size, shuffle, seed
        self.n_edges: list[int] = [] if n_edges is None else n_edges.tolist()
        self.max_edges, self.share, self.epoch = max_edges, share, 0
        trials = _TRIALS if shuffle and max_edges is not None else 1
        self._n_batches = max(len(self._pack(self._order(0, trial))) for trial in range(trials))

    @property
    def sampler(self) -> "Batches":
        """The object itself: Lightning calls ``set_epoch`` on a batch sampler's ``sampler``, not on the batch sampler."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Give the order of ``epoch`` from the next iteration on."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Steps of an epoch on each rank."""
        return -(-self._n_batches // self._rank_and_ranks()[1])

    def __iter__(self) -> Iterator[list[int]]:
        rank, ranks = self._rank_and_ranks()
        return iter(_exactly(len(self) * ranks, self._packed_order())[rank::ranks])

    def _rank_and_ranks(self) -> tuple[int, int]:
        # Asked when it is needed: the process group may start long after the loader was made.
        if self.share and distributed.is_available() and distributed.is_initialized():
            return distributed.get_rank(), distributed.get_world_size()
        return 0, 1

    def _packed_order(self) -> list[list[int]]:
        packed = (self._pack(self._order(self.epoch, trial)) for trial in count())
        return next(batches for batches in packed if len(batches) <= self._n_batches)

    def _order(self, epoch: int, trial: int) -> list[int]:
        if not self.shuffle:
            return list(range(self.n))
        return np.random.default_rng((self.seed, epoch, trial)).permutation(self.n).tolist()

    def _pack(self, order: list[int]) -> list[list[int]]:
        if self.max_edges is None:
            return [order[i : i + self.batch_size] for i in range(0, len(order), self.batch_size)]
        batches: list[list[int]] = []
        room, edges = 0, 0
        for frame in order:
            if room == 0 or edges + self.n_edges[frame] > self.max_edges:
                batches.append([])
                room, edges = self.batch_size, 0
            batches[-1].append(frame)
            room, edges = room - 1, edges + self.n_edges[frame]
        return batches


def _exactly(n: int, batches: list[list[int]]) -> list[list[int]]:
    """``batches`` as n of them: the longest are halved; with fewer frames than n, frames repeat."""
    batches = list(batches)
    while len(batches) < n:
        longest = max(range(len(batches)), key=lambda i: len(batches[i]))
        whole = batches[longest]
        half = (len(whole) + 1) // 2
        batches[longest : longest + 1] = [whole[:half], whole[half:] or whole]
    return batches
