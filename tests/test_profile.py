"""What a profile tells: operations with their passes and shapes, Python's share, and a trace of events."""

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

import oxiflux as flux
import processes


def training(rule: Any = None) -> tuple[Any, ...]:
    """A step of training and its arguments."""
    flux.seed(0)
    model = flux.Chain(flux.Dense(4, 8, flux.tanh), flux.Dense(8, 1))
    state = flux.setup(rule or flux.Adam(0.01), model)
    x, y = flux.randn(16, 4), flux.randn(16, 1)

    def step(model: Any, state: Any, x: Any, y: Any) -> Any:
        loss, grads = flux.withgradient(lambda m: flux.mse(m(x), y), model)
        flux.update(state, model, grads[0])
        return loss

    return step, model, state, x, y


def found(p: flux.Profile, name: str, pass_: str) -> list[Any]:
    return [row for row in p.rows if row.operation == name and row.pass_ == pass_]


def test_the_passes_of_a_step_are_told_apart():
    p = flux.profile(*training(), repeats=4)
    assert p.calls == 4
    assert sorted(row.inputs[0][0] for row in found(p, "dense", "forward")) == [(16, 4), (16, 8)]
    assert found(p, "matmul", "backward")
    assert not found(p, "dense", "backward")
    (update,) = found(p, "update", "update")
    assert update.calls == 4
    assert update.inputs == (((4 * 8 + 8 + 8 + 1,), "float32"),)


def test_calls_bytes_and_flops_are_counted():
    a, b = flux.ones((6, 5)), flux.ones((5, 7))
    p = flux.profile(lambda: [a @ b for _ in range(3)], repeats=2)
    (row,) = found(p, "matmul", "forward")
    assert (row.calls, row.bytes, row.flops) == (6, 6 * 4 * (30 + 35 + 42), 6 * 2 * 6 * 5 * 7)
    image, weight = flux.ones((2, 8, 8, 3)), flux.ones((3, 3, 3, 4))
    (row,) = found(flux.profile(flux.conv, image, weight, repeats=1), "conv", "forward")
    assert row.flops == 2 * (2 * 6 * 6 * 4) * (3 * 3 * 3)


def test_a_view_moves_no_bytes():
    x = flux.ones((6, 5))
    p = flux.profile(lambda: flux.permute_dims(x, (1, 0)).sum(), repeats=1)
    assert found(p, "permute_dims", "forward")[0].bytes == 0
    assert found(p, "sum", "forward")[0].bytes == 4 * 31
    (line,) = [line for line in str(p).splitlines() if "permute_dims" in line]
    assert "a view" in line


def test_times_add_up_to_the_whole():
    p = flux.profile(*training())
    assert sum(row.seconds for row in p.rows) + p.python == pytest.approx(p.seconds)
    assert 0 < p.python < p.seconds
    assert [row.seconds for row in p.rows] == sorted((row.seconds for row in p.rows), reverse=True)


def test_an_operation_that_others_are_done_within_is_one():
    p = flux.profile(flux.LSTM(3, 4), flux.ones((2, 5, 3)), repeats=1)
    assert len([row for row in p.rows if row.operation == "recurrent"]) == 1
    assert sum(row.seconds for row in p.rows) <= p.seconds


def test_the_table_has_a_line_for_each_operation_and_sums():
    text = str(flux.profile(*training(flux.AdamW(0.1))))
    first, columns, *lines = text.splitlines()
    assert first.startswith("training.<locals>.step: 10 calls, each ")
    assert columns.split() == ["time", "share", "calls", "pass", "bytes", "speed", "operation"]
    assert any(line.endswith("dense (16, 4) (4, 8) (8,)") and "Gflop/s" in line for line in lines)
    assert lines[-4].endswith("Python, and all that is no operation")
    assert [line.split()[-3] for line in lines[-3:]] == ["forward", "backward", "update"]


def test_a_long_table_ends_with_the_rest():
    p = flux.profile(lambda: [flux.exp(flux.ones(n)) for n in range(1, 51)], repeats=1)
    assert len(p.rows) == 50
    assert "20 more lines" in str(p)


def test_a_context_sees_what_is_done_within():
    """Without `fn` it is one."""
    with flux.profile() as p:
        flux.exp(flux.ones((2, 3)))
        flux.gradient(lambda x: flux.sin(x).sum(), flux.ones(3))
    assert p.calls == 1
    assert found(p, "exp", "forward")[0].inputs == (((2, 3), "float32"),)
    assert found(p, "sin", "forward")
    flux.exp(flux.ones(5))
    assert len(found(p, "exp", "forward")) == 1
    with p:
        flux.tanh(flux.ones(2))
    assert [row.operation for row in p.rows] == ["tanh"]


def test_nothing_is_seen_outside_and_results_are_the_same_bits():
    step, model, state, x, y = training()
    other, model2, state2, x2, y2 = training()
    flux.profile(step, model, state, x, y, warmup=1, repeats=2)
    for _ in range(3):
        other(model2, state2, x2, y2)
    same = [
        (a == b).all().item() for a, b in zip(flux.trainables(model), flux.trainables(model2), strict=True)
    ]
    assert all(same)


def test_one_profile_is_open_at_a_time():
    with flux.profile() as p:
        with pytest.raises(RuntimeError, match="another profile is running"), flux.profile():
            pass
        with pytest.raises(RuntimeError, match="another profile is running"):
            flux.profile(flux.exp, flux.ones(2))
        flux.exp(flux.ones(4))
    assert found(p, "exp", "forward")
    with flux.profile():
        pass


def test_what_the_function_raises_ends_the_profile():
    def fails() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        flux.profile(fails, warmup=0)
    with pytest.raises(flux.ShapeError), flux.profile() as p:
        flux.ones((2, 3)) @ flux.ones((2, 3))
    assert p.calls == 1
    assert flux.profile(flux.exp, flux.ones(2), repeats=1).calls == 1


def test_bad_arguments_are_told():
    with pytest.raises(TypeError, match="expected a function, got 3"):
        flux.profile(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="repeats must be a whole number of at least 1, got 0"):
        flux.profile(flux.exp, flux.ones(1), repeats=0)
    with pytest.raises(ValueError, match="warmup must be a whole number of at least 0, got True"):
        flux.profile(flux.exp, flux.ones(1), warmup=True)


def test_calls_that_are_seen_and_unseen_are_as_many_as_it_is_told():
    done: list[int] = []
    assert flux.profile(lambda: done.append(1)).calls == 10 and len(done) == 13
    assert flux.profile(lambda: done.append(1), repeats=4, warmup=2).calls == 4 and len(done) == 19


def test_keywords_go_to_the_function():
    p = flux.profile(flux.sum, flux.ones((2, 3)), axis=0, repeats=1)
    assert found(p, "sum", "forward")[0].calls == 1


def test_other_threads_are_seen_by_their_names(tmp_path: Path):
    def work() -> None:
        flux.exp(flux.ones(7))

    def both() -> None:
        thread = threading.Thread(target=work, name="loader")
        thread.start()
        thread.join()
        flux.sin(flux.ones(3))

    p = flux.profile(both, repeats=1)
    assert found(p, "exp", "forward")
    p.save(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    names = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"}
    (exp,) = [e for e in events if e["name"] == "exp"]
    (sin,) = [e for e in events if e["name"] == "sin"]
    assert names[exp["tid"]] == "loader"
    assert names[sin["tid"]] == threading.current_thread().name


def test_a_trace_has_calls_and_within_them_operations_in_microseconds(tmp_path: Path):
    p = flux.profile(*training(), repeats=3)
    path = tmp_path / "trace.json"
    p.save(path)
    trace = json.loads(path.read_text())
    events = [e for e in trace["traceEvents"] if e["ph"] == "X"]
    calls = [e for e in events if e["cat"] == "call"]
    assert len(calls) == 3
    assert sum(e["dur"] for e in calls) == pytest.approx(p.seconds * 1e6)
    operations = [e for e in events if e["cat"] != "call"]
    assert len(operations) == sum(row.calls for row in p.rows)
    assert {e["cat"] for e in operations} == {"forward", "backward", "update"}
    for e in operations:
        around = [c for c in calls if c["ts"] <= e["ts"] and e["ts"] + e["dur"] <= c["ts"] + c["dur"] + 1e-6]
        assert len(around) == 1 and {"inputs", "outputs", "bytes"} <= e["args"].keys()
    assert sorted(tmp_path.iterdir()) == [path]
    assert {e["pid"] for e in trace["traceEvents"]} == {calls[0]["pid"]}


def test_a_trace_that_cannot_be_written_leaves_nothing(tmp_path: Path):
    p = flux.profile(flux.exp, flux.ones(2), repeats=1)
    with pytest.raises(OSError):
        p.save(tmp_path / "none" / "trace.json")
    assert not list(tmp_path.iterdir())


def test_a_compiled_step_has_a_line_for_each_of_its_program():
    step, model, state, x, y = training()
    compiled = flux.compile(step)
    p = flux.profile(compiled, model, state, x, y)
    assert compiled.counts[2] >= 10
    assert found(p, "dense", "forward")
    assert found(p, "update", "update")[0].calls == 10
    assert any(" + " in row.operation for row in p.rows)
    assert any(row.pass_ == "backward" for row in p.rows)


def test_a_program_shows_its_times_after_a_profile():
    f = flux.compile(lambda x, w: flux.tanh(x @ w * 2.0).sum())
    x, w = flux.ones((3, 4)), flux.ones((4, 5))
    for _ in range(3):
        f(x, w)
    before = flux.show_program(f)
    assert "%" in before and "calls" not in before.splitlines()[-1]
    flux.profile(f, x, w, repeats=7)
    text = flux.show_program(f)
    assert text.splitlines()[-1].endswith("the mean of 7 calls")
    shares = [float(line.split()[-1][:-1]) for line in text.splitlines() if line.endswith("%")]
    assert sum(shares) == pytest.approx(100, abs=0.5)
    assert "[in 1] " in text
    f(x, w)
    assert flux.show_program(f) == text


def test_a_program_shows_where_its_values_are():
    def f(x: Any) -> Any:
        y = x.reshape((6,))
        return flux.sort(y * 2.0), y

    g = flux.compile(f)
    x = flux.ones((2, 3))
    for _ in range(3):
        g(x)
    lines = flux.show_program(g).splitlines()
    assert lines[0] == "%0: float32 (2, 3) in r0 = given"
    assert any(" of %0 = reshape(%0" in line for line in lines)
    assert lines[-1] == "4 registers, at most 192 B of its own in them at a time, 4 B of constants"


def test_memory_at_most_is_that_of_the_calls():
    big = flux.ones(1 << 18)
    p = flux.profile(lambda: flux.exp(big).sum(), repeats=1)
    assert (2 << 20) <= p.peak < flux.memory_in_use() + (4 << 20)


def test_second_derivatives_and_checkpoints_are_of_the_backward_pass():
    def slope(x: Any) -> Any:
        return flux.gradient(lambda x: (flux.sin(x) * x).sum(), x)[0]

    p = flux.profile(flux.gradient, lambda x: slope(x).sum(), flux.ones(3), repeats=1)
    assert found(p, "sin", "forward")
    assert found(p, "cos", "backward") or found(p, "sin", "backward")
    again = flux.profile(flux.gradient, lambda x: flux.checkpoint(flux.exp, x).sum(), flux.ones(3), repeats=1)
    assert found(again, "exp", "forward")[0].calls == 1
    assert found(again, "exp", "backward")[0].calls == 1
    assert not any(row.pass_ == "backward" for row in flux.profile(flux.exp, flux.ones(2)).rows)


def test_halves_are_seen_with_their_conversions():
    x = flux.ones(4, dtype=flux.float16)
    p = flux.profile(flux.exp, x, repeats=1)
    assert sorted(row.operation for row in p.rows) == ["astype", "astype", "exp"]
    assert "float16(4,)" in str(p)


def test_an_empty_profile_prints():
    p = flux.profile()
    assert str(p).startswith("profile: 1 call of ")
    with p:
        pass
    assert p.rows == [] and "Python" in str(p)


def test_names_of_any_kind_are_written(tmp_path: Path):
    class Odd:
        def __call__(self) -> Any:
            return flux.exp(flux.ones(1))

    odd = Odd()
    odd.__qualname__ = 'a "quoted" näme\n\x00'  # type: ignore[attr-defined]
    flux.profile(odd, repeats=1).save(tmp_path / "t.json")
    events = json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))["traceEvents"]
    assert 'a "quoted" näme\n\x00' in {e["name"] for e in events}


def test_an_error_of_writing_names_the_file_that_was_asked_for(tmp_path: Path):
    with pytest.raises(FileNotFoundError) as told:
        flux.profile(flux.exp, flux.ones(1), repeats=1).save(tmp_path / "nowhere" / "t.json")
    assert told.value.filename == str(tmp_path / "nowhere" / "t.json")


def test_threads_of_others_do_not_lose_their_operations():
    x = flux.ones(16)

    def work() -> None:
        for _ in range(200):
            flux.exp(x)

    def all_() -> None:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    (row,) = found(flux.profile(all_, warmup=0, repeats=1), "exp", "forward")
    assert row.calls == 800


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_of_a_profiled_process_goes_on():
    text = processes.run(
        """
import os, signal, threading, oxiflux as flux
x = flux.ones(16)
with flux.profile() as p:
    def forever():
        while True:
            flux.exp(x)
    threading.Thread(target=forever, daemon=True).start()
    codes = []
    for _ in range(20):
        pid = os.fork()
        if pid == 0:
            signal.alarm(20)
            for _ in range(50):
                flux.sin(x)
            os._exit(0)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
print(codes == [0] * 20)
"""
    )
    assert text.strip() == "True"
