"""Readouts: order of the outputs, equivariance, refusals."""

import e3nn.o3
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from molzoo.nn import Linear, ScalarReadout, ShiftedSoftplus
from molzoo.o3 import Irreps

C = 6


def linear(text, dtype=torch.float64):
    return Linear(C, Irreps(text)).to(dtype)


def features(dtype=torch.float64):
    return torch.randn(4, C, dtype=dtype), torch.randn(4, 3, C, dtype=dtype)


@pytest.mark.parametrize("text", ["0e", "1o", "3x0e + 2x1o", "1o + 0e + 2x1o + 2x0e"])
def test_outputs_turn_as_their_irreps(text, dtype, tolerance):
    layer, (s, v) = linear(text, dtype), features(dtype)
    R = -e3nn.o3.rand_matrix(dtype=torch.float64)
    D = torch.block_diag(*(R if term.ir.l else torch.ones(1, 1) for term in Irreps(text) for _ in range(term.mul)))
    turned = layer(s, torch.einsum("ab,nbc->nac", R.to(dtype), v))
    torch.testing.assert_close(turned, layer(s, v) @ D.to(dtype).T, atol=tolerance, rtol=0)


def test_vectors_are_flat_in_mul_ir_order():
    layer, (s, v) = linear("2x1o"), features()
    by_hand = torch.einsum("qc,nac->nqa", layer.vectors.weight, v)  # (N, mul, 3)
    torch.testing.assert_close(layer(s, v), by_hand.flatten(1))


def test_outputs_come_in_the_order_of_the_irreps():
    layer, (s, v) = linear("1o + 0e"), features()
    torch.testing.assert_close(layer(s, v)[:, 3:], layer.scalars(s))


def test_only_scalars_have_a_bias():
    names = {name for name, _ in linear("0e + 1o").named_parameters()}
    assert names == {"scalars.weight", "scalars.bias", "vectors.weight"}


def test_scalars_alone_need_no_vectors():
    assert linear("2x0e")(features()[0]).shape == (4, 2)


@pytest.mark.parametrize("text", ["0o", "1e", "0e + 2e"])
def test_linear_refuses_other_irreps(text):
    with pytest.raises(ValueError, match="gives 0e and 1o"):
        linear(text)


def test_scalar_readout_is_hidden_then_linear(dtype):
    readout, (s, _) = ScalarReadout(C, Irreps("2x0e"), ShiftedSoftplus()).to(dtype), features(dtype)
    assert torch.equal(readout(s), readout.linear(readout.hidden(s)))
    assert readout.hidden(s).shape == (4, C // 2)


def test_derivatives_are_right():
    readout = ScalarReadout(C, Irreps("2x0e"), ShiftedSoftplus()).double()
    s = features()[0].requires_grad_()
    assert gradcheck(readout, s)
    assert gradgradcheck(readout, s)


def test_scalar_readout_refuses_vectors():
    with pytest.raises(ValueError, match="gives 0e of each atom, not 1o"):
        ScalarReadout(C, Irreps("0e + 1o"), ShiftedSoftplus())
