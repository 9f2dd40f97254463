"""Images looked at between their pixels."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import _core
from ..._core import Tensor
from ..reading import UnsupportedError
from ..table import plain

Array = np.ndarray[Any, Any]


def pixels(x: Tensor, places: Sequence[Array], inside: Array) -> Tensor:
    """The pixels of images `(batch, channels, *lengths)` at places `(batch, *points)` of each length, zero where they
    are not inside: `(batch, channels, *points)`.
    """
    n, channels, *lengths = x.shape
    at: Any = np.zeros(places[0].shape, np.int64)
    for line, length in zip(places, lengths, strict=True):
        at = at * length + np.clip(line, 0, length - 1).astype(np.int64)
    size = math.prod(lengths)
    at = at + (np.arange(n) * size).reshape(-1, *[1] * (at.ndim - 1))
    flat = _core.reshape(
        _core.permute_dims(_core.reshape(x, (n, channels, size)), (0, 2, 1)), (n * size, channels)
    )
    found = _core.take(flat, at, 0)
    if not inside.all():
        found = _core.where(inside[..., None], found, _core.zeros((), x.dtype))
    return _core.permute_dims(found, (0, found.ndim - 1, *range(1, found.ndim - 1)))


def bilinear(x: Tensor, *points: Tensor) -> Tensor:
    """Images between their pixels, linearly along each length; outside of them are zeros."""
    lengths = x.shape[2:]
    taps = []
    for at in points:
        low = np.floor(np.nan_to_num(_core.stop_gradient(at).numpy().astype(np.float64)))
        share = at - low.astype(at.dtype.name)
        taps.append(((low, 1 - share), (low + 1, share)))
    total: Any = None
    for corner in itertools.product(*taps):
        places = [place for place, _ in corner]
        inside = np.ones(places[0].shape, np.bool_)
        for place, length in zip(places, lengths, strict=True):
            inside &= (place >= 0) & (place < length)
        weight = corner[0][1]
        for _, share in corner[1:]:
            weight = weight * share
        part = pixels(x, places, inside) * _core.expand_dims(weight, 1)
        total = part if total is None else total + part
    summed: Tensor = total
    return summed


def _mirrored(x: Tensor, low: float, high: float) -> Tensor:
    """Points reflected at both ends until they lie between."""
    width = high - low
    if width <= 0:
        return _core.zeros_like(x) + low
    away = _core.abs(x - low)
    turns = _core.floor(away / width)
    rest = away - turns * width
    odd = _core.remainder(turns, _core.tensor(2.0, x.dtype)) != 0
    return _core.where(odd, high - rest, rest + low)


@plain("GridSample")
def grid_sample(
    x: Tensor,
    grid: Tensor,
    *,
    align_corners: int = 0,
    mode: str = "linear",
    padding_mode: str = "zeros",
) -> Tensor:
    lengths = x.shape[2:]
    mode = {"bilinear": "linear", "bicubic": "cubic"}.get(mode, mode)
    points = []
    for a, n in enumerate(lengths):
        at = grid[..., len(lengths) - 1 - a]
        at = (at + 1) * ((n - 1) / 2) if align_corners else ((at + 1) * n - 1) / 2
        points.append(at)
    if mode == "nearest":
        points = [_core.round(at) for at in points]
    if mode != "cubic":
        points = [_placed(at, n, padding_mode, align_corners) for at, n in zip(points, lengths, strict=True)]
    if mode == "nearest":
        places = [_core.stop_gradient(at).numpy() for at in points]
        inside = np.ones(places[0].shape, np.bool_)
        for place, n in zip(places, lengths, strict=True):
            inside &= (place >= 0) & (place < n)
        return pixels(x, [np.nan_to_num(p) for p in places], inside)
    if mode == "linear":
        return bilinear(x, *points)
    if mode != "cubic" or len(lengths) != 2:
        raise UnsupportedError(
            f"onnx: GridSample with mode={mode!r} of {len(lengths)} lengths is not supported"
        )
    return _bicubic(x, points, padding_mode, align_corners)


def _placed(at: Tensor, n: int, padding_mode: str, align_corners: int) -> Tensor:
    if padding_mode == "border":
        return _core.minimum(_core.maximum(at, 0.0), float(n - 1))
    if padding_mode == "reflection":
        at = _mirrored(at, 0.0, n - 1.0) if align_corners else _mirrored(at, -0.5, n - 0.5)
        return _core.minimum(_core.maximum(at, 0.0), float(n - 1))
    if padding_mode != "zeros":
        raise UnsupportedError(f"onnx: GridSample with padding_mode={padding_mode!r} is not supported")
    return at


def _near(t: Tensor) -> Tensor:
    """Keys's cubic weight, with the parameter -0.75, up to a distance of 1."""
    return (t * 1.25 - 2.25) * t * t + 1


def _far(t: Tensor) -> Tensor:
    """The same between the distances 1 and 2."""
    return (((t - 5) * t + 8) * t - 4) * -0.75


def _bicubic(x: Tensor, points: Sequence[Tensor], padding_mode: str, align_corners: int) -> Tensor:
    taps: list[Any] = []
    for at in points:
        low = _core.floor(_core.stop_gradient(at))
        t = at - low
        weights = [_far(t + 1), _near(t), _near(1 - t), _far(2 - t)]
        taps.append([(low + (k - 1), w) for k, w in enumerate(weights)])
    total: Any = None
    for (row, down), (column, across) in itertools.product(*taps):
        places = [
            _core.stop_gradient(_placed(at, n, padding_mode, align_corners)).numpy()
            for at, n in zip((row, column), x.shape[2:], strict=True)
        ]
        inside = np.ones(places[0].shape, np.bool_)
        for place, n in zip(places, x.shape[2:], strict=True):
            inside &= (place >= 0) & (place < n)
        part = pixels(x, places, inside) * _core.expand_dims(down * across, 1)
        total = part if total is None else total + part
    summed: Tensor = total
    return summed


@plain("RoiAlign", host=(1, 2))
def roi_align(
    x: Tensor,
    rois: Any,
    batches: Any,
    *,
    coordinate_transformation_mode: str = "half_pixel",
    mode: str = "avg",
    output_height: int = 1,
    output_width: int = 1,
    sampling_ratio: int = 0,
    spatial_scale: float = 1.0,
) -> Tensor:
    height, width = x.shape[2:]
    offset = 0.5 if coordinate_transformation_mode == "half_pixel" else 0.0
    results = []
    for roi, batch in zip(rois, batches, strict=True):
        x1, y1, x2, y2 = (float(v) * spatial_scale - offset for v in roi)
        w, h = x2 - x1, y2 - y1
        if not offset:
            w, h = max(w, 1.0), max(h, 1.0)
        bins = []
        for low, size, count in ((y1, h, output_height), (x1, w, output_width)):
            each = sampling_ratio or math.ceil(size / count)
            bins.append((low + (np.arange(count * each) + 0.5) * size / count / each, each))
        (ys, ny), (xs, nx) = bins
        total = _roi_taps(x[int(batch)], ys, xs, height, width, mode)
        cells = _core.reshape(total, (x.shape[1], output_height, ny, output_width, nx))
        results.append(_core.mean(cells, (2, 4)) if mode == "avg" else _core.max(cells, (2, 4)))
    if not results:
        return _core.zeros((0, x.shape[1], output_height, output_width), x.dtype)
    return _core.stack(results, 0)


def _roi_taps(image: Tensor, ys: Array, xs: Array, height: int, width: int, mode: str) -> Tensor:
    """Each sample: a mean of four pixels, or the largest of them with its weight."""
    parts = []
    gone = ((ys < -1) | (ys > height))[:, None] | ((xs < -1) | (xs > width))[None, :]
    axes = []
    for at, n in ((ys, height), (xs, width)):
        at = np.maximum(at, 0)
        low = np.minimum(np.floor(at).astype(np.int64), n - 1)
        at = np.where(low >= n - 1, n - 1, at)
        axes.append(((low, low + 1 - at), (np.minimum(low + 1, n - 1), at - low)))
    for (row, down), (column, across) in itertools.product(*axes):
        taken = _core.take(_core.take(image, row, 1), column, 2)
        weight = np.where(gone, 0.0, down[:, None] * across[None, :])
        parts.append(taken * _core.tensor(weight, image.dtype))
    stacked = _core.stack(parts, 0)
    return _core.sum(stacked, 0) if mode == "avg" else _core.max(stacked, 0)


@plain("Col2Im", host=(1, 2))
def col2im(
    x: Tensor,
    image_shape: Any,
    block_shape: Any,
    *,
    dilations: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Tensor:
    """Windows put back and added up where they overlap."""
    lengths, window = [int(n) for n in image_shape], [int(n) for n in block_shape]
    dims = len(lengths)
    gaps, steps, pads = dilations or [1] * dims, strides or [1] * dims, pads or [0] * 2 * dims
    n, columns, count = x.shape
    channels = columns // math.prod(window)
    lines = []
    for i in range(dims):
        span = (window[i] - 1) * gaps[i] + 1
        starts = (
            np.arange((lengths[i] + pads[i] + pads[i + dims] - span) // steps[i] + 1) * steps[i] - pads[i]
        )
        lines.append(np.arange(window[i])[:, None] * gaps[i] + starts[None, :])  # (window, outs)
    flat: Any = np.zeros((), np.int64)
    inside: Any = np.ones((), np.bool_)
    for i, line in enumerate(lines):
        form = [1] * 2 * dims
        form[i], form[dims + i] = line.shape
        place = line.reshape(form)
        flat = flat * lengths[i] + place
        inside = inside & (place >= 0) & (place < lengths[i])
    places = np.where(inside, flat, math.prod(lengths)).reshape(-1)
    if places.size != columns // channels * count:
        raise ValueError(f"onnx: Col2Im: {count} windows do not fit {lengths}")
    values = _core.permute_dims(_core.reshape(x, (n, channels, -1)), (2, 0, 1))
    shape = (math.prod(lengths) + 1, n, channels)
    spread = np.broadcast_to(places[:, None, None], values.shape).copy()
    total = _core.add_along_axis(_core.zeros(shape, x.dtype), spread, values, 0)[:-1]
    return _core.reshape(_core.permute_dims(total, (1, 2, 0)), (n, channels, *lengths))
