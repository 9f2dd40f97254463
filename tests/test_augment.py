"""Images changed at random: what each function does to each of them, and that a seed says how."""

import math

import numpy as np
import pytest

import oxiflux as flux
from oxiflux import augment

RNG = np.random.default_rng(0)
IMAGES = RNG.random((7, 5, 6, 3)).astype(np.float32)
EVERY = {
    "flip": lambda x, **o: augment.flip(x, **o),
    "crop": lambda x, **o: augment.crop(x, (3, 4), pad=1, **o),
    "affine": lambda x, **o: augment.affine(x, angle=0.5, shift=0.2, scale=(0.8, 1.2), shear=0.1, **o),
}


@pytest.mark.parametrize("name", EVERY)
def test_a_seed_says_what_is_drawn_and_images_differ(name):
    f = EVERY[name]
    first = f(IMAGES, rng=flux.Generator(1)).numpy()
    np.testing.assert_array_equal(first, f(flux.tensor(IMAGES), rng=flux.Generator(1)))
    assert not np.array_equal(first, f(IMAGES, rng=flux.Generator(2)))
    flux.seed(1)
    shared = f(IMAGES).numpy()
    np.testing.assert_array_equal(first, shared)
    assert not np.array_equal(shared, f(IMAGES))
    # A batch of one image seven times: it is not changed alike everywhere.
    same = f(np.repeat(IMAGES[:1], 7, axis=0), rng=flux.Generator(1)).numpy()
    assert len({image.tobytes() for image in same}) > 1


@pytest.mark.parametrize("vertical", [False, True])
def test_flipped_images_are_mirrored_and_the_others_as_they_were(vertical):
    mirrored = IMAGES[:, ::-1] if vertical else IMAGES[:, :, ::-1]
    np.testing.assert_array_equal(augment.flip(IMAGES, 1.0, vertical=vertical), mirrored)
    np.testing.assert_array_equal(augment.flip(IMAGES, 0.0, vertical=vertical), IMAGES)
    many = np.repeat(IMAGES[:1], 2000, axis=0)
    flipped = augment.flip(many, 0.3, vertical=vertical, rng=flux.Generator(0)).numpy()
    is_flipped = (flipped == mirrored[:1]).all(axis=(1, 2, 3))
    assert (
        is_flipped | (flipped == IMAGES[:1]).all(axis=(1, 2, 3))
    ).all() and 0.26 < is_flipped.mean() < 0.34


@pytest.mark.parametrize(
    ("padding_mode", "theirs"), [("zeros", "constant"), ("reflect", "reflect"), ("border", "edge")]
)
def test_crops_are_parts_of_the_padded_image_each_place_as_likely(padding_mode, theirs):
    image = np.arange(20.0, dtype=np.float32).reshape(1, 4, 5, 1) + 1
    many = np.repeat(image, 3000, axis=0)
    crops = augment.crop(many, (4, 4), pad=1, padding_mode=padding_mode, rng=flux.Generator(3)).numpy()
    padded = np.pad(image, [(0, 0), (1, 1), (1, 1), (0, 0)], theirs)[0]
    parts = [padded[i : i + 4, j : j + 4] for i in range(3) for j in range(4)]
    counts = [int((crops == part).all(axis=(1, 2, 3)).sum()) for part in parts]
    assert sum(counts) == 3000 and min(counts) > 180


def test_bytes_stay_bytes_where_nothing_is_interpolated():
    x = (IMAGES * 255).astype(np.uint8)
    assert augment.flip(x).dtype == augment.crop(x, 3).dtype == augment.crop(x, 5, pad=2).dtype == "uint8"
    assert augment.affine(x, angle=0.1).dtype == augment.normalise(x, 0.5, 0.5).dtype == "float32"
    assert augment.affine(IMAGES.astype(np.float64), angle=0.1).dtype == "float64"


def test_turned_images_are_those_of_imrotate():
    drawn = 2 * flux.Generator(4).rand(5, 7, dtype="float64").numpy() - 1
    ours = augment.affine(IMAGES, angle=0.7, rng=flux.Generator(4)).numpy()
    for image, mine, turn in zip(IMAGES, ours, 0.7 * drawn[0], strict=True):
        # Beyond the middle of the outermost pixels the two end differently.
        theirs = flux.imrotate(image[None], turn, midpoint=(2.0, 2.5)).numpy()[0]
        np.testing.assert_allclose(mine[1:-1, 2:-2], theirs[1:-1, 2:-2], rtol=1e-4, atol=1e-5)


def test_shifted_scaled_and_sheared_images_have_their_pixels_where_the_formula_says():
    row, column = np.meshgrid(np.arange(9.0) - 4, np.arange(9.0) - 4, indexing="ij")
    image = np.stack([row, column], axis=-1)[None].repeat(4, axis=0)
    drawn = 2 * flux.Generator(5).rand(5, 4, dtype="float64").numpy() - 1
    inner = slice(3, 6)
    moved = augment.affine(image, shift=(0.1, 0.2), rng=flux.Generator(5)).numpy()
    for i in range(4):
        np.testing.assert_allclose(
            moved[i, inner, inner, 0], (row - 0.9 * drawn[4, i])[inner, inner], atol=1e-9
        )
        np.testing.assert_allclose(
            moved[i, inner, inner, 1], (column - 1.8 * drawn[3, i])[inner, inner], atol=1e-9
        )
    for scale, low, high in [((0.9, 1.2), 0.9, 1.2), (1.3, 1.0, 1.3)]:
        larger = augment.affine(image, scale=scale, rng=flux.Generator(5)).numpy()
        for i in range(4):
            factor = low + (high - low) * (drawn[2, i] + 1) / 2
            np.testing.assert_allclose(larger[i, inner, inner, 1], (column / factor)[inner, inner], atol=1e-9)
    slid = augment.affine(image, shear=0.4, rng=flux.Generator(5)).numpy()
    for i in range(4):
        np.testing.assert_allclose(
            slid[i, inner, inner, 1], (column - 0.4 * drawn[1, i] * row)[inner, inner], atol=1e-9
        )
    np.testing.assert_allclose(augment.affine(image), image, atol=1e-12)


def test_what_comes_from_outside_is_zero_or_the_border():
    ones = np.ones((20, 6, 6, 1), np.float32)
    assert augment.affine(ones, shift=0.5).numpy().min() == 0.0
    np.testing.assert_allclose(augment.affine(ones, shift=0.5, padding_mode="border"), ones, rtol=1e-6)


def test_normalised_images_have_their_channels_scaled():
    mean, std = np.float32([0.1, 0.2, 0.3]), np.float32([0.5, 1.0, 2.0])
    np.testing.assert_allclose(augment.normalise(IMAGES, mean, std), (IMAGES - mean) / std, rtol=1e-6)
    bytes_ = (IMAGES * 255).astype(np.uint8)
    np.testing.assert_allclose(
        augment.normalise(bytes_, 0.5, 0.25), (bytes_ / 255 - 0.5) / 0.25, rtol=1e-4, atol=1e-6
    )
    integers = np.full((1, 2, 2, 1), 300, np.int32)
    np.testing.assert_allclose(augment.normalise(integers, 100, 2), np.full((1, 2, 2, 1), 100.0))


def test_gradients_reach_the_images():
    for f in (*EVERY.values(), lambda x, **o: augment.normalise(x, 0.5, 0.5)):
        grads = flux.gradient(lambda x: f(x).sum(), flux.tensor(IMAGES))[0]
        assert grads.shape == IMAGES.shape and np.abs(grads.numpy()).max() > 0


@pytest.mark.parametrize("shape", [(0, 5, 6, 3), (1, 5, 6, 1), (2, 5, 6, 0)])
def test_empty_batches_and_single_images(shape):
    x = np.zeros(shape, np.float32)
    assert augment.flip(x).shape == augment.normalise(x, 0.5, 0.5).shape == shape
    assert augment.crop(x, (3, 4)).shape == (shape[0], 3, 4, shape[3])
    assert augment.affine(x, angle=0.3).shape == shape
    assert augment.affine(np.ones((2, 1, 1, 1)), angle=0.3).flatten().tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda x: augment.flip(x[0]),
            flux.ShapeError,
            r"flip: expected images .*x\[None\] is a batch of one",
        ),
        (lambda x: augment.crop(x[..., None], 2), flux.ShapeError, "crop: expected images"),
        (lambda x: augment.flip(x, 1.5), ValueError, "flip: p must be a probability, got 1.5"),
        (lambda x: augment.flip(x, math.nan), ValueError, "flip: p must be a probability, got nan"),
        (lambda x: augment.crop(x, (9, 2)), flux.ShapeError, "crop: images of 5 by 6 .* no part of 9 by 2"),
        (lambda x: augment.crop(x, 0), ValueError, "crop: size must be whole numbers of at least 1, got 0"),
        (
            lambda x: augment.crop(x, 2.0),
            ValueError,
            "crop: size must be whole numbers of at least 1, got 2.0",
        ),
        (
            lambda x: augment.crop(x, (2, 2, 3)),
            ValueError,
            "crop: size must be a number or a height and a width",
        ),
        (lambda x: augment.crop(x, 2, pad=-1), ValueError, "crop: pad must be .* at least 0, got -1"),
        (
            lambda x: augment.crop(x, 2, pad=1, padding_mode="wrap"),
            ValueError,
            "crop: padding_mode must be one of",
        ),
        (lambda x: augment.affine(x, scale=0), ValueError, "affine: scale must be above 0, got 0"),
        (lambda x: augment.affine(x, scale=(1, 2, 3)), ValueError, "affine: scale must be a number or two"),
        (
            lambda x: augment.affine(x, angle=math.inf),
            ValueError,
            "affine: angle must be a finite number, got inf",
        ),
        (lambda x: augment.affine(x, padding_mode="wrap"), ValueError, "padding_mode must be"),
        (lambda x: augment.normalise(x, 0, 0), ValueError, "normalise: std must be above 0, got 0"),
        (
            lambda x: augment.normalise(x, [0, 1], 1),
            flux.ShapeError,
            r"for each of 3 channels, got shape \(2,\)",
        ),
        (lambda x: augment.flip(x, rng=3), TypeError, "rng is a generator"),
        (lambda x: augment.affine(x, degrees=3), TypeError, "unexpected keyword argument 'degrees'"),
    ],
)
def test_what_cannot_be_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call(IMAGES)


def test_augmented_training_is_resumed_to_the_same_bit(tmp_path):
    x, y = RNG.random((30, 5, 5, 1)).astype(np.float32), RNG.integers(0, 2, 30)

    def changed(batch):
        images, labels = batch
        return augment.affine(augment.flip(augment.crop(images, 5, pad=1)), angle=0.3), labels

    def run(epochs, path):
        flux.seed(0)
        model = flux.Chain(flux.flatten, flux.Dense(25, 2))
        loader = flux.DataLoader(flux.mapobs(changed, (x, y), batched=True), 8, shuffle=True)
        loss = lambda m, x, y: flux.logitcrossentropy(m(x), y)
        flux.fit(loss, model, loader, flux.Adam(0.01), epochs=epochs, checkpoint=path, resume=True)
        return model[1].weight.tolist()

    whole = run(4, tmp_path / "whole")
    run(2, tmp_path / "part")
    assert run(4, tmp_path / "part") == whole


def test_amounts_may_be_numbers_and_arrays_of_numpy():
    x = flux.rand(3, 6, 6, 2)

    def both(f):
        return np.array_equal(*(f(one, rng=flux.Generator(1)) for one in (False, True)))

    number = lambda is_numpy, n: np.float64(n) if is_numpy else n
    pair = lambda is_numpy, *n: np.array(n) if is_numpy else n
    assert both(lambda one, rng: augment.flip(x, number(one, 0.5), rng=rng))
    assert both(lambda one, rng: augment.crop(x, pair(one, 4, 3), rng=rng))
    assert both(
        lambda one, rng: augment.affine(
            x,
            angle=number(one, 0.5),
            shift=pair(one, 0.1, 0.2),
            scale=number(one, 2.0),
            shear=number(one, 0.25),
            rng=rng,
        )
    )
    with pytest.raises(ValueError, match="size must be a number or a height and a width"):
        augment.crop(x, np.array([1, 2, 3]))
