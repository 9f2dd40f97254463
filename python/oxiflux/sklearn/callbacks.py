"""What is called while an estimator trains: its callbacks and schedules, and the one that ends it early."""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from ..files.checkpoints import keeps_its_place
from ..tree import loadmodel, state

__all__ = ["Best", "again", "later", "said", "several"]


class Best:
    """A callback of `fit` that ends the training after so many epochs without a lower `val_loss`, and can bring back
    the model as it was when that was lowest.
    """

    model: Any
    patience: int
    lowest: float
    since: int
    kept: Any

    def __init__(self, model: Any, patience: int) -> None:
        self.model, self.patience = model, patience
        self.lowest, self.since, self.kept = math.inf, 0, state(model)

    def __call__(self, row: Mapping[str, float]) -> bool:
        if row["val_loss"] < self.lowest:
            self.lowest, self.since, self.kept = row["val_loss"], 0, state(self.model)
        else:
            self.since += 1
        return self.since >= self.patience

    def restore(self) -> None:
        """Puts the parameters of the best epoch into the model."""
        loadmodel(self.model, self.kept)


def several(callbacks: Any) -> list[Any]:
    """One callback or some as a list.

    >>> several(print), several((print, max)), several(())
    ([<built-in function print>], [<built-in function print>, <built-in function max>], [])
    """
    is_one = callable(callbacks) or not isinstance(callbacks, Iterable)
    return [] if callbacks is None else [callbacks] if is_one else list(callbacks)


def again(callback: Any) -> Any:
    """A callback for one fit: a copy of what counts, such as `early_stopping`, so that each fit begins anew."""
    return copy.deepcopy(callback) if keeps_its_place(callback) else callback


def said(row: Mapping[str, float]) -> None:
    """Writes the numbers of an epoch.

    >>> said({"epoch": 2, "step": 18, "loss": 0.25, "seconds": 0.1})
    epoch 2: loss 0.25, seconds 0.1
    """
    numbers = ", ".join(f"{key} {x:.4g}" for key, x in row.items() if key not in ("epoch", "step"))
    sys.stdout.write(f"epoch {row['epoch']}: {numbers}\n")


def later(schedule: Any, steps: int) -> Any:
    """A schedule, or a dict of them, from a step on.

    >>> later(float, 2)(1), later({"eta": float}, 2)["eta"](1), later(None, 2)
    (3.0, 3.0, None)
    """
    if isinstance(schedule, Mapping):
        return {name: later(f, steps) for name, f in schedule.items()}
    return (lambda step: schedule(step + steps)) if steps and callable(schedule) else schedule
