"""`train` and `fit` with `compile=True` train as they do without it, to the bit."""

from typing import Any

import pytest

import oxiflux as flux
from test_compiled import MODELS, RULES, bits, data, small


def batches(n: int = 6, bad: int | None = None) -> list[tuple[flux.Tensor, flux.Tensor]]:
    made = [(data(i), data(i + 50, columns=2)) for i in range(n)]
    if bad is not None:
        made[bad] = (made[bad][0], made[bad][1] * float("nan"))
    return made


def mse(m: Any, x: flux.Tensor, y: flux.Tensor) -> flux.Tensor:
    return flux.mse(m(x), y)


def after(model: Any, state: Any) -> Any:
    """All that a training leaves: parameters, running statistics, what the rule keeps, the generator."""
    return bits([flux.state(model), [repr(x) for x in flux.modules(state)], flux.rand(1)])


def trained(compile: bool, make: Any, rule: Any, loss: Any = mse, given: Any = None, **more: Any) -> Any:
    flux.seed(3)
    model = make()
    state = flux.setup(rule(), model)
    losses: list[Any] = []
    for _ in range(2):
        flux.train(loss, model, given or batches(), state, callback=losses.append, compile=compile, **more)
    return bits(losses), after(model, state)


@pytest.mark.parametrize("name", MODELS)
def test_train_gives_the_same_model_compiled(name: str) -> None:
    rule = lambda: flux.Adam(0.05)
    assert trained(True, MODELS[name], rule) == trained(False, MODELS[name], rule)


@pytest.mark.parametrize("rule", RULES)
def test_train_takes_the_same_steps_compiled_by_every_rule(rule: str) -> None:
    assert trained(True, small, RULES[rule]) == trained(False, small, RULES[rule])


def test_the_loss_of_a_compiled_training_runs_twice(capsys: pytest.CaptureFixture[str]) -> None:
    def loss(m: Any, x: flux.Tensor, y: flux.Tensor) -> flux.Tensor:
        print("run")  # noqa: T201
        return flux.mse(m(x), y)

    model = small()
    flux.train(loss, model, batches(9), flux.setup(flux.Adam(), model), compile=True)
    assert capsys.readouterr().out == "run\nrun\n"
    model = small()
    flux.fit(loss, model, batches(3), flux.Adam(), epochs=4, compile=True)
    assert capsys.readouterr().out == "run\nrun\n"


@pytest.mark.parametrize("make", [MODELS["batchnorm"], MODELS["dropout"]])
def test_a_batch_that_is_not_finite_is_left_out_compiled(make: Any) -> None:
    given = batches(8, bad=5)
    rule = lambda: flux.Adam(0.05)
    with pytest.warns(UserWarning, match="step 6"):
        compiled = trained(True, make, rule, given=given, on_nan="skip")
    with pytest.warns(UserWarning, match="step 6"):
        plain = trained(False, make, rule, given=given, on_nan="skip")
    assert compiled == plain


def test_a_loss_that_is_not_finite_leaves_the_model_as_it_was_compiled() -> None:
    def left(compile: bool) -> Any:
        flux.seed(3)
        model = MODELS["batchnorm"]()
        state = flux.setup(flux.Adam(), model)
        with pytest.raises(ValueError, match="the loss is nan at step 6"):
            flux.train(mse, model, batches(8, bad=5), state, compile=compile)
        return after(model, state)

    assert left(True) == left(False)


def test_a_loss_that_cannot_be_compiled_trains_and_is_named() -> None:
    def looking(m: Any, x: flux.Tensor, y: flux.Tensor) -> flux.Tensor:
        loss = flux.mse(m(x), y)
        return loss * 2 if loss > 1 else loss

    with pytest.warns(RuntimeWarning, match="train: the loss runs as ever.*a value is looked at"):
        compiled = trained(True, small, flux.Adam, looking)
    assert compiled == trained(False, small, flux.Adam, looking)


def test_losses_of_other_kinds_train_compiled() -> None:
    def several(m: Any, x: flux.Tensor, y: flux.Tensor) -> Any:
        found = m(x)
        return flux.mse(found, y), {"mae": flux.mae(found, y)}

    def one(m: Any, x: flux.Tensor) -> flux.Tensor:
        return (m(x) ** 2).sum()

    assert trained(True, small, flux.Adam, several) == trained(False, small, flux.Adam, several)
    given = [data(i) for i in range(5)]
    assert trained(True, small, flux.Adam, one, given) == trained(False, small, flux.Adam, one, given)


def test_parameters_and_a_rule_train_compiled() -> None:
    def left(compile: bool) -> Any:
        flux.seed(3)
        model, rule = small(), flux.Adam(0.05)
        loss = lambda x, y: flux.mse(model(x), y)
        for _ in range(2):
            flux.train(loss, flux.params(model), batches(), rule, compile=compile)
        return bits(flux.state(model))

    assert left(True) == left(False)


def test_fit_gives_the_same_table_and_model_compiled() -> None:
    def left(compile: bool) -> Any:
        flux.seed(3)
        model = MODELS["batchnorm"]()
        x, y = data(1, 30), data(2, 30, 2)
        history = flux.fit(
            mse,
            model,
            flux.DataLoader((x, y), 8, shuffle=True),
            flux.Adam(0.05),
            epochs=4,
            validation=[(x, y)],
            metrics=[flux.mae],
            schedule=lambda i: 0.05 / (1 + i),
            callbacks=[flux.EMA(0.9), lambda row: flux.adjust],
            class_weight=None,
            compile=compile,
        )
        columns = {name: history[name] for name in history.columns if name != "seconds"}
        return bits(columns), bits(flux.state(model)), bits(flux.rand(1))

    assert left(True) == left(False)


def test_a_training_that_many_processes_may_share_is_compiled() -> None:
    flux.distributed.initialize()
    found = []
    for compiled in (False, True):
        flux.seed(0)
        model = small()
        flux.fit(mse, model, batches(), flux.Adam(), epochs=3, compile=compiled, distributed=True)
        found.append([t.tolist() for _, t in flux._core.leaves(model)])
    assert found[0] == found[1]
