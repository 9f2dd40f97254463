"""Numbers of an epoch: means over batches, of the loss and of what it gives beside its value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

__all__ = ["Means", "aside", "number_of", "size_of"]


class Means:
    """Means of numbers with names, weighted.

    >>> means = Means()
    >>> means.add({"loss": 1.0}, 3)
    >>> means.add({"loss": 5.0})
    >>> means.means("val_")
    {'val_loss': 2.0}
    """

    weight: int

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.weight = 0

    def add(self, numbers: Mapping[str, float], weight: int = 1) -> None:
        self.weight += weight
        for name, number in numbers.items():
            self.sums[name] = self.sums.get(name, 0.0) + weight * number

    def means(self, prefix: str = "") -> dict[str, float]:
        return {prefix + name: x / self.weight if self.weight else math.nan for name, x in self.sums.items()}


def aside(value: Any) -> dict[str, float]:
    """The numbers that a loss gives in a dict beside its value.

    >>> aside((0.5, {"accuracy": 1})), aside(0.5)
    ({'accuracy': 1.0}, {})
    """
    more = value[1] if type(value) is tuple and len(value) > 1 else None
    return (
        {name: number_of("fit", f"what the loss gives as {name}", x) for name, x in more.items()}
        if isinstance(more, Mapping)
        else {}
    )


def number_of(caller: str, name: str, x: Any) -> float:
    """A number, or an error that says what there was instead."""
    try:
        return float(x)
    except (TypeError, ValueError):
        shape = getattr(x, "shape", ())
        what = f"an array of shape {tuple(shape)}; flux.mean makes a number of it" if shape else repr(x)
        raise TypeError(f"{caller}: {name} must be a number, got {what}") from None


def size_of(batch: Any) -> int:
    """The number of items in a batch."""
    while isinstance(batch, (tuple, Mapping)) and batch:
        batch = next(iter(batch.values() if isinstance(batch, Mapping) else batch))
    try:
        return len(batch)
    except TypeError:
        return 1
