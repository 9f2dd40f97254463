"""Puts small faults into the sources, one at a time, and says which of them the tests do not see.

    python scripts/mutants.py --python 40 --rust 40            # a sample of each, drawn by --seed
    python scripts/mutants.py --rust 0 --only optimisers       # of files whose path has this in it

The faults of Python are made here; those of Rust are listed by cargo-mutants and built into the Python module, because
most tests of the core are Python. Each runs the test files that the table below names for its source, until one fails;
with `--whole`, what survives these then runs the whole suite. Everything happens in a copy, in target/mutants.
"""

import argparse
import ast
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COPY = ROOT / "target" / "mutants"
SLOWEST = 600  # seconds after which the tests have hung, which is seen, too
# The files of tests for each source, by the beginning of its path; the first that fits.
TESTS = {
    "python/oxiflux/data": "data workers train",
    "python/oxiflux/einsum": "linalg_numpy functions",
    "python/oxiflux/files/layouts": "huggingface",
    "python/oxiflux/files/mapping": "load_torch to_torch",
    "python/oxiflux/files/modules": "modules_of_torch",
    "python/oxiflux/files/pytorch": "load_torch to_torch",
    "python/oxiflux/files": "files files_hostile checkpoints",
    "python/oxiflux/functions": "functions manipulation_numpy ops_numpy dtypes_numpy linalg_numpy",
    "python/oxiflux/gradient": "gradient gradients bad_input",
    "python/oxiflux/checkpoint": "checkpointed gradient",
    "python/oxiflux/custom": "custom_gradients gradient gradients",
    "python/oxiflux/gradcheck": "gradient gradients variables",
    "python/oxiflux/huggingface": "huggingface",
    "python/oxiflux/init": "init",
    "python/oxiflux/layers/attention": "attention zoo bad_layers",
    "python/oxiflux/layers/audio": "audio window",
    "python/oxiflux/layers/cells": "recurrent zoo bad_layers",
    "python/oxiflux/layers/conv": "conv zoo bad_layers",
    "python/oxiflux/layers/dropout": "dropout zoo bad_layers",
    "python/oxiflux/layers/embedding": "embedding zoo bad_layers",
    "python/oxiflux/layers/gather": "gather",
    "python/oxiflux/layers/grid": "grid",
    "python/oxiflux/layers/norm": "normalisation zoo bad_layers",
    "python/oxiflux/layers/pad": "padding",
    "python/oxiflux/layers/pool": "pool zoo bad_layers",
    "python/oxiflux/layers/recurrent": "recurrent zoo bad_layers",
    "python/oxiflux/layers/upsample": "upsample zoo bad_layers",
    "python/oxiflux/layers": "layers basic_layers containers zoo bad_layers show tree",
    "python/oxiflux/losses": "losses ctc bad_input",
    "python/oxiflux/onehot": "onehot bad_input",
    "python/oxiflux/optimisers": "optimisers rules rule_chains bad_input",
    "python/oxiflux/shapes": "shapes show",
    "python/oxiflux/show": "show",
    "python/oxiflux/training": "train fit",
    "python/oxiflux/tree": "tree layers show",
    "python/oxiflux/vector": "vector",
    "src/array": "indexing_numpy manipulation_numpy dtypes_numpy half",
    "src/files": "files files_hostile",
    "src/dtype": "half dtypes_numpy promotion",
    "src/kernels/attention": "attention",
    "src/kernels/conv": "conv zoo absurd_sizes",
    "src/kernels/ctc": "ctc",
    "src/kernels/gemm": "linalg_numpy basic_layers",
    "src/kernels/norm": "normalisation zoo",
    "src/kernels/pool": "pool zoo",
    "src/kernels/recurrent": "recurrent zoo",
    "src/kernels/softmax": "attention losses ops_numpy",
    "src/kernels/update": "optimisers rules rule_chains",
    "src/ops/attention": "attention",
    "src/ops/conv": "conv zoo absurd_sizes",
    "src/ops/crossentropy": "losses bad_input",
    "src/ops/ctc": "ctc",
    "src/ops/dense": "basic_layers zoo",
    "src/ops/index": "indexing_numpy gather manipulation_numpy",
    "src/ops/loss": "losses",
    "src/ops/norm": "normalisation zoo",
    "src/ops/pool": "pool zoo",
    "src/ops/recur": "recurrent zoo",
    "src/ops/scatter": "gather embedding upsample",
    "src/ops": "ops_numpy manipulation_numpy linalg_numpy indexing_numpy gradients dtypes_numpy",
    "src/optim": "optimisers rules rule_chains",
    "src/py/dlpack": "dtypes_numpy bad_input dlpack",
    "src/py/index": "indexing_numpy",
    "src/py/random": "init dropout bad_input",
    "src/py": "bad_input gradient tree optimisers train undone_steps checkpointed variables",
    "src/shape": "manipulation_numpy ops_numpy bad_input",
    "src/tape": "gradient gradients checkpointed variables",
    "src": "ops_numpy gradients bad_input",
}
SWAPPED: dict[type[ast.AST], str] = {
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==", ast.Is: "is not",
    ast.IsNot: "is", ast.In: "not in", ast.NotIn: "in", ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*",
    ast.FloorDiv: "/", ast.Mod: "*", ast.Pow: "*", ast.And: "or", ast.Or: "and",
}  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """Some text of a file that stands in the place of another, from one byte to another."""

    path: str
    line: int
    start: int
    end: int
    text: str

    def show(self) -> str:
        """The line as it was, with what changes."""
        source = (COPY / self.path).read_bytes()
        before = " ".join(source[self.start : self.end].decode().split())
        return f"{self.path}:{self.line}: {before[:100]}  ->  {self.text[:100]}"

    def put(self) -> bytes:
        """The file with the fault."""
        source = (COPY / self.path).read_bytes()
        return source[: self.start] + self.text.encode() + source[self.end :]


def python_faults(path: str) -> Iterator[Fault]:
    """What could be wrong in a Python file: operators, conditions, constants, results, and guards that are missing."""
    source = (COPY / path).read_bytes()
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))

    def fault(node: ast.expr | ast.stmt, text: str) -> Fault:
        end_line, end_column = node.end_lineno or 0, node.end_col_offset or 0
        start, end = starts[node.lineno - 1] + node.col_offset, starts[end_line - 1] + end_column
        return Fault(path, node.lineno, start, end, text)

    def between(left: ast.expr, right: ast.expr, parent: ast.expr, text: str) -> Fault:
        """Another operator between two operands: brackets around these are kept."""
        start = starts[(left.end_lineno or 1) - 1] + (left.end_col_offset or 0)
        end = starts[right.lineno - 1] + right.col_offset
        gap = source[start:end].decode()
        symbol = gap.strip(" \n()")
        return Fault(path, parent.lineno, start, end, gap.replace(symbol, text, 1))

    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                yield between(left, right, node, SWAPPED[type(op)])
            case ast.BinOp(left=left, op=op, right=right) if type(op) in SWAPPED:
                yield between(left, right, node, SWAPPED[type(op)])
            case ast.BoolOp(op=op, values=[left, right, *_]):
                yield between(left, right, node, SWAPPED[type(op)])
            case ast.Constant(value=bool(value)):
                yield fault(node, str(not value))
            case ast.Constant(value=int(number)) | ast.Constant(value=float(number)):
                yield fault(node, repr(number + 1))
            case ast.If(test=test) | ast.IfExp(test=test):
                yield fault(test, f"(not ({ast.get_source_segment(source.decode(), test)}))")
            case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
                yield fault(value, "None")
            case ast.Raise():
                yield fault(node, "pass")
            case ast.Expr(value=ast.Call()):
                yield fault(node, "pass")
            case _:
                pass


def rust_faults(only: str) -> list[Fault]:
    """What cargo-mutants would change."""
    listed = subprocess.run(
        ["cargo", "mutants", "--list", "--json"], cwd=COPY, check=True, capture_output=True, text=True
    )
    found = []
    for each in json.loads(listed.stdout):
        # Glue of Python returns objects that there is no other of; its guards are worth a try, its values are not.
        if only not in each["file"] or (each["file"].startswith("src/py/") and each["genre"] == "FnValue"):
            continue
        lines = (COPY / each["file"]).read_bytes().splitlines(keepends=True)

        def offset(place: dict[str, int], lines: list[bytes] = lines) -> int:
            before = lines[place["line"] - 1].decode()[: place["column"] - 1]
            return sum(map(len, lines[: place["line"] - 1])) + len(before.encode())

        span = each["span"]
        start, end = offset(span["start"]), offset(span["end"])
        text = each["replacement"]
        if each["genre"] == "FnValue":
            text = "{ " + text + " }"
        found.append(Fault(each["file"], span["start"]["line"], start, end, text))
    return found


def fresh_copy() -> None:
    """The sources and tests, and the module as it is built."""
    COPY.mkdir(parents=True, exist_ok=True)
    for name in ["python", "tests", "src", "docs", "examples", "scripts"]:
        shutil.rmtree(COPY / name, ignore_errors=True)
        shutil.copytree(ROOT / name, COPY / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ["conftest.py", "pyproject.toml", "Cargo.toml", "Cargo.lock", "README.md", "benches"]:
        if (ROOT / name).is_dir():
            shutil.rmtree(COPY / name, ignore_errors=True)
            shutil.copytree(ROOT / name, COPY / name)
        else:
            shutil.copy(ROOT / name, COPY / name)


def build() -> bool:
    """Builds the copy's core into the copy's package."""
    environment = os.environ | {"PYO3_BUILD_EXTENSION_MODULE": "1", "PYO3_PYTHON": sys.executable}
    command = ["cargo", "build", "--quiet", "--lib", "--profile", "quick", "--features", "python", "--locked"]
    if subprocess.run(command, cwd=COPY, env=environment, check=False, capture_output=True).returncode:
        return False
    module = COPY / "python" / "oxiflux" / "_core.abi3.so"
    module.unlink()
    shutil.copy(COPY / "target" / "quick" / "liboxiflux.so", module)
    return True


def passes(tests: list[str]) -> bool:
    """Whether the copy passes tests."""
    environment = os.environ | {"PYTHONPATH": str(COPY / "python"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    try:
        done = subprocess.run(
            command, cwd=COPY, env=environment, check=False, capture_output=True, timeout=SLOWEST
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def tests_of(path: str) -> list[str]:
    """The files of tests for a source."""
    names = next(names for start, names in TESTS.items() if path.startswith(start)).split()
    files = [f"tests/test_{name}.py" for name in names]
    doctests = [path] if path.endswith(".py") else []
    return doctests + [name for name in files if (ROOT / name).exists()]


def survives(fault: Fault, whole: bool) -> bool | None:
    """Whether the tests pass in spite of a fault; None if it does not build."""
    place, rust = COPY / fault.path, fault.path.endswith(".rs")
    before = place.read_bytes()
    try:
        place.write_bytes(fault.put())
        if rust and not build():
            return None
        return passes(tests_of(fault.path)) and (not whole or passes([]))
    finally:
        place.write_bytes(before)


def sample(faults: list[Fault], n: int, rng: random.Random) -> list[Fault]:
    """As many faults, each from a file drawn by the square root of its share, so that small files have their turn."""
    by_file: dict[str, list[Fault]] = {}
    for fault in faults:
        by_file.setdefault(fault.path, []).append(fault)
    for found in by_file.values():
        rng.shuffle(found)
    drawn: list[Fault] = []
    while by_file and len(drawn) < n:
        names = sorted(by_file)
        (name,) = rng.choices(names, [len(by_file[each]) ** 0.5 for each in names])
        drawn.append(by_file[name].pop())
        if not by_file[name]:
            del by_file[name]
    return drawn


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--python", type=int, default=40, help="how many faults of Python")
    parser.add_argument("--rust", type=int, default=40, help="how many faults of Rust")
    parser.add_argument("--only", default="", help="only in files whose path has this in it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=60, help="begin no other fault after that time")
    parser.add_argument("--whole", action="store_true", help="what survives runs the whole suite")
    given = parser.parse_args()
    rng, until = random.Random(given.seed), time.monotonic() + 60 * given.minutes
    fresh_copy()
    faults: list[Fault] = []
    if given.python:
        package = [str(path.relative_to(COPY)) for path in sorted((COPY / "python").rglob("*.py"))]
        listed = [fault for path in package if given.only in path for fault in python_faults(path)]
        faults += sample(listed, given.python, rng)
    if given.rust:
        faults += sample(rust_faults(given.only), given.rust, rng)
    counts = {"killed": 0, "survived": 0, "did not build": 0}
    for fault in faults:
        if time.monotonic() > until:
            break
        result = {True: "survived", False: "killed", None: "did not build"}[survives(fault, given.whole)]
        counts[result] += 1
        print(f"{result}: {fault.show()}", flush=True)
    print(", ".join(f"{n} {what}" for what, n in counts.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
