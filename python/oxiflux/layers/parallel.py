"""Containers whose layers stand side by side."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import _core
from .._core import Tensor
from ..hints import meant
from ..show import describe
from .base import Layer, locate
from .container import Container, Function, joined

__all__ = ["Maxout", "PairwiseFusion", "Parallel", "SkipConnection"]


class _Joined(Container):
    """A container with a function that joins what its layers give."""

    connection: Function

    def __init__(
        self, connection: Function, /, *layers: Function | Sequence[Function], **named: Function
    ) -> None:
        super().__init__(*layers, **named)
        name = type(self).__name__
        if not callable(connection):
            raise TypeError(
                f"{name}: the connection must be a function, got {connection!r}{meant(connection)}; "
                "it comes before the layers"
            )
        if not self.layers:
            raise ValueError(f"{name}: needs at least one layer")
        self.connection = connection

    def _with(self, /, *layers: Function, **named: Function) -> Any:
        return type(self)(self.connection, *layers, **named)

    def _shown(self) -> list[tuple[str | None, Any]]:
        return [(None, self.connection), *super()._shown()]


class Parallel(_Joined):
    """Layers side by side, their results joined by the function `connection`.

    - One input goes to all of them: `Parallel(c, f, g)(x) == c(f(x), g(x))`.
    - As many inputs as layers, also as a tuple, are taken one each: `Parallel(c, f, g)(x, y) == c(f(x), g(y))`.
    - A single layer takes any number of inputs: `Parallel(c, f)(x, y) == c(f(x), f(y))`.

    `concat` joins on the last axis, that of the features; `add` and the like take any number of results. Another
    number of inputs raises ValueError. Layers are found by position, or by name if they were given as
    keywords. Ref: Flux.jl, `Parallel`.

    >>> import oxiflux as flux
    >>> model = flux.Parallel(flux.add, left=flux.Dense(10, 2, flux.tanh), right=flux.Dense(5, 2))
    >>> model
    Parallel(
      add,
      left = Dense(10 => 2, tanh),          # 22 parameters
      right = Dense(5 => 2),                # 12 parameters
    )                   # Total: 4 arrays, 34 parameters, 136 bytes.
    >>> model(flux.rand(7, 10), flux.rand(7, 5)).shape
    (7, 2)
    >>> flux.Parallel(flux.concat, flux.Dense(5, 4), flux.Dense(5, 3))(flux.rand(7, 5)).shape
    (7, 7)
    """

    def __call__(self, *inputs: Any) -> Tensor:
        """`connection` of what the layers make of the inputs."""
        if len(inputs) == 1 and isinstance(inputs[0], tuple):
            inputs = inputs[0]
        keys = self._keys()
        if len(inputs) == 1:
            inputs *= len(keys)
        elif len(keys) == 1:
            keys *= len(inputs)
        elif len(inputs) != len(keys):
            raise ValueError(
                f"Parallel: {len(keys)} layers take one input or {len(keys)}, got {len(inputs)} inputs"
            )
        return self._call(None, *map(self._call, keys, inputs))  # type: ignore[no-any-return]


class PairwiseFusion(_Joined):
    """Layers one after another, each of which takes what the last one gave, joined with an input of its own.

        y[0] = layers[0](x[0])
        y[i] = layers[i](connection(y[i - 1], x[i]))

    The result is the tuple of all `y`. The inputs are one for each layer, also as a tuple, or a single one
    for all; another number raises ValueError. Ref: Flux.jl, `PairwiseFusion`.

    >>> import oxiflux as flux
    >>> model = flux.PairwiseFusion(flux.add, flux.Dense(1, 30), flux.Dense(30, 10))
    >>> [y.shape for y in model(flux.rand(7, 1), flux.rand(7, 30))]
    [(7, 30), (7, 10)]
    """

    def __call__(self, *inputs: Any) -> tuple[Any, ...]:
        """The result of every layer."""
        if len(inputs) == 1:
            inputs = inputs[0] if isinstance(inputs[0], tuple) else inputs * len(self.layers)
        if len(inputs) != len(self.layers):
            raise ValueError(
                f"PairwiseFusion: {len(self.layers)} layers take one input or {len(self.layers)}, "
                f"got {len(inputs)} inputs"
            )
        results: list[Any] = []
        for key, x in zip(self._keys(), inputs, strict=True):
            results.append(self._call(key, self._call(None, results[-1], x) if results else x))
        return tuple(results)


class SkipConnection(Layer):
    """`connection(layers(x), x)`: the input goes through `layers` and past them.

    Ref: He et al., "Deep residual learning for image recognition", 2015; Flux.jl, `SkipConnection`.

    >>> import oxiflux as flux
    >>> model = flux.SkipConnection(flux.Chain(flux.Dense(5, 20, flux.tanh), flux.Dense(20, 5)), flux.add)
    >>> model
    SkipConnection(
      Chain(
        Dense(5 => 20, tanh),               # 120 parameters
        Dense(20 => 5),                     # 105 parameters
      ),
      add,
    )                   # Total: 4 arrays, 225 parameters, 900 bytes.
    >>> model(flux.rand(7, 5)).shape
    (7, 5)
    """

    layers: Function
    connection: Function

    def __init__(self, layers: Function, connection: Function) -> None:
        for name, part in (("layers", layers), ("connection", connection)):
            if not callable(part):
                raise TypeError(f"SkipConnection: {name} is a {type(part).__name__}, which cannot be called")
        self.layers, self.connection = layers, connection

    def __call__(self, x: Any) -> Tensor:
        """`connection(layers(x), x)`."""
        step = ".layers"
        try:
            y = self.layers(x)
            step = ".connection"
            return joined(self.connection, y, x)  # type: ignore[no-any-return]
        except Exception as error:
            locate(error, "SkipConnection", step)
            raise

    def describe(self) -> str:
        """The layer on one line."""
        return f"SkipConnection({describe(self.layers)}, {describe(self.connection)})"

    def _shown(self) -> list[tuple[str | None, Any]]:
        return [(None, self.layers), (None, self.connection)]


class Maxout(Container):
    """The largest of what its layers give, element by element; `Maxout(f, n)` makes the layers by `n` calls of
    `f`.

    Ref: Goodfellow et al., "Maxout networks", 2013.

    >>> import oxiflux as flux
    >>> flux.Maxout(lambda x: x**2, lambda x: x * 3)(flux.tensor([-2, -1, 0, 1, 2])).tolist()
    [4, 1, 0, 3, 6]
    >>> flux.Maxout(lambda: flux.Dense(5, 7, flux.tanh), 3)
    Maxout(
      Dense(5 => 7, tanh),                  # 42 parameters
      Dense(5 => 7, tanh),                  # 42 parameters
      Dense(5 => 7, tanh),                  # 42 parameters
    )                   # Total: 6 arrays, 126 parameters, 504 bytes.
    """

    layers: tuple[Function, ...]

    def __init__(self, *layers: Any) -> None:
        if len(layers) == 2 and isinstance(layers[1], (int, np.integer)):
            make, count = layers
            if not callable(make):
                raise TypeError(f"Maxout: {make!r} cannot be called to make layers")
            layers = tuple(make() for _ in range(count))
        super().__init__(*layers)
        if not self.layers:
            raise ValueError("Maxout: needs at least one layer")

    def __call__(self, x: Any) -> Tensor:
        """The maximum over the layers."""
        results: list[Tensor] = [self._call(key, x) for key in self._keys()]
        return functools.reduce(_core.maximum, results)
