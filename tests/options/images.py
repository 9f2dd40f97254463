"""Padding, gathering, grids and windows of images: what each option does, place by place."""

import math

import numpy as np

import oxiflux as flux
from options.rows import Row, numbers

IMAGE = numbers(2, 3, 4, 2)


def padded(mode, numpy_mode, first, **turned):
    """Padding by 1: of all axes with constants, else of the lengths of images."""

    def formula(axis=None, value=None):
        axes = list(first) if axis is None else [axis]
        sides = [(1, 1) if a in axes else (0, 0) for a in range(4)]
        options = {"constant_values": value} if value is not None else {}
        return np.pad(IMAGE, sides, numpy_mode, **options)

    return Row(lambda **o: getattr(flux, mode)(IMAGE, 1, **o), formula, {"axis": 3} | turned)


PADDING = {
    "pad_constant": padded("pad_constant", "constant", range(4), value=3.0),
    "pad_zeros": padded("pad_zeros", "constant", range(4)),
    "pad_reflect": padded("pad_reflect", "reflect", (1, 2)),
    "pad_symmetric": padded("pad_symmetric", "symmetric", (1, 2)),
    "pad_repeat": padded("pad_repeat", "edge", (1, 2)),
    "pad_circular": padded("pad_circular", "wrap", (1, 2)),
}


SCATTERED, PLACES = np.array([2.0, 5.0, 7.0], np.float32), np.array([0, 2, 0])


def scattered(init=None, dstsize=(3,)):
    y = np.full(dstsize, 0.0 if init is None else init)
    np.add.at(y, PLACES, SCATTERED)
    return y


def unfolded(x, stride=1, pad=0, dilation=1, flipped=True):
    """Window by window of a length of 3 along the only length."""
    x = np.pad(x, [(0, 0), (pad, pad), (0, 0)])
    rows = []
    for start in range(0, x.shape[1] - 2 * dilation, stride):
        window = x[:, start : start + 2 * dilation + 1 : dilation]
        rows.append((window if flipped else window[:, ::-1]).reshape(len(x), -1))
    return np.stack(rows, 1)


def folded(**options):
    """The adjoint, column by column of the matrix of `unfold`."""
    basis = np.eye(14).reshape(14, 7, 2)
    columns = unfolded(basis, **options).reshape(14, -1)
    return (columns @ numbers(columns.shape[1])).reshape(1, 7, 2)


def fold(**options):
    y = numbers(int(np.prod(unfolded(np.zeros((1, 7, 2)), **options).shape)))
    rows = unfolded(np.zeros((1, 7, 2)), **options).shape
    return flux.fold(y.reshape(rows), (1, 7, 2), (3,), **options)


GRID = numbers(1, 2, 3, 2) * 1.6


def sampled(padding_mode="zeros"):
    """Bilinear, point by point, where pixels outside are zero or those of the border."""
    x, y = IMAGE[:1], np.zeros((1, 2, 3, 2))
    height, width = x.shape[1:3]
    for r, c in np.ndindex(2, 3):
        across, down = ((GRID[0, r, c] + 1) / 2) * [width - 1, height - 1]
        if padding_mode == "border":
            across, down = np.clip(across, 0, width - 1), np.clip(down, 0, height - 1)
        for i in (math.floor(down), math.floor(down) + 1):
            for j in (math.floor(across), math.floor(across) + 1):
                if 0 <= i < height and 0 <= j < width:
                    y[0, r, c] += x[0, i, j] * (1 - abs(down - i)) * (1 - abs(across - j))
    return y


TURNED = numbers(1, 5, 4, 2)


def rotated(method="bilinear", midpoint=(2, 2)):
    """Each pixel from where it was before the turn; what is not inside is zero."""
    angle, y = 0.4, np.zeros(TURNED.shape)
    for r, c in np.ndindex(5, 4):
        down, across = r - midpoint[0], c - midpoint[1]
        i = math.cos(angle) * down - math.sin(angle) * across + midpoint[0]
        j = math.sin(angle) * down + math.cos(angle) * across + midpoint[1]
        if method == "nearest":
            i, j = np.rint(i), np.rint(j)
        if 0 <= i <= 4 and 0 <= j <= 3:
            for a in {math.floor(i), math.ceil(i)}:
                for b in {math.floor(j), math.ceil(j)}:
                    y[0, r, c] += TURNED[0, a, b] * (1 - abs(i - a)) * (1 - abs(j - b))
    return y


WINDOWS = {"stride": 2, "pad": 1, "dilation": 2, "flipped": False}

PLACED = {
    "scatter": Row(
        lambda **o: flux.scatter("+", SCATTERED, PLACES, **o), scattered, {"init": 3.0, "dstsize": (5,)}
    ),
    "unfold": Row(
        lambda **o: flux.unfold(numbers(2, 7, 2), (3,), **o),
        lambda **o: unfolded(numbers(2, 7, 2), **o),
        WINDOWS,
    ),
    "fold": Row(fold, folded, WINDOWS, 1e-5),
    "grid_sample": Row(
        lambda **o: flux.grid_sample(IMAGE[:1], GRID, **o), sampled, {"padding_mode": "border"}, 1e-5
    ),
    "imrotate": Row(
        lambda **o: flux.imrotate(TURNED, 0.4, **o), rotated, {"method": "nearest", "midpoint": (1, 0)}, 1e-5
    ),
}


ROWS = PADDING | PLACED
