"""How the time of a step grows with its sizes, and where one size costs more than its neighbours: a cliff.

    python benches/python/growth.py [SWEEP ...] [--threads 1] [--pictures docs/pictures] [--page docs/costs.md]

A sweep changes one size of one case. What counts is the time for a unit of work (a multiplication, a number), the
shortest of a few. A cliff is a size whose step costs more than 1.3 times that of a larger one close by, or a unit of whose
work costs more than 1.3 times that of a smaller one. With `--page` the plots are drawn and the list of cliffs is written.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import report

import oxiflux as flux

RNG = np.random.default_rng(0)
CLIFF = 1.3


def normal(*shape: int) -> flux.Tensor:
    return flux.tensor(RNG.standard_normal(shape, dtype=np.float32))


def by_all(layer: Callable[..., flux.Tensor], x: flux.Tensor) -> Callable[[], object]:
    """Forward and backward of a layer, also by its input."""
    return lambda: flux.gradient(lambda m, x: m(x).sum(), layer, x)


def of_model(layer: object, x: flux.Tensor) -> Callable[[], object]:
    """Forward and backward by the parameters."""
    return lambda: flux.gradient(lambda m: m(x).sum(), layer)


def perceptron(width: int, depth: int) -> flux.Chain:
    return flux.Chain(*(flux.Dense(width, width, flux.relu) for _ in range(depth)))


@dataclass
class Sweep:
    """A case by one of its sizes: the step, and how many units of work it does."""

    title: str
    size: str
    sizes: Iterable[int]
    step: Callable[[int], Callable[[], object]]
    work: Callable[[int], float]
    unit: str = "flop"


def powers(first: int, last: int) -> list[int]:
    """Powers of two, and between them what is half as much again, one more and one less."""
    found = {n for p in range(first, last + 1) for n in (2**p - 1, 2**p, 2**p + 1, 3 * 2**p // 2)}
    return sorted(n for n in found if n >= 1)


def conv(size: int, n_in: int, n_out: int, kernel: int = 3, batch: int = 8) -> Callable[[], object]:
    layer = flux.Conv((kernel, kernel), n_in, n_out, pad=flux.SamePad())
    return by_all(layer, normal(batch, size, size, n_in))


SWEEPS = {
    "batch": Sweep("784-512-256-10, gradient", "batch", powers(0, 9), lambda n: of_model(
        flux.Chain(flux.Dense(784, 512, flux.relu), flux.Dense(512, 256, flux.relu), flux.Dense(256, 10)), normal(n, 784)),
        lambda n: 2 * n * (2 * 784 * 512 + 3 * (512 * 256 + 2560))),
    "width": Sweep("Dense(n, n) of 64 rows, gradient", "features", range(1, 131), lambda n: by_all(flux.Dense(n, n), normal(64, n)),
        lambda n: 6 * 64 * n * n),
    "wide": Sweep("Dense(n, n) of 64 rows, gradient", "features", powers(7, 11), lambda n: by_all(flux.Dense(n, n), normal(64, n)),
        lambda n: 6 * 64 * n * n),
    "depth": Sweep("layers of Dense(64, 64), 64 rows, gradient", "layers", [*range(1, 17), 24, 32, 48, 64, 96, 128],
        lambda n: by_all(perceptron(64, n), normal(64, 64)), lambda n: n * 6 * 64 * 64 * 64),
    "channels": Sweep("3 x 3 convolution of 8 images of 28 x 28, gradient", "channels", range(1, 71), lambda n: conv(28, n, n),
        lambda n: 6 * 8 * 784 * 9 * n * n),
    "many channels": Sweep("3 x 3 convolution of 2 images of 14 x 14, gradient", "channels", powers(6, 9), lambda n: conv(14, n, n, batch=2),
        lambda n: 6 * 2 * 196 * 9 * n * n),
    "image": Sweep("3 x 3 convolution of 32 channels, 8 images, gradient", "height and width", [*range(3, 33), 40, 48, 56, 64, 96],
        lambda n: conv(n, 32, 32), lambda n: 6 * 8 * n * n * 9 * 32 * 32),
    "kernel": Sweep("convolution of 32 channels, 8 images of 28 x 28, gradient", "kernel", range(1, 8),
        lambda n: conv(28, 32, 32, n), lambda n: 6 * 8 * 784 * n * n * 32 * 32),
    "first": Sweep("3 x 3 convolution of n to 32 channels, 28 x 28, gradient", "channels in", range(1, 17),
        lambda n: conv(28, n, 32), lambda n: 6 * 8 * 784 * 9 * n * 32),
    "depthwise": Sweep("3 x 3 depthwise convolution of 8 images of 28 x 28, gradient", "channels", range(1, 71),
        lambda n: by_all(flux.DepthwiseConv((3, 3), n, n, pad=1), normal(8, 28, 28, n)), lambda n: 6 * 8 * 784 * 9 * n),
    "lstm": Sweep("LSTM(n, n), 32 sequences of 20, gradient", "features", [*range(1, 33), *range(40, 131, 10), *powers(7, 9)],
        lambda n: of_model(flux.LSTM(n, n), normal(32, 20, n)), lambda n: 2 * 5 * 32 * 20 * 4 * n * n),
    "steps": Sweep("LSTM(64, 64), 32 sequences, gradient", "steps", powers(0, 8), lambda n: of_model(flux.LSTM(64, 64), normal(32, n, 64)),
        lambda n: 2 * 5 * 32 * n * 4 * 64 * 64),
    "attention": Sweep("attention of 4 heads of 64, batch 2, gradient", "length", [*range(1, 33), 48, *powers(6, 10), 1000, 1100],
        lambda n: (lambda q: lambda: flux.gradient(lambda x: flux.dot_product_attention(x, x, x, nheads=4, return_scores=False).sum(), q))(
            normal(2, n, 256)), lambda n: 3 * 2 * 2 * 2 * 4 * n * n * 64 + 1e3 * n),
    "softmax": Sweep("softmax of 100,000 numbers in rows", "numbers in a row", [*range(1, 71), *powers(7, 15)],
        lambda n: (lambda x: lambda: flux.softmax(x))(normal(max(1, 100_000 // n), n)),
        lambda n: max(1, 100_000 // n) * n, "number"),
    "layernorm": Sweep("LayerNorm of 100,000 numbers in rows, gradient", "features", [*range(2, 131), *powers(8, 13)],
        lambda n: by_all(flux.LayerNorm(n), normal(max(1, 100_000 // n), n)), lambda n: max(1, 100_000 // n) * n, "number"),
    "sum": Sweep("sum over the last axis of 100,000 numbers", "numbers in a row", [*range(1, 71), *powers(7, 15)],
        lambda n: (lambda x: lambda: flux.sum(x, axis=-1))(normal(max(1, 100_000 // n), n)), lambda n: max(1, 100_000 // n) * n, "number"),
    "matmul": Sweep("product of n x n matrices", "n", [*range(1, 131), *powers(8, 10)], lambda n: (
        lambda a, b: lambda: a @ b)(normal(n, n), normal(n, n)), lambda n: 2 * n**3),
    "pool": Sweep("MaxPool of 2 x 2, 8 images of 28 x 28, gradient", "channels", range(1, 71),
        lambda n: (lambda x: lambda: flux.gradient(lambda x: flux.maxpool(x, (2, 2)).sum(), x))(normal(8, 28, 28, n)),
        lambda n: 8 * 784 * n, "number"),
    "batchnorm": Sweep("BatchNorm of 8 images of 28 x 28, gradient", "channels", range(1, 71),
        lambda n: by_all(flux.trainmode(flux.BatchNorm(n)), normal(8, 28, 28, n)), lambda n: 8 * 784 * n, "number"),
    "pad": Sweep("a frame of zeros around 8 images of 28 x 28", "channels", range(1, 71),
        lambda n: (lambda x: lambda: flux.pad_zeros(x, 1, axis=(1, 2)))(normal(8, 28, 28, n)), lambda n: 8 * 784 * n, "number"),
    "numbers": Sweep("x + y", "numbers", powers(0, 21), lambda n: (
        lambda x, y: lambda: x + y)(normal(n), normal(n)), lambda n: n, "number"),
}  # fmt: skip


def seconds(step: Callable[[], object], budget: float) -> float:
    """The shortest time of a step, in runs that take about the budget together."""
    step(), step()
    start = time.perf_counter()
    step()
    once = time.perf_counter() - start
    times, runs = max(1, int(budget / 6 / max(once, 1e-7))), []
    for _ in range(6 if once < budget else 2):
        start = time.perf_counter()
        for _ in range(times):
            step()
        runs.append((time.perf_counter() - start) / times)
    return min(runs)


def measured(sweep: Sweep, budget: float) -> dict[int, float]:
    """The nanoseconds of a step, by size."""
    return {n: 1e9 * seconds(sweep.step(n), budget) for n in sweep.sizes}


def cliffs(sweep: Sweep, times: dict[int, float]) -> list[tuple[int, float]]:
    """The sizes that cost more than 1.3 times the next larger ones, or for a unit of work the next smaller ones.

    What a size costs beyond that could be saved by padding it, or by cutting it into parts.
    """
    sizes, found = list(times), []
    for i, n in enumerate(sizes):
        larger = min(times[m] for m in sizes[i : i + 5])
        smaller = min(times[m] / sweep.work(m) for m in sizes[max(0, i - 5) : i + 1])
        worse = max(times[n] / larger, times[n] / sweep.work(n) / smaller)
        if worse > CLIFF:
            found.append((n, worse))
    return found


def listed(sizes: list[int], steep: list[tuple[int, float]]) -> str:
    """Cliffs in words, those of neighbours together: the worst of them counts."""
    groups: list[list[tuple[int, float]]] = []
    for n, worse in steep:
        if groups and sizes.index(n) == sizes.index(groups[-1][-1][0]) + 1:
            groups[-1].append((n, worse))
        else:
            groups.append([(n, worse)])
    spans = [(g[0][0], g[-1][0], max(worse for _, worse in g)) for g in groups]
    return ", ".join(f"{a} to {b} ({w:.1f})" if b > a else f"{a} ({w:.1f})" for a, b, w in spans) or "none"


def picture(sweep: Sweep, times: dict[int, float], path: Path) -> None:
    """A plot of the time for a unit of work against the size."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    mpl.rcParams.update({"svg.hashsalt": "oxiflux", "svg.fonttype": "none", "font.size": 9})
    figure, axis = plt.subplots(figsize=(4.2, 2.4), layout="constrained")
    axis.plot(list(times), [t / sweep.work(n) for n, t in times.items()], ".-", linewidth=0.8, markersize=3)
    wide = max(times) > 200
    axis.set(
        xscale="log" if wide else "linear",
        yscale="log",
        xlabel=sweep.size,
        ylabel=f"ns / {sweep.unit}",
        title=sweep.title,
    )
    axis.title.set_fontsize(9)
    axis.grid(alpha=0.3, linewidth=0.5)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sweeps", nargs="*", help="names of sweeps; all without")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--budget", type=float, default=0.01, help="seconds for each size")
    parser.add_argument("--pictures", type=Path, default=report.ROOT / "docs" / "pictures" / "growth")
    parser.add_argument("--page", type=Path, help="the page that gets the plots and the cliffs")
    options = parser.parse_args()
    flux.set_num_threads(options.threads)
    rows, shown = [], []
    for name in options.sweeps or SWEEPS:
        sweep = SWEEPS[name]
        times = measured(sweep, options.budget)
        least, most = (f(t / sweep.work(n) for n, t in times.items()) for f in (min, max))
        steep = listed(list(times), cliffs(sweep, times))
        print(f"{name:14} {least:9.4f} to {most:9.4f} ns/{sweep.unit}   cliffs: {steep}", flush=True)
        if options.page:
            options.pictures.mkdir(parents=True, exist_ok=True)
            file = f"{name.replace(' ', '_')}.svg"
            picture(sweep, times, options.pictures / file)
            link = (options.pictures / file).resolve().relative_to(options.page.resolve().parent)
            shown.append(f"![{sweep.title}, by {sweep.size}]({link})")
            rows.append([f"{sweep.title}, by {sweep.size}", steep])
    if options.page:
        said = f"{report.machine(options.threads)}."
        report.fill(
            options.page, "growth", f"{said}\n\n{report.table(['', 'cliffs'], rows)}\n\n" + "\n".join(shown)
        )


if __name__ == "__main__":
    main()
