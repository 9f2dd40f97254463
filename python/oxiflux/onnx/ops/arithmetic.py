"""Arithmetic, comparisons, logic and types of elements."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from ... import _core
from ..._core import Tensor
from ..reading import DTYPES, UnsupportedError
from ..table import elementwise, plain, spread, traced
from ..trace import Trace, Value
from .channels import changed

_BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "And": _core.logical_and, "Or": _core.logical_or, "Xor": _core.logical_xor,
    "BitwiseAnd": _core.bitwise_and, "BitwiseOr": _core.bitwise_or, "BitwiseXor": _core.bitwise_xor,
    "Equal": _core.equal, "Greater": _core.greater, "GreaterOrEqual": _core.greater_equal,
    "Less": _core.less, "LessOrEqual": _core.less_equal, "Sub": _core.subtract,
}  # fmt: skip


def binary(
    trace: Trace, function: Callable[..., Tensor], a: Value, b: Value, axis: int | None, broadcast: int
) -> Value:
    """A function of two elements. Before opset 7 the second one's axes start at `axis` of the first."""
    if broadcast and axis is not None and b.ndim:
        axis = axis % a.ndim
        b = trace.run(_core.reshape, trace.plain(b), b.shape + (1,) * (a.ndim - axis - b.ndim))
    return spread(trace, function, [a, b], {})


def _register(name: str, function: Callable[[Tensor, Tensor], Tensor]) -> None:
    @traced(name)
    def of_two(trace: Trace, a: Value, b: Value, *, axis: int | None = None, broadcast: int = 0) -> Value:
        return binary(trace, function, a, b, axis, broadcast)


for _name, _function in _BINARY.items():
    _register(_name, _function)


@traced("Add")
def add(trace: Trace, a: Value, b: Value, *, axis: int | None = None, broadcast: int = 0) -> Value:
    if not broadcast:
        for x, other in ((a, b), (b, a)):
            if (made := changed(trace, x, other, None)) is not None:
                return made
    return binary(trace, _core.add, a, b, axis, broadcast)


@traced("Mul")
def multiply(trace: Trace, a: Value, b: Value, *, axis: int | None = None, broadcast: int = 0) -> Value:
    for x, other in ((a, b), (b, a)):
        # x * sigmoid(x) is one function.
        if (
            not trace.is_eager
            and other.step is not None
            and other.step.run is _core.sigmoid
            and other.step.args == [x.ref]
            and other.order == x.order
        ):
            return spread(trace, _core.swish, [x], {})
        if not broadcast and (made := changed(trace, x, other, _core.multiply)) is not None:
            return made
    return binary(trace, _core.multiply, a, b, axis, broadcast)


@traced("Div")
def divide(trace: Trace, a: Value, b: Value, *, axis: int | None = None, broadcast: int = 0) -> Value:
    if a.dtype.kind != "f":
        return binary(trace, _truncated, a, b, axis, broadcast)
    if not broadcast and (made := changed(trace, a, b, _core.divide)) is not None:
        return made
    return binary(trace, _core.divide, a, b, axis, broadcast)


def _truncated(a: Tensor, b: Tensor) -> Tensor:
    """The quotient of integers without its fraction."""
    whole = _core.floor_divide(a, b)
    if a.dtype.kind == "u":
        return whole
    inexact = _core.not_equal(whole * b, a)
    negative = _core.not_equal(a < 0, b < 0)
    return _core.where(_core.logical_and(inexact, negative), whole + 1, whole).astype(a.dtype)


@traced("Pow")
def power(trace: Trace, a: Value, b: Value, *, axis: int | None = None, broadcast: int = 0) -> Value:
    if b.level == 0 and b.held.size == 1 and b.ndim <= a.ndim and a.dtype.kind == "f":
        exponent = (
            float(b.held.numpy().astype(np.float64).reshape(())) if b.dtype.name != "bfloat16" else None
        )
        if exponent == 2.0:
            return spread(trace, _core.square, [a], {})
        if exponent == 0.5:
            return spread(trace, _core.sqrt, [a], {})
    is_plain = a.dtype == b.dtype and a.dtype.kind == "f"
    return binary(trace, _core.pow if is_plain else _power, a, b, axis, broadcast)


def _power(a: Tensor, b: Tensor) -> Tensor:
    if a.dtype.kind != "f" and b.dtype.kind != "f":
        return _core.pow(a.astype(_core.int64), b.astype(_core.int64)).astype(a.dtype)
    if a.dtype.kind == "f":
        return _core.pow(a, b.astype(a.dtype))
    return _core.trunc(_core.pow(a.astype(_core.float64), b.astype(_core.float64))).astype(a.dtype)


@elementwise("Mod")
def mod(a: Tensor, b: Tensor, *, fmod: int = 0) -> Tensor:
    return _core.fmod(a, b) if fmod else _core.remainder(a, b)


@elementwise("BitShift")
def bit_shift(a: Tensor, b: Tensor, *, direction: str) -> Tensor:
    if direction == "LEFT":
        return _core.bitwise_left_shift(a, b)
    return _core.bitwise_right_shift(a, b)


def _folded(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Value]:
    def fold(trace: Trace, *values: Value) -> Value:
        return functools.reduce(lambda a, b: spread(trace, function, [a, b], {}), values)

    return fold


traced("Sum")(_folded(_core.add))
traced("Max")(_folded(_core.maximum))
traced("Min")(_folded(_core.minimum))


@traced("Mean")
def mean(trace: Trace, *values: Value) -> Value:
    total = _folded(_core.add)(trace, *values)
    return spread(trace, _divided, [total], {"n": float(len(values))})


def _divided(x: Tensor, n: float) -> Tensor:
    return x / n


@elementwise("Where")
def where(test: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return _core.where(test, a, b)


@traced("Cast")
def cast(trace: Trace, x: Value, *, to: int | str) -> Value:
    # Opset 1 to 5 have the name of the type.
    kind = onnx_type(to) if isinstance(to, str) else to
    if kind not in DTYPES:
        raise UnsupportedError(f"onnx: Cast to the type number {kind} is not supported")
    return _as(trace, x, DTYPES[kind])


def onnx_type(name: str) -> int:
    """The number of a type of ONNX."""
    import onnx

    return int(onnx.TensorProto.DataType.Value(name))


@traced("CastLike")
def cast_like(trace: Trace, x: Value, like: Value) -> Value:
    return _as(trace, x, like.dtype)


def _as(trace: Trace, x: Value, dtype: _core.DType) -> Value:
    return x if x.dtype == dtype else spread(trace, converted, [x], {"dtype": dtype})


def converted(x: Tensor, dtype: _core.DType) -> Tensor:
    """The elements in another type, integers wrapped round as in C."""
    if x.dtype.kind in "iu" and dtype.kind in "iu":
        return _core.tensor(x.numpy().astype(dtype.name))
    return x.astype(dtype)


@plain("BitCast")
def bit_cast(x: Tensor, *, to: int) -> Tensor:
    if to not in DTYPES:
        raise UnsupportedError(f"onnx: BitCast to the type number {to} is not supported")
    dtype = DTYPES[to]
    if dtype.itemsize != x.dtype.itemsize:
        raise ValueError(f"onnx: BitCast: {x.dtype.name} and {dtype.name} have other sizes")
    words = np.dtype(f"u{dtype.itemsize}")
    bits = _bits(_core.stop_gradient(x), words).view(numpy_type(dtype))
    return _core.tensor(bits.reshape(x.shape))


def numpy_type(dtype: _core.DType) -> np.dtype[Any]:
    """The type of NumPy, or of ml_dtypes, for a dtype."""
    return dtype.dtype


def _bits(x: Tensor, words: np.dtype[Any]) -> np.ndarray[Any, Any]:
    return np.ascontiguousarray(x.numpy()).view(words)
