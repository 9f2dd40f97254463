"""Batches, as they come from the data, as arguments of a loss."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["batches_of", "spread"]


def batches_of(data: Any) -> Iterable[Any]:
    """What to iterate over. A data set with a length is asked for each of its items: an IndexError of its own would
    pass for the end of a sequence.

    >>> list(batches_of([1, 2]))
    [1, 2]
    """
    if hasattr(type(data), "__iter__") or not (hasattr(data, "__len__") and hasattr(data, "__getitem__")):
        return data  # type: ignore[no-any-return]
    return (data[i] for i in range(len(data)))


def spread(batch: Any, loss: Callable[..., Any]) -> tuple[Any, ...]:
    """A batch as arguments: the items of a tuple, and those of a list of arrays, as PyTorch's loader gives it, unless
    the loss takes a single argument for it.

    >>> import numpy as np
    >>> x = np.zeros(2)
    >>> len(spread((x, x), len)), len(spread([x, x], lambda m, x, y: 0)), len(spread([x, x], lambda m, items: 0))
    (2, 2, 1)
    >>> spread([1.0, 2.0], lambda m, x: 0)
    ([1.0, 2.0],)
    """
    if type(batch) is tuple:
        return batch
    if type(batch) is list and batch and all(hasattr(part, "shape") for part in batch):
        return tuple(batch) if len(batch) == 1 or _takes(loss, 1 + len(batch)) else (batch,)
    return (batch,)


def _takes(f: Callable[..., Any], count: int) -> bool:
    """Whether a function can be called with so many arguments."""
    try:
        inspect.signature(f).bind(*range(count))
    except TypeError:
        return False
    except ValueError:  # of a function that does not say
        return True
    return True
