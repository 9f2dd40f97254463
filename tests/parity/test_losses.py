"""Losses and activations that PyTorch has too give its values and derivatives."""

import numpy as np
import pytest

import oxiflux as flux
from parity.stored import stored

LOSSES, ACTIVATIONS = stored("losses"), stored("activations")


def smoothed(p, labels):
    return flux.logitcrossentropy(p, flux.label_smoothing(np.eye(4)[labels], 0.2))


OURS = {
    "mse": flux.mse,
    "mae": flux.mae,
    "huber": flux.huber_loss,
    "huber, delta": lambda p, t: flux.huber_loss(p, t, delta=0.3),
    "cross entropy of labels": flux.logitcrossentropy,
    "cross entropy of labels, summed": lambda p, t: flux.logitcrossentropy(p, t, agg=flux.sum),
    "cross entropy of probabilities": flux.logitcrossentropy,
    "cross entropy, smoothed": smoothed,
    "likelihood of labels": lambda p, t: flux.crossentropy(p, t, eps=0),
    "binary cross entropy": lambda p, t: flux.binarycrossentropy(p, t, eps=0),
    "binary cross entropy of logits": flux.logitbinarycrossentropy,
    "Kullback-Leibler": lambda p, t: flux.kldivergence(p, t, eps=0),
    "Poisson": flux.poisson_loss,
}


def test_every_stored_loss_is_compared():
    assert set(OURS) | {"CTC, summed"} == set(LOSSES)


@pytest.mark.parametrize("name", OURS)
def test_a_loss_and_its_gradient_are_those_of_pytorch(name):
    kept = LOSSES[name]
    value, (grad,) = flux.withgradient(
        lambda p: OURS[name](p, kept["target"]), flux.tensor(kept["prediction"])
    )
    np.testing.assert_allclose(value.item(), kept["value"], rtol=1e-13)
    np.testing.assert_allclose(grad.numpy(), kept["grad"], rtol=1e-12, atol=1e-15)


def test_ctc_and_its_gradient_are_those_of_pytorch():
    kept = LOSSES["CTC, summed"]
    lengths = {"input_lengths": kept["times"].tolist(), "target_lengths": kept["lengths"].tolist()}
    loss = lambda p: flux.ctc_loss(p, kept["target"], agg=flux.sum, **lengths)
    value, (grad,) = flux.withgradient(loss, flux.tensor(kept["prediction"]))
    np.testing.assert_allclose(value.item(), kept["value"], rtol=1e-12)
    np.testing.assert_allclose(grad.numpy(), kept["grad"], rtol=1e-10, atol=1e-13)


def function(name):
    """Our activation, with the parameter that comes after the name."""
    name, _, parameter = name.partition(", ")
    f = getattr(flux, name)
    return (lambda x: f(x, float(parameter))) if parameter else f


# PyTorch rounds 1/6 to float32, and 1/alpha in the second derivative; tanh near 1 leaves few digits of gelu's.
ROUNDED = {"hardsigmoid": (1e-7, 0), "celu, 0.3": (1e-6, 0), "gelu_tanh": (1e-8, 1e-13)}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_and_its_derivatives_are_those_of_pytorch(name):
    kept, f = ACTIVATIONS[name], function(name)
    first = lambda x: flux.gradient(lambda x: f(x).sum(), x)[0]
    second = lambda x: flux.gradient(lambda x: (first(x) + 0 * x).sum(), x)[0]
    x = flux.tensor(kept["x"])
    rtol, atol = ROUNDED.get(name, (1e-11, 0))
    for order, mine in (("y", f), ("first", first), ("second", second)):
        if order in kept:
            # Some derivatives of PyTorch's overflow.
            there = np.isfinite(kept[order])
            assert there.sum() >= len(there) - 1
            np.testing.assert_allclose(
                mine(x).numpy()[there], kept[order][there], rtol=rtol, atol=atol + 2e-15
            )
