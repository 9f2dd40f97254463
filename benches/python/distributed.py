"""Steps of training on several ranks, beside PyTorch's DistributedDataParallel with gloo, as tables.

python benches/python/distributed.py [--peer /path/to/python] [--rounds 20] [--part goals|scaling] [--page FILE]

`goals` sets two ranks of one thread against one rank of two, and beside them one rank of one thread that has half the
batch, which two ranks cannot beat; `scaling` has the MLP on 1, 2, 4 and 8 ranks of one thread, strong (a batch of 2,048
is divided) and weak (each rank has 256 rows), beside as many ranks that train a model each. The jobs that are compared
take turns, a few steps each, so that a noisy machine disturbs all alike; a turn in which other processes had much of the
machine is left out, if half of them are quieter. Times are medians of the turns' medians. `--page` fills the tables of a
page.
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
import report

# The share of the machine that others may have in a quiet turn.
QUIET = 0.06
BATCHES = {"lenet_b64": 64, "encoder": 8, "mlp_b2048": 2048, "mlp_b128": 128}
WIDTHS = [(784, 512), (512, 256), (256, 10)]


def data(case, rows):
    """The rows of one rank."""
    rng = np.random.default_rng(0)
    shape = {"lenet_b64": (28, 28, 1), "encoder": (128, 256)}.get(case, (784,))
    return rng.normal(size=(rows, *shape)).astype(np.float32), rng.integers(0, 10, rows)


def flux_step(case, rows, is_apart=False):
    """A step of this package; of ranks that have nothing to do with each other if they are apart."""
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
    if is_apart or flux.distributed.total_workers() == 1:
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
        if count := int(sent):
            return count
        return together.destroy_process_group() or 0

    return step, together.get_rank(), bcast


def work(kind, case, rows):
    """Times steps whenever rank 0 is told for how long; it answers with the median in milliseconds."""
    if kind == "torch":
        step, rank, bcast = torch_step(case, rows)
    else:
        step, rank, bcast = flux_step(case, rows, kind == "apart")
    say = lambda *words: rank == 0 and print(*words, flush=True)
    print("process", os.getpid(), flush=True)
    for _ in range(20):
        step()
    say("ready")
    one = 1e-3
    while True:
        told = sys.stdin.readline() if rank == 0 else ""
        count = bcast(max(3, int(float(told) / one)) if told.strip() else 0)
        if count == 0:
            return
        times = []
        for _ in range(count):
            start = time.perf_counter()
            step()
            times.append(time.perf_counter() - start)
        one = statistics.median(times)
        say("median", json.dumps(1e3 * one))


class Job:
    """Ranks that wait until they are asked for steps."""

    def __init__(self, kind, case, rows, ranks, threads, options):
        self.turns = []
        script = [__file__, "--worker", kind, "--case", case, "--rows", rows]
        if kind == "torch":
            command = [options.peer, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", ranks]
        else:
            command = [Path(sys.executable).parent / "mpiexec", "-n", ranks, sys.executable]
        environment = os.environ | {"OXIFLUX_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
        self.process = subprocess.Popen(
            [str(part) for part in command + script],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        # In one line there may be what two ranks say.
        self.pids = [int(word) for word in self._until("ready").split() if word.isdigit()]

    def _until(self, word):
        said = ""
        while word not in said:
            line = self.process.stdout.readline()
            if not line:
                raise SystemExit("a job failed; its message is above")
            said += line
        return said

    def turn(self, seconds):
        """Does steps for some time, and notes how long one took, beside the share of the machine that others had."""
        busy, own = ticks(), sum(map(ticks, self.pids))
        start = time.perf_counter()
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        median = float(self._until("median").split("median")[1])
        took = (time.perf_counter() - start) * os.sysconf("SC_CLK_TCK") * (os.cpu_count() or 1)
        others = ticks() - busy - (sum(map(ticks, self.pids)) - own)
        self.turns.append((others / took, median))

    def median(self):
        """The median of quiet turns, or of the quieter half."""
        turns = sorted(self.turns)
        quiet = [median for share, median in turns if share < QUIET]
        self.is_noisy = len(quiet) < len(turns) / 2
        return statistics.median(
            quiet if not self.is_noisy else [m for _, m in turns[: (len(turns) + 1) // 2]]
        )

    def end(self):
        self.process.stdin.close()
        self.process.wait(20)


def ticks(pid=None):
    """How long a process, or all processors, have computed."""
    if pid is None:
        fields = [int(word) for word in Path("/proc/stat").read_text().split("\n")[0].split()[1:]]
        return sum(fields[:3]) + sum(fields[5:8])
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def measured(jobs, options):
    """The milliseconds of a step in each of some jobs, which take turns."""
    for _ in range(options.rounds):
        for job in jobs.values():
            job.turn(options.seconds)
    found = {name: job.median() for name, job in jobs.items()}
    for name, job in jobs.items():
        if job.is_noisy:
            print(f"noisy: {name}", file=sys.stderr)
        job.end()
    return found


def goals(options):
    """Two ranks of one thread against one rank of two."""
    rows = []
    for case, batch in BATCHES.items():
        if options.case not in (None, case):
            continue
        kinds = {"flux": "oxiflux", "torch": "PyTorch, DDP with gloo"}
        if not options.peer:
            del kinds["torch"]
        jobs = {}
        for kind in kinds:
            jobs[kind, "one"] = Job(kind, case, batch, 1, 2, options)
            jobs[kind, "two"] = Job(kind, case, batch // 2, 2, 1, options)
            jobs[kind, "half"] = Job(kind, case, batch // 2, 1, 1, options)
        found = measured(jobs, options)
        for kind, name in kinds.items():
            one, two, half = (found[kind, part] for part in ("one", "two", "half"))
            cells = [
                f"{one:.2f} ms",
                f"{two:.2f} ms",
                f"{one / two:.2f}",
                f"{half:.2f} ms",
                f"{one / half:.2f}",
            ]
            rows.append([f"`{case}`, {name}", *cells])
            print(*rows[-1], sep=" | ", flush=True)
    return report.table(
        ["step", "1 rank, 2 threads", "2 ranks, 1 thread", "efficiency", "half the batch alone", "at most"],
        rows,
    )


def scaling(options):
    """Strong and weak, on more ranks than there are cores too."""
    counts, found = (1, 2, 4, 8), {}
    # Kind by kind, as ranks that wait for their turn are not quite idle.
    for name in ("strong", "weak", "apart"):
        kind = "apart" if name == "apart" else "flux"
        jobs = {
            (ranks, name): Job(
                kind, "mlp_b2048", 2048 // ranks if name == "strong" else 256, ranks, 1, options
            )
            for ranks in counts
        }
        found |= measured(jobs, options)
    rows = []
    for ranks in counts:
        rows.append([str(ranks), *(f"{found[ranks, name]:.1f} ms" for name in ("strong", "weak", "apart"))])
        print(*rows[-1], sep=" | ", flush=True)
    return report.table(
        ["ranks", "strong: batch 2,048", "weak: 256 rows each", "256 rows, each rank for itself"], rows
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--peer", help="a Python with PyTorch")
    parser.add_argument("--seconds", type=float, default=0.3, help="of a turn")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--part", choices=["goals", "scaling"])
    parser.add_argument("--page", type=Path, help="a page of the documentation to write the tables into")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--case", choices=[*BATCHES], help="one of the steps alone")
    parser.add_argument("--rows", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker, options.case, options.rows)
        return
    for part in (goals, scaling):
        if options.part in (None, part.__name__):
            text = part(options)
            if options.page:
                said = f"{report.machine()}, {os.cpu_count()} cores; {report.versions('mpi4py', 'mpich')}"
                if options.peer:
                    asked = [options.peer, "-c", "import torch; print(torch.__version__.split('+')[0])"]
                    said += f", PyTorch {subprocess.check_output(asked, text=True).strip()}"
                report.fill(options.page, part.__name__, f"{said}.\n\n{text}")


if __name__ == "__main__":
    main()
