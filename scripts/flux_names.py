"""Counts what of Flux and its packages is here: `tests/flux_names.txt` has every name they export or document.

Prints a line for each package: how many names it has, how many are here by their own name and by another, how many are
left out, and which the list says are here and are not.
"""

import sys
from pathlib import Path
from typing import NamedTuple

LIST = Path(__file__).parents[1] / "tests" / "flux_names.txt"


class Row(NamedTuple):
    """A name of a package, what it is called here, and why it is not here."""

    package: str
    name: str
    here: str
    reason: str


def rows(text: str) -> list[Row]:
    """The rows of the list."""
    found, package = [], ""
    for line in text.splitlines():
        if line.startswith("=="):
            package = line.strip("= ")
        elif package and line.strip():
            name, _, reason = line.partition(" : ")
            name, _, here = name.partition(" -> ")
            here = here.strip() or name.strip().removesuffix("!")
            found.append(Row(package, name.strip(), "" if reason else here, reason.strip()))
    return found


def count() -> bool:
    """Prints the counts, and says whether all is here that the list says."""
    import oxiflux as flux

    listed = rows(LIST.read_text(encoding="utf-8"))
    print(f"{'':24} names  here  renamed  left out")
    missing: list[Row] = []
    for package in dict.fromkeys(row.package for row in listed):
        mine = [row for row in listed if row.package == package]
        here = [row for row in mine if row.here]
        lost = [row for row in here if not hasattr(flux, row.here)]
        renamed = sum(row.here != row.name.removesuffix("!") for row in here)
        out = len(mine) - len(here)
        print(f"{package:24} {len(mine):5} {len(here) - renamed:5} {renamed:8} {out:9}")
        missing += lost
    for row in missing:
        print(f"{row.package}: {row.name} is not here")
    return not missing


if __name__ == "__main__":
    sys.exit(not count())
