"""Shapes, parts, joins, indices."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..recorded import Free, Size
from ..writer import Op, Writer
from .elementwise import Lowering, cast

__all__ = ["MOVEMENT"]

_END = 2**63 - 1


def _reshape(g: Writer, op: Op) -> str:
    return g.reshape(op[0], op.x.shape, op.y.shape)


def _concat(g: Writer, op: Op) -> str:
    axis = op.parameters["axis"]
    rank = len(op.y.shape)
    names = op.all()
    common = set.intersection(*(set(g.transposed.get(n, {})) for n in names))
    if common:
        order = common.pop()
        joined = g.node("Concat", *(g.transposed[n][order] for n in names), axis=order.index(axis))
        return g.transpose(joined, tuple(int(i) for i in np.argsort(order)))
    y = g.node("Concat", *names, axis=axis)
    if rank == 1:
        g.parts[y] = [(x.shape[0], n) for x, n in zip(op.inputs, names, strict=True)]
    return y


def _minus(a: Size, b: Size) -> Size:
    """The difference, a number where it is the same in all records."""
    if not isinstance(a, Free) and not isinstance(b, Free):
        return a - b
    count = len(a) if isinstance(a, Free) else len(b)  # type: ignore[arg-type]
    full = [x if isinstance(x, Free) else (x,) * count for x in (a, b)]
    differences = [x - y for x, y in zip(*full, strict=True)]
    return differences[0] if len(set(differences)) == 1 else Free(differences)


def _plus(a: Size, b: Size) -> Size:
    return _minus(a, _minus(0, b))


def _times(a: Size, by: int) -> Size:
    return Free(n * by for n in a) if isinstance(a, Free) else a * by


def _place(start: Size, length: Size) -> Size:
    """A place along an axis as it is said without the length where that can be: from the front, or from the end."""
    if not isinstance(start, Free):
        return start
    back = _minus(start, length)
    return start if isinstance(back, Free) or back >= 0 else back


def _slice(g: Writer, op: Op) -> str:
    starts: list[Size] = []
    ends: list[Size] = []
    axes: list[int] = []
    steps: list[int] = []
    if op[0] in g.parts and len(op.x.shape) == 1:
        place: Size = 0
        for length, name in g.parts[op[0]]:
            if op.parameters["ranges"][0] == {"start": place, "step": 1, "length": length}:
                return name
            place = _plus(place, length)
    for axis, (r, n) in enumerate(zip(op.parameters["ranges"], op.x.shape, strict=True)):
        start, step, length = r["start"], r["step"], r["length"]
        if isinstance(step, Free):
            raise op.fail("a step of a slice depends on a free axis")
        if start == 0 and step == 1 and length == n:
            continue
        end = _plus(start, _times(length, step))
        axes.append(axis)
        steps.append(step)
        starts.append(_place(start, n))
        if step > 0:
            # A last step may reach past the end.
            ends.append(_END if _reaches(end, n) else _place(end, n))
        else:
            ends.append(-_END if _reaches(_minus(0, end), 1) else _place(end, n))
    if not axes:
        return op[0]
    return g.node("Slice", op[0], g.sizes(starts), g.sizes(ends), g.integers(axes), g.integers(steps))


def _reaches(end: Size, n: Size) -> bool:
    room = _minus(end, n)
    return all(r >= 0 for r in room) if isinstance(room, Free) else room >= 0


def _pad(g: Writer, op: Op) -> str:
    before, after = [], []
    for r, n in zip(op.parameters["ranges"], op.y.shape, strict=True):
        if r["step"] != 1:
            raise op.fail("elements are put apart from one another")
        before.append(r["start"])
        after.append(_minus(_minus(n, r["start"]), r["length"]))
    value = g.number(op.parameters["around"], op.x.dtype)
    return g.node("Pad", op[0], g.sizes([*before, *after]), value)


def _gather(g: Writer, op: Op) -> str:
    """Rows by number: of a matrix without the axis in front, which most tables have not."""
    rows = op[1] if len(op.inputs[1].shape) == 1 else g.node("Reshape", op[1], g.integers([-1]))
    count, width = op.y.shape[1:]
    table = op.array(0)
    if table is not None and len(table) == 1:
        data = op.folded(0, lambda a: a[0], lambda x: x)
    else:
        data, shape = g.shaped.get(op[0], (op[0], op.x.shape))
        if op.x.shape[0] != 1 or shape != op.x.shape[1:]:
            return g.node("Gather", op[0], rows, axis=1)
    y = g.node("Gather", data, rows, axis=0)
    return g.reshape(y, (count, width), op.y.shape)


def _resample(g: Writer, op: Op) -> str:
    starts, columns, weights = (op.array(i) for i in (1, 2, 3))
    if starts is None or columns is None or weights is None or isinstance(op.parameters["of"], Free):
        raise op.fail("an axis along which is resampled is free")
    matrix = np.zeros((len(starts) - 1, op.parameters["of"]))
    np.add.at(matrix, (np.repeat(np.arange(len(starts) - 1), np.diff(starts)), columns), weights)
    return g.node("MatMul", g.constant(matrix.astype(op.x.dtype)), op[0])


_NEUTRAL = {"Sum": ("add", 0.0), "Product": ("mul", 1.0), "Max": ("max", -np.inf), "Min": ("min", np.inf)}


def _scatter(g: Writer, op: Op) -> str:
    reduction, neutral = _NEUTRAL[op.parameters["fold"]]
    if not op.x.dtype.startswith("float") and op.parameters["fold"] in ("Max", "Min"):
        raise op.fail("integers are folded by max or min")
    around = g.node("Expand", g.number(neutral, op.y.dtype), g.sizes(op.y.shape))
    x = op[0] if op.x.dtype == op.y.dtype else cast(g, op[0], op.y.dtype)
    rows = g.node("Reshape", op[1], g.integers([1, -1, 1]))
    rows = g.node("Expand", rows, g.sizes(op.x.shape))
    return g.node("ScatterElements", around, rows, x, axis=1, reduction=reduction)


def _rows(g: Writer, op: Op) -> str:
    """Numbers along several axes as one; negative ones count from the end, as in Gather."""
    total, lengths = "", op.parameters["lengths"]
    for i, n in enumerate(lengths):
        a = op[i] if op.inputs[i].dtype == "int64" else cast(g, op[i], "int64")
        if len(lengths) == 1:
            total = a
        else:
            a = g.node("Mod", a, g.size(n))
            total = g.node("Add", g.node("Mul", total, g.size(n)), a) if total else a
    return g.node("Reshape", total, g.integers([-1]))


def _take_along(g: Writer, op: Op) -> str:
    return g.node("GatherElements", op[0], op[1], axis=op.parameters["along"]["axis"])


def _arange(g: Writer, op: Op) -> str:
    p: dict[str, Any] = op.parameters
    zero, one = (g.number(n, "int64") for n in (0, 1))
    n = g.node("Squeeze", g.size(p["n"]), g.integers([0]))
    places = cast(g, g.node("Range", zero, n, one), op.y.dtype)
    if isinstance(p["start"], Free) or isinstance(p["step"], Free):
        raise op.fail("where a range starts depends on a free axis")
    if p["step"] != 1:
        places = g.node("Mul", places, g.number(p["step"], op.y.dtype))
    return places if p["start"] == 0 else g.node("Add", places, g.number(p["start"], op.y.dtype))


def _one_hot(g: Writer, op: Op) -> str:
    if isinstance(op.parameters["n"], Free):
        raise op.fail("the number of classes depends on a free axis")
    values = np.array([0, 1]).astype("float32" if op.y.dtype == "bfloat16" else op.y.dtype)
    return g.node(
        "OneHot", op[0], g.integers([op.parameters["n"]]), g.constant(values, None, op.y.dtype), axis=-1
    )


MOVEMENT: dict[str, Lowering] = {
    "reshape": _reshape,
    "permute_dims": lambda g, op: g.transpose(op[0], op.parameters["order"]),
    "broadcast_to": lambda g, op: g.node("Expand", op[0], g.sizes(op.y.shape)),
    "slice": _slice,
    "pad_constant": _pad,
    "concat": _concat,
    "gather": _gather,
    "resample": _resample,
    "scatter": _scatter,
    "rows": _rows,
    "take_along_axis": _take_along,
    "arange": _arange,
    "one_hot": _one_hot,
}
