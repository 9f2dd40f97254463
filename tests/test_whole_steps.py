"""A step of training is done whole, or everything is as before it; and it trains something."""

import math
import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import oxiflux as flux


def data(*values: float) -> list[Any]:
    return [(np.full((4, 3), value, np.float32),) for value in values]


def mean_square(model: Any, x: Any) -> Any:
    return (model(x) ** 2).mean()


def runs(loss: Any, model: Any, batches: Any, on_nan: Any = "raise") -> list[Any]:
    """The ways to train, each a function."""
    rule = flux.Descent(0.1)

    def step() -> None:
        state = flux.setup(rule, model)
        for batch in batches:
            flux.trainstep(loss, model, batch, state)

    return [
        lambda: flux.train(loss, model, batches, flux.setup(rule, model), on_nan=on_nan),
        lambda: flux.fit(loss, model, batches, rule, on_nan=on_nan),
        lambda: flux.train(lambda x: loss(model, x), flux.params(model), batches, rule, on_nan=on_nan),
        *([step] if on_nan == "raise" else []),
    ]


@pytest.mark.parametrize("run", range(4))
@pytest.mark.parametrize(
    "loss",
    [
        lambda m, x: 0.5,
        lambda m, x: np.float32(0.5),
        lambda m, x: flux.tensor(0.5),
        lambda m, x: flux.stop_gradient((m(x) ** 2).mean()),
        lambda m, x: (flux.Dense(3, 2)(x) ** 2).mean(),
        lambda m, x: (flux.tensor(0.5), {"accuracy": 1}),
    ],
)
def test_a_loss_that_depends_on_no_parameter_is_an_error(run: int, loss: Any):
    model = flux.Dense(3, 2)
    with pytest.raises(TypeError, match="nothing to train: the loss does not depend on any parameter"):
        runs(loss, model, data(1.0))[run]()


def test_the_error_says_what_kind_of_value_the_loss_is():
    model = flux.Dense(3, 2)
    with pytest.raises(TypeError, match=r"it is a float; leave out item\(\), float\(\) or numpy\(\)"):
        flux.trainstep(lambda m: 1.0, model, (), flux.setup(flux.Adam(), model))
    with pytest.raises(TypeError, match="such as another model's"):
        flux.trainstep(lambda m: flux.tensor(1.0), model, (), flux.setup(flux.Adam(), model))


def test_a_frozen_model_may_be_trained_without_effect():
    model = flux.Dense(3, 2)
    before, state = flux.state(model), flux.setup(flux.Descent(), model)
    flux.freeze(state)
    flux.train(mean_square, model, data(1.0), state)
    assert np.array_equal(model.weight, before["weight"])


def test_a_loss_of_untrained_parameters_only_is_an_error():
    model = flux.Chain(flux.Dense(3, 2), flux.Dense(2, 2))
    state = flux.setup(lambda path, x: flux.Descent() if path[1] == 1 else None, model)
    with pytest.raises(TypeError, match="nothing to train"):
        flux.train(lambda m, x: m[0](x).sum(), model, data(1.0), state)


@pytest.mark.parametrize("run", range(3))
def test_a_gradient_that_is_not_finite_is_left_out(run: int):
    model = flux.Chain(flux.Dense(3, 3), flux.BatchNorm(3))
    before = flux.state(model)
    loss = lambda m, x: flux.sqrt((m.layers[0].weight * x[0, 0]) ** 2).sum() + (m(x) * 0).sum()
    with pytest.warns(
        UserWarning, match=r"but its gradient has NaN at (layers\[0\].weight|tensors\[0\])"
    ) as given:
        runs(loss, model, data(0.0, 0.0), "skip")[run]()
    assert len(given) == 2
    after = flux.state(model)
    for layer, key in ((0, "weight"), (0, "bias"), (1, "mu"), (1, "var")):
        assert np.array_equal(after["layers"][layer][key], before["layers"][layer][key])


@pytest.mark.parametrize("run", range(4))
def test_a_gradient_that_is_not_finite_is_an_error(run: int):
    model = flux.Dense(3, 3)
    before = flux.state(model)
    loss = lambda m, x: flux.sqrt(m.weight * x[0, 0]).sum() + m(x).sum()
    with pytest.raises(ValueError, match="the loss is 0.0, but its gradient has (NaN|infinities)"):
        runs(loss, model, data(0.0))[run]()
    assert np.array_equal(model.weight, before["weight"]) and np.array_equal(model.bias, before["bias"])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize(
    ("size", "at"), [(1, 0), (1025, 1024), (70_001, 0), (70_001, 70_000), (70_001, 32_768)]
)
def test_one_number_of_a_gradient_is_enough(dtype: Any, bad: float, size: int, at: int):
    model = [flux.ones(3, dtype=dtype), flux.ones(size, dtype=dtype)]
    factors = np.ones(size, np.float32)
    factors[at] = bad
    g = flux.tensor(factors).astype(dtype)
    state = flux.setup(flux.Descent(0.5), model)
    cut = lambda m: (m[0] * 0).sum() + zero_with_gradient(m[1], g)
    with pytest.raises(ValueError, match="its gradient has"):
        flux.trainstep(cut, model, (), state)
    assert bool((model[0] == 1).all()) and bool((model[1] == 1).all())


def zero_with_gradient(w: Any, g: Any) -> Any:
    """0, with the gradient `g` by `w`."""
    return flux.custom_gradient(lambda w: (flux.zeros((), dtype=w.dtype), lambda _: (g,)))(w)


@pytest.mark.parametrize("run", range(3))
def test_a_step_that_is_skipped_leaves_no_marks(run: int):
    def trained(*values: float) -> Any:
        flux.seed(0)
        model = flux.Chain(flux.Dense(3, 2), flux.BatchNorm(2))
        loss = lambda m, x: mean_square(m, x + noise) * (math.nan if x[0, 0] == 5 else 1)
        runs(loss, model, data(*values), "skip")[run]()
        return flux.state(model)

    noise = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    expected = trained(1.0, 2.0)
    with pytest.warns(UserWarning, match="the loss is nan at step 2"):
        found = trained(1.0, 5.0, 2.0)
    for layer, key in ((0, "weight"), (1, "mu"), (1, "var"), (1, "gamma")):
        assert np.array_equal(found["layers"][layer][key], expected["layers"][layer][key])


class Stateful(flux.Layer):
    """Changes itself in every way there is."""

    def __init__(self) -> None:
        self.w = flux.ones(3)
        self.h = flux.zeros(3)
        self.counted = flux.zeros(3)
        self.inner: dict[str, Any] = {"h": flux.zeros(3), "list": [flux.zeros(3)]}
        self.calls = 0

    def trainable(self) -> tuple[str, ...]:
        return ("w",)

    def __call__(self, x: Any) -> Any:
        y = x * self.w
        seen = flux.stop_gradient(y)[0]
        self.h = self.h + seen
        self.counted[:] = self.counted + seen
        self.later = seen
        self.calls += 1
        return y


class Slotted:
    __slots__ = ("h", "w")

    def __init__(self) -> None:
        self.w, self.h = flux.ones(3), flux.zeros(3)

    def __call__(self, x: Any) -> Any:
        self.h = flux.stop_gradient(x * self.w)[0]
        return x * self.w


@dataclass(frozen=True)
class Boxed:
    layer: Stateful

    def __call__(self, x: Any) -> Any:
        return self.layer(x)


def test_all_that_a_loss_changes_in_a_model_is_put_back():
    layer = Stateful()
    model = Boxed(layer)
    h, counted = layer.h, layer.counted
    with pytest.raises(ValueError, match="the loss is nan"):
        flux.train(mean_square, model, data(math.nan), flux.setup(flux.Descent(), model))
    assert layer.h is h and layer.counted is counted
    assert layer.counted.tolist() == [0, 0, 0]
    assert layer.calls == 0 and not hasattr(layer, "later")
    flux.train(mean_square, model, data(1.0), flux.setup(flux.Descent(), model))
    assert layer.calls == 1 and layer.h.tolist() == layer.counted.tolist() == layer.later.tolist() == [
        1,
        1,
        1,
    ]


def test_slots_lists_dicts_and_closures_are_put_back():
    slotted = Slotted()
    hold: dict[str, Any] = {"h": flux.zeros(3), "list": [flux.zeros(3)]}
    memory = flux.zeros(3)

    def closure(x: Any) -> Any:
        nonlocal memory
        memory = flux.stop_gradient(x)[0]
        hold["h"], hold["new"] = memory, memory
        hold["list"].append(memory)
        return slotted(x)

    model = {"f": closure, "slotted": slotted, "hold": hold}
    loss = lambda m, x: (m["f"](x) ** 2).mean()
    with pytest.raises(ValueError, match="the loss is nan"):
        flux.train(loss, model, data(math.nan), flux.setup(flux.Descent(), model))
    assert slotted.h.tolist() == memory.tolist() == hold["h"].tolist() == [0, 0, 0]
    assert sorted(hold) == ["h", "list"] and len(hold["list"]) == 1


def test_an_error_in_the_loss_leaves_no_marks_either():
    model = flux.Chain(flux.BatchNorm(3), lambda x: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        flux.train(mean_square, model, data(1.0), flux.setup(flux.Descent(), model))
    assert model[0].mu.tolist() == [0, 0, 0]


def test_a_step_within_a_step_that_fails_is_undone_with_it():
    inner, outer = flux.Chain(flux.Dense(3, 3), flux.BatchNorm(3)), flux.Dense(3, 1)
    x = np.arange(12, dtype=np.float32).reshape(4, 3)

    def loss(m: Any, x: Any) -> Any:
        flux.trainmode(inner)(x)
        return m(x).sum() * math.nan

    with pytest.raises(ValueError, match="the loss is nan"):
        flux.trainstep(loss, outer, x, flux.setup(flux.Descent(), outer))
    assert inner[1].mu.tolist() == [0, 0, 0]


@pytest.mark.parametrize("make", [flux.BatchNorm, lambda n: flux.InstanceNorm(n, track_stats=True)])
@pytest.mark.parametrize("value", [1e30, math.inf, math.nan])
def test_statistics_that_are_not_finite_do_not_get_into_a_model(make: Any, value: float):
    layer = make(2)
    x = np.ones((2, 4, 2), np.float32)
    x[:, ::2] = -value
    x[:, 1::2] = value
    with pytest.warns(RuntimeWarning, match="the mean or variance of a batch is not finite"):
        flux.trainmode(layer)(x)
    assert layer.mu.tolist() == [0, 0] and layer.var.tolist() == [1, 1]
    layer(np.arange(16, dtype=np.float32).reshape(2, 4, 2))
    assert layer.mu.tolist() == pytest.approx([0.7, 0.8])


def test_running_statistics_move_as_the_formula_says():
    layer = flux.trainmode(flux.BatchNorm(2, momentum=0.25))
    x = np.random.default_rng(0).normal(size=(7, 2)).astype(np.float32)
    layer(x)
    np.testing.assert_allclose(layer.mu, 0.25 * x.mean(0), rtol=1e-6)
    np.testing.assert_allclose(layer.var, 0.75 + 0.25 * x.var(0, ddof=1), rtol=1e-6)


@pytest.mark.parametrize("run", range(4))
def test_training_a_model_in_test_mode_is_a_warning(run: int):
    model = flux.testmode(flux.Chain(flux.Dense(3, 2), flux.BatchNorm(2), flux.Dropout(0.5)))
    name = ("train", "fit", "train", "trainstep")[run]
    batches = data(1.0) if name == "trainstep" else data(1.0, 2.0)
    with pytest.warns(
        UserWarning, match=rf"{name}: the model is in test mode.*testmode\(model, None\)"
    ) as given:
        runs(mean_square, model, batches)[run]()
    assert len(given) == 1 and given[0].filename == __file__
    assert model[1].mu.tolist() == [0, 0]


def test_epochs_of_a_model_in_test_mode_warn_once():
    model = flux.testmode(flux.Chain(flux.Dense(3, 2), flux.BatchNorm(2)))
    with pytest.warns(UserWarning, match="test mode") as given:
        flux.fit(mean_square, model, data(1.0), flux.Descent(), epochs=3)
    assert len(given) == 1
    with pytest.warns(UserWarning, match="trainstep: the model is in test mode") as given:
        flux.trainstep_withgradient(mean_square, model, data(1.0)[0], flux.setup(flux.Descent(), model))
    assert given[0].filename == __file__


@pytest.mark.parametrize("run", range(4))
def test_a_part_in_test_mode_is_no_warning(run: int):
    model = flux.Chain(flux.testmode(flux.BatchNorm(3)), flux.Dense(3, 2), flux.BatchNorm(2))
    runs(mean_square, model, [(np.arange(12, dtype=np.float32).reshape(4, 3),)])[run]()
    assert model[0].mu.tolist() == [0, 0, 0] and model[2].mu.tolist() != [0, 0]


def test_a_tensor_that_runs_code_when_a_step_lets_go_of_it_may_assign():
    other, m = flux.zeros(2), flux.Dense(2, 1)

    def loss(m, x):
        t = flux.zeros(2)
        weakref.finalize(t, lambda: other.__setitem__(0, 1.0))
        t[0] = 3.0
        return m(x).sum()

    flux.train(loss, m, [np.ones((1, 2), np.float32)], flux.setup(flux.Descent(0.1), m))
    assert other.tolist() == [1, 0]


def test_code_of_a_module_without_a_name_may_train_a_model_in_test_mode():
    model = flux.testmode(flux.Chain(flux.Dense(3, 2), flux.BatchNorm(2)))
    names = {"__name__": None, "flux": flux, "model": model, "loss": mean_square, "batch": data(1.0)[0]}
    # Python itself drops a warning for a module whose name is None.
    before = model[0].weight.tolist()
    exec("flux.trainstep(loss, model, batch, flux.setup(flux.Descent(), model))", names)
    assert model[0].weight.tolist() != before


def test_a_loss_of_no_module_that_does_not_fit_its_batch_is_an_error_of_its_own():
    loss = lambda m: m(data(1.0)[0][0]).sum()
    loss.__module__ = None  # type: ignore[assignment]
    model = flux.Dense(3, 2)
    with pytest.raises(TypeError, match="the loss is called with the model and the 3 parts of a batch"):
        flux.trainstep(loss, model, (1, 2, 3), flux.setup(flux.Descent(), model))
