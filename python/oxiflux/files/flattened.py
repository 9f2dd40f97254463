"""Dense layers behind a `flatten`, which meet the features of images in another order than in PyTorch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .. import _core
from ..layers import Chain, Layer, WeightNorm, flatten

__all__ = ["behind_flatten"]

_CONVOLUTIONS = ("Conv", "ConvTranspose", "CrossCor")
_NORMS = ("BatchNorm", "GroupNorm", "InstanceNorm")
# What has no weights and leaves the channels where they are.
_KEEPING = (
    "AdaptiveMaxPool", "AdaptiveMeanPool", "AlphaDropout", "Dropout", "GlobalMaxPool", "GlobalMeanPool",
    "MaxPool", "MeanPool", "Upsample",
)  # fmt: skip


def behind_flatten(model: Any, refuse: bool) -> dict[int, int | None]:
    """By the identity of each Dense that reads images laid flat, their channels; with `refuse`, None for one that
    seems to and whose place cannot be seen.

    >>> import oxiflux as flux
    >>> model = flux.Chain(flux.Conv((3, 3), 1, 8), flux.flatten, flux.Dense(8 * 26 * 26, 10))
    >>> list(behind_flatten(model, True).values())
    [8]
    """
    found: dict[int, int | None] = {}
    seen: set[int] = set()
    for chain in _outermost_chains(model, set()):
        _along(list(_steps(chain)), found, seen, refuse)
    if refuse:
        _beside_chains(model, found, seen)
    return found


def _outermost_chains(node: Any, done: set[int]) -> Iterator[Chain]:
    if id(node) in done or not _core.leaves(node):
        return
    done.add(id(node))
    if type(node) is Chain:
        yield node
        return
    for _, kid in _core.children(node) or ():
        yield from _outermost_chains(kid, done)


def _steps(node: Any) -> Iterator[Any]:
    """The layers in the order in which a chain calls them."""
    if type(node) is Chain:
        layers = node.layers
        for layer in layers.values() if isinstance(layers, dict) else layers:
            yield from _steps(layer)
    elif type(node) is WeightNorm:
        yield from _steps(node.layer)
    else:
        yield node


def _along(steps: list[Any], found: dict[int, int | None], seen: set[int], refuse: bool) -> None:
    """Follows the channels of images through a chain to the Dense layers that read them flat."""
    channels: int | None = None
    is_flat, is_clear = False, True
    for step in steps:
        name = type(step).__name__ if isinstance(step, Layer) else ""
        seen.add(id(step))
        if name in _CONVOLUTIONS:
            channels, is_flat, is_clear = _channels_of(step), False, True
        elif name in _NORMS:
            channels, is_clear = (channels, is_clear) if is_flat else (step.channels, True)
        elif name == "Dense":
            size = step.weight.shape[0]
            if channels and size != channels and size % channels == 0:
                if is_flat and is_clear:
                    found[id(step)] = channels
                elif refuse:
                    found[id(step)] = None
            channels, is_flat, is_clear = None, False, True
        elif step is flatten:
            is_flat = True
        elif name not in _KEEPING and not _is_elementwise(step):
            # A layer with parts of its own, or a function that does anything.
            within: list[Any] = []
            _collect(step, within, set())
            inner = [_channels_of(layer) for layer in within if type(layer).__name__ in _CONVOLUTIONS]
            channels = inner[-1] if inner else channels
            is_clear = is_clear and is_flat and not within


def _is_elementwise(step: Any) -> bool:
    """Whether it is one of our own activations."""
    return getattr(_core, getattr(step, "__name__", ""), None) is step


def _channels_of(layer: Any) -> int:
    shape = layer.weight.shape
    of_transpose: int = shape[-2] * layer.groups
    return of_transpose if type(layer).__name__ == "ConvTranspose" else shape[-1]


def _beside_chains(model: Any, found: dict[int, int | None], seen: set[int]) -> None:
    """In a class of one's own the order is not known: a Dense whose features come from no other layer of the model,
    but could be whole channels of the convolution before it, is doubtful.
    """
    layers: list[Any] = []
    _collect(model, layers, set())
    sizes = {n for layer in layers for n in _outputs(layer)}
    channels: int | None = None
    for layer in layers:
        name = type(layer).__name__
        if name in _CONVOLUTIONS:
            channels = _channels_of(layer)
        elif name == "Dense" and id(layer) not in seen:
            size = layer.weight.shape[0]
            if channels and size not in sizes and size % channels == 0:
                found[id(layer)] = None
            channels = None


def _collect(node: Any, layers: list[Any], done: set[int]) -> None:
    if id(node) in done or not _core.leaves(node):
        return
    done.add(id(node))
    if isinstance(node, Layer) and type(node).__name__ in ("Dense", *_CONVOLUTIONS, "Embedding", "LayerNorm"):
        layers.append(node)
        return
    for _, kid in _core.children(node) or ():
        _collect(kid, layers, done)


def _outputs(layer: Any) -> list[int]:
    """How many features come out of a layer."""
    name = type(layer).__name__
    if name in _CONVOLUTIONS:
        return [_channels_of(layer)]
    return [layer.weight.shape[-1]] if name in ("Dense", "Embedding") else list(layer.size)
