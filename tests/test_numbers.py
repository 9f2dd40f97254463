"""Functions of each element that are composed or take three agree with NumPy, with their gradients at edges."""

import numpy as np
import pytest
from scipy import special

import oxiflux as flux
from strategies import check

NASTY = np.array([0.0, -0.0, 1.0, -1.5, np.inf, -np.inf, np.nan, 3e38, 1e-45], np.float32)
DTYPES = ["float32", "float64", "int8", "uint8", "int64", "bool"]


def slopes(f, *args):
    found = flux.gradient(lambda *a: f(*a).sum(), *map(flux.tensor, args))
    return [[0] * len(x) if g is None else g.tolist() for g, x in zip(found, args, strict=True)]


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_nan_to_num_takes_the_largest_numbers_of_the_type(dtype):
    x = NASTY.astype(dtype) if dtype != "float16" else NASTY[:7].astype(dtype)
    check(flux.nan_to_num(x), np.nan_to_num(x))
    check(flux.nan_to_num(x, 1, 2, 3), np.nan_to_num(x, nan=1, posinf=2, neginf=3))


def test_nan_to_num_of_bfloat16_and_of_integers():
    x = flux.tensor([np.inf, -np.inf, np.nan], dtype="bfloat16")
    assert flux.nan_to_num(x).tolist()[:2] == [
        float(flux.finfo("bfloat16").max),
        float(flux.finfo("bfloat16").min),
    ]
    check(flux.nan_to_num(np.array([1, 2], np.int16)), np.array([1, 2], np.int16))


def test_what_is_replaced_has_no_gradient():
    x = [1.0, np.nan, np.inf, -np.inf]
    assert slopes(flux.nan_to_num, x) == [[1, 0, 0, 0]]
    assert slopes(lambda t: flux.nan_to_num(t, 0.0, np.inf, -np.inf), x) == [[1, 0, 1, 1]]
    assert flux.gradcheck(lambda t: flux.nan_to_num(t) ** 2, [0.5, 2.0], order=2)


@pytest.mark.parametrize("equal_nan", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_isclose(dtype, equal_nan):
    rng = np.random.default_rng(0)
    a = rng.integers(0, 3, (4, 1)).astype(dtype)
    b = rng.integers(0, 3, 5).astype(dtype)
    for rtol, atol in [(1e-5, 1e-8), (0.5, 0.0), (0.0, 1.0)]:
        expected = np.isclose(a.astype(float), b.astype(float), rtol, atol, equal_nan)
        check(flux.isclose(a, b, rtol=rtol, atol=atol, equal_nan=equal_nan), expected)
        same = flux.allclose(a, b, rtol=rtol, atol=atol, equal_nan=equal_nan)
        assert same is bool(expected.all())


@pytest.mark.parametrize("equal_nan", [False, True])
def test_isclose_of_what_is_no_number(equal_nan):
    grid = np.meshgrid(NASTY, NASTY)
    with np.errstate(all="ignore"):
        check(flux.isclose(*grid, equal_nan=equal_nan), np.isclose(*grid, equal_nan=equal_nan))


def test_isclose_does_not_wrap_around_and_sees_half_types():
    assert flux.isclose(np.array([0], np.uint8), np.array([255], np.uint8), atol=2).tolist() == [False]
    assert flux.isclose(np.array([-128], np.int8), np.array([127], np.int8), atol=2).tolist() == [False]
    a, b = flux.tensor([1e-7], dtype="float16"), flux.tensor([0.0], dtype="float16")
    assert flux.isclose(a, b, atol=1e-6).tolist() == [True]
    assert flux.allclose([], [])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_lerp_meets_both_ends(dtype):
    rng = np.random.default_rng(0)
    a, b, w = (rng.normal(size=s).astype(dtype) for s in [(4, 1), (3,), (2, 1, 1)])
    check(flux.lerp(a, b, w), a + w * (b - a), rtol=1e-5 if dtype == "float32" else 1e-13, atol=1e-6)
    big = np.array([1e30, -3.0, 7e7], dtype)
    ends = np.array([-2.0, 1e20, 0.1], dtype)
    assert (flux.lerp(big, ends, 1.0).numpy() == ends).all() and (
        flux.lerp(big, ends, 0.0).numpy() == big
    ).all()
    assert flux.gradcheck(flux.lerp, a.astype(float), b.astype(float), w.astype(float), order=2)
    check(flux.lerp([0, 10], [10, 20], 0.5), np.array([5, 15], np.float32))


def test_lerp_of_half_types_and_of_a_strided_tensor():
    a = flux.tensor(np.arange(6.0).reshape(2, 3), dtype="bfloat16")
    assert flux.lerp(a, a + 1, 0.5).dtype == "bfloat16"
    t = flux.tensor(np.arange(6.0).reshape(2, 3)).T
    check(flux.lerp(t, t * 2, 0.25), np.arange(6.0).reshape(2, 3).T * 1.25)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_a_division_leaves_is_exact(dtype):
    rng = np.random.default_rng(0)
    a, b = ((rng.normal(size=20_000) * 10.0 ** rng.uniform(-30, 30, 20_000)).astype(dtype) for _ in range(2))
    near = b * rng.integers(-1000, 1000, b.size).astype(dtype)
    edges = [0.0, -0.0, np.inf, -np.inf, np.nan, np.finfo(dtype).max, np.finfo(dtype).smallest_subnormal, 1.0]
    pairs = np.array([(x, y) for x in edges for y in edges], dtype).T
    with np.errstate(all="ignore"):
        for x, y in [(a, b), (near, b), (np.nextafter(near, a), b), tuple(pairs)]:
            expected = np.fmod(x, y)
            np.testing.assert_array_equal(flux.fmod(x, y).numpy(), expected)
            np.testing.assert_array_equal(np.signbit(flux.fmod(x, y).numpy()), np.signbit(expected))
            np.testing.assert_array_equal(flux.remainder(x, y).numpy(), np.remainder(x, y))


def test_fmod_fmax_and_fmin_at_edges():
    grid = np.meshgrid(NASTY, NASTY)
    with np.errstate(all="ignore"):
        for name in ("fmod", "fmax", "fmin"):
            check(getattr(flux, name)(*grid), getattr(np, name)(*grid))
    with pytest.raises(ValueError, match="fmod: an integer is divided by zero"):
        flux.fmod([1, 2], [1, 0])


def test_the_gradient_of_fmax_and_fmin_goes_to_the_number_that_is_one():
    a, b = [1.0, 2.0, np.nan, 3.0, np.nan], [2.0, 1.0, 5.0, np.nan, np.nan]
    assert slopes(flux.fmax, a, b) == [[0, 1, 0, 1, 0], [1, 0, 1, 0, 0]]
    assert slopes(flux.fmin, a, b) == [[1, 0, 0, 1, 0], [0, 1, 1, 0, 0]]
    assert slopes(flux.fmax, [1.0], [1.0]) == slopes(flux.fmin, [1.0], [1.0]) == [[0.5], [0.5]]


@pytest.mark.parametrize(("name", "edge"), [("xlogy", 0.0), ("xlog1py", -1.0)])
def test_zero_times_a_logarithm_is_zero(name, edge):
    a = np.array([0.0, -0.0, 0.0, 0.0, 0.0, 1.0, 2.0])
    b = np.array([edge, edge, np.inf, edge - 3, np.nan, edge, 2.0])
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(getattr(flux, name)(a, b).numpy(), getattr(special, name)(a, b))
    f = getattr(flux, name)
    da, db = flux.gradient(lambda a, b: f(a, b).sum(), np.zeros(2), np.array([edge, edge - 1]))
    assert da.tolist() == [0, 0] and db.tolist() == [0, 0]
    assert flux.gradcheck(f, [0.0, 0.5, -2.0], [0.7, 2.0, 1.5], order=2)
    slope = lambda a, b: sum(g.sum() for g in flux.gradient(lambda a, b: f(a, b).sum(), a, b))
    for second in flux.gradient(slope, np.zeros(2), np.array([edge, edge - 1])):
        assert second is None or second.tolist() == [0, 0]


def test_prelu_has_a_slope_for_each_channel():
    x, a = np.array([[1.0, -2.0], [-3.0, 0.0]]), np.array([0.5, 0.1])
    check(flux.prelu(x, a), np.where(x > 0, x, a * x))
    assert flux.gradcheck(flux.prelu, x + 0.1, a, order=2)
    assert slopes(flux.prelu, [0.0], [0.25]) == [[0.25], [0.0]]


def test_hardshrink_at_its_edges():
    x = [-0.5, 0.5, 0.6, -0.6, np.inf, np.nan]
    got = flux.hardshrink(x).tolist()
    assert got[:5] == [0, 0, np.float32(0.6), np.float32(-0.6), np.inf] or np.allclose(
        got[:4], [0, 0, 0.6, -0.6]
    )
    assert got[4] == np.inf and np.isnan(got[5])


def test_heaviside_and_exp10():
    x = np.array([-1.0, 0.0, -0.0, 2.0, np.nan, np.inf, -np.inf])
    check(flux.heaviside(x, 0.25), np.heaviside(x, 0.25))
    check(flux.heaviside([-1, 0, 5], [7, 8, 9]), np.array([0, 8, 1], np.float32))
    assert slopes(flux.heaviside, [0.0, 1.0], [0.5, 0.5]) == [[0, 0], [1, 0]]
    check(flux.exp10([-2, 0, 3]), np.array([0.01, 1, 1000], np.float32))
    assert flux.gradcheck(flux.exp10, [-0.5, 0.3], order=2)


# Integers of 64 bits


@pytest.mark.parametrize("make", [flux.tensor, flux.asarray, lambda x: flux.stack([flux.tensor(x)])[0]])
@pytest.mark.parametrize(
    "values", [[0, 2**64 - 1025], [2**63 + 1, 1], [[2**53 + 1], [2**63 + 1]], [True, 2**63]]
)
def test_integers_of_a_list_that_only_uint64_holds_keep_their_digits(make, values):
    # NumPy makes floats of those that fit int64 and those that do not.
    made = make(values)
    assert made.dtype == "uint64" and made.tolist() == np.array(values, np.uint64).tolist()
    assert flux.tensor(values, dtype="uint64").tolist() == made.tolist()
    with pytest.raises(OverflowError, match="int64"):
        flux.tensor(values, dtype="int64")


def test_negative_integers_beside_those_for_uint64_are_an_error():
    with pytest.raises(OverflowError, match="make them floats"):
        flux.tensor([-1, 2**63])
    assert flux.tensor([-1.0, 2**63]).dtype == "float32"
    assert flux.tensor([1e30, 2]).tolist() == [pytest.approx(1e30), 2]
