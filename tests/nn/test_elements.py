"""Linear maps of each element: the tensor product they stand for, whichever sum is the shorter."""

import pytest
import torch

from molzoo import o3
from molzoo.nn import ElementEmbedding, ElementLinear

F64 = torch.float64
Z = torch.tensor([8, 1, 1, 6, 1])


@pytest.mark.parametrize("n_attributes", [2, 3, 7], ids=["fewer than elements", "as many", "more"])
def test_is_the_fully_connected_product_with_the_attributes(n_attributes):
    irreps_in, irreps_out = "3x0e + 2x1o + 2x2e + 1e", "5x0e + 4x1o + 2x2e + 0o"
    embedding = ElementEmbedding([1, 6, 8], n_attributes).double()
    layer = ElementLinear(irreps_in, n_attributes, irreps_out).double()
    product = o3.FullyConnectedTensorProduct(irreps_in, f"{n_attributes}x0e", irreps_out, layout="ir_mul").double()
    product.load_state_dict(layer.state_dict(), strict=False)
    x = torch.randn(5, layer.irreps_in.dim, dtype=F64)
    attributes, element = embedding(Z)
    torch.testing.assert_close(layer(x, element), product(x, attributes), rtol=1e-12, atol=1e-12)


def test_element_times_basis_is_the_attributes():
    for elements in ([1, 6, 8], None):
        attributes, (choice, basis) = ElementEmbedding(elements, 8)(Z)
        assert torch.equal(choice @ basis, attributes)


def test_the_order_in_which_elements_are_given_does_not_matter():
    torch.manual_seed(0)
    first = ElementEmbedding([8, 1, 6, 1], 4)
    torch.manual_seed(0)
    assert torch.equal(first(Z)[0], ElementEmbedding([1, 6, 8], 4)(Z)[0])


def test_an_element_that_was_not_given_is_no_other_one():
    with pytest.raises(IndexError):
        ElementEmbedding([1, 6], 4)(Z)


def test_the_second_moment_of_normal_features_stays():
    layer = ElementLinear("64x0e + 64x1o", 8, "64x0e + 64x1o").double()
    y = layer(torch.randn(400, 256, dtype=F64), ElementEmbedding(None, 8).double()(torch.randint(1, 90, (400,)))[1])
    assert y.square().mean().item() == pytest.approx(1.0, abs=0.25)  # ± what 8 attributes of 90 elements scatter
