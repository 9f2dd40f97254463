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


@pytest.mark.parametrize("f", [flux.var, flux.std], ids=lambda f: f.__name__)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "int32"])
@pytest.mark.parametrize(
    ("shape", "axis", "correction"),
    [
        ((0,), None, 0), ((0,), None, -1), ((3, 0), 1, 0), ((0, 3), None, 0), ((1,), None, 1), ((1,), None, 2),
        ((2, 1), 1, 1), ((4,), None, 4), ((4,), None, 5.5), ((3, 4), 0, 3), ((3, 4), (0, 1), 12),
    ],
)  # fmt: skip
def test_no_elements_left_by_the_correction_have_no_spread(f, dtype, shape, axis, correction):
    x = flux.tensor(np.arange(np.prod(shape)).reshape(shape)).astype(dtype)
    got = f(x, axis=axis, correction=correction)
    assert got.shape == np.sum(np.zeros(shape), axis=axis).shape
    assert np.isnan(got.astype("float64").numpy()).all()
    if dtype != "int32" and x.size:
        (g,) = flux.gradient(lambda x: f(x, axis=axis, correction=correction).sum(), x)
        assert g.shape == shape and np.isnan(g.astype("float64").numpy()).all()


def test_an_empty_result_has_no_spread_to_speak_of():
    assert flux.var(flux.zeros((0, 3)), axis=1).shape == flux.std(flux.zeros((0, 3)), axis=1).shape == (0,)


@pytest.mark.parametrize("correction", [-2, -0.5, 0, 0.5, 1])
def test_a_correction_may_be_negative_or_broken(correction):
    x = np.array([1.0, 2.0, 4.0, 8.0])
    want = ((x - x.mean()) ** 2).sum() / (4 - correction)
    assert flux.var(flux.tensor(x), correction=correction).item() == pytest.approx(want, rel=1e-14)
    assert flux.std(flux.tensor(x), correction=correction).item() == pytest.approx(want**0.5, rel=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((7,), None), ((100_003,), None), ((3, 40_001), 1), ((40_001, 3), 0), ((50_000, 33), 0), ((9, 3000), 0),
        ((33, 65), 0), ((20, 5), 0), ((33, 65), 1), ((5, 17, 6), 1), ((5, 17, 6), (0, 2)), ((5, 17, 6), (0, 1)),
        ((2, 3000, 70), (0, 1)),
    ],
)  # fmt: skip
def test_spreads_over_all_layouts_agree_with_double_precision(shape, axis, dtype):
    x = (np.random.default_rng(0).normal(size=shape) * 3 + 40).astype(dtype)
    rtol = 3e-6 if dtype == "float32" else 1e-12
    for view, back in ((x, x), (x.T, x.T)):
        along = axis if view is x or not isinstance(axis, int) else x.ndim - 1 - axis
        if view is not x and isinstance(axis, tuple):
            along = tuple(x.ndim - 1 - a for a in axis)
        t = flux.tensor(x) if view is x else flux.tensor(x).T
        wide = back.astype("float64")
        for correction in (0, 1):
            got = (
                flux.var(t, axis=along, correction=correction),
                flux.std(t, axis=along, correction=correction),
            )
            want = np.var(wide, axis=along, ddof=correction), np.std(wide, axis=along, ddof=correction)
            np.testing.assert_allclose(got[0].numpy(), want[0], rtol=rtol)
            np.testing.assert_allclose(got[1].numpy(), want[1], rtol=rtol)
        apart = wide - wide.mean(axis=along, keepdims=True)
        n = apart.size // max(want[0].size, 1)
        g = flux.gradient(lambda t, along=along: flux.var(t, axis=along).sum(), t)[0].numpy()
        np.testing.assert_allclose(g, 2 * apart / n, rtol=1e-3, atol=3e-5 / n)
        g = flux.gradient(lambda t, along=along: flux.std(t, axis=along).sum(), t)[0].numpy()
        np.testing.assert_allclose(
            g, apart / wide.std(axis=along, keepdims=True) / n, rtol=1e-3, atol=3e-5 / n
        )


@pytest.mark.parametrize("f", [flux.var, flux.std], ids=lambda f: f.__name__)
@pytest.mark.parametrize("axis", [None, 0, 1, (0, 2), (1, 2)])
@pytest.mark.parametrize("correction", [0, 1])
def test_first_and_second_derivatives_of_spreads_are_those_of_finite_differences(f, axis, correction):
    x = flux.tensor(np.random.default_rng(1).normal(size=(3, 4, 2)))
    weights = np.random.default_rng(2).normal(size=f(x, axis=axis).shape)

    def weighted(x):
        return (f(x, axis=axis, correction=correction) * weights).sum()

    assert flux.gradcheck(weighted, x)
    assert flux.gradcheck(lambda x: flux.sin(flux.gradient(weighted, x)[0]).sum(), x)


@pytest.mark.parametrize("size", [2, 9, 33, 1000, 100_000])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_long_rows_and_columns_of_equal_numbers_deviate_by_exactly_nothing(size, dtype):
    for value in (0.1, 1 / 3, 1e8 / 3, 1e-30, 1e30):
        x = flux.full((size, 3), value, dtype=dtype)
        for t, axis in ((x, 0), (x.T, 1), (x, None)):
            assert flux.std(t, axis=axis).sum().item() == flux.var(t, axis=axis).sum().item() == 0
            (g,) = flux.gradient(lambda t, axis=axis: flux.std(t, axis=axis).sum(), t)
            assert not g.numpy().any()


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
