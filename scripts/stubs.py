"""Writes into python/oxiflux/_core.pyi what is not written there by hand: the operations, the element types, and the
documentation of everything, which editors show from there.

An operation takes tensors and gives one; the types of its other parameters stand in its head in src/ops. One for which
that is not so belongs into the part that is written by hand. `--check` changes nothing and fails if something would
change.
"""

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from oxiflux import _core

ROOT = Path(__file__).parents[1]
STUB = ROOT / "python" / "oxiflux" / "_core.pyi"
MARK = "# The rest is written by scripts/stubs.py.\n\n"

# What Python gives for a parameter of Rust.
TYPES = {
    "Axes": "Axes",
    "DType": "DTypeLike",
    "Option<f64>": "float | None",
    "Option<isize>": "int | None",
    "String": "str",
    "Vec<usize>": "Sequence[int]",
    "bool": "bool",
    "f64": "float",
    "isize": "int",
    "usize": "int",
}
# Operations that take one axis or all of them.
ONE_OR_ALL = {"argmax", "argmin"}


def heads() -> dict[str, dict[str, str]]:
    """The parameters of each operation with a head in src/ops, and their types in Rust."""
    found = {}
    for path in sorted((ROOT / "src" / "ops").rglob("*.rs")):
        for name, more in re.findall(r"^    (\w+)\([\w, ]+(?:; (.*))?\) \{$", path.read_text(), re.MULTILINE):
            found[name] = dict(re.findall(r"(\w+): ([\w<>]+)", more))
    return found


HEADS = heads()


def parameter(function: str, p: inspect.Parameter) -> inspect.Parameter:
    """The parameter with its type."""
    # A parameter with a default in a table of functions of numbers is a coefficient of the formula.
    kind = "ArrayLike" if p.default is p.empty else "float"
    if rust := HEADS.get(function, {}).get(p.name):
        kind = TYPES[rust]
    if p.name == "axis" and function in ONE_OR_ALL:
        kind = "int | None"
    return p.replace(annotation=Literal(kind))


class Literal:
    """Text that stands for itself in a signature."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def lines(written: set[str]) -> Iterator[str]:
    """A line for each public name of the module that is not among those written by hand."""
    left = sorted(name for name in vars(_core) if not name.startswith("_") and name not in written)
    dtypes = [name for name in left if isinstance(getattr(_core, name), _core.DType)]
    unknown = set(left) - set(dtypes) - set(_core.op_names)
    if unknown:
        sys.exit(f"{STUB.name}: not operations, so to be written by hand: {', '.join(sorted(unknown))}")
    yield from (f"{name}: DType\n" for name in dtypes)
    yield "\n"
    for name in left:
        if name in _core.op_names:
            signature = inspect.signature(getattr(_core, name))
            parameters = [parameter(name, p) for p in signature.parameters.values()]
            yield f"def {name}{signature.replace(parameters=parameters)} -> Tensor: ...\n"


def documented(text: str) -> str:
    """The stub with the documentation of the module in the place of what it has."""
    rows = text.splitlines()
    # From the end, so that the places of what comes before stay.
    for node, thing in reversed(list(things(ast.parse(text).body, _core))):
        first, doc = node.body[0], inspect.getdoc(thing)
        place, before = slice(node.lineno, node.lineno), ""
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):  # a docstring, or dots
            place = slice(first.lineno - 1, first.end_lineno)
            before = rows[first.lineno - 1][: first.col_offset].rstrip()
        dots = ["..."] if len(node.body) == 1 else []
        body = [" " * (node.col_offset + 4) + row for row in (literal(doc) if doc else dots)]
        rows[place] = [before, *body] if before else body
    return "\n".join(rows) + "\n"


def things(body: list[ast.stmt], home: Any) -> Iterator[tuple[ast.FunctionDef | ast.ClassDef, Any]]:
    """What a stub defines, in its order, with what it stands for; not what Python itself calls."""
    for node in body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        if (thing := getattr(home, node.name, None)) is not None:
            yield node, thing
            if isinstance(node, ast.ClassDef):
                yield from things(node.body, thing)


def literal(doc: str) -> list[str]:
    """A docstring as lines of source."""
    doc = doc.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    return f'"""{doc}{chr(10) * (chr(10) in doc)}"""'.splitlines()


def main() -> None:
    """Rewrites the stub, or with `--check` compares it."""
    old = STUB.read_text()
    head, _, _ = old.partition(MARK)
    written = set(re.findall(r"^(?:def |class )?(\w+)", head, re.MULTILINE))
    ruff = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(STUB), "-"]
    unformatted = documented(head + MARK + "".join(lines(written)))
    new = subprocess.run(ruff, input=unformatted, check=True, stdout=subprocess.PIPE, text=True).stdout
    if new == old:
        return
    if "--check" in sys.argv:
        sys.exit(f"{STUB.name} is not that of the module: make stubs")
    STUB.write_text(new)


if __name__ == "__main__":
    main()
