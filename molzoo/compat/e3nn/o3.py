"""What e3nn calls ``e3nn.o3``."""

from types import SimpleNamespace

from molzoo.o3.harmonics import SphericalHarmonics, spherical_harmonics
from molzoo.o3.instructions import Instruction
from molzoo.o3.irreps import Irrep, Irreps
from molzoo.o3.legendre import Legendre, SphericalHarmonicsAlphaBeta, spherical_harmonics_alpha, spherical_harmonics_alpha_beta
from molzoo.o3.linear import Linear
from molzoo.o3.norm import Norm
from molzoo.o3.products import ElementwiseTensorProduct, FullTensorProduct, FullyConnectedTensorProduct, TensorSquare
from molzoo.o3.reduced import ReducedTensorProducts
from molzoo.o3.rotation import (
    angles_to_axis_angle,
    angles_to_matrix,
    angles_to_quaternion,
    angles_to_xyz,
    axis_angle_to_angles,
    axis_angle_to_matrix,
    axis_angle_to_quaternion,
    compose_angles,
    compose_axis_angle,
    compose_quaternion,
    identity_angles,
    identity_quaternion,
    inverse_angles,
    inverse_quaternion,
    matrix_to_angles,
    matrix_to_axis_angle,
    matrix_to_quaternion,
    matrix_x,
    matrix_y,
    matrix_z,
    quaternion_to_angles,
    quaternion_to_axis_angle,
    quaternion_to_matrix,
    rand_angles,
    rand_axis_angle,
    rand_matrix,
    rand_quaternion,
    xyz_to_angles,
)
from molzoo.o3.rotation_grid import SO3Grid
from molzoo.o3.sphere_grid import FromS2Grid, ToS2Grid, irfft, rfft, s2_grid, spherical_harmonics_s2_grid
from molzoo.o3.tensor_product import TensorProduct
from molzoo.o3.wigner import change_basis_real_to_complex, so3_generators, su2_generators, wigner_3j, wigner_D

irrep = SimpleNamespace(**{f"l{ir}": ir for ir in Irrep.iterator(12)})  # irrep.l1o is Irrep("1o")

__all__ = [
    "ElementwiseTensorProduct",
    "FromS2Grid",
    "FullTensorProduct",
    "FullyConnectedTensorProduct",
    "Instruction",
    "Irrep",
    "Irreps",
    "Legendre",
    "Linear",
    "Norm",
    "ReducedTensorProducts",
    "SO3Grid",
    "SphericalHarmonics",
    "SphericalHarmonicsAlphaBeta",
    "TensorProduct",
    "TensorSquare",
    "ToS2Grid",
    "angles_to_axis_angle",
    "angles_to_matrix",
    "angles_to_quaternion",
    "angles_to_xyz",
    "axis_angle_to_angles",
    "axis_angle_to_matrix",
    "axis_angle_to_quaternion",
    "change_basis_real_to_complex",
    "compose_angles",
    "compose_axis_angle",
    "compose_quaternion",
    "identity_angles",
    "identity_quaternion",
    "inverse_angles",
    "inverse_quaternion",
    "irfft",
    "irrep",
    "matrix_to_angles",
    "matrix_to_axis_angle",
    "matrix_to_quaternion",
    "matrix_x",
    "matrix_y",
    "matrix_z",
    "quaternion_to_angles",
    "quaternion_to_axis_angle",
    "quaternion_to_matrix",
    "rand_angles",
    "rand_axis_angle",
    "rand_matrix",
    "rand_quaternion",
    "rfft",
    "s2_grid",
    "so3_generators",
    "spherical_harmonics",
    "spherical_harmonics_alpha",
    "spherical_harmonics_alpha_beta",
    "spherical_harmonics_s2_grid",
    "su2_generators",
    "wigner_3j",
    "wigner_D",
    "xyz_to_angles",
]
