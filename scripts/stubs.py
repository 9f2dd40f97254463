"""Writes into python/oxiflux/_core.pyi what is not written there by hand: the operations and the element types.

A parameter of an operation is a tensor unless `TYPES` knows its name, and an operation gives a tensor; one for which
that is not so belongs into the part that is written by hand. `--check` changes nothing and fails if something would
change.
"""

import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from oxiflux import _core

STUB = Path(__file__).parents[1] / "python" / "oxiflux" / "_core.pyi"
MARK = "# The rest is written by scripts/stubs.py.\n\n"

TYPES = {
    "axes": "_Axes",
    "axis": "_Axes",
    "ceil_mode": "bool",
    "correction": "float",
    "count_include_pad": "bool",
    "dilation": "_Axes",
    "dtype": "_DTypeLike",
    "exponent": "float",
    "k": "int",
    "keepdims": "bool",
    "kv_heads": "int",
    "n": "int",
    "op": "str",
    "num_classes": "int",
    "pad": "_Axes",
    "repeats": "int",
    "shape": "int | Sequence[int]",
    "stride": "_Axes",
    "window": "_Axes",
}
# Operations that take one axis, and no more.
ONE_AXIS = {"argmax", "argmin", "logsoftmax", "softmax"}


def parameter(function: str, p: inspect.Parameter) -> inspect.Parameter:
    """The parameter with its type; a default that only Rust knows is `...`."""
    has_default = p.default is not inspect.Parameter.empty
    # A parameter with a default that `TYPES` does not know is a coefficient of a formula.
    kind = TYPES.get(p.name, "float" if has_default else "_TensorLike")
    if p.name == "axis" and function in ONE_AXIS:
        kind = "int | None" if function.startswith("arg") else "int"
    return p.replace(annotation=Literal(kind), default=Literal("...") if p.default is ... else p.default)


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


def main() -> None:
    """Rewrites the stub, or with `--check` compares it."""
    old = STUB.read_text()
    head, _, _ = old.partition(MARK)
    written = set(re.findall(r"^(?:def |class )?(\w+)", head, re.MULTILINE))
    ruff = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(STUB), "-"]
    unformatted = head + MARK + "".join(lines(written))
    new = subprocess.run(ruff, input=unformatted, check=True, stdout=subprocess.PIPE, text=True).stdout
    if new == old:
        return
    if "--check" in sys.argv:
        sys.exit(f"{STUB.name} is not that of the module: make stubs")
    STUB.write_text(new)


if __name__ == "__main__":
    main()
