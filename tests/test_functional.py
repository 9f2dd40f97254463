"""What the functions beside the layers promise, for all of them in turn: gradients of both orders, batches of 0 and 1,
any layout in memory, and the dtype that they are given. Their values are held to NumPy in the tests of their files.
"""

import re
from pathlib import Path

import numpy as np
import pytest

import oxiflux as flux

PAGE = Path(__file__).resolve().parent.parent / "docs" / "api" / "layers.md"
GRID = np.random.default_rng(3).uniform(-0.9, 0.9, (2, 3, 2, 2))

# A function of its floating arguments, and their shapes; the batch is the first axis.
TABLE = {
    "conv": (lambda x, w: flux.conv(x, w, pad=1, stride=2), [(2, 5, 4, 2), (3, 2, 2, 3)]),
    "depthwiseconv": (lambda x, w: flux.depthwiseconv(x, w, pad=1), [(2, 4, 3, 2), (3, 2, 2, 2)]),
    "maxpool": (lambda x: flux.maxpool(x, (2, 2), pad=(0, 1), stride=1), [(2, 4, 3, 2)]),
    "meanpool": (lambda x: flux.meanpool(x, (2, 2), pad=(0, 1), stride=1), [(2, 4, 3, 2)]),
    "lpnormpool": (lambda x: flux.lpnormpool(x, 2, (2,)), [(2, 5, 3)]),
    "pad_constant": (lambda x: flux.pad_constant(x, (1, 0, 2, 1), 0.5, axis=(1, 2)), [(2, 3, 2)]),
    "pad_zeros": (lambda x: flux.pad_zeros(x, 1, axis=1), [(2, 3, 2)]),
    "pad_reflect": (lambda x: flux.pad_reflect(x, 2), [(2, 3, 2)]),
    "pad_repeat": (lambda x: flux.pad_repeat(x, 2), [(2, 3, 2)]),
    "pad_symmetric": (lambda x: flux.pad_symmetric(x, 2), [(2, 3, 2)]),
    "pad_circular": (lambda x: flux.pad_circular(x, 2), [(2, 3, 2)]),
    "gather": (lambda x: flux.gather(flux.swapaxes(x, 0, 1), [2, 0, 2]), [(2, 3, 2)]),
    "scatter": (lambda x: flux.scatter("*", flux.swapaxes(x, 0, 1), [1, 0, 1]), [(2, 3, 2)]),
    "unfold": (lambda x: flux.unfold(x, (2, 2), pad=1), [(2, 3, 2, 2)]),
    "fold": (lambda x: flux.fold(x, (len(x), 5, 2), (3,), stride=2), [(2, 2, 6)]),
    "batched_mul": (flux.batched_mul, [(2, 3, 4), (2, 4, 2)]),
    "batched_vec": (flux.batched_vec, [(2, 3, 4), (2, 4)]),
    "power_to_db": (lambda x: flux.power_to_db(flux.square(x), top_db=None), [(2, 3)]),
    "db_to_power": (flux.db_to_power, [(2, 3)]),
    "upsample_nearest": (lambda x: flux.upsample_nearest(x, 2), [(2, 3, 2)]),
    "upsample_linear": (lambda x: flux.upsample_linear(x, 1.7), [(2, 3, 2)]),
    "upsample_bilinear": (lambda x: flux.upsample_bilinear(x, size=(2, 5)), [(2, 3, 2, 1)]),
    "upsample_trilinear": (lambda x: flux.upsample_trilinear(x, 2, align_corners=False), [(2, 2, 1, 3, 1)]),
    "upsample_bicubic": (lambda x: flux.upsample_bicubic(x, 1.7, align_corners=False), [(2, 3, 2, 1)]),
    "pixel_shuffle": (lambda x: flux.pixel_shuffle(x, 2), [(2, 3, 2, 4)]),
    "pixel_unshuffle": (lambda x: flux.pixel_unshuffle(x, 2), [(2, 4, 2, 3)]),
    "grid_sample": (lambda x: flux.grid_sample(x, GRID[: len(x)]), [(2, 4, 3, 2)]),
    "imrotate": (lambda x: flux.imrotate(x, 0.4), [(2, 4, 3, 2)]),
    "stft": (lambda x: flux.stft(x, n_fft=4), [(2, 9)]),
    "istft": (lambda x: flux.istft(x, n_fft=4), [(2, 4, 3, 2)]),
    "spectrogram": (lambda x: flux.spectrogram(x, n_fft=4, window=flux.hann_window(4)), [(2, 9)]),
    "dropout": (lambda x: flux.dropout(x, 0.4, rng=flux.Generator(1)), [(2, 5)]),
    "normalise": (lambda x: flux.normalise(x, axis=1), [(2, 5)]),
    "dot_product_attention": (
        lambda q, k, v: flux.dot_product_attention(q, k, v, nheads=2, return_scores=False),
        [(2, 3, 4), (2, 5, 4), (2, 5, 2)],
    ),
    "dot_product_attention_scores": (flux.dot_product_attention_scores, [(2, 3, 2, 4), (2, 5, 2, 4)]),
    "flatten": (flux.flatten, [(2, 3, 2)]),
}
NOT_DIFFERENTIABLE = {"melscale_filterbanks", "hann_window", "hamming_window"}
WEIGHTED = {"conv", "depthwiseconv"}  # the second argument has no batch

each_function = pytest.mark.parametrize("name", TABLE)


def arguments(name, batch=2, dtype=np.float64):
    """Distinct numbers of both signs, none near zero; positive ones for the norm."""
    rng = np.random.default_rng(0)
    for i, shape in enumerate(TABLE[name][1]):
        shape = shape if i and name in WEIGHTED else (batch, *shape[1:])
        n = int(np.prod(shape))
        x = rng.permutation(np.linspace(-1.5, 1.5, n + n % 2)[:n]).reshape(shape)
        yield (abs(x) if name == "lpnormpool" else x).astype(dtype)


def test_the_table_has_every_function_of_the_reference():
    functions = PAGE.read_text().split("| functions |")[1]
    listed = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\|.*\|$", functions, re.MULTILINE))))
    assert listed - NOT_DIFFERENTIABLE <= set(TABLE)


@each_function
def test_gradients_of_both_orders_match_differences(name):
    f = TABLE[name][0]
    assert flux.gradcheck(f, *arguments(name), order=2, eps=1e-5, rtol=1e-4, atol=1e-6)


@each_function
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch", [0, 1])
def test_a_batch_is_its_parts_and_keeps_the_dtype(name, batch, dtype):
    f, args = TABLE[name][0], [flux.tensor(x) for x in arguments(name, dtype=dtype)]
    parts = [x if i and name in WEIGHTED else x[:batch] for i, x in enumerate(args)]
    whole, part = f(*args), f(*parts)
    assert whole.dtype == part.dtype == dtype
    axis = 1 if name in ("gather", "scatter") else 0
    expected = np.take(whole.numpy(), range(batch), axis=axis)
    assert part.shape == expected.shape
    tolerance = 1e-6 if dtype == "float32" else 2e-15
    np.testing.assert_allclose(part.numpy(), expected, rtol=tolerance, atol=tolerance)


@each_function
def test_the_layout_in_memory_does_not_matter(name):
    f, args = TABLE[name][0], list(arguments(name))
    expected = f(*map(flux.tensor, args)).numpy()
    for view in (lambda x: np.ascontiguousarray(x.T).T, lambda x: np.repeat(x, 2, axis=-1)[..., ::2]):
        y = f(*(flux.from_numpy(view(x)) for x in args))
        np.testing.assert_allclose(y.numpy(), expected, rtol=1e-12, atol=1e-13)
