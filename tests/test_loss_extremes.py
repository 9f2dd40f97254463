"""Losses where predictions are certain, infinite or many: zeros count as zeros, and sums do not overflow on the way."""

import itertools

import numpy as np
import pytest

import oxiflux as flux

INF = np.inf


def slope(loss, yhat):
    return flux.gradient(lambda yhat: loss(yhat), flux.tensor(yhat))[0].numpy()


def test_an_impossible_class_that_is_not_asked_for_costs_nothing():
    yhat = [[0.0, -INF, 0.0]]
    for y in ([[1.0, 0.0, 0.0]], [0]):
        assert flux.logitcrossentropy(flux.tensor(yhat), y).item() == pytest.approx(np.log(2), rel=1e-6)
        np.testing.assert_allclose(slope(lambda p, y=y: flux.logitcrossentropy(p, y), yhat), [[-0.5, 0, 0.5]])


@pytest.mark.parametrize(
    ("yhat", "y", "value", "gradient"),
    [
        (INF, 1.0, 0.0, 0.0),
        (-INF, 0.0, 0.0, 0.0),
        (-INF, 1.0, INF, -1.0),
        (INF, 0.0, INF, 1.0),
        (0.0, 1.0, np.log(2), -0.5),
    ],
)
def test_logitbinarycrossentropy_of_certain_predictions(yhat, y, value, gradient):
    assert flux.logitbinarycrossentropy(flux.tensor([yhat]), [y]).item() == pytest.approx(value)
    assert slope(lambda p: flux.logitbinarycrossentropy(p, [y]), [yhat]) == gradient


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(
    ("logits", "label", "value", "gradient"),
    [
        ([INF, 0.0, 0.0], 0, 0.0, [0, 0, 0]),
        ([INF, 0.0, 0.0], 2, INF, [1, 0, -1]),
        ([INF, INF, -INF], 0, np.log(2), [-0.5, 0.5, 0]),
    ],
)
def test_infinite_logits_share_the_probability_for_labels_as_for_one_hot(
    logits, label, value, gradient, dtype
):
    for y in ([label], [[float(i == label) for i in range(3)]]):
        got, (g,) = flux.withgradient(
            lambda p, y=y: flux.logitcrossentropy(p, y), flux.tensor([logits], dtype=dtype)
        )
        assert got.item() == pytest.approx(value, rel=1e-3) and g.tolist() == [gradient]
    nan = flux.logitcrossentropy(flux.tensor([[INF, np.nan]], dtype=dtype), [0])
    assert np.isnan(nan.item())


PROBABILITIES, COUNTS = [0.0, 1e-30, 0.5, 1.0], [0.0, 0.5, 1.0, 2.0, 90.0, 1e19, 3e38, INF]
NUMBERS = [*COUNTS, -1.0, -90.0, -1e19, -INF]


@pytest.mark.parametrize(
    ("loss", "predictions", "targets"),
    [
        (flux.mae, NUMBERS, [0.0, 1.0, -1.0, 1e19]),
        (flux.mse, NUMBERS, [0.0, 1.0, -1.0, 1e19]),
        (flux.huber_loss, NUMBERS, [0.0, 1.0, -1.0, 1e19]),
        (flux.hinge_loss, NUMBERS, [1.0, -1.0]),
        (flux.squared_hinge_loss, NUMBERS, [1.0, -1.0]),
        (flux.logitbinarycrossentropy, NUMBERS, [0.0, 0.5, 1.0]),
        (flux.msle, COUNTS, [0.0, 0.5, 1.0, 1e19]),
        (flux.poisson_loss, COUNTS, [0.0, 0.5, 1.0, 1e19]),
        (flux.siamese_contrastive_loss, COUNTS, [0.0, 1.0]),
        (flux.binarycrossentropy, PROBABILITIES, [0.0, 0.5, 1.0]),
        (flux.binary_focal_loss, PROBABILITIES, [0.0, 0.5, 1.0]),
        (flux.dice_coeff_loss, PROBABILITIES, [0.0, 0.5, 1.0]),
        (flux.tversky_loss, PROBABILITIES, [0.0, 0.5, 1.0]),
    ],
)
def test_no_loss_and_no_derivative_of_one_is_nan_at_the_edges_of_its_domain(loss, predictions, targets):
    for yhat, y in itertools.product(predictions, targets):

        def first(p, y=y):
            return flux.gradient(lambda p: loss(p, [y]), p)[0]

        p = flux.tensor([yhat], dtype="float32")
        slope, curve = first(p), flux.gradient(lambda p: first(p).sum(), p)[0]
        assert not np.isnan(loss(p, [y]).item()) and not np.isnan(slope.item()), (yhat, y)
        assert curve is None or np.isinf(slope.item()) or not np.isnan(curve.item()), (yhat, y)


def test_a_certain_and_wrong_probability_has_a_large_and_finite_focal_loss():
    for gamma in (0, 2):
        for yhat, y in ((1.0, 0.0), (0.0, 1.0)):
            got, (g,) = flux.withgradient(
                lambda p, y=y, gamma=gamma: flux.binary_focal_loss(p, [y], gamma=gamma), flux.tensor([yhat])
            )
            assert got.item() == pytest.approx(-np.log(2.0**-23), rel=1e-5)
            assert np.sign(g.item()) == yhat - y


def test_an_infinite_rate_is_infinitely_wrong():
    assert flux.poisson_loss(flux.tensor([INF]), [3.0]).item() == INF
    assert slope(lambda p: flux.poisson_loss(p, [3.0, 3.0]), [INF, 1.0]).tolist() == [0.5, -1]
    assert flux.msle(flux.tensor([3e38]), [0.0]).item() == pytest.approx(
        (np.log(3e38) - np.log(2.0**-23)) ** 2, rel=1e-5
    )


@pytest.mark.parametrize("gamma", [0, 0.5, 1, 2])
def test_focal_losses_of_saturated_probabilities_have_no_slope(gamma):
    values = slope(lambda p: flux.binary_focal_loss(p, [1.0, 0.0], gamma=gamma), [1.0, 0.0])
    assert np.isfinite(values).all()
    if gamma:
        assert values[0] == 0 and abs(values[1]) < 1e-3
        assert (slope(lambda p: flux.focal_loss(p, [0], gamma=gamma), [[1.0, 0.0]])[0, 0]) == 0


def test_huber_loss_is_linear_up_to_infinity():
    assert flux.huber_loss(flux.tensor([INF]), [0.0]).item() == INF
    assert slope(lambda p: flux.huber_loss(p, [0.0, 0.0, 0.0, 0.0]), [INF, -INF, 1e30, 0.5]).tolist() == [
        0.25,
        -0.25,
        0.25,
        0.125,
    ]


@pytest.mark.parametrize("delta", [0, -1, np.nan])
def test_huber_loss_needs_a_positive_delta(delta):
    with pytest.raises(ValueError, match="huber_loss: delta must be positive"):
        flux.huber_loss([1.0], [0.0], delta=delta)


def test_unlike_pairs_may_be_infinitely_far():
    assert flux.siamese_contrastive_loss(flux.tensor([INF]), [1.0]).item() == 0
    assert slope(lambda p: flux.siamese_contrastive_loss(p, [1.0]), [INF]).tolist() == [0]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize(
    "loss",
    [
        flux.mae, flux.mse, flux.msle, flux.huber_loss, flux.binarycrossentropy, flux.logitbinarycrossentropy,
        flux.poisson_loss, flux.hinge_loss, flux.squared_hinge_loss, flux.dice_coeff_loss, flux.tversky_loss,
        flux.binary_focal_loss, flux.siamese_contrastive_loss, flux.crossentropy, flux.kldivergence, flux.focal_loss,
    ],
)  # fmt: skip
def test_averages_of_more_than_65504_numbers_of_16_bits(loss, dtype):
    yhat = flux.tensor(np.full((70_000, 1), 0.75, "float32")).astype(dtype)
    y = flux.ones((70_000, 1))
    got = loss(yhat, y)
    eps = {"eps": 2.0**-10 if dtype == "float16" else 2.0**-7} if loss in EPS else {}
    want = loss(yhat.astype("float32"), y, **eps)
    assert got.dtype == dtype
    assert got.item() == pytest.approx(want.item(), rel=2.0**-10 if dtype == "float16" else 2.0**-7)
    assert np.isfinite(flux.gradient(lambda p: loss(p, y), yhat)[0].astype("float32").numpy()).all()


EPS = (
    flux.msle,
    flux.binarycrossentropy,
    flux.crossentropy,
    flux.kldivergence,
    flux.binary_focal_loss,
    flux.focal_loss,
)


def test_logitbinarycrossentropy_agrees_with_its_formula_to_the_last_digits():
    x, y = np.random.default_rng(0).normal(size=(2, 3, 67)) * [[[30.0]], [[0.2]]] + [[[0.0]], [[0.5]]]
    want = y * np.logaddexp(0, -x) + (1 - y) * np.logaddexp(0, x)
    for dtype, rtol in (("float64", 1e-14), ("float32", 1e-6)):
        got = flux.logitbinarycrossentropy(flux.tensor(x, dtype=dtype), y, agg=lambda each: each)
        np.testing.assert_allclose(got.numpy(), want, rtol=rtol)
    assert np.isnan(flux.logitbinarycrossentropy(flux.tensor([np.nan]), [1.0]).item())
    certain = slope(lambda p: flux.logitbinarycrossentropy(p, [1.0, 0.0]), [50.0, -50.0])
    np.testing.assert_allclose(certain, [-np.exp(-50) / 2, np.exp(-50) / 2], rtol=1e-5)
