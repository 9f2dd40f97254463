"""The examples of Flux's documentation for Embedding and EmbeddingBag, in Python: labels from 0, one row a label."""

import string

import numpy as np

import oxiflux as flux


def test_embedding_prints_its_sizes():
    e = flux.Embedding(26, 4, init=flux.identity_init(gain=22))
    assert repr(e) == "Embedding(26 => 4)  # 104 parameters"
    assert e(1).tolist() == [0.0, 22.0, 0.0, 0.0]
    assert e([2, 19, 0, 19, 14, 17, 24, 0, 18, 18]).shape == (10, 4)


def test_embedding_of_letters_and_of_their_one_hot_rows():
    e = flux.Embedding(26, 4)
    hot = flux.onehotbatch("flux", string.ascii_lowercase)
    assert bool(flux.all(e(hot) == e([string.ascii_lowercase.index(c) for c in "flux"])))


def test_embedding_keeps_further_axes():
    e, x = flux.Embedding(26, 4), flux.randint(0, 26, (12, 1, 10))
    np.testing.assert_array_equal(e(x).numpy(), e.weight.numpy()[x.numpy()])


def eb():
    return flux.EmbeddingBag(26, 3, init=flux.identity_init(gain=100))


def test_one_bag():
    assert repr(eb()) == "EmbeddingBag(26 => 3)  # 78 parameters"
    assert eb()([1]).tolist() == [0.0, 100.0, 0.0]
    np.testing.assert_allclose(eb()([2, 2, 0]).numpy(), [33.333332, 0, 66.666664], rtol=1e-6)


def test_two_bags():
    expected = [[33.3333, 0, 66.6667], [50, 50, 0]]
    np.testing.assert_allclose(eb()([[2, 0, 2], [1, 0]]).numpy(), expected, rtol=5e-6)


def test_bags_of_one_length_are_an_array():
    expected = [[100, 0, 0], [50, 50, 0], [50, 0, 50], [50, 0, 0]]
    assert eb()([[0, 0], [0, 1], [0, 2], [0, 3]]).tolist() == expected
    assert eb()(flux.randint(0, 26, (5, 5, 10))).shape == (5, 5, 3)


def test_bags_in_one_vector():
    data, at = [10, 0, 11, 1, 12, 2, 13], [0, 2, 5]
    expected = [[50, 0, 0], [0, 33.3333, 0], [0, 0, 50]]
    np.testing.assert_allclose(eb()(data, at).numpy(), expected, rtol=5e-6)


def test_bags_as_one_hot_rows():
    hot = flux.onehotbatch("bba", string.ascii_lowercase)
    np.testing.assert_allclose(eb()(hot).numpy(), [33.333332, 66.666664, 0], rtol=1e-6)
    two = eb()([hot, flux.onehotbatch("cc", string.ascii_lowercase)])
    np.testing.assert_allclose(two.numpy(), [[33.333332, 66.666664, 0], [0, 0, 100]], rtol=1e-6)
