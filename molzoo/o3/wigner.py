"""How components of degree l turn (Wigner D) and how two degrees couple to a third (Clebsch–Gordan, Wigner 3j).

Everything follows from the generators of su(2) in the basis |l, m⟩, taken to real components by the unitary matrix Q of
:func:`change_basis_real_to_complex`. Real components of degree l are ordered m = −l … l, and for l = 1 they are x, y, z,
because y is the polar axis. Values are e3nn's; of its two conventions for the signs of couplings, see :func:`wigner_3j`.

>>> get_args(Convention)
('e3nn-0.6', 'e3nn-0.4.4')
"""

from functools import lru_cache
from math import comb, sqrt
from typing import Any, Literal, get_args

import torch
from torch import nn

from molzoo.quantities import nearest
from molzoo.shapes import Tensor

Convention = Literal["e3nn-0.6", "e3nn-0.4.4"]


class StoredConvention(nn.Module):
    """Part of a layer whose numbers depend on the convention of :func:`wigner_3j`: its state names it, and loads into the same.

    Args:
        convention: of the layer's Wigner 3j symbols.
    """

    def __init__(self, convention: Convention) -> None:
        super().__init__()
        self.convention = convention

    def get_extra_state(self) -> Tensor:
        """The convention, as bytes: a state holds nothing but tensors.

        >>> bytes(StoredConvention("e3nn-0.6").get_extra_state().tolist())
        b'e3nn-0.6'
        """
        return torch.tensor(list(self.convention.encode()), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Nothing, if ``state`` is of the same convention.

        Raises:
            ValueError: it is not.
        """
        theirs = bytes(state.tolist()).decode()
        if theirs != self.convention:
            raise ValueError(
                f"these weights belong to the convention {theirs!r} of Wigner 3j symbols (e3nn-0.6 if a state names none), but "
                f"the product was made with {self.convention!r}; make it with convention={theirs!r}"
            )

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        """States of e3nn name no convention."""
        state_dict.setdefault(f"{prefix}_extra_state", torch.tensor(list(b"e3nn-0.6"), dtype=torch.uint8))
        super()._load_from_state_dict(state_dict, prefix, *args)


_COMPLEX = {torch.float32: torch.complex64, torch.float64: torch.complex128}


@lru_cache(maxsize=64)
def _su2(j: int) -> Tensor:
    m = torch.arange(-j, j, dtype=torch.float64)
    step = torch.sqrt(j * (j + 1) - m * (m + 1))  # ⟨m + 1| J₊ |m⟩
    raising, lowering = torch.diag(-step, -1), torch.diag(step, 1)
    diagonal = torch.diag(1j * torch.arange(-j, j + 1, dtype=torch.float64))
    return torch.stack([0.5 * (raising + lowering) + 0j, diagonal, -0.5j * (raising - lowering)])


def su2_generators(j: int) -> Tensor:
    """The generators of su(2) on |j, m⟩, m = −j … j: complex, antihermitian, shape (3, 2j + 1, 2j + 1).

    The second is diagonal, i·m: the rotation about y, the polar axis of e3nn.

    >>> su2_generators(1)[1].diagonal()
    tensor([-0.-1.j, 0.+0.j, 0.+1.j])
    """
    return _su2(j).to(_COMPLEX[torch.get_default_dtype()], copy=True)


@lru_cache(maxsize=64)
def _real_to_complex(l: int) -> Tensor:
    q = torch.zeros(2 * l + 1, 2 * l + 1, dtype=torch.complex128)
    q[l, l] = 1
    for m in range(1, l + 1):
        below = torch.tensor([-1j, 1], dtype=q.dtype) / sqrt(2)
        q[l - m, [l - m, l + m]] = below
        q[l + m, [l - m, l + m]] = (-1) ** m * below.conj()
    return (-1j) ** l * q  # this phase makes all couplings real


def change_basis_real_to_complex(l: int, dtype: torch.dtype | None = None, device: Any = None) -> Tensor:
    """Q, unitary: complex components |l, m⟩ from real ones; shape (2l + 1, 2l + 1).

    >>> Q = change_basis_real_to_complex(2, torch.float64)
    >>> torch.allclose(Q @ Q.mH, torch.eye(5, dtype=Q.dtype))
    True
    """
    return _real_to_complex(l).to(_COMPLEX[dtype or torch.get_default_dtype()], copy=True).to(device)


@lru_cache(maxsize=64)
def _so3(l: int) -> Tensor:
    Q = _real_to_complex(l)
    return (Q.mH @ _su2(l) @ Q).real.contiguous()


def so3_generators(l: int) -> Tensor:
    """The generators of rotations about x, y and z on real components: antisymmetric, shape (3, 2l + 1, 2l + 1).

    >>> so3_generators(1)[1]
    tensor([[ 0.,  0.,  1.],
            [ 0.,  0.,  0.],
            [-1.,  0.,  0.]])
    """
    return _so3(l).to(torch.get_default_dtype(), copy=True)


@lru_cache(maxsize=64)
def _y_to_x(l: int) -> Tensor:
    """D of the rotation that takes the axis y to the axis x: a quarter turn about z, backwards."""
    return torch.matrix_exp(-0.5 * torch.pi * _so3(l)[2])


def wigner_D(l: int, alpha: Tensor, beta: Tensor, gamma: Tensor) -> Tensor:
    """D(α, β, γ) of R_y(α) R_x(β) R_y(γ) on real components of degree l, shape (..., 2l + 1, 2l + 1).

    A turn about y mixes m with −m only, by cos mα and sin mα; one about x is the same between two fixed quarter turns.

    >>> angles = torch.rand(3)
    >>> D = wigner_D(3, *angles)
    >>> torch.allclose(D @ D.mT, torch.eye(7), atol=1e-6)
    True
    """
    alpha, beta, gamma = torch.broadcast_tensors(alpha, beta, gamma)
    K = _y_to_x(l).to(alpha)
    return _about_y(l, alpha) @ (K @ _about_y(l, beta) @ K.mT) @ _about_y(l, gamma)


def _about_y(l: int, angle: Tensor) -> Tensor:
    frequency = _so3(l)[1].flip(1).diagonal().to(angle)  # ±m: row l + m of the generator has it in column l − m
    phase = angle[..., None] * frequency
    return torch.diag_embed(phase.cos()) + torch.diag_embed(phase.sin()).flip(-1) * (frequency != 0)[:, None]


def wigner_3j(
    l1: int,
    l2: int,
    l3: int,
    dtype: torch.dtype | None = None,
    device: Any = None,
    *,
    convention: Convention = "e3nn-0.6",
) -> Tensor:
    """The invariant coupling of three degrees: C_ijk = C_abc D_ai D_bj D_ck, of norm 1, shape (2l1 + 1, 2l2 + 1, 2l3 + 1).

    This fixes C up to its sign. Two exchanged degrees give the same numbers, times −1 if l1 + l2 + l3 is odd; and the
    component m = (0, 0, 0) is positive if the sum is even. For odd sums there are two conventions:

    - ``e3nn-0.6`` (since e3nn 0.5): the Clebsch–Gordan coefficients of Condon and Shortley in real components.
    - ``e3nn-0.4.4`` (up to then; MACE's released weights): with the degrees in ascending order, the first component that is
      not zero is positive. The signs of (1, 2, 2), (1, 3, 3), (1, 4, 4), (4, 4, 5) … differ from those above.

    Raises:
        ValueError: the degrees do not couple, or there is no such convention.

    >>> torch.allclose(wigner_3j(1, 1, 0)[..., 0], torch.eye(3) / 3**0.5)
    True
    >>> wigner_3j(1, 2, 2, convention="e3nn-0.4.4").equal(-wigner_3j(1, 2, 2))
    True
    """
    if not abs(l1 - l2) <= l3 <= l1 + l2:
        raise ValueError(f"degrees {l1}, {l2} and {l3} do not couple: the third must lie between {abs(l1 - l2)} and {l1 + l2}")
    if convention not in get_args(Convention):
        raise ValueError(f"there is no convention {convention!r}{nearest(convention, get_args(Convention))}")
    C = _coupling(l1, l2, l3).to(dtype or torch.get_default_dtype(), copy=True).to(device)
    return C if convention == "e3nn-0.6" else C.mul_(_sign(l1, l2, l3))


def _sign(l1: int, l2: int, l3: int) -> int:
    """The coupling of e3nn 0.4.4 over that of 0.6.

    For an odd sum of the degrees a ≤ b ≤ c, that of 0.6 begins with the component (−a, −b, a − b), or, if a = b, where this
    one is zero by antisymmetry, with (−a, 1 − a, −1). By the phases of Q, both are i^(c − a − b + 1) (−1)^a times a positive
    coefficient. Only for c = 2a − 1, the largest odd degree in a ⊗ a, does another one come before, and it is positive.
    """
    a, b, c = sorted((l1, l2, l3))
    same = (a + b + c) % 2 == 0 or (a == b and c == 2 * a - 1)
    return 1 if same else (-1) ** ((c + a - b + 1) // 2)


@lru_cache(maxsize=4096)
def _coupling(l1: int, l2: int, l3: int) -> Tensor:
    Q1, Q2, Q3 = (_real_to_complex(l) for l in (l1, l2, l3))
    C = torch.einsum("ai,bj,ck,abc->ijk", Q1, Q2, Q3.conj(), _clebsch_gordan(l1, l2, l3) + 0j).real
    return (C / C.norm()).contiguous()


def _clebsch_gordan(j1: int, j2: int, j3: int) -> Tensor:
    """⟨j1 m1 j2 m2 | j3 m3⟩ up to a positive factor; sums of whole numbers, so nothing cancels.

    In binomial coefficients (n k), with J = j1 + j2 + j3:
    Σ_z (−1)^z (J−2j3 z)(J−2j2 j1−m1−z)(J−2j1 j2+m2−z) / √[(2j1 j1−m1)(2j2 j2−m2)(2j3 j3−m3)]
    (L. Wei, Comput. Phys. Commun. 120, 222, 1999).
    """
    a, b, c = j1 + j2 - j3, j1 - j2 + j3, -j1 + j2 + j3
    C = torch.zeros(2 * j1 + 1, 2 * j2 + 1, 2 * j3 + 1, dtype=torch.float64)
    for m1 in range(-j1, j1 + 1):
        for m2 in range(max(-j2, -j3 - m1), min(j2, j3 - m1) + 1):
            u, v, m3 = j1 - m1, j2 + m2, m1 + m2
            terms = ((-1) ** z * comb(a, z) * comb(b, u - z) * comb(c, v - z) for z in range(min(a, u, v) + 1))
            size = comb(2 * j1, u) * comb(2 * j2, j2 - m2) * comb(2 * j3, j3 - m3)
            C[j1 + m1, j2 + m2, j3 + m3] = sum(terms) / sqrt(size)
    return C
