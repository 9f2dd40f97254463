"""The examples of Optimisers.jl's documentation, and what it says of modifiers, freezing and adjusting."""

import numpy as np
import pytest

import oxiflux as flux

X0 = np.array([[1.0, -2.0, 0.5], [3.0, 0.0, -1.5]])
GRADIENTS = [
    np.array([[0.5, -1.0, 2.0], [0.25, 3.0, -0.125]]),
    np.array([[-0.5, 1.5, 0.125], [4.0, -2.0, 1.0]]),
    np.array([[1e-3, -7.0, 0.75], [1.0, 0.5, -2.5]]),
]


def run(rule, grads, x, dtype=np.float64):
    """The parameter after each update with the given gradients."""
    model = {"w": flux.tensor(np.array(x, dtype))}
    state = flux.setup(rule, model)
    for g in grads:
        flux.update(state, model, {"w": flux.tensor(np.array(g, dtype))})
        yield model["w"].numpy()


def test_chain_clips_before_it_discounts():
    (x,) = run(flux.OptimiserChain(flux.ClipGrad(1.0), flux.Descent(0.1)), [[0.3, 1, 7]], np.zeros(3))
    np.testing.assert_allclose(x, [-0.03, -0.1, -0.1], rtol=1e-12)


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


def test_clipgrad_bounds_each_component_by_ten():
    (x,) = run(flux.OptimiserChain(flux.ClipGrad(), flux.Descent(1.0)), [[-30.0, 9.0, 11.0]], np.zeros(3))
    np.testing.assert_array_equal(x, [10, -9, -10])


def test_clipnorm_scales_a_long_gradient_and_leaves_a_short_one():
    chain = flux.OptimiserChain(flux.ClipNorm(), flux.Descent(1.0))
    (x,) = run(chain, [[30.0, 40.0]], np.zeros(2))
    np.testing.assert_allclose(x, [-6, -8], rtol=1e-12)
    (x,) = run(chain, [[3.0, 4.0]], np.zeros(2))
    np.testing.assert_array_equal(x, [-3, -4])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_clipnorm_of_a_gradient_without_finite_norm_is_an_error_that_changes_nothing(bad):
    model = {"w": flux.tensor(np.ones(2))}
    state = flux.setup(flux.OptimiserChain(flux.ClipNorm(), flux.Momentum()), model)
    with pytest.raises(ValueError, match="norm"):
        flux.update(state, model, {"w": flux.tensor(np.array([1.0, bad]))})
    np.testing.assert_array_equal(model["w"].numpy(), 1)
    flux.update(state, model, {"w": flux.tensor(np.array([1.0, 0.0]))})
    np.testing.assert_allclose(model["w"].numpy(), [1 - 0.01, 1], rtol=1e-12)


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


def test_adjust_changes_the_learning_rate_and_keeps_the_state():
    model = {"w": flux.tensor(X0)}
    state = flux.setup(flux.Momentum(0.01, 0.9), model)
    flux.update(state, model, {"w": flux.tensor(GRADIENTS[0])})
    flux.adjust(state, 0.1)
    flux.update(state, model, {"w": flux.tensor(GRADIENTS[1])})
    velocity = 0.01 * GRADIENTS[0]
    expected = X0 - velocity - (0.9 * velocity + 0.1 * GRADIENTS[1])
    np.testing.assert_allclose(model["w"].numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (lambda: flux.Descent(), "Descent(0.1)"),
        (lambda: flux.Descent(0.3), "Descent(0.3)"),
        (lambda: flux.Momentum(), "Momentum(0.01, 0.9)"),
        (lambda: flux.Nesterov(), "Nesterov(0.001, 0.9)"),
        (lambda: flux.Adam(), "Adam(0.001, (0.9, 0.999), 1e-08)"),
    ],
)
def test_rule_prints_its_options(rule, text):
    assert repr(rule()) == text
