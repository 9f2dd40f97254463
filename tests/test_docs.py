"""The examples in the pages of docs/ run, page by page, and print what the pages say."""

import contextlib
import io
import re
from pathlib import Path

import matplotlib as mpl
import pytest

import oxiflux as flux

mpl.use("Agg")

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n?^```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)


def examples(page):
    """The code of each example of a page, at the lines where it stands, and what it is to print."""
    text = page.read_text()
    for found in BLOCK.finditer(text):
        line = text.count("\n", 0, found.start(1))
        yield "\n" * line + found.group(1), found.group(2) or ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_the_examples_of_a_page(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for code, expected in examples(page):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, str(page), "exec"), names)
        assert printed.getvalue() == expected


def test_every_block_of_code_on_a_page_is_run():
    for page in PAGES:
        assert page.read_text().count("```python") == len(list(examples(page))), page


def test_every_module_with_public_names_has_its_page():
    listed = " ".join(re.findall(r"<!-- names: (.*?) -->", "".join(p.read_text() for p in PAGES)))
    source = Path(flux.__file__).read_text()
    modules = re.findall(r"^from \.(\w+) import", source, re.MULTILINE)
    assert sorted(modules) == sorted(listed.split())
