"""Fourier transforms of PyTorch and their gradients: pairs on a last axis, frames before frequencies."""

import torch
from torch_functions import called

pairs, complexes = torch.view_as_real, torch.view_as_complex


def hann(n):
    return torch.hann_window(n, dtype=torch.float64)


def stft(x, window, n, hop, **options):
    y = torch.stft(x, n, hop, len(window), window, return_complex=True, **options)
    return pairs(y.transpose(1, 2).contiguous())


def istft(y, window, n, hop, **options):
    return torch.istft(complexes(y).transpose(1, 2), n, hop, len(window), window, **options)


THEMES = {
    "fourier": {
        "fft": called(lambda x: pairs(torch.fft.fft(complexes(x))), (3, 7, 2)),
        "fft, longer": called(lambda x: pairs(torch.fft.fft(complexes(x), 9, 0, "ortho")), (6, 4, 2)),
        "ifft, shorter": called(lambda x: pairs(torch.fft.ifft(complexes(x), 4, 0, "forward")), (6, 4, 2)),
        "rfft": called(lambda x: pairs(torch.fft.rfft(x)), (3, 8)),
        "rfft, odd": called(lambda x: pairs(torch.fft.rfft(x, 11, 0, "forward")), (8, 3)),
        "irfft": called(lambda x: torch.fft.irfft(complexes(x)), (3, 5, 2)),
        "irfft, odd": called(lambda x: torch.fft.irfft(complexes(x), 7, 0, "ortho"), (5, 3, 2)),
        "irfft, shorter": called(lambda x: torch.fft.irfft(complexes(x), 6), (3, 5, 2)),
        "hfft": called(lambda x: torch.fft.hfft(complexes(x), 9), (3, 5, 2)),
        "ihfft": called(lambda x: pairs(torch.fft.ihfft(x).resolve_conj()), (3, 8)),
        "rfft2": called(lambda x: pairs(torch.fft.rfft2(x, (5, 6))), (2, 4, 7)),
        "irfft2": called(lambda x: torch.fft.irfft2(complexes(x)), (2, 4, 5, 2)),
        "fftn": called(lambda x: pairs(torch.fft.fftn(complexes(x))), (2, 3, 4, 2)),
        "stft by the window": called(lambda window, x: stft(x, window, 8, 3), (8,), (2, 40)),
        "stft by a short window": called(
            lambda window, x: stft(x, window, 8, 3, normalized=True), (5,), (2, 40)
        ),
        "istft": called(lambda y: istft(y, hann(8), 8, 2), (2, 9, 5, 2)),
        "istft, normalized": called(
            lambda y: istft(y, hann(9), 9, 3, normalized=True, length=20), (2, 9, 5, 2)
        ),
        "istft by the window": called(
            lambda window, y: istft(y, 2 + torch.tanh(window), 8, 2), (8,), (2, 9, 5, 2)
        ),
    }
}
