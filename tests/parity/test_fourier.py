"""Fourier transforms give PyTorch's values and gradients, those by a window included."""

import numpy as np
import pytest

import oxiflux as flux
from parity.stored import listed, stored

CASES = stored("fourier")


def hann(n):
    return flux.hann_window(n, "float64")


OURS = {
    "fft": flux.fft.fft,
    "fft, longer": lambda x: flux.fft.fft(x, 9, 0, "ortho"),
    "ifft, shorter": lambda x: flux.fft.ifft(x, 4, 0, "forward"),
    "rfft": flux.fft.rfft,
    "rfft, odd": lambda x: flux.fft.rfft(x, 11, 0, "forward"),
    "irfft": flux.fft.irfft,
    "irfft, odd": lambda x: flux.fft.irfft(x, 7, 0, "ortho"),
    "irfft, shorter": lambda x: flux.fft.irfft(x, 6),
    "hfft": lambda x: flux.fft.hfft(x, 9),
    "ihfft": flux.fft.ihfft,
    "rfft2": lambda x: flux.fft.rfft2(x, (5, 6)),
    "irfft2": flux.fft.irfft2,
    "fftn": flux.fft.fftn,
    "stft by the window": lambda window, x: flux.stft(x, n_fft=8, hop_length=3, window=window),
    "stft by a short window": lambda window, x: flux.stft(
        x, n_fft=8, hop_length=3, window=window, normalized=True
    ),
    "istft": lambda y: flux.istft(y, n_fft=8, hop_length=2, window=hann(8), original_length=16),
    "istft, normalized": lambda y: flux.istft(
        y, n_fft=9, hop_length=3, window=hann(9), normalized=True, original_length=20
    ),
    "istft by the window": lambda window, y: flux.istft(
        y, n_fft=8, hop_length=2, window=2 + flux.tanh(window), original_length=16
    ),
}


def test_every_stored_transform_is_compared():
    assert set(OURS) == set(CASES)


@pytest.mark.parametrize("name", OURS)
def test_a_transform_and_its_gradient_are_those_of_pytorch(name):
    kept = CASES[name]
    x, *more = map(flux.tensor, listed(kept["inputs"]))
    y = OURS[name](x, *more)
    np.testing.assert_allclose(y.numpy(), kept["y"], rtol=1e-12, atol=1e-13)
    (grad,) = flux.gradient(lambda x: (OURS[name](x, *more) * kept["weights"]).sum(), x)
    np.testing.assert_allclose(grad.numpy(), kept["grad"], rtol=1e-11, atol=1e-12)
