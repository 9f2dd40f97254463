"""Losses: what each option does, by the formula of each element or row."""

import numpy as np
from scipy import special

import oxiflux as flux
from options.rows import Pair, Row, numbers
from test_margins import cosine_embedding, ranking, triplet

REAL, TARGET = numbers(5, 4) * 2, numbers(5, 4, seed=1) * 2
POSITIVE, POSITIVE_TARGET = np.exp(REAL), np.exp(TARGET)
UNIT, UNIT_TARGET = special.expit(REAL), special.expit(TARGET)
ROWS_, ROW_TARGETS = special.softmax(REAL, axis=-1), special.softmax(TARGET, axis=-1)
SIGN = np.where(TARGET > 0, 1.0, -1.0).astype(np.float32)
EPS = 2.0**-23
SUM = Pair(flux.sum, np.sum)


def loss(name, p, t, each, **turned):
    """A loss with `agg` of what `each(p, t, **options)` gives."""
    return Row(
        lambda **o: getattr(flux, name)(flux.tensor(p.astype(np.float32)), t.astype(np.float32), **o),
        lambda agg=np.mean, **o: agg(each(p.astype(np.float64), t.astype(np.float64), **o)),
        {"agg": SUM} | turned,
        1e-5,
    )


def whole(name, each, **turned):
    """A loss of the whole batch at once."""
    return Row(
        lambda **o: getattr(flux, name)(UNIT / 2, UNIT_TARGET, **o),
        lambda **o: each(UNIT / 2, UNIT_TARGET, **o),
        turned,
        1e-5,
    )


def huber(p, t, delta=1):
    d = abs(p - t)
    return np.where(d <= delta, d**2 / 2, delta * (d - delta / 2))


def classes(t, weight=1, label_smoothing=0):
    return (t * (1 - label_smoothing) + label_smoothing / 4) * weight


def focal(p, t, axis=-1, gamma=2, eps=EPS, weight=1):
    return (-(t * weight) * np.maximum(0, 1 - p - eps) ** gamma * np.log(p + eps)).sum(axis)


def binary_focal(p, t, gamma=2, eps=EPS):
    q = t * (p + eps) + (1 - t) * (1 - p + eps)
    return -(np.maximum(0, 1 - q) ** gamma) * np.log(q)


def contrastive(p, t, margin=1):
    return (1 - t) * p**2 + t * np.maximum(0, margin - p) ** 2


def dice(p, t, smooth=1):
    return 1 - (2 * (p * t).sum() + smooth) / ((p**2).sum() + (t**2).sum() + smooth)


def tversky(p, t, beta=0.7):
    hit, false_positive, false_negative = (p * t).sum(), (p * (1 - t)).sum(), ((1 - p) * t).sum()
    return 1 - (hit + 1) / (hit + beta * false_positive + (1 - beta) * false_negative + 1)


CTC_LOGITS, CTC_LABELS = numbers(2, 3, 3), np.array([[0, 1], [1, 0]])


def alignments(logits, labels):
    """`-log P(labels)` by trying all ways to name a class at each time."""
    p, blank, total = special.softmax(logits.astype(np.float64), axis=-1), logits.shape[-1] - 1, 0.0
    for path in np.ndindex(*logits.shape[-1:] * len(logits)):
        kept = [c for i, c in enumerate(path) if (i == 0 or c != path[i - 1]) and c != blank]
        if kept == list(labels):
            total += np.prod([p[i, c] for i, c in enumerate(path)])
    return -np.log(total)


def ctc(agg=np.mean, input_lengths=(3, 3), target_lengths=(2, 2)):
    rows = zip(CTC_LOGITS, CTC_LABELS, input_lengths, target_lengths, strict=True)
    return agg([alignments(x[:n], y[:m]) for x, y, n, m in rows])


ROWS = {
    "mae": loss("mae", REAL, TARGET, lambda p, t: abs(p - t)),
    "mse": loss("mse", REAL, TARGET, lambda p, t: (p - t) ** 2),
    "msle": loss(
        "msle", POSITIVE, POSITIVE_TARGET, lambda p, t, eps=EPS: np.log((p + eps) / (t + eps)) ** 2, eps=0.5
    ),
    "huber_loss": loss("huber_loss", REAL, TARGET, huber, delta=0.25),
    "crossentropy": loss(
        "crossentropy", ROWS_, ROW_TARGETS,
        lambda p, t, axis=-1, eps=EPS, **o: -(classes(t, **o) * np.log(p + eps)).sum(axis),
        axis=0, eps=0.5, weight=[1, 2, 3, 4], label_smoothing=0.5,
    ),
    "logitcrossentropy": loss(
        "logitcrossentropy", REAL, ROW_TARGETS,
        lambda p, t, axis=-1, **o: -(classes(t, **o) * special.log_softmax(p, axis=axis)).sum(axis),
        axis=0, weight=[1, 2, 3, 4], label_smoothing=0.5,
    ),
    "nll_loss": loss(
        "nll_loss", np.log(ROWS_), ROW_TARGETS, lambda p, t, axis=-1, **o: -(classes(t, **o) * p).sum(axis),
        axis=0, weight=[1, 2, 3, 4],
    ),
    "binarycrossentropy": loss(
        "binarycrossentropy", UNIT, UNIT_TARGET,
        lambda p, t, eps=EPS, weight=1, pos_weight=1: (
            -weight * (pos_weight * t * np.log(p + eps) + (1 - t) * np.log(1 - p + eps))
        ),
        eps=0.5, weight=3, pos_weight=[1, 2, 3, 4],
    ),
    "logitbinarycrossentropy": loss(
        "logitbinarycrossentropy", REAL, UNIT_TARGET,
        lambda p, t, weight=1, pos_weight=1: (
            -weight * (pos_weight * t * special.log_expit(p) + (1 - t) * special.log_expit(-p))
        ),
        weight=3, pos_weight=[1, 2, 3, 4],
    ),
    "kldivergence": loss(
        "kldivergence", ROWS_, ROW_TARGETS,
        lambda p, t, axis=-1, eps=EPS: (t * np.log(t) - t * np.log(p + eps)).sum(axis), axis=0, eps=0.5,
    ),
    "poisson_loss": loss("poisson_loss", POSITIVE, POSITIVE_TARGET, lambda p, t: p - t * np.log(p)),
    "hinge_loss": loss("hinge_loss", REAL, SIGN, lambda p, t: np.maximum(0, 1 - p * t)),
    "squared_hinge_loss": loss("squared_hinge_loss", REAL, SIGN, lambda p, t: np.maximum(0, 1 - p * t) ** 2),
    "binary_focal_loss": loss("binary_focal_loss", UNIT, UNIT_TARGET, binary_focal, gamma=0.5, eps=0.1),
    "focal_loss": loss("focal_loss", ROWS_, ROW_TARGETS, focal, axis=0, gamma=0.5, eps=0.1, weight=[1, 2, 3, 4]),
    "siamese_contrastive_loss": loss(
        "siamese_contrastive_loss", POSITIVE, UNIT_TARGET, contrastive, margin=3
    ),
    "triplet_margin_loss": Row(
        lambda **o: flux.triplet_margin_loss(REAL, TARGET, POSITIVE, **o),
        lambda agg=np.mean, **o: agg(triplet(REAL, TARGET, POSITIVE, **o)),
        {"agg": SUM, "margin": 2, "p": 1, "eps": 0.5, "swap": True},
        1e-5,
    ),
    "cosine_embedding_loss": Row(
        lambda **o: flux.cosine_embedding_loss(REAL, POSITIVE, SIGN[:, 0], **o),
        lambda agg=np.mean, **o: agg(cosine_embedding(REAL, POSITIVE, SIGN[:, 0], **o)),
        {"agg": SUM, "margin": -0.5},
        1e-5,
    ),
    "margin_ranking_loss": Row(
        lambda **o: flux.margin_ranking_loss(REAL, TARGET, SIGN, **o),
        lambda agg=np.mean, **o: agg(ranking(REAL, TARGET, SIGN, **o)),
        {"agg": SUM, "margin": 0.5},
        1e-5,
    ),
    "dice_coeff_loss": whole("dice_coeff_loss", dice, smooth=9),
    "tversky_loss": whole("tversky_loss", tversky, beta=0.2),
    "label_smoothing": Row(
        lambda **o: flux.label_smoothing(UNIT, 0.2, **o),
        lambda axis=-1: UNIT * 0.8 + 0.2 / (2 if axis is None else UNIT.shape[axis]),
        {"axis": None},
        1e-5,
    ),
    "ctc_loss": Row(
        lambda **o: flux.ctc_loss(CTC_LOGITS, CTC_LABELS, **o),
        ctc,
        {"agg": SUM, "input_lengths": [3, 2], "target_lengths": [1, 2]},
        1e-5,
    ),
}  # fmt: skip
