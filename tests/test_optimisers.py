"""Schedules, and the modifiers that rules can be wrapped in. The rules themselves are held to Optimisers.jl in
flux_docs/.
"""

import itertools
import math
import pickle
import threading
from typing import Any

import numpy as np
import pytest

import oxiflux as flux
from oxiflux import _core, optimisers
from oxiflux.optimisers import (
    ComposedSchedule,
    Cos,
    CosAnneal,
    Exp,
    Interpolator,
    Inv,
    Loop,
    MixedPrecision,
    OneCycle,
    Poly,
    Sequence,
    Shifted,
    Sin,
    SinDecay2,
    SinExp,
    Stateful,
    Step,
    Triangle,
    TriangleDecay2,
    TriangleExp,
    Warmup,
)

# ParameterSchedulers.jl's formulas, which count from 1.


def cosine(t, period):
    return (1 + math.cos(math.pi * (t - 1) / period)) / 2


def one_cycle(t, n, start, top, end, percent):
    up = math.ceil(percent * n)
    if t > n:
        return end
    if t <= up:
        return abs(start - top) * cosine(t + up, up) + min(start, top)
    return abs(top - end) * cosine(t - up, n - up) + min(top, end)


def triangle(t, period):
    return 2 / math.pi * abs(math.asin(math.sin(math.pi * (t - 1) / period)))


def sine(t, period):
    return abs(math.sin(math.pi * (t - 1) / period))


def step(t, start, decay, sizes):
    ends = np.cumsum(sizes)
    return start * decay ** min(sum(t > end for end in ends), len(sizes) - 1)


FORMULAS = [
    (Step(0.3, 0.5, [2, 3, 4]), lambda t: step(t, 0.3, 0.5, [2, 3, 4])),
    (Exp(0.3, 0.9), lambda t: 0.3 * 0.9 ** (t - 1)),
    (Poly(0.3, 2, 50), lambda t: 0.3 * (1 - (t - 1) / 50) ** 2),
    (Inv(0.3, 0.5, 2), lambda t: 0.3 / (1 + (t - 1) * 0.5) ** 2),
    (Triangle(0.1, 0.3, 7), lambda t: 0.2 * triangle(t, 7) + 0.1),
    (TriangleDecay2(0.3, 0.1, 7), lambda t: 0.2 * triangle(t, 7) / 2 ** math.floor((t - 1) / 7) + 0.1),
    (TriangleExp(0.1, 0.3, 7, 0.9), lambda t: 0.2 * triangle(t, 7) * 0.9 ** (t - 1) + 0.1),
    (Sin(0.1, 0.3, 7), lambda t: 0.2 * sine(t, 7) + 0.1),
    (SinDecay2(0.3, 0.1, 7), lambda t: 0.2 * sine(t, 7) / 2 ** math.floor((t - 1) / 7) + 0.1),
    (SinExp(0.1, 0.3, 7, 0.9), lambda t: 0.2 * sine(t, 7) * 0.9 ** (t - 1) + 0.1),
    (Interpolator(Exp(1.0, 0.5), 3), lambda t: 0.5 ** (math.ceil(t / 3) - 1)),
    (Interpolator(Exp(1.0, 0.5), 3, floor_fn=math.ceil), lambda t: 0.5 ** math.ceil((t - 1) / 3)),
    (Shifted(Exp(1.0, 0.5), 3), lambda t: 0.5 ** (t - 1 + 4 - 1)),
    (
        ComposedSchedule(Triangle, (0.1, Shifted(Exp(0.6, 0.9), 2), 7)),
        lambda t: abs(0.6 * 0.9 ** (t + 1) - 0.1) * triangle(t, 7) + min(0.1, 0.6 * 0.9 ** (t + 1)),
    ),
    (
        # The definition that ParameterSchedulers.jl has of SinDecay2.
        ComposedSchedule(Sin(0.0, 0.2, 7), {"l1": Interpolator(Exp(0.2, 0.5), 7)}),
        lambda t: 0.2 * sine(t, 7) / 2 ** math.floor((t - 1) / 7),
    ),
    (CosAnneal(0.1, 0.3, 7), lambda t: 0.2 * (1 + math.cos(math.pi * ((t - 1) % 7) / 7)) / 2 + 0.1),
    (Cos(0.3, 0.1, 7, restart=False), lambda t: 0.2 * cosine(t, 7) + 0.1),
    (OneCycle(50, 0.1), lambda t: one_cycle(t, 50, 0.1 / 25, 0.1, 0.1 / 1e5, 0.25)),
    (
        OneCycle(7, 0.1, startval=1e-4, endval=1e-2, percent_start=0.3),
        lambda t: one_cycle(t, 7, 1e-4, 0.1, 1e-2, 0.3),
    ),
    (Loop(Exp(1.0, 0.5), 3), lambda t: 0.5 ** ((t - 1) % 3)),
    (
        Sequence((Exp(1.0, 0.5), 3), (0.7, 2), (Exp(0.4, 0.9), 1)),
        lambda t: 0.5 ** (t - 1) if t <= 3 else 0.7 if t <= 5 else 0.4 * 0.9 ** (t - 6),
    ),
    (Warmup(Exp(1.0, 0.5), 4, start=0.2), lambda t: 0.2 + 0.2 * (t - 1) if t <= 4 else 0.5 ** (t - 5)),
]


@pytest.mark.parametrize(("schedule", "formula"), FORMULAS, ids=[repr(s) for s, _ in FORMULAS])
def test_schedule_follows_its_formula(schedule, formula):
    for t in range(50):
        assert schedule(t) == pytest.approx(formula(t + 1), abs=1e-15), t


@pytest.mark.parametrize("schedule", [s for s, _ in FORMULAS], ids=repr)
def test_iterating_a_schedule_starts_at_its_first_step_each_time(schedule):
    values = [schedule(t) for t in range(9)]
    assert list(itertools.islice(schedule, 9)) == list(itertools.islice(schedule, 9)) == values


def test_the_values_that_parameterschedulers_documents():
    assert list(itertools.islice(Exp(0.1, 0.8), 10)) == pytest.approx(
        [0.1, 0.08, 0.064, 0.0512, 0.04096, 0.032768, 0.0262144, 0.02097152, 0.016777216, 0.0134217728],
        rel=1e-15,
    )
    looped = list(itertools.islice(Loop(Exp(0.1, 0.4), 10), 25))
    assert looped == [0.1 * 0.4**t for t in [*range(10), *range(10), *range(5)]]
    manual = Sequence((1e-1, 5), (5e-2, 4), (3.4e-3, 10))
    assert list(itertools.islice(manual, 20)) == [1e-1] * 5 + [5e-2] * 4 + [3.4e-3] * 11
    waves = Sequence((Triangle(0.0, 0.5, 5), 25), (Exp(0.5, 0.5), 25))
    assert [waves(t) for t in (0, 20, 24, 25, 26)] == pytest.approx([0.0, 0.0, 0.2, 0.5, 0.25], rel=1e-15)


def test_stairs_of_one_size_go_on():
    assert [Step(1.0, 0.5, 2)(t) for t in (0, 1, 2, 7)] == [1.0, 1.0, 0.5, 0.125]


def test_a_polynomial_ends_at_zero():
    assert Poly(1.0, 0.5, 3)(3) == Poly(1.0, 0.5, 3)(99) == 0


def test_one_cycle_stays_at_its_end():
    assert OneCycle(10, 1.0, endval=0.2)(10) == OneCycle(10, 1.0, endval=0.2)(1000) == 0.2


@pytest.mark.parametrize("percent", [0.0, 1.0])
def test_one_cycle_without_a_way_up_or_down(percent):
    values = [OneCycle(4, 1.0, percent_start=percent)(t) for t in range(5)]
    assert sorted(values[:4], reverse=percent == 0) == values[:4] and values[4] == 1e-5


def test_schedules_are_made_of_schedules_functions_and_numbers():
    schedule = Warmup(Sequence((lambda t: 1.0 - t / 10, 2), (Loop(Step(0.5, 0.5, 1), 2), 9)), 1)
    assert [schedule(t) for t in range(7)] == [0.0, 1.0, 0.9, 0.5, 0.25, 0.5, 0.25]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Triangle(0, 1, 0), "Triangle: period .* 0"),
        (lambda: Step(1, 0.5, [2, -3]), "Step: step_sizes .* -3"),
        (lambda: OneCycle(10, 1.0, percent_start=1.5), "OneCycle: percent_start .* 1.5"),
        (lambda: Sequence(), "Sequence: there are no"),
        (lambda: Sequence((1.0, 0)), "Sequence: .* 0"),
        (lambda: Warmup(1.0, 0), "Warmup: steps .* 0"),
        (lambda: Exp(1.0, 0.5)(-1), "Exp: .* -1"),
        (lambda: Sin(0, 1, 0), "Sin: period .* 0"),
        (lambda: TriangleDecay2(0, 1, -1), "TriangleDecay2: period .* -1"),
        (lambda: SinExp(0, 1, 3, 0.5)(-1), "SinExp: .* -1"),
        (lambda: Interpolator(1.0, 0), "Interpolator: rate must be positive and finite, got 0"),
        (lambda: Interpolator(1.0, math.nan), "Interpolator: rate must be positive and finite, got nan"),
        (lambda: Interpolator(1.0, 2)(-1), "Interpolator: .* -1"),
        (lambda: Shifted(1.0, -2), "Shifted: offset must be 0 or more, got -2"),
        (lambda: Shifted(Exp(1.0, 0.5), 2)(-1), "Shifted: .* -1"),
        (lambda: ComposedSchedule(Exp, (1.0, 0.5))(-1), "ComposedSchedule: .* -1"),
        (lambda: Stateful(1.0).load_state({"step": -1}), "Stateful: .* is not what state"),
        (lambda: Exp(1.0, 0.5)(math.nan), "Exp: steps count from 0, got nan"),
        (lambda: Stateful(1.0).load_state(3), "Stateful: 3 is not what state"),
    ],
)
def test_a_schedule_says_what_is_wrong(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Sin(0, 1, 2.5), "Sin: period must be a whole number, got 2.5"),
        (lambda: SinExp(0, 1, 2, "a"), "SinExp: decay must be a number, got 'a'"),
        (lambda: Interpolator("a", 2), "Interpolator: schedule must be a number or a schedule, got 'a'"),
        (lambda: Interpolator(1.0, 2, floor_fn=3), "floor_fn must be a function of a number, got 3"),
        (lambda: Shifted(1.0, 2.0), "Shifted: offset must be a whole number, got 2.0"),
        (lambda: ComposedSchedule(Triangle, 3), "parameters must be a tuple or a dict, got 3"),
        (
            lambda: ComposedSchedule(Triangle, (0, 1, "a")),
            "parameter 2 must be a number or a schedule, got 'a'",
        ),
        (
            lambda: ComposedSchedule(Triangle, (0, 1, Exp(3.5, 1.0))),
            "Triangle: period must be a whole number",
        ),
        (lambda: ComposedSchedule(Triangle, (0, 1)), "Triangle.* missing .*'period'"),
        (lambda: ComposedSchedule(Exp(1.0, 0.5), (0, 1, 2)), r"3 parameters for Exp\(start, decay\)"),
        (lambda: ComposedSchedule(Exp(1.0, 0.5), {"gamma": 1}), "Exp.* 'gamma'"),
        (lambda: ComposedSchedule(3, (1,)), "ComposedSchedule: 3 is neither a schedule nor makes one"),
        (lambda: ComposedSchedule(lambda a: a, (1,)), "makes no schedule, but 1"),
        (lambda: Shifted(Exp, 2), r"Shifted: schedule is the class Exp; make a schedule of it: Exp\(…\)"),
        (lambda: Stateful(Exp), r"Stateful: schedule is the class Exp"),
        (lambda: Exp(1.0, 0.5)("a"), "Exp: a step is a number, got 'a'"),
        (lambda: Sin(0, 1, 4)(None), "Sin: a step is a number, got None"),
        (lambda: Stateful("a"), "Stateful: schedule must be a number or a schedule, got 'a'"),
        (lambda: Stateful(1.0, advance=True), "advance must be a function of the step, got True"),
    ],
)
def test_a_schedule_says_of_what_it_is_made(make, words):
    with pytest.raises(TypeError, match=words):
        make()


def test_a_wave_stays_at_its_lower_end_for_ever():
    for wave in (
        TriangleDecay2(0.1, 0.3, 7),
        SinDecay2(0.1, 0.3, 7),
        TriangleExp(0.1, 0.3, 7, 0.9),
        SinExp(0.1, 0.3, 7, 0.9),
    ):
        assert wave(10**6 + 3) == 0.1


def test_an_interpolator_takes_times_between_steps():
    solver = Interpolator(Exp(1.0, 0.5), 0.25)
    assert [solver(t / 8) for t in range(6)] == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]


def test_a_function_makes_the_schedule_anew_at_each_step():
    lines = ComposedSchedule(lambda a, b: lambda t: a * t + b, [Exp(1.0, 0.5), 3])
    assert [lines(t) for t in range(4)] == [3.0, 3.5, 3.5, 3.375]

    class Line(optimisers.Schedule):
        def __init__(self, a):
            self.a = a

        def __call__(self, t):
            return self.a * t

    for made in (ComposedSchedule(Line, (Exp(1.0, 0.5),)), ComposedSchedule(Line(9), {"a": Exp(1.0, 0.5)})):
        assert [made(t) for t in range(4)] == [0.0, 0.5, 0.5, 0.375]


def test_a_number_of_steps_may_follow_a_schedule_whose_values_are_whole():
    period = Step(4.0, 2.0, 4)
    for schedule in (
        ComposedSchedule(Triangle, (0.0, 1.0, period)),
        ComposedSchedule(Triangle(0.0, 1.0, 9), {"period": period}),
        ComposedSchedule(Triangle(0.0, 1.0, 9), (0.0, 1.0, period)),
    ):
        assert [schedule(t) for t in range(8)] == [Triangle(0.0, 1.0, 4 if t < 4 else 8)(t) for t in range(8)]


@pytest.mark.parametrize("schedule", [
    Step(1.0, 0.5, 2), Step(1.0, 0.5, [2, 1]), Exp(1.0, 0.5), Sin(0.0, 1.0, 8), Triangle(0.0, 1.0, 8),
    OneCycle(9, 1.0), Sequence((0.1, 1), (Exp(1.0, 0.5), 3)), Warmup(Exp(1.0, 0.5), 5), Loop(Exp(1.0, 0.5), 2),
    Shifted(Exp(1.0, 0.9), 90), ComposedSchedule(Sin, (0.0, Exp(1.0, 0.5), 8)), Interpolator(Exp(1.0, 0.5), 2),
], ids=repr)  # fmt: skip
def test_a_step_may_be_an_integer_of_numpy_or_a_tensor(schedule):
    for step in (np.int64(3), np.int8(3), np.uint8(3), flux.tensor(3)):
        value = schedule(step)
        assert value == schedule(3) and type(value) is float


def test_the_sizes_of_stairs_are_those_that_were_given():
    sizes = [2, 3]
    schedule = Step(1.0, 0.5, sizes)
    sizes[0] = 9
    assert [schedule(t) for t in range(5)] == [1.0, 1.0, 0.5, 0.5, 0.5]
    assert schedule == Step(1.0, 0.5, np.array([2, 3])) and hash(schedule) == hash(Step(1.0, 0.5, (2, 3)))
    assert Step(1.0, 0.5, np.int64(2)) == Step(1.0, 0.5, 2)


def test_a_composed_schedule_keeps_what_is_not_replaced():
    base = OneCycle(8, 1.0, startval=0.0, endval=0.5)
    doubled = ComposedSchedule(base, {"maxval": Step(1.0, 2.0, [3, 5])})
    assert [doubled(t) for t in range(3)] == [base(t) for t in range(3)]
    assert doubled(3) == OneCycle(8, 2.0, startval=0.0, endval=0.5)(3)


def test_a_stateful_schedule_goes_on_where_it_is_told_to():
    seen = []
    eta = Stateful(Exp(1.0, 0.5), advance=lambda t: seen.append(t) or len(seen) % 2 == 0)
    assert [next(eta) for _ in range(5)] == [1.0, 1.0, 0.5, 0.5, 0.25]
    assert seen == [0, 0, 1, 1, 2] and eta.step == 2
    eta.reset()
    assert next(eta) == 1.0
    assert list(itertools.islice(Stateful(3.0), 2)) == [3.0, 3.0]


def test_a_stateful_schedule_keeps_its_step_in_a_checkpoint(tmp_path):
    eta = Stateful(Exp(1.0, 0.5))
    next(eta), next(eta)
    flux.save_checkpoint(tmp_path / "run", eta=eta)
    again = Stateful(Exp(1.0, 0.5))
    flux.load_checkpoint(tmp_path / "run", eta=again)
    assert next(again) == 0.25
    flux.save(tmp_path / "eta", eta)
    assert next(flux.load(tmp_path / "eta")) == 0.25


def test_a_stateful_schedule_that_fails_stays_where_it_is():
    def fail(t):
        raise RuntimeError(f"at {t}")

    eta = Stateful(Sequence((1.0, 1), (fail, 1)))
    assert next(eta) == 1.0
    for _ in range(2):
        with pytest.raises(RuntimeError, match="at 0"):
            next(eta)
    assert eta.step == 1


def test_training_along_a_schedule():
    model = {"w": flux.tensor([1.0])}
    state = flux.setup(flux.Descent(), model)
    for eta in itertools.islice(Exp(0.5, 0.5), 3):
        flux.adjust(state, eta)
        flux.update(state, model, {"w": flux.tensor([1.0])})
    assert model["w"].tolist() == [0.125]


# MixedPrecision


def test_mixed_precision_adds_up_steps_that_the_parameter_cannot_hold():
    results = []
    for rule in (flux.Descent(1.0), MixedPrecision(flux.Descent(1.0), "float64")):
        model = {"w": flux.tensor([1.0, -1.0])}
        state = flux.setup(rule, model)
        for _ in range(1000):
            flux.update(state, model, {"w": flux.tensor([2.0**-30, 2.0**-30])})
        assert model["w"].dtype == "float32"
        results.append(model["w"].numpy())
    np.testing.assert_array_equal(results[0], [1.0, -1.0])
    np.testing.assert_array_equal(results[1], np.float32([1 - 1000 * 2.0**-30, -1 - 1000 * 2.0**-30]))


@pytest.mark.parametrize(
    ("narrow", "wide", "tolerance"),
    [("float32", "float64", 1e-12), ("float16", "float32", 1e-6), ("bfloat16", "float32", 1e-6)],
)
def test_mixed_precision_is_the_rule_in_the_wider_type_rounded(narrow, wide, tolerance):
    rng = np.random.default_rng(0)
    start, *gradients = (flux.tensor(x).astype(narrow) for x in rng.normal(size=(6, 3, 4)))
    plain, mixed = {"w": start.astype(wide)}, {"w": start}
    states = flux.setup(flux.Adam(0.1), plain), flux.setup(flux.MixedPrecision(flux.Adam(0.1), wide), mixed)
    for g in gradients:
        flux.update(states[0], plain, {"w": g.astype(wide)})
        flux.update(states[1], mixed, {"w": g})
    copy = states[1]["w"].state[0]
    assert (mixed["w"].dtype, copy.dtype) == (narrow, wide)
    np.testing.assert_allclose(copy.numpy(), plain["w"].numpy(), rtol=tolerance)
    assert mixed["w"].tolist() == copy.astype(narrow).tolist()


def test_mixed_precision_waits_when_its_rule_does():
    model = {"w": flux.tensor([1.0])}
    rule = MixedPrecision(flux.OptimiserChain(flux.AccumGrad(2), flux.Descent(1.0)), "float64")
    state = flux.setup(rule, model)
    seen = []
    for _ in range(4):
        flux.update(state, model, {"w": flux.tensor([0.25])})
        seen.append(model["w"].item())
    assert seen == [1.0, 0.75, 0.75, 0.5]


def test_adjust_reaches_into_mixed_precision():
    state = flux.setup(MixedPrecision(flux.Adam(), "float64"), {"w": flux.ones((2,))})
    flux.adjust(state, 0.5)
    assert repr(state["w"].rule) == "MixedPrecision(Adam(0.5, (0.9, 0.999), 1e-08), float64)"


@pytest.mark.parametrize("wrapper", [MixedPrecision, flux.OptimiserChain])
def test_what_is_no_rule_is_refused_by_name(wrapper):
    with pytest.raises(TypeError, match=wrapper.__name__):
        wrapper(flux.Adam)
    with pytest.raises(TypeError, match=wrapper.__name__):
        wrapper(0.1)


# The implicit style


def test_update_takes_parameters_and_their_gradients():
    model = flux.Dense(2, 1)
    model.weight = flux.tensor([[1.0], [2.0]])
    ps = flux.params(model)
    state = flux.setup(flux.Descent(0.5), ps)
    flux.update(state, ps, (flux.tensor([[1.0], [1.0]]), None))
    assert model.weight.tolist() == [[0.5], [1.5]] and model.bias.tolist() == [0.0]


def test_everything_is_exported():
    assert all(hasattr(optimisers, name) for name in optimisers.__all__)
    assert list(optimisers.__all__) == sorted(optimisers.__all__)


# Steps are whole or not done at all


class Raises(flux.Descent):
    """A rule in Python that fails."""

    kernel = None

    def apply(self, state, x, dx):
        raise RuntimeError("no step today")


def test_a_rule_that_raises_leaves_every_parameter_and_state_as_it_was():
    model = {"a": flux.ones(3), "b": flux.ones(3), "c": flux.ones(3)}
    state = flux.setup(flux.Adam(), model)
    flux.update(state, model, {k: flux.ones(3) for k in model})
    before, clock = {k: v.tolist() for k, v in model.items()}, state["a"].state[-1]
    moment = state["a"].state[0].tolist()
    state["b"].rule = Raises()
    with pytest.raises(RuntimeError, match="no step today"):
        flux.update(state, model, {k: flux.ones(3) for k in model})
    assert {k: v.tolist() for k, v in model.items()} == before
    assert (state["a"].state[-1], state["a"].state[0].tolist()) == (clock, moment)


def test_a_state_that_does_not_fit_leaves_every_parameter_as_it_was():
    model = {"a": flux.ones(3), "b": flux.ones(3)}
    state = {"a": flux.setup(flux.Momentum(), model["a"]), "b": flux.setup(flux.Adam(), model["b"])}
    state["b"].state = (flux.zeros(2), flux.zeros(2), (0.9, 0.999))
    with pytest.raises(flux.ShapeError, match=r"\(2,\).*\(3,\)"):
        flux.update(state, model, {k: flux.ones(3) for k in model})
    assert model["a"].tolist() == [1, 1, 1]
    assert state["a"].state.tolist() == [0, 0, 0]


def test_the_clock_of_a_state_is_shown_as_it_is_now():
    x = flux.ones(2)
    state = flux.setup(flux.Adam(), x)
    flux.update(state, x, flux.ones(2))
    np.testing.assert_allclose(state.state[-1], (0.9**2, 0.999**2))
    assert pickle.loads(pickle.dumps(state)).state[-1] == state.state[-1]


def test_one_tensor_cannot_serve_two_rules():
    model, shared = {"a": flux.ones(2), "b": flux.ones(2)}, flux.zeros(2)
    state = {k: _core.Leaf(flux.Momentum(), shared) for k in model}
    with pytest.raises(ValueError, match="serves two"):
        flux.update(state, model, {k: flux.ones(2) for k in model})


def test_other_threads_run_during_a_long_step_and_see_whole_tensors():
    x = flux.zeros(1 << 21)
    state, g = flux.setup(flux.Descent(1.0), x), flux.full((1 << 21,), -1.0)
    seen, done = [], threading.Event()

    def look():
        while not done.is_set():
            ends = x[0].item(), x[-1].item()
            seen.append(x.shape == (1 << 21,) and ends[0] <= ends[1])

    watcher = threading.Thread(target=look)
    watcher.start()
    for _ in range(20):
        flux.update(state, x, g)
    done.set()
    watcher.join()
    assert all(seen)
    assert x[7].item() == 20


# The whole model, parts of it, and steps that fail


def three():
    return {"a": flux.tensor([3.0]), "b": [flux.tensor([0.0, 4.0]), flux.zeros((0,))]}


def test_clipnorm_of_the_whole_model():
    grads = {"a": flux.tensor([3.0]), "b": [flux.tensor([0.0, 4.0]), flux.zeros((0,))]}
    for omega, scale in ((1.0, 0.2), (5.0, 1.0), (9.0, 1.0)):
        for rule in (flux.ClipNorm(omega, whole=True), flux.OptimiserChain(flux.ClipNorm(omega, whole=True))):
            model = three()
            flux.update(flux.setup(rule, model), model, grads)
            np.testing.assert_allclose(model["a"].numpy(), [3 - 3 * scale], atol=1e-6)
            np.testing.assert_allclose(model["b"][0].numpy(), [0, 4 - 4 * scale], atol=1e-6)


@pytest.mark.parametrize(("p", "norm"), [(1, 7.0), (2, 5.0), (math.inf, 4.0)])
def test_norms_of_the_whole_model(p, norm):
    model = three()
    rule = flux.ClipNorm(1.0, p, whole=True)
    flux.update(flux.setup(rule, model), model, three())
    np.testing.assert_allclose(model["b"][0].numpy(), [0, 4 - 4 / norm], rtol=1e-6)
    assert repr(rule) == f"ClipNorm(1.0, {float(p)}, whole=True)"


def test_the_norm_of_the_whole_model_does_not_overflow_and_counts_tied_weights_once():
    w = flux.tensor([3e38])
    model = {"a": w, "b": w, "c": flux.tensor([0.0])}
    state = flux.setup(flux.ClipNorm(5.0, whole=True), model)
    flux.update(state, model, {"a": flux.tensor([3e38]), "b": flux.tensor([3e38]), "c": flux.tensor([-3e38])})
    np.testing.assert_allclose(model["c"].numpy(), [5 / math.sqrt(2)], rtol=1e-6)


def test_clipnorm_of_the_whole_model_goes_on_in_a_chain():
    """Parameters without a gradient at some steps, and clocks that differ, do not split the norm."""
    model = three()
    state = flux.setup(flux.OptimiserChain(flux.ClipNorm(1.0, whole=True), flux.Descent(1.0)), model)
    flux.update(state, model, {"a": flux.tensor([0.5]), "b": None})
    flux.update(state, model, three() | {"a": flux.tensor([3.0])})
    np.testing.assert_allclose(model["a"].numpy(), [3 - 0.5 - 0.6], rtol=1e-6)
    np.testing.assert_allclose(model["b"][0].numpy(), [0, 4 - 0.8], rtol=1e-6)


def test_clipnorm_of_the_whole_model_waits_for_accumulated_gradients():
    chain = flux.OptimiserChain(flux.AccumGrad(2), flux.ClipNorm(1.0, whole=True), flux.Descent(1.0))
    for rule in (chain, flux.MixedPrecision(chain, "float64")):
        model = three()
        state = flux.setup(rule, model)
        flux.update(state, model, three())
        assert model["a"].tolist() == [3.0]
        flux.update(state, model, three())
        np.testing.assert_allclose(model["a"].numpy(), [3 - 0.6], rtol=1e-6)


def test_accumulated_gradients_equal_a_larger_batch():
    x = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    y = x.sum(axis=1, keepdims=True)
    loss = lambda m, x, y: flux.mse(m(x), y)
    trained = []
    for rule, size in ((flux.Adam(0.1), 12), (flux.OptimiserChain(flux.AccumGrad(3), flux.Adam(0.1)), 4)):
        flux.seed(0)
        model = flux.Chain(flux.Dense(3, 4, flux.tanh), flux.Dense(4, 1))
        state = flux.setup(rule, model)
        for _ in range(5):
            flux.train(loss, model, flux.DataLoader((x, y), size), state)
        trained.append([w.numpy() for w in flux.trainables(model)])
    for a, b in zip(*trained, strict=True):
        np.testing.assert_allclose(a, b, rtol=5e-6, atol=1e-6)


def test_parts_of_a_model_have_rules_of_their_own():
    model = flux.Chain(flux.Dense(2, 3), flux.Dense(3, 1))
    paths = []
    slow, fast = flux.Descent(0.1), flux.Descent(0.2)

    def rule(path, x):
        paths.append((path, x))
        return None if path[-1] == "bias" else slow if path[:2] == ("layers", 0) else fast

    state = flux.setup(rule, model)
    assert [path for path, _ in paths] == [path for path, _ in flux.trainables(model, path=True)]
    assert state.layers[0].weight.rule is slow and state.layers[1].weight.rule is fast
    before = flux.state(model)
    flux.update(state, model, flux.gradient(lambda m: m(np.ones((1, 2))).sum(), model)[0])
    after = flux.state(model)
    assert [
        bool(flux.all(a[k] == b[k]))
        for a, b in zip(before["layers"], after["layers"], strict=True)
        for k in a
        if k != "activation"
    ] == [False, True, False, True]
    with pytest.raises(TypeError, match="setup: 3 is no rule"):
        flux.setup(lambda path, x: 3, model)
    with pytest.raises(ValueError, match="no trainable parameters"):
        flux.setup(lambda path, x: None, model)


class Failing(flux.Rule):
    def apply(self, state, x, dx):
        if x.shape == (2,):
            raise RuntimeError("second")
        return state, dx


class Wrong(flux.Rule):
    def apply_all(self, states, xs, dxs):
        return states, dxs[1:]


def test_a_rule_that_fails_changes_nothing():
    for rule, words in (
        (Failing(), "second"),
        (Wrong(), "apply_all must return 2 states and steps, got 2 and 1"),
    ):
        model = {"a": flux.ones(1), "b": flux.ones(2), "c": flux.ones(3)}
        state = flux.setup(lambda path, x: flux.Momentum() if path == ("c",) else rule, model)
        with pytest.raises((RuntimeError, ValueError), match=words):
            flux.update(state, model, {"a": flux.ones(1), "b": flux.ones(2), "c": flux.ones(3)})
        assert [w.tolist() for w in model.values()] == [[1.0], [1.0, 1.0], [1.0, 1.0, 1.0]]
        assert state["c"].state.tolist() == [0.0] * 3


def mixed(rule):
    """Parameters of float16 with that rule over copies in float32, and after them one whose rule fails or not."""
    model = {"a": flux.ones(3).astype("float16"), "b": flux.ones(2).astype("float16"), "c": flux.ones(2)}
    fails = Failing()
    state = flux.setup(lambda path, x: fails if path == ("c",) else MixedPrecision(rule), model)
    return model, state


@pytest.mark.parametrize("rule", [flux.Adam(0.1), flux.OptimiserChain(flux.AccumGrad(1), flux.Momentum(0.1))])
def test_a_failure_after_mixed_precision_changes_nothing(rule):
    model, state = mixed(rule)
    grads = {k: flux.ones(w.shape) for k, w in model.items()}
    flux.update(state, model, grads | {"c": None})
    values = {k: w.tolist() for k, w in model.items()}
    kept = {k: repr(state[k].state) for k in model}
    assert values["a"] != [1, 1, 1]
    with pytest.raises(RuntimeError, match="second"):
        flux.update(state, model, grads)
    assert {k: w.tolist() for k, w in model.items()} == values
    assert {k: repr(state[k].state) for k in model} == kept


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_mixed_precision_trains(dtype):
    flux.seed(0)
    x = np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32)
    y = np.tanh(x[:, :1] * 2 - x[:, 1:])
    model = flux.fmap(lambda w: w.astype(dtype), flux.Chain(flux.Dense(2, 16, flux.tanh), flux.Dense(16, 1)))
    state = flux.setup(MixedPrecision(flux.Adam(0.02), "float64" if dtype == "float32" else "float32"), model)
    loss = lambda m, x, y: flux.mse(m(x), y)
    before = loss(model, x, y).item()
    for _ in range(30):
        flux.train(loss, model, flux.DataLoader((x, y), 16), state)
    assert all(w.dtype == dtype for w in flux.trainables(model))
    assert loss(model, x, y).item() < 0.05 * before


def test_nothing_comes_after_mixed_precision():
    rule = MixedPrecision(flux.Descent(), "float64")
    for wrong in (
        lambda: flux.OptimiserChain(rule, flux.Descent()),
        lambda: flux.OptimiserChain(flux.OptimiserChain(rule), flux.Descent()),
        lambda: MixedPrecision(rule),
    ):
        with pytest.raises(ValueError, match="nothing can come after it"):
            wrong()
    x = flux.ones(2)
    chain = flux.OptimiserChain(flux.ClipGrad(0.5), rule)
    flux.update(flux.setup(chain, x), x, flux.ones(2))
    np.testing.assert_array_equal(x.numpy(), np.float32([1 - 0.05] * 2))


def two_layers() -> tuple[Any, Any, Any]:
    model = flux.Chain(flux.Dense(2, 2), flux.Dense(2, 2))
    grads = flux.gradient(lambda m: m(flux.ones((1, 2))).sum(), model)[0]
    return model, flux.setup(flux.Adam(), model), grads


@pytest.mark.parametrize("what", ["shorter", "longer", "key", "named", "gradient", "model"])
def test_update_of_trees_that_differ_in_structure_changes_nothing(what: str):
    model, state, grads = two_layers()
    before = flux.state(model)
    if what == "shorter":
        state.layers = state.layers[:1]
    elif what == "longer":
        state.layers = (*state.layers, state.layers[0])
    elif what == "key":
        del state.layers[0].bias
    elif what == "gradient":
        grads.layers = (*grads.layers, None)
    elif what == "model":
        model.layers = (*model.layers, flux.relu)
    else:
        model, state = {"a": model[0], "b": model[1]}, {"a": state.layers[0]}
        grads = dict(zip("ab", grads.layers, strict=True))
    with pytest.raises(TypeError, match="update: the .* where the .* has.*: they differ in structure"):
        flux.update(state, model, grads)
    after = flux.state(model)
    if what == "named":
        after = {"layers": (after["a"], after["b"])}
    for old, new in zip(before["layers"], after["layers"], strict=False):
        assert np.array_equal(old["weight"], new["weight"])


def test_a_state_of_another_model_is_refused():
    model, _, grads = two_layers()
    others = flux.setup(flux.Adam(), flux.Chain(flux.Dense(3, 2), flux.Dense(2, 2)))
    with pytest.raises(flux.ShapeError, match="update"):
        flux.update(others, model, grads)
    with pytest.raises(TypeError, match="differ in structure"):
        flux.update(flux.setup(flux.Adam(), flux.Dense(2, 2)), model, grads)


def test_a_part_without_a_rule_is_none_in_the_state_and_stays():
    model, _, grads = two_layers()
    state = flux.setup(lambda path, x: None if path[-1] == "bias" else flux.Descent(1.0), model)
    assert state.layers[0].bias is None and not hasattr(state.layers[0], "activation")
    flux.update(state, model, grads)
    assert model[1].bias.tolist() == [0, 0] and model[0].bias.tolist() == [0, 0]


@pytest.mark.parametrize("change", [flux.freeze, flux.thaw])
@pytest.mark.parametrize(
    ("what", "said"),
    [(flux.Dense(2, 2), "a model"), (None, "None"), ({}, "a dict"), (flux.Adam(), "a Adam"), ([], "a list")],
)
def test_what_has_no_rules_cannot_be_frozen_or_thawed(change: Any, what: Any, said: str):
    with pytest.raises(
        TypeError, match=rf"{change.__name__}: got {said}, which has no rules; give the state"
    ):
        change(what)


@pytest.mark.parametrize("f", [flux.freeze, flux.thaw, lambda state: flux.adjust(state, 0.1)])
def test_a_state_may_hold_itself_and_be_deep(f):
    leaf = flux.setup(flux.Descent(), flux.ones(2))
    around = [leaf]
    around.append(around)
    f(around)
    deep = leaf
    for _ in range(5000):
        deep = [deep]
    f(deep)
    empty = []
    empty.append(empty)
    with pytest.raises((TypeError, ValueError), match="no rule"):
        f(empty)
