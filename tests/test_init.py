"""Initialisers: their spread, their options, their errors."""

import math
import sys

import numpy as np
import pytest
from scipy import stats

import oxiflux as flux

DRAWN = [
    "glorot_uniform",
    "glorot_normal",
    "kaiming_uniform",
    "kaiming_normal",
    "lecun_normal",
    "truncated_normal",
    "orthogonal",
    "rand32",
    "randn32",
]
EVERY = [*DRAWN, "identity_init", "zeros32", "ones32"]


def test_the_list_has_every_initialiser():
    others = {
        "sparse_init",
        "create_bias",
        "nfan",
        "rand_like",
        "randn_like",
    }  # of two axes, and no initialisers; they have their own tests
    assert set(EVERY) | others == set(sys.modules["oxiflux.init"].__all__)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("shape", [(7, 5), (3, 3, 2, 4)])
def test_initialiser_takes_a_shape_in_every_way(name, shape):
    init = getattr(flux, name)
    results = []
    for make in (lambda: init(shape), lambda: init(*shape), lambda: init()(shape), lambda: init(list(shape))):
        flux.seed(1)
        results.append(make())
    for result in results:
        assert result.shape == shape
        assert result.dtype == "float32"
        np.testing.assert_array_equal(result.numpy(), results[0].numpy())


@pytest.mark.parametrize("name", [n for n in EVERY if n != "orthogonal"])
@pytest.mark.parametrize("shape", [(63,), (0,), (0, 3), (3, 0)])
def test_initialiser_takes_vectors_and_empty_shapes(name, shape):
    assert getattr(flux, name)(shape).shape == shape


@pytest.mark.parametrize("name", DRAWN)
def test_initialiser_draws_from_the_generator_it_is_given(name):
    init = getattr(flux, name)
    first = init((6, 4), rng=flux.Generator(3)).numpy()
    np.testing.assert_array_equal(init((6, 4), rng=flux.Generator(3)).numpy(), first)
    np.testing.assert_array_equal(init(rng=flux.Generator(3))((6, 4)).numpy(), first)
    assert (init((6, 4), rng=flux.Generator(4)).numpy() != first).any()


@pytest.mark.parametrize("name", DRAWN)
def test_initialiser_follows_the_seed(name):
    init = getattr(flux, name)
    flux.seed(5)
    first = init((6, 4)).numpy()
    flux.seed(5)
    np.testing.assert_array_equal(init((6, 4)).numpy(), first)
    assert (init((6, 4)).numpy() != first).any()


@pytest.mark.parametrize("shape", [(-1, 3), (2.5, 3), ("a",)])
def test_a_shape_that_is_none_is_refused(shape):
    with pytest.raises(flux.ShapeError, match="glorot_uniform"):
        flux.glorot_uniform(shape)


def test_initialiser_refuses_an_unknown_option():
    with pytest.raises(TypeError, match="sigma"):
        flux.glorot_uniform((2, 2), sigma=3)


@pytest.mark.parametrize(
    ("shape", "fans"),
    [((), (1, 1)), ((7,), (1, 7)), ((10, 20), (10, 20)), ((5, 2, 3), (10, 15)), ((3, 3, 2, 10), (18, 90))],
)
def test_nfan_multiplies_by_the_kernel(shape, fans):
    assert flux.nfan(shape) == fans
    assert flux.nfan(*shape) == fans if shape else True


def distribution(name, fan_in, fan_out):
    uniform = lambda bound: stats.uniform(-bound, 2 * bound)
    cut = math.sqrt(1 / fan_in) / stats.truncnorm(-2, 2).std()
    return {
        "glorot_uniform": uniform(math.sqrt(6 / (fan_in + fan_out))),
        "glorot_normal": stats.norm(0, math.sqrt(2 / (fan_in + fan_out))),
        "kaiming_uniform": uniform(math.sqrt(6 / fan_in)),
        "kaiming_normal": stats.norm(0, math.sqrt(2 / fan_in)),
        "lecun_normal": stats.truncnorm(-2, 2, 0, cut),
        "truncated_normal": stats.truncnorm(-2, 2),
        "rand32": stats.uniform(0, 1),
        "randn32": stats.norm(),
    }[name]


@pytest.mark.parametrize("name", [n for n in DRAWN if n != "orthogonal"])
@pytest.mark.parametrize("shape", [(101, 63), (3, 3, 16, 40)])
def test_initialiser_has_its_distribution(name, shape):
    flux.seed(1)
    values = getattr(flux, name)(shape).numpy().ravel()
    assert stats.kstest(values, distribution(name, *flux.nfan(shape)).cdf).pvalue > 1e-3


@pytest.mark.parametrize(
    "name", ["glorot_uniform", "glorot_normal", "kaiming_uniform", "kaiming_normal", "orthogonal"]
)
def test_gain_multiplies(name):
    init = getattr(flux, name)
    once, thrice = (init((9, 9), gain=g, rng=flux.Generator(1)).numpy() for g in (1, 3))
    np.testing.assert_allclose(thrice, 3 * once, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("lo", "hi"), [(-2, 2), (0, math.inf), (3, 4), (-0.5, 0.25), (-math.inf, -1)])
def test_truncated_normal_is_a_normal_that_is_cut_off(lo, hi):
    flux.seed(2)
    values = flux.truncated_normal(20_000, lo=lo, hi=hi).numpy()
    assert values.min() >= lo
    assert values.max() <= hi
    assert stats.kstest(values, stats.truncnorm(lo, hi).cdf).pvalue > 1e-3


@pytest.mark.parametrize("options", [{"lo": 1, "hi": 1}, {"lo": 2, "hi": 1}, {"std": 0}])
def test_truncated_normal_refuses_an_empty_interval(options):
    with pytest.raises(ValueError, match="truncated_normal"):
        flux.truncated_normal(3, **options)


def test_orthogonal_needs_two_axes():
    with pytest.raises(flux.ShapeError, match=r"\(5,\)"):
        flux.orthogonal(5)


def test_orthogonal_has_no_preferred_sign():
    flux.seed(0)
    first = [flux.orthogonal(3, 3).numpy()[0, 0] > 0 for _ in range(64)]
    assert 16 < sum(first) < 48


@pytest.mark.parametrize(("sparsity", "zeros"), [(0, 0), (0.1, 1), (0.5, 4), (1, 7), (2, 7)])
def test_sparse_init_has_as_many_zeros_in_each_row(sparsity, zeros):
    w = flux.sparse_init((5, 7), sparsity=sparsity).numpy()
    assert ((w == 0).sum(axis=1) == zeros).all()


def test_sparse_init_is_for_matrices():
    with pytest.raises(flux.ShapeError, match=r"\(3,\)"):
        flux.sparse_init((3,), sparsity=0.5)


def test_sparse_init_spreads_its_zeros():
    flux.seed(0)
    zeros = (flux.sparse_init((400, 4), sparsity=0.5).numpy() == 0).sum(axis=0)
    assert zeros.sum() == 800
    assert (zeros > 150).all()


def test_identity_init_shifts():
    np.testing.assert_array_equal(flux.identity_init((3, 3), shift=1).numpy(), np.roll(np.eye(3), 1, axis=0))
    np.testing.assert_array_equal(
        flux.identity_init((3, 4), shift=(1, 2)).numpy(), np.roll(np.eye(3, 4), (1, 2), (0, 1))
    )


def test_identity_init_of_a_kernel_is_one_at_its_centre():
    w = flux.identity_init((3, 5, 2, 3), gain=4).numpy()
    assert w.sum() == 8
    assert w[1, 2, 0, 0] == w[1, 2, 1, 1] == 4


def test_identity_init_of_a_vector_is_zeros():
    assert flux.identity_init(4).tolist() == [0, 0, 0, 0]


def test_create_bias():
    w = flux.ones((2, 3), dtype=flux.float64)
    assert flux.create_bias(w, True, 3).dtype == "float64"
    assert flux.create_bias(w, False, 3) is None
    assert flux.create_bias(w, None, 3) is None
    assert flux.create_bias(w, [1, 2, 3], 3).tolist() == [1.0, 2.0, 3.0]
    with pytest.raises(flux.ShapeError, match=r"\(3,\), got \(2,\)"):
        flux.create_bias(w, [1, 2], 3)


def test_create_bias_copies_arrays_and_keeps_tensors():
    w, a, t = flux.ones((2, 3)), np.ones(3, np.float32), flux.ones(3)
    b = flux.create_bias(w, a, 3)
    a[:] = 5
    assert b.tolist() == [1, 1, 1]
    assert flux.create_bias(w, t, 3) is t


TAKERS = {
    "rand32": lambda rng: flux.rand32((2, 3), rng=rng),
    "glorot_uniform": lambda rng: flux.glorot_uniform((2, 3), rng=rng),
    "kaiming_normal": lambda rng: flux.kaiming_normal((2, 3), rng=rng),
    "lecun_normal": lambda rng: flux.lecun_normal((2, 3), rng=rng),
    "orthogonal": lambda rng: flux.orthogonal((2, 3), rng=rng),
    "sparse_init": lambda rng: flux.sparse_init((4, 3), sparsity=0.5, rng=rng),
    "shuffleobs": lambda rng: flux.shuffleobs([1, 2], rng=rng),
    "randobs": lambda rng: flux.randobs([1, 2], rng=rng),
    "DataLoader": lambda rng: flux.DataLoader([1, 2], shuffle=True, rng=rng),
}


@pytest.mark.parametrize("taker", TAKERS)
@pytest.mark.parametrize("rng", [5, np.random.default_rng(0), flux.zeros(3), "seed"])
def test_a_generator_that_is_none_is_an_error_that_says_how_one_is_made(taker, rng):
    with pytest.raises(TypeError, match=r"flux\.Generator\(seed\)"):
        TAKERS[taker](rng)
    TAKERS[taker](flux.Generator(5))
    TAKERS[taker](None)


def test_the_weight_that_a_bias_belongs_to_may_be_of_numpy():
    weight = np.ones((2, 3))
    assert flux.create_bias(weight, True, 3).dtype == "float64"
    assert flux.create_bias(weight, [1, 2, 3], 3).dtype == "float64"
    with pytest.raises(TypeError):
        flux.create_bias(object(), True, 3)
