"""Every principal rule against Optimisers.jl's formulas, written again in NumPy and float64."""

import numpy as np
import pytest

import oxiflux as flux

X0 = np.array([[1.0, -2.0, 0.5], [3.0, 0.0, -1.5]])
GRADIENTS = [
    np.array([[0.5, -1.0, 2.0], [0.25, 3.0, -0.125]]),
    np.array([[-0.5, 1.5, 0.0], [4.0, -2.0, 1.0]]),
    np.array([[1e-3, -7.0, 0.75], [0.0, 0.5, -2.5]]),
]


def descent(grads, x, eta=0.1):
    for g in grads:
        x = x - eta * g
        yield x


def momentum(grads, x, eta=0.01, rho=0.9):
    velocity = np.zeros_like(x)
    for g in grads:
        velocity = rho * velocity + eta * g
        x = x - velocity
        yield x


def nesterov(grads, x, eta=0.001, rho=0.9):
    velocity = np.zeros_like(x)
    for g in grads:
        velocity_next = rho * velocity - eta * g
        # A step along the velocity and a look ahead by the next one.
        x = x + rho * velocity_next - eta * g
        velocity = velocity_next
        yield x


def rmsprop(grads, x, eta=0.001, rho=0.9, eps=1e-8, centred=False):
    square, mean = np.zeros_like(x), np.zeros_like(x)
    for g in grads:
        square = rho * square + (1 - rho) * g * g
        if centred:
            mean = rho * mean + (1 - rho) * g
        x = x - eta * g / (np.sqrt(square - mean * mean) + eps)
        yield x


def adam(grads, x, eta=0.001, beta=(0.9, 0.999), eps=1e-8):
    m, v = np.zeros_like(x), np.zeros_like(x)
    for t, g in enumerate(grads, 1):
        m = beta[0] * m + (1 - beta[0]) * g
        v = beta[1] * v + (1 - beta[1]) * g * g
        x = x - eta * (m / (1 - beta[0] ** t)) / (np.sqrt(v / (1 - beta[1] ** t)) + eps)
        yield x


def adamw(grads, x, eta=0.001, beta=(0.9, 0.999), decay=0.0, eps=1e-8, couple=True):
    m, v = np.zeros_like(x), np.zeros_like(x)
    for t, g in enumerate(grads, 1):
        m = beta[0] * m + (1 - beta[0]) * g
        v = beta[1] * v + (1 - beta[1]) * g * g
        step = m / (1 - beta[0] ** t) / (np.sqrt(v / (1 - beta[1] ** t)) + eps)
        x = x - (eta * (step + decay * x) if couple else eta * step + decay * x)
        yield x


RULES = [
    pytest.param(lambda: flux.Descent(), descent, {}, id="Descent"),
    pytest.param(lambda: flux.Descent(0.5), descent, {"eta": 0.5}, id="Descent(0.5)"),
    pytest.param(lambda: flux.Momentum(), momentum, {}, id="Momentum"),
    pytest.param(
        lambda: flux.Momentum(0.2, 0.5), momentum, {"eta": 0.2, "rho": 0.5}, id="Momentum(0.2, 0.5)"
    ),
    pytest.param(lambda: flux.Nesterov(), nesterov, {}, id="Nesterov"),
    pytest.param(
        lambda: flux.Nesterov(0.2, 0.5), nesterov, {"eta": 0.2, "rho": 0.5}, id="Nesterov(0.2, 0.5)"
    ),
    pytest.param(lambda: flux.RMSProp(), rmsprop, {}, id="RMSProp"),
    pytest.param(lambda: flux.RMSProp(centred=True), rmsprop, {"centred": True}, id="RMSProp centred"),
    pytest.param(
        lambda: flux.RMSProp(0.1, 0.5, 1e-3),
        rmsprop,
        {"eta": 0.1, "rho": 0.5, "eps": 1e-3},
        id="RMSProp(0.1, 0.5)",
    ),
    pytest.param(lambda: flux.Adam(), adam, {}, id="Adam"),
    pytest.param(
        lambda: flux.Adam(0.1, (0.5, 0.75), 1e-3),
        adam,
        {"eta": 0.1, "beta": (0.5, 0.75), "eps": 1e-3},
        id="Adam(0.1)",
    ),
    pytest.param(lambda: flux.AdamW(), adamw, {}, id="AdamW"),
    pytest.param(
        lambda: flux.AdamW(0.1, (0.9, 0.999), 0.25), adamw, {"eta": 0.1, "decay": 0.25}, id="AdamW decay"
    ),
    pytest.param(
        lambda: flux.AdamW(0.1, (0.9, 0.999), 0.25, couple=False),
        adamw,
        {"eta": 0.1, "decay": 0.25, "couple": False},
        id="AdamW decoupled",
    ),
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
    expected = formula(GRADIENTS, X0, **options)
    for step, (got, want) in enumerate(zip(run(rule(), GRADIENTS, X0), expected, strict=True), 1):
        assert got.dtype == np.float64
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12, err_msg=f"step {step}")


@pytest.mark.parametrize(("rule", "formula", "options"), RULES)
@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 63, 1000])
def test_rule_follows_its_formula_in_float32_at_odd_sizes(rule, formula, options, size):
    rng = np.random.default_rng(size)
    x, grads = rng.normal(size=size), rng.normal(size=(4, size))
    for got, want in zip(run(rule(), grads, x, np.float32), formula(grads, x, **options), strict=True):
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(("rule", "formula", "options"), RULES)
def test_rule_leaves_a_parameter_without_gradient_as_it_is(rule, formula, options):
    model = {"w": flux.tensor(X0), "unused": flux.tensor(X0)}
    state = flux.setup(rule(), model)
    flux.update(state, model, {"w": flux.tensor(GRADIENTS[0]), "unused": None})
    np.testing.assert_array_equal(model["unused"].numpy(), X0)
    assert (model["w"].numpy() != X0).any()


@pytest.mark.parametrize(("rule", "formula", "options"), RULES)
def test_rule_keeps_one_state_for_each_parameter(rule, formula, options):
    model = {"a": flux.tensor(X0), "b": [flux.tensor(X0[:1])]}
    state = flux.setup(rule(), model)
    for g in GRADIENTS:
        flux.update(state, model, {"a": flux.tensor(g), "b": [flux.tensor(g[:1] * 2)]})
    *_, a = formula(GRADIENTS, X0, **options)
    *_, b = formula([g[:1] * 2 for g in GRADIENTS], X0[:1], **options)
    np.testing.assert_allclose(model["a"].numpy(), a, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(model["b"][0].numpy(), b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("rule", "formula", "options"), RULES)
def test_update_changes_no_view_or_export_of_the_parameter(rule, formula, options):
    w = flux.tensor(X0)
    model = {"w": w}
    exported, row = w.numpy(), w[0]
    state = flux.setup(rule(), model)
    flux.update(state, model, {"w": flux.tensor(GRADIENTS[0])})
    np.testing.assert_array_equal(exported, X0)
    np.testing.assert_array_equal(row.numpy(), X0[0])


def test_the_first_step_of_adam_is_the_learning_rate_against_the_sign():
    (x,) = run(flux.Adam(0.01), GRADIENTS[:1], X0)
    np.testing.assert_allclose(x, X0 - 0.01 * np.sign(GRADIENTS[0]), rtol=1e-6)


def test_momentum_of_a_constant_gradient_approaches_ten_times_the_step():
    xs = list(run(flux.Momentum(0.1, 0.9), [np.ones(1)] * 200, np.zeros(1)))
    assert xs[-2] - xs[-1] == pytest.approx(1.0, rel=1e-6)


def test_adjust_changes_the_learning_rate_and_keeps_the_state():
    model = {"w": flux.tensor(X0)}
    state = flux.setup(flux.Momentum(0.01, 0.9), model)
    flux.update(state, model, {"w": flux.tensor(GRADIENTS[0])})
    flux.adjust(state, 0.1)
    flux.update(state, model, {"w": flux.tensor(GRADIENTS[1])})
    velocity = 0.01 * GRADIENTS[0]
    expected = X0 - velocity - (0.9 * velocity + 0.1 * GRADIENTS[1])
    np.testing.assert_allclose(model["w"].numpy(), expected, rtol=1e-12)


def test_freeze_and_thaw():
    model = {"a": flux.tensor(X0), "b": flux.tensor(X0)}
    state = flux.setup(flux.Descent(), model)
    grads = {"a": flux.tensor(GRADIENTS[0]), "b": flux.tensor(GRADIENTS[0])}
    flux.freeze(state["a"])
    flux.update(state, model, grads)
    np.testing.assert_array_equal(model["a"].numpy(), X0)
    np.testing.assert_allclose(model["b"].numpy(), X0 - 0.1 * GRADIENTS[0])
    flux.thaw(state)
    flux.update(state, model, grads)
    np.testing.assert_allclose(model["a"].numpy(), X0 - 0.1 * GRADIENTS[0])


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
