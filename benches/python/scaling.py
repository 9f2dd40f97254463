"""Steps on 1 to N threads, of two processes at once, and with more threads than cores.

    python benches/python/scaling.py [--seconds 0.5] [--page docs/costs.md]

A fair share of two processes at once is half of the machine: each step may take twice as long as alone. Too many threads
should cost nothing, as the cores that there are do the same work. A ratio is the time over that of the fair share.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import peers
import report

CASES = (
    "linreg",
    "mlp_b64",
    "lenet_b64",
    "conv3x3_fwdbwd",
    "lstm",
    "encoder",
    "layernorm",
    "ew_gelu_1m",
    "adam_10m",
)


def work(case: str, threads: int, seconds: float) -> None:
    """A worker: prepares, says so, waits for a line, and prints the median of its steps in seconds."""
    peers.load_plugin("oxiflux_cases")
    import oxiflux as flux

    flux.set_num_threads(threads)
    step = peers.IMPLS[case, "oxiflux"][0](peers.CASES[case][0]())
    for _ in range(3):
        step()
    print("ready", flush=True)
    sys.stdin.readline()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 3:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    # The mean, as a step that waits for the other process is what is asked for.
    print(statistics.fmean(times), flush=True)


def together(case: str, threads: int, processes: int, seconds: float) -> float:
    """The seconds of a step in the slowest of so many processes that begin together."""
    command = [sys.executable, __file__, "--seconds", str(seconds), "--worker", case, str(threads)]
    workers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    for worker in workers:
        assert worker.stdin and worker.stdout
        if worker.stdout.readline() != "ready\n":
            raise SystemExit("a worker failed; its message is above")
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    return max(float(worker.communicate()[0]) for worker in workers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--page", type=Path, help="the page that gets the table")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker[0], int(options.worker[1]), options.seconds)
        return
    cores = len(os.sched_getaffinity(0))
    teams = [2**p for p in range(10) if 2**p < cores] + [cores]
    crowd = 4 * cores
    head = [
        "step",
        *(f"{n} thread{'s' * (n > 1)}, ms" for n in teams),
        "speedup",
        "two processes",
        f"{crowd} threads",
    ]
    rows = []
    for case in options.cases.split(","):
        alone = [together(case, n, 1, options.seconds) for n in teams]
        pair = together(case, cores, 2, options.seconds) / (2 * alone[-1])
        many = together(case, crowd, 1, options.seconds) / alone[-1]
        rows.append(
            [
                f"`{case}`",
                *(f"{1e3 * t:.3g}" for t in alone),
                f"{alone[0] / alone[-1]:.2f}",
                f"{pair:.2f}",
                f"{many:.2f}",
            ]
        )
        print("  ".join(f"{cell:>14}" for cell in rows[-1]), flush=True)
    if options.page:
        report.fill(options.page, "scaling", f"{report.machine(cores)}.\n\n{report.table(head, rows)}")


if __name__ == "__main__":
    main()
