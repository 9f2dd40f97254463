"""The examples of Flux's documentation for convolutions, with channels last."""

import numpy as np
import pytest

import oxiflux as flux
import references as ref


@pytest.fixture
def xs():
    return flux.rand(2, 100, 100, 3)


def test_conv(xs):
    layer = flux.Conv((5, 5), 3, 7, flux.relu, bias=False)
    assert repr(layer) == "Conv((5, 5), 3 => 7, relu; bias=False)  # 525 parameters"
    assert layer(xs).shape == (2, 96, 96, 7)
    assert flux.Conv((5, 5), 3, 7, stride=2)(xs).shape == (2, 48, 48, 7)
    assert flux.Conv((5, 5), 3, 7, stride=2, pad=flux.SamePad())(xs).shape == (2, 50, 50, 7)
    assert flux.Conv((1, 1), 3, 7, pad=(20, 10, 0, 0))(xs).shape == (2, 130, 100, 7)
    assert flux.Conv((5, 5), 3, 7, stride=2, dilation=4)(xs).shape == (2, 42, 42, 7)


def test_conv_of_a_weight():
    layer = flux.Conv(flux.rand(3, 4, 5), flux.zeros(5), flux.sigmoid)
    assert repr(layer) == "Conv((3,), 4 => 5, sigmoid)  # 65 parameters"
    assert layer(flux.rand(64, 100, 4)).shape == (64, 98, 5)


def test_same_pad(xs):
    layer = flux.Conv((2, 2), 3, 7, pad=flux.SamePad())
    assert repr(layer) == "Conv((2, 2), 3 => 7; pad=(1, 0, 1, 0))  # 91 parameters"
    assert layer(xs).shape == (2, 100, 100, 7)
    assert flux.Conv((2, 2), 3, 7)(xs).shape == (2, 99, 99, 7)
    layer3 = flux.Conv((5, 5), 3, 7, stride=2, pad=flux.SamePad())
    assert repr(layer3) == "Conv((5, 5), 3 => 7; pad=2, stride=2)  # 532 parameters"
    assert layer3(xs).shape == (2, 50, 50, 7)


def test_conv_transpose(xs):
    layer = flux.ConvTranspose((5, 5), 3, 7, flux.relu)
    assert repr(layer) == "ConvTranspose((5, 5), 3 => 7, relu)  # 532 parameters"
    assert layer(xs).shape == (2, 104, 104, 7)
    assert flux.ConvTranspose((5, 5), 3, 7, stride=2)(xs).shape == (2, 203, 203, 7)
    assert flux.ConvTranspose((5, 5), 3, 7, stride=2, outpad=1)(xs).shape == (2, 204, 204, 7)
    assert flux.ConvTranspose((5, 5), 3, 7, stride=3, pad=flux.SamePad())(xs).shape == (2, 300, 300, 7)


def test_depthwise_conv(xs):
    layer = flux.DepthwiseConv((5, 5), 3, 6, flux.relu, bias=False)
    assert repr(layer) == "Conv((5, 5), 3 => 6, relu; groups=3, bias=False)  # 150 parameters"
    assert layer(xs).shape == (2, 96, 96, 6)
    assert flux.DepthwiseConv((5, 5), 3, 9, stride=2, pad=2)(xs).shape == (2, 50, 50, 9)


def test_cross_cor(xs):
    layer = flux.CrossCor((5, 5), 3, 6, flux.relu, bias=False)
    assert repr(layer) == "CrossCor((5, 5), 3 => 6, relu; bias=False)  # 450 parameters"
    assert layer(xs).shape == (2, 96, 96, 6)
    assert flux.CrossCor((5, 5), 3, 7, stride=3, pad=(2, 0))(xs).shape == (2, 34, 32, 7)


def test_every_option_prints():
    layer = flux.ConvTranspose(
        (3, 3), 4, 2, stride=(2, 3), dilation=2, groups=2, outpad=1, bias=False, flipped=True
    )
    assert repr(layer) == (
        "ConvTranspose((3, 3), 4 => 2; stride=(2, 3), dilation=2, groups=2, outpad=1, bias=False, flipped=True)"
        "  # 36 parameters"
    )


def test_a_convolution_in_three_dimensions():
    layer, x = flux.Conv((2, 2, 2), 1, 3, pad=1, stride=2), np.ones((5, 4, 6, 8, 1))
    y = layer(x)
    assert y.shape == (5, 3, 4, 5, 3)
    expected = ref.correlation(x, layer.weight.numpy(), (2, 2, 2), (1,) * 6, (1, 1, 1))
    np.testing.assert_allclose(y.numpy(), expected, rtol=2e-6, atol=2e-6)
