"""Medians and quantiles agree with NumPy for every method, with their gradients, NaN and infinities."""

import warnings

import numpy as np
import pytest

import oxiflux as flux
from strategies import check

METHODS = [
    "linear", "lower", "higher", "nearest", "midpoint", "hazen", "weibull", "median_unbiased", "normal_unbiased",
    "interpolated_inverted_cdf",
]  # fmt: skip
AXES = [None, 0, 1, -1, (0, 2), (2, 0)]


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def numpys(name, *args, **options):
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return getattr(np, name)(*args, **options)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 1, 6), (1, 1, 1)])
def test_median(shape, axis, keepdims):
    x = numbers(*shape)
    check(
        flux.median(x, axis=axis, keepdims=keepdims), np.median(x, axis=axis, keepdims=keepdims), rtol=1e-14
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("q", [0.0, 0.25, 1 / 3, 0.5, 1.0, [0.1, 0.9], [[0.2], [0.2]], []])
def test_quantile(q, method):
    x = numbers(3, 4, 5)
    for axis in AXES:
        expected = np.quantile(x, q, axis=axis, method=method)
        check(flux.quantile(x, q, axis=axis, method=method), expected, rtol=1e-12, atol=1e-14)
        check(
            flux.percentile(x, np.multiply(q, 100), axis=axis, method=method, keepdims=True),
            np.percentile(x, np.multiply(q, 100), axis=axis, method=method, keepdims=True),
            rtol=1e-12, atol=1e-14,
        )  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("q", [0.0, 0.3, [0.5, 1.0]])
def test_what_is_left_out_of_nan(q, method):
    x = numbers(4, 5, 6)
    x[np.random.default_rng(1).random(x.shape) < 0.4] = np.nan
    x[:, 2, 3] = np.nan
    for axis in (None, 0, (0, 1)):
        expected = numpys("nanquantile", x, q, axis=axis, method=method)
        check(flux.nanquantile(x, q, axis=axis, method=method), expected, rtol=1e-12, atol=1e-14)
        check(flux.nanmedian(x, axis=axis), numpys("nanmedian", x, axis=axis), rtol=1e-14)


def test_one_nan_makes_all_of_its_row_nan():
    x = np.array([[1.0, np.nan, 2.0], [3.0, 1.0, 2.0]])
    assert np.isnan(flux.median(x, axis=1).numpy()).tolist() == [True, False]
    assert np.isnan(flux.quantile(x, [0.0, 1.0], axis=1).numpy()).tolist() == [[True, False], [True, False]]


def test_infinities_and_the_largest_numbers():
    x = np.array([1.0, np.inf, np.inf, np.inf])
    assert flux.median(x).item() == np.inf and flux.quantile(x, 0.9).item() == np.inf
    assert flux.nanquantile(x, 0.5).item() == np.inf
    most = np.finfo("float32").max
    assert flux.median(np.array([most, most], "float32")).item() == most


@pytest.mark.parametrize("dtype", ["int8", "uint64", "bool", "float16", "bfloat16", "float32"])
def test_other_types(dtype):
    x = flux.astype(flux.tensor([0, 1, 1, 0]), dtype)
    got = flux.median(x)
    assert got.item() == 0.5 and got.dtype == (dtype if "float" in dtype else "float32")


def test_of_nothing_and_of_one():
    assert (
        np.isnan(flux.median([]).item())
        and flux.median(3.0).item() == 3
        and flux.quantile(7, 0.2).item() == 7
    )
    assert flux.median(np.zeros((0, 3)), axis=1).shape == (0,)
    assert np.isnan(flux.quantile(np.zeros((2, 0)), [0.5, 0.7], axis=1).numpy()).shape == (2, 2)
    assert np.isnan(flux.nanmedian(np.zeros((2, 0)), axis=1).numpy()).all()


def test_what_is_no_quantile_or_no_method():
    with pytest.raises(ValueError, match=r"quantile: quantiles are between 0 and 1, got 1\.5"):
        flux.quantile([1.0], [0.5, 1.5])
    with pytest.raises(ValueError, match="nan"):
        flux.quantile([1.0], np.nan)
    with pytest.raises(ValueError, match="method is one of linear"):
        flux.quantile([1.0], 0.5, method="best")
    with pytest.raises(IndexError, match="median: axis 2"):
        flux.median([[1.0]], axis=2)
    with pytest.raises(ValueError, match="twice"):
        flux.median([[1.0]], axis=(0, 0))


@pytest.mark.parametrize("method", METHODS)
def test_gradients(method):
    x = numbers(3, 5)
    assert flux.gradcheck(lambda x: flux.quantile(x, [0.2, 0.7], axis=1, method=method), x, order=2)
    for holes in (np.arange(15).reshape(3, 5) % 4 == 1, np.arange(15).reshape(3, 5) % 5 == 1):
        f = lambda x, h=holes: flux.nanquantile(flux.where(h, np.nan, x), 0.4, axis=1, method=method) ** 2
        assert flux.gradcheck(f, x, order=2)


def test_the_gradient_of_a_median():
    slope = flux.gradient(flux.median, np.array([5.0, 1.0, 3.0, 9.0]))[0]
    assert slope.tolist() == [0.5, 0, 0.5, 0]
    # Of elements that tie, those that are in the middle.
    assert flux.gradient(flux.median, np.array([2.0, 2.0, 2.0]))[0].tolist() == [0, 1, 0]


def test_many_elements_and_a_strided_view():
    x = np.random.default_rng(0).normal(size=(300, 1001))
    check(flux.median(flux.tensor(x).T, axis=0), np.median(x.T, axis=0))
    check(flux.quantile(x, 0.123), np.quantile(x, 0.123), rtol=1e-12)
