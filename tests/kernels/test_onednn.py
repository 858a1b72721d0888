"""Linear maps by oneDNN: torch's own numbers, to any order of derivative, and only where they are large."""

import pytest
import torch
import torch.nn.functional as F

import molzoo.kernels.onednn as onednn
from molzoo.kernels import linear, matmul
from molzoo.kernels.functions import awaited, direct

LARGE = {"rows": (800, 128, 256), "few columns": (9000, 21, 128), "many columns": (200, 512, 256)}


def make(rows, n, m, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    shapes = (rows, n), (m, n), (m,)
    return [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_() for shape in shapes]


def to_third_order(function, x, W, b):
    y = function(x, W, b)
    first = torch.autograd.grad(y.sin().sum(), x, create_graph=True)
    second = torch.autograd.grad(first[0].square().mean(), (x, W, b), create_graph=True)
    return y, *first, *second, *torch.autograd.grad(sum(t.square().sum() for t in second), (x, W, b))


@pytest.fixture
def products(monkeypatch):
    """Shapes of all products that oneDNN makes."""
    made, product = [], onednn._product
    monkeypatch.setattr(onednn, "_available", lambda: hasattr(torch.ops.mkldnn, "_linear_pointwise"))
    monkeypatch.setattr(onednn, "_product", lambda x, W, b: made.append((*x.shape, len(W))) or product(x, W, b))
    return made


@pytest.mark.parametrize("shape", LARGE.values(), ids=LARGE)
def test_as_exact_as_torch_to_third_order(shape, products):
    found, torchs, exact = (
        to_third_order(function, *make(*shape, dtype))
        for function, dtype in ((linear, torch.float32), (F.linear, torch.float32), (F.linear, torch.float64))
    )
    assert len(products) > 5
    for ours, theirs, wanted in zip(found, torchs, exact, strict=True):
        size = wanted.abs().max()
        assert (ours - wanted).abs().max() <= 3 * (theirs - wanted).abs().max() + 1e-6 * size


@pytest.mark.parametrize("part", ["columns", "rows", "turned"])
def test_parts_of_larger_matrices(part, products):
    x, W, _ = (t.detach() for t in make(800, 128, 256))
    wide = torch.randn(256, 384)
    parts = {"columns": (x, wide[:, 100:228]), "rows": (x, torch.cat([W, W])[10:266]), "turned": (x, wide[:, :256].mT[:, :128])}
    x, W = parts[part]
    torch.testing.assert_close(linear(x, W), F.linear(x, W), atol=1e-3, rtol=1e-5)
    torch.testing.assert_close(linear(W, x), F.linear(W, x), atol=1e-3, rtol=1e-5)
    assert len(products) == 2


def test_blocks_of_wider_rows_make_one_product_where_nobody_trains():
    x, W = torch.randn(20, 50)[:, 5:41].unflatten(1, (3, 12)), torch.randn(8, 12)
    with torch.profiler.profile() as profile:
        y = linear(x, W)
    assert {"aten::mm", "aten::bmm"} & {event.key for event in profile.key_averages()} == {"aten::mm"}
    torch.testing.assert_close(y, x @ W.mT)


def test_rows_of_any_shape(products):
    x, W, b = make(800, 128, 256)
    x = x.unflatten(0, (20, 40))
    torch.testing.assert_close(linear(x, W, b), F.linear(x, W, b), atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(matmul(x, W.mT), x @ W.mT, atol=1e-4, rtol=1e-5)
    assert products == [(800, 128, 256)] * 2


def test_one_row_without_a_dimension(products):
    x, W, b = make(1, 5000, 4200)
    torch.testing.assert_close(linear(x[0], W, b), F.linear(x[0], W, b), atol=1e-3, rtol=1e-5)
    assert products == [(1, 5000, 4200)]


@pytest.mark.parametrize("why", ["small", "float64", "switched off", "autocast", "none"])
def test_torch_takes_the_rest(why, products):
    shape = {"small": (10, 128, 256), "none": (0, 128, 256)}.get(why, (800, 128, 256))
    x, W, b = make(*shape, torch.float64 if why == "float64" else torch.float32)
    with torch.backends.mkldnn.flags(enabled=why != "switched off"), torch.autocast("cpu", enabled=why == "autocast"):
        assert linear(x, W, b).equal(F.linear(x, W, b))
    assert not products


def test_transforms_and_compilers_see_torch(products):
    x, W, b = make(800, 128, 256)
    call = lambda x: linear(x, W.detach(), b.detach()).sin().sum()  # noqa: E731
    wanted = torch.autograd.grad(F.linear(x, W, b).sin().sum(), x)[0]
    found = {
        "torch.func": torch.func.grad(call)(x.detach()),
        "forward": torch.func.jvp(call, (x.detach(),), (torch.ones_like(x),))[1],
        "make_fx": torch.fx.experimental.proxy_tensor.make_fx(torch.func.grad(call))(x.detach())(x.detach()),
    }
    for name, value in found.items():
        torch.testing.assert_close(value, wanted.sum() if name == "forward" else wanted, atol=1e-3, rtol=1e-4)
    assert not products


def test_equal_calls_have_equal_bits(products):
    first, second = (to_third_order(linear, *make(800, 128, 256)) for _ in range(2))
    assert all(a.equal(b) for a, b in zip(first, second, strict=True))


def test_what_nobody_waits_for_is_not_made(products):
    x, W, b = make(800, 128, 256)
    h = x * 2
    y = linear(h, W, b)
    y.sum().backward(inputs=[W, b], retain_graph=True)
    assert len(products) == 1  # y; BLAS makes the gradients of weights
    assert x.grad is None
    torch.testing.assert_close(W.grad, h.sum(0).expand_as(W).detach(), atol=1e-2, rtol=1e-4)
    y.sum().backward(inputs=[x])
    assert len(products) == 2


@direct
class Asked(torch.autograd.Function):
    """x + y; notes which gradients somebody waits for."""

    notes: list[tuple[bool, ...]] = []  # noqa: RUF012

    @staticmethod
    def forward(x, number, y):
        return x + y

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, g):
        Asked.notes.append(awaited(ctx))
        return g, None, g


@pytest.mark.parametrize(
    ("wanted", "notes"), [("x", (True, False, False)), ("2x", (True, False, False)), ("y", (False, False, True))]
)
@pytest.mark.parametrize("way", ["grad", "backward"])
def test_who_is_waited_for(wanted, notes, way):
    x, y = torch.ones(3, requires_grad=True), torch.ones(3, requires_grad=True)
    twice, square = 2 * x, y.square()
    of = {"x": x, "2x": twice, "y": y}[wanted]
    out = Asked.apply(twice, 1, square).sum()
    out.backward(inputs=[of]) if way == "backward" else torch.autograd.grad(out, of)
    assert Asked.notes.pop() == notes


@pytest.mark.parametrize(("wanted", "notes"), [("x", (True, False, False)), ("y", (False, False, True))])
@pytest.mark.parametrize("way", ["grad", "backward"])
def test_who_is_waited_for_among_leaves(wanted, notes, way):
    x, y = torch.ones(3, requires_grad=True), torch.ones(3, requires_grad=True)
    out, of = Asked.apply(x, 1, y).sum(), {"x": x, "y": y}[wanted]
    out.backward(inputs=[of]) if way == "backward" else torch.autograd.grad(out, of)
    assert Asked.notes.pop() == notes


def test_everybody_is_waited_for_without_a_list():
    x, y = torch.ones(3, requires_grad=True), torch.ones(3)
    Asked.apply(2 * x, 1, y).sum().backward()
    assert Asked.notes.pop() == (True, False, False)
    Asked.apply(x, 1, x).sum().backward()
    assert Asked.notes.pop() == (True, False, True)
