"""The examples and the tests of attention of Flux and NNlib, with the axes in Python's order."""

import numpy as np
import pytest

import oxiflux as flux


def test_the_example_of_dot_product_attention():
    q, k, v = flux.rand(2, 20, 10), flux.rand(2, 30, 10), flux.rand(2, 30, 20)
    y, scores = flux.dot_product_attention(q, k, v)
    assert y.shape == (2, 20, 20)
    assert scores.shape == (2, 1, 20, 30)


def test_the_first_example_of_the_layer():
    mha = flux.MultiHeadAttention(64, nheads=8)
    q, k, v = flux.rand(32, 10, 64), flux.rand(32, 20, 64), flux.rand(32, 20, 64)
    y, scores = mha(q, k, v, return_scores=True)
    assert y.shape == (32, 10, 64)
    assert scores.shape == (32, 8, 10, 20)


def test_the_second_example_of_the_layer():
    mha = flux.MultiHeadAttention((64, 1024, 1024), nheads=8)
    y, scores = mha(flux.rand(32, 10, 64), return_scores=True)
    assert y.shape == (32, 10, 1024)
    assert scores.shape == (32, 8, 10, 10)


# dim 4, 2 heads, length 3, batch 5


@pytest.fixture
def mha():
    return flux.MultiHeadAttention(4, nheads=2)


def inputs():
    return flux.rand(5, 3, 4), flux.rand(5, 3, 4), flux.rand(5, 3, 4)


def test_self_attention(mha):
    q, _, _ = inputs()
    assert mha(q).tolist() == mha(q, q, q).tolist()


def test_key_and_value_are_the_same(mha):
    q, k, _ = inputs()
    assert mha(q, k).tolist() == mha(q, k, k).tolist()


def test_change_dims():
    q, k, v = inputs()
    assert flux.MultiHeadAttention((4, 10, 5), nheads=2)(q, k, v).shape == (5, 3, 5)


def test_a_causal_mask(mha):
    q, _, _ = inputs()
    _, scores = mha(q, mask=flux.make_causal_mask(q), return_scores=True)
    scores = scores.numpy()
    assert (scores[:, :, 0, 1] == 0).all()
    np.testing.assert_array_equal(scores, np.tril(scores))


def test_a_bias_that_is_a_causal_mask(mha):
    bias = np.where(np.tri(3, dtype=bool), 0, -np.inf).astype(np.float32)
    _, scores = mha(*inputs(), bias, return_scores=True)
    scores = scores.numpy()
    assert (scores[:, :, 0, 1] == 0).all()
    np.testing.assert_array_equal(scores, np.tril(scores))


def test_the_gradient_of_result_and_scores():
    mha, (q, _, _) = flux.f64(flux.MultiHeadAttention(4, nheads=2)), inputs()

    def loss(q):
        y, scores = mha(q, return_scores=True)
        return (y**2).sum() + (scores**2).sum()

    assert flux.gradcheck(loss, q)
