"""Convolutions and pooling: what each option does to the result."""

import numpy as np

import oxiflux as flux
import references as ref
from options.layers import TANH, identity, plain, value
from options.rows import Pair, Row, With, numbers

IMAGE = numbers(2, 7, 6, 4)


def pads(pad, window, dilation):
    """`(before, after)` of each dimension; the larger half goes before."""
    if pad == "same":
        excess = [(k - 1) * d for k, d in zip(window, dilation, strict=True)]
        return [half for n in excess for half in (n - n // 2, n // 2)]
    return [pad] * (2 * len(window)) if isinstance(pad, int) else list(pad)


def both(n):
    return (n, n) if isinstance(n, int) else n


def convolved(x, weight, bias=0, stride=1, pad=0, dilation=1, groups=1, flipped=False, activation=identity):
    weight = weight[::-1, ::-1] if flipped else weight
    dilation = both(dilation)
    pad = pads(pad, weight.shape[:2], dilation)
    return activation(ref.correlation(x, weight, both(stride), pad, dilation, groups) + value(bias, 0))


def conv(init=numbers, groups=1, **options):
    return convolved(IMAGE, init(3, 2, 4 // groups, 6), groups=groups, **options)


def depthwise(init=numbers, **options):
    return convolved(IMAGE, init(3, 2, 1, 8), groups=4, **options)


def transposed(init=numbers, stride=1, pad=0, dilation=1, groups=1, bias=True, outpad=0, activation=identity):
    dilation, stride = both(dilation), both(stride)
    weight = init(3, 2, 6 // groups, 4)
    y = ref.transposed(IMAGE, weight, stride, pads(pad, (3, 2), dilation), dilation, both(outpad), groups)
    return activation(y + value(bias, 0))


SLIDING = {
    "stride": (2, 1), "pad": (1, 0, 2, 1), "dilation": (2, 3), "activation": TANH,
}  # fmt: skip
BIAS = {"bias": numbers(6)}
WEIGHT = numbers(3, 2, 4, 6)

CONVOLUTIONS = {
    "Conv": plain(
        lambda **o: flux.Conv((3, 2), 4, 6, **o), conv, IMAGE, **SLIDING, **BIAS, groups=2, flipped=True
    ),
    "CrossCor": plain(
        lambda **o: flux.CrossCor((3, 2), 4, 6, **o), conv, IMAGE, **SLIDING, **BIAS, groups=2, flipped=True
    ),
    "DepthwiseConv": plain(
        lambda **o: flux.DepthwiseConv((3, 2), 4, 8, **o), depthwise, IMAGE, **SLIDING, bias=numbers(8),
        flipped=True,
    ),
    "ConvTranspose": plain(
        lambda **o: flux.ConvTranspose((3, 2), 4, 6, **o), transposed, IMAGE, **SLIDING, **BIAS, groups=2,
        outpad=With((1, 0), {"stride": 2}),
    ),
    "conv": Row(
        lambda **o: flux.conv(IMAGE, numbers(3, 2, 4 // o.get("groups", 1), 6), **o),
        lambda groups=1, **o: convolved(IMAGE, numbers(3, 2, 4 // groups, 6), groups=groups, **o),
        {"stride": 2, "pad": Pair(flux.SamePad(), "same"), "dilation": 2, "groups": 2, "flipped": True},
        1e-5,
    ),
    "depthwiseconv": Row(
        lambda **o: flux.depthwiseconv(IMAGE, numbers(3, 2, 2, 4), **o),
        lambda **o: convolved(IMAGE, numbers(3, 2, 2, 4).swapaxes(2, 3).reshape(3, 2, 1, 8), groups=4, **o),
        {"stride": 2, "pad": (1, 0, 2, 1), "dilation": 2, "flipped": True},
        1e-5,
    ),
}  # fmt: skip


# Pooling


def pooled(f, fill, stride=None, pad=0, dilation=1, ceil_mode=False, count_include_pad=True, image=IMAGE):
    stride, pad = both(stride or (3, 2)), pads(pad, (3, 2), (1, 1))
    fill = fill if count_include_pad else np.nan
    return ref.pooled(image, f, fill, (3, 2), stride, pad, both(dilation), ceil_mode)


def norm_pooled(box, axis):
    return np.nansum(box.astype(np.float64) ** 3, axis) ** (1 / 3)


TURNED = {"stride": (1, 2), "pad": (1, 0, 0, 1), "dilation": (1, 2), "ceil_mode": True}
NOT_COUNTED = With(False, {"pad": (1, 0, 0, 1)})

POOLS = {
    name: Row(ours, lambda f=f, fill=fill, **o: pooled(f, fill, **o), TURNED | more, 1e-5)
    for name, ours, f, fill, more in [
        ("MaxPool", lambda **o: flux.MaxPool((3, 2), **o)(IMAGE), np.nanmax, -np.inf, {}),
        (
            "MeanPool", lambda **o: flux.MeanPool((3, 2), **o)(IMAGE), np.nanmean, 0,
            {"count_include_pad": NOT_COUNTED},
        ),
        ("maxpool", lambda **o: flux.maxpool(IMAGE, (3, 2), **o), np.nanmax, -np.inf, {}),
        (
            "meanpool", lambda **o: flux.meanpool(IMAGE, (3, 2), **o), np.nanmean, 0,
            {"count_include_pad": NOT_COUNTED},
        ),
    ]
} | {
    "lpnormpool": Row(
        lambda **o: flux.lpnormpool(abs(IMAGE), 3, (3, 2), **o),
        lambda **o: pooled(norm_pooled, 0, image=abs(IMAGE), **o),
        TURNED,
        1e-5,
    )
}  # fmt: skip


ROWS = CONVOLUTIONS | POOLS
