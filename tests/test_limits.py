"""What is just allowed works and has its value; what is just beyond is an error. One row for each limit."""

import numpy as np
import pytest

import oxiflux as flux

X = np.arange(6.0, dtype=np.float32).reshape(2, 3) + 1
IMAGE = np.arange(1.0, 17.0, dtype=np.float32).reshape(1, 4, 4, 1)
SOUND = np.arange(1.0, 5.0)


def dropped(p):
    return flux.dropout(X, p)


def running(momentum):
    """The mean that a norm keeps after one batch."""
    layer = flux.trainmode(flux.BatchNorm(3, momentum=momentum))
    layer(X)
    return layer.mu


def parts(n):
    return [x.tolist() for x in flux.split(flux.arange(4), n)]


# name: what is allowed, its value, what is not, and its error
LIMITS = {
    "axis from the front": (lambda: flux.diff(X, axis=1, n=0), X, lambda: flux.diff(X, axis=2), IndexError),
    "axis from the end": (lambda: flux.diff(X, axis=-2), [[3, 3, 3]], lambda: flux.diff(X, axis=-3), IndexError),
    "differences of order 0": (lambda: flux.diff(X, n=0), X, lambda: flux.diff(X, n=-1), ValueError),
    "a slope that is certain": (
        lambda: flux.rrelu([-2.0], 0.5, 0.5), [-1.0], lambda: flux.rrelu([-2.0], 0.5, 0.49), ValueError,
    ),
    "one part": (lambda: parts(1), [[0, 1, 2, 3]], lambda: parts(0), ValueError),
    "no repetition": (lambda: flux.repeat(X, 0).size, 0, lambda: flux.repeat(X, -1), ValueError),
    "tensordot of no axis": (
        lambda: flux.tensordot([2.0], [3.0], axes=0), [[6]], lambda: flux.tensordot([2.0], [3.0], axes=-1), ValueError,
    ),
    "tensordot of all axes": (
        lambda: flux.tensordot(X, X, axes=2), 91, lambda: flux.tensordot(X, X, axes=3), ValueError,
    ),
    "a trace of a matrix": (lambda: flux.trace(X[:, :2]), 6, lambda: flux.trace(X[0]), IndexError),
    "every step accumulated": (lambda: flux.AccumGrad(1).n, 1, lambda: flux.AccumGrad(0), ValueError),
    "no warming up": (
        lambda: flux.OneCycle(4, 2.0, percent_start=0.0)(0), 2.0,
        lambda: flux.OneCycle(4, 2.0, percent_start=-0.01), ValueError,
    ),
    "nothing but warming up": (
        lambda: flux.OneCycle(4, 2.0, 0.0, 0.5, percent_start=1.0)(4), 0.5,
        lambda: flux.OneCycle(4, 2.0, percent_start=1.01), ValueError,
    ),
    "the first step": (lambda: flux.Exp(2.0, 0.5)(0), 2.0, lambda: flux.Exp(2.0, 0.5)(-1), ValueError),
    "a period of one": (lambda: flux.Loop(flux.Exp(2.0, 0.5), 1)(3), 2.0, lambda: flux.Loop(1.0, 0), ValueError),
    "an empty weight": (lambda: flux.glorot_uniform(0, 2).size, 0, lambda: flux.glorot_uniform(-1, 2), ValueError),
    "an orthogonal matrix": (
        lambda: abs(flux.orthogonal(1, 1)), [[1]], lambda: flux.orthogonal(3), ValueError,
    ),
    "dropping nothing": (lambda: dropped(0), X, lambda: dropped(-0.01), ValueError),
    "dropping everything": (lambda: dropped(1), 0 * X, lambda: dropped(1.01), ValueError),
    "statistics that stay": (lambda: running(0), [0, 0, 0], lambda: running(-0.01), ValueError),
    "statistics of the last batch": (lambda: running(1), [2.5, 3.5, 4.5], lambda: running(1.01), ValueError),
    "an eps of zero": (
        lambda: flux.LayerNorm(2, eps=0)([[1.0, 3.0]]), [[-1, 1]], lambda: flux.LayerNorm(2, eps=-1e-9), ValueError,
    ),
    "two values for a channel": (
        lambda: flux.trainmode(flux.BatchNorm(1, eps=0))([[1.0], [3.0]]), [[-1], [1]],
        lambda: flux.trainmode(flux.BatchNorm(1))([[1.0]]), ValueError,
    ),
    "one value for a channel without statistics": (
        lambda: flux.trainmode(flux.InstanceNorm(1))([[[5.0]]]), [[[0]]],
        lambda: flux.trainmode(flux.BatchNorm(1, track_stats=False))([[5.0]]), ValueError,
    ),
    "the last row of a table": (
        lambda: flux.Embedding(3, 1, init=flux.ones32)(2), [1],
        lambda: flux.Embedding(3, 1)(3), IndexError,
    ),
    "the first row of a table": (
        lambda: flux.Embedding(3, 1, init=flux.ones32)(0), [1], lambda: flux.Embedding(3, 1)(-1), IndexError,
    ),
    "padding of the last row": (
        lambda: flux.Embedding(3, 1, padding_idx=2).weight[2], [0],
        lambda: flux.Embedding(3, 1, padding_idx=3), IndexError,
    ),
    "bags of one label": (
        lambda: flux.EmbeddingBag(3, 1, init=flux.ones32)([2, 1], at=[0, 1]), [[1], [1]],
        lambda: flux.EmbeddingBag(3, 1)([2, 1], at=[0, 0]), ValueError,
    ),
    "the first bag starts at 0": (
        lambda: flux.EmbeddingBag(3, 1, init=flux.ones32)([2, 1], at=[0]), [[1]],
        lambda: flux.EmbeddingBag(3, 1)([2, 1], at=[1]), ValueError,
    ),
    "pad below the window": (
        lambda: flux.maxpool(IMAGE, (2, 2), pad=1)[0, :, :, 0], [[1, 3, 4], [9, 11, 12], [13, 15, 16]],
        lambda: flux.maxpool(IMAGE, (2, 2), pad=2), ValueError,
    ),
    "as many windows as pixels": (
        lambda: flux.AdaptiveMaxPool((4, 4))(IMAGE), IMAGE, lambda: flux.AdaptiveMaxPool((4, 5))(IMAGE), ValueError,
    ),
    "outpad below the stride": (
        lambda: flux.ConvTranspose((1,), 1, 1, stride=2, outpad=1, init=flux.ones32)(np.ones((1, 1, 1))),
        [[[1], [0]]], lambda: flux.ConvTranspose((1,), 1, 1, stride=2, outpad=2), ValueError,
    ),
    "a window as large as the image": (
        lambda: flux.unfold(IMAGE, (4, 4)), IMAGE.reshape(1, 1, 16), lambda: flux.unfold(IMAGE, (5, 4)), ValueError,
    ),
    "a reflection of all but the end": (
        lambda: flux.pad_reflect(X[0], (2, 0)), [3, 2, 1, 2, 3], lambda: flux.pad_reflect(X[0], (3, 0)), ValueError,
    ),
    "a mirror image of all": (
        lambda: flux.pad_symmetric(X[0], (3, 0)), [3, 2, 1, 1, 2, 3],
        lambda: flux.pad_symmetric(X[0], (4, 0)), ValueError,
    ),
    "no pad": (lambda: flux.pad_zeros(X, 0), X, lambda: flux.pad_zeros(X, -1), ValueError),
    "a frame that just fits": (
        lambda: flux.stft(SOUND, n_fft=4, center=False)[0, 0], [10, 0],
        lambda: flux.stft(SOUND, n_fft=5, center=False), ValueError,
    ),
    "a centred frame that just fits": (
        lambda: flux.stft(SOUND, n_fft=6).shape, (5, 4, 2), lambda: flux.stft(SOUND, n_fft=8), ValueError,
    ),
    "a window as long as a frame": (
        lambda: flux.stft(SOUND, n_fft=4, window=np.ones(4), center=False)[0, 0], [10, 0],
        lambda: flux.stft(SOUND, n_fft=4, window=np.ones(5), center=False), ValueError,
    ),
    "a spectrum itself": (
        lambda: flux.spectrogram(SOUND, n_fft=4, power=0).shape[-1], 2,
        lambda: flux.spectrogram(SOUND, n_fft=4, power=-0.1), ValueError,
    ),
    "scatter into the last place": (
        lambda: flux.scatter("+", [5.0], [1], dstsize=(2,)), [0, 5],
        lambda: flux.scatter("+", [5.0], [2], dstsize=(2,)), IndexError,
    ),
    "scatter into the first place": (
        lambda: flux.scatter("+", [5.0], [0]), [5], lambda: flux.scatter("+", [5.0], [-1]), IndexError,
    ),
    "gather by every axis": (
        lambda: flux.gather(X, ([1], [2])), [6], lambda: flux.gather(X, ([1], [2], [0])), IndexError,
    ),
    "as many folds as items": (
        lambda: [v for _, v in flux.kfolds([7, 8], 2)], [[7], [8]], lambda: flux.kfolds([7, 8], 3), ValueError,
    ),
    "two folds": (lambda: flux.kfolds(3, 2)[1][1].start, 2, lambda: flux.kfolds(3, 1), ValueError),
    "leaving half out": (
        lambda: [v for _, v in flux.leavepout([1, 2, 3, 4], 2)], [[1, 2], [3, 4]],
        lambda: flux.leavepout([1, 2, 3, 4], 3), ValueError,
    ),
    "all items as one part": (
        lambda: flux.splitobs(4, at=4)[0].stop, 4, lambda: flux.splitobs(4, at=5), ValueError,
    ),
    "a part without items": (lambda: flux.splitobs(4, at=0)[1].stop, 4, lambda: flux.splitobs(4, at=-1), ValueError),
    "batches of one": (
        lambda: len(flux.DataLoader(X, batchsize=1)), 2, lambda: flux.DataLoader(X, batchsize=0), ValueError,
    ),
    "one chunk": (lambda: flux.chunk([1, 2], 1), [[1, 2]], lambda: flux.chunk([1, 2], 0), ValueError),
    "chunks of one": (lambda: flux.chunk([1, 2], size=1), [[1], [2]], lambda: flux.chunk([1, 2], size=0), ValueError),
    "a chunk without items": (
        lambda: flux.chunk(X, size=[0, 2])[1], X, lambda: flux.chunk(X, size=[-1, 3]), ValueError,
    ),
    "the last item": (lambda: flux.getobs([1, 2], [1]), [2], lambda: flux.getobs([1, 2], [2]), IndexError),
    "the first item from the end": (
        lambda: flux.getobs([1, 2], [-2]), [1], lambda: flux.getobs([1, 2], [-3]), IndexError,
    ),
    "a margin of zero": (
        lambda: flux.siamese_contrastive_loss([2.0], [0.0], margin=0), 4,
        lambda: flux.siamese_contrastive_loss([2.0], [0.0], margin=-0.1), ValueError,
    ),
    "labels as long as the input": (
        lambda: np.isfinite(flux.ctc_loss(np.zeros((1, 2, 3)), [[0, 1]], input_lengths=[2]).item()), True,
        lambda: flux.ctc_loss(np.zeros((1, 2, 3)), [[0, 1]], input_lengths=[3]), ValueError,
    ),
    "little smoothing": (
        lambda: flux.label_smoothing(np.array([1.0, 0.0]), 0.5), [0.75, 0.25],
        lambda: flux.label_smoothing([1.0, 0.0], 0.0), ValueError,
    ),
    "much smoothing": (
        lambda: flux.label_smoothing(np.array([1.0, 0.0]), 0.75), [0.625, 0.375],
        lambda: flux.label_smoothing([1.0, 0.0], 1.0), ValueError,
    ),
    "called at once": (lambda: flux.throttle(lambda: 3, 0)(), 3, lambda: flux.throttle(len, -0.1), ValueError),
}  # fmt: skip


@pytest.mark.parametrize("name", LIMITS)
def test_what_is_just_allowed_has_its_value(name):
    allowed, expected, _, _ = LIMITS[name]
    found = allowed()
    np.testing.assert_allclose(
        found.numpy() if isinstance(found, flux.Tensor) else found, expected, rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("name", LIMITS)
def test_what_is_just_beyond_is_an_error(name):
    *_, beyond, error = LIMITS[name]
    with pytest.raises(error):
        beyond()


# Scores that are just good enough


def stops(stop, scores):
    return [bool(stop(score)) for score in scores]


def test_a_fall_of_the_least_distance_is_a_fall():
    make = lambda least: flux.early_stopping(lambda x: x, 1, init_score=3.0, min_dist=least)
    assert stops(make(0.5), [2.5, 2.0, 1.5]) == [False, False, False]
    assert stops(make(0.5), [2.5, 2.25]) == [False, True]


def test_a_change_of_the_least_distance_is_a_change():
    flat = lambda: flux.plateau(lambda x: x, 1, init_score=3.0, min_dist=0.5)
    assert stops(flat(), [2.5, 2.0, 2.25]) == [False, False, True]
    assert stops(flat(), [3.5, 4.0, 4.0]) == [False, False, True]


def test_patience_begins_anew_after_a_false_one():
    tired = flux.patience(lambda x: x, 3)
    assert stops(tired, [1, 1, 0, 1, 1, 1, 1]) == [False, False, False, False, False, True, True]
    assert stops(flux.patience(lambda x: x, 1), [0, 1]) == [False, True]


def test_a_gradient_of_just_the_norm_is_not_shortened():
    for g, expected in (([3.0, 4.0], [3.0, 4.0]), ([6.0, 8.0], [3.0, 4.0])):
        model = {"w": flux.zeros(2, dtype="float64")}
        flux.update(flux.setup(flux.ClipNorm(5.0), model), model, {"w": flux.tensor(np.array(g))})
        np.testing.assert_allclose(-model["w"].numpy(), expected, rtol=1e-15)
