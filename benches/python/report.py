"""What the measurements of this folder share: which machine and versions they ran with, and how they get onto a page."""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def machine(threads: int | None = None) -> str:
    """The processor, the instructions that this package uses on it and the number of threads."""
    from oxiflux import _core

    processor = platform.processor() or platform.machine()
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    team = f", {threads} thread{'s' * (threads != 1)}" if threads else ""
    return f"{processor}, {_core.isa}{team}"


def versions(*packages: str) -> str:
    """Those of the packages that are installed, each with its version."""
    titles = {"torch": "PyTorch", "jax": "JAX", "numpy": "NumPy"}
    found = []
    for package in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            version = importlib.metadata.version(package).split("+")[0]
            found.append(f"{titles.get(package, package)} {version}")
    return ", ".join(found)


def filled(text: str, name: str, part: str) -> str:
    """The text of a page with a part between the comments `<!-- name -->` and `<!-- end -->`."""
    before, rest = text.split(f"<!-- {name} -->\n", 1)
    after = rest.split("<!-- end -->", 1)[1]
    return f"{before}<!-- {name} -->\n{part.strip()}\n<!-- end -->{after}"


def fill(page: Path, name: str, part: str) -> None:
    """Writes a part of a page anew."""
    page.write_text(filled(page.read_text(), name, part))


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table of Markdown: words on the left, numbers on the right."""
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def show(head: list[str], rows: list[list[str]], width: int) -> None:
    """Prints a table, with so much room for the words on the left."""
    for row in [head, *rows]:
        print(f"{row[0]:{width}}" + "".join(f"{cell:>16}" for cell in row[1:]))
