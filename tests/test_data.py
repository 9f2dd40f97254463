"""DataLoader and the functions on data sets: items, parts and batches of every kind of data."""

import collections
import itertools
import threading
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oxiflux as flux
from kinds import KINDS, Squares, kinds, pl, plain
from oxiflux import data as mlutils
from oxiflux.data import (
    batch,
    batch_sequence,
    batchseq,
    chunk,
    eachobs,
    filterobs,
    getobs,
    group_counts,
    group_indices,
    groupobs,
    joinobs,
    mapobs,
    numobs,
    oversample,
    randobs,
    rpad_constant,
    shuffleobs,
    splitobs,
    unbatch,
    undersample,
)


def test_batches_keep_the_form_of_the_data():
    x, y = np.arange(10).reshape(5, 2), list("abcde")
    for batches in (
        flux.DataLoader((x, y), batchsize=5),
        [tuple(b.values()) for b in flux.DataLoader({"x": x, "y": y}, batchsize=5)],
    ):
        ((a, b),) = batches
        np.testing.assert_array_equal(a, x)
        assert b == y


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize(("partial", "sizes"), [(True, [2, 2, 1]), (False, [2, 2])])
def test_last_batch(partial, sizes, parallel):
    loader = flux.DataLoader(flux.arange(5), batchsize=2, partial=partial, parallel=parallel)
    assert [len(b) for b in loader] == sizes and len(loader) == len(sizes)


@pytest.mark.parametrize(
    "data", [np.arange(50), flux.arange(50), range(50)], ids=["array", "tensor", "range"]
)
def test_shuffling_is_a_new_permutation_each_pass_and_repeats_with_the_seed(data):
    def passes():
        loader = flux.DataLoader(data, batchsize=7, shuffle=True, rng=flux.Generator(3))
        return [[int(i) for b in loader for i in b] for _ in range(2)]

    first, second = passes()
    assert first != second and sorted(first) == sorted(second) == list(range(50))
    assert passes() == [first, second]


def test_pairs_stay_together_when_shuffled():
    loader = flux.DataLoader((np.arange(20), np.arange(20) * 3), batchsize=6, shuffle=True)
    assert all((y == 3 * x).all() for x, y in loader)


def test_collate_gets_the_items():
    loader = flux.DataLoader((np.arange(3), ["abc"] * 3), batchsize=2, collate=list)
    assert [[(int(i), s) for i, s in b] for b in loader] == [[(0, "abc"), (1, "abc")], [(2, "abc")]]


def test_an_error_in_the_thread_arrives():
    def fail(items):
        raise RuntimeError("unreadable")

    with pytest.raises(RuntimeError, match="unreadable"):
        list(flux.DataLoader([1, 2], collate=fail, parallel=True))


def test_errors_name_the_sizes():
    with pytest.raises(flux.ShapeError, match="5 in 0, 4 in 1"):
        flux.DataLoader((np.zeros(5), np.zeros(4)))
    with pytest.raises(flux.ShapeError, match=r"\(\)"):
        flux.DataLoader(np.array(1.0))
    with pytest.raises(TypeError, match="int"):
        flux.DataLoader(5)
    with pytest.raises(ValueError, match="0"):
        flux.DataLoader([1], batchsize=0)


# Items


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [0, 1, 7])
def test_items_are_counted(kind, n):
    assert numobs(kinds(n)[kind]) == n


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "where", [slice(1, 6, 2), [1, 3, 5], np.array([1, -4, 5]), [False, True] * 3 + [False]]
)
def test_several_items_are_the_single_ones(kind, where):
    data = kinds(7)[kind]
    several = getobs(data, where)
    assert numobs(several) == 3
    for i, place in enumerate([1, 3, 5]):
        assert plain(getobs(several, i)) == plain(getobs(data, place))


@pytest.mark.parametrize("kind", KINDS)
def test_there_is_no_item_beyond_the_last(kind):
    data = kinds(3)[kind]
    for where in (3, -4, [0, 3], [-4]):
        with pytest.raises(IndexError):
            getobs(data, where)


def test_slices_of_arrays_share_memory():
    x = np.arange(10)
    assert np.shares_memory(getobs(x, slice(2, 5)), x)
    (batch_,) = flux.DataLoader(x, batchsize=10)
    assert np.shares_memory(batch_, x)


def test_items_of_an_array_that_is_not_contiguous_are_cut_without_a_copy_of_it_all():
    text = np.arange(100_000, dtype=np.uint8)
    windows = np.lib.stride_tricks.sliding_window_view(text, 64)
    order = np.array([90_000, 7, 512])
    tracemalloc.start()
    cut = getobs(windows, order)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    np.testing.assert_array_equal(cut, np.stack([text[i : i + 64] for i in order]))
    assert peak < text.nbytes < windows.nbytes


def test_named_tuples_stay_named():
    pair = collections.namedtuple("Pair", "x y")
    data = pair(np.arange(4), list("abcd"))
    assert getobs(data, 1) == pair(1, "b")
    assert [b.y for b in flux.DataLoader(data, batchsize=2)] == [["a", "b"], ["c", "d"]]


def test_what_is_no_data_is_refused():
    for bad in (5, "text", None, {1, 2}):
        with pytest.raises(TypeError, match="numobs"):
            numobs(bad)
    with pytest.raises(ValueError, match="no data"):
        numobs(())
    with pytest.raises(flux.ShapeError, match="mask"):
        getobs(np.arange(3), [True, False])
    with pytest.raises(TypeError, match="places"):
        getobs(np.arange(3), [0.5])


# Batches


def test_samples_in_a_list_are_put_together():
    samples = [(np.full(2, i, np.float32), i, str(i)) for i in range(5)]
    first, *_ = flux.DataLoader(samples, batchsize=2)
    assert plain(first) == ([[0, 0], [1, 1]], [0, 1], ["0", "1"])
    assert first[0].dtype == np.float32


def test_a_data_set_object_makes_its_items_when_they_are_needed():
    data = Squares(5)
    batches = iter(flux.DataLoader(data, batchsize=2))
    assert data.asked == []
    assert plain(next(batches)) == ([[0, 0], [1, 1]], [0, 1]) and data.asked == [0, 1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shuffle", [False, True])
def test_every_kind_of_data_in_batches(kind, shuffle):
    data = kinds(7)[kind]
    loader = flux.DataLoader(data, batchsize=3, shuffle=shuffle)
    sizes = [numobs(b) for b in loader]
    assert sizes == [3, 3, 1] and len(loader) == 3
    assert numobs(next(iter(flux.DataLoader(data, batchsize=3, partial=False)))) == 3


def test_data_that_can_only_be_iterated():
    loader = flux.DataLoader((i * i for i in itertools.count()), batchsize=3)
    assert plain(list(itertools.islice(loader, 2))) == [[0, 1, 4], [9, 16, 25]]
    with pytest.raises(TypeError, match="generator"):
        len(loader)
    with pytest.raises(TypeError, match="shuffled"):
        flux.DataLoader(iter([1]), shuffle=True)
    sizes = [len(b) for b in flux.DataLoader(iter(range(5)), batchsize=2, partial=False)]
    assert sizes == [2, 2]


def test_single_items_in_order_and_shuffled():
    assert list(eachobs(["a", "b", "c"])) == ["a", "b", "c"]
    assert sorted(eachobs(list(range(9)), shuffle=True)) == list(range(9))
    assert len(eachobs(np.zeros((3, 2)))) == 3
    assert [x.shape for x in eachobs(np.zeros((3, 2)))] == [(2,)] * 3
    assert list(eachobs(iter("ab"))) == ["a", "b"]
    assert [len(x) for x in eachobs(np.zeros(5), batchsize=2)] == [2, 2, 1]


def test_shuffling_follows_the_seed():
    def order():
        return np.concatenate(list(flux.DataLoader(np.arange(40), batchsize=7, shuffle=True))).tolist()

    flux.seed(5)
    first = order()
    flux.seed(5)
    assert order() == first != list(range(40))


def test_data_that_changed_its_length_is_noticed():
    data = [1, 2, 3]
    loader = flux.DataLoader(data)
    data.append(4)
    with pytest.raises(ValueError, match="3 items .* 4 now"):
        next(iter(loader))


def test_stopping_early_ends_the_thread():
    before = threading.active_count()
    for _ in range(20):
        for _ in flux.DataLoader(np.arange(1000), parallel=True):
            break
    waited = threading.Event()
    while threading.active_count() > before and not waited.wait(0.01):
        pass
    assert threading.active_count() == before


def test_batches_before_an_error_in_the_thread_arrive():
    def half(items):
        if items[0] == 4:
            raise RuntimeError("unreadable")
        return items

    seen = []
    with pytest.raises(RuntimeError, match="unreadable"):
        seen.extend(flux.DataLoader(list(range(9)), batchsize=2, collate=half, parallel=True))
    seen = []
    loader = flux.DataLoader(list(range(9)), batchsize=2, collate=half, parallel=True)
    with pytest.raises(RuntimeError):
        for b in loader:
            seen.append(b)
    assert seen == [[0, 1], [2, 3]]


def test_collate_must_be_a_function():
    with pytest.raises(TypeError, match="collate"):
        flux.DataLoader([1], collate=3)


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([1, 2], [1, 2]),
        ([1.5, np.float32(2)], [1.5, 2.0]),
        ([[1, 2], [3, 4]], [[1, 2], [3, 4]]),
        ([np.zeros((1, 2)), np.ones((1, 2))], [[[0, 0]], [[1, 1]]]),
        ([flux.ones((2,)), flux.zeros((2,))], [[1, 1], [0, 0]]),
        ([flux.ones((2,)), np.zeros(2)], [[1, 1], [0, 0]]),
        (["a", "b"], ["a", "b"]),
        ([["a"], ["b"]], [["a"], ["b"]]),
        ([[1], [2, 3]], None),
        ([(1, "a"), (2, "b")], ([1, 2], ["a", "b"])),
        ([{"x": (1, 2)}, {"x": (3, 4)}], {"x": ([1, 3], [2, 4])}),
    ],
)
def test_batch_by_kind_of_item(items, expected):
    if expected is None:
        with pytest.raises(flux.ShapeError, match=r"batch: .*\(1,\), \(2,\)"):
            batch(items)
    else:
        assert plain(batch(items)) == expected


def test_tensors_give_tensors():
    for found, expected in [
        (batch([flux.ones((2,)), np.zeros(2)]), [[1, 1], [0, 0]]),
        (rpad_constant(flux.ones((2,)), 3), [1, 1, 0]),
        (chunk(flux.arange(4), 2)[1], [2, 3]),
    ]:
        assert isinstance(found, flux.Tensor) and found.tolist() == expected


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ([], "no items"),
        ([{"a": 1}, {"b": 1}], "different keys"),
        ([(1, 2), (1,)], "different lengths"),
        ([np.zeros(3), np.zeros(4)], r"\(3,\), \(4,\)"),
    ],
)
def test_batch_says_what_does_not_fit(items, words):
    with pytest.raises(ValueError, match=words):
        batch(items)


def test_unbatch_is_the_reverse_of_batch():
    items = [(np.arange(3) + i, {"n": i}) for i in range(4)]
    assert plain(unbatch(batch(items))) == plain(items)


def test_batchseq_pads_the_short_ones():
    a, b = np.arange(6.0).reshape(3, 2), np.ones((1, 2))
    steps = batchseq([a, b], -1)
    assert [s.shape for s in steps] == [(2, 2)] * 3
    assert plain(steps[2]) == [[4, 5], [-1, -1]]
    with pytest.raises(ValueError, match="no sequences"):
        batchseq([])


def test_sequences_become_one_array_with_the_short_ones_padded():
    a, b = np.arange(6.0).reshape(3, 2), np.ones((1, 2))
    together = batch_sequence([a, b], pad=-1)
    assert together.shape == (2, 3, 2) and together.dtype == np.float64
    expected = np.full((2, 3, 2), -1.0)
    expected[0], expected[1, :1] = a, b
    np.testing.assert_array_equal(together, expected)
    tensors = batch_sequence([flux.tensor(a), flux.tensor(b)], -1)
    assert isinstance(tensors, flux.Tensor) and plain(tensors) == plain(together)
    assert plain(batch_sequence(["abc", "d"], "_")) == [["a", "b", "c"], ["d", "_", "_"]]
    assert batch_sequence([[], [1.5]]).tolist() == [[0.0], [1.5]]
    assert batch_sequence(iter([[1, 2]])).tolist() == [[1, 2]]


def test_a_batch_of_sequences_has_the_steps_of_batchseq():
    seqs = [np.arange(n * 3).reshape(n, 3) for n in (2, 5, 0, 1)]
    assert plain(list(np.moveaxis(batch_sequence(seqs, 7), 1, 0))) == plain(batchseq(seqs, 7))


def test_a_gradient_passes_through_padded_sequences():
    a, b = flux.tensor([1.0, 2.0]), flux.tensor([3.0])
    ga, gb = flux.gradient(lambda a, b: (batch_sequence([a, b], 5.0) ** 2).sum(), a, b)
    assert ga.tolist() == [2.0, 4.0] and gb.tolist() == [6.0]


@pytest.mark.parametrize(
    ("seqs", "error", "words"),
    [
        ([], ValueError, "batch_sequence: there are no sequences"),
        ([np.zeros((2, 3)), np.zeros((2, 4))], flux.ShapeError, r"batch_sequence: .* shapes: \(3,\), \(4,\)"),
        ([1, 2], flux.ShapeError, r"batch_sequence: an array of shape \(\) has no items"),
    ],
)
def test_sequences_that_do_not_fit_together(seqs, error, words):
    with pytest.raises(error, match=words):
        batch_sequence(seqs)


# Labels


@pytest.mark.parametrize("make", [list, tuple, np.array, flux.tensor, pd.Series, iter])
def test_labels_are_grouped_in_the_order_of_their_first_places(make):
    labels = [3, 1, 3, 2, 1, 3]
    assert plain(group_indices(make(labels))) == {3: [0, 2, 5], 1: [1, 4], 2: [3]}
    assert list(group_indices(make(labels))) == [3, 1, 2]
    assert group_counts(make(labels)) == {3: 3, 1: 2, 2: 1} == dict(collections.Counter(labels))
    assert all(places.dtype == np.int64 for places in group_indices(make(labels)).values())


def test_labels_may_be_text_characters_none_and_nan():
    assert plain(group_indices(np.array(["b", "a", "b"]))) == {"b": [0, 2], "a": [1]}
    assert group_counts("hello") == {"h": 1, "e": 1, "l": 2, "o": 1}
    assert plain(list(group_indices([np.nan, None, float("nan"), None]).values())) == [[0, 2], [1, 3]]
    assert list(group_counts(np.array([np.nan, 1.0, np.nan])).values()) == [2, 1]
    assert list(group_counts([np.float32("nan"), np.nan, np.float16("nan")]).values()) == [3]
    assert group_indices([]) == group_counts(np.array([])) == {}


@pytest.mark.parametrize("labels", [np.zeros((2, 2)), [[1], [2]], [{}]])
def test_labels_must_be_keys(labels):
    for f in (group_indices, group_counts):
        with pytest.raises(TypeError, match=f"{f.__name__}: labels must be numbers or text, got"):
            f(labels)
        with pytest.raises(TypeError, match=f"{f.__name__}: labels must be an array or a sequence, got 3"):
            f(3)


def test_padding_by_axes():
    x = [[1, 2], [3, 4]]
    assert plain(rpad_constant(x, 3)) == [[1, 2, 0], [3, 4, 0], [0, 0, 0]]
    assert plain(rpad_constant(x, (2, 3), 9)) == [[1, 2, 9], [3, 4, 9]]
    assert plain(rpad_constant(flux.tensor(x), 3, 9, axis=-1)) == [[1, 2, 9], [3, 4, 9]]
    assert plain(rpad_constant(x, 1)) == x
    with pytest.raises(IndexError, match="axis 2"):
        rpad_constant(x, 3, axis=2)
    with pytest.raises(flux.ShapeError, match="3 sizes for 2 axes"):
        rpad_constant(x, (1, 2, 3))


@given(st.integers(0, 40), st.integers(1, 12))
def test_chunks_are_consecutive_and_of_one_size_but_the_last(n, k):
    for parts in (chunk(range(n), k), chunk(list(range(n)), k), chunk(np.arange(n), k)):
        assert [int(i) for part in parts for i in part] == list(range(n))
        assert len(parts) <= k
        assert {len(part) for part in parts[:-1]} <= {-(-n // k)}
    by_size = chunk(np.arange(n), size=k)
    assert [len(part) for part in by_size] == [k] * (n // k) + [n % k] * (n % k > 0)


def test_chunks_along_an_axis_and_of_given_sizes():
    x = np.arange(12).reshape(2, 6)
    assert [p.shape for p in chunk(x, 3, axis=-1)] == [(2, 2)] * 3
    assert [p.shape for p in chunk(flux.tensor(x), size=[1, 0, 5], axis=1)] == [(2, 1), (2, 0), (2, 5)]
    assert plain(chunk(x, [0, 2])) == [[[0, 1, 2, 3, 4, 5]], [], [[6, 7, 8, 9, 10, 11]]]


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: chunk([1, 2]), TypeError),
        (lambda: chunk([1, 2], 1, size=1), TypeError),
        (lambda: chunk([1, 2], 0), ValueError),
        (lambda: chunk([1, 2], size=0), ValueError),
        (lambda: chunk([1, 2], size=[1, 2]), flux.ShapeError),
        (lambda: chunk([1, 2], [1, 0]), ValueError),
        (lambda: chunk([1, 2], 1, axis=1), ValueError),
        (lambda: chunk(np.zeros(2), 1, axis=1), IndexError),
    ],
)
def test_chunk_says_what_is_wrong(call, error):
    with pytest.raises(error, match="chunk"):
        call()


def test_gradients_pass_through_batches_and_chunks():
    x = flux.tensor([1.0, 2.0, 3.0, 4.0])

    def f(x):
        a, b = chunk(x, 2)
        padded = rpad_constant(batch([a * a, b]), 3, axis=1)
        return (padded * padded).sum()

    assert flux.gradient(f, x)[0].tolist() == [4.0, 32.0, 6.0, 8.0]


# Parts


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shuffle", [False, True])
def test_splits_have_every_item_once(kind, shuffle):
    data = kinds(10)[kind]
    parts = splitobs(data, at=(0.5, 0.3), shuffle=shuffle)
    assert [numobs(p) for p in parts] == [5, 3, 2]
    items = [plain(getobs(p, i)) for p in parts for i in range(numobs(p))]
    wanted = [plain(getobs(data, i)) for i in range(10)]
    assert sorted(items, key=str) == sorted(wanted, key=str)
    assert shuffle or items == wanted


@pytest.mark.parametrize(
    ("n", "at", "sizes"),
    [
        (10, 0.75, [8, 2]),
        (5, 0.5, [2, 3]),
        (10, 3, [3, 7]),
        (10, (3, 4), [3, 4, 3]),
        (0, 0.5, [0, 0]),
        (3, (1.0,), [3, 0]),
        (10, (0.1,) * 9, [1] * 10),
        (7, (), [7]),
    ],
)
def test_sizes_of_splits(n, at, sizes):
    assert [len(r) for r in splitobs(n, at)] == sizes
    assert [len(p) for p in splitobs(np.zeros(n), at)] == sizes


@pytest.mark.parametrize("at", [1.5, -0.1, (0.7, 0.7), 11, (6, 6), (-1, 3)])
def test_splits_that_do_not_fit(at):
    with pytest.raises(ValueError, match="splitobs"):
        splitobs(10, at)


def test_a_stratified_split_keeps_the_proportions():
    labels = ["a"] * 80 + ["b"] * 20
    for shuffle in (False, True):
        train, test = splitobs((np.arange(100), labels), at=0.75, stratified=labels, shuffle=shuffle)
        assert collections.Counter(train[1]) == {"a": 60, "b": 15}
        assert sorted([*train[0], *test[0]]) == list(range(100))
    with pytest.raises(flux.ShapeError, match="3 labels for 2"):
        splitobs([1, 2], 0.5, stratified=[1, 2, 3])


def test_parts_of_what_is_not_in_memory_are_views():
    data = Squares(6)
    train, test = splitobs(shuffleobs(data), at=4)
    assert data.asked == []
    items = [i for _, i in train] + [i for _, i in test]
    assert sorted(items) == list(range(6)) and data.asked == items
    assert plain(getobs(test)) == [plain(test[0]), plain(test[1])]


LABELS = np.array([0, 1, 1, 1, 1, 0, 2, 1])


@pytest.mark.parametrize("shuffle", [False, True])
def test_oversampling_balances_and_keeps_every_item(shuffle):
    x, y = oversample((np.arange(8), LABELS), shuffle=shuffle)
    assert np.bincount(y).tolist() == [5, 5, 5]
    assert (LABELS[x] == y).all() and set(x.tolist()) == set(range(8))
    assert shuffle or x[:8].tolist() == list(range(8))
    assert np.bincount(LABELS[oversample(np.arange(8), LABELS, fraction=0.5)]).tolist() == [2, 5, 2]


@pytest.mark.parametrize("shuffle", [False, True])
def test_undersampling_balances(shuffle):
    x, y = undersample((np.arange(8), flux.tensor(LABELS)), shuffle=shuffle)
    assert sorted(y.tolist()) == [0, 1, 2] and len(set(x.tolist())) == 3
    assert shuffle or x.tolist() == sorted(x.tolist())


def test_classes_that_do_not_fit_the_data():
    for f in (oversample, undersample):
        with pytest.raises(TypeError, match=f"{f.__name__}: the classes are missing"):
            f(np.arange(3))
        with pytest.raises(flux.ShapeError, match=f"{f.__name__}: 2 classes for 3"):
            f(np.arange(3), [0, 1])
        with pytest.raises(ValueError, match="no items"):
            f([], [])
        with pytest.raises(TypeError, match="labels"):
            f([1, 2], [[0, 1], [1, 0]])


def test_random_items_may_occur_again():
    flux.seed(1)
    drawn = randobs(np.arange(3), 100)
    assert set(drawn.tolist()) == {0, 1, 2}
    assert randobs(["a"]) == "a"
    with pytest.raises(ValueError, match="randobs"):
        randobs([])


@pytest.mark.parametrize(
    "f",
    [
        shuffleobs,
        lambda data, rng: randobs(data, 9, rng=rng),
        lambda data, rng: splitobs(data, 3, True, rng=rng)[0],
        lambda data, rng: undersample(data, data % 3, rng=rng),
    ],
)
def test_a_generator_repeats_a_choice(f):
    data = np.arange(30)
    assert plain(f(data, rng=flux.Generator(3))) == plain(f(data, rng=flux.Generator(3)))
    assert plain(f(data, rng=flux.Generator(3))) != plain(f(data, rng=flux.Generator(4)))


# Data made of data


@pytest.mark.parametrize("batched", [False, True, "auto"])
def test_mapped_data(batched):
    data = mapobs(lambda x: {"sum": x["a"] + x["b"]}, {"a": np.arange(5), "b": np.ones(5)}, batched=batched)
    assert len(data) == 5 and data[3]["sum"] == 4
    assert data[-1]["sum"] == 5
    some = plain(getobs(data, slice(1, 3)))
    assert some == ({"sum": [2, 3]} if batched else [{"sum": 2}, {"sum": 3}])
    batches = list(flux.DataLoader(data, batchsize=2))
    assert plain(batches) == [{"sum": [1, 2]}, {"sum": [3, 4]}, {"sum": [5]}]


def test_functions_map_batches_only_if_told():
    seen = []
    f = lambda x: seen.append(np.ndim(x)) or x
    for batched, dims in ((False, [0, 0]), (True, [1]), ("auto", [1])):
        seen.clear()
        next(iter(flux.DataLoader(mapobs(f, np.arange(4), batched=batched), batchsize=2)))
        assert seen == dims
    with pytest.raises(TypeError, match="mapobs"):
        mapobs(3, [1])


def test_maps_in_tuples_and_dicts():
    a, b = mapobs((abs, str), [-1, 2])
    assert list(a) == [1, 2] and list(b) == ["-1", "2"]
    both = mapobs({"size": abs, "text": str}, [-1, 2])
    assert getobs(both, 0) == {"size": 1, "text": "-1"}


def parity(item):
    while isinstance(item, (tuple, dict)):
        item = next(iter(item.values() if isinstance(item, dict) else item))
    return int(np.ravel(item)[0]) % 2


@pytest.mark.parametrize("kind", KINDS)
def test_filter_and_group_agree(kind):
    data = kinds(7)[kind]
    groups = groupobs(parity, data)
    assert sorted(groups) == [0, 1]
    for key, group in groups.items():
        same = filterobs(lambda item, key=key: parity(item) == key, data)
        assert plain(unbatch(group)) == plain(unbatch(same))
    assert numobs(filterobs(lambda _: False, data)) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_joined_data_has_the_items_of_both(kind):
    a, b = kinds(3)[kind], kinds(4)[kind]
    both = joinobs(a, b)
    assert numobs(both) == 7
    wanted = plain(unbatch(a) + unbatch(b))
    assert plain(unbatch(both)) == wanted
    assert plain(getobs(both, -1)) == wanted[-1]


def test_frames_stay_frames_and_keep_the_types_of_their_columns():
    frames = [pd] if pl is None else [pd, pl]
    for library in frames:
        frame = library.DataFrame({"n": np.arange(6), "x": np.linspace(0, 1, 6), "name": list("abcdef")})
        train, test = splitobs(frame, at=4, shuffle=True)
        assert type(train) is type(test) is type(frame)
        (first, second) = flux.DataLoader(frame, 3)
        assert first["n"].to_list() == [0, 1, 2] and second["name"].to_list() == ["d", "e", "f"]
        assert list(first.dtypes) == list(frame.dtypes)
        joined = joinobs(train, test)
        assert type(joined) is type(frame) and sorted(joined["n"].to_list()) == list(range(6))
        # Numbers of a frame go straight into a model.
        assert flux.Dense(2, 1)(first[["n", "x"]]).shape == (3, 1)
        pairs = list(flux.DataLoader((frame[["x"]], frame["n"]), 4))
        assert [len(y) for _, y in pairs] == [4, 2] and type(pairs[0][0]) is type(frame)


def test_a_row_of_a_polars_frame_is_a_dict():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"n": [1, 2], "name": ["a", "b"]})
    assert getobs(frame, 1) == {"n": 2, "name": "b"} and eachobs(frame, collate=None).data is frame
    assert plain(batch(unbatch(frame))) == {"n": [1, 2], "name": ["a", "b"]}


def test_joining_different_kinds():
    both = joinobs(range(2), [10, 11], np.arange(20, 22))
    assert [int(x) for x in both] == [0, 1, 10, 11, 20, 21]
    assert plain(list(flux.DataLoader(both, batchsize=4))) == [[0, 1, 10, 11], [20, 21]]
    with pytest.raises(ValueError, match="joinobs"):
        joinobs()
    with pytest.raises(TypeError, match="joinobs: data must be arrays or sequences, got a int"):
        joinobs([1], 5)


def test_all_names_are_sorted():
    assert mlutils.__all__ == sorted(mlutils.__all__)


@pytest.mark.parametrize("where", [None, slice(1), 0, [0]])
@pytest.mark.parametrize("data", [set(), {1}, flux.DataLoader([1.0, 2.0]), iter([1]), 5, "text"])
def test_what_has_no_items_is_an_error_wherever_they_are_asked_for(data, where):
    with pytest.raises(TypeError, match="getobs: data must be arrays or sequences"):
        getobs(data, where)


ONE = [flux.ones(1)]


class Ends:
    """A data set that raises at its third item what ends a loop."""

    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 6

    def __getitem__(self, i):
        if i == 2:
            raise self.error
        return np.float32(i)


@pytest.mark.parametrize(
    "take",
    [
        lambda data: list(flux.DataLoader(data, 2)),
        lambda data: list(flux.DataLoader(data, None)),
        lambda data: list(flux.DataLoader(data, 2, collate=list)),
        lambda data: list(flux.DataLoader(data, 2, parallel=2)),
        lambda data: list(flux.DataLoader(data, 2, shuffle=True)),
        lambda data: list(flux.DataLoader(flux.mapobs(lambda x: x, data), 2)),
        lambda data: list(flux.mapobs(lambda x: x, data)),
        lambda data: list(flux.shuffleobs(data)),
        lambda data: list(flux.joinobs(data, data)),
        lambda data: flux.fit(lambda m, x: (m[0] * x).sum(), ONE, data, flux.Descent(), epochs=2),
        lambda data: flux.train(lambda m, x: (m[0] * x).sum(), ONE, data, flux.setup(flux.Descent(), ONE)),
    ],
)
@pytest.mark.parametrize(
    ("error", "raised"), [(StopIteration(), RuntimeError), (IndexError("of its own"), IndexError)]
)
def test_an_item_that_raises_what_ends_a_loop_is_an_error(take, error, raised):
    with pytest.raises(raised):
        take(Ends(error))


@pytest.mark.parametrize(
    "take",
    [
        lambda f: list(flux.DataLoader(flux.mapobs(f, range(4)), 2)),
        lambda f: list(flux.DataLoader([1, 2, 3, 4], 2, collate=f)),
        lambda f: list(flux.DataLoader([1, 2, 3, 4], 2, collate=f, parallel=2)),
        lambda f: list(flux.DataLoader(iter([1, 2, 3, 4]), 2, collate=f)),
        lambda f: list(flux.mapobs(f, range(4))),
    ],
)
def test_a_function_that_raises_stop_iteration_does_not_end_the_data(take):
    def ends(_):
        raise StopIteration

    with pytest.raises(RuntimeError):
        take(ends)


def stops(*_):
    raise StopIteration("of its own")


class Unmeasured(Ends):
    """Data whose length ends a loop."""

    def __len__(self):
        raise StopIteration("of its own")


@pytest.mark.parametrize(
    ("what", "act"),
    [
        ("filterobs: the function, at item 0,", lambda: flux.filterobs(stops, range(4))),
        ("groupobs: the function, at item 0,", lambda: flux.groupobs(stops, range(4))),
        ("item 2 of the data", lambda: flux.filterobs(bool, Ends(StopIteration()))),
        ("item 2 of the data", lambda: flux.groupobs(bool, Ends(StopIteration()))),
        ("item 2 of the data", lambda: flux.getobs(Ends(StopIteration()), 2)),
        ("item 2 of the data", lambda: flux.getobs(Ends(StopIteration()), slice(0, 3))),
        ("item 2 of the data", lambda: list(flux.eachobs(Ends(StopIteration())))),
        ("item 2 of the data", lambda: [list(part) for part in flux.splitobs(Ends(StopIteration()), 0.5)]),
        ("item 2 of the data", lambda: [list(t) for t, _ in flux.kfolds(Ends(StopIteration()), 2)]),
        ("item 2 of the data", lambda: flux.unbatch(Ends(StopIteration()))),
        ("item 2 of the data", lambda: list(flux.oversample(Ends(StopIteration()), [0, 1, 1, 1, 1, 1]))),
        ("mapobs: the function", lambda: flux.mapobs(stops, range(4))[1]),
        ("mapobs: the function", lambda: flux.mapobs(stops, range(4), batched=True)[1:3]),
        (
            "mapobs: the function",
            lambda: list(flux.DataLoader(flux.mapobs(stops, range(4), batched="auto"), 2)),
        ),
        ("DataLoader: collate", lambda: list(flux.DataLoader([1, 2], 2, collate=stops))),
        ("DataLoader: collate", lambda: list(flux.DataLoader(iter([1, 2]), 2, collate=stops))),
        ("DataLoader: collate", lambda: list(flux.DataLoader(iter([1, 2]), 2, collate=stops, parallel=True))),
        ("numobs: __len__ of a Unmeasured", lambda: flux.numobs(Unmeasured(None))),
        ("DataLoader: __len__ of a Unmeasured", lambda: flux.DataLoader(Unmeasured(None))),
        ("mapobs: __len__ of a Unmeasured", lambda: flux.mapobs(str, Unmeasured(None))),
        ("__len__ of a Unmeasured", lambda: train_once(data=Unmeasured(None))),
        ("train: the loss", lambda: train_once(loss=stops)),
        ("train: the callback", lambda: train_once(callback=stops)),
        ("train: __iter__ of the data", lambda: train_once(data=type("Data", (), {"__iter__": stops})())),
        ("trainstep: the loss", lambda: flux.trainstep(stops, ONE, (), flux.setup(flux.Descent(), ONE))),
        ("fit: the loss", lambda: fit_once(loss=stops)),
        ("fit: the callback stops", lambda: fit_once(callbacks=stops)),
        ("fit: the metric m", lambda: fit_once(metrics={"m": stops}, validation=[1.0])),
        ("fit: the schedule of eta", lambda: fit_once(schedule=stops)),
        ("item 2 of the data", lambda: fit_once(validation=Ends(StopIteration()))),
        ("item 2 of the data", lambda: fit_once(data=Ends(StopIteration()), steps=3)),
        ("fit: the log", lambda: fit_once(log=type("Log", (), {"add_scalar": stops})())),
    ],
)
def test_no_stop_iteration_of_somebody_else_ends_the_data(what, act):
    with pytest.raises(
        RuntimeError, match=f"{what} raised StopIteration, which would end the data early"
    ) as given:
        act()
    assert isinstance(given.value.__cause__, StopIteration)


def product(m, x):
    return (m[0] * x).sum()


def train_once(loss=product, data=(1.0,), **options):
    flux.train(loss, ONE, data, flux.setup(flux.Descent(), ONE), **options)


def fit_once(loss=product, data=None, **options):
    flux.fit(loss, ONE, [1.0] if data is None else data, flux.Descent(), **options)


def test_sequences_of_characters_are_padded_with_characters():
    expected = [["a", "d"], ["b", "e"], ["c", "_"]]
    for seqs in (
        [["a", "b", "c"], ["d", "e"]],
        ["abc", "de"],
        [np.array(["a", "b", "c"]), np.array(["d", "e"])],
    ):
        assert [x.tolist() for x in flux.batchseq(seqs, "_")] == expected
    assert [x.tolist() for x in flux.batchseq([["a"], ["b", "c"]], "<pad>")] == [["a", "b"], ["<pad>", "c"]]
    assert flux.onehotbatch(flux.batchseq(["ab", "c"], "_")[1], "abc_").tolist() == [
        [False, True, False, False],
        [False, False, False, True],
    ]


def test_padding_keeps_its_value():
    assert [x.tolist() for x in flux.batchseq([[1, 2], [3]], 0.5)] == [[1, 3], [2, 0.5]]
    assert flux.rpad_constant(np.ones(1, np.float32), 2, 0.5).dtype == np.float32
    assert flux.rpad_constant([1], 2, 0.0).dtype == np.int64
    with pytest.raises(TypeError, match=r"cannot be padded with '_'"):
        flux.batchseq([[1, 2], [3]], "_")


class TorchLike:
    """What a tensor of PyTorch looks like."""

    def __init__(self, values, dtype="torch.float32"):
        self.values, self.dtype = np.array(values, np.float32), dtype
        self.shape = self.values.shape

    def detach(self):
        return self

    def cpu(self):
        return self

    def float(self):
        return TorchLike(self.values)

    def numpy(self):
        return self.values

    def __array__(self, dtype=None, copy=None):
        if self.dtype == "torch.bfloat16":
            raise TypeError("Got unsupported ScalarType BFloat16")
        return self.values


@pytest.mark.parametrize("dtype", ["torch.float32", "torch.bfloat16"])
def test_tensors_of_torch_are_stacked(dtype):
    data = [(TorchLike([i, 1], dtype), TorchLike(i, dtype)) for i in range(4)]
    ((x, y),) = flux.DataLoader(data, 4)
    assert x.tolist() == [[i, 1] for i in range(4)] and y.tolist() == [0, 1, 2, 3]


def test_a_stratified_split_without_shuffle_keeps_the_order():
    labels = np.array([0, 1, 0, 1, 0, 1, 0, 1])
    first, second = flux.splitobs(np.arange(8), 0.5, stratified=labels)
    assert first.tolist() == [0, 1, 2, 3] and second.tolist() == [4, 5, 6, 7]
    unequal = np.array([1, 0, 0, 0, 1, 0, 0, 1])
    first, second = flux.splitobs(np.arange(8), 2 / 3, stratified=unequal)
    assert first.tolist() == [0, 1, 2, 3, 4] and second.tolist() == [5, 6, 7]


def test_fractions_may_add_up_to_a_rounding_more_than_one():
    at = (0.1, 0.7, 0.2 + 2**-52)
    assert sum(at) > 1
    assert [len(part) for part in flux.splitobs(100, at)] == [10, 70, 20, 0]
    with pytest.raises(ValueError, match="add up to at most 1"):
        flux.splitobs(100, (0.5, 0.51))


@pytest.mark.parametrize(("items", "val", "dtype"), [
    ([1, 2], 0.5, "float32"), ([1, 2], float("nan"), "float32"), ([1, 2], 7.0, "int64"), ([True, False], 2, "int64"),
    ([True, False], 0, "bool"), ([True, False], 0.5, "float32"), ([1.0, 2.0], 3, "float32"),
], ids=str)  # fmt: skip
def test_a_padding_that_a_tensor_cannot_hold_widens_it_as_it_does_an_array(items, val, dtype):
    padded = rpad_constant(flux.tensor(items), 3, val)
    array = rpad_constant(np.array(items), 3, val)
    assert padded.dtype == dtype and array.dtype.kind == padded.numpy().dtype.kind
    np.testing.assert_array_equal(padded.numpy(), [*items, val])
    np.testing.assert_array_equal(array, [*items, val])
    together = flux.batch_sequence([flux.tensor(items), flux.tensor(items[:1])], pad=val)
    np.testing.assert_array_equal(together.numpy(), [items, [items[0], val]])


def test_sizes_of_parts_and_paddings_may_be_integers_of_numpy():
    three = np.int64(3)
    assert plain(chunk(list(range(7)), three)) == plain(chunk(list(range(7)), 3))
    assert plain(chunk(list(range(7)), size=three)) == plain(chunk(list(range(7)), size=3))
    assert plain(rpad_constant([[1, 2]], three, axis=np.int64(-1))) == [[1, 2, 0]]


def test_the_parts_of_a_split_are_numbers():
    assert splitobs(10, at=np.int64(3)) == splitobs(10, at=3) and splitobs(
        10, at=np.float64(0.3)
    ) == splitobs(10, at=0.3)
    assert splitobs(10, at=np.array([2, 3])) == splitobs(10, at=[2, 3])
    for at in ("a", True, None, [0.5, "b"]):
        with pytest.raises(TypeError, match="splitobs: the parts are numbers of items or fractions, got"):
            splitobs(10, at=at)
    with pytest.raises(ValueError, match="splitobs: the parts must be positive .* got nan"):
        splitobs(10, at=float("nan"))
