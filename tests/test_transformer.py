"""Transformer blocks, and encodings of places; what they compute is in the tables of layers and options."""

import copy

import numpy as np
import pytest

import oxiflux as flux
import references as ref


def x_of(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


# Blocks


@pytest.mark.parametrize(
    "options",
    [
        {}, {"prenorm": False}, {"causal": True, "kv_heads": 1, "norm": flux.RMSNorm},
        {"positions": flux.RotaryEncoding(4), "activation": flux.relu, "bias": False},
    ],
)  # fmt: skip
def test_gradients_of_blocks_match_differences(options):
    block = flux.f64(flux.TransformerBlock(8, 2, hidden=5, **options))
    assert flux.gradcheck(lambda x: flux.sum(flux.sin(block(x))), x_of(2, 3, 8), order=2, rtol=1e-4)
    weight = block.attention.k_proj.weight

    def by_weight(w):
        model = flux.fmap(lambda t: w if t is weight else t, block)
        return flux.sum(flux.sin(model(flux.tensor(x_of(2, 3, 8)))))

    assert flux.gradcheck(by_weight, weight, rtol=1e-4)


def test_a_causal_block_sees_nothing_that_comes_later():
    block, x = flux.TransformerBlock(8, 2, causal=True), x_of(1, 5, 8).astype(np.float32)
    later = x.copy()
    later[:, 3:] += 1
    np.testing.assert_allclose(block(x).numpy()[:, :3], block(later).numpy()[:, :3], atol=1e-6)
    assert abs(block(x).numpy()[:, 3:] - block(later).numpy()[:, 3:]).max() > 0.1


def test_padding_is_hidden_by_a_mask():
    block, x = flux.TransformerBlock(8, 2), x_of(2, 5, 8).astype(np.float32)
    lengths = np.array([5, 3])
    mask = np.arange(5) < lengths[:, None]
    y = block(x, mask=mask[:, None, None, :])
    np.testing.assert_allclose(y.numpy()[1, :3], block(x[1:, :3]).numpy()[0], atol=2e-6)


def test_dropout_drops_in_training_alone():
    block, x = flux.TransformerBlock(8, 2, dropout_prob=0.5), flux.tensor(x_of(2, 3, 8))
    assert flux.all(block(x) == block(x))
    flux.trainmode(block)
    assert not flux.all(block(x) == block(x))
    assert "dropout_prob=0.5" in block.describe()


def test_a_size_may_be_left_open():
    model = flux.autosize(flux.Chain(flux.Dense(3, 8), flux.TransformerBlock(None, nheads=2)), (5, 4, 3))
    assert model(flux.zeros((5, 4, 3))).shape == (5, 4, 8)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_blocks_and_encodings_keep_the_type_of_their_numbers(dtype):
    convert = {"float16": flux.f16, "bfloat16": flux.bf16, "float32": flux.f32, "float64": flux.f64}[dtype]
    x = flux.tensor(x_of(2, 3, 8), dtype=dtype)
    block = convert(flux.TransformerBlock(8, 2, norm=flux.RMSNorm, positions=flux.RotaryEncoding(4)))
    wide = flux.f64(copy.deepcopy(block))(x.astype("float64")).numpy()
    rtol = {"float16": 2e-2, "bfloat16": 2e-1, "float32": 1e-5, "float64": 1e-6}[dtype]
    assert block(x).dtype == dtype
    np.testing.assert_allclose(block(x).astype("float64").numpy(), wide, rtol=rtol, atol=rtol)
    for layer in (flux.SinusoidalEncoding(8), flux.RotaryEncoding(8), flux.PReLU(), flux.RMSNorm(8)):
        assert convert(layer)(x).dtype == dtype


def test_what_a_block_cannot_be_says_so():
    for options in ({"nheads": 3}, {"kv_heads": 3, "nheads": 4}, {"hidden": -1}):
        with pytest.raises(ValueError, match="MultiHeadAttention|TransformerBlock"):
            flux.TransformerBlock(8, **options)
    with pytest.raises(TypeError, match="TransformerBlock: the activation must be a function"):
        flux.TransformerBlock(8, activation="relu")
    with pytest.raises(TypeError, match="positions must be a function"):
        flux.TransformerBlock(8, positions=3)
    with pytest.raises(
        flux.ShapeError, match=r"^TransformerBlock\(8; .*expected \(…, length, 8\), got shape \(2, 7\)"
    ):
        flux.TransformerBlock(8)(flux.zeros((2, 7)))


def test_a_saved_block_is_the_same_block(tmp_path):
    block = flux.TransformerBlock(8, 2, norm=flux.RMSNorm, positions=flux.RotaryEncoding(4), kv_heads=1)
    flux.save(tmp_path / "block", block)
    x = x_of(2, 3, 8)
    assert flux.all(flux.load(tmp_path / "block")(x) == block(x))


# Places


def test_waves_are_those_of_the_formula():
    for length, features, options in [(7, 6, {}), (3, 5, {"base": 10.0}), (1, 1, {"offset": 9}), (0, 4, {})]:
        got = flux.sinusoidal_encoding(length, features, **options)
        np.testing.assert_allclose(got.numpy(), ref.waves(length, features, **options), atol=1e-6)


def test_far_places_are_exact_in_float32():
    got = flux.sinusoidal_encoding(1, 4, offset=10_000_000).numpy()
    np.testing.assert_allclose(got, ref.waves(1, 4, offset=10_000_000), atol=1e-6)


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("width", [2, 6, 12])
def test_pairs_are_turned_by_their_place(width, interleaved):
    x = x_of(2, 3, 7, 12)
    got = flux.rotary_encoding(flux.tensor(x), width, offset=5, interleaved=interleaved)
    expected = ref.turned(x, width, offset=5, interleaved=interleaved)
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-12, atol=1e-14)
    f = lambda x: flux.sum(flux.sin(flux.rotary_encoding(x, width, interleaved=interleaved)))
    assert flux.gradcheck(f, x[:1], order=2)


def test_a_turned_attention_knows_distances_alone():
    attention = flux.f64(flux.MultiHeadAttention(8, nheads=2, positions=flux.RotaryEncoding(4)))
    x = np.concatenate([np.zeros((1, 4, 8)), x_of(1, 5, 8)], axis=1)
    mask = np.zeros((9, 9), bool)
    mask[4:, 4:] = True
    late = attention(flux.tensor(x), mask=mask).numpy()[:, 4:]
    np.testing.assert_allclose(late, attention(flux.tensor(x[:, 4:])).numpy(), rtol=1e-10, atol=1e-12)


def test_encodings_of_nothing_and_of_integers():
    assert flux.RotaryEncoding(4)(flux.zeros((0, 3, 8))).shape == (0, 3, 8)
    assert flux.SinusoidalEncoding(8)(flux.zeros((2, 0, 8))).shape == (2, 0, 8)
    assert flux.SinusoidalEncoding(2)([[1, 2]]).tolist() == [[1.0, 3.0]]
    assert flux.rotary_encoding([[1, 2]]).tolist() == [[1.0, 2.0]]


def test_encodings_refuse_what_does_not_fit():
    for width in (0, 3, 5, 2.0):
        with pytest.raises(ValueError, match="rotary_encoding"):
            flux.rotary_encoding(flux.zeros((2, 8)), width)
    with pytest.raises(flux.ShapeError, match="rotary_encoding"):
        flux.rotary_encoding(flux.zeros(8))
    for make in (flux.RotaryEncoding, flux.SinusoidalEncoding):
        for size in (0, -2, 1.5):
            with pytest.raises(ValueError, match=make.__name__):
                make(size)
        with pytest.raises(ValueError, match="base must be positive"):
            make(4, 0.0)
        with pytest.raises(ValueError, match=rf"{make.__name__}.*offset"):
            make(4)(flux.zeros((2, 4)), -1)
    with pytest.raises(ValueError, match="the width must be even, got 3"):
        flux.RotaryEncoding(3)


# The root mean square


@pytest.mark.parametrize(
    ("shape", "size"), [((4, 3), (3,)), ((2, 5, 3), (5, 3)), ((3,), (3,)), ((0, 3), (3,))]
)
def test_rms_norm_has_a_mean_square_of_one(shape, size):
    x, layer = x_of(*shape) * 3, flux.f64(flux.RMSNorm(*size, eps=0.25))
    axes = tuple(range(-len(size), 0))
    np.testing.assert_allclose(layer(flux.tensor(x)).numpy(), ref.root_mean_square(x, axes, 0.25), rtol=1e-12)
    if x.size:
        assert flux.gradcheck(lambda x: flux.sum(flux.sin(layer(x))), x, order=2)


def test_rms_norm_of_narrow_numbers_does_not_overflow():
    x = flux.full((2, 1000), 60000.0, dtype="float16")
    y = flux.f16(flux.RMSNorm(1000))(x)
    assert y.dtype == "float16"
    assert y.tolist()[0][0] == 1


def test_rms_norm_of_zeros_is_zero_with_a_gradient():
    y, (g,) = flux.withgradient(lambda x: flux.RMSNorm(3)(x).sum(), flux.zeros((2, 3)))
    assert y.item() == 0
    np.testing.assert_allclose(g.numpy(), 1 / np.sqrt(1e-5), rtol=1e-5)


def test_rms_norm_refuses_sizes_that_are_none():
    for size in ((), (0,), (1.5,), (True,)):
        with pytest.raises(ValueError, match="RMSNorm: sizes are positive integers"):
            flux.RMSNorm(*size)
    with pytest.raises(ValueError, match="eps must not be negative"):
        flux.RMSNorm(3, eps=-1)
