"""Derivatives beyond the plain gradient."""

import functools
import itertools
from types import SimpleNamespace

import numpy as np
import pytest

import oxiflux as flux


def f64(x):
    return flux.tensor(np.asarray(x, np.float64))


RNG = np.random.default_rng(0)
A, X = RNG.normal(size=(3, 4)), RNG.normal(size=4)


def test_the_jacobian_of_a_linear_map_is_its_matrix():
    (j,) = flux.jacobian(lambda x: f64(A) @ x, f64(X))
    np.testing.assert_allclose(j.numpy(), A, rtol=1e-14)


def test_a_jacobian_has_the_shape_of_result_and_argument():
    x, y = f64(RNG.normal(size=(2, 3))), f64(RNG.normal(size=(3, 5)))
    value, (jx, jy) = flux.withjacobian(lambda a, b: a @ b, x, y)
    assert jx.shape == (2, 5, 2, 3)
    assert jy.shape == (2, 5, 3, 5)
    np.testing.assert_allclose(jx.numpy(), np.einsum("ik,lj->ijkl", np.eye(2), y.numpy()), atol=1e-14)
    np.testing.assert_allclose(value.numpy(), x.numpy() @ y.numpy(), rtol=1e-14)


def test_the_jacobian_of_a_model_is_a_tree():
    m = flux.Chain(flux.Dense(4, 3), flux.tanh)
    (j,) = flux.jacobian(lambda m: m(X), m)
    assert j.layers[0].weight.shape == (3, 4, 3)
    assert j.layers[0].bias.shape == (3, 3)
    assert j.layers[1] is None


def test_a_jacobian_has_zeros_where_one_result_does_not_depend():
    (j,) = flux.jacobian(lambda xs: flux.stack([xs[0] * 2, xs[1] * 3]), [f64(1), f64(1)])
    assert [g.tolist() for g in j] == [[2, 0], [0, 3]]


def test_the_jacobian_of_an_empty_result_is_empty():
    (j,) = flux.jacobian(lambda x: x[:0] * 2, f64(X))
    assert j.shape == (0, 4)


def test_a_jacobian_of_no_dependence_is_none():
    assert flux.jacobian(lambda x: f64(X), f64(X)) == (None,)


def test_a_jacobian_by_a_number():
    (j,) = flux.jacobian(lambda a: a * f64(X), 2.0)
    np.testing.assert_allclose(j.numpy(), X, rtol=1e-6)


def test_jacobian_needs_a_tensor():
    with pytest.raises(TypeError, match="jacobian"):
        flux.jacobian(lambda x: [x, x], f64(X))


def test_the_hessian_of_a_quadratic_form():
    s = A.T @ A
    h = flux.hessian(lambda x: 0.5 * (x @ f64(s) @ x), f64(X))
    np.testing.assert_allclose(h.numpy(), s, rtol=1e-12)


def test_a_hessian_of_a_matrix_has_four_axes():
    x = f64(RNG.normal(size=(2, 3)))
    h = flux.hessian(lambda x: (x**3).sum(), x)
    assert h.shape == (2, 3, 2, 3)
    np.testing.assert_allclose(h.numpy().reshape(6, 6), np.diag(6 * x.numpy().ravel()), rtol=1e-12)


@pytest.mark.parametrize("f", [lambda x: (x * 2).sum(), lambda x: flux.ones(()).astype(flux.float64)])
def test_the_hessian_of_a_linear_function_is_zero(f):
    np.testing.assert_array_equal(flux.hessian(f, f64(X)).numpy(), np.zeros((4, 4)))


def test_diaghessian_is_the_diagonal():
    x, y = f64(X), f64(RNG.normal(size=(2, 2)))
    dx, dy = flux.diaghessian(lambda x, y: (flux.sin(x) * x.sum()).sum() + (y**4).sum(), x, y)
    h = flux.hessian(lambda x: (flux.sin(x) * x.sum()).sum(), x).numpy()
    np.testing.assert_allclose(dx.numpy(), np.diag(h), rtol=1e-10)
    np.testing.assert_allclose(dy.numpy(), 12 * y.numpy() ** 2, rtol=1e-12)


def test_hessian_refuses_integers():
    with pytest.raises(TypeError, match="int64"):
        flux.hessian(lambda x: x.sum(), flux.tensor([1, 2]))


def test_jvp_is_the_jacobian_times_the_tangents():
    x, y = f64(X), f64(RNG.normal(size=4))
    u, v = RNG.normal(size=4), RNG.normal(size=4)
    f = lambda x, y: flux.tanh(f64(A) @ (x * y))
    value, change = flux.jvp(f, [x, y], [u, v])
    jx, jy = flux.jacobian(f, x, y)
    np.testing.assert_allclose(change.numpy(), jx.numpy() @ u + jy.numpy() @ v, rtol=1e-12)
    np.testing.assert_allclose(value.numpy(), f(x, y).numpy())


def test_jvp_of_no_dependence_is_zero():
    assert flux.jvp(lambda x: f64(X), [f64(1)], [f64(1)])[1].tolist() == [0, 0, 0, 0]


def test_jvp_refuses_tangents_of_another_shape():
    with pytest.raises(flux.ShapeError, match="tangents"):
        flux.jvp(lambda x: x, [f64(X)], [f64(1)])


def test_derivatives_nest():
    (g,) = flux.gradient(lambda x: flux.jacobian(lambda z: z**3, x)[0].sum(), f64(X))
    np.testing.assert_allclose(g.numpy(), 6 * X, rtol=1e-12)


def test_ignored_values_and_functions_are_constants():
    x = f64(X)
    (g,) = flux.gradient(lambda x: (x * flux.ignore_derivatives(x)).sum(), x)
    np.testing.assert_array_equal(g.numpy(), X)
    (g,) = flux.gradient(lambda x: (x * flux.ignore_derivatives(lambda: flux.exp(x))).sum(), x)
    np.testing.assert_allclose(g.numpy(), np.exp(X), rtol=1e-12)
    (g,) = flux.gradient(lambda d: (d["a"] * flux.ignore_derivatives(d)["a"]).sum(), {"a": x})
    np.testing.assert_array_equal(g["a"].numpy(), X)


# custom_gradient


def ruled(rule):
    """A gradient of one's own from a rule of the gradient that comes in, the result and the arguments."""

    def decorate(f):
        @functools.wraps(f)
        def both(*args):
            return f(*args), lambda dy: rule(dy, f(*args), *args)

        return flux.custom_gradient(both)

    return decorate


def test_a_custom_gradient_is_used():
    f = ruled(lambda dy, y, x, k: (dy * 10 * k, None))(lambda x, k: x * 2)
    x = f64(X)
    value, (g,) = flux.withgradient(lambda x: (f(x, 3) * f64([1, 2, 3, 4])).sum(), x)
    assert value.item() == pytest.approx((2 * X * [1, 2, 3, 4]).sum())
    np.testing.assert_allclose(g.numpy(), 30 * np.array([1, 2, 3, 4]), rtol=1e-14)


def test_a_custom_gradient_can_be_differentiated_again():
    exp = ruled(lambda dy, y, x: dy * y)(lambda x: flux.exp(x))
    assert flux.gradcheck(exp, X, order=2)
    cube = ruled(lambda dy, y, x: dy * 3 * x**2)(lambda x: flux.floor(x) * 0 + x**3)
    np.testing.assert_allclose(
        np.diag(flux.hessian(lambda x: cube(x).sum(), f64(X)).numpy()), 6 * X, rtol=1e-12
    )


def test_a_custom_gradient_outside_a_gradient_is_the_function():
    f = ruled(lambda dy, y, x: dy)(lambda x: x * 2)
    assert f(f64([1.0])).tolist() == [2.0]


def test_a_custom_gradient_reaches_parameters():
    scaled = ruled(lambda dy, y, w, x: (None, dy * 7))(lambda w, x: w * x)
    (g,) = flux.gradient(lambda m: scaled(f64(X), m.w).sum(), SimpleNamespace(w=f64(X)))
    np.testing.assert_array_equal(g.w.numpy(), [7] * 4)


def test_a_custom_gradient_of_another_shape_or_number_is_refused():
    for rule, error, match in [
        (lambda dy, y, x: dy.sum(), flux.ShapeError, r"argument 0 of g has shape \(\)"),
        (lambda dy, y, x: (dy, dy), ValueError, "2 gradients for 1 arguments"),
    ]:

        @ruled(rule)
        def g(x):
            return x * 1

        with pytest.raises(error, match=match):
            flux.gradient(lambda x: g(x).sum(), f64(X))


def test_an_error_in_a_rule_comes_out_as_it_is():
    def rule(dy, y, x):
        raise ZeroDivisionError("mine")

    f = ruled(rule)(lambda x: x * 1)
    with pytest.raises(ZeroDivisionError, match="mine"):
        flux.gradient(lambda x: f(x).sum(), f64(X))


# checkpoint


def test_a_checkpoint_changes_no_gradient():
    m = flux.Chain(flux.Dense(4, 5, flux.tanh), flux.Dense(5, 2))
    x = flux.tensor(X.astype(np.float32))
    plain = flux.gradient(lambda m, x: (m(x) ** 2).sum(), m, x)
    kept = flux.gradient(lambda m, x: (flux.checkpoint(m, x) ** 2).sum(), m, x)
    np.testing.assert_array_equal(kept[0].layers[0].weight.numpy(), plain[0].layers[0].weight.numpy())
    np.testing.assert_array_equal(kept[0].layers[1].bias.numpy(), plain[0].layers[1].bias.numpy())
    np.testing.assert_array_equal(kept[1].numpy(), plain[1].numpy())


def test_a_checkpoint_reaches_what_a_closure_has_captured():
    w = f64(X)
    (g,) = flux.gradient(lambda p: flux.checkpoint(lambda x: p["w"] * x, f64(X)).sum(), {"w": w})
    np.testing.assert_array_equal(g["w"].numpy(), X)


def test_a_checkpoint_computes_twice():
    calls = itertools.count()  # which, unlike a list, is not put back

    def f(x):
        next(calls)
        return x**2

    flux.gradient(lambda x: flux.checkpoint(f, x).sum(), f64(X))
    assert next(calls) == 2


def test_a_checkpoint_leaves_the_generator_where_it_was():
    def drawn(f):
        flux.seed(0)
        flux.gradient(lambda x: f(lambda x: x * flux.rand(*x.shape), x).sum(), f64(X))
        return flux.rand(3).tolist()

    assert drawn(flux.checkpoint) == drawn(lambda f, x: f(x))

    def fails(x):
        if flux.rand(1).item() >= 0 and next(calls) > 0:
            raise KeyError("the second time")
        return x * 2

    calls = itertools.count()
    flux.seed(0)
    with pytest.raises(KeyError):
        flux.gradient(lambda x: flux.checkpoint(fails, x).sum(), f64(X))
    after = flux.rand(3).tolist()
    flux.seed(0)
    flux.rand(1)
    assert after == flux.rand(3).tolist()


def test_a_checkpoint_draws_the_same_random_numbers_again():
    x = flux.ones(50)
    flux.seed(3)
    y, (g,) = flux.withgradient(
        lambda x: ((z := flux.checkpoint(lambda x: x * flux.rand(50), x)).sum(), z), x
    )
    np.testing.assert_array_equal(g.numpy(), y[1].numpy())
    after = flux.rand(3).numpy()
    flux.seed(3)
    flux.rand(50)
    np.testing.assert_array_equal(flux.rand(3).numpy(), after)


# gradcheck


def test_gradcheck_finds_a_wrong_first_derivative():
    wrong = ruled(lambda dy, y, x: dy * 1.001 * flux.cos(x))(lambda x: flux.sin(x))
    with pytest.raises(AssertionError, match=r"first derivative by argument 0\[0\]"):
        flux.gradcheck(wrong, X)


def test_gradcheck_finds_a_wrong_second_derivative():
    wrong = ruled(lambda dy, y, x: dy * flux.stop_gradient(flux.cos(x)))(lambda x: flux.sin(x))
    assert flux.gradcheck(wrong, X)
    with pytest.raises(AssertionError, match="second"):
        flux.gradcheck(wrong, X, order=2)


def test_gradcheck_skips_integers_and_takes_numbers():
    assert flux.gradcheck(lambda x, n, a: x**n * a, X, flux.tensor(3), 1.5)


def test_gradcheck_weighs_the_result():
    # The plain sum of a softmax is constant, so its gradient is zero whatever the rule says.
    wrong = ruled(lambda dy, y, x: dy * 0)(flux.softmax)
    with pytest.raises(AssertionError):
        flux.gradcheck(wrong, X)


def test_gradcheck_checks_the_parameters_of_models():
    layer, x = flux.Dense(3, 2, flux.tanh), [[0.5, -1.0, 2.0]]
    assert flux.gradcheck(lambda m, x: m(x), layer, x, order=2)
    assert layer.weight.dtype == "float32"

    def half_of_the_bias(m, x):
        return m(x) - flux.stop_gradient(m.bias) / 2

    with pytest.raises(AssertionError):
        flux.gradcheck(half_of_the_bias, layer, x)


# What a checkpointed function takes from around it.

AROUND = {}


@pytest.mark.parametrize(
    "use",
    [
        lambda x: x * AROUND["tensor"],
        lambda x: AROUND["layer"](x),
        lambda x: flux.gradient(lambda z: (z * AROUND["tensor"]).sum(), x)[0],
        lambda x: flux.checkpoint(lambda z: z * AROUND["tensor"], x),
    ],
)
def test_a_tensor_of_the_gradient_from_around_a_checkpoint_is_an_error(use):
    AROUND["layer"] = layer = flux.Dense(2, 2, bias=False)

    def f(layer, w, x):
        AROUND["tensor"] = w * 2
        return flux.checkpoint(lambda x: use(x).sum(), x)

    with pytest.raises(
        ValueError, match="checkpointed function takes a tensor of the gradient from around it"
    ):
        flux.gradient(f, layer, flux.ones(2), flux.ones(2))
    # Outside a gradient, and as a constant that is one on purpose, it may be taken.
    assert f(layer, flux.ones(2), flux.ones(2)).shape == ()
    grads = flux.gradient(
        lambda m, w, x: flux.checkpoint(lambda x: flux.ignore_derivatives(lambda: use(x)).sum() + x.sum(), x),
        layer,
        flux.ones(2),
        flux.ones(2),
    )
    assert grads[2].tolist() == [1, 1]
