"""What every layer is: an object with attributes, a `__call__`, and a way to print itself."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from .. import _core
from .._core import DTypeError, ShapeError, Tensor
from ..show import Printed

__all__ = ["Layer"]


class Layer(Printed):
    """Base of the layers; a class of one's own needs only its attributes and a `__call__`.

    Every floating tensor reachable through attributes, lists, tuples and dicts is a trainable parameter; a
    method `trainable(self)` that returns names of attributes restricts them. Assigning to a parameter keeps
    its dtype, and raises ShapeError for another shape. `describe(self)` is the layer on one line.

    >>> import oxiflux as flux
    >>> class Affine(flux.Layer):
    ...     weight: flux.Tensor
    ...     shift: flux.Tensor
    ...
    ...     def __init__(self, size_in, size_out):
    ...         self.weight = flux.glorot_uniform(size_in, size_out)
    ...         self.shift = flux.zeros(size_out)
    ...
    ...     def __call__(self, x):
    ...         return x @ self.weight + self.shift
    >>> Affine(3, 2)
    Affine(weight=(3, 2), shift=(2,))  # 8 parameters
    >>> Affine(3, 2)([[1, 2, 3]]).shape
    (1, 2)
    """

    def __setattr__(self, name: str, value: Any) -> None:
        old = self.__dict__.get(name)
        if type(old) is Tensor and value is not None:
            value = self._fitting(name, old, value)
        object.__setattr__(self, name, value)

    def _fitting(self, name: str, old: Tensor, value: Any) -> Tensor:
        """What an assignment to a parameter stores."""
        new = value if type(value) is Tensor else _core.tensor(value)
        if new.shape != old.shape:
            raise ShapeError(f"{self.describe()}: {name} has shape {old.shape}, got {new.shape}")
        return new if new.dtype == old.dtype else new.astype(old.dtype)


def blame(error: Exception, layer: str, shape: Any = None) -> None:
    """Puts the layer's description in front of the message of an error that its operation raised."""
    if isinstance(error, (ShapeError, DTypeError)):
        error.args = (f"{layer}: {error}",)


def locate(error: Exception, container: str, key: Hashable) -> None:
    """Adds to an error from within a container which of its layers it comes from: `Chain[1]["decoder"][0]:
    …`.

    Errors of shapes and dtypes get it in their message, errors of other code in a note.
    """
    placed = getattr(error, "_place", None)
    path, message = placed or ("", str(error))
    path = f"[{key!r}]{path}"
    if isinstance(error, (ShapeError, DTypeError)):
        error.args = (f"{container}{path}: {message}",)
    else:
        if placed:
            error.__notes__.pop()
        error.add_note(f"in {container}{path}")
    error._place = path, message  # type: ignore[attr-defined]


def shape_of(x: Any) -> tuple[int, ...]:
    """The shape of anything that a layer can be called with."""
    return tuple(x.shape) if hasattr(x, "shape") else np.shape(x)
