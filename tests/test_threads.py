"""Objects that go from thread to thread, and threads and forks all at once: everything ends, and in time."""

import ctypes
import gc
import os
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import oxiflux as flux
from processes import run


def on_another_thread(f):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(f).result(20)


# What `pullback` gives


def test_a_pullback_works_on_another_thread():
    y, back = flux.pullback(lambda x: (x * x).sum(), flux.tensor([1.0, 2.0]))
    assert y.item() == 5
    assert on_another_thread(back)[0].tolist() == [2, 4]
    assert on_another_thread(lambda: back(3.0))[0].tolist() == [6, 12]
    assert back()[0].tolist() == [2, 4]


def test_a_pullback_made_on_a_thread_that_has_ended_works():
    _, back = on_another_thread(lambda: flux.pullback(lambda x: (x**3).sum(), flux.tensor([2.0])))
    assert back()[0].tolist() == [12]


def test_a_pullback_dropped_on_another_thread_frees_its_memory():
    made = []

    def make():
        x = flux.ones(1 << 20)
        made.append(flux.pullback(lambda x: (x * 2 * x).sum(), x)[1])

    gc.collect()
    before = flux.memory_in_use()
    make()
    assert flux.memory_in_use() > before + (4 << 20)
    on_another_thread(made.clear)
    gc.collect()
    assert flux.memory_in_use() < before + (1 << 20)


def test_a_pullback_of_an_open_gradient_belongs_to_its_thread():
    kept = []

    def loss(x):
        _, back = flux.pullback(lambda x: (x * x).sum(), x)
        with pytest.raises(RuntimeError, match="call it on the thread that made it"):
            on_another_thread(back)
        kept.append(back)
        return (back()[0] * x).sum()

    assert flux.gradient(loss, flux.tensor([1.0, 2.0]))[0].tolist() == [4, 8]
    on_another_thread(kept.clear)  # and may be dropped anywhere
    assert flux.gradient(lambda x: (x * x).sum(), flux.tensor([3.0]))[0].tolist() == [6]


def test_a_pullback_does_one_walk_at_a_time():
    inside, go_on = threading.Event(), threading.Event()

    def rule(g):
        inside.set()
        go_on.wait(20)
        return g * 3

    double = flux.custom_gradient(lambda x: (x * 3, rule))
    _, back = flux.pullback(lambda x: double(x).sum(), flux.tensor([1.0]))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(back)
        assert inside.wait(20)
        with pytest.raises(RuntimeError, match="once at a time"):
            back()
        go_on.set()
        assert first.result(20)[0].tolist() == [3]
    assert back()[0].tolist() == [3]


def test_a_pullback_whose_rule_has_failed_is_whole_afterwards():
    fails = [True]

    def rule(g):
        if fails:
            raise ZeroDivisionError
        return g * 3

    triple = flux.custom_gradient(lambda x: (x * 3, rule))
    _, back = flux.pullback(lambda x: (triple(x) * x).sum(), flux.tensor([2.0]))
    with pytest.raises(ZeroDivisionError):
        back()
    fails.clear()
    assert back()[0].tolist() == [12]


# Pauses


def test_a_pause_is_that_of_the_thread_that_enters_it():
    pause = flux._core.paused()
    recording = []

    def loss(x):
        with pause:
            recording.append(flux._core.is_recording())
            on_another_thread(lambda: recording.append(flux.gradient(lambda x: (x * x).sum(), x.copy())))
        recording.append(flux._core.is_recording())
        return (x * x).sum()

    assert flux.gradient(loss, flux.tensor([3.0]))[0].tolist() == [6]
    assert recording[0] is False
    assert recording[1][0].tolist() == [6]
    assert recording[2] is True


def test_a_pause_may_be_entered_on_one_thread_after_the_other():
    pause = flux._core.paused()

    def enter():
        with pause:
            return flux._core.is_recording()

    assert [enter(), on_another_thread(enter), enter()] == [False] * 3


def test_a_pause_that_is_left_on_another_thread_says_so():
    pause = flux._core.paused()

    def loss(x):
        pause.__enter__()
        with pytest.raises(RuntimeError, match="has not entered it"):
            on_another_thread(lambda: pause.__exit__(None, None, None))
        assert not flux._core.is_recording()
        pause.__exit__(None, None, None)
        return (x * x).sum()

    assert flux.gradient(loss, flux.tensor([3.0]))[0].tolist() == [6]


def test_a_pause_that_dies_on_another_thread_leaves_that_alone():
    kept = [flux._core.paused()]

    def loss(x):
        def inside(x):
            kept.clear()
            gc.collect()
            return (x * x).sum()

        return flux.gradient(inside, x)[0].tolist()

    def enter_and_leave_open():
        kept[0].__enter__()

    on_another_thread(enter_and_leave_open)
    assert loss(flux.tensor([3.0])) == [6]


# The number of threads


@pytest.mark.parametrize("n", [0, -1, 1025, 100_000, 2**62])
def test_a_number_of_threads_that_no_machine_needs_is_an_error(n):
    before = flux.get_num_threads()
    with pytest.raises(ValueError, match=f"must be from 1 to 1024, got {n}"):
        flux.set_num_threads(n)
    assert flux.get_num_threads() == before


def test_tools_find_the_number_of_threads_in_the_library():
    library = ctypes.CDLL(flux._core.__file__)
    before = flux.get_num_threads()
    try:
        for n, then in [(3, 3), (1, 1), (0, 1), (-1, 1)]:
            library.oxiflux_set_num_threads(n)
            assert library.oxiflux_get_num_threads() == flux.get_num_threads() == then
    finally:
        flux.set_num_threads(before)


@pytest.mark.parametrize("name", ["OXIFLUX_NUM_THREADS", "OMP_NUM_THREADS"])
def test_a_number_of_threads_in_the_environment_is_held_to_what_makes_sense(name):
    script = "import oxiflux as flux; print(flux.get_num_threads(), flux.ones(1 << 20).sum().item())"
    environment = os.environ | {name: "100000"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split() == ["1024", str(float(1 << 20))]


# All at once

MAIN = {
    "forks": """
        pid = os.fork()
        if pid == 0:
            signal.alarm(20)
            flux.update(state, model, grads)
            model(x).sum().item()
            os._exit(0)
        end = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert end == 0, end
        """,
    "reads": "model[0].weight.numpy().sum(), repr(model), repr(state)[:100]",
    "assigns": "model[0].weight[0] = 1.0; flux._core.assign(model[0].bias, flux.ones(300))",
    "saves": "flux.save(path, model); flux.load(path)",
    "loads data": "assert sum(len(b) for b in flux.DataLoader(np.ones((64, 4)), batchsize=8, parallel=True)) == 64",
    "sets threads": "flux.set_num_threads(random.randint(1, 4))",
}
BESIDE = {
    "update": "flux.update(state, model, grads)",
    "gradient": "flux.gradient(lambda m: m(x).sum(), model)",
    "train": "flux.train(lambda m, x: m(x).sum(), other, [x], flux.setup(flux.Descent(1e-9), other))",
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("main", MAIN)
def test_threads_that_train_beside_one_that(main, tmp_path):
    script = f"""
        path = {str(tmp_path / "model.safetensors")!r}
        make = lambda: flux.Chain(flux.Dense(300, 300, flux.relu), flux.Dense(300, 300))
        model, other, x = make(), make(), flux.ones((200, 300))
        state = flux.setup(flux.Adam(), model)
        grads = flux.gradient(lambda m: m(x).sum(), model)[0]
        end = time.time() + 1.5
        failed = []
        def thread(work):
            try:
                while time.time() < end:
                    work()
            except BaseException as e:
                failed.append(repr(e))
        beside = [{", ".join(f"lambda: {work}" for work in BESIDE.values())}]
        threads = [threading.Thread(target=thread, args=(work,)) for work in beside]
        for t in threads:
            t.start()
        rounds = 0
        while time.time() < end:
"""
    script = textwrap.dedent(script) + textwrap.indent(textwrap.dedent(MAIN[main]).strip(), "    ") + "\n"
    script += textwrap.dedent(
        """
            rounds += 1
        for t in threads:
            t.join(20)
            assert not t.is_alive()
        assert not failed, failed
        assert rounds > 0
        """
    )
    run(script)


# The end of the program


ENDLESS = {
    "gradient": "flux.gradient(lambda x: slow(x).sum(), x)",
    "withgradient": "flux.withgradient(lambda x: slow(x).sum(), x)",
    "pullback": "flux.pullback(lambda x: slow(x).sum(), x)[1]()",
    "hessian": "flux.hessian(lambda x: slow(x * x).sum(), x)",
    "checkpoint": "flux.gradient(lambda x: flux.checkpoint(slow, x).sum(), x)",
    "custom gradient": "flux.gradient(lambda x: custom(x).sum(), x)",
    "activation": "flux.Dense(10, 10, slow)(x)",
    "rule": "flux.update(state, model, model)",
    "rule of all": "flux.update(state_of_all, model, model)",
    "operation": "flux.matmul(flux.ones((300, 300)), flux.ones((300, 300)))",
}


@pytest.mark.parametrize("what", ENDLESS)
def test_a_program_ends_while_a_daemon_thread_computes(what):
    # Python takes down the stacks of such threads: none of what they hold may be let go of.
    run(
        f"""
        x = flux.ones((10,))
        def slow(x):
            for _ in range(100):
                x = x * 1.01 + sum(range(10)) * 0.01
            return x
        @flux.custom_gradient
        def custom(x):
            return x * 2, lambda g: slow(g)
        class Rule:
            def init(self, x): return ()
            def apply(self, state, x, dx): return state, slow(dx)
        class Whole:
            def init(self, x): return ()
            def apply(self, state, x, dx): return state, dx
            def apply_all(self, states, xs, dxs): return states, [slow(dx) for dx in dxs]
        model = {{"weight": flux.ones((10,))}}
        state, state_of_all = flux.setup(Rule(), model), flux.setup(Whole(), model)
        def forever():
            while True:
                {ENDLESS[what]}
        {ENDLESS[what]}
        for _ in range(3):
            threading.Thread(target=forever, daemon=True).start()
        time.sleep(0.1)
        """
    )
