"""Rules, their state, and the training loop."""

import copy
import dataclasses
import gc
import math
import threading
import time
import weakref

import numpy as np
import pytest

import oxiflux as flux
from oxiflux import _core
from oxiflux.training import early_stopping, patience, plateau, throttle
from rules import NAMES, ROWS

X = np.random.default_rng(0).normal(size=(5, 7))
GRADIENTS = np.random.default_rng(1).normal(size=(8, 5, 7))


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


# MixedPrecision is the last rule, in Python too: test_rule_chains.py has it.
ONE_BY_ONE = [rule for rule, _, _ in ROWS if rule.kernel and not isinstance(rule, flux.MixedPrecision)]


@pytest.mark.parametrize("rule", ONE_BY_ONE, ids=repr)
def test_the_kernel_does_what_apply_says(rule):
    assert rule.kernel in _core.kernels
    # Before a rule of Python's the rule runs by its definition.
    (fused, state), (defined, (chained, _)) = stepped(rule), stepped(flux.OptimiserChain(rule, flux.Rule()))
    np.testing.assert_allclose(fused, defined, rtol=1e-9, atol=1e-12)
    assert shapes(state) == shapes(chained)


@pytest.mark.parametrize("rule", [rule for rule, _, _ in ROWS], ids=NAMES)
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


# Callbacks


def test_a_callback_gets_the_loss_before_each_step():
    model = {"w": flux.tensor([1.0])}
    losses = []
    state = flux.setup(flux.Descent(0.25), model)
    flux.train(square, model, [(np.zeros(1),)] * 3, state, callback=losses.append)
    assert [x.item() for x in losses] == [1.0, 0.25, 0.0625]
    # Only True ends the pass, so that a callback may give what it likes.
    flux.train(square, model, [(np.zeros(1),)] * 3, state, callback=lambda _: 1)
    assert model["w"].item() == 0.5**6


def test_a_callback_ends_the_pass_in_the_explicit_style():
    model = {"w": flux.tensor([1.0])}
    stop = patience(lambda loss: loss < 0.5, 2)
    state = flux.setup(flux.Descent(0.25), model)
    flux.train(square, model, [(np.zeros(1),)] * 9, state, callback=stop)
    assert model["w"].item() == 0.5**3


def test_a_callback_ends_the_pass_in_the_implicit_style():
    layer = flux.Dense(1, 1, bias=False)
    layer.weight = flux.tensor([[1.0]])
    stop = patience(lambda loss: loss < 0.5, 2)
    loss = lambda x: (layer(x) ** 2).sum()
    flux.train(loss, flux.params(layer), [(np.ones((1, 1)),)] * 9, flux.Descent(0.25), callback=stop)
    assert layer.weight.item() == 0.5**3


def test_a_callback_is_not_called_for_a_loss_that_is_not_finite():
    model, seen = {"w": flux.tensor([1.0])}, []
    state = flux.setup(flux.Descent(), model)
    with pytest.raises(ValueError, match="step 1"):
        flux.train(square, model, [(np.full(1, np.inf),)], state, callback=seen.append)
    assert seen == []


def test_patience_counts_in_a_row_and_passes_its_arguments_on():
    trigger = patience(lambda a, b=0: a + b > 1, 2)
    calls = [trigger(2), trigger(0), trigger(1, b=1), trigger(2), trigger(2)]
    assert calls == [False, False, False, True, True]


def test_early_stopping_as_flux_documents_it():
    # The first of 1, 2, 3, … is an improvement, the next ones are not.
    loss = iter(range(1, 100))
    stop = early_stopping(lambda: next(loss), 3)
    assert [stop() for _ in range(4)] == [False, False, False, True]


def test_plateau_as_flux_documents_it():
    # -9, 8, -7, 6, … are 19, 17, 15, 13 apart, from the initial score of 10 on.
    values = iter([-9, 8, -7, 6, -5])
    flat = plateau(lambda: next(values), 3, init_score=10, min_dist=18)
    assert [flat() for _ in range(4)] == [False, False, False, True]


def test_early_stopping_counts_from_the_best_score():
    stop = early_stopping(lambda loss: loss, 3, init_score=math.inf)
    assert not any(stop(x) for x in (5.0, 4.0, 4.5, 4.2, 3.9, 3.95, 4.1))
    assert stop(3.9001)


def test_early_stopping_asks_for_the_least_distance():
    stop = early_stopping(lambda loss: loss, 2, init_score=math.inf, min_dist=0.5)
    assert [stop(x) for x in (5.0, 4.9, 4.8)] == [False, False, True]


def test_early_stopping_takes_nan_for_no_better():
    for losses, last in (((1.0, math.nan, math.nan), True), ((2.0, math.nan, 1.0, 1.5), False)):
        stop = early_stopping(lambda loss: loss, 2, init_score=math.inf)
        assert [stop(x) for x in losses] == [False] * (len(losses) - 1) + [last]


def test_early_stopping_of_a_score_that_is_to_rise():
    stop = early_stopping(lambda s: s, 2, distance=lambda best, score: score - best)
    assert [stop(x) for x in (0.5, 0.6, 0.55, 0.6, 0.58, 0.57)] == [False] * 5 + [True]


def test_early_stopping_works_with_tensors():
    stop = early_stopping(lambda loss: loss, 2, init_score=math.inf)
    assert [stop(flux.tensor(x)) for x in (2.0, 3.0, 3.0)] == [False, False, True]


class Clock:
    """Time that passes when told to, and the timers that wait for it."""

    def __init__(self):
        self.now, self.timers = 100.0, []

    def timer(self, seconds, call):
        clock = self

        class Timer:
            def start(self):
                clock.timers.append((clock.now + seconds, call))

        return Timer()

    def wait(self, seconds):
        self.now += seconds
        due = [call for end, call in self.timers if end <= self.now]
        self.timers = [(end, call) for end, call in self.timers if end > self.now]
        for call in due:
            call()


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    monkeypatch.setattr(threading, "Timer", clock.timer)
    return clock


def test_throttle_calls_at_once_and_then_waits(clock):
    calls = []
    f = throttle(lambda x: calls.append(x) or x, 10)
    assert [f(1), f(2)] == [1, 1]
    clock.wait(9.9)
    assert f(3) == 1
    clock.wait(0.2)
    assert f(4) == 4 and calls == [1, 4] and not clock.timers


def test_throttle_calls_once_more_at_the_end(clock):
    calls = []
    f = throttle(lambda x: calls.append(x) or x, 10, trailing=True)
    for i in range(5):
        assert f(i) == 0
    clock.wait(10.1)
    assert calls == [0, 4]
    # The call at the end begins a new time.
    assert f(5) == 4
    clock.wait(10.1)
    assert calls == [0, 4, 5]
    clock.wait(10.1)
    assert f(6) == 6 and calls == [0, 4, 5, 6]


def test_throttle_may_wait_first(clock):
    calls = []
    f = throttle(calls.append, 10, leading=False)
    f(1)
    f(2)
    assert calls == []
    clock.wait(10.1)
    assert calls == [1]


def test_throttle_waits_in_a_thread():
    called = threading.Event()
    throttle(called.set, 0.01, leading=False)()
    assert called.wait(10)


def test_throttle_goes_on_after_an_error(clock):
    f = throttle(lambda x: 1 / x, 10)
    with pytest.raises(ZeroDivisionError):
        f(0)
    clock.wait(11)
    assert f(2) == 0.5


def test_throttle_refuses_a_negative_time():
    with pytest.raises(ValueError, match="-1"):
        throttle(print, -1)


def closure():
    weight, bias = flux.ones((2, 1)), flux.zeros(1)
    return lambda x: x @ weight + bias


@pytest.mark.parametrize("rule", [flux.Descent(0.5), flux.Adam()])
def test_a_closure_trains_what_it_has_captured(rule):
    f, x = closure(), flux.tensor([[1.0, 2.0]])
    state = flux.setup(rule, f)
    before = flux.trainables(f)
    flux.train(lambda m, x: m(x).sum(), f, [(x,)], state)
    flux.update(state, f, flux.gradient(lambda m: m(x).sum(), f)[0])
    after = flux.trainables(f)
    assert [id(t) for t in after] == [id(t) for t in before]
    assert (after[0].numpy() < 0).all()
    assert (after[1].numpy() < 1).all()
    if isinstance(rule, flux.Descent):
        assert [t.tolist() for t in after] == [[-1.0], [[0.0], [-1.0]]]


def test_the_state_of_one_closure_does_not_fit_another():
    w = flux.ones(1)
    with pytest.raises(TypeError, match="bias"):
        flux.train(lambda m, x: m(x).sum(), lambda x: x * w, [(w,)], flux.setup(flux.Descent(), closure()))


def test_early_stopping_and_plateau_start_from_infinity_as_in_flux():
    stop = flux.early_stopping(lambda loss: loss, 2)
    assert [stop(loss) for loss in (5.0, 4.0, 3.0, 3.5, 3.5)] == [False, False, False, False, True]
    flat = flux.plateau(lambda loss: loss, 1)
    assert [flat(loss) for loss in (0.0, 0.0)] == [False, True]


def test_what_a_rule_kept_in_the_implicit_style_goes_with_the_rule():
    w, rule = flux.tensor([1.0]), flux.Adam()
    flux.train(lambda: (w * 2).sum(), flux.params(w), [()], rule)
    seen = weakref.ref(rule)
    del rule
    gc.collect()
    assert seen() is None


def test_a_rule_in_the_implicit_style_may_be_changed_copied_and_saved(tmp_path):
    w, rule = flux.tensor([1.0]), flux.Momentum(0.5, 0.9)
    step = lambda rule: flux.train(lambda: w.sum(), flux.params(w), [()], rule)
    step(rule)
    step(copy.copy(rule))
    assert w.tolist() == [0.0]
    rule.eta = 1.0
    step(rule)
    np.testing.assert_allclose(w.numpy(), [-(0.5 * 0.9 + 1)], rtol=1e-6)
    model = {"w": w}
    flux.save_checkpoint(tmp_path / "run", model=model, state=flux.setup(rule, model))
