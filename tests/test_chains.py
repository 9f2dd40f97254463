"""Chains of modifiers and a rule, which run as kernels, against the definitions of their links."""

import numpy as np
import pytest

import oxiflux as flux
from oxiflux import _core

RNG = np.random.default_rng(3)
SHAPES = {"a": (5, 7), "b": (3,), "empty": (0, 2), "large": (300, 101)}

CHAINS = [
    flux.ClipGrad(0.5),
    flux.ClipNorm(0.5),
    flux.ClipNorm(0.5, whole=True),
    flux.ClipNorm(1e6, whole=True),
    flux.ClipNorm(2.0, 1),
    flux.ClipNorm(0.5, 3, whole=True),
    flux.ClipNorm(0.5, np.inf),
    flux.SignDecay(0.1),
    flux.WeightDecay(0.1),
    flux.OptimiserChain(),
    flux.OptimiserChain(flux.Adam(0.1)),
    flux.OptimiserChain(flux.ClipNorm(0.5, whole=True), flux.Adam(0.1)),
    flux.OptimiserChain(flux.ClipGrad(0.5), flux.WeightDecay(0.1), flux.Momentum(0.1)),
    flux.OptimiserChain(
        flux.OptimiserChain(flux.WeightDecay(0.1), flux.ClipNorm(1)), flux.OptimiserChain(flux.RAdam(0.1))
    ),
]
chains = pytest.mark.parametrize("rule", CHAINS, ids=repr)


def random_tree(dtype="float64"):
    return {name: flux.tensor(RNG.normal(size=shape).astype(dtype)) for name, shape in SHAPES.items()}


def copied(tree):
    return {name: flux.tensor(x.numpy().copy()) for name, x in tree.items()}


def by_definition(rule):
    """The same as the rule, but that a link written in Python has it run by its definition."""
    return flux.OptimiserChain(rule, flux.Rule())


@chains
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 3e-6)])
def test_a_chain_does_what_its_links_say(rule, dtype, tolerance):
    fused = random_tree(dtype)
    defined = copied(fused)
    states = flux.setup(rule, fused), flux.setup(by_definition(rule), defined)
    for _ in range(3):
        grads = random_tree(dtype)
        kept = copied(grads)
        flux.update(states[0], fused, grads)
        flux.update(states[1], defined, grads)
        assert all((grads[name] == kept[name]).all() for name in grads), "a gradient has changed"
    for name in SHAPES:
        np.testing.assert_allclose(fused[name].numpy(), defined[name].numpy(), rtol=tolerance, atol=tolerance)
        assert repr(states[0][name].state) == repr(states[1][name].state[0]) or dtype == "float32"


@chains
def test_a_chain_of_kernels_calls_no_python(rule, monkeypatch):
    model = random_tree()
    state = flux.setup(rule, model)
    for link in (rule, *getattr(rule, "rules", ())):
        for method in ("apply", "apply_all"):
            if hasattr(type(link), method):
                monkeypatch.setattr(type(link), method, None)
    flux.update(state, model, random_tree())


def test_what_follows_a_rule_in_a_chain_sees_its_step():
    rule = flux.OptimiserChain(flux.Momentum(0.1), flux.WeightDecay(0.5))
    x = flux.tensor([2.0])
    flux.update(flux.setup(rule, x), x, flux.tensor([3.0]))
    assert x.item() == pytest.approx(2 - (0.1 * 3 + 0.5 * 2))


def test_the_whole_norm_is_that_of_all_parameters_however_long_they_have_been_trained():
    models = random_tree(), None
    models = models[0], copied(models[0])
    rule = flux.OptimiserChain(flux.ClipNorm(0.1, whole=True), flux.Adam(0.1))
    states = flux.setup(rule, models[0]), flux.setup(by_definition(rule), models[1])
    for step in range(3):
        grads = random_tree()
        for model, state in zip(models, states, strict=True):
            (flux.freeze if step == 0 else flux.thaw)(state["b"])
            flux.update(state, model, grads)
    for name in SHAPES:
        np.testing.assert_allclose(models[0][name].numpy(), models[1][name].numpy(), rtol=1e-12)


def test_adjust_reaches_into_a_chain():
    x = flux.tensor([1.0])
    state = flux.setup(flux.OptimiserChain(flux.ClipGrad(1.0), flux.Descent(0.5)), x)
    flux.update(flux.adjust(state, delta=0.25, eta=1.0) or state, x, flux.tensor([8.0]))
    assert x.item() == 0.75


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_a_norm_that_is_not_finite_is_named_and_nothing_has_changed(whole, bad):
    model = random_tree()
    state = flux.setup(flux.OptimiserChain(flux.ClipNorm(whole=whole), flux.Adam()), model)
    before, grads = copied(model), random_tree()
    grads["large"] = grads["large"] * bad
    with pytest.raises(
        ValueError, match=r"ClipNorm: the gradient of a parameter of shape \(300, 101\).*(?i:inf|nan)"
    ):
        flux.update(state, model, grads)
    for name in SHAPES:
        assert (model[name] == before[name]).all()
        assert state[name].state[1][2] == (0.9, 0.999)


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_norms_neither_overflow_nor_vanish(size):
    x = flux.zeros(2)
    flux.update(flux.setup(flux.ClipNorm(size), x), x, flux.tensor([3 * size, 4 * size]))
    np.testing.assert_allclose(x.numpy(), [-0.6 * size, -0.8 * size], rtol=1e-5)


def test_a_chain_works_on_numbers_of_16_bits():
    x = flux.tensor([1.0, -2.0]).astype("bfloat16")
    rule = flux.OptimiserChain(flux.ClipNorm(5.0), flux.WeightDecay(0.5), flux.Descent(0.5))
    flux.update(flux.setup(rule, x), x, flux.tensor([30.0, 40.0]).astype("bfloat16"))
    np.testing.assert_allclose(x.astype("float32").numpy(), [1 - 0.5 * 3.5, -2 - 0.5 * 3.0], rtol=1e-2)


def test_a_subclass_that_says_something_else_has_no_kernel():
    class Backwards(flux.Descent):
        def apply(self, state, x, dx):
            return state, -dx * self.eta

    class Renamed(flux.Descent):
        pass

    assert Backwards().kernel is None and Renamed().kernel in _core.kernels
    x = flux.tensor([1.0])
    flux.update(flux.setup(Backwards(0.5), x), x, flux.tensor([2.0]))
    assert x.item() == 2.0
