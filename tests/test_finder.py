"""The finder of learning rates: its curve, and that it leaves no trace."""

import math
import sys

import matplotlib as mpl
import numpy as np
import pytest

import oxiflux as flux
from oxiflux.training import RateCurve

mpl.use("Agg")


def noisy(model, x, y):
    return flux.mse(model(x), y)


def model_of():
    return flux.Chain(flux.Dense(3, 8, flux.relu), flux.BatchNorm(8), flux.Dropout(0.2), flux.Dense(8, 1))


def points(n=64):
    x = np.random.default_rng(0).normal(size=(n, 3)).astype(np.float32)
    return x, x.sum(axis=1, keepdims=True)


def trace(model, state, loader):
    """All that a search could have changed."""
    tensors = [x.tolist() for tree in (model, state) for _, x in flux._core.leaves(tree)]
    layer = model[1]
    rules = repr(state.layers[0].weight.rule)
    return tensors, layer.active, layer.momentum, rules, loader.state(), flux.default_generator().get_state()


RULES = [flux.Adam(), flux.Momentum(), flux.OptimiserChain(flux.ClipNorm(), flux.AdamW())]


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_everything_is_as_it_was(rule):
    flux.seed(2)
    model, loader = model_of(), flux.DataLoader(points(), 16, shuffle=True)
    state = flux.setup(rule, model)
    flux.fit(noisy, model, loader, state)
    before = trace(model, state, loader)
    curve = flux.find_rate(noisy, model, loader, state, high=1.0)
    assert len(curve.rates) > 20 and trace(model, state, loader) == before
    flux.find_rate(noisy, model, loader, rule, high=1.0)
    flux.find_rate(noisy, model, loader)
    assert trace(model, state, loader) == before


def test_everything_is_as_it_was_after_an_error_too():
    flux.seed(2)
    model, loader, calls = model_of(), flux.DataLoader(points(), 16, shuffle=True), []
    state = flux.setup(flux.Adam(), model)

    def breaks(m, x, y):
        calls.append(1)
        if len(calls) > 5:
            raise RuntimeError("broken")
        return noisy(m, x, y)

    before = trace(model, state, loader)
    with pytest.raises(RuntimeError, match="broken"):
        flux.find_rate(breaks, model, loader, state)
    assert trace(model, state, loader) == before


def test_a_training_after_a_search_is_that_without_one():
    results = []
    for searched in (False, True):
        flux.seed(4)
        model, loader = model_of(), flux.DataLoader(points(), 16, shuffle=True)
        if searched:
            flux.find_rate(noisy, model, loader)
        flux.fit(noisy, model, loader, flux.Adam(0.01), epochs=2)
        results.append([w.tolist() for w in flux.trainables(model)])
    assert results[0] == results[1]


def test_rates_rise_by_one_factor_and_losses_are_those_before_the_steps():
    square = lambda m, x: ((m["w"] - x) ** 2).sum()
    curve = flux.find_rate(
        square, {"w": flux.tensor([1.0])}, [[0.0]], flux.Descent(), low=0.01, high=0.16, steps=5
    )
    np.testing.assert_allclose(curve.rates, [0.01, 0.02, 0.04, 0.08, 0.16], rtol=1e-6)
    w, losses = 1.0, []
    for rate in curve.rates:
        losses.append(w**2)
        w -= 2 * rate * w
    np.testing.assert_allclose(curve.losses, losses, rtol=1e-5)


def test_the_search_ends_where_the_loss_diverges_or_is_not_finite():
    square = lambda m, x: ((m["w"] - x) ** 2).sum()
    curve = flux.find_rate(
        square, {"w": flux.tensor([1.0])}, [[0.0]], flux.Descent(), low=0.1, high=1e4, steps=50
    )
    assert 3 < len(curve.rates) < 45 and max(curve.losses) <= 40
    assert 0.1 < curve.suggestion < 1.0
    steps = iter(range(99))
    broken = lambda m, x: square(m, x) * (math.nan if next(steps) == 6 else 1)
    assert len(flux.find_rate(broken, {"w": flux.tensor([1.0])}, [[0.0]]).rates) == 6


def test_a_loss_may_rise_as_far_as_it_is_told():
    square = lambda m, x: ((m["w"] - x) ** 2).sum()
    found = [
        flux.find_rate(
            square, {"w": flux.tensor([1.0])}, [[0.0]], flux.Descent(), low=1.0, high=100.0, diverged=d
        )
        for d in (2.0, 1e4)
    ]
    assert 0 < len(found[0].rates) < len(found[1].rates) and max(found[1].losses) > 100 * max(found[0].losses)


def test_the_suggestion_is_where_the_loss_falls_fastest_before_its_lowest():
    rates = [10.0**e for e in range(-6, 1)]
    assert RateCurve(rates, [5, 5, 4, 1, 0.9, 3, 0.95]).suggestion == pytest.approx(10**-3.5)
    assert math.isnan(RateCurve(rates, [1, 2, 3, 4, 5, 6, 7]).suggestion)
    assert math.isnan(RateCurve([], []).suggestion) and repr(RateCurve([], [])) == "RateCurve(0 steps)"


def test_the_curve_is_drawn_when_asked_for(monkeypatch):
    curve = RateCurve([0.001, 0.01, 0.1], [3.0, 1.0, 2.0])
    ax = curve.plot()
    assert ax.get_xscale() == "log" and ax.get_xlabel() == "learning rate" and len(ax.lines) == 3
    assert curve.plot(ax=ax) is ax and len(ax.lines) == 6
    mpl.pyplot.close("all")
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"RateCurve.plot needs matplotlib: pip install 'oxiflux\[train\]'"):
        curve.plot()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"low": 0}, ValueError, "rates must rise from low to high above 0, got 0 and 1.0"),
        ({"low": 2.0}, ValueError, "rates must rise"),
        ({"steps": 0}, ValueError, "find_rate: steps must be at least 1, got 0"),
        ({"diverged": 1}, ValueError, "diverged must be above 1"),
        ({"rule": "adam"}, TypeError, "find_rate: 'adam' is neither a rule nor a state"),
        ({"data": points()}, TypeError, "find_rate: the data must be batches, got a tuple"),
        ({"data": []}, ValueError, "find_rate: the data has no batches"),
        (
            {"data": (points() for _ in range(2))},
            ValueError,
            "no batches in pass 2; a generator lasts for one: give a list or a DataLoader, or steps=",
        ),
        ({"loss": lambda m, x, y: 1.0}, TypeError, "does not depend on any parameter"),
        (
            {"loss": lambda m, x: 1.0},
            TypeError,
            "find_rate: the loss is called with the model and the 2 parts",
        ),
    ],
)
def test_what_cannot_be_is_named(options, error, words):
    given = {"loss": noisy, "model": model_of(), "data": [points()], "rule": flux.Adam()} | options
    with pytest.raises(error, match=words):
        flux.find_rate(**given)
