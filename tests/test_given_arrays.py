"""Layers that are made of given arrays in the place of sizes, and recurrent layers of a given cell."""

import re

import numpy as np
import pytest

import oxiflux as flux

RNG = np.random.default_rng(0)
W, B = RNG.normal(size=(3, 2)), RNG.normal(size=2)
W3 = RNG.normal(size=(3, 4, 2))
KERNEL, FEW = RNG.normal(size=(3, 2, 4, 6)), RNG.normal(size=(2, 3))
TABLE = RNG.normal(size=(7, 3))
X = RNG.normal(size=(5, 3))
IMAGES = RNG.normal(size=(2, 6, 5, 4))

MADE = {
    "Dense": (lambda w, *a, **o: flux.Dense(w, *a, **o), W, B),
    "Bilinear": (lambda w, *a, **o: flux.Bilinear(w, *a, **o), W3, B),
    "Scale": (lambda w, *a, **o: flux.Scale(w, *a, **o), FEW, FEW),
    "Conv": (lambda w, *a, **o: flux.Conv(w, *a, **o), KERNEL, np.arange(6.0)),
    "CrossCor": (lambda w, *a, **o: flux.CrossCor(w, *a, **o), KERNEL, np.arange(6.0)),
    "ConvTranspose": (lambda w, *a, **o: flux.ConvTranspose(w, *a, **o), KERNEL, np.arange(4.0)),
    "DepthwiseConv": (lambda w, *a, **o: flux.DepthwiseConv(w, *a, **o), KERNEL, np.arange(24.0)),
}  # fmt: skip
each = pytest.mark.parametrize(("make", "weight", "bias"), MADE.values(), ids=MADE)


def first(layer):
    return layer.scale if isinstance(layer, flux.Scale) else layer.weight


@each
def test_a_layer_takes_weight_bias_and_activation(make, weight, bias):
    layer = make(weight, bias, flux.tanh)
    np.testing.assert_array_equal(
        np.sort(first(layer).numpy(), axis=None), np.sort(weight.astype("f"), axis=None)
    )
    np.testing.assert_array_equal(layer.bias.numpy(), bias.astype("f"))
    assert layer.activation is flux.tanh and first(layer).dtype == "float32"
    assert repr(make(weight, bias=bias, activation=flux.tanh)) == repr(layer)


@each
def test_the_bias_is_zeros_unless_it_is_given_or_false(make, weight, bias):
    assert not make(weight).bias.numpy().any() and make(weight).bias.shape == bias.shape
    assert make(weight, False).bias is None and make(weight, bias=False).bias is None
    assert make(weight, True).bias.shape == bias.shape


@each
def test_a_tensor_keeps_its_dtype_and_is_the_parameter(make, weight, bias):
    w = flux.tensor(weight)
    layer = make(w, flux.tensor(bias))
    assert first(layer).dtype == layer.bias.dtype == "float64"
    assert first(layer) is w or isinstance(layer, flux.Conv)
    assert first(make(weight.tolist())).dtype == "float32"


@each
def test_what_does_not_go_with_a_weight_is_refused(make, weight, bias):
    name = next(key for key, row in MADE.items() if row[0] is make).replace("Depthwise", "")
    if name != "Scale":  # whose activation is found behind any number of sizes
        with pytest.raises(
            TypeError, match=rf"{name}: the bias comes before the activation: .*, True, relu\)"
        ):
            make(weight, flux.relu)
    with pytest.raises(TypeError, match=f"{name}: the bias was given twice"):
        make(weight, bias, bias=bias)
    with pytest.raises(TypeError, match=f"{name}: the weight was given, so that init"):
        make(weight, init=flux.glorot_normal)
    with pytest.raises(flux.ShapeError, match=r"expected a bias of shape"):
        make(weight, np.ones(1))
    with pytest.raises(TypeError, match=f"{name}: the activation must be a function|takes"):
        make(weight, bias, "relu")


def test_the_numbers_are_those_of_the_formula():
    close = lambda a, b: np.testing.assert_allclose(a.numpy(), b, rtol=1e-12)
    t = flux.tensor
    close(flux.Dense(t(W), t(B), flux.tanh)(X), np.tanh(X @ W + B))
    y = RNG.normal(size=(5, 4))
    close(flux.Bilinear(t(W3), t(B))(X, y), np.einsum("bi,ijk,bj->bk", X, W3, y) + B)
    close(flux.Scale(t(FEW), t(FEW))(FEW), FEW * FEW + FEW)
    close(flux.Conv(t(KERNEL), stride=2)(IMAGES), flux.conv(IMAGES, t(KERNEL), stride=2).numpy())
    close(
        flux.DepthwiseConv(t(KERNEL), False)(RNG.normal(size=(1, 4, 4, 6)) * 0 + 1),
        flux.depthwiseconv(np.ones((1, 4, 4, 6)), t(KERNEL)).numpy(),
    )
    assert flux.DepthwiseConv(KERNEL).groups == 6
    close(flux.Embedding(t(TABLE))([2, 0]), TABLE[[2, 0]])
    close(flux.EmbeddingBag(t(TABLE), flux.max)([[2, 0], [1, 1]]), np.stack([TABLE[[2, 0]].max(0), TABLE[1]]))


def test_a_weight_of_another_rank_is_refused_with_the_axes_it_should_have():
    for make, axes in [
        (lambda: flux.Dense(B), r"Dense: the weight must be \(in, out\), got shape \(2,\)"),
        (lambda: flux.Bilinear(W), r"Bilinear: the weight must be \(in1, in2, out\), got shape \(3, 2\)"),
        (lambda: flux.Embedding(B), r"Embedding: the weight must be \(labels, size\)"),
        (lambda: flux.Conv(W), r"Conv: the weight must be \(\*window, in, out\)"),
    ]:
        with pytest.raises(flux.ShapeError, match=axes):
            make()


def test_what_has_no_size_and_no_weight_says_what_is_missing():
    for make, name in [
        (lambda: flux.Dense(3), "Dense.*'size_out'"), (lambda: flux.Bilinear((3, 2)), "Bilinear.*'size_out'"),
        (lambda: flux.Embedding(3), "Embedding.*'size'"), (lambda: flux.EmbeddingBag(3), "EmbeddingBag.*'size'"),
        (lambda: flux.Conv((3, 3)), "Conv.*'size_in', 'size_out'"), (lambda: flux.Conv((3,), 2), "Conv.*'size_out'"),
        (lambda: flux.DepthwiseConv((3,), 2), "DepthwiseConv.*'size_out'"),
        (lambda: flux.LSTM(3), "LSTM.*'size_out'"), (lambda: flux.RNN(3), "RNN.*'size_out'"),
    ]:  # fmt: skip
        with pytest.raises(TypeError, match=rf"^{name}"):
            make()


def test_a_table_has_its_sizes():
    assert flux.Embedding(TABLE, padding_idx=1)([1]).tolist() == [[0.0] * 3]
    with pytest.raises(TypeError, match="Embedding: a weight has its sizes, and 3 was given"):
        flux.Embedding(TABLE, 3)
    with pytest.raises(TypeError, match="EmbeddingBag: a weight has its sizes"):
        flux.EmbeddingBag(TABLE, 3, flux.sum)
    with pytest.raises(TypeError, match="EmbeddingBag: the reduction must be a function, got 3"):
        flux.EmbeddingBag(TABLE, 3)
    with pytest.raises(TypeError, match="Embedding: the weight was given, so that init"):
        flux.Embedding(TABLE, init=flux.ones32)


def test_bilinear_of_one_size_is_that_of_two_alike():
    layer = flux.Bilinear(5, 7)
    assert layer.weight.shape == (5, 5, 7) and repr(layer).startswith("Bilinear(5 => 7)    # 182 parameters")
    assert layer(np.ones((2, 5))).shape == (2, 7)


CELLS = [
    (flux.RNN, flux.RNNCell), (flux.LSTM, flux.LSTMCell), (flux.GRU, flux.GRUCell), (flux.GRUv3, flux.GRUv3Cell),
]  # fmt: skip


@pytest.mark.parametrize(("layer", "cell"), CELLS)
def test_a_recurrent_layer_takes_its_cell(layer, cell):
    own = cell(3, 2)
    made = layer(own, return_state=True)
    assert made.cell is own and made.return_state and not layer(own).return_state
    y, _ = made(flux.rand(4, 5, 3))
    assert y.shape == (4, 5, 2)


@pytest.mark.parametrize(("layer", "cell"), CELLS)
def test_a_cell_of_another_kind_or_with_options_is_refused(layer, cell):
    name = layer.__name__
    other = flux.LSTMCell if cell is not flux.LSTMCell else flux.GRUCell
    with pytest.raises(
        TypeError, match=f"{name}: the cell must be of {cell.__name__}, got .*; see Recurrence"
    ):
        layer(other(3, 2))
    with pytest.raises(TypeError, match=f"{name}: .* has its sizes and options, and 4 was given besides"):
        layer(cell(3, 2), 4)
    with pytest.raises(TypeError, match="has its sizes and options, and bias was given besides"):
        layer(cell(3, 2), bias=False)


@pytest.mark.parametrize("make", [
    flux.Dense, flux.Embedding, flux.EmbeddingBag, lambda w: flux.Bilinear([w]), lambda w: flux.Conv([w]),
    lambda w: flux.DepthwiseConv([w]), lambda w: flux.Scale(w),
], ids=["Dense", "Embedding", "EmbeddingBag", "Bilinear", "Conv", "DepthwiseConv", "Scale"])  # fmt: skip
@pytest.mark.parametrize(("values", "error", "what"), [
    ([[1.0, 2.0], [3.0]], flux.ShapeError, "unequal lengths"), ([["a", "b"]], flux.DTypeError, "strings"),
    ([[1e300, 1.0]], OverflowError, "out of range"), ([[None, 1.0]], (TypeError, flux.DTypeError), "None|object"),
], ids=["ragged", "text", "too large", "None"])  # fmt: skip
def test_what_is_wrong_with_a_weight_is_an_error_of_the_layer(make, values, error, what):
    with pytest.raises(error, match=what) as caught:
        make(values)
    assert re.match(r"(Dense|Embedding(Bag)?|Bilinear|Conv|DepthwiseConv|Scale): ", str(caught.value))


@pytest.mark.parametrize("weight", [[1.0, 2.0], []], ids=str)
def test_a_list_of_too_few_axes_is_a_weight_and_no_size(weight):
    with pytest.raises(flux.ShapeError, match=r"Dense: the weight must be \(in, out\), got shape"):
        flux.Dense(weight)


def test_a_list_that_holds_itself_is_no_weight():
    weight = []
    weight.append(weight)
    with pytest.raises((TypeError, ValueError)):
        flux.Dense(weight)
