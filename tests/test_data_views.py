"""Windows, views and batches of data as data; how a DataLoader collates, and writes into memory that is there."""

import collections
import tracemalloc

import numpy as np
import pytest

import oxiflux as flux
from kinds import KINDS, Squares, kinds, plain
from oxiflux.data import BatchView, getobs, numobs, obsview, slidingwindow

# Windows


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("size", "stride"), [(1, 1), (3, 1), (3, 2), (2, 5), (7, 1), (7, 3)])
def test_windows_are_adjacent_items_of_every_kind_of_data(kind, size, stride):
    data = kinds(7)[kind]
    windows = slidingwindow(data, size, stride)
    starts = [i for i in range(0, 7, stride) if i + size <= 7]
    assert numobs(windows) == len(windows) == len(starts)
    for window, start in zip(windows, starts, strict=True):
        assert plain(window) == plain(getobs(data, slice(start, start + size)))
    assert plain(windows[-1]) == plain(getobs(data, slice(starts[-1], starts[-1] + size)))
    assert plain(getobs(windows, [0, -1])) == [plain(windows[0]), plain(windows[-1])]


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if "polars" not in kind and kind not in ("frame", "series")]
)
@pytest.mark.parametrize("shuffle", [False, True])
def test_batches_of_windows_are_stacked(kind, shuffle):
    windows = slidingwindow(kinds(9)[kind], 4, 2)
    (batch,) = flux.DataLoader(windows, batchsize=3, shuffle=shuffle, rng=flux.Generator(1))
    order = flux.Generator(1).randperm(3).tolist() if shuffle else range(3)
    expected = flux.batch([flux.batch(list(flux.eachobs(windows[i]))) for i in order])
    assert plain(batch) == plain(expected)
    assert isinstance(batch, flux.Tensor) == (kind == "tensor")


def test_a_window_of_an_array_is_no_copy():
    x = np.arange(20).reshape(10, 2)
    windows = slidingwindow((x, list("abcdefghij")), 3)
    assert np.shares_memory(windows[4][0], x) and windows[4][1] == list("efg")
    (batch, letters), *_ = flux.DataLoader(windows, batchsize=2)
    assert batch.shape == (2, 3, 2) and letters == [list("abc"), list("bcd")]


def test_windows_of_what_is_not_in_memory_are_made_when_asked_for():
    data = Squares(6)
    windows = slidingwindow(data, 2, 3)
    assert data.asked == []
    assert plain(windows[1]) == [([3, 9], 3), ([4, 16], 4)] and data.asked == [3, 4]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda: slidingwindow([1, 2], 3),
            ValueError,
            "the size of a window, 3, is above the number of items, 2",
        ),
        (
            lambda: slidingwindow([], 1),
            ValueError,
            "the size of a window, 1, is above the number of items, 0",
        ),
        (lambda: slidingwindow([1, 2], 0), ValueError, "slidingwindow: size must be at least 1, got 0"),
        (lambda: slidingwindow([1, 2], -2), ValueError, "slidingwindow: size must be at least 1, got -2"),
        (lambda: slidingwindow([1, 2], 1, 0), ValueError, "slidingwindow: stride must be at least 1, got 0"),
        (
            lambda: slidingwindow([1, 2], 1, -1),
            ValueError,
            "slidingwindow: stride must be at least 1, got -1",
        ),
        (
            lambda: slidingwindow([1, 2], 1.5),
            TypeError,
            "slidingwindow: size must be a whole number, got 1.5",
        ),
        (lambda: slidingwindow(([1, 2], [1]), 1), flux.ShapeError, "slidingwindow: .* 2 in 0, 1 in 1"),
        (lambda: slidingwindow("text", 1), TypeError, "slidingwindow: data must be arrays or sequences"),
        (lambda: slidingwindow([1, 2], 1)[2], IndexError, "range"),
    ],
)
def test_windows_that_cannot_be(call, error, words):
    with pytest.raises(error, match=words):
        call()


# Views


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("where", "indices"),
    [
        (slice(1, 6, 2), [1, 3, 5]),
        ([5, 1, -6, 1], [5, 1, 1, 1]),
        ([True, False] * 3 + [True], [0, 2, 4, 6]),
        ([], []),
        (None, range(7)),
        (slice(None, None, -1), range(6, -1, -1)),
    ],
)
def test_a_view_has_the_items_at_its_places(kind, where, indices):
    data = kinds(7)[kind]
    view = obsview(data, where)
    assert len(view) == numobs(view) == len(indices)
    assert [plain(x) for x in view] == [plain(getobs(data, int(i))) for i in indices]
    assert plain(getobs(view)) == plain(getobs(data, list(indices)))
    again = obsview(view, slice(0, 2))
    assert again.data is data and [plain(x) for x in again] == [
        plain(getobs(data, int(i))) for i in indices[:2]
    ]


def test_a_view_copies_nothing_before_it_is_asked():
    data = Squares(6)
    view = obsview(data, [4, 2])
    (batch,) = flux.DataLoader(view, batchsize=2)
    assert data.asked == [4, 2] and plain(batch) == ([[4, 16], [2, 4]], [4, 2])
    x = np.arange(6.0)
    view = obsview(x, [4, 2])
    x[4] = 9
    assert view[0] == 9


@pytest.mark.parametrize(
    ("where", "error", "words"),
    [
        (3, TypeError, r"obsview: several places are a list, \[3\]; getobs\(data, 3\) is the item there"),
        ([0, 7], IndexError, "there is no item 7 among 7"),
        ([-8], IndexError, "there is no item -8 among 7"),
        ([True], flux.ShapeError, "a mask of shape"),
        ([0.5], TypeError, "places must be"),
    ],
)
def test_places_that_are_not_there_are_refused_at_once(where, error, words):
    with pytest.raises(error, match=words):
        obsview(np.arange(7), where)


# Batches


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("batchsize", "partial"), [(1, True), (3, True), (3, False), (7, True), (9, True), (9, False)]
)
def test_a_view_of_batches_has_those_of_a_loader(kind, batchsize, partial):
    data = kinds(7)[kind]
    view = BatchView(data, batchsize, partial)
    expected = [plain(b) for b in flux.DataLoader(data, batchsize, partial=partial)]
    assert [plain(b) for b in view] == [plain(view[i]) for i in range(len(view))] == expected
    assert len(view) == numobs(view) == len(expected)
    if expected:
        assert plain(view[-1]) == expected[-1] and [plain(b) for b in view[0:2]] == expected[:2]


def test_the_batches_of_a_view_can_be_shuffled():
    view = BatchView((np.arange(7), list("abcdefg")), batchsize=3)
    batches = [
        (x.tolist(), y) for x, y in flux.DataLoader(view, batchsize=None, shuffle=True, rng=flux.Generator(1))
    ]
    assert sorted(batches) == [([0, 1, 2], list("abc")), ([3, 4, 5], list("def")), ([6], ["g"])]
    assert batches != sorted(batches)


def test_a_view_of_batches_takes_from_memory_without_a_copy():
    x = np.arange(10)
    assert np.shares_memory(BatchView(x, 4)[1], x)
    data = Squares(5)
    view = BatchView(data, batchsize=2)
    assert data.asked == [] and view.batchsize == 2
    assert plain(view[2]) == ([[4, 16]], [4]) and data.asked == [4]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: BatchView([1], 0), ValueError, "BatchView: batchsize must be at least 1, got 0"),
        (lambda: BatchView([1], 1.5), TypeError, "BatchView: batchsize must be a whole number, got 1.5"),
        (lambda: BatchView([1], batch_size=1), TypeError, "'batch_size'; did you mean 'batchsize'"),
        (lambda: BatchView(5), TypeError, "BatchView: data must be arrays"),
        (
            lambda: BatchView([1], collate="yes"),
            TypeError,
            "BatchView: collate must be a function .*, got 'yes'",
        ),
        (lambda: BatchView([1, 2], 2)[1], IndexError, "range"),
        (lambda: BatchView([], 2)[0], IndexError, "range"),
    ],
)
def test_batches_that_cannot_be(call, error, words):
    with pytest.raises(error, match=words):
        call()


# Collating


@pytest.mark.parametrize("take", [flux.DataLoader, BatchView])
def test_items_are_stacked_left_in_a_list_or_collated(take):
    data = (np.arange(6).reshape(3, 2), ["a", "b", "c"])
    (stacked,) = take(data, 3, collate=True)
    assert plain(stacked) == ([[0, 1], [2, 3], [4, 5]], ["a", "b", "c"])
    (listed,) = take(data, 3, collate=False)
    assert plain(listed) == [([0, 1], "a"), ([2, 3], "b"), ([4, 5], "c")]
    (own,) = take(data, 3, collate=lambda items: "".join(name for _, name in items))
    assert own == "abc"


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_stacked_items_are_the_batch_that_is_cut(kind, shuffle):
    data = kinds(7)[kind]
    if kind in ("frame", "polars"):
        data = {"a": data["a"]}
    make = lambda **o: [plain(b) for b in flux.DataLoader(data, 3, shuffle, rng=flux.Generator(2), **o)]
    assert make(collate=True) == make()
    assert [
        list(map(plain, b)) for b in flux.DataLoader(data, 3, shuffle, rng=flux.Generator(2), collate=False)
    ] == [
        [plain(x) for x in flux.eachobs(b)] for b in flux.DataLoader(data, 3, shuffle, rng=flux.Generator(2))
    ]


def test_a_stream_is_collated_likewise():
    assert list(flux.DataLoader(iter("abc"), 2, collate=False)) == [["a", "b"], ["c"]]
    assert plain(list(flux.DataLoader(iter([1, 2, 3]), 2, collate=True))) == [[1, 2], [3]]


@pytest.mark.parametrize("collate", [1, 0, "stack", [1]])
def test_what_is_no_way_to_collate_is_refused(collate):
    with pytest.raises(TypeError, match="DataLoader: collate must be a function"):
        flux.DataLoader([1, 2], collate=collate)


# Memory that is written again


def address(x):
    return x.__array_interface__["data"][0]


def data_of(form, n=7):
    x, y = np.arange(n * 3.0).reshape(n, 3), np.arange(n)
    pair = collections.namedtuple("Pair", "x y")
    return {
        "array": x, "tuple": (x, y), "dict": {"x": x, "y": y}, "named": pair(x, y), "nested": {"in": (x,), "y": y},
        "mixed": (x, list("abcdefg"[:n])), "with a tensor": (x, flux.tensor(y)), "with objects": (x, Squares(n)),
        "strided": x.T.copy().T, "empty": x[:, :0],
    }[form]  # fmt: skip


FORMS = [
    "array",
    "tuple",
    "dict",
    "named",
    "nested",
    "mixed",
    "with a tensor",
    "strided",
    "empty",
    "with objects",
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("size", [1, 3, 7, 10])
def test_batches_in_a_buffer_are_the_same(form, shuffle, partial, size):
    data = data_of(form)
    options = {"batchsize": size, "shuffle": shuffle, "partial": partial}
    plainly = [plain(b) for b in flux.DataLoader(data, **options, rng=flux.Generator(4))]
    loader = flux.DataLoader(data, **options, rng=flux.Generator(4), buffer=True)
    buffered = []
    for b in loader:
        assert type(b) is type(data)
        buffered.append(plain(b))
    assert buffered == plainly
    # The next pass, too.
    assert ([plain(getobs(b, [0])) for b in loader] and len(list(loader)) == len(plainly)) or not plainly


@pytest.mark.parametrize("shuffle", [False, True])
def test_all_batches_of_a_pass_are_in_the_same_memory_and_not_in_that_of_the_data(shuffle):
    x = np.arange(14.0).reshape(7, 2)
    before = x.copy()
    batches = list(flux.DataLoader(x, 3, shuffle, buffer=True))
    assert len({address(b) for b in batches}) == 1 and not np.shares_memory(batches[0], x)
    batches[0][...] = -1
    np.testing.assert_array_equal(x, before)
    loader = flux.DataLoader(x, 3, shuffle, buffer=True)
    for a, b in zip(loader, loader, strict=True):
        assert not np.shares_memory(a, b)


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_pass_with_a_buffer_takes_no_memory_for_its_batches(shuffle):
    x = np.zeros((4000, 500), np.float32)

    def peak(**options):
        loader = flux.DataLoader(x, 500, shuffle, rng=flux.Generator(0), **options)
        tracemalloc.start()
        held = None
        for b in loader:
            held = b
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert held is not None
        return most

    one = 500 * 500 * 4
    assert peak(buffer=np.empty((500, 500), np.float32)) < one / 4
    assert peak(buffer=True) < 1.5 * one
    if shuffle:
        assert peak() > 1.9 * one


def test_a_given_buffer_is_written_into():
    x, y = np.arange(10.0).reshape(5, 2), np.arange(5)
    buffer = (np.empty((2, 2)), np.empty(2, int))
    seen = []
    for a, b in flux.DataLoader((x, y), 2, buffer=buffer):
        assert np.shares_memory(a, buffer[0]) and np.shares_memory(b, buffer[1])
        seen += b.tolist()
    assert seen == [0, 1, 2, 3, 4]
    (first, *_) = flux.DataLoader({"x": x, "y": y}, 2, buffer={"x": None, "y": buffer[1]})
    assert np.shares_memory(first["x"], x) and np.shares_memory(first["y"], buffer[1])


def test_training_with_a_buffer_gives_the_same_bits():
    rng = flux.Generator(1)
    data = rng.randn(22, 3).numpy(), rng.randn(22, 1).numpy()

    def trained(buffer):
        flux.seed(2)
        model = flux.Chain(flux.Dense(3, 4, flux.tanh), flux.Dense(4, 1))
        loss = lambda m, x, y: flux.mse(m(x), y)
        flux.fit(loss, model, flux.DataLoader(data, 4, shuffle=True, buffer=buffer), flux.Adam(), epochs=3)
        return [w.tolist() for w in flux.trainables(model)]

    assert trained(True) == trained(False)


def test_a_loader_with_a_buffer_goes_on_where_its_state_was_taken():
    def loader():
        return flux.DataLoader(np.arange(11), 2, shuffle=True, rng=flux.Generator(3), buffer=True)

    first = loader()
    whole = [b.tolist() for b in loader()]
    states = [first.state() for _ in first]
    again = loader()
    again.load_state(states[1])
    assert [b.tolist() for b in again] == whole[2:]


X = np.arange(10.0).reshape(5, 2)


@pytest.mark.parametrize(
    ("data", "options", "error", "words"),
    [
        (X, {"buffer": True, "collate": list}, ValueError, "buffer= and collate= exclude each other"),
        (X, {"buffer": True, "parallel": True}, ValueError, "buffer= and parallel= exclude each other"),
        (X, {"buffer": True, "batchsize": None}, ValueError, "buffer= is for batches"),
        (iter(X), {"buffer": True}, TypeError, "has no arrays to be written into a buffer"),
        ([1, 2], {"buffer": True}, TypeError, "buffer= is for NumPy arrays, and there is none in the data"),
        (
            flux.tensor(X),
            {"buffer": True},
            TypeError,
            "buffer= is for NumPy arrays, and there is none in the data",
        ),
        (
            X,
            {"buffer": np.empty((3, 2))},
            flux.ShapeError,
            r"of shape \(3, 2\) for batches of shape \(2, 2\)",
        ),
        (X, {"buffer": np.empty((2, 2), int)}, TypeError, "a buffer of int64 for batches of float64"),
        (X, {"buffer": X[:2]}, ValueError, "the buffer is part of the data"),
        (X, {"buffer": np.broadcast_to(0.0, (2, 2))}, TypeError, "a buffer that is read-only"),
        (X, {"buffer": [1, 2]}, TypeError, "a list is no buffer for a ndarray"),
        (X, {"buffer": None}, TypeError, "there is none"),
        (
            (X, X),
            {"buffer": X[:2] + 1},
            TypeError,
            "the buffer must have the form of the data, got a ndarray",
        ),
        (
            (X, X),
            {"buffer": (X[:2] + 1,)},
            TypeError,
            "the buffer must have the form of the data, got a tuple",
        ),
        (
            {"x": X},
            {"buffer": {"y": X[:2] + 1}},
            TypeError,
            "the buffer must have the form of the data, got a dict",
        ),
        (([1, 2],), {"buffer": (np.empty(2),)}, TypeError, "a ndarray is no buffer for a list"),
    ],
)
def test_a_buffer_that_does_not_fit_is_refused(data, options, error, words):
    with pytest.raises(error, match=words):
        flux.DataLoader(data, **({"batchsize": 2} | options))


def test_parts_of_a_buffer_have_memory_of_their_own():
    data = np.zeros((8, 2)), np.ones((8, 2))
    memory = np.empty((4, 4))
    for buffer in [(memory[:, :2], memory[:, :2]), (memory[:, :2], memory[:, 1:3])]:
        with pytest.raises(ValueError, match="two parts of the buffer are the same memory"):
            flux.DataLoader(data, 4, buffer=buffer)
    for x, y in flux.DataLoader(data, 4, buffer=(memory[:, :2], memory[:, 2:])):
        assert not x.any() and y.all()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shuffle", [False, True])
def test_batches_of_a_view_are_written_into_a_buffer_too(form, shuffle):
    data = flux.obsview(data_of(form), [5, 0, 2, 2, 6])
    loaders = [flux.DataLoader(data, 2, shuffle, rng=flux.Generator(4), buffer=b) for b in (False, True)]
    assert [plain(b) for b in loaders[1]] == [plain(b) for b in loaders[0]]


def test_a_buffer_is_given_in_the_form_of_what_a_view_shows():
    x = np.arange(14.0).reshape(7, 2)
    memory = np.empty((2, 2))
    batches = [
        (b.tolist(), np.shares_memory(b, memory))
        for b in flux.DataLoader(flux.obsview(x, [3, 1]), 2, buffer=memory)
    ]
    assert batches == [([[6.0, 7.0], [2.0, 3.0]], True)]
    with pytest.raises(ValueError, match="the buffer is part of the data"):
        flux.DataLoader(flux.obsview(x, [3, 1]), 2, buffer=x[:2])
