"""Writes what PyTorch computes into `results/`, from which the tests beside this file read it.

Run it by hand, with a Python that has PyTorch and transformers, when a case is added or for another version:

    python tests/parity/make.py [themes, all unless named]

The seeds are in the cases; the version of PyTorch goes into each file.
"""

import sys
from pathlib import Path

import numpy as np
import torch
import torch_everyday
import torch_fourier
import torch_functions
import torch_layers
import torch_losses
import torch_rules
import torch_transformers

RESULTS = Path(__file__).resolve().parent / "results"


def flat(value, key=""):
    """The arrays of nested dicts and lists by their paths."""
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, (list, tuple)):
        items = enumerate(value)
    else:
        yield key, value.detach().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
        return
    for name, part in items:
        yield from flat(part, f"{key}/{name}" if key else str(name))


def main():
    RESULTS.mkdir(exist_ok=True)
    modules = (
        torch_layers, torch_losses, torch_rules, torch_functions, torch_everyday, torch_fourier,
        torch_transformers,
    )  # fmt: skip
    for module in modules:
        for theme, cases in module.THEMES.items():
            if sys.argv[1:] and theme not in sys.argv[1:]:
                continue
            torch.manual_seed(0)
            arrays = dict(flat({name: case() for name, case in cases.items()}))
            path = RESULTS / f"{theme}.npz"
            np.savez_compressed(path, torch=np.array(torch.__version__), **arrays)
            print(f"{path.name}: {len(cases)} cases, {path.stat().st_size} bytes")  # noqa: T201


if __name__ == "__main__":
    main()
