"""Rotations in four forms: e3nn's numbers, every round trip, derivatives at the poles."""

import itertools
import math

import e3nn.o3
import pytest
import torch

from molzoo import o3

FORMS = ("angles", "matrix", "quaternion", "axis_angle")
TURNS = [(axis, angle) for axis in (o3.matrix_x, o3.matrix_y, o3.matrix_z) for angle in (0.0, 1e-4, 3.0, math.pi)]
SPECIAL = [turn(torch.tensor(angle, dtype=torch.float64)) for turn, angle in TURNS]


def rotations(dtype=torch.float64):
    torch.manual_seed(0)
    return torch.cat([o3.rand_matrix(20, dtype=dtype), torch.stack(SPECIAL).to(dtype)])


def as_tuple(value):
    return value if isinstance(value, tuple) else (value,)


def convert(value, source, target, module=o3):
    return value if source == target else as_tuple(getattr(module, f"{source}_to_{target}")(*value))


@pytest.mark.parametrize(("source", "target"), list(itertools.permutations(FORMS, 2)))
def test_every_conversion_keeps_the_rotation(source, target):
    R = rotations()
    there = convert(convert((R,), "matrix", source), source, target)
    (back,) = convert(there, target, "matrix")
    torch.testing.assert_close(back, R, rtol=0, atol=1e-7 if target == "axis_angle" else 1e-9)


@pytest.mark.parametrize(("source", "target"), list(itertools.permutations(FORMS, 2)))
def test_conversions_equal_e3nn_in_general_position(source, target, monkeypatch):
    R = rotations()[:20]
    value = convert((R,), "matrix", source)
    ours, theirs = convert(value, source, target), convert(value, source, target, e3nn.o3)
    if target == "quaternion":  # q and −q are one rotation; e3nn gives either
        theirs = (theirs[0] * torch.sign((ours[0] * theirs[0]).sum(-1, keepdim=True)),)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("form", ["angles", "quaternion", "axis_angle"])
def test_composition_is_the_product_of_matrices(form):
    A, B = rotations(), rotations().flip(0)
    parts = (*convert((A,), "matrix", form), *convert((B,), "matrix", form))
    (product,) = convert(as_tuple(getattr(o3, f"compose_{form}")(*parts)), form, "matrix")
    torch.testing.assert_close(product, A @ B, rtol=0, atol=1e-7)


@pytest.mark.parametrize("form", ["angles", "quaternion"])
def test_inverse_is_the_transpose(form):
    R = rotations()
    (inverse,) = convert(as_tuple(getattr(o3, f"inverse_{form}")(*convert((R,), "matrix", form))), form, "matrix")
    torch.testing.assert_close(inverse, R.mT, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["rand_matrix", "rand_angles", "rand_quaternion", "rand_axis_angle"])
def test_random_ones_have_shape_dtype_and_gradient_as_asked(name):
    ours = as_tuple(getattr(o3, name)(2, 3, requires_grad=True, dtype=torch.float64))
    theirs = as_tuple(getattr(e3nn.o3, name)(2, 3, requires_grad=True, dtype=torch.float64))
    assert [t.shape for t in ours] == [t.shape for t in theirs]
    assert all(t.requires_grad and t.is_leaf and t.dtype == torch.float64 for t in ours)


@pytest.mark.parametrize("direction", [(0, 1, 0), (0, -1, 0), (1, 0, 0), (0, 0, 0)])
def test_angles_of_a_direction_have_finite_derivatives_everywhere(direction):
    xyz = torch.tensor(direction, dtype=torch.float64, requires_grad=True)
    for angle in o3.xyz_to_angles(xyz):
        assert torch.autograd.grad(angle, xyz, retain_graph=True)[0].isfinite().all()


def test_conversions_are_differentiable_at_the_identity():
    R = torch.eye(3, dtype=torch.float64, requires_grad=True)
    for out in (o3.matrix_to_quaternion(R), *o3.matrix_to_axis_angle(R), *o3.matrix_to_angles(R)):
        assert torch.autograd.grad(out.sum(), R, retain_graph=True)[0].isfinite().all()


def test_a_reflection_is_no_rotation():
    with pytest.raises(ValueError, match="determinant"):
        o3.matrix_to_angles(-torch.eye(3))
