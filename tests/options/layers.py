"""Layers: what each option does to the result, with parameters that are known."""

from types import SimpleNamespace

import numpy as np

import oxiflux as flux
import references as ref
import zoo
from options.rows import Pair, Row, With, numbers, others

TANH = Pair(flux.tanh, np.tanh)


def identity(x):
    return x


def value(given, default):
    """A bias in the formula, where True stands for zeros."""
    return default if given is True or given is False else given


def plain(make, formula, *inputs, **turned):
    """A layer made with known weights, called with `inputs`."""
    return Row(lambda **o: make(**({"init": numbers} | o))(*inputs), formula, {"init": others} | turned, 1e-5)


def called(make, inputs, formula, **turned):
    """The options of calling a layer."""
    return Row(lambda **o: make()(*inputs, **o), formula, turned, 1e-5)


def bag(reduction=np.mean, init=numbers, at=None):
    table = init(7, 3)
    if at is None:
        return reduction(table[np.array([2, 2, 0, 5])], axis=0)
    return np.stack([reduction(part, axis=0) for part in np.split(table[[2, 2, 0, 5]], at[1:])])


def padded_table(init=numbers, padding_idx=None):
    labels = np.array([[2, 0], [1, 2]])
    rows = init(7, 3)[labels]
    return rows if padding_idx is None else np.where((labels == padding_idx)[..., None], 0, rows)


def training_dropout(p, axis=None, active=None):
    """`x` where ones are kept after the same seed; without `active`, all of it."""
    x = numbers(4, 3, 2)
    if not active:
        return x
    axes = range(3) if axis is None else [axis]
    flux.seed(0)
    mask = flux.dropout(flux.ones([n if i in axes else 1 for i, n in enumerate(x.shape)]), p).numpy() > 0
    return np.where(mask, x / (1 - p), 0)


def seeded(layer, x):
    flux.seed(0)
    return layer(x)


def weight_normed(which="weight", axis=None):
    w, b = numbers(3, 2), numbers(2)
    length = lambda v, axes: np.sqrt((v.astype(np.float64) ** 2).sum(axes, keepdims=True))
    g = 2.0
    if which == "bias":
        return numbers(4, 3) @ w + g * b
    axes = (0,) if axis is None else axis
    # Its lengths are doubled in the first place along the axis that keeps them apart.
    scale = np.where(np.arange(length(w, axes).size).reshape(length(w, axes).shape) == 0, g, 1)
    return numbers(4, 3) @ (w * scale) + b


def with_other_length(**options):
    """A weight norm whose first length is doubled."""
    layer = flux.WeightNorm(flux.Dense(3, 2, bias=numbers(2), init=numbers), **options)
    first = np.where(np.arange(layer.g.size).reshape(layer.g.shape) == 0, 2.0, 1.0)
    layer.g = layer.g * first.astype(np.float32)
    return layer


def resized(x, scale=2, size=None, align_corners=True, mode="linear"):
    lengths = x.shape[1:-1]
    scale = scale if isinstance(scale, tuple) else (scale,) * len(lengths)
    if size is None:
        size = tuple(int(n * s) for n, s in zip(lengths, scale, strict=True))
    size = size if isinstance(size, tuple) else (size,) * len(lengths)
    if mode == "cubic":
        return ref.cubic(x, size, align_corners)
    if mode != "nearest":
        return ref.interpolated(x, size, align_corners)
    for axis, m in enumerate(size, start=1):
        x = np.take(x, np.arange(m) * x.shape[axis] // m, axis=axis)
    return x


def upsampler(name, shape, mode="linear", **turned):
    x = numbers(*shape)
    turned |= {"scale": 3, "size": 12}

    def ours(**options):
        return getattr(flux, name)(x, **(options if "size" in options else {"scale": 2} | options))

    return Row(ours, lambda **o: resized(x, mode=mode, **o), turned, 1e-5)


def upsample_layer(**options):
    return flux.Upsample(**(options if "size" in options else {"scale": 2} | options))(numbers(2, 3, 2))


ROWS = {
    "Dense": plain(
        lambda **o: flux.Dense(5, 3, **o),
        lambda activation=identity, bias=True, init=numbers: activation(
            numbers(4, 5) @ init(5, 3) + value(bias, 0)
        ),
        numbers(4, 5), activation=TANH, bias=numbers(3),
    ),
    "Bilinear": plain(
        lambda **o: flux.Bilinear((3, 4), 5, **o),
        lambda activation=identity, bias=True, init=numbers: activation(
            np.einsum("bi,ijk,bj->bk", numbers(2, 3), init(3, 4, 5), numbers(2, 4)) + value(bias, 0)
        ),
        numbers(2, 3), numbers(2, 4), activation=TANH, bias=numbers(5),
    ),
    "Scale": plain(
        lambda **o: flux.Scale(2, 3, **o),
        lambda bias=True, init=numbers, activation=identity: activation(
            init(2, 3) * others(4, 2, 3) + value(bias, 0)
        ),
        others(4, 2, 3), activation=TANH, bias=numbers(2, 3),
    ),
    "Embedding": plain(
        lambda **o: flux.Embedding(7, 3, **o), padded_table, np.array([[2, 0], [1, 2]]), padding_idx=2
    ),
    "EmbeddingBag": plain(
        lambda **o: flux.EmbeddingBag(7, 3, **o), bag, [2, 2, 0, 5], reduction=Pair(flux.max, np.max)
    ),
    "EmbeddingBag.__call__": called(
        lambda: flux.EmbeddingBag(7, 3, init=numbers), ([2, 2, 0, 5],), bag, at=[0, 1]
    ),
    "Dropout": Row(
        lambda **o: seeded(flux.Dropout(0.4, **o), numbers(4, 3, 2)),
        lambda **o: training_dropout(0.4, **o),
        {"active": True, "axis": With(0, {"active": True})},
    ),
    "AlphaDropout": Row(
        lambda **o: seeded(flux.AlphaDropout(0.4, **o), numbers(4, 3)),
        lambda active=None: zoo.alpha_dropped(SimpleNamespace(p=0.4), numbers(4, 3)) if active else numbers(4, 3),
        {"active": True},
        1e-5,
    ),
    "dropout": Row(
        lambda **o: seeded(lambda x: flux.dropout(x, 0.4, **o), numbers(4, 3, 2)),
        lambda **o: training_dropout(0.4, active=True, **o),
        {"axis": 0},
    ),
    "WeightNorm": Row(
        lambda **o: with_other_length(**o)(numbers(4, 3)),
        weight_normed,
        {"which": "bias", "axis": 1},
        1e-5,
    ),
    "Upsample": Row(
        upsample_layer,
        lambda mode="nearest", **o: resized(numbers(2, 3, 2), mode=mode, **o),
        {
            "mode": "linear", "scale": 3, "size": 12,
            "align_corners": With(False, {"mode": "linear"}),
        },
        1e-5,
    ),
    "upsample_nearest": upsampler("upsample_nearest", (2, 3, 4, 2), mode="nearest"),
    "upsample_linear": upsampler("upsample_linear", (2, 3, 2), align_corners=False),
    "upsample_bilinear": upsampler("upsample_bilinear", (2, 3, 4, 2), align_corners=False),
    "upsample_bicubic": upsampler("upsample_bicubic", (2, 3, 4, 2), mode="cubic", align_corners=False),
    "PReLU": Row(
        lambda channels=1, **o: flux.PReLU(channels, **o)(numbers(3, 4)),
        lambda channels=1, slope=0.25: np.where(numbers(3, 4) > 0, numbers(3, 4), slope * numbers(3, 4)),
        {"slope": 0.5},
    ),
    "upsample_trilinear": upsampler("upsample_trilinear", (1, 3, 2, 4, 2), align_corners=False),
}  # fmt: skip
