"""The pages for those who come from elsewhere: each row runs, and gives what it gives there."""

import ast
import contextlib
import functools
import json
import os
import tempfile

import numpy as np
import pytest

import oxiflux as flux
from pairs import DOCS, pairs, run_all

PAGES = sorted(path.stem for path in DOCS.glob("from_*.md"))
RESULTS = DOCS.parent / "tests" / "parity" / "results"
ROWS = [(page, row) for page in PAGES for row in pairs(DOCS / f"{page}.md")]


@functools.cache
def found(page):
    """What the right sides of a page give, by their lines."""
    rows, threads = pairs(DOCS / f"{page}.md"), flux.get_num_threads()
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(None):
        os.chdir(folder)
        try:
            flux.seed(0)
            values = run_all([(row.section, row.here) for row in rows])
        finally:
            os.chdir(before)
            flux.set_num_threads(threads)
            np.set_printoptions(precision=8)
    return {row.line: value for row, value in zip(rows, values, strict=True)}


@functools.cache
def expected(page):
    """What the left sides gave in the libraries that they are of; `tests/parity/pages.py` writes it."""
    return json.loads((RESULTS / f"{page}.json").read_text(encoding="utf-8"))


def same(value, other):
    """Whether a value is the other one, as far as that is known."""
    if other is None:
        return True
    if isinstance(other, dict):
        return isinstance(value, dict) and all(same(value.get(key), part) for key, part in other.items())
    if isinstance(other, list):
        return (
            isinstance(value, list)
            and len(value) == len(other)
            and all(same(a, b) for a, b in zip(value, other, strict=True))
        )
    if isinstance(other, float):
        return value == pytest.approx(other, rel=1e-5, abs=1e-6)
    return value == other


@pytest.mark.parametrize(("page", "row"), [pytest.param(*x, id=f"{x[0]}:{x[1].line}") for x in ROWS])
def test_a_row_runs_and_gives_what_it_gives_there(page, row):
    ast.parse(row.there)
    value = found(page)[row.line]
    if isinstance(value, Exception):
        raise value
    if not isinstance(ast.parse(row.here).body[-1], ast.Expr):
        return
    given = expected(page).get(f"{row.section}: {row.there}")
    assert same(value, given), f"{row.here} gives {value}, there {given}"


@pytest.mark.parametrize("page", PAGES)
def test_every_row_of_a_page_is_run(page):
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    blocks = text.count("``` { .py }\n")
    assert len(rows) > 100 and blocks % 2 == 0
    assert len(rows) + blocks // 2 == len(pairs(DOCS / f"{page}.md"))


@pytest.mark.parametrize("page", PAGES)
def test_what_the_libraries_gave_belongs_to_a_row(page):
    assert set(expected(page)) <= {f"{row.section}: {row.there}" for of, row in ROWS if of == page}
