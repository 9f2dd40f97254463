"""Every option of every public callable, turned to a value that is not its default, changes the result as its formula
says. The tables are in `options/`; an option that is in none of them fails the first test.
"""

import ast
import inspect
import re
from itertools import count
from pathlib import Path

import numpy as np
import pytest

import oxiflux as flux
from options import (
    attention,
    convolutions,
    data,
    functions,
    images,
    initialisers,
    layers,
    losses,
    norms,
    places,
    recurrence,
    rules,
    sound,
    statistics,
)  # fmt: skip
from options.elsewhere import EVERYWHERE, TESTED, WITHOUT_EFFECT
from options.rows import With, arrays, numbers, written
from oxiflux.training import progress as progress_of_training

TESTS = Path(__file__).resolve().parent
TABLES = (
    attention, convolutions, data, functions, images, initialisers, layers, losses, norms, places, recurrence, rules,
    sound, statistics,
)  # fmt: skip
ROWS = {name: row for table in TABLES for name, row in table.ROWS.items()}
CASES = [(name, option) for name, row in ROWS.items() for option in row.turned]


def parameters_of(callable_):
    try:
        return list(inspect.signature(callable_).parameters.values())
    except ValueError:  # an exception, whose signature is that of Python
        return []


def public_parameters():
    """`(name, parameter)` of all that is public, where `Layer.__call__` is the calling of a layer."""
    # Also what a star does not import, because Python has the name.
    for name, thing in sorted(vars(flux).items()):
        if name.startswith("_") or not callable(thing):
            continue
        yield from ((name, p) for p in parameters_of(thing))
        if isinstance(thing, type) and issubclass(thing, flux.Layer):
            yield from ((f"{name}.__call__", p) for p in parameters_of(thing.__call__))


def public_options():
    """`(name, option)` of all parameters that have a default."""
    return [(name, p.name) for name, p in public_parameters() if p.default is not p.empty]


def agree(ours, formula, rtol):
    ours, formula = arrays(ours), arrays(formula)
    assert [a.shape for a in ours] == [a.shape for a in formula]
    for a, b in zip(ours, formula, strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)


def differ(a, b):
    """Whether two results are apart by more than a tolerance could hide."""
    a, b = arrays(a), arrays(b)
    return [x.shape for x in a] != [x.shape for x in b] or any(
        not np.allclose(x, y, rtol=1e-2, atol=1e-3, equal_nan=True) for x, y in zip(a, b, strict=True)
    )


def test_every_option_of_every_public_callable_is_turned_somewhere():
    turned = set(CASES) | set(WITHOUT_EFFECT)
    turned |= {(name, option) for name, options in TESTED.items() for option in options}
    missing = [
        f"{name}({option}=)"
        for name, option in public_options()
        if option not in EVERYWHERE and (name, option) not in turned
    ]
    assert not missing, f"no row in tests/options/ turns {', '.join(missing)}"


def test_the_tables_name_no_option_that_is_not_there():
    there = {(name, p.name) for name, p in public_parameters()}
    named = {(name, option) for name, options in TESTED.items() for option in options} | set(WITHOUT_EFFECT)
    # These take what they pass on as keywords.
    named |= {case for case in CASES if case[0] not in ("ConvTranspose", "adjust")}
    assert named <= there, f"gone: {sorted(named - there)}"


@pytest.mark.parametrize(
    ("place", "option"),
    [(place, option) for options in TESTED.values() for option, place in options.items()],
    ids=lambda value: value,
)
def test_a_test_that_the_table_names_is_there_and_gives_the_option(place, option):
    file, name = place.split("::")
    text = (TESTS / file).read_text()
    (test,) = (n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef) and n.name == name)
    first = min([test.lineno, *(d.lineno for d in test.decorator_list)])
    source = "\n".join(text.splitlines()[first - 1 : test.end_lineno])
    helpers = "\n".join(line for line in text.splitlines() if re.match(r"\s+(return )?flux\.\w+\(", line))
    assert re.search(rf"\b{option}\b", source) or re.search(rf"\b{option}=", helpers)


@pytest.mark.parametrize("name", ROWS)
def test_without_options_a_result_follows_its_formula(name):
    row = ROWS[name]
    agree(row.ours(), row.formula(), row.rtol)


@pytest.mark.parametrize(("name", "option"), CASES, ids=[f"{n}-{o}" for n, o in CASES])
def test_an_option_changes_the_result_as_its_formula_says(name, option):
    row = ROWS[name]
    value = row.turned[option]
    others = value.others if isinstance(value, With) else {}
    turned = others | {option: value.value if isinstance(value, With) else value}
    formula = row.formula(**written(turned, "theirs"))
    assert differ(formula, row.formula(**written(others, "theirs"))), "the formula does not see the option"
    agree(row.ours(**written(turned, "ours")), formula, row.rtol)


SWITCHES = [
    (name, option)
    for name, option in CASES
    if type(getattr(ROWS[name].turned[option], "value", ROWS[name].turned[option])) is bool
]


@pytest.mark.parametrize(("name", "option"), SWITCHES, ids=[f"{n}-{o}" for n, o in SWITCHES])
def test_a_switch_is_true_or_false_also_of_numpy_and_nothing_else(name, option):
    row, value = ROWS[name], ROWS[name].turned[option]
    others, value = (value.others, value.value) if isinstance(value, With) else ({}, value)
    others = written(others, "ours")
    for bad in ("no", 1):
        with pytest.raises(TypeError, match="True"):
            row.ours(**others, **{option: bad})
    a, b = (arrays(row.ours(**others, **{option: v})) for v in (value, np.bool_(value)))
    assert all(np.array_equal(x, y, equal_nan=True) for x, y in zip(a, b, strict=True))


# Defaults


@pytest.mark.parametrize(
    ("dtype", "eps"), [("float16", 2**-10), ("bfloat16", 2**-7), ("float32", 2**-23), ("float64", 2**-52)]
)
def test_the_default_eps_of_a_loss_is_that_of_the_dtype(dtype, eps):
    p, t = flux.tensor([[0.0]], dtype=dtype), flux.tensor([[1.0]], dtype=dtype)
    rtol = {"float16": 2e-3, "bfloat16": 1e-2}.get(dtype, 1e-6)
    for loss, expected in [
        (flux.crossentropy, -np.log(eps)),
        (flux.binarycrossentropy, -np.log(eps)),
        (flux.kldivergence, -np.log(eps)),
        (flux.focal_loss, -((1 - eps) ** 2) * np.log(eps)),
        (flux.binary_focal_loss, -((1 - eps) ** 2) * np.log(eps)),
        (flux.msle, np.log(eps / (1 + eps)) ** 2),
    ]:
        result = loss(p, t)
        assert result.dtype == dtype
        np.testing.assert_allclose(float(result.item()), expected, rtol=rtol, err_msg=loss.__name__)


# Generators

RANDOM = {
    "AlphaDropout": lambda rng: flux.AlphaDropout(0.4, active=True, rng=rng)(numbers(30)),
    "DataLoader": lambda rng: np.concatenate(list(flux.DataLoader(np.arange(30), shuffle=True, rng=rng))),
    "Dropout": lambda rng: flux.Dropout(0.4, active=True, rng=rng)(numbers(30)),
    "dropout": lambda rng: flux.dropout(numbers(30), 0.4, rng=rng),
    "kfolds": lambda rng: flux.kfolds(30, 3, shuffle=True, rng=rng)[1],
    "make_moons": lambda rng: flux.make_moons(30, 0.1, rng=rng)[0],
    "make_poly": lambda rng: flux.make_poly([1.0], np.arange(5), rng=rng)[1],
    "make_sin": lambda rng: flux.make_sin(rng=rng)[1],
    "make_spiral": lambda rng: flux.make_spiral(rng=rng)[0],
    "oversample": lambda rng: flux.oversample(np.arange(30), [0] * 10 + [1] * 20, rng=rng),
    "randobs": lambda rng: flux.randobs(np.arange(30), 30, rng=rng),
    "shuffleobs": lambda rng: flux.shuffleobs(np.arange(30), rng=rng),
    "sparse_init": lambda rng: flux.sparse_init(5, 6, sparsity=0.5, rng=rng),
    "normal": lambda rng: flux.normal(np.zeros(5), rng=rng),
    "bernoulli": lambda rng: flux.bernoulli(np.full(40, 0.5), rng=rng),
    "multinomial": lambda rng: flux.multinomial(np.ones(40), 20, rng=rng),
    "gumbel_softmax": lambda rng: flux.gumbel_softmax(np.zeros(5), rng=rng),
    "splitobs": lambda rng: flux.splitobs(np.arange(30), 0.5, shuffle=True, rng=rng)[0],
    "rand_like": lambda rng: flux.rand_like(np.zeros(5), rng=rng),
    "randn_like": lambda rng: flux.randn_like(np.zeros(5), rng=rng),
    "undersample": lambda rng: flux.undersample(np.arange(30), [0] * 10 + [1] * 20, rng=rng),
} | {
    name: lambda rng, name=name: getattr(flux, name)(5, 6, rng=rng)
    for name in (
        "glorot_normal", "glorot_uniform", "kaiming_normal", "kaiming_uniform", "lecun_normal", "orthogonal",
        "rand32", "randn32", "truncated_normal",
    )
}  # fmt: skip


def test_every_callable_that_takes_a_generator_is_in_the_table():
    # The identity takes one as all initialisers do, and draws nothing.
    assert {name for name, option in public_options() if option == "rng"} - {"identity_init"} == set(RANDOM)


@pytest.mark.parametrize("name", RANDOM)
def test_a_generator_of_ones_own_is_the_only_source_of_numbers(name):
    draw = RANDOM[name]
    flux.seed(1)
    first = arrays(draw(flux.Generator(7)))
    expected = flux.Generator(1).rand(3).tolist()
    assert flux.default_generator().rand(3).tolist() == expected, "the default generator has moved"
    for a, b in zip(first, arrays(draw(flux.Generator(7))), strict=True):
        np.testing.assert_array_equal(a, b)
    assert any((a != b).any() for a, b in zip(first, arrays(draw(flux.Generator(8))), strict=True))
    flux.seed(7)
    for a, b in zip(first, arrays(draw(None)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_generators_of_different_seeds_draw_different_numbers():
    assert flux.Generator(seed=5).rand(3).tolist() == flux.Generator(5).rand(3).tolist()
    assert flux.Generator().rand(3).tolist() == flux.Generator(seed=0).rand(3).tolist()
    assert flux.Generator().rand(3).tolist() != flux.Generator(seed=5).rand(3).tolist()


def test_random_numbers_have_the_dtype_they_are_asked_for():
    assert flux.rand(2, dtype="float64").dtype == flux.randn(2, dtype="float64").dtype == "float64"
    flux.seed(0)
    whole = flux.randint(0, 5, shape=(2, 50), dtype="int8")
    assert whole.dtype == "int8" and whole.shape == (2, 50)
    assert sorted(set(whole.flatten().tolist())) == [0, 1, 2, 3, 4]


# What has no formula


def test_a_history_is_made_of_rows():
    history = flux.History(rows=[{"epoch": 1, "loss": 2.0}], interrupted=True)
    assert history[0]["loss"] == 2.0 and history.interrupted
    assert len(flux.History()) == 0 and not flux.History().interrupted


def test_a_leaf_has_the_state_it_is_given():
    leaf = flux.Leaf(flux.Descent(), state=(1,), frozen=True)
    assert leaf.state == (1,) and leaf.frozen
    assert flux.Leaf(flux.Descent()).state is None and not flux.Leaf(flux.Descent()).frozen


def test_a_copy_through_dlpack_shares_no_memory():
    x = np.zeros(64)
    shared, copied = flux.from_dlpack(x), flux.from_dlpack(x, copy=True)
    x[0] = 1
    assert copied[0].item() == 0
    assert flux.from_dlpack(x, copy=None)[0].item() == 1 and shared.shape == (64,)


def test_gradcheck_heeds_its_step_and_its_tolerances():
    x = flux.tensor(np.array([0.0, 2.0]))
    f = lambda t: flux.sum(t**3)
    # A difference over a step of 0.1 is 0.01 too large: `(x + h)**3 - (x - h)**3 = 2h (3x**2 + h**2)`.
    with pytest.raises(AssertionError):
        flux.gradcheck(f, x, eps=0.1, rtol=0, atol=1e-3)
    assert flux.gradcheck(f, x, eps=0.1, rtol=0, atol=0.02)
    with pytest.raises(AssertionError):
        flux.gradcheck(f, x[1:], eps=0.1, rtol=1e-4, atol=0)
    assert flux.gradcheck(f, x[1:], eps=0.1, rtol=1e-3, atol=0)


def test_train_skips_what_is_not_finite_if_it_is_told_to():
    model = {"w": flux.ones(1)}
    loss = lambda m, x: (m["w"] * x).sum()
    with pytest.warns(UserWarning, match="nan"):
        flux.train(loss, model, [(np.nan,), (1.0,)], flux.setup(flux.Descent(0.5), model), on_nan="skip")
    assert model["w"].tolist() == [0.5]


def test_train_shows_its_progress_if_it_is_told_to(monkeypatch, capsys):
    pytest.importorskip("tqdm")
    seconds = count()
    monkeypatch.setattr(progress_of_training.time, "perf_counter", lambda: float(next(seconds)))
    model = {"w": flux.ones(1)}
    loss = lambda m, x: (m["w"] * x).sum()
    flux.train(loss, model, [(1.0,)] * 3, flux.setup(flux.Descent(0.5), model), progress=False)
    assert capsys.readouterr().err == ""
    flux.train(loss, model, [(1.0,)] * 3, flux.setup(flux.Descent(0.5), model), progress=True)
    assert "3/3" in capsys.readouterr().err


def test_load_torch_takes_the_names_that_are_given():
    weight, bias = numbers(3, 2), numbers(3)
    layer = flux.load_torch(flux.Dense(2, 3), {"out.weight": weight, "out.bias": bias}, names=["out"])
    np.testing.assert_array_equal(layer.weight.numpy(), weight.T)
    np.testing.assert_array_equal(layer.bias.numpy(), bias)


def test_load_torch_turns_the_kernel_of_a_layer_that_turns_it_back():
    weight = numbers(6, 2, 3, 2)  # PyTorch's order: out, in, height, width
    kernel = weight.transpose(2, 3, 1, 0)
    for flipped, expected in ((False, kernel), (True, kernel[::-1, ::-1])):
        layer = flux.Conv((3, 2), 2, 6, bias=False, flipped=flipped)
        flux.load_torch(layer, {"weight": weight})
        np.testing.assert_array_equal(layer.weight.numpy(), expected)
        x = numbers(1, 5, 4, 2)
        np.testing.assert_allclose(layer(x).numpy(), flux.conv(x, kernel).numpy(), rtol=1e-6, atol=1e-6)
