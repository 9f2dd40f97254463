"""Times `oxiflux.matmul` against `torch.matmul` (MKL), interleaved, and prints their ratios.

Each library runs in a process of its own, because two thread pools in one process disturb each other; while one is timed
the other is stopped, because OpenMP's threads spin after their work. A ratio above one means that oxiflux is faster.

    python benches/python/matmul_vs_mkl.py [--threads 1 2] [--rounds 12] [--only REGEX]
"""

from __future__ import annotations

import argparse
import math
import os
import re
import signal
import statistics
import subprocess
import sys
import time

# Name, whether A and B are transposed views, and (m, k, n); a leading batch where there is one.
Shape = tuple[str, bool, bool, int, int, int, int]


def shapes() -> list[Shape]:
    table: list[Shape] = [(f"square {n}", False, False, 0, n, n, n) for n in (64, 128, 256, 512, 1024)]
    for inputs, outputs in ((784, 512), (512, 256), (256, 10)):
        for batch in (32, 64, 128):
            dense = f"dense {batch}x{inputs}x{outputs}"
            table.append((f"{dense} x.W", False, False, 0, batch, inputs, outputs))
            table.append((f"{dense} dy.W'", False, True, 0, batch, outputs, inputs))
            table.append((f"{dense} x'.dy", True, False, 0, inputs, batch, outputs))
    table.append(("attention q.k'", False, True, 48, 128, 64, 128))
    table.append(("attention a.v", False, False, 48, 128, 128, 64))
    return table


def repeats(shape: Shape) -> int:
    """Calls of about three milliseconds in all: the warm rate. Waking sleeping threads is not in it."""
    *_, batch, m, k, n = shape
    return max(5, int(3e-3 / (2 * m * k * n * max(batch, 1) / 150e9 + 1e-6)))


def work(library: str, threads: int) -> None:
    """A worker: reads the number of a shape from each line, times it and answers in seconds."""
    if library == "torch":
        import torch

        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        make, multiply = torch.rand, torch.matmul
        swap = lambda x: x.transpose(-1, -2)
    else:
        os.environ["OXIFLUX_NUM_THREADS"] = str(threads)
        import numpy as np

        import oxiflux

        generator = np.random.default_rng(0)
        make = lambda shape: oxiflux.tensor(generator.random(shape, dtype=np.float32))
        multiply = oxiflux.matmul
        swap = lambda x: oxiflux.permute_dims(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))
    table, operands = shapes(), {}
    for line in sys.stdin:
        i = int(line)
        _, a_swapped, b_swapped, batch, m, k, n = table[i]
        if i not in operands:
            lead = (batch,) if batch else ()
            a = swap(make((*lead, k, m))) if a_swapped else make((*lead, m, k))
            b = swap(make((*lead, n, k))) if b_swapped else make((*lead, k, n))
            operands[i] = a, b
        a, b = operands[i]
        times = repeats(table[i])
        for _ in range(2):
            start = time.perf_counter()
            for _ in range(times):
                multiply(a, b)
            seconds = time.perf_counter() - start
        print(seconds / times, flush=True)


class Worker:
    """A process that times one library, stopped except while it is asked."""

    def __init__(self, library: str, threads: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--worker", library, "--threads", str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def seconds(self, shape: int) -> float:
        assert self.process.stdin and self.process.stdout
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.write(f"{shape}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit("a worker failed; its message is above")
        self.process.send_signal(signal.SIGSTOP)
        return float(answer)

    def close(self) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.process.communicate()


def compare(threads: int, rounds: int, only: str) -> None:
    workers = {library: Worker(library, threads) for library in ("oxiflux", "torch")}
    table = shapes()
    chosen = [i for i, shape in enumerate(table) if re.search(only, shape[0])]
    taken: dict[tuple[str, int], list[float]] = {(name, i): [] for name in workers for i in chosen}
    for round_ in range(rounds):
        for i in chosen:
            for name in sorted(workers, reverse=bool(round_ % 2)):
                taken[name, i].append(workers[name].seconds(i))
    for worker in workers.values():
        worker.close()

    print(f"\nthreads: {threads}\n{'shape':28}{'oxiflux us':>12}{'torch us':>12}{'ratio':>8}{'GFLOP/s':>10}")
    ratios = {}
    for i in chosen:
        name, _, _, batch, m, k, n = table[i]
        ours, theirs = taken["oxiflux", i], taken["torch", i]
        ratios[name] = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
        us, rate = statistics.median(ours) * 1e6, 2e-9 * m * k * n * max(batch, 1) / statistics.median(ours)
        print(f"{name:28}{us:12.2f}{statistics.median(theirs) * 1e6:12.2f}{ratios[name]:8.2f}{rate:10.1f}")
    worst = min(ratios, key=ratios.__getitem__)
    mean = math.exp(statistics.fmean(map(math.log, ratios.values())))
    print(f"geometric mean {mean:.3f}, worst {ratios[worst]:.2f} ({worst})")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument(
        "--only", default="", help="a regular expression that the names of the shapes must match"
    )
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments.worker, arguments.threads[0])
        return
    for threads in arguments.threads:
        compare(threads, arguments.rounds, arguments.only)


if __name__ == "__main__":
    main()
