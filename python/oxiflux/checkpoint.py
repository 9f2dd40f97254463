"""Functions that are computed a second time for their gradient, instead of keeping what it needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import _core
from ._core import Tensor
from .functors import fmap
from .gradient import pullback
from .tree import FLOATS

__all__ = ["checkpoint"]


def checkpoint(f: Callable[..., Tensor], *args: Any) -> Tensor:
    """`f(*args)` without keeping what its gradient needs: the gradient computes `f` again. Time for memory.

    Gradients reach the arguments and what `f` holds: the parameters of a layer, what a closure has captured. To let
    `f` take another tensor of the gradient, and to go on with one of its own that is not its result, raises
    ValueError. The second time what `f` and the arguments hold is as it was the first time, generators, counters,
    lists and arrays of up to 16 MiB included, and afterwards as before; random numbers of the shared generator are
    the same unless another thread draws in between. What `f` finds elsewhere, in global variables, classes, iterators
    or random generators of other libraries, is as it is then. Ref: Chen et al., "Training deep nets with sublinear
    memory cost", 2016.

    >>> import oxiflux as flux
    >>> block = flux.Chain(flux.Dense(2, 8, flux.tanh), flux.Dense(8, 2))
    >>> x = flux.rand(5, 2)
    >>> g = flux.gradient(lambda m: flux.checkpoint(m, x).sum(), block)[0]
    >>> g.layers[1].bias.tolist()
    [5.0, 5.0]
    """
    if not _core.is_recording():
        return f(*args)
    tree = (f, args)
    tensors = [tensor for _, tensor in _core.leaves(tree)]
    inputs = [tensor for tensor in tensors if tensor.dtype in FLOATS and not _core.is_left_out(tensor)]
    # Objects of their own, because a step may change the others before the gradient is computed.
    given = [_core.asarray(tensor) for tensor in inputs]
    constants = {id(tensor): tensor.copy() for tensor in tensors if tensor.dtype not in FLOATS}
    shared = _core.twin()
    before = _core.Snapshot(tree, twice=True)
    with _core.paused(inputs):
        value = f(*args)

    def call(tensors: list[Tensor]) -> Tensor:
        new = dict(zip(map(id, inputs), tensors, strict=True)) | constants
        g, xs = fmap(lambda x: new.get(id(x), x), tree)
        y: Tensor = g(*xs)
        return y

    def back(dy: Tensor) -> list[Tensor | None]:
        # Other threads go on drawing from the shared generator meanwhile.
        now = _core.Snapshot(tree, twice=True)
        outer = _core.replay(_core.twin(shared))
        before.put_back()
        try:
            grads: Any = pullback(call, given)[1](dy)[0]
            return grads  # type: ignore[no-any-return]
        finally:
            now.put_back()
            _core.replay(outer)

    return _core.custom(value, inputs, back)
