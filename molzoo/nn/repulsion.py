"""What every network should know and none can learn: two nuclei repel each other.

Training data hold no atoms at half a bond's length, so there a network says anything, often an abyss that a relaxation or a hot
run falls into.
"""

import math

import torch
from torch import nn

from molzoo.shapes import Float, Int, Tensor
from molzoo.units import BOHR, HARTREE

_COULOMB = HARTREE * BOHR  # e²/4πε₀ in eV Å
_SCREENING = ((0.18175, 3.19980), (0.50986, 0.94229), (0.28022, 0.40290), (0.02817, 0.20162))
_SOFT = 0.01  # Å; atoms that coincide have finite energies, and at 0.5 Å less than 0.1 % is changed


class Repulsion(nn.Module):
    """V(d) = Z_i Z_j (e²/4πε₀ d) φ(d/a) f(d/(R_i + R_j)): screened nuclei, without effect beyond the length of a single bond.

    φ(x) = Σ_k c_k exp(−b_k x) and a = 0.88534 a₀/(Z_i^0.23 + Z_j^0.23) (J. F. Ziegler, J. P. Biersack, U. Littmark, The
    Stopping and Range of Ions in Solids, 1985); R are covalent radii (B. Cordero et al., Dalton Trans. 2832, 2008), and
    f = (1 − u)³ (1 + 3u + 6u²) for u < 1 is C² at u = 1.

    Args:
        cutoff: length in Å beyond which no pairs are listed; a longer R_i + R_j ends there.

    >>> z, r = torch.tensor([6, 6, 6]), torch.tensor([[0.5, 0.0, 0.0], [1.0, 0.0, 0.0], [1.6, 0.0, 0.0]])
    >>> Repulsion()(z, torch.tensor([1, 1, 6]), r).round(decimals=2).tolist()
    [14.78, 0.01, 0.0]
    """

    def __init__(self, cutoff: float = math.inf) -> None:
        super().__init__()
        from ase.data import covalent_radii

        self.cutoff = cutoff
        self.radius = torch.as_tensor(covalent_radii, dtype=torch.float64)  # not a buffer: casts would round it

    def forward(self, z_i: Int[Tensor, " P"], z_j: Int[Tensor, " P"], r: Float[Tensor, "P 3"]) -> Float[Tensor, " P"]:
        """The energy of each pair in eV, in float64, for vectors r between its atoms in Å."""
        d = (r.double().square().sum(-1) + _SOFT**2).sqrt()
        Z_i, Z_j, R = z_i.double(), z_j.double(), self.radius.to(r.device)
        x = d * (Z_i**0.23 + Z_j**0.23) / (0.88534 * BOHR)
        phi = sum(c * torch.exp(-b * x) for c, b in _SCREENING)
        u = (d / (R[z_i] + R[z_j]).clamp(max=self.cutoff)).clamp(max=1.0)
        return _COULOMB * Z_i * Z_j / d * phi * (1 - u) ** 3 * (1 + u * (3 + 6 * u))
