"""Running extremes and running logarithms of sums agree with NumPy."""

import numpy as np
import pytest

import oxiflux as flux
from oxiflux import _core
from strategies import check

SHAPES = [(1,), (5,), (3, 4), (2, 5, 3), (0,), (2, 0, 3), (150,)]


def numbers(shape, dtype="float64", seed=0):
    return np.random.default_rng(seed).integers(-3, 4, shape).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "uint64", "bool"])
@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_last_places(shape, dtype):
    x = abs(numbers(shape)).astype(dtype)
    for axis in range(-len(shape), len(shape)):
        for f, pick in [(flux.cummax, np.maximum), (flux.cummin, np.minimum)]:
            values, places = f(flux.tensor(x), axis=axis)
            best = pick.accumulate(x, axis)
            own = np.expand_dims(np.arange(x.shape[axis]), [i for i in range(x.ndim) if i != axis % x.ndim])
            check(values, best)
            check(places, np.maximum.accumulate(np.where(x == best, own, 0), axis))


def test_nan_stays():
    x = [1.0, np.nan, 3.0, np.nan, 2.0]
    values, places = flux.cummax(x)
    assert np.isnan(values.numpy()).tolist() == [False, True, True, True, True]
    assert places.tolist() == [0, 1, 1, 3, 3] == flux.cummin(x).indices.tolist()


@pytest.mark.parametrize("share", [0.0, 0.02, 1.0])
@pytest.mark.parametrize("step", [-1.0, 0.0, 1.0])
def test_long_runs_with_nan(step, share):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 200)) + step * np.arange(200)
    x[rng.random(x.shape) < share] = np.nan
    values, places = flux.cummax(x, axis=1)
    np.testing.assert_array_equal(values.numpy(), np.maximum.accumulate(x, 1))
    taken = np.take_along_axis(x, places.numpy(), 1)
    np.testing.assert_array_equal(taken, values.numpy())
    np.testing.assert_array_equal(flux.cummin(x, axis=1).values.numpy(), np.minimum.accumulate(x, 1))


def test_infinities_and_half_types():
    assert flux.cummax([-np.inf, -np.inf, 1.0, np.inf]).values.tolist() == [-np.inf, -np.inf, 1, np.inf]
    x = flux.tensor([1.0, 3.0, 2.0], dtype="bfloat16")
    assert flux.cummax(x).values.dtype == flux.logcumsumexp(x).dtype == "bfloat16"
    assert _core.running_places([3, 1, 2], 0, True).tolist() == [0, 1, 1]


@pytest.mark.parametrize("name", ["cummax", "cummin", "logcumsumexp"])
def test_only_a_vector_leaves_out_the_axis(name):
    with pytest.raises(ValueError, match=f"{name}: a tensor of 2 axes needs `axis`"):
        getattr(flux, name)([[1.0, 2.0]])
    with pytest.raises(IndexError, match=name):
        getattr(flux, name)([1.0, 2.0], axis=1)
    with pytest.raises((IndexError, ValueError), match=name):
        getattr(flux, name)(1.0)


def test_gradients_of_extremes():
    x = np.random.default_rng(0).normal(size=(3, 5))
    for f in (flux.cummax, flux.cummin):
        assert flux.gradcheck(lambda x, f=f: f(x, axis=1).values ** 2, x, order=2)
        assert flux.gradcheck(lambda x, f=f: f(x, axis=0).values ** 2, x, order=2)
    # Of elements that tie the last up to each place.
    slope = flux.gradient(lambda x: flux.cummax(x).values.sum(), np.array([2.0, 2.0, 1.0]))[0]
    assert slope.tolist() == [1, 2, 0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [*SHAPES, (70,), (3, 100)])
def test_logcumsumexp(shape, dtype):
    x = np.random.default_rng(0).normal(scale=3, size=shape).astype(dtype)
    for axis in range(-len(shape), len(shape)):
        expected = np.logaddexp.accumulate(x.astype(float), axis).astype(dtype)
        got = flux.logcumsumexp(flux.tensor(x), axis=axis)
        check(
            got,
            expected,
            rtol=1e-6 if dtype == "float32" else 1e-13,
            atol=1e-7 if dtype == "float32" else 1e-14,
        )


def test_logcumsumexp_neither_overflows_nor_loses_what_is_small():
    assert flux.logcumsumexp([1e4, 1e4]).tolist() == pytest.approx([1e4, 1e4 + np.log(2)])
    assert flux.logcumsumexp(np.array([-1e4, 0.0])).tolist() == pytest.approx([-1e4, 0.0])
    assert flux.logcumsumexp(np.array([-np.inf, -np.inf, 1.0])).tolist() == [-np.inf, -np.inf, 1.0]
    assert flux.logcumsumexp(np.array([1.0, np.inf, 2.0])).tolist() == [1.0, np.inf, np.inf]
    assert np.isnan(flux.logcumsumexp([1.0, np.nan, 2.0]).numpy()).tolist() == [False, True, True]
    many = flux.logcumsumexp(np.zeros(100_000, "float32")).numpy()
    np.testing.assert_allclose(many, np.log(np.arange(1, 100_001)), rtol=2e-7, atol=2e-7)


def test_gradients_of_logcumsumexp():
    x = np.random.default_rng(0).normal(size=(3, 5))
    assert flux.gradcheck(lambda x: flux.logcumsumexp(x, axis=1), x, order=2)
    signs = np.array([1.0, -2.0, 0.0, 3.0, -1.0])
    assert flux.gradcheck(lambda x: flux.logcumsumexp(x, axis=1) * signs, x, order=2)
    far = flux.gradient(lambda x: flux.logcumsumexp(x).sum(), np.array([-np.inf, 800.0, -800.0, 0.0]))[0]
    np.testing.assert_allclose(far.numpy(), [0, 3, 0, 0], atol=1e-12)
