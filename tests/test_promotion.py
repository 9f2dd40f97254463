"""One rule for what a mix of Tensors, NumPy arrays, numbers and lists becomes, and integers that must fit."""

import numpy as np
import pytest

import oxiflux as flux

A = np.array([[1.0, 2.0], [3.0, 4.0]])  # float64

MIXES = {
    "add": flux.add, "multiply": flux.multiply, "maximum": flux.maximum, "pow": flux.pow, "atan2": flux.atan2,
    "matmul": flux.matmul, "where": lambda a, b: flux.where([[True, False], [False, True]], a, b),
    "concat": lambda a, b: flux.concat([a, b]), "stack": lambda a, b: flux.stack([a, b]),
    "einsum": lambda a, b: flux.einsum("ij,jk->ik", a, b), "outer": flux.outer, "vecdot": flux.vecdot,
    "batched_mul": lambda a, b: flux.batched_mul(a[None], b[None]),
    "dot": lambda a, b: flux.tensor(a, "float32").dot(b),
    "mse": flux.mse, "mae": flux.mae, "crossentropy": flux.crossentropy, "clip": lambda a, b: flux.clip(a, b),
    "operator": lambda a, b: a + b, "floor_divide": flux.floor_divide,
}  # fmt: skip


@pytest.mark.parametrize("name", MIXES)
def test_a_float64_array_that_meets_a_float32_tensor_becomes_float32(name):
    f, t = MIXES[name], flux.tensor(A, dtype="float32")
    assert f(t, A).dtype == "float32"
    if name not in ("mse", "mae", "crossentropy", "clip", "dot"):
        assert f(A, t).dtype == "float32"
        assert flux.result_type(A, t) == flux.result_type(t, A) == "float32"


@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", "int8", "int32", "int64", "float16", "float32", "float64"]
)
@pytest.mark.parametrize(
    "other", [1, 1.5, True, np.ones(2, "float64"), np.ones(2, "int16"), [1, 2], [0.5, 1.0]]
)
def test_result_type_says_what_an_operation_gives(dtype, other):
    t = flux.ones(2, dtype)
    want = flux.where(True, t, other).dtype
    assert flux.result_type(t, other) == flux.result_type(other, t) == want
    assert flux.result_type(t.dtype, other) == want


def test_result_type_of_bytes_and_a_number():
    assert flux.result_type(flux.zeros(2, "uint8"), 1) == (flux.zeros(2, "uint8") + 1).dtype == "uint8"


def test_all_tensors_count_not_the_first_alone():
    f32, f64 = flux.ones(2), flux.ones(2, "float64")
    assert flux.concat([f32, f64, np.ones(2)]).dtype == flux.concat([np.ones(2), f32, f64]).dtype == "float64"


@pytest.mark.parametrize(
    "call",
    [flux.reshape, flux.astype, flux.power, flux.expand_dims, flux.permute_dims],
    ids=lambda f: f.__name__,
)
def test_arguments_that_decide_what_is_done_are_required(call):
    with pytest.raises(TypeError, match="required positional argument"):
        call(flux.ones((2, 3)))


TOO_LARGE = [
    ([300], "uint8"),
    ([-1], "uint8"),
    (300, "uint8"),
    (-1, "uint64"),
    ([2**40], "int32"),
    ([np.nan], "int32"),
]
TOO_LARGE += [
    (np.inf, "int64"),
    (1e30, "int64"),
    (np.array([300]), "uint8"),
    (np.array([1e10]), "int32"),
    ([2**63], "int64"),
]


@pytest.mark.parametrize(("value", "dtype"), TOO_LARGE)
@pytest.mark.parametrize("f", [flux.tensor, flux.asarray])
def test_data_that_do_not_fit_their_type_raise(f, value, dtype):
    with pytest.raises(OverflowError, match="out of range|does not fit"):
        f(value, dtype=dtype)


def test_every_function_with_a_dtype_and_a_value_checks_them():
    bytes_ = flux.zeros(2, "uint8")
    for call in (
        lambda: flux.full(2, 300, "uint8"),
        lambda: flux.full(2, 300.0, "uint8"),
        lambda: flux.full_like(bytes_, -1),
        lambda: flux.full_like(bytes_, np.nan),
        lambda: flux.tensor(flux.tensor([300]), dtype="uint8"),
        lambda: bytes_.__setitem__(0, 300),
        lambda: bytes_.__setitem__(0, [300]),
        lambda: bytes_.__setitem__(0, np.nan),
        lambda: bytes_.__setitem__(slice(None), np.array([1, 256])),
        lambda: bytes_ + 300,
        lambda: flux.where([True, False], bytes_, -1),
        lambda: flux.clip(bytes_, 0, 300),
    ):
        with pytest.raises(OverflowError):
            call()
    for call in (
        lambda: flux.arange(300, dtype="uint8"),
        lambda: flux.arange(-3, 3, dtype="uint16"),
        lambda: flux.linspace(0, 1000, 5, dtype="int8"),
    ):
        with pytest.raises(ValueError, match="out of range"):
            call()
    assert bytes_.tolist() == [0, 0]


# A number that a floating type does not hold; NumPy warns, and infinity would go on in silence.
BEYOND = {"float16": 70_000.0, "bfloat16": 3.4e38, "float32": 1e39}


@pytest.mark.parametrize("dtype", BEYOND)
def test_numbers_that_would_become_infinite_raise_in_every_function_with_a_dtype_and_a_value(dtype):
    big, x = BEYOND[dtype], flux.ones((2, 2), dtype)
    wide = np.array([[1.0, -big], [np.inf, np.nan]])
    layer = {"float16": flux.f16, "bfloat16": flux.bf16, "float32": flux.f32}[dtype](flux.Dense(2, 2))
    calls = {
        "tensor": lambda: flux.tensor(big, dtype),
        "tensor of a list": lambda: flux.tensor([[1.0, -big]], dtype),
        "tensor of an array": lambda: flux.tensor(wide, dtype),
        "tensor of a tensor": lambda: flux.tensor(flux.tensor(wide), dtype),
        "asarray": lambda: flux.asarray([big], dtype),
        "asarray of a recorded tensor": lambda: flux.gradient(
            lambda t: flux.asarray(t, dtype).sum(), flux.tensor(wide)
        ),
        "full": lambda: flux.full(2, big, dtype),
        "full of a recorded tensor": lambda: flux.gradient(
            lambda t: flux.full(2, t, dtype).sum(), flux.tensor(big, "float64")
        ),
        "full_like": lambda: flux.full_like(x, -big),
        "full_like with dtype": lambda: flux.full_like(flux.ones(2), big, dtype),
        "arange": lambda: flux.arange(big, 1.1 * big, big, dtype),
        "linspace": lambda: flux.linspace(0, big, 3, dtype=dtype),
        "setitem of a number": lambda: x.__setitem__((0, 0), big),
        "setitem of a list": lambda: x.__setitem__(0, [1.0, big]),
        "setitem of an array": lambda: x.__setitem__(slice(None), wide),
        "setitem of a tensor": lambda: x.__setitem__(slice(None), flux.tensor(wide)),
        "where": lambda: flux.where([[True, False]], x, -big),
        "clip": lambda: flux.clip(x, -big, big),
        "the method clip": lambda: x.clip(max=big),
        "operator": lambda: x * big,
        "reflected operator": lambda: big - x,
        "function": lambda: flux.maximum(x, wide),
        "concat": lambda: flux.concat([x, wide]),
        "stack": lambda: flux.stack([x, wide]),
        "pad_constant": lambda: flux.pad_constant(x, 1, big),
        "rpad_constant": lambda: flux.rpad_constant(x[0], 3, big),
        "labels": lambda: flux.mse(x, wide),
        "labels of another loss": lambda: flux.logitcrossentropy(x, wide),
        "bias": lambda: flux.create_bias(x, [1.0, big], 2),
        "assignment to a parameter": lambda: setattr(layer, "bias", [1.0, big]),
        "loadmodel": lambda: flux.loadmodel(layer, {"weight": wide, "bias": np.zeros(2)}),
    }  # fmt: skip
    before = x.tolist(), layer.weight.tolist()
    for name, call in calls.items():
        with pytest.raises((OverflowError, ValueError), match="is out of range for " + dtype):
            call()
            pytest.fail(f"{name} took {big}")
    assert (x.tolist(), layer.weight.tolist()) == before


def test_layers_made_from_numbers_that_float32_does_not_hold_raise():
    for call in (
        lambda: flux.Dense(2, 2, init=lambda shape: np.full(shape, 1e39)),
        lambda: flux.BatchNorm(2, init_gamma=lambda n: np.full(n, 1e39)),
        lambda: flux.Dense(2, 2, bias=[1e39, 0.0]),
        lambda: flux.exp(1e39),
        lambda: flux.exp([1e39]),
    ):
        with pytest.raises(OverflowError, match="1e39 is out of range for float32"):
            call()


@pytest.mark.parametrize("dtype", BEYOND)
def test_infinity_nan_and_what_rounds_to_the_largest_number_are_taken(dtype):
    most = float(flux.finfo(dtype).max)
    for value in (np.inf, -np.inf, most, -most, most * (1 + 2.0**-27), 1e-60, 0.0):
        want = np.sign(value) * most if np.isfinite(value) and value > 1 else value
        got = flux.tensor([value], dtype)
        assert got.tolist() == flux.full(1, value, dtype).tolist()
        assert got.item() == pytest.approx(want, rel=1e-6, abs=1e-45)
    assert np.isnan(flux.tensor([np.nan], dtype).item())
    assert (
        flux.tensor([BEYOND[dtype]], "float64").astype(dtype).item()
    ) == np.inf  # as the array standard has it


@pytest.mark.parametrize(
    ("dtype", "number"),
    [
        ("uint8", 300),
        ("uint8", -1),
        ("int8", 1000),
        ("int64", 2**70),
        ("float16", 1e6),
        ("float16", -1e6),
        ("float32", 1e300),
    ],
)
def test_comparisons_with_numbers_that_do_not_fit_are_exact(dtype, number):
    values = [0.0, 1.0, np.inf, -np.inf] if dtype.startswith("f") else [0, 1, 100]
    x = flux.tensor(values, dtype=dtype)
    for name in ("__lt__", "__le__", "__gt__", "__ge__", "__eq__", "__ne__"):
        want = [getattr(float(v), name)(float(number)) for v in values]
        assert getattr(x, name)(number).tolist() == want
    assert flux.less(x, number).tolist() == [v < number for v in values]
    assert (number > x).tolist() == [v < number for v in values]


def test_random_integers_and_padding_that_do_not_fit_their_type_raise():
    for call in (
        lambda: flux.randint(0, 300, 3, dtype="uint8"),
        lambda: flux.randint(-1, 3, 3, dtype="uint8"),
        lambda: flux.randint(0, 10**6, 3, dtype="float16"),
        lambda: flux.pad_constant(flux.zeros(2, "uint8"), 1, 300),
        lambda: flux.pad_constant(flux.zeros(2, "uint8"), 1, -1),
    ):
        with pytest.raises((OverflowError, ValueError), match="out of range"):
            call()
    assert flux.randint(0, 256, 1000, dtype="uint8").max().item() > 200


def test_what_fits_is_taken():
    assert flux.tensor([255, 0], dtype="uint8").tolist() == [255, 0]
    assert flux.tensor([-128, 127], dtype="int8").tolist() == [-128, 127]
    assert flux.tensor([2.9, -2.9], dtype="int32").tolist() == [2, -2]
    assert flux.tensor([2**63 - 1], dtype="int64").tolist() == [2**63 - 1]
    assert flux.tensor(np.array([2**64 - 1], "uint64"), dtype="uint64").tolist() == [2**64 - 1]
    assert flux.arange(256, dtype="uint8").tolist()[-1] == 255
    assert flux.tensor([300]).astype("uint8").tolist() == [44]  # a conversion that is asked for wraps around


def test_bfloat16_holds_all_bytes():
    assert flux.can_cast(flux.uint8, flux.bfloat16) and flux.can_cast(flux.int8, flux.bfloat16)
    assert not flux.can_cast(flux.int16, flux.bfloat16) and not flux.can_cast(flux.float16, flux.bfloat16)
    assert flux.tensor(np.arange(256), dtype="bfloat16").astype("int64").tolist() == list(range(256))


def test_four_axes_move_as_in_numpy():
    x = flux.zeros((2, 3, 4, 5))
    for source, target in (
        ((0, 1), (3, 0)),
        ((0, 1, 2, 3), (2, 0, 3, 1)),
        ((3, 0), (1, 2)),
        (1, -1),
        ((-1, 0, 2), (0, 3, 1)),
    ):
        assert flux.moveaxis(x, source, target).shape == np.moveaxis(x.numpy(), source, target).shape


@pytest.mark.parametrize("other", [[-0.97, 0.2], -0.97, np.float64(-0.97)])
@pytest.mark.parametrize("name", ["add", "multiply", "maximum", "outer", "where"])
def test_numbers_and_lists_beside_arrays_alone_have_the_digits_of_those(name, other):
    f = {**MIXES, "where": lambda a, b: flux.where([True, False], a, b)}[name]
    exact = {
        "add": np.add, "multiply": np.multiply, "maximum": np.maximum, "outer": np.outer,
        "where": lambda a, b: np.where([True, False], a, b),
    }[name]  # fmt: skip
    y = f(A[0], other)
    assert y.dtype == "float64" and (y.numpy() == exact(A[0], other)).all()
    assert f(A[0].astype("float32"), other).dtype == "float32"
    assert flux.add(np.array([1, 2]), other).dtype == flux.add([1, 2], other).dtype
