"""Metrics beside scikit-learn's, on random cases and at their edges."""

import math
import pickle
import warnings

import numpy as np
import pytest
from sklearn import metrics as theirs

import oxiflux as flux
from oxiflux import metrics

RNG = np.random.default_rng(5)
AVERAGES = ["macro", "micro", "weighted", None]


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def cases():
    """Scores with ties and labels, some classes of which do not occur."""
    for n in (1, 2, 3, 17, 200):
        for k in (2, 3, 7):
            rng = np.random.default_rng(100 * n + k)
            # Few different values: many are equal.
            scores = rng.integers(-2, 3, (n, k)).astype(float) * rng.choice([1.0, 0.3])
            yield pytest.param(scores, rng.integers(0, max(2, k - rng.integers(0, 3)), n), id=f"{n}x{k}")


CASES = list(cases())


def agree(ours, expected):
    np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-12)


# Labels


@pytest.mark.parametrize(("scores", "y"), CASES)
@pytest.mark.parametrize("weighted", [False, True])
def test_accuracy_and_confusion_of_scores_are_those_of_the_classes_they_choose(scores, y, weighted):
    weights = np.random.default_rng(0).random(len(y)) if weighted else None
    chosen, k = scores.argmax(axis=1), scores.shape[1]
    agree(
        metrics.accuracy(scores, y, weights=weights), theirs.accuracy_score(y, chosen, sample_weight=weights)
    )
    for normalize in (None, "true", "pred", "all"):
        expected = theirs.confusion_matrix(
            y, chosen, labels=range(k), sample_weight=weights, normalize=normalize
        )
        agree(metrics.confusion(scores, y, weights=weights, normalize=normalize), expected)
    found = np.union1d(chosen, y)
    if len(found) > 2:
        agree(metrics.confusion(chosen, y), theirs.confusion_matrix(y, chosen))


@pytest.mark.parametrize(("scores", "y"), CASES)
@pytest.mark.parametrize("name", ["precision", "recall", "f1"])
@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("zero_division", [0.0, 1.0, math.nan])
def test_averages_over_classes_are_those_of_scikit_learn(scores, y, name, average, zero_division):
    chosen, k = scores.argmax(axis=1), scores.shape[1]
    weights = np.random.default_rng(1).random(len(y))
    ours, reference = getattr(metrics, name), getattr(theirs, f"{name}_score")
    for w in (None, weights):
        options = {"average": average, "zero_division": zero_division}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            by_labels = reference(y, chosen, sample_weight=w, **options)
            by_scores = reference(y, chosen, sample_weight=w, labels=range(k), **options)
        agree(ours(chosen, y, weights=w, **options), by_labels)
        # Of scores each class has its number; the averages are over those that occur.
        agree(ours(scores, y, weights=w, **options), by_scores if average is None else by_labels)
        agree(ours(chosen, y, weights=w, classes=k, **options), by_scores)


@pytest.mark.parametrize("name", ["precision", "recall", "f1"])
def test_only_some_classes_may_count(name):
    y, p = RNG.integers(0, 5, 60), RNG.integers(0, 5, 60)
    for average in AVERAGES:
        expected = getattr(theirs, f"{name}_score")(y, p, labels=[3, 1], average=average)
        agree(getattr(metrics, name)(p, y, classes=[3, 1], average=average), expected)
    agree(metrics.confusion(p, y, classes=[3, 1]), theirs.confusion_matrix(y, p, labels=[3, 1]))


@pytest.mark.parametrize("name", ["precision", "recall", "f1"])
@pytest.mark.parametrize("n", [1, 5, 100])
def test_two_classes_have_the_number_of_class_one(name, n):
    rng = np.random.default_rng(n)
    y, logits = rng.integers(0, 2, n), rng.normal(size=n)
    reference = getattr(theirs, f"{name}_score")(y, logits > 0, zero_division=0)
    ours = getattr(metrics, name)
    probabilities = 1 / (1 + np.exp(-logits))
    pairs = np.stack([-logits, logits], axis=1)
    one_hot = np.eye(2)[y]
    given = [logits, probabilities, probabilities[:, None], (logits > 0), (logits > 0).astype(int), pairs]
    if probabilities.min() < 0.5 < probabilities.max() or n > 1:
        for p in given:
            agree(ours(p, y), reference)
            agree(ours(flux.tensor(p), flux.tensor(y)), reference)
    agree(ours(pairs, one_hot), reference)
    agree(ours(pairs, y[:, None]), reference)
    agree(ours(np.sign(logits), 2 * y - 1), reference)


@pytest.mark.parametrize("average", [*AVERAGES, "samples"])
@pytest.mark.parametrize("name", ["precision", "recall", "f1"])
def test_items_with_several_labels(name, average):
    rng = np.random.default_rng(3)
    y, logits = rng.integers(0, 2, (50, 4)), rng.normal(size=(50, 4))
    y[:, 3], y[0] = 0, 0
    weights = rng.random(50)
    for w in (None, weights):
        expected = getattr(theirs, f"{name}_score")(
            y, logits > 0, average=average, sample_weight=w, zero_division=0
        )
        for p in (logits, 1 / (1 + np.exp(-logits)), logits > 0, (logits > 0).astype(int)):
            agree(getattr(metrics, name)(p, y, average=average, weights=w), expected)


def test_accuracy_and_confusion_of_items_with_several_labels():
    rng = np.random.default_rng(4)
    y, logits = rng.integers(0, 2, (50, 2)), rng.normal(size=(50, 2))
    assert metrics.accuracy(logits, y) == theirs.accuracy_score(y, logits > 0)
    agree(metrics.confusion(logits, y), theirs.multilabel_confusion_matrix(y, logits > 0))
    weights = rng.random(50)
    expected = theirs.multilabel_confusion_matrix(y, logits > 0, sample_weight=weights)
    agree(metrics.confusion(logits, y, weights=weights), expected)


def test_rows_with_a_single_one_are_classes_unless_told_otherwise():
    scores, y = np.array([[2.0, 1.0], [-1.0, -2.0]]), np.eye(2)[[0, 0]]
    assert metrics.accuracy(scores, y) == 1.0
    assert metrics.accuracy(scores, y, multilabel=True) == 0.0
    words = np.array([[0, 1], [1, 0]])
    assert metrics.accuracy(words, [[1, 1], [1, 0]]) == 0.5
    assert metrics.accuracy(words, [[1, 1], [1, 0]], multilabel=False) == 0.75


def test_labels_may_be_text_and_targets_one_hot():
    y, p = ["a", "b", "b", "c"], ["a", "b", "a", "a"]
    assert metrics.accuracy(p, y) == 0.5
    agree(metrics.f1(p, y, average=None), theirs.f1_score(y, p, average=None))
    agree(metrics.confusion(p, y), theirs.confusion_matrix(y, p))
    agree(metrics.confusion(p, y, classes=["b", "a"]), theirs.confusion_matrix(y, p, labels=["b", "a"]))
    assert metrics.accuracy([0, 2], np.eye(3)[[0, 1]]) == 0.5
    species = flux.onecold([[0.1, 0.9], [0.8, 0.2]], ("cat", "dog"))
    assert metrics.accuracy(species, np.array(["dog", "dog"], dtype=object)) == 0.5


def test_classes_are_on_the_last_axis_of_any_shape():
    scores, y = RNG.normal(size=(3, 4, 5, 6)), RNG.integers(0, 6, (3, 4, 5))
    assert metrics.accuracy(scores, y) == np.mean(scores.argmax(-1) == y)
    expected = theirs.f1_score(y.ravel(), scores.argmax(-1).ravel(), average="macro")
    agree(metrics.f1(scores, y), expected)
    agree(metrics.topk(scores, y, k=2), theirs.top_k_accuracy_score(y.ravel(), scores.reshape(-1, 6), k=2))


def test_the_threshold_is_half_for_probabilities_and_zero_for_logits_unless_given():
    assert metrics.accuracy([0.4, 0.6], [0, 1]) == 1.0
    assert metrics.accuracy([0.4, 1.6], [1, 1]) == 1.0
    assert metrics.accuracy([0.4, 0.6], [1, 1], threshold=0) == 1.0
    assert metrics.accuracy([0.5, 0.0], [0, 0]) == 1.0  # above, as in scikit-learn


# Numbers


@pytest.mark.parametrize("shape", [(1,), (2,), (30,), (30, 1), (30, 4)])
@pytest.mark.parametrize("weighted", [False, True])
def test_metrics_of_numbers_are_those_of_scikit_learn(shape, weighted):
    rng = np.random.default_rng(6)
    y, p, w = rng.normal(size=shape), rng.normal(size=shape), rng.random(shape[0]) if weighted else None
    if len(shape) == 2 and shape[1] == 4:
        y[:, 0], y[:, 1] = 3.0, 2.0
        p[:, 1] = 2.0
    names = {"mae": "mean_absolute_error", "mse": "mean_squared_error", "rmse": "root_mean_squared_error"}
    pairs = [(name, getattr(theirs, reference)) for name, reference in names.items()]
    for name, reference in pairs + [("r2", theirs.r2_score)] * (shape[0] > 1):
        ours = getattr(metrics, name)
        agree(ours(p, y, weights=w), reference(y, p, sample_weight=w))
        each = reference(y, p, sample_weight=w, multioutput="raw_values")
        agree(ours(p, y, weights=w, average=None), each)
    if shape[0] > 1:
        expected = theirs.r2_score(y, p, sample_weight=w, multioutput="variance_weighted")
        agree(metrics.r2(p, y, weights=w, average="variance"), expected)


def test_a_column_is_a_vector_and_nothing_else_is_broadcast():
    assert metrics.mae([[1.0], [2.0]], [1.0, 3.0]) == metrics.mae([1.0, 2.0], [[1.0], [3.0]]) == 0.5
    for metric in (metrics.mae, metrics.mse, metrics.rmse, metrics.r2):
        with pytest.raises(
            flux.ShapeError, match=rf"{metric.__name__}: prediction \(2, 2\) and target \(2,\)"
        ):
            metric(np.zeros((2, 2)), np.zeros(2))


def test_integers_do_not_wrap_around_and_halves_are_summed_in_full():
    assert metrics.mae(np.uint8([0, 255]), np.uint8([1, 0])) == 128.0
    assert metrics.mse(flux.full((1000,), 200.0, dtype="float16"), np.zeros(1000)) == 40000.0
    assert metrics.mae(flux.ones(3, dtype="bfloat16"), [0, 0, 0]) == 1.0
    assert metrics.r2([1.0], [2.0]) != metrics.r2([1.0], [2.0])  # NaN: one item has no variance
    assert math.isnan(metrics.mae([math.nan, 1.0], [1.0, 1.0])) and math.isnan(
        metrics.r2([math.nan, 1], [1, 2])
    )
    assert metrics.mae([math.inf, 1.0], [1.0, 1.0]) == math.inf


# Order


@pytest.mark.parametrize(("scores", "y"), [case for case in CASES if "1x" != case.id[:2]])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_area_under_the_curve_is_that_of_scikit_learn(scores, y, weighted):
    k = scores.shape[1]
    w = np.random.default_rng(2).random(len(y)) if weighted else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if k == 2:
            expected = theirs.roc_auc_score(y, scores[:, 1] - scores[:, 0], sample_weight=w)
            agree(metrics.auc(scores, y, weights=w), expected)
            agree(metrics.auc(np.eye(2)[y][:, ::-1] * 0 + scores, np.eye(2)[y], weights=w), expected)
            agree(
                metrics.auc(scores[:, 1], y, weights=w),
                theirs.roc_auc_score(y, scores[:, 1], sample_weight=w),
            )
            return
        p = softmax(scores)
        for average in AVERAGES:
            options = {"average": average, "multi_class": "ovr", "labels": range(k), "sample_weight": w}
            expected = theirs.roc_auc_score(y, p, **options)
            for given in (scores, p):
                agree(metrics.auc(given, y, average=average, weights=w), expected)
            agree(metrics.auc(p, np.eye(k)[y], average=average, weights=w), expected)
        if len(np.unique(y)) > 1 and w is None:
            for average in ("macro", "weighted"):
                options = {"average": average, "multi_class": "ovo"}
                expected = theirs.roc_auc_score(y, p, labels=range(k), **options)
                agree(metrics.auc(scores, y, **options), expected)


@pytest.mark.parametrize("average", AVERAGES)
def test_the_area_of_several_labels(average):
    y, p = RNG.integers(0, 2, (40, 3)), RNG.integers(0, 5, (40, 3)) / 2
    agree(metrics.auc(p, y, average=average), theirs.roc_auc_score(y, p, average=average))
    y[:, 0] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = theirs.roc_auc_score(y, p, average=average)
    agree(metrics.auc(p, y, average=average), expected)


def test_the_area_of_logits_does_not_saturate():
    logits = np.float32([[0.0, 40.0], [0.0, 50.0], [0.0, 60.0], [0.0, 70.0]])
    assert metrics.auc(logits, [0, 0, 1, 1]) == 1.0
    assert metrics.auc([-1.0, 2.0, 3.0], [-1, 1, 1]) == 1.0


def test_one_class_alone_has_no_area():
    assert math.isnan(metrics.auc([0.1, 0.2], [1, 1]))
    assert math.isnan(metrics.auc([0.1, math.nan], [0, 1]))
    assert math.isnan(metrics.auc(np.full((2, 3), math.nan), [0, 1]))


@pytest.mark.parametrize(("scores", "y"), [case for case in CASES if case.values[0].shape[1] > 2])
def test_topk_is_that_of_scikit_learn_with_equal_scores_too(scores, y):
    count, w = scores.shape[1], np.random.default_rng(9).random(len(y))
    for k in range(1, count):
        for weights in (None, w):
            expected = theirs.top_k_accuracy_score(y, scores, k=k, labels=range(count), sample_weight=weights)
            agree(metrics.topk(scores, y, k=k, weights=weights), expected)
        assert metrics.topk(scores, np.eye(count)[y], k=k) == metrics.topk(scores, y, k=k)
    with pytest.warns(UserWarning, match=f"of {count} classes is always among {count}"):
        assert metrics.topk(scores, y, k=count) == 1.0


# Edges

EVERY = ["accuracy", "auc", "confusion", "f1", "mae", "mse", "precision", "r2", "recall", "rmse", "topk"]


@pytest.mark.parametrize("name", EVERY)
def test_no_items_are_an_error(name):
    with pytest.raises(ValueError, match=rf"{name}: there are no items to measure"):
        getattr(metrics, name)([], [])
    with pytest.raises(ValueError, match=rf"{name}: there are no items to measure, the shapes are \(0, 3\)"):
        getattr(metrics, name)(np.zeros((0, 3)), np.zeros(0, int))


@pytest.mark.parametrize("name", EVERY)
def test_shapes_that_do_not_fit_and_models_in_the_place_of_predictions(name):
    metric = getattr(metrics, name)
    with pytest.raises(flux.ShapeError, match=f"^{name}: "):
        metric(np.zeros((4, 3)), np.zeros(5, int))
    with pytest.raises(flux.ShapeError, match=f"{name}: a metric is of several items"):
        metric(1.0, 1.0)
    with pytest.raises(TypeError, match=rf"{name}: .*call the model: {name}\(model\(x\), y\)"):
        metric(flux.Dense(2, 2), [0, 1])
    with pytest.raises(TypeError, match=f"{name}.*must be numbers or labels, got complex"):
        metric(np.zeros(2, complex), [0, 1])
    with pytest.raises(TypeError, match="mask"):
        metric(np.ma.masked_array([1.0, 0.0], [True, False]), [0, 1])
    with pytest.raises(
        TypeError, match="unexpected keyword argument 'sample_weight'; did you mean 'weights'"
    ):
        metric([0.1, 0.2], [0, 1], sample_weight=[1, 1])


@pytest.mark.parametrize("name", [name for name in EVERY if name != "confusion"])
def test_scores_that_are_nan_give_nan(name):
    scores = np.array([[0.1, math.nan, 0.2], [0.3, 0.1, 0.6]])
    target = scores if name in ("mae", "mse", "r2", "rmse") else [0, 1]
    assert math.isnan(getattr(metrics, name)(scores, target, **({"k": 2} if name == "topk" else {})))
    if name in ("precision", "recall", "f1"):
        assert np.isnan(getattr(metrics, name)(scores, target, average=None)).all()


def test_a_matrix_of_nan_and_targets_that_are_no_labels_are_errors():
    with pytest.raises(ValueError, match="confusion: some scores of the prediction are NaN"):
        metrics.confusion([0.1, math.nan], [0, 1])
    with pytest.raises(ValueError, match="accuracy: the target has NaN among its labels"):
        metrics.accuracy(np.zeros((2, 3)), [0, math.nan])
    with pytest.raises(ValueError, match="f1: the target must be labels, got numbers such as 0.5"):
        metrics.f1(np.zeros((2, 3)), [0, 0.5])
    with pytest.raises(ValueError, match="accuracy: the target has the label 3, and there are 3 classes"):
        metrics.accuracy(np.zeros((2, 3)), [0, 3])
    with pytest.raises(ValueError, match="accuracy: the target has the label -100"):
        metrics.accuracy(np.zeros((2, 3)), [0, -100])
    with pytest.raises(TypeError, match=r"the target has names.*onecold\(scores, names\)"):
        metrics.accuracy(np.zeros((2, 3)), ["a", "b"])
    with pytest.raises(ValueError, match="auc: a score for each item is for targets of 0 and 1"):
        metrics.auc([0.1, 0.2, 0.3], [0, 1, 2])
    with pytest.raises(ValueError, match="average='binary' is for two classes"):
        metrics.f1([0, 1, 2], [0, 1, 2], average="binary")
    with pytest.raises(ValueError, match="average must be one of .*got 'mean'"):
        metrics.f1([0, 1], [0, 1], average="mean")
    with pytest.raises(ValueError, match="beyond int64"):
        metrics.accuracy(np.uint64([2**64 - 1]), np.uint64([2**64 - 1]))
    with pytest.raises(flux.ShapeError, match="rows of different lengths"):
        metrics.accuracy([[1, 2], [3]], [0, 1])


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ([1], "a number for each of 2 items"),
        ([1, -1], "not negative"),
        ([0, 0], "all 0"),
        ([1, math.nan], "finite"),
    ],
)
@pytest.mark.parametrize("name", ["accuracy", "auc", "confusion", "f1", "mae", "r2"])
def test_weights_that_cannot_be(name, weights, words):
    with pytest.raises(ValueError, match=f"{name}: .*{words}"):
        getattr(metrics, name)([0.2, 0.7], [0, 1], weights=weights)


def test_metrics_are_no_part_of_a_gradient_and_can_be_pickled():
    x, y = flux.rand(6, 3), [0, 1, 2, 0, 1, 2]
    model = flux.Dense(3, 3)
    seen = []

    def loss(m):
        logits = m(x)
        seen.append(metrics.accuracy(logits, y))
        return flux.logitcrossentropy(logits, y)

    grads = flux.gradient(loss, model)[0]
    assert grads.weight is not None and seen == [metrics.accuracy(model(x), y)]
    for name in EVERY:
        assert pickle.loads(pickle.dumps(getattr(metrics, name))) is getattr(metrics, name)


def test_a_million_items_are_measured_by_whole_arrays():
    rng = np.random.default_rng(0)
    p, y = rng.random(1_000_000).astype(np.float32), rng.integers(0, 2, 1_000_000)
    agree(metrics.auc(p, y), theirs.roc_auc_score(y, p))
    agree(metrics.f1(p, y), theirs.f1_score(y, p > 0.5))
