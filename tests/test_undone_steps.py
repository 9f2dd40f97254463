"""A step that is not done leaves Python's own state in a model as it was, of whatever kind and wherever it is."""

import array
import collections
import copy
import functools
import math
import threading
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import oxiflux as flux


class Holder:
    """An object with attributes."""

    def __init__(self, value: Any = 0) -> None:
        self.value = value

    def __call__(self, by: Any) -> None:
        self.value = self.value + by


@dataclass(slots=True)
class Slotted:
    n: int = 0
    items: list[int] = field(default_factory=list)


class Named(dict):  # type: ignore[type-arg]
    """A dict with attributes."""


class Numbered(list):  # type: ignore[type-arg]
    """A list with attributes."""


class Marked(collections.deque):  # type: ignore[type-arg]
    """A deque with attributes."""


class Whole(int):
    """An integer with attributes."""


class Share(float):
    """A number with attributes."""


class Text(str):
    """A text with attributes."""


class Pair(tuple):  # type: ignore[type-arg]
    """A tuple with attributes."""


class SlottedList(list):  # type: ignore[type-arg]
    """A list with slots."""

    __slots__ = ("n", "other")


class SlottedDict(dict):  # type: ignore[type-arg]
    """A dict with slots, and with attributes beside them."""

    __slots__ = ("__dict__", "n")


class SlottedSet(set):  # type: ignore[type-arg]
    """A set with slots."""

    __slots__ = ("n",)


class Row(np.ndarray):  # type: ignore[type-arg]
    """An array with attributes."""


def remembers(x: int, seen: list[int] = []) -> list[int]:  # noqa: B006 (a list that is kept is what is tried)
    seen.append(x)
    return seen


def attribute(holder: Any, name: str) -> None:
    """Counts up in an attribute that may not be there yet."""
    setattr(holder, name, getattr(holder, name, 0) + 1)


def row() -> Any:
    return np.zeros(3, np.int64).view(Row)


# What is an attribute of a layer, how it changes, and what is seen of it.
KINDS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any], Callable[[Any], Any]]] = {
    "a list": (lambda: [1], lambda x: x.append(2), list),
    "a list in a dict in a tuple": (
        lambda: ({"a": [[]]},),
        lambda x: x[0]["a"][0].append(1),
        lambda x: x[0]["a"][0][:],
    ),
    "a dict": (
        lambda: {"a": 1, "b": 2},
        lambda x: (x.pop("a", None), x.update(c=x.get("c", 0) + 1)),
        lambda x: list(x.items()),
    ),
    "a dict of lists": (lambda: collections.defaultdict(list), lambda x: x["a"].append(1), dict),
    "counts": (lambda: collections.Counter("ab"), lambda x: x.update("a"), dict),
    "an ordered dict": (
        lambda: collections.OrderedDict(a=1, b=2),
        lambda x: x.move_to_end(next(iter(x))),
        lambda x: list(x.items()),
    ),
    "a set": (lambda: {1, 2}, lambda x: x.add(len(x) + 1), sorted),
    "an object in a frozen set": (
        lambda: frozenset([Holder()]),
        lambda x: next(iter(x))(1),
        lambda x: [h.value for h in x],
    ),
    "a deque": (lambda: collections.deque([1, 2], 2), lambda x: x.append(x[-1] + 1), list),
    "an array": (lambda: np.zeros(3, np.int64), lambda x: np.add(x, 1, out=x), lambda x: x.tolist()),
    "an array of no axes": (lambda: np.array(1), lambda x: np.add(x, 1, out=x), lambda x: x.tolist()),
    "an array with NaN in a list": (
        lambda: [np.full(3, np.nan)],
        lambda x: x[0].__setitem__(0, np.nan_to_num(x[0][0]) + 1),
        lambda x: [str(a) for a in x],
    ),
    "part of an array": (
        lambda: np.zeros((4, 4), np.int8)[::2, ::-2],
        lambda x: np.add(x, 1, out=x),
        lambda x: x.tolist(),
    ),
    "records": (
        lambda: np.zeros(2, [("a", "i4"), ("b", "f8")]),
        lambda x: x["a"].__setitem__(0, x["a"][0] + 1),
        lambda x: x.tolist(),
    ),
    "an array of objects": (
        lambda: np.array([None, "a"], object),
        lambda x: x.__setitem__(0, (x[0],)),
        lambda x: x.tolist(),
    ),
    "a list in an array of objects": (
        lambda: np.array([[[1]], [None]], object)[:, 0],
        lambda x: x[0].append(2) if isinstance(x[0], list) else None,
        lambda x: copy.deepcopy(x.tolist()),
    ),
    "a whole number with attributes": (
        lambda: Whole(1),
        lambda x: attribute(x, "n"),
        lambda x: vars(x).copy(),
    ),
    "a number with attributes": (
        lambda: [Share(1)],
        lambda x: attribute(x[0], "n"),
        lambda x: vars(x[0]).copy(),
    ),
    "a text with attributes": (
        lambda: {"a": Text("b")},
        lambda x: attribute(x["a"], "n"),
        lambda x: vars(x["a"]).copy(),
    ),
    "a tuple with attributes": (
        lambda: Pair(([], 2)),
        lambda x: (x[0].append(1), attribute(x, "n")),
        lambda x: (x[0][:], vars(x).copy()),
    ),
    "a list with slots": (
        SlottedList,
        lambda x: (x.append(1), attribute(x, "n")),
        lambda x: (list(x), getattr(x, "n", None), hasattr(x, "other")),
    ),
    "a dict with slots": (
        SlottedDict,
        lambda x: (x.update(a=len(x)), attribute(x, "n"), attribute(x, "beside")),
        lambda x: (dict(x), getattr(x, "n", None), vars(x).copy()),
    ),
    "a set with slots": (
        SlottedSet,
        lambda x: (x.add(len(x)), attribute(x, "n")),
        lambda x: (set(x), getattr(x, "n", None)),
    ),
    "a leaf of an optimiser": (
        lambda: flux.setup(flux.Descent(0.5), [flux.zeros(1)])[0],
        lambda x: (setattr(x, "frozen", not x.frozen), setattr(x, "rule", flux.Descent(x.rule.eta / 2))),
        lambda x: (x.frozen, x.rule.eta),
    ),
    "the state of a leaf": (
        lambda: flux.setup(flux.Momentum(), [flux.zeros(1)]),
        lambda x: setattr(x[0], "state", x[0].state + 1),
        lambda x: x[0].state.tolist(),
    ),
    "an array with attributes": (
        row,
        lambda x: (np.add(x, 1, out=x), attribute(x, "n")),
        lambda x: (x.tolist(), vars(x).copy()),
    ),
    "bytes": (lambda: bytearray(b"ab"), lambda x: x.extend(b"c"), bytes),
    "an array of Python's": (lambda: array.array("q", [1]), lambda x: x.append(2), lambda x: x.tolist()),
    "a tensor in a list": (
        lambda: [flux.zeros(2)],
        lambda x: x[0].__setitem__(0, x[0][0] + 1),
        lambda x: x[0].tolist(),
    ),
    "an object": (Holder, lambda x: x(1), lambda x: x.value),
    "a list of an object": (lambda: Holder([]), lambda x: x.value.append(1), lambda x: x.value[:]),
    "slots": (Slotted, lambda x: (attribute(x, "n"), x.items.append(1)), lambda x: (x.n, x.items[:])),
    "a dict with attributes": (
        Named,
        lambda x: (x.update(a=len(vars(x))), attribute(x, "n")),
        lambda x: (dict(x), vars(x).copy()),
    ),
    "a list with attributes": (
        Numbered,
        lambda x: (x.append(1), attribute(x, "n")),
        lambda x: (list(x), vars(x).copy()),
    ),
    "a deque with attributes": (
        Marked,
        lambda x: (x.append(1), attribute(x, "n")),
        lambda x: (list(x), vars(x).copy()),
    ),
    "a name space": (lambda: types.SimpleNamespace(a=1), lambda x: attribute(x, "a"), lambda x: x.a),
    "a method of an object": (lambda: Holder().__call__, lambda x: x(1), lambda x: x.__self__.value),
    "an argument that is given ahead": (
        lambda: functools.partial(Holder.__call__, Holder()),
        lambda x: x(1),
        lambda x: x.args[0].value,
    ),
    "a list that a function keeps": (lambda: remembers, lambda x: x(1), lambda x: x.__defaults__[0][:]),
    "an attribute of a function": (
        lambda: lambda: None,
        lambda x: attribute(x, "calls"),
        lambda x: vars(x).copy(),
    ),
}


class Layer(flux.Layer):
    """A layer that changes what it keeps, which is not trained."""

    def __init__(self, kept: Any, change: Callable[[Any], Any]) -> None:
        self.w, self.calls, self.share, self.name, self.last = flux.ones(3), 0, 0.5, "a", None
        self.kept = kept
        self.change = change

    def trainable(self) -> tuple[str, ...]:
        return ("w",)

    def __call__(self, x: Any) -> Any:
        self.change(self.kept)
        self.calls, self.share, self.name, self.last = self.calls + 1, self.share / 2, self.name + "b", True
        return x * self.w


def mean_square(model: Any, x: Any) -> Any:
    return (model(x) ** 2).mean()


def batch(value: float) -> Any:
    return (np.full(3, value, np.float32),)


def trainers(model: Any) -> dict[str, Callable[[Any], object]]:
    """The ways to train with one batch."""
    rule = flux.Descent(0.01)
    state = flux.setup(rule, model)
    step = lambda b: flux.trainstep(mean_square, model, b, state)
    return {
        "train": lambda b: flux.train(mean_square, model, [b], state),
        "fit": lambda b: flux.fit(mean_square, model, [b], state),
        "the implicit style": lambda b: flux.train(
            lambda x: mean_square(model, x), flux.params(model), [b], rule
        ),
        "trainstep": step,
    }


@pytest.mark.parametrize("way", ["train", "fit", "the implicit style", "trainstep"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_layer_keeps_is_put_back(kind: str, way: str):
    make, change, seen = KINDS[kind]
    layer = Layer(make(), change)
    model = flux.Chain(layer)
    train = trainers(model)[way]
    for calls in range(2):
        kept, before = layer.kept, copy.deepcopy(seen(layer.kept))
        with pytest.raises(ValueError, match="the model is as it was before this step"):
            train(batch(math.nan))
        assert layer.kept is kept and seen(kept) == before
        assert (layer.calls, layer.share, layer.name) == (calls, 0.5 / 2**calls, "a" + "b" * calls)
        assert layer.last is (True if calls else None)
        train(batch(1.0))
        assert seen(kept) != before


@pytest.mark.parametrize("kind", KINDS)
def test_what_changed_in_the_steps_before_stays(kind: str):
    make, change, seen = KINDS[kind]

    def kept_after(*values: float) -> Any:
        if kind == "a list that a function keeps":
            make().__defaults__[0].clear()
        layer = Layer(make(), change)
        model = flux.Chain(layer)
        flux.train(
            mean_square, model, map(batch, values), flux.setup(flux.Descent(0.01), model), on_nan="skip"
        )
        return seen(layer.kept)

    with pytest.warns(UserWarning, match="its batch is left out") as given:
        found = kept_after(1.0, math.nan, 1.0, math.nan)
    assert len(given) == 2
    assert found == kept_after(1.0, 1.0)


def test_new_parts_of_a_model_are_put_back_as_well():
    layer = Layer(Holder([]), lambda x: x([Holder(len(x.value))]))
    state = flux.setup(flux.Descent(), layer)
    flux.train(mean_square, layer, [batch(1.0)] * 2, state)
    layer.change = lambda x: x.value[-1](99)
    with pytest.raises(ValueError, match="the loss is nan"):
        flux.train(mean_square, layer, [batch(math.nan)], state)
    assert [h.value for h in layer.kept.value] == [0, 1]


def test_a_list_of_much_data_is_put_back_and_not_gone_through():
    layer = Layer([[]] * 100_000, lambda x: x.append(1))
    with pytest.raises(ValueError, match="the loss is nan"):
        flux.train(mean_square, layer, [batch(math.nan)], flux.setup(flux.Descent(), layer))
    assert len(layer.kept) == 100_000


def test_random_numbers_that_a_skipped_step_has_drawn_stay_drawn():
    model = flux.Chain(flux.Dense(3, 3), flux.Dropout(0.5, rng=flux.Generator(3)))
    before = model[1].rng.get_state()
    with pytest.raises(ValueError, match="the loss is nan"):
        flux.train(
            mean_square, model, [(np.full((1, 3), np.nan, np.float32),)], flux.setup(flux.Descent(), model)
        )
    assert model[1].rng.get_state() != before


@pytest.mark.parametrize("rule", [flux.Adam(), flux.Momentum(), "in Python"])
@pytest.mark.parametrize("how", ["trainstep", "update"])
def test_a_training_within_a_step_that_fails_is_undone(rule: Any, how: str):
    class Own(flux.Descent):
        def init(self, x: Any) -> Any:
            return (flux.zeros_like(x), 1)

        def apply(self, state: Any, x: Any, dx: Any) -> Any:
            return (state[0] + dx, state[1] + 1), dx + state[0]

    inner, outer = flux.Dense(3, 2), flux.Dense(3, 1)
    states = [flux.setup(Own() if rule == "in Python" else rule, m) for m in (inner, outer)]
    x = np.arange(12, dtype=np.float32).reshape(4, 3)

    def loss(m: Any, factor: float) -> Any:
        if how == "trainstep":
            flux.trainstep(mean_square, inner, (x,), states[0])
        else:
            flux.update(states[0], inner, flux.gradient(lambda n: mean_square(n, x), inner)[0])
        return (m(x) ** 2).mean() * factor

    def seen() -> Any:
        leaf = states[0].weight
        return inner.weight.tolist(), inner.bias.tolist(), repr(leaf.state)

    before = seen()
    with pytest.raises(ValueError, match="the loss is nan"):
        flux.trainstep(loss, outer, (math.nan,), states[1])
    assert seen() == before
    flux.trainstep(loss, outer, (1.0,), states[1])
    assert seen() != before


def test_an_interrupted_step_is_undone():
    def stop(x: Any) -> None:
        x.append(1)
        if len(x) == 2:
            raise KeyboardInterrupt

    layer = Layer([], stop)
    history = flux.fit(mean_square, layer, [batch(1.0)] * 3, flux.Descent(0.1))
    assert history.interrupted and layer.kept == [1] and layer.calls == 1


def test_a_rule_that_raises_midway_leaves_all_as_it_was():
    class Fails(flux.Descent):
        def apply(self, state: Any, x: Any, dx: Any) -> Any:
            if x.ndim == 1:
                raise ArithmeticError
            x[:] = 7.0
            return state, dx

    model = flux.Chain(flux.Dense(3, 2), flux.BatchNorm(2))
    before = repr(flux.state(model))
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    with pytest.raises(ArithmeticError):
        flux.trainstep(mean_square, model, (x,), flux.setup(Fails(), model))
    assert repr(flux.state(model)) == before


def test_two_threads_train_two_models_that_share_a_layer():
    shared = flux.Dense(3, 3)
    models = [flux.Chain(shared, flux.Dense(3, 1)) for _ in range(2)]
    failed: list[BaseException] = []

    def work(model: Any) -> None:
        try:
            state = flux.setup(flux.Descent(1e-3), model)
            flux.train(mean_square, model, [(np.ones((4, 3), np.float32),)] * 200, state)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(m,)) for m in models]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failed
    assert all(np.isfinite(t.numpy()).all() for m in models for t in flux.trainables(m))
