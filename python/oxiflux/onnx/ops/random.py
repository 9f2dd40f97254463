"""Dropout and random numbers."""

from __future__ import annotations

from typing import Any

from ... import _core
from ..._core import Tensor
from ..reading import DTYPES
from ..table import traced
from ..trace import INPUT, Trace, Value


@traced("Dropout")
def dropout_by_attribute(
    trace: Trace, x: Value, *, ratio: float = 0.5, is_test: int = 1, seed: int | None = None, outputs: int = 1
) -> Any:
    return (x, _mask_of_ones(x)) if outputs == 2 else x


@traced("Dropout", since=12)
def dropout(
    trace: Trace,
    x: Value,
    ratio: Value | None = None,
    training_mode: Value | None = None,
    *,
    seed: int | None = None,
    outputs: int = 1,
) -> Any:
    """Without training it hands on what it gets."""
    share = 0.5 if ratio is None else float(trace.host(ratio).reshape(-1)[0])
    if training_mode is None or not trace.host(training_mode).reshape(-1)[0] or share == 0.0:
        return (x, _mask_of_ones(x)) if outputs == 2 else x
    trace.is_random = True
    mask = Value(_core.rand(*x.shape) >= share)
    y: Value = trace.run(_masked, trace.plain(x), mask, share=share)
    return (y, mask) if outputs == 2 else y


def _mask_of_ones(x: Value) -> Value:
    return Value(_core.ones(x.shape, _core.bool_))


def _masked(x: Tensor, mask: Tensor, share: float) -> Tensor:
    return _core.where(mask, x / (1.0 - share), _core.zeros((), x.dtype))


def _drawn(trace: Trace, make: Any, shape: tuple[int, ...], seed: float | None, dtype: int | None) -> Value:
    trace.is_random = True
    kind = DTYPES[dtype or 1]
    source = _core if seed is None else _core.Generator(abs(hash(seed)) % 2**63)
    return Value(make(source, shape).astype(kind))


def _uniform(low: float, high: float) -> Any:
    return lambda source, shape: source.rand(*shape) * (high - low) + low


def _normal(mean: float, scale: float) -> Any:
    return lambda source, shape: source.randn(*shape) * scale + mean


@traced("RandomUniform")
def random_uniform(
    trace: Trace,
    *,
    shape: tuple[int, ...],
    low: float = 0.0,
    high: float = 1.0,
    seed: float | None = None,
    dtype: int | None = None,
) -> Value:
    return _drawn(trace, _uniform(low, high), shape, seed, dtype)


@traced("RandomNormal")
def random_normal(
    trace: Trace,
    *,
    shape: tuple[int, ...],
    mean: float = 0.0,
    scale: float = 1.0,
    seed: float | None = None,
    dtype: int | None = None,
) -> Value:
    return _drawn(trace, _normal(mean, scale), shape, seed, dtype)


@traced("RandomUniformLike")
def random_uniform_like(
    trace: Trace,
    x: Value,
    *,
    low: float = 0.0,
    high: float = 1.0,
    seed: float | None = None,
    dtype: int | None = None,
) -> Value:
    return _drawn(trace, _uniform(low, high), x.shape, seed, dtype)


@traced("RandomNormalLike")
def random_normal_like(
    trace: Trace,
    x: Value,
    *,
    mean: float = 0.0,
    scale: float = 1.0,
    seed: float | None = None,
    dtype: int | None = None,
) -> Value:
    return _drawn(trace, _normal(mean, scale), x.shape, seed, dtype)


@traced("Bernoulli")
def bernoulli(trace: Trace, x: Value, *, seed: float | None = None, dtype: int | None = None) -> Value:
    trace.is_random = True
    kind = x.dtype if dtype is None else DTYPES[dtype]
    drawn = Value(_core.rand(*x.shape), None, INPUT) if trace.is_eager else Value(_core.rand(*x.shape))
    return Value((_core.stop_gradient(trace.plain(x).held) > drawn.held).astype(kind))
