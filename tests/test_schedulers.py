"""`Scheduler`, a rule whose hyper-parameters follow schedules by themselves, and schedules by epoch."""

import copy
import pickle
from dataclasses import dataclass

import numpy as np
import pytest

import oxiflux as flux

SCHEDULE = flux.Warmup(flux.Exp(0.05, 0.9), 3)

RULES = {
    "Descent": flux.Descent,
    "Momentum": flux.Momentum,
    "RMSProp": lambda: flux.RMSProp(centred=True),
    "Adam": flux.Adam,
    "AdamW": lambda: flux.AdamW(lambda_=0.1),
    "RAdam": flux.RAdam,
    "clipped": lambda: flux.OptimiserChain(flux.ClipNorm(0.1, whole=True), flux.Adam()),
    "waiting": lambda: flux.OptimiserChain(flux.AccumGrad(3), flux.Adam()),
    "mixed": lambda: flux.MixedPrecision(flux.Adam(), "float64"),
    "python": lambda: InPython(),
}


@dataclass(eq=False, repr=False)
class InPython(flux.Rule):
    """A rule of one's own, which keeps a sum."""

    eta: float = 0.1

    def init(self, x):
        return flux.zeros_like(x)

    def apply(self, state, x, dx):
        state = state + dx
        return state, state * self.eta


def model():
    flux.seed(1)
    return flux.Chain(flux.Dense(3, 5, flux.tanh), flux.Dense(5, 2))


def batches(n=12):
    rng = flux.Generator(4)
    return [(rng.randn(6, 3).numpy(), rng.randn(6, 2).numpy()) for _ in range(n)]


def loss(m, x, y):
    return flux.mse(m(x), y)


def bits(m):
    return [w.numpy().tobytes() for w in flux.trainables(m)]


# The same as adjusting by hand


@pytest.mark.parametrize("name", RULES)
def test_a_scheduler_makes_the_same_bits_as_adjusting_before_each_step(name):
    by_hand, by_rule = model(), model()
    state = flux.setup(RULES[name](), by_hand)
    own = flux.setup(flux.Scheduler(SCHEDULE, RULES[name]()), by_rule)
    for t, batch in enumerate(batches()):
        flux.adjust(state, SCHEDULE(t))
        flux.trainstep(loss, by_hand, batch, state)
        flux.trainstep(loss, by_rule, batch, own)
        assert bits(by_hand) == bits(by_rule), t


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_parameters_keep_their_dtype(dtype):
    by_hand, by_rule = ({"w": flux.tensor([1.0, -2.0], dtype=dtype)} for _ in range(2))
    state = flux.setup(flux.Adam(), by_hand)
    own = flux.setup(flux.Scheduler(SCHEDULE, flux.Adam), by_rule)
    for t in range(5):
        g = {"w": flux.tensor([0.5, 1.5], dtype=dtype)}
        flux.adjust(state, SCHEDULE(t))
        flux.update(state, by_hand, g)
        flux.update(own, by_rule, g)
    assert by_rule["w"].dtype == dtype and by_rule["w"].tolist() == by_hand["w"].tolist()


def test_several_hyper_parameters_follow_schedules_of_their_own():
    by_name = flux.Scheduler(flux.Momentum, eta=flux.Exp(0.5, 0.5), rho=flux.Step(0.8, 0.5, 2))
    by_place = flux.Scheduler(flux.Momentum(), flux.Exp(0.5, 0.5), flux.Step(0.8, 0.5, 2))
    for rule in (by_name, by_place):
        assert [repr(rule.at(t)) for t in (0, 1, 2)] == [
            "Momentum(0.5, 0.8)", "Momentum(0.25, 0.8)", "Momentum(0.125, 0.4)",
        ]  # fmt: skip


def test_the_rule_may_come_first_or_last_as_a_class_or_made():
    for rule in (
        flux.Scheduler(flux.Exp(0.5, 0.5), flux.Adam),
        flux.Scheduler(flux.Adam, flux.Exp(0.5, 0.5)),
        flux.Scheduler(flux.Exp(0.5, 0.5), flux.Adam(0.5)),
        flux.Scheduler(flux.Adam(), eta=flux.Exp(0.5, 0.5)),
    ):
        assert repr(rule) == "Scheduler(Exp(start=0.5, decay=0.5), Adam(0.5, (0.9, 0.999), 1e-08))"


def test_a_class_that_needs_a_number_gets_it_from_its_schedule():
    rule = flux.Scheduler(flux.AccumGrad, n=lambda t: 2)
    assert repr(rule.at(5)) == "AccumGrad(2)"


def test_parts_of_a_model_may_have_schedules_of_their_own():
    m = {"a": flux.tensor([1.0]), "b": flux.tensor([1.0])}
    rules = {"a": flux.Scheduler(flux.Exp(0.5, 0.5), flux.Descent), "b": flux.Descent(0.25)}
    state = flux.setup(lambda path, x: rules[path[-1]], m)
    for _ in range(2):
        flux.update(state, m, {key: flux.tensor([1.0]) for key in m})
    assert m["a"].item() == 0.25 and m["b"].item() == 0.5


def test_the_state_of_a_rule_begins_with_the_hyper_parameters_of_step_0():
    state = flux.setup(flux.Scheduler(flux.Exp(0.25, 0.5), flux.Rprop), {"w": flux.ones(2)})
    t, (_, step) = state["w"].state
    assert t == 0 and step.tolist() == [0.25, 0.25]


# Inside chains


def test_a_scheduler_within_a_chain_is_followed_by_others():
    m = {"w": flux.tensor(np.array([1.0, 2.0]))}
    chain = flux.OptimiserChain(
        flux.WeightDecay(0.5), flux.Scheduler(flux.Exp(0.5, 0.5), flux.Descent()), flux.ClipGrad(0.3)
    )
    state, x = flux.setup(chain, m), np.array([1.0, 2.0])
    for t in range(4):
        flux.update(state, m, {"w": flux.tensor(np.array([0.1, -3.0]))})
        x = x - np.clip(0.5 ** (t + 1) * (np.array([0.1, -3.0]) + 0.5 * x), -0.3, 0.3)
        np.testing.assert_allclose(m["w"].numpy(), x, rtol=1e-12)


def test_a_scheduler_waits_while_gradients_are_collected_before_it():
    m = {"w": flux.tensor([1.0])}
    state = flux.setup(
        flux.OptimiserChain(flux.AccumGrad(2), flux.Scheduler(flux.Exp(0.5, 0.5), flux.Descent())), m
    )
    seen = []
    for _ in range(4):
        flux.update(state, m, {"w": flux.tensor([1.0])})
        seen.append(m["w"].item())
    assert seen == [1.0, 0.5, 0.5, 0.25]


def test_what_gives_no_step_stays_refused_within_a_chain():
    mixed = flux.Scheduler(flux.Exp(0.5, 0.5), flux.MixedPrecision(flux.Adam(), "float64"))
    with pytest.raises(ValueError, match="gives no step"):
        flux.OptimiserChain(mixed, flux.ClipGrad())


# Freezing and adjusting


@pytest.mark.parametrize("name", RULES)
def test_a_frozen_parameter_goes_on_where_its_schedule_was(name):
    m, other = ({"a": flux.ones(2), "b": flux.ones(2)} for _ in range(2))
    state = flux.setup(flux.Scheduler(flux.Exp(0.5, 0.5), RULES[name]()), m)
    one = flux.setup(flux.Scheduler(flux.Exp(0.5, 0.5), RULES[name]()), other)
    g = flux.tensor([0.01, -0.02])
    flux.freeze(state["a"])
    for _ in range(3):
        flux.update(state, m, {"a": g, "b": g})
    assert m["a"].tolist() == [1.0, 1.0] and state["a"].state[0] == 0 and state["b"].state[0] == 3
    flux.thaw(state)
    for _ in range(3):
        flux.update(state, m, {"a": g, "b": g})
        flux.update(one, other, {"a": g, "b": None})
    assert m["a"].tolist() == other["a"].tolist() and state["a"].state[0] == 3


def test_adjust_puts_a_number_in_the_place_of_a_schedule():
    m = {"w": flux.tensor([1.0])}
    state = flux.setup(flux.Scheduler(flux.Exp(0.5, 0.5), flux.Momentum()), m)
    flux.update(state, m, {"w": flux.tensor([1.0])})
    flux.adjust(state, 0.25, rho=0.0)
    assert repr(state["w"].rule) == "Scheduler(0.25, Momentum(0.25, 0.0))" and state["w"].state[0] == 1
    flux.update(state, m, {"w": flux.tensor([1.0])})
    flux.update(state, m, {"w": flux.tensor([1.0])})
    assert m["w"].item() == 0.0


def test_adjust_keeps_the_schedule_of_another_hyper_parameter():
    state = flux.setup(
        flux.OptimiserChain(flux.ClipGrad(), flux.Scheduler(flux.Exp(0.5, 0.5), flux.Momentum())),
        {"w": flux.ones(1)},
    )
    flux.adjust(state, rho=0.5, delta=2.0)
    (rule,) = {id(leaf.rule): leaf.rule for leaf in [state["w"]]}.values()
    assert repr(rule.rules[0]) == "ClipGrad(2.0)"
    assert repr(rule.rules[1]) == "Scheduler(Exp(start=0.5, decay=0.5), Momentum(0.5, 0.5))"
    with pytest.raises(ValueError, match="adjust: no rule of this state has lr; did you mean eta"):
        flux.adjust(state, lr=0.1)


# Whole steps, files, copies


def test_a_step_that_fails_leaves_the_place_and_the_parameters():
    def schedule(t):
        if t == 2:
            raise RuntimeError("no more")
        return 0.5

    m = {"w": flux.tensor([1.0])}
    state = flux.setup(flux.Scheduler(schedule, flux.Momentum()), m)
    for _ in range(2):
        flux.update(state, m, {"w": flux.tensor([1.0])})
    before, (_, velocity) = m["w"].tolist(), state["w"].state
    velocity = velocity.tolist()
    with pytest.raises(RuntimeError, match="no more"):
        flux.update(state, m, {"w": flux.tensor([1.0])})
    assert m["w"].tolist() == before
    assert state["w"].state[0] == 2 and state["w"].state[1].tolist() == velocity


@pytest.mark.parametrize("value", [-0.1, float("nan"), "fast", None])
def test_a_schedule_that_gives_no_rate_is_an_error_that_changes_nothing(value):
    m = {"w": flux.tensor([1.0])}
    state = flux.setup(flux.Scheduler(lambda t: value if t else 0.5, flux.Descent), m)
    flux.update(state, m, {"w": flux.tensor([1.0])})
    with pytest.raises((TypeError, ValueError), match="Descent: eta must be"):
        flux.update(state, m, {"w": flux.tensor([1.0])})
    assert m["w"].item() == 0.5 and state["w"].state == (1, None)


def test_an_update_changes_no_state_that_was_read_before():
    m = {"w": flux.tensor([1.0])}
    state = flux.setup(flux.Scheduler(flux.Exp(0.5, 0.5), flux.Adam), m)
    _, (mean, _, _) = state["w"].state
    exported = mean.numpy()
    flux.update(state, m, {"w": flux.tensor([1.0])})
    assert exported.tolist() == [0.0] and mean.tolist() == [0.0]


def test_a_copy_or_a_pickle_goes_on_by_itself():
    m = {"w": flux.tensor([1.0])}
    state = flux.setup(flux.Scheduler(flux.Exp(0.5, 0.5), flux.Momentum), m)
    flux.update(state, m, {"w": flux.tensor([1.0])})
    results = []
    for again in (lambda x: x, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))):
        s, n = again((state, m)) if again((state, m)) is not (state, m) else (state, m)
        s, n = copy.deepcopy((s, n))
        flux.update(s, n, {"w": flux.tensor([1.0])})
        results.append(n["w"].item())
    assert len(set(results)) == 1


@pytest.mark.parametrize("stop", [1, 5, 9])
@pytest.mark.parametrize("name", [name for name in RULES if name != "python"])
def test_a_resumed_run_ends_with_the_same_bits(tmp_path, name, stop):
    whole = model()
    state = flux.setup(flux.Scheduler(SCHEDULE, RULES[name]()), whole)
    for i, batch in enumerate(batches()):
        if i == stop:
            flux.save_checkpoint(tmp_path / "run", model=whole, state=state)
        flux.trainstep(loss, whole, batch, state)
    rest = model()
    again = flux.setup(flux.Scheduler(SCHEDULE, RULES[name]()), rest)
    flux.load_checkpoint(tmp_path / "run", model=rest, state=again)
    for batch in batches()[stop:]:
        flux.trainstep(loss, rest, batch, again)
    assert bits(rest) == bits(whole)


def test_a_run_with_a_schedule_of_ones_own_is_saved_and_resumed_by_fit(tmp_path):
    def run(epochs, path):
        m = model()
        rule = flux.Scheduler(
            flux.Warmup(Halved(0.1), 2), flux.OptimiserChain(flux.ClipNorm(1.0), flux.Adam())
        )
        flux.fit(loss, m, batches(3), rule, epochs=epochs, checkpoint=path, resume=True)
        return bits(m)

    whole = run(4, tmp_path / "whole")
    run(2, tmp_path / "part")
    assert run(4, tmp_path / "part") == whole


@dataclass(frozen=True)
class Halved(flux.Schedule):
    start: float

    def __call__(self, t):
        return self.start * 0.5**t


def test_a_function_as_a_schedule_cannot_be_saved_and_says_so(tmp_path):
    state = flux.setup(flux.Scheduler(lambda t: 0.1, flux.Descent), {"w": flux.ones(1)})
    with pytest.raises(TypeError, match="eta is the function <lambda>"):
        flux.save(tmp_path / "state", state)


# What is wrong


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda: flux.Scheduler(flux.Exp(0.1, 0.5)), TypeError, r"Scheduler\(schedule, Adam\), got 0 rules"),
        (lambda: flux.Scheduler(), TypeError, "got 0 rules"),
        (lambda: flux.Scheduler(flux.Adam, flux.Descent), TypeError, "got 2 rules"),
        (lambda: flux.Scheduler(flux.Adam), TypeError, "without a schedule"),
        (
            lambda: flux.Scheduler(flux.Exp, flux.Adam),
            TypeError,
            r"Exp is no schedule, but a class; make one: Exp\(",
        ),
        (
            lambda: flux.Scheduler("fast", flux.Adam),
            TypeError,
            "eta must be a number or a schedule, got 'fast'",
        ),
        (lambda: flux.Scheduler(0.1, flux.Adam, eta=0.2), TypeError, "eta is given twice"),
        (lambda: flux.Scheduler(flux.Adam(), lr=0.1), ValueError, "has no lr; did you mean eta"),
        (lambda: flux.Scheduler(0.1, flux.ClipGrad()), ValueError, r"ClipGrad\(10.0\) has no eta"),
        (lambda: flux.Scheduler(flux.Exp(-0.1, 0.5), flux.Adam), ValueError, "Adam: eta must be 0 or more"),
        (lambda: flux.Scheduler(0.1, 0.9, flux.Descent), TypeError, "takes 1 of 2 schedules by position"),
    ],
)
def test_what_makes_no_scheduler_says_what_is_wrong(make, kind, words):
    with pytest.raises(kind, match=words):
        make()


def test_fit_refuses_two_schedules_for_one_hyper_parameter():
    rule = flux.OptimiserChain(flux.ClipGrad(), flux.Scheduler(SCHEDULE, flux.Momentum()))
    with pytest.raises(ValueError, match="fit: eta has a schedule already, that of the rule Scheduler"):
        flux.fit(loss, model(), batches(2), rule, schedule=flux.Exp(0.1, 0.5))
    history = flux.fit(loss, model(), batches(2), rule, schedule={"rho": flux.Exp(0.5, 0.5)})
    assert history["rho"] == [0.25]


EVERY = [
    flux.Step(1.0, 0.5, [2, 1]),
    flux.Exp(1.0, 0.5),
    flux.Poly(1.0, 2, 4),
    flux.Inv(1.0, 1.0, 1),
    flux.CosAnneal(0.0, 1.0, 2),
    flux.OneCycle(8, 1.0),
    flux.Sequence((0.1, 2), (flux.Exp(1.0, 0.5), 3)),
    flux.Warmup(flux.Exp(1.0, 0.5), 2),
    flux.Loop(flux.Exp(1.0, 0.5), 2),
    flux.Triangle(0.0, 1.0, 4),
    flux.TriangleExp(0.0, 1.0, 4, 0.5),
    flux.SinExp(0.0, 1.0, 4, 0.5),
    flux.Interpolator(flux.Exp(1.0, 0.5), 2),
    flux.Shifted(flux.Exp(1.0, 0.5), 2),
]


@pytest.mark.parametrize("schedule", EVERY, ids=repr)
def test_a_step_of_any_kind_of_number_is_the_same_step(schedule):
    expected = schedule(3)
    for step in (
        np.int64(3),
        np.uint8(3),
        np.float32(3),
        np.float16(3),
        np.array(3.0),
        flux.tensor(3),
        flux.tensor(3.0),
    ):
        value = schedule(step)
        assert type(value) is float and value == expected
    for beyond in (-1, float("nan"), float("inf"), np.float32("inf")):
        with pytest.raises(ValueError, match="steps count from 0, got"):
            schedule(beyond)


@pytest.mark.parametrize("schedule", EVERY, ids=repr)
def test_a_schedule_that_was_pickled_is_equal(schedule):
    again = pickle.loads(pickle.dumps(schedule))
    assert again == schedule and hash(again) == hash(schedule)


@pytest.mark.parametrize(
    ("schedule", "step", "what"),
    [
        (flux.Exp(1.0, 2.0), 5000, r"2.0\*\*5000"),
        (flux.Step(1.0, 10.0, 1), 400, r"10.0\*\*400"),
        (flux.Poly(1.0, -2, 4), 4, r"0.0\*\*-2"),
        (flux.Inv(1.0, -1.0, 1), 1, "divides by 0"),
        (flux.Inv(1.0, -1.0, 0.5), 3, r"-2.0\*\*0.5"),
        (flux.TriangleExp(0.0, 1.0, 4, 2.0), 9001, r"2.0\*\*9001"),
        (flux.SinExp(0.0, 1.0, 4, 2.0), 9001, r"2.0\*\*9001"),
    ],
    ids=repr,
)
def test_a_value_that_is_no_number_says_which_schedule_and_step(schedule, step, what):
    with pytest.raises(ValueError, match=rf"{type(schedule).__name__}\(.*at step {step} .*{what}"):
        schedule(step)
