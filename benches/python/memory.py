"""The peak memory of a few training steps of cases of `peers.py`: oxiflux beside PyTorch, on Linux.

Each case and backend has a fresh process. What counts is how far the resident memory rises above where it was before
the model was built: after steps of tiny models, with which the libraries import and set up what they put off, and
without the pages of the libraries' own files, which come in as they are first used.

    python benches/python/memory.py [--cases lenet_b64,lstm] [--backends torch,oxiflux] [--steps 5] [--threads 2]
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

import peers

CASES = "lenet_b64,resblock,lstm,gru,encoder"
TINY = "linreg", "adam_small"


def status(*names: str) -> list[int]:
    """Numbers of this process, in KiB."""
    lines = Path("/proc/self/status").read_text()
    return [int(re.search(rf"^{name}:\s+(\d+) kB", lines, re.M)[1]) for name in names]


def work(case: str, backend: str, steps: int, threads: int) -> None:
    """A worker: prints by how many KiB its memory has risen."""
    if backend == "oxiflux":
        peers.load_plugin(str(Path(__file__).parent / "oxiflux_cases.py"))
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
    parser.add_argument("--cases", default=CASES)
    parser.add_argument("--backends", default="torch,oxiflux")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--worker", nargs=2, metavar=("CASE", "BACKEND"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(*arguments.worker, arguments.steps, arguments.threads)
        return

    backends = arguments.backends.split(",")
    options = ["--steps", str(arguments.steps), "--threads", str(arguments.threads)]
    ratio = f"   {backends[-1]} / {backends[0]}" if len(backends) > 1 else ""
    print(f"{'MiB':12}" + "".join(f"{name:>14}" for name in backends) + ratio)
    for case in arguments.cases.split(","):
        rises = []
        for backend in backends:
            command = [sys.executable, __file__, *options, "--worker", case, backend]
            out = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
            rises.append(int(out) / 1024)
        ratio = f"{rises[-1] / rises[0]:10.2f}" if len(rises) > 1 else ""
        print(f"{case:12}" + "".join(f"{rise:14.1f}" for rise in rises) + ratio, flush=True)


if __name__ == "__main__":
    main()
