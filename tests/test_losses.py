"""Losses against NumPy, their gradients against differences, and what they refuse."""

import math

import numpy as np
import pytest
from scipy import special

import oxiflux as flux


# Name, options, how the prediction and the target are drawn, and the loss of each element (or row) in NumPy.
def huber(p, t, delta=1.0):
    d = abs(p - t)
    return np.where(d <= delta, d**2 / 2, delta * (d - delta / 2))


def focal(p, t, gamma=2):
    return -(t * (1 - p) ** gamma * np.log(p)).sum(-1)


def binary_focal(p, t, gamma=2):
    q = t * p + (1 - t) * (1 - p)
    return -((1 - q) ** gamma) * np.log(q)


ELEMENTWISE = [
    ("mae", {}, "real", "real", lambda p, t: abs(p - t)),
    ("mse", {}, "real", "real", lambda p, t: (p - t) ** 2),
    ("msle", {}, "positive", "positive", lambda p, t: np.log(p / t) ** 2),
    ("huber_loss", {}, "real", "real", huber),
    ("huber_loss", {"delta": 0.3}, "real", "real", lambda p, t: huber(p, t, 0.3)),
    (
        "binarycrossentropy",
        {},
        "unit",
        "unit",
        lambda p, t: -special.xlogy(t, p) - special.xlogy(1 - t, 1 - p),
    ),
    ("logitbinarycrossentropy", {}, "real", "unit", lambda p, t: (1 - t) * p - special.log_expit(p)),
    ("poisson_loss", {}, "positive", "positive", lambda p, t: p - t * np.log(p)),
    ("hinge_loss", {}, "real", "sign", lambda p, t: np.maximum(0, 1 - p * t)),
    ("squared_hinge_loss", {}, "real", "sign", lambda p, t: np.maximum(0, 1 - p * t) ** 2),
    ("binary_focal_loss", {}, "unit", "unit", binary_focal),
    ("binary_focal_loss", {"gamma": 0.5}, "unit", "unit", lambda p, t: binary_focal(p, t, 0.5)),
    (
        "siamese_contrastive_loss",
        {},
        "positive",
        "unit",
        lambda p, t: (1 - t) * p**2 + t * np.maximum(0, 1 - p) ** 2,
    ),
]
ROWWISE = [
    ("crossentropy", {}, "rows", "rows", lambda p, t: -(t * np.log(p)).sum(-1)),
    ("logitcrossentropy", {}, "real", "rows", lambda p, t: -(t * special.log_softmax(p, axis=-1)).sum(-1)),
    ("nll_loss", {}, "logs", "rows", lambda p, t: -(t * p).sum(-1)),
    ("kldivergence", {}, "rows", "rows", lambda p, t: special.rel_entr(t, p).sum(-1)),
    ("focal_loss", {}, "rows", "rows", focal),
    ("focal_loss", {"gamma": 3}, "rows", "rows", lambda p, t: focal(p, t, 3)),
]
WHOLE = [
    (
        "dice_coeff_loss",
        {"smooth": 0.5},
        "unit",
        "unit",
        lambda p, t: 1 - (2 * (p * t).sum() + 0.5) / ((p**2).sum() + (t**2).sum() + 0.5),
    ),
    (
        "tversky_loss",
        {"beta": 0.6},
        "unit",
        "unit",
        lambda p, t: 1 - ((p * t).sum() + 1) / ((p * t + 0.6 * (1 - t) * p + 0.4 * t * (1 - p)).sum() + 1),
    ),
]
EVERY = [*ELEMENTWISE, *ROWWISE, *WHOLE]
NAMES = sorted({name for name, *_ in EVERY})
LABELLED = ["crossentropy", "logitcrossentropy", "focal_loss", "nll_loss"]


def test_the_tables_have_every_loss():
    # Of one sequence, of two or three vectors, and no loss; they have tests of their own.
    others = {"ctc_loss", "label_smoothing"} | {
        "cosine_embedding_loss",
        "margin_ranking_loss",
        "triplet_margin_loss",
    }
    assert set(NAMES) | others == set(flux.losses.__all__)


def draw(kind, shape, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape)
    return {
        "real": x,
        "positive": np.exp(x),
        "unit": special.expit(x),
        "sign": np.where(x > 0, 1.0, -1.0),
        "rows": special.softmax(x, axis=-1),
        "logs": special.log_softmax(x, axis=-1),
    }[kind]


def case_id(case):
    return case[0] + "".join(f"-{k}={v}" for k, v in case[1].items())


@pytest.mark.parametrize("case", EVERY, ids=case_id)
@pytest.mark.parametrize("shape", [(1,), (63,), (7, 3), (2, 5, 4)])
def test_loss_equals_its_formula(case, shape):
    name, options, kind_p, kind_t, formula = case
    p, t = draw(kind_p, shape, 1), draw(kind_t, shape, 2)
    result = getattr(flux, name)(flux.tensor(p), t, **options)
    assert result.shape == ()
    assert result.dtype == "float64"
    assert result.item() == pytest.approx(np.mean(formula(p, t)), rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("case", [*ELEMENTWISE, *ROWWISE], ids=case_id)
def test_agg_gets_the_loss_of_each(case):
    name, options, kind_p, kind_t, formula = case
    p, t = draw(kind_p, (7, 3), 1), draw(kind_t, (7, 3), 2)
    each = getattr(flux, name)(flux.tensor(p), t, agg=lambda x: x, **options).numpy()
    np.testing.assert_allclose(each, formula(p, t), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("case", EVERY, ids=case_id)
def test_gradients_of_first_and_second_order_match_differences(case):
    name, options, kind_p, kind_t, _ = case
    p, t = draw(kind_p, (3, 5), 3), draw(kind_t, (3, 5), 4)
    loss = getattr(flux, name)
    assert flux.gradcheck(lambda x: loss(x, t, **options), p, order=2, eps=1e-5, rtol=1e-4)


@pytest.mark.parametrize("case", [c for c in EVERY if c[3] != "sign"], ids=case_id)
def test_the_target_has_a_gradient_too(case):
    name, options, kind_p, kind_t, _ = case
    p, t = draw(kind_p, (3, 5), 3), draw(kind_t, (3, 5), 4)
    loss = getattr(flux, name)
    assert flux.gradcheck(lambda x: loss(flux.tensor(p), x, **options), t, eps=1e-5, rtol=1e-4)


@pytest.mark.parametrize("case", EVERY, ids=case_id)
def test_float32_predictions_give_float32(case):
    name, options, kind_p, kind_t, formula = case
    p, t = draw(kind_p, (7, 3), 1), draw(kind_t, (7, 3), 2)
    result = getattr(flux, name)(flux.tensor(p.astype(np.float32)), flux.tensor(t), **options)
    assert result.dtype == "float32"
    assert result.item() == pytest.approx(np.mean(formula(p, t)), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_prediction_is_not_broadcast_against_a_target(name):
    with pytest.raises(flux.ShapeError, match=rf"^{name}: prediction \(32, 5\) and target \(32, 1, 1\) "):
        getattr(flux, name)(flux.ones((32, 5)), flux.ones((32, 1, 1)))


@pytest.mark.parametrize(
    ("p", "t", "mend"),
    [
        ((32, 1), (32,), "y[:, None]"),
        ((4, 32, 1), (4, 32), "y[..., None]"),
        ((32,), (32, 1), "y[:, 0]"),
        ((4, 32), (4, 32, 1), "y[..., 0]"),
        ((32, 1), (1, 32), "y.reshape(32, 1)"),
        ((32, 1), (1, 1, 32), "y.reshape(32, 1)"),
    ],
)
@pytest.mark.parametrize(
    "name", [*sorted({name for name, *_ in ELEMENTWISE}), "dice_coeff_loss", "tversky_loss"]
)
def test_the_message_says_how_to_mend_the_shape(name, p, t, mend):
    with pytest.raises(flux.ShapeError) as error:
        getattr(flux, name)(flux.ones(p), flux.ones(t))
    assert str(error.value) == f"{name}: prediction {p} and target {t} have different shapes; use {mend}"
    y = flux.ones(t)
    assert eval(mend, {"y": y}).shape == p


@pytest.mark.parametrize("shape", [(32, 2), (2, 32), (33,)])
def test_no_mending_is_suggested_where_there_is_none(shape):
    with pytest.raises(flux.ShapeError, match=r"different shapes$"):
        flux.mse(flux.ones((32, 1)), flux.ones(shape))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
def test_an_empty_batch_is_refused(name, shape):
    with pytest.raises(ValueError, match=f"{name}: there is nothing"):
        getattr(flux, name)(flux.ones(shape), flux.ones(shape))


@pytest.mark.parametrize("name", ["mse", "mae"])
@pytest.mark.parametrize(
    "target",
    [
        np.array([1, 2, 3]),
        np.array([1, 2, 3], np.uint8),
        [1, 2, 3],
        (1, 2, 3),
        range(1, 4),
        np.array([1.0, 2, 3]),
    ],
)
def test_targets_of_every_kind_take_the_dtype_of_the_prediction(name, target):
    result = getattr(flux, name)(flux.tensor([1.5, 2.5, 3.5]), target)
    assert result.dtype == "float32"
    assert result.item() == (0.25 if name == "mse" else 0.5)


def test_a_float64_tensor_as_target_does_not_widen_the_loss():
    loss = flux.mse(flux.tensor([1.5]), flux.tensor(np.array([1.0])))
    assert loss.dtype == "float32"


def test_predictions_may_be_integers():
    assert flux.mse(np.array([1, 3]), np.array([2, 5])).item() == 2.5
    assert flux.mae([1, 3], [2, 5]).item() == 1.5


def test_predictions_of_booleans_and_targets_of_booleans():
    assert flux.mse([True, False], [True, True]).item() == 0.5


def test_a_strided_prediction_is_read_right():
    p = np.random.default_rng(0).normal(size=(6, 8))
    got = flux.mse(flux.tensor(p).T[::2], p.T[::2] + 1)
    assert got.item() == pytest.approx(1)


# Integer labels


@pytest.mark.parametrize("name", LABELLED)
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64, np.uint64, np.float32])
@pytest.mark.parametrize("shape", [(1,), (7,), (3, 5)])
def test_labels_equal_their_one_hot_rows(name, dtype, shape):
    labels = np.random.default_rng(1).integers(0, 4, shape)
    p = flux.tensor(draw("rows", (*shape, 4), 0))
    loss = getattr(flux, name)
    expected = loss(p, np.eye(4)[labels]).item()
    assert loss(p, labels.astype(dtype)).item() == pytest.approx(expected, rel=1e-12)
    assert loss(p, flux.onehotbatch(labels, range(4))).item() == pytest.approx(expected, rel=1e-12)
    assert loss(p, labels.tolist()).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", LABELLED)
def test_a_single_observation_has_a_single_label(name):
    p = flux.tensor(draw("rows", (4,), 0))
    assert getattr(flux, name)(p, 2).item() == pytest.approx(
        getattr(flux, name)(p, [0, 0, 1, 0]).item(), rel=1e-6
    )


@pytest.mark.parametrize("name", LABELLED)
@pytest.mark.parametrize("axis", [0, 1, -2])
def test_classes_may_lie_on_another_axis(name, axis):
    p = draw("rows", (4, 3, 4), 0)
    labels = np.random.default_rng(1).integers(0, p.shape[axis], np.delete(p.shape, axis))
    expected = getattr(flux, name)(flux.tensor(np.moveaxis(p, axis, -1).copy()), labels).item()
    assert getattr(flux, name)(flux.tensor(p), labels, axis=axis).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", LABELLED)
def test_labels_have_the_gradient_of_one_hot_rows(name):
    labels = np.array([3, 0, 2])
    p = flux.tensor(draw("rows", (3, 4), 0))
    loss = getattr(flux, name)
    (got,) = flux.gradient(lambda x: loss(x, labels), p)
    (expected,) = flux.gradient(lambda x: loss(x, np.eye(4)[labels]), p)
    np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", LABELLED)
@pytest.mark.parametrize(("label", "position"), [(10, 1), (-1, 0), (4, 2), (2**40, 2)])
def test_a_label_out_of_range_is_named_with_its_place(name, label, position):
    labels = np.zeros(3, np.int64)
    labels[position] = label
    with pytest.raises(
        IndexError, match=rf"^{name}: label {label} at position {position} is not one of the classes 0 to 3"
    ):
        getattr(flux, name)(flux.ones((3, 4)) / 4, labels)


@pytest.mark.parametrize("name", LABELLED)
@pytest.mark.parametrize("label", [math.nan, 0.5, math.inf])
def test_a_label_that_is_no_integer_is_refused(name, label):
    with pytest.raises((ValueError, IndexError), match=rf"{name}: label {label} at position 1, 0 is not"):
        getattr(flux, name)(flux.ones((2, 1, 3)) / 3, np.array([[0.0], [label]]))


@pytest.mark.parametrize("name", LABELLED)
def test_a_nan_label_is_a_value_error(name):
    with pytest.raises(ValueError, match="nan"):
        getattr(flux, name)(flux.ones((2, 3)) / 3, [0.0, math.nan])


@pytest.mark.parametrize("name", LABELLED)
def test_a_column_of_labels_is_refused_with_a_hint(name):
    with pytest.raises(
        flux.ShapeError,
        match=rf"{name}: prediction \(5, 3\) and labels \(5, 1\) do not fit; use y\[\.\.\., 0\]",
    ):
        getattr(flux, name)(flux.ones((5, 3)) / 3, np.zeros((5, 1), int))


@pytest.mark.parametrize("name", LABELLED)
def test_an_axis_out_of_range_is_refused(name):
    with pytest.raises(IndexError, match="axis 2"):
        getattr(flux, name)(flux.ones((5, 3)) / 3, np.zeros(5, int), axis=2)


# Extremes


def test_crossentropies_are_finite_for_certain_and_wrong_predictions():
    p, eps = flux.tensor([[1.0, 0.0], [0.0, 1.0]]), 2.0**-23
    value, (g,) = flux.withgradient(lambda x: flux.crossentropy(x, [1, 0]), p)
    assert value.item() == pytest.approx(-math.log(eps), rel=1e-6)
    np.testing.assert_allclose(g.numpy(), [[0, -0.5 / eps], [-0.5 / eps, 0]], rtol=1e-6)
    value, (g,) = flux.withgradient(lambda x: flux.binarycrossentropy(x, [[0, 1], [1, 0]]), p)
    assert value.item() == pytest.approx(-math.log(eps), rel=1e-6)
    slope = 0.25 / eps
    np.testing.assert_allclose(g.numpy(), [[slope, -slope], [-slope, slope]], rtol=1e-6)


@pytest.mark.parametrize("scale", [300.0, 1e4])
def test_logit_losses_and_their_gradients_are_finite_for_large_logits(scale):
    logits = flux.tensor(np.array([[scale, -scale, 0.0], [-scale, 0.0, scale]], np.float32))
    value, (g,) = flux.withgradient(lambda x: flux.logitcrossentropy(x, [1, 0]), logits)
    assert value.item() == pytest.approx(2 * scale, rel=1e-6)
    np.testing.assert_allclose(g.numpy(), [[0.5, -0.5, 0], [-0.5, 0, 0.5]], atol=1e-6)
    y = [[0, 1, 1], [1, 0, 0]]
    value, (g,) = flux.withgradient(lambda x: flux.logitbinarycrossentropy(x, y), logits)
    # Four are wrong by the whole logit, two are on the fence.
    assert value.item() == pytest.approx((4 * scale + 2 * math.log(2)) / 6, rel=1e-6)
    np.testing.assert_allclose(g.numpy() * 6, [[1, -1, -0.5], [-1, 0.5, 1]], atol=1e-6)


def test_a_class_without_weight_and_without_probability_costs_nothing():
    value, (g,) = flux.withgradient(
        lambda x: flux.crossentropy(x, [[0.5, 0.5, 0.0]], eps=0), flux.tensor([[0.5, 0.5, 0.0]])
    )
    assert value.item() == pytest.approx(math.log(2))
    assert g.tolist() == [[-1.0, -1.0, 0.0]]


def test_nan_in_a_prediction_shows_in_the_loss():
    assert math.isnan(flux.mse([math.nan, 1.0], [0.0, 1.0]).item())


def test_label_smoothing_of_binary_labels():
    assert flux.label_smoothing([1.0, 0.0], 0.2, axis=None).tolist() == pytest.approx([0.9, 0.1])


def test_label_smoothing_of_no_classes_and_along_an_axis_that_is_not_there():
    assert flux.label_smoothing(np.zeros((3, 0)), 0.2).shape == (3, 0)
    with pytest.raises(IndexError, match="label_smoothing: axis 2 is out of range for 2 dimensions"):
        flux.label_smoothing(np.eye(3), 0.2, axis=2)


def test_label_smoothing_along_another_axis():
    smooth = flux.label_smoothing(np.eye(4)[:, :2], 0.4, axis=0).numpy()
    np.testing.assert_allclose(smooth, np.eye(4)[:, :2] * 0.6 + 0.1)


def test_losses_are_at_top_level_too():
    for name in flux.losses.__all__:
        assert getattr(flux, name) is getattr(flux.losses, name)
