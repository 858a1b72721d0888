"""Every line of the documentation's Python runs and gives what stands below it."""

import doctest
import re
import runpy
from pathlib import Path

import matplotlib
import pytest
import torch

from molzoo.models import TABLE

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


def test_the_page_of_models_and_our_results_are_up_to_date():
    script = runpy.run_path(str(DOCS.parent / "scripts" / "make_zoo_table.py"))
    page = script["PAGE"].read_text()
    assert page == script["with_table"](page, script["choice"]()), "type python scripts/make_zoo_table.py"
    assert script["RESULTS"].read_text() == script["results"](), "type python scripts/make_zoo_table.py"


@pytest.mark.parametrize("name", TABLE)
def test_every_model_has_its_section_and_a_small_picture(name):
    (section,) = re.findall(
        rf"^## {re.escape(name.replace('PP', '++'))}\n(.*?)(?=^## |\Z)",
        (DOCS / "models.md").read_text(),
        re.DOTALL | re.MULTILINE,
    )
    idea, _, picture = section.strip().partition("\n\n![")
    assert 6 <= len(idea.splitlines()) <= 12
    assert (DOCS / picture[picture.index("](") + 2 : picture.index(")")]).stat().st_size < 40_000
