"""Sums, extremes and means over axes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ... import _core
from ..._core import Tensor
from ..table import plain, traced
from ..trace import Trace, Value

Reduction = Callable[..., Tensor]


def _kept(function: Reduction) -> Reduction:
    """The reduction in the dtype of its input: sums of small integers are wider here."""

    def run(x: Tensor, axis: Any, keepdims: bool) -> Tensor:
        y = function(x, axis, keepdims)
        return y if y.dtype == x.dtype else y.astype(x.dtype)

    return run


def _mean(x: Tensor, axis: Any, keepdims: bool) -> Tensor:
    if x.dtype.kind == "f":
        return _core.mean(x, axis, keepdims)
    n = math.prod(x.shape[a] for a in (range(x.ndim) if axis is None else axis))
    return _core.tensor((_core.sum(x, axis, keepdims).numpy() // max(n, 1)).astype(x.dtype.name))


def _extreme(function: Reduction, least: bool) -> Reduction:
    """A maximum or a minimum; of nothing, the end of the type that leaves every other number in its place."""

    def run(x: Tensor, axis: Any, keepdims: bool) -> Tensor:
        if x.size:
            if x.dtype.kind == "b":
                return function(x.astype(_core.uint8), axis, keepdims).astype(_core.bool_)
            return function(x, axis, keepdims)
        shape = np.empty(x.shape, np.bool_).any(axis=axis, keepdims=keepdims).shape
        if x.dtype.kind == "f":
            end = -math.inf if least else math.inf
        elif x.dtype.kind == "b":
            end = not least
        else:
            info = np.iinfo(x.dtype.name)
            end = info.min if least else info.max
        return _core.full(shape, end, x.dtype)

    return run


def _l1(x: Tensor, axis: Any, keepdims: bool) -> Tensor:
    return _core.sum(_core.abs(x), axis, keepdims)


def _l2(x: Tensor, axis: Any, keepdims: bool) -> Tensor:
    if x.dtype.kind != "f":
        return _core.trunc(_core.sqrt(_core.sum(_core.square(x.astype(_core.float64)), axis, keepdims)))
    return _core.sqrt(_core.sum(_core.square(x), axis, keepdims))


def _square_sum(x: Tensor, axis: Any, keepdims: bool) -> Tensor:
    return _core.sum(x * x, axis, keepdims)


def _floating(function: Reduction) -> Reduction:
    def run(x: Tensor, axis: Any, keepdims: bool) -> Tensor:
        return function(x if x.dtype.kind == "f" else x.astype(_core.float64), axis, keepdims)

    return run


def _log_sum(x: Tensor, axis: Any, keepdims: bool) -> Tensor:
    return _core.log(_core.sum(x, axis, keepdims))


_REDUCTIONS: dict[str, Reduction] = {
    "ReduceSum": _core.sum, "ReduceProd": _core.prod, "ReduceMean": _mean, "ReduceL1": _l1, "ReduceL2": _l2,
    "ReduceSumSquare": _square_sum, "ReduceMax": _extreme(_core.max, True),
    "ReduceMin": _extreme(_core.min, False), "ReduceLogSum": _floating(_log_sum),
    "ReduceLogSumExp": _floating(_core.logsumexp),
}  # fmt: skip


def reduced(trace: Trace, function: Reduction, x: Value, axes: Any, keepdims: bool) -> Value:
    """A reduction over some axes, in the order of memory that the value has."""
    axes = range(x.ndim) if axes is None else [_axis(a, x.ndim) for a in axes]
    held = tuple(sorted(a if x.order is None else x.order[a] for a in axes))
    y: Value = trace.run(function, x, held, keepdims)
    if x.order is None or keepdims:
        return y.with_order(x.order)
    left = [x.order[a] for a in range(x.ndim) if a not in set(axes)]
    rank = sorted(left)
    return y.with_order(tuple(rank.index(a) for a in left))


def _axis(axis: int, ndim: int) -> int:
    axis = int(axis)
    if not -ndim <= axis < max(ndim, 1):
        raise ValueError(f"onnx: axis {axis} of {ndim} axes")
    return axis % ndim if ndim else 0


def _register(name: str, function: Reduction) -> None:
    run = _kept(function)

    @traced(name)
    def reduce(
        trace: Trace,
        x: Value,
        given: Value | None = None,
        *,
        axes: tuple[int, ...] | None = None,
        keepdims: int = 1,
        noop_with_empty_axes: int = 0,
    ) -> Value:
        if given is not None:
            axes = tuple(trace.host(given).tolist())
        if not axes:
            # To reduce over no axis still squares, or takes the logarithm.
            axes = () if noop_with_empty_axes else None
        return reduced(trace, run, x, axes, bool(keepdims))


for _name, _function in _REDUCTIONS.items():
    _register(_name, _function)


@traced("GlobalAveragePool")
def global_average_pool(trace: Trace, x: Value) -> Value:
    return reduced(trace, _core.mean, x, range(2, x.ndim), True)


@traced("GlobalMaxPool")
def global_max_pool(trace: Trace, x: Value) -> Value:
    return reduced(trace, _core.max, x, range(2, x.ndim), True)


@traced("GlobalLpPool")
def global_lp_pool(trace: Trace, x: Value, *, p: int = 2) -> Value:
    def run(x: Tensor, axis: Any, keepdims: bool) -> Tensor:
        return _core.pow(_core.sum(_core.pow(_core.abs(x), float(p)), axis, keepdims), 1.0 / p)

    return reduced(trace, run, x, range(2, x.ndim), True)


def _arg(
    function: Callable[..., Tensor], x: Tensor, axis: int, keepdims: int, select_last_index: int
) -> Tensor:
    x = _core.stop_gradient(x)
    if not select_last_index:
        return function(x, axis, bool(keepdims))
    return x.shape[axis] - 1 - function(_core.flip(x, axis), axis, bool(keepdims))


@plain("ArgMax")
def arg_max(x: Tensor, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Tensor:
    return _arg(_core.argmax, x, axis, keepdims, select_last_index)


@plain("ArgMin")
def arg_min(x: Tensor, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Tensor:
    return _arg(_core.argmin, x, axis, keepdims, select_last_index)


def _running(
    function: Callable[..., Tensor], neutral: float, x: Tensor, axis: Any, exclusive: int, reverse: int
) -> Tensor:
    axis = _axis(int(np.asarray(axis).reshape(())), x.ndim)
    y = _core.flip(x, axis) if reverse else x
    y = function(y, axis)
    if exclusive:
        first = _core.full([1 if a == axis else n for a, n in enumerate(x.shape)], neutral, y.dtype)
        place = tuple(slice(0, -1) if a == axis else slice(None) for a in range(x.ndim))
        y = _core.concat([first, y[place]], axis) if x.shape[axis] else y
    y = _core.flip(y, axis) if reverse else y
    return y.astype(x.dtype)


@plain("CumSum", host=(1,))
def cum_sum(x: Tensor, axis: Any, *, exclusive: int = 0, reverse: int = 0) -> Tensor:
    return _running(_core.cumulative_sum, 0, x, axis, exclusive, reverse)


@plain("CumProd", host=(1,))
def cum_prod(x: Tensor, axis: Any, *, exclusive: int = 0, reverse: int = 0) -> Tensor:
    return _running(_core.cumulative_prod, 1, x, axis, exclusive, reverse)
