"""Generators of random numbers, as arguments."""

import numpy as np
import pytest

import oxiflux as flux

DATA = np.arange(6.0)
TAKERS = {
    "dropout": lambda rng: flux.dropout(flux.ones(4), 0.5, rng=rng),
    "dropout of channels": lambda rng: flux.dropout(flux.ones((4, 4)), 0.5, axis=0, rng=rng),
    "Dropout": lambda rng: flux.Dropout(0.5, rng=rng),
    "AlphaDropout": lambda rng: flux.AlphaDropout(0.5, rng=rng),
    "glorot_uniform": lambda rng: flux.glorot_uniform(2, 3, rng=rng),
    "kaiming_normal": lambda rng: flux.kaiming_normal(2, 3, rng=rng),
    "orthogonal": lambda rng: flux.orthogonal(3, 3, rng=rng),
    "sparse_init": lambda rng: flux.sparse_init(3, 3, sparsity=0.5, rng=rng),
    "truncated_normal": lambda rng: flux.truncated_normal(3, rng=rng),
    "DataLoader": lambda rng: flux.DataLoader(DATA, shuffle=True, rng=rng),
    "shuffleobs": lambda rng: flux.shuffleobs(DATA, rng=rng),
    "randobs": lambda rng: flux.randobs(DATA, 2, rng=rng),
    "splitobs": lambda rng: flux.splitobs(DATA, at=0.5, shuffle=True, rng=rng),
    "oversample": lambda rng: flux.oversample((DATA, [0, 1] * 3), rng=rng),
    "undersample": lambda rng: flux.undersample((DATA, [0, 1] * 3), rng=rng),
}


@pytest.mark.parametrize("taker", TAKERS)
def test_a_seed_where_a_generator_is_wanted_says_what_to_write(taker):
    with pytest.raises(TypeError, match=r"rng is a generator, made by flux.Generator\(seed\).* got int"):
        TAKERS[taker](5)
    with pytest.raises(TypeError, match="rng is a generator"):
        TAKERS[taker](np.random.default_rng(0))
    TAKERS[taker](flux.Generator(5))
    TAKERS[taker](None)


def test_einsum_without_subscripts_says_where_they_go():
    x = flux.ones((2, 2))
    for call in (lambda: flux.einsum(x), lambda: flux.einsum(x, "ij->i"), lambda: flux.einsum(3, x)):
        with pytest.raises(TypeError, match="einsum: subscripts such as .* come first"):
            call()


@pytest.mark.parametrize("data", [set(), {1}, 5, iter([1]), None])
def test_items_of_what_has_none_in_order_are_an_error_that_says_so(data):
    for call in (lambda: flux.getobs(data), lambda: flux.getobs(data, 0), lambda: flux.numobs(data)):
        with pytest.raises(TypeError, match=r"(get|num)obs: data must be arrays or sequences, got a"):
            call()
