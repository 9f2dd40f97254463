"""Metrics in `fit`, `evaluate` and `predict`: over whole epochs, from data of every form."""

import functools
import math
import threading

import numpy as np
import pytest
from sklearn import metrics as theirs

import oxiflux as flux
from oxiflux import metrics


def cross(model, x, y):
    return flux.logitcrossentropy(model(x), y)


def data(n=101, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4)).astype(np.float32)
    return x, (x[:, :classes].argmax(axis=1) + (rng.random(n) < 0.2)) % classes


def model_of(classes=3, seed=0):
    flux.seed(seed)
    return flux.Chain(flux.Dense(4, 8, flux.tanh), flux.Dropout(0.5), flux.Dense(8, classes))


def still(model, validation, metric_names, **options):
    """What `fit` measures of a model that it does not change."""
    train = options.pop("train", [data(8)])
    loss = options.pop("loss", cross)
    return flux.fit(
        loss, model, train, flux.Descent(0.0), validation=validation, metrics=metric_names, **options
    )


# In fit


def test_metrics_are_of_the_whole_epoch_and_no_averages_of_batches():
    model, (x, y) = model_of(), data()
    loader = flux.DataLoader((x, y), 7)  # 15 batches, the last of 3
    names = ["accuracy", "f1", "auc", "topk", "precision", "recall"]
    with pytest.warns(UserWarning, match="always among"):
        history = still(model, loader, names)
    assert history.columns == ["epoch", "step", "loss", "val_loss", *(f"val_{n}" for n in names), "seconds"]
    logits = model(x).numpy()
    chosen = logits.argmax(axis=1)
    p = np.exp(logits.astype(float))
    p /= p.sum(axis=1, keepdims=True)
    row = history[0]
    assert row["val_accuracy"] == pytest.approx(theirs.accuracy_score(y, chosen), rel=1e-12)
    assert row["val_f1"] == pytest.approx(theirs.f1_score(y, chosen, average="macro"), rel=1e-12)
    assert row["val_auc"] == pytest.approx(theirs.roc_auc_score(y, p, multi_class="ovr"), rel=1e-9)
    assert row["val_recall"] == pytest.approx(theirs.recall_score(y, chosen, average="macro"), rel=1e-12)
    # An average over batches is another number, so that this test can tell.
    parts = [
        theirs.f1_score(b, a.argmax(1), average="macro")
        for a, b in ((model(x).numpy(), y) for x, y in loader)
    ]
    assert abs(np.mean(parts) - row["val_f1"]) > 1e-3


def test_only_the_chosen_classes_are_kept_where_no_metric_needs_the_scores():
    from oxiflux.metrics.given import Chosen
    from oxiflux.training.meters import Meter, measures_of

    for names, kept in ((["accuracy", "f1"], Chosen), (["accuracy", "auc"], np.ndarray)):
        meter = Meter("fit", measures_of("fit", names), None)
        meter.add(model_of(), data(9))
        assert isinstance(meter.parts[0][0], kept)


def test_metrics_of_numbers_and_of_two_classes():
    x, _ = data(50)
    y = (x @ np.float32([[1.0], [2.0], [0.0], [-1.0]])).astype(np.float32)
    model = flux.Dense(4, 1)
    row = still(model, flux.DataLoader((x, y), 8), ["r2", "mae", "rmse"], loss=lambda m, x, y: flux.mse(m(x), y),
                train=[(x, y)])[0]  # fmt: skip
    p = model(x).numpy()
    assert row["val_r2"] == pytest.approx(theirs.r2_score(y, p), rel=1e-5)
    assert row["val_rmse"] == pytest.approx(row["val_loss"] ** 0.5, rel=1e-5)
    labels = (y > 0).astype(np.float32)
    row = still(model, flux.DataLoader((x, labels), 8), ["accuracy", "auc"], train=[(x, labels)],
                loss=lambda m, x, y: flux.logitbinarycrossentropy(m(x), y))[0]  # fmt: skip
    assert row["val_accuracy"] == np.mean((p > 0) == (labels == 1))
    assert row["val_auc"] == pytest.approx(theirs.roc_auc_score(labels, p), rel=1e-9)


def test_without_validation_data_the_batches_of_the_epoch_are_measured_before_their_steps():
    seen, (x, y) = [], data(20)
    model = model_of()

    class Before(flux.Callback):
        def on_epoch_begin(self, run):
            seen.append(model(x[:10]).numpy())

        def on_step_end(self, run):
            if run.step % 2:
                seen.append(model(x[10:]).numpy())

    batches = [(x[:10], y[:10]), (x[10:], y[10:])]
    history = flux.fit(
        cross, model, batches, flux.Adam(0.1), epochs=3, metrics="accuracy", callbacks=Before()
    )
    assert history.columns == ["epoch", "step", "loss", "accuracy", "seconds"]
    for epoch in range(3):
        logits = np.concatenate(seen[2 * epoch : 2 * epoch + 2])
        assert history["accuracy"][epoch] == np.mean(logits.argmax(axis=1) == y)


def test_metrics_without_validation_data_change_no_training():
    weights = []
    for names in ((), ["accuracy", "auc"]):
        model = model_of()
        flux.fit(
            cross, model, flux.DataLoader(data(), 16, shuffle=True), flux.Adam(0.01), epochs=2, metrics=names
        )
        weights.append([w.tolist() for w in flux.trainables(model)])
    assert weights[0] == weights[1]


def test_a_metric_has_options_and_other_names_and_ones_own_are_seen_once_an_epoch():
    model, (x, y) = model_of(), data(30)
    calls = []

    def worst(predicted, target):
        calls.append((predicted.shape, target.shape))
        return predicted.max()

    def kappa(y_true, y_pred):
        return theirs.cohen_kappa_score(y_true, y_pred.argmax(axis=1))

    lopsided = metrics.whole(lambda *args: args[0].shape[0])
    given = {
        "top2": functools.partial(metrics.topk, k=2),
        "micro": functools.partial(metrics.f1, average="micro"),
        "acc": "accuracy", "worst": worst, "kappa": kappa, "n": lopsided,
        "batch": lambda m, x, y: len(x),
    }  # fmt: skip
    row = still(model, flux.DataLoader((x, y), 8), given)[0]
    logits = model(x).numpy()
    assert calls == [((30, 3), (30,))]
    assert row["val_top2"] == theirs.top_k_accuracy_score(y, logits, k=2)
    assert row["val_micro"] == pytest.approx(row["val_acc"]) and row["val_worst"] == logits.max()
    assert row["val_kappa"] == theirs.cohen_kappa_score(y, logits.argmax(axis=1))
    assert row["val_n"] == 30 and row["val_batch"] == (8 * 8 * 3 + 6 * 6) / 30


def test_metrics_of_scikit_learn_get_the_target_first():
    x, y = data(20)[0], data(20)[0][:, :1]
    shifted = lambda x: x[:, :1] * 2
    found = flux.evaluate(shifted, (x, y), [theirs.r2_score, theirs.mean_squared_error])
    assert found["r2_score"] == pytest.approx(theirs.r2_score(y, y * 2))
    assert theirs.r2_score(y * 2, y) != pytest.approx(theirs.r2_score(y, y * 2))


def test_outputs_say_what_is_predicted_and_weighed():
    model, (x, y) = model_of(), data(30)
    w = np.random.default_rng(1).random(30)
    batches = flux.DataLoader({"x": x, "y": y, "w": w}, 8)
    loss = lambda m, batch: cross(m, batch["x"], batch["y"])
    outputs = lambda m, batch: (m(batch["x"]), batch["y"], batch["w"])
    row = still(model, batches, ["accuracy", "f1"], loss=loss, train=batches, outputs=outputs)[0]
    chosen = model(x).numpy().argmax(axis=1)
    assert row["val_accuracy"] == pytest.approx(theirs.accuracy_score(y, chosen, sample_weight=w))
    assert row["val_f1"] == pytest.approx(theirs.f1_score(y, chosen, average="macro", sample_weight=w))
    for bad, words in [
        (lambda m, batch: m(batch["x"]), "outputs must give"),
        (3, "outputs must be a function"),
        (lambda m, batch: (m(batch["x"]),) * 4, "outputs .* got a tuple of 4"),
    ]:
        with pytest.raises(TypeError, match=f"fit: {words}"):
            still(model, batches, ["accuracy"], loss=loss, train=batches, outputs=bad)
    with pytest.raises(TypeError, match=r"a batch has one part, a dict; give outputs=lambda model, batch:"):
        still(model, batches, ["accuracy"], loss=loss, train=batches)


def test_models_of_several_inputs_are_called_with_all_but_the_target():
    x, y = data(30)
    model = flux.Parallel(flux.add, flux.Dense(4, 3), flux.Dense(4, 3))
    loss = lambda m, a, b, y: flux.logitcrossentropy(m(a, b), y)
    row = still(model, flux.DataLoader((x, 2 * x, y), 8), ["accuracy"], loss=loss, train=[(x, x, y)])[0]
    assert row["val_accuracy"] == np.mean(model(x, 2 * x).numpy().argmax(axis=1) == y)


def test_what_metrics_cannot_be_made_of_is_an_error_that_names_it():
    model, (x, y) = model_of(), data(9)
    for given, error, words in [
        ("confusion", TypeError, r"the metric confusion must be a number, got an array of shape \(3, 3\)"),
        ([functools.partial(metrics.f1, average=None)], TypeError, "the metric f1 must be a number"),
        (["f1", metrics.f1], ValueError, "different names"),
        ({"seconds": "f1"}, ValueError, "there is a column seconds already"),
        (["mae"], flux.ShapeError, r"mae: prediction \(9, 3\) and target \(9,\)"),
    ]:
        with pytest.raises(error, match=words):
            still(model, (x, y), given)
    with pytest.raises(TypeError, match="the model gives a tuple of 2, and metrics are of one array"):
        flux.evaluate(lambda x: (model(x), x), (x, y), "accuracy")


def test_a_model_that_has_become_nan_gives_nan():
    model, (x, y) = model_of(), data(9)
    broken = lambda x: model(x) * math.nan
    found = flux.evaluate(broken, (x, y), ["accuracy", "f1", "auc"])
    assert all(math.isnan(number) for number in found.values())


def test_a_buffer_that_is_written_again_does_not_mix_up_the_targets():
    model, (x, y) = model_of(), data(40)
    row = still(model, flux.DataLoader((x, y), 8, buffer=True), ["accuracy", "auc"])[0]
    assert row["val_accuracy"] == np.mean(model(x).numpy().argmax(axis=1) == y)
    assert row["val_auc"] == pytest.approx(metrics.auc(model(x), y))


def test_sequences_of_different_lengths_are_measured_item_by_item():
    rng = np.random.default_rng(0)
    batches = [(rng.normal(size=(2, t, 3)), rng.integers(0, 3, (2, t))) for t in (4, 7)]
    found = flux.evaluate(lambda x: x, batches, ["accuracy"])
    hits = [x.argmax(axis=-1) == y for x, y in batches]
    assert found["accuracy"] == sum(h.sum() for h in hits) / sum(h.size for h in hits)


# evaluate


@pytest.mark.parametrize("batchsize", [1, 7, 1000])
def test_evaluate_gives_the_same_whatever_the_batches(batchsize):
    model, (x, y) = model_of(), data()
    found = flux.evaluate(model, (x, y), ["accuracy", "auc", "confusion"], loss=cross, batchsize=batchsize)
    assert list(found) == ["loss", "accuracy", "auc", "confusion"]
    assert found["accuracy"] == metrics.accuracy(model(x), y)
    assert found["auc"] == pytest.approx(metrics.auc(model(x), y), rel=1e-6)
    np.testing.assert_array_equal(found["confusion"], metrics.confusion(model(x), y))
    assert found["loss"] == pytest.approx(cross(model, x, y).item(), rel=1e-5)
    assert flux.evaluate(model, flux.DataLoader((x, y), batchsize), "accuracy") == {
        "accuracy": found["accuracy"]
    }


def test_what_evaluate_refuses():
    model, (x, y) = model_of(), data(9)
    for call, error, words in [
        (lambda: flux.evaluate(model, (x, y)), ValueError, "evaluate: there is nothing to measure"),
        (lambda: flux.evaluate(model, [], "accuracy"), ValueError, "evaluate: the data has no batches"),
        (
            lambda: flux.evaluate(model, (x[:0], y[:0]), "accuracy"),
            ValueError,
            "evaluate: the data has no batches",
        ),
        (lambda: flux.evaluate((x, y), model, "accuracy"), TypeError, "evaluate: the model comes first"),
        (
            lambda: flux.evaluate(model, (x, y), "accuracy", batchsize=0),
            ValueError,
            "batchsize must be at least 1",
        ),
        (lambda: flux.evaluate(model, (x, y), "acc"), ValueError, "evaluate: there is no metric acc"),
        (lambda: flux.evaluate(model, (x, y), loss=3), TypeError, "evaluate: loss must be a function"),
        (
            lambda: flux.evaluate(model, (x, y[:3]), "accuracy"),
            flux.ShapeError,
            "differ in their number of items",
        ),
    ]:
        with pytest.raises(error, match=words):
            call()


# predict


@pytest.mark.parametrize("batchsize", [1, 7, 1000])
def test_predict_gives_the_outputs_of_all_items_in_test_mode(batchsize):
    model, (x, y) = model_of(), data()
    expected = model(x).numpy()
    for given in (
        x,
        flux.tensor(x),
        x.tolist(),
        flux.DataLoader((x, y), batchsize),
        flux.DataLoader(x, 9),
        [(x, y)],
    ):
        found = flux.predict(model, given, batchsize=batchsize)
        assert isinstance(found, flux.Tensor)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    training = flux.trainmode(model_of())
    np.testing.assert_allclose(flux.predict(training, x, batchsize=batchsize), expected, rtol=1e-5, atol=1e-6)
    assert training[1].active is True


def test_predict_of_frames_streams_several_inputs_and_outputs_of_every_form():
    pd = pytest.importorskip("pandas")
    model, (x, _) = model_of(), data(20)
    expected = model(x).numpy()
    np.testing.assert_allclose(
        flux.predict(model, pd.DataFrame(x), batchsize=8), expected, rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(
        flux.predict(model, (x[i : i + 5] for i in range(0, 20, 5))), expected, rtol=1e-5, atol=1e-6
    )
    both = flux.Parallel(flux.add, flux.Dense(4, 3), flux.Dense(4, 3))
    np.testing.assert_allclose(flux.predict(both, (x, x), batchsize=8), both(x, x), rtol=1e-5)
    found = flux.predict(lambda x: {"a": model(x), "b": (x, [x])}, flux.tensor(x), batchsize=8)
    assert found["a"].shape == (20, 3) and found["b"][0].shape == (20, 4) and type(found["b"][1]) is list


def test_predict_records_nothing_and_no_items_have_no_outputs():
    model, (x, _) = model_of(), data(20)
    grads = flux.gradient(lambda m: m(x).sum() + flux.predict(m, x).sum(), model)[0]
    assert flux.predict(model, x[:0]).shape == (0, 3)
    assert grads.layers[0].weight is not None
    with pytest.raises(ValueError, match="predict: the data has no batches"):
        flux.predict(model, iter([]))
    with pytest.raises(
        TypeError, match="predict: the data are 2 inputs, .* give the inputs without the targets"
    ):
        flux.predict(flux.Dense(4, 3), (x, np.zeros(20)))
    with pytest.raises(
        TypeError, match="predict: the model must give an array with the items on its first axis"
    ):
        flux.predict(lambda x: flux.sum(x), x, batchsize=8)
    with pytest.raises(TypeError, match="predict: the model comes first"):
        flux.predict(x, model)


def test_an_error_of_the_model_leaves_the_modes_as_they_were():
    model = flux.trainmode(model_of())
    with pytest.raises(flux.ShapeError):
        flux.predict(model, np.zeros((4, 9)))
    assert model[1].active is True


def test_threads_may_predict_with_one_model():
    model, (x, _) = model_of(), data(300)
    expected, found = model(x).numpy(), []

    def work():
        found.extend(flux.predict(model, x, batchsize=16).numpy() for _ in range(10))

    threads = [threading.Thread(target=work) for _ in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert len(found) == 40 and model[1].active is None
    for y in found:
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


# Weights of classes


def weighted(m, x, y, weight=None):
    return flux.logitcrossentropy(m(x), y, weight=weight)


@pytest.mark.parametrize(
    ("given", "weight"),
    [([1.0, 2.0, 0.5], [1.0, 2.0, 0.5]), ({2: 3, 0: 1, 1: 2}, [1, 2, 3]), ("balanced", None)],
)
def test_weights_of_classes_reach_the_loss_in_steps_alone(given, weight):
    x, y = data(60)
    if weight is None:
        counts = np.bincount(y)
        weight = (60 / (3 * counts)).tolist()
    model = flux.Chain(flux.Dense(4, 3))
    expected = [weighted(model, x, y, weight=weight).item(), weighted(model, x, y).item()]
    loader = flux.DataLoader((x, y), 60)
    history = flux.fit(weighted, model, loader, flux.Descent(0.0), validation=(x, y), class_weight=given)
    assert [history["loss"][0], history["val_loss"][0]] == pytest.approx(expected, rel=1e-5)
    one_hot = flux.DataLoader((x, np.eye(3, dtype=np.float32)[y]), 60)
    again = flux.fit(lambda m, x, y, weight: weighted(m, x, y.argmax(axis=1), weight), model, one_hot,
                     flux.Descent(0.0), class_weight=given)  # fmt: skip
    assert again["loss"] == pytest.approx(history["loss"], rel=1e-5)


@pytest.mark.parametrize(
    ("given", "loss", "error", "words"),
    [
        (
            [1, 2, 3],
            cross,
            TypeError,
            "its keyword weight, which it does not take; write lambda m, x, y, weight=None",
        ),
        ("even", weighted, ValueError, "must be 'balanced' or a number for each class, got 'even'"),
        ({0: 1, 2: 1}, weighted, ValueError, r"a number for each class, 0 to 1, got \[0, 2\]"),
        ([1, -1, 1], weighted, ValueError, "finite numbers that are not negative"),
        ([[1.0]], weighted, ValueError, "must be a number for each class"),
        ([1, 2], weighted, flux.ShapeError, "weight must be a number for each of 3 classes"),
    ],
)
def test_weights_of_classes_that_cannot_be(given, loss, error, words):
    with pytest.raises(error, match=words):
        flux.fit(loss, model_of(), flux.DataLoader(data(9), 3), flux.Descent(), class_weight=given)


def test_balance_needs_labels_that_can_be_counted():
    x, y = data(9)
    with pytest.raises(TypeError, match=r"class_weight='balanced' counts the labels of a DataLoader"):
        flux.fit(weighted, model_of(), [(x, y)], flux.Descent(), class_weight="balanced")
    missing = flux.DataLoader((x, np.where(y == 1, 2, y)), 3)
    with pytest.raises(ValueError, match="class 1 does not occur"):
        flux.fit(weighted, model_of(), missing, flux.Descent(), class_weight="balanced")
