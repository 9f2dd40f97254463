"""Elements by their places: gathering and scattering."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ... import _core
from ..._core import Tensor
from ..table import plain, traced
from ..trace import Trace, Value


def _places(indices: Tensor, n: int, what: str) -> Tensor:
    """Places that count from the start; a place outside is an error, here and not deep in a kernel."""
    found = _core.stop_gradient(indices)
    if found.size:
        low, high = int(_core.min(found)), int(_core.max(found))
        if low < -n or high >= n:
            raise IndexError(f"onnx: {what}: place {low if low < -n else high} of {n}")
        if low < 0:
            found = _core.where(found < 0, found + n, found)
    return found.astype(_core.int64)


@traced("Gather")
def gather(trace: Trace, x: Value, indices: Value, *, axis: int = 0) -> Value:
    axis = axis % x.ndim
    if indices.level == 0 and not indices.ndim and x.level:
        place = int(trace.host(indices))
        n = x.shape[axis]
        if not -n <= place < n:
            raise IndexError(f"onnx: Gather: place {place} of {n}")
        held = axis if x.order is None else x.order[axis]
        y: Value = trace.run(picked, x, place=place % n, axis=held)
        if x.order is None:
            return y
        rest = [place for a, place in enumerate(x.order) if a != axis]
        return y.with_order(tuple(place - (place > held) for place in rest))
    return trace.run(_gather, trace.plain(x), trace.plain(indices), axis=axis)  # type: ignore[no-any-return]


def picked(x: Tensor, place: int, axis: int) -> Tensor:
    """One slice of an axis, which is gone."""
    return x[(slice(None),) * axis + (place,)]


def _gather(x: Tensor, indices: Tensor, axis: int) -> Tensor:
    return _core.take(x, _places(indices, x.shape[axis], "Gather"), axis)


@plain("GatherElements")
def gather_elements(x: Tensor, indices: Tensor, *, axis: int = 0) -> Tensor:
    places = _places(indices, x.shape[axis], "GatherElements")
    return _core.take_along_axis(_cropped(x, indices.shape, axis), places, axis)


def _cropped(x: Tensor, shape: tuple[int, ...], axis: int) -> Tensor:
    """The part of `x` that indices of this shape belong to: all of `axis`, and as much as they have of the others."""
    axis %= x.ndim
    return x[tuple(slice(None) if a == axis else slice(0, n) for a, n in enumerate(shape))]


def _flat(indices: Tensor, shape: tuple[int, ...], what: str) -> Tensor:
    """One place for each index of several axes, the last axis of `indices`."""
    total: Any = None
    for a, n in enumerate(shape):
        part = _places(indices[..., a], n, what)
        total = part if total is None else total * n + part
    return total if total is not None else _core.zeros(indices.shape[:-1], _core.int64)


@plain("GatherND")
def gather_nd(x: Tensor, indices: Tensor, *, batch_dims: int = 0) -> Tensor:
    depth = indices.shape[-1]
    b = batch_dims
    lead = x.shape[:b]
    rows = int(np.prod(lead, dtype=np.int64))
    inner, rest = x.shape[b : b + depth], x.shape[b + depth :]
    places = _flat(indices, inner, "GatherND")
    width = int(np.prod(inner, dtype=np.int64))
    if b:
        first = _core.reshape(_core.arange(rows, dtype=_core.int64), (*lead, *[1] * (places.ndim - b)))
        places = places + first * width
    found = _core.take(_core.reshape(x, (rows * width, *rest)), _core.reshape(places, (-1,)), 0)
    return _core.reshape(found, (*indices.shape[:-1], *rest))


_COMBINED = {"add": _core.add, "mul": _core.multiply, "max": _core.maximum, "min": _core.minimum}


def _folded_in(x: Tensor, places: Tensor, updates: Tensor, reduction: str, what: str) -> Tensor:
    """`x`, one axis first, with `updates` at places of it that may repeat."""
    if reduction == "add":
        return _core.add_along_axis(x, places, updates, 0)
    if reduction == "none":
        return _core.put_along_axis(x, places, updates, 0)
    if reduction not in _COMBINED:
        raise ValueError(f"onnx: {what}: the reduction is add, mul, max, min or none, got {reduction!r}")
    if not places.size:
        return x
    # Column by column the places repeat alike, so that a flat place says both.
    width = int(np.prod(x.shape[1:], dtype=np.int64))
    columns = _core.reshape(_core.arange(width, dtype=_core.int64), (1, *x.shape[1:]))
    flat = _core.reshape(places * width + columns, (-1,))
    op = {"mul": "*", "max": "max", "min": "min"}[reduction]
    kind = x.dtype
    found = _core.scatter(_core.reshape(updates, (-1,)), flat, n=x.size, op=op, axis=0)
    old = _core.reshape(x, (-1,))
    if reduction == "mul" or kind.kind == "f":
        new = _COMBINED[reduction](old.astype(found.dtype), found)
    else:
        touched = np.zeros(x.size, np.bool_)
        touched[flat.numpy()] = True
        new = _core.where(
            touched, _COMBINED[reduction](old.astype(found.dtype), found), old.astype(found.dtype)
        )
    return _core.reshape(new, x.shape).astype(kind)


@plain("ScatterElements", "Scatter")
def scatter_elements(
    x: Tensor, indices: Tensor, updates: Tensor, *, axis: int = 0, reduction: str = "none"
) -> Tensor:
    axis %= x.ndim
    places = _places(indices, x.shape[axis], "ScatterElements")
    part = _cropped(x, indices.shape, axis)
    moved, back = _to_front(x.ndim, axis)
    new = _folded_in(
        _core.permute_dims(part, moved),
        _core.permute_dims(places, moved),
        _core.permute_dims(updates, moved),
        reduction,
        "ScatterElements",
    )
    new = _core.permute_dims(new, back)
    if part.shape == x.shape:
        return new
    return x.at[tuple(slice(0, n) for n in part.shape)].set(new)


def _to_front(ndim: int, axis: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    moved = (axis, *(a for a in range(ndim) if a != axis))
    return moved, tuple(int(a) for a in np.argsort(moved))


@plain("ScatterND")
def scatter_nd(x: Tensor, indices: Tensor, updates: Tensor, *, reduction: str = "none") -> Tensor:
    depth = indices.shape[-1]
    inner, rest = x.shape[:depth], x.shape[depth:]
    places = _core.reshape(_flat(indices, inner, "ScatterND"), (-1,))
    n, width = int(np.prod(inner, dtype=np.int64)), int(np.prod(rest, dtype=np.int64))
    rows = _core.reshape(x, (n, width))
    new = _core.reshape(updates, (places.shape[0], width))
    spread = _core.broadcast_to(_core.expand_dims(places, 1), new.shape)
    return _core.reshape(_folded_in(rows, spread, new, reduction, "ScatterND"), x.shape)


@plain("TensorScatter", host=(2,))
def tensor_scatter(
    past: Tensor, update: Tensor, start: Any = None, *, axis: int = -2, mode: str = "linear"
) -> Tensor:
    """Writes `update` into a cache, for each row of the batch from its own place on."""
    axis %= past.ndim
    batch, n, most = past.shape[0], update.shape[axis], past.shape[axis]
    first = np.zeros(batch, np.int64) if start is None else start.reshape(-1)
    places = first[:, None] + np.arange(n)
    if mode == "circular":
        places %= most
    elif places.size and places.max() >= most:
        raise IndexError(f"onnx: TensorScatter: place {places.max()} of {most}")
    shape = [batch if a == 0 else n if a == axis else 1 for a in range(past.ndim)]
    return _core.put_along_axis(
        past, np.broadcast_to(places.reshape(shape), update.shape).copy(), update, axis
    )


@plain("OneHot", host=(1,))
def one_hot(indices: Tensor, depth: Any, values: Tensor, *, axis: int = -1) -> Tensor:
    n = int(np.asarray(depth).reshape(-1)[0])
    found = _core.stop_gradient(indices).astype(_core.int64)
    found = _core.where(found < 0, found + n, found)
    axis = axis % (indices.ndim + 1)
    line = np.arange(n).reshape([n if a == axis else 1 for a in range(indices.ndim + 1)])
    return _core.where(_core.expand_dims(found, axis) == line, values[1], values[0])


@plain("Compress", host=(1,))
def compress(x: Tensor, condition: Any, *, axis: int | None = None) -> Tensor:
    places = np.flatnonzero(condition)
    if axis is None:
        x, axis = _core.reshape(x, (-1,)), 0
    return _core.take(x, places[places < x.shape[axis]], axis)


@traced("NonZero")
def non_zero(trace: Trace, x: Value) -> Value:
    return Value(_core.tensor(np.stack(np.nonzero(np.atleast_1d(trace.host(x)))).astype(np.int64)))


@plain("TopK", host=(1,))
def top_k(
    x: Tensor,
    given: Any = None,
    *,
    k: int | None = None,
    axis: int = -1,
    largest: int = 1,
    sorted: int = 1,
) -> tuple[Tensor, Tensor]:
    n = int(np.asarray(given).reshape(-1)[0]) if given is not None else k
    axis %= x.ndim
    if n is None or not 0 <= n <= x.shape[axis]:
        raise ValueError(f"onnx: TopK of {n} among {x.shape[axis]} elements")
    order = _core.argsort(_core.stop_gradient(x), axis, bool(largest))
    places = order[(slice(None),) * axis + (slice(0, n),)].astype(_core.int64)
    return _core.take_along_axis(x, places, axis), places


@traced("Unique")
def unique(trace: Trace, x: Value, *, axis: int | None = None, sorted: int = 1) -> tuple[Value, ...]:
    numbers = trace.host(x)
    values, first, inverse, counts = np.unique(
        numbers, return_index=True, return_inverse=True, return_counts=True, axis=axis
    )
    inverse = inverse.reshape(-1)
    if not sorted:
        order = np.argsort(first, kind="stable")
        back = np.argsort(order, kind="stable")
        values = np.take(values, order, axis=0 if axis is None else axis)
        first, counts, inverse = first[order], counts[order], back[inverse]
    rest = (Value(_core.tensor(a.astype(np.int64))) for a in (first, inverse, counts))
    return Value(_core.tensor(values)), *rest


@functools.lru_cache(maxsize=256)
def _padded_places(n: int, before: int, after: int, mode: Any) -> Tensor:
    """Which of `n` elements each element of a padded axis is."""
    return _core.tensor(np.pad(np.arange(n), (before, after), mode=mode))


@plain("Pad", host=(1, 2, 3))
def pad(
    x: Tensor,
    given: Any = None,
    value_given: Any = None,
    axes: Any = None,
    *,
    mode: str = "constant",
    pads: Any = None,
    paddings: Any = None,
    value: float = 0.0,
) -> Tensor:
    sides = given.tolist() if given is not None else list(pads or paddings or ())
    if value_given is not None and np.asarray(value_given).size:
        value = np.asarray(value_given).reshape(-1)[0].item()
    places = list(range(x.ndim)) if axes is None else [int(a) % x.ndim for a in axes]
    n = len(places)
    if len(sides) != 2 * n:
        raise ValueError(f"onnx: Pad: {2 * n} pads are needed for {n} axes, got {len(sides)}")
    ends = {a: (sides[i], sides[i + n]) for i, a in enumerate(places)}
    # A negative pad cuts off.
    cuts = [
        slice(max(0, -ends.get(a, (0, 0))[0]), m - max(0, -ends.get(a, (0, 0))[1]))
        for a, m in enumerate(x.shape)
    ]
    if any(c != slice(0, m) for c, m in zip(cuts, x.shape, strict=True)):
        x = x[tuple(cuts)]
    width = [max(0, side) for a in range(x.ndim) for side in ends.get(a, (0, 0))]
    if not any(width):
        return x
    if mode == "constant":
        if x.dtype.kind == "f":
            return _core.pad_constant(x, width, float(value))
        sides_of = np.array(width).reshape(-1, 2)
        return _core.tensor(np.pad(x.numpy(), sides_of, constant_values=int(value)))
    if mode not in ("reflect", "edge", "wrap"):
        raise ValueError(f"onnx: Pad: the mode is constant, reflect, edge or wrap, got {mode!r}")
    for a in range(x.ndim):
        before, after = width[2 * a : 2 * a + 2]
        if before or after:
            x = _core.take(x, _padded_places(x.shape[a], before, after, mode), a)
    return x
