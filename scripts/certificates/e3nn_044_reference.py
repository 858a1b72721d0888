"""Couplings of e3nn 0.4.4, whose signs MACE needs: python e3nn_044_reference.py tests/fixtures/e3nn_044_wigner_3j.csv.

Its environment: python -m venv V; V/bin/pip install torch==2.13.0 numpy scipy sympy opt_einsum_fx;
V/bin/pip install --no-deps e3nn==0.4.4.
"""

import functools
import itertools
import sys
from pathlib import Path

import torch

# Its tables hold slices, which torch no longer unpickles unasked.
torch.load = functools.partial(torch.load, weights_only=False)
from e3nn import __version__, o3  # noqa: E402

assert __version__ == "0.4.4"
HEADER = """\
# Signs of couplings in e3nn 0.4.4 (pip install torch==2.13.0; pip install --no-deps e3nn==0.4.4;
# torch.load with weights_only=False).
# One row for each o3.wigner_3j(l1, l2, l3, dtype=torch.float64) with all l <= 6, and with l1 <= l2 <= l3 <= 11:
# its largest component in size (the first, if several are equal to 1e-9), by its place, and its value.
# l1, l2, l3, i, j, k, value"""
lines = [HEADER]
for ls in itertools.product(range(12), repeat=3):
    if abs(ls[0] - ls[1]) <= ls[2] <= ls[0] + ls[1] and (max(ls) <= 6 or ls == tuple(sorted(ls))):
        C = o3.wigner_3j(*ls, dtype=torch.float64)
        at = (C.abs() > C.abs().max() - 1e-9).nonzero()[0].tolist()
        lines.append(",".join(map(str, [*ls, *at, f"{C[tuple(at)].item():.16g}"])))
Path(sys.argv[1]).write_text("\n".join(lines) + "\n")
