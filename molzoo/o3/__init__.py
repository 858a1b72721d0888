"""Rotation mathematics: irreducible representations of O(3). No atoms, no edges."""

from molzoo.o3.activation import Activation, NormActivation, moment, normalize2mom
from molzoo.o3.bases import complete_basis, direct_sum, orthonormalize
from molzoo.o3.batch_norm import BatchNorm
from molzoo.o3.blocks import Layout, join, layout_of, split
from molzoo.o3.cartesian import CartesianTensor
from molzoo.o3.dropout import Dropout
from molzoo.o3.exact import Exact
from molzoo.o3.extract import Extract, ExtractIr, Identity
from molzoo.o3.gate import Gate
from molzoo.o3.grid_activation import S2Activation, SO3Activation
from molzoo.o3.harmonics import SphericalHarmonics, spherical_harmonics
from molzoo.o3.instructions import Instruction
from molzoo.o3.irreps import Irrep, Irreps, MulIrrep
from molzoo.o3.legendre import Legendre, SphericalHarmonicsAlphaBeta, spherical_harmonics_alpha, spherical_harmonics_alpha_beta
from molzoo.o3.linear import Linear
from molzoo.o3.norm import LayerNorm, Norm
from molzoo.o3.permutation import germinate_formulas, reduce_permutation
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
from molzoo.o3.signal import SphericalTensor
from molzoo.o3.sphere_grid import FromS2Grid, ToS2Grid, irfft, rfft, s2_grid, spherical_harmonics_s2_grid
from molzoo.o3.tensor_product import TensorProduct
from molzoo.o3.wigner import Convention, change_basis_real_to_complex, so3_generators, su2_generators, wigner_3j, wigner_D

__all__ = [
    "Irrep", "Irreps", "MulIrrep",
    "Layout", "split", "join", "layout_of", "Exact",
    "identity_angles", "identity_quaternion", "rand_angles", "rand_axis_angle", "rand_matrix", "rand_quaternion",
    "compose_angles", "compose_axis_angle", "compose_quaternion", "inverse_angles", "inverse_quaternion",
    "matrix_x", "matrix_y", "matrix_z", "matrix_to_angles", "matrix_to_axis_angle", "matrix_to_quaternion",
    "angles_to_axis_angle", "angles_to_matrix", "angles_to_quaternion", "angles_to_xyz", "xyz_to_angles",
    "axis_angle_to_angles", "axis_angle_to_matrix", "axis_angle_to_quaternion",
    "quaternion_to_angles", "quaternion_to_axis_angle", "quaternion_to_matrix",
    "Convention", "wigner_3j", "wigner_D", "change_basis_real_to_complex", "so3_generators", "su2_generators",
    "SphericalHarmonics", "spherical_harmonics",
    "Legendre", "SphericalHarmonicsAlphaBeta", "spherical_harmonics_alpha", "spherical_harmonics_alpha_beta",
    "Instruction", "TensorProduct", "FullyConnectedTensorProduct",
    "FullTensorProduct", "ElementwiseTensorProduct", "TensorSquare",
    "Linear", "Activation", "NormActivation", "Gate", "moment", "normalize2mom",
    "Norm", "LayerNorm", "BatchNorm", "Dropout", "Extract", "ExtractIr", "Identity",
    "ToS2Grid", "FromS2Grid", "s2_grid", "spherical_harmonics_s2_grid", "rfft", "irfft",
    "SO3Grid", "S2Activation", "SO3Activation",
    "ReducedTensorProducts", "CartesianTensor", "SphericalTensor", "germinate_formulas", "reduce_permutation",
    "complete_basis", "direct_sum", "orthonormalize",
]  # fmt: skip
