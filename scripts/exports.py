"""Writes the lists of public names into the packages' `__init__.py`, from the `__all__` of their modules.

What a module lists in `__all__` its package exports, and so does `oxiflux`, but for the names in `PRIVATE`. What
`_core.pyi` declares is public likewise. What `oxiflux` imports for type checkers alone it finds at its first use, by
`_LATER`. `--check` changes nothing and fails if something would change. A folder other
than python/ may be named.
"""

import ast
import builtins
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

SOURCES = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
PACKAGE = Path(SOURCES[0] if SOURCES else Path(__file__).parents[1] / "python") / "oxiflux"
WIDTH = 108

# Packages that need something else to be installed: `from oxiflux import *` leaves them alone.
EXTRAS = {"distributed", "onnx", "sklearn"}
# Packages every module of which is public, but for those in `PRIVATE`: a new file is exported without another word.
WHOLE = {"functions", "layers", "optimisers"}
# By module: the names that only other modules of the package use; no names: none of them is exported.
PRIVATE: dict[str, set[str]] = {
    "files.checkpoints": {"keeps_its_place"},
    "files.programs": {"is_program", "read_program", "save_program"},
    "files.store": {"Path", "read", "write"},
    "layers.cells": {"Cell", "State", "scan"},
    "layers.container": set(),
    "training.best": {"give_back", "is_number", "short", "weights_of", "whole_number"},
    "training.hooks": {"HOOKS", "Callbacks", "Stand"},
    "training.prediction": {"measured"},
    # Operations under functions of the same name, and parts of them.
    "_core": {
        "At", "Captured", "Guard", "Namespace", "Part", "Profiling", "Saved", "Snapshot", "Steps",
        "add_along_axis", "all_finite", "are_below", "are_where", "argfirst", "argranked", "assign", "attention",
        "attention_apply", "attention_scores", "bins", "capture", "children", "cholesky", "compiled", "conv",
        "conv_transpose",
        "counts", "ctc_loss", "ctc_losses", "custom", "dense", "det", "distances", "dropout", "eigh", "eigvalsh", "fft",
        "gradient", "holds", "ifft", "inv", "irfft", "is_left_out", "is_strict", "is_written", "isa",
        "istft_sum", "kernels", "leaves", "logitbinarycrossentropy_each", "logitcrossentropy_labels",
        "logitcrossentropy_mean", "mae", "maxpool", "meanpool", "memory_peak", "mse", "norm", "norm_with",
        "op_names", "pad_constant", "paused_for", "pinv_with", "polygamma", "pullback", "put_along_axis", "qr",
        "read_program", "read_tensors", "record", "recurrent", "repeat", "replay", "resample", "rfft", "rms_norm",
        "running_places", "scatter", "set_strict", "slogdet", "solve", "stft", "stop_gradient", "strict_here",
        "sumpool", "svd", "svdvals", "table", "track", "twin", "update", "withgradient", "write_tensors",
    },
}  # fmt: skip


def names(path: Path) -> set[str]:
    """The names in `__all__` of a file, or those that a stub declares."""
    tree = ast.parse(path.read_text())
    if path.suffix == ".pyi":
        defined = {n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
        defined |= {
            n.target.id for n in tree.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)
        }
        return {name for name in defined if not name.startswith("_")}
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


def exported(folder: str, module: str) -> set[str]:
    """What a package exports of one of its modules."""
    home = PACKAGE / folder
    path = next(
        p
        for p in [home / f"{module}.pyi", home / f"{module}.py", home / module / "__init__.py"]
        if p.exists()
    )
    private = PRIVATE.get(f"{folder}.{module}".lstrip("."))
    return set() if private == set() else names(path) - (private or set())


def filled(head: str, items: list[str], brackets: str = "()") -> str:
    """A statement with a list, on one line or on lines that are as full as can be."""
    text, opening, closing = ", ".join(items), brackets[0], brackets[1]
    if brackets == "()" and len(head) + len(text) <= WIDTH:
        return f"{head}{text}\n"
    space = " " * (len(head) - len(head.lstrip()) + 4)
    lines = textwrap.wrap(text + ",", WIDTH, initial_indent=space, subsequent_indent=space)
    return "\n".join([head + opening, *lines, space[4:] + closing]) + "\n"


def rewritten(folder: str) -> str:
    """The text of a package's `__init__.py` with its lists as they should be."""
    path = PACKAGE / folder / "__init__.py"
    text = path.read_text()
    # Statements with `as` are written by hand: they take Python's own names.
    statement = re.compile(r"^from \.(\w+) import (?!\(\n[^)]* as )(?:\([^)]*\)|[^\n(]+)\n", re.MULTILINE)
    by_hand = {alias.name for node in statements(text) for alias in node.names if alias.asname}

    def imports(module: str) -> str:
        return filled(f"from .{module} import ", sorted(exported(folder, module) - by_hand))

    if folder in WHOLE:
        modules = sorted(p.stem for p in (PACKAGE / folder).glob("*.py") if p.stem != "__init__")
        block = "".join(imports(module) for module in modules if exported(folder, module))
        first, *_, last = statement.finditer(text)
        text = text[: first.start()] + block + text[last.end() :]
    else:
        text = statement.sub(lambda found: imports(found[1]), text)
    later = [node for node in statements(text) if node.col_offset]
    packages = {alias.name for node in later if node.module is None for alias in node.names}
    found = {node.module: sorted(exported(folder, node.module)) for node in later if node.module}
    entries = [
        filled(f'    "{module}": ', list(map(quoted, items)), "[]").rstrip("\n") + ",\n"
        for module, items in found.items()
    ]
    lists = {
        r"_MODULES = \[\n.*?^\]\n": filled("_MODULES = ", sorted(map(quoted, packages)), "[]"),
        r"_LATER = \{\n.*?^\}\n": "_LATER = {\n" + "".join(entries) + "}\n",
    }
    for old, new in lists.items():
        text = re.sub(f"^{old}", lambda _, new=new: new, text, flags=re.MULTILINE | re.DOTALL)  # type: ignore[misc]
    given = {alias.asname or alias.name for node in statements(text) for alias in node.names}
    given |= {item for items in found.values() for item in items}
    public = {name for name in given - {"*"} if not name.startswith("_")} - set(dir(builtins)) - EXTRAS
    public |= set(re.findall(r"^__version__", text, re.MULTILINE))
    return re.sub(
        r"^__all__ = \[[^]]*\]\n",
        filled("__all__ = ", sorted(map(quoted, public)), "[]"),
        text,
        flags=re.MULTILINE,
    )


def statements(text: str) -> Iterator[ast.ImportFrom]:
    """Where a file imports from its package: at once, and indented what only type checkers see."""
    for node in ast.parse(text).body:
        for inner in node.body if isinstance(node, ast.If) else [node]:
            if isinstance(inner, ast.ImportFrom) and inner.level:
                yield inner


def quoted(name: str) -> str:
    """The name as a string."""
    return f'"{name}"'


def tidy(text: str, path: Path) -> str:
    """The text as the linter and the formatter want it."""
    for options in (["check", "--quiet", "--fix", "--select", "I,RUF022"], ["format", "--quiet"]):
        command = [sys.executable, "-m", "ruff", *options, "--stdin-filename", str(path), "-"]
        text = subprocess.run(command, input=text, check=True, stdout=subprocess.PIPE, text=True).stdout
    return text


def main() -> None:
    """Rewrites the lists, or with `--check` compares them; the package itself comes last, from those within."""
    stale = []
    for folder in ["data", "files", "functions", "layers", "optimisers", "training", ""]:
        path = PACKAGE / folder / "__init__.py"
        new = tidy(rewritten(folder), path)
        if new != path.read_text():
            stale.append(str(path.relative_to(PACKAGE.parent)))
            if "--check" not in sys.argv:
                path.write_text(new)
    if stale and "--check" in sys.argv:
        sys.exit(f"{', '.join(stale)}: the public names are others than those of the modules: make stubs")


if __name__ == "__main__":
    main()
