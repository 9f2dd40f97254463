"""Draws from given distributions: their moments, their seeds, and the gradients of what they depend on."""

import numpy as np
import pytest

import oxiflux as flux


def rng():
    return flux.Generator(7)


def test_the_same_seed_gives_the_same_numbers():
    for draw in (
        lambda: flux.normal(1.0, 2.0, (5,)),
        lambda: flux.bernoulli(0.5, (50,)),
        lambda: flux.multinomial(np.ones(9), 5),
        lambda: flux.multinomial(np.ones(9), 5, replacement=True),
        lambda: flux.gumbel_softmax(np.zeros(6)),
    ):
        flux.seed(3)
        first = draw().numpy()
        second = draw().numpy()
        flux.seed(3)
        np.testing.assert_array_equal(draw().numpy(), first)
        assert (first != second).any()


def test_normal_has_its_moments_and_its_gradients():
    mean, std = np.array([-5.0, 0.0, 100.0]), np.array([1.0, 0.1, 20.0])
    x = flux.normal(mean, std, (40_000, 3), rng=rng()).numpy()
    np.testing.assert_allclose(x.mean(0), mean, atol=0.5)
    np.testing.assert_allclose(x.std(0), std, rtol=0.02)
    assert flux.gradcheck(lambda m, s: flux.normal(m, s, rng=rng()) ** 2, mean, std, order=2)
    assert (
        flux.normal([1, 2], 1).dtype == "float32"
        and flux.normal(0.0, 1.0, 3, dtype="float64").dtype == "float64"
    )
    assert flux.normal(mean.reshape(3, 1), std).shape == (3, 3)
    assert flux.normal(2.0, 0.0, (2,)).tolist() == [2, 2]
    with pytest.raises(ValueError, match="at most 64 axes"):
        flux.normal(shape=range(2**40))
    with pytest.raises(ValueError, match="normal: a standard deviation is 0 or more, got -1"):
        flux.normal(0.0, [-1.0, 1.0])


def test_bernoulli_is_true_as_often_as_it_says():
    p = np.array([0.0, 0.1, 0.5, 1.0])
    x = flux.bernoulli(p, (40_000, 4), rng=rng())
    np.testing.assert_allclose(x.numpy().mean(0), p, atol=0.01)
    assert x.dtype == "float64" and set(x.numpy().ravel()) == {0.0, 1.0}
    assert (
        flux.bernoulli(0.5, dtype="bool").dtype == "bool"
        and flux.bernoulli(flux.tensor(0.5, dtype="float16")).dtype == "float16"
    )
    for bad in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match="bernoulli: probabilities are between 0 and 1"):
            flux.bernoulli([0.5, bad])
    assert (
        flux.gradient(lambda p: (p * flux.bernoulli(p, rng=rng())).sum(), np.full(4, 1.0))[0].tolist()
        == [1] * 4
    )


@pytest.mark.parametrize("replacement", [False, True])
def test_multinomial_draws_by_its_probabilities(replacement):
    p = np.array([[1.0, 3.0, 0.0, 6.0], [0.0, 0.0, 0.5, 0.5]])
    one = flux.multinomial(np.repeat(p[:1], 20_000, 0), 1, replacement, rng=rng()).numpy()
    np.testing.assert_allclose(np.bincount(one.ravel(), minlength=4) / 20_000, [0.1, 0.3, 0, 0.6], atol=0.02)
    two = flux.multinomial(p, 2, replacement, rng=rng())
    assert two.shape == (2, 2) and two.dtype == "int64" and (p[[[0], [1]], two.numpy()] > 0).all()
    if not replacement:
        assert sorted(two[1].tolist()) == [2, 3]


def test_the_order_of_draws_without_replacement_follows_the_probabilities():
    drawn = flux.multinomial(np.repeat([[1.0, 2.0, 7.0]], 20_000, 0), 2, rng=rng()).numpy()
    pairs = np.zeros((3, 3))
    np.add.at(pairs, tuple(drawn.T), 1 / 20_000)
    p = np.array([0.1, 0.2, 0.7])
    expected = np.outer(p, p) / (1 - p[:, None])
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(pairs, expected, atol=0.02)


def test_what_cannot_be_drawn():
    for p, n, message in [
        ([1.0, -1.0], 1, "got -1"),
        ([1.0, np.nan], 1, "got nan"),
        ([1.0, np.inf], 1, "got inf"),
        ([0.0, 1.0], 2, "2 numbers of 1"),
        ([0.0, 0.0], 1, "above 0"),
        ([1.0], -1, "-1 is not a number of draws"),
        ([], 1, "expected probabilities"),
    ]:
        with pytest.raises(ValueError, match=message):
            flux.multinomial(p, n)
    assert flux.multinomial([[1.0], [2.0]], 0).shape == (2, 0)
    assert flux.multinomial(np.zeros((0, 3)), 2, replacement=True).shape == (0, 2)
    assert flux.multinomial([1, 0, 2], 2).shape == (2,)


def test_gumbel_softmax_draws_categories_by_their_softmax():
    logits = np.log([[0.1, 0.3, 0.6]])
    hard = flux.gumbel_softmax(np.repeat(logits, 20_000, 0), hard=True, rng=rng()).numpy()
    assert set(hard.ravel()) == {0.0, 1.0} and (hard.sum(1) == 1).all()
    np.testing.assert_allclose(hard.mean(0), [0.1, 0.3, 0.6], atol=0.02)
    soft = flux.gumbel_softmax(logits, tau=0.5, rng=rng())
    assert soft.sum().item() == pytest.approx(1) and soft.dtype == "float64"
    by_column = flux.gumbel_softmax(np.zeros((3, 4)), hard=True, axis=0, rng=rng()).numpy()
    assert (by_column.sum(0) == 1).all()


def test_the_hard_choice_has_the_gradient_of_the_soft_one():
    logits, weights = np.array([0.3, -0.2, 0.9]), np.array([1.0, 5.0, -2.0])
    f = lambda hard: flux.gradient(
        lambda x: (flux.gumbel_softmax(x, 0.7, hard, rng=rng()) * weights).sum(), logits
    )
    np.testing.assert_allclose(f(True)[0].numpy(), f(False)[0].numpy(), rtol=1e-12)
    assert flux.gradcheck(lambda x: flux.gumbel_softmax(x, 0.7, rng=rng()), logits, order=2)
    for bad in (0, -1.0, np.nan):
        with pytest.raises(ValueError, match="gumbel_softmax: tau is above 0"):
            flux.gumbel_softmax(logits, bad)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_gumbel_softmax_of_other_types(dtype):
    y = flux.gumbel_softmax(flux.zeros((50, 4), dtype=dtype), hard=True)
    assert y.dtype == dtype and y.sum(1).tolist() == [1] * 50


DRAWS = {
    "normal": lambda d: flux.normal(dtype=d),
    "randn": lambda d: flux.randn(3, dtype=d),
    "rand": lambda d: flux.rand(3, dtype=d),
}


@pytest.mark.parametrize("name", DRAWS)
def test_integers_are_no_type_of_random_floats(name):
    with pytest.raises(flux.DTypeError, match=f"{name}: int32 is not a floating type; randint"):
        DRAWS[name]("int32")
