"""Graphs within nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import _core
from ..reading import Body
from ..table import plain, traced
from ..trace import Trace, Value


@traced("If")
def if_(trace: Trace, test: Value, *, then_branch: Body, else_branch: Body) -> Any:
    taken = then_branch if trace.host(test).reshape(-1)[0] else else_branch
    return trace.interpreter.inside(trace, taken, ())


@traced("Loop")
def loop(trace: Trace, most: Value | None, test: Value | None, *carried: Value, body: Body) -> Any:
    count = None if most is None else int(trace.host(most).reshape(-1)[0])
    goes_on = test is None or bool(trace.host(test).reshape(-1)[0])
    state = list(carried)
    rows: list[list[Value]] = [[] for _ in range(len(body.outputs) - 1 - len(carried))]
    i = 0
    while goes_on and (count is None or i < count):
        given = [Value(_core.tensor(np.array(i, np.int64))), Value(_core.tensor(np.array(True))), *state]
        again, *made = trace.interpreter.inside(trace, body, given[: len(body.inputs)])
        goes_on = bool(trace.host(again).reshape(-1)[0])
        state = made[: len(carried)]
        for row, value in zip(rows, made[len(carried) :], strict=True):
            row.append(value)
        i += 1
    return [*state, *(_stacked(trace, row, 0, body, 1 + len(carried) + k) for k, row in enumerate(rows))]


def _stacked(trace: Trace, rows: list[Value], axis: int, body: Body, place: int) -> Value:
    if not rows:
        info = body.outputs[place]
        sizes = [n if isinstance(n, int) else 0 for n in info.shape or ()]
        return Value(_core.zeros((0, *sizes), info.dtype or _core.float32))
    return trace.run(_core.stack, [trace.plain(x) for x in rows], axis)  # type: ignore[no-any-return]


@traced("Scan", since=9)
def scan(
    trace: Trace,
    *values: Value,
    body: Body,
    num_scan_inputs: int,
    scan_input_axes: Sequence[int] | None = None,
    scan_input_directions: Sequence[int] | None = None,
    scan_output_axes: Sequence[int] | None = None,
    scan_output_directions: Sequence[int] | None = None,
) -> Any:
    n = len(values) - num_scan_inputs
    state, rows = list(values[:n]), [trace.plain(x) for x in values[n:]]
    count = len(body.outputs) - n
    axes = [a % x.ndim for a, x in zip(scan_input_axes or [0] * len(rows), rows, strict=True)]
    ways = scan_input_directions or [0] * len(rows)
    lengths = {x.shape[a] for x, a in zip(rows, axes, strict=True)}
    if len(lengths) != 1:
        raise ValueError(f"onnx: Scan over axes of other lengths: {sorted(lengths)}")
    (length,) = lengths
    made: list[list[Value]] = [[] for _ in range(count)]
    for i in range(length):
        parts = [
            trace.run(one, x, axis=a, place=length - 1 - i if way else i)
            for x, a, way in zip(rows, axes, ways, strict=True)
        ]
        found = trace.interpreter.inside(trace, body, [*state, *parts])
        state = found[:n]
        for row, value in zip(made, found[n:], strict=True):
            row.append(value)
    outs = []
    for k, row in enumerate(made):
        if scan_output_directions and scan_output_directions[k]:
            row.reverse()
        axis = scan_output_axes[k] if scan_output_axes else 0
        outs.append(_stacked(trace, row, axis, body, n + k))
    return [*state, *outs]


@traced("Scan", since=8)
def scan_of_batches(
    trace: Trace,
    lengths: Value | None,
    *values: Value,
    body: Body,
    num_scan_inputs: int,
    directions: Sequence[int] | None = None,
) -> Any:
    """In opset 8 the first axis is that of the batch, and the second the one that is scanned."""
    if lengths is not None:
        from ..reading import UnsupportedError

        raise UnsupportedError("onnx: Scan of opset 8 with lengths is not supported")
    values = tuple(trace.plain(x) for x in values)
    batches = []
    for b in range(values[0].shape[0]):
        parts = [trace.run(one, x, axis=0, place=b) for x in values]
        batches.append(
            scan(trace, *parts, body=body, num_scan_inputs=num_scan_inputs, scan_input_directions=directions)
        )
    return [
        trace.run(_core.stack, [trace.plain(x) for x in column], 0) for column in zip(*batches, strict=True)
    ]


def one(x: Any, axis: int, place: int) -> Any:
    """One slice of an axis, which is gone."""
    return x[(slice(None),) * axis + (place,)]


@plain("ReverseSequence", host=(1,))
def reverse_sequence(x: Any, lengths: Any, *, batch_axis: int = 1, time_axis: int = 0) -> Any:
    places = np.arange(x.shape[time_axis]).reshape(-1, 1)
    turned = np.where(places < lengths[None, :], lengths[None, :] - 1 - places, places)
    index = turned if time_axis == 0 else turned.T
    index = index.reshape(index.shape + (1,) * (x.ndim - 2))
    return _core.take_along_axis(x, np.broadcast_to(index, x.shape).copy(), time_axis)
