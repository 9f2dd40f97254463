"""What containers of layers share: layers by position or by name, and errors that say where they come from."""

from __future__ import annotations

import builtins
import copy
import functools
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Never, Self, cast, overload

import numpy as np

from .. import _core
from .._core import Tensor
from ..functors import Named
from ..hints import meant
from ..show import describe
from .base import Layer, locate

__all__ = ["Container", "Function", "joined"]

Function = Callable[..., Any]


# What joins any number of results two by two, as Flux's `+` does.
_FOLDED = {
    id(f) for f in (
        _core.add, _core.multiply, _core.maximum, _core.minimum, _core.logaddexp, _core.hypot,
        _core.logical_and, _core.logical_or, operator.add, operator.mul,
        np.add, np.multiply, np.maximum, np.minimum, np.logaddexp, np.hypot, np.logical_and, np.logical_or,
    )
}  # fmt: skip
# What puts a list of results side by side.
_LISTED = {
    id(_core.concat): _core.concat, id(np.concatenate): _core.concat, id(np.hstack): _core.concat,
    id(_core.stack): _core.stack, id(np.stack): _core.stack,
}  # fmt: skip
# What makes one tensor smaller, and would take the second result for an axis.
_REDUCES = {
    id(f): (name, f"flux.{other}" if other else f"lambda *ys: flux.{name}(flux.stack(ys), axis=0)")
    for name, other in {
        "sum": "add", "prod": "multiply", "max": "maximum", "min": "minimum", "any": "logical_or",
        "all": "logical_and", "mean": "", "std": "", "var": "",
    }.items()
    for f in (getattr(_core, name), getattr(np, name), getattr(builtins, name, None))
}  # fmt: skip


def _is_class(x: Any) -> bool:
    return isinstance(x, type) and issubclass(x, Layer)


def _no_layer(x: Any) -> str:
    """What was given in place of a layer, and what to write instead."""
    if isinstance(x, type):
        return f"the class {x.__name__}; make a layer of it: {x.__name__}(…)"
    if isinstance(x, (list, tuple)):
        return f"a {type(x).__name__}, which cannot be called; make one layer of it: Chain([…])"
    if isinstance(x, dict):
        return "a dict, which cannot be called; give its layers by name: Chain(**layers)"
    if isinstance(x, Iterator):
        return f"a {type(x).__name__}, which cannot be called; make a list of it: Chain([*layers])"
    return f"a {type(x).__name__}, which cannot be called{meant(x)}"


def joined(connection: Function, *parts: Any) -> Any:
    """What a connection makes of the results of layers.

    `concat` puts them side by side on the last axis, that of the features, `stack` on a new one; functions of two
    arguments like `add` take any number.
    """
    key = id(connection)
    if key in _LISTED:
        return _LISTED[key](parts, axis=-1)
    if key in _FOLDED:
        return functools.reduce(connection, parts)
    if len(parts) > 1 and key in _REDUCES:
        name, instead = _REDUCES[key]
        raise TypeError(
            f"{name} reduces one tensor, and there are {len(parts)} results to join: write {instead}"
        )
    return connection(*parts)


class Container(Layer):
    """A layer made of others, in `layers`: a tuple of them, or a dict if they were given by name.

    They are given one by one, as one list, or by name. A name is a key and an attribute, of the container and of what
    stands for its layers in a gradient and in the state of an optimiser. A list of places or of names makes a container
    of these, as a slice does; assigning to a place or a name replaces the layer there.

    >>> import oxiflux as flux
    >>> chain = flux.Chain(encoder=flux.Dense(4, 2), decoder=flux.Dense(2, 4))
    >>> chain["decoder"] is chain[1] is chain.decoder, len(chain), len(chain[:1])
    (True, 2, 1)
    >>> list(chain[["decoder"]].layers)
    ['decoder']
    """

    layers: tuple[Function, ...] | dict[str, Function]

    def __init__(self, /, *layers: Function | Sequence[Function], **named: Function) -> None:
        name = type(self).__name__
        if layers and named:
            raise TypeError(f"{name}: give all layers by position or all by name")
        if "layers" in named:
            raise TypeError(f"{name}: no layer can have the name 'layers', which is that of them all")
        if len(layers) == 1 and isinstance(layers[0], (list, tuple)):
            layers = tuple(layers[0])
        self.layers = Named(named) if named else cast("tuple[Function, ...]", layers)

    def __getattr__(self, name: str) -> Any:
        layers = self.__dict__.get("layers")
        if isinstance(layers, dict) and name in layers:
            return layers[name]
        return object.__getattribute__(self, name)  # what has failed, and says so

    def __setattr__(self, name: str, value: Any) -> None:
        layers = self.__dict__.get("layers")
        if name == "layers":
            super().__setattr__(name, self._checked(value))
        elif not isinstance(layers, dict) or name not in layers or hasattr(type(self), name):
            super().__setattr__(name, value)
        elif _is_class(value) or not callable(value):
            kind = type(self).__name__
            raise TypeError(f"{kind}: layer {name!r} is {_no_layer(value)}")
        else:
            layers[name] = value

    def __delattr__(self, name: str) -> None:
        layers = self.__dict__.get("layers")
        if isinstance(layers, dict) and name in layers and name not in self.__dict__:
            kind, others = type(self).__name__, [key for key in layers if key != name]
            raise AttributeError(f"{kind}: a layer cannot be deleted; model[{others}] is one of the others")
        super().__delattr__(name)

    def __copy__(self) -> Self:
        new = object.__new__(type(self))
        vars(new).update(vars(self))
        # A layer of the copy can be replaced without changing the original.
        vars(new)["layers"] = copy.copy(self.layers)
        return new

    def _checked(self, layers: Any) -> tuple[Function, ...] | Named:
        """What is assigned to `layers`: callable parts, in a tuple, or by name."""
        name = type(self).__name__
        if not isinstance(layers, (list, tuple, dict)):
            raise TypeError(f"{name}: layers are a tuple or a dict of layers, got {layers!r}")
        for key, layer in layers.items() if isinstance(layers, dict) else enumerate(layers):
            if _is_class(layer) or not callable(layer):
                raise TypeError(f"{name}: layer {key!r} is {_no_layer(layer)}")
        return Named(layers) if isinstance(layers, dict) else tuple(layers)

    def __dir__(self) -> list[str]:
        names = self.layers if isinstance(self.layers, dict) else ()
        return sorted({*super().__dir__(), *names})

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
    def __getitem__(self, key: slice | list[int] | list[str]) -> Self: ...
    def __getitem__(self, key: int | str | slice | list[int] | list[str]) -> Any:
        name = type(self).__name__
        if isinstance(key, str):
            if isinstance(self.layers, dict) and key in self.layers:
                return self.layers[key]
            known = (
                f"its layers are {', '.join(map(str, self._keys()))}" if self.layers else "it has no layers"
            )
            raise KeyError(f"{name}: there is no layer {key!r}; {known}")
        if isinstance(key, (np.ndarray, Tensor)) and key.ndim:
            key = key.tolist()
        if isinstance(key, list):
            keys = self._keys()
            picked = [one if isinstance(one, str) else keys[self._place(one)] for one in key]
            if len(set(picked)) < len(picked) and isinstance(self.layers, dict):
                raise KeyError(f"{name}: a layer has its name once, got {list(key)}")
            if isinstance(self.layers, dict):
                return self._with(**{str(one): self[one] for one in picked})
            return self._with(*(self[one] for one in picked))
        if isinstance(key, slice):
            if isinstance(self.layers, dict):
                return self._with(**dict(list(self.layers.items())[key]))
            return self._with(*self.layers[key])
        return tuple(self)[self._place(key)]

    def __setitem__(self, key: int | str, layer: Function) -> None:
        if not isinstance(key, str) and not hasattr(key, "__index__"):
            kind = type(self).__name__
            raise TypeError(f"{kind}: one layer is replaced at a time, by its place or name, got {key!r}")
        if isinstance(key, str):
            self[key]
        else:
            key = self._keys()[self._place(key)]
        layers = dict(zip(self._keys(), self, strict=True))
        layers[key] = layer
        self.layers = (
            cast("dict[str, Function]", layers) if isinstance(self.layers, dict) else tuple(layers.values())
        )

    def __delitem__(self, key: int | str) -> Never:
        kind = type(self).__name__
        raise TypeError(
            f"{kind}: a layer cannot be deleted; model[[…]] is one of the layers that are named in the list"
        )

    def _place(self, key: Any) -> int:
        """The place of a layer from the front, of an integer that may count from the end."""
        name, count = type(self).__name__, len(self.layers)
        if isinstance(key, bool) or not hasattr(key, "__index__"):
            raise TypeError(
                f"{name}: layers are found by places, names, slices and lists of them, got {key!r}"
            )
        if not -count <= (place := operator.index(key)) < count:
            raise IndexError(f"{name}: layer {key} of {count}")
        return place % count

    def _with(self, /, *layers: Function, **named: Function) -> Self:
        """One like this with other layers."""
        return type(self)(*layers, **named)

    def _call(self, key: int | str | None, *args: Any) -> Any:
        """Calls a layer, or the connection for None; an error from within it says so."""
        try:
            if key is None:
                return joined(self.connection, *args)
            return self[key](*args)
        except Exception as error:
            locate(error, type(self).__name__, ".connection" if key is None else f"[{key!r}]")
            raise

    def describe(self) -> str:
        """The container and all that is in it on one line."""
        parts = (f"{name} = {describe(part)}" if name else describe(part) for name, part in self._shown())
        return f"{type(self).__name__}({', '.join(parts)})"

    def _shown(self) -> list[tuple[str | None, Any]]:
        """What a table lists: the layers themselves instead of the attribute that holds them."""
        if isinstance(self.layers, dict):
            return list(self.layers.items())
        return [(None, layer) for layer in self.layers]
