"""The first few elements, and those of given ranks, are those of a whole sort."""

import numpy as np
import pytest

import oxiflux as flux
from oxiflux import _core
from strategies import check

DTYPES = ["float32", "float64", "int8", "uint8", "int64", "uint64", "bool"]


def numbers(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.integers(-3 if np.dtype(dtype).kind in "if" else 0, 4, shape).astype(dtype)
    if x.dtype.kind == "f":
        x[rng.random(shape) < 0.2] = np.nan
        x[rng.random(shape) < 0.1] = np.inf
        x[rng.random(shape) < 0.1] = -np.inf
    return x


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1,), (7,), (200,), (3, 5), (2, 90, 3), (0, 4)])
def test_the_first_are_those_of_a_sort(shape, dtype, descending):
    x = numbers(shape, dtype) if 0 not in shape else np.zeros(shape, dtype)
    for axis in range(len(shape)):
        n = shape[axis]
        order = _core.argsort(x, axis, descending).numpy()
        for k in {0, min(1, n), n // 2, max(n - 1, 0), n}:
            check(_core.argfirst(x, k, axis, descending), np.take(order, range(k), axis))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("ranks", [[], [0], [3], [0, 4], [1, 2, 3], [0, 1, 2, 3, 4]])
def test_ranks_are_those_of_a_sort(ranks, dtype):
    x = numbers((4, 5, 3), dtype)
    order = _core.argsort(x, 1).numpy()
    check(_core.argranked(x, ranks, 1), order[:, ranks])


@pytest.mark.parametrize("n", [63, 64, 65, 1000, 40_000])
@pytest.mark.parametrize("k", [1, 5, 63])
@pytest.mark.parametrize("order", ["random", "ascending", "descending", "equal"])
def test_long_rows(n, k, order):
    x = np.random.default_rng(0).normal(size=(2, n)).astype("float32")
    x = {"random": x, "ascending": np.sort(x), "descending": -np.sort(-x), "equal": np.zeros_like(x)}[order]
    for largest in (True, False):
        values, indices = flux.topk(x, k, largest=largest)
        places = np.argsort(-x if largest else x, axis=-1, kind="stable")[:, :k]
        check(indices, places)
        check(values, np.take_along_axis(x, places, -1))


def test_what_is_not_there():
    with pytest.raises(ValueError, match="topk: k must be between 1 and 3"):
        flux.topk([1, 2, 3], 4)
    with pytest.raises(ValueError, match="no first 4"):
        _core.argfirst([1, 2, 3], 4)
    for ranks in ([3], [1, 1], [1, 0]):
        with pytest.raises(ValueError, match="not ascending ranks"):
            _core.argranked([1, 2, 3], ranks)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_types(dtype):
    x = flux.tensor([1.0, 3.0, np.nan, 2.0], dtype=dtype)
    values, indices = flux.topk(x, 2)
    assert values.dtype == dtype and values.tolist() == [3, 2] and indices.tolist() == [1, 3]


def test_gradients_of_the_values():
    x = np.random.default_rng(0).normal(size=(4, 6))
    assert flux.gradcheck(lambda x: flux.topk(x, 3, axis=0).values ** 2, x, order=2)
