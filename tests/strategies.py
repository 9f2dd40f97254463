"""What the tests against NumPy share: random shapes, dtypes and memory layouts, and the comparison."""

import os
import warnings
from contextlib import contextmanager

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import oxiflux as flux

FLOATS = ["float32", "float64"]
SIGNED = ["int8", "int16", "int32", "int64"]
UNSIGNED = ["uint8", "uint16", "uint32", "uint64"]
INTEGERS = SIGNED + UNSIGNED
NUMBERS = FLOATS + INTEGERS
EVERYTHING = [*NUMBERS, "bool"]

settings.register_profile(
    "default",
    max_examples=int(os.environ.get("OXIFLUX_EXAMPLES", "40")),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
# OXIFLUX_EXPLORE=1 draws new examples each time, and more of them.
settings.register_profile(
    "explore", parent=settings.get_profile("default"), max_examples=400, derandomize=False
)
settings.load_profile("explore" if os.environ.get("OXIFLUX_EXPLORE") else "default")

SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)
SEEDS = st.integers(0, 2**32 - 1)


def broadcastable(number):
    """Shapes that broadcast against each other."""
    return hnp.mutually_broadcastable_shapes(num_shapes=number, max_dims=4, min_side=0, max_side=4).map(
        lambda drawn: drawn.input_shapes
    )


@contextmanager
def quiet():
    """NumPy without its remarks on overflow, NaN and empty slices."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


def values(rng, shape, dtype, domain=(-4.0, 4.0)):
    """Random elements within a domain, as whole eighths so that they and their simple functions are exact."""
    low, high = domain
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return np.asarray(rng.random(shape) < 0.5)
    if dtype.kind in "iu":
        low = max(int(np.ceil(low)), 0 if dtype.kind == "u" else -100)
        return np.asarray(rng.integers(low, max(int(np.floor(high)), low), shape, dtype=dtype, endpoint=True))
    return np.asarray(
        rng.integers(int(np.ceil(low * 8)), int(np.floor(high * 8)), shape, endpoint=True) / 8, dtype
    )


def laid_out(rng, array):
    """A tensor equal to `array` that is a view: axes permuted, steps of -3 to 2, elements left out at both ends."""
    array = np.asarray(array)
    if array.ndim == 0:
        return flux.tensor(np.stack([array, array]))[1] if rng.random() < 0.5 else flux.tensor(array)
    if rng.random() < 0.25:
        return flux.tensor(array)
    order = rng.permutation(array.ndim)
    lengths, index = [], []
    for length in array.shape:
        step, before, after = (
            int(rng.choice([1, 1, -1, 2, -3])),
            int(rng.integers(0, 2)),
            int(rng.integers(0, 2)),
        )
        covered = (length - 1) * abs(step) + 1 if length else 0
        lengths.append(before + covered + after)
        if not length:
            index.append(slice(before, before))
        elif step > 0:
            index.append(slice(before, before + covered, step))
        else:
            index.append(slice(before + covered - 1, before - 1 if before else None, step))
    surroundings = np.full(lengths, 77 if array.dtype.kind != "b" else True).astype(array.dtype)
    surroundings[tuple(index)] = array
    memory = np.ascontiguousarray(np.transpose(surroundings, np.argsort(order)))
    view = flux.permute_dims(flux.tensor(memory), tuple(int(a) for a in order))[tuple(index)]
    assert view.shape == array.shape
    return view


def expected_float(dtype):
    """The dtype of functions with real results: that of a floating argument, else the default."""
    dtype = np.dtype(dtype)
    return dtype if dtype.kind == "f" else np.dtype("float32")


def promoted(a, b):
    """NumPy's promotion, except that a floating dtype meeting another kind stays as it is."""
    a, b = np.dtype(a), np.dtype(b)
    if (a.kind == "f") != (b.kind == "f"):
        return a if a.kind == "f" else b
    return np.promote_types(a, b)


def check(result, expected, dtype=None, rtol=None, atol=0.0):
    """Holds a tensor to the shape, the dtype and the elements that NumPy computed."""
    expected = np.asarray(expected)
    dtype = np.dtype(dtype if dtype is not None else expected.dtype)
    assert isinstance(result, flux.Tensor), type(result)
    array = result.numpy()
    assert result.shape == expected.shape, f"shape {result.shape}, NumPy has {expected.shape}"
    assert array.shape == expected.shape
    assert array.dtype == dtype, f"dtype {array.dtype}, expected {dtype}"
    if dtype.kind != "f":
        np.testing.assert_array_equal(array, expected)
        return
    if rtol is None:
        rtol = 8 * np.finfo(dtype).eps
    with quiet():
        expected = expected.astype(dtype)
    np.testing.assert_allclose(array, expected, rtol=rtol, atol=atol)
