"""The examples of Flux's documentation for normalisation, dropout, weight normalisation and modes, in Python."""

import re

import numpy as np

import oxiflux as flux


def lines(model):
    """The lines of a printed model with runs of spaces before a comment made one."""
    return [re.sub(r" +# ", " # ", line) for line in repr(model).splitlines()]


def std(x, axis):
    """The standard deviation with Julia's correction, over axes."""
    return np.std(x.numpy(), axis=axis, ddof=1)


def images(channels):
    """A batch of 2 images of 3 x 3 with random channels."""
    return flux.rand(2, 3, 3, channels)


def test_normalise_of_five_numbers():
    x = flux.tensor([90.0, 100.0, 110.0, 130.0, 70.0], dtype=flux.float64)
    assert (x.mean().item(), x.std().item()) == (100, 20)
    y = flux.normalise(x)
    # The documentation of releases before eps joined the variance shows (x - mean) / (std + eps), from which the
    # difference is below eps.
    published = [-0.49999975000012503, 0.0, 0.49999975000012503, 1.499999250000375, -1.499999250000375]
    np.testing.assert_allclose(y.numpy(), published, atol=1e-6)
    np.testing.assert_allclose(y.numpy(), (x.numpy() - 100) / np.sqrt(400 + 1e-5), rtol=1e-15)
    assert abs(y.std().item() - 1) < 1e-5


def test_normalise_of_columns():
    x = flux.randint(10, 100, (10, 10)).astype(flux.float64)
    np.testing.assert_allclose(flux.normalise(x, axis=1).std(axis=1).numpy(), np.ones(10), atol=2e-6)


def test_layer_norm_of_channels():
    xs = images(3)
    y = flux.LayerNorm(3, 3, 3)(xs)
    np.testing.assert_allclose(std(y, (1, 2, 3)), [1, 1], atol=0.1)
    assert (std(y, (1, 2, 3)) != std(xs, (1, 2, 3))).all()


def test_batch_norm_of_channels():
    xs, m = images(3), flux.BatchNorm(3)
    flux.trainmode(m)
    assert abs(std(m(xs), None) - 1) < 0.1
    assert std(xs, None) != std(m(xs), None)


def test_instance_norm_of_channels():
    xs = images(3)
    y = flux.InstanceNorm(3)(xs)
    np.testing.assert_allclose(std(y, (1, 2)), np.ones((2, 3)), atol=0.2)
    assert (std(y, (1, 2)) != std(xs, (1, 2))).all()


def test_group_norm_of_pairs_of_channels():
    xs = images(4)
    y = flux.GroupNorm(4, 2)(xs)
    assert abs(std(y[0, :, :, :2], None) - 1) < 0.1
    assert abs(std(y[1, :, :, 2:], None) - 1) < 0.1
    assert std(y[0, :, :, :2], None) != std(xs[0, :, :, :2], None)


def test_dropout_in_a_chain():
    m = flux.Chain(flux.Dense(np.ones((2, 3))), flux.Dropout(0.4))
    assert lines(m) == ["Chain(", "  Dense(2 => 3), # 9 parameters", "  Dropout(0.4),", ")"]
    assert m(np.ones((7, 2))).tolist() == [[2.0] * 3] * 7
    assert lines(flux.trainmode(m))[2] == "  Dropout(0.4, active=True),"
    y = m(np.ones((7, 2))).numpy()
    np.testing.assert_allclose(y[y != 0], 3.33333, rtol=5e-6)
    y = m(np.ones((10_000, 2))).numpy()
    assert abs(y.mean() - 2) < 0.1
    assert abs((y == 0).mean() - 0.4) < 0.02


def test_dropout_of_everything():
    m = flux.trainmode(flux.Chain(flux.Dense(1, 1), flux.Dropout(1)))
    assert m([1.0]).tolist() == [0]


def test_alpha_dropout_after_selu():
    x = flux.randn(1, 1000)
    m = flux.trainmode(
        flux.Chain(flux.Dense(1000, 1000, flux.selu, init=flux.lecun_normal), flux.AlphaDropout(0.2))
    )
    assert abs(std(m(x), None) - std(x, None)) < 0.2


def test_weight_norm_of_a_layer():
    c = flux.Dense(3, 2)
    wc = flux.WeightNorm(c, "weight")
    x = np.ones((12, 3))
    np.testing.assert_allclose(wc(x).numpy(), c(x).numpy(), rtol=2e-6)
    assert lines(wc) == [
        "WeightNorm(",
        "  Dense(3 => 2), # 8 parameters",
        "  float32 tensor (1, 2), # 2 parameters",
        "  'weight',",
        "  0,",
        ") # Total: 3 arrays, 10 parameters, 40 bytes.",
    ]


def test_weight_norms_removed_from_a_model():
    model = flux.Chain(flux.WeightNorm(flux.Dense(3, 2)), flux.WeightNorm(flux.Dense(2, 2)))
    assert lines(flux.remove_weight_norms(model)) == [
        "Chain(",
        "  Dense(3 => 2), # 8 parameters",
        "  Dense(2 => 2), # 6 parameters",
        ") # Total: 4 arrays, 14 parameters, 56 bytes.",
    ]
