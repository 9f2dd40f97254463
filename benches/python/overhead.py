"""The cost of one small operation in nanoseconds: oxiflux beside torch and NumPy.

Each library runs in a process of its own with one thread, and they take turns, so that a noisy machine disturbs all alike.

    python benches/python/overhead.py [--rounds 30]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

LIBRARIES = ("oxiflux", "torch", "numpy")
CASES = ("relu(x), 10 elements", "a + b, 10 elements", "gradient of tanh(x @ W)")
SECONDS = 3e-3


def operations(library: str) -> list[Callable[[], object]]:
    """The calls to time, in the order of CASES; NumPy's gradient is written by hand."""
    import numpy as np

    generator = np.random.default_rng(0)
    a, b = generator.standard_normal((2, 10), dtype=np.float32)
    x, w = generator.standard_normal((2, 3), dtype=np.float32)
    if library == "oxiflux":
        import oxiflux as flux

        flux.set_num_threads(1)
        a, b, x, w = map(flux.tensor, (a, b, x, w))
        loss = lambda w: flux.tanh(x @ w)
        return [lambda: flux.relu(a), lambda: a + b, lambda: flux.gradient(loss, w)]
    if library == "torch":
        import torch

        torch.set_num_threads(1)
        a, b, x, w = map(torch.from_numpy, (a, b, x, w))
        w.requires_grad_()
        return [lambda: torch.relu(a), lambda: a + b, lambda: torch.autograd.grad(torch.tanh(x @ w), w)]
    return [lambda: np.maximum(a, 0), lambda: a + b, lambda: x * (1 - np.tanh(x @ w) ** 2)]


def work(library: str) -> None:
    """A worker: reads the number of a case from each line, times it and answers in nanoseconds a call."""
    calls = operations(library)
    repeats = {}
    for line in sys.stdin:
        i = int(line)
        call = calls[i]

        def seconds(times: int) -> float:
            start = time.perf_counter()
            for _ in range(times):
                call()
            return time.perf_counter() - start

        if i not in repeats:
            seconds(1000)
            repeats[i] = max(1, int(SECONDS / (seconds(1000) / 1000)))
        print(seconds(repeats[i]) / repeats[i] * 1e9, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--worker", choices=LIBRARIES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments.worker)
        return

    workers = {
        library: subprocess.Popen(
            [sys.executable, __file__, "--worker", library],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for library in LIBRARIES
    }
    taken: dict[tuple[str, int], list[float]] = {
        (name, i): [] for name in LIBRARIES for i in range(len(CASES))
    }
    for round_ in range(arguments.rounds):
        for i in range(len(CASES)):
            for name in LIBRARIES[:: -1 if round_ % 2 else 1]:
                worker = workers[name]
                assert worker.stdin and worker.stdout
                worker.stdin.write(f"{i}\n")
                worker.stdin.flush()
                answer = worker.stdout.readline()
                if not answer:
                    raise SystemExit("a worker failed; its message is above")
                taken[name, i].append(float(answer))
    for worker in workers.values():
        worker.communicate()

    print(f"{'ns per call':26}" + "".join(f"{name:>10}" for name in LIBRARIES))
    for i, case in enumerate(CASES):
        print(f"{case:26}" + "".join(f"{statistics.median(taken[name, i]):10.0f}" for name in LIBRARIES))


if __name__ == "__main__":
    main()
