"""Rules that a function brings along, for arguments of any structure."""

from types import SimpleNamespace

import numpy as np
import pytest

import oxiflux as flux


@flux.custom_gradient
def scaled(parts, x):
    """Three times the product; its rule says five, so that it is seen to be used."""
    return 3 * parts["w"] * parts["more"][0] * x, lambda g: ({"w": 5 * g, "more": [7 * g]}, 11 * g)


def test_tensors_in_containers_have_the_gradient_of_the_rule():
    parts = {"w": flux.ones(2), "more": [flux.ones(2)]}
    grad, dx = flux.gradient(lambda p, x: scaled(p, x).sum(), parts, flux.ones(2))
    assert grad["w"].tolist() == [5, 5] and grad["more"][0].tolist() == [7, 7] and dx.tolist() == [11, 11]


class Straight(flux.Layer):
    def __init__(self):
        self.w = flux.tensor([1.4, 2.6])
        self.own = flux.Dense(2, 2)

    @flux.custom_gradient
    def __call__(self, x):
        return flux.round(self.w) * x, lambda g: ({"w": g * x}, g * self.w)


def test_a_method_has_gradients_for_its_object_and_its_input():
    layer, x = Straight(), flux.tensor([3.0, 4.0])
    assert layer(x).tolist() == [3, 12]
    grad, dx = flux.gradient(lambda m, x: m(x).sum(), layer, x)
    assert grad.w.tolist() == [3, 4] and grad.own.weight is None
    np.testing.assert_allclose(dx.tolist(), [1.4, 2.6], rtol=1e-6)
    state = flux.setup(flux.Descent(0.1), layer)
    flux.trainstep(lambda m, x: m(x).sum(), layer, (x,), state)
    np.testing.assert_allclose(layer.w.tolist(), [1.1, 2.2], rtol=1e-6)


@pytest.mark.parametrize("like", [lambda **kids: SimpleNamespace(**kids), dict])
def test_a_model_among_the_arguments_is_trained_by_the_rule(like):
    @flux.custom_gradient
    def f(model, x):
        return model(x).sum(), lambda g: (like(bias=g * flux.full(2, 6.0)), None)

    grad, none = flux.gradient(f, flux.Dense(3, 2), flux.ones((1, 3)))
    assert grad.bias.tolist() == [6, 6] and grad.weight is None and none is None


def test_numbers_and_arrays_among_the_arguments_are_constants():
    @flux.custom_gradient
    def f(x, n, a):
        return x * n + flux.asarray(a), lambda g: (9 * g, None, None)

    assert flux.gradient(lambda x: f(x, 2, np.ones(2)).sum(), flux.ones(2))[0].tolist() == [9, 9]


@pytest.mark.parametrize(
    ("grad", "said"),
    [
        (
            lambda g: {"w": flux.ones(3)},
            r"gradient of argument 0 of f.w has shape \(3,\), the argument \(2,\)",
        ),
        (lambda g: {"v": g}, "gradient of argument 0 of f has v, which the argument has not"),
        (lambda g: {"w": [g]}, "gradient of argument 0 of f.w is a list, the argument a tensor"),
        (lambda g: g, "gradient of argument 0 of f is a Tensor, the argument a dict"),
    ],
)
def test_a_gradient_of_another_structure_is_refused(grad, said):
    @flux.custom_gradient
    def f(parts):
        return parts["w"].sum(), grad

    with pytest.raises(flux.ShapeError, match=said):
        flux.gradient(f, {"w": flux.ones(2)})


def test_jvp_calls_the_function_once():
    calls = []
    drop, norm = flux.Dropout(0.5, rng=flux.Generator(3), active=True), flux.trainmode(flux.BatchNorm(4))
    before = norm.mu.tolist()

    def f(x):
        calls.append(1)
        return drop(norm(x))

    # In its own direction a normalised batch does not change but for rounding.
    x, v = flux.tensor(np.random.default_rng(0).normal(size=(2, 8, 4)))
    y, dy = flux.jvp(f, [x], [v])
    assert len(calls) == 1
    # Where nothing comes out, nothing changes: the mask of the value is that of its derivative.
    assert ((y.numpy() == 0) == (dy.numpy() == 0)).all() and 0 < (y.numpy() == 0).sum() < 32
    once = flux.trainmode(flux.BatchNorm(4))
    once(x)
    np.testing.assert_allclose(norm.mu.tolist(), once.mu.tolist(), rtol=1e-6)
    assert norm.mu.tolist() != before


def test_numbers_are_differentiated_by_everywhere():
    cube = lambda x: x**3
    assert flux.hessian(cube, 2).item() == 12 and flux.diaghessian(cube, 2)[0].item() == 12
    y, dy = flux.jvp(cube, (2,), (1,))
    assert (y.item(), dy.item()) == (8, 12)
    y, dy = flux.jvp(cube, (np.int64(2),), (1.0,))
    assert dy.item() == 12
    with pytest.raises(TypeError, match="hessian: needs floating tensors, got bool"):
        flux.hessian(cube, True)


def test_a_tensor_that_occurs_twice_in_an_argument_gets_both_gradients():
    @flux.custom_gradient
    def product(pair):
        return pair[0] * pair[1], lambda g: [g * pair[1], g * pair[0]]

    x = flux.tensor([1.0, 2.0])
    assert flux.gradient(lambda v: product([v, v]).sum(), x)[0].tolist() == [2, 4]

    @flux.custom_gradient
    def decoded(m, a):
        return a @ m.e @ m.d.T, lambda g: (
            SimpleNamespace(e=a.T @ (g @ m.d), d=g.T @ (a @ m.e)),
            g @ m.d @ m.e.T,
        )

    tied, a = SimpleNamespace(e=flux.tensor([[1.0, 2.0], [3.0, 4.0]])), flux.tensor([[1.0, 2.0]])
    tied.d = tied.e
    expected = flux.gradient(lambda m: (a @ m.e @ m.d.T).sum(), tied)[0]
    found = flux.gradient(lambda m: decoded(m, a).sum(), tied)[0]
    np.testing.assert_allclose(found.e.numpy(), expected.e.numpy())


AROUND = {}


def taken_from_around():
    """Functions of `x` that take a tensor of the gradient from around them, by closure, by name or in a layer."""

    def closure(w, layer):
        return flux.custom_gradient(lambda x: (x * w, lambda g: g * w))

    def by_name(w, layer):
        AROUND["w"] = w
        return flux.custom_gradient(lambda x: (x * AROUND["w"], lambda g: g))

    def attribute(w, layer):
        return flux.custom_gradient(lambda x: (x + layer.bias, lambda g: g))

    def call(w, layer):
        return flux.custom_gradient(lambda x: (layer(x), lambda g: g))

    def computed(w, layer):
        doubled = 2 * w
        return flux.custom_gradient(lambda x: (x + doubled, lambda g: g))

    def within(w, layer):
        return flux.custom_gradient(lambda x: (flux.gradient(lambda z: (z * w).sum(), x)[0], lambda g: g))

    def custom_within(w, layer):
        inner = flux.custom_gradient(lambda x: (x * w, lambda g: g))
        return flux.custom_gradient(lambda x: (inner(x), lambda g: g))

    return [closure, by_name, attribute, call, computed, within, custom_within]


@pytest.mark.parametrize("is_checkpointed", [False, True])
@pytest.mark.parametrize("make", taken_from_around(), ids=lambda f: f.__name__)
def test_a_tensor_from_around_the_function_would_get_no_gradient_and_is_an_error(make, is_checkpointed):
    def loss(w, layer, x):
        own = make(w, layer)
        y = flux.checkpoint(own, x) if is_checkpointed else own(x)
        return y.sum()

    with pytest.raises(ValueError, match=r"takes a tensor of shape \(2,?.*\) of the gradient from around it"):
        flux.gradient(loss, flux.ones(2), flux.Dense(2, 2), flux.ones((1, 2)))


def test_what_is_meant_as_a_constant_can_be_taken_from_around():
    w, seen = flux.tensor([3.0]), []

    def loss(w, x):
        fixed = flux.ignore_derivatives(w)

        @flux.custom_gradient
        def f(x):
            seen.append((x.numpy().tolist(), float(x), fixed.item(), (x > w).tolist()))
            return x * flux.ignore_derivatives(w) * fixed, lambda g: g

        return f(x).sum()

    assert flux.gradient(loss, w, flux.tensor([2.0]))[1].tolist() == [1]
    assert seen == [([2.0], 2.0, 3.0, [False])]
    # Outside of a gradient, and of what no gradient follows, there is nothing to lose.
    f = flux.custom_gradient(lambda x: (x * w, lambda g: g))
    assert f(flux.ones(1)).tolist() == [3]
    assert flux.gradient(lambda x: f(x).sum(), flux.ones(1))[0].tolist() == [1]


def test_a_tensor_from_around_the_function_cannot_be_read_as_a_constant():
    def loss(w, x):
        return flux.custom_gradient(lambda x: (x * w.item(), lambda g: g))(x).sum()

    with pytest.raises(ValueError, match="item: a gradient is being taken through this tensor"):
        flux.gradient(loss, flux.ones(()), flux.ones(2))


def test_a_custom_gradient_in_a_checkpoint_may_read_its_argument():
    f = flux.custom_gradient(lambda x: (flux.tensor(x.numpy() ** 2), lambda g: 5 * g))
    loss = lambda x: flux.checkpoint(lambda x: f(2 * x), x).sum()
    assert flux.gradient(loss, flux.ones(2))[0].tolist() == [10, 10]


@pytest.mark.parametrize(
    ("make", "back"),
    [
        (lambda x: [x], lambda g: [g]),
        (lambda x: [x], lambda g: (g,)),
        (lambda x: [x], lambda g: ([g],)),
        (lambda x: (x,), lambda g: [(g,)]),
        (lambda x: [[x]], lambda g: [[g]]),
        (lambda x: [[x]], lambda g: ([[g]],)),
        (lambda x: [{"a": x}], lambda g: [{"a": g}]),
        (lambda x: [x, 1], lambda g: [g, None]),
    ],
)
def test_the_gradient_of_a_list_that_is_the_only_argument_may_stand_alone(make, back):
    def take(part):
        if isinstance(part, flux.Tensor):
            return part
        return take(next(iter(part.values() if isinstance(part, dict) else part)))

    f = flux.custom_gradient(lambda xs: (2 * take(xs), back))
    assert flux.gradient(lambda x: f(make(x)).sum(), flux.ones(2))[0].tolist() == [1, 1]


def test_one_tensor_is_no_gradient_of_a_list_of_one():
    f = flux.custom_gradient(lambda xs: (2 * xs[0], lambda g: g))
    with pytest.raises(flux.ShapeError, match="is a Tensor, the argument a list: give a gradient"):
        flux.gradient(lambda x: f([x]).sum(), flux.ones(2))
