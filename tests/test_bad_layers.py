"""Bad input to every layer and to the functions beside them is an error of the right class that names the layer as it
is printed, or the function, and the numbers.
"""

import numpy as np
import pytest

import oxiflux as flux
import zoo

NAN, HUGE = float("nan"), 2**40
x, image = flux.ones((2, 5, 3)), flux.ones((2, 5, 6, 4))
attend = flux.dot_product_attention
heads = flux.MultiHeadAttention(3, nheads=1)


def fails(kind, f, *needles):
    """Holds a call to an error of a kind whose message and notes contain every needle."""
    with pytest.raises(kind) as caught:
        f()
    assert type(caught.value).__module__ in ("builtins", "oxiflux", "numpy._core._exceptions")
    message = "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])
    for needle in needles:
        assert str(needle) in message, f"{needle!r} is not in: {message}"


def own_names(layer):
    """What an error from within a layer may name: the layer or one that it holds."""
    parts = [part for part in flux.modules(layer) if isinstance(part, flux.Layer)]
    return [part.describe() for part in parts] + [type(layer).__name__]


# Types, for every layer

TYPES = {
    "text": "abc",
    "none": None,
    "dict": {"a": 1},
    "object": object(),
    "texts": np.full(1, "a"),
    "objects": np.full(1, None, object),
    "complex": np.ones(1, complex),
    "dates": np.full(1, np.datetime64("2020-01-01")),
}


@pytest.mark.parametrize("row", zoo.ROWS.values(), ids=zoo.ROWS)
@pytest.mark.parametrize("bad", TYPES.values(), ids=TYPES)
def test_an_input_of_another_type_names_the_layer(row, bad):
    layer, inputs = row.layer(), row.inputs(3)
    if isinstance(bad, np.ndarray):
        bad = np.broadcast_to(bad, inputs[0].shape)
    with pytest.raises(TypeError) as caught:
        layer(bad, *inputs[1:])
    message = "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])
    assert any(name in message for name in own_names(layer)), message


@pytest.mark.parametrize("row", zoo.ROWS.values(), ids=zoo.ROWS)
def test_a_ragged_list_names_the_layer(row):
    layer, inputs = row.layer(), row.inputs(3)
    with pytest.raises((ValueError, TypeError)) as caught:
        layer([[1.0, 2.0], [3.0]], *inputs[1:])
    message = "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])
    assert any(name in message for name in own_names(layer)), message


# Shapes that a layer refuses, in the place of its first input


@pytest.mark.parametrize(
    ("name", "shape"), [(name, shape) for name, row in zoo.ROWS.items() for shape in row.refuses], ids=str
)
@pytest.mark.parametrize("recorded", [False, True], ids=["plain", "recorded"])
def test_an_input_of_another_shape_names_the_layer_and_the_shape(name, shape, recorded):
    row = zoo.ROWS[name]
    layer, inputs = row.layer(), row.inputs(3)
    bad = np.zeros(shape, inputs[0].dtype)

    def run(layer):
        layer(bad, *inputs[1:])
        return flux.zeros(())

    with pytest.raises(ValueError) as caught:
        flux.gradient(run, layer) if recorded else run(layer)
    message = str(caught.value)
    assert type(caught.value) is flux.ShapeError or name == "EmbeddingBag"
    assert any(own in message for own in own_names(layer)), message
    assert str(shape) in message, message


LSTM = flux.LSTMCell(2, 3)

TOGETHER = {
    "Bilinear": (lambda: flux.Bilinear((3, 4), 5)(flux.ones((4, 3)), flux.ones((3, 4))), [(3, 1, 4)]),
    "Parallel": (
        lambda: flux.Parallel(flux.add, flux.relu, flux.relu)(flux.ones((2, 3)), flux.ones((5, 3))),
        ["Parallel.connection: add", (2, 3), (5, 3)],
    ),
    "PairwiseFusion": (
        lambda: flux.PairwiseFusion(flux.add, flux.relu, flux.relu)(flux.ones((2, 3)), flux.ones((5, 3))),
        ["PairwiseFusion.connection: add", (2, 3), (5, 3)],
    ),
    "SkipConnection": (
        lambda: flux.SkipConnection(flux.Dense(3, 2), flux.add)(flux.ones((5, 3))),
        ["SkipConnection.connection: add", (5, 2), (5, 3)],
    ),
    "Maxout": (
        lambda: flux.Maxout(flux.Dense(3, 2), flux.Dense(3, 4))(flux.ones((5, 3))),
        ["maximum", (5, 2), (5, 4)],
    ),
    "state": (lambda: flux.GRU(3, 4)(x, flux.ones((2, 3))), ["GRU(3 => 4)", "(4,) or (2, 4)", (2, 3)]),
    "state of another batch": (lambda: flux.RNN(3, 4)(x, flux.ones((7, 4))), ["RNN(3 => 4, tanh)", (7, 4)]),
    "memory": (lambda: LSTM(flux.ones((5, 2)), (flux.ones(3), flux.ones(2))), ["LSTMCell(2 => 3)", (2,)]),
    "mask": (
        lambda: heads(x, mask=np.ones((4, 5), bool)),
        ["MultiHeadAttention(3; nheads=1)", "mask", (4, 5)],
    ),
    "bias": (lambda: heads(x, None, None, np.ones((2, 3, 5, 5))), ["bias", (2, 3, 5, 5), (2, 1, 5, 5)]),
    "keys of another batch": (
        lambda: heads(x, flux.ones((3, 5, 3))),
        [heads.describe(), (2, 5, 3), (3, 5, 3)],
    ),
    "values of another length": (lambda: heads(x, x, flux.ones((2, 4, 3))), [heads.describe(), (2, 4, 3)]),
    "a single query": (lambda: heads(flux.ones(3)), [heads.describe(), (3,)]),
}


@pytest.mark.parametrize("name", TOGETHER)
def test_inputs_that_do_not_go_together(name):
    f, needles = TOGETHER[name]
    fails(flux.ShapeError, f, *needles)


# Options of every layer

OPTIONS = {
    ValueError: [
        (lambda: flux.Dense(NAN, 3), ["Dense", "nan"]),
        (lambda: flux.Scale(-2), ["Scale", "-2"]),
        (lambda: flux.Bilinear((3, 2.5), 2), ["Bilinear", "2.5"]),
        (lambda: flux.Embedding(-1, 2), ["Embedding", "-1"]),
        (lambda: flux.EmbeddingBag(3, NAN), ["EmbeddingBag", "nan"]),
        (lambda: flux.Maxout(flux.relu, 0), ["Maxout", "at least one layer"]),
        (lambda: flux.Parallel(flux.add), ["Parallel", "at least one layer"]),
        (lambda: flux.PairwiseFusion(flux.add), ["PairwiseFusion", "at least one layer"]),
        (lambda: flux.Conv((3, 3), 2, 4, stride=0), ["Conv", "stride", 0]),
        (lambda: flux.Conv((3, 3), 2, 4, stride=(1, 2, 3)), ["Conv", "stride", (1, 2, 3)]),
        (lambda: flux.Conv((3, 3), 2, 4, pad=-1), ["Conv", "pad", -1]),
        (lambda: flux.Conv((3, 3), 2, 4, pad="same"), ["Conv", "pad", "same"]),
        (lambda: flux.Conv((3, 3), 2, 4, dilation=0), ["Conv", "dilation", 0]),
        (lambda: flux.Conv((3, 3), 4, 6, groups=3), ["Conv", "3 groups", "4 and 6 channels"]),
        (lambda: flux.Conv((3, 3), 4, 6, groups=0), ["Conv", "groups", 0]),
        (lambda: flux.Conv((3, 0), 4, 6), ["Conv", "window", (3, 0)]),
        (lambda: flux.Conv(3, 4, 6), ["Conv", "window", 3]),
        (lambda: flux.Conv((3,) * 4, 4, 6), ["Conv", "window", (3,) * 4]),
        (lambda: flux.CrossCor((NAN,), 4, 6), ["CrossCor", "window", "nan"]),
        (lambda: flux.DepthwiseConv((3,), 4, 6), ["Conv", "4 groups", "4 and 6 channels"]),
        (lambda: flux.ConvTranspose((3,), -1, 6), ["ConvTranspose", "channels", -1]),
        (lambda: flux.ConvTranspose((3,), 4, 6, stride=2, outpad=2), ["ConvTranspose", "outpad", 2]),
        (lambda: flux.MaxPool((2, 0)), ["MaxPool", "window", (2, 0)]),
        (lambda: flux.MaxPool((2, 2), stride=0), ["MaxPool", "stride", 0]),
        (lambda: flux.MeanPool((2, 2), pad=2), ["MeanPool", "pad", "(2, 2)", 2]),
        (lambda: flux.MeanPool((2, 2), pad=-1), ["MeanPool", "pad", -1]),
        (lambda: flux.AdaptiveMaxPool((0,)), ["AdaptiveMaxPool", "size", (0,)]),
        (lambda: flux.AdaptiveMeanPool(3), ["AdaptiveMeanPool", "size", 3]),
        (lambda: flux.RNN(-1, 3), ["RNN", "-1"]),
        (lambda: flux.LSTM(2, 2.5), ["LSTM", "2.5"]),
        (lambda: flux.GRU("2", 3), ["GRU", "'2'"]),
        (lambda: flux.GRUv3(NAN, 3), ["GRUv3", "nan"]),
        (lambda: flux.BatchNorm(0), ["BatchNorm", 0]),
        (lambda: flux.BatchNorm(3, momentum=1.5), ["BatchNorm(3)", "momentum", 1.5]),
        (lambda: flux.BatchNorm(3, eps=NAN), ["BatchNorm(3)", "eps", "nan"]),
        (lambda: flux.LayerNorm(3, 0), ["LayerNorm", (3, 0)]),
        (lambda: flux.InstanceNorm(-1), ["InstanceNorm", -1]),
        (lambda: flux.GroupNorm(6, 4), ["GroupNorm", "4 groups", "6 channels"]),
        (lambda: flux.WeightNorm(flux.Dense(2, 3), "wait"), ["WeightNorm", "Dense(2 => 3)", "wait"]),
        (lambda: flux.Dropout(1.5), ["Dropout", 1.5]),
        (lambda: flux.Dropout("a"), ["Dropout", "'a'"]),
        (lambda: flux.AlphaDropout(NAN), ["AlphaDropout", "nan"]),
        (lambda: flux.MultiHeadAttention(10, nheads=3), ["MultiHeadAttention", "10", "3 heads"]),
        (lambda: flux.MultiHeadAttention(10, nheads=0), ["MultiHeadAttention", "nheads", 0]),
        (lambda: flux.MultiHeadAttention((1, 2)), ["MultiHeadAttention", (1, 2)]),
        (lambda: flux.Upsample("cubic", scale=2), ["Upsample", "cubic"]),
        (lambda: flux.Upsample(scale=NAN), ["Upsample", "scale", "nan"]),
        (lambda: flux.Upsample(size=(3, 0)), ["Upsample", "size", (3, 0)]),
        (lambda: flux.PixelShuffle(0), ["PixelShuffle", 0]),
    ],
    TypeError: [
        (lambda: flux.Dense(2, 3, bias="a"), ["Dense(2 => 3)", "str"]),
        (lambda: flux.Conv((3,), 2, 3, "relu"), ["Conv", "activation", "relu"]),
        (lambda: flux.Chain(flux.relu, 3), ["Chain", "layer 1", "int"]),
        (lambda: flux.Parallel(3, flux.relu), ["Parallel", "connection", 3]),
        (lambda: flux.SkipConnection(3, flux.add), ["SkipConnection", "layers", "int"]),
        (lambda: flux.Recurrence(3), ["Recurrence", "cell", 3]),
        (lambda: flux.EmbeddingBag(3, 2, "mean"), ["EmbeddingBag", "reduction", "mean"]),
        (lambda: flux.BatchNorm(3, active="yes"), ["BatchNorm", "mode", "yes"]),
        (lambda: flux.Dropout(0.5, active=1), ["Dropout", "mode", 1]),
        (lambda: flux.Dropout(0.5, axis="a", active=True)(x), ["Dropout(0.5, axis=a, active=True)"]),
        (lambda: flux.testmode(flux.Dropout(0.5), "yes"), ["testmode", "yes"]),
    ],
    flux.ShapeError: [
        (lambda: flux.Dense(2, 3, bias=[1, 2]), ["Dense(2 => 3)", (3,), (2,)]),
        (lambda: flux.Dense(2, 3, init=lambda _: np.ones(4)), ["Dense(2 => 3)", (4,)]),
        (lambda: flux.Conv((3,), 2, 4, bias=np.ones(2)), ["Conv((3,), 2 => 4)", (4,), (2,)]),
        (lambda: flux.GRU(2, 3, recurrent_bias=[1]), ["GRUCell(2 => 3)", (9,), (1,)]),
        (lambda: flux.BatchNorm(3, init_beta=lambda _: np.ones(4)), ["BatchNorm(3)", (4,)]),
        (lambda: flux.Conv((3,), 3, 2, dilation=2**40)(x), ["Conv((3,), 3 => 2", (2, 5, 3)]),
        (lambda: flux.Conv(np.ones((3, 2))), ["Conv", (3, 2)]),
    ],
    IndexError: [
        (lambda: flux.Embedding(5, 3, padding_idx=5), ["Embedding", 5, "0 and 4"]),
        (lambda: flux.Embedding(5, 3)([[0, 5]]), ["Embedding(5 => 3)", "label 5", "0 and 4"]),
        (lambda: flux.EmbeddingBag(5, 3)([[0, -1]]), ["EmbeddingBag(5 => 3)", "label -1", "0 and 4"]),
        (lambda: flux.Dropout(0.5, axis=7, active=True)(x), ["Dropout(0.5, axis=7", "3 axes"]),
        (lambda: flux.WeightNorm(flux.Dense(2, 3), axis=7), ["WeightNorm(Dense(2 => 3)", 7]),
        (lambda: flux.Chain(flux.relu)[3], ["Chain", "3 of 1"]),
    ],
    MemoryError: [
        (lambda: flux.Dense(HUGE, HUGE), [f"Dense({HUGE} => {HUGE})"]),
        (lambda: flux.Scale(HUGE, HUGE), [f"Scale({HUGE}, {HUGE})"]),
        (lambda: flux.Bilinear((HUGE, HUGE), 1), ["Bilinear", HUGE]),
        (lambda: flux.Embedding(HUGE, HUGE), [f"Embedding({HUGE} => {HUGE})"]),
        (lambda: flux.Conv((3,), HUGE, HUGE), [f"Conv((3,), {HUGE} => {HUGE})"]),
        (lambda: flux.Conv((3,), 3, 2, pad=2**33)(x), ["Conv((3,), 3 => 2; pad=8589934592)"]),
        (
            lambda: flux.ConvTranspose((3,), 3, 2, stride=2**33)(x),
            ["ConvTranspose((3,), 3 => 2; stride=85899"],
        ),
        (lambda: flux.LSTM(HUGE, HUGE), [f"LSTMCell({HUGE} => {HUGE})"]),
        (lambda: flux.BatchNorm(2**50), [f"BatchNorm({2**50})"]),
        (lambda: flux.LayerNorm(2**60), [f"LayerNorm({2**60})"]),
        (lambda: flux.MultiHeadAttention(HUGE), [HUGE]),
        (lambda: flux.Upsample("linear", scale=HUGE)(x), ['Upsample("linear", scale=1099511627776)']),
    ],
}


@pytest.mark.parametrize(
    ("kind", "case"), [(kind, case) for kind, cases in OPTIONS.items() for case in cases]
)
def test_an_option_that_is_none_names_the_layer_and_the_numbers(kind, case):
    f, needles = case
    fails(kind, f, *needles)


# Functions

FUNCTIONS = {
    flux.ShapeError: [
        (lambda: flux.conv(x, flux.ones((3, 3, 3, 2))), ["conv: ", (2, 5, 3)]),
        (lambda: flux.conv(x, flux.ones((3, 2, 2))), ["conv: ", "2 channels", (2, 5, 3)]),
        (lambda: flux.conv(x, flux.ones((6, 3, 2))), ["conv: ", "over 6", (2, 5, 3)]),
        (lambda: flux.conv(x, flux.ones((3, 1, 2)), groups=3), ["conv: ", "3 groups", "2 output channels"]),
        (lambda: flux.conv(x, flux.ones(3)), ["conv: ", (3,)]),
        (lambda: flux.depthwiseconv(x, flux.ones((3, 1, 2))), ["depthwiseconv: ", "2 filters", (3,)]),
        (lambda: flux.maxpool(x, (6,)), ["maxpool: ", "6", (2, 5, 3)]),
        (lambda: flux.meanpool(x, (2, 2)), ["meanpool: ", (2, 5, 3)]),
        (lambda: flux.pad_reflect(x, 5), ["pad_reflect: ", (2, 5, 3), (5, 5)]),
        (lambda: flux.unfold(x, (6,)), ["unfold: ", (6,), (5,)]),
        (lambda: flux.unfold(x, (2, 2)), ["unfold: ", (2, 2), (5,)]),
        (lambda: flux.fold(flux.ones((2, 3, 4)), (2, 5, 3), (2,)), ["fold: ", (2, 4, 6), (2, 3, 4)]),
        (lambda: flux.scatter("+", x, [0, 5], dstsize=(3,)), ["scatter: ", (5, 3), (3,)]),
        (lambda: flux.batched_mul(x, x), ["batched_mul: ", (2, 5, 3)]),
        (lambda: flux.batched_mul(x, image), ["batched_mul: ", (2, 5, 3), (2, 5, 6, 4)]),
        (lambda: flux.ctc_loss(flux.ones(5), [0]), ["ctc_loss: ", (5,)]),
        (lambda: flux.ctc_loss(flux.ones((0, 3)), [0]), ["ctc_loss: ", (0, 3)]),
        (lambda: flux.stft(flux.ones(5), n_fft=16), ["stft: ", 16, (5,)]),
        (lambda: flux.stft(image, n_fft=2), ["stft: ", (2, 5, 6, 4)]),
        (lambda: flux.stft(flux.ones(50), n_fft=16, window=flux.ones(20)), ["stft: ", 16, (20,)]),
        (lambda: flux.istft(flux.ones((5, 3, 2)), n_fft=16), ["istft: ", 9, (5, 3, 2)]),
        (lambda: flux.grid_sample(image, flux.ones((3, 3, 3, 2))), ["grid_sample: ", (3, 3, 3, 2)]),
        (lambda: flux.imrotate(x, 1.0), ["imrotate: ", (2, 5, 3)]),
        (lambda: flux.upsample_bilinear(x, 2), ["upsample_bilinear: ", (2, 5, 3)]),
        (lambda: flux.pixel_shuffle(x, 2), ["pixel_shuffle: ", (2, 5, 3)]),
        (lambda: attend(x, x, flux.ones((2, 4, 3))), ["dot_product_attention: ", (2, 4, 3)]),
        (lambda: attend(x, flux.ones((2, 5, 4)), x), ["dot_product_attention: ", (2, 5, 4)]),
        (lambda: attend(x, x, x, nheads=2), ["dot_product_attention: ", "2 heads", (2, 5, 3)]),
        (lambda: attend(x, x, x, mask=np.ones((4, 5), bool)), ["dot_product_attention: ", "mask", (4, 5)]),
        (lambda: attend(x, x, x, np.ones((4, 5))), ["dot_product_attention: ", "bias", (4, 5)]),
        (lambda: flux.dot_product_attention_scores(x, image), ["dot_product_attention_scores: ", (2, 5, 3)]),
        (lambda: flux.glu(x), ["glu: ", (2, 5, 3)]),
        (lambda: flux.flatten(3.0), ["flatten: "]),
    ],
    ValueError: [
        (lambda: flux.conv(x, flux.ones((3, 3, 2)), stride=0), ["conv: ", "stride", 0]),
        (lambda: flux.conv(x, flux.ones((3, 3, 2)), pad=(1, -1)), ["conv: ", "pad", (1, -1)]),
        (lambda: flux.maxpool(x, (2,), pad=2), ["maxpool: ", "pad", 2]),
        (lambda: flux.lpnormpool(x, 0, (2,)), ["lpnormpool: ", 0]),
        (lambda: flux.pad_constant(x, -1), ["pad_constant: ", -1]),
        (lambda: flux.pad_circular(x, (1, 2, 3, 4)), ["pad_circular: ", (1, 2, 3, 4)]),
        (lambda: flux.fold(x, (-2, 5, 3), (2,)), ["fold: ", (-2, 5, 3)]),
        (lambda: flux.scatter("&", x, [0, 1]), ["scatter: ", "&"]),
        (lambda: flux.dropout(x, 2), ["dropout: ", 2]),
        (lambda: flux.stft(flux.ones(50), n_fft=0), ["stft: ", "n_fft", 0]),
        (lambda: flux.stft(flux.ones(50), n_fft=16, hop_length=0), ["stft: ", "hop_length", 0]),
        (lambda: flux.spectrogram(flux.ones(50), n_fft=16, power=-1), ["spectrogram: ", -1]),
        (
            lambda: flux.melscale_filterbanks(n_freqs=0, n_mels=2, sample_rate=8),
            ["melscale_filterbanks: ", 0],
        ),
        (lambda: flux.hann_window(0), ["hann_window: ", 0]),
        (lambda: flux.hamming_window(-3), ["hamming_window: ", -3]),
        (lambda: flux.grid_sample(image, image, padding_mode="wrap"), ["grid_sample: ", "wrap"]),
        (lambda: flux.imrotate(image, NAN), ["imrotate: ", "nan"]),
        (lambda: flux.upsample_nearest(x, 1.5), ["upsample_nearest: ", (5,), (7,)]),
        (lambda: flux.upsample_linear(x, size=-1), ["upsample_linear: ", -1]),
    ],
    IndexError: [
        (lambda: flux.gather(x, [5]), ["gather: ", 5]),
        (lambda: flux.scatter("+", x, [-1, 1]), ["scatter: ", -1]),
        (lambda: flux.ctc_loss(flux.ones((5, 3)), [2]), ["ctc_loss: ", 2]),
        (lambda: flux.normalise(x, axis=5), ["normalise: ", 5]),
        (lambda: flux.softmax(x, axis=3), ["softmax: ", 3]),
        (lambda: flux.make_causal_mask(3.0), ["make_causal_mask: ", -2]),
        (lambda: flux.pad_zeros(x, 1, axis=3), ["pad_zeros: ", 3]),
    ],
    flux.DTypeError: [
        (lambda: flux.gather(x, [0.5]), ["gather: ", "float64"]),
        (lambda: flux.ctc_loss(flux.ones((5, 3)), [0.5]), ["ctc_loss: ", "float32"]),
        (lambda: attend(x, x, x, mask=np.ones((5, 5))), ["dot_product_attention: ", "mask", "float64"]),
    ],
    TypeError: [
        *[
            (lambda f=f: f("a"), [f"{f.__name__}: ", "str"])
            for f in (flux.relu, flux.softmax, flux.normalise, flux.glu)
        ],
        (lambda: flux.conv("a", flux.ones((3, 3, 2))), ["conv: ", "str"]),
        (lambda: flux.initialstates(flux.Dense(2, 3)), ["initialstates: ", "Dense(2 => 3)"]),
        (lambda: flux.activations(flux.Dense(2, 3), x), ["activations: ", "Dense"]),
    ],
    MemoryError: [
        (lambda: flux.pad_zeros(x, 2**62), ["pad_zeros: "]),
        (lambda: flux.hann_window(2**50), [2**50]),
    ],
}


@pytest.mark.parametrize(
    ("kind", "case"), [(kind, case) for kind, cases in FUNCTIONS.items() for case in cases]
)
def test_a_function_names_itself_and_the_numbers(kind, case):
    f, needles = case
    fails(kind, f, *needles)
