"""`flux.linalg` agrees with NumPy in values, shapes and errors, over batches, sizes, layouts and types."""

import inspect
import subprocess
import sys
import threading

import numpy as np
import pytest

import oxiflux as flux
from strategies import check, laid_out

LA = flux.linalg
FLOATS = ["float32", "float64"]
# One block, two, and a size beside each; 0 and 1.
SIZES = [0, 1, 2, 3, 5, 17, 63, 64, 65, 130, 200]
BATCHES = [(), (0,), (3,), (2, 3)]
SHAPES = [(0, 3), (3, 0), (1, 1), (1, 5), (5, 1), (4, 4), (7, 3), (3, 7), (70, 40), (40, 70), (150, 9)]


def tolerance(dtype, n):
    return 30 * np.finfo(dtype).eps * max(n, 4)


def random(shape, dtype="float64", seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def regular(batch, n, dtype="float64", seed=0):
    return (random((*batch, n, n), seed=seed) + 3 * np.sqrt(n) * np.eye(n)).astype(dtype)


def positive(batch, n, dtype="float64", seed=0):
    a = random((*batch, n, n), seed=seed)
    return (a @ np.swapaxes(a, -1, -2) / max(n, 1) + np.eye(n)).astype(dtype)


def symmetric(batch, n, dtype="float64", seed=0):
    a = random((*batch, n, n), seed=seed)
    return (a + np.swapaxes(a, -1, -2)).astype(dtype)


def close(result, expected, dtype, n=4):
    expected = np.asarray(expected)
    size = max(float(np.abs(expected).max(initial=0)), 1.0)
    check(result, expected.astype(dtype), dtype, rtol=tolerance(dtype, n), atol=tolerance(dtype, n) * size)


# Systems


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("n", SIZES)
def test_inv(n, batch, dtype):
    a = regular(batch, n, dtype)
    close(LA.inv(laid_out(np.random.default_rng(n), a)), np.linalg.inv(a.astype("float64")), dtype, n)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("k", [0, 1, 5, 70])
@pytest.mark.parametrize("n", SIZES)
def test_solve_for_many_columns(n, k, dtype):
    a, b = regular((2,), n, dtype), random((2, n, k), dtype)
    rng = np.random.default_rng(n + k)
    expected = np.linalg.solve(a.astype("float64"), b.astype("float64"))
    close(LA.solve(laid_out(rng, a), laid_out(rng, b)), expected, dtype, n)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((), ()),
        ((3,), (3,)),
        ((3,), ()),
        ((), (3,)),
        ((2, 1), (3,)),
        ((1, 3), (2, 1)),
        ((0,), (1,)),
        ((2, 0), (1, 1)),
    ],
)
def test_solve_broadcasts_leading_axes(a, b):
    x, y = regular(a, 4), random((*b, 4, 2))
    close(LA.solve(flux.tensor(x), flux.tensor(y)), np.linalg.solve(x, y), "float64")


@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
def test_solve_for_a_vector(batch):
    a, b = regular(batch, 4), random(4)
    close(LA.solve(flux.tensor(a), flux.tensor(b)), np.linalg.solve(a, b), "float64")


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("n", [0, 1, 2, 3, 5, 17, 65])
def test_det_and_slogdet(n, batch, dtype):
    a = (random((*batch, n, n)) / max(np.sqrt(n), 1)).astype(dtype)
    expected = np.linalg.det(a.astype("float64"))
    close(LA.det(laid_out(np.random.default_rng(n), a)), expected, dtype, n)
    found, expected = LA.slogdet(flux.tensor(a)), np.linalg.slogdet(a.astype("float64"))
    check(found.sign, expected.sign.astype(dtype), dtype)
    close(found.logabsdet, expected.logabsdet, dtype, n)


@pytest.mark.parametrize(
    "a",
    [
        np.zeros((2, 2)),
        np.diag([0.0, 1, 2]),
        [[0.0, 1], [0, 2]],
        np.ones((4, 4)),
        np.diag([1.0] * 80 + [0] * 20),
    ],
    ids=["zeros", "a zero first", "a column of zeros", "ones", "many"],
)
def test_the_determinant_of_a_singular_matrix_is_zero(a):
    x = flux.tensor(np.stack([a, np.eye(len(a))]))
    assert LA.det(x).tolist() == [0, 1]
    assert LA.slogdet(x).sign.tolist() == [0, 1]
    assert LA.slogdet(x).logabsdet.tolist() == [-np.inf, 0]


def test_the_determinant_of_what_has_nan_is_nan():
    a = np.zeros((3, 3))
    a[1, 2] = np.nan
    assert np.isnan(LA.det(flux.tensor(a)).item())


def test_slogdet_of_numbers_beyond_the_type():
    a = np.eye(300) * 1e30
    assert np.isinf(LA.det(flux.tensor(a)).item())
    np.testing.assert_allclose(LA.slogdet(flux.tensor(-a)).logabsdet.item(), 300 * np.log(1e30), rtol=1e-12)
    assert LA.slogdet(flux.tensor(-np.eye(3))).sign.item() == -1


@pytest.mark.parametrize("n", [-3, -1, 0, 1, 2, 3, 7, 10])
def test_matrix_power(n):
    a = regular((2,), 3)
    close(LA.matrix_power(flux.tensor(a), n), np.linalg.matrix_power(a, n), "float64")


# Small matrices have loops of their own, and so have the sizes beside the largest of them.
SMALL = range(18)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", SMALL)
def test_many_small_systems(n, dtype):
    a, b = random((50, n, n), dtype, seed=n), random((50, n, 3), dtype, seed=n + 1)
    a += 2 * np.sqrt(max(n, 1)) * np.eye(n, dtype=dtype)[::-1]  # so that each step has to exchange rows
    wide, right = a.astype("float64"), b.astype("float64")
    close(LA.solve(flux.tensor(a), flux.tensor(b)), np.linalg.solve(wide, right), dtype, 10 * n)
    vector = flux.tensor(b[:, :, :1])
    close(LA.solve(flux.tensor(a), vector), np.linalg.solve(wide, right[:, :, :1]), dtype, 10 * n)
    close(LA.inv(flux.tensor(a)), np.linalg.inv(wide), dtype, 10 * n)
    close(LA.det(flux.tensor(a)), np.linalg.det(wide), dtype, 10 * n)
    sign, logarithm = np.linalg.slogdet(wide)
    found = LA.slogdet(flux.tensor(a))
    check(found.sign, sign.astype(dtype), dtype)
    close(found.logabsdet, logarithm, dtype, 10 * n)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", SMALL)
def test_gradients_of_many_small_systems(n, dtype):
    a = random((50, n, n), seed=n) + 2 * np.sqrt(max(n, 1)) * np.eye(n)[::-1]
    b, g = random((50, n, 2), seed=n + 1), random((50, n, 2), seed=n + 2)
    x, y, weight = (flux.tensor(part.astype(dtype)) for part in (a, b, g))
    da, db = flux.gradient(lambda x, y: (LA.solve(x, y) * weight).sum(), x, y)
    expected = np.linalg.solve(np.swapaxes(a, -1, -2), g)
    close(db, expected, dtype, 30 * n)
    close(da, -expected @ np.swapaxes(np.linalg.solve(a, b), -1, -2), dtype, 30 * n)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", SMALL)
def test_cholesky_of_many_small_matrices(n, dtype):
    a = positive((50,), n, dtype, seed=n)
    expected = np.linalg.cholesky(a.astype("float64"))
    close(LA.cholesky(flux.tensor(a)), expected, dtype, n)
    g = random((50, n, n), seed=n)
    (found,) = flux.gradient(lambda a: (LA.cholesky(a) * flux.tensor(g.astype(dtype))).sum(), flux.tensor(a))
    # Ref: Murray 2016, Differentiation of the Cholesky decomposition.
    inner = np.tril(np.swapaxes(expected, -1, -2) @ np.tril(g)) * (1 - np.eye(n) / 2)
    inverse = np.linalg.inv(expected)
    da = np.swapaxes(inverse, -1, -2) @ inner @ inverse
    close(found, (da + np.swapaxes(da, -1, -2)) / 2, dtype, 30 * n)


@pytest.mark.parametrize("n", [1, 2, 4, 16, 17])
def test_what_small_matrices_cannot_be(n):
    a = np.stack([np.eye(n)] * 3)
    a[1, -1] = a[1, 0] if n > 1 else 0
    for function in (LA.inv, lambda a: LA.solve(a, flux.ones((3, n, 1)))):
        with pytest.raises(ValueError, match="matrix 1 of the batch is singular"):
            function(flux.tensor(a))
    assert LA.det(flux.tensor(a)).tolist() == [1, 0, 1]
    for wrong in (0.0, -1.0, np.nan, np.inf):
        a = np.stack([np.eye(n)] * 3)
        a[2, -1, -1] = wrong
        with pytest.raises(ValueError, match="matrix 2 of the batch is not positive definite"):
            LA.cholesky(flux.tensor(a))
    a = np.stack([np.eye(n)] * 2)
    a[1, -1, 0] = np.nan
    assert np.isnan(LA.det(flux.tensor(a)).numpy()).tolist() == [False, True]
    assert np.isnan(LA.inv(flux.tensor(a)).numpy()).any(axis=(1, 2)).tolist() == [False, True]


# Factors


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("n", [*SIZES, 400])
def test_cholesky(n, batch, dtype):
    if n > 200 and batch:
        return
    a = positive(batch, n, dtype)
    expected = np.linalg.cholesky(a.astype("float64"))
    close(LA.cholesky(laid_out(np.random.default_rng(n), a)), expected, dtype, n)
    close(LA.cholesky(flux.tensor(a), upper=True), np.swapaxes(expected, -1, -2), dtype, n)


def test_cholesky_reads_the_mean_of_both_triangles():
    a = np.array([[4.0, 1.0], [3.0, 5.0]])
    close(LA.cholesky(flux.tensor(a)), np.linalg.cholesky((a + a.T) / 2), "float64")


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mode", ["reduced", "complete"])
def test_qr(shape, batch, mode, dtype):
    a = random((*batch, *shape), dtype)
    q, r = LA.qr(laid_out(np.random.default_rng(1), a), mode=mode)
    expected = np.linalg.qr(a, mode=mode)
    assert q.shape == expected.Q.shape and r.shape == expected.R.shape
    close(q @ r, a, dtype, max(shape))
    close(
        flux.matrix_transpose(q) @ q,
        np.broadcast_to(np.eye(q.shape[-1]), (*batch, q.shape[-1], q.shape[-1])),
        dtype,
        max(shape),
    )
    check(flux.triu(r), r.numpy())
    # The signs too are those of LAPACK.
    close(r, expected.R, dtype, 10 * max(shape))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("full", [False, True])
def test_svd(shape, batch, full, dtype):
    a = random((*batch, *shape), dtype)
    x = laid_out(np.random.default_rng(1), a)
    u, s, vh = LA.svd(x, full_matrices=full)
    expected = np.linalg.svd(a.astype("float64"), full_matrices=full)
    assert (u.shape, s.shape, vh.shape) == tuple(part.shape for part in expected)
    close(s, expected.S, dtype, max(shape))
    close(LA.svdvals(x), expected.S, dtype, max(shape))
    k = min(shape)
    close((u[..., :k] * s[..., None, :]) @ vh[..., :k, :], a, dtype, max(shape))
    for columns in (u, flux.matrix_transpose(vh)):
        n = columns.shape[-1]
        eye = np.broadcast_to(np.eye(n), (*batch, n, n))
        close(flux.matrix_transpose(columns) @ columns, eye, dtype, max(shape))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("n", SIZES)
def test_eigh(n, batch, dtype):
    a = symmetric(batch, n, dtype)
    x = laid_out(np.random.default_rng(1), a)
    values, vectors = LA.eigh(x)
    expected = np.linalg.eigvalsh(a.astype("float64"))
    close(values, expected, dtype, n)
    close(LA.eigvalsh(x), expected, dtype, n)
    close(x @ vectors, vectors.numpy() * values.numpy()[..., None, :], dtype, n)
    close(flux.matrix_transpose(vectors) @ vectors, np.broadcast_to(np.eye(n), a.shape), dtype, n)


# Pseudo-inverses, least squares and ranks


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("shape", SHAPES)
def test_pinv_and_matrix_rank(shape, batch, dtype):
    a = random((*batch, *shape), dtype)
    close(LA.pinv(flux.tensor(a)), np.linalg.pinv(a.astype("float64")), dtype, 10 * max(shape))
    check(LA.matrix_rank(flux.tensor(a)), np.asarray(np.full(batch, min(shape)), "int64"))


def test_ranks_that_are_not_full():
    a = random((4, 6, 2)) @ random((4, 2, 5))
    check(LA.matrix_rank(flux.tensor(a)), np.full(4, 2))
    close(LA.pinv(flux.tensor(a)), np.linalg.pinv(a), "float64", 50)
    diagonal = flux.tensor(np.diag([1.0, 0.1, 0.01]))
    assert [LA.matrix_rank(diagonal, rtol=r).item() for r in (0.001, 0.05, 0.5)] == [3, 2, 1]
    pair = flux.stack([diagonal, diagonal])
    check(LA.matrix_rank(pair, rtol=flux.tensor([0.05, 0.5])), np.array([2, 1]))
    close(LA.pinv(diagonal, rtol=0.05), np.diag([1.0, 10.0, 0.0]), "float64")


@pytest.mark.parametrize("shape", [(5, 3), (3, 3), (3, 5)])
@pytest.mark.parametrize("columns", [(), (2,)])
def test_lstsq_is_that_of_numpy(shape, columns):
    a, b = random(shape), random((shape[0], *columns), seed=1)
    found, expected = LA.lstsq(flux.tensor(a), flux.tensor(b)), np.linalg.lstsq(a, b)
    close(found.solution, expected[0], "float64", 50)
    residuals = expected[1] if columns else expected[1].reshape(found.residuals.shape)
    close(found.residuals, residuals, "float64", 50)
    assert found.rank.item() == expected[2]
    close(found.singular_values, expected[3], "float64")


def test_lstsq_of_a_batch_and_of_a_matrix_of_low_rank():
    a, b = random((3, 6, 4)), random((3, 6, 2), seed=1)
    found = LA.lstsq(flux.tensor(a), flux.tensor(b))
    close(
        found.solution, np.stack([np.linalg.lstsq(*one)[0] for one in zip(a, b, strict=True)]), "float64", 50
    )
    assert found.residuals.shape == (3, 2)
    low = a[0][:, :1] @ np.ones((1, 4))
    found = LA.lstsq(flux.tensor(low), flux.tensor(b[0]))
    close(found.solution, np.linalg.lstsq(low, b[0])[0], "float64", 50)
    assert found.rank.item() == 1 and found.residuals.shape == (0,)


# Norms


@pytest.mark.parametrize("ord", [2, 1, 0, 3, 0.5, -1, np.inf, -np.inf])
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_vector_norm(ord, axis, keepdims):
    x = random((3, 4, 2))
    result = LA.vector_norm(flux.tensor(x), axis=axis, keepdims=keepdims, ord=ord)
    close(result, np.linalg.vector_norm(x, axis=axis, keepdims=keepdims, ord=ord), "float64")


@pytest.mark.parametrize("ord", ["fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf])
@pytest.mark.parametrize("keepdims", [False, True])
def test_matrix_norm(ord, keepdims):
    x = random((2, 4, 3))
    close(
        LA.matrix_norm(flux.tensor(x), ord=ord, keepdims=keepdims),
        np.linalg.matrix_norm(x, ord=ord, keepdims=keepdims),
        "float64",
    )


@pytest.mark.parametrize(
    ("shape", "ord", "axis", "keepdims"),
    [
        ((3, 4, 2), None, None, False), ((3, 4), None, None, True), ((4,), 1, None, False), ((3, 4), 1, None, False),
        ((3, 4), "nuc", None, True), ((3, 4, 2), 2, 1, True), ((3, 4, 2), "fro", (2, 0), False),
        ((3, 4, 2), 1, (0, 2), True), ((3, 4, 2), np.inf, (-1, 0), True),
    ],
)  # fmt: skip
def test_norm_is_that_of_numpy(shape, ord, axis, keepdims):
    x = random(shape)
    close(LA.norm(flux.tensor(x), ord, axis, keepdims), np.linalg.norm(x, ord, axis, keepdims), "float64")


@pytest.mark.parametrize(
    ("dtype", "size"), [("float32", 1e30), ("float32", 1e-30), ("float64", 1e250), ("float64", 1e-250)]
)
def test_a_norm_beyond_the_squares_of_the_type(dtype, size):
    x = flux.tensor(np.array([3, 4], dtype) * dtype_of(dtype, size))
    np.testing.assert_allclose(LA.vector_norm(x).item() / size, 5, rtol=1e-6)
    np.testing.assert_allclose(LA.vector_norm(x, axis=0, keepdims=True).numpy() / size, [5], rtol=1e-6)
    np.testing.assert_allclose(flux.gradient(LA.vector_norm, x)[0].numpy(), [0.6, 0.8], rtol=1e-6)


def dtype_of(dtype, size):
    return np.dtype(dtype).type(size)


def test_norms_of_nothing_of_nan_and_of_infinity():
    assert LA.vector_norm(flux.zeros(0)).item() == 0
    assert LA.vector_norm([1.0, np.inf]).item() == np.inf
    assert np.isnan(LA.vector_norm([1.0, np.nan]).item())
    check(LA.vector_norm(flux.zeros((3, 0)), axis=1), np.zeros(3, "float32"))


# Products


def test_cross_broadcasts_along_any_axis():
    a, b = random((2, 3)), random((4, 1, 3), seed=1)
    close(LA.cross(flux.tensor(a), flux.tensor(b)), np.linalg.cross(a, b), "float64")
    a, b = random((3, 2)), random((3, 2), seed=1)
    close(LA.cross(flux.tensor(a), flux.tensor(b), axis=0), np.linalg.cross(a, b, axis=0), "float64")
    check(LA.cross([1, 2, 3], [4, 5, 6]), np.array([-3, 6, -3]))
    a, b = random((9000, 3), "float32"), random((9000, 3), "float32", seed=1)
    close(LA.cross(laid_out(np.random.default_rng(0), a), flux.tensor(b)), np.cross(a, b), "float32")
    assert LA.cross(flux.ones((0, 3)), flux.ones(3)).shape == (0, 3)
    assert LA.cross(flux.ones(3, "float16"), flux.ones(3, "float16")).dtype == "float16"


@pytest.mark.parametrize(
    ("a", "b"), [((2, 3), (4, 2)), ((3,), (2, 2)), ((2, 1, 2), (3,)), ((), (2, 3)), ((0, 2), (2, 2))]
)
def test_kron(a, b):
    x, y = random(a), random(b, seed=1)
    close(LA.kron(flux.tensor(x), flux.tensor(y)), np.kron(x, y), "float64")


def test_a_trace_of_another_type():
    x = np.array([[100, 2], [3, 100]], "int8")
    check(LA.trace(flux.tensor(x), dtype="int16"), np.trace(x, dtype="int16"))
    check(LA.trace(flux.tensor(x), dtype="float64"), np.float64(200))
    check(LA.trace(flux.tensor(x)), np.int64(200))


def test_names_of_the_top_are_there_too():
    for name in (
        "cross",
        "diagonal",
        "kron",
        "matmul",
        "matrix_transpose",
        "outer",
        "tensordot",
        "trace",
        "vecdot",
    ):
        assert getattr(LA, name) is getattr(flux, name)


# What cannot be done


@pytest.mark.parametrize(
    "function",
    [
        LA.inv,
        LA.det,
        LA.slogdet,
        LA.cholesky,
        LA.qr,
        LA.svd,
        LA.svdvals,
        LA.eigh,
        LA.eigvalsh,
        LA.pinv,
        LA.matrix_rank,
    ],
)
def test_integers_vectors_and_numbers_are_refused_by_name(function):
    name = function.__name__
    with pytest.raises(flux.DTypeError, match=f"{name}: expected a floating tensor, got int64"):
        function([[1, 2], [3, 4]])
    with pytest.raises(flux.ShapeError, match=rf"{name}: .*shape \(3,\)"):
        function(flux.ones(3))
    if function not in (LA.qr, LA.svd, LA.svdvals, LA.pinv, LA.matrix_rank):
        with pytest.raises(flux.ShapeError, match=rf"{name}: expected square matrices .* \(2, 3\)"):
            function(flux.ones((2, 3)))


@pytest.mark.parametrize(
    "call", [LA.inv, lambda a: LA.solve(a, flux.ones((3, 1))), lambda a: LA.matrix_power(a, -1)]
)
def test_a_singular_matrix_is_named_by_its_place(call):
    a = np.broadcast_to(np.eye(3), (2, 4, 3, 3)).copy()
    a[1, 2] = 1
    with pytest.raises(
        ValueError, match=r"(inv|solve|matrix_power): matrix \(1, 2\) of the batch is singular"
    ):
        call(flux.tensor(a))
    with pytest.raises(ValueError, match=r"(inv|solve|matrix_power): matrix 2 of the batch is singular"):
        call(flux.tensor(a[1]))
    with pytest.raises(ValueError, match=r"(inv|solve|matrix_power): the matrix is singular"):
        call(flux.tensor(a[1, 2]))


def test_a_matrix_that_is_not_positive_definite_is_named_by_its_place():
    for n in (3, 100):
        a = np.stack([np.eye(n), np.eye(n)])
        a[1, -1, -1] = -1
        with pytest.raises(ValueError, match="cholesky: matrix 1 of the batch is not positive definite"):
            LA.cholesky(flux.tensor(a))
        with pytest.raises(ValueError, match="cholesky: the matrix is not positive definite"):
            LA.cholesky(flux.tensor(a[1] * np.nan))


@pytest.mark.parametrize(
    ("name", "call"),
    [
        *(
            (name, getattr(LA, name))
            for name in ("svd", "svdvals", "eigh", "eigvalsh", "pinv", "matrix_rank")
        ),
        ("lstsq", lambda x: LA.lstsq(x, flux.zeros(2))),
        ("matrix_norm", lambda x: LA.matrix_norm(x, ord=2)),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_an_error_of_a_factorisation_names_the_function_that_was_called(name, call):
    with pytest.raises(ValueError, match=f"^{name}: the matrix has NaN or infinity"):
        call(flux.full((2, 2), np.nan))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("n", [1, 3, 70])
def test_what_is_no_number_ends_in_an_error_or_in_nan(bad, n):
    a = positive((2,), n)
    a[1, 0, -1] = a[1, -1, 0] = bad
    x = flux.tensor(a)
    for function in (LA.svd, LA.svdvals, LA.eigh, LA.eigvalsh, LA.pinv, LA.matrix_rank):
        with pytest.raises(ValueError, match=r"matrix 1 of the batch has NaN or infinity"):
            function(x)
    for result in (LA.qr(x).R, LA.qr(x).Q):
        assert np.isnan(result.numpy()[1]).all() and np.isfinite(result.numpy()[0]).all()
    assert np.isfinite(LA.inv(x).numpy()[0]).all() and LA.det(x).shape == (2,)
    assert LA.slogdet(x).sign.shape == (2,)


def test_right_hand_sides_that_do_not_fit():
    with pytest.raises(flux.ShapeError, match=r"solve: expected right-hand sides \(3,\) or \(.., 3, k\)"):
        LA.solve(flux.eye(3), flux.ones(4))
    with pytest.raises(flux.ShapeError, match="solve"):
        LA.solve(flux.ones((2, 3, 3)) + 3 * flux.eye(3), flux.ones((4, 3, 1)))
    with pytest.raises(flux.DTypeError, match="solve: expected a floating tensor, got int64"):
        LA.solve(flux.eye(3), flux.tensor([1, 2, 3]))
    with pytest.raises(flux.ShapeError, match="lstsq: expected right-hand sides"):
        LA.lstsq(flux.ones((3, 2)), flux.ones(4))
    with pytest.raises(flux.ShapeError, match="cross: axis -1 .* must have length 3"):
        flux.cross(flux.ones(2), flux.ones(3))
    for call in (
        lambda: LA.qr(flux.eye(2), mode="raw"),
        lambda: LA.matrix_norm(flux.eye(2), ord=3),
        lambda: LA.norm(flux.eye(2), "fro", 0),
    ):
        with pytest.raises(ValueError, match="(mode|ord)"):
            call()


# Types and sizes at the edge


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_numbers_of_16_bits_are_computed_with_as_float32(dtype):
    x = flux.tensor(positive((2,), 3)).astype(dtype)
    wide = x.astype("float32")
    for function in (
        LA.inv,
        LA.det,
        LA.cholesky,
        LA.svdvals,
        LA.eigvalsh,
        LA.pinv,
        LA.vector_norm,
        LA.matrix_norm,
    ):
        assert function(x).dtype == dtype
        np.testing.assert_allclose(
            function(x).astype("float64").numpy(), function(wide).numpy(), rtol=1e-2, atol=1e-2
        )
    for function in (LA.slogdet, LA.qr, LA.svd, LA.eigh, lambda x: LA.lstsq(x, x)):
        assert {part.dtype.name for part in function(x)} - {"int64"} == {dtype}
    assert LA.solve(x, x).dtype == dtype


@pytest.mark.parametrize(
    ("dtype", "scale"),
    [
        ("float32", 1e30),
        ("float32", 1e-30),
        ("float64", 1e300),
        ("float64", 1e-300),
        ("float64", 5e-324 * 2**20),
    ],
)
def test_matrices_of_huge_and_tiny_numbers(dtype, scale):
    a = symmetric((), 5) * 8
    x = flux.tensor((a * scale).astype(dtype))
    rtol = 1e-4 if dtype == "float32" or scale < 1e-307 else 1e-12
    np.testing.assert_allclose(LA.svdvals(x).numpy() / scale, np.linalg.svd(a).S, rtol=rtol)
    np.testing.assert_allclose(LA.eigvalsh(x).numpy() / scale, np.linalg.eigvalsh(a), rtol=rtol)


def test_equal_and_zero_values():
    for n in (1, 4, 150):
        check(LA.svdvals(flux.zeros((n, n))), np.zeros(n, "float32"))
        check(LA.eigvalsh(flux.eye(n)), np.ones(n, "float32"))
        u, s, vh = LA.svd(flux.ones((n, n), "float64"))
        close((u * s) @ vh, np.ones((n, n)), "float64", n)
        q, r = LA.qr(flux.ones((n, n), "float64"))
        close(q @ r, np.ones((n, n)), "float64", n)


# Threads


def test_results_do_not_depend_on_the_number_of_threads():
    a, many = positive((), 300, "float32"), positive((500,), 6)
    threads = flux.get_num_threads()

    def results():
        x, y = flux.tensor(a), flux.tensor(many)
        return [
            LA.inv(x),
            LA.cholesky(x),
            LA.svdvals(x),
            LA.eigh(x)[1],
            LA.inv(y),
            *LA.svd(y),
            *LA.qr(y),
            LA.solve(y, y),
        ]

    try:
        flux.set_num_threads(1)
        one = results()
        flux.set_num_threads(3)
        for alone, together in zip(one, results(), strict=True):
            np.testing.assert_array_equal(alone.numpy(), together.numpy())
    finally:
        flux.set_num_threads(threads)


def test_other_threads_of_python_run_meanwhile():
    x, ticks, done = flux.tensor(random((500, 500))), [], threading.Event()

    def tick():
        while not done.wait(0.001):
            ticks.append(1)

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        before = len(ticks)
        LA.svd(x)
        assert len(ticks) > before + 3
    finally:
        done.set()
        thread.join()


def test_a_child_of_a_fork_computes_too():
    code = """
import os, numpy as np, oxiflux as flux
x = flux.tensor(np.random.default_rng(0).standard_normal((300, 300)))
flux.linalg.inv(x)
child = os.fork()
if child == 0:
    flux.linalg.inv(x), flux.linalg.svdvals(x)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# NumPy's names

NUMPYS = {
    "cross": lambda x: np.cross(x[:3, :3], x[1:, :3]),
    "kron": lambda x: np.kron(x, x[:2]),
    "det": np.linalg.det,
    "inv": np.linalg.inv,
    "matrix_norm": lambda x: np.linalg.matrix_norm(x, ord=2, keepdims=True),
    "matrix_power": lambda x: np.linalg.matrix_power(x, 3),
    "norm": np.linalg.norm,
    "norm of rows": lambda x: np.linalg.norm(x, axis=1),
    "pinv": np.linalg.pinv,
    "qr": lambda x: np.linalg.qr(x)[1],
    "slogdet": lambda x: np.linalg.slogdet(x).logabsdet,
    "solve": lambda x: np.linalg.solve(x, np.ones(4)),
    "svd": lambda x: np.linalg.svd(x, False)[1],
    "svd of values": lambda x: np.linalg.svd(x, compute_uv=False),
    "svdvals": np.linalg.svdvals,
    "vector_norm": lambda x: np.linalg.vector_norm(x, axis=0),
}


@pytest.mark.parametrize("f", NUMPYS.values(), ids=NUMPYS)
def test_numpys_function_of_a_tensor_is_ours_and_is_recorded(f):
    a = regular((), 4)
    close(f(flux.tensor(a)), f(a), "float64")
    assert flux.gradcheck(f, a, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: np.linalg.inv(x.astype("int64") + 2 * np.eye(4, dtype="int64")),
        lambda x: np.linalg.eigh(x)[0],
        lambda x: np.linalg.qr(x, mode="r"),
        lambda x: np.linalg.svd(x, hermitian=True)[1],
        lambda x: np.linalg.pinv(x, hermitian=True),
    ],
)
def test_numpy_itself_does_what_only_numpy_has(call):
    a = symmetric((), 4)
    result = call(flux.tensor(a))
    assert isinstance(result, np.ndarray)
    np.testing.assert_allclose(result, call(a), rtol=1e-10)


# Documentation


@pytest.mark.parametrize("name", LA.__all__)
def test_every_name_is_documented(name):
    thing = getattr(LA, name)
    text = inspect.getdoc(thing)
    assert text
    if thing.__module__.startswith("oxiflux.linalg") and not name.endswith("Result"):
        assert ">>> " in text


@pytest.mark.parametrize("name", ["vector_norm", "matrix_norm", "norm"])
def test_keepdims_of_a_norm_is_true_or_false(name):
    with pytest.raises(TypeError, match=f"{name}: keepdims must be True or False, got 'no'"):
        getattr(flux.linalg, name)(flux.ones((2, 3)), keepdims="no")
    assert getattr(flux.linalg, name)(flux.ones((2, 3)), keepdims=np.True_).shape == (1, 1)
