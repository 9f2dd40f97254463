"""`x.at[i].set(v)` and its kin, held to what NumPy does in place, and their gradients."""

import numpy as np
import pytest

import oxiflux as flux

X = np.random.default_rng(0).normal(size=(3, 4, 5))
KEYS = [
    1,
    -1,
    (0, slice(1, 3)),
    (slice(None, None, -2), ..., 3),
    (..., None, slice(0, 4, 3)),
    ...,
    (),
    slice(2, 2),
    np.array([0, 2, 0, -1]),
    [2, 1],
    (slice(None), np.array([[0, 3], [-1, 0]])),
    (np.array([0, 0, 2]), slice(1, None), np.array([4, 4, 1])),
    (1, slice(None), np.array([0, 0])),
    (slice(1, None), np.array([3, 1]), np.array([0, 0])),
    X[..., 0] > 0,
    (slice(None), np.array([True, False, True, False])),
    X > 0.3,
    np.zeros((3, 4), bool),
    np.array([], int),
    True,
]
IN_PLACE = {
    "set": None, "add": np.add, "multiply": np.multiply, "mul": np.multiply, "min": np.minimum,
    "max": np.maximum,
}  # fmt: skip

each_key = pytest.mark.parametrize("key", KEYS, ids=lambda key: repr(key)[:40])
each_method = pytest.mark.parametrize("method", IN_PLACE)


def changed(x, key, value, method):
    """A copy of an array, changed in place."""
    x = x.copy()
    if method == "set":
        x[key] = value
    else:
        IN_PLACE[method].at(x, key, value)
    return x


def values(shape, seed=1):
    return np.random.default_rng(seed).normal(size=shape)


@each_key
@each_method
def test_a_part_is_changed_as_numpy_changes_it(key, method):
    x = flux.tensor(X)
    for value in (values(X[key].shape), 0.5, values(X[key].shape[-1:])):
        got = getattr(x.at[key], method)(value)
        assert got.dtype == "float64"
        np.testing.assert_allclose(got.numpy(), changed(X, key, value, method), rtol=1e-14)
    np.testing.assert_array_equal(x.numpy(), X)
    np.testing.assert_array_equal(x.at[key].get().numpy(), X[key])


@each_key
@pytest.mark.parametrize("method", ["set", "add", "multiply", "min", "max"])
def test_gradients_for_the_tensor_and_the_values_match_differences(key, method):
    for value in (values(X[key].shape), np.array(0.25)):
        f = lambda x, v: flux.sum(flux.sin(getattr(x.at[key], method)(v)))
        assert flux.gradcheck(f, X, value, order=2)


@pytest.mark.parametrize(
    "dtype", ["float16", "bfloat16", "float32", "float64", "int8", "uint8", "int64", "uint64"]
)
@each_method
def test_every_type_of_numbers(dtype, method):
    x = flux.tensor([1, 2, 3, 4], dtype=dtype)
    got = getattr(x.at[[0, 0, 2]], method)([3, 2, 5])
    assert got.dtype == dtype
    expected = changed(np.array([1.0, 2, 3, 4]), [0, 0, 2], [3, 2, 5], method)
    np.testing.assert_array_equal(got.astype("float64").numpy(), expected)
    assert (
        getattr(x.at[1:3], method)(2).tolist()
        == changed(np.array([1, 2, 3, 4]), slice(1, 3), 2, method).tolist()
    )


def test_sums_of_integers_wrap_around_as_in_numpy():
    x = flux.tensor([100, 1], dtype="int8")
    assert x.at[[0, 0]].add(100).tolist() == [44, 1]


def test_bools_can_be_set():
    x = flux.tensor([True, False, True])
    assert x.at[1:].set([True, False]).tolist() == [True, True, False]
    assert x.at[x].set(False).tolist() == [False, False, False]
    with pytest.raises(flux.DTypeError, match="a bool tensor can be set, but not computed with"):
        x.at[0].add(True)


def test_the_last_of_several_values_stays_and_has_the_gradient():
    x, v = flux.tensor([1.0, 2.0, 3.0]), flux.tensor([4.0, 5.0, 6.0])
    y, (dx, dv) = flux.withgradient(lambda x, v: flux.square(x.at[[0, 0, 2]].set(v)).sum(), x, v)
    assert y.item() == 25 + 4 + 36
    assert (dx.tolist(), dv.tolist()) == ([0, 4, 0], [0, 10, 12])


def test_one_value_that_goes_to_several_places_has_the_sum_of_their_gradients():
    x, v = flux.zeros(4), flux.tensor(3.0)
    for method, expected in [("set", 2), ("add", 3), ("max", 2), ("multiply", 0)]:
        (dv,) = flux.gradient(lambda v, m=method: getattr(x.at[[0, 0, 2]], m)(v).sum(), v)
        assert dv.item() == expected, method


def test_equals_share_the_gradient_of_an_extreme():
    x, v = flux.tensor([2.0, 5.0]), flux.tensor([2.0, 2.0, 1.0])
    dx, dv = flux.gradient(lambda x, v: x.at[[0, 0, 1]].max(v).sum(), x, v)
    np.testing.assert_allclose(dx.numpy(), [1 / 3, 1], rtol=1e-6)
    np.testing.assert_allclose(dv.numpy(), [1 / 3, 1 / 3, 0], rtol=1e-6)


def test_what_is_not_a_number_stays_none():
    x = flux.tensor([np.nan, 1.0, np.inf])
    assert x.at[1].set(np.nan).tolist()[2] == np.inf
    y, (g,) = flux.withgradient(lambda x: x.at[[0, 0]].set(2.0).sum(), x)
    assert y.item() == np.inf
    assert g.tolist() == [0, 1, 1]
    assert np.isnan(x.at[[0, 1]].max(5.0).numpy()[0])


def test_values_take_the_type_of_the_tensor_or_are_refused():
    assert flux.tensor([1, 2]).at[0].set(2.9).tolist() == [2, 2]
    assert flux.zeros(2).at[0].set(flux.tensor(1, dtype="int64")).dtype == "float32"
    assert flux.zeros(2).at[0].set(flux.tensor(1.0, dtype="float64")).dtype == "float32"
    with pytest.raises(
        flux.DTypeError, match=r"at\[\]\.add: int64 cannot take values of float32; use x.astype"
    ):
        flux.tensor([1, 2]).at[0].add(0.5)
    with pytest.raises(OverflowError, match="300 is out of range for int8"):
        flux.tensor([1, 2], dtype="int8").at[0].set(300)
    with pytest.raises(OverflowError, match="out of range for float16"):
        flux.zeros(2, dtype="float16").at[0].add(1e6)
    with pytest.raises(flux.DTypeError, match=r"at\[\]\.set: int64 cannot take values of float32"):
        flux.gradient(lambda v: flux.zeros(2, dtype="int64").at[0].set(v).sum() * 1.0, flux.tensor(1.0))


def test_keys_and_shapes_that_do_not_fit_are_refused():
    x = flux.tensor(X)
    for key in (3, (0, 0, 0, 0), np.array([5]), np.zeros(2, bool), 1.5, "a"):
        with pytest.raises(IndexError, match="index"):
            x.at[key].set(0)
    with pytest.raises(
        flux.ShapeError, match=r"values of shape \(2,\) do not broadcast to the part of shape \(4, 5\)"
    ):
        x.at[0].set([1, 2])
    with pytest.raises(TypeError):
        x.at[0].set("a")


def test_an_assignment_within_a_gradient_says_what_to_write():
    x = flux.ones(3)

    def to_a_variable(x):
        x[0] = 2.0
        return x.sum()

    def of_a_variable(x):
        y = flux.zeros(3)
        y[0] = x[0]
        return y.sum()

    with pytest.raises(ValueError, match=r"x = x\.at\[i\]\.set\(v\) for x\[i\] = v"):
        flux.gradient(to_a_variable, x)
    with pytest.raises(TypeError, match=r"write x = x\.at\[i\]\.set\(v\) for x\[i\] = v"):
        flux.gradient(of_a_variable, x)
    (g,) = flux.gradient(lambda x: flux.zeros(3).at[0].set(x[0]).sum(), x)
    assert g.tolist() == [1, 0, 0]


def test_views_and_tensors_that_are_not_contiguous():
    x = flux.tensor(X).T[::2]
    got = x.at[0, [1, 1]].set([[1.0], [2.0]])
    expected = X.T[::2].copy()
    expected[0, [1, 1]] = [[1.0], [2.0]]
    np.testing.assert_array_equal(got.numpy(), expected)
    shared = flux.tensor(X)
    assert shared.at[:].set(shared).tolist() == X.tolist()


def test_the_number_of_threads_does_not_change_a_bit():
    rng = np.random.default_rng(0)
    x, rows = flux.tensor(rng.normal(size=(500, 300)).astype(np.float32)), rng.integers(0, 500, 3000)
    v = flux.tensor(rng.normal(size=(3000, 300)).astype(np.float32))
    threads, results = flux.get_num_threads(), []
    try:
        for n in (1, 4):
            flux.set_num_threads(n)
            results.append([getattr(x.at[rows], m)(v).numpy().tobytes() for m in ("set", "add", "max")])
    finally:
        flux.set_num_threads(threads)
    assert results[0] == results[1]
