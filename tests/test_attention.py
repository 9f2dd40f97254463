"""Dot-product attention and MultiHeadAttention, against NumPy."""

import numpy as np
import pytest

import oxiflux as flux
from references import attention

RTOL = {np.float32: 3e-6, np.float64: 1e-12}


def values(*shape, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def some(*shape, seed=9):
    return np.random.default_rng(seed).random(shape) < 0.7


def check(q, k, v, rtol=None, **options):
    """Both ways of computing it agree with the reference; returns the result."""
    expected = attention(q, k, v, **options)
    rtol = rtol or RTOL[q.dtype.type]
    fused = flux.dot_product_attention(q, k, v, return_scores=False, **options)
    y, scores = flux.dot_product_attention(q, k, v, **options)
    for found, wanted in [(fused, expected[0]), (y, expected[0]), (scores, expected[1])]:
        assert found.shape == wanted.shape
        assert found.dtype == q.dtype.name
        np.testing.assert_allclose(found.numpy(), wanted, rtol=rtol, atol=rtol)
    return fused.numpy()


# The function

SIZES = [  # batch, queries, keys, heads, features, values
    ((), 1, 1, 1, 1, 1),
    ((), 3, 5, 1, 4, 2),
    ((2,), 7, 7, 2, 6, 6),
    ((3,), 1, 9, 3, 3, 9),
    ((2,), 5, 1, 4, 8, 4),
    ((2, 3), 4, 6, 2, 10, 14),
    ((1,), 130, 259, 1, 17, 33),
    ((2,), 257, 130, 2, 16, 8),
    ((1,), 129, 600, 1, 64, 64),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_attention_is_its_definition(size, causal, dtype):
    batch, queries, keys, heads, features, width = size
    q = values(*batch, queries, features, seed=1).astype(dtype)
    k = values(*batch, keys, features, seed=2).astype(dtype)
    v = values(*batch, keys, width, seed=3).astype(dtype)
    check(q, k, v, nheads=heads, causal=causal)


@pytest.mark.parametrize(
    "shape", [(), (1,), (6,), (4, 6), (4, 1), (2, 4, 6), (2, 1, 1), (3, 1, 4, 6), (3, 2, 4, 6), (3, 1, 1, 6)]
)
def test_a_mask_and_a_bias_broadcast_to_the_scores(shape):
    q, k, v = values(3, 4, 8, seed=1), values(3, 6, 8, seed=2), values(3, 6, 4, seed=3)
    mask, bias = some(*shape), values(*shape, seed=4)
    check(q, k, v, nheads=2, mask=mask)
    check(q, k, v, nheads=2, bias=bias)
    check(q, k, v, nheads=2, bias=bias, mask=mask, causal=True)


@pytest.mark.parametrize("shape", [(5, 6), (2, 5, 6), (3, 1, 2, 5, 6), (4, 2, 5, 6)])
def test_a_mask_broadcasts_over_several_axes_of_batches(shape):
    q, k, v = values(3, 4, 5, 8, seed=1), values(3, 4, 6, 8, seed=2), values(3, 4, 6, 4, seed=3)
    check(q, k, v, nheads=2, mask=some(*shape), bias=values(*shape, seed=4))


def test_a_padding_mask_hides_the_keys_behind_a_length():
    lengths, keys = np.array([3, 300, 1]), 300
    q, k, v = values(3, 5, 8, seed=1), values(3, keys, 8, seed=2), values(3, keys, 8, seed=3)
    mask = (np.arange(keys) < lengths[:, None])[:, None, None, :]
    y = check(q, k, v, nheads=2, mask=mask)
    k[0, 3:], v[0, 3:] = 1e3, 1e3
    np.testing.assert_array_equal(check(q, k, v, nheads=2, mask=mask)[0], y[0])


def test_a_causal_mask_and_causal_are_the_same():
    q, k, v = (values(2, 300, 8, seed=i) for i in range(3))
    masked = flux.dot_product_attention(q, k, v, mask=flux.make_causal_mask(q), return_scores=False)
    causal = flux.dot_product_attention(q, k, v, causal=True, return_scores=False)
    np.testing.assert_allclose(masked.numpy(), causal.numpy(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("return_scores", [False, True])
def test_a_query_that_sees_no_key_gives_zeros_and_has_no_gradient(return_scores):
    q, k, v = values(2, 3, 4, seed=1), values(2, 5, 4, seed=2), values(2, 5, 4, seed=3)
    mask = np.ones((3, 5), bool)
    mask[1] = False
    bias = np.where(np.arange(3)[:, None] == 2, -np.inf, np.zeros((3, 5))).astype(np.float32)

    def f(q, k, v, bias):
        found = flux.dot_product_attention(q, k, v, bias, mask=mask, nheads=2, return_scores=return_scores)
        return (found[0] if return_scores else found) ** 2

    y = f(q, k, v, bias).numpy()
    assert (y[:, 1:] == 0).all()
    assert (y[:, 0] > 0).all()
    args = [flux.tensor(x) for x in (q, k, v, bias)]
    grads = flux.gradient(lambda *args: f(*args).sum(), *args)
    assert all(np.isfinite(g.numpy()).all() for g in grads)
    assert (grads[0].numpy()[:, 1:] == 0).all()
    assert (grads[0].numpy()[:, 0] != 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logits_of_ten_thousand_lose_nothing(dtype):
    q, k, v = (values(2, 130, 4, seed=i).astype(dtype) for i in range(3))
    sign = np.where(np.arange(130) % 2, 1, -1)[:, None].astype(dtype)
    q = (sign * 100).repeat(4, 1)[None].repeat(2, 0) + np.round(q)
    k = (sign * 50).repeat(4, 1)[None].repeat(2, 0) + np.round(k)
    logits = q[0] @ k[0].T / 2
    assert logits.max() > 1e4
    assert logits.min() < -1e4
    check(q, k, v)
    check(q, k, v, causal=True)
    grads = flux.gradient(
        lambda *a: (flux.dot_product_attention(*a, return_scores=False) ** 2).sum(),
        *map(flux.tensor, (q, k, v)),
    )
    assert all(np.isfinite(g.numpy()).all() for g in grads)


def test_nan_stays_in_the_rows_it_touches():
    q, k, v = values(1, 3, 4, seed=1), values(1, 5, 4, seed=2), values(1, 5, 4, seed=3)
    q[0, 1, 0] = np.nan
    for return_scores in (False, True):
        found = flux.dot_product_attention(q, k, v, return_scores=return_scores)
        y = (found[0] if return_scores else found).numpy()
        assert np.isnan(y[0, 1]).all()
        assert np.isfinite(y[0, [0, 2]]).all()


@pytest.mark.parametrize(
    "size", [(0, 3, 5, 4, 4), (2, 0, 5, 4, 4), (2, 3, 0, 4, 4), (2, 3, 5, 0, 4), (2, 3, 5, 4, 0)], ids=str
)
@pytest.mark.parametrize("causal", [False, True])
def test_empty_sizes(size, causal):
    batch, queries, keys, features, width = size
    q, k, v = values(batch, queries, features), values(batch, keys, features), values(batch, keys, width)
    if features == 0:
        # No features: all keys are alike.
        q, k = np.zeros((batch, queries, 1), np.float32), np.zeros((batch, keys, 1), np.float32)
        expected = attention(q, k, v, causal=causal)[0]
        y = flux.dot_product_attention(q[..., :0], k[..., :0], v, causal=causal, return_scores=False)
        np.testing.assert_allclose(y.numpy(), expected, rtol=2e-6, atol=1e-6)
    else:
        check(q, k, v, nheads=2, causal=causal)
    args = [flux.tensor(x) for x in (q, k, v)]
    grads = flux.gradient(lambda *a: flux.dot_product_attention(*a, return_scores=False).sum(), *args)
    assert [g.shape for g in grads] == [a.shape for a in args]


def test_attention_reads_inputs_that_are_not_contiguous():
    q, k, v = values(8, 3, 10, seed=1), values(6, 12, 3, seed=2), values(3, 8, 2, 6, seed=3)
    args = [q.transpose(1, 2, 0), k.transpose(2, 1, 0)[:, ::-1], v[:, :, 0]]
    q, k, v = args[0][:, ::2, :6], args[1][:, :8], args[2]
    assert not any(x.flags.c_contiguous for x in (q, k, v))
    mask, bias = some(8, 5).T, values(8, 10).T[::2]
    check(q, k, v, nheads=2, mask=mask, bias=bias)
    given = [flux.from_numpy(x) for x in (q, k, v)]
    copied = [flux.tensor(np.ascontiguousarray(x)) for x in (q, k, v)]

    def f(q, k, v):
        return (flux.dot_product_attention(q, k, v, nheads=3, return_scores=False) ** 2).sum()

    for a, b in zip(flux.gradient(f, *given), flux.gradient(f, *copied), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=2e-6, atol=1e-6)


def test_integers_and_lists_become_float32():
    y = flux.dot_product_attention([[1, 2]], [[1, 2], [3, 4]], [[1], [1]], return_scores=False)
    assert y.dtype == "float32"
    np.testing.assert_allclose(y.numpy(), [[1]], rtol=1e-6)


def test_a_float64_bias_does_not_widen_float32():
    q, k, v = values(2, 3, 4), values(2, 5, 4), values(2, 5, 4)
    assert flux.dot_product_attention(q, k, v, np.zeros((3, 5)))[0].dtype == "float32"


@pytest.mark.parametrize("return_scores", [False, True])
@pytest.mark.parametrize(("bias", "masked", "causal"), [(0, 0, 0), (1, 0, 1), (1, 1, 0), (0, 1, 1)])
def test_the_gradients_match_differences(bias, masked, causal, return_scores):
    args = [values(2, 3, 4, seed=1), values(2, 5, 4, seed=2), values(2, 5, 6, seed=3)]
    args += [values(2, 1, 5, seed=4)] * bias
    mask = some(2, 1, 3, 5) if masked else None

    def f(q, k, v, *bias):
        found = flux.dot_product_attention(
            q, k, v, *bias, mask=mask, nheads=2, causal=bool(causal), return_scores=return_scores
        )
        return found[0] * found[1].sum(-1).sum(1)[..., None] if return_scores else found

    assert flux.gradcheck(f, *args, order=2)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_the_gradients_over_several_blocks_are_those_of_the_composed_operations(causal, masked):
    q, k, v = (flux.tensor(values(2, n, 6, seed=n, dtype=np.float64)) for n in (150, 530, 530))
    bias = flux.tensor(values(2, 1, 530, seed=4, dtype=np.float64))
    mask = some(2, 1, 150, 530) if masked else None
    if masked:
        mask[:, :, :, 256:512] = False
        mask[:, :, 7] = False

    def f(fused):
        def loss(q, k, v, bias):
            y = flux.dot_product_attention(
                q, k, v, bias, mask=mask, nheads=2, causal=causal, return_scores=not fused
            )
            return ((y if fused else y[0]) ** 2).sum()

        return flux.gradient(loss, q, k, v, bias)

    for a, b in zip(f(True), f(False), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("wanted", range(4))
def test_one_gradient_alone_is_that_among_the_others(wanted):
    args = [values(2, 5, 4, seed=1), values(2, 7, 4, seed=2), values(2, 7, 4, seed=3), values(5, 7, seed=4)]
    args = [flux.tensor(x) for x in args]

    def f(*args):
        return (flux.dot_product_attention(*args, nheads=2, return_scores=False) ** 2).sum()

    (alone,) = flux.gradient(lambda x: f(*args[:wanted], x, *args[wanted + 1 :]), args[wanted])
    assert alone.tolist() == flux.gradient(f, *args)[wanted].tolist()


@pytest.mark.parametrize("size", [(1, 700, 1), (3, 200, 2), (20, 33, 4)])
def test_the_bits_do_not_depend_on_the_number_of_threads(size):
    batch, length, heads = size
    q, k, v = (flux.tensor(values(batch, length, 64, seed=i)) for i in range(3))

    def f(q, k, v):
        return (
            flux.dot_product_attention(q, k, v, nheads=heads, causal=True, return_scores=False) ** 2
        ).sum()

    threads, found = flux.get_num_threads(), []
    try:
        for n in (1, 2, 5):
            flux.set_num_threads(n)
            loss, grads = flux.withgradient(f, q, k, v)
            found.append([loss.item(), *(g.numpy().tobytes() for g in grads)])
    finally:
        flux.set_num_threads(threads)
    assert found[0] == found[1] == found[2]


def test_fdrop_is_applied_to_the_scores():
    q, k, v = values(2, 3, 4, seed=1), values(2, 5, 4, seed=2), values(2, 5, 4, seed=3)
    plain, scores = flux.dot_product_attention(q, k, v)
    y, dropped = flux.dot_product_attention(q, k, v, fdrop=lambda s: 2 * s)
    np.testing.assert_allclose(dropped.numpy(), 2 * scores.numpy(), rtol=1e-6)
    np.testing.assert_allclose(y.numpy(), 2 * plain.numpy(), rtol=2e-6)
    alone = flux.dot_product_attention(q, k, v, fdrop=lambda s: 2 * s, return_scores=False)
    assert alone.tolist() == y.tolist()


BAD = [
    (((2, 3, 4), (3, 5, 4), (2, 5, 4)), {}, r"axes before the length differ: queries \(2, 3, 4\)"),
    (((2, 3, 4), (2, 5, 6), (2, 5, 4)), {}, r"differ in features: queries \(2, 3, 4\), keys \(2, 5, 6\)"),
    (((2, 3, 4), (2, 5, 4), (2, 6, 4)), {}, r"keys.*\(2, 5, 4\).*\(2, 6, 4\)|\(2, 1, 3, 5\).*\(2, 6, 4\)"),
    (((2, 3, 4), (2, 5, 4), (2, 5, 4)), {"nheads": 3}, "do not divide into 3 heads"),
    (((2, 3, 4), (2, 5, 4), (2, 5, 4)), {"nheads": 0}, "do not divide into 0 heads"),
    (((2, 3, 4), (2, 5, 4), (2, 5, 3)), {"nheads": 2}, r"\(2, 5, 3\)"),
    (((4,), (5, 4), (5, 4)), {}, r"expected shape \(.., length, features\), got \(4,\)"),
    (((2, 3, 4), (2, 5, 4), (5, 4)), {}, r"\(5, 4\)"),
    (((2, 3, 4), (2, 5, 4), (2, 5, 4)), {"mask": np.ones((3, 4), bool)}, r"mask of shape \(3, 4\).*\(2, 1, 3, 5\)"),
    (((2, 3, 4), (2, 5, 4), (2, 5, 4)), {"mask": np.ones((7, 1, 1, 1, 1), bool)}, "mask of shape"),
    (((3, 4), (5, 4), (5, 4)), {"mask": np.ones((2, 1, 3, 5), bool)}, "mask of shape"),
    (((2, 3, 4), (2, 5, 4), (2, 5, 4)), {"bias": np.ones((2, 3, 5))}, r"bias of shape \(2, 3, 5\)"),
]  # fmt: skip


@pytest.mark.parametrize("return_scores", [False, True])
@pytest.mark.parametrize(("shapes", "options", "message"), BAD)
def test_sizes_that_do_not_fit_are_refused(shapes, options, message, return_scores):
    with pytest.raises(flux.ShapeError, match=message):
        flux.dot_product_attention(*map(np.ones, shapes), return_scores=return_scores, **options)


@pytest.mark.parametrize("return_scores", [False, True])
def test_a_mask_that_is_not_boolean_is_refused(return_scores):
    q = values(2, 3, 4)
    with pytest.raises(flux.DTypeError, match="a mask is bool.*float32"):
        flux.dot_product_attention(q, q, q, mask=np.zeros((3, 3), np.float32), return_scores=return_scores)


def test_scores_of_heads_that_are_apart():
    q, k = values(2, 3, 2, 4, seed=1), values(2, 5, 2, 4, seed=2)
    mask = some(3, 5)
    found = flux.dot_product_attention_scores(q, k, mask=mask)
    expected = attention(q.reshape(2, 3, 8), k.reshape(2, 5, 8), k.reshape(2, 5, 8), mask=mask, nheads=2)[1]
    np.testing.assert_allclose(found.numpy(), expected, rtol=2e-6, atol=1e-6)
    with pytest.raises(flux.ShapeError, match=r"queries \(2, 3, 2, 4\) and keys \(2, 5, 4, 2\)"):
        flux.dot_product_attention_scores(q, k.reshape(2, 5, 4, 2))
    with pytest.raises(flux.ShapeError, match="differ in their last two axes"):
        flux.dot_product_attention_scores(q[0, 0], k[0, 0])


def test_a_causal_mask_is_lower_triangular():
    x = values(4, 3, 5)
    assert flux.make_causal_mask(x).tolist() == np.tri(3, dtype=bool).tolist()
    assert flux.make_causal_mask(x, axis=0).shape == (4, 4)
    assert flux.make_causal_mask(x).dtype == "bool"
    with pytest.raises(IndexError, match=r"axis 3 is out of range for shape \(4, 3, 5\)"):
        flux.make_causal_mask(x, axis=3)


# The layer


def layer_reference(mha, q, k, v, **options):
    q, k, v = (
        x.astype(np.float64) @ p.weight.numpy() + (0 if p.bias is None else p.bias.numpy())
        for x, p in ((q, mha.q_proj), (k, mha.k_proj), (v, mha.v_proj))
    )
    y, scores = attention(q, k, v, nheads=mha.nheads, **options)
    out = mha.out_proj
    return y @ out.weight.numpy() + (0 if out.bias is None else out.bias.numpy()), scores


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("batch", [(), (0,), (1,), (3,)])
def test_the_layer_is_its_formula(batch, causal, bias):
    mha = flux.MultiHeadAttention(((5, 6, 7), (8, 12), 9), nheads=4, bias=bias)
    if bias:
        for p in (mha.q_proj, mha.k_proj, mha.v_proj, mha.out_proj):
            p.bias = values(*p.bias.shape)
    q, k, v = values(*batch, 3, 5, seed=1), values(*batch, 4, 6, seed=2), values(*batch, 4, 7, seed=3)
    mask = some(3, 4)
    options = {"mask": mask, "causal": causal}
    expected, expected_scores = layer_reference(mha, q, k, v, **options)
    y, scores = mha(q, k, v, return_scores=True, **options)
    np.testing.assert_allclose(mha(q, k, v, **options).numpy(), expected, rtol=5e-6, atol=2e-6)
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-5, atol=2e-6)
    np.testing.assert_allclose(scores.numpy(), expected_scores, rtol=2e-6, atol=1e-6)


def test_the_gradients_of_the_layer_match_differences():
    mha = flux.MultiHeadAttention((3, 4, 2), nheads=2, bias=True)
    x = values(2, 3, 3, dtype=np.float64)
    assert flux.gradcheck(lambda m, x: m(x, causal=True), mha, x, order=2)


def test_every_parameter_of_the_layer_has_a_gradient():
    mha = flux.MultiHeadAttention(8, nheads=2, bias=True)
    x = values(2, 5, 8)
    assert len(flux.trainables(mha)) == 8
    assert flux.gradcheck(lambda m: (m(x) ** 2).sum(), mha)
    (grads,) = flux.gradient(lambda m: (m(x) ** 2).sum(), mha)
    assert all(g.shape == p.shape for g, p in zip(flux.trainables(grads), flux.trainables(mha), strict=True))
    # A bias of the keys shifts all logits of a query alike, which the softmax does not see.
    parts = [g for g in flux.trainables(grads) if g is not grads.k_proj.bias]
    assert len(parts) == 7 and all(abs(g.numpy()).max() > 1e-3 for g in parts)


def test_dropout_of_the_scores_is_for_training():
    mha, x = flux.MultiHeadAttention(8, nheads=2, dropout_prob=0.5), values(4, 9, 8)
    plain = flux.MultiHeadAttention(8, nheads=2)
    flux.loadmodel(plain, mha)
    np.testing.assert_allclose(mha(x).numpy(), plain(x).numpy(), rtol=2e-6, atol=1e-6)
    flux.trainmode(mha)
    _, scores = mha(x, return_scores=True)
    _, kept = plain(x, return_scores=True)
    dropped = scores.numpy() == 0
    assert 0.4 < dropped.mean() < 0.6
    np.testing.assert_allclose(scores.numpy()[~dropped], 2 * kept.numpy()[~dropped], rtol=2e-6)
    assert np.abs(mha(x).numpy() - plain(x).numpy()).max() > 1e-3
    flux.testmode(mha)
    np.testing.assert_allclose(mha(x).numpy(), plain(x).numpy(), rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("p", [-0.1, 1.5])
def test_a_probability_of_dropout_that_is_none_is_refused(p):
    with pytest.raises(ValueError, match="from 0 to 1"):
        flux.MultiHeadAttention(8, nheads=2, dropout_prob=p)


@pytest.mark.parametrize(
    ("dims", "options", "text"),
    [
        (64, {}, "MultiHeadAttention(64; nheads=8)"),
        ((64, 64, 64), {}, "MultiHeadAttention(64; nheads=8)"),
        ((8, 16, 4), {"nheads": 4, "bias": True}, "MultiHeadAttention(8 => 16 => 4; nheads=4, bias=True)"),
        (((3, 4, 5), (6, 8), 7), {"nheads": 2}, "MultiHeadAttention((3, 4, 5) => (6, 8) => 7; nheads=2)"),
        (8, {"nheads": 2, "dropout_prob": 0.1}, "MultiHeadAttention(8; nheads=2, dropout_prob=0.1)"),
    ],
)
def test_the_layer_says_what_it_is(dims, options, text):
    assert flux.MultiHeadAttention(dims, **options).describe() == text


@pytest.mark.parametrize(
    "dims",
    [-1, 2.0, "a", (None, 2, 3), (1, 2), (1, 2, 3, 4), ((1, 2), 8, 3), (1, (8, 8, 8), 3), (1, 8, (3,)), True],
)
def test_dims_that_are_none_are_refused(dims):
    with pytest.raises(ValueError, match="MultiHeadAttention: dims is"):
        flux.MultiHeadAttention(dims, nheads=1)


@pytest.mark.parametrize("nheads", [0, -1, 2.0, None])
def test_a_number_of_heads_that_is_none_is_refused(nheads):
    with pytest.raises(ValueError, match="MultiHeadAttention: nheads is a positive integer"):
        flux.MultiHeadAttention(8, nheads=nheads)


@pytest.mark.parametrize("dims", [6, (8, (8, 6), 8), (8, (6, 8), 8)])
def test_features_that_do_not_divide_into_heads_are_refused(dims):
    with pytest.raises(
        ValueError, match=r"MultiHeadAttention: \d and \d features do not divide into 4 heads"
    ):
        flux.MultiHeadAttention(dims, nheads=4)


def test_the_layer_names_itself_and_the_shape_that_does_not_fit():
    mha, x = flux.MultiHeadAttention(8, nheads=2), values(2, 5, 8)
    name = r"^MultiHeadAttention\(8; nheads=2\): "
    with pytest.raises(flux.ShapeError, match=name + r".*expected 8 features on the last axis.*\(2, 5, 4\)"):
        mha(values(2, 5, 4))
    with pytest.raises(flux.ShapeError, match=name + r".*\(2, 5, 8\), keys \(3, 5, 8\)"):
        mha(x, values(3, 5, 8))
    with pytest.raises(
        flux.ShapeError, match=name + r".*differ in length.*keys \(2, 5, 8\), values \(2, 6, 8\)"
    ):
        mha(x, x, values(2, 6, 8))
    with pytest.raises(flux.ShapeError, match=name + r".*mask of shape \(2, 5\).*\(2, 2, 5, 5\)"):
        mha(x, mask=np.ones((2, 5), bool))
    with pytest.raises(flux.ShapeError, match=name + r".*got \(8,\)"):
        mha(values(8))


# Heads of queries that share those of keys and values


@pytest.mark.parametrize(("nheads", "kv_heads"), [(4, 2), (6, 1), (4, 4), (6, 3)])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_shared_heads_are_as_if_they_were_copied(nheads, kv_heads, causal, dtype):
    rng = np.random.default_rng(0)
    q, k, v = (
        rng.normal(size=s).astype(dtype)
        for s in [(2, 150, nheads * 4), (2, 300, kv_heads * 4), (2, 300, kv_heads * 5)]
    )
    mask, bias = rng.random((2, 1, 150, 300)) > 0.2, rng.normal(size=(nheads, 150, 300))
    copied = [
        np.repeat(x.reshape(2, 300, kv_heads, -1), nheads // kv_heads, 2).reshape(2, 300, -1) for x in (k, v)
    ]
    weights = rng.normal(size=(2, 150, nheads * 5))
    options = {"nheads": nheads, "mask": mask, "causal": causal, "return_scores": False}

    def f(q, k, v, bias, **more):
        return flux.sum(flux.dot_product_attention(q, k, v, bias, **options, **more) * weights)

    given = tuple(map(flux.tensor, (q, k, v, bias.astype(dtype))))
    y, grads = flux.withgradient(lambda *x: f(*x, kv_heads=kv_heads), *given)
    z, (dq, dk, dv, dbias) = flux.withgradient(f, *map(flux.tensor, (q, *copied, bias.astype(dtype))))
    dk, dv = (
        x.reshape(2, 300, kv_heads, nheads // kv_heads, -1).sum(3).reshape(2, 300, -1) for x in (dk, dv)
    )
    tolerance = {"float32": 1e-4, "float64": 1e-11}[dtype]
    assert y.item() == pytest.approx(z.item(), rel=tolerance, abs=tolerance)
    for got, expected in zip(grads, (dq, dk, dv, dbias), strict=True):
        np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=tolerance, atol=tolerance)


def test_shared_heads_with_and_without_scores_are_the_same():
    q, k, v = flux.rand(2, 7, 12), flux.rand(2, 5, 4), flux.rand(2, 5, 6)
    y, scores = flux.dot_product_attention(q, k, v, nheads=6, kv_heads=2)
    assert scores.shape == (2, 6, 7, 5)
    alone = flux.dot_product_attention(q, k, v, nheads=6, kv_heads=2, return_scores=False)
    np.testing.assert_allclose(y.numpy(), alone.numpy(), rtol=1e-5, atol=1e-6)
    apart = flux.dot_product_attention_scores(q.reshape(2, 7, 6, 2), k.reshape(2, 5, 2, 2))
    np.testing.assert_allclose(apart.numpy(), scores.numpy(), rtol=1e-6)


def test_gradients_of_shared_heads_match_differences():
    rng = np.random.default_rng(0)
    q, k, v = rng.normal(size=(2, 3, 8)), rng.normal(size=(2, 4, 4)), rng.normal(size=(2, 4, 2))
    f = lambda *x: flux.sum(
        flux.sin(flux.dot_product_attention(*x, nheads=4, kv_heads=2, return_scores=False))
    )
    assert flux.gradcheck(f, q, k, v, order=2, rtol=1e-4)


def test_the_number_of_threads_does_not_change_a_bit_of_shared_heads():
    q, k, v = flux.rand(1, 300, 64), flux.rand(1, 300, 16), flux.rand(1, 300, 16)
    f = lambda *x: flux.dot_product_attention(*x, nheads=8, kv_heads=2, return_scores=False).sum()
    threads, results = flux.get_num_threads(), []
    try:
        for n in (1, 4):
            flux.set_num_threads(n)
            results.append([g.numpy().tobytes() for g in flux.gradient(f, q, k, v)])
    finally:
        flux.set_num_threads(threads)
    assert results[0] == results[1]


def test_heads_that_cannot_be_shared_are_refused():
    q, k = flux.rand(2, 5, 12), flux.rand(2, 5, 6)
    with pytest.raises(ValueError, match="6 heads of queries do not share 4 of keys"):
        flux.dot_product_attention(q, k, k, nheads=6, kv_heads=4)
    with pytest.raises(ValueError, match="6 heads of queries do not share 0 of keys"):
        flux.dot_product_attention(q, k, k, nheads=6, kv_heads=0)
    with pytest.raises(flux.ShapeError, match="queries and keys differ in the features of a head"):
        flux.dot_product_attention(q, k, k, nheads=6, kv_heads=2)
    with pytest.raises(flux.ShapeError, match="queries and keys differ in features"):
        flux.dot_product_attention(q, k, k, nheads=6)
    with pytest.raises(flux.ShapeError, match="do not divide into 4 heads"):
        flux.dot_product_attention(flux.rand(2, 5, 16), k, k, nheads=8, kv_heads=4)
    with pytest.raises(ValueError, match="MultiHeadAttention: kv_heads must divide 8 heads, got 3"):
        flux.MultiHeadAttention(64, nheads=8, kv_heads=3)


def test_a_layer_with_shared_heads_is_smaller_and_trains():
    layer = flux.MultiHeadAttention(((6, 4, 5), (8, 4), 3), nheads=4, kv_heads=2)
    assert layer.k_proj.weight.shape == (4, 4)
    assert layer.v_proj.weight.shape == (5, 2)
    assert layer.describe() == "MultiHeadAttention((6, 4, 5) => (8, 4) => 3; nheads=4, kv_heads=2)"
    q, k, v = flux.rand(2, 3, 6), flux.rand(2, 5, 4), flux.rand(2, 5, 5)
    assert layer(q, k, v).shape == (2, 3, 3)
    (g,) = flux.gradient(lambda m: m(q, k, v).sum(), layer)
    assert g.k_proj.weight.shape == (4, 4)
    narrow = flux.f16(layer)(q.astype("float16"), k.astype("float16"), v.astype("float16"))
    assert narrow.dtype == "float16"
