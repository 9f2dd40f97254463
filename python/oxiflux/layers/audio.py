"""Sound: windows, the short-time Fourier transform and its inverse, spectrograms, and the mel scale.

There are no complex numbers: a spectrum is of pairs, with the real and the imaginary parts on a last axis of two, as in
`flux.fft`. There are gradients by the sound or the spectrum, and by the window.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from .._core import ShapeError, Tensor
from ..functions.axes import flag
from ..hints import told
from .padding import pad_zeros
from .window import sizes

if TYPE_CHECKING:
    from ..typing import ArrayLike, DTypeLike

__all__ = ["hamming_window", "hann_window", "istft", "melscale_filterbanks", "spectrogram", "stft"]


@told
def hamming_window(
    window_length: int,
    dtype: DTypeLike = _core.float32,
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
def hann_window(window_length: int, dtype: DTypeLike = _core.float32, *, periodic: bool = True) -> Tensor:
    """`(1 - cos(2 pi n / N)) / 2` for `n` from 0 up to `window_length`; see `hamming_window`.

    >>> import oxiflux as flux
    >>> flux.hann_window(5, periodic=False)
    Tensor([0. , 0.5, 1. , 0.5, 0. ])
    """
    return _cosine_window("hann_window", window_length, dtype, periodic, 0.5, 0.5)


def _cosine_window(
    owner: str, length: int, dtype: DTypeLike, periodic: bool, alpha: float, beta: float
) -> Tensor:
    (n,) = sizes(owner, "window_length", length, 1)
    periodic = flag(owner, "periodic", periodic)
    if n == 1:
        return _core.ones(1, dtype)  # as in NumPy, SciPy and PyTorch: the middle, and not the end
    angles = 2 * math.pi * np.arange(n) / (n if periodic else n - 1)
    return _core.tensor(_core.table(alpha - beta * np.cos(angles)), dtype=dtype)


def _framing(owner: str, n_fft: Any, hop_length: Any, window: Any) -> tuple[int, int, Tensor]:
    """The checked length, distance and weights of frames; a short window is in the middle."""
    (n,) = sizes(owner, "n_fft", n_fft, 1)
    (hop,) = sizes(owner, "hop_length", max(n // 4, 1) if hop_length is None else hop_length, 1)
    if window is None:
        return n, hop, _core.ones(n)
    weights = _core.asarray(window)
    if weights.ndim != 1 or not 0 < weights.size <= n:
        raise ShapeError(f"{owner}: expected a window of 1 to {n} numbers, got shape {weights.shape}")
    before = (n - weights.size) // 2
    return n, hop, pad_zeros(weights, (before, n - weights.size - before)) if weights.size < n else weights


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
    _, hop, weights = _framing("stft", n_fft, hop_length, window)
    if x.ndim not in (1, 2):
        raise ShapeError(f"stft: expected (time,) or (batch, time), got shape {x.shape}")
    return _core.stft(x, weights, hop, center, normalized)


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
    start, end = n // 2 if flag("istft", "center", center) else 0, (frames - 1) * hop + n
    stop = end - start if original_length is None else start + original_length
    if not start <= stop <= end:
        raise ValueError(f"istft: {frames} frames make {end - start} numbers, not {original_length}")
    total = _core.istft_sum(y, weights, hop, start, stop - start, normalized)
    energy = _overlapped(_core.square(weights.astype(total.dtype)), hop, frames)[start:stop]
    return total / _core.where(energy > 1e-12, energy, 1.0)


def _overlapped(weights: Tensor, hop: int, frames: int) -> Tensor:
    """The sum of as many `weights`, of which each lies `hop` after the one before."""
    parts = -(-weights.size // hop)
    of_hops = _core.reshape(pad_zeros(weights, (0, parts * hop - weights.size)), (parts, hop))
    # Which part of which frame is in which hop of the whole.
    frame = np.arange(frames + parts - 1)[:, None] - np.arange(parts)
    is_there = _core.table((frame >= 0) & (frame < frames))
    return _core.reshape(_core.matmul(is_there, of_hops), (-1,))


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
    if flag("spectrogram", "window_normalized", window_normalized):
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
    return _core.tensor(_core.table(filters.astype(np.float32)))
