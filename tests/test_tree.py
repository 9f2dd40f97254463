"""Walking, mapping, saving and loading models."""

import copy
import functools
from collections import namedtuple
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

import oxiflux as flux


@dataclass
class Pair:
    left: flux.Tensor
    right: object


class Frozen(flux.Layer):
    """Trains its weight and not its mean."""

    def __init__(self):
        self.weight = flux.ones(3)
        self.mean = flux.zeros(3)

    def trainable(self):
        return ("weight",)


def model():
    return flux.Chain(flux.Dense(3, 5, flux.relu), flux.Chain(flux.Dense(5, 1, bias=False)), lambda x: x * 2)


# params and trainables


def test_trainables_come_depth_first_and_in_order():
    m = model()
    assert [id(t) for t in flux.trainables(m)] == [id(t) for t in (m[0].weight, m[0].bias, m[1][0].weight)]


def test_trainables_say_their_paths():
    paths = [path for path, _ in flux.trainables(model(), path=True)]
    assert paths == [
        ("layers", 0, "weight"),
        ("layers", 0, "bias"),
        ("layers", 1, "layers", 0, "weight"),
    ]


def test_trainables_are_found_in_every_kind_of_container():
    w = [flux.ones(n) for n in range(1, 8)]
    Point = namedtuple("Point", "x y")
    tree = {
        "a": [w[0], (w[1],)],
        "b": Pair(w[2], Point(w[3], w[4])),
        "c": SimpleNamespace(inner=w[5]),
        "d": 3.0,
    }
    captured = w[6]
    found = flux.trainables([tree, lambda x: x + captured])
    assert [t.shape[0] for t in found] == [1, 2, 3, 4, 5, 6, 7]


def test_trainables_skip_integers_and_what_a_layer_withholds():
    frozen = Frozen()
    assert [t is frozen.weight for t in flux.trainables(frozen)] == [True]
    assert flux.trainables([flux.tensor([1, 2]), "text", None]) == []


def test_tied_tensors_are_trained_once():
    a, b = flux.Dense(3, 3), flux.Dense(3, 3)
    b.weight = a.weight
    assert len(flux.trainables(flux.Chain(a, b))) == 3


def test_params_of_several_models_are_in_order_and_each_once():
    a, b = flux.Dense(2, 3), flux.Dense(3, 1)
    ps = flux.params(a, b, a)
    assert len(ps) == 4
    assert ps[0] is a.weight
    assert ps[3] is b.bias
    assert [ps.index(p) for p in ps] == [0, 1, 2, 3]


def test_params_compare_by_identity():
    a = flux.Dense(2, 2)
    ps = flux.params(a)
    assert a.weight in ps
    assert a.weight.copy() not in ps
    assert ps.count(a.weight.copy()) == 0
    with pytest.raises(ValueError, match="not among"):
        ps.index(a.weight.copy())


def test_params_of_nothing_are_empty():
    assert len(flux.params()) == 0
    assert len(flux.params(flux.relu, 3, "x")) == 0


# fmap


def test_fmap_replaces_every_tensor_and_leaves_the_original():
    m = model()
    before = m[0].weight.numpy().copy()
    doubled = flux.fmap(lambda x: x * 2, m)
    assert type(doubled) is flux.Chain
    np.testing.assert_array_equal(doubled[0].weight.numpy(), 2 * before)
    np.testing.assert_array_equal(m[0].weight.numpy(), before)
    assert doubled[0].activation is flux.relu


def test_fmap_keeps_the_types_of_containers():
    Point = namedtuple("Point", "x y")
    tree = {
        "p": Point(flux.ones(2), 1),
        "l": [flux.ones(2)],
        "t": (flux.ones(2), "s"),
        "d": Pair(flux.ones(2), None),
    }
    new = flux.fmap(lambda x: x + 1, tree)
    assert type(new["p"]) is Point
    assert type(new["l"]) is list
    assert type(new["t"]) is tuple
    assert type(new["d"]) is Pair
    assert (
        new["p"].x.tolist()
        == new["l"][0].tolist()
        == new["t"][0].tolist()
        == new["d"].left.tolist()
        == [2, 2]
    )
    assert new["p"].y == 1
    assert new["t"][1] == "s"
    assert new["d"].right is None


def test_fmap_keeps_tied_tensors_tied():
    a, b = flux.Dense(3, 3), flux.Dense(3, 3)
    b.weight = a.weight
    calls = []
    new = flux.fmap(lambda x: calls.append(x) or x * 1, flux.Chain(a, b))
    assert len(calls) == 3
    assert new[0].weight is new[1].weight


def test_fmap_may_change_dtype_and_shape():
    old = flux.Dense(2, 3)
    new = flux.fmap(lambda x: x.astype(flux.float64).reshape(-1), old)
    assert new.weight.dtype == "float64"
    assert new.weight.tolist() == old.weight.astype("float64").flatten().tolist()


def test_fmap_stops_where_exclude_says():
    m = model()
    names = []
    flux.fmap(lambda x: names.append(type(x).__name__) or x, m, exclude=lambda x: isinstance(x, flux.Dense))
    assert names == ["Dense", "Dense"]


def test_fmap_reaches_what_a_function_has_captured():
    w = flux.tensor([2.0])
    doubled = flux.fmap(lambda t: t * 2, lambda x: x * w)
    assert doubled(flux.tensor([3.0])).tolist() == [12.0]
    assert w.tolist() == [2.0]


def test_fmap_of_an_object_that_holds_itself_ends():
    x = SimpleNamespace(w=flux.ones(1))
    x.me = x
    assert flux.fmap(lambda t: t + 1, x).w.tolist() == [2.0]


# state and loadmodel


def test_state_is_plain_data():
    tree = {
        "enc": flux.Dense(2, 3, flux.relu),
        "rest": (flux.Dense(3, 1, bias=False), 0.5, "name", True, [None]),
    }
    s = flux.state(tree)
    assert set(s["enc"]) == {"weight", "bias", "activation"}
    assert s["enc"]["weight"].shape == (2, 3)
    assert s["enc"]["activation"] is None
    assert s["rest"][0]["bias"] is None
    assert s["rest"][1:] == (0.5, "name", True, [None])


def test_state_does_not_follow_later_training():
    m = flux.Dense(2, 3)
    s = flux.state(m)
    before = m.weight.numpy().copy()
    m.weight[...] = 7
    np.testing.assert_array_equal(s["weight"].numpy(), before)


@pytest.mark.parametrize("take", [lambda m: m, flux.state, copy.deepcopy])
def test_loadmodel_takes_models_and_states(take):
    a, b = model(), model()
    weight = a[0].weight
    assert flux.loadmodel(a, take(b)) is a
    for x, y in zip(flux.trainables(a), flux.trainables(b), strict=True):
        np.testing.assert_array_equal(x.numpy(), y.numpy())
    assert a[0].weight is weight


def test_loadmodel_copies():
    a, b = flux.Dense(2, 3), flux.Dense(2, 3)
    flux.loadmodel(a, b)
    b.weight[...] = 9
    assert (a.weight.numpy() != 9).all()


def test_loadmodel_loads_what_is_not_trained_too():
    a, b = Frozen(), Frozen()
    b.mean[...] = 4
    flux.loadmodel(a, b)
    assert a.mean.tolist() == [4, 4, 4]


def test_loadmodel_converts_to_the_dtype_of_the_model():
    a = flux.Dense(2, 3)
    flux.loadmodel(a, {"weight": np.ones((2, 3)), "bias": np.zeros(3), "activation": None})
    assert a.weight.dtype == "float32"
    assert a.weight.tolist() == [[1, 1, 1], [1, 1, 1]]


@pytest.mark.parametrize(
    ("dst", "src", "message"),
    [
        (
            lambda: flux.Chain(flux.Dense(2, 3)),
            lambda: flux.Chain(flux.Dense(2, 4)),
            r"layers\[0\]\.weight has shape \(2, 3\)",
        ),
        (
            lambda: flux.Chain(flux.Dense(2, 3)),
            lambda: flux.Chain(flux.Dense(2, 3), flux.relu),
            r"layers has 1 items",
        ),
        (lambda: flux.Chain(a=flux.Dense(2, 3)), lambda: flux.Chain(b=flux.Dense(2, 3)), r"layers\.b"),
        (lambda: flux.Dense(2, 3), lambda: {"bias": np.zeros(3)}, r"no weight"),
        (lambda: flux.Dense(2, 3), lambda: {"weight": "?", "bias": np.zeros(3)}, r"weight is a tensor.*'\?'"),
        (lambda: flux.Dense(2, 3), lambda: 3, r"the model is a Dense.*and 3 in the source"),
        (
            lambda: flux.Dense(2, 3, bias=False),
            lambda: {"weight": np.ones((2, 3)), "bias": np.ones(3)},
            r"bias is None",
        ),
    ],
)
def test_loadmodel_of_something_else_names_the_place(dst, src, message):
    with pytest.raises(flux.ShapeError, match=message):
        flux.loadmodel(dst(), src())


def test_a_failed_loadmodel_changes_nothing():
    a = flux.Chain(flux.Dense(2, 3), flux.Dense(3, 4))
    before = [t.numpy().copy() for t in flux.trainables(a)]
    with pytest.raises(flux.ShapeError):
        flux.loadmodel(a, flux.Chain(flux.Dense(2, 3), flux.Dense(3, 5)))
    for t, old in zip(flux.trainables(a), before, strict=True):
        np.testing.assert_array_equal(t.numpy(), old)


def test_loadmodel_of_lists_that_hold_a_list_twice_takes_each_once():
    def nested(value):
        tree = [flux.full((2,), value)]
        for _ in range(60):  # 2^60 ways lead to the tensor
            tree = [tree, tree]
        return tree

    dst = nested(1.0)
    flux.loadmodel(dst, nested(3.0))
    assert flux.trainables(dst)[0].tolist() == [3.0, 3.0]


def test_loadmodel_of_a_part_twice_still_sees_that_its_sources_differ():
    part = [flux.zeros(2)]
    with pytest.raises(ValueError, match="are one tensor in the model and differ in the source"):
        flux.loadmodel([part, part], [[flux.zeros(2)], [flux.ones(2)]])


def test_loadmodel_takes_no_bias_and_a_zero_bias_for_one_another():
    a = flux.Dense(2, 3)
    a.bias[...] = 5
    flux.loadmodel(a, flux.Dense(2, 3, bias=False))
    assert a.bias.tolist() == [0, 0, 0]
    flux.loadmodel(flux.Dense(2, 3, bias=False), flux.Dense(2, 3))


# modules, f32, f64


def test_modules_lists_each_object_once_outermost_first():
    d = flux.Dense(2, 2)
    m = flux.Chain(d, flux.Chain(d), flux.relu)
    assert [type(x).__name__ for x in flux.modules(m)] == ["Chain", "Dense", "Chain"]


def test_f64_and_back_convert_in_place():
    m = model()
    dense = m[0]
    assert flux.f64(m) is m
    assert m[0] is dense
    assert dense.weight.dtype == "float64" == m[1][0].weight.dtype
    assert m(np.ones((2, 3))).dtype == "float64"
    flux.f32(m)
    assert {str(t.dtype) for t in flux.trainables(m)} == {"float32"}


def test_f64_reaches_tuples_lists_dicts_and_closures():
    w = flux.ones(2)
    tree = [(flux.ones(1), 3), {"a": flux.ones(1)}, lambda x: x + w]
    flux.f64(tree)
    assert {str(t.dtype) for t in flux.trainables(tree)} == {"float64"}
    assert tree[0][1] == 3


@pytest.mark.parametrize("rule", [flux.Adam(), flux.Momentum(), flux.Descent(), flux.AMSGrad()])
def test_f64_converts_the_state_of_an_optimiser(rule):
    m = flux.Dense(2, 3)
    state = flux.setup(rule, m)
    leaf, before = state.weight, str(rule.init(m.weight))
    assert flux.f64(state) is state and state.weight is leaf
    assert {x.dtype for x in _state_tensors(leaf)} <= {flux.float64}
    flux.f32(state)
    assert {x.dtype for x in _state_tensors(leaf)} <= {flux.float32} and str(leaf.state) == before


def _state_tensors(leaf):
    parts = leaf.state if isinstance(leaf.state, tuple) else (leaf.state,)
    return [x for x in parts if isinstance(x, flux.Tensor)]


def test_f64_keeps_ties_and_integers():
    a, b = flux.Dense(3, 3), flux.Dense(3, 3)
    b.weight = a.weight
    b.steps = flux.tensor([1, 2])
    flux.f64(flux.Chain(a, b))
    assert a.weight is b.weight
    assert a.weight.dtype == "float64"
    assert b.steps.dtype == "int64"


# All of it together, on models of every kind


@dataclass
class Block:
    layers: list
    scale: object

    def __call__(self, x):
        for layer in self.layers:
            x = layer(x)
        return x * self.scale


def tied():
    shared = flux.Dense(3, 3)
    return {"first": shared, "rest": (Block([shared, Frozen()], flux.ones(1)), [shared.weight])}


def test_a_nested_model_with_ties_goes_through_its_state():
    a, b = tied(), tied()
    b["rest"][0].layers[1].mean[...] = 3
    shared = a["first"].weight
    flux.loadmodel(a, flux.state(b))
    np.testing.assert_array_equal(shared.numpy(), b["first"].weight.numpy())
    assert a["rest"][1][0] is shared
    assert a["rest"][0].layers[1].mean.tolist() == [3, 3, 3]


def test_tied_tensors_get_one_gradient_and_one_step():
    model = tied()
    assert len(flux.params(model)) == 4
    state = flux.setup(flux.Descent(1.0), model)
    before = model["first"].weight.numpy().copy()
    (grads,) = flux.gradient(lambda m: m["first"].weight.sum() + m["rest"][1][0].sum(), model)
    flux.update(state, model, grads)
    np.testing.assert_allclose(model["first"].weight.numpy(), before - 2, rtol=2e-6)
    assert model["rest"][0].layers[0].weight is model["rest"][1][0]


def test_what_differs_does_not_load_into_tied_tensors():
    a, source = tied(), flux.state(tied())
    source["rest"][1][0][0, 0] = 5
    before = a["first"].weight.numpy().copy()
    with pytest.raises(ValueError, match=r"loadmodel: first\.weight and rest\[1\]\[0\] are one tensor"):
        flux.loadmodel(a, source)
    np.testing.assert_array_equal(a["first"].weight.numpy(), before)


def test_the_same_nan_loads_into_tied_tensors():
    a, b = tied(), tied()
    b["first"].weight[...] = np.nan
    flux.loadmodel(a, flux.state(b))
    assert np.isnan(a["first"].weight.numpy()).all()


def test_false_in_the_place_of_a_bias_loads_zeros():
    layer = flux.Dense(2, 3, bias=[1.0, 2.0, 3.0])
    flux.loadmodel(layer, {"weight": flux.ones((2, 3)), "bias": False, "activation": None})
    assert layer.bias.tolist() == [0, 0, 0] and layer.weight.tolist() == [[1, 1, 1]] * 2
    with pytest.raises(flux.ShapeError, match="bias is a tensor of shape"):
        flux.loadmodel(layer, {"weight": flux.ones((2, 3)), "bias": True, "activation": None})


class Twin(tuple):  # type: ignore[type-arg]
    """A tuple that is made of two arguments, and that has attributes."""

    def __new__(cls, left, right):
        return super().__new__(cls, (left, right))

    def __init__(self, left, right):
        self.name = f"of {len(self)}"


class Sized(tuple):  # type: ignore[type-arg]
    """A tuple that checks its length."""

    __slots__ = ()

    def __new__(cls, a, *rest):
        return super().__new__(cls, (a, *rest))


@pytest.mark.parametrize(
    "make", [lambda a, b: Twin(a, b), lambda a, b: Sized(a, b), lambda a, b: namedtuple("Both", "a b")(a, b)]
)
@pytest.mark.parametrize("convert", [lambda m: flux.fmap(lambda x: x.astype("float64"), m), flux.f64])
def test_a_tuple_of_a_class_that_makes_it_in_its_own_way_is_mapped(make, convert):
    model = make(flux.ones(2), [flux.zeros(1), "kept"])
    mapped = convert(model)
    assert type(mapped) is type(model) and mapped is not model
    assert mapped[0].dtype == mapped[1][0].dtype == "float64" and mapped[1][1] == "kept"
    assert getattr(mapped, "name", None) == getattr(model, "name", None)
    assert model[0].dtype == "float32"


def test_a_function_that_is_mapped_keeps_what_is_said_of_it():
    w = flux.ones(1)

    def f(x: int, *, by: float = 2.0) -> float:
        """Times a weight."""
        return x * w * by

    f.__name__, f.__qualname__, f.__module__, f.note = "scaled", "Some.scaled", "elsewhere", "kept"
    g = flux.fmap(lambda x: 3 * x, f)
    assert g is not f and g(1).tolist() == [6] and f(1).tolist() == [2]
    for name in ("__name__", "__qualname__", "__module__", "__doc__", "__annotations__", "note"):
        assert getattr(g, name) == getattr(f, name), name
    g.__annotations__["x"] = float
    assert f.__annotations__["x"] is int


class Part:
    """A part that knows what it is a part of."""

    def __init__(self):
        self.w, self.whole = flux.ones(1), None


@pytest.mark.parametrize(
    "wrap", [lambda p: (p, flux.ones(2)), lambda p: functools.partial(max, p, flux.ones(2))]
)
@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        (lambda x: x, lambda x: x),
        (lambda x: [x], lambda x: x[0]),
        (lambda x: {"a": x, "b": (x,)}, lambda x: x["b"][0]),
    ],
)
def test_what_a_part_refers_back_to_is_converted_for_it_too(wrap, outer, inner):
    part = Part()
    part.whole = wrap(part)
    whole = inner(flux.f64(outer(part.whole)))
    items = whole.args if isinstance(whole, functools.partial) else whole
    assert items[0] is part and part.whole is whole and items[1].dtype == part.w.dtype == "float64"


def test_a_partial_application_that_holds_itself_is_converted():
    held = functools.partial(max, flux.ones(2))
    held.me = held
    converted = flux.f64(held)
    assert converted.args[0].dtype == "float64"


def test_a_copy_of_a_model_has_the_tensors_of_its_functions_for_itself():
    w, b = flux.ones(2), flux.zeros(2)

    def shifted(x, b=b):
        return x * w + b

    model = flux.Chain(shifted, functools.partial(flux.multiply, flux.ones(2)))
    own = flux.fmap(flux.Tensor.copy, model)
    assert not {id(x) for x in flux.trainables(own)} & {id(x) for x in flux.trainables(model)}
    w[...] = 5
    assert model(flux.ones(2)).tolist() == [5, 5] and own(flux.ones(2)).tolist() == [1, 1]


def test_the_state_of_lists_that_share_their_parts_costs_what_the_parts_cost():
    nested = flux.ones(2)
    for _ in range(40):  # which has 2**40 ways to the tensor
        nested = [nested, nested]
    state = flux.state(nested)
    assert flux.loadmodel(nested, state) is nested
    while isinstance(state[0], list):
        assert state[0] is state[1]
        state = state[0]
    assert state[0].tolist() == [1, 1]


def test_a_layer_in_two_places_is_one_in_the_state_and_its_tensors_are_copies():
    layer = flux.Dense(2, 2)
    state = flux.state({"first": layer, "second": [layer]})
    assert state["first"] is state["second"][0]
    assert state["first"]["weight"] is not layer.weight
    layer.weight[...] = 7
    assert not (state["first"]["weight"] == 7).any()


def test_in_a_ring_each_part_has_the_state_that_it_has_where_it_stands():
    a, b = SimpleNamespace(w=flux.zeros(1)), SimpleNamespace(w=flux.ones(1))
    a.other, b.other = b, a
    first, second = flux.state([a, b])
    assert first["other"]["other"] is None and first["other"]["w"].tolist() == [1]
    assert second["other"]["other"] is None and second["other"]["w"].tolist() == [0]
