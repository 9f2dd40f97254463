"""Small data sets: the irises as they were published, and points that follow their formulas."""

import math

import numpy as np
import pytest

import oxiflux as flux
from oxiflux.data import load_iris, make_moons, make_poly, make_sin, make_spiral


def test_the_irises_have_the_published_means_and_deviations():
    x, y, names = load_iris()
    assert x.shape == (150, 4) and x.dtype == np.float32 and y.shape == (150,) and len(names) == 4
    # As R prints them for its data set iris.
    np.testing.assert_allclose(x.mean(0), [5.843333, 3.057333, 3.758, 1.199333], rtol=1e-6)
    np.testing.assert_allclose(x.std(0, ddof=1), [0.8280661, 0.4358663, 1.7652982, 0.7622377], rtol=1e-6)
    for name, means in [
        ("setosa", [5.006, 3.428, 1.462, 0.246]),
        ("versicolor", [5.936, 2.770, 4.260, 1.326]),
        ("virginica", [6.588, 2.974, 5.552, 2.026]),
    ]:
        np.testing.assert_allclose(x[y == name].mean(0), means, rtol=1e-6)
    # Where a copy of the data that is often met has two errors.
    np.testing.assert_array_equal(x[[34, 37]], np.float32([[4.9, 3.1, 1.5, 0.2], [4.9, 3.6, 1.4, 0.1]]))


def test_the_irises_are_those_of_scikit_learn():
    theirs = pytest.importorskip("sklearn.datasets").load_iris()
    x, y, _ = load_iris()
    np.testing.assert_array_equal(x, theirs.data.astype(np.float32))
    assert y.tolist() == theirs.target_names[theirs.target].tolist()


def test_each_call_gives_irises_of_its_own():
    x, y, names = load_iris()
    x[:], y[:] = 0, ""
    names.clear()
    x, y, names = load_iris()
    assert x.min() > 0 and y[0] == "setosa" and len(names) == 4


def test_a_net_learns_the_irises():
    x, y, _ = load_iris()
    classes = ["setosa", "versicolor", "virginica"]
    flux.seed(0)
    train, test = flux.splitobs((x, flux.onehotbatch(y, classes)), 0.7, shuffle=True, stratified=y)
    model = flux.Chain(flux.Dense(4, 16, flux.relu), flux.Dense(16, 3))
    loss = lambda m, x, y: flux.logitcrossentropy(m(x), y)
    flux.fit(loss, model, flux.DataLoader(train, 16, shuffle=True), flux.Adam(0.02), epochs=60)
    right = flux.onecold(model(test[0])).numpy() == flux.onecold(test[1]).numpy()
    assert right.mean() > 0.9


# Points


def test_moons_lie_on_their_half_circles():
    x, y = make_moons(200, shuffle=False)
    assert x.shape == (200, 2) and x.dtype == np.float32 and y.dtype == np.int64
    assert y.tolist() == [0] * 100 + [1] * 100
    upper, lower = x[y == 0], x[y == 1]
    np.testing.assert_allclose(np.hypot(*upper.T), 1, rtol=1e-6)
    np.testing.assert_allclose(np.hypot(lower[:, 0] - 1, lower[:, 1] - 0.5), 1, rtol=1e-6)
    assert (upper[:, 1] >= 0).all() and (lower[:, 1] <= 0.5).all()
    # Angles are drawn and cover the half circle.
    angles = np.arctan2(upper[:, 1], upper[:, 0])
    assert angles.min() < 0.2 and angles.max() > math.pi - 0.2 and abs(angles.mean() - math.pi / 2) < 0.3


@pytest.mark.parametrize(
    ("n", "counts"), [(7, [3, 4]), ((2, 5), [2, 5]), ((0, 3), [0, 3]), (0, [0, 0]), (np.int64(4), [2, 2])]
)
@pytest.mark.parametrize("shuffle", [False, True])
def test_moons_have_as_many_points_as_are_asked_for(n, counts, shuffle):
    x, y = make_moons(n, noise=0.1, shuffle=shuffle)
    assert np.bincount(y, minlength=2).tolist() == counts and x.shape == (sum(counts), 2)


def test_shuffled_moons_are_the_same_pairs_in_another_order():
    x, y = make_moons(40, shuffle=False, rng=flux.Generator(3))
    a, b = make_moons(40, rng=flux.Generator(3))
    assert b.tolist() != y.tolist()
    assert sorted((*p, label) for p, label in zip(x.tolist(), y.tolist(), strict=True)) == sorted(
        (*p, label) for p, label in zip(a.tolist(), b.tolist(), strict=True)
    )


def test_a_spiral_follows_its_formula():
    x, y = make_spiral(20, a=2.0, theta=8.0, b=40.0, noise=0.0)
    for i in range(20):
        angle, radius = i * math.pi / 8, 2 * (40 - i) / 40
        point = np.array([radius * math.sin(angle), radius * math.cos(angle)])
        np.testing.assert_allclose(x[i], point, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(x[20 + i], -point, rtol=1e-5, atol=1e-6)
    assert y.tolist() == [1] * 20 + [0] * 20 and x.dtype == np.float32 and y.dtype == np.int64


@pytest.mark.parametrize("coef", [[2.0], [1, -3, 0.5], (0, 0, 1, 2)])
@pytest.mark.parametrize("shape", [(0,), (5,), (2, 3)])
def test_a_polynomial_follows_its_formula(coef, shape):
    places = np.linspace(-2, 2, int(np.prod(shape))).reshape(shape)
    x, y = make_poly(coef, places, noise=0.0)
    expected = sum(c * places ** (len(coef) - 1 - i) for i, c in enumerate(coef))
    np.testing.assert_allclose(y, np.broadcast_to(expected, shape), rtol=1e-12)
    assert x.dtype == y.dtype == np.float64 and y.shape == shape
    x, y = make_poly(flux.tensor(coef), places.astype(np.float32).tolist(), noise=0.0)
    assert x.dtype == y.dtype == np.float32
    np.testing.assert_allclose(y, np.broadcast_to(expected, shape), rtol=1e-5, atol=1e-5)


def test_a_sine_follows_its_formula():
    x, y = make_sin(9, -1.0, 3.0, noise=0.0)
    np.testing.assert_allclose(x, [-1 + i / 2 for i in range(9)])
    np.testing.assert_allclose(y, [math.sin(-1 + i / 2) for i in range(9)], rtol=1e-6)
    assert x.dtype == y.dtype == np.float32 and len(make_sin()[0]) == 50


@pytest.mark.parametrize(
    "make",
    [
        lambda **o: make_moons((3000, 3000), shuffle=False, **o)[0],
        lambda **o: make_spiral(3000, **o)[0],
        lambda **o: make_poly([1.0, 2.0], np.linspace(-1, 1, 6000), **o)[1],
        lambda **o: make_sin(6000, **o)[1],
    ],
    ids=["moons", "spiral", "poly", "sin"],
)
def test_noise_is_normal_and_comes_from_the_generator(make):
    error = make(noise=0.25, rng=flux.Generator(5)).astype(float) - make(noise=0.0, rng=flux.Generator(5))
    assert abs(error.mean()) < 0.02 and abs(error.std() - 0.25) < 0.01
    # Of another point, and of another coordinate, it is another number.
    assert len(np.unique(error.round(9))) > 0.95 * error.size
    assert 0.6 < (abs(error) < 0.25).mean() < 0.75
    again = make(noise=0.25, rng=flux.Generator(5))
    np.testing.assert_array_equal(again, make(noise=0.25, rng=flux.Generator(5)))
    flux.seed(5)
    np.testing.assert_array_equal(again, make(noise=0.25))
    assert (make(noise=0.25) != again).any()


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: make_moons(-1), ValueError, "make_moons: n must be at least 0, got -1"),
        (lambda: make_moons(2.5), TypeError, "make_moons: n must be a whole number, got 2.5"),
        (lambda: make_moons((1, 2, 3)), ValueError, "make_moons: give one number of points or two"),
        (
            lambda: make_moons(noise=-0.1),
            ValueError,
            "make_moons: noise must be 0 or more and finite, got -0.1",
        ),
        (lambda: make_moons(n_samples=5), TypeError, "'n_samples'"),
        (lambda: make_spiral(theta=0), ValueError, "make_spiral: theta and b must not be 0"),
        (
            lambda: make_spiral(noise=math.nan),
            ValueError,
            "make_spiral: noise must be 0 or more and finite, got nan",
        ),
        (lambda: make_poly([], [1.0]), ValueError, "make_poly: coef must be a list of at least one number"),
        (lambda: make_poly([[1.0]], [1.0]), ValueError, r"make_poly: coef must be .* of shape \(1, 1\)"),
        (lambda: make_sin(-2), ValueError, "make_sin: n must be at least 0, got -2"),
        (lambda: make_sin(noise="loud"), TypeError, "make_sin: noise must be a number, got 'loud'"),
    ],
)
def test_points_that_cannot_be(call, error, words):
    with pytest.raises(error, match=words):
        call()
