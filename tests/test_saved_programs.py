"""Programs in files: what is loaded gives what the function gives, to the bit, and nothing in a file is believed."""

import functools
import json
import operator
import pickle
import subprocess
import sys
import textwrap
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import oxiflux as flux
import zoo
from oracles import BINARY, ORACLES, UNARY
from test_compiled import bits
from test_compiled_operations import GIVEN, INTEGERS, MADE, inputs, numbers
from test_losses import EVERY, case_id, draw

pytestmark = pytest.mark.filterwarnings("ignore:compile. .* runs as ever:RuntimeWarning")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.program"


def captured(f: Any, *args: Any, **kwargs: Any) -> Any:
    """A compiled function with a program for these arguments."""
    compiled = flux.compile(f)
    compiled(*args, **kwargs)
    compiled(*args, **kwargs)
    if not compiled.counts[0]:
        compiled(*args, **kwargs)  # some are captured once more before they are known to do the same again
    return compiled


def again(path: Path, f: Any, *args: Any, **kwargs: Any) -> Any:
    """The same function, by way of a file."""
    flux.save(path, captured(f, *args, **kwargs))
    return flux.load(path)


def is_same(path: Path, f: Any, given: Any) -> None:
    """What is loaded gives the same bits for these arguments and for others."""
    loaded = again(path, f, *given(0))
    for i in range(3):
        assert bits(loaded(*given(i))) == bits(f(*given(i)))


# What is computed


@pytest.mark.parametrize("name", ORACLES)
def test_an_operation_is_the_same_from_a_file(path: Path, name: str) -> None:
    is_same(path, GIVEN.get(name, getattr(flux, name)), lambda i: inputs(name, i))


@pytest.mark.parametrize("name", [n for n in UNARY | BINARY if n not in INTEGERS])
def test_the_gradient_of_an_operation_is_the_same_from_a_file(path: Path, name: str) -> None:
    f = GIVEN.get(name, getattr(flux, name))

    def backward(*xs: flux.Tensor) -> Any:
        return flux.gradient(lambda *xs: (flux.astype(f(*xs), "float32") ** 2).sum(), *xs)

    is_same(path, backward, lambda i: inputs(name, i))


NOT_SAVED = {
    "histogram with edges": (ValueError, "there is no program of"),
    "largest": (TypeError, "the program returns a named tuple"),
}
# A gradient of named layers is an object that no program returns.
NAMED = "Parallel"


@pytest.mark.parametrize("name", sorted(MADE.keys() - NOT_SAVED))
def test_a_function_of_several_operations_is_the_same_from_a_file(path: Path, name: str) -> None:
    is_same(path, MADE[name], lambda i: [numbers(i, (-2.0, 2.0), (3, 4), name)])


@pytest.mark.parametrize("name", NOT_SAVED)
def test_what_is_not_saved_says_so(path: Path, name: str) -> None:
    error, reason = NOT_SAVED[name]
    with pytest.raises(error, match=reason):
        again(path, MADE[name], numbers(0, (-2.0, 2.0), (3, 4), name))


@pytest.mark.parametrize("case", EVERY, ids=case_id)
def test_a_loss_and_its_gradient_are_the_same_from_a_file(path: Path, case: Any) -> None:
    name, options, kind_p, kind_t, _ = case
    loss = getattr(flux, name)

    def given(i: int) -> list[flux.Tensor]:
        return [flux.tensor(draw(kind, (5, 3), i + 7 * j)) for j, kind in enumerate((kind_p, kind_t))]

    is_same(path, lambda p, t: flux.withgradient(lambda p: loss(p, t, **options), p), given)


@pytest.mark.parametrize("name", zoo.ROWS)
def test_a_layer_is_the_same_from_a_file(path: Path, name: str) -> None:
    row = zoo.ROWS[name]
    layer = flux.testmode(row.layer())
    given = [flux.tensor(x) for x in row.inputs(3)]
    loaded = again(path, layer, *given)
    assert bits(loaded(*given)) == bits(layer(*given))
    more = [flux.tensor(x) for x in row.inputs(3)]
    assert bits(loaded(*more)) == bits(layer(*more))


def gradient_of(name: str) -> tuple[Any, list[flux.Tensor]]:
    """A function that gives the gradient for a layer, and its arguments."""
    row = zoo.ROWS[name]
    layer = flux.testmode(row.layer())
    given = [flux.tensor(x) for x in row.inputs(3)]

    def total(layer: Any, *xs: Any) -> Any:
        y = layer(*xs)
        y = y[0] if isinstance(y, tuple) else y
        return (y * y).sum()

    def backward(*xs: Any) -> Any:
        return flux.gradient(lambda layer: total(layer, *xs), layer)

    return backward, given


@pytest.mark.parametrize("name", sorted(zoo.ROWS.keys() - {NAMED}))
def test_the_gradient_of_a_layer_is_the_same_from_a_file(path: Path, name: str) -> None:
    backward, given = gradient_of(name)
    assert bits(again(path, backward, *given)(*given)) == bits(backward(*given))


def test_the_gradient_of_named_layers_is_not_saved(path: Path) -> None:
    backward, given = gradient_of(NAMED)
    with pytest.raises(ValueError, match="there is no program of"):
        again(path, backward, *given)


def test_every_operation_has_a_name_in_files() -> None:
    """Each type of operations is in a table of names, but for a user's own."""
    import re

    sources = Path(__file__).parent.parent / "src"
    for file in [*sources.glob("ops/**/*.rs"), *sources.glob("tape/*.rs"), sources / "random.rs"]:
        text = file.read_text()
        types = set(re.findall(r"impl(?:<[^>]*>)? Operation for ([$\w:]+)", text))
        tables = "".join(re.findall(r"readers! \{(.*?)\}", text, re.DOTALL)) + "".join(
            re.findall(r"const READERS[^;]*;", text, re.DOTALL)
        )
        missing = [t for t in types if not re.search(rf"{re.escape(t)}\b", tables)]
        assert not missing, f"{file.name}: {missing} are in no table of names"


# What is kept


def test_the_model_of_a_function_is_kept_by_the_names_of_its_parts(path: Path) -> None:
    model = flux.Chain(flux.Dense(3, 4, flux.relu), flux.Dense(4, 2))
    x = flux.ones((2, 3))
    direct = again(path, model, x)
    assert sorted(direct.state) == ["layers.0.bias", "layers.0.weight", "layers.1.bias", "layers.1.weight"]
    within = again(path, lambda x: flux.softmax(model(x)), x)
    assert sorted(within.state)[0] == "model.layers.0.bias"


def test_a_method_is_saved_with_its_object(path: Path) -> None:
    class Predictor:
        def __init__(self, n: int) -> None:
            self.model = flux.Dense(3, n)

        @flux.compile
        def predict(self, x: flux.Tensor) -> flux.Tensor:
            return flux.relu(self.model(x))

    one, other, x = Predictor(2), Predictor(4), flux.ones((2, 3))
    for predictor in (one, other):
        for _ in range(2):
            predictor.predict(x)
    for predictor in (one, other):
        flux.save(path, predictor.predict)
        loaded = flux.load(path)
        assert bits(loaded(x)) == bits(predictor.predict(x))
        assert sorted(loaded.state) == ["model.bias", "model.weight"]


def test_values_are_those_of_the_moment_when_it_was_saved(path: Path) -> None:
    model, x = flux.Dense(3, 2), flux.ones((2, 3))
    compiled = captured(model, x)
    flux._core.assign(model.weight, flux.zeros((3, 2)))
    flux.save(path, compiled)
    flux._core.assign(model.weight, flux.ones((3, 2)))
    loaded = flux.load(path)
    assert loaded(x).tolist() == [[0.0, 0.0]] * 2
    flux._core.assign(loaded.state["weight"], flux.ones((3, 2)))
    assert bits(loaded(x)) == bits(model(x))


def test_a_part_that_was_replaced_is_saved_as_it_is_now(path: Path) -> None:
    model, x = flux.Dense(3, 2), flux.ones((2, 3))
    compiled = captured(model, x)
    model.weight = flux.zeros((3, 2))
    flux.save(path, compiled)
    assert bits(flux.load(path)(x)) == bits(model(x))


def test_running_statistics_go_on(path: Path) -> None:
    def train(model: Any, x: flux.Tensor) -> Any:
        return flux.trainmode(model)(x)

    model = flux.trainmode(flux.BatchNorm(3))
    xs = [flux.tensor(np.random.default_rng(i).normal(size=(4, 3)).astype("float32")) for i in range(4)]
    compiled = captured(model, xs[0])
    flux.save(path, compiled)
    loaded = flux.load(path)
    for x in xs:
        assert bits(loaded(x)) == bits(model(x))
    kept = {name.rpartition(".")[2]: value for name, value in loaded.state.items()}
    for name, value in flux.state(model).items() if isinstance(flux.state(model), dict) else ():
        if name in kept:
            assert bits(kept[name]) == bits(value)


def test_a_tensor_that_is_changed_and_returned_is_what_it_has_become(path: Path) -> None:
    norm = flux.trainmode(flux.BatchNorm(2))

    def both(x: flux.Tensor) -> Any:
        return norm(x), norm.mu

    x = flux.tensor([[1.0, 2.0], [3.0, 5.0]])
    compiled = captured(both, x)
    flux.save(path, compiled)
    loaded = flux.load(path)
    for _ in range(3):
        assert bits(loaded(x)) == bits(compiled(x))


@pytest.mark.parametrize("rng", [None, 5])
def test_draws_go_on_where_the_generator_is(path: Path, rng: Any) -> None:
    generator = None if rng is None else flux.Generator(rng)
    options = {} if generator is None else {"rng": generator}
    layer = flux.trainmode(flux.Dropout(0.5, **options))
    x = flux.ones((8, 5))
    flux.seed(3)
    compiled = captured(lambda x: layer(x) + flux.rand(5) * 2 + flux.randn(5), x)
    assert compiled.counts[0] == 1
    flux.save(path, compiled)
    loaded = flux.load(path)
    for _ in range(4):
        assert bits(loaded(x)) == bits(compiled(x))


def test_a_tensor_that_is_replaced_in_the_state_must_fit(path: Path) -> None:
    loaded = again(path, flux.Dense(3, 2), flux.ones((2, 3)))
    loaded.state["weight"] = flux.zeros((3, 4))
    with pytest.raises(
        flux.ShapeError, match=r"state's weight is float32 of shape \(3, 2\), got float32 of \(3, 4\)"
    ):
        loaded(flux.ones((2, 3)))
    with pytest.raises(flux.ShapeError, match="state's weight"):
        flux.save(path, loaded)


def test_a_state_goes_by_its_names(path: Path) -> None:
    model = flux.Chain(flux.Dense(3, 3, flux.tanh, bias=False), flux.Dense(3, 3, flux.tanh, bias=False))
    x = flux.randn(2, 3)
    loaded = again(path, model, x)
    loaded.state = dict(reversed(loaded.state.items()))
    assert bits(loaded(x)) == bits(model(x))
    flux.save(path, loaded)
    assert bits(flux.load(path)(x)) == bits(model(x))
    weight = loaded.state.pop("layers.0.weight")
    with pytest.raises(ValueError, match="the state has no 'layers.0.weight', which the programs read"):
        loaded(x)
    loaded.state |= {"layers.0.weight": weight, "layers.0.wieght": weight}
    with pytest.raises(
        ValueError, match=r"reads the state's layers\.0\.wieght; did you mean layers\.0\.weight"
    ):
        flux.save(path, loaded)
    del loaded.state["layers.0.wieght"]
    loaded.state["layers.0.weight"] = 1
    with pytest.raises(TypeError, match="weight must be a tensor, got int"):
        loaded(x)


def test_weights_that_lie_in_another_order_are_the_same_from_a_file(path: Path) -> None:
    rng = np.random.default_rng(0)
    w = flux.tensor(rng.normal(size=(5, 3)).astype("float32"))
    model = {"w": flux.matrix_transpose(w), "v": flux.tensor(np.ones((4, 6), "float32"))[:, ::2]}
    x = flux.tensor(rng.normal(size=(4, 3)).astype("float32"))
    f = lambda x: (x * model["v"]) @ model["w"]
    loaded = again(path, f, x)
    assert bits(loaded(x)) == bits(f(x))


# How it is called


def test_arguments_and_results_are_trees(path: Path) -> None:
    def f(batch: Any, *, scale: flux.Tensor, name: str) -> Any:
        y = batch["x"] * scale
        return {"y": y, "both": (y, batch["more"][0]), "list": [1, 2.5, None, name], "again": y}

    batch = {"x": flux.ones(2), "more": [flux.zeros(3), 7]}
    loaded = again(path, f, batch, scale=flux.tensor(2.0), name="a")
    y = loaded(batch, scale=flux.tensor(3.0), name="a")
    assert bits(y) == bits(f(batch, scale=flux.tensor(3.0), name="a"))
    assert y["y"] is y["again"] is y["both"][0]
    for wrong in ({"scale": flux.tensor(2.0), "name": "b"}, {"scale": flux.tensor(2.0)}, {}):
        with pytest.raises(flux.ShapeError, match="it was captured for"):
            loaded(batch, **wrong)
    with pytest.raises(flux.ShapeError, match="it was captured for"):
        loaded({**batch, "more": [flux.zeros(3), 8]}, scale=flux.tensor(2.0), name="a")


def test_gradients_come_back_in_their_shape(path: Path) -> None:
    model = flux.Dense(3, 2)
    f = lambda x: flux.gradient(lambda m: m(x).sum(), model)
    x = flux.ones((2, 3))
    loaded = again(path, f, x)
    assert bits(loaded(x)) == bits(f(x))


def test_each_shape_has_a_program_of_its_own(path: Path) -> None:
    model = flux.Dense(3, 2)
    compiled = flux.compile(model)
    for n in (1, 4, 1, 4):
        compiled(flux.ones((n, 3)))
    flux.save(path, compiled)
    loaded = flux.load(path)
    for n in (1, 4):
        assert bits(loaded(flux.ones((n, 3)))) == bits(model(flux.ones((n, 3))))
    with pytest.raises(flux.ShapeError, match=r"\(4, 3\).* or .*\(1, 3\).*given \(float32 \(2, 3\)\)"):
        loaded(flux.ones((2, 3)))
    assert len(loaded.state) == 2


def test_arrays_of_numpy_take_the_type_of_what_they_stand_for(path: Path) -> None:
    loaded = again(path, lambda x, i: x[0] + i, flux.ones((2, 3)), flux.tensor(np.arange(3)))
    y = loaded(np.ones((2, 3)), np.arange(3, dtype="int32"))
    assert y.dtype == "float32" and y.tolist() == [1.0, 2.0, 3.0]
    assert loaded([[1, 2, 3], [4, 5, 6]], [0, 0, 1]).tolist() == [1.0, 2.0, 4.0]
    for wrong in (np.ones((2, 3)), [0.5, 1.0, 2.0]):
        with pytest.raises(flux.ShapeError):
            loaded(np.ones((2, 3)), wrong)
    with pytest.raises(flux.ShapeError):
        loaded(flux.ones((2, 3), dtype="float64"), flux.tensor(np.arange(3)))


def test_one_tensor_in_two_places_stays_one(path: Path) -> None:
    x = flux.ones(3)
    loaded = again(path, lambda a, b: a + b, x, x)
    assert loaded(x, x).tolist() == [2.0] * 3
    with pytest.raises(flux.ShapeError):
        loaded(x, flux.ones(3))


def test_an_argument_may_come_back_as_it_is(path: Path) -> None:
    loaded = again(path, lambda x: (x, x * 2, x), flux.ones(3))
    assert bits(loaded(flux.zeros(3))) == bits((flux.zeros(3), flux.zeros(3), flux.zeros(3)))


def test_indices_out_of_range_are_an_error_of_the_call(path: Path) -> None:
    layer = flux.Embedding(5, 2)
    loaded = again(path, layer, flux.tensor([1, 2]))
    with pytest.raises(IndexError, match="out of range for 5"):
        loaded(flux.tensor([1, 5]))
    with pytest.raises(IndexError, match="out of range for 5"):
        loaded(flux.tensor([-1, 0]))
    assert bits(loaded(flux.tensor([4, 0]))) == bits(layer(flux.tensor([4, 0])))


# What it is within others


def test_no_gradient_is_taken_through_a_program(path: Path) -> None:
    loaded = again(path, flux.Dense(3, 2), flux.ones((2, 3)))
    with pytest.raises(ValueError, match="a gradient is being taken"):
        flux.gradient(lambda x: loaded(x).sum(), flux.ones((2, 3)))
    with pytest.raises(ValueError, match="a gradient is being taken"):
        flux.gradient(lambda p: p(flux.ones((2, 3))).sum(), loaded)
    w = flux.ones(2)
    y = flux.gradient(lambda w: (loaded(flux.ones((2, 3))) * w).sum(), w)[0]
    assert bits(y) == bits(loaded(flux.ones((2, 3))).sum(axis=0))


def test_a_program_is_a_part_of_what_is_compiled(path: Path, tmp_path: Path) -> None:
    model = flux.Dense(3, 2)
    loaded = again(path, model, flux.ones((2, 3)))
    f = lambda x: flux.relu(loaded(x * 2))
    compiled = flux.compile(f)
    for i in range(4):
        x = flux.tensor(np.random.default_rng(i).normal(size=(2, 3)).astype("float32"))
        assert bits(compiled(x)) == bits(f(x)) == bits(flux.relu(model(x * 2)))
    assert compiled.counts[2] == 2
    flux.save(tmp_path / "whole.program", compiled)
    assert bits(flux.load(tmp_path / "whole.program")(x)) == bits(f(x))


def test_it_is_saved_again_as_it_was(path: Path, tmp_path: Path) -> None:
    x = flux.tensor([1, 2])
    loaded = again(path, flux.Embedding(5, 2), x)
    flux.save(tmp_path / "more.program", loaded)
    flux.save(tmp_path / "last.program", flux.load(tmp_path / "more.program"))
    assert bits(flux.load(tmp_path / "last.program")(x)) == bits(loaded(x))
    assert (tmp_path / "more.program").read_bytes() == (tmp_path / "last.program").read_bytes()


def test_threads_may_call_one_program(path: Path) -> None:
    model = flux.Chain(flux.Dense(20, 30, flux.tanh), flux.Dense(30, 5))
    loaded = again(path, model, flux.ones((8, 20)))
    xs = [flux.tensor(np.random.default_rng(i).normal(size=(8, 20)).astype("float32")) for i in range(8)]
    wanted = [bits(model(x)) for x in xs]
    wrong: list[int] = []

    def work(i: int) -> None:
        wrong.extend(j for j in range(200) if bits(loaded(xs[(i + j) % 8])) != wanted[(i + j) % 8])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert not wrong


def test_it_is_not_pickled(path: Path) -> None:
    with pytest.raises(TypeError, match=r"flux\.save"):
        pickle.dumps(again(path, lambda x: x * 2, flux.ones(2)))


def test_its_steps_are_shown(path: Path) -> None:
    loaded = again(path, lambda x: flux.tanh(x * 2.0).sum(), flux.ones(3))
    assert "= tanh(%" in flux.show_program(loaded)
    assert repr(loaded) == "Program((float32 (3,),))"


def test_it_runs_in_a_process_without_the_code_that_made_it(path: Path) -> None:
    class Own:
        def __init__(self) -> None:
            self.w = flux.full((3,), 2.0)

        def __call__(self, x: flux.Tensor) -> flux.Tensor:
            return flux.gelu(x * self.w)

    model, x = Own(), flux.tensor([-1.0, 0.5, 2.0])
    flux.save(path, captured(model, x))
    code = f"""
        import os, oxiflux as flux
        f = flux.load({str(path)!r})
        x = flux.tensor([-1.0, 0.5, 2.0])
        here = f(x).tolist()
        child = os.fork()
        if child == 0:
            os._exit(0 if f(x).tolist() == here else 1)
        assert os.waitpid(child, 0)[1] == 0
        print(here)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == model(x).tolist()


# What is not written


def test_what_cannot_be_written_is_said(path: Path) -> None:
    model = flux.Dense(3, 2)
    x = flux.ones((2, 3))
    with pytest.raises(TypeError, match=r"is given a Dense.*flux\.compile\(model\)"):
        flux.save(path, captured(lambda m, x: m(x), model, x))
    with pytest.raises(ValueError, match="there is no program"):
        flux.save(path, flux.compile(model))
    with pytest.raises(TypeError, match="array of NumPy"):
        flux.save(path, captured(lambda a: flux.tensor(a) * 2, np.ones(3)))
    a = flux.zeros(3)

    def assigns(t: flux.Tensor) -> flux.Tensor:
        flux._core.assign(t, t + 1)
        return t * 2

    with pytest.raises(TypeError, match="changes a tensor that it is given"):
        flux.save(path, captured(assigns, a))
    assert not path.exists()


# Files that are not what they say


def described(path: Path) -> tuple[dict[str, Any], list[tuple[str, flux.Tensor]]]:
    tensors, notes = flux._core.read_tensors(str(path))
    return json.loads(notes["oxiflux.program"]), list(tensors.items())


def signed(path: Path, description: dict[str, Any], tensors: list[tuple[str, flux.Tensor]]) -> Path:
    """The file of a description, with its checksum."""
    description.pop("crc32", None)
    crc = zlib.crc32(
        json.dumps(description, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()
    )
    for name, x in sorted(tensors):
        shape = "[" + ", ".join(map(str, x.shape)) + "]"
        crc = zlib.crc32(f"{name}: {x.dtype} {shape}".encode(), crc)
        crc = zlib.crc32(np.ascontiguousarray(x.numpy()).tobytes(), crc)
    description["crc32"] = crc
    flux._core.write_tensors(str(path), tensors, {"oxiflux.program": json.dumps(description)})
    return path


def example(path: Path) -> tuple[dict[str, Any], list[tuple[str, flux.Tensor]], flux.Tensor]:
    model = flux.Chain(
        flux.Conv((3, 3), 1, 2, flux.relu, pad=1), flux.MaxPool((2, 2)), flux.flatten, flux.Dense(8, 3)
    )
    x = flux.ones((2, 4, 4, 1))
    flux.save(path, captured(model, x))
    return *described(path), x


def test_what_is_signed_again_is_read(path: Path) -> None:
    description, tensors, x = example(path)
    wanted = bits(flux.load(path)(x))
    assert bits(flux.load(signed(path, description, tensors))(x)) == wanted


def changes() -> list[tuple[str, Any]]:
    def at(*keys: Any, to: Any) -> Any:
        def change(d: Any) -> None:
            for key in keys[:-1]:
                d = d[key]
            d[keys[-1]] = to

        return change

    p = ("programs", 0)
    return [
        ("version", at("version", to=2)),
        ("no programs", at("programs", to=[])),
        ("programs that are no list", at("programs", to={"a": 1})),
        ("a program that is none", at("programs", to=[5])),
        ("no steps", lambda d: d["programs"][0].pop("steps")),
        ("a step that is none", at(*p, "steps", 0, to=None)),
        ("an unknown operation", at(*p, "steps", 0, "do", to="system")),
        ("an operation without a name", lambda d: d["programs"][0]["steps"][0].pop("do")),
        (
            "an unknown look",
            lambda d: d["programs"][0]["steps"].append({"look": "eval", "with": {}, "of": [0], "to": []}),
        ),
        ("other parameters", at(*p, "steps", 0, "with", to={"axes": [1]})),
        ("parameters that are none", at(*p, "steps", 0, "with", to=[1])),
        ("a forward reference", at(*p, "steps", 0, "of", 0, to=10_000)),
        (
            "a reference to itself",
            lambda d: at(*p, "steps", 0, "of", 0, to=d["programs"][0]["steps"][0]["to"][0])(d),
        ),
        ("a negative reference", at(*p, "steps", 0, "of", 0, to=-1)),
        ("a fraction as a reference", at(*p, "steps", 0, "of", 0, to=0.5)),
        ("a result twice", lambda d: at(*p, "steps", 1, "to", to=d["programs"][0]["steps"][0]["to"])(d)),
        ("a result that is an input", at(*p, "steps", 0, "to", to=[0])),
        ("no result", at(*p, "steps", 0, "to", to=[])),
        ("another shape", at(*p, "values", 0, 1, to=[2, 4, 4, 2])),
        ("a shape beyond words", at(*p, "values", 0, 1, to=[1 << 62, 1 << 62])),
        ("too many axes", at(*p, "values", 0, 1, to=[1] * 1000)),
        ("another type", at(*p, "values", 0, 0, to="float64")),
        ("no type", at(*p, "values", 0, 0, to="object")),
        ("strides that leave", lambda d: d["programs"][0]["values"][0].append([1 << 61, 1, 1, 1])),
        ("a value that nobody makes", lambda d: d["programs"][0]["values"].append(["float32", [2]])),
        ("a million values", at(*p, "values", to=[["float32", []]] * (1 << 18 | 1))),
        (
            "values beyond all memory",
            lambda d: d["programs"][0]["values"].extend([["float32", [1 << 58]]] * 40),
        ),
        ("no results", lambda d: d["programs"][0].pop("results")),
        ("a result that is not there", at(*p, "results", to=[99_999])),
        ("a store that is none", at(*p, "stores", to=[[0]])),
        ("a store of another shape", at(*p, "stores", to=[[0, 0]])),
        ("a state that is not there", at("state", to=["nothing"])),
        ("a state twice", lambda d: d["state"].append(d["state"][0])),
        ("an input from nowhere", at(*p, "inputs", 0, to=["argument", 7])),
        ("an input twice", lambda d: at(*p, "inputs", 1, to=d["programs"][0]["inputs"][0])(d)),
        ("a call that is none", at(*p, "call", to="{")),
        (
            "a call of another tensor",
            at(*p, "call", to='{"tuple":[{"tuple":[{"tensor":3}]},{"value":null}]}'),
        ),
        ("a call without arguments", at(*p, "call", to='{"tuple":[{"tuple":[]},{"value":null}]}')),
        ("a result of another tensor", at(*p, "result", to='{"tensor":9}')),
        ("a result that was not built", at(*p, "result", to='{"again":0}')),
        ("a deep result", at(*p, "result", to='{"list":[' * 500 + "]}" * 500)),
        ("a deep description", at("programs", to=json.loads("[" * 400 + "]" * 400))),
    ]


@pytest.mark.parametrize(("name", "change"), changes(), ids=[name for name, _ in changes()])
def test_a_description_that_is_none_is_an_error(path: Path, name: str, change: Any) -> None:
    description, tensors, _ = example(path)
    change(description)
    with pytest.raises((ValueError, TypeError), match=r"not valid|header"):
        flux.load(signed(path, description, tensors))


def test_equal_steps_that_claim_other_results_are_an_error(path: Path) -> None:
    x = flux.ones(9)
    flux.save(path, captured(lambda x: flux.exp(x) * flux.cumulative_sum(x, axis=0), x))
    description, tensors = described(path)
    program = description["programs"][0]
    of = {step["do"]: step for step in program["steps"]}
    program["values"] = [["float32", [n]] for n in (9, 9, 40, 40, 40)]
    program["steps"] = [
        of["cumulative_sum"] | {"of": [0], "to": [1]},
        of["cumulative_sum"] | {"of": [0], "to": [2]},
        of["exp"] | {"of": [2], "to": [3]},
        of["multiply"] | {"of": [3, 2], "to": [4]},
    ]
    program["results"] = [1, 4]
    with pytest.raises(ValueError, match="which is not what the file says"):
        flux.load(signed(path, description, tensors))(x)


def test_a_view_that_claims_another_type_is_an_error(path: Path) -> None:
    x, z = flux.ones((2, 8)), flux.ones((2, 8), dtype=flux.float64)
    flux.save(path, captured(lambda x, z: (flux.exp(x).sum(axis=1).reshape(2, 1), z * z), x, z))
    description, tensors = described(path)
    program = description["programs"][0]
    view = next(step for step in program["steps"] if step["do"] == "reshape")["to"][0]
    product = next(step for step in program["steps"] if step["do"] == "multiply")
    program["values"][view] = ["float64", [2, 1]]
    product["of"] = [view, product["of"][1]]
    with pytest.raises(ValueError, match="which is not what the file says"):
        flux.load(signed(path, description, tensors))(x, z)


def leaves(x: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(x, dict):
        return [leaf for key, value in x.items() for leaf in leaves(value, (*path, key))]
    if isinstance(x, list):
        return [leaf for i, value in enumerate(x) for leaf in leaves(value, (*path, i))]
    return [path]


def each_changed(description: Any, within: tuple[Any, ...], others: tuple[Any, ...]) -> Iterator[Any]:
    """The description with each leaf of a part of it in turn something else."""
    text, inside = json.dumps(description), functools.reduce(operator.getitem, within, description)
    for place in leaves(inside):
        for other in others:
            changed = json.loads(text)
            part = functools.reduce(operator.getitem, (*within, *place[:-1]), changed)
            if part[place[-1]] != other:
                part[place[-1]] = other
                yield changed


def sensitivity(x: flux.Tensor) -> Any:
    return flux.gradient(lambda x: (SENSITIVE(x) ** 2).sum(), x)


SENSITIVE = flux.Chain(flux.Conv((2,), 1, 2), flux.MaxPool((2,)), flux.GRU(2, 2))

SCENES: dict[str, Any] = {
    "convolutions": lambda: (
        flux.Chain(
            flux.Conv((3, 3), 1, 2, flux.relu, pad=1), flux.MaxPool((2, 2)), flux.flatten, flux.Dense(8, 3)
        ),
        [flux.ones((2, 4, 4, 1))],
    ),
    "transposed": lambda: (flux.ConvTranspose((2,), 1, 2, stride=2), [flux.ones((1, 3, 1))]),
    "recurrence": lambda: (flux.LSTM(2, 3), [flux.ones((2, 4, 2))]),
    "attention": lambda: (lambda x: flux.dot_product_attention(x, x, x, nheads=2)[0], [flux.ones((2, 3, 4))]),
    "norms": lambda: (flux.Chain(flux.GroupNorm(4, 2), flux.LayerNorm(4)), [flux.ones((2, 3, 4))]),
    "rows": lambda: (flux.Embedding(5, 2), [flux.tensor([1, 2])]),
    "parts": lambda: (
        lambda x: flux.concat([flux.pad_constant(x, (1, 1, 0, 2)), flux.zeros((1, 6))], axis=0)[::2].sum(
            axis=1
        ),
        [flux.ones((3, 4))],
    ),
    "order": lambda: (
        lambda x: (flux.sort(x, axis=1), flux.argmax(x, axis=1), flux.cumulative_sum(x, axis=1)),
        [flux.ones((3, 4))],
    ),
    "solutions": lambda: (lambda x: flux.linalg.solve(x + 3 * flux.eye(3), x), [flux.ones((3, 3))]),
    "spectra": lambda: (lambda x: flux.fft.rfft(x), [flux.ones((2, 6))]),
    "losses": lambda: (
        lambda x, y: flux.logitcrossentropy(x, y),
        [flux.ones((3, 4)), flux.tensor([0, 1, 3])],
    ),
    "gradients": lambda: (sensitivity, [flux.ones((1, 6, 1))]),
    "more gradients": lambda: (
        lambda x, y: flux.gradient(
            lambda x: flux.logitcrossentropy(flux.dot_product_attention(x, x, x)[0][0], y), x
        ),
        [flux.ones((1, 3, 4)), flux.tensor([0, 1, 3])],
    ),
    "places": lambda: (
        lambda x, i: (x.at[i].add(2.0), flux.gradient(lambda x: (x[i] ** 2).sum(), x)),
        [flux.ones((4, 2)), flux.tensor([0, 3, 3])],
    ),
    "sound": lambda: (lambda x: flux.stft(x, n_fft=4, hop_length=2), [flux.ones(12)]),
    "draws": lambda: (lambda x: flux.rand(3) * x + flux.randint(0, 5, (3,)), [flux.ones(3)]),
    "decompositions": lambda: (
        lambda x: (flux.linalg.svdvals(x), flux.linalg.det(x + flux.eye(3))),
        [flux.ones((3, 3))],
    ),
}


@pytest.mark.parametrize("scene", SCENES)
def test_any_change_of_a_number_is_an_error_or_a_program(path: Path, scene: str) -> None:
    """Every leaf of the description in turn is something else: loading and calling may fail, with errors of ours."""
    f, given = SCENES[scene]()
    if not isinstance(f, flux.Layer):
        g = f
        f = lambda *xs: g(*xs)
    compiled = captured(f, *given)
    assert compiled.counts[0] == 1
    flux.save(path, compiled)
    description, tensors = described(path)
    others = (
        0, 1, 2, 3, 5, 7, -1, 1 << 20, 1 << 40, (1 << 63) - 1, -(1 << 63), None, True, "x", {"float": "nan"}, [],
    )  # fmt: skip
    for changed in each_changed(description, ("programs", 0, "steps"), others):
        try:
            loaded = flux.load(signed(path, changed, tensors))
        except (ValueError, TypeError, MemoryError):
            continue
        try:
            loaded(*given)
        except (ValueError, TypeError, IndexError, MemoryError, NotImplementedError):
            continue


@pytest.mark.parametrize("at", range(0, 100, 7))
def test_bytes_that_are_changed_or_missing_are_an_error(path: Path, at: int) -> None:
    example(path)
    whole = bytearray(path.read_bytes())
    place = len(whole) * at // 100
    whole[place] ^= 1
    path.write_bytes(whole)
    with pytest.raises((ValueError, TypeError)):
        flux.load(path)
    path.write_bytes(whole[:place])
    with pytest.raises((ValueError, TypeError)):
        flux.load(path)


def test_a_program_is_made_by_load_alone() -> None:
    with pytest.raises(TypeError, match=r"read from a file, flux\.load"):
        flux.Program(flux.ones(2), {})  # type: ignore[arg-type]
