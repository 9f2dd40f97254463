"""The loss of connectionist temporal classification against all alignments one by one, and NNlib's values."""

import functools
import itertools

import numpy as np
import pytest
from scipy import special

import oxiflux as flux


def x_of(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def labels_of(path, blank):
    return [k for k, _ in itertools.groupby(path) if k != blank]


def enumerated(x, y):
    """The loss by the sum over every path of classes."""
    p = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    times, classes = x.shape
    total = 0.0
    for path in itertools.product(range(classes), repeat=times):
        if labels_of(path, classes - 1) == list(y):
            total += np.prod(p[range(times), path])
    return -np.log(total) if total else np.inf


@pytest.mark.parametrize("times", [1, 2, 3, 5])
@pytest.mark.parametrize("y", [[], [0], [1, 0], [1, 1], [0, 1, 0], [1, 1, 1]])
def test_the_loss_sums_over_all_alignments(times, y):
    x = x_of(times, 3)
    y = np.array(y, np.int64)
    np.testing.assert_allclose(flux.ctc_loss(flux.tensor(x), y).item(), enumerated(x, y), rtol=1e-12)


@pytest.mark.parametrize(("times", "y"), [(1, [0]), (4, [1, 1]), (6, [0, 2, 1]), (3, []), (5, [2, 2, 2])])
def test_the_gradient_matches_finite_differences(times, y):
    x = flux.tensor(x_of(times, 4))
    assert flux.gradcheck(lambda x: 3 * flux.ctc_loss(x, np.array(y, np.int64)), x)


def test_the_values_of_nnlib():
    x = np.array([[1.0, 2.0, 3.0], [2.0, 1.0, 1.0], [3.0, 3.0, 2.0]]).T
    loss, (g,) = flux.withgradient(lambda x: flux.ctc_loss(x, [0, 1]), flux.tensor(x))
    np.testing.assert_allclose(loss.item(), 3.6990738275138035, rtol=1e-12)
    expected = [
        [-0.317671, -0.427729, 0.665241],
        [0.244728, -0.0196172, -0.829811],
        [0.0729422, 0.447346, 0.16457],
    ]
    np.testing.assert_allclose(g.numpy().T, expected, rtol=2e-6, atol=2e-6)
    x = np.array([[-3.0, 12.0, 8.0, 15.0], [4.0, 20.0, -2.0, 20.0], [8.0, -33.0, 6.0, 5.0]]).T
    loss, (g,) = flux.withgradient(lambda x: flux.losses.ctc_loss(x, [0, 1]), flux.tensor(x))
    np.testing.assert_allclose(loss.item(), 8.02519869363453, rtol=1e-12)
    expected = [
        [-2.29294774655333e-06, -0.999662657278862, 1.75500863563993e-06, 0.00669284889063],
        [0.017985914969696, 0.999662657278861, -1.9907078755387e-06, -0.006693150917307],
        [-0.01798362202195, -2.52019580677916e-20, 2.35699239251042e-07, 3.02026677058789e-07],
    ]
    np.testing.assert_allclose(g.numpy().T, expected, rtol=2e-6, atol=2e-6)


def test_long_sequences_and_large_logits_stay_finite():
    x = flux.tensor((x_of(2000, 30) * 100).astype(np.float32))
    y = np.random.default_rng(1).integers(0, 29, 400)
    loss, (g,) = flux.withgradient(lambda x: flux.ctc_loss(x, y), x)
    assert loss.dtype == "float32" and np.isfinite(loss.item()) and loss.item() > 1e4
    assert np.isfinite(g.numpy()).all()
    np.testing.assert_allclose(g.numpy().sum(axis=1), 0, atol=2e-6)


@functools.cache
def long_sequence():
    """5000 times of 6 classes, 700 labels, and the loss by the recursion in logarithms."""
    x, y = x_of(5000, 6).astype(np.float32), np.random.default_rng(1).integers(0, 5, 700)
    logp = special.log_softmax(x.astype(np.float64), axis=-1)
    states = np.full(2 * len(y) + 1, 5)
    states[1::2] = y
    skips = np.append([False, False], (states[2:] != 5) & (states[2:] != states[:-2]))
    alpha = np.full(len(states), -np.inf)
    alpha[:2] = logp[0, states[:2]]
    for p in logp[1:]:
        one, two = np.append(-np.inf, alpha[:-1]), np.append([-np.inf] * 2, alpha[:-2])
        alpha = np.logaddexp(np.logaddexp(alpha, one), np.where(skips, two, -np.inf)) + p[states]
    return x, y, -np.logaddexp(alpha[-1], alpha[-2])


@pytest.mark.parametrize(("dtype", "rtol"), [("float32", 1e-6), ("float64", 1e-12)])
def test_5000_times_agree_with_the_recursion_in_logarithms(dtype, rtol):
    x, y, expected = long_sequence()
    loss, (g,) = flux.withgradient(lambda x: flux.ctc_loss(x, y), flux.tensor(x).astype(dtype))
    assert loss.item() == pytest.approx(expected, rel=rtol)
    assert np.isfinite(g.numpy()).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_of_a_batch_each_row_counts_as_far_as_its_lengths_say(dtype):
    x, y = flux.tensor(x_of(3, 6, 4)).astype(dtype), np.array([[0, 1, 2], [1, 1, 0], [2, 0, 0]])
    times, ends = [6, 5, 2], [3, 1, 0]
    loss = lambda x, agg: flux.ctc_loss(x, y, input_lengths=times, target_lengths=ends, agg=agg)
    each = [flux.ctc_loss(x[i, :t], y[i, :n]) for i, (t, n) in enumerate(zip(times, ends, strict=True))]
    np.testing.assert_array_equal(loss(x, flux.identity).numpy(), [v.item() for v in each])
    (g,) = flux.gradient(lambda x: loss(x, flux.sum), x)
    assert g.shape == x.shape and g.dtype == dtype
    assert not g.numpy()[2, 2:].any() and g.numpy()[0].any()
    assert loss(x, flux.mean).item() == pytest.approx(np.mean([v.item() for v in each]), rel=1e-6)


def test_labels_that_do_not_count_may_be_any_number():
    x = flux.tensor(x_of(2, 6, 4))
    ends = {"target_lengths": [2, 0], "agg": flux.identity}
    padded, clean = (flux.ctc_loss(x, y, **ends) for y in ([[0, 1, 9], [-1, 3, 7]], [[0, 1, 0], [0, 0, 0]]))
    np.testing.assert_array_equal(padded.numpy(), clean.numpy())
    assert flux.ctc_loss(x, np.zeros((2, 0), int), agg=flux.identity).shape == (2,)


def test_a_row_that_is_impossible_leaves_the_second_gradient_of_the_others():
    x, y = x_of(2, 4, 3), np.array([[0, 1, 0], [1, 1, 1]])
    slopes = lambda x: flux.gradient(lambda x: flux.ctc_loss(x, y, agg=flux.sum), x)[0]
    alone = lambda x: flux.gradient(lambda x: flux.ctc_loss(x, y[0]), x)[0]
    (second,) = flux.gradient(lambda x: (slopes(x) ** 2).sum(), x)
    (expected,) = flux.gradient(lambda x: (alone(x) ** 2).sum(), x[0])
    np.testing.assert_allclose(second.numpy()[0], expected.numpy(), rtol=1e-9, atol=1e-12)
    assert not second.numpy()[1].any()


def test_a_sequence_without_times_is_an_error():
    with pytest.raises(ValueError, match="ctc_loss: 0 times"):
        flux.ctc_loss(flux.zeros((2, 4, 3)), [[0], [1]], input_lengths=[0, 4])


def test_a_batch_has_the_same_bits_on_any_number_of_threads():
    x, y = flux.tensor(x_of(9, 200, 12).astype(np.float32)), np.random.default_rng(2).integers(0, 11, (9, 40))
    before, results = flux.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            flux.set_num_threads(threads)
            loss, (g,) = flux.withgradient(lambda x: flux.ctc_loss(x, y), x)
            results.append((loss.item(), g.numpy().tobytes()))
    finally:
        flux.set_num_threads(before)
    assert len(set(results)) == 1


def test_the_gradient_of_a_batch_matches_finite_differences():
    x, y = flux.tensor(x_of(2, 4, 3)), np.array([[0, 1], [1, 1]])
    assert flux.gradcheck(lambda x: flux.ctc_loss(x, y, input_lengths=[4, 3], target_lengths=[2, 1]), x)


@pytest.mark.parametrize(
    ("lengths", "kind"),
    [
        ({"input_lengths": [4]}, flux.ShapeError),
        ({"target_lengths": 2}, flux.ShapeError),
        ({"input_lengths": [4, 5]}, ValueError),
        ({"target_lengths": [-1, 2]}, ValueError),
        ({"target_lengths": [1.5, 2]}, ValueError),
    ],
)
def test_lengths_that_do_not_fit_a_batch_are_errors(lengths, kind):
    with pytest.raises(kind, match=f"ctc_loss: {next(iter(lengths))}"):
        flux.ctc_loss(flux.zeros((2, 4, 3)), [[0, 1], [1, 0]], **lengths)


def test_lengths_without_a_batch_are_shape_errors():
    with pytest.raises(flux.ShapeError, match="ctc_loss"):
        flux.ctc_loss(flux.zeros((4, 3)), [0, 1], target_lengths=[1])


def test_more_labels_than_times_are_impossible():
    loss, (g,) = flux.withgradient(lambda x: flux.ctc_loss(x, [0, 0]), flux.tensor(x_of(2, 3)))
    assert loss.item() == np.inf
    assert not g.numpy().any()


def test_nan_stays_nan():
    x = x_of(4, 3)
    x[2, 1] = np.nan
    assert np.isnan(flux.ctc_loss(flux.tensor(x), [0, 1]).item())


@pytest.mark.parametrize(
    ("times", "y"), [(1, [0]), (1, []), (4, [1, 1]), (6, [0, 2, 1]), (3, []), (5, [2, 2, 2])]
)
def test_the_second_gradient_matches_finite_differences(times, y):
    y = np.array(y, int)
    assert flux.gradcheck(lambda x: flux.ctc_loss(x, y), x_of(times, 4), order=2, eps=1e-5, rtol=1e-4)


def test_the_second_gradient_of_the_impossible_is_zero():
    f = lambda x: flux.gradient(lambda x: flux.ctc_loss(x, [0, 0]), x)[0].sum()
    (g,) = flux.gradient(f, flux.tensor(x_of(2, 3)))
    assert g is None or not g.numpy().any()


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ((3,), (1,)),
        ((2, 3, 4), (1,)),
        ((2, 3, 4), (3, 1)),
        ((0, 3, 4), (0, 1)),
        ((3, 4), (1, 1)),
        ((0, 3), (1,)),
        ((3, 0), (0,)),
    ],
)
def test_other_shapes_are_shape_errors(x, y):
    with pytest.raises(flux.ShapeError, match="ctc_loss"):
        flux.ctc_loss(flux.zeros(x), np.zeros(y, np.int64))


@pytest.mark.parametrize("y", [[2], [-1], [0, 5]])
def test_labels_that_are_blank_or_none_are_index_errors(y):
    with pytest.raises(IndexError, match="ctc_loss"):
        flux.ctc_loss(flux.zeros((4, 3)), y)


def test_labels_that_are_no_integers_are_dtype_errors():
    with pytest.raises(flux.DTypeError, match="ctc_loss"):
        flux.ctc_loss(flux.zeros((4, 3)), np.array([0.0, 1.0]))
