"""Upsampling and pixel shuffling against NumPy, their gradients, and their errors."""

import numpy as np
import pytest

import oxiflux as flux
from references import cubic, interpolated, shuffled

LINEAR = {1: flux.upsample_linear, 2: flux.upsample_bilinear, 3: flux.upsample_trilinear}


def x_of(shape, dtype=np.float32):
    return np.random.default_rng(0).normal(size=shape).astype(dtype)


SIZES = [
    ((2, 5, 3), (12,)),
    ((1, 4, 3, 1), (7, 3)),
    ((2, 4, 5, 67), (8, 10)),
    ((1, 2, 3, 2, 3), (5, 2, 1)),
    ((2, 1, 4, 2), (3, 4)),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize(("shape", "size"), SIZES)
def test_linear_upsampling_interpolates_each_axis(shape, size, align_corners, dtype):
    x = x_of(shape, dtype)
    y = LINEAR[len(size)](flux.tensor(x), size=size, align_corners=align_corners)
    assert y.dtype == dtype
    eps = np.finfo(dtype).eps
    expected = interpolated(x.astype(np.float64), size, align_corners)
    np.testing.assert_allclose(y.numpy(), expected, rtol=16 * eps, atol=16 * eps)


@pytest.mark.parametrize(
    ("scale", "size"), [(2, (8, 10)), ((1.5, 2.7), (6, 13)), (0.5, (2, 2)), ((1, 1), (4, 5))]
)
def test_a_scale_is_rounded_down_to_whole_lengths(scale, size):
    x = x_of((2, 4, 5, 3))
    y = flux.upsample_bilinear(x, scale)
    np.testing.assert_array_equal(y.numpy(), flux.upsample_bilinear(x, size=size).numpy())
    assert y.shape == (2, *size, 3)


@pytest.mark.parametrize(
    ("shape", "scale"), [((2, 5, 3), (3,)), ((1, 2, 3, 70), (2, 3)), ((2, 3, 2, 1, 2), (1, 2, 3))]
)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_nearest_upsampling_repeats_pixels(shape, scale, dtype):
    x = expected = (x_of(shape) * 9).astype(dtype)
    for axis, s in enumerate(scale, start=1):
        expected = np.repeat(expected, s, axis=axis)
    y = flux.upsample_nearest(flux.tensor(x), scale)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y.numpy(), expected)
    np.testing.assert_array_equal(flux.upsample_nearest(x, size=expected.shape[1:-1]).numpy(), expected)


@pytest.mark.parametrize("dtype", ["float32", "int32"])
@pytest.mark.parametrize(
    ("shape", "size"),
    [((2, 5, 3), (7,)), ((1, 4, 3, 2), (3, 5)), ((1, 2, 3, 4, 2), (5, 1, 6)), ((2, 7, 1), (3,))],
)
def test_nearest_upsampling_takes_any_lengths(shape, size, dtype):
    x = expected = (x_of(shape) * 9).astype(dtype)
    for axis, m in enumerate(size, start=1):
        expected = np.take(expected, [int(i * x.shape[axis] / m) for i in range(m)], axis=axis)
    y = flux.upsample_nearest(flux.tensor(x), size=size)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y.numpy(), expected)
    np.testing.assert_array_equal(flux.Upsample(size=size)(x).numpy(), expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("size", [(7, 9), (3, 5), (1, 1), (2, 3), (4, 12), (4, 5)])
def test_cubic_upsampling_is_keys_convolution(size, align_corners, dtype):
    x = x_of((2, 4, 5, 3), dtype)
    y = flux.upsample_bicubic(flux.tensor(x), size=size, align_corners=align_corners)
    assert y.dtype == dtype
    atol = {"float32": 2e-6, "float64": 1e-14}[dtype]
    np.testing.assert_allclose(y.numpy(), cubic(x.astype(np.float64), size, align_corners), atol=atol)
    layer = flux.Upsample("bicubic", size=size, align_corners=align_corners)
    np.testing.assert_array_equal(layer(x).numpy(), y.numpy())


def test_cubic_values_of_pytorch():
    # F.interpolate(x, size=(1, 6), mode="bicubic"), with align_corners False and True, of 0, 0, 1, 3.
    x = flux.tensor([0.0, 0.0, 1.0, 3.0]).reshape(1, 1, 4, 1)
    theirs = {
        False: [0.0, -0.09375, 0.1087961, 0.6828703, 2.09375, 3.1736112],
        True: [0.0, -0.108, 0.1280003, 0.6320009, 1.884001, 3.0],
    }
    for align_corners, expected in theirs.items():
        got = flux.upsample_bicubic(x, size=(1, 6), align_corners=align_corners)
        np.testing.assert_allclose(got.flatten().numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_cubic_upsampling_of_narrow_numbers_and_integers(dtype):
    x = flux.tensor(x_of((1, 3, 4, 2)), dtype=dtype)
    y = flux.upsample_bicubic(x, 2)
    assert y.dtype == dtype
    wide = flux.upsample_bicubic(x.astype("float32"), 2).astype(dtype)
    assert flux.all(y == wide)
    assert flux.upsample_bicubic(flux.ones((1, 2, 2, 1), dtype="int32"), 2).dtype == "float32"


def test_an_image_that_is_not_contiguous():
    x = x_of((6, 5, 4, 2))
    view = flux.permute_dims(flux.tensor(x), (3, 1, 2, 0))[:, ::-1]
    copied = np.ascontiguousarray(view.numpy())
    for f in (flux.upsample_bilinear, flux.upsample_nearest):
        np.testing.assert_array_equal(f(view, 2).numpy(), f(copied, 2).numpy())


def test_an_empty_batch():
    assert flux.upsample_bilinear(flux.zeros((0, 2, 3, 4)), 2).shape == (0, 4, 6, 4)
    assert flux.upsample_nearest(flux.zeros((0, 2, 3, 4)), 2).shape == (0, 4, 6, 4)
    assert flux.pixel_shuffle(flux.zeros((0, 2, 3, 4)), 2).shape == (0, 4, 6, 1)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: flux.upsample_bilinear(x, (2, 1.5)),
        lambda x: flux.upsample_bilinear(x, size=(2, 7), align_corners=False),
        lambda x: flux.upsample_bicubic(x, (2, 1.5)),
        lambda x: flux.upsample_bicubic(x, size=(2, 7), align_corners=False),
        lambda x: flux.upsample_nearest(x, size=(2, 7)),
        lambda x: flux.upsample_nearest(x, 2),
        lambda x: flux.pixel_shuffle(x, 2),
    ],
)
def test_gradients_match_finite_differences(f):
    x = flux.tensor(x_of((2, 3, 4, 4), np.float64))
    assert flux.gradcheck(lambda x: flux.sum(flux.sin(f(x))), x)


def test_second_gradients_of_linear_upsampling_match_finite_differences():
    x = flux.tensor(x_of((1, 3, 2), np.float64))
    slope = lambda x: flux.gradient(lambda x: flux.sum(flux.sin(flux.upsample_linear(x, 2.4))), x)[0]
    assert flux.gradcheck(lambda x: flux.sum(flux.square(slope(x))), x)


def test_the_number_of_threads_does_not_change_a_bit():
    x, threads, results = flux.tensor(x_of((3, 40, 50, 3))), flux.get_num_threads(), []
    try:
        for n in (1, 4):
            flux.set_num_threads(n)
            (g,) = flux.gradient(lambda x: flux.sum(flux.square(flux.upsample_bilinear(x, 1.7))), x)
            results.append(g.numpy().tobytes())
    finally:
        flux.set_num_threads(threads)
    assert results[0] == results[1]


@pytest.mark.parametrize("lengths", [(5,), (3, 4), (2, 3, 2)])
def test_pixel_shuffle_puts_channels_into_squares(lengths):
    r, n = 2, len(lengths)
    x = x_of((2, *lengths, 3 * r**n))
    np.testing.assert_array_equal(flux.pixel_shuffle(flux.tensor(x), r).numpy(), shuffled(x, r))


def test_layers_are_their_functions():
    x = x_of((2, 4, 5, 8))
    pairs = [
        (flux.Upsample(2), flux.upsample_nearest(x, 2)),
        (flux.Upsample("bilinear", scale=(2, 1.5)), flux.upsample_bilinear(x, (2, 1.5))),
        (flux.Upsample((2, 3), "bilinear"), flux.upsample_bilinear(x, (2, 3))),
        (
            flux.Upsample("bilinear", size=[7, 7], align_corners=False),
            flux.upsample_bilinear(x, size=(7, 7), align_corners=False),
        ),
        (flux.PixelShuffle(2), flux.pixel_shuffle(x, 2)),
    ]
    for layer, expected in pairs:
        np.testing.assert_array_equal(layer(x).numpy(), expected.numpy())


@pytest.mark.parametrize(
    ("f", "shape"),
    [
        (flux.upsample_linear, (2, 3, 4, 5)),
        (flux.upsample_bilinear, (2, 3, 4)),
        (flux.upsample_trilinear, (2, 3, 4, 5)),
        (flux.upsample_nearest, (2, 3)),
        (flux.upsample_bilinear, ()),
        (flux.upsample_bilinear, (2, 0, 4, 5)),
    ],
)
def test_images_of_another_rank_are_shape_errors(f, shape):
    with pytest.raises(flux.ShapeError, match=f"{f.__name__}.*shape"):
        f(flux.zeros(shape), 2)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"scale": 2, "size": 4},
        {"scale": 0},
        {"scale": -1},
        {"scale": float("nan")},
        {"scale": float("inf")},
        {"scale": (2, 2, 2)},
        {"size": (4,)},
        {"size": 0},
        {"size": 2.5},
    ],
)
@pytest.mark.parametrize("f", [flux.upsample_bilinear, flux.upsample_nearest])
def test_sizes_that_are_none_are_value_errors(f, options):
    with pytest.raises(ValueError, match=f.__name__):
        f(flux.zeros((1, 2, 2, 1)), **options)


def test_a_scale_that_leaves_nothing_is_a_shape_error():
    with pytest.raises(flux.ShapeError, match=r"\(0, 0\)"):
        flux.upsample_bilinear(flux.zeros((1, 2, 2, 1)), 0.3)


@pytest.mark.parametrize("options", [{"scale": 1.5}, {"scale": (1, 2.5)}, {"scale": 0.5}])
def test_nearest_upsampling_by_a_fraction_is_a_value_error(options):
    with pytest.raises(ValueError, match="integers"):
        flux.upsample_nearest(flux.zeros((1, 2, 2, 1)), **options)


def test_layers_refuse_what_they_cannot_do():
    for given, options in [((), {}), (("cubic",), {"scale": 2}), ((2,), {"size": 4})]:
        with pytest.raises(ValueError, match="Upsample"):
            flux.Upsample(*given, **options)
    with pytest.raises(TypeError, match="twice"):
        flux.Upsample(2, 3)
    with pytest.raises(flux.ShapeError, match=r'Upsample\("bilinear", scale=2\): '):
        flux.Upsample(2, "bilinear")(flux.zeros((2, 3, 4)))
    with pytest.raises(flux.ShapeError, match=r"PixelShuffle\(2\): .*\(1, 2, 2, 3\)"):
        flux.PixelShuffle(2)(flux.zeros((1, 2, 2, 3)))
    for r in (0, -1, 1.5, "2"):
        with pytest.raises(ValueError, match="PixelShuffle"):
            flux.PixelShuffle(r)


def test_one_pixel_upsampled_by_less_than_two_stays_one():
    x = flux.tensor([[[3.0]]])
    assert flux.upsample_linear(x, 1.5).tolist() == [[[3.0]]]
    assert flux.gradient(lambda x: flux.upsample_linear(x, 1.5).sum(), x)[0].tolist() == [[[1.0]]]
    assert flux.upsample_linear(x, size=3).tolist() == [[[3.0], [3.0], [3.0]]]
