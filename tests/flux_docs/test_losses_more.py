"""The values published for Flux's further losses, with classes on the last axis."""

import math

import numpy as np
import pytest

import oxiflux as flux


def f64(x):
    return flux.tensor(np.asarray(x, np.float64))


def close(result, expected, rel=1e-12):
    assert result.shape == ()
    assert result.item() == pytest.approx(expected, rel=rel, abs=1e-14)


FIVE_ONE_HOT = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0]])
FIVE_PROBABILITIES = np.tile(np.exp([0.0, 1, 2]) / np.exp([0.0, 1, 2]).sum(), (5, 1))
TWO_ONE_HOT = np.array([[1, 0, 0], [0, 0, 1]])
TWO_PROBABILITIES = [[0.4, 0.5, 0.1], [0.2, 0.5, 0.3]]


def test_label_smoothing_of_two_classes():
    y = flux.onehotbatch([1, 1, 1, 0, 1, 0], range(2))
    hot = np.array([[0, 1], [0, 1], [0, 1], [1, 0], [0, 1], [1, 0]], bool)
    np.testing.assert_allclose(flux.label_smoothing(y, 0.2).numpy(), np.where(hot, 0.9, 0.1), rtol=1e-6)


def test_label_smoothing_raises_the_loss_of_good_and_lowers_that_of_bad_predictions():
    y = flux.onehotbatch([1, 1, 1, 0, 1, 0], range(2))
    smoothed = flux.label_smoothing(y, 0.2)
    good = flux.softmax(flux.tensor(np.asarray(y).astype(np.float32) * np.float32(math.log(2))))
    np.testing.assert_allclose(good.numpy(), np.where(np.asarray(y), 0.666667, 0.333333), atol=1e-6)
    bad = flux.flip(good, axis=-1)
    assert flux.crossentropy(good, y).item() < flux.crossentropy(good, smoothed).item()
    assert flux.crossentropy(bad, y).item() > flux.crossentropy(bad, smoothed).item()


@pytest.mark.parametrize("alpha", [0.0, 1.0, 1.2, -0.1])
def test_label_smoothing_refuses_a_factor_outside_0_and_1(alpha):
    with pytest.raises(ValueError, match=str(alpha)):
        flux.label_smoothing(f64([0, 0, 1, 0]), alpha)


def test_kldivergence_of_certain_from_even_distributions():
    p1, p2 = np.eye(2), np.full((2, 2), 0.5)
    close(flux.kldivergence(f64(p2), p1), math.log(2))
    close(flux.kldivergence(f64(p2), p1, agg=flux.sum), 2 * math.log(2))
    close(flux.kldivergence(f64(p2), p2, eps=0), 0.0)
    assert flux.kldivergence(f64(p1), p2, eps=0).item() == math.inf


def test_kldivergence_of_unnormalised_numbers():
    # Flux's row matrix has one class for each of three observations.
    y, y_hat = np.array([[1.0], [2.0], [3.0]]), f64([[4.0], [5.0], [6.0]])
    close(flux.kldivergence(y_hat, y), -1.7661057888493457)
    assert flux.kldivergence(f64(y), y).item() == pytest.approx(0, abs=1e-12)


def test_poisson_loss():
    close(flux.poisson_loss(f64([1, 3, 3]), [1, 2, 3]), 0.5023128522198171)
    close(flux.poisson_loss(f64([0.4, 0.5, 0.6]), [0.1, 0.2, 0.3]), 0.6278353988097339)
    close(flux.poisson_loss(f64([0.1, 0.2, 0.3]), [0.1, 0.2, 0.3]), 0.5044459776946685)


def test_poisson_loss_of_a_zero_count_is_the_prediction():
    close(flux.poisson_loss(f64([0.25]), [0.0]), 0.25)


def test_hinge_loss():
    y, y_hat = [1, -1, 1, 1], [0.1, 0.3, 1, 1.5]
    close(flux.hinge_loss(f64(y_hat), y), 0.55)
    each = flux.hinge_loss(f64(y_hat), y, agg=lambda v: v).numpy()
    np.testing.assert_allclose(each, [0.9, 1.3, 0, 0], rtol=1e-12)


def test_squared_hinge_loss():
    close(flux.squared_hinge_loss(f64([0.1, 0.3, 1, 1.5]), [1, -1, 1, 1]), 0.625)


def test_hinge_losses_of_numbers_beyond_the_margin():
    y, y_hat = np.array([1.0, 2, 3, 4]), [5.0, 6, 7, 8]
    close(flux.hinge_loss(f64(y_hat), y), 0)
    close(flux.hinge_loss(f64(y), 0.5 * y), 0.125)
    close(flux.squared_hinge_loss(f64(y), 0.5 * y), 0.0625)


def test_dice_coeff_loss():
    close(flux.dice_coeff_loss(f64([1.1, 2.1, 3.1]), [1, 2, 3]), 0.000992391663909964, rel=1e-10)
    close(flux.dice_coeff_loss(f64([0, 1.4, 0.5, 1.2]), [1.0, 0.5, 0.3, 2.4]), 0.2799999999999999)
    close(flux.dice_coeff_loss(f64([1.0, 0.5, 0.3, 2.4]), [1.0, 0.5, 0.3, 2.4]), 0)


def test_tversky_loss():
    y = [0, 1, 0, 1, 1, 1]
    # One false negative and one false positive weigh the same whichever of the two beta belongs to.
    close(flux.tversky_loss(f64([1, 1, 0, 1, 1, 0]), y), 0.19999999999999996)
    close(flux.tversky_loss(f64([1.0, 0.5, 0.3, 2.4]), [1.0, 0.5, 0.3, 2.4]), -0.5576923076923075)


def test_binary_focal_loss():
    y = [[0, 1], [1, 0], [0, 1]]
    y_hat = [[0.268941, 0.731059], [0.5, 0.5], [0.268941, 0.731059]]
    close(flux.binary_focal_loss(f64(y_hat), y), 0.0728675615927385)
    close(flux.binary_focal_loss(f64([[0.6, 0.4], [0.3, 0.7]]), [[1, 0], [0, 1]]), 0.05691642237852222)
    close(flux.binary_focal_loss(f64(y_hat), y, gamma=0), flux.binarycrossentropy(f64(y_hat), y).item())


def test_focal_loss():
    close(flux.focal_loss(f64(FIVE_PROBABILITIES), FIVE_ONE_HOT), 1.1277571935622628, rel=1e-6)
    close(flux.focal_loss(f64(TWO_PROBABILITIES), TWO_ONE_HOT), 0.45990566879720157)
    close(
        flux.focal_loss(f64(FIVE_PROBABILITIES), FIVE_ONE_HOT, gamma=0),
        flux.crossentropy(f64(FIVE_PROBABILITIES), FIVE_ONE_HOT).item(),
    )


def test_siamese_contrastive_loss():
    close(flux.siamese_contrastive_loss(f64([0.5, 1.5, 2.5]), [1, 2, 3]), -4.833333333333333)
    close(flux.siamese_contrastive_loss(f64([0.5, 1.5, 2.5]), [1, 2, 3], margin=2), -4.0)


@pytest.mark.parametrize(
    ("margin", "expected"),
    [
        (1, 0.2333333333333333),
        (0.5, 0.10000000000000002),
        (1.5, 0.5333333333333333),
        (0, 0.09166666666666667),
    ],
)
def test_siamese_contrastive_loss_of_a_matrix(margin, expected):
    close(flux.siamese_contrastive_loss(f64(TWO_PROBABILITIES), TWO_ONE_HOT, margin=margin), expected)


def test_siamese_contrastive_loss_of_a_vector():
    y = [1.0, 0, 0, 1, 1]
    close(flux.siamese_contrastive_loss(f64([0.6, 0.4, 0.1, 0.2, 0.7]), y), 0.21200000000000005)


@pytest.mark.parametrize("margin", [-0.5, -1])
def test_siamese_contrastive_loss_refuses_a_negative_margin(margin):
    with pytest.raises(ValueError, match=str(margin)):
        flux.siamese_contrastive_loss(f64(TWO_PROBABILITIES), TWO_ONE_HOT, margin=margin)


MORE_LOSSES = [
    "kldivergence",
    "poisson_loss",
    "hinge_loss",
    "squared_hinge_loss",
    "dice_coeff_loss",
    "tversky_loss",
    "binary_focal_loss",
    "focal_loss",
    "siamese_contrastive_loss",
]


@pytest.mark.parametrize("name", MORE_LOSSES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_loss_and_gradient_keep_the_dtype_of_the_prediction(name, dtype):
    f = getattr(flux.losses, name)
    value, (g,) = flux.withgradient(
        lambda t: f(t, np.array([0.75, 0.25])), flux.tensor(np.array([0.2, 0.8], dtype))
    )
    assert value.numpy().dtype == dtype
    assert g.numpy().dtype == dtype
