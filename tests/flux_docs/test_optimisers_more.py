"""Optimisers.jl's further rules and modifiers, written again in NumPy and float64, and its documented examples."""

import numpy as np
import pytest

import oxiflux as flux

X0 = np.array([[1.0, -2.0, 0.5], [3.0, 0.0, -1.5]])
GRADIENTS = [
    np.array([[0.5, -1.0, 2.0], [0.25, 3.0, -0.125]]),
    np.array([[-0.5, 1.5, 0.125], [4.0, -2.0, 1.0]]),
    np.array([[1e-3, -7.0, 0.75], [1.0, 0.5, -2.5]]),
]


def moments(grads, beta):
    """Step number, gradient, and Adam's two running moments."""
    m = v = np.zeros_like(grads[0])
    for t, g in enumerate(grads, 1):
        m = beta[0] * m + (1 - beta[0]) * g
        v = beta[1] * v + (1 - beta[1]) * g * g
        yield t, g, m, v


def rprop(grads, x, eta=1e-3, scale=(0.5, 1.2), limits=(1e-6, 50.0)):
    before, step = np.zeros_like(x), np.full_like(x, eta)
    for g in grads:
        agreement = before * g
        step = np.where(agreement > 0, np.minimum(step * scale[1], limits[1]), step)
        step = np.where(agreement < 0, np.maximum(step * scale[0], limits[0]), step)
        before = np.where(agreement < 0, 0, g)
        x = x - step * np.sign(before)
        yield x


def radam(grads, x, eta=0.001, beta=(0.9, 0.999), eps=1e-8):
    longest = 2 / (1 - beta[1]) - 1
    for t, _, m, v in moments(grads, beta):
        length = longest - 2 * t * beta[1] ** t / (1 - beta[1] ** t)
        step = m / (1 - beta[0] ** t)
        if length > 4:
            rectification = np.sqrt(
                (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
            )
            step = step * rectification / (np.sqrt(v / (1 - beta[1] ** t)) + eps)
        x = x - eta * step
        yield x


def adamax(grads, x, eta=0.001, beta=(0.9, 0.999), eps=1e-8):
    largest = np.zeros_like(x)
    for t, g, m, _ in moments(grads, beta):
        largest = np.maximum(beta[1] * largest, np.abs(g))
        x = x - eta / (1 - beta[0] ** t) * m / (largest + eps)
        yield x


def oadam(grads, x, eta=0.001, beta=(0.5, 0.9), eps=1e-8):
    before = np.zeros_like(x)
    for t, _, m, v in moments(grads, beta):
        term = eta * m / (1 - beta[0] ** t) / (np.sqrt(v / (1 - beta[1] ** t)) + eps)
        x = x - (2 * term - before)
        before = term
        yield x


def adagrad(grads, x, eta=0.1, eps=1e-8):
    total = np.full_like(x, eps)
    for g in grads:
        total = total + g * g
        x = x - eta * g / (np.sqrt(total) + eps)
        yield x


def adadelta(grads, x, rho=0.9, eps=1e-8):
    square, steps = np.zeros_like(x), np.zeros_like(x)
    for g in grads:
        square = rho * square + (1 - rho) * g * g
        step = g * np.sqrt(steps + eps) / np.sqrt(square + eps)
        steps = rho * steps + (1 - rho) * step * step
        x = x - step
        yield x


def amsgrad(grads, x, eta=0.001, beta=(0.9, 0.999), eps=1e-8):
    m = v = largest = np.full_like(x, eps)
    for g in grads:
        m = beta[0] * m + (1 - beta[0]) * g
        v = beta[1] * v + (1 - beta[1]) * g * g
        largest = np.maximum(largest, v)
        x = x - eta * m / (np.sqrt(largest) + eps)
        yield x


def nadam(grads, x, eta=0.001, beta=(0.9, 0.999), eps=1e-8):
    for t, g, m, v in moments(grads, beta):
        ahead = beta[0] * m / (1 - beta[0] ** (t + 1)) + (1 - beta[0]) * g / (1 - beta[0] ** t)
        x = x - eta * ahead / (np.sqrt(v * beta[1] / (1 - beta[1] ** t)) + eps)
        yield x


def adabelief(grads, x, eta=0.001, beta=(0.9, 0.999), eps=1e-16):
    s = np.zeros_like(x)
    for t, g, m, _ in moments(grads, beta):
        s = beta[1] * s + (1 - beta[1]) * (g - m) ** 2 + eps
        x = x - eta * m / (1 - beta[0] ** t) / (np.sqrt(s / (1 - beta[1] ** t)) + eps)
        yield x


RULES = [
    pytest.param(lambda: flux.Rprop(), rprop, {}, id="Rprop"),
    pytest.param(
        lambda: flux.Rprop(0.5, (0.25, 2.0), (0.2, 0.6)),
        rprop,
        {"eta": 0.5, "scale": (0.25, 2.0), "limits": (0.2, 0.6)},
        id="Rprop at its limits",
    ),
    pytest.param(lambda: flux.RAdam(), radam, {}, id="RAdam"),
    pytest.param(
        lambda: flux.RAdam(0.1, (0.9, 0.99)), radam, {"eta": 0.1, "beta": (0.9, 0.99)}, id="RAdam(0.1)"
    ),
    pytest.param(lambda: flux.AdaMax(), adamax, {}, id="AdaMax"),
    pytest.param(lambda: flux.OAdam(), oadam, {}, id="OAdam"),
    pytest.param(lambda: flux.AdaGrad(), adagrad, {}, id="AdaGrad"),
    pytest.param(lambda: flux.AdaDelta(), adadelta, {}, id="AdaDelta"),
    pytest.param(lambda: flux.AMSGrad(), amsgrad, {}, id="AMSGrad"),
    pytest.param(lambda: flux.NAdam(), nadam, {}, id="NAdam"),
    pytest.param(lambda: flux.AdaBelief(), adabelief, {}, id="AdaBelief"),
]


def run(rule, grads, x, dtype=np.float64):
    """The parameter after each update with the given gradients."""
    model = {"w": flux.tensor(np.array(x, dtype))}
    state = flux.setup(rule, model)
    for g in grads:
        flux.update(state, model, {"w": flux.tensor(np.array(g, dtype))})
        yield model["w"].numpy()


@pytest.mark.parametrize(("rule", "formula", "options"), RULES)
def test_rule_follows_its_formula(rule, formula, options):
    # Eight steps, so that RAdam passes the length from which it rectifies.
    grads = [g * scale for scale in (1.0, 0.5, -0.25) for g in GRADIENTS][:8]
    expected = formula(grads, X0, **options)
    for step, (got, want) in enumerate(zip(run(rule(), grads, X0), expected, strict=True), 1):
        assert got.dtype == np.float64
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12, err_msg=f"step {step}")


@pytest.mark.parametrize(("rule", "formula", "options"), RULES)
@pytest.mark.parametrize("size", [0, 1, 17, 63])
def test_rule_keeps_float32_at_odd_sizes(rule, formula, options, size):
    rng = np.random.default_rng(size)
    x, grads = rng.normal(size=size), rng.normal(size=(4, size))
    for got, want in zip(run(rule(), grads, x, np.float32), formula(grads, x, **options), strict=True):
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_lion_steps_by_the_learning_rate_against_the_sign():
    grads = [np.array([2.0, -0.5, 1e-3])] * 3
    for step, x in enumerate(run(flux.Lion(0.01), grads, np.zeros(3)), 1):
        np.testing.assert_allclose(x, -0.01 * step * np.sign(grads[0]), rtol=1e-12)


# Modifiers


def test_chain_clips_before_it_discounts():
    (x,) = run(flux.OptimiserChain(flux.ClipGrad(1.0), flux.Descent(0.1)), [[0.3, 1, 7]], np.zeros(3))
    np.testing.assert_allclose(x, [-0.03, -0.1, -0.1], rtol=1e-12)


def test_empty_chain_subtracts_the_gradient():
    (x,) = run(flux.OptimiserChain(), GRADIENTS[:1], X0)
    np.testing.assert_array_equal(x, X0 - GRADIENTS[0])


def test_chain_prints_its_rules():
    chain = flux.OptimiserChain(flux.ClipGrad(1.0), flux.Descent(0.1))
    assert repr(chain) == "OptimiserChain(ClipGrad(1.0), Descent(0.1))"


def test_accumgrad_applies_the_mean_of_its_gradients_at_once():
    model = {"x": flux.tensor([1.0]), "y": flux.tensor([2.0])}
    rule = flux.OptimiserChain(flux.AccumGrad(2), flux.WeightDecay(0.01), flux.Descent(0.1))
    state = flux.setup(rule, model)
    flux.update(state, model, {"x": flux.tensor([33.0]), "y": flux.tensor([0.0])})
    assert (model["x"].item(), model["y"].item()) == (1.0, 2.0)
    flux.update(state, model, {"x": flux.tensor([0.0]), "y": flux.tensor([444.0])})
    np.testing.assert_allclose([model["x"].item(), model["y"].item()], [-0.651, -20.202002], rtol=1e-6)


def test_accumgrad_starts_again_after_each_step():
    chain = flux.OptimiserChain(flux.AccumGrad(3), flux.Descent(0.01))
    xs = list(run(chain, GRADIENTS + GRADIENTS, X0))
    mean = sum(GRADIENTS) / 3
    expected = [X0, X0, X0 - 0.01 * mean, X0 - 0.01 * mean, X0 - 0.01 * mean, X0 - 0.02 * mean]
    for got, want in zip(xs, expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12)


def test_weight_decay_adds_the_gradient_of_half_the_squared_norm():
    (x,) = run(flux.OptimiserChain(flux.WeightDecay(), flux.Descent(1.0)), GRADIENTS[:1], X0)
    np.testing.assert_allclose(x, X0 - GRADIENTS[0] - 5e-4 * X0, rtol=1e-12)


def test_sign_decay_adds_the_gradient_of_the_absolute_norm():
    (x,) = run(flux.OptimiserChain(flux.SignDecay(), flux.Descent(1.0)), GRADIENTS[:1], X0)
    np.testing.assert_allclose(x, X0 - GRADIENTS[0] - 1e-3 * np.sign(X0), rtol=1e-12)


def test_clipgrad_bounds_each_component_by_ten():
    (x,) = run(flux.OptimiserChain(flux.ClipGrad(), flux.Descent(1.0)), [[-30.0, 9.0, 11.0]], np.zeros(3))
    np.testing.assert_array_equal(x, [10, -9, -10])


def test_clipnorm_scales_a_long_gradient_and_leaves_a_short_one():
    chain = flux.OptimiserChain(flux.ClipNorm(), flux.Descent(1.0))
    (x,) = run(chain, [[30.0, 40.0]], np.zeros(2))
    np.testing.assert_allclose(x, [-6, -8], rtol=1e-12)
    (x,) = run(chain, [[3.0, 4.0]], np.zeros(2))
    np.testing.assert_array_equal(x, [-3, -4])


def test_clipnorm_takes_another_norm():
    (x,) = run(flux.OptimiserChain(flux.ClipNorm(1.0, 1), flux.Descent(1.0)), [[3.0, -1.0]], np.zeros(2))
    np.testing.assert_allclose(x, [-0.75, 0.25], rtol=1e-12)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_clipnorm_of_a_gradient_without_finite_norm_is_an_error_that_changes_nothing(bad):
    model = {"w": flux.tensor(np.ones(2))}
    state = flux.setup(flux.OptimiserChain(flux.ClipNorm(), flux.Momentum()), model)
    with pytest.raises(ValueError, match="norm"):
        flux.update(state, model, {"w": flux.tensor(np.array([1.0, bad]))})
    np.testing.assert_array_equal(model["w"].numpy(), 1)
    flux.update(state, model, {"w": flux.tensor(np.array([1.0, 0.0]))})
    np.testing.assert_allclose(model["w"].numpy(), [1 - 0.01, 1], rtol=1e-12)


def test_decay_and_clipping_compose_in_order():
    chain = flux.OptimiserChain(flux.WeightDecay(0.5), flux.ClipGrad(1.0), flux.Momentum(0.1, 0.9))
    x, velocity = X0, np.zeros_like(X0)
    for got, g in zip(run(chain, GRADIENTS, X0), GRADIENTS, strict=True):
        velocity = 0.9 * velocity + 0.1 * np.clip(g + 0.5 * x, -1, 1)
        x = x - velocity
        np.testing.assert_allclose(got, x, rtol=1e-12)


def test_a_rule_of_ones_own():
    class SignDescent:
        def init(self, x):
            return 0

        def apply(self, state, x, dx):
            return state + 1, 0.5 * flux.sign(dx)

    *_, x = run(SignDescent(), GRADIENTS[:2], X0)
    np.testing.assert_allclose(x, X0 - 0.5 * np.sign(GRADIENTS[0]) - 0.5 * np.sign(GRADIENTS[1]), rtol=1e-12)


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param(lambda: flux.Descent(0.1), id="Descent"),
        pytest.param(lambda: flux.Adam(0.1), id="Adam"),
        pytest.param(lambda: flux.RMSProp(0.1), id="RMSProp"),
        pytest.param(lambda: flux.AdaGrad(1.0), id="AdaGrad"),
        pytest.param(lambda: flux.OptimiserChain(flux.ClipNorm(), flux.Adam(0.1)), id="ClipNorm, Adam"),
        pytest.param(
            lambda: flux.OptimiserChain(flux.ClipGrad(0.5), flux.Momentum(0.1)), id="ClipGrad, Momentum"
        ),
    ],
)
def test_rule_minimises_a_product_of_two_factors(rule):
    rng = np.random.default_rng(0)
    target = rng.random((3, 3)) * rng.random((3, 3))
    model = {"a": flux.tensor(rng.random((3, 3)) * 5), "b": flux.tensor(rng.random((3, 3)))}

    def loss(m):
        return flux.mean((m["a"] * m["b"] - target) ** 2)

    assert loss(model).item() > 0.5
    state = flux.setup(rule(), model)
    for _ in range(1000):
        flux.update(state, model, flux.gradient(loss, model)[0])
    assert loss(model).item() < 1e-2
