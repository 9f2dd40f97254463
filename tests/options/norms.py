"""Normalisation layers: what each option does to the result, also after training."""

import numpy as np

import oxiflux as flux
import references as ref
from options.layers import TANH, identity
from options.rows import Row, With, numbers, others


def statistics(lead):
    """Three calls of a norm that tracks: as it is made, in training, and in test mode."""

    def calls(make, x, **options):
        layer = make(**options)
        return layer(x), flux.trainmode(layer)(x), flux.testmode(layer)(x)

    def formula(
        x, activation=identity, affine=lead == 0, track_stats=lead == 0, active=None, eps=1e-5, momentum=0.1,
        init_beta=np.zeros, init_gamma=np.ones,
    ):  # fmt: skip
        axes, channels = tuple(range(lead, x.ndim - 1)), x.shape[-1]
        gamma, beta = (init_gamma(channels), init_beta(channels)) if affine else (1, 0)
        mean, var = ref.moments(x, axes)
        count = np.prod([x.shape[a] for a in axes])
        mu, sigma = np.zeros(channels), np.ones(channels)

        def train():
            nonlocal mu, sigma
            mu = (1 - momentum) * mu + momentum * mean.reshape(-1, channels).mean(0)
            unbiased = var.reshape(-1, channels).mean(0) * count / (count - 1)
            sigma = (1 - momentum) * sigma + momentum * unbiased
            return activation((x - mean) / np.sqrt(var + eps) * gamma + beta)

        def test():
            if not track_stats:
                return activation((x - mean) / np.sqrt(var + eps) * gamma + beta)
            return activation((x - mu) / np.sqrt(sigma + eps) * gamma + beta)

        return (train() if active else test()), train(), test()

    return calls, formula


def norm_row(make, lead, **more):
    calls, formula = statistics(lead)
    x = numbers(4, 3, 5, 2) * 3 + 1
    known = {"init_beta": numbers, "init_gamma": others}
    return Row(
        lambda **o: calls(make, x, **o),
        lambda **o: formula(x, **o),
        {"activation": TANH, "eps": 0.5, **known} | more,
        1e-5,
    )


def group_norm(activation=identity, affine=True, eps=1e-5, init_beta=np.zeros, init_gamma=np.ones):
    y = ref.grouped(numbers(2, 3, 5, 6) * 3 + 1, 2, eps)
    return activation(y * init_gamma(6) + init_beta(6) if affine else y)


def layer_norm(**options):
    """A layer norm whose parameters are not what they start from."""
    layer = flux.LayerNorm(5, 3, **options)
    for t, shift in ((layer.scale, 0.5), (layer.bias, 0.25)):
        if t is not None:
            flux._core.assign(t, t + shift)
    return layer


def doubled(layer):
    """The layer with its scale doubled, if it has one."""
    if layer.scale is not None:
        layer.scale = layer.scale * 2
    return layer


def layer_norm_formula(affine=True, eps=1e-5):
    y = ref.normal(numbers(2, 5, 3), (1, 2), eps)
    return y * 1.5 + 0.25 if affine else y


NORMS = {
    "BatchNorm": norm_row(
        lambda **o: flux.BatchNorm(2, **o), 0, active=True, momentum=0.3, track_stats=False,
        affine=With(False, {"init_gamma": others}),
    ),
    "InstanceNorm": norm_row(
        lambda **o: flux.InstanceNorm(2, **o), 1, track_stats=True, active=With(True, {"track_stats": True}),
        momentum=With(0.3, {"track_stats": True}), affine=With(True, {"init_gamma": others}),
        init_beta=With(numbers, {"affine": True}), init_gamma=With(others, {"affine": True}),
    ),
    "GroupNorm": Row(
        lambda **o: flux.GroupNorm(6, 2, **o)(numbers(2, 3, 5, 6) * 3 + 1),
        group_norm,
        {
            "activation": TANH, "affine": With(False, {"init_gamma": others}), "eps": 0.5,
            "init_beta": numbers, "init_gamma": others,
        },
        1e-5,
    ),
    "LayerNorm": Row(
        lambda **o: layer_norm(**o)(numbers(2, 5, 3)), layer_norm_formula, {"affine": False, "eps": 0.5}, 1e-5
    ),
    "RMSNorm": Row(
        lambda **o: doubled(flux.RMSNorm(5, 3, **o))(numbers(2, 5, 3)),
        lambda affine=True, eps=1e-5: (
            ref.root_mean_square(numbers(2, 5, 3), (1, 2), eps) * (2 if affine else 1)
        ),
        {"affine": False, "eps": 0.5},
        1e-5,
    ),
}  # fmt: skip


ROWS = NORMS
