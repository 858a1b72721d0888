"""Small random programs and graphs, and derivatives of high order, for the tests of every back end."""

import random

import torch

from molzoo.kernels import ConvolutionProgram, Index, Term, contract, use_backend


def a_program(choose: random.Random) -> ConvolutionProgram:
    """One to four paths between rows of one to five channels, each with a few coefficients; paths may share rows of output,
    each may have one weight for all channels, and edges may read windows of up to three rows."""
    widths = [choose.randint(1, 5) for _ in range(choose.randint(1, 2))]
    rows_in = [widths[0]] + [choose.choice(widths) for _ in range(choose.randint(0, 3))]
    rows_out = [widths[0]] + [choose.choice(widths) for _ in range(choose.randint(0, 3))]
    n_harmonics = choose.randint(1, 5)
    window, paths = choose.choice([1, 1, 2, 3]), []
    for _ in range(choose.randint(1, 4)):
        width = choose.choice([width for width in widths if width in rows_in and width in rows_out])
        ms = [m for m, channels in enumerate(rows_in * window) if channels == width]
        ks = [k for k, channels in enumerate(rows_out) if channels == width]
        places = {
            (choose.choice(ms), choose.randrange(n_harmonics), choose.choice(ks)): choose.choice([1.0, -0.5, 1 / 3, 0.7])
            for _ in range(choose.randint(1, 4))
        }
        paths.append(tuple(Term(*place, value) for place, value in places.items()))
    return ConvolutionProgram(tuple(rows_in), n_harmonics, tuple(rows_out), tuple(paths), choose.random() < 0.3, window)


def a_graph(choose: random.Random, window: int = 1) -> Index:
    """Up to six edges between up to four senders (windows of them) and four other receivers; nobody need send, receive or be
    read."""
    n_src, n_dst, n_rows = (choose.randint(1, 4) for _ in range(3))
    dst = sorted(choose.randrange(n_dst) for _ in range(choose.randint(0, 6)))
    src, w_row = ([choose.randrange(n) for _ in dst] for n in (n_src, n_rows))
    return index(src, dst, w_row, n_src + window - 1, n_dst, n_rows)


def a_case(choose: random.Random) -> tuple[ConvolutionProgram, Index]:
    program = a_program(choose)
    return program, a_graph(choose, program.window)


def index(src, dst, w_row, n_src, n_dst, n_rows) -> Index:
    return Index(*(torch.tensor(t, dtype=torch.long) for t in (src, dst, w_row)), n_src, n_dst, n_rows)


def arguments(program: ConvolutionProgram, edges: Index, dtype=torch.float64) -> list[torch.Tensor]:
    rows = {"x": edges.n["x"], "Y": len(edges.edges[0]), "w": edges.n["w"]}
    made = [torch.randn(n, program.dim[name], dtype=dtype) for name, n in rows.items()]
    return [t.requires_grad_() for t in made]


def derivatives(program: ConvolutionProgram, edges: Index, leaves: list[torch.Tensor], orders: int) -> list[torch.Tensor]:
    """The convolution, its gradients, the gradients of these …; every tensor has a part in the next."""
    found = [contract(program, edges, *leaves)]
    newest = found
    for _ in range(orders):
        total = sum((t.pow(3) + t.pow(2)).sum() for t in newest)
        newest = torch.autograd.grad(total, leaves, create_graph=True, materialize_grads=True)
        found += newest
    return found


def agree(name: str, program: ConvolutionProgram, edges: Index, orders: int = 3, tolerance: float = 1e-12) -> None:
    """This back end and the reference find the same derivatives, to a part of the largest number."""
    leaves = arguments(program, edges)
    both = []
    for backend in (name, "messages"):
        with use_backend(backend):
            both.append(derivatives(program, edges, leaves, orders))
    for a, b in zip(*both, strict=True):
        largest = float(b.detach().abs().max()) if b.numel() else 0.0
        torch.testing.assert_close(a, b, rtol=0, atol=tolerance * max(largest, 1.0))
