"""Which dtype a result has: the default float, weak Python numbers, arrays that meet a tensor, and promotion."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oxiflux as flux
from strategies import (
    EVERYTHING,
    FLOATS,
    INTEGERS,
    NUMBERS,
    SEEDS,
    SHAPES,
    check,
    laid_out,
    promoted,
    quiet,
    values,
)


def dtype_of(t):
    return t.numpy().dtype


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (1.5, "float32"),
        ([1.0, 2.0], "float32"),
        ([[1, 2.0]], "float32"),
        ([1, 2], "int64"),
        (True, "bool"),
        ([True, False], "bool"),
        ([], "float32"),
        (np.float64(1.5), "float64"),
        (np.array([1.5]), "float64"),
        (np.array([1.5], np.float32), "float32"),
        (np.array([1], np.uint8), "uint8"),
        ((1.0, 2), "float32"),
        (range(3), "int64"),
    ],
    ids=repr,
)
def test_tensor_of_a_value_has_its_dtype(value, dtype):
    assert dtype_of(flux.tensor(value)) == dtype


@pytest.mark.parametrize("dtype", EVERYTHING)
def test_tensor_takes_a_dtype_by_name_by_object_and_from_numpy(dtype):
    expected = np.array([0, 1], dtype)
    check(flux.tensor([0, 1], dtype=dtype), expected)
    check(flux.tensor([0, 1], dtype=getattr(flux, "bool" if dtype == "bool" else dtype)), expected)
    check(flux.tensor([0, 1], dtype=np.dtype(dtype)), expected)


def test_nested_tensors_and_arrays_make_a_tensor():
    check(
        flux.tensor([flux.tensor([1.0, 2.0]), flux.tensor([3.0, 4.0])]),
        np.array([[1, 2], [3, 4]], np.float32),
    )


@pytest.mark.parametrize("dtype", [*INTEGERS, "bool"])
@pytest.mark.parametrize("name", ["exp", "sqrt", "sin", "tanh", "sigmoid", "mean", "std", "softmax"])
def test_real_functions_of_integers_give_the_default_float(name, dtype):
    assert dtype_of(getattr(flux, name)(flux.tensor(np.ones(3, dtype)))) == np.float32


@pytest.mark.parametrize("a", [*INTEGERS, "bool"])
@pytest.mark.parametrize("b", [*INTEGERS, "bool"])
def test_division_of_integers_gives_the_default_float(a, b):
    result = flux.tensor(np.array([3], a).astype(a)) / flux.tensor(np.array([1], b))
    # NumPy has no integer type for uint64 and a signed one, and promotes them to float64.
    assert dtype_of(result) == (np.float64 if promoted(a, b).kind == "f" else np.float32)


@pytest.mark.parametrize("a", EVERYTHING)
@pytest.mark.parametrize("b", EVERYTHING)
def test_promotion(a, b):
    x, y = flux.tensor(np.ones(2, a)), flux.tensor(np.ones(2, b))
    expected = promoted(a, b)
    assert dtype_of(flux.add(x, y)) == expected
    assert dtype_of(x * y) == expected
    assert dtype_of(flux.where(flux.tensor(np.array([True, False])), x, y)) == expected
    assert dtype_of(flux.concat([x, y])) == expected


@pytest.mark.parametrize("a", INTEGERS)
@pytest.mark.parametrize("b", FLOATS)
def test_an_integer_tensor_takes_the_dtype_of_a_floating_one(a, b):
    x, y = flux.tensor(np.ones((2, 2), a)), flux.tensor(np.ones((2, 2), b))
    for result in (x + y, y - x, x / y, x @ y, flux.maximum(x, y), flux.einsum("ij,jk->ik", x, y)):
        assert dtype_of(result) == b


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize("number", [2, np.int64(2)])
def test_python_integers_are_weak(dtype, number):
    x = flux.tensor(np.array([1, 3], dtype))
    if isinstance(number, np.generic) and np.dtype(dtype).kind != "f":
        return  # NumPy's scalars carry a dtype among integers
    for result in (
        x + number,
        number * x,
        x - number if dtype[0] != "u" else x + number,
        x // number,
        number**x,
    ):
        assert dtype_of(result) == dtype


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("number", [2.5, 2, True, np.float64(2.5), np.float32(2.5), np.int8(2)], ids=repr)
def test_scalars_do_not_change_a_floating_tensor(dtype, number):
    x = flux.tensor(np.array([1.0, 3.0], dtype))
    for result in (x + number, number - x, x * number, x / number, number / x, flux.maximum(x, number)):
        assert dtype_of(result) == dtype


@pytest.mark.parametrize("dtype", [*INTEGERS, "bool"])
def test_a_python_float_makes_an_integer_tensor_the_default_float(dtype):
    x = flux.tensor(np.array([1, 0], dtype))
    for result in (x + 0.5, 0.5 * x, x / 2):
        assert dtype_of(result) == np.float32


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("other", EVERYTHING)
def test_numpy_arrays_that_meet_a_floating_tensor_take_its_dtype(dtype, other):
    x, a = flux.tensor(np.ones((2, 2), dtype)), np.ones((2, 2), other)
    for result in (x + a, a + x, x * a, x / a, x @ a, a @ x, flux.maximum(x, a), flux.maximum(a, x), x == a):
        assert dtype_of(result) in (np.dtype(dtype), np.dtype(bool))
        assert isinstance(result, flux.Tensor)


@pytest.mark.parametrize("dtype", FLOATS)
def test_lists_that_meet_a_floating_tensor_take_its_dtype(dtype):
    x = flux.tensor(np.ones((2, 2), dtype))
    for result in (x + [[1, 2], [3, 4]], [1.0, 2.0] * x, flux.maximum(x, [[0.5], [2]])):  # noqa: RUF005
        assert dtype_of(result) == dtype


def test_float64_data_does_not_turn_a_float32_model_into_float64():
    model = flux.Chain(flux.Dense(3, 4, flux.tanh), flux.Dense(4, 2))
    x, y = np.random.default_rng(0).normal(size=(5, 3)), np.zeros((5, 2))
    assert dtype_of(model(x)) == np.float32
    loss, grads = flux.withgradient(lambda m: flux.mse(m(x), y), model)
    assert dtype_of(loss) == np.float32
    assert {dtype_of(g) for g in flux.trainables(grads[0])} == {np.dtype(np.float32)}


def test_a_float64_model_takes_float32_data():
    model = flux.f64(flux.Dense(3, 2))
    assert dtype_of(model.weight) == np.float64
    assert dtype_of(model(np.ones((4, 3), np.float32))) == np.float64
    assert dtype_of(flux.f32(model).weight) == np.float32


@given(shape=SHAPES, seed=SEEDS, source=st.sampled_from(EVERYTHING), target=st.sampled_from(EVERYTHING))
def test_astype(shape, seed, source, target):
    rng = np.random.default_rng(seed)
    x = values(rng, shape, source, (0, 90))
    with quiet():
        expected = x.astype(target)
    check(flux.astype(laid_out(rng, x), target), expected)
    check(laid_out(rng, x).astype(target), expected)


@pytest.mark.parametrize("target", INTEGERS)
def test_astype_truncates_and_wraps(target):
    x = np.array([-1, 300, 70_000, 2**40], np.int64)
    check(flux.tensor(x).astype(target), x.astype(target))
    f = np.array([0.0, 1.9, 2.5, 100.99])
    check(flux.tensor(f).astype(target), f.astype(target))


def test_astype_of_large_integers_keeps_every_digit():
    x = np.array([2**53 + 1, 2**63 - 1, -(2**63)], np.int64)
    check(flux.tensor(x).astype("uint64").astype("int64"), x)
    assert (flux.tensor(x) + 0).tolist() == x.tolist()


@pytest.mark.parametrize("a", EVERYTHING)
@pytest.mark.parametrize("b", EVERYTHING)
def test_result_type_and_can_cast(a, b):
    x, y = flux.tensor(np.ones(1, a)), flux.tensor(np.ones(1, b))
    assert dtype_of(flux.zeros((1,), dtype=flux.result_type(x, y))) == promoted(a, b)


@pytest.mark.parametrize("dtype", FLOATS)
def test_finfo(dtype):
    info, expected = flux.finfo(dtype), np.finfo(dtype)
    assert (info.bits, info.eps, info.max, info.min) == (
        expected.bits,
        expected.eps,
        expected.max,
        expected.min,
    )
    assert info.smallest_normal == expected.smallest_normal


@pytest.mark.parametrize("dtype", INTEGERS)
def test_iinfo(dtype):
    info, expected = flux.iinfo(dtype), np.iinfo(dtype)
    assert (info.bits, info.max, info.min) == (expected.bits, expected.max, expected.min)


@pytest.mark.parametrize(
    ("dtype", "kind", "expected"),
    [
        ("float32", "real floating", True),
        ("int8", "signed integer", True),
        ("uint8", "signed integer", False),
        ("uint8", "integral", True),
        ("bool", "numeric", False),
        ("bool", "bool", True),
        ("int64", ("bool", "integral"), True),
    ],
)
def test_isdtype(dtype, kind, expected):
    assert flux.isdtype(flux.tensor(np.zeros(1, dtype)).dtype, kind) is expected
