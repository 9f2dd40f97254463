"""Every row of the tables of element-wise functions at zero, at tiny and huge numbers and at the infinities: a value,
a first and a second derivative are never NaN where they have a limit. New rows are found by themselves."""

import inspect
import itertools

import numpy as np
import pytest

import oxiflux as flux
from oxiflux import _core

POINTS = [
    0.0,
    1e-45,
    1e-38,
    1e-20,
    1e-8,
    1e-3,
    0.3,
    0.9999,
    1.0,
    1.5,
    2.9,
    5.0,
    13.0,
    40.0,
    86.0,
    88.5,
    90.0,
    104.0,
]
POINTS += [200.0, 720.0, 1e3, 1e4, 1e6, 1e10, 2e19, 1e20, 1e30, 3e38]
POINTS = np.array([s * p for p in POINTS for s in (1, -1)], "float32")

# Functions that have no limit where their argument grows.
OSCILLATING = {"sin", "cos", "tan", "trigamma"}

# Functions that put a number in the place of an infinity.
REPLACING = {"nan_to_num"}

# Functions with poles at whole numbers, where a slope is infinite with either sign.
WITH_POLES = {"lgamma"}


# Operations that only move elements.
MOVES = {"astype", "pad_constant", "permute_dims", "repeat", "reshape", "sort", "squeeze", "stack"}


# What has arguments without a default.
CALLS = {"power": lambda x: flux.power(x, 2)}


def function(name):
    return CALLS.get(name) or getattr(_core, name)


def is_row(name):
    """Whether an operation is a row of the tables: a function of each element alone that has a gradient."""
    if name in CALLS:
        return True
    f = getattr(_core, name, None)
    if f is None or any(p.default is p.empty for p in list(inspect.signature(f).parameters.values())[1:]):
        return False
    for place in (0.4, 1.25):
        try:
            diagonal = np.asarray(flux.jacobian(f, flux.tensor([place, place + 0.25]))[0])
        except (TypeError, ValueError, IndexError):  # not for numbers, or without a gradient
            return False
        if diagonal.shape == (2, 2) and diagonal.dtype == np.float32 and np.nan_to_num(diagonal).any():
            return not diagonal[[0, 1], [1, 0]].any()
    return False


ROWS = [name for name in _core.op_names if name not in MOVES and is_row(name)]


def orders(f, x):
    """The function, its derivative and the derivative of that."""

    def slope(x):
        (g,) = flux.gradient(lambda x: f(x).sum(), x)
        return flux.zeros_like(x) if g is None else g

    (curve,) = flux.gradient(lambda x: slope(x).sum(), x)
    return [
        np.asarray(t.astype("float64"))
        for t in (f(x), slope(x), flux.zeros_like(x) if curve is None else curve)
    ]


def test_the_tables_are_found():
    assert {"exp", "atan", "elu", "gelu", "power", "hardswish", "erf"} <= set(ROWS)
    assert len(ROWS) > 50


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("name", ROWS)
def test_a_derivative_is_a_number_where_the_value_is(name, dtype):
    points = POINTS if dtype != "float64" else np.array([*POINTS, 1e155, -1e155, 1e300, -1e300, 1e-300])
    value, slope, curve = orders(function(name), flux.tensor(points).astype(dtype))
    there = np.isfinite(value) if name in WITH_POLES else ~np.isnan(value)
    assert not np.isnan(slope[there]).any(), points[np.isnan(slope) & there]
    defined = there & np.isfinite(slope)
    assert not np.isnan(curve[defined]).any(), points[np.isnan(curve) & defined]


@pytest.mark.parametrize("name", ROWS)
def test_single_precision_agrees_with_double_precision_everywhere(name):
    f = function(name)
    single, double = (orders(f, flux.tensor(POINTS, dtype=dtype)) for dtype in ("float32", "float64"))
    for got, want in zip(single, double, strict=True):
        with np.errstate(over="ignore"):
            want = want.astype("float32")
        np.testing.assert_allclose(got, want, rtol=2e-3, atol=2e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("name", "sign"), list(itertools.product(sorted(set(ROWS) - OSCILLATING - REPLACING), (1, -1)))
)
def test_infinity_is_the_limit(name, sign, dtype):
    f = function(name)
    far, limit = (
        orders(f, flux.tensor([sign * 1e30], dtype=dtype)),
        orders(f, flux.tensor([sign * np.inf], dtype=dtype)),
    )
    if np.isnan(far[0][0]):
        return  # nothing there to have a limit
    if (name, sign) == ("lgamma", -1):
        far, limit = far[:1], limit[:1]  # a pole at each whole number: the derivatives have no limit
    for near, at in zip(far, limit, strict=True):
        if abs(near[0]) > 25:  # on its way to infinity
            assert at[0] == np.copysign(np.inf, near[0])
        else:
            np.testing.assert_allclose(at, near, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(
    "name", ["gelu", "gelu_tanh", "gelu_erf", "gelu_sigmoid", "swish", "mish", "hardswish"]
)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_gated_activations_end_at_zero(name, dtype):
    value, slope, curve = orders(function(name), flux.tensor([-np.inf], dtype=dtype))
    assert [value[0], slope[0], curve[0]] == [0, 0, 0]


def test_the_second_derivative_of_elu_forgets_the_branch_not_taken():
    for f in (flux.elu, flux.celu, flux.selu):
        _, slope, curve = orders(f, flux.tensor([90.0, 1e4, -1.0]))
        assert (curve[:2] == 0).all() and curve[2] > 0.3
        assert slope[0] == pytest.approx(1.0507 if f is flux.selu else 1.0, rel=1e-4)


def test_floor_divide_by_infinity_rounds_down():
    want = np.floor_divide([1.0, -1.0, 1.0, -1.0, 0.0], [-np.inf, np.inf, np.inf, -np.inf, -np.inf])
    for dtype in ("float16", "float32", "float64"):
        got = flux.floor_divide(
            flux.tensor([1.0, -1.0, 1.0, -1.0, 0.0], dtype=dtype),
            flux.tensor([-np.inf, np.inf, np.inf, -np.inf, -np.inf], dtype=dtype),
        )
        assert got.tolist() == want.tolist() == [-1, -1, 0, 0, 0]


EDGES = [0.0, -0.0, 1e-42, 1e-25, 0.5, 1.0, -1.0, 2.0, -2.0, 3.0, 1e20, -1e20, 3e38, np.inf, -np.inf]
NUMPY = {
    "pow": np.power,
    "atan2": np.arctan2,
    # As the array API standard has it: NumPy's NaN is none of the limits.
    "floor_divide": lambda a, b: np.where(np.isinf(a), a / b, np.floor_divide(a, b)),
}


@pytest.mark.parametrize(
    "name",
    [
        "add",
        "subtract",
        "multiply",
        "divide",
        "pow",
        "maximum",
        "minimum",
        "remainder",
        "atan2",
        "hypot",
        "copysign",
        "logaddexp",
        "floor_divide",
    ],
)
def test_functions_of_two_numbers_agree_with_numpy_at_all_pairs_of_extremes(name):
    a, b = np.array(list(itertools.product(EDGES, EDGES)), "float32").T
    with np.errstate(all="ignore"):
        want = NUMPY.get(name, getattr(np, name))(a, b)
    np.testing.assert_allclose(np.asarray(getattr(flux, name)(a, b)), want, rtol=1e-6)


# Where squares and inverses fit the type, so that second derivatives are numbers.
MODERATE = [0.0, -0.0, 1e-6, 0.5, 1.0, -1.0, 2.0, -2.0, 3.0, 90.0, -90.0, 1e19, -1e19, 3e38, np.inf, -np.inf]


def without_limit(name, a, b):
    """Where a function is not defined around a point, or the slope has no limit there."""
    return name == "pow" and (a < 0 or (a == 1 and np.isinf(b)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "name",
    [
        "add", "subtract", "multiply", "divide", "pow", "maximum", "minimum", "remainder", "atan2", "hypot", "copysign",
        "logaddexp", "logitbinarycrossentropy_each",
    ],
)  # fmt: skip
def test_first_and_second_derivatives_of_functions_of_two_numbers_are_numbers_at_all_pairs(name, dtype):
    f = getattr(_core, name)
    pairs = [p for p in itertools.product(MODERATE, MODERATE) if not without_limit(name, *p)]
    a, b = (flux.tensor(np.array(t), dtype=dtype) for t in zip(*pairs, strict=True))
    value = np.asarray(f(a, b))

    def slopes(a, b):
        return flux.gradient(lambda a, b: f(a, b).sum(), a, b)

    for which, slope in enumerate(np.asarray(g) for g in slopes(a, b)):
        known = ~np.isnan(value)
        assert not np.isnan(slope[known]).any(), np.array(pairs)[known & np.isnan(slope)]
        curves = flux.gradient(lambda a, b, which=which: slopes(a, b)[which].sum(), a, b)
        known &= np.isfinite(slope)
        for curve in (np.asarray(c) for c in curves if c is not None):
            assert not np.isnan(curve[known]).any(), np.array(pairs)[known & np.isnan(curve)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("exponent", [0, 0.5, 1, 1.5, 2, 3, 7, 40, -0.5, -1, -2, np.inf, -np.inf])
def test_powers_with_one_exponent_have_derivatives_wherever_they_have_values(exponent, dtype):
    for f in (lambda x: flux.power(x, exponent), lambda x: flux.pow(x, exponent)):
        value, slope, curve = orders(f, flux.tensor(np.array(MODERATE), dtype=dtype))
        assert not np.isnan(slope[~np.isnan(value)]).any()
        known = ~np.isnan(value) & np.isfinite(slope)
        assert not np.isnan(curve[known]).any()


def pair_gradient(f, a, b):
    return [g.item() for g in flux.gradient(lambda a, b: f(a, b).sum(), flux.tensor([a]), flux.tensor([b]))]


def test_gradients_of_logaddexp_at_infinities_are_shares():
    inf = np.inf
    assert pair_gradient(flux.logaddexp, inf, inf) == [0.5, 0.5]
    assert pair_gradient(flux.logaddexp, -inf, -inf) == [0.5, 0.5]
    assert pair_gradient(flux.logaddexp, inf, -inf) == [1, 0]
    assert pair_gradient(flux.logaddexp, 1.0, inf) == [0, 1]


@pytest.mark.parametrize(
    ("a", "b", "want"),
    [
        (0.0, -1.0, -np.inf),
        (0.0, 0.0, 0.0),
        (0.0, 2.0, 0.0),
        (0.0, 0.5, 0.0),
        (1.0, 3.0, 0.0),
        (np.inf, -1.0, 0.0),
        (0.5, np.inf, 0.0),
        (2.0, -np.inf, 0.0),
        (np.inf, -np.inf, 0.0),
    ],
)
def test_the_gradient_of_a_power_by_its_exponent_at_zero(a, b, want):
    assert pair_gradient(flux.pow, a, b)[1] == want


def test_the_gradient_of_a_power_by_its_base_where_the_exponent_is_zero():
    assert pair_gradient(flux.pow, 0.0, 0.0)[0] == 0
    (mixed,) = flux.gradient(
        lambda b: flux.gradient(lambda a: flux.pow(a, b).sum(), flux.tensor([2.0]))[0].sum(),
        flux.tensor([0.0]),
    )
    assert mixed.item() == 0.5  # d/db of b a^(b - 1) at b = 0 is 1 / a


@pytest.mark.parametrize(
    ("a", "b", "want"),
    [
        (0.0, np.inf, 0),
        (0.5, np.inf, 0),
        (2.0, -np.inf, 0),
        (-2.0, -np.inf, 0),
        (2.0, np.inf, np.inf),
        (0.5, -np.inf, -np.inf),
    ],
)
def test_the_gradient_of_a_power_by_its_base_where_the_exponent_is_infinite(a, b, want):
    assert pair_gradient(flux.pow, a, b)[0] == want
    (g,) = flux.gradient(lambda a: flux.power(a, b).sum(), flux.tensor([a]))
    assert g.item() == want


def test_the_angle_has_no_gradient_at_the_origin_as_in_pytorch():
    for a, b in itertools.product([0.0, -0.0], [0.0, -0.0]):
        assert pair_gradient(flux.atan2, a, b) == [0, 0]


def test_the_gradient_of_a_remainder_counts_how_often_it_fits_an_infinite_divisor():
    assert pair_gradient(flux.remainder, 2.0, -np.inf) == [1, 1]
    assert pair_gradient(flux.remainder, -1.0, np.inf) == [1, 1]
    assert pair_gradient(flux.remainder, 7.0, -2.0) == [1, 4]


def test_the_magnitude_has_no_gradient_at_zero_whatever_sign_it_gets():
    assert [pair_gradient(flux.copysign, a, b)[0] for a in (0.0, -0.0) for b in (1.0, -1.0)] == [0, 0, 0, 0]
    assert [pair_gradient(flux.copysign, a, b)[0] for a in (3.0, -3.0) for b in (1.0, -1.0)] == [1, -1, -1, 1]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_logsumexp_of_nothing_but_minus_infinity_shares_as_logaddexp_does(dtype):
    x = flux.tensor([[-np.inf] * 4, [-np.inf, 0, 0, -np.inf], [np.inf, 0, np.inf, 0]], dtype=dtype)
    (g,) = flux.gradient(lambda x: flux.logsumexp(x, axis=1).sum(), x)
    assert g.tolist() == [[0.25] * 4, [0, 0.5, 0.5, 0], [0.5, 0, 0.5, 0]]
    (g,) = flux.gradient(lambda x: flux.logsumexp(x, axis=0, keepdims=True).sum(), x.T)
    assert g.T.tolist() == [[0.25] * 4, [0, 0.5, 0.5, 0], [0.5, 0, 0.5, 0]]
    (curve,) = flux.gradient(
        lambda x: flux.gradient(lambda x: flux.logsumexp(x, axis=1).sum(), x)[0].sum(), x
    )
    assert (curve == 0).numpy().all()


@pytest.mark.parametrize("axis", [None, 0, 1])
@pytest.mark.parametrize("f", [flux.prod, flux.cumulative_prod])
def test_products_with_zeros_have_the_gradients_of_finite_differences(f, axis):
    if axis is None and f is flux.cumulative_prod:
        return
    for zeros in range(4):
        x = np.random.default_rng(zeros).normal(size=(3, 4))
        x.flat[:zeros] = 0
        x.flat[4 : 4 + zeros] = 0
        assert flux.gradcheck(lambda x: flux.square(f(x, axis=axis)).sum(), flux.tensor(x))


def test_directions_at_the_origin_at_infinity_and_beyond_the_squares_that_fit():
    assert pair_gradient(flux.hypot, 0.0, 0.0) == [0, 0]
    assert pair_gradient(flux.hypot, np.inf, 1.0) == [1, pytest.approx(0, abs=1e-30)]
    assert pair_gradient(flux.atan2, 1e20, 1e20) == pytest.approx([5e-21, -5e-21], rel=1e-6)
    assert pair_gradient(flux.atan2, 1e-25, 1e-25) == pytest.approx([5e24, -5e24], rel=1e-6)


@pytest.mark.parametrize("f", [flux.maximum, flux.minimum])
def test_ties_of_two_numbers_share_the_gradient(f):
    assert pair_gradient(f, 3.0, 3.0) == [0.5, 0.5]


@pytest.mark.parametrize("f", [flux.max, flux.min])
def test_ties_of_a_reduction_share_the_gradient(f):
    (g,) = flux.gradient(
        lambda x: f(x, axis=1).sum(), flux.tensor([[2.0, 2.0, 2.0, 2.0], [1.0, 1.0, 5.0, 5.0]])
    )
    assert g.tolist() == [[0.25] * 4, [0, 0, 0.5, 0.5] if f is flux.max else [0.5, 0.5, 0, 0]]
