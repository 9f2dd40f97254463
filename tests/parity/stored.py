"""Reads what `make.py` has stored: the numbers of PyTorch."""

from pathlib import Path

import numpy as np

RESULTS = Path(__file__).resolve().parent / "results"


def stored(theme):
    """The cases of a file: nested dicts of arrays, where what was a list has the keys "0", "1" and so on."""
    cases = {}
    with np.load(RESULTS / f"{theme}.npz", allow_pickle=False) as file:
        for key in file.files:
            *path, last = key.split("/")
            if not path:
                continue  # the version of PyTorch
            place = cases
            for name in path:
                place = place.setdefault(name, {})
            place[last] = file[key]
    return cases


def listed(part):
    """What was stored as a list."""
    return [part[str(i)] for i in range(len(part))]


def version(theme):
    """The version of PyTorch that made a file."""
    with np.load(RESULTS / f"{theme}.npz", allow_pickle=False) as file:
        return str(file["torch"])
