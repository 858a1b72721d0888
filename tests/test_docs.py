"""Every line of the documentation's Python runs and gives what stands below it."""

import doctest
import re
from pathlib import Path

import matplotlib
import pytest
import torch

DOCS = Path(__file__).parent.parent / "docs"


@pytest.mark.parametrize("page", ["o3.md"])
def test_examples_give_what_the_page_says(page):
    matplotlib.use("agg")
    torch.manual_seed(0)
    blocks = re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)
    examples = doctest.DocTestParser().get_doctest("\n\n".join(blocks), {}, page, str(DOCS / page), 0)
    assert len(examples.examples) > 20
    said: list[str] = []
    failed = doctest.DocTestRunner().run(examples, out=said.append).failed
    assert not failed, "".join(said)
