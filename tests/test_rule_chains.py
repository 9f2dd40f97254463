"""Chains of rules: the fused pass against the definitions in Python."""

import math
import pickle

import numpy as np
import pytest

import oxiflux as flux

Chain = flux.OptimiserChain


class Passing(flux.Rule):
    """Does nothing, in Python: a chain with this link runs by its definition."""


CHAINS = {
    "none": lambda: Chain(),
    "WeightDecay": lambda: flux.WeightDecay(0.1),
    "SignDecay": lambda: flux.SignDecay(0.1),
    "ClipGrad": lambda: flux.ClipGrad(0.3),
    "ClipNorm": lambda: flux.ClipNorm(0.5),
    "whole ClipNorm": lambda: flux.ClipNorm(0.5, whole=True),
    "decay, clip, momentum": lambda: Chain(
        flux.WeightDecay(0.1), flux.SignDecay(0.01), flux.ClipGrad(0.3), flux.Momentum(0.1)
    ),
    "ClipNorm, Adam": lambda: Chain(flux.ClipNorm(0.5), flux.Adam(0.1)),
    "whole ClipNorm, Adam": lambda: Chain(flux.ClipNorm(0.5, whole=True), flux.Adam(0.1)),
    "ClipNorm 1": lambda: Chain(flux.ClipNorm(0.5, 1), flux.Descent()),
    "ClipNorm 3": lambda: Chain(flux.ClipNorm(0.5, 3), flux.Descent()),
    "ClipNorm inf": lambda: Chain(flux.ClipNorm(0.1, math.inf), flux.Descent()),
    "ClipNorm last": lambda: Chain(flux.WeightDecay(0.1), flux.ClipNorm(0.5)),
    "ClipNorm twice": lambda: Chain(flux.ClipNorm(0.5), flux.ClipNorm(0.4, whole=True), flux.Adam()),
    "two with states": lambda: Chain(flux.Adam(0.5), flux.Momentum(0.1)),
    "two with clocks": lambda: Chain(flux.RAdam(0.5, (0.5, 0.7)), flux.AdaMax(0.1, (0.8, 0.9))),
    "three with states": lambda: Chain(flux.OAdam(0.5), flux.AMSGrad(0.3), flux.RMSProp(0.1, centred=True)),
    "states before ClipNorm": lambda: Chain(
        flux.Adam(0.5),
        flux.ClipNorm(0.3),
        flux.Momentum(0.1),
        flux.ClipNorm(0.1, whole=True),
        flux.NAdam(0.1),
    ),
    "AccumGrad": lambda: flux.AccumGrad(3),
    "AccumGrad 1": lambda: Chain(flux.AccumGrad(1), flux.Adam(0.1)),
    "AccumGrad, Adam": lambda: Chain(flux.AccumGrad(2), flux.Adam(0.1)),
    "AccumGrad between": lambda: Chain(
        flux.RAdam(0.5),
        flux.AccumGrad(2),
        flux.WeightDecay(0.1),
        flux.RAdam(0.2, (0.5, 0.6)),
        flux.Momentum(),
    ),
    "AccumGrad before ClipNorm": lambda: Chain(flux.AccumGrad(2), flux.ClipNorm(0.5, whole=True)),
    "ClipNorm around AccumGrad": lambda: Chain(
        flux.ClipNorm(0.5), flux.AccumGrad(3), flux.Adam(), flux.ClipNorm(0.1, whole=True), flux.NAdam()
    ),
    "AccumGrad twice": lambda: Chain(flux.AccumGrad(2), flux.AccumGrad(2), flux.Adam(0.1)),
    "MixedPrecision": lambda: flux.MixedPrecision(flux.Adam(0.1), "float64"),
    "MixedPrecision of itself": lambda: flux.MixedPrecision(flux.Descent(), "float32"),
    "MixedPrecision of a chain": lambda: flux.MixedPrecision(
        Chain(flux.ClipNorm(0.5, whole=True), flux.AccumGrad(2), flux.RMSProp(centred=True)), "float64"
    ),
    "nested": lambda: Chain(
        Chain(flux.WeightDecay(0.1), Chain(), Chain(flux.Adam(0.5))), Chain(flux.ClipNorm(0.2), flux.AdaMax())
    ),
}


def in_python(rule):
    """The same rule, but that it runs by its definition."""
    if isinstance(rule, flux.MixedPrecision):
        return flux.MixedPrecision(in_python(rule.rule), rule.dtype)
    return Chain(rule, Passing())


def arrays(seed, dtype):
    rng = np.random.default_rng(seed)
    shapes = {"a": (3, 5), "b": (), "c": (0, 2), "d": (40_003,), "e": (1,)}
    return {k: rng.normal(size=s).astype(dtype) for k, s in shapes.items()}


def tensors(seed, dtype=np.float32):
    return {k: flux.tensor(x) for k, x in arrays(seed, dtype).items()}


def flat(state):
    """The tensors and numbers of a state in order."""
    if isinstance(state, tuple):
        return [x for part in state for x in flat(part)]
    return [] if state is None else [state.numpy() if isinstance(state, flux.Tensor) else state]


def assert_same(got, expected, rtol):
    assert len(got) == len(expected)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("make", CHAINS.values(), ids=CHAINS)
def test_a_chain_does_what_its_definition_in_python_does(make, dtype):
    rtol = 2e-6 if dtype == np.float32 else 1e-14
    models, states = [], []
    for rule in (make(), in_python(make())):
        models.append(tensors(0, dtype))
        states.append(flux.setup(rule, models[-1]))
    for step in range(1, 5):
        for model, state in zip(models, states, strict=True):
            grads = tensors(step, dtype)
            # Parameters that miss a step have clocks of their own from then on.
            flux.update(state, model, grads | ({"b": None, "d": None} if step == 2 else {}))
        for k in models[0]:
            assert models[0][k].dtype == dtype
            assert_same([models[0][k].numpy()], [models[1][k].numpy()], rtol)
            assert_same(flat(states[0][k].state), flat(states[1][k].state), rtol)


def test_the_state_of_a_chain_is_shown_and_saved_as_it_is_now():
    x = flux.ones(2)
    state = flux.setup(Chain(flux.ClipNorm(), flux.RAdam(), Chain(flux.Adam(beta=(0.5, 0.7)))), x)
    flux.update(state, x, flux.ones(2))
    none, radam, (adam,) = pickle.loads(pickle.dumps(state)).state
    assert none is None
    assert radam[2:] == ((0.9 * 0.9, 0.999 * 0.999), 2)
    assert adam[2] == (0.5 * 0.5, 0.7 * 0.7)


def test_adjust_reaches_into_a_chain_and_keeps_what_it_remembers():
    x = flux.zeros(1)
    state = flux.setup(Chain(flux.WeightDecay(), Chain(flux.Momentum(1.0, 0.5))), x)
    flux.update(state, x, flux.ones(1))
    flux.adjust(state, 0.25, lambda_=0.0)
    flux.update(state, x, flux.ones(1))
    assert x.item() == -1 - (0.5 + 0.25)


def test_tied_weights_are_updated_once_by_a_chain():
    w = flux.zeros(2)
    model = {"a": w, "b": w}
    g = flux.tensor([3.0, 4.0])
    state = flux.setup(Chain(flux.ClipNorm(1.0, whole=True), flux.Descent(1.0)), model)
    flux.update(state, model, {"a": g, "b": g})
    np.testing.assert_allclose(w.numpy(), [-0.6, -0.8], rtol=1e-6)


@pytest.mark.parametrize("whole", [False, True])
def test_clipping_a_gradient_of_zeros_leaves_it(whole):
    model = {"a": flux.ones(3), "b": flux.ones(0)}
    state = flux.setup(Chain(flux.ClipNorm(1.0, whole=whole), flux.Momentum()), model)
    flux.update(state, model, {"a": flux.zeros(3), "b": flux.zeros(0)})
    assert model["a"].tolist() == [1, 1, 1] and state["a"].state[1].tolist() == [0, 0, 0]


@pytest.mark.parametrize("scale", [3e38, 1e-45])
def test_norms_neither_overflow_nor_vanish(scale):
    x = flux.zeros(4)
    flux.update(
        flux.setup(Chain(flux.ClipNorm(scale / 2, 2.0), flux.Descent(1.0)), x), x, flux.full(4, scale)
    )
    expected = 0 if scale < 1e-40 else scale / 4
    np.testing.assert_allclose(x.numpy(), [-expected] * 4, rtol=1e-6, atol=2e-45)


@pytest.mark.parametrize("size", [1e-320, 1e-200, 1e300])
def test_norms_in_float64_neither_overflow_nor_vanish(size):
    x = flux.zeros(4, dtype="float64")
    g = flux.full(4, size, dtype="float64")
    flux.update(flux.setup(Chain(flux.ClipNorm(size), flux.Descent(1.0)), x), x, g)
    np.testing.assert_allclose(x.numpy(), [-size / 2] * 4, rtol=1e-3 if size < 1e-300 else 1e-14)


@pytest.mark.parametrize(("bad", "shown"), [(math.nan, "nan"), (-math.inf, "inf")])
@pytest.mark.parametrize("first", [flux.WeightDecay, flux.Adam])
def test_a_norm_that_is_not_finite_changes_nothing_in_the_chain_or_beside_it(bad, shown, first):
    model = tensors(0)
    other = flux.Momentum()
    chain = Chain(first(), flux.ClipNorm(), flux.Momentum())
    state = flux.setup(lambda path, x: other if path == ("a",) else chain, model)
    flux.update(state, model, tensors(1))
    before = {k: (x.numpy(), flat(state[k].state)) for k, x in model.items()}
    grads = tensors(2)
    spoilt = arrays(2, np.float32)["d"]
    spoilt[30_000] = bad
    # Adam makes NaN of what is infinite.
    with pytest.raises(ValueError, match=rf"ClipNorm: .* shape \(40003,\) has the norm ({shown}|nan)"):
        flux.update(state, model, grads | {"d": flux.tensor(spoilt)})
    for k, (values, kept) in before.items():
        np.testing.assert_array_equal(model[k].numpy(), values)
        for now, then in zip(flat(state[k].state), kept, strict=True):
            np.testing.assert_array_equal(now, then)


def test_numbers_of_16_bits_go_through_a_chain_in_32():
    model, wide = {"w": flux.ones(100).astype("float16")}, {"w": flux.ones(100)}
    for m in (model, wide):
        state = flux.setup(Chain(flux.ClipNorm(1.0), flux.WeightDecay(0.1), flux.Descent(0.5)), m)
        flux.update(state, m, {"w": flux.full((100,), 100.0)})
    assert model["w"].dtype == "float16"
    np.testing.assert_array_equal(model["w"].numpy(), wide["w"].numpy().astype(np.float16))


def test_a_class_that_changes_a_rule_runs_as_it_is_written():
    class Half(flux.ClipGrad):
        def apply(self, state, x, dx):
            return state, dx / 2

    class Twice(Chain):
        def apply_all(self, states, xs, dxs):
            return states, [dx * 2 for dx in dxs]

    class Renamed(flux.ClipGrad):
        """Changes nothing."""

    for rule, step in ((Half(), 0.5), (Chain(Half(), Half()), 0.25), (Twice(), 2), (Renamed(0.1), 0.1)):
        x = flux.zeros(1)
        flux.update(flux.setup(rule, x), x, flux.ones(1))
        assert x.item() == pytest.approx(-step)


def test_a_state_that_does_not_fit_its_chain_says_so():
    x = flux.ones(2)
    state = flux.setup(Chain(flux.WeightDecay(), flux.Adam()), x)
    state.state = (None, (flux.zeros(2), flux.zeros(2)))
    with pytest.raises(ValueError, match=r"state does not fit the rule Adam"):
        flux.update(state, x, flux.ones(2))
    assert x.tolist() == [1, 1]


@pytest.mark.parametrize("make", CHAINS.values(), ids=CHAINS)
def test_a_chain_of_kernels_calls_no_python(make, monkeypatch):
    model = tensors(0)
    state = flux.setup(make(), model)
    for name in (*flux.optimisers.rules.__all__, *flux.optimisers.modifiers.__all__):
        for method in ("apply", "apply_all"):
            if method in vars(getattr(flux, name)):
                monkeypatch.setattr(getattr(flux, name), method, None)
    flux.update(state, model, tensors(1))


@pytest.mark.parametrize("half", ["init", "apply"])
def test_what_has_half_of_a_rule_is_no_rule(half):
    thing = type("Half", (), {half: lambda self, *args: None})()
    for make in (flux.OptimiserChain, flux.MixedPrecision):
        with pytest.raises(TypeError, match=r"is no rule; a rule has init\(x\) and apply\(state, x, dx\)"):
            make(thing)
