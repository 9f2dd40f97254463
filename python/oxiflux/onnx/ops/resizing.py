"""Images of another size: each axis is a sparse matrix, made once for the sizes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ... import _core
from ..._core import Tensor
from ..reading import UnsupportedError
from ..table import traced
from ..trace import Trace, Value

Array = np.ndarray[Any, Any]


def _original(mode: str, n: int, m: int, scale: float, roi: tuple[float, float]) -> Array:
    """Where in the old axis of `n` each of `m` new elements lies."""
    x = np.arange(m, dtype=np.float64)
    match mode:
        case "half_pixel":
            return (x + 0.5) / scale - 0.5
        case "half_pixel_symmetric":
            # The part that is cut off at the end is shared with the beginning.
            adjust = m / (scale * n)
            return n / 2 * (1 - adjust) + (x + 0.5) / scale - 0.5
        case "pytorch_half_pixel":
            return (x + 0.5) / scale - 0.5 if m > 1 else np.zeros(m)
        case "align_corners":
            # The length that counts is the one that the scale asks for, a fraction included.
            return x * (n - 1) / (n * scale - 1) if n * scale != 1 else np.zeros(m)
        case "asymmetric":
            return x / scale
        case "tf_half_pixel_for_nn":
            return (x + 0.5) / scale
        case "tf_crop_and_resize":
            low, high = roi
            if m > 1:
                return low * (n - 1) + x * (high - low) * (n - 1) / (m - 1)
            return np.full(m, 0.5 * (low + high) * (n - 1))
    raise UnsupportedError(f"onnx: Resize with coordinate_transformation_mode={mode!r} is not supported")


def _nearest(mode: str, at: Array) -> Array:
    match mode:
        case "round_prefer_floor":
            return np.ceil(at - 0.5)
        case "round_prefer_ceil":
            return np.floor(at + 0.5)
        case "floor":
            return np.floor(at)
        case "ceil":
            return np.ceil(at)
    raise UnsupportedError(f"onnx: Resize with nearest_mode={mode!r} is not supported")


def _triangle(t: Array) -> Array:
    return np.maximum(0.0, 1.0 - np.abs(t))


def _cubic(a: float) -> Callable[[Array], Array]:
    def weight(t: Array) -> Array:
        t = np.abs(t)
        near = ((a + 2) * t - (a + 3)) * t * t + 1
        far = a * (((t - 5) * t + 8) * t - 4)
        return np.where(t <= 1, near, np.where(t < 2, far, 0.0))

    return weight


def _matrix(
    n: int,
    at: Array,
    weight: Callable[[Array], Array],
    reach: int,
    scale: float,
    antialias: bool,
    outside: bool,
) -> tuple[Array, Array, Array]:
    """The taps of each new element: bounds of each row, columns and weights, which sum to 1."""
    stretch = max(1.0, 1.0 / scale) if antialias else 1.0
    span = math.ceil(reach * stretch)
    first = np.floor(at).astype(np.int64) - span + 1
    taps = first[:, None] + np.arange(2 * span)
    weights = weight((at[:, None] - taps) / stretch)
    inside = (taps >= 0) & (taps < n)
    if outside:
        weights = np.where(inside, weights, 0.0)
    total = weights.sum(axis=1, keepdims=True)
    weights = np.divide(weights, total, out=weights, where=total != 0)
    taps = np.clip(taps, 0, n - 1)
    return np.arange(len(at) + 1) * taps.shape[1], taps.reshape(-1), weights.reshape(-1)


def _sizes(
    shape: Sequence[int],
    axes: Sequence[int],
    scales: Sequence[float] | None,
    sizes: Sequence[int] | None,
    policy: str,
) -> tuple[list[int], list[float]]:
    """The new lengths of the axes and the scales that lead there."""
    olds = [shape[a] for a in axes]
    if scales is not None:
        return [
            math.floor(np.float64(n) * s + 1e-9 * (s != 1)) for n, s in zip(olds, scales, strict=True)
        ], list(scales)
    assert sizes is not None
    if policy == "stretch":
        return list(sizes), [m / n if n else 1.0 for m, n in zip(sizes, olds, strict=True)]
    ratios = [m / n for m, n in zip(sizes, olds, strict=True)]
    scale = min(ratios) if policy == "not_larger" else max(ratios)
    return [math.floor(scale * n + 0.5) for n in olds], [scale] * len(olds)


def resized(
    trace: Trace,
    x: Value,
    *,
    axes: Sequence[int],
    scales: Sequence[float] | None,
    sizes: Sequence[int] | None,
    roi: Sequence[float] | None,
    mode: str,
    transform: str,
    nearest_mode: str,
    cubic: float = -0.75,
    exclude: bool = False,
    antialias: bool = False,
    policy: str = "stretch",
    outside_value: float = 0.0,
) -> Value:
    """A `Resize`, one axis after the other, in whatever order of memory."""
    new, factors = _sizes(x.shape, axes, scales, sizes, policy)
    if any(m < 0 for m in new) or math.prod(new) > 2**31:
        raise ValueError(f"onnx: Resize of {x.shape} to {new}")
    kind, order = x.dtype, x.order
    missing: list[tuple[int, Array]] = []
    n_axes = len(axes)
    work = x
    for i, (axis, m, scale) in enumerate(zip(axes, new, factors, strict=True)):
        n = x.shape[axis]
        place = axis if order is None else order[axis]
        window = (roi[i], roi[i + n_axes]) if roi is not None and len(roi) == 2 * n_axes else (0.0, 1.0)
        if n == m and scale == 1.0 and transform != "tf_crop_and_resize":
            continue
        at = _original(transform, n, m, scale, window)
        if transform == "tf_crop_and_resize":
            missing.append((place, (at < 0) | (at > n - 1)))
        if mode == "nearest":
            columns = np.clip(_nearest(nearest_mode, at), 0, n - 1).astype(np.int64)
            work = trace.run(*_repeated(work, columns, n, m, place))
            continue
        weight, reach = (_triangle, 1) if mode == "linear" else (_cubic(cubic), 2)
        if mode not in ("linear", "cubic"):
            raise UnsupportedError(f"onnx: Resize with mode={mode!r} is not supported")
        bounds, columns, weights = _matrix(n, at, weight, reach, scale, antialias, exclude)
        if kind.kind != "f" or kind.itemsize == 2:
            work = trace.run(_widened, work, dtype=_core.float32) if work is x else work
        work = trace.run(_core.resample, work, bounds, columns, weights, place)
    if any(gone.any() for _, gone in missing):
        work = trace.run(_outside, work, missing=missing, value=outside_value)
    if work.dtype != kind:
        work = trace.run(_narrowed, work, dtype=kind)
    return work.with_order(order)


def _repeated(x: Value, columns: Array, n: int, m: int, place: int) -> tuple[Any, ...]:
    """The call that takes the columns: a repetition where each occurs equally often."""
    if n and m % n == 0 and np.array_equal(columns, np.arange(n).repeat(m // n)):
        return _core.repeat, x, m // n, place
    return _core.take, x, columns, place


def _outside(x: Tensor, missing: list[tuple[int, Array]], value: float) -> Tensor:
    """The value in place of what lies outside of the image."""
    total = np.zeros((1,) * x.ndim, np.bool_)
    for place, gone in missing:
        total = total | gone.reshape([-1 if a == place else 1 for a in range(x.ndim)])
    return _core.where(total, _core.full((), value, x.dtype), x)


def _widened(x: Tensor, dtype: Any) -> Tensor:
    return x.astype(dtype)


def _narrowed(x: Tensor, dtype: Any) -> Tensor:
    if dtype.kind == "f":
        return x.astype(dtype)
    info = np.iinfo(dtype.name)
    return _core.round(_core.minimum(_core.maximum(x, float(info.min)), float(info.max))).astype(dtype)


@traced("Upsample")
def upsample(
    trace: Trace,
    x: Value,
    given: Value | None = None,
    *,
    scales: Sequence[float] | None = None,
    mode: str = "nearest",
) -> Value:
    factors = scales if given is None else trace.host(given).astype(np.float64).tolist()
    return resized(
        trace,
        x,
        axes=range(x.ndim),
        scales=factors,
        sizes=None,
        roi=None,
        mode=mode.replace("bilinear", "linear"),
        transform="asymmetric",
        nearest_mode="floor",
    )


@traced("Resize", since=10)
def resize_10(trace: Trace, x: Value, scales: Value, *, mode: str = "nearest") -> Value:
    return upsample(trace, x, scales, mode=mode)


@traced("Resize", since=11)
def resize(
    trace: Trace,
    x: Value,
    roi: Value | None = None,
    scales: Value | None = None,
    sizes: Value | None = None,
    *,
    antialias: int = 0,
    axes: Sequence[int] | None = None,
    coordinate_transformation_mode: str = "half_pixel",
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
    keep_aspect_ratio_policy: str = "stretch",
    mode: str = "nearest",
    nearest_mode: str = "round_prefer_floor",
) -> Value:
    places = [a % x.ndim for a in axes] if axes is not None else list(range(x.ndim))
    factors = None if scales is None else trace.host(scales)
    lengths = None if sizes is None else trace.host(sizes)
    if lengths is not None and lengths.size:
        factors = None
    elif factors is None or not factors.size:
        raise ValueError("onnx: Resize needs scales or sizes")
    return resized(
        trace,
        x,
        axes=places,
        scales=None if factors is None else [float(s) for s in factors],
        sizes=None if factors is not None or lengths is None else [int(n) for n in lengths],
        roi=None
        if roi is None or coordinate_transformation_mode != "tf_crop_and_resize"
        else trace.host(roi).astype(np.float64).tolist(),
        mode=mode,
        transform=coordinate_transformation_mode,
        nearest_mode=nearest_mode,
        cubic=cubic_coeff_a,
        exclude=bool(exclude_outside),
        antialias=bool(antialias),
        policy=keep_aspect_ratio_policy,
        outside_value=extrapolation_value,
    )
