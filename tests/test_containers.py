"""Parallel, PairwiseFusion, SkipConnection, Maxout, activations, and what all containers share."""

import copy
import pickle

import numpy as np
import pytest

import oxiflux as flux


def x_of(*shape, dtype=np.float32):
    return np.random.default_rng(0).normal(size=shape).astype(dtype)


def side_by_side(*parts):
    return flux.concat(parts, axis=-1)


def close(got, expected):
    np.testing.assert_allclose(got.numpy(), expected, rtol=2e-6, atol=1e-6)


# Parallel


def test_parallel_gives_one_input_to_all():
    f, g = flux.Dense(3, 4, flux.tanh), flux.Dense(3, 2)
    x = x_of(5, 3)
    close(flux.Parallel(side_by_side, f, g)(x), np.hstack([f(x).numpy(), g(x).numpy()]))


@pytest.mark.parametrize("as_tuple", [False, True])
def test_parallel_gives_several_inputs_one_each(as_tuple):
    f, g = flux.Dense(3, 4), flux.Dense(2, 4)
    x, y = x_of(5, 3), x_of(5, 2)
    model = flux.Parallel(flux.add, f, g)
    close(model((x, y)) if as_tuple else model(x, y), f(x).numpy() + g(y).numpy())


def test_a_single_layer_of_parallel_takes_every_input():
    f = flux.Dense(3, 2)
    xs = [x_of(n, 3) for n in (1, 2, 4)]
    model = flux.Parallel(lambda *ys: flux.concat(ys), f)
    close(model(*xs), np.concatenate([f(x).numpy() for x in xs]))
    close(model(xs[1]), f(xs[1]).numpy())


def test_parallel_in_a_chain_takes_the_tuple_of_the_layer_before():
    model = flux.Chain(lambda x: (x, x * 2), flux.Parallel(flux.subtract, lambda x: x, lambda x: x))
    assert model(flux.tensor([1.0, 2.0])).tolist() == [-1.0, -2.0]


@pytest.mark.parametrize("count", [0, 1, 3, 4])
def test_parallel_refuses_another_number_of_inputs(count):
    model = flux.Parallel(flux.add, flux.relu, flux.tanh)
    message = rf"Parallel: 2 layers take one input or 2, got {count} inputs"
    if count != 1:
        with pytest.raises(ValueError, match=message):
            model(*[np.ones(2)] * count)
    with pytest.raises(ValueError, match=rf"got {count + 2 * (count == 1)} inputs"):
        model(tuple([np.ones(2)] * (count if count != 1 else 3)))


def test_parallel_by_name():
    model = flux.Parallel(flux.add, left=flux.Dense(3, 2), right=flux.Dense(3, 2))
    assert model["left"] is model[0]
    assert model["right"] is model[-1]
    assert [type(layer) for layer in model] == [flux.Dense] * 2
    part = model[1:]
    assert type(part) is flux.Parallel
    assert part.connection is flux.add
    assert part["right"] is model["right"]


# PairwiseFusion


def test_fusion_of_one_input_each():
    f, g, h = flux.Dense(2, 3), flux.Dense(3, 4), flux.Dense(4, 1)
    x, y, z = x_of(5, 2), x_of(5, 3), x_of(5, 4)
    model = flux.PairwiseFusion(flux.add, f, g, h)
    first = f(x)
    second = g(first + y)
    for results in (model(x, y, z), model((x, y, z))):
        assert len(results) == 3
        for got, expected in zip(results, (first, second, h(second + z)), strict=True):
            close(got, expected.numpy())


def test_fusion_of_one_input_for_all():
    # Flux's own test: joined with the input again before each further layer.
    x = x_of(1, 10)
    model = flux.PairwiseFusion(side_by_side, lambda x: x + 1, lambda x: x + 2, lambda x: x**3)
    y = model(flux.tensor(x))
    close(y[0], x + 1)
    close(y[1], np.hstack([x + 1, x]) + 2)
    close(y[2], np.hstack([np.hstack([x + 1, x]) + 2, x]) ** 3)


def test_fusion_of_a_single_layer_is_a_tuple_of_one():
    (y,) = flux.PairwiseFusion(flux.add, flux.relu)(flux.tensor([-1.0, 1.0]))
    assert y.tolist() == [0.0, 1.0]


@pytest.mark.parametrize("count", [0, 2, 4])
def test_fusion_refuses_another_number_of_inputs(count):
    model = flux.PairwiseFusion(flux.add, flux.relu, flux.relu, flux.relu)
    with pytest.raises(ValueError, match=f"3 layers take one input or 3, got {count} inputs"):
        model(*[np.ones(2)] * count)


# SkipConnection


def test_a_skip_connection_joins_the_result_and_the_input_in_this_order():
    f = flux.Dense(3, 3, flux.tanh)
    x = x_of(4, 3)
    model = flux.SkipConnection(f, flux.subtract)
    close(model(x), f(x).numpy() - x)


def test_a_skip_connection_may_widen():
    model = flux.SkipConnection(flux.Dense(4, 7), side_by_side)
    x = x_of(10, 4)
    close(model(x), np.concatenate([x @ model.layers.weight.numpy(), x], axis=-1))


# Maxout


def test_maxout_is_the_largest():
    model = flux.Maxout(*(flux.Dense(3, 5) for _ in range(4)))
    x = x_of(6, 3)
    close(model(x), np.max([layer(x).numpy() for layer in model], axis=0))


def test_maxout_makes_its_layers():
    made = []

    def make():
        made.append(flux.Dense(2, 3))
        return made[-1]

    model = flux.Maxout(make, 3)
    assert list(model) == made
    assert len(model) == 3


def test_maxout_of_one_layer_is_that_layer():
    layer = flux.Dense(2, 3)
    x = x_of(4, 2)
    close(flux.Maxout(layer)(x), layer(x).numpy())


# What they share

MODELS = {
    "parallel": lambda: flux.Parallel(flux.multiply, flux.Dense(3, 3, flux.tanh), flux.Dense(3, 3)),
    "named": lambda: flux.Parallel(flux.add, a=flux.Dense(3, 3), b=flux.Chain(flux.Dense(3, 3, flux.tanh))),
    "fusion": lambda: flux.Chain(
        flux.PairwiseFusion(flux.multiply, flux.Dense(3, 3), flux.Dense(3, 3)), lambda ys: ys[0] + ys[1]
    ),
    "skip": lambda: flux.SkipConnection(flux.Chain(flux.Dense(3, 3, flux.tanh)), flux.multiply),
    "bilinear": lambda: flux.SkipConnection(flux.Dense(3, 4), flux.Bilinear((4, 3), 2)),
    "maxout": lambda: flux.Maxout(flux.Dense(3, 2), flux.Dense(3, 2)),
}
every_model = pytest.mark.parametrize("name", MODELS)


@every_model
def test_the_paths_of_parameters_lead_to_them(name):
    model = MODELS[name]()
    for path, tensor in flux.trainables(model, path=True):
        node = model
        for key in path:
            node = getattr(node, key) if hasattr(node, str(key)) else node[key]
        assert node is tensor


def test_tied_layers_train_as_one():
    shared = flux.Dense(3, 3)
    model = flux.Parallel(flux.add, shared, flux.Chain(shared))
    assert len(flux.trainables(model)) == 2
    x = x_of(4, 3)
    (grads,) = flux.gradient(lambda m: m(x).sum(), model)
    close(grads.layers[0].bias, np.full(3, 8.0))
    state = flux.setup(flux.Descent(1.0), model)
    flux.update(state, model, grads)
    assert shared.bias.tolist() == [-8.0] * 3


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: flux.Parallel(3, flux.relu),
            TypeError,
            "Parallel: the connection must be a function, got 3",
        ),
        (lambda: flux.Parallel(flux.add), ValueError, "Parallel: needs at least one layer"),
        (lambda: flux.Parallel(flux.add, flux.relu, 3), TypeError, "Parallel: layer 1 is a int"),
        (
            lambda: flux.Parallel(flux.add, flux.relu, a=flux.relu),
            TypeError,
            "all layers by position or all by name",
        ),
        (lambda: flux.PairwiseFusion(flux.add), ValueError, "PairwiseFusion: needs at least one"),
        (lambda: flux.PairwiseFusion(None, flux.relu), TypeError, "PairwiseFusion: the connection"),
        (lambda: flux.SkipConnection(3, flux.add), TypeError, "SkipConnection: layers is a int"),
        (lambda: flux.SkipConnection(flux.relu, "+"), TypeError, "SkipConnection: connection is a str"),
        (lambda: flux.Maxout(), ValueError, "Maxout: needs at least one layer"),
        (lambda: flux.Maxout(lambda: flux.relu, 0), ValueError, "Maxout: needs at least one layer"),
        (lambda: flux.Maxout(lambda: flux.relu, -1), ValueError, "Maxout: needs at least one layer"),
        (lambda: flux.Maxout(3, 2), TypeError, "Maxout: 3 cannot be called to make layers"),
        (lambda: flux.Maxout(lambda: 3, 2), TypeError, "Maxout: layer 0 is a int"),
        (lambda: flux.activations(flux.relu, np.ones(2)), TypeError, "activations: expected a Chain"),
    ],
)
def test_what_makes_no_container_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_an_unknown_layer_names_those_there_are():
    model = flux.Parallel(flux.add, left=flux.relu, right=flux.tanh)
    with pytest.raises(KeyError, match="there is no layer 'up'; its layers are left, right"):
        model["up"]
    with pytest.raises(IndexError, match="Parallel: layer 2 of 2"):
        model[2]


# Errors say where they come from


@pytest.mark.parametrize(
    ("model", "place"),
    [
        (flux.Parallel(flux.add, flux.relu, flux.Dense(2, 3)), "Parallel[1]"),
        (flux.Parallel(flux.add, a=flux.relu, b=flux.Chain(flux.Dense(2, 3))), "Parallel['b'][0]"),
        (flux.PairwiseFusion(flux.add, flux.relu, flux.Dense(2, 3)), "PairwiseFusion[1]"),
        (flux.SkipConnection(flux.Chain(flux.relu, flux.Dense(2, 3)), flux.add), "SkipConnection.layers[1]"),
        (flux.SkipConnection(flux.relu, lambda y, x: flux.Dense(2, 3)(x)), "SkipConnection.connection"),
        (flux.Chain(flux.relu, flux.Maxout(flux.relu, flux.Dense(2, 3))), "Chain[1][1]"),
    ],
)  # fmt: skip
def test_an_error_of_shapes_says_where(model, place):
    with pytest.raises(flux.ShapeError) as error:
        model(flux.ones((5, 4)))
    text = f"{place}: Dense(2 => 3): expected 2 features on the last axis, got shape (5, 4)"
    assert str(error.value) == text


def test_an_error_of_the_connection_says_so():
    model = flux.Chain(flux.Parallel(flux.add, flux.Dense(2, 3), flux.Dense(2, 4)))
    with pytest.raises(flux.ShapeError, match=r"^Chain\[0\]\.connection: add: "):
        model(np.ones((5, 2)))


def test_other_errors_get_a_note():
    def broken(x):
        raise KeyError("mine")

    with pytest.raises(KeyError) as error:
        flux.SkipConnection(flux.Parallel(flux.add, flux.relu, broken), flux.add)(flux.ones(2))
    assert error.value.__notes__ == ["in SkipConnection.layers[1]"]


def test_activations_say_where_too():
    with pytest.raises(flux.ShapeError, match=r"^Chain\[1\]: Dense"):
        flux.activations(flux.Chain(flux.Dense(2, 3), flux.Dense(2, 3)), np.ones((1, 2)))


def test_activations_of_a_named_chain_are_a_tuple_and_end_with_its_result():
    chain = flux.Chain(a=flux.Dense(2, 3, flux.relu), b=flux.Dense(3, 1))
    x = x_of(4, 2)
    y, z = flux.activations(chain, x)
    close(y, chain["a"](x).numpy())
    close(z, chain(x).numpy())
    assert flux.activations(flux.Chain(), x) == ()


# Printing


def test_nested_containers_print_as_tables():
    model = flux.Chain(
        flux.SkipConnection(flux.Chain(flux.Dense(4, 4, flux.relu), flux.Dense(4, 4)), flux.add),
        flux.Parallel(side_by_side, flux.Dense(4, 2), flux.Maxout(lambda: flux.Dense(4, 1, bias=False), 2)),
        flux.PairwiseFusion(flux.add, first=flux.Dense(3, 3), second=flux.Scale(3)),
    )
    assert repr(model).splitlines() == [
        "Chain(",
        "  SkipConnection(",
        "    Chain(",
        "      Dense(4 => 4, relu),              # 20 parameters",
        "      Dense(4 => 4),                    # 20 parameters",
        "    ),",
        "    add,",
        "  ),",
        "  Parallel(",
        "    side_by_side,",
        "    Dense(4 => 2),                      # 10 parameters",
        "    Maxout(",
        "      Dense(4 => 1; bias=False),        # 4 parameters",
        "      Dense(4 => 1; bias=False),        # 4 parameters",
        "    ),",
        "  ),",
        "  PairwiseFusion(",
        "    add,",
        "    first = Dense(3 => 3),              # 12 parameters",
        "    second = Scale(3),                  # 6 parameters",
        "  ),",
        ")                   # Total: 12 arrays, 76 parameters, 304 bytes.",
    ]


def test_containers_of_functions_are_one_line():
    assert repr(flux.Parallel(flux.add, flux.relu, flux.tanh)) == "Parallel(add, relu, tanh)"
    assert repr(flux.Parallel(flux.add, a=flux.relu)) == "Parallel(add, a = relu)"
    assert repr(flux.SkipConnection(flux.relu, flux.add)) == "SkipConnection(relu, add)"
    assert repr(flux.Maxout(flux.relu, flux.tanh)) == "Maxout(relu, tanh)"


def test_notebooks_get_tables_of_all_containers():
    html = flux.SkipConnection(
        flux.Dense(2, 2, lambda x: x), flux.Parallel(flux.add, flux.relu)
    )._repr_html_()
    assert "&lt;lambda&gt;" in html
    assert "SkipConnection(" in html
    assert "6 parameters" in html


# Lists of layers, lists of places and names, and names as attributes


def enc_dec():
    return flux.Chain(enc=flux.Dense(2, 3, flux.tanh), act=flux.relu, dec=flux.Dense(3, 1))


@pytest.mark.parametrize("many", [list, tuple])
def test_a_list_of_layers_is_taken_as_they_are(many):
    layers = [flux.Dense(2, 3), flux.relu]
    assert flux.Chain(many(layers)).layers == flux.Chain(*layers).layers == tuple(layers)
    assert flux.Parallel(flux.add, many(layers)).layers == tuple(layers)
    assert flux.Maxout(many(layers)).layers == tuple(layers)
    assert flux.Chain(many([])).layers == ()
    assert flux.Chain([flux.Chain([flux.tanh])])[0][0] is flux.tanh
    with pytest.raises(TypeError, match="layer 1 is a int"):
        flux.Chain(many([flux.relu, 3]))
    with pytest.raises(ValueError, match="needs at least one layer"):
        flux.Maxout(many([]))


def test_several_inputs_of_a_chain_are_a_tuple():
    model = flux.Chain(flux.Parallel(flux.add, flux.square, flux.negative), flux.negative)
    x, y = flux.tensor([2.0]), flux.tensor([3.0])
    assert model(x, y).tolist() == model((x, y)).tolist() == [-1.0]


def test_a_list_picks_layers_by_place():
    layers = [flux.relu, flux.tanh, flux.Dense(2, 2)]
    model = flux.Chain(layers)
    assert model[[2, 0]].layers == (layers[2], layers[0])
    assert model[[-1, -1]].layers == (layers[2], layers[2])
    assert model[np.array([1])].layers == (flux.tanh,) and model[[]].layers == ()
    assert flux.Parallel(flux.add, layers)[[0]].connection is flux.add
    with pytest.raises(IndexError, match="Chain: layer 3 of 3"):
        model[[0, 3]]
    with pytest.raises(KeyError, match="there is no layer 'a'"):
        model[["a"]]
    for bad in (1.0, None, True, [1.5], (0, 1)):
        with pytest.raises(TypeError, match="layers are found by places, names, slices and lists of them"):
            model[bad]


def test_a_list_picks_layers_by_name():
    model = enc_dec()
    for picked in (model[["dec", "enc"]], model[[2, 0]], model[[-1, "enc"]]):
        assert list(picked.layers) == ["dec", "enc"] and picked.dec is model.dec
    with pytest.raises(KeyError, match="there is no layer 'c'"):
        model[["enc", "c"]]
    with pytest.raises(KeyError, match="a layer has its name once"):
        model[["enc", 0]]


def test_a_name_is_an_attribute():
    model = enc_dec()
    assert model.enc is model["enc"] is model.layers.enc and model.dec is model[2]
    assert {"enc", "act", "dec", "layers"} <= set(dir(model))
    with pytest.raises(AttributeError, match="no attribute 'other'"):
        model.other  # noqa: B018
    with pytest.raises(AttributeError, match="Chain has no eval: flux.testmode"):
        model.eval  # noqa: B018
    side = flux.Parallel(flux.add, left=flux.relu, right=flux.tanh)
    assert side.left is flux.relu and side.connection is flux.add
    assert flux.Chain(add=flux.relu).add is flux.relu, "a name that is a slip elsewhere"
    assert callable(flux.Chain(describe=flux.relu).describe)
    assert flux.Chain(describe=flux.relu)["describe"] is flux.relu


def test_assigning_to_a_name_replaces_the_layer():
    model = enc_dec()
    new = flux.Dense(3, 5)
    model.dec = new
    assert model["dec"] is new and "dec" not in vars(model) and model(np.ones((4, 2))).shape == (4, 5)
    for bad, what in [(3, "a int"), (flux.Dense, "the class Dense")]:
        with pytest.raises(TypeError, match=f"Chain: layer 'dec' is {what}"):
            model.dec = bad
    model.note = "free"
    assert model.note == "free" and len(model) == 3
    assert len(flux.trainables(model)) == 4


def test_assigning_to_a_place_or_a_name_replaces_the_layer():
    model, new = enc_dec(), flux.Dense(3, 5)
    model["dec"] = new
    assert model.dec is new and model(np.ones((4, 2))).shape == (4, 5)
    model[0] = flux.Dense(2, 3)
    assert next(iter(model.layers)) == "enc" and model.enc is model[0]
    chain = flux.Chain(flux.Dense(2, 3), flux.relu)
    alike = flux.Chain(*chain)
    chain[-1] = flux.tanh
    assert chain.layers == (alike[0], flux.tanh) and alike[1] is flux.relu
    for key, bad, error, message in [
        ("up", flux.relu, KeyError, "Chain: there is no layer 'up'; its layers are 0, 1"),
        (2, flux.relu, IndexError, "Chain: layer 2 of 2"),
        (
            slice(1),
            flux.relu,
            TypeError,
            "Chain: one layer is replaced at a time, by its place or name, got slice",
        ),
        (0, flux.Dense, TypeError, "Chain: layer 0 is the class Dense"),
        (0, 3, TypeError, "Chain: layer 0 is a int"),
    ]:
        with pytest.raises(error, match=message):
            chain[key] = bad
    with pytest.raises(TypeError, match="Chain: a layer cannot be deleted"):
        del chain[0]
    assert len(chain) == 2


def test_no_layer_can_be_called_layers():
    with pytest.raises(TypeError, match="Chain: no layer can have the name 'layers'"):
        flux.Chain(layers=flux.relu)


def test_the_state_of_an_optimiser_has_the_names_as_attributes():
    model = enc_dec()
    state = flux.setup(flux.Adam(), model)
    assert state.layers.enc is state.layers["enc"] and type(state.layers.dec.weight) is flux.Leaf
    flux.freeze(state.layers.enc)
    before = model.enc.weight.numpy().copy(), model.dec.bias.numpy().copy()
    grads = flux.gradient(lambda m: m(np.ones((4, 2))).sum(), model)[0]
    flux.update(state, model, grads)
    np.testing.assert_array_equal(model.enc.weight.numpy(), before[0])
    assert (model.dec.bias.numpy() != before[1]).any()
    flux.adjust(state.layers.dec, 0.5)
    assert state.layers.dec.bias.rule.eta == 0.5 and state.layers.enc.bias.rule.eta == 0.001
    with pytest.raises(AttributeError, match="there is no 'decoder'; there are enc, act, dec"):
        state.layers.decoder  # noqa: B018


def test_a_gradient_has_the_names_as_attributes():
    model = flux.Chain(flux.Chain(enc=flux.Dense(2, 3), act=flux.relu), flux.Dense(3, 1))
    grads = flux.gradient(lambda m: m(np.ones((4, 2))).sum(), model)[0]
    assert grads.layers[0].layers.enc is grads.layers[0].layers["enc"]
    assert grads.layers[0].layers.enc.weight.shape == (2, 3) and grads.layers[0].layers.act is None
    layers = enc_dec().layers
    (g,) = flux.gradient(lambda layers: layers.enc.weight.sum(), layers)
    assert g.enc.weight.shape == (2, 3)
    assert g.dec.weight is None


def test_names_outlive_copies_files_and_pickles(tmp_path):
    model = enc_dec()
    state = flux.setup(flux.Momentum(), model)
    flux.save(tmp_path / "model", model)
    for twin in (
        copy.deepcopy(model),
        copy.copy(model),
        pickle.loads(pickle.dumps(model)),
        flux.load(tmp_path / "model"),
    ):
        assert repr(twin) == repr(model) and type(twin.layers) is type(model.layers)
        assert flux.setup(flux.Adam(), twin).layers.enc.weight.frozen is False
    flux.save(tmp_path / "state", state)
    assert type(flux.load(tmp_path / "state").layers.enc.bias) is flux.Leaf
    assert flux.fmap(lambda x: x * 2, model).enc.weight.shape == (2, 3)
    assert flux.fmapstructure(lambda x: x.size, model).layers.enc.weight == 6
    assert flux.f64(copy.deepcopy(model)).dec.weight.dtype == "float64"


def test_a_chain_with_names_trains_and_goes_on_from_a_checkpoint(tmp_path):
    x, y = np.ones((8, 2)), np.zeros((8, 1))
    loss = lambda m, x, y: flux.mse(m(x), y)
    ends = []
    for resumed in (False, True):
        flux.seed(0)
        model = enc_dec()
        state = flux.setup(flux.Adam(0.05), model)
        flux.train(loss, model, [(x, y)] * 3, state)
        if resumed:
            flux.save_checkpoint(tmp_path / "run", model=model, state=state)
            run = flux.load_checkpoint(tmp_path / "run")
            model, state = run["model"], run["state"]
            assert state.layers.enc.weight.rule.eta == 0.05
        flux.train(loss, model, [(x, y)] * 3, state)
        flux.fit(loss, model, [(x, y)], state, epochs=2, progress=False)
        ends.append(flux.destructure(model)[0].numpy())
    np.testing.assert_array_equal(*ends)


def test_a_layer_may_have_any_name_but_layers():
    chain = flux.Chain(self=flux.relu, cls=flux.tanh)
    assert chain["self"] is flux.relu and list(chain[1:].layers) == ["cls"]
    assert list(flux.Parallel(flux.add, self=flux.relu, cls=flux.tanh)[["self"]].layers) == ["self"]


def test_a_layer_of_a_copy_is_replaced_in_the_copy_alone():
    model = enc_dec()
    before, twin = model.enc, copy.copy(model)
    twin.enc = flux.Dense(5, 3)
    assert model.enc is before and twin.enc is not before and twin.dec is model.dec


def test_the_layers_may_be_replaced_all_at_once():
    model = enc_dec()
    model.layers = {"first": flux.relu}
    assert model.first is flux.relu and model.layers.first is flux.relu
    model.layers = [flux.relu, flux.tanh]
    assert model.layers == (flux.relu, flux.tanh) and model(flux.zeros(2)).tolist() == [0.0, 0.0]
    for bad, message in [
        (3, "layers are a tuple or a dict of layers, got 3"),
        ([flux.relu, 3], "layer 1 is a int"),
    ]:
        with pytest.raises(TypeError, match=f"Chain: {message}"):
            model.layers = bad
    assert model.layers == (flux.relu, flux.tanh)


def test_a_layer_cannot_be_deleted_and_its_name_says_so():
    model = flux.Chain(enc=flux.relu, dec=flux.tanh)
    with pytest.raises(
        AttributeError, match=r"Chain: a layer cannot be deleted; model\[\['dec'\]\] is one of the"
    ):
        del model.enc
    model.note = 1
    del model.note
    assert list(model.layers) == ["enc", "dec"] and not hasattr(model, "note")


def test_arrays_and_tensors_of_places_pick_layers():
    chain = flux.Chain(flux.relu, flux.tanh, flux.elu)
    for places in (np.array([2, 0]), flux.tensor([2, 0])):
        assert chain[places].layers == (flux.elu, flux.relu)
    assert chain[flux.tensor(1)] is flux.tanh
    with pytest.raises(TypeError, match=r"places, names, slices and lists of them, got \[0, 1\]"):
        chain[np.array([[0, 1]])]


@pytest.mark.parametrize(("given", "advice"), [
    ({"a": flux.relu}, r"a dict, .*Chain\(\*\*layers\)"),
    ((f for f in [flux.relu]), r"a generator, .*Chain\(\[\*layers\]\)"),
], ids=["dict", "generator"])  # fmt: skip
def test_layers_in_something_else_than_a_list_say_what_to_write(given, advice):
    with pytest.raises(TypeError, match=f"Chain: layer 0 is {advice}"):
        flux.Chain(given)
