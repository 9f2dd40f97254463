"""The peak memory of a few training steps of the cases of `peers.py`: oxiflux beside PyTorch and JAX, on Linux.

Each case and backend has a fresh process. What counts is how far the resident memory rises above where it was before
the model was built: after steps of tiny models, with which the libraries import and set up what they put off, and
without the pages of the libraries' own files, which come in as they are first used.

    python benches/python/memory.py [--cases lenet_b64,lstm] [--backends torch,oxiflux] [--steps 5] [--threads 2]
        [--page docs/costs.md]
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

import peers
import report

PLUGINS = "oxiflux_cases,more_cases,more_torch,more_oxiflux"
TINY = "linreg", "adam_small"


def status(*names: str) -> list[int]:
    """Numbers of this process, in KiB."""
    lines = Path("/proc/self/status").read_text()
    return [int(re.search(rf"^{name}:\s+(\d+) kB", lines, re.M)[1]) for name in names]


def work(case: str, backend: str, steps: int, threads: int) -> None:
    """A worker: prints by how many KiB its memory has risen."""
    peers._CUR[0] = backend
    peers.SETUP.get(backend, lambda threads: None)(threads)
    specs = {name: peers.CASES[name][0]() for name in (*TINY, case)}

    def run(name: str) -> None:
        step = peers.IMPLS[name, backend][0](specs[name])
        for _ in range(steps):
            step()

    for name in TINY:
        run(name)
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    resident, files = status("VmRSS", "RssFile")
    run(case)
    peak, files_after = status("VmHWM", "RssFile")
    print((peak - files_after) - (resident - files))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", help="all whose memory is not that of a few small tensors, without")
    parser.add_argument("--backends", default="torch,jax,oxiflux")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--page", type=Path, help="the page that gets the table")
    parser.add_argument("--worker", nargs=2, metavar=("CASE", "BACKEND"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    peers.load_plugin(PLUGINS)
    if arguments.worker:
        work(*arguments.worker, arguments.steps, arguments.threads)
        return

    backends = arguments.backends.split(",")
    options = ["--steps", str(arguments.steps), "--threads", str(arguments.threads)]
    head = ["MiB", *backends, "of the least of the others"]
    print(f"{head[0]:16}" + "".join(f"{name:>14}" for name in head[1:]))
    rows = []
    for case in (arguments.cases or large()).split(","):
        rises = {}
        for backend in backends:
            if (case, backend) in peers.IMPLS:
                command = [sys.executable, __file__, *options, "--worker", case, backend]
                out = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
                rises[backend] = int(out) / 1024
        others = [rise for name, rise in rises.items() if name != backends[-1]]
        ratio = f"{rises[backends[-1]] / min(others):.2f}" if others else ""
        rows.append([case, *(f"{rises[name]:.1f}" if name in rises else "" for name in backends), ratio])
        print(f"{case:16}" + "".join(f"{cell:>14}" for cell in rows[-1][1:]), flush=True)
    if arguments.page:
        said = f"{report.machine(arguments.threads)}; {report.versions('torch', 'jax')}."
        report.fill(arguments.page, "memory", f"{said}\n\n{report.table(head, rows)}")


def large() -> str:
    """The cases with more than a few small tensors, of which one sees nothing in megabytes."""
    small = {*TINY, "mlp_tiny", "tiny_chain", "matmul_64", "matmul_128", "matmul_256"}
    return ",".join(name for name in peers.CASES if name not in small)


if __name__ == "__main__":
    main()
