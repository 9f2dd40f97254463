"""Windows, Fourier transforms and mel filters: what each option does, by NumPy's transforms."""

import math

import numpy as np

import oxiflux as flux
from options.rows import Pair, Row, numbers

SOUND = numbers(40)
WINDOW = np.hanning(10)[1:-1].astype(np.float32)


def frames(x, hop_length=None, window=None, center=True, normalized=False):
    hop_length = 2 if hop_length is None else hop_length
    x = np.pad(x, 4, "reflect") if center else x
    cut = np.stack([x[i : i + 8] for i in range(0, len(x) - 7, hop_length)])
    y = np.fft.rfft(cut * (1 if window is None else window))
    return y / math.sqrt(8) if normalized else y


def parts(y):
    return np.stack([y.real, y.imag], -1)


def power_spectrum(pad=0, power=2.0, window_normalized=False, window=None, **options):
    y = frames(np.pad(SOUND, pad), window=window, **options)
    y = y / np.linalg.norm(np.ones(8) if window is None else window) if window_normalized else y
    return abs(y) ** power


def joined(hop_length=2, window=None, center=True, normalized=False, original_length=None):
    """Frames added up where they lie, over the energy of the windows there."""
    y = SPECTRUM[..., 0] + 1j * SPECTRUM[..., 1]
    w = np.ones(8) if window is None else window
    length = (len(y) - 1) * hop_length + 8
    total, energy = np.zeros(length), np.zeros(length)
    for m, frame in enumerate(np.fft.irfft(y * (math.sqrt(8) if normalized else 1), 8)):
        at = slice(m * hop_length, m * hop_length + 8)
        total[at] += frame * w
        energy[at] += w**2
    total = total / np.where(energy > 1e-12, energy, 1)
    start = 4 if center else 0
    return total[start : length - start if original_length is None else start + original_length]


def cosine_window(alpha, beta, n=6, periodic=True):
    return alpha - beta * np.cos(2 * np.pi * np.arange(n) / (n if periodic else n - 1))


SPECTRUM = parts(frames(SOUND))
ISTFT = {"window": WINDOW, "center": False, "normalized": True, "original_length": 30}


def mel(fmin=0.0, fmax=4000.0):
    ends = 2595 * np.log10(1 + np.array([fmin, fmax]) / 700)
    points = 700 * (10 ** (np.linspace(*ends, 6) / 2595) - 1)
    f = np.linspace(0, 4000, 50)
    return np.stack([np.interp(f, points[m : m + 3], [0, 1, 0]) for m in range(4)], -1)


def window_with_dtype(alpha, beta):
    return lambda dtype=np.float32, **o: (lambda a: [a, a.itemsize])(
        cosine_window(**({"alpha": alpha, "beta": beta} | o)).astype(dtype)
    )


SOUNDS = {
    "hann_window": Row(
        lambda **o: (lambda t: [t, t.dtype.itemsize])(flux.hann_window(6, **o)),
        window_with_dtype(0.5, 0.5),
        {"dtype": Pair("float64", np.float64), "periodic": False},
    ),
    "hamming_window": Row(
        lambda **o: (lambda t: [t, t.dtype.itemsize])(flux.hamming_window(6, **o)),
        window_with_dtype(0.54, 0.46),
        {"dtype": Pair("float64", np.float64), "periodic": False, "alpha": 0.7, "beta": 0.1},
    ),
    "stft": Row(
        lambda **o: flux.stft(SOUND, n_fft=8, **o),
        lambda **o: parts(frames(SOUND, **o)),
        {"hop_length": 3, "window": WINDOW, "center": False, "normalized": True},
        1e-5,
    ),
    "istft": Row(
        lambda **o: flux.istft(SPECTRUM, n_fft=8, **o), joined, {"hop_length": 4, **ISTFT}, 1e-5
    ),
    "spectrogram": Row(
        lambda **o: flux.spectrogram(SOUND, n_fft=8, **o),
        power_spectrum,
        {
            "hop_length": 3, "window": WINDOW, "pad": 5, "center": False, "power": 1.0, "normalized": True,
            "window_normalized": True,
        },
        1e-5,
    ),
    "melscale_filterbanks": Row(
        lambda **o: flux.melscale_filterbanks(n_freqs=50, n_mels=4, sample_rate=8000, **o),
        mel, {"fmin": 500.0, "fmax": 2000.0}, 1e-5,
    ),
}  # fmt: skip


ROWS = SOUNDS
