"""molzoo's irreps, products and layers under the paths of e3nn 0.6: change the imports, and code written for e3nn runs.

``docs/e3nn.md`` says where each name lives here, and what is left out.

>>> import torch
>>> from molzoo.compat.e3nn import nn, o3
>>> gate = nn.Gate("1x0e", [torch.nn.functional.silu], "1x0e", [torch.sigmoid], "1x1o")
>>> gate.irreps_in, gate(torch.zeros(7, 5)).shape
(2x0e+1x1o, torch.Size([7, 4]))
"""

from molzoo.compat.e3nn import io, math, nn, o3

__all__ = ["io", "math", "nn", "o3"]
