"""Pooling against a reference that looks at one window at a time, its gradients, and its errors."""

import numpy as np
import pytest

import oxiflux as flux
from references import adaptive, pooled

# A shape, a window, a stride and a padding of two numbers for each length.
CASES = [
    ((2, 7, 3), (2,), (2,), (0, 0)),
    ((1, 5, 70), (5,), (1,), (4, 4)),
    ((3, 6, 5, 1), (2, 3), (1, 2), (0, 0, 1, 1)),
    ((2, 5, 9, 21), (3, 3), (2, 2), (1, 1, 1, 1)),
    ((1, 9, 8, 4), (2, 2), (4, 3), (1, 0, 0, 1)),
    ((0, 4, 4, 3), (2, 2), (2, 2), (0, 0, 0, 0)),
    ((2, 4, 4, 0), (2, 2), (2, 2), (0, 0, 0, 0)),
    ((2, 4, 5, 3, 5), (2, 2, 2), (1, 2, 1), (0, 1, 1, 0, 1, 1)),
    ((1, 20, 17, 3), (20, 17), (1, 1), (0, 0, 0, 0)),
]


def x_of(shape, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("shape", "window", "stride", "pad"), CASES)
def test_maxpool_is_the_largest_of_each_window(shape, window, stride, pad, dtype):
    x = x_of(shape, dtype)
    y = flux.maxpool(flux.tensor(x), window, stride=stride, pad=pad)
    assert y.dtype == np.dtype(dtype).name
    np.testing.assert_array_equal(y.numpy(), pooled(x, np.max, -np.inf, window, stride, pad))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("shape", "window", "stride", "pad"), CASES)
def test_meanpool_counts_padding_as_zeros(shape, window, stride, pad, dtype):
    x = x_of(shape, dtype)
    y = flux.meanpool(flux.tensor(x), window, stride=stride, pad=pad)
    expected = pooled(x.astype(np.float64), np.mean, 0, window, stride, pad)
    assert y.dtype == np.dtype(dtype).name
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(y.numpy(), expected, rtol=16 * eps, atol=16 * eps)


@pytest.mark.parametrize("p", [1, 2, 3.5])
def test_lpnormpool_is_its_formula(p):
    x = np.abs(x_of((2, 6, 5, 3), np.float64))
    y = flux.lpnormpool(flux.tensor(x), p, (2, 3), stride=2, pad=(1, 1))
    norm = lambda box, axis: (box**p).sum(axis) ** (1 / p)
    np.testing.assert_allclose(y.numpy(), pooled(x, norm, 0, (2, 3), (2, 2), (1, 1, 1, 1)), rtol=1e-12)


# A shape, a window, a stride, a padding, a dilation and whether there may be windows that are not whole.
SPREAD = [
    ((2, 9, 3), (2,), (2,), (0, 0), (3,), False),
    ((2, 9, 3), (2,), (4,), (2, 1), (3,), True),
    ((1, 7, 70), (3,), (2,), (0, 0), (1,), True),
    ((1, 2, 3), (3,), (2,), (0, 0), (1,), True),
    ((2, 8, 9, 5), (3, 2), (2, 3), (1, 1, 1, 0), (2, 3), False),
    ((2, 8, 9, 5), (3, 2), (3, 4), (1, 1, 1, 0), (2, 3), True),
    ((1, 6, 7, 21), (2, 2), (4, 3), (1, 1, 1, 1), (1, 1), True),
    ((1, 4, 7, 8, 2), (2, 3, 2), (2, 2, 3), (1, 0, 2, 1, 0, 1), (2, 2, 4), True),
    ((0, 5, 5, 2), (2, 2), (2, 2), (0, 0, 0, 0), (2, 1), True),
]
each_spread = pytest.mark.parametrize(("shape", "window", "stride", "pad", "dilation", "ceil_mode"), SPREAD)


@each_spread
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_windows_may_have_gaps_and_reach_past_the_end(shape, window, stride, pad, dilation, ceil_mode, dtype):
    x, options = (
        x_of(shape, dtype),
        {"stride": stride, "pad": pad, "dilation": dilation, "ceil_mode": ceil_mode},
    )
    reference = lambda x, f, fill: pooled(x, f, fill, window, stride, pad, dilation, ceil_mode)
    y = flux.maxpool(flux.tensor(x), window, **options)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y.numpy(), reference(x, np.nanmax, -np.inf))
    rtol = {"float32": 1e-5, "float64": 1e-13}[dtype]
    for count_include_pad, fill in ((True, 0), (False, np.nan)):
        y = flux.meanpool(flux.tensor(x), window, count_include_pad=count_include_pad, **options)
        assert y.dtype == dtype
        np.testing.assert_allclose(y.numpy(), reference(x, np.nanmean, fill), rtol=rtol, atol=rtol)
    norm = lambda box, axis: np.nansum(box**2, axis) ** 0.5
    y = flux.lpnormpool(flux.tensor(x), 2, window, **options)
    np.testing.assert_allclose(y.numpy(), reference(x, norm, 0), rtol=rtol)


@each_spread
def test_gradients_of_such_windows_match_differences(shape, window, stride, pad, dilation, ceil_mode):
    x = flux.tensor(x_of(shape, np.float64)[..., :3])
    options = {"stride": stride, "pad": pad, "dilation": dilation, "ceil_mode": ceil_mode}
    for f in (
        lambda x: flux.maxpool(x, window, **options),
        lambda x: flux.meanpool(x, window, count_include_pad=False, **options),
        lambda x: flux.lpnormpool(flux.exp(x), 3, window, **options),
    ):
        assert flux.gradcheck(lambda x, f=f: flux.sum(flux.sin(f(x))), x, order=2)


def test_values_of_pytorch_for_windows_that_are_not_whole():
    # F.avg_pool1d(x, 3, 2, 1, ceil_mode=True), with and without count_include_pad, and
    # F.max_pool1d(x, 2, 2, 1, 2, ceil_mode=True).
    x = flux.arange(6).reshape(1, 6, 1) + 1
    f = lambda pool, *window, **options: pool(
        x, *window, stride=2, pad=1, ceil_mode=True, **options
    ).flatten()
    assert f(flux.meanpool, (3,)).tolist() == [1, 3, 5, 3]
    assert f(flux.meanpool, (3,), count_include_pad=False).tolist() == [1.5, 3, 5, 6]
    assert f(flux.maxpool, (2,), dilation=2).tolist() == [2, 4, 6, 6]
    # No window starts in the padding after the image.
    assert flux.maxpool(x[:, :4], (2,), stride=3, pad=1, ceil_mode=True).flatten().tolist() == [1, 4]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_such_windows_of_narrow_numbers(dtype):
    x = flux.tensor(np.full((1, 7, 1), 30000.0), dtype=dtype)
    for pool in (flux.maxpool, flux.meanpool):
        y = pool(x, (4,), stride=2, pad=1, dilation=2, ceil_mode=True)
        assert y.dtype == dtype
        assert flux.all(flux.isfinite(y))


def test_a_window_between_which_there_is_nothing_of_the_image_is_refused():
    for pool in (flux.maxpool, flux.meanpool):
        with pytest.raises(
            flux.ShapeError, match=r"pool: a window with dilation 2 and pad \(1, 1\) has nothing of axis 1"
        ):
            pool(flux.zeros((1, 1, 1)), (2,), pad=1, dilation=2)


@pytest.mark.parametrize("option", [{"dilation": 0}, {"dilation": (1, 2, 3)}, {"dilation": 1.5}])
def test_a_dilation_that_is_none_is_a_value_error(option):
    for make in (flux.MaxPool, flux.MeanPool):
        with pytest.raises(ValueError, match="Pool: dilation must be"):
            make((2, 2), **option)


def test_ceil_mode_is_a_truth():
    with pytest.raises(TypeError, match="MaxPool: ceil_mode must be True or False, got 1"):
        flux.MaxPool((2, 2), ceil_mode=1)


def test_an_input_that_is_not_contiguous_is_pooled_like_a_copy_of_it():
    x = x_of((3, 8, 10, 4))
    view = flux.permute_dims(flux.tensor(x)[::-1, :, ::2], (0, 2, 1, 3))
    for pool in (flux.maxpool, flux.meanpool):
        np.testing.assert_array_equal(
            pool(view, (2, 2)).numpy(), pool(np.ascontiguousarray(view.numpy()), (2, 2)).numpy()
        )


@pytest.mark.parametrize("recorded", [False, True])
def test_nan_wins_and_passes_no_other_window(recorded):
    x = np.array([3.0, np.nan, 5.0, -np.inf, -np.inf, 1.0], np.float32).reshape(1, 6, 1)
    f = lambda x: flux.maxpool(x, (2,))
    y = flux.pullback(f, flux.tensor(x))[0] if recorded else f(x)
    np.testing.assert_array_equal(y.numpy().ravel(), [np.nan, 5, 1])


def test_the_first_of_equals_has_the_gradient():
    x = flux.tensor(np.array([2.0, 2.0, 1.0, -np.inf, -np.inf, 7.0, np.nan, np.nan]).reshape(1, 8, 1))
    (g,) = flux.gradient(lambda x: flux.sum(flux.maxpool(x, (2,)) * np.arange(1, 5).reshape(1, 4, 1)), x)
    assert g.flatten().tolist() == [1, 0, 2, 0, 0, 3, 4, 0]
    (g,) = flux.gradient(lambda x: flux.maxpool(x, (2,)).sum(), flux.full((1, 2, 1), -np.inf))
    assert g.flatten().tolist() == [1, 0]


@pytest.mark.parametrize("channels", [*range(1, 10), 17])
def test_windows_of_few_channels_have_their_places_at_the_edges_too(channels):
    """Of nothing but -inf, the first element that is no padding has the gradient."""
    shape = (2, 5, 9, channels)
    pool = lambda x: flux.maxpool(x, (3, 3), stride=2, pad=1)
    (g,) = flux.gradient(lambda x: pool(x).sum(), flux.full(shape, -np.inf))
    expected = np.zeros(shape)
    for row in (0, 1, 3):
        for column in (0, 1, 3, 5, 7):
            expected[:, row, column] = 1
    np.testing.assert_array_equal(g.numpy(), expected)
    x = flux.tensor(x_of(shape))
    of_one = [pool(x[..., c : c + 1].copy()) for c in range(channels)]
    np.testing.assert_array_equal(pool(x).numpy(), np.concatenate([y.numpy() for y in of_one], -1))


def test_an_element_gets_the_gradients_of_all_windows_that_it_wins():
    x = flux.tensor(np.array([0.0, 9.0, 1.0, 2.0]).reshape(1, 4, 1))
    (g,) = flux.gradient(lambda x: flux.maxpool(x, (3,), stride=1, pad=1).sum(), x)
    assert g.flatten().tolist() == [0, 3, 0, 1]


@pytest.mark.parametrize(
    "pool", [flux.maxpool, flux.meanpool, lambda x, *a, **k: flux.lpnormpool(x, 2, *a, **k)]
)
@pytest.mark.parametrize(("shape", "window", "stride", "pad"), [c for c in CASES if np.prod(c[0]) < 1000])
def test_gradients_match_finite_differences(pool, shape, window, stride, pad):
    x = flux.tensor(x_of(shape, np.float64))
    assert flux.gradcheck(lambda x: flux.sum(flux.sin(pool(x, window, stride=stride, pad=pad))), x)


@pytest.mark.parametrize("p", [0.5, 1, 1.5, 2, 3, 7, np.inf])
def test_norms_of_windows_with_zeros_have_gradients_that_are_numbers_for_every_p(p):
    for window, slope in (([0, 0], [0, 0]), ([0, 1], [0, 1]), ([5, 0], [1, 0])):
        x = flux.tensor([[[float(v)] for v in window]])
        value, (g,) = flux.withgradient(lambda x: flux.lpnormpool(x, p, (2,)).sum(), x)
        assert value.item() == pytest.approx(max(window), rel=1e-5)
        # The first of equal elements has the gradient of a maximum, as in maxpool; sums of magnitudes have slopes at 0.
        if p == 1:
            slope = [1, 1] if any(window) else slope
        assert g.flatten().tolist() == pytest.approx(slope, rel=1e-5)


@pytest.mark.parametrize(
    ("dtype", "sizes"),
    [("float16", [300.0, 2.0**-10]), ("float32", [1e30, 1e-30]), ("float64", [1e300, 1e-300])],
)
@pytest.mark.parametrize("p", [2, 3, 7])
def test_norms_of_windows_whose_powers_do_not_fit(p, dtype, sizes):
    for size in sizes:
        x = flux.tensor([[[3 * size], [4 * size]]], dtype=dtype)
        value, (g,) = flux.withgradient(lambda x: flux.lpnormpool(x, p, (2,)).sum(), x)
        norm = (3.0**p + 4.0**p) ** (1 / p)
        rtol = 4e-3 if dtype == "float16" else 1e-5
        assert value.item() / size == pytest.approx(norm, rel=rtol)
        np.testing.assert_allclose(
            g.flatten().numpy(), [(3 / norm) ** (p - 1), (4 / norm) ** (p - 1)], rtol=rtol
        )


def test_lpnormpool_has_no_gradient_at_zero():
    (g,) = flux.gradient(lambda x: flux.lpnormpool(x, 2, (2,)).sum(), flux.zeros((1, 4, 1)))
    assert g.flatten().tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("shape", [(300, 3, 5, 3), (2, 65, 63, 64), (1, 20000, 1)])
def test_the_number_of_threads_does_not_change_a_bit(shape):
    x = flux.tensor(x_of(shape))
    window = (3,) * (len(shape) - 2)
    threads = flux.get_num_threads()
    results = []
    try:
        for n in (1, 4):
            flux.set_num_threads(n)
            for pool in (flux.maxpool, flux.meanpool):
                f = lambda x, pool=pool: flux.sum(flux.square(pool(x, window, stride=2, pad=1)))
                value, grads = flux.withgradient(f, x)
                results.append((value.item(), grads[0].numpy().tobytes()))
    finally:
        flux.set_num_threads(threads)
    assert results[:2] == results[2:]


def test_integers_are_pooled_in_float32():
    y = flux.maxpool(np.arange(4).reshape(1, 4, 1), (2,))
    assert y.dtype == "float32"
    assert y.flatten().tolist() == [1, 3]


# Layers


@pytest.mark.parametrize(
    ("shape", "size"), [((2, 7, 3), (3,)), ((1, 9, 6, 2), (2, 6)), ((1, 4, 5, 6, 2), (1, 2, 3))]
)
def test_adaptive_pools_follow_their_rule(shape, size):
    x = x_of(shape)
    window, stride = adaptive(shape[1:-1], size)
    nothing = (0,) * (2 * len(size))
    y = flux.AdaptiveMaxPool(size)(x)
    assert y.shape == (shape[0], *size, shape[-1])
    np.testing.assert_array_equal(y.numpy(), pooled(x, np.max, 0, window, stride, nothing))
    y = flux.AdaptiveMeanPool(size)(x)
    np.testing.assert_allclose(y.numpy(), pooled(x, np.mean, 0, window, stride, nothing), 1e-5, 1e-6)


@pytest.mark.parametrize("shape", [(2, 7, 3), (1, 300, 5, 2), (2, 3, 4, 5, 6), (0, 3, 4, 2)])
def test_global_pools_leave_lengths_of_one(shape):
    x = x_of(shape)
    lengths = tuple(range(1, x.ndim - 1))
    expected = x.max(lengths, keepdims=True) if x.size else x[:, :1, :1]
    np.testing.assert_array_equal(flux.GlobalMaxPool()(x).numpy(), expected)
    expected = x.mean(lengths, keepdims=True)
    np.testing.assert_allclose(flux.GlobalMeanPool()(x).numpy(), expected, rtol=2e-6, atol=1e-6)


# Errors


@pytest.mark.parametrize("make", [flux.MaxPool, flux.MeanPool])
@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (((0, 2),), {}),
        (((2, -1),), {}),
        (((2.5,),), {}),
        (((),), {}),
        (((1, 1, 1, 1),), {}),
        ((2,), {}),
        (((2, 2),), {"stride": 0}),
        (((2, 2),), {"stride": (1, 2, 3)}),
        (((2, 2),), {"pad": -1}),
        (((2, 2),), {"pad": 2}),
        (((3, 2),), {"pad": (1, 1, 1, 2)}),
        (((2, 2),), {"pad": "same"}),
    ],
)
def test_a_window_that_is_none_is_a_value_error(make, arguments, options):
    with pytest.raises(ValueError, match="Pool"):
        make(*arguments, **options)


@pytest.mark.parametrize("shape", [(), (4,), (4, 4), (4, 4, 4), (1, 1, 4, 4, 4), (1, 1, 4, 3), (1, 0, 4, 3)])
@pytest.mark.parametrize("make", [flux.MaxPool, flux.MeanPool])
def test_an_image_that_does_not_fit_the_window_is_a_shape_error(make, shape):
    layer = make((2, 2))
    with pytest.raises(flux.ShapeError) as error:
        layer(flux.zeros(shape))
    assert str(error.value).startswith(layer.describe())
    assert str(tuple(shape)) in str(error.value)


@pytest.mark.parametrize("shape", [(), (4,), (4, 4), (4, 1, 3), (1, 4, 4, 3)])
@pytest.mark.parametrize("make", [flux.AdaptiveMaxPool, flux.AdaptiveMeanPool])
def test_an_image_that_is_smaller_than_an_adaptive_pool_makes_it_is_a_shape_error(make, shape):
    with pytest.raises(flux.ShapeError, match=r"Pool\(\(2,\)\): expected"):
        make((2,))(flux.zeros(shape))


@pytest.mark.parametrize("shape", [(), (4,), (4, 4), (4, 0, 3)])
@pytest.mark.parametrize("layer", [flux.GlobalMaxPool(), flux.GlobalMeanPool()])
def test_global_pools_of_nothing_are_shape_errors(layer, shape):
    with pytest.raises(flux.ShapeError, match=r"Global\w+\(\): expected"):
        layer(flux.zeros(shape))


@pytest.mark.parametrize("size", [(0,), (), (1.5, 2), 3])
def test_an_adaptive_pool_of_no_size_is_a_value_error(size):
    with pytest.raises(ValueError, match="AdaptiveMaxPool"):
        flux.AdaptiveMaxPool(size)


@pytest.mark.parametrize("p", [0, -1, float("nan")])
def test_a_norm_that_is_none_is_a_value_error(p):
    with pytest.raises(ValueError, match="lpnormpool"):
        flux.lpnormpool(flux.zeros((1, 4, 1)), p, (2,))


def test_the_operation_refuses_what_the_functions_refuse():
    x = flux.zeros((1, 4, 4, 3))
    for bad in ({}, {"window": (0, 2)}, {"window": (2, 2), "stride": 0}, {"window": (2, 2), "pad": (1, 1)}):
        with pytest.raises(ValueError, match="maxpool"):
            flux._core.maxpool(x, **bad)
    with pytest.raises(ValueError, match="maxpool"):
        flux._core.maxpool(x, (2, 2), 1, 2)
    huge = 2**62
    with pytest.raises((ValueError, MemoryError)):
        flux._core.maxpool(x, (huge, huge), 1, huge - 1)
