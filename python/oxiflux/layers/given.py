"""Layers that are made of given arrays: `Dense(weight, bias, activation)` beside `Dense(size_in, size_out, …)`."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._core import ShapeError, Tensor
from ..show import name_of
from .base import blame, parameter, shape_of

MOST_AXES = 32


def is_weight(x: Any, axes: int = 1, axes_of_list: int = 2) -> bool:
    """Whether the first argument of a layer is its weight and not a size: an array or list with so many axes.

    >>> is_weight(3), is_weight([[1.0], [2.0]]), is_weight((3, 3))
    (False, True, False)
    """
    if isinstance(x, (list, tuple)):
        return _depth(x) >= max(axes, axes_of_list)
    if not (isinstance(x, (Tensor, np.ndarray)) or hasattr(type(x), "__array__")):
        return False
    return len(shape_of(x)) >= axes


def _depth(x: Any) -> int:
    """How many axes a list has, by its first items; what is in it is not looked at yet."""
    depth = 0
    while isinstance(x, (list, tuple)) and depth < MOST_AXES:
        depth, x = depth + 1, x[0] if len(x) else None
    return depth + len(getattr(x, "shape", ()))


def given(layer: str, values: Any) -> Tensor:
    """Given values as a parameter; what is wrong with them is an error of the layer."""
    try:
        return parameter(values)
    except Exception as error:
        blame(error, layer)
        raise


def given_weight(layer: str, weight: Any, *axes: str) -> Tensor:
    """The weight, if it has these axes; ShapeError otherwise."""
    tensor = given(layer, weight)
    if tensor.ndim != len(axes):
        raise ShapeError(f"{layer}: the weight must be ({', '.join(axes)}), got shape {tensor.shape}")
    return tensor


def given_bias(layer: str, second: Any, bias: Any, init: Any, usual: Any) -> Any:
    """The bias of a layer that has been given its weight: the argument after it, or the keyword.

    TypeError for both, for a function, and for an initialiser, which would have nothing to make.
    """
    if callable(second):
        raise TypeError(
            f"{layer}: the bias comes before the activation: {layer}(weight, True, {name_of(second)})"
        )
    if second is not True and bias is not True:
        raise TypeError(f"{layer}: the bias was given twice, by its place and by its name")
    if init is not usual:
        raise TypeError(f"{layer}: the weight was given, so that init has nothing to make")
    return bias if second is True else second


def require_size(layer: str, **sizes: Any) -> None:
    """TypeError for a size that was not given, which only a layer without a weight needs."""
    lacking = [repr(name) for name, size in sizes.items() if size is True]
    if lacking:
        several = f"{len(lacking)} required positional argument{'s' * (len(lacking) != 1)}"
        raise TypeError(f"{layer}() missing {several}: {', '.join(lacking)}")
