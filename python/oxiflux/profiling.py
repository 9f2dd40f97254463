"""Where the time of a step goes: its operations in a table, and as a trace of events."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from operator import index
from pathlib import Path
from typing import Any, NamedTuple, Self

from . import _core
from .hints import Told, keyword, told

__all__ = ["Profile", "ProfileRow", "profile"]

MOST_ROWS = 30
# So many inputs of an operation are named in the table.
MOST_SHAPES = 4

Shapes = tuple[tuple[tuple[int, ...], str], ...]


class ProfileRow(NamedTuple):
    """The calls of one operation with inputs of some shapes, in one of the passes.

    `pass_` is "forward", "backward" or "update"; `seconds` is the time of all of them, `bytes` what they read and
    write, and `flops` the products and sums of numbers that they take, 0 where these are not counted.

    >>> import oxiflux as flux
    >>> row = flux.profile(flux.matmul, flux.ones((2, 3)), flux.ones((3, 4)), repeats=5).rows[0]
    >>> row.operation, row.pass_, row.calls, row.bytes // row.calls, row.flops // row.calls
    ('matmul', 'forward', 5, 104, 48)
    """

    operation: str
    pass_: str
    inputs: Shapes
    calls: int
    seconds: float
    bytes: int
    flops: int


class Event(NamedTuple):
    """An operation as the core tells of it; times are in nanoseconds."""

    name: str
    pass_: str
    inputs: Shapes
    outputs: Shapes
    bytes: int
    flops: int
    start: int
    nanos: int
    thread: int


class Profile(Told):
    """What was done while it was open, as a table when printed; see `profile`.

    `rows` has the lines of the table as data, the longest time first, `calls` and `seconds` the number of calls and
    their time in all, `python` that of it which was no operation: Python itself, and copies from and to NumPy. `peak`
    is the most bytes that tensors held meanwhile, and `save` writes a trace.

    >>> import oxiflux as flux
    >>> p = flux.profile(lambda: flux.exp(flux.ones(4)).sum())
    >>> print(str(p).splitlines()[1].split())
    ['time', 'share', 'calls', 'pass', 'bytes', 'speed', 'operation']
    >>> sorted(row.operation for row in p.rows), p.python < p.seconds
    (['exp', 'sum'], True)
    """

    def __init__(self) -> None:
        self.name = "profile"
        self.rows: list[ProfileRow] = []
        self.peak = 0
        self._open: _core.Profiling | None = None
        self._spans: list[tuple[int, int]] = []
        self._began = self._thread = self._lost = 0
        self._events: list[Event] = []
        self._threads: dict[int, str] = {}

    @property
    def calls(self) -> int:
        """The number of calls; 1 of a `with` block."""
        return len(self._spans)

    @property
    def seconds(self) -> float:
        """The time of all calls."""
        return sum(end - start for start, end in self._spans) / 1e9

    @property
    def python(self) -> float:
        """The time, in seconds, in which the thread of the calls did no operation."""
        own = sum(e.nanos for e in self._events if e.thread == self._thread) / 1e9
        return max(0.0, self.seconds - own)

    def __enter__(self) -> Self:
        opened = _core.Profiling()
        vars(self).update(vars(Profile()) | {"_open": opened})
        self._begin()
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self._close()

    def _begin(self) -> None:
        if self._open is not None:
            self._began, self._thread = self._open.now()

    def _end(self) -> None:
        if self._open is not None:
            self._spans.append((self._began, self._open.now()[0]))

    def _close(self) -> None:
        if self._open is None:
            return
        events, threads, self._lost, self.peak = self._open.close()
        self._open = None
        self._events = [Event(*event) for event in events]
        self._threads = {number: name or f"thread {number}" for number, name in threads}
        found: dict[tuple[str, str, Shapes], list[Event]] = {}
        for event in self._events:
            found.setdefault((event.name, event.pass_, event.inputs), []).append(event)
        rows = [
            ProfileRow(
                *key,
                len(events),
                sum(e.nanos for e in events) / 1e9,
                sum(e.bytes for e in events),
                sum(e.flops for e in events),
            )
            for key, events in found.items()
        ]
        self.rows = sorted(rows, key=lambda row: -row.seconds)

    def __repr__(self) -> str:
        return f"Profile({self.name}: {self.calls} calls, {_time(self.seconds)})"

    def __str__(self) -> str:
        calls, seconds = max(self.calls, 1), self.seconds or 1e-9
        count = "1 call of" if calls == 1 else f"{calls} calls, each"
        threads = _core.get_num_threads()
        lines = [
            f"{self.name}: {count} {_time(seconds / calls)} on {threads} thread{'s' * (threads > 1)}, "
            f"tensors of {_bytes(self.peak)} at most",
            f"{'time':>8} {'share':>6} {'calls':>7}  {'pass':8}  {'bytes':>9} {'speed':>13}  operation",
        ]

        def line(time: float, count: str, pass_: str, rest: str) -> str:
            text = f"{_time(time / calls):>8} {time / seconds:>6.1%} {count:>7}  {pass_:8}"
            return f"{text}  {rest}".rstrip()

        for row in self.rows[:MOST_ROWS]:
            size = _bytes(row.bytes / row.calls) if row.bytes else "a view"
            text = f"{size:>9} {_speed(row):>13}  {row.operation} {_shapes(row.inputs)}"
            lines.append(line(row.seconds, f"{row.calls / calls:.4g}", row.pass_, text))
        if rest := self.rows[MOST_ROWS:]:
            number = f"{'':>9} {'':>13}  {len(rest)} more lines"
            lines.append(line(sum(row.seconds for row in rest), "", "", number))
        space = f"{'':>9} {'':>13}  "
        lines.append(line(self.python, "", "", f"{space}Python, and all that is no operation"))
        for name in ("forward", "backward", "update"):
            all_ = [row.seconds for row in self.rows if row.pass_ == name]
            if all_:
                lines.append(line(sum(all_), "", name, f"{space}in all"))
        if self._lost:
            lines.append(f"{self._lost} operations more found no room: profile fewer calls")
        return "\n".join(lines)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a trace of events, which Perfetto (ui.perfetto.dev) and `chrome://tracing` show: each thread with its
        operations, in microseconds, with their shapes, and the calls around them.

        >>> import tempfile, os
        >>> import oxiflux as flux
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     flux.profile(flux.tanh, flux.ones(3)).save(os.path.join(folder, "trace.json"))
        """
        process = os.getpid()

        def event(name: str, kind: str, start: int, end: int, thread: int, **args: Any) -> dict[str, Any]:
            return {
                "name": name, "cat": kind, "ph": "X", "ts": start / 1e3, "dur": (end - start) / 1e3,
                "pid": process, "tid": thread, "args": args,
            }  # fmt: skip

        def named(what: str, thread: int, name: str) -> dict[str, Any]:
            return {"name": what, "ph": "M", "pid": process, "tid": thread, "args": {"name": name}}

        events = [named("process_name", self._thread, "oxiflux")]
        events += [named("thread_name", *thread) for thread in self._threads.items()]
        events += [event(self.name, "call", *span, self._thread) for span in self._spans]
        for e in self._events:
            shapes = {"inputs": _shapes(e.inputs, None), "outputs": _shapes(e.outputs, None)}
            counts = {"bytes": e.bytes} | ({"flops": e.flops} if e.flops else {})
            events.append(event(e.name, e.pass_, e.start, e.start + e.nanos, e.thread, **shapes, **counts))
        target = Path(path)
        beside = target.with_name(f"{target.name}.{process}.part")
        try:
            beside.write_text(json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}), encoding="utf-8")
            beside.replace(target)
        except OSError as error:
            raise type(error)(error.errno, error.strerror, str(target)) from None
        finally:
            beside.unlink(missing_ok=True)


@told
def profile(
    fn: Callable[..., Any] | None = None, /, *args: Any, repeats: int = 10, warmup: int = 3, **kwargs: Any
) -> Profile:
    """What a call of `fn(*args, **kwargs)` spends its time on: printed, a table of its operations, the longest first.

    A line has the time of one call and its share, how often the operation was done in it, whether for a value, for a
    gradient or for the step of an optimiser, the bytes that it reads and writes, how fast that went, in Gflop/s where
    products and sums are counted and else in GB/s, and the shapes that it was given. A line at the end has what was no
    operation: Python's own time. `fn` is called `warmup` times unseen and `repeats` times seen, so a step of training
    trains so often. Operations of other threads count, too.

    Without a function it is a context, of all that is done within: ``with flux.profile() as p: …``.
    `p.save("trace.json")` writes a trace for Perfetto, and `p.rows` has the table as data.

    A compiled function has a line for each that its program has, the parts of what is done together as
    ``multiply + tanh``, and `show_program` then tells the share of time of each. Raises RuntimeError while another
    profile is open, and what `fn` raises.

    >>> import oxiflux as flux
    >>> model = flux.Dense(3, 2, flux.tanh)
    >>> p = flux.profile(flux.gradient, lambda m: (m(flux.ones((4, 3))) ** 2).sum(), model)
    >>> p.calls, [row.calls for row in p.rows if row.operation == "dense"]
    (10, [10])
    >>> with flux.profile() as p:
    ...     y = flux.exp(flux.ones(2))
    >>> [(row.operation, row.pass_, row.inputs) for row in p.rows]
    [('exp', 'forward', (((2,), 'float32'),))]
    """
    if fn is None:
        if kwargs:
            raise TypeError(keyword("profile()", next(iter(kwargs)), ["repeats", "warmup"]))
        if args:
            raise TypeError("profile: expected a function first: profile(step, x)")
        return Profile()
    if not callable(fn):
        raise TypeError(
            f"profile: expected a function, got {fn!r}; give its arguments after it: profile(step, x)"
        )
    repeats, warmup = _count("repeats", repeats, 1), _count("warmup", warmup, 0)
    for _ in range(warmup):
        fn(*args, **kwargs)
    found = Profile()
    found._open = _core.Profiling()
    found.name = getattr(fn, "__qualname__", type(fn).__name__)
    try:
        for _ in range(repeats):
            found._begin()
            fn(*args, **kwargs)
            found._end()
    finally:
        found._close()
    return found


def _count(name: str, x: Any, least: int) -> int:
    try:
        number = None if isinstance(x, bool) else index(x)
    except TypeError:
        number = None
    if number is None or number < least:
        raise ValueError(f"profile: {name} must be a whole number of at least {least}, got {x!r}")
    return number


def _time(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:#.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"


def _bytes(n: float) -> str:
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if n >= size:
            return f"{n / size:.1f} {unit}"
    return f"{n:.0f} B"


def _speed(row: ProfileRow) -> str:
    if row.seconds <= 0 or not row.bytes:
        return ""
    if row.flops:
        return f"{row.flops / row.seconds / 1e9:.3g} Gflop/s"
    return f"{row.bytes / row.seconds / 1e9:.3g} GB/s"


def _shapes(shapes: Shapes, most: int | None = MOST_SHAPES) -> str:
    """Shapes in a row; a type that is not float32 before its own."""
    text = [f"{'' if dtype == 'float32' else dtype}{shape}" for shape, dtype in shapes[:most]]
    return " ".join(text) + (" …" if most is not None and len(shapes) > most else "")
