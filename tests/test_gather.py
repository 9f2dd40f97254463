"""gather, scatter, unfold, fold and batched_mul against NumPy, their gradients, and their errors."""

import itertools
import math

import numpy as np
import pytest

import oxiflux as flux

OPS = {
    "+": (np.add, 0, flux.add),
    "-": (np.subtract, 0, flux.subtract),
    "*": (np.multiply, 1, flux.multiply),
    "/": (np.divide, 1, flux.divide),
    "max": (np.maximum, -np.inf, flux.maximum),
    "min": (np.minimum, np.inf, flux.minimum),
}


def x_of(shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).uniform(0.5, 2, size=shape).astype(dtype)


def scattered(op, src, idx, size):
    """One row after the other."""
    f, start, _ = OPS[op]
    out = np.full(size, start, src.dtype)
    places = idx if isinstance(idx, tuple) else (idx,)
    for k in np.ndindex(places[0].shape):
        to = tuple(p[k] for p in places)
        out[to] = f(out[to], src[k])
    return out


# gather


@pytest.mark.parametrize("idx", [np.array([2, 0, 2]), np.array([[1, 1], [0, -1]]), np.zeros((0,), int)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "bool"])
def test_gather_takes_rows(idx, dtype):
    src = (x_of((3, 4, 2)) * 9).astype(dtype)
    np.testing.assert_array_equal(flux.gather(flux.tensor(src), idx).numpy(), src[idx])


def test_gather_by_several_axes():
    src = x_of((3, 4, 2))
    i, j = np.array([[2, 0], [1, 1]]), np.array([[3, 0], [1, 2]])
    np.testing.assert_array_equal(flux.gather(flux.tensor(src), (i, j)).numpy(), src[i, j])


def test_gradient_of_gather_adds_up_rows_that_are_taken_twice():
    x = flux.tensor(x_of((4, 70)))
    assert flux.gradcheck(lambda x: flux.sum(flux.sin(flux.gather(x, [1, 3, 1, 1]))), x)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize("width", [1, 5, 130])
def test_take_along_every_axis(axis, width):
    x = x_of((4, 6, width))
    i = np.array([[0, 3], [2, -1]]) % x.shape[axis]
    np.testing.assert_array_equal(flux.take(flux.tensor(x), i, axis=axis).numpy(), np.take(x, i, axis=axis))
    f = lambda x: flux.sum(flux.square(flux.take(x, i, axis=axis)))
    (g,) = flux.gradient(f, flux.tensor(x))
    expected = np.zeros_like(x)
    at = [slice(None)] * 3
    for k in i.ravel():
        at[axis] = int(k)
        expected[tuple(at)] += 2 * x[tuple(at)]
    np.testing.assert_allclose(g.numpy(), expected)


# scatter


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("rest", [(), (3,), (2, 40)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_scatter_folds_rows_in_order(op, rest, dtype):
    idx = np.array([[3, 0, 3], [1, 1, 3]])
    src = x_of((2, 3, *rest), dtype)
    y = flux.scatter(op, flux.tensor(src), idx)
    assert y.dtype == dtype
    np.testing.assert_allclose(y.numpy(), scattered(op, src, idx, (4, *rest)), rtol=1e-6)
    np.testing.assert_array_equal(flux.scatter(OPS[op][2], flux.tensor(src), idx).numpy(), y.numpy())


def test_scatter_mean_of_nothing_is_zero():
    y = flux.scatter("mean", [1.0, 2.0, 6.0], [0, 2, 2])
    assert y.tolist() == [1, 0, 4]


@pytest.mark.parametrize("op", OPS)
def test_scatter_by_several_axes_and_size(op):
    idx = (np.array([0, 2, 0]), np.array([1, 0, 1]))
    src = x_of((3, 5))
    y = flux.scatter(op, flux.tensor(src), idx, dstsize=(3, 4, 5))
    np.testing.assert_allclose(y.numpy(), scattered(op, src, idx, (3, 4, 5)))
    assert flux.scatter(op, flux.tensor(src), idx).shape == (3, 2, 5)


@pytest.mark.parametrize(
    ("op", "expected"), [("+", [12, 15]), ("*", [40, 50]), ("max", [10, 10]), ("min", [2, 5])]
)
def test_scatter_starts_from_init(op, expected):
    assert flux.scatter(op, [2.0, 5.0], [0, 1], init=10).tolist() == ([20, 50] if op == "*" else expected)


def test_scatter_of_integers_is_done_in_64_bits():
    y = flux.scatter("+", np.array([100, 100, 1], np.int8), [0, 0, 1])
    assert y.dtype == "int64"
    assert y.tolist() == [200, 1]


def test_scatter_of_nothing():
    assert flux.scatter("+", np.zeros((0, 3)), np.zeros(0, int)).shape == (0, 3)
    assert flux.scatter("+", np.zeros((0, 3)), [], dstsize=(2, 3)).tolist() == [[0] * 3] * 2


@pytest.mark.parametrize("op", [*OPS, "mean"])
def test_gradients_of_scatter_match_finite_differences(op):
    x = flux.tensor(x_of((5, 3)))
    assert flux.gradcheck(lambda x: flux.sum(flux.sin(flux.scatter(op, x, [1, 0, 1, 3, 1])[:2])), x)


def test_the_gradient_of_a_product_is_right_where_there_are_zeros():
    x = flux.tensor(np.array([2.0, 0.0, 5.0, 0.0, 0.0, 3.0]))
    (g,) = flux.gradient(lambda x: flux.sum(flux.scatter("*", x, [0, 0, 0, 1, 1, 2])), x)
    assert g.tolist() == [0, 10, 0, 0, 0, 1]


def test_equals_each_have_the_gradient_of_a_maximum():
    (g,) = flux.gradient(lambda x: flux.sum(flux.scatter("max", x, [0, 0, 0])), flux.tensor([2.0, 1.0, 2.0]))
    assert g.tolist() == [1, 0, 1]


def test_nan_reaches_only_its_own_place():
    src = np.array([1.0, np.nan, 3.0])
    for op in OPS:
        y = flux.scatter(op, src, [0, 1, 0]).numpy()
        assert np.isnan(y[1]) and not np.isnan(y[0])


@pytest.mark.parametrize("shape", [(3, 70, 200), (1, 500, 3)])
def test_the_number_of_threads_does_not_change_a_bit(shape):
    x = flux.tensor(np.random.default_rng(0).normal(size=shape).astype(np.float32))
    idx = np.random.default_rng(1).integers(0, 9, shape[1])
    threads, results = flux.get_num_threads(), []
    try:
        for n in (1, 4):
            flux.set_num_threads(n)
            results.append(flux._core.scatter(x, idx, 9, axis=1).numpy().tobytes())
    finally:
        flux.set_num_threads(threads)
    assert results[0] == results[1]


@pytest.mark.parametrize(
    ("idx", "size"), [([0, 5], (5, 3)), ([-1, 0], (5, 3)), (([0, 1], [0, 4]), (5, 4, 3))]
)
def test_scatter_out_of_range_is_an_index_error(idx, size):
    with pytest.raises(IndexError, match="scatter"):
        flux.scatter("+", flux.zeros((2, 3)), idx, dstsize=size)


@pytest.mark.parametrize("idx", [[3], [-4], ([0], [2]), ([0], [0], [0])])
def test_gather_out_of_range_is_an_index_error(idx):
    with pytest.raises(IndexError):
        flux.gather(flux.zeros((3, 2)), idx)


@pytest.mark.parametrize(
    "f", [lambda i: flux.gather(flux.zeros(3), i), lambda i: flux.scatter("+", flux.zeros(2), i)]
)
@pytest.mark.parametrize("idx", [[0.0, 1.0], [True, False], ()])
def test_indices_that_are_no_integers_are_dtype_errors(f, idx):
    with pytest.raises(flux.DTypeError, match="integers"):
        f(idx)


def test_scatter_of_shapes_that_do_not_fit_is_a_shape_error():
    for src, idx, size in [((2, 3), [0, 1, 2], None), ((2, 3), [0, 1], (2, 4)), ((2,), [0, 1], (2, 1))]:
        with pytest.raises(flux.ShapeError, match="scatter"):
            flux.scatter("+", flux.zeros(src), idx, dstsize=size)
    with pytest.raises(flux.ShapeError, match="gather"):
        flux.gather(flux.zeros((3, 3)), ([0, 1], [0]))


def test_an_unknown_operation_is_a_value_error():
    for op in ("sum", "", flux.exp, None):
        with pytest.raises(ValueError, match="scatter: op"):
            flux.scatter(op, [1.0], [0])
    with pytest.raises(ValueError, match="scatter: op"):
        flux._core.scatter([1.0], [0], 1, "mean")


def test_the_operations_refuse_what_the_functions_refuse():
    with pytest.raises(IndexError, match="scatter"):
        flux._core.scatter([1.0], [3], 2)
    with pytest.raises(flux.ShapeError, match="scatter"):
        flux._core.scatter(flux.zeros((2, 3)), [0, 0], 2, axis=1)
    x = flux.zeros((2, 3))
    for starts, columns, weights in [
        ([0], [1], [1.0]),
        ([0, 2], [1], [1.0]),
        ([1, 1], [1], [1.0]),
        ([], [], []),
    ]:
        with pytest.raises((ValueError, IndexError, flux.DTypeError), match="resample"):
            flux._core.resample(x, starts, columns, weights)
    with pytest.raises(IndexError, match="resample"):
        flux._core.resample(x, [0, 1], [2], [1.0])
    with pytest.raises(ValueError, match="resample"):
        flux._core.resample(x, [0, 1], [1], [1.0, 2.0])


# unfold and fold

WINDOWS = [
    ((2, 7, 3), (3,), (1,), (0, 0), (1,)),
    ((2, 7, 3), (3,), (2,), (2, 1), (2,)),
    ((1, 5, 6, 2), (2, 3), (1, 2), (1, 0, 1, 1), (1, 1)),
    ((3, 5, 6, 1), (2, 2), (2, 2), (0, 0, 0, 0), (2, 3)),
    ((1, 3, 4, 3, 2), (2, 2, 1), (1, 2, 1), (0, 1, 0, 0, 1, 0), (1, 1, 1)),
    ((0, 4, 2), (2,), (1,), (0, 0), (1,)),
]


def unfolded(x, window, stride, pad, dilation, flipped=True):
    sides = list(zip(pad[::2], pad[1::2], strict=True))
    x = np.pad(x, [(0, 0), *sides, (0, 0)])
    places = [
        range(0, n - (w - 1) * d, s)
        for n, w, s, d in zip(x.shape[1:-1], window, stride, dilation, strict=True)
    ]
    rows = []
    for start in itertools.product(*places):
        box = [slice(a, a + (w - 1) * d + 1, d) for a, w, d in zip(start, window, dilation, strict=True)]
        part = x[:, *box]
        part = part if flipped else np.flip(part, axis=tuple(range(1, x.ndim - 1)))
        rows.append(part.reshape(len(x), np.prod(part.shape[1:], dtype=int)))
    return np.stack(rows, axis=1)


@pytest.mark.parametrize("flipped", [True, False])
@pytest.mark.parametrize(("shape", "window", "stride", "pad", "dilation"), WINDOWS)
def test_unfold_lays_out_windows(shape, window, stride, pad, dilation, flipped):
    x = x_of(shape)
    y = flux.unfold(flux.tensor(x), window, stride=stride, pad=pad, dilation=dilation, flipped=flipped)
    np.testing.assert_array_equal(y.numpy(), unfolded(x, window, stride, pad, dilation, flipped))


@pytest.mark.parametrize("flipped", [True, False])
@pytest.mark.parametrize(("shape", "window", "stride", "pad", "dilation"), WINDOWS)
def test_fold_is_the_adjoint_of_unfold(shape, window, stride, pad, dilation, flipped):
    options = {"stride": stride, "pad": pad, "dilation": dilation, "flipped": flipped}
    x = flux.tensor(x_of(shape))
    y = flux.unfold(x, window, **options)
    w = flux.tensor(x_of(y.shape, seed=1))
    folded = flux.fold(w, shape, window, **options)
    assert folded.shape == shape
    (g,) = flux.gradient(lambda x: flux.sum(w * flux.unfold(x, window, **options)), x)
    np.testing.assert_allclose(folded.numpy(), g.numpy())
    np.testing.assert_allclose(flux.sum(folded * x).item(), flux.sum(w * y).item())


def test_gradients_of_unfold_and_fold_match_finite_differences():
    x = flux.tensor(x_of((2, 4, 5, 2)))
    options = {"pad": flux.SamePad(), "stride": 2}
    f = lambda x: flux.unfold(x, (3, 2), **options)
    assert flux.gradcheck(lambda x: flux.sum(flux.sin(f(x))), x)
    assert flux.gradcheck(lambda y: flux.sum(flux.sin(flux.fold(y, x.shape, (3, 2), **options))), f(x))


@pytest.mark.parametrize(
    ("shape", "window"), [((4, 4), (2,)), ((1, 4, 1), (2, 2)), ((1, 4, 1), (5,)), ((1, 0, 1), (1,))]
)
def test_windows_that_do_not_fit_are_shape_errors(shape, window):
    with pytest.raises(flux.ShapeError, match="unfold"):
        flux.unfold(flux.zeros(shape), window)
    with pytest.raises(flux.ShapeError, match="fold"):
        flux.fold(flux.zeros((1, 3, 2)), shape, window)


def test_fold_of_another_shape_is_a_shape_error():
    with pytest.raises(flux.ShapeError, match=r"\(1, 3, 2\)"):
        flux.fold(flux.zeros((1, 3, 3)), (1, 4, 1), (2,))


@pytest.mark.parametrize("options", [{"stride": 0}, {"dilation": 0}, {"pad": -1}, {"stride": (1, 1)}])
def test_unfold_by_steps_that_are_none_is_a_value_error(options):
    with pytest.raises(ValueError, match="unfold"):
        flux.unfold(flux.zeros((1, 4, 1)), (2,), **options)


# batched_mul


@pytest.mark.parametrize(("a", "b"), [((5, 2, 3), (5, 3, 4)), ((1, 2, 3), (5, 3, 4)), ((0, 2, 3), (0, 3, 1))])
def test_batched_mul_is_the_product_of_pairs(a, b):
    a, b = x_of(a), x_of(b, seed=1)
    np.testing.assert_allclose(flux.batched_mul(flux.tensor(a), flux.tensor(b)).numpy(), a @ b)


@pytest.mark.parametrize(
    ("a", "b"), [((2, 3), (3, 4)), ((5, 2, 3), (3, 4)), ((2, 2, 3), (3, 3, 4)), ((1, 2, 3), (1, 2, 3))]
)
def test_batched_mul_of_other_shapes_is_a_shape_error(a, b):
    with pytest.raises(flux.ShapeError):
        flux.batched_mul(flux.zeros(a), flux.zeros(b))


@pytest.mark.parametrize("x", [[0.5, 0, 2, 1.5, 0, 0, 3], [1.0, 2, 3, 4, 5, 6, 7], [0.0] * 7])
def test_the_hessian_of_products_is_exact_where_there_are_zeros(x):
    groups, weights = [0, 0, 0, 1, 1, 1, 3], np.array([1.3, -0.7, 0.2, 0.9])
    expected = np.zeros((7, 7))
    for i, j in itertools.permutations(range(7), 2):
        if groups[i] == groups[j]:
            rest = [x[k] for k in range(7) if groups[k] == groups[i] and k not in (i, j)]
            expected[i, j] = weights[groups[i]] * math.prod(rest)
    f = lambda x: (flux.scatter("*", x, groups) * weights).sum()
    hessian = flux.hessian(f, flux.tensor(np.array(x)))
    np.testing.assert_allclose(hessian.numpy(), expected, rtol=1e-14)
