"""What containers of layers share: layers by position or by name, and errors that say where they come from."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterator
from typing import Any, Self, overload

from .. import _core
from ..show import describe
from .base import Layer, locate

__all__ = ["Container", "Function", "joined"]

Function = Callable[..., Any]


# What joins any number of results two by two, as Flux's `+` does.
_FOLDED = (
    _core.add, _core.multiply, _core.maximum, _core.minimum, _core.logaddexp, _core.hypot,
    _core.logical_and, _core.logical_or, operator.add, operator.mul,
)  # fmt: skip


def joined(connection: Function, *parts: Any) -> Any:
    """What a connection makes of the results of layers.

    `concat` puts them side by side on the last axis, that of the features, `stack` on a new one; functions of two
    arguments like `add` take any number.
    """
    if connection is _core.concat or connection is _core.stack:
        return connection(parts, axis=-1)
    return functools.reduce(connection, parts) if connection in _FOLDED else connection(*parts)


class Container(Layer):
    """A layer made of others, in `layers`: a tuple of them, or a dict if they were given by name.

    >>> import oxiflux as flux
    >>> chain = flux.Chain(encoder=flux.Dense(4, 2), decoder=flux.Dense(2, 4))
    >>> chain["decoder"] is chain[1], len(chain), len(chain[:1])
    (True, 2, 1)
    """

    layers: tuple[Function, ...] | dict[str, Function]

    def __init__(self, *layers: Function, **named: Function) -> None:
        name = type(self).__name__
        if layers and named:
            raise TypeError(f"{name}: give all layers by position or all by name")
        for key, layer in named.items() if named else enumerate(layers):
            if not callable(layer):
                raise TypeError(f"{name}: layer {key!r} is a {type(layer).__name__}, which cannot be called")
        self.layers = named or layers

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Function]:
        return iter(self.layers.values() if isinstance(self.layers, dict) else self.layers)

    def _keys(self) -> tuple[int | str, ...]:
        """The names of the layers, or their positions."""
        return tuple(self.layers if isinstance(self.layers, dict) else range(len(self.layers)))

    @overload
    def __getitem__(self, key: int | str) -> Function: ...
    @overload
    def __getitem__(self, key: slice) -> Self: ...
    def __getitem__(self, key: int | str | slice) -> Any:
        name = type(self).__name__
        if isinstance(key, str):
            if isinstance(self.layers, dict) and key in self.layers:
                return self.layers[key]
            known = (
                f"its layers are {', '.join(map(str, self._keys()))}" if self.layers else "it has no layers"
            )
            raise KeyError(f"{name}: there is no layer {key!r}; {known}")
        if isinstance(key, slice):
            if isinstance(self.layers, dict):
                return self._with(**dict(list(self.layers.items())[key]))
            return self._with(*self.layers[key])
        try:
            return tuple(self)[key]
        except IndexError:
            raise IndexError(f"{name}: layer {key} of {len(self)}") from None

    def _with(self, *layers: Function, **named: Function) -> Self:
        """One like this with other layers."""
        return type(self)(*layers, **named)

    def _call(self, key: int | str | None, *args: Any) -> Any:
        """Calls a layer, or the connection for None; an error from within it says so."""
        try:
            if key is None:
                return joined(self.connection, *args)  # type: ignore[attr-defined]
            return self[key](*args)
        except Exception as error:
            locate(error, type(self).__name__, ".connection" if key is None else f"[{key!r}]")
            raise

    def describe(self) -> str:
        """The container and all that is in it on one line."""
        parts = (f"{name}={describe(part)}" if name else describe(part) for name, part in self._shown())
        return f"{type(self).__name__}({', '.join(parts)})"

    def _shown(self) -> list[tuple[str | None, Any]]:
        """What a table lists: the layers themselves instead of the attribute that holds them."""
        if isinstance(self.layers, dict):
            return list(self.layers.items())
        return [(None, layer) for layer in self.layers]
