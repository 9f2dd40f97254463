"""Callbacks of `fit`: hooks, early stopping, checkpoints of the best, averages, norms; and that all of them resume."""

import copy
import math
import os
import pickle

import numpy as np
import pytest

import oxiflux as flux

ZERO = [0.0]


def square(model, x):
    return ((model["w"] - x) ** 2).sum()


def one(value=1.0):
    """A model of one number; each step of `Descent(0.25)` towards 0 halves it."""
    return {"w": flux.tensor([value])}


def fit_one(*, model=None, data=(ZERO,), rule=None, **options):
    model = one() if model is None else model
    return flux.fit(square, model, list(data), rule or flux.Descent(0.25), **options)


class Told(flux.Callback):
    """Writes down what it is told."""

    def __init__(self):
        self.told = []

    def on_train_begin(self, run):
        self.told.append(("begin", run.epoch, run.step))

    def on_epoch_begin(self, run):
        self.told.append(("epoch", run.epoch, run.row))

    def on_step_end(self, run):
        self.told.append(("step", run.step, run.value))

    def on_epoch_end(self, run):
        self.told.append(("row", run.epoch, run.row["loss"]))

    def on_train_end(self, run):
        self.told.append(("end", run.epoch, len(run.history)))


# Hooks


def test_hooks_are_called_in_order_with_the_run():
    told = Told()
    fit_one(data=[ZERO, ZERO], epochs=2, callbacks=told)
    assert told.told == [
        ("begin", 0, 0), ("epoch", 1, None), ("step", 1, 1.0), ("step", 2, 0.25), ("row", 1, 0.625),
        ("epoch", 2, None), ("step", 3, 1 / 16), ("step", 4, 1 / 64), ("row", 2, 5 / 128), ("end", 2, 2),
    ]  # fmt: skip


def test_an_object_of_ones_own_needs_no_base_and_may_be_a_function_too():
    class Both:
        def __init__(self):
            self.seen = []

        def on_epoch_begin(self, run):
            self.seen.append(run.epoch)

        def __call__(self, row):
            self.seen.append(row["loss"])

    both = Both()
    fit_one(epochs=2, callbacks=both)
    assert both.seen == [1, 1.0, 2, 0.25]


@pytest.mark.parametrize(
    ("hook", "epochs", "steps"),
    [("on_train_begin", 0, 0), ("on_epoch_begin", 1, 2), ("on_step_end", 2, 3), ("on_epoch_end", 2, 4)],
)
@pytest.mark.parametrize("way", ["true", "stop"])
def test_every_hook_may_end_the_training(hook, epochs, steps, way):
    class Ends:
        pass

    def ends(self, run):
        is_time = hook == "on_train_begin" or (run.epoch == 2 and (hook != "on_step_end" or run.step == 3))
        if is_time and way == "stop":
            run.stop()
        return is_time and way == "true"

    setattr(Ends, hook, ends)
    model = one()
    history = fit_one(model=model, data=[ZERO, ZERO], epochs=9, callbacks=Ends())
    assert len(history) == epochs and not history.interrupted
    assert model["w"].item() == 0.5**steps


@pytest.mark.parametrize(
    "truth",
    [np.bool_, np.asarray, flux.tensor, lambda x: flux.tensor([x])],
    ids=["scalar", "array", "tensor", "one"],
)
def test_a_truth_of_numpy_or_of_a_tensor_ends_the_training(truth):
    assert len(fit_one(epochs=4, callbacks=lambda row: truth(row["epoch"] == 2))) == 2
    model = one()
    flux.train(
        square, model, [ZERO] * 5, flux.setup(flux.Descent(0.25), model), callback=lambda value: value < 0.3
    )
    assert model["w"].tolist() == [0.25]
    assert len(fit_one(epochs=3, callbacks=lambda row: np.asarray(row["epoch"]))) == 3


@pytest.mark.parametrize(
    ("make", "option"),
    [
        (flux.EarlyStopping, "restore_best"),
        (lambda **o: flux.ModelCheckpoint("x", **o), "best_only"),
        (flux.EMA, "warmup"),
        (flux.GradientNorm, "each"),
    ],
)
def test_switches_of_callbacks_are_true_or_false(make, option):
    with pytest.raises(TypeError, match=f"{option} must be True or False, got 'no'"):
        make(**{option: "no"})
    assert getattr(make(**{option: np.False_}), option) is False


def test_steps_are_watched_only_if_somebody_asks():
    class Gradients:
        def on_step_end(self, run):
            assert run.gradients["w"].tolist() == [2 * run.value**0.5]
            assert run.batch == ([0.0],) and run.model["w"].item() == run.value**0.5 / 2

    fit_one(data=[ZERO] * 3, callbacks=Gradients())


def test_numbers_are_logged_into_the_row_and_to_the_log():
    class Logs:
        def on_step_end(self, run):
            run.log("step", run.step) if run.step > 99 else run.log("twice", 2 * run.step)

        def on_epoch_end(self, run):
            run.log("late", flux.tensor(7.0))

    class Writer:
        names = ()

        def add_scalar(self, name, value, step):
            self.names = (*self.names, name)

    writer = Writer()
    history = fit_one(data=[ZERO] * 2, epochs=2, callbacks=Logs(), log=writer)
    assert history["twice"] == [3.0, 7.0] and history["late"] == [7.0, 7.0]
    assert writer.names[:4] == ("loss", "twice", "late", "seconds")


@pytest.mark.parametrize(
    "hook", ["on_train_begin", "on_epoch_begin", "on_step_end", "on_epoch_end", "on_train_end"]
)
def test_an_error_in_a_hook_names_the_callback_and_keeps_its_type(hook):
    class Broken:
        pass

    def broken(self, run):
        raise KeyError("missing")

    setattr(Broken, hook, broken)
    with pytest.raises(KeyError, match="missing") as caught:
        fit_one(callbacks=Broken())
    (note,) = caught.value.__notes__
    assert f"Broken.{hook}" in note and "epoch" in note


def test_an_error_in_a_function_names_it():
    def my_callback(row):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no") as caught:
        fit_one(callbacks=[print, my_callback])
    assert "my_callback in epoch 1" in caught.value.__notes__[0]


def test_what_is_no_callback_is_refused_before_anything_is_done():
    class Misspelt(flux.Callback):
        def on_epoch_ends(self, run):
            pass

    class OfKeras:
        def on_batch_end(self, batch, logs=None):
            pass

        def on_epoch_end(self, run):
            pass

    model = one()
    for bad, words in [
        (flux.EarlyStopping, r"EarlyStopping is no callback, but a class; make one: EarlyStopping\("),
        (Misspelt(), "Misspelt has the hook on_epoch_ends; did you mean on_epoch_end"),
        (OfKeras(), "OfKeras has the hook on_batch_end.*the hooks are on_train_begin"),
        ("early", "got 'early'"),
        ([None], "got None"),
        (object(), "got <object"),
    ]:
        with pytest.raises(TypeError, match=words):
            fit_one(model=model, callbacks=bad)
    assert model["w"].item() == 1.0


def test_after_ctrl_c_the_end_is_told_and_the_model_is_as_it_was():
    def stream():
        yield from [ZERO] * 5
        raise KeyboardInterrupt

    told, model = Told(), one()
    stop, average = flux.EarlyStopping("loss", mode="max"), flux.EMA(0.5)
    callbacks = [told, stop, average]
    history = flux.fit(square, model, stream(), flux.Descent(0.25), epochs=9, steps=2, callbacks=callbacks)
    assert history.interrupted and told.told[-1] == ("end", 3, 2)
    assert model["w"].item() == 0.5**5
    stop.restore(model)
    # The best was seen with the average in the place of the weights.
    assert model["w"].item() == (1 / 2 * 1 + 1 / 2 * 0.5) / 2 + 0.25 / 2


# Early stopping


def stopped(values, patience=10, restore_best=True, mode="auto", **options):
    values = iter(values)
    model = one()
    stop = flux.EarlyStopping(
        monitor="val_score", patience=patience, restore_best=restore_best, mode=mode, **options
    )
    history = fit_one(
        model=model,
        epochs=99,
        validation=[ZERO],
        metrics={"score": lambda m, x: next(values)},
        callbacks=stop,
    )
    return len(history), stop.best, stop.best_epoch, model["w"].item()


def test_early_stopping_waits_for_patience_epochs_and_restores_the_best():
    assert stopped([1, 3, 2, 3, 1], patience=3) == (5, 3, 2, 0.5**2)
    assert stopped([1, 3, 2, 3, 1], patience=3, restore_best=False) == (5, 3, 2, 0.5**5)
    assert stopped([3, 1, 2, 1, 9], patience=2, mode="min") == (4, 1, 2, 0.5**2)
    assert stopped([1, 1, 1], patience=1) == (2, 1, 1, 0.5)


def test_early_stopping_counts_only_what_is_better_by_min_delta():
    assert stopped([1, 1.5, 2, 2.25, 2.5], patience=2, min_delta=0.5)[:3] == (5, 2, 3)
    assert stopped([1, 1.25, 1.5, 1.75, 1.5], patience=2, min_delta=0.5)[:3] == (3, 1, 1)


def test_nan_is_no_improvement_and_infinity_is_a_value():
    nan, inf = math.nan, math.inf
    assert stopped([nan, nan, 1, nan, nan], patience=2)[0] == 2
    assert stopped([nan, 2, nan, 1], patience=2)[:3] == (4, 2, 2)
    assert stopped([-inf, 2, 1, 1], patience=2)[:3] == (4, 2, 2)
    count, best, epoch, w = stopped([nan] * 3, patience=3)
    assert math.isnan(best) and (count, epoch, w) == (3, 0, 0.125)


def test_the_best_is_restored_if_all_epochs_were_done_and_anew_in_the_next_run():
    model = one()
    stop = flux.EarlyStopping("loss", mode="max")
    for start in (1.0, 4.0):
        flux.loadmodel(model, one(start))
        fit_one(model=model, epochs=3, callbacks=stop)
        assert model["w"].item() == start / 2 and stop.best_epoch == 1 and stop.best == start**2


def test_early_stopping_restores_running_statistics():
    model, seen, values = flux.Chain(flux.BatchNorm(1), flux.Dense(1, 1)), [], iter([1.0, 3.0, 2.0])
    x = flux.randn(20, 1) + 3.0
    flux.fit(
        lambda m, x: m(x).sum() ** 2, model, [(x,)], flux.Descent(1e-6), epochs=3, validation=(x,),
        metrics={"score": lambda m, x: next(values)},
        callbacks=[lambda row: seen.append(model[0].mu.tolist()), flux.EarlyStopping("val_score")],
    )  # fmt: skip
    assert len(set(map(tuple, seen))) == 3 and model[0].mu.tolist() == seen[1]


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: flux.EarlyStopping("val_size"), ValueError, "give mode='min' or 'max' for val_size"),
        (lambda: flux.EarlyStopping(mode="up"), ValueError, "mode must be 'auto', 'min' or 'max', got 'up'"),
        (lambda: flux.EarlyStopping(3), TypeError, "monitor must be the name of a column, got 3"),
        (lambda: flux.EarlyStopping(patience=0), ValueError, "patience must be at least 1, got 0"),
        (lambda: flux.EarlyStopping(patience=1.5), TypeError, "patience must be a whole number, got 1.5"),
        (
            lambda: flux.EarlyStopping(min_delta=-1),
            ValueError,
            "min_delta must be a number of at least 0, got -1",
        ),
        (lambda: flux.EarlyStopping(min_delta=math.nan), ValueError, "min_delta .* got nan"),
        (lambda: flux.EarlyStopping(restore_best_weights=True), TypeError, "did you mean 'restore_best'"),
        (lambda: flux.ModelCheckpoint(3), TypeError, "path must be a path, got 3"),
        (
            lambda: flux.ModelCheckpoint("a", every=0),
            ValueError,
            "ModelCheckpoint: every must be at least 1, got 0",
        ),
        (lambda: flux.ModelCheckpoint("a", "val_size"), ValueError, "ModelCheckpoint: give mode="),
        (lambda: flux.EMA(1.0), ValueError, "decay must be at least 0 and below 1, got 1.0"),
        (lambda: flux.EMA("0.9"), ValueError, "decay .* got '0.9'"),
        (lambda: flux.EMA(every=0), ValueError, "EMA: every must be at least 1, got 0"),
        (lambda: flux.SWA(0), ValueError, "start must be an epoch from 1 on or a share below 1, got 0"),
        (lambda: flux.SWA(math.inf), ValueError, "start .* got inf"),
        (lambda: flux.SWA(np.ones(2)), ValueError, r"start .* got array\(\[1., 1.\]\)"),
        (lambda: flux.SWA(every=np.ones(2)), TypeError, "SWA: every must be a whole number, got array"),
        (lambda: flux.EMA(every=True), TypeError, "EMA: every must be a whole number, got True"),
        (lambda: flux.update_statistics([], []), TypeError, "update_statistics: the model comes first"),
        (lambda: flux.Run(None, None, None, [], 1), TypeError, "Run: history must be a History, got a list"),
        (lambda: flux.SWA(1.5), ValueError, "start .* got 1.5"),
        (lambda: flux.SWA(True), ValueError, "start .* got True"),
    ],
)
def test_options_that_cannot_be(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_a_column_that_is_not_there_is_an_error_with_those_that_are():
    for callback in (flux.EarlyStopping(), flux.ModelCheckpoint("nowhere")):
        with pytest.raises(
            ValueError, match="no column val_loss, only epoch, step, loss, seconds; give validation="
        ):
            fit_one(callbacks=callback)
    assert not os.path.exists("nowhere")


def test_modes_go_by_the_names_of_columns():
    falling = ["loss", "val_loss", "val_mae", "mse", "val_rmse", "word_error"]
    rising = [
        "accuracy",
        "val_accuracy",
        "val_auc",
        "f1",
        "val_precision",
        "recall",
        "val_r2",
        "topk",
        "val_acc",
    ]
    assert [flux.EarlyStopping(name).mode for name in falling] == ["min"] * len(falling)
    assert [flux.EarlyStopping(name).mode for name in rising] == ["max"] * len(rising)


def test_the_monitor_is_the_column_that_is_watched(tmp_path):
    # The loss falls and the step rises, so that the best is the last or the first.
    for monitor, mode, epoch in [
        ("loss", "auto", 3),
        ("step", "min", 1),
        ("loss", "max", 1),
        ("step", "max", 3),
    ]:
        stop = flux.EarlyStopping(monitor=monitor, mode=mode)
        keep = flux.ModelCheckpoint(tmp_path / "best", monitor=monitor, mode=mode)
        fit_one(epochs=3, callbacks=[stop, keep])
        assert stop.best_epoch == keep.best_epoch == flux.load_checkpoint(tmp_path / "best")["epoch"] == epoch


# Checkpoints of the best


def test_the_best_model_is_written_when_it_is_the_best(tmp_path):
    path = tmp_path / "best.safetensors"
    values, written = iter([3.0, 1.0, 2.0]), []
    model = one()
    fit_one(
        model=model, epochs=3, validation=[ZERO], metrics={"error": lambda m, x: next(values)},
        callbacks=[flux.ModelCheckpoint(path, "val_error"), lambda row: written.append(path.stat().st_mtime_ns)],
    )  # fmt: skip
    best = flux.load_checkpoint(path)
    assert best["epoch"] == 2 and best["model"]["w"].item() == 0.25 and best["row"]["val_error"] == 1.0
    assert written[0] < written[1] == written[2]
    assert [p.name for p in tmp_path.iterdir()] == ["best.safetensors"]
    assert flux.load_checkpoint(path, model=model)["model"] is model and model["w"].item() == 0.25


def test_paths_have_the_numbers_of_the_row(tmp_path):
    folder = tmp_path / "new" / "runs"
    keep = flux.ModelCheckpoint(folder / "at-{epoch:02d}-{loss:.2f}", best_only=False, every=2)
    fit_one(epochs=5, callbacks=keep)
    assert sorted(p.name for p in folder.iterdir()) == ["at-02-0.25", "at-04-0.02"]
    with pytest.raises(
        ValueError, match="cannot be filled in: 'val_loss'; the columns are epoch, step, loss"
    ):
        fit_one(callbacks=flux.ModelCheckpoint(tmp_path / "{val_loss}", "loss"))


def test_models_of_ones_own_classes_are_kept_and_loaded_into_one(tmp_path):
    class Own(flux.Layer):
        def __init__(self):
            self.dense = flux.Dense(2, 1)

        def __call__(self, x):
            return self.dense(x)

    model, other = Own(), Own()
    loss = lambda m, x: (m(x) ** 2).sum()
    flux.fit(
        loss, model, [flux.rand(3, 2)], flux.Adam(), callbacks=flux.ModelCheckpoint(tmp_path / "own", "loss")
    )
    flux.load_checkpoint(tmp_path / "own", model=other)
    assert other.dense.weight.tolist() == model.dense.weight.tolist()


class Listed(flux.Layer):
    """A layer of the user's."""

    def __init__(self):
        self.dense = flux.Dense(2, 1)

    def __call__(self, x):
        return self.dense(x)


def test_classes_that_are_listed_are_read_without_a_model(tmp_path):
    loss = lambda m, x: (m(x) ** 2).sum()
    keep = flux.ModelCheckpoint(tmp_path / "own", "loss", classes=[Listed])
    flux.fit(loss, Listed(), [flux.rand(3, 2)], flux.Adam(), callbacks=keep)
    assert type(flux.load_checkpoint(tmp_path / "own", classes=[Listed])["model"]) is Listed


# Averages


def weights_of(decay, steps, warmup=False):
    """The average of 1, 1/2, 1/4, … by the formula."""
    average = 1.0
    for t in range(1, steps + 1):
        d = min(decay, (1 + t) / (10 + t)) if warmup else decay
        average = d * average + (1 - d) * 0.5**t
    return average


@pytest.mark.parametrize("warmup", [False, True])
def test_an_exponential_average_follows_its_formula(warmup):
    model = one()
    fit_one(model=model, data=[ZERO] * 3, epochs=2, callbacks=flux.EMA(decay=0.75, warmup=warmup))
    assert model["w"].item() == pytest.approx(weights_of(0.75, 6, warmup), rel=1e-6)


def test_an_average_may_take_every_other_step():
    model = one()
    fit_one(model=model, data=[ZERO] * 4, callbacks=flux.EMA(0.5, every=2))
    assert model["w"].item() == (1 / 2 + 0.25 / 2) / 2 + 0.5**4 / 2


def test_validation_and_other_callbacks_see_the_average_and_training_goes_on_without():
    seen, model = [], one()
    history = fit_one(
        model=model, epochs=2, validation=[ZERO],
        callbacks=[lambda row: seen.append(model["w"].item()), flux.EMA(0.5)],
    )  # fmt: skip
    averages = [weights_of(0.5, 1), weights_of(0.5, 2)]
    assert seen == averages and history["val_loss"] == [a**2 for a in averages]
    assert history["loss"] == [1.0, 0.25] and model["w"].item() == averages[-1]


@pytest.mark.parametrize("order", [1, -1])
def test_the_best_average_is_what_is_restored_whatever_the_order(order):
    model = one()
    callbacks = [flux.EMA(0.5), flux.EarlyStopping("val_loss", mode="max")][::order]
    fit_one(model=model, epochs=3, validation=[ZERO], callbacks=callbacks)
    assert model["w"].item() == weights_of(0.5, 1)


def test_stochastic_weight_averaging_is_the_mean_of_epochs():
    for start, every, epochs, taken in [
        (2, 1, 4, [2, 3, 4]), (0.75, 1, 8, [7, 8]), (0.0, 1, 3, [1, 2, 3]), (1, 2, 4, [1, 3]),
    ]:  # fmt: skip
        model = one()
        fit_one(model=model, epochs=epochs, callbacks=flux.SWA(start, every=every))
        assert model["w"].item() == pytest.approx(np.mean([0.5**e for e in taken]), rel=1e-6)
    model = one()
    with pytest.warns(
        UserWarning, match="SWA: averages are taken from epoch 9 on, and this run ends with epoch 3"
    ):
        fit_one(model=model, epochs=3, callbacks=flux.SWA(9))
    assert model["w"].item() == 0.125


def norm_model():
    return flux.Chain(flux.Dense(2, 3), flux.BatchNorm(3), flux.Dropout(0.5), flux.Dense(3, 1))


def line(model, x, y):
    return flux.mse(model(x), y)


def points(n=40):
    x = np.random.default_rng(0).normal(size=(n, 2)).astype(np.float32) + 2
    return x, x @ np.float32([[2.0], [-1.0]])


def test_running_statistics_are_those_of_the_averages():
    flux.seed(1)
    model, (x, y) = norm_model(), points()
    loader = flux.DataLoader((x, y), 20, shuffle=True)
    history = flux.fit(
        line, model, loader, flux.Descent(0.05), epochs=4, validation=(x, y), callbacks=flux.SWA(1)
    )
    hidden = [model[0](x[i : i + 20]).numpy() for i in (0, 20)]
    np.testing.assert_allclose(model[1].mu, np.mean([h.mean(0) for h in hidden], axis=0), rtol=1e-4)
    np.testing.assert_allclose(model[1].var, np.mean([h.var(0, ddof=1) for h in hidden], axis=0), rtol=1e-3)
    assert model[1].momentum == 0.1 and model[1].active is None
    # What was measured last is what the model has in the end.
    assert history["val_loss"][-1] == pytest.approx(line(model, x, y).item(), rel=1e-6)


def test_statistics_need_data_that_can_be_read_again():
    batches = (points() for _ in range(3))
    with pytest.raises(
        ValueError, match=r"SWA: the model has running statistics.*give SWA\(statistics=batches\)"
    ):
        flux.fit(line, norm_model(), batches, flux.Descent(0.01), callbacks=flux.SWA(1))
    model = norm_model()
    flux.fit(
        line,
        model,
        (points() for _ in range(1)),
        flux.Descent(0.01),
        callbacks=flux.SWA(1, statistics=[points()]),
    )
    np.testing.assert_allclose(model[1].mu, model[0](points()[0]).numpy().mean(0), rtol=1e-4)


def test_statistics_are_means_over_batches_and_draw_no_numbers():
    flux.seed(3)
    model = norm_model()
    flux.testmode(model)
    before = flux.default_generator().get_state()
    flux.update_statistics(model, [points(10), (points(10)[0] + 1,)])
    hidden = [model[0](x).numpy() for x in (points(10)[0], points(10)[0] + 1)]
    np.testing.assert_allclose(model[1].mu, np.mean([h.mean(0) for h in hidden], axis=0), rtol=1e-4)
    assert flux.default_generator().get_state() == before and model[1].active is False


def test_statistics_of_no_batches_are_an_error_that_changes_nothing():
    model = norm_model()
    with pytest.raises(ValueError, match="update_statistics: the data has no batches"):
        flux.update_statistics(model, [])
    assert model[1].momentum == 0.1 and model[1].active is None


def test_what_has_ended_the_training_lets_no_epoch_begin():
    told = Told()
    fit_one(epochs=3, callbacks=[told, type("Ends", (), {"on_train_begin": lambda self, run: True})()])
    assert told.told == [("begin", 0, 0), ("end", 0, 0)]


def test_two_averages_are_refused_and_halves_are_averaged_in_full():
    with pytest.raises(ValueError, match="EMA and SWA average the weights; only one can"):
        fit_one(callbacks=[flux.EMA(), flux.SWA()])
    model = flux.bf16(flux.Dense(1, 1, bias=False, init=flux.ones32))
    average = flux.EMA(0.999)
    flux.fit(
        lambda m, x: (m(x) * 0).sum(), model, [flux.ones((1, 1))] * 3, flux.Descent(0.0),
        callbacks=[average, lambda row: None],
    )  # fmt: skip
    assert model.weight.dtype == "bfloat16" and average.values[0].dtype == "float32"


# Norms of gradients


def test_norms_of_gradients_are_columns():
    model = {"a": flux.tensor([3.0]), "b": [flux.tensor([[4.0]])]}
    loss = lambda m, x: ((m["a"] ** 2).sum() + (m["b"][0] ** 2).sum()) / 2
    history = flux.fit(loss, model, [ZERO] * 2, flux.Descent(0.5), callbacks=flux.GradientNorm(each=True))
    assert history["gradient_norm"] == [(5 + 2.5) / 2] and history["gradient_norm_max"] == [5.0]
    assert history["gradient_norm/a"] == [2.25] and history["gradient_norm/b[0]"] == [3.0]
    huge = {"w": flux.ones(2)}
    norms = flux.fit(
        lambda m, x: (m["w"]).sum() * 1e30, huge, [ZERO], flux.Descent(0.0), callbacks=flux.GradientNorm()
    )
    assert norms["gradient_norm"][0] == pytest.approx(1e30 * 2**0.5, rel=1e-5)


# Resuming


CALLBACKS = {
    "early": lambda: flux.EarlyStopping("val_loss", patience=3, min_delta=0.01),
    "average": lambda: [flux.EMA(0.9), flux.EarlyStopping("val_loss", patience=4), flux.GradientNorm()],
    "swa": lambda: [print, flux.SWA(2), flux.EarlyStopping("val_accuracy", patience=50, mode="max")],
}


@pytest.mark.filterwarnings("ignore:SWA. averages are taken from epoch 2 on")
@pytest.mark.parametrize("name", CALLBACKS)
def test_a_run_with_callbacks_is_resumed_to_the_same_bit(name, tmp_path):
    x, y = points()
    labels = (y[:, 0] > 1).astype(int)

    def run(epochs, path):
        flux.seed(3)
        model = flux.Chain(
            flux.Dense(2, 4), flux.BatchNorm(4, flux.tanh), flux.Dropout(0.2), flux.Dense(4, 2)
        )
        history = flux.fit(
            lambda m, x, y: flux.logitcrossentropy(m(x), y), model,
            flux.DataLoader((x, labels), 9, shuffle=True), flux.Adam(0.05), epochs=epochs, validation=(x, labels),
            metrics=["accuracy", "auc"], callbacks=CALLBACKS[name](), checkpoint=path, resume=True,
        )  # fmt: skip
        return [w.tolist() for _, w in flux._core.leaves(model)], [row | {"seconds": 0} for row in history]

    whole, rows = run(12, tmp_path / "whole")
    for n in (1, 4, 5, 12):
        parts, resumed = run(n, tmp_path / "parts")
    assert parts == whole and resumed == rows
    assert run(12, tmp_path / "parts")[0] == whole


def test_a_checkpoint_of_one_callback_is_not_given_to_another(tmp_path):
    fit_one(epochs=2, callbacks=flux.EarlyStopping("loss"), checkpoint=tmp_path / "run")
    for other in (
        flux.EMA(),
        flux.ModelCheckpoint(tmp_path / "best", "loss"),
        flux.EarlyStopping("seconds", mode="min"),
    ):
        history = fit_one(epochs=3, callbacks=other, checkpoint=tmp_path / "run", resume=True)
        assert len(history) == 3
        fit_one(epochs=2, callbacks=flux.EarlyStopping("loss"), checkpoint=tmp_path / "run")


# Attacks


def test_an_interrupt_while_the_average_is_measured_gives_the_weights_back():
    def interrupts(model, x):
        if flux.is_recording() or model["w"].item() == 1.0:
            return square(model, x)
        raise KeyboardInterrupt

    model = one()
    history = flux.fit(
        interrupts, model, [ZERO], flux.Descent(0.25), epochs=3, validation=[ZERO], callbacks=flux.EMA(0.5)
    )
    assert history.interrupted and len(history) == 0 and model["w"].item() == 0.5


def test_an_error_while_the_average_is_measured_gives_the_weights_back():
    def breaks(row):
        raise RuntimeError("broken")

    model = one()
    with pytest.raises(RuntimeError, match="broken"):
        fit_one(model=model, epochs=3, callbacks=[flux.EMA(0.5), breaks])
    assert model["w"].item() == 0.5


def test_tied_weights_are_averaged_once_and_stay_tied():
    dense = flux.Dense(1, 1, bias=False, init=flux.ones32)
    model = flux.Chain(dense, dense)
    average = flux.EMA(0.5)
    flux.fit(lambda m, x: m(x).sum(), model, [flux.ones((1, 1))] * 2, flux.Descent(0.1), callbacks=average)
    assert len(average.values) == 1 and model[0] is model[1]
    w = [1.0, 0.8, 0.64]
    assert model[0].weight.item() == pytest.approx((w[0] / 2 + w[1] / 2) / 2 + w[2] / 2)


def test_a_layer_that_comes_later_begins_its_average_then():
    class Grows(flux.Layer):
        def __init__(self):
            self.parts = [flux.Dense(1, 1)]

        def __call__(self, x):
            return sum(part(x) for part in self.parts)

    class Adds:
        def on_epoch_begin(self, run):
            if run.epoch == 2:
                run.model.parts.append(flux.Dense(1, 1))
                run.state.parts.append(flux.setup(flux.Descent(0.1), run.model.parts[1]))

    model, average = Grows(), flux.EMA(0.5)
    state = flux.setup(flux.Descent(0.1), model)
    flux.fit(
        lambda m, x: (m(x) ** 2).sum(),
        model,
        [flux.ones((1, 1))],
        state,
        epochs=3,
        callbacks=[Adds(), average],
    )
    assert len(average.values) == 4 and len(model.parts) == 2


def test_a_model_that_has_changed_its_shape_cannot_be_given_back_its_best():
    class Swaps:
        def on_train_end(self, run):
            run.model["w"] = flux.zeros(3)

    with pytest.raises(
        ValueError, match="EarlyStopping: the model has 1 tensors and had 1 of other shapes"
    ) as caught:
        fit_one(callbacks=[Swaps(), flux.EarlyStopping("loss")])
    assert "EarlyStopping.on_train_end" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    "callback",
    [
        flux.EarlyStopping("loss"), flux.ModelCheckpoint("somewhere", "loss"), flux.EMA(0.9), flux.SWA(1),
        flux.GradientNorm(),
    ],
    ids=lambda c: type(c).__name__,
)  # fmt: skip
def test_callbacks_are_copied_pickled_and_used_again(callback, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ends = []
    for again in (callback, copy.deepcopy(callback), pickle.loads(pickle.dumps(callback))):
        model = one()
        history = fit_one(model=model, epochs=4, callbacks=again)
        pickle.loads(pickle.dumps(again))
        ends.append((model["w"].item(), len(history), [*history.columns]))
    assert ends[0] == ends[1] == ends[2]


def test_a_generator_of_callbacks_and_none_at_all():
    seen = []
    fit_one(callbacks=(f for f in [seen.append, lambda row: None]))
    fit_one(callbacks=())
    assert len(seen) == 1


def test_measuring_the_training_data_is_resumed_to_the_same_bit(tmp_path):
    x, y = points()
    labels = (y[:, 0] > 1).astype(int)

    def run(epochs, path):
        flux.seed(3)
        model = flux.Chain(flux.Dense(2, 4, flux.tanh), flux.Dropout(0.2), flux.Dense(4, 2))
        history = flux.fit(
            lambda m, x, y: flux.logitcrossentropy(m(x), y), model, flux.DataLoader((x, labels), 9, shuffle=True),
            flux.Adam(0.05), epochs=epochs, steps=3, metrics=["f1", "auc"], callbacks=flux.GradientNorm(),
            checkpoint=path, resume=True,
        )  # fmt: skip
        return [w.tolist() for w in flux.trainables(model)], [row | {"seconds": 0} for row in history]

    whole = run(6, tmp_path / "whole")
    run(2, tmp_path / "parts")
    assert run(6, tmp_path / "parts") == whole
