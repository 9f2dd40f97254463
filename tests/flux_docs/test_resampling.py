"""The examples of Flux's and NNlib's documentation for padding, windows, gathering and resampling, channels last."""

import math

import numpy as np
import pytest

import oxiflux as flux

SQUARE = np.arange(1, 10).reshape(3, 3).T


def test_pad_constant():
    r = [[1, 3], [2, 4]]
    y = flux.pad_constant(r, (1, 2, 3, 4), 8).numpy()
    assert y.shape == (5, 9)
    np.testing.assert_array_equal(y[1:3, 3:5], r)
    assert (y == 8).sum() == 41
    assert flux.pad_constant(r, 1, 8).tolist() == [[8, 8, 8, 8], [8, 1, 3, 8], [8, 2, 4, 8], [8, 8, 8, 8]]
    cube = flux.reshape(flux.arange(27), (3, 3, 3))
    assert flux.pad_constant(cube, (2, 1), axis=0).shape == (6, 3, 3)
    with pytest.raises(ValueError, match="pad_constant"):
        flux.pad_constant(cube, (2, 1, 3), axis=(0, 1))


def test_pad_reflect():
    assert flux.pad_reflect(SQUARE, (1, 2, 1, 2)).tolist() == [
        [5, 2, 5, 8, 5, 2],
        [4, 1, 4, 7, 4, 1],
        [5, 2, 5, 8, 5, 2],
        [6, 3, 6, 9, 6, 3],
        [5, 2, 5, 8, 5, 2],
        [4, 1, 4, 7, 4, 1],
    ]


def test_pad_repeat():
    assert flux.pad_repeat(SQUARE, (1, 2, 3, 4)).tolist() == [
        [1, 1, 1, 1, 4, 7, 7, 7, 7, 7],
        [1, 1, 1, 1, 4, 7, 7, 7, 7, 7],
        [2, 2, 2, 2, 5, 8, 8, 8, 8, 8],
        [3, 3, 3, 3, 6, 9, 9, 9, 9, 9],
        [3, 3, 3, 3, 6, 9, 9, 9, 9, 9],
        [3, 3, 3, 3, 6, 9, 9, 9, 9, 9],
    ]


def test_pad_symmetric():
    assert flux.pad_symmetric(SQUARE, (1, 2, 1, 2)).tolist() == [
        [1, 1, 4, 7, 7, 4],
        [1, 1, 4, 7, 7, 4],
        [2, 2, 5, 8, 8, 5],
        [3, 3, 6, 9, 9, 6],
        [3, 3, 6, 9, 9, 6],
        [2, 2, 5, 8, 8, 5],
    ]


def test_pad_circular():
    assert flux.pad_circular(SQUARE, (1, 2, 1, 2)).tolist() == [
        [9, 3, 6, 9, 3, 6],
        [7, 1, 4, 7, 1, 4],
        [8, 2, 5, 8, 2, 5],
        [9, 3, 6, 9, 3, 6],
        [7, 1, 4, 7, 1, 4],
        [8, 2, 5, 8, 2, 5],
    ]


def test_unfold_makes_a_convolution_a_product():
    x = flux.tensor([100, 2, 3, 40, 5, 6, 700]).reshape(1, 7, 1)
    z = flux.unfold(x, (3,), pad=1, stride=2)
    assert z[0].tolist() == [[0, 100, 2], [2, 3, 40], [40, 5, 6], [6, 700, 0]]
    y = flux.batched_mul(z, flux.tensor([1, 0, -1]).reshape(1, 3, 1))
    assert y.flatten().tolist() == [-2, -38, 34, 6]


def test_fold_undoes_unfold_up_to_a_divisor():
    x = flux.tensor([100, 2, 3, 40, 5, 6, 700]).astype("float32").reshape(1, 7, 1)
    options = {"pad": 1, "stride": 2}
    y = flux.fold(flux.unfold(x, (3,), **options), x.shape, (3,), **options)
    assert y.flatten().tolist() == [100, 4, 3, 80, 5, 12, 700]
    divisor = flux.fold(flux.unfold(flux.ones_like(x), (3,), **options), x.shape, (3,), **options)
    np.testing.assert_array_equal((y / divisor).numpy(), x.numpy())


def test_gather():
    assert flux.gather([1, 20, 300, 4000], [1, 3, 1]).tolist() == [20, 4000, 20]
    rows = np.array([[1, 4], [2, 5], [3, 6]])
    assert flux.gather(rows, [0, 2, 0, 2, 0]).tolist() == [[1, 4], [3, 6], [1, 4], [3, 6], [1, 4]]


def test_scatter():
    assert flux.scatter("+", [10, 100, 1000], [2, 0, 1]).tolist() == [100, 1000, 10]
    rows = [[1, 5], [2, 6], [3, 7], [4, 8]]
    assert flux.scatter("+", rows, [1, 0, 0, 4])[:2].tolist() == [[5, 13], [1, 5]]
    assert flux.scatter("*", [10, 200, 3000], [0, 3, 1], init=10, dstsize=(6,)).tolist() == [
        100, 30000, 10, 2000, 10, 10,
    ]  # fmt: skip


def test_upsample_prints_and_makes_shapes_as_in_flux():
    layer = flux.Upsample(scale=(2, 3))
    assert repr(layer) == 'Upsample("nearest", scale=(2, 3))'
    assert layer(flux.ones((1, 2, 2, 1))).shape == (1, 4, 6, 1)
    layer = flux.Upsample("bilinear", size=(4, 5))
    assert repr(layer) == 'Upsample("bilinear", size=(4, 5))'
    assert layer(flux.ones((1, 2, 2, 1))).shape == (1, 4, 5, 1)


def test_upsample_nearest():
    x = flux.tensor([[1, 2, 3], [4, 5, 6]]).reshape(1, 2, 3, 1)
    y = flux.upsample_nearest(x, (2, 3))
    assert y.reshape(4, 9).tolist() == [[1] * 3 + [2] * 3 + [3] * 3] * 2 + [[4] * 3 + [5] * 3 + [6] * 3] * 2
    np.testing.assert_array_equal(y.numpy(), flux.upsample_nearest(x, size=(4, 9)).numpy())


def test_upsample_bilinear():
    x = flux.tensor([[1, 2, 3], [4, 5, 6]]).astype("float32").reshape(1, 2, 3, 1)
    y = flux.upsample_bilinear(x, (2, 3)).reshape(4, 9).numpy()
    np.testing.assert_allclose(y[0], [1, 1.25, 1.5, 1.75, 2, 2.25, 2.5, 2.75, 3])
    np.testing.assert_allclose(y[:, 0], [1, 2, 3, 4], rtol=1e-6)
    assert flux.upsample_bilinear(x, (2.5, 3.5)).shape == (1, 5, 10, 1)


def test_upsample_bilinear_without_aligned_corners():
    x = flux.tensor([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 2, 1)
    y = flux.upsample_bilinear(x, (3, 2), align_corners=False).reshape(6, 4).numpy()
    expected = [
        [1, 5 / 4, 7 / 4, 2],
        [1, 5 / 4, 7 / 4, 2],
        [5 / 3, 23 / 12, 29 / 12, 8 / 3],
        [7 / 3, 31 / 12, 37 / 12, 10 / 3],
        [3, 13 / 4, 15 / 4, 4],
        [3, 13 / 4, 15 / 4, 4],
    ]
    np.testing.assert_allclose(y, expected, rtol=1e-6)


def test_pixel_shuffle():
    # x[i, j, channel] = 10i + j + channel/10, counted from 1
    i, j, c = np.meshgrid([1, 2], [1, 2, 3], [1, 2, 3, 4], indexing="ij")
    x = (10 * i + j + c / 10)[None]
    y = flux.pixel_shuffle(x, 2)
    assert y.shape == (1, 4, 6, 1)
    # The first spatial dimension of Flux is the last of ours, and so are the channels 2 and 3 exchanged.
    np.testing.assert_allclose(y.numpy()[0, :2, :, 0], [
        [11.1, 11.2, 12.1, 12.2, 13.1, 13.2],
        [11.3, 11.4, 12.3, 12.4, 13.3, 13.4],
    ])  # fmt: skip
    assert flux.PixelShuffle(2)(x).shape == (1, 4, 6, 1)


def test_grid_sample():
    x = flux.tensor([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 2, 1)
    grid = [[[[-3, -1], [0, -1], [1, -1]], [[-1, 1], [0, 1], [3, 1]]]]
    assert flux.grid_sample(x, grid).reshape(2, 3).tolist() == [[0, 1.5, 2], [3, 3.5, 0]]
    y = flux.grid_sample(x, grid, padding_mode="border")
    assert y.reshape(2, 3).tolist() == [[1, 1.5, 2], [3, 3.5, 4]]


def image(n, row, column):
    x = np.zeros((1, n, n, 1), np.float32)
    x[0, row, column, 0] = 1
    return x


def test_imrotate():
    y = flux.imrotate(image(4, 1, 1), math.radians(90))
    np.testing.assert_array_equal(y.numpy(), image(4, 1, 3))
    y = flux.imrotate(image(4, 1, 1), math.radians(90), midpoint=(1, 1))
    np.testing.assert_array_equal(y.numpy(), image(4, 1, 1))
    y = flux.imrotate(image(3, 0, 1), math.radians(45)).reshape(3, 3)
    np.testing.assert_allclose(y.numpy(), [[0, 0.207107, 0], [0, 0, 0.207107], [0, 0, 0]], atol=1e-6)
    y = flux.imrotate(image(3, 0, 1), math.radians(45), method="nearest")
    np.testing.assert_array_equal(y.numpy(), image(3, 0, 2))
