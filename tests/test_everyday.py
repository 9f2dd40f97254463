"""A tensor among Python's and NumPy's everyday functions does what a person expects."""

import copy
import json
import math
import operator
import pickle
import statistics
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import oxiflux as flux

X = np.array([[1.0, -2.5, 3.25], [0.5, 4.0, -1.0]], np.float32)


def same(got, want, like=flux.Tensor):
    assert type(got) is like, type(got)
    if like is flux.Tensor:
        np.testing.assert_allclose(got.numpy(), want, rtol=2e-6)
    else:
        np.testing.assert_allclose(got, want, rtol=2e-6)


# NumPy's functions


CALLS = {
    "sum": lambda x: np.sum(x),
    "sum of rows": lambda x: np.sum(x, axis=1, keepdims=True),
    "sum in another type": lambda x: np.sum(x, 0, np.float64),
    "sum without out": lambda x: np.sum(x, axis=0, dtype=None, out=None),
    "mean": lambda x: np.mean(x, axis=-1),
    "max": lambda x: np.max(x, 1),
    "amin": lambda x: np.amin(x, axis=(0, 1)),
    "std": lambda x: np.std(x, axis=0, ddof=1),
    "var": lambda x: np.var(x, keepdims=True),
    "prod": lambda x: np.prod(x, axis=1),
    "argmax": lambda x: np.argmax(x),
    "argmin": lambda x: np.argmin(x, axis=1, keepdims=True),
    "any": lambda x: np.any(x > 2, axis=1),
    "all": lambda x: np.all(x > -3),
    "cumsum": lambda x: np.cumsum(x),
    "cumsum of columns": lambda x: np.cumsum(x, axis=0),
    "cumprod": lambda x: np.cumprod(x, axis=1),
    "sort": lambda x: np.sort(x),
    "argsort": lambda x: np.argsort(x, axis=0),
    "clip": lambda x: np.clip(x, -1, 2),
    "clip above": lambda x: np.clip(x, None, 2),
    "reshape": lambda x: np.reshape(x, (3, 2)),
    "reshape to one": lambda x: np.reshape(x, -1),
    "ravel": lambda x: np.ravel(x),
    "transpose": lambda x: np.transpose(x),
    "transpose by axes": lambda x: np.transpose(x, (1, 0)),
    "squeeze": lambda x: np.squeeze(x[:1]),
    "expand_dims": lambda x: np.expand_dims(x, 1),
    "swapaxes": lambda x: np.swapaxes(x, 0, 1),
    "moveaxis": lambda x: np.moveaxis(x, 0, -1),
    "round": lambda x: np.round(x),
    "round to one decimal": lambda x: np.round(x, 1),
    "around to tens": lambda x: np.around(x * 100, -1),
    "dot": lambda x: np.dot(x, np.ones(3)),
    "dot of vectors": lambda x: np.dot(x[0], x[1]),
    "outer": lambda x: np.outer(x[0], x[1]),
    "concatenate": lambda x: np.concatenate([x, x], axis=1),
    "concatenate with an array": lambda x: np.concatenate([X.astype(np.float64), x]),
    "stack": lambda x: np.stack([x, x], axis=-1),
    "where": lambda x: np.where(X > 0, x, 0),
    "take": lambda x: np.take(x, [0, 2], axis=1),
    "flip": lambda x: np.flip(x, 0),
    "roll": lambda x: np.roll(x, 1, axis=1),
    "repeat": lambda x: np.repeat(x, 2, axis=0),
    "tile": lambda x: np.tile(x, (2, 1)),
    "einsum": lambda x: np.einsum("ij->j", x),
    "zeros_like": lambda x: np.zeros_like(x),
    "ones_like": lambda x: np.ones_like(x),
    "full_like": lambda x: np.full_like(x, 3),
    "exp": lambda x: np.exp(x),
    "tanh": lambda x: np.tanh(x),
    "arctan2": lambda x: np.arctan2(x, X),
    "isfinite": lambda x: np.isfinite(x),
    "isnan": lambda x: np.isnan(x),
    "absolute": lambda x: np.abs(x),
    "power": lambda x: np.power(x, 2),
    "maximum": lambda x: np.maximum(x, 0),
    "add.reduce": lambda x: np.add.reduce(x),
    "maximum.reduce": lambda x: np.maximum.reduce(x, axis=1),
    "array + tensor": lambda x: X + x,
    "array @ tensor": lambda x: X.T @ x,
    "float32 * tensor": lambda x: np.float32(2) * x,
    "float64 - tensor": lambda x: np.float64(2) - x,
    "array > tensor": lambda x: np.zeros((2, 3)) > x,
    "float64 ** tensor": lambda x: np.float64(2) ** x,
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_function_of_numpy_gives_a_tensor_of_numpys_values(call):
    want = call(X)
    got = call(flux.tensor(X))
    same(got, want)
    assert got.shape == np.shape(want)


@pytest.mark.parametrize(
    "name", ["mean", "exp", "array @ tensor", "concatenate", "float32 * tensor", "std", "clip", "where"]
)
def test_a_function_of_numpy_is_recorded(name):
    x = flux.tensor(X)
    grad = flux.gradient(lambda x: CALLS[name](x).sum(), x)[0]
    h = 1e-6
    f = lambda x: np.sum(CALLS[name](x))
    slopes = [
        (f(X.astype(float) + h * d) - f(X.astype(float) - h * d)) / (2 * h)
        for d in np.eye(6).reshape(6, 2, 3)
    ]
    np.testing.assert_allclose(grad.numpy().ravel(), slopes, rtol=1e-3, atol=1e-4)


def test_an_array_that_meets_a_tensor_takes_its_type():
    x = flux.tensor(X)
    for got in (
        X.astype(np.float64) + x,
        np.concatenate([x, X.astype(np.float64)]),
        np.dot(X.astype(np.float64), x.T),
    ):
        assert got.dtype == "float32"


ELSEWHERE = {
    "cond": lambda x: np.linalg.cond(x),
    "percentile": lambda x: np.percentile(x, 30),
    "isclose": lambda x: np.isclose(x, x),
    "cbrt": lambda x: np.cbrt(x),
    "sum where": lambda x: np.sum(x, where=X > 0),
    "max with initial": lambda x: np.max(x, initial=10),
    "accumulate": lambda x: np.add.accumulate(x),
    "interp": lambda x: np.interp(np.ravel(x), [0, 1], [0, 1]),
}


@pytest.mark.parametrize("call", ELSEWHERE.values(), ids=ELSEWHERE)
def test_a_function_that_only_numpy_has_gives_what_numpy_gives(call):
    want = call(X)
    got = call(flux.tensor(X))
    assert not isinstance(got, flux.Tensor)
    np.testing.assert_allclose(got, want, rtol=2e-6)


def test_an_array_can_be_added_to_in_place():
    a = X.copy()
    b = a
    a += flux.tensor(X)
    assert a is b
    np.testing.assert_array_equal(a, 2 * X)
    whole = np.zeros(2, int)
    with pytest.raises(TypeError, match="same_kind"):
        whole += flux.tensor([0.5, 0.5])


def test_numpy_writes_into_an_array_and_not_into_a_tensor():
    x, out = flux.tensor(X), np.empty_like(X)
    assert np.exp(x, out=out) is out
    np.testing.assert_allclose(out, np.exp(X), rtol=1e-6)
    sums = np.empty(3, np.float32)
    assert np.sum(x, axis=0, out=sums) is sums
    for call in (lambda: np.exp(X, out=x), lambda: np.sum(X, out=x), lambda: np.add.at(x, [0], 1)):
        with pytest.raises(TypeError, match="nothing is written into a tensor"):
            call()


def test_arrays_are_made_of_tensors():
    x = flux.tensor(X)
    assert np.array([x, x]).shape == (2, 2, 3) and np.asarray(x).dtype == np.float32
    assert np.full(2, flux.tensor(1.5)).tolist() == [1.5, 1.5]
    assert np.arange(flux.tensor(3)).tolist() == [0, 1, 2]


def test_methods_take_what_numpys_methods_take():
    x = flux.tensor(X)
    assert x.sum(dtype="float64").dtype == "float64"
    same(x.mean(axis=0, dtype=np.float64, out=None), X.mean(0))
    same(x.max(axis=0, out=None, where=True), X.max(0))
    same(x.round(1), X.round(1))
    for call, said in [
        (lambda: x.sum(out=X), "out= is not taken"),
        (lambda: x.max(where=X > 0), "where= is not taken"),
        (lambda: x.sum(initial=1), "initial= is not taken"),
        (lambda: x.max(dtype="float64"), "unexpected keyword argument 'dtype'"),
    ]:
        with pytest.raises(TypeError, match=said):
            call()


@pytest.mark.parametrize("name", ["bool", "int8", "uint16", "int64", "float16", "float32", "float64"])
def test_numpy_takes_the_type_of_a_tensor(name):
    dtype = flux.zeros(2, name).dtype
    assert np.zeros(2, dtype=dtype).dtype == name
    assert X.astype(dtype).dtype == name
    assert f"{dtype:>10}" == f"{name:>10}"


# Python's functions


def test_a_number_is_formatted_as_a_number_and_more_of_them_one_by_one():
    loss = flux.tensor(1.23456)
    assert f"{loss:.3f}" == "1.235" and f"{loss:>8.1e}" == " 1.2e+00"
    assert f"{flux.tensor([2.0]):.1f}" == "2.0" and "%.2f" % loss == "1.23"  # noqa: UP031
    assert f"{flux.tensor(7):03d}" == "007"
    assert f"{flux.tensor([1.0, 2.5]):.2f}" == "[1.00, 2.50]"
    assert f"{flux.tensor([[1, 2], [3, 4]]):d}".split() == ["[[1,", "2],", "[3,", "4]]"]
    assert f"{flux.tensor([0.5], 'bfloat16'):.1f}" == "0.5"
    assert f"{loss}" == str(loss)
    with pytest.raises(ValueError, match="Unknown format code"):
        f"{loss:q}"


def test_printing_in_a_gradient_cuts_nothing():
    said = []
    f = lambda x: (said.append(f"{x.sum():.1f} {x:.0f}"), (x * x).sum())[1]
    assert flux.gradient(f, flux.tensor([1.0, 2.0]))[0].tolist() == [2.0, 4.0]
    assert said == ["3.0 [1, 2]"]


def test_rounding():
    assert round(flux.tensor(1.23456), 3) == pytest.approx(1.235, abs=1e-7)
    assert round(flux.tensor(2.6)) == 3 and type(round(flux.tensor(2.6))) is int
    same(round(flux.tensor([1.26, -0.54]), 1), [1.3, -0.5])
    same(round(flux.tensor([1.5, 2.5])), [2.0, 2.0])
    assert flux.tensor([126, 124]).round(-1).tolist() == [130, 120]
    assert flux.tensor([126]).round(2).dtype == "int64"


def test_numbers_in_and_out():
    s = flux.tensor(4.0)
    assert (float(s), int(s), complex(s), math.sqrt(s), math.floor(s)) == (4.0, 4, 4 + 0j, 2.0, 4)
    assert operator.index(flux.tensor(3)) == 3 and list(range(flux.tensor(2))) == [0, 1]
    assert json.dumps(s.item()) == "4.0"
    assert statistics.mean(flux.tensor([1.0, 3.0]).tolist()) == 2.0
    with pytest.raises(TypeError):
        operator.index(s)


def test_sequences_of_python():
    x = flux.tensor([3.0, 1.0, 2.0])
    assert [t.item() for t in reversed(x)] == [2.0, 1.0, 3.0]
    assert [t.item() for t in sorted(x)] == [1.0, 2.0, 3.0]
    a, *rest = x
    assert a.item() == 3.0 and len(rest) == 2 and len([*x]) == 3
    assert (max(x).item(), min(x).item(), sum(x).item()) == (3.0, 1.0, 6.0)
    same(sum([x, x]), [6.0, 2.0, 4.0])
    assert [i for i, _ in enumerate(x)] == [0, 1, 2] and dict(zip("ab", x, strict=False)).keys() == {"a", "b"}
    assert 2 in x and 5 not in x
    with pytest.raises(TypeError):
        reversed(flux.tensor(1.0))


def test_divmod_is_quotient_and_remainder():
    for a, b in [
        (flux.tensor([7.0, -7.0]), 2),
        (7, flux.tensor([2.0, -2.0])),
        (np.array([7.0, 5.0]), flux.tensor([2.0, 3.0])),
    ]:
        q, r = divmod(a, b)
        want = np.divmod(np.asarray(a), np.asarray(b))
        np.testing.assert_array_equal(np.asarray(q), want[0])
        np.testing.assert_array_equal(np.asarray(r), want[1])


def test_identity_copies_and_pickles():
    x = flux.tensor(X)
    assert hash(x) == hash(x) and {x: 1}[x] == 1
    assert x is not None and (x == None) is False  # noqa: E711
    assert any(x is y for y in [x]) and [x].index(x) == 0
    for y in (
        copy.copy(x),
        copy.deepcopy(x),
        pickle.loads(pickle.dumps(x)),
        eval(repr(x), {"Tensor": flux.tensor}),
    ):
        assert y is not x
        np.testing.assert_array_equal(y.numpy(), X)
    assert pickle.loads(pickle.dumps(flux.softmax)) is flux.softmax


def test_frames_take_tensors():
    x = flux.tensor(X)
    assert pd.DataFrame(x).shape == (2, 3) and pd.Series(x[0]).tolist() == X[0].tolist()
    assert np.asarray(pd.Series([1.0, 2.0, 3.0]) + x[0]).tolist() == (X[0] + [1, 2, 3]).tolist()


def test_curves_are_drawn_of_tensors():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    (line,) = plt.plot(flux.tensor([1.0, 2.0]), flux.tensor([3.0, 5.0]))
    assert line.get_ydata().tolist() == [3.0, 5.0]
    plt.close()


# The package


def test_a_star_import_leaves_pythons_own_alone():
    code = "from builtins import *; before = dict(globals()); from oxiflux import *;"
    code += "print([n for n in before if before[n] is not globals()[n]])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
    assert flux.sum([1, 2]).item() == 3 and flux.bool == "bool"


def test_the_names_of_the_package_are_those_that_are_documented():
    assert {"Dense", "sum", "gradient", "__version__"} <= set(dir(flux))
    assert not {"annotations", "hints", "protocols", "layers", "_core", "np"} & set(dir(flux))


def test_the_package_says_what_it_runs_on():
    ran = subprocess.run([sys.executable, "-m", "oxiflux"], capture_output=True, text=True, check=True)
    assert f"oxiflux {flux.__version__}" in ran.stdout
    assert "instruction set: " in ran.stdout and f"threads: {flux.get_num_threads()}" in ran.stdout


# Losses, powers, containers


@pytest.mark.parametrize(
    "name",
    [
        "mse",
        "mae",
        "huber_loss",
        "binarycrossentropy",
        "logitbinarycrossentropy",
        "hinge_loss",
        "poisson_loss",
        "binary_focal_loss",
        "msle",
    ],
)
@pytest.mark.parametrize(
    "target", [1, 1.0, True, flux.tensor(1.0), np.float64(1)], ids=["int", "float", "bool", "tensor", "numpy"]
)
def test_one_number_is_the_target_of_every_prediction(name, target):
    loss, yhat = getattr(flux, name), flux.tensor([[0.2, 0.7], [0.9, 0.4]])
    same(loss(yhat, target), loss(yhat, np.ones((2, 2), np.float32)).item())
    grads = [flux.gradient(lambda x: loss(x, y), yhat)[0].numpy() for y in (target, np.ones((2, 2)))]
    np.testing.assert_allclose(*grads, rtol=1e-6)


def test_a_prediction_is_still_not_broadcast():
    with pytest.raises(flux.ShapeError):
        flux.mse(flux.zeros((3, 1)), flux.zeros(3))
    with pytest.raises(flux.ShapeError):
        flux.mse(flux.zeros(3), flux.zeros(1))
    for loss in (flux.logitcrossentropy, flux.crossentropy, flux.focal_loss):
        with pytest.raises(flux.ShapeError, match="one label"):  # a class, or a probability?
            loss(flux.full((2, 3), 0.5), 1)


@pytest.mark.parametrize("x", [0.0, 2.0, -1.0, np.inf, np.nan])
@pytest.mark.parametrize("zero", [0, 0.0, flux.tensor(0.0)], ids=["int", "float", "tensor"])
def test_the_power_zero_is_one_with_the_slope_zero(x, zero):
    value, (grad,) = flux.withgradient(lambda x: (x**zero).sum(), flux.tensor([x]))
    assert value.item() == 1.0 and grad.tolist() == [0.0]
    second = flux.gradient(
        lambda x: flux.gradient(lambda x: (x**zero * x).sum(), x)[0].sum(), flux.tensor([2.0])
    )[0]
    assert second is None or second.tolist() == [0.0]


def test_parallel_layers_are_joined_by_concat_as_by_vcat():
    x, f, g, h = flux.randn(4, 3), flux.Dense(3, 2), flux.Dense(3, 5), flux.Dense(3, 1)
    same(flux.Parallel(flux.concat, f, g, h)(x), np.concatenate([f(x), g(x), h(x)], -1).numpy())
    assert flux.Parallel(flux.stack, f, f)(x).shape == (4, 2, 2)
    same(flux.SkipConnection(f, flux.concat)(x), np.concatenate([f(x), x], -1).numpy())
    image = flux.randn(2, 5, 5, 3)
    assert flux.SkipConnection(flux.Conv((1, 1), 3, 4), flux.concat)(image).shape == (2, 5, 5, 7)


@pytest.mark.parametrize("name", ["add", "multiply", "maximum", "minimum", "logaddexp"])
def test_parallel_layers_any_number_of_them_are_joined_by_a_function_of_two(name):
    x, layers = flux.randn(4, 3), [flux.Dense(3, 2) for _ in range(4)]
    join = getattr(flux, name)
    a, b, c, d = (layer(x) for layer in layers)
    same(flux.Parallel(join, *layers)(x), join(join(join(a, b), c), d).numpy())
    same(flux.Parallel(join, *layers[:1])(x), a.numpy())


def test_a_closure_keeps_the_defaults_of_its_keywords():
    model = (lambda w: lambda x, k=2.0, *, scale=3.0: x * w * k * scale)(flux.tensor([1.0]))
    twice = flux.fmap(lambda t: t * 2, model)
    assert twice(flux.tensor([1.0])).tolist() == [12.0]
    assert twice(flux.tensor([1.0]), scale=1.0).tolist() == [4.0]
    assert model(flux.tensor([1.0])).tolist() == [6.0]


# Columns that may have missing values


def test_missing_numbers_of_pandas_are_nan():
    whole = pd.DataFrame({"a": pd.array([1, 2], dtype="Int64"), "b": [0.5, 1.5]})
    assert flux.tensor(whole).tolist() == [[1, 0.5], [2, 1.5]]
    missing = pd.DataFrame(
        {"a": pd.array([1, None], dtype="Int64"), "b": pd.array([True, None], dtype="boolean")}
    )
    np.testing.assert_array_equal(flux.tensor(missing).numpy(), [[1, 1], [np.nan, np.nan]])
    np.testing.assert_array_equal(flux.tensor(missing["b"]).numpy(), [1, np.nan])
    layer = flux.Dense(2, 1)
    assert layer(whole).tolist() == layer([[1, 0.5], [2, 1.5]]).tolist()


def test_a_column_without_numbers_is_named():
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [object(), object()]})
    with pytest.raises(flux.DTypeError, match="column 'b' has dtype object"):
        flux.tensor(frame)
    with pytest.raises(flux.DTypeError, match="column 'c'"):
        flux.Dense(2, 1)(pd.DataFrame({"a": [1.0, 2.0], "c": ["x", "y"]}))
