"""What a gradient is taken for: each argument its own, nothing looked up by an address that was given away, no depth
and no cycle that crashes, and nothing that leaves the tape without a word.
"""

import math
import pickle
import subprocess
import sys
import threading
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

import oxiflux as flux

W = flux.tensor([1.0, 1.0])


def twice_and_thrice(a, b):
    return (a * 2).sum() + (b * 3).sum()


# One tensor in several arguments


def test_one_tensor_as_two_arguments_has_a_gradient_for_each():
    assert [g.tolist() for g in flux.gradient(twice_and_thrice, W, W)] == [[2, 2], [3, 3]]
    assert [g.tolist() for g in flux.withgradient(twice_and_thrice, W, W)[1]] == [[2, 2], [3, 3]]
    assert [g.tolist() for g in flux.pullback(twice_and_thrice, W, W)[1](flux.tensor(1.0))] == [
        [2, 2],
        [3, 3],
    ]


def test_one_tensor_as_two_arguments_has_a_jacobian_for_each():
    a, b = flux.jacobian(lambda a, b: a * 2 + b * 3, W, W)
    assert a.tolist() == [[2, 0], [0, 2]]
    assert b.tolist() == [[3, 0], [0, 3]]


def test_one_tensor_as_two_arguments_has_a_tangent_for_each():
    tangents = [flux.tensor([1.0, 0.0]), flux.tensor([0.0, 10.0])]
    assert flux.jvp(lambda a, b: a * 2 + b * 3, [W, W], tangents)[1].tolist() == [2, 30]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_model_and_its_own_weight_are_two_arguments(order):
    m = flux.Dense(2, 1)
    loss = lambda m, w: m([[1.0, 2.0]]).sum() + (w * 3).sum()
    args = [(m, m.weight)[i] for i in order]
    grads = flux.gradient(lambda *a: loss(a[order.index(0)], a[order.index(1)]), *args)
    assert grads[order.index(0)].weight.tolist() == [[1], [2]]
    assert grads[order.index(1)].tolist() == [[3], [3]]


def test_a_model_and_a_part_of_it_are_two_arguments():
    m = flux.Chain(flux.Dense(1, 1, bias=False), flux.tanh)
    whole, part = flux.gradient(lambda m, d: (m[0].weight * 2).sum() + (d.weight * 5).sum(), m, m[0])
    assert (whole.layers[0].weight.item(), part.weight.item()) == (2, 5)


def test_one_model_as_two_arguments_has_a_gradient_for_each():
    m = flux.Dense(2, 1)
    a, b = flux.gradient(lambda a, b: (a.weight * 2).sum() + (b.weight * 3).sum() + b.bias.sum(), m, m)
    assert a.weight.tolist() == [[2], [2]]
    assert b.weight.tolist() == [[3], [3]]
    assert (a.bias, b.bias.tolist()) == (None, [1])


def test_an_argument_that_shares_a_part_leaves_the_rest_in_its_place():
    a, b = SimpleNamespace(w=flux.tensor(2.0)), SimpleNamespace(w=flux.tensor(3.0))
    _, g = flux.gradient(lambda u, v: u.w * b.w**2, a, SimpleNamespace(p=b, q=a))
    assert g.p.w.item() == 12


def test_what_two_arguments_share_stays_one_object_outside():
    m = flux.Chain(flux.BatchNorm(2))
    before = m[0].mu
    flux.gradient(lambda a, b: a(flux.ones((3, 2))).sum() + b(flux.ones((3, 2))).sum(), m, m)
    assert m[0].mu is before
    np.testing.assert_allclose(before.numpy(), [0.19, 0.19], rtol=1e-6)


def test_the_second_derivative_tells_arguments_apart():
    inner = lambda a, b: flux.gradient(lambda a, b: (a**2 * b).sum(), a, b)[0].sum()
    a, b = flux.gradient(inner, W * 3, W * 3)
    assert (a.tolist(), b.tolist()) == ([6, 6], [6, 6])
    x = flux.tensor([3.0])
    a, b = flux.gradient(
        lambda a, b: flux.gradient(lambda p, q: (p**2 * q**3).sum(), a, a)[0].sum() + b.sum(), x, x
    )
    assert (a.item(), b.item()) == (2 * 3**3 + 2 * 3 * 3 * 3**2, 1)


def test_a_tensor_twice_in_one_argument_is_one_variable():
    (g,) = flux.gradient(lambda p: (p[0] * 2).sum() + (p[1] * 3).sum(), [W, W])
    assert g[0].tolist() == g[1].tolist() == [5, 5]


def test_gradcheck_sees_one_tensor_in_two_arguments(monkeypatch):
    x = flux.tensor([0.3, 0.7])
    assert flux.gradcheck(lambda a, b: flux.sin(a) * b**2, x, x, order=2)
    right = flux.gradient

    def as_one_variable(f, *args):
        grads = right(f, *args)
        return (
            tuple(sum(grads[1:], grads[0]) for _ in grads) if len(args) == 2 and args[0] is args[1] else grads
        )

    monkeypatch.setattr(sys.modules["oxiflux.gradcheck"], "gradient", as_one_variable)
    with pytest.raises(AssertionError, match="argument 0"):
        flux.gradcheck(lambda a, b: flux.sin(a) * b**2, x, x)


def test_gradcheck_names_the_parameter_that_is_wrong():
    @flux.custom_gradient
    def wrong(x):
        return x * 2, lambda g: g

    m = flux.Dense(2, 1)
    with pytest.raises(AssertionError, match=r"argument 0.weight\[0, 0\]"):
        flux.gradcheck(lambda m: wrong(m.weight), m)


# Layers that replace their own tensors


class Stateful(flux.Layer):
    def __init__(self):
        self.w, self.h = flux.tensor([0.5, -0.3]), flux.tensor([0.1, 0.2])

    def __call__(self, x):
        self.h = flux.tanh(x * self.w + self.h)
        return self.h


def test_a_layer_that_replaces_its_state_has_the_gradients_of_the_functional_form():
    xs = [1.0, 2.0, -0.5]

    def functional(w, h):
        for x in xs:
            h = flux.tanh(x * w + h)
        return h.sum()

    def stateful(m):
        for x in xs:
            y = m(x)
        return y.sum()

    for _ in range(200):
        m = Stateful()
        (g,) = flux.gradient(stateful, m)
        w, h = flux.gradient(functional, flux.tensor([0.5, -0.3]), flux.tensor([0.1, 0.2]))
        np.testing.assert_allclose(g.w.numpy(), w.numpy(), rtol=1e-6)
        np.testing.assert_allclose(g.h.numpy(), h.numpy(), rtol=1e-6)


def test_temporaries_never_take_the_place_of_a_watched_tensor():
    m = SimpleNamespace(t=[flux.tensor([float(i)]) for i in range(50)])

    def f(m):
        total = sum(t.sum() for t in m.t)
        m.t = None
        for _ in range(200):
            total = total + (flux.tensor([1.0]) * 2).sum() * 0
        return total

    (g,) = flux.gradient(f, m)
    assert [x.item() for x in g.t] == [1] * 50


def test_a_watched_tensor_cannot_be_assigned_to():
    m = flux.Dense(1, 1)

    def update(m):
        flux.loadmodel(m, {"weight": np.ones((1, 1), np.float32), "bias": np.ones(1, np.float32)})
        return m.weight.sum()

    with pytest.raises(ValueError, match="cannot be assigned"):
        flux.gradient(update, m)

    def step(m):
        flux.update(state, m, SimpleNamespace(weight=flux.ones((1, 1)), bias=None))
        return m.weight.sum()

    state = flux.setup(flux.Descent(), m)
    with pytest.raises(ValueError, match="cannot be assigned"):
        flux.gradient(step, m)


# Numbers, arrays and containers as arguments


def test_whole_numbers_are_differentiated_by_as_in_flux():
    assert flux.gradient(lambda x: 3 * x**2 + 2 * x + 1, 5) == (32.0,)
    assert flux.gradient(lambda x: x * x, np.float32(3)) == (6.0,)
    assert flux.gradient(lambda x: x * x, np.int64(3)) == (6.0,)


def test_a_whole_number_still_counts():
    f = lambda x, n: sum(x * i for i in range(n)) + [0, 0, 0, x**2][n] / 4
    assert flux.gradient(f, 2.0, 3) == (4.0, None)


@dataclass
class Slope:
    a: float

    def __call__(self, x):
        return self.a * x


@pytest.mark.parametrize(
    ("arg", "what"),
    [
        (np.array([1, 2]), "an array of int64"),
        (flux.tensor([1]), "an array of int64"),
        ([1, 2], "a list of integers"),
        ({"n": 2}, "a dict of integers"),
        (SimpleNamespace(a=2.0), "the attribute a of a SimpleNamespace"),
        (Slope(2.0), "the attribute a of a Slope"),
        (Slope(np.ones(2)), "the attribute a of a Slope"),
    ],
)
def test_numbers_that_cannot_be_differentiated_by_are_an_error(arg, what):
    with pytest.raises(TypeError, match=f"nothing to differentiate by, only {what}"):
        flux.gradient(lambda x: flux.tensor(1.0), arg)


@pytest.mark.parametrize(
    "arg", [True, "a", None, flux.relu, flux.MaxPool((2, 2)), flux.Dropout(0.5), [flux.tanh], []]
)
def test_what_holds_no_numbers_has_no_gradient(arg):
    (g,) = flux.gradient(lambda x: flux.tensor(1.0), arg)
    assert g is None or g == [None] * len(arg)


def test_a_gradient_without_arguments_says_how_to_give_them():
    with pytest.raises(TypeError, match=r"gradient\(lambda m: loss\(m\(x\), y\), model\)"):
        flux.gradient(lambda: flux.tensor(1.0))


def test_labels_beside_a_model_have_no_gradient():
    m = flux.Dense(2, 3)
    loss = lambda m, x, y: flux.logitcrossentropy(m(x), y)
    assert flux.gradient(loss, m, np.ones((2, 2), np.float32), np.array([0, 2]))[2] is None


def test_the_gradient_of_a_named_tuple_is_one():
    Pair = namedtuple("Pair", "a b")
    (g,) = flux.gradient(lambda p: (p.a * 2).sum(), Pair(W, 3))
    assert type(g) is Pair
    assert (g.a.tolist(), g.b) == ([2, 2], None)
    (g,) = flux.gradient(lambda m: (m.p.a * 2).sum(), SimpleNamespace(p=Pair(W, 3)))
    assert type(g.p) is Pair
    (j,) = flux.jacobian(lambda p: p.a * 2, Pair(W, 3))
    assert type(j) is Pair
    assert j.a.tolist() == [[2, 0], [0, 2]]


def test_gradients_by_numbers_nest():
    assert flux.gradient(lambda w: flux.gradient(lambda s: s * w * w, 2.0)[0] * w, 3.0) == (27.0,)
    assert flux.gradient(lambda w: flux.gradient(lambda s: s * s * w, 2)[0] * w, 3) == (24.0,)


def test_a_large_whole_number_counts_exactly():
    assert flux.gradient(lambda x, n: x * float(len(range(n)) - 2**24), 1.0, 2**24 + 1) == (1.0, None)


def test_full_passes_a_gradient_to_its_value():
    x = flux.tensor([1.0, 2.0])
    assert flux.gradient(lambda x: flux.full((2,), x[0]).sum() + (x**2).sum(), x)[0].tolist() == [4, 4]
    assert flux.gradient(lambda x: flux.full_like(x, x[1]).sum(), x)[0].tolist() == [0, 2]


# What looks like a parameter


def test_an_array_of_floats_in_a_layer_is_a_parameter():
    class Affine(flux.Layer):
        def __init__(self):
            self.w = np.array([1.0, 2.0])
            self.order = np.array([1, 0])

        def __call__(self, x):
            return x * self.w

    m = Affine()
    assert type(m.w) is flux.Tensor
    assert m.w.dtype == "float32"
    assert type(m.order) is np.ndarray
    state = flux.setup(flux.Descent(0.5), m)
    flux.train(lambda m, x: m(x).sum(), m, [np.ones(2, np.float32)], state)
    assert m.w.tolist() == [0.5, 1.5]
    assert repr(m).endswith("# 2 parameters")


@dataclass
class Model:
    w: object
    b: object


@pytest.mark.parametrize(
    ("model", "place"),
    [
        (Model(np.ones(2), flux.ones(2)), "w"),
        (SimpleNamespace(a=flux.ones(1), ws=[np.ones(2, np.float32)]), r"ws\[0\]"),
        ({"w": np.ones(2)}, "w"),
        ([1, Model(np.ones(2), flux.ones(2))], r"\[1\].w"),
    ],
)
def test_an_array_of_floats_elsewhere_in_a_model_is_an_error(model, place):
    with pytest.raises(TypeError, match=rf"setup: {place} is an array of numpy"):
        flux.setup(flux.Adam(), model)


def test_an_array_that_is_left_out_of_training_is_not_asked_about():
    class Scaled(flux.Layer):
        def __init__(self):
            self.w = flux.ones(2)
            self.data = [np.ones(2)]

        def trainable(self):
            return ("w",)

    assert not flux.setup(flux.Descent(), Scaled()).w.frozen


def test_a_tensor_that_is_not_trained_prints_as_one():
    class Moments(flux.Layer):
        def __init__(self):
            self.scale, self.mean = flux.ones(3), flux.zeros(3)

        def trainable(self):
            return ("scale",)

    assert (
        repr(Moments())
        == "Moments(scale=(3,), mean=float32 tensor (3,))  # 3 parameters, plus 3 non-trainable"
    )


# What a class says of its parts


@dataclass(slots=True)
class Base:
    w: object


@dataclass(slots=True)
class Derived(Base):
    b: object


class WithDict(Base):
    def __init__(self):
        self.w, self.b = flux.ones(2), flux.ones(2)


class Private:
    __slots__ = ("__w", "b")

    def __init__(self):
        self.__w, self.b = flux.ones(2), flux.ones(2)

    @property
    def w(self):
        return self.__w


@pytest.mark.parametrize("make", [lambda: Derived(flux.ones(2), flux.ones(2)), WithDict, Private])
def test_slots_of_all_classes_in_line_are_parts(make):
    m = make()
    (g,) = flux.gradient(lambda m: (m.w * m.b * flux.tensor([1.0, 2.0])).sum(), m)
    assert sorted(x.tolist() for x in vars(g).values()) == [[1, 2], [1, 2]]
    assert len(flux.trainables(m)) == 2
    flux.train(lambda m: (m.w + m.b).sum(), m, [()], flux.setup(flux.Descent(1.0), m))
    assert (m.w.tolist(), m.b.tolist()) == ([0, 0], [0, 0])


class Chosen(flux.Layer):
    def __init__(self, names):
        self.weight, self.w, self.names = flux.ones(1), flux.ones(1), names

    def trainable(self):
        return self.names


@pytest.mark.parametrize(
    ("names", "error"),
    [("weight", TypeError), (["w", 1], TypeError), ([flux.ones(1)], TypeError), (["nope"], AttributeError)],
)
def test_what_trainable_gives_must_be_names_of_attributes(names, error):
    for f in (
        flux.trainables,
        lambda m: flux.setup(flux.Adam(), m),
        lambda m: flux.gradient(lambda m: m.w.sum(), m),
    ):
        with pytest.raises(error, match=r"Chosen.trainable"):
            f(Chosen(names))


def test_names_that_trainable_gives_may_come_from_a_generator_or_a_field():
    assert len(flux.trainables(Chosen(name for name in ("w", "weight")))) == 2
    m = Chosen(None)
    type(m).trainable, before = ("w",), type(m).trainable
    try:
        assert [t is m.w for t in flux.trainables(m)] == [True]
    finally:
        type(m).trainable = before


def test_an_object_that_hands_attributes_on_is_trained_by_its_own_rules():
    class Wrapper:
        def __init__(self, inner):
            self.inner, self.scale = inner, flux.ones(1)

        def __getattr__(self, name):
            return getattr(self.__dict__["inner"], name)

    assert len(flux.trainables(Wrapper(Chosen(["w"])))) == 2


# Cycles and depths


def deep(kind, depth):
    node = flux.ones(2)
    for _ in range(depth):
        node = {
            "list": lambda x: [x],
            "dict": lambda x: {"k": x},
            "object": lambda x: SimpleNamespace(next=x),
        }[kind](node)
    return node


@pytest.mark.parametrize("kind", ["list", "dict", "object"])
def test_too_deep_a_tree_is_an_error_with_the_path(kind):
    flux.gradient(lambda m: W.sum(), deep(kind, 200))
    for f in (
        lambda m: flux.gradient(lambda m: W.sum(), m),
        lambda m: flux.setup(flux.Adam(), m),
        flux.trainables,
    ):
        with pytest.raises(ValueError, match=r"(\[0\]|k|next).*nested more than 256 levels"):
            f(deep(kind, 5000))


def test_a_container_that_holds_itself_is_an_error_with_the_path():
    cycle = [W]
    cycle.append({"again": cycle})
    with pytest.raises(ValueError, match=r"argument 0\[1\]\['again'\] is a container that holds itself"):
        flux.gradient(lambda m: m[0].sum(), cycle)
    with pytest.raises(ValueError, match=r"argument 0.a\[1\]\['again'\]"):
        flux.gradient(lambda m: m.a[0].sum(), SimpleNamespace(a=cycle))


def test_loading_into_a_container_that_holds_itself_is_an_error_with_the_path():
    cycle = [W]
    cycle.append(cycle)
    for f in (
        lambda: flux.loadmodel(cycle, cycle),
        lambda: flux.load_torch(cycle, {}),
        lambda: flux.params(cycle),
    ):
        with pytest.raises(ValueError, match=r"\[1\] is a container that holds itself"):
            f()


def test_a_model_that_is_too_deep_prints_that():
    chain = flux.Dense(1, 1)
    for _ in range(1500):
        chain = flux.Chain(chain)
    assert "nested more than 256 levels" in repr(chain)


def test_a_part_may_refer_back_to_what_holds_it():
    parent = SimpleNamespace(w=flux.tensor(2.0))
    parent.child = SimpleNamespace(v=flux.tensor(3.0), parent=parent)
    (g,) = flux.gradient(lambda p: p.w * p.child.v * p.child.parent.w, parent)
    assert (g.w.item(), g.child.v.item(), hasattr(g.child, "parent")) == (12, 4, False)


def test_a_tree_of_shared_parts_is_walked_once():
    tree = [flux.ones(2)]
    for _ in range(100):
        tree = [tree, tree]
    first = lambda t: t if isinstance(t, flux.Tensor) else first(t[0])
    (g,) = flux.gradient(lambda t: (first(t) * 3).sum(), tree)
    assert first(g).tolist() == [3, 3]


DEEP = """
import threading, oxiflux as flux
threading.stack_size(256 * 1024)
nested, chain = flux.ones(2), flux.Dense(1, 1)
for _ in range({depth}):
    nested = [nested]
for _ in range({depth} // 2):
    chain = flux.Chain(chain)
def work():
    for tree in (nested, chain):
        for f in (lambda: flux.gradient(lambda t: flux.tensor(0.0), tree), lambda: flux.params(tree),
                  lambda: flux.update({{}}, tree, tree), lambda: flux.loadmodel(tree, tree), lambda: repr(chain)):
            try:
                f()
            except (ValueError, TypeError):
                pass
    print("done")
t = threading.Thread(target=work)
t.start()
t.join()
import os
os._exit(0)
"""


@pytest.mark.parametrize("depth", [250, 1500, 20000])
def test_a_small_stack_is_enough(depth):
    done = subprocess.run(
        [sys.executable, "-c", DEEP.format(depth=depth)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "done"), done.stderr


# What leaves the tape

READS = {
    "item": lambda x: x.sum().item(),
    "float": lambda x: float(x.sum()),
    "int": lambda x: int(x.sum()),
    "tolist": lambda x: x.tolist()[0],
    "numpy": lambda x: x.numpy()[0],
    "asarray": lambda x: np.asarray(x)[0],
    "array of arrays": lambda x: np.array([x, x])[0, 0],
    "percentile": lambda x: np.percentile(x, 30),
    "from_dlpack": lambda x: np.from_dlpack(x)[0],
    "pickle": lambda x: pickle.loads(pickle.dumps(x)).sum().item(),
    "math": lambda x: math.floor(math.sqrt(x.sum())),
}


@pytest.mark.parametrize("name", READS)
def test_a_number_read_inside_a_gradient_is_an_error(name):
    with pytest.raises(ValueError, match="ignore_derivatives"):
        flux.gradient(lambda x: (x**2).sum() + READS[name](x), W)
    with pytest.raises(ValueError, match="ignore_derivatives"):
        flux.gradient(lambda m: m.weight.sum() + READS[name](m.bias), flux.Dense(1, 1))
    second = lambda x: flux.gradient(lambda y: (y**2).sum(), x)[0]
    with pytest.raises(ValueError, match="ignore_derivatives"):
        flux.gradient(lambda x: READS[name](second(x)) * x.sum(), W)


@pytest.mark.parametrize("name", READS)
def test_a_number_may_be_read_from_a_constant(name):
    x = flux.tensor([1.0, 4.0])
    read = float(READS[name](x))
    assert (
        flux.gradient(lambda x: READS[name](flux.ignore_derivatives(x)) * x.sum(), x)[0].tolist()
        == [read] * 2
    )
    inside = lambda x: flux.ignore_derivatives(lambda: flux.asarray(float(READS[name](x)))) * x.sum()
    assert flux.gradient(inside, x)[0].tolist() == [read] * 2
    assert flux.gradient(lambda w: (w * READS[name](x)).sum(), W)[0].tolist() == [read] * 2


def test_tensors_can_be_printed_and_compared_inside_a_gradient(capsys):
    def f(x):
        print(x, repr(x))  # noqa: T201
        if x.sum() > 0 and x.argmax() == 0:
            return (x * 2).sum(), {"loss": x.sum()}
        return x.sum()

    (value, aside), (g,) = flux.withgradient(f, W)
    assert g.tolist() == [2, 2]
    assert (value.item(), aside["loss"].item()) == (4, 2)
    assert capsys.readouterr().out == "Tensor([1., 1.]) Tensor([1., 1.])\n"


def test_a_value_is_read_when_the_gradient_is_closed():
    value, _ = flux.withgradient(lambda x: (x * 2).sum(), W)
    assert (value.item(), float(value), value.tolist(), value.numpy()) == (4, 4, 4, 4)
    kept = flux.zeros(2)
    kept[0] = value
    assert kept.tolist() == [4, 0]
    assert pickle.loads(pickle.dumps(value)).item() == 4


# Other threads


@pytest.fixture
def pool():
    with ThreadPoolExecutor(2) as pool:
        yield pool


def test_another_thread_cannot_compute_with_a_variable_without_a_word(pool):
    f = lambda x: sum(pool.map(lambda i: (x * i).sum(), [3.0, 10.0]))
    with pytest.raises(ValueError, match="another thread"):
        flux.gradient(f, W)
    with pytest.raises(ValueError, match="another thread"):
        flux.gradient(lambda x: f(x * 2), W)
    with pytest.raises(ValueError, match="ignore_derivatives"):
        flux.gradient(lambda x: x.sum() * pool.submit(x.tolist).result()[0], W)


@pytest.mark.parametrize("use", [lambda y: y, lambda y: y * 2, lambda y: flux.tensor(1.0) + y.sum()])
def test_what_another_thread_computed_with_a_model_cannot_come_back_without_a_word(pool, use):
    m = flux.Dense(2, 1)
    with pytest.raises(ValueError, match="on another thread"):
        flux.gradient(lambda m: use(pool.submit(lambda: m([[1.0, 2.0]]).sum()).result()), m)


def test_another_threads_own_gradient_cannot_take_a_watched_model_for_a_constant(pool):
    m, x = flux.Dense(2, 1), np.ones((1, 2), np.float32)
    inner = lambda: flux.withgradient(lambda z: (m(x) * z).sum(), flux.tensor(1.0))[0]
    with pytest.raises(ValueError, match="another thread"):
        flux.gradient(lambda m: pool.submit(inner).result() + 0 * m.bias.sum(), m)


def test_another_thread_may_compute_constants_and_gradients_of_its_own(pool):
    m = flux.Dense(2, 1)
    constant = lambda x: pool.submit(lambda: flux.ignore_derivatives(x) * 2).result() * x
    assert flux.gradient(lambda x: constant(x).sum(), W)[0].tolist() == [2, 2]
    inner = lambda: flux.gradient(lambda m: m([[1.0, 2.0]]).sum(), m)[0].weight.tolist()
    (g,) = flux.gradient(lambda m: m([[1.0, 2.0]]).sum() + flux.tensor(pool.submit(inner).result()).sum(), m)
    assert g.weight.tolist() == [[1], [2]]


def test_another_thread_may_evaluate_a_model_during_its_training():
    m, x = flux.Dense(2, 1), np.ones((4, 2), np.float32)
    stop, seen = threading.Event(), []

    def watch():
        while not stop.is_set():
            seen.append(float(m(x).sum()))

    thread = threading.Thread(target=watch)
    thread.start()
    state = flux.setup(flux.Descent(1e-4), m)
    for _ in range(300):
        flux.update(state, m, flux.gradient(lambda m: m(x).sum(), m)[0])
    stop.set()
    thread.join()
    assert np.isfinite(seen).all()


def test_a_variable_is_an_ordinary_tensor_elsewhere_when_its_gradient_is_closed(pool):
    kept = []
    flux.gradient(lambda x: (kept.append(x * 2), x.sum())[1], W)
    assert pool.submit(lambda: (kept[0] * 3).tolist()).result() == [6, 6]
