"""Programs: what a thread computes, written down as data."""

import copy
import gc
import threading

import numpy as np
import pytest

import oxiflux as flux
import zoo

record = flux._core.record


def steps(f, *given):
    return record(f, list(given))[1]


def names(f, *given):
    return [name for name, *_ in steps(f, *given)]


def test_an_operation_is_its_name_its_parameters_and_the_numbers_of_values():
    x = flux.tensor([[1.0, -2.0], [3.0, 4.0]])
    results, program, values = record(lambda: [flux.softmax(flux.leakyrelu(x, 0.3))], [x])
    assert program == [("leakyrelu", {"a": 0.3}, (0,), (1,)), ("softmax", {"log": False}, (1,), (2,))]
    assert results == [2]
    np.testing.assert_array_equal(values[1].numpy(), flux.leakyrelu(x, 0.3).numpy())


def test_parameters_are_typed():
    x = flux.ones((2, 5))
    ((_, parameters, _, _),) = steps(lambda: [x[:, 1::2]], x)
    assert parameters == {
        "ranges": ({"start": 0, "step": 1, "length": 2}, {"start": 1, "step": 2, "length": 2})
    }
    ((_, parameters, _, _),) = steps(lambda: [flux.mean(x, axis=-1, keepdims=True)], x)
    assert parameters == {"axes": (1,), "keepdims": True, "mean": True}
    ((_, parameters, _, _),) = steps(lambda: [x.astype("float64")], x)
    assert parameters == {"dtype": "float64"}


def test_fused_layers_have_their_activations():
    dense = flux.Dense(5, 3, flux.leakyrelu)
    ((name, parameters, inputs, _),) = steps(lambda: [dense(flux.ones((2, 5)))])
    assert (name, len(inputs)) == ("dense", 3)
    assert parameters == {"activation": {"function": "leakyrelu", "a": 0.01}}
    conv = flux.Conv((3,), 2, 4, flux.relu, pad=(1, 2), stride=2)
    (_, parameters, _, _) = steps(lambda: [conv(flux.ones((1, 6, 2)))])[0]
    assert parameters["activation"] == {"function": "relu"}
    assert (parameters["sizes"]["dims"], parameters["sizes"]["after"]) == (1, (0, 0, 2))
    assert parameters["sizes"]["geometry"]["windows"][2]["before"] == 1
    assert parameters["sizes"]["geometry"]["windows"][2]["stride"] == 2


def test_values_keep_their_numbers_and_constants_get_one():
    x = flux.tensor([1.0, 2.0])
    _, program, values = record(lambda: [(x + 1.0) * x], [x])
    (_, _, (a, one), (total,)), (_, _, inputs, _) = program
    assert (a, inputs) == (0, (total, 0))
    assert values[one].item() == 1.0


def test_gradients_are_in_the_program():
    model, x = flux.Dense(3, 2, flux.tanh), flux.ones((4, 3))
    found = names(lambda: [flux.gradient(lambda m: m(x).sum(), model)[0].weight])
    assert found[:2] == ["dense", "sum"]
    assert found.count("matmul") >= 1


def test_nothing_is_written_when_it_is_over():
    x = flux.ones(3)
    assert not flux._core.is_written()
    with pytest.raises(ZeroDivisionError):
        record(lambda: [x + 1 / 0], [x])
    with pytest.raises(flux.ShapeError):
        record(lambda: [x + flux.ones(4)], [x])
    assert not flux._core.is_written()
    assert names(lambda: [x * 2]) == ["multiply"]


def test_one_within_another_is_in_both():
    x = flux.ones(3)
    inner = []

    def outer():
        y = flux.exp(x)
        inner.extend(names(lambda: [flux.log(y)], y))
        with pytest.raises(KeyError):
            record(lambda: {}["nothing"], [])
        assert flux._core.is_written()
        return [flux.sin(y)]

    assert names(outer, x) == ["exp", "log", "sin"]
    assert inner == ["log"]


def test_threads_write_their_own():
    x, found, ready = flux.ones(3), {}, threading.Barrier(2)

    def work(name):
        def f():
            ready.wait()
            y = getattr(flux, name)(x)
            ready.wait()
            return [y]

        found[name] = names(f, x)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("exp", "sin")]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert found == {"exp": ["exp"], "sin": ["sin"]}


def test_it_can_stop_at_an_operation_and_say_where():
    x = flux.ones(3)
    with pytest.raises(Exception, match="sin: the recording stops here") as raised:
        record(lambda: [flux.cos(flux.sin(flux.exp(x)))], [x], 1)
    assert raised.traceback[-1].path == raised.traceback[-2].path
    assert not flux._core.is_written()


def test_what_is_held_is_no_other_values_memory():
    # Each result is dropped at once: its memory would be given to the next one.
    x = flux.ones(1000)

    def f():
        y = x
        for _ in range(50):
            y = y + 1.0
        return [y]

    (result,), program, values = record(f, [x])
    outputs = [out for *_, (out,) in program]
    assert len(set(outputs)) == 50
    assert values[result][0].item() == 51.0
    assert values[outputs[9]][0].item() == 11.0


def test_a_program_lets_go_of_memory():
    x = flux.ones(1000)
    record(lambda: [x + 1], [x])
    gc.collect()
    before = flux._core.memory_in_use()
    for _ in range(20):
        record(lambda: [flux.exp(x) + 1], [x])
    assert flux._core.memory_in_use() == before


def test_parameters_that_are_updated_are_values_of_their_own():
    model, x = flux.Dense(3, 2), flux.ones((4, 3))
    state = flux.setup(flux.Descent(0.1), model)
    old = model.weight.numpy().copy()

    def step():
        before = model(x)
        flux.update(state, model, flux.gradient(lambda m: m(x).sum(), model)[0])
        return [before, model(x)]

    (first, last), _, values = record(step, [x])
    assert not np.array_equal(values[first].numpy(), values[last].numpy())
    np.testing.assert_allclose(values[last].numpy(), model(x).numpy())
    assert not np.array_equal(old, model.weight.numpy())


OUTSIDE = {
    "labels": (lambda x: flux.take(flux.eye(3), x, axis=0), [0, 2]),
    "places along an axis": (lambda x: flux.take_along_axis(flux.eye(3)[:2], x[:, None], axis=1), [0, -1]),
    "indices": (lambda x: flux.eye(3)[x, x], [0, -1]),
    "products of integers": (lambda x: x[None] @ x[:, None], [1, 2]),
    "copies": (lambda x: x.copy() + flux.tensor(x), [1, 2]),
    "a corrected mean": (
        lambda x: flux.norm(flux.astype(x, "float32")) if hasattr(flux, "norm") else x + 0,
        [1, 2],
    ),
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_nothing_is_made_of_an_input_beside_the_door(name):
    f, numbers = OUTSIDE[name]
    x = flux.tensor(numbers)
    constants = []
    for values in (numbers, numbers[::-1]):
        given = flux.tensor(values)
        _, program, values = record(lambda given=given: [f(given)], [given])
        made = {0, *(y for *_, outputs in program for y in outputs)}
        constants.append([v.numpy() for i, v in enumerate(values) if i not in made])
    assert x.tolist() == numbers
    for a, b in zip(*constants, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", zoo.ROWS)
def test_a_layer_is_written_whole(name):
    row = zoo.ROWS[name]
    layer, constants = row.layer(), []
    parameters = [t for _, t in flux._core.leaves(layer)]
    for i in range(2):
        inputs = [flux.tensor(np.roll(x, i)) for x in row.inputs(3)]
        known = [*inputs, *parameters]
        flat = lambda y: [leaf for part in y for leaf in flat(part)] if isinstance(y, tuple) else [y]
        _, program, values = record(lambda inputs=inputs: flat(copy.copy(layer)(*inputs)), known)
        made = {*range(len(known)), *(y for *_, outputs in program for y in outputs)}
        constants.append([v.numpy() for k, v in enumerate(values) if k not in made])
    for a, b in zip(*constants, strict=True):
        np.testing.assert_array_equal(a, b)
