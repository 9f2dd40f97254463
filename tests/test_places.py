"""Elements put in places and added up there agree with loops over NumPy arrays, and with taking them back."""

import numpy as np
import pytest

import oxiflux as flux
from oxiflux import _core
from strategies import check

OPS = {
    "set": lambda old, new: new,
    "+": np.add,
    "*": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
}
SHAPES = [
    ((5,), 7, 0), ((3, 4), 2, 0), ((3, 4), 6, 1), ((2, 3, 4), 5, 1), ((2, 3, 4), 1, -1),
    # More than what is checked at a time.
    ((2, 30), 300, 1), ((30, 3), 200, 0), ((2, 2, 130), 3, 1),
]  # fmt: skip


def looped(x, indices, values, axis, op):
    y = x.copy()
    for place in np.ndindex(indices.shape):
        at = list(place)
        at[axis] = indices[place]
        y[tuple(at)] = OPS[op](y[tuple(at)], values[place])
    return y


def drawn(shape, k, axis, dtype="float64"):
    rng = np.random.default_rng(0)
    beside = list(shape)
    beside[axis] = k
    x, values = rng.integers(-4, 5, shape).astype(dtype), rng.integers(-4, 5, beside).astype(dtype)
    return x, rng.integers(-shape[axis], shape[axis], beside), values


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("dtype", ["float64", "float32", "int16", "int64"])
@pytest.mark.parametrize(("shape", "k", "axis"), SHAPES)
def test_scatter_along(shape, k, axis, dtype, op):
    x, indices, values = drawn(shape, k, axis, dtype)
    check(flux.scatter_along(x, indices, values, axis=axis, op=op), looped(x, indices, values, axis, op))


@pytest.mark.parametrize(("shape", "k", "axis"), SHAPES)
def test_the_mean_is_of_the_element_and_its_values(shape, k, axis):
    x, indices, values = drawn(shape, k, axis)
    total = looped(x, indices, values, axis, "+")
    count = looped(np.ones_like(x), indices, np.ones_like(values), axis, "+")
    check(flux.scatter_along(x, indices, values, axis=axis, op="mean"), total / count)


@pytest.mark.parametrize(("shape", "k", "axis"), SHAPES)
def test_it_is_the_opposite_of_taking(shape, k, axis):
    x, indices, values = drawn(shape, k, axis)
    check(flux.take_along_axis(x, indices, axis=axis), np.take_along_axis(x, indices, axis))
    _, places = flux.topk(x, x.shape[axis], axis=axis)
    put = flux.scatter_along(np.zeros_like(x), places, flux.take_along_axis(x, places, axis=axis), axis=axis)
    check(put, x)
    assert x.flags.writeable and values.shape == indices.shape


def test_values_broadcast_and_types_stay():
    x = flux.zeros((2, 3), dtype="bfloat16")
    got = flux.scatter_along(x, [[0], [2]], 1.5)
    assert got.dtype == "bfloat16" and got.tolist() == [[1.5, 0, 0], [0, 0, 1.5]] and x.sum().item() == 0
    assert flux.scatter_along([True, False], [1], True).tolist() == [True, True]
    strided = flux.tensor(np.arange(6.0).reshape(2, 3)).T
    check(flux.scatter_along(strided, [[1, 0]], 9.0, axis=0), np.array([[0, 9.0], [9, 4], [2, 5]]))


def test_errors_name_the_function_and_the_numbers():
    x = flux.zeros((2, 3))
    with pytest.raises(IndexError, match="3 is out of range for axis 1"):
        flux.scatter_along(x, [[3], [0]], 1.0)
    with pytest.raises(flux.ShapeError, match="scatter_along: shapes"):
        flux.scatter_along(x, [[0]], 1.0)
    with pytest.raises(flux.ShapeError, match="scatter_along: values of shape"):
        flux.scatter_along(x, [[0], [0]], np.ones((2, 4), "float32"))
    with pytest.raises(flux.DTypeError, match="indices are integers"):
        flux.scatter_along(x, [[0.5], [0.0]], 1.0)
    with pytest.raises(ValueError, match="op is"):
        flux.scatter_along(x, [[0], [0]], 1.0, op="sum")


@pytest.mark.parametrize("op", [*OPS, "mean"])
def test_gradients_of_scatter_along(op):
    x, values = (
        np.random.default_rng(0).uniform(0.5, 2.0, (2, 3, 4)),
        np.random.default_rng(1).uniform(0.5, 2, (3, 3, 4)),
    )
    indices = np.random.default_rng(2).integers(0, 2, (3, 3, 4))
    f = lambda x, v: flux.scatter_along(x, indices, v, axis=0, op=op) ** 2
    assert flux.gradcheck(f, x, values, order=2)


def test_what_was_put_over_has_no_gradient():
    f = lambda x, v: flux.scatter_along(x, [1, 1, 0], v).sum()
    assert [g.tolist() for g in flux.gradient(f, np.arange(3.0), np.arange(3.0))] == [[0, 0, 1], [0, 1, 1]]


def test_the_core_behind_it():
    x, indices, values = drawn((3, 4), 6, 1)
    check(_core.add_along_axis(x, indices, values, 1), looped(x, indices, values, 1, "+"))
    check(_core.put_along_axis(x, indices, values, 1), looped(x, indices, values, 1, "set"))
    assert _core.put_along_axis(x, np.zeros((3, 0), int), 1.0, 1).tolist() == x.tolist()


@pytest.mark.parametrize("wrong", [5, -6, 1 << 62, -(1 << 63)])
@pytest.mark.parametrize("axis", [0, 1])
def test_an_index_that_is_not_there_is_named_wherever_it_is(axis, wrong):
    x = np.zeros((5, 600) if axis == 0 else (600, 5))
    indices = np.zeros_like(x, dtype=np.int64)
    indices[-1, -1] = wrong
    message = f"index: {wrong} is out of range for axis {axis} with size 5"
    with pytest.raises(IndexError, match=message):
        flux.take_along_axis(x, indices, axis=axis)
    for op in ("set", "+"):
        with pytest.raises(IndexError, match=message):
            flux.scatter_along(x, indices, x, axis=axis, op=op)
        with pytest.raises(IndexError, match=message):
            flux.gradient(lambda x, op=op: flux.scatter_along(x, indices, x, axis=axis, op=op).sum(), x)


def test_the_gradient_has_the_indices_that_the_values_had():
    x, indices = np.arange(4.0), np.array([0, 1, 1])

    def loss(x):
        y = flux.take_along_axis(x, indices)
        indices[:] = 3
        return y.sum()

    assert flux.gradient(loss, x)[0].tolist() == [1, 2, 0, 0]


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("alpha", [1, -0.5])
def test_index_add(axis, alpha):
    x = np.random.default_rng(0).normal(size=(3, 4))
    indices = np.array([0, 2, -1, 0])
    values = np.random.default_rng(1).normal(size=(4, 4) if axis == 0 else (3, 4))
    expected = x.copy()
    np.add.at(np.moveaxis(expected, axis, 0), indices, alpha * np.moveaxis(values, axis, 0))
    check(flux.index_add(x, indices, values, axis=axis, alpha=alpha), expected, rtol=1e-12, atol=1e-14)
    f = lambda x, v: flux.index_add(x, indices, v, axis=axis, alpha=alpha) ** 2
    assert flux.gradcheck(f, x, values, order=2)


def test_index_add_of_what_does_not_fit():
    x = flux.zeros((3, 2))
    assert flux.index_add(x, [0, 0], 1.0).tolist() == [[2, 2], [0, 0], [0, 0]]
    assert flux.index_add(x, [], np.zeros((0, 2), "float32")).tolist() == x.tolist()
    with pytest.raises(IndexError, match="index_add: index 3 is out of range for axis 0 with size 3"):
        flux.index_add(x, [3], 1.0)
    with pytest.raises(flux.ShapeError, match=r"index_add: expected values of shape \(1, 2\)"):
        flux.index_add(x, [0], [[1.0, 2.0, 3.0]])
    with pytest.raises(flux.ShapeError, match="a vector"):
        flux.index_add(x, [[0]], 1.0)
    with pytest.raises(flux.DTypeError, match="integers"):
        flux.index_add(x, [0.5], 1.0)


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_masked_scatter(share):
    rng = np.random.default_rng(0)
    x, mask, values = rng.normal(size=(3, 4)), rng.random((3, 4)) < share, rng.normal(size=15)
    expected = x.copy()
    expected[mask] = values[: mask.sum()]
    check(flux.masked_scatter(x, mask, values), expected)
    assert flux.gradcheck(lambda x, v: flux.masked_scatter(x, mask, v) ** 2, x, values, order=2)


def test_masked_scatter_broadcasts_its_mask_and_wants_enough_values():
    assert flux.masked_scatter(flux.zeros((2, 2)), [True, False], [1.0, 2.0, 3.0]).tolist() == [
        [1, 0],
        [2, 0],
    ]
    with pytest.raises(flux.ShapeError, match="masked_scatter: 1 values for 2 places"):
        flux.masked_scatter([0.0, 0.0], [True, True], [1.0])
    assert flux.masked_scatter(np.zeros((0, 2)), True, []).shape == (0, 2)
