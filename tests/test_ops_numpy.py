"""Element-wise operations and reductions agree with NumPy in value, shape and dtype."""

import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oracles
import oxiflux as flux
from oxiflux import _core
from strategies import (
    EVERYTHING,
    FLOATS,
    INTEGERS,
    NUMBERS,
    SEEDS,
    SHAPES,
    broadcastable,
    check,
    expected_float,
    laid_out,
    promoted,
    quiet,
    values,
)

# Operations of the core that do not fit the tables, each with the file that tests it against NumPy.
TESTED_ELSEWHERE = {
    "add_along_axis": "test_places.py",
    "argfirst": "test_ranks.py",
    "argranked": "test_ranks.py",
    "bins": "test_counting.py",
    "counts": "test_counting.py",
    "distances": "test_distances.py",
    "lerp": "test_numbers.py",
    "logcumsumexp": "test_running.py",
    "nan_to_num": "test_numbers.py",
    "put_along_axis": "test_places.py",
    "running_places": "test_running.py",
    "ctc_loss": "test_ctc.py",
    "ctc_losses": "test_ctc.py",
    "cholesky": "test_linalg.py",
    "cumulative_prod": "test_manipulation_numpy.py",
    "det": "test_linalg.py",
    "eigh": "test_linalg.py",
    "eigvalsh": "test_linalg.py",
    "inv": "test_linalg.py",
    "pinv_with": "test_linalg.py",
    "qr": "test_linalg.py",
    "slogdet": "test_linalg.py",
    "solve": "test_linalg.py",
    "svd": "test_linalg.py",
    "svdvals": "test_linalg.py",
    "argsort": "test_manipulation_numpy.py",
    "attention": "test_attention.py",
    "attention_apply": "test_attention.py",
    "attention_scores": "test_attention.py",
    "concat": "test_manipulation_numpy.py",
    "conv": "test_conv.py",
    "conv_transpose": "test_conv.py",
    "cumulative_sum": "test_ops_numpy.py",
    "expand_dims": "test_manipulation_numpy.py",
    "fft": "test_fft.py",
    "flip": "test_manipulation_numpy.py",
    "glu": "flux_docs/test_activations.py",
    "ifft": "test_fft.py",
    "irfft": "test_fft.py",
    "istft_sum": "test_audio.py",
    "recurrent": "test_recurrent.py",
    "repeat": "test_manipulation_numpy.py",
    "sort": "test_manipulation_numpy.py",
    "squeeze": "test_manipulation_numpy.py",
    "stack": "test_manipulation_numpy.py",
    "take": "test_manipulation_numpy.py",
    "take_along_axis": "test_manipulation_numpy.py",
    "astype": "test_dtypes_numpy.py",
    "dense": "flux_docs/test_layers.py",
    "dropout": "test_dropout.py",
    "logitbinarycrossentropy_each": "test_loss_extremes.py",
    "logitcrossentropy_labels": "flux_docs/test_losses.py",
    "logitcrossentropy_mean": "flux_docs/test_losses.py",
    "logsoftmax": "test_ops_numpy.py",
    "logsumexp": "test_ops_numpy.py",
    "mae": "flux_docs/test_losses.py",
    "maxpool": "test_pool.py",
    "meanpool": "test_pool.py",
    "sumpool": "test_pool.py",
    "matmul": "test_linalg_numpy.py",
    "matrix_transpose": "test_linalg_numpy.py",
    "norm": "test_normalisation.py",
    "normalise": "test_normalisation.py",
    "pad_constant": "test_padding.py",
    "permute_dims": "test_manipulation_numpy.py",
    "mse": "flux_docs/test_losses.py",
    "reshape": "test_manipulation_numpy.py",
    "resample": "test_gather.py",
    "rfft": "test_fft.py",
    "scatter": "test_gather.py",
    "softmax": "test_ops_numpy.py",
    "stft": "test_audio.py",
    "where": "test_ops_numpy.py",
}


# What has arguments without a default.
CALLS = {"power": lambda x: flux.power(x, 2), "polygamma": lambda x: flux.polygamma(2, x)}


def function(name):
    return CALLS.get(name, getattr(flux, name))


def in_double(array):
    """The array in the widest type in which NumPy computes a real function."""
    return array.astype(np.float64) if array.dtype.kind != "f" or array.dtype.itemsize < 8 else array


def avoid_zero(array):
    return np.where(array == 0, np.ones((), array.dtype), array)


def compare(result, expected, dtype, oracle):
    dtype = np.dtype(dtype)
    eps = np.finfo(dtype).eps if dtype.kind == "f" else 0
    smallest = np.finfo(dtype).smallest_subnormal if dtype.kind == "f" else 0
    check(result, expected, dtype, rtol=oracle.rtol * eps, atol=oracle.atol * eps + 2 * smallest)


# Every operation has an oracle


def test_every_operation_of_the_core_has_an_independent_oracle():
    assert all(isinstance(name, str) for name in _core.op_names)
    assert len(_core.op_names) == len(set(_core.op_names))
    assert set(_core.op_names) == set(oracles.ORACLES) | set(TESTED_ELSEWHERE)


@pytest.mark.parametrize("name", sorted(set(oracles.ORACLES) | set(TESTED_ELSEWHERE)))
def test_operation_is_documented(name):
    assert getattr(_core, name).__doc__


@pytest.mark.parametrize("name", sorted(oracles.ORACLES))
def test_operation_is_public(name):
    assert callable(getattr(flux, name))


# One argument


@pytest.mark.parametrize("name", sorted(oracles.UNARY))
@given(data=st.data(), shape=SHAPES, seed=SEEDS)
def test_function_of_one_argument(name, data, shape, seed):
    oracle, rng = oracles.UNARY[name], np.random.default_rng(seed)
    dtype = data.draw(st.sampled_from(oracle.dtypes))
    x = values(rng, shape, dtype, oracle.domain)
    if "a" in oracle.nonzero:
        x = avoid_zero(x)
    if oracle.result == "float":
        if x.dtype.kind == "f":
            x = (x + rng.uniform(-0.05, 0.05, shape).astype(x.dtype)).clip(*oracle.domain).astype(x.dtype)
        with quiet():
            expected, dtype = oracle.f(in_double(x)), expected_float(dtype)
    else:
        with quiet():
            expected = oracle.f(x)
        dtype = "bool" if oracle.result == "bool" else dtype
    compare(function(name)(laid_out(rng, x)), expected, dtype, oracle)


EXTREMES = [
    np.inf,
    -np.inf,
    np.nan,
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    1e-30,
    -1e-30,
    1e-42,
    80.0,
    -80.0,
    3e4,
    -3e4,
]


@pytest.mark.parametrize("name", sorted(n for n, o in oracles.UNARY.items() if "float32" in o.dtypes))
@pytest.mark.parametrize("dtype", FLOATS)
def test_function_of_one_argument_at_extremes(name, dtype):
    oracle = oracles.UNARY[name]
    x = np.array(EXTREMES + ([3e38, -3e38] if oracle.large else []), dtype)
    with quiet():
        expected = oracle.f(in_double(x))
    result = "bool" if oracle.result == "bool" else dtype
    compare(function(name)(flux.tensor(x)), expected, result, oracle)


@pytest.mark.parametrize("name", sorted(set(oracles.REAL) | {"abs", "negative", "square"}))
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("size", [15, 16, 17, 31, 33, 63, 64, 65, 1023, 100_003])
def test_function_of_one_argument_at_odd_sizes(name, size, dtype):
    oracle = oracles.UNARY[name]
    x = np.linspace(*oracle.domain, size, dtype=dtype)
    if "a" in oracle.nonzero:
        x = avoid_zero(x)
    compare(function(name)(flux.tensor(x)), oracle.f(in_double(x)), dtype, oracle)


@pytest.mark.parametrize("name", ["abs", "negative", "square", "bitwise_invert"])
@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_wrap_as_in_numpy(name, dtype):
    info = np.iinfo(dtype)
    x = np.array([info.min, info.min + 1, 0, 1, info.max - 1, info.max], dtype)
    with quiet():
        check(getattr(flux, name)(flux.tensor(x)), oracles.UNARY[name].f(x), dtype)


# Two arguments


def operands(data, seed, oracle):
    rng = np.random.default_rng(seed)
    shapes = data.draw(broadcastable(2))
    dtypes = [data.draw(st.sampled_from(oracle.dtypes)) for _ in range(2)]
    a, b = (
        values(rng, shape, dtype, domain)
        for shape, dtype, domain in zip(
            shapes, dtypes, (oracle.domain, oracle.second or oracle.domain), strict=True
        )
    )
    return rng, avoid_zero(a) if "a" in oracle.nonzero else a, avoid_zero(b) if "b" in oracle.nonzero else b


def in_common(a, b):
    dtype = promoted(a.dtype, b.dtype)
    return a.astype(dtype), b.astype(dtype), dtype


@pytest.mark.parametrize("name", sorted(oracles.ARITHMETIC))
@given(data=st.data(), seed=SEEDS)
def test_arithmetic(name, data, seed):
    oracle = oracles.ARITHMETIC[name]
    rng, a, b = operands(data, seed, oracle)
    with quiet():
        ca, cb, dtype = in_common(a, b)
        expected = oracle.f(ca, cb)
    compare(getattr(flux, name)(laid_out(rng, a), laid_out(rng, b)), expected, dtype, oracle)


@pytest.mark.parametrize("name", sorted(oracles.REAL_PAIRS))
@given(data=st.data(), seed=SEEDS)
def test_real_function_of_two_arguments(name, data, seed):
    oracle = oracles.REAL_PAIRS[name]
    rng, a, b = operands(data, seed, oracle)
    dtype = expected_float(promoted(a.dtype, b.dtype))
    with quiet():
        if name == "nextafter":
            expected = oracle.f(a.astype(dtype), b.astype(dtype))
        else:
            expected = oracle.f(in_double(a), in_double(b))
    compare(getattr(flux, name)(laid_out(rng, a), laid_out(rng, b)), expected, dtype, oracle)


@pytest.mark.parametrize("name", sorted(oracles.COMPARISONS))
@given(data=st.data(), seed=SEEDS)
def test_comparison(name, data, seed):
    oracle = oracles.COMPARISONS[name]
    rng, a, b = operands(data, seed, oracle)
    compare(getattr(flux, name)(laid_out(rng, a), laid_out(rng, b)), oracle.f(a, b), "bool", oracle)


@pytest.mark.parametrize("name", sorted(oracles.BITS))
@given(data=st.data(), seed=SEEDS)
def test_bits(name, data, seed):
    oracle = oracles.BITS[name]
    rng, a, b = operands(data, seed, oracle)
    ca, cb, dtype = in_common(a, b)
    if dtype.kind == "f":
        # NumPy has no integer type for both of these either.
        with pytest.raises(flux.DTypeError, match=name):
            getattr(flux, name)(flux.tensor(a), flux.tensor(b))
        return
    compare(getattr(flux, name)(laid_out(rng, a), laid_out(rng, b)), oracle.f(ca, cb), dtype, oracle)


@pytest.mark.parametrize(
    "name", ["equal", "less", "maximum", "minimum", "add", "multiply", "divide", "hypot", "atan2"]
)
@pytest.mark.parametrize("dtype", FLOATS)
def test_function_of_two_arguments_at_extremes(name, dtype):
    x = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, 1.0, -2.5], dtype)
    oracle = oracles.BINARY[name]
    with quiet():
        expected = oracle.f(x[:, None], x)
    compare(getattr(flux, name)(flux.tensor(x[:, None]), flux.tensor(x)), expected, expected.dtype, oracle)


DIVISIONS = {
    "floor_divide": flux.floor_divide,
    "remainder": flux.remainder,
    "//": operator.floordiv,
    "%": operator.mod,
    "divmod": divmod,
    "np.floor_divide": np.floor_divide,
}


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("by", DIVISIONS)
def test_an_integer_divided_by_zero_is_an_error(by, dtype):
    f, a = DIVISIONS[by], flux.tensor(np.array([1, 2, 3], dtype))
    zeros = [
        0,
        flux.tensor(np.array([1, 1, 0], dtype)),
        flux.tensor(np.zeros((), dtype)),
        np.zeros((4, 3), dtype),
    ]
    for zero in zeros:
        with pytest.raises(
            ValueError, match="an integer is divided by zero, at position [02] of the divisors"
        ):
            f(a, zero)
    with pytest.raises(ValueError, match="floor_divide: an integer is divided by zero"):
        5 // flux.tensor(np.zeros(2, dtype))
    with pytest.raises(ValueError, match="remainder: an integer is divided by zero"):
        5 % flux.tensor(np.zeros(2, dtype))
    none = np.zeros(0, dtype)
    assert flux.floor_divide(flux.tensor(none), 0 * flux.tensor(none)).shape == (0,)


def test_a_float_divided_by_zero_is_infinite_or_nan():
    a = flux.tensor([1.0, -1.0, 0.0])
    np.testing.assert_array_equal(a // 0, [np.inf, -np.inf, np.nan])
    np.testing.assert_array_equal(flux.tensor([1, 2]) % flux.tensor([0.0, 0.0]), [np.nan, np.nan])


@given(seed=SEEDS, shapes=broadcastable(3), dtypes=st.tuples(*[st.sampled_from(EVERYTHING)] * 2))
def test_where(seed, shapes, dtypes):
    rng = np.random.default_rng(seed)
    test = values(rng, shapes[0], "bool")
    a, b = (values(rng, shape, dtype) for shape, dtype in zip(shapes[1:], dtypes, strict=True))
    dtype = promoted(*dtypes)
    result = flux.where(laid_out(rng, test), laid_out(rng, a), laid_out(rng, b))
    check(result, np.where(test, a.astype(dtype), b.astype(dtype)), dtype)


@pytest.mark.parametrize("dtype", NUMBERS)
def test_clip(dtype):
    x = values(np.random.default_rng(0), (4, 5), dtype, (-9, 9))
    check(flux.clip(flux.tensor(x), 1, 3), np.clip(x, 1, 3), dtype)
    check(flux.clip(flux.tensor(x), 1), np.clip(x, 1, None), dtype)
    check(flux.clip(flux.tensor(x), max=3), np.clip(x, None, 3), dtype)


def test_clip_by_tensors():
    x = np.linspace(-2, 2, 12, dtype=np.float32).reshape(3, 4)
    low, high = np.array([-1, 0, 0, 1], np.float32), np.array([[1.0], [1.5], [2.0]], np.float32)
    check(flux.clip(flux.tensor(x), flux.tensor(low), flux.tensor(high)), np.clip(x, low, high), "float32")


def test_positive_gives_the_same_elements():
    x = np.array([-1.5, 0.0, 2.0], np.float32)
    check(flux.positive(flux.tensor(x)), x)


# Reductions


def reduced_dtype(oracle, dtype):
    dtype = np.dtype(dtype)
    return {
        "bool": np.dtype(bool),
        "index": np.dtype(np.int64),
        "same": dtype,
        "float": expected_float(dtype),
        "sum": dtype if dtype.kind == "f" else np.dtype(np.uint64 if dtype.kind == "u" else np.int64),
    }[oracle.result]


@pytest.mark.parametrize("name", sorted(oracles.REDUCTIONS))
@given(data=st.data(), shape=SHAPES, seed=SEEDS, keepdims=st.booleans())
def test_reduction(name, data, shape, seed, keepdims):
    oracle, rng = oracles.REDUCTIONS[name], np.random.default_rng(seed)
    dtype = data.draw(st.sampled_from(oracle.dtypes))
    n = len(shape)
    axes = st.none() | (st.integers(-n, n - 1) if n else st.none())
    if not name.startswith("arg"):
        axes |= st.sets(st.integers(0, n - 1) if n else st.nothing()).map(
            lambda chosen: tuple(a - n if a % 2 else a for a in sorted(chosen))
        )
    axis = data.draw(axes)
    x = values(rng, shape, dtype, oracle.domain)
    reduced = range(n) if axis is None else [a % n for a in (axis if isinstance(axis, tuple) else (axis,))]
    if name in ("max", "min", "argmax", "argmin") and any(shape[a] == 0 for a in reduced):
        return  # an error, tested in test_bad_input.py
    wide = in_double(x) if reduced_dtype(oracle, dtype).kind == "f" and oracle.result != "same" else x
    with quiet():
        expected = oracle.f(wide, axis=axis, keepdims=keepdims)
    result = getattr(flux, name)(laid_out(rng, x), axis=axis, keepdims=keepdims)
    compare(result, expected, reduced_dtype(oracle, dtype), oracle)


@pytest.mark.parametrize("name", ["var", "std"])
@pytest.mark.parametrize("correction", [0, 1, 0.5])
def test_var_and_std_take_a_correction(name, correction):
    x = np.random.default_rng(0).normal(size=(5, 7))
    expected = getattr(np, name)(x, axis=1, ddof=correction)
    check(getattr(flux, name)(flux.tensor(x), axis=1, correction=correction), expected, rtol=1e-13)


@pytest.mark.parametrize("name", ["max", "min", "sum", "mean", "argmax", "argmin", "any", "all"])
def test_reduction_of_nan_is_as_in_numpy(name):
    x = np.array([[1.0, np.nan, 3.0], [4.0, 5.0, 6.0]])
    check(getattr(flux, name)(flux.tensor(x), axis=1), getattr(np, name)(x, axis=1))


@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_the_first_of_equal_elements_is_found(name):
    x = np.array([[2, 2, 1, 1], [0, 3, 0, 3]], np.int8)
    check(getattr(flux, name)(flux.tensor(x), axis=1), getattr(np, name)(x, axis=1), "int64")


@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "var", "prod"])
@pytest.mark.parametrize("shape", [(1, 100_003), (100_003, 1), (317, 311), (3, 17, 1009)])
@pytest.mark.parametrize("axis", [0, -1, None])
def test_reduction_of_many_elements(name, shape, axis):
    x = np.random.default_rng(0).uniform(0.99, 1.01, shape).astype(np.float32)
    expected = getattr(np, name)(x.astype(np.float64), axis=axis)
    check(getattr(flux, name)(flux.tensor(x), axis=axis), expected, "float32", rtol=3e-5, atol=1e-9)


def test_sum_in_float32_keeps_the_digits_of_many_equal_elements():
    check(
        flux.sum(flux.full((10_000_000,), 0.1)),
        np.float32(0.1).astype(np.float64) * 1e7,
        "float32",
        rtol=3e-7,
    )


@given(shape=SHAPES, seed=SEEDS, data=st.data())
def test_cumulative_sum(shape, seed, data):
    rng = np.random.default_rng(seed)
    n = len(shape)
    if n == 0:
        return
    axis, dtype = data.draw(st.integers(-n, n - 1)), data.draw(st.sampled_from(EVERYTHING))
    x = values(rng, shape, dtype)
    expected = np.cumsum(x, axis=axis, dtype=reduced_dtype(oracles.REDUCTIONS["sum"], dtype))
    check(flux.cumulative_sum(laid_out(rng, x), axis=axis), expected, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("name", ["softmax", "logsoftmax", "logsumexp"])
@given(shape=SHAPES, seed=SEEDS, data=st.data())
def test_softmax_and_its_kin(name, shape, seed, data):
    rng, n = np.random.default_rng(seed), len(shape)
    if n == 0 or 0 in shape:
        return
    axis, dtype = data.draw(st.integers(-n, n - 1)), data.draw(st.sampled_from(FLOATS))
    x = values(rng, shape, dtype, (-90, 90))
    total = np.logaddexp.reduce(in_double(x), axis=axis, keepdims=True)
    log = in_double(x) - total
    expected = {"softmax": np.exp(log), "logsoftmax": log, "logsumexp": np.squeeze(total, axis)}[name]
    eps = np.finfo(dtype).eps
    check(getattr(flux, name)(laid_out(rng, x), axis=axis), expected, dtype, rtol=96 * eps, atol=96 * eps)


# Methods and operators


@pytest.mark.parametrize(
    "name", ["sum", "mean", "max", "min", "var", "std", "any", "all", "argmax", "argmin"]
)
def test_reduction_is_also_a_method(name):
    x = flux.tensor(np.arange(6.0, dtype=np.float32).reshape(2, 3))
    check(getattr(x, name)(axis=1), getattr(flux, name)(x, axis=1).numpy())


OPERATORS = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "//": lambda a, b: a // b,
    "%": lambda a, b: a % b,
    "**": lambda a, b: a**b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_operator_on_tensors_scalars_and_arrays_from_either_side(operator, dtype):
    f = OPERATORS[operator]
    a, b = np.array([[0.5, 1.5, 2.0]], dtype), np.array([[2.0], [1.5]], dtype)
    check(f(flux.tensor(a), flux.tensor(b)), f(a, b))
    check(f(flux.tensor(a), 2), f(a, 2))
    check(f(2.5, flux.tensor(a)), f(2.5, a))
    check(f(flux.tensor(a), b), f(a, b))
    check(f(b, flux.tensor(a)), f(b, a))
    check(f(flux.tensor(a), b.tolist()), f(a, b))


@pytest.mark.parametrize(
    "f",
    [lambda a, b: a & b, lambda a, b: a | b, lambda a, b: a ^ b, lambda a, b: a << b, lambda a, b: a >> b],
)
def test_operator_on_integers(f):
    a, b = np.array([[5, 12, 7]], np.int32), np.array([[2], [1]], np.int32)
    check(f(flux.tensor(a), flux.tensor(b)), f(a, b))


def test_operators_of_one_argument():
    x = np.array([-1.5, 2.0], np.float32)
    check(-flux.tensor(x), -x)
    check(+flux.tensor(x), x)
    check(abs(flux.tensor(x)), abs(x))
    check(~flux.tensor(np.array([True, False])), np.array([False, True]))
