"""Functions and layers beside PyTorch's: the time of one call of each, on arrays of about a million numbers.

    python benches/python/functions.py [--threads 2] [--page docs/functions.md] [NAME ...]

needs a Python that has both packages. The two take turns; of each the shortest time counts. A speed is PyTorch's time
over ours: above 1 this package is faster. With `--page` the table of a page is written anew.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import report
import torch
import torch.nn.functional as F

import oxiflux as flux

Call = Callable[[], object]

RNG = np.random.default_rng(0)
N = 1_000_000


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


X, Y = normal(N), normal(N)
UNIT = RNG.random(N).astype(np.float32)
ARRAYS = {
    "x": X, "y": Y, "unit": UNIT, "above": UNIT * 10 + np.float32(0.1), "mask": UNIT < 0.5,
    "nan": np.where(UNIT < 0.1, np.float32(np.nan), X), "m": X.reshape(1000, 1000), "m2": Y.reshape(1000, 1000),
    "places": RNG.integers(0, 1000, (1000, 1000)), "rows": RNG.integers(0, 1000, 1000), "ints": RNG.integers(0, 1000, N),
    "a3": normal(1000, 3), "b3": normal(1000, 3), "a64": normal(1000, 64), "b64": normal(1000, 64),
    "slope": np.float32(0.25), "weight": np.float32(0.3), "ones": np.ones(1000, np.float32),
    "image": normal(8, 56, 56, 64), "logits": normal(4096, 1000), "labels": RNG.integers(0, 1000, 4096),
    "class_weight": RNG.random(1000).astype(np.float32), "big": normal(4096, 512), "big2": normal(4096, 512),
    "big3": normal(4096, 512), "signs": np.sign(normal(4096, 512)), "sign": np.sign(normal(4096)),
    "query": normal(4, 256, 512), "shared": normal(4, 256, 128), "sequence": normal(8, 256, 512),
    "signal": normal(64, 16384),
}  # fmt: skip
OURS = {name: flux.tensor(x) for name, x in ARRAYS.items()}
THEIRS = {name: torch.tensor(x) for name, x in ARRAYS.items()}
# PyTorch's images have the channels first.
THEIRS["image"] = THEIRS["image"].permute(0, 3, 1, 2).contiguous()

WINDOW, WINDOW_OF_TORCH = flux.hann_window(400), torch.hann_window(400)

# What is called, of which arrays; both have the names of arrays as arguments.
CASES: dict[str, tuple[Callable[..., object], Callable[..., object], str]] = {
    "sum": (flux.sum, torch.sum, "x"),
    "log": (flux.log, torch.log, "above"),
    "rsqrt": (flux.rsqrt, torch.rsqrt, "above"),
    "exp2": (flux.exp2, torch.exp2, "x"),
    "erfc": (flux.erfc, torch.erfc, "x"),
    "erfinv": (flux.erfinv, torch.erfinv, "unit"),
    "lgamma": (flux.lgamma, torch.lgamma, "above"),
    "digamma": (flux.digamma, torch.digamma, "above"),
    "polygamma(1)": (lambda x: flux.polygamma(1, x), lambda x: torch.polygamma(1, x), "above"),
    "logit": (flux.logit, torch.logit, "unit"),
    "sinc": (flux.sinc, torch.sinc, "x"),
    "hardshrink": (flux.hardshrink, F.hardshrink, "x"),
    "prelu": (flux.prelu, lambda x, w: F.prelu(x, w.reshape(1)), "x slope"),
    "nan_to_num": (flux.nan_to_num, torch.nan_to_num, "nan"),
    "fmod": (flux.fmod, torch.fmod, "x above"),
    "remainder": (flux.remainder, torch.remainder, "x above"),
    "fmin": (flux.fmin, torch.fmin, "x y"),
    "fmax": (flux.fmax, torch.fmax, "x y"),
    "lerp": (flux.lerp, torch.lerp, "x y weight"),
    "xlogy": (flux.xlogy, torch.xlogy, "x above"),
    "logaddexp": (flux.logaddexp, torch.logaddexp, "x y"),
    "isclose": (flux.isclose, torch.isclose, "x y"),
    "nansum": (flux.nansum, torch.nansum, "nan"),
    "nanmean": (flux.nanmean, torch.nanmean, "nan"),
    "median": (flux.median, torch.median, "x"),
    "median of rows": (lambda x: flux.median(x, axis=1), lambda x: torch.median(x, 1), "m"),
    "quantile of rows": (lambda x: flux.quantile(x, 0.3, axis=1), lambda x: torch.quantile(x, 0.3, 1), "m"),
    "topk of rows": (lambda x: flux.topk(x, 10), lambda x: torch.topk(x, 10), "m"),
    "cummax": (flux.cummax, lambda x: torch.cummax(x, 0), "x"),
    "cummax of rows": (lambda x: flux.cummax(x, axis=1), lambda x: torch.cummax(x, 1), "m"),
    "logcumsumexp": (flux.logcumsumexp, lambda x: torch.logcumsumexp(x, 0), "x"),
    "bincount": (flux.bincount, torch.bincount, "ints"),
    "histogram": (
        lambda x: flux.histogram(x, 100, range=(-4, 4)), lambda x: torch.histogram(x, 100, range=(-4, 4)), "x"
    ),
    "take_along_axis": (lambda x, i: flux.take_along_axis(x, i, axis=1), lambda x, i: torch.gather(x, 1, i), "m places"),
    "take_along_axis, axis 0": (
        lambda x, i: flux.take_along_axis(x, i, axis=0), lambda x, i: torch.gather(x, 0, i), "m places"
    ),
    "scatter_along, sum": (
        lambda x, i, v: flux.scatter_along(x, i, v, axis=1, op="+"),
        lambda x, i, v: torch.scatter_add(x, 1, i, v), "m places m2",
    ),
    "scatter_along, sum, axis 0": (
        lambda x, i, v: flux.scatter_along(x, i, v, axis=0, op="+"),
        lambda x, i, v: torch.scatter_add(x, 0, i, v), "m places m2",
    ),
    "scatter_along": (
        lambda x, i, v: flux.scatter_along(x, i, v, axis=1), lambda x, i, v: torch.scatter(x, 1, i, v), "m places m2"
    ),
    "index_add": (flux.index_add, lambda x, i, v: torch.index_add(x, 0, i, v), "m rows m2"),
    "masked_scatter": (flux.masked_scatter, torch.masked_scatter, "x mask y"),
    "cdist of 3": (flux.cdist, torch.cdist, "a3 b3"),
    "cdist of 64": (flux.cdist, torch.cdist, "a64 b64"),
    "cosine_similarity": (flux.cosine_similarity, lambda a, b: F.cosine_similarity(a, b, dim=-1), "m m2"),
    "pairwise_distance": (flux.pairwise_distance, F.pairwise_distance, "m m2"),
    "cov": (lambda x: flux.cov(x, rowvar=False), lambda x: torch.cov(x.T), "a64"),
    "rms_norm": (flux.rms_norm, lambda x, w: F.rms_norm(x, (1000,), w, 1e-6), "m ones"),
    "diag_embed": (flux.diag_embed, torch.diag_embed, "ones"),
    "hstack": (lambda *x: flux.hstack(x), lambda *x: torch.hstack(x), "m m2"),
    "pixel_unshuffle": (lambda x: flux.pixel_unshuffle(x, 2), lambda x: F.pixel_unshuffle(x, 2), "image"),
    "upsample_nearest to 100 x 100": (
        lambda x: flux.upsample_nearest(x, size=(100, 100)), lambda x: F.interpolate(x, (100, 100)), "image"
    ),
    "upsample_bicubic to 112 x 112": (
        lambda x: flux.upsample_bicubic(x, size=(112, 112), align_corners=False),
        lambda x: F.interpolate(x, (112, 112), mode="bicubic"), "image",
    ),
    "maxpool, dilated": (
        lambda x: flux.maxpool(x, (3, 3), stride=2, pad=1, dilation=2),
        lambda x: F.max_pool2d(x, 3, 2, 1, 2), "image",
    ),
    "logitcrossentropy, weighted": (
        lambda x, y, w: flux.logitcrossentropy(x, y, weight=w), lambda x, y, w: F.cross_entropy(x, y, w),
        "logits labels class_weight",
    ),
    "nll_loss": (
        lambda x, y, w: flux.nll_loss(x, y, weight=w), lambda x, y, w: F.nll_loss(x, y, w), "logits labels class_weight"
    ),
    "triplet_margin_loss": (flux.triplet_margin_loss, F.triplet_margin_loss, "big big2 big3"),
    "cosine_embedding_loss": (flux.cosine_embedding_loss, F.cosine_embedding_loss, "big big2 sign"),
    "margin_ranking_loss": (flux.margin_ranking_loss, F.margin_ranking_loss, "big big2 signs"),
    "rfft": (flux.fft.rfft, torch.fft.rfft, "signal"),
    "stft": (
        lambda x: flux.stft(x, n_fft=400, hop_length=160, window=WINDOW),
        lambda x: torch.stft(x, 400, 160, window=WINDOW_OF_TORCH, return_complex=True), "signal",
    ),
}  # fmt: skip
# Integers, masks and what only PyTorch's function of that name differentiates have no gradient here.
WITH_GRADIENT = (
    "erfinv", "lgamma", "digamma", "prelu", "lerp", "nanmean", "quantile of rows", "take_along_axis", "scatter_along, sum",
    "index_add", "cdist of 3", "cdist of 64", "rms_norm", "upsample_nearest to 100 x 100",
    "upsample_bicubic to 112 x 112", "maxpool, dilated", "logitcrossentropy, weighted", "nll_loss",
    "triplet_margin_loss", "cosine_embedding_loss", "margin_ranking_loss",
)  # fmt: skip


def calls(name: str) -> tuple[Call, Call]:
    ours, theirs, names = CASES[name]
    a, b = [OURS[n] for n in names.split()], [THEIRS[n] for n in names.split()]
    return lambda: ours(*a), lambda: theirs(*b)


def gradients(name: str) -> tuple[Call, Call]:
    """The derivative of the sum of all results by the first array."""
    ours, theirs, names = CASES[name]
    a, b = [OURS[n] for n in names.split()], [THEIRS[n] for n in names.split()]

    def reference() -> object:
        x = b[0].detach().requires_grad_()
        return torch.autograd.grad(theirs(x, *b[1:]).sum(), x)  # type: ignore[attr-defined]

    return lambda: flux.gradient(lambda x: ours(x, *a[1:]).sum(), a[0]), reference  # type: ignore[attr-defined]


def seconds(call: Call, rounds: int) -> float:
    best = math.inf
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best


def speed(ours: Call, theirs: Call) -> tuple[float, float]:
    """The shortest of each, in turns."""
    ours(), theirs()
    once = seconds(ours, 1) + seconds(theirs, 1)
    rounds = max(2, min(20, int(0.05 / once)))
    a = b = math.inf
    for _ in range(5):
        a, b = min(a, seconds(ours, rounds)), min(b, seconds(theirs, rounds))
    return a, b


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="parts of names of cases; all without")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--page", type=Path, help="the page whose table is written anew")
    options = parser.parse_args()
    flux.set_num_threads(options.threads)
    torch.set_num_threads(options.threads)
    chosen = [name for name in CASES if not options.names or any(part in name for part in options.names)]
    print(f"{'':40}{'ours, ms':>10}{'PyTorch':>10}{'speed':>8}")
    speeds, rows = [], []
    for name in chosen:
        for kind, make in (("", calls), (", gradient", gradients)):
            if kind and name not in WITH_GRADIENT:
                continue
            a, b = speed(*make(name))
            speeds.append(b / a)
            rows.append([name + kind, f"{a * 1e3:.3f}", f"{b * 1e3:.3f}", f"{b / a:.2f}"])
            print(f"{name + kind:40}{a * 1e3:10.3f}{b * 1e3:10.3f}{b / a:8.2f}", flush=True)
    mean, fast = math.exp(sum(map(math.log, speeds)) / len(speeds)), sum(s >= 0.9 for s in speeds)
    summary = f"Geometric mean {mean:.2f}; at least 0.9 in {fast} of {len(speeds)}."
    print(summary)
    if options.page:
        head = ["", "ours, ms", "PyTorch, ms", "speed"]
        said = f"{report.machine(options.threads)}; {report.versions('torch')}. {summary}"
        report.fill(options.page, "table", f"{said}\n\n{report.table(head, rows)}")


if __name__ == "__main__":
    main()
