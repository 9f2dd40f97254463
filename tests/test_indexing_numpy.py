"""Reading and assigning by every kind of index agrees with NumPy."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import oxiflux as flux
from strategies import EVERYTHING, SEEDS, SHAPES, check, laid_out, values

SMALL = hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=5)


def as_tensors(index):
    """The index with its arrays as tensors."""
    parts = index if isinstance(index, tuple) else (index,)
    parts = tuple(flux.tensor(p) if isinstance(p, np.ndarray) else p for p in parts)
    return parts if isinstance(index, tuple) else parts[0]


@given(data=st.data(), shape=SHAPES, seed=SEEDS)
def test_basic_index(data, shape, seed):
    rng = np.random.default_rng(seed)
    x = values(rng, shape, data.draw(st.sampled_from(EVERYTHING)))
    index = data.draw(hnp.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True, max_dims=6))
    check(laid_out(rng, x)[index], x[index])


@given(data=st.data(), shape=SMALL, seed=SEEDS)
def test_boolean_mask(data, shape, seed):
    rng = np.random.default_rng(seed)
    x = values(rng, shape, data.draw(st.sampled_from(EVERYTHING)))
    covered = data.draw(st.integers(1, len(shape)))
    mask = rng.random(shape[:covered]) < data.draw(st.sampled_from([0.0, 0.5, 1.0]))
    t = laid_out(rng, x)
    check(t[flux.tensor(mask)], x[mask])
    check(t[mask], x[mask])


@given(data=st.data(), shape=SMALL, seed=SEEDS)
def test_integer_arrays(data, shape, seed):
    rng = np.random.default_rng(seed)
    x = values(rng, shape, data.draw(st.sampled_from(EVERYTHING)))
    index = data.draw(
        hnp.integer_array_indices(shape, result_shape=hnp.array_shapes(min_dims=0, max_dims=3, max_side=4))
    )
    check(laid_out(rng, x)[as_tensors(index)], x[index])


@given(data=st.data(), shape=SMALL, seed=SEEDS)
def test_integer_array_with_repeats_and_negative_numbers(data, shape, seed):
    rng = np.random.default_rng(seed)
    x = values(rng, shape, "float32")
    index = rng.integers(-shape[0], shape[0], data.draw(hnp.array_shapes(min_dims=1, max_dims=2, max_side=9)))
    check(laid_out(rng, x)[flux.tensor(index)], x[index])
    check(laid_out(rng, x)[index.tolist()], x[index])


MIXED = [
    (slice(None), np.array([0, 2])),
    (np.array([1, 0, 1]), slice(1, None)),
    (np.array([[0], [2]]), np.array([1, 3])),
    (..., np.array([0, -1])),
    (np.array([0, 1]), ..., np.array([2, 0])),
    (np.array([0, 1]), slice(None), np.array([2, 0])),
    (0, slice(None), np.array([1, 1])),
    (np.array([2, 0]), 1),
    (None, np.array([0, 1]), None),
    (np.array([True, False, True]),),
    (np.array([True, False, True]), slice(None, None, -1)),
    (slice(None), np.array([True, False, False, True]), 2),
    (np.array([True, False, True]), np.array([0, 3])),
    (np.zeros((0,), np.int64),),
    (np.zeros((3,), bool),),
    (slice(2, 0, -1), None, np.array([0, 0, 1])),
]


@pytest.mark.parametrize("index", MIXED, ids=str)
def test_mixed_index(index):
    x = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    check(flux.tensor(x)[as_tensors(index)], x[index])
    check(flux.tensor(x)[index], x[index])


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "uint8", "uint64"])
def test_index_arrays_may_have_any_integer_dtype(dtype):
    x = np.arange(5.0)
    check(flux.tensor(x)[flux.tensor(np.array([3, 0, 3], dtype))], x[[3, 0, 3]])


def test_a_single_element_is_a_0d_tensor():
    t = flux.tensor(np.array([[1, 2], [3, 4]], np.int16))[1, 0]
    assert t.shape == () and t.item() == 3 and t.numpy().dtype == np.int16
    assert int(t) == 3 and float(t) == 3.0 and bool(t)


@pytest.mark.parametrize(
    "index",
    [
        3,
        -4,
        (0, 4),
        (0, 0, 0),
        (..., 0, 0, 0),
        np.array([0, 3]),
        np.array([-4]),
        (slice(None), np.array([4])),
    ],
    ids=str,
)
def test_index_out_of_range(index):
    with pytest.raises(IndexError, match=r"[34]|axes"):
        flux.zeros((3, 4))[as_tensors(index)]


@pytest.mark.parametrize(
    "index", [1.5, "a", np.array([0.5]), {}, (..., ...), slice(None, None, 0), slice(0.5, 2)], ids=str
)
def test_index_of_no_kind(index):
    with pytest.raises((IndexError, TypeError, ValueError)):
        flux.zeros((3, 4))[as_tensors(index)]


@pytest.mark.parametrize(
    "mask", [np.ones(4, bool), np.ones((3, 3), bool), np.ones((3, 4, 1), bool)], ids=lambda m: str(m.shape)
)
def test_mask_of_another_shape(mask):
    with pytest.raises(IndexError, match=r"\d"):
        flux.zeros((3, 4))[flux.tensor(mask)]


# Assignment


@given(data=st.data(), shape=SHAPES, seed=SEEDS)
def test_assignment_to_a_basic_index(data, shape, seed):
    rng = np.random.default_rng(seed)
    dtype = data.draw(st.sampled_from(EVERYTHING))
    x = values(rng, shape, dtype)
    index = data.draw(hnp.basic_indices(shape, allow_newaxis=False, allow_ellipsis=True))
    new = values(rng, x[index].shape, dtype)
    t = laid_out(rng, x)
    t[index] = flux.tensor(new)
    x[index] = new
    check(t, x)


@pytest.mark.parametrize(
    "index", [i for i in MIXED if None not in [p for p in i if p is None or p is ...]], ids=str
)
def test_assignment_to_a_mixed_index(index):
    x = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    t = flux.tensor(x)
    t[as_tensors(index)] = -1.5
    x[index] = -1.5
    check(t, x)


def test_assignment_broadcasts_and_converts():
    x = np.zeros((3, 4), np.float32)
    t = flux.tensor(x)
    t[:, 1] = np.array([1, 2, 3])
    x[:, 1] = [1, 2, 3]
    t[0] = [9, 8, 7, 6]
    x[0] = [9, 8, 7, 6]
    t[t > 7] = 0
    x[x > 7] = 0
    check(t, x)


def test_augmented_assignment():
    t = flux.tensor(np.arange(4.0))
    t[1:] += 1
    t *= 2
    assert t.tolist() == [0.0, 4.0, 6.0, 8.0]


def test_assignment_that_does_not_fit_changes_nothing():
    t = flux.tensor(np.arange(6.0).reshape(2, 3))
    with pytest.raises(flux.ShapeError, match="4"):
        t[0] = np.zeros(4)
    with pytest.raises(IndexError):
        t[5] = 0
    check(t, np.arange(6.0).reshape(2, 3))


# A tensor as a Python object


def test_len_and_iteration():
    x = np.arange(6.0).reshape(3, 2)
    t = flux.tensor(x)
    assert len(t) == 3
    for row, expected in zip(t, x, strict=True):
        check(row, expected)
    with pytest.raises(TypeError):
        len(t[0, 0])
    with pytest.raises(TypeError):
        iter(t[0, 0])


@pytest.mark.parametrize("dtype", EVERYTHING)
@pytest.mark.parametrize("shape", [(), (0,), (2, 3)])
def test_tensors_convert_to_python_and_back(dtype, shape):
    x = values(np.random.default_rng(0), shape, dtype)
    t = flux.tensor(x)
    assert t.tolist() == x.tolist()
    assert (t.shape, t.ndim, t.size) == (x.shape, x.ndim, x.size)
    assert str(t.dtype).removeprefix("oxiflux.") == dtype or t.dtype == dtype
    check(pickle.loads(pickle.dumps(t)), x)
    np.testing.assert_array_equal(np.asarray(t), x)
    assert np.asarray(t).dtype == dtype
    check(flux.tensor(t.tolist(), dtype=dtype), x)


def test_truth_of_many_elements_is_ambiguous():
    with pytest.raises(ValueError, match="ambiguous|2 elements"):
        bool(flux.zeros((2,)))


def test_item_of_many_elements_is_an_error():
    with pytest.raises(ValueError, match="2"):
        flux.zeros((2,)).item()


def test_dlpack_round_trip():
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    check(flux.from_dlpack(x), x)
    np.testing.assert_array_equal(np.from_dlpack(flux.tensor(x)), x)


@pytest.mark.parametrize("step", [2**31, 2**62, 2**63 - 1, -(2**62), -(2**63)])
def test_a_step_may_be_as_large_as_a_word(step):
    a = np.arange(28.0).reshape(4, 7)
    t = flux.tensor(a)
    check(t[:, ::step], a[:, ::step])
    check(t[2:, ::step].T, a[2:, ::step].T)
    check(t[[0, 0], ::step], a[[0, 0], ::step])
    (slope,) = flux.gradient(lambda t: t[1, 3::step].sum(), t)
    assert slope.numpy().sum() == 1 and slope[1, 3] == 1


@pytest.mark.parametrize(
    "key",
    [
        (..., slice(3, 1), False), (..., slice(None), True), (True, ...), (..., False), (0, True), (True, 0),
        (slice(None), True), (None, True, None), (True, True), (False, True), ([0, 1], True), (True, [0, 1]),
        ([0, 1], slice(None), True), (np.ones((2, 3), bool), True), (True, np.ones((2, 3), bool)),
        (0, slice(None), True), (slice(None), True, [0, 1]), (0, ..., False), (..., True, slice(1, 2)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 2)])
def test_a_single_truth_value_may_stand_anywhere_in_an_index(key, shape):
    a = np.arange(float(np.prod(shape))).reshape(shape)
    check(flux.tensor(a)[key], a[key])
    (slope,) = flux.gradient(lambda t: (t[key] * t[key]).sum() / 2, flux.tensor(a))
    expected = np.zeros(shape)
    np.add.at(expected, key, a[key])
    check(slope, expected)


def test_a_single_truth_value_on_no_axes():
    a = np.arange(1.0)
    check(flux.tensor(a)[..., 3:1, False], a[..., 3:1, False])
    check(flux.tensor(np.array(1.0))[True], np.array(1.0)[True])
    check(flux.tensor(np.array(1.0))[False], np.array(1.0)[False])


@pytest.mark.parametrize("start", [None, -(10**30), 2**63, 10**30, -(2**63)])
@pytest.mark.parametrize("step", [None, 10**30, -(10**30), -(2**63), 2])
def test_bounds_of_slices_may_lie_anywhere(start, step):
    a = np.arange(5.0)
    for key in (slice(start, 10**30, step), slice(start, -(10**30), step), slice(None, start, step)):
        check(flux.tensor(a)[key], a[key])


def test_an_index_larger_than_a_word_is_out_of_range():
    for i in (10**30, -(10**30)):
        with pytest.raises(IndexError, match="is out of range: no tensor has so many elements"):
            flux.ones(3)[i]


def test_masked_arrays_have_no_tensor_while_something_is_masked():
    masked = np.ma.masked_array([1.0, 2.0], [False, True])
    ones = flux.ones(2)
    for f in (
        flux.tensor, flux.asarray, flux.exp, lambda a: ones + a, lambda a: flux.mse(ones, a),
        lambda a: flux.binarycrossentropy(ones, a), lambda a: flux.metrics.accuracy(a, ones), flux.Dense(2, 1),
    ):  # fmt: skip
        with pytest.raises((ValueError, TypeError), match=r"masked|with a mask"):
            f(masked)
    assert flux.tensor(masked.filled(0)).tolist() == [1, 0]
    assert flux.tensor(np.ma.masked_array([1.0, 2.0])).tolist() == [1, 2]
    assert flux.tensor(np.ma.masked_array([1.0], [False])).tolist() == [1]
