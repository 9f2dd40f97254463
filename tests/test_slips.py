"""A name from another library is answered with what to write here."""

import pickle
import re
from pathlib import Path

import numpy as np
import pytest

import oxiflux as flux
from oxiflux import hints

x = flux.tensor([1.0, 2.0, 3.0])
model = flux.Chain(flux.Dense(3, 2, flux.relu), flux.Dense(2, 1))


# Attributes


@pytest.mark.parametrize("name", hints.TENSOR)
def test_a_name_that_a_tensor_lacks_is_answered(name):
    assert not hasattr(x, name) and not hasattr(flux.Tensor, name)
    assert name not in dir(x)
    with pytest.raises(AttributeError) as told:
        getattr(x, name)
    assert str(told.value) == f"Tensor has no {name}: {hints.TENSOR[name]}"


@pytest.mark.parametrize("name", hints.LAYER)
def test_a_name_that_a_layer_lacks_is_answered(name):
    assert not hasattr(model, name) and not hasattr(flux.Dense, name)
    assert name not in dir(model)
    with pytest.raises(AttributeError, match=f"^Chain has no {name}: "):
        getattr(model, name)


@pytest.mark.parametrize("name", hints.MODULE)
def test_a_name_that_the_package_lacks_is_answered(name):
    assert not hasattr(flux, name) and name not in dir(flux)
    with pytest.raises(AttributeError, match=f"^oxiflux has no {name}: "):
        getattr(flux, name)


def test_hints_name_what_exists():
    said = [*hints.TENSOR.values(), *hints.LAYER.values(), *hints.MODULE.values()]
    for name in {n for text in said for n in re.findall(r"flux\.(\w+)", text)}:
        assert hasattr(flux, name), name
    for name in {n for text in hints.TENSOR.values() for n in re.findall(r"\bt\.(\w+)", text)}:
        assert hasattr(x, name), name
    firsts = {re.match(r"\w+", text)[0] for text in hints.MODULE.values()}
    assert {n for n in firsts if n[0].isupper()} <= set(dir(flux))


def test_the_stub_is_excused_from_the_names_of_other_libraries_and_no_others():
    allowed = (Path(__file__).parents[1] / "scripts" / "stubtest.allow").read_text()
    assert re.findall(r"Tensor\\\.([a-z]\w*)", allowed) == sorted(hints.TENSOR)


def test_a_misspelt_name_is_answered_with_the_right_one():
    names = {"dense": "Dense", "leaky_relu": "leakyrelu", "sofmax": "softmax", "withGradient": "withgradient"}
    for slip, right in names.items():
        with pytest.raises(AttributeError, match=rf"did you mean flux\.{right}\?"):
            getattr(flux, slip)
    with pytest.raises(AttributeError, match="^oxiflux has no qqqq$"):
        flux.qqqq  # noqa: B018


def test_a_layer_of_ones_own_may_have_such_names():
    class Mine(flux.Layer):
        def __init__(self):
            self.to = 3
            self.w = flux.ones(2)

        def parameters(self):
            return [self.w]

        def __call__(self, x):
            return x

    mine = Mine()
    assert mine.to == 3 and len(mine.parameters()) == 1
    assert {"to", "parameters"} <= set(dir(mine))


# Keywords


KEYWORDS = [
    (
        lambda: flux.softmax(x, dim=0),
        "softmax() got an unexpected keyword argument 'dim'; did you mean 'axis'?",
    ),
    (lambda: flux.logsoftmax(x, dims=0), "'axis'?"),
    (lambda: flux.sum(x, axs=0), "'axis'?"),
    (lambda: flux.mean(x, keepdim=True), "'keepdims'?"),
    (lambda: flux.concat([x, x], dim=0), "'axis'?"),
    (lambda: flux.stack([x, x], dim=0), "'axis'?"),
    (lambda: flux.zeros(3, type="float32"), "'dtype'?"),
    (
        lambda: flux.leakyrelu(x, negative_slope=0.1),
        "leakyrelu() got an unexpected keyword argument 'negative_slope'",
    ),
    (lambda: x.sum(dim=0), "Tensor.sum got an unexpected keyword argument 'dim'; did you mean 'axis'?"),
    (lambda: x.max(keepdim=True), "'keepdims'?"),
    (lambda: x.std(correction_=1), "Tensor.std got an unexpected keyword argument"),
    (
        lambda: flux.Dense(in_features=3, out_features=2),
        "Dense() got an unexpected keyword argument 'in_features'; did you mean 'size_in'?",
    ),
    (lambda: flux.Dense(3, out_features=2), "'size_out'?"),
    (lambda: flux.Dense(3, 2, use_bias=False), "'bias'?"),
    (lambda: flux.Conv((3,), 1, 1, padding=1), "'pad'?"),
    (lambda: flux.Conv((3,), 1, 1, strides=2), "'stride'?"),
    (lambda: flux.MaxPool((2,), strides=2), "'stride'?"),
    (lambda: flux.BatchNorm(3, epsilon=1e-3), "'eps'?"),
    (lambda: flux.Dropout(0.5, dim=1), "Dropout() got an unexpected keyword argument 'dim'"),
    (lambda: flux.LSTM(3, hidden_size=2), "'size_out'?"),
    (lambda: flux.Adam(lr=0.1), "Adam() got an unexpected keyword argument 'lr'; did you mean 'eta'?"),
    (lambda: flux.Adam(learning_rate=0.1), "'eta'?"),
    (lambda: flux.Momentum(0.1, momentum=0.9), "'rho'?"),
    (lambda: flux.Adam(0.1, betas=(0.9, 0.99)), "'beta'?"),
    (lambda: flux.DataLoader([1], batch_size=2), "'batchsize'?"),
]


@pytest.mark.parametrize(("call", "said"), KEYWORDS, ids=[said for _, said in KEYWORDS])
def test_a_keyword_of_another_library_is_answered(call, said):
    with pytest.raises(TypeError) as told:
        call()
    assert said in str(told.value)


def test_functions_behind_the_door_are_as_they_were():
    import inspect

    assert flux.softmax.__name__ == "softmax" and flux.softmax.__module__ == "oxiflux._core"
    assert list(inspect.signature(flux.softmax).parameters) == ["x", "axis"]
    assert "scaled to sum to 1" in flux.softmax.__doc__
    assert pickle.loads(pickle.dumps(flux.softmax)) is flux.softmax
    assert flux.softmax(x, axis=0).sum().item() == pytest.approx(1)
    with pytest.raises(IndexError):
        flux.softmax(x, axis=5)
    with pytest.raises(TypeError, match="axis"):
        flux.softmax(x, axis="a")


def test_a_class_of_ones_own_is_called_as_before():
    class Plain(flux.Layer):
        pass

    class Any(flux.Layer):
        def __init__(self, *args, **named):
            self.named = named

    assert Any(1, lr=2).named == {"lr": 2}
    Plain()
    for call in (lambda: Plain(3), lambda: Plain(a=3)):
        with pytest.raises(TypeError, match=r"Plain\(\) takes no arguments"):
            call()
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'size_out'"):
        flux.Dense(3)


# Values


VALUES = [
    (lambda: flux.Tensor([1]), TypeError, r"flux\.tensor\(data\)"),
    (lambda: flux.Tensor(), TypeError, r"flux\.zeros\(shape\)"),
    (
        lambda: flux.Dense(3, 2)(None),
        TypeError,
        r"^Dense\(3 => 2\): .*NoneType; does a function lack its return",
    ),
    (lambda: flux.mse(x, ["a", "b", "c"]), TypeError, "onehotbatch"),
    (lambda: flux.mse(x, "cat"), TypeError, "onehotbatch"),
    (lambda: flux.relu("cat"), TypeError, "onehotbatch"),
    (lambda: flux.logitcrossentropy(flux.zeros((2, 3)), np.array(["a", "b"])), TypeError, "onehotbatch"),
    (
        lambda: flux.logitcrossentropy(flux.zeros((2, 3)), np.array(["a", "b"], object)),
        TypeError,
        "onehotbatch",
    ),
    (lambda: flux.logitcrossentropy(flux.zeros((2, 3)), ("a", "b")), TypeError, "onehotbatch"),
    (lambda: flux.gradient(lambda: (x**2).sum()), TypeError, "^gradient: give what to differentiate by"),
    (lambda: flux.withgradient(lambda: (x**2).sum()), TypeError, "^withgradient: give what"),
    (lambda: flux.pullback(lambda: (x**2).sum()), TypeError, "^pullback: give what"),
    (lambda: flux.gradient((x**2).sum(), x), TypeError, "^gradient: expected a function, got Tensor"),
    (lambda: flux.withgradient((x**2).sum(), x), TypeError, "^withgradient: expected a function, got Tensor"),
    (lambda: flux.gradient(x), TypeError, "^gradient: expected a function, got Tensor"),
]


@pytest.mark.parametrize(("call", "error", "said"), VALUES)
def test_a_value_that_cannot_be_taken_is_answered(call, error, said):
    with pytest.raises(error, match=said):
        call()


def test_models_and_data_of_other_floats_meet():
    assert flux.f64(flux.Dense(3, 2))(x).dtype == "float64"
    assert flux.f64(flux.Dense(3, 2))(np.ones(3, np.float32)).dtype == "float64"
    assert flux.Dense(3, 2)(np.ones(3)).dtype == "float32"
