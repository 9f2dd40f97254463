"""Cross-validation: every item is for validation once, strata are even, and the past comes before the future."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oxiflux as flux
from kinds import KINDS, Squares, kinds, plain
from oxiflux.data import getobs, kfolds, leavepout, numobs, timeseries_kfolds


@given(st.integers(2, 30), st.data())
def test_each_item_is_for_validation_once(n, data):
    k = data.draw(st.integers(2, n))
    folds = list(kfolds(np.arange(n), k))
    assert len(folds) == k
    assert np.concatenate([val for _, val in folds]).tolist() == list(range(n))
    assert all(sorted([*train, *val]) == list(range(n)) for train, val in folds)
    assert {len(val) for _, val in folds} <= {n // k, -(-n // k)}


def test_folds_as_documented():
    train, val = kfolds(10, 5)
    assert [t.tolist() for t in train][:2] == [[2, 3, 4, 5, 6, 7, 8, 9], [0, 1, 4, 5, 6, 7, 8, 9]]
    assert val == [range(2), range(2, 4), range(4, 6), range(6, 8), range(8, 10)]
    assert plain(leavepout(10, 2)) == plain(kfolds(10, 5))
    assert len(list(leavepout(np.zeros(7)))) == 7


@pytest.mark.parametrize(
    "call", [lambda: kfolds(3, 4), lambda: kfolds([1, 2], 1), lambda: leavepout([1, 2], 2)]
)
def test_too_many_or_too_few_folds(call):
    with pytest.raises(ValueError, match="between"):
        call()


# In every form


def splits_of(name, data):
    """Folds of the data, with every option, and the same of the numbers of its items."""
    n = numobs(data)
    labels = [i % 2 for i in range(n)]
    options = {
        "plain": {"k": 3},
        "shuffled": {"k": 3, "shuffle": True},
        "stratified": {"k": 2, "stratified": labels},
        "both": {"k": 2, "stratified": np.array(labels), "shuffle": True},
    }[name]
    rng = lambda: flux.Generator(3)
    return list(kfolds(data, **options, rng=rng())), kfolds(n, **options, rng=rng())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["plain", "shuffled", "stratified", "both"])
def test_folds_of_every_kind_of_data_have_the_items_of_the_indices(kind, name):
    data = kinds(7)[kind]
    folds, (train, val) = splits_of(name, data)
    assert len(folds) == len(train) == len(val)
    for (t, v), ti, vi in zip(folds, train, val, strict=True):
        assert (numobs(t), numobs(v)) == (len(ti), len(vi))
        for part, indices in ((t, ti), (v, vi)):
            for i, place in enumerate(indices):
                assert plain(getobs(part, i)) == plain(getobs(data, int(place)))


@pytest.mark.parametrize("kind", KINDS)
def test_timeseries_folds_of_every_kind_of_data(kind):
    data = kinds(11)[kind]
    train, val = timeseries_kfolds(11, k=3, gap=1, max_train_size=3)
    folds = list(timeseries_kfolds(data, k=3, gap=1, max_train_size=3))
    for (t, v), ti, vi in zip(folds, train, val, strict=True):
        assert [plain(getobs(t, i)) for i in range(numobs(t))] == [plain(getobs(data, i)) for i in ti]
        assert [plain(getobs(v, i)) for i in range(numobs(v))] == [plain(getobs(data, i)) for i in vi]


def test_folds_of_what_is_not_in_memory_are_views():
    data = Squares(6)
    folds = list(kfolds(data, 2, shuffle=True, stratified=[0, 1] * 3))
    folds += list(timeseries_kfolds(data, 2))
    assert data.asked == []
    assert plain(folds[-1][1][0]) == ([4, 16], 4) and data.asked == [4]


# At random


@given(st.integers(2, 30), st.data())
def test_each_shuffled_item_is_for_validation_once(n, data):
    k = data.draw(st.integers(2, n))
    train, val = kfolds(n, k, shuffle=True, rng=flux.Generator(data.draw(st.integers(0, 99))))
    assert sorted(np.concatenate(val).tolist()) == list(range(n))
    assert all(sorted([*t, *v]) == list(range(n)) for t, v in zip(train, val, strict=True))
    assert [len(v) for v in val] == [n // k + (i < n % k) for i in range(k)]


def test_folds_are_shuffled_by_their_generator_or_the_default_one():
    orders = [plain(kfolds(50, 5, shuffle=True, rng=flux.Generator(s))) for s in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    flux.seed(1)
    assert plain(kfolds(50, 5, shuffle=True)) == orders[0]
    assert plain(kfolds(50, 5, shuffle=True)) != orders[0]


def test_without_shuffle_nothing_is_drawn():
    flux.seed(4)
    kfolds(10, 2, stratified=[0, 1] * 5), timeseries_kfolds(10)
    drawn = flux.rand(3).tolist()
    flux.seed(4)
    assert flux.rand(3).tolist() == drawn


# Strata


@given(st.lists(st.sampled_from("abc"), min_size=2, max_size=40), st.integers(2, 6), st.booleans())
def test_strata_are_even_in_each_label_and_in_all(labels, k, shuffle):
    if min(Counter(labels).values()) < k:
        with pytest.raises(ValueError, match="which is fewer than the|between 2 and"):
            kfolds(len(labels), k, stratified=labels)
        return
    train, val = kfolds(len(labels), k, stratified=labels, shuffle=shuffle)
    n = len(labels)
    assert sorted(np.concatenate(val).tolist()) == list(range(n))
    assert all(sorted([*t, *v]) == list(range(n)) for t, v in zip(train, val, strict=True))
    for label, total in Counter(labels).items():
        counts = {sum(labels[i] == label for i in v) for v in val}
        assert counts <= {total // k, -(-total // k)}
    assert {len(v) for v in val} <= {n // k, -(-n // k)}
    if not shuffle:
        assert all((np.diff(v) > 0).all() for v in val)


def test_strata_in_order_are_consecutive_items_of_each_label():
    labels = np.array(list("aababbaabb"))
    _, val = kfolds(10, 5, stratified=labels)
    a, b = np.flatnonzero(labels == "a"), np.flatnonzero(labels == "b")
    assert plain(val) == [sorted([int(a[i]), int(b[i])]) for i in range(5)]


@pytest.mark.parametrize("make", [list, np.array, flux.tensor])
def test_labels_of_strata_may_be_of_any_kind(make):
    labels = [1, 0, 1, 0, 0, 1]
    assert plain(kfolds(6, 3, stratified=make(labels))[1]) == [[0, 1], [2, 3], [4, 5]]


# Time


def time_splits(n, k, gap=0, longest=None):
    """As scikit-learn and MLUtils.jl have them, item by item."""
    size = n // (k + 1)
    for i in range(k):
        after = n - (k - i) * size
        before = [j for j in range(n) if j < after - gap]
        yield (
            before if longest is None else before[-longest:],
            [j for j in range(n) if after <= j < after + size],
        )


@pytest.mark.parametrize("gap", [0, 1, 2])
@pytest.mark.parametrize("longest", [None, 1, 3, 100])
@pytest.mark.parametrize(("n", "k"), [(10, 3), (11, 2), (12, 3), (23, 5), (9, 2)])
def test_training_comes_before_validation(n, k, gap, longest):
    train, val = timeseries_kfolds(n, k, gap, longest)
    expected = list(time_splits(n, k, gap, longest))
    assert [(list(t), list(v)) for t, v in zip(train, val, strict=True)] == expected
    assert all(max(t) + gap < min(v) for t, v in zip(train, val, strict=True))


def test_timeseries_folds_are_those_of_scikit_learn():
    selection = pytest.importorskip("sklearn.model_selection")
    for n, k, gap, longest in itertools.product((7, 20, 23), (2, 3, 5), (0, 1), (None, 3)):
        theirs = selection.TimeSeriesSplit(k, gap=gap, max_train_size=longest)
        try:
            expected = [(t.tolist(), v.tolist()) for t, v in theirs.split(np.zeros(n))]
        except ValueError:
            expected = None
        if expected is None or any(not t for t, _ in expected):
            with pytest.raises(ValueError, match="timeseries_kfolds"):
                timeseries_kfolds(n, k, gap, longest)
        else:
            ours = zip(*timeseries_kfolds(n, k, gap, longest), strict=True)
            assert [(list(t), list(v)) for t, v in ours] == expected


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: kfolds([1, 2, 3], 2.0), TypeError, "kfolds: the number of folds must be a whole number, got 2.0"),
        (lambda: kfolds([]), ValueError, "between 2 and the number of items, 0, got 5"),
        (lambda: kfolds([1, 2, 3], -1), ValueError, "between 2 and the number of items, 3, got -1"),
        (lambda: kfolds([1, 2, 3], 2, stratified=[1, 2]), flux.ShapeError, "kfolds: 2 labels for 3 items"),
        (
            lambda: kfolds(5, 3, stratified=["a", "b", "a", "b", "a"]), ValueError,
            "kfolds: the label 'b' has 2 items, which is fewer than the 3 folds",
        ),
        (lambda: kfolds([1, 2, 3], 2, stratified=5), TypeError, "kfolds: stratified must be the labels .*, got 5"),
        (lambda: flux.splitobs([1], 0.5, stratified=5), TypeError, "splitobs: stratified must be the labels .*, got 5"),
        (lambda: timeseries_kfolds(5, 5), ValueError, "between 2 and 4 for 5 items, got 5"),
        (lambda: timeseries_kfolds(5, 1), ValueError, "between 2 and 4 for 5 items, got 1"),
        (lambda: timeseries_kfolds([], 2), ValueError, "between 2 and 2 for 0 items"),
        (lambda: timeseries_kfolds(9, 2, gap=-1), ValueError, "gap must be at least 0, got -1"),
        (lambda: timeseries_kfolds(9, 2, gap=3), ValueError, "a gap of 3 leaves nothing to train on before item 3"),
        (lambda: timeseries_kfolds(9, 2, max_train_size=0), ValueError, "max_train_size must be at least 1, got 0"),
        (lambda: timeseries_kfolds(9, 2, gap=0.5), TypeError, "gap must be a whole number, got 0.5"),
        (lambda: timeseries_kfolds((np.zeros(4), np.zeros(5))), flux.ShapeError, "4 in 0, 5 in 1"),
    ],
)  # fmt: skip
def test_folds_that_cannot_be(call, error, words):
    with pytest.raises(error, match=words):
        call()


# Numbers of items, and labels


@pytest.mark.parametrize(
    "split",
    [kfolds, leavepout, lambda n, k: timeseries_kfolds(n, k), flux.splitobs],
)
def test_a_number_of_items_may_be_one_of_numpy(split):
    at = 0.5 if split is flux.splitobs else 3
    assert plain(split(np.int64(12), at)) == plain(split(12, at))
    with pytest.raises(TypeError, match="data must be arrays, sequences or a number of items, got True"):
        split(True, at)


@pytest.mark.parametrize("split", [
    lambda labels: kfolds(4, 2, stratified=labels), lambda labels: flux.splitobs(4, at=0.5, stratified=labels),
], ids=["kfolds", "splitobs"])  # fmt: skip
def test_labels_that_are_none_are_an_error_of_the_function_that_was_called(split):
    with pytest.raises(TypeError, match=r"^(kfolds|splitobs): labels must be numbers or text, got \[1\.0"):
        split(np.eye(4))


@pytest.mark.parametrize("p", [2.0, True, "2"])
def test_leavepout_leaves_a_whole_number_out(p):
    with pytest.raises(TypeError, match=f"leavepout: p must be a whole number, got {p!r}"):
        leavepout(6, p)
