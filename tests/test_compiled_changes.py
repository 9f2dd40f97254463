"""More that may change between the calls of a compiled function, and what it shares the process with."""

import contextvars
import cProfile
import ctypes
import dataclasses
import enum
import functools
import gc
import importlib
import inspect
import operator
import os
import pstats
import signal
import subprocess
import sys
import threading
import time
import types
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import oxiflux as flux
from test_compiled import bits, both, data, hits, is_done_again, small

pytestmark = pytest.mark.filterwarnings("ignore:compile. .* runs as ever:RuntimeWarning")

Scene = Iterator[Any]


class Kind:
    scale = 2.0

    def __call__(self, x: flux.Tensor) -> flux.Tensor:
        return x * self.scale

    @staticmethod
    def fixed(x: flux.Tensor) -> flux.Tensor:
        return x + 1

    @classmethod
    def made(cls, x: flux.Tensor) -> flux.Tensor:
        return x * cls.scale


def scene_an_attribute_that_shadows_the_class(compiled: Any) -> Scene:
    ob = Kind()
    f = compiled(lambda x: ob(x))
    for i in range(9):
        if i == 4:
            ob.scale = -3.0
        if i == 7:
            del ob.scale
        yield f(data(i))


def scene_class_methods(compiled: Any) -> Scene:
    f = compiled(lambda x: Kind.fixed(x) + Kind.made(x))
    try:
        for i in range(9):
            Kind.scale = 2.0 if i < 5 else 7.0
            yield f(data(i))
    finally:
        Kind.scale = 2.0


def scene_closures_of_one_factory(compiled: Any) -> Scene:
    def factory(a: float) -> Any:
        return compiled(lambda x: x * a)

    f, g = factory(2.0), factory(3.0)
    for i in range(5):
        yield f(data(i))
        yield g(data(i))


def scene_a_branch_on_which_object_it_is(compiled: Any) -> Scene:
    a, b = flux.tanh, flux.relu
    held = [a, b]

    @compiled
    def f(x: flux.Tensor) -> flux.Tensor:
        return x * 2 if held[0] is held[1] else x * 3

    for i in range(9):
        held[1] = b if i < 4 else a
        yield f(data(i))


class Liar:
    """Equal to all of its class, whatever it holds."""

    def __init__(self, n: float) -> None:
        self.n = n

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Liar)

    def __hash__(self) -> int:
        return 1


def scene_an_argument_whose_equality_lies(compiled: Any) -> Scene:
    f = compiled(lambda x, liar: x * liar.n)
    liar = Liar(2.0)
    for i in range(9):
        if i == 4:
            liar.n = 5.0
        yield f(data(i), liar)
    for i in range(4):
        yield f(data(i), Liar(8.0))


def scene_the_order_of_a_dict(compiled: Any) -> Scene:
    @compiled
    def f(parts: dict[str, flux.Tensor]) -> flux.Tensor:
        total = flux.zeros(3)
        for name in parts:
            total = total * 2 + parts[name]
        return total

    for i in range(8):
        a, b = data(i)[0], data(i)[1]
        yield f({"a": a, "b": b} if i < 4 else {"b": b, "a": a})


def scene_a_tensor_in_a_closure(compiled: Any) -> Scene:
    w = data(90)[0]
    f = compiled(lambda x: x * w)
    for i in range(10):
        if i == 4:
            w[0] = 9.0
        if i == 6:
            w = data(91)[0]
        if i == 8:
            w = flux.astype(data(92)[0], "float64")
        yield f(data(i))


def scene_gradients_that_are_none(compiled: Any) -> Scene:
    @compiled
    def f(m: Any, x: flux.Tensor, both: bool) -> Any:
        return flux.gradient(lambda m: m["a"](x).sum() + (m["b"](x).sum() if both else 0.0), m)[0]

    m = {"a": flux.Dense(3, 2), "b": flux.Dense(3, 2)}
    for i in range(10):
        yield f(m, data(i), i % 3 == 0)


def scene_results_of_another_structure(compiled: Any) -> Scene:
    @compiled
    def f(x: flux.Tensor, n: int) -> Any:
        return x if n == 0 else [x * i for i in range(n)] if n < 3 else {"x": x, "n": (n, None)}

    for i in range(12):
        yield f(data(i), i % 4)


def scene_a_generator_that_is_split(compiled: Any) -> Scene:
    g = flux.Generator(4)

    @compiled
    def f(x: flux.Tensor) -> flux.Tensor:
        (own,) = g.split(1)
        return x + own.rand(3)

    for i in range(5):
        yield f(data(i))


def scene_a_seed_between_calls(compiled: Any) -> Scene:
    f = compiled(lambda x: x + flux.rand(3))
    for i in range(8):
        if i in (3, 6):
            flux.seed(5)
        yield f(data(i))


def scene_a_rate_for_each_step(compiled: Any) -> Scene:
    m = small()
    state = flux.setup(flux.Momentum(0.1), m)

    @compiled
    def step(x: flux.Tensor) -> flux.Tensor:
        loss, grads = flux.withgradient(lambda m: (m(x) ** 2).sum(), m)
        flux.update(state, m, grads[0])
        return loss

    for i in range(8):
        flux.adjust(state, 0.1 / (i + 1))
        yield step(data(i))
    yield flux.state(m)


def scene_nan_as_a_number(compiled: Any) -> Scene:
    f = compiled(lambda x, a: x * a)
    for i in range(6):
        yield f(data(i), float("nan"))


def scene_modes_that_are_toggled(compiled: Any) -> Scene:
    m = flux.Chain(flux.Dense(3, 4), flux.Dropout(0.5), flux.BatchNorm(4))
    f = compiled(lambda x: m(x))
    for i in range(12):
        (flux.trainmode if i % 2 else flux.testmode)(m)
        yield f(data(i))
    yield flux.state(m)


def scene_results_that_are_kept(compiled: Any) -> Scene:
    f = compiled(lambda x: (x * 2, x + 1, x))
    kept = [f(data(i)) for i in range(8)]
    yield kept


def scene_a_result_that_is_changed(compiled: Any) -> Scene:
    f = compiled(lambda x: x * 2)
    for i in range(6):
        y = f(data(i))
        y[0] = -1.0
        yield y
        yield f(data(i))


def scene_shifted_in_place(compiled: Any) -> Scene:
    @compiled
    def f(x: flux.Tensor) -> None:
        x[1:] = x[:-1]

    x = data(0)
    for _ in range(6):
        f(x)
        yield x.copy()


def scene_two_fields_get_one_tensor(compiled: Any) -> Scene:
    m = types.SimpleNamespace(a=data(0), b=data(1))

    @compiled
    def f(x: flux.Tensor) -> None:
        y = x * 2
        m.a[:] = y
        m.b[:] = y

    for i in range(6):
        f(data(i))
        m.a[0] = float(i)
        yield m.a.copy()
        yield m.b.copy()


def scene_a_view_that_is_read_after_a_write(compiled: Any) -> Scene:
    @compiled
    def f(x: flux.Tensor) -> flux.Tensor:
        y = x * 1
        first = y[0]
        y[0] = 7.0
        return first + y[0]

    for i in range(5):
        yield f(data(i))


class Color(enum.Enum):
    RED = 1
    BLUE = 2


@dataclasses.dataclass
class Setting:
    rate: float
    color: Color = Color.RED


def scene_dataclasses_and_choices(compiled: Any) -> Scene:
    @compiled
    def f(x: flux.Tensor, s: Setting) -> flux.Tensor:
        return x * s.rate if s.color is Color.RED else x - s.rate

    s = Setting(2.0)
    for i in range(9):
        s.color = Color.RED if i < 4 else Color.BLUE
        yield f(data(i), s)
    for i in range(4):
        yield f(data(i), dataclasses.replace(s, rate=9.0))


class Slotted:
    __slots__ = ("a", "b")

    def __init__(self) -> None:
        self.a = 2.0


def scene_slots(compiled: Any) -> Scene:
    ob = Slotted()
    f = compiled(lambda x: x * ob.a + getattr(ob, "b", 0.0))
    for i in range(12):
        if i == 4:
            ob.a = 3.0
        if i == 8:
            ob.b = 1.0
        yield f(data(i))


class Asking:
    """Finds attributes with code of its own."""

    def __init__(self) -> None:
        self.numbers = {"a": 2.0}

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["numbers"][name]
        except KeyError:
            raise AttributeError(name) from None


def scene_attributes_found_by_code(compiled: Any) -> Scene:
    ob = Asking()
    f = compiled(lambda x: x * ob.a)
    for i in range(9):
        ob.numbers["a"] = 2.0 if i < 4 else 6.0
        yield f(data(i))


def scene_a_wrapped_function(compiled: Any) -> Scene:
    def doubling(g: Any) -> Any:
        @functools.wraps(g)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            return g(*args, **kwargs) * 2

        return wrapped

    @compiled
    @doubling
    def f(x: flux.Tensor, *, a: float = 1.0) -> flux.Tensor:
        return x + a

    for i in range(9):
        yield f(data(i)) if i < 4 else f(data(i), a=3.0)


def scene_a_list_as_a_default(compiled: Any) -> Scene:
    def f(x: flux.Tensor, parts: list[float] = [1.0]) -> flux.Tensor:  # noqa: B006
        return x * parts[-1]

    g = compiled(f)
    for i in range(9):
        if i == 4:
            f.__defaults__[0].append(8.0)
        yield g(data(i))


def scene_any_number_of_arguments(compiled: Any) -> Scene:
    f = compiled(lambda *xs: sum(xs[1:], xs[0]))
    for i in range(9):
        yield f(*[data(j) for j in range(1 + i // 3)])


def scene_true_and_one(compiled: Any) -> Scene:
    f = compiled(lambda x, n: x * 2 if n is True else x * 3)
    for i in range(9):
        yield f(data(i), True if i < 3 else 1 if i < 6 else 1.0)


def scene_a_number_in_a_tensor(compiled: Any) -> Scene:
    f = compiled(lambda x, a: x * a)
    for i in range(8):
        yield f(data(i), flux.tensor(float(i)))


def scene_numbers_of_numpy(compiled: Any) -> Scene:
    f = compiled(lambda x, a: x * a)
    for i in range(9):
        yield f(data(i), np.float32(2.0) if i < 4 else np.float64(2.0))


def scene_nothing_is_given_back(compiled: Any) -> Scene:
    f = compiled(lambda x: None)
    for i in range(4):
        yield f(data(i))


def scene_arguments_are_given_back(compiled: Any) -> Scene:
    f = compiled(lambda x, parts: (x, parts))
    for i in range(5):
        x, parts = data(i), [data(i + 9), 3.0]
        y, same = f(x, parts)
        yield y is x, same is parts, y


def scene_a_copy_of_the_model(compiled: Any) -> Scene:
    m = small()
    f = compiled(lambda m, x: m(x))
    for i in range(8):
        if i == 4:
            m = flux.fmap(lambda t: t * 2, m)
        yield f(m, data(i))


class Deep(flux.layers.Layer if hasattr(flux.layers, "Layer") else object):  # type: ignore[misc]
    def __init__(self) -> None:
        self.first, self.gain = flux.Dense(3, 3), 2.0

    def __call__(self, x: flux.Tensor) -> flux.Tensor:
        return self.first(x) * self.gain


class Deeper(Deep):
    def __call__(self, x: flux.Tensor) -> flux.Tensor:
        return super().__call__(x) + self.gain


def scene_a_layer_of_ones_own(compiled: Any) -> Scene:
    m = Deeper()
    f = compiled(lambda x: flux.gradient(lambda m: (m(x) ** 2).sum(), m)[0])
    for i in range(9):
        m.gain = 2.0 if i < 4 else 3.0
        yield f(data(i))


LAYERS: list[Any] = []


def scene_a_global_list_that_grows(compiled: Any) -> Scene:
    LAYERS[:] = [flux.Dense(3, 3)]

    @compiled
    def f(x: flux.Tensor) -> flux.Tensor:
        for layer in LAYERS:
            x = layer(x)
        return x

    for i in range(12):
        if i in (4, 8):
            LAYERS.append(flux.Dense(3, 3, flux.tanh))
        yield f(data(i))


def scene_an_inner_function(compiled: Any) -> Scene:
    @compiled
    def f(x: flux.Tensor, a: float) -> flux.Tensor:
        def inner(y: flux.Tensor) -> flux.Tensor:
            return y * a

        return inner(inner(x))

    for i in range(8):
        yield f(data(i), 2.0 if i < 4 else 3.0)


def scene_half_precision(compiled: Any) -> Scene:
    f = compiled(lambda x: flux.gradient(lambda x: flux.softmax(x * 3).max(axis=1).sum(), x)[0])
    for i in range(8):
        yield f(flux.astype(data(i), "bfloat16" if i < 4 else "float16")).astype("float32")


def scene_an_empty_batch(compiled: Any) -> Scene:
    m = small()
    f = compiled(lambda x: m(x).sum())
    for i in range(9):
        yield f(data(i, rows=0 if i % 2 else 4))


def scene_a_moment_of_test_mode(compiled: Any) -> Scene:
    m = flux.Chain(flux.Dense(3, 4), flux.Dropout(0.5))
    f = compiled(lambda m, x: flux.gradient(lambda m: m(x).sum(), m)[0])
    for i in range(9):
        if i == 3:
            flux.testmode(m)
        if i == 6:
            flux.testmode(m, None)
        yield f(m, data(i))


def scene_a_pause_around_it(compiled: Any) -> Scene:
    f = compiled(lambda x: flux.tanh(x).sum())
    for i in range(8):
        x = data(i)
        yield flux.gradient(lambda x: f(x), x)[0]
        yield flux.gradient(lambda x: flux.stop_gradient(f(x)) * x.sum(), x)[0]
        with flux.paused():
            yield f(x)


def scene_counts_of_an_accumulated_gradient(compiled: Any) -> Scene:
    m = small()
    state = flux.setup(flux.OptimiserChain(flux.AccumGrad(3), flux.Adam(0.05)), m)

    @compiled
    def step(m: Any, state: Any, x: flux.Tensor) -> None:
        flux.update(state, m, flux.gradient(lambda m: (m(x) ** 2).sum(), m)[0])

    for i in range(11):
        step(m, state, data(i))
        yield flux.state(m)


def scene_kept_in_another_object(compiled: Any) -> Scene:
    held = types.SimpleNamespace(mean=flux.zeros(3))

    @compiled
    def f(x: flux.Tensor) -> flux.Tensor:
        held.mean = held.mean * 0.9 + x.mean(axis=0) * 0.1
        return held.mean * 2

    for i in range(7):
        yield f(data(i))
        yield held.mean


def scene_a_jacobian(compiled: Any) -> Scene:
    f = compiled(lambda x: flux.jacobian(lambda x: flux.tanh(x) * x.sum(), x)[0])
    for i in range(5):
        yield f(data(i)[0])


def scene_a_loop_whose_length_is_an_argument(compiled: Any) -> Scene:
    @compiled
    def f(x: flux.Tensor, n: int) -> flux.Tensor:
        for _ in range(n):
            x = flux.sin(x)
        return x

    for i in range(12):
        yield f(data(i), 1 + i // 4)


SCENES = {name[6:]: f for name, f in list(globals().items()) if name.startswith("scene_")}
# What is refused, or never the same twice: it runs as ever.
PLAIN = {"a_generator_that_is_split", "kept_in_another_object", "numbers_of_numpy"}


@pytest.mark.parametrize("name", SCENES)
def test_a_scene_is_the_same_compiled(name: str) -> None:
    both(SCENES[name])


@pytest.mark.parametrize("name", [name for name in SCENES if name not in PLAIN])
def test_a_scene_is_done_again(name: str) -> None:
    assert is_done_again(SCENES[name])


def test_a_number_in_a_tensor_needs_no_other_program() -> None:
    f = flux.compile(lambda x, a: x * a)
    for i in range(20):
        f(data(0), flux.tensor(float(i)))
    assert f.counts[0] == 1
    assert hits(f) == 18


def test_programs_are_kept_for_each_of_two_modes() -> None:
    f = flux.compile(lambda x, flag: x * 2 if flag else x * 3)
    for i in range(20):
        f(data(i), i % 2 == 0)
    assert (f.counts[0], hits(f)) == (2, 16)


def test_a_child_process_goes_on_with_a_compiled_function() -> None:
    m = small()
    f = flux.compile(lambda m, x: flux.gradient(lambda m: (m(x) ** 2).sum(), m)[0])
    for i in range(4):
        f(m, data(i))
    want = bits(flux.gradient(lambda m: (m(data(5)) ** 2).sum(), m)[0])
    child = os.fork()
    if child == 0:
        before = hits(f)
        os._exit(0 if bits(f(m, data(5))) == want and hits(f) == before + 1 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert bits(f(m, data(5))) == want


def test_a_replay_ends_soon_after_ctrl_c() -> None:
    x = flux.eye(768)

    @flux.compile
    def f(x: flux.Tensor) -> flux.Tensor:
        for _ in range(150):
            x = x @ x
        return x

    for _ in range(2):
        f(x)
    start, worked = time.perf_counter(), time.process_time()
    f(x)
    whole, work = time.perf_counter() - start, time.process_time() - worked
    assert hits(f) == 1
    timer = threading.Timer(whole / 10, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    worked = time.process_time()
    with pytest.raises(KeyboardInterrupt):
        f(x)
    # The work that is left out does not depend on what else the machine does.
    assert time.process_time() - worked < work * 0.95


def test_threads_may_train_models_of_their_own() -> None:
    @flux.compile
    def step(m: Any, state: Any, x: flux.Tensor) -> flux.Tensor:
        loss, grads = flux.withgradient(lambda m: (m(x) ** 2).sum(), m)
        flux.update(state, m, grads[0])
        return loss

    def train(step: Any, i: int, found: dict[int, Any]) -> None:
        m = models[i]
        state = flux.setup(flux.Adam(0.05), m)
        for j in range(30):
            step(m, state, data(j))
        found[i] = bits(flux.state(m))

    flux.seed(1)
    first = [small() for _ in range(4)]
    want: dict[int, Any] = {}
    models = [flux.fmap(lambda t: t.copy(), m) for m in first]
    for i in range(4):
        train(step.__wrapped__, i, want)
    models = [flux.fmap(lambda t: t.copy(), m) for m in first]
    found: dict[int, Any] = {}
    threads = [threading.Thread(target=train, args=(step, i, found)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == want


def test_constants_of_programs_are_counted_in_bytes() -> None:
    f = flux.compile(lambda x: x + flux.arange(1000, dtype="float32"))
    for i in range(3):
        f(flux.ones(1000) * i)
    assert 4000 <= f.counts[1] <= 4100


def test_many_steps_of_changing_shapes_keep_memory_flat_and_advise_once() -> None:
    m = small()

    @flux.compile
    def step(m: Any, x: flux.Tensor) -> Any:
        return flux.gradient(lambda m: (m(x) ** 2).sum(), m)[0]

    xs = [data(i, rows=i + 1) for i in range(40)]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for i in range(200):
            step(m, xs[i % 40])
        before = flux.memory_in_use()
        for i in range(10_000):
            step(m, xs[i % 40])
    assert flux.memory_in_use() <= before + 4096
    assert step.counts[0] <= 8
    assert len(told) == 1
    assert "give batches of one shape" in str(told[0].message)


def reasons(f: Any, calls: list[tuple[Any, ...]]) -> str:
    """What is told of a function whose calls differ."""
    g = flux.compile(f)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for args in calls:
            g(*args)
    assert len(told) == 1
    return str(told[0].message)


def test_a_warning_names_what_differed():
    shapes = reasons(lambda x: x + 1.0, [(flux.ones((n, 4)),) for n in range(1, 9) for _ in range(2)])
    assert "argument x: shape (8, 4), was (7, 4)" in shapes
    numbers = reasons(lambda x, scale: x * scale, [(flux.ones(2), i / 10) for i in range(40)])
    assert "at last argument scale: 3.1, was 3.0" in numbers or "argument scale:" in numbers


def test_a_program_tells_why_it_was_made_anew():
    scale, items, options = 0.1, [1.0, 2.0], {"a": 1}

    class Box:
        def __init__(self) -> None:
            self.rate = 1.0

    box = Box()

    def f(x: Any, *, k: float = 1.0) -> Any:
        return x * scale * items[0] * options["a"] * box.rate * k

    g = flux.compile(f)

    def reason(x: Any = flux.ones(2), **kwargs: Any) -> str:  # noqa: B008
        for _ in range(3):
            g(x, **kwargs)
        first = flux.show_program(g).splitlines()[0]
        return first[len("since ") : -1] if first.startswith("since ") else ""

    assert reason() == ""
    scale = 0.2
    assert reason() == "closure scale: 0.2, was 0.1"
    items[0] = 3.0
    assert reason() == "closure items[0]: 3.0, was 1.0"
    options["a"] = 2
    assert reason() == "closure options['a']: 2, was 1"
    box.rate = 5.0
    assert reason() == "closure box.rate: 5.0, was 1.0"
    assert reason(flux.ones((3, 2))) == "argument x: shape (3, 2), was (2,)"
    assert reason(flux.ones((3, 2), dtype=flux.float64)) == "argument x: float64, was float32"


def test_a_counter_is_named():
    class Counts:
        def __init__(self) -> None:
            self.count = 0

        def __call__(self, x: Any) -> Any:
            self.count += 1
            return x + 1.0

    counts = Counts()
    text = reasons(counts, [(flux.ones(2),)] * 6)
    assert ".count: " in text and "was" in text


def test_what_differs_is_told_for_each_kind():
    def told(make: Any, change: Any) -> str:
        f, args = make()
        g = flux.compile(f)
        for _ in range(3):
            g(*args)
        changed = change(f, args)
        for _ in range(3):
            g(*(args if changed is None else changed))
        first = flux.show_program(g).splitlines()[0]
        return first[6:-1] if first.startswith("since ") else ""

    x = flux.ones(3)
    assert (
        told(lambda: (lambda a: a[0], ([x, x + 1.0],)), lambda f, a: ([x],)) == "argument a: 1 items, were 2"
    )
    assert told(lambda: (lambda a: a[0], ([x],)), lambda f, a: ((x,),)) == "argument a: a tuple, was a list"
    assert "argument a['k']" in told(
        lambda: (lambda a: a["k"] * 1.0, ({"k": x},)), lambda f, a: ({"k": x[:2]},)
    )
    frozen = flux.Dense(2, 2)
    text = told(
        lambda: (lambda m, x: m(x), (frozen, flux.ones((1, 2)))),
        lambda f, a: setattr(frozen, "activation", flux.tanh),
    )
    assert text.startswith("argument m.")
    assert "argument b: one" in told(
        lambda: (lambda a, b: a + b, (x, x + 1.0)), lambda f, a: (x, 1.0)
    ) or told(lambda: (lambda a, b: a + b, (x, x + 1.0)), lambda f, a: (x, 1.0)).startswith("argument b: ")


def stale(f: Any, change: Any, x: Any) -> bool:
    """Whether a compiled function, called before and after a change, gives something else than the function itself."""
    compiled = flux.compile(f)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(4):
            compiled(x)
        change()
        return compiled(x).tolist() != f(x).tolist()


def module_of_ones_own() -> Any:
    config = types.ModuleType("a_config_of_ones_own")
    config.K = 2.0
    config.act = lambda x: x * 2
    return config


@pytest.mark.parametrize(
    "held", ["closure", "attribute", "list", "default", "partial", "class", "getter", "sys", "import"]
)
def test_a_module_is_looked_into_wherever_it_is(held: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = module_of_ones_own()
    monkeypatch.setitem(sys.modules, config.__name__, config)
    name = config.__name__

    class Holder:
        place = config

        def __init__(self) -> None:
            self.config = config

    holder, modules = Holder(), [config]
    f = {
        "closure": lambda x: config.act(x) * config.K,
        "attribute": lambda x: holder.config.act(x) * holder.config.K,
        "list": lambda x: modules[0].act(x) * modules[0].K,
        "default": lambda x, config=config: config.act(x) * config.K,
        "partial": functools.partial(lambda config, x: config.act(x) * config.K, config),
        "class": lambda x: Holder.place.act(x) * Holder.place.K,
        "getter": lambda x: x * operator.attrgetter("K")(config),
        "sys": lambda x: x * sys.modules[name].K,
        "import": lambda x: x * importlib.import_module(name).K,
    }[held]
    x = flux.ones(1)
    assert not stale(f, lambda: setattr(config, "K", 5.0), x)
    assert not stale(f, lambda: setattr(config, "act", lambda x: x), x)


K1 = 2.0


@pytest.mark.parametrize(
    "by", ["getattr", "getter", "dir", "members", "method", "format", "tensor", "function", "frame"]
)
def test_names_may_be_computed(by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config, k = module_of_ones_own(), "".join(["K"])
    config.tensor = flux.ones(1)
    f, change = {
        "getattr": (lambda x: x * getattr(config, k), None),
        "getter": (lambda x: x * operator.attrgetter(k)(config), None),
        "dir": (lambda x: x * getattr(config, next(n for n in dir(config) if len(n) == 1)), None),
        "members": (lambda x: x * dict(inspect.getmembers(config))[k], None),
        "method": (lambda x: x * object.__getattribute__(config, k), None),
        "format": (lambda x: x * float(("{0." + k + "}").format(config)), None),
        "tensor": (
            lambda x: x * getattr(config, k + "T"),
            lambda: flux._core.assign(config.KT, config.KT + 3),
        ),
        "function": (
            lambda x: x * module_of_ones_own.__globals__[k + "1"],
            lambda: monkeypatch.setitem(globals(), "K1", 5.0),
        ),
        "frame": (
            lambda x: x * sys._getframe().f_globals[k + "1"],
            lambda: monkeypatch.setitem(globals(), "K1", 5.0),
        ),
    }[by]
    config.KT = flux.ones(1)
    assert not stale(f, change or (lambda: setattr(config, "K", 5.0)), flux.ones(1))


LOOP = """
import oxiflux as flux

class Net:
    def __init__(self):
        self.step = flux.ones(3)

    def __call__(self, x):
        return x * self.step

compiled = flux.compile(Net().__call__)
for step in range(9):
    compiled(flux.ones(3))
print(compiled.counts[2])
"""


def test_an_attribute_is_not_the_global_of_its_name() -> None:
    done = subprocess.run([sys.executable, "-c", LOOP], capture_output=True, text=True, timeout=120)
    assert int(done.stdout) == 7, done.stderr


def test_what_has_no_attributes_to_compare_is_not_compiled() -> None:
    class Meta(type):
        K = 2.0

    class Kind(metaclass=Meta):
        pass

    class Numbers(ctypes.Structure):
        _fields_ = (("a", ctypes.c_double),)

    data, variable, numbers, number = (
        {"a": 2.0},
        contextvars.ContextVar("v", default=2.0),
        Numbers(2.0),
        ctypes.c_double(2.0),
    )
    shown, values, x = types.MappingProxyType(data), data.values(), flux.ones(1)
    for f, change in [
        (lambda x: x * shown["a"], lambda: data.update(a=5.0)),
        (lambda x: x * sum(values), lambda: data.update(a=6.0)),
        (lambda x: x * variable.get(), lambda: variable.set(5.0)),
        (lambda x: x * numbers.a, lambda: setattr(numbers, "a", 5.0)),
        (lambda x: x * number.value, lambda: setattr(number, "value", 5.0)),
        (lambda x: x * Kind.K, lambda: setattr(Meta, "K", 5.0)),
    ]:
        assert not stale(f, change, x)


def test_a_function_of_the_package_may_be_replaced() -> None:
    # In a process of its own, where the module of losses is not imported yet.
    code = """
import oxiflux as flux
f = flux.compile(lambda y: flux.mse(y, y * 2))
before = [f(flux.ones(3)).item() for _ in range(4)]
flux.mse = lambda a, b: a.sum() + 100
print(before, f(flux.ones(3)).item())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[1.0, 1.0, 1.0, 1.0] 103.0\n"


def test_what_a_collection_runs_is_no_part_of_the_function():
    class Loop:
        pass

    def loops():
        for _ in range(3000):
            loop = Loop()
            loop.itself = loop

    def on_collection(phase, info):
        time.perf_counter()

    step = flux.compile(lambda x: (loops(), flux.exp(x))[1])
    gc.callbacks.append(on_collection)
    try:
        for _ in range(4):
            step(flux.ones(3))
    finally:
        gc.callbacks.remove(on_collection)
    assert step.counts[2] == 2 and gc.isenabled()


def test_a_profiler_goes_on_after_a_capture():
    def later():
        pass

    step, profiler = flux.compile(flux.exp), cProfile.Profile()
    profiler.enable()
    step(flux.ones(3))
    later()
    profiler.disable()
    assert "later" in {name for _, _, name in pstats.Stats(profiler).stats}
    names = []
    sys.setprofile(lambda frame, event, arg: names.append(frame.f_code.co_name))
    step(flux.ones(4))
    later()
    sys.setprofile(None)
    assert "later" in names
