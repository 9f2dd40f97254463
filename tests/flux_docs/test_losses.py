"""The values published for the principal losses in Flux's documentation, with classes on the last axis."""

import math

import numpy as np
import pytest

import oxiflux as flux


def f64(x):
    return flux.tensor(np.asarray(x, np.float64))


def f32(x):
    return flux.tensor(np.asarray(x, np.float32))


def close(result, expected, digits):
    """Whether a scalar tensor equals a published number to its last printed digit."""
    assert result.shape == ()
    assert abs(result.item() - expected) <= 0.5 * 10.0**-digits, (result.item(), expected)


# Flux's examples hold one observation per column; these hold one per row.
THREE_CLASSES = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0]], bool)
FIVE_LOGITS = np.arange(-7, 8, dtype=np.float32).reshape(5, 3)
SEVEN_LOGITS = np.concatenate([np.arange(-9, 1), np.arange(10), [7.5]]).astype(np.float32).reshape(7, 3)


def test_mae():
    close(flux.mae(f64([1.1, 1.9, 3.1]), [1, 2, 3]), 0.10000000000000009, 15)


def test_mse():
    close(flux.mse(f64([1.1, 1.9, 3.1]), range(1, 4)), 0.010000000000000018, 16)


def test_mse_and_mae_of_two_right_and_two_wrong():
    y, y_hat = np.array([1, 1, 0, 0]), f64([0.9, 0.1, 0.1, 0.9])
    close(flux.mse(y_hat, y), (0.1**2 + 0.9**2) / 2, 15)
    close(flux.mae(y_hat, y), 0.5, 15)


def test_msle():
    close(flux.msle(f32([1.1, 2.2, 3.3]), [1, 2, 3]), 0.009084041, 8)
    close(flux.msle(f32([0.9, 1.8, 2.7]), [1, 2, 3]), 0.011100831, 8)


def test_msle_of_large_numbers():
    close(flux.msle(f64([345, 332, 789]), [123, 456, 789]), 0.38813985859136585, 14)


def test_huber_loss_below_its_threshold():
    close(flux.huber_loss(f64([1.1, 2.1, 3.1]), [1, 2, 3]), 0.005000000000000009, 16)


def test_huber_loss_above_its_threshold():
    close(flux.huber_loss(f64([1.1, 2.1, 3.1]), [1, 2, 3], delta=0.05), 0.003750000000000005, 16)


def test_huber_loss_on_both_sides_of_its_threshold():
    close(flux.huber_loss(f64([0.9, 0.1, 0.1, 0.9]), [1, 1, 0, 0]), 0.20500000000000002, 15)
    close(flux.huber_loss(f64([5.0]), [1.0]), 3.5, 15)


def test_onehotbatch_puts_the_classes_on_the_last_axis():
    y = flux.onehotbatch([0, 1, 2, 1, 0], range(3))
    assert y.shape == (5, 3)
    np.testing.assert_array_equal(np.asarray(y), THREE_CLASSES)


def test_softmax_of_the_documented_logits():
    expected = np.tile(np.array([0.0900306, 0.244728, 0.665241]), (5, 1))
    np.testing.assert_allclose(flux.softmax(f32(FIVE_LOGITS)).numpy(), expected, atol=5e-7)


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param(lambda: flux.onehotbatch([0, 1, 2, 1, 0], range(3)), id="onehotbatch"),
        pytest.param(lambda: THREE_CLASSES, id="boolean matrix"),
        pytest.param(lambda: THREE_CLASSES.astype(np.float32), id="probabilities"),
        pytest.param(lambda: flux.tensor(THREE_CLASSES.astype(np.float32)), id="tensor of probabilities"),
        pytest.param(lambda: np.array([0, 1, 2, 1, 0]), id="integer labels"),
        pytest.param(lambda: [0, 1, 2, 1, 0], id="list of labels"),
        pytest.param(lambda: flux.tensor(np.array([0, 1, 2, 1, 0], np.uint8)), id="tensor of labels"),
    ],
)
def test_crossentropy_takes_every_form_of_labels(labels):
    y_model = flux.softmax(f32(FIVE_LOGITS))
    close(flux.crossentropy(y_model, labels()), 1.6076053, 6)
    close(flux.logitcrossentropy(f32(FIVE_LOGITS), labels()), 1.6076059, 6)


def test_crossentropy_summed_is_the_mean_times_the_batch():
    y_model = flux.softmax(f32(FIVE_LOGITS))
    total = flux.crossentropy(y_model, THREE_CLASSES, agg=flux.sum).item()
    assert total == pytest.approx(5 * flux.crossentropy(y_model, THREE_CLASSES).item(), rel=1e-6)


def test_crossentropy_of_smoothed_labels():
    smooth = flux.label_smoothing(flux.onehotbatch([0, 1, 2, 1, 0], range(3)), 0.15)
    np.testing.assert_allclose(smooth.numpy(), np.where(THREE_CLASSES, 0.9, 0.05), rtol=1e-6)
    close(flux.crossentropy(flux.softmax(f32(FIVE_LOGITS)), smooth), 1.5776052, 6)


def test_crossentropy_of_two_classes():
    y_hat = f64([[0.1, 0.9], [0.9, 0.1], [0.9, 0.1], [0.1, 0.9]])
    y = flux.onehotbatch([1, 1, 0, 0], range(2))
    close(flux.crossentropy(y_hat, y), 1.203972804325936, 14)
    close(flux.crossentropy(y_hat, flux.label_smoothing(y, 0.1)), 1.2039728043259348, 6)


def test_crossentropy_ignores_classes_of_no_probability():
    with_zero = flux.crossentropy(f64([0.1, 0.0, 0.9]), np.array([0.1, 0.0, 0.9]))
    without = flux.crossentropy(f64([0.1, 0.9]), np.array([0.1, 0.9]))
    assert with_zero.item() == pytest.approx(without.item(), rel=1e-14)


def test_crossentropy_of_certain_and_right_predictions_is_zero():
    y = THREE_CLASSES.astype(np.float64)
    assert flux.crossentropy(f64(y), y, eps=0).item() == 0


def test_logitcrossentropy():
    y = flux.onehotbatch("abcabaa", "abc")
    assert y.shape == (7, 3)
    close(flux.logitcrossentropy(f32(SEVEN_LOGITS), y), 1.5791205, 6)
    close(flux.crossentropy(flux.softmax(f32(SEVEN_LOGITS)), y), 1.5791197, 5)


def test_logitcrossentropy_of_two_classes():
    v = math.log(0.1 / 0.9)
    logits = f64([[v, 0.0], [0.0, v], [0.0, v], [v, 0.0]])
    close(flux.logitcrossentropy(logits, flux.onehotbatch([1, 1, 0, 0], range(2))), 1.203972804325936, 14)


@pytest.mark.parametrize("scale", [1.0, 1e2, 1e4])
def test_logitcrossentropy_and_its_gradient_are_finite_for_large_logits(scale):
    logits = f32(FIVE_LOGITS * scale)
    value, (g,) = flux.withgradient(lambda t: flux.logitcrossentropy(t, THREE_CLASSES), logits)
    x = FIVE_LOGITS.astype(np.float64) * scale
    p = np.exp(x - x.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    expected = (x.max(1) + np.log(np.exp(x - x.max(1, keepdims=True)).sum(1)) - x[THREE_CLASSES]).mean()
    assert value.item() == pytest.approx(expected, rel=1e-6)
    np.testing.assert_allclose(g.numpy(), (p - THREE_CLASSES) / 5, atol=1e-6)


def test_binarycrossentropy():
    y_prob = flux.softmax(f32([[1, 2], [3, 3], [4, 5]]))
    np.testing.assert_allclose(
        y_prob.numpy(), [[0.268941, 0.731059], [0.5, 0.5], [0.268941, 0.731059]], atol=5e-7
    )
    y_bin = np.array([True, False, True])
    close(flux.binarycrossentropy(y_prob[:, 1], y_bin), 0.43989, 5)
    close(flux.crossentropy(y_prob, flux.onehotbatch(y_bin, [False, True])), 0.43989, 5)


def test_logitbinarycrossentropy():
    y_bin = np.array([True, False, True])
    y_model = f32([2, -1, math.pi])
    close(flux.logitbinarycrossentropy(y_model, y_bin), 0.160832, 6)
    close(flux.binarycrossentropy(flux.sigmoid(y_model), y_bin), 0.16083185, 6)


def test_logitbinarycrossentropy_is_finite_for_large_logits():
    close(flux.logitbinarycrossentropy(f32([1e4, -1e4]), [1, 0]), 0.0, 6)
    close(flux.logitbinarycrossentropy(f32([1e4, -1e4]), [0, 1]), 1e4, 2)


PAIRS = {
    "mae": ([0.2, 0.7], [0.5, 0.1]),
    "mse": ([0.2, 0.7], [0.5, 0.1]),
    "msle": ([0.2, 0.7], [0.5, 0.1]),
    "huber_loss": ([0.2, 0.7], [0.5, 0.1]),
    "crossentropy": ([0.2, 0.8], [0.9, 0.1]),
    "logitcrossentropy": ([0.2, 0.8], [0.9, 0.1]),
    "binarycrossentropy": ([0.2, 0.7], [0.0, 1.0]),
    "logitbinarycrossentropy": ([0.2, 0.7], [0.0, 1.0]),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_loss_and_gradient_keep_the_dtype_of_the_prediction(name, dtype):
    y_hat, y = PAIRS[name]
    f = getattr(flux.losses, name)
    value, (g,) = flux.withgradient(
        lambda t: f(t, np.array(y, np.float64)), flux.tensor(np.array(y_hat, dtype))
    )
    assert value.numpy().dtype == dtype
    assert g.numpy().dtype == dtype


@pytest.mark.parametrize("name", PAIRS)
def test_loss_is_also_at_top_level(name):
    assert getattr(flux, name) is getattr(flux.losses, name)


@pytest.mark.parametrize(
    "name", ["mae", "mse", "msle", "huber_loss", "binarycrossentropy", "logitbinarycrossentropy"]
)
def test_agg_receives_the_loss_of_each_element(name):
    y_hat, y = PAIRS[name]
    f = getattr(flux, name)
    each = f(f64(y_hat), y, agg=lambda v: v)
    assert each.shape == (2,)
    assert f(f64(y_hat), y).item() == pytest.approx(each.numpy().mean(), rel=1e-14)
    assert f(f64(y_hat), y, agg=flux.sum).item() == pytest.approx(each.numpy().sum(), rel=1e-14)


@pytest.mark.parametrize("name", ["crossentropy", "logitcrossentropy"])
def test_agg_of_a_class_loss_receives_one_loss_per_observation(name):
    y_hat = f64(np.full((4, 3), 1 / 3))
    each = getattr(flux, name)(y_hat, np.array([0, 1, 2, 0]), agg=lambda v: v).numpy()
    assert each.size == 4
    np.testing.assert_allclose(each.ravel(), math.log(3), rtol=1e-12)
