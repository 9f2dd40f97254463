"""What the Python array API standard asks beyond what its own suite looks at, which `make array-api` runs: values of
the options, their gradients, and what an option refuses.
"""

import itertools
import math
import re
from pathlib import Path

import numpy as np
import pytest

import oxiflux as flux

RNG = np.random.default_rng(3)
X = RNG.normal(size=(3, 4)).astype("float32")


def gradcheck(f, *xs):
    """First and second order."""
    flux.gradcheck(f, *(flux.tensor(x, dtype="float64") for x in xs), order=2)


def test_the_page_has_a_reason_for_each_test_of_the_suite_that_fails():
    root = Path(__file__).resolve().parent.parent
    page = (root / "docs" / "array_api.md").read_text()
    lines = (root / "scripts" / "array_api_xfails.txt").read_text().splitlines()
    tests = [line.removeprefix("array_api_tests/") for line in lines if line and not line.startswith("#")]
    assert len(tests) <= 15
    assert {test.partition("[")[0] for test in tests} == set(re.findall(r"test_\w+\.py::test_\w+", page))


# The namespace


def test_the_namespace_of_a_tensor_is_the_package_in_every_version():
    x = flux.tensor(X)
    assert x.__array_namespace__() is flux
    for version in ("2021.12", "2022.12", "2023.12", "2024.12", flux.__array_api_version__):
        assert x.__array_namespace__(api_version=version) is flux
    with pytest.raises(ValueError, match=r"2021\.12, .*2025\.12, not 2019\.12"):
        x.__array_namespace__(api_version="2019.12")


def test_the_constants():
    assert (flux.e, flux.pi, flux.inf) == (math.e, math.pi, math.inf)
    assert math.isnan(flux.nan) and flux.newaxis is None


def test_the_namespace_says_that_it_has_no_complex_numbers():
    info = flux.__array_namespace_info__()
    assert set(info.dtypes()) == {
        "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64",
    }  # fmt: skip
    assert info.dtypes(kind="complex floating") == {}
    assert set(info.dtypes(kind=("bool", "unsigned integer"))) == {
        "bool",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
    }
    assert "complex floating" not in info.default_dtypes()
    assert info.default_dtypes(device="cpu")["real floating"] == flux.tensor([1.0]).dtype
    assert info.default_dtypes()["integral"] == flux.tensor([1]).dtype
    assert info.default_dtypes()["indexing"] == flux.argmax([1]).dtype
    assert (info.devices(), info.default_device()) == (("cpu",), "cpu")
    assert info.capabilities()["max dimensions"] == 64
    with pytest.raises(ValueError, match="cuda"):
        info.dtypes(device="cuda")


def test_a_number_can_be_complex():
    assert complex(flux.tensor(2.5)) == 2.5 + 0j
    with pytest.raises(ValueError):
        complex(flux.tensor(X))


# Devices


def test_a_tensor_stays_where_it_is():
    x = flux.tensor(X)
    assert x.to_device("cpu") is x and x.to_device(x.device, stream=None) is x
    with pytest.raises(ValueError, match="nowhere else, got 'cuda'"):
        x.to_device("cuda")
    with pytest.raises(ValueError, match="stream"):
        x.to_device("cpu", stream=1)


MAKERS = {
    "zeros": (2,), "ones": (2,), "empty": (2,), "full": ((2,), 1), "zeros_like": (X,), "ones_like": (X,),
    "empty_like": (X,), "full_like": (X, 1), "arange": (3,), "linspace": (0, 1, 3), "eye": (2,), "asarray": (X,),
    "astype": (X, "float64"),
}  # fmt: skip


@pytest.mark.parametrize("name", MAKERS)
def test_what_makes_a_tensor_takes_the_one_device_and_refuses_others(name):
    make = getattr(flux, name)
    assert make(*MAKERS[name], device="cpu").device == "cpu"
    assert make(*MAKERS[name], device=None).shape == make(*MAKERS[name]).shape
    with pytest.raises(ValueError, match=f"{name}.*device.*\"cpu\" or None.*got 'cuda:0'"):
        make(*MAKERS[name], device="cuda:0")


@pytest.mark.parametrize("name", ["zeros", "ones", "empty", "eye"])
def test_no_dtype_is_the_default_one(name):
    assert getattr(flux, name)(2, dtype=None).dtype == flux.float32
    assert flux.linspace(0, 1, 2, dtype=None).dtype == flux.float32


# Copies


def test_what_is_not_copied_is_the_tensor_itself_or_the_memory_of_an_array():
    x, a = flux.tensor(X), X.copy()
    assert flux.asarray(x, copy=False) is x and flux.asarray(x, "float32", copy=False) is x
    shared, own = flux.asarray(a, copy=False), flux.asarray(a, copy=True)
    a[0, 0] = 9
    assert (shared[0, 0].item(), own[0, 0].item()) == (9, X[0, 0])
    copied = flux.asarray(x, copy=True)
    x[0, 0] = 7
    assert copied[0, 0].item() == X[0, 0]


@pytest.mark.parametrize("data", [1.5, [1.0, 2.0], X > 0], ids=["number", "list", "bits"])
def test_what_has_no_memory_to_share_is_an_error_where_nothing_may_be_copied(data):
    with pytest.raises(ValueError, match=f"copy=False, but {type(data).__name__} cannot be taken over"):
        flux.asarray(data, copy=False)
    with pytest.raises(ValueError, match="copy=False"):
        flux.asarray(X, "float64", copy=False)


def test_a_tensor_of_the_type_that_is_asked_for_need_not_be_copied():
    x = flux.tensor(X)
    assert flux.astype(x, flux.float32, copy=False) is x
    y = flux.astype(x, flux.float32)
    assert y is not x
    y[0, 0] = 3
    assert x[0, 0].item() == X[0, 0]
    assert flux.astype(x, flux.float64, copy=False).dtype == flux.float64


def test_a_shape_that_needs_a_copy_is_an_error_where_none_is_allowed():
    x = flux.tensor(X)
    assert flux.reshape(x, (4, 3), copy=False).tolist() == X.reshape(4, 3).tolist()
    with pytest.raises(ValueError, match="reshape: copy=False"):
        flux.reshape(x.T, (12,), copy=False)
    y = flux.reshape(x, (12,), copy=True)
    y[0] = 5
    assert x[0, 0].item() == X[0, 0]
    assert flux.reshape(flux.zeros((0, 2)).T, (0,), copy=False).shape == (0,)
    gradcheck(lambda x: (flux.reshape(x, (4, 3), copy=False) ** 3).sum(), X)


def test_a_tensor_passes_dlpack_with_its_gradient():
    gradcheck(lambda x: (flux.from_dlpack(x) ** 3).sum(), X)
    x = flux.tensor(X)
    assert flux.from_dlpack(x, copy=True).tolist() == x.tolist()


# Sums in a type


@pytest.mark.parametrize("name", ["sum", "prod", "cumulative_sum", "cumulative_prod"])
def test_a_result_has_the_type_that_was_asked_for(name):
    x = np.array([3, 5, 7, 100], "int8")
    short = {"cumulative_sum": "cumsum", "cumulative_prod": "cumprod"}.get(name, name)
    for dtype in ("int8", "uint8", "int16", "float32", "float64"):
        want = getattr(np, short)(x, dtype=dtype)
        for ours in (
            getattr(flux, name)(x, dtype=dtype),
            getattr(flux.tensor(x), short)(dtype=dtype),
            getattr(np, short)(flux.tensor(x), dtype=dtype),
        ):
            assert ours.dtype == dtype and ours.tolist() == want.tolist()
    assert getattr(flux, name)(x, dtype=None).dtype == "int64"
    gradcheck(lambda x: (getattr(flux, name)(x, axis=1, dtype="float64") ** 2).sum(), X[:, :3])


def test_a_sum_in_float64_of_float32_is_not_rounded_in_between():
    x = flux.tensor([1.0, 2.0**-30, 2.0**-30])
    assert flux.sum(x, dtype="float64").item() == 1 + 2.0**-29


@pytest.mark.parametrize("name", ["cumulative_sum", "cumulative_prod"])
def test_the_value_of_no_elements_comes_first(name):
    for axis, shape in itertools.product((0, 1, -1), [(3, 4), (0, 2), (2, 0)]):
        x = np.ones(shape, "float32") * 2
        want = getattr(np, name)(x, axis=axis, include_initial=True)
        got = getattr(flux, name)(x, axis=axis, include_initial=True)
        assert got.shape == want.shape and got.tolist() == want.tolist()
    assert getattr(flux, name)([2, 3], include_initial=True, dtype="int8").dtype == "int8"
    gradcheck(lambda x: (getattr(flux, name)(x, axis=0, include_initial=True) ** 2).sum(), X)


# Searching


def test_a_vector_that_is_not_sorted_is_searched_by_its_order():
    x = RNG.permutation(20).astype("float32")
    order = np.argsort(x)
    values = np.array([[3.0, -1.0], [25.0, 3.5]], "float32")
    for side in ("left", "right"):
        want = np.searchsorted(x, values, side, order)
        assert flux.searchsorted(x, values, side=side, sorter=flux.argsort(x)).tolist() == want.tolist()
    with pytest.raises(flux.ShapeError, match=r"sorter .* \(3,\) and \(20,\)"):
        flux.searchsorted(x, values, sorter=[0, 1, 2])
    with pytest.raises(IndexError):
        flux.searchsorted(x, values, sorter=np.arange(20) + 1)


def test_a_number_is_searched_for_in_the_precision_of_the_vector():
    x = flux.tensor([0.1, 0.2], dtype="float64")
    assert flux.searchsorted(x, 0.1).item() == 0 and flux.searchsorted(x, 0.1, side="right").item() == 1
    assert flux.searchsorted(x, [0.1, 0.2], side="right").tolist() == [1, 2]
    assert flux.searchsorted(flux.tensor([1, 2, 3]), 2.5).item() == 2
    assert flux.searchsorted(flux.tensor([1, 2], dtype="uint8"), 300).item() == 2


def test_equal_elements_keep_their_order_whether_asked_to_or_not():
    x = RNG.integers(0, 4, 100)
    for stable in (True, False):
        assert flux.argsort(x, stable=stable).tolist() == np.argsort(x, stable=True).tolist()
        assert flux.sort(x, stable=stable).tolist() == np.sort(x).tolist()


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "uint64", "int64", "float16", "bfloat16", "float32", "float64"]
)
@pytest.mark.parametrize("invert", [False, True])
def test_what_is_among_others(dtype, invert):
    x, elements = RNG.integers(0, 9, (4, 5)), RNG.integers(0, 9, (3, 2))
    x, elements = flux.tensor(x).astype(dtype), flux.tensor(elements).astype(dtype)
    values = [t.astype("float32").numpy() for t in (x, elements)]
    assert flux.isin(x, elements, invert=invert).tolist() == np.isin(*values, invert=invert).tolist()
    assert flux.isin(x, elements[:0], invert=invert).tolist() == np.full((4, 5), invert).tolist()
    assert flux.isin(x[:0], elements).shape == (0, 5)


def test_what_is_among_others_may_be_a_number_or_out_of_range():
    x = flux.tensor([1, 5, 200], dtype="uint8")
    assert flux.isin(x, 5).tolist() == [False, True, False]
    assert flux.isin(x, 300).tolist() == [False] * 3 and flux.isin(x, 300, invert=True).tolist() == [True] * 3
    assert flux.isin(5, x).item() is True and flux.isin(7, x).item() is False
    assert flux.isin(x, [[1], [300]]).tolist() == [True, False, False]
    assert flux.isin(flux.tensor([np.nan, np.inf, 0.1]), [np.nan, np.inf, 0.1]).tolist() == [
        False,
        True,
        True,
    ]
    assert flux.isin(flux.tensor([0.0]), [-0.0]).item()


# Shapes


def test_shapes_that_broadcast():
    assert flux.broadcast_shapes() == () and flux.broadcast_shapes((), 3) == (3,)
    assert flux.broadcast_shapes((5, 1, 3), (4, 1), (1,)) == (5, 4, 3)
    assert flux.broadcast_shapes((0, 3), (1, 1)) == (0, 3)
    for shapes in [((2,), (3,)), ((0,), (2,)), ((2, 3), (3, 2)), ((-1,), (1,))]:
        with pytest.raises(flux.ShapeError, match="broadcast_shapes"):
            flux.broadcast_shapes(*shapes)


def test_several_axes_are_new():
    for axes in [(0, 2), (0, -1), (-1, 0), (3, 1), (), (1,), [1, 2]]:
        assert flux.expand_dims(X, axis=axes).shape == np.expand_dims(X, tuple(axes)).shape
    gradcheck(lambda x: (flux.expand_dims(x, (0, -1)) ** 3).sum(), X)
    for axes in [(0, 0), (0, -4), (4, 0), (-5, 1)]:
        with pytest.raises((ValueError, IndexError), match="expand_dims"):
            flux.expand_dims(X, axis=axes)
    with pytest.raises(ValueError, match="not None"):
        flux.expand_dims(X, axis=None)


def test_what_comes_in_several_parts_is_a_tuple():
    assert type(flux.broadcast_arrays([1], [[2]])) is tuple and flux.broadcast_arrays() == ()
    assert type(flux.meshgrid([1], [2])) is tuple and flux.meshgrid() == ()
    assert type(flux.nonzero([1])) is tuple and type(flux.unstack([1])) is tuple


def test_a_mask_without_elements_chooses_none():
    x = flux.zeros((0, 1))
    assert x[flux.zeros((0, 0), dtype=bool)].shape == (0,)
    assert flux.zeros((3, 4))[flux.zeros((0,), dtype=bool)].shape == (0, 4)
    with pytest.raises(IndexError, match="mask"):
        flux.zeros((3, 4))[flux.zeros((2,), dtype=bool)]


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_differences_with_ends(axis):
    before, after = RNG.normal(size=X.shape), np.ones(X.shape)
    for ends in (
        {"prepend": before},
        {"append": after},
        {"prepend": before, "append": after},
        {"prepend": 0.0},
    ):
        for n in (0, 1, 2):
            want = np.diff(X.astype("float64"), n=n, axis=axis, **ends) if n else None
            got = flux.diff(X.astype("float64"), n=n, axis=axis, **ends)
            if n:
                np.testing.assert_allclose(got.numpy(), want, rtol=1e-12)
    gradcheck(lambda x, b, a: (flux.diff(x, axis=axis, prepend=b, append=a) ** 3).sum(), X, before, after)
    assert flux.diff(flux.tensor([1, 4], dtype="int8"), prepend=0).dtype == "int8"
    with pytest.raises(flux.ShapeError):
        flux.diff(X, prepend=np.ones((7, 7)))


# Numbers


def test_the_parts_of_real_numbers():
    gradcheck(lambda x: (flux.conj(x) * flux.real(x) * x).sum() + flux.imag(x).sum(), X)
    assert flux.real(X).tolist() == flux.conj(X).tolist() == X.tolist()
    assert flux.imag(flux.tensor([1, 2], dtype="int8")).dtype == "int8" and not flux.any(flux.imag(X))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_limits_are_numbers_of_python(dtype):
    info = flux.finfo(dtype)
    assert info.dtype == dtype and isinstance(info.dtype, flux.DType)
    for name in ("eps", "max", "min", "smallest_normal", "smallest_subnormal", "tiny", "resolution"):
        assert type(getattr(info, name)) is float
    assert flux.finfo(flux.zeros(2, dtype=dtype)) == info
    one = flux.tensor(info.smallest_subnormal, dtype=dtype)
    assert one.item() > 0 and (one / 2).item() == 0
    with pytest.raises(flux.DTypeError, match="finfo: int8 is no floating type"):
        flux.finfo("int8")
    with pytest.raises(flux.DTypeError, match=f"iinfo: {dtype} is no integer type"):
        flux.iinfo(dtype)
    assert flux.iinfo("uint64") == (64, 2**64 - 1, 0, flux.uint64)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_zero_has_no_sign(dtype):
    y = flux.sign(flux.tensor([-0.0, 0.0, np.nan, -np.inf], dtype=dtype)).numpy()
    assert not np.signbit(y[:2]).any() and y[:2].tolist() == [0, 0] and np.isnan(y[2]) and y[3] == -1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_infinity_divided_by_a_number_is_one(dtype):
    a = flux.tensor([np.inf, np.inf, -np.inf, -np.inf, np.inf], dtype=dtype)
    got = flux.floor_divide(a, flux.tensor([2.0, -2.0, 0.5, -0.5, np.inf], dtype=dtype))
    np.testing.assert_array_equal(got.numpy(), [np.inf, -np.inf, -np.inf, np.inf, np.nan])


def test_floats_that_float32_does_not_hold_become_float64():
    for make in (flux.asarray, flux.tensor):
        assert make(1e39).dtype == "float64" and make(1e39).item() == 1e39
        assert make([[-1e300, 1.0]]).dtype == "float64" and make([[-1e300, 1.0]]).tolist() == [[-1e300, 1.0]]
        assert make([3e38, np.inf, 1e-300]).dtype == "float32"
        with pytest.raises(OverflowError, match="1e39 is out of range for float32"):
            make(1e39, dtype="float32")
        with pytest.raises(OverflowError):
            make(10**30)


def test_a_diagonal_may_be_out_of_every_reach():
    for k in (10**30, -(10**30), 3, -3):
        assert not flux.any(flux.eye(3, k=k))
    with pytest.raises(TypeError):
        flux.eye(3, k=1.5)
