"""Gradients of `flux.linalg`, and theirs, against finite differences; where there are none, an error says so."""

import functools

import numpy as np
import pytest

import oxiflux as flux
from test_linalg import positive, random, regular, symmetric

LA = flux.linalg
rng = np.random.default_rng(0)


def squares(*parts):
    """What does not depend on signs of vectors, of all parts together."""
    return flux.concat([flux.reshape(flux.square(part), (-1,)) for part in parts])


CALLS = {
    "inv": (LA.inv, [regular((2,), 3)]),
    "solve of vectors": (LA.solve, [regular((2,), 3), random(3)]),
    "solve that broadcasts": (LA.solve, [regular((2, 1), 3), random((2, 3, 2))]),
    "solve of one matrix": (LA.solve, [regular((), 3), random((4, 3, 2))]),
    "det": (LA.det, [regular((2,), 3)]),
    "slogdet": (lambda x: LA.slogdet(x).logabsdet, [regular((2,), 3)]),
    "cholesky": (LA.cholesky, [positive((2,), 3)]),
    "cholesky upper": (lambda x: LA.cholesky(x, upper=True), [positive((), 4)]),
    "q of a square": (lambda x: LA.qr(x).Q, [regular((2,), 3)]),
    "r of a square": (lambda x: LA.qr(x).R, [regular((2,), 3)]),
    "q and r of a tall one": (lambda x: flux.concat([*LA.qr(x)], axis=0), [random((4, 3))]),
    "q of a wide one": (lambda x: LA.qr(x).Q, [random((3, 4))]),
    "r of a wide one": (lambda x: LA.qr(x).R, [random((2, 3, 4))]),
    "complete q and r": (lambda x: flux.concat([*LA.qr(x, mode="complete")], axis=1)[:3], [random((3, 4))]),
    "r complete": (lambda x: LA.qr(x, mode="complete").R, [random((4, 3))]),
    "svd of a square": (lambda x: squares(*LA.svd(x)), [random((2, 3, 3))]),
    "svd of a tall one": (lambda x: squares(*LA.svd(x, full_matrices=False)), [random((4, 3))]),
    "svd of a wide one": (lambda x: squares(*LA.svd(x, full_matrices=False)), [random((2, 4))]),
    "svd put together": (lambda x: (lambda u, s, vh: (u * s) @ vh)(*LA.svd(x, full_matrices=False)), [random((3, 4))]),
    "full svd": (lambda x: squares(LA.svd(x).U[:, :2], LA.svd(x).S, LA.svd(x).Vh), [random((4, 2))]),
    "svdvals": (LA.svdvals, [random((2, 3, 4))]),
    "eigh": (lambda x: squares(*LA.eigh(x)), [symmetric((2,), 3)]),
    "eigh of what is not symmetric": (lambda x: squares(*LA.eigh(x)), [random((3, 3))]),
    "eigvalsh": (LA.eigvalsh, [symmetric((2,), 3)]),
    "pinv of a tall one": (LA.pinv, [random((4, 3))]),
    "pinv of a wide one": (LA.pinv, [random((2, 3, 4))]),
    "lstsq": (lambda a, b: LA.lstsq(a, b).solution, [random((5, 3)), random((5, 2), seed=1)]),
    "lstsq of vectors": (lambda a, b: LA.lstsq(a, b).solution, [random((3, 5)), random(3, seed=1)]),
    "residuals": (lambda a, b: LA.lstsq(a, b).residuals, [random((5, 3)), random((5, 2), seed=1)]),
    "matrix_power": (lambda x: LA.matrix_power(x, 3), [regular((2,), 3)]),
    "matrix_power of the inverse": (lambda x: LA.matrix_power(x, -2), [regular((), 3)]),
    "cross": (LA.cross, [random((2, 3)), random(3, seed=1)]),
    "kron": (LA.kron, [random((2, 2)), random((1, 3), seed=1)]),
    "vector_norm": (LA.vector_norm, [random((2, 3))]),
    "vector_norm of 3": (lambda x: LA.vector_norm(x, ord=3, axis=0), [random((2, 3))]),
    "vector_norm of 1": (lambda x: LA.vector_norm(x, ord=1, axis=1), [random((2, 3))]),
    "vector_norm of infinity": (lambda x: LA.vector_norm(x, ord=np.inf), [random((2, 3))]),
    "frobenius": (LA.matrix_norm, [random((2, 2, 3))]),
    "nuclear": (lambda x: LA.matrix_norm(x, ord="nuc"), [random((2, 2, 3))]),
    "spectral": (lambda x: LA.matrix_norm(x, ord=2), [random((2, 2, 3))]),
    "columns": (lambda x: LA.matrix_norm(x, ord=1), [random((2, 2, 3))]),
}  # fmt: skip


@pytest.mark.parametrize(("f", "arguments"), CALLS.values(), ids=CALLS)
def test_gradients_of_first_and_second_order(f, arguments):
    assert flux.gradcheck(f, *arguments, order=2, rtol=1e-4, atol=1e-5)


def test_the_gradient_of_a_larger_matrix_goes_by_blocks():
    a, b = regular((), 130), random((130, 3))
    x, weights = flux.tensor(a), flux.tensor(random((130, 3), seed=1))
    da, db = flux.gradient(lambda a, b: (LA.solve(a, b) * weights).sum(), x, flux.tensor(b))
    back = np.linalg.solve(a.T, weights.numpy())
    np.testing.assert_allclose(db.numpy(), back, rtol=1e-9)
    np.testing.assert_allclose(da.numpy(), -back @ np.linalg.solve(a, b).T, rtol=1e-8, atol=1e-12)
    p = positive((), 130)
    (dp,) = flux.gradient(lambda x: flux.log(flux.diagonal(LA.cholesky(x))).sum() * 2, flux.tensor(p))
    np.testing.assert_allclose(dp.numpy(), np.linalg.inv(p), rtol=1e-8, atol=1e-12)


# At 0


@pytest.mark.parametrize(
    "f",
    [
        LA.vector_norm,
        LA.norm,
        LA.matrix_norm,
        lambda x: LA.vector_norm(x, ord=3),
        lambda x: LA.vector_norm(x, axis=(0, 1), keepdims=True).sum(),
    ],
)
def test_a_norm_has_the_gradient_0_at_0_and_so_has_that(f):
    x = flux.zeros((2, 3))
    (dx,) = flux.gradient(f, x)
    np.testing.assert_array_equal(dx.numpy(), np.zeros((2, 3)))
    (second,) = flux.gradient(lambda x: flux.gradient(f, x)[0].sum(), x)
    np.testing.assert_array_equal(second.numpy(), np.zeros((2, 3)))


def test_rows_of_zeros_among_others_have_the_gradient_0():
    x = flux.tensor([[0.0, 0.0], [3.0, 4.0]])
    (dx,) = flux.gradient(lambda x: LA.vector_norm(x, axis=1).sum(), x)
    np.testing.assert_allclose(dx.numpy(), [[0, 0], [0.6, 0.8]], rtol=1e-6)


# Singular matrices


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_the_gradient_of_a_determinant_of_zero_is_that_of_its_cofactors(rank):
    low = random((3, rank)) @ random((rank, 3), seed=1)
    low[np.abs(low) < 1e-300] = 0
    a = low if rank < 2 else np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [0.0, 1.0, 5.0]])
    minors = np.array(
        [
            [(-1) ** (i + j) * np.linalg.det(np.delete(np.delete(a, i, 0), j, 1)) for j in range(3)]
            for i in range(3)
        ]
    )
    (da,) = flux.gradient(LA.det, flux.tensor(a))
    np.testing.assert_allclose(da.numpy(), minors, atol=1e-12)


def test_a_singular_matrix_says_which_gradient_it_has_not():
    zero = flux.zeros((2, 2))
    with pytest.raises(ValueError, match="slogdet: the gradient: the matrix is singular"):
        flux.gradient(lambda x: LA.slogdet(x).logabsdet, zero)
    with pytest.raises(ValueError, match="qr: the gradient is not defined for the matrix"):
        flux.gradient(lambda x: LA.qr(x).Q.sum(), zero)
    with pytest.raises(ValueError, match="det: only the first derivative is there"):
        flux.gradient(lambda x: flux.square(flux.gradient(LA.det, x)[0]).sum(), zero)


# Equal values


def test_equal_eigenvalues_have_gradients_but_their_vectors_have_none():
    eye = flux.eye(3)
    (dx,) = flux.gradient(lambda x: LA.eigh(x).eigenvalues.sum(), eye)
    np.testing.assert_allclose(dx.numpy(), np.eye(3), atol=1e-6)
    (dx,) = flux.gradient(lambda x: LA.eigvalsh(x).sum(), eye)
    np.testing.assert_allclose(dx.numpy(), np.eye(3), atol=1e-6)
    with pytest.raises(ValueError, match="eigh: the eigenvectors of the matrix have no gradient, since two"):
        flux.gradient(lambda x: LA.eigh(x).eigenvectors.sum(), eye)
    two = flux.stack([flux.tensor(np.diag([1.0, 2.0, 3.0]).astype("float32")), eye])
    with pytest.raises(ValueError, match="eigh: the eigenvectors of matrix 1 of the batch"):
        flux.gradient(lambda x: LA.eigh(x).eigenvectors.sum(), two)


def test_equal_singular_values_have_gradients_but_their_vectors_have_none():
    eye = flux.eye(3)
    for f in (lambda x: LA.svd(x).S.sum(), lambda x: LA.svdvals(x).sum()):
        np.testing.assert_allclose(flux.gradient(f, eye)[0].numpy(), np.eye(3), atol=1e-6)
    for f in (lambda x: LA.svd(x).U.sum(), lambda x: LA.svd(x).Vh.sum()):
        with pytest.raises(
            ValueError, match="svd: the singular vectors of the matrix have no gradient, since two"
        ):
            flux.gradient(f, eye)
    tall = flux.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    with pytest.raises(ValueError, match="one of its values is zero"):
        flux.gradient(lambda x: LA.svd(x, full_matrices=False).U.sum(), tall)


def test_vectors_that_complete_a_basis_have_no_gradient():
    x = flux.tensor(random((4, 2)))
    with pytest.raises(ValueError, match="svd: the vectors that complete a basis .* full_matrices=False"):
        flux.gradient(lambda x: LA.svd(x).U.sum(), x)
    with pytest.raises(ValueError, match='qr: the vectors that complete a basis .* mode="reduced"'):
        flux.gradient(lambda x: LA.qr(x, mode="complete").Q.sum(), x)


def test_pinv_of_a_matrix_of_low_rank_keeps_its_rank_in_the_gradient():
    u, v = random((4, 2)), random((2, 3), seed=1)
    assert flux.gradcheck(lambda u, v: LA.pinv(u @ v, rtol=1e-8), u, v, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("ord", [0.5, -0.5, -1, -2, 1.5])
def test_an_element_of_0_has_the_gradient_0_by_a_norm_of_any_order(ord):
    x = flux.tensor([[0.0, 0.0], [0.0, 2.0], [1.0, 2.0]], dtype="float64")
    norm = functools.partial(LA.vector_norm, axis=1, ord=ord)
    (grad,) = flux.gradient(lambda x: norm(x).sum(), x)
    assert grad[0].tolist() == [0, 0]
    assert grad[1].tolist() == ([0, 1] if ord > 0 else [0, 0])
    assert flux.gradcheck(norm, x[2:], order=2)


@pytest.mark.parametrize("ord", ["fro", "nuc", 1, 2, np.inf])
def test_the_norm_of_no_elements_is_0(ord):
    for shape in ((2, 0, 3), (2, 3, 0)):
        assert LA.matrix_norm(flux.zeros(shape), ord=ord).tolist() == [0, 0]
    if not isinstance(ord, str):
        assert LA.vector_norm(flux.zeros((0, 2)), ord=ord, axis=0).tolist() == [0, 0]
    with pytest.raises(ValueError, match="empty"):
        LA.vector_norm(flux.zeros(0), ord=-np.inf)
