"""Gradients from Python: finite differences in float64, first and second order, and every way of asking for them."""

import gc
import math
import threading
from dataclasses import dataclass

import numpy as np
import pytest

import oxiflux as flux
from oxiflux import _core


def tensors(shapes, domain=(-2.0, 2.0), seed=0):
    rng = np.random.default_rng(seed)
    return [flux.tensor(rng.uniform(*domain, shape)) for shape in shapes]


def weigh(f, xs):
    """A scalar function: the results of `f` against fixed random weights, so that no symmetry hides an error."""
    y = f(*xs)
    weights = flux.tensor(np.random.default_rng(1).normal(size=y.shape))
    return lambda *a: flux.sum(f(*a) * weights)


def numeric_gradient(f, xs, i, step=1e-6):
    """The gradient of a scalar function by central differences."""
    at = [x.numpy() for x in xs]
    g = np.zeros_like(at[i])
    for k in np.ndindex(g.shape):
        sides = []
        for sign in (1, -1):
            moved = at[i].copy()
            moved[k] += sign * step
            sides.append(f(*(flux.tensor(moved if j == i else a) for j, a in enumerate(at))).item())
        g[k] = (sides[0] - sides[1]) / (2 * step)
    return g


def check_first(f, xs, rtol=1e-6, atol=1e-7):
    grads = flux.gradient(f, *xs)
    assert len(grads) == len(xs)
    for i, g in enumerate(grads):
        expected = numeric_gradient(f, xs, i)
        assert g is not None or not expected.any()
        if g is not None:
            assert g.shape == xs[i].shape and g.numpy().dtype == np.float64
            np.testing.assert_allclose(g.numpy(), expected, rtol=rtol, atol=atol)


def check_second(f, xs, rtol=1e-5, atol=1e-6):
    """The gradient of a random combination of gradients against differences of that combination."""
    directions = [flux.tensor(np.random.default_rng(2 + i).normal(size=x.shape)) for i, x in enumerate(xs)]

    def slope(*a):
        terms = [
            flux.sum(g * v) for g, v in zip(flux.gradient(f, *a), directions, strict=True) if g is not None
        ]
        return sum(terms, flux.tensor(np.zeros(())))

    check_first(slope, xs, rtol, atol)


INDEX = np.array([[0, 2, 2], [1, 0, 2]])
MASK = np.array([[True, False, True, False], [False, True, True, False], [True, True, False, False]])

CASES = {
    "add broadcast": (lambda a, b: a + b, [(3, 1), (4,)]),
    "subtract broadcast": (lambda a, b: a - b, [(), (2, 3)]),
    "multiply broadcast": (lambda a, b: a * b, [(2, 1, 3), (4, 1)]),
    "divide broadcast": (lambda a, b: a / (b * b + 1), [(2, 3), (1, 3)]),
    "pow of tensors": (lambda a, b: flux.pow(flux.exp(a), b), [(3,), (2, 3)]),
    "pow of scalars": (lambda a: (a * a + 1) ** 1.5 + 2.0**a, [(4,)]),
    "maximum and minimum": (lambda a, b: flux.maximum(a, b) + 3 * flux.minimum(a, b), [(3, 4), (4,)]),
    "where": (lambda a, b: flux.where(flux.tensor(MASK), a, b), [(3, 4), (4,)]),
    "clip": (lambda a: flux.clip(a, -1.03, 1.01), [(9,)]),
    "atan2 hypot logaddexp": (
        lambda a, b: flux.atan2(a, b) + flux.hypot(a, b) + flux.logaddexp(a, b),
        [(3,), (2, 3)],
    ),
    "used many times": (lambda a: a * a * a + a / (1 + a * a) - a, [(5,)]),
    "used as both operands": (lambda a: a @ a + a * a, [(3, 3)]),
    "sum": (lambda a: flux.sum(a * a), [(2, 3)]),
    "sum over axes": (lambda a: flux.sum(a * a, axis=(0, -1)), [(2, 3, 4)]),
    "sum keepdims": (lambda a: a / flux.sum(a * a, axis=1, keepdims=True), [(2, 3)]),
    "mean": (lambda a: flux.mean(a**3, axis=-1), [(2, 3)]),
    "var": (lambda a: flux.var(a, axis=0), [(4, 3)]),
    "std with correction": (lambda a: flux.std(a, axis=1, correction=1), [(2, 5)]),
    "max": (lambda a: flux.max(a, axis=1), [(3, 4)]),
    "min": (lambda a: flux.min(a), [(3, 4)]),
    "prod": (lambda a: flux.prod(a, axis=1), [(3, 4)]),
    "cumulative_sum": (lambda a: flux.cumulative_sum(a * a, axis=1), [(2, 4)]),
    "logsumexp": (lambda a: flux.logsumexp(a, axis=-1), [(3, 4)]),
    "softmax": (lambda a: flux.softmax(a), [(3, 4)]),
    "softmax over the first axis": (lambda a: flux.softmax(a, axis=0), [(3, 4)]),
    "logsoftmax": (lambda a: flux.logsoftmax(a), [(3, 4)]),
    "glu": (lambda a: flux.glu(a), [(2, 6)]),
    "matmul": (lambda a, b: a @ b, [(3, 4), (4, 2)]),
    "matmul batched": (lambda a, b: a @ b, [(2, 1, 3, 4), (5, 4, 2)]),
    "matmul of a batch and a matrix": (lambda a, b: a @ b, [(2, 3, 4), (4, 2)]),
    "matmul of vectors": (lambda a, b, c: (a @ b) @ c, [(3,), (3, 4), (4,)]),
    "matmul of transposes": (lambda a, b: a.T @ b.mT, [(4, 3), (2, 4)]),
    "vecdot": (lambda a, b: flux.vecdot(a, b), [(2, 3), (3,)]),
    "tensordot": (lambda a, b: flux.tensordot(a, b, axes=1), [(2, 3), (3, 4)]),
    "einsum": (lambda a, b: flux.einsum("bij,jk->bki", a, b), [(2, 3, 4), (4, 2)]),
    "einsum of a trace": (lambda a: flux.einsum("ii->", a @ a), [(3, 3)]),
    "reshape and transpose": (
        lambda a: flux.reshape(flux.permute_dims(a, (2, 0, 1)), (4, -1)) ** 2,
        [(2, 3, 4)],
    ),
    "broadcast_to": (lambda a: flux.broadcast_to(a, (2, 3, 4)) ** 2, [(3, 1)]),
    "expand squeeze": (lambda a: flux.squeeze(flux.expand_dims(a, axis=1) ** 2, axis=1), [(2, 3)]),
    "flip roll": (lambda a: flux.flip(a, axis=0) * flux.roll(a, 1, axis=1), [(2, 3)]),
    "concat": (lambda a, b: flux.concat([a, b, a], axis=1) ** 2, [(2, 3), (2, 1)]),
    "stack": (lambda a, b: flux.stack([a, b, a], axis=-1) ** 2, [(2, 3), (2, 3)]),
    "unstack": (lambda a: flux.unstack(a, axis=1)[0] * flux.unstack(a, axis=1)[2], [(2, 3)]),
    "repeat tile": (lambda a: flux.repeat(a, 2, axis=0) * flux.tile(a, (2, 1)), [(2, 3)]),
    "tril triu": (lambda a: flux.tril(a) @ flux.triu(a), [(3, 3)]),
    "topk": (lambda a: flux.topk(a, 2, axis=0).values ** 2, [(4, 3)]),
    "rescale": (lambda a: flux.rescale(a, axis=1) ** 2, [(3, 4)]),
    "sort": (lambda a: flux.sort(a, axis=1) ** 2, [(3, 4)]),
    "take": (lambda a: flux.take(a, flux.tensor(np.array([1, 1, 0])), axis=1) ** 2, [(2, 3)]),
    "index": (lambda a: a[1] ** 2 + a[-1, 0], [(3, 4)]),
    "slices": (lambda a: a[::-1, 1:3] * a[:, :2], [(3, 4)]),
    "slices of slices": (lambda a: a[1:][::2][..., -1] ** 2, [(4, 3)]),
    "newaxis and ellipsis": (lambda a: a[..., None] * a[:, None], [(3, 4)]),
    "mask": (lambda a: a[flux.tensor(MASK)] ** 2, [(3, 4)]),
    "integer array with repeats": (lambda a: a[flux.tensor(INDEX)] ** 2, [(3, 4)]),
    "integer arrays": (
        lambda a: a[flux.tensor(np.array([0, 2, 2])), flux.tensor(np.array([1, 3, 3]))] ** 2,
        [(3, 4)],
    ),
    "mixed index": (lambda a: a[1:, flux.tensor(np.array([0, 0, 2]))] ** 2, [(3, 4, 2)]),
    "iteration": (lambda a: sum(row * (i + 1) for i, row in enumerate(a)) ** 2, [(3, 2)]),
    "astype and back": (lambda a: flux.astype(flux.astype(a, "float64") ** 2, "float64"), [(3,)]),
    "dense": (lambda x, w, b: flux.tanh(x @ w + b), [(4, 3), (3, 2), (2,)]),
    "mse": (lambda a: flux.mse(a, np.ones((2, 3))), [(2, 3)]),
    "logitcrossentropy": (lambda a: flux.logitcrossentropy(a, np.array([0, 2])), [(2, 3)]),
    "logitcrossentropy of probabilities": (
        lambda a: flux.logitcrossentropy(a, np.full((2, 3), 1 / 3)),
        [(2, 3)],
    ),
    "logitbinarycrossentropy": (lambda a: flux.logitbinarycrossentropy(a, np.array([0.0, 1.0, 0.5])), [(3,)]),
    "empty": (lambda a, b: flux.concat([a, flux.exp(b)], axis=0), [(0, 3), (2, 3)]),
    "matmul over an empty axis": (lambda a, b, c: a @ b + c, [(2, 0), (0, 3), (3,)]),
}


@pytest.mark.parametrize("name", CASES)
def test_gradient_equals_finite_differences(name):
    f, shapes = CASES[name]
    xs = tensors(shapes)
    check_first(weigh(f, xs), xs)


@pytest.mark.parametrize("name", CASES)
def test_second_derivative_equals_finite_differences(name):
    f, shapes = CASES[name]
    xs = tensors(shapes)
    check_second(weigh(f, xs), xs)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0, 4)])
def test_gradient_of_an_empty_tensor_is_empty(shape):
    (g,) = flux.gradient(lambda x: flux.sum(flux.exp(x) * x), flux.zeros(shape))
    assert g.shape == shape


def test_gradient_is_of_the_dtype_of_its_variable():
    x, y = flux.ones((2,), dtype="float32"), flux.ones((2,), dtype="float64")
    gx, gy = flux.gradient(lambda a, b: flux.sum(a * b), x, y)
    assert (gx.numpy().dtype, gy.numpy().dtype) == (np.float32, np.float64)


@pytest.mark.parametrize("size", [1, 7, 16, 63, 1000])
def test_gradient_in_float32_equals_that_in_float64(size):
    x = np.random.default_rng(size).normal(size=size)
    f = lambda t: flux.sum(flux.tanh(t) * flux.exp(-t * t) + flux.softplus(t))
    (wide,), (narrow,) = flux.gradient(f, flux.tensor(x)), flux.gradient(f, flux.tensor(x.astype(np.float32)))
    np.testing.assert_allclose(narrow.numpy(), wide.numpy(), rtol=1e-5, atol=1e-6)


# Paths that are cut


def test_what_the_loss_does_not_depend_on_has_no_gradient():
    gx, gy = flux.gradient(lambda x, y: flux.sum(x * 2), flux.ones((2,)), flux.ones((3,)))
    assert gx.tolist() == [2.0, 2.0]
    assert gy is None


@pytest.mark.parametrize("cut", ["stop_gradient", "ignore_derivatives"])
def test_a_cut_path_has_no_gradient(cut):
    (g,) = flux.gradient(lambda x: flux.sum(getattr(flux, cut)(x * x)), flux.ones((2,)))
    assert g is None


@pytest.mark.parametrize("cut", ["stop_gradient", "ignore_derivatives"])
def test_a_cut_path_does_not_hide_another(cut):
    (g,) = flux.gradient(lambda x: flux.sum(getattr(flux, cut)(x) * x), flux.tensor([2.0, 3.0]))
    assert g.tolist() == [2.0, 3.0]


def test_ignore_derivatives_calls_a_function():
    seen = []

    def f(x):
        flux.ignore_derivatives(lambda: seen.append(flux.sum(x).item()))
        return flux.sum(x * x)

    (g,) = flux.gradient(f, flux.tensor([1.0, 2.0]))
    assert g.tolist() == [2.0, 4.0] and seen == [3.0]


def test_integers_and_truth_values_have_no_gradient():
    def f(x, n, flag):
        return flux.sum(flux.where(flag, x * n, x))

    gx, gn, gf = flux.gradient(f, flux.ones((2,)), flux.tensor([2, 3]), flux.tensor([True, False]))
    assert gx.tolist() == [2.0, 1.0]
    assert gn is None and gf is None


def test_comparisons_and_argmax_cut_the_path():
    (g,) = flux.gradient(lambda x: flux.sum(x[flux.argmax(x)] * (x > 0)), flux.tensor([1.0, 3.0, -2.0]))
    assert g.tolist() == [0.0, 2.0, 0.0]


def test_nothing_is_recorded_outside_a_gradient():
    x = flux.ones((3,))
    y = x * 2
    (g,) = flux.gradient(lambda t: flux.sum(y * t), x)
    assert g.tolist() == [2.0, 2.0, 2.0]


# Nested gradients


def scalar(x):
    return flux.tensor(np.array(float(x)))


def test_third_derivative():
    d = lambda f: lambda x: flux.gradient(f, x)[0]
    f = lambda x: x**5 + flux.sin(x)
    assert d(d(d(f)))(scalar(1.5)).item() == pytest.approx(60 * 1.5**2 - math.cos(1.5), rel=1e-12)


def test_a_variable_of_the_outer_gradient_is_constant_in_the_inner():
    f = lambda x: x * flux.gradient(lambda y: x * y, x)[0]
    assert flux.gradient(f, scalar(3.0))[0].item() == 6.0


def test_perturbations_are_not_confused():
    f = lambda x: x * flux.gradient(lambda y: x + y, scalar(1.0))[0]
    assert flux.gradient(f, scalar(5.0))[0].item() == 1.0


def test_perturbations_are_not_confused_where_one_variable_serves_both():
    f = lambda x: flux.gradient(lambda y: y * x**2 * y, x)[0]  # 2 x^2 y at y = x
    assert flux.gradient(f, scalar(2.0))[0].item() == pytest.approx(6 * 4.0)


def test_gradient_of_a_gradient_penalty():
    w, x = tensors([(3, 3), (3,)])

    def penalty(w, x):
        (g,) = flux.gradient(lambda t: flux.sum(flux.tanh(w @ t)), x)
        return (flux.sqrt(flux.sum(g * g)) - 1) ** 2

    check_first(penalty, [w, x], rtol=1e-5)


def test_inner_gradient_with_respect_to_a_model():
    model = flux.f64(flux.Dense(3, 2, flux.tanh))
    x = tensors([(4, 3)])[0]

    def f(x):
        (g,) = flux.gradient(lambda m: flux.sum(m(x) ** 2), model)
        return flux.sum(g.weight**2) + flux.sum(g.bias**2)

    check_first(f, [x], rtol=1e-5)


# Size and memory


def test_chain_of_100_000_operations():
    def f(x):
        for _ in range(50_000):
            x = x * 1.00001 + 1e-6
        return x

    assert flux.gradient(f, scalar(1.0))[0].item() == pytest.approx(1.00001**50_000, rel=1e-9)


def test_value_used_100_000_times():
    def f(x):
        total = x
        for _ in range(100_000):
            total = total + x
        return total

    assert flux.gradient(f, scalar(1.0))[0].item() == 100_001


class Deliberate(Exception):
    pass


def recorded_then_raised(x):
    flux.sum(flux.exp(x) * x)
    raise Deliberate


def test_memory_returns_to_where_it_was():
    x = flux.ones((300, 300))

    def steps():
        flux.gradient(lambda t: flux.sum(flux.tanh(flux.exp(-t * t)) * t), x)
        flux.hessian(lambda t: flux.sum(flux.tanh(t) ** 2), x[0, :5])
        with pytest.raises(Deliberate):
            flux.gradient(recorded_then_raised, x)
        flux.pullback(lambda t: flux.exp(t) * t, x)
        with pytest.raises(flux.ShapeError):
            flux.gradient(lambda t: flux.exp(t) * t, x)

    steps()
    gc.collect()
    before = _core.memory_in_use()
    for _ in range(5):
        steps()
    gc.collect()
    assert _core.memory_in_use() == before


def test_the_walk_frees_what_it_has_passed():
    n, size = 200, 1 << 20
    x = flux.ones((size // 4,))
    peaks = []

    @flux.custom_gradient
    def watch(t):
        return t * 1, lambda g: (peaks.append(_core.memory_in_use()) or g,)

    def f(t):
        t = watch(t)
        for _ in range(n):
            t = flux.tanh(t)
        return flux.sum(watch(t))

    flux.gradient(f, x)
    at_the_end, at_the_start = peaks
    assert at_the_end - at_the_start > 0.9 * n * size


def test_a_pullback_that_is_dropped_frees_what_it_kept():
    x = flux.ones((300, 300))
    gc.collect()
    before = _core.memory_in_use()
    y, back = flux.pullback(lambda t: flux.exp(t) * t, x)
    assert _core.memory_in_use() > before
    del y, back
    gc.collect()
    assert _core.memory_in_use() == before


# Trees


def sum_of_squares(*parts):
    return sum((flux.sum(p * p) for p in parts), flux.zeros(()))


def test_gradient_of_a_dictionary_a_list_and_a_tuple():
    model = {"a": flux.tensor([1.0]), "b": [flux.tensor([2.0]), (flux.tensor([3.0]),)]}
    (g,) = flux.gradient(lambda m: sum_of_squares(m["a"], m["b"][0], m["b"][1][0]), model)
    assert isinstance(g, dict) and isinstance(g["b"], list) and isinstance(g["b"][1], tuple)
    assert (g["a"].item(), g["b"][0].item(), g["b"][1][0].item()) == (2.0, 4.0, 6.0)


@dataclass
class Pair:
    left: object
    right: object
    name: str = "pair"


class Plain:
    def __init__(self):
        self.weight = flux.tensor([1.0, 2.0])
        self.steps = 3
        self.inner = Pair(flux.tensor([5.0]), None)


def test_gradient_of_a_dataclass():
    (g,) = flux.gradient(
        lambda p: sum_of_squares(p.left, p.right), Pair(flux.tensor([1.0]), flux.tensor([2.0]))
    )
    assert (g.left.item(), g.right.item()) == (2.0, 4.0)


def test_gradient_of_a_plain_object():
    (g,) = flux.gradient(lambda p: sum_of_squares(p.weight, p.inner.left) * p.steps, Plain())
    assert g.weight.tolist() == [6.0, 12.0]
    assert g.inner.left.item() == 30.0


def test_gradient_of_scalars():
    gx, gy = flux.gradient(lambda x, y: x * y + x**2, 3.0, 4.0)
    assert (float(gx), float(gy)) == (10.0, 3.0)


def test_gradient_of_a_layer_has_its_fields():
    model = flux.Chain(flux.Dense(3, 4, flux.tanh), flux.Dense(4, 2, bias=False))
    x = flux.rand(5, 3)
    (g,) = flux.gradient(lambda m: flux.sum(m(x) ** 2), model)
    hidden = np.tanh(x.numpy() @ model[0].weight.numpy() + model[0].bias.numpy())
    out = 2 * hidden @ model[1].weight.numpy()
    before = (out @ model[1].weight.numpy().T) * (1 - hidden**2)
    for found, expected in [
        (g.layers[1].weight, hidden.T @ out),
        (g.layers[0].bias, before.sum(0)),
        (g.layers[0].weight, x.numpy().T @ before),
    ]:
        np.testing.assert_allclose(found.numpy(), expected, rtol=2e-6, atol=2e-6, strict=True)


def test_gradient_of_a_layer_in_a_list_of_layers():
    model = [flux.f64(flux.Dense(2, 3, flux.tanh)), flux.f64(flux.Dense(3, 1))]
    x = tensors([(4, 2)])[0]
    loss = lambda m: flux.sum(m[1](m[0](x)) ** 2)
    (g,) = flux.gradient(loss, model)
    w = model[0].weight

    def of_weight(t):
        model[0].weight = t
        return loss(model)

    np.testing.assert_allclose(g[0].weight.numpy(), numeric_gradient(of_weight, [w], 0), rtol=1e-6, atol=1e-8)


def test_numpy_array_as_an_argument_is_watched():
    (g,) = flux.gradient(lambda x: flux.sum(x * x), np.array([1.0, 2.0]))
    np.testing.assert_allclose(np.asarray(g), [2.0, 4.0])


def test_a_custom_layer_is_walked():
    class Affine(flux.Layer):
        def __init__(self):
            self.scale = flux.tensor([2.0])
            self.shift = flux.tensor([1.0])

        def __call__(self, x):
            return x * self.scale + self.shift

    model = flux.Chain(Affine(), flux.Dense(1, 1))
    (g,) = flux.gradient(lambda m: flux.sum(m[0](flux.tensor([3.0]))), model)
    assert (g.layers[0].scale.item(), g.layers[0].shift.item()) == (3.0, 1.0)
    assert len(list(flux.trainables(model))) == 4


def test_the_model_is_left_as_it_was():
    model = flux.Dense(2, 2)
    weight = model.weight
    flux.gradient(lambda m: flux.sum(m(flux.ones((1, 2)))), model)
    assert model.weight is weight
    assert (model.weight * 2).shape == (2, 2)


# Tied weights


def tied():
    model = flux.f64(flux.Chain(flux.Dense(2, 2, bias=False), flux.Dense(2, 2, bias=False)))
    model[1].weight = model[0].weight
    return model


def test_a_tied_weight_is_one_parameter():
    assert len(list(flux.trainables(tied()))) == 1
    assert len(flux.params(tied())) == 1


def test_the_gradient_of_a_tied_weight_is_the_sum_over_its_places():
    model, x = tied(), tensors([(3, 2)])[0]
    (g,) = flux.gradient(lambda m: flux.sum(m(x) ** 2), model)
    expected = numeric_gradient(lambda w: flux.sum((x @ w @ w) ** 2), [model[0].weight], 0)
    np.testing.assert_allclose(g.layers[0].weight.numpy(), expected, rtol=1e-6)


def test_a_tied_weight_is_updated_once_and_stays_tied():
    model, x = tied(), tensors([(3, 2)])[0]
    before = model[0].weight.numpy()
    (g,) = flux.gradient(lambda m: flux.sum(m(x) ** 2), model)
    flux.update(flux.setup(flux.Descent(0.1), model), model, g)
    assert model[0].weight is model[1].weight
    np.testing.assert_allclose(model[0].weight.numpy(), before - 0.1 * g.layers[0].weight.numpy(), rtol=1e-12)


def test_one_tensor_as_two_arguments_is_two_variables():
    x = flux.tensor([2.0])
    ga, gb = flux.gradient(lambda a, b: flux.sum(a * b**2), x, x)
    assert (ga.item(), gb.item()) == (4.0, 8.0)


# Values, pullbacks and matrices of derivatives


def test_withgradient_gives_the_value_and_the_gradients():
    value, (g,) = flux.withgradient(lambda x: flux.sum(x * x), flux.tensor([1.0, 2.0]))
    assert value.item() == 5.0 and g.tolist() == [2.0, 4.0]


def test_withgradient_passes_auxiliary_results_on():
    (loss, extra), (g,) = flux.withgradient(lambda x: (flux.sum(x * x), {"n": 2}), flux.tensor([1.0, 2.0]))
    assert loss.item() == 5.0 and extra == {"n": 2} and g.tolist() == [2.0, 4.0]


def test_pullback_of_a_tensor():
    a, b = tensors([(3, 2), (2, 4)])
    y, back = flux.pullback(lambda a, b: a @ b, a, b)
    g = np.random.default_rng(0).normal(size=(3, 4))
    np.testing.assert_allclose(y.numpy(), a.numpy() @ b.numpy(), rtol=1e-14)
    ga, gb = back(flux.tensor(g))
    np.testing.assert_allclose(ga.numpy(), g @ b.numpy().T, rtol=1e-13)
    np.testing.assert_allclose(gb.numpy(), a.numpy().T @ g, rtol=1e-13)


def test_pullback_may_be_called_again():
    x = tensors([(3,)])[0]
    _, back = flux.pullback(lambda t: t**3, x)
    first, second = back(flux.tensor(np.ones(3)))[0], back(flux.tensor(np.full(3, 2.0)))[0]
    np.testing.assert_allclose(first.numpy(), 3 * x.numpy() ** 2, rtol=1e-13)
    np.testing.assert_allclose(second.numpy(), 6 * x.numpy() ** 2, rtol=1e-13)


def test_pullback_of_a_gradient_of_another_shape_is_an_error():
    _, back = flux.pullback(lambda t: t * 2, flux.ones((3,)))
    with pytest.raises(flux.ShapeError, match="4"):
        back(flux.ones((4,)))


def numeric_jacobian(f, x, step=1e-6):
    columns = []
    for k in range(x.size):
        moved = [x.numpy().copy().ravel() for _ in range(2)]
        moved[0][k] += step
        moved[1][k] -= step
        y = [f(flux.tensor(m.reshape(x.shape))).numpy().ravel() for m in moved]
        columns.append((y[0] - y[1]) / (2 * step))
    return np.stack(columns, -1)


def test_jacobian_of_a_vector_function():
    x = tensors([(3,)])[0]
    f = lambda t: flux.concat([flux.sin(t), t[:1] * t[2:]], axis=0)
    (j,) = flux.jacobian(f, x)
    assert j.shape == (4, 3)
    np.testing.assert_allclose(j.numpy(), numeric_jacobian(f, x), rtol=1e-6, atol=1e-8)


def test_jacobian_of_matrices_holds_every_pair():
    a, b = tensors([(2, 3), (3,)])
    ja, jb = flux.jacobian(lambda a, b: flux.tanh(a * b), a, b)
    expected = numeric_jacobian(lambda t: flux.tanh(t * b), a)
    np.testing.assert_allclose(ja.numpy().reshape(6, 6), expected, rtol=1e-6, atol=1e-8)
    assert jb.size == 18


def test_withjacobian_gives_the_value_too():
    x = flux.tensor(np.array([1.0, 2.0]))
    value, (j,) = flux.withjacobian(lambda t: t**2, x)
    assert value.tolist() == [1.0, 4.0]
    np.testing.assert_allclose(j.numpy(), np.diag([2.0, 4.0]))


def rosenbrock(x):
    return flux.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def test_hessian_equals_differences_of_the_gradient():
    x = tensors([(4,)])[0]
    h = flux.hessian(rosenbrock, x)
    assert h.shape == (4, 4)
    np.testing.assert_allclose(h.numpy(), h.numpy().T, rtol=1e-12)
    expected = numeric_jacobian(lambda t: flux.gradient(rosenbrock, t)[0], x)
    np.testing.assert_allclose(h.numpy(), expected, rtol=1e-6, atol=2e-6)


def test_hessian_of_a_linear_function_is_zero():
    np.testing.assert_array_equal(
        flux.hessian(lambda x: flux.sum(2 * x), flux.ones((3,))).numpy(), np.zeros((3, 3))
    )


def test_diaghessian_is_the_diagonal_of_the_hessian():
    x = tensors([(4,)])[0]
    (d,) = flux.diaghessian(rosenbrock, x)
    np.testing.assert_allclose(d.numpy(), np.diag(flux.hessian(rosenbrock, x).numpy()), rtol=1e-12)


def test_jvp_is_the_jacobian_times_a_vector():
    x, v = tensors([(3,), (3,)], seed=3)
    f = lambda t: flux.sin(t) * flux.sum(t)
    y, slope = flux.jvp(f, (x,), (v,))
    np.testing.assert_allclose(y.numpy(), f(x).numpy(), rtol=1e-14)
    np.testing.assert_allclose(slope.numpy(), flux.jacobian(f, x)[0].numpy() @ v.numpy(), rtol=1e-12)


def test_gradcheck_accepts_a_right_gradient():
    x = tensors([(3, 2)])[0]
    assert flux.gradcheck(lambda t: flux.sum(flux.tanh(t) ** 2), x)


def test_gradcheck_finds_a_wrong_gradient():
    @flux.custom_gradient
    def wrong(x):
        return x * x, lambda g: (3 * x * g,)

    try:
        accepted = flux.gradcheck(lambda t: flux.sum(wrong(t)), tensors([(3,)])[0])
    except (AssertionError, ValueError):
        accepted = False
    assert not accepted


# Rules of one's own


@flux.custom_gradient
def clipped_square(x):
    """A square whose gradient is held to one."""
    return x * x, lambda g: (flux.clip(2 * x, -1, 1) * g,)


def test_custom_gradient_is_used():
    x = flux.tensor([0.25, 3.0])
    assert clipped_square(x).tolist() == [0.0625, 9.0]
    (g,) = flux.gradient(lambda t: flux.sum(clipped_square(t) * 10), x)
    assert g.tolist() == [5.0, 10.0]


def test_custom_gradient_of_two_arguments_and_none():
    @flux.custom_gradient
    def first(a, b):
        return a * b, lambda g: (g * b, None)

    ga, gb = flux.gradient(lambda a, b: flux.sum(first(a, b)), flux.tensor([2.0]), flux.tensor([3.0]))
    assert ga.item() == 3.0 and gb is None


def test_custom_gradient_may_leave_tensors_for_numpy():
    @flux.custom_gradient
    def by_numpy(x):
        a = np.asarray(x)
        return flux.tensor(np.sinh(a)), lambda g: (g * flux.tensor(np.cosh(a)),)

    x = tensors([(3,)])[0]
    (g,) = flux.gradient(lambda t: flux.sum(by_numpy(t) * 2), x)
    np.testing.assert_allclose(g.numpy(), 2 * np.cosh(x.numpy()), rtol=1e-13)


def test_custom_gradient_has_a_second_derivative():
    @flux.custom_gradient
    def cube(x):
        return x * x * x, lambda g: (3 * x * x * g,)

    assert flux.gradient(lambda x: flux.gradient(cube, x)[0], scalar(2.0))[0].item() == pytest.approx(12.0)


def test_checkpoint_changes_neither_value_nor_gradient():
    x, w = tensors([(4, 3), (3, 3)])
    block = lambda x, w: flux.tanh(flux.tanh(x @ w) @ w)
    kept = flux.withgradient(lambda x, w: flux.sum(block(x, w) ** 2), x, w)
    recomputed = flux.withgradient(lambda x, w: flux.sum(flux.checkpoint(block, x, w) ** 2), x, w)
    assert kept[0].item() == recomputed[0].item()
    for a, b in zip(kept[1], recomputed[1], strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


# Errors and threads


def test_an_exception_leaves_gradients_usable():
    x = flux.tensor([1.0, 2.0])
    for _ in range(3):
        with pytest.raises(Deliberate):
            flux.gradient(recorded_then_raised, x)
        assert flux.gradient(lambda t: flux.sum(t * t), x)[0].tolist() == [2.0, 4.0]


def test_an_exception_inside_an_inner_gradient_leaves_the_outer_usable():
    def inner(y):
        raise Deliberate

    def outer(x):
        with pytest.raises(Deliberate):
            flux.gradient(inner, x)
        return flux.sum(x * x * x)

    assert flux.gradient(outer, flux.tensor([2.0]))[0].item() == 12.0


def test_an_exception_in_a_pullback_is_passed_on():
    @flux.custom_gradient
    def broken(x):
        def pullback(g):
            raise Deliberate

        return x * 1, pullback

    with pytest.raises(Deliberate):
        flux.gradient(lambda t: flux.sum(broken(t)), flux.ones((2,)))
    assert flux.gradient(lambda t: flux.sum(t), flux.ones((2,)))[0].tolist() == [1.0, 1.0]


def test_an_interrupt_leaves_gradients_usable():
    def interrupted(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        flux.gradient(interrupted, flux.ones((2,)))
    assert flux.gradient(lambda t: flux.sum(t), flux.ones((2,)))[0].tolist() == [1.0, 1.0]


def test_a_tensor_that_outlives_its_gradient_is_a_plain_tensor():
    kept = []

    def f(x):
        kept.append(x * 3)
        return flux.sum(kept[0] * x)

    x = flux.tensor([2.0])
    flux.gradient(f, x)
    (g,) = flux.gradient(lambda t: flux.sum(kept[0] * t), x)
    assert g.item() == 6.0


def test_assignment_to_a_watched_tensor_is_an_error():
    def f(x):
        x[0] = 5.0
        return flux.sum(x)

    x = flux.ones((2,))
    with pytest.raises((RuntimeError, ValueError, TypeError), match="gradient"):
        flux.gradient(f, x)
    assert x.tolist() == [1.0, 1.0]


def test_threads_have_tapes_of_their_own():
    start, results, errors = threading.Barrier(8), {}, []

    def work(n):
        try:
            x = flux.tensor(np.full(50, float(n + 1)))
            start.wait()
            for _ in range(50):
                (g,) = flux.gradient(
                    lambda t: flux.sum(t**3 + flux.gradient(lambda s: flux.sum(s * t), t)[0]), x
                )
                np.testing.assert_allclose(g.numpy(), 3.0 * (n + 1) ** 2 + 1, rtol=1e-12)
            results[n] = True
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors, errors
    assert len(results) == 8


def test_another_thread_records_nothing_on_this_tape():
    def f(x):
        values = []
        t = threading.Thread(target=lambda: values.append((flux.ignore_derivatives(x) * 2).tolist()))
        t.start()
        t.join()
        assert values == [[4.0]]
        return flux.sum(x * x)

    assert flux.gradient(f, flux.tensor([2.0]))[0].item() == 4.0


def test_gradients_do_not_depend_on_the_number_of_threads():
    x = flux.tensor(np.random.default_rng(0).normal(size=(300, 400)).astype(np.float32))
    w = flux.tensor(np.random.default_rng(1).normal(size=(400, 200)).astype(np.float32))
    results = []
    for number in (1, 2):
        flux.set_num_threads(number)
        results.append([g.numpy() for g in flux.gradient(lambda x, w: flux.sum(flux.tanh(x @ w) ** 2), x, w)])
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)
