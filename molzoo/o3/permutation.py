"""Permutations, the symmetric group, and formulas such as ``ij=-ji`` that say how the indices of a tensor may be exchanged.

A permutation p of n things is the tuple (p(0), …, p(n − 1)).
"""

import itertools
import math
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from typing import Any, TypeVar

import torch

from molzoo.o3.bases import complete_basis
from molzoo.shapes import Tensor

Permutation = tuple[int, ...]
Signed = tuple[int, Permutation]
T = TypeVar("T", bound=Hashable)


def is_perm(p: Iterable[int]) -> bool:
    """Whether ``p`` holds each of 0 … n − 1 once.

    >>> is_perm((2, 0, 1)), is_perm((0, 0, 1))
    (True, False)
    """
    p = list(p)
    return sorted(p) == list(range(len(p)))


def identity(n: int) -> Permutation:
    """The permutation that leaves all in place.

    >>> identity(3)
    (0, 1, 2)
    """
    return tuple(range(n))


def compose(p1: Permutation, p2: Permutation) -> Permutation:
    """First p2, then p1: i ↦ p1(p2(i)).

    >>> compose((1, 2, 0), (1, 0, 2))
    (2, 1, 0)
    """
    if len(p1) != len(p2) or not is_perm(p1) or not is_perm(p2):
        raise ValueError(f"only permutations of the same things can be composed; got {p1} and {p2}")
    return tuple(p1[i] for i in p2)


def inverse(p: Permutation) -> Permutation:
    """The permutation that undoes ``p``.

    >>> inverse((1, 2, 0))
    (2, 0, 1)
    """
    return tuple(p.index(i) for i in range(len(p)))


def rand(n: int) -> Permutation:
    """A random permutation, each as likely as any other.

    >>> is_perm(rand(5))
    True
    """
    return tuple(torch.randperm(n).tolist())


def from_int(i: int, n: int) -> Permutation:
    """Permutation number i of the n! of n things.

    >>> [from_int(i, 3) for i in range(4)]
    [(0, 1, 2), (1, 0, 2), (2, 0, 1), (0, 2, 1)]
    """
    left, p = list(range(n)), []
    while left:
        i, at = divmod(i, len(left))
        p.append(left.pop(at))
    return tuple(p)


def to_int(p: Permutation) -> int:
    """The number that :func:`from_int` makes ``p`` from.

    >>> to_int((2, 0, 1))
    2
    """
    if not p:
        return 0
    return p[0] + len(p) * to_int(tuple(i - (i > p[0]) for i in p[1:]))


def group(n: int) -> set[Permutation]:
    """All permutations of n things.

    >>> len(group(4))
    24
    """
    return set(itertools.permutations(range(n)))


def germinate(subset: Iterable[Permutation]) -> set[Permutation]:
    """The group that permutations generate: all their products.

    >>> sorted(germinate({(1, 2, 0)}))
    [(0, 1, 2), (1, 2, 0), (2, 0, 1)]
    """
    return _products(subset, compose)


def _products(generators: Iterable[T], times: Callable[[T, T], T]) -> set[T]:
    """All products; of a finite group's generators these are the group, for each inverse is a power."""
    generators = set(generators)
    found = new = generators
    while new:
        new = {times(a, b) for a in new for b in generators} - found
        found = found | new
    return found


def is_group(g: Collection[Permutation]) -> bool:
    """Whether ``g`` holds a permutation and all products of its own.

    >>> is_group({(0, 1, 2), (1, 0, 2)}), is_group({(0, 1, 2), (1, 2, 0)})
    (True, False)
    """
    return len(g) > 0 and all(compose(a, b) in g for a in g for b in g)


def to_cycles(p: Permutation) -> set[tuple[int, ...]]:
    """The cycles i → p(i) → p(p(i)) … of two things or more, each from its smallest.

    >>> sorted(to_cycles((1, 0, 4, 3, 2)))
    [(0, 1), (2, 4)]
    """
    cycles, seen = set(), set()
    for first in range(len(p)):
        cycle, i = [], first
        while i not in seen:
            seen.add(i)
            cycle.append(i)
            i = p[i]
        if len(cycle) > 1:
            cycles.add(tuple(cycle))
    return cycles


def sign(p: Permutation) -> int:
    """+1 of an even permutation, −1 of an odd one.

    >>> sign((1, 0, 2)), sign((1, 2, 0))
    (-1, 1)
    """
    return math.prod((-1) ** (len(cycle) - 1) for cycle in to_cycles(p))


def natural_representation(p: Permutation, dtype: torch.dtype | None = None, device: Any = None) -> Tensor:
    """The matrix (n, n) that takes unit vector i to unit vector p(i).

    >>> natural_representation((1, 2, 0)).long()
    tensor([[0, 0, 1],
            [1, 0, 0],
            [0, 1, 0]])
    """
    return torch.eye(len(p), dtype=dtype, device=device)[list(inverse(p))]


def standard_representation(p: Permutation, dtype: torch.dtype | None = None, device: Any = None) -> Tensor:
    """The matrix (n − 1, n − 1) of p on vectors whose components sum to zero, an irrep of the symmetric group.

    >>> torch.allclose(standard_representation((1, 2, 0)).trace(), torch.tensor(-1.0))
    True
    """
    A = complete_basis(torch.ones(1, len(p), dtype=dtype, device=device), eps=0.1 / len(p))
    return A @ natural_representation(p, dtype, device) @ A.T


def germinate_formulas(formula: str) -> tuple[str, set[Signed]]:
    """The indices of a formula, and the group of all signed permutations that follow from it.

    (s, p) means: the tensor stays itself when its axes are permuted by p and its sign is multiplied by s.

    Raises:
        ValueError: a term is not a rearrangement of the first.

    >>> indices, symmetries = germinate_formulas("ij=-ji")
    >>> indices, sorted(symmetries)
    ('ij', [(-1, (1, 0)), (1, (0, 1))])
    >>> len(germinate_formulas("ijkl=jikl=klij")[1])
    8
    """
    terms = [term.strip() for term in formula.split("=")]
    f0 = terms[0]
    if not f0.isalpha() or len(set(f0)) != len(f0):
        raise ValueError(f"formula {formula!r} must begin with the indices, each a letter of its own, e.g. 'ij=ji'; got {f0!r}")
    generators = []
    for term in terms:
        s, f = (-1, term[1:]) if term.startswith("-") else (1, term)
        if sorted(f) != sorted(f0):
            raise ValueError(f"formula {formula!r}: {f!r} is not a rearrangement of {f0!r}; each index must come once")
        generators.append((s, tuple(f.index(i) for i in f0)))
    return f0, _products(generators, lambda a, b: (a[0] * b[0], compose(a[1], b[1])))


def of_each_index(f0: str, formulas: Collection[Signed], given: Mapping[str, T]) -> list[T]:
    """What is given for each index, or for one that the symmetry exchanges with it.

    Raises:
        ValueError: nothing is given, or two different things, or for an index that is not there.

    >>> of_each_index(*germinate_formulas("ijk=jik"), {"i": "1o", "k": "2e"})
    ['1o', '1o', '2e']
    """
    for i in set(given) - set(f0):
        raise ValueError(f"{i}={given[i]} was given, but the indices are {f0!r}; leave it out")
    found: list[T] = []
    for k, i in enumerate(f0):
        partners = sorted({f0[p[k]] for _, p in formulas} & set(given))
        values = {given[j] for j in partners}
        if not values:
            raise ValueError(f"nothing was given for index {i!r} of {f0!r}; say e.g. {i}='1o' (irreps) or {i}=3 (a dimension)")
        if len(values) > 1:
            both = ", ".join(f"{j}={given[j]}" for j in partners)
            raise ValueError(f"indices that can be exchanged must be alike, but got {both}; give one of them")
        found += values
    return found


def reduce_permutation(
    f0: str, formulas: Collection[Signed], dtype: torch.dtype | None = None, device: Any = None, **dims: int
) -> tuple[Tensor, list[list[tuple[int, tuple[int, ...]]]]]:
    """An orthonormal basis of the tensors with a symmetry, and the entries ±T[x] that are equal in each.

    Args:
        f0: the indices.
        formulas: the group; both as :func:`germinate_formulas` gives them.
        dtype, device: of the basis.
        dims: number of values of each index.

    Returns:
        The basis, one tensor for each free entry, and, for each of its tensors, its entries as (sign, place).

    >>> Q, entries = reduce_permutation(*germinate_formulas("ij=ji"), i=2)
    >>> Q[1]
    tensor([[0.0000, 0.7071],
            [0.7071, 0.0000]])
    >>> entries
    [[(1, (0, 0))], [(1, (0, 1)), (1, (1, 0))], [(1, (1, 1))]]
    """
    sizes = of_each_index(f0, formulas, dims)
    orbits, seen = [], set()
    for x in itertools.product(*map(range, sizes)):
        if x in seen:
            continue
        equal = {(s, tuple(x[i] for i in p)) for s, p in formulas}
        seen |= {place for _, place in equal}
        if (-1, x) not in equal:  # otherwise T[x] = −T[x] = 0
            overall = 1 if sum(s for s, _ in equal) > 0 else -1  # free; this is e3nn's
            orbits.append(sorted((overall * s, place) for s, place in equal))
    Q = torch.zeros(len(orbits), *sizes, dtype=dtype, device=device)
    for tensor, orbit in zip(Q, orbits, strict=True):
        for s, place in orbit:
            tensor[place] = s / math.sqrt(len(orbit))
    return Q, orbits
