"""Layers one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import length_hint
from typing import Any, overload

from ..show import describe
from .base import Layer, locate

__all__ = ["Chain", "activations"]

Function = Callable[[Any], Any]


class Chain(Layer):
    """Calls its layers one after another: `Chain(f, g)(x) == g(f(x))`; without layers it is the identity.

    A layer is anything that can be called with one argument. Layers are found by position, or by name if they
    were given as keywords; a slice is a Chain of the same layers. `layers` is the tuple or dict of them. An
    error of shapes or dtypes says where it comes from: `Chain[1]: Dense(3 => 2): expected …`.

    >>> import oxiflux as flux
    >>> model = flux.Chain(flux.Dense(10, 5, flux.relu), flux.Dense(5, 2), flux.softmax)
    >>> model
    Chain(
      Dense(10 => 5, relu),                 # 55 parameters
      Dense(5 => 2),                        # 12 parameters
      softmax,
    )                   # Total: 4 arrays, 67 parameters, 268 bytes.
    >>> model(flux.rand(3, 10)).shape, len(model[:2])
    ((3, 2), 2)
    >>> named = flux.Chain(encoder=flux.Dense(4, 2), decoder=flux.Dense(2, 4))
    >>> named["decoder"] is named[1]
    True
    """

    layers: tuple[Function, ...] | dict[str, Function]

    def __init__(self, *layers: Function, **named: Function) -> None:
        if layers and named:
            raise TypeError("Chain: give all layers by position or all by name")
        for key, layer in named.items() if named else enumerate(layers):
            if not callable(layer):
                raise TypeError(f"Chain: layer {key!r} is a {type(layer).__name__}, which cannot be called")
        self.layers = named or layers

    def __call__(self, x: Any) -> Any:
        """The result of the last layer."""
        layers = self.layers
        steps = iter(layers if type(layers) is tuple else layers.values())  # type: ignore[union-attr]
        try:
            for layer in steps:
                x = layer(x)
        except Exception as error:
            # Counting the steps in the loop would cost every call what only a failed one needs.
            locate(error, "Chain", list(self._keys())[len(layers) - length_hint(steps) - 1])
            raise
        return x

    def _keys(self) -> Iterator[int | str]:
        return iter(self.layers if isinstance(self.layers, dict) else range(len(self.layers)))

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Function]:
        return iter(self.layers.values() if isinstance(self.layers, dict) else self.layers)

    @overload
    def __getitem__(self, key: int | str) -> Function: ...
    @overload
    def __getitem__(self, key: slice) -> Chain: ...
    def __getitem__(self, key: int | str | slice) -> Any:
        if isinstance(key, str):
            if not isinstance(self.layers, dict) or key not in self.layers:
                names = (
                    f"its layers are {', '.join(map(str, self._keys()))}"
                    if self.layers
                    else "it has no layers"
                )
                raise KeyError(f"Chain: there is no layer {key!r}; {names}")
            return self.layers[key]
        if isinstance(key, slice):
            if isinstance(self.layers, dict):
                return Chain(**dict(list(self.layers.items())[key]))
            return Chain(*self.layers[key])
        try:
            return tuple(self)[key]
        except IndexError:
            raise IndexError(f"Chain: layer {key} of {len(self)}") from None

    def describe(self) -> str:
        """The chain and all that is in it on one line."""
        if isinstance(self.layers, dict):
            return f"Chain({', '.join(f'{name}={describe(layer)}' for name, layer in self.layers.items())})"
        return f"Chain({', '.join(map(describe, self.layers))})"

    def _shown(self) -> list[tuple[str | None, Any]]:
        """What a table of this chain lists: the layers themselves instead of the attribute that holds
        them.
        """
        if isinstance(self.layers, dict):
            return list(self.layers.items())
        return [(None, layer) for layer in self.layers]


def activations(chain: Chain, x: Any) -> tuple[Any, ...]:
    """The result of every layer of a chain for the input `x`; the last is that of the chain.

    >>> import oxiflux as flux
    >>> [y.shape for y in flux.activations(flux.Chain(flux.Dense(4, 3), flux.Dense(3, 2)), flux.rand(5, 4))]
    [(5, 3), (5, 2)]
    """
    results = []
    for layer in chain:
        x = layer(x)
        results.append(x)
    return tuple(results)
