"""Rules and schedules that PyTorch has too take its steps; where Flux defines one otherwise, what they share."""

import numpy as np
import pytest

import oxiflux as flux
from parity.stored import stored

CASES, WHOLE, SCHEDULES = stored("rules"), stored("whole_norm"), stored("schedules")
GRADIENTS, START = CASES["SGD"]["gradients"], CASES["SGD"]["points"][0]
TINY = 1e-300


def ours(rule):
    """The steps that a rule takes."""
    model = {"w": flux.tensor(START)}
    state = flux.setup(rule, model)
    points = [START]
    for g in GRADIENTS:
        flux.update(state, model, {"w": flux.tensor(g)})
        points.append(model["w"].numpy())
    return np.diff(np.stack(points), axis=0)


def theirs(name):
    return np.diff(CASES[name]["points"], axis=0)


def after(modifier):
    """A modifier before the momentum that PyTorch was run with."""
    return flux.OptimiserChain(modifier, flux.Momentum(0.3, 0.8))


SAME = {
    "SGD": flux.Descent(0.3),
    "SGD with momentum": flux.Momentum(0.3, 0.8),
    "SGD with Nesterov's momentum": flux.Nesterov(0.3, 0.8),
    "SGD with weight decay": after(flux.WeightDecay(0.2)),
    "Adam": flux.Adam(0.1, (0.8, 0.99), 1e-3),
    "AdamW": flux.AdamW(0.1, (0.8, 0.99), 0.2, 1e-3),
    "RMSprop": flux.RMSProp(0.1, 0.8, 1e-3),
    "RMSprop, centred": flux.RMSProp(0.1, 0.8, 1e-3, centred=True),
    "Adadelta": flux.AdaDelta(0.8, 1e-3),
    "Rprop": flux.Rprop(0.1, (0.4, 1.3), (0.05, 0.15)),
    # Flux starts the sum of squares at eps.
    "Adagrad": flux.AdaGrad(0.1, 1e-3),
    # Flux adds eps to the largest gradient, PyTorch to each one before the comparison.
    "Adamax": flux.AdaMax(0.1, (0.8, 0.99), TINY),
    "clipped values": after(flux.ClipGrad(0.5)),
}
# PyTorch adds 1e-6 to the norm.
CLIPPED = {
    "clipped norm": after(flux.ClipNorm(0.5)),
    "clipped norm, p=1": after(flux.ClipNorm(0.5, 1)),
}
APART = {"RAdam", "NAdam", "AMSGrad"}


def test_every_stored_rule_is_compared():
    assert set(SAME) | set(CLIPPED) | APART == set(CASES)


@pytest.mark.parametrize("name", SAME)
def test_a_rule_takes_the_steps_of_pytorch(name):
    np.testing.assert_allclose(ours(SAME[name]), theirs(name), rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("name", CLIPPED)
def test_a_norm_is_clipped_as_by_pytorch(name):
    np.testing.assert_allclose(ours(CLIPPED[name]), theirs(name), rtol=1e-5, atol=1e-7)


def test_radam_is_that_of_pytorch_but_for_one_step():
    """Flux rectifies from a length of 4 on as the paper says, PyTorch from 5; only the fifth step lies between."""
    same = [t for t in range(len(GRADIENTS)) if t + 1 != 5]
    mine = ours(flux.RAdam(0.1, (0.8, 0.99), TINY))
    np.testing.assert_allclose(mine[same], theirs("RAdam")[same], rtol=1e-11)
    assert not np.allclose(mine[4], theirs("RAdam")[4], rtol=0.1)


def test_nadam_is_that_of_pytorch_but_for_a_factor():
    """Flux has another beta[1] under the root, and no schedule of beta[0], which a large decay ends at once."""
    mine = ours(flux.NAdam(0.1, (0.8, 0.99), TINY))
    # PyTorch keeps the power of beta[0] in float32.
    np.testing.assert_allclose(mine * 0.99**0.5, theirs("NAdam"), rtol=1e-6)


def test_amsgrad_is_that_of_pytorch_without_its_correction_of_the_bias():
    """Flux's has none, as in the paper."""
    t = np.arange(1, len(GRADIENTS) + 1)[:, None, None]
    mine = ours(flux.AMSGrad(0.1, (0.8, 0.99), TINY))
    np.testing.assert_allclose(mine * np.sqrt(1 - 0.99**t) / (1 - 0.8**t), theirs("AMSGrad"), rtol=1e-11)


@pytest.mark.parametrize("name", WHOLE)
def test_the_norm_of_a_whole_model_is_clipped_as_by_pytorch(name):
    model = {"a": flux.tensor(START[0]), "b": flux.tensor(START[1:])}
    clip = flux.ClipNorm(0.5, float(name.removeprefix("p=")), whole=True)
    state = flux.setup(flux.OptimiserChain(clip, flux.Adam(0.1)), model)
    for g in GRADIENTS:
        flux.update(state, model, {"a": flux.tensor(g[0]), "b": flux.tensor(g[1:])})
    for key, expected in WHOLE[name].items():
        np.testing.assert_allclose(model[key].numpy(), expected, rtol=1e-5)


SAME_RATES = {
    "StepLR": flux.Step(2.0, 0.5, 4),
    "MultiStepLR": flux.Step(2.0, 0.5, [3, 5, 1, 1]),
    "ExponentialLR": flux.Exp(2.0, 0.8),
    "PolynomialLR": flux.Poly(2.0, 2.0, 12),
    "CosineAnnealingLR": flux.CosAnneal(0.5, 2.0, 6, restart=False),
    "CosineAnnealingWarmRestarts": flux.CosAnneal(0.5, 2.0, 6),
    "CyclicLR": flux.Triangle(0.5, 2.0, 8),
    "LinearLR": flux.Warmup(2.0, 5, 0.5),
    "LambdaLR, inverse": flux.Inv(2.0, 0.5, 2),
}


def test_every_stored_schedule_is_compared():
    assert set(SAME_RATES) == set(SCHEDULES)


@pytest.mark.parametrize("name", SAME_RATES)
def test_a_schedule_gives_the_rates_of_pytorch(name):
    expected = SCHEDULES[name]["rates"]
    mine = [SAME_RATES[name](t) for t in range(len(expected))]
    np.testing.assert_allclose(mine, expected, rtol=1e-12, atol=1e-14)
