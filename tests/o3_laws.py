"""What must be true of every layer of molzoo.o3, written once. Use as:

from o3_laws import LAWS, Case

CASES = [Case("gate", lambda: o3.Gate(...), ["16x0e + ..."], "..."), ...]

@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_laws(case, law):
    law(case)
"""

import copy
import functools
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jaxtyping
import torch
from torch import Tensor, nn

from molzoo import o3


@dataclass(frozen=True)
class Case:
    """A layer, made anew by ``make``, and the irreps of its tensors (``None``: scalars of the given number, not turned)."""

    name: str
    make: Callable[[], nn.Module]
    irreps_in: Sequence[str]
    irreps_out: str
    layout: str = "mul_ir"
    smooth: bool = True  # whether second derivatives exist everywhere
    tolerance: float = 1e-10  # of equivariance in float64; a grid's is its band limit

    def layer(self, dtype=torch.float64) -> nn.Module:
        torch.manual_seed(0)
        return self.make().to(dtype).eval()

    def inputs(self, *shape: int, dtype=torch.float64, seed: int = 1) -> list[Tensor]:
        random = torch.Generator().manual_seed(seed)
        return [torch.randn(*shape, o3.Irreps(i).dim, generator=random, dtype=torch.float64).to(dtype) for i in self.irreps_in]


def _turn(x: Tensor, irreps: str, R: Tensor, layout: str) -> Tensor:
    blocks = o3.split(x, o3.Irreps(irreps), layout)
    turned = [term.ir.D_from_matrix(R) @ block for term, block in zip(o3.Irreps(irreps), blocks, strict=True)]
    return o3.join(turned, layout, like=x)


def equivariant(case: Case) -> None:
    """Rotations, and rotations with inversion, before or after: the same."""
    layer, inputs = case.layer(), case.inputs(5)
    out = layer(*inputs)
    assert out.shape == (5, o3.Irreps(case.irreps_out).dim)
    torch.manual_seed(2)
    for sign in (1, -1):
        R = sign * o3.rand_matrix(dtype=torch.float64)
        turned = layer(*(_turn(x, i, R, case.layout) for x, i in zip(inputs, case.irreps_in, strict=True)))
        torch.testing.assert_close(turned, _turn(out, case.irreps_out, R, case.layout), rtol=0, atol=case.tolerance)


def precise(case: Case) -> None:
    """float32 is float64 to rounding, also after a detour over float32."""
    layer = case.layer()
    exact = layer(*case.inputs(6))
    scale = float(exact.abs().max()) if exact.numel() else 1.0
    single = case.layer(torch.float32)(*case.inputs(6, dtype=torch.float32))
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), exact, rtol=0, atol=1e-5 * max(scale, 1.0))
    state = layer.state_dict()
    detour = layer.float().double()
    detour.load_state_dict(state)
    torch.testing.assert_close(detour(*case.inputs(6)), case.layer()(*case.inputs(6)), rtol=0, atol=1e-12 * max(scale, 1.0))


def any_batch(case: Case) -> None:
    """Shapes (), (0,), (2, 3), memory that is not contiguous."""
    layer, inputs = case.layer(), case.inputs(2, 3)
    out = layer(*inputs)
    assert out.shape[:-1] == (2, 3)
    torch.testing.assert_close(layer(*(x[1, 2] for x in inputs)), out[1, 2])
    torch.testing.assert_close(layer(*(x.reshape(6, -1) for x in inputs)).view_as(out), out)
    torch.testing.assert_close(layer(*(x.mT.contiguous().mT for x in inputs)), out)
    empty = layer(*(x.reshape(6, -1)[:0] for x in inputs))
    assert empty.shape == (0, out.shape[-1])


def derivatives(case: Case) -> None:
    """First and second derivatives by finite differences."""
    layer = case.layer()
    for parameter in layer.parameters():
        parameter.requires_grad_(False)
    inputs = [x.requires_grad_() for x in case.inputs(2)]
    assert torch.autograd.gradcheck(layer, inputs, fast_mode=True)
    if case.smooth and layer(*inputs).requires_grad:
        assert torch.autograd.gradgradcheck(layer, inputs, fast_mode=True)
    weights = {name: p.detach().clone().requires_grad_() for name, p in layer.named_parameters() if p.numel()}
    if weights:
        fixed = case.inputs(2)
        call = lambda *p: torch.func.functional_call(layer, dict(zip(weights, p, strict=True)), tuple(fixed))  # noqa: E731
        assert torch.autograd.gradcheck(call, tuple(weights.values()), fast_mode=True)


def _unchecked(law: Callable[[Case], None]) -> Callable[[Case], None]:
    """Without checks of annotations, as in use: dynamo cannot read the checks."""

    @functools.wraps(law)
    def run(case: Case) -> None:
        jaxtyping.config.update("jaxtyping_disable", True)
        try:
            law(case)
        finally:
            jaxtyping.config.update("jaxtyping_disable", False)

    return run


@_unchecked
def one_graph(case: Case) -> None:
    """Dynamo takes the layer whole, for any number of rows."""
    torch._dynamo.reset()
    layer = case.layer()
    graphs = []

    def backend(module, _):
        graphs.append(module)
        return module.forward

    compiled = torch.compile(layer, fullgraph=True, dynamic=True, backend=backend)
    for rows in (41, 43, 37):  # numbers of rows that are no number of components, or Dynamo would tie them
        torch.testing.assert_close(compiled(*case.inputs(rows)), layer(*case.inputs(rows)))
    assert len(graphs) <= 1
    inputs = [x.requires_grad_() for x in case.inputs(5)]
    out = compiled(*inputs)
    if out.requires_grad:
        out.square().sum().backward()
        fresh = [x.detach().clone().requires_grad_() for x in inputs]
        layer(*fresh).square().sum().backward()
        for a, b in zip(inputs, fresh, strict=True):
            torch.testing.assert_close(a.grad, b.grad)


def transforms(case: Case) -> None:
    """torch.func: grad, vmap, jacrev, and jacrev under vmap."""
    layer, inputs = case.layer(), case.inputs(3)
    scalar = lambda *x: layer(*x).square().sum()  # noqa: E731
    every = tuple(range(len(inputs)))
    gradients = torch.func.grad(scalar, argnums=every)(*inputs)
    leaves = [x.clone().requires_grad_() for x in inputs]
    value = scalar(*leaves)
    zeros = [torch.zeros_like(x) for x in leaves]
    wanted = torch.autograd.grad(value, leaves, materialize_grads=True) if value.requires_grad else zeros
    for a, b in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(a, b)
    torch.testing.assert_close(torch.func.vmap(layer)(*inputs), layer(*inputs))
    one = [x[0] for x in inputs]
    jacobian = torch.func.jacrev(layer, argnums=0)(*one)
    if layer(*one).numel():
        reference = torch.autograd.functional.jacobian(lambda x: layer(x, *one[1:]), one[0])
    else:
        reference = one[0].new_zeros(0, len(one[0]))  # torch's jacobian refuses to have no rows
    torch.testing.assert_close(jacobian, reference)
    torch.testing.assert_close(torch.func.vmap(torch.func.jacrev(layer, argnums=0))(*inputs)[0], reference)


def copies(case: Case) -> None:
    """deepcopy, pickle, state dict."""
    layer, inputs = case.layer(), case.inputs(4)
    out = layer(*inputs)
    torch.testing.assert_close(copy.deepcopy(layer)(*inputs), out, rtol=0, atol=0)
    torch.testing.assert_close(pickle.loads(pickle.dumps(layer))(*inputs), out, rtol=0, atol=0)
    torch.manual_seed(5)
    other = case.make().double().eval()
    other.load_state_dict(layer.state_dict())
    torch.testing.assert_close(other(*inputs), out, rtol=0, atol=0)
    assert repr(layer)


def inputs_stay(case: Case) -> None:
    """Inputs are not changed, nor is the global precision."""
    layer, inputs = case.layer(), case.inputs(4)
    before = [x.clone() for x in inputs]
    layer(*inputs)
    for a, b in zip(inputs, before, strict=True):
        assert a.equal(b)
    assert torch.get_default_dtype() == torch.float32


LAWS = [equivariant, precise, any_batch, derivatives, one_graph, transforms, copies, inputs_stay]
