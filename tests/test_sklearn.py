"""The estimators of `oxiflux.sklearn`, as users of scikit-learn use estimators."""

import copy
import functools
import gc
import math
import pickle
import subprocess
import sys
import threading
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_digits, load_iris, make_classification, make_multilabel_classification
from sklearn.ensemble import BaggingRegressor, VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

import oxiflux as flux
from oxiflux.sklearn import FluxClassifier, FluxRegressor


def test_scikit_learn_is_imported_when_the_estimators_are_named():
    code = """if True:
        import sys, oxiflux
        print("sklearn" in sys.modules, "oxiflux.sklearn" in sys.modules)
        print(oxiflux.sklearn.FluxClassifier(), "sklearn" in sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\nFluxClassifier() True\n"


def test_without_scikit_learn_the_error_says_what_to_install():
    code = "import sys; sys.modules['sklearn'] = None; import oxiflux.sklearn"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ImportError: oxiflux.sklearn needs scikit-learn: pip install 'oxiflux[sklearn]'" in done.stderr


# Data


def iris():
    X, y = load_iris(return_X_y=True)
    return (X - X.mean(axis=0)) / X.std(axis=0), np.array(["setosa", "versicolor", "virginica"])[y]


def classifier(**options):
    options = {"rule": flux.Adam(0.02), "epochs": 20, "batchsize": 32, "random_state": 0} | options
    return FluxClassifier(options.pop("model", (16,)), **options)


def regressor(**options):
    options = {"rule": flux.Adam(0.02), "epochs": 20, "batchsize": 32, "random_state": 0} | options
    return FluxRegressor(options.pop("model", (16,)), **options)


X, NAMES = iris()
TARGETS = np.stack([X[:, 0] + X[:, 1] ** 2, X[:, 2] * X[:, 3]], axis=1)
COLUMNS = ["a", "b", "c", "d"]


def weights_of(estimator):
    return [w.numpy().copy() for w in flux.trainables(estimator.model_)]


def assert_same(one, other):
    """Fitted estimators with the same bits."""
    for a, b in zip(weights_of(one), weights_of(other), strict=True):
        np.testing.assert_array_equal(a, b)


def test_classes_may_be_strings():
    fitted = classifier().fit(X, NAMES)
    assert fitted.classes_.tolist() == ["setosa", "versicolor", "virginica"]
    assert set(fitted.predict(X)) == set(NAMES) and fitted.score(X, NAMES) > 0.9


@pytest.mark.parametrize(
    "y",
    [
        NAMES.astype(object), NAMES.tolist(), pd.Series(NAMES), pd.Series(NAMES, dtype="category"), pl.Series(NAMES),
        pd.Series(NAMES, dtype="string"),
    ],
    ids=["objects", "list", "pandas", "categories", "polars", "strings of pandas"],
)  # fmt: skip
def test_classes_in_any_container_are_the_same(y):
    fitted = classifier(epochs=2).fit(X, y)
    assert_same(fitted, classifier(epochs=2).fit(X, NAMES))
    assert fitted.classes_.tolist() == sorted(set(NAMES))


@pytest.mark.parametrize(
    "y", [NAMES == "setosa", np.where(NAMES == "setosa", -1, 1)], ids=["bool", "minus one"]
)
def test_two_classes_are_given_back_as_they_came(y):
    fitted = classifier().fit(X, y)
    assert fitted.predict(X).dtype == y.dtype and fitted.score(X, y) == 1.0
    assert fitted.predict_proba(X).shape == (150, 2)


def test_probabilities_add_up_to_one_in_float64():
    fitted = classifier(epochs=2).fit(X, NAMES)
    probabilities = fitted.predict_proba(X)
    assert probabilities.dtype == np.float64
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-15)
    np.testing.assert_allclose(fitted.predict_log_proba(X), np.log(probabilities), rtol=1e-12)
    assert (fitted.classes_[probabilities.argmax(axis=1)] == fitted.predict(X)).all()
    np.random.default_rng(0).choice(3, p=probabilities[0])  # which asks for a sum of 1 to eight digits


def test_log_probabilities_are_finite_where_probabilities_are_too_small():
    fitted = classifier(epochs=2).fit(X, NAMES)
    far = X * 1e6
    assert (fitted.predict_proba(far) == 0).any() and np.isfinite(fitted.predict_log_proba(far)).all()


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame], ids=["pandas", "polars"])
def test_frames_give_their_names(frame):
    rows = frame(dict(zip(COLUMNS, X.T, strict=True)))
    for fitted, y in ((classifier().fit(rows, NAMES), NAMES), (regressor().fit(rows, TARGETS), TARGETS)):
        assert fitted.feature_names_in_.tolist() == COLUMNS and fitted.n_features_in_ == 4
        fitted.score(rows, y)
        with pytest.raises(ValueError, match="feature names should match"):
            fitted.predict(rows[COLUMNS[::-1]])
        with pytest.warns(UserWarning, match="valid feature names"):
            fitted.predict(X)


def test_a_frame_of_mixed_numbers_is_that_of_its_values():
    rows = pd.DataFrame({"a": X[:, 0], "b": (X[:, 1] > 0), "c": (X[:, 2] * 10).astype("int8")})
    rows["d"] = pd.array(range(150), dtype="Int64")
    fitted = regressor(epochs=1).fit(rows, TARGETS)
    assert_same(fitted, regressor(epochs=1).fit(rows.to_numpy(dtype=float), TARGETS))
    rows.loc[3, "d"] = pd.NA
    with pytest.raises(ValueError, match="NaN"):
        fitted.predict(rows)


@pytest.mark.parametrize(
    "make", [sp.csr_matrix, sp.csc_array, sp.coo_array, sp.lil_matrix, sp.dok_array, sp.bsr_array]
)
def test_sparse_rows_are_those_of_the_dense_matrix(make):
    rows = np.where(abs(X) < 0.5, 0, X)
    dense = classifier(epochs=3, early_stopping=True).fit(rows, NAMES, np.arange(150))
    sparse = classifier(epochs=3, early_stopping=True).fit(make(rows), NAMES, np.arange(150))
    assert_same(dense, sparse)
    np.testing.assert_array_equal(dense.predict_proba(rows), sparse.predict_proba(make(rows)))


def test_wide_sparse_rows_are_never_dense_all_at_once():
    code = """if True:
        import resource
        import numpy as np, scipy.sparse as sp
        from oxiflux.sklearn import FluxRegressor
        rows = sp.random_array((2000, 200_000), density=1e-4, format="csr", rng=0)  # 1.6 GB as a dense matrix
        size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + 2**30, size + 2**30))
        fitted = FluxRegressor((2,), epochs=1, batchsize=100).fit(rows, np.arange(2000) / 2000)
        print(fitted.predict(rows).shape)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "(2000,)\n", done.stderr


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int8, np.uint64, bool])
def test_rows_of_any_dtype_are_their_numbers(dtype):
    rows = np.clip(X * 3, 0, 10).astype(dtype)
    assert_same(regressor(epochs=1).fit(rows, TARGETS), regressor(epochs=1).fit(rows.astype(float), TARGETS))


@pytest.mark.parametrize("rows", [np.asfortranarray(X), np.repeat(X, 2, axis=0)[::2], X[::-1][::-1]])
def test_rows_need_not_lie_in_order(rows):
    assert_same(regressor(epochs=2).fit(rows, TARGETS), regressor(epochs=2).fit(X, TARGETS))


def test_given_arrays_stay_as_they_are():
    rows, targets, weight = X.astype(np.float32), TARGETS.copy(), np.arange(150.0)
    before = rows.copy(), targets.copy(), weight.copy()
    fitted = regressor().fit(rows, targets, weight)
    fitted.predict(rows)[:] = 0
    for now, then in zip((rows, targets, weight), before, strict=True):
        np.testing.assert_array_equal(now, then)
    rows[:] = 0  # which the fitted model does not look at
    np.testing.assert_array_equal(fitted.predict(X), regressor().fit(before[0], *before[1:]).predict(X))


def test_predictions_can_be_written_to():
    fitted = classifier(epochs=1).fit(X, NAMES)
    for result in (
        fitted.predict(X),
        fitted.predict_proba(X),
        regressor(epochs=1).fit(X, TARGETS).predict(X),
    ):
        assert result.flags.writeable and result.flags.owndata


def test_a_prediction_does_not_depend_on_the_rows_beside_it():
    fitted = classifier(epochs=1).fit(X, NAMES)
    rows = np.tile(X, (60, 1))  # more than are taken at once
    np.testing.assert_array_equal(fitted.predict_proba(rows), np.tile(fitted.predict_proba(X), (60, 1)))
    np.testing.assert_array_equal(fitted.predict_proba(X[7:8]), fitted.predict_proba(X)[7:8])


@pytest.mark.parametrize("value", [1e39, -1e300])
def test_numbers_too_large_for_float32_are_refused(value):
    large = X.copy()
    large[3, 1] = value
    with pytest.raises(ValueError, match="FluxClassifier: X has a value that is too large for float32"):
        classifier().fit(large, NAMES)
    with pytest.raises(ValueError, match="FluxRegressor: y has a value that is too large for float32"):
        regressor().fit(X, large)
    with pytest.raises(ValueError, match="X has a value that is too large for float32"):
        classifier(epochs=1).fit(X, NAMES).predict(large)


def test_rows_of_one_batch_are_computed_in_float64():
    assert all(w.dtype == np.float64 for w in weights_of(classifier(batchsize=150, epochs=1).fit(X, NAMES)))
    assert all(w.dtype == np.float32 for w in weights_of(classifier(batchsize=149, epochs=1).fit(X, NAMES)))
    part = classifier(batchsize=500).partial_fit(X, NAMES, classes=np.unique(NAMES))
    assert all(w.dtype == np.float32 for w in weights_of(part))  # more rows will come


# Targets


@pytest.mark.parametrize(
    "y", [TARGETS, pd.DataFrame(TARGETS, columns=["u", "v"]), pl.DataFrame(TARGETS), TARGETS.tolist()]
)
def test_several_targets(y):
    fitted = regressor(epochs=150).fit(X, y)
    assert fitted.predict(X).shape == (150, 2) and fitted.score(X, TARGETS) > 0.95
    assert_same(fitted, regressor(epochs=150).fit(X, TARGETS))


def test_predictions_have_the_axes_of_the_targets():
    one = regressor(epochs=3).fit(X, TARGETS[:, 0])
    column = regressor(epochs=3).fit(X, TARGETS[:, :1])
    assert one.predict(X).shape == (150,) and column.predict(X).shape == (150, 1)
    np.testing.assert_array_equal(one.predict(X), column.predict(X)[:, 0])


def test_several_labels():
    rows, labels = make_multilabel_classification(300, random_state=0)
    rows = StandardScaler().fit_transform(rows)
    fitted = classifier(epochs=60).fit(rows, labels)
    probabilities = fitted.predict_proba(rows)
    assert fitted.classes_.tolist() == [0, 1, 2, 3, 4] and probabilities.shape == (300, 5)
    np.testing.assert_array_equal(fitted.predict(rows), probabilities > 0.5)
    np.testing.assert_allclose(fitted.predict_log_proba(rows), np.log(probabilities), rtol=1e-9, atol=1e-15)
    assert (fitted.predict(rows) == labels).mean() > 0.9
    assert_same(fitted, classifier(epochs=60).fit(rows, sp.csr_array(labels)))


def test_what_is_no_target_of_a_classifier_is_refused():
    with pytest.raises(
        ValueError, match=r"one column of classes or a matrix of labels.*got .* shape \(150, 2\)"
    ):
        classifier().fit(X, np.stack([np.arange(150) % 3, np.arange(150) % 4], axis=1))
    with pytest.raises(ValueError, match="continuous"):
        classifier().fit(X, TARGETS[:, 0])
    with pytest.raises(ValueError, match="NaN"):
        regressor().fit(X, np.where(X > 1, np.nan, X))


# Weights


@pytest.mark.parametrize("make", [classifier, regressor])
def test_weights_are_repetitions(make):
    y = NAMES if make is classifier else TARGETS
    times = np.arange(150) % 4
    weighted = make(epochs=30, batchsize=1000).fit(X, y, times)
    repeated = make(epochs=30, batchsize=1000).fit(X.repeat(times, axis=0), y.repeat(times, axis=0))
    for a, b in zip(weights_of(weighted), weights_of(repeated), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9)
    plain = make(epochs=30, batchsize=1000).fit(X, y)
    assert abs(weights_of(plain)[0] - weights_of(weighted)[0]).max() > 1e-3


def test_the_size_of_all_weights_does_not_matter():
    rule = flux.Descent(0.05)  # whose steps are as large as gradients are
    one = regressor(rule=rule).fit(X, TARGETS)
    np.testing.assert_allclose(
        one.predict(X), regressor(rule=rule).fit(X, TARGETS, np.full(150, 1e-3)).predict(X), rtol=1e-3
    )


def test_rows_without_weight_may_be_anything():
    far = np.vstack([X, np.full((1, 4), 1e30)])
    y, weight = np.append(NAMES, "other"), np.append(np.ones(150), 0)
    fitted = classifier().fit(far, y, weight)
    assert fitted.classes_.tolist() == sorted({*NAMES, "other"})
    assert np.isfinite(fitted.predict_proba(X)).all()


def test_class_weights_are_weights_of_rows():
    by_class = {"setosa": 1.0, "versicolor": 5.0, "virginica": 0.5}
    weight = np.array([by_class[name] for name in NAMES])
    assert_same(classifier(class_weight=by_class).fit(X, NAMES), classifier().fit(X, NAMES, weight))
    twice = classifier(class_weight=by_class).fit(X, NAMES, weight)
    for a, b in zip(weights_of(twice), weights_of(classifier().fit(X, NAMES, weight**2)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_balanced_classes_weigh_the_same_together():
    few = np.r_[0:50, 50:60, 100:105]
    share = {name: 65 / 3 / (NAMES[few] == name).sum() for name in set(NAMES)}
    balanced = classifier(class_weight="balanced").fit(X[few], NAMES[few])
    assert_same(balanced, classifier(class_weight=share).fit(X[few], NAMES[few]))
    times = np.where(NAMES == "setosa", 3, 1)  # as if each were there three times
    options = {"class_weight": "balanced", "batchsize": 1000}
    weighted = classifier(**options).fit(X, NAMES, times)
    repeated = classifier(**options).fit(X.repeat(times, axis=0), NAMES.repeat(times))
    for a, b in zip(weights_of(weighted), weights_of(repeated), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)


def test_balancing_finds_a_rare_class():
    rows, y = make_classification(2000, weights=[0.97], flip_y=0, class_sep=0.6, random_state=1)
    found = [
        classifier(class_weight=weight, epochs=5).fit(rows, y).predict(rows)[y == 1].mean()
        for weight in (None, "balanced")
    ]
    assert found[1] > found[0] + 0.1


def test_labels_are_weighted_by_dicts_for_each():
    rows, labels = make_multilabel_classification(200, n_classes=2, random_state=0)
    dicts = [{0: 1, 1: 3}, {0: 2, 1: 1}]
    weight = np.where(labels[:, 0], 3, 1) * np.where(labels[:, 1], 1, 2)
    assert_same(classifier(class_weight=dicts).fit(rows, labels), classifier().fit(rows, labels, weight))


@pytest.mark.parametrize(
    ("weight", "said"),
    [
        ({"setosa": -1.0, "versicolor": 1.0, "virginica": 1.0}, "weights must be 0 or more"),
        ({"setosa": math.nan, "versicolor": 1.0, "virginica": 1.0}, "weights must be 0 or more"),
        ({"rosa": 1.0}, "not in class_weight"),
        ("balance", "class_weight"),
    ],
)
def test_class_weights_that_cannot_be_are_refused(weight, said):
    with pytest.raises(ValueError, match=said):
        classifier(class_weight=weight).fit(X, NAMES)


@pytest.mark.parametrize("weight", [np.zeros(150), np.full(150, -1.0), np.full(150, np.inf), np.ones(149)])
def test_weights_of_rows_that_cannot_be_are_refused(weight):
    with pytest.raises(ValueError):
        regressor().fit(X, TARGETS, weight)


def test_weights_are_routed():
    weight = np.where(NAMES == "setosa", 5.0, 1.0)
    with sklearn.config_context(enable_metadata_routing=True):
        asking = classifier().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipeline = make_pipeline(scaler, asking).fit(X, NAMES, sample_weight=weight)
        scores = cross_validate(pipeline, X, NAMES, params={"sample_weight": weight}, cv=2)
    assert len(scores["test_score"]) == 2
    assert_same(pipeline[-1], classifier().fit(StandardScaler().fit_transform(X), NAMES, weight))
    assert {"fit", "partial_fit", "score"} <= set(vars(classifier().get_metadata_routing()))


# Models, losses and rules


def test_a_model_is_hidden_sizes_a_function_or_a_model():
    def make(features, outputs):
        return flux.Chain(flux.Dense(features, 16, flux.relu), flux.Dense(16, outputs))

    by_sizes = classifier(model=16).fit(X, NAMES)
    assert [type(layer).__name__ for layer in by_sizes.model_] == ["Dense", "Dense"]
    assert_same(by_sizes, classifier(model=make).fit(X, NAMES))
    assert weights_of(classifier(model=()).fit(X, NAMES))[0].shape == (4, 3)
    assert_same(classifier(model=flux.Dense).fit(X, NAMES), classifier(model=[]).fit(X, NAMES))


def test_a_copy_of_a_given_model_is_trained():
    model = flux.Chain(flux.Dense(4, 8, flux.tanh), flux.Dense(8, 3))
    before = [w.numpy().copy() for w in flux.trainables(model)]
    estimator = classifier(model=model)
    first, second = clone(estimator).fit(X, NAMES), estimator.fit(X, NAMES).fit(X, NAMES)
    assert estimator.model is model and first.score(X, NAMES) > 0.9
    for now, then in zip(flux.trainables(model), before, strict=True):
        np.testing.assert_array_equal(now.numpy(), then)
    assert_same(first, second)


def test_running_statistics_and_dropout_behave_as_in_training_and_then_as_in_use():
    def make(features, outputs):
        return flux.Chain(
            flux.Dense(features, 32),
            flux.BatchNorm(32, flux.relu),
            flux.Dropout(0.5),
            flux.Dense(32, outputs),
        )

    options = {"model": make, "batchsize": 149, "epochs": 60}  # the last batch would have a single row
    fitted = classifier(**options).fit(X, NAMES)
    assert fitted.history_[-1]["step"] == 60
    np.testing.assert_array_equal(fitted.predict_proba(X), fitted.predict_proba(X))
    assert fitted.score(X, NAMES) > 0.9
    assert_same(fitted, classifier(**options).fit(X, NAMES))


@pytest.mark.parametrize(
    "loss",
    [
        flux.crossentropy, flux.focal_loss, flux.nll_loss, flux.logitcrossentropy,
        functools.partial(flux.crossentropy, label_smoothing=0.1),
    ],
)  # fmt: skip
def test_a_loss_of_classes_ends_the_network_as_it_must(loss):
    fitted = classifier(loss=loss, epochs=60).fit(X, NAMES, np.ones(150))
    probabilities = fitted.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert fitted.score(X, NAMES) > 0.9
    np.testing.assert_allclose(np.exp(fitted.predict_log_proba(X)), probabilities, rtol=1e-5, atol=1e-30)


@pytest.mark.parametrize("loss", [flux.binarycrossentropy, flux.binary_focal_loss])
def test_a_loss_of_labels_ends_the_network_as_it_must(loss):
    rows, labels = make_multilabel_classification(200, random_state=0)
    fitted = classifier(loss=loss, epochs=60).fit(StandardScaler().fit_transform(rows), labels)
    probabilities = fitted.predict_proba(StandardScaler().fit_transform(rows))
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
    assert ((probabilities > 0.5) == labels).mean() > 0.85


def test_a_loss_of_ones_own_gets_outputs_and_targets():
    seen = []

    def pinball(yhat, y):
        seen.append((yhat.shape, y.shape))
        return flux.mean(flux.maximum(0.9 * (y - yhat), 0.1 * (yhat - y)))

    rows, noise = np.repeat(X, 8, axis=0), np.random.default_rng(0).normal(size=1200)
    fitted = regressor(loss=pinball, epochs=30).fit(rows, noise)
    assert seen[0] == ((32, 1), (32, 1))
    assert 0.85 < (noise < fitted.predict(rows)).mean() < 0.95
    with pytest.raises(TypeError, match="let it take agg=, as flux.mse does"):
        regressor(loss=pinball).fit(rows, noise, np.ones(1200))
    blind = lambda yhat, y, agg=flux.mean: flux.mse(yhat, y)
    with pytest.raises(flux.ShapeError, match=r"a number for each of 32 rows, got shape \(\)"):
        regressor(loss=blind).fit(rows, noise, np.ones(1200))


def test_a_rule_is_given_or_the_class_of_one():
    assert_same(classifier(rule=flux.AdamW).fit(X, NAMES), classifier(rule=flux.AdamW()).fit(X, NAMES))
    chain = flux.OptimiserChain(flux.ClipNorm(1.0), flux.Adam(0.02))
    assert classifier(rule=chain).fit(X, NAMES).score(X, NAMES) > 0.9
    frozen = classifier(rule=lambda path, x: None if path[-1] == "bias" else flux.Adam(0.02)).fit(X, NAMES)
    assert not weights_of(frozen)[1].any() and weights_of(frozen)[0].any()


def test_the_numbers_of_a_rule_are_parameters():
    estimator = FluxClassifier()
    assert estimator.get_params()["rule__eta"] == 0.001 and "rule__eta" not in estimator.get_params(
        deep=False
    )
    estimator.set_params(rule__eta=0.5, rule__beta=(0.8, 0.9))
    assert (estimator.rule.eta, estimator.rule.beta) == (
        0.5,
        (0.8, 0.9),
    ) and FluxClassifier().rule is flux.Adam
    given = flux.OptimiserChain(flux.ClipNorm(1.0), flux.Adam(0.02))
    changed = classifier(rule=given).set_params(rule__eta=0.1, epochs=3)
    assert changed.rule.rules[1].eta == 0.1 and given.rules[1].eta == 0.02 and changed.epochs == 3
    with pytest.raises(ValueError, match=r"Adam\(.*\) has no 'etta', only eta, beta, eps"):
        estimator.set_params(rule__etta=0.1)
    assert estimator.set_params(rule=flux.Descent, rule__eta=0.3).rule.eta == 0.3


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"model": "64"}, TypeError, "FluxClassifier: model must be the sizes of hidden layers"),
        ({"model": 6.5}, TypeError, "model must be the sizes of hidden layers"),
        ({"model": (8, 0)}, ValueError, "whole sizes of at least 1, got (8, 0)"),
        ({"model": (8, True)}, ValueError, "whole sizes of at least 1"),
        ({"model": lambda n, k: flux.Dense(n, 1)}, ValueError, "for 3 classes and rows of shape (2, 4)"),
        ({"model": lambda n, k: None}, TypeError, "model(4, 3) must give a model"),
        ({"model": lambda n, k: lambda x: 3}, TypeError, "the model must give a tensor, got a int"),
        ({"model": lambda n, k: lambda x: x[:, :3]}, TypeError, "it holds no tensors"),
        ({"model": flux.Dense(5, 3)}, ValueError, "expected 5 features"),
        ({"loss": "mse"}, TypeError, "FluxClassifier: loss must be a function"),
        ({"loss": lambda yhat, y: 3.0}, TypeError, "does not depend on any parameter"),
        ({"rule": "adam"}, TypeError, "'adam' is no rule"),
        ({"rule": None}, TypeError, "None is no rule"),
        ({"epochs": 0}, ValueError, "FluxClassifier: epochs must be at least 1, got 0"),
        ({"epochs": 1.5}, TypeError, "epochs must be a whole number, got 1.5"),
        ({"batchsize": True}, TypeError, "batchsize must be a whole number, got True"),
        ({"batchsize": -3}, ValueError, "batchsize must be at least 1, got -3"),
        ({"validation_fraction": 1}, ValueError, "validation_fraction must lie between 0 and 1"),
        ({"validation_fraction": "0.1"}, ValueError, "validation_fraction must lie between 0 and 1"),
        ({"early_stopping": 0.5}, ValueError, "early_stopping must be true, false, or a number of epochs"),
        ({"schedule": 0.1}, TypeError, "schedule of eta must be a function"),
        ({"callbacks": [3]}, TypeError, "callbacks must be functions"),
        ({"random_state": "seed"}, ValueError, "'seed' cannot be used to seed"),
    ],
)
def test_parameters_that_cannot_be_are_refused(options, error, said):
    estimator = classifier(**options)  # no error before fit
    with pytest.raises(error) as caught:
        estimator.fit(X, NAMES)
    assert said in str(caught.value)
    with pytest.raises(NotFittedError):
        estimator.predict(X)


# The training


def test_the_same_seed_gives_the_same_bits_with_any_number_of_threads():
    rows, y = load_digits(return_X_y=True)
    make = lambda: FluxClassifier((128, 64), epochs=2, random_state=3)
    threads = flux.get_num_threads()
    try:
        fitted = []
        for n in (1, 2, 3):
            flux.set_num_threads(n)
            fitted.append(make().fit(rows, y))
    finally:
        flux.set_num_threads(threads)
    assert_same(fitted[0], fitted[1])
    assert_same(fitted[0], fitted[2])
    other = make().set_params(random_state=4).fit(rows, y)
    assert not np.array_equal(weights_of(other)[0], weights_of(fitted[0])[0])


def test_a_generator_of_numpy_goes_on_from_fit_to_fit():
    state = np.random.RandomState(5)
    first, second = (classifier(random_state=state).fit(X, NAMES) for _ in range(2))
    assert not np.array_equal(weights_of(first)[0], weights_of(second)[0])
    state = np.random.RandomState(5)
    assert_same(first, classifier(random_state=state).fit(X, NAMES))


def test_the_numbers_of_others_are_not_drawn():
    flux.seed(1)
    expected = flux.rand(3).tolist()
    flux.seed(1)
    classifier().fit(X, NAMES)
    assert flux.rand(3).tolist() == expected
    with pytest.raises(ValueError):
        classifier(loss=lambda yhat, y: flux.logitcrossentropy(yhat, y) * math.nan).fit(X, NAMES)
    assert flux.default_generator() is not None and flux.rand(2).shape == (2,)
    flux.seed(1)
    assert flux.rand(3).tolist() == expected


def test_threads_fit_at_once_as_one_after_the_other():
    seeds = range(6)
    alone = [classifier(random_state=seed).fit(X, NAMES) for seed in seeds]
    together = [classifier(random_state=seed) for seed in seeds]
    threads = [threading.Thread(target=estimator.fit, args=(X, NAMES)) for estimator in together]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(alone, together, strict=True):
        assert_same(one, other)


def test_the_history_has_a_row_for_each_epoch():
    fitted = classifier(epochs=4, validation_fraction=0.2).fit(X, NAMES)
    assert fitted.history_.columns == ["epoch", "step", "loss", "val_loss", "seconds"]
    assert fitted.n_iter_ == len(fitted.history_) == 4 and fitted.history_["step"] == [4, 8, 12, 16]
    assert not hasattr(classifier(), "n_iter_")


def test_early_stopping_takes_the_parameters_of_the_best_epoch():
    noise = np.random.default_rng(0).integers(0, 2, 300)
    rows = np.random.default_rng(1).normal(size=(300, 20))
    kept = []
    fitted = classifier(
        model=(64,), early_stopping=3, validation_fraction=0.3, epochs=300, callbacks=kept.append
    ).fit(rows, noise)
    losses = fitted.history_["val_loss"]
    best = int(np.argmin(losses))
    assert len(losses) == best + 4 < 300 and kept == list(fitted.history_)
    short = classifier(model=(64,), validation_fraction=0.3, epochs=best + 1).fit(rows, noise)
    assert_same(fitted, short)
    patient = classifier(model=(64,), early_stopping=np.True_, validation_fraction=0.3, epochs=300).fit(
        rows, noise
    )
    assert len(patient.history_) == best + 11


def test_held_out_rows_have_their_share_of_each_class_where_there_are_enough():
    seen = []

    def loss(yhat, y):
        seen.append(y.numpy())
        return flux.logitcrossentropy(yhat, y)

    classifier(loss=loss, validation_fraction=0.2, epochs=1).fit(X, NAMES)
    assert np.bincount(seen[-1]).tolist() == [10, 10, 10]
    lonely = np.where(np.arange(150) == 3, "alone", NAMES)
    assert classifier(early_stopping=True, epochs=2).fit(X, lonely).n_iter_ == 2


def test_one_row_has_none_to_hold_out():
    with pytest.raises(ValueError, match="n_samples=1"):
        regressor(early_stopping=True).fit(X[:1], TARGETS[:1])


def test_a_schedule_sets_the_rate_at_each_step():
    schedule = flux.Exp(0.02, 0.9)
    fitted = classifier(schedule=schedule, epochs=3).fit(X, NAMES)
    assert fitted.history_["eta"] == pytest.approx([schedule(4), schedule(9), schedule(14)])
    going = classifier(schedule={"eta": schedule})
    for _ in range(3):
        going.partial_fit(X, NAMES, classes=np.unique(NAMES))
    assert going.history_["eta"] == fitted.history_["eta"]
    with pytest.raises(ValueError, match="rho"):
        classifier(schedule={"rho": schedule}).fit(X, NAMES)


def test_callbacks_see_each_row_and_end_the_training():
    rows = []
    stop = lambda row: row["epoch"] == 3
    assert classifier(callbacks=[rows.append, stop]).fit(X, NAMES).n_iter_ == len(rows) == 3
    assert classifier(callbacks=stop).fit(X, NAMES).n_iter_ == 3
    assert classifier(callbacks=None).fit(X, NAMES).n_iter_ == 20


def test_what_callbacks_count_begins_anew_with_each_fit():
    estimator = classifier(callbacks=flux.early_stopping(lambda row: -row["loss"], 3))
    assert [estimator.fit(X, NAMES).n_iter_ for _ in range(2)] == [4, 4]
    assert estimator.callbacks.times == 0


def test_verbose_writes_a_line_for_each_epoch(capsys):
    classifier(epochs=2, verbose=True).fit(X, NAMES)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and lines[1].startswith("epoch 2: loss ")


def test_a_loss_that_is_not_finite_is_an_error_that_leaves_the_last_fit():
    fitted = regressor().fit(X, TARGETS)
    before = fitted.predict(X)
    fitted.set_params(loss=lambda yhat, y: flux.mse(yhat, y) * math.inf)
    with pytest.raises(ValueError, match="loss is inf"):
        fitted.fit(X, TARGETS)
    np.testing.assert_array_equal(fitted.predict(X), before)


def test_ctrl_c_keeps_the_model_of_the_last_whole_step():
    def press(row):
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="FluxClassifier: the training was interrupted") as caught:
        fitted = classifier(callbacks=press).fit(X, NAMES)
    assert caught[0].filename == __file__
    assert fitted.n_iter_ == 2 and fitted.predict(X).shape == (150,)


def test_a_warm_start_goes_on():
    fitted = classifier(warm_start=True, epochs=3).fit(X, NAMES)
    model = fitted.model_
    losses = fitted.fit(X, NAMES).history_["loss"]
    assert fitted.model_ is model and len(losses) == 6 and losses[3] < losses[0] and losses[-1] < losses[2]
    assert fitted.history_["epoch"] == [1, 2, 3, 4, 5, 6] and fitted.history_["step"][-1] == 30
    with pytest.raises(ValueError, match=r"y has the classes .* are expected"):
        fitted.fit(X[:90], NAMES[:90])
    with pytest.raises(ValueError, match="X has 2 features"):
        fitted.fit(X[:, :2], NAMES)
    cold = fitted.set_params(warm_start=False).fit(X[:90], NAMES[:90])
    assert cold.n_iter_ == 3 and len(cold.classes_) == 2


def test_a_partial_fit_is_one_epoch_of_fit():
    going = classifier()
    for _ in range(5):
        going.partial_fit(X, NAMES, classes=np.unique(NAMES))
    assert_same(going, classifier(epochs=5).fit(X, NAMES))
    assert going.n_iter_ == 5 and going.history_["epoch"] == [1, 2, 3, 4, 5]
    numbers = regressor().partial_fit(X, TARGETS).partial_fit(X, TARGETS)
    assert_same(numbers, regressor(epochs=2).fit(X, TARGETS))


def test_a_partial_fit_goes_on_after_a_pickle():
    going = classifier().partial_fit(X, NAMES, classes=np.unique(NAMES))
    copied = pickle.loads(pickle.dumps(going))
    assert_same(going.partial_fit(X, NAMES), copied.partial_fit(X, NAMES))
    assert_same(copied.fit(X, NAMES), copy.deepcopy(going).fit(X, NAMES))


def test_parts_may_lack_classes():
    going = classifier()
    with pytest.raises(ValueError, match="classes must be passed on the first call to partial_fit"):
        going.partial_fit(X[:50], NAMES[:50])
    going.partial_fit(X[:50], NAMES[:50], classes=sorted(set(NAMES)))
    for i in range(60):
        part = np.random.default_rng(i).integers(0, 150, 50)
        going.partial_fit(X[part], NAMES[part])
    assert going.score(X, NAMES) > 0.9
    with pytest.raises(ValueError, match=r"y has the classes \['rosa'\]"):
        going.partial_fit(X[:1], ["rosa"])
    with pytest.raises(ValueError, match="are not the classes of before"):
        going.partial_fit(X, NAMES, classes=["a", "b"])


def test_parts_have_the_form_of_those_before():
    rows, labels = make_multilabel_classification(100, random_state=0)
    going = classifier().partial_fit(rows, labels, classes=[0, 1])
    with pytest.raises(ValueError, match="was a matrix of labels before and is one column of classes now"):
        going.partial_fit(rows, labels[:, 0])
    with pytest.raises(ValueError, match="are expected"):
        going.partial_fit(rows, labels[:, :3])
    numbers = regressor().partial_fit(X, TARGETS)
    with pytest.raises(ValueError, match=r"y had 2 columns before and has shape \(150,\) now"):
        numbers.partial_fit(X, TARGETS[:, 0])
    with pytest.raises(ValueError, match="X has 3 features"):
        numbers.partial_fit(X[:, :3], TARGETS)


def test_weights_of_classes_in_parts():
    by_class = {"setosa": 1.0, "versicolor": 5.0, "virginica": 0.5}
    going = classifier(class_weight=by_class, rule=flux.Descent(0.01)).partial_fit(
        X[:50], NAMES[:50], np.unique(NAMES)
    )
    light = classifier(class_weight=by_class | {"setosa": 1e-6}, rule=flux.Descent(0.01))
    light.partial_fit(X[:50], NAMES[:50], np.unique(NAMES))
    moved = [abs(weights_of(e)[0] - weights_of(light)[0]).max() for e in (going, light)]
    assert moved[0] > 1e-3 > moved[1]
    with pytest.raises(ValueError, match="give a dict of weights"):
        classifier(class_weight="balanced").partial_fit(X, NAMES, np.unique(NAMES))


# In scikit-learn's company


def test_a_search_in_two_processes():
    pipeline = make_pipeline(StandardScaler(), classifier(epochs=10))
    grid = {"fluxclassifier__rule__eta": [1e-6, 0.02], "fluxclassifier__model": [(8,), (16, 16)]}
    search = GridSearchCV(pipeline, grid, n_jobs=2, cv=3).fit(X, NAMES)
    assert search.best_params_["fluxclassifier__rule__eta"] == 0.02 and search.best_score_ > 0.85
    alone = GridSearchCV(pipeline, grid, cv=3).fit(X, NAMES)
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"])


# In a process of its own: dask changes how errors are pickled wherever it is loaded.
DASK = """
import distributed, joblib, numpy as np
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
import oxiflux as flux
from oxiflux.sklearn import FluxClassifier

def search():
    model = FluxClassifier((8,), epochs=5, random_state=0)
    return GridSearchCV(model, {"rule__eta": [1e-6, 0.02]}, cv=2).fit(*load_iris(return_X_y=True))

if __name__ == "__main__":
    cluster = distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=":0")
    with cluster, distributed.Client(cluster) as client:
        with joblib.parallel_config("dask"):
            scores = search().cv_results_["mean_test_score"]
        print(set(client.run(flux.get_num_threads).values()))
    print(np.array_equal(scores, search().cv_results_["mean_test_score"]), np.isfinite(scores).all())
"""


def test_a_search_on_workers_of_dask_gives_the_same_and_shares_the_cores(tmp_path):
    (tmp_path / "search.py").write_text(DASK)
    command = [sys.executable, tmp_path / "search.py"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout.split("\n")[:2] == ["{1}", "True True"], done.stdout + done.stderr


def test_frames_flow_through_a_pipeline():
    rows = pd.DataFrame(X, columns=COLUMNS)
    pipeline = make_pipeline(StandardScaler(), classifier()).set_output(transform="pandas").fit(rows, NAMES)
    assert pipeline[-1].feature_names_in_.tolist() == COLUMNS
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pipeline.score(rows, NAMES) > 0.9


def test_estimators_of_estimators():
    CalibratedClassifierCV(classifier(epochs=3), cv=2).fit(X, NAMES).predict_proba(X)
    VotingClassifier([("a", classifier(epochs=3)), ("b", classifier(epochs=3))], voting="soft").fit(X, NAMES)
    BaggingRegressor(regressor(epochs=3), n_estimators=3).fit(X, TARGETS).predict(X)
    scaled = TransformedTargetRegressor(regressor(epochs=40), transformer=StandardScaler())
    assert scaled.fit(X, 1000 * TARGETS).score(X, 1000 * TARGETS) > 0.8
    assert cross_val_score(classifier(), X, NAMES, cv=3, scoring="roc_auc_ovr").mean() > 0.9


def test_a_clone_is_not_fitted_and_has_the_same_parameters():
    fitted = classifier(early_stopping=2, schedule=flux.Exp(0.02, 0.9)).fit(X, NAMES)
    copied = clone(fitted)
    assert not hasattr(copied, "model_") and copied.rule.eta == 0.02
    assert_same(copied.fit(X, NAMES), fitted)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_predicts_the_same(protocol):
    for fitted in (classifier(epochs=2).fit(X, NAMES), regressor(epochs=2).fit(X, TARGETS)):
        copied = pickle.loads(pickle.dumps(fitted, protocol))
        np.testing.assert_array_equal(copied.predict(X), fitted.predict(X))
        assert copied.history_ == fitted.history_ and repr(copied) == repr(fitted)


def test_the_views_in_text_and_html():
    estimator = FluxClassifier((64, 64), rule=flux.Adam(0.01), early_stopping=True)
    assert (
        repr(estimator)
        == "FluxClassifier(early_stopping=True, model=(64, 64),\n               rule=Adam(0.01, (0.9, 0.999), 1e-08))"
    )
    for shown in (estimator, estimator.fit(X, NAMES), make_pipeline(StandardScaler(), estimator)):
        html = shown._repr_html_()
        assert "FluxClassifier" in html and "early_stopping" in html


def test_scores_are_those_of_the_networks_of_scikit_learn():
    rows, y = load_digits(return_X_y=True)
    rows = rows / 16
    scores = []
    for seed in range(3):
        ours = FluxClassifier(epochs=40, random_state=seed)
        theirs = MLPClassifier(max_iter=40, alpha=0, n_iter_no_change=40, random_state=seed)
        # Threads of BLAS that wait for each other make this slow where others work beside it.
        with warnings.catch_warnings(), threadpool_limits(1, user_api="blas"):
            warnings.simplefilter("ignore")
            scores.append([e.fit(rows[:1000], y[:1000]).score(rows[1000:], y[1000:]) for e in (ours, theirs)])
    assert abs(np.diff(np.mean(scores, axis=0))) < 0.015
    theirs = MLPRegressor(max_iter=1)
    assert set(FluxRegressor().get_params(deep=False)) & set(theirs.get_params()) >= {
        "early_stopping",
        "warm_start",
    }


@pytest.mark.parametrize("size", [1e-320, 1e308])
def test_weights_may_be_as_small_and_as_large_as_numbers_are(size):
    weighted = regressor(epochs=2).fit(X, TARGETS, np.full(150, size))
    np.testing.assert_allclose(weighted.predict(X), regressor(epochs=2).fit(X, TARGETS).predict(X), rtol=1e-4)


def test_a_layer_is_no_hidden_size():
    with pytest.raises(ValueError, match="hidden layers must have whole sizes"):
        regressor(model=[flux.Dense(4, 2)]).fit(X, TARGETS)


@pytest.mark.parametrize("convert", [flux.f64, flux.f32, flux.bf16, flux.f16])
def test_a_model_keeps_its_element_type(convert):
    fitted = regressor(model=lambda n, k: convert(flux.Dense(n, k))).fit(X, TARGETS)
    assert fitted.model_.weight.dtype == convert(flux.Dense(1, 1)).weight.dtype
    assert fitted.predict(X).dtype == np.float64 and fitted.score(X, TARGETS) > 0.2


def test_memory_that_is_not_aligned_or_has_another_order_of_bytes():
    rows = np.frombuffer(bytearray(150 * 16 + 1), np.uint8, offset=1).view(np.float32).reshape(150, 4)
    rows[:] = X
    assert not rows.flags.aligned
    for other in (rows, rows.astype(">f4")):
        assert_same(regressor().fit(other, TARGETS), regressor().fit(rows.copy(), TARGETS))


def test_tensors_and_lists_are_rows_too():
    rows = X.astype(np.float32)
    for other in (flux.tensor(rows), rows.tolist(), list(flux.tensor(rows))):
        assert_same(regressor().fit(other, TARGETS), regressor().fit(rows, TARGETS))


def test_memory_is_given_back():
    estimator = regressor(epochs=1).fit(X, TARGETS)
    before = flux.memory_in_use()
    for _ in range(5):
        estimator.fit(X, TARGETS).predict(X)
    gc.collect()
    assert flux.memory_in_use() <= before
