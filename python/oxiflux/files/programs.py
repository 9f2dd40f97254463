"""Programs in files: what `compile` has captured, done again without the code that made it."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable
from os import PathLike, fsdecode
from typing import Any

from .. import _core
from .._core import ShapeError, Tensor
from ..hints import Told, unknown

__all__ = ["Program", "is_program", "read_program", "save_program"]


class Program(Told):
    """What `flux.load` gives of a file with the programs of a compiled function: a function of the same tensors, which
    returns the same results, to the bit.

    `state` has the tensors that the programs keep, by name: the parameters that the function reached, running
    statistics and places of generators. Their values are those of the moment when it was saved, and may be assigned
    to; what the function changed in a call is changed in `state`. A program of a step of training goes on with it: what
    the optimiser remembers is there, too, and so are its hyper-parameters, such as `state["Adam.eta"]`. A call with
    arguments of other shapes or types than the programs were captured for raises ShapeError. No gradient is taken
    through a program: one that follows an argument raises ValueError. Within a function that is compiled, it becomes a
    part of that.

    >>> import os, tempfile
    >>> import oxiflux as flux
    >>> model = flux.Dense(2, 1)
    >>> predict = flux.compile(model)
    >>> x = flux.ones((3, 2))
    >>> for _ in range(2):
    ...     y = predict(x)
    >>> path = os.path.join(tempfile.mkdtemp(), "model.program")
    >>> flux.save(path, predict)
    >>> again = flux.load(path)
    >>> again
    Program((float32 (3, 2),))
    >>> (again(x) == predict(x)).all().item(), sorted(again.state)
    (True, ['bias', 'weight'])
    """

    def __init__(self, programs: _core.Saved, state: dict[str, Tensor]) -> None:
        if not isinstance(programs, _core.Saved):
            raise TypeError(
                "Program: it is read from a file, flux.load(path), which flux.save(path, compiled) wrote"
            )
        self._programs = programs
        self._laid = {name: (x.shape, x.dtype) for name, x in state.items()}
        self.state = state

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        state = self.state
        if state.keys() != self._laid.keys():
            self._check()
        try:
            return self._programs.call([state[name] for name in self._laid], args, kwargs)
        except (TypeError, ValueError):
            self._check()
            raise

    def _check(self) -> None:
        """Looks whether the state has what it had, and no more, of the same shapes and types."""
        for name in self._laid.keys() - self.state.keys():
            raise ValueError(f"Program: the state has no {name!r}, which the programs read")
        for name in self.state.keys() - self._laid.keys():
            raise ValueError(unknown("Program: no program reads the state's ", name, self._laid))
        for name, (shape, dtype) in self._laid.items():
            x = self.state[name]
            if not isinstance(x, Tensor):
                raise TypeError(f"Program: the state's {name} must be a tensor, got {type(x).__name__}")
            if (x.shape, x.dtype) != (shape, dtype):
                raise ShapeError(
                    f"Program: the state's {name} is {dtype} of shape {shape}, got {x.dtype} of {x.shape}"
                )

    def __repr__(self) -> str:
        return f"Program({' or '.join(self._programs.signatures())})"

    def shown(self) -> list[str]:
        """The programs as text, a line for each step; see `show_program`."""
        return self._programs.shown()

    def __reduce__(self) -> Any:
        raise TypeError("Program: it is not pickled; write it to a file, flux.save(path, program)")


def save_program(path: str | PathLike[str], step: Any) -> None:
    """Writes a compiled function with its programs, or a Program, to a file."""
    if isinstance(step, Program):
        step._check()
        programs, state = step._programs, {name: step.state[name] for name in step._laid}
    else:
        bound = getattr(step, "__self__", None)
        step = getattr(step, "__func__", step)
        if not step.counts[0]:
            raise ValueError(
                f"save: there is no program of {step!r} yet: call it twice with arguments like those that it is to be "
                "called with"
            )
        programs, state = step.saved(names_of(step.__wrapped__ if bound is None else bound), bound)
    programs.write(fsdecode(path), list(state.items()))


def read_program(tensors: dict[str, Tensor], notes: dict[str, str]) -> Program | None:
    """The programs of a file of these tensors and notes, if it has such."""
    found = _core.read_program(list(tensors.items()), notes)
    return None if found is None else Program(found[0], dict(found[1]))


def is_program(x: Any) -> bool:
    """Whether `save_program` writes it: a compiled function, also as a method of an object, or a Program."""
    return isinstance(x, (_core.compiled, Program)) or (
        isinstance(x, types.MethodType) and isinstance(x.__func__, _core.compiled)
    )


def names_of(function: Callable[..., Any]) -> dict[int, str]:
    """Names for what a function reaches, by its address: the path from the function, or from its variables."""
    names: dict[int, str] = {}
    seen: set[int] = set()
    pending: list[tuple[str, Any]] = list(_roots(function))
    kept = []
    while pending:
        path, x = pending.pop(0)
        if id(x) in seen:
            continue
        seen.add(id(x))
        kept.append(x)
        if isinstance(x, (Tensor, _core.Generator, _core.Leaf)):
            names[id(x)] = path or "tensor"
            continue
        kids = _core.children(x)
        pending += [(f"{path}.{key}" if path else str(key), kid) for key, kid in kids or ()]
    return names


def _roots(function: Any) -> list[tuple[str, Any]]:
    if isinstance(function, functools.partial):
        return _given(function) + _roots(function.func)
    if isinstance(function, types.MethodType):
        return [("", function.__self__)]
    if not isinstance(function, types.FunctionType):
        return [("", function)]
    roots: list[tuple[str, Any]] = []
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            roots.append((name, cell.cell_contents))
        except ValueError:
            continue
    roots += [
        (name, function.__globals__[name])
        for name in function.__code__.co_names
        if name in function.__globals__
    ]
    return [(name, x) for name, x in roots if not isinstance(x, (types.ModuleType, type))]


def _given(function: functools.partial[Any]) -> list[tuple[str, Any]]:
    """The arguments that a partial function has, by the names of its parameters where these are known."""
    try:
        given = inspect.signature(function.func).bind_partial(*function.args, **function.keywords).arguments
    except (TypeError, ValueError):
        return [("", x) for x in (*function.args, *function.keywords.values())]
    return list(given.items())
