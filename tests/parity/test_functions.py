"""Functions of images and sequences that PyTorch has too give its values and gradients, with channels last."""

import numpy as np
import pytest

import oxiflux as flux
from parity.stored import listed, stored

CASES = stored("functions")


def last(f):
    """A function with channels last, of which PyTorch has them first."""
    return lambda x, *more: flux.moveaxis(f(flux.moveaxis(x, 1, -1), *more), -1, 1)


def windowed(n, hop, **options):
    """Frames before frequencies here, behind them in PyTorch."""
    return lambda x: flux.moveaxis(flux.stft(x, n_fft=n, hop_length=hop, **options), 1, 2)


# A window of the width that PyTorch gives with `pad`, which counts the last axis first.
SIDES = (2, 1, 1, 2)

OURS = {
    "max_pool2d": last(lambda x: flux.maxpool(x, (3, 2), stride=(2, 1), pad=(1, 0))),
    "avg_pool2d": last(lambda x: flux.meanpool(x, (3, 2), stride=(2, 1), pad=(1, 0))),
    "lp_pool2d": last(lambda x: flux.lpnormpool(flux.abs(x), 3, (3, 2))),
    "adaptive_avg_pool2d": last(lambda x: flux.AdaptiveMeanPool((3, 2))(x)),
    "adaptive_max_pool2d": last(lambda x: flux.AdaptiveMaxPool((3, 2))(x)),
    "interpolate, linear": last(lambda x: flux.upsample_linear(x, size=7, align_corners=False)),
    "interpolate, bilinear": last(lambda x: flux.upsample_bilinear(x, size=(7, 9), align_corners=False)),
    "interpolate, bilinear, corners": last(lambda x: flux.upsample_bilinear(x, size=(7, 3))),
    "interpolate, trilinear": last(lambda x: flux.upsample_trilinear(x, size=(3, 5, 4), align_corners=False)),
    "interpolate, nearest": last(lambda x: flux.upsample_nearest(x, (2, 3))),
    "pixel_shuffle": last(lambda x: flux.pixel_shuffle(x, 2)),
    "grid_sample": last(flux.grid_sample),
    "grid_sample, border": last(lambda x, grid: flux.grid_sample(x, grid, padding_mode="border")),
    "pad, reflect": last(lambda x: flux.pad_reflect(x, SIDES, axis=(1, 2))),
    "pad, replicate": last(lambda x: flux.pad_repeat(x, SIDES, axis=(1, 2))),
    "pad, circular": last(lambda x: flux.pad_circular(x, SIDES, axis=(1, 2))),
    "pad, constant": last(lambda x: flux.pad_constant(x, SIDES, 3, axis=(1, 2))),
    "attention": lambda q, k, v: flux.dot_product_attention(q, k, v)[0],
    "attention, causal": lambda q, k, v: flux.dot_product_attention(q, k, v, causal=True)[0],
    "stft": windowed(8, 3, window=flux.hann_window(8, "float64")),
    "stft, normalized": windowed(8, 2, center=False, normalized=True),
    "glu": lambda x: flux.glu(x, axis=1),
    "layer_norm": lambda x: flux.normalise(x, axis=-1),
    "normalised std": lambda x: x / flux.std(x, axis=0, correction=1),
    "logsumexp": lambda x: flux.logsumexp(x, axis=1),
    "softmax": lambda x: flux.softmax(x, axis=1),
    "log_softmax": lambda x: flux.logsoftmax(x, axis=1),
    "cumprod": lambda x: flux.cumulative_prod(x, axis=1),
    "prod": lambda x: flux.prod(x, axis=1),
}


def test_every_stored_function_is_compared():
    assert set(OURS) == set(CASES)


@pytest.mark.parametrize("name", OURS)
def test_a_function_and_its_gradient_are_those_of_pytorch(name):
    kept = CASES[name]
    x, *more = map(flux.tensor, listed(kept["inputs"]))
    y = OURS[name](x, *more)
    np.testing.assert_allclose(y.numpy(), kept["y"], rtol=1e-12, atol=1e-13)
    (grad,) = flux.gradient(lambda x: (OURS[name](x, *more) * kept["weights"]).sum(), x)
    np.testing.assert_allclose(grad.numpy(), kept["grad"], rtol=1e-11, atol=1e-12)
