"""outputsize and summary: the shapes, sizes and costs of a model's layers."""

from dataclasses import dataclass

import numpy as np
import pytest

import oxiflux as flux
import zoo


def mlp():
    return flux.Chain(flux.Dense(64, 128, flux.relu), flux.Dense(128, 10), flux.softmax)


class Residual(flux.Layer):
    def __init__(self, size):
        self.inner = flux.Dense(size, size, flux.tanh)
        self.outer = flux.Dense(size, size)
        self.activation = flux.relu

    def __call__(self, x):
        return self.activation(self.outer(self.inner(x)) + x)


class Spy(flux.Layer):
    """Notes the shapes it is called with, and whether it was training."""

    def __init__(self):
        self.seen, self.active = [], True

    def __call__(self, x):
        self.seen.append((x.shape, self.active))
        return x


@dataclass
class Plain:
    first: object
    second: object

    def __call__(self, x):
        return self.second(self.first(x))


# outputsize


@pytest.mark.parametrize("batch", [0, 1, 7, 64])
def test_the_size_is_that_of_the_result(batch):
    assert flux.outputsize(mlp(), (batch, 64)) == (batch, 10)
    assert flux.outputsize(mlp(), (batch, 5, 64)) == (batch, 5, 10)


def test_a_batch_of_one_is_put_in_front():
    assert flux.outputsize(flux.Dense(10, 4), (10,), padbatch=True) == (1, 4)
    assert flux.outputsize(flux.Chain(flux.flatten, flux.Dense(12, 4)), (3, 4), padbatch=True) == (1, 4)


def test_an_input_without_a_batch():
    assert flux.outputsize(flux.Dense(10, 4), (10,)) == (4,)
    assert flux.outputsize(flux.relu, ()) == ()


def test_functions_lists_and_plain_objects_are_models_too():
    assert flux.outputsize(flux.relu, (3, 4)) == (3, 4)
    assert flux.outputsize([flux.Dense(10, 4), flux.Dense(4, 2)], (5, 10)) == (5, 2)
    assert flux.outputsize(Plain(flux.Dense(3, 4), lambda x: x[:, :2]), (5, 3)) == (5, 2)
    assert flux.outputsize(Residual(3), (5, 3)) == (5, 3)


def test_labels_are_tried_where_floats_are_refused():
    model = flux.Chain(flux.Embedding(100, 8), flux.flatten, flux.Dense(160, 2))
    assert flux.outputsize(model, (7, 20)) == (7, 2)


def test_several_inputs():
    par = flux.Parallel(lambda *ys: flux.concat(ys, axis=-1), flux.Dense(5, 9), flux.Dense(7, 11))
    assert flux.outputsize(par, (64, 5), (64, 7)) == (64, 20)
    chain = flux.Chain(par, flux.Dense(20, 13), flux.softmax)
    assert flux.outputsize(chain, (64, 5), (64, 7)) == (64, 13)
    assert flux.outputsize(chain, (5,), (7,), padbatch=True) == (1, 13)
    assert flux.outputsize(flux.Bilinear((5, 7), 3), (4, 5), (4, 7)) == (4, 3)


def test_several_results():
    fusion = flux.PairwiseFusion(flux.add, flux.Dense(1, 30), flux.Dense(30, 10))
    assert flux.outputsize(fusion, (6, 1), (6, 30)) == ((6, 30), (6, 10))


@pytest.mark.parametrize(
    ("f", "shape", "expected"),
    [
        (lambda x: x.reshape(-1, 3), (4, 5, 3), (20, 3)),
        (lambda x: x.reshape(x.shape[0], -1), (4, 5, 3), (4, 15)),
        (lambda x: x[:2], (4, 3), (2, 3)),
        (lambda x: x.sum(), (4, 3), ()),
        (lambda x: x.T, (4, 3), (3, 4)),
        (lambda x: x.max(axis=0), (4, 3), (3,)),
        (lambda x: (x, [x[0]]), (4, 3), ((4, 3), ((3,),))),
    ],
)
def test_what_a_users_function_does_to_the_batch_is_found_out(f, shape, expected):
    assert flux.outputsize(f, shape) == expected
    assert flux.outputsize(flux.Chain(flux.relu, f), shape) == expected


def test_functions_that_move_or_drop_the_batch():
    assert flux.outputsize(flux.Chain(flux.Dense(3, 2), flux.matrix_transpose), (4, 3)) == (2, 4)
    assert flux.outputsize(flux.Chain(flux.Dense(3, 2), flux.sum), (4, 3)) == ()
    assert flux.outputsize(flux.Chain(flux.Dense(3, 2), flux.max), (4, 3)) == ()


def test_a_model_of_this_packages_layers_is_not_computed():
    # The output alone would take 400 GB.
    assert flux.outputsize(flux.Dense(1, 100_000), (1_000_000, 1)) == (1_000_000, 100_000)


def test_the_model_is_left_as_it_was():
    model = flux.Chain(spy := Spy(), flux.Dense(3, 2))
    dense = model[1]
    assert flux.outputsize(model, (4, 3)) == (4, 2)
    assert model[0] is spy
    assert type(spy) is Spy
    assert model[1] is dense
    assert spy.active is True
    assert spy.seen == [((4, 3), False)]


def test_within_a_gradient_nothing_is_recorded():
    def loss(w):
        assert flux.outputsize(flux.Dense(3, 2), (4, 3)) == (4, 2)
        return (w * w).sum()

    assert flux.gradient(loss, flux.tensor([1.0]))[0].tolist() == [2.0]


def test_a_model_in_float64_is_run_in_float64():
    seen = []
    flux.outputsize(flux.Chain(flux.f64(flux.Dense(3, 2)), lambda x: seen.append(x.dtype) or x), (4, 3))
    assert seen == ["float64"]


def test_an_error_names_the_layer_and_the_shape_that_was_given():
    with pytest.raises(flux.ShapeError) as error:
        flux.outputsize(flux.Chain(flux.Dense(10, 4), flux.Dense(5, 2)), (64, 10))
    assert (
        str(error.value) == "Chain[1]: Dense(5 => 2): expected 5 features on the last axis, got shape (64, 4)"
    )


@pytest.mark.parametrize("shape", [(-1, 3), (2.0, 3), 3, None, ("a",), (None, 3)])
def test_what_is_no_shape_is_refused(shape):
    with pytest.raises(ValueError, match="outputsize: a shape is a tuple of non-negative integers"):
        flux.outputsize(flux.relu, shape)


def test_a_model_can_be_called_and_has_an_input():
    with pytest.raises(TypeError, match="needs the shape of an input"):
        flux.outputsize(flux.relu)
    with pytest.raises(TypeError, match="cannot be called"):
        flux.outputsize([flux.relu, 3], (2,))
    with pytest.raises(TypeError):
        flux.outputsize(3, (2,))


# summary


def rows(model, *shapes, **options):
    return [tuple(row) for row in flux.summary(model, *shapes, **options).rows]


def test_a_row_for_each_layer():
    assert rows(mlp(), (32, 64)) == [
        ("layers[0]", "Dense(64 => 128, relu)", (32, 128), 8320, 4 * (8320 + 32 * 128), 2 * 32 * 64 * 128),
        ("layers[1]", "Dense(128 => 10)", (32, 10), 1290, 4 * (1290 + 320), 2 * 32 * 128 * 10),
        ("layers[2]", "softmax", (32, 10), 0, 4 * 320, 0),
    ]


def test_totals():
    s = flux.summary(mlp(), (32, 64))
    assert s.total.parameters == 9610
    assert s.total.memory == sum(row.memory for row in s.rows)
    assert s.total.flops == 2 * 32 * (64 * 128 + 128 * 10)
    assert s.total.output == (32, 10)


def test_paths_of_nested_models_and_of_layers_of_ones_own():
    model = flux.Chain(enc=flux.SkipConnection(flux.Dense(3, 3), flux.add), dec=Residual(3))
    assert [(row.path, row.layer) for row in flux.summary(model, (2, 3)).rows] == [
        ("layers.enc.layers", "Dense(3 => 3)"),
        ("layers.enc.connection", "add"),
        ("layers.dec.inner", "Dense(3 => 3, tanh)"),
        ("layers.dec.outer", "Dense(3 => 3)"),
        ("layers.dec.activation", "relu"),
    ]


def test_a_layer_that_is_called_again_counts_its_parameters_once():
    shared = flux.Dense(3, 3)
    s = flux.summary(flux.Chain(shared, flux.relu, shared), (2, 3))
    assert [row.parameters for row in s.rows] == [12, 0, 0]
    assert [row.flops for row in s.rows] == [36, 0, 36]
    assert [row.path for row in s.rows] == ["layers[0]", "layers[1]", "layers[0]"]


def test_lookups_and_scales_count_what_they_multiply():
    s = flux.summary(flux.Chain(flux.Embedding(1000, 8), flux.Scale(5, 8), flux.Bilinear((8, 8), 2)), (3, 5))
    assert [row.flops for row in s.rows] == [0, 2 * 3 * 5 * 8, 2 * 3 * 5 * 8 * 8 * 2]
    assert [row.output for row in s.rows] == [(3, 5, 8), (3, 5, 8), (3, 5, 2)]


def test_a_single_layer_and_a_closure():
    assert rows(flux.Dense(3, 2), (3,), padbatch=True) == [("", "Dense(3 => 2)", (1, 2), 8, 40, 12)]
    inner = flux.Dense(3, 2)
    (row,) = flux.summary(lambda x: inner(x), (4, 3)).rows
    assert (row.layer, row.parameters, row.flops) == ("<lambda>", 8, 48)


def test_the_table_lines_up():
    lines = repr(flux.summary(mlp(), (32, 64))).splitlines()
    assert lines == [
        "path       layer                   output     parameters    memory    flops",
        "layers[0]  Dense(64 => 128, relu)  (32, 128)       8_320  48.5 KiB  524_288",
        "layers[1]  Dense(128 => 10)        (32, 10)        1_290   6.3 KiB   81_920",
        "layers[2]  softmax                 (32, 10)                1.2 KiB",
        "total                              (32, 10)        9_610  56.0 KiB  606_208",
    ]


def test_notebooks_get_a_table_without_markup_of_the_model():
    html = flux.summary(flux.Chain(flux.Dense(2, 2, lambda x: x)), (1, 2))._repr_html_()
    assert html.startswith("<table>")
    assert html.count("<tr>") == 3
    assert "Dense(2 =&gt; 2, &lt;lambda&gt;)" in html


def test_a_model_that_calls_nothing():
    s = flux.summary(flux.Chain(), (2, 3))
    assert s.rows == []
    assert s.total.parameters == 0
    assert "total" in repr(s)


def test_summaries_do_not_touch_the_model():
    model = mlp()
    layers = list(model)
    flux.summary(model, (2, 64))
    assert all(a is b for a, b in zip(model, layers, strict=True))
    assert [type(layer) for layer in layers[:2]] == [flux.Dense] * 2
    assert model(np.ones((2, 64))).shape == (2, 10)


def test_convolutions_and_attention_count_their_products():
    model = flux.Chain(
        flux.Conv((3, 3), 4, 8, pad=1, groups=2),
        flux.MaxPool((2, 2)),
        flux.ConvTranspose((2, 2), 8, 3, stride=2),
    )
    s = flux.summary(model, (5, 6, 6, 4))
    assert [row.output for row in s.rows] == [(5, 6, 6, 8), (5, 3, 3, 8), (5, 6, 6, 3)]
    assert [row.flops // 2 for row in s.rows] == [5 * 36 * 9 * 2 * 8, 0, 5 * 9 * 4 * 8 * 3]
    (row,) = flux.summary(flux.MultiHeadAttention(8, nheads=2), (5, 7, 8)).rows
    assert row.flops // 2 == 4 * 5 * 7 * 8 * 8 + 2 * 5 * 7 * 7 * 8


@pytest.mark.parametrize(
    ("layer", "shape", "products"),
    [
        # Batch, time, gates, hidden, and what each gate reads: the input and the state.
        (lambda: flux.RNN(3, 4), (2, 7, 3), 2 * 7 * 1 * 4 * (3 + 4)),
        (lambda: flux.LSTM(3, 4), (2, 7, 3), 2 * 7 * 4 * 4 * (3 + 4)),
        (lambda: flux.LSTM(3, 4, return_state=True), (2, 7, 3), 2 * 7 * 4 * 4 * (3 + 4)),
        (lambda: flux.GRU(3, 4), (2, 7, 3), 2 * 7 * 3 * 4 * (3 + 4)),
        (lambda: flux.Recurrence(flux.GRUCell(3, 4)), (2, 7, 3), 2 * 7 * 3 * 4 * (3 + 4)),
        (lambda: flux.LSTMCell(3, 4), (2, 3), 2 * 4 * 4 * (3 + 4)),
        (lambda: flux.LayerNorm(4, 3), (5, 4, 3), 5 * 4 * 3),
        (lambda: flux.LayerNorm(3, affine=False), (5, 4, 3), 0),
        (lambda: flux.BatchNorm(3), (5, 4, 4, 3), 5 * 4 * 4 * 3),
        (lambda: flux.InstanceNorm(3), (5, 4, 4, 3), 0),
        (lambda: flux.GroupNorm(4, 2), (5, 6, 4), 5 * 6 * 4),
        (lambda: flux.Conv((3,), 2, 5, stride=2), (3, 9, 2), 3 * 4 * (3 * 2) * 5),
        (lambda: flux.DepthwiseConv((2, 2), 5, 10), (3, 4, 4, 5), 3 * 3 * 3 * (2 * 2) * 10),
    ],
)
def test_sequences_norms_and_convolutions_count_their_products(layer, shape, products):
    (row,) = flux.summary(layer(), shape).rows
    assert row.flops == 2 * products


@pytest.mark.parametrize("name", zoo.ROWS)
def test_no_parameter_of_any_layer_is_left_out_or_counted_twice(name):
    layer, inputs = zoo.ROWS[name].layer(), zoo.ROWS[name].inputs(2)
    total = flux.summary(layer, *(x.shape for x in inputs)).total
    assert total.parameters == sum(t.size for t in flux.trainables(layer))
    assert total.output == flux.outputsize(layer, *(x.shape for x in inputs))


def test_what_is_held_beside_the_layers_follows_them():
    class Shifted(flux.Layer):
        def __init__(self):
            self.shift, self.inner = flux.zeros(3), flux.Dense(2, 3)

        def __call__(self, x):
            return self.inner(x) + self.shift

    s = flux.summary(flux.Chain(Shifted(), flux.relu), (5, 2))
    assert [(row.path, row.output, row.parameters) for row in s.rows] == [
        ("layers[0].inner", (5, 3), 9),
        ("layers[1]", (5, 3), 0),
        ("layers[0].shift", None, 3),
    ]
    assert (s.total.parameters, s.total.output) == (12, (5, 3))


def test_a_layer_of_ones_own_may_count_its_products():
    class Square(flux.Layer):
        def __call__(self, x):
            return x * x

        def products(self, inputs, output):
            assert inputs == [output]
            return output[0] * output[1]

    assert flux.summary(Square(), (3, 4)).total.flops == 24


def test_layers_in_training_mode_keep_their_statistics():
    model = flux.trainmode(
        flux.Chain(flux.Conv((3, 3), 1, 4), flux.BatchNorm(4), flux.Dropout(0.5), flux.flatten)
    )
    before = flux.state(model[1])
    flux.seed(0)
    drawn = flux.rand(3).tolist()
    flux.seed(0)
    for batch in (5, 0):
        assert flux.outputsize(model, (batch, 8, 8, 1)) == (batch, 144)
        assert flux.outputsize(flux.Chain(model, lambda x: x), (batch, 8, 8, 1)) == (batch, 144)
    assert flux.rand(3).tolist() == drawn
    assert model[1].active is True
    after = flux.state(model[1])
    for name, value in before.items():
        if isinstance(value, flux.Tensor):
            np.testing.assert_array_equal(after[name].numpy(), value.numpy())
