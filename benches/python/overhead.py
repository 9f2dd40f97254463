"""The cost of small calls in nanoseconds, beside PyTorch and NumPy and beside the floor: a call that does nothing.

Each library runs in a process of its own with one thread, and they take turns, so that a noisy machine disturbs all alike.

    python benches/python/overhead.py [--rounds 15] [--page docs/costs.md]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import report

LIBRARIES = ("oxiflux", "torch", "numpy")
SECONDS = 3e-3
FLOOR = "the floor: a call that returns a number"

Calls = dict[str, Callable[[], object]]


def data() -> list[np.ndarray]:
    """Two rows of 10 numbers, a batch of 16 rows of 10, and a matrix of 10 by 10."""
    generator = np.random.default_rng(0)
    return [generator.standard_normal(shape, dtype=np.float32) for shape in (10, 10, (16, 10), (10, 10))]


def oxiflux() -> Calls:
    import oxiflux as flux
    from oxiflux import _core

    flux.set_num_threads(1)
    a, b, x, w = map(flux.tensor, data())
    array = a.numpy()
    dense = flux.Dense(10, 10, flux.tanh)
    network = flux.Chain(flux.Dense(10, 32, flux.relu), flux.Dense(32, 1))
    adam, descent = flux.setup(flux.Adam(), network), flux.setup(flux.Descent(1e-9), dense)
    of_dense = lambda m: flux.sum(m(x))
    of_network = lambda m: flux.square(m(x)).mean()
    (grad,) = flux.gradient(of_dense, dense)
    (grads,) = flux.gradient(of_network, network)

    def training() -> object:
        value, found = flux.withgradient(of_network, network)
        flux.update(adam, network, found[0])
        return value

    return {
        FLOOR: _core.get_num_threads,
        "`x.shape`": lambda: x.shape,
        "`relu(a)`": lambda: flux.relu(a),
        "`a + b`": lambda: a + b,
        "`a + 1.0`": lambda: a + 1.0,
        "`a[0]`": lambda: a[0],
        "`x[:, 1:5]`": lambda: x[:, 1:5],
        "`x.sum()`": lambda: x.sum(),
        "`x.sum().item()`": lambda: x.sum().item(),
        "`x @ w`": lambda: x @ w,
        "`softmax(x)`": lambda: flux.softmax(x),
        "a tensor of 10 numbers of NumPy": lambda: flux.tensor(array),
        "`a.numpy()`": lambda: a.numpy(),
        "a tensor of a list of 3": lambda: flux.tensor([1.0, 2.0, 3.0]),
        "`Dense(10, 10, tanh)` of 16 rows": lambda: dense(x),
        "10-32-1 of 16 rows, as an array": lambda: network(x).numpy(),
        "gradient of a sum": lambda: flux.gradient(lambda a: a.sum(), a),
        "gradient of `tanh(x @ w).sum()`": lambda: flux.gradient(lambda w: flux.tanh(x @ w).sum(), w),
        "gradient of a Dense": lambda: flux.gradient(of_dense, dense),
        "gradient of 10-32-1": lambda: flux.gradient(of_network, network),
        "descent of a Dense": lambda: flux.update(descent, dense, grad),
        "Adam on 10-32-1": lambda: flux.update(adam, network, grads),
        "a step of 10-32-1 with Adam": training,
        "`Dense(10, 10)` is made": lambda: flux.Dense(10, 10),
    }


def torch() -> Calls:
    import torch

    torch.set_num_threads(1)
    a, b, x, w = map(torch.from_numpy, data())
    array, ws = a.numpy(), w.clone().requires_grad_()
    at = a.clone().requires_grad_()
    nn = torch.nn
    dense = nn.Sequential(nn.Linear(10, 10), nn.Tanh())
    network = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 1))
    descent = torch.optim.SGD(dense.parameters(), lr=1e-9)
    adam = torch.optim.Adam(network.parameters(), fused=True)
    of_dense, of_network = (lambda: dense(x).sum()), (lambda: network(x).square().mean())
    parameters = list(dense.parameters()), list(network.parameters())
    of_dense().backward()
    of_network().backward()

    def training() -> object:
        adam.zero_grad()
        value = of_network()
        value.backward()
        adam.step()
        return value

    def predicted() -> object:
        with torch.no_grad():
            return network(x).numpy()

    return {
        FLOOR: torch.is_grad_enabled,
        "`x.shape`": lambda: x.shape,
        "`relu(a)`": lambda: torch.relu(a),
        "`a + b`": lambda: a + b,
        "`a + 1.0`": lambda: a + 1.0,
        "`a[0]`": lambda: a[0],
        "`x[:, 1:5]`": lambda: x[:, 1:5],
        "`x.sum()`": lambda: x.sum(),
        "`x.sum().item()`": lambda: x.sum().item(),
        "`x @ w`": lambda: x @ w,
        "`softmax(x)`": lambda: torch.softmax(x, -1),
        "a tensor of 10 numbers of NumPy": lambda: torch.tensor(array),
        "`a.numpy()`": lambda: a.numpy(),
        "a tensor of a list of 3": lambda: torch.tensor([1.0, 2.0, 3.0]),
        "`Dense(10, 10, tanh)` of 16 rows": lambda: dense(x),
        "10-32-1 of 16 rows, as an array": predicted,
        "gradient of a sum": lambda: torch.autograd.grad(at.sum(), at),
        "gradient of `tanh(x @ w).sum()`": lambda: torch.autograd.grad(torch.tanh(x @ ws).sum(), ws),
        "gradient of a Dense": lambda: torch.autograd.grad(of_dense(), parameters[0]),
        "gradient of 10-32-1": lambda: torch.autograd.grad(of_network(), parameters[1]),
        "descent of a Dense": descent.step,
        "Adam on 10-32-1": adam.step,
        "a step of 10-32-1 with Adam": training,
        "`Dense(10, 10)` is made": lambda: nn.Linear(10, 10),
    }


def numpy() -> Calls:
    a, b, x, w = data()
    return {
        FLOOR: lambda: None,
        "`relu(a)`": lambda: np.maximum(a, 0),
        "`a + b`": lambda: a + b,
        "`a + 1.0`": lambda: a + 1.0,
        "`a[0]`": lambda: a[0],
        "`x[:, 1:5]`": lambda: x[:, 1:5],
        "`x.sum()`": lambda: x.sum(),
        "`x.sum().item()`": lambda: x.sum().item(),
        "`x @ w`": lambda: x @ w,
    }


def work(library: str) -> None:
    """A worker: says which calls it has, reads the name of one from each line, and answers in nanoseconds a call."""
    calls = globals()[library]()
    repeats: dict[str, int] = {}
    print("|".join(calls), flush=True)
    for line in sys.stdin:
        name = line.rstrip("\n")
        call = calls[name]

        def seconds(times: int) -> float:
            start = time.perf_counter()
            for _ in range(times):
                call()
            return time.perf_counter() - start

        if name not in repeats:
            seconds(100)
            repeats[name] = max(1, int(SECONDS / (seconds(100) / 100)))
        print(seconds(repeats[name]) / repeats[name] * 1e9, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--page", type=Path, help="the page that gets the table")
    parser.add_argument("--worker", choices=LIBRARIES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments.worker)
        return

    command = [sys.executable, __file__, "--worker"]
    pipe = subprocess.PIPE
    workers = {
        name: subprocess.Popen([*command, name], stdin=pipe, stdout=pipe, text=True) for name in LIBRARIES
    }
    has = {name: worker.stdout.readline().rstrip("\n").split("|") for name, worker in workers.items()}
    taken: dict[str, dict[str, list[float]]] = {
        case: {name: [] for name in LIBRARIES} for case in has["oxiflux"]
    }
    for round_ in range(arguments.rounds):
        for case, times in taken.items():
            for name in LIBRARIES[:: -1 if round_ % 2 else 1]:
                if case in has[name]:
                    worker = workers[name]
                    worker.stdin.write(f"{case}\n")
                    worker.stdin.flush()
                    answer = worker.stdout.readline()
                    if not answer:
                        raise SystemExit("a worker failed; its message is above")
                    times[name].append(float(answer))
    for worker in workers.values():
        worker.communicate()

    medians = {
        case: {n: statistics.median(t) for n, t in times.items() if t} for case, times in taken.items()
    }
    floor = medians[FLOOR]["oxiflux"]
    head = ["ns a call", *LIBRARIES, "floors", "torch / oxiflux"]
    rows = []
    for case, found in medians.items():
        ours = found["oxiflux"]
        cells = [f"{found[name]:.0f}" if name in found else "" for name in LIBRARIES]
        rows.append([case, *cells, f"{ours / floor:.1f}", f"{found['torch'] / ours:.1f}"])
    report.show(head, rows, 42)
    if arguments.page:
        said = f"{report.machine(1)}; {report.versions('torch', 'numpy')}."
        report.fill(arguments.page, "overhead", f"{said}\n\n{report.table(head, rows)}")


if __name__ == "__main__":
    main()
