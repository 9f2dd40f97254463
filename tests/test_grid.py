"""grid_sample and imrotate against SciPy, their gradients, and their errors."""

import math

import numpy as np
import pytest

import oxiflux as flux

ndimage = pytest.importorskip("scipy.ndimage")


def x_of(shape, dtype=np.float64):
    return np.random.default_rng(0).normal(size=shape).astype(dtype)


def sampled(x, rows, columns, mode, order=1):
    """The images at these rows and columns, of shape `(batch, …)`."""
    out = np.zeros((*rows.shape, x.shape[-1]))
    for n, c in np.ndindex(x.shape[0], x.shape[-1]):
        out[n, ..., c] = ndimage.map_coordinates(x[n, ..., c], [rows[n], columns[n]], order=order, mode=mode)
    return out


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("padding_mode", "scipys"), [("zeros", "grid-constant"), ("border", "nearest")])
@pytest.mark.parametrize("shape", [(2, 5, 7, 3), (1, 1, 4, 1), (3, 2, 1, 70)])
def test_grid_sample_interpolates_between_pixels(shape, padding_mode, scipys, dtype):
    x = x_of(shape, dtype)
    grid = np.random.default_rng(1).uniform(-1.6, 1.6, size=(shape[0], 4, 6, 2)).astype(dtype)
    y = flux.grid_sample(flux.tensor(x), flux.tensor(grid), padding_mode=padding_mode)
    rows = (grid[..., 1].astype(np.float64) + 1) / 2 * (shape[1] - 1)
    columns = (grid[..., 0].astype(np.float64) + 1) / 2 * (shape[2] - 1)
    expected = sampled(x.astype(np.float64), rows, columns, scipys)
    assert y.dtype == dtype
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(y.numpy(), expected, rtol=20 * eps, atol=20 * eps)


def test_the_corners_of_the_grid_are_the_corners_of_the_image():
    x = x_of((2, 3, 4, 2))
    rows, columns = np.meshgrid(np.linspace(-1, 1, 3), np.linspace(-1, 1, 4), indexing="ij")
    grid = np.broadcast_to(np.stack([columns, rows], axis=-1), (2, 3, 4, 2))
    np.testing.assert_allclose(flux.grid_sample(flux.tensor(x), grid).numpy(), x, rtol=1e-12)


@pytest.mark.parametrize("padding_mode", ["zeros", "border"])
def test_gradients_of_grid_sample_match_finite_differences(padding_mode):
    x = flux.tensor(x_of((2, 4, 3, 2)))
    grid = flux.tensor(np.random.default_rng(3).uniform(-1.5, 1.5, size=(2, 2, 3, 2)))
    f = lambda x, grid: flux.sum(flux.sin(flux.grid_sample(x, grid, padding_mode=padding_mode)))
    assert flux.gradcheck(f, x, grid)


def test_points_far_away_and_none_at_all():
    x = flux.ones((1, 2, 2, 1))
    grid = np.array([[1e30, 0], [-np.inf, 0], [np.nan, 0], [0, 0]]).reshape(1, 1, 4, 2)
    with np.errstate(all="raise"):
        zeros, border = (
            flux.grid_sample(x, grid, padding_mode=m).numpy().ravel() for m in ("zeros", "border")
        )
    np.testing.assert_array_equal(zeros, [0, 0, np.nan, 1])
    np.testing.assert_array_equal(border, [1, 1, np.nan, 1])


def test_grid_sample_of_an_empty_batch():
    assert flux.grid_sample(flux.zeros((0, 2, 2, 3)), flux.zeros((0, 4, 5, 2))).shape == (0, 4, 5, 3)


@pytest.mark.parametrize(
    ("x", "grid"),
    [
        ((2, 2, 1), (1, 2, 2, 2)),
        ((1, 2, 2, 1), (2, 2, 2)),
        ((1, 2, 2, 1), (1, 2, 2, 3)),
        ((1, 2, 2, 1), (2, 2, 2, 2)),
        ((1, 0, 2, 1), (1, 2, 2, 2)),
    ],
)
def test_grid_sample_of_shapes_that_do_not_fit_is_a_shape_error(x, grid):
    with pytest.raises(flux.ShapeError, match="grid_sample"):
        flux.grid_sample(flux.zeros(x), flux.zeros(grid))


def test_an_unknown_padding_mode_is_a_value_error():
    with pytest.raises(ValueError, match="reflection"):
        flux.grid_sample(flux.zeros((1, 2, 2, 1)), flux.zeros((1, 2, 2, 2)), padding_mode="reflection")


# imrotate


@pytest.mark.parametrize(("method", "order"), [("bilinear", 1), ("nearest", 0)])
@pytest.mark.parametrize("angle", [0.3, -1.2, 4.0])
@pytest.mark.parametrize(
    ("shape", "midpoint"), [((2, 5, 5, 2), None), ((1, 6, 4, 3), None), ((1, 5, 7, 1), (1.5, 2))]
)
def test_imrotate_looks_where_pixels_come_from(shape, midpoint, angle, method, order):
    x = x_of(shape)
    middle = midpoint or (shape[1] // 2, shape[2] // 2)
    i, j = np.mgrid[: shape[1], : shape[2]] - np.reshape(middle, (2, 1, 1))
    rows = np.cos(angle) * i - np.sin(angle) * j + middle[0]
    columns = np.sin(angle) * i + np.cos(angle) * j + middle[1]
    everywhere = lambda a: np.broadcast_to(a, (shape[0], *a.shape))
    if order == 0:
        rows, columns = np.rint(rows), np.rint(columns)
    expected = sampled(x, everywhere(rows), everywhere(columns), "constant", order)
    y = flux.imrotate(flux.tensor(x), angle, method=method, midpoint=midpoint)
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("method", ["bilinear", "nearest"])
@pytest.mark.parametrize("n", [4, 5])
@pytest.mark.parametrize("turns", [-1, 0, 1, 2, 3, 5])
def test_quarter_turns_about_the_middle_are_exact(turns, n, method):
    x = x_of((2, n, n, 3), np.float32)
    middle = ((n - 1) / 2,) * 2
    y = flux.imrotate(flux.tensor(x), turns * math.pi / 2, method=method, midpoint=middle)
    np.testing.assert_array_equal(y.numpy(), np.rot90(x, -turns, axes=(1, 2)))


def test_the_gradient_of_imrotate_matches_finite_differences():
    x = flux.tensor(x_of((2, 4, 3, 2)))
    for method in ("bilinear", "nearest"):
        assert flux.gradcheck(lambda x: flux.sum(flux.sin(flux.imrotate(x, 0.7, method=method))), x)


def test_imrotate_of_an_empty_batch():
    assert flux.imrotate(flux.zeros((0, 2, 2, 3)), 1.0).shape == (0, 2, 2, 3)


def test_imrotate_refuses_what_it_cannot_do():
    with pytest.raises(flux.ShapeError, match="imrotate"):
        flux.imrotate(flux.zeros((2, 2)), 1.0)
    x = flux.zeros((1, 2, 2, 1))
    for angle, options in [(1.0, {"method": "cubic"}), (float("nan"), {}), (1.0, {"midpoint": (1, 2, 3)})]:
        with pytest.raises(ValueError, match="imrotate"):
            flux.imrotate(x, angle, **options)
