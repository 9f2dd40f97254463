"""The values published for the activation functions in NNlib's documentation and tests."""

import numpy as np
import pytest

import oxiflux as flux

# Function, further arguments, input, published result. The result is text so that the tolerance is the printed digits'.
DOCUMENTED = [
    ("celu", (), -10, "-0.9999546"),
    ("celu", (0.5,), -4, "-0.49983227"),
    ("celu", (), 42, "42"),
    ("elu", (), -10, "-0.9999546"),
    ("elu", (2,), -10, "-1.9999092"),
    ("elu", (), -4, "-0.98168436"),
    ("elu", (), 42, "42"),
    ("gelu", (), 0, "0"),
    ("gelu", (), 1, "0.8411919906082768"),
    ("gelu", (), -1, "-0.15880800939172324"),
    ("gelu_tanh", (), 1, "0.8411919906082768"),
    ("gelu_tanh", (), -1, "-0.15880800939172324"),
    ("gelu_erf", (), 1, "0.8413447460685429"),
    ("gelu_erf", (), -1, "-0.15865525393145707"),
    ("hardsigmoid", (), 0, "0.5"),
    ("hardsigmoid", (), 0.2, "0.53333336"),
    ("hardsigmoid", (), -100_000, "0"),
    ("hardsigmoid", (), 100_000, "1"),
    ("hardswish", (), -5, "0"),
    ("hardswish", (), -4, "0"),
    ("hardswish", (), -3, "0"),
    ("hardswish", (), -2, "-0.333333"),
    ("hardswish", (), -1, "-0.333333"),
    ("hardswish", (), 0, "0"),
    ("hardswish", (), 1, "0.666667"),
    ("hardswish", (), 2, "1.66667"),
    ("hardswish", (), 3, "3"),
    ("hardswish", (), 4, "4"),
    ("hardswish", (), 5, "5"),
    ("hardtanh", (), 0.5, "0.5"),
    ("hardtanh", (), 10, "1"),
    ("hardtanh", (), -10, "-1"),
    ("identity", (), -7.25, "-7.25"),
    ("leakyrelu", (1 / 5,), -10, "-2.0"),
    ("leakyrelu", (1 / 20,), -10, "-0.5"),
    ("leakyrelu", (), 1, "1"),
    ("leakyrelu", (), -1, "-0.01"),
    ("leakyrelu", (0.3,), 0.4, "0.4"),
    ("leakyrelu", (0.3,), -0.4, "-0.12"),
    ("lisht", (), 1, "0.7615941559557649"),
    ("lisht", (), -1, "0.7615941559557649"),
    ("lisht", (), 2.5, "2.466535745"),
    ("logcosh", (), 0, "0"),
    ("logcosh", (), 1, "0.4337808304830272"),
    ("logcosh", (), 1000, "999.3068528194401"),
    ("logsigmoid", (), -100_000, "-100000"),
    ("logsigmoid", (), 100_000, "0"),
    ("mish", (), 0, "0"),
    ("mish", (), 1, "0.8650983882673103"),
    ("mish", (), -5, "-0.033576237730161704"),
    ("mish", (), 3000, "3000"),
    ("relu", (), 1, "1"),
    ("relu", (), -1, "0"),
    ("relu6", (), 10, "6"),
    ("relu6", (), -1, "0"),
    ("selu", (), -10, "-1.7580194"),
    ("selu", (), 1, "1.0507009873554805"),
    ("selu", (), -1, "-1.1113307378125625"),
    ("sigmoid", (), 0, "0.5"),
    ("sigmoid", (), 0.2, "0.54983395"),
    ("sigmoid_fast", (), 0.2, "0.54983395"),
    ("softplus", (), 0, "0.6931471805599453"),
    ("softplus", (), 16, "16.0"),
    ("softplus", (), 1e8, "100000000"),
    ("softplus", (), -1e8, "0"),
    ("softshrink", (), -10, "-9.5"),
    ("softshrink", (), 10, "9.5"),
    ("softshrink", (), 1, "0.5"),
    ("softshrink", (5.0,), 15, "10"),
    ("softshrink", (5.0,), 4, "0"),
    ("softshrink", (5.0,), -15, "-10"),
    ("softsign", (), 1, "0.5"),
    ("softsign", (), 100, "0.990099"),
    ("swish", (), 1, "0.7310585786300049"),
    ("swish", (), -1, "-0.2689414213699951"),
    ("tanh", (), 0.5, "0.46211717"),
    ("tanh_fast", (), 0.5, "0.46211717"),
    ("tanhshrink", (), -10, "-9.0"),
    ("tanhshrink", (), 10, "9.0"),
    ("tanhshrink", (), 1, "0.23840584404423515"),
    ("tanhshrink", (), -1, "-0.23840584404423515"),
    ("thresholdrelu", (), 1.1, "1.1"),
    ("thresholdrelu", (), 1, "0"),
    ("trelu", (), 0.5, "0"),
    ("trelu", (), 1.0, "0"),
    ("trelu", (), 1.1, "1.1"),
    ("trelu", (0.5,), 0.9, "0.9"),
]

EVERY_ACTIVATION = sorted({name for name, *_ in DOCUMENTED} | {"rrelu"})
KEEP_INTEGERS = {"identity", "relu", "relu6", "hardtanh", "trelu", "thresholdrelu"}


def printed(text):
    """The number a text states and half a unit of its last digit."""
    digits_after_point = len(text.partition(".")[2])
    return float(text), 0.5 * 10.0**-digits_after_point


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "args", "x", "expected"), DOCUMENTED)
def test_activation_gives_the_documented_value(name, args, x, expected, dtype):
    value, half_digit = printed(expected)
    # The fast variants are documented to be up to five units in the last place off.
    ulps = 5 if name.endswith("_fast") else 4
    result = getattr(flux, name)(flux.tensor(np.array([x], dtype)), *args).numpy()
    assert result.dtype == dtype
    # A short text such as "-2.0" is the shortest that names one number: it is exact. Most are of a float32.
    # softplus(16) and tanhshrink(±10) are whole numbers only after the rounding of float32.
    rounded = (name, x) in {("softplus", 16), ("tanhshrink", 10), ("tanhshrink", -10)}
    of = dtype if (half_digit < 1e-9 or half_digit > 1e-4) and not rounded else np.float32
    tolerance = max(ulps * np.spacing(of(max(abs(value), 0.25))), half_digit if half_digit < 1e-4 else 0)
    assert abs(float(result[0]) - value) <= tolerance, (result[0], value, tolerance)


def test_rrelu_draws_its_slopes_between_the_documented_bounds():
    flux.seed(0)
    y = flux.rrelu(flux.full((1000,), -10.0)).numpy()
    assert -10 / 3 <= y.min() < -3.2
    assert -1.4 < y.max() <= -10 / 8 + 1e-6
    assert np.unique(y).size > 900
    np.testing.assert_array_equal(flux.rrelu(flux.full((4,), 10.0)).numpy(), 10)


def test_rrelu_draws_the_slope_of_a_single_number():
    drawn = {flux.rrelu(-1.0).item() for _ in range(20)}
    assert len(drawn) > 10
    assert all(-1 / 3 <= y <= -1 / 8 for y in drawn)


def test_rrelu_takes_bounds_of_the_caller():
    y = flux.rrelu(flux.full((1000,), -0.4), 0.25, 0.5).numpy()
    assert (y >= -0.2 - 1e-6).all() and (y <= -0.1 + 1e-6).all()


@pytest.mark.parametrize("name", EVERY_ACTIVATION)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activation_keeps_the_floating_dtype(name, dtype):
    x = flux.tensor(np.array([-10, -1, 0, 1, 10], dtype))
    assert getattr(flux, name)(x).numpy().dtype == dtype


@pytest.mark.parametrize("name", [n for n in EVERY_ACTIVATION if n not in KEEP_INTEGERS])
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_activation_of_integers_gives_the_default_float(name, dtype):
    x = flux.tensor(np.array([-10, -1, 0, 1, 10], dtype))
    assert getattr(flux, name)(x).numpy().dtype == np.float32


@pytest.mark.parametrize("name", [n for n in EVERY_ACTIVATION if n != "rrelu"])
def test_activation_of_nan_is_nan(name):
    assert np.isnan(getattr(flux, name)(flux.tensor([float("nan")])).numpy()).all()


@pytest.mark.parametrize("name", EVERY_ACTIVATION)
@pytest.mark.parametrize("shape", [(0,), (), (1,), (3, 0, 2), (2, 3, 5)])
def test_activation_keeps_the_shape(name, shape):
    f = getattr(flux, name)
    np.testing.assert_array_equal(
        f(flux.full(shape, 0.75)).numpy(),
        np.full(shape, f(flux.tensor(0.75)).item(), np.float32),
        strict=True,
    )


@pytest.mark.parametrize(
    ("name", "args", "x", "slope"),
    [
        ("selu", (), 1_000.0, 1.0507009873554805),
        ("selu", (), 10_000.0, 1.0507009873554805),
        ("elu", (2.0,), 1_000.0, 1.0),
        ("elu", (2.0,), -1.0, 2 * np.exp(-1.0)),
        ("softplus", (), 0.0, 0.5),
        ("logsigmoid", (), 0.0, 0.5),
        ("logsigmoid", (), -1e4, 1.0),
        ("logsigmoid", (), 1e4, 0.0),
        ("sigmoid", (), 0.0, 0.25),
        ("hardsigmoid", (), 0.0, 1 / 6),
        ("hardswish", (), 4.0, 1.0),
        ("hardswish", (), 0.0, 0.5),
        ("logcosh", (), 1e3, 1.0),
        ("lisht", (), 0.0, 0.0),
        ("softsign", (), 1.0, 0.25),
    ],
)
def test_activation_has_the_documented_slope(name, args, x, slope):
    f = getattr(flux, name)
    (g,) = flux.gradient(lambda t: flux.sum(f(t, *args)), flux.tensor(np.array([x])))
    np.testing.assert_allclose(g.numpy(), [slope], rtol=1e-12, atol=1e-12)


def test_softmax_of_a_vector():
    y = flux.softmax(flux.tensor(np.array([1.0, 2.0, 3.0]))).numpy()
    np.testing.assert_allclose(y, [0.09003057317038046, 0.24472847105479764, 0.6652409557748218], rtol=1e-15)


def test_softmax_is_over_the_last_axis_by_default():
    x = flux.tensor(np.array([[1.0, 2.0, 3.0], [2.0, 2.0, 2.0]]))
    expected = [[0.0900306, 0.244728, 0.665241], [0.333333, 0.333333, 0.333333]]
    np.testing.assert_allclose(flux.softmax(x).numpy(), expected, atol=5e-7)


def test_softmax_over_the_first_axis():
    x = flux.tensor(np.array([[1.0, 2.0, 3.0], [2.0, 2.0, 2.0]]))
    expected = [[0.268941, 0.5, 0.731059], [0.731059, 0.5, 0.268941]]
    np.testing.assert_allclose(flux.softmax(x, axis=0).numpy(), expected, atol=5e-7)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_logsoftmax_is_the_logarithm_of_softmax(axis):
    x = flux.tensor(np.arange(15.0).reshape(3, 5) ** 2 / 30)
    np.testing.assert_allclose(
        flux.logsoftmax(x, axis=axis).numpy(),
        np.log(flux.softmax(x, axis=axis).numpy()),
        rtol=1e-12,
        atol=1e-14,
    )


def test_softmax_and_its_kin_are_safe_for_large_logits():
    x = flux.tensor([[1e4, -1e4, 0.0]])
    np.testing.assert_array_equal(flux.softmax(x).numpy(), [[1, 0, 0]])
    np.testing.assert_array_equal(flux.logsoftmax(x).numpy(), [[0, -2e4, -1e4]])
    np.testing.assert_array_equal(flux.logsumexp(x, axis=-1).numpy(), [1e4])


def test_logsumexp_of_a_vector():
    x = np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(
        flux.logsumexp(flux.tensor(x), axis=-1).numpy(), np.log(np.exp(x).sum()), rtol=1e-15
    )


def test_glu_gates_one_half_with_the_other():
    x = np.array([[1.0, -2.0, 0.5, 3.0]])
    expected = x[:, :2] / (1 + np.exp(-x[:, 2:]))
    np.testing.assert_allclose(flux.glu(flux.tensor(x)).numpy(), expected, rtol=1e-14)


def test_glu_refuses_an_odd_number_of_features():
    with pytest.raises(flux.ShapeError, match="3"):
        flux.glu(flux.zeros((2, 3)))


def test_the_identity_gives_back_what_it_gets_without_a_copy():
    for x in (flux.rand(3), flux.arange(3), flux.arange(3) > 1):
        assert np.shares_memory(flux.identity(x).numpy(), x.numpy())
    assert flux.gradient(lambda x: flux.identity(x * 3), 2.0) == (3.0,)
