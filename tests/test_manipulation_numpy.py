"""Manipulation, creation, searching and sorting agree with NumPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oxiflux as flux
from strategies import EVERYTHING, NUMBERS, SEEDS, SHAPES, broadcastable, check, laid_out, values

DTYPES = st.sampled_from(EVERYTHING)


@st.composite
def tensors(draw, shapes=SHAPES, dtypes=DTYPES):
    """An array and a view equal to it."""
    rng = np.random.default_rng(draw(SEEDS))
    x = values(rng, draw(shapes), draw(dtypes))
    return x, laid_out(rng, x)


def some_axis(data, n):
    return data.draw(st.integers(-n, n - 1))


# Shape


@given(pair=tensors(), data=st.data())
def test_reshape_to_a_factorisation(pair, data):
    x, t = pair
    shape = data.draw(st.permutations(x.shape)) + [1] * data.draw(st.integers(0, 2))
    check(flux.reshape(t, tuple(shape)), x.reshape(shape))
    check(flux.reshape(t, (-1,)) if x.size else flux.reshape(t, (0,)), x.reshape(x.size))


def test_reshape_works_out_one_length():
    x = np.arange(24)
    check(flux.reshape(flux.tensor(x), (2, -1, 4)), x.reshape(2, -1, 4))
    check(flux.tensor(x).reshape(4, -1), x.reshape(4, -1))
    check(flux.tensor(x).reshape((4, 6)), x.reshape(4, 6))


@given(pair=tensors(), data=st.data())
def test_permute_dims(pair, data):
    x, t = pair
    order = tuple(a - x.ndim if a % 2 else a for a in data.draw(st.permutations(range(x.ndim))))
    check(flux.permute_dims(t, order), np.transpose(x, order))


@given(pair=tensors())
def test_transposed_properties(pair):
    x, t = pair
    if x.ndim == 2:
        check(t.T, x.T)
    if x.ndim >= 2:
        check(t.mT, np.swapaxes(x, -1, -2))


@given(pair=tensors(), data=st.data())
def test_moveaxis(pair, data):
    x, t = pair
    if x.ndim == 0:
        return
    source, destination = some_axis(data, x.ndim), some_axis(data, x.ndim)
    check(flux.moveaxis(t, source, destination), np.moveaxis(x, source, destination))


@given(pair=tensors(), data=st.data())
def test_expand_dims_and_squeeze(pair, data):
    x, t = pair
    axis = data.draw(st.integers(-x.ndim - 1, x.ndim))
    check(flux.expand_dims(t, axis=axis), np.expand_dims(x, axis))
    check(flux.squeeze(flux.expand_dims(t, axis=axis), axis=axis), x)


def test_squeeze_of_several_axes():
    x = np.zeros((1, 3, 1, 2, 1))
    check(flux.squeeze(flux.tensor(x), axis=(0, -1)), np.squeeze(x, (0, -1)))
    with pytest.raises(ValueError, match="3"):
        flux.squeeze(flux.tensor(x), axis=1)


@given(shapes=broadcastable(2), seed=SEEDS, dtype=DTYPES)
def test_broadcast_to(shapes, seed, dtype):
    rng = np.random.default_rng(seed)
    x, shape = values(rng, shapes[0], dtype), np.broadcast_shapes(*shapes)
    check(flux.broadcast_to(laid_out(rng, x), shape), np.broadcast_to(x, shape))


@given(shapes=broadcastable(3), seed=SEEDS)
def test_broadcast_arrays(shapes, seed):
    rng = np.random.default_rng(seed)
    arrays = [values(rng, shape, "float32") for shape in shapes]
    results = flux.broadcast_arrays(*(laid_out(rng, a) for a in arrays))
    for result, expected in zip(results, np.broadcast_arrays(*arrays), strict=True):
        check(result, expected)


# Order


@given(pair=tensors(), data=st.data())
def test_flip(pair, data):
    x, t = pair
    axis = data.draw(st.none() | st.integers(-x.ndim, x.ndim - 1)) if x.ndim else None
    check(flux.flip(t, axis=axis), np.flip(x, axis))


@given(pair=tensors(), data=st.data())
def test_roll(pair, data):
    x, t = pair
    shift = data.draw(st.integers(-7, 7))
    axis = data.draw(st.none() | st.integers(-x.ndim, x.ndim - 1)) if x.ndim else None
    check(flux.roll(t, shift, axis=axis), np.roll(x, shift, axis))


def test_roll_of_two_axes():
    x = np.arange(12).reshape(3, 4)
    check(flux.roll(flux.tensor(x), (1, -1), axis=(0, 1)), np.roll(x, (1, -1), (0, 1)))


# Joining and repeating


@given(pair=tensors(), data=st.data(), number=st.integers(1, 3))
def test_concat_and_stack(pair, data, number):
    x, t = pair
    check(flux.stack([t] * number, axis=0), np.stack([x] * number))
    axis = data.draw(st.integers(-x.ndim - 1, x.ndim))
    check(flux.stack([t] * number, axis=axis), np.stack([x] * number, axis))
    if x.ndim:
        axis = some_axis(data, x.ndim)
        check(flux.concat([t] * number, axis=axis), np.concatenate([x] * number, axis))
        check(flux.concat([t, t], axis=None), np.concatenate([x, x], None))


def test_concat_of_different_lengths_and_none():
    parts = [np.ones((2, 3)), np.zeros((0, 3)), np.full((4, 3), 2.0)]
    check(flux.concat([flux.tensor(p) for p in parts]), np.concatenate(parts))


def test_concat_promotes():
    result = flux.concat([flux.tensor(np.array([1], np.int8)), flux.tensor(np.array([200], np.uint8))])
    check(result, np.array([1, 200], np.int16))


@given(pair=tensors(), data=st.data())
def test_unstack_undoes_stack(pair, data):
    x, t = pair
    if x.ndim == 0:
        return
    axis = some_axis(data, x.ndim)
    parts = flux.unstack(t, axis=axis)
    assert isinstance(parts, tuple) and len(parts) == x.shape[axis]
    for i, part in enumerate(parts):
        check(part, np.take(x, i, axis))


@given(pair=tensors(), data=st.data(), repeats=st.integers(0, 3))
def test_repeat(pair, data, repeats):
    x, t = pair
    axis = data.draw(st.none() | st.integers(-x.ndim, x.ndim - 1)) if x.ndim else None
    check(flux.repeat(t, repeats, axis=axis), np.repeat(x, repeats, axis))


def test_repeat_by_an_array_of_counts():
    x = np.arange(6).reshape(3, 2)
    check(flux.repeat(flux.tensor(x), flux.tensor(np.array([2, 0, 3])), axis=0), np.repeat(x, [2, 0, 3], 0))


@given(pair=tensors(), times=st.lists(st.integers(0, 2), max_size=5))
def test_tile(pair, times):
    x, t = pair
    check(flux.tile(t, tuple(times)), np.tile(x, times))


# Searching and sorting


@given(pair=tensors(dtypes=st.sampled_from(NUMBERS)), data=st.data(), descending=st.booleans())
def test_sort_and_argsort(pair, data, descending):
    x, t = pair
    if x.ndim == 0:
        return
    axis = some_axis(data, x.ndim)
    expected = np.flip(np.sort(x, axis), axis) if descending else np.sort(x, axis)
    check(flux.sort(t, axis=axis, descending=descending), expected)
    order = flux.argsort(t, axis=axis, descending=descending)
    assert order.numpy().dtype == np.int64
    np.testing.assert_array_equal(np.take_along_axis(x, order.numpy(), axis), expected)


def test_argsort_is_stable_both_ways():
    x = flux.tensor(np.array([2, 1, 2, 1, 3, 1], np.int8))
    assert flux.argsort(x).tolist() == [1, 3, 5, 0, 2, 4]
    assert flux.argsort(x, descending=True).tolist() == [4, 0, 2, 1, 3, 5]


def test_sort_puts_nan_last():
    x = np.array([np.nan, 2.0, -np.inf, np.nan, 1.0, np.inf])
    check(flux.sort(flux.tensor(x)), np.sort(x))


@given(pair=tensors())
def test_nonzero(pair):
    x, t = pair
    if x.ndim == 0:
        return
    for result, expected in zip(flux.nonzero(t), np.nonzero(x), strict=True):
        check(result, expected, "int64")


@given(seed=SEEDS, side=st.sampled_from(["left", "right"]), dtype=st.sampled_from(NUMBERS))
def test_searchsorted(seed, side, dtype):
    rng = np.random.default_rng(seed)
    known, wanted = np.sort(values(rng, (9,), dtype)), values(rng, (4, 3), dtype, (-6, 6))
    result = flux.searchsorted(flux.tensor(known), laid_out(rng, wanted), side=side)
    check(result, np.searchsorted(known, wanted, side), "int64")


@given(pair=tensors(), data=st.data(), seed=SEEDS)
def test_take(pair, data, seed):
    x, t = pair
    if x.ndim == 0 or 0 in x.shape:
        return
    axis = some_axis(data, x.ndim)
    indices = np.random.default_rng(seed).integers(0, x.shape[axis], 4)
    check(flux.take(t, flux.tensor(indices), axis=axis), np.take(x, indices, axis))


@given(pair=tensors(), data=st.data(), seed=SEEDS)
def test_take_along_axis(pair, data, seed):
    x, t = pair
    if x.ndim == 0 or 0 in x.shape:
        return
    axis = some_axis(data, x.ndim)
    shape = list(x.shape)
    shape[axis] = 3
    indices = np.random.default_rng(seed).integers(0, x.shape[axis], shape)
    check(flux.take_along_axis(t, flux.tensor(indices), axis=axis), np.take_along_axis(x, indices, axis))


# Creation


@pytest.mark.parametrize("name", ["zeros", "ones", "empty"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3, 4)])
@pytest.mark.parametrize("dtype", [None, *EVERYTHING])
def test_creation_of_a_shape(name, shape, dtype):
    t = getattr(flux, name)(shape) if dtype is None else getattr(flux, name)(shape, dtype=dtype)
    assert t.shape == shape and t.numpy().dtype == (dtype or "float32")
    if name != "empty":
        np.testing.assert_array_equal(t.numpy(), getattr(np, name)(shape))


@pytest.mark.parametrize("name", ["zeros_like", "ones_like", "empty_like"])
@pytest.mark.parametrize("dtype", EVERYTHING)
def test_creation_like_another(name, dtype):
    x = flux.tensor(np.ones((2, 3), dtype))
    assert getattr(flux, name)(x).shape == (2, 3)
    assert getattr(flux, name)(x).numpy().dtype == dtype
    assert getattr(flux, name)(x, dtype="float64").numpy().dtype == np.float64


def test_full_takes_the_dtype_of_its_value():
    check(flux.full((2, 2), 1.5), np.full((2, 2), 1.5, np.float32))
    check(flux.full((2,), 3), np.full(2, 3, np.int64))
    check(flux.full((2,), True), np.full(2, True))
    check(flux.full((2,), 3, dtype="float64"), np.full(2, 3.0))
    check(flux.full_like(flux.zeros((2, 3)), 4), np.full((2, 3), 4, np.float32))


@pytest.mark.parametrize("args", [(5,), (2, 7), (2, 7, 3), (7, 2, -2), (0,), (3, 3), (5, 2)])
def test_arange_of_integers(args):
    check(flux.arange(*args), np.arange(*args), "int64")


@pytest.mark.parametrize("args", [(0.0, 1.0, 0.25), (2.5,), (1.0, -1.0, -0.5)])
def test_arange_of_floats_is_of_the_default_dtype(args):
    check(flux.arange(*args), np.arange(*args), "float32")


@pytest.mark.parametrize("args", [(0, 1, 5), (2.0, -2.0, 7), (0, 1, 1), (0, 1, 0)])
def test_linspace(args):
    check(flux.linspace(*args), np.linspace(*args), "float32", atol=1e-7)


@pytest.mark.parametrize("args", [(3,), (3, 5), (5, 3), (0,), (0, 2)])
@pytest.mark.parametrize("k", [-1, 0, 2])
def test_eye(args, k):
    check(flux.eye(*args, k=k), np.eye(*args, k=k), "float32")


@given(pair=tensors(), k=st.integers(-4, 4))
def test_tril_and_triu(pair, k):
    x, t = pair
    if x.ndim < 2:
        return
    check(flux.tril(t, k=k), np.tril(x, k))
    check(flux.triu(t, k=k), np.triu(x, k))


@pytest.mark.parametrize("indexing", ["xy", "ij"])
def test_meshgrid(indexing):
    axes = [np.arange(3), np.arange(2), np.arange(4)]
    results = flux.meshgrid(*(flux.tensor(a) for a in axes), indexing=indexing)
    for result, expected in zip(results, np.meshgrid(*axes, indexing=indexing), strict=True):
        check(result, expected)


# Value semantics


def test_views_do_not_see_later_assignment():
    t = flux.tensor(np.arange(6.0))
    view, export = t[::2], t.numpy()
    t[0] = 100.0
    assert view.tolist() == [0.0, 2.0, 4.0]
    assert export.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert t.tolist() == [100.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def test_exports_are_read_only():
    export = flux.zeros((3,)).numpy()
    with pytest.raises(ValueError, match="read-only"):
        export[0] = 1


def test_a_tensor_does_not_see_changes_to_the_array_it_was_made_of():
    a = np.zeros(3)
    t = flux.tensor(a)
    a[0] = 1
    assert t.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("shape", [(3, 4), (0, 2), (2, 1, 5), (1, 63)])
def test_cumulative_prod(shape, axis):
    x = np.random.default_rng(0).normal(size=shape)
    np.testing.assert_allclose(
        flux.cumulative_prod(flux.tensor(x), axis).numpy(), np.cumprod(x, axis), rtol=1e-12
    )
    recorded = flux.withgradient(lambda x: (flux.cumulative_prod(x, axis).sum(), x), flux.tensor(x))[0][0]
    np.testing.assert_allclose(recorded.item(), np.cumprod(x, axis).sum(), rtol=1e-9, atol=1e-12)
