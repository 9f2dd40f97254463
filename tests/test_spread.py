"""Variances and deviations far from zero, near the limits of their type, and of equal numbers."""

import numpy as np
import pytest

import oxiflux as flux


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_the_deviation_does_not_pass_through_a_rounded_variance(dtype):
    x = flux.tensor([1000.0, -1000.0], dtype=dtype)
    assert flux.std(x).item() == x.std().item() == 1000
    assert flux.gradient(flux.std, x)[0].tolist() == [0.5, -0.5]


@pytest.mark.parametrize(
    ("dtype", "sizes"), [("float32", [1e20, 1e-25, 1e38]), ("float64", [1e200, 1e-200, 1e307])]
)
def test_deviations_whose_squares_do_not_fit(dtype, sizes):
    for size in sizes:
        x = flux.tensor([size, -size], dtype=dtype)
        assert flux.std(x).item() == pytest.approx(size, rel=1e-6)
        np.testing.assert_allclose(flux.gradient(flux.std, x)[0].numpy(), [0.5, -0.5], rtol=1e-6)
    rows = flux.tensor([[sizes[0], -sizes[0]], [sizes[1], -sizes[1]], [3.0, 1.0], [2.0, 2.0]], dtype=dtype)
    np.testing.assert_allclose(flux.std(rows, axis=1).numpy(), [*sizes[:2], 1.0, 0.0], rtol=1e-6)


def test_the_variance_forgives_the_rounding_of_the_mean():
    assert flux.var(flux.tensor([1e8, 1e8 + 8])).item() == 16
    assert flux.std(flux.tensor([1e8, 1e8 + 8])).item() == 4
    for correction in (0, 1):
        x = np.random.default_rng(0).normal(size=(7, 33)) + 1e4
        got = flux.var(flux.tensor(x.astype("float32")), axis=1, correction=correction)
        np.testing.assert_allclose(
            got.numpy(), np.var(x.astype("float32").astype("float64"), axis=1, ddof=correction), rtol=1e-3
        )


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_equal_numbers_deviate_by_nothing_and_have_no_slope(dtype):
    for x in ([2.0, 2.0, 2.0], [0.0, 0.0]):
        value, (g,) = flux.withgradient(flux.std, flux.tensor(x, dtype=dtype))
        assert value.item() == 0 and g.tolist() == [0.0] * len(x)
    (curve,) = flux.gradient(lambda x: flux.gradient(flux.std, x)[0].sum(), flux.tensor([2.0, 2.0]))
    assert curve is None or curve.tolist() == [0, 0]


def test_a_mean_of_nothing_and_of_nan_stays_nan():
    assert np.isnan(flux.std(flux.tensor([1.0, np.nan])).item())
    assert np.isnan(flux.std(flux.tensor([1.0, np.inf])).item())


@pytest.mark.parametrize("f", [flux.cumulative_sum, flux.cumulative_prod])
def test_running_sums_of_a_matrix_ask_for_the_axis(f):
    assert f(flux.tensor([2.0, 3.0])).shape == (2,)
    with pytest.raises(ValueError, match="2 axes needs `axis`"):
        f(flux.ones((2, 2)))
    assert f(flux.ones((2, 2)), axis=0).shape == (2, 2)


def test_places_on_no_axes_are_none():
    with pytest.raises(ValueError, match="0-d"):
        flux.nonzero(flux.tensor(1.0))


@pytest.mark.parametrize(
    ("stride", "dilation", "window"), [(2, 2, 3), (1, 3, 3), (2, 1, 3), (3, 2, 4), (1, 1, 2)]
)
def test_same_padding_of_a_transposed_convolution_makes_n_times_stride(stride, dilation, window):
    layer = flux.ConvTranspose((window,), 1, 1, stride=stride, dilation=dilation, pad=flux.SamePad())
    assert layer(flux.ones((1, 4, 1))).shape == (1, 4 * stride, 1)
