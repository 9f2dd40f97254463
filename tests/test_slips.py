"""A name from another library is answered with what to write here."""

import gc
import inspect
import itertools
import pickle
import re
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import oxiflux as flux
from oxiflux import hints
from oxiflux.training.loop import _KEPT

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
    (
        lambda: flux.squeeze(x, dim=0),
        "squeeze() got an unexpected keyword argument 'dim'; did you mean 'axis'?",
    ),
    (lambda: x.squeeze(dim=0), "'axis'?"),
    (lambda: x.sort(dim=0), "'axis'?"),
    (lambda: x.argsort(dim=0), "'axis'?"),
    (lambda: x.clip(mn=0), "'min'?"),
    (
        lambda: flux.mse(x, x, reduction="sum"),
        "mse() got an unexpected keyword argument 'reduction'; did you mean 'agg'?",
    ),
    (lambda: flux.mae(x, x, reduction="sum"), "'agg'?"),
    (lambda: flux.logitcrossentropy(x, 1, dim=1), "'axis'?"),
    (lambda: flux.logitbinarycrossentropy(x, x, reduction="sum"), "'agg'?"),
    (
        lambda: flux.crossentropy(x, 1, dim=1),
        "crossentropy() got an unexpected keyword argument 'dim'; did you mean 'axis'?",
    ),
    (lambda: flux.huber_loss(x, x, dleta=1), "'delta'?"),
    (lambda: flux.focal_loss(x.astype("float16"), 1, gama=1), "'gamma'?"),
    (lambda: flux.ctc_loss(x, x, reduction="sum"), "'agg'?"),
    (lambda: flux.setup(flux.Adam(), model, lr=0.1), "'lr'; it is the rule's: Adam(0.001)"),
    (
        lambda: flux.Exp(lr=0.1, decay=0.5),
        "Exp() got an unexpected keyword argument 'lr'; did you mean 'start'?",
    ),
    (lambda: flux.Dense(3, 2, size_in=3), "Dense() got 'size_in' twice, by its place and by its name"),
    (lambda: flux.mse(x, x, yhat=x), "mse() got multiple values for argument 'yhat'"),
    (lambda: flux.huber_loss(x, x, yhat=x), "huber_loss() got 'yhat' twice, by its place and by its name"),
    (
        lambda: flux.Dense(3, 2, flux.relu, True),
        "Dense() takes size_in, size_out, activation by position; bias, init by name",
    ),
    (lambda: flux.glorot_uniform(gian=2), "'gain'?"),
    (lambda: flux.ConvTranspose((2,), 1, 1, padding=1), "'pad'?"),
    (lambda: flux.clip(x, a_min=0), "clip() got an unexpected keyword argument 'a_min'"),
    (lambda: flux.dropout(x, 0.5, dim=1), "'axis'?"),
    (
        lambda: flux.onehotbatch(x, num_classes=3),
        "onehotbatch() got an unexpected keyword argument 'num_classes'",
    ),
    (lambda: flux.Adam(1, (0.9, 0.9), 1e-8, 3), "Adam() takes eta, beta, eps by position, got 4"),
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


def options(f):
    """The names that a function or a class can be given by keyword."""
    if isinstance(f, types.BuiltinFunctionType):
        parts = str(f.__text_signature__).strip("()").rpartition("/")[2].split(",")
        return [part.partition("=")[0].strip(" *") for part in parts if part.strip(" *") and "*" not in part]
    code = getattr(inspect.unwrap(f.__init__ if isinstance(f, type) else f), "__code__", None)
    names = (
        code.co_varnames[code.co_posonlyargcount : code.co_argcount + code.co_kwonlyargcount] if code else ()
    )
    return [name for name in names if name not in ("self", "shape", "cls")]


PLAIN = {"tree", "gradient", "flatten", "update", "History"}
"""Functions that cost less than a look at their keywords, and trees, which have hardly any: Python answers for them."""
MISSPELT = [
    (name, option)
    for name in sorted(flux.__all__)
    if callable(f := getattr(flux, name)) and not PLAIN & {name, f.__module__.rpartition(".")[2]}
    for option in options(f)
    if len(option) > 2
]


@pytest.mark.parametrize(("name", "option"), MISSPELT)
def test_a_misspelt_option_is_an_error_that_knows_the_right_one(name, option):
    wrong = option[:-1] + option[-1] * 2
    with pytest.raises(TypeError) as told:
        getattr(flux, name)(**{wrong: 1})
    said = str(told.value)
    assert f"{wrong!r}; did you mean {option!r}?" in said or "missing" in said, said


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
    (lambda: flux.concat(x, x), TypeError, r"^concat: the tensors come in one list, concat\(\[a, b\]"),
    (lambda: flux.stack(x, x, x), TypeError, r"^stack: the tensors come in one list, stack\(\[a, b\]"),
    (lambda: flux.concat(x, axis=x), TypeError, "^concat: the tensors come in one list"),
    (lambda: np.concatenate(x, x), TypeError, "^concat: the tensors come in one list"),
    (lambda: flux.softmax(x, 0.5), TypeError, "^softmax: axis must be a whole number, got 0.5$"),
    (lambda: flux.softmax(x, axis="a"), TypeError, "^softmax: axis must be a whole number, got 'a'$"),
    (
        lambda: flux.sort(x, descending=x),
        TypeError,
        r"^sort: descending must be True or False, got a Tensor of shape \(3,\)$",
    ),
    (lambda: flux.one_hot(x, 2.5), TypeError, "^one_hot: n must be a whole number, got 2.5$"),
    (lambda: flux.eye(2**70), OverflowError, "^eye: n_rows is beyond what a machine word holds, got 1180"),
    (lambda: flux.relu(None), TypeError, "^relu: expected a tensor, .* got NoneType"),
    (lambda: flux.add(x, {}), TypeError, "^add: expected a tensor, .* got dict"),
    (lambda: flux.seed(-1), ValueError, "^seed: a seed must be from 0 to .*, got -1$"),
    (lambda: flux.seed(2**64), ValueError, "^seed: a seed must be from 0 to "),
    (lambda: flux.seed(1.5), TypeError, "^seed: a seed must be a whole number, got 1.5$"),
    (lambda: flux.seed(True), TypeError, "^seed: a seed must be a whole number, got True$"),
    (lambda: flux.Generator(-1), ValueError, "Generator: a seed must be from 0 to .*, got -1"),
    (
        lambda: flux.set_num_threads(2**63),
        ValueError,
        "the number of threads must be from 1 to 1024, got 9223",
    ),
    (
        lambda: flux.set_num_threads(True),
        TypeError,
        "the number of threads must be a whole number, got True$",
    ),
    (lambda: flux.set_num_threads("2"), TypeError, "must be a whole number, got '2'$"),
    (lambda: x == "cat", TypeError, "is not compared with text; onecold"),
    (lambda: flux.onecold([[0.1, 0.9]]) != "cat", TypeError, "is not compared with text; onecold"),
    (
        lambda: flux.dropout(x, x),
        ValueError,
        r"^dropout: the probability p must be a number .* shape \(3,\)$",
    ),
    (
        lambda: flux.dropout(x, True),
        ValueError,
        "^dropout: the probability p must be a number from 0 to 1, got True$",
    ),
    (
        lambda: flux.mse(None, x),
        TypeError,
        "^mse: the prediction: .* got NoneType; does a function lack its return",
    ),
    (lambda: flux.huber_loss(x, None), TypeError, "^huber_loss: the target: .* got NoneType"),
    (
        lambda: flux.mse(model, x),
        TypeError,
        r"^mse: the prediction: .* call the model: mse\(model\(x\), y\)$",
    ),
    (
        lambda: flux.logitcrossentropy(lambda x: x, x),
        TypeError,
        "^logitcrossentropy: the prediction: .*call the model",
    ),
    (lambda: flux.mse(x, x, agg="sum"), TypeError, "^mse: agg must be a function.*'sum'; flux.sum is one$"),
    (lambda: flux.huber_loss(x, x, agg=None), TypeError, "^huber_loss: agg must be a function.* got None$"),
    (lambda: flux.can_cast("flot32", "bfloat16"), TypeError, "flot32 is not an element type"),
    (
        lambda: flux.tensor([x, [1.0, 2.0]]),
        flux.ShapeError,
        r"^tensor: a list has items of shapes \(3,\) and \(2,\)$",
    ),
    (lambda: flux.setup(flux.Adam, model), TypeError, r"is no rule, but a class; make one: Adam\(\)$"),
    (
        lambda: flux.setup(model, flux.Adam()),
        TypeError,
        r"^setup: the rule comes before the model: setup\(Adam",
    ),
    (lambda: flux.adjust(flux.setup(flux.Adam(), model), lr=0.1), ValueError, "has lr; did you mean eta"),
    (lambda: flux.adjust(model, 0.1), TypeError, r"^adjust: got a model, .* give the state that setup"),
    (lambda: flux.Exp("0.1", 0.5), TypeError, "^Exp: start must be a number, got '0.1'$"),
    (lambda: flux.Exp(0.1, True), TypeError, "^Exp: decay must be a number, got True$"),
    (
        lambda: flux.Step(0.1, 0.5, 2.5),
        TypeError,
        "^Step: step_sizes must be a whole number or a list .*2.5$",
    ),
    (lambda: flux.Step(0.1, 0.5, range(2**40)), ValueError, "^Step: step_sizes has more than"),
    (lambda: flux.Cos(0, 0.1, "3"), TypeError, "^CosAnneal: period must be a whole number, got '3'$"),
    (lambda: flux.Warmup("a", 3), TypeError, "^Warmup: schedule must be a number or a schedule, got 'a'$"),
    (lambda: flux.OneCycle(8, "1"), TypeError, "^OneCycle: maxval must be a number, got '1'$"),
    (
        lambda: flux.Sequence(0.1, 2),
        TypeError,
        r"^Sequence: give pairs \(schedule, number of steps\), got 0.1$",
    ),
    (
        lambda: flux.Chain(flux.Dense),
        TypeError,
        r"^Chain: layer 0 is the class Dense; make a layer of it: Dense\(…\)$",
    ),
    (
        lambda: flux.Chain(flux.relu, [flux.relu]),
        TypeError,
        r"^Chain: layer 1 is a list, .* make one layer of it: Chain\(\[…\]\)$",
    ),
    (lambda: flux.Chain(flux.relu, "relu"), TypeError, "^Chain: layer 1 is a str, .*flux.relu is one$"),
    (lambda: flux.Dense(3, 2, "relu"), TypeError, "must be a function, got 'relu'; flux.relu is one$"),
    (
        lambda: flux.Parallel("concat", flux.relu),
        TypeError,
        "flux.concat is one; it comes before the layers$",
    ),
]


@pytest.mark.parametrize(("call", "error", "said"), VALUES)
def test_a_value_that_cannot_be_taken_is_answered(call, error, said):
    with pytest.raises(error, match=said):
        call()


def test_models_and_data_of_other_floats_meet():
    assert flux.f64(flux.Dense(3, 2))(x).dtype == "float64"
    assert flux.f64(flux.Dense(3, 2))(np.ones(3, np.float32)).dtype == "float64"
    assert flux.Dense(3, 2)(np.ones(3)).dtype == "float32"


# Layers


def sides():
    return flux.Dense(3, 2), flux.Dense(3, 2)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (np.concatenate, flux.concat),
        (np.hstack, flux.concat),
        (np.stack, flux.stack),
        (np.add, flux.add),
        (np.maximum, flux.maximum),
    ],
)
def test_functions_of_numpy_join_as_those_here(theirs, ours):
    layers, rows = sides(), flux.rand(4, 3)
    want = flux.Parallel(ours, *layers)(rows)
    assert np.array_equal(flux.Parallel(theirs, *layers)(rows).numpy(), want.numpy())
    three = flux.Parallel(theirs, *layers, layers[0])(rows)
    assert np.array_equal(three.numpy(), flux.Parallel(ours, *layers, layers[0])(rows).numpy())


@pytest.mark.parametrize(
    ("reduction", "instead"),
    [
        (flux.mean, "flux.stack"),
        (np.mean, "flux.stack"),
        (flux.sum, "flux.add"),
        (sum, "flux.add"),
        (max, "flux.maximum"),
    ],
)
def test_a_reduction_does_not_join(reduction, instead):
    with pytest.raises(
        TypeError, match=f"reduces one tensor, and there are 2 results to join: write .*{instead}"
    ):
        flux.Parallel(reduction, *sides())(flux.rand(4, 3))
    with pytest.raises(TypeError, match="reduces one tensor"):
        flux.SkipConnection(flux.Dense(3, 3), reduction)(flux.rand(4, 3))
    assert flux.Parallel(flux.sum, flux.Dense(3, 2))(flux.rand(4, 3)).shape == ()


def test_a_layer_with_forward_is_told_to_name_it_call():
    class Torch(flux.Layer):
        def forward(self, x):
            return x

    with pytest.raises(TypeError, match="^Torch: a layer computes in __call__; rename forward to it"):
        flux.Chain(Torch())(x)

    class Own(Torch):
        def __call__(self, x):
            return self.forward(x) * 2

    assert Own()(x).tolist() == [2, 4, 6]


# Rules


@pytest.mark.parametrize("name", hints.RULE)
def test_a_name_that_a_rule_lacks_is_answered(name):
    assert not hasattr(flux.Adam(), name) and name not in dir(flux.Adam())
    with pytest.raises(AttributeError, match=f"^Adam has no {name}: "):
        getattr(flux.Adam(), name)


def test_a_hyper_parameter_is_checked_whenever_it_is_set():
    rule = flux.Adam(0.1)
    for name, value, said in [
        ("eta", "0.1", "Adam: eta must be a number, got '0.1'"),
        ("eta", True, "Adam: eta must be a number, got True"),
        ("beta", 0.9, "Adam: beta must be a pair of numbers, got 0.9"),
    ]:
        with pytest.raises(TypeError, match=said):
            setattr(rule, name, value)
    with pytest.raises(ValueError, match="Adam: eta must be 0 or more and finite, got -1"):
        rule.eta = -1
    with pytest.raises(AttributeError, match="^Adam has no lr; did you mean eta"):
        rule.lr = 0.5
    assert repr(rule) == "Adam(0.1, (0.9, 0.999), 1e-08)"
    rule.eta = np.float32(0.5)
    assert rule.eta == 0.5 and type(rule.eta) is float
    accumulate = flux.AccumGrad(2)
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        accumulate.n = 0


def test_a_rule_of_ones_own_has_what_attributes_it_likes():
    class Mine(flux.Adam):
        def __init__(self, eta):
            super().__init__(eta)
            self.count = "none"
            self.lr = 3

    assert (Mine(0.1).count, Mine(0.1).lr, Mine(0.1).eta) == ("none", 3, 0.1)


class Swapped:
    def init(self, x):
        return None

    def apply(self, state, x, dx):
        return dx, state

    def __repr__(self):
        return "Swapped()"


class Scalar(Swapped):
    def apply(self, state, x, dx):
        return state, 0.1


class Row(Swapped):
    def apply(self, state, x, dx):
        return state, np.ones(2, np.float32)


class Momenta(Swapped):
    def init(self, x):
        return flux.zeros_like(x), flux.zeros_like(x)


class Text(Swapped):
    def apply(self, state, x, dx):
        return state, "dx"


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (Swapped, "a new state and no step"),
        (Scalar, r"a step of shape \(\)"),
        (Row, r"a step of shape \(2,\)"),
        (Momenta, r"a step of shape \(2, 3, 2\)"),
        (Text, "a step of <class 'str'>"),
    ],
)
def test_a_rule_that_gives_no_step_is_named_with_the_parameter(rule, said):
    own = flux.Chain(flux.Dense(3, 2, bias=False))
    before = own[0].weight.tolist()
    state = flux.setup(rule(), own)
    grads = flux.gradient(lambda m: m(x).sum(), own)[0]
    with pytest.raises((TypeError, flux.ShapeError)) as told:
        flux.update(state, own, grads)
    assert re.search(
        r"^update: Swapped\(\).apply gave "
        + said
        + r" for layers\[0\].weight, of shape \(3, 2\); it returns \(state, dx\)",
        str(told.value),
    )
    with pytest.raises((TypeError, flux.ShapeError), match="Swapped"):
        flux.train(lambda m, x: m(x).sum(), own, [x], state)
    assert own[0].weight.tolist() == before


def test_a_step_of_a_number_is_one_for_a_parameter_that_is_a_number():
    model = {"w": flux.tensor(2.0)}
    flux.update(flux.setup(Scalar(), model), model, {"w": flux.tensor(1.0)})
    assert model["w"].item() == pytest.approx(1.9)


class Slotted:
    __slots__ = ("eta",)

    def __init__(self, eta):
        self.eta = eta

    def init(self, x):
        return None

    def apply(self, state, x, dx):
        return state, dx * self.eta


class Referred(Slotted):
    __slots__ = ("__weakref__",)


@pytest.mark.parametrize("rule", [Slotted, Referred])
def test_a_rule_with_slots_trains_in_the_implicit_style(rule):
    own, rule = flux.Dense(2, 1, bias=False, init=flux.ones32), rule(0.5)
    step = lambda rule: flux.train(lambda x: own(x).sum(), flux.params(own), [([[1.0, 1.0]],)], rule)
    step(rule)
    assert own.weight.tolist() == [[0.5], [0.5]]
    rule.eta = 1.0
    step(rule)
    assert own.weight.tolist() == [[-0.5], [-0.5]]
    kept = len(_KEPT)
    is_referred = isinstance(rule, Referred)
    del rule
    gc.collect()
    assert len(_KEPT) == kept - is_referred


# Gradients


def test_what_is_stopped_may_be_read_within_a_gradient():
    x = flux.tensor([1.0, 2.0])
    for constant in (flux.stop_gradient, flux.ignore_derivatives):
        assert flux.gradient(lambda x: (x * constant(x).numpy()).sum(), x)[0].tolist() == [1, 2]
        assert flux.gradient(lambda x: (x * constant(x)[1].item()).sum(), x)[0].tolist() == [2, 2]


def test_the_gradient_of_several_results_has_as_many_parts():
    _, back = flux.pullback(lambda x: (x, 2 * x), x)
    for dy in ((x,), (x, x, x), x, [x]):
        with pytest.raises(
            flux.ShapeError, match=r"^pullback: \d gradients for a result of 2 tensors; give one for each"
        ):
            back(dy)
    with pytest.raises(flux.ShapeError, match="for a result of 2 tensors"):
        back(3.0)
    assert back((x, None))[0].tolist() == [1, 2, 3] and back([x, x])[0].tolist() == [3, 6, 9]
    with pytest.raises(TypeError, match="^pullback: the function must give a tensor, .* got dict$"):
        flux.pullback(lambda x: {"a": x}, x)


def test_a_jacobian_of_nothing_by_a_number_is_empty():
    j = flux.jacobian(lambda x, y: x * y, flux.zeros(0), 2.0)
    assert [g.shape for g in j] == [(0, 0), (0,)]
    assert flux.jacobian(lambda y: flux.zeros(0) * y, np.float32(2))[0].shape == (0,)


def test_lists_of_tensors_and_numbers_are_one_tensor_and_recorded():
    y = flux.tensor([[x[0], x[1]], [x[2], x[0]]])
    assert y.tolist() == [[1, 2], [3, 1]] and y.dtype == "float32"
    assert flux.tensor([2, x[1]]).dtype == "float32" and flux.tensor([2.5, flux.tensor(1)]).tolist() == [
        2.5,
        1,
    ]
    assert flux.tensor([x.astype("float64"), [1.0, 2.0, 3.0]]).dtype == "float64"
    nested = lambda x: (flux.tensor([[x[0], x[1]], [x[2], x[0]]]) * flux.tensor([[1.0, 2], [3, 4]])).sum()
    assert flux.gradient(nested, x)[0].tolist() == [5, 2, 3]
    mixed = lambda x: flux.square(flux.tensor([[1.0, x[0]], (x[1] * 2, 7)])).sum()
    assert flux.gradient(mixed, x)[0].tolist() == [2, 16, 0]
    assert flux.gradient(lambda x: (x * [x[0], 2.0, x[1]]).sum(), x)[0].tolist() == [2, 5, 2]
    assert flux.gradient(lambda x: flux.concat([[x[0], 1.0], x]).sum(), x)[0].tolist() == [2, 1, 1]


def test_a_probability_may_be_a_tensor_of_one_number():
    flux.seed(0)
    y = flux.dropout(flux.ones(1000), flux.tensor(0.25))
    assert sorted(set(y.tolist())) == pytest.approx([0, 4 / 3])
    assert flux.Dropout(flux.tensor(0.25)).p == 0.25


def test_element_types_may_be_named():
    assert flux.can_cast("uint8", "bfloat16") and flux.can_cast("float32", "float64")
    assert not flux.can_cast("float32", "bfloat16") and not flux.can_cast(np.float64, np.int32)


def test_mathematical_functions_of_whole_numbers_take_a_tensor_of_one():
    import math

    assert (math.trunc(flux.tensor(-1.5)), math.floor(flux.tensor(-1.5)), math.ceil(flux.tensor(-1.5))) == (
        -1,
        -2,
        -1,
    )
    assert math.floor(flux.tensor(2**53 + 1)) == 2**53 + 1
    with pytest.raises(ValueError, match="holds 3 elements"):
        math.trunc(x)


# Sequences without an end


class Endless:
    def __getitem__(self, i):
        return x


@pytest.mark.parametrize("join", [flux.concat, flux.stack])
def test_a_sequence_that_never_ends_is_an_error(join):
    for items in (Endless(), itertools.repeat(x), (1.0 for _ in itertools.count())):
        with pytest.raises(ValueError, match="a sequence of more than 1048576 tensors; does it never end"):
            join(items)
    assert join(iter([x, x])).tolist() == join([x, x]).tolist()


# A newcomer's first training


def small():
    rows = np.ones((4, 3), np.float32)
    own = flux.Chain(flux.Dense(3, 1))
    return own, rows, rows[:, 0], flux.setup(flux.Adam(), own)


def test_a_loss_that_cannot_be_called_with_a_batch_is_told_how_it_is_called():
    own, rows, y, state = small()
    loss = lambda m, x, y: flux.mse(m(x)[:, 0], y)
    for data in ((rows, y), [rows, y]):
        with pytest.raises(
            TypeError, match=r"^train: .* the one part of a batch, and takes \(m, x, y\); data are batches"
        ):
            flux.train(loss, own, data, state)
    with pytest.raises(TypeError, match=r"^train: .* the 2 parts of a batch, and takes \(m, b\)$"):
        flux.train(lambda m, b: loss(m, *b), own, [(rows, y)], state)
    with pytest.raises(
        TypeError, match=r"^fit: .* takes \(yhat, y\); write lambda m, x, y: mse\(m\(x\), y\)$"
    ):
        flux.fit(flux.mse, own, [(rows, y)], state)
    with pytest.raises(TypeError, match=r"^train: .*; write lambda m, x, y: huber_loss\(m\(x\), y\)$"):
        flux.train(flux.huber_loss, own, [(rows, y)], state)
    with pytest.raises(TypeError, match=r"^trainstep: .* the one part of a batch"):
        flux.trainstep(loss, own, rows, state)


def test_an_error_within_a_loss_is_its_own():
    own, rows, y, state = small()

    def loss(m, x, y):
        raise TypeError("mine")

    with pytest.raises(TypeError, match="^mine$"):
        flux.train(loss, own, [(rows, y)], state)
    with pytest.raises(TypeError, match="^mine$"):
        flux.trainstep(loss, own, (rows, y), state)


# Depth


def nested(depth):
    model = flux.Dense(2, 2)
    for _ in range(depth):
        model = flux.Chain(model)
    return model


SHALLOW = """
import threading, oxiflux as flux
model = flux.Dense(2, 2)
for _ in range(3000):
    model = flux.Chain(model)

def walk():
    print(repr(model), model._repr_html_(), sep="\\n")
    calls = [flux.state, flux.modules, flux.testmode, lambda m: flux.summary(m, (1, 2)), lambda m: flux.loadmodel(m, m)]
    for call in calls:
        try:
            call(model)
        except ValueError as error:
            print(error)

threading.stack_size(256 * 1024)
thread = threading.Thread(target=walk)
thread.start()
thread.join()
"""


def test_a_deep_model_is_an_error_on_a_small_stack_and_prints():
    done = subprocess.run([sys.executable, "-c", SHALLOW], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 7 and all("is nested more than 256 levels deep" in line for line in lines), lines


def test_a_model_that_is_too_deep_to_be_called_says_so():
    with pytest.raises(ValueError, match="nested too deep to be called|nested more than 256 levels deep"):
        flux.summary(nested(250), (1, 2))


def test_what_was_left_out_is_asked_for_in_its_order():
    model = flux.Dense(2, 1)
    for call, order in [
        (lambda: flux.fit(model, [], flux.Adam()), "fit(loss, model, data, rule)"),
        (lambda: flux.train(model, [], None), "train(loss, model, data, state)"),
        (lambda: flux.trainstep(model, (), None), "trainstep(loss, model, batch, state)"),
    ]:
        with pytest.raises(TypeError, match=re.escape(f"; its order is {order}")):
            call()


def test_a_rule_that_is_given_a_model_says_where_they_meet():
    message = r"Adam: eta must be a number, got Dense\(2 => 1\).*setup\(Adam\(\), model\)"
    with pytest.raises(TypeError, match=message):
        flux.Adam(flux.Dense(2, 1))
    with pytest.raises(TypeError, match="got a Chain; a rule meets its model"):
        flux.Adam(flux.Chain(flux.Dense(2, 3), flux.Dense(3, 1)))
