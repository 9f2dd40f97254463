"""The rectifier with slopes that are learnt."""

import numpy as np
import pytest

import oxiflux as flux

X = np.random.default_rng(0).normal(size=(4, 5, 3))


def test_each_channel_may_have_a_slope():
    layer = flux.f64(flux.PReLU(channels=3))
    layer.slope = [0.5, -1.0, 2.0]
    expected = np.where(X > 0, X, X * [0.5, -1, 2])
    np.testing.assert_allclose(layer(flux.tensor(X)).numpy(), expected, rtol=1e-15)
    assert flux.gradcheck(lambda p, x: flux.sum(flux.sin(flux.where(x > 0, x, p * x))), [0.5, -1.0, 2.0], X)
    f = lambda layer, x: flux.sum(flux.sin(layer(x)))
    g, dx = flux.gradient(f, layer, flux.tensor(X))
    np.testing.assert_allclose(g.slope.numpy(), (np.cos(expected) * np.minimum(X, 0)).sum((0, 1)), rtol=1e-12)
    np.testing.assert_allclose(dx.numpy(), np.cos(expected) * np.where(X > 0, 1, [0.5, -1, 2]), rtol=1e-12)
    assert flux.gradcheck(lambda x: f(layer, x), X, order=2)


def test_one_slope_is_that_of_all_and_of_a_number():
    layer = flux.PReLU()
    np.testing.assert_allclose(layer(flux.tensor(X)).numpy(), np.where(X > 0, X, X / 4))
    assert layer(-2.0).item() == -0.5
    assert layer(flux.zeros((0, 3))).shape == (0, 3)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_extremes(dtype):
    y = flux.PReLU()(flux.tensor([-np.inf, np.inf, 0.0, np.nan], dtype=dtype)).astype("float32").tolist()
    assert y[:3] == [-np.inf, np.inf, 0]
    assert np.isnan(y[3])


def test_at_zero_the_slope_is_the_learnt_one_as_in_pytorch():
    (g,) = flux.gradient(lambda x: flux.PReLU()(x).sum(), flux.zeros(2))
    assert g.tolist() == [0.25, 0.25]


def test_what_is_no_number_of_channels_is_refused():
    for channels in (0, -1, 1.5, True):
        with pytest.raises(ValueError, match="PReLU"):
            flux.PReLU(channels)
    with pytest.raises(
        flux.ShapeError, match=r"PReLU\(3\): expected 3 channels on the last axis, got shape \(2, 4\)"
    ):
        flux.PReLU(3)(flux.zeros((2, 4)))
