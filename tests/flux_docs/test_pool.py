"""The examples of Flux's and NNlib's documentation for pooling, with channels last."""

import numpy as np
import pytest

import oxiflux as flux
import references as ref


@pytest.mark.parametrize(
    ("layer", "printed"),
    [
        (flux.MaxPool((5, 5), pad=flux.SamePad()), "MaxPool((5, 5), pad=2)"),
        (flux.MaxPool((5,), pad=2, stride=(3,)), "MaxPool((5,), pad=2, stride=3)"),
        (flux.MeanPool((5, 5), pad=flux.SamePad()), "MeanPool((5, 5), pad=2)"),
        (flux.MaxPool((2, 2)), "MaxPool((2, 2))"),
        (flux.MaxPool((3, 2), pad=(1, 0), stride=(2, 1)), "MaxPool((3, 2), pad=(1, 1, 0, 0), stride=(2, 1))"),
        (flux.AdaptiveMaxPool((25, 25)), "AdaptiveMaxPool((25, 25))"),
        (flux.AdaptiveMeanPool((25, 25)), "AdaptiveMeanPool((25, 25))"),
        (flux.GlobalMaxPool(), "GlobalMaxPool()"),
        (flux.GlobalMeanPool(), "GlobalMeanPool()"),
    ],
)
def test_pooling_layers_print_as_in_flux(layer, printed):
    assert repr(layer) == printed


@pytest.mark.parametrize("pool", [flux.MaxPool, flux.MeanPool])
def test_pool_with_same_padding(pool):
    xs = flux.rand(2, 100, 100, 3)
    f, fill = (np.max, -np.inf) if pool is flux.MaxPool else (np.mean, 0)
    expected = ref.pooled(xs.numpy(), f, fill, (5, 5), (5, 5), (2, 2, 2, 2))
    assert expected.shape == (2, 20, 20, 3)
    np.testing.assert_allclose(pool((5, 5), pad=flux.SamePad())(xs).numpy(), expected, rtol=1e-6)


def test_maxpool_of_one_dimension():
    layer = flux.MaxPool((5,), pad=2, stride=(3,))
    xs = flux.rand(5, 100, 7)
    expected = ref.pooled(xs.numpy(), np.max, -np.inf, (5,), (3,), (2, 2))
    assert expected.shape == (5, 34, 7)
    np.testing.assert_array_equal(layer(xs).numpy(), expected)


@pytest.mark.parametrize("pool", [flux.AdaptiveMaxPool, flux.AdaptiveMeanPool])
def test_adaptive_pool_equals_the_pool_that_its_rule_gives(pool):
    xs = flux.rand(5, 100, 100, 3)
    plain = flux.MaxPool if pool is flux.AdaptiveMaxPool else flux.MeanPool
    assert pool((25, 25))(xs).shape == (5, 25, 25, 3)
    np.testing.assert_array_equal(pool((25, 25))(xs).numpy(), plain((4, 4))(xs).numpy())


@pytest.mark.parametrize("pool", [flux.GlobalMaxPool, flux.GlobalMeanPool])
def test_global_pool_in_a_chain(pool):
    xs = flux.rand(5, 98, 98, 7)
    expected = xs.numpy().max((1, 2)) if pool is flux.GlobalMaxPool else xs.numpy().mean((1, 2), np.float64)
    y = flux.Chain(pool())(xs)
    assert y.shape == (5, 1, 1, 7)
    np.testing.assert_allclose(y.numpy()[:, 0, 0], expected, rtol=2e-6)
    np.testing.assert_allclose(flux.Chain(pool(), flux.flatten)(xs).numpy(), expected, rtol=2e-6)


def test_lpnormpool_and_meanpool_are_related_as_documented():
    x = flux.rand(2, 8, 9, 3)
    k = (2, 3)
    np.testing.assert_allclose(
        flux.lpnormpool(x, 1, k).numpy() / 6, flux.meanpool(x, k).numpy(), rtol=2e-6, atol=1e-6
    )
    np.testing.assert_allclose(
        flux.lpnormpool(x, 2, k).numpy() ** 2 / 6, flux.meanpool(x**2, k).numpy(), rtol=2e-6, atol=1e-6
    )
