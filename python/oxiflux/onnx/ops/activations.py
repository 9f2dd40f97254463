"""Functions of one element."""

from __future__ import annotations

import math
from collections.abc import Callable

from ... import _core
from ..._core import Tensor
from ..fuse import FUSED
from ..table import elementwise, spread, traced
from ..trace import INPUT, Trace, Value

_UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "Abs": _core.abs, "Acos": _core.acos, "Acosh": _core.acosh, "Asin": _core.asin, "Asinh": _core.asinh,
    "Atan": _core.atan, "Atanh": _core.atanh, "BitwiseNot": _core.bitwise_invert, "Ceil": _core.ceil,
    "Cos": _core.cos, "Cosh": _core.cosh, "Erf": _core.erf, "Exp": _core.exp, "Floor": _core.floor,
    "HardSwish": _core.hardswish, "IsNaN": _core.isnan, "Log": _core.log, "Mish": _core.mish,
    "Neg": _core.negative, "Not": _core.logical_not, "Reciprocal": _core.reciprocal, "Round": _core.round,
    "Sigmoid": _core.sigmoid, "Sign": _core.sign, "Sin": _core.sin, "Sinh": _core.sinh,
    "Softplus": _core.softplus, "Softsign": _core.softsign, "Sqrt": _core.sqrt, "Tan": _core.tan,
    "Tanh": _core.tanh,
}  # fmt: skip


def activate(trace: Trace, function: Callable[[Tensor], Tensor], x: Value) -> Value:
    """A function of each element, within the step that makes `x` where that can do it and nobody else wants `x`."""
    step = x.step
    if (
        step is not None
        and not x.is_shared
        and not trace.is_eager
        and step.run in (_core.conv, _core.dense)
        and step.args[3] is None
        and function in FUSED
    ):
        step.args[3] = function
        made = Value(function(x.held), x.ref, x.level, x.order)
        made.step = step
        return made
    return spread(trace, function, [x], {})


def _register(name: str, function: Callable[[Tensor], Tensor]) -> None:
    @traced(name)
    def unary(trace: Trace, x: Value) -> Value:
        return activate(trace, function, x)


for _name, _function in _UNARY.items():
    _register(_name, _function)


@traced("Relu")
def relu(trace: Trace, x: Value) -> Value:
    if x.dtype.kind != "f":
        return spread(trace, _clipped_below, [x], {})
    return activate(trace, _core.relu, x)


def _clipped_below(x: Tensor) -> Tensor:
    return _core.maximum(x, _core.zeros((), x.dtype))


@traced("Identity")
def identity(trace: Trace, x: Value) -> Value:
    return x


@elementwise("Elu")
def elu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    return _core.elu(x, alpha)


@elementwise("Celu")
def celu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    return _core.celu(x, alpha)


@elementwise("Selu")
def selu(
    x: Tensor, *, alpha: float = 1.67326319217681884765625, gamma: float = 1.05070102214813232421875
) -> Tensor:
    return _core.elu(x, alpha) * gamma


@elementwise("LeakyRelu")
def leaky_relu(x: Tensor, *, alpha: float = 0.01) -> Tensor:
    return _core.leakyrelu(x, alpha)


@traced("PRelu")
def prelu_of_channels(trace: Trace, x: Value, slope: Value) -> Value:
    """Before opset 7 the slopes are those of the channels, the second axis."""
    if slope.ndim == 1:
        slope = trace.run(_core.reshape, trace.plain(slope), (-1,) + (1,) * (x.ndim - 2))
    return spread(trace, prelu, [x, slope], {})


@elementwise("PRelu", since=7)
def prelu(x: Tensor, slope: Tensor) -> Tensor:
    return _core.where(x < _core.zeros((), x.dtype), x * slope, x)


@elementwise("ThresholdedRelu")
def thresholded_relu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    return _core.where(x > alpha, x, _core.zeros((), x.dtype))


@traced("HardSigmoid")
def hard_sigmoid(trace: Trace, x: Value, *, alpha: float = 0.2, beta: float = 0.5) -> Value:
    return spread(trace, _hard_sigmoid, [x], {"alpha": alpha, "beta": beta})


def _hard_sigmoid(x: Tensor, alpha: float, beta: float) -> Tensor:
    if beta == 0.5 and abs(alpha - 1 / 6) < 1e-7:
        return _core.hardsigmoid(x)
    return _between(x * alpha + beta, 0.0, 1.0)


def _between(x: Tensor, low: float, high: float) -> Tensor:
    return _core.minimum(_core.maximum(x, low), high)


@elementwise("Shrink")
def shrink(x: Tensor, *, bias: float = 0.0, lambd: float = 0.5) -> Tensor:
    zero = _core.zeros((), x.dtype)
    shift = _core.tensor(bias, x.dtype) if x.dtype.kind == "f" else _core.tensor(int(bias), x.dtype)
    wide = x.astype(_core.float64) if x.dtype.kind != "f" else x
    return _core.where(wide < -lambd, x + shift, _core.where(wide > lambd, x - shift, zero)).astype(x.dtype)


@elementwise("Gelu")
def gelu(x: Tensor, *, approximate: str = "none") -> Tensor:
    return _core.gelu_tanh(x) if approximate == "tanh" else _core.gelu_erf(x)


@elementwise("Swish")
def swish(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    return _core.swish(x) if alpha == 1.0 else x * _core.sigmoid(x * alpha)


@elementwise("IsInf")
def is_inf(x: Tensor, *, detect_negative: int = 1, detect_positive: int = 1) -> Tensor:
    if detect_negative and detect_positive:
        return _core.isinf(x)
    if not detect_negative and not detect_positive:
        return _core.zeros_like(x, _core.bool_)
    return x == (math.inf if detect_positive else -math.inf)


@elementwise("Clip")
def clip_by_attributes(x: Tensor, *, min: float | None = None, max: float | None = None) -> Tensor:
    x = x if min is None else _core.maximum(x, min)
    return x if max is None else _core.minimum(x, max)


@traced("Clip", since=11)
def clip(trace: Trace, x: Value, low: Value | None = None, high: Value | None = None) -> Value:
    if (
        low is not None
        and high is not None
        and low.level < INPUT
        and high.level < INPUT
        and x.dtype.kind == "f"
        and (float(low.held), float(high.held)) == (0.0, 6.0)
        and low.level == high.level == 0
    ):
        return spread(trace, _core.relu6, [x], {})
    if low is not None and low.level == 0 and high is None and x.dtype.kind == "f" and float(low.held) == 0.0:
        return activate(trace, _core.relu, x)
    if low is not None:
        x = spread(trace, _core.maximum, [x, low], {})
    return x if high is None else spread(trace, _core.minimum, [x, high], {})
