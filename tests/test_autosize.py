"""Sizes that are left open in a model and filled in from the shape of an input."""

import copy

import numpy as np
import pytest

import oxiflux as flux

OPEN = {
    "Dense": (lambda: flux.Dense(None, 4, flux.relu), (5, 3), lambda: flux.Dense(3, 4, flux.relu)),
    "Dense by name": (lambda: flux.Dense(size_in=None, size_out=4), (5, 2, 3), lambda: flux.Dense(3, 4)),
    "Dense of a part": (lambda: flux.Dense(None, lambda n: n // 4), (5, 12), lambda: flux.Dense(12, 3)),
    "Bilinear": (lambda: flux.Bilinear(None, 2), (5, 3), lambda: flux.Bilinear(3, 2)),
    "Bilinear of one": (lambda: flux.Bilinear((None, 3), 2), (5, 3), lambda: flux.Bilinear((3, 3), 2)),
    "Scale": (lambda: flux.Scale(None, flux.tanh), (5, 3), lambda: flux.Scale(3, flux.tanh)),
    "Scale of two": (lambda: flux.Scale(None, None), (5, 4, 3), lambda: flux.Scale(4, 3)),
    "Conv": (lambda: flux.Conv((3, 2), None, 4, stride=2), (5, 8, 8, 3), lambda: flux.Conv((3, 2), 3, 4, stride=2)),
    "CrossCor": (lambda: flux.CrossCor((3,), None, 4), (5, 8, 3), lambda: flux.CrossCor((3,), 3, 4)),
    "ConvTranspose": (
        lambda: flux.ConvTranspose((3,), None, lambda n: 2 * n, flux.relu), (5, 8, 3),
        lambda: flux.ConvTranspose((3,), 3, 6, flux.relu),
    ),
    "DepthwiseConv": (
        lambda: flux.DepthwiseConv((3,), None, lambda n: 2 * n), (5, 8, 3), lambda: flux.DepthwiseConv((3,), 3, 6),
    ),
    "BatchNorm": (lambda: flux.BatchNorm(None, flux.relu), (5, 3), lambda: flux.BatchNorm(3, flux.relu)),
    "InstanceNorm": (
        lambda: flux.InstanceNorm(None, affine=True), (5, 8, 3), lambda: flux.InstanceNorm(3, affine=True),
    ),
    "GroupNorm": (lambda: flux.GroupNorm(None, 2), (5, 8, 4), lambda: flux.GroupNorm(4, 2)),
    "LayerNorm": (lambda: flux.LayerNorm(None), (5, 3), lambda: flux.LayerNorm(3)),
    "LayerNorm of two": (lambda: flux.LayerNorm(7, None), (5, 7, 3), lambda: flux.LayerNorm(7, 3)),
    "RNN": (lambda: flux.RNN(None, 4, flux.relu), (5, 6, 3), lambda: flux.RNN(3, 4, flux.relu)),
    "LSTM": (lambda: flux.LSTM(None, 4), (6, 3), lambda: flux.LSTM(3, 4)),
    "GRU": (lambda: flux.GRU(None, lambda n: n + 1), (5, 6, 3), lambda: flux.GRU(3, 4)),
    "GRUv3": (lambda: flux.GRUv3(None, 4), (5, 6, 3), lambda: flux.GRUv3(3, 4)),
    "Recurrence": (
        lambda: flux.Recurrence(flux.LSTMCell(None, 4)), (5, 6, 3), lambda: flux.Recurrence(flux.LSTMCell(3, 4)),
    ),
    "MultiHeadAttention": (
        lambda: flux.MultiHeadAttention(None, nheads=2), (5, 6, 4), lambda: flux.MultiHeadAttention(4, nheads=2),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("make", "shape", "sized"), OPEN.values(), ids=OPEN)
def test_an_open_layer_becomes_the_layer_of_its_inputs_size(make, shape, sized):
    layer = flux.autosize(make(), shape)
    assert type(layer) is type(sized()) and repr(layer) == repr(sized())
    assert flux.outputsize(layer, shape) == flux.outputsize(sized(), shape)
    chain = flux.autosize(flux.Chain(flux.identity, make()), shape)
    assert repr(chain[1]) == repr(sized())


def lenet():
    return flux.Chain(
        flux.Conv((5, 5), None, 6, flux.relu), flux.MaxPool((2, 2)), flux.Conv((5, 5), None, 16, flux.relu),
        flux.MaxPool((2, 2)), flux.flatten, flux.Dense(None, 120, flux.relu), flux.Dense(None, 84, flux.relu),
        flux.Dense(None, 10),
    )  # fmt: skip


def test_lenet_has_the_sizes_of_its_images():
    model = flux.autosize(lenet(), (1, 28, 28, 1))
    assert [x.shape for x in flux.trainables(model)][::2] == [
        (5, 5, 1, 6), (5, 5, 6, 16), (256, 120), (120, 84), (84, 10),
    ]  # fmt: skip
    assert sum(x.size for x in flux.trainables(model)) == 44_426
    assert model(np.zeros((3, 28, 28, 1))).shape == (3, 10)


def test_the_example_of_fluxs_page_has_its_sizes():
    model = flux.autosize(
        flux.Chain(
            flux.Chain(
                c=flux.Conv((3, 3), None, 5, stride=2, pad=flux.SamePad()), p=flux.MeanPool((3, 3)),
                b=flux.BatchNorm(None), f=flux.flatten,
            ),
            flux.Dense(None, lambda n: n // 4, flux.relu, init=flux.rand32),
            flux.SkipConnection(flux.Dense(None, lambda n: n, flux.relu), flux.add),
            flux.Dense(None, 10),
        ),
        (32, 28, 28, 1),
    )  # fmt: skip
    assert [x.shape for x in flux.trainables(model) if x.ndim > 1] == [
        (3, 3, 1, 5),
        (80, 20),
        (20, 20),
        (20, 10),
    ]
    assert flux.outputsize(model, (32, 28, 28, 1)) == (32, 10)
    assert "Total: 10 trainable arrays, 2_310 parameters" in repr(model)


def test_a_model_of_ones_own_and_its_lists_are_filled():
    class Net(flux.Layer):
        def __init__(self):
            self.parts = {"first": [flux.Dense(None, 7)]}
            self.head = flux.Bilinear((None, None), 2)

        def __call__(self, x, y):
            return self.head(self.parts["first"][0](x), y)

    net = Net()
    sized = flux.autosize(net, (4, 3), (4, 5))
    assert sized.parts["first"][0].weight.shape == (3, 7) and sized.head.weight.shape == (7, 5, 2)
    assert not isinstance(net.head, flux.Bilinear), "the model itself stays open"
    assert flux.autosize(net, (4, 2), (4, 1)).parts["first"][0].weight.shape == (2, 7)


def test_inputs_may_be_a_tuple_or_a_list():
    pair = flux.autosize(flux.Chain(lambda x: (x, [[1.0, 2.0]]), flux.Bilinear((None, None), 4)), (1, 3))
    assert pair[1].weight.shape == (3, 2, 4)
    assert flux.autosize(flux.Chain(lambda x: [[1.0, 2.0]], flux.Dense(None, 4)), (1, 3))[1].weight.shape == (
        2,
        4,
    )


def test_a_layer_that_stands_twice_is_one_layer():
    shared = flux.Dense(None, 3)
    model = flux.autosize([shared, flux.relu, shared], (2, 3))
    assert model[0] is model[2] and type(model) is list
    with pytest.raises(flux.ShapeError, match="expected 5 features"):
        flux.autosize([shared, shared], (2, 5))


@pytest.mark.parametrize(
    ("make", "shape", "sizes"),
    [
        (lambda: flux.Dense(None, 3), (5,), (5, 3)),
        (lambda: flux.Scale(None, None), (4, 5), (4, 5)),
        (lambda: flux.Chain(flux.matrix_transpose, flux.Dense(None, 3)), (4, 5), (4, 3)),
        (lambda: flux.Dense(None, 3), (5, 0), (0, 3)),
    ],
    ids=["vector", "all axes", "transposed", "no features"],
)
def test_a_size_is_that_of_the_batch_where_the_layer_takes_it(make, shape, sizes):
    assert flux.trainables(flux.autosize(make(), shape))[0].shape == sizes


def test_a_shape_without_the_axis_is_refused():
    with pytest.raises(ValueError, match=r"Dense\(None, 4\): an input of shape \(\) has no last axis"):
        flux.autosize(flux.Dense(None, 4), ())
    with pytest.raises(ValueError, match=r"an input of shape \(4, 3\) has no last 3 axes"):
        flux.autosize(flux.Scale(None, 3, 2), (4, 3))


def test_the_attributes_of_an_open_layer_are_not_there_yet():
    with pytest.raises(
        AttributeError, match=r"Dense\(None, 4\) has no weight: its size is open; flux.autosize"
    ):
        flux.Dense(None, 4).weight  # noqa: B018


def test_the_shape_may_lack_the_batch():
    assert flux.autosize(flux.Dense(None, 3), (5,), padbatch=True).weight.shape == (5, 3)


def test_labels_go_through_an_embedding():
    model = flux.autosize([flux.Embedding(9, 4), flux.Dense(None, 2)], (5, 6))
    assert model[1].weight.shape == (4, 2)


def test_the_rest_of_a_model_is_as_it_was():
    norm, dropout = flux.BatchNorm(3, active=True), flux.Dropout(0.5, active=True)
    mu = norm.mu.numpy().copy()
    model = flux.autosize(flux.Chain(norm, dropout, flux.Dense(None, 2)), (4, 3))
    assert model[0] is norm and model[1] is dropout and norm.active is True
    np.testing.assert_array_equal(norm.mu.numpy(), mu)


def test_the_dtype_of_a_bias_does_not_matter_and_options_are_kept():
    layer = flux.autosize(flux.Dense(None, 2, flux.tanh, bias=[1.0, 2.0], init=flux.ones32), (4, 3))
    assert layer.bias.tolist() == [1.0, 2.0] and layer.weight.numpy().all() and layer.activation is flux.tanh


@pytest.mark.parametrize("use", [
    lambda m: m(np.zeros((2, 3))), lambda m: flux.outputsize(m, (2, 3)),
    lambda m: flux.gradient(lambda m: m(np.zeros((2, 3))).sum(), m),
], ids=["call", "outputsize", "gradient"])  # fmt: skip
def test_an_open_layer_cannot_be_called(use):
    with pytest.raises(ValueError, match=r"Dense\(None, 4, relu\): its size is open; flux.autosize"):
        use(flux.Chain(flux.Dense(None, 4, flux.relu)))


@pytest.mark.parametrize("use", [lambda m: flux.setup(flux.Adam(), m), flux.params], ids=["setup", "params"])
def test_an_open_layer_cannot_be_trained(use):
    model = flux.Chain(flux.Dense(2, 3), flux.Dense(None, 4))
    with pytest.raises(TypeError, match=r"layers\[1\] is Dense\(None, 4\), whose size is open: .*autosize"):
        use(model)


def test_what_is_never_called_stays_open_and_says_so():
    model = flux.Chain(flux.Dense(None, 2))
    model.spare = flux.Dense(None, 3)
    with pytest.raises(
        ValueError, match=r"autosize: Dense\(None, 3\) is not called for an input of this shape"
    ):
        flux.autosize(model, (4, 3))


def test_the_errors_of_the_model_are_those_of_its_layers():
    with pytest.raises(flux.ShapeError, match=r"Chain\[1\]: Dense\(9 => 2\): expected 9 features .*\(4, 5\)"):
        flux.autosize(flux.Chain(flux.Dense(None, 5), flux.Dense(9, 2)), (4, 3))
    with pytest.raises(TypeError, match="needs the shape of an input"):
        flux.autosize(flux.Dense(None, 5))
    with pytest.raises(
        ValueError, match=r"autosize: a shape is a tuple of non-negative integers, got \(4, 'a'\)"
    ):
        flux.autosize(flux.Dense(None, 5), (4, "a"))


def test_only_sizes_of_inputs_can_be_open():
    with pytest.raises(ValueError, match="Embedding: sizes are non-negative integers, got None and 3"):
        flux.Embedding(None, 3)
    with pytest.raises(ValueError, match="Dense: sizes"):
        flux.Dense(2, None)

    class Own(flux.Dense):
        def __init__(self, name):
            super().__init__(2, 3)
            self.name = name

    assert Own(None).name is None


def test_an_open_layer_prints_as_it_was_written_and_can_be_copied():
    layer = flux.Conv((3, 3), None, 4, flux.relu, stride=2)
    assert repr(layer) == "Conv((3, 3), None, 4, relu, stride=2)"
    assert repr(flux.Chain(layer, flux.Dense(None, 2))) == "\n".join(
        ["Chain(", f"  {layer!r},", "  Dense(None, 2),", ")"]
    )
    assert flux.autosize(copy.deepcopy(layer), (1, 9, 9, 2)).weight.shape == (3, 3, 2, 4)
    assert repr(flux.LayerNorm(None, flux.relu, affine=False)) == "LayerNorm(None, relu, affine=False)"


@pytest.mark.parametrize("active", [True, False, None])
def test_a_layer_that_is_filled_in_has_seen_no_numbers(active):
    model = flux.autosize(flux.Chain(flux.Dense(None, 4), flux.BatchNorm(None, active=active)), (5, 3))
    assert model[1].active is active
    assert model[1].mu.tolist() == [0.0] * 4 and model[1].var.tolist() == [1.0] * 4


def test_the_mode_of_a_model_is_that_of_its_open_layers():
    open_norm = flux.BatchNorm(None)
    for mode, active in ((True, False), (False, True), ("auto", None)):
        model = flux.autosize(flux.testmode(flux.Chain(flux.relu, open_norm), mode), (5, 3))
        assert model[1].active is active


def test_a_weight_norm_of_an_open_layer_is_filled_in():
    shared = flux.Conv((3,), None, 2)
    norm = flux.WeightNorm(shared)
    assert repr(norm) == "WeightNorm(Conv((3,), None, 2))"
    model = flux.autosize(
        flux.Chain(norm, flux.WeightNorm(flux.Dense(None, 4, bias=[1, 2, 3, 4]), "bias", axis=0), flux.relu),
        (5, 9, 7),
    )
    assert model[0].layer.weight.shape == (3, 7, 2) and model[0].g.shape == (1, 1, 2)
    assert model[1].which == "bias" and model[1].layer.weight.shape == (2, 4)
    assert flux.autosize(flux.WeightNorm(layer=shared), (5, 9, 7)).g.shape == (1, 1, 2)
    with pytest.raises(ValueError, match=r"WeightNorm\(Dense\(None, 4\)\): its size is open"):
        flux.WeightNorm(flux.Dense(None, 4))(np.zeros((2, 3)))


def test_an_open_layer_within_a_weight_norm_may_stand_elsewhere_too():
    shared = flux.Dense(None, 3)
    norm = flux.WeightNorm(shared)
    for model in (flux.Chain(norm, norm, shared), flux.Chain(shared, norm, norm)):
        model = flux.autosize(model, (5, 3))
        plain = next(layer for layer in model if isinstance(layer, flux.Dense))
        norms = [layer for layer in model if isinstance(layer, flux.WeightNorm)]
        assert norms[0] is norms[1] and norms[0].layer is plain


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU", "GRUv3"])
def test_a_recurrent_layer_takes_an_open_cell(kind):
    cell = getattr(flux, f"{kind}Cell")(None, 4)
    model = flux.autosize(flux.Chain(getattr(flux, kind)(cell), flux.Dense(None, 2)), (5, 6, 3))
    assert repr(model[0]) == repr(getattr(flux, kind)(3, 4)) and model[1].weight.shape == (4, 2)


def test_code_of_ones_own_may_use_a_layer_once_it_is_called():
    class Tied(flux.Layer):
        def __init__(self):
            self.encoder = flux.Dense(None, 3, bias=False)

        def __call__(self, x):
            return self.encoder(x) @ self.encoder.weight.T

    class Early(Tied):
        def __call__(self, x):
            return x @ self.encoder.weight

    assert flux.autosize(Tied(), (4, 5)).encoder.weight.shape == (5, 3)
    with pytest.raises(
        AttributeError, match=r"autosize: Dense\(None, 3, bias=False\) has no weight before it is called"
    ):
        flux.autosize(Early(), (4, 5))


@pytest.mark.parametrize("use", [
    flux.f16, flux.bf16, flux.f32, flux.f64, flux.state,
    lambda m: flux.loadmodel(m, flux.Chain(flux.Dense(2, 3), flux.Dense(3, 2))), lambda m: flux.save("x", m),
], ids=["f16", "bf16", "f32", "f64", "state", "loadmodel", "save"])  # fmt: skip
def test_an_open_layer_has_nothing_to_convert_load_or_save(use):
    model = flux.Chain(flux.Dense(2, 3), flux.Dense(None, 2))
    before = model[0].weight.numpy().copy()
    with pytest.raises(
        TypeError, match=r"Dense\(None, 2\).* open: flux.autosize\(model, shape\) fills it in"
    ):
        use(model)
    assert model[0].weight.dtype == flux.float32
    np.testing.assert_array_equal(model[0].weight.numpy(), before)


def test_a_pair_of_sizes_may_be_a_list():
    assert flux.autosize(flux.Bilinear([None, 7], 3), (4, 5), (4, 7)).weight.shape == (5, 7, 3)
