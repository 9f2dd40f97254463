"""Batches, as they come from the data, as arguments of a loss."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..data.guarded import guarded
from ..data.items import count, item

__all__ = ["batches_of", "spread", "started", "takes"]


def batches_of(data: Any) -> Iterable[Any]:
    """What to iterate over. A data set with a length is asked for each of its items: an IndexError of its own would
    pass for the end of a sequence.

    >>> list(batches_of([1, 2]))
    [1, 2]
    """
    if hasattr(type(data), "__iter__") or not (hasattr(data, "__len__") and hasattr(data, "__getitem__")):
        return data  # type: ignore[no-any-return]
    return (item(data, i) for i in range(count("train", data)))


def started(caller: str, data: Iterable[Any]) -> Iterator[Any]:
    """An iterator over the data.

    >>> list(started("train", [1, 2]))
    [1, 2]
    """
    return guarded(f"{caller}: __iter__ of the data", iter, data)


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
        return tuple(batch) if len(batch) == 1 or takes(loss, 1 + len(batch)) else (batch,)
    return (batch,)


def takes(f: Callable[..., Any], count: int) -> bool:
    """Whether a function can be called with so many arguments."""
    try:
        inspect.signature(f).bind(*range(count))
    except TypeError:
        return False
    except ValueError:  # of a function that does not say
        return True
    return True


def refuse_call(caller: str, loss: Callable[..., Any], batch: tuple[Any, ...]) -> None:
    """Raises TypeError if a loss cannot be called with a model and the parts of a batch."""
    try:
        signature = inspect.signature(loss)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(None, *batch)
    except TypeError:
        parts = "one part" if len(batch) == 1 else f"{len(batch)} parts"
        name = getattr(loss, "__name__", "")
        if str(getattr(loss, "__module__", "")).startswith("oxiflux."):
            instead = f"; write lambda m, x, y: {name}(m(x), y)"
        elif len(batch) == 1:
            instead = (
                "; data are batches: [(x, y)] is a single one of two parts, DataLoader((x, y), 32) makes many"
            )
        else:
            instead = ""
        takes = [
            str(p.replace(annotation=p.empty))
            for p in signature.parameters.values()
            if p.kind <= p.VAR_POSITIONAL
        ]
        raise TypeError(
            f"{caller}: the loss is called with the model and the {parts} of a batch, and takes "
            f"({', '.join(takes)}){instead}"
        ) from None
