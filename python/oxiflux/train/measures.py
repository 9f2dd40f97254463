"""Numbers of an epoch: means over batches, of the loss, of what it gives beside its value, and of metrics."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from ..data.guarded import guarded
from .batches import batches_of, spread, started

__all__ = ["Means", "aside", "measured", "size_of"]


class Means:
    """Means of numbers with names, weighted.

    >>> means = Means()
    >>> means.add({"loss": 1.0}, 3)
    >>> means.add({"loss": 5.0})
    >>> means.means("val_")
    {'val_loss': 2.0}
    """

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.weight = 0

    def add(self, numbers: Mapping[str, float], weight: int = 1) -> None:
        self.weight += weight
        for name, number in numbers.items():
            self.sums[name] = self.sums.get(name, 0.0) + weight * number

    def means(self, prefix: str = "") -> dict[str, float]:
        return {prefix + name: x / self.weight if self.weight else math.nan for name, x in self.sums.items()}


def measured(
    loss: Callable[..., Any], metrics: Mapping[str, Callable[..., Any]], model: Any, validation: Any
) -> dict[str, float]:
    """The means of the loss and of the metrics over the validation data, each batch weighted by its items.

    >>> measured(lambda m, x: m * len(x), {"size": lambda m, x: len(x)}, 2, [[1, 2, 3], [4]])
    {'val_loss': 5.0, 'val_size': 2.5}
    """
    if validation is None:
        return {}
    means = Means()
    for batch in [validation] if isinstance(validation, tuple) else started("fit", batches_of(validation)):
        args = spread(batch, loss)
        value = guarded("fit: the loss", loss, model, *args)
        numbers = {"loss": _number("the loss", value[0] if type(value) is tuple else value)} | aside(value)
        numbers |= {
            name: _number(f"the metric {name}", guarded(f"fit: the metric {name}", metric, model, *args))
            for name, metric in metrics.items()
        }
        means.add(numbers, size_of(args))
    if not means.sums:
        raise ValueError("fit: the validation data has no batches")
    return means.means("val_")


def aside(value: Any) -> dict[str, float]:
    """The numbers that a loss gives in a dict beside its value.

    >>> aside((0.5, {"accuracy": 1})), aside(0.5)
    ({'accuracy': 1.0}, {})
    """
    more = value[1] if type(value) is tuple and len(value) > 1 else None
    return (
        {name: _number(f"what the loss gives as {name}", x) for name, x in more.items()}
        if isinstance(more, Mapping)
        else {}
    )


def _number(name: str, x: Any) -> float:
    try:
        return float(x)
    except (TypeError, ValueError):
        shape = getattr(x, "shape", ())
        what = f"an array of shape {tuple(shape)}; flux.mean makes a number of it" if shape else repr(x)
        raise TypeError(f"fit: {name} must be a number, got {what}") from None


def size_of(batch: Any) -> int:
    """The number of items in a batch."""
    while isinstance(batch, (tuple, Mapping)) and batch:
        batch = next(iter(batch.values() if isinstance(batch, Mapping) else batch))
    try:
        return len(batch)
    except TypeError:
        return 1
