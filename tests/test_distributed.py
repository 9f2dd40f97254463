import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import oxiflux as flux
from oxiflux.distributed.watch import Watchdog

pytest.importorskip("mpi4py")
MPIEXEC = Path(sys.executable).parent / "mpiexec"
CHECKS = Path(__file__).parent / "distributed_checks.py"

START = """
import os, signal, sys, time
import numpy as np, oxiflux as flux
from oxiflux import distributed as d
w = d.initialize(timeout=2)
model = flux.Dense(2, 1)
batches = [(np.ones((6, 2), np.float32), np.ones((6, 1), np.float32))]
loss = lambda m, x, y: flux.mse(m(x), y)
def fit(**options):
    return flux.fit(loss, model, batches, flux.Adam(), distributed=True, **options)
"""


def mpiexec(ranks, *args, timeout=60):
    """What a job of some ranks prints, its exit status, and how long it took."""
    start = time.monotonic()
    with subprocess.Popen(
        [MPIEXEC, "-n", str(ranks), sys.executable, *args],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    ) as job:  # fmt: skip
        try:
            text, _ = job.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            job.terminate()  # mpiexec ends its ranks, which are in sessions of their own
            try:
                job.wait(5)
            except subprocess.TimeoutExpired:
                job.kill()
            raise
    return text, job.returncode, time.monotonic() - start


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_together_give_what_one_process_gives(ranks):
    text, code, _ = mpiexec(ranks, CHECKS, timeout=120)
    assert code == 0, text
    assert text.count("done") == ranks


FAILURES = {
    "raises": (
        "if w.rank == 1: raise ValueError('of one rank')\nd.barrier()",
        ["ValueError: of one rank", "rank 1 of 2"],
    ),
    "is killed": ("if w.rank == 1: os.kill(os.getpid(), signal.SIGKILL)\nfit(epochs=10**6)", ["9"]),
    "returns early": ("if w.rank == 1: sys.exit(0)\nfit()", ["rank 1 has ended", "rank 0 in"]),
    "leaves by os._exit": ("if w.rank == 1: os._exit(0)\nfit()", ["rank 1 has ended", "rank 0 in"]),
    "leaves by os._exit in a thread": (
        "import threading\nif w.rank == 1: threading.Thread(target=os._exit, args=(0,)).start()\nfit(epochs=10**6)",
        ["rank 1 of 2: os._exit(0) ends the job"],
    ),
    "leaves with a status": ("if w.rank == 1: os._exit(3)\nfit()", ["rank 1 of 2: os._exit(3) ends the job"]),
    "takes another path": ("d.barrier() if w.rank else fit()", ["rank 1 in barrier", "rank 0 in"]),
    "never comes": (
        "if w.rank == 1: time.sleep(100)\nfit()",
        ["rank 0 has waited 2 s", "rank 1: is at <string>:"],
    ),
    "is stopped": (
        "if w.rank == 1: os.kill(os.getpid(), signal.SIGSTOP)\nfit()",
        ["rank 1: does not answer"],
    ),
    "raises in a callback": (
        "def f(row):\n    if w.rank == 1: raise KeyError('in a callback')\nfit(epochs=3, callbacks=f)",
        ["in a callback", "rank 1 of 2"],
    ),
    "gets Ctrl-C": (
        "if w.rank == 1: os.kill(os.getpid(), signal.SIGINT)\nfit(epochs=10**6)",
        ["KeyboardInterrupt", "rank 1 of 2"],
    ),
    "goes on after an error": (
        "try:\n    if w.rank == 1: raise ValueError\n    fit(epochs=9)\nexcept ValueError: d.barrier()",
        ["DisagreementError", "rank 0 in", "rank 1 in barrier"],
    ),
    "runs out of data": (
        "batches = batches * (2 - w.rank)\nfit()",
        ["DisagreementError", "rank 0 in", "rank 1 in the end of the batches"],
    ),
}


@pytest.mark.parametrize("how", FAILURES)
def test_a_job_ends_when_a_rank(how):
    code, said = FAILURES[how]
    text, status, seconds = mpiexec(2, "-c", START + code, timeout=30)
    assert status != 0
    assert seconds < 15, seconds
    for part in said:
        assert part in text, text


def test_all_may_leave_by_os_exit():
    text, status, _ = mpiexec(2, "-c", START + "fit()\nos._exit(0)", timeout=30)
    assert status == 0, text


class _Alone:
    """A communicator of two ranks, of which the other one is a process that is no rank."""

    rank, size = 0, 2

    def __init__(self, pid):
        self.pid, self.status = pid, None

    def Dup(self):  # noqa: N802
        return self

    def Iprobe(self, tag):  # noqa: N802
        return False

    def Allgather(self, mine, every):  # noqa: N802
        every[:] = [mine, [1, self.pid, mine[2]]]

    def Abort(self, status):  # noqa: N802
        self.status = status


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="nothing tells of the end of a process")
def test_the_death_of_a_rank_ends_the_job_also_where_the_launcher_lets_it(capfd):
    for is_ending in (False, True):
        with subprocess.Popen(["sleep", "30"]) as other:
            comm = _Alone(other.pid)
            watch = Watchdog(comm, 60, comm)
            watch.is_ending = is_ending
            other.kill()
        until = time.monotonic() + 10
        while comm.status is None and not is_ending and time.monotonic() < until:
            time.sleep(0.01)
        while watch._near and time.monotonic() < until:
            time.sleep(0.01)
        if is_ending:
            time.sleep(2.5)
            assert comm.status is None
        else:
            assert comm.status == 75
            assert f"rank 1 of 2, process {other.pid}, has died" in capfd.readouterr().err


def test_fifty_kills_end_their_jobs_and_leave_whole_checkpoints():
    script = Path(__file__).parents[1] / "scripts" / "kills.py"
    done = subprocess.run(
        [sys.executable, script, "--kills", "50"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "50 kills" in done.stdout


def test_a_long_wait_is_spoken_of_before_it_ends_the_job():
    code = START.replace("=2)", "=9)") + "w._watch.notice = 0.2\nif w.rank: time.sleep(2.5)\nfit()"
    text, status, _ = mpiexec(2, "-c", code)
    assert status == 0
    assert "rank 0 has waited" in text and "after 9 s the job ends" in text
    assert "rank 1: is at <string>:" in text


def test_a_job_that_was_stopped_for_a_while_goes_on():
    # By the clock the first rank has then waited for longer than it may, and the other comes a little later.
    code = START.replace("=2)", "=3)") + (
        "pids = [int(pid) for pid in w.texts(str(os.getpid()))]\n"
        "again = f'sleep 3; kill -CONT {pids[1]} {pids[0]}'\n"
        "if w.rank == 1:\n"
        "    time.sleep(0.5)\n"
        "    __import__('subprocess').Popen(['sh', '-c', f'kill -STOP {pids[0]} {pids[1]}; {again}'])\n"
        "    for _ in range(10): time.sleep(0.1)\n"
        "fit()"
    )
    text, status, _ = mpiexec(2, "-c", code, timeout=30)
    assert status == 0, text


BITS = """
import hashlib, random, sys, time
import numpy as np, oxiflux as flux
from oxiflux import distributed as d
w = d.initialize()
flux.seed(3)
late = random.Random(f"{sys.argv[1]} {w.rank}")
rng = np.random.default_rng(0)
x, y = rng.normal(size=(54, 8)).astype("f4"), rng.normal(size=(54, 1)).astype("f4")
def loss(m, x, y):
    time.sleep(late.choice([0, 0, 0.02]))
    return flux.mse(m(x), y)
def net():
    return flux.Chain(flux.Dense(8, 300, flux.tanh), flux.BatchNorm(300), flux.Dropout(0.1), flux.Dense(300, 1))
models = [net() for _ in range(3)]
loader = flux.DataLoader((x, y), 16, shuffle=True)
for model, wire in zip(models, (None, "bfloat16")):
    flux.fit(loss, model, loader, flux.Adam(), epochs=3, distributed=True, wire=wire)
d.synchronize(models[2])
state = flux.setup(d.DistributedOptimiser(flux.Adam()), models[2])
flux.train(loss, models[2], d.shared(loader), state)
found = hashlib.sha256()
for _, t in flux._core.leaves(models):
    found.update(t.numpy().tobytes())
w.rank or print("bits", found.hexdigest())
"""


@pytest.mark.parametrize("ranks", [2, 3])
def test_a_job_gives_the_same_bits_again_whatever_the_timing(ranks):
    found = set()
    for seed in "ab":
        text, code, _ = mpiexec(ranks, "-c", BITS, seed)
        assert code == 0, text
        found.add(text[text.index("bits") :])
    assert len(found) == 1


def test_a_checkpoint_is_whole_after_a_kill_and_a_run_goes_on_with_other_ranks(tmp_path):
    path = tmp_path / "run.safetensors"
    code = START + (
        f"path = {str(path)!r}\n"
        "def f(row):\n    if row['epoch'] == 4 and w.rank == 1: os.kill(os.getpid(), signal.SIGKILL)\n"
        "fit(epochs=9, checkpoint=path, callbacks=f)"
    )
    assert mpiexec(2, "-c", code)[1] != 0
    code = (
        START
        + f"history = fit(epochs=5, checkpoint={str(path)!r}, resume=True)\nprint(f'epochs={{len(history)}}')"
    )
    text, status, _ = mpiexec(3, "-c", code)
    assert status == 0, text
    assert "the run had 2 ranks and goes on with 3" in text
    assert text.count("epochs=5") == 3


def test_without_mpi4py_a_script_is_one_process():
    code = "import sys\nsys.modules['mpi4py'] = None\n" + START + "print(w.size, len(fit()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "1 1\n", done.stderr


@pytest.mark.parametrize(
    ("first", "said"),
    [("", "mpiexec belongs to another one"), ("import sys\nsys.modules['mpi4py'] = None\n", "oxiflux[mpi]")],
)
def test_processes_that_are_alone_by_mistake_say_so(first, said):
    environment = os.environ | {"OMPI_COMM_WORLD_SIZE": "2"}
    done = subprocess.run(
        [sys.executable, "-c", first + START], capture_output=True, text=True, timeout=60, env=environment
    )
    assert done.returncode
    assert said in done.stderr


def test_importing_the_package_imports_no_mpi():
    code = "import sys, oxiflux\nassert not {'mpi4py', 'oxiflux.distributed'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("wire", [None, "bfloat16"])
def test_one_process_trains_as_without_mpi(wire):
    def trained(**options):
        model = {"w": flux.tensor([1.0, 2.0])}
        loss = lambda m, x: ((m["w"] - x) ** 2).mean()
        flux.fit(loss, model, [np.zeros((3, 2), np.float32)], flux.Adam(), epochs=3, **options)
        return model["w"].tolist()

    assert trained(distributed=True, wire=wire) == trained()


def test_a_wire_needs_processes_and_is_known():
    for options, said in [
        ({"wire": "bfloat16"}, "distributed=True"),
        ({"distributed": True, "wire": "x"}, "wire must"),
    ]:
        with pytest.raises(ValueError, match=said):
            flux.fit(lambda m, x: x, {"w": flux.ones(1)}, [0.0], flux.Adam(), **options)
