"""All axes but the first as one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .._core import ShapeError, Tensor

if TYPE_CHECKING:
    from ..typing import ArrayLike

__all__ = ["flatten"]


def flatten(x: ArrayLike) -> Tensor | np.ndarray:
    """Joins all axes but the first, which is the batch: `(n, a, b, …)` becomes `(n, a * b * …)`.

    A vector becomes one column. A NumPy array stays one, so that it takes the dtype of the layer that it
    meets next. Raises ShapeError for a single number.

    >>> import oxiflux as flux
    >>> flux.flatten(flux.zeros((10, 3, 4, 5))).shape
    (10, 60)
    """
    if not isinstance(x, (Tensor, np.ndarray)):
        x = np.asarray(x)
    if not x.ndim:
        raise ShapeError("flatten: needs at least one axis, got a single number")
    return x.reshape((x.shape[0], math.prod(x.shape[1:])))
