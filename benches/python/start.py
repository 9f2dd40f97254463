"""How long the import takes, and the first step of each case of `peers.py` in a process that has imported its library.

    python benches/python/start.py [--backends oxiflux,torch,jax] [--threads 2] [--page docs/costs.md]

What is built and computed for the first time pays for what a library puts off until then: threads, memory, compilation.
"""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import peers
import report

PLUGINS = "oxiflux_cases,more_cases,more_torch,more_oxiflux"


def imported(library: str) -> float:
    """The milliseconds that the import takes after that of NumPy, the least of five."""
    # Without compiled files an import would mostly be their compilation.
    folder = tempfile.gettempdir() + "/bench-pycache"
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | {
        "PYTHONPYCACHEPREFIX": folder
    }
    code = f"import time, numpy; t = time.perf_counter(); import {library}; print(time.perf_counter() - t)"
    command = [sys.executable, "-c", code]
    runs = [
        subprocess.run(command, capture_output=True, text=True, check=True, env=environment) for _ in range(5)
    ]
    return 1e3 * min(float(run.stdout) for run in runs)


def first(case: str, backend: str, threads: int) -> float:
    """The milliseconds of the first step, the making of the model included, in a child of this process."""
    here, there = os.pipe()
    child = os.fork()
    if not child:
        peers._CUR[0] = backend
        peers.SETUP.get(backend, lambda threads: None)(threads)
        spec = peers.CASES[case][0]()
        start = time.perf_counter()
        peers.IMPLS[case, backend][0](spec)()
        os.write(there, str(1e3 * (time.perf_counter() - start)).encode())
        os._exit(0)
    os.close(there)
    with os.fdopen(here) as answer:
        took = float(answer.read() or "nan")
    os.waitpid(child, 0)
    return took


def work(backend: str, threads: int) -> None:
    """A worker: a library is imported once, and a child computes each case."""
    importlib.import_module(backend.partition("-")[0])
    for line in sys.stdin:
        print(first(line.strip(), backend, threads), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backends", default="oxiflux,torch,jax")
    parser.add_argument("--cases", help="all without")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--page", type=Path, help="the page that gets the tables")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    peers.load_plugin(PLUGINS)
    if arguments.worker:
        work(arguments.worker, arguments.threads)
        return

    backends = arguments.backends.split(",")
    rows = [["import, beyond NumPy's", *(f"{imported(b):.0f}" for b in backends), ""]]
    command = [sys.executable, __file__, "--threads", str(arguments.threads), "--worker"]
    pipe = subprocess.PIPE
    workers = {b: subprocess.Popen([*command, b], stdin=pipe, stdout=pipe, text=True) for b in backends}
    for case in arguments.cases.split(",") if arguments.cases else peers.CASES:
        took = {}
        for backend, worker in workers.items():
            if (case, backend) in peers.IMPLS:
                worker.stdin.write(f"{case}\n")
                worker.stdin.flush()
                took[backend] = float(worker.stdout.readline())
        ratio = (
            f"{took[backends[-1]] / took[backends[0]]:.0f}"
            if {backends[0], backends[-1]} <= took.keys()
            else ""
        )
        rows.append([f"`{case}`", *(f"{took[b]:.3g}" if b in took else "" for b in backends), ratio])
    for worker in workers.values():
        worker.communicate()
    head = ["ms", *backends, f"{backends[-1]} / {backends[0]}"]
    report.show(head, rows, 26)
    if arguments.page:
        said = f"{report.machine(arguments.threads)}; {report.versions('torch', 'jax', 'numpy')}."
        report.fill(arguments.page, "start", f"{said}\n\n{report.table(head, rows)}")


if __name__ == "__main__":
    main()
