"""Initialisers: what each option does, by the numbers that the same generator draws."""

import math

import numpy as np
from scipy import special

import oxiflux as flux
from options.rows import Row


def drawn(name, kind, scale, **turned):
    """`kind` of a generator, times what the options make of it."""

    def formula(**options):
        return getattr(flux.Generator(3), kind)(40, 60).numpy().astype(np.float64) * scale(**options)

    return Row(lambda **o: getattr(flux, name)(40, 60, rng=flux.Generator(3), **o), formula, turned, 1e-5)


def centred(name, bound):
    """A uniform one, between `-bound` and `bound`."""

    def formula(**options):
        return (2 * flux.Generator(3).rand(40, 60).numpy().astype(np.float64) - 1) * bound(**options)

    return Row(
        lambda **o: getattr(flux, name)(40, 60, rng=flux.Generator(3), **o), formula, {"gain": 3.0}, 1e-5
    )


def identity_of(shape):
    """Ones on the diagonal of the middle of the kernel, the left one of two, and then rolled."""

    def formula(gain=1, shift=0):
        w = np.zeros(shape)
        middle = tuple((n - 1) // 2 for n in shape[:-2])
        for i in range(min(shape[-2:])):
            w[(*middle, i, i)] = gain
        return np.roll(w, shift, tuple(range(len(shift))) if isinstance(shift, tuple) else 0)

    return formula


def scaled_orthogonal(**options):
    """The product with its transpose, which is the identity times the square of the gain."""
    w = flux.orthogonal(4, 6, rng=flux.Generator(3), **options).numpy().astype(np.float64)
    return w @ w.T


def spread(mean=0, std=1, lo=-2, hi=2):
    """The bounds, and the mean and deviation between them."""
    a, b = (lo - mean) / std, (hi - mean) / std
    z = special.ndtr(b) - special.ndtr(a)
    density = lambda x: np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    shift = (density(a) - density(b)) / z
    variance = 1 + (a * density(a) - b * density(b)) / z - shift**2
    return np.round([lo, hi, mean + std * shift, std * math.sqrt(variance)], 1)


def truncated(**options):
    w = flux.truncated_normal(200, 200, rng=flux.Generator(3), **options).numpy().astype(np.float64)
    return np.round([w.min(), w.max(), w.mean(), w.std()], 1)


def sparse(**options):
    return flux.sparse_init(50, 80, sparsity=0.25, rng=flux.Generator(3), **options).numpy()


def sparse_formula(std=0.01):
    generator = flux.Generator(3)
    values = generator.randn(50, 80).numpy()
    rank = generator.rand(50, 80).numpy().argsort(axis=1).argsort(axis=1)
    return np.where(rank < 20, 0, values * std)


INITIALISERS = {
    "glorot_uniform": centred("glorot_uniform", lambda gain=1: gain * math.sqrt(6 / 100)),
    "glorot_normal": drawn("glorot_normal", "randn", lambda gain=1: gain * math.sqrt(2 / 100), gain=3.0),
    "kaiming_uniform": centred("kaiming_uniform", lambda gain=2**0.5: gain * math.sqrt(3 / 40)),
    "kaiming_normal": drawn(
        "kaiming_normal", "randn", lambda gain=2**0.5: gain * math.sqrt(1 / 40), gain=3.0
    ),
    "identity_init": Row(
        # Also even kernels, which have two middles.
        lambda **o: [flux.identity_init(*s, **o) for s in ((3, 4), (4, 3, 2, 2), (2, 3, 5))],
        lambda **o: [identity_of(s)(**o) for s in ((3, 4), (4, 3, 2, 2), (2, 3, 5))],
        {"gain": 3.0, "shift": (1, 1)},
    ),
    "orthogonal": Row(scaled_orthogonal, lambda gain=1: np.eye(4) * gain**2, {"gain": 3.0}, 1e-5),
    "truncated_normal": Row(
        truncated, spread, {"mean": 0.5, "std": 3.0, "lo": -1.0, "hi": 1.0}, 0.11
    ),
    "sparse_init": Row(sparse, sparse_formula, {"std": 2.0}, 1e-5),
}  # fmt: skip


ROWS = INITIALISERS
