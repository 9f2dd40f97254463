"""Steps, pads and scales that no memory holds are errors, whatever the size of the result would be."""

import pytest

import oxiflux as flux

B, H, G = 2**40, 2**62, 2**70
x, w = flux.ones((1, 5, 5, 3)), flux.ones((2, 2, 3, 4))
depthwise = flux.ones((2, 2, 1, 3))


def slope(f, *args):
    return flux.gradient(lambda *args: f(*args).sum(), *args)


ABSURD = {
    "conv, pad": lambda: flux.conv(x, w, pad=B),
    "conv, a result of few pixels of a far larger image": lambda: flux.conv(x, w, pad=B, dilation=B, stride=B),
    "conv, one pixel": lambda: flux.conv(x, w, pad=B, dilation=B, stride=2 * B),
    "conv of one dimension": lambda: flux.conv(x[0], flux.ones((2, 3, 4)), pad=2**33, stride=2**32),
    "conv, depthwise": lambda: flux.conv(x, depthwise, groups=3, pad=B, stride=B),
    "conv, dilation": lambda: flux.conv(x, w, dilation=G),
    "conv, groups": lambda: flux.conv(x, w, groups=H),
    "conv, gradient": lambda: slope(lambda x, w: flux.conv(x, w, pad=2**30, stride=2**29), x, w),
    "transposed, stride": lambda: flux.ConvTranspose((2, 2), 3, 4, stride=B)(x),
    "transposed, cut away": lambda: flux.ConvTranspose((2, 2), 3, 4, stride=B, pad=2 * B)(x),
    "maxpool": lambda: flux.maxpool(x, (2, 2), pad=B),
    "meanpool": lambda: flux.meanpool(x, (H, H), pad=H),
    "adaptive": lambda: flux.AdaptiveMaxPool((H, H))(x),
    "pad_zeros": lambda: flux.pad_zeros(x, B),
    "pad_repeat": lambda: flux.pad_repeat(x, G),
    "pad_circular": lambda: flux.pad_circular(x, B),
    "unfold": lambda: flux.unfold(x, (2, 2), pad=G),
    "unfold of no images": lambda: flux.unfold(flux.zeros((0, 5, 5, 3)), (2, 2), pad=H),
    "fold": lambda: flux.fold(flux.ones((1, 1, 12)), (1, G, 2, 3), (2, 2), stride=G),
    "nearest": lambda: flux.upsample_nearest(x, 10**9),
    "nearest, beyond a word": lambda: flux.upsample_nearest(x, G),
    "bilinear": lambda: flux.upsample_bilinear(x, 10**9),
    "bilinear, beyond a word": lambda: flux.upsample_bilinear(x, 1e300),
    "bilinear, one length": lambda: flux.upsample_bilinear(x, (1, 10**10)),
    "onehot": lambda: flux.onehot(1, range(10**12)),
    "onehot, beyond a word": lambda: flux.onehotbatch([1], range(G)),
    "istft": lambda: flux.istft(flux.ones((3, 9, 2)), n_fft=16, hop_length=G),
    "scatter": lambda: flux.scatter("+", [1.0], [B]),
}  # fmt: skip


@pytest.mark.parametrize("name", ABSURD)
def test_an_absurd_size_is_an_error(name):
    with pytest.raises((MemoryError, ValueError)) as caught:
        ABSURD[name]()
    assert str(caught.value)


def test_a_stride_beyond_the_image_leaves_one_pixel():
    y, (dx,) = flux.withgradient(lambda x: flux.conv(x, w, stride=B, pad=1).sum(), x)
    assert y.item() == 12
    assert dx.numpy().sum() == 12
    assert flux.maxpool(x, (2, 2), stride=B).shape == (1, 1, 1, 3)
    assert flux.unfold(x, (2, 2), stride=B).shape == (1, 1, 12)


def test_nothing_of_an_absurd_length_sorts_to_nothing():
    assert flux.sort(flux.zeros((0, H))).shape == (0, H)


ENDLESS = range(2**40)


@pytest.mark.parametrize(
    "call",
    [
        lambda: flux.zeros(ENDLESS),
        lambda: flux.ones(ENDLESS),
        lambda: flux.full(ENDLESS, 1.0),
        lambda: flux.rand(ENDLESS),
        lambda: flux.randint(0, 2, ENDLESS),
        lambda: flux.reshape(flux.zeros(4), ENDLESS),
        lambda: flux.zeros(4).reshape(ENDLESS),
        lambda: flux.broadcast_to(flux.zeros(4), ENDLESS),
        lambda: flux.permute_dims(flux.zeros(4), ENDLESS),
        lambda: flux.zeros(4).transpose(ENDLESS),
        lambda: flux.sum(flux.zeros(4), axis=ENDLESS),
        lambda: flux.zeros(4).max(axis=ENDLESS),
        lambda: flux.flip(flux.zeros(4), axis=ENDLESS),
        lambda: flux.squeeze(flux.zeros(4), axis=ENDLESS),
        lambda: flux.zeros(i for i in iter(int, 1)),
    ],
)
def test_a_shape_and_axes_without_end_are_an_error_at_once(call):
    with pytest.raises(ValueError, match="at most 64 axes"):
        call()


def test_a_range_becomes_a_tensor_without_a_list():
    assert flux.tensor(range(5, 0, -2)).tolist() == [5, 3, 1]
    assert flux.tensor(range(0)).dtype == "int64"
    assert flux.tensor(range(3), dtype="float32").tolist() == [0, 1, 2]
    with pytest.raises(MemoryError):
        flux.tensor(range(2**46))


@pytest.mark.parametrize(
    "call",
    [
        lambda: flux.roll(flux.zeros(4), 1, axis=ENDLESS),
        lambda: flux.roll(flux.zeros(4), ENDLESS),
        lambda: flux.tile(flux.zeros(4), ENDLESS),
        lambda: flux.moveaxis(flux.zeros(4), ENDLESS, 0),
        lambda: flux.expand_dims(flux.zeros(4), axis=ENDLESS),
        lambda: flux.tensordot(flux.zeros(4), flux.zeros(4), axes=(ENDLESS, ENDLESS)),
        lambda: flux.conv(flux.ones((1, 5, 1)), flux.ones((2, 1, 1)), stride=ENDLESS),
        lambda: flux.dropout(flux.zeros(4), 0.5, axis=ENDLESS),
        lambda: flux.softmax(flux.zeros(4), axis=ENDLESS),
        lambda: flux.LayerNorm(ENDLESS),
        lambda: flux.MaxPool(ENDLESS),
        lambda: flux.Conv(ENDLESS, 1, 1),
        lambda: flux.zeros(4)[ENDLESS],
        lambda: flux.glorot_uniform(ENDLESS),
    ],
)
def test_other_arguments_without_end_are_an_error_at_once(call):
    with pytest.raises((ValueError, TypeError, IndexError)):
        call()


def test_a_shape_without_elements_that_numpy_does_not_hold_is_an_error():
    with pytest.raises(ValueError, match="too big"):
        flux.zeros((0, 2**40, 2**40), dtype="float64").numpy()
