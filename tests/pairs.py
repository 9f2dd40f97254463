"""The pages for those who come from elsewhere: their rows, run in order, and what the rows give.

A row of a table, or a pair of blocks in a grid, has what one types there and what one types here. Each section goes on
from the names of what stands before the first heading.
"""

import ast
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

DOCS = Path(__file__).resolve().parent.parent / "docs"
ROW = re.compile(r"^\| `([^`]+)` \| `([^`]+)` \|$", re.MULTILINE)
GRID = re.compile(r"^``` { \.py }\n(.*?)^```\n\n``` { \.py }\n(.*?)^```\n", re.MULTILINE | re.DOTALL)


class Pair(NamedTuple):
    """What one types there and here, and the heading and the line under which it stands."""

    section: str
    there: str
    here: str
    line: int


def pairs(page: Path) -> list[Pair]:
    """The pairs of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found = [(grid.start(), grid[1].strip(), grid[2].strip()) for grid in GRID.finditer(text)]
    found += [(row.start(), row[1], row[2]) for row in ROW.finditer(text)]
    placed = []
    for start, there, here in sorted(found):
        heading = re.findall(r"^## (.*)$", text[:start], re.MULTILINE)
        placed.append(Pair(heading[-1] if heading else "", there, here, text.count("\n", 0, start) + 1))
    return placed


def run(code: str, names: dict):
    """Runs code, and gives what its last statement is worth if that is an expression."""
    tree = ast.parse(code)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<row>", "exec"), names)
    return plain(eval(compile(ast.Expression(last.value), "<row>", "eval"), names)) if last else None


def run_all(codes: list[tuple[str, str]]) -> list:
    """Runs sections and code, and gives what each is worth, or the error of the first that fails in a section."""
    start, names, section, failed, found = {}, {}, "", None, []
    for heading, code in codes:
        if heading != section:
            start = start if section else names
            section, names, failed = heading, dict(start), None
        try:
            found.append(failed or run(code, names))
        except Exception as error:
            failed = error
            found.append(error)
    return found


def plain(value):
    """A value of any library as plain data: tensors by their numbers, models by how many parameters they have."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)) and type(value).__name__ != "_IncompatibleKeys":
        return [plain(part) for part in value]
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        value = value.detach() if hasattr(value, "detach") and "torch" in type(value).__module__ else value
        return {
            "dtype": str(value.dtype).rpartition(".")[2],
            "shape": list(value.shape),
            "values": np.asarray(value, dtype="float64").ravel().round(7).tolist(),
        }
    kind, name = type(value).__module__.partition(".")[0], type(value).__name__
    if name in ("dtype", "DType"):
        return str(value).rpartition(".")[2]
    if kind in ("torch", "keras") and hasattr(value, "parameters"):
        return {"parameters": sum(p.numel() for p in value.parameters())}
    if (getattr(value, "__module__", None) or kind).startswith("oxiflux"):
        import oxiflux as flux

        return {"parameters": sum(p.size for p in flux.trainables(value))}
    return None
