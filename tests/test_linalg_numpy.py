"""Matrix products and contractions agree with NumPy over batches, vectors, layouts and dtypes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oxiflux as flux
from strategies import FLOATS, NUMBERS, SEEDS, broadcastable, check, laid_out, promoted, values

LENGTHS = st.integers(0, 6)
# Past every tile and panel boundary of a blocked product, and one to either side.
ODD = [1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 47, 48, 49, 63, 64, 65]


def product(a, b):
    """The matrix product in the dtype the two have in common."""
    dtype = promoted(a.dtype, b.dtype)
    return a.astype(dtype) @ b.astype(dtype), dtype


@given(data=st.data(), seed=SEEDS, batch=broadcastable(2), m=LENGTHS, k=LENGTHS, n=LENGTHS)
def test_matmul_broadcasts_its_leading_axes(data, seed, batch, m, k, n):
    rng = np.random.default_rng(seed)
    dtypes = [data.draw(st.sampled_from(NUMBERS)) for _ in range(2)]
    a = values(rng, (*batch[0][-2:], m, k), dtypes[0])
    b = values(rng, (*batch[1][-2:], k, n), dtypes[1])
    expected, dtype = product(a, b)
    check(flux.matmul(laid_out(rng, a), laid_out(rng, b)), expected, dtype, rtol=1e-6, atol=2e-6)
    check(laid_out(rng, a) @ laid_out(rng, b), expected, dtype, rtol=1e-6, atol=2e-6)


@given(seed=SEEDS, m=LENGTHS, k=LENGTHS, batch=st.lists(st.integers(0, 3), max_size=2))
def test_matmul_with_vectors(seed, m, k, batch):
    rng = np.random.default_rng(seed)
    a, row, column = (values(rng, shape, "float64") for shape in ((*batch, m, k), (m,), (k,)))
    for x, y in ((a, column), (row, a), (column, column)):
        check(laid_out(rng, x) @ laid_out(rng, y), x @ y, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("transposes", ["nn", "nt", "tn", "tt"])
@pytest.mark.parametrize("size", ODD)
def test_matmul_of_transposed_operands(dtype, transposes, size):
    rng = np.random.default_rng(size)
    m, k, n = size, int(rng.choice(ODD)), int(rng.choice(ODD))
    a = rng.normal(size=(k, m) if transposes[0] == "t" else (m, k)).astype(dtype)
    b = rng.normal(size=(n, k) if transposes[1] == "t" else (k, n)).astype(dtype)
    ta, tb = flux.tensor(a), flux.tensor(b)
    if transposes[0] == "t":
        a, ta = a.T, ta.T
    if transposes[1] == "t":
        b, tb = b.T, tb.T
    eps = np.finfo(dtype).eps
    expected = a.astype(np.float64) @ b.astype(np.float64)
    check(ta @ tb, expected, dtype, rtol=0, atol=4 * eps * np.sqrt(k) * np.abs(a).max() * np.abs(b).max())


@pytest.mark.parametrize(
    "shape", [(1, 1, 5000), (1, 5000, 1), (5000, 1, 1), (300, 257, 129), (2, 1000, 3), (513, 3, 517)]
)
@pytest.mark.parametrize("dtype", FLOATS)
def test_matmul_of_large_and_thin_matrices(shape, dtype):
    rng = np.random.default_rng(0)
    m, k, n = shape
    a, b = rng.normal(size=(m, k)).astype(dtype), rng.normal(size=(k, n)).astype(dtype)
    eps = np.finfo(dtype).eps
    expected = a.astype(np.float64) @ b.astype(np.float64)
    check(flux.tensor(a) @ flux.tensor(b), expected, dtype, rtol=0, atol=8 * eps * np.sqrt(k) * 12)


def test_matmul_of_reversed_and_spaced_operands():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(40, 66)), rng.normal(size=(66, 50))
    ta, tb = flux.tensor(a), flux.tensor(b)
    check(ta[::-1, ::2] @ tb[::-2, ::3], a[::-1, ::2] @ b[::-2, ::3], rtol=1e-12, atol=1e-12)


def test_matmul_with_no_inner_length_is_zero():
    check(flux.zeros((3, 0)) @ flux.zeros((0, 4)), np.zeros((3, 4), np.float32))


def test_matmul_carries_nan_and_infinity():
    a, b = np.array([[np.inf, 0.0], [1.0, 2.0]]), np.array([[0.0, 1.0], [np.nan, 2.0]])
    with np.errstate(invalid="ignore"):
        check(flux.tensor(a) @ flux.tensor(b), a @ b)


@pytest.mark.parametrize("dtype", NUMBERS)
def test_matmul_of_integers_wraps_as_numpy(dtype):
    a = values(np.random.default_rng(0), (4, 5), dtype, (-90, 90))
    check(flux.tensor(a) @ flux.tensor(a).T, a @ a.T)


@given(
    data=st.data(), seed=SEEDS, n=st.integers(0, 5), dtype=st.sampled_from(NUMBERS), shapes=broadcastable(2)
)
def test_vecdot(data, seed, n, dtype, shapes):
    rng = np.random.default_rng(seed)
    a, b = (values(rng, (*shape, n), dtype) for shape in shapes)
    check(flux.vecdot(laid_out(rng, a), laid_out(rng, b)), np.vecdot(a, b), dtype, rtol=2e-6, atol=2e-6)


def test_vecdot_along_another_axis():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    check(flux.vecdot(flux.tensor(a), flux.tensor(b), axis=-2), (a * b).sum(0), rtol=1e-12)


@given(seed=SEEDS, axes=st.integers(0, 2), dtype=st.sampled_from(NUMBERS))
def test_tensordot_over_adjacent_axes(seed, axes, dtype):
    rng = np.random.default_rng(seed)
    shared = tuple(int(n) for n in rng.integers(0, 4, axes))
    a, b = values(rng, (2, 3, *shared), dtype), values(rng, (*shared, 3), dtype)
    expected = np.tensordot(a, b, axes)
    check(
        flux.tensordot(laid_out(rng, a), laid_out(rng, b), axes=axes), expected, dtype, rtol=2e-6, atol=2e-6
    )


def test_tensordot_over_named_axes():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 3, 4)), rng.normal(size=(4, 5, 2))
    axes = ((2, 0), (0, 2))
    check(flux.tensordot(flux.tensor(a), flux.tensor(b), axes=axes), np.tensordot(a, b, axes), rtol=1e-12)


@given(seed=SEEDS, batch=st.lists(st.integers(0, 3), max_size=2), m=LENGTHS, n=LENGTHS)
def test_matrix_transpose(seed, batch, m, n):
    rng = np.random.default_rng(seed)
    a = values(rng, (*batch, m, n), "float32")
    check(flux.matrix_transpose(laid_out(rng, a)), np.swapaxes(a, -1, -2))


EINSUMS = [
    "ij,jk->ik",
    "ij,jk",
    "bij,bjk->bik",
    "bij,jk->bik",
    "i,i->",
    "i,j->ij",
    "ij->ji",
    "ij->",
    "ij->i",
    "ij->j",
    "ii->i",
    "ii->",
    "bii->b",
    "ij,ij->ij",
    "ij,ij->i",
    "ij,kj->ik",
    "ji,jk->ik",
    "bhqd,bhkd->bhqk",
    "bqhd,bkhd->bhqk",
    "bhqk,bkhd->bqhd",
    "ij,jk,kl->il",
    "i,j,k->ijk",
    "...ij,...jk->...ik",
    "...i,i->...",
    "i...->...",
    "ijk->kji",
    "a,ab,b->",
    "ij,j->ij",
]
SIZES = {"a": 3, "b": 2, "d": 5, "h": 3, "i": 4, "j": 3, "k": 5, "l": 2, "q": 6}


@pytest.mark.parametrize("subscripts", EINSUMS)
@pytest.mark.parametrize("dtype", ["float64", "float32", "int32"])
def test_einsum(subscripts, dtype):
    rng = np.random.default_rng(0)
    operands = []
    for term in subscripts.partition("->")[0].split(","):
        dots, letters = (2, 3) if "..." in term else (), term.replace("...", "")
        lengths = tuple(SIZES[c] for c in letters)
        operands.append(values(rng, (*lengths, *dots) if term.endswith("...") else (*dots, *lengths), dtype))
    expected = np.einsum(subscripts, *operands)
    result = flux.einsum(subscripts, *(laid_out(rng, x) for x in operands))
    check(
        result,
        expected,
        dtype,
        rtol=2e-6 if dtype == "float32" else 1e-14,
        atol=2e-6 if dtype == "float32" else 1e-14,
    )


@pytest.mark.parametrize("subscripts", ["bij,bjk->bik", "ij,kj->ik", "a,ab,b->"])
@pytest.mark.parametrize("letter", "abijk")
def test_einsum_of_empty_axes(subscripts, letter):
    sizes = SIZES | {letter: 0}
    operands = [np.ones([sizes[c] for c in term]) for term in subscripts.partition("->")[0].split(",")]
    check(flux.einsum(subscripts, *map(flux.tensor, operands)), np.einsum(subscripts, *operands))


@pytest.mark.parametrize(
    ("subscripts", "shapes"),
    [
        ("ij,jk->ik", [(2, 3), (4, 5)]),
        ("ij->ij", [(2, 3, 4)]),
        ("ij,jk->ik", [(2, 3)]),
        ("ij->ik", [(2, 3)]),
        ("ii->i", [(2, 3)]),
        ("i1->i", [(2, 3)]),
        ("ij->ii", [(2, 3)]),
    ],
)
def test_einsum_that_does_not_fit(subscripts, shapes):
    with pytest.raises(ValueError, match="einsum"):
        flux.einsum(subscripts, *map(flux.zeros, shapes))
