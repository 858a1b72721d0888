"""Linear maps of each element: the tensor product they stand for, whichever sum is the shorter."""

import subprocess
import sys

import pytest
import torch

from molzoo import o3
from molzoo.kernels import use_backend
from molzoo.nn import ElementEmbedding, ElementLinear

F64 = torch.float64
Z = torch.tensor([8, 1, 1, 6, 1])


def ways(embedding, z):
    """The element of each atom as layers are told of it, and as where the atoms of each element are not known."""
    with torch.autocast("cpu"):
        ungrouped = embedding.element(z)
    return embedding.element(z), ungrouped


@pytest.mark.parametrize("n_attributes", [2, 3, 7], ids=["fewer than elements", "as many", "more"])
def test_is_the_fully_connected_product_with_the_attributes(n_attributes):
    irreps_in, irreps_out = "3x0e + 2x1o + 2x2e + 1e", "5x0e + 4x1o + 2x2e + 0o"
    embedding = ElementEmbedding([1, 6, 8], n_attributes).double()
    layer = ElementLinear(irreps_in, n_attributes, irreps_out).double()
    product = o3.FullyConnectedTensorProduct(irreps_in, f"{n_attributes}x0e", irreps_out, layout="ir_mul").double()
    product.load_state_dict(layer.state_dict(), strict=False)
    x = torch.randn(5, layer.irreps_in.dim, dtype=F64)
    for element in ways(embedding, Z):
        torch.testing.assert_close(layer(x, element), product(x, embedding(Z)), rtol=1e-12, atol=1e-12)


def test_choice_times_basis_is_the_attributes():
    for elements in ([1, 6, 8], None):
        embedding = ElementEmbedding(elements, 8)
        for element in ways(embedding, Z):  # the product of 1 with the vectors as matrices of one row
            assert torch.equal(element.matmul(torch.ones(len(Z), 1, 1), element.basis[:, None, :])[:, 0], embedding(Z))


def test_the_order_in_which_elements_are_given_does_not_matter():
    torch.manual_seed(0)
    first = ElementEmbedding([8, 1, 6, 1], 4)
    torch.manual_seed(0)
    assert torch.equal(first(Z), ElementEmbedding([1, 6, 8], 4)(Z))


def test_an_element_that_was_not_given_is_no_other_one():
    with pytest.raises(IndexError):
        ElementEmbedding([1, 6], 4)(Z)


def test_the_second_moment_of_normal_features_stays():
    layer = ElementLinear("64x0e + 64x1o", 8, "64x0e + 64x1o").double()
    y = layer(torch.randn(400, 256, dtype=F64), ElementEmbedding(None, 8).double().element(torch.randint(1, 90, (400,))))
    assert y.square().mean().item() == pytest.approx(1.0, abs=0.25)  # ± what 8 attributes of 90 elements scatter


@pytest.mark.parametrize("how", ["forward derivative", "autocast"])
def test_where_atoms_cannot_be_grouped_the_numbers_are_the_same(how):
    embedding, layer = ElementEmbedding([1, 6, 8], 3), ElementLinear("3x0e + 2x1o", 3, "5x0e + 4x1o")
    x = torch.randn(5, 9)

    def call(x):
        return layer(x, embedding.element(Z))

    if how == "forward derivative":
        torch.testing.assert_close(torch.func.jvp(call, (torch.zeros_like(x),), (x,))[1], call(x))
    else:
        with torch.autocast("cpu"):
            found = call(x).float()
        torch.testing.assert_close(found, call(x), rtol=0.05, atol=0.05)


def test_many_gradients_at_once_where_torchs_own_operations_are_wanted():
    embedding, layer = ElementEmbedding([1, 6, 8], 3), ElementLinear("3x0e + 2x1o", 3, "5x0e + 4x1o")
    x = torch.randn(5, 9, requires_grad=True)
    with use_backend("messages"):
        y = layer(x, embedding.element(Z))
    cotangents = torch.randn(4, *y.shape)
    (batched,) = torch.autograd.grad(y, x, cotangents, is_grads_batched=True, retain_graph=True)
    each = [torch.autograd.grad(y, x, cotangent, retain_graph=True)[0] for cotangent in cotangents]
    torch.testing.assert_close(batched, torch.stack(each))


def test_compilers_take_it_whole():
    # In a process of its own: Dynamo cannot look through the checks of annotations that tests put around every function.
    script = """
import torch
from molzoo.nn import ElementEmbedding, ElementLinear
embedding, layer = ElementEmbedding([1, 6, 8], 3), ElementLinear("3x0e + 2x1o", 3, "5x0e + 4x1o")
call = lambda x, z: layer(x, embedding.element(z))
x, z = torch.randn(5, 9), torch.tensor([8, 1, 1, 6, 1])
torch.testing.assert_close(torch.compile(call, fullgraph=True, backend="aot_eager")(x, z), call(x, z))
"""
    command = [sys.executable, "-W", "ignore", "-c", script]
    done = subprocess.run(command, timeout=600, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
