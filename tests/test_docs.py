"""The examples in README.md and the pages of docs/ run, page by page, and print what the pages say."""

import contextlib
import inspect
import io
import re
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import pytest

import oxiflux as flux

mpl.use("Agg")

DOCS = Path(__file__).resolve().parent.parent / "docs"
README = DOCS.parent / "README.md"
PAGES = sorted([*DOCS.rglob("*.md"), README])
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n?^```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)


def examples(page):
    """The code of each example of a page, at the lines where it stands, and what it is to print."""
    text = page.read_text()
    for found in BLOCK.finditer(text):
        line = text.count("\n", 0, found.start(1))
        yield "\n" * line + found.group(1), found.group(2) or ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS.parent)))
def test_the_examples_of_a_page(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for code, expected in examples(page):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, str(page), "exec"), names)
        assert printed.getvalue() == expected


@pytest.mark.parametrize("way", [["-i", "-q"], ["-"]], ids=["prompt", "file"])
def test_the_first_example_can_be_pasted(way):
    code, expected = next(examples(README))
    paste = [sys.executable, *way]
    ran = subprocess.run(paste, input=code.lstrip("\n"), capture_output=True, text=True, check=False)
    assert ran.stdout == expected, ran.stderr
    assert "Error" not in ran.stderr


def test_every_block_of_code_on_a_page_is_run():
    for page in PAGES:
        assert page.read_text().count("```python") == len(list(examples(page))), page


def test_the_tables_of_speed_are_those_of_the_results():
    command = [sys.executable, DOCS.parent / "benches" / "python" / "tables.py", "--check"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not ran.returncode, ran.stderr


def test_every_module_with_public_names_has_its_page():
    listed = " ".join(re.findall(r"<!-- names: (.*?) -->", "".join(p.read_text() for p in PAGES)))
    source = Path(flux.__file__).read_text()
    modules = re.findall(r"^ *from \.(\w+) import", source, re.MULTILINE)
    assert sorted(set(modules)) == sorted(listed.split())


# The tables of names in the reference


def names_in_tables(page):
    """The names in the second column of the tables of a page."""
    rows = re.findall(r"^\|[^|]*\|([^|]*`[^|]*)\|$", page.read_text(), re.MULTILINE)
    return re.findall(r"`(\w+)`", " ".join(rows))


def exported(page):
    """The public names that the package has from the modules of a page."""
    modules = re.search(r"<!-- names: (.*?) -->", page.read_text()).group(1).split()
    source = Path(flux.__file__).read_text()
    lists = [
        f
        for m in modules
        for f in re.finditer(rf"^from \.{m} import (?:\((.*?)\)|(.*?)$)", source, re.M | re.S)
    ]
    return {name for f in lists for name in re.findall(r"(?:\w+ as )?(\w+)", f.group(1) or f.group(2))}


TABLES = [page for page in PAGES if page.parent.name == "api" and names_in_tables(page)]


@pytest.mark.parametrize(
    ("page", "name"),
    [pytest.param(page, name, id=name) for page in TABLES for name in names_in_tables(page)],
)
def test_a_name_in_a_table_is_public_and_documented_with_an_example(page, name):
    thing = getattr(flux, name)
    assert name in dir(flux)
    doc = inspect.getdoc(thing) or ""
    assert doc
    shown = " ".join(code for code, _ in examples(page))
    assert ">>> " in doc or f"flux.{name}" in shown


@pytest.mark.parametrize("page", [p for p in TABLES if p.stem != "tensors"], ids=lambda page: page.stem)
def test_a_table_lists_all_that_its_modules_export_once(page):
    names = names_in_tables(page)
    assert len(names) == len(set(names))
    assert exported(page) <= set(names)


def test_the_layers_losses_initialisers_and_activations_have_tables():
    assert [page.stem for page in TABLES] == ["layers", "losses", "models", "tensors"]


def test_the_gallery_has_every_example():
    text = (DOCS / "gallery.md").read_text()
    shown = re.findall(r"<!-- example: (\w+)", text)
    scripts = {path.stem for path in (DOCS.parent / "examples").glob("*.py") if '"--out"' in path.read_text()}
    assert len(shown) == len(set(shown))
    assert {*shown, "sentence_bert"} == scripts
