"""Losses of classes and events that do not all count alike, by the formulas of PyTorch."""

import math

import numpy as np
import pytest
from scipy import special

import oxiflux as flux

LOGITS = np.random.default_rng(0).normal(size=(6, 4))
LABELS = np.array([3, 0, 1, 1, 2, 3])
WEIGHT = np.array([0.5, 2.0, 0.0, 1.25])
IGNORED = np.array([3, -100, 1, 1, -100, 3])
SOFT = special.softmax(np.random.default_rng(1).normal(size=(6, 4)), axis=-1)
LOGS = special.log_softmax(LOGITS, axis=-1)

# Loss, prediction, and `-log` of its probabilities (for the focal loss, times its factor).
OF_CLASSES = {
    "crossentropy": (np.exp(LOGS), -LOGS),
    "logitcrossentropy": (LOGITS, -LOGS),
    "nll_loss": (LOGS, -LOGS),
    "focal_loss": (np.exp(LOGS), -LOGS * (1 - np.exp(LOGS)) ** 2),
}
SMOOTHED = ["crossentropy", "logitcrossentropy"]
NO_EPS = {"crossentropy": {"eps": 0}, "focal_loss": {"eps": 0}}

each_loss = pytest.mark.parametrize("name", OF_CLASSES)


def loss(name, p, y, **options):
    return getattr(flux, name)(p, y, **(NO_EPS.get(name, {}) | options))


def of_each(name, labels, weight=None, smoothing=0.0):
    """The loss of each label and what it counts; -100 counts nothing."""
    costs = OF_CLASSES[name][1] * (1 if weight is None else weight)
    kept = labels != -100
    safe = np.where(kept, labels, 0)
    counts = np.where(kept, 1.0 if weight is None else weight[safe], 0.0)
    own = costs[np.arange(len(labels)), safe]
    return np.where(kept, (1 - smoothing) * own + smoothing * costs.mean(-1), 0), counts


@each_loss
@pytest.mark.parametrize("labels", [LABELS, IGNORED], ids=["labels", "some ignored"])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["alike", "weighted"])
def test_the_mean_of_labels_is_by_their_weights(name, labels, weight):
    p = flux.tensor(OF_CLASSES[name][0])
    ignore = -100 if labels is IGNORED else None
    losses, counts = of_each(name, labels, weight)
    got = loss(name, p, labels, weight=weight, ignore_index=ignore)
    assert got.item() == pytest.approx(losses.sum() / counts.sum(), rel=1e-12)
    each = loss(name, p, labels, weight=weight, ignore_index=ignore, agg=lambda x: x)
    np.testing.assert_allclose(each.numpy(), losses, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", SMOOTHED)
@pytest.mark.parametrize("labels", [LABELS, IGNORED], ids=["labels", "some ignored"])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["alike", "weighted"])
@pytest.mark.parametrize("smoothing", [0.1, 1.0])
def test_smoothed_labels_have_the_mean_of_labels(name, labels, weight, smoothing):
    ignore = -100 if labels is IGNORED else None
    losses, counts = of_each(name, labels, weight, smoothing)
    got = loss(
        name, flux.tensor(OF_CLASSES[name][0]), labels,
        weight=weight, ignore_index=ignore, label_smoothing=smoothing,
    )  # fmt: skip
    assert got.item() == pytest.approx(losses.sum() / counts.sum(), rel=1e-12)


@pytest.mark.parametrize("name", SMOOTHED)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_probabilities_are_weighted_and_their_mean_is_plain(name, smoothing):
    p, costs = OF_CLASSES[name]
    target = SOFT * (1 - smoothing) + smoothing / 4
    got = loss(name, flux.tensor(p), SOFT, weight=WEIGHT, label_smoothing=smoothing)
    assert got.item() == pytest.approx((target * WEIGHT * costs).sum(-1).mean(), rel=1e-12)


def test_values_of_pytorch():
    # F.cross_entropy(x, y, weight=w, ignore_index=-100, label_smoothing=0.1), and its gradient.
    x = flux.tensor(np.array([[1.0, 2.0, -1.0], [0.5, 0.0, 0.25], [3.0, -2.0, 0.0]]))
    f = lambda x: flux.logitcrossentropy(
        x, [1, -100, 0], weight=[1.0, 2.0, 0.5], ignore_index=-100, label_smoothing=0.1
    )
    value, (g,) = flux.withgradient(f, x)
    assert value.item() == pytest.approx(0.39716946825748567, rel=1e-7)
    np.testing.assert_allclose(
        g.numpy(),
        [
            [0.15467829, -0.17155989, 0.01688160],
            [0, 0, 0],
            [0.00964692, -0.02006097, 0.01041405],
        ],
        atol=1e-7,
    )


@each_loss
def test_classes_may_lie_on_another_axis(name):
    p = OF_CLASSES[name][0]
    options = {"weight": WEIGHT, "ignore_index": -100}
    expected = loss(name, flux.tensor(p), IGNORED, **options).item()
    assert loss(name, flux.tensor(p.T.copy()), IGNORED, axis=0, **options).item() == pytest.approx(expected)


@each_loss
def test_gradients_with_weights_and_ignored_labels_match_differences(name):
    f = lambda p: loss(name, p, IGNORED, weight=WEIGHT, ignore_index=-100)
    p = flux.tensor(OF_CLASSES[name][0])
    assert flux.gradcheck(f, p, order=2, eps=1e-5, rtol=1e-4)
    (g,) = flux.gradient(f, p)
    assert not g.numpy()[[1, 4]].any()


def test_a_weight_has_a_gradient():
    f = lambda w: flux.logitcrossentropy(flux.tensor(LOGITS), IGNORED, weight=w, ignore_index=-100)
    assert flux.gradcheck(f, WEIGHT + 0.5, order=2)


@each_loss
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_ignored_may_be_anything(name, bad):
    p = OF_CLASSES[name][0].copy()
    p[[1, 4]] = bad
    options = {"weight": WEIGHT, "ignore_index": -100}
    value, (g,) = flux.withgradient(lambda p: loss(name, p, IGNORED, **options), flux.tensor(p))
    assert value.item() == pytest.approx(
        loss(name, flux.tensor(OF_CLASSES[name][0]), IGNORED, **options).item()
    )
    assert np.isfinite(g.numpy()).all()
    assert not g.numpy()[[1, 4]].any()


@each_loss
def test_a_mean_of_nothing_is_refused_and_a_sum_is_zero(name):
    p = flux.tensor(OF_CLASSES[name][0])
    nothing = np.full(6, -100)
    with pytest.raises(
        ValueError, match=rf"^{name}: .*all 6 labels are -100, which is ignored; agg=flux.sum"
    ):
        loss(name, p, nothing, ignore_index=-100)
    with pytest.raises(ValueError, match=rf"^{name}: .*the weights of 6 labels add up to 0"):
        loss(name, p, np.full(6, 2), weight=WEIGHT)
    f = lambda p: loss(name, p, nothing, ignore_index=-100, agg=flux.sum)
    value, (g,) = flux.withgradient(f, p)
    assert value.item() == 0
    assert not g.numpy().any()


@each_loss
def test_an_ignored_label_may_be_a_class_and_others_are_checked(name):
    p = flux.tensor(OF_CLASSES[name][0])
    losses, _ = of_each(name, LABELS)
    got = loss(name, p, LABELS, ignore_index=3)
    assert got.item() == pytest.approx(losses[LABELS != 3].mean(), rel=1e-12)
    with pytest.raises(IndexError, match=rf"^{name}: label -1 at position 0"):
        loss(name, p, [-1, 0, 1, 1, -100, 3], ignore_index=-100)


@each_loss
def test_options_that_do_not_fit_say_so(name):
    p = flux.tensor(OF_CLASSES[name][0])
    with pytest.raises(flux.ShapeError, match=rf"^{name}: weight must be .* 4 classes, got shape \(3,\)"):
        loss(name, p, LABELS, weight=[1, 2, 3])
    with pytest.raises(ValueError, match=rf"^{name}: ignore_index is one of integer labels"):
        loss(name, p, SOFT, ignore_index=0)
    with pytest.raises(TypeError, match=rf"^{name}: ignore_index must be an integer, got 1\.5"):
        loss(name, p, LABELS, ignore_index=1.5)
    for name in SMOOTHED:
        with pytest.raises(ValueError, match=rf"^{name}: label_smoothing must lie between 0 and 1"):
            loss(name, p, LABELS, label_smoothing=1.5)


@each_loss
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_weighted_losses_of_narrow_numbers_are_rounded_once(name, dtype):
    p = flux.tensor(np.tile(OF_CLASSES[name][0], (4000, 1)), dtype=dtype)
    labels = np.tile(IGNORED, 4000)
    got = loss(name, p, labels, weight=WEIGHT * 1000, ignore_index=-100)
    assert got.dtype == dtype
    losses, counts = of_each(name, IGNORED, WEIGHT)
    rtol = {"float16": 3e-3, "bfloat16": 3e-2, "float32": 1e-5}[dtype]
    assert got.item() == pytest.approx(losses.sum() / counts.sum(), rel=rtol)


# Events

TRUTH = np.random.default_rng(2).random((6, 4))
HARD = (TRUTH > 0.5).astype(float)


@pytest.mark.parametrize("y", [HARD, TRUTH], ids=["hard", "soft"])
@pytest.mark.parametrize("pos_weight", [None, 3.0, WEIGHT], ids=["alike", "one", "each"])
@pytest.mark.parametrize("weight", [None, WEIGHT + 1, np.arange(6.0)[:, None]], ids=["alike", "each", "rows"])
def test_events_are_weighted_and_their_mean_is_plain(y, pos_weight, weight):
    p, q = special.log_expit(LOGITS), special.log_expit(-LOGITS)
    costs = -(1 if pos_weight is None else pos_weight) * y * p - (1 - y) * q
    expected = np.mean(costs * (1 if weight is None else weight))
    options = {"weight": weight, "pos_weight": pos_weight}
    assert flux.logitbinarycrossentropy(flux.tensor(LOGITS), y, **options).item() == pytest.approx(expected)
    got = flux.binarycrossentropy(flux.tensor(special.expit(LOGITS)), y, eps=0, **options)
    assert got.item() == pytest.approx(expected)
    f = lambda x: flux.logitbinarycrossentropy(x, y, **options)
    assert flux.gradcheck(f, LOGITS, order=2, eps=1e-5, rtol=1e-4)


def test_weighted_events_are_finite_for_large_logits():
    x = flux.tensor([[math.inf, -1e4, 1e4, -math.inf]])
    f = lambda x: flux.logitbinarycrossentropy(x, [[1, 1, 0, 0]], pos_weight=[2, 3, 4, 0], agg=flux.sum)
    value, (g,) = flux.withgradient(f, x)
    assert value.item() == 4e4
    assert g.tolist() == [[0, -3, 1, 0]]


@pytest.mark.parametrize("name", ["binarycrossentropy", "logitbinarycrossentropy"])
@pytest.mark.parametrize("option", ["weight", "pos_weight"])
def test_weights_of_events_that_do_not_broadcast_are_refused(name, option):
    with pytest.raises(
        flux.ShapeError, match=rf"^{name}: {option} of shape \(3,\) does not broadcast to .*\(6, 4\)"
    ):
        getattr(flux, name)(flux.tensor(SOFT), HARD, **{option: np.ones(3)})
    with pytest.raises(flux.ShapeError, match=rf"^{name}: {option} of shape \(2, 6, 4\) does not broadcast"):
        getattr(flux, name)(flux.tensor(SOFT), HARD, **{option: np.ones((2, 6, 4))})


def test_smoothed_labels_take_nothing_of_classes_without_weight_that_are_impossible():
    x, weight = np.array([[0.0, 1.0, -np.inf, 2.0], [1.0, 0.5, 0.0, -1.0]]), [0.5, 2.0, 0.0, 1.0]
    logs = np.where(np.isinf(x), 0, special.log_softmax(x, axis=-1))
    target = (0.8 * np.eye(4)[[3, 1]] + 0.05) * weight
    f = lambda x: flux.logitcrossentropy(x, [3, 1], weight=weight, label_smoothing=0.2, agg=flux.sum)
    np.testing.assert_allclose(f(flux.tensor(x)).item(), -(target * logs).sum(), rtol=1e-12)
    (g,) = flux.gradient(f, flux.tensor(x))
    chances = special.softmax(x, axis=-1)
    np.testing.assert_allclose(g.numpy(), chances * target.sum(-1, keepdims=True) - target, atol=1e-12)
    possible = flux.logitcrossentropy(flux.tensor(x), [3, 1], weight=np.ones(4), label_smoothing=0.2)
    assert possible.item() == np.inf


@pytest.mark.parametrize("smoothing", [0.3, 1.0])
@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_smoothed_labels_have_gradients_of_both_orders(weight, smoothing):
    options = {"weight": weight, "label_smoothing": smoothing, "ignore_index": -100}
    assert flux.gradcheck(lambda x: flux.logitcrossentropy(x, IGNORED, **options), LOGITS, order=2)
    far = flux.tensor(LOGITS + 1e4)
    np.testing.assert_allclose(
        flux.logitcrossentropy(far, IGNORED, **options).item(),
        flux.logitcrossentropy(LOGITS, IGNORED, **options).item(),
        rtol=1e-10,
    )
