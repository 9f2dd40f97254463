"""Sound: windows, the short-time Fourier transform and its inverse, spectrograms, and the mel scale.

There are no complex numbers: a spectrum has its real and its imaginary parts on a last axis of two. A transform is a
product with the matrix of sines and cosines, which is quick for the frames of speech and music and has gradients.
"""

from __future__ import annotations

import functools
import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from .._core import ShapeError, Tensor
from ..hints import told
from .padding import pad_reflect, pad_zeros
from .window import sizes

if TYPE_CHECKING:
    from .._core import _DTypeLike
    from .._core import _TensorLike as ArrayLike

__all__ = ["hamming_window", "hann_window", "istft", "melscale_filterbanks", "spectrogram", "stft"]


@told
def hamming_window(
    window_length: int,
    dtype: _DTypeLike = _core.float32,
    *,
    periodic: bool = True,
    alpha: float = 0.54,
    beta: float = 0.46,
) -> Tensor:
    """`alpha - beta * cos(2 pi n / N)` for `n` from 0 up to `window_length`.

    `N` is the length, for a window that is repeated; with `periodic=False` it is one less, for a symmetric one.

    >>> import oxiflux as flux
    >>> flux.hamming_window(4)
    Tensor([0.08, 0.54, 1.  , 0.54])
    """
    return _cosine_window("hamming_window", window_length, dtype, periodic, alpha, beta)


@told
def hann_window(window_length: int, dtype: _DTypeLike = _core.float32, *, periodic: bool = True) -> Tensor:
    """`(1 - cos(2 pi n / N)) / 2` for `n` from 0 up to `window_length`; see `hamming_window`.

    >>> import oxiflux as flux
    >>> flux.hann_window(5, periodic=False)
    Tensor([0. , 0.5, 1. , 0.5, 0. ])
    """
    return _cosine_window("hann_window", window_length, dtype, periodic, 0.5, 0.5)


def _cosine_window(
    owner: str, length: int, dtype: _DTypeLike, periodic: bool, alpha: float, beta: float
) -> Tensor:
    (n,) = sizes(owner, "window_length", length, 1)
    if n == 1:
        return _core.ones(1, dtype)  # as in NumPy, SciPy and PyTorch: the middle, and not the end
    angles = 2 * math.pi * np.arange(n) / (n if periodic else n - 1)
    return _core.tensor(alpha - beta * np.cos(angles)).astype(dtype)


@functools.lru_cache(8)
def _analysis(n: int) -> np.ndarray:
    """The matrix `(n, 2 * frequencies)` of the Fourier transform of `n` real numbers."""
    angles = 2 * math.pi * (np.outer(np.arange(n), np.arange(n // 2 + 1)) % n) / n
    return np.stack([np.cos(angles), -np.sin(angles)], axis=-1).reshape(n, -1)


@functools.lru_cache(8)
def _synthesis(n: int) -> np.ndarray:
    """Its inverse `(2 * frequencies, n)`: frequencies stand for their mirror images, too, where they have one."""
    frequency = np.arange(n // 2 + 1)
    count = np.where((frequency == 0) | (2 * frequency == n), 1, 2)
    return (_analysis(n).reshape(n, -1, 2) * count[:, None]).reshape(n, -1).T / n


def _framing(owner: str, n_fft: Any, hop_length: Any, window: Any) -> tuple[int, int, np.ndarray]:
    """The checked length, distance and weights of frames; a short window is in the middle."""
    (n,) = sizes(owner, "n_fft", n_fft, 1)
    (hop,) = sizes(owner, "hop_length", max(n // 4, 1) if hop_length is None else hop_length, 1)
    weights = np.ones(n) if window is None else np.asarray(window)
    if weights.ndim != 1 or not 0 < len(weights) <= n:
        raise ShapeError(f"{owner}: expected a window of 1 to {n} numbers, got shape {weights.shape}")
    before = (n - len(weights)) // 2
    return n, hop, np.pad(weights, (before, n - len(weights) - before))


@told
def stft(
    x: ArrayLike,
    *,
    n_fft: int,
    hop_length: int | None = None,
    window: ArrayLike | None = None,
    center: bool = True,
    normalized: bool = False,
) -> Tensor:
    """The Fourier transform of overlapping frames of `(time,)` or `(batch, time)`.

    The result is `(…, frames, n_fft // 2 + 1, 2)`: the real and imaginary parts of
    `sum over k of window[k] * x[m * hop_length + k] * exp(-2 pi i f k / n_fft)`. `hop_length` is `n_fft // 4` unless
    given, a shorter window is padded to `n_fft`. With `center` the input is padded by reflection, so that frame
    `m` has its middle at `m * hop_length`; `normalized` divides by `sqrt(n_fft)`. Raises ShapeError where
    the input is shorter than a frame.

    >>> import oxiflux as flux
    >>> flux.stft(flux.rand(2, 100), n_fft=16).shape
    (2, 26, 9, 2)
    """
    x = _core.asarray(x)
    n, hop, weights = _framing("stft", n_fft, hop_length, window)
    if x.ndim not in (1, 2):
        raise ShapeError(f"stft: expected (time,) or (batch, time), got shape {x.shape}")
    if x.shape[-1] < (n // 2 + 1 if center else n):
        raise ShapeError(f"stft: a frame of {n} is too long for the input of shape {x.shape}")
    if center:
        x = pad_reflect(x, n // 2, axis=-1)
    places = np.arange(0, x.shape[-1] - n + 1, hop)[:, None] + np.arange(n)
    matrix = weights[:, None] * _analysis(n) / (math.sqrt(n) if normalized else 1)
    x = x if x.dtype.kind == "f" else x.astype(_core.float32)
    y = _core.matmul(_core.take(x, places, axis=-1), matrix)
    return _core.reshape(y, (*y.shape[:-1], n // 2 + 1, 2))


@told
def istft(
    y: ArrayLike,
    *,
    n_fft: int,
    hop_length: int | None = None,
    window: ArrayLike | None = None,
    center: bool = True,
    normalized: bool = False,
    original_length: int | None = None,
) -> Tensor:
    """The signal `(…, time)` of which `stft` with the same options made `y`, in the sense of least squares.

    What frames do not reach at its end is not there: `original_length` says how long it was. Raises ShapeError
    for another shape than that of `stft`.

    >>> import oxiflux as flux
    >>> y = flux.stft([1.0, 2.0, 3.0, 4.0, 5.0], n_fft=4)
    >>> flux.istft(y, n_fft=4)
    Tensor([1., 2., 3., 4., 5.])
    """
    y = _core.asarray(y)
    n, hop, weights = _framing("istft", n_fft, hop_length, window)
    if y.ndim not in (3, 4) or y.shape[-2:] != (n // 2 + 1, 2) or not y.shape[-3]:
        raise ShapeError(f"istft: expected (…, frames, {n // 2 + 1}, 2), got shape {y.shape}")
    frames = y.shape[-3]
    matrix = _synthesis(n) * weights * (math.sqrt(n) if normalized else 1)
    y = y if y.dtype.kind == "f" else y.astype(_core.float32)
    parts = _core.matmul(_core.reshape(y, (*y.shape[:-2], 2 * (n // 2 + 1))), matrix)
    places = np.arange(frames)[:, None] * hop + np.arange(n)
    length = (frames - 1) * hop + n
    energy = np.bincount(places.ravel(), np.tile(weights**2, frames), length)
    total = _core.scatter(parts, places, length, axis=parts.ndim - 2) / np.where(energy > 1e-12, energy, 1)
    start = n // 2 if center else 0
    stop = length - start if original_length is None else start + original_length
    if not start <= stop <= length:
        raise ValueError(f"istft: {frames} frames make {length - start} numbers, not {original_length}")
    return total[..., start:stop]


@told
def spectrogram(
    waveform: ArrayLike,
    *,
    n_fft: int,
    hop_length: int | None = None,
    window: ArrayLike | None = None,
    pad: int = 0,
    center: bool = True,
    power: float = 2.0,
    normalized: bool = False,
    window_normalized: bool = False,
) -> Tensor:
    """`abs(stft)^power` of sound `(…, time)`: `(…, frames, n_fft // 2 + 1)`.

    `pad` zeros go before and after the sound, `window_normalized` divides the spectrum by the norm of the
    window; `power=0` gives the spectrum itself, with its axis of two. The rest is that of `stft`.

    >>> import oxiflux as flux
    >>> flux.spectrogram(flux.rand(3, 100), n_fft=16, window=flux.hann_window(16)).shape
    (3, 26, 9)
    """
    x = _core.asarray(waveform)
    if not x.ndim or not power >= 0:
        raise ValueError(
            f"spectrogram: expected (…, time) and a power of at least 0, got {x.shape} and {power!r}"
        )
    x = pad_zeros(x, pad, axis=-1) if pad else x
    batch = tuple(x.shape[:-1])
    flat = _core.reshape(x, (math.prod(batch), x.shape[-1]))
    y = stft(flat, n_fft=n_fft, hop_length=hop_length, window=window, center=center, normalized=normalized)
    y = _core.reshape(y, (*batch, *y.shape[1:]))
    if window_normalized:
        y = y / float(np.linalg.norm(np.ones(n_fft) if window is None else np.asarray(window)))
    if not power:
        return y
    energy = _core.sum(_core.square(y), axis=-1)
    if power == 2:
        return energy
    # The slope of a root at zero is infinite, and what is silent has none.
    silent = _core.equal(energy, 0)
    return _core.where(silent, 0.0, _core.power(_core.where(silent, 1.0, energy), power / 2))


@told
def melscale_filterbanks(
    *, n_freqs: int, n_mels: int, sample_rate: int, fmin: float = 0.0, fmax: float | None = None
) -> Tensor:
    """Triangular filters `(n_freqs, n_mels)`, evenly spread on the mel scale `2595 log10(1 + hertz / 700)`.

    `spectrogram(…) @ filters` is a mel spectrogram. The frequencies are those from 0 to half of `sample_rate`,
    and the filters lie between `fmin` and `fmax`, by default all of them. Warns of filters that are empty.

    >>> import oxiflux as flux
    >>> flux.melscale_filterbanks(n_freqs=200, n_mels=8, sample_rate=16000).shape
    (200, 8)
    """
    (n_freqs,) = sizes("melscale_filterbanks", "n_freqs", n_freqs, 1)
    (n_mels,) = sizes("melscale_filterbanks", "n_mels", n_mels, 1)
    (sample_rate,) = sizes("melscale_filterbanks", "sample_rate", sample_rate, 1)
    fmax = float(sample_rate // 2) if fmax is None else fmax
    if not 0 <= fmin < fmax:
        raise ValueError(f"melscale_filterbanks: there are no frequencies from {fmin!r} to {fmax!r}")
    low, high = (2595 * math.log10(1 + f / 700) for f in (fmin, fmax))
    mels = np.linspace(low, high, n_mels + 2)
    points = 700 * (10 ** (mels / 2595) - 1)
    frequencies = np.linspace(0, sample_rate // 2, n_freqs)[:, None]
    rising = (frequencies - points[:-2]) / np.diff(points)[:-1]
    falling = (points[2:] - frequencies) / np.diff(points)[1:]
    filters = np.maximum(0, np.minimum(rising, falling))
    if (filters.max(axis=0) < 1e-8).any():
        warnings.warn(
            f"melscale_filterbanks: filters are empty: {n_mels} mels are too many for {n_freqs} frequencies",
            stacklevel=2,
        )
    return _core.tensor(filters.astype(np.float32))
