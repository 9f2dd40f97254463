"""`fit`, its table, its progress bar, and how it ends."""

import dataclasses
import io
import math
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import types
from itertools import count

import matplotlib as mpl
import numpy as np
import pytest
import tqdm

import oxiflux as flux
from oxiflux.training import History, progress

mpl.use("Agg")


def square(model, x):
    return ((model["w"] - x) ** 2).sum()


def line(model, x, y):
    return flux.mse(model(x), y)


def one():
    """A model of one number, 1; each step of `Descent(0.25)` towards 0 halves it, so the losses are 1, 1/4, 1/16, …"""
    return {"w": flux.tensor([1.0])}


ZERO = [0.0]


def points(n=40):
    x = np.random.default_rng(0).normal(size=(n, 2)).astype(np.float32)
    return x, x @ [[2.0], [-1.0]] + 0.5


# The loop


def test_a_row_for_each_epoch_with_the_mean_loss():
    model = one()
    history = flux.fit(square, model, [ZERO, ZERO], flux.Descent(0.25), epochs=2)
    assert model["w"].item() == 0.5**4
    assert history["loss"] == [(1 + 1 / 4) / 2, (1 / 16 + 1 / 64) / 2]
    assert history["epoch"] == [1, 2] and history["step"] == [2, 4]
    assert not history.interrupted and all(s > 0 for s in history["seconds"])


def test_fit_is_train_epoch_by_epoch():
    results = []
    for fitted in (True, False):
        flux.seed(0)
        model = flux.Chain(flux.Dense(2, 5, flux.tanh), flux.Dense(5, 1))
        loader = flux.DataLoader(points(), 7, shuffle=True, rng=flux.Generator(1))
        state = flux.setup(flux.Adam(0.05), model)
        if fitted:
            flux.fit(line, model, loader, state, epochs=3)
        else:
            for _ in range(3):
                flux.train(line, model, loader, state)
        results.append([w.tolist() for w in flux.trainables(model)])
    assert results[0] == results[1]


def test_a_state_goes_on_where_it_was():
    model = one()
    state = flux.setup(flux.Momentum(0.1), model)
    flux.fit(square, model, [ZERO], state, epochs=2)
    once = {"w": flux.tensor([1.0])}
    flux.fit(square, once, [ZERO], flux.Momentum(0.1), epochs=2)
    assert model["w"].item() == once["w"].item()
    assert state["w"].state.item() != 0


def test_validation_is_measured_after_each_epoch_and_weighted_by_items():
    model = one()
    batches = [(np.zeros(1),), (np.full(3, 2.0),)]
    mean = lambda m, x: flux.mean((m["w"] - x) ** 2)
    history = flux.fit(mean, model, [ZERO], flux.Descent(0.25), epochs=2, validation=batches)
    w = [0.5, 0.25]
    assert history["val_loss"] == [(w**2 + 3 * (w - 2) ** 2) / 4 for w in w]
    whole = flux.fit(
        mean, one(), [ZERO], flux.Descent(0.25), epochs=2, validation=(np.array([0.0, 2, 2, 2]),)
    )
    assert whole["val_loss"] == pytest.approx(history["val_loss"])


def test_validation_and_metrics_see_no_gradient_and_change_nothing():
    recording = []
    metric = lambda m, x: recording.append(flux.is_recording()) or 1.0
    model = one()
    flux.fit(square, model, [ZERO], flux.Descent(0.25), validation=[ZERO], metrics={"m": metric})
    assert recording == [False] and model["w"].item() == 0.5


def test_metrics_are_named_by_their_functions_or_by_a_dict():
    def size(model, x):
        return abs(model["w"].item())

    history = flux.fit(square, one(), [ZERO], flux.Descent(0.25), validation=[ZERO], metrics=size)
    assert history["val_size"] == [0.5]
    named = flux.fit(
        square, one(), [ZERO], flux.Descent(0.25), validation=[ZERO], metrics={"a": size, "b": size}
    )
    assert named.columns == ["epoch", "step", "loss", "val_loss", "val_a", "val_b", "seconds"]


def test_numbers_beside_the_loss_become_columns():
    loss = lambda m, x: (square(m, x), {"w": m["w"].sum()})
    history = flux.fit(loss, one(), [ZERO, ZERO], flux.Descent(0.25), validation=[ZERO])
    assert history["w"] == [(1 + 0.5) / 2] and history["val_w"] == [0.25]
    # Anything else beside it is let be.
    other = flux.fit(lambda m, x: (square(m, x), "text"), one(), [ZERO], flux.Descent(0.25))
    assert other.columns == ["epoch", "step", "loss", "seconds"]


def test_callbacks_get_the_row_and_only_true_ends_the_training():
    rows = []
    history = flux.fit(
        square, one(), [ZERO], flux.Descent(0.25), epochs=3, callbacks=[rows.append, lambda row: 1]
    )
    assert rows == history.rows and len(rows) == 3
    seen = []
    stop = lambda row: row["epoch"] == 2
    history = flux.fit(square, one(), [ZERO], flux.Descent(0.25), epochs=9, callbacks=[stop, seen.append])
    assert len(history) == len(seen) == 2 and not history.interrupted


def test_early_stopping_and_plateau_are_callbacks():
    losses = iter([3.0, 2.0, 2.5, 2.2, 1.0])
    metric = {"given": lambda m, x: next(losses)}
    for callback in (
        flux.early_stopping(lambda row: row["val_given"], 2, init_score=math.inf),
        flux.plateau(lambda row: row["val_given"], 1, min_dist=0.4),
    ):
        losses = iter([3.0, 2.0, 2.5, 2.2, 1.0])
        history = flux.fit(
            square,
            one(),
            [ZERO],
            flux.Descent(0.1),
            epochs=5,
            validation=[ZERO],
            metrics=metric,
            callbacks=callback,
        )
        assert len(history) == 4


def test_a_callback_may_lower_the_learning_rate():
    model = one()
    state = flux.setup(flux.Descent(0.25), model)
    flux.fit(square, model, [ZERO], state, epochs=2, callbacks=lambda row: flux.adjust(state, 0.5 / 2))
    lower = lambda row: flux.adjust(state, state["w"].rule.eta / 2)
    flux.fit(square, model, [ZERO], state, epochs=2, callbacks=lower)
    assert state["w"].rule.eta == 0.0625


def test_a_schedule_sets_the_rate_before_each_step():
    seen = []

    class Watched(flux.Descent):
        kernel = None

        def apply(self, state, x, dx):
            seen.append(self.eta)
            return super().apply(state, x, dx)

    schedule = flux.Exp(0.4, 0.5)
    history = flux.fit(square, one(), [ZERO] * 2, Watched(9.0), epochs=2, schedule=schedule)
    assert seen == [0.4, 0.2, 0.1, 0.05]
    assert history["eta"] == [0.2, 0.05]


def test_several_hyper_parameters_follow_schedules():
    model = one()
    state = flux.setup(flux.Momentum(), model)
    pace = {"eta": lambda t: 0.1 / (t + 1), "rho": lambda t: 0.5}
    history = flux.fit(square, model, [ZERO] * 2, state, schedule=pace)
    assert repr(state["w"].rule) == "Momentum(0.05, 0.5)"
    assert history["eta"] == [0.05] and history["rho"] == [0.5]


def test_a_schedule_may_count_epochs(tmp_path):
    seen = []

    class Watched(flux.Descent):
        kernel = None

        def apply(self, state, x, dx):
            seen.append(self.eta)
            return super().apply(state, x, dx)

    def run(epochs, steps=None):
        return flux.fit(
            square, one(), [ZERO] * 2, Watched(9.0), epochs=epochs, steps=steps, schedule=flux.Exp(0.4, 0.5),
            per="epoch", checkpoint=tmp_path / "run", resume=True,
        )  # fmt: skip

    assert run(2)["eta"] == [0.4, 0.2] and seen == [0.4, 0.4, 0.2, 0.2]
    assert run(3)["eta"] == [0.4, 0.2, 0.1] and seen[4:] == [0.1, 0.1]
    seen.clear()
    assert run(4, steps=3)["eta"] == [0.4, 0.2, 0.1, 0.05] and seen == [0.05] * 3


# Data


def test_steps_cut_an_endless_stream_into_epochs():
    taken = []

    def stream():
        for i in count():
            taken.append(i)
            yield np.zeros(1)

    history = flux.fit(square, one(), stream(), flux.Descent(0.25), epochs=3, steps=2)
    assert history["step"] == [2, 4, 6] and taken == list(range(6))


def test_steps_begin_the_data_anew_where_they_end():
    seen = []
    loss = lambda m, x: seen.append(x[0]) or square(m, x)
    history = flux.fit(loss, one(), [[0.0], [1.0], [2.0]], flux.Descent(0.1), epochs=2, steps=2)
    assert seen == [0.0, 1.0, 2.0, 0.0] and history["step"] == [2, 4]


def test_a_generator_lasts_for_one_epoch():
    batches = (np.zeros(1) for _ in range(3))
    assert flux.fit(square, one(), batches, flux.Descent(0.25))["step"] == [3]
    batches = (np.zeros(1) for _ in range(3))
    with pytest.raises(ValueError, match="no batches in pass 2.*steps="):
        flux.fit(square, one(), batches, flux.Descent(0.25), epochs=2)


class Items:
    def __len__(self):
        return 100

    def __getitem__(self, i):
        return math.nan if i == 3 else 0.0


@pytest.mark.parametrize("steps", [None, 50])
def test_no_worker_outlives_an_error_whose_traceback_is_kept(steps):
    loader = flux.DataLoader(Items(), parallel=2)
    others = multiprocessing.active_children()  # such as those that a search of scikit-learn has left
    with pytest.raises(ValueError, match="nan at step 4") as kept:
        flux.fit(square, one(), loader, flux.Descent(0.25), steps=steps)
    assert set(multiprocessing.active_children()) <= set(others) and kept.tb is not None


def test_a_generator_can_be_used_after_fit():
    batches = (np.zeros(1) for _ in range(5))
    flux.fit(square, one(), batches, flux.Descent(0.25), steps=2)
    assert len(list(batches)) == 3


def test_batches_may_be_dicts():
    loss = lambda m, b: flux.mse(m(b["x"]), b["y"])
    x, y = points()
    model = flux.Dense(2, 1)
    data = flux.DataLoader({"x": x, "y": y}, 10)
    history = flux.fit(loss, model, data, flux.Adam(0.1), epochs=2, validation=data)
    assert history["step"] == [4, 8] and history["val_loss"][1] < history["loss"][0]


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"loss": 3}, TypeError, "loss must be a function.*3"),
        ({"data": (np.zeros(3), np.zeros(3))}, TypeError, r"got a tuple; DataLoader.*\[data\]"),
        ({"data": {"x": np.zeros(3)}}, TypeError, "got a dict"),
        ({"data": np.zeros(3)}, TypeError, "got a ndarray"),
        ({"data": flux.zeros(3)}, TypeError, "got a Tensor"),
        ({"data": 5}, TypeError, "batches, got a int"),
        ({"data": []}, ValueError, "no batches in pass 1"),
        ({"rule": "adam"}, TypeError, "'adam' is neither a rule nor a state"),
        ({"rule": flux.Adam}, TypeError, "setup: .*Adam.* is no rule"),
        ({"rule": {"v": flux.Leaf(flux.Adam())}}, TypeError, "does not fit the model"),
        ({"model": flux.params(one())}, TypeError, "give the model itself"),
        ({"model": "text"}, TypeError, "no model"),
        ({"epochs": -1}, ValueError, "epochs must be at least 0, got -1"),
        ({"epochs": 1.5}, TypeError, "epochs must be a whole number, got 1.5"),
        ({"epochs": True}, TypeError, "epochs.*True"),
        ({"steps": 0}, ValueError, "steps must be at least 1, got 0"),
        ({"metrics": {"loss": len}}, ValueError, "there is a column loss already"),
        ({"metrics": {3: len}}, TypeError, "the name of a metric must be text, got 3"),
        ({"metrics": [3], "validation": [ZERO]}, TypeError, "metrics must be functions or names .*, got 3"),
        (
            {"metrics": "acuracy", "validation": [ZERO]},
            ValueError,
            "no metric acuracy; did you mean accuracy",
        ),
        ({"metrics": [len, len], "validation": [ZERO]}, ValueError, "different names"),
        ({"callbacks": 3}, TypeError, "callbacks must be functions or objects with hooks, got 3"),
        ({"callbacks": [3]}, TypeError, "callbacks must be functions or objects with hooks, got 3"),
        (
            {"schedule": 0.1, "per": "epoch"},
            TypeError,
            "schedule of eta must be a function of the epoch, got 0.1",
        ),
        ({"schedule": flux.Exp}, TypeError, "schedule of eta must be a function of the step, got <class"),
        ({"schedule": abs, "per": "batch"}, ValueError, "fit: per must be 'step' or 'epoch', got 'batch'"),
        ({"per": "epoch"}, ValueError, "per='epoch' says how a schedule counts; give schedule="),
        ({"schedule": 0.1}, TypeError, "schedule of eta must be a function of the step, got 0.1"),
        ({"schedule": {"rho": abs}}, ValueError, "adjust: no rule of this state has rho"),
        ({"on_nan": "ignore"}, ValueError, "on_nan must be 'raise' or 'skip', got 'ignore'"),
        ({"log": 3}, TypeError, "log must be a path.*3"),
        ({"checkpoint": 3}, TypeError, "checkpoint must be a path, got 3"),
        ({"resume": True}, ValueError, "give checkpoint=path"),
    ],
)
def test_what_does_not_fit_is_named_and_changes_nothing(change, error, words):
    model = one()
    given = {"loss": square, "model": model, "data": [ZERO], "rule": flux.Descent(0.25), "epochs": 2} | change
    loss, m, data, rule = (given.pop(name) for name in ("loss", "model", "data", "rule"))
    with pytest.raises(error, match=words):
        flux.fit(loss, m, data, rule, **given)
    assert model["w"].item() == 1.0


def test_validation_data_without_numbers_or_batches():
    given = {"loss": square, "model": one(), "data": [ZERO], "rule": flux.Descent(0.25)}
    with pytest.raises(ValueError, match="validation data has no batches"):
        flux.fit(**given, validation=[])
    with pytest.raises(TypeError, match="m must be a number, got 'high'"):
        flux.fit(**given, validation=[ZERO], metrics={"m": lambda m, x: "high"})
    with pytest.raises(TypeError, match="w must be a number"):
        flux.fit(lambda m, x: (square(m, x), {"w": x}), one(), [np.zeros(2)], flux.Descent())


def test_validation_batches_of_another_form_raise_what_the_loss_raises():
    x, y = points()
    model = flux.Dense(2, 1)
    for bad, error in (((x,), TypeError), ((x, y[:-1]), flux.ShapeError), ((x, y, y), TypeError)):
        with pytest.raises(error):
            flux.fit(line, model, [(x, y)], flux.Descent(), validation=bad)


def test_no_epochs_give_an_empty_table():
    history = flux.fit(square, one(), [ZERO], flux.Descent(0.25), epochs=0)
    assert len(history) == 0 and repr(history) == "History()"


# Losses that are not finite


def test_a_loss_that_is_not_finite_names_step_and_epoch():
    model, batches = one(), iter([[0.0], [0.0], [0.0], [math.inf]])
    with pytest.raises(ValueError, match="fit: the loss is inf at step 2 of epoch 2"):
        flux.fit(square, model, batches, flux.Descent(0.25), epochs=2, steps=2)
    assert model["w"].item() == 0.125


def test_a_loss_that_is_not_finite_is_skipped_with_a_warning():
    for run in (flux.fit, flux.train):
        model, batches = one(), [[0.0], [math.nan], [0.0]]
        state = flux.setup(flux.Momentum(0.25, 0.0), model)
        with pytest.warns(UserWarning, match=f"{run.__name__}: the loss is nan at step 2"):
            history = run(square, model, batches, state, on_nan="skip")
        assert model["w"].item() == 0.25
    assert history is None


def test_an_epoch_of_skipped_batches_has_no_loss():
    with pytest.warns(UserWarning, match="left out"):
        history = flux.fit(square, one(), [[math.nan]], flux.Descent(0.25), on_nan="skip")
    assert math.isnan(history["loss"][0]) and history["step"] == [0]


# Ctrl-C


def test_an_interrupt_in_the_data_gives_the_epochs_so_far():
    def stream():
        yield from [ZERO] * 5
        raise KeyboardInterrupt

    model = one()
    history = flux.fit(square, model, stream(), flux.Descent(0.25), epochs=9, steps=2)
    assert history.interrupted and history["epoch"] == [1, 2]
    assert model["w"].item() == 0.5**5


class Interrupting(flux.Rule):
    """Is interrupted at the second parameter of the third step."""

    def __init__(self):
        self.calls = 0

    def init(self, x):
        return 0

    def apply(self, state, x, dx):
        self.calls += 1
        if self.calls == 6:
            raise KeyboardInterrupt
        return state + 1, dx * 0.25


def test_an_interrupt_within_a_step_leaves_the_one_before():
    model = {"a": flux.tensor([1.0]), "b": flux.tensor([1.0])}
    state = flux.setup(Interrupting(), model)
    loss = lambda m, x: (m["a"] ** 2 + m["b"] ** 2).sum()
    history = flux.fit(loss, model, [ZERO], state, epochs=9)
    assert history.interrupted and len(history) == 2
    assert model["a"].tolist() == model["b"].tolist() == [0.25]
    assert state["a"].state == state["b"].state == 2


SCRIPT = """
import sys, time
import oxiflux as flux
model = {"w": flux.tensor([1.0])}
data = [[0.0]] * 100
def loss(m, x):
    return ((m["w"] - x) ** 2).sum()
def callback(row):
    if row["epoch"] == 2:
        print("ready", flush=True)
history = flux.fit(loss, model, data, flux.Descent(1e-9), epochs=10**9, callbacks=callback)
print(history.interrupted, len(history) >= 2, len(history) * 100 == history["step"][-1])
"""


def test_ctrl_c_ends_a_real_training():
    child = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    finally:
        child.kill()
    assert (out, err, child.returncode) == ("True True True\n", "", 0)


AT_ANY_MOMENT = """
import os, random, signal, threading
import oxiflux as flux

def loss(m, x):
    return sum(w.sum() for w in flux.trainables(m))

flux.fit  # imports what a signal would interrupt
for i in range(30):
    model = {"a": flux.zeros(7), "b": [flux.zeros(100_000), flux.zeros(())]}
    rule = flux.OptimiserChain(flux.ClipGrad(), flux.Momentum(1.0, 0.0)) if i % 2 else flux.Descent(1.0)
    threading.Timer(random.uniform(0.02, 0.06), os.kill, (os.getpid(), signal.SIGINT)).start()
    history = flux.fit(loss, model, [[0.0]] * 10, rule, epochs=10**9)
    ends = {-w.min().item() for w in flux.trainables(model)} | {-w.max().item() for w in flux.trainables(model)}
    assert history.interrupted and len(ends) == 1, ends
    done = history["step"][-1] if len(history) else 0
    assert done <= ends.pop() <= done + 10
"""


def test_ctrl_c_at_any_moment_leaves_the_model_after_a_whole_step():
    """Each step lowers every number by 1, so that all are the same as long as steps are whole."""
    result = subprocess.run(
        [sys.executable, "-c", AT_ANY_MOMENT], capture_output=True, text=True, timeout=120
    )
    assert (result.stderr, result.returncode) == ("", 0)


# Checkpoints


def noisy(model, x, y):
    return flux.mse(model(x + 0.1 * flux.randn(*x.shape)), y)


@pytest.mark.parametrize("steps", [None, 3])
def test_a_resumed_run_ends_as_the_whole_one(tmp_path, steps):
    """Bit by bit: the place in the data, in the schedule and of the random numbers goes with the model."""

    def run(epochs, path, at=None):
        flux.seed(3)
        model = flux.Chain(flux.Dense(2, 4, flux.tanh), flux.Dense(4, 1))
        loader = flux.DataLoader(points(), 9, shuffle=True)
        rule = flux.Adam()
        if at is not None:
            flux.seed(at)  # what happened since does not matter
        history = flux.fit(
            noisy, model, loader, rule, epochs=epochs, steps=steps, validation=points(), schedule=flux.Exp(0.1, 0.9),
            checkpoint=path, resume=True,
        )  # fmt: skip
        return [w.tolist() for w in flux.trainables(model)], history

    whole, history = run(5, tmp_path / "whole")
    run(2, tmp_path / "part")
    parts, resumed = run(5, tmp_path / "part", at=99)
    assert parts == whole
    assert [row | {"seconds": 0} for row in resumed] == [row | {"seconds": 0} for row in history]
    # What is done is done.
    assert run(5, tmp_path / "part")[1] == resumed


def test_a_checkpoint_is_only_gone_on_from_when_told_to(tmp_path):
    path = tmp_path / "run"
    for _ in range(2):
        model = one()
        history = flux.fit(square, model, [ZERO], flux.Descent(0.25), epochs=2, checkpoint=path)
        assert model["w"].item() == 0.25 and len(history) == 2
    with pytest.raises(ValueError, match="w"):
        flux.fit(
            square, {"v": flux.ones(2)}, [ZERO], flux.Descent(0.25), epochs=2, checkpoint=path, resume=True
        )


def test_a_checkpoint_has_what_callbacks_changed(tmp_path):
    model, path = one(), tmp_path / "run"
    state = flux.setup(flux.Descent(0.25), model)
    lower = lambda row: flux.adjust(state, 0.125)
    flux.fit(square, model, [ZERO], state, checkpoint=path, callbacks=[lower, lambda row: True], epochs=3)
    run = flux.load_checkpoint(path)
    assert run["state"]["w"].rule.eta == 0.125 and run["model"]["w"].item() == 0.5
    assert run["history"]["rows"][0]["epoch"] == 1


@pytest.mark.parametrize(
    "stop",
    [
        lambda: flux.early_stopping(lambda row: row["val_loss"], 4, init_score=math.inf, min_dist=0.05),
        lambda: flux.plateau(lambda row: row["val_loss"], 3, init_score=math.inf, min_dist=0.05),
        lambda: flux.patience(lambda row: row["val_loss"] < 0.5, 5),
    ],
    ids=["early_stopping", "plateau", "patience"],
)
def test_a_resumed_run_stops_where_the_whole_one_does(tmp_path, stop):
    def run(epochs, path):
        flux.seed(3)
        model = flux.Chain(flux.Dense(2, 4, flux.tanh), flux.Dense(4, 1))
        history = flux.fit(
            noisy, model, flux.DataLoader(points(), 9, shuffle=True), flux.Adam(0.02), epochs=epochs,
            validation=points(), callbacks=[print, stop()], checkpoint=path, resume=True,
        )  # fmt: skip
        return [w.tolist() for w in flux.trainables(model)], len(history)

    whole, epochs = run(100, tmp_path / "whole")
    assert 5 < epochs < 100
    # Interrupted after every epoch, and asked to go on when it had ended.
    for n in range(1, epochs + 3):
        parts = run(n, tmp_path / "parts")
    assert parts == (whole, epochs)
    assert run(100, tmp_path / "parts") == (whole, epochs)


def test_callbacks_may_come_and_go_between_runs(tmp_path):
    def run(epochs, callbacks):
        return len(
            flux.fit(
                square, one(), [ZERO], flux.Descent(0.25), epochs=epochs, callbacks=callbacks,
                checkpoint=tmp_path / "run", resume=True,
            )
        )  # fmt: skip

    ends = flux.patience(lambda row: True, 2)
    assert run(9, ends) == 2
    assert run(3, ()) == 3
    assert run(4, [flux.patience(lambda row: True, 9)]) == 4
    assert run(5, [lambda row: None, flux.patience(lambda row: True, 9)]) == 5


@dataclasses.dataclass
class Heavy:
    eta: float = 0.1

    def init(self, x):
        return flux.zeros_like(x)

    def apply(self, state, x, dx):
        state = 0.5 * state + self.eta * dx
        return state, state


@pytest.mark.parametrize("rule", [Heavy(), flux.OptimiserChain(flux.ClipNorm(), Heavy())], ids=repr)
def test_runs_with_rules_of_ones_own_are_resumed(tmp_path, rule):
    def run(epochs, path):
        model = one()
        flux.fit(square, model, [ZERO], rule, epochs=epochs, checkpoint=path, resume=True)
        return model["w"].item()

    whole = run(4, tmp_path / "whole")
    run(2, tmp_path / "part")
    assert run(4, tmp_path / "part") == whole


# Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def slowly(monkeypatch):
    """A clock on which a second passes whenever it is asked."""
    seconds = count()
    monkeypatch.setattr(progress.time, "perf_counter", lambda: float(next(seconds)))


def test_the_bar_shows_loss_metrics_and_rate(slowly, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    flux.fit(square, one(), [ZERO] * 3, flux.Descent(0.25), epochs=2, validation=[ZERO], progress=True)
    text = terminal.getvalue()
    assert "epoch 2/2" in text and "6/6" in text and "batch/s" in text
    assert "loss=1" in text and "val_loss=0.0156" in text and "val_loss=0.000244" in text


def test_nothing_is_shown_where_nobody_watches(monkeypatch, capfd):
    flux.fit(square, one(), [ZERO] * 3, flux.Descent(0.25))
    flux.train(square, one(), [ZERO] * 3, flux.setup(flux.Descent(0.25), one()))
    assert capfd.readouterr() == ("", "")
    # What is soon over shows nothing in a terminal either.
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    flux.fit(square, one(), [ZERO] * 3, flux.Descent(0.25))
    assert terminal.getvalue().strip() == ""


def test_a_notebook_is_a_place_where_somebody_watches(monkeypatch):
    shell = type("ZMQInteractiveShell", (), {})()
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    made, now = [], [100.0]
    monkeypatch.setattr(progress.time, "time", lambda: now[0])

    class Notebook(tqdm.tqdm):
        def __init__(self, **options):
            super().__init__(file=io.StringIO(), **options)
            made.append(self)

    monkeypatch.setitem(sys.modules, "tqdm.auto", types.SimpleNamespace(tqdm=Notebook))
    with progress.Bar("fit", False, total=3) as bar:
        now[0] = 102.0
        bar.draw(1)
    assert not made
    with progress.Bar("fit", None, total=3) as bar:
        bar.draw(1)
        assert not made  # until it has lasted a second
        now[0] = 104.0
        bar.draw(2)
    assert (made[0].total, made[0].n, made[0].start_t) == (3, 2, 102.0)


def test_a_bar_without_tqdm(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(ImportError, match=r"fit: progress=True needs tqdm: pip install 'oxiflux\[train\]'"):
        flux.fit(square, one(), [ZERO], flux.Descent(0.25), progress=True)
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert len(flux.fit(square, one(), [ZERO], flux.Descent(0.25))) == 1


def test_the_bar_is_drawn_a_few_times_a_second(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(sys, "stderr", Terminal())
    drawn = []
    with progress.Bar("train", True, total=None) as bar:
        for n in range(1, 100_001):
            clock[0] += 1e-4
            if n == bar.due:
                bar.show(n)
                drawn.append(clock[0])
    assert 40 <= len(drawn) <= 80
    assert max(np.diff(drawn)) < 0.3


# The table

TABLE = History([{"epoch": 1, "loss": 0.5, "val_loss": 1 / 3}, {"epoch": 2, "loss": 1e-7, "val_loss": 2.0}])


def test_the_table_as_text():
    assert repr(TABLE) == textwrap.dedent("""\
        epoch   loss  val_loss
            1    0.5    0.3333
            2  1e-07         2""")
    assert repr(History(TABLE.rows, interrupted=True)).endswith("2\ninterrupted")
    long = History([{"epoch": i} for i in range(1, 31)])
    assert len(repr(long).splitlines()) == 22 and "…" in repr(long)


def test_the_table_in_a_notebook():
    html = TABLE._repr_html_()
    assert html.startswith("<table>") and html.count("<tr>") == 3 and "<th>val_loss</th>" in html
    assert History()._repr_html_().startswith("<table>")
    assert "&lt;b&gt;" in History([{"<b>": 1}])._repr_html_()


def test_the_table_is_a_sequence_of_rows_with_columns():
    assert TABLE["loss"] == [0.5, 1e-7] and TABLE[0] == TABLE.rows[0] and len(TABLE[:1]) == 1
    assert [row["epoch"] for row in TABLE] == [1, 2] and TABLE == History(TABLE.rows) != History()
    with pytest.raises(KeyError, match="no column 'accuracy', only epoch, loss, val_loss"):
        TABLE["accuracy"]
    with pytest.raises(IndexError):
        TABLE[2]


def test_a_column_that_a_row_lacks_is_nan_there():
    table = History([{"epoch": 1}, {"epoch": 2, "extra": 3.0}])
    assert np.isnan(table["extra"][0]) and table["extra"][1] == 3.0


def test_the_table_as_a_frame():
    frame = TABLE.to_pandas()
    assert frame.index.name == "epoch" and frame["val_loss"].tolist() == [1 / 3, 2.0]
    assert len(History().to_pandas()) == 0


def test_the_table_as_a_plot():
    ax = TABLE.plot()
    assert [line.get_label() for line in ax.lines] == ["loss", "val loss"] and ax.get_yscale() == "log"
    assert ax.lines[1].get_ydata().tolist() == [1 / 3, 2.0]
    again = TABLE.plot("epoch", ax=TABLE.plot("loss"))
    assert len(again.lines) == 2
    assert History([{"epoch": 1, "loss": -1.0}]).plot().get_yscale() == "linear"
    mpl.pyplot.close("all")


@pytest.mark.parametrize(
    ("name", "call", "extra"), [("pandas", "to_pandas", "pandas"), ("matplotlib.pyplot", "plot", "oxiflux")]
)
def test_what_is_not_installed_says_what_to_install(monkeypatch, name, call, extra):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=f"pip install .*{extra}"):
        getattr(TABLE, call)()


# Logs


class Writer:
    def __init__(self):
        self.lines = []

    def add_scalar(self, name, value, step):
        self.lines.append((name, value, step))


def test_every_number_of_a_row_is_logged_at_its_step():
    writer = Writer()
    history = flux.fit(square, one(), [ZERO] * 3, flux.Descent(0.25), epochs=2, validation=[ZERO], log=writer)
    names = ["loss", "val_loss", "seconds"]
    assert writer.lines == [(name, row[name], row["step"]) for row in history for name in names]


def test_a_path_is_logged_to_by_tensorboardx(tmp_path):
    pytest.importorskip("tensorboardX")
    flux.fit(square, one(), [ZERO], flux.Descent(0.25), epochs=2, log=tmp_path / "run")
    (file,) = (tmp_path / "run").iterdir()
    assert b"loss" in file.read_bytes()


def test_a_path_without_tensorboardx_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r"tensorboardX: pip install 'oxiflux\[train\]'"):
        flux.fit(square, one(), [ZERO], flux.Descent(0.25), log=os.fspath(tmp_path))


def test_the_loss_and_what_is_beside_it_weigh_batches_by_their_items():
    batches = [np.float32([1, 1, 1]), np.float32([5])]
    loss = lambda m, x: (m["w"].sum() * 0 + x.mean(), {"given": float(x.mean())})
    history = flux.fit(loss, {"w": flux.ones(1)}, batches, flux.Descent(0.0), validation=batches)
    assert history["loss"] == history["val_loss"] == history["given"] == [2.0]


@pytest.mark.parametrize("pair", [tuple, list])
def test_lists_of_arrays_are_spread_as_tuples_are(pair):
    batches = [pair([np.ones((2, 3), np.float32), np.zeros((2, 1), np.float32)])] * 2
    loss = lambda m, x, y: flux.mse(m(x), y)
    model = flux.Dense(3, 1)
    state = flux.setup(flux.Descent(), model)
    history = flux.fit(loss, model, batches, state, validation=batches, metrics={"n": lambda m, x, y: len(x)})
    assert history["val_n"] == [2]
    flux.train(loss, model, batches, state)
    flux.trainstep(loss, model, batches[0], state)


def test_a_list_of_arrays_is_one_argument_where_the_loss_takes_one():
    model = {"w": flux.ones(1)}
    seen = []
    loss = lambda m, items: (seen.append(len(items)), (m["w"] * items[1]).sum())[1]
    flux.train(
        loss, model, [[np.ones(1, np.float32), np.ones(1, np.float32)]], flux.setup(flux.Descent(), model)
    )
    assert seen == [2]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"batch_size": 32}, r"argument 'batch_size'; DataLoader\(data, 32\)"),
        ({"lr": 0.1}, "argument 'lr'; it is the rule's"),
        ({"validation_data": ()}, "argument 'validation_data'; did you mean 'validation'"),
        ({"epoch": 3}, "argument 'epoch'; did you mean 'epochs'"),
        ({"verbose": 1}, "argument 'verbose'; did you mean 'progress'"),
        ({"callback": ()}, "argument 'callback'; did you mean 'callbacks'"),
        ({"anything": 1}, "unexpected keyword argument 'anything'"),
    ],
)
def test_keywords_of_other_libraries_are_told_ours(options, said):
    with pytest.raises(TypeError, match=said):
        flux.fit(square, one(), [[0.0]], flux.Descent(), **options)


@pytest.mark.parametrize("run", [flux.train, flux.fit, flux.trainstep])
def test_a_model_in_the_place_of_the_loss_is_an_error(run):
    model = flux.Dense(1, 1)
    name = run.__name__
    with pytest.raises(TypeError, match=rf"{name}: the loss comes before the model: {name}\(loss, model"):
        run(model, lambda m, x: m(x).sum(), [np.ones((1, 1))], flux.setup(flux.Descent(), model))


def test_a_metric_that_gives_an_array_is_named_with_its_shape():
    x = np.ones((3, 1), np.float32)
    with pytest.raises(
        TypeError, match=r"fit: the metric hits must be a number, got an array of shape \(3, 1\)"
    ):
        flux.fit(lambda m, x: m(x).sum(), flux.Dense(1, 1), [x], flux.Descent(), validation=[x],
                 metrics={"hits": lambda m, x: m(x)})  # fmt: skip
