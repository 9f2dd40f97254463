"""What the first calls of a captured step take beside an eager one, for the cases of the peers' benchmark.

The first two calls run as ever and are noted, the third is the program's. Nothing is warm but the package.

    python benches/python/first_calls.py [CASE ...] [--times 7] [--page docs/costs.md]
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import peers
import report

import oxiflux as flux

HEAD = ["step", "eager, us", "first", "second", "third"]
PLUGINS = "oxiflux_cases,more_cases,more_oxiflux"


def seconds(step: Callable[[], object]) -> float:
    begin = time.perf_counter()
    step()
    return time.perf_counter() - begin


def measured(name: str, times: int) -> list[str]:
    """How many times an eager call each of the first three calls takes, in the middle of so many functions."""
    build = peers.IMPLS[name, "oxiflux"][0]
    spec = peers.CASES[name][0]()
    eager, calls = build(spec), []
    for _ in range(3):
        eager()
    warm = []
    for _ in range(times):
        step = flux.compile(build(spec))
        calls.append([seconds(step) for _ in range(3)])
        warm.append(seconds(eager))
    base = statistics.median(warm)
    ratios = [statistics.median(call) / base for call in zip(*calls, strict=True)]
    return [name, f"{base * 1e6:.0f}", *(f"{ratio:.2f}" for ratio in ratios)]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("cases", nargs="*")
    options.add_argument("--times", type=int, default=7)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--page", type=Path, help="the page that gets the table")
    given = options.parse_args()
    flux.set_num_threads(given.threads)
    peers.load_plugin(PLUGINS)
    warnings.simplefilter("ignore", RuntimeWarning)  # some cases look at values, and are not captured
    named = given.cases or [name for name in peers.CASES if (name, "oxiflux") in peers.IMPLS]
    rows = [measured(name, given.times) for name in named]
    report.show(HEAD, rows, 24)
    if given.page:
        rows = [[f"`{name}`", *numbers] for name, *numbers in rows]
        report.fill(given.page, "first", f"{report.machine(given.threads)}.\n\n{report.table(HEAD, rows)}")


if __name__ == "__main__":
    main()
