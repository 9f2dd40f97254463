"""Writes what the left sides of the pages for those who come from elsewhere give, by the libraries themselves.

Run it by hand, with a Python that has them, when a row is added or for another version:

    python tests/parity/pages.py pytorch

What is random is other the second time; of that the type and the shape are written alone.
"""

import contextlib
import json
import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parent.parent))
from pairs import DOCS, pairs, run_all  # noqa: E402


def common(first, second):
    """What two runs agree on."""
    if isinstance(first, dict):
        return {key: common(part, second[key]) for key, part in first.items()}
    if isinstance(first, list) and first and isinstance(first[0], (dict, list)):
        return [common(a, b) for a, b in zip(first, second, strict=True)]
    return first if first == second else None


def record(page: str) -> None:
    rows = pairs(DOCS / f"from_{page}.md")
    codes = [(row.section, row.there) for row in rows]
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(None):
        os.chdir(folder)
        runs = run_all(codes), run_all(codes)
        os.chdir(HERE.parent)
    found = {}
    for row, first, second in zip(rows, *runs, strict=True):
        if isinstance(first, Exception):
            raise RuntimeError(f"line {row.line}: {row.there}") from first
        found[f"{row.section}: {row.there}"] = common(first, second)
    lines = (f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in found.items() if value is not None)
    path = HERE.parent / "results" / f"from_{page}.json"
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        record(name)
