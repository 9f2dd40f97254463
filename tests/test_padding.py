"""Padding against numpy.pad, its gradients, and its errors."""

import numpy as np
import pytest

import oxiflux as flux

MODES = {
    flux.pad_constant: "constant",
    flux.pad_reflect: "reflect",
    flux.pad_repeat: "edge",
    flux.pad_symmetric: "symmetric",
    flux.pad_circular: "wrap",
}
functions = pytest.mark.parametrize("pad", MODES, ids=lambda f: f.__name__)


def x_of(shape, dtype=np.float32):
    return (np.random.default_rng(0).normal(size=shape) * 9).astype(dtype)


@functions
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint8", "bool"])
@pytest.mark.parametrize(
    ("shape", "amount"),
    [((5,), (2, 1)), ((4, 3), (1, 2, 0, 1)), ((3, 4, 5), (2, 0, 0, 3, 1, 1)), ((3, 3), (0, 0, 0, 0))],
)
def test_all_axes(pad, shape, amount, dtype):
    x = x_of(shape, dtype)
    sides = list(zip(amount[::2], amount[1::2], strict=True))
    y = pad(flux.tensor(x), amount)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y.numpy(), np.pad(x, sides, MODES[pad]))


@functions
def test_some_axes(pad):
    x = x_of((4, 3, 5, 2))
    expected = np.pad(x, [(0, 0), (1, 2), (0, 0), (1, 0)], MODES[pad])
    np.testing.assert_array_equal(pad(x, (1, 2, 1, 0), axis=(1, -1)).numpy(), expected)
    np.testing.assert_array_equal(pad(x, (1, 0, 1, 2), axis=(3, 1)).numpy(), expected)
    expected = np.pad(x, [(0, 0), (1, 1), (2, 2), (0, 0)], MODES[pad])
    np.testing.assert_array_equal(pad(x, (2, 1), axis=(2, 1)).numpy(), expected)
    expected = np.pad(x, [(0, 0), (0, 0), (0, 0), (1, 1)], MODES[pad])
    np.testing.assert_array_equal(pad(x, 1, axis=3).numpy(), expected)


@functions
def test_one_number_without_axes(pad):
    x = x_of((4, 3, 5, 2))
    all_axes = pad is flux.pad_constant
    sides = [(1, 1)] * 4 if all_axes else [(0, 0), (1, 1), (1, 1), (0, 0)]
    np.testing.assert_array_equal(pad(x, 1).numpy(), np.pad(x, sides, MODES[pad]))


@functions
def test_an_array_that_is_not_contiguous(pad):
    x = x_of((6, 5))
    view = flux.tensor(x)[::-2].T
    np.testing.assert_array_equal(
        pad(view, (1, 2, 2, 1)).numpy(), np.pad(x[::-2].T, [(1, 2), (2, 1)], MODES[pad])
    )


@functions
def test_an_empty_batch(pad):
    assert pad(flux.zeros((0, 4, 3)), (1, 2), axis=1).shape == (0, 7, 3)


def test_nothing_has_only_a_constant_to_be_padded_with():
    assert flux.pad_constant(flux.zeros((2, 0)), (0, 0, 1, 1), 3.0).tolist() == [[3.0, 3.0]] * 2
    for pad in (flux.pad_reflect, flux.pad_repeat, flux.pad_symmetric, flux.pad_circular):
        with pytest.raises(flux.ShapeError, match=pad.__name__):
            pad(flux.zeros((2, 0)), (0, 0, 1, 1))


@functions
def test_gradients_match_finite_differences(pad):
    x = flux.tensor(x_of((3, 4), np.float64))
    assert flux.gradcheck(lambda x: flux.sum(flux.sin(pad(x, (1, 2, 2, 1)))), x)


def test_a_constant_value_of_any_kind():
    assert flux.pad_constant([1, 2], 1, -3).tolist() == [-3, 1, 2, -3]
    assert np.isnan(flux.pad_constant([1.0], (0, 1), float("nan")).tolist()[1])
    assert flux.pad_zeros([[1.0]], (1, 0, 0, 1)).tolist() == [[0, 0], [1, 0]]


def test_a_fraction_does_not_fit_integers():
    with pytest.raises(flux.DTypeError, match=r"pad_constant.*0.5.*int64"):
        flux.pad_constant([1, 2], 1, 0.5)


@functions
@pytest.mark.parametrize("amount", [-1, (1, -1, 0, 0), (1, 2, 3), (), 1.5, (1.0, 1.0), "a"])
def test_amounts_that_are_none_are_value_errors(pad, amount):
    with pytest.raises(ValueError, match=pad.__name__):
        pad(flux.zeros((4, 4)), amount, axis=(0, 1))


@functions
@pytest.mark.parametrize("axis", [2, -3, (0, 0), (0, -2)])
def test_axes_that_are_none_are_index_errors(pad, axis):
    with pytest.raises(IndexError, match=pad.__name__):
        pad(flux.zeros((4, 4)), 1, axis=axis)


@pytest.mark.parametrize(
    ("pad", "most"), [(flux.pad_reflect, 3), (flux.pad_symmetric, 4), (flux.pad_circular, 4)]
)
def test_an_axis_can_be_too_short(pad, most):
    x = np.arange(4)
    np.testing.assert_array_equal(pad(x, (most, most)).numpy(), np.pad(x, most, MODES[pad]))
    for amount in ((most + 1, 0), (0, most + 1)):
        with pytest.raises(flux.ShapeError, match="too short"):
            pad(x, amount)


def test_absurd_amounts_are_memory_errors():
    for pad in (flux.pad_constant, flux.pad_repeat):
        with pytest.raises((MemoryError, ValueError)):
            pad(flux.zeros(3), (2**61, 0))
