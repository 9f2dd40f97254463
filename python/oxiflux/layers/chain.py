"""Layers one after another."""

from __future__ import annotations

from operator import length_hint
from typing import Any

from .._core import Tensor
from ..hints import told
from .base import locate
from .container import Container

__all__ = ["Chain", "activations"]


class Chain(Container):
    """Calls its layers one after another: `Chain(f, g)(x) == g(f(x))`; without layers it is the identity.

    A layer is anything that can be called with one argument; several inputs are a tuple for the first. Layers are
    given one by one, as a list, or by name, and found by place, by name, and as attributes; a slice or a list makes a
    Chain of the same layers. `layers` is the tuple or dict of them. An error of shapes or dtypes says where it comes
    from: `Chain[1]: Dense(3 => 2): expected …`. Ref: Flux.jl, `Chain`.

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
    >>> named["decoder"] is named[1] is named.decoder, len(named[["decoder"]])
    (True, 1)
    >>> state = flux.setup(flux.Momentum(), named)
    >>> state.layers.encoder.bias
    Leaf(Momentum(0.01, 0.9), Tensor([0.0, 0.0]))
    """

    def __call__(self, x: Any, *more: Any) -> Tensor:
        """The result of the last layer."""
        if more:
            x = (x, *more)
        layers = self.layers
        steps = iter(layers if type(layers) is tuple else dict.values(layers))  # type: ignore[arg-type]
        try:
            for layer in steps:
                x = layer(x)
        except Exception as error:
            # Counting the steps in the loop would cost every call what only a failed one needs.
            locate(error, "Chain", f"[{self._keys()[len(layers) - length_hint(steps) - 1]!r}]")
            raise
        return x  # type: ignore[no-any-return]


@told
def activations(chain: Chain, x: Any) -> tuple[Any, ...]:
    """The result of every layer of a chain for the input `x`; the last is that of the chain.

    Raises TypeError for what is no chain, and what its layers raise. Ref: Flux.jl, `activations`.

    >>> import oxiflux as flux
    >>> [y.shape for y in flux.activations(flux.Chain(flux.Dense(4, 3), flux.Dense(3, 2)), flux.rand(5, 4))]
    [(5, 3), (5, 2)]
    """
    if not isinstance(chain, Chain):
        raise TypeError(f"activations: expected a Chain, got a {type(chain).__name__}")
    results = []
    for key in chain._keys():
        x = chain._call(key, x)
        results.append(x)
    return tuple(results)
