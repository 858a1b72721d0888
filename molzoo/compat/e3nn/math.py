"""What e3nn calls ``e3nn.math``."""

from molzoo.nn.soft_one_hot import bessel, soft_one_hot_linspace, soft_unit_step
from molzoo.o3 import permutation as perm
from molzoo.o3.activation import moment, normalize2mom
from molzoo.o3.bases import complete_basis, direct_sum, orthonormalize
from molzoo.o3.permutation import germinate_formulas, reduce_permutation

__all__ = [
    "bessel",
    "complete_basis",
    "direct_sum",
    "germinate_formulas",
    "moment",
    "normalize2mom",
    "orthonormalize",
    "perm",
    "reduce_permutation",
    "soft_one_hot_linspace",
    "soft_unit_step",
]
