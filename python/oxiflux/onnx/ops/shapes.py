"""Shapes as numbers, constants, and the same elements in another form."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import _core
from ..._core import Tensor
from ..reading import DTYPES, UnsupportedError
from ..table import align, plain, traced
from ..trace import Trace, Value, inverse

_MOST = 2**31


def constant(
    *,
    value: Tensor | None = None,
    value_float: float | None = None,
    value_floats: Sequence[float] | None = None,
    value_int: int | None = None,
    value_ints: Sequence[int] | None = None,
) -> Tensor:
    """The tensor of a `Constant`."""
    if value is not None:
        return value
    for numbers, dtype in (
        (value_float, _core.float32),
        (value_floats, _core.float32),
        (value_int, _core.int64),
        (value_ints, _core.int64),
    ):
        if numbers is not None:
            return _core.tensor(np.array(numbers, dtype.name))
    raise ValueError("onnx: Constant has no value")


@traced("Constant")
def _constant(
    trace: Trace,
    *,
    value: Tensor | None = None,
    value_float: float | None = None,
    value_floats: Sequence[float] | None = None,
    value_int: int | None = None,
    value_ints: Sequence[int] | None = None,
) -> Value:
    return Value(
        constant(
            value=value,
            value_float=value_float,
            value_floats=value_floats,
            value_int=value_int,
            value_ints=value_ints,
        )
    )


def filled(shape: np.ndarray[Any, Any], *, value: Tensor | None = None) -> Tensor:
    """A `ConstantOfShape`."""
    sizes = tuple(int(n) for n in shape)
    if any(n < 0 for n in sizes) or math.prod(sizes) > _MOST:
        raise ValueError(f"onnx: ConstantOfShape of shape {sizes}, more than {_MOST} elements")
    if value is None:
        return _core.zeros(sizes, _core.float32)
    return _core.full(
        sizes, value.item() if value.dtype.name != "bfloat16" else float(value.astype("float32")), value.dtype
    )


@traced("ConstantOfShape")
def constant_of_shape(trace: Trace, shape: Value, *, value: Tensor | None = None) -> Value:
    return Value(filled(trace.host(shape), value=value))


def numbers(values: Any) -> Value:
    """Integers as a constant."""
    return Value(_core.tensor(np.array(values, np.int64)))


@traced("Shape")
def shape(trace: Trace, x: Value, *, start: int = 0, end: int | None = None) -> Value:
    return numbers(x.shape[slice(start, end)])


@traced("Size")
def size(trace: Trace, x: Value) -> Value:
    return numbers(x.held.size)


@traced("Range")
def range_(trace: Trace, start: Value, limit: Value, delta: Value) -> Value:
    first, last, step = (trace.host(x).reshape(()) for x in (start, limit, delta))
    if not step:
        raise ValueError("onnx: Range has the step 0")
    if (float(last) - float(first)) / float(step) > _MOST:
        raise ValueError(f"onnx: Range from {first} to {last} by {step}, more than {_MOST} elements")
    n = max(0, math.ceil((last.astype(np.float64) - first.astype(np.float64)) / step.astype(np.float64)))
    kind = start.dtype
    wide: Any = np.float64 if kind.kind == "f" else np.int64
    line = first.astype(wide) + np.arange(n).astype(wide) * step.astype(wide)
    return Value(_core.asarray(_core.tensor(line), kind))


@traced("EyeLike")
def eye_like(trace: Trace, x: Value, *, dtype: int | None = None, k: int = 0) -> Value:
    kind = x.dtype if dtype is None else DTYPES.get(dtype)
    if kind is None:
        raise UnsupportedError(f"onnx: EyeLike of the type number {dtype} is not supported")
    rows, columns = x.shape
    return Value(_core.eye(rows, columns, k=k, dtype=kind))


# Form


def reshaped(trace: Trace, x: Value, sizes: Sequence[int]) -> Value:
    """The same elements in another shape, moved in memory only if that is needed."""
    sizes = tuple(int(n) for n in sizes)
    if x.shape == sizes:
        return x
    groups = None if x.order is None or not x.held.size else _groups(x.shape, sizes)
    if groups is None or x.order is None:
        return trace.run(_core.reshape, trace.plain(x), sizes)  # type: ignore[no-any-return]

    def first(group: tuple[list[int], list[int]]) -> int:
        places = [x.order[a] for a in group[0] if x.shape[a] != 1] or [x.order[a] for a in group[0]]  # type: ignore[index]
        return min(places)

    in_memory = sorted(groups, key=first)
    moves = tuple(x.order[a] for group in in_memory for a in group[0])
    if moves != tuple(range(x.ndim)):
        x = trace.run(_core.permute_dims, x, moves)
    targets = [a for group in in_memory for a in group[1]]
    y: Value = trace.run(_core.reshape, x.with_order(None), tuple(sizes[a] for a in targets))
    return y.with_order(inverse(targets))


def _groups(old: Sequence[int], new: Sequence[int]) -> list[tuple[list[int], list[int]]] | None:
    """Runs of axes of the old shape and of the new one that hold the same elements."""
    if not old or not new:
        return None
    groups: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(old) and j < len(new):
        ours, theirs, a, b = [i], [j], old[i], new[j]
        while a != b:
            if a < b:
                i += 1
                if i == len(old):
                    return None
                ours.append(i)
                a *= old[i]
            else:
                j += 1
                if j == len(new):
                    return None
                theirs.append(j)
                b *= new[j]
        groups.append((ours, theirs))
        i, j = i + 1, j + 1
    groups[-1][0].extend(range(i, len(old)))
    groups[-1][1].extend(range(j, len(new)))
    return groups


@traced("Reshape")
def reshape(
    trace: Trace, x: Value, given: Value | None = None, *, shape: Sequence[int] = (), allowzero: int = 0
) -> Value:
    sizes = list(shape if given is None else trace.host(given).tolist())
    if not allowzero:
        if any(n == 0 and i >= x.ndim for i, n in enumerate(sizes)):
            raise ValueError(f"onnx: Reshape of {x.shape} to {sizes}: 0 stands for an axis that is not there")
        sizes = [x.shape[i] if n == 0 else n for i, n in enumerate(sizes)]
    elif 0 in sizes and -1 in sizes:
        raise ValueError(f"onnx: Reshape to {sizes}: 0 and -1 stand beside each other with allowzero=1")
    if sizes.count(-1) == 1:
        rest = math.prod(n for n in sizes if n != -1)
        sizes[sizes.index(-1)] = x.held.size // rest if rest else 0
    if math.prod(sizes) != x.held.size or any(n < 0 for n in sizes):
        raise ValueError(f"onnx: Reshape of {x.shape} to {sizes}: the numbers of elements differ")
    return reshaped(trace, x, sizes)


@traced("Flatten")
def flatten(trace: Trace, x: Value, *, axis: int = 1) -> Value:
    axis = axis + x.ndim if axis < 0 else axis
    return reshaped(trace, x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))


@traced("Squeeze")
def squeeze(
    trace: Trace, x: Value, given: Value | None = None, *, axes: Sequence[int] | None = None
) -> Value:
    axes = axes if given is None else trace.host(given).reshape(-1).tolist()
    gone = {a % x.ndim for a in axes} if axes is not None else {a for a, n in enumerate(x.shape) if n == 1}
    if wrong := [a for a in gone if x.shape[a] != 1]:
        raise ValueError(f"onnx: Squeeze of axis {wrong[0]} of {x.shape}, which is not 1")
    return reshaped(trace, x, [n for a, n in enumerate(x.shape) if a not in gone])


@traced("Unsqueeze")
def unsqueeze(trace: Trace, x: Value, given: Value | None = None, *, axes: Sequence[int] = ()) -> Value:
    axes = axes if given is None else trace.host(given).reshape(-1).tolist()
    rank = x.ndim + len(axes)
    new = {a % rank for a in axes}
    if len(new) != len(axes) or not all(-rank <= a < rank for a in axes):
        raise ValueError(f"onnx: Unsqueeze of {x.shape} at the axes {list(axes)}")
    rest = iter(x.shape)
    return reshaped(trace, x, [1 if a in new else next(rest) for a in range(rank)])


@traced("Transpose")
def transpose(trace: Trace, x: Value, *, perm: Sequence[int] | None = None) -> Value:
    perm = tuple(range(x.ndim))[::-1] if perm is None else tuple(perm)
    if sorted(perm) != list(range(x.ndim)):
        raise ValueError(f"onnx: Transpose of {x.shape} by {perm}")
    return x.with_order(perm if x.order is None else tuple(x.order[a] for a in perm))


@traced("Expand")
def expand(trace: Trace, x: Value, given: Value) -> Value:
    sizes = np.broadcast_shapes(x.shape, tuple(trace.host(given).tolist()))
    if sizes == x.shape:
        return x
    if math.prod(sizes) > _MOST:
        raise ValueError(f"onnx: Expand of {x.shape} to {sizes}, more than {_MOST} elements")
    return trace.run(_core.broadcast_to, trace.plain(x), sizes)  # type: ignore[no-any-return]


@plain("Tile", host=(1,))
def tile(x: Tensor, repeats: Any, axis: Any = None) -> Tensor:
    from ...functions import tile

    if math.prod(int(n) for n in repeats) * x.size > _MOST:
        raise ValueError(f"onnx: Tile of {x.shape} by {list(repeats)}, more than {_MOST} elements")
    return tile(x, [int(n) for n in repeats])


@traced("Concat")
def concat(trace: Trace, *values: Value, axis: int = 1) -> Value:
    rank = values[0].ndim
    if any(x.ndim != rank for x in values) or not -rank <= axis < rank:
        raise ValueError(f"onnx: Concat of shapes {[x.shape for x in values]} along axis {axis}")
    values = tuple(x for x in values if x.held.size or rank > 1) or values[:1]
    parts, order = align(trace, list(values))
    # What has one element was left as it is, and an axis of it may be the one that grows.
    parts = [trace.in_order(x, order) for x in parts]
    axis %= rank
    y: Value = trace.run(_core.concat, parts, axis if order is None else order[axis])
    return y.with_order(order)


@traced("Split")
def split(
    trace: Trace,
    x: Value,
    given: Value | None = None,
    *,
    axis: int = 0,
    split: Sequence[int] | None = None,
    num_outputs: int | None = None,
    outputs: int = 1,
) -> tuple[Value, ...]:
    axis %= x.ndim
    n = x.shape[axis]
    sizes = list(split) if split is not None and given is None else None
    if given is not None:
        sizes = trace.host(given).tolist()
    if sizes is None:
        count = num_outputs or outputs
        each = -(-n // count)
        sizes = [each] * (count - 1) + [n - each * (count - 1)]
    if builtin_sum(sizes) != n or min(sizes, default=0) < 0 or len(sizes) != outputs:
        raise ValueError(f"onnx: Split of {n} elements into {sizes}, {outputs} outputs")
    place = axis if x.order is None else x.order[axis]
    ends = np.cumsum([0, *sizes]).tolist()
    parts = []
    for low, high in itertools.pairwise(ends):
        part: Value = trace.run(cut, x, place=place, low=low, high=high, step=1)
        parts.append(part.with_order(x.order))
    return tuple(parts)


builtin_sum = sum


def cut(x: Tensor, place: int, low: int, high: int | None, step: int) -> Tensor:
    """A slice of one axis."""
    return x[(slice(None),) * place + (slice(low, high, step),)]


@traced("Slice")
def slice_by_attributes(
    trace: Trace, x: Value, *, starts: Sequence[int], ends: Sequence[int], axes: Sequence[int] | None = None
) -> Value:
    return _sliced(trace, x, starts, ends, axes, None)


@traced("Slice", since=10)
def slice_(
    trace: Trace,
    x: Value,
    starts: Value,
    ends: Value,
    axes: Value | None = None,
    steps: Value | None = None,
) -> Value:
    lists = [None if v is None else trace.host(v).tolist() for v in (starts, ends, axes, steps)]
    return _sliced(trace, x, lists[0] or [], lists[1] or [], lists[2], lists[3])


def _sliced(
    trace: Trace,
    x: Value,
    starts: Sequence[int],
    ends: Sequence[int],
    axes: Sequence[int] | None,
    steps: Sequence[int] | None,
) -> Value:
    axes = range(len(starts)) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    places: list[Any] = [slice(None)] * x.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if not -x.ndim <= axis < x.ndim or not step:
            raise ValueError(f"onnx: Slice of {x.shape} along axis {axis} by steps of {step}")
        n = x.shape[axis]
        low, high = (0, n) if step > 0 else (-1, n - 1)
        start, end = (p + n if p < 0 else p for p in (start, end))
        start, end = max(low if step > 0 else 0, min(start, high)), max(low, min(end, high))
        if step < 0 and not n:
            start, end = 0, 0
        places[axis] = slice(start, None if end < 0 else end, step)
    held = tuple(places) if x.order is None else tuple(places[a] for a in inverse(x.order))
    if all(p == slice(None) for p in held):
        return x
    y: Value = trace.run(taken, x, places=held)
    return y.with_order(x.order)


def taken(x: Tensor, places: tuple[slice, ...]) -> Tensor:
    """Slices of all axes."""
    return x[places]


@traced("DepthToSpace")
def depth_to_space(trace: Trace, x: Value, *, blocksize: int, mode: str = "DCR") -> Value:
    n, c, h, w = x.shape
    b = blocksize
    if b < 1 or c % b**2:
        raise ValueError(f"onnx: DepthToSpace of {x.shape} with the block size {b}")
    parts = (n, b, b, c // b**2, h, w) if mode == "DCR" else (n, c // b**2, b, b, h, w)
    order = (0, 3, 4, 1, 5, 2) if mode == "DCR" else (0, 1, 4, 2, 5, 3)
    y = transpose(trace, reshaped(trace, x, parts), perm=order)
    return reshaped(trace, y, (n, c // b**2, h * b, w * b))


@traced("SpaceToDepth")
def space_to_depth(trace: Trace, x: Value, *, blocksize: int, mode: str = "DCR") -> Value:
    n, c, h, w = x.shape
    b = blocksize
    if b < 1 or h % b or w % b:
        raise ValueError(f"onnx: SpaceToDepth of {x.shape} with the block size {b}")
    y = transpose(
        trace,
        reshaped(trace, x, (n, c, h // b, b, w // b, b)),
        perm=(0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4),
    )
    return reshaped(trace, y, (n, c * b * b, h // b, w // b))
