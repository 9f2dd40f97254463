"""What layers do in one operation: convolution, pooling, normalisation, recurrence, attention.

Images have their channels last here and first in ONNX. A lowering takes its image transposed and gives one that is
known to be a transposed one, so that between two of them no transpose is left.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..recorded import Free, Size
from ..writer import Op, Writer
from .elementwise import Lowering, Term, activated

__all__ = ["LAYERS"]


def _first(rank: int) -> tuple[int, ...]:
    """The order that brings the channels to the front."""
    return (0, rank - 1, *range(1, rank - 1))


def _last(rank: int) -> tuple[int, ...]:
    """The order that brings them back."""
    return (0, *range(2, rank), 1)


def _weight(g: Writer, op: Op, rank: int) -> str:
    """`(*window, in, out)` as `(out, in, *window)`."""
    order = (rank - 1, rank - 2, *range(rank - 2))
    return op.folded(1, lambda w: w.transpose(order), lambda w: g.transpose(w, order))


def _conv(g: Writer, op: Op) -> str:
    sizes, rank = op.parameters["sizes"], len(op.x.shape)
    windows = sizes["geometry"]["windows"][5 - rank :]
    x, weight = g.transpose(op[0], _first(rank)), _weight(g, op, rank)
    y = g.node(
        "Conv", x, weight, *([op[2]] if len(op) > 2 else []),
        group=sizes["geometry"]["groups"],
        strides=[w["stride"] for w in windows],
        dilations=[w["dilation"] for w in windows],
        pads=[*(w["before"] for w in windows), *sizes["after"][5 - rank :]],
    )  # fmt: skip
    return g.transpose(activated(g, y, op.parameters["activation"], op.y.dtype), _last(rank))


def _conv_transpose(g: Writer, op: Op) -> str:
    sizes, rank = op.parameters["sizes"], len(op.x.shape)
    windows = sizes["geometry"]["windows"][5 - rank :]
    after, more = [], []
    for w in windows:
        reach = (w["kernel"] - 1) * w["dilation"] + 1
        inputs, outputs = _each(w["input"]), _each(w["output"])
        count = max(len(inputs), len(outputs))
        inputs, outputs = (n * (count // len(n)) for n in (inputs, outputs))
        rest = {
            i - (w["stride"] * (o - 1) + reach - w["before"]) for i, o in zip(inputs, outputs, strict=True)
        }
        if len(rest) > 1:
            raise op.fail("a length of the result is not a function of that of the images")
        n = rest.pop()
        after.append(max(-n, 0))
        more.append(max(n, 0))
    y = g.node(
        "ConvTranspose", g.transpose(op[0], _first(rank)), _weight(g, op, rank),
        group=sizes["geometry"]["groups"],
        strides=[w["stride"] for w in windows],
        dilations=[w["dilation"] for w in windows],
        pads=[*(w["before"] for w in windows), *after],
        output_padding=more,
    )  # fmt: skip
    return g.transpose(y, _last(rank))


def _each(n: Size) -> tuple[int, ...]:
    return tuple(n) if isinstance(n, Free) else (n,)


def _windows(op: Op) -> tuple[dict[str, Any], bool]:
    """The attributes of a pooling, and whether windows may go beyond the padding."""
    pooling, rank = op.parameters["pooling"], len(op.x.shape)
    windows, skip = pooling["windows"], 5 - rank
    names = {"kernel_shape": "size", "strides": "stride", "dilations": "dilation"}
    attributes = {name: list(windows[part][skip:]) for name, part in names.items()}
    before, after = list(windows["before"][skip:]), list(pooling["after"][skip:])
    attributes["pads"] = before + after
    is_more = False
    for i in range(rank - 2):
        reach = (attributes["kernel_shape"][i] - 1) * attributes["dilations"][i] + 1
        pairs = zip(_each(op.x.shape[i + 1]), _each(op.y.shape[i + 1]), strict=False)
        is_more |= any(
            (n + before[i] + after[i] - reach) // attributes["strides"][i] + 1 != m for n, m in pairs
        )
    return attributes, is_more


def _maxpool(g: Writer, op: Op) -> str:
    attributes, is_more = _windows(op)
    rank = len(op.x.shape)
    y = g.node("MaxPool", g.transpose(op[0], _first(rank)), ceil_mode=int(is_more), **attributes)
    return g.transpose(y, _last(rank))


def _sumpool(g: Writer, op: Op) -> str:
    """Sums, or means: by a convolution with the same number everywhere, unless it is what AveragePool does."""
    attributes, is_more = _windows(op)
    rank, scale = len(op.x.shape), op.parameters["scale"]
    if op.parameters["transposed"]:
        raise op.fail("it is the gradient of a pooling")
    x = g.transpose(op[0], _first(rank))
    area = int(np.prod(attributes["kernel_shape"]))
    if not is_more and scale == 1 / area and set(attributes["dilations"]) == {1}:
        del attributes["dilations"]
        return g.transpose(g.node("AveragePool", x, count_include_pad=1, **attributes), _last(rank))
    if is_more:
        attributes["pads"] = attributes["pads"][: rank - 2] + _reached(op, attributes)
    channels = op.x.shape[-1]
    if isinstance(channels, Free):
        raise op.fail("the number of channels is free")
    weight = np.full((channels, 1, *attributes["kernel_shape"]), scale, op.x.dtype)
    return g.transpose(g.node("Conv", x, g.constant(weight), group=channels, **attributes), _last(rank))


def _reached(op: Op, attributes: dict[str, Any]) -> list[int]:
    """The padding that all windows lie in."""
    after = []
    for i, (n, m) in enumerate(zip(op.x.shape[1:-1], op.y.shape[1:-1], strict=True)):
        if isinstance(n, Free) or isinstance(m, Free):
            raise op.fail("windows go beyond an axis that is free (ceil_mode=True)")
        reach = (attributes["kernel_shape"][i] - 1) * attributes["dilations"][i] + 1
        after.append(max(0, (m - 1) * attributes["strides"][i] + reach - n - attributes["pads"][i]))
    return after


def _norm(g: Writer, op: Op) -> tuple[str, ...]:
    layout, eps, about = (op.parameters[key] for key in ("layout", "eps", "about"))
    shape, dtype = op.x.shape, op.x.dtype
    if about == "Given":
        return (_norm_given(g, op, eps),)
    trailing = _trailing(shape, layout)
    has_moments = op.is_needed(1) or op.is_needed(2)
    if (
        about == "Mean"
        and not has_moments
        and trailing is not None
        and layout["n"] == 1
        and layout["groups"] == 1
    ):
        sizes = [int(n) for n in shape[trailing:]]  # type: ignore[arg-type]
        scale, bias = (_shaped(g, op, i, sizes) for i in (1, 2))
        return (g.node("LayerNormalization", op[0], scale, bias, axis=trailing, epsilon=eps),)
    apart = (layout["outer"], layout["n"], layout["groups"], layout["width"])
    x = Term(g, g.reshape(op[0], shape, apart), dtype)
    axes = Term(g, g.integers([1, 3]), "int64")
    mean = x.do("ReduceMean", axes, keepdims=1)
    centred = x if about == "Zero" else x - mean
    var = (centred * centred).do("ReduceMean", axes, keepdims=1)
    normal = g.reshape((centred / (var + eps).do("Sqrt")).name, apart, shape)
    is_row = trailing is not None and layout["groups"] == 1
    sizes = [int(n) for n in shape[trailing:]] if is_row else [-1]  # type: ignore[arg-type]
    y = Term(g, normal, dtype) * Term(g, _shaped(g, op, 1, sizes), dtype)
    summand = op.array(2)
    if summand is None or np.any(summand):
        y = y + Term(g, _shaped(g, op, 2, sizes), dtype)
    kept = (apart[0], 1, apart[2], 1)
    moments = [g.reshape(m.name, kept, op.outputs[1].shape) for m in (mean, var)] if has_moments else []
    return (y.name, *moments)


def _trailing(shape: tuple[Size, ...], layout: dict[str, Any]) -> int | None:
    """The axis from which on the elements of a row are normalised."""
    for axis in range(len(shape)):
        rest = shape[axis:]
        if (
            not any(isinstance(n, Free) for n in rest)
            and int(np.prod(rest)) == layout["groups"] * layout["width"]
        ):
            return axis
    return None


def _shaped(g: Writer, op: Op, i: int, sizes: list[int]) -> str:
    """A scale or a bias with the axes of what it is for."""
    return op.folded(i, lambda a: a.reshape(sizes), lambda x: g.node("Reshape", x, g.integers(sizes)))


def _norm_given(g: Writer, op: Op, eps: float) -> str:
    """By a mean and a variance that are known: a factor and a summand of each channel, or a node of its own."""
    rank = len(op.x.shape)
    if rank > 2:
        names = [
            op.folded(i, lambda a: a.reshape(-1), lambda x: g.node("Reshape", x, g.integers([-1])))
            for i in range(1, 5)
        ]
        y = g.node("BatchNormalization", g.transpose(op[0], _first(rank)), *names, epsilon=eps)
        return g.transpose(y, _last(rank))
    x, scale, bias, mean, var = (
        Term(g, _shaped(g, op, i, [-1]) if i else op[0], op.x.dtype) for i in range(5)
    )
    return ((x - mean) / (var + eps).do("Sqrt") * scale + bias).name


_GATES = {"Tanh": [0], "Relu": [0], "Lstm": [0, 3, 1, 2], "Gru": [1, 0, 2]}


def _recurrent(g: Writer, op: Op) -> tuple[str, ...]:
    p, kind = op.parameters, str(op.parameters["kind"])
    order, hidden = _GATES[kind], int(op.inputs[2].shape[0])  # type: ignore[arg-type]
    rest = iter(range(4, len(op)))
    memory = next(rest) if kind == "Lstm" else None
    biases = [next(rest) if p[key] else None for key in ("bias", "bias_hh")]

    def weight(i: int) -> str:
        return op.folded(
            i, lambda w: _sorted(w.T, order)[None], lambda w: _gates(g, g.transpose(w, (1, 0)), order, hidden)
        )

    bias = ""
    if biases != [None, None]:
        zero = np.zeros(len(order) * hidden, op.x.dtype)
        parts = [g.constant(_sorted(zero, order)) if i is None else op.folded(
            i, lambda b: _sorted(b, order), lambda b: g.node("Squeeze", _gates(g, b, order, hidden), g.integers([0]))
        ) for i in biases]  # fmt: skip
        bias = g.node("Unsqueeze", g.node("Concat", *parts, axis=0), g.integers([0]))
    states = [g.node("Unsqueeze", op[i], g.integers([0])) for i in (3, memory) if i is not None]
    attributes: dict[str, Any] = {"hidden_size": hidden}
    if kind in ("Tanh", "Relu"):
        attributes["activations"] = [kind]
    elif kind == "Gru":
        attributes["linear_before_reset"] = 1
    x = g.transpose(op[0], (1, 0, 2))
    name = {"Tanh": "RNN", "Relu": "RNN", "Lstm": "LSTM", "Gru": "GRU"}[kind]
    inputs = [x, weight(1), weight(2), bias, "", *states]
    y, *last = g.node(name, *inputs, outputs=3 if kind == "Lstm" else 2, **attributes)
    y = g.transpose(g.node("Squeeze", y, g.integers([1])), (1, 0, 2))
    if not p["memory"]:
        return (y,)
    batch, time = op.x.shape[:2]
    memories = g.node("Squeeze", last[1], g.integers([0]))
    parts_of = [(y, (batch, time, hidden)), (memories, (batch, hidden))]
    flat = [(_product(was), g.reshape(part, was, (_product(was),))) for part, was in parts_of]
    whole = g.node("Concat", *(name for _, name in flat), axis=0)
    g.parts[whole] = flat
    return (whole,)


def _product(shape: tuple[Size, ...]) -> Size:
    count = max((len(n) for n in shape if isinstance(n, Free)), default=0)
    if not count:
        return int(np.prod(shape))
    return Free(int(np.prod([n[i] if isinstance(n, Free) else n for n in shape])) for i in range(count))


def _sorted(w: np.ndarray[Any, Any], order: list[int]) -> np.ndarray[Any, Any]:
    """The gates along the first axis in ONNX's order."""
    return np.concatenate([np.split(w, len(order))[i] for i in order])


def _gates(g: Writer, w: str, order: list[int], hidden: int) -> str:
    """The same by nodes, with the axis of directions in front."""
    numbers = np.concatenate([np.arange(hidden) + i * hidden for i in order])
    return g.node("Unsqueeze", g.node("Gather", w, g.constant(numbers), axis=0), g.integers([0]))


def _attention(g: Writer, op: Op) -> str:
    p, dtype = op.parameters, op.x.dtype
    queries, keys = p["heads"]["queries"], p["heads"]["keys"]
    (batch, length, features), (_, others, _), values = (x.shape for x in op.inputs[:3])
    width, out = int(features) // queries, int(values[2]) // keys  # type: ignore[arg-type]

    def heads(i: int, n: int, size: int) -> str:
        """`(batch, heads, length, size)`, in which keys are repeated for the queries that share them."""
        was = op.inputs[i].shape
        x = g.transpose(g.reshape(op[i], was, (*was[:2], n, size)), (0, 2, 1, 3))
        if n == queries:
            return x
        x = g.node("Unsqueeze", x, g.integers([2]))
        x = g.node("Expand", x, g.sizes((batch, n, queries // n, was[1], size)))
        return g.reshape(x, (batch, n, queries // n, was[1], size), (batch, queries, was[1], size))

    q, k, v = Term(g, heads(0, queries, width), dtype), heads(1, keys, width), heads(2, keys, out)
    scores = q * float(width**-0.5)
    scores = scores.do("MatMul", Term(g, g.transpose(k, (0, 1, 3, 2)), dtype))
    rest = iter(range(3, len(op)))
    if p["bias"]:
        scores = scores + Term(g, op[next(rest)], dtype)
    masks = [op[next(rest)]] if p["mask"] else []
    masks += [_causal(g, length, others)] if p["causal"] else []
    seen = Term(g, masks[0] if len(masks) == 1 else g.node("And", *masks), dtype) if masks else None
    if seen is not None:
        scores = seen.where(scores, -np.inf, scores)
    found = scores.do("Softmax", axis=-1)
    if p["mask"] and seen is not None:
        # Where nothing is seen there is nothing, not NaN.
        found = seen.where(found, 0.0, found)
    y = g.transpose(found.do("MatMul", Term(g, v, dtype)).name, (0, 2, 1, 3))
    return g.reshape(y, (batch, length, queries, out), (batch, length, queries * out))


def _causal(g: Writer, queries: Size, keys: Size) -> str:
    if not isinstance(queries, Free) and not isinstance(keys, Free):
        return g.constant(np.tri(queries, keys, dtype=bool))

    def places(n: Size, axis: int) -> str:
        zero, one = (g.number(i, "int64") for i in (0, 1))
        last = g.node("Squeeze", g.size(n), g.integers([0]))
        return g.node("Unsqueeze", g.node("Range", zero, last, one), g.integers([axis]))

    return g.node("GreaterOrEqual", places(queries, 1), places(keys, 0))


LAYERS: dict[str, Lowering] = {
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "maxpool": _maxpool,
    "meanpool": _sumpool,
    "sumpool": _sumpool,
    "norm": _norm,
    "recurrent": _recurrent,
    "attention": _attention,
}
