"""Rotations of three-dimensional space in four forms, and every way between them.

========================  ==========================================  =======================================================
angles                    ``alpha, beta, gamma``, each (...)          R = R_y(α) R_x(β) R_y(γ); γ is applied first
matrix                    (..., 3, 3)                                 acts on columns (x, y, z)
quaternion                (..., 4)                                    (w, x, y, z), unit; q and −q are the same rotation
axis and angle            (..., 3) and (...)                          right-handed turn about a unit vector
========================  ==========================================  =======================================================

A point on the sphere has two angles: r = R(α, β, 0) e_y = (sin β sin α, cos β, sin β cos α). Names, argument order and
conventions are e3nn's. Square roots and inverse functions that lose their derivative at a pole are written so that values and
derivatives stay finite there.
"""

import math
from typing import Any

import torch

from molzoo.shapes import Float, Tensor

Scalar = Float[Tensor, "*s"]
Vector = Float[Tensor, "*s 3"]
Matrix = Float[Tensor, "*s 3 3"]
Quaternion = Float[Tensor, "*s 4"]
Angles = tuple[Tensor, Tensor, Tensor]


def _made(*tensors: Tensor, requires_grad: bool) -> Any:
    made = tuple(tensor.detach().requires_grad_(requires_grad) for tensor in tensors)
    return made if len(made) > 1 else made[0]


def rand_matrix(*shape: int, requires_grad: bool = False, dtype: Any = None, device: Any = None) -> Tensor:
    """Rotation matrices, uniformly distributed.

    >>> rand_matrix(5).shape
    torch.Size([5, 3, 3])
    """
    return _made(angles_to_matrix(*rand_angles(*shape, dtype=dtype, device=device)), requires_grad=requires_grad)


def identity_angles(*shape: int, requires_grad: bool = False, dtype: Any = None, device: Any = None) -> Angles:
    """Angles of no rotation.

    >>> identity_angles()
    (tensor(0.), tensor(0.), tensor(0.))
    """
    return _made(*(torch.zeros(shape, dtype=dtype, device=device) for _ in range(3)), requires_grad=requires_grad)


def rand_angles(*shape: int, requires_grad: bool = False, dtype: Any = None, device: Any = None) -> Angles:
    """Angles of uniformly distributed rotations.

    >>> [angle.shape for angle in rand_angles(2)]
    [torch.Size([2]), torch.Size([2]), torch.Size([2])]
    """
    alpha, gamma = 2 * math.pi * torch.rand(2, *shape, dtype=dtype, device=device)
    beta = torch.rand(shape, dtype=dtype, device=device).mul(2).sub(1).acos()
    return _made(alpha, beta, gamma, requires_grad=requires_grad)


def compose_angles(a1: Scalar, b1: Scalar, c1: Scalar, a2: Scalar, b2: Scalar, c2: Scalar) -> Angles:
    """Angles of R(a1, b1, c1) R(a2, b2, c2); the second is applied first.

    >>> a = torch.tensor(0.2)
    >>> round(float(sum(compose_angles(a, 0 * a, 0 * a, a, 0 * a, 0 * a))), 5)
    0.4
    """
    a1, b1, c1, a2, b2, c2 = torch.broadcast_tensors(a1, b1, c1, a2, b2, c2)
    return matrix_to_angles(angles_to_matrix(a1, b1, c1) @ angles_to_matrix(a2, b2, c2))


def inverse_angles(a: Scalar, b: Scalar, c: Scalar) -> Angles:
    """Angles of the inverse rotation.

    >>> inverse_angles(torch.tensor(1.0), torch.tensor(2.0), torch.tensor(3.0))
    (tensor(-3.), tensor(-2.), tensor(-1.))
    """
    return -c, -b, -a


def identity_quaternion(*shape: int, requires_grad: bool = False, dtype: Any = None, device: Any = None) -> Tensor:
    """Quaternions of no rotation.

    >>> identity_quaternion()
    tensor([1., 0., 0., 0.])
    """
    one = torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=dtype, device=device)
    return _made(one.expand(*shape, 4).clone(), requires_grad=requires_grad)


def rand_quaternion(*shape: int, requires_grad: bool = False, dtype: Any = None, device: Any = None) -> Tensor:
    """Quaternions of uniformly distributed rotations.

    >>> rand_quaternion(3).norm(dim=-1).allclose(torch.ones(3))
    True
    """
    return _made(angles_to_quaternion(*rand_angles(*shape, dtype=dtype, device=device)), requires_grad=requires_grad)


def compose_quaternion(q1: Quaternion, q2: Quaternion) -> Tensor:
    """Hamilton's product q1 q2: first q2, then q1.

    >>> i, j = torch.tensor([0.0, 1, 0, 0]), torch.tensor([0.0, 0, 1, 0])
    >>> compose_quaternion(i, j)
    tensor([0., 0., 0., 1.])
    """
    q1, q2 = torch.broadcast_tensors(q1, q2)
    (w1, v1), (w2, v2) = q1.split([1, 3], -1), q2.split([1, 3], -1)
    w = w1 * w2 - (v1 * v2).sum(-1, keepdim=True)
    return torch.cat([w, w1 * v2 + w2 * v1 + torch.linalg.cross(v1, v2)], -1)


def inverse_quaternion(q: Quaternion) -> Tensor:
    """The inverse of a unit quaternion.

    >>> inverse_quaternion(torch.tensor([0.6, 0.8, 0.0, 0.0]))
    tensor([ 0.6000, -0.8000, -0.0000, -0.0000])
    """
    return q * q.new_tensor([1.0, -1.0, -1.0, -1.0])


def rand_axis_angle(*shape: int, requires_grad: bool = False, dtype: Any = None, device: Any = None) -> tuple[Tensor, Tensor]:
    """Axes and angles of uniformly distributed rotations.

    >>> [tensor.shape for tensor in rand_axis_angle(2)]
    [torch.Size([2, 3]), torch.Size([2])]
    """
    axis, angle = angles_to_axis_angle(*rand_angles(*shape, dtype=dtype, device=device))
    return _made(axis, angle, requires_grad=requires_grad)


def compose_axis_angle(axis1: Vector, angle1: Scalar, axis2: Vector, angle2: Scalar) -> tuple[Tensor, Tensor]:
    """Axis and angle of the second rotation followed by the first.

    >>> y, a = torch.tensor([0.0, 1.0, 0.0]), torch.tensor(0.3)
    >>> compose_axis_angle(y, a, y, a)
    (tensor([0., 1., 0.]), tensor(0.6000))
    """
    return quaternion_to_axis_angle(
        compose_quaternion(axis_angle_to_quaternion(axis1, angle1), axis_angle_to_quaternion(axis2, angle2))
    )


def _about(axis: int, angle: Tensor) -> Tensor:
    c, s, o, z = angle.cos(), angle.sin(), torch.ones_like(angle), torch.zeros_like(angle)
    rows = {0: (o, z, z, z, c, -s, z, s, c), 1: (c, z, s, z, o, z, -s, z, c), 2: (c, -s, z, s, c, z, z, z, o)}
    return torch.stack(rows[axis], -1).unflatten(-1, (3, 3))


def matrix_x(angle: Scalar) -> Tensor:
    """Rotation about x.

    >>> (matrix_x(torch.tensor(math.pi / 2)) @ torch.tensor([0.0, 1.0, 0.0])).round()
    tensor([0., -0., 1.])
    """
    return _about(0, angle)


def matrix_y(angle: Scalar) -> Tensor:
    """Rotation about y.

    >>> (matrix_y(torch.tensor(math.pi / 2)) @ torch.tensor([0.0, 0.0, 1.0])).round()
    tensor([1., 0., -0.])
    """
    return _about(1, angle)


def matrix_z(angle: Scalar) -> Tensor:
    """Rotation about z.

    >>> (matrix_z(torch.tensor(math.pi / 2)) @ torch.tensor([1.0, 0.0, 0.0])).round()
    tensor([-0., 1., 0.])
    """
    return _about(2, angle)


def angles_to_matrix(alpha: Scalar, beta: Scalar, gamma: Scalar) -> Tensor:
    """R_y(α) R_x(β) R_y(γ).

    >>> angles_to_matrix(*identity_angles()).equal(torch.eye(3))
    True
    """
    alpha, beta, gamma = torch.broadcast_tensors(alpha, beta, gamma)
    return matrix_y(alpha) @ matrix_x(beta) @ matrix_y(gamma)


def matrix_to_angles(R: Matrix) -> Angles:
    """Angles of a rotation matrix; γ = 0 is not assumed at the poles, where only α ± γ is determined.

    >>> [round(float(a), 4) for a in matrix_to_angles(angles_to_matrix(*torch.tensor([0.3, 1.2, -0.7])))]
    [0.3, 1.2, -0.7]
    """
    _require_rotation(R)
    alpha, beta = xyz_to_angles(R[..., 1])
    rest = angles_to_matrix(alpha, beta, torch.zeros_like(alpha)).mT @ R
    return alpha, beta, torch.atan2(rest[..., 0, 2], rest[..., 0, 0])


def angles_to_quaternion(alpha: Scalar, beta: Scalar, gamma: Scalar) -> Tensor:
    """Quaternion of R(α, β, γ).

    >>> angles_to_quaternion(*identity_angles())
    tensor([1., 0., 0., 0.])
    """
    alpha, beta, gamma = torch.broadcast_tensors(alpha, beta, gamma)
    plus, minus, half = (alpha + gamma) / 2, (alpha - gamma) / 2, beta / 2
    c, s = half.cos(), half.sin()
    return torch.stack([plus.cos() * c, minus.cos() * s, plus.sin() * c, (gamma - alpha).div(2).sin() * s], -1)


def matrix_to_quaternion(R: Matrix) -> Tensor:
    """Quaternion of a rotation matrix, with w ≥ 0.

    >>> matrix_to_quaternion(torch.eye(3))
    tensor([1., 0., 0., 0.])
    """
    _require_rotation(R)
    # 4 q qᵀ is linear in R, and its row of the largest diagonal entry never vanishes (S. W. Shepperd, 1978).
    d = R.diagonal(dim1=-2, dim2=-1)
    trace = d.sum(-1)
    anti = torch.stack([R[..., 2, 1] - R[..., 1, 2], R[..., 0, 2] - R[..., 2, 0], R[..., 1, 0] - R[..., 0, 1]], -1)
    w_row = torch.cat([(1 + trace)[..., None], anti], -1)
    v_rows = torch.cat([anti[..., None], R + R.mT + (1 - trace)[..., None, None] * torch.eye(3).to(R)], -1)
    rows = torch.cat([w_row[..., None, :], v_rows], -2)
    best = rows.diagonal(dim1=-2, dim2=-1).argmax(-1)
    row = rows.gather(-2, best[..., None, None].expand(*best.shape, 1, 4))[..., 0, :]
    q = row / row.norm(dim=-1, keepdim=True)
    return torch.where(q[..., :1] < 0, -q, q)


def axis_angle_to_quaternion(xyz: Vector, angle: Scalar) -> Tensor:
    """Quaternion of a turn by ``angle`` about ``xyz``, which need not be normalised.

    >>> axis_angle_to_quaternion(torch.tensor([0.0, 2.0, 0.0]), torch.tensor(math.pi)).round()
    tensor([-0., 0., 1., 0.])
    """
    xyz, angle = torch.broadcast_tensors(xyz, angle[..., None])
    half = angle / 2
    return torch.cat([half[..., :1].cos(), torch.nn.functional.normalize(xyz, dim=-1) * half.sin()], -1)


def quaternion_to_axis_angle(q: Quaternion) -> tuple[Tensor, Tensor]:
    """Axis and angle, 0 ≤ angle ≤ 2π; the axis of no rotation is zero.

    >>> quaternion_to_axis_angle(torch.tensor([0.0, 0.0, 1.0, 0.0]))
    (tensor([0., 1., 0.]), tensor(3.1416))
    """
    w, v = q[..., 0], q[..., 1:]
    # atan2 and not acos(w): acos has no derivative at w = ±1 and loses half its digits near it.
    return torch.nn.functional.normalize(v, dim=-1), 2 * torch.atan2(_length(v), w)


def matrix_to_axis_angle(R: Matrix) -> tuple[Tensor, Tensor]:
    """Axis and angle, 0 ≤ angle ≤ π.

    >>> axis, angle = matrix_to_axis_angle(matrix_y(torch.tensor(0.5)))
    >>> axis.round(), round(float(angle), 5)
    (tensor([0., 1., 0.]), 0.5)
    """
    return quaternion_to_axis_angle(matrix_to_quaternion(R))


def angles_to_axis_angle(alpha: Scalar, beta: Scalar, gamma: Scalar) -> tuple[Tensor, Tensor]:
    """Axis and angle of R(α, β, γ), 0 ≤ angle ≤ π.

    >>> zero = torch.tensor(0.0)
    >>> angles_to_axis_angle(torch.tensor(0.5), zero, zero)[1]
    tensor(0.5000)
    """
    q = angles_to_quaternion(alpha, beta, gamma)
    return quaternion_to_axis_angle(torch.where(q[..., :1] < 0, -q, q))


def axis_angle_to_matrix(axis: Vector, angle: Scalar) -> Tensor:
    """Rotation by ``angle`` about ``axis``, which need not be normalised.

    >>> axis_angle_to_matrix(torch.tensor([0.0, 1.0, 0.0]), torch.tensor(0.4)).allclose(matrix_y(torch.tensor(0.4)))
    True
    """
    return quaternion_to_matrix(axis_angle_to_quaternion(axis, angle))


def quaternion_to_matrix(q: Quaternion) -> Tensor:
    """Matrix of a unit quaternion.

    >>> quaternion_to_matrix(identity_quaternion()).equal(torch.eye(3))
    True
    """
    w, x, y, z = q.unbind(-1)
    rows = (
        w * w + x * x - y * y - z * z, 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), w * w - x * x + y * y - z * z, 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), w * w - x * x - y * y + z * z,
    )  # fmt: skip
    return torch.stack(rows, -1).unflatten(-1, (3, 3)) / q.square().sum(-1)[..., None, None]


def quaternion_to_angles(q: Quaternion) -> Angles:
    """Angles of a unit quaternion.

    >>> [float(a) for a in quaternion_to_angles(identity_quaternion())]
    [0.0, 0.0, 0.0]
    """
    return matrix_to_angles(quaternion_to_matrix(q))


def axis_angle_to_angles(axis: Vector, angle: Scalar) -> Angles:
    """Angles of a turn by ``angle`` about ``axis``.

    >>> [round(float(a), 4) for a in axis_angle_to_angles(torch.tensor([1.0, 0.0, 0.0]), torch.tensor(0.5))]
    [0.0, 0.5, 0.0]
    """
    return matrix_to_angles(axis_angle_to_matrix(axis, angle))


def angles_to_xyz(alpha: Scalar, beta: Scalar) -> Tensor:
    """The point (sin β sin α, cos β, sin β cos α) of the unit sphere.

    >>> angles_to_xyz(torch.tensor(1.7), torch.tensor(0.0)).abs()
    tensor([0., 1., 0.])
    """
    alpha, beta = torch.broadcast_tensors(alpha, beta)
    return torch.stack([beta.sin() * alpha.sin(), beta.cos(), beta.sin() * alpha.cos()], -1)


def xyz_to_angles(xyz: Vector) -> tuple[Tensor, Tensor]:
    """α and β of a direction; its length does not matter.

    >>> xyz_to_angles(torch.tensor([0.0, 3.0, 0.0]))
    (tensor(0.), tensor(0.))
    """
    x, y, z = xyz.unbind(-1)
    return _atan2(x, z), _atan2(_length(torch.stack([x, z], -1)), y)


def _length(v: Tensor) -> Tensor:
    """|v|, with derivative zero where v = 0."""
    square = v.square().sum(-1)
    zero = square == 0
    return torch.where(zero, 0.0, torch.where(zero, 1.0, square).sqrt())


def _atan2(y: Tensor, x: Tensor) -> Tensor:
    """atan2, with derivative zero at the origin, where it has none."""
    origin = (x == 0) & (y == 0)
    return torch.where(origin, 0.0, torch.atan2(y, torch.where(origin, 1.0, x)))


def _require_rotation(R: Tensor) -> None:
    if torch.compiler.is_compiling():
        return
    det = torch.linalg.det(R.detach())
    try:
        proper = bool((det - 1).abs().lt(1e-3 if R.dtype == torch.float32 else 1e-5).all())
    except RuntimeError:  # under vmap a value cannot be looked at
        return
    if not proper:
        raise ValueError("not a rotation: the determinant of a rotation matrix is 1; split off an inversion with det(R).sign()")
