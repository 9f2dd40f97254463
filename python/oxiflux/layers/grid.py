"""Images looked at in other places: at the points of a grid, and turned."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .. import _core
from .._core import ShapeError, Tensor
from ..hints import told

if TYPE_CHECKING:
    from ..typing import ArrayLike

__all__ = ["grid_sample", "imrotate"]


@told
def grid_sample(x: ArrayLike, grid: ArrayLike, *, padding_mode: str = "zeros") -> Tensor:
    """Images `(batch, height, width, channels)` at the points of `grid`, `(batch, rows, columns, 2)`.

    A point is `(x, y)`: -1 and 1 are the middles of the first and the last pixel of the width and of the
    height. Between pixels the result is interpolated bilinearly; outside of the image pixels are zeros, or with
    `padding_mode="border"` those of the nearest border. There are gradients for both. Raises ShapeError for
    other shapes. Ref: Jaderberg et al., "Spatial transformer networks", 2015.

    >>> import oxiflux as flux
    >>> x = flux.tensor([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 2, 1)
    >>> flux.grid_sample(x, [[[[-1, -1], [0, 0], [1, 0.5], [3, 1]]]]).flatten().tolist()
    [1.0, 2.5, 3.5, 0.0]
    """
    if padding_mode not in ("zeros", "border"):
        raise ValueError(f'grid_sample: padding_mode must be "zeros" or "border", got {padding_mode!r}')
    x, given = _core.asarray(x), _core.asarray(grid)
    points = x.dtype if x.dtype.kind == "f" else _core.float32
    # An array takes the dtype of the images, as everywhere; a tensor of points keeps its own.
    grid = given if type(grid) is Tensor and given.dtype.kind == "f" else given.astype(points)
    if x.ndim != 4 or grid.ndim != 4 or grid.shape[0] != x.shape[0] or grid.shape[-1] != 2:
        raise ShapeError(
            "grid_sample: expected images (batch, height, width, channels) and points (batch, rows, columns, 2),"
            f" got shapes {x.shape} and {grid.shape}"
        )
    batch, height, width, channels = x.shape
    if not height or not width:
        raise ShapeError(f"grid_sample: images of shape {x.shape} have no pixels")
    across = _taps(grid[..., 0], width, padding_mode == "border")
    down = _taps(grid[..., 1], height, padding_mode == "border")
    pixels = _core.reshape(x, (batch * height * width, channels))
    first = _core.reshape(_core.arange(batch), (-1, 1, 1)) * height
    total = _core.zeros((), x.dtype)
    for row, row_weight in down:
        for column, column_weight in across:
            weight = _core.expand_dims(row_weight * column_weight, axis=-1)
            total = total + _core.take(pixels, (first + row) * width + column) * weight
    return total


def _taps(points: Tensor, n: int, border: bool) -> list[tuple[Tensor, Tensor]]:
    """The two of `n` pixels between which each point lies, and their weights: zero for a pixel that is not there."""
    at = (points + 1) * (0.5 * (n - 1))
    # Which pixels these are does not change with the points.
    places = _core.stop_gradient(at)
    if border:
        # Beyond the border there is no slope.
        ends = places.clip(0, n - 1)
        at, places = _core.where(_core.equal(ends, places), at, ends), ends
    places = _core.where(_core.isnan(places), 0.0, places)
    low = _core.floor(places).clip(-2, n).astype(_core.int64)
    taps = []
    for tap, weight in ((low, low + 1 - at), (low + 1, at - low)):
        inside = _core.logical_and(_core.greater_equal(tap, 0), _core.less(tap, n))
        taps.append((tap.clip(0, n - 1), _core.where(inside, weight, 0.0)))
    return taps


@told
def imrotate(
    x: ArrayLike, angle: float, *, method: str = "bilinear", midpoint: Sequence[float] | None = None
) -> Tensor:
    """Images `(batch, height, width, channels)` turned by `angle`, in radians, clockwise as they are printed.

    They turn about `midpoint`, a row and a column: the pixel `(height // 2, width // 2)` unless given. `method`
    is "bilinear" or "nearest"; what comes from outside is zero. There is a gradient for `x` alone. Raises
    ShapeError for another number of axes.

    >>> import math, oxiflux as flux
    >>> x = flux.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]).reshape(1, 3, 3, 1)
    >>> flux.imrotate(x, math.pi / 2).reshape(3, 3)
    Tensor([[0., 0., 0.],
            [0., 0., 1.],
            [0., 0., 0.]])
    """
    x = _core.asarray(x)
    if x.ndim != 4:
        raise ShapeError(f"imrotate: expected (batch, height, width, channels), got shape {x.shape}")
    if method not in ("bilinear", "nearest"):
        raise ValueError(f'imrotate: method must be "bilinear" or "nearest", got {method!r}')
    if not math.isfinite(angle):
        raise ValueError(f"imrotate: the angle must be finite, got {angle!r}")
    batch, height, width, channels = x.shape
    middle = (height // 2, width // 2) if midpoint is None else tuple(midpoint)
    if len(middle) != 2 or not all(map(math.isfinite, middle)):
        raise ValueError(f"imrotate: the midpoint must be a row and a column, got {midpoint!r}")
    down, across = np.arange(height)[:, None] - middle[0], np.arange(width) - middle[1]
    row = math.cos(angle) * down - math.sin(angle) * across + middle[0]
    column = math.sin(angle) * down + math.cos(angle) * across + middle[1]
    places, weights = _corners(row, column, height, width, method == "nearest")
    kept = weights != 0
    starts = np.append(0, np.cumsum(kept.sum(axis=1)))
    pixels = _core.reshape(x, (batch, height * width, channels))
    rows, columns, values = map(_core.table, (starts, places[kept], weights[kept]))
    return _core.reshape(_core.resample(pixels, rows, columns, values, 1), x.shape)


def _corners(
    row: np.ndarray, column: np.ndarray, height: int, width: int, nearest: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The pixels around each point, one row for each point, and their weights: zero where the point is outside."""
    # Quarter turns lead to pixels exactly, which sine and cosine miss by a rounding.
    row, column = (np.where(abs(a - np.rint(a)) < 1e-9, np.rint(a), a).ravel() for a in (row, column))
    if nearest:
        row, column = np.rint(row), np.rint(column)
    inside = (row >= 0) & (row <= height - 1) & (column >= 0) & (column <= width - 1)
    row, column = np.where(inside, row, 0), np.where(inside, column, 0)
    top, left = row.astype(np.int64), column.astype(np.int64)
    places, weights = [], []
    for i, vertical in ((top, top + 1 - row), (top + 1, row - top)):
        for j, horizontal in ((left, left + 1 - column), (left + 1, column - left)):
            places.append(i * width + j)
            weights.append(vertical * horizontal * inside)
    return np.stack(places, axis=1), np.stack(weights, axis=1)
