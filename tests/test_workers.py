"""Parallel loading: order, errors, interrupts, and what becomes of the workers."""

import copyreg
import multiprocessing
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import oxiflux as flux
from oxiflux.data import mapobs, workers


class Squares:
    """A data set whose items are made by Python code; some of them fail."""

    def __init__(self, n, fail=None):
        self.n, self.fail = n, fail

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        if self.fail is not None and i == 5:
            self.fail(i)
        return np.array([i, i * i]), os.getpid()


def firsts(loader):
    return [x[:, 0].tolist() for x, _ in loader]


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


@pytest.mark.parametrize("parallel", [True, 1, 2, 5])
@pytest.mark.parametrize("shuffle", [False, True])
def test_workers_give_the_same_batches_in_the_same_order(parallel, shuffle):
    def passes(parallel):
        loader = flux.DataLoader(Squares(23), 4, shuffle=shuffle, parallel=parallel, rng=flux.Generator(3))
        return [firsts(loader) for _ in range(2)]

    assert passes(parallel)[0] == passes(False)[0]
    if shuffle:
        assert passes(parallel) == passes(False)


def test_items_are_made_by_as_many_processes_as_wanted():
    class Together(Squares):
        barrier = multiprocessing.Barrier(2)

        def __getitem__(self, i):
            if i < 2:
                self.barrier.wait(60)
            return super().__getitem__(i)

    pids = {int(pid) for _, pids in flux.DataLoader(Together(6), 1, parallel=2) for pid in pids}
    assert len(pids) == 2 and os.getpid() not in pids


def test_single_items_collate_and_resuming_work_with_workers():
    assert [int(x[1]) for x, _ in flux.DataLoader(Squares(4), None, parallel=2)] == [0, 1, 4, 9]
    sums = lambda items: sum(int(x[1]) for x, _ in items)
    assert list(flux.DataLoader(Squares(4), 2, collate=sums, parallel=2)) == [1, 13]
    loader = flux.DataLoader(Squares(8), 2, shuffle=True, parallel=2)
    batches = iter(loader)
    next(batches)
    place = loader.state()
    rest = firsts(batches)
    again = flux.DataLoader(Squares(8), 2, shuffle=True, parallel=2)
    again.load_state(place)
    assert firsts(again) == rest and len(rest) == 3


def test_few_batches_are_ahead_of_their_use(tmp_path):
    class Noted(Squares):
        def __getitem__(self, i):
            (tmp_path / str(i)).touch()
            return super().__getitem__(i)

    batches = iter(flux.DataLoader(Noted(100), 1, parallel=2))
    next(batches)
    assert wait_until(lambda: len(list(tmp_path.iterdir())) == 5)
    time.sleep(0.05)
    assert len(list(tmp_path.iterdir())) == 5
    batches.close()


@pytest.mark.parametrize(
    ("data", "collate"),
    [(np.arange(9), None), (list(range(9)), None), ({"a": flux.arange(9)}, None), (iter(range(9)), len)],
    ids=["array", "list", "dict", "stream"],
)
def test_what_is_in_memory_and_streams_need_no_processes(data, collate, monkeypatch):
    monkeypatch.setattr(multiprocessing, "get_context", None)
    loader = flux.DataLoader(data, 2, collate=collate, parallel=2)
    assert len(list(loader)) == 5


class Unpicklable(Squares):
    def __reduce__(self):
        raise TypeError("stays here")


def test_what_cannot_be_sent_to_a_process_is_made_in_a_thread(monkeypatch):
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda: "spawn")
    assert workers.can_be_sent(Squares(3)) and not workers.can_be_sent(Unpicklable(3))
    pids = {int(pid) for _, pids in flux.DataLoader(Unpicklable(6), 2, parallel=2) for pid in pids}
    assert pids == {os.getpid()}


def test_workers_that_are_not_forked():
    context = multiprocessing.get_context
    squares = workers.in_processes(abs, range(-3, 0), 2)
    try:
        multiprocessing.get_context = lambda: context("spawn")
        assert list(squares) == [3, 2, 1]
    finally:
        multiprocessing.get_context = context


# Errors


class Odd(Exception):
    """Can be pickled, but not made again."""

    def __init__(self, a, b):
        super().__init__(f"{a} and {b}")


def fail(i):
    raise KeyError(f"unreadable {i}")


def fail_oddly(i):
    raise Odd(i, "more")


def test_an_error_arrives_with_the_traceback_of_the_worker_and_the_item():
    loader = flux.DataLoader(Squares(20, fail), 2, parallel=2)
    seen = []
    for _ in range(2):  # the loader can be used again
        with pytest.raises(KeyError, match="unreadable 5") as caught:
            for x, _ in loader:
                seen.append(x[:, 0].tolist())
        assert "at item 5 of the data" in caught.value.__notes__
        assert "in fail\n" in str(caught.value.__cause__)
    assert seen == [[0, 1], [2, 3]] * 2


@pytest.mark.parametrize("parallel", [False, True])
def test_errors_name_the_item_with_and_without_workers(parallel):
    for data in (Squares(9, fail), mapobs(lambda i: fail(i) if i == 5 else i, range(9))):
        for collate in (None, list):
            with pytest.raises(KeyError) as caught:
                list(flux.DataLoader(data, 3, collate=collate, parallel=parallel))
            assert caught.value.__notes__ == ["at item 5 of the data"]


def _restored(text, context, cause):
    error = RuntimeError(text)
    error.__context__, error.__cause__ = context, cause
    return error


def test_an_error_that_cannot_be_sent_says_the_same():
    with pytest.raises(RuntimeError, match="Odd: 5 and more") as caught:
        list(flux.DataLoader(Squares(9, fail_oddly), 2, parallel=2))
    assert "at item 5 of the data" in caught.value.__notes__
    with pytest.raises(TypeError):
        pickle.loads(pickle.dumps(Odd(1, 2)))


def test_an_error_that_cannot_be_sent_is_not_sent_as_the_context_of_another(monkeypatch):
    # As dask has it, whose errors bring what they were raised from along.
    def whole(error):
        return _restored, (str(error), error.__context__, error.__cause__)

    monkeypatch.setitem(copyreg.dispatch_table, RuntimeError, whole)
    with pytest.raises(RuntimeError, match="Odd: 5 and more"):
        list(flux.DataLoader(Squares(9, fail_oddly), 2, parallel=2))


def test_items_that_cannot_be_sent_are_an_error():
    with pytest.raises(Exception, match="(?i)pickle"):
        list(flux.DataLoader(mapobs(lambda i: lambda: i, range(3)), parallel=2))


def test_a_worker_that_is_killed_is_an_error_and_not_a_wait():
    loader = flux.DataLoader(Squares(9, lambda i: os.kill(os.getpid(), signal.SIGKILL)), 2, parallel=2)
    with pytest.raises(RuntimeError, match="a worker process has died"):
        list(loader)
    loader.data.fail = None
    assert len(list(loader)) == 5


@pytest.mark.parametrize(
    ("parallel", "error"), [(-1, ValueError), (1.5, TypeError), ("2", TypeError), (None, TypeError)]
)
def test_the_number_of_workers_is_checked(parallel, error):
    with pytest.raises(error, match="parallel must be|number of workers"):
        flux.DataLoader([1], parallel=parallel)


# The end of the workers


class Hanging(Squares):
    """Its last items never come; it notes who waits for them."""

    def __init__(self, n, folder):
        super().__init__(n)
        self.folder = folder

    def __getitem__(self, i):
        if i >= 2:
            open(os.path.join(self.folder, str(os.getpid())), "w").close()
            time.sleep(600)
        return super().__getitem__(i)


def waiting(folder):
    return [int(name) for name in os.listdir(folder)]


def test_leaving_a_loop_ends_workers_at_once_whatever_they_do(tmp_path):
    for _ in flux.DataLoader(Hanging(9, tmp_path), 2, parallel=2):
        assert wait_until(lambda: len(waiting(tmp_path)) == 2)
        break
    assert not any(map(alive, waiting(tmp_path)))


LEAVING = """
import numpy as np
import oxiflux as flux

class Large:
    def __len__(self):
        return 60

    def __getitem__(self, i):
        return np.zeros(100_000)

for _ in range(3):
    for i, _ in enumerate(flux.DataLoader(Large(), 4, parallel=2)):
        if i == 2:
            break
print("left")
"""


def test_leaving_a_loop_does_not_wait_for_the_rest_of_a_large_batch():
    # What a worker sends does not fit into a pipe: one that ended in the middle of it left the parent waiting forever.
    done = subprocess.run([sys.executable, "-c", LEAVING], capture_output=True, text=True, timeout=120)
    assert done.stdout == "left\n", done.stderr


def test_no_thread_or_process_is_left_after_a_pass():
    before, others = threading.active_count(), multiprocessing.active_children()
    assert len(list(flux.DataLoader(Squares(20), 2, parallel=2))) == 10
    assert set(multiprocessing.active_children()) <= set(others)
    assert wait_until(lambda: threading.active_count() <= before)


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
import oxiflux as flux
from test_workers import Hanging
for x, _ in flux.DataLoader(Hanging(9, {folder!r}), 2, parallel=2):
    print("ready", flush=True)
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "killed"])
def test_no_worker_outlives_the_program(tmp_path, sent):
    code = SCRIPT.format(tests=os.path.dirname(__file__), folder=str(tmp_path))
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert child.stdout.readline() == "ready\n"
        assert wait_until(lambda: len(waiting(tmp_path)) == 2)
        # Ctrl-C in a terminal reaches the workers too.
        (os.killpg if sent == signal.SIGINT else os.kill)(child.pid, sent)
        _, err = child.communicate(timeout=60)
        assert wait_until(lambda: not any(map(alive, waiting(tmp_path))))
    finally:
        child.kill()
    if sent == signal.SIGINT:
        assert err.count("Traceback") == 1 and err.rstrip().endswith("KeyboardInterrupt")


# Forks, threads, random numbers


def in_child(connection, loader):
    connection.send(firsts(loader))


@pytest.mark.parametrize(
    "data", [Squares(8), (np.arange(16).reshape(8, 2), np.arange(8))], ids=["made", "arrays"]
)
def test_a_loader_works_in_a_forked_process(data):
    loader = flux.DataLoader(data, 2, parallel=2)
    mine = firsts(loader)
    parent, child = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=in_child, args=(child, loader))
    process.start()
    assert parent.poll(60) and parent.recv() == mine
    process.join(60)
    assert process.exitcode == 0


def test_workers_compute_with_tensors():
    x = flux.rand(600, 600)
    expected = [float((x @ x * i).sum()) for i in range(4)]  # the threads of this process are at work
    data = mapobs(lambda i: (x @ x * i).sum(), range(4))
    assert [float(b[0]) for b in flux.DataLoader(data, 1, collate=list, parallel=2)] == expected


class Noise(Squares):
    def __getitem__(self, i):
        return np.array([np.random.random(), random.random(), flux.rand(1).item()])  # noqa: NPY002


def test_random_numbers_do_not_depend_on_the_workers_and_differ_between_batches_and_passes():
    def passes(parallel, shuffle):
        flux.seed(4)
        loader = flux.DataLoader(Noise(6), 1, shuffle=shuffle, parallel=parallel)
        return [np.concatenate(list(loader)) for _ in range(2)]

    for shuffle in (False, True):
        one, several = passes(1, shuffle), passes(3, shuffle)
        np.testing.assert_array_equal(one, several)
        assert len(np.unique(several)) == 2 * 6 * 3


class Threads:
    def __len__(self):
        return 4

    def __getitem__(self, i):
        return flux.get_num_threads()


def test_a_worker_computes_on_one_thread():
    before = flux.get_num_threads()
    flux.set_num_threads(2)
    try:
        batches = [x.tolist() for x in flux.DataLoader(Threads(), 2, parallel=2)]
    finally:
        flux.set_num_threads(before)
    assert batches == [[1, 1], [1, 1]]
