"""Every line of the documentation's Python runs and gives what stands below it."""

import doctest
import re
import runpy
from pathlib import Path

import matplotlib
import pytest
import torch

from molzoo.check import LAWS
from molzoo.data.source import open_source
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


@pytest.fixture
def broken_model():
    """The program and the table of docs/check.md's section on a broken model."""
    section = (DOCS / "check.md").read_text().partition("\n## A broken model\n")[2].partition("\n## ")[0]
    program, table = re.findall(r"^```(?:python)?\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    return program, table


def rows(table):
    """From each law to what stands beside it, of a printed table with its heads."""
    return {line[:20].strip(): re.split(" {2,}", line[20:].strip()) for line in table.splitlines()}


def test_the_broken_model_violates_what_the_page_says(broken_model, capsys):
    program, table = broken_model
    exec(program, {})
    said, shown = rows(capsys.readouterr().out), rows(table)
    assert list(said) == ["law", *LAWS]
    violated = {law for law, words in said.items() if "VIOLATED" in words}
    assert violated == {law for law, words in shown.items() if "VIOLATED" in words} == {"locality", "continuity"}
    for law, words in shown.items():
        same = slice(1, 4) if "holds" in words else slice(None)  # what holds does so but for rounding, elsewhere another
        assert said[law][same] == words[same]


def test_the_broken_model_is_repaired_and_its_fault_hidden_as_the_page_says(broken_model, capsys):
    program, _ = broken_model
    assert program.count('reduce="mean"') == 1
    exec(program.replace('reduce="mean"', 'reduce="sum"'), {})
    assert "VIOLATED" not in capsys.readouterr().out
    frames = open_source("sample/ethanol").frames
    farthest = max(float(torch.pdist(frames[k].pos).max()) for k in range(len(frames)))
    assert f"{farthest:.1f} Å apart" in (DOCS / "check.md").read_text()


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
