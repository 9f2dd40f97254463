"""Pooling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import _core
from ..._core import Tensor
from ..reading import UnsupportedError
from ..table import plain, traced
from ..trace import Trace, Value
from .images import Ints, images, pairs


def _options(
    x: Value, window: Sequence[int], strides: Ints, dilations: Ints, auto_pad: str, pads: Ints, ceil_mode: int
) -> dict[str, Any]:
    """The keywords of a pooling function. With ceil, what lies behind the padding never counts."""
    dims = x.ndim - 2
    strides, dilations = strides or (1,) * dims, dilations or (1,) * dims
    if len(window) != dims:
        raise ValueError(f"onnx: a window {tuple(window)} for shape {x.shape}")
    pad = pairs(x.shape[2:], window, strides, dilations, auto_pad, pads)
    return {
        "window": tuple(window),
        "stride": tuple(strides),
        "pad": tuple(pad),
        "dilation": tuple(dilations),
        "ceil_mode": bool(ceil_mode),
    }


@traced("AveragePool")
def average_pool(
    trace: Trace,
    x: Value,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: Ints = None,
    kernel_shape: Sequence[int],
    pads: Ints = None,
    strides: Ints = None,
) -> Value:
    options = _options(x, kernel_shape, strides, dilations, auto_pad, pads, ceil_mode)
    x = images(trace, x, "AveragePool")
    y: Value = trace.run(_core.meanpool, x, **options, count_include_pad=bool(count_include_pad))
    return y.with_order(x.order)


@traced("MaxPool")
def max_pool(
    trace: Trace,
    x: Value,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Ints = None,
    kernel_shape: Sequence[int],
    pads: Ints = None,
    storage_order: int = 0,
    strides: Ints = None,
    outputs: int = 1,
) -> Any:
    options = _options(x, kernel_shape, strides, dilations, auto_pad, pads, ceil_mode)
    x = images(trace, x, "MaxPool")
    order, kind = x.order, x.dtype
    if kind.kind == "f":
        y: Value = trace.run(_core.maxpool, x, **options)
    else:
        y = trace.run(_whole_maxpool, x, **options)
    if outputs == 1:
        return y.with_order(order)
    places: Value = trace.run(_places_of_largest, x, y, options=options, columns_first=bool(storage_order))
    return y.with_order(order), places.with_order(order)


def _whole_maxpool(x: Tensor, **options: Any) -> Tensor:
    return _core.maxpool(x.astype(_core.float32), **options).astype(x.dtype)


def _windows(
    x: np.ndarray[Any, Any], y: tuple[int, ...], options: dict[str, Any], fill: Any
) -> np.ndarray[Any, Any]:
    """Each window of images `(batch, *lengths, channels)`: `(batch, *outs, channels, *window)`."""
    dims = x.ndim - 2
    pad, step, gap, window = (options[k] for k in ("pad", "stride", "dilation", "window"))
    spans = [(k - 1) * d + 1 for k, d in zip(window, gap, strict=True)]
    needed = [(m - 1) * s + span for m, s, span in zip(y[1:-1], step, spans, strict=True)]
    widths = [(0, 0)]
    widths += [
        (pad[2 * i], max(pad[2 * i + 1], needed[i] - pad[2 * i] - x.shape[1 + i])) for i in range(dims)
    ]
    padded = np.pad(x, [*widths, (0, 0)], constant_values=fill)
    view = np.lib.stride_tricks.sliding_window_view(padded, spans, axis=tuple(range(1, dims + 1)))
    places = [
        slice(None),
        *(slice(0, (m - 1) * s + 1, s) for m, s in zip(y[1:-1], step, strict=True)),
        slice(None),
    ]
    return view[(*places, *(slice(None, None, d) for d in gap))]


def _places_of_largest(x: Tensor, y: Tensor, options: dict[str, Any], columns_first: bool) -> Tensor:
    """Where in the whole tensor, in the order of the file, each largest element is."""
    n, *lengths, channels = x.shape
    dims = len(lengths)
    least = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype.name).min
    values = _windows(_core.stop_gradient(x).numpy(), y.shape, options, least)
    best = values.reshape(*values.shape[: dims + 2], -1).argmax(axis=-1)
    line = np.arange(math.prod(lengths)).reshape(lengths, order="F" if columns_first else "C")
    inner = _windows(np.broadcast_to(line[None, ..., None], (1, *lengths, 1)), y.shape, options, -1)
    inner = np.broadcast_to(
        inner.reshape(*inner.shape[: dims + 2], -1), (*values.shape[: dims + 2], math.prod(options["window"]))
    )
    found = np.take_along_axis(inner, best[..., None], axis=-1)[..., 0]
    images_at = np.arange(n).reshape(n, *[1] * (dims + 1)) * channels + np.arange(channels)
    return _core.tensor((found + images_at * math.prod(lengths)).astype(np.int64))


@traced("LpPool")
def lp_pool(
    trace: Trace,
    x: Value,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Ints = None,
    kernel_shape: Sequence[int],
    p: int = 2,
    pads: Ints = None,
    strides: Ints = None,
) -> Value:
    options = _options(x, kernel_shape, strides, dilations, auto_pad, pads, ceil_mode)
    x = images(trace, x, "LpPool")

    def run(x: Tensor) -> Tensor:
        powers = _core.square(x) if p == 2 else _core.power(_core.abs(x), float(p))
        total = _core.sumpool(powers, **options)
        return _core.sqrt(total) if p == 2 else _core.power(total, 1.0 / p)

    y: Value = trace.run(run, x)
    return y.with_order(x.order)


@plain("MaxUnpool", host=(2,))
def max_unpool(
    x: Tensor,
    indices: Tensor,
    output_shape: Any = None,
    *,
    kernel_shape: Sequence[int],
    pads: Ints = None,
    strides: Ints = None,
) -> Tensor:
    dims = x.ndim - 2
    strides, pads = strides or (1,) * dims, pads or (0,) * 2 * dims
    natural = [
        (n - 1) * s - pads[i] - pads[i + dims] + k
        for i, (n, s, k) in enumerate(zip(x.shape[2:], strides, kernel_shape, strict=True))
    ]
    shape = (*x.shape[:2], *natural)
    flat = _core.reshape(indices, (-1,))
    out = _core.put_along_axis(_core.zeros(math.prod(shape), x.dtype), flat, _core.reshape(x, (-1,)), 0)
    out = _core.reshape(out, shape)
    if output_shape is None or tuple(output_shape.tolist()) == shape:
        return out
    # The places are those of the smaller image, which lies in the upper left of the larger one.
    wanted = tuple(int(n) for n in output_shape)
    if any(m < n for n, m in zip(shape, wanted, strict=True)):
        raise UnsupportedError(f"onnx: MaxUnpool to {wanted} from {shape} is not supported")
    return _core.pad_constant(out, [v for n, m in zip(shape, wanted, strict=True) for v in (0, m - n)])
