"""Parameters that sit in methods, partial applications, defaults, deques and parts that refer back to their owner."""

import array
import functools
import types
from collections import deque

import numpy as np
import pytest

import oxiflux as flux


class Affine:
    def __init__(self, w):
        self.w = w

    def call(self, x):
        return x * self.w


class Hooked(Affine):
    """Keeps one of its own methods."""

    def __init__(self, w):
        super().__init__(w)
        self.hook = self.call


class Child:
    def __init__(self, parent, w):
        self.parent, self.w = parent, w


class Parent:
    """Its part refers back to it."""

    def __init__(self, w):
        self.child = Child(self, w)

    def __call__(self, x):
        return x * self.child.w * self.child.parent.child.w


def with_default(w):
    def f(x, scale=w):
        return x * scale

    return f


def with_keyword_default(w):
    def f(x, *, scale=w):
        return x * scale

    return f


def with_attribute(w):
    def f(x):
        return x * f.w

    f.w = w
    return f


def recursive(w):
    def f(x, n=2):
        return x if n == 0 else f(x * w, n - 1)

    return f


def scaled(w, x):
    return x * w


# Something callable that holds the tensor w.
CALLABLES = {
    "a method": lambda w: Affine(w).call,
    "a partial application": lambda w: functools.partial(scaled, w),
    "a keyword of a partial application": lambda w: functools.partial(lambda x, w: x * w, w=w),
    "a partial application of a method": lambda w: functools.partial(Affine(w).call),
    "a default": with_default,
    "a keyword's default": with_keyword_default,
    "an attribute of a function": with_attribute,
    "a closure": lambda w: lambda x: x * w,
    "a recursive closure": recursive,
    "an object with its own method": lambda w: Hooked(w).hook,
    "a part that refers back": Parent,
    "a chain of methods": lambda w: flux.Chain(Affine(w).call, flux.tanh),
}
X = flux.tensor([0.5, 2.0])


@pytest.fixture(params=CALLABLES.values(), ids=CALLABLES.keys())
def made(request):
    w = flux.tensor([0.7, 1.5])
    return w, request.param(w), request.param


def loss(f):
    return (f(X) ** 2).sum()


def slopes(made):
    """Central differences."""
    total = lambda numbers: float(loss(made(flux.tensor(numbers, dtype="float64"))))
    eps, found = 1e-6, []
    for i in range(2):
        step = eps * np.eye(2)[i]
        found.append((total(np.array([0.7, 1.5]) + step) - total(np.array([0.7, 1.5]) - step)) / (2 * eps))
    return found


def only_tensor(tree):
    ((_, found),) = flux._core.leaves(tree)
    return found


def test_its_gradient_is_found(made):
    _, f, make = made
    (grad,) = flux.gradient(loss, f)
    np.testing.assert_allclose(only_tensor(grad).numpy(), slopes(make), rtol=1e-4)


def test_two_arguments_have_it_each_for_itself(made):
    _, f, make = made
    a, b = flux.gradient(lambda p, q: loss(p) + 3 * loss(q), f, f)
    np.testing.assert_allclose(only_tensor(a).numpy(), slopes(make), rtol=1e-4)
    np.testing.assert_allclose(only_tensor(b).numpy(), 3 * np.array(slopes(make)), rtol=1e-4)


def test_a_step_changes_it_and_params_finds_it(made):
    w, f, make = made
    before = slopes(make)
    assert [p is w for p in flux.params(f)] == [True]
    assert [t is w for t in flux.trainables(f)] == [True]
    state = flux.setup(flux.Descent(0.1), f)
    flux.trainstep(lambda f, x: (f(x) ** 2).sum(), f, (X,), state)
    np.testing.assert_allclose(w.numpy(), np.array([0.7, 1.5]) - 0.1 * np.array(before), rtol=1e-4)


def test_fmap_gives_a_copy_that_computes_with_the_new_tensor(made):
    w, f, make = made
    twice = flux.fmap(lambda t: t * 2, f)
    np.testing.assert_allclose(twice(X).numpy(), make(w * 2)(X).numpy(), rtol=1e-6)
    np.testing.assert_allclose(f(X).numpy(), make(w)(X).numpy(), rtol=1e-6)


def test_its_state_goes_into_another(made):
    _, f, make = made
    other = make(flux.zeros(2))
    flux.loadmodel(other, flux.state(f))
    np.testing.assert_array_equal(other(X).numpy(), f(X).numpy())


def test_gradcheck_and_ignore_derivatives_see_it(made):
    _, f, _ = made
    assert flux.gradcheck(lambda f: (f(X) ** 2).sum(), f)
    (none,) = flux.gradient(lambda f: loss(flux.ignore_derivatives([f])[0]), f)
    assert flux._core.leaves(none) == []


def test_a_deque_is_trained_like_a_list():
    model = types.SimpleNamespace(parts=deque([flux.tensor([1.0]), flux.tensor([2.0])], maxlen=3))
    f = lambda m: (m.parts[0] * m.parts[1] ** 2).sum()
    (grad,) = flux.gradient(f, model)
    assert [g.tolist() for g in grad.parts] == [[4.0], [4.0]]
    state = flux.setup(flux.Descent(0.5), model)
    flux.update(state, model, grad)
    assert [w.tolist() for w in model.parts] == [[-1.0], [0.0]]
    copied = flux.fmap(lambda t: t + 1, model)
    assert isinstance(copied.parts, deque) and copied.parts.maxlen == 3
    assert [w.tolist() for w in copied.parts] == [[0.0], [1.0]]
    flux.loadmodel(model, flux.state(copied))
    assert [w.tolist() for w in model.parts] == [[0.0], [1.0]]


def test_a_function_may_be_its_own_default_and_attribute():
    w = flux.tensor([2.0])

    def f(x, again=None):
        return x * w if again is None else again(x * w)

    f.__defaults__ = (f,)
    f.me = f
    g = flux.fmap(lambda t: t * 3, f)
    assert g.__defaults__ == (g,) and g.me is g
    assert flux.gradient(lambda f: f(flux.tensor([1.0]), None).sum(), f)[0].w.tolist() == [1.0]


def test_copies_of_parts_that_refer_back_are_whole():
    parent = Parent(flux.tensor([1.0]))
    parent.siblings = [parent.child]
    parent.by_name = {"child": parent.child, "self": parent}
    copied = flux.fmap(lambda t: t + 1, parent)
    assert copied is not parent and copied.child.parent is copied
    assert copied.siblings[0] is copied.child is copied.by_name["child"]
    assert copied.by_name["self"] is copied
    assert parent.child.parent is parent and parent.child.w.tolist() == [1.0]
    # A walk that begins within.
    inner = flux.fmap(lambda t: t + 1, parent.child)
    assert inner.parent.child is inner and inner.w.tolist() == [2.0]


class Listed(list):
    pass


class Protocol:
    def __array__(self, dtype=None, copy=None):
        return np.zeros(3, dtype or "float32")


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"w": flux.zeros(2), "b": 0.5}, "b is the number 0.5"),
        ([flux.zeros(2), np.float32(0.5)], r"\[1\] is the number 0.5"),
        (types.SimpleNamespace(w=flux.zeros(2), v=array.array("d", [1.0])), "v is an array of array"),
        (types.SimpleNamespace(w=flux.zeros(2), v=memoryview(array.array("f", [1.0]))), "v is an array of"),
        (types.SimpleNamespace(w=flux.zeros(2), v=Protocol()), "v is an array of"),
        (types.SimpleNamespace(w=flux.zeros(2), v={flux.zeros(2)}), "v is a set that holds parameters"),
        (
            types.SimpleNamespace(w=flux.zeros(2), v=types.MappingProxyType({"a": flux.Dense(2, 3)})),
            "v is a mappingproxy",
        ),
        (
            types.SimpleNamespace(w=flux.zeros(2), v=np.array([flux.Dense(2, 3), None], object)),
            "v is an array of objects",
        ),
    ],
)
def test_what_cannot_be_trained_where_it_is_is_named(model, said):
    with pytest.raises(TypeError, match=f"setup: {said}"):
        flux.setup(flux.Descent(), model)
    with pytest.raises(TypeError, match=f"params: {said}"):
        flux.params(model)


@pytest.mark.parametrize("kind", [list, dict, deque])
def test_a_container_with_parameters_as_attributes_is_named(kind):
    container = type("Own", (kind,), {})()
    container.scale = flux.zeros(2)
    model = types.SimpleNamespace(w=flux.zeros(2), parts=container)
    with pytest.raises(
        TypeError, match="setup: parts is a Own, of which only the items are trained, and its attrib"
    ):
        flux.setup(flux.Descent(), model)


def test_options_of_objects_are_no_parameters():
    model = types.SimpleNamespace(w=flux.zeros(2), eps=1e-5, rate=np.float32(0.5), names={"a", "b"})
    assert flux.setup(flux.Descent(), model).w is not None


@pytest.mark.parametrize(
    "values",
    [array.array("f", [1, 2]), memoryview(array.array("d", [1, 2])), np.array([1, 2], "float16"), Protocol()],
)
def test_arrays_of_any_library_become_parameters_of_a_layer(values):
    class Scale(flux.Layer):
        def __init__(self):
            self.w = values

    layer = Scale()
    assert isinstance(layer.w, flux.Tensor) and layer.w.tolist() == np.asarray(values).tolist()


# What an operation is given.
MADE_OF = {
    "an array": lambda buffer: buffer,
    "a slice": lambda buffer: buffer[:2],
    "asarray": flux.asarray,
    "memory": memoryview,
}


@pytest.mark.parametrize("operand", [MADE_OF[k] for k in ("an array", "a slice", "asarray", "memory")])
@pytest.mark.parametrize("meet", [flux.multiply, flux.matmul, lambda w, x: flux.stack([w * 1, x * w])[1]])
def test_a_buffer_that_is_filled_anew_inside_a_gradient_is_no_part_of_it(operand, meet):
    buffer = np.zeros(2, "float32")

    def f(w):
        total = 0
        for i in range(3):
            buffer[:] = [i, 10 * i]
            total = total + meet(w, operand(buffer)).sum()
        return total

    (grad,) = flux.gradient(f, flux.tensor([1.0, 1.0]))
    assert grad.tolist() == [3.0, 30.0]


def test_an_argument_may_be_filled_anew_before_the_pullback_is_called():
    buffer = np.array([1.0, 2.0], "float32")
    _, back = flux.pullback(lambda w: w * buffer, flux.ones(2))
    buffer[:] = 100
    assert back(flux.ones(2))[0].tolist() == [1.0, 2.0]


class OneSlot:
    __slots__ = ("__dict__", "w")

    def __init__(self, w):
        self.w, self.b = w, flux.zeros(2)

    def __call__(self, x):
        return x * self.w + self.b


class NoWeakReference:
    __slots__ = ("w",)

    def __init__(self, w):
        self.w = w


class Below(NoWeakReference):
    __slots__ = ("__dict__",)

    def __call__(self, x):
        return x * self.w


class WithWeakReference:
    __slots__ = ("__weakref__", "w")

    def __init__(self, w):
        self.w = w

    def __call__(self, x):
        return x * self.w


@pytest.mark.parametrize("make", [OneSlot, Below, WithWeakReference])
def test_an_object_of_one_slot_is_trained(make):
    w = flux.tensor([1.0, 2.0])
    model = make(w)
    assert any(p is w for p in flux.params(model))
    assert flux.state(model)["w"].tolist() == [1, 2]
    flux.train(lambda m, x: m(x).sum(), model, [(X,)], flux.setup(flux.Descent(0.1), model))
    np.testing.assert_allclose(w.tolist(), [0.95, 1.8], rtol=1e-6)
    assert flux.fmap(lambda t: t * 2, model).w.tolist() == pytest.approx([1.9, 3.6])
