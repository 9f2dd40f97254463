"""SECURITY.md promises nothing that no test holds."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "SECURITY.md").read_text()
PROMISES = re.split(r"^- ", TEXT.split("## What is promised")[1].split("## What is not")[0], flags=re.M)[1:]


def test_there_are_promises_and_a_way_to_report():
    assert len(PROMISES) >= 5
    assert "Report a vulnerability" in TEXT


@pytest.mark.parametrize("promise", PROMISES, ids=[p.split("**")[1] for p in PROMISES])
def test_a_promise_names_tests_that_are_there(promise):
    files = re.findall(r"`((?:tests|fuzz)/[\w/]+\.(?:py|rs))`", promise)
    assert files
    for name in files:
        text = (ROOT / name).read_text()
        assert "def test_" in text or "fuzz_target!" in text, name
