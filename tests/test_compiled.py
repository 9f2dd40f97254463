"""What is compiled gives what it would give uncompiled, to the bit, whatever changes between the calls."""

import copy
import functools
import gc
import os
import random
import re
import subprocess
import sys
import threading
import time
import types
import warnings
import weakref
from collections import namedtuple
from typing import Any

import numpy as np
import pytest

import oxiflux as flux
import rules
import zoo
from oxiflux import reached
from test_rule_chains import CHAINS

pytestmark = pytest.mark.filterwarnings("ignore:compile. .* runs as ever:RuntimeWarning")


def bits(x: Any) -> Any:
    """A result as something to compare: classes, structure, and the bits of tensors."""
    if isinstance(x, flux.Tensor):
        return "tensor", str(x.dtype), x.shape, np.ascontiguousarray(x.numpy()).tobytes()
    if isinstance(x, (list, tuple)):
        return type(x).__name__, [bits(y) for y in x]
    if isinstance(x, dict):
        return "dict", [(k, bits(v)) for k, v in x.items()]
    if isinstance(x, types.SimpleNamespace):
        return "namespace", bits(vars(x))
    return type(x).__name__, repr(x)


def data(i: int, rows: int = 4, columns: int = 3, dtype: str = "float32") -> flux.Tensor:
    return flux.tensor(np.random.default_rng(i).normal(size=(rows, columns)).astype(dtype))


def both(play: Any) -> None:
    """Plays a scene with and without compiling; all that it gives must be equal."""
    flux.seed(11)
    plain = [bits(x) for x in play(lambda f: f)]
    flux.seed(11)
    compiled = [bits(x) for x in play(flux.compile)]
    assert compiled == plain


def hits(f: Any) -> int:
    return f.counts[2]


def is_done_again(scene: Any) -> bool:
    """Whether a program serves some call of a scene."""
    made = []

    def compiled(f: Any) -> Any:
        made.append(flux.compile(f))
        return made[-1]

    for _ in scene(compiled):
        pass
    return any(hits(f) > 0 for f in made)


# A step of training, as people write it.


def trained(model: Any, rule: Any, loss: Any = None, calls: int = 7, y: Any = None) -> Any:
    """The scene of some steps of training."""

    def play(compiled: Any) -> list[Any]:
        m = model()
        state = flux.setup(rule(), m)
        f = loss or (lambda m, x, y: flux.mse(m(x), y))

        @compiled
        def step(m: Any, state: Any, x: flux.Tensor, y: flux.Tensor) -> Any:
            value, grads = flux.withgradient(lambda m: f(m, x, y), m)
            flux.update(state, m, grads[0])
            return value

        y_of = y or (lambda i: data(i + 50, columns=2))
        seen = [step(m, state, data(i), y_of(i)) for i in range(calls)]
        return [
            *seen,
            *(t for _, t in flux.trainables(m, path=True)),
            flux.state(m),
            flux.rand(2),
            state_of(state),
        ]

    return play


def state_of(state: Any) -> Any:
    return [repr(part) for part in flux.modules(state)] if not isinstance(state, flux.Leaf) else repr(state)


# Every rule of the tests of rules, alone and in chains.
RULES: dict[str, Any] = {
    **{
        name: lambda rule=rule: copy.deepcopy(rule)
        for name, (rule, *_) in zip(rules.NAMES, rules.ROWS, strict=True)
    },
    **CHAINS,
    "AccumGrad(3)": lambda: flux.OptimiserChain(flux.AccumGrad(3), flux.Adam(0.05)),
}


def small() -> Any:
    return flux.Chain(flux.Dense(3, 5, flux.tanh), flux.Dense(5, 2))


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_takes_the_steps_that_it_takes_uncompiled(rule: str) -> None:
    both(trained(small, RULES[rule]))


@pytest.mark.parametrize("name", zoo.ROWS)
def test_every_layer_and_its_gradient_are_the_same_compiled(name: str) -> None:
    row = zoo.ROWS[name]

    def play(compiled: Any) -> Any:
        layer = row.layer()
        forward = compiled(lambda m, *xs: m(*xs))

        def total(m: Any, *xs: Any) -> flux.Tensor:
            return sum(((t * t).sum() for _, t in flux._core.leaves(m(*xs))), start=flux.zeros(()))

        backward = compiled(lambda m, *xs: flux.gradient(lambda m: total(m, *xs), m)[0])
        for i in range(4):
            xs = [flux.tensor(np.roll(x, i)) for x in row.inputs(3)]
            yield forward(layer, *xs)
            yield backward(layer, *xs)
        yield flux.state(layer)
        yield flux.rand(1)

    both(play)


MODELS = {
    "batchnorm": lambda: flux.Chain(flux.Dense(3, 6, flux.relu), flux.BatchNorm(6), flux.Dense(6, 2)),
    "dropout": lambda: flux.Chain(flux.Dense(3, 6, flux.relu), flux.Dropout(0.5), flux.Dense(6, 2)),
    "alpha dropout": lambda: flux.Chain(
        flux.Dense(3, 6, flux.selu), flux.AlphaDropout(0.3), flux.Dense(6, 2)
    ),
    "layernorm": lambda: flux.Chain(flux.Dense(3, 6), flux.LayerNorm(6), flux.Dense(6, 2)),
    "skip": lambda: flux.Chain(
        flux.SkipConnection(flux.Dense(3, 3, flux.gelu), lambda a, b: a + b), flux.Dense(3, 2)
    ),
    "parallel": lambda: flux.Chain(
        flux.Parallel(lambda a, b: a * b, flux.Dense(3, 4), flux.Dense(3, 4)), flux.Dense(4, 2)
    ),
    "function": lambda: flux.Chain(flux.Dense(3, 4), lambda h: h * 2 + 1, flux.Dense(4, 2)),
    "half": lambda: flux.f16(small()),
    "float64": lambda: flux.f64(small()),
}


@pytest.mark.parametrize("name", MODELS)
def test_every_model_learns_what_it_learns_uncompiled(name: str) -> None:
    both(trained(MODELS[name], lambda: flux.Adam(0.05)))


def test_labels_of_each_batch_are_read_and_checked() -> None:
    def loss(m: Any, x: flux.Tensor, y: flux.Tensor) -> flux.Tensor:
        return flux.logitcrossentropy(m(x), y)

    def labels(i: int) -> flux.Tensor:
        return flux.tensor(np.random.default_rng(i).integers(0, 2, 4))

    both(trained(small, flux.Adam, loss, y=labels))

    @flux.compile
    def f(x: flux.Tensor, y: flux.Tensor) -> flux.Tensor:
        return flux.logitcrossentropy(x, y)

    x = data(0)
    for i in range(4):
        f(x, flux.tensor([0, 1, 2, i % 3]))
    assert hits(f) == 2
    with pytest.raises(IndexError, match="label 3 at position 3"):
        f(x, flux.tensor([0, 1, 2, 3]))


def test_a_step_is_done_again_and_not_run() -> None:
    @flux.compile
    def step(m: Any, state: Any, x: flux.Tensor, y: flux.Tensor) -> flux.Tensor:
        value, grads = flux.withgradient(lambda m: flux.mse(m(x), y), m)
        flux.update(state, m, grads[0])
        return value

    m = small()
    state = flux.setup(flux.Adam(), m)
    for i in range(6):
        step(m, state, data(i), data(i, columns=2))
    programs, _, fitted, missed = step.counts
    assert (programs, fitted, missed) == (1, 4, 2)


# What may change between two calls: each scene is a list of results. `f` is compiled or not.


class Scaled:
    factor = 2.0

    def __init__(self, scale: float = 1.0) -> None:
        self.scale, self.act, self.parts, self.calls = scale, flux.tanh, [1.0, 2.0], 0

    @property
    def twice(self) -> float:
        return self.scale * 2

    def __call__(self, x: flux.Tensor) -> flux.Tensor:
        return self.act(x) * self.scale * self.factor + self.parts[0] + self.twice

    def helper(self, x: flux.Tensor) -> flux.Tensor:
        return x * self.scale


SETTING = 3.0


def setting(x: flux.Tensor) -> flux.Tensor:
    return x * SETTING


def other_setting(x: flux.Tensor) -> flux.Tensor:
    return x * 100


CHOSEN = setting


def scene_closure_rebound(compiled: Any) -> Any:
    a = 2.0

    @compiled
    def f(x: flux.Tensor) -> flux.Tensor:
        return x * a

    for i in range(9):
        a = 2.0 if i < 4 else 5.0
        yield f(data(i))


def scene_global_changed(compiled: Any) -> Any:
    f = compiled(setting)
    try:
        for i in range(9):
            globals()["SETTING"] = 3.0 if i < 4 else -1.0
            yield f(data(i))
    finally:
        globals()["SETTING"] = 3.0


def scene_global_function_replaced(compiled: Any) -> Any:
    @compiled
    def f(x: flux.Tensor) -> flux.Tensor:
        return CHOSEN(x)

    try:
        for i in range(9):
            globals()["CHOSEN"] = setting if i < 4 else other_setting
            yield f(data(i))
    finally:
        globals()["CHOSEN"] = setting


def scene_code_replaced(compiled: Any) -> Any:
    def helper(x: flux.Tensor) -> flux.Tensor:
        return x + 1

    f = compiled(lambda x: helper(x))
    for i in range(9):
        if i == 4:
            helper.__code__ = (lambda x: x - 1).__code__
        yield f(data(i))


def scene_list_in_closure(compiled: Any) -> Any:
    numbers = [1.0, 2.0]
    f = compiled(lambda x: x * numbers[0] + numbers[-1])
    for i in range(12):
        if i == 4:
            numbers[0] = 7.0
        if i == 8:
            numbers.append(9.0)
        yield f(data(i))


def scene_method(compiled: Any) -> Any:
    ob = Scaled()
    f = compiled(ob.helper)
    for i in range(9):
        ob.scale = 1.0 if i < 4 else 3.0
        yield f(data(i))


def scene_decorated_method(compiled: Any) -> Any:
    class Own(Scaled):
        @compiled
        def helper(self, x: flux.Tensor) -> flux.Tensor:
            return x * self.scale

    a, b = Own(2.0), Own(3.0)
    for i in range(9):
        yield a.helper(data(i))
        yield b.helper(data(i))


def scene_partial(compiled: Any) -> Any:
    part = functools.partial(lambda a, x, b=1.0: x * a + b, 2.0, b=4.0)
    f = compiled(part)
    for i in range(6):
        yield f(data(i))
    part.keywords["b"] = 5.0
    for i in range(6):
        yield f(data(i))


def scene_default(compiled: Any) -> Any:
    def helper(x: flux.Tensor, a: float = 2.0, *, b: float = 1.0) -> flux.Tensor:
        return x * a + b

    f = compiled(lambda x: helper(x))
    for i in range(12):
        if i == 4:
            helper.__defaults__ = (3.0,)
        if i == 8:
            helper.__kwdefaults__["b"] = 6.0
        yield f(data(i))


def scene_class_attribute(compiled: Any) -> Any:
    class Own(Scaled):
        pass

    ob = Own()
    f = compiled(lambda x: ob(x))
    for i in range(12):
        if i == 4:
            Own.factor = 8.0
        if i == 8:
            Own.twice = property(lambda self: 100.0)
        yield f(data(i))


def scene_method_replaced(compiled: Any) -> Any:
    class Own(Scaled):
        pass

    ob = Own()
    f = compiled(lambda x: ob.helper(x))
    for i in range(12):
        if i == 4:
            Own.helper = lambda self, x: x + 5
        if i == 8:
            ob.helper = lambda x: x + 6
        yield f(data(i))


def scene_counter(compiled: Any) -> Any:
    class Counting(Scaled):
        def __call__(self, x: flux.Tensor) -> flux.Tensor:
            self.calls += 1
            return x * self.calls

    ob = Counting()
    f = compiled(lambda x: ob(x))
    for i in range(8):
        yield f(data(i))
    yield ob.calls


def scene_counter_in_a_cell(compiled: Any) -> Any:
    n = 0

    @compiled
    def f(x: flux.Tensor) -> flux.Tensor:
        nonlocal n
        n += 1
        return x * n

    for i in range(8):
        yield f(data(i))
    yield n


def scene_list_appended(compiled: Any) -> Any:
    seen: list[Any] = []

    @compiled
    def f(x: flux.Tensor) -> flux.Tensor:
        y = x * 2
        seen.append(y)
        return y

    for i in range(6):
        yield f(data(i))
    yield seen


def scene_parameter_replaced(compiled: Any) -> Any:
    m = flux.Dense(3, 2)
    f = compiled(lambda x: m(x))
    for i in range(9):
        if i == 4:
            m.weight = data(100, 3, 2)
        yield f(data(i))


def scene_parameter_of_another_size(compiled: Any) -> Any:
    m = flux.Dense(3, 2, bias=False)
    f = compiled(lambda x: m(x))
    for i in range(9):
        if i == 4:
            m = flux.Dense(3, 6, bias=False)
        yield f(data(i))


def scene_activation_replaced(compiled: Any) -> Any:
    m = flux.Dense(3, 2, flux.relu)
    f = compiled(lambda x: m(x))
    for i in range(9):
        if i == 4:
            m.activation = flux.tanh
        yield f(data(i))


def scene_layer_replaced(compiled: Any) -> Any:
    layers = [flux.Dense(3, 3), flux.Dense(3, 3, flux.tanh)]

    @compiled
    def f(x: flux.Tensor) -> flux.Tensor:
        for layer in layers:
            x = layer(x)
        return x

    for i in range(12):
        if i == 4:
            layers[1] = flux.Dense(3, 3, flux.relu)
        if i == 8:
            layers.append(flux.Dense(3, 2))
        yield f(data(i))


def scene_tied_then_untied(compiled: Any) -> Any:
    w = data(7, 3, 3)
    m = {"a": w, "b": w}
    f = compiled(lambda m, x: flux.gradient(lambda m: (x @ m["a"] @ m["b"]).sum(), m)[0])
    for i in range(12):
        if i == 4:
            m["b"] = data(8, 3, 3)
        if i == 8:
            m["b"] = m["a"]
        yield f(m, data(i))


def scene_testmode(compiled: Any) -> Any:
    m = flux.Chain(flux.Dense(3, 4), flux.BatchNorm(4), flux.Dropout(0.5))
    f = compiled(lambda x: m(x))
    for i in range(15):
        if i % 5 == 0:
            (flux.trainmode if i % 2 else flux.testmode)(m)
        yield f(data(i))
    yield flux.state(m)


def steps(compiled: Any, between: Any, rule: Any = None, model: Any = small, calls: int = 10) -> Any:
    m = model()
    state = flux.setup(flux.Adam(0.05) if rule is None else rule, m)

    @compiled
    def step(m: Any, state: Any, x: flux.Tensor, y: flux.Tensor) -> flux.Tensor:
        value, grads = flux.withgradient(lambda m: flux.mse(m(x), y), m)
        flux.update(state, m, grads[0])
        return value

    for i in range(calls):
        m, state = between(i, m, state) or (m, state)
        yield step(m, state, data(i), data(i + 50, columns=2))
    yield flux.state(m)
    yield state_of(state)


def scene_adjusted(compiled: Any) -> Any:
    return steps(compiled, lambda i, m, s: flux.adjust(s, 0.05 / (i + 1)) and None)


def scene_frozen_halfway(compiled: Any) -> Any:
    def between(i: int, m: Any, s: Any) -> None:
        if i == 4:
            flux.freeze(s.layers[0])
        if i == 7:
            flux.thaw(s.layers[0])

    return steps(compiled, between)


def scene_loaded_halfway(compiled: Any) -> Any:
    def between(i: int, m: Any, s: Any) -> Any:
        if i == 5:
            flux.loadmodel(m, small())
        if i == 7:
            return m, flux.setup(flux.Adam(0.01), m)
        return None

    return steps(compiled, between)


def scene_assigned_halfway(compiled: Any) -> Any:
    def between(i: int, m: Any, s: Any) -> None:
        if i >= 4:
            m.layers[0].weight[0] = float(i)

    return steps(compiled, between)


def scene_other_rule_halfway(compiled: Any) -> Any:
    def between(i: int, m: Any, s: Any) -> Any:
        return (m, flux.setup(flux.Momentum(0.1), m)) if i == 5 else None

    return steps(compiled, between)


def scene_rule_written_in_python(compiled: Any) -> Any:
    class Own(flux.optimisers.Rule):
        eta = 0.1

        def init(self, x: flux.Tensor) -> Any:
            return flux.zeros_like(x)

        def apply(self, state: Any, x: flux.Tensor, dx: flux.Tensor) -> Any:
            state = state * 0.5 + dx
            return state, state * self.eta

    return steps(compiled, lambda i, m, s: None, Own())


def scene_two_models_share_a_layer(compiled: Any) -> Any:
    shared = flux.Dense(3, 3)
    a, b = flux.Chain(shared, flux.Dense(3, 1)), flux.Chain(shared, flux.Dense(3, 2))
    f = compiled(lambda a, b, x: flux.gradient(lambda a, b: a(x).sum() * b(x).sum(), a, b))
    for i in range(6):
        yield f(a, b, data(i))


def scene_dtypes(compiled: Any) -> Any:
    m = flux.Dense(3, 2)
    f = compiled(lambda x: m(x))
    for i in range(12):
        yield f(data(i, dtype="float32" if i % 4 < 2 else "float64"))


def scene_sizes(compiled: Any) -> Any:
    m = small()
    f = compiled(lambda m, x: flux.gradient(lambda m: m(x).sum(), m)[0])
    for i in range(16):
        yield f(m, data(i, rows=[4, 4, 4, 2, 0, 1][i % 6]))


def scene_layouts(compiled: Any) -> Any:
    m = flux.Dense(3, 2)
    f = compiled(lambda x: m(x) + x[:, :2])
    for i in range(9):
        yield f(data(i, 3, 3).T if i % 3 else data(i, 3, 3))


def scene_numbers(compiled: Any) -> Any:
    f = compiled(lambda x, a: x * a)
    for i in range(6):
        yield f(data(i), 2.0)
    for a in (2, True, 2.5, -0.0, 0.0, float("nan"), float("nan"), np.float32(2), 2.0):
        yield f(data(1), a)


class Count(int):
    pass


def scene_numbers_of_a_class_of_their_own(compiled: Any) -> Any:
    f = compiled(lambda x, a: x * int(a))
    for i in range(8):
        yield f(data(i), Count(2 if i < 4 else 3))
    for i in range(8):
        yield f(data(i), np.int64(2 if i < 4 else 3))


def scene_signs_of_zero(compiled: Any) -> Any:
    f = compiled(lambda x, a: flux.atan2(x * 0, flux.tensor(float(a.real))))
    for i in range(12):
        zero = 0.0 if i < 6 else -0.0
        yield f(data(i), complex(zero, 0))
        yield f(data(i), np.float32(zero))


def scene_sets_and_ranges(compiled: Any) -> Any:
    held = {"set": {1, 2}, "range": range(0), "slice": slice(0, 2)}
    f = compiled(lambda x: x[held["slice"]] * len(held["set"]) + held["range"].start)
    for i in range(16):
        if i == 4:
            held["set"].add(3)
        if i == 8:
            held["range"] = range(1, 1)
        if i == 12:
            held["slice"] = slice(1, 2)
        yield f(data(i))


def scene_a_module_with_the_name_of_a_library(compiled: Any) -> Any:
    module = types.ModuleType("statistics")
    module.__file__ = "/home/somebody/statistics.py"
    exec("rate = 2.0\ndef scaled(x):\n    return x * rate", vars(module))
    known = sys.modules.pop("statistics", None)
    sys.modules["statistics"] = module
    reached.is_trusted.cache_clear()
    try:
        f = compiled(lambda x: module.scaled(x))
        for i in range(9):
            module.rate = 2.0 if i < 4 else 3.0
            yield f(data(i))
    finally:
        sys.modules.pop("statistics")
        if known is not None:
            sys.modules["statistics"] = known
        reached.is_trusted.cache_clear()


def scene_keywords(compiled: Any) -> Any:
    f = compiled(lambda x, **more: x * more.get("a", 1.0) - more.get("b", 0.0))
    for i in range(4):
        yield f(data(i))
        yield f(data(i), a=2.0)
        yield f(data(i), b=2.0)
        yield f(data(i), a=2.0, b=3.0)
        yield f(data(i), b=3.0, a=2.0)


def scene_texts_and_flags(compiled: Any) -> Any:
    f = compiled(lambda x, how, on: flux.relu(x) if how == "relu" and on else flux.tanh(x))
    for i in range(4):
        for how, on in [("relu", True), ("relu", False), ("tanh", True)]:
            yield f(data(i), how, on)


def scene_same_tensor_twice(compiled: Any) -> Any:
    f = compiled(lambda x, y: x * 2 - y)
    for i in range(9):
        x = data(i)
        yield f(x, x) if i % 3 else f(x, data(i + 1))


def scene_views_of_one_memory(compiled: Any) -> Any:
    f = compiled(lambda x, y: x[:2] * 2 - y)
    for i in range(9):
        x = data(i)
        yield f(x, x[:2] if i < 5 else data(i + 1)[:2])


def scene_copies_that_share(compiled: Any) -> Any:
    f = compiled(lambda x, y: x * 2 - y)
    for i in range(9):
        x = data(i)
        yield f(x, flux.asarray(x) if i < 5 else data(i + 1))


def scene_branch_on_a_value(compiled: Any) -> Any:
    f = compiled(lambda x: x * 2 if x.sum() > 0 else x - 1)
    for i in range(10):
        yield f(data(i))


def scene_item(compiled: Any) -> Any:
    f = compiled(lambda x: x * x.max().item())
    for i in range(6):
        yield f(data(i))


def scene_numpy_round_trip(compiled: Any) -> Any:
    f = compiled(lambda x: flux.tensor(np.sort(x.numpy())))
    for i in range(6):
        yield f(data(i))


def scene_nonzero(compiled: Any) -> Any:
    f = compiled(lambda x: x.sum() / len(flux.nonzero(x > 0)[0]))
    for i in range(8):
        yield f(data(i))


def scene_mask(compiled: Any) -> Any:
    f = compiled(lambda x: x[x > 0].sum())
    for i in range(8):
        yield f(data(i))


def scene_indices(compiled: Any) -> Any:
    f = compiled(lambda x, i: x[i] + flux.take(x, i, axis=0) + x[0])
    for i in range(8):
        yield f(data(i), flux.tensor([i % 4, -1, (i + 1) % 4]))


def scene_embedding(compiled: Any) -> Any:
    m = flux.Embedding(5, 3)
    f = compiled(lambda m, i: flux.gradient(lambda m: (m(i) ** 2).sum(), m)[0])
    for i in range(8):
        yield f(m, flux.tensor([i % 5, 4, (i + 1) % 5]))


def scene_onehot(compiled: Any) -> Any:
    f = compiled(lambda i: flux.onehotbatch(i, range(5)) * 1.0)
    for i in range(8):
        yield f(flux.tensor([i % 5, 4, (i + 1) % 5]))


def scene_where_and_topk(compiled: Any) -> Any:
    f = compiled(
        lambda x: (flux.where(x > 0, x, 0.1 * x), flux.topk(x, 2), flux.argmax(x, axis=1), flux.sort(x))
    )
    for i in range(6):
        yield f(data(i))


def scene_numpy_in_a_closure(compiled: Any) -> Any:
    w = np.array([1.0, 2.0, 3.0], dtype=np.float32)
    f = compiled(lambda x: x * w + float(w[0]))
    for i in range(10):
        if i >= 4:
            w[i % 3] += 1
        yield f(data(i))


def scene_numpy_argument(compiled: Any) -> Any:
    m = flux.Dense(3, 2)
    f = compiled(lambda x: m(x) * float(x[0, 0]))
    x = np.ones((4, 3), dtype=np.float32)
    for i in range(10):
        if i > 5:
            x[0, 0] = i
        yield f(x.copy() if i % 2 else x)


def scene_argument_mutated(compiled: Any) -> Any:
    @compiled
    def f(x: flux.Tensor) -> flux.Tensor:
        x[0] = 1.0
        return x * 2

    for i in range(6):
        x = data(i)
        yield f(x)
        yield x


def scene_container_mutated(compiled: Any) -> Any:
    @compiled
    def f(parts: list[Any], x: flux.Tensor) -> flux.Tensor:
        parts.append(x)
        return x * len(parts)

    for i in range(5):
        parts: list[Any] = []
        yield f(parts, data(i))
        yield parts


def scene_attribute_set_to_a_tensor(compiled: Any) -> Any:
    ob = Scaled()
    ob.h = data(1)

    @compiled
    def f(x: flux.Tensor) -> flux.Tensor:
        ob.h = flux.tanh(ob.h + x)
        return ob.h

    for i in range(6):
        yield f(data(i))
    yield ob.h


def scene_made_lazily(compiled: Any) -> Any:
    ob = Scaled()
    ob.w = None

    @compiled
    def f(x: flux.Tensor) -> flux.Tensor:
        if ob.w is None:
            ob.w = flux.ones(3)
        return x * ob.w

    for i in range(7):
        yield f(data(i))


def scene_recursive(compiled: Any) -> Any:
    def power(x: flux.Tensor, n: int) -> flux.Tensor:
        return x if n == 1 else x * power(x, n - 1)

    f = compiled(power)
    for i in range(8):
        yield f(data(i), 1 + i // 4 * 2)


def scene_generator_as_data(compiled: Any) -> Any:
    f = compiled(lambda xs: next(xs) * 2)
    xs = (data(i) for i in range(20))
    for _ in range(6):
        yield f(xs)


def scene_generator_of_numbers(compiled: Any) -> Any:
    rng = flux.Generator(5)
    f = compiled(lambda x: x + rng.rand(4, 3) * rng.randn(3) + rng.randint(0, 9, (4, 1)))
    for i in range(8):
        if i == 5:
            rng.set_state((9, 0))
        yield f(data(i))
    yield rng.get_state()


def scene_shared_generator(compiled: Any) -> Any:
    f = compiled(lambda x: flux.rand(4, 3) * x + flux.randn(3))
    for i in range(8):
        if i == 5:
            flux.seed(4)
        yield f(data(i))
        yield flux.rand(1)


def scene_generator_made_inside(compiled: Any) -> Any:
    f = compiled(lambda x: flux.Generator(3).rand(4, 3) * x)
    for i in range(5):
        yield f(data(i))


def scene_python_random(compiled: Any) -> Any:
    random.seed(3)
    f = compiled(lambda x: x * random.random())
    for i in range(6):
        yield f(data(i))


def scene_numpy_random(compiled: Any) -> Any:
    np.random.seed(3)  # noqa: NPY002
    f = compiled(lambda x: x * float(np.random.rand()))  # noqa: NPY002
    for i in range(6):
        yield f(data(i))


def scene_numpy_generator(compiled: Any) -> Any:
    rng = np.random.default_rng(3)
    f = compiled(lambda x: x if rng.random() > 0.2 else x + 1)
    for i in range(12):
        yield f(data(i))


def scene_exception_halfway(compiled: Any) -> Any:
    m = small()
    state = flux.setup(flux.Adam(), m)

    @compiled
    def step(m: Any, state: Any, x: flux.Tensor, y: flux.Tensor) -> flux.Tensor:
        value, grads = flux.withgradient(lambda m: flux.logitcrossentropy(m(x), y), m)
        flux.update(state, m, grads[0])
        return value

    for i in range(9):
        y = [0, 1, 1, 2 if i in (3, 6) else 0]
        try:
            yield step(m, state, data(i), flux.tensor(y))
        except IndexError as error:
            yield str(error)
    yield flux.state(m)


def scene_caught_error(compiled: Any) -> Any:
    @compiled
    def f(x: flux.Tensor, y: flux.Tensor) -> flux.Tensor:
        try:
            return flux.logitcrossentropy(x, y)
        except IndexError:
            return x.sum()

    for i in range(9):
        yield f(data(i), flux.tensor([0, 1, 1, 3 if i % 2 else 0]))


def scene_gradient_of_compiled(compiled: Any) -> Any:
    m = small()
    f = compiled(lambda m, x: flux.tanh(m(x)).sum())
    for i in range(6):
        yield f(m, data(i))
        yield flux.gradient(lambda m, i=i: f(m, data(i)), m)[0]


def scene_compiled_of_compiled(compiled: Any) -> Any:
    inner = compiled(lambda x, a: flux.exp(x) * a)
    f = compiled(lambda x, a: inner(x, a) + inner(x, 2.0))
    for i in range(6):
        yield f(data(i), 1.0)
        yield inner(data(i), 1.0)


def scene_hessian(compiled: Any) -> Any:
    f = compiled(lambda x: flux.hessian(lambda z: (z**3 * z.sum()).sum(), x))
    for i in range(5):
        yield f(data(i, 1, 3)[0])


def scene_second_derivative_in_a_loss(compiled: Any) -> Any:
    m = flux.Chain(flux.Dense(1, 4, flux.tanh), flux.Dense(4, 1))
    state = flux.setup(flux.Adam(0.05), m)

    @compiled
    def step(m: Any, state: Any, x: flux.Tensor) -> flux.Tensor:
        def loss(m: Any) -> flux.Tensor:
            slope = lambda z: flux.gradient(lambda z: m(z).sum(), z)[0]
            bend = flux.gradient(lambda z: slope(z).sum(), x)[0]
            return ((bend + flux.sin(x)) ** 2).mean()

        value, grads = flux.withgradient(loss, m)
        flux.update(state, m, grads[0])
        return value

    for i in range(6):
        yield step(m, state, data(i, 5, 1))
    yield flux.state(m)


def scene_checkpoint(compiled: Any) -> Any:
    m = small()
    f = compiled(lambda m, x: flux.gradient(lambda m: flux.checkpoint(m, x).sum(), m)[0])
    for i in range(5):
        yield f(m, data(i))


def scene_ignored(compiled: Any) -> Any:
    f = compiled(lambda x: flux.gradient(lambda x: (x * flux.ignore_derivatives(lambda: x**2)).sum(), x)[0])
    for i in range(5):
        yield f(data(i))


def scene_results(compiled: Any) -> Any:
    Pair = namedtuple("Pair", "a b")
    shared = [1, "two"]

    def f(x: flux.Tensor) -> Any:
        y = x * 2
        return {
            "y": y,
            "again": y,
            "x": x,
            "list": [y + 1, None, 3.5],
            "pair": Pair(x, y),
            "shared": shared,
            "t": (1,),
        }

    f = compiled(f)
    for i in range(5):
        x = data(i)
        r = f(x)
        yield r
        yield (
            r["x"] is x and r["pair"].a is x and r["y"] is r["again"] is r["pair"].b and r["shared"] is shared
        )


def scene_result_changed_by_its_owner(compiled: Any) -> Any:
    f = compiled(lambda x: (x + 1, flux.zeros(3), x.reshape(-1)))
    for i in range(6):
        x = data(i)
        a, b, c = f(x)
        a[0], b[0], c[0] = 5.0, 6.0, 7.0
        yield a, b, c, x


def scene_constant_made_inside(compiled: Any) -> Any:
    f = compiled(
        lambda x: x * flux.arange(3) + flux.eye(3)[0] + flux.tensor([1.0, 2.0, 3.0]) + [0.5, 0.25, 2]
    )
    for i in range(5):
        yield f(data(i))


def scene_nested_arguments(compiled: Any) -> Any:
    f = compiled(lambda d: d["a"][0] * d["b"] + d["c"][1])
    for i in range(8):
        yield f({"a": (data(i),), "b": 2.0 if i < 5 else 3.0, "c": [None, data(i + 1)]})
        yield f({"b": 2.0, "a": (data(i),), "c": [None, data(i + 1)]})


def scene_gradients_then_update_outside(compiled: Any) -> Any:
    m = small()
    state = flux.setup(flux.Adam(0.05), m)
    f = compiled(lambda m, x: flux.withgradient(lambda m: flux.mse(m(x), x[:, :2]), m))
    for i in range(7):
        value, grads = f(m, data(i))
        flux.update(state, m, grads[0])
        yield value
    yield flux.state(m)


def scene_two_updates(compiled: Any) -> Any:
    m = small()
    state = flux.setup(flux.Adam(0.05), m)

    @compiled
    def step(m: Any, state: Any, x: flux.Tensor) -> Any:
        values = []
        for _ in range(2):
            value, grads = flux.withgradient(lambda m: flux.mse(m(x), x[:, :2]), m)
            flux.update(state, m, grads[0])
            values.append(value)
        return values, m(x)

    for i in range(6):
        yield step(m, state, data(i))
    yield flux.state(m)


def scene_attention_and_convolution(compiled: Any) -> Any:
    attend, conv = flux.MultiHeadAttention(4, nheads=2), flux.Conv((3,), 4, 2, pad=1)
    f = compiled(lambda m, x: flux.gradient(lambda m: m[1](m[0](x)).sum(), m)[0])
    for i in range(5):
        yield f([attend, conv], flux.tensor(np.random.default_rng(i).normal(size=(2, 5, 4)).astype("f")))


def scene_recurrent(compiled: Any) -> Any:
    m = flux.Chain(flux.LSTM(3, 4), flux.GRU(4, 2))
    f = compiled(lambda m, x: flux.gradient(lambda m: m(x).sum(), m)[0])
    for i in range(5):
        yield f(m, flux.tensor(np.random.default_rng(i).normal(size=(2, 5, 3)).astype("f")))


def scene_nothing_given(compiled: Any) -> Any:
    w = data(1)
    f = compiled(lambda: w * 2)
    for i in range(6):
        w[0] = float(i)
        yield f()


def scene_values_too_large(compiled: Any) -> Any:
    f = compiled(lambda x, y: x + y)
    for i in range(5):
        yield f(data(i), np.full((4, 3), 2.0))
    try:
        yield f(data(1), np.full((4, 3), 1e300))
    except OverflowError as error:
        yield str(error)


def scene_integer_division(compiled: Any) -> Any:
    f = compiled(lambda x, y: x // y)
    for i in range(8):
        try:
            yield f(flux.tensor([7, 8]), flux.tensor([2, i % 4]))
        except ValueError as error:
            yield str(error)


SCENES = {name[6:]: scene for name, scene in list(globals().items()) if name.startswith("scene_")}


@pytest.mark.parametrize("name", SCENES)
def test_a_scene_is_the_same_compiled(name: str) -> None:
    both(SCENES[name])


# Which of them are done again: a refusal where none is needed is a fault, too.
FAST = [
    "closure_rebound", "global_changed", "global_function_replaced", "list_in_closure", "method", "partial", "default",
    "class_attribute", "method_replaced", "parameter_replaced", "activation_replaced", "layer_replaced", "testmode",
    "tied_then_untied", "adjusted", "frozen_halfway", "loaded_halfway", "assigned_halfway", "sizes", "indices",
    "embedding", "generator_of_numbers", "shared_generator", "gradients_then_update_outside", "two_updates",
    "recursive",
    "second_derivative_in_a_loss", "ignored", "results", "constant_made_inside", "recurrent", "nothing_given",
    "attention_and_convolution", "same_tensor_twice", "texts_and_flags", "numpy_in_a_closure", "exception_halfway",
]  # fmt: skip


@pytest.mark.parametrize("name", FAST)
def test_a_scene_is_done_again(name: str) -> None:
    assert is_done_again(SCENES[name])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("branch_on_a_value", r"a value is looked at.*test_compiled.py:\d+"),
        ("item", r"a value is looked at.*test_compiled.py:\d+"),
        ("numpy_round_trip", r"a value is looked at.*test_compiled.py:\d+"),
        ("counter", "changes what the next depends on"),
        ("list_appended", "changes what the next depends on"),
        ("python_random", r"calls .*random.*test_compiled.py:\d+"),
        ("numpy_generator", "random generator of NumPy"),
        ("generator_as_data", "may move on"),
        ("rule_written_in_python", "optimiser"),
    ],
)
def test_what_cannot_be_done_again_says_so_once(name: str, words: str) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in SCENES[name](flux.compile):
            pass
    assert len(told) == 1
    assert told[0].category is RuntimeWarning
    assert re.search(words, str(told[0].message)), told[0].message


def test_a_clock_is_noticed() -> None:
    f = flux.compile(lambda x: x * 0 + time.perf_counter_ns() % 10**6)
    with pytest.warns(RuntimeWarning, match="time"):
        first, second = f(data(0)), f(data(0))
    assert bits(first) != bits(second)


def test_shapes_without_end_keep_few_programs_and_say_so_once() -> None:
    f = flux.compile(lambda x: flux.tanh(x).sum())
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for i in range(300):
            assert bits(f(flux.ones(i + 1))) == bits(flux.tanh(flux.ones(i + 1)).sum())
    assert f.counts[0] <= 8
    assert len(told) == 1


def test_a_function_that_is_gone_leaves_nothing() -> None:
    model = small()
    f = flux.compile(lambda x: model(x))
    for i in range(5):
        f(data(i))
    assert hits(f) == 3
    gone = weakref.ref(f)
    del f
    gc.collect()
    assert gone() is None


def test_a_function_that_names_itself_leaves_nothing() -> None:
    def made() -> Any:
        @flux.compile
        def f(x: flux.Tensor, n: int) -> flux.Tensor:
            return x if n == 0 else f(x * 2, n - 1)

        for i in range(5):
            f(data(i), 2)
        assert hits(f) == 3
        return weakref.ref(f)

    gone = made()
    gc.collect()
    assert gone() is None


def test_threads_may_share_a_function() -> None:
    m = small()
    f = flux.compile(lambda m, x: flux.gradient(lambda m: flux.tanh(m(x)).sum(), m)[0])
    want = [bits(flux.gradient(lambda m, i=i: flux.tanh(m(data(i))).sum(), m)[0]) for i in range(4)]
    failed: list[int] = []

    def work(i: int) -> None:
        failed.extend(i for _ in range(50) if bits(f(m, data(i))) != want[i])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def test_memory_stays_flat() -> None:
    m = small()
    f = flux.compile(lambda m, x: flux.gradient(lambda m: flux.tanh(m(x)).sum(), m)[0])
    x = data(0)
    for _ in range(10):
        f(m, x)
    before = flux.memory_in_use()
    for _ in range(2000):
        f(m, x)
    assert flux.memory_in_use() <= before + 4096


def test_a_compiled_function_has_the_name_of_its_own() -> None:
    def step(x: flux.Tensor) -> flux.Tensor:
        """One step."""
        return x

    f = flux.compile(step)
    assert (f.__name__, f.__doc__, f.__wrapped__) == ("step", "One step.", step)
    assert flux.compile(f) is f
    assert repr(f).startswith("compile(<function")
    with pytest.raises(TypeError, match="expected a function"):
        flux.compile(3)  # type: ignore[call-overload]


def test_a_decorator_may_be_called() -> None:
    @flux.compile()
    def double(x: flux.Tensor) -> flux.Tensor:
        return x * 2

    assert [double(flux.tensor([i, 3.0])).tolist() for i in range(4)] == [[2 * i, 6.0] for i in range(4)]
    assert hits(double) == 2


def test_what_asks_for_strictness_itself_runs_as_ever() -> None:
    def play(wrap: Any) -> Any:
        x, w = data(1, 2 * 16 * 16, 64).reshape(2, 16, 16, 64), data(2, 3 * 3 * 64, 64).reshape(3, 3, 64, 64)

        @wrap
        def f(x: flux.Tensor) -> Any:
            with flux.strict(True):
                exact = flux.conv(x, w)
            return exact, flux.conv(x, w)

        return [f(x) for _ in range(4)]

    both(play)


def test_strictness_outside_is_that_of_the_call() -> None:
    def play(wrap: Any) -> Any:
        x, w = data(1, 2 * 16 * 16, 64).reshape(2, 16, 16, 64), data(2, 3 * 3 * 64, 64).reshape(3, 3, 64, 64)
        f = wrap(lambda x: flux.conv(x, w))
        plain = [f(x) for _ in range(4)]
        with flux.strict(True):
            return [*plain, f(x)]

    both(play)


def test_what_is_imported_in_a_call_is_no_part_of_the_next(tmp_path):
    (tmp_path / "own.py").write_text("import time\nSTART = time.time()\ndef twice(x):\n    return 2 * x\n")
    code = """
import oxiflux as flux

@flux.compile
def step(x):
    import own
    return flux.mse(own.twice(x), flux.tensor([3.0]))  # the module of losses is found here for the first time

print([step(flux.tensor([i])).item() for i in (0.0, 1.0, 2.0, 1.0, 0.0)], step.counts[2] > 0)
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.stdout == "[9.0, 1.0, 1.0, 1.0, 9.0] True\n", done.stderr
