"""Distances and likeness agree with SciPy, for near points and far ones, and have gradients at equal points."""

import numpy as np
import pytest
from scipy.spatial import distance

import oxiflux as flux
from oxiflux import _core
from strategies import check

POWERS = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, np.inf]


def points(*shape, seed=0, dtype="float64"):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def metric(p):
    return {0.0: "hamming", np.inf: "chebyshev"}.get(p, "minkowski")


def scipys(a, b, p):
    if p == 0:
        return (a[:, None] != b).sum(-1).astype(a.dtype)
    return distance.cdist(a, b, metric(p), **({"p": p} if metric(p) == "minkowski" else {}))


@pytest.mark.parametrize("p", POWERS)
@pytest.mark.parametrize(
    ("n", "m", "width"), [(1, 1, 1), (5, 3, 2), (9, 70, 3), (6, 33, 65), (4, 41, 1), (3, 2, 0)]
)
def test_distances(n, m, width, p):
    a, b = points(n, width), points(m, width, seed=1)
    expected = scipys(a, b, p) if width else np.zeros((n, m))
    check(flux.cdist(a, b, p), expected, rtol=1e-12)
    check(
        flux.cdist(a.astype("float32"), b.astype("float32"), p).astype("float64"),
        expected,
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize("p", [1.0, 2.0])
def test_batches_broadcast(p):
    a, b = points(2, 1, 5, 3), points(4, 6, 3, seed=1)
    expected = np.stack([[scipys(x[0], y, p) for y in b] for x in a])
    check(flux.cdist(a, b, p), expected, rtol=1e-12)
    turned = flux.tensor(b.swapaxes(1, 2)).mT
    check(flux.cdist(a, turned, p), expected, rtol=1e-12)


def test_the_digits_of_what_is_near_are_kept():
    a = (1000 + points(50, 8)).astype("float32")
    b = (a + np.float32(1e-3)).astype("float32")
    exact = scipys(a.astype(float), b.astype(float), 2.0)
    np.testing.assert_allclose(flux.cdist(a, b).numpy(), exact, rtol=1e-6)
    assert (np.diagonal(flux.cdist(a, a).numpy()) == 0).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_types_and_integers(dtype):
    a = flux.tensor([[0.0, 0.0], [3.0, 0.0]], dtype=dtype)
    got = flux.cdist(a, flux.tensor([[0.0, 4.0]], dtype=dtype))
    assert got.dtype == dtype and got.tolist() == [[4], [5]]
    assert flux.cdist([[0, 0]], [[3, 4]]).tolist() == [[5]]


def test_shapes_of_distances():
    assert flux.cdist(np.zeros((0, 2)), np.zeros((3, 2))).shape == (0, 3)
    assert flux.cdist(np.zeros((2, 4, 0)), np.zeros((3, 0))).shape == (2, 4, 3)
    for p in (1.0, 2.0):
        with pytest.raises(flux.ShapeError, match="cdist"):
            flux.cdist([[1.0, 2.0]], [[1.0]], p)
        with pytest.raises(flux.ShapeError, match="cdist"):
            flux.cdist([1.0], [[1.0]], p)
    with pytest.raises(ValueError, match="p is 0 or more"):
        flux.cdist([[1.0]], [[1.0]], -1)


@pytest.mark.parametrize("p", [1.5, 2.0, 3.0])
def test_gradients_of_distances(p):
    assert flux.gradcheck(lambda a, b: flux.cdist(a, b, p), points(3, 2), points(4, 2, seed=1), order=2)
    for x in flux.gradient(lambda a, b: flux.cdist(a, b, p).sum(), np.ones((2, 3)), np.ones((2, 3))):
        assert x.tolist() == np.zeros((2, 3)).tolist()


def test_gradients_of_batches_of_distances():
    assert flux.gradcheck(_core.distances, points(2, 1, 3, 2), points(4, 2, seed=1), order=2)


@pytest.mark.parametrize("p", POWERS)
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("keepdims", [False, True])
def test_pairwise_distance(p, axis, keepdims):
    a, b = points(4, 3), points(4, 3, seed=1)
    if p >= 1:
        expected = np.linalg.norm(a - b + 1e-6, p, axis, keepdims)
        check(flux.pairwise_distance(a, b, p, axis=axis, keepdims=keepdims), expected, rtol=1e-12)
    same = flux.gradient(lambda x: flux.pairwise_distance(x, a, p, eps=0).sum(), a)[0]
    assert same is None or np.isfinite(same.numpy()).all()
    assert flux.pairwise_distance(a, b[0], p).shape == (4,)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_cosine_similarity(axis):
    a, b = points(4, 3), points(4, 3, seed=1)
    expected = (a * b).sum(axis) / np.linalg.norm(a, axis=axis) / np.linalg.norm(b, axis=axis)
    check(flux.cosine_similarity(a, b, axis=axis), expected, rtol=1e-12)
    assert flux.gradcheck(lambda a, b: flux.cosine_similarity(a, b, axis=axis), a, b, order=2)


def test_cosine_similarity_of_nothing():
    zero = np.zeros((1, 3))
    assert flux.cosine_similarity(zero, points(1, 3)).item() == 0
    slope = flux.gradient(lambda a: flux.cosine_similarity(a, points(1, 3)).sum(), zero)[0]
    assert np.isfinite(slope.numpy()).all()
    half = flux.tensor([[1.0, 1.0]], dtype="float16")
    assert (
        flux.cosine_similarity(half, half).dtype == "float16"
        and flux.cosine_similarity(half, half).item() == 1
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("n", "m", "width"), [(26, 40, 16), (70, 31, 64), (26, 26, 15), (25, 90, 33)])
def test_many_wide_points(n, m, width, dtype):
    rng = np.random.default_rng(0)
    middles = 50 + 3 * rng.normal(size=(5, width))
    spread = rng.choice([1e-3, 0.1, 1.0], size=(n + m, 1))
    x = (middles[rng.integers(0, 5, n + m)] + spread * rng.normal(size=(n + m, width))).astype(dtype)
    expected = scipys(x[:n].astype(float), x[n:].astype(float), 2.0)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(flux.cdist(x[:n], x[n:]).numpy(), expected, rtol=50 * eps)
    far = points(n, width, dtype=dtype), points(m, width, seed=1, dtype=dtype)
    far[1][3] = far[0][5]
    got, expected = flux.cdist(*far), scipys(*(p.astype(float) for p in far), 2.0)
    assert got.dtype == dtype and got[5, 3].item() == 0
    np.testing.assert_allclose(got.numpy(), expected, rtol=50 * eps)
    assert (np.diagonal(flux.cdist(far[0], far[0]).numpy()) == 0).all()


@pytest.mark.parametrize("scale", [1e-25, 1e-12, 1e12, 1e25])
def test_many_wide_points_of_any_size(scale):
    a, b = points(30, 20, dtype="float32"), points(30, 20, seed=1, dtype="float32")
    a, b = (a * np.float32(scale), b * np.float32(scale))
    np.testing.assert_array_equal(np.isfinite(flux.cdist(a, b).numpy()), scale < 1e20)
    if 1e-20 < scale < 1e20:
        np.testing.assert_allclose(flux.cdist(a, b).numpy(), scipys(a, b, 2.0), rtol=1e-5)
    a[2], a[4, 1], b[5] = 0, np.inf, np.nan
    exact = np.sqrt(np.square(a[:, None].astype(float) - b).sum(-1))
    got = flux.cdist(a, b).numpy()
    np.testing.assert_array_equal(np.isnan(got), np.isnan(exact))
    assert np.isinf(got[4, 0])


def test_gradients_of_many_wide_points():
    a, b = points(26, 16), points(27, 16, seed=1)
    # Steps that are long enough for what products round, which is more than what differences do.
    assert flux.gradcheck(flux.cdist, a, b, order=2, eps=1e-5)
    for x, y in [
        (a, a),
        (np.ones((26, 16)), np.ones((30, 16))),
        (points(2, 1, 26, 16, seed=2), points(3, 28, 16)),
    ]:
        ours = flux.gradient(lambda a, b: flux.cdist(a, b).sum(), x, y)
        theirs = flux.gradient(lambda a, b: _core.distances(a, b).sum(), x, y)
        for x, y in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(x.numpy(), y.numpy(), rtol=1e-10, atol=1e-12)
    (one,) = flux.gradient(lambda a: flux.cdist(a, a).sum(), a)
    assert np.isfinite(one.numpy()).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_many_wide_points_of_half_types(dtype):
    a = flux.tensor(points(30, 20), dtype=dtype)
    got, exact = flux.cdist(a, a), _core.distances(a, a)
    assert got.dtype == dtype and got.tolist() == exact.tolist()


def test_shapes_of_many_wide_points():
    assert flux.cdist(np.zeros((0, 30, 20)), np.zeros((1, 30, 20))).shape == (0, 30, 30)
    assert (flux.cdist(np.zeros((30, 20)), np.zeros((2, 30, 20))).numpy() == 0).all()
    with pytest.raises(flux.ShapeError, match="cdist"):
        flux.cdist(np.zeros((2, 30, 20)), np.zeros((3, 30, 20)))


@pytest.mark.parametrize("p", [1.5, 2, 3])
def test_distances_in_half_types_keep_large_squares_and_the_eps(p):
    x = flux.tensor([[300.0, 400.0]], dtype="float16")
    far = (300**p + 400**p) ** (1 / p)
    for found in (flux.pairwise_distance(x, 0 * x, p), flux.cdist(x, 0 * x, p)[0]):
        assert found.dtype == "float16"
        np.testing.assert_allclose(found.numpy(), [far], rtol=1e-3)
    (grad,) = flux.gradient(lambda y: flux.pairwise_distance(x, y, p).sum(), x)
    np.testing.assert_allclose(abs(grad.numpy()), 2 ** (1 / p - 1), rtol=1e-2)
