"""Random structures, and the neighbours that the tests trust: every image of every atom tried in float64."""

from itertools import product

import numpy as np
import pytest
import torch


class Case:
    """One structure with its cutoff."""

    def __init__(self, kind, pos, cell, pbc, cutoff):
        self.kind, self.pos, self.cell, self.pbc, self.cutoff = kind, pos, np.asarray(cell, float), np.asarray(pbc), cutoff

    @property
    def tensors(self):
        return torch.from_numpy(self.pos), self.cutoff, torch.from_numpy(self.cell), torch.from_numpy(self.pbc)


def random_case(seed: int) -> Case:
    """A structure of one of seven kinds; atoms may lie outside the cell, also by several lattice vectors."""
    rng = np.random.default_rng(seed)
    kind = ("triclinic", "left-handed", "mixed", "one atom", "slab", "open slab", "molecule")[seed % 7]
    cell = rng.normal(size=(3, 3)) + np.eye(3) * rng.uniform(1.5, 4)
    while abs(np.linalg.det(cell)) < 2:
        cell = cell + np.eye(3)
    if (np.linalg.det(cell) > 0) == (kind == "left-handed"):
        cell = cell[[1, 0, 2]]
    n = 1 if kind == "one atom" else int(rng.integers(2, 9))
    pbc = {
        "mixed": rng.random(3) < 0.5,
        "slab": [True, True, False],
        "open slab": [True, True, False],
        "molecule": [False] * 3,
    }.get(kind, [True] * 3)
    pos = (rng.random((n, 3)) * 3 - 1) @ cell
    cutoff = (3 if kind == "one atom" else rng.uniform(0.5, 1.5)) * np.abs(np.linalg.det(cell)) ** (1 / 3)
    if kind == "open slab":
        cell[2] = 0
    if kind == "molecule":
        cell = np.eye(3)  # a dummy, as some file formats write it
    return Case(kind, pos, cell, pbc, float(cutoff))


def heights(cell):
    return 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)


def by_brute_force(case: Case) -> set[tuple[int, ...]]:
    """{(sender, receiver, *shift)} of all edges."""
    pos, cell, pbc = case.pos, case.cell.copy(), np.asarray(case.pbc)
    if not pbc.any():
        cell = np.eye(3)
    elif not pbc.all():  # give the other directions anything that is linearly independent
        _, _, basis = np.linalg.svd(np.where(pbc[:, None], cell, 0))
        cell[~pbc] = basis[int(pbc.sum()) :]
    frac = pos @ np.linalg.inv(cell)
    spread = np.ptp(frac, axis=0) if len(pos) else np.zeros(3)
    most = np.where(pbc, np.ceil(case.cutoff / heights(cell) + spread), 0).astype(int)
    images = np.array(list(product(*(range(-m, m + 1) for m in most))))
    r = pos[None, :, None] - pos[:, None, None] + images @ cell  # receiver, sender, image
    d = np.sqrt((r**2).sum(-1))
    receiver, sender, image = np.nonzero(d < case.cutoff)
    itself = (receiver == sender) & (images[image] == 0).all(1)
    rows = np.column_stack([sender, receiver, images[image]])[~itself]
    return set(map(tuple, rows.tolist()))


@pytest.fixture(autouse=True)
def one_thread():
    """Many small tensors: threads would wait for each other longer than they work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def case():
    return random_case


@pytest.fixture
def brute_force():
    return by_brute_force


@pytest.fixture
def edge_set():
    def edges(found) -> set[tuple[int, ...]]:
        return set(map(tuple, torch.cat([found.edge_index.T, found.edge_shift], 1).tolist()))

    return edges


@pytest.fixture
def check_pairs():
    """Asserts what is promised of every list in which each edge has its reverse."""

    def check(found) -> None:
        rows = [tuple(row) for row in torch.cat([found.edge_index.flip(0).T, found.edge_shift], 1).tolist()]
        assert rows == sorted(rows), "order is (receiver, sender, shift)"
        assert len(set(rows)) == len(rows)
        where = {row: e for e, row in enumerate(rows)}
        pair, stands = found.pair_index.tolist(), found.pair_edge.tolist()
        for e, (i, j, *shift) in enumerate(rows):
            reverse = where[(j, i, *(-s for s in shift))]
            assert reverse != e
            assert pair[reverse] == pair[e]
            assert stands[pair[e]] == min(e, reverse)
        assert stands == sorted(stands)
        assert len(stands) * 2 == len(rows)
        assert all(t.dtype == torch.int64 for t in (found.edge_index, found.edge_shift, found.pair_index, found.pair_edge))

    return check
