"""Reductions that leave NaN out agree with NumPy, and NaN has no part in their gradients."""

import warnings

import numpy as np
import pytest

import oxiflux as flux
from strategies import check

NAMES = ["nansum", "nanmean", "nanvar", "nanstd", "nanmax", "nanmin", "nanprod"]
AXES = [None, 0, 1, -1, (0, 2), (0, 1, 2)]


def gaps(dtype="float64", share=0.3, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.uniform(0.5, 2.0, (3, 4, 5))
    return np.where(rng.random(x.shape) < share, np.nan, x).astype(dtype)


def numpys(name, x, **options):
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return getattr(np, name)(x, **options)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("name", NAMES)
def test_they_are_numpys(name, axis, keepdims, dtype):
    for x in (gaps(dtype), gaps(dtype, 0.9), gaps(dtype, 0.0).swapaxes(0, 2)):
        rtol = 1e-5 if dtype == "float32" else 1e-12
        got = getattr(flux, name)(flux.tensor(x), axis=axis, keepdims=keepdims)
        check(got, numpys(name, x, axis=axis, keepdims=keepdims), rtol=rtol, atol=rtol / 10)


@pytest.mark.parametrize("name", NAMES)
def test_integers_have_no_gaps(name):
    x = np.arange(1, 7).reshape(2, 3)
    expected = numpys(name, x, axis=1)
    got = getattr(flux, name)(x, axis=1)
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-6)
    assert got.dtype.kind == ("f" if name in ("nanmean", "nanvar", "nanstd") else "i")


@pytest.mark.parametrize("name", ["nansum", "nanmean", "nanvar", "nanmax", "nanmin"])
def test_infinities_count(name):
    x = np.array([[1.0, np.inf, np.nan], [-np.inf, np.nan, 2.0], [np.nan] * 3])
    np.testing.assert_array_equal(getattr(flux, name)(x, axis=1).numpy(), numpys(name, x, axis=1))


@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_both_orders_beside_gaps(name):
    known = np.array([[0.3, 1.2], [0.7, 2.1]])

    def f(x):
        holes = flux.concat([x, flux.full((2, 1), np.nan, dtype=x.dtype)], 1)
        return getattr(flux, name)(holes, axis=1)

    assert flux.gradcheck(f, known, order=2)
    x = np.array([[1.0, np.nan], [2.0, 3.0]])
    slope = flux.gradient(lambda x: getattr(flux, name)(x, axis=1).sum(), x)[0].numpy()
    assert slope[0, 1] == 0 and np.isfinite(slope).all()


def test_gradients_of_nothing_but_gaps_are_zero():
    for name in NAMES:
        slope = flux.gradient(lambda x, name=name: getattr(flux, name)(x), np.full(3, np.nan))[0]
        assert slope.tolist() == [0, 0, 0] or name in ("nanmax", "nanmin"), name


def test_elements_that_tie_share_the_gradient():
    x = np.array([2.0, np.nan, 2.0, 1.0])
    assert flux.gradient(flux.nanmax, x)[0].tolist() == [0.5, 0, 0.5, 0]
    assert flux.gradient(flux.nanstd, np.array([1.0, np.nan, 1.0]))[0].tolist() == [0, 0, 0]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_types_keep_theirs(dtype):
    x = flux.tensor([[1.0, np.nan], [3.0, 5.0]], dtype=dtype)
    for name in NAMES:
        assert getattr(flux, name)(x, axis=0).dtype == dtype
    assert flux.nanmean(x, axis=0).tolist() == [2, 5]


def test_of_nothing():
    empty = np.zeros((0, 3))
    assert flux.nansum(empty, axis=0).tolist() == [0, 0, 0] and flux.nanprod(empty, axis=0).tolist() == [
        1,
        1,
        1,
    ]
    assert np.isnan(flux.nanmean(empty, axis=0).numpy()).all()
    with pytest.raises(ValueError, match="max"):
        flux.nanmax(empty, axis=0)
    assert flux.nansum(np.nan).item() == 0
