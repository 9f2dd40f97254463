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
