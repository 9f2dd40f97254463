"""Fourier transforms and what goes with them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ... import _core
from ..._core import Tensor
from ..reading import DTYPES
from ..table import plain, traced
from ..trace import Trace, Value


def _transformed(x: Tensor, axis: int, n: int | None, inverse: bool, onesided: bool) -> Tensor:
    """A transform of numbers whose last axis is real and imaginary part, or the real part alone: a product with the
    matrix of sines and cosines, which has a gradient.
    """
    kind = x.dtype
    if kind != _core.float64:  # sums of many turns, to be rounded once
        return _transformed(x.astype(_core.float64), axis, n, inverse, onesided).astype(kind)
    real = x[..., 0]
    imaginary = x[..., 1] if x.shape[-1] == 2 else None
    length = real.shape[axis] if n is None else n
    if length < real.shape[axis]:
        part = (slice(None),) * axis + (slice(0, length),)
        real, imaginary = real[part], None if imaginary is None else imaginary[part]
    used = real.shape[axis]
    rows = length // 2 + 1 if onesided and not inverse else length
    turns = np.outer(np.arange(rows), np.arange(used)) % max(length, 1)
    angles = turns * (2 * math.pi / max(length, 1)) * (1 if inverse else -1)
    scale = 1 / length if inverse else 1.0
    cosines, sines = (_core.tensor(f(angles).T * scale, x.dtype) for f in (np.cos, np.sin))

    def along(part: Tensor, matrix: Tensor) -> Tensor:
        moved = _core.permute_dims(part, [*(a for a in range(part.ndim) if a != axis), axis])
        done = _core.matmul(moved, matrix)
        order = list(range(part.ndim - 1))
        order.insert(axis, part.ndim - 1)
        return _core.permute_dims(done, order)

    if inverse and onesided:
        return _from_half(real, imaginary, axis, length)
    out_real, out_imaginary = along(real, cosines), along(real, sines)
    if imaginary is not None:
        out_real = out_real - along(imaginary, sines)
        out_imaginary = out_imaginary + along(imaginary, cosines)
    return _core.stack([out_real, out_imaginary], -1)


def _from_half(real: Tensor, imaginary: Tensor | None, axis: int, n: int) -> Tensor:
    """Real numbers from the half of their transform."""
    half = real.shape[axis]
    angles = np.outer(np.arange(half), np.arange(n)) % n * (2 * math.pi / n)
    weight = np.full((half, 1), 2.0)
    weight[0] = 1.0
    if n % 2 == 0 and half == n // 2 + 1:
        weight[-1] = 1.0
    order = list(range(real.ndim - 1))
    order.insert(axis, real.ndim - 1)
    last = [*(a for a in range(real.ndim) if a != axis), axis]
    total = _core.matmul(
        _core.permute_dims(real, last), _core.tensor(np.cos(angles) * weight / n, real.dtype)
    )
    if imaginary is not None:
        sines = _core.tensor(np.sin(angles) * weight / n, real.dtype)
        total = total - _core.matmul(_core.permute_dims(imaginary, last), sines)
    return _core.expand_dims(_core.permute_dims(total, order), -1)


@plain("DFT", host=(1,))
def dft_17(x: Tensor, length: Any = None, *, axis: int = 1, inverse: int = 0, onesided: int = 0) -> Tensor:
    return _dft(x, length, axis, inverse, onesided)


@plain("DFT", since=20, host=(1, 2))
def dft(x: Tensor, length: Any = None, axis: Any = None, *, inverse: int = 0, onesided: int = 0) -> Tensor:
    return _dft(x, length, -2 if axis is None else int(np.asarray(axis).reshape(-1)[0]), inverse, onesided)


def _dft(x: Tensor, length: Any, axis: int, inverse: int, onesided: int) -> Tensor:
    place = axis % x.ndim
    n = None if length is None else int(np.asarray(length).reshape(-1)[0])
    if inverse and onesided and n is None:
        n = 2 * (x.shape[place] - 1)
    return _transformed(x, place, n, bool(inverse), bool(onesided))


@plain("STFT", host=(1, 3))
def stft(
    x: Tensor, step: Any, window: Tensor | None = None, length: Any = None, *, onesided: int = 1
) -> Tensor:
    hop = int(np.asarray(step).reshape(-1)[0])
    size = int(np.asarray(length).reshape(-1)[0]) if length is not None else window.shape[0]  # type: ignore[union-attr]
    frames = (x.shape[1] - size) // hop + 1
    places = np.arange(frames)[:, None] * hop + np.arange(size)
    cut = _core.take(x, places, 1)  # (batch, frames, size, 1 or 2)
    if window is not None:
        cut = cut * _core.expand_dims(window, -1)
    is_real = x.shape[-1] == 1
    return _transformed(cut, 2, None, False, bool(onesided) and is_real)


@traced("MelWeightMatrix")
def mel_weight_matrix(
    trace: Trace,
    bins: Value,
    length: Value,
    rate: Value,
    lower: Value,
    upper: Value,
    *,
    output_datatype: int = 1,
) -> Value:
    n_bins, n, hertz, low, high = (trace.host(v).reshape(-1)[0] for v in (bins, length, rate, lower, upper))
    n_bins, spectrum = int(n_bins), int(n) // 2 + 1
    points = np.arange(n_bins + 2) * ((_mels(high) - _mels(low)) / (n_bins + 2)) + _mels(low)
    edges = ((int(n) + 1) * (700 * (10 ** (points / 2595) - 1)) // float(hertz)).astype(np.int64)
    out = np.zeros((spectrum, n_bins))
    for i in range(n_bins):
        left, middle, right = edges[i : i + 3]
        if middle == left:
            out[middle, i] = 1
        else:
            out[left : middle + 1, i] = (np.arange(left, middle + 1) - left) / (middle - left)
        if right != middle:
            out[middle:right, i] = (right - np.arange(middle, right)) / (right - middle)
    return Value(_core.asarray(_core.tensor(out), DTYPES[output_datatype]))


def _mels(hertz: Any) -> Any:
    return 2595 * np.log10(1 + np.float64(hertz) / 700)
