"""float16 and bfloat16: stored and converted exactly, computed with through float32, with NumPy's float16 as oracle."""

import copy
import pickle

import numpy as np
import pytest

import oxiflux as flux

HALVES = ["float16", "bfloat16"]
ALL_BITS = np.arange(1 << 16, dtype=np.uint32).astype(np.uint16)


def of_bits(bits, dtype):
    """The tensor of these bit patterns."""
    restore, (_, shape, _) = flux.tensor(np.zeros(bits.shape, np.float16)).__reduce__()
    return restore(bits.astype(np.uint16).tobytes(), shape, dtype)


def bits_of(x):
    return np.frombuffer(x.__reduce__()[1][0], np.uint16).reshape(x.shape)


def single_of(bits, dtype):
    """The values of bit patterns as float32, by NumPy for float16 and by definition for bfloat16."""
    if dtype == "float16":
        with np.errstate(invalid="ignore"):
            return bits.view(np.float16).astype(np.float32)
    return (bits.astype(np.uint32) << 16).view(np.float32)


def rounded(x, dtype):
    """float64 values rounded to nearest even, by NumPy for float16 and by definition for bfloat16."""
    x = np.asarray(x, np.float64)
    with np.errstate(all="ignore"):
        if dtype == "float16":
            return x.astype(np.float16).astype(np.float32)
        exponent = np.maximum(np.frexp(np.where(np.isfinite(x), x, 0))[1], -125)
        unit = np.ldexp(1.0, exponent - 8)
        return np.where(np.isfinite(x), np.round(x / unit) * unit, x).astype(np.float32)


def same(x, expected, dtype=None):
    """Equal bit for bit, any NaN to any NaN."""
    if dtype is not None:
        assert x.dtype == dtype
    found = x.astype("float32").numpy()
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(
        np.signbit(found[~np.isnan(found)]), np.signbit(expected[~np.isnan(expected)])
    )


# Conversion


@pytest.mark.parametrize("dtype", HALVES)
def test_every_bit_pattern_becomes_its_value(dtype):
    same(of_bits(ALL_BITS, dtype), single_of(ALL_BITS, dtype), dtype)


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("through", ["float32", "float64"])
def test_every_value_comes_back_as_its_bit_pattern(dtype, through):
    back = bits_of(of_bits(ALL_BITS, dtype).astype(through).astype(dtype))
    number = ~np.isnan(single_of(ALL_BITS, dtype))
    np.testing.assert_array_equal(back[number], ALL_BITS[number])
    assert np.isnan(single_of(back[~number], dtype)).all()


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("through", ["float32", "float64"])
def test_what_lies_between_two_values_goes_to_the_nearest_or_the_even_one(dtype, through):
    finite = ALL_BITS[:-1][np.isfinite(single_of(ALL_BITS[1:], dtype)) & (ALL_BITS[:-1] & 0x7FFF != 0x7FFF)]
    low, high = (single_of(bits, dtype).astype(np.float64) for bits in (finite, finite + np.uint16(1)))
    keep = np.isfinite(low) & (np.signbit(low) == np.signbit(high))
    middle = ((low[keep] + high[keep]) / 2).astype(through)
    far = middle.dtype.type(np.inf)
    for x in (middle, np.nextafter(middle, far), np.nextafter(middle, -far)):
        same(flux.tensor(x).astype(dtype), rounded(x, dtype), dtype)


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("through", ["float32", "float64"])
def test_numbers_of_all_sizes_round_as_the_oracle_says(dtype, through):
    rng = np.random.default_rng(0)
    x = (rng.normal(size=20_000) * np.exp2(rng.uniform(-40, 40, 20_000))).astype(through)
    x = np.concatenate(
        [x, np.array([65504, 65519.99, 65520, 1e30, 3.38e38, 3.395e38, np.inf, np.nan, -0.0], through)]
    )
    same(flux.tensor(x).astype(dtype), rounded(x, dtype), dtype)


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize(
    "other", ["bool", "uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64"]
)
def test_integers_convert_both_ways(dtype, other):
    x = np.array([0, 1, 2, 3, 100, 127]).astype(other)
    half = flux.tensor(x).astype(dtype)
    same(half, x.astype(np.float32), dtype)
    assert half.astype(other).tolist() == x.tolist()


def test_one_type_of_16_bits_becomes_the_other():
    x = of_bits(ALL_BITS, "float16")
    same(x.astype("bfloat16"), rounded(x.astype("float64").numpy(), "bfloat16"), "bfloat16")
    y = of_bits(ALL_BITS, "bfloat16")
    same(y.astype("float16"), rounded(y.astype("float64").numpy(), "float16"), "float16")


def test_strided_tensors_convert():
    x = np.arange(24, dtype=np.float32).reshape(4, 6) / 7
    same(flux.tensor(x).T[::2].astype("float16"), x.T[::2].astype(np.float16).astype(np.float32))
    same(
        flux.tensor(x).astype("float16").T[::2].astype("float32"),
        x.T[::2].astype(np.float16).astype(np.float32),
    )


# In and out


def test_float16_is_numpys():
    a = np.linspace(-2, 2, 12, dtype=np.float16).reshape(3, 4)
    for x in (
        flux.tensor(a),
        flux.asarray(a),
        flux.from_numpy(a),
        flux.tensor(a.T).T,
        flux.tensor(a.astype(">f2")),
    ):
        assert x.dtype == "float16"
        assert x.numpy().dtype == np.float16
        np.testing.assert_array_equal(x.numpy(), a)
    np.testing.assert_array_equal(np.asarray(flux.tensor(a), np.float64), a.astype(np.float64))


def test_bfloat16_needs_ml_dtypes_only_for_numpy():
    x = flux.tensor([1.0, 2.5], dtype="bfloat16")
    assert x.tolist() == [1.0, 2.5]
    np.testing.assert_array_equal(np.asarray(x, np.float32), [1, 2.5])
    try:
        import ml_dtypes
    except ImportError:
        with pytest.raises(flux.DTypeError, match="install ml_dtypes, or convert"):
            x.numpy()
    else:
        assert x.numpy().dtype == ml_dtypes.bfloat16
        assert flux.tensor(x.numpy()).dtype == "bfloat16"
        same(flux.tensor(x.numpy()), np.array([1, 2.5], np.float32))


@pytest.mark.parametrize("dtype", HALVES)
def test_a_tensor_prints_pickles_copies_and_is_read(dtype):
    x = flux.tensor([[0.5, 1.5], [2.25, -3.0]], dtype=dtype)
    assert repr(x) == f"Tensor([[ 0.5 ,  1.5 ],\n        [ 2.25, -3.  ]], dtype={dtype})"
    assert repr(x.dtype) == f"oxiflux.{dtype}"
    assert (x.nbytes, x.dtype.itemsize, x.dtype.kind) == (8, 2, "f")
    for y in (pickle.loads(pickle.dumps(x)), copy.deepcopy(x), x.copy()):
        assert y.dtype == dtype
        assert y.tolist() == x.tolist()
    assert x[1, 0].item() == 2.25
    assert isinstance(x[1, 0].item(), float)
    assert float(x[0, 1]) == 1.5
    assert bool(x[0, 0])


def test_float16_goes_through_dlpack():
    x = flux.tensor([1.0, 2.5], dtype="float16")
    np.testing.assert_array_equal(np.from_dlpack(x), x.numpy())
    assert flux.from_dlpack(x.numpy()).dtype == "float16"


def test_bfloat16_goes_through_dlpack():
    x = flux.tensor([1.0, 2.5], dtype="bfloat16")
    again = flux.from_dlpack(x)
    assert again.dtype == "bfloat16"
    assert again.tolist() == [1.0, 2.5]


@pytest.mark.parametrize("dtype", HALVES)
def test_tensors_are_made_in_it(dtype):
    same(flux.zeros((2, 3), dtype=dtype), np.zeros((2, 3), np.float32), dtype)
    same(flux.ones(3, dtype=dtype), np.ones(3, np.float32), dtype)
    same(flux.full(2, 0.1, dtype=dtype), np.full(2, rounded(0.1, dtype)), dtype)
    same(flux.arange(5, dtype=dtype), np.arange(5, dtype=np.float32), dtype)
    same(flux.linspace(0, 1, 5, dtype=dtype), np.linspace(0, 1, 5, dtype=np.float32), dtype)
    same(flux.eye(3, dtype=dtype), np.eye(3, dtype=np.float32), dtype)
    same(flux.one_hot([0, 2], 3, dtype=dtype), np.eye(3, dtype=np.float32)[[0, 2]], dtype)
    assert flux.zeros_like(flux.ones(2, dtype=dtype)).dtype == dtype
    assert flux.randn(3, dtype=dtype).dtype == dtype


@pytest.mark.parametrize("dtype", HALVES)
def test_random_numbers_stay_below_one(dtype):
    x = flux.rand(200_000, dtype=dtype).astype("float32").numpy()
    assert 0 <= x.min() < x.max() < 1
    assert abs(x.mean() - 0.5) < 0.01


# Computing


def halves(dtype, *shape, seed=0):
    return flux.tensor(np.random.default_rng(seed).normal(size=shape), dtype=dtype)


@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "divide", "maximum", "minimum"])
def test_arithmetic_of_float16_is_numpys(name):
    a, b = halves("float16", 50, 40), halves("float16", 40, seed=1)
    found = getattr(flux, name)(a, b)
    expected = getattr(np, name)(a.numpy(), b.numpy())
    assert expected.dtype == np.float16
    assert found.dtype == "float16"
    np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize("dtype", HALVES)
def test_a_result_is_that_of_float32_rounded(dtype):
    a, b = halves(dtype, 5, 4), halves(dtype, 4, 3, seed=1)
    x, y = a.astype("float32"), b.astype("float32")
    labels = flux.tensor([0, 1, 2, 3, 0])
    pairs = [
        (a @ b, x @ y), (a.sum(axis=0), x.sum(axis=0)), (a.mean(), x.mean()), (flux.softmax(a), flux.softmax(x)),
        (flux.exp(a), flux.exp(x)), (flux.logsumexp(a), flux.logsumexp(x)), (flux.gelu(a), flux.gelu(x)),
        (flux.prod(a, axis=1), flux.prod(x, axis=1)), (a.max(axis=1), x.max(axis=1)), (flux.std(a), flux.std(x)),
        (flux.cumulative_sum(a, axis=-1), flux.cumulative_sum(x, axis=-1)),
        (flux.cumulative_prod(a, axis=-1), flux.cumulative_prod(x, axis=-1)),
        (flux.sort(a), flux.sort(x)), (flux.mse(a, a * 0), flux.mse(x, x * 0)), (flux.tanh(a), flux.tanh(x)),
        (flux.logitcrossentropy(a, labels), flux.logitcrossentropy(x, labels)), (flux.glu(a), flux.glu(x)),
        (flux.where(a > 0, a, 0), flux.where(x > 0, x, 0)), (flux.take(a, [1, 0]), flux.take(x, [1, 0])),
        (flux.concat([a, a]), flux.concat([x, x])), (a.T[1:], x.T[1:]), (flux.flip(a), flux.flip(x)),
        (flux.dot_product_attention(a, a, a)[0], flux.dot_product_attention(x, x, x)[0]),
        (flux.dot_product_attention(a, a, a, return_scores=False), flux.dot_product_attention(x, x, x)[0]),
        (a**2, x**2), (-a, -x), (abs(a), abs(x)), (a[a > 0], x[x > 0]), (a // 2, x // 2),
        (flux.floor(a), flux.floor(x)), (flux.huber_loss(a, -a), flux.huber_loss(x, -x)),
    ]  # fmt: skip
    for half, single in pairs:
        assert half.dtype == dtype
        np.testing.assert_allclose(
            half.astype("float32").numpy(),
            rounded(single.numpy(), dtype),
            rtol={"float16": 2e-3, "bfloat16": 1.6e-2}[dtype],
            atol=1e-3,
        )
    for half, single in [(a > 0.5, x > 0.5), (a == a, x == x), (a.argmax(axis=1), x.argmax(axis=1)),
                         (flux.isnan(a), flux.isnan(x)), (flux.argsort(a), flux.argsort(x))]:  # fmt: skip
        assert half.dtype == single.dtype
        assert half.tolist() == single.tolist()


@pytest.mark.parametrize("dtype", HALVES)
def test_assignment_and_iteration(dtype):
    x = flux.zeros((2, 3), dtype=dtype)
    x[0] = flux.ones(3)
    x[:, 1] = 0.1
    x[x == 0] = 2
    y = float(rounded(0.1, dtype))
    assert x.tolist() == [[1, y, 1], [2, y, 2]]
    assert [row.dtype for row in x] == [dtype, dtype]


PROMOTION = [
    ("float16", "float16", "float16"), ("float16", "float32", "float32"), ("float16", "float64", "float64"),
    ("bfloat16", "bfloat16", "bfloat16"), ("bfloat16", "float32", "float32"), ("bfloat16", "float64", "float64"),
    ("float16", "bfloat16", "float32"), ("float16", "int64", "float16"), ("bfloat16", "uint8", "bfloat16"),
    ("float16", "bool", "float16"),
]  # fmt: skip


@pytest.mark.parametrize(("a", "b", "expected"), PROMOTION)
def test_promotion(a, b, expected):
    x, y = flux.ones((2, 2), dtype=a), flux.ones((2, 2), dtype=b)
    for found in (
        x + y,
        y * x,
        x @ y,
        y / x,
        flux.where(x > 0, x, y),
        flux.concat([x, y]),
        flux.maximum(y, x),
    ):
        assert found.dtype == expected
    assert flux.result_type(x.dtype, y.dtype) == expected


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize(
    "number", [2, 2.5, True, np.float64(2.5), [1.0, 2.0], np.ones(2), np.ones(2, np.float32)]
)
def test_numbers_lists_and_arrays_take_its_dtype(dtype, number):
    x = flux.ones(2, dtype=dtype)
    for found in (x + number, number * x, x / number, flux.maximum(x, number)):
        assert found.dtype == dtype


@pytest.mark.parametrize("dtype", HALVES)
def test_what_is_known_of_it(dtype):
    d = flux.dtype(dtype)
    assert flux.isdtype(d, "real floating")
    assert flux.can_cast(d, flux.float32)
    assert not flux.can_cast(flux.float32, d)
    assert flux.can_cast(flux.int8, d)
    assert not flux.can_cast(flux.float16, flux.bfloat16)
    info = flux.finfo(d)
    assert info.bits == 16
    one = flux.ones((), dtype=dtype)
    assert (one + float(info.eps)).item() > 1
    assert (one + float(info.eps) / 2).item() == 1
    assert np.isfinite((one * float(info.max)).item())
    assert np.isinf((one * float(info.max) * 2).item())


# Gradients and models


@pytest.mark.parametrize("dtype", HALVES)
def test_gradients_are_those_of_float32_rounded(dtype):
    a, b = halves(dtype, 6, 4), halves(dtype, 4, 3, seed=1)

    def f(a, b):
        return (flux.tanh(a @ b) ** 2).mean() + a[1:].sum() * 0.01

    value, grads = flux.withgradient(f, a, b)
    expected_value, expected = flux.withgradient(f, a.astype("float32"), b.astype("float32"))
    assert value.dtype == dtype
    step = {"float16": 2.0**-11, "bfloat16": 2.0**-8}[dtype]
    np.testing.assert_allclose(value.item(), expected_value.item(), rtol=4 * step)
    for g, e in zip(grads, expected, strict=True):
        assert g.dtype == dtype
        np.testing.assert_allclose(g.astype("float32").numpy(), e.numpy(), rtol=2 * step, atol=step)


LAYERS = {
    "BatchNorm": lambda: flux.BatchNorm(4),
    "Conv": lambda: flux.Conv((3,), 4, 2, flux.relu),
    "Dropout": lambda: flux.Dropout(0.5),
    "GroupNorm": lambda: flux.GroupNorm(4, 2),
    "LayerNorm": lambda: flux.LayerNorm(4),
    "MaxPool": lambda: flux.MaxPool((2,)),
    "MeanPool": lambda: flux.MeanPool((2,)),
    "MultiHeadAttention": lambda: flux.MultiHeadAttention(4, nheads=2),
    "Chain": lambda: flux.Chain(flux.Dense(4, 3, flux.softplus), flux.Dense(3, 2, flux.gelu)),
}


@pytest.mark.parametrize(("dtype", "convert"), [("float16", flux.f16), ("bfloat16", flux.bf16)])
@pytest.mark.parametrize("layer", LAYERS)
def test_layers_compute_and_have_gradients(layer, dtype, convert):
    flux.seed(0)
    single = LAYERS[layer]()
    half = convert(copy.deepcopy(single))
    x = halves(dtype, 3, 6, 4)
    eps = {"float16": 2e-3, "bfloat16": 1.6e-2}[dtype]

    def run(model, x):
        flux.seed(1)
        return flux.withgradient(lambda m, x: (m(x) ** 2).mean(), model, x)

    expected = single(x.astype("float32")).numpy()
    y = half(x)
    assert y.dtype == dtype
    np.testing.assert_allclose(y.astype("float32").numpy(), expected, rtol=eps, atol=eps)
    (value, (_, dx)), (expected_value, (_, expected_dx)) = run(half, x), run(single, x.astype("float32"))
    assert dx.dtype == dtype
    np.testing.assert_allclose(value.item(), expected_value.item(), rtol=2 * eps)
    np.testing.assert_allclose(dx.astype("float32").numpy(), expected_dx.numpy(), rtol=eps, atol=eps)


@pytest.mark.parametrize("dtype", HALVES)
def test_second_derivatives_exist(dtype):
    x = flux.tensor([0.5, 1.0], dtype=dtype)
    (h,) = flux.gradient(lambda x: flux.gradient(lambda x: (x**3).sum(), x)[0].sum(), x)
    assert h.dtype == dtype
    assert h.tolist() == [3.0, 6.0]


@pytest.mark.parametrize("dtype", HALVES)
def test_a_value_used_twice_adds_its_gradients(dtype):
    x = flux.tensor([1.0, 2.0], dtype=dtype)
    (g,) = flux.gradient(lambda x: (x * x + x).sum() + x.sum(), x)
    assert g.dtype == dtype
    assert g.tolist() == [4.0, 6.0]


@pytest.mark.parametrize(("dtype", "convert"), [("float16", flux.f16), ("bfloat16", flux.bf16)])
@pytest.mark.parametrize("rule", [flux.Descent, flux.Adam])
def test_a_model_trains(dtype, convert, rule):
    flux.seed(0)
    model = convert(flux.Chain(flux.Dense(3, 8, flux.tanh), flux.Dense(8, 1)))
    assert {t.dtype.name for t in flux.trainables(model)} == {dtype}
    assert "# Total: 4 arrays" in repr(model)
    x = np.random.default_rng(0).normal(size=(64, 3))
    y = x[:, :1] - x[:, 1:2]
    assert model(x).dtype == dtype
    state = flux.setup(rule(0.05), model)
    losses = []
    for _ in range(100):
        value, (grads,) = flux.withgradient(lambda m: flux.mse(m(x), y), model)
        flux.update(state, model, grads)
        losses.append(value.item())
    assert {t.dtype.name for t in flux.trainables(model)} == {dtype}
    assert losses[-1] < losses[0] / 5


def test_a_model_goes_to_16_bits_and_back():
    model = flux.Dense(3, 4)
    weight = model.weight.numpy().copy()
    assert flux.f32(flux.f16(model)).weight.dtype == "float32"
    np.testing.assert_array_equal(model.weight.numpy(), weight.astype(np.float16).astype(np.float32))


@pytest.mark.parametrize(("dtype", "convert"), [("float16", flux.f16), ("bfloat16", flux.bf16)])
def test_a_model_is_saved_and_loaded(tmp_path, dtype, convert):
    model, path = (
        convert(flux.Chain(flux.Dense(3, 8, flux.tanh), flux.Dense(8, 1))),
        tmp_path / "model.safetensors",
    )
    flux.save(path, model)
    again = flux.load(path)
    for x, y in zip(flux.trainables(model), flux.trainables(again), strict=True):
        assert y.dtype == dtype
        assert y.tolist() == x.tolist()


def test_an_update_that_fails_leaves_the_model_as_it_was():
    model = flux.f16(flux.Dense(3, 4))
    before = model.weight.tolist()
    state, (grads,) = (
        flux.setup(flux.Adam(), model),
        flux.gradient(lambda m: m(flux.ones((1, 3))).sum(), model),
    )
    grads.bias = flux.ones(7)
    with pytest.raises(flux.ShapeError):
        flux.update(state, model, grads)
    assert model.weight.dtype == "float16"
    assert model.weight.tolist() == before


@pytest.mark.parametrize(("convert", "dtype"), [(flux.f16, "float16"), (flux.bf16, "bfloat16")])
def test_normalisation_layers_stay_in_float32_and_pass_on_what_they_are_given(convert, dtype):
    norms = [flux.BatchNorm(4), flux.InstanceNorm(4, affine=True, track_stats=True), flux.GroupNorm(4, 2)]
    model = convert(flux.Chain(flux.Dense(4, 4), *norms, flux.LayerNorm(4)))
    for norm in norms:
        assert {str(t.dtype) for _, t in flux._core.leaves(norm)} == {"oxiflux.float32"} or all(
            t.dtype == "float32" for _, t in flux._core.leaves(norm)
        )
        x = flux.rand(2, 3, 4).astype(dtype)
        for mode in (True, False):
            assert flux.trainmode(norm, mode)(x).dtype == dtype
        assert flux.trainmode(norm, None)(flux.rand(2, 3, 4)).dtype == "float32"
    assert model[0].weight.dtype == model[4].scale.dtype == dtype
    # As Flux does, also where they were something else before.
    assert flux.f16(flux.f64(flux.BatchNorm(2))).mu.dtype == "float32"
    assert flux.f64(flux.f16(flux.BatchNorm(2))).mu.dtype == "float64"
