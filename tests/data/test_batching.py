import numpy as np
import pytest
import torch
import torch.distributed as distributed
import torch.multiprocessing as multiprocessing
from torch.utils.data import DataLoader

from molzoo.data.batching import Batches

EDGES = torch.from_numpy(np.random.default_rng(0).integers(5, 60, size=203))


def frames_of(batches):
    return sorted(frame for batch in batches for frame in batch)


def test_every_frame_once_in_each_epoch():
    batches = Batches(203, 10, shuffle=True)
    assert len(batches) == 21
    assert frames_of(batches) == list(range(203))


def test_unshuffled_batches_come_in_order():
    assert list(Batches(5, 2, shuffle=False)) == [[0, 1], [2, 3], [4]]


def test_the_order_depends_on_seed_and_epoch_only():
    first, second = Batches(203, 10, shuffle=True, seed=3), Batches(203, 10, shuffle=True, seed=3)
    for epoch in (0, 5, 2):
        first.set_epoch(epoch)
    second.set_epoch(2)
    assert list(first) == list(second)
    second.set_epoch(3)
    assert list(first) != list(second)
    assert list(first) != list(Batches(203, 10, shuffle=True, seed=4))


@pytest.mark.parametrize("shuffle", [True, False])
def test_the_edge_budget_holds_in_every_epoch(shuffle):
    batches = Batches(203, 10, shuffle=shuffle, n_edges=EDGES, max_edges=150)
    for epoch in range(30):
        batches.set_epoch(epoch)
        packed = list(batches)
        assert len(packed) == len(batches)
        assert frames_of(packed) == list(range(203))
        assert all(len(batch) <= 10 and int(EDGES[batch].sum()) <= 150 for batch in packed)
    batches.set_epoch(7)
    assert list(batches) == list(batches)


def test_a_frame_above_the_budget_is_a_batch_of_its_own():
    packed = list(Batches(4, 10, shuffle=False, n_edges=torch.tensor([5, 500, 5, 5]), max_edges=20))
    assert packed == [[0], [1], [2, 3]]


def test_lightning_finds_set_epoch():
    from lightning.fabric.utilities.data import _set_sampler_epoch  # here, because the ranks below import this file

    batches = Batches(20, 5, shuffle=True)
    loader = DataLoader(range(20), batch_sampler=batches, collate_fn=list)
    _set_sampler_epoch(loader, 4)
    assert batches.epoch == 4


def test_no_frames_are_no_batches():
    assert list(Batches(0, 5, shuffle=False)) == []


@pytest.mark.parametrize("arguments", [dict(batch_size=0), dict(batch_size=1, max_edges=0)])
def test_errors(arguments):
    with pytest.raises(ValueError, match="at least 1"):
        Batches(3, shuffle=False, n_edges=torch.ones(3, dtype=torch.long), **arguments)
    with pytest.raises(ValueError, match=r"frames\.n_edges"):
        Batches(3, 1, shuffle=False, max_edges=5)


def rank_batches(rank, ranks, port, folder):
    distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=ranks)
    result = {}
    for name, batches in samplers().items():
        batches.set_epoch(3)
        result[name] = (len(batches), list(batches))
    torch.save(result, folder / f"{rank}.pt")
    distributed.destroy_process_group()


def samplers():
    return {
        "count": Batches(203, 10, shuffle=True),
        "budget": Batches(203, 10, shuffle=True, n_edges=EDGES, max_edges=150),
        "eval": Batches(203, 100, shuffle=False),
        "one frame": Batches(1, 10, shuffle=False),
        "not shared": Batches(3, 2, shuffle=False, share=False),
    }


def test_ranks_take_the_same_number_of_steps_and_share_the_frames(tmp_path, free_port):
    multiprocessing.spawn(rank_batches, (2, free_port, tmp_path), nprocs=2, join=True)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    for name in ("count", "budget", "eval"):
        (n, a), (m, b) = first[name], second[name]
        assert n == m == len(a) == len(b), name
        assert frames_of(a + b) == list(range(203)), name  # disjoint, and none left out
    assert first["not shared"] == second["not shared"] == (2, [[0, 1], [2]])
    assert first["one frame"] == second["one frame"] == (1, [[0]])  # too few for two ranks: it repeats
