"""Counts of integers and histograms agree with NumPy."""

import numpy as np
import pytest

import oxiflux as flux
from strategies import check


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "uint64"])
@pytest.mark.parametrize("n", [0, 1, 50])
@pytest.mark.parametrize("minlength", [0, 3, 20])
def test_bincount(n, minlength, dtype):
    rng = np.random.default_rng(0)
    x, weights = rng.integers(0, 9, n).astype(dtype), rng.normal(size=n)
    exact = x.astype(np.int64)
    check(flux.bincount(x, minlength=minlength), np.bincount(exact, minlength=minlength))
    sums = np.bincount(exact, weights, minlength).astype(float)  # of nothing they are integers
    check(flux.bincount(x, weights, minlength), sums, rtol=1e-12, atol=1e-14)


def test_what_cannot_be_counted():
    with pytest.raises(flux.DTypeError, match="bincount: what is counted are integers, not float32"):
        flux.bincount([0.5])
    with pytest.raises(ValueError, match="bincount: numbers from 0 on are counted, got -1"):
        flux.bincount([0, -1])
    with pytest.raises(flux.ShapeError, match="expected a vector"):
        flux.bincount([[1]])
    with pytest.raises(flux.ShapeError, match="bincount: weights of shape"):
        flux.bincount([0, 1], [1.0])
    with pytest.raises(ValueError, match="minlength"):
        flux.bincount([1], minlength=-1)


def test_weights_have_gradients():
    x = [0, 2, 2, 1]
    assert flux.gradcheck(lambda w: flux.bincount(x, w) ** 2, [0.5, 1.5, -1.0, 2.0], order=2)
    edges = [0.0, 1.0, 3.0]
    data = [0.5, 2.0, 2.5, 9.0]
    assert flux.gradcheck(lambda w: flux.histogram(data, edges, weights=w).counts ** 2, [1.0, 2.0, 3.0, 4.0])


def same_histogram(x, **options):
    with np.errstate(all="ignore"):  # a bin may have no width
        ours, theirs = flux.histogram(x, **options), np.histogram(x, **options)
    np.testing.assert_allclose(ours.counts.numpy(), theirs[0], rtol=1e-6)
    np.testing.assert_allclose(ours.edges.numpy(), theirs[1], rtol=1e-6, atol=1e-7)
    assert options.get("density") or "weights" in options or ours.counts.dtype == "int64"


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64"])
@pytest.mark.parametrize("bins", [1, 4, 10, [0.0, 0.5, 3.0], [-9, -1, -1, 9], np.linspace(-2, 2, 7)])
def test_histogram(bins, dtype):
    x = (np.random.default_rng(0).normal(size=(20, 11)) * 3).round(1).astype(dtype)
    same_histogram(x, bins=bins)
    same_histogram(x, bins=bins, density=True)
    same_histogram(x, bins=bins, weights=np.arange(220.0).reshape(20, 11))


@pytest.mark.parametrize("range_", [(-1.0, 1.0), (0, 2), (5.0, 5.0)])
def test_histogram_over_a_range(range_):
    x = np.random.default_rng(0).normal(size=100)
    same_histogram(x, bins=5, range=range_)


def test_the_last_bin_has_its_upper_edge():
    assert flux.histogram([1.0, 2.0, 3.0], bins=[1.0, 2.0, 3.0]).counts.tolist() == [1, 2]
    assert flux.histogram([3.0, 3.0]).counts.sum().item() == 2
    assert flux.histogram([]).counts.tolist() == [0] * 10


def test_nan_is_in_no_bin():
    assert flux.histogram([0.5, np.nan, np.inf], bins=2, range=(0, 1)).counts.tolist() == [0, 1]
    with pytest.raises(ValueError, match="histogram: there are no bins"):
        flux.histogram([0.5, np.nan])


def test_what_are_no_bins():
    for options, message in [
        ({"bins": 0}, "a number of bins is 1 or more, got 0"),
        ({"bins": [1.0, 0.0]}, "edges must not decrease"),
        ({"range": (1.0, 0.0)}, "decreases"),
        ({"bins": [1.0]}, "two or more"),
        ({"weights": [1.0]}, "weights of shape"),
    ]:
        with pytest.raises(ValueError, match=message):
            flux.histogram([0.5, 0.7], **options)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "range_", [None, (-1.0, 1.0), (0.1, 0.7), (1e6, 1e6 + 1), (-1e-300, 1e-300), (0.0, 1e38)]
)
@pytest.mark.parametrize("bins", [1, 3, 10, 1000, 3000])
def test_a_histogram_has_each_element_between_the_edges_it_names(bins, range_, dtype):
    rng = np.random.default_rng(bins)
    low, high = range_ or (-3.0, 3.0)
    edges = np.linspace(low, high, bins + 1, dtype=dtype)
    near = [np.nextafter(edges, -np.inf, dtype=dtype), edges, np.nextafter(edges, np.inf, dtype=dtype)]
    x = np.concatenate([*near, rng.uniform(low, high, 40_000)]).astype(dtype)
    counts, edges = flux.histogram(x, bins, range=range_)
    edges = edges.numpy()
    place = np.searchsorted(edges, x, side="right") - (x == edges[-1])
    assert counts.tolist() == np.bincount(place, minlength=bins + 2)[1:-1].tolist()


def test_infinities_and_nan_are_in_no_even_bin():
    x = np.array([np.nan, -np.inf, np.inf, 0.0, 0.5, 1.0, 1e308, -1e308])
    assert flux.histogram(x, 2, range=(0, 1)).counts.tolist() == [1, 2]
    assert flux.histogram(x[:6].astype("float32"), [0.0, 1.0, np.inf]).counts.tolist() == [2, 2]
