"""Writes what `peers.py` measured into the README and `docs/fast.md`, with the machine and the versions beside it.

    python benches/python/tables.py [--check]

It reads `results/`, where `make bench-peers` leaves a file for each number of threads (and set of instructions).
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import report

RESULTS = Path(__file__).parent / "results"
PEERS = {"torch": "PyTorch", "torch-tuned": "PyTorch, tuned", "torch-compile": "PyTorch, compiled", "jax": "JAX", "jax-eager": "JAX, eager", "numpy": "NumPy"}  # fmt: skip

# What the cases of peers.py are, for the page; those of more_cases.py say so themselves.
STEPS = {
    "linreg": "`Dense(1, 1)`, 6 points, gradient descent",
    "mlp_tiny": "10-32-32-1, batch 32, gradient descent",
    "mlp_b64": "784-512-256-10, batch 64, Adam",
    "mlp_b128": "784-512-256-10, batch 128, Adam",
    "lenet_b64": "LeNet-5 on 28 x 28 images, batch 64, Adam",
    "conv3x3_fwd": "3 x 3 convolution, 64 channels, 56 x 56, batch 16",
    "conv3x3_fwdbwd": "the same with gradients",
    "resblock": "ResNet block of the same images, gradient descent",
    "lstm": "LSTM, 128 to 128, batch 32 of 50 steps, Adam",
    "gru": "GRU of the same sizes",
    "encoder": "transformer encoder layer, width 256, batch 8 of 128, Adam",
    "ce_32k": "cross-entropy, 256 x 32000, with gradient",
    "layernorm": "LayerNorm of 4096 x 512, with gradients",
    "batchnorm": "BatchNorm of 32 x 28 x 28 x 64, with gradients",
    **{f"ew_{name}_1m": f"`{name}` of 2^20 numbers" for name in ("relu", "exp", "tanh", "sigmoid")},
    "ew_add_1m": "`x + 1` of 2^20 numbers",
    "ew_gelu_1m": "`gelu` (erf) of 2^20 numbers",
    "ew_chain_1m": "a chain of six functions of 2^20 numbers, with gradient",
    "tiny_chain": "100 additions of 10 numbers, with gradient",
    "adam_10m": "Adam on 10 million parameters",
    "adam_small": "Adam on 50 tensors of 1000",
}


def results(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return found


def took(seconds: float) -> str:
    """A time with three digits."""
    unit, size = ("ms", 1e-3) if seconds >= 1e-3 else ("us", 1e-6)
    return f"{seconds / size:.3g} {unit}"


def fastest(row: dict[str, Any]) -> str:
    """The best peer and its time."""
    peer = min((p for p in PEERS if "med" in row.get(p, ())), key=lambda p: row[p]["med"])
    return f"{PEERS[peer]} {took(row[peer]['med'])}"


def cells(run: dict[str, Any], name: str) -> list[str]:
    """The best peer, this package, their ratio, the share of the limit, and the step as a captured one, of a case."""
    row = run["res"][name]
    share = f"{row['share']:.2f}" if "share" in row else ""
    captured = took(row["oxiflux-compiled"]["med"]) if "med" in row.get("oxiflux-compiled", ()) else ""
    return [fastest(row), took(row["oxiflux"]["med"]), f"{row['ratio']:.2f}", share, captured]


def summary(run: dict[str, Any], names: list[str]) -> str:
    ratios = [run["res"][name]["ratio"] for name in names]
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    return (
        f"ahead of the best peer in {sum(r > 1 for r in ratios)} of {len(ratios)}, geometric mean {mean:.2f}"
    )


def words(run: dict[str, Any], name: str) -> str:
    return STEPS.get(name) or run["meta"][name]["note"]


def short(run: dict[str, Any]) -> str:
    """The table of the README: the peers' cases on two threads."""
    names = [name for name in STEPS if name in run["res"]]
    head = ["step", "best peer", "oxiflux", "best peer / oxiflux", "of the limit", "flux.compile"]
    rows = [[words(run, name), *cells(run, name)] for name in names]
    said = f"{run['machine']}; {run['versions']}: {summary(run, names)}."
    return f"{said}\n\n{report.table(head, rows)}"


def long(runs: dict[str, dict[str, Any]], chosen: str) -> str:
    """A table of the page: two threads, one, and AVX2, as far as they were measured."""
    two, others = runs["peers-2"], [name for name in runs if name != "peers-2"]
    names = [n for n in two["res"] if (n in STEPS) == (chosen == "peers") and "ratio" in two["res"][n]]
    titles = {"peers-1": "1 thread", "peers-avx2-2": "AVX2", "peers-avx2-1": "AVX2, 1 thread"}
    head = [
        "step",
        "best peer",
        "here",
        "ratio",
        "of the limit",
        "flux.compile",
        *(titles[name] for name in others),
    ]
    rows = []
    for name in names:
        ratios = [runs[o]["res"].get(name, {}).get("ratio") for o in others]
        rows.append([words(two, name), *cells(two, name), *(f"{r:.2f}" if r else "" for r in ratios)])
    said = [f"{two['machine']}; {two['versions']}: {summary(two, names)}."]
    for other in others:
        of = [name for name in names if "ratio" in runs[other]["res"].get(name, ())]
        if of:
            ours, theirs = (run["machine"].partition(",")[0] for run in (two, runs[other]))
            elsewhere = "" if ours == theirs else f", on another machine and day ({theirs})"
            said.append(f"{titles[other]}{elsewhere}: {summary(runs[other], of)}.")
    return f"{' '.join(said)}\n\n{report.table(head, rows)}"


def pages() -> dict[Path, str]:
    """The pages with their tables written anew."""
    order = ("peers-2", "peers-1", "peers-avx2-2", "peers-avx2-1")
    runs = {name: results(name) for name in order if (RESULTS / f"{name}.json").exists()}
    readme, fast = report.ROOT / "README.md", report.ROOT / "docs" / "fast.md"
    page = report.filled(fast.read_text(), "peers", long(runs, "peers"))
    if any(name not in STEPS for name in runs["peers-2"]["res"]):
        page = report.filled(page, "more", long(runs, "more"))
    return {readme: report.filled(readme.read_text(), "peers", short(runs["peers-2"])), fast: page}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="whether the pages have what the results say")
    check = parser.parse_args().check
    for path, text in pages().items():
        if check and path.read_text() != text:
            raise SystemExit(f"{path}: its tables are not those of {RESULTS}; run {Path(__file__).name}")
        path.write_text(text)


if __name__ == "__main__":
    main()
