"""Functions that are computed a second time for their gradient: everything is then as it was the first time."""

import functools
import threading

import numpy as np
import pytest

import oxiflux as flux


def numbers(grads):
    return [t.numpy() for _, t in flux._core.leaves(grads)]


def same(one, other):
    one, other = numbers(one), numbers(other)
    assert one and len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


class Counting(flux.Layer):
    """Its output depends on how often it was called, and it keeps what it computed."""

    def __init__(self):
        self.w = flux.tensor([0.5, 2.0])
        self.calls, self.kept, self.seen = 0, [], set()
        self.history = np.zeros(3, int)

    def __call__(self, x):
        self.calls += 1
        self.history[self.calls % 3] += 1
        self.seen.add(self.calls)
        y = flux.tanh(x * self.w * self.calls)
        self.kept.append(y)
        return y


class Stateful(flux.Layer):
    """Replaces its own tensor."""

    def __init__(self):
        self.w, self.h = flux.tensor([0.5, 2.0]), flux.zeros(2)

    def __call__(self, x):
        self.h = flux.tanh(x * self.w + self.h)
        return self.h


X = flux.tensor([0.3, -0.7])
LAYERS = {
    "a counter": Counting,
    "dropout with its own generator": lambda: flux.Chain(
        flux.Dense(2, 64, init=flux.ones), flux.Dropout(0.5, rng=flux.Generator(3))
    ),
}


@pytest.fixture(params=LAYERS.values(), ids=LAYERS.keys())
def make(request):
    return request.param


@pytest.mark.parametrize(
    "call",
    [
        lambda f, x: flux.checkpoint(f, x),
        lambda f, x: flux.checkpoint(lambda x: f(x), x),
        lambda f, x: flux.checkpoint(f.__call__, x),
        lambda f, x: flux.checkpoint(functools.partial(f, x)),
        lambda f, x: flux.checkpoint(lambda x, f=f: f(x), x),
        lambda f, x: flux.checkpoint(lambda fs, x: fs[0](x), [f], x),
        lambda f, x: flux.checkpoint(lambda x: flux.checkpoint(f, x), x),
    ],
    ids=["layer", "closure", "method", "partial", "default", "argument", "nested"],
)
def test_gradients_and_state_are_those_without_it(make, call):
    plain, checked = make(), make()
    loss = lambda f, x, call: (call(f, x) ** 2).sum() + call(f, x).sum()
    expected = flux.withgradient(lambda f, x: loss(f, x, lambda f, x: f(x)), plain, X)
    found = flux.withgradient(lambda f, x: loss(f, x, call), checked, X)
    same(expected, found)
    if isinstance(plain, Counting):
        assert checked.calls == plain.calls == 2 and checked.seen == {1, 2} and len(checked.kept) == 2
        assert checked.history.tolist() == plain.history.tolist() == [0, 1, 1]
    # A second time they are where they would be.
    same(plain(X), checked(X))


def test_it_is_computed_with_what_it_was_given_however_that_changes():
    w, parts, buffer = flux.tensor([2.0]), [flux.tensor([3.0])], np.array([5.0], "float32")
    y, back = flux.pullback(
        lambda w, x: flux.checkpoint(lambda w, x: w**2 * parts[0] * x * buffer, w, x), w, flux.ones(1)
    )
    state = flux.setup(flux.Descent(1.0), {"w": w})
    flux.update(state, {"w": w}, {"w": flux.tensor([1.0])})
    parts[0] = flux.tensor([100.0])
    parts.append(flux.zeros(2))
    buffer[:] = 1000
    dw, dx = back(flux.ones(1))
    assert (y.item(), dw.item(), dx.item()) == (60, 60, 60)
    # And what has changed stays so.
    assert (w.item(), len(parts), parts[0].item(), buffer[0]) == (1, 2, 100, 1000)
    assert back(flux.ones(1))[0].item() == 60


def test_its_second_derivative_is_right():
    layer = Counting()
    f = lambda x: flux.checkpoint(lambda x: flux.tanh(x * layer.w) ** 2, x).sum()
    assert flux.gradcheck(f, [0.3, 0.8], order=2)
    g = lambda x: (flux.tanh(x * layer.w) ** 2).sum()
    same(flux.hessian(f, X), flux.hessian(g, X))


def test_batch_statistics_move_once():
    x = flux.tensor(np.random.default_rng(0).normal(size=(8, 4)))
    plain, checked = flux.BatchNorm(4), flux.BatchNorm(4)
    one = flux.gradient(lambda m, x: (m(x) ** 3).sum(), plain, x)
    other = flux.gradient(lambda m, x: (flux.checkpoint(m, x) ** 3).sum(), checked, x)
    same(one, other)
    same([plain.mu, plain.var], [checked.mu, checked.var])


@pytest.mark.parametrize(
    "use", [lambda f: f.h.sum(), lambda f: f(X).sum(), lambda f: f.h[0], lambda f: float(f.h[0])]
)
def test_what_gets_out_of_it_beside_its_result_is_no_constant_without_a_word(use):
    def loss(f):
        y = flux.checkpoint(lambda x: f(x), X).sum()
        return y + use(f)

    with pytest.raises(ValueError, match="computed in a checkpointed function and is not its result"):
        flux.gradient(loss, Stateful())
    # As a constant on purpose it may be used, and after the gradient.
    f = Stateful()

    def cut(f):
        y = flux.checkpoint(f, X).sum()
        return y + flux.stop_gradient(f.h).sum()

    grad = flux.gradient(cut, f)[0]
    np.testing.assert_allclose(
        grad.w.numpy(), X.numpy() * (1 - np.tanh(X.numpy() * f.w.numpy()) ** 2), rtol=1e-5
    )
    assert f.h.numpy().shape == (2,) and flux.gradient(lambda w: (w * f.h).sum(), flux.ones(2))[0] is not None


def test_a_number_read_in_it_is_refused_at_once():
    with pytest.raises(ValueError, match="item"):
        flux.gradient(lambda w: flux.checkpoint(lambda w: w * w.sum().item(), w).sum(), X)


def test_other_threads_draw_no_number_twice_while_it_is_computed_again():
    flux.seed(0)
    drawn, enough = [], threading.Event()

    def draw():
        while not enough.is_set():
            drawn.append(flux.rand(4).numpy().tobytes())

    thread = threading.Thread(target=draw)
    thread.start()
    layer, x = flux.Chain(flux.Dense(8, 8), flux.Dropout(0.5)), flux.ones((4, 8))
    for _ in range(100):
        flux.gradient(lambda m: flux.checkpoint(m, x).sum(), layer)
    enough.set()
    thread.join()
    assert len(set(drawn)) == len(drawn)


def test_functions_that_share_a_variable_share_it_the_second_time():
    def loss(v, call):
        s = v * 1

        def get(x):
            return x * s

        def scale(k):
            nonlocal s
            s = s * k

        def body(functions, u):
            functions[1](u)
            return functions[0](X)

        return call(body, [get, scale], v).sum()

    v = flux.tensor([3.0, 3.0])
    same(
        flux.gradient(lambda v: loss(v, lambda f, *args: f(*args)), v),
        flux.gradient(lambda v: loss(v, flux.checkpoint), v),
    )
