"""Functions that are captured once and done again in one call."""

from __future__ import annotations

import gc
import importlib
import sys
import types
import warnings
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast, overload

import numpy as np

from . import _core
from .hints import told
from .reached import Reach, Unseen, is_trusted

__all__ = ["compile", "show_program"]

F = TypeVar("F", bound=Callable[..., Any])

# So many programs a function has at most, and so many calls are captured for them.
MOST_PROGRAMS = 8
MOST_CAPTURES = 32
# The constants of its programs have so many bytes at most, before no more programs are made.
MOST_BYTES = 1 << 28
ADVICE = "give batches of one shape, and numbers that change as tensors, flux.tensor(a)"
# So many calls may change what they depend on, or be refused, until no more are captured.
MOST_FAILURES = 3
# Modules whose functions give something else the next time, or look at what cannot be guarded.
FICKLE = {
    "_datetime", "_io", "_random", "_socket", "_uuid", "datetime", "io", "nt", "os", "posix", "random", "secrets",
    "select", "socket", "subprocess", "tempfile", "time", "uuid",
}  # fmt: skip
FICKLE_BUILTINS = {"eval", "exec", "globals", "input", "locals", "open", "vars", "next", "__import__"}
PACKAGE = str(Path(__file__).parent)
IMPORT_MODULE = importlib.import_module.__code__
IMPORT = importlib._bootstrap._find_and_load.__code__  # type: ignore[attr-defined]


@overload
def compile(function: F, /) -> F: ...
@overload
def compile(function: None = None, /) -> Callable[[F], F]: ...
def compile(function: Any = None, /) -> Any:
    """The same function, whose operations are done again without its Python code: a step of training, a forward
    pass, a `gradient`. Results are equal to the bit.

    The first two calls with arguments of some shapes and values run as ever and are captured; if both did the same,
    later calls do that again in one call. What the function reaches may change in between: parameters and other
    tensors, rates and clocks in the state of an optimiser and the places of generators are read anew; numbers, texts,
    layers, attributes, closures, globals and functions are compared, and a change means a new capture. What it prints
    or counts happens in the calls that run as ever alone.

    What cannot be done again, such as a branch on the value of a tensor, runs as ever and says so once, with the line.
    At most 8 programs are kept; a function that needs more runs as ever. `counts` tells how many there are, the bytes
    of their constants, and how many calls fitted one or none. Ref: "Captured steps" in the tutorials.

    >>> import oxiflux as flux
    >>> @flux.compile
    ... def step(model, state, x, y):
    ...     loss, grads = flux.withgradient(lambda m: flux.mse(m(x), y), model)
    ...     flux.update(state, model, grads[0])
    ...     return loss
    >>> model = flux.Dense(2, 1)
    >>> state = flux.setup(flux.Adam(), model)
    >>> x, y = flux.rand(8, 2), flux.rand(8, 1)
    >>> losses = [step(model, state, x, y).item() for _ in range(10)]
    >>> losses[-1] < losses[0], step.counts[0]
    (True, 1)
    """
    if function is None:
        return compile
    if not callable(function):
        raise TypeError(f"compile: expected a function, got {function!r}")
    if isinstance(function, _core.compiled):
        return function
    compiled = captured(function, getattr(function, "__qualname__", type(function).__name__))
    for name in ("__module__", "__name__", "__qualname__", "__doc__"):
        if hasattr(function, name):
            setattr(compiled, name, getattr(function, name))
    return compiled


def captured(function: Any, name: str) -> _core.compiled:
    """A compiled function, which warnings call by this name."""
    life = Life(function, name)
    compiled = _core.compiled(function, life)
    life.compiled = weakref.ref(compiled)
    return compiled


@told
def show_program(step: Callable[..., Any]) -> str:
    """The programs of a compiled function, or of a file, as text, a line for each step: what it makes, its shape,
    where, and of what.

    Steps that are done together end in the same ``[in 0]``: what one makes is read by the next a block at a time. Those
    that are ``folded into matmul`` are done to the elements of that product as they are finished. One that is ``[done
    already]`` does what another has done, and what is ``[not needed]`` is left out. A value that is in memory has a
    register; ``over %4`` says that it takes the place of that value, and ``of %0`` that it shows the elements of that
    one. After `profile` each line ends with its share of the time. Empty where there is no program yet. Raises
    TypeError for a function that is not compiled.

    >>> import oxiflux as flux
    >>> f = flux.compile(lambda x: flux.tanh(x * 2.0).sum())
    >>> for _ in range(3):
    ...     y = f(flux.ones(3))
    >>> print(flux.show_program(f))
    %0: float32 (3,) in r0 = given
    %2: float32 (3,) = multiply(%0, 2)  [in 0]
    %3: float32 (3,) = tanh(%2)  [in 0]
    %4: float32 () in r1 = sum(%3, axes=(0), keepdims=false, mean=false)  [in 0]
    2 registers, at most 64 B of its own in them at a time, 4 B of constants
    """
    shown = getattr(type(step), "shown", None)
    if shown is None:
        raise TypeError(
            f"show_program: expected a function of flux.compile, or a program of flux.load, got {step!r}"
        )
    return "\n".join(shown(step)).rstrip("\n")


class Life:
    """What becomes of the calls that no program fits."""

    def __init__(self, function: Any, name: str) -> None:
        self.function, self.name = function, name
        self.compiled: Callable[[], Any] = lambda: None
        # Captured once, and to be captured again.
        self.seen: list[tuple[Any, set[types.CodeType], Any]] = []
        # What ran without being known, the places that it looks names up in.
        self.more: dict[types.CodeType, dict[str, Any]] = {}
        self.captures = 0
        self.failures = 0
        # Why the last capture was made, where there was one before.
        self.reason: str | None = None

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> Any:
        given = kwargs or {}
        if sys.getprofile() is not None:
            return self.function(*args, **given)  # somebody else looks at what runs
        first = None
        try:
            for i, entry in enumerate(self.seen):
                if entry[0].fits(args, kwargs):
                    guard, known, first = self.seen.pop(i)
                    break
            else:
                reach = Reach(self.function, args, given, self.more.items())
                guard, known = reach.guard, reach.codes
                self.reason = self.differs(args, kwargs) or self.reason
        except Unseen as unseen:
            self.end(str(unseen))
            return self.function(*args, **given)
        except RecursionError:
            self.end("what it can reach is nested too deep")
            return self.function(*args, **given)
        self.captures += 1
        watch = Watch(self.function)
        numbers = _numpy_place()
        result, captured, why = _core.capture(guard, watch, args, kwargs)
        if why is None and captured is not None and numbers != _numpy_place():
            why = "it draws random numbers from NumPy: draw them with oxiflux, or outside"
        unknown = [frame for frame in watch.frames.items() if frame[0] not in known]
        if why is None and watch.fickle:
            why = watch.fickle
        if why is None and any(code.co_freevars for code, _ in unknown):
            why = f"it calls {unknown[0][0].co_qualname}, which it cannot reach by name"
        if why is not None:
            self.end(why)
        elif unknown:
            self.more.update(unknown)
            self.fail("it calls functions that it did not reach before")
        elif captured is None:
            changed = guard.difference(args, kwargs, positional(self.function))
            self.fail(
                "a call changes what the next depends on, such as a counter, a list or an attribute"
                + (f": {changed}" if changed else "")
            )
        elif first is None:
            self.seen = [*self.seen[1 - MOST_PROGRAMS :], (guard, known, captured)]
        elif not first.is_like(captured):
            self.fail("two calls of the same arguments did different things")
        else:
            self.add(captured)
        if self.captures >= MOST_CAPTURES:
            self.end(
                f"its arguments, or what it depends on, are others at almost every call{self.last()}: {ADVICE}"
            )
        return result

    def differs(self, args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> str | None:
        """In what a call differs from the one before."""
        names, compiled = positional(self.function), self.compiled()
        if compiled is not None and compiled.counts[0]:
            return cast("str | None", compiled.difference(args, kwargs, names))
        return self.seen[-1][0].difference(args, kwargs, names) if self.seen else None

    def last(self) -> str:
        return f", at last {self.reason}" if self.reason else ""

    def add(self, captured: Any) -> None:
        compiled = self.compiled()
        if compiled is None:
            return
        compiled.add(captured, self.reason)
        self.failures = 0
        if compiled.counts[0] >= MOST_PROGRAMS:
            self.end(
                f"there are {MOST_PROGRAMS} programs already, for other shapes or values{self.last()}: {ADVICE}"
            )
        elif compiled.counts[1] > MOST_BYTES:
            self.end(
                f"its programs hold more than {MOST_BYTES >> 20} MiB of constants: make these outside, once"
            )

    def fail(self, why: str) -> None:
        self.failures += 1
        if self.failures >= MOST_FAILURES:
            self.end(why)

    def end(self, why: str) -> None:
        """Says why calls run as ever from now on."""
        compiled = self.compiled()
        if compiled is not None and not compiled.is_settled:
            compiled.settle()
            self.seen = []
            warnings.warn(
                f"compile: {self.name} runs as ever from now on, uncompiled: {why}",
                RuntimeWarning,
                stacklevel=3,
            )


class Watch:
    """Calls a function and notes what Python code runs in it."""

    def __init__(self, function: Any) -> None:
        self.function = function
        self.frames: dict[types.CodeType, dict[str, Any]] = {}
        self.seen: set[types.CodeType] = set()
        self.fickle: str | None = None
        # What a module does when it is first imported is no part of later calls.
        self.imports = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        before = sys.getprofile()
        # A collection would run code of others, such as finalizers, amid the function's.
        collects = gc.isenabled()
        gc.disable()
        sys.setprofile(self.note)
        try:
            return self.function(*args, **kwargs)
        finally:
            if callable(before):
                sys.setprofile(before)
            else:
                sys.setprofile(None)
                if before is not None:
                    before.enable()  # one of C, as cProfile's
            if collects:
                gc.enable()

    def note(self, frame: types.FrameType, event: str, arg: Any) -> None:
        code = frame.f_code
        if (
            code is IMPORT_MODULE
            and event == "call"
            and not (frame.f_back and is_trusted(frame.f_back.f_globals.get("__name__")))
        ):
            self.refuse("importlib.import_module")
        if code is IMPORT:
            self.imports += {"call": 1, "return": -1}.get(event, 0)
        elif self.imports:
            return
        elif event == "call":
            if code in self.seen:
                return
            self.seen.add(code)
            module = frame.f_globals.get("__name__")
            if isinstance(module, str) and module in FICKLE:
                self.refuse(f"{module}.{code.co_name}")
            elif not is_trusted(module):
                self.frames[code] = frame.f_globals
        elif event == "c_call":
            owner = getattr(arg, "__self__", None)
            module = getattr(arg, "__module__", None) or type(owner).__module__
            if isinstance(owner, type):
                module = owner.__module__
            is_ours = code.co_filename.startswith(PACKAGE)
            if module in FICKLE and not is_ours and (module != "_io" or arg.__name__.startswith("read")):
                self.refuse(f"{module}.{arg.__name__}")
            elif (
                module == "builtins"
                and arg.__name__ in FICKLE_BUILTINS
                and not is_trusted(frame.f_globals.get("__name__"))
            ):
                self.refuse(arg.__name__)

    def refuse(self, name: str) -> None:
        if self.fickle is None:
            self.fickle = f"it calls {name}, which may give something else the next time{line()}"


def positional(function: Any) -> list[str]:
    """The names of a function's arguments by position, as far as they are known."""
    code = getattr(function, "__code__", None)
    if code is None:
        code = getattr(type(function).__call__, "__code__", None)
    if not isinstance(code, types.CodeType):
        return []
    is_bound = not isinstance(function, types.FunctionType)
    return list(code.co_varnames[int(is_bound) : code.co_argcount])


def line() -> str:
    """The line of the user's code that runs now."""
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame = frame.f_back
    return "" if frame is None else f" ({frame.f_code.co_filename}:{frame.f_lineno})"


def _numpy_place() -> Any:
    """Where NumPy's own generator is."""
    name, keys, *rest = np.random.get_state(legacy=True)  # noqa: NPY002
    return name, np.asarray(keys).tobytes(), *rest
