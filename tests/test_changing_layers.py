"""Layers that change themselves as they are called: what they hold is trained, or an error says so."""

from collections import deque
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import oxiflux as flux

X = np.arange(12, dtype=np.float32).reshape(4, 3) / 10


def mean_square(model: Any) -> Any:
    return (model(X) ** 2).mean()


def steps(model: Any, count: int = 3, rule: Any = None) -> Any:
    """Trains with a state that is made before the first call."""
    state = flux.setup(rule or flux.Descent(0.1), model)
    for _ in range(count):
        flux.trainstep(mean_square, model, (), state)
    return state


class Keeps(flux.Layer):
    """A layer that keeps its activations, in one way or another."""

    def __init__(self, how: str) -> None:
        self.dense = flux.Dense(3, 3)
        self.how = how
        self.maps: Any = {"dict": {}, "new dict": {}, "new list": None, "attribute": None}.get(how, [])

    def __call__(self, x: Any) -> Any:
        h = self.dense(x)
        if self.how == "list":
            self.maps.append(h)
        elif self.how == "dict":
            self.maps[f"h{len(self.maps)}"] = h
        elif self.how == "new dict":
            self.maps = {**self.maps, f"h{len(self.maps)}": [h, {"again": h}]}
        elif self.how == "new list":
            self.maps = [h, (h,)]
        elif self.how == "nested":
            self.maps.append({"a": [h]})
        else:
            self.maps = h
        return flux.tanh(h)


@pytest.mark.parametrize("how", ["list", "dict", "new dict", "new list", "nested", "attribute"])
@pytest.mark.parametrize("inside", [False, True])
def test_a_layer_may_keep_its_activations(how: str, inside: bool):
    flux.seed(0)
    layer = Keeps(how)
    model = flux.Chain(layer) if inside else layer
    plain = flux.Chain(flux.Dense(3, 3), flux.tanh)
    flux.loadmodel(plain[0], layer.dense)
    steps(model)
    steps(plain)
    np.testing.assert_allclose(layer.dense.weight, plain[0].weight, rtol=1e-6)


def test_a_list_that_a_state_knows_may_grow():
    layer = Keeps("list")
    layer(X)
    assert len(layer.maps) == 1
    steps(layer)
    assert len(layer.maps) == 4


class Lazy(flux.Layer):
    """A layer that makes its parameters when it is first called."""

    def __init__(self) -> None:
        self.weight: Any = None

    def __call__(self, x: Any) -> Any:
        if self.weight is None:
            self.weight = flux.ones((3, 1))
        return x @ self.weight


@pytest.mark.parametrize(
    "make",
    [
        lambda layer: flux.Chain(flux.Dense(3, 3), layer),
        lambda layer: Both(flux.Dense(3, 3), layer),
        lambda layer: Both([flux.Dense(3, 3)], {"lazy": layer}),
    ],
)
def test_parameters_that_a_state_does_not_know_are_an_error(make: Any):
    with pytest.raises(
        TypeError, match=r"the gradient has .* where the state has not.*called once before setup"
    ):
        steps(make(Lazy()))
    model = make(Lazy())
    mean_square(model)
    before = flux.state(model)
    steps(model)
    assert repr(flux.state(model)) != repr(before)


class Both(flux.Layer):
    def __init__(self, first: Any, second: Any) -> None:
        self.first, self.second = first, second

    def __call__(self, x: Any) -> Any:
        first = self.first[0] if isinstance(self.first, list) else self.first
        second = self.second["lazy"] if isinstance(self.second, dict) else self.second
        return second(first(x))


def test_setup_says_so_where_no_layer_has_parameters_yet():
    with pytest.raises(
        ValueError, match="a layer that makes them when it is called must have been called before"
    ):
        flux.setup(flux.Adam(), Lazy())


def test_parameters_without_a_rule_by_choice_are_none():
    model = flux.Chain(flux.Dense(3, 3), flux.relu, flux.Dense(3, 1))
    state = flux.setup(lambda path, x: flux.Descent() if path[1] == 2 else None, model)
    assert state.layers[0] == SimpleNamespace(weight=None, bias=None) and state.layers[1] is None
    before = model[0].weight.tolist()
    for _ in range(2):
        flux.trainstep(mean_square, model, (), state)
    assert model[0].weight.tolist() == before


def test_a_tensor_without_a_rule_in_a_list_stays():
    model = [flux.ones(3), flux.ones(3)]
    state = flux.setup(lambda path, x: flux.Descent(0.1) if path == (0,) else None, model)
    flux.trainstep(lambda m: (m[0] * m[1]).sum(), model, (), state)
    assert model[1].tolist() == [1, 1, 1] and model[0].tolist() == pytest.approx([0.9] * 3)


def test_a_weight_that_is_replaced_takes_the_step():
    class Clipped(flux.Layer):
        def __init__(self) -> None:
            self.w = flux.tensor([3.0, 0.5, -4.0])

        def __call__(self, x: Any) -> Any:
            self.w = flux.clip(self.w, -1, 1)
            return x * self.w

    layer = Clipped()
    state = flux.setup(flux.Descent(0.1), layer)
    flux.trainstep(lambda m: (m(np.ones(3, np.float32))).sum(), layer, (), state)
    assert layer.w.tolist() == pytest.approx([1.0, 0.4, -1.0])


def test_a_weight_that_is_taken_away_is_an_error():
    class Loses(flux.Layer):
        def __init__(self) -> None:
            self.w: Any = flux.ones(3)
            self.v = flux.ones(3)

        def __call__(self, x: Any) -> Any:
            y, self.w = x * self.w * self.v, None
            return y

    layer = Loses()
    with pytest.raises(
        TypeError, match="the model has None at 'w' where the state and the gradient have a parameter"
    ):
        steps(layer)
    assert layer.w.tolist() == layer.v.tolist() == [1, 1, 1]


def test_a_weight_of_another_shape_is_an_error():
    class Grows:
        def __init__(self) -> None:
            self.w = flux.ones(3)

        def __call__(self, x: Any) -> Any:
            y, self.w = x * self.w, flux.ones(4)
            return y

    with pytest.raises(flux.ShapeError, match=r"a gradient of shape \(3,\) for a parameter of shape \(4,\)"):
        steps(Grows())


@pytest.mark.parametrize("grads", [None, SimpleNamespace(weight=None, bias=None)])
def test_an_update_without_any_gradient_is_an_error(grads: Any):
    model = flux.Dense(3, 2)
    state = flux.setup(flux.Adam(), model)
    with pytest.raises(
        TypeError, match="update: nothing to train: no parameter that has a rule has a gradient"
    ):
        flux.update(state, model, grads)


def test_an_update_of_a_loop_by_hand_whose_loss_left_the_tape_is_an_error():
    model, other = flux.Dense(3, 2), flux.Dense(3, 2)
    state = flux.setup(flux.Adam(), model)
    with pytest.raises(TypeError, match="nothing to train"):
        flux.update(state, model, flux.gradient(lambda m: mean_square(other), model)[0])
    x = flux.ones(2)
    with pytest.raises(TypeError, match="nothing to train"):
        flux.update(flux.setup(flux.Adam(), x), x, None)


def test_an_update_of_what_has_no_parameters_does_nothing():
    flux.update(None, flux.relu, None)


def test_a_value_cannot_leave_a_gradient_through_a_file(tmp_path: Any):
    path = tmp_path / "x.safetensors"

    def loss(x: Any) -> Any:
        flux.save(path, {"y": x * 2})
        return (flux.load(path)["y"] * x).sum()

    with pytest.raises(ValueError, match=r"save: a gradient is being taken through y.*ignore_derivatives"):
        flux.gradient(loss, flux.ones(2))

    def kept(x: Any) -> Any:
        flux.ignore_derivatives(lambda: flux.save(path, {"y": x * 2}))
        return (x * x).sum()

    assert flux.gradient(kept, flux.ones(2))[0].tolist() == [2, 2]
    assert flux.load(path)["y"].tolist() == [2, 2]


def test_a_model_can_be_saved_within_its_own_loss_where_that_is_meant(tmp_path: Any):
    model = flux.Dense(3, 2)

    def loss(m: Any) -> Any:
        flux.ignore_derivatives(lambda: flux.save(tmp_path / "m.safetensors", m))
        return mean_square(m)

    flux.trainstep(loss, model, (), flux.setup(flux.Descent(), model))


class Reorders(flux.Layer):
    """A layer that changes the order of its parts when it is called."""

    def __init__(self, how: str) -> None:
        self.how = how
        self.parts: Any = [flux.Dense(3, 3), flux.Dense(3, 3), flux.Dense(3, 3)]
        self.own = [flux.tensor([1.0, 2.0, 3.0]), flux.tensor([4.0, 5.0, 6.0])]
        self.left, self.right = flux.Dense(3, 3), flux.Dense(3, 3)
        if how.startswith("deque"):
            self.parts = deque(self.parts, 3)
        elif how.startswith("dict"):
            self.parts = dict(enumerate(self.parts))

    def __call__(self, x: Any) -> Any:
        for part in self.parts.values() if isinstance(self.parts, dict) else self.parts:
            x = part(x)
        x = self.right(self.left(x * self.own[0]))
        getattr(self, "_" + self.how.replace(" ", "_"))()
        return x

    def _nothing(self) -> None:
        pass

    def _reversed(self) -> None:
        self.parts.reverse()

    def _new_list(self) -> None:
        self.parts = self.parts[::-1]

    def _deque_rotated(self) -> None:
        self.parts.rotate()

    def _deque_rolled(self) -> None:
        self.parts.append(flux.Dense(3, 3))

    def _dict_exchanged(self) -> None:
        self.parts[0], self.parts[1] = self.parts[1], self.parts[0]

    def _attributes(self) -> None:
        self.left, self.right = self.right, self.left

    def _between_containers(self) -> None:
        self.parts[0], self.left = self.left, self.parts[0]

    def _parameters(self) -> None:
        self.left.weight, self.right.weight = self.right.weight, self.left.weight

    def _own(self) -> None:
        self.own.reverse()


ORDERS = [name[1:].replace("_", " ") for name in vars(Reorders) if name[1:2].islower() and name[0] == "_"]


@pytest.mark.parametrize("how", [how for how in ORDERS if how != "nothing"])
@pytest.mark.parametrize("by", ["trainstep", "train", "update"])
def test_a_loss_that_reorders_parts_of_its_model_is_an_error(how: str, by: str):
    model = Reorders(how)
    state = flux.setup(flux.Momentum(), model)
    weights = flux.trainables(model)
    before = [w.tolist() for w in weights]
    with pytest.raises(ValueError, match="was in another place when its gradient was taken"):
        if by == "trainstep":
            flux.trainstep(mean_square, model, (), state)
        elif by == "train":
            flux.train(lambda m, _: mean_square(m), model, [0], state)
        else:
            flux.update(state, model, flux.gradient(mean_square, model)[0])
    assert [w.tolist() for w in weights] == before
    if by != "update":
        assert [id(w) for w in flux.trainables(model)] == [id(w) for w in weights]


def test_parts_that_are_put_back_in_order_are_trained():
    class Twice(Reorders):
        def __call__(self, x: Any) -> Any:
            return super().__call__(super().__call__(x))

    model, plain = Twice("reversed"), Twice("nothing")
    flux.loadmodel(plain, model)
    plain.parts = plain.parts[:]
    steps(model, 2)

    def in_turn(m: Any) -> Any:
        x = X
        for order in (1, -1):
            for part in m.parts[::order]:
                x = part(x)
            x = m.right(m.left(x * m.own[0]))
        return (x**2).mean()

    state = flux.setup(flux.Descent(0.1), plain)
    for _ in range(2):
        flux.trainstep(in_turn, plain, (), state)
    for a, b in zip(flux.trainables(model), flux.trainables(plain), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize("used", ["all", "the last", "none"])
@pytest.mark.parametrize("kind", [deque, list])
def test_each_tensor_of_a_history_that_rolls_takes_its_own_step(kind: Any, used: str):
    class Rolls(flux.Layer):
        def __init__(self) -> None:
            self.w = flux.ones(1)
            self.past = kind(flux.full((1,), float(n)) for n in range(3))

        def __call__(self, x: Any) -> Any:
            kept = list(self.past)
            y = x * self.w
            for n, h in enumerate(kept, 1):
                if used == "all" or (used == "the last" and n == 3):
                    y = y + n * h
            if kind is deque:
                self.past.popleft()
            else:
                del self.past[0]
            self.past.append(flux.full((1,), 9.0))
            return y

    model = Rolls()
    kept = list(model.past)
    state = flux.setup(flux.Descent(1.0), model)
    flux.trainstep(lambda m: m(flux.ones(1)).sum(), model, (), state)
    assert model.w.tolist() == [0]
    assert model.past[0] is kept[1] and model.past[1] is kept[2]
    steps_of = {"all": (2.0, 3.0), "the last": (0.0, 3.0), "none": (0.0, 0.0)}[used]
    assert [h.item() for h in model.past] == [1 - steps_of[0], 2 - steps_of[1], 9]
    assert kept[0].item() == 0


def test_a_gradient_within_the_loss_leaves_the_places_of_the_outer_one():
    model = flux.Chain(flux.Dense(3, 3, flux.tanh), flux.Dense(3, 1))

    def penalised(m: Any) -> Any:
        inner = flux.gradient(mean_square, m)[0]
        return mean_square(m) + sum((g.weight**2).sum() for g in inner.layers)

    state = flux.setup(flux.Descent(0.1), model)
    grads = flux.gradient(penalised, model)[0]
    before = [w.tolist() for w in flux.trainables(model)]
    flux.update(state, model, grads)
    assert [w.tolist() for w in flux.trainables(model)] != before


def test_the_gradient_of_one_model_may_train_another():
    one, other = flux.Dense(3, 2), flux.Dense(3, 2)
    grads, _ = flux.gradient(lambda a, b: mean_square(a) + mean_square(b), one, other)
    before = other.weight.numpy()
    flux.update(flux.setup(flux.Descent(1.0), other), other, grads)
    np.testing.assert_allclose(other.weight, before - grads.weight.numpy(), rtol=1e-6)
