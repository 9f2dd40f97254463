"""Rules that PyTorch has too take its steps; where Flux defines one otherwise, what the two have in common."""

import numpy as np
import pytest

import oxiflux as flux

torch = pytest.importorskip("torch")
optim = torch.optim

X = np.random.default_rng(0).normal(size=(3, 4))
GRADIENTS = np.random.default_rng(1).normal(size=(8, 3, 4))
TINY = 1e-300


def ours(rule):
    """The parameter before the first step and after each."""
    model = {"w": flux.tensor(X)}
    state = flux.setup(rule, model)
    yield X
    for g in GRADIENTS:
        flux.update(state, model, {"w": flux.tensor(g)})
        yield model["w"].numpy()


def theirs(make, before=lambda w: None):
    w = torch.tensor(X, requires_grad=True)
    rule = make([w])
    yield X
    for g in GRADIENTS:
        w.grad = torch.tensor(g)
        before(w)
        rule.step()
        yield w.detach().numpy().copy()


def steps(points):
    return np.diff(np.stack(list(points)), axis=0)


SAME = {
    "SGD": (flux.Descent(0.3), lambda p: optim.SGD(p, 0.3)),
    "SGD with momentum": (flux.Momentum(0.3, 0.8), lambda p: optim.SGD(p, 0.3, momentum=0.8)),
    "SGD with Nesterov's momentum": (
        flux.Nesterov(0.3, 0.8),
        lambda p: optim.SGD(p, 0.3, momentum=0.8, nesterov=True),
    ),
    "SGD with weight decay": (
        flux.OptimiserChain(flux.WeightDecay(0.2), flux.Momentum(0.3, 0.8)),
        lambda p: optim.SGD(p, 0.3, momentum=0.8, weight_decay=0.2),
    ),
    "Adam": (flux.Adam(0.1, (0.8, 0.99), 1e-3), lambda p: optim.Adam(p, 0.1, (0.8, 0.99), 1e-3)),
    "AdamW": (
        flux.AdamW(0.1, (0.8, 0.99), 0.2, 1e-3),
        lambda p: optim.AdamW(p, 0.1, (0.8, 0.99), 1e-3, weight_decay=0.2),
    ),
    "RMSprop": (flux.RMSProp(0.1, 0.8, 1e-3), lambda p: optim.RMSprop(p, 0.1, 0.8, 1e-3)),
    "RMSprop, centred": (
        flux.RMSProp(0.1, 0.8, 1e-3, centred=True),
        lambda p: optim.RMSprop(p, 0.1, 0.8, 1e-3, centered=True),
    ),
    "Adadelta": (flux.AdaDelta(0.8, 1e-3), lambda p: optim.Adadelta(p, 1.0, 0.8, 1e-3)),
    "Rprop": (
        flux.Rprop(0.1, (0.4, 1.3), (0.05, 0.15)),
        lambda p: optim.Rprop(p, 0.1, (0.4, 1.3), (0.05, 0.15)),
    ),
    # Flux starts the sum of squares at eps.
    "Adagrad": (
        flux.AdaGrad(0.1, 1e-3),
        lambda p: optim.Adagrad(p, 0.1, initial_accumulator_value=1e-3, eps=1e-3),
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_a_rule_takes_the_steps_of_pytorch(name):
    rule, make = SAME[name]
    np.testing.assert_allclose(steps(ours(rule)), steps(theirs(make)), rtol=1e-9, atol=1e-13)


def test_adamax_is_that_of_pytorch_but_for_the_place_of_eps():
    """Flux adds eps to the largest gradient, PyTorch to each one before the comparison."""
    make = lambda p: optim.Adamax(p, 0.1, (0.8, 0.99), TINY)
    np.testing.assert_allclose(
        steps(ours(flux.AdaMax(0.1, (0.8, 0.99), TINY))), steps(theirs(make)), rtol=1e-9
    )


def test_radam_is_that_of_pytorch_but_for_one_step():
    """Flux rectifies from a length of 4 on as the paper says, PyTorch from 5; only the fifth step lies between."""
    make = lambda p: optim.RAdam(p, 0.1, (0.8, 0.99), TINY)
    mine, other = steps(ours(flux.RAdam(0.1, (0.8, 0.99), TINY))), steps(theirs(make))
    same = [t for t in range(len(GRADIENTS)) if t + 1 != 5]
    np.testing.assert_allclose(mine[same], other[same], rtol=1e-9)


def test_nadam_is_that_of_pytorch_but_for_a_factor():
    """Flux has another beta[1] under the root, and no schedule of beta[0], which a large decay ends at once."""
    make = lambda p: optim.NAdam(p, 0.1, (0.8, 0.99), TINY, momentum_decay=1e9)
    mine = steps(ours(flux.NAdam(0.1, (0.8, 0.99), TINY)))
    # PyTorch keeps the power of beta[0] in float32.
    np.testing.assert_allclose(mine * 0.99**0.5, steps(theirs(make)), rtol=1e-6)


def test_amsgrad_is_that_of_pytorch_without_its_correction_of_the_bias():
    """Flux's has none, as in the paper."""
    make = lambda p: optim.Adam(p, 0.1, (0.8, 0.99), TINY, amsgrad=True)
    t = np.arange(1, len(GRADIENTS) + 1)[:, None, None]
    mine = steps(ours(flux.AMSGrad(0.1, (0.8, 0.99), TINY)))
    np.testing.assert_allclose(mine * np.sqrt(1 - 0.99**t) / (1 - 0.8**t), steps(theirs(make)), rtol=1e-9)


def test_gradients_are_clipped_as_by_pytorch():
    for rule, clip, tolerance in (
        (flux.ClipGrad(0.5), lambda w: torch.nn.utils.clip_grad_value_([w], 0.5), 1e-12),
        # PyTorch adds 1e-6 to the norm.
        (flux.ClipNorm(0.5), lambda w: torch.nn.utils.clip_grad_norm_([w], 0.5), 1e-5),
        (flux.ClipNorm(0.5, 1), lambda w: torch.nn.utils.clip_grad_norm_([w], 0.5, norm_type=1), 1e-5),
    ):
        chain = flux.OptimiserChain(rule, flux.Momentum(0.3, 0.8))
        expected = steps(theirs(lambda p: optim.SGD(p, 0.3, momentum=0.8), clip))
        np.testing.assert_allclose(steps(ours(chain)), expected, rtol=tolerance, atol=tolerance)


def test_the_norm_of_a_whole_model_is_clipped_as_by_pytorch():
    start = {"a": X[0], "b": X[1:]}
    model = {k: flux.tensor(v) for k, v in start.items()}
    state = flux.setup(flux.OptimiserChain(flux.ClipNorm(0.5, whole=True), flux.Adam(0.1)), model)
    w = {k: torch.tensor(v, requires_grad=True) for k, v in start.items()}
    rule = optim.Adam(w.values(), 0.1)
    for g in GRADIENTS:
        g = {"a": g[0], "b": g[1:]}
        flux.update(state, model, {k: flux.tensor(v) for k, v in g.items()})
        for k in w:
            w[k].grad = torch.tensor(g[k])
        torch.nn.utils.clip_grad_norm_(w.values(), 0.5)
        rule.step()
    for k in w:
        np.testing.assert_allclose(model[k].numpy(), w[k].detach().numpy(), rtol=1e-5)
