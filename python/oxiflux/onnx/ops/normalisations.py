"""Normalisations, and softmax with its relatives."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ... import _core
from ..._core import Tensor
from ..reading import UnsupportedError
from ..table import plain, traced
from ..trace import INPUT, Trace, Value
from .images import channels_last
from .shapes import reshaped


def _scaled(w: Tensor, scale: Tensor, var: Tensor, eps: float) -> Tensor:
    return w * (scale / _core.sqrt(var + eps))


def _shifted(b: Tensor | None, scale: Tensor, bias: Tensor, mean: Tensor, var: Tensor, eps: float) -> Tensor:
    factor = scale / _core.sqrt(var + eps)
    return bias - mean * factor if b is None else bias + (b - mean) * factor


@traced("BatchNormalization")
def batch_norm(
    trace: Trace,
    x: Value,
    scale: Value,
    bias: Value,
    mean: Value,
    var: Value,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training_mode: int = 0,
    spatial: int = 1,
    is_test: int = 1,
    outputs: int = 1,
) -> Any:
    if not spatial and x.ndim > 2:
        raise UnsupportedError("onnx: BatchNormalization with spatial=0 is not supported")
    if training_mode:
        return _in_training(trace, x, scale, bias, mean, var, epsilon, momentum)
    order = channels_last(x.ndim) if x.ndim > 2 else None
    step = x.step
    moments = (scale, bias, mean, var)
    if (
        step is not None
        and step.run is _core.conv
        and step.args[3] is None
        and not x.is_shared
        and not trace.is_eager
        and x.order == order
        and all(v.level < INPUT and v.dtype == x.dtype for v in moments)
        and (weight := trace.argument(step.args[1])) is not None
        and weight.level < INPUT
    ):
        # A normalisation by known moments is part of the weights of the convolution before it.
        old_bias = trace.argument(step.args[2])
        if step.args[2] is None or old_bias is not None:
            new_weight = trace.run(_scaled, weight, scale, var, eps=epsilon)
            new_bias = trace.run(_shifted, old_bias, scale, bias, mean, var, eps=epsilon)
            step.args[1] = new_weight.held if new_weight.ref is None else new_weight.ref
            step.args[2] = new_bias.held if new_bias.ref is None else new_bias.ref
            held = _core.norm_with(x.held, mean.held, var.held, scale.held, bias.held, epsilon)
            made = Value(held, x.ref, x.level, x.order)
            made.step = step
            return made
    x = trace.in_order(x, order)
    if not all(v.dtype == x.dtype for v in moments):
        return _mixed(trace, x, scale, bias, mean, var, epsilon)
    if all(v.level < INPUT for v in moments):
        y: Value = trace.run(_core.norm_with, x, mean, var, scale, bias, epsilon)
    else:
        y = trace.run(_normalised, x, scale, bias, mean, var, eps=epsilon)
    return y.with_order(x.order)


def _normalised(x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, var: Tensor, eps: float) -> Tensor:
    factor = scale / _core.sqrt(var + eps)
    return x * factor + (bias - mean * factor)


def _mixed(trace: Trace, x: Value, scale: Value, bias: Value, mean: Value, var: Value, eps: float) -> Value:
    def run(x: Tensor, *rest: Tensor) -> Tensor:
        scale, bias, mean, var = (r.astype(_core.float32) for r in rest)
        y = _normalised(x.astype(_core.float32), scale, bias, mean, var, eps)
        return y.astype(x.dtype)

    y: Value = trace.run(run, x, scale, bias, mean, var)
    return y.with_order(x.order)


def _in_training(
    trace: Trace, x: Value, scale: Value, bias: Value, mean: Value, var: Value, eps: float, momentum: float
) -> Any:
    order = channels_last(x.ndim) if x.ndim > 2 else None
    x = trace.in_order(x, order)

    def run(x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, var: Tensor) -> tuple[Tensor, ...]:
        axes = tuple(range(x.ndim - 1))
        now, spread = _core.mean(x, axes), _core.var(x, axes)
        y = _normalised(x, scale, bias, now, spread, eps)
        return y, mean * momentum + now * (1 - momentum), var * momentum + spread * (1 - momentum)

    y, new_mean, new_var = trace.run(run, x, scale, bias, mean, var)
    return y.with_order(order), new_mean, new_var


@traced("InstanceNormalization")
def instance_norm(trace: Trace, x: Value, scale: Value, bias: Value, *, epsilon: float = 1e-5) -> Value:
    x = trace.in_order(x, channels_last(x.ndim))

    def run(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
        axes = tuple(range(1, x.ndim - 1))
        centred = x - _core.mean(x, axes, True)
        return centred * _core.rsqrt(_core.mean(_core.square(centred), axes, True) + epsilon) * scale + bias

    y: Value = trace.run(run, x, scale, bias)
    return y.with_order(x.order)


@plain("GroupNormalization", since=18)
def group_norm(
    x: Tensor, scale: Tensor, bias: Tensor, *, epsilon: float = 1e-5, num_groups: int, stash_type: int = 1
) -> Tensor:
    n, c = x.shape[:2]
    y = _standard(_core.reshape(x, (n, num_groups, -1)), (2,), epsilon)
    tail = (1,) * (x.ndim - 2)
    if scale.shape[0] == num_groups != c:  # opset 18 to 20: one for each group
        repeats = c // num_groups
        scale, bias = (_core.repeat(v, repeats) for v in (scale, bias))
    y = _core.reshape(y, x.shape).astype(x.dtype)
    return y * _core.reshape(scale, (1, c, *tail)) + _core.reshape(bias, (1, c, *tail))


def _standard(x: Tensor, axes: tuple[int, ...], eps: float) -> Tensor:
    wide = x.astype(_core.float32) if x.dtype.itemsize == 2 else x
    centred = wide - _core.mean(wide, axes, True)
    return centred * _core.rsqrt(_core.mean(_core.square(centred), axes, True) + eps)


@plain("LayerNormalization")
def layer_norm(
    x: Tensor,
    scale: Tensor,
    bias: Tensor | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = 1,
    outputs: int = 1,
) -> Any:
    lead = axis % x.ndim
    if outputs == 1 and x.dtype.itemsize > 2 and scale.dtype == x.dtype:
        shape = x.shape[lead:]
        if scale.shape == shape and (bias is None or bias.shape == shape):
            bias = _core.zeros_like(scale) if bias is None else bias
            return _layer(x, scale, bias, lead, epsilon)  # fmt: skip
    axes = tuple(range(lead, x.ndim))
    wide = x.astype(_core.float32) if x.dtype.itemsize == 2 else x
    mean = _core.mean(wide, axes, True)
    centred = wide - mean
    inverse = _core.rsqrt(_core.mean(_core.square(centred), axes, True) + epsilon)
    y = (centred * inverse).astype(x.dtype) * scale
    y = y if bias is None else y + bias
    stash = _core.float32 if stash_type == 1 else x.dtype
    return (y, mean.astype(stash), inverse.astype(stash))[:outputs] if outputs > 1 else y


def _layer(x: Tensor, scale: Tensor, bias: Tensor, lead: int, eps: float) -> Tensor:
    shape = x.shape
    width = math.prod(shape[lead:])
    flat = _core.reshape(x, (-1, width)) if x.size else x
    if not x.size:
        return x
    y = _core.norm(flat, _core.reshape(scale, (width,)), _core.reshape(bias, (width,)), 1, 1, 1, eps)[0]
    return _core.reshape(y, shape)


@plain("RMSNormalization")
def rms_norm(
    x: Tensor, scale: Tensor, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> Tensor:
    axes = tuple(range(axis % x.ndim, x.ndim))
    wide = x.astype(_core.float32) if x.dtype.itemsize == 2 else x
    y = wide * _core.rsqrt(_core.mean(_core.square(wide), axes, True) + epsilon)
    return y.astype(x.dtype) * scale


@traced("LRN")
def lrn(
    trace: Trace, x: Value, *, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0, size: int
) -> Value:
    x = trace.in_order(x, channels_last(x.ndim))
    before, after = (size - 1) // 2, size - 1 - (size - 1) // 2

    def run(x: Tensor) -> Tensor:
        c = x.shape[-1]
        starts = np.maximum(np.arange(c) - before, 0)
        ends = np.minimum(np.arange(c) + after + 1, c)
        columns = np.concatenate([np.arange(a, b) for a, b in zip(starts, ends, strict=True)])
        bounds = np.append(0, np.cumsum(ends - starts))
        total = _core.resample(_core.square(x), bounds, columns, np.ones(len(columns)), axis=x.ndim - 1)
        scale = total * (alpha / size) + bias
        if beta == 0.75:
            root = _core.sqrt(scale)
            return x / (root * _core.sqrt(root))
        return x * _core.power(scale, -beta)

    y: Value = trace.run(run, x)
    return y.with_order(x.order)


@plain("LpNormalization")
def lp_norm(x: Tensor, *, axis: int = -1, p: int = 2) -> Tensor:
    size = _core.sum(_core.abs(x), axis, True) if p == 1 else _core.sqrt(_core.sum(x * x, axis, True))
    return _core.where(
        size == 0, _core.zeros((), x.dtype), x / _core.where(size == 0, _core.ones((), x.dtype), size)
    )


@plain("MeanVarianceNormalization")
def mean_variance(x: Tensor, *, axes: tuple[int, ...] = (0, 2, 3)) -> Tensor:
    centred = x - _core.mean(x, axes, True)
    return centred / (_core.sqrt(_core.mean(_core.square(centred), axes, True)) + 1e-9)


# Softmax


def _hardmax(x: Tensor, axis: int) -> Tensor:
    place = _core.argmax(_core.stop_gradient(x), axis, True)
    return _core.put_along_axis(_core.zeros_like(x), place, _core.ones(place.shape, x.dtype), axis)


_SOFT = {"Softmax": _core.softmax, "LogSoftmax": _core.logsoftmax, "Hardmax": _hardmax}


def _register(name: str, function: Any) -> None:
    @traced(name)
    def of_rows(trace: Trace, x: Value, *, axis: int = 1) -> Value:
        """Before opset 13 all axes from `axis` on are one row."""
        shape = x.shape
        axis = axis % x.ndim
        if all(n == 1 for n in shape[axis + 1 :]):
            return _along(trace, function, x, axis)
        rows = reshaped(trace, x, (math.prod(shape[:axis]), math.prod(shape[axis:])))
        return reshaped(trace, _along(trace, function, rows, 1), shape)

    @traced(name, since=13)
    def of_axis(trace: Trace, x: Value, *, axis: int = -1) -> Value:
        return _along(trace, function, x, axis % x.ndim if x.ndim else 0)


def _along(trace: Trace, function: Any, x: Value, axis: int) -> Value:
    y: Value = trace.run(function, x, axis if x.order is None else x.order[axis])
    return y.with_order(x.order)


for _name, _function in _SOFT.items():
    _register(_name, _function)
