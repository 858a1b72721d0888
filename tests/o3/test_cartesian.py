"""Cartesian tensors: e3nn's numbers with their signs, since labels are stored so."""

import copy
import pickle

import e3nn.io
import pytest
import torch
from o3_laws import LAWS, Case
from torch import nn

from molzoo import o3
from molzoo.o3.cartesian import CartesianTensor

FORMULAS = ["ij=ji", "ij=-ji", "ij", "ijk=jik", "ijkl=jikl=ijlk=klij", "i", "ijk=-jik=-ikj"]


class Dyad(nn.Module):
    """The irreps of x yᵀ, by way of its Cartesian components."""

    def __init__(self, formula, layout):
        super().__init__()
        self.tensor = CartesianTensor(formula, layout=layout)

    def forward(self, x, y):
        return self.tensor.from_cartesian(x[..., :, None] * y[..., None, :])


class Apply(Dyad):
    """T v of a tensor T given by its irreps."""

    def forward(self, irreps, v):
        return (self.tensor.to_cartesian(irreps) @ v[..., None])[..., 0]


CASES = [
    Case("dyad", lambda: Dyad("ij", "mul_ir"), ["1o", "1o"], "0e + 1e + 2e"),
    Case("symmetric dyad", lambda: Dyad("ij=ji", "ir_mul"), ["1o", "1o"], "0e + 2e", "ir_mul"),
    Case("apply", lambda: Apply("ij=ji", "mul_ir"), ["0e + 2e", "1o"], "1o"),
    Case(
        "vectors",
        lambda: CartesianTensor("ijk=jik", layout="ir_mul").reduced_tensor_products(),
        ["1o"] * 3,
        "2x1o + 2o + 3o",
        "ir_mul",
    ),
]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_laws(case, law):
    law(case)


@pytest.fixture
def double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("formula", FORMULAS)
def test_equals_e3nn(double, formula):
    """All three ways, and that they fit together."""
    ours, theirs = CartesianTensor(formula), e3nn.io.CartesianTensor(formula)
    assert (str(ours), ours.formula, ours.indices) == (str(theirs), theirs.formula, theirs.indices)
    rtp = theirs.reduced_tensor_products()
    rank = len(ours.indices)
    T, irreps, vectors = torch.randn(2, *[3] * rank), torch.randn(2, ours.dim), torch.randn(rank, 2, 3)
    close = lambda a, b: torch.testing.assert_close(a, b, rtol=0, atol=1e-12)  # noqa: E731
    close(ours.reduced_tensor_products(T).change_of_basis, rtp.change_of_basis)
    close(ours.from_cartesian(T), theirs.from_cartesian(T, rtp))
    close(ours.to_cartesian(irreps), theirs.to_cartesian(irreps, rtp))
    close(ours.from_vectors(*vectors), theirs.from_vectors(*vectors, rtp=rtp))
    close(ours.from_cartesian(ours.to_cartesian(irreps)), irreps)


@pytest.mark.parametrize("layout", ["mul_ir", "ir_mul"])
def test_elastic_constants_turn_as_their_irreps(layout):
    elastic = CartesianTensor("ijkl=jikl=ijlk=klij", layout=layout)
    assert elastic == o3.Irreps("2x0e + 2x2e + 1x4e")
    C, R = torch.randn(3, 3, 3, 3, dtype=torch.float64), -o3.rand_matrix(dtype=torch.float64)
    blocks = o3.split(elastic.from_cartesian(C), elastic, layout)
    turned = o3.join([ir.D_from_matrix(R) @ block for (_, ir), block in zip(elastic, blocks, strict=True)], layout, like=C)
    torch.testing.assert_close(elastic.from_cartesian(torch.einsum("ai,bj,ck,dl,ijkl->abcd", R, R, R, R, C)), turned)


def test_what_has_not_the_symmetry_is_left_out():
    T = torch.randn(2, 3, 3)
    for formula, sign in (("ij=ji", 1), ("ij=-ji", -1)):
        tensor = CartesianTensor(formula)
        torch.testing.assert_close(tensor.to_cartesian(tensor.from_cartesian(T)), (T + sign * T.mT) / 2)


def test_a_tensor_that_must_vanish_has_no_irreps():
    nothing = CartesianTensor("ijkl=-jikl=-ikjl=-ijlk")
    assert nothing.dim == 0
    assert nothing.from_cartesian(torch.randn(2, 3, 3, 3, 3)).shape == (2, 0)
    assert nothing.to_cartesian(torch.zeros(2, 0)).equal(torch.zeros(2, 3, 3, 3, 3))


def test_is_an_irreps_that_can_be_copied():
    tensor = CartesianTensor("ij=ji", layout="ir_mul")
    assert tensor == o3.Irreps("0e + 2e")
    assert o3.Irreps(tensor).dim == 6
    T = torch.randn(3, 3)
    for other in (copy.copy(tensor), copy.deepcopy(tensor), pickle.loads(pickle.dumps(tensor))):
        assert (type(other), other.formula, other.layout) == (CartesianTensor, "ij=ji", "ir_mul")
        assert other.from_cartesian(T).equal(tensor.from_cartesian(T, tensor.reduced_tensor_products(T)))


def test_precision_is_that_of_the_data():
    tensor = CartesianTensor("ijk=jik")
    T = torch.randn(4, 3, 3, 3, dtype=torch.float64)
    symmetric = (T + T.transpose(1, 2)) / 2
    torch.testing.assert_close(tensor.to_cartesian(tensor.from_cartesian(T)), symmetric, rtol=0, atol=1e-14)
    assert tensor.from_cartesian(T.float()).dtype == torch.float32
    assert tensor.reduced_tensor_products(T).change_of_basis.dtype == torch.float64


def test_refuses():
    tensor = CartesianTensor("ij=ji")
    with pytest.raises(ValueError, match=r"'ij=ji' has shape \(..., 3, 3\), but got \(2, 3\)"):
        tensor.from_cartesian(torch.zeros(2, 3))
    with pytest.raises(ValueError, match=r"has 6 components of 1x0e\+1x2e, but got 5"):
        tensor.to_cartesian(torch.zeros(5))
    with pytest.raises(ValueError, match="takes vectors of"):
        tensor.from_vectors(torch.zeros(3))
    with pytest.raises(ValueError, match="not a rearrangement"):
        CartesianTensor("ij=jk")
