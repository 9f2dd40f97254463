"""Tensors joined, cut and laid out in other shapes agree with NumPy and SciPy."""

import itertools

import numpy as np
import pytest
from scipy import linalg

import oxiflux as flux
from strategies import check

STACKS = ["hstack", "vstack", "dstack", "column_stack"]


@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize(
    "shapes", [[(3,)], [(3,), (3,)], [(2, 3), (2, 3)], [(2, 1, 4)] * 3, [(), ()], [(0,), (0,)]]
)
def test_stacks(name, shapes):
    xs = [np.arange(float(np.prod(s))).reshape(s) + i for i, s in enumerate(shapes)]
    check(getattr(flux, name)(xs), getattr(np, name)(xs))
    check(getattr(flux, name)(tuple(map(flux.tensor, xs))), getattr(np, name)(xs))


@pytest.mark.parametrize("name", STACKS)
def test_stacks_of_one_tensor_take_its_rows(name):
    x = np.arange(6.0).reshape(3, 2)
    check(getattr(flux, name)(flux.tensor(x)), getattr(np, name)(x))
    with pytest.raises(ValueError, match=f"{name}: there are no tensors"):
        getattr(flux, name)([])
    with pytest.raises(flux.ShapeError):
        getattr(flux, name)([np.zeros((2, 3, 4)), np.zeros((3, 4, 5))])


@pytest.mark.parametrize("name", STACKS)
def test_stacks_have_gradients_and_types(name):
    f = lambda a, b: getattr(flux, name)([a, b]) ** 2
    assert flux.gradcheck(f, np.ones((2, 3)), 2 * np.ones((2, 3)), order=2)
    half = flux.ones((2, 2), dtype="float16")
    assert getattr(flux, name)([half, half]).dtype == "float16"


def test_block_diag():
    xs = [np.ones((2, 3)), np.array([5.0, 6.0]), np.array(7.0), np.zeros((0, 2)), np.ones((1, 1))]
    check(flux.block_diag(*xs), linalg.block_diag(*xs))
    assert flux.block_diag().shape == (0, 0)
    with pytest.raises(flux.ShapeError, match="block_diag"):
        flux.block_diag(np.zeros((1, 2, 3)))
    assert flux.gradcheck(flux.block_diag, np.ones((2, 1)), np.ones((1, 2)))


@pytest.mark.parametrize("lengths", [(2, 3), (1, 4, 2), (3,), (2, 0)])
def test_cartesian_prod(lengths):
    xs = [np.arange(float(n)) + 10 * i for i, n in enumerate(lengths)]
    got = flux.cartesian_prod(*xs)
    expected = np.array(list(itertools.product(*xs))).reshape(-1, len(xs)) if len(xs) > 1 else xs[0]
    check(got, expected)
    with pytest.raises(flux.ShapeError, match="expected vectors"):
        flux.cartesian_prod([[1]])


@pytest.mark.parametrize("shape", [(7,), (2, 7), (0, 3), (1, 1)])
@pytest.mark.parametrize("sections", [1, 3, 9, [2], [1, 5], []])
def test_array_split(shape, sections):
    x = np.arange(float(np.prod(shape))).reshape(shape)
    for axis in range(-len(shape), len(shape)):
        ours, theirs = flux.array_split(x, sections, axis), np.array_split(x, sections, axis)
        for a, b in zip(ours, theirs, strict=True):
            check(a, b)
    with pytest.raises(flux.ShapeError, match="array_split: 0 is not"):
        flux.array_split(x, 0)


def test_unflatten():
    x = np.arange(24.0).reshape(2, 12)
    for shape in [(3, 4), (-1, 4), (3, -1), (12,), (1, 12, 1)]:
        check(flux.unflatten(x, 1, shape), x.reshape(2, *shape))
        check(flux.unflatten(x, -1, shape), x.reshape(2, *shape))
    assert flux.unflatten(np.zeros((2, 0)), 1, (0, 5)).shape == (2, 0, 5)
    for bad in [(5, 2), (-1, 5), (-1, -1), (-1, 0), (-2, 6), ()]:
        with pytest.raises(flux.ShapeError, match="unflatten: axis 1 of shape"):
            flux.unflatten(x, 1, bad)
    assert flux.gradcheck(lambda x: flux.unflatten(x, 1, (3, 4)) ** 2, x)


@pytest.mark.parametrize("k", [-5, -1, 0, 2, 4])
def test_diag(k):
    for x in (np.arange(1.0, 4), np.arange(12.0).reshape(3, 4), np.zeros(0), np.ones((1, 1))):
        check(flux.diag(x, k), np.diag(x, k))
    with pytest.raises(flux.ShapeError, match="diag: expected"):
        flux.diag(np.zeros((1, 2, 3)))
    assert flux.gradcheck(lambda x: flux.diag(x, k) ** 2, [1.0, 2.0, 3.0], order=2)


@pytest.mark.parametrize("offset", [-2, 0, 1])
def test_diag_embed_is_the_opposite_of_diagonal(offset):
    x = np.arange(24.0).reshape(2, 3, 4)
    for axis1, axis2 in [(-2, -1), (0, 1), (0, 3), (2, 1)]:
        made = flux.diag_embed(x, offset=offset, axis1=axis1, axis2=axis2)
        check(flux.diagonal(made, offset=offset, axis1=axis1, axis2=axis2), x)
        assert made.sum().item() == x.sum() and made.dtype == "float64"
    assert flux.diag_embed([1, 2]).dtype == "int64"
    with pytest.raises(flux.ShapeError, match="diag_embed"):
        flux.diag_embed(1.0)


@pytest.mark.parametrize("name", ["tril_indices", "triu_indices"])
@pytest.mark.parametrize(
    ("n", "k", "m"), [(3, 0, None), (3, 1, 4), (4, -1, 2), (0, 0, None), (2, -5, 2), (2, 5, 3)]
)
def test_indices_of_triangles(name, n, k, m):
    for ours, theirs in zip(getattr(flux, name)(n, k, m), getattr(np, name)(n, k, m), strict=True):
        check(ours, theirs)
    x = np.arange(16.0).reshape(4, 4)
    assert (flux.tensor(x)[flux.tril_indices(4)].numpy() == x[np.tril_indices(4)]).all()


@pytest.mark.parametrize("lengths", [(4,), (4, 6), (2, 4, 6)])
def test_pixel_unshuffle_undoes_pixel_shuffle(lengths):
    x = np.random.default_rng(0).normal(size=(2, *lengths, 3))
    small = flux.pixel_unshuffle(x, 2)
    assert small.shape == (2, *(n // 2 for n in lengths), 3 * 2 ** len(lengths))
    check(flux.pixel_shuffle(small, 2), x)
    y = np.random.default_rng(1).normal(size=(1, *[2] * len(lengths), 2 * 3 ** len(lengths)))
    check(flux.pixel_unshuffle(flux.pixel_shuffle(y, 3), 3), y)
    with pytest.raises(flux.ShapeError, match="pixel_unshuffle"):
        flux.pixel_unshuffle(x, 5)
    assert flux.gradcheck(lambda x: flux.pixel_unshuffle(x, 2) ** 2, x[:1])


@pytest.mark.parametrize("k", range(-2, 6))
@pytest.mark.parametrize("axes", [(0, 1), (1, 0), (0, 2), (-1, 1)])
def test_turns(k, axes):
    x = np.arange(24.0).reshape(2, 3, 4)
    check(flux.rot90(x, k, axes), np.rot90(x, k, axes))
    check(flux.fliplr(x), np.fliplr(x))
    check(flux.flipud(x), np.flipud(x))


def test_what_cannot_be_turned():
    with pytest.raises(ValueError, match="rot90: a plane has two axes"):
        flux.rot90(np.zeros((2, 2)), axes=(0, 0))
    with pytest.raises(IndexError, match="rot90"):
        flux.rot90(np.zeros(2))
    with pytest.raises(flux.ShapeError, match="fliplr"):
        flux.fliplr([1.0])
    with pytest.raises(flux.ShapeError, match="flipud"):
        flux.flipud(1.0)
