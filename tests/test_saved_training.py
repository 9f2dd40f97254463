"""Steps of training in files: they go on where the optimiser was, to the bit, without the code that made them."""

import functools
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import oxiflux as flux
from test_compiled import CHAINS, MODELS, RULES, bits
from test_saved_programs import described, each_changed, signed

pytestmark = pytest.mark.filterwarnings("ignore:compile. .* runs as ever:RuntimeWarning")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "step.program"


def batch(i: int, rows: int = 4) -> tuple[flux.Tensor, flux.Tensor]:
    drawn = np.random.default_rng(i)
    return tuple(flux.tensor(drawn.normal(size=(rows, n)).astype("float32")) for n in (3, 2))


class Training:
    """A model, its optimiser and a compiled step that reaches both."""

    def __init__(self, model: Any, rule: Any) -> None:
        self.model, self.state = model, flux.setup(rule, model)
        model, state = self.model, self.state

        def step(x: flux.Tensor, y: flux.Tensor) -> flux.Tensor:
            loss, grads = flux.withgradient(lambda m: flux.mse(m(x), y), model)
            flux.update(state, model, grads[0])
            return loss

        self.step = flux.compile(step)


def small() -> Any:
    return flux.Chain(flux.Dense(3, 5, flux.tanh), flux.Dense(5, 2))


def is_continued(path: Path, model: Callable[[], Any], rule: Callable[[], Any], before: int = 3) -> Any:
    """What is saved in the middle goes on as what was not interrupted."""
    flux.seed(1)
    training = Training(model(), rule())
    for i in range(before):
        training.step(*batch(i))
    flux.save(path, training.step)
    loaded = flux.load(path)
    for i in range(before, before + 5):
        assert bits(loaded(*batch(i))) == bits(training.step(*batch(i))), i
    for path_of, tensor in flux.trainables(training.model, path=True):
        name = "model." + ".".join(map(str, path_of))
        if name in loaded.state:  # one of several places that a tensor has
            assert bits(loaded.state[name]) == bits(tensor), name
    assert any(name.startswith("model.") for name in loaded.state)
    return training, loaded


# What a schedule gives at each step is Python's.
SCHEDULED = [name for name in RULES if "Scheduler" in name]


@pytest.mark.parametrize("name", [name for name in RULES if name not in SCHEDULED])
def test_every_rule_goes_on(path: Path, name: str) -> None:
    is_continued(path, small, RULES[name])


@pytest.mark.parametrize("name", SCHEDULED)
def test_a_rule_with_a_schedule_is_not_saved(path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="there is no program of"):
        is_continued(path, small, RULES[name])


@pytest.mark.parametrize("name", [*MODELS, "mixed"])
def test_every_model_goes_on(path: Path, name: str) -> None:
    if name == "mixed":
        is_continued(path, lambda: flux.f16(small()), lambda: flux.MixedPrecision(flux.Adam(0.01)))
    else:
        is_continued(path, MODELS[name], lambda: flux.Adam(0.01))


@pytest.mark.parametrize("before", [2, 3, 4, 5])
def test_gradients_are_gathered_on(path: Path, before: int) -> None:
    is_continued(path, small, lambda: flux.OptimiserChain(flux.AccumGrad(3), flux.Adam(0.05)), before)


def test_it_is_saved_again_and_goes_on(path: Path, tmp_path: Path) -> None:
    training, loaded = is_continued(path, small, lambda: flux.AdamW(0.02, lambda_=0.1))
    other = tmp_path / "other.program"
    flux.save(other, loaded)
    again = flux.load(other)
    for i in range(20, 24):
        wanted = bits(training.step(*batch(i)))
        assert bits(again(*batch(i))) == wanted
        assert bits(loaded(*batch(i))) == wanted
    assert list(again.state) == list(loaded.state)
    assert [bits(x) for x in again.state.values()] == [bits(x) for x in loaded.state.values()]


def test_the_state_has_what_the_optimiser_has(path: Path) -> None:
    training, loaded = is_continued(path, small, lambda: flux.Adam(0.01))
    weight = training.state.layers[0].weight
    m, v, (power, _) = weight.state
    assert bits(loaded.state["model.layers.0.weight"]) == bits(training.model.layers[0].weight)
    assert bits(loaded.state["state.layers.0.weight.0"]) == bits(m)
    assert bits(loaded.state["state.layers.0.weight.1"]) == bits(v)
    assert loaded.state["state.layers.0.weight.clock"].tolist()[0][0] == power
    hyper = {name: x.tolist() for name, x in loaded.state.items() if name.startswith("Adam.")}
    assert hyper == {"Adam.eta": 0.01, "Adam.beta": [0.9, 0.999], "Adam.eps": 1e-8}


def test_hyper_parameters_can_be_changed(path: Path) -> None:
    training, loaded = is_continued(path, small, lambda: flux.Adam(0.01))
    flux.adjust(training.state, 0.3)
    loaded.state["Adam.eta"] = flux.tensor(0.3, dtype="float64")
    for i in range(30, 34):
        assert bits(loaded(*batch(i))) == bits(training.step(*batch(i)))
    loaded.state["Adam.eta"] = flux.tensor(0.3)
    with pytest.raises(flux.ShapeError, match=r"Adam\.eta is float64"):
        loaded(*batch(0))


def test_hyper_parameters_are_those_of_the_moment(path: Path) -> None:
    training = Training(small(), flux.Momentum(0.1))
    for i in range(3):
        training.step(*batch(i))
    flux.adjust(training.state, eta=0.02, rho=0.5)
    flux.save(path, training.step)
    loaded = flux.load(path)
    for i in range(3, 7):
        assert bits(loaded(*batch(i))) == bits(training.step(*batch(i)))


def test_what_is_frozen_stays(path: Path) -> None:
    training = Training(small(), flux.Adam(0.05))
    flux.freeze(training.state.layers[0])
    for i in range(3):
        training.step(*batch(i))
    flux.save(path, training.step)
    loaded = flux.load(path)
    kept = bits(training.model.layers[0].weight)
    for i in range(3, 6):
        assert bits(loaded(*batch(i))) == bits(training.step(*batch(i)))
    assert bits(loaded.state["model.layers.0.weight"]) == kept


def test_each_part_may_have_a_rule_of_its_own(path: Path) -> None:
    model = small()
    state = flux.setup(flux.Adam(0.01), model)
    flux.adjust(state.layers[1], 0.3)

    def step(x: flux.Tensor, y: flux.Tensor) -> flux.Tensor:
        loss, grads = flux.withgradient(lambda m: flux.mse(m(x), y), model)
        flux.update(state, model, grads[0])
        return loss

    compiled = flux.compile(step)
    for i in range(3):
        compiled(*batch(i))
    flux.save(path, compiled)
    loaded = flux.load(path)
    assert sorted(x.item() for name, x in loaded.state.items() if ".eta" in name) == [0.01, 0.3]
    for i in range(3, 8):
        assert bits(loaded(*batch(i))) == bits(compiled(*batch(i)))


def test_programs_of_two_shapes_train_one_model(path: Path) -> None:
    flux.seed(2)
    training = Training(MODELS["batchnorm"](), flux.RAdam(0.02))
    for i in range(6):
        training.step(*batch(i, 4 + i % 2))
    assert training.step.counts[0] == 2
    flux.save(path, training.step)
    loaded = flux.load(path)
    for i in range(6, 14):
        given = batch(i, 4 + i % 3 % 2)
        assert bits(loaded(*given)) == bits(training.step(*given))
    with pytest.raises(flux.ShapeError, match=r"captured for .*\(9, 3\)"):
        loaded(*batch(0, 9))


def test_two_optimisers_in_one_step(path: Path) -> None:
    """Two models that train against each other, the second with what the first has become."""
    one, two = flux.Dense(3, 2), flux.Dense(2, 3)
    first, second = flux.setup(flux.Adam(0.02), one), flux.setup(flux.Nesterov(0.01), two)

    def step(x: flux.Tensor) -> Any:
        loss, (g,) = flux.withgradient(lambda m: flux.mse(two(m(x)), x), one)
        flux.update(first, one, g)
        other, (g,) = flux.withgradient(lambda m: flux.mse(m(one(x)), x) - 0.1 * flux.mean(m(one(x))), two)
        flux.update(second, two, g)
        return loss, other, two(one(x))

    compiled = flux.compile(step)
    for i in range(3):
        compiled(batch(i)[0])
    flux.save(path, compiled)
    loaded = flux.load(path)
    for i in range(3, 8):
        assert bits(loaded(batch(i)[0])) == bits(compiled(batch(i)[0]))


@pytest.mark.parametrize("times", [1, 2])
def test_a_parameter_that_is_returned_is_what_the_step_has_made_of_it(path: Path, times: int) -> None:
    model = flux.Dense(3, 2)
    state = flux.setup(flux.Adam(0.05), model)

    def step(x: flux.Tensor, y: flux.Tensor) -> Any:
        before = model.bias * 1
        for _ in range(times):
            loss, grads = flux.withgradient(lambda m: flux.mse(m(x), y), model)
            flux.update(state, model, grads[0])
        return loss, model.weight, before, model.bias

    compiled = flux.compile(step)
    for i in range(3):
        compiled(*batch(i))
    flux.save(path, compiled)
    loaded = flux.load(path)
    for i in range(3, 6):
        assert bits(loaded(*batch(i))) == bits(compiled(*batch(i)))


def test_tied_weights_stay_tied(path: Path) -> None:
    def tied() -> Any:
        layer = flux.Dense(3, 3, flux.tanh)
        return flux.Chain(layer, layer, flux.Dense(3, 2))

    is_continued(path, tied, lambda: flux.Adam(0.02))


def test_a_partial_function_is_saved_with_its_arguments(path: Path) -> None:
    def step(model: Any, state: Any, x: flux.Tensor, y: flux.Tensor) -> flux.Tensor:
        loss, grads = flux.withgradient(lambda m: flux.mse(m(x), y), model)
        flux.update(state, model, grads[0])
        return loss

    model = small()
    state = flux.setup(flux.Adam(0.02), model)
    compiled = flux.compile(functools.partial(step, model, state))
    for i in range(3):
        compiled(*batch(i))
    flux.save(path, compiled)
    loaded = flux.load(path)
    assert "model.layers.1.bias" in loaded.state
    assert "state.layers.1.bias.0" in loaded.state
    for i in range(3, 6):
        assert bits(loaded(*batch(i))) == bits(compiled(*batch(i)))
    whole = flux.compile(step)
    for i in range(3):
        whole(model, state, *batch(i))
    with pytest.raises(TypeError, match="compile a function that reaches it without arguments"):
        flux.save(path, whole)


def test_an_error_leaves_all_as_it_was(path: Path) -> None:
    training = Training(small(), flux.OptimiserChain(flux.ClipNorm(1.0), flux.Adam(0.02)))
    for i in range(3):
        training.step(*batch(i))
    flux.save(path, training.step)
    loaded = flux.load(path)
    before = {name: bits(x) for name, x in loaded.state.items()}
    x, y = batch(0)
    with pytest.raises(ValueError, match="ClipNorm: the gradient"):
        loaded(x * float("nan"), y)
    assert {name: bits(x) for name, x in loaded.state.items()} == before


def test_training_is_a_part_of_what_is_compiled(path: Path) -> None:
    training, loaded = is_continued(path, small, lambda: flux.Adam(0.01))

    def twice(x: flux.Tensor, y: flux.Tensor) -> flux.Tensor:
        return loaded(x, y) + loaded(y @ flux.ones((2, 3)), y)

    compiled = flux.compile(twice)
    for i in range(40, 45):
        x, y = batch(i)
        wanted = training.step(x, y) + training.step(y @ flux.ones((2, 3)), y)
        assert bits(compiled(x, y)) == bits(wanted)
    assert compiled.counts[2] == 3


def test_a_rule_in_python_is_none(path: Path) -> None:
    class Sign(flux.Rule):
        def apply(self, state: Any, x: flux.Tensor, dx: flux.Tensor) -> Any:
            return state, 0.1 * flux.sign(dx)

    training = Training(small(), flux.Adam(0.01))
    for i in range(3):
        training.step(*batch(i))
    training.state.layers[0].weight.rule = Sign()
    with pytest.raises((TypeError, ValueError), match="Sign|not what it was"):
        flux.save(path, training.step)
    assert not path.exists()


def test_it_trains_in_a_process_without_the_code_that_made_it(path: Path) -> None:
    training = Training(small(), flux.Adam(0.05))
    for i in range(3):
        training.step(*batch(i))
    flux.save(path, training.step)
    code = f"""
        import oxiflux as flux
        step = flux.load({str(path)!r})
        x, y = flux.ones((4, 3)), flux.ones((4, 2))
        losses = [step(x, y).item() for _ in range(5)]
        flux.save({str(path)!r}, step)
        print(losses)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    x, y = flux.ones((4, 3)), flux.ones((4, 2))
    assert done.stdout.strip() == str([training.step(x, y).item() for _ in range(5)])
    assert bits(flux.load(path)(x, y)) == bits(training.step(x, y))


@pytest.mark.parametrize("rule", ["Adam", "AccumGrad(3)", next(iter(CHAINS)), "mixed"])
def test_any_change_of_a_number_is_an_error_or_a_program(path: Path, rule: str) -> None:
    mixed = rule == "mixed"
    made = (
        flux.MixedPrecision(flux.Adam(0.01)) if mixed else RULES[rule]() if rule in RULES else flux.Adam(0.1)
    )
    training = Training(flux.f16(small()) if mixed else small(), made)
    for i in range(3):
        training.step(*batch(i))
    flux.save(path, training.step)
    description, tensors = described(path)
    steps = description["programs"][0]["steps"]
    (at,) = [i for i, step in enumerate(steps) if step.get("look") == "update"]
    others = (0, 1, 2, 3, 7, -1, 1 << 40, (1 << 63) - 1, None, True, "adam", "chain", [], {"float": "nan"})
    for changed in each_changed(description, ("programs", 0, "steps", at), others):
        try:
            flux.load(signed(path, changed, tensors))(*batch(0))
        except (ValueError, TypeError, IndexError, MemoryError):
            continue


def test_numbers_of_the_state_may_be_anything(path: Path) -> None:
    training = Training(small(), flux.OptimiserChain(flux.AccumGrad(2), flux.ClipNorm(1.0), flux.RAdam(0.05)))
    for i in range(3):
        training.step(*batch(i))
    flux.save(path, training.step)
    names = [name for name in flux.load(path).state if name.startswith(("state", "RAdam", "Accum", "Clip"))]
    for name in names:
        for number in (0.0, -1.0, 0.5, 1e30, float("nan"), float("inf"), float("-inf")):
            loaded = flux.load(path)
            loaded.state[name] = flux.full(loaded.state[name].shape, number, dtype=loaded.state[name].dtype)
            try:
                loaded(*batch(0))
            except ValueError:
                continue
