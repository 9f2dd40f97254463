"""Runs that are saved and resumed: the same parameters bit by bit, or an error and nothing changed."""

import signal
import subprocess
import sys
import textwrap
from dataclasses import dataclass

import numpy as np
import pytest

import oxiflux as flux


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.safetensors"


def data(n=22):
    rng = flux.Generator(7)
    return rng.randn(n, 3).numpy(), rng.randn(n, 1).numpy()


class Noise(flux.Layer):
    """Draws from a generator of its own, or from the default one."""

    def __init__(self, rng=None):
        self.rng = rng

    def __call__(self, x):
        rng = self.rng or flux.default_generator()
        return x + 0.1 * rng.randn(*x.shape)


RULES = {
    "Adam": lambda: flux.Adam(0.01),
    "AccumGrad": lambda: flux.OptimiserChain(flux.ClipNorm(1.0), flux.AccumGrad(3), flux.AdamW(0.01)),
    "RAdam": lambda: flux.RAdam(0.01),
    "MixedPrecision": lambda: flux.MixedPrecision(flux.OAdam(0.01), "float64"),
    "RMSProp": lambda: flux.RMSProp(0.01, centred=True),
    "Scheduler": lambda: flux.Scheduler(flux.AdamW(0.01), lambda_=flux.Warmup(flux.Exp(0.5, 0.9), 4)),
}


def parts_of_a_run(rule="Adam", rng=None, noise=None, **options):
    flux.seed(5)
    model = flux.Chain(flux.Dense(3, 8, flux.tanh), Noise(noise and flux.Generator(noise)), flux.Dense(8, 1))
    return {
        "model": model,
        "state": flux.setup(RULES[rule](), model),
        "loader": flux.DataLoader(data(), 4, shuffle=True, rng=rng and flux.Generator(rng), **options),
    }


class StopError(Exception):
    pass


def train(parts, epochs, first=0, stop=None, path=None):
    """Trains to the end, or saves at a step and stops there."""
    schedule, step = flux.Warmup(flux.CosAnneal(0.001, 0.05, 10), 4), first * len(parts["loader"])
    step += parts["loader"].state()["batch"]
    for epoch in range(first, epochs):
        for batch in parts["loader"]:
            flux.adjust(parts["state"], schedule(step))
            flux.trainstep(lambda m, x, y: flux.mse(m(x), y), parts["model"], batch, parts["state"])
            step += 1
            if step == stop:
                flux.save_checkpoint(path, **parts, epoch=epoch)
                raise StopError
    return parts


def same(a, b):
    return all(
        x.numpy().tobytes() == y.numpy().tobytes()
        for x, y in zip(flux.trainables(a), flux.trainables(b), strict=True)
    )


@pytest.mark.parametrize(
    "options", [{}, {"rng": 3}, {"parallel": True}, {"noise": 9}, {"partial": False}], ids=str
)
@pytest.mark.parametrize("stop", [1, 4, 5, 6, 7, 12])
def test_a_resumed_run_ends_with_the_same_bits(path, stop, options):
    whole = train(parts_of_a_run(**options), 3)
    with pytest.raises(StopError):
        train(parts_of_a_run(**options), 3, stop=stop, path=path)
    flux.seed(99)
    parts = parts_of_a_run(**options)
    flux.rand(10)
    resumed = train(parts, 3, flux.load_checkpoint(path, **parts)["epoch"])
    assert same(whole["model"], resumed["model"])


@pytest.mark.parametrize("rule", RULES)
def test_every_sort_of_rule_goes_on_where_it_was(path, rule):
    whole = train(parts_of_a_run(rule), 2)
    with pytest.raises(StopError):
        train(parts_of_a_run(rule), 2, stop=4, path=path)
    parts = parts_of_a_run(rule)
    resumed = train(parts, 2, flux.load_checkpoint(path, **parts)["epoch"])
    assert same(whole["model"], resumed["model"])


def test_a_run_can_be_resumed_without_its_code(path):
    def start():
        flux.seed(3)
        model = flux.Chain(flux.Dense(3, 4, flux.relu), flux.Dense(4, 1))
        return {"model": model, "state": flux.setup(flux.Adam(), model)}

    def steps(run, n):
        for _ in range(n):
            flux.trainstep(lambda m, x: m(x).sum(), run["model"], flux.rand(2, 3), run["state"])
        return run

    whole = steps(start(), 6)
    flux.save_checkpoint(path, **steps(start(), 3))
    flux.seed(1)
    run = flux.load_checkpoint(path)
    assert run.keys() == {"model", "state"}
    assert same(whole["model"], steps(run, 3)["model"])


def test_tied_weights_keep_one_state(path):
    dense = flux.Dense(2, 2)
    model = flux.Chain(dense, dense)
    flux.save_checkpoint(path, model=model, state=flux.setup(flux.Momentum(), model))
    run = flux.load_checkpoint(path)
    assert run["model"][0] is run["model"][1]
    leaves = run["state"].layers
    assert leaves[0].weight is leaves[1].weight
    assert leaves[0].weight.rule is leaves[0].bias.rule


def test_frozen_parameters_stay_frozen(path):
    model = flux.Dense(2, 1)
    state = flux.setup(flux.Descent(), model)
    flux.freeze(state.bias)
    flux.save_checkpoint(path, state=state)
    again = flux.setup(flux.Descent(), model)
    flux.load_checkpoint(path, state=again)
    assert again.bias.frozen and not again.weight.frozen


def test_extras_of_any_sort_come_back(path):
    extras = {
        "epoch": 3,
        "best": 0.25,
        "losses": [1.0, 0.5],
        "note": "µ",
        "mean": flux.ones(2),
        "at": (1, None),
    }
    flux.save_checkpoint(path, **extras)
    assert repr(flux.load_checkpoint(path)) == repr(extras)


def test_a_model_of_own_classes_is_loaded_into(path):
    class Net:
        def __init__(self):
            self.parts, self.act = [flux.Dense(2, 3), Noise()], lambda x: x
            self.more = {"d": (flux.Dense(3, 1),)}

    old, new = Net(), Net()
    flux.save_checkpoint(path, model=old)
    assert flux.load_checkpoint(path, model=new)["model"] is new
    assert same(old, new)
    state = flux.load_checkpoint(path)["model"]
    assert np.array_equal(state.parts[0].weight, old.parts[0].weight)


def test_a_function_with_parameters_is_loaded_into(path):
    def make():
        w = flux.randn(2, 2)
        return lambda x: x @ w

    old, new = make(), make()
    flux.save_checkpoint(path, model=old)
    flux.load_checkpoint(path, model=new)
    assert np.array_equal(old(flux.ones((1, 2))), new(flux.ones((1, 2))))


@dataclass
class Own:
    eta: float = 0.1

    def init(self, x):
        return flux.zeros_like(x)

    def apply(self, state, x, dx):
        return state + dx, dx * self.eta


def test_a_rule_of_ones_own_must_be_listed(path):
    model = flux.Dense(2, 1)
    state = flux.setup(Own(0.5), model)
    with pytest.raises(TypeError, match=r"state.weight.rule is a Own, .* pass classes=\[Own\]"):
        flux.save_checkpoint(path, state=state)
    assert not path.exists()
    flux.save_checkpoint(path, state=state, classes=[Own])
    with pytest.raises(ValueError, match="Own is no class of oxiflux"):
        flux.load_checkpoint(path, state=flux.setup(Own(), model))
    again = flux.setup(Own(), model)
    flux.load_checkpoint(path, state=again, classes=[Own])
    assert again.weight.rule.eta == 0.5


def test_what_says_its_own_state_is_saved_by_it(path):
    class Counter:
        n = 0

        def state(self):
            return {"n": self.n}

        def load_state(self, state):
            self.n = state["n"]

    old, new = Counter(), Counter()
    old.n = 3
    flux.save_checkpoint(path, counter=old)
    assert flux.load_checkpoint(path, counter=new)["counter"] is new
    assert new.n == 3


def small(rule=None, sizes=(2, 3), n=10):
    model = flux.Chain(flux.Dense(*sizes), flux.Dense(sizes[1], 1))
    loader = flux.DataLoader(range(n), 2)
    return {"model": model, "state": flux.setup(rule or flux.Adam(), model), "loader": loader}


@pytest.mark.parametrize(
    ("saved", "given", "message"),
    [
        (small(), {"net": small()["model"]}, "has no net; it has model, state, loader"),
        (
            small(),
            {"model": small(sizes=(3, 3))["model"]},
            r"model: .*weight has shape \(3, 3\) in the model",
        ),
        (small(), {"model": small()["model"], "state": small(sizes=(2, 4))["state"]}, "the tensors of state"),
        (
            small(),
            {"model": small()["model"], "state": small(flux.Momentum())["state"]},
            r"rule of .* is Momentum",
        ),
        (
            small(),
            {"model": small()["model"], "loader": small(n=12)["loader"]},
            "a loader with items=10, not 12",
        ),
        (small(), {"model": small()["model"], "loader": flux.DataLoader(range(10), 5)}, "batchsize=2, not 5"),
        (
            small(),
            {"model": small()["model"], "loader": flux.DataLoader(range(10), 2, rng=flux.Generator())},
            "own",
        ),
        (small(), {"model": small()["model"], "state": small()["model"]}, "state"),
        (small(), {"state": flux.setup(flux.Adam(), flux.Chain(flux.Dense(2, 3)))}, "has 1 items"),
        (
            {"state": small()["state"].layers[0].weight},
            {"state": small()["state"]},
            "has shapes|is a Leaf and in the file a",
        ),
        (small(), {"state": small()["state"].layers[0]}, "state in the file has layers"),
        ({"epoch": 3}, {"epoch": 0}, "epoch is a int without tensors"),
        ({"loader": 3}, {"loader": small()["loader"]}, "3 is not what state"),
    ],
)
def test_parts_that_do_not_fit_are_refused_and_nothing_is_changed(path, saved, given, message):
    flux.save_checkpoint(path, **saved)
    flux.seed(4)
    before = {name: repr(flux.state(part)) for name, part in given.items() if name in ("model", "net")}
    leaves = repr(given.get("state"))
    place = given["loader"].state() if "loader" in given else None
    with pytest.raises(ValueError, match=message):
        flux.load_checkpoint(path, **given)
    assert before == {name: repr(flux.state(given[name])) for name in before}
    assert leaves == repr(given.get("state"))
    assert place is None or place == given["loader"].state()
    assert flux.default_generator().get_state() == (4, 0)


def test_a_loader_goes_back_where_another_refuses(path):
    parts = {"a": flux.DataLoader(range(6), 2), "b": flux.DataLoader(range(6), 2)}
    for _ in zip(parts["a"], range(1), strict=False):
        flux.save_checkpoint(path, **parts)
    given = {"a": flux.DataLoader(range(6), 2), "b": flux.DataLoader(range(8), 2)}
    with pytest.raises(ValueError, match="items=6, not 8"):
        flux.load_checkpoint(path, **given)
    assert len(list(given["a"])) == 3


def test_only_checkpoints_are_read_as_checkpoints(path):
    flux.save(path, {"model": flux.Dense(2, 1)})
    with pytest.raises(ValueError, match="no checkpoint; load reads it"):
        flux.load_checkpoint(path)
    flux.save(path, {"checkpoint": 3, "random": 4})
    with pytest.raises(ValueError, match="not that of a checkpoint"):
        flux.load_checkpoint(path)


# The place of a DataLoader


def values(batches):
    return [np.asarray(batch).tolist() for batch in batches]


def halfway(loader, n):
    """The state after n batches, and the batches that follow in this pass and the next."""
    state, rest = None, []
    for i, batch in enumerate(loader, 1):
        if i > n:
            rest.append(batch)
        if i == n:
            state = loader.state()
    return state, values([*rest, *loader])


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("size", [None, 1, 3])
@pytest.mark.parametrize("collate", [None, np.stack], ids=["cut", "collate"])
def test_a_loader_goes_on_where_its_state_was_taken(n, size, collate):
    def make():
        return flux.DataLoader(np.arange(7), size, shuffle=True, collate=collate, rng=flux.Generator(2))

    state, rest = halfway(make(), n)
    loader = make()
    loader.load_state(state)
    assert loader.state() == state
    assert values([*loader, *loader]) == rest


def test_a_stream_goes_on_where_it_was():
    class Stream:
        def __iter__(self):
            return iter(range(7))

    state, rest = halfway(flux.DataLoader(Stream(), 2), 2)
    loader = flux.DataLoader(Stream(), 2)
    loader.load_state(state)
    assert values([*loader, *loader]) == rest


def test_the_state_between_passes_is_that_of_the_start():
    loader = flux.DataLoader(range(6), 2, shuffle=True)
    start = loader.state()
    list(loader)
    assert loader.state() == start
    for _ in loader:
        break
    assert loader.state() == start


def test_a_state_after_the_last_batch_ends_the_pass():
    state, rest = halfway(flux.DataLoader(range(4), 2), 2)
    loader = flux.DataLoader(range(4), 2)
    loader.load_state(state)
    assert list(loader) == []
    assert values(loader) == rest


@pytest.mark.parametrize(
    "change", [{"batch": -1}, {"batch": 1.5}, {"batch": True}, {"more": 1}, {"items": 3}]
)
def test_what_is_no_state_of_a_loader_is_refused(change):
    loader = flux.DataLoader(range(6), 2)
    with pytest.raises(ValueError, match="DataLoader"):
        loader.load_state(loader.state() | change)
    with pytest.raises((TypeError, OverflowError)):
        loader.load_state(loader.state() | {"order": (-1, 2)})
    assert len(list(loader)) == 3


# A run that is killed

RUN = """
    import os, sys
    import oxiflux as flux

    path, out = sys.argv[1:]
    flux.seed(1)
    model = flux.Chain(flux.Dense(4, 16, flux.relu), flux.Dense(16, 1))
    rng = flux.Generator(2)
    data = rng.randn(40, 4), rng.randn(40, 1)
    loader = flux.DataLoader(data, batchsize=4, shuffle=True)
    parts = {"model": model, "state": flux.setup(flux.Adam(), model), "loader": loader}
    first = flux.load_checkpoint(path, **parts)["epoch"] if os.path.exists(path) else 0
    for epoch in range(first, 8):
        for batch in loader:
            flux.trainstep(lambda m, x, y: flux.mse(m(x) + 0.1 * flux.randn(4, 1), y), model, batch, parts["state"])
            flux.save_checkpoint(path, **parts, epoch=epoch)
            print("saved", flush=True)
    flux.save(out, model)
"""


def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bits(tmp_path):
    def run(name, steps):
        """Whether the run came to its end before it had saved so many times more and was killed."""
        command = [
            sys.executable,
            "-c",
            textwrap.dedent(RUN),
            str(tmp_path / name),
            str(tmp_path / f"{name}.out"),
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            for _ in range(steps):
                if not process.stdout.readline():
                    break
            else:
                process.send_signal(signal.SIGKILL)
                return False
        assert process.returncode == 0
        return True

    assert run("whole", steps=1000)
    kills = 0
    while not run("killed", steps=17):
        kills += 1
    assert kills >= 4
    assert same(flux.load(tmp_path / "whole.out"), flux.load(tmp_path / "killed.out"))
