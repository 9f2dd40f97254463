"""Every rule and modifier against Optimisers.jl's formulas, and at work."""

import copy
import dataclasses
import math

import numpy as np
import pytest

import oxiflux as flux
from oxiflux import optimisers
from rules import NAMES, ROWS

X0 = np.array([[1.0, -2.0, 0.5], [3.0, 0.0, -1.5]])
GRADIENTS = [
    np.array([[0.5, -1.0, 2.0], [0.25, 3.0, -0.125]]),
    np.array([[-0.5, 1.5, 0.0], [4.0, -20.0, 1.0]]),
    np.array([[1e-3, -7.0, 0.75], [0.0, 0.5, -2.5]]),
]
# Eight steps, so that RAdam passes the length from which it rectifies.
STEPS = [g * scale for scale in (1.0, 0.5, -0.25) for g in GRADIENTS][:8]

rows = pytest.mark.parametrize(("rule", "formula", "options"), ROWS, ids=NAMES)
NAMED = [rule for name in optimisers.__all__ if isinstance(rule := getattr(flux, name), type)]
RULES = [rule for rule in NAMED if issubclass(rule, flux.Rule) and rule is not flux.Rule]


def run(rule, grads, x, dtype=np.float64):
    """The parameter after each update with the given gradients."""
    model = {"w": flux.tensor(np.array(x, dtype))}
    state = flux.setup(rule, model)
    for g in grads:
        flux.update(state, model, {"w": flux.tensor(np.array(g, dtype))})
        yield model["w"].numpy()


# The formulas


def test_every_rule_has_rows():
    assert {type(rule) for rule, _, _ in ROWS} == set(RULES)


@rows
def test_a_rule_follows_its_formula(rule, formula, options):
    for step, (got, want) in enumerate(
        zip(run(rule, STEPS, X0), formula(STEPS, X0, **options), strict=True), 1
    ):
        assert got.dtype == np.float64
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12, err_msg=f"step {step}")


@rows
def test_a_rule_without_its_kernel_follows_its_formula(rule, formula, options):
    made = type(rule)
    rule = copy.copy(rule)
    rule.__class__ = type(made.__name__, (made,), {"kernel": None})
    for got, want in zip(run(rule, STEPS, X0), formula(STEPS, X0, **options), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)


@rows
@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 63, 1000])
def test_a_rule_follows_its_formula_in_float32_at_odd_sizes(rule, formula, options, size):
    rng = np.random.default_rng(size)
    x, *grads = rng.normal(size=(5, size)).astype(np.float32).astype(np.float64)
    for got, want in zip(run(rule, grads, x, np.float32), formula(grads, x, **options), strict=True):
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-6)


@rows
def test_a_rule_leaves_a_parameter_without_gradient_as_it_is(rule, formula, options):
    model = {"w": flux.tensor(X0), "unused": flux.tensor(X0)}
    state = flux.setup(rule, model)
    for g in GRADIENTS:
        flux.update(state, model, {"w": flux.tensor(g), "unused": None})
    np.testing.assert_array_equal(model["unused"].numpy(), X0)
    assert (model["w"].numpy() != X0).any()


@rows
def test_a_rule_keeps_one_state_for_each_parameter(rule, formula, options):
    model = {"a": flux.tensor(X0), "b": [flux.tensor(X0[:1])]}
    state = flux.setup(rule, model)
    for g in GRADIENTS:
        flux.update(state, model, {"a": flux.tensor(g), "b": [flux.tensor(g[:1] * 2)]})
    *_, a = formula(GRADIENTS, X0, **options)
    *_, b = formula([g[:1] * 2 for g in GRADIENTS], X0[:1], **options)
    np.testing.assert_allclose(model["a"].numpy(), a, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(model["b"][0].numpy(), b, rtol=1e-9, atol=1e-12)


@rows
def test_a_rule_moves_a_tied_parameter_once(rule, formula, options):
    w = flux.tensor(X0)
    model = {"a": w, "b": [w]}
    state = flux.setup(rule, model)
    for g in GRADIENTS:
        flux.update(state, model, {"a": flux.tensor(g), "b": [flux.tensor(g)]})
    *_, expected = formula(GRADIENTS, X0, **options)
    assert model["a"] is model["b"][0]
    np.testing.assert_allclose(w.numpy(), expected, rtol=1e-9, atol=1e-12)


@rows
def test_an_update_changes_no_view_or_export_of_the_parameter(rule, formula, options):
    w = flux.tensor(X0)
    model = {"w": w}
    exported, row = w.numpy(), w[0]
    flux.update(flux.setup(rule, model), model, {"w": flux.tensor(GRADIENTS[0])})
    np.testing.assert_array_equal(exported, X0)
    np.testing.assert_array_equal(row.numpy(), X0[0])


@rows
def test_a_frozen_parameter_stays_and_goes_on_when_thawed(rule, formula, options):
    model = {"a": flux.tensor(X0), "b": flux.tensor(X0)}
    state = flux.setup(rule, model)
    flux.freeze(state["a"])
    flux.update(state, model, {k: flux.tensor(GRADIENTS[0]) for k in model})
    np.testing.assert_array_equal(model["a"].numpy(), X0)
    flux.thaw(state)
    for g in GRADIENTS:
        flux.update(state, model, {k: flux.tensor(g) for k in model})
    *_, a = formula(GRADIENTS, X0, **options)
    *_, b = formula(GRADIENTS[:1] + GRADIENTS, X0, **options)
    np.testing.assert_allclose(model["a"].numpy(), a, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(model["b"].numpy(), b, rtol=1e-9, atol=1e-12)


def other(value):
    """Another value that the same hyper-parameter may have."""
    if isinstance(value, tuple):
        return tuple(map(other, value))
    return (
        not value if isinstance(value, bool) else value + 1 if isinstance(value, int) else (value + 0.5) / 2
    )


@pytest.mark.parametrize(
    "rule", [rule for rule in RULES if dataclasses.fields(rule)], ids=lambda r: r.__name__
)
def test_every_hyper_parameter_of_a_part_can_be_adjusted(rule):
    rule = rule(2) if rule is flux.AccumGrad else rule()
    for field in dataclasses.fields(rule):
        if field.name in rule.of_state:  # a state made by another value does not fit
            continue
        old = getattr(rule, field.name)
        state = flux.setup(rule, {"a": flux.ones(2), "b": [flux.ones(3)]})
        for part, a in ((state["b"], old), (state, other(old))):
            flux.adjust(part, **{field.name: other(old)})
            assert getattr(state["a"].rule, field.name) == a
            assert getattr(state["b"][0].rule, field.name) == other(old)


# At work


def drives(rule):
    """The rule as it is used: behind a modifier stands another rule, and a rate is one that suits the problem."""
    if rule is flux.OptimiserChain:
        return rule(flux.ClipNorm(1.0, whole=True), flux.WeightDecay(1e-6), flux.Adam(0.02))
    if rule is flux.MixedPrecision:
        return rule(flux.Adam(0.02), "float64")
    if rule is flux.Scheduler:
        return rule(flux.CosAnneal(0.002, 0.02, 1000), flux.Adam)
    if rule.__module__.endswith("modifiers"):
        made = {flux.AccumGrad: lambda: rule(2), flux.SignDecay: lambda: rule(1e-5)}.get(rule, rule)()
        return flux.OptimiserChain(made, flux.Adam(0.02))
    small = {flux.RMSProp: 0.002, flux.OAdam: 0.002, flux.Lion: 0.002}
    large = {flux.Descent: 0.2, flux.Momentum: 0.05, flux.Nesterov: 0.05, flux.AdaGrad: 0.1}
    return rule() if rule is flux.AdaDelta else rule((small | large).get(rule, 0.02))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_rule_drives_a_small_net_to_fit(rule):
    flux.seed(0)
    x = np.linspace(-1, 1, 32, dtype=np.float32).reshape(-1, 1)
    y = np.sin(3 * x)
    model = flux.Chain(flux.Dense(1, 16, flux.tanh), flux.Dense(16, 1))
    loss = lambda m, x, y: flux.mse(m(x), y)
    state = flux.setup(drives(rule), model)
    first = loss(model, x, y).item()
    flux.fit(loss, model, [(x, y)] * 3000, state, epochs=1)
    assert loss(model, x, y).item() < first / 10


def rosenbrock(m):
    x, y = m["x"], m["y"]
    return ((1 - x) ** 2 + 100 * (y - x * x) ** 2).sum()


@pytest.mark.parametrize(
    "rule",
    [flux.Momentum(5e-4), flux.Nesterov(5e-4), flux.Rprop(0.01), flux.Adam(0.02), flux.NAdam(0.02), flux.AMSGrad(0.02),
     flux.AdaMax(0.02), flux.AdamW(0.02), flux.AdaBelief(0.02), flux.OAdam(0.02, (0.9, 0.999))],
    ids=repr,
)  # fmt: skip
def test_rosenbrocks_valley_is_followed_to_its_end(rule):
    m = {"x": flux.tensor(np.array([-1.5])), "y": flux.tensor(np.array([2.0]))}
    state = flux.setup(rule, m)
    for _ in range(6000):
        flux.trainstep(rosenbrock, m, (), state)
    assert rosenbrock(m).item() < 1e-4


def test_the_first_step_of_adam_is_the_learning_rate_against_the_sign():
    (x,) = run(flux.Adam(0.01), GRADIENTS[:1], X0)
    np.testing.assert_allclose(x, X0 - 0.01 * np.sign(GRADIENTS[0]), rtol=1e-6)


def test_momentum_of_a_constant_gradient_approaches_ten_times_the_step():
    xs = list(run(flux.Momentum(0.1, 0.9), [np.ones(1)] * 200, np.zeros(1)))
    assert xs[-2] - xs[-1] == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize("value", ["0.001", True, False, np.True_, b"1", None])
@pytest.mark.parametrize(
    "make", [flux.Adam, lambda v: flux.Momentum(0.1, v), lambda v: flux.Adam(0.1, (0.9, v))]
)
def test_a_hyperparameter_is_a_number(make, value):
    with pytest.raises(TypeError, match="must be a number, got"):
        make(value)


def test_a_switch_is_true_or_false():
    with pytest.raises(TypeError, match="RMSProp: centred must be True or False, got 1"):
        flux.RMSProp(centred=1)
    assert flux.RMSProp(centred=np.True_).centred is True


@pytest.mark.parametrize("make", [lambda rho: flux.Momentum(0.1, rho), lambda rho: flux.RMSProp(0.1, rho)])
def test_rho_is_less_than_one(make):
    with pytest.raises(ValueError, match="rho must be from 0 up to but not including 1, got 1"):
        make(1.0)
    make(math.nextafter(1.0, 0.0))


@pytest.mark.parametrize(
    ("rule", "name", "said"),
    [
        (flux.Adam, "lr", "argument 'lr'; did you mean 'eta'"),
        (flux.Adam, "betas", "argument 'betas'; did you mean 'beta'"),
        (flux.Momentum, "momentum", "argument 'momentum'; did you mean 'rho'"),
        (flux.AdamW, "weight_decay", "argument 'weight_decay'; did you mean 'lambda_'"),
        (flux.Adam, "anything", "unexpected keyword argument 'anything'"),
    ],
)
def test_hyperparameters_of_other_libraries_are_told_ours(rule, name, said):
    with pytest.raises(TypeError, match=said):
        rule(**{name: 0.1})


def test_a_rule_of_ones_own_may_have_their_names():
    class Mine(flux.Rule):
        def __init__(self, lr):
            self.lr = lr

    assert Mine(lr=0.5).lr == 0.5
