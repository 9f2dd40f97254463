"""Convolutions against their definition, their gradients, and what they refuse."""

import numpy as np
import pytest

import oxiflux as flux
from references import correlation, transposed


def numbers(*shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


# (batch, *spatial), (*window), in, out of each group, stride, pad, dilation, groups
CASES = [
    ((2, 9), (3,), 2, 3, (1,), (0, 0), (1,), 1),
    ((3, 11), (4,), 1, 1, (3,), (2, 1), (2,), 1),
    ((1, 1), (1,), 1, 1, (1,), (0, 0), (1,), 1),
    ((2, 700), (5,), 3, 2, (1,), (2, 2), (1,), 1),
    ((2, 8, 7), (3, 3), 3, 5, (1, 1), (1, 1, 1, 1), (1, 1), 1),
    ((2, 9, 9), (3, 2), 4, 33, (2, 2), (0, 1, 1, 0), (1, 1), 1),
    ((2, 10, 11), (3, 3), 5, 17, (1, 2), (2, 2, 3, 1), (2, 3), 1),
    ((1, 7, 30), (1, 1), 3, 6, (2, 3), (0, 0, 0, 0), (1, 1), 1),
    ((2, 6, 5), (1, 1), 3, 6, (1, 1), (0, 0, 0, 0), (1, 1), 1),
    ((2, 5, 6), (2, 2), 2, 3, (4, 4), (0, 0, 0, 0), (1, 1), 1),
    ((2, 6, 7), (3, 3), 2, 3, (1, 2), (1, 1, 1, 1), (1, 1), 3),
    ((2, 7, 6), (3, 3), 1, 1, (1, 1), (1, 1, 1, 1), (1, 1), 70),
    ((2, 7, 6), (2, 3), 1, 2, (2, 1), (1, 0, 1, 1), (1, 2), 5),
    ((2, 4, 40), (3, 3), 20, 70, (1, 1), (1, 1, 1, 1), (1, 1), 1),
    ((1, 5, 5), (5, 5), 64, 33, (1, 1), (0, 0, 0, 0), (1, 1), 1),
    ((2, 5, 4, 6), (2, 3, 2), 2, 3, (1, 1, 1), (0, 0, 1, 1, 0, 1), (1, 1, 1), 1),
    ((1, 5, 6, 7), (2, 2, 3), 2, 2, (2, 1, 3), (1, 1, 0, 0, 2, 0), (1, 2, 1), 2),
    # Filters read in place, packed by each chunk for itself, and packed for all; a last dimension of one pixel.
    ((1, 4), (3,), 130, 70, (1,), (1, 1), (1,), 1),
    ((1, 4), (3,), 66, 35, (2,), (1, 0), (1,), 2),
    ((1, 6, 6), (3, 3), 150, 40, (1, 1), (1, 1, 1, 1), (1, 1), 1),
    ((1, 40, 40), (2, 3), 9, 40, (1, 1), (1, 1, 1, 1), (1, 1), 1),
    ((2, 9, 1), (4, 1), 5, 35, (2, 3), (2, 1, 0, 0), (1, 1), 1),
    ((2, 3, 8, 1), (2, 3, 1), 2, 3, (1, 1, 1), (0, 0, 1, 1, 0, 0), (1, 2, 1), 2),
    ((2, 8, 1), (3, 1), 1, 1, (1, 2), (1, 1, 0, 0), (1, 1), 5),
    ((2, 8, 1), (3, 1), 2, 3, (1, 2), (1, 1, 1, 0), (1, 1), 1),
    ((0, 5, 5), (3, 3), 2, 3, (1, 1), (0, 0, 0, 0), (1, 1), 1),
    ((2, 0, 5), (1, 1), 2, 3, (1, 1), (1, 0, 0, 0), (1, 1), 1),
    ((2, 5, 5), (3, 3), 0, 3, (1, 1), (0, 0, 0, 0), (1, 1), 1),
]  # fmt: skip


def arrays(images, window, size_in, size_out, groups, dtype):
    x = numbers(*images, size_in * groups, dtype=dtype)
    return x, numbers(*window, size_in, size_out * groups, dtype=dtype, seed=1)


def close(result, expected, terms, dtype):
    eps = np.finfo(dtype).eps
    assert result.shape == expected.shape
    assert result.dtype == np.dtype(dtype).name
    np.testing.assert_allclose(result.numpy(), expected, rtol=8 * eps, atol=8 * eps * (terms + 1))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("images", "window", "size_in", "size_out", "stride", "pad", "dilation", "groups"), CASES
)
def test_conv_is_its_definition(images, window, size_in, size_out, stride, pad, dilation, groups, dtype):
    x, w = arrays(images, window, size_in, size_out, groups, dtype)
    y = flux.conv(flux.tensor(x), w, stride=stride, pad=pad, dilation=dilation, groups=groups)
    close(y, correlation(x, w, stride, pad, dilation, groups), np.prod(window) * size_in, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("images", "window", "size_in", "size_out", "stride", "pad", "dilation", "groups"), CASES
)
def test_the_gradients_of_conv_are_its_transposes(
    images, window, size_in, size_out, stride, pad, dilation, groups, dtype
):
    x, w = arrays(images, window, size_in, size_out, groups, dtype)
    options = {"stride": stride, "pad": pad, "dilation": dilation, "groups": groups}
    shape = flux.conv(x, w, **options).shape
    g = numbers(*shape, dtype=dtype, seed=2)
    dx, dw = flux.gradient(
        lambda x, w: (flux.conv(x, w, **options) * g).sum(), flux.tensor(x), flux.tensor(w)
    )
    # `sum(g * conv(u, v))` is linear in `u` and in `v`: the gradients give it for any of them.
    u, v = numbers(*x.shape, seed=3), numbers(*w.shape, seed=4)
    terms = max(1, g.size) * np.prod(window) * max(1, size_in)
    # The errors of so many sums and products go both ways.
    tolerance = 8 * np.finfo(dtype).eps * np.sqrt(terms)
    assert dx.shape == x.shape and dw.shape == w.shape
    for gradient, direction, expected in [
        (dx, u, correlation(u, w, stride, pad, dilation, groups)),
        (dw, v, correlation(x, v, stride, pad, dilation, groups)),
    ]:
        np.testing.assert_allclose((gradient.numpy() * direction).sum(), (g * expected).sum(), atol=tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("images", "window", "size_in", "size_out", "stride", "pad", "dilation", "outpad", "groups"),
    [
        ((2, 5), (3,), 2, 3, (1,), (0, 0), (1,), (0,), 1),
        ((2, 5), (2,), 2, 3, (4,), (0, 0), (1,), (3,), 1),
        ((2, 4, 3), (3, 3), 3, 5, (2, 1), (1, 1, 0, 0), (1, 2), (1, 0), 1),
        ((1, 4, 3), (1, 2), 17, 33, (3, 2), (0, 0, 1, 0), (1, 1), (0, 1), 1),
        ((2, 4, 3), (3, 2), 2, 3, (2, 3), (1, 2, 0, 1), (1, 1), (1, 2), 3),
        ((2, 2, 3, 2), (2, 3, 1), 2, 2, (1, 2, 2), (0, 1, 1, 1, 0, 0), (2, 1, 1), (0, 1, 0), 2),
        ((2, 4, 3), (3, 2), 2, 1, (1, 2), (1, 0, 0, 0), (1, 1), (0, 1), 3),
        ((2, 4, 9), (2, 3), 1, 1, (2, 1), (1, 0, 0, 0), (1, 1), (0, 0), 19),
        ((0, 4, 3), (3, 3), 2, 3, (1, 1), (0, 0, 0, 0), (1, 1), (0, 0), 1),
    ],
)
def test_conv_transpose_is_its_definition(
    images, window, size_in, size_out, stride, pad, dilation, outpad, groups, dtype
):
    x = numbers(*images, size_in * groups, dtype=dtype)
    w = numbers(*window, size_out, size_in * groups, dtype=dtype, seed=1)
    options = {"stride": stride, "pad": pad, "dilation": dilation, "outpad": outpad, "groups": groups}
    layer = flux.ConvTranspose(flux.tensor(w), **options)
    expected = transposed(x, w, stride, pad, dilation, outpad, groups)
    close(layer(flux.tensor(x)), expected, np.prod(window) * size_in, dtype)


@pytest.mark.parametrize("name", ["relu", "tanh", "gelu", "softplus"])
@pytest.mark.parametrize(
    ("size_in", "out", "groups"), [(2, 1, 1), (2, 5, 1), (2, 40, 1), (4, 6, 2), (19, 19, 19)]
)
def test_a_fused_activation_is_the_activation_after_the_layer(name, size_in, out, groups):
    activation = getattr(flux, name)
    fused = flux.Conv((3, 2), size_in, out, activation, pad=1, groups=groups, bias=numbers(out))
    plain = flux.Conv(fused.weight, fused.bias, pad=1, groups=groups)
    x = flux.tensor(numbers(2, 9, 9, size_in, dtype=np.float32))
    np.testing.assert_allclose(fused(x).numpy(), activation(plain(x)).numpy(), rtol=2e-6, atol=2e-6)
    (g,) = flux.gradient(lambda m: (m(x) ** 2).sum(), fused)
    (h,) = flux.gradient(lambda m: (activation(m(x)) ** 2).sum(), plain)
    np.testing.assert_allclose(g.weight.numpy(), h.weight.numpy(), rtol=2e-6, atol=2e-6)
    np.testing.assert_allclose(g.bias.numpy(), h.bias.numpy(), rtol=2e-6, atol=2e-6)


def test_any_function_is_an_activation():
    layer = flux.Conv((2,), 1, 3, lambda y: y.sum(axis=-1, keepdims=True), bias=[1, 2, 3])
    x = numbers(2, 5, 1, dtype=np.float32)
    expected = correlation(x, layer.weight.numpy(), (1,), (0, 0), (1,)) + np.array([1, 2, 3])
    np.testing.assert_allclose(layer(x).numpy(), expected.sum(-1, keepdims=True), rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("kind", [flux.Conv, flux.ConvTranspose])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("flipped", [False, True])
def test_the_gradients_of_the_layers_match_differences(kind, groups, flipped):
    def apply(x, w, b):
        options = {"stride": 2, "pad": (1, 0, 0, 1), "dilation": (1, 2), "groups": groups, "flipped": flipped}
        return kind(w, b, flux.sigmoid, **options)(x)

    args = [flux.tensor(numbers(*shape)) for shape in [(2, 3, 4, 2), (3, 2, 2 // groups, 2), (2,)]]
    assert flux.gradcheck(apply, *args, order=2)


def test_a_flipped_window_is_turned_round():
    x, w = numbers(2, 6, 5, 3), numbers(3, 2, 3, 4)
    expected = correlation(x, w[::-1, ::-1], (1, 1), (1, 1, 1, 1), (1, 1))
    np.testing.assert_allclose(flux.conv(x, w, pad=1, flipped=True).numpy(), expected, rtol=1e-12)
    layer = flux.Conv(flux.tensor(w), False, pad=1, flipped=True)
    np.testing.assert_allclose(layer(flux.tensor(x)).numpy(), expected, rtol=1e-12)
    up = flux.ConvTranspose(flux.tensor(w), flipped=True)(expected).numpy()
    down = flux.ConvTranspose(flux.tensor(w[::-1, ::-1].copy()))(expected).numpy()
    np.testing.assert_array_equal(up, down)


@pytest.mark.parametrize("multiplier", [1, 2])
def test_depthwiseconv_filters_each_channel_by_itself(multiplier):
    x, w = numbers(2, 6, 5, 3), numbers(3, 2, multiplier, 3)
    y = flux.depthwiseconv(x, w, pad=1, stride=(2, 1)).numpy()
    for c in range(3):
        for m in range(multiplier):
            one = correlation(x[..., c : c + 1], w[:, :, m : m + 1, c : c + 1], (2, 1), (1,) * 4, (1, 1))
            np.testing.assert_allclose(y[..., c * multiplier + m], one[..., 0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("channels", [*range(2, 71), 96, 130])
def test_depthwise_convolutions_of_every_number_of_channels_are_their_definition(channels):
    for height, width, stride, window in [
        (5, 7, 1, (3, 3)),
        (4, 13, 1, (2, 5)),
        (6, 5, 2, (3, 3)),
        (3, 1, 1, (3, 1)),
    ]:
        x, w = (
            numbers(2, height, width, channels, dtype=np.float32),
            numbers(*window, 1, channels, dtype=np.float32),
        )
        pad = tuple((k - 1) // 2 for k in window)
        conv = lambda x, w: flux.conv(x, w, pad=pad, stride=stride, groups=channels)
        y = conv(x, w)
        wide = correlation(
            *(a.astype(float) for a in (x, w)), (stride,) * 2, tuple(np.repeat(pad, 2)), (1, 1), channels
        )
        np.testing.assert_allclose(y.numpy(), wide, rtol=1e-5, atol=1e-5)
        g = numbers(*y.shape, dtype=np.float32)
        found = flux.gradient(lambda x, w: (conv(x, w) * g).sum(), x, w)
        exact = flux.gradient(lambda x, w: (conv(x, w) * g).sum(), x.astype(float), w.astype(float))
        # By parts of a channel each, which are no depthwise convolutions.
        for c in {0, channels // 2, channels - 1}:
            one = [x[..., c : c + 1].astype(float), w[..., c : c + 1].astype(float)]
            f = lambda x, w, c=c: (flux.conv(x, w, pad=pad, stride=stride) * g[..., c : c + 1]).sum()
            for whole, part in zip(exact, flux.gradient(f, *one), strict=True):
                np.testing.assert_allclose(
                    whole.numpy()[..., c], part.numpy()[..., 0], rtol=1e-10, atol=1e-10
                )
        for a, b in zip(found, exact, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_images_and_weights_of_any_strides_are_taken(groups):
    x = numbers(6, 7, 5, 8).transpose(3, 1, 2, 0)[::-2]
    w = numbers(12, 2, 3, 6 // groups).T.transpose(2, 1, 0, 3)[..., ::2]
    expected = correlation(x, w, (1, 1), (1, 1, 1, 1), (1, 1), groups)
    y = flux.conv(flux.tensor(x), flux.tensor(w), pad=1, groups=groups)
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-12, atol=1e-12)


def test_the_layer_computes_in_the_dtype_of_its_parameters():
    layer = flux.Conv((2, 2), 2, 3)
    assert layer(numbers(1, 4, 4, 2)).dtype == "float32"
    assert layer(np.ones((1, 4, 4, 2), int)).dtype == "float32"
    assert flux.f64(layer)(numbers(1, 4, 4, 2, dtype=np.float32)).dtype == "float64"


@pytest.mark.parametrize(
    ("shape", "weight", "options"),
    [
        ((3, 40, 37, 20), (3, 3, 20, 40), {"pad": 1}),
        ((3, 41, 40, 20), (3, 3, 20, 40), {"stride": 2}),
        ((2, 30, 30, 24), (3, 3, 1, 24), {"pad": 1, "groups": 24}),
        ((4, 3000, 8), (5, 8, 16), {"dilation": 2}),
        ((1, 7, 7, 96), (3, 3, 96, 160), {"pad": 1}),
    ],
)
def test_the_bits_do_not_depend_on_the_number_of_threads(shape, weight, options):
    x, w = (flux.tensor(numbers(*s, dtype=np.float32)) for s in (shape, weight))
    before = flux.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            flux.set_num_threads(threads)
            y = flux.conv(x, w, **options)
            grads = flux.gradient(lambda x, w: (flux.conv(x, w, **options) ** 2).sum(), x, w)
            results.append([a.numpy().tobytes() for a in (y, *grads)])
    finally:
        flux.set_num_threads(before)
    assert results[0] == results[1] == results[2]


# Layers


def test_convolutions_are_trained():
    model = flux.Chain(flux.Conv((3,), 1, 4, flux.relu, pad=1), flux.ConvTranspose((2,), 4, 1, stride=2))
    x = numbers(8, 6, 1, dtype=np.float32)
    state = flux.setup(flux.Adam(0.01), model)

    def loss(m):
        return flux.mse(m(x), np.repeat(x, 2, axis=1))

    first = loss(model).item()
    for _ in range(20):
        flux.update(state, model, flux.gradient(loss, model)[0])
    assert loss(model).item() < first


def test_the_initial_weights_are_scaled_by_what_a_pixel_sums_over():
    w = flux.Conv((5, 5), 16, 32, groups=2).weight.numpy()
    assert w.shape == (5, 5, 8, 32)
    bound = np.sqrt(6 / (25 * 8 + 25 * 32))
    assert 0.99 * bound < np.abs(w).max() <= bound


@pytest.mark.parametrize("kind", [flux.Conv, flux.ConvTranspose])
def test_a_convolution_names_itself_and_what_does_not_fit(kind):
    layer = kind((3, 3), 2, 4, flux.relu)
    name = f"{kind.__name__}((3, 3), 2 => 4, relu)"
    for shape, message in [
        ((1, 5, 5, 3), "expected 2 channels on the last axis, got shape (1, 5, 5, 3)"),
        ((5, 5, 2), "expected 4 axes, the batch, 2 spatial and the channels, got shape (5, 5, 2)"),
        ((), "expected 4 axes, the batch, 2 spatial and the channels, got shape ()"),
    ]:
        with pytest.raises(flux.ShapeError) as error:
            layer(np.ones(shape))
        assert str(error.value) == f"{name}: {message}"


def test_a_window_larger_than_the_padded_input_is_refused():
    layer = flux.Conv((3, 3), 2, 4, pad=(0, 1), dilation=2)
    with pytest.raises(flux.ShapeError, match=r"^Conv\(.*\): a window that reaches over 5 does not fit 4"):
        layer(np.ones((1, 4, 4, 2)))
    with pytest.raises(flux.ShapeError, match="does not fit 2 with padding 1 and 1, in spatial dimension 1"):
        layer(np.ones((1, 5, 2, 2)))


def test_a_transposed_convolution_needs_something_left_of_its_padding():
    layer = flux.ConvTranspose((2,), 1, 1, pad=3)
    assert layer(np.ones((1, 7, 1))).shape == (1, 2, 1)
    with pytest.raises(flux.ShapeError, match="padding 3 and 3 leaves nothing of spatial dimension 0"):
        layer(np.ones((1, 2, 1)))
    with pytest.raises(flux.ShapeError, match="leaves nothing"):
        layer(np.ones((1, 0, 1)))


@pytest.mark.parametrize("kind", [flux.Conv, flux.ConvTranspose, flux.CrossCor])
@pytest.mark.parametrize(
    ("args", "options", "message"),
    [
        (((0, 3), 1, 1), {}, "window"),
        ((3, 1, 1), {}, "window"),
        (((1, 1, 1, 1), 1, 1), {}, "window"),
        (((3,), -1, 1), {}, "channels"),
        (((3,), 1, 2.0), {}, "channels"),
        (((3,), 1, 1), {"stride": 0}, "stride"),
        (((3,), 1, 1), {"stride": (1, 1)}, "stride"),
        (((3,), 1, 1), {"dilation": 0}, "dilation"),
        (((3,), 1, 1), {"pad": -1}, "pad"),
        (((3,), 1, 1), {"pad": "same"}, "pad"),
        (((3,), 4, 6), {"groups": 3}, "groups do not divide"),
        (((3,), 6, 4), {"groups": 3}, "groups do not divide"),
        (((3,), 1, 1), {"groups": 0}, "groups"),
    ],
)
def test_options_that_are_none_are_refused(kind, args, options, message):
    with pytest.raises(ValueError, match=f"^{kind.__name__}: .*{message}"):
        kind(*args, **options)


@pytest.mark.parametrize("outpad", [-1, 2, (0, 1), 0.5])
def test_outpad_is_below_the_stride(outpad):
    with pytest.raises(ValueError, match="^ConvTranspose: outpad"):
        flux.ConvTranspose((3,), 1, 1, stride=2, outpad=outpad)


def test_same_padding_of_a_transposed_convolution_needs_a_window_as_long_as_the_stride():
    assert flux.ConvTranspose((3,), 1, 1, stride=3, pad=flux.SamePad())(np.ones((1, 4, 1))).shape == (
        1,
        12,
        1,
    )
    with pytest.raises(ValueError, match="SamePad"):
        flux.ConvTranspose((2,), 1, 1, stride=3, pad=flux.SamePad())


def test_what_is_no_parameter_is_refused():
    with pytest.raises(TypeError, match="Conv: the activation must be a function"):
        flux.Conv((3,), 1, 1, "relu")
    with pytest.raises(flux.ShapeError, match=r"Conv\(.*\): init made a weight of shape"):
        flux.Conv((3,), 1, 1, init=lambda shape: np.ones((2, 2)))
    with pytest.raises(flux.ShapeError, match=r"expected a bias of shape \(4,\)"):
        flux.Conv((3,), 1, 4, bias=[1, 2])
    with pytest.raises(flux.ShapeError, match=r"Conv: the weight must be"):
        flux.Conv(np.ones((3, 3)))
    with pytest.raises(ValueError, match="2 groups do not divide 2 and 3 channels"):
        flux.Conv(np.ones((3, 1, 3)), groups=2)
    with pytest.raises(TypeError, match="strides"):
        flux.Conv((3,), 1, 1, strides=2)


def test_conv_refuses_what_is_no_convolution():
    x, w = np.ones((1, 4, 4, 2)), np.ones((2, 2, 2, 2))
    for weight in [np.ones((2, 2)), np.ones((0, 2, 2, 2)), np.ones((1, 1, 1, 1, 2, 2))]:
        with pytest.raises(flux.ShapeError, match="the weight must be"):
            flux.conv(x, weight)
    with pytest.raises(flux.ShapeError, match="expected 4 channels"):
        flux.conv(x, w, groups=2)
    with pytest.raises(flux.ShapeError, match="groups do not divide"):
        flux.conv(np.ones((1, 4, 4, 6)), w, groups=3)
    with pytest.raises(flux.DTypeError, match="int64"):
        flux.conv(flux.tensor(x).astype("int64"), flux.tensor(w).astype("int64"))
    with pytest.raises(ValueError, match="conv: stride"):
        flux.conv(x, w, stride=0)
    with pytest.raises(flux.ShapeError, match="the weight must be"):
        flux.depthwiseconv(x, np.ones(3))


def test_nan_and_infinity_stay_where_their_window_is():
    x = np.zeros((1, 6, 6, 1), np.float32)
    x[0, 0, 0, 0], x[0, 5, 5, 0] = np.nan, np.inf
    y = flux.conv(x, np.ones((2, 2, 1, 1), np.float32)).numpy()[0, :, :, 0]
    assert np.isnan(y[0, 0]) and np.isinf(y[4, 4])
    assert np.isfinite(y).sum() == y.size - 2


@pytest.mark.parametrize("dilation", [1, 2, 3])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("dims", [1, 2])
def test_same_padding_keeps_the_length_times_the_stride(dims, k, stride, dilation):
    options = {"stride": stride, "dilation": dilation, "pad": flux.SamePad()}
    x = flux.ones((1, *[7] * dims, 1))
    assert flux.Conv((k,) * dims, 1, 1, **options)(x).shape[1:-1] == (-(-7 // stride),) * dims
    if dilation * (k - 1) + 1 < stride:
        with pytest.raises(ValueError, match=r"SamePad\(\) needs strides within the window"):
            flux.ConvTranspose((k,) * dims, 1, 1, **options)
    else:
        assert flux.ConvTranspose((k,) * dims, 1, 1, **options)(x).shape[1:-1] == (7 * stride,) * dims


@pytest.mark.parametrize(
    "layer",
    [
        flux.Conv((3, 3), 3, 8),
        flux.Conv((3, 3), 3, 3, groups=3),
        flux.ConvTranspose((3, 3), 3, 8),
        flux.BatchNorm(3),
        flux.GroupNorm(3, 3),
        flux.InstanceNorm(3),
        flux.PReLU(3),
    ],
    ids=repr,
)
def test_channels_in_the_second_axis_are_said_to_be_last_here(layer):
    x = flux.ones((2, 3, 16, 16))
    with pytest.raises(flux.ShapeError, match=r"channels are last here: flux.moveaxis\(x, 1, -1\)"):
        layer(x)
    assert layer(flux.moveaxis(x, 1, -1)).ndim == 4
    with pytest.raises(flux.ShapeError) as caught:
        layer(flux.ones((2, 4, 16, 16)))
    assert "last here" not in str(caught.value)


def test_axes_that_are_too_many_are_not_taken_for_channels_in_the_second():
    with pytest.raises(flux.ShapeError, match="expected 3 axes") as caught:
        flux.Conv((3,), 3, 4)(flux.ones((2, 3, 16, 16)))
    assert "last here" not in str(caught.value)
