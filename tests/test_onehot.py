"""Labels as one-hot rows, and back."""

import numpy as np
import pytest

import oxiflux as flux


def test_onehot_is_boolean():
    y = flux.onehot(3, [1, 3, 7])
    assert y.dtype == "bool"
    assert y.tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("data", "labels"),
    [
        ([3, 1, 3], [1, 3]),
        (np.array([3, 1, 3], np.uint8), [1, 3]),
        ("cac", "ac"),
        (["cc", "a", "cc"], ("a", "cc")),
        ([True, False, True], [False, True]),
        (range(3), range(3)),
        (flux.tensor([3, 1, 3]), [1, 3]),
        ([], [1, 3]),
    ],
)
def test_onehotbatch_and_onecold_undo_each_other(data, labels):
    y = flux.onehotbatch(data, labels)
    assert y.shape == (len(data), len(labels))
    assert y.dtype == "bool"
    assert list(flux.onecold(y, labels)) == [d.item() if isinstance(d, flux.Tensor) else d for d in data]


@pytest.mark.parametrize("shape", [(), (1,), (2, 3), (2, 0, 3)])
def test_onehotbatch_adds_the_classes_as_last_axis(shape):
    labels = np.arange(np.prod(shape, dtype=int)).reshape(shape) % 5
    y = flux.onehotbatch(labels, range(5))
    np.testing.assert_array_equal(y.numpy(), labels[..., None] == np.arange(5))


def test_an_unknown_label_is_named():
    with pytest.raises(ValueError, match=r"onehotbatch: 4 is not one of the labels 0, 1, 2, 3"):
        flux.onehotbatch([0, 4], range(4))
    with pytest.raises(ValueError, match=r"20 in all"):
        flux.onehot("x", range(20))


def test_an_unknown_label_counts_as_the_default():
    assert flux.onehotbatch("az", "ab", "b").tolist() == [[True, False], [False, True]]


def test_a_default_that_is_no_label_is_refused():
    with pytest.raises(ValueError, match="default 'q'"):
        flux.onehot("a", "ab", "q")


def test_onecold_takes_scores():
    scores = np.random.default_rng(0).normal(size=(4, 3, 5))
    np.testing.assert_array_equal(flux.onecold(scores).numpy(), scores.argmax(-1))
    names = flux.onecold(scores, "abcde")
    assert names.tolist() == [["abcde"[i] for i in row] for row in scores.argmax(-1)]


def test_onecold_takes_the_first_of_equals():
    assert flux.onecold([2.0, 3.0, 3.0]) == 1


@pytest.mark.parametrize("y", [3.0, np.zeros((2, 0))])
def test_onecold_needs_classes(y):
    with pytest.raises(flux.ShapeError, match="onecold"):
        flux.onecold(y)


def test_onecold_needs_a_label_for_each_class():
    with pytest.raises(flux.ShapeError, match="2 labels for 3 classes"):
        flux.onecold([0.1, 0.2, 0.7], "ab")


@pytest.mark.parametrize("names", [["cat", "dog"], ("cat", "dog"), np.array(["cat", "dog"])])
def test_names_compare_with_an_array_of_labels(names):
    labels = np.array(["dog", "cat", "cat"])
    scores = flux.tensor([[0.1, 0.9], [0.8, 0.2], [0.4, 0.6]])
    assert np.mean(flux.onecold(scores, names) == labels) == pytest.approx(2 / 3)


def test_names_of_several_types_stay_what_they_are():
    found = flux.onecold([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [1, "a", (2, 3)])
    assert found.shape == (3,) and found.tolist() == [1, "a", (2, 3)]
    assert flux.onecold([[[0, 1]]], [3, 4]).tolist() == [[4]]
    assert flux.onecold([[0.0, 1.0]], range(5, 7)).dtype == np.int64
