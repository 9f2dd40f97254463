"""Factors and summands of the channels, which join the step before them: the weights of a convolution or a product, or
the scale of a normalisation.
"""

from __future__ import annotations

from collections.abc import Callable

from ... import _core
from ..._core import Tensor
from ..trace import INPUT, Ref, Step, Trace, Value

__all__ = ["changed"]

Binary = Callable[[Tensor, Tensor], Tensor]


def changed(trace: Trace, x: Value, other: Value, factor: Binary | None) -> Value | None:
    """`factor(x, other)`, or their sum where it is None, by a change of the step that makes `x`; None where that cannot
    be: `other` depends on the inputs, is not one number for each channel or for all, or somebody else wants `x`.
    """
    step = x.step
    if (
        step is None
        or trace.is_eager
        or x.is_shared
        or x.level != INPUT
        or other.level == INPUT
        or other.dtype != x.dtype
        or not x.ndim
        or other.ndim > x.ndim
    ):
        return None
    line = _line(trace, x, other)
    if line is None:
        return None
    if step.run in (_core.conv, _core.dense) and step.args[3] is None:
        places = (1, 2)
    elif step.run is _core.norm_with or (
        step.run is _core.multiply and factor is None and _as_normalisation(trace, x, step)
    ):
        places = (3, 4)
    else:
        return None
    if not _rewritten(trace, step, places, line, factor):
        return None
    held = (factor or _core.add)(x.held, line.held)
    made = Value(held, x.ref, x.level, x.order)
    made.step = step
    return made


def _as_normalisation(trace: Trace, x: Value, step: Step) -> bool:
    """Whether a product with numbers of the channels could become a normalisation by a mean of 0 and a variance of 1,
    which adds numbers in the same pass.
    """
    given = [(arg, trace.argument(arg)) for arg in step.args]
    inputs = [arg for arg, value in given if value is None and isinstance(arg, Ref)]
    factors = [value for _, value in given if value is not None]
    channels = x.held.shape[-1]
    if len(inputs) != 1 or len(factors) != 1 or x.ndim < 2:
        return False
    if x.dtype.kind != "f" or x.dtype.itemsize == 2:
        return False
    (value,) = factors
    if value.held.size != 1 and not (value.held.size == channels == value.held.shape[-1]):
        return False
    # The input must have the shape of the product: a factor may have spread it.
    if trace.shapes.get(inputs[0]) != x.held.shape:
        return False
    flat = trace.run(_core.reshape, value, (-1,))
    scale = trace.run(_widened, flat, n=channels)
    zeros, ones = _core.zeros(channels, x.dtype), _core.ones(channels, x.dtype)
    step.run = _core.norm_with
    step.args = [inputs[0], zeros, ones, scale.held if scale.ref is None else scale.ref, zeros, 0.0]
    return True


def _line(trace: Trace, x: Value, other: Value) -> Value | None:
    """One number for all, or one for each channel, which is the last axis in memory."""
    if other.held.size == 1:
        return trace.run(_core.reshape, trace.plain(other), (1,)) if other.ndim != 1 else other
    channels = x.held.shape[-1]
    place = x.ndim - 1 if x.order is None else x.order.index(x.ndim - 1)
    lead = x.ndim - other.ndim
    if other.held.size != channels or place < lead or other.shape[place - lead] != channels:
        return None
    return trace.run(_core.reshape, trace.plain(other), (channels,)) if other.ndim != 1 else other


def _rewritten(trace: Trace, step: Step, places: tuple[int, int], line: Value, factor: Binary | None) -> bool:
    """Whether the weight and bias at these places of the arguments could take the numbers in."""
    scale, bias = places
    old = trace.argument(step.args[bias])
    if old is None and step.args[bias] is not None:
        return False
    if factor is None:
        if old is None:
            weight = step.args[scale]
            channels = trace.argument(weight)
            if channels is None:
                return False
            new = trace.run(_widened, line, n=channels.held.shape[-1])
        else:
            new = trace.run(_core.add, old, line)
        step.args[bias] = new.held if new.ref is None else new.ref
        return True
    weight = trace.argument(step.args[scale])
    if weight is None:
        return False
    for place, value in ((scale, weight), (bias, old)):
        if value is not None:
            new = trace.run(factor, value, line)
            step.args[place] = new.held if new.ref is None else new.ref
    return True


def _widened(x: Tensor, n: int) -> Tensor:
    """One number for each of `n` channels."""
    return x if x.shape[0] == n else _core.broadcast_to(x, (n,)).copy()
