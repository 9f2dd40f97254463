"""Short rows, which are computed side by side, against float64, for every length and number of rows that is odd."""

import numpy as np
import pytest
from scipy import special

import oxiflux as flux

ROWS = [1, 3, 16, 37]


def x_of(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def close(found, expected, atol=1e-6):
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=atol)


@pytest.mark.parametrize("n", [*range(1, 71), 79, 80, 81, 97, 112, 127, 128, 129, 161, 191, 193, 255])
def test_softmax_and_its_relatives(n):
    for rows in ROWS:
        x, g = x_of(rows, n), x_of(rows, n, seed=1)
        wide = x.astype(float)
        p, log = special.softmax(wide, -1), special.log_softmax(wide, -1)
        close(flux.softmax(x), p)
        close(flux.logsoftmax(x), log)
        close(flux.logsumexp(x, axis=-1), special.logsumexp(wide, -1))
        (slope,) = flux.gradient(lambda x: (flux.softmax(x) * g).sum(), x)
        close(slope, p * (g - (p * g).sum(-1, keepdims=True)), 3e-6)
        (slope,) = flux.gradient(lambda x: (flux.logsoftmax(x) * g).sum(), x)
        close(slope, g - p * g.sum(-1, dtype=float, keepdims=True), 2e-5)
        y = np.arange(rows) % n
        each = flux.logitcrossentropy(x, flux.onehotbatch(y, range(n)), agg=flux.identity)
        np.testing.assert_allclose(each.numpy().ravel(), -log[np.arange(rows), y], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("n", [*range(2, 71), 79, 80, 81, 97, 112, 127, 128, 129, 161, 193])
def test_layernorm_and_its_gradients(n):
    for rows in ROWS:
        x, g, scale, bias = x_of(rows, n), x_of(rows, n, seed=1), x_of(n, seed=2), x_of(n, seed=3)
        layer = flux.LayerNorm(n)
        layer.scale, layer.bias = flux.tensor(scale), flux.tensor(bias)
        wide = flux.f64(layer)
        close(layer(x), wide(x.astype(float)).numpy(), 2e-5)
        f = lambda m, x: (m(x) * g).sum()
        found, exact = flux.gradient(f, layer, x), flux.gradient(f, wide, x.astype(float))
        pairs = [(found[0].scale, exact[0].scale), (found[0].bias, exact[0].bias), (found[1], exact[1])]
        for a, b in pairs:
            close(a, b.numpy(), 5e-4)


@pytest.mark.parametrize("n", [*range(1, 71), 79, 80, 81, 127, 129, 2051])
def test_sums_and_extremes_of_rows(n):
    for rows in ROWS:
        x = x_of(rows, n)
        close(flux.sum(x, axis=-1), x.astype(float).sum(-1), 1e-5)
        np.testing.assert_array_equal(flux.max(x, axis=-1).numpy(), x.max(-1))
        np.testing.assert_array_equal(flux.min(x, axis=-1).numpy(), x.min(-1))
        whole = (x * 100).astype(np.int32)
        np.testing.assert_array_equal(flux.sum(whole, axis=-1).numpy(), whole.sum(-1))


@pytest.mark.parametrize("n", [2, 3, 5, 17, 63, 127, 128])
def test_a_row_is_the_same_whatever_is_beside_it(n):
    x = x_of(37, n)
    for f in (flux.softmax, flux.logsoftmax, lambda x: flux.sum(x, axis=-1), flux.LayerNorm(n)):
        whole = f(flux.tensor(x)).numpy()
        for row in (0, 15, 16, 36):
            np.testing.assert_array_equal(whole[row], f(flux.tensor(x[row : row + 1])).numpy()[0])


@pytest.mark.parametrize("n", [2, 3, 7, 20, 127])
def test_nan_and_infinity_keep_to_their_row(n):
    x = x_of(20, n)
    clean = flux.softmax(x).numpy()
    x[3, 1], x[5, 0], x[18] = np.nan, np.inf, -np.inf
    with np.errstate(all="ignore"):
        y, log = flux.softmax(x).numpy(), flux.logsoftmax(x).numpy()
    assert np.isnan(y[3]).all() and np.isnan(y[18]).all() and np.isnan(log[3]).all()
    np.testing.assert_array_equal(y[5], np.arange(n) == 0)
    assert log[5, 0] == 0 and (log[5, 1:] == -np.inf).all()
    others = [i for i in range(20) if i not in (3, 5, 18)]
    np.testing.assert_array_equal(y[others], clean[others])
    assert np.isnan(flux.max(x, axis=-1).numpy()[3]) and flux.logsumexp(x, axis=-1).numpy()[5] == np.inf


@pytest.mark.parametrize("size", [1e20, 1e-25, 3e38])
@pytest.mark.parametrize("n", [2, 5, 100, 300])
def test_numbers_whose_squares_are_none_are_normalised(size, n):
    x = (np.random.default_rng(0).uniform(-1, 1, (4, n)) * size).astype(np.float32)
    wide = x.astype(float) / size
    expected = (wide - wide.mean(-1, keepdims=True)) / wide.std(-1, keepdims=True)
    close(flux.normalise(x, axis=-1, eps=0.0), expected, 1e-5)
    close(flux.normalise(x.T.copy(), axis=0, eps=0.0), expected.T, 1e-5)
    g = x_of(4, n, seed=1)
    (slope,) = flux.gradient(lambda x: (flux.normalise(x, axis=-1, eps=0.0) * g).sum(), x)
    (exact,) = flux.gradient(lambda x: (flux.normalise(x, axis=-1, eps=0.0) * g).sum(), wide)
    if size < 1e30:  # beyond, the slopes are no normal numbers
        np.testing.assert_allclose(slope.numpy().astype(float) * size, exact.numpy(), rtol=1e-4, atol=1e-4)
