"""Special functions: their bounds in units of the last place, their limits, and their derivatives of every order."""

import numpy as np
import pytest
from scipy import special

import oxiflux as flux

RNG = np.random.default_rng(0)


def spread(low, high, n=20_000):
    return RNG.uniform(low, high, n).astype(np.float32)


def powers(low, high, n=20_000):
    return np.exp(RNG.uniform(low, high, n)).astype(np.float32)


# The function, where it is tried, SciPy's in double precision, and the bound that is documented.
BOUNDS = [
    ("exp2", spread(-149, 128), np.exp2, 1.0),
    ("erfc", spread(-6, 9), special.erfc, 4.0),
    ("erfc", spread(-1, 1), special.erfc, 4.0),
    ("erfinv", spread(-1, 1), special.erfinv, 4.0),
    ("erfinv", 1 - powers(-16, 0), special.erfinv, 4.0),
    ("erfinv", powers(-50, 0), special.erfinv, 4.0),
    ("lgamma", spread(0, 12), special.gammaln, 5.0),
    ("lgamma", powers(-40, 40), special.gammaln, 5.0),
    ("digamma", spread(0, 12), special.digamma, 5.0),
    ("digamma", powers(-40, 40), special.digamma, 5.0),
    ("trigamma", spread(0, 12), lambda x: special.polygamma(1, x), 5.0),
    ("trigamma", powers(-40, 40), lambda x: special.polygamma(1, x), 5.0),
    ("sinc", spread(-4, 4), np.sinc, 4.0),
    ("rsqrt", powers(-40, 40), lambda x: 1 / np.sqrt(x), 2.0),
    ("logit", spread(0, 1), special.logit, 5.0),
]


@pytest.mark.parametrize(("name", "x", "exact", "bound"), BOUNDS)
def test_single_precision_keeps_the_bound_that_is_documented(name, x, exact, bound):
    y, expected = getattr(flux, name)(x).numpy(), exact(x.astype(np.float64))
    here = np.isfinite(expected) & (abs(expected) > 1e-30)
    ulps = abs(y[here] - expected[here]) / np.spacing(abs(expected[here]).astype(np.float32))
    # A unit for what SciPy rounds itself.
    assert ulps.max() <= bound + 0.5, f"{ulps.max()} at {x[here][ulps.argmax()]}"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("at", [1.0, 2.0])
def test_lgamma_has_all_digits_beside_its_zeros(dtype, at):
    away = np.array([-1e-3, -1e-6, 1e-6, 1e-3], dtype)
    x = (at + away).astype(dtype)
    # The first terms of the series about the zero, of what the numbers are away from it.
    h = x.astype(np.float64) - at
    slope, bend = special.digamma(at), special.polygamma(1, at)
    third = special.polygamma(2, at)
    expected = h * (slope + h / 2 * (bend + h / 3 * third))
    np.testing.assert_allclose(flux.lgamma(x).numpy(), expected, rtol=3e-9 if dtype == "float64" else 1e-6)
    assert flux.lgamma(np.array([at], dtype)).item() == 0


def test_digamma_has_all_digits_beside_its_zero():
    x = np.float64(1.4616321449683623) + np.array([-1e-4, -1e-8, 1e-8, 1e-4])
    slope, bend = special.polygamma(1, 1.4616321449683623), special.polygamma(2, 1.4616321449683623)
    h = (x - 1.4616321449683623) - 9.549995429965697e-17
    np.testing.assert_allclose(flux.digamma(x).numpy(), h * (slope + h / 2 * bend), rtol=1e-7)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gamma_functions_below_zero(dtype):
    x = np.array([-0.5, -1.5, -2.457, -7.3, -20.25, -100.5], dtype)
    rtol = 1e-12 if dtype == "float64" else 4e-6
    exact = x.astype(np.float64)
    np.testing.assert_allclose(flux.lgamma(x).numpy(), special.gammaln(exact), rtol=rtol, atol=rtol)
    np.testing.assert_allclose(flux.digamma(x).numpy(), special.digamma(exact), rtol=rtol, atol=rtol)
    mirrored = (np.pi / np.sin(np.pi * exact)) ** 2 - special.polygamma(1, 1 - exact)
    np.testing.assert_allclose(flux.polygamma(1, x).numpy(), mirrored, rtol=max(rtol, 1e-10))


LIMITS = {
    "exp2": {np.inf: np.inf, -np.inf: 0.0, 0.0: 1.0, 3.0: 8.0, -1.0: 0.5},
    "rsqrt": {np.inf: 0.0, 0.0: np.inf, -1.0: np.nan, 4.0: 0.5},
    "erfc": {np.inf: 0.0, -np.inf: 2.0, 0.0: 1.0},
    "erfinv": {1.0: np.inf, -1.0: -np.inf, 0.0: 0.0, 1.5: np.nan, -1.5: np.nan, np.inf: np.nan},
    "lgamma": {np.inf: np.inf, -np.inf: np.inf, 0.0: np.inf, -3.0: np.inf, 1.0: 0.0, 2.0: 0.0},
    "digamma": {np.inf: np.inf, 0.0: -np.inf, -3.0: np.nan, -np.inf: np.nan},
    "trigamma": {np.inf: 0.0, 0.0: np.inf, -3.0: np.inf, -np.inf: np.nan},
    "logit": {0.0: -np.inf, 1.0: np.inf, 0.5: 0.0, -0.1: np.nan, 1.1: np.nan},
    "sinc": {np.inf: 0.0, -np.inf: 0.0, 0.0: 1.0, 1.0: 0.0, -2.0: 0.0, 12.0: 0.0, 0.5: 2 / np.pi},
}


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("name", LIMITS)
def test_limits(name, dtype):
    f = getattr(flux, name)
    for x, y in (LIMITS[name] | {np.nan: np.nan}).items():
        got = float(f(flux.tensor(x, dtype=dtype)).item())
        rounded = float(flux.tensor(y, dtype=dtype).item())
        near = x == 0.5 and abs(got - rounded) <= 2e-7
        assert got == rounded or near or np.isnan([got, rounded]).all(), (
            f"{name}({x}) is {got}, not {rounded}"
        )
    assert np.signbit(flux.erfinv(-0.0).item())


def test_at_minus_zero():
    assert flux.digamma(flux.tensor(-0.0)).item() == np.inf
    assert flux.lgamma(flux.tensor(-0.0)).item() == np.inf
    assert flux.sinc(flux.tensor(-0.0)).item() == 1


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 20])
def test_polygamma_of_every_order(n):
    x = np.array([0.05, 0.3, 1.0, 2.5, 11.0, 40.0, 1e4])
    np.testing.assert_allclose(flux.polygamma(n, x).numpy(), special.polygamma(n, x), rtol=1e-13)


def test_polygamma_has_whole_orders_from_0_on():
    with pytest.raises(ValueError, match="polygamma: an order is 0 or more, got -1"):
        flux.polygamma(-1, [1.0])
    with pytest.raises(TypeError):
        flux.polygamma(0.5, [1.0])
    assert flux.polygamma(1, [0.0, -2.0, np.inf]).tolist() == [np.inf, np.inf, 0.0]
    assert np.isfinite(flux.polygamma(200, np.array([50.0])).item())


@pytest.mark.parametrize(
    "name", ["lgamma", "digamma", "trigamma", "erfc", "sinc", "exp2", "rsqrt", "logit", "erfinv"]
)
def test_second_derivatives(name):
    x = np.array([0.15, 0.3, 0.45, 0.7, 0.85])
    assert flux.gradcheck(getattr(flux, name), x, order=2)


def test_the_derivatives_of_lgamma_go_on_below_zero():
    assert flux.gradcheck(flux.lgamma, np.array([-0.3, -1.6, -4.2]), order=2)
    third = flux.gradient(
        lambda x: flux.gradient(lambda x: flux.digamma(x).sum(), x)[0].sum(), np.array([2.5])
    )
    np.testing.assert_allclose(third[0].numpy(), special.polygamma(2, 2.5), rtol=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_slope_of_sinc_has_all_digits_near_0(dtype):
    x = np.array([0.0, 1e-30, 1e-6, 1e-3, 0.1, 0.2499, 0.2501, 1.0, 2.0, -0.1, -1.0], dtype)
    t = np.pi * x.astype(np.longdouble)
    with np.errstate(invalid="ignore", divide="ignore"):
        far = (np.cos(t) - np.sin(t) / t) / x.astype(np.longdouble)
    near = np.pi * (-t / 3 + t**3 / 30 - t**5 / 840 + t**7 / 45360 - t**9 / 3991680)
    expected = np.where(abs(x) < 0.2, near, far).astype(np.float64)
    slope = flux.gradient(lambda x: flux.sinc(x).sum(), x)[0].numpy()
    np.testing.assert_allclose(slope, expected, rtol=1e-5 if dtype == "float32" else 1e-12)
    bend = flux.gradient(lambda x: flux.gradient(lambda x: flux.sinc(x).sum(), x)[0].sum(), np.zeros(1))[0]
    np.testing.assert_allclose(bend.numpy(), -(np.pi**2) / 3, rtol=1e-12)
