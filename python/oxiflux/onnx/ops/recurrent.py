"""Recurrent layers, as ONNX orders their gates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ... import _core
from ..._core import Tensor
from ..reading import UnsupportedError
from ..table import traced
from ..trace import Trace, Value

_FUNCTIONS: dict[str, Callable[[Tensor, float, float], Tensor]] = {
    "sigmoid": lambda x, a, b: _core.sigmoid(x),
    "tanh": lambda x, a, b: _core.tanh(x),
    "relu": lambda x, a, b: _core.relu(x),
    "affine": lambda x, a, b: x * a + b,
    "leakyrelu": lambda x, a, b: _core.leakyrelu(x, a),
    "thresholdedrelu": lambda x, a, b: _core.where(x > a, x, x * 0),
    "scaledtanh": lambda x, a, b: _core.tanh(x * b) * a,
    "hardsigmoid": lambda x, a, b: _core.minimum(_core.maximum(x * a + b, 0.0), 1.0),
    "elu": lambda x, a, b: _core.elu(x, a),
    "softsign": lambda x, a, b: _core.softsign(x),
    "softplus": lambda x, a, b: _core.softplus(x),
}
# alpha and beta where none are given.
_USUAL = {
    "leakyrelu": (0.01, 0.0), "hardsigmoid": (0.2, 0.5), "elu": (1.0, 0.0), "thresholdedrelu": (1.0, 0.0),
    "affine": (1.0, 0.0), "scaledtanh": (1.0, 1.0),
}  # fmt: skip
_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
# Our order of gates, in terms of theirs.
_OURS = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2), "RNN": (0,)}


def weights(w: Tensor, direction: int, kind: str) -> Tensor:
    """A weight of ONNX, `(directions, gates * hidden, features)`, as `(features, gates * hidden)` in our order."""
    part = w[direction]
    hidden = part.shape[0] // _GATES[kind]
    gates = [part[g * hidden : (g + 1) * hidden] for g in _OURS[kind]]
    return _core.permute_dims(gates[0] if len(gates) == 1 else _core.concat(gates, 0), (1, 0)).copy()


def biases(b: Tensor, direction: int, kind: str) -> tuple[Tensor, Tensor]:
    """The two biases in our order of gates."""
    halves = _core.reshape(b[direction], (2, _GATES[kind], -1))
    ordered = [_core.concat([half[g] for g in _OURS[kind]], 0) for half in (halves[0], halves[1])]
    return ordered[0], ordered[1]


def _sum(a: Tensor, b: Tensor) -> Tensor:
    return a + b


def _run_fast(
    x: Tensor, h: Tensor | None, c: Tensor | None, w: Tensor, r: Tensor, b: Tensor | None, rb: Tensor | None,
    *, kind: str, reverse: bool,
) -> Any:  # fmt: skip
    """One direction of a layer whose cell is the usual one: all steps are one operation."""
    hidden = r.shape[0]
    x = _core.permute_dims(x, (1, 0, 2))
    x = _core.flip(x, 1) if reverse else x
    zeros = _core.zeros((x.shape[0], hidden), x.dtype)
    states = [zeros if h is None else h]
    if kind == "lstm":
        states.append(zeros if c is None else c)
    b = _core.zeros(w.shape[-1], x.dtype) if b is None else b
    y, memory = _core.recurrent(kind, x, states, w, r, b, rb, False, kind == "lstm")
    last = y[:, -1]
    y = _core.flip(y, 1) if reverse else y
    y = _core.permute_dims(y, (1, 0, 2))
    return (y, last, memory) if kind == "lstm" else (y, last)


def _directions(
    trace: Trace,
    kind: str,
    x: Value,
    w: Value,
    r: Value,
    b: Value | None,
    lengths: Value | None,
    h: Value | None,
    c: Value | None,
    p: Value | None,
    *,
    activations: Sequence[str] | None,
    activation_alpha: Sequence[float] | None,
    activation_beta: Sequence[float] | None,
    clip: float | None,
    direction: str,
    layout: int,
    input_forget: int = 0,
    linear_before_reset: int = 0,
    hidden_size: int | None = None,
) -> list[Value]:
    if direction not in ("forward", "reverse", "bidirectional"):
        raise ValueError(f"onnx: {kind}: direction is forward, reverse or bidirectional, got {direction!r}")
    x = trace.plain(x)
    if layout:
        x = trace.run(_core.permute_dims, x, (1, 0, 2))
        h, c = (v and trace.run(_core.permute_dims, trace.plain(v), (1, 0, 2)) for v in (h, c))
    steps = x.shape[0]
    ends = None if lengths is None else trace.host(lengths)
    if ends is not None and (ends == steps).all():
        ends = None
    if not steps:
        raise ValueError(f"onnx: {kind}: the sequence is empty, shape {x.shape}")
    count = 2 if direction == "bidirectional" else 1
    hidden, gates = r.shape[-1] if hidden_size is None else hidden_size, {"LSTM": 4, "GRU": 3, "RNN": 1}[kind]
    wanted = [(count, gates * hidden, x.shape[-1]), (count, gates * hidden, hidden)]
    if [w.shape, r.shape] != wanted:
        raise ValueError(f"onnx: {kind}: W and R have the shapes {w.shape}, {r.shape}, expected {wanted}")
    usual = {"LSTM": ["sigmoid", "tanh", "tanh"], "GRU": ["sigmoid", "tanh"], "RNN": ["tanh"]}[kind]
    names = [a.lower() for a in activations or usual * count]
    each = len(usual)
    results = []
    for d in range(count):
        reverse = direction == "reverse" or d == 1
        own = names[d * each : (d + 1) * each]
        start = h and trace.run(picked, trace.plain(h), place=d)
        memory = c and trace.run(picked, trace.plain(c), place=d)
        plain_cell = own == usual or (kind == "RNN" and own == ["relu"])
        is_fast = plain_cell and ends is None and not clip and p is None and not input_forget
        if is_fast and (kind != "GRU" or linear_before_reset):
            wi = trace.run(weights, trace.plain(w), direction=d, kind=kind)
            wh = trace.run(weights, trace.plain(r), direction=d, kind=kind)
            bi = bh = None
            if b is not None:
                bi, bh = trace.run(biases, trace.plain(b), direction=d, kind=kind)
                if kind != "GRU":
                    bi, bh = trace.run(_sum, bi, bh), None
            name = own[0] if kind == "RNN" else kind.lower()
            found = trace.run(_run_fast, x, start, memory, wi, wh, bi, bh, kind=name, reverse=reverse)
        else:
            alphas, betas = _numbers(names, activation_alpha, 0), _numbers(names, activation_beta, 1)
            functions = [(n, alphas[d * each + i], betas[d * each + i]) for i, n in enumerate(own)]
            if unknown := [n for n in own if n not in _FUNCTIONS]:
                raise UnsupportedError(f"onnx: {kind}: the activation {unknown[0]!r} is not supported")
            found = trace.run(
                _run_stepwise, x, start, memory, trace.plain(w), trace.plain(r), b and trace.plain(b),
                p and trace.plain(p), kind=kind, direction=d, reverse=reverse, functions=functions, clip=clip,
                ends=ends, linear_before_reset=bool(linear_before_reset), input_forget=bool(input_forget),
            )  # fmt: skip
        results.append(found)
    sides = list(zip(*results, strict=True))
    y = trace.run(_core.stack, list(sides[0]), 1)
    last = [trace.run(_core.stack, list(side), 0) for side in sides[1:]]
    if layout:
        y = trace.run(_core.permute_dims, y, (2, 0, 1, 3))
        last = [trace.run(_core.permute_dims, v, (1, 0, 2)) for v in last]
    return [y, *last]


def picked(x: Tensor, place: int) -> Tensor:
    """One slice of the first axis."""
    return x[place]


def _numbers(names: Sequence[str], given: Sequence[float] | None, which: int) -> list[float]:
    """The alphas or betas: those that are given belong in turn to the functions that have one."""
    rest = list(given or ())
    found = []
    for name in names:
        usual = _USUAL.get(name)
        takes = usual is not None and (which == 0 or name in ("affine", "scaledtanh", "hardsigmoid"))
        found.append(rest.pop(0) if takes and rest else usual[which] if usual else 0.0)
    return found


def _run_stepwise(
    x: Tensor,
    h: Tensor | None,
    c: Tensor | None,
    w: Tensor,
    r: Tensor,
    b: Tensor | None,
    p: Tensor | None,
    *,
    kind: str,
    direction: int,
    reverse: bool,
    functions: Sequence[tuple[str, float, float]],
    clip: float | None,
    ends: Any,
    linear_before_reset: bool,
    input_forget: bool,
) -> Any:
    """One direction in its general form, step by step."""
    steps, batch, _ = x.shape
    gates = _GATES[kind]
    wi, wh = _core.permute_dims(w[direction], (1, 0)), _core.permute_dims(r[direction], (1, 0))
    hidden = wh.shape[0]
    zeros = _core.zeros((batch, hidden), x.dtype)
    h, c = zeros if h is None else h, zeros if c is None else c
    both = _core.reshape(b[direction], (2, gates * hidden)) if b is not None else None
    peeps = None if p is None else _core.reshape(p[direction], (3, hidden))
    calls = [
        (lambda v, f=_FUNCTIONS[name], a=alpha, e=beta: f(_clipped(v, clip), a, e))
        for name, alpha, beta in functions
    ]
    lasts = np.full(batch, steps) if ends is None else ends
    outputs: list[Any] = [None] * steps
    inputs = _core.matmul(x, wi)
    for t in range(steps):
        # A sequence that is shorter is turned round within its length.
        at = np.where(t < lasts, lasts - 1 - t, t) if reverse else np.full(batch, t)
        now = inputs[t if not reverse else int(at[0])] if (at == at[0]).all() else _rows(inputs, at)
        new_h, new_c = _cell(
            kind, now, h, c, wh, both, peeps, calls, hidden, linear_before_reset, input_forget
        )
        alive = (t < lasts)[:, None]
        if alive.all():
            h, c, out = new_h, new_c, new_h
        else:
            h, c = _core.where(alive, new_h, h), _core.where(alive, new_c, c)
            out = _core.where(alive, new_h, zeros)
        outputs[t] = out
    y = _core.stack(outputs, 0)
    if reverse:
        places = np.arange(steps)[:, None]
        turned = np.where(places < lasts[None], lasts[None] - 1 - places, places)
        y = _core.take_along_axis(y, np.broadcast_to(turned[..., None], y.shape).copy(), 0)
    return (y, h, c) if kind == "LSTM" else (y, h)


def _rows(x: Tensor, at: Any) -> Tensor:
    return _core.stack([x[int(t), i] for i, t in enumerate(at)], 0)


def _clipped(x: Tensor, clip: float | None) -> Tensor:
    return _core.minimum(_core.maximum(x, -clip), clip) if clip else x


def _cell(
    kind: str, now: Tensor, h: Tensor, c: Tensor, wh: Tensor, both: Tensor | None, peeps: Tensor | None,
    calls: Sequence[Callable[[Tensor], Tensor]], n: int, linear_before_reset: bool, input_forget: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """One step: the new state and memory."""
    if kind == "GRU":
        bi, bh = (None, None) if both is None else (both[0], both[1])
        now = now if bi is None else now + bi
        zr = now[..., : 2 * n] + _core.matmul(h, wh[:, : 2 * n])
        zr = zr if bh is None else zr + bh[: 2 * n]
        gates = calls[0](zr)
        z, r = gates[..., :n], gates[..., n:]
        if linear_before_reset:
            inner = _core.matmul(h, wh[:, 2 * n :])
            inner = r * (inner if bh is None else inner + bh[2 * n :])
        else:
            inner = _core.matmul(r * h, wh[:, 2 * n :])
            inner = inner if bh is None else inner + bh[2 * n :]
        fresh = calls[1](now[..., 2 * n :] + inner)
        return (1 - z) * fresh + z * h, c
    total = now + _core.matmul(h, wh)
    total = total if both is None else total + (both[0] + both[1])
    if kind == "RNN":
        return calls[0](total), c
    i, o, f, g = (total[..., k * n : (k + 1) * n] for k in range(4))
    if peeps is not None:
        i, f = i + peeps[0] * c, f + peeps[2] * c
    i, g = calls[0](i), calls[1](g)
    f = 1 - i if input_forget else calls[0](f)
    c = f * c + i * g
    if peeps is not None:
        o = o + peeps[1] * c
    return calls[0](o) * calls[2](c), c


Names = Sequence[str] | None
Floats = Sequence[float] | None


@traced("LSTM")
def lstm(
    trace: Trace,
    x: Value,
    w: Value,
    r: Value,
    b: Value | None = None,
    lengths: Value | None = None,
    h: Value | None = None,
    c: Value | None = None,
    p: Value | None = None,
    *,
    activation_alpha: Floats = None,
    activation_beta: Floats = None,
    activations: Names = None,
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    input_forget: int = 0,
    layout: int = 0,
    output_sequence: int = 0,
) -> list[Value]:
    return _directions(
        trace, "LSTM", x, w, r, b, lengths, h, c, p, activations=activations, activation_alpha=activation_alpha,
        activation_beta=activation_beta, clip=clip, direction=direction, layout=layout, input_forget=input_forget,
        hidden_size=hidden_size,
    )  # fmt: skip


@traced("GRU")
def gru(
    trace: Trace,
    x: Value,
    w: Value,
    r: Value,
    b: Value | None = None,
    lengths: Value | None = None,
    h: Value | None = None,
    *,
    activation_alpha: Floats = None,
    activation_beta: Floats = None,
    activations: Names = None,
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    layout: int = 0,
    linear_before_reset: int = 0,
    output_sequence: int = 0,
) -> list[Value]:
    return _directions(
        trace, "GRU", x, w, r, b, lengths, h, None, None, activations=activations,
        activation_alpha=activation_alpha, activation_beta=activation_beta, clip=clip, direction=direction,
        layout=layout, linear_before_reset=linear_before_reset, hidden_size=hidden_size,
    )  # fmt: skip


@traced("RNN")
def rnn(
    trace: Trace,
    x: Value,
    w: Value,
    r: Value,
    b: Value | None = None,
    lengths: Value | None = None,
    h: Value | None = None,
    *,
    activation_alpha: Floats = None,
    activation_beta: Floats = None,
    activations: Names = None,
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    layout: int = 0,
    output_sequence: int = 0,
) -> list[Value]:
    return _directions(
        trace, "RNN", x, w, r, b, lengths, h, None, None, activations=activations,
        activation_alpha=activation_alpha, activation_beta=activation_beta, clip=clip, direction=direction,
        layout=layout, hidden_size=hidden_size,
    )  # fmt: skip
