"""Losses with a margin, by the formulas of PyTorch."""

import math

import numpy as np
import pytest

import oxiflux as flux


def vectors(seed, shape=(5, 3), dtype=np.float64):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


A, B, C = vectors(0), vectors(1), vectors(2)
SIGNS = np.array([1, -1, -1, 1, -1])


def triplet(a, b, c, margin=1.0, p=2.0, eps=1e-6, swap=False):
    near, far, other = (np.linalg.norm(x - y + eps, ord=p, axis=-1) for x, y in [(a, b), (a, c), (b, c)])
    return np.maximum(near - (np.minimum(far, other) if swap else far) + margin, 0)


def cosine_embedding(x1, x2, y, margin=0.0):
    lengths = np.sqrt(((x1**2).sum(-1) + 1e-12) * ((x2**2).sum(-1) + 1e-12))
    cosine = (x1 * x2).sum(-1) / lengths
    return np.where(y == 1, 1 - cosine, np.maximum(cosine - margin, 0))


def ranking(x1, x2, y, margin=0.0):
    return np.maximum(-y * (x1 - x2) + margin, 0)


CASES = [
    ("triplet_margin_loss", triplet, (A, B, C), {}),
    ("triplet_margin_loss", triplet, (A, B, C), {"margin": 0.3, "p": 1, "swap": True}),
    ("triplet_margin_loss", triplet, (A, B, C), {"p": 3.5, "eps": 0.1}),
    ("triplet_margin_loss", triplet, (A, B, C), {"p": math.inf}),
    ("cosine_embedding_loss", cosine_embedding, (A, B, SIGNS), {}),
    ("cosine_embedding_loss", cosine_embedding, (A, B, SIGNS), {"margin": -0.5}),
    ("margin_ranking_loss", ranking, (A, B, np.sign(C)), {}),
    ("margin_ranking_loss", ranking, (A, B, np.sign(C)), {"margin": 0.7}),
]

each_case = pytest.mark.parametrize(("name", "formula", "inputs", "options"), CASES)


@each_case
def test_each_loss_equals_its_formula(name, formula, inputs, options):
    loss, (x, *others) = getattr(flux, name), inputs
    expected = formula(*inputs, **options)
    assert loss(flux.tensor(x), *others, **options).item() == pytest.approx(expected.mean(), rel=1e-12)
    np.testing.assert_allclose(
        loss(flux.tensor(x), *others, agg=lambda x: x, **options).numpy(), expected, rtol=1e-11, atol=1e-14
    )


@each_case
def test_gradients_of_all_that_floats_match_differences(name, formula, inputs, options):
    del formula
    y = inputs[2:] if name != "triplet_margin_loss" else ()
    floats = inputs[: 3 - len(y)]
    f = lambda *x: getattr(flux, name)(*x, *y, **options)
    assert flux.gradcheck(f, *floats, order=2, eps=1e-5, rtol=1e-4)


@each_case
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_the_first_input_has_the_dtype_of_the_loss(name, formula, inputs, options, dtype):
    x, *others = inputs
    got = getattr(flux, name)(flux.tensor(x, dtype=dtype), *others, **options)
    assert got.dtype == dtype
    rtol = {"float16": 3e-3, "bfloat16": 3e-2, "float32": 1e-5}[dtype]
    assert got.item() == pytest.approx(formula(*inputs, **options).mean(), rel=rtol)


def test_vectors_in_one_place_have_gradients_that_are_numbers():
    x = flux.zeros((2, 3))
    for p in (1, 2, 3, math.inf):
        f = lambda a, p=p: flux.triplet_margin_loss(a, x, x, p=p, eps=0)
        value, (g,) = flux.withgradient(f, x)
        assert value.item() == 1
        assert np.isfinite(g.numpy()).all()
    value, (g,) = flux.withgradient(lambda a: flux.cosine_embedding_loss(a, x, [1, -1]), x)
    assert value.item() == 0.5
    assert np.isfinite(g.numpy()).all()


def test_lengths_far_from_one_have_the_angle_of_others():
    for scale in (1e-4, 1e15):
        x = flux.tensor(A.astype(np.float32) * np.float32(scale))
        got = flux.cosine_embedding_loss(x, B * scale, SIGNS)
        assert got.item() == pytest.approx(cosine_embedding(A, B, SIGNS).mean(), rel=1e-3)


def test_integers_are_numbers_too():
    assert flux.margin_ranking_loss([1, 5], [2, 3], [1, 1]).item() == 0.5
    assert flux.cosine_embedding_loss([[1, 0]], [[0, 2]], [1]).item() == 1
    assert flux.triplet_margin_loss([[0, 0]], [[3, 4]], [[0, 5]], eps=0).item() == 1


@pytest.mark.parametrize("name", ["cosine_embedding_loss", "margin_ranking_loss"])
def test_labels_are_signs(name):
    x = A if name == "cosine_embedding_loss" else A[:, 0]
    with pytest.raises(ValueError, match=rf"^{name}: labels are 1 or -1, got 0"):
        getattr(flux, name)(x, x, [1, 0, 1, 1, -1])
    with pytest.raises(flux.ShapeError, match=rf"^{name}: labels \(5, 1\) do not fit"):
        getattr(flux, name)(x, x, np.ones((5, 1)))


def test_shapes_that_differ_are_refused():
    with pytest.raises(flux.ShapeError, match=r"^triplet_margin_loss: anchor \(5, 3\) and negative \(1, 3\)"):
        flux.triplet_margin_loss(A, B, C[:1])
    with pytest.raises(flux.ShapeError, match=r"^cosine_embedding_loss: x1 \(5, 3\) and x2 \(3,\)"):
        flux.cosine_embedding_loss(A, B[0], SIGNS)
    with pytest.raises(flux.ShapeError, match=r"^margin_ranking_loss: "):
        flux.margin_ranking_loss(A, B[:, :1], SIGNS)


@pytest.mark.parametrize("name", ["triplet_margin_loss", "cosine_embedding_loss", "margin_ranking_loss"])
def test_an_empty_batch_is_refused(name):
    x = flux.zeros((0, 3))
    with pytest.raises(ValueError, match=rf"^{name}: there is nothing"):
        getattr(flux, name)(x, x, x)


@pytest.mark.parametrize("options", [{"margin": 0}, {"margin": -1}, {"p": 0}, {"p": -2}])
def test_a_triplet_wants_a_margin_and_an_exponent_that_are_positive(options):
    with pytest.raises(ValueError, match="^triplet_margin_loss: margin and p must be positive"):
        flux.triplet_margin_loss(A, B, C, **options)
