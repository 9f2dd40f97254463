"""The examples and the tests of attention of Flux and NNlib, with the axes in Python's order."""

import numpy as np
import pytest

import oxiflux as flux
import references as ref
import zoo


def close(y, expected):
    np.testing.assert_allclose(y.numpy(), expected, rtol=2e-6, atol=2e-6)


def formula(mha, q, k, v):
    """The scores and the result of the layer, from its parameters."""
    p = zoo.arrays(mha)
    q, k, v = zoo.dense(p.q_proj, q), zoo.dense(p.k_proj, k), zoo.dense(p.v_proj, v)
    y, scores = ref.attention(q, k, v, nheads=p.nheads)
    return zoo.dense(p.out_proj, y), scores


def test_the_example_of_dot_product_attention():
    q, k, v = flux.rand(2, 20, 10), flux.rand(2, 30, 10), flux.rand(2, 30, 20)
    y, scores = flux.dot_product_attention(q, k, v)
    expected, expected_scores = ref.attention(q.numpy(), k.numpy(), v.numpy())
    assert scores.shape == (2, 1, 20, 30)
    close(y, expected)
    close(scores, expected_scores)


def test_the_first_example_of_the_layer():
    mha = flux.MultiHeadAttention(64, nheads=8)
    q, k, v = flux.rand(32, 10, 64), flux.rand(32, 20, 64), flux.rand(32, 20, 64)
    y, scores = mha(q, k, v, return_scores=True)
    expected, expected_scores = formula(mha, q.numpy()[:2], k.numpy()[:2], v.numpy()[:2])
    assert y.shape == (32, 10, 64)
    assert scores.shape == (32, 8, 10, 20)
    close(y[:2], expected)
    close(scores[:2], expected_scores)


def test_the_second_example_of_the_layer():
    mha = flux.MultiHeadAttention((64, 1024, 1024), nheads=8)
    x = flux.rand(32, 10, 64)
    y, scores = mha(x, return_scores=True)
    assert y.shape == (32, 10, 1024)
    assert scores.shape == (32, 8, 10, 10)
    expected, expected_scores = formula(mha, *[x.numpy()[:1]] * 3)
    close(y[:1], expected)
    close(scores[:1], expected_scores)


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
    mha = flux.MultiHeadAttention((4, 10, 5), nheads=2)
    close(mha(q, k, v), formula(mha, q.numpy(), k.numpy(), v.numpy())[0])


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
