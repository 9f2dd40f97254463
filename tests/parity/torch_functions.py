"""Functions of PyTorch on images and sequences, channels first, with the gradient for the first input."""

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (as everyone writes it)


def numbers(*shape, seed=0):
    return torch.tensor(np.random.default_rng(seed).standard_normal(shape))


def called(f, *shapes):
    def case():
        inputs = [numbers(*shape, seed=seed) for seed, shape in enumerate(shapes)]
        x = inputs[0].requires_grad_()
        y = f(*inputs)
        weights = numbers(*y.shape, seed=9)
        (grad,) = torch.autograd.grad((y * weights).sum(), x)
        return {"inputs": inputs, "y": y, "weights": weights, "grad": grad}

    return case


FUNCTIONS = {
    "max_pool2d": called(lambda x: F.max_pool2d(x, (3, 2), (2, 1), (1, 0)), (2, 3, 7, 6)),
    "avg_pool2d": called(lambda x: F.avg_pool2d(x, (3, 2), (2, 1), (1, 0)), (2, 3, 7, 6)),
    "lp_pool2d": called(lambda x: F.lp_pool2d(x.abs(), 3.0, (3, 2)), (2, 3, 7, 6)),
    "adaptive_avg_pool2d": called(lambda x: F.adaptive_avg_pool2d(x, (3, 2)), (2, 3, 6, 4)),
    "adaptive_max_pool2d": called(lambda x: F.adaptive_max_pool2d(x, (3, 2)), (2, 3, 6, 4)),
    "interpolate, linear": called(lambda x: F.interpolate(x, size=7, mode="linear"), (2, 3, 5)),
    "interpolate, bilinear": called(lambda x: F.interpolate(x, size=(7, 9), mode="bilinear"), (2, 3, 5, 4)),
    "interpolate, bilinear, corners": called(
        lambda x: F.interpolate(x, size=(7, 3), mode="bilinear", align_corners=True), (2, 3, 5, 4)
    ),
    "interpolate, trilinear": called(
        lambda x: F.interpolate(x, size=(3, 5, 4), mode="trilinear"), (1, 2, 2, 3, 4)
    ),
    "interpolate, nearest": called(
        lambda x: F.interpolate(x, scale_factor=(2, 3), mode="nearest"), (2, 3, 2, 4)
    ),
    "pixel_shuffle": called(lambda x: F.pixel_shuffle(x, 2), (2, 8, 3, 4)),
    "grid_sample": called(lambda x, g: F.grid_sample(x, g, align_corners=True), (2, 3, 5, 4), (2, 3, 6, 2)),
    "grid_sample, border": called(
        lambda x, g: F.grid_sample(x, g, align_corners=True, padding_mode="border"),
        (2, 3, 5, 4),
        (2, 3, 6, 2),
    ),
    "pad, reflect": called(lambda x: F.pad(x, (1, 2, 2, 1), mode="reflect"), (2, 3, 5, 4)),
    "pad, replicate": called(lambda x: F.pad(x, (1, 2, 2, 1), mode="replicate"), (2, 3, 5, 4)),
    "pad, circular": called(lambda x: F.pad(x, (1, 2, 2, 1), mode="circular"), (2, 3, 5, 4)),
    "pad, constant": called(lambda x: F.pad(x, (1, 2, 2, 1), value=3.0), (2, 3, 5, 4)),
    "attention": called(F.scaled_dot_product_attention, (2, 3, 8), (2, 5, 8), (2, 5, 8)),
    "attention, causal": called(
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
        (2, 5, 8),
        (2, 5, 8),
        (2, 5, 8),
    ),
    "stft": called(
        lambda x: torch.view_as_real(
            torch.stft(x, 8, 3, window=torch.hann_window(8, dtype=x.dtype), return_complex=True)
        ),
        (2, 40),
    ),
    "stft, normalized": called(
        lambda x: torch.view_as_real(
            torch.stft(
                x,
                8,
                2,
                window=torch.ones(8, dtype=x.dtype),
                center=False,
                normalized=True,
                return_complex=True,
            )
        ),
        (2, 40),
    ),
    "glu": called(lambda x: F.glu(x, 1), (2, 6, 3)),
    "layer_norm": called(lambda x: F.layer_norm(x, (3,)), (2, 5, 3)),
    "normalised std": called(lambda x: x / x.std(0), (5, 3)),
    "logsumexp": called(lambda x: x.logsumexp(1), (3, 4, 2)),
    "softmax": called(lambda x: x.softmax(1), (3, 4, 2)),
    "log_softmax": called(lambda x: x.log_softmax(1), (3, 4, 2)),
    "cumprod": called(lambda x: x.cumprod(1), (3, 4, 2)),
    "prod": called(lambda x: x.prod(1), (3, 4, 2)),
}

THEMES = {"functions": FUNCTIONS}
