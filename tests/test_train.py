"""Rules, their state, and the training loop."""

import dataclasses

import numpy as np
import pytest

import oxiflux as flux
from oxiflux import _core

RULES = (
    "AMSGrad AdaBelief AdaDelta AdaGrad AdaMax Adam AdamW Descent Lion "
    "Momentum NAdam Nesterov OAdam RAdam RMSProp Rprop"
)
X = np.random.default_rng(0).normal(size=(5, 7))
GRADIENTS = np.random.default_rng(1).normal(size=(8, 5, 7))


def rules():
    for name in RULES.split():
        yield pytest.param(getattr(flux, name)(), id=name)
    yield pytest.param(flux.RMSProp(centred=True), id="centred")
    yield pytest.param(flux.AdamW(lambda_=0.1, couple=False), id="decoupled")


def stepped(rule):
    model = {"w": flux.tensor(X)}
    state = flux.setup(rule, model)
    for g in GRADIENTS:
        flux.update(state, model, {"w": flux.tensor(g)})
    return model["w"].numpy(), state["w"].state


def shapes(state):
    if isinstance(state, tuple):
        return tuple(map(shapes, state))
    return state.shape if isinstance(state, flux.Tensor) else type(state)


@pytest.mark.parametrize("rule", list(rules()))
def test_the_kernel_does_what_apply_says(rule):
    assert rule.kernel in _core.kernels
    # In a chain the rule runs by its definition.
    (fused, state), (defined, (chained,)) = stepped(rule), stepped(flux.OptimiserChain(rule))
    np.testing.assert_allclose(fused, defined, rtol=1e-9, atol=1e-12)
    assert shapes(state) == shapes(chained)


@pytest.mark.parametrize("rule", list(rules()))
def test_options_out_of_range_name_the_rule_and_the_number(rule):
    for field in dataclasses.fields(rule):
        old = getattr(rule, field.name)
        if isinstance(old, bool):
            continue
        with pytest.raises(ValueError, match=f"{type(rule).__name__}.*{field.name}.*-3"):
            type(rule)(**{field.name: (-3, 0.5) if isinstance(old, tuple) else -3})


def test_tied_tensors_share_a_leaf_and_move_once():
    w = flux.tensor([1.0, 2.0])
    model = {"a": w, "b": [w], "c": flux.relu}
    state = flux.setup(flux.Descent(0.5), model)
    assert state["a"] is state["b"][0] and state["c"] is None
    flux.update(state, model, flux.gradient(lambda m: (m["a"] * m["b"][0]).sum(), model)[0])
    assert w.tolist() == [0.0, 0.0]


def test_adjust_keeps_parameters_together_and_the_users_rule_as_it_is():
    rule = flux.OptimiserChain(flux.ClipGrad(), flux.Adam())
    state = flux.setup(rule, flux.Dense(2, 3))
    flux.adjust(state, 0.5, delta=2.0)
    assert repr(state.weight.rule) == "OptimiserChain(ClipGrad(2.0), Adam(0.5, (0.9, 0.999), 1e-08))"
    assert state.weight.rule is state.bias.rule and rule.rules[1].eta == 0.001
    with pytest.raises(ValueError, match="rho"):
        flux.adjust(state, rho=0.5)


def test_update_names_what_does_not_match():
    model = {"a": [flux.ones((2,))]}
    state = flux.setup(flux.Descent(), model)
    for grads in ({"b": flux.ones((2,))}, {"a": flux.ones((2,))}, "text"):
        with pytest.raises(TypeError, match="update: .*gradient"):
            flux.update(state, model, grads)
    assert model["a"][0].tolist() == [1.0, 1.0]


def square(m, x):
    return ((m["w"] - x) ** 2).sum()


def test_a_loss_may_give_more_than_its_value():
    model = {"w": flux.tensor([1.0])}
    state = flux.setup(flux.Descent(0.5), model)
    loss = lambda m, x: (square(m, x), "extra")
    flux.train(loss, model, [(np.zeros(1),)], state)
    assert model["w"].tolist() == [0.0]
    assert flux.trainstep(loss, model, (np.ones(1),), state)[1] == "extra"
    value, grads = flux.trainstep_withgradient(square, model, (np.full(1, 3.0),), state)
    assert value.item() == 4.0 and grads["w"].tolist() == [-4.0]


def test_a_loss_that_is_not_finite_names_the_step():
    model = {"w": flux.tensor([1.0])}
    state = flux.setup(flux.Descent(0.25), model)
    with pytest.raises(ValueError, match="nan at step 2"):
        flux.train(square, model, [(np.zeros(1),), (np.full(1, np.nan),)], state)
    assert model["w"].tolist() == [0.5]


def test_the_implicit_style_keeps_the_state_of_its_rule():
    results = []
    for implicit in (True, False):
        model = flux.Dense(1, 1)
        model.weight = flux.tensor([[0.5]])
        rule, ps = flux.Momentum(0.1), flux.params(model)
        state = flux.setup(rule, model)
        for _ in range(5):
            if implicit:
                flux.train(lambda x: (model(x) ** 2).sum(), ps, [(np.ones((1, 1)),)], rule)
            else:
                flux.train(lambda m, x: (m(x) ** 2).sum(), model, [(np.ones((1, 1)),)], state)
        results.append((model.weight.item(), model.bias.item()))
    assert results[0] == results[1]


def test_a_rule_in_the_place_of_its_state_says_what_to_do():
    with pytest.raises(TypeError, match="setup"):
        flux.train(square, {"w": flux.ones((1,))}, [], flux.Adam())
