"""Layers of which a size is left open, for `autosize` to fill in: `Dense(None, 10)`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar, Never

from .. import _core
from ..show import Printed, describe

# The place in `open_at` of a class that is made of any number of sizes.
EACH = -1
# Two sizes of one layer.
PAIRS = (tuple, list)


class Unsized(Printed):
    """What a layer's class gives in place of a layer if a size is None: what to make once the size is known.

    >>> import oxiflux as flux
    >>> flux.Dense(None, 10, flux.relu)
    Dense(None, 10, relu)
    """

    is_unsized: ClassVar[bool] = True
    # The layer whose size is open within this one, which is made of it.
    inner: Unsized | None = None
    make: Callable[..., Any]
    place: int
    args: tuple[Any, ...]
    given: dict[str, Any]
    # The names of the size, and of the argument behind it.
    size: str
    after: str

    def __init__(
        self, make: Callable[..., Any], place: int, args: tuple[Any, ...], given: dict[str, Any]
    ) -> None:
        names = list(inspect.signature(make).parameters)
        self.make, self.place, self.args, self.given = make, place, args, given
        if place != EACH:
            # By name, so that a size can be found wherever it stands.
            self.args, self.given = (), dict(zip(names, args, strict=False)) | given
            self.size, self.after = names[place], names[place + 1]

    def sized(self, *inputs: Any, least: int = 0) -> Any:
        """The layer for these inputs, whose sizes are those of their last axes; ValueError for one below `least`."""
        parts = inputs[0] if len(inputs) == 1 and isinstance(inputs[0], tuple) else inputs
        shapes = [_core.asarray(x).shape for x in parts if x is not None and not isinstance(x, tuple)]
        if self.place == EACH:
            count = sum(not callable(n) for n in self.args)
            known = iter(self._last(shapes[0], count, least))
            return self.make(*(self._filled(n, known) for n in self.args), **self.given)
        if self.place == 0 and isinstance(self.given[self.size], PAIRS):
            sizes = self.given[self.size]
            each = (shapes * len(sizes))[: len(sizes)]
            found: Any = tuple(
                self._last(shape, 1, least)[0] if n is None else n
                for n, shape in zip(sizes, each, strict=True)
            )
        else:
            found = self._last(shapes[0], 1, least)[0]
            if self.after == "size_out" and callable(after := self.given.get(self.after)):
                return self.make(**self.given | {self.size: found, self.after: after(found)})
        return self.make(**self.given | {self.size: found})

    def _last(self, shape: tuple[int, ...], count: int, least: int) -> tuple[int, ...]:
        if len(shape) < count or not count:
            axes = "last axis" if count == 1 else f"last {count} axes"
            raise ValueError(f"{self.describe()}: an input of shape {shape} has no {axes}")
        found = shape[len(shape) - count :]
        if min(found) < least:
            raise ValueError(f"{self.describe()}: an input of shape {shape} has no size to take")
        return found

    def put(self, option: str, value: Any) -> None:
        """Another value of an option, if the layer has it."""
        if option in inspect.signature(self.make).parameters:
            self.given = self.given | {option: value}
        elif self.inner is not None:
            self.inner.put(option, value)

    @staticmethod
    def _filled(n: Any, known: Any) -> Any:
        if callable(n):
            return n
        found = next(known)
        return found if n is None else n

    def __getattr__(self, name: str) -> Never:
        # What a fresh copy lacks is no reason to describe it.
        if name.startswith("_") or "make" not in self.__dict__:
            raise AttributeError(name)
        raise AttributeError(
            f"{self.describe()} has no {name}: its size is open; flux.autosize(model, shape) fills it in"
        )

    def __call__(self, *_: Any, **__: Any) -> Never:
        raise ValueError(f"{self.describe()}: its size is open; flux.autosize(model, shape) fills it in")

    def describe(self) -> str:
        """The layer as it was written."""
        name = self.make.__name__
        args = list(self.args)
        given = dict(self.given)
        if self.place != EACH:
            leading = [key for key in inspect.signature(self.make).parameters if key in given][
                : self.place + 2
            ]
            args = [given.pop(key) for key in leading]
            if "activation" in given:
                args.append(given.pop("activation"))
        shown = [*map(describe, args), *(f"{key}={describe(value)}" for key, value in given.items())]
        return f"{name}({', '.join(shown)})"


class UnsizedAround(Unsized):
    """What a layer that is made of another one is as long as the size of that one is open.

    >>> import oxiflux as flux
    >>> flux.WeightNorm(flux.Dense(None, 10), "weight")
    WeightNorm(Dense(None, 10), 'weight')
    """

    make: Callable[..., Any]
    inner: Unsized
    args: tuple[Any, ...]
    given: dict[str, Any]

    def __init__(
        self, make: Callable[..., Any], inner: Unsized, args: tuple[Any, ...], given: dict[str, Any]
    ) -> None:
        self.make, self.inner, self.args, self.given = make, inner, args, given

    def around(self, layer: Any) -> Any:
        """The layer that is made of this one."""
        return self.make(layer, *self.args, **self.given)

    def describe(self) -> str:
        """The layer as it was written."""
        args = [*map(describe, (self.inner, *self.args))]
        named = [f"{key}={describe(value)}" for key, value in self.given.items()]
        return f"{self.make.__name__}({', '.join([*args, *named])})"


def left_open(cls: Any, args: tuple[Any, ...], given: dict[str, Any]) -> bool:
    """Whether a call of a layer's class leaves a size open that an input can tell."""
    place: int | None = cls.open_at
    if place is None or not (args or given):
        return False
    # Most layers are made with their sizes by position.
    if 0 <= place < len(args) and args[place] is not None and type(args[place]) not in PAIRS:
        return False
    maker = _maker(cls)
    if maker is None:
        return False
    if place == EACH:
        return any(n is None for n in args)
    name = maker.__init__.__code__.co_varnames[1 + place]
    size = args[place] if len(args) > place else given.get(name, 0)
    return size is None or (type(size) in PAIRS and len(size) == 2 and any(n is None for n in size))


def left_open_within(cls: Any, args: tuple[Any, ...], given: dict[str, Any]) -> UnsizedAround | None:
    """What stands for a layer that is made of another one, its first argument, if the size of that one is open."""
    maker = _maker(cls)
    if maker is None:
        return None
    name = maker.__init__.__code__.co_varnames[1]
    inner = args[0] if args else given.get(name)
    if not isinstance(inner, Unsized):
        return None
    return UnsizedAround(cls, inner, args[1:], {key: value for key, value in given.items() if key != name})


def _maker(cls: Any) -> Any:
    """The class whose constructor it is; None for one of a user's own, which means something else by its arguments."""
    maker = next(base for base in cls.__mro__ if "__init__" in vars(base))
    return maker if maker.__module__.startswith(f"{__package__}.") else None
