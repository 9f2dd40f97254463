"""Covariances, integrals, interpolation and root mean squares agree with NumPy."""

import numpy as np
import pytest

import oxiflux as flux
from strategies import check


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("rowvar", [True, False])
@pytest.mark.parametrize("shape", [(3, 5), (1, 4), (6,), (4, 1)])
def test_covariances(shape, rowvar):
    x = numbers(*shape)
    n = x.size if x.ndim == 1 else shape[1 if rowvar else 0]
    for correction in (0, 1):
        got = flux.cov(x, rowvar=rowvar, correction=correction)
        if n > correction:
            check(got, np.cov(x, rowvar=rowvar, ddof=correction), rtol=1e-12, atol=1e-14)
        else:
            assert np.isnan(got.numpy()).all()


def test_correlations():
    x = numbers(3, 7)
    check(flux.corrcoef(x), np.corrcoef(x), rtol=1e-12, atol=1e-14)
    check(flux.corrcoef(x, rowvar=False), np.corrcoef(x, rowvar=False), rtol=1e-9, atol=1e-12)
    assert abs(flux.corrcoef(np.stack([x[0], 3 * x[0]])).numpy()).max() <= 1
    assert flux.corrcoef(x[0]).item() == pytest.approx(1)
    assert np.isnan(flux.corrcoef(np.array([[1.0, 1.0], [1.0, 2.0]])).numpy()).tolist() == [
        [True, True],
        [True, False],
    ]
    with pytest.raises(flux.ShapeError, match="cov: expected"):
        flux.cov(np.zeros((1, 2, 3)))
    assert flux.gradcheck(flux.cov, x, order=2) and flux.gradcheck(flux.corrcoef, x, order=2, atol=1e-6)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_trapezoid(axis):
    y = numbers(4, 5)
    x = np.sort(numbers(y.shape[axis], seed=1))
    check(flux.trapezoid(y, dx=0.3, axis=axis), np.trapezoid(y, dx=0.3, axis=axis), rtol=1e-12)
    check(flux.trapezoid(y, x, axis=axis), np.trapezoid(y, x, axis=axis), rtol=1e-12)
    grid = np.cumsum(abs(numbers(4, 5, seed=2)), axis)
    check(flux.trapezoid(y, grid, axis=axis), np.trapezoid(y, grid, axis=axis), rtol=1e-12)
    assert flux.gradcheck(lambda y, x: flux.trapezoid(y, x, axis=axis), y, x, order=2)
    assert flux.trapezoid([1.0]).item() == 0 and flux.trapezoid([]).item() == 0


def test_interp():
    xp, fp = np.array([-1.0, 0.5, 2.0, 7.0]), np.array([3.0, -1.0, 4.0, 4.5])
    x = np.array([[-2.0, -1.0, 0.0, 0.5], [1.9, 7.0, 8.0, np.nan]])
    check(flux.interp(x, xp, fp), np.interp(x, xp, fp), rtol=1e-12)
    check(flux.interp(x, xp, fp, left=9, right=-9), np.interp(x, xp, fp, left=9, right=-9), rtol=1e-12)
    check(flux.interp(0.3, [0.0], [5.0]), np.float32(5.0))
    assert flux.gradcheck(flux.interp, np.array([-0.3, 1.0, 5.0]), xp, fp, order=2)
    with pytest.raises(flux.ShapeError, match="interp"):
        flux.interp([0.0], [0.0, 1.0], [0.0])


@pytest.mark.parametrize("axis", [-1, 0, (0, 1)])
def test_rms_norm(axis):
    x, weight = numbers(4, 5), numbers(5, seed=1)
    expected = x / np.sqrt((x**2).mean(axis, keepdims=True) + 1e-6)
    check(flux.rms_norm(x, axis=axis), expected, rtol=1e-12)
    check(flux.rms_norm(x, weight, axis=axis), expected * weight, rtol=1e-12)
    assert flux.gradcheck(lambda x, w: flux.rms_norm(x, w, axis=axis), x, weight, order=2)
    assert flux.rms_norm(np.zeros(3)).tolist() == [0, 0, 0]
    half = flux.tensor([300.0, 400.0], dtype="float16")
    assert flux.rms_norm(half).dtype == "float16"
    np.testing.assert_allclose(flux.rms_norm(half).numpy(), [0.8486, 1.1312], rtol=1e-3)


def test_rms_norm_of_any_axes_is_one_kernel_with_weights_of_any_shape_and_type():
    x = flux.tensor(np.random.default_rng(3).standard_normal((2, 3, 4)))
    for axis in (None, 0, (2, 0), (-1, -2)):
        expected = x.numpy() / np.sqrt((x.numpy() ** 2).mean(axis, keepdims=True) + 1e-6)
        for weight in (np.float64(2.0), np.ones((2, 1, 1)), np.arange(4.0)):
            check(flux.rms_norm(x, weight, axis=axis), expected * weight, rtol=1e-12)
    half = flux.ones((2, 4), dtype="float16")
    assert flux.rms_norm(half, flux.ones(4)).dtype == "float32"
    assert flux.rms_norm(half, flux.ones(4, dtype="float16")).dtype == "float16"
    assert flux.rms_norm([[3.0, 4.0]], [1, 2]).dtype == "float32"
    with pytest.raises(ValueError, match=r"rms_norm: axis \(0, -3\) names one twice"):
        flux.rms_norm(x, axis=(0, -3))
    with pytest.raises(flux.ShapeError, match=r"rms_norm: weight of shape \(5,\)"):
        flux.rms_norm(x, np.ones(5))
