"""Labels: where each of them is, and how often."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .._core import Tensor
from ..hints import told

__all__ = ["group_counts", "group_indices"]


@told
def group_indices(labels: Any) -> dict[Any, np.ndarray[Any, Any]]:
    """The places of each label, in ascending order, by label; the labels in the order of their first places.

    `labels` is an array or a tensor of one axis, a series, or any iterable of what can be a key of a dict; else it
    raises TypeError. All NaN are one label. Ref: MLUtils.jl, `group_indices`.

    >>> group_indices(["yes", "no", "maybe", "yes"])
    {'yes': array([0, 3]), 'no': array([1]), 'maybe': array([2])}
    """
    return {label: np.array(places) for label, places in places_of("group_indices: ", labels).items()}


@told
def group_counts(labels: Any) -> dict[Any, int]:
    """How often each label is there, by label; the labels in the order of their first places.

    It takes the labels that `group_indices` does. Ref: MLUtils.jl, `group_counts`.

    >>> group_counts("abb")
    {'a': 1, 'b': 2}
    """
    return {label: len(places) for label, places in places_of("group_counts: ", labels).items()}


def groups_of(caller: str, labels: Any) -> list[np.ndarray[Any, Any]]:
    """The places of each label, the labels in the order of their first places.

    >>> groups_of("", ["a", "b", "a"])
    [array([0, 2]), array([1])]
    """
    return [np.array(places) for places in places_of(caller, labels).values()]


def places_of(caller: str, labels: Any) -> dict[Any, list[int]]:
    """The places of each label, by label; errors begin with the caller."""
    if not hasattr(labels, "__iter__"):
        raise TypeError(f"{caller}labels must be an array or a sequence, got {labels!r}")
    values = labels.tolist() if isinstance(labels, (np.ndarray, Tensor)) else list(labels)
    found: dict[Any, list[int]] = {}
    for i, label in enumerate(values if isinstance(values, list) else [values]):
        # Each NaN is another object, and equals none.
        key = math.nan if isinstance(label, (float, np.floating)) and label != label else label
        try:
            found.setdefault(key, []).append(i)
        except TypeError:
            raise TypeError(f"{caller}labels must be numbers or text, got {label!r}") from None
    return found
