"""Steps of training on several ranks, beside PyTorch's DistributedDataParallel with gloo, as a table.

python benches/python/distributed.py [--peer /path/to/python] [--seconds 1] [--part goals|scaling]

`goals` sets two ranks of one thread against one rank of two; `scaling` has the MLP of batch 2,048 on 1, 2, 4 and 8 ranks
of one thread, strong (the batch is divided) and weak (each rank has 256 rows).
"""

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

BATCHES = {"lenet_b64": 64, "encoder": 8, "mlp_b2048": 2048, "mlp_b128": 128}
WIDTHS = [(784, 512), (512, 256), (256, 10)]


def data(case, rows):
    """The rows of one rank."""
    rng = np.random.default_rng(0)
    shape = {"lenet_b64": (28, 28, 1), "encoder": (128, 256)}.get(case, (784,))
    return rng.normal(size=(rows, *shape)).astype(np.float32), rng.integers(0, 10, rows)


def flux_step(case, rows):
    """A step of this package."""
    flux = importlib.import_module("oxiflux")
    flux.distributed.initialize()
    x, y = map(flux.tensor, data(case, rows))
    if case == "lenet_b64":
        parts = [flux.Conv((5, 5), 1, 6, flux.relu, pad=2), flux.MaxPool((2, 2))]
        parts += [flux.Conv((5, 5), 6, 16, flux.relu), flux.MaxPool((2, 2)), flux.flatten]
        parts += [flux.Dense(400, 120, flux.relu), flux.Dense(120, 84, flux.relu), flux.Dense(84, 10)]
        model = flux.Chain(*parts)
    elif case == "encoder":
        norms = flux.LayerNorm(256), flux.LayerNorm(256)
        attention = flux.MultiHeadAttention(256, nheads=4, bias=True)
        wide, narrow = flux.Dense(256, 1024, flux.gelu_erf), flux.Dense(1024, 256)
        inner = flux.SkipConnection(flux.Chain(norms[0], attention), lambda a, b: a + b)
        model = flux.Chain(inner, flux.SkipConnection(flux.Chain(norms[1], wide, narrow), lambda a, b: a + b))
    else:
        model = flux.Chain(*(flux.Dense(a, b, flux.relu if b > 10 else flux.identity) for a, b in WIDTHS))
    flux.distributed.synchronize(model)
    state = flux.setup(flux.distributed.DistributedOptimiser(flux.Adam()), model)
    if flux.distributed.total_workers() == 1:
        state = flux.setup(flux.Adam(), model)

    def loss(m):
        return flux.square(m(x)).mean() if case == "encoder" else flux.logitcrossentropy(m(x), y)

    def step():
        value, grads = flux.withgradient(loss, model)
        flux.update(state, model, grads[0])
        return value

    return step, flux.distributed.local_rank(), flux.distributed.bcast


def torch_step(case, rows):
    """A step of PyTorch."""
    torch = importlib.import_module("torch")
    nn, together = torch.nn, importlib.import_module("torch.distributed")
    torch.set_num_threads(int(os.environ["OXIFLUX_NUM_THREADS"]))
    together.init_process_group("gloo")
    x, y = map(torch.from_numpy, data(case, rows))
    if case == "lenet_b64":
        x = x.permute(0, 3, 1, 2).contiguous()
        parts = [nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU()]
        parts += [nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84)]
        model = nn.Sequential(*parts, nn.ReLU(), nn.Linear(84, 10))
    elif case == "encoder":
        model = nn.TransformerEncoderLayer(256, 4, 1024, 0.0, "gelu", batch_first=True, norm_first=True)
    else:
        parts = [layer for a, b in WIDTHS for layer in (nn.Linear(a, b), nn.ReLU())]
        model = nn.Sequential(*parts[:-1])
    if together.get_world_size() > 1:
        model = nn.parallel.DistributedDataParallel(model)
    rule = torch.optim.Adam(model.parameters(), fused=True)

    def step():
        out = model(x)
        loss = out.square().mean() if case == "encoder" else nn.functional.cross_entropy(out, y)
        rule.zero_grad()
        loss.backward()
        rule.step()
        return loss

    def bcast(count):
        sent = torch.tensor([count])
        together.broadcast(sent, 0)
        return int(sent)

    return step, together.get_rank(), bcast


def work(kind, case, rows, seconds):
    """Times steps; rank 0 prints the median in milliseconds."""
    step, rank, bcast = (flux_step if kind == "flux" else torch_step)(case, rows)
    for _ in range(5):
        step()
    start = time.perf_counter()
    for _ in range(5):
        step()
    count = bcast(max(5, int(seconds / ((time.perf_counter() - start) / 5))))
    times = []
    for _ in range(count):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    if rank == 0:
        print("median", json.dumps(1e3 * statistics.median(times)), flush=True)


def measured(kind, case, rows, ranks, threads, options):
    """The milliseconds of a step on so many ranks, each with so many rows."""
    job = [__file__, "--worker", kind, "--case", case, "--rows", rows, "--seconds", options.seconds]
    if kind == "torch":
        command = [options.peer, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", ranks]
    else:
        command = [Path(sys.executable).parent / "mpiexec", "-n", ranks, sys.executable]
    environment = os.environ | {"OXIFLUX_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(
        [str(part) for part in command + job],
        capture_output=True, text=True, timeout=120, env=environment, check=False,
    )  # fmt: skip
    if "median" not in done.stdout:
        raise SystemExit(done.stdout + done.stderr)
    return float(done.stdout.split("median")[1])


def goals(options):
    print("| step | package | 1 rank, 2 threads | 2 ranks, 1 thread | efficiency |\n|---|---|---|---|---|")
    for case, batch in BATCHES.items():
        for kind in ["flux", "torch"] if options.peer else ["flux"]:
            one = measured(kind, case, batch, 1, 2, options)
            two = measured(kind, case, batch // 2, 2, 1, options)
            name = "oxiflux" if kind == "flux" else "PyTorch, DDP with gloo"
            print(f"| `{case}` | {name} | {one:.2f} ms | {two:.2f} ms | {one / two:.2f} |", flush=True)


def scaling(options):
    print("| ranks | strong: batch 2,048 | weak: 256 rows each |\n|---|---|---|")
    for ranks in (1, 2, 4, 8):
        strong = measured("flux", "mlp_b2048", 2048 // ranks, ranks, 1, options)
        weak = measured("flux", "mlp_b2048", 256, ranks, 1, options)
        print(f"| {ranks} | {strong:.1f} ms | {weak:.1f} ms |", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--peer", help="a Python with PyTorch")
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--part", choices=["goals", "scaling"])
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker, options.case, options.rows, options.seconds)
        return
    for part in (goals, scaling):
        if options.part in (None, part.__name__):
            part(options)


if __name__ == "__main__":
    main()
