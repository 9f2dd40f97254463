"""Forks while other threads work: each child must find whole tensors and free locks, and end in time."""

import os
import textwrap

import pytest

import processes

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

FORKS = """
def children(count, work, seconds=20, pause=0.002):
    "Forks `count` children that do `work`, and says how each ended."
    pids = []
    for _ in range(count):
        pid = os.fork()
        if pid == 0:
            signal.alarm(seconds)  # a child that waits for ever is killed
            try:
                work()
                os._exit(0)
            except BaseException as e:
                os.write(2, repr(e).encode())
                os._exit(1)
        pids.append(pid)
        time.sleep(pause)
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]

def beside(work):
    "Runs `work` again and again on another thread."
    def forever():
        while True:
            work()
    threading.Thread(target=forever, daemon=True).start()
    time.sleep(0.1)
"""


def run(script: str, seconds: float = 60) -> str:
    """What a script prints that may fork children."""
    return processes.run(FORKS + textwrap.dedent(script), seconds)


WORK_BESIDE = {
    "update": """
        model = flux.Dense(1000, 1000)
        state = flux.setup(flux.Adam(), model)
        grads = flux.gradient(lambda m: (m.weight * m.weight).sum() + m.bias.sum(), model)[0]
        beside(lambda: flux.update(state, model, grads))
        """,
    "a product": """
        model = flux.Dense(1000, 1000)
        state = flux.setup(flux.Adam(), model)
        grads = flux.gradient(lambda m: (m.weight * m.weight).sum() + m.bias.sum(), model)[0]
        beside(lambda: flux.matmul(model.weight, model.weight))
        """,
}


@pytest.mark.parametrize("beside", WORK_BESIDE)
def test_forty_children_end_while_another_thread_works(beside):
    script = textwrap.dedent(WORK_BESIDE[beside]) + textwrap.dedent(
        """
        def work():
            assert model.weight.shape == (1000, 1000)
            flux.update(state, model, grads)
            flux.matmul(model.weight[:200], model.weight).sum().item()
            flux.gradient(lambda m: m(flux.ones((3, 1000))).sum(), model)
        ends = children(40, work)
        assert ends == [0] * 40, ends
        """
    )
    run(script)


def test_a_child_finds_a_step_whole_or_not_at_all():
    run(
        """
        # One step of gradient descent takes 1 from every element: all are equal between steps.
        ws = [flux.zeros(1 << 19) for _ in range(4)]
        state, grads = flux.setup(flux.Descent(1.0), ws), [flux.ones(1 << 19) for _ in ws]
        beside(lambda: flux.update(state, ws, grads))
        def work():
            seen = {float(x) for w in ws for x in np.unique(w.numpy())}
            assert len(seen) == 1, seen
        ends = children(40, work)
        assert ends == [0] * 40, ends
        """
    )


def test_a_loader_of_processes_beside_a_thread_that_updates_ends():
    run(
        """
        model = flux.Dense(1000, 1000)
        state = flux.setup(flux.Adam(), model)
        grads = flux.gradient(lambda m: (m.weight * m.weight).sum(), model)[0]
        beside(lambda: flux.update(state, model, grads))
        class Data:
            def __len__(self):
                return 64
            def __getitem__(self, i):
                return model.weight[i % 1000].numpy().copy()
        for _ in range(3):
            loader = flux.DataLoader(Data(), batchsize=8, parallel=2)
            assert sum(len(x) for x in loader) == 64
        """
    )


@pytest.mark.parametrize("count", [5, 40])
def test_children_that_are_forked_while_another_thread_begins_end(count):
    # What is found out once for all, at the first gradient or update, must not be half known to a child.
    run(
        f"""
        model = flux.Dense(300, 300)
        state = flux.setup(flux.Adam(), model)
        def step():
            loss = lambda m: (m.weight * m.weight).sum() + m.bias.sum()
            flux.update(state, model, flux.gradient(loss, model)[0])
        def forever():
            while True:
                step()
        threading.Thread(target=forever, daemon=True).start()
        def work():
            step()
            flux.matmul(model.weight, model.weight).sum().item()
        ends = children({count}, work, pause=0)
        assert ends == [0] * {count}, ends
        """
    )
