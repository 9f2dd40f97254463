"""Convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ... import _core
from ..._core import ShapeError, Tensor
from ..reading import UnsupportedError
from ..table import plain, traced
from ..trace import INPUT, Trace, Value

Ints = Sequence[int] | None


def channels_last(ndim: int) -> tuple[int, ...]:
    """The order of axes of `(batch, channels, *lengths)` whose channels are last in memory.

    >>> channels_last(4)
    (0, 3, 1, 2)
    """
    return (0, ndim - 1, *range(1, ndim - 1))


def images(trace: Trace, x: Value, what: str) -> Value:
    """Images with their channels last in memory, of one to three lengths."""
    if not 3 <= x.ndim <= 5:
        raise UnsupportedError(f"onnx: {what} of {x.ndim} axes is not supported: 3 to 5 are")
    return trace.in_order(x, channels_last(x.ndim))


def pairs(
    lengths: Sequence[int],
    window: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    auto_pad: str,
    pads: Ints,
) -> list[int]:
    """`(before, after)` of each length, one pair after the other, of the pads as ONNX lists them."""
    dims = len(lengths)
    if auto_pad in ("NOTSET", ""):
        pads = pads or [0] * 2 * dims
        if len(pads) != 2 * dims:
            raise ValueError(f"onnx: {2 * dims} pads are needed for {dims} lengths, got {list(pads)}")
        if min(pads, default=0) < 0:
            raise ValueError(f"onnx: pads are not negative here, got {list(pads)}")
        return [pads[i + dims * side] for i in range(dims) for side in (0, 1)]
    found: list[int] = []
    for n, k, s, d in zip(lengths, window, strides, dilations, strict=True):
        whole = 0 if auto_pad == "VALID" else max(0, (-(-n // s) - 1) * s + (k - 1) * d + 1 - n)
        half = whole // 2
        found += [half, whole - half] if auto_pad == "SAME_UPPER" else [whole - half, half]
    return found


def rows(x: Tensor, order: tuple[int, ...]) -> Tensor:
    """The axes in another order, and so in memory."""
    return _core.permute_dims(x, order).copy()


def _kernel(trace: Trace, w: Value) -> Value:
    """A weight as convolutions here want it: its lengths, then what goes in, then what comes out."""
    order = (*range(2, w.ndim), 1, 0)
    w = trace.plain(w)
    made: Value = trace.run(rows if w.level < INPUT else _core.permute_dims, w, order)
    return made


@traced("Conv")
def conv(
    trace: Trace,
    x: Value,
    w: Value,
    b: Value | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Ints = None,
    group: int = 1,
    kernel_shape: Ints = None,
    pads: Ints = None,
    strides: Ints = None,
) -> Value:
    dims = x.ndim - 2
    _check_weight("Conv", x, w, kernel_shape)
    strides, dilations = strides or (1,) * dims, dilations or (1,) * dims
    pad = pairs(x.shape[2:], w.shape[2:], strides, dilations, auto_pad, pads)
    x = images(trace, x, "Conv")
    options = {"stride": tuple(strides), "pad": tuple(pad), "dilation": tuple(dilations), "groups": group}
    y: Value = trace.run(_core.conv, x, _kernel(trace, w), b, None, **options)
    return y.with_order(x.order)


def _check_weight(what: str, x: Value, w: Value, kernel_shape: Ints) -> None:
    if w.ndim != x.ndim or (kernel_shape and tuple(kernel_shape) != w.shape[2:]):
        raise ShapeError(
            f"onnx: {what}: a weight of shape {w.shape} and windows {kernel_shape} for {x.shape}"
        )


@traced("ConvTranspose")
def conv_transpose(
    trace: Trace,
    x: Value,
    w: Value,
    b: Value | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Ints = None,
    group: int = 1,
    kernel_shape: Ints = None,
    output_padding: Ints = None,
    output_shape: Ints = None,
    pads: Ints = None,
    strides: Ints = None,
) -> Value:
    dims = x.ndim - 2
    _check_weight("ConvTranspose", x, w, kernel_shape)
    strides, dilations = strides or (1,) * dims, dilations or (1,) * dims
    more = list(output_padding or (0,) * dims)
    pads = list(pads or (0,) * 2 * dims)
    lengths = x.shape[2:]
    spans = [(k - 1) * d + 1 for k, d in zip(w.shape[2:], dilations, strict=True)]
    if output_shape is None and auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        output_shape = [n * s for n, s in zip(lengths, strides, strict=True)]
    if output_shape is not None:
        output_shape = output_shape[-dims:]
        for i, (n, s, span) in enumerate(zip(lengths, strides, spans, strict=True)):
            whole = s * (n - 1) + more[i] + span - output_shape[i]
            # Too little is made up for behind the end.
            more[i] += max(0, -whole)
            whole = max(0, whole)
            before = whole // 2 if auto_pad == "SAME_UPPER" else whole - whole // 2
            pads[i], pads[i + dims] = before, whole - before
    x = images(trace, x, "ConvTranspose")
    pad = [pads[i + dims * side] for i in range(dims) for side in (0, 1)]
    crop = [0] * 2 * dims
    # More than the window covers is zeros behind the end.
    options: dict[str, Any] = {"stride": tuple(strides), "pad": tuple(pad), "dilation": tuple(dilations)}
    room = [max(s, d) - 1 for s, d in zip(strides, dilations, strict=True)]
    outside = [max(0, m - r) for m, r in zip(more, room, strict=True)]
    inside = tuple(m - o for m, o in zip(more, outside, strict=True))
    y: Value = trace.run(
        _core.conv_transpose, x, _kernel_of_transpose(trace, w), None if any(outside) else b, None,
        **options, groups=group, outpad=inside,
    )  # fmt: skip
    if any(outside):
        for i, n in enumerate(outside):
            crop[2 * i + 1] = n
        y = trace.run(_core.pad_constant, y, [0, 0, *crop, 0, 0])
        if b is not None:
            y = trace.run(_core.add, y, trace.plain(b))
    return y.with_order(x.order)


def _kernel_of_transpose(trace: Trace, w: Value) -> Value:
    order = (*range(2, w.ndim), 1, 0)
    w = trace.plain(w)
    made: Value = trace.run(rows if w.level < INPUT else _core.permute_dims, w, order)
    return made


@plain("DeformConv")
def deform_conv(
    x: Tensor,
    w: Tensor,
    offset: Tensor,
    b: Tensor | None = None,
    mask: Tensor | None = None,
    *,
    dilations: Ints = None,
    group: int = 1,
    kernel_shape: Ints = None,
    offset_group: int = 1,
    pads: Ints = None,
    strides: Ints = None,
) -> Tensor:
    """A convolution whose windows take pixels between the pixels: sampled there, then a product."""
    from .sampling import bilinear

    if x.ndim != 4:
        raise UnsupportedError(f"onnx: DeformConv of {x.ndim} axes is not supported: 4 are")
    n, channels = x.shape[:2]
    kh, kw = w.shape[2:]
    sh, sw = strides or (1, 1)
    dh, dw = dilations or (1, 1)
    top, left = (pads or (0, 0, 0, 0))[:2]
    oh, ow = offset.shape[2:]
    shifts = _core.reshape(offset, (n, offset_group, kh * kw, 2, oh, ow))
    import numpy as np

    down = np.arange(oh) * sh - top
    across = np.arange(ow) * sw - left
    rows_at = down[None, :, None] + (np.arange(kh) * dh).repeat(kw)[:, None, None]
    columns_at = across[None, None, :] + np.tile(np.arange(kw) * dw, kh)[:, None, None]
    ys = shifts[:, :, :, 0] + rows_at.astype(np.float32)
    xs = shifts[:, :, :, 1] + columns_at.astype(np.float32)
    each = channels // offset_group
    taken = []
    for g in range(offset_group):
        part = x[:, g * each : (g + 1) * each]
        found = bilinear(part, ys[:, g], xs[:, g])  # (n, each, taps, oh, ow)
        if mask is not None:
            weights = _core.reshape(mask, (n, offset_group, 1, kh * kw, oh, ow))[:, g]
            found = found * weights
        taken.append(found)
    columns = _core.concat(taken, 1)
    m = w.shape[0]
    columns = _core.reshape(columns, (n, group, channels // group * kh * kw, oh * ow))
    weight = _core.reshape(w, (1, group, m // group, -1))
    y = _core.reshape(_core.matmul(weight, columns), (n, m, oh, ow))
    return y if b is None else y + _core.reshape(b, (1, m, 1, 1))
